//! A ClientHello over TCP, from CRYPTO bytes, and the beginning of one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whither::dissect::observation::Observation;
use whither::dissect::tls;

fuzz_target!(|input: &[u8]| {
    whither_fuzz::stream(&tls::DISSECTOR, input);
    let Some((_, bytes)) = input.split_first_chunk::<2>() else { return };
    whither_fuzz::promises(&tls::handshake(bytes, Some(1)), bytes);
    for hello in [tls::partial(bytes), tls::partial_handshake(bytes, None)].into_iter().flatten() {
        assert_eq!(hello.ja4, None);
        whither_fuzz::observed(&Observation::Hello(Box::new(hello)));
    }
});
