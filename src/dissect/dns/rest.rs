//! Every other message, record by record with `domain`: newer types, odd bytes in names, and messages that are not whole.
//!
//! What was read before an error stays. A record with bad data but a sound frame is told as [`RecordData::Other`], and reading
//! goes on behind it; a bad name or a cut ends it, since nothing after that is where it seems to be.

use std::net::IpAddr;

use domain::base::message::RecordSection;
use domain::base::name::ParsedName;
use domain::base::{Message, ParsedRecord};
use domain::rdata::AllRecordData;
use domain::rdata::svcb::SvcParams;
use domain::rdata::svcb::value::{Ech, Ipv4Hint, Ipv6Hint};

use super::name::{CUT, Names};
use super::{CLASS, Header, IN, Reason, lifetime, name_offset, rtype, text};
use crate::dissect::observation::{DnsMessage, Name, Question, Record, RecordData};

/// Address hints kept of one HTTPS record: more than any service publishes; the parameter could hold 16,000.
const MAX_HINTS: usize = 16;

/// Reads what can be read. An error only if that is nothing at all.
pub(super) fn read(bytes: &[u8], header: &Header) -> Result<DnsMessage, Reason> {
    let mut seen = header.message();
    match read_sections(bytes, header, &mut seen) {
        Err(reason) if seen.questions.is_empty() && seen.answers.is_empty() && seen.additional.is_empty() => return Err(reason),
        Err(_) => seen.partial = true,
        Ok(()) => {}
    }
    Ok(seen)
}

fn read_sections(bytes: &[u8], header: &Header, seen: &mut DnsMessage) -> Result<(), Reason> {
    let message = Message::from_slice(bytes).map_err(|_| "short-header")?;
    let mut names = Names::new(bytes);
    let mut questions = message.question();
    for _ in 0..header.questions {
        if seen.questions.len() >= DnsMessage::MAX_QUESTIONS {
            return Err("many-questions");
        }
        let (name, _) = names.read(questions.pos())?;
        let Some(asked) = questions.next() else { break };
        let asked = asked.map_err(|_| CUT)?;
        seen.questions.push(Question { name, qtype: asked.qtype().to_int() });
    }
    if header.opcode() != 0 {
        return Ok(());
    }
    let mut reader = Reader { names, damaged: false };
    let mut answers = questions.answer().map_err(|_| CUT)?;
    let done = reader.records(header.answers, &mut answers, &mut seen.answers, |_| true);
    seen.partial |= reader.damaged;
    done?;
    // Authority names servers of zones, not of devices: skipped, without following its names.
    let authority = answers.next_section().map_err(|_| CUT)?.ok_or(CUT)?;
    let mut additional = authority.next_section().map_err(|_| CUT)?.ok_or(CUT)?;
    let done = reader.records(header.additional, &mut additional, &mut seen.additional, |rtype| {
        matches!(rtype, rtype::A | rtype::AAAA | rtype::SRV | rtype::TXT | rtype::SVCB | rtype::HTTPS)
    });
    // Bytes behind the last record: a count is wrong, or the sender is.
    seen.partial |= reader.damaged || additional.pos() < bytes.len();
    done
}

/// Reads records of one message.
struct Reader<'a> {
    names: Names<'a>,
    /// The data of a record could not be read.
    damaged: bool,
}

