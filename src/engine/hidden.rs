//! Who is known to hide names: public resolvers that are asked in the dark, relays, and the outer names of encrypted hellos.
//!
//! Names and addresses are facts of the operators' public resolver documentation (August 2026), our own selection. Road
//! taken: few entries that are nothing else, so that a hit means what it says. Roads not taken: long lists of resolvers
//! that no phone or browser offers; networks that hold resolvers among much else (Apple's 17.253.0.0/16, content networks), where an
//! address would lie.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::engine::snapshot::Class;

/// What the owner of a server name hides; lower case, no trailing dot.
#[must_use]
pub(super) fn by_name(name: &str) -> Option<Class> {
    let rows = [(RELAYS, Class::Relay), (RESOLVERS, Class::Doh)];
    rows.iter().find(|(names, _)| names.iter().any(|known| is_under(name, known))).map(|(_, class)| *class)
}

/// What the owner of an address hides when it is asked over HTTPS; over port 53 the same resolvers are asked in the clear.
#[must_use]
pub(super) fn by_address(address: IpAddr) -> Option<Class> {
    let known = match address.to_canonical() {
        IpAddr::V4(address) => RESOLVERS_V4.contains(&address),
        IpAddr::V6(address) => RESOLVERS_V6.contains(&address),
    };
    known.then_some(Class::Doh)
}

/// Whether a server name is one that operators put around an encrypted hello: then it names nobody. An encrypted hello
/// with another name may be grease, and its name the true one.
#[must_use]
pub(super) fn is_ech_public_name(name: &str) -> bool {
    is_under(name, "cloudflare-ech.com")
}

fn is_under(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

const RELAYS: &[&str] = &["mask.icloud.com", "mask-h2.icloud.com", "mask-api.icloud.com"];

/// With the names below each: many give their customers one of their own.
const RESOLVERS: &[&str] = &[
    "dns.google",
    "cloudflare-dns.com",
    "one.one.one.one",
    "dns.quad9.net",
    "dns9.quad9.net",
    "dns10.quad9.net",
    "dns11.quad9.net",
    "dns12.quad9.net",
    "dns13.quad9.net",
    "adguard-dns.com",
    "dns.nextdns.io",
    "steering.nextdns.io",
    "doh.opendns.com",
    "doh.familyshield.opendns.com",
    "doh.umbrella.com",
    "dns.alidns.com",
    "doh.pub",
    "dot.pub",
    "dns.pub",
    "doh.360.cn",
    "dot.360.cn",
    "dns.mullvad.net",
    "freedns.controld.com",
    "doh.cleanbrowsing.org",
    "dot.dns.yandex.net",
    "dns.twnic.tw",
    "doh.dns.sb",
    "doh.dns.apple.com",
];

const RESOLVERS_V4: &[Ipv4Addr] = &[
    Ipv4Addr::new(8, 8, 8, 8),
    Ipv4Addr::new(8, 8, 4, 4),
    Ipv4Addr::new(1, 1, 1, 1),
    Ipv4Addr::new(1, 0, 0, 1),
    Ipv4Addr::new(104, 16, 248, 249),
    Ipv4Addr::new(104, 16, 249, 249),
    Ipv4Addr::new(162, 159, 61, 3),
    Ipv4Addr::new(162, 159, 61, 4),
    Ipv4Addr::new(172, 64, 41, 3),
    Ipv4Addr::new(172, 64, 41, 4),
    Ipv4Addr::new(9, 9, 9, 9),
    Ipv4Addr::new(9, 9, 9, 10),
    Ipv4Addr::new(9, 9, 9, 11),
    Ipv4Addr::new(9, 9, 9, 12),
    Ipv4Addr::new(9, 9, 9, 13),
    Ipv4Addr::new(149, 112, 112, 112),
    Ipv4Addr::new(94, 140, 14, 14),
    Ipv4Addr::new(94, 140, 15, 15),
    Ipv4Addr::new(45, 90, 28, 0),
    Ipv4Addr::new(45, 90, 30, 0),
    Ipv4Addr::new(146, 112, 41, 2),
    Ipv4Addr::new(223, 5, 5, 5),
    Ipv4Addr::new(223, 6, 6, 6),
    Ipv4Addr::new(1, 12, 12, 12),
    Ipv4Addr::new(120, 53, 53, 53),
    Ipv4Addr::new(101, 198, 192, 33),
    Ipv4Addr::new(101, 198, 193, 29),
    Ipv4Addr::new(194, 242, 2, 2),
    Ipv4Addr::new(76, 76, 2, 11),
    Ipv4Addr::new(185, 228, 168, 10),
    Ipv4Addr::new(185, 228, 168, 168),
    Ipv4Addr::new(77, 88, 8, 8),
    Ipv4Addr::new(77, 88, 8, 1),
    Ipv4Addr::new(101, 101, 101, 101),
    Ipv4Addr::new(104, 128, 62, 173),
];

const RESOLVERS_V6: &[Ipv6Addr] = &[
    Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888),
    Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8844),
    Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111),
    Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1001),
    Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0, 0x6810, 0xf8f9),
    Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0, 0x6810, 0xf9f9),
    Ipv6Addr::new(0x2a06, 0x98c1, 0x52, 0, 0, 0, 0, 3),
    Ipv6Addr::new(0x2a06, 0x98c1, 0x52, 0, 0, 0, 0, 4),
    Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 0xfe),
    Ipv6Addr::new(0x2a10, 0x50c0, 0, 0, 0, 0, 0xad1, 0xff),
    Ipv6Addr::new(0x2620, 0x119, 0xfc, 0, 0, 0, 0, 2),
    Ipv6Addr::new(0x2400, 0x3200, 0, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0x2a07, 0xe340, 0, 0, 0, 0, 0, 2),
    Ipv6Addr::new(0x2606, 0x1a40, 0, 0, 0, 0, 0, 0x11),
    Ipv6Addr::new(0x2a02, 0x6b8, 0, 0, 0, 0, 0xfeed, 0xff),
    Ipv6Addr::new(0x2001, 0xde4, 0, 0, 0, 0, 0, 0x101),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_whole_or_below_and_not_by_their_tail() {
        for (name, hidden) in [
            ("dns.google", Class::Doh),
            ("mozilla.cloudflare-dns.com", Class::Doh),
            ("abc123.dns.nextdns.io", Class::Doh),
            ("common.dot.dns.yandex.net", Class::Doh),
            ("mask-h2.icloud.com", Class::Relay),
        ] {
            assert_eq!(by_name(name), Some(hidden), "{name}");
        }
        for name in ["mydns.google", "google", "www.icloud.com", "dns.google.example.com", "evildoh.pub", ""] {
            assert_eq!(by_name(name), None, "{name}");
        }
        assert!(is_ech_public_name("cloudflare-ech.com") && !is_ech_public_name("notcloudflare-ech.com"));
    }

    #[test]
    fn addresses_are_known_in_either_form() {
        for (address, known) in [
            ("9.9.9.9", true),
            ("::ffff:9.9.9.9", true),
            ("2001:4860:4860::8888", true),
            ("2620:fe::fe", true),
            ("9.9.9.8", false),
            ("17.253.1.1", false),
            ("2001:4860:4860::8889", false),
        ] {
            assert_eq!(by_address(address.parse().unwrap()).is_some(), known, "{address}");
        }
    }
}
