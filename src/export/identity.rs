//! Who a device is, as it is told: facts with their sources, and which earlier device it may be.

use serde::Serialize;

use super::events::Line;
use super::{printable, rfc3339};
use crate::engine::event::{Fact, SameAs};
use crate::engine::snapshot::Snapshot;

/// The proposals of `read`, one line each; nothing where there are none.
#[must_use]
pub fn lines(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for device in &snapshot.devices {
        for same in &device.same_as {
            if text.is_empty() {
                text.push_str("\nPerhaps the same device with another MAC (a proposal; nothing is merged):\n");
            }
            let name = device.hostname.as_deref().map(|name| format!("{} ", printable(name))).unwrap_or_default();
            text.push_str(&format!("  {name}{} and {}: {}\n", printable(&device.id), printable(&same.device), same.words()));
        }
    }
    text
}

/// A fact as an object of a `device` event.
pub(super) fn fact(fact: &Fact, line: &mut Line<'_>) {
    line.open();
    line.text("kind", fact.kind.as_str());
    line.text("value", &fact.value);
    line.text("source", fact.source.as_str());
    line.number("packet", fact.packet);
    line.text("first", &rfc3339(fact.first.as_nanos(), 9));
    line.text("last", &rfc3339(fact.last.as_nanos(), 9));
    line.close();
}

/// The fields of a `same-device` event.
pub(super) fn same_device(same: &SameAs, line: &mut Line<'_>) {
    line.text("whither.same_as", &same.device);
    line.number("whither.agreeing", same.evidence.len() as u64);
    line.flag("whither.unique", same.unique);
    line.flag("whither.together", same.together);
    line.list("whither.evidence", &same.evidence, fact);
    line.text("event.reason", &same.words());
}

/// A fact in the API.
#[derive(Serialize)]
pub(super) struct FactPart<'a> {
    kind: &'static str,
    value: &'a str,
    source: &'static str,
    packet: u64,
    first: String,
    last: String,
}

impl<'a> From<&'a Fact> for FactPart<'a> {
    fn from(fact: &'a Fact) -> Self {
        Self {
            kind: fact.kind.as_str(),
            value: &fact.value,
            source: fact.source.as_str(),
            packet: fact.packet,
            first: rfc3339(fact.first.as_nanos(), 9),
            last: rfc3339(fact.last.as_nanos(), 9),
        }
    }
}

/// A proposal in the API.
#[derive(Serialize)]
pub(super) struct SameAsPart<'a> {
    device: &'a str,
    agreeing: usize,
    unique: bool,
    together: bool,
    evidence: Vec<FactPart<'a>>,
    reason: String,
    packet: u64,
    told: String,
}

impl<'a> From<&'a SameAs> for SameAsPart<'a> {
    fn from(same: &'a SameAs) -> Self {
        Self {
            device: &same.device,
            agreeing: same.evidence.len(),
            unique: same.unique,
            together: same.together,
            evidence: same.evidence.iter().map(FactPart::from).collect(),
            reason: same.words(),
            packet: same.packet,
            told: rfc3339(same.told.as_nanos(), 9),
        }
    }
}
