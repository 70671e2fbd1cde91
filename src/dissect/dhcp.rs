//! DHCPv4: what a client says of itself, and the address that a server grants it (RFC 2131, RFC 2132).
//!
//! Road taken: a walk over the options of our own. It is a few lines, costs some nanoseconds, and keeps what it read of a message that
//! is cut off or wrong further on, as the messages of small devices often are.
//! Road not taken: `dhcproto`, which brings 55 crates (a DNS resolver among them) and refuses a message as a whole.

use std::net::Ipv4Addr;

use super::observation::{Lease, Observation, Text};
use super::reader::Reader;
use super::{Dissector, Over, Verdict};

/// DHCPv4 between client, relay and server.
pub const DISSECTOR: Dissector = Dissector { name: "dhcp", over: Over::Datagram, ports: &[67, 68], read };

/// Reads a message of a client or a server; [`Lease::kind`] tells whose words they are: a server may repeat a host name.
#[must_use]
pub fn read(datagram: &[u8]) -> Verdict {
    let Some(message) = Message::read(datagram) else { return Verdict::NotMine };
    let Some(mac) = message.mac else { return Verdict::Malformed("hardware address") };
    let options = Options::read(&message);
    let kind = options.kind.first().copied().unwrap_or(0);
    let granted = kind == ACK && !message.address.is_unspecified();
    let lease = Lease {
        mac,
        kind,
        address: granted.then_some(message.address),
        hostname: Text::from_bytes(&options.hostname),
        vendor_class: Text::from_bytes(&options.vendor_class),
        parameters: options.parameters.into_iter().take(MAX_PARAMETERS).collect(),
        client_id: options.client_id.into_iter().take(MAX_CLIENT_ID).collect(),
        max_message: options.max_message.first_chunk().map(|bytes| u16::from_be_bytes(*bytes)),
        fqdn: fqdn(&options.fqdn),
        resolvers: options.resolvers.as_chunks::<4>().0.iter().take(MAX_RESOLVERS).map(|bytes| Ipv4Addr::from(*bytes)).collect(),
    };
    Verdict::Saw { seen: Observation::Lease(Box::new(lease)), used: datagram.len(), more: false }
}

/// DHCPACK (RFC 2132, 9.6).
const ACK: u8 = 5;
/// Parameters kept: the longest real list is about 40, a hostile one 255 or, split, as long as the datagram.
const MAX_PARAMETERS: usize = 64;
/// Resolvers kept of an offer: nobody offers more than three or four.
const MAX_RESOLVERS: usize = 8;
/// Bytes of the client identifier kept: a DUID has up to 20 in use; longer ones would only fill the device table.
const MAX_CLIENT_ID: usize = 32;
/// The four bytes before the options (RFC 2131, 3). Without them this is BOOTP or not even that.
const MAGIC: [u8; 4] = [99, 130, 83, 99];

/// The fixed part of a message (RFC 2131, 2) and the places where options may stand.
struct Message<'a> {
    /// chaddr, if it is a MAC address.
    mac: Option<[u8; 6]>,
    /// yiaddr.
    address: Ipv4Addr,
    server_name: &'a [u8],
    file: &'a [u8],
    options: &'a [u8],
}

impl<'a> Message<'a> {
    fn read(datagram: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(datagram);
        let _operation = reader.u8().filter(|operation| matches!(operation, 1 | 2))?;
        let [_hardware, length] = reader.array()?;
        // hops, xid, secs, flags, ciaddr
        reader.take(13)?;
        let address = Ipv4Addr::from(reader.array::<4>()?);
        // siaddr, giaddr
        reader.take(8)?;
        let hardware = reader.take(16)?;
        let server_name = reader.take(64)?;
        let file = reader.take(128)?;
        if reader.array()? != MAGIC {
            return None;
        }
        let mac = hardware.first_chunk().copied().filter(|_| length == 6);
        Some(Self { mac, address, server_name, file, options: reader.rest })
    }
}

/// The options that are used, the pieces of a split one joined (RFC 3396).
#[derive(Default)]
struct Options {
    hostname: Vec<u8>,
    overload: Vec<u8>,
    kind: Vec<u8>,
    parameters: Vec<u8>,
    max_message: Vec<u8>,
    vendor_class: Vec<u8>,
    client_id: Vec<u8>,
    fqdn: Vec<u8>,
    resolvers: Vec<u8>,
}

