//! Rhythms and config pulls as metrics, JSON and the line of an event; `notable` prints them for a person.

use serde::Serialize;

use super::events::{destination, nanos};
use super::json::{last_packet, text};
use super::line::{Line, key};
use super::prometheus::Family;
use super::query::{Problem, Query};
use super::viewing::Shown;
use super::{ATTRIBUTION, rfc3339};
use crate::engine::event::{ConfigPull, RhythmNews};
use crate::engine::snapshot::{CoverageRow, Place, Pull, PullsRow, RhythmRow, SizeClass, Snapshot};
use prometheus::proto::MetricType::{COUNTER, GAUGE};

/// Rhythms of one device that have a metric; the most regular. The page and the summary have all.
const MOST: usize = 20;

#[rustfmt::skip] // a table: one metric, one row of three lines
pub(super) const FAMILIES: [Family; 4] = [
    Family { name: "config_pull_changes_total", kind: COUNTER, labels: &["device", "vendor"],
        samples: |from, to| from.snapshot.pull_counts.iter().for_each(|row| to.add([&row.device, row.vendor.as_deref().unwrap_or_default()], row.changes)),
        help: "Config pulls whose answer was of another size class than the one before." },
    Family { name: "config_pulls_total", kind: COUNTER, labels: &["device", "vendor"],
        samples: |from, to| from.snapshot.pull_counts.iter().for_each(|row| to.add([&row.device, row.vendor.as_deref().unwrap_or_default()], row.pulls)),
        help: "Conversations of the device with hosts that a watchlist files under config or region_routing." },
    Family { name: "rhythm_period_seconds", kind: GAUGE, labels: &["device", "destination"],
        samples: |from, to| rhythms(&from.snapshot, |row, period, _| to.put([&row.device, &row.destination], period)),
        help: "Median gap between beats of the device with the destination; the most regular ones of each device." },
    Family { name: "rhythm_regularity_ratio", kind: GAUGE, labels: &["device", "destination"],
        samples: |from, to| rhythms(&from.snapshot, |row, _, regularity| to.put([&row.device, &row.destination], regularity)),
        help: "How regular these beats are in time and size, from 0 to 1; random ones score about one half." },
];

/// The most regular rhythms of each device that have a regularity at all.
fn rhythms(snapshot: &Snapshot, mut each: impl FnMut(&RhythmRow, f64, f64)) {
    for rows in snapshot.rhythms.chunk_by(|one, other| one.device == other.device) {
        let mut rows: Vec<(&RhythmRow, f64, f64)> = rows.iter().filter_map(|row| Some((row, row.period?, row.regularity?))).collect();
        rows.sort_by(|(.., one), (.., other)| other.total_cmp(one)); // stable: equals stay in the order of their names
        rows.truncate(MOST);
        rows.sort_by(|(one, ..), (other, ..)| one.destination.cmp(&other.destination));
        rows.into_iter().for_each(|(row, period, regularity)| each(row, period, regularity));
    }
}

/// The fields of a `config-pull` event.
pub(super) fn config_pull(seen: &ConfigPull, line: &mut Line<'_>) {
    let pull = &seen.pull;
    line.time(key!("event.start"), pull.begin.as_nanos());
    line.number(key!("event.duration"), nanos(seen.lasted));
    line.maybe(key!("destination.domain"), seen.name.as_deref());
    destination(seen.place.domain.as_deref(), &seen.place, line);
    line.text(key!("rule.name"), &seen.hit.rule);
    line.text(key!("rule.ruleset"), &seen.hit.ruleset);
    line.text(key!("rule.category"), seen.hit.category.as_str());
    line.maybe(key!("whither.vendor"), seen.hit.vendor.as_deref());
    line.number(key!("whither.request_bytes"), pull.request);
    line.number(key!("whither.response_bytes"), pull.response);
    for (name, span) in [
        (key!("whither.attach_delay_s"), pull.attach_delay),
        (key!("whither.gap_s"), pull.gap),
        (key!("whither.burst_gap_s"), pull.burst_gap),
    ] {
        if let Some(span) = span {
            line.decimals(name, span.as_secs_f64());
        }
    }
    line.maybe(key!("whither.size_class"), pull.class.map(SizeClass::as_str));
    if let Some(changed) = pull.changed {
        line.flag(key!("whither.size_class_changed"), changed);
    }
}

