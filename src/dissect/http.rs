//! HTTP/1: the head of each request in the clear (RFC 9112, 3), on any port.
//!
//! Road taken: `httparse` reads a head in one go, told to step over fields that are wrong. What it does not read to its end is
//! looked at again: the request line says whether this is HTTP, and it reads the fields. It gives up at a NUL, a lone CR or one field too many, and steps over `Host :`; so a field that it did not
//! hand out is looked for line by line: a bad field must not hide the Host. `HTTP/2`'s preface is not a request.
//! Road not taken: following the body by Content-Length. The flow shows later bytes that [`looks_like_request`], and a body is
//! never read.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};

use super::observation::{Name, Observation, Request, Text};
use super::{Dissector, Over, Verdict};

/// HTTP/1 requests, on any port.
pub const DISSECTOR: Dissector = Dissector { name: "http", over: Over::Stream, ports: &[], read };

/// The longest head that is waited for, in bytes: a client that never ends its head would be kept for good. Servers refuse
/// longer ones (8 to 16 KiB). The part of it that came is read all the same.
pub const MAX_HEAD: usize = 16_384;

/// Reads a request's head at the beginning of `prefix`, after empty lines (RFC 9112, 2.2).
///
/// `used` ends with the head, so what follows may be a body. `NeedMore` asks for one byte more: where a head ends is not known
/// before it does, and the client then waits for the answer. So a client that sends byte by byte costs one scan of at most
/// [`MAX_HEAD`] a packet.
#[must_use]
pub fn read(prefix: &[u8]) -> Verdict {
    let more = Verdict::NeedMore(prefix.len().saturating_add(1));
    let Some(head) = skip_empty_lines(prefix) else { return if prefix.len() <= MAX_EMPTY { more } else { Verdict::NotMine } };
    if !head.first().is_some_and(|first| is_method(*first)) {
        return Verdict::NotMine;
    }
    if let Some((request, length)) = at_once(head) {
        let used = prefix.len().saturating_sub(head.len()).saturating_add(length);
        return Verdict::Saw { seen: Observation::Request(Box::new(request)), used, more: true };
    }
    let line = match Line::read(head) {
        Start::Line(line) => line,
        Start::Short if head.len() < MAX_HEAD => return more,
        _ => return Verdict::NotMine,
    };
    let length = match head_length(head) {
        Some(length) => length.min(MAX_HEAD),
        None if head.len() < MAX_HEAD => return more,
        None => MAX_HEAD,
    };
    match line.request(head.get(..length).unwrap_or(head)) {
        Some(request) => {
            let used = prefix.len().saturating_sub(head.len()).saturating_add(length);
            Verdict::Saw { seen: Observation::Request(Box::new(request)), used, more: true }
        }
        None => Verdict::Malformed("request"),
    }
}

/// What can be read of a request whose head will not come to its end: the request line has to be whole, and a Host counts when its line is.
#[must_use]
pub fn partial(prefix: &[u8]) -> Option<Request> {
    let head = skip_empty_lines(prefix)?;
    let Start::Line(line) = Line::read(head) else { return None };
    let whole = head.iter().rposition(|byte| *byte == b'\n')?.saturating_add(1);
    line.request(head.get(..whole)?)
}

/// Whether bytes look like the beginning of a request: a method, a space and the first byte of a target. Cheap, for the segments of
/// a connection on which requests were seen.
#[must_use]
pub fn looks_like_request(bytes: &[u8]) -> bool {
    let Some(head) = skip_empty_lines(bytes) else { return false };
    let Some(length) = method_length(head) else { return false };
    let Some((method, rest)) = head.split_at_checked(length) else { return false };
    match (method, rest.get(1..).unwrap_or_default()) {
        (b"PRI", _) => false,
        (b"CONNECT", [first, ..]) => first.is_ascii_alphanumeric() || *first == b'[',
        (_, [b'/' | b'*', ..]) => true,
        (_, target) => target.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"http")),
    }
}

/// Bytes of empty lines before a request; some clients send one after a body.
const MAX_EMPTY: usize = 4;
/// Lengths of a method: `GET`, `MKWORKSPACE`, `VERSION-CONTROL`, `BASELINE-CONTROL`, `UPDATEREDIRECTREF`.
const METHOD: std::ops::RangeInclusive<usize> = 3..=20;
/// Fields that `httparse` may hand out; what a head has beyond them is looked for line by line.
const MAX_FIELDS: usize = 96;

/// The bytes after at most [`MAX_EMPTY`] of line ends; `None` where there is nothing else, or too much of it.
fn skip_empty_lines(bytes: &[u8]) -> Option<&[u8]> {
    let empty = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    if empty <= MAX_EMPTY { bytes.get(empty..) } else { None }
}

