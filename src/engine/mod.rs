//! All the memory there is. [`Engine::ingest`] is the one line of flow, to be read aloud.
//!
//! Road taken: one owner of every table, time as an argument. A packet costs two look-ups (its flow, its sender) and two additions; ledgers are told
//! what a flow carried when its account is fixed, when it ends, and at a snapshot. Roads not taken: charging five counters on
//! every packet, which is what most of the time would go to; shared maps with workers; and what `tests/bench/TRIED.md` has: roads that
//! were walked and were no faster.

mod account;
pub mod activity;
pub mod anycast;
pub mod attach;
mod audit;
pub mod border;
mod charge;
mod clock;
mod contacts;
mod core;
pub mod device;
mod domain;
mod echo;
mod encounter;
pub mod event;
mod events;
mod expectation;
mod flow;
pub mod geo;
mod haunts;
mod health;
mod hidden;
pub mod identity;
mod introduction;
mod lane;
mod learn;
mod ledger;
pub mod likeness;
pub mod limits;
pub mod location;
mod lookout;
mod names;
mod neighbour;
pub mod pulls;
mod reading;
mod recall;
pub mod region;
pub mod rhythm;
pub mod roster;
mod routine;
pub mod service;
pub mod share;
pub mod snapshot;
mod stream;
mod table;
mod tell;
#[cfg(test)]
mod tests;
pub mod timeline;
mod title;
mod trail;
mod vendor;
pub mod watchlist;
pub mod witness;

use clock::Clock;
use contacts::{Contacts, Memory};
use core::Core;
use device::{Devices, OurSide};
use echo::Echoes;
use event::Event;
use events::Events;
use flow::{Flow, FlowKey, Side};
use geo::GeoDb;
use haunts::Haunts;
use health::Health;
use learn::Context;
use limits::Limits;
use location::{Bench, Servers};
use names::NameTable;
use reading::Spare;
use roster::Roster;
use share::Share;
use table::{Id, Table};
use title::Titles;
use watchlist::Watchlist;

use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;
use ipnet::IpNet;

use crate::packet::{Body, Datagram, Frame, ICMPV6, Mac, Packet, Timestamp};

/// How often a long flow says that its devices are alive, nanoseconds: telling it on each packet would cost a look-up each.
const MINUTE: u64 = 60_000_000_000;

/// What is over goes after each so many packets: looking whether anything is cost each packet as much as finding its flow.
const EXPIRED_AT_ONCE: u8 = 32;

/// Follows flows, names and locates them, and keeps the accounts.
#[derive(Debug)]
pub struct Engine {
    clock: Clock,
    flows: Table<FlowKey, Flow>,
    core: Core,
    echoes: Echoes,
    /// Frames since it was looked whether anything is over.
    unlooked: u8,
    /// No flow is over before it was silent for so long, nanoseconds.
    briefest: u64,
    last_packet: Option<Timestamp>,
    /// Bytes of the last frame's head, where nobody looked at more of it.
    head: Option<usize>,
}

impl Engine {
    /// An engine that has seen nothing yet; `events` says whether anybody will take them.
    #[must_use]
    pub fn new(limits: Limits, side: OurSide, geo: GeoDb, events: bool) -> Self {
        Self {
            clock: Clock::default(),
            last_packet: None,
            head: None,
            echoes: Echoes::default(),
            unlooked: 0,
            briefest: briefest(&limits),
            flows: Table::new("flows", limits.flows),
            core: Core {
                devices: Devices::new(side, &limits),
                names: NameTable::new(&limits),
                titles: Titles::new(),
                haunts: Haunts::new(),
                contacts: Contacts::new(&limits),
                geo,
                streams: Table::new("streams", limits.streams),
                seen: Vec::new(),
                spare: Spare::default(),
                watchlists: Arc::default(),
                rtts: Vec::new(),
                servers: Servers::new(limits.servers),
                bench: None,
                offered: ArrayVec::new(),
                audited: None,
                follows_activity: false,
                refused_accounts: 0,
                rhythms: Table::new("rhythms", limits.rhythms),
                histories: Table::new("pulls", limits.pulls),
                events: Events::new(events, limits.events),
                health: Health::default(),
                limits,
            },
        }
    }

