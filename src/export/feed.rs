//! The latest notable events, for the page and its live stream.
//!
//! Road taken: each is written as its line in the log is, once, when it comes, and waits in a ring; whoever looks has a number up to
//! which everything is known. So nobody who looks slowly holds anything, and nobody is told twice. The thread that captures only puts
//! something in. Road not taken: a queue for each viewer, which is memory for each slow one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ahash::RandomState;
use serde::Serialize;
use serde_json::value::RawValue;

use super::query::{Problem, Query};
use super::{events, json, rfc3339};
use crate::engine::event::{Event, Timestamp};

/// Events kept of one kind. Stops: a device that causes one kind of event without end pushing out all others.
const OF_A_KIND: usize = 64;
/// Events told where nobody says how many.
const TOLD: usize = 100;

/// What is notable: what a person looks up for, and few enough to read.
pub const NOTABLE: [&str; 11] = [
    "association",
    "config-pull",
    "device",
    "first-contact",
    "mark",
    "name-conflict",
    "rhythm",
    "same-device",
    "unexpected-country",
    "unoffered-resolver",
    "watchlist",
];

/// The latest notable events, and how far the packets are.
#[derive(Debug)]
pub struct Feed {
    /// Tells this run's ids from another's.
    run: String,
    sensor: String,
    ring: Mutex<Ring>,
    packets: AtomicU64,
    last_packet: AtomicU64,
}

#[derive(Debug, Default)]
struct Ring {
    /// Kinds in the order of [`NOTABLE`].
    kinds: [Vec<Kept>; NOTABLE.len()],
    /// The number of the latest event; 0 for none.
    latest: u64,
    /// The highest number that was pushed out.
    gone: u64,
}

/// An event that is kept.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Its number, from 1.
    pub(super) number: u64,
    action: &'static str,
    device: Arc<str>,
    /// As JSON.
    line: Arc<str>,
}

impl Feed {
    /// Nothing yet, of a sensor of this name.
    #[must_use]
    pub fn new(sensor: &str) -> Self {
        let run = format!("{:08x}", RandomState::new().hash_one(0_u8) & 0xffff_ffff);
        let (packets, last_packet) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { run, sensor: sensor.to_owned(), ring: Mutex::default(), packets, last_packet }
    }

    /// Takes in an event, if it is notable.
    pub fn take(&self, event: &Event) {
        let Some(action) = events::action(&event.detail) else { return };
        let Ok(kind) = NOTABLE.binary_search(&action) else { return };
        let mut line = Vec::with_capacity(512);
        events::write_line(event, &self.sensor, &mut line);
        let Ok(line) = std::str::from_utf8(line.trim_ascii_end()) else { return };
        let (device, line) = (Arc::clone(&event.device), Arc::from(line));
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.latest = ring.latest.saturating_add(1);
        let number = ring.latest;
        let Some(kept) = ring.kinds.get_mut(kind) else { return };
        let gone = if kept.len() >= OF_A_KIND { Some(kept.remove(0)) } else { None };
        kept.push(Kept { number, action, device, line });
        ring.gone = ring.gone.max(gone.map_or(0, |gone| gone.number));
    }

    /// Says that so many packets more have passed, and when the last one did.
    pub fn passed(&self, packets: u64, last_packet: Option<Timestamp>) {
        self.packets.fetch_add(packets, Ordering::Relaxed);
        self.last_packet.fetch_max(last_packet.map_or(0, Timestamp::as_nanos), Ordering::Relaxed);
    }

    /// How far the packets are.
    pub(super) fn packets(&self) -> (u64, Option<String>) {
        let last = Some(self.last_packet.load(Ordering::Relaxed)).filter(|last| *last > 0);
        (self.packets.load(Ordering::Relaxed), last.map(|nanos| rfc3339(nanos, 9)))
    }

    /// What tells this run from another.
    pub(super) fn run(&self) -> &str {
        &self.run
    }

    /// An event's id.
    pub(super) fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.run)
    }

    /// The number of the latest event; 0 for none.
    pub(super) fn latest(&self) -> u64 {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner).latest
    }

    /// The number in an id; 0 in one of another run, all of whose events are news here.
    pub(super) fn number(&self, id: &str) -> u64 {
        id.split_once('-').filter(|(run, _)| *run == self.run).and_then(|(_, number)| number.parse().ok()).unwrap_or_default()
    }

    /// The events behind a number that are kept, the oldest first, and whether none of those is gone.
    pub(super) fn after(&self, number: u64) -> (Vec<Kept>, bool) {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.latest <= number {
            return (Vec::new(), true);
        }
        let mut events: Vec<Kept> = ring.kinds.iter().flatten().filter(|kept| kept.number > number).cloned().collect();
        let whole = ring.gone <= number;
        drop(ring);
        events.sort_unstable_by_key(|kept| kept.number);
        (events, whole)
    }

    /// One event as the stream tells it.
    pub(super) fn told(&self, kept: &Kept) -> String {
        Notable::of(self, kept).and_then(|told| serde_json::to_string(&told).ok()).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Notable<'a> {
    id: String,
    event: &'a RawValue,
}

