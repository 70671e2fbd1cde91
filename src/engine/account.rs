//! When a flow is charged, and to whom. Bytes go from the flow to the device's ledger in one step, so every sum is equal at
//! every moment: total and country at once, the destination as soon as it is known, and what waits for it is `pending`.

use std::sync::Arc;

use crate::engine::charge::Told;
use crate::engine::core::{Core, location};
use crate::engine::event::{Detail, Ends, Event, FlowEnd, Where};
use crate::engine::flow::{End, Flow, FlowKey, Named, Rare, Side, Standing};
use crate::engine::haunts::Found;
use crate::engine::hidden;
use crate::engine::ledger::{Account, Destination, Marks};
use crate::engine::names::Answer;
use crate::engine::region::Whose;
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
            if flow.ends.of(side).is_none() || !self.revive(key, flow, side, owed != Both::default()) {
                continue;
            }
            let account = self.account_of(flow, side);
            let marks = flow.marks();
            let Some(device) = flow.ends.of(side).as_ref().and_then(|end| self.devices.get_mut(end.device)) else { continue };
            device.last = device.last.max(now);
            device.ledger.charge(flow.place, owed, now);
            if self.follows_activity && !matches!(flow.place, Place::Local | Place::Multicast) {
                device.activity.add(now, owed.transmit.bytes.saturating_add(owed.receive.bytes));
            }
            if let Some(account) = account {
                device.ledger.give(account, marks, owed, now);
            } else {
                flow.standings.of_mut(side).pending.get_or_insert_default().add(owed);
            }
            went_on |= owed != Both::default();
        }
        flow.told = flow.seen;
        if flow.settled && went_on {
            self.encounter(key, flow);
        }
    }

    /// The account of a settled flow on one side, opened anew for a device that had left.
    fn account_of(&mut self, flow: &mut Flow, side: Side) -> Option<u32> {
        let end = flow.ends.of(side).as_ref().filter(|_| flow.settled)?;
        let known = flow.standings.of(side).account;
        if known.is_some() {
            return known;
        }
        let account = match self.haunts.find(end.device, flow, origin(flow)) {
            Some(Found { account, refused: None, .. }) => account,
            Some(Found { account, refused: Some(named), .. }) if self.has_no_more(end.device, named) => {
                self.refused_accounts = self.refused_accounts.saturating_add(1);
                account
            }
            _ => self.open_account(flow, end.device),
        };
        flow.standings.of_mut(side).account = Some(account);
        Some(account)
    }

    /// Fixes a flow's account, once and for all. What it carried is told to the ledgers when it ends, and at a snapshot.
    pub(super) fn settle(&mut self, key: &FlowKey, flow: &mut Flow, now: Timestamp) {
        flow.settled = true;
        let protocol = usize::from(*flow.protocol.get_or_insert_with(|| guess(key, flow.client)));
        let candidates = self.name_by_dns(key, flow);
        flow.class = class(key, flow, candidates);
        let witnesses = self.mark(key, flow, now);
        for side in SIDES {
            let owes = flow.owed(side) != Both::default();
            if flow.ends.of(side).is_none() || !self.revive(key, flow, side, owes) {
                continue;
            }
            let known = flow.standings.of_mut(side).pending.take();
            let Some(account) = self.account_of(flow, side) else { continue };
            let Some(id) = flow.ends.of(side).as_ref().map(|end| end.device) else { continue };
            if let Some(device) = self.devices.get_mut(id) {
                if let Some(known) = known {
                    device.ledger.give(account, flow.marks(), *known, flow.last);
                }
                if let Some(account) = device.ledger.accounts.get_mut(account as usize) {
                    account.flows = account.flows.saturating_add(1);
                    account.first = account.first.min(flow.first);
                    account.named = account.named.or(flow.name.as_ref().map(|named| named.by));
                }
                if let Some(count) = device.ledger.flows.get_mut(protocol) {
                    *count = count.saturating_add(1);
                }
            }
            if let Some(witnesses) = witnesses {
                self.keep_location(key, flow, (id, account), witnesses);
            }
        }
        self.expect(key, flow);
        self.encounter(key, flow);
    }

    /// Fixes what is known of a flow's bytes beside their class; what the witnesses say of where its server is, if it is outside.
    fn mark(&mut self, key: &FlowKey, flow: &mut Flow, now: Timestamp) -> Option<Witnesses> {
        let (service, listed) = self.look_out(key, flow);
        if matches!(flow.class, Class::Local | Class::Multicast) {
            flow.rare = listed.map(|hit| Box::new(Rare { listed: Some(hit), ..Rare::default() }));
            (flow.verdict, flow.disputed) = (None, false);
            return None;
        }
        let service = service.or_else(|| Service::of_port(key.protocol(), key.endpoint(flow.client.other()).port()));
        let claim = self.claim(key, flow, now);
        let rare = service.is_some() || claim.is_some() || listed.is_some();
        flow.rare = rare.then(|| Box::new(Rare { service, claim, listed }));
        let witnesses = self.witnesses(key, flow);
        flow.verdict = Some(witnesses.finding.verdict());
        flow.disputed = witnesses.agree == Some(false);
        Some(witnesses)
    }

    /// The place that a flow's name claims, or an alias of it: a cloud's word before a vendor's. A name that may be another
    /// server's, or is not the destination's, claims nothing.
    fn claim(&self, key: &FlowKey, flow: &Flow, now: Timestamp) -> Option<Claim> {
        let named = flow.name.as_ref().filter(|named| named.origin != Origin::Ech && flow.class != Class::DnsAmbiguous)?;
        let own = named.title.region.map(|region| Claim { region, alias: false });
        let same = |known: &&Answer| known.title.name == named.title.name;
        let told = |end: &End| self.names.of(end.device, self.far(key, flow), now).find(same)?.region.as_deref().copied();
        let alias = SIDES.into_iter().find_map(|side| flow.ends.of(side).as_ref().and_then(told));
        let alias = alias.map(|region| Claim { region, alias: true });
        [own, alias].into_iter().flatten().min_by_key(|claim| claim.region.kind == Whose::Vendor)
    }

    /// Keeps for an account the server whose location the witnesses contradict most.
    fn keep_location(&mut self, key: &FlowKey, flow: &Flow, (device, account): (Id, u32), witnesses: Witnesses) {
        let against = witnesses.against();
        let Some(known) = self.account(device, account) else { return };
        known.anycast |= witnesses.anycast;
        if known.location.is_some() && known.against >= against {
            return;
        }
        known.against = against;
        let kept = Arc::new(location(&self.site(key, flow), self.far(key, flow), flow, witnesses));
        if let Some(known) = self.account(device, account) {
            known.location = Some(kept);
        }
    }

    fn account(&mut self, device: Id, account: u32) -> Option<&mut Account> {
        self.devices.get_mut(device)?.ledger.accounts.get_mut(account as usize)
    }

    /// A side of a flow changed hands (another MAC, or another way): what it carried so far is the first owner's, and what he
    /// asked does not name what the next one does.
    pub(super) fn hand_over(&mut self, key: &FlowKey, flow: &mut Flow, now: Timestamp) {
        if !flow.settled {
            self.settle(key, flow, now);
        }
        self.flush(key, flow);
        self.audit(key, flow);
        flow.settled = false;
        flow.changes_hands(now);
        flow.name = flow.name.take().filter(|named| !matches!(named.origin, Origin::Dns | Origin::Ech));
    }

    /// The end of a flow: everything is charged, and told.
    pub(super) fn retire(&mut self, key: &FlowKey, mut flow: Flow) {
        let now = flow.last;
        if !flow.settled {
            self.settle(key, &mut flow, now);
        }
        self.flush(key, &mut flow);
        self.audit(key, &flow);
        self.note_routine(key, &flow);
        if !self.events.wanted() {
            return;
        }
        let client = flow.client;
        let ends = Ends { client: key.endpoint(client), server: key.endpoint(client.other()), protocol: key.protocol() };
        let mac = flow.mac(client);
        // What the databases say is of the other side; where that is the client, the line has no field for it.
        let inward = flow.ends.of(client).is_none() && flow.ends.of(client.other()).is_some();
        let place = if inward { Where::default() } else { Where { domain: None, ..self.place_of(key, &flow) } };
        let witnesses = flow.verdict.map(|_| self.witnesses(key, &flow));
        let told = FlowEnd {
            first: flow.first,
            duration: now.since(flow.first),
            client: *flow.seen.of(client),
            server: *flow.seen.of(client.other()),
            name: flow.full_name(),
            domain: flow.domain(),
            origin: origin(&flow),
            named: flow.name.as_ref().map(|named| named.by),
            class: flow.class,
            rtt: flow.rtt,
            verdict: flow.verdict,
            service: flow.service().cloned(),
            location: witnesses.map(|witnesses| location(&self.site(key, &flow), self.far(key, &flow), &flow, witnesses)),
            reason: witnesses.and_then(|witnesses| reason(&flow, witnesses)),
            place,
        };
        let label = self.label(&flow, client, ends.client.ip());
        let event = Event { time: now, packet: flow.packet, device: label, mac, ends: Some(ends), detail: Detail::Flow(Box::new(told)) };
        self.events.push(event, &mut self.health);
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
        device.ledger.charge(place, some, now);
        let before = device.ledger.named();
        let class = match place {
            Place::Local => Class::Local,
            Place::Multicast => Class::Multicast,
            Place::Country(_) | Place::Unknown => Class::Lost,
        };
        let (account, _) = match inside {
            true => device.ledger.open_inside(place, room, now),
            false => device.ledger.open(Destination::other(place), false, now),
        };
        let verdict = (!inside).then_some(Verdict::Unmeasured);
        device.ledger.give(account, Marks { class, verdict, service: None, disputed: false }, some, now);
        if device.ledger.named() > before {
            self.devices.opened_account();
        }
        self.audit_frame(id, account, some, packet);
    }

    fn open_account(&mut self, flow: &Flow, id: Id) -> u32 {
        let room = self.has_room(id);
        let Some(device) = self.devices.get_mut(id) else { return u32::MAX };
        let before = device.ledger.named();
        let (account, own) = match flow.place {
            Place::Local | Place::Multicast => device.ledger.open_inside(flow.place, room, flow.first),
            place => {
                let destination = Destination { label: label(flow), origin: origin(flow), place, asn: flow.asn() };
                device.ledger.open(destination, room, flow.first)
            }
        };
        let opened = device.ledger.named() > before;
        if let Some(account) = device.ledger.accounts.get_mut(account as usize)
            && account.organisation.is_none()
            && account.destination.asn.is_some()
        {
            account.organisation = flow.site.as_ref().and_then(|site| site.located.organisation.clone());
        }
        if opened {
            self.devices.opened_account();
        }
        let refused = (!own).then_some(u32::try_from(before).unwrap_or(u32::MAX));
        if refused.is_some() {
            self.refused_accounts = self.refused_accounts.saturating_add(1);
        }
        self.haunts.note(id, flow, origin(flow), account, refused);
        account
    }

    /// Whether a device for which there was no room when its ledger had so many accounts would find none now either.
    fn has_no_more(&self, device: Id, named: u32) -> bool {
        self.devices.table().get(device).is_some_and(|device| device.ledger.named() == named as usize) && !self.has_room(device)
    }

    fn has_room(&self, device: Id) -> bool {
        let own = self.devices.table().get(device).map_or(0, |device| device.ledger.named());
        // Where room is scarce, whoever has much leaves as much as that to others: sixteen forged devices do not fill it all.
        let free = self.limits.accounts.saturating_sub(self.devices.accounts());
        own < self.limits.accounts_per_device.min(free)
    }

    /// Gives a flow without a name the latest one that its device was told for the address before it began, or came to this device, since
    /// what was told later cannot be why; how many there were.
    fn name_by_dns(&self, key: &FlowKey, flow: &mut Flow) -> usize {
        if flow.name.is_some() || matches!(flow.place, Place::Local | Place::Multicast) {
            return 0;
        }
        let Some(side) = SIDES.into_iter().find(|side| flow.ends.of(*side).is_some()) else { return 0 };
        let Some(end) = flow.ends.of(side) else { return 0 };
        let since = flow.owned_since();
        let (latest, count) = self.names.best(end.device, key.endpoint(side.other()).ip(), since);
        if let Some(trail) = &mut flow.trail {
            trail.answers = self.names.fitting(end.device, key.endpoint(side.other()).ip(), since).map(Told::from).collect();
        }
        if let Some(answer) = latest {
            let origin = if flow.hidden == Some(Class::Ech) { Origin::Ech } else { Origin::Dns };
            flow.name = Some(Named { title: Arc::clone(&answer.title), origin, by: answer.by });
        }
        count
    }

    /// Sees to it that the device of a flow's side is there: one that left and speaks again is opened anew if it has something
    /// to be told. Whether it is there.
    fn revive(&mut self, key: &FlowKey, flow: &mut Flow, side: Side, owes: bool) -> bool {
        let Some(end) = flow.ends.of_mut(side) else { return false };
        if self.devices.table().get(end.device).is_some() {
            return true;
        }
        if !owes {
            return false; // nothing to tell of a device that left: it is not opened anew for that
        }
        *flow.standings.of_mut(side) = Standing::default();
        let tells_apart = self.devices.key(key.endpoint(side).ip(), end.mac);
        let Some((device, new)) = self.devices.open(&tells_apart, flow.last, &self.limits) else {
            self.health.skip("device-table-full");
            *flow.ends.of_mut(side) = None;
            return false;
        };
        end.device = device;
        if let Some(device) = self.devices.get_mut(device).filter(|_| new) {
            device.meet(flow.packet, flow.last);
        }
        true
    }
}

/// Why the location of a flow is refuted, if it is.
fn reason(flow: &Flow, witnesses: Witnesses) -> Option<String> {
    // By now the handshake that decided may have been pushed out.
    let refuted = flow.verdict == Some(Verdict::Refuted) && witnesses.finding.verdict() == Verdict::Refuted;
    refuted.then(|| witnesses.finding.words())
}

/// What named a flow: `ech` even where nothing but the public name was seen.
pub(super) fn origin(flow: &Flow) -> Origin {
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
            Some(named) => named.title.hidden,
            None if port == 443 => hidden::by_address(server.ip()),
            None => None,
        },
        _ => None,
    }
}

/// The label of a destination on the internet.
pub(super) fn label(flow: &Flow) -> Arc<str> {
    match (&flow.name, &flow.site) {
        (Some(named), _) => Arc::clone(named.title.label()),
        (None, Some(site)) => Arc::clone(&site.label),
        (None, None) => Arc::from("unknown"),
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
