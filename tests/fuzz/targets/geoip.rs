//! An address database of the person's: any bytes, asked for addresses. Downloads break, and are broken.

#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use whither::engine::geo::GeoDb;

fuzz_target!(|input: &[u8]| {
    let Some((address, bytes)) = input.split_first_chunk::<16>() else { return };
    let mut geo = GeoDb::embedded().expect("sound");
    if let Err(error) = geo.add("fuzz", bytes.to_vec()) {
        return assert!(!error.to_string().is_empty());
    }
    let [a, b, c, d, ..] = *address;
    for ip in [IpAddr::from(*address), IpAddr::from([a, b, c, d]), "198.51.100.1".parse().expect("an address")] {
        let located = geo.locate(ip);
        assert!(located.country.is_none_or(|country| country.as_str().len() == 2), "{located:?}");
        assert!(geo.site(ip).opinions.len() <= geo.databases().len());
    }
});