impl Options {
    fn read(message: &Message<'_>) -> Self {
        let mut options = Self::default();
        options.walk(message.options);
        // Option 52 (RFC 2132, 9.3): these fields hold options as well.
        let overload = options.overload.first().copied().unwrap_or(0);
        if overload & 1 != 0 {
            options.walk(message.file);
        }
        if overload & 2 != 0 {
            options.walk(message.server_name);
        }
        options
    }

    /// Takes the options in, up to the end or to one that is cut off.
    fn walk(&mut self, bytes: &[u8]) {
        let mut reader = Reader::new(bytes);
        while let Some(code) = reader.u8() {
            let slot = match code {
                0 => continue,
                255 => break,
                6 => Some(&mut self.resolvers),
                12 => Some(&mut self.hostname),
                52 => Some(&mut self.overload),
                53 => Some(&mut self.kind),
                55 => Some(&mut self.parameters),
                57 => Some(&mut self.max_message),
                60 => Some(&mut self.vendor_class),
                61 => Some(&mut self.client_id),
                81 => Some(&mut self.fqdn),
                _ => None,
            };
            let Some(value) = reader.vec8() else { break };
            if let Some(slot) = slot {
                slot.extend_from_slice(value);
            }
        }
    }
}

/// The name in the client FQDN option (RFC 4702, 2): after flags and two response codes, in text or, by the E flag, in the form of DNS.
fn fqdn(option: &[u8]) -> Option<Text> {
    let ([flags, _, _], name) = option.split_first_chunk::<3>()?;
    if flags & 0x04 == 0 {
        return Text::from_bytes(name);
    }
    dns_form(name)
}

