//! What a device does again and again with one destination: beats, their period and jitter, and whether joining the network
//! releases them. Data and formulas; `habit` feeds them.
//!
//! Road taken: of each destination the last [`MOST_BEATS`] beats are kept, and all is computed from them when somebody asks.
//! A beat is what begins within [`BURST`] of its neighbour, because a client opens several connections at once. Period and
//! jitter are the median of the gaps and their median absolute deviation: one night or one page view moves neither. The
//! regularity is the mean of the timestamp and data size scores as RITA defines them. "Periodic" is a test of its own, since
//! random gaps score one half there: more gaps lie near the median than chance would put there. What a phone does only when
//! it joins has no period to find (two or three contacts in a day), so those beats are held against its associations.
//! Roads not taken: a Fourier transform or a histogram of hours, which need many periods; whole flows instead of beats, which
//! a browser would fill in a second.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::attach::Attachments;
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
const PERIODIC: f64 = 1e-4;
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
    /// What a watchlist says that it is for.
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
    /// More gaps are near the period than random ones would be.
    pub periodic: bool,
    /// Held against the associations; none where there are none.
    pub attach: Option<Attach>,
    /// The least gap between beats, seconds.
    pub gap_floor: Option<f64>,
    /// The round value that the least gap lies within 1 % of: `12 h`.
    pub round_gap: Option<&'static str>,
    /// Connections of an hour and more.
    pub persistent: Persistent,
    /// First flow.
    pub first: Timestamp,
    /// Last flow's begin.
    pub last: Timestamp,
}

/// Beats against associations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attach {
    /// Beats within [`crate::engine::attach::WINDOW`] of an association.
    pub after: usize,
    /// Beats in all.
    pub beats: usize,
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
    /// Takes in a flow that ended: when it began, and its bytes up and down.
    pub(super) fn note(&mut self, begin: Timestamp, (up, down): (u64, u64)) {
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
            return;
        }
        if after && let Some(next) = self.beats.get_mut(at) {
            next.first = begin;
            return next.add(up, down);
        }
        if self.beats.len() < MOST_BEATS {
            self.beats.insert(at, Beat { first: begin, last: begin, up, down });
            return;
        }
        self.forgot = true;
        if let Some(at) = at.checked_sub(1) {
            self.beats.remove(0);
            self.beats.insert(at, Beat { first: begin, last: begin, up, down });
        }
    }

    /// What all of it comes to. `seen` is when the device was first and last heard of and how long it was there in between.
    pub(super) fn row(&self, device: &Arc<str>, destination: &Arc<str>, attachments: &Attachments) -> RhythmRow {
        let gaps = self.gaps();
        let sizes: Vec<f64> = self.beats.iter().map(|beat| beat.up.saturating_add(beat.down) as f64).collect();
        let (up, down) =
            self.beats.iter().fold((0_u64, 0_u64), |(up, down), beat| (up.saturating_add(beat.up), down.saturating_add(beat.down)));
        let all = up.saturating_add(down);
        let gap_floor = gaps.iter().copied().min_by(f64::total_cmp);
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
            attach: self.attach(attachments),
            gap_floor,
            round_gap: gap_floor.and_then(round),
            persistent: self.persistent,
            first: self.beats.first().map_or(Timestamp::default(), |beat| beat.first),
            last: self.beats.last().map_or(Timestamp::default(), |beat| beat.last),
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
        let delays: Vec<f64> = known.iter().filter_map(|first| attachments.delay(*first)).map(|delay| delay.as_secs_f64()).collect();
        let delays: Vec<f64> = delays.into_iter().filter(|delay| *delay <= crate::engine::attach::WINDOW.as_secs_f64()).collect();
        let (after, beats) = (delays.len(), known.len());
        if beats == 0 {
            return None;
        }
        // Half a beat more on both sides, so that none in the rest is not infinitely rare (Haldane 1956).
        let rate = |count: usize, seconds: f64| (count as f64 + 0.5) / seconds;
        let log_ratio = (rate(after, exposure.within) / rate(beats.saturating_sub(after), exposure.rest)).ln();
        let chance = at_least(after, beats, exposure.within / (exposure.within + exposure.rest));
        let anchored = after >= 2 && after.saturating_mul(2) >= beats && chance <= ANCHORED;
        Some(Attach { after, beats, log_ratio, chance, delay: median(&delays), anchored })
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

/// Whether more gaps lie near their median than if each moment were as good as any other (exponential gaps, none below
/// [`BURST`]): an exact binomial test. The median's own gap is no evidence. No five beats suffice.
fn is_periodic(gaps: &[f64]) -> bool {
    let Some(middle) = median(gaps) else { return false };
    let floor = BURST.as_secs_f64();
    if gaps.len() < FEWEST || middle <= floor {
        return false;
    }
    let near = gaps.iter().filter(|gap| (*gap - middle).abs() <= NEAR * middle).count();
    let beyond = |gap: f64| (-(gap - floor).max(0.0) / (middle - floor)).exp2();
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
