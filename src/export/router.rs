//! Which answer goes to which address: the table [`super::ROUTES`] as an axum router.
//!
//! What shows data is made on a thread of its own, one page at a time, so that whoever asks for much holds up nobody but others who
//! do; what was made before is answered at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::again::Again;
use super::connection::Connection;
use super::pack::accepts_gzip;
use super::query::{Problem, Query};
use super::stream::Streams;
use super::viewing::{Packed, Shown, Viewing};
use super::{Page, ROUTES, Route, Scrape, feed, page};

/// What answers are made of.
pub(super) struct Site {
    pub(super) viewing: Arc<Viewing>,
    pub(super) streams: Arc<Streams>,
    pub(super) again: Arc<Again>,
    pub(super) ready: Arc<AtomicBool>,
    /// Pages being made.
    pub(super) turns: Arc<Semaphore>,
}

/// What a client wants beside the page.
pub(super) struct Wish {
    compressed: bool,
    /// The versions of the page that it has.
    known: Option<String>,
    head: bool,
}

/// A file that is compiled in, once it was asked for.
struct Lasting(OnceLock<(Packed, String)>);

/// The router of all routes.
pub(super) fn router(site: &Arc<Site>) -> Router {
    let add = |router: Router, route: &'static Route| {
        let (site, lasting) = (Arc::clone(site), Arc::new(Lasting(OnceLock::new())));
        // `get` answers HEAD too, and everything else with 405 and Allow.
        let page = get(move |request: Request<Body>| async move {
            answer(route, &site, &lasting, &request.into_parts().0).await.unwrap_or_else(Problem::into_response)
        });
        router.route(route.path, page)
    };
    page::FILES
        .iter()
        .chain(ROUTES)
        .fold(Router::new(), add)
        .fallback(|| async { (StatusCode::NOT_FOUND, "No such page. / leads to all.\n") })
}

async fn answer(route: &'static Route, site: &Arc<Site>, lasting: &Lasting, request: &Parts) -> Result<Response, Problem> {
    let wish = Wish::of(request);
    let query = match route.parameters {
        Some(known) => Query::read(known, request.uri.query().unwrap_or_default())?,
        None => Query::default(),
    };
    Ok(match route.page {
        Page::Fixed(text) => told(route, text().into(), false),
        Page::Ready if site.ready.load(Ordering::Relaxed) => told(route, "whither is ready.\n".into(), false),
        Page::Ready => (StatusCode::SERVICE_UNAVAILABLE, "No capture is open yet.\n").into_response(),
        Page::File(bytes) => lasting.answer(route, &wish, || bytes.to_vec()),
        Page::Made(make) => lasting.answer(route, &wish, || make().into_bytes()),
        Page::Fresh(render) => fresh(route, site, &wish, render).await?,
        Page::Shown(render) => shown(route, site, &wish, &query, render).await?,
        Page::Heard => heard(route, site, &wish, &query)?,
        Page::Live => live(route, site, &wish, &query, request)?,
        Page::Again(form) => {
            let connection = request.extensions.get::<Arc<Connection>>().map(Arc::clone);
            site.again.answer(form, site, connection, query, &wish).await?
        }
    })
}

/// A page of this moment.
async fn fresh(route: &Route, site: &Arc<Site>, wish: &Wish, render: fn(Scrape) -> Result<String, String>) -> Result<Response, Problem> {
    let (at, compressed) = (Arc::clone(site), wish.compressed);
    let (bytes, packed) = in_turn(site, move || {
        let text = render(at.viewing.scrape()).map_err(|error| Problem::failed(format!("The page could not be made: {error}")))?;
        Ok(Packed::from(text.into_bytes()).bytes(compressed))
    })
    .await?;
    Ok(told(route, bytes, packed))
}

/// A page of what all viewers are shown.
async fn shown(
    route: &'static Route,
    site: &Arc<Site>,
    wish: &Wish,
    query: &Query,
    render: fn(&Shown, &Query) -> Result<String, Problem>,
) -> Result<Response, Problem> {
    let question = format!("{}?{}", route.path, query.canonical());
    let made = |shown: &Shown, page: &Packed| {
        let (bytes, packed) = page.bytes(wish.compressed);
        versioned(told(route, bytes, packed), &shown.generation)
    };
    if let Some(shown) = site.viewing.current() {
        if wish.has(&shown.generation) {
            return Ok(unchanged(&shown.generation));
        }
        if let Some(page) = shown.kept(&question).filter(|page| page.is_ready(wish.compressed)) {
            return Ok(made(&shown, &page));
        }
    }
    let (at, query, compressed) = (Arc::clone(site), query.clone(), wish.compressed);
    let known = wish.known.clone();
    let (shown, page) = in_turn(site, move || {
        let shown = at.viewing.renewed();
        if has(known.as_deref(), &shown.generation) {
            return Ok((shown, None));
        }
        let page = shown.page(&question, |shown| render(shown, &query))?;
        let _ = page.bytes(compressed); // here, and not on the thread that answers
        Ok((shown, Some(page)))
    })
    .await?;
    Ok(page.map_or_else(|| unchanged(&shown.generation), |page| made(&shown, &page)))
}

