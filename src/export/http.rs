//! The web server: GET and HEAD of the pages in [`super::ROUTES`], and nothing else.
//!
//! Road taken: an axum router behind hyper's own HTTP/1 connection, on one thread of its own, one request a connection: no
//! connection is ever idle, so the caps below count only clients that are being served, and a browser's spare connections
//! take no place from a scraper. Roads not taken: `axum::serve`, which waits for ever for a half-sent head; keep-alive, which
//! would save a scraper one handshake in fifteen seconds.
//!
//! `/metrics` is the classic text format, gzip-compressed for whoever asks, as Prometheus does. Road not taken: OpenMetrics, which
//! the prometheus crate does not write; nothing here has exemplars or units that only it could carry.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use rustls::ServerConfig;

use super::again::{Again, Archive};
use super::auth::Checks;
use super::connection::Connection;
use super::feed::Feed;
use super::places::{Place, Places};
use super::router::{Site, router};
use super::stream::Streams;
use super::viewing::{Source, Viewing};
use super::web::{Settings, Web};
use super::{Scrape, Viewers, host, safe};

/// What stops clients that mean no good.
#[derive(Clone, Copy)]
struct Limits {
    /// Connections at once. Stops: many clients holding every file descriptor.
    connections: usize,
    /// Of these, from one peer (an IPv4 address, an IPv6 /64). Stops: one client holding all places with half-sent requests.
    per_peer: usize,
    /// Bytes of a request's head. Stops: endless heads filling the memory.
    head: usize,
    /// For a TLS handshake, and then for a request's head, to arrive. Stops: either sent a byte at a time.
    head_time: Duration,
    /// From accept to the last byte of the answer; on a live stream from one message to the next. Stops: answers read a byte at a
    /// time, each holding its text.
    request_time: Duration,
    /// Live streams at once, beside the connections. Stops: the same as those.
    streams: usize,
    /// Of these, from one peer.
    streams_per_peer: usize,
    /// Pages made at once. Stops: scrapes in parallel, each with a snapshot of its own, taking the processor from the capture.
    at_work: usize,
    /// Passwords of one peer that wait to be checked. Stops: one client's guesses keeping out all who come for the first time.
    checks: usize,
    /// From a wrong password to the next check. Stops: guesses taking the processor from the capture.
    pause: Duration,
}

const LIMITS: Limits = Limits {
    connections: 64,
    per_peer: 8,
    head: 8 * 1024, // the least that hyper takes
    head_time: Duration::from_secs(5),
    request_time: Duration::from_secs(30),
    streams: 32,
    streams_per_peer: 8,
    at_work: 1,
    checks: 2,
    pause: Duration::from_secs(1),
};

/// A listening socket: bound early, so that a port in use is known before anything else begins.
pub struct Server {
    #[expect(clippy::disallowed_types, reason = "only export listens")]
    listener: std::net::TcpListener,
    address: SocketAddr,
    feed: Arc<Feed>,
    archive: Result<Arc<dyn Archive>, &'static str>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Listens, without answering yet. Port 0 means any free one.
    ///
    /// # Errors
    /// When the address is in use, is not this machine's, or its port needs a right.
    #[expect(clippy::disallowed_types, reason = "only export listens")]
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let archive = Err("There are no captures here to read again.");
        Ok(Self { listener, address, feed: Arc::new(Feed::new("")), archive })
    }

    /// Tells what is notable from here.
    #[must_use]
    pub fn telling(self, feed: Arc<Feed>) -> Self {
        Self { feed, ..self }
    }

    /// Gives evidence and reports by reading captures again; or says why it cannot.
    #[must_use]
    pub fn reading(self, archive: Result<Arc<dyn Archive>, &'static str>) -> Self {
        Self { archive, ..self }
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers from now on, in a thread of its own, to whom `web` lets in. `scrape` is called for each page that shows data;
    /// `/-/ready` says 503 until `ready` is true.
    ///
    /// # Errors
    /// When the system has no thread or no event queue to give.
    pub fn serve(self, scrape: impl Fn() -> Scrape + Send + Sync + 'static, ready: Arc<AtomicBool>, web: Web) -> io::Result<Handle> {
        self.serve_within(LIMITS, Arc::new(scrape), ready, web)
    }

    fn serve_within(self, limits: Limits, scrape: Source, ready: Arc<AtomicBool>, web: Web) -> io::Result<Handle> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(limits.at_work.saturating_add(2)) // a password, and captures that are read again
            .thread_name("http-page")
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(self.listener)?
        };
        let machine = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
        let site = site(limits, scrape, ready, self.feed, self.archive);
        let door = Arc::new(Door { router: router(&site), web, checks: Checks::new(limits.checks, limits.pause), machine });
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let accepting = tokio::spawn(accept(listener, door, limits));
                // Told to stop, or the handle is gone: the same.
                let _ = stopped.await;
                accepting.abort();
            });
            runtime.shutdown_background();
        })?;
        Ok(Handle { stop, thread })
    }
}

