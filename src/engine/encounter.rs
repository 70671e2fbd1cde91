//! Whom a flow makes its device meet: said when its account is fixed, and again when it went on, so that the last time is true.
//!
//! A contact is where a device sent at least one packet, outside of our side. A packet whose flow found no room is no contact.

use std::sync::Arc;

use arrayvec::ArrayVec;

use crate::engine::contacts::{CONTACT_KINDS, Contact, Encounter};
use crate::engine::core::{Core, where_is};
use crate::engine::domain::registrable;
use crate::engine::event::{Detail, Ends, Event, FirstContact};
use crate::engine::flow::{Flow, FlowKey, Side};
use crate::engine::snapshot::Place;
use crate::packet::Timestamp;

impl Core {
    /// Notes whom the devices of a settled flow met; tells what they meet for the first time.
    pub(super) fn encounter(&mut self, key: &FlowKey, flow: &mut Flow) {
        if matches!(flow.place, Place::Local | Place::Multicast) {
            return;
        }
        for side in [Side::Low, Side::High] {
            let Some(mut end) = flow.ends.of(side).clone() else { continue };
            if flow.seen.of(side).packets == 0 {
                continue; // it was spoken to, and said nothing
            }
            let Some(device) = self.devices.table().get(end.device) else { continue };
            let (label, first) = (Arc::clone(&device.label), device.first.min(flow.first));
            // Only an alias takes over what was known under a MAC: behind a repeater's, many devices are told apart by address.
            let bore = device.alias().and(end.mac);
            let Some(memory) = self.contacts.open(&label, bore, first, flow.last, &self.limits) else { continue };
            for (contact, by) in contacts(flow) {
                let encounter = Encounter { at: by.1.min(flow.last), last: flow.last, new: !end.met };
                if self.contacts.meet(memory, &contact, encounter, &self.limits) {
                    self.tell_contact(key, flow, side, contact, by);
                }
            }
            end.met = true;
            *flow.ends.of_mut(side) = Some(end);
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
        if !self.events.wanted() {
            return;
        }
        let client = flow.client;
        let ends = Ends { client: key.endpoint(client), server: key.endpoint(client.other()), protocol: key.protocol() };
        let name = flow.name.as_ref().map(|named| Arc::clone(&named.name));
        let mut place = where_is(&self.geo, self.far(key, flow));
        place.domain = name.as_deref().and_then(registrable).map(Arc::from);
        let event = Event {
            time: by.1,
            packet: by.0,
            device: label,
            mac: flow.ends.of(client).as_ref().and_then(|end| end.mac),
            ends: Some(ends),
            detail: Detail::FirstContact(Box::new(FirstContact { contact, name, place })),
        };
        self.events.push(event, &mut self.health);
    }
}

/// What a flow shows of the other side, each with the packet that showed it: its first for what the address tells, the one that
/// named it for what the name does.
fn contacts(flow: &Flow) -> ArrayVec<(Contact, (u64, Timestamp)), 4> {
    let opened = (flow.packet, flow.first);
    let country = match flow.place {
        Place::Country(country) => Some((Contact::Country(country), opened)),
        Place::Local | Place::Multicast | Place::Unknown => None,
    };
    let asn = flow.asn.map(|asn| (Contact::Asn(asn), opened));
    let named = flow.name.as_ref();
    let domain = named.and_then(|named| Some((Contact::Domain(Arc::from(registrable(&named.name)?)), named.by)));
    let name = named.map(|named| (Contact::Name(Arc::clone(&named.name)), named.by));
    [country, asn, domain, name].into_iter().flatten().collect()
}
