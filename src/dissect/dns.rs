//! DNS over UDP and TCP, mDNS and LLMNR, which share one message form (RFC 1035, 4; RFC 6762, 18; RFC 4795, 2.1).
//!
//! The road: a message that [`classic`] can vouch for is read by `dns-parser`; everything else, from HTTPS records to a
//! reply cut by the snap length, is read record by record with `domain` in [`rest`]. Both give the same [`DnsMessage`].
//! Each alone would not do: `dns-parser` is all or nothing, knows no type past 2000, and spends 12 s of CPU on one message
//! of 16 kB with chained compression pointers. So [`name::walk`] looks at every name first, whoever reads it afterwards.
//!
//! Road not taken: guessing DNS on any port. What is not on 53, 5353 or 5355 is more often something else.

mod classic;
mod name;
mod rest;

use super::observation::{DnsMessage, Observation, Text};
use super::{Dissector, Over, Verdict};

/// DNS over UDP.
pub const OVER_UDP: Dissector = Dissector { name: "dns", over: Over::Datagram, ports: &[53], read };
/// DNS over TCP (RFC 7766): messages follow one another, each behind its length.
pub const OVER_TCP: Dissector = Dissector { name: "dns", over: Over::Stream, ports: &[53], read: read_stream };
/// Multicast DNS (RFC 6762).
pub const MDNS: Dissector = Dissector { name: "mdns", over: Over::Datagram, ports: &[5353], read };
/// Link-local multicast name resolution (RFC 4795).
pub const LLMNR: Dissector = Dissector { name: "llmnr", over: Over::Datagram, ports: &[5355], read };

/// Why a message could not be read: a short word, for the counter.
type Reason = &'static str;

/// Bytes of the length before each message on a stream (RFC 1035, 4.2.2).
const PREFIX: usize = 2;

/// Reads one datagram.
fn read(datagram: &[u8]) -> Verdict {
    let Some(header) = Header::parse(datagram) else {
        return if datagram.is_empty() { Verdict::NotMine } else { Verdict::Malformed("short-header") };
    };
    // The sender's datagram may have been longer than what was captured of it, so its counts may ask for more.
    if !header.plausible(usize::from(u16::MAX)) {
        return Verdict::NotMine;
    }
    let message = classic::read(datagram, &header).map_or_else(|| rest::read(datagram, &header), Ok);
    match message {
        Ok(message) => Verdict::Saw { seen: Observation::Dns(Box::new(message)), used: datagram.len(), more: false },
        Err(reason) => Verdict::Malformed(reason),
    }
}

/// Reads the first message of a stream.
fn read_stream(prefix: &[u8]) -> Verdict {
    let Some((length, body)) = prefix.split_first_chunk::<PREFIX>() else { return Verdict::NeedMore(PREFIX) };
    let length = usize::from(u16::from_be_bytes(*length));
    let whole = PREFIX.saturating_add(length);
    if length < Header::SIZE {
        return Verdict::NotMine;
    }
    // Told by its header, so that a web server on port 53 is not waited for: "GE" alone would be a length of 18,245.
    let Some(header) = Header::parse(body) else { return Verdict::NeedMore(PREFIX.saturating_add(Header::SIZE)) };
    if !header.plausible(length) {
        return Verdict::NotMine;
    }
    let Some(message) = body.get(..length) else { return Verdict::NeedMore(whole) };
    match read(message) {
        Verdict::Saw { seen, .. } => Verdict::Saw { seen, used: whole, more: true },
        other => other,
    }
}

/// The header of a message (RFC 1035, 4.1.1).
struct Header {
    id: u16,
    flags: u16,
    questions: u16,
    answers: u16,
    authority: u16,
    additional: u16,
}

impl Header {
    const SIZE: usize = 12;
    /// A question is at least a root name, a type and a class.
    const LEAST_QUESTION: usize = 5;
    /// A record is at least that, a TTL and a length.
    const LEAST_RECORD: usize = 11;

