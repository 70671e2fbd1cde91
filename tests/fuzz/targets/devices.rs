//! The devices file.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use whither::roster::parse;

fuzz_target!(|text: &str| {
    if let Err(error) = parse(text, Path::new("devices.toml")) {
        let told = format!("{error:#}");
        assert!(told.contains("devices.toml") && !told.contains('\n'), "{told}");
    }
});
