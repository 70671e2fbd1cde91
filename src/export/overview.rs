//! The page `/api/v1/overview`: devices with their countries, and how well the capture goes.
//!
//! Road taken: whatever a first look needs, in one answer and added up here, so that a phone need not fetch ten thousand destinations
//! to draw a map. Road not taken: to leave the sums to the viewer.

use serde::Serialize;

use super::json::{self, Counts, Database, Total};
use super::notable::HIDDEN;
use super::query::{Problem, Query};
use super::viewing::Shown;
use super::{ATTRIBUTION, Scrape, VERSION, rfc3339};
use crate::engine::event::Timestamp;
use crate::engine::snapshot::{Both, CONTACT_KINDS, Class, DestinationRow, DeviceRow, Place, Recent, Snapshot, VERDICTS, Verdict};

/// Seconds of an interval of [`Recent`].
const MINUTE: u64 = 60;

/// The page.
pub(super) fn page(shown: &Shown, _: &Query) -> Result<String, Problem> {
    #[derive(Serialize)]
    struct Page<'a> {
        sensor: &'a str,
        version: &'static str,
        generation: &'a str,
        last_packet: Option<String>,
        bench: Option<Bench>,
        health: Health<'a>,
        evidence: &'static str,
        databases: Vec<Database<'a>>,
        attribution: &'static str,
        devices: Vec<Device<'a>>,
    }
    let snapshot = &shown.scrape.snapshot;
    json::text(&Page {
        sensor: &shown.scrape.sensor,
        version: VERSION,
        generation: &shown.generation,
        last_packet: json::last_packet(snapshot),
        bench: bench(&shown.scrape),
        health: Health::of(&shown.scrape),
        evidence: evidence(shown),
        databases: snapshot.databases.iter().map(Database::from).collect(),
        attribution: ATTRIBUTION,
        devices: snapshot.devices.iter().map(|row| Device::of(row, snapshot)).collect(),
    })
    .map_err(Problem::failed)
}

/// Where the sensor stands.
#[derive(Serialize)]
pub(super) struct Bench {
    latitude: f64,
    longitude: f64,
}

pub(super) fn bench(scrape: &Scrape) -> Option<Bench> {
    scrape.bench.map(|(latitude, longitude)| Bench { latitude, longitude })
}

/// Where evidence comes from.
pub(super) fn evidence(shown: &Shown) -> &'static str {
    if shown.again { "captures" } else { "none" }
}

#[derive(Serialize)]
struct Health<'a> {
    reads: &'static str,
    finished: bool,
    packets: u64,
    interfaces: Vec<Interface<'a>>,
    silent_seconds: Option<u64>,
    skipped: Counts,
    input_errors: Counts,
    events_dropped: u64,
    outside_bytes: u64,
    unnamed_bytes: u64,
    hidden_bytes: u64,
    sandbox: Vec<Layer>,
    tables: Vec<Table>,
    viewers: u64,
    viewers_dropped: u64,
}

#[derive(Serialize)]
struct Interface<'a> {
    interface: &'a str,
    up: bool,
    packets: u64,
    dropped_kernel: u64,
    dropped_interface: u64,
}

#[derive(Serialize)]
struct Layer {
    layer: &'static str,
    on: bool,
}

#[derive(Serialize)]
struct Table {
    table: &'static str,
    entries: u64,
    limit: u64,
    evicted: u64,
    refused: u64,
}

impl<'a> Health<'a> {
    fn of(scrape: &'a Scrape) -> Self {
        let snapshot = &scrape.snapshot;
        let known = snapshot.devices.iter().map(Known::of).fold(Known::default(), Known::add);
        let viewers = scrape.viewers.unwrap_or_default();
        let interface = |row: &'a super::InterfaceRow| Interface {
            interface: &row.interface,
            up: row.up,
            packets: row.packets,
            dropped_kernel: row.dropped_kernel,
            dropped_interface: row.dropped_interface,
        };
        let table = |row: &crate::engine::snapshot::TableRow| Table {
            table: row.table,
            entries: row.entries,
            limit: row.limit,
            evicted: row.evicted,
            refused: row.refused,
        };
        Self {
            reads: if scrape.capture.is_empty() { "files" } else { "interface" },
            finished: scrape.finished,
            packets: snapshot.packets,
            interfaces: scrape.capture.iter().map(interface).collect(),
            silent_seconds: scrape.silent.map(|silent| silent.as_secs()),
            skipped: Counts(snapshot.skipped.clone()),
            input_errors: Counts(snapshot.input_errors.clone()),
            events_dropped: snapshot.events_dropped,
            outside_bytes: known.outside,
            unnamed_bytes: known.unnamed,
            hidden_bytes: known.hidden,
            sandbox: scrape.sandbox.iter().map(|(layer, on)| Layer { layer, on: *on }).collect(),
            tables: snapshot.tables.iter().map(table).collect(),
            viewers: viewers.open,
            viewers_dropped: viewers.dropped,
        }
    }
}

