//! Messages for the tests of this folder, built byte by byte.

/// `\x03www\x07example\x00` from `www.example`.
pub(super) fn wire(dotted: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in dotted.split('.').filter(|label| !label.is_empty()) {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out
}

/// A pointer.
pub(super) fn pointer(offset: usize) -> Vec<u8> {
    (0xc000 | u16::try_from(offset).unwrap()).to_be_bytes().to_vec()
}

/// A question.
pub(super) fn question(name: &[u8], qtype: u16, class: u16) -> Vec<u8> {
    [name, &qtype.to_be_bytes(), &class.to_be_bytes()].concat()
}

/// A record.
pub(super) fn record(owner: &[u8], rtype: u16, class: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    [owner, &rtype.to_be_bytes(), &class.to_be_bytes(), &ttl.to_be_bytes(), &length, data].concat()
}

/// A message of four sections.
pub(super) fn message(flags: u16, sections: [&[Vec<u8>]; 4]) -> Vec<u8> {
    let mut out = [0x12, 0x34].to_vec();
    out.extend_from_slice(&flags.to_be_bytes());
    for section in sections {
        out.extend_from_slice(&u16::try_from(section.len()).unwrap().to_be_bytes());
    }
    sections.into_iter().flatten().for_each(|part| out.extend_from_slice(part));
    out
}

pub(super) const QUERY: u16 = 0x0100;
pub(super) const REPLY: u16 = 0x8180;
pub(super) const MDNS_REPLY: u16 = 0x8400;

/// An OPT of 1232 bytes with the DO bit.
pub(super) fn opt() -> Vec<u8> {
    record(&[0], 41, 1232, 0x8000, &[])
}

/// A phone asks with EDNS; mixed case as with 0x20.
pub(super) fn query(name: &str, qtype: u16) -> Vec<u8> {
    message(QUERY, [&[question(&wire(name), qtype, 1)], &[], &[], &[opt()]])
}

/// `www.example.com` is an alias of `edge.example.net`, which has an address of either kind; one server, with its address.
pub(super) fn reply() -> Vec<u8> {
    let asked = question(&wire("www.example.com"), 1, 1); // the name is at 12, example.com at 16, com at 24
    let cname = record(&pointer(12), 5, 1, 300, &wire("edge.example.net")); // its data is at 45
    let a = record(&pointer(45), 1, 1, 60, &[192, 0, 2, 7]);
    let aaaa = record(&pointer(45), 28, 1, 0x8000_0001, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    let ns = record(&pointer(50), 2, 1, 60, &[b"\x02ns", &pointer(50)[..]].concat());
    let glue = record(&wire("ns.example.net"), 1, 1, 60, &[192, 0, 2, 53]);
    message(REPLY, [&[asked], &[cname, a, aaaa], &[ns], &[glue, opt()]])
}

/// A list of two ECH configurations: one of an unknown version, and one of this version with a public name (RFC 9849, 4).
pub(crate) fn configurations(public_name: &str) -> Vec<u8> {
    let short = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let name = [&[0, u8::try_from(public_name.len()).unwrap()], public_name.as_bytes(), &short(&[])].concat();
    let known = [&[7, 0, 0x20][..], &short(&[0xaa; 32]), &short(&[0, 1, 0, 1]), &name].concat();
    short(&[&[0xfe, 0x0a][..], &short(&[1, 2, 3]), &[0xfe, 0x0d], &short(&known)].concat())
}

/// An HTTPS record with alpn, hints of both kinds and ech, its target the owner.
pub(super) fn https() -> Vec<u8> {
    let mut data = b"\x00\x01\x00".to_vec();
    data.extend_from_slice(b"\x00\x01\x00\x06\x02h2\x02h3");
    data.extend_from_slice(b"\x00\x04\x00\x08\xc0\x00\x02\x07\xc0\x00\x02\x08");
    let configurations = configurations("public.example");
    data.extend([&[0, 5, 0, u8::try_from(configurations.len()).unwrap()], &configurations[..]].concat());
    data.extend_from_slice(b"\x00\x06\x00\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07");
    let asked = question(&wire("www.example.com"), 65, 1);
    let hint = record(&wire("svc.example.com"), 64, 1, 60, b"\x00\x00\x03alt\x07example\x00");
    message(REPLY, [&[asked], &[record(&pointer(12), 65, 1, 300, &data)], &[], &[opt(), hint]])
}

/// A phone announces itself: PTR, SRV and TXT of an instance with spaces and a typographic apostrophe, cache-flush set.
pub(super) fn announcement() -> Vec<u8> {
    let instance = [&[16][..], "Jonas’s iPhone".as_bytes(), &pointer(12)].concat();
    let ptr = record(&wire("_airplay._tcp.local"), 12, 1, 4500, &instance); // its data is at 43
    let srv = record(&pointer(43), 33, 0x8001, 120, &[&[0, 0, 0, 0, 0x1b, 0x58][..], &wire("iphone.local")].concat());
    let txt = record(&pointer(43), 16, 0x8001, 4500, b"\x04a=b1\x00\x03c=2");
    let a = record(&wire("iPhone.local"), 1, 0x8001, 120, &[192, 0, 2, 20]);
    message(MDNS_REPLY, [&[], &[ptr, srv, txt], &[], &[a]])
}

/// A query with two questions (one wants unicast) and a known answer.
pub(super) fn known_answer() -> Vec<u8> {
    let first = question(&wire("_airplay._tcp.local"), 12, 1);
    let second = question(&wire("_googlecast._tcp.local"), 12, 0x8001);
    let known = record(&pointer(12), 12, 1, 3600, &[b"\x02tv", &pointer(12)[..]].concat());
    message(0, [&[first, second], &[known], &[], &[]])
}

/// Every sample.
pub(super) fn all() -> Vec<Vec<u8>> {
    vec![query("wWw.ExAmple.com", 28), query("", 2), reply(), https(), announcement(), known_answer()]
}
