//! The web configuration file.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use whither::export::web::Web;

/// In a directory of its own, with nothing beside it.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("whither-fuzz-web-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder.join("web.yml")
});

fuzz_target!(|input: &[u8]| {
    // Paths lead out of the directory: to a terminal, that is to wait for a person.
    if input.contains(&b'/') {
        return;
    }
    std::fs::write(&*FILE, input).expect("a file");
    match Web::load(&FILE) {
        Ok(web) => assert_eq!(web.scheme(), "http", "there is no certificate"),
        Err(error) => assert!(error.contains("web.yml") && !error.contains(char::is_control), "{error}"),
    }
});
