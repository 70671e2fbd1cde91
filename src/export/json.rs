//! The snapshot as JSON: the API that the page reads, and the summary of `read --json`.
//!
//! Road taken: structs of borrowed fields beside the rows, so that the engine's types can change without the API changing.
//! Road not taken: `Serialize` on the rows themselves.

mod witness;

pub(super) use witness::Place;

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use super::identity::{FactPart, SameAsPart};
use super::query::{Problem, Query};
use super::viewing::Shown;
use super::{ATTRIBUTION, VERSION, contacts, day, rfc3339, routine};
use crate::engine::snapshot::{Both, CountryRow, DatabaseRow, DestinationRow, DeviceRow, PROTOCOLS, Snapshot, VERDICTS, Verdict};

/// The page `/api/v1/devices`.
pub(super) fn devices(shown: &Shown, _: &Query) -> Result<String, Problem> {
    let scrape = &shown.scrape;
    #[derive(Serialize)]
    struct Page<'a> {
        sensor: &'a str,
        last_packet: Option<String>,
        attribution: &'static str,
        devices: Vec<Device<'a>>,
        countries: Vec<Country<'a>>,
    }
    text(&Page {
        sensor: &scrape.sensor,
        last_packet: last_packet(&scrape.snapshot),
        attribution: ATTRIBUTION,
        devices: scrape.snapshot.devices.iter().map(Device::from).collect(),
        countries: scrape.snapshot.countries.iter().map(Country::from).collect(),
    })
    .map_err(Problem::failed)
}

/// The page `/api/v1/destinations`.
pub(super) fn destinations(shown: &Shown, query: &Query) -> Result<String, Problem> {
    let scrape = &shown.scrape;
    let rows = match query.text("device") {
        Some(device) => scrape.snapshot.destinations_of(device),
        None => &scrape.snapshot.destinations,
    };
    let some = rows.iter().skip(query.count("offset").unwrap_or_default()).take(query.count("limit").unwrap_or(usize::MAX));
    #[derive(Serialize)]
    struct Page<'a> {
        sensor: &'a str,
        last_packet: Option<String>,
        attribution: &'static str,
        total: usize,
        destinations: Vec<Destination<'a>>,
    }
    text(&Page {
        sensor: &scrape.sensor,
        last_packet: last_packet(&scrape.snapshot),
        attribution: ATTRIBUTION,
        total: rows.len(),
        destinations: some.map(Destination::from).collect(),
    })
    .map_err(Problem::failed)
}

/// All rows of a snapshot as one object, for `read --json`. The same snapshot gives the same bytes.
#[must_use]
pub fn summary_json(snapshot: &Snapshot) -> String {
    #[derive(Serialize)]
    struct Summary<'a> {
        whither: &'static str,
        packets: u64,
        last_packet: Option<String>,
        skipped: Counts,
        input_errors: Counts,
        databases: Vec<Database<'a>>,
        attribution: &'static str,
        devices: Vec<Device<'a>>,
        countries: Vec<Country<'a>>,
        destinations: Vec<Destination<'a>>,
        contacts: Vec<contacts::Contact<'a>>,
        #[serde(flatten)]
        routine: routine::All<'a>,
    }
    text(&Summary {
        whither: VERSION,
        packets: snapshot.packets,
        last_packet: last_packet(snapshot),
        skipped: Counts(snapshot.skipped.clone()),
        input_errors: Counts(snapshot.input_errors.clone()),
        databases: snapshot.databases.iter().map(Database::from).collect(),
        attribution: ATTRIBUTION,
        devices: snapshot.devices.iter().map(Device::from).collect(),
        countries: snapshot.countries.iter().map(Country::from).collect(),
        destinations: snapshot.destinations.iter().map(Destination::from).collect(),
        contacts: contacts::rows(snapshot),
        routine: routine::All::from(snapshot),
    })
    // Plain structs of text and numbers always serialise.
    .unwrap_or_default()
}

pub(super) fn text(value: &impl Serialize) -> Result<String, String> {
    let mut text = serde_json::to_string(value).map_err(|error| error.to_string())?;
    text.push('\n');
    Ok(text)
}

pub(super) fn last_packet(snapshot: &Snapshot) -> Option<String> {
    snapshot.last_packet.map(|time| rfc3339(time.as_nanos(), 9))
}

#[derive(Serialize)]
pub(super) struct Device<'a> {
    device: &'a str,
    alias: Option<&'a str>,
    notes: Option<&'a str>,
    expected_countries: Vec<&'a str>,
    mac: Option<String>,
    macs: Vec<String>,
    randomized_mac: bool,
    vendor: Option<&'a str>,
    hostname: Option<&'a str>,
    addresses: Vec<String>,
    router: bool,
    identity: Vec<FactPart<'a>>,
    identity_forgotten: u64,
    same_as: Vec<SameAsPart<'a>>,
    first_seen: String,
    last_seen: String,
    #[serde(flatten)]
    total: Total,
    pending_bytes: u64,
    service_bytes: Counts,
    flows: Counts,
}

