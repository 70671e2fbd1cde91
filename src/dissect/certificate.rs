//! The names in the certificate of a TLS server, which up to TLS 1.2 is in the clear.
//!
//! Road taken: ServerHello and Certificate out of the joined records, read as soon as the first certificate of the chain is whole
//! and no further; `der` reads each element, and the way through a certificate (RFC 5280, 4.1) to its names is written here.
//! Road not taken: a reader of whole certificates (`x509-cert`, `x509-parser`: 5 and 18 crates more). It refuses all of one
//! for a serial number or a date that is not as it should be, as on many a device's own server, and with it the name.

use der::{AnyRef, Decode, SliceReader, Tag, TagNumber, Tagged};
use tls_parser::parse_tls_handshake_server_hello;

use super::observation::{Certificate, Name, Observation, Text};
use super::reader::Reader;
use super::tls::{self, End};
use super::{Dissector, Over, Verdict};

/// TLS over TCP, the server's side, on any port.
pub const DISSECTOR: Dissector = Dissector { name: "certificate", over: Over::Stream, ports: &[], read };

/// Reads the beginning of a server's stream (RFC 5246, 7.4.2): `NotMine` also for a server that chose TLS 1.3, which encrypts its
/// certificate, and for one that resumes a session, which sends none.
#[must_use]
pub fn read(prefix: &[u8]) -> Verdict {
    let joined = tls::join(prefix, flight_length);
    let used = match joined.end {
        End::Foreign | End::Broken => return Verdict::NotMine,
        End::Short(wanted) => return Verdict::NeedMore(wanted),
        End::Whole(used) => used,
    };
    match flight(&joined.message) {
        Some((version, certificate)) => match read_certificate(certificate) {
            Some(certificate) => {
                let seen = Observation::Certificate(Box::new(Certificate { version, ..certificate }));
                Verdict::Saw { seen, used, more: false }
            }
            None => Verdict::Malformed("certificate"),
        },
        None => Verdict::NotMine,
    }
}

const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SUPPORTED_VERSIONS: u16 = 43;
/// Lengths of a ServerHello: its fixed fields at least. A stream that promises 16 MiB would otherwise be kept until it ends.
const HELLO: std::ops::RangeInclusive<usize> = 38..=4_096;
/// The longest certificate that is waited for, in bytes, for the same reason: real ones have 1 to 5 KiB.
const MAX_CERTIFICATE: usize = 12_288;
/// The longest host name (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;

/// How many handshake bytes there have to be up to the end of the first certificate, as far as those that came say.
fn flight_length(bytes: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(bytes);
    let after = |reader: &Reader<'_>, more: usize| Some(bytes.len().saturating_sub(reader.rest.len()).saturating_add(more));
    let Some(length) = header(&mut reader, SERVER_HELLO)? else { return after(&reader, HEADER) };
    if !HELLO.contains(&length) {
        return None;
    }
    let Some(hello) = reader.take(length) else { return after(&reader, length) };
    chosen(hello)?;
    let Some(chain) = header(&mut reader, CERTIFICATE)? else { return after(&reader, HEADER) };
    if chain < EMPTY_CHAIN.saturating_add(3) {
        return None;
    }
    let (Some(list), Some(first)) = (u24(&mut reader), u24(&mut reader)) else {
        return Some(HEADER.saturating_mul(2).saturating_add(length).saturating_add(6));
    };
    let plausible = list.checked_add(EMPTY_CHAIN) == Some(chain) && first.saturating_add(3) <= list && first <= MAX_CERTIFICATE;
    if plausible { after(&reader, first) } else { None }
}

/// Type and length of a handshake message.
const HEADER: usize = 4;
/// The length of a list without certificates.
const EMPTY_CHAIN: usize = 3;

/// The length behind a message header, which stays unread until it is whole (`Some(None)`); `None` for another message.
#[expect(clippy::option_option, reason = "not this message and not yet are two answers")]
fn header(reader: &mut Reader<'_>, kind: u8) -> Option<Option<usize>> {
    if reader.rest.first().is_some_and(|first| *first != kind) {
        return None;
    }
    let whole = reader.array::<HEADER>();
    Some(whole.and_then(|[_, a, b, c]| usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()))
}