impl<'a> Notable<'a> {
    fn of(feed: &Feed, kept: &'a Kept) -> Option<Self> {
        Some(Self { id: feed.id(kept.number), event: serde_json::from_str(&kept.line).ok()? })
    }
}

/// The page `/api/v1/events`.
pub(super) fn page(feed: &Feed, query: &Query) -> Result<String, Problem> {
    #[derive(Serialize)]
    struct Page<'a> {
        sensor: &'a str,
        last_packet: Option<String>,
        oldest: Option<String>,
        latest: Option<String>,
        complete: bool,
        actions: [&'static str; NOTABLE.len()],
        events: Vec<Notable<'a>>,
    }
    let after = query.text("after").map_or(0, |id| feed.number(id));
    let (all, whole) = feed.after(after);
    let (_, last_packet) = feed.packets();
    let wanted = |kept: &&Kept| {
        query.text("device").is_none_or(|device| *kept.device == *device) && query.text("action").is_none_or(|action| kept.action == action)
    };
    let wanted: Vec<&Kept> = all.iter().filter(wanted).collect();
    let left_out = wanted.len().saturating_sub(query.count("limit").unwrap_or(TOLD));
    let page = Page {
        sensor: &feed.sensor,
        last_packet,
        oldest: feed.after(0).0.first().map(|kept| feed.id(kept.number)),
        latest: Some(feed.latest()).filter(|latest| *latest > 0).map(|latest| feed.id(latest)),
        complete: whole && left_out == 0,
        actions: NOTABLE,
        events: wanted.into_iter().skip(left_out).filter_map(|kept| Notable::of(feed, kept)).collect(),
    };
    json::text(&page).map_err(Problem::failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::event::Detail;
    use crate::export::EVENTS;
    use crate::export::fixture::{HOSTILE, at};

    fn event(device: &str, packet: u64, detail: Detail) -> Event {
        Event { time: at(packet), packet, device: device.into(), mac: None, ends: None, detail }
    }

    fn conflict() -> Detail {
        Detail::NameConflict { hello: HOSTILE.into(), dns: vec![HOSTILE.into()] }
    }

    fn read(feed: &Feed, query: &str) -> serde_json::Value {
        serde_json::from_str(&page(feed, &Query::read(EVENTS, query).unwrap()).unwrap()).unwrap()
    }

    fn packets(page: &serde_json::Value) -> Vec<u64> {
        page["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|told| told["id"].as_str().unwrap().split_once('-').unwrap().1.parse().unwrap())
            .collect()
    }

    #[test]
    fn kinds_are_in_order_so_that_they_are_found() {
        assert!(NOTABLE.is_sorted());
    }

    #[test]
    fn a_flood_of_one_kind_pushes_out_no_other_and_is_told_as_incomplete() {
        let feed = Feed::new("lab");
        feed.take(&event("a", 1, conflict()));
        (2..=OF_A_KIND as u64 + 11).for_each(|packet| feed.take(&event("b", packet, Detail::Association)));
        let page = read(&feed, "limit=512");
        assert_eq!(page["complete"], false);
        assert_eq!((packets(&page)[0], packets(&page)[1], packets(&page).len()), (1, 12, OF_A_KIND + 1));
        assert_eq!(page["events"][0]["event"]["tls.client.server_name"], HOSTILE);
        let page = read(&feed, &format!("after={}", feed.id(11)));
        assert_eq!((&page["complete"], packets(&page).len()), (&true.into(), OF_A_KIND));
        assert_eq!(packets(&read(&feed, "device=a")), [1]);
        assert_eq!(packets(&read(&feed, "action=association&limit=2")), [74, 75]);
        assert_eq!(read(&feed, "action=association&limit=2")["complete"], false);
        assert_eq!(packets(&read(&feed, &format!("after={}", feed.id(75)))), [0_u64; 0]);
    }

    #[test]
    fn an_id_of_another_run_is_behind_everything() {
        let feed = Feed::new("lab");
        feed.take(&event("a", 1, Detail::Association));
        assert_eq!((feed.number(&feed.id(1)), feed.number("00-1"), feed.number("x")), (1, 0, 0));
        assert_eq!(packets(&read(&feed, "after=00-9")), [1]);
    }
}
