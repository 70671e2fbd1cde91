//! What devices say of themselves: DHCPv6, multicast DNS and SSDP here, DHCPv4 in `learn`; and which of them may be one.
//!
//! A word counts for the device that sent it and only if it is about that device: a proxy, a reflector or a repeater passes on what
//! others say, and would otherwise be called by their names. Road not taken: to believe a name because it is for an address of
//! our side, whoever sent it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::dissect::observation::{Announcement, DnsMessage, Lease, Lease6, Record, RecordData};
use crate::engine::core::Core;
use crate::engine::device::Device;
use crate::engine::event::{Detail, Event};
use crate::engine::flow::Flow;
use crate::engine::identity::{Kind, Source, hexadecimal, is_number, listed};
use crate::engine::learn::Context;
use crate::engine::likeness::{SameAs, Side as Likened, liken};
use crate::engine::table::Id;
use crate::packet::Timestamp;

impl Core {
    /// Notes what a DHCPv4 client says of itself; true when something is new.
    pub(super) fn by_dhcp(&mut self, id: Id, lease: &Lease, context: Context<'_>) -> bool {
        let Some(device) = self.devices.get_mut(id) else { return false };
        let mut teller = Teller { device, source: Source::Dhcp, context, news: false };
        teller.note(Kind::Hostname, lease.hostname.as_ref().map(|name| name.as_str()));
        teller.note(Kind::VendorClass, lease.vendor_class.as_ref().map(|class| class.as_str()));
        teller.note(Kind::Parameters, Some(&listed(lease.parameters.iter().map(|code| u16::from(*code)))));
        teller.note(Kind::MaxMessage, lease.max_message.map(|most| most.to_string()).as_deref());
        teller.note(Kind::ClientId, Some(&hexadecimal(&lease.client_id)));
        // Type 255: a number of the interface, then the DUID that the client also has for DHCPv6 (RFC 4361, 6.1).
        if let [255, _, _, _, _, duid @ ..] = &lease.client_id[..] {
            teller.note(Kind::Duid, Some(&hexadecimal(duid)));
        }
        teller.source = Source::DhcpFqdn;
        teller.note(Kind::Hostname, lease.fqdn.as_ref().map(|name| name.as_str()));
        teller.news
    }

    /// A DHCPv6 message: a client's words are about itself unless a relay carried them, a server's about its client.
    pub(super) fn lease6(&mut self, lease: &Lease6, flow: &Flow, context: Context<'_>) {
        if !lease.is_client() {
            lease.resolvers.iter().for_each(|resolver| self.offers(IpAddr::V6(*resolver)));
        }
        let side = if lease.is_client() { context.sender } else { context.sender.other() };
        let Some(id) = flow.ends.of(side).as_ref().map(|end| end.device).filter(|_| !lease.relayed) else { return };
        let Some(device) = self.devices.get_mut(id) else { return };
        let mut teller = Teller { device, source: Source::Dhcp6, context, news: false };
        if lease.is_client() {
            teller.note(Kind::Hostname, lease.fqdn.as_ref().map(|name| name.as_str()));
            teller.note(Kind::VendorClass, lease.vendor_class.as_ref().map(|class| class.as_str()));
            teller.note(Kind::Duid, Some(&hexadecimal(&lease.duid)));
            teller.note(Kind::Parameters, Some(&listed(lease.parameters.iter().copied())));
        } else if lease.kind == REPLY {
            for address in &lease.addresses {
                teller.news |= teller.device.has(IpAddr::V6(*address));
            }
            for (prefix, length) in &lease.prefixes {
                teller.note(Kind::DelegatedPrefix, Some(&format!("{prefix}/{length}")));
            }
        }
        let news = teller.news;
        self.news(id, news, context);
    }

