//! DHCPv6: what a client says of itself, and the addresses and resolvers that a server gives (RFC 8415).
//!
//! Road taken: a walk over the options of our own, as for DHCPv4. It keeps what it read of a message that is cut off further on,
//! and nothing here needs more than twelve options. Road not taken: `dhcproto`, which refuses a message as a whole and brings 55
//! crates, a DNS resolver among them.
//!
//! A relay puts the client's message inside its own (RFC 8415, 9): the inner one is read and marked as relayed, since the frame that
//! carried it is the relay's and no device may be called by another's words.

use std::net::Ipv6Addr;

use super::dhcp::dns_form;
use super::observation::{Lease6, Observation, Text};
use super::reader::Reader;
use super::{Dissector, Over, Verdict};

/// DHCPv6 between client, relay and server.
pub const DISSECTOR: Dissector = Dissector { name: "dhcp6", over: Over::Datagram, ports: &[546, 547], read };

/// Reads a message of a client, a relay or a server; [`Lease6::is_client`] tells whose words they are.
#[must_use]
pub fn read(datagram: &[u8]) -> Verdict {
    let mut message = datagram;
    let mut relayed = false;
    for _ in 0..=MAX_RELAYS {
        match message.first() {
            Some(&(RELAY_FORWARD | RELAY_REPLY)) => {
                let Some(inner) = inner(message) else { return Verdict::Malformed("relay") };
                (message, relayed) = (inner, true);
            }
            Some(&kind) if (SOLICIT..=INFORMATION_REQUEST).contains(&kind) => {
                let Some(options) = message.get(HEAD..) else { return Verdict::NotMine };
                let lease = lease(kind, relayed, options);
                return Verdict::Saw { seen: Observation::Lease6(Box::new(lease)), used: datagram.len(), more: false };
            }
            _ => return Verdict::NotMine,
        }
    }
    Verdict::Malformed("many-relays")
}

/// Message types (RFC 8415, 7.3).
const SOLICIT: u8 = 1;
const INFORMATION_REQUEST: u8 = 11;
const RELAY_FORWARD: u8 = 12;
const RELAY_REPLY: u8 = 13;
/// A type and a transaction (8).
const HEAD: usize = 4;
/// Relays that a message may have passed: HOP_COUNT_LIMIT (7.6).
const MAX_RELAYS: usize = 8;
/// Bytes of a DUID at most: a type and 128 more (11.1).
const MAX_DUID: usize = 130;
/// Options looked at in one list: a datagram of 64 KiB could hold 16,000.
const MAX_OPTIONS: usize = 256;

/// The message inside a relay's: type, hops and two addresses stand before its options (9).
fn inner(message: &[u8]) -> Option<&[u8]> {
    options(message.get(34..)?).find(|(code, _)| *code == 9).map(|(_, value)| value)
}

/// Options one after the other (21.1), up to one that is cut off.
fn options(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut reader = Reader::new(bytes);
    std::iter::from_fn(move || Some((reader.u16()?, reader.vec16()?))).take(MAX_OPTIONS)
}

fn lease(kind: u8, relayed: bool, bytes: &[u8]) -> Lease6 {
    let mut lease = Lease6 { kind, relayed, ..Lease6::default() };
    for (code, value) in options(bytes) {
        match code {
            1 => lease.duid = value.get(..MAX_DUID.min(value.len())).unwrap_or_default().to_vec(),
            // Identity associations: an identifier and, but for temporary addresses, two timers (21.4, 21.5, 21.21).
            3 | 25 => association(value.get(12..).unwrap_or_default(), &mut lease),
            4 => association(value.get(4..).unwrap_or_default(), &mut lease),
            6 => {
                let codes = value.as_chunks::<2>().0.iter().take(Lease6::MAX_PARAMETERS);
                lease.parameters = codes.map(|code| u16::from_be_bytes(*code)).collect();
            }
            16 => (lease.enterprise, lease.vendor_class) = vendor_class(value),
            23 => {
                let addresses = value.as_chunks::<16>().0.iter().take(Lease6::MAX_ADDRESSES);
                lease.resolvers = addresses.map(|bytes| Ipv6Addr::from(*bytes)).collect();
            }
            // Flags, then a name in the form of DNS, perhaps without its end (RFC 4704, 4).
            39 => lease.fqdn = value.get(1..).and_then(dns_form),
            _ => {}
        }
    }
    lease
}

