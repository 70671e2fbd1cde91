//! All the memory there is. [`Engine::ingest`] is the one line of flow, to be read aloud.
//!
//! Road taken: one owner of every table, time as an argument. A packet costs one look-up and two additions; ledgers are told
//! what a flow carried when its account is fixed, when it ends, and at a snapshot. Road not taken: charging five counters on
//! every packet, which is what most of the time would go to; shared maps with workers.

mod account;
mod clock;
pub mod device;
pub mod event;
mod events;
mod flow;
pub mod geo;
mod health;
mod learn;
mod ledger;
pub mod limits;
mod names;
mod neighbour;
mod reading;
pub mod snapshot;
mod stream;
mod table;
mod tell;

use std::net::IpAddr;

use clock::Clock;
use device::{DeviceKey, Devices, OurSide, to_group};
use event::{Detail, Event};
use events::Events;
use flow::{End, Flow, FlowKey, Side};
use geo::GeoDb;
use health::Health;
use learn::Context;
use limits::Limits;
use names::NameTable;
use reading::{Harvest, Part, Streams};
use snapshot::{Place, RTT_BUCKETS, RttRow};
use table::{Id, Table};

use crate::packet::{Body, Datagram, Frame, ICMPV6, Mac, Packet, TCP, Timestamp};

/// Follows flows, names and locates them, and keeps the accounts.
#[derive(Debug)]
pub struct Engine {
    clock: Clock,
    flows: Table<FlowKey, Flow>,
    core: Core,
}

/// Everything that a flow is held against.
#[derive(Debug)]
struct Core {
    limits: Limits,
    devices: Devices,
    names: NameTable,
    geo: GeoDb,
    streams: Streams,
    rtts: Vec<RttRow>,
    /// Destinations that found no account of their own.
    refused_accounts: u64,
    events: Events,
    health: Health,
}

impl Engine {
    /// An engine that has seen nothing yet; `events` says whether anybody will take them.
    #[must_use]
    pub fn new(limits: Limits, side: OurSide, geo: GeoDb, events: bool) -> Self {
        Self {
            clock: Clock::default(),
            flows: Table::new("flows", limits.flows),
            core: Core {
                devices: Devices::new(side, &limits),
                names: NameTable::new(&limits),
                geo,
                streams: Table::new("streams", limits.streams),
                rtts: Vec::new(),
                refused_accounts: 0,
                events: Events::new(events, limits.events),
                health: Health::default(),
                limits,
            },
        }
    }

    /// Takes in a frame.
    pub fn ingest(&mut self, frame: &Frame<'_>) {
        let now = self.clock.advance(frame.time);
        self.core.health.packets = self.core.health.packets.saturating_add(1);
        self.expire(now);
        let packet = match Packet::decode(frame) {
            Ok(packet) => packet,
            Err(reason) => return self.core.health.skip(reason),
        };
        let datagram = match packet.body {
            Body::Ip(datagram) => datagram,
            Body::Link(kind, payload) => return self.core.link_frame(&packet, kind, payload, now),
        };
        if datagram.protocol == ICMPV6 {
            self.core.neighbour_discovery(&datagram, packet.macs, now);
        }
        let (key, sender) = FlowKey::of(&datagram);
        let Some(id) = self.find(&key, sender, &packet, &datagram, now) else {
            return self.core.unfollowed(&packet, &datagram, now);
        };
        let Some(flow) = self.flows.get_mut(id) else { return };
        if self.core.has_moved(flow, sender, packet.macs) {
            self.core.flush(&key, flow);
            self.core.place(&key, flow, sender, &packet, &datagram, now);
        }
        flow.count(sender, packet.wire_len, !datagram.payload.is_empty(), now);
        if let Some(tcp) = datagram.tcp {
            let before = flow.rtt;
            flow.follow(sender, tcp, now);
            if flow.rtt != before {
                self.core.note_rtt(flow);
            }
        }
        if flow.ends.of(Side::Low).is_none() && flow.ends.of(Side::High).is_none() {
            self.core.health.skip("no-side-ours");
        }
        if flow.reading.is_some() {
            let context = Context { key: &key, sender, number: packet.number, time: packet.time, now, macs: packet.macs };
            self.core.read(id, flow, &datagram, context);
        }
        if !flow.settled && flow.is_due(key.protocol(), now, &self.core.limits) {
            self.core.settle(&key, flow, now);
        }
    }

    /// Counts a frame that was captured but whose link layer cannot be read.
    pub fn unreadable(&mut self) {
        self.core.health.packets = self.core.health.packets.saturating_add(1);
        self.core.health.skip("unknown-link-type");
    }

