//! A mark: what somebody at the bench says happens now, as "screen on"; and the phases of an experiment that marks may begin.
//!
//! A mark has three forms.
//!
//! - **A line** to the FIFO of a running `watch`: the text alone, or a JSON object with `text`, and where wanted `device`, `phase` and
//!   `time` (microseconds since the epoch). `whither mark` writes such a line; so does `echo`.
//! - **An event** `mark`: `message` is the text, `device.id` the device where one is named, `whither.phase` the phase.
//! - **A block in a capture**: a systemd Journal Export Block (type 9, draft-ietf-opsawg-pcapng, 4.7) with the fields
//!   `__REALTIME_TIMESTAMP` (microseconds), `SYSLOG_IDENTIFIER=whither-mark`, `PRIORITY=6`, `MESSAGE` (the text), `WHITHER_DEVICE` and
//!   `WHITHER_PHASE`. It is the one standard block that is a line of text with a time of its own: Wireshark shows it in its list where it
//!   happened, and libpcap passes it over.
//!
//! Roads not taken: a comment on the next packet, which on a quiet link comes late or never; a custom block, which needs an enterprise
//! number and which nobody else shows; the journal's crates, which write to a running journal. Times are whole microseconds in all
//! forms, so that a mark read again is the same mark.

use serde::{Deserialize, Serialize};

use crate::dissect::observation::Text;
use crate::packet::Timestamp;

/// Bytes of a line or entry at most: what one write puts into a FIFO whole (PIPE_BUF), and more than all fields need. Stops: a line
/// without an end.
pub const LONGEST: usize = 4_096;
/// Fields of an entry that are looked at: a journal's own entries have some thirty. Stops: a block of nothing but newlines.
const MOST_FIELDS: usize = 128;
/// By what an entry is known to be a mark.
const IDENTIFIER: &str = "whither-mark";

/// What somebody said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When; whole microseconds.
    pub time: Timestamp,
    /// What: at most [`Text::MAX`] bytes, none that controls a terminal.
    pub text: Text,
    /// Of which device, as they name it; none: of all.
    pub device: Option<Text>,
    /// The phase that begins with it.
    pub phase: Option<Phase>,
}

/// A phase of an experiment (the protocols of Leith 2021 and Liu et al. 2021: connect, leave alone, use).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It has just joined.
    Attach,
    /// Nobody uses it.
    Idle,
    /// Somebody uses it.
    InUse,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 3] = [Self::Attach, Self::Idle, Self::InUse];

    /// `attach`, `idle`, `in-use`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::Idle => "idle",
            Self::InUse => "in-use",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == name)
    }
}

/// A line as JSON.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Line {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<Phase>,
    /// Microseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<u64>,
}

impl Mark {
    /// A mark of all devices, without a phase. None when nothing is left of the text.
    #[must_use]
    pub fn new(time: Timestamp, text: &str) -> Option<Self> {
        Some(Self { time: whole(time.as_nanos() / 1_000), text: clean(text)?, device: None, phase: None })
    }

    /// What a line says; `now` where it has no time. None where it says nothing.
    #[must_use]
    pub fn from_line(line: &[u8], now: Timestamp) -> Option<Self> {
        let line = String::from_utf8_lossy(line.get(..LONGEST).unwrap_or(line));
        // What is no object of ours is text: nobody's words are lost for a brace.
        let told = serde_json::from_str::<Line>(&line).unwrap_or_else(|_| Line { text: line.trim().to_owned(), ..Line::default() });
        let phase = told.phase;
        // A phase needs no words.
        let text = if told.text.trim().is_empty() { phase.map_or("", Phase::as_str) } else { told.text.as_str() };
        let mark = Self::new(told.time.map_or(now, whole), text)?;
        Some(Self { device: told.device.as_deref().and_then(clean), phase, ..mark })
    }

    /// The mark as a line, which ends with a newline.
    #[must_use]
    pub fn to_line(&self) -> String {
        let line = Line {
            text: self.text.as_str().to_owned(),
            device: self.device.as_ref().map(|device| device.as_str().to_owned()),
            phase: self.phase,
            time: Some(self.micros()),
        };
        // Text and numbers always serialise.
        let mut text = serde_json::to_string(&line).unwrap_or_default();
        text.push('\n');
        text
    }

    /// What a journal entry says (systemd's Journal Export Format); none where it is no mark.
    #[must_use]
    pub fn from_entry(entry: &[u8]) -> Option<Self> {
        let (mut time, mut text, mut device, mut phase, mut is_mark) = (None, None, None, None, false);
        for (key, value) in fields(entry.get(..LONGEST).unwrap_or(entry)).take(MOST_FIELDS) {
            let value = String::from_utf8_lossy(value);
            match key {
                b"__REALTIME_TIMESTAMP" => time = value.parse().ok().map(whole),
                b"SYSLOG_IDENTIFIER" => is_mark = value == IDENTIFIER,
                b"MESSAGE" => text = clean(&value),
                b"WHITHER_DEVICE" => device = clean(&value),
                b"WHITHER_PHASE" => phase = Phase::named(&value),
                _ => {}
            }
        }
        is_mark.then_some(Self { time: time?, text: text?, device, phase })
    }

