//! TLS (stub).
use super::{Dissector, Over, Verdict};
/// TLS over TCP.
pub const DISSECTOR: Dissector = Dissector { name: "tls", over: Over::Stream, ports: &[], read: |_| Verdict::NotMine };
/// Reads TLS handshake bytes without record headers.
#[must_use]
pub fn handshake(_bytes: &[u8], _quic: Option<u32>) -> Verdict {
    Verdict::NotMine
}
