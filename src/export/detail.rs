//! The page `/api/v1/device`: all of one device.

use std::cmp::Reverse;

use serde::Serialize;

use super::explain::ask;
use super::json::{self, Destination, Device, Total};
use super::overview::{self, Bench, Country, Series, bytes};
use super::query::{Problem, Query};
use super::routine::{Coverage, Pulls, Rhythm};
use super::viewing::Shown;
use super::{ATTRIBUTION, rfc3339};
use crate::engine::snapshot::{Contact, ContactRow, DestinationRow, DeviceRow, RhythmRow, Snapshot};

/// Intervals of all strips together at most; each of them alone has fewer.
const INTERVALS: u64 = 96;
/// Full names told of one destination, the latest: a device may have asked for thousands.
const NAMES: usize = 32;

/// The page.
pub(super) fn page(shown: &Shown, query: &Query) -> Result<String, Problem> {
    let snapshot = &shown.scrape.snapshot;
    let device = ask::device(query.text("device").unwrap_or_default(), snapshot).map_err(Problem::absent)?;
    let mut rows: Vec<&DestinationRow> = snapshot.destinations_of(&device.id).iter().collect();
    rows.sort_by_key(|row| Reverse(bytes(&row.total))); // stable: equals stay in the order of their labels
    let axis = Axis::of(&rows);
    let below = Below::of(device, snapshot);
    json::text(&Page {
        sensor: &shown.scrape.sensor,
        generation: &shown.generation,
        last_packet: json::last_packet(snapshot),
        attribution: ATTRIBUTION,
        bench: overview::bench(&shown.scrape),
        evidence: overview::evidence(shown),
        device: Device::from(device),
        recent: Series::of(&device.recent, snapshot),
        visibility: device
            .visibility
            .iter()
            .map(|(class, total)| Share { class: class.as_str(), is: overview::is(*class), total: total.into() })
            .collect(),
        coverage: snapshot.coverage.iter().find(|row| row.device == device.id).map(|row| Coverage::of(row, snapshot)),
        countries: overview::countries(device, snapshot),
        timeline: Timeline { begin: axis.begins(), width_seconds: axis.width.saturating_mul(60), intervals: axis.intervals },
        destinations: rows.iter().map(|row| Row::of(row, device, &axis, &below)).collect(),
        rhythms: snapshot.rhythms_of(&device.id).iter().map(Rhythm::from).collect(),
        config_pulls: snapshot.pulls.iter().filter(|row| row.device == device.id).map(Pulls::from).collect(),
        watchlists: snapshot
            .sightings_of(&device.id)
            .iter()
            .map(|row| Sighting { ruleset: &row.ruleset, category: row.category, flows: row.flows })
            .collect(),
    })
    .map_err(Problem::failed)
}

#[derive(Serialize)]
struct Page<'a> {
    sensor: &'a str,
    generation: &'a str,
    last_packet: Option<String>,
    attribution: &'static str,
    bench: Option<Bench>,
    evidence: &'static str,
    device: Device<'a>,
    recent: Series,
    visibility: Vec<Share>,
    coverage: Option<Coverage<'a>>,
    countries: Vec<Country<'a>>,
    timeline: Timeline,
    destinations: Vec<Row<'a>>,
    rhythms: Vec<Rhythm<'a>>,
    config_pulls: Vec<Pulls<'a>>,
    watchlists: Vec<Sighting<'a>>,
}

#[derive(Serialize)]
struct Share {
    class: &'static str,
    is: &'static str,
    #[serde(flatten)]
    total: Total,
}

#[derive(Serialize)]
struct Sighting<'a> {
    ruleset: &'a str,
    category: &'static str,
    flows: u64,
}

#[derive(Serialize)]
struct Timeline {
    begin: Option<String>,
    width_seconds: u64,
    intervals: u64,
}

/// What all strips are laid along: minutes since the epoch.
struct Axis {
    begin: u64,
    width: u64,
    intervals: u64,
}

impl Axis {
    /// Wide enough for all: each strip's intervals are whole parts of its own.
    fn of(rows: &[&DestinationRow]) -> Self {
        let lived = || rows.iter().map(|row| &row.timeline).filter(|timeline| timeline.intervals().next().is_some());
        let mut width = lived().map(crate::engine::snapshot::Timeline::width).max().unwrap_or(1);
        let Some(first) = lived().map(|timeline| timeline.span().0).min() else { return Self { begin: 0, width, intervals: 0 } };
        let last = lived().map(|timeline| timeline.span().1).max().unwrap_or(first);
        let number = |minute: u64, width: u64| minute.checked_div(width).unwrap_or_default();
        while number(last, width).saturating_sub(number(first, width)) >= INTERVALS {
            width = width.saturating_mul(2);
        }
        let intervals = number(last, width).saturating_sub(number(first, width)).saturating_add(1);
        Self { begin: number(first, width).saturating_mul(width), width, intervals }
    }

