//! The simulated lab run, read and held against its truth to the byte: every device, country, destination, request.
//!
//! The truth is counted from the frames by code that knows nothing of flows or names, so the two can only agree by both being right.
#![expect(clippy::unwrap_used, clippy::panic, clippy::disallowed_types, clippy::disallowed_methods, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;
use whither::capture::file::{File, Item};
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::geo::GeoDb;
use whither::engine::limits::Limits;
use whither::engine::snapshot::{Both, Origin, Snapshot};
use whither::export::events;
use whither::simulate::truth::{Traffic, Truth};
use whither::simulate::{Plan, write};

/// A simulated run's truth, what the engine knows at its end, and the events that it told.
type Run = (Truth, Snapshot, Vec<Value>);

/// Two runs, read once for all tests.
static RUNS: LazyLock<[Run; 2]> = LazyLock::new(|| [1, 20_210_921].map(run));

fn run(seed: u64) -> Run {
    let mut capture = Vec::new();
    let truth = write(&Plan { seed, ..Plan::default() }, &mut capture).unwrap();
    let mut engine = Engine::new(Limits::default(), OurSide::default(), GeoDb::embedded().unwrap(), true);
    let mut lines = Vec::new();
    let mut file = File::from_reader(Cursor::new(capture)).unwrap();
    file.read(&mut |item| {
        let Item::Frame(frame) = item else { panic!("all of it is Ethernet") };
        engine.ingest(&frame);
        engine.events().for_each(|event| events::write_line(&event, "test", &mut lines));
    })
    .unwrap();
    engine.finish(|event| events::write_line(&event, "test", &mut lines));
    let events = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap());
    let events = events.collect();
    (truth, engine.snapshot(), events)
}

/// Bytes up and down.
type Bytes = (u64, u64);

fn add<K: Ord>(sums: &mut BTreeMap<K, Bytes>, key: K, (up, down): Bytes) {
    let sum = sums.entry(key).or_default();
    *sum = (sum.0 + up, sum.1 + down);
}

fn seen(total: &Both) -> Bytes {
    (total.transmit.bytes, total.receive.bytes)
}

fn true_bytes(traffic: &Traffic) -> Bytes {
    (traffic.transmit_bytes, traffic.receive_bytes)
}

#[test]
fn every_device_and_country_has_its_bytes() {
    for (truth, snapshot, _) in &*RUNS {
        assert_eq!(snapshot.packets, truth.packets);
        assert_eq!((&snapshot.skipped, &snapshot.input_errors), (&vec![], &vec![]), "nothing in it is unreadable");
        assert_eq!(snapshot.devices.len(), truth.devices.len());
        for device in &truth.devices {
            let row = snapshot.devices.iter().find(|row| *row.id == *device.mac).unwrap();
            let told = [row.total.transmit, row.total.receive].map(|tally| (tally.packets, tally.bytes));
            assert_eq!(told, [&device.transmit, &device.receive].map(|count| (count.packets, count.bytes)), "{}", device.mac);
            assert_eq!(row.router, device.router);
            assert_eq!(row.pending, Both::default(), "all is over");
            if let Some(hostname) = device.hostname {
                assert_eq!(row.hostname.as_deref(), Some(hostname));
            }
            assert!(row.addresses.iter().all(|address| device.addresses.contains(address)), "{:?}", row.addresses);
            let countries = snapshot.countries.iter().filter(|row| *row.device == *device.mac);
            let told: BTreeMap<_, _> = countries.map(|row| (row.place.as_str().to_owned(), seen(&row.total))).collect();
            let expected: BTreeMap<_, _> =
                device.countries.iter().map(|(place, traffic)| ((*place).to_owned(), true_bytes(traffic))).collect();
            assert_eq!(told, expected, "{}", device.mac);
        }
    }
}

