//! What follows the marks: which destinations a device meets after something was done to it, and whether that is chance.
//!
//! Road taken: of each destination the bytes S of the flows that begin within a window after each mark of one label; and the same sum for
//! the whole series of marks shifted in a circle through the device's time, by every step of a second (of more where it was there for
//! longer than a day or so). That keeps the marks as far from each other as they are, and the flows too: neither comes evenly. p is
//! the share of the shifts that give S or more, the shift by nothing among them; it is exact, so the same inputs give the same
//! digits. Over all destinations and labels p is corrected by Benjamini and Hochberg (J. R. Stat. Soc. B 57, 1995): q is the
//! share of false ones to be expected among those with this q or less. Roads not taken: ten thousand random shifts, which are a
//! sample of these and need a seed; shuffled flows, to which every burst is a response.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use super::gather::{Gather, Mark, Row, Timed};
use super::model::Response;
use super::words::{clean, milliseconds};
use crate::engine::event::Timestamp;
use crate::engine::snapshot::DeviceRow;

/// Marks of a label below which nothing is said: something follows any three.
const FEWEST: usize = 5;
/// Shifts tried, at most: two weeks would be a million.
const MOST_SHIFTS: u64 = 100_000;
/// A millionth: p and q are told in these.
const MILLION: u64 = 1_000_000;

/// What followed the marks of a device, the least p first; and how many tests found nothing, whose p is 1.
pub(super) fn responses(row: &DeviceRow, gather: &Gather, within: Duration) -> (Vec<Response>, u64) {
    let mut endpoints: Vec<&Row> = gather.rows.iter().filter(|other| other.key.device == row.id).collect();
    endpoints.sort_by_key(|row| name(row));
    let mut told = Vec::new();
    let mut tests = 0_u64;
    for (label, marks) in series(row, gather) {
        for endpoint in endpoints.chunk_by(|one, other| name(one) == name(other)) {
            tests = tests.saturating_add(1);
            told.extend(test(label, &marks, endpoint, row, within));
        }
    }
    told.sort_by_key(|response| (response.p_millionths, Reverse(response.bytes))); // stable
    correct(&mut told, tests);
    let silent = tests.saturating_sub(told.len() as u64);
    (told, silent)
}

/// The marks that hold for a device, by label, in the order of time; those outside its time are none of its own.
fn series<'a>(row: &DeviceRow, gather: &'a Gather) -> Vec<(&'a Arc<str>, Vec<Timestamp>)> {
    let own = |mark: &&Mark| mark.device.as_ref().is_none_or(|device| *device == row.id) && (row.first..=row.last).contains(&mark.time);
    let mut marks: Vec<&Mark> = gather.marks.iter().filter(own).collect();
    marks.sort_by_key(|mark| (&mark.label, mark.time));
    marks
        .chunk_by(|one, other| one.label == other.label)
        .filter(|same| same.len() >= FEWEST)
        .filter_map(|same| Some((&same.first()?.label, same.iter().map(|mark| mark.time).collect())))
        .collect()
}

/// What a flow went to: its name, else its system.
fn name(row: &Row) -> &Arc<str> {
    row.key.name.as_ref().unwrap_or(&row.key.destination)
}

fn test(label: &str, marks: &[Timestamp], endpoint: &[&Row], device: &DeviceRow, within: Duration) -> Option<Response> {
    let circle = Circle::new(device.first, device.last, within);
    let first = endpoint.first()?;
    let flows = || endpoint.iter().flat_map(|row| &row.times);
    let followed = |mark: &Timestamp| {
        let after = |flow: &Timed| flow.first.as_nanos().checked_sub(mark.as_nanos()).map(Duration::from_nanos);
        flows().filter_map(after).filter(|after| *after < within).min()
    };
    let mut delays: Vec<Duration> = marks.iter().filter_map(followed).collect();
    if delays.is_empty() {
        return None;
    }
    delays.sort_unstable();
    let (bytes, mean, p_millionths) = circle.chance(marks, flows());
    Some(Response {
        label: clean(label),
        marks: marks.len() as u64,
        answered: delays.len() as u64,
        destination: clean(name(first)),
        category: first.category.map(|(category, _)| category),
        bytes,
        expected_bytes: mean,
        median_delay_ms: delays.get(delays.len() / 2).copied().map(milliseconds).unwrap_or_default(),
        p_millionths,
        q_millionths: p_millionths,
    })
}

