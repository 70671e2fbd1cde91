//! TLS: what a ClientHello says, over TCP records or from QUIC's CRYPTO stream.
//!
//! Road taken: the records are joined first, because a hello with a post-quantum key share is spread over segments and some clients
//! spread it over records; one reading of handshake bytes then serves TCP and QUIC. `tls-parser` reads the hello and the content
//! of each extension, but the walk over the extensions is ours: the library's stops at the first extension that it dislikes and
//! would hide a name behind it. A hello that the library refuses as a whole (an odd cipher list, a long session identifier) and
//! one of which a snap length left only the beginning are walked field by field, without a fingerprint.
//! Road not taken: `parse_tls_plaintext`, which refuses a hello over two records.

use std::borrow::Cow;

use tls_parser::{
    TlsExtension, TlsRecordType, parse_tls_extension_alpn_content, parse_tls_extension_sni_content, parse_tls_handshake_client_hello,
    parse_tls_record_header,
};

use super::ja4;
use super::observation::{ClientHello, Name, Observation, Text};
use super::reader::Reader;
use super::{Dissector, Over, Verdict};

/// TLS over TCP, on any port.
pub const DISSECTOR: Dissector = Dissector { name: "tls", over: Over::Stream, ports: &[], read };

/// Reads the beginning of a TCP stream: records (RFC 8446, 5.1) up to the end of the ClientHello.
///
/// `NeedMore` counts bytes of the stream.
#[must_use]
pub fn read(prefix: &[u8]) -> Verdict {
    if prefix.first().is_some_and(|first| first & 0x80 != 0) {
        return version2(prefix);
    }
    let joined = join(prefix, message_length);
    match joined.end {
        End::Foreign => Verdict::NotMine,
        End::Broken => Verdict::Malformed("record inside a hello"),
        End::Short(wanted) => Verdict::NeedMore(wanted),
        End::Whole(used) => told(&joined.message, None, used),
    }
}

/// Reads a ClientHello from handshake bytes without record headers (RFC 8446, 4): those of QUIC, with its version.
///
/// `NeedMore` counts handshake bytes.
#[must_use]
pub fn handshake(bytes: &[u8], quic_version: Option<u32>) -> Verdict {
    match message_length(bytes) {
        None => Verdict::NotMine,
        Some(length) => match bytes.get(..length) {
            None => Verdict::NeedMore(length),
            Some(message) => told(message, quic_version, length),
        },
    }
}

/// What can be read of a hello whose end will not come, from the beginning of a TCP stream (RFC 8446, 5.1).
///
/// Only extensions that are there as a whole count, so a name is never half a name; `ja4` is `None`.
#[must_use]
pub fn partial(prefix: &[u8]) -> Option<ClientHello> {
    let joined = join(prefix, message_length);
    if matches!(joined.end, End::Foreign) { None } else { partial_handshake(&joined.message, None) }
}

/// As [`partial`], from handshake bytes without record headers.
#[must_use]
pub fn partial_handshake(bytes: &[u8], quic_version: Option<u32>) -> Option<ClientHello> {
    message_length(bytes)?;
    let hello = Fields::leniently(bytes.get(HANDSHAKE_HEADER..)?)?;
    Some(hello.observed(quic_version))
}

/// Type and length of a handshake message.
const HANDSHAKE_HEADER: usize = 4;
/// Record header: type, version, length.
const RECORD_HEADER: usize = 5;
/// The longest record, with what compression or encryption may add (RFC 5246, 6.2.3).
const MAX_RECORD: u16 = 16_384 + 2_048;
/// Alerts and changes of cipher before a hello (the second one, after HelloRetryRequest): a stream of nothing else is left alone.
const MAX_SKIPPED: u8 = 4;
/// Records without a byte in a row, which nobody may send (RFC 8446, 5.1) and OpenSSL takes this many of: an evader puts them before and
/// into its hello. A stream of nothing else is left alone.
const MAX_EMPTY: u8 = 32;
/// Protocols kept of one hello: a list of 30,000 one-letter protocols fits into an extension.
const MAX_PROTOCOLS: usize = 16;
/// Room for the extensions of one hello: browsers send 18.
const USUAL: usize = 24;
/// The longest host name (RFC 1035, 2.3.4); longer ones exist only to fill tables and logs.
const MAX_NAME: usize = 253;