impl<'a> From<&'a DeviceRow> for Device<'a> {
    fn from(row: &'a DeviceRow) -> Self {
        Self {
            device: &row.id,
            alias: row.alias.as_deref(),
            notes: row.notes.as_deref(),
            expected_countries: row.expected.iter().map(|country| country.as_str()).collect(),
            mac: row.mac.map(|mac| mac.to_string()),
            macs: row.macs.iter().map(ToString::to_string).collect(),
            randomized_mac: row.randomized,
            vendor: row.vendor.as_deref(),
            hostname: row.hostname.as_deref(),
            addresses: row.addresses.iter().map(ToString::to_string).collect(),
            router: row.router,
            identity: row.identity.iter().map(FactPart::from).collect(),
            identity_forgotten: row.identity_forgotten,
            same_as: row.same_as.iter().map(SameAsPart::from).collect(),
            first_seen: rfc3339(row.first.as_nanos(), 9),
            last_seen: rfc3339(row.last.as_nanos(), 9),
            total: Total::from(&row.total),
            pending_bytes: row.pending.transmit.bytes.saturating_add(row.pending.receive.bytes),
            service_bytes: Counts(row.services.clone()),
            flows: Counts(PROTOCOLS.into_iter().zip(row.flows).collect()),
        }
    }
}

#[derive(Serialize)]
struct Country<'a> {
    device: &'a str,
    country: &'a str,
    #[serde(flatten)]
    total: Total,
}

impl<'a> From<&'a CountryRow> for Country<'a> {
    fn from(row: &'a CountryRow) -> Self {
        Self { device: &row.device, country: row.place.as_str(), total: Total::from(&row.total) }
    }
}

#[derive(Serialize)]
pub(super) struct Destination<'a> {
    device: &'a str,
    destination: &'a str,
    origin: &'a str,
    country: &'a str,
    asn: Option<u32>,
    organization: Option<&'a str>,
    location_bytes: Counts,
    location: Option<Place<'a>>,
    anycast: bool,
    services: Vec<witness::Service<'a>>,
    noise: Option<&'static str>,
    noise_bytes: u64,
    flows: u64,
    first_seen: String,
    last_seen: String,
    #[serde(flatten)]
    total: Total,
}

impl<'a> From<&'a DestinationRow> for Destination<'a> {
    fn from(row: &'a DestinationRow) -> Self {
        Self {
            device: &row.device,
            destination: &row.destination,
            origin: row.origin.as_str(),
            country: row.place.as_str(),
            asn: row.asn,
            organization: row.organisation.as_deref(),
            location_bytes: Counts(VERDICTS.map(Verdict::as_str).into_iter().zip(row.verdicts).collect()),
            location: row.location.as_deref().map(Place::from),
            anycast: row.anycast,
            services: row.services.iter().map(witness::Service::from).collect(),
            noise: witness::noise(row),
            noise_bytes: witness::noise_bytes(row),
            flows: row.flows,
            first_seen: rfc3339(row.first.as_nanos(), 9),
            last_seen: rfc3339(row.last.as_nanos(), 9),
            total: Total::from(&row.total),
        }
    }
}

/// Both directions, in the words of the metrics.
#[derive(Serialize)]
pub(super) struct Total {
    transmit_bytes: u64,
    receive_bytes: u64,
    transmit_packets: u64,
    receive_packets: u64,
}

impl From<&Both> for Total {
    fn from(both: &Both) -> Self {
        Self {
            transmit_bytes: both.transmit.bytes,
            receive_bytes: both.receive.bytes,
            transmit_packets: both.transmit.packets,
            receive_packets: both.receive.packets,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Database<'a> {
    database: &'a str,
    built: String,
}

impl<'a> From<&'a DatabaseRow> for Database<'a> {
    fn from(row: &'a DatabaseRow) -> Self {
        Self { database: &row.database, built: day(row.built) }
    }
}

/// Named counts, as an object in the order given.
pub(super) struct Counts(pub(super) Vec<(&'static str, u64)>);

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, count) in &self.0 {
            map.serialize_entry(name, count)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fixture::{self, HOSTILE};

    fn parsed(text: &str) -> serde_json::Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn devices_and_destinations_are_told_in_the_words_of_the_metrics() {
        let page = parsed(&devices(&Shown::of(fixture::scrape()), &Query::default()).unwrap());
        let phone = &page["devices"][0];
        assert_eq!(phone["device"], "02:00:00:00:00:0a");
        assert_eq!(phone["addresses"][1], "2001:db8::10");
        assert_eq!((&phone["receive_bytes"], &phone["pending_bytes"]), (&1_200_500.into(), &300.into()));
        assert_eq!((&phone["flows"]["tls"], &phone["flows"]["doq"]), (&3.into(), &0.into()));
        assert_eq!(page["countries"][0]["country"], "SG");
        let page = parsed(&destinations(&Shown::of(fixture::scrape()), &Query::default()).unwrap());
        let row = &page["destinations"][1];
        assert_eq!((&row["destination"], &row["origin"], &row["asn"]), (&"example.org".into(), &"sni".into(), &64_496.into()));
        assert_eq!(row["first_seen"], "2021-09-21T04:53:21.000000000Z");
        assert_eq!(page["attribution"], ATTRIBUTION);
    }

    #[test]
    fn the_summary_holds_every_row_and_hostile_names_unharmed() {
        let summary = summary_json(&fixture::scrape().snapshot);
        assert_eq!(summary.lines().count(), 1);
        assert_eq!(summary, summary_json(&fixture::scrape().snapshot));
        let value = parsed(&summary);
        assert_eq!(value["destinations"][3]["destination"], HOSTILE);
        assert_eq!((&value["packets"], &value["skipped"]["malformed"]), (&12_345.into(), &7.into()));
        assert_eq!(value["databases"][0]["built"], "2026-06-01");
    }
}
