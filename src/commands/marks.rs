//! A log of what was done at the bench: a line for each, its time and a few words.
//!
//! For captures that have no marks in them, since another program wrote them or nobody could. Blank lines and those that begin with `#`
//! say nothing. A line that is wrong ends the reading: a mark that is missing would be an experiment that was not done.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use whither::engine::snapshot::Snapshot;
use whither::export::explain::ask;
use whither::export::report::Mark;
use whither::packet::Timestamp;

use super::beginning;

/// Bytes of a log: tens of thousands of marks.
const LARGEST: usize = 1 << 20;

/// The marks of a log, without their devices.
pub(super) fn read(path: &Path) -> Result<Vec<Mark>> {
    let bytes = beginning(path, LARGEST).with_context(|| format!("cannot read the marks {}", path.display()))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| anyhow!("the marks {} are not UTF-8 text", path.display()))?;
    if bytes.len() > LARGEST {
        return Err(anyhow!("the marks {}: longer than {LARGEST} bytes", path.display()));
    }
    let wrong = |at: usize| format!("the marks {}, line {at}: not a time (2026-11-30T10:00:00Z), a space and a few words", path.display());
    let told = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
    told.map(|(line, at)| parse(line).ok_or_else(|| anyhow!(wrong(at)))).collect()
}

/// `TIME WORDS`, and after a tab the device where it is of one alone.
fn parse(line: &str) -> Option<Mark> {
    let (time, rest) = line.trim().split_once([' ', '\t'])?;
    let time: jiff::Timestamp = time.parse().ok()?;
    let time = Timestamp::from_nanos(u64::try_from(time.as_nanosecond()).ok()?);
    let (label, device) = rest.split_once('\t').map_or((rest, None), |(label, device)| (label, Some(device.trim())));
    let label = Some(label.trim()).filter(|label| !label.is_empty())?;
    Some(Mark { time, label: Arc::from(label), device: device.map(Arc::from) })
}

/// The same, with the devices by their labels, as a person may name them otherwise.
pub(super) fn of_devices(marks: &[Mark], snapshot: &Snapshot) -> Result<Vec<Mark>> {
    let named = |mark: &Mark| {
        let device = mark.device.as_ref().map(|words| ask::device(words, snapshot).map(|row| row.id.clone()));
        Ok(Mark { device: device.transpose().map_err(|words| anyhow!("the mark `{}`: {words}", mark.label))?, ..mark.clone() })
    };
    marks.iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_time_and_words_and_perhaps_a_device() {
        let mark = |line: &str| parse(line).map(|mark| (mark.time.as_nanos(), mark.label.to_string(), mark.device.map(|d| d.to_string())));
        assert_eq!(mark("2021-08-23T06:00:00Z screen on"), Some((1_629_698_400_000_000_000, "screen on".to_owned(), None)));
        assert_eq!(
            mark("2021-08-23T08:00:00.5+02:00  page\tpixel "),
            Some((1_629_698_400_500_000_000, "page".to_owned(), Some("pixel".to_owned())))
        );
        assert_eq!([mark("06:00 page"), mark("2021-08-23T06:00:00Z"), mark("2021-08-23T06:00:00Z \tx")], [None, None, None]);
    }
}
