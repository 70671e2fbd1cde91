//! Whom each device has met: the first and the last time of every country, AS, registrable domain and name, kept across restarts.
//!
//! Road taken: a memory beside the devices and keyed by their label, because it must outlive them: a phone that comes back after
//! a month is no newcomer. Rows lie sorted, so that looking one up is a binary search, and a copy of them needs no sorting.
//! Road not taken: a field of the device's account. Accounts are many for one domain (origin, country and AS tell them apart)
//! and end with the device.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::geo::Country;
use crate::engine::limits::Limits;
use crate::engine::snapshot::TableRow;
use crate::engine::table::{Id, Table};
use crate::packet::{Mac, Timestamp};

/// The values of the label `kind`: what is told when it is met for the first time. Names are kept, but they are too many to tell.
pub const CONTACT_KINDS: [&str; 3] = ["country", "asn", "domain"];

/// What a device can meet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contact {
    /// The country of a server's address, by the databases.
    Country(Country),
    /// The autonomous system of a server's address, by the databases.
    Asn(u32),
    /// The registrable domain of a server's name.
    Domain(Arc<str>),
    /// A server's full name.
    Name(Arc<str>),
}

impl Contact {
    /// Its kind, in words of the label and of `whither.kind`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Country(_) => "country",
            Self::Asn(_) => "asn",
            Self::Domain(_) => "domain",
            Self::Name(_) => "name",
        }
    }

    /// Its value as text: `SG`, `AS64496`, `example.org`, `www.example.org`.
    #[must_use]
    pub fn value(&self) -> Arc<str> {
        match self {
            Self::Country(country) => Arc::from(country.as_str()),
            Self::Asn(asn) => Arc::from(format!("AS{asn}")),
            Self::Domain(text) | Self::Name(text) => Arc::clone(text),
        }
    }

    /// A contact from its kind and value as text; `None` when they are not of that form.
    #[must_use]
    pub fn parse(kind: &str, value: &str) -> Option<Self> {
        match kind {
            "country" => Country::from_code(value).map(Self::Country),
            "asn" => value.strip_prefix("AS")?.parse().ok().map(Self::Asn),
            "domain" => Some(Self::Domain(Arc::from(value))),
            "name" => Some(Self::Name(Arc::from(value))),
            _ => None,
        }
    }
}

/// One contact of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactRow {
    /// With what.
    pub contact: Contact,
    /// The packet that first showed it.
    pub first: Timestamp,
    /// The last packet of the last flow that went there, as far as it was followed.
    pub last: Timestamp,
    /// Flows that went there.
    pub flows: u64,
    /// It was told as a first contact: the device had been learnt by then.
    pub told: bool,
}

/// What is remembered of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Its label.
    pub device: Arc<str>,
    /// Its first packet ever.
    pub first: Timestamp,
    /// Its last packet, to the minute.
    pub last: Timestamp,
    /// Whom it met, sorted by [`ContactRow::contact`].
    pub contacts: Vec<ContactRow>,
}

/// What a flow says of a contact.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encounter {
    /// The packet that showed it.
    pub(super) at: Timestamp,
    /// The flow's last packet so far.
    pub(super) last: Timestamp,
    /// The flow was not counted before.
    pub(super) new: bool,
}

/// All memories.
#[derive(Debug)]
pub(super) struct Contacts {
    devices: Table<Arc<str>, Memory>,
    /// Contacts that count against the cap: all but countries.
    held: usize,
    evicted: u64,
    refused: u64,
}

impl Contacts {
    /// Nobody has met anybody.
    #[must_use]
    pub(super) fn new(limits: &Limits) -> Self {
        Self { devices: Table::new("contact_devices", limits.contact_devices), held: 0, evicted: 0, refused: 0 }
    }

    /// Takes in what an earlier run remembered.
    pub(super) fn restore(&mut self, memories: Vec<Memory>, limits: &Limits) {
        for memory in memories {
            let Some(id) = self.open(&memory.device, None, memory.first, memory.last, limits) else { continue };
            for row in memory.contacts {
                let room = self.has_room(id, &row.contact, limits);
                let Some(known) = self.devices.get_mut(id) else { continue };
                match known.search(&row.contact) {
                    Ok(_) => {}
                    Err(_) if !room => self.refused = self.refused.saturating_add(1),
                    Err(index) => {
                        self.held = self.held.saturating_add(usize::from(row.contact.is_capped()));
                        known.contacts.insert(index, row);
                    }
                }
            }
        }
    }

