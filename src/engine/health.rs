//! What went wrong with input, counted by kind and forgotten: never logged per packet.

use crate::packet::Skip;

/// Counters by a name that is known at compile time; bounded by the names in the program.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters(Vec<(&'static str, u64)>);

impl Counters {
    /// Counts one.
    pub(super) fn count(&mut self, name: &'static str) {
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.0.push((name, 1)),
        }
    }

    /// All of them, by name.
    #[must_use]
    pub(super) fn rows(&self) -> Vec<(&'static str, u64)> {
        let mut rows = self.0.clone();
        rows.sort_unstable();
        rows
    }
}

/// Counters by protocol and reason; bounded by the words in the program.
#[derive(Clone, Debug, Default)]
pub(super) struct Reasons(Vec<(&'static str, &'static str, u64)>);

impl Reasons {
    /// Counts one.
    pub(super) fn count(&mut self, protocol: &'static str, reason: &'static str) {
        match self.0.iter_mut().find(|(name, why, _)| (*name, *why) == (protocol, reason)) {
            Some((.., count)) => *count = count.saturating_add(1),
            None => self.0.push((protocol, reason, 1)),
        }
    }

    /// All of them, by protocol and reason.
    #[must_use]
    pub(super) fn rows(&self) -> Vec<(&'static str, &'static str, u64)> {
        let mut rows = self.0.clone();
        rows.sort_unstable();
        rows
    }
}

/// The input's state of health.
#[derive(Clone, Debug, Default)]
pub(super) struct Health {
    /// Frames read.
    pub(super) packets: u64,
    /// Frames that could not be charged to a device, by reason.
    pub(super) skipped: Counters,
    /// Messages that could not be read, by protocol.
    pub(super) malformed: Counters,
    /// The same, by protocol and reason.
    pub(super) why: Reasons,
    /// Flows that began with a QUIC long header, by version.
    pub(super) quic_versions: Counters,
    /// Events that found no room.
    pub(super) events_dropped: u64,
}

impl Health {
    /// Counts a frame that cannot be charged to anybody.
    pub(super) fn skip(&mut self, reason: Skip) {
        self.skipped.count(reason);
    }
}
