//! Frames of every link layer; the first byte says which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whither::packet::{Body, Frame, Packet, Timestamp};
use whither_fuzz::LINKS;

fuzz_target!(|input: &[u8]| {
    let Some((link, data)) = input.split_first() else { return };
    let link = LINKS[usize::from(*link) % LINKS.len()];
    let wire_len = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let frame = Frame { number: 1, time: Timestamp::from_nanos(1), link, wire_len, data };
    if let Ok(packet) = Packet::decode(&frame) {
        assert!(packet.wire_len <= wire_len, "a radio's own header is not on the wire");
        let payload = match packet.body {
            Body::Ip(datagram) => datagram.payload,
            Body::Link(_, payload) => payload,
        };
        assert!(payload.is_empty() || data.as_ptr_range().contains(&payload.as_ptr()) && payload.len() <= data.len());
    }
});
