//! The only way out: metrics, pages, event lines, the table of `read` and the evidence of `explain`.
//!
//! Pulled: a page is a function of a [`Scrape`], which owns its data, and one row in [`ROUTES`]. Pushed: [`log::EventLog`]
//! writes each event as a line, [`feed::Feed`] keeps the latest notable ones for the page. Neither sees the engine, so nothing here can hold its lock while it formats.
//!
//! Road not taken: a trait for exporters. Two shapes (a function of a snapshot, a function of an event) need none.

use std::borrow::Cow;
use std::time::Duration;

use crate::engine::snapshot::Snapshot;
use query::{Kind, Parameter, Problem, Query};
use viewing::Shown;

pub mod again;
mod auth;
mod community;
mod connection;
pub mod contacts;
mod detail;
mod dns;
pub mod events;
mod evidence;
pub mod explain;
pub mod feed;
mod host;
pub mod http;
pub mod identity;
pub mod json;
mod line;
pub mod locations;
pub mod log;
pub mod names;
pub mod noise;
pub mod notable;
mod overview;
mod pack;
mod page;
mod patience;
pub mod pcapng;
mod places;
pub mod prometheus;
pub mod query;
pub mod record;
pub mod report;
pub mod rotate;
mod router;
mod routine;
mod safe;
mod sandbox;
pub mod state;
mod stream;
pub mod table;
mod tls;
pub mod viewing;
pub mod visibility;
pub mod web;
mod world;

/// What must stand where locations are shown (CC BY 4.0, the licence of the embedded databases).
pub const ATTRIBUTION: &str = "IP Geolocation by DB-IP (https://db-ip.com)";

/// This program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The revision that it was built from, where the build said so.
pub const REVISION: Option<&str> = option_env!("WHITHER_REVISION");

/// One interface that is, or was, captured on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceRow {
    /// Its name.
    pub interface: String,
    /// It is being captured on now.
    pub up: bool,
    /// Frames taken from it.
    pub packets: u64,
    /// Frames that the kernel dropped because nobody took them in time.
    pub dropped_kernel: u64,
    /// Frames that the interface or its driver dropped.
    pub dropped_interface: u64,
}

/// Everything that one scrape tells, owned: whoever makes it holds the engine's lock no longer than the copy takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scrape {
    /// The engine's rows. Events that the log dropped are to be added to its `events_dropped`.
    pub snapshot: Snapshot,
    /// The interfaces, by name; empty when files are read.
    pub capture: Vec<InterfaceRow>,
    /// The sensor's name.
    pub sensor: String,
    /// How saving the state goes, where one is kept.
    pub state: Option<state::StateRow>,
    /// How recording goes, where it is asked for.
    pub record: Option<record::RecordRow>,
    /// What confines the process, and whether it holds; empty when files are read.
    pub sandbox: Vec<(&'static str, bool)>,
    /// Where the sensor stands, latitude and longitude in degrees, where it was told.
    pub bench: Option<(f64, f64)>,
    /// Since the last packet, or the start where there was none, by the wall clock; none where files are read.
    pub silent: Option<Duration>,
    /// The files are read to their end.
    pub finished: bool,
    /// The live streams of the server, where one runs.
    pub viewers: Option<Viewers>,
}

/// The live streams of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Viewers {
    /// Open now.
    pub open: u64,
    /// That lost their places because they took nothing.
    pub dropped: u64,
}

/// One page.
#[derive(Clone, Copy)]
pub struct Route {
    /// Where it is.
    pub path: &'static str,
    /// What it is.
    pub content_type: &'static str,
    /// What may stand behind the question mark; none where nobody looks at it.
    pub parameters: Option<&'static [Parameter]>,
    /// How it is made.
    pub page: Page,
}

impl Route {
    /// Whether it has an answer, with an end, to whoever asks for nothing in particular.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let asks = self.parameters.is_some_and(|parameters| parameters.iter().any(|parameter| parameter.required));
        !asks && !matches!(self.page, Page::Live)
    }
}

