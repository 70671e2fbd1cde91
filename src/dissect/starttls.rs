//! Where TLS begins on a connection that begins in the clear: SMTP, IMAP, POP3, FTP, XMPP and their like, of either side.
//!
//! Road taken: lines or elements of text, after one of which the first record of a handshake stands. No text holds its first byte,
//! so the commands (`STARTTLS`, `a1 STARTTLS`, `STLS`, `AUTH TLS`, `<starttls/>`) need not be known, and the
//! server's side, whose certificate may follow, is found in the same way. What follows is then read as TLS, which judges it.
//! Road not taken: a grammar for each protocol.

/// The ports of protocols that upgrade: FTP, SMTP, POP3, NNTP, IMAP, submission, ManageSieve, XMPP (client and server).
pub const PORTS: [u16; 9] = [21, 25, 110, 119, 143, 587, 4190, 5222, 5269];

/// The longest text before TLS, in bytes; a mail that is sent in the clear would otherwise be gathered for nothing.
pub const MAX_TEXT: usize = 4_096;

/// What the beginning of a stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// Text so far.
    NeedMore,
    /// A TLS handshake may begin here, in bytes from the beginning; what is before it is text.
    At(usize),
    /// There is none to come.
    Never,
}

/// Looks for the first TLS record behind text, in the beginning of either direction of a stream.
#[must_use]
pub fn upgrade(prefix: &[u8]) -> Upgrade {
    let text = prefix.iter().position(|byte| !is_text(*byte)).unwrap_or(prefix.len());
    if text > MAX_TEXT {
        return Upgrade::Never;
    }
    match prefix.split_at_checked(text) {
        Some((_, [])) => Upgrade::NeedMore,
        Some(([] | [.., b'\n' | b'>'], [HANDSHAKE])) => Upgrade::NeedMore,
        Some(([] | [.., b'\n' | b'>'], [HANDSHAKE, 3, ..])) => Upgrade::At(text),
        _ => Upgrade::Never,
    }
}

/// The content type of a record (RFC 8446, 5.1).
const HANDSHAKE: u8 = 0x16;

/// Bytes of lines in ASCII, UTF-8 or an older encoding.
const fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\r' | b'\n' | 0x20..=0x7e | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01";

    #[test]
    fn tls_begins_behind_the_command_or_its_answer() {
        for text in [
            &b"EHLO [192.0.2.7]\r\nSTARTTLS\r\n"[..],
            b". CAPABILITY\r\na2 starttls\r\n",
            b"CAPA\r\nSTLS\r\n",
            b"AUTH TLS\n",
            b"<?xml version='1.0'?><stream:stream to='example.com'><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
            "220 grüß Gott\r\n250-STARTTLS\r\n220 go on\r\n".as_bytes(),
            b"220 gr\xfc\xdf Gott\r\n220 go on\r\n",
            b"",
        ] {
            let stream = [text, HELLO].concat();
            for cut in 0..=stream.len() {
                let expected = if cut >= text.len() + 2 { Upgrade::At(text.len()) } else { Upgrade::NeedMore };
                assert_eq!(upgrade(&stream[..cut]), expected, "{:?} cut at {cut}", String::from_utf8_lossy(&stream));
            }
        }
    }

    #[test]
    fn other_bytes_end_the_search() {
        for bytes in [&b"EHLO x\r\n\0"[..], b"EHLO x\r\n\x16\x02", b"EHLO x\x16\x03\x01", b"\x17\x03\x03", b"\xff\xfb\x01"] {
            assert_eq!(upgrade(bytes), Upgrade::Never, "{bytes:?}");
        }
    }

    #[test]
    fn a_mail_in_the_clear_is_not_gathered_for_ever() {
        let mail = b"Lorem ipsum\r\n".repeat(400);
        assert_eq!(upgrade(&mail[..MAX_TEXT]), Upgrade::NeedMore);
        assert_eq!(upgrade(&mail[..=MAX_TEXT]), Upgrade::Never);
    }
}
