//! What a conversation adds to its device's routine when it ends: a beat of its rhythm, and a config pull where a watchlist says
//! so. And the rows of both.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::account::label;
use crate::engine::core::Core;
use crate::engine::event::{ConfigPull, Detail, Ends, Event, RhythmNews};
use crate::engine::flow::{Flow, FlowKey, Side};
use crate::engine::pulls::{History, Pull};
use crate::engine::rhythm::{PERSISTENT, Rhythm, RhythmRow};
use crate::engine::service::Service;
use crate::engine::snapshot::{CoverageRow, PullCountRow, Snapshot};
use crate::engine::table::Id;
use crate::engine::watchlist::{Category, Hit};
use crate::packet::{TCP, Timestamp, UDP};

/// A long conversation that still goes on: device, destination, how long, bytes up and down.
pub(super) type Lasting = (Id, Arc<str>, Duration, (u64, u64));

impl Core {
    /// Takes in a conversation that ended.
    pub(super) fn note_routine(&mut self, key: &FlowKey, flow: &Flow) {
        for side in [Side::Low, Side::High] {
            if let Some(device) = flow.ends.of(side).as_ref().and_then(|end| self.devices.get_mut(end.device)) {
                device.attach.hear(flow.last);
            }
        }
        let Some(end) = flow.ends.of(flow.client).as_ref().filter(|_| flow.is_outward()) else { return };
        self.note_beat(end.device, key, flow);
        let Some(hit) = flow.listed() else { return };
        let begun = key.protocol() == TCP && flow.opened.0.is_some();
        let spoke = *flow.payload.of(flow.client) > 0 || *flow.payload.of(flow.client.other()) > 0;
        if !matches!(key.protocol(), TCP | UDP) || !(begun || spoke) {
            return; // what is left of one that ended
        }
        if hit.ambiguous {
            if let Some(device) = self.devices.get_mut(end.device) {
                device.routine.shared(destination(flow));
            }
            return;
        }
        self.note_pull(end.device, key, flow, hit);
    }

    fn note_beat(&mut self, device: Id, key: &FlowKey, flow: &Flow) {
        let lasted = flow.last.since(flow.first);
        // Half a handshake is no beat, nor is a connection that began before it was seen.
        let begins = flow.is_answered() && (key.protocol() != TCP || flow.opened.0.is_some());
        if !begins && lasted < PERSISTENT {
            return;
        }
        let name = destination(flow);
        let Some(id) = self.rhythm(device, &name, flow.last) else { return };
        let (Some(rhythm), Some(known)) = (self.rhythms.get_mut(id), self.devices.table().get(device)) else { return };
        rhythm.category = rhythm.category.or(flow.service().and_then(Service::counted).map(Category::as_str));
        let more = match lasted >= PERSISTENT {
            true => {
                rhythm.persistent.add(lasted, bytes(flow));
                true
            }
            false => rhythm.note(flow.first, bytes(flow)),
        };
        if !more || !self.events.notable() {
            return;
        }
        let row = rhythm.row(&known.label, &name, &known.attach);
        let Some(kind) = rhythm.news(&row) else { return };
        let detail = Detail::Rhythm(Box::new(RhythmNews { kind, row, name: flow.full_name(), place: self.place_of(key, flow) }));
        self.tell_of(key, flow, detail);
    }

    /// Writes a line about a flow that ended.
    fn tell_of(&mut self, key: &FlowKey, flow: &Flow, detail: Detail) {
        let (client, server) = (key.endpoint(flow.client), key.endpoint(flow.client.other()));
        let event = Event {
            time: flow.last,
            packet: flow.packet,
            device: self.label(flow, flow.client, client.ip()),
            mac: flow.mac(flow.client),
            ends: Some(Ends { client, server, protocol: key.protocol() }),
            detail,
        };
        self.events.push(event, &mut self.health);
    }

