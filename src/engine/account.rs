//! When a flow is charged, and to whom. Bytes go from the flow to the device's ledger in one step, so every sum is equal at
//! every moment: total and country at once, the destination as soon as it is known, and what waits for it is `pending`.

use std::sync::Arc;

use crate::engine::charge::Told;
use crate::engine::core::{Core, location, where_is};
use crate::engine::domain::registrable;
use crate::engine::event::{Detail, Ends, Event, FlowEnd};
use crate::engine::flow::{End, Flow, FlowKey, Named, Side};
use crate::engine::hidden;
use crate::engine::ledger::{Destination, Marks};
use crate::engine::region::{Whose, region_of_name};
use crate::engine::service::Service;
use crate::engine::snapshot::{Both, Class, Origin, PROTOCOLS, Place, Tally, Verdict};
use crate::engine::table::Id;
use crate::engine::witness::{Claim, Witnesses};
use crate::packet::{Datagram, Packet, TCP, Timestamp, UDP};

const SIDES: [Side; 2] = [Side::Low, Side::High];

impl Core {
    /// Tells the ledgers what a flow has carried since they were told last.
    pub(super) fn flush(&mut self, key: &FlowKey, flow: &mut Flow) {
        let now = flow.last;
        let mut went_on = false;
        for side in SIDES {
            let owed = flow.owed(side);
            let Some(end) = flow.ends.of(side).clone() else { continue };
            if owed == Both::default() && self.devices.table().get(end.device).is_none() {
                continue; // nothing to tell of a device that left: it is not opened anew for that
            }
            let Some(mut end) = self.alive(end, flow.packet, now) else {
                self.health.skip("device-table-full");
                *flow.ends.of_mut(side) = None;
                continue;
            };
            if flow.settled && end.account.is_none() {
                end.account = Some(self.open_account(key, flow, side, end.device));
            }
            if let Some(device) = self.devices.get_mut(end.device) {
                device.last = device.last.max(now);
                device.ledger.charge(flow.place, owed);
                match end.account {
                    Some(account) => device.ledger.give(account, flow.marks(), owed, now),
                    None => end.pending.add(owed),
                }
            }
            went_on |= owed != Both::default();
            *flow.ends.of_mut(side) = Some(end);
        }
        flow.told = flow.seen;
        if flow.settled && went_on {
            self.encounter(key, flow);
        }
    }

    /// Fixes a flow's account, once and for all.
    pub(super) fn settle(&mut self, key: &FlowKey, flow: &mut Flow, now: Timestamp) {
        self.flush(key, flow);
        flow.settled = true;
        let protocol = usize::from(*flow.protocol.get_or_insert_with(|| guess(key, flow.client)));
        let candidates = self.name_by_dns(key, flow, now);
        flow.class = class(key, flow, candidates);
        let witnesses = self.mark(key, flow, now);
        for side in SIDES {
            let Some(mut end) = flow.ends.of(side).clone() else { continue };
            let known = std::mem::take(&mut end.pending);
            let account = self.open_account(key, flow, side, end.device);
            if let Some(device) = self.devices.get_mut(end.device) {
                device.ledger.give(account, flow.marks(), known, flow.last);
                if let Some(account) = device.ledger.accounts.get_mut(account as usize) {
                    account.flows = account.flows.saturating_add(1);
                    account.first = account.first.min(flow.first);
                }
                if let Some(count) = device.ledger.flows.get_mut(protocol) {
                    *count = count.saturating_add(1);
                }
            }
            if let Some(witnesses) = witnesses {
                self.keep_location(key, flow, (end.device, account), witnesses);
            }
            end.account = Some(account);
            *flow.ends.of_mut(side) = Some(end);
        }
        self.expect(key, flow);
        self.encounter(key, flow);
    }

    /// Fixes what is known of a flow's bytes beside their class; what the witnesses say of where its server is, if it is outside.
    fn mark(&mut self, key: &FlowKey, flow: &mut Flow, now: Timestamp) -> Option<Witnesses> {
        let service = self.look_out(key, flow);
        if matches!(flow.class, Class::Local | Class::Multicast) {
            (flow.verdict, flow.service, flow.claim, flow.disputed) = (None, None, None, false);
            return None;
        }
        flow.service = service.or_else(|| Service::of_port(key.protocol(), key.endpoint(flow.client.other()).port()));
        flow.claim = self.claim(key, flow, now);
        let witnesses = self.witnesses(key, flow);
        flow.verdict = Some(witnesses.finding.verdict());
        flow.disputed = witnesses.agree == Some(false);
        Some(witnesses)
    }

