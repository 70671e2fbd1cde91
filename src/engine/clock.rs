//! Monotone time made of packet times, except where all packets agree that it was wrong.
//!
//! Time moves with packets and never backwards within a day: frames of two queues come out of order. One frame a day or more
//! away, forward or back, proves nothing: a damaged record or a forged capture would push time to the year 2554, after which
//! no flow ever falls silent, full tables turn every newcomer away and each handshake takes no time. It waits until the next
//! frame is nearer to it than to the time now; then time leaps, back as well: after a first frame from the future, or where a
//! clock was set. Road not taken: taking the leap at once (a lone frame freezes expiry for ever); never going back (the same,
//! if the first frame is the wrong one); counting time by steps between frames (what is shown to people would be off for good).

use std::time::Duration;

use crate::packet::Timestamp;

/// A step that one frame alone may not take. Below it, going back is waiting: at worst flows end a day late.
const LEAP: Duration = Duration::from_hours(24);

/// A step forward that needs no thought, nanoseconds: any below [`LEAP`] would do.
const STEP: u64 = 60_000_000_000;

/// The engine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    now: Option<Timestamp>,
    /// A leap that waits for a second frame.
    leap: Option<Timestamp>,
    /// Time has leapt forward, and nobody asked yet.
    leapt: bool,
}

impl Clock {
    /// Moves on to `time`, or stays where it is when `time` is earlier or a leap that nothing confirms; returns the time now.
    #[inline]
    pub(super) fn advance(&mut self, time: Timestamp) -> Timestamp {
        // What nearly every frame does: a small step forward.
        if let Some(now) = self.now
            && now <= time
            && time.as_nanos().saturating_sub(now.as_nanos()) < STEP
        {
            (self.now, self.leap) = (Some(time), None);
            return time;
        }
        self.weigh(time)
    }

    /// The same, for any time.
    fn weigh(&mut self, time: Timestamp) -> Timestamp {
        let now = self.now.unwrap_or(time);
        let confirmed = self.leap.is_some_and(|leap| apart(leap, time) < apart(now, time));
        let next = match apart(now, time) < LEAP {
            true => now.max(time),
            false if confirmed => time,
            false => now,
        };
        self.leapt |= apart(now, next) >= LEAP && next > now;
        self.leap = (next != time && apart(now, time) >= LEAP).then_some(time);
        self.now = Some(next);
        next
    }

    /// Whether time has leapt forward since this was last asked. Nobody watched meanwhile, so nobody can be said to have been silent.
    pub(super) fn has_leapt(&mut self) -> bool {
        std::mem::take(&mut self.leapt)
    }

    /// The time now.
    #[must_use]
    pub(super) fn now(&self) -> Timestamp {
        self.now.unwrap_or_default()
    }
}

fn apart(one: Timestamp, other: Timestamp) -> Duration {
    one.since(other).max(other.since(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;

    /// What the clock shows after each time, all in seconds.
    fn shown(times: &[u64]) -> Vec<u64> {
        let mut clock = Clock::default();
        times.iter().map(|time| clock.advance(Timestamp::from_nanos(time * 1_000_000_000)).as_nanos() / 1_000_000_000).collect()
    }

    #[test]
    fn it_moves_with_packets_and_not_back() {
        assert_eq!(shown(&[100_000, 100_005, 100_003, 100_000 - HOUR, 100_006]), [100_000, 100_005, 100_005, 100_005, 100_006]);
    }

    #[test]
    fn one_frame_alone_does_not_make_it_leap() {
        assert_eq!(shown(&[1_000_000, 18_000_000_000, 1_000_001, 0, 1_000_002]), [1_000_000, 1_000_000, 1_000_001, 1_000_001, 1_000_002]);
    }

    #[test]
    fn two_frames_that_agree_make_it_leap_both_ways() {
        let (early, late) = (1_000_000, 9_000_000);
        assert_eq!(shown(&[early, late, late + 1, early, early + 1]), [early, early, late + 1, late + 1, early + 1]);
    }

    #[test]
    fn a_leap_forward_is_told_once() {
        let mut clock = Clock::default();
        let mut at = |seconds: u64| {
            clock.advance(Timestamp::from_nanos(seconds * 1_000_000_000));
            clock.has_leapt()
        };
        assert_eq!([1_000_000, 1_000_000 + HOUR, 9_000_000, 9_000_001, 9_000_002].map(&mut at), [false, false, false, true, false]);
        assert_eq!([1_000_000, 1_000_001, 1_000_002].map(&mut at), [false; 3], "back is no silence");
    }

    #[test]
    fn a_link_with_a_packet_every_other_day_still_has_time() {
        let day = 24 * HOUR;
        assert_eq!(shown(&[day, 3 * day, 5 * day, 7 * day]), [day, day, 5 * day, 5 * day]);
    }
}
