//! Telling what each account of one device is charged with, for `explain`. Its sums are the table's: an entry is made wherever
//! an account is given something for good.

use std::sync::Arc;

use crate::engine::charge::{Charge, Facts, Located, Spot};
use crate::engine::core::{Core, location};
use crate::engine::event::{Detail, Ends, Event};
use crate::engine::flow::{Flow, FlowKey, Side};
use crate::engine::ledger::Destination;
use crate::engine::snapshot::{Both, Verdict};
use crate::engine::table::Id;
use crate::packet::{Body, Packet};

impl Core {
    /// Tells what a settled flow put on the accounts of its sides.
    pub(super) fn audit(&mut self, key: &FlowKey, flow: &Flow) {
        let Some(trail) = &flow.trail else { return };
        let ends = Ends { client: key.endpoint(flow.client), server: key.endpoint(flow.client.other()), protocol: key.protocol() };
        for side in [Side::Low, Side::High] {
            let Some(end) = flow.ends.of(side) else { continue };
            let Some(account) = flow.standings.of(side).account.filter(|_| self.is_audited(end.device)) else { continue };
            let facts = Some(Box::new(self.facts(key, flow)));
            self.tell_charge(end.device, account, flow.charged(trail, side), (trail.began, trail.latest), Some(ends), facts);
        }
    }

    /// Tells of a frame that belongs to no flow.
    pub(super) fn audit_frame(&mut self, device: Id, account: u32, some: Both, packet: &Packet<'_>) {
        if !self.is_audited(device) {
            return;
        }
        let here = (packet.number, packet.time);
        let ends = match &packet.body {
            Body::Ip(datagram) => Some(Ends { client: datagram.source, server: datagram.target, protocol: datagram.protocol }),
            Body::Link(..) => None,
        };
        self.tell_charge(device, account, some, (here, here), ends, None);
    }

    fn is_audited(&self, device: Id) -> bool {
        self.audited.is_some() && self.devices.table().get(device).map(|device| &device.label) == self.audited.as_ref()
    }

    fn facts(&self, key: &FlowKey, flow: &Flow) -> Facts {
        let far = self.far(key, flow);
        let named = flow.name.as_ref();
        let trail = flow.trail.as_deref();
        Facts {
            far,
            name: flow.full_name(),
            named: named.map(|named| named.by),
            answers: trail.map(|trail| trail.answers.clone()).unwrap_or_default(),
            class: flow.class,
            handshake: trail.and_then(|trail| trail.handshake),
            location: flow.verdict.map(|verdict| self.located(key, flow, verdict)),
        }
    }

    fn located(&self, key: &FlowKey, flow: &Flow, verdict: Verdict) -> Located {
        let far = self.far(key, flow);
        let witnesses = self.witnesses(key, flow);
        let words = witnesses.finding.words();
        Located { verdict, words, witnesses: location(&self.site(key, flow), far, flow, witnesses), least: self.servers.least(far) }
    }

    fn tell_charge(
        &mut self,
        device: Id,
        account: u32,
        total: Both,
        (first, last): (Spot, Spot),
        ends: Option<Ends>,
        flow: Option<Box<Facts>>,
    ) {
        let Some(device) = self.devices.table().get(device) else { return };
        let Some(row) = device.ledger.accounts.get(account as usize) else { return };
        let Destination { label, origin, place, asn } = row.destination.clone();
        let charge = Charge { destination: label, origin, place, asn, total, last, flow };
        let event = Event {
            time: first.1,
            packet: first.0,
            device: Arc::clone(&device.label),
            mac: device.mac(),
            ends,
            detail: Detail::Charge(Box::new(charge)),
        };
        self.events.push(event, &mut self.health);
    }
}
