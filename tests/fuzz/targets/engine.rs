//! The whole engine with tables of a few rows: steps as in `script`, and at every snapshot the accounts must balance.
#![no_main]

use std::path::Path;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::event::Event;
use whither::engine::geo::GeoDb;
use whither::engine::limits::Limits;
use whither::engine::roster::Roster;
use whither::engine::snapshot::{Both, Snapshot, Tally};
use whither::engine::watchlist::Watchlist;
use whither::export::events::write_line;
use whither::export::{Scrape, json, prometheus, table};
use whither::packet::{Frame, Mac, Timestamp};
use whither::roster;
use whither_fuzz::script::{SNAPSHOT, TELL, steps};

fuzz_target!(|input: &[u8]| {
    let limits = Limits {
        flows: 6,
        devices: 4,
        names: 6,
        neighbours: 4,
        accounts: 8,
        accounts_per_device: 4,
        streams: 3,
        stream_bytes: 2_048,
        dns_stream_bytes: 2_048,
        datagrams: 4,
        requests: 3,
        events: 8,
        ..Limits::default()
    };
    let mut engine = Engine::new(limits, OurSide::default(), GeoDb::embedded().expect("sound"), true);
    let mut now = Timestamp::from_nanos(1_700_000_000_000_000_000);
    let mut before = Snapshot::default();
    let mut number = 0;
    for step in steps(input) {
        now = step.after(now);
        if let Some((link, data)) = step.frame() {
            number += 1;
            let wire_len = u32::try_from(data.len()).expect("short") + u32::from(step.kind >> 3);
            engine.ingest(&Frame { number, time: now, link, wire_len, data: &data });
        }
        match step.kind & 7 {
            SNAPSHOT => before = balanced(&mut engine, Some(&before)),
            TELL => tell(&mut engine, step.kind >> 3, now),
            _ => {}
        }
    }
    let before = balanced(&mut engine, Some(&before));
    engine.finish(|event| lines(&event));
    let last = balanced(&mut engine, Some(&before));
    assert!(last.devices.iter().all(|row| row.pending == Both::default()), "something is owed after the end");
    assert!(!json::summary_json(&last).is_empty() && table::destinations(&last, Some(80)).len() > 1);
    let scrape = Scrape { snapshot: last, sensor: "fuzz".to_owned(), ..Scrape::default() };
    prometheus::render(&scrape, false).expect("an exposition");
});

/// Two MACs of one device, one that is split by address, and an address.
const ROSTER: &str = "[[device]]\nalias = 'one'\nmac = ['02:00:00:00:00:01', '02:00:00:00:00:02']\nexpected = ['DE']\n\
    [[device]]\nalias = 'split'\nmac = '02:00:00:00:00:03'\nsplit = true\n[[device]]\nalias = 'host'\naddress = '192.168.1.14'\n";

fn tell(engine: &mut Engine, what: u8, now: Timestamp) {
    match what {
        0 => engine.advance(now),
        1 => engine.unreadable(),
        2 => engine.routers(vec![Mac([2, 0, 0, 0, 1, 0])]),
        3 => engine.nets(vec!["198.51.100.0/30".parse().expect("a prefix")]),
        4 => engine.relocate(GeoDb::embedded().expect("sound")),
        5 => engine.begin(),
        6 => engine.stands_at(54.7, 25.3),
        7 => engine.watch_for(vec![Watchlist::parse("fuzz", "*.example.com\n198.51.100.0/30\n").expect("a list")]),
        8 => engine.register(roster::parse(ROSTER, Path::new("devices.toml")).expect("a roster")),
        9 => engine.register(Roster::default()),
        10 => engine.learns_for(Duration::from_secs(1)),
        _ => engine.events().for_each(|event| lines(&event)),
    }
}

/// Every event is lines of JSON: one for each question of a DNS message.
fn lines(event: &Event) {
    let mut text = Vec::new();
    write_line(event, "fuzz", &mut text);
    assert_eq!(text.pop(), Some(b'\n'));
    for line in text.split(|byte| *byte == b'\n') {
        let value: serde_json::Value = serde_json::from_slice(line).expect("JSON");
        assert!(["@timestamp", "event.action", "observer.name", "device.id"].iter().all(|key| value[key].is_string()), "{value}");
    }
}

/// A snapshot whose sums are equal, whose tables are within their limits, and in which no counter fell.
fn balanced(engine: &mut Engine, before: Option<&Snapshot>) -> Snapshot {
    let snapshot = engine.snapshot();
    for row in &snapshot.devices {
        let countries = sum(snapshot.countries.iter().filter(|country| country.device == row.id).map(|country| country.total));
        let destinations =
            sum(snapshot.destinations.iter().filter(|destination| destination.device == row.id).map(|destination| destination.total));
        assert_eq!(countries, row.total, "countries of {}", row.id);
        assert_eq!(sum([destinations, row.pending]), row.total, "destinations of {}", row.id);
    }
    for row in &snapshot.tables {
        assert!(row.entries <= row.limit, "{row:?}");
    }
    // A device that left and came back begins at nothing.
    let left = |snapshot: &Snapshot| snapshot.tables.iter().find(|row| row.table == "devices").map(|row| row.evicted);
    for earlier in before.filter(|before| left(before) == left(&snapshot)).into_iter().flat_map(|before| &before.devices) {
        if let Some(row) = snapshot.devices.iter().find(|row| row.id == earlier.id) {
            let fell = [(row.total.transmit, earlier.total.transmit), (row.total.receive, earlier.total.receive)]
                .iter()
                .any(|(now, then)| now.bytes < then.bytes || now.packets < then.packets);
            assert!(!fell, "{} fell", row.id);
        }
    }
    snapshot
}

fn sum(all: impl IntoIterator<Item = Both>) -> Both {
    let add = |a: Tally, b: Tally| Tally { packets: a.packets + b.packets, bytes: a.bytes + b.bytes };
    all.into_iter()
        .fold(Both::default(), |sum, some| Both { transmit: add(sum.transmit, some.transmit), receive: add(sum.receive, some.receive) })
}
