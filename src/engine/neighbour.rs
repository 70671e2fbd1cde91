//! Who owns which address: ARP, IPv6 neighbour discovery and router advertisements, and the frames that say a station joined.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::engine::core::Core;
use crate::engine::event::{Detail, Event};
use crate::engine::snapshot::Place;
use crate::packet::{ARP, Datagram, Mac, Macs, Packet, Timestamp};

/// EAPOL's EtherType (IEEE 802.1X).
const EAPOL: u16 = 0x888e;
/// Options looked at in one advertisement: a packet could hold hundreds.
const MAX_OPTIONS: usize = 16;

/// Resolvers taken from one option: it could hold a hundred.
const MAX_RESOLVERS: usize = 8;

impl Core {
    /// A frame that carries no IP: charged by its MACs.
    pub(super) fn link_frame(&mut self, packet: &Packet<'_>, kind: u16, payload: &[u8], now: Timestamp) {
        let Some(macs) = packet.macs else { return self.health.skip("no-address") };
        let speaks = self.link_speaker(macs, kind, payload, now);
        if self.devices.by_address() {
            return self.health.skip("no-ip"); // one MAC stands for many devices
        }
        let source = if speaks {
            self.devices.open(&self.devices.link_key(macs.source), now, &self.limits).map(|(id, new)| {
                let other = self.devices.get_mut(id).is_some_and(|device| device.bears(macs.source));
                if new || other {
                    self.meet(id, packet);
                }
                self.speaks(id, (packet.number, packet.time), now);
                id
            })
        } else {
            self.devices.table().find(&self.devices.link_key(macs.source))
        };
        let target = self.devices.table().find(&self.devices.link_key(macs.target));
        let place = if macs.target.is_group() { Place::Multicast } else { Place::Local };
        if let Some(device) = source {
            self.charge_frame(device, place, true, packet, now);
        }
        if let Some(device) = target {
            self.charge_frame(device, place, false, packet, now);
        }
        if source.is_none() && target.is_none() {
            self.health.skip("no-ip");
        }
        if is_association(macs, kind, payload)
            && let Some(label) = source.and_then(|id| self.devices.table().get(id)).map(|device| device.label.clone())
        {
            let (time, packet) = (packet.time, packet.number);
            let event = Event { time, packet, device: label, mac: Some(macs.source), ends: None, detail: Detail::Association };
            self.events.push(event, &mut self.health);
        }
    }

    /// Learns from a frame without IP, and says whether its sender is a station of ours.
    fn link_speaker(&mut self, macs: Macs, kind: u16, payload: &[u8], now: Timestamp) -> bool {
        if macs.source.is_group() || macs.source.is_zero() {
            return false;
        }
        match kind {
            // Hardware Ethernet, protocol IPv4, then operation and the sender's addresses (RFC 826).
            ARP => match payload.first_chunk::<18>() {
                Some([0, 1, 8, 0, 6, 4, _, _, h0, h1, h2, h3, h4, h5, a, b, c, d]) => {
                    let address = IpAddr::V4(Ipv4Addr::new(*a, *b, *c, *d));
                    let says = Mac([*h0, *h1, *h2, *h3, *h4, *h5]);
                    if says == macs.source && !address.is_unspecified() {
                        self.devices.own(address, Some(says), now, &self.limits);
                    }
                    true
                }
                _ => false,
            },
            EAPOL => true,
            _ => is_association(macs, kind, payload),
        }
    }

    /// Learns from IPv6 neighbour discovery (RFC 4861). Only with hop limit 255: it was sent on this very link.
    pub(super) fn neighbour_discovery(&mut self, datagram: &Datagram<'_>, macs: Option<Macs>, now: Timestamp) {
        if datagram.hop_limit != 255 {
            return;
        }
        let Some(macs) = macs else { return };
        let Some((kind, rest)) = datagram.payload.split_first() else { return };
        match (kind, datagram.source.ip()) {
            (134, IpAddr::V6(source)) if source.is_unicast_link_local() => {
                self.devices.forwards(macs.source);
                // Type, code, checksum, hop limit, flags, lifetime, two timers: options follow at 16 (4.2).
                self.prefixes(rest.get(15..).unwrap_or_default());
            }
            // A solicitation from the unspecified address asks whether anybody has the target before taking it (RFC 4862, 5.4).
            (135, IpAddr::V6(source)) if source.is_unspecified() => self.owns_target(rest, macs, now),
            // Any other one is sent from the sender's own address (4.3).
            (135, source) => self.devices.own(source, Some(macs.source), now, &self.limits),
            (136, _) => self.owns_target(rest, macs, now),
            _ => {}
        }
    }

    fn owns_target(&mut self, after_kind: &[u8], macs: Macs, now: Timestamp) {
        let Some(target) = after_kind.get(7..).and_then(<[u8]>::first_chunk::<16>) else { return };
        self.devices.own(IpAddr::V6(Ipv6Addr::from(*target)), Some(macs.source), now, &self.limits);
    }

    fn prefixes(&mut self, mut options: &[u8]) {
        for _ in 0..MAX_OPTIONS {
            let [kind, units, ..] = options else { return };
            let length = usize::from(*units).saturating_mul(8);
            let Some(option) = options.get(..length).filter(|option| !option.is_empty()) else { return };
            // Prefix information: length, flags, two lifetimes, reserved, prefix (4.6.2).
            if let (3, Some([_, _, bits, _, .., _])) = (*kind, option.first_chunk::<32>())
                && let Some(prefix) = option.get(16..).and_then(<[u8]>::first_chunk::<16>)
            {
                self.devices.announce(Ipv6Addr::from(*prefix), *bits);
            }
            // Recursive DNS servers: reserved, lifetime, addresses (RFC 8106, 5.1).
            if *kind == 25 {
                for address in option.get(8..).unwrap_or_default().as_chunks::<16>().0.iter().take(MAX_RESOLVERS) {
                    self.offers(IpAddr::V6(Ipv6Addr::from(*address)));
                }
            }
            options = options.get(length..).unwrap_or_default();
        }
    }
}

/// The 802.2 XID broadcast that an access point sends in a station's name when it joins or roams (IEEE 802.11F, as hostapd does).
fn is_association(macs: Macs, kind: u16, payload: &[u8]) -> bool {
    kind == 0 && macs.target == Mac([0xff; 6]) && matches!(payload, [0, 0 | 1, 0xaf | 0xbf, ..])
}