/// A running server. It stops when this is dropped.
#[derive(Debug)]
#[must_use = "the server stops when its handle is dropped"]
pub struct Handle {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Handle {
    /// Stops the server and waits for its thread. Answers on their way are cut.
    pub fn stop(self) {
        drop(self.stop);
        // A panic there has already been told.
        let _ = self.thread.join();
    }
}

/// What every connection needs.
struct Door {
    router: Router,
    web: Web,
    checks: Checks,
    /// This machine's host name.
    machine: String,
}

/// What answers are made of.
fn site(
    limits: Limits,
    scrape: Source,
    ready: Arc<AtomicBool>,
    feed: Arc<Feed>,
    archive: Result<Arc<dyn Archive>, &'static str>,
) -> Arc<Site> {
    let streams = Arc::new(Streams::new(limits.streams, limits.streams_per_peer, limits.request_time));
    let again = Arc::new(Again::new(archive));
    let counted = Arc::clone(&streams);
    let viewers = move || Viewers { open: counted.open(), dropped: counted.dropped() };
    let viewing = Arc::new(Viewing::new(scrape, feed, again.is_possible(), viewers));
    Arc::new(Site { viewing, streams, again, ready, turns: Arc::new(Semaphore::new(limits.at_work)) })
}

async fn accept(listener: TcpListener, door: Arc<Door>, limits: Limits) {
    let places = Places::new(limits.connections, limits.per_peer);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match Place::take(&places, peer.ip()) {
                Some(place) => drop(tokio::spawn(converse(stream, Arc::clone(&door), place, limits))),
                // In clear, which to a client of TLS would be noise.
                None if door.web.scheme() == "http" => refuse(stream),
                None => drop(stream),
            },
            // No file descriptor is left, mostly: to ask again at once would spin until one is.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// One connection: one request.
async fn converse(stream: TcpStream, door: Arc<Door>, place: Place, limits: Limits) {
    let settings = door.web.current();
    let open = settings.users.is_empty() && stream.local_addr().is_ok_and(|own| own.ip().to_canonical().is_loopback());
    let peer = place.peer;
    let connection = Arc::new(Connection::new(place, &stream, limits.request_time));
    let visit = Visit { door, settings: Arc::clone(&settings), peer, guarded: open, connection: Arc::clone(&connection) };
    let mut serving = pin!(async {
        match &settings.tls {
            None => visit.serve(TokioIo::new(stream), limits).await,
            Some(config) => {
                if let Ok(Some(stream)) = tokio::time::timeout(limits.head_time, handshake(stream, config)).await {
                    visit.serve(TokioIo::new(stream), limits).await;
                }
            }
        }
    });
    loop {
        // All errors, the client's and the clock's, mean that there is nobody left to tell; but an answer may have been given more time.
        let ends = connection.ends();
        if tokio::time::timeout_at(ends, &mut serving).await.is_ok() || connection.ends() <= ends {
            return;
        }
    }
}

/// One connection that may ask for a page.
struct Visit {
    door: Arc<Door>,
    settings: Arc<Settings>,
    peer: IpAddr,
    /// Only by this machine's own names: see [`host`].
    guarded: bool,
    connection: Arc<Connection>,
}

impl Visit {
    async fn serve(&self, stream: impl Read + Write + Unpin, limits: Limits) {
        let _ = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_time)
            .max_buf_size(limits.head)
            .keep_alive(false)
            .half_close(true) // who has said all still hears the answer
            .serve_connection(stream, service_fn(|request| self.answer(request)))
            .await;
    }

    async fn answer(&self, mut request: Request<Incoming>) -> Result<Response, Infallible> {
        request.extensions_mut().insert(Arc::clone(&self.connection));
        let mut response = match self.admit(&request).await {
            Ok(()) => TowerToHyperService::new(self.door.router.clone()).call(request).await?,
            Err(refusal) => refusal,
        };
        safe::put(response.headers_mut());
        for (name, value) in &self.settings.headers {
            response.headers_mut().insert(name, value.clone());
        }
        Ok(response)
    }

    async fn admit(&self, request: &Request<Incoming>) -> Result<(), Response> {
        let named = safe::sound(request).map_err(safe::Refusal::into_response)?;
        // Without a Host it is no browser.
        if self.guarded && named.is_some_and(|host| !host::is_ours(host, &self.door.machine)) {
            let words = "Pages without a password are served on this machine only by its own names: ask for an address or for localhost.\n\
                A proxy in front can say so, or --web.config.file can set passwords.\n";
            return Err((StatusCode::MISDIRECTED_REQUEST, words).into_response());
        }
        self.door.checks.admit(&self.settings, request.headers(), self.peer).await
    }
}

/// A TLS connection, if the client wants one.
async fn handshake(stream: TcpStream, config: &Arc<ServerConfig>) -> Option<TlsStream<TcpStream>> {
    /// What each TLS connection begins with (RFC 8446, 5.1).
    const HANDSHAKE: u8 = 22;
    let mut first = [0];
    if stream.peek(&mut first).await.ok()? == 1 && first != [HANDSHAKE] {
        let words = "An HTTP request came to an HTTPS port: ask by https://.\n";
        let head = "HTTP/1.0 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\r\n";
        // What came is taken, else the answer would be lost in a reset.
        let _ = stream.try_read(&mut [0; 8 * 1024]);
        let _ = stream.try_write(format!("{head}{words}").as_bytes());
        return None;
    }
    TlsAcceptor::from(Arc::clone(config)).accept(stream).await.ok()
}

/// Says no at once, if the client still listens.
fn refuse(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n");
        let _ = stream.write_all(safe::lines().as_bytes()).and_then(|()| stream.write_all(b"\r\n"));
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "the tests are the clients")]
mod tests {
    use super::*;
    use crate::export::{ROUTES, fixture};
    use std::io::Read as _;

