//! What is asked of every request before it reaches a page, and what is put on every answer.
//!
//! Road taken: a page is asked for by GET or HEAD, for one host, without a body. Everything else is refused at once, so nothing
//! here can be read in two ways by a proxy in front and by this server (request smuggling: two lengths, two hosts, a body behind
//! which another request hides). Road not taken: to read a body and drop it, which is time and memory for whoever sends one.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Body;

/// Names on the pages are chosen by the devices under suspicion: nothing in them may ever run or be loaded, a page runs only its own
/// files, no other site may frame it or read it, and its address goes nowhere.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"), // for browsers that do not know frame-ancestors
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Puts them on an answer, which may say itself whether it may be kept.
pub(super) fn put(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        if name != header::CACHE_CONTROL || !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

/// The same as lines, for an answer that is written without a library.
pub(super) fn lines() -> String {
    HEADERS.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

/// Why a request gets no page.
pub(super) struct Refusal(StatusCode, &'static str);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.0, self.1).into_response();
        if self.0 == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
        }
        response
    }
}

/// The host that a request is for, if it is one that can be answered: none where HTTP/1.0 names none.
///
/// # Errors
/// The refusal: 405 for a method that reads no page, 400 for a body, for no host or several (RFC 9112, 3.2), and for one that is no text.
pub(super) fn sound<B: Body>(request: &Request<B>) -> Result<Option<&str>, Refusal> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "Pages are read with GET or HEAD.\n"));
    }
    let refused = |words: &'static str| Err(Refusal(StatusCode::BAD_REQUEST, words));
    if !request.body().is_end_stream() || request.headers().contains_key(header::TRANSFER_ENCODING) {
        return refused("A request for a page has no body.\n");
    }
    let host = request.headers().get(header::HOST);
    match request.headers().get_all(header::HOST).iter().count() {
        0 if request.version() < Version::HTTP_11 => {}
        1 if host.is_some_and(|host| host.to_str().is_ok()) => {}
        _ => return refused("A request names one host, in ASCII.\n"),
    }
    // What stands in the request's first line counts (RFC 9112, 3.2.2).
    Ok(request.uri().authority().map(Authority::host).or_else(|| host?.to_str().ok()))
}
