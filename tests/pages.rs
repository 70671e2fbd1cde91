//! The pages under a scanner's requests: malformed, smuggled, oversized, of other protocols. Raw bytes to a listening server.
//!
//! Whatever comes, what goes back is one answer that is safe to show, or nothing; and the next client is served.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_types,
    clippy::string_slice,
    reason = "a test is a client, and fails by panicking"
)]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;

use whither::export::http::{Handle, Server};
use whither::export::web::Web;
use whither::export::{ROUTES, Scrape};

fn server() -> (SocketAddr, Handle) {
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = server.local_addr();
    let scrape = || Scrape { sensor: "secret".to_owned(), ..Scrape::default() };
    (address, server.serve(scrape, Arc::new(true.into()), Web::default()).unwrap())
}

/// All that comes back for these bytes, after which nothing more is sent.
fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    // It may have heard enough before the last byte, and reset what it did not read.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of an answer; 0 for none.
fn status(answer: &str) -> u16 {
    answer.get(9..12).map_or(0, |status| status.parse().unwrap_or_else(|_| panic!("{answer}")))
}

const HOST: &str = "Host: localhost\r\n";

/// Requests that no sound client makes: refused, or not answered at all.
#[test]
fn what_is_no_sound_request_gets_no_page() {
    let (address, handle) = server();
    let long = "x".repeat(7_000);
    let many = "A: b\r\n".repeat(1_000);
    for (what, request) in [
        ("no host", "GET /metrics HTTP/1.1\r\n\r\n".to_owned()),
        ("two hosts", format!("GET /metrics HTTP/1.1\r\n{HOST}Host: example.net\r\n\r\n")),
        ("the same host twice", format!("GET /metrics HTTP/1.1\r\n{HOST}{HOST}\r\n")),
        ("an empty host and another", format!("GET /metrics HTTP/1.1\r\nHost:\r\n{HOST}\r\n")),
        ("a host that is no ASCII", "GET /metrics HTTP/1.1\r\nHost: localhöst\r\n\r\n".to_owned()),
        ("another host in the first line", format!("GET http://example.net/metrics HTTP/1.1\r\n{HOST}\r\n")),
        ("another host behind a user", format!("GET http://localhost:1@example.net/metrics HTTP/1.1\r\n{HOST}\r\n")),
        ("a body", format!("GET /metrics HTTP/1.1\r\n{HOST}Content-Length: 5\r\n\r\nhello")),
        ("a body in chunks", format!("GET /metrics HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        (
            "two lengths, of which one counts",
            format!("GET /metrics HTTP/1.1\r\n{HOST}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET"),
        ),
        ("two lengths that differ", format!("GET /metrics HTTP/1.1\r\n{HOST}Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello")),
        ("a length with a sign", format!("GET /metrics HTTP/1.1\r\n{HOST}Content-Length: +5\r\n\r\nhello")),
        ("a length beyond all", format!("GET /metrics HTTP/1.1\r\n{HOST}Content-Length: 99999999999999999999\r\n\r\n")),
        ("an unknown coding", format!("GET /metrics HTTP/1.1\r\n{HOST}Transfer-Encoding: xchunked\r\n\r\n")),
        ("a coding behind another", format!("GET /metrics HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked, identity\r\n\r\n")),
        ("a space before the colon", format!("GET /metrics HTTP/1.1\r\n{HOST}Transfer-Encoding : chunked\r\n\r\n")),
        ("a folded line", format!("GET /metrics HTTP/1.1\r\n{HOST}X: a\r\n b\r\n\r\n")),
        ("a lone carriage return", format!("GET /metrics HTTP/1.1\r\n{HOST}X: a\rb\r\n\r\n")),
        ("a NUL in a value", format!("GET /metrics HTTP/1.1\r\n{HOST}X: a\0b\r\n\r\n")),
        ("a NUL in a name", format!("GET /metrics HTTP/1.1\r\n{HOST}X\0: a\r\n\r\n")),
        ("a NUL in the path", format!("GET /metrics\0 HTTP/1.1\r\n{HOST}\r\n")),
        ("a space in the path", format!("GET /metrics x HTTP/1.1\r\n{HOST}\r\n")),
        ("no path", format!("GET HTTP/1.1\r\n{HOST}\r\n")),
        ("a header without a name", format!("GET /metrics HTTP/1.1\r\n{HOST}: a\r\n\r\n")),
        ("a line without a colon", format!("GET /metrics HTTP/1.1\r\n{HOST}X\r\n\r\n")),
        ("HTTP/0.9", "GET /metrics\r\n".to_owned()),
        ("HTTP/1.2", format!("GET /metrics HTTP/1.2\r\n{HOST}\r\n")),
        ("HTTP/2.0 by name", format!("GET /metrics HTTP/2.0\r\n{HOST}\r\n")),
        ("HTTP/1.11", format!("GET /metrics HTTP/1.11\r\n{HOST}\r\n")),
        ("http in small letters", format!("GET /metrics http/1.1\r\n{HOST}\r\n")),
        ("another protocol", format!("GET /metrics RTSP/1.0\r\n{HOST}\r\n")),
        ("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_owned()),
        ("TLS", "\x16\x03\x01\x02\0\x01\0\x01\u{7c}\x03\x03".to_owned()),
        ("a proxy's greeting", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_owned()),
        ("SOCKS", "\x05\x01\0".to_owned()),
        ("a method that is none", format!("G@T /metrics HTTP/1.1\r\n{HOST}\r\n")),
        ("a method in small letters", format!("get /metrics HTTP/1.1\r\n{HOST}\r\n")),
        ("a head too large", format!("GET /metrics HTTP/1.1\r\n{HOST}X: {long}{long}\r\n\r\n")),
        ("a path too large", format!("GET /{long}{long} HTTP/1.1\r\n{HOST}\r\n")),
        ("too many headers", format!("GET /metrics HTTP/1.1\r\n{HOST}{many}\r\n")),
        ("nothing", String::new()),
        ("blank lines", "\r\n\r\n\r\n".to_owned()),
    ] {
        let answer = exchange(address, request.as_bytes());
        assert!(matches!(status(&answer), 0 | 400..=499 | 505), "{what}: {answer}");
        assert!(!answer.contains("secret") && !answer.contains("whither_"), "{what}: {answer}");
    }
    assert_eq!(status(&exchange(address, format!("GET /metrics HTTP/1.1\r\n{HOST}\r\n").as_bytes())), 200, "and the next is served");
    handle.stop();
}

#[test]
fn pages_are_read_with_get_and_head_alone() {
    let (address, handle) = server();
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "X", "get"] {
        for path in ["/metrics", "/", "/none", "*"] {
            let answer = exchange(address, format!("{method} {path} HTTP/1.1\r\n{HOST}\r\n").as_bytes()).to_lowercase();
            // No method but OPTIONS may ask for `*` (RFC 9112, 3.2.4); the parser lets it pass.
            assert!(status(&answer) == 405 && answer.contains("\r\nallow: get,head\r\n"), "{method} {path}: {answer}");
        }
    }
    assert_eq!(status(&exchange(address, format!("CONNECT localhost:1 HTTP/1.1\r\n{HOST}\r\n").as_bytes())), 405);
    handle.stop();
}

/// A page has one name, and nothing leads out of the pages.
#[test]
fn other_spellings_of_a_path_are_no_page() {
    let (address, handle) = server();
    for path in [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/..%c0%af..%c0%afetc/passwd",
        "/api/v1/../../metrics",
        "/metrics/..",
        "/metrics/",
        "//metrics",
        "/./metrics",
        "/metrics;x",
        "/metrics%00",
        "/metrics%0d%0aX:%20y",
        "/%6detrics",
        "/METRICS",
        "/.git/config",
        "/index.php",
        "/%",
        "/%zz",
        "*",
    ] {
        let answer = exchange(address, format!("GET {path} HTTP/1.1\r\n{HOST}\r\n").as_bytes());
        assert!(matches!(status(&answer), 400 | 404) && !answer.contains("secret"), "{path}: {answer}");
        assert!(!answer.to_lowercase().contains("\r\nx: y"), "{path}: {answer}");
    }
    handle.stop();
}

/// What is odd and sound is answered as if it were not odd.
#[test]
fn sound_requests_of_an_odd_form_are_answered_once() {
    let (address, handle) = server();
    for (what, request) in [
        ("HTTP/1.0 without a host", "GET /api/v1/devices HTTP/1.0\r\n\r\n".to_owned()),
        ("the whole address", format!("GET http://localhost:1/api/v1/devices HTTP/1.1\r\n{HOST}\r\n")),
        ("a length of nothing", format!("GET /api/v1/devices HTTP/1.1\r\n{HOST}Content-Length: 0\r\n\r\n")),
        ("a wish to go on", format!("GET /api/v1/devices HTTP/1.1\r\n{HOST}Expect: 100-continue\r\n\r\n")),
        ("a wish for HTTP/2", format!("GET /api/v1/devices HTTP/1.1\r\n{HOST}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n")),
        (
            "a wish for a web socket",
            format!("GET /api/v1/devices HTTP/1.1\r\n{HOST}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"),
        ),
        ("ranges beyond counting", format!("GET /api/v1/devices HTTP/1.1\r\n{HOST}Range: bytes=0-,5-0,0-18446744073709551615\r\n\r\n")),
        ("two requests", format!("GET /api/v1/devices HTTP/1.1\r\n{HOST}\r\nGET /api/v1/devices HTTP/1.1\r\n{HOST}\r\n")),
        ("lines that end like Unix's", "GET /api/v1/devices HTTP/1.1\nHost: localhost\n\n".to_owned()),
    ] {
        let answer = exchange(address, request.as_bytes());
        assert_eq!((status(&answer), answer.matches("secret").count()), (200, 1), "{what}: {answer}");
        assert!(!answer.contains("<script>") && !answer.contains(" 101 "), "{what}: {answer}");
    }
    handle.stop();
}

/// Whoever misspells a filter must not take all for the answer.
#[test]
fn a_question_that_is_not_understood_is_answered_by_what_could_be_asked() {
    let (address, handle) = server();
    for (path, words) in [
        ("/api/v1/devices?a=%00%0d%0ax:%20y&b=%3Cscript%3E&c=../..", "There is no parameter `a` here"),
        ("/api/v1/destinations?limit=0", "a whole number from 1 to 65536"),
        ("/api/v1/destinations?device=a&device=b", "more than once"),
        ("/api/v1/device", "`device` is missing"),
        ("/api/v1/evidence?device=x", "`destination` is missing"),
        ("/api/v1/events?action=%3Cscript%3E", "one of association"),
        ("/api/v1/stream?after=x", "the id of a notable event"),
    ] {
        let answer = exchange(address, format!("GET {path} HTTP/1.1\r\n{HOST}\r\n").as_bytes());
        assert!(status(&answer) == 400 && answer.contains("\r\ncontent-type: application/problem+json\r\n"), "{path}: {answer}");
        assert!(answer.contains(words) && !answer.contains("secret") && !answer.contains("<script>"), "{path}: {answer}");
        assert!(!answer.contains("\r\nx: y"), "{path}: {answer}");
    }
    for path in ["/api/v1/device?device=x", "/api/v1/evidence?device=x&destination=y", "/api/v1/report.html?device=x"] {
        let answer = exchange(address, format!("GET {path} HTTP/1.1\r\n{HOST}\r\n").as_bytes());
        assert!(status(&answer) == 404 && answer.contains("\"status\":404"), "{path}: {answer}");
    }
    handle.stop();
}

/// Also on what is no page: an error is shown by a browser too.
#[test]
fn every_answer_says_that_nothing_in_it_may_run() {
    let (address, handle) = server();
    let pages = ROUTES.iter().map(|route| format!("GET {} HTTP/1.1\r\n{HOST}\r\n", route.path));
    let others = [
        format!("GET /none HTTP/1.1\r\n{HOST}\r\n"),
        format!("POST / HTTP/1.1\r\n{HOST}\r\n"),
        "GET / HTTP/1.1\r\nHost: example.net\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
    ];
    for request in pages.chain(others) {
        let answer = exchange(address, request.as_bytes()).to_lowercase();
        let head = &answer[..answer.find("\r\n\r\n").unwrap()];
        let policy =
            head.lines().find_map(|line| line.strip_prefix("content-security-policy: ")).unwrap_or_else(|| panic!("{request}: {head}"));
        for part in ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"] {
            assert!(policy.contains(part), "{request}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        for line in ["x-content-type-options: nosniff", "referrer-policy: no-referrer", "cross-origin-resource-policy: same-origin"] {
            assert!(head.lines().any(|other| other == line), "{request}: {head}");
        }
        assert!(!head.contains("access-control-allow"), "{request}: {head}");
    }
    handle.stop();
}

/// Bytes in no order, and sound requests cut anywhere.
#[test]
fn no_bytes_stop_the_server() {
    let (address, handle) = server();
    let mut chance = fastrand::Rng::with_seed(7);
    let sound = format!("GET /metrics HTTP/1.1\r\n{HOST}Accept-Encoding: gzip\r\nAuthorization: Basic YTpi\r\n\r\n");
    for round in 0..300 {
        let mut bytes = sound.clone().into_bytes();
        bytes.truncate(chance.usize(..=bytes.len()));
        for _ in 0..round / 50 {
            if let at @ 1.. = bytes.len() {
                bytes[chance.usize(..at)] = chance.u8(..);
            }
        }
        let answer = exchange(address, &bytes);
        assert!(matches!(status(&answer), 0 | 200 | 400..=499), "{}: {answer}", bytes.escape_ascii());
    }
    assert_eq!(status(&exchange(address, sound.as_bytes())), 200);
    handle.stop();
}
