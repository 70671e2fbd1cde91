//! JA4, the fingerprint of a TLS client (FoxIO's BSD-3-Clause part; nothing of the JA4+ family is here).
//!
//! It sorts cipher suites and extensions, so a client that shuffles them, as browsers do, keeps its fingerprint.
//! Written from the published definition over the fields of a hello; the `ja4` crate wants a TLS record, which QUIC does not have.

use sha2::{Digest, Sha256};

use super::observation::Ja4;

/// The fields of a ClientHello that JA4 is made of, in the order of the wire, GREASE still inside.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields<'a> {
    /// Carried by QUIC, not by TCP.
    pub(super) quic: bool,
    /// The highest version offered, 0 if none is known.
    pub(super) version: u16,
    /// The cipher suites.
    pub(super) ciphers: Vec<u16>,
    /// The types of all extensions.
    pub(super) extensions: Vec<u16>,
    /// The first protocol of ALPN.
    pub(super) alpn: Option<&'a [u8]>,
    /// The signature algorithms, in network order.
    pub(super) signatures: &'a [[u8; 2]],
}

/// Reserved values that clients send to keep servers tolerant (RFC 8701): both bytes equal, low nibble A.
pub(super) const fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

/// The fingerprint.
pub(super) fn of(fields: Fields<'_>) -> Ja4 {
    let Fields { quic, version: highest, mut ciphers, mut extensions, alpn, signatures } = fields;
    // One text serves for both halves.
    let mut text = Vec::with_capacity(extensions.len().saturating_add(signatures.len()).max(ciphers.len()).saturating_mul(5));
    ciphers.retain(|cipher| !is_grease(*cipher));
    ciphers.sort_unstable();
    list(ciphers.iter().copied(), &mut text);
    let first_half = hash(&text);

    text.clear();
    let named = extensions.contains(&SERVER_NAME);
    extensions.retain(|kind| !is_grease(*kind));
    let extension_count = extensions.len();
    extensions.retain(|kind| !matches!(*kind, SERVER_NAME | ALPN));
    extensions.sort_unstable();
    list(extensions.iter().copied(), &mut text);
    let mut signatures = signatures.iter().copied().map(u16::from_be_bytes).filter(|signature| !is_grease(*signature)).peekable();
    if signatures.peek().is_some() {
        text.push(b'_');
        list(signatures, &mut text);
    }
    let second_half = hash(&text);

    let (first, last) = ends(alpn);
    let mut print = Ja4::new();
    print.push(if quic { 'q' } else { 't' });
    let [major, minor] = version(highest);
    let ([a, b], [c, d]) = (decimal(ciphers.len()), decimal(extension_count));
    let beginning = [major, minor, if named { b'd' } else { b'i' }, a, b, c, d, first, last, b'_'];
    for byte in beginning.into_iter().chain(first_half).chain([b'_']).chain(second_half) {
        print.push(char::from(byte));
    }
    print
}

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

const fn version(number: u16) -> [u8; 2] {
    *match number {
        0x0304 => b"13",
        0x0303 => b"12",
        0x0302 => b"11",
        0x0301 => b"10",
        0x0300 => b"s3",
        0x0002 => b"s2",
        _ => b"00",
    }
}

/// First and last character of the first protocol, or of its hexadecimal writing where one is not a letter or digit.
fn ends(alpn: Option<&[u8]>) -> (u8, u8) {
    let (Some(first), Some(last)) = (alpn.and_then(<[u8]>::first), alpn.and_then(<[u8]>::last)) else {
        return (b'0', b'0');
    };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return (*first, *last);
    }
    (digit(first >> 4), digit(last & 0x0f))
}

/// Four hexadecimal digits each, joined by commas.
///
/// By hand: a hello has a hundred digits, and a formatter or a `char` for each took most of the fingerprint's time.
fn list(values: impl Iterator<Item = u16>, text: &mut Vec<u8>) {
    let before = text.len();
    for value in values {
        // A digit in each byte: of those that are letters the sum with six reaches the next bit.
        let value = u32::from(value);
        let nibbles = value >> 12 | (value & 0x0f00) | (value & 0x00f0) << 12 | (value & 0x000f) << 24;
        let letters = (nibbles + 0x0606_0606) >> 4 & 0x0101_0101;
        let [a, b, c, d] = (nibbles + 0x3030_3030 + letters * u32::from(b'a' - b'0' - 10)).to_le_bytes();
        text.extend_from_slice(&[a, b, c, d, b',']);
    }
    if text.len() > before {
        text.pop();
    }
}

