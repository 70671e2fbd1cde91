//! What a device does again and again with one destination: beats, their period and jitter, and whether joining the network
//! releases them. Data and formulas; `habit` feeds them.
//!
//! Road taken: of each destination the last [`MOST_BEATS`] beats are kept, and all is computed from them when somebody asks.
//! A beat is what begins within [`BURST`] of its neighbour, because a client opens several connections at once. Period and
//! jitter are the median of the gaps and their median absolute deviation: one night or one page view moves neither. The
//! regularity is the mean of the timestamp and data size scores as RITA defines them. "Periodic" is a test of its own, since
//! random gaps score one half there: half of the gaps lie near the median, and more than chance would put there. What a phone does only when
//! it joins has no period to find (two or three contacts in a day), so those beats are held against its associations.
//! Roads not taken: a Fourier transform or a histogram of hours, which need many periods; whole flows instead of beats, which
//! a browser would fill in a second.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::attach::{Attachments, WINDOW};
use crate::packet::Timestamp;

/// Beats kept of one destination, the latest: one that beats every minute for a year would else hold half a million.
pub(super) const MOST_BEATS: usize = 64;
/// Flows that begin no further apart are one beat. So what repeats faster is one long beat and has no period.
pub const BURST: Duration = Duration::from_secs(10);
/// A connection that lasts as long is no beat.
pub const PERSISTENT: Duration = Duration::from_hours(1);
/// Fewest beats that are given a regularity, as in RITA.
const FEWEST: usize = 4;
/// A gap this near the median, as a share of it, is the same gap.
const NEAR: f64 = 0.1;
/// Chance that random gaps would look as regular, below which a rhythm is called periodic. Low, for there are hundreds of destinations.
const PERIODIC: f64 = 1e-5;
/// The same for beats that follow associations.
const ANCHORED: f64 = 1e-3;
/// How near a gap lies to a round value, as a share of that.
const ROUND: f64 = 0.01;

/// Waits that a programmer would write down, seconds.
const ROUND_GAPS: [(u32, &str); 15] = [
    (60, "1 min"),
    (120, "2 min"),
    (300, "5 min"),
    (600, "10 min"),
    (900, "15 min"),
    (1_800, "30 min"),
    (3_600, "1 h"),
    (7_200, "2 h"),
    (10_800, "3 h"),
    (14_400, "4 h"),
    (21_600, "6 h"),
    (28_800, "8 h"),
    (43_200, "12 h"),
    (86_400, "24 h"),
    (172_800, "48 h"),
];

/// One device's rhythm with one destination.
#[derive(Clone, Debug, PartialEq)]
pub struct RhythmRow {
    /// The device's label.
    pub device: Arc<str>,
    /// Full name of the server, else the destination's label (`AS<n>`, `unknown`).
    pub destination: Arc<str>,
    /// What it is for, by watchlists and ports, where it is for nothing else.
    pub category: Option<&'static str>,
    /// Answered flows that were no persistent connections.
    pub flows: u64,
    /// Beats kept of them.
    pub beats: usize,
    /// Median gap between beats, seconds; none below two beats.
    pub period: Option<f64>,
    /// Median absolute deviation of the gaps, seconds.
    pub jitter: Option<f64>,
    /// Median bytes on the wire of a beat, both directions.
    pub bytes_per_beat: u64,
    /// Share of the bytes that the device sent, 0 to 1; none without bytes.
    pub upload_share: Option<f64>,
    /// Mean of RITA's timestamp and data size scores, 0 to 1; none below four beats.
    pub regularity: Option<f64>,
    /// At least half of the gaps, and more than random ones would, lie within a tenth of the period.
    pub periodic: bool,
    /// Held against the associations; none where there are none.
    pub attach: Option<Attach>,
    /// The least gap between beats, seconds.
    pub gap_floor: Option<f64>,
    /// The round value that the least gap lies within 1 % of: `12 h`. None where each beat followed an association
    /// and each association released one: then it is the gap between associations.
    pub round_gap: Option<&'static str>,
    /// Connections of an hour and more.
    pub persistent: Persistent,
    /// When the first kept beat began; none without beats.
    pub first: Option<Timestamp>,
    /// When the last one began.
    pub last: Option<Timestamp>,
}

