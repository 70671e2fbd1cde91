//! Capture files: pcap, pcapng, and either compressed.
#![no_main]

use std::io::{Cursor, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use whither::capture::file::{File, Item};
use whither::mark::Mark;
use whither::packet::{Packet, Timestamp};

fuzz_target!(|input: &[u8]| {
    let plain = told(input.to_vec());
    if input.starts_with(&[0x1f, 0x8b]) {
        return; // compressed twice is no capture
    }
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(input).expect("to memory");
    assert_eq!(plain, told(gz.finish().expect("to memory")), "compression changes nothing");
});

/// How many frames were told, and where it broke off.
fn told(bytes: Vec<u8>) -> Option<(u64, Option<u64>)> {
    let compressed = bytes.starts_with(&[0x1f, 0x8b]);
    let length = bytes.len();
    let mut file = File::from_reader(Cursor::new(bytes)).ok()?;
    let (mut told, mut last) = (0_u64, 0);
    let damage = file.read(&mut |item| {
        told += 1;
        let number = match item {
            Item::Frame(frame) => {
                assert!(compressed || frame.data.len() <= length);
                let _ = Packet::decode(&frame);
                frame.number
            }
            Item::Unreadable(number, _) => number,
            Item::Mark(number, mark) => {
                assert_eq!(Mark::from_entry(&mark.to_entry()), Some(mark.clone()), "a mark written again is the same");
                assert_eq!(Mark::from_line(mark.to_line().as_bytes(), Timestamp::default()), Some(mark));
                number
            }
        };
        assert!(number > last, "{number} after {last}"); // what others wrote to a journal is numbered and not told
        last = number;
    });
    Some((told, damage.err().map(|damage| damage.after)))
}
