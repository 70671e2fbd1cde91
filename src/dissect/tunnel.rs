//! Tunnels and other wrappings whose handshake shows what they are, on any port: from then on only one peer is seen.
//!
//! Road taken: whole first messages, by every length and constant that their formats fix and by keys that look random, because a
//! phone's traffic called a VPN that is none is worse than a VPN told late. Data packets (WireGuard's type 4, OpenVPN's P_DATA, ESP
//! in UDP) are a byte or two of form and are never tried.
//! Roads not taken: ports, which say nothing by themselves; Tor by its ClientHello, since its names are random ones of letters that
//! real names have too and its fingerprint is that of the TLS library (what its certificate shows up to TLS 1.2 is
//! read in `certificate`); WireGuard whose reserved bytes are used (Cloudflare's WARP), of which 145 bytes without a constant remain.

use super::observation::{Name, Observation, Tunnel, TunnelKind};
use super::reader::Reader;
use super::{Dissector, Over, Verdict, tls};

/// Tunnels over UDP, on any port.
pub const OVER_UDP: Dissector = Dissector { name: "tunnel", over: Over::Datagram, ports: &[], read };
/// Tunnels over TCP, on any port.
pub const OVER_TCP: Dissector = Dissector { name: "tunnel", over: Over::Stream, ports: &[], read: read_stream };

/// Reads one datagram.
#[must_use]
pub fn read(datagram: &[u8]) -> Verdict {
    let forms: [(TunnelKind, Form); 4] = [
        (TunnelKind::WireGuard, is_wireguard),
        (TunnelKind::OpenVpn, is_openvpn),
        (TunnelKind::Ipsec, |bytes| is_ike(bytes.strip_prefix(NON_ESP).unwrap_or(bytes))),
        (TunnelKind::L2tp, is_l2tp),
    ];
    if let Some((kind, _)) = forms.into_iter().find(|(_, is)| is(datagram)) {
        return saw(kind, None, datagram);
    }
    match dtls_hello(datagram) {
        Some(name) => saw(TunnelKind::Dtls, name, datagram),
        None => Verdict::NotMine,
    }
}

/// Reads the beginning of a stream, of either direction.
#[must_use]
pub fn read_stream(prefix: &[u8]) -> Verdict {
    let forms: [(TunnelKind, Framing); 3] =
        [(TunnelKind::OpenVpn, openvpn_frame), (TunnelKind::Ipsec, ike_frame), (TunnelKind::Pptp, pptp_frame)];
    let mut wanted = None;
    for (kind, framing) in forms {
        match framing(prefix) {
            Frame::Foreign => {}
            Frame::Short(length) => wanted = Some(wanted.unwrap_or(length).min(length)),
            Frame::Known => return saw(kind, None, prefix),
        }
    }
    wanted.map_or(Verdict::NotMine, Verdict::NeedMore)
}

/// How a stream begins, in the eyes of one protocol.
enum Frame {
    Foreign,
    /// It has to have this many bytes.
    Short(usize),
    Known,
}

/// Whether a datagram is one of theirs.
type Form = fn(&[u8]) -> bool;
/// What the beginning of a stream is to them.
type Framing = fn(&[u8]) -> Frame;

fn saw(kind: TunnelKind, name: Option<Name>, bytes: &[u8]) -> Verdict {
    Verdict::Saw { seen: Observation::Tunnel(Tunnel { kind, name }), used: bytes.len().max(1), more: false }
}

/// What tells IKE from ESP where both share a port (RFC 3948, 2.2).
const NON_ESP: &[u8] = &[0; 4];

/// Whether bytes can be keys and seals: at least half of them differ. Of 124 random bytes about 98 do, of 8 nearly all; text,
/// counters and padding stay below.
fn is_varied(bytes: &[u8]) -> bool {
    let mut seen = [false; 256];
    for byte in bytes {
        if let Some(seen) = seen.get_mut(usize::from(*byte)) {
            *seen = true;
        }
    }
    seen.iter().filter(|seen| **seen).count().saturating_mul(2) >= bytes.len()
}

/// The two messages of WireGuard's handshake (its protocol paper, 5.4.2 and 5.4.3): type, three zeros, indices, then a
/// Curve25519 key, whose top bit is never set, and seals up to the second MAC, which is zeros unless the peer is under load.
fn is_wireguard(datagram: &[u8]) -> bool {
    let (key, sealed) = match datagram {
        [1, 0, 0, 0, rest @ ..] if rest.len() == 144 => (rest.get(4..36), rest.get(4..128)),
        [2, 0, 0, 0, rest @ ..] if rest.len() == 88 => (rest.get(8..40), rest.get(8..72)),
        _ => return false,
    };
    key.and_then(<[u8]>::last).is_some_and(|top| top & 0x80 == 0) && sealed.is_some_and(is_varied)
}

