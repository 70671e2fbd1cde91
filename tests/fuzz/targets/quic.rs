//! QUIC datagrams as they come; and their bytes as the frames of an Initial that is sealed as it should be.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whither::dissect::Verdict;
use whither::dissect::quic::{self, Pieces};
use whither_fuzz::initial;

fuzz_target!(|input: &[u8]| {
    if let Verdict::Carries(pieces) = quic::open(input, &[&initial::ID, &[], &[7; 20], &[0; 8]]) {
        bounded(&pieces);
    }
    let frames = &input[..input.len().min(1_400)];
    let [first, mut second] = [frames, &frames[frames.len() / 2..]].map(initial::sealed);
    let mut datagram = first;
    datagram.append(&mut second); // coalesced
    datagram.extend(input);
    match quic::read(&datagram) {
        Verdict::Carries(pieces) => {
            assert_eq!((pieces.version, &pieces.key_id[..]), (1, &initial::ID[..]));
            bounded(&pieces);
        }
        other => panic!("an Initial was not opened: {other:?}"),
    }
});

fn bounded(pieces: &Pieces) {
    assert!(pieces.iter().len() <= 64 && pieces.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() <= 16_384);
}
