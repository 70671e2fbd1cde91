//! DHCP (stub).
use super::{Dissector, Over, Verdict};
/// DHCPv4.
pub const DISSECTOR: Dissector = Dissector { name: "dhcp", over: Over::Datagram, ports: &[67, 68], read: |_| Verdict::NotMine };
