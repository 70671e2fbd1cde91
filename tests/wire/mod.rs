//! Frames and capture files for tests: valid lengths and checksums, documentation addresses, and nothing of the program in it.
//!
//! What the program reads is written here by other code than its own: `etherparse` for IP and transport, a few fixed bytes for the
//! rest. Road not taken: `whither::simulate`, which makes one access point's Ethernet and could share a mistake with the reader.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6Header, PacketBuilder, TcpHeader};

pub(crate) const PHONE: [u8; 6] = [0x3c, 0x5a, 0xb4, 0, 0, 0x01];
pub(crate) const OTHER_PHONE: [u8; 6] = [0x64, 0xcc, 0x2e, 0, 0, 0x02];
pub(crate) const GATEWAY: [u8; 6] = [0x02, 0x00, 0x5e, 0x10, 0x00, 0x01];
pub(crate) const BROADCAST: [u8; 6] = [0xff; 6];

pub(crate) const SYN: u8 = 0x02;
pub(crate) const SYN_ACK: u8 = 0x12;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const PUSH: u8 = 0x18;
pub(crate) const FIN: u8 = 0x11;

pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// An Ethernet frame.
pub(crate) fn ethernet(from: [u8; 6], to: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &kind.to_be_bytes(), payload].concat()
}

/// An Ethernet frame around an IP packet.
pub(crate) fn frame(from: [u8; 6], to: [u8; 6], packet: &[u8]) -> Vec<u8> {
    ethernet(from, to, ether_type(packet), packet)
}

/// The EtherType of an IP packet.
pub(crate) fn ether_type(packet: &[u8]) -> u16 {
    if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd }
}

fn headers(from: IpAddr, to: IpAddr, hops: u8, protocol: IpNumber) -> IpHeaders {
    match (from, to) {
        (IpAddr::V4(source), IpAddr::V4(target)) => IpHeaders::Ipv4(
            Ipv4Header {
                time_to_live: hops,
                protocol,
                source: source.octets(),
                destination: target.octets(),
                dont_fragment: true,
                fragment_offset: IpFragOffset::ZERO,
                ..Ipv4Header::default()
            },
            Ipv4Extensions::default(),
        ),
        (IpAddr::V6(source), IpAddr::V6(target)) => IpHeaders::Ipv6(
            Ipv6Header {
                hop_limit: hops,
                next_header: protocol,
                source: source.octets(),
                destination: target.octets(),
                ..Ipv6Header::default()
            },
            Ipv6Extensions::default(),
        ),
        _ => panic!("one packet, two versions of IP"),
    }
}

/// An IP packet with a UDP datagram.
pub(crate) fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = PacketBuilder::ip(headers(from.ip(), to.ip(), 64, IpNumber::UDP)).udp(from.port(), to.port());
    builder.write(&mut packet, payload).unwrap();
    packet
}

/// The client's first sequence number in every conversation here.
pub(crate) const ISN: u32 = 1_000;

/// An IP packet with a TCP segment.
pub(crate) fn tcp(from: SocketAddr, to: SocketAddr, seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = TcpHeader::new(from.port(), to.port(), seq, 65_535);
    (header.fin, header.syn, header.rst) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
    (header.psh, header.ack) = (flags & 8 != 0, flags & 16 != 0);
    if header.syn && header.ack {
        header.acknowledgment_number = ISN + 1; // what anchors the client's stream
    }
    let mut packet = Vec::new();
    PacketBuilder::ip(headers(from.ip(), to.ip(), 64, IpNumber::TCP)).tcp_header(header).write(&mut packet, payload).unwrap();
    packet
}

/// An ICMPv6 message of neighbour discovery: hop limit 255 (RFC 4861, 7.1).
pub(crate) fn neighbour(from: &str, to: &str, kind: u8, after_checksum: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let ip = headers(from.parse().unwrap(), to.parse().unwrap(), 255, IpNumber::IPV6_ICMP);
    let (first, rest) = after_checksum.split_first_chunk::<4>().unwrap();
    PacketBuilder::ip(ip).icmpv6_raw(kind, 0, *first).write(&mut packet, rest).unwrap();
    packet
}

