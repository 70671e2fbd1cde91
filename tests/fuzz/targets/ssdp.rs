//! SSDP messages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whither::dissect::ssdp;

fuzz_target!(|input: &[u8]| {
    whither_fuzz::datagram(&ssdp::DISSECTOR, input);
});
