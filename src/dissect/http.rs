//! HTTP (stub).
use super::{Dissector, Over, Verdict};
/// HTTP/1 requests.
pub const DISSECTOR: Dissector = Dissector { name: "http", over: Over::Stream, ports: &[], read: |_| Verdict::NotMine };