/// How a page is made.
#[derive(Clone, Copy)]
pub enum Page {
    /// The same text always.
    Fixed(fn() -> String),
    /// A file that is compiled in. Browsers may keep it, and ask whether it is still the same.
    File(&'static [u8]),
    /// The same, made when it is first asked for.
    Made(fn() -> String),
    /// 503 until the first capture is open.
    Ready,
    /// From a scrape of this moment.
    Fresh(fn(Scrape) -> Result<String, String>),
    /// From the scrape that all viewers are shown.
    Shown(fn(&Shown, &Query) -> Result<String, Problem>),
    /// The notable events.
    Heard,
    /// The live stream.
    Live,
    /// From the captures, read again.
    Again(Form),
}

/// What is made of captures that are read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The evidence for a row.
    Evidence,
    /// Its packets.
    Packets,
    /// The report on a device, as a page.
    Report,
    /// The same as JSON.
    ReportJson,
}

/// A device, by its label.
const OF_DEVICE: Parameter = Parameter { name: "device", kind: Kind::Text, required: false };
const DEVICE: &[Parameter] = &[OF_DEVICE];
const ONE_DEVICE: &[Parameter] = &[Parameter { required: true, ..OF_DEVICE }];
const EVENTS: &[Parameter] = &[
    OF_DEVICE,
    Parameter { name: "action", kind: Kind::OneOf(&feed::NOTABLE), required: false },
    AFTER,
    Parameter { name: "limit", kind: Kind::Number(1, 1024), required: false },
];
const AFTER: Parameter = Parameter { name: "after", kind: Kind::Id, required: false };
const ROWS: &[Parameter] = &[
    OF_DEVICE,
    Parameter { name: "limit", kind: Kind::Number(1, 65_536), required: false },
    Parameter { name: "offset", kind: Kind::Number(0, 1_048_576), required: false },
];
const ORIGINS: &[&str] = &["sni", "quic", "host", "certificate", "dns", "ech", "none"];
/// A row of the table.
const ROW: [Parameter; 5] = [
    Parameter { required: true, ..OF_DEVICE },
    Parameter { name: "destination", kind: Kind::Text, required: true },
    Parameter { name: "origin", kind: Kind::OneOf(ORIGINS), required: false },
    Parameter { name: "country", kind: Kind::Text, required: false },
    Parameter { name: "asn", kind: Kind::Number(0, u32::MAX as u64), required: false },
];
const EVIDENCE: &[Parameter] = &with(Parameter { name: "flows", kind: Kind::Number(0, 10_000), required: false });
const PACKETS: &[Parameter] = &with(Parameter { name: "all", kind: Kind::Flag, required: false });

const fn with(more: Parameter) -> [Parameter; 6] {
    let [device, destination, origin, country, asn] = ROW;
    [device, destination, origin, country, asn, more]
}