/// Notable events.
fn heard(route: &Route, site: &Arc<Site>, wish: &Wish, query: &Query) -> Result<Response, Problem> {
    let feed = &site.viewing.feed;
    let version = feed.id(feed.latest());
    if wish.has(&version) {
        return Ok(unchanged(&version));
    }
    let (bytes, packed) = Packed::from(feed::page(feed, query)?.into_bytes()).bytes(wish.compressed);
    Ok(versioned(told(route, bytes, packed), &version))
}

/// The live stream.
fn live(route: &Route, site: &Arc<Site>, wish: &Wish, query: &Query, request: &Parts) -> Result<Response, Problem> {
    if wish.head {
        return Ok(told(route, Bytes::new(), false));
    }
    let last = request.headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let feed = &site.viewing.feed;
    let after = last.or_else(|| query.text("after")).map_or_else(|| feed.latest(), |id| feed.number(id));
    let connection = request.extensions.get::<Arc<Connection>>().map(Arc::clone);
    let stream = connection.and_then(|connection| site.streams.begin(&site.viewing, connection, after));
    stream.ok_or_else(|| Problem::busy("All live streams are taken; ask for /api/v1/overview and /api/v1/events now and then.".to_owned()))
}

/// Does work where it holds up nobody, when it is its turn.
pub(super) async fn in_turn<T: Send + 'static>(
    site: &Arc<Site>,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let failed = || Problem::failed("The page could not be made.".to_owned());
    let turn = Arc::clone(&site.turns).acquire_owned().await.map_err(|_| failed())?;
    let work = move || {
        let _turn = turn; // until it is made, even when the client has gone
        work()
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(failed()))
}

fn told(route: &Route, bytes: Bytes, compressed: bool) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(route.content_type));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// A weak tag (RFC 9110, 8.8.3): compressed or not, it is the same page.
fn versioned(mut response: Response, version: &str) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&format!("W/\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn unchanged(version: &str) -> Response {
    let mut response = versioned(StatusCode::NOT_MODIFIED.into_response(), version);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

/// Whether a version is among those that a client has (RFC 9110, 13.1.2).
fn has(known: Option<&str>, version: &str) -> bool {
    let tags = known.into_iter().flat_map(|known| known.split(','));
    tags.map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')) == Some(version))
}

impl Wish {
    fn of(request: &Parts) -> Self {
        let headers: &HeaderMap = &request.headers;
        let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()).map(str::to_owned);
        Self { compressed: accepts_gzip(headers), known, head: request.method == Method::HEAD }
    }

    fn has(&self, version: &str) -> bool {
        has(self.known.as_deref(), version)
    }

    /// Whether it may be compressed.
    pub(super) fn takes_gzip(&self) -> bool {
        self.compressed
    }
}

impl Lasting {
    /// The file; browsers may keep it, and ask whether it is still the same.
    fn answer(&self, route: &Route, wish: &Wish, make: impl FnOnce() -> Vec<u8>) -> Response {
        let (page, version) = self.0.get_or_init(|| {
            let bytes = make();
            let version: String = Sha256::digest(&bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            (Packed::from(bytes), version)
        });
        let mut response = if wish.has(version) {
            unchanged(version)
        } else {
            let (bytes, packed) = page.bytes(wish.compressed);
            versioned(told(route, bytes, packed), version)
        };
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_known_by_its_tag_weak_or_strong_alone_or_among_others() {
        for known in ["W/\"a-1\"", "\"a-1\"", "\"x\", W/\"a-1\"", "*"] {
            assert!(has(Some(known), "a-1"), "{known}");
        }
        for known in [None, Some("a-1"), Some("\"a-11\""), Some("W/\"a\""), Some("")] {
            assert!(!has(known, "a-1"), "{known:?}");
        }
    }
}
