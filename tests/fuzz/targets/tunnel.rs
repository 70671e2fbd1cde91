//! Handshakes of tunnels, over UDP and TCP.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whither::dissect::tunnel;

fuzz_target!(|input: &[u8]| {
    whither_fuzz::datagram(&tunnel::OVER_UDP, input);
    whither_fuzz::stream(&tunnel::OVER_TCP, input);
});