const SERVER_NAME: u16 = 0;
const SIGNATURE_ALGORITHMS: u16 = 13;
const APPLICATION_PROTOCOLS: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

/// How far the records reach.
pub(super) enum End {
    /// These are not the records that were looked for.
    Foreign,
    /// Something else came before the messages were whole.
    Broken,
    /// Not before the stream has this many bytes can the messages be whole.
    Short(usize),
    /// The messages end after this many bytes of the stream.
    Whole(usize),
}

/// The handshake bytes out of the records of a stream, as far as they have come.
pub(super) struct Joined<'a> {
    pub(super) message: Cow<'a, [u8]>,
    pub(super) end: End,
}

/// Takes the record headers off. Bytes of a record that has not fully come are used already.
///
/// `length` says of the handshake bytes that came how many there have to be: more than came until nothing is missing, or `None` if
/// they are not what is looked for.
pub(super) fn join(prefix: &[u8], length: fn(&[u8]) -> Option<usize>) -> Joined<'_> {
    let mut message: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    let mut rest = prefix;
    let (mut skipped, mut empty) = (0, 0);
    let end = loop {
        let missing = length(&message).unwrap_or(HANDSHAKE_HEADER).saturating_sub(message.len());
        let Ok((body, header)) = parse_tls_record_header(rest) else {
            let wanted = prefix.len().saturating_sub(rest.len()).saturating_add(RECORD_HEADER).saturating_add(missing);
            break match rest {
                [] | [0x14..=0x16] | [0x14..=0x16, 3, ..] => End::Short(wanted),
                _ => foreign(&message),
            };
        };
        if header.version.0 >> 8 != 3 || header.len > MAX_RECORD {
            break foreign(&message);
        }
        if header.len == 0 && header.record_type == TlsRecordType::Handshake && empty < MAX_EMPTY {
            empty = empty.saturating_add(1);
            rest = body;
            continue;
        }
        empty = 0;
        let whole = usize::from(header.len);
        let (data, after) = body.split_at_checked(whole).unwrap_or((body, &[]));
        let lacking = whole.saturating_sub(data.len());
        match header.record_type {
            TlsRecordType::Handshake if whole > 0 => append(&mut message, data),
            TlsRecordType::Alert | TlsRecordType::ChangeCipherSpec
                if message.is_empty() && matches!(whole, 1 | 2) && skipped < MAX_SKIPPED =>
            {
                skipped = skipped.saturating_add(1);
            }
            _ => break foreign(&message),
        }
        let Some(wanted) = length(&message) else { break End::Foreign };
        if let Some(over) = message.len().checked_sub(wanted) {
            truncate(&mut message, wanted);
            break End::Whole(prefix.len().saturating_sub(after.len()).saturating_sub(over));
        }
        if lacking > 0 {
            let missing = wanted.saturating_sub(message.len());
            let more = if header.record_type != TlsRecordType::Handshake {
                lacking.saturating_add(RECORD_HEADER).saturating_add(missing)
            } else if missing > lacking {
                missing.saturating_add(RECORD_HEADER)
            } else {
                missing
            };
            break End::Short(prefix.len().saturating_add(more));
        }
        rest = after;
    };
    Joined { message, end }
}

/// What a record that does not belong says: before a hello, that this is none; inside one, that it is broken.
fn foreign(message: &[u8]) -> End {
    if message.is_empty() { End::Foreign } else { End::Broken }
}

/// The first record is borrowed, as it mostly holds the hello; the second makes a copy.
fn append<'a>(message: &mut Cow<'a, [u8]>, data: &'a [u8]) {
    if message.is_empty() {
        *message = Cow::Borrowed(data);
    } else {
        message.to_mut().extend_from_slice(data);
    }
}

fn truncate(message: &mut Cow<'_, [u8]>, length: usize) {
    match message {
        Cow::Borrowed(bytes) => *bytes = bytes.get(..length).unwrap_or(bytes),
        Cow::Owned(bytes) => bytes.truncate(length),
    }
}

