//! The phases of each device: by marks, by joining, and by its traffic.
//!
//! What a person said goes first: a mark with a phase holds until the next mark with one (of that device, or of all). Where nobody said
//! anything, a device is in `attach` for [`ATTACHING`] after it joined; `in-use` by traffic from one busy minute to another, as long as
//! no more than [`PAUSE`] lies between them; and else `idle`, which of traffic means no more than *quiet*. A minute is busy that brings
//! [`BUSY`] bytes to and from the outside. One busy minute by itself is a burst, as a config pull or an update of the list of keyboards
//! is: no use. A time longer than [`SILENCE`] without a byte outside has no phase: nobody knows whether the device was there.
//!
//! The figures: idle phones exchanged 52 kB (iPhone) to 1 MB (Pixel) with their makers in 12 hours (Leith 2021), 0.07 to 1.4 kB a
//! minute; a page of the web is some megabytes. Ten minutes are Leith's first phase. Use that moves less than this (reading what is
//! loaded) looks quiet, and a large update in the night looks like use: where it matters, set marks. Road not taken: a threshold learnt
//! from each capture, which would move when another device is added or the capture is cut.

use std::time::Duration;

use super::gather::Mark;
use crate::engine::activity::MINUTE;
use crate::engine::event::{Phase, Timestamp};

/// How long a device is attaching after it joined.
pub(super) const ATTACHING: Duration = Duration::from_mins(10);
/// Bytes to and from the outside in a minute that make it busy.
pub(super) const BUSY: u32 = 64 << 10;
/// The longest time between busy minutes of one use.
pub(super) const PAUSE: Duration = Duration::from_mins(5);
/// The longest time without a byte outside in which a device is taken to be there.
pub(super) const SILENCE: Duration = Duration::from_mins(15);

/// What says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// Somebody at the bench.
    Mark,
    /// It joined.
    Joining,
    /// Its traffic.
    Traffic,
}

impl By {
    /// `mark`, `joining`, `traffic`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mark => "mark",
            Self::Joining => "joining",
            Self::Traffic => "traffic",
        }
    }
}

/// A time that a device spent in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which.
    pub phase: Phase,
    /// What says so.
    pub by: By,
    /// From.
    pub from: Timestamp,
    /// To before.
    pub to: Timestamp,
}

/// The phases of one device, in the order of time; between some of them there may be none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phases(pub(super) Vec<Span>);

/// What the phases of a device rest on, each in the order of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Grounds<'a> {
    /// When a mark began a phase.
    pub(super) marks: Vec<(Timestamp, Phase)>,
    /// When it joined.
    pub(super) joins: Vec<Timestamp>,
    /// Minutes since the epoch and bytes to and from the outside.
    pub(super) minutes: &'a [(u32, u32)],
    /// First and last packet of the captures.
    pub(super) begin: Timestamp,
    pub(super) end: Timestamp,
}

impl Phases {
    /// The phase at a moment.
    #[must_use]
    pub fn at(&self, time: Timestamp) -> Option<(Phase, By)> {
        let next = self.0.partition_point(|span| span.from <= time);
        let span = self.0.get(next.checked_sub(1)?)?;
        (time < span.to).then_some((span.phase, span.by))
    }

    /// All of them.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    pub(super) fn of(grounds: &Grounds<'_>) -> Self {
        let used = stretches(grounds.minutes.iter().filter(|(_, bytes)| *bytes >= BUSY).map(|(minute, _)| *minute), PAUSE);
        // One busy minute is a burst.
        let used = used.into_iter().filter(|(from, to)| to.since(*from) > MINUTE);
        let there = stretches(grounds.minutes.iter().map(|(minute, _)| *minute), SILENCE);
        let until = grounds.marks.iter().skip(1).map(|(next, _)| *next).chain([grounds.end.plus(Duration::from_nanos(1))]);
        let layers: [Vec<Span>; 4] = [
            grounds
                .marks
                .iter()
                .zip(until)
                .map(|((from, phase), to)| Span { phase: *phase, by: By::Mark, from: *from, to })
                .filter(|span| span.from < span.to)
                .collect(),
            merged(grounds.joins.iter().map(|join| Span { phase: Phase::Attach, by: By::Joining, from: *join, to: join.plus(ATTACHING) })),
            used.map(|(from, to)| Span { phase: Phase::InUse, by: By::Traffic, from, to }).collect(),
            there.into_iter().map(|(from, to)| Span { phase: Phase::Idle, by: By::Traffic, from, to }).collect(),
        ];
        Self(on_top(&layers, grounds.begin, grounds.end))
    }
}

/// Runs of minutes with no more than `gap` between them: begin and end.
fn stretches(minutes: impl Iterator<Item = u32>, gap: Duration) -> Vec<(Timestamp, Timestamp)> {
    let begin = |minute: u32| Timestamp::default().plus(MINUTE.saturating_mul(minute));
    let mut found: Vec<(Timestamp, Timestamp)> = Vec::new();
    for minute in minutes {
        let (from, to) = (begin(minute), begin(minute.saturating_add(1)));
        match found.last_mut() {
            Some((_, end)) if from.since(*end) <= gap => *end = to,
            _ => found.push((from, to)),
        }
    }
    found
}

