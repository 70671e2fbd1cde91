//! A log of what was done at the bench: a line for each act, its time and a mark.
//!
//! For captures that have no marks in them, since another program wrote them or nobody could set one. Blank lines and those that begin with `#`
//! say nothing. A line that is wrong ends the reading: a mark that is missing would be an experiment that was not done.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use whither::engine::event::Mark;
use whither::engine::snapshot::Snapshot;
use whither::export::explain::ask;
use whither::export::report::{self, Gather};
use whither::packet::Timestamp;

use super::beginning;

/// Bytes of a log: tens of thousands of marks.
const LARGEST: usize = 1 << 20;

/// The marks of a log.
pub(super) fn read(path: &Path) -> Result<Vec<Mark>> {
    let bytes = beginning(path, LARGEST).with_context(|| format!("cannot read the marks {}", path.display()))?;
    if bytes.len() > LARGEST {
        return Err(anyhow!("the marks {}: longer than {LARGEST} bytes", path.display()));
    }
    let text = String::from_utf8_lossy(&bytes);
    let wrong = |at: usize| format!("the marks {}, line {at}: not a time (2026-11-30T10:00:00Z), a space and a mark", path.display());
    let told = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
    told.map(|(line, at)| parse(line).ok_or_else(|| anyhow!(wrong(at)))).collect()
}

/// `TIME MARK`, where the mark is what `whither mark` writes: words, or an object that names the device or the phase too.
fn parse(line: &str) -> Option<Mark> {
    let (time, mark) = line.trim().split_once([' ', '\t'])?;
    let time: jiff::Timestamp = time.parse().ok()?;
    Mark::from_line(mark.as_bytes(), Timestamp::from_nanos(u64::try_from(time.as_nanosecond()).ok()?))
}

/// Takes marks in. One of a device that is not there is an error, for it would be held against nothing.
pub(super) fn say(marks: Vec<Mark>, snapshot: &Snapshot, gather: &mut Gather) -> Result<()> {
    for mark in marks {
        let device = mark.device.as_ref().map(|words| ask::device(words.as_str(), snapshot).map(|row| row.id.clone()));
        let device = device.transpose().map_err(|words| anyhow!("the mark `{}`: {words}", mark.text.as_str()))?;
        gather.mark(report::Mark { time: mark.time, label: Arc::from(mark.text.as_str()), device, phase: mark.phase });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_time_and_a_mark() {
        let mark = |line: &str| parse(line).map(|mark| (mark.time.as_nanos(), mark.text.to_string(), mark.device.map(|d| d.to_string())));
        assert_eq!(mark("2021-08-23T06:00:00Z screen on"), Some((1_629_698_400_000_000_000, "screen on".to_owned(), None)));
        assert_eq!(
            mark(r#"2021-08-23T08:00:00.5+02:00  {"text": "page", "device": "pixel"}"#),
            Some((1_629_698_400_500_000_000, "page".to_owned(), Some("pixel".to_owned())))
        );
        assert_eq!([mark("06:00 page"), mark("2021-08-23T06:00:00Z"), mark("yesterday page")], [None, None, None]);
    }
}