    /// The rhythm of a device with a destination, found or begun; none where there is no room.
    fn rhythm(&mut self, device: Id, destination: &Arc<str>, now: Timestamp) -> Option<Id> {
        let key = (device, Arc::clone(destination));
        let stale = self.limits.rhythm_stale;
        if let Some(((gone, _), _)) = self.rhythms.pop_stale(now, stale, |_, silent| silent >= self.limits.rhythm_idle) {
            self.forgot(gone, false);
        }
        if let Some(id) = self.rhythms.find(&key) {
            self.rhythms.touch(id, now);
            return Some(id);
        }
        let full = self.devices.table().get(device)?.routine.rhythms >= self.limits.rhythms_per_device;
        let gone = match full {
            true => self.rhythms.pop_stale(now, Duration::ZERO, |_, silent| silent >= stale),
            false => self.rhythms.make_room(now, |_, silent| silent >= stale),
        };
        if let Some(((gone, _), _)) = gone {
            self.forgot(gone, false);
        }
        let room = self.devices.get_mut(device).filter(|device| device.routine.rhythms < self.limits.rhythms_per_device);
        let Some(known) = room else {
            self.rhythms.refuse();
            return None;
        };
        let id = self.rhythms.insert(key, Rhythm::default(), now)?;
        known.routine.rhythms = known.routine.rhythms.saturating_add(1);
        Some(id)
    }

    fn note_pull(&mut self, device: Id, key: &FlowKey, flow: &Flow, hit: &Hit) {
        let server = key.endpoint(flow.client.other());
        let name = flow.full_name().unwrap_or_else(|| Arc::from(server.ip().to_string()));
        let Some(known) = self.devices.table().get(device) else { return };
        let mut pull = Pull {
            begin: flow.first,
            server,
            place: flow.place,
            request: *flow.payload.of(flow.client),
            response: *flow.payload.of(flow.client.other()),
            attach_delay: known.attach.delay(flow.first),
            gap: None,
            burst_gap: None,
            class: None,
            changed: None,
        };
        if let Some(history) = self.history(device, &name, hit, flow.last) {
            pull = history.note(pull);
        }
        if let Some(device) = self.devices.get_mut(device) {
            device.routine.pulled(hit.vendor.as_ref(), pull.changed == Some(true));
        }
        if !self.events.notable() {
            return;
        }
        let detail = Detail::ConfigPull(Box::new(ConfigPull {
            pull,
            lasted: flow.last.since(flow.first),
            name: flow.full_name(),
            hit: hit.clone(),
            place: self.place_of(key, flow),
        }));
        self.tell_of(key, flow, detail);
    }

    /// The pulls of a device from a name, found or begun; none where there is no room.
    fn history(&mut self, device: Id, name: &Arc<str>, hit: &Hit, now: Timestamp) -> Option<&mut History> {
        let key = (device, Arc::clone(name));
        if let Some(id) = self.histories.find(&key) {
            self.histories.touch(id, now);
            return self.histories.get_mut(id);
        }
        let stale = self.limits.rhythm_stale;
        if let Some(((gone, _), _)) = self.histories.make_room(now, |_, silent| silent >= stale) {
            self.forgot(gone, true);
        }
        let Some(known) = self.devices.get_mut(device).filter(|device| device.routine.histories < self.limits.pulls_per_device) else {
            self.histories.refuse();
            return None;
        };
        let id = self.histories.insert(key, History::new(hit.category.as_str(), hit.vendor.clone()), now)?;
        known.routine.histories = known.routine.histories.saturating_add(1);
        self.histories.get_mut(id)
    }

    fn forgot(&mut self, device: Id, pulls: bool) {
        let Some(device) = self.devices.get_mut(device) else { return };
        let count = if pulls { &mut device.routine.histories } else { &mut device.routine.rhythms };
        *count = count.saturating_sub(1);
    }