/// The length of a ClientHello with its header, or of the header where that has not come; `None` for any other message.
fn message_length(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [] | [1] | [1, 0 | 1] | [1, 0 | 1, _] => Some(HANDSHAKE_HEADER),
        [1, high, middle, low, ..] => {
            let length = usize::try_from(u32::from_be_bytes([0, *high, *middle, *low])).ok()?;
            PLAUSIBLE.contains(&length).then(|| length.saturating_add(HANDSHAKE_HEADER))
        }
        _ => None,
    }
}

/// Lengths that a ClientHello can have: its fixed fields at least, its two long lists at most. A stream that promises
/// 16 MiB would otherwise keep its memory until it ends.
const PLAUSIBLE: std::ops::Range<usize> = 38..0x2_0000;

/// SSL 3. A hello may bear any version above it: servers take the highest that they know, or the extension's (RFC 8446, 4.2.1).
const LEAST_VERSION: u16 = 0x0300;

/// The verdict on a whole message.
fn told(message: &[u8], quic_version: Option<u32>, used: usize) -> Verdict {
    let body = message.get(HANDSHAKE_HEADER..).unwrap_or_default();
    match Fields::read(body) {
        Some(fields) => {
            // After HelloRetryRequest there is a second hello (RFC 8446, 4.1.2).
            Verdict::Saw { seen: Observation::Hello(Box::new(fields.observed(quic_version))), used, more: quic_version.is_none() }
        }
        None => Verdict::Malformed("hello"),
    }
}

/// A ClientHello in the form of SSL 2 (RFC 5246, E.2), as clients of before 2010 open TLS: a version and no name.
///
/// Its lengths must agree, since two bytes are little to know a protocol by.
fn version2(prefix: &[u8]) -> Verdict {
    let mut reader = Reader::new(prefix);
    let header = (|| {
        let (length, kind, version) = (reader.u16()? & 0x7fff, reader.u8()?, reader.u16()?);
        Some((length, kind, version, reader.u16()?, reader.u16()?, reader.u16()?))
    })();
    let Some((length, kind, version, ciphers, session, challenge)) = header else {
        return match prefix {
            [_] | [_, _] | [_, _, 1] | [_, _, 1, 3, ..] => Verdict::NeedMore(11),
            _ => Verdict::NotMine,
        };
    };
    let sum = u32::from(ciphers).saturating_add(u32::from(session)).saturating_add(u32::from(challenge)).saturating_add(9);
    let fits = kind == 1 && (0x0300..=0x0303).contains(&version) && u32::from(length) == sum;
    if !fits || ciphers == 0 || ciphers % 3 != 0 || !matches!(session, 0 | 16) || !(16..=32).contains(&challenge) {
        return Verdict::NotMine;
    }
    let whole = usize::from(length).saturating_add(2);
    if prefix.len() < whole {
        return Verdict::NeedMore(whole);
    }
    let hello = ClientHello { version, ..ClientHello::default() };
    Verdict::Saw { seen: Observation::Hello(Box::new(hello)), used: whole, more: false }
}

/// The fields of a hello that are used, its extensions unread.
struct Fields<'a> {
    version: u16,
    ciphers: Vec<u16>,
    extensions: &'a [u8],
    /// All of it was read as it should be, so that a fingerprint of it is one.
    sound: bool,
}

impl<'a> Fields<'a> {
    /// A whole message, without its header.
    fn read(body: &'a [u8]) -> Option<Self> {
        match parse_tls_handshake_client_hello(body) {
            Ok((rest, hello)) if hello.version.0 >= LEAST_VERSION && (hello.ext.is_some() || rest.is_empty()) => Some(Self {
                version: hello.version.0,
                ciphers: hello.ciphers.into_iter().map(|cipher| cipher.0).collect(),
                extensions: hello.ext.unwrap_or_default(),
                sound: true,
            }),
            _ => Self::leniently(body),
        }
    }

    /// A message that is cut off or has lengths that the library refuses; its extensions as far as they are there.
    fn leniently(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let version = reader.u16().filter(|version| *version >= LEAST_VERSION)?;
        reader.take(32)?;
        reader.vec8()?;
        let ciphers = reader.vec16()?;
        reader.vec8()?;
        let _length = reader.u16();
        Some(Self { version, ciphers: numbers(ciphers), extensions: reader.rest, sound: false })
    }

