//! The state of everything, as plain sorted rows.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::device::Device;
use crate::engine::event::{Detail, Event};
use crate::engine::flow::Side;
use crate::engine::likeness::SameAs;
use crate::engine::roster::Entry;
use crate::engine::service::Service;
use crate::engine::snapshot::{
    ActivityRow, Both, CLASSES, CountryRow, DestinationRow, DeviceRow, Origin, Place, ServiceRow, SightingRow, Snapshot, TableRow,
};
use crate::engine::table::Id;
use crate::engine::vendor::vendor;
use crate::engine::watchlist::Category;
use crate::mark::Mark;
use crate::packet::{Mac, Timestamp};

impl Engine {
    /// Tells a mark; `number` is its own in the capture, 0 where it has none.
    pub fn mark(&mut self, mark: Mark, number: u64) {
        let device = mark.device.as_ref().map_or_else(|| Arc::from(""), |words| self.label_of(words.as_str()));
        let event = Event { time: mark.time, packet: number, device, mac: None, ends: None, detail: Detail::Mark(Box::new(mark)) };
        self.core.events.push(event, &mut self.core.health);
    }

    /// The label of the device that is meant by some words: its label, a MAC, an address or its host name; else the words themselves.
    #[must_use]
    pub fn label_of(&self, words: &str) -> Arc<str> {
        let address = words.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let forms: [&dyn Fn(&Device) -> bool; 4] = [
            &|device| device.label.eq_ignore_ascii_case(words),
            &|device| device.macs.iter().any(|mac| mac.to_string().eq_ignore_ascii_case(words)),
            &|device| address.is_some_and(|address| device.addresses.contains(&address)),
            &|device| device.identity.hostname().is_some_and(|name| name.eq_ignore_ascii_case(words)),
        ];
        let found = forms.iter().find_map(|fits| self.core.devices.table().iter().find(|(.., device)| fits(device)));
        found.map_or_else(|| Arc::from(words), |(.., device)| Arc::clone(&device.label))
    }

    /// Everything there is to tell now. It tells the ledgers first what live flows carry, so all sums are equal.
    pub fn snapshot(&mut self) -> Snapshot {
        let mut pending: Vec<(Id, Both)> = Vec::new();
        let mut lasting = Vec::new();
        for (key, flow) in self.flows.iter_mut() {
            self.core.flush(key, flow);
            if !flow.settled && flow.is_due(key.protocol(), self.clock.now(), &self.core.limits) {
                self.core.settle(key, flow, self.clock.now());
            }
            lasting.extend(self.core.lasting(flow));
            if !flow.settled {
                for side in [Side::Low, Side::High] {
                    if let Some(end) = flow.ends.of(side) {
                        pending.extend(flow.standings.of(side).pending.as_deref().map(|some| (end.device, *some)));
                    }
                }
            }
        }
        pending.sort_unstable_by_key(|(device, _)| *device);
        let mut snapshot = Snapshot {
            last_packet: self.last_packet,
            packets: self.core.health.packets,
            skipped: self.core.health.skipped.rows(),
            input_errors: self.core.health.malformed.rows(),
            malformed: self.core.health.why.rows(),
            quic_versions: self.core.health.quic_versions.rows(),
            tables: self.tables(),
            databases: self.core.geo.databases(),
            events_dropped: self.core.health.events_dropped,
            rtts: self.core.rtts.clone(),
            contacts: self.core.contacts.rows(),
            // Room for nearly all: else the largest of these tables stands in memory twice while it grows.
            destinations: Vec::with_capacity(self.core.devices.accounts()),
            ..Snapshot::default()
        };
        // By label, and each device's rows by themselves: to sort the rows of all at the end cost as much as all the rest of it.
        let mut devices: Vec<_> = self.core.devices.table().iter().map(|(id, _, device)| (id, device)).collect();
        devices.sort_unstable_by(|(_, one), (_, other)| one.label.cmp(&other.label));
        for (id, device) in devices {
            let begin = pending.partition_point(|(other, _)| *other < id);
            let mut owed = Both::default();
            for (_, some) in pending.iter().skip(begin).take_while(|(other, _)| *other == id) {
                owed.add(*some);
            }
            let router = device.macs.iter().any(|mac| self.core.devices.is_router(*mac));
            let spoke = |id: Id| self.core.devices.table().get(id).map(|device| device.spoke);
            let same_as = if self.core.devices.is_current(device) { device.likeness.holding(spoke) } else { Vec::new() };
            let first = self.core.contacts.first(&device.label).unwrap_or(device.first);
            tell(device, first, self.core.devices.entry(device), owed, (router, same_as), &mut snapshot);
        }
        self.core.tell_routine(lasting, &mut snapshot);
        snapshot.rtts.sort_unstable_by_key(|row| row.place);
        snapshot.devices.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        snapshot.activity.sort_unstable_by(|a, b| a.device.cmp(&b.device));
        snapshot.countries.sort_unstable_by(|a, b| (&a.device, a.place).cmp(&(&b.device, b.place)));
        snapshot.sightings.sort_unstable();
        // Two devices may bear one label.
        if !snapshot.destinations.is_sorted_by(|a, b| order(a) <= order(b)) {
            snapshot.destinations.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
        }
        if let Some(share) = &self.core.health.share {
            share.keep(&mut snapshot);
        }
        snapshot
    }