/// Beats against associations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attach {
    /// Beats within [`crate::engine::attach::WINDOW`] of an association.
    pub after: usize,
    /// Beats in all.
    pub beats: usize,
    /// Associations since the first beat that the device stayed for, and that no beat followed.
    pub skipped: usize,
    /// Natural logarithm of the rate within the windows over the rate in the rest of the time that the device was there.
    pub log_ratio: f64,
    /// Chance of so many or more within the windows if beats fell anywhere (exact binomial).
    pub chance: f64,
    /// Median time from association to beat, seconds; of those within the windows.
    pub delay: Option<f64>,
    /// At least two, and half of all, fall there, and not by chance.
    pub anchored: bool,
}

/// Connections too long to be beats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Persistent {
    /// How many.
    pub flows: u64,
    /// The longest.
    pub longest: Duration,
    /// Bytes on the wire that the device sent and received in them.
    pub bytes: (u64, u64),
}

impl Persistent {
    /// Adds one.
    pub(super) fn add(&mut self, lasted: Duration, (up, down): (u64, u64)) {
        self.flows = self.flows.saturating_add(1);
        self.longest = self.longest.max(lasted);
        self.bytes = (self.bytes.0.saturating_add(up), self.bytes.1.saturating_add(down));
    }
}

/// What is kept of one destination.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    /// In the order of time.
    beats: Vec<Beat>,
    /// Beats have left.
    forgot: bool,
    flows: u64,
    pub(super) category: Option<&'static str>,
    pub(super) persistent: Persistent,
    /// What was told of it already.
    told: [bool; 3],
}

/// Flows that began together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Beat {
    first: Timestamp,
    last: Timestamp,
    up: u64,
    down: u64,
}

impl Rhythm {
    /// Takes in a flow that ended: when it began, and its bytes up and down. True when it is a beat of its own.
    pub(super) fn note(&mut self, begin: Timestamp, (up, down): (u64, u64)) -> bool {
        self.flows = self.flows.saturating_add(1);
        let near = |one: Timestamp, other: Timestamp| other.since(one) <= BURST;
        let at = self.beats.partition_point(|beat| beat.first <= begin);
        let after = self.beats.get(at).is_some_and(|next| near(begin, next.first));
        if let Some(beat) = at.checked_sub(1).and_then(|before| self.beats.get_mut(before)).filter(|beat| near(beat.last, begin)) {
            beat.last = beat.last.max(begin);
            beat.add(up, down);
            if after && at < self.beats.len() {
                let next = self.beats.remove(at);
                if let Some(beat) = at.checked_sub(1).and_then(|before| self.beats.get_mut(before)) {
                    beat.last = beat.last.max(next.last);
                    beat.add(next.up, next.down);
                }
            }
            return false;
        }
        if after && let Some(next) = self.beats.get_mut(at) {
            next.first = begin;
            next.add(up, down);
            return false;
        }
        if self.beats.len() < MOST_BEATS {
            self.beats.insert(at, Beat { first: begin, last: begin, up, down });
            return true;
        }
        self.forgot = true;
        if let Some(at) = at.checked_sub(1) {
            self.beats.remove(0);
            self.beats.insert(at, Beat { first: begin, last: begin, up, down });
        }
        true
    }

