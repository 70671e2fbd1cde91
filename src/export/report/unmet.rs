//! What a device did not meet, of all that is worth a word: config pulls, what the other devices of the same captures met, and what the
//! person asked about.
//!
//! Road taken: the comparison sets the questions, since a laboratory puts its phones side by side for just that. Road not taken:
//! every country and category there is, which would hide the three that matter among two hundred.

use std::net::IpAddr;
use std::sync::Arc;

use super::absence::{By, absence};
use super::gather::{Gather, Row};
use super::model::{Absence, Answer, Device};
use super::words::{clean, grouped, moment, size};
use crate::engine::geo::Country;
use crate::engine::snapshot::{DestinationRow, DeviceRow, Place, Snapshot};
use crate::export::table;

/// Categories of a config pull: their absence is told by itself.
const PULLED: [&str; 2] = ["config", "region_routing"];

/// Countries told of one device: a thousand forged devices could meet all there are.
const MOST_COUNTRIES: usize = 40;

/// What a device met.
#[derive(Debug)]
pub(super) struct Met {
    device: Arc<str>,
    title: String,
    /// Countries that the databases give its servers, but for those that are in many places or that a handshake refutes; sorted.
    countries: Vec<Country>,
    /// Categories of its destinations, but for ambiguous ones; sorted.
    categories: Vec<&'static str>,
}

impl Met {
    /// What the snapshot says of one device.
    pub(super) fn of(row: &DeviceRow, snapshot: &Snapshot) -> Self {
        let destinations = || snapshot.destinations.iter().filter(|other| other.device == row.id);
        let country = |place: Place| if let Place::Country(country) = place { Some(country) } else { None };
        let there =
            |row: &&DestinationRow| !row.anycast && matches!(row.verdicts, [unmeasured, consistent, _] if unmeasured > 0 || consistent > 0);
        let mut countries: Vec<Country> = destinations().filter(there).filter_map(|row| country(row.place)).collect();
        let services = destinations().flat_map(|row| &row.services).filter(|service| !service.ambiguous);
        let mut categories: Vec<&'static str> = services.map(|service| service.category).collect();
        countries.sort_unstable();
        countries.dedup();
        categories.sort_unstable();
        categories.dedup();
        Self { device: row.id.clone(), title: clean(&table::label(row)), countries, categories }
    }
}

/// What was not observed of a device, pulls first, then categories, countries and what was asked about.
pub(super) fn not_observed(row: &DeviceRow, device: &Device, all: &[Met], gather: &Gather, asked: &[String]) -> Vec<Absence> {
    let coverage = &device.coverage;
    let mut told = Vec::new();
    if device.pull_count == 0 {
        let what = "a config pull: a flow to a host that a list files under config or region_routing, and nothing else".to_owned();
        let others = who(all, |met| met.device != row.id && met.categories.iter().any(|category| PULLED.contains(category)));
        told.push(absence(what, others.unwrap_or_else(|| "always told".to_owned()), By::Name, true, coverage, device));
    }
    let Some(own) = all.iter().find(|met| met.device == row.id) else { return told };
    let mut categories: Vec<&'static str> = all.iter().flat_map(|met| met.categories.iter().copied()).collect();
    categories.sort_unstable();
    categories.dedup();
    for category in categories.into_iter().filter(|category| !own.categories.contains(category) && !PULLED.contains(category)) {
        let others = who(all, |met| met.categories.contains(&category)).unwrap_or_default();
        told.push(absence(format!("a host of the category {category}"), others, By::Name, false, coverage, device));
    }
    let mut countries: Vec<Country> = all.iter().flat_map(|met| met.countries.iter().copied()).collect();
    countries.sort_unstable();
    countries.dedup();
    // Its own anycast servers are in its table under their country, so nothing is said of that one.
    let in_table = |country: &Country| device.countries.iter().any(|place| place.code == country.as_str());
    for country in countries.into_iter().filter(|country| !in_table(country)).take(MOST_COUNTRIES) {
        let others = who(all, |met| met.countries.contains(&country)).unwrap_or_default();
        told.push(absence(format!("a server in {} ({})", country.name(), country.as_str()), others, By::Address, false, coverage, device));
    }
    for asked in asked.iter().filter(|asked| answer(asked, row, gather).is_none()) {
        let by = if name_of(asked).is_some() { By::Name } else { By::Address };
        told.push(absence(clean(asked), "asked about".to_owned(), by, false, coverage, device));
    }
    told
}

/// What was asked about and observed.
pub(super) fn answers(row: &DeviceRow, gather: &Gather, asked: &[String]) -> Vec<Answer> {
    asked.iter().filter_map(|asked| Some(Answer { what: clean(asked), observed: answer(asked, row, gather)? })).collect()
}

/// The flows that something asked about was met by, in words; none where there are none.
fn answer(asked: &str, row: &DeviceRow, gather: &Gather) -> Option<String> {
    let of = |other: &&Row| other.key.device == row.id && fits(asked, other);
    let (mut flows, mut up, mut down) = (0_u64, 0_u64, 0_u64);
    let first = gather.rows.iter().filter(of).map(|row| row.first).min()?;
    let last = gather.rows.iter().filter(of).map(|row| row.last).max()?;
    for row in gather.rows.iter().filter(of) {
        flows = flows.saturating_add(row.flows);
        up = up.saturating_add(row.up);
        down = down.saturating_add(row.down);
    }
    let time = |time: crate::engine::event::Timestamp| moment(&crate::export::rfc3339(time.as_nanos(), 0));
    Some(format!(
        "{} {}, {} up, {} down, from {} to {} UTC",
        grouped(flows),
        if flows == 1 { "flow" } else { "flows" },
        size(up),
        size(down),
        time(first),
        time(last)
    ))
}

fn fits(asked: &str, row: &Row) -> bool {
    if let Some(name) = name_of(asked) {
        let below = |full: &str| full.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        return row.key.name.as_deref().is_some_and(below);
    }
    match asn(asked) {
        Some(asn) => row.key.asn == Some(asn),
        None => row.key.country.is_some() && row.key.country == Country::from_code(asked),
    }
}

/// Whether words can be asked about: the code of a country that there is, an AS, or a host's name. What is none of them would always
/// be "not observed".
#[must_use]
pub fn can_be_asked(words: &str) -> bool {
    if let Some(country) = Country::from_code(words) {
        return country.name() != country.as_str();
    }
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let name = words.trim_end_matches('.');
    asn(words).is_some() || name.contains('.') && name.split('.').all(is_label) && name.parse::<IpAddr>().is_err()
}

/// Lower case; none for what is an AS or a country's code.
fn name_of(asked: &str) -> Option<String> {
    (asn(asked).is_none() && Country::from_code(asked).is_none()).then(|| asked.trim_end_matches('.').to_ascii_lowercase())
}

fn asn(asked: &str) -> Option<u32> {
    asked.get(..2).filter(|start| start.eq_ignore_ascii_case("as")).and(asked.get(2..)).and_then(|number| number.parse().ok())
}

/// Which devices met something, as the reason to speak of it.
fn who(all: &[Met], met: impl Fn(&Met) -> bool) -> Option<String> {
    let others: Vec<&str> = all.iter().filter(|other| met(other)).map(|other| other.title.as_str()).collect();
    match others.as_slice() {
        [] => None,
        [first, second, third, more @ ..] if !more.is_empty() => {
            Some(format!("met by {first}, {second}, {third} and {} more in these captures", more.len()))
        }
        some => Some(format!("met by {} in these captures", some.join(", "))),
    }
}