    fn tables(&self) -> Vec<TableRow> {
        let core = &self.core;
        let mut rows = vec![
            TableRow {
                table: "accounts",
                entries: core.devices.accounts() as u64,
                limit: core.limits.accounts as u64,
                evicted: 0,
                refused: core.refused_accounts,
            },
            core.devices.table().row(),
            self.flows.row(),
            core.names.row(),
            core.devices.neighbours().row(),
            core.rhythms.row(),
            core.histories.row(),
            core.streams.row(),
        ];
        rows.extend(core.servers.row());
        rows.extend(core.contacts.tables(&core.limits));
        rows.sort_unstable_by_key(|row| row.table);
        rows
    }
}

fn order(row: &DestinationRow) -> (&str, &str, Origin, Place, Option<u32>) {
    (&row.device, &row.destination, row.origin, row.place, row.asn)
}

/// The label of what is counted under a category.
fn counted(category: Category) -> &'static str {
    if category == Category::Unclassified { "none" } else { category.as_str() }
}

fn services(known: &[(Service, u64)]) -> Vec<ServiceRow> {
    let row = |(service, bytes): &(Service, u64)| ServiceRow {
        category: service.category.as_str(),
        noise: service.category.is_noise() && !service.ambiguous,
        vendor: service.vendor.clone(),
        ambiguous: service.ambiguous,
        bytes: *bytes,
    };
    let mut rows: Vec<ServiceRow> = known.iter().map(row).collect();
    rows.sort_by_key(|row| (Reverse(row.bytes), row.category, row.ambiguous));
    rows
}

fn tell(
    device: &Device,
    first: Timestamp,
    entry: Option<&Entry>,
    pending: Both,
    (router, same_as): (bool, Vec<SameAs>),
    snapshot: &mut Snapshot,
) {
    let ledger = &device.ledger;
    let mut addresses = device.addresses.to_vec();
    addresses.sort_unstable();
    snapshot.devices.push(DeviceRow {
        id: Arc::clone(&device.label),
        mac: device.mac(),
        macs: device.macs.clone(),
        alias: device.alias(),
        notes: entry.and_then(|entry| entry.notes.clone()),
        expected: entry.map(|entry| entry.expected.clone()).unwrap_or_default(),
        addresses,
        hostname: device.identity.hostname().cloned(),
        vendor: device.macs.iter().find_map(|mac| vendor(*mac)).map(Arc::from),
        randomized: device.mac().is_some_and(Mac::is_local),
        router,
        identity: device.identity.facts().to_vec(),
        identity_forgotten: device.identity.forgotten(),
        same_as,
        first: first.min(device.first),
        last: device.last,
        total: ledger.total,
        recent: ledger.recent.clone(),
        pending,
        visibility: CLASSES.into_iter().zip(ledger.classes).filter(|(_, total)| *total != Both::default()).collect(),
        verdicts: ledger.verdicts,
        services: Category::all()
            .zip(ledger.services)
            .filter(|(_, bytes)| *bytes > 0)
            .map(|(category, bytes)| (counted(category), bytes))
            .collect(),
        disputed: ledger.disputed,
        flows: ledger.flows,
        first_contacts: ledger.first_contacts,
    });
    let minutes = device.activity.minutes().to_vec();
    snapshot.activity.extend(Some(ActivityRow { device: Arc::clone(&device.label), minutes }).filter(|row| !row.minutes.is_empty()));
    snapshot.countries.extend(ledger.countries.iter().map(|(place, total)| CountryRow {
        device: Arc::clone(&device.label),
        place: *place,
        total: *total,
    }));
    snapshot.sightings.extend(ledger.sightings.iter().map(|(ruleset, category, flows)| SightingRow {
        device: Arc::clone(&device.label),
        ruleset: Arc::clone(ruleset),
        category: category.as_str(),
        flows: *flows,
    }));
    let begin = snapshot.destinations.len();
    snapshot.destinations.extend(ledger.accounts.iter().map(|account| DestinationRow {
        device: Arc::clone(&device.label),
        destination: Arc::clone(&account.destination.label),
        origin: account.destination.origin,
        place: account.destination.place,
        asn: account.destination.asn,
        organisation: account.organisation.clone(),
        verdicts: account.verdicts,
        services: services(&account.services),
        location: account.location.clone(),
        anycast: account.anycast,
        flows: account.flows,
        first: account.first,
        last: account.last,
        total: account.total,
        timeline: account.timeline.clone(),
        named: account.named,
    }));
    if let Some(own) = snapshot.destinations.get_mut(begin..) {
        own.sort_unstable_by(|a, b| order(a).cmp(&order(b)));
    }
}