const fn digit(nibble: u8) -> u8 {
    nibble.wrapping_add(if nibble < 10 { b'0' } else { b'a'.wrapping_sub(10) })
}

/// Two decimal digits; 99 for all that is more.
fn decimal(count: usize) -> [u8; 2] {
    let count = u8::try_from(count.min(99)).unwrap_or_default();
    [digit(count / 10), digit(count % 10)]
}

/// The first 12 hexadecimal digits of SHA-256; of nothing, zeros.
fn hash(text: &[u8]) -> [u8; 12] {
    let mut digits = [b'0'; 12];
    if !text.is_empty() {
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(Sha256::digest(text)) {
            *pair = [digit(byte >> 4), digit(byte & 0x0f)];
        }
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    // FoxIO's published example: technical_details/JA4.md, the hello of a Chrome.
    const CIPHERS: [u16; 16] =
        [0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035];
    const EXTENSIONS: [u16; 18] = [
        0x1a1a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b, 0xff01, 0x000b, 0x000a,
        0x0015, 0xdada,
    ];
    const SIGNATURES: [[u8; 2]; 8] = [[4, 3], [8, 4], [4, 1], [5, 3], [8, 5], [5, 1], [8, 6], [6, 1]];

    fn chrome() -> Fields<'static> {
        let (ciphers, extensions) = (CIPHERS.to_vec(), EXTENSIONS.to_vec());
        Fields { quic: false, version: 0x0304, ciphers, extensions, alpn: Some(b"h2"), signatures: &SIGNATURES }
    }

    fn text(fields: Fields<'_>) -> String {
        of(fields).as_str().to_owned()
    }

    #[test]
    fn the_published_example() {
        assert_eq!(text(chrome()), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }

    #[test]
    fn the_order_of_ciphers_and_extensions_does_not_matter_but_that_of_signatures_does() {
        let mut shuffled = chrome();
        shuffled.ciphers.reverse();
        shuffled.extensions.reverse();
        assert_eq!(text(shuffled), text(chrome()));
        let mut signatures = SIGNATURES;
        signatures.reverse();
        assert_ne!(text(Fields { signatures: &signatures, ..chrome() }), text(chrome()));
    }

    #[test]
    fn without_signatures_there_is_no_underscore_and_without_lists_there_are_zeros() {
        // The published general rule: a field that would be the hash of nothing is zeros.
        assert_eq!(text(Fields { version: 0x0303, ..Fields::default() }), "t12i000000_000000000000_000000000000");
        let bare = text(Fields { signatures: &[], ..chrome() });
        assert!(bare.starts_with("t13d1516h2_8daaf6152771_") && !bare.ends_with("e5627efa2ab1"), "{bare}");
    }

    #[test]
    fn protocols_that_are_not_text_are_written_in_hexadecimal() {
        let with = |alpn: &'static [u8]| text(Fields { alpn: Some(alpn), ..chrome() }).chars().skip(8).take(2).collect::<String>();
        assert_eq!(with(b"http/1.1"), "h1");
        assert_eq!(with(b"h"), "hh");
        assert_eq!(with(&[0xab]), "ab");
        assert_eq!(with(&[0xab, 0xcd]), "ad");
        assert_eq!(with(&[0x30, 0xab]), "3b");
        assert_eq!(with(&[0x30, 0x31, 0xab, 0xcd]), "3d");
        assert_eq!(with(b""), "00");
    }

    #[test]
    fn grease_needs_both_bytes_equal() {
        assert!(is_grease(0x0a0a) && is_grease(0xfafa) && is_grease(0x2a2a));
        assert!(!is_grease(0x1a2a) && !is_grease(0x0a1a) && !is_grease(0x1301));
    }

    #[test]
    fn counts_stop_at_99() {
        let many: Vec<u16> = (0x4000..0x4000 + 150).filter(|value| !is_grease(*value)).collect();
        assert!(text(Fields { ciphers: many.clone(), extensions: many, ..chrome() }).starts_with("t13i9999h2_"));
    }
}