    /// Nothing here waits for a clock but the test that says so.
    const PATIENT: Limits = Limits { head_time: Duration::from_secs(600), request_time: Duration::from_secs(600), ..LIMITS };

    fn server(limits: Limits, ready: bool) -> (SocketAddr, Handle) {
        serving(limits, ready, fixture::scrape, Web::default())
    }

    fn serving(limits: Limits, ready: bool, scrape: impl Fn() -> Scrape + Send + Sync + 'static, web: Web) -> (SocketAddr, Handle) {
        let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = server.local_addr();
        let handle = server.serve_within(limits, Arc::new(scrape), Arc::new(AtomicBool::new(ready)), web).unwrap();
        (address, handle)
    }

    /// A web configuration of this text.
    fn web(text: &str) -> Web {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Web::load(file.path()).unwrap()
    }

    fn connect(address: SocketAddr) -> std::net::TcpStream {
        std::net::TcpStream::connect(address).unwrap()
    }

    /// Status line and headers, lower case, and the body.
    fn exchange(mut stream: impl io::Read + io::Write, head: &str) -> (String, Vec<u8>) {
        stream.write_all(head.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        (String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase(), bytes[end + 4..].to_vec())
    }

    fn ask(address: SocketAddr, method: &str, path: &str) -> (String, String) {
        let (head, body) = exchange(connect(address), &format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        (head, String::from_utf8(body).unwrap())
    }

    #[test]
    fn each_page_answers_with_its_type() {
        let (address, handle) = server(PATIENT, true);
        for (path, content_type, part) in [
            ("/", "text/html; charset=utf-8", "whither"),
            ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "whither_capture_up{interface=\"wlan0\"} 1\n"),
            ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "process_resident_memory_bytes "),
            ("/api/v1/devices", "application/json", "\"sensor\":\"lab\""),
            ("/api/v1/destinations", "application/json", "\"destination\":\"example.org\""),
            ("/api/v1/contacts?device=02%3A00%3A00%3A00%3A00%3A0a", "application/json", "\"value\":\"AS64496\""),
            ("/api/v1/contacts?device=02:00:00:00:00:0b", "application/json", "\"contacts\":[]"),
            ("/-/healthy", "text/plain; charset=utf-8", "whither is healthy.\n"),
            ("/-/ready", "text/plain; charset=utf-8", "whither is ready.\n"),
        ] {
            let (head, body) = ask(address, "GET", path);
            assert!(head.starts_with("http/1.1 200 ok\r\n"), "{path}: {head}");
            assert!(head.contains(&format!("\r\ncontent-type: {content_type}\r\n")), "{path}: {head}");
            assert!(head.contains("\r\nx-content-type-options: nosniff"), "{path}: {head}");
            assert!(body.contains(part), "{path}: {body}");
        }
        handle.stop();
    }

