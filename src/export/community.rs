//! Community ID version 1, seed 0: the same conversation has the same id in every tool
//! (<https://github.com/corelight/community-id-spec>).

use std::net::IpAddr;

use sha1::block_api::compress;

use crate::engine::event::Ends;

/// The id of a conversation; both directions have the same.
///
/// None for ICMP: its id is made of the message's type and code, which a conversation here does not keep, and no id is
/// better than one that no other tool has.
pub(super) fn id(ends: &Ends) -> Option<[u8; LENGTH]> {
    if matches!(ends.protocol, ICMP | ICMPV6) {
        return None;
    }
    let (client, server) = (ends.client.ip(), ends.server.ip());
    let (low, high) = match (client, ends.client.port()) <= (server, ends.server.port()) {
        true => (ends.client, ends.server),
        false => (ends.server, ends.client),
    };
    let mut text = Block { bytes: [0; 64], length: 0 };
    text.put(&[0, 0]); // the seed
    text.address(low.ip());
    text.address(high.ip());
    text.put(&[ends.protocol, 0]);
    if matches!(ends.protocol, TCP | UDP | SCTP) {
        text.put(&low.port().to_be_bytes());
        text.put(&high.port().to_be_bytes());
    }
    Some(written(text.digest()))
}

/// A digest in base 64 (RFC 4648, 4) behind the version. By hand: the general encoder took three
/// fifths of what an id costs beside its hash.
fn written(digest: [u8; 20]) -> [u8; LENGTH] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut id = [b'='; LENGTH];
    let (version, text) = id.split_at_mut(2);
    version.copy_from_slice(b"1:");
    let digit = |word: u32, place: u32| DIGITS.get((word >> place & 63) as usize).copied().unwrap_or_default();
    let (threes, rest) = digest.as_chunks::<3>();
    let words = threes.iter().map(|[a, b, c]| [*a, *b, *c]).chain([[
        rest.first().copied().unwrap_or_default(),
        rest.get(1).copied().unwrap_or_default(),
        0,
    ]]);
    for (four, [a, b, c]) in text.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        let word = u32::from_be_bytes([0, a, b, c]);
        *four = [digit(word, 18), digit(word, 12), digit(word, 6), digit(word, 0)];
    }
    if let Some(last) = id.last_mut() {
        *last = b'='; // two bytes were left: three digits
    }
    id
}

/// A text that fits into one block of SHA-1 with its padding (FIPS 180-4, 5.1.1), as two addresses always do: at most 40 bytes of 55.
/// One call, where the general hasher keeps a buffer for texts that come in parts.
struct Block {
    bytes: [u8; 64],
    length: usize,
}

impl Block {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.length.saturating_add(bytes.len());
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(bytes);
            self.length = end;
        }
    }

    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => self.put(&v4.octets()),
            IpAddr::V6(v6) => self.put(&v6.octets()),
        }
    }

    fn digest(mut self) -> [u8; 20] {
        let bits = 8 * self.length as u64;
        self.put(&[0x80]);
        if let Some(last) = self.bytes.last_chunk_mut() {
            *last = bits.to_be_bytes();
        }
        let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0]; // 5.3.1
        compress(&mut state, &[self.bytes]);
        let mut digest = [0; 20];
        for (to, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
            *to = word.to_be_bytes();
        }
        digest
    }
}

/// Characters of an id: the version, a colon, and 20 bytes in base 64.
const LENGTH: usize = 30;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const SCTP: u8 = 132;

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