    /// A multicast DNS answer, where it is about its own sender (RFC 6762).
    pub(super) fn own_names(&mut self, message: &DnsMessage, flow: &Flow, context: Context<'_>) {
        let Some(id) = flow.ends.of(context.sender).as_ref().map(|end| end.device).filter(|_| message.response) else { return };
        let sender = context.key.endpoint(context.sender).ip().to_canonical();
        let Some(device) = self.devices.get_mut(id) else { return };
        let records = || message.answers.iter().chain(&message.additional);
        let own = records().find(|record| matches!(record.data, RecordData::Address(address) if address.to_canonical() == sender));
        let own = own.and_then(|record| record.name.as_str().strip_suffix(".local")).filter(|name| !is_of_browser(name));
        let mut teller = Teller { device, source: Source::Mdns, context, news: false };
        let accepted = own.filter(|name| teller.is_own_name(name, sender));
        teller.note(Kind::Hostname, accepted);
        // Everything in the message is the sender's own if each address in it belongs to the sender's own name.
        let is_own = |record: &Record| record.name.as_str().strip_suffix(".local") == accepted;
        let alone = accepted.is_some() && records().all(|record| !matches!(record.data, RecordData::Address(_)) || is_own(record));
        for record in records() {
            teller.service(record, alone);
        }
        let news = teller.news;
        self.news(id, news, context);
    }

    /// An SSDP message. What announces a device must name that device's own address as the place of its description.
    pub(super) fn announcement(&mut self, seen: &Announcement, flow: &Flow, context: Context<'_>) {
        let Some(id) = flow.ends.of(context.sender).as_ref().map(|end| end.device) else { return };
        let sender = context.key.endpoint(context.sender).ip();
        let Some(device) = self.devices.get_mut(id) else { return };
        let own = seen.host.is_some_and(|host| host == sender || device.addresses.contains(&host));
        if !seen.search && !own {
            return;
        }
        let mut teller = Teller { device, source: Source::Ssdp, context, news: false };
        teller.note(Kind::Product, seen.product.as_ref().map(|product| product.as_str()));
        teller.note(Kind::Uuid, seen.uuid.as_ref().map(|uuid| uuid.as_str()));
        let news = teller.news;
        self.news(id, news, context);
    }

    /// Tells what is new of a device, and whether that makes it resemble another.
    pub(super) fn news(&mut self, id: Id, news: bool, context: Context<'_>) {
        if !news {
            return;
        }
        self.tell_device(id, context.number, context.time);
        let stirred = self.devices.get_mut(id).is_some_and(|device| device.likeness.stir(device.first));
        if stirred {
            self.resemble(id, (context.number, context.time), context.now);
        }
    }

    /// Notes that a device sent something.
    #[inline]
    pub(super) fn speaks(&mut self, id: Id, packet: (u64, Timestamp), now: Timestamp) {
        let Some(device) = self.devices.get_mut(id) else { return };
        device.spoke = device.spoke.max(now);
        if device.likeness.is_due(now) {
            self.resemble(id, packet, now);
        }
    }

    /// Holds a device against all others, and tells which it may be the same as.
    fn resemble(&mut self, id: Id, (packet, told): (u64, Timestamp), now: Timestamp) {
        let table = self.devices.table();
        let current = |device: &&Device| self.devices.is_current(device);
        let Some(this) = table.get(id).filter(current).and_then(side) else { return };
        let mut found: Vec<(Id, Id, SameAs)> = Vec::new();
        for (other_id, _, other) in table.iter().filter(|(other, ..)| *other != id) {
            let Some(other) = Some(other).filter(current).and_then(side) else { continue };
            let newer_first = (this.first, this.label) > (other.first, other.label);
            let (newer, older, ids) = if newer_first { (this, other, (id, other_id)) } else { (other, this, (other_id, id)) };
            found.extend(liken(newer, older, packet, told, now).map(|proposal| (ids.0, ids.1, proposal)));
        }
        // There is room for few, so the best come first, and equals in an order that does not depend on chance.
        found.sort_unstable_by(|(.., a), (.., b)| {
            (b.unique, b.evidence.len(), b.silent, &a.device).cmp(&(a.unique, a.evidence.len(), a.silent, &b.device))
        });
        for (newer, older, proposal) in found {
            let Some(device) = self.devices.get_mut(newer) else { continue };
            if !device.likeness.propose(older, &proposal) {
                continue;
            }
            let (label, mac) = (Arc::clone(&device.label), device.mac());
            let detail = Detail::SameDevice(Box::new(proposal));
            self.events.push(Event { time: told, packet, device: label, mac, ends: None, detail }, &mut self.health);
        }
    }
}