    /// What the hello says.
    fn observed(self, quic_version: Option<u32>) -> ClientHello {
        let mut hello = ClientHello { version: self.version, quic_version, ..ClientHello::default() };
        let (mut kinds, mut versions, mut signatures, mut protocol) = (Vec::with_capacity(USUAL), &[][..], &[][..], None);
        let mut reader = Reader::new(self.extensions);
        while let (Some(kind), Some(content)) = (reader.u16(), reader.vec16()) {
            kinds.push(kind);
            match kind {
                SERVER_NAME if hello.name.is_none() => hello.name = server_name(content),
                APPLICATION_PROTOCOLS if protocol.is_none() => {
                    if let Ok((_, TlsExtension::ALPN(list))) = parse_tls_extension_alpn_content(content) {
                        protocol = list.first().copied();
                        hello.alpn = Vec::with_capacity(list.len().min(MAX_PROTOCOLS));
                        hello.alpn.extend(list.iter().filter_map(|name| Text::from_bytes(name)).take(MAX_PROTOCOLS));
                    }
                }
                // The library's reading of this one makes its list grow number by number, and of the next one is not public.
                SIGNATURE_ALGORITHMS => signatures = Reader::new(content).vec16().map_or(signatures, |list| list.as_chunks().0),
                SUPPORTED_VERSIONS => versions = Reader::new(content).vec8().unwrap_or_default().as_chunks().0,
                ENCRYPTED_CLIENT_HELLO => hello.ech = true,
                _ => {}
            }
        }
        let versions = || versions.iter().copied().map(u16::from_be_bytes).filter(|version| !ja4::is_grease(*version));
        let highest = versions().max().unwrap_or(self.version);
        // Drafts of TLS 1.3 have numbers above it (0x7f1a), which say nothing to a reader of an event.
        hello.version = versions().filter(|version| version >> 8 == 3).max().unwrap_or(highest);
        if self.sound {
            hello.ja4 = Some(ja4::of(ja4::Fields {
                quic: quic_version.is_some(),
                version: highest,
                ciphers: self.ciphers,
                extensions: kinds,
                alpn: protocol,
                signatures,
            }));
        }
        hello
    }
}

/// The server name among the extensions of a hello.
pub(super) fn name_in(extensions: &[u8]) -> Option<Name> {
    let mut reader = Reader::new(extensions);
    while let (Some(kind), Some(content)) = (reader.u16(), reader.vec16()) {
        if kind == SERVER_NAME {
            return server_name(content);
        }
    }
    None
}

/// The first host name of the extension (RFC 6066, 3). An address is not one by the RFC, but it is what the client asked for.
fn server_name(content: &[u8]) -> Option<Name> {
    let Ok((_, TlsExtension::SNI(list))) = parse_tls_extension_sni_content(content) else { return None };
    let (_, name) = list.into_iter().find(|(kind, _)| kind.0 == 0)?;
    let sane = name.len() <= MAX_NAME && !name.iter().any(u8::is_ascii_control);
    if sane { Name::from_dotted(name) } else { None }
}

/// Numbers of two bytes each; an odd byte at the end is left.
fn numbers(bytes: &[u8]) -> Vec<u16> {
    bytes.as_chunks::<2>().0.iter().copied().map(u16::from_be_bytes).collect()
}

