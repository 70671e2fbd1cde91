//! Everything that a flow is held against, and what every packet asks of it: whose it is, where its other side is, what it says.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::dissect::observation::Observation;
use crate::engine::contacts::Contacts;
use crate::engine::device::{Devices, to_group};
use crate::engine::event::{Detail, DeviceNews, Event, Where};
use crate::engine::events::Events;
use crate::engine::flow::{End, Flow, FlowKey, Side, Sides};
use crate::engine::geo::{GeoDb, Site};
use crate::engine::haunts::Haunts;
use crate::engine::health::Health;
use crate::engine::lane::Streams;
use crate::engine::limits::Limits;
use crate::engine::location::{Bench, Servers, judge};
use crate::engine::names::NameTable;
use crate::engine::pulls::History;
use crate::engine::reading::Spare;
use crate::engine::rhythm::Rhythm;
use crate::engine::snapshot::{Place, RTT_BUCKETS, RttRow};
use crate::engine::table::{Id, Table};
use crate::engine::title::Titles;
use crate::engine::vendor::vendor;
use crate::engine::watchlist::Watchlist;
use crate::engine::witness::{Location, Witnesses};
use crate::packet::{Datagram, Mac, Macs, Packet, TCP, Timestamp};

/// Resolvers remembered as offered: a forger could offer without end. The first ones stay.
const OFFERED: usize = 16;

/// Everything that a flow is held against.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) limits: Limits,
    pub(super) devices: Devices,
    pub(super) names: NameTable,
    /// What the last names say by themselves.
    pub(super) titles: Titles,
    /// Where the last flows were put.
    pub(super) haunts: Haunts,
    /// Whom each device has met.
    pub(super) contacts: Contacts,
    pub(super) geo: GeoDb,
    pub(super) streams: Streams,
    /// Room for what the next packet brings to light.
    pub(super) seen: Vec<(&'static str, Observation)>,
    /// Room for the readings of flows to come.
    pub(super) spare: Spare,
    /// What to look out for.
    pub(super) watchlists: Arc<[Watchlist]>,
    pub(super) rtts: Vec<RttRow>,
    /// Least handshake times.
    pub(super) servers: Servers,
    /// Where the sensor stands, when it was told.
    pub(super) bench: Option<Bench>,
    /// Resolvers that DHCP or Router Advertisements offered.
    pub(super) offered: ArrayVec<IpAddr, OFFERED>,
    /// The label of the device whose accounts are audited.
    pub(super) audited: Option<Arc<str>>,
    /// Minutes of devices are kept.
    pub(super) follows_activity: bool,
    /// Destinations that found no account of their own.
    pub(super) refused_accounts: u64,
    /// What each device does again and again, by destination.
    pub(super) rhythms: Table<(Id, Arc<str>), Rhythm>,
    /// What each device pulled, by name.
    pub(super) histories: Table<(Id, Arc<str>), History>,
    pub(super) events: Events,
    pub(super) health: Health,
}

impl Core {
    /// Says whose a flow is and where its other side is.
    pub(super) fn place(
        &mut self,
        key: &FlowKey,
        flow: &mut Flow,
        sender: Side,
        packet: &Packet<'_>,
        datagram: &Datagram<'_>,
        now: Timestamp,
    ) {
        flow.standings = Sides::default();
        let (source, target) = (datagram.source.ip(), datagram.target.ip());
        let (from, to) = (packet.macs.map(|macs| macs.source), packet.macs.map(|macs| macs.target));
        let group = packet.group || to_group(target, packet.macs);
        let mut ours = (self.devices.ours(source, from), !group && self.devices.ours(target, to));
        if ours == (false, false) && !group {
            ours = self.guess_side(datagram, packet.macs, now);
        }
        if ours == (false, true)
            && let Some(mac) = from
        {
            self.devices.forwards(mac);
        }
        if ours == (false, false) {
            self.health.skip("no-side-ours");
            if !group {
                // Asked again with the next packet: not worth a look into the databases.
                (flow.ends, flow.place, flow.site) = (Sides::default(), Place::Unknown, None);
                return;
            }
        }
        let source_end = ours.0.then(|| self.end(source, from, packet, now)).flatten();
        let target_end = ours.1.then(|| self.end(target, to, packet, now)).flatten();
        *flow.ends.of_mut(sender) = source_end;
        *flow.ends.of_mut(sender.other()) = target_end;
        if flow.begins_amid(datagram) && ours.0 != ours.1 {
            flow.client = if ours.0 { sender } else { sender.other() };
        }
        flow.site = None;
        flow.place = match ours {
            _ if group => Place::Multicast,
            (true, true) => Place::Local,
            _ => {
                let site = flow.site.insert(self.geo.site(self.far(key, flow)));
                site.located.country.map_or(Place::Unknown, Place::Country)
            }
        };
    }

