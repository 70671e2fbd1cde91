//! DHCPv6 messages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whither::dissect::dhcp6;

fuzz_target!(|input: &[u8]| {
    whither_fuzz::datagram(&dhcp6::DISSECTOR, input);
});