/// OpenVPN's first message of each side (its wire protocol, `P_CONTROL_HARD_RESET_*`, key 0): opcode, session, then nothing
/// acknowledged or the other's reset, and packet 0; this in the clear, behind a MAC (`tls-auth`), or encrypted (`tls-crypt`, `tls-crypt-v2`).
fn is_openvpn(packet: &[u8]) -> bool {
    let Some((&[opcode, ref session @ ..], rest)) = packet.split_first_chunk::<9>() else { return false };
    let inner = match opcode {
        CLIENT_V2 | CLIENT_V3 => 5,
        SERVER_V2 => 17,
        _ => return false,
    };
    if !is_varied(session) {
        return false;
    }
    if opcode == CLIENT_V3 {
        // The client's key, wrapped, is behind it, and its last two bytes are its length.
        let Some((crypt, wrapped)) = rest.split_at_checked(REPLAY.saturating_add(TAG).saturating_add(inner)) else { return false };
        let length = wrapped.last_chunk().map(|length| usize::from(u16::from_be_bytes(*length)));
        return length == Some(wrapped.len()) && WRAPPED.contains(&wrapped.len()) && is_crypt(crypt);
    }
    let reset = |inner: &[u8]| match inner {
        [0, 0, 0, 0, 0] => opcode == CLIENT_V2,
        [1, 0, 0, 0, 0, remote @ .., 0, 0, 0, 0] => opcode == SERVER_V2 && remote.len() == 8 && is_varied(remote),
        _ => false,
    };
    let wrapping = rest.len().saturating_sub(inner);
    let Some((wrapper, clear)) = rest.split_at_checked(wrapping) else { return false };
    match wrapping {
        0 => reset(clear),
        // In this one order of fields the MAC comes first, in the other it is sealed behind.
        _ if HASHES.contains(&wrapping.saturating_sub(REPLAY)) && reset(clear) => {
            wrapper.split_last_chunk().is_some_and(|(mac, replay)| is_replay(*replay) && is_varied(mac))
        }
        40 => is_crypt(rest),
        _ => false,
    }
}

/// Opcode in the upper five bits, key 0 in the lower three.
const CLIENT_V2: u8 = 7 << 3;
const SERVER_V2: u8 = 8 << 3;
const CLIENT_V3: u8 = 10 << 3;
/// Packet identifier and time.
const REPLAY: usize = 8;
/// What `tls-crypt` seals with.
const TAG: usize = 32;
/// Bytes of the MACs that `tls-auth` may use: MD5, SHA-1, SHA-2.
const HASHES: [usize; 6] = [16, 20, 28, 32, 48, 64];
/// Bytes of a client's wrapped key: tag, key, length, and at most 735 of metadata.
const WRAPPED: std::ops::RangeInclusive<usize> = 290..=1024;

fn is_crypt(sealed: &[u8]) -> bool {
    sealed.split_first_chunk().is_some_and(|(replay, sealed)| is_replay(*replay) && is_varied(sealed))
}

/// The first packets of a session, repeated at most a few times (from 2.6 on with a mark in the upper bits), at a time since 2004.
fn is_replay(replay: [u8; REPLAY]) -> bool {
    let [a, b, c, d, time, ..] = replay;
    let id = u32::from_be_bytes([a, b, c, d]);
    (1..=16).contains(&(id & !0x0f00_0000)) && matches!(a, 0 | 0x0f) && time >= 0x40
}

/// The same over TCP, where each packet has its length before it.
fn openvpn_frame(prefix: &[u8]) -> Frame {
    let Some((length, rest)) = prefix.split_first_chunk() else { return Frame::Short(3) };
    let length = usize::from(u16::from_be_bytes(*length));
    if !OPENVPN.contains(&length) {
        return Frame::Foreign;
    }
    match rest.first() {
        None => Frame::Short(3),
        Some(&(CLIENT_V2 | CLIENT_V3 | SERVER_V2)) => match rest.get(..length) {
            None => Frame::Short(length.saturating_add(2)),
            Some(packet) if is_openvpn(packet) => Frame::Known,
            Some(_) => Frame::Foreign,
        },
        Some(_) => Frame::Foreign,
    }
}

