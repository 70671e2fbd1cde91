//! Whom a flow makes its device meet: said when its account is fixed, and again when it went on, so that the last time is true.
//!
//! A contact is where a device sent at least one packet, outside of our side. A packet whose flow found no room is no contact.

use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::engine::account::origin;
use crate::engine::contacts::{CONTACT_KINDS, Contact, Encounter, KINDS, Met};
use crate::engine::core::Core;
use crate::engine::event::{Detail, Ends, Event, FirstContact};
use crate::engine::flow::{Flow, FlowKey, Side};
use crate::engine::snapshot::Place;
use crate::packet::Timestamp;

impl Core {
    /// Notes whom the devices of a settled flow met, or that it went on; tells what they meet for the first time.
    pub(super) fn encounter(&mut self, key: &FlowKey, flow: &mut Flow) {
        if matches!(flow.place, Place::Local | Place::Multicast) {
            return;
        }
        for side in [Side::Low, Side::High] {
            let Some(end) = flow.ends.of(side) else { continue };
            if flow.seen.of(side).packets == 0 || flow.standings.of(side).met.is_some_and(|met| self.contacts.go_on(&met, flow.last)) {
                continue; // it was spoken to, and said nothing; or there is nobody new
            }
            let (id, account) = (end.device, flow.standings.of(side).account);
            let Some(device) = self.devices.table().get(id) else { continue };
            let first = device.first.min(flow.first);
            // Only an alias takes over what was known under a MAC: behind a repeater's, many devices are told apart by address.
            let bore = device.alias().and(end.mac);
            let before = self.haunts.find(id, flow, origin(flow)).and_then(|found| found.met).filter(|_| bore.is_none());
            let again =
                |met: &Met| self.contacts.hear(met.memory(), first, flow.last) && self.contacts.meet_again(met, times(flow), flow.last);
            let met = match before.filter(again) {
                Some(met) => met,
                None => {
                    let (label, shown) = (Arc::clone(&device.label), contacts(flow));
                    let Some(memory) = self.contacts.open(&label, bore, first, flow.last, &self.limits) else { continue };
                    let mut met = Met::of(memory);
                    for (contact, by) in &shown {
                        let encounter = Encounter { at: by.1.min(flow.last), last: flow.last };
                        if self.contacts.meet(&mut met, contact, encounter, &self.limits) {
                            self.tell_contact(key, flow, side, contact.clone(), *by);
                        }
                    }
                    if let Some(account) = account.filter(|_| met.holds(&shown)) {
                        self.haunts.meet(id, flow, account, met);
                    }
                    met
                }
            };
            flow.standings.of_mut(side).met = Some(met);
        }
    }

    /// Counts and tells a first contact of the device on one side of a flow.
    fn tell_contact(&mut self, key: &FlowKey, flow: &Flow, side: Side, contact: Contact, by: (u64, Timestamp)) {
        let Some(device) = flow.ends.of(side).as_ref().and_then(|end| self.devices.get_mut(end.device)) else { return };
        let label = Arc::clone(&device.label);
        if let Some(index) = CONTACT_KINDS.iter().position(|kind| *kind == contact.kind())
            && let Some(count) = device.ledger.first_contacts.get_mut(index)
        {
            *count = count.saturating_add(1);
        }
        if !self.events.notable() {
            return;
        }
        let client = flow.client;
        let ends = Ends { client: key.endpoint(client), server: key.endpoint(client.other()), protocol: key.protocol() };
        let (name, place) = (flow.full_name(), self.place_of(key, flow));
        let event = Event {
            time: by.1,
            packet: by.0,
            device: label,
            mac: flow.mac(client),
            ends: Some(ends),
            detail: Detail::FirstContact(Box::new(FirstContact { contact, name, place })),
        };
        self.events.push(event, &mut self.health);
    }
}

/// When a flow showed each kind of contact, as [`contacts`] has them: a flow to a known haunt needs no more of them.
fn times(flow: &Flow) -> [Timestamp; KINDS] {
    let named = flow.name.as_ref().map_or(flow.first, |named| named.by.1);
    [flow.first, flow.first, named, named]
}

/// What a flow shows of the other side, each with the packet that showed it: its first for what the address tells, the one that
/// named it for what the name does.
fn contacts(flow: &Flow) -> ArrayVec<(Contact, (u64, Timestamp)), 4> {
    let opened = (flow.packet, flow.first);
    let country = match flow.place {
        Place::Country(country) => Some((Contact::Country(country), opened)),
        Place::Local | Place::Multicast | Place::Unknown => None,
    };
    let asn = flow.asn().map(|asn| (Contact::Asn(asn), opened));
    let named = flow.name.as_ref();
    let domain = named.and_then(|named| Some((Contact::Domain(Arc::clone(named.title.domain.as_ref()?)), named.by)));
    let name = named.map(|named| (Contact::Name(Arc::clone(&named.title.name)), named.by));
    [country, asn, domain, name].into_iter().flatten().collect()
}
