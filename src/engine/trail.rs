//! Which packets stand behind what a flow is told as: kept while somebody audits, for `explain`.
//!
//! Road taken: a box beside each flow, made only when a device is audited, so that a sensor pays one pointer for each flow. Road
//! not taken: making the evidence of `flow` events. They are told once where both sides are ours, and know nothing of an address
//! that changed hands or of a frame that found no room, so no sum of them would be the table's.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::charge::{Spot, Told};
use crate::engine::flow::{Flow, Life, Side, Sides};
use crate::engine::names::Candidate;
use crate::engine::snapshot::{Both, Place, Tally};
use crate::packet::Packet;

/// The packets behind a flow so far.
#[derive(Debug)]
pub(super) struct Trail {
    /// The first packet that its account is charged with.
    pub(super) began: Spot,
    /// What it had carried before that.
    before: Sides<Tally>,
    /// Its last packet.
    pub(super) latest: Spot,
    /// The packet that asked for a handshake.
    asked: Option<Spot>,
    /// Its handshake.
    pub(super) handshake: Option<(Spot, Spot, Duration)>,
    /// The answers from DNS that fitted when it was named.
    pub(super) answers: Vec<Told>,
}

impl Flow {
    /// Leaves a trail from now on.
    pub(super) fn leave_trail(&mut self, packet: &Packet<'_>) {
        let here = (packet.number, packet.time);
        self.trail = Some(Box::new(Trail {
            began: here,
            before: Sides::default(),
            latest: here,
            asked: None,
            handshake: None,
            answers: Vec::new(),
        }));
    }

    /// Notes that an account is charged from this packet on, which is not yet counted.
    pub(super) fn begin_trail(&mut self, packet: &Packet<'_>) {
        if let Some(trail) = &mut self.trail {
            trail.began = (packet.number, packet.time);
            trail.before = self.seen;
        }
    }

    /// Notes a packet; `timed` says that it answered a handshake.
    pub(super) fn extend_trail(&mut self, packet: &Packet<'_>, timed: bool) {
        let Some(trail) = &mut self.trail else { return };
        trail.latest = (packet.number, packet.time);
        if matches!(self.life, Life::Opening(_, false)) || self.asked.is_some() {
            trail.asked.get_or_insert(trail.latest);
        }
        if timed {
            trail.handshake = trail.asked.zip(self.rtt).map(|(asked, rtt)| (asked, trail.latest, rtt));
        }
    }

    /// What `side` sent and received while an account was charged with it.
    pub(super) fn charged(&self, trail: &Trail, side: Side) -> Both {
        let of = |side: Side| self.seen.of(side).since(*trail.before.of(side));
        let receive = if self.place == Place::Multicast { Tally::default() } else { of(side.other()) };
        Both { transmit: of(side), receive }
    }
}

impl From<&Candidate> for Told {
    fn from(candidate: &Candidate) -> Self {
        let answer = &candidate.answer;
        Self { name: Arc::clone(&answer.title.name), ttl: answer.ttl, by: answer.by }
    }
}
