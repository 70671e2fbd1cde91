//! Who a device is, as it is told: facts with their sources, and which earlier device it may be.

use serde::Serialize;

use super::line::{Line, key};
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
    line.open(key!("kind"));
    line.value(fact.kind.as_str());
    line.text(key!("value"), &fact.value);
    line.text(key!("source"), fact.source.as_str());
    line.number(key!("packet"), fact.packet);
    line.time(key!("first"), fact.first.as_nanos());
    line.time(key!("last"), fact.last.as_nanos());
    line.close();
}

/// The fields of a `same-device` event.
pub(super) fn same_device(same: &SameAs, line: &mut Line<'_>) {
    line.text(key!("whither.same_as"), &same.device);
    line.number(key!("whither.agreeing"), same.evidence.len() as u64);
    line.flag(key!("whither.unique"), same.unique);
    line.flag(key!("whither.together"), same.together);
    line.list(key!("whither.evidence"), &same.evidence, fact);
    line.text(key!("event.reason"), &same.words());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::event::{Detail, Event, Mac};
    use crate::engine::snapshot::Kind;
    use crate::export::events::write_line;
    use crate::export::fixture::{self, HOSTILE, at};
    use crate::export::json::summary_json;

    #[test]
    fn a_proposal_says_what_it_rests_on() {
        let mut snapshot = fixture::scrape().snapshot;
        assert_eq!(lines(&snapshot), "");
        snapshot.devices[0].hostname = Some("Pixel-8".into());
        snapshot.devices[0].same_as =
            vec![fixture::same_as("06:00:00:00:00:01", "Pixel-8", fixture::fact(Kind::VendorClass, "android-dhcp-14"))];
        assert_eq!(
            lines(&snapshot),
            "\nPerhaps the same device with another MAC (a proposal; nothing is merged):\n  Pixel-8 02:00:00:00:00:0a and \
             06:00:00:00:00:01: host name, parameter list and vendor class agree; nothing unique is among it: two devices of one model \
             can agree in all of this; the other was last heard 59 s before this one came\n"
        );
        let told: serde_json::Value = serde_json::from_str(&summary_json(&snapshot)).unwrap();
        let same = &told["devices"][0]["same_as"][0];
        assert_eq!((&same["device"], &same["agreeing"], &same["unique"]), (&"06:00:00:00:00:01".into(), &3.into(), &false.into()));
        assert_eq!(same["evidence"][2]["value"], "android-dhcp-14");
    }

    #[test]
    fn hostile_names_harm_no_line_and_no_event() {
        let mut snapshot = fixture::scrape().snapshot;
        let same = fixture::same_as(HOSTILE, HOSTILE, fixture::fact(Kind::VendorClass, HOSTILE));
        (snapshot.devices[1].hostname, snapshot.devices[1].same_as) = (Some(HOSTILE.into()), vec![same.clone()]);
        let text = lines(&snapshot);
        assert!(text.lines().count() == 3 && !text.contains(|c: char| c == '\u{202e}' || c.is_control() && c != '\n'), "{text:?}");
        let detail = Detail::SameDevice(Box::new(same));
        let event = Event { time: at(700), packet: 9, device: HOSTILE.into(), mac: Some(Mac([2, 0, 0, 0, 0, 1])), ends: None, detail };
        let mut out = Vec::new();
        write_line(&event, "lab", &mut out);
        let line = String::from_utf8(out).unwrap();
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((line.lines().count(), value["whither.same_as"].as_str()), (1, Some(HOSTILE)));
        assert_eq!((&value["event.action"], &value["whither.agreeing"]), (&"same-device".into(), &3.into()));
    }
}