    /// The mark as a journal entry. No text of it has a newline.
    #[must_use]
    pub fn to_entry(&self) -> Vec<u8> {
        let time = self.micros().to_string();
        let device = self.device.as_ref().map(|device| ("WHITHER_DEVICE", device.as_str()));
        let phase = self.phase.map(|phase| ("WHITHER_PHASE", phase.as_str()));
        let always =
            [("__REALTIME_TIMESTAMP", &*time), ("PRIORITY", "6"), ("SYSLOG_IDENTIFIER", IDENTIFIER), ("MESSAGE", self.text.as_str())];
        always.into_iter().chain(device).chain(phase).flat_map(|(key, value)| format!("{key}={value}\n").into_bytes()).collect()
    }

    fn micros(&self) -> u64 {
        self.time.as_nanos() / 1_000
    }
}

fn whole(micros: u64) -> Timestamp {
    Timestamp::from_nanos(micros.min(u64::MAX / 1_000).saturating_mul(1_000))
}

/// Text without what controls a terminal, which cleaned again is the same: what replaces a character may be longer than it.
fn clean(text: &str) -> Option<Text> {
    let text = Text::from_bytes(text.trim().as_bytes())?;
    let text = text.as_str();
    let mut end = text.len().min(Text::MAX);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    Text::from_bytes(text.get(..end)?.trim().as_bytes())
}

/// The fields of an entry: `KEY=value` and a newline; or the key and a newline, the length in eight bytes, the value and a newline.
fn fields(entry: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = entry;
    std::iter::from_fn(move || {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (line, after) = (rest.get(..end)?, rest.get(end.checked_add(1)?..)?);
        rest = after;
        if let Some(equals) = line.iter().position(|byte| *byte == b'=') {
            return Some((line.get(..equals)?, line.get(equals.checked_add(1)?..)?));
        }
        if line.is_empty() {
            return Some((line, line)); // the end of an entry; padding has none
        }
        let (length, after) = after.split_first_chunk::<8>()?;
        let (value, after) = after.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        rest = after.get(1..)?;
        Some((line, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_780_272_000_123_456_789);

    fn mark(line: &str) -> Option<(String, Option<String>, Option<Phase>, u64)> {
        let mark = Mark::from_line(line.as_bytes(), NOW)?;
        Some((mark.text.to_string(), mark.device.map(|device| device.to_string()), mark.phase, mark.time.as_nanos()))
    }

    #[test]
    fn a_line_is_text_or_an_object() {
        let plain = |text: &str| Some((text.to_owned(), None, None, 1_780_272_000_123_456_000));
        assert_eq!(mark("screen on"), plain("screen on"));
        assert_eq!(mark("  {screen} \r\n"), plain("{screen}"));
        assert_eq!([mark(""), mark(" \n"), mark("{\"text\": \"\"}")], [None, None, None]);
        let line = r#"{"text": "use", "device": "pixel", "phase": "in-use", "time": 5}"#;
        assert_eq!(mark(line), Some(("use".to_owned(), Some("pixel".to_owned()), Some(Phase::InUse), 5_000)));
        assert_eq!(mark(r#"{"phase": "idle"}"#).map(|mark| mark.0), Some("idle".to_owned()));
        assert_eq!(mark(r#"{"time": 18446744073709551615, "text": "x"}"#).map(|mark| mark.3), Some(u64::MAX / 1_000 * 1_000));
    }

    #[test]
    fn what_controls_a_terminal_or_has_no_end_is_cut_out() {
        assert_eq!(mark("a\u{1b}[31mb\u{202e}c").map(|mark| mark.0), Some("a\u{fffd}[31mb\u{fffd}c".to_owned()));
        let long = mark(&"x".repeat(1 << 20)).map(|mark| mark.0.len());
        assert_eq!(long, Some(Text::MAX));
    }

    #[test]
    fn every_form_gives_the_same_mark_again() {
        let hostile = ["\0 x\0".to_owned(), "\u{1b}".repeat(300), "x".repeat(255) + "žy", "ž".repeat(300), " x".repeat(200)];
        for line in hostile
            .iter()
            .map(String::as_str)
            .chain(["screen on", r#"{"text": "MESSAGE=\n\"x\" ž", "device": "a\nWHITHER_PHASE=idle", "phase": "attach"}"#])
        {
            let mark = Mark::from_line(line.as_bytes(), NOW).unwrap();
            assert_eq!(Mark::from_line(mark.to_line().as_bytes(), Timestamp::default()).as_ref(), Some(&mark), "{line}");
            assert_eq!(Mark::from_entry(&mark.to_entry()).as_ref(), Some(&mark), "{line}");
            // A block is padded to four bytes.
            assert_eq!(Mark::from_entry(&[&mark.to_entry()[..], &[0, 0, 0]].concat()).as_ref(), Some(&mark), "{line}");
        }
    }

    #[test]
    fn an_entry_of_somebody_else_is_no_mark_and_a_binary_field_is_passed_over() {
        let entry = b"__REALTIME_TIMESTAMP=7\nMESSAGE=a line of a log\nSYSLOG_IDENTIFIER=cron\n\n";
        assert_eq!(Mark::from_entry(entry), None);
        let binary = b"OTHER\n\x05\0\0\0\0\0\0\0a\nb\nc\n__REALTIME_TIMESTAMP=7\nSYSLOG_IDENTIFIER=whither-mark\nMESSAGE=x\n";
        assert_eq!(Mark::from_entry(binary).map(|mark| (mark.time.as_nanos(), mark.text.to_string())), Some((7_000, "x".to_owned())));
        for cut in 0..binary.len() {
            let _ = Mark::from_entry(&binary[..cut]);
        }
    }
}
