//! The number of series has a bound, which the README states; floods of devices, places and names do not pass it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test makes its own world")]

use std::collections::BTreeSet;

use etherparse::PacketBuilder;
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::geo::GeoDb;
use whither::engine::limits::Limits;
use whither::engine::snapshot::{CLASSES, CONTACT_KINDS, PROTOCOLS, RTT_BUCKETS, VERDICTS};
use whither::engine::watchlist::{CATEGORIES, Watchlist};
use whither::export::{Scrape, prometheus};
use whither::packet::{Frame, Link, Timestamp};

const SMALL: fn() -> Limits = || Limits { devices: 12, accounts: 90, accounts_per_device: 20, flows: 4_096, ..Limits::default() };
const ROUTER: [u8; 6] = [2, 0, 0x5e, 0, 0x53, 1];

/// What the README says: two for each account; for each device its own and, for each place it sends to, its country and its `other`;
/// its watchlist hits; a histogram for each place; and the sensor's own.
fn bound(limits: &Limits, places: usize, sightings: usize) -> usize {
    let (info_totals_pending, disputed, pulls_of_no_maker, rhythms) = (1 + 2 + 1, 1, 2, 2 * 20);
    let own = info_totals_pending + PROTOCOLS.len() + VERDICTS.len() + CONTACT_KINDS.len() + disputed + pulls_of_no_maker;
    let of_device = own + 2 * CLASSES.len() + CATEGORIES + rhythms;
    assert_eq!((own, of_device), (20, 119), "as in the README");
    let of_place = 2 + 2;
    2 * limits.accounts + limits.devices * (of_device + of_place * places + sightings) + places * (RTT_BUCKETS.len() + 3) + SENSOR
}

/// The sensor's own: tables, reasons, databases, versions.
const SENSOR: usize = 200;

#[test]
fn a_flood_of_devices_places_and_names_stays_inside_the_bound() {
    let limits = SMALL();
    let mut engine = Engine::new(limits.clone(), OurSide::default(), GeoDb::embedded().unwrap(), false);
    engine.watch_for(vec![Watchlist::parse("flood", "||example.org^\n").unwrap()]);
    let (mut time, mut most, mut tight) = (1_700_000_000_000_000_000, 0, 0.0_f64);
    for index in 0..40_000_u32 {
        time += 20_000_000;
        for bytes in visit(index) {
            engine.ingest(&Frame {
                number: 1,
                time: Timestamp::from_nanos(time),
                link: Link::Ethernet,
                wire_len: bytes.len() as u32,
                data: &bytes,
            });
        }
        if index % 4_000 == 3_999 {
            let text = prometheus::render(&Scrape { snapshot: engine.snapshot(), ..Scrape::default() }, false).unwrap();
            let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
            let places: BTreeSet<&str> =
                samples.iter().filter_map(|line| line.split_once("country=\"")).map(|(_, rest)| rest.split('"').next().unwrap()).collect();
            let bound = bound(&limits, places.len(), 1);
            assert!(samples.len() <= bound, "{} series, {bound} at most with {} places", samples.len(), places.len());
            most = most.max(samples.len());
            tight = tight.max(samples.len() as f64 / bound as f64);
        }
    }
    let tables = engine.snapshot().tables;
    let table = |name: &str| tables.iter().find(|row| row.table == name).unwrap();
    assert!(table("devices").refused + table("devices").evicted > 0 && table("devices").entries == 12, "the flood met the cap: {tables:?}");
    assert!(tight > 0.3, "the bound says something: {most} series are {tight} of it");
}

/// A hello to somewhere, of one of many devices and names.
fn visit(index: u32) -> [Vec<u8>; 2] {
    // Most from few, so that these meet the cap of one device; the others meet that of all.
    let device = if index.is_multiple_of(4) { index / 4 % 60_000 } else { index % 9 };
    let mac = [&[2, 0x66][..], &device.to_be_bytes()].concat();
    let from = [10, 1, device.to_be_bytes()[2], device.to_be_bytes()[3]];
    let mut to = index.wrapping_mul(0x9e37_79b1).to_be_bytes();
    to[0] = [5, 23, 41, 62, 80, 91, 103, 117, 133, 154, 177, 185, 190, 200, 212][to[0] as usize % 15];
    let name = format!("www.n{index}.example");
    let hello = hello(if index.is_multiple_of(3) { "www.example.org" } else { &name });
    [(1_000, true, &[][..]), (1_001, false, &hello)].map(|(sequence, syn, payload)| {
        let packet = PacketBuilder::ethernet2(mac.clone().try_into().unwrap(), ROUTER).ipv4(from, to, 64);
        let packet = packet.tcp(1_024 + (index % 60_000) as u16, 443, sequence, 65_535);
        let mut bytes = Vec::new();
        if syn { packet.syn() } else { packet.ack(2) }.write(&mut bytes, payload).unwrap();
        bytes
    })
}

/// A ClientHello of this name.
fn hello(name: &str) -> Vec<u8> {
    let two = u16::to_be_bytes;
    let length = name.len() as u16;
    let extension = [&[0, 0][..], &two(length + 5), &two(length + 3), &[0], &two(length), name.as_bytes()].concat();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &two(extension.len() as u16), &extension].concat();
    [&[0x16, 3, 1][..], &two(body.len() as u16 + 4), &[1, 0], &two(body.len() as u16), &body].concat()
}
