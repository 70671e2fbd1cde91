//! The web server: GET and HEAD of the pages in [`super::ROUTES`], and nothing else.
//!
//! Road taken: an axum router behind hyper's own HTTP/1 connection, on one thread of its own, one request a connection: no
//! connection is ever idle, so the caps below count only clients that are being served, and a browser's spare connections
//! take no place from a scraper. Roads not taken: `axum::serve`, which waits for ever for a half-sent head; keep-alive, which
//! would save a scraper one handshake in fifteen seconds.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use flate2::{Compression, write::GzEncoder};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::{Page, ROUTES, Route, Scrape};

/// What stops clients that mean no good.
#[derive(Clone, Copy)]
struct Limits {
    /// Connections at once. Stops: many clients holding every file descriptor.
    connections: usize,
    /// Of these, from one peer (an IPv4 address, an IPv6 /64). Stops: one client holding all places with half-sent requests.
    per_peer: usize,
    /// Bytes of a request's head. Stops: endless heads filling the memory.
    head: usize,
    /// For a request's head to arrive. Stops: heads sent a byte at a time.
    head_time: Duration,
    /// From accept to the last byte of the answer. Stops: answers read a byte at a time, each holding its text.
    request_time: Duration,
    /// Pages made at once. Stops: scrapes in parallel, each with a snapshot of its own.
    at_work: usize,
}

const LIMITS: Limits = Limits {
    connections: 64,
    per_peer: 8,
    head: 8 * 1024, // the least that hyper takes
    head_time: Duration::from_secs(5),
    request_time: Duration::from_secs(30),
    at_work: 2,
};

/// Where a scrape comes from.
type Source = Arc<dyn Fn() -> Scrape + Send + Sync>;

/// A listening socket: bound early, so that a port in use is known before anything else begins.
#[derive(Debug)]
pub struct Server {
    #[expect(clippy::disallowed_types, reason = "only export listens")]
    listener: std::net::TcpListener,
    address: SocketAddr,
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
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers from now on, in a thread of its own. `scrape` is called for each page that shows data; `/-/ready` says 503
    /// until `ready` is true.
    ///
    /// # Errors
    /// When the system has no thread or no event queue to give.
    pub fn serve(self, scrape: impl Fn() -> Scrape + Send + Sync + 'static, ready: Arc<AtomicBool>) -> io::Result<Handle> {
        self.serve_within(LIMITS, Arc::new(scrape), ready)
    }

    fn serve_within(self, limits: Limits, scrape: Source, ready: Arc<AtomicBool>) -> io::Result<Handle> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(limits.at_work)
            .thread_name("http-page")
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(self.listener)?
        };
        let router = router(&scrape, &ready);
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let accepting = tokio::spawn(accept(listener, router, limits));
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

async fn accept(listener: TcpListener, router: Router, limits: Limits) {
    let places = Arc::new(Places { limits, taken: Mutex::default() });
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match Place::take(&places, peer.ip()) {
                Some(place) => drop(tokio::spawn(converse(stream, router.clone(), place))),
                None => refuse(stream),
            },
            // No file descriptor is left, mostly: to ask again at once would spin until one is.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// One connection: one request.
async fn converse(stream: TcpStream, router: Router, place: Place) {
    let limits = place.places.limits;
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(limits.head)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // Both errors, the client's and the clock's, mean that there is nobody left to tell.
    let _ = tokio::time::timeout(limits.request_time, serving).await;
}

/// Says no at once, if the client still listens.
fn refuse(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    }
}

/// Who is being served: at most [`Limits::connections`] peers, so a list is enough.
struct Places {
    limits: Limits,
    taken: Mutex<Vec<IpAddr>>,
}

/// One of them; given back when dropped.
struct Place {
    places: Arc<Places>,
    peer: IpAddr,
}

impl Place {
    fn take(places: &Arc<Places>, peer: IpAddr) -> Option<Self> {
        let peer = site(peer);
        let mut taken = places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_peer = taken.iter().filter(|other| **other == peer).count();
        if taken.len() >= places.limits.connections || of_peer >= places.limits.per_peer {
            return None;
        }
        taken.push(peer);
        drop(taken);
        Some(Self { places: Arc::clone(places), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = taken.iter().position(|other| *other == self.peer) {
            taken.swap_remove(index);
        }
    }
}

/// What one client can be expected to own: an IPv4 address, an IPv6 /64.
fn site(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

fn router(scrape: &Source, ready: &Arc<AtomicBool>) -> Router {
    let add = |router: Router, route: &'static Route| {
        let (scrape, ready) = (Arc::clone(scrape), Arc::clone(ready));
        // `get` answers HEAD too, and everything else with 405 and Allow.
        let page = get(move |headers: HeaderMap| answer(route, scrape, ready.load(Ordering::Relaxed), accepts_gzip(&headers)));
        router.route(route.path, page)
    };
    ROUTES.iter().fold(Router::new(), add).fallback(|| async { (StatusCode::NOT_FOUND, "No such page. / lists all.\n") })
}

async fn answer(route: &'static Route, scrape: Source, ready: bool, gzip: bool) -> Response {
    let (status, body) = match route.page {
        Page::Fixed(text) => (StatusCode::OK, Body::from(text())),
        Page::Ready if ready => (StatusCode::OK, Body::from("whither is ready.\n".to_owned())),
        Page::Ready => (StatusCode::SERVICE_UNAVAILABLE, Body::from("No capture is open yet.\n".to_owned())),
        Page::Of(render) => {
            let work = move || render(scrape()).map(|text| Body::from(text).packed(gzip));
            match tokio::task::spawn_blocking(work).await {
                Ok(Ok(body)) => (StatusCode::OK, body),
                Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, Body::from(format!("The page could not be made: {error}\n"))),
                Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Body::from("The page could not be made.\n".to_owned())),
            }
        }
    };
    let mut response = (status, body.bytes).into_response();
    let headers = response.headers_mut();
    let content_type = if status == StatusCode::INTERNAL_SERVER_ERROR { "text/plain; charset=utf-8" } else { route.content_type };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    for (name, value) in SAFE {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if body.gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Names on the pages are chosen by the devices under suspicion: nothing in them may ever run, and no other site may frame them.
const SAFE: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::CACHE_CONTROL, "no-store"),
];

/// The bytes of an answer.
struct Body {
    bytes: Vec<u8>,
    gzip: bool,
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self { bytes: text.into_bytes(), gzip: false }
    }
}

impl Body {
    /// Compressed where the client takes it and it pays.
    fn packed(self, gzip: bool) -> Self {
        if !gzip || self.bytes.len() < 1024 {
            return self;
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        // Into memory: cannot fail, and if it did the plain text is as good.
        match encoder.write_all(&self.bytes).and_then(|()| encoder.finish()) {
            Ok(bytes) => Self { bytes, gzip: true },
            Err(_) => self,
        }
    }
}

/// Whether the client takes gzip (RFC 9110, 12.5.3): named, and not with a weight of zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok()).is_some_and(|weight| weight <= 0.0);
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}