    /// What a row shows for the first time, in the words of `whither.rhythm`: each is told once.
    pub(super) fn news(&mut self, row: &RhythmRow) -> Option<&'static str> {
        let anchored = row.attach.is_some_and(|attach| attach.anchored);
        let kinds = [("anchored", anchored), ("periodic", row.periodic), ("persistent", row.persistent.flows > 0)];
        let (told, kind) = self.told.iter_mut().zip(kinds).find(|(told, (_, shown))| *shown && !**told)?;
        *told = true;
        Some(kind.0)
    }

    /// What all of it comes to.
    pub(super) fn row(&self, device: &Arc<str>, destination: &Arc<str>, attachments: &Attachments) -> RhythmRow {
        let gaps = self.gaps();
        let sizes: Vec<f64> = self.beats.iter().map(|beat| beat.up.saturating_add(beat.down) as f64).collect();
        let (up, down) =
            self.beats.iter().fold((0_u64, 0_u64), |(up, down), beat| (up.saturating_add(beat.up), down.saturating_add(beat.down)));
        let all = up.saturating_add(down);
        let gap_floor = gaps.iter().copied().min_by(f64::total_cmp);
        let attach = self.attach(attachments);
        let explained = attach.is_some_and(|attach| attach.after == attach.beats && attach.skipped == 0);
        RhythmRow {
            device: Arc::clone(device),
            destination: Arc::clone(destination),
            category: self.category,
            flows: self.flows,
            beats: self.beats.len(),
            period: median(&gaps),
            jitter: deviation(&gaps),
            bytes_per_beat: median(&sizes).unwrap_or_default() as u64,
            upload_share: (all > 0).then(|| up as f64 / all as f64),
            regularity: (self.beats.len() >= FEWEST).then(|| f64::midpoint(score(&gaps), score(&sizes))),
            periodic: is_periodic(&gaps),
            attach,
            gap_floor,
            round_gap: gap_floor.filter(|_| !explained).and_then(round),
            persistent: self.persistent,
            first: self.beats.first().map(|beat| beat.first),
            last: self.beats.last().map(|beat| beat.first),
        }
    }

    /// Seconds between the beginnings of beats.
    fn gaps(&self) -> Vec<f64> {
        self.beats.iter().zip(self.beats.iter().skip(1)).map(|(one, next)| next.first.since(one.first).as_secs_f64()).collect()
    }

    /// How the beats lie to the associations, from where both are known on.
    fn attach(&self, attachments: &Attachments) -> Option<Attach> {
        let oldest = self.beats.first().filter(|_| self.forgot).map(|beat| beat.first);
        let exposure = attachments.exposure(oldest)?;
        let known: Vec<Timestamp> = self.beats.iter().map(|beat| beat.first).filter(|first| *first >= exposure.from).collect();
        let delays = known.iter().filter_map(|first| attachments.delay(*first)).filter(|delay| *delay <= WINDOW);
        let delays: Vec<f64> = delays.map(|delay| delay.as_secs_f64()).collect();
        let (after, beats) = (delays.len(), known.len());
        let begun = *known.first()?;
        let follows = |joined: &Timestamp| {
            known.get(known.partition_point(|first| first < joined)).is_some_and(|first| first.since(*joined) <= WINDOW)
        };
        let skipped = attachments.stayed().filter(|joined| *joined > begun && !follows(joined)).count();
        // Half a beat more on both sides, so that none in the rest is not infinitely rare (Haldane 1956).
        let rate = |count: usize, seconds: f64| (count as f64 + 0.5) / seconds;
        let log_ratio = (rate(after, exposure.within) / rate(beats.saturating_sub(after), exposure.rest)).ln();
        let chance = at_least(after, beats, exposure.within / (exposure.within + exposure.rest));
        let anchored = after >= 2 && after.saturating_mul(2) >= beats && chance <= ANCHORED;
        Some(Attach { after, beats, skipped, log_ratio, chance, delay: median(&delays), anchored })
    }
}

impl Beat {
    fn add(&mut self, up: u64, down: u64) {
        self.up = self.up.saturating_add(up);
        self.down = self.down.saturating_add(down);
    }
}

/// The value in the middle; between the two in the middle where their number is even.
fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// Median absolute deviation.
fn deviation(values: &[f64]) -> Option<f64> {
    let middle = median(values)?;
    median(&values.iter().map(|value| (value - middle).abs()).collect::<Vec<_>>())
}

/// A quantile, linear between the two values beside it.
fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = share * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted.get(at.floor() as usize)?, sorted.get(at.ceil() as usize)?);
    Some(low + (high - low) * at.fract())
}

