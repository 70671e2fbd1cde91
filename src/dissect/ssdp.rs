//! SSDP, by which UPnP devices announce themselves and are looked for (UPnP Device Architecture 2.0, 1): HTTP heads in datagrams.
//!
//! Road taken: `httparse` splits the fields of all three messages (NOTIFY, M-SEARCH and the answer to it), told to step over those
//! that are wrong. Road not taken: fetching the description that LOCATION names, where the friendly name stands: a sensor does not speak.

use std::net::IpAddr;

use httparse::{EMPTY_HEADER, Header, ParserConfig};

use super::observation::{Announcement, Observation, Text};
use super::{Dissector, Over, Verdict};

/// SSDP.
pub const DISSECTOR: Dissector = Dissector { name: "ssdp", over: Over::Datagram, ports: &[1900], read };

/// Fields looked at: real messages have a dozen.
const MAX_FIELDS: usize = 32;

/// Reads one datagram.
#[must_use]
pub fn read(datagram: &[u8]) -> Verdict {
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut config = ParserConfig::default();
    config.ignore_invalid_headers_in_requests(true).ignore_invalid_headers_in_responses(true);
    // Whatever the parser returns, the fields that it read before are there: a message may be cut off.
    let (search, fields) = if datagram.starts_with(b"HTTP/1.") {
        let mut parsed = httparse::Response::new(&mut fields);
        let _ = config.parse_response(&mut parsed, datagram);
        if parsed.code.is_none_or(|code| code != 200) {
            return Verdict::NotMine;
        }
        (false, parsed.headers)
    } else {
        let search = datagram.starts_with(b"M-SEARCH * HTTP/1.");
        if !search && !datagram.starts_with(b"NOTIFY * HTTP/1.") {
            return Verdict::NotMine;
        }
        let mut parsed = httparse::Request::new(&mut fields);
        let _ = config.parse_request(&mut parsed, datagram);
        (search, parsed.headers)
    };
    let announcement = announcement(search, fields);
    Verdict::Saw { seen: Observation::Announcement(Box::new(announcement)), used: datagram.len(), more: false }
}

fn announcement(search: bool, fields: &[Header<'_>]) -> Announcement {
    let field = |name: &str| fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value.trim_ascii());
    let text = |name: &str| field(name).and_then(Text::from_bytes);
    Announcement {
        search,
        product: text(if search { "user-agent" } else { "server" }),
        kind: text("nt").or_else(|| text("st")),
        uuid: field("usn").and_then(uuid),
        host: field("location").and_then(host),
    }
}

/// The device's own part of a unique service name, `uuid:<UUID>[::<type>]` (1.1.4).
fn uuid(name: &[u8]) -> Option<Text> {
    let (scheme, rest) = name.split_at_checked(5)?;
    let end = rest.windows(2).position(|pair| pair == b"::").unwrap_or(rest.len());
    rest.get(..end).filter(|_| scheme.eq_ignore_ascii_case(b"uuid:")).and_then(Text::from_bytes)
}

/// The address in `http://<address>[:<port>]/...`; none where a name stands there.
fn host(location: &[u8]) -> Option<IpAddr> {
    let scheme = location.windows(3).position(|part| part == b"://")?;
    let authority = location.get(scheme.checked_add(3)?..)?.split(|byte| matches!(byte, b'/' | b'?' | b'#')).next()?;
    let host = match authority.strip_prefix(b"[") {
        // A zone may follow the address (RFC 6874).
        Some(literal) => literal.split(|byte| matches!(byte, b']' | b'%')).next()?,
        None => authority.split(|byte| *byte == b':').next()?,
    };
    std::str::from_utf8(host).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTIFY: &[u8] = b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nCACHE-CONTROL: max-age=1800\r\n\
        LOCATION: http://192.0.2.7:8008/ssdp/device-desc.xml\r\nNT: upnp:rootdevice\r\nNTS: ssdp:alive\r\n\
        Server: Linux/3.10 UPnP/1.0 Box/4\r\nUSN: uuid:7d2f3a10-0000-1000-8000-020000000007::upnp:rootdevice\r\n\r\n";

    fn announcement(bytes: &[u8]) -> Announcement {
        match read(bytes) {
            Verdict::Saw { seen: Observation::Announcement(seen), used, more: false } if used == bytes.len() => *seen,
            other => panic!("nothing: {other:?}"),
        }
    }

    fn text(text: &Option<Text>) -> &str {
        text.as_ref().map_or("", Text::as_str)
    }

    #[test]
    fn a_notification_says_what_announces_itself() {
        let seen = announcement(NOTIFY);
        assert!(!seen.search);
        assert_eq!((text(&seen.product), text(&seen.kind)), ("Linux/3.10 UPnP/1.0 Box/4", "upnp:rootdevice"));
        assert_eq!((text(&seen.uuid), seen.host), ("7d2f3a10-0000-1000-8000-020000000007", Some([192, 0, 2, 7].into())));
    }

    #[test]
    fn a_search_names_its_own_product_and_an_answer_its_server() {
        let search =
            b"M-SEARCH * HTTP/1.1\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: urn:dial:service:dial:1\r\nUSER-AGENT: Browser/9 Os\r\n\r\n";
        let seen = announcement(search);
        assert_eq!((seen.search, text(&seen.product), text(&seen.kind)), (true, "Browser/9 Os", "urn:dial:service:dial:1"));
        let answer = b"HTTP/1.1 200 OK\r\nEXT:\r\nST: upnp:rootdevice\r\nSERVER: Os/1 UPnP/1.1 Box/2\r\nUSN: uuid:abc\r\nLOCATION: http://[fe80::7%251]/d\r\n\r\n";
        let seen = announcement(answer);
        assert_eq!((text(&seen.product), text(&seen.uuid), seen.host), ("Os/1 UPnP/1.1 Box/2", "abc", "fe80::7".parse().ok()));
    }

    #[test]
    fn odd_fields_hide_no_other_and_harm_nothing() {
        let seen = announcement(
            b"NOTIFY * HTTP/1.1\r\nBad Field: 1\r\nSERVER: a\x1b[31mb\xe2\x80\xaec\r\nUSN: uid:1\r\nLOCATION: http://box.local/\r\n\r\n",
        );
        assert!(!text(&seen.product).contains(|c: char| c.is_control() || c == '\u{202e}'), "{seen:?}");
        assert_eq!((seen.uuid, seen.host), (None, None));
        assert_eq!(announcement(b"NOTIFY * HTTP/1.1"), Announcement::default());
    }

    #[test]
    fn what_is_not_ssdp() {
        for bytes in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", b"NOTIFY / HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 No\r\n\r\n", b"HTTP/1.", &[7; 90]] {
            assert_eq!(read(bytes), Verdict::NotMine, "{bytes:?}");
        }
    }

    #[test]
    fn a_cut_message_never_says_anything_else() {
        let whole = announcement(NOTIFY);
        for cut in 17..NOTIFY.len() {
            let part = announcement(&NOTIFY[..cut]);
            assert!(part.product.is_none() || part.product == whole.product, "cut {cut}");
            assert!(part.uuid.is_none() || part.uuid == whole.uuid, "cut {cut}");
            assert!(part.host.is_none() || part.host == whole.host, "cut {cut}");
        }
    }
}
