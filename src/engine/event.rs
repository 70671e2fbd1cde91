//! What is worth a line in the log: owned, complete, told once. `export::events` writes it as JSON.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub use crate::dissect::observation::{ClientHello, DnsMessage, Question, Record, RecordData, Request, Text};
pub use crate::engine::charge::{Charge, Facts, Located, Spot, Told};
pub use crate::engine::contacts::Contact;
use crate::engine::geo::Country;
pub use crate::engine::identity::Fact;
pub use crate::engine::likeness::SameAs;
pub use crate::engine::location::Least;
pub use crate::engine::pulls::{Pull, SizeClass};
pub use crate::engine::rhythm::RhythmRow;
pub use crate::engine::service::Service;
use crate::engine::snapshot::{Class, Origin, Tally, Verdict};
pub use crate::engine::watchlist::{Category, Hit};
use crate::engine::witness::Location;
pub use crate::mark::{Mark, Phase};
pub use crate::packet::{Mac, Timestamp};

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The time of the packet that told it.
    pub time: Timestamp,
    /// That packet's number in the capture, from 1.
    pub packet: u64,
    /// The device's label; the client's address where no side is ours; empty for a mark of all devices.
    pub device: Arc<str>,
    /// The client's MAC, on links that have them.
    pub mac: Option<Mac>,
    /// Between whom; none for a device that is known by MAC only.
    pub ends: Option<Ends>,
    /// What happened.
    pub detail: Detail,
}

/// The two ends of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Who asked or opened. Port 0 where there is none.
    pub client: SocketAddr,
    /// Who was asked. Port 0 where there is none.
    pub server: SocketAddr,
    /// IP protocol number: 6 TCP, 17 UDP.
    pub protocol: u8,
}

/// What happened, one variant for each `event.action`.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail {
    /// `dns-query` or `dns-answer`, by `message.response`.
    Dns {
        /// `dns`, `mdns` or `llmnr`.
        protocol: &'static str,
        /// The message.
        message: Box<DnsMessage>,
    },
    /// `tls-client-hello`; over QUIC when `quic_version` is there.
    Hello(Box<ClientHello>, Where),
    /// `http-request`.
    Request(Box<Request>, Where),
    /// `device`.
    Device(Box<DeviceNews>),
    /// `association`: a station joined or roamed.
    Association,
    /// `name-conflict`: a hello names another host than the device was told for the address.
    NameConflict {
        /// The name in the hello.
        hello: Arc<str>,
        /// The names from DNS, the latest first.
        dns: Vec<Arc<str>>,
    },
    /// `unoffered-resolver`: a device asks a resolver that neither DHCP nor a Router Advertisement offered.
    UnofferedResolver {
        /// Those that were offered.
        offered: Vec<IpAddr>,
    },
    /// `same-device`: this device may be another one, with another MAC. A proposal, never a merge.
    SameDevice(Box<SameAs>),
    /// `flow`.
    Flow(Box<FlowEnd>),
    /// `watchlist`: a flow to what a list carries. Told of the packet that named it, else of its first.
    Watchlist(Box<Watched>),
    /// What was put on an account of the audited device. No line in the log: `explain` asks for it.
    Charge(Box<Charge>),
    /// `config-pull`: a flow to a host of a listed category that decides what the device does, at its end.
    ConfigPull(Box<ConfigPull>),
    /// `rhythm`: a device's rhythm with a destination shows something for the first time. Told of the flow that showed it.
    Rhythm(Box<RhythmNews>),
    /// `unexpected-country`: a device first met a country outside those that its owner expects. Told like a watchlist's hit.
    UnexpectedCountry(Box<Unexpected>),
    /// `first-contact`: a device that has been learnt met something for the first time.
    FirstContact(Box<FirstContact>),
    /// `mark`: what somebody at the bench said.
    Mark(Box<Mark>),
}

