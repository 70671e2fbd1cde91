//! DNS over UDP and TCP, mDNS and LLMNR, which share one message form (RFC 1035, 4; RFC 6762, 18; RFC 4795, 2.1).
//!
//! The road: a message that is plain enough goes through `classic`, where `dns-parser` reads the records; everything else, from
//! HTTPS records to a reply cut by the snap length, is read record by record with `domain` in `rest`. Both give the same
//! [`DnsMessage`]. Each alone would not do: `dns-parser` knows few types and whole messages only, and spends 12 s of CPU on one message
//! of 16 kB with chained compression pointers; `domain` takes three times as long. So `name::walk` goes over every name first,
//! whoever reads it afterwards.
//!
//! On other ports only what is DNS to the last byte counts ([`by_form`]): one readable question of a common type, no bytes over.

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

/// Types that are asked for in earnest: A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, NAPTR, DS, DNSKEY, SVCB, HTTPS, ANY.
const COMMON: [u16; 15] = [1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 43, 48, 64, 65, 255];

/// A message that is DNS by its form alone, on whatever port: a plain query or reply, whole to the last byte, with one
/// question for a name of several labels (a NetBIOS name, which has the same form, is one label).
#[must_use]
pub fn by_form(datagram: &[u8]) -> Option<Box<DnsMessage>> {
    let header = Header::parse(datagram)?;
    let quiet = header.flags & 0x8000 != 0 || (header.answers == 0 && header.authority == 0 && header.additional <= 1);
    if header.questions != 1 || header.opcode() != 0 || header.flags & 0x0040 != 0 || !quiet || !header.plausible(datagram.len()) {
        return None;
    }
    let Verdict::Saw { seen: Observation::Dns(message), .. } = read(datagram) else { return None };
    let question = message.questions.first()?;
    let name = question.name.as_str();
    let sound = !message.partial && COMMON.contains(&question.qtype) && question.name.is_plain() && name.contains('.');
    sound.then_some(message)
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
    if !header.fits(length) {
        return Verdict::NotMine;
    }
    let Some(message) = body.get(..length) else { return Verdict::NeedMore(whole) };
    match read(message) {
        Verdict::Saw { seen, .. } => Verdict::Saw { seen, used: whole, more: true },
        // Its counts fit.
        Verdict::NotMine => Verdict::Malformed("opcode"),
        other => other,
    }
}

/// What is no message where others were read before, once all of it is there: servers answer it with an error and go on.
#[must_use]
pub fn unreadable(prefix: &[u8]) -> Verdict {
    let end = end(prefix);
    if prefix.len() < end { Verdict::NeedMore(end) } else { Verdict::Malformed("no-message") }
}

