//! Which flows go to what a watchlist carries: asked once for each flow, when its account is fixed, for its full name, else for
//! its address. The first that says what for says what the flow's destination is for. A packet whose flow found no room is not looked up, nor is a DNS question: who asks has not gone there yet.

use std::sync::Arc;

use crate::engine::core::Core;
use crate::engine::event::{Detail, Ends, Event, Watched};
use crate::engine::flow::{Flow, FlowKey, Side};
use crate::engine::service::Service;
use crate::engine::snapshot::{Origin, Place};
use crate::engine::watchlist::Hit;

impl Core {
    /// Counts and tells what the lists say of a flow; what its destination is for by the first of them that says so. The first
    /// that calls it a pull stays with the flow.
    pub(super) fn look_out(&mut self, key: &FlowKey, flow: &Flow) -> (Option<Service>, Option<Hit>) {
        let (mut service, mut listed) = (None, None);
        if flow.place == Place::Multicast {
            return (service, listed);
        }
        let far = self.far(key, flow);
        let lists = Arc::clone(&self.watchlists);
        for list in lists.iter() {
            let by_name = flow.name.as_ref().and_then(|named| list.lookup_name(&named.title.name));
            let (hit, by) = match (by_name, &flow.name) {
                // An answer from DNS came before the flow: who asks has not gone there yet.
                (Some(hit), Some(named)) if !matches!(named.origin, Origin::Dns | Origin::Ech) => (hit, named.by),
                (Some(hit), Some(_)) => (hit, (flow.packet, flow.first)),
                _ => match list.lookup_address(far) {
                    Some(hit) => (hit, (flow.packet, flow.first)),
                    None => continue,
                },
            };
            service = service.or_else(|| Service::of_hit(&hit));
            for side in [Side::Low, Side::High] {
                if let Some(device) = flow.ends.of(side).as_ref().and_then(|end| self.devices.get_mut(end.device)) {
                    device.ledger.sighted(&hit.ruleset, hit.category);
                }
            }
            if hit.category.is_pull() && listed.is_none() {
                listed = Some(hit.clone());
            }
            if !self.events.notable() {
                continue;
            }
            let client = flow.client;
            let ends = Ends { client: key.endpoint(client), server: key.endpoint(client.other()), protocol: key.protocol() };
            let (name, place) = (flow.full_name(), self.place_of(key, flow));
            let event = Event {
                time: by.1,
                packet: by.0,
                device: self.label(flow, client, ends.client.ip()),
                mac: flow.mac(client),
                ends: Some(ends),
                detail: Detail::Watchlist(Box::new(Watched { hit, name, place })),
            };
            self.events.push(event, &mut self.health);
        }
        (service, listed)
    }
}