/// Bytes of a reset: the client's in the clear to one with the longest wrapped key.
const OPENVPN: std::ops::RangeInclusive<usize> = 14..=9 + REPLAY + TAG + 5 + 1024;

/// The first exchange of IKE: an ISAKMP header (RFC 2408, 3.1; RFC 7296, 3.1) whose length is the message's, the identifier 0, and
/// a first payload that fits.
fn is_ike(message: &[u8]) -> bool {
    let header = || {
        let mut reader = Reader::new(message);
        let (initiator, responder) = (reader.array::<8>()?, reader.array::<8>()?);
        let (form, id, length) = (reader.array::<4>()?, reader.u32()?, reader.u32()?);
        let _next = reader.u16()?;
        let payload = usize::from(reader.u16()?);
        Some((initiator, responder, form, id, usize::try_from(length).ok()?, payload))
    };
    let Some((initiator, responder, form, id, length, payload)) = header() else { return false };
    let answered = responder != [0; 8];
    let fits = match form {
        // IKEv1: a security association in main or aggressive mode.
        [1, 0x10, 2 | 4, 0] => true,
        // IKE_SA_INIT: an association or a notification; who asks says so, and knows no responder.
        [33 | 41, 0x20, 34, 0x08] => !answered,
        [33 | 41, 0x20, 34, 0x20] => true,
        _ => false,
    };
    fits && initiator != [0; 8] && id == 0 && length == message.len() && (4..=message.len().saturating_sub(28)).contains(&payload)
}

/// IKE over TCP (RFC 9329, 3 and 4): a prefix, then messages behind their length, which counts itself and the marker.
fn ike_frame(prefix: &[u8]) -> Frame {
    const PREFIX: &[u8] = b"IKETCP";
    let Some(rest) = prefix.strip_prefix(PREFIX) else {
        return if PREFIX.starts_with(prefix) { Frame::Short(PREFIX.len().saturating_add(6)) } else { Frame::Foreign };
    };
    match rest.split_first_chunk::<2>() {
        Some((_, [0, 0, 0, 0, ..])) => Frame::Known,
        Some((_, marker)) if !NON_ESP.starts_with(marker) => Frame::Foreign,
        _ => Frame::Short(PREFIX.len().saturating_add(6)),
    }
}

/// The opening of an L2TP control connection and its answer (RFC 2661, 3.1, 4.1 and 6.1): flags, the datagram's length, session 0,
/// packet 0, and the message type first.
fn is_l2tp(datagram: &[u8]) -> bool {
    match datagram {
        &[0xc8, 2, high, low, tunnel, tunnel_low, 0, 0, 0, 0, 0, answers, 0x80, 8, 0, 0, 0, 0, 0, kind, ..] => {
            let fits = usize::from(u16::from_be_bytes([high, low])) == datagram.len();
            let asks = u16::from_be_bytes([tunnel, tunnel_low]) == 0;
            fits && matches!((asks, answers, kind), (true, 0, 1) | (false, 1, 2))
        }
        _ => false,
    }
}

/// The opening of a PPTP control connection and its answer (RFC 2637, 1.4, 2.1 and 2.2): length 156, magic cookie.
fn pptp_frame(prefix: &[u8]) -> Frame {
    const START: &[u8] = &[0, 156, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0];
    match prefix.strip_prefix(START) {
        Some([1 | 2, ..]) => Frame::Known,
        Some([_, ..]) => Frame::Foreign,
        _ if START.starts_with(prefix) => Frame::Short(START.len().saturating_add(1)),
        _ => Frame::Foreign,
    }
}

/// The server name of a DTLS ClientHello (RFC 6347, 4.2.1 and 4.3; RFC 9147, 5.3), or of the first fragment of one; `None` for all else.
fn dtls_hello(datagram: &[u8]) -> Option<Option<Name>> {
    const HEADERS: usize = 12;
    let mut reader = Reader::new(datagram);
    let ([22, 0xfe, 0xfd | 0xff, 0, 0], _sequence) = (reader.array()?, reader.array::<6>()?) else { return None };
    let record = reader.vec16()?;
    let mut reader = Reader::new(record);
    let ([1], [a, b, c], [0, 0 | 1]) = (reader.array()?, reader.array()?, reader.array()?) else { return None };
    let ([0, 0, 0], [d, e, f]) = (reader.array()?, reader.array()?) else { return None };
    let (length, fragment) = (u32::from_be_bytes([0, a, b, c]), u32::from_be_bytes([0, d, e, f]));
    if fragment > length || usize::try_from(fragment).ok() != record.len().checked_sub(HEADERS) {
        return None;
    }
    let ([0xfe, 0xfd | 0xff], _random) = (reader.array()?, reader.array::<32>()?) else { return None };
    let (session, _cookie) = (reader.vec8()?, reader.vec8()?);
    let ciphers = reader.vec16()?;
    if session.len() > 32 || ciphers.is_empty() || ciphers.len() % 2 != 0 {
        return None;
    }
    let _compression = reader.vec8()?;
    let _length = reader.u16();
    Some(tls::name_in(reader.rest))
}

