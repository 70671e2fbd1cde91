//! Which packets stand behind what a flow is told as: kept while somebody audits, for `explain`.
//!
//! Road taken: a box beside each flow, made only when a device is audited, so that a sensor pays one pointer for each flow. Road
//! not taken: making the evidence of `flow` events. They are told once where both sides are ours, and know nothing of an address
//! that changed hands or of a frame that found no room, so no sum of them would be the table's.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::flow::{Flow, Life, Side, Sides};
use crate::engine::location::Least;
use crate::engine::names::Candidate;
use crate::engine::snapshot::{Both, Class, Origin, Place, Tally, Verdict};
use crate::packet::{Packet, Timestamp};

/// A packet's number, and its own time.
pub type Spot = (u64, Timestamp);

/// What one flow, or one frame of none, put on one account: told of its first packet, under the account's device.
#[derive(Clone, Debug, PartialEq)]
pub struct Charge {
    /// The account: its label.
    pub destination: Arc<str>,
    /// What named it.
    pub origin: Origin,
    /// Where it is.
    pub place: Place,
    /// Its autonomous system.
    pub asn: Option<u32>,
    /// How much, seen from the device.
    pub total: Both,
    /// The last packet.
    pub last: Spot,
    /// The flow; none for a frame that was not followed.
    pub flow: Option<Box<Facts>>,
}

/// What is known of a flow, and by which packets.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The side that it was located by.
    pub far: IpAddr,
    /// Full name of the server.
    pub name: Option<Arc<str>>,
    /// The packet that named it.
    pub named: Option<Spot>,
    /// The answers from DNS that fitted when it was named, the latest first; none where something better named it.
    pub answers: Vec<Told>,
    /// What is known of its destination.
    pub class: Class,
    /// Its own handshake: the packet that asked, the one that answered, and the time between.
    pub handshake: Option<(Spot, Spot, Duration)>,
    /// What was made of its location; none on our side.
    pub location: Option<Located>,
}

/// What an answer from DNS said of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The name that was asked for.
    pub name: Arc<str>,
    /// Its lifetime as answered.
    pub ttl: Duration,
    /// The packet that held the answer.
    pub by: Spot,
}

/// A location and what speaks for and against it. A further witness is a further field.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// The verdict that its bytes were counted under.
    pub verdict: Verdict,
    /// What there is to say, in a sentence: as the flow ended.
    pub words: String,
    /// The least handshake with its server, of any device, as the flow ended.
    pub least: Option<Least>,
}

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
        Self { name: Arc::clone(&answer.name), ttl: answer.ttl, by: answer.by }
    }
}