impl Reader<'_> {
    /// Reads a section of `count` records and keeps those whose type is `kept`.
    fn records(
        &mut self,
        count: u16,
        section: &mut RecordSection<'_, [u8]>,
        into: &mut Vec<Record>,
        kept: fn(u16) -> bool,
    ) -> Result<(), Reason> {
        for _ in 0..count {
            let (name, _) = self.names.read(section.pos())?;
            let Some(record) = section.next() else { break };
            let record = record.map_err(|_| CUT)?;
            let rtype = record.rtype().to_int();
            if !kept(rtype) {
                continue;
            }
            if into.len() >= DnsMessage::MAX_ANSWERS {
                return Err("many-records");
            }
            let data = self.data(&record, section.pos()).unwrap_or_else(|| {
                self.damaged = true;
                RecordData::Other(record.rdlen())
            });
            into.push(Record { name, rtype, ttl: lifetime(record.ttl().as_secs()), data });
        }
        Ok(())
    }

    /// The data of a record that ends at `end`; `None` if it is not what its type says.
    fn data(&mut self, record: &ParsedRecord<'_, [u8]>, end: usize) -> Option<RecordData> {
        let rtype = record.rtype().to_int();
        let length = record.rdlen();
        let other = Some(RecordData::Other(length));
        let internet = record.class().to_int() & CLASS == IN;
        let told = match rtype {
            // An address of another class is not one of the Internet.
            rtype::A | rtype::AAAA | rtype::SVCB | rtype::HTTPS => internet,
            rtype::TXT => true,
            _ => name_offset(rtype).is_some(),
        };
        if !told {
            return other;
        }
        let name = match name_offset(rtype) {
            Some(offset) => self.names.read(end.checked_sub(usize::from(length))?.checked_add(offset)?).ok()?.0,
            None => Name::default(),
        };
        Some(match record.to_any_record::<AllRecordData<&[u8], ParsedName<&[u8]>>>().ok()?.into_data() {
            AllRecordData::A(a) => RecordData::Address(a.addr().into()),
            AllRecordData::Aaaa(aaaa) => RecordData::Address(aaaa.addr().into()),
            AllRecordData::Cname(_) | AllRecordData::Dname(_) | AllRecordData::Ns(_) | AllRecordData::Ptr(_) => RecordData::Name(name),
            AllRecordData::Mx(_) | AllRecordData::Srv(_) => RecordData::Name(name),
            AllRecordData::Svcb(svcb) => service(name, svcb.params()),
            AllRecordData::Https(https) => service(name, https.params()),
            AllRecordData::Txt(txt) => return text(txt.iter()).map(RecordData::Text).or(other),
            _ => return other,
        })
    }
}

fn service(target: Name, params: &SvcParams<&[u8]>) -> RecordData {
    let v4 = params.first::<Ipv4Hint<_>>();
    let v6 = params.first::<Ipv6Hint<_>>();
    let v4 = v4.iter().flat_map(Ipv4Hint::iter).map(IpAddr::from);
    let v6 = v6.iter().flat_map(Ipv6Hint::iter).map(IpAddr::from);
    let configurations = params.first::<Ech<&[u8]>>();
    let public_name = configurations.as_ref().and_then(|list| public_name(list.as_slice())).unwrap_or_default();
    RecordData::Service { target, hints: v4.chain(v6).take(MAX_HINTS).collect(), ech: configurations.is_some(), public_name }
}

/// The public name of the first configuration of a list that is of the version in use (RFC 9849, 4). By hand, since `domain` leaves the
/// parameter's octets alone, and no TLS library that is here reads configurations without the means to encrypt.
fn public_name(list: &[u8]) -> Option<Name> {
    let mut rest = list.get(2..)?;
    while let [version @ .., high, low] = rest.get(..4)? {
        let (configuration, behind) = rest.get(4..)?.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        if version == [0xfe, 0x0d] {
            // config_id and kem_id, public_key, cipher_suites, maximum_name_length, public_name.
            let [_, length, name @ ..] = behind_vector(behind_vector(configuration.get(3..)?)?)? else { return None };
            return Name::from_dotted(name.get(..usize::from(*length))?);
        }
        rest = behind;
    }
    None
}

/// What stands behind a vector with a length of two octets (RFC 8446, 3.4).
fn behind_vector(bytes: &[u8]) -> Option<&[u8]> {
    let [high, low, rest @ ..] = bytes else { return None };
    rest.get(usize::from(u16::from_be_bytes([*high, *low]))..)
}