    /// The place that a flow's name claims, or an alias of it: a cloud's word before a vendor's. A name that may be another
    /// server's, or is not the destination's, claims nothing.
    fn claim(&self, key: &FlowKey, flow: &Flow, now: Timestamp) -> Option<Claim> {
        let named = flow.name.as_ref().filter(|named| named.origin != Origin::Ech && flow.class != Class::DnsAmbiguous)?;
        let own = region_of_name(&named.name).map(|region| Claim { region, alias: false });
        let told =
            |end: &End| self.names.of(end.device, self.far(key, flow), now).find(|known| known.answer.name == named.name)?.answer.region;
        let alias = SIDES.into_iter().find_map(|side| flow.ends.of(side).as_ref().and_then(told));
        let alias = alias.map(|region| Claim { region, alias: true });
        [own, alias].into_iter().flatten().min_by_key(|claim| claim.region.kind == Whose::Vendor)
    }

    /// Keeps for an account the server whose location the witnesses contradict most.
    fn keep_location(&mut self, key: &FlowKey, flow: &Flow, (device, account): (Id, u32), witnesses: Witnesses) {
        let server = self.far(key, flow);
        let known = self.devices.get_mut(device).and_then(|device| device.ledger.accounts.get_mut(account as usize));
        let Some(known) = known else { return };
        known.anycast |= witnesses.anycast;
        let kept = known.location.as_ref().map(|kept| kept.witnesses.against());
        if kept.is_none_or(|kept| kept < witnesses.against()) {
            known.location = Some(Arc::new(location(&self.geo, server, flow, witnesses)));
        }
    }

    /// A side of a flow changed hands (another MAC, or another way): what it carried so far is the first owner's, and what he
    /// asked does not name what the next one does.
    pub(super) fn hand_over(&mut self, key: &FlowKey, flow: &mut Flow, now: Timestamp) {
        if flow.settled {
            self.flush(key, flow);
        } else {
            self.settle(key, flow, now);
        }
        self.audit(key, flow);
        flow.settled = false;
        flow.name = flow.name.take().filter(|named| !matches!(named.origin, Origin::Dns | Origin::Ech));
    }

    /// The end of a flow: everything is charged, and told.
    pub(super) fn retire(&mut self, key: &FlowKey, mut flow: Flow) {
        let now = flow.last;
        if flow.settled {
            self.flush(key, &mut flow);
        } else {
            self.settle(key, &mut flow, now);
        }
        self.audit(key, &flow);
        self.note_routine(key, &flow);
        if !self.events.wanted() {
            return;
        }
        let client = flow.client;
        let ends = Ends { client: key.endpoint(client), server: key.endpoint(client.other()), protocol: key.protocol() };
        let mac = flow.ends.of(client).as_ref().and_then(|end| end.mac);
        let named = flow.name.as_ref();
        let place = match flow.place {
            Place::Local | Place::Multicast => crate::engine::event::Where::default(),
            Place::Country(_) | Place::Unknown => where_is(&self.geo, self.far(key, &flow)),
        };
        let told = FlowEnd {
            first: flow.first,
            duration: now.since(flow.first),
            client: *flow.seen.of(client),
            server: *flow.seen.of(client.other()),
            name: named.map(|named| Arc::clone(&named.name)),
            domain: named.and_then(|named| registrable(&named.name)).map(Arc::from),
            origin: origin(&flow),
            named: named.map(|named| named.by),
            class: flow.class,
            rtt: flow.rtt,
            verdict: flow.verdict,
            service: flow.service.clone(),
            location: flow.verdict.map(|_| location(&self.geo, self.far(key, &flow), &flow, self.witnesses(key, &flow))),
            reason: self.reason(key, &flow),
            place,
        };
        let label = self.label(&flow, client, ends.client.ip());
        let event = Event { time: now, packet: flow.packet, device: label, mac, ends: Some(ends), detail: Detail::Flow(Box::new(told)) };
        self.events.push(event, &mut self.health);
    }

