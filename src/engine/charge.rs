//! What was put on an account, and the evidence for where it was put: told of one device, for `explain`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::location::Least;
use crate::engine::snapshot::{Both, Class, Origin, Place, Verdict};
use crate::engine::witness::Location;
use crate::packet::Timestamp;

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

/// A location and what speaks for and against it.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// The verdict that its bytes were counted under.
    pub verdict: Verdict,
    /// What the handshakes say, in a sentence: as the flow ended.
    pub words: String,
    /// What all witnesses say.
    pub witnesses: Location,
    /// The least handshake with its server, of any device, as the flow ended.
    pub least: Option<Least>,
}