    /// Whose side is ours where no rule knows: of a station and a router the station's; else whoever opens the conversation.
    fn guess_side(&mut self, datagram: &Datagram<'_>, macs: Option<Macs>, now: Timestamp) -> (bool, bool) {
        let (source, target) = (datagram.source.ip(), datagram.target.ip());
        let forwards = |mac: Mac| self.devices.is_router(mac);
        match macs.map(|macs| (macs, forwards(macs.source), forwards(macs.target))) {
            Some((macs, true, false)) => {
                self.devices.own(target, Some(macs.target), now, &self.limits);
                (false, true)
            }
            // Two routers, one of them perhaps a phone that poses as one, or that sent with an address of another network: nobody
            // comes to own an address by that.
            Some((_, true, true)) => match (self.devices.is_announced(source), self.devices.is_announced(target)) {
                (true, false) => (true, false),
                (false, true) => (false, true),
                _ => (opens(datagram), false),
            },
            Some((macs, false, true)) => {
                self.devices.own(source, Some(macs.source), now, &self.limits);
                (true, false)
            }
            _ if opens(datagram) => {
                self.devices.own(source, macs.map(|macs| macs.source), now, &self.limits);
                (true, false)
            }
            _ => (false, false),
        }
    }

    /// The address that a flow is located by: the side that is not ours, else the server's.
    pub(super) fn far(&self, key: &FlowKey, flow: &Flow) -> IpAddr {
        let side = match (flow.ends.of(Side::Low), flow.ends.of(Side::High)) {
            (Some(_), None) => Side::High,
            (None, Some(_)) => Side::Low,
            _ => flow.client.other(),
        };
        key.endpoint(side).ip()
    }

    /// What the witnesses say of the country of a flow's other side, among them the least handshake time with it.
    pub(super) fn witnesses(&self, key: &FlowKey, flow: &Flow) -> Witnesses {
        let country = match flow.place {
            Place::Country(country) => Some(country),
            Place::Local | Place::Multicast | Place::Unknown => None,
        };
        let (far, site) = (self.far(key, flow), self.site(key, flow));
        Witnesses {
            country,
            agree: site.located.agree,
            claim: flow.rare.as_ref().and_then(|rare| rare.claim),
            finding: judge(self.bench.as_ref(), far, country, flow.class, self.bench.as_ref().and_then(|_| self.servers.least(far))),
            anycast: site.anycast,
        }
    }

    /// What its address says of a flow's other side; also of one on our side, and while nobody's side is known.
    pub(super) fn site(&self, key: &FlowKey, flow: &Flow) -> Arc<Site> {
        flow.site.as_ref().map_or_else(|| self.geo.site(self.far(key, flow)), Arc::clone)
    }

    /// Where the other side of a flow is, for a line in the log; on our side only what its name says.
    pub(super) fn place_of(&self, key: &FlowKey, flow: &Flow) -> Where {
        let outside = !matches!(flow.place, Place::Local | Place::Multicast);
        Where { domain: flow.domain(), ..if outside { where_is(&self.site(key, flow)) } else { Where::default() } }
    }

    /// The label of the device that a flow is told under: the client's if it is ours, else the server's, else the client's address.
    pub(super) fn label(&self, flow: &Flow, client: Side, address: IpAddr) -> Arc<str> {
        let end = flow.ends.of(client).as_ref().or_else(|| flow.ends.of(client.other()).as_ref());
        match end.and_then(|end| self.devices.table().get(end.device)) {
            Some(device) => Arc::clone(&device.label),
            None => Arc::from(address.to_canonical().to_string()),
        }
    }

    /// Writes a line about a device.
    pub(super) fn tell_device(&mut self, id: Id, packet: u64, time: Timestamp) {
        if !self.events.notable() {
            return;
        }
        let Some(device) = self.devices.table().get(id) else { return };
        let entry = self.devices.entry(device);
        let mut addresses = device.addresses.to_vec();
        addresses.sort_unstable();
        let news = DeviceNews {
            mac: device.mac(),
            macs: device.macs.clone(),
            name: device.alias(),
            notes: entry.and_then(|entry| entry.notes.clone()),
            expected: entry.map(|entry| entry.expected.clone()).unwrap_or_default(),
            hostname: device.identity.hostname().cloned(),
            vendor: device.macs.iter().find_map(|mac| vendor(*mac)).map(Arc::from),
            vendor_class: device.identity.vendor_class().cloned(),
            randomized: device.mac().is_some_and(Mac::is_local),
            addresses,
            identity: device.identity.facts().to_vec(),
        };
        let event =
            Event { time, packet, device: Arc::clone(&device.label), mac: news.mac, ends: None, detail: Detail::Device(Box::new(news)) };
        self.events.push(event, &mut self.health);
    }

    /// The device at one end of a packet.
    fn end(&mut self, address: IpAddr, mac: Option<Mac>, packet: &Packet<'_>, now: Timestamp) -> Option<End> {
        let key = self.devices.key(address, mac);
        let Some((device, new)) = self.devices.open(&key, now, &self.limits) else {
            self.health.skip("device-table-full");
            return None;
        };
        // Where it is told apart by address, the MAC is a router's or a repeater's.
        let own = mac.filter(|mac| self.devices.link_key(*mac) == key);
        let other = self.devices.get_mut(device).is_some_and(|device| own.is_some_and(|mac| device.bears(mac)));
        let news = self.devices.get_mut(device).is_some_and(|device| device.has(address));
        if new || other {
            self.meet(device, packet);
        } else if news {
            self.tell_device(device, packet.number, packet.time);
        }
        let mac = mac.filter(|_| !self.devices.by_address());
        Some(End { mac, edition: self.devices.edition(), device })
    }

