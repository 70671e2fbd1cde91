//! Who and what a person means by the words DEVICE and DESTINATION.
//!
//! Road taken: what stands in the table goes first, since that is what people copy; then what is plainly of one form (an address, an
//! AS, a country); a full name last. Two devices that fit are told, not chosen between. Road not taken: prefixes and patterns, which
//! would mean something else in the next capture.

use std::net::IpAddr;
use std::sync::Arc;

use crate::engine::event::{Charge, Ends};
use crate::engine::snapshot::{DestinationRow, DeviceRow, Origin, Place, Snapshot};
use crate::export::table;

/// How many are told where nothing was found.
const NEAREST: usize = 3;

/// A row of the table, within one device: destination, what named it, where, AS.
pub(super) type Key = (Arc<str>, Origin, Place, Option<u32>);

/// What is meant by DESTINATION.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meant {
    /// The rows of the table that it may be in.
    pub(super) rows: Vec<Key>,
    /// What of them.
    pub(super) part: Part,
}

/// All of some rows, or less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All.
    All,
    /// Flows with one full name.
    Name(String),
    /// Flows with one address.
    Address(IpAddr),
}

impl Meant {
    /// Only the rows with this origin, country and AS, where they are given, in words of the API.
    pub(in crate::export) fn narrow(&mut self, origin: Option<&str>, country: Option<&str>, asn: Option<u64>) {
        self.rows.retain(|(_, of, place, number)| {
            origin.is_none_or(|origin| of.as_str() == origin)
                && country.is_none_or(|country| place.as_str() == country)
                && asn.is_none_or(|asn| number.map(u64::from) == Some(asn))
        });
    }

    /// Whether there is no row left.
    pub(in crate::export) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether a row of the table is one of those that it may be in.
    pub(in crate::export) fn is_row(&self, row: &DestinationRow) -> bool {
        self.rows.contains(&key(row))
    }

    /// Whether a charge is of it.
    pub(super) fn holds(&self, charge: &Charge, ends: Option<&Ends>) -> bool {
        let key = |row: &Key| *row.0 == *charge.destination && (row.1, row.2, row.3) == (charge.origin, charge.place, charge.asn);
        let part = match &self.part {
            Part::All => true,
            Part::Name(name) => charge.flow.as_ref().and_then(|flow| flow.name.as_deref()).is_some_and(|other| other == name),
            Part::Address(address) => {
                ends.is_some_and(|ends| [ends.client, ends.server].iter().any(|end| end.ip().to_canonical() == *address))
            }
        };
        part && self.rows.iter().any(key)
    }
}

/// The device that is meant: by its label, MAC, address or host name, whichever fits first.
///
/// # Errors
/// Words that name the nearest ones, or those between which nobody can choose.
pub fn device<'a>(asked: &str, snapshot: &'a Snapshot) -> Result<&'a DeviceRow, String> {
    let (mac, address) = (mac(asked), asked.parse::<IpAddr>().ok().map(|address| address.to_canonical()));
    let forms: [&dyn Fn(&DeviceRow) -> bool; 5] = [
        &|row| row.id.eq_ignore_ascii_case(asked),
        &|row| [title(row), table::label(row)].iter().any(|shown| shown.eq_ignore_ascii_case(asked)),
        &|row| row.macs.iter().chain(&row.mac).any(|known| Some(known.0) == mac),
        &|row| address.is_some_and(|address| row.addresses.contains(&address)),
        &|row| row.hostname.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(asked)),
    ];
    for fits in forms {
        let mut found = snapshot.devices.iter().filter(|row| fits(row));
        match (found.next(), found.next()) {
            (Some(one), None) => return Ok(one),
            (Some(_), Some(_)) => {
                let all: Vec<String> = snapshot.devices.iter().filter(|row| fits(row)).map(title).collect();
                return Err(format!("`{asked}` is more than one device: {}; name one by its label or MAC", all.join(", ")));
            }
            (None, _) => {}
        }
    }
    let known = snapshot.devices.iter().map(|row| {
        let names = [Some(row.id.to_string()), row.hostname.as_deref().map(str::to_owned)];
        let addresses = row.addresses.iter().map(ToString::to_string);
        let like = names.into_iter().flatten().chain(addresses).map(|name| likeness(&name, asked)).fold(0.0, f64::max);
        (like, title(row))
    });
    Err(format!("no device `{asked}` in these captures; {}", nearest(known)))
}