/// RITA's score of a series, of gaps or of sizes (v5, `analysis/beacons.go`, by its definition): half how symmetric it is
/// (1 less Bowley's skewness), half how narrow ((median - MAD) / median).
fn score(values: &[f64]) -> f64 {
    let quartiles = [0.25, 0.5, 0.75].map(|share| quantile(values, share).unwrap_or_default());
    let [low, middle, high] = quartiles;
    let skew = if high - low < 10.0 || middle == low || middle == high { 0.0 } else { (high + low - 2.0 * middle) / (high - low) };
    let narrow = if middle > 0.0 { ((middle - deviation(values).unwrap_or_default()) / middle).max(0.0) } else { 0.0 };
    f64::midpoint(1.0 - skew.abs(), narrow)
}

/// Whether half of the gaps lie near their median, and more than if each moment were as good as any other (exponential gaps, none below
/// [`BURST`]): an exact binomial test. The median's own gap is no evidence. No six beats suffice.
fn is_periodic(gaps: &[f64]) -> bool {
    let Some(middle) = median(gaps) else { return false };
    let floor = BURST.as_secs_f64();
    if gaps.len() < FEWEST || middle <= floor {
        return false;
    }
    let near = gaps.iter().filter(|gap| (*gap - middle).abs() <= NEAR * middle).count();
    let beyond = |gap: f64| (-(gap - floor).max(0.0) / (middle - floor)).exp2();
    if near.saturating_mul(2) < gaps.len() {
        return false; // pauses with a least length crowd above it, and that is no timer
    }
    let by_chance = beyond(middle * (1.0 - NEAR)) - beyond(middle * (1.0 + NEAR));
    at_least(near.saturating_sub(1), gaps.len().saturating_sub(1), by_chance) <= PERIODIC
}

/// The chance of `k` or more of `n` where each has the chance `p`.
fn at_least(k: usize, n: usize, p: f64) -> f64 {
    let term = |hits: usize| {
        let ways = (0..hits).map(|at| (n.saturating_sub(at)) as f64 / (hits.saturating_sub(at)) as f64).product::<f64>();
        ways * p.powi(hits as i32) * (1.0 - p).powi(n.saturating_sub(hits) as i32)
    };
    (k..=n).map(term).sum::<f64>().min(1.0)
}

