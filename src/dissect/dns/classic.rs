//! The messages that `dns-parser` reads whole and safely: what most resolvers and phones send, without the newer types.
//!
//! [`vouches`] goes over the message once and lets through only what that library models: it is older than HTTPS records,
//! refuses a message for one record it does not know, and never bounds the pointers that it follows.

use dns_parser::{Class, Name as RawName, Packet, QueryClass, QueryType, RData, ResourceRecord, Type};

use super::name::{Effort, walk};
use super::{CLASS, Header, IN, lifetime, name_offset, rtype, text};
use crate::dissect::observation::{DnsMessage, Name, Question, Record, RecordData};

/// Reads a message that is plain enough; `None` leaves it to [`super::rest`].
pub(super) fn read(message: &[u8], header: &Header) -> Option<DnsMessage> {
    vouches(message, header)?;
    let packet = Packet::parse(message).ok()?;
    Some(DnsMessage {
        id: packet.header.id,
        response: !packet.header.query,
        rcode: packet.header.response_code.into(),
        questions: packet.questions.iter().map(|asked| Question { name: name(&asked.qname), qtype: asked.qtype as u16 }).collect(),
        answers: packet.answers.iter().map(record).collect::<Option<_>>()?,
        additional: packet
            .additional
            .iter()
            .filter(|raw| matches!(raw.data, RData::A(_) | RData::AAAA(_) | RData::SRV(_) | RData::TXT(_)))
            .filter_map(record)
            .collect(),
        partial: packet.header.truncated,
    })
}

/// Whether `dns-parser` reads this message as [`super::rest`] would.
fn vouches(message: &[u8], header: &Header) -> Option<()> {
    let over = usize::from(header.questions) > DnsMessage::MAX_QUESTIONS
        || usize::from(header.answers.max(header.additional)) > DnsMessage::MAX_ANSWERS;
    if header.opcode() != 0 || over {
        return None;
    }
    let mut pass = Pass { message, at: Header::SIZE, effort: Effort::new() };
    for _ in 0..header.questions {
        pass.name()?;
        QueryType::parse(pass.short()?).ok()?;
        QueryClass::parse(pass.short()? & CLASS).ok()?;
    }
    let sections = [(header.answers, Section::Answer), (header.authority, Section::Authority), (header.additional, Section::Additional)];
    for (count, section) in sections {
        for _ in 0..count {
            pass.record(section)?;
        }
    }
    (pass.at == message.len()).then_some(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Answer,
    Authority,
    Additional,
}

/// One pass over a message; `None` as soon as something is not as `dns-parser` has it.
struct Pass<'a> {
    message: &'a [u8],
    at: usize,
    effort: Effort,
}

impl Pass<'_> {
    fn name(&mut self) -> Option<()> {
        let walked = walk(self.message, self.at, &mut self.effort).ok()?;
        self.at = walked.end;
        walked.plain.then_some(())
    }

    fn short(&mut self) -> Option<u16> {
        let bytes = self.message.get(self.at..)?.first_chunk::<2>()?;
        self.skip(2)?;
        Some(u16::from_be_bytes(*bytes))
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.at = self.at.checked_add(bytes).filter(|at| *at <= self.message.len())?;
        Some(())
    }

    fn record(&mut self, section: Section) -> Option<()> {
        self.name()?;
        let rtype = self.short()?;
        let class = self.short()? & CLASS;
        self.skip(4)?;
        let length = usize::from(self.short()?);
        let end = self.at.checked_add(length).filter(|end| *end <= self.message.len())?;
        let modelled = match section {
            // dns-parser gives neither type nor length of the others, and they are told.
            Section::Answer => class == IN && (name_offset(rtype).is_some() || matches!(rtype, rtype::A | rtype::AAAA | rtype::TXT)),
            // Not told, but read: the class of OPT is a size.
            Section::Authority | Section::Additional => {
                rtype == rtype::OPT || class == IN || Class::parse(class).is_ok() && !addresses(rtype)
            }
        };
        if !modelled || Type::parse(rtype).is_err() {
            return None;
        }
        // Names in the data are followed by dns-parser in every section.
        if rtype == rtype::SOA {
            self.name()?;
            self.name()?;
            self.skip(20)?;
        } else if let Some(offset) = name_offset(rtype) {
            self.skip(offset)?;
            self.name()?;
        } else {
            self.at = end;
        }
        (self.at == end).then_some(())
    }
}

fn addresses(rtype: u16) -> bool {
    matches!(rtype, rtype::A | rtype::AAAA)
}

fn name(raw: &RawName<'_>) -> Name {
    // A name that ends in a pointer to the root is printed with a dot at its end, hence the filter.
    Name::from_labels(raw.to_string().split('.').filter(|label| !label.is_empty()).map(str::as_bytes))
}

fn record(raw: &ResourceRecord<'_>) -> Option<Record> {
    let (rtype, data) = match &raw.data {
        RData::A(a) => (rtype::A, RecordData::Address(a.0.into())),
        RData::AAAA(aaaa) => (rtype::AAAA, RecordData::Address(aaaa.0.into())),
        RData::CNAME(cname) => (rtype::CNAME, RecordData::Name(name(&cname.0))),
        RData::NS(ns) => (rtype::NS, RecordData::Name(name(&ns.0))),
        RData::PTR(ptr) => (rtype::PTR, RecordData::Name(name(&ptr.0))),
        RData::MX(mx) => (rtype::MX, RecordData::Name(name(&mx.exchange))),
        RData::SRV(srv) => (rtype::SRV, RecordData::Name(name(&srv.target))),
        RData::TXT(txt) => {
            let length =
                txt.iter().fold(0_u16, |sum, string| sum.saturating_add(1).saturating_add(string.len().try_into().unwrap_or(u16::MAX)));
            (rtype::TXT, text(txt.iter()).map_or(RecordData::Other(length), RecordData::Text))
        }
        RData::SOA(_) | RData::Unknown(_) => return None,
    };
    Some(Record { name: name(&raw.name), rtype, ttl: lifetime(raw.ttl), data })
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{Name as OracleName, RData as OracleData};
    use proptest::prelude::*;

    use super::super::samples::{self, message, pointer, question, record, wire};
    use super::super::{Header, rest};
    use super::*;

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
                // Its strings are compared between the other two.
                OracleData::TXT(_) => RecordData::Other(0),
                other => panic!("not let through: {other:?}"),
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
            for (answer, ours) in answers.iter_mut().zip(&seen.answers).filter(|(answer, _)| answer.rtype == rtype::TXT) {
                answer.data = ours.data.clone();
            }
            assert_eq!((&seen.questions, &seen.answers), (&questions, &answers));
        }
        true
    }

    #[test]
    fn plain_messages_take_this_road_and_newer_ones_do_not() {
        let took = [samples::query("www.example.com", 1), samples::query("", 2), samples::reply(), samples::known_answer()];
        assert_eq!(took.map(|bytes| agree(&bytes)), [true; 4]);
        let left = [samples::query("www.example.com", 65), samples::https(), samples::announcement()];
        assert_eq!(left.map(|bytes| agree(&bytes)), [false; 3]);
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
        assert!(!agree(&bytes), "dns-parser prints it as two labels");
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