/// The length of the method, if there is one and a space after it.
fn method_length(head: &[u8]) -> Option<usize> {
    let length = head.iter().take(METHOD.end().saturating_add(1)).position(|byte| !is_method(*byte))?;
    (METHOD.contains(&length) && head.get(length) == Some(&b' ')).then_some(length)
}

const fn is_method(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte == b'-'
}

/// The request line.
struct Line<'a> {
    method: &'a [u8],
    target: &'a [u8],
    /// Where the fields begin.
    length: usize,
}

/// How a stream begins.
enum Start<'a> {
    /// Not with a request.
    Foreign,
    /// Perhaps with one: its line has not ended.
    Short,
    /// With this request line.
    Line(Line<'a>),
}

impl<'a> Line<'a> {
    /// Method, target and `HTTP/1.x`. A space in the target, which clients do not escape always, is left in it.
    fn read(head: &'a [u8]) -> Start<'a> {
        let Some(length) = method_length(head) else {
            let short = head.len() <= *METHOD.end() && head.iter().all(|byte| is_method(*byte));
            return if short { Start::Short } else { Start::Foreign };
        };
        let end = head.iter().position(|byte| *byte == b'\n');
        let line = head.get(..end.unwrap_or(head.len())).unwrap_or(head);
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        if text.iter().any(u8::is_ascii_control) {
            return Start::Foreign;
        }
        let Some(end) = end else { return Start::Short };
        let (method, rest) = text.split_at_checked(length).unwrap_or((text, &[]));
        let rest = rest.trim_ascii();
        let Some(space) = rest.iter().rposition(|byte| *byte == b' ') else { return Start::Foreign };
        let (target, version) = rest.split_at_checked(space).unwrap_or((rest, &[]));
        if !matches!(version, [b' ', b'H', b'T', b'T', b'P', b'/', b'0' | b'1', b'.', b'0'..=b'9']) {
            return Start::Foreign;
        }
        Start::Line(Self { method, target: target.trim_ascii(), length: end.saturating_add(1) })
    }

    /// The request of this line and the fields in `head`.
    fn request(&self, head: &[u8]) -> Option<Request> {
        let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut parsed = httparse::Request::new(&mut []);
        // Whatever it returns, the fields that it read before are there.
        let _ = parser().parse_request_with_uninit_headers(&mut parsed, head, &mut room);
        request(self.method, self.target, parsed.headers, || head.get(self.length..))
    }
}

/// The request at the beginning of `head` and its length, if it is whole and `httparse` takes its line and its end for what they are.
fn at_once(head: &[u8]) -> Option<(Request, usize)> {
    method_length(head)?;
    let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let head = head.get(..MAX_HEAD).unwrap_or(head);
    let Ok(Status::Complete(length)) = parser().parse_request_with_uninit_headers(&mut parsed, head, &mut room) else { return None };
    let head = head.get(..length).filter(|head| head.ends_with(b"\n\r\n") || head.ends_with(b"\n\n"))?;
    let fields = || head.get(head.iter().position(|byte| *byte == b'\n')?.saturating_add(1)..);
    let request = request(parsed.method?.as_bytes(), parsed.path?.as_bytes(), parsed.headers, fields)?;
    Some((request, length))
}

fn parser() -> ParserConfig {
    let mut parser = ParserConfig::default();
    parser
        .allow_multiple_spaces_in_request_line_delimiters(true)
        .allow_space_before_first_header_name(true)
        .ignore_invalid_headers_in_requests(true);
    parser
}

/// A request by its line and fields; `unread` gives the bytes of the fields.
fn request<'a>(method: &[u8], target: &[u8], read: &[Header<'a>], unread: impl Fn() -> Option<&'a [u8]>) -> Option<Request> {
    let field = |name: &str| {
        let found = read.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value);
        found.or_else(|| line_of(unread()?, name))
    };
    let (authority, target) = split_target(method, target);
    let (path, query) = match target.iter().position(|byte| *byte == b'?') {
        Some(at) => (target.get(..at), target.get(at.saturating_add(1)..)),
        None => (Some(target), None),
    };
    Some(Request {
        method: Text::from_bytes(method)?,
        host: field("host").and_then(host),
        authority: authority.and_then(host),
        path: path.and_then(Text::from_bytes),
        query: query.and_then(Text::from_bytes),
        agent: field("user-agent").and_then(Text::from_bytes),
    })
}

