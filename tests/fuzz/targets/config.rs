//! Settings in TOML.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use whither::config::parse;

fuzz_target!(|text: &str| {
    match parse(text, Path::new("whither.toml")) {
        Ok(common) => assert!(common.listen().is_ok()),
        Err(error) => assert!(error.to_string().contains("whither.toml")),
    }
});
