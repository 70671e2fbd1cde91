//! The records that `dns-parser` reads safely: what most resolvers and phones send, without the newer types.
//!
//! The frame of a message (names, types, lengths) is walked here, once; `dns-parser` reads what a record says, after the walk went
//! over the name in it. Whatever is not as that library has it, or not whole, leaves the message to [`super::rest`]: it is older than
//! HTTPS records, and never bounds the pointers that it follows.
//! Road not taken: its `Packet::parse`. It refuses a message for one record that it does not know, reads the authority section,
//! which nobody asks for, and prints a name label by label through a formatter: three quarters of a reply's cost, as measured.

use dns_parser::{RData, Type};

use super::name::Names;
use super::{CLASS, Header, IN, lifetime, name_offset, rtype, text};
use crate::dissect::observation::{DnsMessage, Question, Record, RecordData};

/// Reads a message that is plain enough; `None` leaves it to [`super::rest`].
pub(super) fn read(message: &[u8], header: &Header) -> Option<DnsMessage> {
    let over = usize::from(header.questions) > DnsMessage::MAX_QUESTIONS
        || usize::from(header.answers.max(header.additional)) > DnsMessage::MAX_ANSWERS;
    // Counts that the message cannot hold must not make room for what will not come.
    if header.opcode() != 0 || over || !header.plausible(message.len()) {
        return None;
    }
    let mut pass = Pass { message, at: Header::SIZE, names: Names::new(message) };
    let mut seen = header.message();
    seen.questions.reserve_exact(header.questions.into());
    for _ in 0..header.questions {
        let (name, end) = pass.names.read(pass.at).ok()?;
        pass.at = end;
        let qtype = pass.short()?;
        let _class = pass.short()?;
        seen.questions.push(Question { name, qtype });
    }
    seen.answers.reserve_exact(header.answers.into());
    for _ in 0..header.answers {
        let (name, end) = pass.names.read(pass.at).ok()?;
        pass.at = end;
        let frame = pass.frame()?;
        seen.answers.push(Record { name, rtype: frame.rtype, ttl: frame.ttl, data: pass.data(&frame)? });
    }
    // Authority names servers of zones, not of devices: skipped, without following the names in it.
    for _ in 0..header.authority {
        pass.at = pass.names.skip(pass.at).ok()?;
        pass.frame()?;
    }
    for _ in 0..header.additional {
        let owner = pass.at;
        pass.at = pass.names.skip(owner).ok()?;
        let frame = pass.frame()?;
        if matches!(frame.rtype, rtype::A | rtype::AAAA | rtype::SRV | rtype::TXT | rtype::SVCB | rtype::HTTPS) {
            let (name, _) = pass.names.read(owner).ok()?;
            seen.additional.push(Record { name, rtype: frame.rtype, ttl: frame.ttl, data: pass.data(&frame)? });
        }
    }
    (pass.at == message.len()).then_some(seen)
}

/// A record behind its owner.
struct Frame<'a> {
    rtype: u16,
    class: u16,
    ttl: u32,
    data: &'a [u8],
    /// Where its data begins.
    begin: usize,
}

/// One pass over a message; `None` as soon as something is not as it should be.
struct Pass<'a> {
    message: &'a [u8],
    at: usize,
    names: Names<'a>,
}

impl<'a> Pass<'a> {
    fn short(&mut self) -> Option<u16> {
        let bytes = self.message.get(self.at..)?.first_chunk::<2>()?;
        self.at = self.at.checked_add(2)?;
        Some(u16::from_be_bytes(*bytes))
    }