    /// Takes in a frame.
    pub fn ingest(&mut self, frame: &Frame<'_>) {
        let now = self.tick(frame.time);
        if !self.core.health.takes(frame) {
            return;
        }
        self.last_packet = Some(now);
        self.head = None;
        // A count of its own: that of all packets has those that nobody can read in it, and these could come at every turn.
        self.unlooked = self.unlooked.saturating_add(1);
        if self.unlooked >= EXPIRED_AT_ONCE {
            self.unlooked = 0;
            // As many as came in meanwhile may go.
            for _ in 0..EXPIRED_AT_ONCE {
                if !self.expire(now) {
                    break;
                }
            }
        }
        match &Packet::decode_plain(frame) {
            Some(packet) => self.take_packet(frame, packet, now),
            None => match Packet::decode_any(frame) {
                Ok(packet) => self.take_packet(frame, &packet, now),
                Err(reason) => self.core.health.skip(reason),
            },
        }
    }

    /// Takes in a packet, and the frame that it came in.
    fn take_packet(&mut self, frame: &Frame<'_>, packet: &Packet<'_>, now: Timestamp) {
        if self.echoes.is_echo(frame, packet) {
            return self.core.health.skip("sent-again");
        }
        let datagram = match &packet.body {
            Body::Ip(datagram) => datagram,
            Body::Link(kind, payload) => return self.core.link_frame(packet, *kind, payload, now),
        };
        if datagram.protocol == ICMPV6 {
            self.core.neighbour_discovery(datagram, packet.macs, now);
        }
        let (key, sender) = FlowKey::of(datagram);
        let limits = &self.core.limits;
        let goes_on = |flow: &Flow| {
            let silent = now.as_nanos().saturating_sub(flow.last.as_nanos());
            (silent < self.briefest || !flow.may_leave(now.since(flow.last), limits)) && !flow.is_over(datagram.tcp)
        };
        let (id, flow) = match self.flows.seek(&key, now, goes_on) {
            Some(found) => found,
            None => {
                let Some(id) = self.open(&key, sender, packet, datagram, now) else {
                    return self.core.unfollowed(packet, datagram, now);
                };
                let Some(flow) = self.flows.get_mut(id) else { return };
                (id, flow)
            }
        };
        let placed = flow.is_placed();
        if !placed || self.core.has_moved(flow, sender, datagram, packet) {
            if placed {
                self.core.hand_over(&key, flow, now);
            }
            // What was seen while nobody's side was known was counted as skipped.
            flow.told = flow.seen;
            self.core.place(&key, flow, sender, packet, datagram, now);
            flow.begin_trail(packet);
        }
        if flow.last.as_nanos() / MINUTE != now.as_nanos() / MINUTE {
            self.core.note_alive(flow, now);
            self.core.flush(&key, flow); // into the minute that it was of
        }
        if let Some(end) = flow.ends.of(sender) {
            self.core.speaks(end.device, (packet.number, packet.time), now);
        }
        if std::mem::take(&mut flow.rests) {
            flow.reading = self.core.spare.begin(datagram);
        }
        let reads = flow.reads(sender, datagram);
        if !reads && !flow.looks_at(datagram) {
            self.head = head(frame.data, datagram.payload);
        }
        let mut timed = flow.answer(sender, datagram, packet.time);
        flow.count(sender, packet, datagram, frame.data.len(), now);
        if let Some(tcp) = datagram.tcp {
            timed |= flow.follow(sender, tcp, packet.time);
        }
        if timed {
            self.core.note_rtt(&key, flow, packet.number, now);
        }
        if reads {
            let context = Context { key: &key, sender, number: packet.number, time: packet.time, now, macs: packet.macs };
            self.core.read(id, flow, datagram, context);
        }
        flow.extend_trail(packet, timed);
        if !flow.settled && flow.is_due(key.protocol(), now, &self.core.limits) {
            self.core.settle(&key, flow, now);
        }
    }

