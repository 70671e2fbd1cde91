//! DNS (stub).
use super::{Dissector, Over, Verdict};
/// DNS over UDP.
pub const OVER_UDP: Dissector = Dissector { name: "dns", over: Over::Datagram, ports: &[53], read: |_| Verdict::NotMine };
/// DNS over TCP.
pub const OVER_TCP: Dissector = Dissector { name: "dns", over: Over::Stream, ports: &[53], read: |_| Verdict::NotMine };
/// mDNS.
pub const MDNS: Dissector = Dissector { name: "mdns", over: Over::Datagram, ports: &[5353], read: |_| Verdict::NotMine };
/// LLMNR.
pub const LLMNR: Dissector = Dissector { name: "llmnr", over: Over::Datagram, ports: &[5355], read: |_| Verdict::NotMine };
