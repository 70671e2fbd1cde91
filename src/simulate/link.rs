//! What a phone and the access point say on the link itself: joining, DHCP, ARP and neighbour discovery.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use etherparse::icmpv6::{NeighborAdvertisementHeader, RouterAdvertisementHeader};
use etherparse::{ArpOperation, Icmpv6Type};

use crate::packet::{Mac, Timestamp};
use crate::simulate::names;
use crate::simulate::station::{GATEWAY, GATEWAY_LINK_LOCAL, GATEWAY_V4, Phone, Tape};
use crate::simulate::wire::{self, BROADCAST, End};

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Multicast DNS (RFC 6762, 3).
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
const ALL_MLD_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const LEASE: Duration = Duration::from_secs(12 * 3_600);

impl Phone {
    /// The phone joins: the access point's own marker, then addresses of both kinds. Returns when it can speak to the Internet.
    pub(super) fn join(&mut self, tape: &mut Tape, at: Timestamp) -> io::Result<Timestamp> {
        let again = !self.story.associations.is_empty();
        self.story.associations.push(at);
        tape.link(at, wire::xid(self.story.mac));
        let at = self.later(at, 15..60);
        let at = self.solicit(tape, at)?;
        let at = self.later(at, 5..40);
        let at = self.lease(tape, at, again)?;
        let at = self.later(at, 1..9);
        let at = self.resolve_gateway(tape, at)?;
        let quiet = self.later(at, 400..900);
        self.query_multicast(tape, quiet)?;
        Ok(self.later(at, 20..80))
    }

    /// Duplicate address detection and router solicitation (RFC 4861, RFC 4862); a new temporary address each time (RFC 8981).
    fn solicit(&mut self, tape: &mut Tape, at: Timestamp) -> io::Result<Timestamp> {
        self.renew_v6();
        self.detect_duplicate(tape, at, self.link_local)?;
        let at = self.later(at, 200..700);
        let source = self.end(self.link_local, 0);
        let own = link_option(SOURCE_LINK, self.story.mac);
        tape.link(at, wire::icmpv6(source, group(ALL_ROUTERS), Icmpv6Type::RouterSolicitation, &own)?);
        let at = self.later(at, 2..12);
        tape.link(at, advertisement()?);
        let at = self.later(at, 10..50);
        self.detect_duplicate(tape, at, self.v6)?;
        self.report_groups(tape, at)?;
        self.ask_neighbour(tape, at)?;
        Ok(at)
    }

    /// The groups that the phone listens to, so that a switch passes them on (RFC 9777, 5.2.14; RFC 2236, 3).
    fn report_groups(&mut self, tape: &mut Tape, at: Timestamp) -> io::Result<()> {
        const TO_EXCLUDE: [u8; 4] = [4, 0, 0, 0];
        let at = self.later(at, 60..400);
        let groups = [solicited(self.link_local), solicited(self.v6), GROUP_V6];
        let records: Vec<u8> = groups.iter().flat_map(|group| [&TO_EXCLUDE[..], &group.octets()].concat()).collect();
        tape.link(at, wire::listener_report(self.end(self.link_local, 0), group(ALL_MLD_ROUTERS), groups.len() as u8, &records)?);
        tape.link(self.later(at, 300..900), wire::igmp_report(self.end(self.v4, 0), mdns_v4())?);
        Ok(())
    }

    fn detect_duplicate(&mut self, tape: &mut Tape, at: Timestamp, address: Ipv6Addr) -> io::Result<()> {
        let from = self.end(Ipv6Addr::UNSPECIFIED, 0);
        tape.link(at, wire::icmpv6(from, group(solicited(address)), Icmpv6Type::NeighborSolicitation, &address.octets())?);
        Ok(())
    }

