//! QUIC (stub).
use super::{Dissector, Over, Verdict};
/// QUIC.
pub const DISSECTOR: Dissector = Dissector { name: "quic", over: Over::Datagram, ports: &[], read: |_| Verdict::NotMine };
/// The CRYPTO frames of a datagram's client Initials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// The version on the wire.
    pub version: u32,
    /// The connection ID whose keys opened them: the engine keeps the flow's first for later datagrams.
    pub key_id: Vec<u8>,
    /// Offset and bytes of each frame, in order of appearance.
    pub pieces: Vec<(u64, Vec<u8>)>,
}