/// A device's time, closed to a circle of equal steps.
#[derive(Clone, Copy, Debug)]
struct Circle {
    /// Nanoseconds.
    step: u64,
    steps: u64,
    window: u64,
}

impl Circle {
    fn new(first: Timestamp, last: Timestamp, within: Duration) -> Self {
        const SECOND: u64 = 1_000_000_000;
        let seconds = last.since(first).as_secs().saturating_add(1);
        let step = seconds.div_ceil(MOST_SHIFTS);
        let window = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
        Self { step: step.saturating_mul(SECOND), steps: seconds.div_ceil(step), window }
    }

    /// The bytes after the marks; the mean over all shifts; the share of the shifts that have as many or more.
    fn chance<'a>(self, marks: &[Timestamp], flows: impl Iterator<Item = &'a Timed>) -> (u64, u64, u64) {
        let all = self.step.saturating_mul(self.steps);
        // What each shift has more than the one before it.
        let mut changes = vec![0_i128; usize::try_from(self.steps).unwrap_or_default().saturating_add(1)];
        let mut change = |at: u64, bytes: i128| {
            if let Some(change) = usize::try_from(at).ok().and_then(|at| changes.get_mut(at)) {
                *change = change.saturating_add(bytes);
            }
        };
        let window = self.window.min(all);
        for flow in flows {
            for mark in marks {
                // A shift k counts the flow where it lies in [mark + k, mark + k + window), on the circle.
                let after = match flow.first.as_nanos().checked_sub(mark.as_nanos()) {
                    Some(after) => after.checked_rem(all).unwrap_or_default(),
                    None => all.saturating_sub(mark.as_nanos().saturating_sub(flow.first.as_nanos())),
                };
                let bytes = i128::from(flow.bytes());
                let last = after.checked_div(self.step).unwrap_or_default();
                let round = |nanos: u64| nanos.checked_div(self.step).unwrap_or_default().saturating_add(1);
                match after.checked_sub(window) {
                    Some(before) => change(round(before), bytes),
                    None => {
                        change(0, bytes);
                        // Those before the first are the last of the circle.
                        change(round(all.saturating_sub(window.saturating_sub(after))), bytes);
                        change(self.steps, bytes.saturating_neg());
                    }
                }
                change(last.saturating_add(1), bytes.saturating_neg());
            }
        }
        let mut sums = changes.iter().take(changes.len().saturating_sub(1)).scan(0_i128, |sum, change| {
            *sum = sum.saturating_add(*change);
            Some(*sum)
        });
        let Some(observed) = sums.next() else { return (0, 0, MILLION) };
        let (mut as_many, mut total) = (1_u64, observed);
        for sum in sums {
            as_many = as_many.saturating_add(u64::from(sum >= observed));
            total = total.saturating_add(sum);
        }
        let mean = total.checked_div(i128::from(self.steps)).unwrap_or_default();
        let share = as_many.saturating_mul(MILLION).div_ceil(self.steps.max(1));
        (u64::try_from(observed).unwrap_or_default(), u64::try_from(mean).unwrap_or_default(), share)
    }
}