/// What is meant by DESTINATION, among the rows of one device. An address is itself; then what stands in the table's DESTINATION
/// column; then `AS<n>` and a country's code or name, each with all its rows; else a full name under one of the rows.
///
/// # Errors
/// Words that name the nearest ones.
pub fn destination(asked: &str, device: &DeviceRow, snapshot: &Snapshot) -> Result<Meant, String> {
    let rows = || snapshot.destinations.iter().filter(|row| row.device == device.id);
    let all = |fits: &dyn Fn(&DestinationRow) -> bool| -> Vec<Key> { rows().filter(|row| fits(row)).map(key).collect() };
    if let Ok(address) = asked.parse::<IpAddr>() {
        return Ok(Meant { rows: all(&|_| true), part: Part::Address(address.to_canonical()) });
    }
    let asked = asked.trim_end_matches('.');
    // The column may say more: what it is for, and which network.
    let bare = asked.split_once(" [").map_or(asked, |(bare, _)| bare);
    let (column, network) = bare.split_once(" (").map_or((bare, None), |(column, network)| (column, Some(network)));
    let network = network.and_then(|network| network.strip_prefix("AS")?.strip_suffix(')')?.parse::<u32>().ok());
    let number = asked.get(..2).filter(|start| start.eq_ignore_ascii_case("as")).and(asked.get(2..)).and_then(|n| n.parse::<u32>().ok());
    let forms: [&dyn Fn(&DestinationRow) -> bool; 3] = [
        &|row| row.destination.eq_ignore_ascii_case(column) && network.is_none_or(|asn| row.asn == Some(asn)),
        &|row| number.is_some() && row.asn == number,
        &|row| row.place.as_str().eq_ignore_ascii_case(asked) || country(row).eq_ignore_ascii_case(asked),
    ];
    for fits in forms {
        let rows = all(fits);
        if !rows.is_empty() {
            return Ok(Meant { rows, part: Part::All });
        }
    }
    let name = asked.to_ascii_lowercase();
    let rows_of_name = all(&|row| name.strip_suffix(&*row.destination).is_some_and(|rest| rest.ends_with('.')));
    if !rows_of_name.is_empty() {
        return Ok(Meant { rows: rows_of_name, part: Part::Name(name) });
    }
    let known = rows().map(|row| (likeness(&row.destination, asked).max(likeness(country(row), asked)), row.destination.to_string()));
    Err(format!("{} sent nothing to `{asked}` in these captures; {}", title(device), nearest(known)))
}

/// The row's key.
pub(super) fn key(row: &DestinationRow) -> Key {
    (Arc::clone(&row.destination), row.origin, row.place, row.asn)
}

/// A device as people know it: what it is called, and its label where that says more.
pub(super) fn title(device: &DeviceRow) -> String {
    match device.hostname.as_deref().or(device.vendor.as_deref()) {
        Some(name) if device.alias.is_none() && *name != *device.id => format!("{name} {}", device.id),
        _ => device.id.to_string(),
    }
}

/// A country's name, else what the place is called.
pub(super) fn country(row: &DestinationRow) -> &str {
    match &row.place {
        Place::Country(country) => country.name(),
        place @ (Place::Local | Place::Multicast | Place::Unknown) => place.as_str(),
    }
}

