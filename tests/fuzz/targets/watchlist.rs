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
            // An address may be spelt in several ways, and so may what a name is part of: `||*.name` says what `||name^` says.
            let name = hit.rule.trim_start_matches("||").trim_start_matches("*.").trim_end_matches('^').to_lowercase();
            let spelt = hit.rule.contains([':', '/']) || (!name.is_empty() && text.to_lowercase().contains(&name));
            assert!(list.rules() > 0 && spelt, "{hit:?}");
        }
    }
});