    #[test]
    fn head_has_the_length_and_no_body() {
        let (address, handle) = server(PATIENT, true);
        for route in ROUTES.iter().filter(|route| route.is_plain() && route.path != "/metrics") {
            let (head, body) = ask(address, "HEAD", route.path);
            let length = ask(address, "GET", route.path).1.len();
            assert!(head.starts_with("http/1.1 200 ok\r\n") && body.is_empty(), "{}: {head}", route.path);
            assert!(head.contains(&format!("\r\ncontent-length: {length}")), "{}: {head}", route.path);
        }
        handle.stop();
    }

    #[test]
    fn without_a_password_no_page_is_shown_be_it_there_or_not() {
        let hash = bcrypt::hash("open sesame", 4).unwrap();
        let text = format!("basic_auth_users: {{scraper: {hash}}}\nhttp_server_config: {{headers: {{Content-Security-Policy: sandbox}}}}");
        // Gone when it was read: what is in use stays.
        let hasty = Limits { pause: Duration::ZERO, ..PATIENT };
        let (address, handle) = serving(hasty, true, fixture::scrape, web(&text));
        let as_user = |path: &str, token: &str| {
            exchange(connect(address), &format!("GET {path} HTTP/1.1\r\nHost: foreign.example\r\nAuthorization: Basic {token}\r\n\r\n")).0
        };
        for path in ROUTES.iter().filter(|route| route.is_plain()).map(|route| route.path).chain(["/none"]) {
            let (head, body) = ask(address, "GET", path);
            assert!(head.starts_with("http/1.1 401 ") && head.contains("\r\nwww-authenticate: basic realm=\"whither\""), "{path}: {head}");
            assert!(!body.contains("example.org"), "{path}: {body}");
            assert!(as_user(path, "c2NyYXBlcjp4").starts_with("http/1.1 401 "), "{path}: a wrong password");
            let head = as_user(path, "c2NyYXBlcjpvcGVuIHNlc2FtZQ==");
            let status = if path == "/none" { "http/1.1 404 " } else { "http/1.1 200 " };
            assert!(head.starts_with(status), "{path}: {head}");
            assert!(head.contains("\r\ncontent-security-policy: sandbox") && !head.contains("default-src"), "{path}: {head}");
        }
        handle.stop();
    }