/// The round value that a gap of so many seconds lies within 1 % of.
pub(super) fn round(gap: f64) -> Option<&'static str> {
    ROUND_GAPS.iter().find(|(seconds, _)| (gap - f64::from(*seconds)).abs() <= ROUND * f64::from(*seconds)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    const HOUR: f64 = 3_600.0;
    /// Whole seconds from which the cases count.
    const EPOCH: f64 = 1_000_000.0;

    fn at(seconds: f64) -> Timestamp {
        Timestamp::from_nanos(((EPOCH + seconds) * 1e9) as u64)
    }

    /// A device that joined at these moments and was there all along until `end`.
    fn joined(times: &[f64], end: f64) -> Attachments {
        let mut attachments = Attachments::default();
        let mut minutes = (0..).map(|minute| f64::from(minute) * 60.0).take_while(|time| *time <= end).peekable();
        for time in times {
            while minutes.peek().is_some_and(|minute| minute < time) {
                attachments.hear(at(minutes.next().unwrap()));
            }
            attachments.joined(at(*time));
        }
        minutes.for_each(|minute| attachments.hear(at(minute)));
        attachments
    }

    fn rhythm(times: impl IntoIterator<Item = f64>) -> Rhythm {
        let mut rhythm = Rhythm::default();
        for time in times {
            rhythm.note(at(time), (1_000, 3_000));
        }
        rhythm
    }

    fn row(times: impl IntoIterator<Item = f64>, attachments: &Attachments) -> RhythmRow {
        rhythm(times).row(&"phone".into(), &"host.example".into(), attachments)
    }

    fn alone(times: impl IntoIterator<Item = f64>) -> RhythmRow {
        row(times, &Attachments::default())
    }

    fn near(one: f64, other: f64) -> bool {
        (one - other).abs() <= other.abs() * 1e-6
    }

    #[test]
    fn a_timer_with_a_little_jitter_has_its_period_and_a_missed_beat_does_not_move_it() {
        let mut rng = Rng::with_seed(3);
        let beats = (0..40).filter(|beat| beat % 9 != 5).map(|beat| f64::from(beat) * 300.0 + rng.f64() * 6.0).collect::<Vec<_>>();
        let row = alone(beats);
        assert!(row.periodic, "{row:?}");
        assert!((298.0..302.0).contains(&row.period.unwrap()) && row.jitter.unwrap() < 4.0, "{row:?}");
        assert_eq!((row.bytes_per_beat, row.upload_share, row.attach), (4_000, Some(0.25), None));
        assert!(row.regularity.unwrap() > 0.95);
        assert_eq!(alone((0..9).map(|beat| f64::from(beat) * 300.0)).round_gap, Some("5 min"));
    }

    #[test]
    fn random_gaps_are_not_called_periodic() {
        let mut rng = Rng::with_seed(20_210_921);
        let mut called = [0; 4];
        for _ in 0..2_000 {
            let beats = rng.usize(2..=80);
            let mean = [15.0, 60.0, 900.0, 7_200.0][rng.usize(0..4)];
            let mut series = |gap: &mut dyn FnMut(&mut Rng) -> f64| {
                let mut time = 0.0;
                let times: Vec<f64> = (0..beats)
                    .map(|_| {
                        time += gap(&mut rng) * mean;
                        time
                    })
                    .collect();
                usize::from(alone(times).periodic)
            };
            called[0] += series(&mut |rng| -(1.0 - rng.f64()).ln()); // calls at any moment
            called[1] += series(&mut |rng| 0.3 + 1.4 * rng.f64()); // as the simulated background is
            called[2] += series(&mut |rng| if rng.u8(..) < 180 { 0.02 * -(1.0 - rng.f64()).ln() } else { 4.0 * -(1.0 - rng.f64()).ln() }); // pages, each with several contacts
            called[3] += series(&mut |rng| (1.0 - rng.f64()).powf(-0.7)); // pauses with a heavy tail
        }
        assert_eq!(called.first_chunk(), Some(&[0; 3]), "{called:?}");
        // A least pause with a tail above it comes nearest to a timer: once in a thousand.
        assert!(called[3] <= 2, "{called:?}");
    }

    #[test]
    fn few_beats_are_never_periodic_however_even() {
        for beats in 1..=6 {
            assert!(!alone((0..beats).map(|beat| f64::from(beat) * HOUR)).periodic, "{beats} beats");
        }
        assert!(alone((0..7).map(|beat| f64::from(beat) * HOUR)).periodic);
        assert_eq!((alone([0.0]).period, alone([0.0, HOUR, 2.0 * HOUR]).regularity), (None, None));
    }

    #[test]
    fn connections_that_open_together_are_one_beat_in_whatever_order_they_end() {
        let beats = |times: &[f64]| {
            let row = alone(times.iter().copied());
            (row.beats, row.flows, row.bytes_per_beat, row.period)
        };
        let expected = (2, 5, 10_000, Some(100.0));
        for times in [[0.0, 4.0, 9.0, 100.0, 101.0], [101.0, 9.0, 100.0, 0.0, 4.0], [9.0, 0.0, 4.0, 101.0, 100.0]] {
            assert_eq!(beats(&times), expected, "{times:?}");
        }
        assert_eq!(beats(&[0.0, 15.0, 8.0]).0, 1, "the one in the middle joins the two beside it");
    }

    #[test]
    fn what_repeats_faster_than_beats_can_be_told_apart_has_no_period() {
        assert_eq!(alone((0..500).map(|flow| f64::from(flow) * 5.0)).period, None);
    }

    #[test]
    fn the_latest_beats_are_kept_and_no_more() {
        let row = alone((0..10_000).map(|beat| f64::from(beat) * 60.0));
        assert_eq!((row.beats, row.flows), (MOST_BEATS, 10_000));
        assert_eq!(row.last, Some(at(9_999.0 * 60.0)));
        let mut old = rhythm((1..=64).map(|beat| f64::from(beat) * 60.0));
        old.note(at(0.0), (1, 1));
        assert_eq!(old.row(&"a".into(), &"b".into(), &Attachments::default()).first, Some(at(60.0)), "one that ends too late is not kept");
    }

    #[test]
    fn three_pulls_in_a_day_are_anchored_to_joining_and_their_wait_is_named() {
        let attachments = joined(&[0.0, HOUR, 13.05 * HOUR, 25.1 * HOUR], 26.0 * HOUR);
        let row = row([3.0, 13.05 * HOUR + 4.0, 25.1 * HOUR + 2.0], &attachments);
        let attach = row.attach.unwrap();
        assert!(attach.anchored && !row.periodic, "{row:?}");
        assert_eq!((attach.after, attach.beats, attach.skipped), (3, 3, 1));
        assert_eq!(attach.delay.map(f64::round), Some(3.0));
        // All three within 4 x 120 s of 26 h, and none elsewhere.
        let (within, all): (f64, f64) = (480.0, 26.0 * HOUR);
        assert!(near(attach.chance, (within / all).powi(3)), "{}", attach.chance);
        assert!(near(attach.log_ratio, ((3.5 / within) / (0.5 / (all - within))).ln()), "{}", attach.log_ratio);
        assert_eq!(row.round_gap, Some("12 h"));
        assert!(row.regularity.is_none(), "RITA would want a fourth");
    }

    #[test]
    fn where_every_join_is_followed_the_gap_is_that_between_joins_and_not_named() {
        let attachments = joined(&[0.0, 12.0 * HOUR, 24.0 * HOUR], 26.0 * HOUR);
        let row = row([3.0, 12.0 * HOUR + 3.0, 24.0 * HOUR + 3.0], &attachments);
        assert!(row.attach.unwrap().anchored);
        assert_eq!((row.attach.unwrap().skipped, row.round_gap), (0, None));
    }

    #[test]
    fn what_comes_at_any_time_is_not_anchored_because_it_once_followed_a_join() {
        let attachments = joined(&[0.0, 6.0 * HOUR, 12.0 * HOUR], 24.0 * HOUR);
        let row = row((0..48).map(|beat| f64::from(beat) * HOUR / 2.0 + 20.0), &attachments);
        let attach = row.attach.unwrap();
        assert_eq!((attach.after, attach.beats, attach.anchored), (3, 48, false));
        assert!(row.periodic);
    }

    #[test]
    fn a_device_that_is_hardly_there_proves_nothing_by_doing_all_at_once() {
        // Ten visits of three minutes: two thirds of its time follows a join.
        let mut attachments = Attachments::default();
        let visits: Vec<f64> = (0..10).map(|visit| f64::from(visit) * 2.0 * HOUR).collect();
        for visit in &visits {
            attachments.joined(at(*visit));
            attachments.hear(at(visit + 180.0));
        }
        assert_eq!(attachments.present(), Duration::from_secs(1_800));
        let attach = row(visits.iter().take(6).map(|visit| visit + 60.0), &attachments).attach.unwrap();
        assert!(!attach.anchored && attach.chance > 0.05, "{attach:?}");
    }

    #[test]
    fn the_binomial_tail_is_exact() {
        assert!(near(at_least(0, 10, 0.3), 1.0));
        assert!(near(at_least(10, 10, 0.5), 1.0 / 1_024.0));
        assert!(near(at_least(2, 3, 0.25), 3.0 * 0.0625 * 0.75 + 0.015_625));
        assert!((0.0..1.0).contains(&at_least(1, 64, 0.01)));
    }

    #[test]
    fn the_score_is_what_its_definition_says() {
        assert!(near(score(&[60.0; 5]), 1.0));
        // Quartiles 100, 200, 400: Bowley's skewness is a third; MAD 100 of 200.
        assert!(
            near(score(&[50.0, 100.0, 200.0, 400.0, 500.0]), f64::midpoint(1.0 - 1.0 / 3.0, 0.25)),
            "{}",
            score(&[50.0, 100.0, 200.0, 400.0, 500.0])
        );
        assert_eq!(score(&[]), 0.5);
    }

    #[test]
    fn round_values_are_named_within_one_in_a_hundred() {
        for (gap, name) in [(43_200.0, Some("12 h")), (43_631.0, Some("12 h")), (43_640.0, None), (59.5, Some("1 min")), (45.0, None)] {
            assert_eq!(round(gap), name, "{gap}");
        }
    }
}
