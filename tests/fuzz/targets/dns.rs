//! DNS over UDP and TCP, mDNS, LLMNR, and DNS by its form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whither::dissect::dns;
use whither::dissect::observation::Observation;

fuzz_target!(|input: &[u8]| {
    for dissector in [&dns::OVER_UDP, &dns::MDNS, &dns::LLMNR] {
        whither_fuzz::datagram(dissector, input);
    }
    if let Some(message) = dns::by_form(input) {
        whither_fuzz::observed(&Observation::Dns(message));
    }
    whither_fuzz::stream(&dns::OVER_TCP, input);
});
