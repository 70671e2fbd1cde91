//! Makes `seeds/`: small inputs for each target, from a simulated hour and from code. No copied captures.

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use whither::capture::file::{File, Item};
use whither::packet::{Body, Frame, Packet, TCP, UDP};
use whither::simulate::{self, Plan};
use whither_fuzz::LINKS;
use whither_fuzz::script::{DATAGRAM, FRAME, INITIAL, OTHER, SEGMENT, SNAPSHOT, TELL, WAIT, step};

fn main() {
    let mut capture = Vec::new();
    simulate::write(&Plan { hours: 1, ..Plan::default() }, &mut capture).expect("to memory");
    let mut seeds = Seeds::default();
    from_frames(&capture, &mut seeds);
    captures(&capture, &mut seeds);
    tunnels(&mut seeds);
    identities(&mut seeds);
    texts(&mut seeds);
    engine(&mut seeds);
    files(&mut seeds);
    println!("{} files, {} bytes", seeds.files, seeds.bytes);
}

#[derive(Default)]
struct Seeds {
    files: usize,
    bytes: usize,
}

impl Seeds {
    fn put(&mut self, target: &str, name: &str, bytes: &[u8]) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(name), bytes).expect("a seed");
        self.files += 1;
        self.bytes += bytes.len();
    }

    /// The beginning of a stream, cut once late and once in its middle.
    fn stream(&mut self, target: &str, name: &str, bytes: &[u8]) {
        for (cut, part) in [(u16::MAX, "whole"), (u16::try_from(bytes.len() / 2).expect("short"), "cut")] {
            self.put(target, &format!("{name}-{part}"), &[&cut.to_le_bytes()[..], bytes].concat());
        }
    }
}

/// Of each protocol a few payloads of different lengths.
fn from_frames(capture: &[u8], seeds: &mut Seeds) {
    let mut seen: Vec<(&str, usize)> = Vec::new();
    let mut script = Vec::new();
    let mut file = File::from_reader(Cursor::new(capture.to_vec())).expect("a capture");
    file.read(&mut |item| {
        let Item::Frame(frame) = item else { return };
        let Ok(packet) = Packet::decode(&frame) else { return };
        if script.len() < 12_000 {
            script.extend(step(FRAME, 5, frame.data));
        }
        let Body::Ip(datagram) = packet.body else { return };
        let ports = [datagram.source.port(), datagram.target.port()];
        let payload = datagram.payload;
        let target = match datagram.protocol {
            _ if payload.is_empty() => return,
            UDP if ports.contains(&53) || ports.contains(&5353) => "dns",
            UDP if ports.contains(&67) => "dhcp",
            UDP if payload.len() >= 1_200 => "quic",
            TCP if payload.starts_with(&[0x16, 3]) && payload.get(5) == Some(&1) => "tls",
            TCP if payload.starts_with(&[0x16, 3]) => "certificate",
            TCP if payload.starts_with(b"GET ") || payload.starts_with(b"POST ") => "http",
            _ => return,
        };
        let room = if target == "dns" { 24 } else { 6 };
        if seen.contains(&(target, payload.len())) || seen.iter().filter(|(other, _)| *other == target).count() >= room {
            return;
        }
        seen.push((target, payload.len()));
        let name = format!("simulated-{}", payload.len());
        match datagram.protocol {
            TCP => seeds.stream(target, &name, payload),
            _ => seeds.put(target, &name, payload),
        }
        if target == "dns" && payload.len() < 300 {
            let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
            seeds.stream(target, &format!("tcp-{}", payload.len()), &[&length, payload].concat());
        }
        if seen.len() <= 3 {
            packets(&frame, payload.len(), seeds);
        }
    })
    .expect("all of it");
    seeds.put("engine", "simulated", &[script, step(SNAPSHOT, 0, &[])].concat());
}