/// Benjamini and Hochberg's step up: `told` begins with the least p; of `tests` in all, the others have a p of 1.
fn correct(told: &mut [Response], tests: u64) {
    let mut least = MILLION;
    for (at, response) in told.iter_mut().enumerate().rev() {
        let rank = (at as u64).saturating_add(1);
        least = least.min(response.p_millionths.saturating_mul(tests).div_ceil(rank));
        response.q_millionths = least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    fn flow(seconds: u64, bytes: u64) -> Timed {
        Timed { first: at(seconds), lasted: 10, up: 0, down: bytes }
    }

    /// The definition, word by word.
    fn slowly(seconds: u64, within: u64, marks: &[u64], flows: &[(u64, u64)]) -> (u64, u64, u64) {
        let sums: Vec<u64> = (0..seconds)
            .map(|shift| {
                let after = |mark: u64, flow: u64| (flow + 2 * seconds - mark - shift) % seconds;
                let of = |mark: &u64| flows.iter().filter(|flow| after(*mark, flow.0) < within).map(|flow| flow.1).sum::<u64>();
                marks.iter().map(of).sum()
            })
            .collect();
        let as_many = sums.iter().filter(|sum| **sum >= sums[0]).count() as u64;
        (sums[0], sums.iter().sum::<u64>() / seconds, (as_many * MILLION).div_ceil(seconds))
    }

    #[test]
    fn every_shift_counts_as_the_definition_says() {
        let mut rng = fastrand::Rng::with_seed(8);
        for _ in 0..200 {
            let seconds = rng.u64(2..400);
            let within = rng.u64(1..90);
            let marks: Vec<u64> = (0..rng.usize(1..9)).map(|_| rng.u64(0..seconds)).collect();
            let flows: Vec<(u64, u64)> = (0..rng.usize(0..30)).map(|_| (rng.u64(0..seconds), rng.u64(60..9_000))).collect();
            let circle = Circle::new(at(0), at(seconds - 1), Duration::from_secs(within));
            let times: Vec<Timed> = flows.iter().map(|(at, bytes)| flow(*at, *bytes)).collect();
            let marked: Vec<Timestamp> = marks.iter().map(|mark| at(*mark)).collect();
            assert_eq!(circle.chance(&marked, times.iter()), slowly(seconds, within.min(seconds), &marks, &flows));
        }
    }

    #[test]
    fn a_long_time_is_tried_in_longer_steps() {
        let circle = Circle::new(at(0), at(14 * 86_400), Duration::from_secs(60));
        assert!(circle.steps <= MOST_SHIFTS && circle.step == 13_000_000_000, "{circle:?}");
    }

    /// Marks at random moments: what follows each of them is no chance, what comes by itself is.
    #[test]
    fn what_follows_stands_out_and_what_comes_by_itself_does_not() {
        let mut rng = fastrand::Rng::with_seed(5);
        let circle = Circle::new(at(0), at(86_399), Duration::from_secs(60));
        let marks: Vec<u64> = (0..40).map(|_| rng.u64(0..86_000)).collect();
        let marked: Vec<Timestamp> = marks.iter().map(|mark| at(*mark)).collect();
        let follows: Vec<Timed> = marks.iter().map(|mark| flow(mark + rng.u64(0..3), 2_000)).collect();
        let (bytes, mean, p) = circle.chance(&marked, follows.iter());
        assert!(bytes >= 80_000 && mean < 4_000 && p < 2_000, "{bytes} {mean} {p}");
        let alone: Vec<u64> = (0..50)
            .map(|_| {
                let flows: Vec<Timed> = (0..100).map(|_| flow(rng.u64(0..86_400), 2_000)).collect();
                circle.chance(&marked, flows.iter()).2
            })
            .collect();
        let few = alone.iter().filter(|p| **p < 100_000).count();
        assert!(few <= 12 && alone.iter().any(|p| *p > 500_000), "one in ten is below 0.1: {alone:?}");
    }

    #[test]
    fn many_tests_need_a_smaller_p() {
        let response = |p_millionths| Response { p_millionths, ..Response::default() };
        let mut told = [1_000, 8_000, 39_000, 41_000, 42_000].map(response);
        correct(&mut told, 8);
        assert_eq!(told.map(|response| response.q_millionths), [8_000, 32_000, 67_200, 67_200, 67_200]);
        let mut one = [response(700_000)];
        correct(&mut one, 3);
        assert_eq!(one[0].q_millionths, MILLION);
    }
}
