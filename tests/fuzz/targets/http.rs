//! Heads of HTTP/1 requests, whole and cut off.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whither::dissect::http;
use whither::dissect::observation::Observation;

fuzz_target!(|input: &[u8]| {
    whither_fuzz::stream(&http::DISSECTOR, input);
    let Some((_, bytes)) = input.split_first_chunk::<2>() else { return };
    let _ = http::looks_like_request(bytes);
    if let Some(request) = http::partial(bytes) {
        whither_fuzz::observed(&Observation::Request(Box::new(request)));
    }
});