fn u24(reader: &mut Reader<'_>) -> Option<usize> {
    let [a, b, c] = reader.array()?;
    usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()
}

/// The version that a ServerHello chose, up to TLS 1.2; 1.3 and its drafts say theirs in an extension that older ones do not send.
fn chosen(hello: &[u8]) -> Option<u16> {
    let (_, hello) = parse_tls_handshake_server_hello(hello).ok()?;
    let mut extensions = Reader::new(hello.ext.unwrap_or_default());
    while let (Some(kind), Some(_)) = (extensions.u16(), extensions.vec16()) {
        if kind == SUPPORTED_VERSIONS {
            return None;
        }
    }
    Some(hello.version.0)
}

/// Version and first certificate of a whole flight.
fn flight(message: &[u8]) -> Option<(u16, &[u8])> {
    let mut reader = Reader::new(message);
    let length = header(&mut reader, SERVER_HELLO)??;
    let version = chosen(reader.take(length)?)?;
    header(&mut reader, CERTIFICATE)??;
    let (_list, first) = (u24(&mut reader)?, u24(&mut reader)?);
    Some((version, reader.take(first)?))
}

/// The content of the object identifiers 2.5.4.3 and 2.5.29.17.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
const VERSION: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
const EXTENSIONS: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(3) };
const DNS_NAME: Tag = Tag::ContextSpecific { constructed: false, number: TagNumber(2) };

/// The names of a certificate (RFC 5280, 4.1, 4.2.1.6).
fn read_certificate(bytes: &[u8]) -> Option<Certificate> {
    let whole = elements(bytes).next().filter(|element| element.tag() == Tag::Sequence)?;
    let body = elements(whole.value()).next().filter(|element| element.tag() == Tag::Sequence)?;
    // serialNumber, signature, issuer, validity, subject
    let mut fields = elements(body.value()).skip_while(|field| field.tag() == VERSION);
    let issuer = fields.nth(2)?;
    let subject = common_name(fields.nth(1)?);
    let mut found = Certificate {
        common_name: subject.and_then(Text::from_bytes),
        issuer: common_name(issuer).and_then(Text::from_bytes),
        ..Certificate::default()
    };
    let extensions = fields.find(|field| field.tag() == EXTENSIONS).map_or(&[][..], AnyRef::value);
    let main = subject.and_then(host).filter(|name| name.is_plain() && name.as_str().contains('.'));
    let others = elements(extensions).next().and_then(alternative_names).into_iter().flatten().filter_map(host);
    for name in main.into_iter().chain(others) {
        if found.names.contains(&name) {
            continue;
        }
        if found.names.len() >= Certificate::MAX_NAMES {
            found.cut = true;
            break;
        }
        found.names.push(name);
    }
    Some(found)
}

/// The elements of a run of DER, up to the first that cannot be read.
fn elements<'a>(bytes: &'a [u8]) -> impl Iterator<Item = AnyRef<'a>> {
    let mut reader = SliceReader::new(bytes).ok();
    std::iter::from_fn(move || AnyRef::decode(reader.as_mut()?).ok())
}

/// The content of the dNSName entries among a certificate's extensions.
fn alternative_names<'a>(extensions: AnyRef<'a>) -> Option<impl Iterator<Item = &'a [u8]>> {
    let names = elements(extensions.value()).find_map(|extension| {
        let mut fields = elements(extension.value());
        fields.next().filter(|kind| kind.value() == SUBJECT_ALT_NAME)?;
        fields.find(|field| field.tag() == Tag::OctetString)
    })?;
    let list = elements(names.value()).next()?;
    Some(elements(list.value()).filter(|name| name.tag() == DNS_NAME).map(AnyRef::value))
}

/// The common name of a subject or issuer: the last, which is the most specific. UTF-16 (BMPString) is left out.
fn common_name<'a>(name: AnyRef<'a>) -> Option<&'a [u8]> {
    let attributes = elements(name.value()).flat_map(|set| elements(set.value()));
    let common = attributes.filter_map(|attribute| {
        let mut fields = elements(attribute.value());
        fields.next().filter(|kind| kind.value() == COMMON_NAME)?;
        fields.next().filter(|text| text.tag() != Tag::BmpString).map(AnyRef::value)
    });
    common.last()
}