/// A DHCPv6 Reply (RFC 8415, 7.3).
const REPLY: u8 = 7;

/// Notes what one packet says of one device.
struct Teller<'a> {
    device: &'a mut Device,
    source: Source,
    context: Context<'a>,
    news: bool,
}

impl Teller<'_> {
    fn note(&mut self, kind: Kind, value: Option<&str>) {
        if let Some(value) = value {
            self.news |= self.device.identity.note(kind, self.source, value, self.context.number, self.context.time);
        }
    }

    fn is_called(&self, name: &str) -> bool {
        self.device.identity.of(Kind::Hostname).any(|fact| fact.source == Source::Mdns && *fact.value == *name)
    }

    /// Whether a name for the sender's address is the device's own. Behind one MAC there may be several hosts (a repeater): another
    /// name from another address is another host's, and the first one stays.
    fn is_own_name(&mut self, name: &str, sender: IpAddr) -> bool {
        if self.is_called(name) || self.device.named_at.is_none_or(|address| address == sender) {
            self.device.named_at = Some(sender);
            return true;
        }
        false
    }

    /// A service that the device offers: its name (SRV, PTR) and its model (TXT).
    fn service(&mut self, record: &Record, alone: bool) {
        let described = match &record.data {
            // A pointer from the type of service to the service itself.
            RecordData::Name(service) if record.rtype == PTR && alone => service,
            RecordData::Name(host) if record.rtype == SRV => {
                let own = host.as_str().strip_suffix(".local").is_some_and(|host| self.is_called(host));
                if !own {
                    return;
                }
                &record.name
            }
            RecordData::Text(text) if alone => {
                if matches!(service(record.name.as_str()), Some((_, "device-info._tcp" | "airplay._tcp"))) {
                    self.note(Kind::Model, text.as_str().split(' ').find_map(|word| word.strip_prefix("model=")));
                }
                return;
            }
            _ => return,
        };
        let instance = service(described.as_str()).map(|(instance, _)| instance);
        self.note(Kind::Instance, instance.filter(|instance| !is_number(instance)));
    }
}

/// Types of records (IANA, DNS parameters).
const PTR: u16 = 12;
const SRV: u16 = 33;

/// `living room` and `googlecast._tcp` from `living room._googlecast._tcp.local` (RFC 6763, 4.1).
fn service(name: &str) -> Option<(&str, &str)> {
    let name = name.strip_suffix(".local")?;
    let protocol = name.rfind("._")?;
    let service = name.get(..protocol)?.rfind("._")?;
    Some((name.get(..service)?, name.get(service.checked_add(2)?..)?)).filter(|(instance, _)| !instance.starts_with('_'))
}

/// A name that a browser makes up for one call, to hide an address from web pages: a UUID.
fn is_of_browser(name: &str) -> bool {
    name.len() == 36 && is_number(name)
}

/// A device as another is held against it; none without a MAC.
fn side(device: &Device) -> Option<Likened<'_>> {
    let (label, identity) = (&device.label, &device.identity);
    let (named, local) = (device.alias().is_some(), device.macs.iter().any(|mac| mac.is_local()));
    let likened = Likened { label, named, local, identity, first: device.first, spoke: device.spoke };
    Some(likened).filter(|_| !device.macs.is_empty())
}