/// Where the server is, as far as the databases know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Where {
    /// The registrable domain of the name in the hello or request; none where that name is not the destination's own
    /// (the public name of an Encrypted ClientHello).
    pub domain: Option<Arc<str>>,
    /// Its country.
    pub country: Option<Country>,
    /// Its autonomous system.
    pub asn: Option<u32>,
    /// The organisation of that.
    pub organisation: Option<Arc<str>>,
    /// Its operator announces the address from many places, so the country is the database's word and no place.
    pub anycast: bool,
}

/// A device first seen, or something new learnt of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceNews {
    /// Its MAC.
    pub mac: Option<Mac>,
    /// All that it bore, in the order of their appearance; several only where the devices file says so.
    pub macs: Vec<Mac>,
    /// Its name in the devices file.
    pub name: Option<Arc<str>>,
    /// What its owner noted there.
    pub notes: Option<Arc<str>>,
    /// Countries that its owner expects, sorted.
    pub expected: Vec<Country>,
    /// Its host name.
    pub hostname: Option<Arc<str>>,
    /// The maker of its MAC.
    pub vendor: Option<Arc<str>>,
    /// Its DHCP vendor class.
    pub vendor_class: Option<Arc<str>>,
    /// Its MAC is locally administered.
    pub randomized: bool,
    /// Its addresses, sorted.
    pub addresses: Vec<IpAddr>,
    /// Everything that was said of who it is, in the order in which it was learnt.
    pub identity: Vec<Fact>,
}

/// A flow to what a watchlist carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// What the list says.
    pub hit: Hit,
    /// Full name of the server.
    pub name: Option<Arc<str>>,
    /// Where it is.
    pub place: Where,
}

/// A config pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigPull {
    /// Its sizes, and how it lies to others.
    pub pull: Pull,
    /// First to last packet.
    pub lasted: Duration,
    /// Full name of the server.
    pub name: Option<Arc<str>>,
    /// What the list says.
    pub hit: Hit,
    /// Where the server is.
    pub place: Where,
}

/// What a rhythm shows for the first time.
#[derive(Clone, Debug, PartialEq)]
pub struct RhythmNews {
    /// `anchored`, `periodic` or `persistent`.
    pub kind: &'static str,
    /// The rhythm as it is now.
    pub row: RhythmRow,
    /// Full name of the server.
    pub name: Option<Arc<str>>,
    /// Where the server is.
    pub place: Where,
}

/// A country that its owner does not expect a device to meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unexpected {
    /// The device's owner expects these, sorted.
    pub expected: Vec<Country>,
    /// Full name of the server.
    pub name: Option<Arc<str>>,
    /// Where it is; the country is the one that is meant.
    pub place: Where,
    /// Whether the handshake's time allows that country.
    pub verdict: Option<Verdict>,
}

/// What a device met for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstContact {
    /// With what.
    pub contact: Contact,
    /// Full name of the server.
    pub name: Option<Arc<str>>,
    /// Where it is.
    pub place: Where,
}

/// A flow that ended or fell idle.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowEnd {
    /// First packet.
    pub first: Timestamp,
    /// First to last packet.
    pub duration: Duration,
    /// What the client sent.
    pub client: Tally,
    /// What the server sent.
    pub server: Tally,
    /// Full name of the server.
    pub name: Option<Arc<str>>,
    /// Its registrable domain.
    pub domain: Option<Arc<str>>,
    /// What named it.
    pub origin: Origin,
    /// The packet that named it, and its time; for a name from DNS, the answer's, which came before the flow.
    pub named: Option<(u64, Timestamp)>,
    /// What is known of its destination.
    pub class: Class,
    /// Handshake time at the sensor: TCP SYN to SYN-ACK, QUIC's first flight to its answer.
    pub rtt: Option<Duration>,
    /// Whether the least handshake time with the server allows its country; none where it is of our side, or a group.
    pub verdict: Option<Verdict>,
    /// What it is for, as far as lists and ports say.
    pub service: Option<Service>,
    /// What all witnesses say of where its server is; none where it is of our side, or a group.
    pub location: Option<Location>,
    /// Why, in a sentence, where it does not.
    pub reason: Option<String>,
    /// Where it is.
    pub place: Where,
}
