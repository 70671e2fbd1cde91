//! Which flows go to what a watchlist carries: asked once for each flow, when its account is fixed, for its full name, else for
//! its address. A packet whose flow found no room is not looked up, nor is a DNS question: who asks has not gone there yet.

use std::sync::Arc;

use crate::engine::core::{Core, where_is};
use crate::engine::domain::registrable;
use crate::engine::event::{Detail, Ends, Event, Watched};
use crate::engine::flow::{Flow, FlowKey, Side};
use crate::engine::snapshot::Place;

impl Core {
    /// Counts and tells what the lists say of a flow.
    pub(super) fn look_out(&mut self, key: &FlowKey, flow: &Flow) {
        if flow.place == Place::Multicast {
            return;
        }
        let far = self.far(key, flow);
        for index in 0..self.watchlists.len() {
            let Some(list) = self.watchlists.get(index) else { continue };
            let by_name = flow.name.as_ref().and_then(|named| list.lookup_name(&named.name));
            let (hit, by) = match (by_name, &flow.name) {
                (Some(hit), Some(named)) => (hit, named.by),
                _ => match list.lookup_address(far) {
                    Some(hit) => (hit, (flow.packet, flow.first)),
                    None => continue,
                },
            };
            for side in [Side::Low, Side::High] {
                if let Some(device) = flow.ends.of(side).as_ref().and_then(|end| self.devices.get_mut(end.device)) {
                    device.ledger.sighted(&hit.ruleset, hit.category);
                }
            }
            if !self.events.wanted() {
                continue;
            }
            let client = flow.client;
            let ends = Ends { client: key.endpoint(client), server: key.endpoint(client.other()), protocol: key.protocol() };
            let name = flow.name.as_ref().map(|named| Arc::clone(&named.name));
            let mut place = if flow.place == Place::Local { Default::default() } else { where_is(&self.geo, far) };
            place.domain = name.as_deref().and_then(registrable).map(Arc::from);
            let event = Event {
                time: by.1,
                packet: by.0,
                device: self.label(flow, client, ends.client.ip()),
                mac: flow.ends.of(client).as_ref().and_then(|end| end.mac),
                ends: Some(ends),
                detail: Detail::Watchlist(Box::new(Watched { hit, name, place })),
            };
            self.events.push(event, &mut self.health);
        }
    }
}