/// The fields of a `rhythm` event.
pub(super) fn rhythm(seen: &RhythmNews, line: &mut Line<'_>) {
    let row = &seen.row;
    line.maybe(key!("destination.domain"), seen.name.as_deref());
    destination(seen.place.domain.as_deref(), &seen.place, line);
    line.maybe(key!("rule.category"), row.category);
    line.text(key!("whither.rhythm"), seen.kind);
    if seen.kind == "persistent" {
        return line.number(key!("whither.persistent_longest_s"), row.persistent.longest.as_secs());
    }
    line.number(key!("whither.beats"), row.beats as u64);
    line.number(key!("whither.bytes_per_beat"), row.bytes_per_beat);
    for (name, value) in [
        (key!("whither.period_s"), row.period),
        (key!("whither.jitter_s"), row.jitter),
        (key!("whither.regularity"), row.regularity),
        (key!("whither.upload_share"), row.upload_share),
        (key!("whither.attach_delay_s"), row.attach.and_then(|attach| attach.delay)),
        (key!("whither.gap_floor_s"), row.gap_floor),
    ] {
        if let Some(value) = value {
            line.decimals(name, value);
        }
    }
}

/// The page `/api/v1/rhythm`.
pub(super) fn page(shown: &Shown, _: &Query) -> Result<String, Problem> {
    let scrape = &shown.scrape;
    #[derive(Serialize)]
    struct Page<'a> {
        sensor: &'a str,
        last_packet: Option<String>,
        attribution: &'static str,
        #[serde(flatten)]
        all: All<'a>,
    }
    text(&Page {
        sensor: &scrape.sensor,
        last_packet: last_packet(&scrape.snapshot),
        attribution: ATTRIBUTION,
        all: All::from(&scrape.snapshot),
    })
    .map_err(Problem::failed)
}

/// Rhythms, pulls and coverage of a snapshot.
#[derive(Serialize)]
pub(super) struct All<'a> {
    coverage: Vec<Coverage<'a>>,
    rhythms: Vec<Rhythm<'a>>,
    config_pulls: Vec<Pulls<'a>>,
}