    #[test]
    fn on_loopback_a_site_of_another_name_reads_nothing() {
        let (address, handle) = server(PATIENT, true);
        let named = |host: &str| exchange(connect(address), &format!("GET /api/v1/devices HTTP/1.1\r\nHost: {host}\r\n\r\n")).0;
        for host in ["127.0.0.1:9843", "localhost", "[::1]"] {
            assert!(named(host).starts_with("http/1.1 200 "), "{host}");
        }
        let head = named("rebound.example");
        assert!(head.starts_with("http/1.1 421 "), "{head}");
        let (head, _) = exchange(connect(address), "GET /metrics HTTP/1.0\r\n\r\n");
        assert!(head.starts_with("http/1.0 200 ") || head.starts_with("http/1.1 200 "), "no browser: {head}");
        handle.stop();
    }

    #[test]
    fn other_methods_and_other_pages_are_refused() {
        let (address, handle) = server(PATIENT, true);
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let (head, _) = ask(address, method, "/metrics");
            assert!(head.starts_with("http/1.1 405 ") && head.contains("\r\nallow: get,head"), "{method}: {head}");
        }
        assert!(ask(address, "GET", "/metrics/").0.starts_with("http/1.1 404 "));
        assert!(ask(address, "GET", "/api/v1/../../etc/passwd").0.starts_with("http/1.1 404 "));
        handle.stop();
    }

    #[test]
    fn it_is_not_ready_before_the_first_capture_but_healthy() {
        let (address, handle) = server(PATIENT, false);
        assert!(ask(address, "GET", "/-/ready").0.starts_with("http/1.1 503 "));
        assert!(ask(address, "GET", "/-/healthy").0.starts_with("http/1.1 200 "));
        handle.stop();
    }

    #[test]
    fn gzip_where_it_is_asked_for_and_the_same_inside() {
        let (address, handle) = server(PATIENT, true);
        let asking = |coding: &str| format!("GET /api/v1/destinations HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {coding}\r\n\r\n");
        let plain = ask(address, "GET", "/api/v1/destinations").1;
        for coding in ["gzip", "deflate, GZIP;q=0.5", "br,gzip ; q=1.0"] {
            let (head, body) = exchange(connect(address), &asking(coding));
            assert!(head.contains("\r\ncontent-encoding: gzip"), "{coding}: {head}");
            assert_eq!(io::read_to_string(flate2::read::GzDecoder::new(body.as_slice())).unwrap(), plain);
        }
        for coding in ["identity", "gzip;q=0", "xgzip"] {
            let (head, body) = exchange(connect(address), &asking(coding));
            assert!(!head.contains("content-encoding"), "{coding}: {head}");
            assert_eq!(body, plain.as_bytes());
        }
        handle.stop();
    }

    #[test]
    fn half_open_requests_fill_their_own_places_and_no_others() {
        let (address, handle) = server(PATIENT, true);
        let half_open: Vec<_> = (0..LIMITS.per_peer)
            .map(|_| {
                let mut stream = connect(address);
                stream.write_all(b"GET /metrics HTTP/1.1\r\nHost:").unwrap();
                stream
            })
            .collect();
        // Connections are accepted in the order in which they came, so this one finds the eight before it.
        let mut refused = String::new();
        connect(address).read_to_string(&mut refused).unwrap();
        assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
        // Another peer is served.
        let (head, _) = exchange(from([127, 0, 0, 2], address), "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
        drop(half_open);
        handle.stop();
    }

    /// More connections than any server here could hold, all at once and never ended.
    #[test]
    fn ten_thousand_half_open_requests_keep_nobody_else_out() {
        let (soft, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
        nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, hard, hard).unwrap();
        let many = usize::try_from(hard.max(soft)).unwrap_or(usize::MAX).saturating_sub(500).min(10_000);
        let (address, handle) = server(PATIENT, true);
        let half_open: Vec<_> = (0..many)
            .map(|_| {
                let mut stream = connect(address);
                let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost:"); // refused, most of them
                stream
            })
            .collect();
        let (head, _) = exchange(from([127, 0, 0, 2], address), "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(head.starts_with("http/1.1 200 ok\r\n"), "{many} half-open: {head}");
        drop(half_open);
        handle.stop();
    }

    #[test]
    fn an_answer_that_nobody_reads_loses_its_place() {
        let hasty = Limits { request_time: Duration::from_millis(500), per_peer: 1, ..PATIENT };
        // More than the sockets' buffers take.
        let large = || {
            let mut scrape = fixture::scrape();
            scrape.sensor = "x".repeat(64 << 20);
            scrape
        };
        let (address, handle) = serving(hasty, true, large, Web::default());
        let mut slow = connect(address);
        slow.write_all(b"GET /api/v1/devices HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        // Until its time is over the one place is taken.
        let served = || {
            let (mut stream, mut answer) = (connect(address), Vec::new());
            let _ = stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let _ = stream.read_to_end(&mut answer);
            answer.starts_with(b"HTTP/1.1 200 ")
        };
        assert!(!served());
        while !served() {}
        let mut rest = Vec::new();
        let ended = slow.read_to_end(&mut rest);
        assert!(ended.is_err() || rest.len() < 64 << 20, "it was cut");
        handle.stop();
    }

    #[test]
    fn a_live_stream_of_which_nothing_is_taken_loses_its_place_and_is_counted() {
        let hasty = Limits { request_time: Duration::from_millis(1_500), ..PATIENT };
        let (address, handle) = server(hasty, true);
        let mut stream = connect(address);
        stream.write_all(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        // Where nothing happens the second word comes after ten seconds: later than a message may wait here.
        let told = io::BufRead::lines(io::BufReader::new(stream)).map_while(Result::ok).filter(|line| line == "event: tick").count();
        let (_, metrics) = ask(address, "GET", "/metrics");
        assert!(told == 1 && metrics.contains("\nwhither_page_viewers_dropped_total 1\n"), "{told} {metrics}");
        handle.stop();
    }

    #[test]
    fn a_head_that_never_ends_loses_its_place() {
        let hasty = Limits { head_time: Duration::from_millis(50), per_peer: 1, ..PATIENT };
        let (address, handle) = server(hasty, true);
        for beginning in ["GET /metrics HTTP/1.1\r\nHost:", ""] {
            let mut stream = connect(address);
            stream.write_all(beginning.as_bytes()).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap(); // returns when the server closes
            assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
            // Its place, the only one, is free again.
            assert!(ask(address, "GET", "/-/healthy").0.starts_with("http/1.1 200 "));
        }
        handle.stop();
    }

    #[test]
    fn a_head_without_end_is_refused() {
        let (address, handle) = server(PATIENT, true);
        let mut stream = connect(address);
        // Exactly what may be read before it is too much, so that the refusal is not lost in a reset.
        let head = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(LIMITS.head));
        stream.write_all(&head.as_bytes()[..LIMITS.head]).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        handle.stop();
    }

    #[test]
    fn a_port_in_use_is_told_at_once_and_a_stopped_server_gives_it_back() {
        let (address, handle) = server(PATIENT, true);
        assert_eq!(Server::bind(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        handle.stop();
        assert!(std::net::TcpStream::connect(address).is_err());
    }

    /// A connection from another address of the loopback network.
    fn from(source: [u8; 4], address: SocketAddr) -> std::net::TcpStream {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind((source, 0).into()).unwrap();
            let stream = socket.connect(address).await.unwrap().into_std().unwrap();
            stream.set_nonblocking(false).unwrap();
            stream
        })
    }
}