/// Spans of one kind, those that touch as one.
fn merged(spans: impl Iterator<Item = Span>) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    for span in spans {
        match found.last_mut() {
            Some(last) if (last.phase, last.by) == (span.phase, span.by) && span.from <= last.to => last.to = last.to.max(span.to),
            _ => found.push(span),
        }
    }
    found
}

/// Of several layers of spans, each in the order of time and none over another, the uppermost at each moment.
fn on_top(layers: &[Vec<Span>], begin: Timestamp, end: Timestamp) -> Vec<Span> {
    let end = end.plus(Duration::from_nanos(1));
    let cuts = layers.iter().flatten().flat_map(|span| [span.from, span.to]);
    let mut cuts: Vec<Timestamp> = cuts.map(|cut| cut.clamp(begin.min(end), end)).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let top = |(from, to): (Timestamp, Timestamp)| {
        let holds = |layer: &Vec<Span>| {
            let span = layer.get(layer.partition_point(|span| span.from <= from).checked_sub(1)?)?;
            (from < span.to).then_some(Span { from, to, ..*span })
        };
        layers.iter().find_map(holds)
    };
    merged(cuts.iter().copied().zip(cuts.iter().skip(1).copied()).filter_map(top))
}

/// When a mark of a device, or of all, begins a phase.
pub(super) fn begun(marks: &[Mark], device: &str) -> Vec<(Timestamp, Phase)> {
    let mut found: Vec<(Timestamp, Phase)> =
        marks.iter().filter(|mark| mark.is_of(device)).filter_map(|mark| Some((mark.time, mark.phase?))).collect();
    found.sort_by_key(|(time, _)| *time); // stable: of two at once the later said holds
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    /// Phases as words, times in seconds.
    fn told(grounds: &Grounds<'_>) -> Vec<String> {
        let seconds = |time: Timestamp| time.as_nanos() / 1_000_000_000;
        let words = |span: &Span| format!("{} {} {}-{}", span.phase.as_str(), span.by.as_str(), seconds(span.from), seconds(span.to));
        Phases::of(grounds).spans().iter().map(words).collect()
    }

    #[test]
    fn use_is_two_busy_minutes_near_each_other_and_one_is_a_burst() {
        let quiet: Vec<(u32, u32)> = (0..60).step_by(4).map(|minute| (minute, 500)).collect();
        let all = |busy: &[u32]| {
            let mut minutes = quiet.clone();
            minutes.extend(busy.iter().map(|minute| (*minute, BUSY)));
            minutes.sort_unstable();
            minutes.dedup_by_key(|row| row.0);
            told(&Grounds { minutes: &minutes, end: at(3_600), ..Grounds::default() })
        };
        assert_eq!(all(&[]), ["idle traffic 0-3420"]);
        assert_eq!(all(&[21]), ["idle traffic 0-3420"]);
        assert_eq!(all(&[21, 27]), ["idle traffic 0-1260", "in-use traffic 1260-1680", "idle traffic 1680-3420"], "five minutes between");
        assert_eq!(all(&[21, 29]), ["idle traffic 0-3420"], "seven minutes between: two bursts");
        assert_eq!(all(&[21, 22]), ["idle traffic 0-1260", "in-use traffic 1260-1380", "idle traffic 1380-3420"]);
    }

    #[test]
    fn nobody_knows_of_a_long_silence_and_joining_is_no_use() {
        let minutes = [(0, BUSY), (1, BUSY), (2, BUSY), (18, 1), (35, 1), (36, 1)];
        let joins = vec![at(30), at(2_130)];
        let grounds = Grounds { minutes: &minutes, joins, end: at(2_300), ..Grounds::default() };
        // The captures end while it attaches.
        let phases = told(&grounds);
        assert_eq!(
            phases,
            ["in-use traffic 0-30", "attach joining 30-630", "idle traffic 630-1140", "idle traffic 2100-2130", "attach joining 2130-2300"]
        );
        let phases = Phases::of(&grounds);
        assert_eq!(phases.at(at(629)), Some((Phase::Attach, By::Joining)));
        assert_eq!(phases.at(at(630)), Some((Phase::Idle, By::Traffic)));
        assert_eq!([phases.at(at(1_140)), phases.at(at(2_099)), phases.at(at(9_999))], [None, None, None]);
    }

    #[test]
    fn what_a_person_said_goes_before_all_until_the_next_word() {
        let minutes: Vec<(u32, u32)> = (0..10).map(|minute| (minute, BUSY)).collect();
        let mark =
            |device: Option<&str>, seconds, phase| Mark { time: at(seconds), label: "x".into(), device: device.map(Into::into), phase };
        let marks = [
            mark(None, 60, Some(Phase::Idle)),
            mark(None, 90, None),
            mark(Some("b"), 100, Some(Phase::Attach)),
            mark(Some("a"), 300, Some(Phase::InUse)),
        ];
        let grounds = |device| Grounds { marks: begun(&marks, device), minutes: &minutes, end: at(599), ..Grounds::default() };
        assert_eq!(told(&grounds("a")), ["in-use traffic 0-60", "idle mark 60-300", "in-use mark 300-599"]);
        assert_eq!(told(&grounds("b")), ["in-use traffic 0-60", "idle mark 60-100", "attach mark 100-599"]);
        assert_eq!(told(&Grounds::default()), Vec::<String>::new());
    }
}