/// The same frame in the link layers that take an IP packet behind a few bytes.
fn packets(frame: &Frame<'_>, length: usize, seeds: &mut Seeds) {
    if frame.data.len() > 400 {
        return;
    }
    let (ether_type, ip) = frame.data[12..].split_at(2);
    let family = if ip[0] >> 4 == 4 { 2_u32 } else { 10 };
    let mut tlv = vec![u8::try_from(family).expect("small"), 0, 0, 0];
    tlv.extend(u16::try_from(ip.len() + 4).expect("short").to_le_bytes());
    tlv.extend([9, 0]);
    let wlan = [&[0x88, 1, 0, 0][..], &[2; 18], &[0; 4], &[0xaa, 0xaa, 3, 0, 0, 0], ether_type, ip].concat();
    let layers: [Vec<u8>; 10] = [
        frame.data.to_vec(),
        ip.to_vec(),
        [&family.to_le_bytes()[..], ip].concat(),
        [&[0; 14][..], ether_type, ip].concat(),
        [ether_type, &[0; 18], ip].concat(),
        [&[0xff, 3, 0, if family == 2 { 0x21 } else { 0x57 }][..], ip].concat(),
        wlan.clone(),
        [&[0, 0, 8, 0, 0, 0, 0, 0][..], &wlan].concat(),
        [&[0x0f, 0][..], ether_type, ip].concat(),
        [&tlv[..], ip].concat(),
    ];
    assert_eq!(layers.len(), LINKS.len());
    for (link, bytes) in layers.iter().enumerate() {
        seeds.put("packet", &format!("{length}-{link}"), &[&[u8::try_from(link).expect("few")], &bytes[..]].concat());
    }
    let vlan = [&[0], &frame.data[..12], &[0x81, 0, 0, 7], &frame.data[12..]].concat();
    seeds.put("packet", &format!("{length}-vlan"), &vlan);
}

/// What devices say of themselves by DHCPv6 and SSDP; the simulated phones do neither.
fn identities(seeds: &mut Seeds) {
    let option =
        |code: u16, value: &[u8]| [&code.to_be_bytes()[..], &u16::try_from(value.len()).expect("short").to_be_bytes(), value].concat();
    let address = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
    let given = option(5, &[&address[..], &[0, 0, 0, 9, 0, 0, 0, 9]].concat());
    let prefix = option(26, &[&[0, 0, 0, 9, 0, 0, 0, 9, 56][..], &address].concat());
    let client = option(1, &[0, 1, 0, 1, 0x2a, 0x2b, 0x2c, 0x2d, 2, 0, 0, 0, 0, 7]);
    let class = option(16, b"\x00\x00\x01\x37\x00\x08MSFT 5.0");
    let wish = option(3, &[&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0][..], &given].concat());
    let asked = [client.clone(), option(6, &[0, 23, 0, 24, 0, 39]), class, option(39, b"\x01\x05phone\x07example\x00"), wish.clone()];
    let solicit = [&[1, 1, 2, 3][..], &asked.concat()].concat();
    let delegated = option(25, &[&[0; 12][..], &prefix].concat());
    let reply = [&[7, 1, 2, 3][..], &[client, wish, delegated, option(23, &[address, address].concat())].concat()].concat();
    let relayed = [&[12, 0][..], &[0; 32], &option(18, b"port"), &option(9, &solicit)].concat();
    for (name, bytes) in [("solicit", solicit), ("reply", reply), ("relayed", relayed)] {
        seeds.put("dhcp6", name, &bytes);
    }
    let notify = "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nLOCATION: http://192.0.2.7:80/d.xml\r\nNT: upnp:rootdevice\r\n\
        NTS: ssdp:alive\r\nSERVER: Os/1 UPnP/1.1 Box/2\r\nUSN: uuid:7d2f3a10-0000-1000-8000-020000000007::upnp:rootdevice\r\n\r\n";
    let search = "M-SEARCH * HTTP/1.1\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: ssdp:all\r\nUSER-AGENT: Browser/9 Os\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nEXT:\r\nST: ssdp:all\r\nSERVER: Os/1\r\nUSN: uuid:1\r\nLOCATION: http://[fe80::7%251]/d\r\n\r\n";
    for (name, text) in [("notify", notify), ("search", search), ("answer", answer)] {
        seeds.put("ssdp", name, text.as_bytes());
    }
}

