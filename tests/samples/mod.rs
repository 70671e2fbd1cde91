//! The captures under `pcaps/`: each is one story about one thing, and small enough to be read with any sniffer.

use std::net::{IpAddr, SocketAddr};

use whither::simulate::Plan;

use crate::wire::*;

/// A capture: its file's name under `pcaps/`, and its bytes.
type Sample = (&'static str, Vec<u8>);

/// Every capture that is made here.
pub(crate) fn all() -> Vec<Sample> {
    let mut all = links();
    all.extend(radio());
    all.extend(containers());
    all.extend(names());
    all.extend(sides());
    all.extend(damaged());
    all.extend(simulated());
    all
}

const RESOLVER: &str = "192.168.1.1";
const PHONE_V4: &str = "192.168.1.23";
const SERVER: &str = "192.0.2.10:443";

fn story() -> Vec<(bool, Vec<u8>)> {
    page(PHONE_V4, RESOLVER, SERVER, "www.example.com")
}

fn on_ethernet(packets: Vec<(bool, Vec<u8>)>, phone: [u8; 6]) -> Vec<Vec<u8>> {
    let wrap = |(up, packet): (bool, Vec<u8>)| if up { frame(phone, GATEWAY, &packet) } else { frame(GATEWAY, phone, &packet) };
    packets.into_iter().map(wrap).collect()
}

/// The story in the frames of one link layer.
fn wrapped(link: impl Fn(bool, &[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    story().into_iter().map(|(up, packet)| link(up, &packet)).collect()
}

fn links() -> Vec<Sample> {
    let macs = |up: bool| if up { [GATEWAY, PHONE].concat() } else { [PHONE, GATEWAY].concat() };
    let tagged = |up: bool, tags: &[u8], packet: &[u8]| [&macs(up)[..], tags, &ether_type(packet).to_be_bytes(), packet].concat();
    let mut vlan = wrapped(|up, packet| tagged(up, &[0x81, 0, 0, 7], packet));
    vlan.extend(wrapped(|up, packet| tagged(up, &[0x88, 0xa8, 0, 100, 0x81, 0, 0, 7], packet)));
    vlan.push(tagged(true, &[0x81, 0, 0, 7].repeat(5), &story()[0].1)); // more tags than anybody stacks
    let cooked = |up: bool| [&[0, if up { 0 } else { 4 }, 0, 1, 0, 6][..], &PHONE, &[0, 0]].concat();
    let sll2 = |up: bool, packet: &[u8]| {
        [&ether_type(packet).to_be_bytes()[..], &[0, 0, 0, 0, 0, 3, 0, 1, if up { 0 } else { 4 }, 6], &PHONE, &[0, 0], packet].concat()
    };
    let mut pppoe = vec![ethernet(PHONE, GATEWAY, 0x8864, &[0x11, 0, 0, 9, 0, 8, 0xc0, 0x21, 9, 1, 0, 8, 1, 2, 3, 4])];
    pppoe.extend(wrapped(|up, packet| {
        let length = u16::try_from(packet.len() + 2).unwrap().to_be_bytes();
        [&macs(up)[..], &[0x88, 0x64, 0x11, 0, 0, 9], &length, &[0, 0x21], packet].concat()
    }));
    let nflog = |_: bool, packet: &[u8]| {
        let length = u16::try_from(packet.len() + 4).unwrap().to_le_bytes();
        let padding = packet.len().next_multiple_of(4) - packet.len();
        [&[2, 0, 0, 5][..], &[5, 0, 10, 0, 0, 0, 0, 0], &length, &[9, 0], packet, &vec![0; padding]].concat()
    };
    let big = Form { big: true, ..PLAIN };
    let fine = Form { nanos: true, ..PLAIN };
    vec![
        ("ethernet.pcap", pcap(PLAIN, 1, &wrapped(|up, packet| tagged(up, &[], packet)))),
        ("vlan.pcap", pcap(big, 1, &vlan)),
        ("sll.pcap", pcap(fine, 113, &wrapped(|up, packet| [&cooked(up)[..], &ether_type(packet).to_be_bytes(), packet].concat()))),
        ("sll2.pcap", pcap(Form { big: true, nanos: true, ..PLAIN }, 276, &wrapped(sll2))),
        ("raw-ip.pcap", pcap(PLAIN, 101, &wrapped(|_, packet| packet.to_vec()))),
        ("null.pcap", pcap(PLAIN, 0, &wrapped(|_, packet| [&2_u32.to_le_bytes()[..], packet].concat()))),
        ("nflog.pcap", pcap(PLAIN, 239, &wrapped(nflog))),
        ("pppoe.pcap", pcap(PLAIN, 1, &pppoe)),
    ]
}

/// 802.11 as a monitor sees it: data both ways, with and without QoS, and what cannot be read.
fn radio() -> Vec<Sample> {
    const BSSID: [u8; 6] = [0x02, 0, 0x5e, 0x10, 0, 0xaa];
    let header = |qos: bool, up: bool| {
        let mut out = vec![if qos { 0x88 } else { 0x08 }, if up { 1 } else { 2 }, 0, 0];
        out.extend(if up { [BSSID, PHONE, GATEWAY].concat() } else { [PHONE, BSSID, GATEWAY].concat() });
        out.extend([0x10, 0]);
        out.extend(if qos { &[0, 0][..] } else { &[] });
        out
    };
    let data =
        |up: bool, packet: &[u8]| [&header(!up, up)[..], &[0xaa, 0xaa, 3, 0, 0, 0], &ether_type(packet).to_be_bytes(), packet].concat();
    let beacon = [&[0x80, 0, 0, 0][..], &BROADCAST, &BSSID, &BSSID, &[0; 14]].concat();
    let mut protected = data(true, &story()[0].1);
    protected[1] |= 0x40;
    let mut frames = vec![beacon, protected];
    frames.extend(wrapped(data));
    let radiotap = |frame: &Vec<u8>| [&[0, 0, 12, 0, 0, 0, 0, 0, 1, 2, 3, 4][..], frame].concat();
    let tapped: Vec<_> = frames.iter().map(radiotap).collect();
    vec![("wifi.pcap", pcap(PLAIN, 105, &frames)), ("radiotap.pcap", pcap(PLAIN, 127, &tapped))]
}

/// What holds the frames: compression, sections, a snap length.
fn containers() -> Vec<Sample> {
    let ethernet = on_ethernet(story(), PHONE);
    let raw = page("192.168.7.9", "192.168.7.1", "203.0.113.30:443", "api.example.org");
    let mut mixed: Vec<(usize, Vec<u8>)> = ethernet.iter().map(|frame| (0, frame.clone())).collect();
    mixed.extend(raw.into_iter().map(|(_, packet)| (1, packet)));
    mixed.insert(5, (2, vec![1, 2, 3, 4, 5, 6, 7, 8]));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut gzip, &pcap(Form { nanos: true, ..PLAIN }, 1, &ethernet)).unwrap();
    vec![
        // Ethernet in microseconds, raw IP in nanoseconds, and USB, which nobody can read here.
        ("interfaces.pcapng", pcapng(&[(1, 6), (101, 9), (220, 6)], &mixed)),
        ("gzip.pcap.gz", gzip.finish().unwrap()),
        ("snap.pcap", pcap(Form { snap: 96, ..PLAIN }, 1, &ethernet)),
    ]
}

fn names() -> Vec<Sample> {
    vec![
        ("hello.pcap", pcap(PLAIN, 1, &on_ethernet(hellos(), PHONE))),
        ("http.pcap", pcap(PLAIN, 1, &on_ethernet(requests(), PHONE))),
        ("dns.pcap", pcap(PLAIN, 1, &lookups())),
        ("dhcp.pcap", pcap(PLAIN, 1, &leases())),
        ("access-point.pcap", pcap_of_access_point(&on_an_access_point())),
    ]
}

/// ClientHellos in pieces: each connection has a name of its own that tells how it was cut.
fn hellos() -> Vec<(bool, Vec<u8>)> {
    type Cut = fn(&mut Talk, &[u8]);
    let cuts: [(&str, Cut); 8] = [
        ("in-three.example.com", |talk, hello| {
            let (one, rest) = hello.split_at(3);
            let (two, three) = rest.split_at(rest.len() / 2);
            talk.say(true, PUSH, one).say(true, PUSH, two).say(true, PUSH, three);
        }),
        ("swapped.example.com", |talk, hello| {
            talk.out_of_turn(100, &hello[100..]).out_of_turn(0, &hello[..100]);
        }),
        ("backwards.example.com", |talk, hello| {
            for (index, piece) in hello.chunks(40).enumerate().collect::<Vec<_>>().into_iter().rev() {
                talk.out_of_turn(index * 40, piece);
            }
        }),
        ("overlapping.example.com", |talk, hello| {
            talk.out_of_turn(0, &hello[..120]).out_of_turn(60, &hello[60..200]).out_of_turn(110, &hello[110..]);
        }),
        ("repeated.example.com", |talk, hello| {
            talk.out_of_turn(0, &hello[..90]).out_of_turn(0, &hello[..90]).out_of_turn(90, &hello[90..]).out_of_turn(0, hello);
        }),
        ("byte-by-byte.example.com", |talk, hello| {
            for byte in hello.chunks(1) {
                talk.say(true, PUSH, byte);
            }
        }),
        ("two-records.example.com", |talk, hello| {
            let (one, two) = hello[5..].split_at(70);
            talk.say(true, PUSH, &[record(one), record(two)].concat());
        }),
        ("never-whole.example.com", |talk, hello| {
            talk.say(true, PUSH, &hello[..hello.len() - 20]);
        }),
    ];
    let mut packets = Vec::new();
    for (port, (name, cut)) in (50_001..).zip(cuts) {
        let mut talk = Talk::open(at(&format!("{PHONE_V4}:{port}")), at(SERVER));
        cut(&mut talk, &hello(name));
        talk.say(false, PUSH, &server_flight());
        packets.extend(talk.close());
    }
    packets
}

/// Cleartext requests: a word list pulled, two on one connection, one by proxy, one in pieces, one to an address alone.
fn requests() -> Vec<(bool, Vec<u8>)> {
    let mut packets = Vec::new();
    let mut fetch = |port: u16, server: &str, say: &dyn Fn(&mut Talk)| {
        let mut talk = Talk::open(at(&format!("{PHONE_V4}:{port}")), at(server));
        say(&mut talk);
        packets.extend(talk.close());
    };
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    fetch(51_001, "203.0.113.30:80", &|talk| {
        talk.say(true, PUSH, &request("lists.example.net", "/v1/words?version=-1")).say(false, PUSH, answer);
    });
    fetch(51_002, "203.0.113.30:80", &|talk| {
        talk.say(true, PUSH, &request("one.example.net", "/1")).say(false, PUSH, answer);
        talk.say(true, PUSH, &request("two.example.net", "/2")).say(false, PUSH, answer);
    });
    fetch(51_003, "198.51.100.20:8080", &|talk| {
        talk.say(true, PUSH, b"CONNECT video.example.net:443 HTTP/1.1\r\nHost: video.example.net:443\r\n\r\n").say(false, PUSH, answer);
    });
    fetch(51_004, "203.0.113.30:80", &|talk| {
        for piece in request("pieces.example.net", "/a/b").chunks(11) {
            talk.say(true, PUSH, piece);
        }
    });
    fetch(51_005, "203.0.113.30:80", &|talk| {
        talk.say(true, PUSH, b"POST /up HTTP/1.1\r\nHost: 203.0.113.30\r\nContent-Length: 4\r\n\r\nbody").say(false, PUSH, answer);
    });
    packets
}

/// Questions of two phones and their answers, then flows that only these can name.
fn lookups() -> Vec<Vec<u8>> {
    let ask = |id: u16, name: &[u8], kind: u16| (true, udp(at("192.168.1.23:40001"), at("192.168.1.1:53"), &dns(id, name, kind, None)));
    let answer = |id: u16, name: &[u8], kind: u16, records: &[Record<'_>]| {
        (false, udp(at("192.168.1.1:53"), at("192.168.1.23:40001"), &dns(id, name, kind, Some(records))))
    };
    let (www, cdn) = (&b"www.example.com"[..], &b"www.cdn.example.net"[..]);
    // HTTPS: priority 1, the owner itself, ALPN h3, an IPv4 hint (RFC 9460).
    let service = [&[0, 1, 0][..], &[0, 1, 0, 3, 2], b"h3", &[0, 4, 0, 4, 198, 51, 100, 20]].concat();
    let mut nothing = dns(5, b"nowhere.example.com", A, Some(&[]));
    nothing[3] |= 3;
    let packets = vec![
        ask(1, www, A),
        answer(1, www, A, &[(CNAME, www, labels(cdn)), (A, cdn, vec![198, 51, 100, 20])]),
        ask(2, b"video.example.net", HTTPS),
        answer(2, b"video.example.net", HTTPS, &[(HTTPS, b"video.example.net", service)]),
        ask(3, "žalias.example.org".as_bytes(), AAAA),
        answer(
            3,
            "žalias.example.org".as_bytes(),
            AAAA,
            &[(AAAA, "žalias.example.org".as_bytes(), [&[0x20, 1, 0x0d, 0xb8][..], &[9; 12]].concat())],
        ),
        ask(4, b"\xff\xfe \"quoted\\\x07.example.org", A),
        ask(5, b"nowhere.example.com", A),
        (false, udp(at("192.168.1.1:53"), at("192.168.1.23:40001"), &nothing)),
        // A length that points past the end.
        (false, udp(at("192.168.1.1:53"), at("192.168.1.23:40001"), &dns(6, www, A, Some(&[]))[..20])),
    ];
    let mut frames = on_ethernet(packets, PHONE);
    let group = |port: u16, group: &str, mac: [u8; 6], message: &[u8]| {
        frame(PHONE, mac, &udp(SocketAddr::new(PHONE_V4.parse().unwrap(), port), at(group), message))
    };
    frames.push(group(5353, "224.0.0.251:5353", [1, 0, 0x5e, 0, 0, 0xfb], &dns(0, b"_googlecast._tcp.local", PTR, None)));
    frames.push(group(41_000, "224.0.0.252:5355", [1, 0, 0x5e, 0, 0, 0xfc], &dns(8, b"printer", A, None)));
    let mut stream = Talk::open(at("192.168.1.23:40777"), at("192.168.1.1:53"));
    let question = over_tcp(&dns(9, b"big.example.com", A, None));
    let reply = over_tcp(&dns_address(9, "big.example.com", IpAddr::from([192, 0, 2, 77])));
    stream.say(true, PUSH, &question[..1]).say(true, PUSH, &question[1..]).say(false, PUSH, &reply[..9]).say(false, PUSH, &reply[9..]);
    frames.extend(on_ethernet(stream.close(), PHONE));
    // Nothing in these flows says a name: the first phone asked for two of the three, the second phone for none.
    for (phone, mac) in [("192.168.1.23", PHONE), ("192.168.1.24", OTHER_PHONE)] {
        for (port, server) in [(52_001, "198.51.100.20:443"), (52_002, "192.0.2.77:443"), (52_003, "203.0.113.99:443")] {
            let mut talk = Talk::open(at(&format!("{phone}:{port}")), at(server));
            for _ in 0..12 {
                talk.say(true, PUSH, &[0xee; 40]);
            }
            frames.extend(on_ethernet(talk.close(), mac));
        }
    }
    frames
}

/// A lease: discover, offer, request, acknowledgement; ARP; then a question from the address that was leased.
fn leases() -> Vec<Vec<u8>> {
    let (nobody, all) = (at("0.0.0.0:68"), at("255.255.255.255:67"));
    let (server, phone) = (at("192.168.1.1:67"), at("192.168.1.23:68"));
    let given = Some([192, 168, 1, 23]);
    vec![
        frame(PHONE, BROADCAST, &udp(nobody, all, &dhcp(1, PHONE, "Pixel-8", None))),
        frame(GATEWAY, PHONE, &udp(server, phone, &dhcp(2, PHONE, "", given))),
        frame(PHONE, BROADCAST, &udp(nobody, all, &dhcp(3, PHONE, "Pixel-8", given))),
        frame(GATEWAY, PHONE, &udp(server, phone, &dhcp(5, PHONE, "", given))),
        ethernet(PHONE, BROADCAST, 0x0806, &arp(1, (PHONE, [192, 168, 1, 23]), ([0; 6], [192, 168, 1, 1]))),
        ethernet(GATEWAY, PHONE, 0x0806, &arp(2, (GATEWAY, [192, 168, 1, 1]), (PHONE, [192, 168, 1, 23]))),
        // The exchange that an access point's software sends in the name of a station that joined.
        [&BROADCAST[..], &PHONE, &[0, 6, 0, 1, 0xaf, 0x81, 1, 2]].concat(),
        frame(PHONE, GATEWAY, &udp(at("192.168.1.23:40000"), at("192.168.1.1:53"), &dns(1, b"example.com", A, None))),
    ]
}

/// The same on an access point's own interface: what its station sends to everybody comes twice. And what another station sends to
/// it, once; a join at another access point of the bridge.
fn on_an_access_point() -> Vec<Vec<u8>> {
    let mut frames = leases();
    let join = frames.remove(6);
    frames.insert(0, join);
    frames.push([&BROADCAST[..], &OTHER_PHONE, &[0, 6, 0, 1, 0xaf, 0x81, 1, 0]].concat());
    frames.push(frame(OTHER_PHONE, PHONE, &udp(at("192.168.1.24:5000"), at("192.168.1.23:5000"), b"hello")));
    // The frame that marks a join is the access point's own.
    let again = |frame: &Vec<u8>| if frame[..6] == BROADCAST && frame[12..14] != [0, 6] { 2 } else { 1 };
    frames.into_iter().flat_map(|frame| vec![frame.clone(); again(&frame)]).collect()
}

/// Whose side is whose.
fn sides() -> Vec<Sample> {
    const GLOBAL: &str = "2001:db8:77::23";
    const LOCAL: &str = "fe80::3e5a:b4ff:fe00:1";
    const ROUTER: &str = "fe80::1";
    let v6 = || page(GLOBAL, "2001:db8:77::1", "[2001:db8:ff::30]:443", "api.example.org");
    let all_nodes = [0x33, 0x33, 0, 0, 0, 1];
    let solicited = [0x33, 0x33, 0xff, 0, 0, 0x23];
    let target = |address: &str| [&[0; 4][..], &address.parse::<std::net::Ipv6Addr>().unwrap().octets()].concat();

    let mut announced = vec![
        frame(GATEWAY, all_nodes, &advertisement(ROUTER, "2001:db8:77::")),
        frame(PHONE, solicited, &neighbour("::", "ff02::1:ff00:23", 135, &target(GLOBAL))),
        frame(PHONE, GATEWAY, &neighbour(LOCAL, ROUTER, 136, &target(GLOBAL))),
        frame(PHONE, [0x33, 0x33, 0xff, 0, 0, 1], &neighbour(GLOBAL, "ff02::1:ff00:1", 135, &target("2001:db8:77::1"))),
        frame(GATEWAY, PHONE, &neighbour("2001:db8:77::1", GLOBAL, 136, &target("2001:db8:77::1"))),
    ];
    announced.extend(on_ethernet(v6(), PHONE));
    // Somebody outside speaks first.
    let knock = tcp(at("[2001:db8:eeee::66]:61000"), at("[2001:db8:77::23]:22"), 1, SYN, &[]);
    announced.push(frame(GATEWAY, PHONE, &knock));

    // No advertisement was captured: the phone opens conversations from a public address, and a neighbour asks for its own.
    let public = on_ethernet(v6(), PHONE);
    let foreign = page("203.0.113.7", "192.0.2.53", "198.51.100.20:443", "video.example.net");

    let large = dns(
        3,
        b"fragments.example.com",
        A,
        Some(&(1..30).map(|last| (A, &b"fragments.example.com"[..], vec![198, 51, 100, last])).collect::<Vec<_>>()),
    );
    let answer = udp(at("192.168.1.1:53"), at("192.168.1.23:40001"), &large);
    let mut pieces: Vec<Vec<u8>> = fragments(&answer, 400).iter().map(|piece| frame(GATEWAY, PHONE, piece)).collect();
    let answer = udp(at("[fd00:77::1]:53"), at("[fd00:77::23]:40001"), &large);
    pieces.extend(fragments_v6(&answer, 400).iter().map(|piece| frame(GATEWAY, PHONE, piece)));
    pieces.extend(
        fragments(&udp(at("192.168.1.23:40002"), at("203.0.113.30:9999"), &[1; 900]), 304).iter().map(|piece| frame(PHONE, GATEWAY, piece)),
    );

    let router = [0x02, 0, 0x5e, 0x10, 0, 0x02];
    let mut routed: Vec<Vec<u8>> = Vec::new();
    for (phone, server, name) in [("192.168.1.23", SERVER, "www.example.com"), ("192.168.1.24", "198.51.100.20:443", "video.example.net")] {
        routed.extend(on_ethernet(page(phone, "192.0.2.53", server, name), router));
    }
    let beyond = page("203.0.113.200", "192.0.2.53", SERVER, "www.example.com").into_iter().map(|(_, packet)| packet).collect::<Vec<_>>();
    let mut near =
        on_ethernet(Vec::from([(true, udp(at("192.168.1.23:1900"), at("239.255.255.250:1900"), b"M-SEARCH * HTTP/1.1\r\n\r\n"))]), PHONE);
    near[0][..6].copy_from_slice(&[1, 0, 0x5e, 0x7f, 0xff, 0xfa]);
    let mut talk = Talk::open(at("192.168.1.23:60000"), at("192.168.1.24:8009"));
    talk.say(true, PUSH, b"cast").say(false, PUSH, b"done");
    near.extend(
        talk.close()
            .into_iter()
            .map(|(up, packet)| if up { frame(PHONE, OTHER_PHONE, &packet) } else { frame(OTHER_PHONE, PHONE, &packet) }),
    );
    near.push(frame(PHONE, BROADCAST, &udp(at("192.168.1.23:137"), at("192.168.1.255:137"), &[0; 50])));
    vec![
        ("ipv6-announced.pcap", pcap(PLAIN, 1, &announced)),
        ("ipv6-public.pcap", pcap(PLAIN, 1, &public)),
        ("ipv4-public.pcap", pcap(PLAIN, 1, &on_ethernet(foreign, PHONE))),
        ("fragments.pcap", pcap(PLAIN, 1, &pieces)),
        ("behind-router.pcap", pcap(PLAIN, 1, &routed)),
        ("beyond-nat.pcap", pcap(PLAIN, 101, &beyond)),
        ("near.pcap", pcap(PLAIN, 1, &near)),
    ]
}

/// Frames that cannot be read, among some that can.
fn damaged() -> Vec<Sample> {
    let whole = on_ethernet(story(), PHONE);
    let mut frames = vec![
        vec![],
        vec![0; 3],
        ethernet(PHONE, GATEWAY, 0x0800, &[0x4f, 0, 0, 20]),
        ethernet(PHONE, GATEWAY, 0x0800, &[0x65; 40]),
        ethernet(PHONE, GATEWAY, 0x88cc, &[1, 2, 3]),
    ];
    let mut lying = whole[0].clone();
    lying[17] = 0xff; // a total length past the end
    frames.push(lying);
    let mut short = whole[0].clone();
    short[38..40].copy_from_slice(&[0, 1]); // a UDP length below its own header
    frames.push(short);
    frames.extend(whole);
    vec![("damaged.pcap", pcap(PLAIN, 1, &frames))]
}

/// Of the simulated lab run, whose ClientHellos a TLS library made and whose QUIC Initials can be opened: how a phone joins, and the
/// first conversations over QUIC.
fn simulated() -> Vec<Sample> {
    let mut run = Vec::new();
    whither::simulate::write(&Plan { hours: 3, ..Plan::default() }, &mut run).unwrap();
    let (head, mut rest) = run.split_at(24);
    let (mut joining, mut quic) = (head.to_vec(), head.to_vec());
    while let Some(kept) = rest.get(8..12) {
        let (record, after) = rest.split_at(16 + u32::from_le_bytes(kept.try_into().unwrap()) as usize);
        rest = after;
        let is_quic = matches!(record[16 + 12..], [8, 0, ..])
            && record[16 + 23] == 17
            && record[16 + 34..][..4].chunks(2).any(|port| port == [1, 187]);
        for (to, wanted) in [(&mut joining, true), (&mut quic, is_quic)] {
            if wanted && to.len() < 45_000 {
                to.extend(record);
            }
        }
    }
    vec![("phones.pcap", joining), ("quic.pcap", quic)]
}
