//! Prometheus' own linter finds nothing wrong with the exposition.

use std::io::Write as _;
use std::process::{Command, Stdio};

use whither::engine::geo::Country;
use whither::engine::snapshot::{
    Both, Class, CountryRow, DatabaseRow, DestinationRow, DeviceRow, Origin, Persistent, Place, PullCountRow, Recent, RhythmRow, RttRow,
    SightingRow, Snapshot, TableRow, Tally, Timeline,
};
use whither::export::record::RecordRow;
use whither::export::state::StateRow;
use whither::export::{InterfaceRow, Scrape, Viewers, prometheus};
use whither::packet::{Mac, Timestamp};

/// Quotes, a backslash, a line break, NUL, an escape sequence and a letter outside ASCII.
const HOSTILE: &str = "a\"b\\c\nd\0e\u{1b}[31mž}";

#[test]
fn promtool_finds_nothing() {
    let Ok(mut linter) = Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn() else {
        eprintln!("SKIPPED: promtool is not on PATH (Debian: apt-get install prometheus), the exposition is not linted");
        return;
    };
    let text = prometheus::render(&scrape(), true).expect("renders");
    assert!(text.contains("whither_handshake_rtt_seconds_bucket") && text.contains("process_cpu_seconds_total"), "{text}");
    linter.stdin.take().expect("piped").write_all(text.as_bytes()).expect("promtool reads");
    let verdict = linter.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&verdict.stderr);
    assert!(verdict.status.success() && said.is_empty(), "promtool says:\n{said}\nof:\n{text}");
}

/// Rows in every family.
fn destination(time: Timestamp, total: Both, place: Place) -> DestinationRow {
    DestinationRow {
        device: HOSTILE.into(),
        destination: HOSTILE.into(),
        origin: Origin::Sni,
        place,
        asn: Some(64_496),
        organisation: None,
        verdicts: [0, 1, 0],
        services: Vec::new(),
        location: None,
        anycast: false,
        flows: 2,
        first: time,
        last: time,
        timeline: Timeline::default(),
        named: None,
        total,
    }
}

fn scrape() -> Scrape {
    let time = Timestamp::from_nanos(1_632_200_090_123_456_789);
    let total = Both { transmit: Tally { packets: 3, bytes: 1_500 }, receive: Tally { packets: 4, bytes: 60_000 } };
    let place = Place::Country(Country::from_code("SG").unwrap_or_else(|| unreachable!("a code")));
    let device = DeviceRow {
        id: HOSTILE.into(),
        mac: Some(Mac([2, 0, 0, 0, 0, 10])),
        macs: vec![Mac([2, 0, 0, 0, 0, 10])],
        alias: Some(HOSTILE.into()),
        notes: Some(HOSTILE.into()),
        expected: Country::from_code("SG").into_iter().collect(),
        addresses: Vec::new(),
        hostname: Some(HOSTILE.into()),
        vendor: Some(HOSTILE.into()),
        randomized: true,
        router: false,
        identity: Vec::new(),
        identity_forgotten: 0,
        same_as: Vec::new(),
        first: time,
        last: time,
        recent: Recent::default(),
        total,
        pending: Both::default(),
        visibility: vec![(Class::Sni, total)],
        verdicts: [0, 1, 0],
        services: vec![("telemetry", 1)],
        disputed: 1,
        flows: [1, 2, 3, 4, 5, 6, 7],
        first_contacts: [1, 2, 3],
    };
    let snapshot = Snapshot {
        quic_versions: vec![("1", 3)],
        malformed: vec![("dns", "pointer-loop", 2)],
        last_packet: Some(time),
        packets: 7,
        devices: vec![device],
        countries: vec![CountryRow { device: HOSTILE.into(), place, total }],
        destinations: vec![destination(time, total, place)],
        sightings: vec![SightingRow { device: HOSTILE.into(), ruleset: HOSTILE.into(), category: "telemetry", flows: 2 }],
        rtts: vec![RttRow { place, buckets: [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 3], count: 4, sum: 2.75 }],
        skipped: vec![("malformed", 7)],
        input_errors: vec![("dns", 1)],
        tables: vec![TableRow { table: "flows", entries: 5, limit: 65_536, evicted: 1, refused: 2 }],
        databases: vec![DatabaseRow { database: "dbip-country".into(), built: 1_780_272_000 }],
        rhythms: vec![rhythm(time)],
        pull_counts: vec![PullCountRow { device: HOSTILE.into(), vendor: Some(HOSTILE.into()), pulls: 2, changes: 1 }],
        events_dropped: 0,
        ..Snapshot::default()
    };
    around(snapshot)
}

/// What stands beside the engine's rows.
fn around(snapshot: Snapshot) -> Scrape {
    let wlan = InterfaceRow { interface: "wlan0".to_owned(), up: true, packets: 7, dropped_kernel: 2, dropped_interface: 1 };
    let state = Some(StateRow { errors: 1, written: 1_632_200_000 });
    let record = Some(RecordRow { packets: 12_000, bytes: 9_000_000, dropped: 345 });
    let (sandbox, viewers) = (vec![("landlock", true)], Some(Viewers::default()));
    Scrape { snapshot, capture: vec![wlan], sensor: "lab".to_owned(), state, record, sandbox, viewers, ..Scrape::default() }
}

/// A rhythm that has all numbers.
fn rhythm(time: Timestamp) -> RhythmRow {
    RhythmRow {
        device: HOSTILE.into(),
        destination: HOSTILE.into(),
        category: Some("config"),
        flows: 9,
        beats: 5,
        period: Some(300.25),
        jitter: Some(1.5),
        bytes_per_beat: 4_000,
        upload_share: Some(0.25),
        regularity: Some(0.875),
        periodic: true,
        attach: None,
        gap_floor: Some(299.0),
        round_gap: Some("5 min"),
        persistent: Persistent::default(),
        first: Some(time),
        last: Some(time),
    }
}