/// Files of a few frames: pcap of either byte order, pcapng, compressed.
fn captures(capture: &[u8], seeds: &mut Seeds) {
    let (head, mut rest) = capture.split_at(24);
    let (mut little, mut big) = (head.to_vec(), vec![0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    let block = |kind: u32, body: &[u8]| {
        let body = [body, &[0; 3][..(4 - body.len() % 4) % 4]].concat();
        let length = u32::try_from(body.len() + 12).expect("short").to_le_bytes();
        [&kind.to_le_bytes()[..], &length, &body, &length].concat()
    };
    let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let mut next = [block(0x0a0d_0d0a, &section), block(1, &[1, 0, 0, 0, 0, 0, 4, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0])].concat();
    for _ in 0..5 {
        let (header, after) = rest.split_at(16);
        let length = u32::from_le_bytes(header[8..12].try_into().expect("four"));
        let (data, after) = after.split_at(usize::try_from(length).expect("fits"));
        rest = after;
        little.extend(header.iter().chain(data));
        big.extend(header.chunks(4).flat_map(|field| field.iter().rev()));
        big.extend(data);
        next.extend(block(6, &[&[0; 4][..], &[1, 0, 0, 0, 7, 0, 0, 0], &length.to_le_bytes(), &length.to_le_bytes(), data].concat()));
        next.extend(block(3, &[&length.to_le_bytes()[..], data].concat()));
    }
    let marks: [&[u8]; 3] = [
        b"__REALTIME_TIMESTAMP=1780272000000001\nSYSLOG_IDENTIFIER=whither-mark\nMESSAGE=screen on\nWHITHER_DEVICE=pixel\nWHITHER_PHASE=in-use\n",
        b"MESSAGE\n\x09\0\0\0\0\0\0\0a\nbinary\x1b\n__REALTIME_TIMESTAMP=7\nSYSLOG_IDENTIFIER=whither-mark\nMESSAGE=x\n",
        b"__REALTIME_TIMESTAMP=8\nSYSLOG_IDENTIFIER=cron\nMESSAGE=not a mark\n",
    ];
    let marked = [&next[..], &marks.map(|entry| block(9, entry)).concat(), &next].concat();
    seeds.put("capture", "marks", &marked);
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    gz.write_all(&little).expect("to memory");
    seeds.put("capture", "gz", &gz.finish().expect("to memory"));
    for (name, bytes) in [("pcap", little), ("pcap-big", big), ("pcapng", next)] {
        seeds.put("capture", name, &bytes);
        seeds.put("capture", &format!("{name}-cut"), &bytes[..bytes.len() - 5]);
    }
}

/// `count` bytes that look random.
fn random(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = std::iter::from_fn(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        Some(state.to_be_bytes()[1])
    });
    next.take(count).collect()
}

fn tunnels(seeds: &mut Seeds) {
    let mut wireguard = [&[1, 0, 0, 0][..], &random(128), &[0; 16]].concat();
    wireguard[39] &= 0x7f;
    let replay = [0, 0, 0, 1, 0x69, 0, 0, 7];
    let openvpn = [&[0x38][..], &random(8), &[0; 5]].concat();
    let crypt = [&[0x38][..], &random(8), &replay, &random(37)].concat();
    let wrapped = [&[0x50][..], &random(8), &replay, &random(37), &random(288), &[1, 34]].concat();
    let auth = [&[0x40][..], &random(8), &random(20), &replay, &[1, 0, 0, 0, 0], &random(8), &[0; 4]].concat();
    let ike = [&random(8)[..], &[0; 8], &[33, 0x20, 34, 8, 0, 0, 0, 0, 0, 0, 0, 48, 0, 0, 0, 20], &[1; 16]].concat();
    let l2tp = [0xc8, 2, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 8, 0, 0, 0, 0, 0, 1];
    let name = b"\0\0\0\x14\0\x12\0\0\x0fvpn.example.com";
    let body = [&[0xfe, 0xfd][..], &random(32), &[0, 0, 0, 2, 0xc0, 0x2b, 1, 0, 0, 24], name].concat();
    let [high, low] = u16::try_from(body.len()).expect("short").to_be_bytes();
    let [record, record_low] = u16::try_from(body.len() + 12).expect("short").to_be_bytes();
    let head = [22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, record, record_low, 1, 0, high, low, 0, 0, 0, 0, 0, 0, high, low];
    let dtls = [&head[..], &body].concat();
    let natted = [&[0; 4][..], &ike].concat();
    for (name, bytes) in [("wireguard", &wireguard[..]), ("ike", &ike), ("ike-nat", &natted), ("l2tp", &l2tp), ("dtls", &dtls)] {
        seeds.put("tunnel", name, bytes);
    }
    for (name, bytes) in [("plain", openvpn), ("crypt", crypt), ("crypt-v2", wrapped), ("auth", auth)] {
        seeds.put("tunnel", &format!("openvpn-{name}"), &bytes);
        let length = u16::try_from(bytes.len()).expect("short").to_be_bytes();
        seeds.stream("tunnel", &format!("openvpn-tcp-{name}"), &[&length[..], &bytes].concat());
    }
    seeds.stream("tunnel", "pptp", &[&[0, 156, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1][..], &[0; 146]].concat());
    seeds.stream("tunnel", "ike-tcp", &[b"IKETCP\0\x36", &natted[..]].concat());
    flights(seeds);
}

/// A TLS 1.2 server's flight with a certificate.
fn flights(seeds: &mut Seeds) {
    let element = |tag: u8, content: &[u8]| match content.len() {
        0..128 => [&[tag, u8::try_from(content.len()).expect("short")], content].concat(),
        length => [&[tag, 0x82][..], &u16::try_from(length).expect("short").to_be_bytes(), content].concat(),
    };
    let sequence = |parts: &[Vec<u8>]| element(0x30, &parts.concat());
    let party = |name: &str| sequence(&[element(0x31, &sequence(&[element(6, &[0x55, 4, 3]), element(0x0c, name.as_bytes())]))]);
    let names: Vec<_> = ["www.example.com", "*.example.com"].iter().map(|name| element(0x82, name.as_bytes())).collect();
    let extensions = sequence(&[sequence(&[element(6, &[0x55, 0x1d, 17]), element(4, &sequence(&names))])]);
    let algorithm = sequence(&[element(6, &[0x2a, 3]), element(5, &[])]);
    for (name, subject, extensions) in
        [("names", "www.example.com", &extensions[..]), ("tor", "www.w6s7xfhx2jb4.net", &[]), ("device", "Example Device", &[])]
    {
        let body = [
            element(0xa0, &element(2, &[2])),
            element(2, &[7]),
            algorithm.clone(),
            party("www.5kyuyxzktd2.com"),
            sequence(&[element(0x17, b"2601010000Z"), element(0x17, b"2701010000Z")]),
            party(subject),
            sequence(&[algorithm.clone(), element(3, &[0; 9])]),
            element(0xa3, extensions),
        ];
        let certificate = sequence(&[sequence(&body), algorithm.clone(), element(3, &[0; 9])]);
        let behind = |bytes: &[u8]| [&u32::try_from(bytes.len()).expect("short").to_be_bytes()[1..], bytes].concat();
        let hello = behind(&[&[3, 3][..], &[7; 32], &[0, 0xc0, 0x2f, 0]].concat());
        let flight = [&[2][..], &hello, &[11], &behind(&behind(&behind(&certificate)[..]))].concat();
        for size in [50, 16_384] {
            let record = |data: &[u8]| [&[22, 3, 3][..], &u16::try_from(data.len()).expect("short").to_be_bytes(), data].concat();
            seeds.stream("certificate", &format!("{name}-{size}"), &flight.chunks(size).flat_map(record).collect::<Vec<_>>());
        }
    }
}

fn texts(seeds: &mut Seeds) {
    let hello = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03";
    for (name, text) in [
        ("smtp", &b"EHLO [192.0.2.7]\r\nSTARTTLS\r\n"[..]),
        ("imap", b". CAPABILITY\r\n. STARTTLS\r\n"),
        ("server", b"220 gr\xc3\xbcezi\r\n250-STARTTLS\r\n220 go on\r\n"),
        ("xmpp", b"<stream:stream to='example.com'><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
    ] {
        seeds.stream("starttls", name, &[text, hello].concat());
    }
    for (name, text) in [
        ("get", "GET /a?b=c HTTP/1.1\r\nHost: www.example.com:8080\r\nUser-Agent: Example/1.0 (x)\r\n\r\n"),
        ("connect", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"),
        ("absolute", "GET http://[2001:db8::1]:80/x HTTP/1.0\r\nHost : example.net\r\n folded: 1\r\n\r\n"),
        ("lines", "\r\n\r\nPOST * HTTP/1.1\nhost:example.org.\nX:\0\n\nbody"),
    ] {
        seeds.stream("http", name, text.as_bytes());
    }
    let all = "geoip = ['a.mmdb']\nlocal-net = ['203.0.113.0/24', '2001:db8::/48']\nby-address = true\nevents = '-'\nsensor = 'roof'\n\
               filter = 'tcp'\nlisten = '[::1]:9843'\nsnaplen = 4096\nbuffer = 64\n";
    seeds.put("config", "all", all.as_bytes());
    seeds.put("config", "unknown", b"sensr = 1\n[table]\nx = 2026-01-01T00:00:00Z\n");
}

/// Scripts that reach what the simulation does not: a flow in pieces, a name that comes late, tables that are full, ends that move.
fn engine(seeds: &mut Seeds) {
    let request = b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n";
    let segment = |who: u8, ports: u8, flags: u8, seq: u16, payload: &[u8]| {
        step(SEGMENT, 20, &[&[who, ports, flags][..], &seq.to_le_bytes(), payload].concat())
    };
    let answer =
        b"\0\x07\x81\x80\0\x01\0\x01\0\0\0\0\x03www\x07example\x03com\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc6\x33\x64\x01";
    let mut pieces = [segment(0x20, 1, 2, 0, b""), segment(0x28, 1, 0x12, 0, b""), segment(0x20, 1, 0x10, 1, b"")].concat();
    pieces.extend(segment(0x20, 1, 0x18, 11, &request[10..]));
    pieces.extend(step(SNAPSHOT, 0, &[]));
    pieces.extend(segment(0x20, 1, 0x18, 1, &request[..20]));
    pieces
        .extend([segment(0x28, 1, 0x18, 1, b"HTTP/1.1 200 OK\r\n\r\n"), segment(0x20, 1, 0x11, 42, b""), step(SNAPSHOT, 0, &[])].concat());
    seeds.put("engine", "pieces", &pieces);

    let mut late = segment(0x20, 0, 2, 0, b"");
    late.extend(step(DATAGRAM, 1, &[&[0x48, 2][..], answer].concat()));
    late.extend(
        [segment(0x20, 0, 0x18, 1, b"\x16\x03\x01"), step(TELL | 31 << 3, 0, &[]), step(WAIT, 90, &[]), step(TELL, 0, &[])].concat(),
    );
    late.extend(step(SNAPSHOT, 0, &[]));
    seeds.put("engine", "late", &late);

    let mut full: Vec<u8> = Vec::new();
    for index in 0..40_u8 {
        full.extend(segment(index << 5 | index & 7, index & 0x1f, 0x18, 1, b"\x16\x03\x01\x02\0\x01"));
        full.extend(step(DATAGRAM, 3, &[&[index << 5 | 0x10 | index & 7, 6][..], b"x"].concat()));
        if index % 8 == 0 {
            full.extend(step(SNAPSHOT, 0, &[]));
        }
    }
    seeds.put("engine", "full", &full);

    let crypto =
        [&[6, 0, 0x40, 90, 1, 0, 0, 86, 3, 3][..], &[7; 32], b"\0\0\x02\x13\x01\x01\0\0\x2b\0\0\0\x14\0\x12\0\0\x0fwww.example.com"]
            .concat();
    let mut other = step(INITIAL, 0, &[&[0x21, 0][..], &crypto].concat());
    other.extend(step(
        OTHER,
        0,
        &[&[1][..], &[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 168, 1, 11, 0, 0, 0, 0, 0, 0, 192, 168, 1, 1]].concat(),
    ));
    other.extend(step(OTHER | 1 << 3, 0, &[&[8][..], &[134, 0, 0, 0, 64, 0, 7, 8], &[0; 8]].concat()));
    other.extend(step(OTHER | 2 << 3, 0, &[&[2][..], &[0x88, 0x8e, 1, 2, 3]].concat()));
    other.extend([1, 2, 3, 4, 6, 7, 8, 10].map(|what| step(TELL | what << 3, 0, &[])).concat());
    other.extend([step(INITIAL, 9, &[&[0x21, 0][..], &crypto[..30]].concat()), step(SNAPSHOT, 0, &[])].concat());
    seeds.put("engine", "other", &other);

    // A flow, and a clock that goes wrong between its packets.
    let mut times = [segment(0x20, 1, 2, 0, b""), segment(0x28, 1, 0x12, 0, b"")].concat();
    for wrong in 1..=5 {
        times.extend([step(WAIT | wrong << 3, 600, &[]), segment(0x20, 1, 0x18, 1, &request[..20]), step(SNAPSHOT, 0, &[])].concat());
        times.extend([segment(0x28, 1, 0x10, 1, b""), step(TELL, 0, &[]), step(TELL | 5 << 3, 0, &[])].concat());
    }
    seeds.put("engine", "times", &times);
}

/// Files that a person gives, and requests for the pages.
fn files(seeds: &mut Seeds) {
    for (name, bytes) in
        [("country", &include_bytes!("../../geoip/lab-country.mmdb")[..]), ("asn", include_bytes!("../../geoip/lab-asn.mmdb"))]
    {
        seeds.put("geoip", name, &[&[198, 51, 100, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], bytes].concat());
    }
    for (name, text) in [
        ("hosts", "# a hosts file\n127.0.0.1 localhost\n0.0.0.0 ads.example.com track.example.net # both\n::1 x.example\n"),
        ("adblock", "! title\n||example.com^\n@@||good.example.com^\n||example.org^$third-party\nexample.net##.ad\n"),
        ("own", "*.example.com\tVendor\ttelemetry\tSG\ttrue\tnote\nfoo.example\t-\tconfig\t-\tfalse\t-\n"),
        ("prefixes", "198.51.100.0/24\n2001:db8::/32\n192.0.2.1\n*.example.\n"),
    ] {
        seeds.put("watchlist", name, text.as_bytes());
    }
    seeds.put(
        "web",
        "all",
        b"tls_server_config:\n  cert_file: c.pem\n  key_file: k.pem\n  min_version: TLS12\n  client_auth_type: NoClientCert\n\
          http_server_config:\n  headers:\n    X-Frame-Options: deny\n",
    );
    seeds.put("web", "users", b"basic_auth_users:\n  ann: $2b$08$abcdefghijklmnopqrstuubAvJmxpQuyV3jn7x.SUSPxe.DearCPe\n  bob: &a [*a]\n");
    for (name, text) in [
        ("get", "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip;q=0.5, br\r\n\r\n"),
        ("query", "GET /api/v1/contacts?device=%30%3&x HTTP/1.0\r\n\r\n"),
        ("events", "GET /api/v1/events?limit=9&after=0f-1&action=device&device=%C4%8D HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("evidence", "GET /api/v1/evidence?device=a&destination=b&asn=1&flows=2 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("known", "GET /assets/app.js HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: W/\"x\", *\r\n\r\n"),
        ("head", "HEAD http://[::1]:1/api/v1/devices HTTP/1.1\r\nHost: [::1]:1\r\n\r\n"),
        ("chunked", "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
        ("two", "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /-/ready HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic YTpi\r\n\r\n"),
        ("h2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ] {
        seeds.put("pages", name, text.as_bytes());
    }
}