/// Where the first message of a stream ends by its length, which holds whatever the message is (RFC 1035, 4.2.2).
#[must_use]
pub fn end(prefix: &[u8]) -> usize {
    let length = prefix.first_chunk().map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
    PREFIX.saturating_add(length)
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
        matches!(self.opcode(), 0..=2 | 4..=6) && self.fits(length)
    }

    /// Whether what it counts fits into a message of `length` bytes.
    fn fits(&self, length: usize) -> bool {
        let records =
            [self.answers, self.authority, self.additional].iter().fold(0, |sum: usize, count| sum.saturating_add(usize::from(*count)));
        let least = usize::from(self.questions)
            .saturating_mul(Self::LEAST_QUESTION)
            .saturating_add(records.saturating_mul(Self::LEAST_RECORD))
            .saturating_add(Self::SIZE);
        least <= length
    }

    /// 0 is QUERY. NOTIFY and UPDATE name their zone where a query has its question; their records answer nothing.
    fn opcode(&self) -> u16 {
        self.flags >> 11 & 0xf
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
    pub(super) const PTR: u16 = 12;
    pub(super) const MX: u16 = 15;
    pub(super) const TXT: u16 = 16;
    pub(super) const AAAA: u16 = 28;
    pub(super) const SRV: u16 = 33;
    pub(super) const DNAME: u16 = 39;
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

#[cfg(test)]
pub(crate) mod samples;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::name::{Effort, Labels, walk};
    use super::samples::{self, QUERY, REPLY, message, pointer, question, record, wire};
    use super::*;
    use crate::dissect::observation::{Record, RecordData};

    fn seen(datagram: &[u8]) -> DnsMessage {
        match read(datagram) {
            Verdict::Saw { seen: Observation::Dns(message), used, more: false } if used == datagram.len() => *message,
            other => panic!("{other:?}"),
        }
    }

    fn asked(message: &DnsMessage) -> Vec<(&str, u16)> {
        message.questions.iter().map(|question| (question.name.as_str(), question.qtype)).collect()
    }

    fn owners(records: &[Record]) -> Vec<(&str, u16, u32)> {
        records.iter().map(|record| (record.name.as_str(), record.rtype, record.ttl)).collect()
    }

    fn address(text: &str) -> RecordData {
        RecordData::Address(text.parse().unwrap())
    }

    #[test]
    fn a_query_gives_its_question_in_lower_case() {
        let message = seen(&samples::query("wWw.ExAmple.com", 28));
        assert_eq!((message.id, message.response, message.rcode, message.partial), (0x1234, false, 0, false));
        assert_eq!(asked(&message), [("www.example.com", 28)]);
        assert_eq!(asked(&seen(&samples::query("", 2))), [("", 2)]);
        let reserved = samples::message(QUERY | 0x0040, [&[question(&wire("z.example"), 1, 1)], &[], &[], &[]]);
        assert_eq!(asked(&seen(&reserved)), [("z.example", 1)], "the Z bit: dns-parser refuses it");
        assert_eq!(asked(&seen(&samples::query("epc.example", 35))), [("epc.example", 35)], "NAPTR: dns-parser refuses it");
    }

    #[test]
    fn a_reply_gives_aliases_addresses_and_glue_but_no_authority() {
        let message = seen(&samples::reply());
        assert!(message.response && !message.partial);
        assert_eq!(
            owners(&message.answers),
            [("www.example.com", 5, 300), ("edge.example.net", 1, 60), ("edge.example.net", 28, 0)],
            "a TTL with the top bit is 0"
        );
        assert!(matches!(&message.answers[0].data, RecordData::Name(name) if name.as_str() == "edge.example.net"));
        assert_eq!(message.answers[1].data, address("192.0.2.7"));
        assert_eq!(message.answers[2].data, address("2001:db8::7"));
        assert_eq!(owners(&message.additional), [("ns.example.net", 1, 60)]);
    }

    #[test]
    fn https_records_give_target_hints_and_ech() {
        let message = seen(&samples::https());
        let hints = ["192.0.2.7", "192.0.2.8", "2001:db8::7"].map(|text| text.parse::<IpAddr>().unwrap()).to_vec();
        let RecordData::Service { target, hints: got, ech, public_name } = &message.answers[0].data else { panic!("{message:?}") };
        assert_eq!((target.as_str(), got, *ech, public_name.as_str()), ("", &hints, true, "public.example"));
        assert_eq!(owners(&message.additional), [("svc.example.com", 64, 60)], "OPT says nothing of a server");
        let RecordData::Service { target, hints: got, ech, public_name } = &message.additional[0].data else { panic!("{message:?}") };
        assert_eq!((target.as_str(), got.len(), *ech, public_name.as_str()), ("alt.example", 0, false, ""));
        assert!(!message.partial);
    }

    #[test]
    fn mdns_keeps_the_name_a_person_gave() {
        let message = seen(&samples::announcement());
        let name = "jonas’s iphone._airplay._tcp.local";
        assert!(matches!(&message.answers[0].data, RecordData::Name(target) if target.as_str() == name), "{message:?}");
        assert_eq!(owners(&message.answers)[1..], [(name, 33, 120), (name, 16, 4500)]);
        assert!(matches!(&message.answers[2].data, RecordData::Text(text) if text.as_str() == "a=b1 c=2"));
        assert_eq!(message.additional[0].data, address("192.0.2.20"));
        let message = seen(&samples::known_answer());
        assert_eq!(asked(&message), [("_airplay._tcp.local", 12), ("_googlecast._tcp.local", 12)]);
        assert!(
            !message.response && matches!(&message.answers[0].data, RecordData::Name(name) if name.as_str() == "tv._airplay._tcp.local")
        );
    }

    #[test]
    fn odd_bytes_in_names_are_escaped() {
        let label = b"\x0aa.b\\c\x00\xff\nd!\x00";
        let message = seen(&message(QUERY, [&[question(label, 1, 1)], &[], &[], &[]]));
        assert_eq!(asked(&message), [("a\\.b\\\\c\\000\\255\\010d!", 1)]);
    }

    #[test]
    fn a_cut_reply_keeps_what_was_there() {
        let tc = message(REPLY | 0x0200, [&[question(&wire("a.example"), 1, 1)], &[], &[], &[]]);
        assert!(seen(&tc).partial && asked(&seen(&tc)) == [("a.example", 1)]);
        let whole = samples::reply();
        let cut = seen(&whole[..whole.len() - 60]);
        assert!(cut.partial && cut.answers.len() >= 2 && cut.additional.is_empty(), "{cut:?}");
        let longer = seen(&[&whole[..], b"rubbish"].concat());
        assert_eq!(DnsMessage { partial: false, ..longer.clone() }, seen(&whole));
        assert!(longer.partial);
    }

    #[test]
    fn bad_data_spoils_one_record_only() {
        let short = record(&pointer(12), 1, 1, 60, &[192, 0, 2]);
        let chaos = record(&pointer(12), 1, 3, 60, &[192, 0, 2, 1]);
        let empty = record(&pointer(12), 16, 1, 60, &[]);
        let good = record(&pointer(12), 1, 1, 60, &[192, 0, 2, 1]);
        let question = [question(&wire("a.example"), 1, 1)];
        let seen_all = seen(&message(REPLY, [&question, &[short, good.clone()], &[], &[]]));
        assert_eq!((&seen_all.answers[0].data, &seen_all.answers[1].data), (&RecordData::Other(3), &address("192.0.2.1")));
        assert!(seen_all.partial);
        let legal = seen(&message(REPLY, [&question, &[chaos, empty, good], &[], &[]]));
        assert_eq!((&legal.answers[0].data, &legal.answers[1].data), (&RecordData::Other(4), &RecordData::Other(0)));
        assert!(!legal.partial);
    }

    #[test]
    fn an_update_names_its_zone_and_answers_nothing() {
        let prerequisite = record(&wire("host.example"), 1, 1, 0, &[192, 0, 2, 1]);
        let update = seen(&message(0x2800, [&[question(&wire("example"), 6, 1)], &[prerequisite], &[], &[]]));
        assert_eq!((asked(&update), update.answers.len()), (vec![("example", 6)], 0));
    }

    #[test]
    fn what_is_not_dns_is_left_alone() {
        assert_eq!(read(b""), Verdict::NotMine);
        assert_eq!(read(b"\x12\x34\x01\x00"), Verdict::Malformed("short-header"));
        assert_eq!(read(b"GET / HTTP/1.1\r\nHost: www.example\r\n\r\n"), Verdict::NotMine);
        assert_eq!(read(&[0xff; 64]), Verdict::NotMine);
        assert_eq!(read(&message(0x7800, [&[question(&wire("a"), 1, 1)], &[], &[], &[]])), Verdict::NotMine, "opcode 15");
    }

    #[test]
    fn a_message_without_a_readable_question_is_malformed() {
        let with = |name: &[u8]| read(&message(QUERY, [&[question(name, 1, 1)], &[], &[], &[]]));
        assert_eq!(with(&pointer(12)), Verdict::Malformed("pointer-loop"));
        assert_eq!(with(&pointer(13)), Verdict::Malformed("pointer-loop"));
        assert_eq!(with(b"\x41a"), Verdict::Malformed("bad-name"));
        assert_eq!(with(&wire(&["abcdefg"; 32].join("."))), Verdict::Malformed("long-name"));
        assert_eq!(with(b"\x3fa"), Verdict::Malformed("cut"));
    }

    #[test]
    fn a_stream_gives_its_messages_one_after_the_other() {
        let (first, second) = (samples::query("a.example", 1), samples::query("b.example", 65));
        let mut stream = Vec::new();
        for message in [&first, &second] {
            stream.extend_from_slice(&u16::try_from(message.len()).unwrap().to_be_bytes());
            stream.extend_from_slice(message);
        }
        for cut in 0..first.len() + 2 {
            match read_stream(&stream[..cut]) {
                Verdict::NeedMore(more) => assert!(more > cut && more <= first.len() + 2, "{cut}: {more}"),
                other => panic!("{cut}: {other:?}"),
            }
        }
        let Verdict::Saw { seen: Observation::Dns(message), used, more: true } = read_stream(&stream) else { panic!() };
        assert_eq!((asked(&message), used), (vec![("a.example", 1)], first.len() + 2));
        let Verdict::Saw { seen: Observation::Dns(message), .. } = read_stream(&stream[used..]) else { panic!() };
        assert_eq!(asked(&message), [("b.example", 65)]);
    }

    #[test]
    fn a_message_on_a_stream_with_an_opcode_of_nobody_is_malformed_once_it_is_whole() {
        let mut message = samples::query("www.example", 1);
        message[2] |= 3 << 3;
        let stream = [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat();
        assert_eq!(read_stream(&stream[..stream.len() - 1]), Verdict::NeedMore(stream.len()));
        assert_eq!(read_stream(&stream), Verdict::Malformed("opcode"));
    }

    #[test]
    fn other_protocols_on_the_stream_are_not_waited_for() {
        assert_eq!(read_stream(b"\x00\x0b"), Verdict::NotMine);
        assert_eq!(read_stream(b"GET / HTTP/1.1\r\n"), Verdict::NotMine);
        assert_eq!(read_stream(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x55\x55\x55"), Verdict::NotMine);
        assert_eq!(read_stream(b"SSH-2.0-OpenSSH_9.2\r\n"), Verdict::NotMine);
    }

    /// Whatever the capture cut off, what is left is told the same and nothing else is.
    #[test]
    fn every_cut_of_every_sample_gives_a_prefix() {
        for sample in samples::all() {
            let whole = seen(&sample);
            for cut in 0..sample.len() {
                match read(&sample[..cut]) {
                    Verdict::Saw { seen: Observation::Dns(part), .. } => {
                        assert!(part.partial, "{cut} of {}", sample.len());
                        assert!(whole.questions.starts_with(&part.questions));
                        assert!(whole.answers.starts_with(&part.answers));
                        assert!(whole.additional.starts_with(&part.additional));
                        assert!(part.additional.is_empty() || part.answers == whole.answers);
                    }
                    Verdict::NotMine | Verdict::Malformed(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// Sixteen kilobytes in which every name leads through all that come before it: 12 s of CPU with `dns-parser` alone.
    fn chain() -> Vec<u8> {
        let mut links = b"\x01a\x00".to_vec();
        let start = 12 + wire("a.example").len() + 4 + 11;
        while links.len() < 16_000 {
            let previous = start + links.len() - if links.len() == 3 { 3 } else { 4 };
            links.extend_from_slice(b"\x01a");
            links.extend_from_slice(&pointer(previous));
        }
        let last = pointer(start + links.len() - 4);
        let carrier = record(&[0], 10, 1, 0, &links);
        let victim = record(&last, 1, 1, 60, &[192, 0, 2, 1]);
        message(REPLY, [&[question(&wire("a.example"), 1, 1)], &[carrier, victim], &[], &[]])
    }

    #[test]
    fn a_chain_of_pointers_costs_its_sender_more_than_us() {
        let attack = chain();
        let message = seen(&attack);
        assert!(message.partial && message.answers.len() == 1, "the question and the record before the chain are told");
        let mut effort = Effort::new();
        assert_eq!(walk(&attack, attack.len() - 16, &mut effort, &mut Labels::new()).map(|_| ()), Err("pointer-loop"));
        assert!(effort.spent() <= 17 * 4, "{} octets visited", effort.spent());
    }

    #[test]
    fn many_records_with_one_long_name_do_not_become_megabytes() {
        let long = wire(&["x".repeat(62).as_str(); 3].join("."));
        let records = vec![record(&pointer(12), 12, 1, 60, &pointer(12)); 1500];
        let message = seen(&message(REPLY, [&[question(&long, 1, 1)], &records, &[], &[]]));
        let text: usize = message.answers.iter().map(|record| record.name.as_str().len()).sum();
        assert!(message.partial && text <= Effort::MESSAGE && message.answers.len() > 300, "{text}");
    }
}