/// The length of a head with the empty line that ends it.
fn head_length(head: &[u8]) -> Option<usize> {
    let mut at = 0_usize;
    while let Some(end) = head.get(at..)?.iter().position(|byte| *byte == b'\n') {
        at = at.saturating_add(end).saturating_add(1);
        match head.get(at..)? {
            [b'\n', ..] => return at.checked_add(1),
            [b'\r', b'\n', ..] => return at.checked_add(2),
            _ => {}
        }
    }
    None
}

/// The value of the first field of a name, by lines alone. A line that has not ended is none.
fn line_of<'a>(fields: &'a [u8], name: &str) -> Option<&'a [u8]> {
    fields.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n")).find_map(|line| {
        let (key, value) = line.split_at_checked(line.iter().position(|byte| *byte == b':')?)?;
        key.trim_ascii().eq_ignore_ascii_case(name.as_bytes()).then(|| value.get(1..).unwrap_or_default().trim_ascii())
    })
}

/// The authority of a target, where it has one (RFC 9112, 3.2), and the rest of it.
fn split_target<'a>(method: &[u8], target: &'a [u8]) -> (Option<&'a [u8]>, &'a [u8]) {
    if method == b"CONNECT" {
        return (Some(target), &[]);
    }
    let scheme = target.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let Some(rest) = target.get(scheme..).filter(|_| scheme > 0).and_then(|rest| rest.strip_prefix(b"://")) else {
        return (None, target);
    };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    rest.split_at_checked(end).map_or((None, target), |(authority, rest)| (Some(authority), rest))
}