    /// Lets time pass on a quiet link, so that flows end. Live captures only: elsewhere time is the packets'.
    pub fn advance(&mut self, time: Timestamp) {
        let now = self.clock.advance(time);
        while self.expire(now) {}
    }

    /// Ends every flow: the capture is over.
    pub fn finish(&mut self) {
        while let Some((key, mut flow)) = self.flows.pop() {
            self.core.finish_reading(&key, &mut flow);
            self.core.retire(&key, flow);
        }
    }

    /// Takes the events that wait. Call it after each frame.
    pub fn events(&mut self) -> impl Iterator<Item = Event> + '_ {
        self.core.events.take()
    }

    /// Whether events wait.
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.core.events.is_empty()
    }

    /// Says which MACs are the access point's own: they forward for others.
    pub fn routers(&mut self, macs: Vec<Mac>) {
        for mac in macs {
            self.core.devices.forwards(mac);
        }
    }

    /// Exchanges the address databases; what is already located stays as it was told.
    pub fn relocate(&mut self, geo: GeoDb) {
        self.core.geo = geo;
    }

    /// Lets what is over go: at most one flow, name and device, because at most one of each came in. True when a flow went.
    fn expire(&mut self, now: Timestamp) -> bool {
        let limits = &self.core.limits;
        let stale = limits.stale;
        let gone = self.flows.pop_stale(now, stale, |flow, silent| flow.may_leave(silent, limits));
        self.core.names.expire(now);
        self.core.devices.expire(now, &self.core.limits);
        let Some((key, mut flow)) = gone else { return false };
        self.core.finish_reading(&key, &mut flow);
        self.core.retire(&key, flow);
        true
    }

    /// The flow of a packet, found or made; none when the table is full of living flows.
    fn find(&mut self, key: &FlowKey, sender: Side, packet: &Packet<'_>, datagram: &Datagram<'_>, now: Timestamp) -> Option<Id> {
        if let Some(id) = self.flows.find(key) {
            if !self.flows.get(id)?.is_over(datagram.tcp) {
                self.flows.touch(id, now);
                return Some(id);
            }
            let (key, mut flow) = self.flows.take(id)?;
            self.core.finish_reading(&key, &mut flow);
            self.core.retire(&key, flow);
        }
        let limits = &self.core.limits;
        let gone = self.flows.make_room(now, |flow, silent| flow.may_leave(silent, limits) || silent >= limits.stale);
        if let Some((key, mut flow)) = gone {
            self.core.finish_reading(&key, &mut flow);
            self.core.retire(&key, flow);
        }
        let mut flow = Flow::new(datagram, packet.number, sender, now);
        self.core.place(key, &mut flow, sender, packet, datagram, now);
        self.flows.insert(*key, flow, now)
    }
}

impl Core {
    /// Shows a packet to the dissectors of its flow, and takes in what they see.
    fn read(&mut self, id: Id, flow: &mut Flow, datagram: &Datagram<'_>, context: Context<'_>) {
        let Some(mut reading) = flow.reading.take() else { return };
        let part = Part { flow: id, sender: context.sender, now: context.now, packet: datagram };
        let mut harvest = Harvest::default();
        if reading.read(part, &mut self.streams, &self.limits, &mut harvest) {
            flow.reading = Some(reading);
        }
        self.take_in(harvest, flow, context);
    }

    /// The reading of a flow is over: what can be read of half a message is read.
    fn finish_reading(&mut self, key: &FlowKey, flow: &mut Flow) {
        let Some(mut reading) = flow.reading.take().filter(|reading| reading.is_gathering()) else { return };
        let mut harvest = Harvest::default();
        reading.finish(&mut self.streams, &mut harvest);
        let context = Context { key, sender: flow.client, number: flow.packet, time: flow.last, now: flow.last, macs: None };
        self.take_in(harvest, flow, context);
    }

    fn take_in(&mut self, harvest: Harvest, flow: &mut Flow, context: Context<'_>) {
        if let Some(protocol) = harvest.malformed {
            self.health.malformed.count(protocol);
        }
        for (protocol, seen) in harvest.seen {
            self.learn(protocol, seen, flow, context);
        }
    }