/// Builders of hellos for the tests of this stage.
#[cfg(test)]
pub(super) mod build {
    /// An extension: type, length, content.
    pub(crate) fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &u16::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
    }

    /// server_name with one entry of a type.
    pub(crate) fn server_name(kind: u8, name: &[u8]) -> Vec<u8> {
        let length = |more: usize| u16::try_from(name.len() + more).unwrap().to_be_bytes();
        extension(0, &[&length(3)[..], &[kind], &length(0), name].concat())
    }

    /// The message of a hello with two cipher suites and these extensions.
    pub(crate) fn hello(extensions: &[Vec<u8>]) -> Vec<u8> {
        let extensions = extensions.concat();
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 6, 0x2a, 0x2a, 0x13, 0x01, 0x13, 0x02, 1, 0]);
        body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        body.extend(extensions);
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[1], &length[1..], &body].concat()
    }

    /// The hello of a browser: GREASE, a name, ALPN, versions, signatures and a hybrid key share of 1,216 bytes.
    pub(crate) fn browser(name: &[u8]) -> Vec<u8> {
        let mut share = vec![0x04, 0xec, 0x2a, 0x2a, 0, 1, 0, 0x11, 0xec, 0x04, 0xc0];
        share.extend([9; 1216]);
        share[..2].copy_from_slice(&u16::try_from(1216 + 9).unwrap().to_be_bytes());
        hello(&[
            extension(0x1a1a, &[]),
            extension(51, &share),
            server_name(0, name),
            extension(16, b"\0\x0c\x02h2\x08http/1.1"),
            extension(43, &[6, 0x3a, 0x3a, 3, 4, 3, 3]),
            extension(13, &[0, 4, 4, 3, 8, 4]),
            extension(0xfe0d, &[0; 40]),
            extension(0xdada, &[0]),
        ])
    }

    /// A message in records of at most `size` bytes.
    pub(crate) fn records(message: &[u8], size: usize) -> Vec<u8> {
        let record = |data: &[u8]| [&[22, 3, 1][..], &u16::try_from(data.len()).unwrap().to_be_bytes(), data].concat();
        message.chunks(size).flat_map(record).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::build::{browser, extension, hello, records, server_name};
    use super::*;

    fn seen(verdict: Verdict) -> (ClientHello, usize) {
        match verdict {
            Verdict::Saw { seen: Observation::Hello(hello), used, more: _ } => (*hello, used),
            other => panic!("no hello: {other:?}"),
        }
    }

    fn name(message: &[u8]) -> Option<String> {
        let (hello, _) = seen(handshake(message, None));
        hello.name.map(|name| name.as_str().to_owned())
    }

    #[test]
    fn a_browsers_hello_says_name_protocols_version_and_fingerprint() {
        let stream = records(&browser(b"WWW.Example.com."), 16_384);
        let (hello, used) = seen(read(&stream));
        assert_eq!(used, stream.len());
        assert_eq!(hello.name.unwrap().as_str(), "www.example.com");
        assert_eq!(hello.alpn.iter().map(Text::as_str).collect::<Vec<_>>(), ["h2", "http/1.1"]);
        assert_eq!(hello.version, 0x0304);
        assert!(hello.ech);
        assert_eq!(hello.quic_version, None);
        // The hashes were computed apart from this program, with sha256sum over "1301,1302" and "000d,002b,0033,fe0d_0403,0804".
        assert_eq!(hello.ja4.unwrap().as_str(), "t13d0206h2_62ed6f6ca7ad_f854d66f0034");
    }

    #[test]
    fn what_follows_the_hello_is_not_used() {
        let mut stream = records(&browser(b"example.com"), 16_384);
        let whole = stream.len();
        stream.extend([20, 3, 3, 0, 1, 1]);
        assert_eq!(seen(read(&stream)).1, whole);
    }

    #[test]
    fn any_split_into_records_gives_the_same_observation() {
        let message = browser(b"example.com");
        let whole = seen(read(&records(&message, 16_384))).0;
        for size in 1..message.len() {
            let stream = records(&message, size);
            assert_eq!(seen(read(&stream)), (whole.clone(), stream.len()), "records of {size}");
        }
    }

    #[test]
    fn a_cut_stream_asks_for_more_and_never_in_vain_nor_for_too_much() {
        for size in [1, 5, 300, 16_384] {
            let stream = records(&browser(b"example.com"), size);
            for cut in 0..stream.len() {
                match read(&stream[..cut]) {
                    Verdict::NeedMore(wanted) => assert!(wanted > cut && wanted <= stream.len(), "cut {cut}, records of {size}: {wanted}"),
                    other => panic!("cut {cut}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn a_cut_hello_gives_its_name_once_the_extension_is_whole() {
        let stream = records(&browser(b"example.com"), 400);
        let mut names = Vec::new();
        for cut in 0..=stream.len() {
            let found = partial(&stream[..cut]);
            assert!(found.as_ref().is_none_or(|hello| hello.ja4.is_none()));
            names.push(found.and_then(|hello| hello.name).map(|name| name.as_str().to_owned()));
        }
        let first = names.iter().position(Option::is_some).unwrap();
        assert!(first > 1_216 && first < stream.len() - 50, "{first}");
        assert!(names[first..].iter().all(|name| name.as_deref() == Some("example.com")));
        assert_eq!(partial(b"GET / HTTP/1.1\r\n\r\n"), None);
    }

    #[test]
    fn quic_bytes_are_counted_as_handshake_bytes() {
        let message = browser(b"example.com");
        assert_eq!(handshake(&message[..3], Some(1)), Verdict::NeedMore(4));
        assert_eq!(handshake(&message[..100], Some(1)), Verdict::NeedMore(message.len()));
        let (hello, used) = seen(handshake(&message, Some(1)));
        assert_eq!((used, hello.quic_version), (message.len(), Some(1)));
        assert!(hello.ja4.unwrap().as_str().starts_with("q13d0206h2_"));
    }

    #[test]
    fn a_bad_extension_does_not_hide_the_name() {
        let bad: [(u16, &[u8]); 8] =
            [(16, b"\0\x30\x02h2"), (1, b""), (15, b""), (28, b""), (45, b"\x09\x01"), (48, b"\x01"), (0xffce, b"\x13\x01\0"), (43, b"")];
        for (kind, content) in bad {
            let message = hello(&[extension(kind, content), server_name(0, b"example.com")]);
            assert_eq!(name(&message).as_deref(), Some("example.com"), "extension {kind}");
        }
    }

    #[test]
    fn names_that_are_none() {
        for (kind, bytes) in [(1, &b"example.com"[..]), (0, b""), (0, b"a\0b.com"), (0, b"a\nb"), (0, &[b'a'; 254]), (0, b".")] {
            assert_eq!(name(&hello(&[server_name(kind, bytes)])), None, "{bytes:?}");
        }
        assert_eq!(name(&hello(&[])), None);
        assert_eq!(name(&hello(&[server_name(0, &[b'a'; 253])])).unwrap().len(), 253);
    }

    #[test]
    fn versions_leave_grease_out_and_drafts_behind() {
        let version = |content: &[u8]| seen(handshake(&hello(&[extension(43, content)]), None)).0.version;
        assert_eq!(version(&[4, 0xfa, 0xfa, 3, 3]), 0x0303);
        assert_eq!(version(&[4, 0x7f, 0x1a, 3, 4]), 0x0304);
        assert_eq!(version(&[2, 0x7f, 0x1a]), 0x7f1a);
        assert_eq!(version(&[2, 0x1a, 0x1a]), 0x0303);
    }

    #[test]
    fn a_version_above_all_that_exist_hides_nothing() {
        let with = |major: u8, extensions: &[Vec<u8>]| {
            let mut message = hello(extensions);
            message[4] = major;
            message
        };
        let names = [server_name(0, b"example.com"), extension(43, &[4, 3, 4, 3, 3])];
        let usual = seen(handshake(&with(3, &names), None)).0;
        for major in [4, 0x7f, 0xff] {
            assert_eq!(seen(handshake(&with(major, &names), None)).0, usual, "{major}");
            let alone = seen(handshake(&with(major, &names[..1]), None)).0;
            assert_eq!((alone.name.unwrap().as_str(), alone.version), ("example.com", u16::from_be_bytes([major, 3])));
            assert!(alone.ja4.unwrap().as_str().starts_with("t00d0201"));
            let cut = with(major, &names);
            assert!(partial_handshake(&cut[..cut.len() - 1], None).unwrap().name.is_some());
        }
        for major in [0, 2] {
            assert_eq!(handshake(&with(major, &names), None), Verdict::Malformed("hello"));
        }
    }

    #[test]
    fn a_hello_that_the_library_refuses_still_gives_its_name_but_no_fingerprint() {
        let mut message = hello(&[server_name(0, b"example.com")]);
        // One byte more in the cipher list, and in the message.
        message[40] = 7;
        message.insert(41, 0);
        message[3] += 1;
        let (hello, _) = seen(handshake(&message, None));
        assert_eq!(hello.name.unwrap().as_str(), "example.com");
        assert_eq!(hello.ja4, None);
    }

    #[test]
    fn alerts_and_changes_of_cipher_before_the_hello_are_skipped() {
        let hello = records(&browser(b"example.com"), 16_384);
        let stream = [&[20, 3, 3, 0, 1, 1, 21, 3, 3, 0, 2, 1, 0][..], &hello].concat();
        assert_eq!(seen(read(&stream)), (seen(read(&hello)).0, stream.len()));
        for cut in 0..stream.len() {
            assert!(matches!(read(&stream[..cut]), Verdict::NeedMore(wanted) if wanted > cut && wanted <= stream.len()), "cut {cut}");
        }
        assert_eq!(read(&[20, 3, 3, 0, 1, 1].repeat(9)), Verdict::NotMine);
    }

    #[test]
    fn empty_records_are_stepped_over() {
        let message = browser(b"example.com");
        let whole = records(&message, 16_384);
        let empty = [22, 3, 3, 0, 0];
        for at in [0, 1, 4, 700] {
            let (before, behind) = message.split_at(at);
            let stream = |count: usize| [records(before, 500), empty.repeat(count), records(behind, 500)].concat();
            let most = stream(32);
            assert_eq!(seen(read(&most)), (seen(read(&whole)).0, most.len()), "at {at}");
            for cut in 0..most.len() {
                assert!(matches!(read(&most[..cut]), Verdict::NeedMore(wanted) if wanted > cut && wanted <= most.len()), "cut {cut}");
            }
            let more = if at == 0 { Verdict::NotMine } else { Verdict::Malformed("record inside a hello") };
            assert_eq!(read(&stream(33)), more, "at {at}");
        }
        let apart: Vec<u8> = records(&message, 50).chunks(55).flat_map(|record| [&empty[..], &empty, record].concat()).collect();
        assert_eq!(seen(read(&apart)).1, apart.len(), "more than 32, but not in a row");
        // Only those of the handshake: an empty alert or change of cipher is an error to servers as well.
        assert_eq!(read(&[&[21, 3, 3, 0, 0][..], &whole].concat()), Verdict::NotMine);
    }

    #[test]
    fn what_is_not_a_clients_beginning_leaves_the_race_at_once() {
        let server_hello = [22, 3, 3, 0, 4, 2, 0, 0, 0];
        for bytes in [
            &b"GET / HTTP/1.1"[..],
            b"\x16\x02",
            b"\x17\x03\x03\0\x10",
            b"SSH-2.0-x",
            &server_hello,
            b"\x16\x02\x01\0\0",
            b"\x17\x03\x01\0\0",
            b"\x16\x03\x01\0\0GET / HTTP/1.1",
            b"\x16\x03\x01\xff\xff",
        ] {
            assert_eq!(read(bytes), Verdict::NotMine, "{bytes:?}");
        }
        assert_eq!(read(b"\x16\x03\x01\x02\x00\x01\xff\xff\xff"), Verdict::NotMine, "no hello has 16 MiB");
        assert_eq!(read(b"\x16\x03\x01\0\x05\x01\0\0\x40\x03\x17\x03\x03\0\x01"), Verdict::Malformed("record inside a hello"));
    }

    #[test]
    fn a_hello_in_the_form_of_ssl_2_has_a_version_and_no_name() {
        let stream = [&[0x80, 9 + 6 + 16, 1, 3, 1, 0, 6, 0, 0, 0, 16, 0, 0, 4, 1, 0, 0x80][..], &[5; 16]].concat();
        let (hello, used) = seen(read(&stream));
        assert_eq!((hello.version, hello.name, used), (0x0301, None, stream.len()));
        for cut in 1..stream.len() {
            assert!(matches!(read(&stream[..cut]), Verdict::NeedMore(wanted) if wanted > cut && wanted <= stream.len()), "cut {cut}");
        }
        // A length that does not agree, and cipher suites of three bytes each that are not.
        for changes in [&[1][..], &[1, 6]] {
            let mut other = stream.clone();
            changes.iter().for_each(|at: &usize| other[*at] += 1);
            assert_eq!(read(&other), Verdict::NotMine);
        }
    }

    #[test]
    fn no_damaged_byte_makes_it_panic_or_see_another_name() {
        let stream = records(&browser(b"example.com"), 700);
        let range = stream.windows(11).position(|window| window == b"example.com").unwrap();
        for at in (0..stream.len()).filter(|at| !(range..range + 11).contains(at)) {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = stream.clone();
                damaged[at] = value;
                for found in [partial(&damaged), if let Verdict::Saw { .. } = read(&damaged) { Some(seen(read(&damaged)).0) } else { None }]
                {
                    let name = found.and_then(|hello| hello.name);
                    assert!(name.is_none_or(|name| "example.com".starts_with(name.as_str())), "byte {at} = {value}");
                }
            }
        }
    }
}
