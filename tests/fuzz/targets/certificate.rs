//! A server's first flight.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whither::dissect::certificate;

fuzz_target!(|input: &[u8]| whither_fuzz::stream(&certificate::DISSECTOR, input));