/// A name in the form of DNS (RFC 1035, 3.1), whether or not it comes to its end, as DHCP options carry it.
pub(super) fn dns_form(name: &[u8]) -> Option<Text> {
    let mut text = Vec::new();
    let mut reader = Reader::new(name);
    // A pointer (RFC 4702 forbids them) reads as a label that is too long, and ends the name.
    while let Some(label) = reader.vec8().filter(|label| !label.is_empty()) {
        if !text.is_empty() {
            text.push(b'.');
        }
        text.extend_from_slice(label);
    }
    Text::from_bytes(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message with these options; `operation` 1 is a client's.
    fn message(operation: u8, address: [u8; 4], options: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![operation, 1, 6, 0];
        bytes.extend([0; 12]);
        bytes.extend(address);
        bytes.extend([0; 8]);
        bytes.extend([2, 0, 0, 0, 0, 7]);
        bytes.extend([0; 10 + 64 + 128]);
        bytes.extend(MAGIC);
        for (code, value) in options {
            bytes.push(*code);
            bytes.push(u8::try_from(value.len()).unwrap());
            bytes.extend(*value);
        }
        bytes
    }

    fn lease(bytes: &[u8]) -> Lease {
        match read(bytes) {
            Verdict::Saw { seen: Observation::Lease(lease), used, more: false } if used == bytes.len() => *lease,
            other => panic!("no lease: {other:?}"),
        }
    }

    fn text(text: Option<Text>) -> String {
        text.map(|text| text.as_str().to_owned()).unwrap_or_default()
    }

    const REQUEST: [(u8, &[u8]); 8] = [
        (53, &[3]),
        (57, &[5, 220]),
        (61, &[1, 2, 0, 0, 0, 0, 7]),
        (50, &[192, 0, 2, 9]),
        (60, b"android-dhcp-14"),
        (12, b"Pixel-8\0"),
        (55, &[1, 3, 6, 15, 26, 28, 51, 58, 59, 43]),
        (81, b"\x00\x00\x00Pixel-8.example"),
    ];

    #[test]
    fn a_request_says_who_the_client_is() {
        let mut bytes = message(1, [0; 4], &REQUEST);
        bytes.extend([0, 0, 255, 12, 5]);
        let lease = lease(&bytes);
        assert_eq!((lease.mac, lease.kind, lease.address), ([2, 0, 0, 0, 0, 7], 3, None));
        assert_eq!(lease.parameters, [1, 3, 6, 15, 26, 28, 51, 58, 59, 43]);
        assert_eq!((&lease.client_id[..], lease.max_message), (&[1, 2, 0, 0, 0, 0, 7][..], Some(1_500)));
        assert_eq!((text(lease.hostname), text(lease.vendor_class)), ("Pixel-8".into(), "android-dhcp-14".into()));
        assert_eq!(text(lease.fqdn), "Pixel-8.example");
    }

    #[test]
    fn only_an_acknowledgement_grants_an_address() {
        let address = |kind| lease(&message(2, [192, 0, 2, 9], &[(53, &[kind])])).address;
        assert_eq!(address(5), Some(Ipv4Addr::new(192, 0, 2, 9)));
        assert_eq!(address(2), None);
        assert_eq!(lease(&message(2, [0; 4], &[(53, &[5])])).address, None);
        assert_eq!(lease(&message(1, [0; 4], &[])).kind, 0);
    }

    #[test]
    fn the_name_in_the_form_of_dns() {
        let name = |option: &[u8]| text(lease(&message(1, [0; 4], &[(81, option)])).fqdn);
        assert_eq!(name(b"\x05\xff\xff\x04host\x07example\x00rest"), "host.example");
        assert_eq!(name(b"\x05\0\0\x04host\x07exam"), "host");
        assert_eq!(name(b"\x05\0\0\x04host\xc0\x0c"), "host");
        assert_eq!(name(b"\x01\0\0host"), "host");
        assert_eq!(name(b"\x01\0"), "");
    }

    #[test]
    fn split_options_are_joined_and_overloaded_fields_read() {
        let lease1 = lease(&message(1, [0; 4], &[(12, b"long-"), (53, &[1]), (12, b"name")]));
        assert_eq!((text(lease1.hostname), lease1.kind), ("long-name".into(), 1));
        let mut bytes = message(1, [0; 4], &[(52, &[3])]);
        bytes[108..115].copy_from_slice(b"\x0c\x05phone");
        bytes[44..47].copy_from_slice(&[53, 1, 8]);
        let lease2 = lease(&bytes);
        assert_eq!((text(lease2.hostname), lease2.kind), ("phone".into(), 8));
        bytes[242] = 0;
        assert_eq!(lease(&bytes).hostname, None);
    }

    #[test]
    fn lists_are_bounded() {
        let lease =
            lease(&message(1, [0; 4], &[(55, &[7; 255]), (55, &[7; 255]), (61, &[8; 200]), (12, &[b'a'; 255]), (12, &[b'a'; 255])]));
        assert_eq!((lease.parameters.len(), lease.client_id.len()), (MAX_PARAMETERS, MAX_CLIENT_ID));
        assert_eq!(text(lease.hostname).len(), Text::MAX);
    }

    #[test]
    fn what_is_not_dhcp() {
        let good = message(1, [0; 4], &REQUEST);
        for (at, value) in [(0, 0), (0, 3), (236, 98)] {
            let mut bytes = good.clone();
            bytes[at] = value;
            assert_eq!(read(&bytes), Verdict::NotMine);
        }
        let mut bytes = good;
        bytes[2] = 16;
        assert_eq!(read(&bytes), Verdict::Malformed("hardware address"));
    }

    #[test]
    fn a_cut_message_never_says_anything_else() {
        let bytes = message(1, [0; 4], &REQUEST);
        let whole = lease(&bytes);
        for cut in 0..bytes.len() {
            if cut < 240 {
                assert_eq!(read(&bytes[..cut]), Verdict::NotMine, "cut {cut}");
                continue;
            }
            let part = lease(&bytes[..cut]);
            assert!(part.hostname.is_none() || part.hostname == whole.hostname, "cut {cut}");
            assert!(part.vendor_class.is_none() || part.vendor_class == whole.vendor_class, "cut {cut}");
            assert!(part.fqdn.is_none(), "cut {cut}");
            assert!(part.parameters.is_empty() || part.parameters == whole.parameters, "cut {cut}");
            assert!(part.client_id.is_empty() || part.client_id == whole.client_id, "cut {cut}");
        }
    }
}