fn host(name: &[u8]) -> Option<Name> {
    let sane = name.len() <= MAX_NAME && !name.iter().any(u8::is_ascii_control);
    if sane { Name::from_dotted(name) } else { None }
}

#[cfg(test)]
mod tests {
    use super::super::tls::build::{extension, records};
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap();
        match length {
            0..128 => [&[tag, u8::try_from(length).unwrap()], content].concat(),
            _ => [&[tag, 0x82][..], &length.to_be_bytes(), content].concat(),
        }
    }

    fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
        element(0x30, &parts.concat())
    }

    /// A subject or issuer: an organisation, and common names.
    fn party(names: &[&str]) -> Vec<u8> {
        let attribute = |kind: u8, text: &str| {
            element(0x31, &sequence(&[element(6, &[0x55, 4, kind]), element(0x0c, text.as_bytes())])) // UTF8String
        };
        let common = names.iter().map(|name| attribute(3, name));
        sequence(&std::iter::once(attribute(10, "Example")).chain(common).collect::<Vec<_>>())
    }

    fn certificate(issuer: &[&str], subject: &[&str], names: &[&[u8]]) -> Vec<u8> {
        let names: Vec<_> = names.iter().map(|name| element(0x82, name)).chain([element(0x87, &[192, 0, 2, 1])]).collect();
        let extensions = sequence(&[
            sequence(&[element(6, &[0x55, 0x1d, 19]), element(1, &[0xff]), element(4, &sequence(&[]))]),
            sequence(&[element(6, SUBJECT_ALT_NAME), element(4, &sequence(&names))]),
        ]);
        let algorithm = sequence(&[element(6, &[0x2a, 3]), element(5, &[])]);
        let body = [
            element(0xa0, &element(2, &[2])),
            element(2, &[0x80; 30]), // a serial number that is negative and too long
            algorithm.clone(),
            party(issuer),
            sequence(&[element(0x17, b"2601010000Z"), element(0x17, b"never")]),
            party(subject),
            sequence(&[algorithm.clone(), element(3, &[0; 65])]),
            element(0xa3, &extensions),
        ];
        sequence(&[sequence(&body), algorithm, element(3, &[0; 257])])
    }

    fn message(kind: u8, content: &[u8]) -> Vec<u8> {
        [&[kind], &u32::try_from(content.len()).unwrap().to_be_bytes()[1..], content].concat()
    }

    fn server_hello(extensions: &[Vec<u8>]) -> Vec<u8> {
        let extensions = extensions.concat();
        let length = u16::try_from(extensions.len()).unwrap().to_be_bytes();
        message(2, &[&[3, 3][..], &[7; 32], &[0, 0xc0, 0x2f, 0], &length, &extensions].concat())
    }

    fn chain(certificates: &[Vec<u8>]) -> Vec<u8> {
        let list: Vec<u8> = certificates.iter().flat_map(|one| message(0, one)[1..].to_vec()).collect();
        message(11, &message(0, &list)[1..])
    }

    fn seen(verdict: Verdict) -> (Certificate, usize) {
        match verdict {
            Verdict::Saw { seen: Observation::Certificate(found), used, more: false } => (*found, used),
            other => panic!("no certificate: {other:?}"),
        }
    }

    fn names(found: &Certificate) -> Vec<&str> {
        found.names.iter().map(Name::as_str).collect()
    }

    /// A server's first flight: its hello, two certificates, and the end; how long it is up to the first certificate.
    fn example() -> (Vec<u8>, usize) {
        let first = certificate(&["Example CA"], &["Someone", "WWW.Example.com"], &[b"*.example.com", b"www.example.com", b"example.net"]);
        let hello = server_hello(&[extension(0xff01, &[0])]);
        let needed = hello.len() + 4 + 3 + 3 + first.len();
        ([hello, chain(&[first, vec![0; 900]]), message(14, &[])].concat(), needed)
    }

    #[test]
    fn the_first_certificate_gives_its_names() {
        let (flight, needed) = example();
        let (found, used) = seen(read(&records(&flight, 16_384)));
        assert_eq!(names(&found), ["www.example.com", "*.example.com", "example.net"]);
        assert_eq!((found.cut, found.version, used), (false, 0x0303, needed + 5));
        assert_eq!((found.common_name.unwrap().as_str(), found.issuer.unwrap().as_str()), ("WWW.Example.com", "Example CA"));
    }

    #[test]
    fn any_records_and_any_cut_give_the_same_as_soon_as_it_is_there() {
        let (flight, needed) = example();
        let whole = seen(read(&records(&flight, 16_384))).0;
        for size in [7, 100, 700, 16_384] {
            let stream = records(&flight, size);
            let needed = needed + needed.div_ceil(size) * 5;
            for cut in 0..stream.len() {
                match read(&stream[..cut]) {
                    Verdict::NeedMore(wanted) => assert!(wanted > cut && wanted <= needed, "cut {cut}, records of {size}: {wanted}"),
                    saw => {
                        assert!(cut >= needed, "cut {cut}, records of {size}");
                        assert_eq!(seen(saw), (whole.clone(), needed));
                    }
                }
            }
        }
    }

    #[test]
    fn names_are_few_and_sane() {
        let many: Vec<Vec<u8>> = (0..20).map(|i| format!("host{i}.example.com").into_bytes()).collect();
        let found = read_certificate(&certificate(&[], &["Example Device"], &many.iter().map(Vec::as_slice).collect::<Vec<_>>())).unwrap();
        assert_eq!((found.names.len(), names(&found)[0], found.cut), (Certificate::MAX_NAMES, "host0.example.com", true));
        let found = read_certificate(&certificate(&[], &["not a host.com"], &[b"a\0b.com", &[b'a'; 300], b""])).unwrap();
        assert_eq!((names(&found).len(), found.cut, found.issuer.is_none()), (0, false, true));
    }

    #[test]
    fn what_shows_no_certificate_leaves_the_race() {
        let (flight, _) = example();
        let resumed = server_hello(&[]);
        let finished = [records(&resumed, 16_384), vec![20, 3, 3, 0, 1, 1]].concat();
        assert_eq!(read(&finished), Verdict::NotMine, "a resumed session");
        let modern = server_hello(&[extension(43, &[3, 4])]);
        assert_eq!(read(&records(&[modern, flight[38..].to_vec()].concat(), 16_384)), Verdict::NotMine, "TLS 1.3");
        for message in [chain(&[]), chain(&[vec![0; 16_000]]), message(4, &[0; 200])] {
            let stream = records(&[resumed.clone(), message].concat(), 16_384);
            assert!(!matches!(read(&stream), Verdict::Saw { .. } | Verdict::NeedMore(_)));
        }
        assert_eq!(read(&records(&[resumed, chain(&[vec![0x30, 0]])].concat(), 16_384)), Verdict::Malformed("certificate"));
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01\x01\0\x01\0\0\xfc", b"\x16\x03\x03\0\x10\x02\xff\xff\xff", b"SSH-2.0"] {
            assert_eq!(read(bytes), Verdict::NotMine, "{bytes:?}");
        }
    }

    #[test]
    fn tor_is_known_by_two_random_names() {
        let of = |issuer, subject| read_certificate(&certificate(&[issuer], &[subject], &[])).unwrap();
        assert!(of("www.5kyuyxzktd2.com", "www.w6s7xfhx2jb4.net").is_tor());
        for (issuer, subject) in
            [("Example CA", "www.w6s7xfhx2jb4.net"), ("www.5kyuyxzktd2.com", "www.short.net"), ("www.5kyuyxzktd2.com", "www.has0zero1.net")]
        {
            assert!(!of(issuer, subject).is_tor(), "{issuer}, {subject}");
        }
    }

    #[test]
    fn no_damaged_byte_makes_it_panic() {
        let stream = records(&example().0, 700);
        for at in 0..stream.len() {
            for value in [0, 1, 0x30, 0x7f, 0x80, 0x84, 0xff] {
                let mut damaged = stream.clone();
                damaged[at] = value;
                if let Verdict::NeedMore(wanted) = read(&damaged) {
                    assert!(wanted > damaged.len());
                }
            }
        }
    }
}