    fn parse(message: &[u8]) -> Option<Self> {
        let &[i, d, f, g, q, r, a, b, n, s, x, y] = message.first_chunk::<{ Self::SIZE }>()?;
        Some(Self {
            id: u16::from_be_bytes([i, d]),
            flags: u16::from_be_bytes([f, g]),
            questions: u16::from_be_bytes([q, r]),
            answers: u16::from_be_bytes([a, b]),
            authority: u16::from_be_bytes([n, s]),
            additional: u16::from_be_bytes([x, y]),
        })
    }

    /// Whether this can be the header of a message of at most `length` bytes: an assigned opcode, and counts that fit.
    fn plausible(&self, length: usize) -> bool {
        let records =
            [self.answers, self.authority, self.additional].iter().fold(0, |sum: usize, count| sum.saturating_add(usize::from(*count)));
        let least = usize::from(self.questions)
            .saturating_mul(Self::LEAST_QUESTION)
            .saturating_add(records.saturating_mul(Self::LEAST_RECORD))
            .saturating_add(Self::SIZE);
        matches!(self.opcode(), 0..=2 | 4..=6) && least <= length
    }

    /// 0 is QUERY. NOTIFY and UPDATE name their zone where a query has its question; their records answer nothing.
    fn opcode(&self) -> u16 {
        self.flags >> 11 & 0xf
    }

    /// The Z bit, always 0 (RFC 6895, 2.1).
    fn reserved(&self) -> bool {
        self.flags & 0x0040 != 0
    }

    /// What the header alone says.
    fn message(&self) -> DnsMessage {
        let [_, low] = self.flags.to_be_bytes();
        DnsMessage {
            id: self.id,
            response: self.flags & 0x8000 != 0,
            rcode: low & 0xf,
            partial: self.flags & 0x0200 != 0,
            ..DnsMessage::default()
        }
    }
}

/// Type numbers that are told apart (IANA, DNS parameters).
mod rtype {
    pub(super) const A: u16 = 1;
    pub(super) const NS: u16 = 2;
    pub(super) const CNAME: u16 = 5;
    pub(super) const SOA: u16 = 6;
    pub(super) const PTR: u16 = 12;
    pub(super) const MX: u16 = 15;
    pub(super) const TXT: u16 = 16;
    pub(super) const AAAA: u16 = 28;
    pub(super) const SRV: u16 = 33;
    pub(super) const DNAME: u16 = 39;
    pub(super) const OPT: u16 = 41;
    pub(super) const SVCB: u16 = 64;
    pub(super) const HTTPS: u16 = 65;
}

/// The class of the Internet.
const IN: u16 = 1;
/// The class without its top bit, which mDNS uses for "unicast, please" and "forget what you had" (RFC 6762, 18.12 and 18.13).
const CLASS: u16 = 0x7fff;

/// Where in the data of a record of this type a single name stands that ends the data or, for SVCB, comes before its parameters.
fn name_offset(rtype: u16) -> Option<usize> {
    match rtype {
        rtype::NS | rtype::CNAME | rtype::PTR | rtype::DNAME => Some(0),
        rtype::MX | rtype::SVCB | rtype::HTTPS => Some(2),
        rtype::SRV => Some(6),
        _ => None,
    }
}

/// A TTL with the top bit set is 0 (RFC 2181, 8).
fn lifetime(ttl: u32) -> u32 {
    if ttl > u32::MAX >> 1 { 0 } else { ttl }
}

/// The strings of a TXT record in one, as far as a [`Text`] holds them.
fn text<'a>(strings: impl Iterator<Item = &'a [u8]>) -> Option<Text> {
    let mut joined: Vec<u8> = Vec::new();
    for string in strings.filter(|string| !string.is_empty()) {
        if !joined.is_empty() {
            joined.push(b' ');
        }
        joined.extend_from_slice(string);
        if joined.len() >= Text::MAX {
            break;
        }
    }
    Text::from_bytes(&joined)
}