/// A Router Advertisement of one /64 (RFC 4861, 4.2 and 4.6.2).
pub(crate) fn advertisement(router: &str, prefix: &str) -> Vec<u8> {
    let prefix: std::net::Ipv6Addr = prefix.parse().unwrap();
    let head: [u8; 12] = [64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    let option = [&[3, 4, 64, 0xc0][..], &[0, 0, 0x0e, 0x10], &[0, 0, 0x0e, 0x10], &[0; 4], &prefix.octets()].concat();
    neighbour(router, "ff02::1", 134, &[&head[..], &option].concat())
}

/// An ARP request or answer (RFC 826).
pub(crate) fn arp(operation: u8, from: ([u8; 6], [u8; 4]), asked: ([u8; 6], [u8; 4])) -> Vec<u8> {
    [&[0, 1, 8, 0, 6, 4, 0, operation][..], &from.0, &from.1, &asked.0, &asked.1].concat()
}

/// The labels of a name; each may hold any bytes but a dot.
pub(crate) fn labels(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split(|byte| *byte == b'.') {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend_from_slice(label);
    }
    out.push(0);
    out
}

pub(crate) const A: u16 = 1;
pub(crate) const CNAME: u16 = 5;
pub(crate) const PTR: u16 = 12;
pub(crate) const AAAA: u16 = 28;
pub(crate) const HTTPS: u16 = 65;

/// A DNS record as it is written here: type, owner, data.
pub(crate) type Record<'a> = (u16, &'a [u8], Vec<u8>);

