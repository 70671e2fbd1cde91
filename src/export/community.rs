//! Community ID version 1, seed 0: the same conversation has the same id in every tool
//! (<https://github.com/corelight/community-id-spec>).

use std::net::IpAddr;

use base64::Engine as _;
use sha1::{Digest as _, Sha1};

use crate::engine::event::Ends;

/// The id of a conversation; both directions have the same.
///
/// None for ICMP: its id is made of the message's type and code, which a conversation here does not keep, and no id is
/// better than one that no other tool has.
pub(super) fn id(ends: &Ends) -> Option<[u8; LENGTH]> {
    if matches!(ends.protocol, ICMP | ICMPV6) {
        return None;
    }
    let (client, server) = (octets(ends.client.ip()), octets(ends.server.ip()));
    let forward = (client.as_slice(), ends.client.port()) <= (server.as_slice(), ends.server.port());
    let (low, low_port, high, high_port) = match forward {
        true => (client, ends.client.port(), server, ends.server.port()),
        false => (server, ends.server.port(), client, ends.client.port()),
    };
    let mut hash = Sha1::new();
    hash.update([0, 0]); // the seed
    hash.update(low.as_slice());
    hash.update(high.as_slice());
    hash.update([ends.protocol, 0]);
    if matches!(ends.protocol, TCP | UDP | SCTP) {
        hash.update(low_port.to_be_bytes());
        hash.update(high_port.to_be_bytes());
    }
    let mut id = [0; LENGTH];
    let (version, text) = id.split_at_mut(2);
    version.copy_from_slice(b"1:");
    base64::engine::general_purpose::STANDARD.encode_slice(hash.finalize(), text).ok()?;
    Some(id)
}

/// Characters of an id: the version, a colon, and 20 bytes in base 64.
const LENGTH: usize = 30;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const SCTP: u8 = 132;

fn octets(address: IpAddr) -> arrayvec::ArrayVec<u8, 16> {
    let mut octets = arrayvec::ArrayVec::new();
    match address {
        IpAddr::V4(v4) => octets.extend(v4.octets()),
        IpAddr::V6(v6) => octets.extend(v6.octets()),
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(protocol: u8, client: &str, server: &str) -> Option<String> {
        let id = id(&Ends { client: client.parse().unwrap(), server: server.parse().unwrap(), protocol })?;
        Some(String::from_utf8(id.to_vec()).unwrap())
    }

    #[test]
    fn published_vectors_in_both_directions() {
        for (protocol, one, other, expected) in [
            (6, "128.232.110.120:34855", "66.35.250.204:80", "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            (6, "10.0.0.1:10", "10.0.0.2:11569", "1:SXBGMX1lBOwhhoDrZynfROxnhnM="),
            (17, "192.168.1.52:54585", "8.8.8.8:53", "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
            (132, "192.168.170.8:7", "192.168.170.56:80", "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ="),
            (46, "10.1.24.4:0", "10.1.12.1:0", "1:/nQI4Rh/TtY3mf0R2gJFBkVlgS4="),
        ] {
            assert_eq!(of(protocol, one, other).as_deref(), Some(expected));
            assert_eq!(of(protocol, other, one).as_deref(), Some(expected));
        }
    }

    #[test]
    fn the_lower_address_comes_first_whatever_its_port() {
        let one = of(17, "[2001:db8::1]:65535", "[2001:db8::2]:1");
        assert_eq!(one, of(17, "[2001:db8::2]:1", "[2001:db8::1]:65535"));
        assert_ne!(one, of(17, "[2001:db8::1]:1", "[2001:db8::2]:65535"));
    }

    #[test]
    fn icmp_has_none_rather_than_a_wrong_one() {
        assert_eq!(of(1, "192.168.0.89:0", "192.168.0.1:0"), None);
        assert_eq!(of(58, "[fe80::1]:0", "[fe80::2]:0"), None);
    }
}