/// The addresses and prefixes of an identity association (21.6, 21.22).
fn association(bytes: &[u8], lease: &mut Lease6) {
    for (code, value) in options(bytes) {
        match code {
            5 if lease.addresses.len() < Lease6::MAX_ADDRESSES => {
                lease.addresses.extend(value.first_chunk::<16>().map(|bytes| Ipv6Addr::from(*bytes)));
            }
            // Two lifetimes, a length, a prefix.
            26 if lease.prefixes.len() < Lease6::MAX_ADDRESSES => {
                let length = value.get(8).copied().filter(|length| *length <= 128);
                let prefix = value.get(9..).and_then(<[u8]>::first_chunk::<16>).map(|bytes| Ipv6Addr::from(*bytes));
                lease.prefixes.extend(prefix.zip(length));
            }
            _ => {}
        }
    }
}

/// An enterprise number and strings behind lengths of two bytes (21.16), here joined by a space.
fn vendor_class(option: &[u8]) -> (Option<u32>, Option<Text>) {
    let mut reader = Reader::new(option);
    let enterprise = reader.u32();
    let mut words: Vec<u8> = Vec::new();
    while let Some(word) = reader.vec16().filter(|_| words.len() < Text::MAX) {
        if !words.is_empty() {
            words.push(b' ');
        }
        words.extend_from_slice(word);
    }
    (enterprise, Text::from_bytes(&words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(code: u16, value: &[u8]) -> Vec<u8> {
        [&code.to_be_bytes()[..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
    }

    fn message(kind: u8, options: &[Vec<u8>]) -> Vec<u8> {
        [&[kind, 1, 2, 3][..], &options.concat()].concat()
    }

    fn address(last: u8) -> [u8; 16] {
        [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]
    }

    /// The address of an identity association.
    fn granted(last: u8) -> Vec<u8> {
        option(5, &[&address(last)[..], &[0, 0, 0, 9, 0, 0, 0, 9]].concat())
    }

    fn lease(bytes: &[u8]) -> Lease6 {
        match read(bytes) {
            Verdict::Saw { seen: Observation::Lease6(lease), used, more: false } if used == bytes.len() => *lease,
            other => panic!("no lease: {other:?}"),
        }
    }

    fn solicit() -> Vec<u8> {
        message(
            1,
            &[
                option(1, &[0, 1, 0, 1, 0x2a, 0x2b, 0x2c, 0x2d, 2, 0, 0, 0, 0, 7]),
                option(6, &[0, 23, 0, 24, 0, 39]),
                option(16, &[0, 0, 1, 0x37, 0, 8, b'M', b'S', b'F', b'T', b' ', b'5', b'.', b'0']),
                option(39, b"\x01\x07Laptop\xff\x07example"),
                option(3, &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
            ],
        )
    }

    #[test]
    fn a_solicitation_says_who_the_client_is() {
        let lease = lease(&solicit());
        assert!(lease.is_client() && !lease.relayed && lease.kind == 1);
        assert_eq!(lease.duid, [0, 1, 0, 1, 0x2a, 0x2b, 0x2c, 0x2d, 2, 0, 0, 0, 0, 7]);
        assert_eq!(lease.parameters, [23, 24, 39]);
        assert_eq!((lease.enterprise, lease.vendor_class.as_ref().map(Text::as_str)), (Some(311), Some("MSFT 5.0")));
        assert_eq!(lease.fqdn.as_ref().map(Text::as_str), Some("Laptop\u{fffd}.example"));
        assert!(lease.addresses.is_empty() && lease.resolvers.is_empty());
    }

    #[test]
    fn a_reply_gives_addresses_prefixes_and_resolvers() {
        let prefix = option(26, &[&[0, 0, 0, 9, 0, 0, 0, 9, 56][..], &address(0)].concat());
        let wrong = option(26, &[&[0, 0, 0, 9, 0, 0, 0, 9, 129][..], &address(0)].concat());
        let lease = lease(&message(
            7,
            &[
                option(3, &[&[0; 12][..], &granted(5)].concat()),
                option(4, &[&[0; 4][..], &granted(6)].concat()),
                option(25, &[&[0; 12][..], &prefix, &wrong].concat()),
                option(23, &[address(1), address(2)].concat()),
            ],
        ));
        assert!(!lease.is_client());
        assert_eq!(lease.addresses, [Ipv6Addr::from(address(5)), Ipv6Addr::from(address(6))]);
        assert_eq!(lease.prefixes, [(Ipv6Addr::from(address(0)), 56)]);
        assert_eq!(lease.resolvers, [Ipv6Addr::from(address(1)), Ipv6Addr::from(address(2))]);
    }

    #[test]
    fn a_relayed_message_is_read_and_marked() {
        let around = |kind: u8, inside: &[u8]| [&[kind, 0][..], &[0; 32], &option(18, b"port"), &option(9, inside)].concat();
        let mut bytes = solicit();
        for depth in 0..12 {
            bytes = around(12, &bytes);
            if depth < MAX_RELAYS {
                assert!(lease(&bytes).relayed && lease(&bytes).duid.len() == 14, "depth {depth}");
            } else {
                assert_eq!(read(&bytes), Verdict::Malformed("many-relays"), "depth {depth}");
            }
        }
        assert_eq!(read(&around(13, &[])), Verdict::NotMine);
        assert_eq!(read(&[12; 20]), Verdict::Malformed("relay"));
    }

    #[test]
    fn lists_are_bounded() {
        let many: Vec<Vec<u8>> = (0..200).map(|_| option(3, &[&[0; 12][..], &granted(5).repeat(3)].concat())).collect();
        let lease1 = lease(&message(7, &many));
        assert_eq!(lease1.addresses.len(), Lease6::MAX_ADDRESSES);
        let lease2 = lease(&message(1, &[option(1, &[7; 900]), option(6, &[0; 900]), option(16, &[b'a'; 900]), option(23, &[9; 900])]));
        assert_eq!((lease2.duid.len(), lease2.parameters.len()), (MAX_DUID, Lease6::MAX_PARAMETERS));
        assert_eq!(lease2.resolvers.len(), Lease6::MAX_ADDRESSES);
        let late = [vec![option(8, &[]); MAX_OPTIONS], vec![option(1, &[7])]].concat();
        assert!(lease(&message(1, &late)).duid.is_empty(), "options without end");
    }

    #[test]
    fn what_is_not_dhcpv6() {
        for bytes in [&[][..], &[0, 1, 2, 3], &[14, 1, 2, 3], &[1, 2, 3], &[0xff; 40]] {
            assert_eq!(read(bytes), Verdict::NotMine, "{bytes:?}");
        }
    }

    #[test]
    fn a_cut_message_never_says_anything_else() {
        let bytes = solicit();
        let whole = lease(&bytes);
        for cut in HEAD..bytes.len() {
            let part = lease(&bytes[..cut]);
            assert!(part.duid.is_empty() || part.duid == whole.duid, "cut {cut}");
            assert!(part.fqdn.is_none() || part.fqdn == whole.fqdn, "cut {cut}");
            assert!(part.parameters.is_empty() || part.parameters == whole.parameters, "cut {cut}");
        }
    }
}