/// What is known of a device's bytes outside.
#[derive(Clone, Copy, Default)]
struct Known {
    outside: u64,
    unnamed: u64,
    hidden: u64,
}

impl Known {
    fn of(row: &DeviceRow) -> Self {
        let pending = bytes(&row.pending);
        let mut known = Self { outside: pending, unnamed: pending, hidden: 0 };
        for (class, some) in &row.visibility {
            let some = bytes(some);
            match is(*class) {
                "inside" => continue,
                "unnamed" => known.unnamed = known.unnamed.saturating_add(some),
                "hidden" => known.hidden = known.hidden.saturating_add(some),
                _ => {}
            }
            known.outside = known.outside.saturating_add(some);
        }
        known
    }

    fn add(self, other: Self) -> Self {
        Self {
            outside: self.outside.saturating_add(other.outside),
            unnamed: self.unnamed.saturating_add(other.unnamed),
            hidden: self.hidden.saturating_add(other.hidden),
        }
    }
}

/// What a class means to who looks.
pub(super) fn is(class: Class) -> &'static str {
    match class {
        Class::Local | Class::Multicast => "inside",
        Class::Bare | Class::Lost => "unnamed",
        class if HIDDEN.contains(&class) => "hidden",
        _ => "named",
    }
}

pub(super) fn bytes(both: &Both) -> u64 {
    both.transmit.bytes.saturating_add(both.receive.bytes)
}

#[derive(Serialize)]
struct Device<'a> {
    device: &'a str,
    alias: Option<&'a str>,
    hostname: Option<&'a str>,
    vendor: Option<&'a str>,
    mac: Option<String>,
    randomized_mac: bool,
    router: bool,
    addresses: Vec<String>,
    expected_countries: Vec<&'a str>,
    same_as: Vec<&'a str>,
    first_seen: String,
    last_seen: String,
    #[serde(flatten)]
    total: Total,
    destinations: usize,
    outside_bytes: u64,
    unnamed_bytes: u64,
    hidden_bytes: u64,
    location_bytes: Counts,
    disputed_bytes: u64,
    first_contacts: Counts,
    watchlist_flows: Counts,
    recent: Series,
    countries: Vec<Country<'a>>,
}

impl<'a> Device<'a> {
    fn of(row: &'a DeviceRow, snapshot: &'a Snapshot) -> Self {
        let known = Known::of(row);
        let sightings = snapshot.sightings_of(&row.id).iter().map(|seen| (seen.category, seen.flows));
        Self {
            device: &row.id,
            alias: row.alias.as_deref(),
            hostname: row.hostname.as_deref(),
            vendor: row.vendor.as_deref(),
            mac: row.mac.map(|mac| mac.to_string()),
            randomized_mac: row.randomized,
            router: row.router,
            addresses: row.addresses.iter().map(ToString::to_string).collect(),
            expected_countries: row.expected.iter().map(|country| country.as_str()).collect(),
            same_as: row.same_as.iter().map(|same| &*same.device).collect(),
            first_seen: rfc3339(row.first.as_nanos(), 9),
            last_seen: rfc3339(row.last.as_nanos(), 9),
            total: Total::from(&row.total),
            destinations: snapshot.destinations_of(&row.id).len(),
            outside_bytes: known.outside,
            unnamed_bytes: known.unnamed,
            hidden_bytes: known.hidden,
            location_bytes: verdicts(row.verdicts),
            disputed_bytes: row.disputed,
            first_contacts: Counts(CONTACT_KINDS.into_iter().zip(row.first_contacts).collect()),
            watchlist_flows: Counts(summed(sightings)),
            recent: Series::of(&row.recent, snapshot),
            countries: countries(row, snapshot),
        }
    }
}

