//! Contacts: their metrics, the page `/api/v1/contacts`, their part of the summary, and the lines that `read` prints of new ones.

use std::fmt::Write as _;

use prometheus::proto::MetricType::{COUNTER, GAUGE};
use serde::Serialize;

use super::prometheus::{Family, Samples};
use super::{ATTRIBUTION, Scrape, printable, rfc3339};
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

/// The page `/api/v1/contacts`.
pub(super) fn page(scrape: Scrape) -> Result<String, String> {
    #[derive(Serialize)]
    struct Page<'a> {
        sensor: &'a str,
        attribution: &'static str,
        contacts: Vec<Contact<'a>>,
    }
    let page = Page { sensor: &scrape.sensor, attribution: ATTRIBUTION, contacts: rows(&scrape.snapshot) };
    let mut text = serde_json::to_string(&page).map_err(|error| error.to_string())?;
    text.push('\n');
    Ok(text)
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
