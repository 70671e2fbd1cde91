//! What is known of one side: of a whole report, or of its devices in some phase.
//!
//! Road taken: a flow belongs to the phase in which it began, and its bytes are spread evenly over its time, as in the timeline. Road not
//! taken: an engine for each phase, which would not know a name that was said before the phase began.

use std::sync::Arc;
use std::time::Duration;

use super::super::gather::{Gather, Timed};
use super::super::model::{Device, Report, Response};
use super::super::said::phases;
use super::super::words::{clean, span};
use super::{LEVELS, Side};
use crate::engine::event::{Phase, Timestamp};
use crate::engine::geo::Country;
use crate::engine::snapshot::{Origin, Snapshot};

/// What was met at some level, its flows and bytes.
pub(super) type Met = (String, u64, u64);

/// A time that a device spent in a phase: its label, from, to before.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Spell {
    device: Arc<str>,
    from: Timestamp,
    to: Timestamp,
}

/// All of a side.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) side: Side,
    /// For each level what was met, sorted, each once.
    pub(super) met: [Vec<Met>; LEVELS.len()],
    /// Destination and what its rhythm is, sorted, each once.
    pub(super) rhythms: Vec<(String, String)>,
    pub(super) responses: Vec<Response>,
}

fn devices(report: &Report) -> impl Iterator<Item = &Device> {
    report.devices.iter().filter(|device| device.coverage.outside_bytes > 0)
}

fn captures(report: &Report) -> Vec<(String, String)> {
    report.header.captures.iter().map(|capture| (capture.name.clone(), capture.sha256.clone())).collect()
}

impl Facts {
    /// All that a report says of its devices.
    pub(super) fn of(report: &Report) -> Self {
        let sum = |of: fn(&Device) -> u64| devices(report).map(of).fold(0, u64::saturating_add);
        let side = Side {
            captures: captures(report),
            devices: devices(report).map(|device| device.title.clone()).collect(),
            coverage: devices(report).map(|device| format!("{}: {}", device.title, device.coverage.words())).collect(),
            associated_seconds: sum(|device| device.coverage.associated_seconds),
            transmit_bytes: sum(|device| device.transmit_bytes),
            receive_bytes: sum(|device| device.receive_bytes),
            flows: sum(|device| device.flows),
            config_pulls: sum(|device| device.pull_count),
        };
        let rows = devices(report).flat_map(|device| &device.rhythms);
        let mut rhythms: Vec<(String, String)> = rows.map(|row| (row.destination.clone(), row.words())).collect();
        rhythms.sort();
        rhythms.dedup_by(|one, other| one.0 == other.0);
        let responses = devices(report).flat_map(|device| device.responses.iter().cloned()).collect();
        Self { side, met: LEVELS.map(|level| met(level, report)), rhythms, responses }
    }

    /// What of it happened in a phase.
    pub(super) fn within(report: &Report, gather: &Gather, snapshot: &Snapshot, phase: Phase) -> Self {
        let labels: Vec<&str> = devices(report).map(|device| device.id.as_str()).collect();
        // The report's labels are printable, the gathered ones are not yet.
        let told = |device: &str| labels.contains(&&*clean(device));
        let (mut spells, mut by) = (Vec::new(), Vec::new());
        for row in snapshot.devices.iter().filter(|row| told(&row.id)) {
            let of = phases(&row.id, snapshot, gather);
            for span in of.spans().iter().filter(|span| span.phase == phase) {
                by.push(span.by.as_str());
                // It ends with the device's last packet.
                let spell = Spell { device: row.id.clone(), from: span.from, to: span.to.min(row.last.plus(Duration::from_nanos(1))) };
                spells.extend(Some(spell).filter(|spell| spell.from < spell.to));
            }
        }
        let mut met: [Vec<Met>; LEVELS.len()] = Default::default();
        let (mut flows, mut up, mut down) = (0_u64, 0_u64, 0_u64);
        for row in gather.rows.iter().filter(|row| told(&row.key.device)) {
            let of = |flow: &Timed| shares(flow, &row.key.device, &spells);
            let sums = row.times.iter().map(of).fold((0_u64, 0_u64, 0_u64), |sum, part| {
                (sum.0.saturating_add(part.0), sum.1.saturating_add(part.1), sum.2.saturating_add(part.2))
            });
            if sums == (0, 0, 0) {
                continue;
            }
            (flows, up, down) = (flows.saturating_add(sums.0), up.saturating_add(sums.1), down.saturating_add(sums.2));
            let country = row.key.country.as_ref();
            let whats = [
                Some(format!("{} ({})", country.map_or("unknown", Country::name), country.map_or("unknown", Country::as_str))),
                row.key.asn.map(|asn| system(asn, organization(report, asn))),
                (row.key.origin != Origin::None).then(|| clean(&row.key.destination)),
                row.key.name.as_deref().map(clean),
                None,
            ];
            for (rows, what) in met.iter_mut().zip(whats) {
                rows.extend(what.map(|what| (what, sums.0, sums.1.saturating_add(sums.2))));
            }
        }
        let [.., prints] = &mut met;
        for (device, ja4, times) in gather.prints.iter().filter(|(device, ..)| told(device)) {
            let hellos = times.iter().filter(|time| inside(**time, device, &spells)).count() as u64;
            prints.extend((hellos > 0).then(|| (clean(ja4), hellos, 0)));
        }
        let pulls = snapshot.pulls.iter().filter(|row| told(&row.device));
        let config_pulls = pulls.flat_map(|row| row.pulls.iter().filter(|pull| inside(pull.begin, &row.device, &spells))).count() as u64;
        let seconds = spells.iter().map(|spell| spell.to.since(spell.from).as_secs()).fold(0, u64::saturating_add);
        let side = Side {
            captures: captures(report),
            devices: devices(report).map(|device| format!("{}, {}", device.title, phase.as_str())).collect(),
            coverage: vec![words(phase, &mut by, seconds)],
            associated_seconds: seconds,
            transmit_bytes: up,
            receive_bytes: down,
            flows,
            config_pulls,
        };
        Self { side, met: met.map(summed), rhythms: Vec::new(), responses: Vec::new() }
    }
}

