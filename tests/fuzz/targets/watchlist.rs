//! Lists of names and addresses, in all their forms.

#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use whither::engine::watchlist::Watchlist;

fuzz_target!(|text: &str| {
    let list = match Watchlist::parse("fuzz", text) {
        Ok(list) => list,
        Err(error) => return assert!(!error.to_string().contains(char::is_control), "{error}"),
    };
    // What a list holds is looked up in it, and so is what it does not hold.
    for word in text.split_ascii_whitespace().take(32) {
        let hits = [list.lookup_name(word), word.parse().ok().and_then(|ip: IpAddr| list.lookup_address(ip))];
        for hit in hits.into_iter().flatten() {
            // An address may be spelt in several ways.
            let spelt = hit.rule.contains([':', '/']) || text.to_lowercase().contains(&hit.rule.to_lowercase());
            assert!(list.rules() > 0 && spelt, "{hit:?}");
        }
    }
});