    /// How many bytes of the frame that was ingested last anybody looked at, where it is only its head: link, network and transport
    /// header. A capture that is cut there tells the same when it is read again.
    #[must_use]
    pub fn head(&self) -> Option<usize> {
        self.head
    }

    /// Tells what each account of a device, given by its label, is charged with, and by which packets. To be called before the
    /// first frame; only who takes events is told.
    pub fn audit(&mut self, device: &str) {
        self.core.audited = Some(Arc::from(device));
    }

    /// Keeps how much each device exchanged with the outside in each minute. To be called before the first frame.
    pub fn follow_activity(&mut self) {
        self.core.follows_activity = true;
    }

    /// A capture begins, the first or another: its first frame says what time it is, also when it is older. What is known stays
    /// known, and no device leaves for having been silent.
    pub fn begin(&mut self) {
        self.clock = Clock::default();
        self.core.devices.stay();
    }

    /// Counts a frame that was captured but whose link layer cannot be read.
    pub fn unreadable(&mut self) {
        self.core.health.packets = self.core.health.packets.saturating_add(1);
        self.core.health.skip("unknown-link-type");
    }

    /// Lets time pass on a quiet link, so that flows end. Live captures only: elsewhere time is the packets'.
    pub fn advance(&mut self, time: Timestamp) {
        let now = self.tick(time);
        while self.expire(now) {}
    }

    /// Ends every flow: the capture is over. `each` takes the events as they come, since there are more flows than room for events.
    pub fn finish(&mut self, mut each: impl FnMut(Event)) {
        self.core.events.take().for_each(&mut each);
        for (key, mut flow) in self.flows.drain() {
            self.core.finish_reading(&key, &mut flow);
            self.core.retire(&key, flow);
            self.core.events.take().for_each(&mut each);
        }
        drop(self.core.streams.drain()); // all were let go with their flows
    }

    /// Tells what is notable also where nobody takes all events.
    pub fn tell_notable(&mut self) {
        self.core.events.want_notable();
    }