    /// Why the location of a flow is refuted, if it is.
    fn reason(&self, key: &FlowKey, flow: &Flow) -> Option<String> {
        let finding = (flow.verdict == Some(Verdict::Refuted)).then(|| self.witnesses(key, flow).finding)?;
        // By now the handshake that decided may have been pushed out.
        (finding.verdict() == Verdict::Refuted).then(|| finding.words())
    }

    /// A packet whose flow found no room: not followed, still counted.
    pub(super) fn unfollowed(&mut self, packet: &Packet<'_>, datagram: &Datagram<'_>, now: Timestamp) {
        let (key, sender) = FlowKey::of(datagram);
        let mut flow = Flow::new(datagram, packet.number, sender, now);
        self.place(&key, &mut flow, sender, packet, datagram, now);
        if let Some(end) = flow.ends.of(sender) {
            self.speaks(end.device, (packet.number, packet.time), now);
            self.charge_frame(end.device, flow.place, true, packet, now);
        }
        if let Some(end) = flow.ends.of(sender.other()) {
            self.charge_frame(end.device, flow.place, false, packet, now);
        }
        self.expect(&key, &flow);
        if flow.ends.of(Side::Low).is_none() && flow.ends.of(Side::High).is_none() {
            self.health.skip("no-side-ours");
        }
    }

    /// Charges a frame that belongs to no flow.
    pub(super) fn charge_frame(&mut self, id: Id, place: Place, sent: bool, packet: &Packet<'_>, now: Timestamp) {
        let tally = Tally { packets: 1, bytes: u64::from(packet.wire_len) };
        let some =
            if sent { Both { transmit: tally, receive: Tally::default() } } else { Both { transmit: Tally::default(), receive: tally } };
        let inside = matches!(place, Place::Local | Place::Multicast);
        let room = self.has_room(id);
        let Some(device) = self.devices.get_mut(id) else { return };
        device.last = device.last.max(now);
        device.ledger.charge(place, some);
        let before = device.ledger.named();
        let class = match place {
            Place::Local => Class::Local,
            Place::Multicast => Class::Multicast,
            Place::Country(_) | Place::Unknown => Class::Lost,
        };
        let destination = if inside { Destination::inside(place) } else { Destination::other(place) };
        let account = device.ledger.open(destination, inside && room, now);
        let verdict = (!inside).then_some(Verdict::Unmeasured);
        device.ledger.give(account, Marks { class, verdict, service: None, disputed: false }, some, now);
        if device.ledger.named() > before {
            self.devices.opened_account();
        }
        self.audit_frame(id, account, some, packet);
    }

    fn open_account(&mut self, key: &FlowKey, flow: &Flow, side: Side, device: Id) -> u32 {
        let destination = match flow.place {
            Place::Local | Place::Multicast => Destination::inside(flow.place),
            place => Destination { label: label(flow), origin: origin(flow), place, asn: flow.asn },
        };
        let room = self.has_room(device);
        let located = flow.asn.map(|_| self.geo.locate(key.endpoint(side.other()).ip()));
        let Some(device) = self.devices.get_mut(device) else { return u32::MAX };
        let before = device.ledger.named();
        let account = device.ledger.open(destination, room, flow.first);
        let opened = device.ledger.named() > before;
        if let Some(account) = device.ledger.accounts.get_mut(account as usize)
            && account.organisation.is_none()
            && account.destination.asn.is_some()
        {
            account.organisation = located.and_then(|located| located.organisation);
        }
        if opened {
            self.devices.opened_account();
        } else if !room {
            self.refused_accounts = self.refused_accounts.saturating_add(1);
        }
        account
    }

    fn has_room(&self, device: Id) -> bool {
        let own = self.devices.table().get(device).map_or(0, |device| device.ledger.named());
        // Where room is scarce, whoever has much leaves as much as that to others: sixteen forged devices do not fill it all.
        let free = self.limits.accounts.saturating_sub(self.devices.accounts());
        own < self.limits.accounts_per_device.min(free)
    }