#[test]
fn every_destination_has_its_bytes() {
    for (truth, snapshot, _) in &*RUNS {
        let (mut named, mut nameless) = (BTreeMap::new(), BTreeMap::new());
        for (device, row) in truth.devices.iter().flat_map(|device| device.destinations.iter().map(move |row| (device, row))) {
            match (row.domain, row.origin) {
                (Some(domain), origin) if origin != "none" => {
                    let key = (device.mac.clone(), domain.to_owned(), origin.to_owned(), row.country.to_owned());
                    add(&mut named, key, true_bytes(&row.traffic));
                }
                _ => add(&mut nameless, (device.mac.clone(), row.country.to_owned()), true_bytes(&row.traffic)),
            }
        }
        let (mut told, mut told_nameless) = (BTreeMap::new(), BTreeMap::new());
        for row in snapshot.destinations.iter().filter(|row| !matches!(row.place.as_str(), "local" | "multicast")) {
            let (device, place) = (row.device.to_string(), row.place.as_str().to_owned());
            if matches!(row.origin, Origin::None) {
                add(&mut told_nameless, (device, place), seen(&row.total));
            } else {
                add(&mut told, (device, row.destination.to_string(), row.origin.as_str().to_owned(), place), seen(&row.total));
            }
        }
        for origin in ["sni", "quic", "host", "dns"] {
            assert!(named.keys().any(|(_, _, other, _)| other == origin), "the run has destinations named by {origin}");
        }
        assert_eq!(told, named);
        assert_eq!(told_nameless, nameless);
    }
}

#[test]
fn every_pull_of_the_list_is_told_at_its_time() {
    let (truth, _, events) = &RUNS[0];
    for device in &truth.devices {
        let request = |event: &&Value| {
            event["event.action"] == "http-request" && event["device.id"] == device.mac && event["url.domain"] == "globalapi.ad.xiaomi.com"
        };
        let told: Vec<_> = events.iter().filter(request).map(|event| event["@timestamp"].as_str().unwrap()).collect();
        let mut expected: Vec<_> = device.list_pulls.iter().map(|pull| pull.time.as_str()).collect();
        expected.sort_unstable();
        assert_eq!(told, expected, "{}", device.mac);
        assert!(events.iter().filter(request).all(|event| event["url.path"] == "/filter/text"));
    }
    assert!(truth.devices.iter().any(|device| !device.list_pulls.is_empty()));
}

#[test]
fn every_association_is_told_at_its_time() {
    let (truth, _, events) = &RUNS[1];
    for device in &truth.devices {
        let joined = events.iter().filter(|event| event["event.action"] == "association" && event["device.id"] == device.mac);
        let told: Vec<_> = joined.map(|event| event["@timestamp"].as_str().unwrap()).collect();
        assert_eq!(told, device.associations, "{}", device.mac);
    }
}

/// Reading has no clock and no order of its own: the same file gives the same bytes, again and in another place.
#[test]
fn reading_twice_tells_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let whither = |arguments: &[&str], at: &Path| {
        let run = Command::new(env!("CARGO_BIN_EXE_whither")).args(arguments).current_dir(at).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        run.stdout
    };
    whither(&["simulate", "run.pcap", "--seed", "9"], folder.path());
    let told = |round: &str| {
        let at = folder.path().join(round);
        std::fs::create_dir(&at).unwrap();
        let table = whither(&["read", "../run.pcap", "--events", "events", "--metrics", "metrics"], &at);
        let json = whither(&["read", "../run.pcap", "--json"], &at);
        [table, json, std::fs::read(at.join("events")).unwrap(), std::fs::read(at.join("metrics")).unwrap()]
    };
    let (one, two) = (told("one"), told("two"));
    for (what, (one, two)) in ["table", "summary", "events", "metrics"].into_iter().zip(one.iter().zip(&two)) {
        assert!(one.len() > 1_000, "{what}: {} bytes", one.len());
        assert!(one == two, "the {what} differ");
    }
}