    /// Takes the events that wait. Call it after each frame.
    pub fn events(&mut self) -> impl Iterator<Item = Event> + '_ {
        self.core.events.take()
    }

    /// When the last frame came.
    #[must_use]
    pub fn last_packet(&self) -> Option<Timestamp> {
        self.last_packet
    }

    /// Whether events wait.
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.core.events.is_empty()
    }

    /// Says which MACs are the access point's own: they forward for others.
    pub fn routers(&mut self, macs: Vec<Mac>) {
        self.core.devices.declare(macs);
    }

    /// Says which prefixes are ours beside the private ones, in place of what was said before.
    pub fn nets(&mut self, nets: Vec<IpNet>) {
        if let Some(share) = &mut self.core.health.share {
            share.nets(&self.core.devices.announced().chain(nets.iter().copied()).collect::<Vec<_>>());
        }
        self.core.devices.nets(nets);
    }

    /// Gives this engine a share of a capture that others read too. To be called before the first frame, and before [`Engine::nets`],
    /// [`Engine::register`] and [`Engine::remember`].
    pub fn shares(&mut self, share: Share) {
        self.core.servers = share.servers();
        self.core.health.share = Some(Box::new(share));
    }

    /// This engine's share, where it has one.
    #[must_use]
    pub fn share(&self) -> Option<&Share> {
        self.core.health.share.as_deref()
    }

    /// Frames read and counted by this engine.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.core.health.packets
    }

    /// Says where the sensor stands: latitude and longitude, degrees. Without it no location is measured.
    pub fn stands_at(&mut self, latitude: f64, longitude: f64) {
        self.core.bench = Some(Bench::at(latitude, longitude));
    }

    /// Exchanges the address databases; what is already located stays as it was told.
    pub fn relocate(&mut self, geo: GeoDb) {
        self.core.geo = geo;
    }

    /// Says what to look out for, in place of what was said before.
    pub fn watch_for(&mut self, lists: impl Into<Arc<[Watchlist]>>) {
        self.core.watchlists = lists.into();
    }

    /// Says which devices have aliases, in place of what was said before. Who has another alias by it, or none any more, is
    /// another device from its next packet on; what was counted stays where it was counted.
    pub fn register(&mut self, roster: Roster) {
        if let Some(share) = &mut self.core.health.share {
            share.register(&roster);
        }
        self.core.devices.register(roster);
    }

    /// Says for how long after its first packet ever a device's contacts are learnt in silence.
    pub fn learns_for(&mut self, span: Duration) {
        self.core.limits.learning = span;
    }

    /// Takes in what an earlier run remembered of whom devices met. To be called before the first frame.
    pub fn remember(&mut self, memories: Vec<Memory>) {
        self.core.contacts.restore(memories, &self.core.limits);
    }

    /// Takes in what the other engines of this capture remember of their devices, of which some may become this one's.
    pub fn learn_of_others(&mut self, mut memories: Vec<Memory>) {
        let Some(share) = &self.core.health.share else { return };
        memories.retain(|memory| !share.tells(&memory.device, None));
        self.core.contacts.replace(memories, &self.core.limits);
    }

    /// Moves the clock on; returns the time now.
    fn tick(&mut self, time: Timestamp) -> Timestamp {
        let now = self.clock.advance(time);
        if self.clock.has_leapt() {
            self.core.devices.outlast(now);
        }
        now
    }

    /// Lets what is over go: at most one flow, name, server and device. True when one of them went.
    fn expire(&mut self, now: Timestamp) -> bool {
        let limits = &self.core.limits;
        let stale = limits.stale;
        let gone = self.flows.pop_stale(now, stale, |flow, silent| flow.may_leave(silent, limits));
        let mut went = self.core.names.expire(now);
        went |= self.core.servers.expire(now, limits.server_idle);
        went |= self.core.devices.expire(now, &self.core.limits);
        let Some((key, mut flow)) = gone else { return went };
        self.core.finish_reading(&key, &mut flow);
        self.core.retire(&key, flow);
        true
    }

    /// Opens the flow of a packet, in place of one that is over; none when the table is full of living flows.
    fn open(&mut self, key: &FlowKey, sender: Side, packet: &Packet<'_>, datagram: &Datagram<'_>, now: Timestamp) -> Option<Id> {
        if let Some((key, mut flow)) = self.flows.find(key).and_then(|id| self.flows.take(id)) {
            self.core.finish_reading(&key, &mut flow);
            self.core.retire(&key, flow);
        }
        let limits = &self.core.limits;
        // Nobody answers a flood of half-open connections: they push out each other, and a real one is answered before its turn comes.
        // Nor does a flood of questions keep anyone out: those that were answered have nothing more to tell.
        let may_leave =
            |flow: &Flow, silent| !flow.is_answered() || flow.is_spent() || flow.may_leave(silent, limits) || silent >= limits.stale;
        let gone = self.flows.make_room(now, may_leave);
        if let Some((key, mut flow)) = gone {
            self.core.finish_reading(&key, &mut flow);
            self.core.retire(&key, flow);
        }
        let mut flow = Flow::new(datagram, packet.number, sender, now);
        flow.reading = self.core.spare.begin(datagram);
        if self.core.audited.is_some() {
            flow.leave_trail(packet);
        }
        self.flows.insert(*key, flow, now)
    }
}

/// The shortest of the silences that end a flow, nanoseconds.
fn briefest(limits: &Limits) -> u64 {
    let idle = limits.closed_idle.min(limits.tcp_idle).min(limits.flow_idle);
    u64::try_from(idle.as_nanos()).unwrap_or(u64::MAX)
}

/// What lies before the payload. Where there is none it may be a later fragment, of which the head is no longer than this.
fn head(frame: &[u8], payload: &[u8]) -> Option<usize> {
    /// Link header with a tag, IPv6 and its fragment header.
    const LONGEST: usize = 66;
    if frame.len() <= LONGEST {
        return None; // nothing to gain, and padding is told from payload by the length
    }
    if payload.is_empty() {
        return None;
    }
    payload.as_ptr().addr().checked_sub(frame.as_ptr().addr()).filter(|head| *head < frame.len())
}