    /// Gives a flow without a name the latest one that its device was told for the address; how many there were.
    fn name_by_dns(&self, key: &FlowKey, flow: &mut Flow, now: Timestamp) -> usize {
        if flow.name.is_some() || matches!(flow.place, Place::Local | Place::Multicast) {
            return 0;
        }
        let Some(side) = SIDES.into_iter().find(|side| flow.ends.of(*side).is_some()) else { return 0 };
        let Some(end) = flow.ends.of(side) else { return 0 };
        let (latest, count) = self.names.best(end.device, key.endpoint(side.other()).ip(), now);
        if let Some(trail) = &mut flow.trail {
            trail.answers = self.names.fitting(end.device, key.endpoint(side.other()).ip(), now).map(Told::from).collect();
        }
        if let Some(candidate) = latest {
            let origin = if flow.hidden == Some(Class::Ech) { Origin::Ech } else { Origin::Dns };
            flow.name = Some(Named { name: Arc::clone(&candidate.answer.name), origin, by: candidate.answer.by });
        }
        count
    }

    /// The end with its device still there: a device that left and speaks again is opened anew.
    fn alive(&mut self, end: End, packet: u64, now: Timestamp) -> Option<End> {
        if self.devices.table().get(end.device).is_some() {
            return Some(end);
        }
        let (device, new) = self.devices.open(&end.key, now, &self.limits)?;
        if let Some(device) = self.devices.get_mut(device).filter(|_| new) {
            device.meet(packet, now);
        }
        Some(End { device, account: None, pending: Both::default(), ..end })
    }
}

/// What named a flow: `ech` even where nothing but the public name was seen.
fn origin(flow: &Flow) -> Origin {
    match &flow.name {
        Some(named) => named.origin,
        None if flow.hidden == Some(Class::Ech) => Origin::Ech,
        None => Origin::None,
    }
}

/// What is known of a flow's destination.
fn class(key: &FlowKey, flow: &Flow, candidates: usize) -> Class {
    match flow.place {
        Place::Local => return Class::Local,
        Place::Multicast => return Class::Multicast,
        Place::Country(_) | Place::Unknown => {}
    }
    if let Some(hidden) = flow.hidden.or_else(|| hidden(key, flow)) {
        return hidden;
    }
    match flow.name.as_ref().map(|named| named.origin) {
        Some(Origin::Sni) => Class::Sni,
        Some(Origin::Quic) => Class::Quic,
        Some(Origin::Host) => Class::Host,
        Some(Origin::Certificate) => Class::Certificate,
        Some(Origin::Ech) => Class::Ech,
        Some(Origin::Dns) if candidates > 1 => Class::DnsAmbiguous,
        Some(Origin::Dns) => Class::Dns,
        Some(Origin::None) | None => Class::Bare,
    }
}

/// What hides a flow's destination by whom it is with: encrypted DNS by its port (RFC 7858, RFC 9250), resolvers and relays by
/// name, resolvers by address where there is no name; ESP and AH by their protocol numbers.
fn hidden(key: &FlowKey, flow: &Flow) -> Option<Class> {
    let server = key.endpoint(flow.client.other());
    match (key.protocol(), server.port()) {
        (TCP, 853) => Some(Class::Dot),
        (UDP, 853) => Some(Class::Doq),
        (50 | 51, _) => Some(Class::Ipsec),
        (TCP | UDP, 53) => None,
        (TCP | UDP, port) => match &flow.name {
            Some(named) => hidden::by_name(&named.name),
            None if port == 443 => hidden::by_address(server.ip()),
            None => None,
        },
        _ => None,
    }
}

/// The label of a destination on the internet.
pub(super) fn label(flow: &Flow) -> Arc<str> {
    if let Some(named) = &flow.name {
        return match registrable(&named.name) {
            Some(domain) => Arc::from(domain),
            None => Arc::clone(&named.name),
        };
    }
    match flow.asn {
        Some(asn) => Arc::from(format!("AS{asn}")),
        None => Arc::from("unknown"),
    }
}

/// What a flow that nothing was read of is by its port.
fn guess(key: &FlowKey, client: Side) -> u8 {
    let port = key.endpoint(client.other()).port();
    let name = match (key.protocol(), port) {
        (TCP | UDP, 53) => "dns",
        (TCP, 853) => "dot",
        (UDP, 853) => "doq",
        _ => "other",
    };
    PROTOCOLS.iter().zip(0_u8..).find(|(other, _)| **other == name).map_or(0, |(_, index)| index)
}