    /// Reads the fixed fields of a record and steps over its data.
    fn frame(&mut self) -> Option<Frame<'a>> {
        let ([t, y, c, l, s, e, c2, n, d, s2], rest) = self.message.get(self.at..)?.split_first_chunk::<10>()?;
        let data = rest.get(..usize::from(u16::from_be_bytes([*d, *s2])))?;
        let begin = self.at.checked_add(10)?;
        self.at = begin.checked_add(data.len())?;
        Some(Frame {
            rtype: u16::from_be_bytes([*t, *y]),
            class: u16::from_be_bytes([*c, *l]) & CLASS,
            ttl: lifetime(u32::from_be_bytes([*s, *e, *c2, *n])),
            data,
            begin,
        })
    }

    /// What a record says.
    fn data(&mut self, frame: &Frame<'_>) -> Option<RecordData> {
        let other = RecordData::Other(frame.data.len().try_into().ok()?);
        let offset = name_offset(frame.rtype);
        if offset.is_none() && !matches!(frame.rtype, rtype::A | rtype::AAAA | rtype::TXT) {
            return Some(other);
        }
        if frame.class != IN {
            return None;
        }
        let name = match offset {
            Some(offset) => {
                let (name, end) = self.names.read(frame.begin.checked_add(offset)?).ok()?;
                if end != frame.begin.checked_add(frame.data.len())? {
                    return None; // dns-parser overlooks what follows the name
                }
                Some(name)
            }
            None => None,
        };
        match (RData::parse(Type::parse(frame.rtype).ok()?, frame.data, self.message).ok()?, name) {
            (RData::A(a), _) => Some(RecordData::Address(a.0.into())),
            (RData::AAAA(aaaa), _) => Some(RecordData::Address(aaaa.0.into())),
            (RData::CNAME(_) | RData::NS(_) | RData::PTR(_) | RData::MX(_) | RData::SRV(_), Some(name)) => Some(RecordData::Name(name)),
            (RData::TXT(txt), _) => Some(text(txt.iter()).map_or(other, RecordData::Text)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{Name as OracleName, RData as OracleData};
    use proptest::prelude::*;

    use super::super::samples::{self, message, pointer, question, record, wire};
    use super::super::{Header, rest};
    use super::*;
    use crate::dissect::observation::Name;

    fn classic(message: &[u8]) -> Option<DnsMessage> {
        read(message, &Header::parse(message)?)
    }

    fn whole(message: &[u8]) -> DnsMessage {
        rest::read(message, &Header::parse(message).unwrap()).unwrap()
    }

    fn oracle_name(name: &OracleName) -> Name {
        Name::from_labels(name.iter())
    }

    /// What a third parser makes of the answers; it may refuse the message.
    fn oracle(bytes: &[u8]) -> Option<(Vec<Question>, Vec<Record>)> {
        let message = hickory_proto::op::Message::from_vec(bytes).ok()?;
        let questions =
            message.queries.iter().map(|asked| Question { name: oracle_name(&asked.name), qtype: asked.query_type.into() }).collect();
        let answers = message.answers.iter().map(|raw| {
            let data = match &raw.data {
                OracleData::A(a) => RecordData::Address(a.0.into()),
                OracleData::AAAA(aaaa) => RecordData::Address(aaaa.0.into()),
                OracleData::CNAME(cname) => RecordData::Name(oracle_name(&cname.0)),
                OracleData::NS(ns) => RecordData::Name(oracle_name(&ns.0)),
                OracleData::PTR(ptr) => RecordData::Name(oracle_name(&ptr.0)),
                OracleData::MX(mx) => RecordData::Name(oracle_name(&mx.exchange)),
                OracleData::SRV(srv) => RecordData::Name(oracle_name(&srv.target)),
                // Strings, and lengths of what is not told, are compared between the other two.
                _ => RecordData::Other(0),
            };
            Record { name: oracle_name(&raw.name), rtype: raw.record_type().into(), ttl: lifetime(raw.ttl), data }
        });
        Some((questions, answers.collect()))
    }

    /// Whether the message took this road; whoever else reads it says the same.
    fn agree(bytes: &[u8]) -> bool {
        let Some(seen) = classic(bytes) else { return false };
        assert_eq!(seen, whole(bytes));
        if let Some((questions, mut answers)) = oracle(bytes) {
            for (answer, ours) in answers.iter_mut().zip(&seen.answers).filter(|(answer, _)| answer.data == RecordData::Other(0)) {
                answer.data = ours.data.clone();
            }
            assert_eq!((&seen.questions, &seen.answers), (&questions, &answers));
        }
        true
    }

    #[test]
    fn plain_messages_take_this_road_and_newer_ones_do_not() {
        let https = samples::query("www.example.com", 65);
        let took = [samples::query("www.example.com", 1), https, samples::query("", 2), samples::reply(), samples::known_answer()];
        assert_eq!(took.map(|bytes| agree(&bytes)), [true; 5]);
        let left = [samples::https(), samples::announcement()];
        assert_eq!(left.map(|bytes| agree(&bytes)), [false; 2]);
    }

    #[test]
    fn a_name_that_does_not_fill_its_data_is_not_taken() {
        let longer = record(&pointer(12), rtype::CNAME, 1, 60, &[wire("b.example"), vec![0xff]].concat());
        let bytes = message(samples::REPLY, [&[question(&wire("a.example"), 1, 1)], &[longer], &[], &[]]);
        assert!(!agree(&bytes), "dns-parser overlooks what follows the name");
        assert_eq!((&whole(&bytes).answers[0].data, whole(&bytes).partial), (&RecordData::Other(12), true));
    }

    #[test]
    fn a_dot_in_a_label_is_not_a_boundary() {
        let bytes = message(samples::QUERY, [&[question(b"\x07goo.com\x00", 1, 1)], &[], &[], &[]]);
        assert!(agree(&bytes), "dns-parser would print it as two labels");
        assert_eq!(whole(&bytes).questions[0].name.as_str(), "goo\\.com");
    }

    fn label() -> impl Strategy<Value = String> {
        prop_oneof![4 => "[a-zA-Z0-9_-]{1,12}", 1 => "[ -~&&[^.]]{1,20}"]
    }

    /// A name of its own, or one that ends in a pointer into the question.
    fn name() -> impl Strategy<Value = Vec<u8>> {
        let own = prop::collection::vec(label(), 0..5).prop_map(|labels| wire(&labels.join(".")));
        let tail = prop::collection::vec(label(), 0..3).prop_map(|labels| {
            let mut name = wire(&labels.join("."));
            name.pop();
            [name, pointer(12)].concat()
        });
        prop_oneof![own, tail]
    }

    fn content() -> impl Strategy<Value = (u16, Vec<u8>)> {
        let before = |bytes: usize| {
            (prop::collection::vec(any::<u8>(), bytes), name()).prop_map(|(mut data, name)| {
                data.extend_from_slice(&name);
                data
            })
        };
        prop_oneof![
            (Just(rtype::A), prop::collection::vec(any::<u8>(), 4)),
            (Just(rtype::AAAA), prop::collection::vec(any::<u8>(), 16)),
            (prop::sample::select(vec![rtype::NS, rtype::CNAME, rtype::PTR, rtype::DNAME]), name()),
            (Just(rtype::MX), before(2)),
            (Just(rtype::SRV), before(6)),
            (
                Just(rtype::TXT),
                prop::collection::vec("[ -~]{0,40}", 1..4).prop_map(|strings| {
                    strings.iter().flat_map(|s| [&[u8::try_from(s.len()).unwrap()][..], s.as_bytes()].concat()).collect()
                })
            ),
            (prop::sample::select(vec![47_u16, 99, 10, 13]), prop::collection::vec(any::<u8>(), 0..20)),
        ]
    }

    fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let class = prop::sample::select(vec![1_u16, 1, 1, 0x8001, 3]);
        let one = (name(), content(), class, any::<u32>());
        prop::collection::vec(one.prop_map(|(owner, (rtype, data), class, ttl)| record(&owner, rtype, class, ttl, &data)), 0..5)
    }

    fn made() -> impl Strategy<Value = Vec<u8>> {
        let asked = (prop::collection::vec(label(), 0..5), prop::sample::select(vec![1_u16, 28, 65, 255, 16]), any::<bool>());
        let flags = prop::sample::select(vec![samples::QUERY, samples::REPLY, samples::MDNS_REPLY, 0x8183, 0x8380]);
        (flags, asked, records(), records(), records(), any::<bool>()).prop_map(|(flags, asked, answers, authority, mut more, edns)| {
            if edns {
                more.push(samples::opt());
            }
            let asked = question(&wire(&asked.0.join(".")), asked.1, if asked.2 { 0x8001 } else { 1 });
            message(flags, [&[asked], &answers, &authority, &more])
        })
    }

    proptest! {
        #[test]
        fn both_roads_and_a_third_parser_agree_on_what_is_made(bytes in made()) {
            agree(&bytes);
        }

        /// Damage of a few bytes is where parsers differ: in lengths, pointers, counts, types.
        #[test]
        fn both_roads_agree_on_what_is_damaged(
            pick in any::<prop::sample::Index>(),
            made in made(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut messages = samples::all();
            messages.push(made);
            let mut bytes = pick.get(&messages).clone();
            for (at, byte) in damage {
                *at.get_mut(&mut bytes) = byte;
            }
            agree(&bytes);
            let _ = super::super::read(&bytes);
        }
    }

    /// The checks above mean nothing if hardly any made message takes this road.
    #[test]
    fn made_messages_often_take_this_road() {
        use proptest::strategy::ValueTree;
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let took = (0..500).filter(|_| agree(&made().new_tree(&mut runner).unwrap().current())).count();
        assert!(took > 100, "{took} of 500");
    }
}