/// How often and how long the phase was, and who says so.
fn words(phase: Phase, by: &mut [&str], seconds: u64) -> String {
    by.sort_unstable();
    let said: Vec<String> =
        by.chunk_by(|one, other| one == other).filter_map(|same| Some(format!("{} by {}", same.len(), same.first()?))).collect();
    format!("{} times {}, {} in all ({}); a flow counts where it began", by.len(), phase.as_str(), span(seconds), said.join(", "))
}

fn inside(time: Timestamp, device: &str, spells: &[Spell]) -> bool {
    spells.iter().any(|spell| *spell.device == *device && (spell.from..spell.to).contains(&time))
}

/// Whether a flow began in the spells, and its bytes up and down in them.
fn shares(flow: &Timed, device: &str, spells: &[Spell]) -> (u64, u64, u64) {
    let begun = inside(flow.first, device, spells);
    let last = flow.last();
    let overlap = |spell: &Spell| last.min(spell.to).since(flow.first.max(spell.from)).as_millis();
    let lasted = u128::from(flow.lasted);
    let there = spells.iter().filter(|spell| *spell.device == *device).map(overlap).fold(0, u128::saturating_add).min(lasted);
    let part = |bytes: u64| match lasted {
        0 => u64::from(begun).saturating_mul(bytes),
        _ => u64::try_from(u128::from(bytes).saturating_mul(there).checked_div(lasted).unwrap_or_default()).unwrap_or(bytes),
    };
    (u64::from(begun), part(flow.up), part(flow.down))
}

/// What a side met at a level, sorted by it, each once.
fn met(level: &str, report: &Report) -> Vec<Met> {
    let mut met: Vec<Met> = Vec::new();
    for device in devices(report) {
        if level == "ja4" {
            met.extend(device.ja4.iter().map(|print| (print.ja4.clone(), print.hellos, 0)));
        }
        for row in device.destinations.iter().filter(|row| row.outside) {
            let bytes = row.transmit_bytes.saturating_add(row.receive_bytes);
            match level {
                "country" => met.push((format!("{} ({})", row.country_name, row.country), row.flows, bytes)),
                "asn" => met.extend(row.asn.map(|asn| (system(asn, row.organization.as_deref()), row.flows, bytes))),
                "domain" if row.origin != "none" => met.push((row.destination.clone(), row.flows, bytes)),
                "name" => met.extend(
                    row.names
                        .iter()
                        .filter_map(|name| Some((name.name.clone()?, name.flows, name.transmit_bytes.saturating_add(name.receive_bytes)))),
                ),
                _ => {}
            }
        }
    }
    summed(met)
}

fn summed(mut met: Vec<Met>) -> Vec<Met> {
    met.sort();
    met.chunk_by(|one, other| one.0 == other.0)
        .filter_map(|same| {
            let sum = |of: fn(&Met) -> u64| same.iter().map(of).fold(0, u64::saturating_add);
            Some((same.first()?.0.clone(), sum(|row| row.1), sum(|row| row.2)))
        })
        .collect()
}

fn system(asn: u32, organization: Option<&str>) -> String {
    organization.map_or_else(|| format!("AS{asn}"), |organization| format!("AS{asn} {organization}"))
}

fn organization(report: &Report, asn: u32) -> Option<&str> {
    devices(report).flat_map(|device| &device.destinations).find(|row| row.asn == Some(asn))?.organization.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_flow_counts_where_it_began_and_its_bytes_where_they_went() {
        let spell = |device: &str, from, to| Spell { device: device.into(), from: at(from), to: at(to) };
        let spells = [spell("a", 0, 100), spell("a", 150, 200), spell("b", 100, 150)];
        let flow = |first, seconds: u32| Timed { first: at(first), lasted: seconds * 1_000, up: 100, down: 1_000 };
        assert_eq!(shares(&flow(10, 20), "a", &spells), (1, 100, 1_000));
        assert_eq!(shares(&flow(80, 100), "a", &spells), (1, 50, 500), "twenty seconds, then thirty of a hundred");
        assert_eq!(shares(&flow(100, 50), "a", &spells), (0, 0, 0));
        assert_eq!(shares(&flow(110, 0), "b", &spells), (1, 100, 1_000));
    }
}