    /// Takes in a device that is first seen.
    pub(super) fn meet(&mut self, id: Id, packet: &Packet<'_>) {
        if let Some(device) = self.devices.get_mut(id) {
            device.meet(packet.number, packet.time);
        }
        self.tell_device(id, packet.number, packet.time);
    }

    /// Notes a resolver that was offered on our link.
    pub(super) fn offers(&mut self, resolver: IpAddr) {
        if !self.offered.contains(&resolver) {
            let _ = self.offered.try_push(resolver);
        }
    }

    /// Whether a flow's side that is ours is now another device's, by its MAC (an address that changed hands) or by the devices
    /// file. Or a frame to everybody began it and others do not follow: one such frame must not make what goes to a server look
    /// like talk on the link.
    #[inline]
    pub(super) fn has_moved(&self, flow: &Flow, sender: Side, datagram: &Datagram<'_>, packet: &Packet<'_>) -> bool {
        let group = packet.group || to_group(datagram.target.ip(), packet.macs);
        if group != matches!(flow.place, Place::Multicast) || group && flow.ends.of(sender).is_none() {
            return true;
        }
        let macs = packet.macs.as_ref();
        self.differs(flow.ends.of(sender), datagram.source, macs.map(|macs| &macs.source))
            || self.differs(flow.ends.of(sender.other()), datagram.target, macs.map(|macs| &macs.target))
    }

    /// Whether a flow's side is now another device's. It was looked at already where neither the MAC nor the devices file changed.
    #[inline]
    fn differs(&self, end: &Option<End>, endpoint: SocketAddr, mac: Option<&Mac>) -> bool {
        let Some(end) = end else { return false };
        let moved = matches!((&end.mac, mac), (Some(known), Some(mac)) if known != mac);
        (moved || end.edition != self.devices.edition()) && self.is_of_another(end, endpoint.ip(), mac.copied())
    }

    fn is_of_another(&self, end: &End, address: IpAddr, mac: Option<Mac>) -> bool {
        mac.is_none_or(|mac| !mac.is_group())
            && self.devices.table().get(end.device).is_none_or(|device| self.devices.key(address, mac) != device.key)
    }

    /// Notes that the devices of a flow still talk: who has one long connection is not silent.
    pub(super) fn note_alive(&mut self, flow: &Flow, now: Timestamp) {
        for side in [Side::Low, Side::High] {
            if let Some(end) = flow.ends.of(side) {
                self.devices.touch(end.device, now);
                if let Some(device) = self.devices.table().get(end.device) {
                    self.contacts.touch(&device.label, now);
                }
            }
        }
    }

    /// Takes in a handshake that packet `number` answered. Only one that a server outside answered: who connects to us from
    /// outside is answered by our own device, and its time is the way to that.
    pub(super) fn note_rtt(&mut self, key: &FlowKey, flow: &Flow, number: u64, now: Timestamp) {
        let Some(rtt) = flow.rtt.filter(|_| flow.is_outward()) else { return };
        let server = key.endpoint(flow.client.other()).ip();
        if !rtt.is_zero() && !self.health.elsewhere {
            self.servers.note(server, rtt, number, now, self.limits.stale);
        }
        if self.health.elsewhere {
            return;
        }
        let rtt = rtt.as_secs_f64();
        let row = match self.rtts.iter_mut().position(|row| row.place == flow.place) {
            Some(index) => self.rtts.get_mut(index),
            None => {
                self.rtts.push(RttRow { place: flow.place, buckets: [0; RTT_BUCKETS.len()], count: 0, sum: 0.0 });
                self.rtts.last_mut()
            }
        };
        let Some(row) = row else { return };
        row.count = row.count.saturating_add(1);
        row.sum += rtt;
        for (bound, count) in RTT_BUCKETS.iter().zip(&mut row.buckets) {
            *count = count.saturating_add(u64::from(rtt <= *bound));
        }
    }
}

/// What all witnesses say of where a flow's server is, each database by itself.
pub(super) fn location(site: &Site, server: IpAddr, flow: &Flow, witnesses: Witnesses) -> Location {
    Location { server, name: flow.full_name(), witnesses, opinions: Arc::clone(&site.opinions) }
}

/// Where an address is, by the databases.
pub(super) fn where_is(site: &Site) -> Where {
    let located = &site.located;
    Where { domain: None, country: located.country, asn: located.asn, organisation: located.organisation.clone(), anycast: site.anycast }
}

/// Whether a packet opens a conversation: a SYN, or a datagram from a high port to a low one.
fn opens(datagram: &Datagram<'_>) -> bool {
    match datagram.tcp {
        Some(tcp) => tcp.syn && !tcp.ack,
        None => datagram.protocol != TCP && datagram.source.port() >= 1024 && (1..1024).contains(&datagram.target.port()),
    }
}