/// Every page that is served: one row each. `openapi.json` describes those of the API.
#[rustfmt::skip] // a table
pub const ROUTES: &[Route] = &[
    Route { path: "/metrics", content_type: EXPOSITION, parameters: None, page: Page::Fresh(prometheus::live) },
    Route { path: "/api/v1/overview", content_type: JSON, parameters: Some(&[]), page: Page::Shown(overview::page) },
    Route { path: "/api/v1/device", content_type: JSON, parameters: Some(ONE_DEVICE), page: Page::Shown(detail::page) },
    Route { path: "/api/v1/evidence", content_type: JSON, parameters: Some(EVIDENCE), page: Page::Again(Form::Evidence) },
    Route { path: "/api/v1/evidence.pcapng", content_type: PCAPNG, parameters: Some(PACKETS), page: Page::Again(Form::Packets) },
    Route { path: "/api/v1/report.html", content_type: HTML, parameters: Some(ONE_DEVICE), page: Page::Again(Form::Report) },
    Route { path: "/api/v1/report.json", content_type: JSON, parameters: Some(ONE_DEVICE), page: Page::Again(Form::ReportJson) },
    Route { path: "/api/v1/events", content_type: JSON, parameters: Some(EVENTS), page: Page::Heard },
    Route { path: "/api/v1/stream", content_type: STREAM, parameters: Some(&[AFTER]), page: Page::Live },
    Route { path: "/api/v1/devices", content_type: JSON, parameters: Some(&[]), page: Page::Shown(json::devices) },
    Route { path: "/api/v1/destinations", content_type: JSON, parameters: Some(ROWS), page: Page::Shown(json::destinations) },
    Route { path: "/api/v1/contacts", content_type: JSON, parameters: Some(DEVICE), page: Page::Shown(contacts::page) },
    Route { path: "/api/v1/rhythm", content_type: JSON, parameters: Some(&[]), page: Page::Shown(routine::page) },
    Route { path: "/api/v1/outlines", content_type: JSON, parameters: Some(&[]), page: Page::Made(world::page) },
    Route { path: "/api/v1/openapi.json", content_type: JSON, parameters: Some(&[]), page: Page::File(include_bytes!("openapi.json")) },
    Route { path: "/-/healthy", content_type: TEXT, parameters: None, page: Page::Fixed(|| "whither is healthy.\n".to_owned()) },
    Route { path: "/-/ready", content_type: TEXT, parameters: None, page: Page::Ready },
];

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const PCAPNG: &str = "application/vnd.tcpdump.pcap";
const STREAM: &str = "text/event-stream";
const TEXT: &str = "text/plain; charset=utf-8";
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Text that is safe in a label, a terminal and a page: control characters, and the invisible ones that reorder or hide
/// text, are written as `\u{..}`. Names from the wire come clean; aliases and vendors come from files.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    // Nearly all texts are plain ASCII, which is asked of many bytes at once.
    let plain = text.bytes().fold(true, |plain, byte| plain & (b' '..=b'~').contains(&byte));
    if plain || !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match hidden(c) {
            true => clean.extend(c.escape_unicode()),
            false => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// A time in UTC, RFC 3339, with so many digits of a second; `nanos` since the epoch.
#[must_use]
pub fn rfc3339(nanos: u64, digits: usize) -> String {
    let mut text = Vec::with_capacity(30);
    stamp(nanos, digits, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// The same, put behind what is there. The calendar is jiff's; the digits are put by hand, since one or two times stand in every
/// line of the log and a formatter took as long as all the rest of the line.
fn stamp(nanos: u64, digits: usize, out: &mut Vec<u8>) {
    // Nanoseconds in a u64 end in 2554, jiff's range in 9999.
    let Ok(time) = jiff::Timestamp::from_second((nanos / 1_000_000_000).cast_signed()) else { return };
    let time = jiff::tz::Offset::UTC.to_datetime(time);
    let digit = |value: u32| b'0' + (value % 10) as u8;
    let two = |value: i8| [digit(u32::from(value.unsigned_abs()) / 10), digit(value.unsigned_abs().into())];
    let year = u32::from(time.year().unsigned_abs());
    let ([m, n], [d, e], [h, i], [j, k], [s, t]) =
        (two(time.month()), two(time.day()), two(time.hour()), two(time.minute()), two(time.second()));
    let [y, z] = [year / 1000, year / 100].map(digit);
    let [w, x] = [year / 10, year].map(digit);
    out.extend_from_slice(&[y, z, w, x, b'-', m, n, b'-', d, e, b'T', h, i, b':', j, k, b':', s, t]);
    if (1..=9).contains(&digits) {
        out.push(b'.');
        out.extend_from_slice(&nine_digits((nanos % 1_000_000_000) as u32));
        out.truncate(out.len().saturating_sub(9 - digits));
    }
    out.push(b'Z');
}

/// The nanoseconds of a second.
fn nine_digits(subsec: u32) -> [u8; 9] {
    let four = |value: u32| [value / 1000, value / 100 % 10, value / 10 % 10, value % 10].map(|digit| b'0' + digit as u8);
    let ([a, b, c, d], [e, f, g, h]) = (four(subsec / 100_000 % 10_000), four(subsec / 10 % 10_000));
    [a, b, c, d, e, f, g, h, b'0' + (subsec % 10) as u8]
}

/// A day in UTC, `2026-06-01`; `seconds` since the epoch.
fn day(seconds: u64) -> String {
    rfc3339(seconds.saturating_mul(1_000_000_000), 0).chars().take(10).collect()
}

#[cfg(test)]
mod fixture;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_become_visible_and_all_others_stay() {
        assert_eq!(printable("žemaitis \"x\" \\ 東京"), "žemaitis \"x\" \\ 東京");
        assert_eq!(printable("a\u{1b}[31mb\0c\nd\u{202e}e"), "a\\u{1b}[31mb\\u{0}c\\u{a}d\\u{202e}e");
    }

    #[test]
    fn times_are_utc_with_the_digits_asked_for() {
        assert_eq!(rfc3339(1_632_200_000_000_000_042, 9), "2021-09-21T04:53:20.000000042Z");
        assert_eq!(rfc3339(1_632_200_000_999_999_999, 0), "2021-09-21T04:53:20Z");
        assert_eq!(rfc3339(0, 9), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(u64::MAX, 9), "2554-07-21T23:34:33.709551615Z");
        assert_eq!(day(1_780_272_000), "2026-06-01");
    }
}
