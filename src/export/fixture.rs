//! A scrape for the tests of the exporters: a phone with plain names, and a device that chose its name to do harm.

use std::time::Duration;

use super::record::RecordRow;
use super::state::StateRow;
use super::{InterfaceRow, Scrape, Viewers};
use crate::engine::event::{Mac, Timestamp};
use crate::engine::geo::Country;
use crate::engine::snapshot::{
    Attach, Both, Class, Contact, ContactRow, CountryRow, CoverageRow, DatabaseRow, DestinationRow, DeviceRow, Fact, Finding, Kind,
    Location, Memory, Opinion, Origin, PROTOCOLS, Persistent, Place, Pull, PullCountRow, PullsRow, RTT_BUCKETS, Recent, RhythmRow, RttRow,
    SameAs, SightingRow, SizeClass, Snapshot, Source, TableRow, Tally, Timeline, Witnesses,
};

/// Quotes, a backslash, a line break, NUL, an escape sequence, a right-to-left override and a tag.
pub(super) const HOSTILE: &str = "a\"b\\c\nd\0e\u{1b}[31mf\u{202e}g<script>alert(1)</script>";

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_nanos((1_632_200_000 + seconds) * 1_000_000_000)
}

pub(super) fn both(transmit: u64, receive: u64) -> Both {
    Both { transmit: Tally { packets: transmit / 100, bytes: transmit }, receive: Tally { packets: receive / 100, bytes: receive } }
}

pub(super) fn place(code: &str) -> Place {
    Place::Country(Country::from_code(code).unwrap())
}

pub(super) fn device(id: &str, mac: u8, total: Both, pending: Both) -> DeviceRow {
    let mut flows = [0; PROTOCOLS.len()];
    flows[0] = 3;
    DeviceRow {
        id: id.into(),
        mac: Some(Mac([0x02, 0, 0, 0, 0, mac])),
        macs: vec![Mac([0x02, 0, 0, 0, 0, mac])],
        alias: None,
        notes: None,
        expected: vec![Country::from_code("DE").unwrap()],
        addresses: vec!["192.168.1.10".parse().unwrap(), "2001:db8::10".parse().unwrap()],
        hostname: None,
        vendor: Some("Xiaomi".into()),
        randomized: true,
        router: false,
        identity: Vec::new(),
        identity_forgotten: 0,
        same_as: Vec::new(),
        first: at(0),
        last: at(90),
        total,
        recent: Recent::default(),
        pending,
        visibility: vec![(Class::Sni, total)],
        verdicts: [0, total.transmit.bytes + total.receive.bytes, 0],
        services: vec![("none", total.transmit.bytes + total.receive.bytes)],
        disputed: 0,
        flows,
        first_contacts: [1, 0, 2],
    }
}

pub(super) fn fact(kind: Kind, value: &str) -> Fact {
    Fact { kind, value: value.into(), source: Source::Dhcp, packet: 3, first: at(2), last: at(9) }
}

/// A proposal that rests on a host name, a parameter list and `third`.
pub(super) fn same_as(device: &str, name: &str, third: Fact) -> SameAs {
    let evidence = vec![fact(Kind::Hostname, name), fact(Kind::Parameters, "1,3,6"), third];
    SameAs { device: device.into(), evidence, unique: false, together: false, silent: at(1), begun: at(60), packet: 9, told: at(700) }
}

pub(super) fn destination(device: &str, name: &str, origin: Origin, place: Place, total: Both) -> DestinationRow {
    DestinationRow {
        device: device.into(),
        destination: name.into(),
        origin,
        place,
        asn: Some(64_496),
        organisation: Some("Example Net".into()),
        verdicts: [0, total.transmit.bytes + total.receive.bytes, 0],
        services: Vec::new(),
        location: None,
        anycast: false,
        flows: 2,
        first: at(1),
        last: at(60),
        total,
        timeline: Timeline::default(),
        named: Some((7, at(1))),
    }
}

/// Five beats, of which two follow an association.
pub(super) fn rhythm(device: &str, name: &str) -> RhythmRow {
    RhythmRow {
        device: device.into(),
        destination: name.into(),
        category: Some("config"),
        flows: 9,
        beats: 5,
        period: Some(300.25),
        jitter: Some(1.5),
        bytes_per_beat: 4_000,
        upload_share: Some(0.25),
        regularity: Some(0.875),
        periodic: true,
        attach: Some(Attach { after: 2, beats: 5, skipped: 1, log_ratio: 2.5, chance: 0.02, delay: Some(3.5), anchored: false }),
        gap_floor: Some(299.0),
        round_gap: Some("5 min"),
        persistent: Persistent { flows: 1, longest: Duration::from_secs(7_260), bytes: (100, 200) },
        first: Some(at(0)),
        last: Some(at(80)),
    }
}

