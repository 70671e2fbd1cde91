//! What went wrong with input, counted by kind and forgotten: never logged per packet. And which part of it is this engine's to count.

use std::net::IpAddr;

use crate::engine::share::{Party, Share};
use crate::packet::{Frame, Skip};

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
    /// This engine's share, where there are several.
    pub(super) share: Option<Box<Share>>,
    /// What is read now is counted by another engine.
    pub(super) elsewhere: bool,
}

impl Health {
    /// Counts a frame; whether this engine reads it.
    pub(super) fn takes(&mut self, frame: &Frame<'_>) -> bool {
        if let Some(share) = &self.share {
            let party = share.party(frame);
            self.elsewhere = party == Party::Reads;
            if party == Party::Other {
                return false;
            }
        }
        self.packets = self.packets.saturating_add(u64::from(!self.elsewhere));
        true
    }

    /// From now on what passed between two addresses is read, which is of no frame; what held before.
    pub(super) fn turn(&mut self, one: IpAddr, other: IpAddr) -> bool {
        let elsewhere = self.share.as_ref().is_some_and(|share| !share.is_first() && share.is_common(one, other));
        std::mem::replace(&mut self.elsewhere, elsewhere)
    }

    /// Counts a frame that cannot be charged to anybody.
    pub(super) fn skip(&mut self, reason: Skip) {
        if !self.elsewhere {
            self.skipped.count(reason);
        }
    }

    /// Counts a message that could not be read.
    pub(super) fn refuse(&mut self, protocol: &'static str, reason: &'static str) {
        if !self.elsewhere {
            self.malformed.count(protocol);
            self.why.count(protocol, reason);
        }
    }

    /// Counts a flow that began with a QUIC long header.
    pub(super) fn quic(&mut self, version: &'static str) {
        if !self.elsewhere {
            self.quic_versions.count(version);
        }
    }
}