/// The host of an authority: without user, port and brackets (RFC 3986, 3.2).
fn host(authority: &[u8]) -> Option<Name> {
    let host = authority.rsplit(|byte| *byte == b'@').next()?.trim_ascii();
    let host = match host.strip_prefix(b"[") {
        Some(literal) => literal.split(|byte| *byte == b']').next()?,
        None if host.iter().filter(|byte| **byte == b':').count() == 1 => host.split(|byte| *byte == b':').next()?,
        None => host,
    };
    Name::from_dotted(host.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saw(bytes: &[u8]) -> (Request, usize) {
        match read(bytes) {
            Verdict::Saw { seen: Observation::Request(request), used, more: true } => (*request, used),
            other => panic!("no request in {:?}: {other:?}", String::from_utf8_lossy(bytes)),
        }
    }

    fn host_of(head: &str) -> Option<String> {
        let request = saw(head.as_bytes()).0;
        request.host.or(request.authority).map(|host| host.as_str().to_owned())
    }

    const GET: &[u8] =
        b"GET /v2/list?id=7&x HTTP/1.1\r\nUser-Agent: Dalvik/2.1\r\nHOST:  Example.COM.:8080 \r\nAccept: */*\r\n\r\nGET /next HTTP/1.1\r\n";

    #[test]
    fn a_request_says_method_host_path_query_and_agent() {
        let (request, used) = saw(GET);
        assert_eq!(used, GET.len() - b"GET /next HTTP/1.1\r\n".len());
        assert_eq!(request.method.as_str(), "GET");
        assert_eq!(request.host.unwrap().as_str(), "example.com");
        assert_eq!(request.path.unwrap().as_str(), "/v2/list");
        assert_eq!(request.query.unwrap().as_str(), "id=7&x");
        assert_eq!(request.agent.unwrap().as_str(), "Dalvik/2.1");
    }

    #[test]
    fn every_cut_waits_for_more_and_a_partial_reading_never_makes_up_a_host() {
        let whole = saw(GET).1;
        for cut in 0..whole {
            assert_eq!(read(&GET[..cut]), Verdict::NeedMore(cut + 1), "cut {cut}");
            let host = partial(&GET[..cut]).and_then(|request| request.host);
            assert!(host.is_none_or(|host| host.as_str() == "example.com"), "cut {cut}");
        }
        assert!(partial(&GET[..whole - 4]).is_some_and(|request| request.host.is_some()));
        assert_eq!(partial(b"GET /x HTTP/1.1\r\nHost: examp").map(|request| request.host), Some(None));
    }

    #[test]
    fn a_request_after_a_body_may_follow_empty_lines() {
        let request = b"\r\n\r\nGET / HTTP/1.0\nhost: a.example\n\n";
        assert_eq!(saw(request).1, request.len());
        assert_eq!(read(b"\r\n"), Verdict::NeedMore(3));
        assert_eq!(read(b"\r\n\r\n\r\n"), Verdict::NotMine);
    }

    #[test]
    fn the_host_is_bare_and_comes_from_the_target_where_no_field_says_it() {
        let get = |target: &str, fields: &str| host_of(&format!("GET {target} HTTP/1.1\r\n{fields}\r\n"));
        assert_eq!(get("/", "Host: [2001:DB8::1]:80\r\n").as_deref(), Some("2001:db8::1"));
        assert_eq!(get("/", "Host: 192.0.2.1:80\r\n").as_deref(), Some("192.0.2.1"));
        assert_eq!(get("/", "Host: user@a.example\r\n").as_deref(), Some("a.example"));
        assert_eq!(get("/", ""), None);
        assert_eq!(get("/", "Host:\r\n"), None);
        assert_eq!(get("http://me:pw@b.example:81/x?y", "").as_deref(), Some("b.example"));
        assert_eq!(get("http://b.example", "Host: a.example\r\n").as_deref(), Some("a.example"));
        assert_eq!(host_of("CONNECT c.example:443 HTTP/1.1\r\n\r\n").as_deref(), Some("c.example"));
        let (request, _) = saw(b"GET http://b.example/x?y HTTP/1.1\r\n\r\n");
        assert_eq!((request.path.unwrap().as_str(), request.query.unwrap().as_str()), ("/x", "y"));
        assert_eq!(saw(b"CONNECT c.example:443 HTTP/1.1\r\n\r\n").0.path, None);
    }

    #[test]
    fn a_bad_field_does_not_hide_the_host() {
        let many = "X: y\r\n".repeat(200);
        for bad in ["no colon\r\n", "Bad Name: x\r\n", ": x\r\n", "X: a\0b\r\n", "X: a\rb\r\n", "X: a\r\n b\r\n", "\u{e9}: x\r\n", &many] {
            assert_eq!(host_of(&format!("GET / HTTP/1.1\r\n{bad}Host: a.example\r\n\r\n")).as_deref(), Some("a.example"), "{bad:?}");
        }
        assert_eq!(host_of("GET / HTTP/1.1\r\nHost : a.example\r\n\r\n").as_deref(), Some("a.example"));
        assert_eq!(host_of("GET /a b c HTTP/1.1\r\nHost: a.example\r\n\r\n").as_deref(), Some("a.example"));
        assert_eq!(host_of("GET /\u{e9} HTTP/1.1\r\nHost: a.example\r\n\r\n").as_deref(), Some("a.example"));
    }

    #[test]
    fn a_head_that_never_ends_is_read_as_far_as_the_cap() {
        let mut head = b"GET / HTTP/1.1\r\nHost: a.example\r\nCookie: ".to_vec();
        head.resize(MAX_HEAD - 1, b'x');
        assert_eq!(read(&head), Verdict::NeedMore(MAX_HEAD));
        head.push(b'x');
        let (request, used) = saw(&head);
        assert_eq!((request.host.unwrap().as_str(), used), ("a.example", MAX_HEAD));
        let line = [b"GET /", &[b'x'; MAX_HEAD][..]].concat();
        assert_eq!(read(&line), Verdict::NotMine);
    }

    #[test]
    fn what_is_no_request_leaves_the_race_at_its_first_odd_byte() {
        for bytes in [
            &b"get / HTTP/1.1"[..],
            b"SSH-2.0-OpenSSH",
            b"\x16\x03\x01",
            b"HTTP/1.1 200 OK",
            b"G ",
            b"GE\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"DESCRIBE rtsp://a.example/ RTSP/1.0\r\n",
            b"USER anonymous\r\n",
            b"EHLO a.example\r\n",
            b"GET /\x01",
            b"ABCDEFGHIJKLMNOPQRSTU",
        ] {
            assert_eq!(read(bytes), Verdict::NotMine, "{:?}", String::from_utf8_lossy(bytes));
            assert_eq!(partial(bytes), None);
        }
        assert_eq!(saw(b"VERSION-CONTROL /x HTTP/1.1\r\n\r\n").0.method.as_str(), "VERSION-CONTROL");
    }

    #[test]
    fn the_look_of_a_request() {
        for yes in [&b"GET / HTTP"[..], b"\r\nPOST /x", b"OPTIONS * HTTP/1.1", b"GET HTTP://a", b"CONNECT a.example:443 "] {
            assert!(looks_like_request(yes));
        }
        for no in [&b""[..], b"\r\n", b"GE", b"GET", b"GET ", b"GET x", b"GET ht", b"PRI * HTTP/2.0", b"DATA HERE", b"get /"] {
            assert!(!looks_like_request(no));
        }
    }

    #[test]
    fn no_damaged_byte_makes_it_panic() {
        for at in 0..GET.len() {
            for value in [0, b'\r', b'\n', b' ', b':', 0xff] {
                let mut damaged = GET.to_vec();
                damaged[at] = value;
                let _ = (read(&damaged), partial(&damaged), looks_like_request(&damaged));
            }
        }
    }
}