/// Two pulls, the second of another size class.
pub(super) fn pulls(device: &str, name: &str) -> PullsRow {
    let first = Pull {
        begin: at(3),
        server: "203.0.113.7:80".parse().unwrap(),
        place: place("SG"),
        request: 300,
        response: 19_060,
        attach_delay: Some(Duration::from_millis(3_250)),
        gap: None,
        burst_gap: None,
        class: Some(SizeClass::Large),
        changed: None,
    };
    let gap = Some(Duration::from_secs(43_380));
    let second =
        Pull { begin: at(43_383), response: 190, gap, burst_gap: gap, class: Some(SizeClass::Small), changed: Some(true), ..first };
    PullsRow {
        device: device.into(),
        name: name.into(),
        category: "config",
        vendor: Some("Xiaomi".into()),
        count: 2,
        pulls: vec![first, second],
        bursts: 2,
        gap_floor: Some(43_380.0),
        round_gap: Some("12 h"),
        waited: Some(3_640.0),
    }
}

/// A server that two databases disagree on, with a name that was chosen to do harm.
pub(super) fn disputed() -> Location {
    let opinion = |name: &str, code| Opinion {
        database: DatabaseRow { database: name.into(), built: 1_780_272_000 },
        country: Country::from_code(code),
    };
    let witnesses =
        Witnesses { country: Country::from_code("SG"), agree: Some(false), claim: None, finding: Finding::NoHandshake, anycast: false };
    Location {
        server: "203.0.113.7".parse().unwrap(),
        name: Some(HOSTILE.into()),
        witnesses,
        opinions: [opinion("first", "SG"), opinion("second", "DE")].into(),
    }
}

pub(super) fn scrape() -> Scrape {
    let phone = "02:00:00:00:00:0a";
    let snapshot = Snapshot {
        activity: Vec::new(),
        quic_versions: vec![("1", 3)],
        malformed: vec![("dns", "pointer-loop", 2)],
        last_packet: Some(Timestamp::from_nanos(1_632_200_090_123_456_789)),
        packets: 12_345,
        devices: vec![device(phone, 10, both(2_500, 1_200_500), both(300, 0)), device(HOSTILE, 11, both(800, 900), both(0, 0))],
        countries: vec![
            CountryRow { device: phone.into(), place: place("SG"), total: both(2_000, 1_200_000) },
            CountryRow { device: phone.into(), place: Place::Local, total: both(500, 500) },
            CountryRow { device: HOSTILE.into(), place: Place::Unknown, total: both(800, 900) },
        ],
        destinations: vec![
            destination(phone, "AS64496", Origin::None, place("SG"), both(700, 200_000)),
            destination(phone, "example.org", Origin::Sni, place("SG"), both(1_000, 1_000_000)),
            DestinationRow { asn: None, organisation: None, ..destination(phone, "local", Origin::None, Place::Local, both(500, 500)) },
            destination(HOSTILE, HOSTILE, Origin::Host, Place::Unknown, both(800, 900)),
        ],
        contacts: vec![Memory {
            device: phone.into(),
            first: at(0),
            last: at(90),
            contacts: [("country", "SG"), ("asn", "AS64496"), ("domain", "example.org"), ("name", HOSTILE)]
                .into_iter()
                .zip(1..)
                .map(|((kind, value), flows)| {
                    let contact = Contact::parse(kind, value).unwrap();
                    ContactRow { contact, first: at(1), last: at(60), flows, told: kind == "country" }
                })
                .collect(),
        }],
        rhythms: vec![rhythm(phone, "config.example.org"), rhythm(HOSTILE, HOSTILE)],
        pulls: vec![pulls(phone, "config.example.org"), pulls(HOSTILE, HOSTILE)],
        pull_counts: vec![
            PullCountRow { device: phone.into(), vendor: None, pulls: 0, changes: 0 },
            PullCountRow { device: phone.into(), vendor: Some("Xiaomi".into()), pulls: 2, changes: 1 },
        ],
        coverage: vec![CoverageRow {
            device: phone.into(),
            present: Duration::from_secs(90),
            associations: 2,
            shared: vec![HOSTILE.into()],
            shared_flows: 3,
        }],
        sightings: vec![SightingRow { device: phone.into(), ruleset: "whither".into(), category: "telemetry", flows: 2 }],
        rtts: vec![RttRow { place: place("SG"), buckets: [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 3], count: 4, sum: 2.75 }],
        skipped: vec![("arp", 0), ("malformed", 7)],
        input_errors: vec![("dns", 1), ("tls", 0)],
        tables: vec![TableRow { table: "flows", entries: 5, limit: 65_536, evicted: 0, refused: 0 }],
        databases: vec![DatabaseRow { database: "dbip-country".into(), built: 1_780_272_000 }],
        events_dropped: 0,
    };
    assert_eq!(RTT_BUCKETS.len(), snapshot.rtts[0].buckets.len());
    let wlan = InterfaceRow { interface: "wlan0".to_owned(), up: true, packets: 12_345, dropped_kernel: 2, dropped_interface: 1 };
    let state = Some(StateRow { errors: 1, written: 1_632_200_060 });
    let record = Some(RecordRow { packets: 12_000, bytes: 9_000_000, dropped: 345 });
    let (sandbox, viewers) = (vec![("landlock", true)], Some(Viewers { open: 2, dropped: 1 }));
    Scrape { snapshot, capture: vec![wlan], sensor: "lab".to_owned(), state, record, sandbox, viewers, ..Scrape::default() }
}