    fn begins(&self) -> Option<String> {
        (self.intervals > 0).then(|| rfc3339(self.begin.saturating_mul(60_000_000_000), 9))
    }

    /// A strip along it.
    fn strip(&self, row: &DestinationRow) -> Vec<u64> {
        let mut strip = vec![0_u64; usize::try_from(self.intervals).unwrap_or_default()];
        for (minute, bytes) in row.timeline.intervals() {
            let index = minute.saturating_sub(self.begin).checked_div(self.width).unwrap_or_default();
            if let Some(sum) = usize::try_from(index).ok().and_then(|index| strip.get_mut(index)) {
                *sum = sum.saturating_add(bytes);
            }
        }
        strip
    }
}

/// What is known of the names below a device's destinations: sorted by destination.
struct Below<'a> {
    names: Vec<(&'a str, &'a ContactRow)>,
    rhythms: Vec<(&'a str, &'a RhythmRow)>,
}

impl<'a> Below<'a> {
    fn of(device: &'a DeviceRow, snapshot: &'a Snapshot) -> Self {
        let rows = snapshot.destinations_of(&device.id);
        // Sorted by label: the longest part of a name that is one.
        let label = |name: &str| {
            let mut rest = Some(name);
            while let Some(part) = rest {
                if let Ok(index) = rows.binary_search_by(|row| (*row.destination).cmp(part)) {
                    return rows.get(index).map(|row| &*row.destination);
                }
                rest = part.split_once('.').map(|(_, rest)| rest);
            }
            None
        };
        let memory = snapshot.contacts.binary_search_by(|memory| memory.device.cmp(&device.id)).ok();
        let contacts = memory.and_then(|index| snapshot.contacts.get(index)).map(|memory| memory.contacts.as_slice()).unwrap_or_default();
        let named = contacts.iter().filter(|row| matches!(row.contact, Contact::Name(_)));
        let mut names: Vec<_> = named.filter_map(|row| Some((label(&row.contact.value())?, row))).collect();
        names.sort_by_key(|(label, row)| (*label, Reverse(row.last)));
        let mut rhythms: Vec<_> = snapshot.rhythms_of(&device.id).iter().filter_map(|row| Some((label(&row.destination)?, row))).collect();
        rhythms.sort_by(|(a, one), (b, other)| a.cmp(b).then(other.regularity.unwrap_or(-1.0).total_cmp(&one.regularity.unwrap_or(-1.0))));
        Self { names, rhythms }
    }
}

fn of<'a, T>(rows: &'a [(&'a str, T)], label: &str) -> impl Iterator<Item = &'a T> {
    let begin = rows.partition_point(|(other, _)| *other < label);
    let end = rows.partition_point(|(other, _)| *other <= label);
    rows.get(begin..end).unwrap_or_default().iter().map(|(_, row)| row)
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    row: Destination<'a>,
    country_name: &'a str,
    verdict: Option<&'static str>,
    expected: Option<bool>,
    named_by: Option<Naming>,
    names: Vec<Name>,
    categories: Vec<&'a str>,
    rhythm: Option<Rhythm<'a>>,
    timeline: Vec<u64>,
}

/// The packet that named something.
#[derive(Serialize)]
struct Naming {
    packet: u64,
    time: String,
}

#[derive(Serialize)]
struct Name {
    name: String,
    flows: u64,
    first_seen: String,
    last_seen: String,
}

impl<'a> Row<'a> {
    fn of(row: &'a DestinationRow, device: &DeviceRow, axis: &Axis, below: &Below<'a>) -> Self {
        let name = |row: &&ContactRow| Name {
            name: row.contact.value().to_string(),
            flows: row.flows,
            first_seen: rfc3339(row.first.as_nanos(), 9),
            last_seen: rfc3339(row.last.as_nanos(), 9),
        };
        let mut categories: Vec<&str> = row.services.iter().map(|service| service.category).collect();
        categories.dedup();
        Self {
            row: Destination::from(row),
            country_name: overview::name(&row.place),
            verdict: overview::heaviest(row.verdicts),
            expected: overview::expected(&row.place, device),
            named_by: row.named.map(|(packet, time)| Naming { packet, time: rfc3339(time.as_nanos(), 9) }),
            names: of(&below.names, &row.destination).take(NAMES).map(name).collect(),
            categories,
            rhythm: of(&below.rhythms, &row.destination).next().map(|row| Rhythm::from(*row)),
            timeline: axis.strip(row),
        }
    }
}
