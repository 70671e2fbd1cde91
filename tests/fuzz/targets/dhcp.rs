//! DHCPv4 messages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whither::dissect::dhcp;

fuzz_target!(|input: &[u8]| {
    whither_fuzz::datagram(&dhcp::DISSECTOR, input);
});
