//! Bytes to what they say. Pure: no memory, no clock, nothing of ours above it.
//!
//! A dissector is a function of a byte prefix. It never keeps state of its own: the flow keeps the prefix, and
//! [`Verdict::NeedMore`] says when asking again could help, so reading stays linear. To add one: a file with a
//! `pub(crate) const DISSECTOR`, and a row in [`DISSECTORS`].
//!
//! Road not taken: a parser object per flow (state in nine places), trait objects (a table of functions is enough).

pub mod certificate;
pub mod dhcp;
pub mod dhcp6;
pub mod dns;
pub mod http;
mod ja4;
pub mod observation;
pub mod quic;
mod reader;
pub mod ssdp;
pub mod starttls;
pub mod tls;
pub mod tunnel;

use observation::Observation;

/// One protocol: where it may be found and the function that reads it.
#[derive(Clone, Copy, Debug)]
pub struct Dissector {
    /// Its name in metrics and events.
    pub name: &'static str,
    /// What it reads.
    pub over: Over,
    /// Ports of either side that it is limited to; empty means any.
    pub ports: &'static [u16],
    /// Reads a prefix of a stream, or one datagram.
    pub read: fn(&[u8]) -> Verdict,
}

/// What a dissector reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The bytes of one direction of a TCP connection, from its beginning or from where the last reading ended.
    Stream,
    /// One UDP payload.
    Datagram,
}

/// What a dissector says of the bytes that it was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not this protocol: it leaves the race.
    NotMine,
    /// It may be: ask again when the prefix has at least this many bytes (always more than were shown).
    NeedMore(usize),
    /// This protocol, but a message that cannot be read (the reason, for the counter). It leaves the race, except where the next message is known to
    /// begin behind this one ([`dns::end`]).
    Malformed(&'static str),
    /// It saw something.
    Saw {
        /// What it saw.
        seen: Observation,
        /// Bytes of the prefix that are done with; at least 1.
        used: usize,
        /// More of it may follow on this stream: show it what comes after `used`.
        more: bool,
    },
    /// A QUIC Initial of a client: pieces of the CRYPTO stream for [`tls::handshake`].
    Carries(quic::Pieces),
}

/// Every protocol that is read: one row each.
pub const DISSECTORS: [Dissector; 13] = [
    tls::DISSECTOR,
    certificate::DISSECTOR,
    http::DISSECTOR,
    dns::OVER_TCP,
    dns::OVER_UDP,
    dns::MDNS,
    dns::LLMNR,
    dhcp::DISSECTOR,
    dhcp6::DISSECTOR,
    ssdp::DISSECTOR,
    quic::DISSECTOR,
    tunnel::OVER_UDP,
    tunnel::OVER_TCP,
];
