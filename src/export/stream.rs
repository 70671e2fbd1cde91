//! The live stream: server-sent events (HTML Living Standard, 9.2) of what is notable, and now and then how far the packets are.
//!
//! Road taken: each viewer looks by itself, twice a second, at what is behind the number up to which it knows everything. What it does
//! not take in time it is told later, together with the rest; a viewer costs its place and a number, and who takes nothing for half a
//! minute loses the place. Road not taken: a channel that wakes viewers, which the thread that captures would have to pull.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::response::sse::Event as Message;
use axum::response::{IntoResponse as _, Response, Sse};
use futures_core::Stream;
use prometheus::proto::MetricType::{COUNTER, GAUGE};
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::connection::Connection;
use super::feed::Kept;
use super::places::{Place, Places};
use super::prometheus::Family;
use super::viewing::Viewing;

/// How often a viewer looks.
const LOOKS: Duration = Duration::from_millis(500);
/// Looks after which it is told how far the packets are even where that is nothing new, so that it knows itself connected, and a
/// connection that is gone is found.
const PATIENCE: u32 = 20;
/// After how long a browser comes again, milliseconds.
const RETRY: Duration = Duration::from_secs(3);

#[rustfmt::skip] // a table: one metric, one row of three lines
pub(super) const FAMILIES: &[Family] = &[
    Family { name: "page_viewers", kind: GAUGE, labels: &[],
        samples: |from, to| if let Some(row) = from.viewers { to.add([], row.open) },
        help: "Live streams of the page that are open." },
    Family { name: "page_viewers_dropped_total", kind: COUNTER, labels: &[],
        samples: |from, to| if let Some(row) = from.viewers { to.add([], row.dropped) },
        help: "Live streams that were ended because nobody took what they told." },
];

/// The live streams of a server.
pub(super) struct Streams {
    places: Arc<Places>,
    dropped: AtomicU64,
    /// How long one message may wait to be taken.
    time: Duration,
}

impl Streams {
    /// At most so many, and of one peer, each of whose messages is taken within `time`.
    pub(super) fn new(all: usize, per_peer: usize, time: Duration) -> Self {
        Self { places: Places::new(all, per_peer), dropped: AtomicU64::new(0), time }
    }

    /// How many there are.
    pub(super) fn open(&self) -> u64 {
        self.places.taken() as u64
    }

    /// How many lost their places because they took nothing.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// A stream to whoever has seen everything up to a number; none when all places are taken.
    pub(super) fn begin(self: &Arc<Self>, viewing: &Arc<Viewing>, connection: Arc<Connection>, after: u64) -> Option<Response> {
        let seat = Place::take(&self.places, connection.peer)?;
        connection.moves();
        connection.streams(self.time);
        connection.lasts(self.time);
        let mut looks = interval(LOOKS);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let viewer = Viewer {
            viewing: Arc::clone(viewing),
            streams: Arc::clone(self),
            connection,
            looks,
            quiet: PATIENCE,
            after,
            waiting: Vec::new().into_iter(),
            progress: None,
            told: None,
            done: false,
            _seat: seat,
        };
        let mut response = Sse::new(viewer).into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Some(response)
    }
}

/// What a viewer is told how far things are by.
type Progress = (u64, String);

/// One who looks.
struct Viewer {
    viewing: Arc<Viewing>,
    streams: Arc<Streams>,
    connection: Arc<Connection>,
    looks: Interval,
    /// Looks since it was last told anything.
    quiet: u32,
    /// The number up to which it knows everything.
    after: u64,
    waiting: std::vec::IntoIter<Kept>,
    progress: Option<Message>,
    told: Option<Progress>,
    done: bool,
    _seat: Place,
}

impl Stream for Viewer {
    type Item = Result<Message, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let next = self.waiting.next().map(|kept| self.notable(&kept)).or_else(|| self.progress.take());
            if let Some(message) = next {
                self.connection.lasts(self.streams.time);
                return Poll::Ready(Some(Ok(message)));
            }
            ready!(self.looks.poll_tick(context));
            if self.connection.is_left() {
                self.done = true;
                return Poll::Ready(None);
            }
            self.look();
        }
    }
}

impl Viewer {
    /// Whatever is new.
    fn look(&mut self) {
        let feed = &self.viewing.feed;
        let (events, whole) = feed.after(self.after);
        let (packets, last_packet) = feed.packets();
        let progress = (packets, self.viewing.generation());
        self.quiet = self.quiet.saturating_add(1);
        if !events.is_empty() || self.quiet >= PATIENCE || self.told.as_ref() != Some(&progress) {
            self.quiet = 0;
            let latest = events.last().map_or(self.after, |kept| kept.number);
            let tick = json!({
                "generation": progress.1,
                "packets": packets,
                "last_packet": last_packet,
                "latest": (latest > 0).then(|| feed.id(latest)),
                "complete": whole,
            });
            self.progress = Some(Message::default().event("tick").retry(RETRY).data(tick.to_string()));
            (self.after, self.told) = (latest, Some(progress));
        }
        self.waiting = events.into_iter();
    }

    fn notable(&self, kept: &Kept) -> Message {
        let feed = &self.viewing.feed;
        Message::default().event("notable").id(feed.id(kept.number)).data(feed.told(kept))
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        if !self.done && tokio::time::Instant::now() >= self.connection.ends() {
            self.streams.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