    /// What a conversation that still goes on adds to the rows: only a long one, the others are told when they end.
    pub(super) fn lasting(&self, flow: &Flow) -> Option<Lasting> {
        let lasted = flow.last.since(flow.first);
        let end = flow.ends.of(flow.client).as_ref().filter(|_| lasted >= PERSISTENT && flow.settled && flow.is_outward())?;
        Some((end.device, destination(flow), lasted, bytes(flow)))
    }

    /// Adds long conversations to the rows of their rhythms, which are sorted by it. They come sorted too, so that a device with
    /// ten thousand of them costs a scrape no walk for each.
    fn tell_lasting(&self, lasting: Vec<Lasting>, snapshot: &mut Snapshot) {
        let order = |row: &RhythmRow, label: &Arc<str>, name: &Arc<str>| (&row.device, &row.destination).cmp(&(label, name));
        let table = self.devices.table();
        let mut lasting: Vec<_> =
            lasting.into_iter().filter_map(|(device, name, lasted, bytes)| Some((table.get(device)?, name, lasted, bytes))).collect();
        lasting.sort_unstable_by(|(a, name_a, ..), (b, name_b, ..)| (&a.label, name_a).cmp(&(&b.label, name_b)));
        snapshot.rhythms.sort_unstable_by(|a, b| order(a, &b.device, &b.destination));
        let mut new: Vec<RhythmRow> = Vec::new();
        for (device, name, lasted, bytes) in lasting {
            let row = match snapshot.rhythms.binary_search_by(|row| order(row, &device.label, &name)) {
                Ok(at) => snapshot.rhythms.get_mut(at),
                Err(_) => {
                    if new.last().is_none_or(|row| order(row, &device.label, &name).is_ne()) {
                        new.push(Rhythm::default().row(&device.label, &name, &device.attach));
                    }
                    new.last_mut()
                }
            };
            if let Some(row) = row {
                row.persistent.add(lasted, bytes);
            }
        }
        snapshot.rhythms.append(&mut new);
        snapshot.rhythms.sort_unstable_by(|a, b| order(a, &b.device, &b.destination));
    }

    /// Rhythms, pulls, and what a "not seen" is worth.
    pub(super) fn tell_routine(&self, lasting: Vec<Lasting>, snapshot: &mut Snapshot) {
        for (_, (device, name), rhythm) in self.rhythms.iter() {
            if let Some(device) = self.devices.table().get(*device) {
                snapshot.rhythms.push(rhythm.row(&device.label, name, &device.attach));
            }
        }
        self.tell_lasting(lasting, snapshot);
        for (_, (device, name), history) in self.histories.iter() {
            if let Some(device) = self.devices.table().get(*device) {
                snapshot.pulls.push(history.row(&device.label, name, &device.attach));
            }
        }
        snapshot.pulls.sort_unstable_by(|a, b| (&a.device, &a.name).cmp(&(&b.device, &b.name)));
        for (_, _, device) in self.devices.table().iter() {
            snapshot.coverage.push(CoverageRow {
                device: Arc::clone(&device.label),
                present: device.attach.present(),
                associations: device.attach.count(),
                shared: device.routine.names.to_vec(),
                shared_flows: device.routine.shared,
            });
            snapshot.pull_counts.extend(device.routine.counts().map(|(vendor, pulls, changes)| PullCountRow {
                device: Arc::clone(&device.label),
                vendor,
                pulls,
                changes,
            }));
        }
        snapshot.coverage.sort_unstable_by(|a, b| a.device.cmp(&b.device));
        snapshot.pull_counts.sort_unstable_by(|a, b| (&a.device, &a.vendor).cmp(&(&b.device, &b.vendor)));
    }
}

/// The full name of the server, else the label of the account.
fn destination(flow: &Flow) -> Arc<str> {
    flow.full_name().unwrap_or_else(|| label(flow))
}

fn bytes(flow: &Flow) -> (u64, u64) {
    (flow.seen.of(flow.client).bytes, flow.seen.of(flow.client.other()).bytes)
}
