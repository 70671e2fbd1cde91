//! Contacts: their metrics, the page `/api/v1/contacts`, their part of the summary, and the lines that `read` prints of new ones.

use std::fmt::Write as _;

use prometheus::proto::MetricType::{COUNTER, GAUGE};
use serde::Serialize;

use super::prometheus::{Family, Samples};
use super::query::{Problem, Query};
use super::viewing::Shown;
use super::{ATTRIBUTION, Scrape, json, printable, rfc3339};
use crate::engine::snapshot::{CONTACT_KINDS, ContactRow, Memory, Snapshot};

/// Lines that `read` prints; the rest is in `--json`.
const SHOWN: usize = 10;

#[rustfmt::skip] // a table: one metric, one row of three lines
pub(super) const FAMILIES: &[Family] = &[
    Family { name: "first_contacts_total", kind: COUNTER, labels: &["device", "kind"], samples: first_contacts,
        help: "Countries, autonomous systems and registrable domains that the device, once learnt, met for the first time." },
    Family { name: "state_saved_timestamp_seconds", kind: GAUGE, labels: &[],
        samples: |from, to| if let Some(row) = from.state { to.add([], row.written) },
        help: "When the state was last written to the disk; 0 before the first time." },
    Family { name: "state_write_errors_total", kind: COUNTER, labels: &[],
        samples: |from, to| if let Some(row) = from.state { to.add([], row.errors) },
        help: "Attempts to write the state to the disk that failed." },
];

fn first_contacts(from: &Scrape, to: &mut Samples) {
    for row in &from.snapshot.devices {
        for (kind, count) in CONTACT_KINDS.iter().zip(row.first_contacts) {
            to.add([&row.id, kind], count);
        }
    }
}

/// The page `/api/v1/contacts`; `?device=` asks for one device.
pub(super) fn page(shown: &Shown, query: &Query) -> Result<String, Problem> {
    #[derive(Serialize)]
    struct Page<'a> {
        sensor: &'a str,
        attribution: &'static str,
        contacts: Vec<Contact<'a>>,
    }
    let mut contacts = rows(&shown.scrape.snapshot);
    contacts.retain(|row| query.text("device").is_none_or(|device| device == row.device));
    json::text(&Page { sensor: &shown.scrape.sensor, attribution: ATTRIBUTION, contacts }).map_err(Problem::failed)
}

/// One contact, as the API and the summary show it.
#[derive(Serialize)]
pub(super) struct Contact<'a> {
    device: &'a str,
    kind: &'static str,
    value: String,
    first_seen: String,
    last_seen: String,
    flows: u64,
    told: bool,
}

/// All contacts, by device and kind.
pub(super) fn rows(snapshot: &Snapshot) -> Vec<Contact<'_>> {
    snapshot.contacts.iter().flat_map(|memory| memory.contacts.iter().map(|row| Contact::of(memory, row))).collect()
}

impl<'a> Contact<'a> {
    fn of(memory: &'a Memory, row: &ContactRow) -> Self {
        Self {
            device: &memory.device,
            kind: row.contact.kind(),
            value: row.contact.value().to_string(),
            first_seen: rfc3339(row.first.as_nanos(), 9),
            last_seen: rfc3339(row.last.as_nanos(), 9),
            flows: row.flows,
            told: row.told,
        }
    }
}

/// First contacts that were told in this run, the latest ones; nothing when there were none.
#[must_use]
pub fn lines(snapshot: &Snapshot) -> String {
    let count: u64 = snapshot.devices.iter().flat_map(|row| row.first_contacts).fold(0, u64::saturating_add);
    if count == 0 {
        return String::new();
    }
    let mut told: Vec<(&Memory, &ContactRow)> = snapshot
        .contacts
        .iter()
        .flat_map(|memory| memory.contacts.iter().map(move |row| (memory, row)))
        .filter(|(_, row)| row.told)
        .collect();
    told.sort_by_key(|(_, row)| std::cmp::Reverse(row.first));
    let shown = usize::try_from(count).unwrap_or(usize::MAX).min(SHOWN);
    let mut out = format!("\nFirst contacts after learning: {count}");
    out.push_str(if count > SHOWN as u64 { ", the latest (all with --json):\n" } else { ":\n" });
    for (memory, row) in told.into_iter().take(shown) {
        let device = snapshot.devices.iter().find(|device| device.id == memory.device);
        let name = device.and_then(|device| device.hostname.as_deref()).map(|name| format!("{} ", printable(name))).unwrap_or_default();
        let (kind, value) = (row.contact.kind(), row.contact.value());
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {}  {name}{}: {kind} {}", rfc3339(row.first.as_nanos(), 0), printable(&memory.device), printable(&value));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::DEVICE;
    use crate::export::fixture::{self, HOSTILE};

    #[test]
    fn a_page_holds_the_contacts_of_all_or_of_the_device_asked_for() {
        let contacts = |query: &str| {
            let query = Query::read(DEVICE, query).unwrap();
            let value: serde_json::Value = serde_json::from_str(&page(&Shown::of(fixture::scrape()), &query).unwrap()).unwrap();
            value["contacts"].as_array().unwrap().clone()
        };
        let all = contacts("");
        assert_eq!(all.len(), 4);
        assert_eq!((&all[0]["kind"], &all[0]["value"], &all[0]["told"]), (&"country".into(), &"SG".into(), &true.into()));
        assert_eq!((&all[1]["value"], &all[1]["flows"]), (&"AS64496".into(), &2.into()));
        assert_eq!(all[3]["value"], HOSTILE);
        assert_eq!(contacts("device=02%3a00:00:00:00%3A0A"), contacts("device=none"), "labels are as they are written");
        assert_eq!(contacts("device=02%3a00:00:00:00%3A0a"), all);
    }

    #[test]
    fn the_lines_show_what_was_told_in_this_run_and_nothing_when_nothing_was() {
        let mut snapshot = fixture::scrape().snapshot;
        snapshot.devices.truncate(1);
        snapshot.devices[0].first_contacts = [1, 0, 0];
        assert_eq!(lines(&snapshot), "\nFirst contacts after learning: 1:\n  2021-09-21T04:53:21Z  02:00:00:00:00:0a: country SG\n");
        snapshot.devices[0].first_contacts = [0; 3];
        assert_eq!(lines(&snapshot), "");
    }

    #[test]
    fn each_device_has_a_series_for_each_kind_from_its_start() {
        let mut scrape = fixture::scrape();
        scrape.snapshot.devices[0].first_contacts = [0, 4, 0];
        let text = crate::export::prometheus::render(&scrape, false).unwrap();
        for (kind, count) in CONTACT_KINDS.into_iter().zip([0, 4, 0]) {
            let line = format!("whither_first_contacts_total{{device=\"02:00:00:00:00:0a\",kind=\"{kind}\"}} {count}\n");
            assert!(text.contains(&line), "{line} is not in:\n{text}");
        }
        assert!(text.contains("\nwhither_state_write_errors_total 1\n"));
        assert!(text.contains("\nwhither_state_saved_timestamp_seconds 1632200060\n"));
        let without = crate::export::prometheus::render(&Scrape { state: None, ..fixture::scrape() }, false).unwrap();
        assert!(!without.contains("whither_state_"), "no state is kept");
    }
}
