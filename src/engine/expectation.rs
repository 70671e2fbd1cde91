//! Which countries a device meets that its owner does not expect: told once for each, when the account of the first flow there
//! is fixed, so that the server's name can stand beside it. It says what the databases say, and what the handshake says of that.
//!
//! Road not taken: telling it of the first packet already. Its name would be missing, and the line is for somebody who asks what
//! is there.

use std::sync::Arc;

use crate::engine::core::Core;
use crate::engine::event::{Detail, Ends, Event, Unexpected};
use crate::engine::flow::{Flow, FlowKey, Side};
use crate::engine::snapshot::Place;

impl Core {
    /// Holds a flow's country against those that the owners of its devices expect.
    pub(super) fn expect(&mut self, key: &FlowKey, flow: &Flow) {
        let Place::Country(country) = flow.place else { return };
        for side in [Side::Low, Side::High] {
            let Some(end) = flow.ends.of(side) else { continue };
            let Some(device) = self.devices.table().get(end.device) else { continue };
            let expected = self.devices.entry(device).map(|entry| entry.expected.as_slice()).unwrap_or_default();
            if expected.is_empty() || expected.contains(&country) || device.unexpected.contains(&country) {
                continue;
            }
            let (expected, label) = (expected.to_vec(), Arc::clone(&device.label));
            if let Some(device) = self.devices.get_mut(end.device) {
                device.unexpected.push(country);
            }
            if !self.events.notable() {
                continue;
            }
            let client = flow.client;
            let (name, place) = (flow.full_name(), self.place_of(key, flow));
            let (packet, time) = flow.name.as_ref().map_or((flow.packet, flow.first), |named| named.by);
            let event = Event {
                time,
                packet,
                device: label,
                mac: flow.mac(client),
                ends: Some(Ends { client: key.endpoint(client), server: key.endpoint(client.other()), protocol: key.protocol() }),
                detail: Detail::UnexpectedCountry(Box::new(Unexpected { expected, name, place, verdict: flow.verdict })),
            };
            self.events.push(event, &mut self.health);
        }
    }
}
