//! Prefixes that are announced from many places at once, by the word of those who announce them: they have no country.
//!
//! Road taken: a short list of what operators document themselves. Road not taken: a census of measured anycast, which is larger than
//! the rest of the program and old within weeks; an anycast prefix that is not here shows itself, because near handshakes refute
//! the country that a database gives it.

use std::net::IpAddr;

/// Whether an address is of a prefix that its operator documents as anycast.
#[must_use]
pub fn is_anycast(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => V4.iter().any(|(net, bits)| (u32::from(v4) ^ u32::from_be_bytes(*net)) >> (32 - bits) == 0),
        IpAddr::V6(v6) => V6.iter().any(|([high, low], bits)| {
            let net = u128::from(*high) << 96 | u128::from(*low) << 64;
            (u128::from(v6) ^ net) >> (128 - bits) == 0
        }),
    }
}

#[rustfmt::skip] // a table
const V4: &[([u8; 4], u32)] = &[
    // Public resolvers: Cloudflare, Google, Quad9, OpenDNS, AdGuard, NextDNS, CleanBrowsing, Control D, Mullvad, AliDNS, Yandex.
    ([1, 1, 1, 0], 24), ([1, 0, 0, 0], 24),
    ([8, 8, 8, 0], 24), ([8, 8, 4, 0], 24),
    ([9, 9, 9, 0], 24), ([149, 112, 112, 0], 24),
    ([208, 67, 222, 0], 24), ([208, 67, 220, 0], 24), ([146, 112, 41, 0], 24),
    ([94, 140, 14, 0], 24), ([94, 140, 15, 0], 24),
    ([45, 90, 28, 0], 24), ([45, 90, 30, 0], 24),
    ([185, 228, 168, 0], 24), ([185, 228, 169, 0], 24),
    ([76, 76, 2, 0], 24), ([76, 76, 10, 0], 24),
    ([194, 242, 2, 0], 24),
    ([223, 5, 5, 0], 24), ([223, 6, 6, 0], 24),
    ([77, 88, 8, 0], 24),
    // Cloudflare, cloudflare.com/ips.
    ([173, 245, 48, 0], 20), ([103, 21, 244, 0], 22), ([103, 22, 200, 0], 22), ([103, 31, 4, 0], 22), ([141, 101, 64, 0], 18),
    ([108, 162, 192, 0], 18), ([190, 93, 240, 0], 20), ([188, 114, 96, 0], 20), ([197, 234, 240, 0], 22), ([198, 41, 128, 0], 17),
    ([162, 158, 0, 0], 15), ([104, 16, 0, 0], 13), ([104, 24, 0, 0], 14), ([172, 64, 0, 0], 13), ([131, 0, 72, 0], 22),
    // Amazon's Global Accelerator: its addresses of the region GLOBAL.
    ([75, 2, 0, 0], 17), ([99, 83, 128, 0], 17), ([76, 223, 0, 0], 17), ([3, 33, 128, 0], 17), ([15, 197, 128, 0], 17),
    ([13, 248, 128, 0], 17), ([52, 223, 0, 0], 17), ([35, 71, 128, 0], 17),
];

/// The first 64 bits, as two halves, and how many of them count.
#[rustfmt::skip] // a table
const V6: &[([u32; 2], u32)] = &[
    ([0x2001_4860, 0x4860_0000], 48), // Google
    ([0x2620_00fe, 0], 48),           // Quad9
    ([0x2620_0119, 0x0035_0000], 48), ([0x2620_0119, 0x0053_0000], 48), ([0x2620_0119, 0x00fc_0000], 48), // OpenDNS
    ([0x2a10_50c0, 0], 32),           // AdGuard
    ([0x2a07_a8c0, 0], 32), ([0x2a07_a8c1, 0], 32), // NextDNS
    ([0x2606_1a40, 0], 32),           // Control D
    ([0x2a07_e340, 0], 32),           // Mullvad
    ([0x2400_3200, 0], 48),           // AliDNS
    // Cloudflare
    ([0x2400_cb00, 0], 32), ([0x2606_4700, 0], 32), ([0x2803_f800, 0], 32), ([0x2405_b500, 0], 32), ([0x2405_8100, 0], 32),
    ([0x2a06_98c0, 0], 29), ([0x2c0f_f248, 0], 32),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_and_shared_networks_are_anycast_and_their_neighbours_are_not() {
        for yes in
            ["1.1.1.1", "8.8.4.4", "9.9.9.11", "104.16.248.249", "::ffff:8.8.8.8", "2606:4700::6810:f8f9", "2620:fe::9", "2a06:98c1:52::3"]
        {
            assert!(is_anycast(yes.parse().unwrap()), "{yes}");
        }
        for no in
            ["8.8.9.8", "142.250.185.99", "161.117.70.145", "192.0.2.1", "2a00:1450:4001:812::2003", "2001:db8::1", "2620:ff::9", "::1"]
        {
            assert!(!is_anycast(no.parse().unwrap()), "{no}");
        }
    }

    #[test]
    fn every_prefix_is_clean() {
        assert!(V4.iter().all(|(net, bits)| u32::from_be_bytes(*net) << bits == 0), "bits behind the prefix");
        assert!(V6.iter().all(|([high, low], bits)| (u64::from(*high) << 32 | u64::from(*low)) << bits == 0), "bits behind the prefix");
    }
}
