//! The only way in: where frames come from.
//!
//! Two ways, one shape of frame: `live` reads an interface through libpcap (feature `live`; `watch` keeps at it when it is lost),
//! `file` reads captures without libpcap. Both hand borrowed [`crate::packet::Frame`]s to whoever asks, in order, and neither
//! knows what they mean. The live way also answers what only this machine can know (`interface`): which interface to watch,
//! and which addresses on it are ours.

mod described;
pub mod file;
#[cfg(feature = "live")]
pub mod interface;
#[cfg(feature = "live")]
pub mod live;
pub mod statistics;
#[cfg(feature = "live")]
pub mod watch;
#[cfg(feature = "live")]
mod wireless;

use std::time::Duration;

/// How long to wait before an interface that is lost is tried again: 1 s, 2 s, 4 s, … 30 s.
///
/// It asks no clock: whoever waits says how long it has waited, so that stopping is never delayed by a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pause: Duration,
    left: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { pause: Self::FIRST, left: Self::FIRST }
    }
}

impl Backoff {
    /// The first pause.
    pub const FIRST: Duration = Duration::from_secs(1);
    /// The longest pause: an access point that comes back is seen within half a minute.
    pub const LAST: Duration = Duration::from_secs(30);

    /// Tells that `span` has been waited; true when it is time to try, and then the next pause is twice as long.
    pub fn waited(&mut self, span: Duration) -> bool {
        self.left = self.left.saturating_sub(span);
        if !self.left.is_zero() {
            return false;
        }
        self.pause = self.pause.saturating_mul(2).min(Self::LAST);
        self.left = self.pause;
        true
    }

    /// How much is left to wait.
    #[must_use]
    pub const fn left(&self) -> Duration {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pauses between tries, in seconds, when told of each `step` that went by.
    fn pauses(step: Duration, tries: usize) -> Vec<u64> {
        let mut backoff = Backoff::default();
        let mut pauses = Vec::new();
        let mut waited = Duration::ZERO;
        while pauses.len() < tries {
            waited += step;
            if backoff.waited(step) {
                pauses.push(waited.as_secs());
                waited = Duration::ZERO;
            }
        }
        pauses
    }

    #[test]
    fn the_pause_doubles_up_to_half_a_minute() {
        assert_eq!(pauses(Duration::from_millis(250), 7), [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn a_wait_cut_short_is_made_up_for() {
        let mut backoff = Backoff::default();
        assert!(!backoff.waited(Duration::from_millis(999)));
        assert_eq!(backoff.left(), Duration::from_millis(1));
        assert!(backoff.waited(Duration::from_millis(1)));
        assert_eq!(backoff.left(), Duration::from_secs(2));
    }
}
