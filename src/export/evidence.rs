//! Evidence without captures: what the engine remembers of a row, in the same shape as what reading them again gives.

use serde::Serialize;

use super::ATTRIBUTION;
use super::explain::ask::{self, Meant};
use super::explain::json::{Counted, Fact, Found, Located, Named, Naming, Packet};
use super::json::{self, Database, Destination, Device, Place, Total};
use super::overview::verdicts;
use super::query::{Problem, Query};
use super::rfc3339;
use super::viewing::Shown;
use crate::engine::event::{Least, Timestamp};
use crate::engine::snapshot::{DestinationRow, DeviceRow, Finding, Snapshot};

/// What a query asks of a device's rows.
pub(super) fn meant(query: &Query, device: &DeviceRow, snapshot: &Snapshot) -> Result<Meant, Problem> {
    let words = query.text("destination").unwrap_or_default();
    let mut meant = ask::destination(words, device, snapshot).map_err(Problem::absent)?;
    meant.narrow(query.text("origin"), query.text("country"), query.number("asn"));
    if meant.is_empty() {
        return Err(Problem::absent(format!("No row of `{words}` has that origin, country and AS.")));
    }
    Ok(meant)
}

/// The page `/api/v1/evidence` where no captures can be read again, for the reason `why`.
pub(super) fn remembered(device: &DeviceRow, meant: &Meant, shown: &Shown, why: &str) -> Result<String, String> {
    #[derive(Serialize)]
    struct Page<'a> {
        generation: &'a str,
        source: &'static str,
        downloads: bool,
        words: &'a str,
        attribution: &'static str,
        databases: Vec<Database<'a>>,
        files: [&'a str; 0],
        device: Device<'a>,
        learnt: Vec<Fact<'a>>,
        rows: Vec<Found<'a>>,
    }
    let snapshot = &shown.scrape.snapshot;
    let source = shown.scrape.capture.first().map_or("", |row| row.interface.as_str());
    let learnt = device.identity.iter().map(|fact| Fact {
        what: fact.kind.words(),
        value: &fact.value,
        by: packet(source, (fact.packet, fact.first)),
    });
    json::text(&Page {
        generation: &shown.generation,
        source: "engine",
        downloads: false,
        words: why,
        attribution: ATTRIBUTION,
        databases: snapshot.databases.iter().map(Database::from).collect(),
        files: [],
        device: Device::from(device),
        learnt: learnt.collect(),
        rows: snapshot.destinations_of(&device.id).iter().filter(|row| meant.is_row(row)).map(|row| found(row, source)).collect(),
    })
}

/// A row, and what is remembered of it.
fn found<'a>(row: &'a DestinationRow, source: &'a str) -> Found<'a> {
    let flows = usize::try_from(row.flows).unwrap_or(usize::MAX);
    let by = row.named.map(|by| Naming { packet: packet(source, by), dns: None });
    let located = row.location.as_deref().map(|location| {
        let least = least(&location.witnesses.finding);
        Located {
            address: location.server.to_string(),
            flows,
            verdict: location.witnesses.finding.verdict().as_str(),
            words: location.words().into(),
            witnesses: Place::from(location),
            handshakes: least.map(|least| least.handshakes),
            rtt_ns: least.map(|least| super::events::nanos(least.rtt)),
            asked: None,
            answered: least.map(|least| packet(source, least.by)),
        }
    });
    Found {
        row: Destination::from(row),
        listed: Vec::new(),
        sum: Total::from(&row.total),
        sum_flows: row.flows,
        sum_frames: 0,
        sum_location_bytes: verdicts(row.verdicts),
        is_the_row: true,
        left_out: row.flows,
        named: vec![Named {
            name: row.named.and(row.location.as_deref()).and_then(|location| location.name.as_deref()),
            origin: row.origin.as_str(),
            flows,
            by: by.into_iter().collect(),
            others: Vec::new(),
        }],
        located: located.into_iter().collect(),
        counted: Vec::<Counted<'a>>::new(),
        frames: Vec::new(),
    }
}

fn least(finding: &Finding) -> Option<Least> {
    match finding {
        Finding::Consistent(measured) | Finding::Refuted(measured) => Some(measured.least),
        _ => None,
    }
}

fn packet(file: &str, (packet, time): (u64, Timestamp)) -> Packet<'_> {
    Packet { file, packet, time: rfc3339(time.as_nanos(), 9) }
}