impl<'a> From<&'a Snapshot> for All<'a> {
    fn from(snapshot: &'a Snapshot) -> Self {
        Self {
            coverage: snapshot.coverage.iter().map(|row| Coverage::of(row, snapshot)).collect(),
            rhythms: snapshot.rhythms.iter().map(Rhythm::from).collect(),
            config_pulls: snapshot.pulls.iter().map(Pulls::from).collect(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Coverage<'a> {
    device: &'a str,
    seen_seconds: u64,
    associations: u64,
    config_pulls: u64,
    shared_config_flows: u64,
    shared_config_names: Vec<&'a str>,
}

impl<'a> Coverage<'a> {
    pub(super) fn of(row: &'a CoverageRow, snapshot: &Snapshot) -> Self {
        Self {
            device: &row.device,
            seen_seconds: row.present.as_secs(),
            associations: row.associations,
            config_pulls: snapshot.pull_counts.iter().filter(|count| count.device == row.device).map(|count| count.pulls).sum(),
            shared_config_flows: row.shared_flows,
            shared_config_names: row.shared.iter().map(|name| &**name).collect(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Rhythm<'a> {
    device: &'a str,
    destination: &'a str,
    category: Option<&'static str>,
    flows: u64,
    beats: usize,
    periodic: bool,
    period_seconds: Option<f64>,
    jitter_seconds: Option<f64>,
    regularity: Option<f64>,
    bytes_per_beat: u64,
    upload_share: Option<f64>,
    gap_floor_seconds: Option<f64>,
    gap_floor_round: Option<&'static str>,
    anchored: bool,
    attach: Option<Attach>,
    first_beat: Option<String>,
    last_beat: Option<String>,
    persistent_flows: u64,
    persistent_longest_seconds: u64,
    persistent_transmit_bytes: u64,
    persistent_receive_bytes: u64,
}

#[derive(Serialize)]
struct Attach {
    beats_after: usize,
    beats: usize,
    skipped: usize,
    delay_seconds: Option<f64>,
    log_ratio: f64,
    p: f64,
}

impl<'a> From<&'a RhythmRow> for Rhythm<'a> {
    fn from(row: &'a RhythmRow) -> Self {
        let attach = row.attach.map(|attach| Attach {
            beats_after: attach.after,
            beats: attach.beats,
            skipped: attach.skipped,
            delay_seconds: attach.delay.map(rounded),
            log_ratio: rounded(attach.log_ratio),
            p: attach.chance,
        });
        Self {
            device: &row.device,
            destination: &row.destination,
            category: row.category,
            flows: row.flows,
            beats: row.beats,
            periodic: row.periodic,
            period_seconds: row.period.map(rounded),
            jitter_seconds: row.jitter.map(rounded),
            regularity: row.regularity.map(rounded),
            bytes_per_beat: row.bytes_per_beat,
            upload_share: row.upload_share.map(rounded),
            gap_floor_seconds: row.gap_floor.map(rounded),
            gap_floor_round: row.round_gap,
            anchored: row.attach.is_some_and(|attach| attach.anchored),
            attach,
            first_beat: row.first.map(|time| rfc3339(time.as_nanos(), 9)),
            last_beat: row.last.map(|time| rfc3339(time.as_nanos(), 9)),
            persistent_flows: row.persistent.flows,
            persistent_longest_seconds: row.persistent.longest.as_secs(),
            persistent_transmit_bytes: row.persistent.bytes.0,
            persistent_receive_bytes: row.persistent.bytes.1,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Pulls<'a> {
    device: &'a str,
    name: &'a str,
    category: &'static str,
    vendor: Option<&'a str>,
    count: u64,
    bursts: usize,
    gap_floor_seconds: Option<f64>,
    gap_floor_round: Option<&'static str>,
    waited_without_pull_seconds: Option<f64>,
    pulls: Vec<One>,
}

#[derive(Serialize)]
struct One {
    time: String,
    address: String,
    port: u16,
    country: String,
    request_bytes: u64,
    response_bytes: u64,
    attach_delay_seconds: Option<f64>,
    gap_seconds: Option<f64>,
    burst_gap_seconds: Option<f64>,
    size_class: Option<&'static str>,
    size_class_changed: Option<bool>,
}

impl<'a> From<&'a PullsRow> for Pulls<'a> {
    fn from(row: &'a PullsRow) -> Self {
        Self {
            device: &row.device,
            name: &row.name,
            category: row.category,
            vendor: row.vendor.as_deref(),
            count: row.count,
            bursts: row.bursts,
            gap_floor_seconds: row.gap_floor.map(rounded),
            gap_floor_round: row.round_gap,
            waited_without_pull_seconds: row.waited.map(rounded),
            pulls: row.pulls.iter().map(One::from).collect(),
        }
    }
}

impl From<&Pull> for One {
    fn from(pull: &Pull) -> Self {
        let seconds = |span: Option<std::time::Duration>| span.map(|span| rounded(span.as_secs_f64()));
        Self {
            time: rfc3339(pull.begin.as_nanos(), 9),
            address: pull.server.ip().to_string(),
            port: pull.server.port(),
            country: Place::as_str(&pull.place).to_owned(),
            request_bytes: pull.request,
            response_bytes: pull.response,
            attach_delay_seconds: seconds(pull.attach_delay),
            gap_seconds: seconds(pull.gap),
            burst_gap_seconds: seconds(pull.burst_gap),
            size_class: pull.class.map(SizeClass::as_str),
            size_class_changed: pull.changed,
        }
    }
}

/// To a thousandth, which is what these numbers are worth.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fixture;

    #[test]
    fn only_the_most_regular_rhythms_of_a_device_have_a_metric() {
        let mut snapshot = fixture::scrape().snapshot;
        snapshot.rhythms = (0..50)
            .map(|index| RhythmRow { regularity: Some(f64::from(index) / 50.0), ..fixture::rhythm("a", &format!("host-{index:02}")) })
            .chain([RhythmRow { regularity: None, ..fixture::rhythm("b", "rare") }, fixture::rhythm("c", "host")])
            .collect();
        let mut told = Vec::new();
        rhythms(&snapshot, |row, _, _| told.push(format!("{} {}", row.device, row.destination)));
        let expected: Vec<String> = (30..50).map(|index| format!("a host-{index}")).chain(["c host".to_owned()]).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn the_page_tells_rhythms_pulls_and_coverage() {
        let page: serde_json::Value = serde_json::from_str(&page(&Shown::of(fixture::scrape()), &Query::default()).unwrap()).unwrap();
        let rhythm = &page["rhythms"][0];
        assert_eq!((&rhythm["period_seconds"], &rhythm["attach"]["beats_after"]), (&300.25.into(), &2.into()));
        let pull = &page["config_pulls"][0]["pulls"][1];
        assert_eq!(
            (&pull["size_class"], &pull["size_class_changed"], &pull["gap_seconds"]),
            (&"small".into(), &true.into(), &43_380.0.into())
        );
        assert_eq!((&page["coverage"][0]["config_pulls"], &page["coverage"][0]["associations"]), (&2.into(), &2.into()));
    }
}