/// Counts of the same name added up: several lists may have one category.
fn summed(counts: impl Iterator<Item = (&'static str, u64)>) -> Vec<(&'static str, u64)> {
    let mut sums: Vec<(&'static str, u64)> = Vec::new();
    for (name, count) in counts {
        match sums.iter_mut().find(|(other, _)| *other == name) {
            Some((_, sum)) => *sum = sum.saturating_add(count),
            None => sums.push((name, count)),
        }
    }
    sums
}

pub(super) fn verdicts(bytes: [u64; VERDICTS.len()]) -> Counts {
    Counts(VERDICTS.map(Verdict::as_str).into_iter().zip(bytes).collect())
}

/// The heaviest verdict that any bytes have; none on our side.
pub(super) fn heaviest(bytes: [u64; VERDICTS.len()]) -> Option<&'static str> {
    VERDICTS.iter().zip(bytes).filter(|(_, bytes)| *bytes > 0).map(|(verdict, _)| verdict.as_str()).next_back()
}

/// Whether a country is expected; none where nothing is said, or where it is none.
pub(super) fn expected(place: &Place, device: &DeviceRow) -> Option<bool> {
    match place {
        Place::Country(country) if !device.expected.is_empty() => Some(device.expected.contains(country)),
        _ => None,
    }
}

/// What a place is called.
pub(super) fn name(place: &Place) -> &str {
    match place {
        Place::Country(country) => country.name(),
        other => other.as_str(),
    }
}

/// Bytes by time.
#[derive(Serialize)]
pub(super) struct Series {
    begin: Option<String>,
    width_seconds: u64,
    bytes: Vec<u64>,
}

impl Series {
    pub(super) fn of(recent: &Recent, snapshot: &Snapshot) -> Self {
        let Some(end) = snapshot.last_packet else { return Self { begin: None, width_seconds: MINUTE, bytes: Vec::new() } };
        let bytes = recent.until(end);
        let minutes = (end.as_nanos() / 1_000_000_000 / MINUTE + 1).saturating_sub(bytes.len() as u64);
        let begin = Timestamp::from_nanos(minutes.saturating_mul(MINUTE * 1_000_000_000));
        Self { begin: Some(rfc3339(begin.as_nanos(), 9)), width_seconds: MINUTE, bytes }
    }
}

/// A device's traffic with one country.
#[derive(Serialize)]
pub(super) struct Country<'a> {
    country: &'a str,
    name: &'a str,
    verdict: Option<&'static str>,
    expected: Option<bool>,
    destinations: usize,
    anycast_bytes: u64,
    location_bytes: Counts,
    #[serde(flatten)]
    total: Total,
}

/// A device's countries, the most bytes first.
pub(super) fn countries<'a>(device: &'a DeviceRow, snapshot: &'a Snapshot) -> Vec<Country<'a>> {
    let mut rows: Vec<_> = snapshot.countries_of(&device.id).iter().map(|row| (row, [0_u64; VERDICTS.len()], 0_u64, 0_usize)).collect();
    let add = |sum: &mut u64, some: u64| *sum = sum.saturating_add(some);
    for DestinationRow { place, verdicts, anycast, total, .. } in snapshot.destinations_of(&device.id) {
        // Sorted by place.
        let found = rows.binary_search_by(|(row, ..)| row.place.cmp(place));
        let Some((_, sums, anycasts, count)) = found.ok().and_then(|index| rows.get_mut(index)) else { continue };
        sums.iter_mut().zip(verdicts).for_each(|(sum, some)| add(sum, *some));
        add(anycasts, if *anycast { bytes(total) } else { 0 });
        *count = count.saturating_add(1);
    }
    rows.sort_by_key(|(row, ..)| (std::cmp::Reverse(bytes(&row.total)), row.place));
    let told = rows.into_iter().map(|(row, sums, anycast_bytes, destinations)| Country {
        country: row.place.as_str(),
        name: name(&row.place),
        verdict: heaviest(sums),
        expected: expected(&row.place, device),
        destinations,
        anycast_bytes,
        location_bytes: verdicts(sums),
        total: Total::from(&row.total),
    });
    told.collect()
}