#[cfg(test)]
mod tests {
    use super::super::tls::build::server_name;
    use super::*;

    /// Bytes that look random, from a seed.
    fn random<const N: usize>(seed: u32) -> [u8; N] {
        let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
        std::array::from_fn(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_be_bytes()[1]
        })
    }

    fn wireguard(kind: u8, length: usize) -> Vec<u8> {
        let mut message = random::<148>(1)[..length].to_vec();
        message[..4].copy_from_slice(&[kind, 0, 0, 0]);
        let top = if kind == 1 { 39 } else { 43 };
        message[top] &= 0x7f;
        message[length - 16..].fill(0);
        message
    }

    const REPLAYED: [u8; 8] = [0, 0, 0, 1, 0x69, 0, 0, 7];
    const NOTHING: [u8; 5] = [0; 5];

    fn openvpn(opcode: u8, rest: &[&[u8]]) -> Vec<u8> {
        [&[opcode][..], &random::<8>(2), &rest.concat()].concat()
    }

    fn answered() -> Vec<u8> {
        [&[1, 0, 0, 0, 0][..], &random::<8>(3), &[0; 4]].concat()
    }

    fn ike(form: [u8; 4], responder: [u8; 8]) -> Vec<u8> {
        [&random::<8>(4)[..], &responder, &form, &[0; 4], &[0, 0, 0, 48], &[0, 0, 0, 20], &[1; 16]].concat()
    }

    fn l2tp() -> Vec<u8> {
        vec![0xc8, 2, 0, 28, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 8, 0, 0, 0, 0, 0, 1, 0x80, 8, 0, 0, 0, 2, 1, 0]
    }

    fn dtls(extensions: &[u8]) -> Vec<u8> {
        let length = u16::try_from(extensions.len()).unwrap().to_be_bytes();
        let body = [&[0xfe, 0xfd][..], &random::<32>(5), &[0, 3, 1, 2, 3, 0, 2, 0xc0, 0x2b, 1, 0], &length, extensions].concat();
        let size = u32::try_from(body.len()).unwrap().to_be_bytes();
        let message = [&[1], &size[1..], &[0, 1, 0, 0, 0], &size[1..], &body].concat();
        let record = u16::try_from(message.len()).unwrap().to_be_bytes();
        [&[22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 1][..], &record, &message].concat()
    }

    fn kind(verdict: &Verdict) -> Option<&'static str> {
        match verdict {
            Verdict::Saw { seen: Observation::Tunnel(tunnel), .. } => Some(tunnel.kind.as_str()),
            _ => None,
        }
    }

    fn datagrams() -> Vec<(&'static str, Vec<u8>)> {
        let sealed = random::<37>(6);
        let wrapped = [&random::<290>(7)[..288], &[1, 34]].concat();
        vec![
            ("wireguard", wireguard(1, 148)),
            ("wireguard", wireguard(2, 92)),
            ("openvpn", openvpn(CLIENT_V2, &[&NOTHING])),
            ("openvpn", openvpn(SERVER_V2, &[&answered()])),
            ("openvpn", openvpn(CLIENT_V2, &[&random::<20>(8), &REPLAYED, &NOTHING])),
            ("openvpn", openvpn(SERVER_V2, &[&random::<64>(8), &REPLAYED, &answered()])),
            ("openvpn", openvpn(CLIENT_V2, &[&REPLAYED, &sealed])),
            ("openvpn", openvpn(SERVER_V2, &[&REPLAYED, &random::<49>(9)])),
            ("openvpn", openvpn(CLIENT_V3, &[&[0x0f, 0, 0, 1, 0x69, 0, 0, 7], &sealed, &wrapped])),
            ("ipsec", ike([33, 0x20, 34, 8], [0; 8])),
            ("ipsec", ike([33, 0x20, 34, 0x20], random(10))),
            ("ipsec", ike([1, 0x10, 2, 0], [0; 8])),
            ("ipsec", [&[0; 4][..], &ike([1, 0x10, 4, 0], random(10))].concat()),
            ("l2tp", l2tp()),
            ("dtls", dtls(&[])),
        ]
    }

    #[test]
    fn each_handshake_is_known_and_no_part_of_it() {
        for (expected, datagram) in datagrams() {
            assert_eq!(kind(&read(&datagram)), Some(expected), "{datagram:02x?}");
            for cut in 0..datagram.len() {
                assert_eq!(read(&datagram[..cut]), Verdict::NotMine, "{expected} cut at {cut}");
            }
            if expected != "dtls" {
                assert_eq!(read(&[&datagram[..], &[0]].concat()), Verdict::NotMine, "{expected} with a byte more");
            }
        }
    }

    #[test]
    fn streams_are_known_when_their_first_message_is_whole() {
        let framed = |packet: Vec<u8>| [&u16::try_from(packet.len()).unwrap().to_be_bytes()[..], &packet].concat();
        for (expected, needed, stream) in [
            ("openvpn", 16, framed(openvpn(CLIENT_V2, &[&NOTHING]))),
            ("openvpn", 56, framed(openvpn(CLIENT_V2, &[&REPLAYED, &random::<37>(6)]))),
            ("openvpn", 28, framed(openvpn(SERVER_V2, &[&answered()]))),
            ("ipsec", 12, [&b"IKETCP\0\x36"[..], &[0; 4], &ike([33, 0x20, 34, 8], [0; 8])].concat()),
            ("pptp", 10, [&[0, 156, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1][..], &[0; 146]].concat()),
        ] {
            for cut in 0..=stream.len() {
                match read_stream(&stream[..cut]) {
                    Verdict::NeedMore(wanted) => assert!(wanted > cut && wanted <= needed && cut < needed, "{expected} cut at {cut}"),
                    saw => assert!(kind(&saw) == Some(expected) && cut >= needed, "{expected} cut at {cut}: {saw:?}"),
                }
            }
        }
    }

    #[test]
    fn what_only_looks_alike_is_none() {
        let counters: Vec<u8> = [1, 0, 0, 0].into_iter().chain((0..144).map(|i| i / 8)).collect();
        let mut keyed = wireguard(1, 148);
        keyed[39] |= 0x80;
        let mut asked = wireguard(1, 148);
        asked[1] = 7;
        for datagram in [
            counters,
            keyed,
            asked,
            openvpn(4 << 3, &[&NOTHING]),
            openvpn(CLIENT_V2, &[&[0, 0, 0, 0, 1]]),
            [&[CLIENT_V2][..], &[0; 8], &NOTHING].concat(),
            openvpn(CLIENT_V2, &[&[0, 0, 9, 9, 0x69, 0, 0, 7], &random::<37>(6)]),
            openvpn(CLIENT_V3, &[&REPLAYED, &random::<37>(6), &[1; 300]]),
            ike([33, 0x20, 35, 8], [0; 8]),
            ike([33, 0x20, 34, 8], random(10)),
            ike([33, 0x30, 34, 8], [0; 8]),
            vec![0; 48],
            b"\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\x04\x0e\0\0\0".to_vec(),
        ] {
            assert_eq!(read(&datagram), Verdict::NotMine, "{datagram:02x?}");
        }
        for stream in
            [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01\x02\0\x01", b"\0\x1d\x12\x34\x01\0\0\x01", b"\0\x9c\0\x02", b"IKETCP\0\x36\x01"]
        {
            assert_eq!(read_stream(stream), Verdict::NotMine, "{stream:02x?}");
        }
    }

    #[test]
    fn a_dtls_hello_gives_its_name_and_a_first_fragment_too() {
        let name = |datagram: &[u8]| match read(datagram) {
            Verdict::Saw { seen: Observation::Tunnel(tunnel), .. } => tunnel.name.map(|name| name.to_string()),
            other => panic!("{other:?}"),
        };
        let mut hello = dtls(&server_name(0, b"vpn.example.com"));
        assert_eq!(name(&hello).as_deref(), Some("vpn.example.com"));
        hello[16] += 9; // the message is longer than this fragment of it
        assert_eq!(name(&hello).as_deref(), Some("vpn.example.com"));
        assert_eq!(name(&dtls(&[])), None);
    }

    #[test]
    fn no_damaged_byte_makes_it_panic() {
        for (_, datagram) in datagrams() {
            for at in 0..datagram.len() {
                for value in [0, 1, 0x7f, 0xff] {
                    let mut damaged = datagram.clone();
                    damaged[at] = value;
                    let _ = (read(&damaged), read_stream(&damaged));
                }
            }
        }
    }
}