    /// Who has the router's address? The router says so.
    pub(super) fn ask_neighbour(&mut self, tape: &mut Tape, at: Timestamp) -> io::Result<()> {
        let (phone, router) = (self.end(self.link_local, 0), End::new(GATEWAY, GATEWAY_LINK_LOCAL, 0));
        let asked = GATEWAY_LINK_LOCAL.octets();
        let question = [&asked[..], &link_option(SOURCE_LINK, self.story.mac)].concat();
        tape.link(at, wire::icmpv6(phone, group(solicited(GATEWAY_LINK_LOCAL)), Icmpv6Type::NeighborSolicitation, &question)?);
        let kind = Icmpv6Type::NeighborAdvertisement(NeighborAdvertisementHeader { router: true, solicited: true, r#override: true });
        let answer = [&asked[..], &link_option(TARGET_LINK, GATEWAY)].concat();
        tape.link(self.later(at, 1..4), wire::icmpv6(router, phone, kind, &answer)?);
        Ok(())
    }

    /// DISCOVER to ACK (RFC 2131, 3.1); where the phone remembers its address, REQUEST and ACK (3.2).
    fn lease(&mut self, tape: &mut Tape, mut at: Timestamp, again: bool) -> io::Result<Timestamp> {
        let xid = self.rng.u32(..);
        let nobody = self.end(Ipv4Addr::UNSPECIFIED, 68);
        let everybody = End::new(BROADCAST, Ipv4Addr::BROADCAST, 67);
        if !again {
            tape.link(at, wire::udp(nobody, everybody, &self.ask(DISCOVER, xid, Ipv4Addr::UNSPECIFIED))?);
            at = self.later(at, 2..30);
            tape.link(at, wire::udp(server(), self.end(self.v4, 68), &self.offer(OFFER, xid))?);
            at = self.later(at, 3..9);
        }
        tape.link(at, wire::udp(nobody, everybody, &self.ask(REQUEST, xid, Ipv4Addr::UNSPECIFIED))?);
        at = self.later(at, 2..30);
        tape.link(at, wire::udp(server(), self.end(self.v4, 68), &self.offer(ACK, xid))?);
        Ok(at)
    }

    /// Half of the lease is over: the phone asks the server alone (RFC 2131, 4.4.5).
    pub(super) fn renew(&mut self, tape: &mut Tape, at: Timestamp) -> io::Result<()> {
        let xid = self.rng.u32(..);
        let phone = self.end(self.v4, 68);
        tape.link(at, wire::udp(phone, End { at: (GATEWAY_V4, 67).into(), ..server() }, &self.ask(REQUEST, xid, self.v4))?);
        tape.link(self.later(at, 2..20), wire::udp(server(), phone, &self.offer(ACK, xid))?);
        Ok(())
    }

    fn ask(&self, kind: u8, xid: u32, from: Ipv4Addr) -> Vec<u8> {
        let wanted = self.v4.octets();
        let server = GATEWAY_V4.octets();
        let [a, b, c, d, e, f] = self.story.mac.0;
        let client = [1, a, b, c, d, e, f];
        let most = 1_500_u16.to_be_bytes();
        let mut options: Vec<(u8, &[u8])> = vec![(53, std::slice::from_ref(&kind)), (61, &client)];
        if kind == REQUEST && from.is_unspecified() {
            options.extend([(50, &wanted[..]), (54, &server[..])]);
        }
        options.extend([
            (57, &most[..]),
            (60, self.model.vendor_class.as_bytes()),
            (12, self.model.hostname.as_bytes()),
            (55, self.model.parameters),
        ]);
        dhcp(1, xid, (from, Ipv4Addr::UNSPECIFIED), self.story.mac, &options)
    }

    fn offer(&self, kind: u8, xid: u32) -> Vec<u8> {
        let server = GATEWAY_V4.octets();
        let seconds = |span: Duration| (span.as_secs() as u32).to_be_bytes();
        let (lease, half, most) = (seconds(LEASE), seconds(LEASE / 2), seconds(LEASE * 7 / 8));
        dhcp(
            2,
            xid,
            (Ipv4Addr::UNSPECIFIED, self.v4),
            self.story.mac,
            &[
                (53, &[kind]),
                (54, &server),
                (51, &lease),
                (58, &half),
                (59, &most),
                (1, &[255, 255, 255, 0]),
                (28, &[192, 168, 77, 255]),
                (3, &server),
                (6, &server),
            ],
        )
    }

    /// Who has the gateway's address, asked of all.
    fn resolve_gateway(&mut self, tape: &mut Tape, at: Timestamp) -> io::Result<Timestamp> {
        let phone = (self.story.mac, self.v4);
        tape.link(at, wire::arp(ArpOperation::REQUEST, phone, BROADCAST, (Mac([0; 6]), GATEWAY_V4))?);
        let at = self.later(at, 1..4);
        tape.link(at, wire::arp(ArpOperation::REPLY, (GATEWAY, GATEWAY_V4), self.story.mac, phone)?);
        Ok(at)
    }

    /// The gateway makes sure that the phone is still there.
    pub(super) fn is_asked(&mut self, tape: &mut Tape, at: Timestamp) -> io::Result<()> {
        let (phone, gateway) = ((self.story.mac, self.v4), (GATEWAY, GATEWAY_V4));
        tape.link(at, wire::arp(ArpOperation::REQUEST, gateway, phone.0, (Mac([0; 6]), phone.1))?);
        tape.link(self.later(at, 2..30), wire::arp(ArpOperation::REPLY, phone, GATEWAY, gateway)?);
        Ok(())
    }

    /// Multicast DNS over both versions of IP: is there a screen to cast to?
    pub(super) fn query_multicast(&mut self, tape: &mut Tape, at: Timestamp) -> io::Result<()> {
        const PORT: u16 = 5_353;
        let query = names::multicast_query("_googlecast._tcp.local")?;
        let to = End { at: (GROUP_V4, PORT).into(), ..mdns_v4() };
        tape.link(at, wire::udp(self.end(self.v4, PORT), to, &query)?);
        let to = End { at: (GROUP_V6, PORT).into(), ..group(GROUP_V6) };
        tape.link(self.later(at, 1..3), wire::udp(self.end(self.link_local, PORT), to, &query)?);
        Ok(())
    }
}

/// The router names itself and its prefix to all (RFC 4861, 4.2 and 4.6.2).
pub(super) fn advertisement() -> io::Result<Vec<u8>> {
    let header =
        RouterAdvertisementHeader { cur_hop_limit: 64, managed_address_config: false, other_config: false, router_lifetime: 1_800 };
    let times = [0; 8];
    let prefix = [&[3, 4, 64, 0b1100_0000][..], &86_400_u32.to_be_bytes(), &14_400_u32.to_be_bytes(), &[0; 4], &PREFIX.octets()].concat();
    let payload = [&times[..], &prefix, &link_option(SOURCE_LINK, GATEWAY)].concat();
    let router = End::new(GATEWAY, GATEWAY_LINK_LOCAL, 0);
    wire::icmpv6(router, group(ALL_NODES), Icmpv6Type::RouterAdvertisement(header), &payload)
}

/// What the router announces, a /64.
const PREFIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0x0db8, 0x77, 0, 0, 0, 0, 0);

// Types of options (RFC 4861, 4.6.1) and of DHCP messages (RFC 2132, 9.6).
const SOURCE_LINK: u8 = 1;
const TARGET_LINK: u8 = 2;
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;

fn link_option(kind: u8, Mac([a, b, c, d, e, f]): Mac) -> [u8; 8] {
    [kind, 1, a, b, c, d, e, f]
}

fn server() -> End {
    End::new(GATEWAY, GATEWAY_V4, 67)
}

/// The group that the owner of an address listens to (RFC 4291, 2.7.1).
fn solicited(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

fn mdns_v4() -> End {
    End::new(Mac([0x01, 0x00, 0x5e, 0, 0, 0xfb]), GROUP_V4, 0)
}

/// A group and its MAC (RFC 2464, 7).
fn group(address: Ipv6Addr) -> End {
    let [.., a, b, c, d] = address.octets();
    End::new(Mac([0x33, 0x33, a, b, c, d]), address, 0)
}

/// A DHCP message (RFC 2131, 2), padded to the 300 bytes of BOOTP.
fn dhcp(op: u8, xid: u32, (client, yours): (Ipv4Addr, Ipv4Addr), mac: Mac, options: &[(u8, &[u8])]) -> Vec<u8> {
    const COOKIE: [u8; 4] = [99, 130, 83, 99];
    let mut message = vec![op, 1, 6, 0];
    message.extend(xid.to_be_bytes());
    message.extend([0; 4]);
    message.extend(client.octets());
    message.extend(yours.octets());
    message.extend([0; 8]);
    message.extend(mac.0);
    message.extend([0; 10 + 64 + 128]);
    message.extend(COOKIE);
    for (code, value) in options {
        message.extend([*code, value.len() as u8]);
        message.extend(*value);
    }
    message.push(255);
    message.resize(message.len().max(300), 0);
    message
}
