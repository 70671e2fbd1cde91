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
        additional: packet.additional.iter().filter(|raw| matches!(raw.data, RData::A(_) | RData::AAAA(_))).filter_map(record).collect(),
        partial: packet.header.truncated,
    })
}

/// Whether `dns-parser` reads this message as [`super::rest`] would.
fn vouches(message: &[u8], header: &Header) -> Option<()> {
    let over = usize::from(header.questions) > DnsMessage::MAX_QUESTIONS
        || usize::from(header.answers.max(header.additional)) > DnsMessage::MAX_ANSWERS;
    if header.opcode() != 0 || header.reserved() || over {
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