/// Words that name the nearest of some, given how near each is.
pub(super) fn nearest(known: impl Iterator<Item = (f64, String)>) -> String {
    let mut known: Vec<(f64, String)> = known.collect();
    known.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    known.dedup_by(|a, b| a.1 == b.1);
    let names: Vec<&str> = known.iter().take(NEAREST).map(|(_, name)| name.as_str()).collect();
    if names.is_empty() { "there are none".to_owned() } else { format!("the nearest are {}", names.join(", ")) }
}

/// How like two names are, from 0 to 1.
pub(super) fn likeness(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(&a.to_lowercase(), &b.to_lowercase())
}

/// A MAC in any usual notation: twelve hexadecimal digits, between them nothing, or colons, hyphens or dots.
/// A MAC in any of its spellings.
#[must_use]
pub fn mac(text: &str) -> Option<[u8; 6]> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
    let plain = digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u64::from_str_radix(&digits, 16).ok().filter(|_| plain)?;
    let [_, _, mac @ ..] = number.to_be_bytes();
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fixture;

    #[test]
    fn a_mac_is_known_in_every_usual_notation_and_nothing_else_is_one() {
        for text in ["02:5a:00:ff:10:9c", "02-5A-00-FF-10-9C", "025a.00ff.109c", "025a00ff109c"] {
            assert_eq!(mac(text), Some([0x02, 0x5a, 0, 0xff, 0x10, 0x9c]), "{text}");
        }
        for text in ["", "02:5a:00:ff:10", "02:5a:00:ff:10:9c:01", "+25a00ff109c", "phone.local.x", "02:5a:00:ff:10:9g"] {
            assert_eq!(mac(text), None, "{text}");
        }
    }

    #[test]
    fn two_devices_that_fit_are_told_and_not_chosen_between() {
        let mut snapshot = fixture::scrape().snapshot;
        let phone = snapshot.devices.first().unwrap().clone();
        let host = |row: &DeviceRow| DeviceRow { hostname: Some("phone".into()), ..row.clone() };
        snapshot.devices = vec![host(&phone), DeviceRow { id: "02:00:00:00:00:0b".into(), addresses: Vec::new(), ..host(&phone) }];
        let error = device("PHONE", &snapshot).unwrap_err();
        assert!(error.contains("more than one device") && error.contains(&*phone.id) && error.contains("02:00:00:00:00:0b"), "{error}");
        assert_eq!(device("2001:DB8::10", &snapshot).unwrap().id, phone.id, "one of them has the address");
        snapshot.devices.clear();
        assert_eq!(device("x", &snapshot).unwrap_err(), "no device `x` in these captures; there are none");
    }

    #[test]
    fn what_stands_in_the_table_goes_before_what_has_its_form() {
        let snapshot = fixture::scrape().snapshot;
        let phone = snapshot.devices.first().unwrap();
        let meant = |asked: &str| destination(asked, phone, &snapshot).map(|meant| (meant.rows.len(), meant.part));
        let rows = snapshot.destinations.iter().filter(|row| row.device == phone.id).count();
        assert_eq!(meant("Example.ORG."), Ok((1, Part::All)));
        assert_eq!(meant("AS64496"), Ok((1, Part::All)), "the row of that label, not all rows in that AS");
        assert_eq!(meant("as64496"), meant("AS64496"));
        assert_eq!(meant("example.org [ads?, push]"), Ok((1, Part::All)), "as the column shows it");
        assert_eq!(meant("AS64496 (Example Net)"), Ok((1, Part::All)));
        assert!(meant("example.org (AS1)").is_err());
        assert_eq!(meant("sg"), meant("Singapore"));
        assert_eq!(meant("www.example.org"), Ok((1, Part::Name("www.example.org".to_owned()))));
        assert_eq!(meant("203.0.113.9"), Ok((rows, Part::Address("203.0.113.9".parse().unwrap()))));
        for nothing in ["notexample.org", "AS1", "ASx", "XX", "", "example"] {
            assert!(meant(nothing).unwrap_err().contains("nearest"), "{nothing}");
        }
    }
}