/// A DNS message with one question (RFC 1035, 4.1): a query, or the answer that holds these records.
pub(crate) fn dns(id: u16, name: &[u8], kind: u16, answers: Option<&[Record<'_>]>) -> Vec<u8> {
    let flags: u16 = if answers.is_some() { 0x8180 } else { 0x0100 };
    let count = u16::try_from(answers.map_or(0, <[_]>::len)).unwrap();
    let mut message = [id, flags, 1, count, 0, 0].map(u16::to_be_bytes).concat();
    message.extend(labels(name));
    message.extend([kind, 1].map(u16::to_be_bytes).concat());
    for (kind, owner, data) in answers.unwrap_or_default() {
        message.extend(labels(owner));
        message.extend([*kind, 1].map(u16::to_be_bytes).concat());
        message.extend(300_u32.to_be_bytes());
        message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        message.extend(data);
    }
    message
}

/// An answer with one address.
pub(crate) fn dns_address(id: u16, name: &str, address: IpAddr) -> Vec<u8> {
    let (kind, data) = match address {
        IpAddr::V4(v4) => (A, v4.octets().to_vec()),
        IpAddr::V6(v6) => (AAAA, v6.octets().to_vec()),
    };
    dns(id, name.as_bytes(), kind, Some(&[(kind, name.as_bytes(), data)]))
}

/// The same message with the length that it has over TCP (RFC 1035, 4.2.2).
pub(crate) fn over_tcp(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

/// A TLS 1.3 ClientHello as a handshake message (RFC 8446, 4.1.2).
pub(crate) fn hello_message(name: &str, padding: usize) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let extension = |kind: u16, body: &[u8]| [&kind.to_be_bytes()[..], &sized(body)].concat();
    let extensions = [
        extension(0, &sized(&[&[0][..], &sized(name.as_bytes())].concat())),
        extension(16, &sized(b"\x02h2\x08http/1.1")),
        extension(43, &[4, 3, 4, 3, 3]),
        extension(10, &sized(&[0, 29, 0, 23])),
        extension(13, &sized(&[4, 3, 8, 4])),
        extension(21, &vec![0; padding]),
    ]
    .concat();
    let body = [&[3, 3][..], &[7; 32], &[0], &sized(&[0x13, 1, 0x13, 2, 0xc0, 0x2f]), &[1, 0], &sized(&extensions)].concat();
    [&[1][..], &u32::try_from(body.len()).unwrap().to_be_bytes()[1..], &body].concat()
}

/// A TLS record of a handshake.
pub(crate) fn record(fragment: &[u8]) -> Vec<u8> {
    [&[22, 3, 1][..], &u16::try_from(fragment.len()).unwrap().to_be_bytes(), fragment].concat()
}

/// A ClientHello in one record.
pub(crate) fn hello(name: &str) -> Vec<u8> {
    record(&hello_message(name, 64))
}

/// What a server says after a hello: it is not read, only counted.
pub(crate) fn server_flight() -> Vec<u8> {
    [&[22, 3, 3, 0, 90][..], &[2; 90], &[23, 3, 3, 1, 0], &[9; 256]].concat()
}

pub(crate) fn request(host: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: okhttp/3.12.0\r\nAccept: */*\r\n\r\n").into_bytes()
}

/// A DHCP message of a client or server (RFC 2131, 2): its kind, its host name, the address asked for or given.
pub(crate) fn dhcp(kind: u8, mac: [u8; 6], hostname: &str, address: Option<[u8; 4]>) -> Vec<u8> {
    let from_server = matches!(kind, 2 | 5 | 6);
    let mut message = vec![if from_server { 2 } else { 1 }, 1, 6, 0, 0x39, 0x03, 0xf3, 0x26, 0, 0, 0, 0];
    message.extend([0; 4]); // the client's own address
    message.extend(address.filter(|_| from_server).unwrap_or_default());
    message.extend([0; 8]);
    message.extend(mac);
    message.extend([0; 10 + 64 + 128]);
    message.extend([99, 130, 83, 99, 53, 1, kind]);
    if from_server {
        message.extend([54, 4, 192, 168, 1, 1, 51, 4, 0, 0, 0x0e, 0x10]);
    } else {
        message.extend([12, u8::try_from(hostname.len()).unwrap()]);
        message.extend(hostname.as_bytes());
        message.extend([60, 15]);
        message.extend(b"android-dhcp-14");
        message.extend([55, 6, 1, 3, 6, 15, 26, 28]);
        if let Some(address) = address {
            message.extend([50, 4]);
            message.extend(address);
        }
    }
    message.push(255);
    message
}

/// The IPv4 packet cut into fragments of at most `size` bytes of payload (a multiple of 8).
pub(crate) fn fragments(packet: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (header, payload) = Ipv4Header::from_slice(packet).unwrap();
    let count = payload.len().div_ceil(size);
    let piece = |(index, bytes): (usize, &[u8])| {
        let mut header = header.clone();
        header.identification = 77;
        header.dont_fragment = false;
        header.more_fragments = index + 1 < count;
        header.fragment_offset = IpFragOffset::try_new(u16::try_from(index * size / 8).unwrap()).unwrap();
        header.set_payload_len(bytes.len()).unwrap();
        header.header_checksum = header.calc_header_checksum();
        [&header.to_bytes()[..], bytes].concat()
    };
    payload.chunks(size).enumerate().map(piece).collect()
}

/// The IPv6 packet as two fragments (RFC 8200, 4.5), the first with `first` bytes of payload (a multiple of 8).
pub(crate) fn fragments_v6(packet: &[u8], first: usize) -> [Vec<u8>; 2] {
    let (header, payload) = packet.split_at(40);
    let (one, two) = payload.split_at(first);
    let piece = |bytes: &[u8], offset: usize, more: u16| {
        let mut header = header.to_vec();
        let next = std::mem::replace(&mut header[6], 44);
        header[4..6].copy_from_slice(&u16::try_from(bytes.len() + 8).unwrap().to_be_bytes());
        let place = u16::try_from(offset).unwrap() | more;
        [&header[..], &[next, 0], &place.to_be_bytes(), &[0, 0, 0, 77], bytes].concat()
    };
    [piece(one, 0, 1), piece(two, first, 0)]
}

/// One TCP connection between a client and a server, each packet with whether the client sent it.
pub(crate) struct Talk {
    client: SocketAddr,
    server: SocketAddr,
    sent: [u32; 2],
    pub(crate) packets: Vec<(bool, Vec<u8>)>,
}

impl Talk {
    /// The three packets of an opening.
    pub(crate) fn open(client: SocketAddr, server: SocketAddr) -> Self {
        let mut talk = Self { client, server, sent: [1_000, 9_000], packets: Vec::new() };
        talk.say(true, SYN, &[]);
        talk.say(false, SYN_ACK, &[]);
        talk.sent = [1_001, 9_001];
        talk.say(true, ACK, &[]);
        talk
    }

    /// One segment.
    pub(crate) fn say(&mut self, up: bool, flags: u8, payload: &[u8]) -> &mut Self {
        let sent = self.sent[usize::from(!up)];
        self.piece(up, sent, flags, payload);
        self.sent[usize::from(!up)] = sent.wrapping_add(u32::try_from(payload.len()).unwrap());
        self
    }

    /// A segment of the client at this offset of what it says, out of turn.
    pub(crate) fn out_of_turn(&mut self, offset: usize, payload: &[u8]) -> &mut Self {
        let seq = 1_001 + u32::try_from(offset).unwrap();
        self.piece(true, seq, PUSH, payload);
        self
    }

    fn piece(&mut self, up: bool, seq: u32, flags: u8, payload: &[u8]) {
        let (from, to) = if up { (self.client, self.server) } else { (self.server, self.client) };
        self.packets.push((up, tcp(from, to, seq, flags, payload)));
    }

    /// Both sides end it.
    pub(crate) fn close(mut self) -> Vec<(bool, Vec<u8>)> {
        self.say(true, FIN, &[]).say(false, FIN, &[]);
        self.packets
    }
}

/// A name is looked up and a page fetched: the same story for every link layer.
pub(crate) fn page(client: &str, resolver: &str, server: &str, name: &str) -> Vec<(bool, Vec<u8>)> {
    let (client, server) = (|port: u16| SocketAddr::new(client.parse().unwrap(), port), at(server));
    let resolver = SocketAddr::new(resolver.parse().unwrap(), 53);
    let mut packets = vec![
        (true, udp(client(40_000), resolver, &dns(7, name.as_bytes(), if server.is_ipv4() { A } else { AAAA }, None))),
        (false, udp(resolver, client(40_000), &dns_address(7, name, server.ip()))),
    ];
    let mut talk = Talk::open(client(50_000), server);
    talk.say(true, PUSH, &hello(name)).say(false, PUSH, &server_flight()).say(true, ACK, &[]);
    packets.extend(talk.close());
    packets
}

/// How the records of a pcap file are written.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    pub(crate) big: bool,
    pub(crate) nanos: bool,
    pub(crate) snap: usize,
}

pub(crate) const PLAIN: Form = Form { big: false, nanos: false, snap: 262_144 };

/// When captures begin: 2026-01-02T03:04:05Z, in seconds; frames follow each other after 7,654,321 ns.
pub(crate) const BEGIN: u64 = 1_767_323_045;
const STEP: u64 = 7_654_321;

/// A pcap file.
pub(crate) fn pcap(form: Form, linktype: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let times: Vec<u64> = (0_u64..).map(|index| index * STEP).take(frames.len()).collect();
    pcap_at(form, linktype, &times, frames)
}

/// A pcap file as of an access point's interface: what comes twice in a row is sent on a tenth of a millisecond later.
pub(crate) fn pcap_of_access_point(frames: &[Vec<u8>]) -> Vec<u8> {
    let again = |index: usize| index > 0 && frames[index] == frames[index - 1];
    let times: Vec<u64> =
        (0..frames.len()).map(|index| if again(index) { (index as u64 - 1) * STEP + 100_000 } else { index as u64 * STEP }).collect();
    pcap_at(PLAIN, 1, &times, frames)
}

/// A pcap file of frames with their times, in nanoseconds from the beginning.
fn pcap_at(form: Form, linktype: u32, times: &[u64], frames: &[Vec<u8>]) -> Vec<u8> {
    let word = |number: u32| if form.big { number.to_be_bytes() } else { number.to_le_bytes() };
    let half = |number: u16| if form.big { number.to_be_bytes() } else { number.to_le_bytes() };
    let mut out = word(if form.nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 }).to_vec();
    out.extend([half(2), half(4)].concat());
    for number in [0, 0, u32::try_from(form.snap).unwrap(), linktype] {
        out.extend(word(number));
    }
    for (nanos, frame) in times.iter().copied().zip(frames) {
        let fraction = if form.nanos { nanos % 1_000_000_000 } else { nanos % 1_000_000_000 / 1_000 };
        let kept = &frame[..frame.len().min(form.snap)];
        for number in [BEGIN + nanos / 1_000_000_000, fraction, kept.len() as u64, frame.len() as u64] {
            out.extend(word(u32::try_from(number).unwrap()));
        }
        out.extend(kept);
    }
    out
}

/// A little-endian pcapng file (draft-ietf-opsawg-pcapng, 4): interfaces by link type and the power of ten of their clock's ticks,
/// frames by interface.
pub(crate) fn pcapng(interfaces: &[(u16, u8)], frames: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let padded = body.len().next_multiple_of(4);
        let length = u32::try_from(padded + 12).unwrap().to_le_bytes();
        [&kind.to_le_bytes()[..], &length, body, &vec![0; padded - body.len()], &length].concat()
    };
    let mut out = block(0x0a0d_0d0a, &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
    for (linktype, digits) in interfaces {
        out.extend(block(1, &[&linktype.to_le_bytes()[..], &[0; 6], &[9, 0, 1, 0, *digits, 0, 0, 0], &[0; 4]].concat()));
    }
    for (index, (interface, frame)) in (0_u64..).zip(frames) {
        let nanos = BEGIN * 1_000_000_000 + index * STEP;
        let ticks = nanos / 10_u64.pow(9 - u32::from(interfaces[*interface].1));
        let length = u32::try_from(frame.len()).unwrap();
        let (high, low) = (u32::try_from(ticks >> 32).unwrap(), u32::try_from(ticks & 0xffff_ffff).unwrap());
        let numbers = [u32::try_from(*interface).unwrap(), high, low, length, length].map(u32::to_le_bytes).concat();
        out.extend(block(6, &[&numbers[..], frame].concat()));
    }
    out
}
