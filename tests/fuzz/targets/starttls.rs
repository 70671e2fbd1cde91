//! Text before TLS.
#![no_main]

use libfuzzer_sys::fuzz_target;
use whither::dissect::starttls::{MAX_TEXT, Upgrade, upgrade};

fuzz_target!(|input: &[u8]| {
    let Some((cut, bytes)) = input.split_first_chunk::<2>() else { return };
    let whole = upgrade(bytes);
    match whole {
        Upgrade::At(at) => assert!(at <= MAX_TEXT && bytes[at..].starts_with(&[0x16, 3])),
        Upgrade::NeedMore => assert!(bytes.len() <= MAX_TEXT + 1),
        Upgrade::Never => {}
    }
    if let Some(head) = bytes.get(..usize::from(u16::from_le_bytes(*cut))) {
        let early = upgrade(head);
        assert!(early == Upgrade::NeedMore || early == whole);
    }
});
