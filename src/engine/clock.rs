//! Monotone time made of packet times.

use crate::packet::Timestamp;

/// The engine's clock: it moves with packets and never backwards.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    now: Timestamp,
}

impl Clock {
    /// Moves on to `time`, or stays where it is when `time` is earlier; returns the time now.
    pub(super) fn advance(&mut self, time: Timestamp) -> Timestamp {
        self.now = self.now.max(time);
        self.now
    }

    /// The time now.
    #[must_use]
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }
}
