//! What a destination is for, and what the witnesses say of where its server is, as JSON.

use serde::Serialize;

use crate::engine::snapshot::{DestinationRow, Location, ServiceRow, Whose};
use crate::export::day;

/// What a destination is for.
#[derive(Serialize)]
pub(super) struct Service<'a> {
    category: &'a str,
    vendor: Option<&'a str>,
    ambiguous: bool,
    bytes: u64,
}

impl<'a> From<&'a ServiceRow> for Service<'a> {
    fn from(row: &'a ServiceRow) -> Self {
        Self { category: row.category, vendor: row.vendor.as_deref(), ambiguous: row.ambiguous, bytes: row.bytes }
    }
}

/// The kind of noise that a destination's bytes are, where all of them are of one kind.
pub(super) fn noise(row: &DestinationRow) -> Option<&'static str> {
    let all = row.total.transmit.bytes.saturating_add(row.total.receive.bytes);
    row.services.iter().find(|service| service.noise && service.bytes == all && all > 0).map(|service| service.category)
}

/// Bytes of a destination that are noise of any kind.
pub(super) fn noise_bytes(row: &DestinationRow) -> u64 {
    row.services.iter().filter(|service| service.noise).fold(0, |sum, service| sum.saturating_add(service.bytes))
}

/// What all witnesses say of where a server is.
#[derive(Serialize)]
pub(in crate::export) struct Place<'a> {
    server: String,
    name: Option<&'a str>,
    databases: Vec<Database<'a>>,
    databases_agree: Option<bool>,
    region: Option<Region<'a>>,
    verdict: &'static str,
    anycast: bool,
    words: String,
}

#[derive(Serialize)]
struct Database<'a> {
    database: &'a str,
    built: String,
    country: Option<&'a str>,
}

#[derive(Serialize)]
struct Region<'a> {
    token: &'static str,
    place: &'a str,
    kind: &'static str,
    alias: bool,
    agrees: Option<bool>,
}

impl<'a> From<&'a Location> for Place<'a> {
    fn from(location: &'a Location) -> Self {
        let witnesses = &location.witnesses;
        Self {
            server: location.server.to_string(),
            name: location.name.as_deref(),
            databases: location
                .opinions
                .iter()
                .map(|opinion| Database {
                    database: &opinion.database.database,
                    built: day(opinion.database.built),
                    country: opinion.country.as_ref().map(|country| country.as_str()),
                })
                .collect(),
            databases_agree: witnesses.agree,
            region: witnesses.claim.as_ref().map(|claim| Region {
                token: claim.region.token,
                place: claim.region.area.words(),
                kind: if claim.region.kind == Whose::Cloud { "cloud" } else { "vendor" },
                alias: claim.alias,
                agrees: witnesses.region_agrees(),
            }),
            verdict: witnesses.finding.verdict().as_str(),
            anycast: witnesses.anycast,
            words: location.words(),
        }
    }
}
