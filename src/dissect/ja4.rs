//! JA4, the fingerprint of a TLS client (FoxIO's BSD-3-Clause part; nothing of the JA4+ family is here).
//!
//! It sorts cipher suites and extensions, so a client that shuffles them, as browsers do, keeps its fingerprint.
//! Written from the published definition over the fields of a hello; the `ja4` crate wants a TLS record, which QUIC does not have.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::observation::Text;

/// The fields of a ClientHello that JA4 is made of, in the order of the wire, GREASE still inside.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields<'a> {
    /// Carried by QUIC, not by TCP.
    pub(super) quic: bool,
    /// The highest version offered, 0 if none is known.
    pub(super) version: u16,
    /// The cipher suites.
    pub(super) ciphers: &'a [u16],
    /// The types of all extensions.
    pub(super) extensions: &'a [u16],
    /// The first protocol of ALPN.
    pub(super) alpn: Option<&'a [u8]>,
    /// The signature algorithms.
    pub(super) signatures: &'a [u16],
}

/// Reserved values that clients send to keep servers tolerant (RFC 8701): both bytes equal, low nibble A.
pub(super) const fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

/// The fingerprint.
pub(super) fn of(fields: &Fields<'_>) -> Option<Text> {
    let mut ciphers = without_grease(fields.ciphers);
    let mut extensions = without_grease(fields.extensions);
    let signatures = without_grease(fields.signatures);
    let (cipher_count, extension_count) = (ciphers.len().min(99), extensions.len().min(99));
    let named = extensions.contains(&SERVER_NAME);
    ciphers.sort_unstable();
    extensions.retain(|kind| !matches!(*kind, SERVER_NAME | ALPN));
    extensions.sort_unstable();
    let mut second = list(&extensions);
    if !signatures.is_empty() {
        second.push('_');
        second.push_str(&list(&signatures));
    }
    let (first, last) = ends(fields.alpn);
    let mut text = String::with_capacity(36);
    text.push(if fields.quic { 'q' } else { 't' });
    text.push_str(version(fields.version));
    text.push(if named { 'd' } else { 'i' });
    // Writing to a String cannot fail.
    let _ = write!(text, "{cipher_count:02}{extension_count:02}{first}{last}");
    text.push('_');
    push_hash(&list(&ciphers), &mut text);
    text.push('_');
    push_hash(&second, &mut text);
    Text::from_bytes(text.as_bytes())
}

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

const fn version(number: u16) -> &'static str {
    match number {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    }
}

/// First and last character of the first protocol, or of its hexadecimal writing where one is not a letter or digit.
fn ends(alpn: Option<&[u8]>) -> (char, char) {
    let (Some(first), Some(last)) = (alpn.and_then(<[u8]>::first), alpn.and_then(<[u8]>::last)) else {
        return ('0', '0');
    };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return (char::from(*first), char::from(*last));
    }
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    (digit(first >> 4), digit(last & 0x0f))
}

fn without_grease(values: &[u16]) -> Vec<u16> {
    values.iter().copied().filter(|value| !is_grease(*value)).collect()
}

/// Four hexadecimal digits each, joined by commas.
fn list(values: &[u16]) -> String {
    let mut text = String::with_capacity(values.len().saturating_mul(5));
    for value in values {
        if !text.is_empty() {
            text.push(',');
        }
        value.to_be_bytes().into_iter().for_each(|byte| push_hex(byte, &mut text));
    }
    text
}

/// Two digits, by hand: a hello has a hundred of them, and a formatter for each took most of the fingerprint's time.
fn push_hex(byte: u8, out: &mut String) {
    out.extend([byte >> 4, byte & 0x0f].into_iter().filter_map(|nibble| char::from_digit(u32::from(nibble), 16)));
}

/// The first 12 hexadecimal digits of SHA-256; of nothing, zeros.
fn push_hash(text: &str, out: &mut String) {
    if text.is_empty() {
        out.push_str("000000000000");
        return;
    }
    for byte in Sha256::digest(text.as_bytes()).iter().take(6) {
        push_hex(*byte, out);
    }
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
    const SIGNATURES: [u16; 8] = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];

    fn chrome() -> Fields<'static> {
        Fields { quic: false, version: 0x0304, ciphers: &CIPHERS, extensions: &EXTENSIONS, alpn: Some(b"h2"), signatures: &SIGNATURES }
    }

    fn text(fields: &Fields<'_>) -> String {
        of(fields).unwrap().as_str().to_owned()
    }

    #[test]
    fn the_published_example() {
        assert_eq!(text(&chrome()), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }

    #[test]
    fn the_order_of_ciphers_and_extensions_does_not_matter_but_that_of_signatures_does() {
        let mut ciphers = CIPHERS;
        ciphers.reverse();
        let mut extensions = EXTENSIONS;
        extensions.reverse();
        let shuffled = Fields { ciphers: &ciphers, extensions: &extensions, ..chrome() };
        assert_eq!(text(&shuffled), text(&chrome()));
        let mut signatures = SIGNATURES;
        signatures.reverse();
        assert_ne!(text(&Fields { signatures: &signatures, ..chrome() }), text(&chrome()));
    }

    #[test]
    fn without_signatures_there_is_no_underscore_and_without_lists_there_are_zeros() {
        // The published general rule: a field that would be the hash of nothing is zeros.
        assert_eq!(text(&Fields { version: 0x0303, ..Fields::default() }), "t12i000000_000000000000_000000000000");
        let bare = text(&Fields { signatures: &[], ..chrome() });
        assert!(bare.starts_with("t13d1516h2_8daaf6152771_") && !bare.ends_with("e5627efa2ab1"), "{bare}");
    }

    #[test]
    fn protocols_that_are_not_text_are_written_in_hexadecimal() {
        let with = |alpn: &'static [u8]| text(&Fields { alpn: Some(alpn), ..chrome() }).chars().skip(8).take(2).collect::<String>();
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
        assert!(text(&Fields { ciphers: &many, extensions: &many, ..chrome() }).starts_with("t13i9999h2_"));
    }
}