    /// The memory of a device whose first packet was at `first`, found or made; none when the table is full of those that stay.
    /// What was known under a MAC goes over to the alias that it is given.
    pub(super) fn open(&mut self, label: &Arc<str>, mac: Option<Mac>, first: Timestamp, now: Timestamp, limits: &Limits) -> Option<Id> {
        if let Some(id) = self.devices.find(label) {
            self.devices.touch(id, now);
            let memory = self.devices.get_mut(id)?;
            memory.first = memory.first.min(first);
            memory.last = memory.last.max(now);
            return Some(id);
        }
        let renamed = mac.map(|mac| Arc::from(mac.to_string())).filter(|old| old != label);
        if let Some((_, memory)) = renamed.and_then(|old| self.devices.find(&old)).and_then(|id| self.devices.take(id)) {
            let memory = Memory { device: Arc::clone(label), first: memory.first.min(first), last: memory.last.max(now), ..memory };
            return self.devices.insert(Arc::clone(label), memory, now);
        }
        // Who was here for a moment leaves before who belongs here: forged MACs must not make a phone a newcomer, whose contacts
        // would be learnt in silence.
        let may_leave = |memory: &Memory, silent: Duration| {
            let guest = memory.last.since(memory.first) < limits.device_stale;
            silent >= if guest { limits.device_stale } else { limits.device_idle }
        };
        if let Some((_, gone)) = self.devices.make_room(now, may_leave) {
            let capped = gone.contacts.iter().filter(|row| row.contact.is_capped()).count();
            self.held = self.held.saturating_sub(capped);
            self.evicted = self.evicted.saturating_add(capped as u64);
        }
        let memory = Memory { device: Arc::clone(label), first, last: now, contacts: Vec::new() };
        let opened = self.devices.insert(Arc::clone(label), memory, now);
        if opened.is_none() {
            self.refused = self.refused.saturating_add(1);
        }
        opened
    }

    /// Notes that a device was heard of: it keeps its memory.
    pub(super) fn touch(&mut self, label: &Arc<str>, now: Timestamp) {
        if let Some(id) = self.devices.find(label) {
            self.devices.touch(id, now);
            if let Some(memory) = self.devices.get_mut(id) {
                memory.last = memory.last.max(now);
            }
        }
    }

    /// Notes an encounter; `true` when it is the first with that contact and the device has been learnt.
    pub(super) fn meet(&mut self, id: Id, contact: Contact, encounter: Encounter, limits: &Limits) -> bool {
        let room = self.has_room(id, &contact, limits);
        let Some(memory) = self.devices.get_mut(id) else { return false };
        match memory.search(&contact) {
            Ok(index) => {
                if let Some(row) = memory.contacts.get_mut(index) {
                    row.first = row.first.min(encounter.at);
                    row.last = row.last.max(encounter.last);
                    row.flows = row.flows.saturating_add(u64::from(encounter.new));
                }
                false
            }
            Err(_) if !encounter.new => false, // refused before, and counted then
            Err(_) if !room => {
                self.refused = self.refused.saturating_add(1);
                false
            }
            Err(index) => {
                let learnt = encounter.at.since(memory.first) >= limits.learning;
                let told = learnt && CONTACT_KINDS.contains(&contact.kind());
                self.held = self.held.saturating_add(usize::from(contact.is_capped()));
                memory.contacts.insert(index, ContactRow { contact, first: encounter.at, last: encounter.last, flows: 1, told });
                told
            }
        }
    }

    /// A device's first packet ever, if it is remembered.
    #[must_use]
    pub(super) fn first(&self, label: &Arc<str>) -> Option<Timestamp> {
        self.devices.find(label).and_then(|id| self.devices.get(id)).map(|memory| memory.first)
    }

    /// All memories, by label.
    #[must_use]
    pub(super) fn rows(&self) -> Vec<Memory> {
        let mut rows: Vec<_> = self.devices.iter().map(|(_, _, memory)| memory.clone()).collect();
        rows.sort_unstable_by(|a, b| a.device.cmp(&b.device));
        rows
    }

    /// The state of both tables, for the metrics.
    #[must_use]
    pub(super) fn tables(&self, limits: &Limits) -> [TableRow; 2] {
        let contacts = TableRow {
            table: "contacts",
            entries: self.held as u64,
            limit: limits.contacts as u64,
            evicted: self.evicted,
            refused: self.refused,
        };
        [self.devices.row(), contacts]
    }

    /// Each kind has room of its own, so that a flood of names cannot hide a country.
    fn has_room(&self, id: Id, contact: &Contact, limits: &Limits) -> bool {
        let own = self.devices.get(id).map_or(0, |memory| memory.of_kind(contact.kind()));
        !contact.is_capped() || own < limits.contacts_per_device && self.held < limits.contacts
    }
}

impl Memory {
    fn search(&self, contact: &Contact) -> Result<usize, usize> {
        self.contacts.binary_search_by(|row| row.contact.cmp(contact))
    }

    /// How many contacts of a kind there are: they lie together.
    fn of_kind(&self, kind: &str) -> usize {
        let rank = |other: &str| CONTACT_KINDS.iter().position(|name| *name == other).unwrap_or(CONTACT_KINDS.len());
        let end = |below: usize| self.contacts.partition_point(|row| rank(row.contact.kind()) < below);
        end(rank(kind).saturating_add(1)).saturating_sub(end(rank(kind)))
    }
}

impl Contact {
    /// Countries are bounded by the two letters of their code.
    fn is_capped(&self) -> bool {
        !matches!(self, Self::Country(_))
    }
}
