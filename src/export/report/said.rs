//! What somebody at the bench said, and the phases of each device, for the report.

use super::gather::{Gather, Mark};
use super::model::{MarkRow, PhaseRow};
use super::phases::{Grounds, Phases, begun};
use super::words::clean;
use crate::engine::event::{Phase, Timestamp};
use crate::engine::snapshot::{DeviceRow, Snapshot};
use crate::export::rfc3339;

/// The phases of a device, given by its label.
#[must_use]
pub fn phases(device: &str, snapshot: &Snapshot, gather: &Gather) -> Phases {
    let mut joins: Vec<Timestamp> = gather.joins.iter().filter(|(owner, _)| **owner == *device).map(|(_, time)| *time).collect();
    joins.sort_unstable();
    let minutes = snapshot.activity.iter().find(|row| *row.device == *device).map_or(&[][..], |row| &row.minutes);
    let ends = gather.begin.unwrap_or_default()..=snapshot.last_packet.unwrap_or_default();
    Phases::of(&Grounds { marks: begun(&gather.marks, device), joins, minutes, begin: *ends.start(), end: *ends.end() })
}

/// The phases as rows.
pub(super) fn rows(phases: &Phases) -> Vec<PhaseRow> {
    let row = |span: &super::phases::Span| PhaseRow {
        phase: span.phase.as_str(),
        by: span.by.as_str(),
        from: time(span.from),
        to: time(span.to),
        seconds: span.to.since(span.from).as_secs(),
    };
    phases.spans().iter().map(row).collect()
}

/// The marks of some devices and of all, in the order of time.
pub(super) fn marks(gather: &Gather, told: &[&DeviceRow]) -> Vec<MarkRow> {
    let mut marks: Vec<&Mark> = gather.marks.iter().filter(|mark| told.iter().any(|row| mark.is_of(&row.id))).collect();
    marks.sort_by_key(|mark| mark.time); // stable
    let row = |mark: &Mark| MarkRow {
        time: time(mark.time),
        text: clean(&mark.label),
        device: mark.device.as_deref().map(clean),
        phase: mark.phase.map(Phase::as_str),
    };
    marks.into_iter().map(row).collect()
}

/// The marks of a device and those of all, seconds after the begin of the captures.
pub(super) fn on_timeline(gather: &Gather, device: &str, begin: Timestamp) -> Vec<(u64, String)> {
    let all = gather.marks.iter().filter(|mark| mark.is_of(device));
    let mut marks: Vec<(u64, String)> = all.map(|mark| (mark.time.since(begin).as_secs(), clean(&mark.label))).collect();
    marks.sort();
    marks
}

fn time(time: Timestamp) -> String {
    rfc3339(time.as_nanos(), 3)
}