    /// Says whose a flow is and where its other side is.
    fn place(&mut self, key: &FlowKey, flow: &mut Flow, sender: Side, packet: &Packet<'_>, datagram: &Datagram<'_>, now: Timestamp) {
        let (source, target) = (datagram.source.ip(), datagram.target.ip());
        let (from, to) = (packet.macs.map(|macs| macs.source), packet.macs.map(|macs| macs.target));
        let group = to_group(target, packet.macs);
        let mut ours = (self.devices.ours(source, from), !group && self.devices.ours(target, to));
        if ours == (false, false) && !group && opens(datagram) && !from.is_some_and(|mac| self.devices.is_router(mac)) {
            // Nobody's side is known: who opens a conversation is ours.
            self.devices.own(source, from, now, &self.limits);
            ours.0 = true;
        }
        if ours == (false, true)
            && let Some(mac) = from
        {
            self.devices.forwards(mac);
        }
        let source_end = ours.0.then(|| self.end(source, from, packet, now)).flatten();
        let target_end = ours.1.then(|| self.end(target, to, packet, now)).flatten();
        *flow.ends.of_mut(sender) = source_end;
        *flow.ends.of_mut(sender.other()) = target_end;
        flow.place = match ours {
            _ if group => Place::Multicast,
            (true, true) => Place::Local,
            _ => {
                let located = self.geo.locate(self.far(key, flow));
                flow.asn = located.asn;
                located.country.map_or(Place::Unknown, Place::Country)
            }
        };
    }

    /// The device at one end of a packet.
    fn end(&mut self, address: IpAddr, mac: Option<Mac>, packet: &Packet<'_>, now: Timestamp) -> Option<End> {
        let key = self.devices.key(address, mac);
        let Some((device, new)) = self.devices.open(key, now, &self.limits) else {
            self.health.skip("device-table-full");
            return None;
        };
        let news = self.devices.get_mut(device).is_some_and(|device| device.has(address));
        if new || news {
            self.tell_device(device, packet.number, packet.time);
        }
        Some(End { key, device, account: None })
    }

    /// Whether a flow's side that is ours now bears another MAC: an address that changed hands.
    fn has_moved(&self, flow: &Flow, sender: Side, macs: Option<crate::packet::Macs>) -> bool {
        let Some(macs) = macs else { return false };
        let differs = |side: Side, mac: Mac| match flow.ends.of(side) {
            Some(End { key: DeviceKey::Mac(known), .. }) => *known != mac && !mac.is_group(),
            _ => false,
        };
        differs(sender, macs.source) || differs(sender.other(), macs.target)
    }

    fn note_rtt(&mut self, flow: &Flow) {
        let Some(rtt) = flow.rtt.map(|rtt| rtt.as_secs_f64()) else { return };
        if matches!(flow.place, Place::Local | Place::Multicast) {
            return;
        }
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

    /// A packet whose flow found no room: not followed, still counted.
    fn unfollowed(&mut self, packet: &Packet<'_>, datagram: &Datagram<'_>, now: Timestamp) {
        let (key, sender) = FlowKey::of(datagram);
        let mut flow = Flow::new(datagram, packet.number, sender, now);
        self.place(&key, &mut flow, sender, packet, datagram, now);
        if let Some(end) = flow.ends.of(sender) {
            self.charge_frame(end.device, flow.place, true, packet.wire_len, now);
        }
        if let Some(end) = flow.ends.of(sender.other()) {
            self.charge_frame(end.device, flow.place, false, packet.wire_len, now);
        }
    }

    /// A frame that carries no IP: charged by its MACs.
    fn link_frame(&mut self, packet: &Packet<'_>, kind: u16, payload: &[u8], now: Timestamp) {
        let Some(macs) = packet.macs else { return self.health.skip("no-address") };
        let speaks = self.link_speaker(macs, kind, payload, now);
        let source = if speaks {
            self.devices.open(DeviceKey::Mac(macs.source), now, &self.limits).map(|(id, new)| {
                if new {
                    self.tell_device(id, packet.number, packet.time);
                }
                id
            })
        } else {
            self.devices.table().find(&DeviceKey::Mac(macs.source))
        };
        let target = self.devices.table().find(&DeviceKey::Mac(macs.target));
        let place = if macs.target.is_group() { Place::Multicast } else { Place::Local };
        if let Some(device) = source {
            self.charge_frame(device, place, true, packet.wire_len, now);
        }
        if let Some(device) = target {
            self.charge_frame(device, place, false, packet.wire_len, now);
        }
        if source.is_none() && target.is_none() {
            self.health.skip("no-ip");
        }
        if neighbour::is_association(macs, kind, payload)
            && let Some(label) = source.and_then(|id| self.devices.table().get(id)).map(|device| device.label.clone())
        {
            let (time, packet) = (packet.time, packet.number);
            let event = Event { time, packet, device: label, mac: Some(macs.source), ends: None, detail: Detail::Association };
            self.events.push(event, &mut self.health);
        }
    }
}

/// Whether a packet opens a conversation: a SYN, or a datagram from a high port to a low one.
fn opens(datagram: &Datagram<'_>) -> bool {
    match datagram.tcp {
        Some(tcp) => tcp.syn && !tcp.ack,
        None => datagram.protocol != TCP && datagram.source.port() >= 1024 && (1..1024).contains(&datagram.target.port()),
    }
}
