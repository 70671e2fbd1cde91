//! Whom each device has met: the first and the last time of every country, AS, registrable domain and name, kept across restarts.
//!
//! Road taken: a memory beside the devices and keyed by their label, because it must outlive them: a phone that comes back after
//! a month is no newcomer. Rows lie in the order of their coming with a hash index beside them, and are sorted when they are
//! told: each flow asks for four of them, and a binary search over names was a tenth of a capture's time.
//! Road not taken: a field of the device's account. Accounts are many for one domain (origin, country and AS tell them apart)
//! and end with the device.

use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashTable;

use crate::engine::charge::Spot;
use crate::engine::geo::Country;
use crate::engine::limits::Limits;
use crate::engine::snapshot::TableRow;
use crate::engine::table::{Id, Table};
use crate::packet::{Mac, Timestamp};

/// The values of the label `kind`: what is told when it is met for the first time. Names are kept, but they are too many to tell.
pub const CONTACT_KINDS: [&str; 3] = ["country", "asn", "domain"];

/// What a device can meet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
}

/// Where what a flow shows stands in a memory: rows never move while the memory stays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Met {
    /// The memory.
    memory: Id,
    /// Country, AS, domain and name; [`u32::MAX`] for what was not shown, or refused.
    rows: [u32; KINDS],
}

/// A memory as it is kept: its rows in the order of their coming.
#[derive(Debug)]
struct Kept {
    memory: Memory,
    /// The rows by contact.
    index: HashTable<u32>,
    /// How many there are of each kind that counts against the cap, countries (which do not) first.
    kinds: [usize; KINDS],
}

/// All memories.
#[derive(Debug)]
pub(super) struct Contacts {
    devices: Table<Arc<str>, Kept>,
    /// Keyed: names are chosen by the devices under suspicion.
    hasher: RandomState,
    /// Contacts that count against the cap: all but countries.
    held: usize,
    evicted: u64,
    refused: u64,
}

impl Contacts {
    /// Nobody has met anybody.
    #[must_use]
    pub(super) fn new(limits: &Limits) -> Self {
        let devices = Table::new("contact_devices", limits.contact_devices);
        Self { devices, hasher: RandomState::new(), held: 0, evicted: 0, refused: 0 }
    }

    /// Takes in what an earlier run remembered.
    pub(super) fn restore(&mut self, memories: Vec<Memory>, limits: &Limits) {
        for memory in memories {
            if let Some(id) = self.open(&memory.device, None, memory.first, memory.last, limits) {
                memory.contacts.into_iter().for_each(|row| self.absorb(id, row, limits));
            }
        }
    }

    /// Takes in what another engine remembers, in place of what was known here of the same devices.
    pub(super) fn replace(&mut self, memories: Vec<Memory>, limits: &Limits) {
        for memory in &memories {
            if let Some((_, old)) = self.devices.find(&memory.device).and_then(|id| self.devices.take(id)) {
                self.held = self.held.saturating_sub(old.capped());
            }
        }
        self.restore(memories, limits);
    }

    /// The memory of a device whose first packet was at `first`, found or made; none when the table is full of those that stay.
    /// What was known under a MAC goes over to the alias that it is given.
    pub(super) fn open(&mut self, label: &Arc<str>, mac: Option<Mac>, first: Timestamp, now: Timestamp, limits: &Limits) -> Option<Id> {
        let renamed = mac.map(|mac| Arc::from(mac.to_string())).filter(|old| old != label);
        let renamed = renamed.and_then(|old| self.devices.find(&old)).and_then(|id| self.devices.take(id));
        let id = match self.devices.find(label) {
            Some(id) => id,
            None => self.insert(label, first, now, limits)?,
        };
        self.hear(id, first, now);
        if let Some((_, old)) = renamed {
            self.hear(id, old.memory.first, now);
            self.held = self.held.saturating_sub(old.capped());
            old.memory.contacts.into_iter().for_each(|row| self.absorb(id, row, limits));
        }
        Some(id)
    }

    /// Notes that a device whose first packet was at `first` was heard of now; whether its memory is still there.
    pub(super) fn hear(&mut self, id: Id, first: Timestamp, now: Timestamp) -> bool {
        self.devices.touch(id, now);
        let Some(Kept { memory, .. }) = self.devices.get_mut(id) else { return false };
        memory.first = memory.first.min(first);
        memory.last = memory.last.max(now);
        true
    }

    fn insert(&mut self, label: &Arc<str>, first: Timestamp, now: Timestamp, limits: &Limits) -> Option<Id> {
        // Who was here for a moment leaves before who belongs here: forged MACs must not make a phone a newcomer, whose contacts
        // would be learnt in silence.
        let may_leave = |Kept { memory, .. }: &Kept, silent: Duration| {
            let guest = memory.last.since(memory.first) < limits.device_stale;
            silent >= if guest { limits.device_stale } else { limits.device_idle }
        };
        if let Some((_, gone)) = self.devices.make_room(now, may_leave) {
            self.held = self.held.saturating_sub(gone.capped());
            self.evicted = self.evicted.saturating_add(gone.capped() as u64);
        }
        let memory = Memory { device: Arc::clone(label), first, last: now, contacts: Vec::new() };
        let inserted = self.devices.insert(Arc::clone(label), Kept { memory, index: HashTable::new(), kinds: [0; KINDS] }, now);
        if inserted.is_none() {
            self.refused = self.refused.saturating_add(1);
        }
        inserted
    }

    /// Adds a contact that was remembered elsewhere.
    fn absorb(&mut self, id: Id, row: ContactRow, limits: &Limits) {
        let Some(kept) = self.devices.get_mut(id) else { return };
        let found = kept.find(self.hasher.hash_one(&row.contact), &row.contact);
        match found.and_then(|index| kept.memory.contacts.get_mut(index as usize)) {
            Some(known) => {
                known.first = known.first.min(row.first);
                known.last = known.last.max(row.last);
                known.flows = known.flows.saturating_add(row.flows);
                known.told |= row.told;
            }
            None => {
                self.add(id, row, limits, limits.contacts_per_device); // it had its room
            }
        }
    }

    /// How many contacts of a kind a device may have now: where room is scarce, who has much leaves as much as that to others.
    fn share(&self, limits: &Limits) -> usize {
        limits.contacts_per_device.min(limits.contacts.saturating_sub(self.held))
    }

    /// Adds a contact that is not there; `false`, and counted, when there is no room: for `room` of a kind.
    fn add(&mut self, id: Id, row: ContactRow, limits: &Limits, room: usize) -> bool {
        let Some(kept) = self.devices.get_mut(id) else { return false };
        let (capped, kind) = (row.contact.is_capped(), row.contact.rank());
        let Some(own) = kept.kinds.get_mut(kind) else { return false };
        // Each kind has room of its own, so that a flood of names cannot hide a country.
        if capped && (self.held >= limits.contacts || *own >= room) {
            self.refused = self.refused.saturating_add(1);
            return false;
        }
        *own = own.saturating_add(1);
        self.held = self.held.saturating_add(usize::from(capped));
        kept.push(row, &self.hasher);
        true
    }

    /// Notes that a device was heard of: it keeps its memory.
    pub(super) fn touch(&mut self, label: &Arc<str>, now: Timestamp) {
        if let Some(id) = self.devices.find(label) {
            self.hear(id, now, now);
        }
    }

    /// Notes an encounter; `true` when it is the first with that contact and the device has been learnt.
    pub(super) fn meet(&mut self, met: &mut Met, contact: &Contact, encounter: Encounter, limits: &Limits) -> bool {
        let Some(kept) = self.devices.get_mut(met.memory) else { return false };
        let learnt = encounter.at.since(kept.memory.first) >= limits.learning;
        let found = kept.find(self.hasher.hash_one(contact), contact);
        let row = match found {
            Some(index) => Some(index),
            None => u32::try_from(kept.memory.contacts.len()).ok(),
        };
        let told = learnt && CONTACT_KINDS.contains(&contact.kind());
        match found.and_then(|index| kept.memory.contacts.get_mut(index as usize)) {
            Some(known) => {
                known.first = known.first.min(encounter.at);
                known.last = known.last.max(encounter.last);
                known.flows = known.flows.saturating_add(1);
            }
            None => {
                let row = ContactRow { contact: contact.clone(), first: encounter.at, last: encounter.last, flows: 1, told };
                if !self.add(met.memory, row, limits, self.share(limits)) {
                    return false;
                }
            }
        }
        if let (Some(row), Some(place)) = (row, met.rows.get_mut(contact.rank())) {
            *place = row;
        }
        found.is_none() && told
    }

    /// Notes an encounter with all whom another flow met before, each shown at its time; false when the memory is gone.
    pub(super) fn meet_again(&mut self, met: &Met, times: [Timestamp; KINDS], last: Timestamp) -> bool {
        let Some(Kept { memory, .. }) = self.devices.get_mut(met.memory) else { return false };
        for (row, at) in met.rows.into_iter().zip(times) {
            let Some(row) = memory.contacts.get_mut(row as usize) else { continue };
            row.first = row.first.min(at.min(last));
            row.last = row.last.max(last);
            row.flows = row.flows.saturating_add(1);
        }
        true
    }

    /// A flow that met whom it met went on until `last`; false when its device's memory is gone.
    pub(super) fn go_on(&mut self, met: &Met, last: Timestamp) -> bool {
        self.devices.touch(met.memory, last);
        let Some(Kept { memory, .. }) = self.devices.get_mut(met.memory) else { return false };
        memory.last = memory.last.max(last);
        for row in met.rows {
            if let Some(row) = memory.contacts.get_mut(row as usize) {
                row.last = row.last.max(last);
            }
        }
        true
    }

    /// A device's first packet ever, if it is remembered.
    #[must_use]
    pub(super) fn first(&self, label: &Arc<str>) -> Option<Timestamp> {
        self.devices.find(label).and_then(|id| self.devices.get(id)).map(|kept| kept.memory.first)
    }

    /// All memories, by label, their rows by contact.
    #[must_use]
    pub(super) fn rows(&self) -> Vec<Memory> {
        let mut rows: Vec<_> = self.devices.iter().map(|(_, _, kept)| kept.memory.clone()).collect();
        rows.iter_mut().for_each(|memory| memory.contacts.sort_unstable_by(|a, b| a.contact.cmp(&b.contact)));
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
}

impl Met {
    /// The memory.
    #[must_use]
    pub(super) fn memory(&self) -> Id {
        self.memory
    }

    /// Whether all of these stand in the memory.
    #[must_use]
    pub(super) fn holds(&self, contacts: &[(Contact, Spot)]) -> bool {
        contacts.iter().all(|(contact, _)| self.rows.get(contact.rank()).is_some_and(|row| *row != u32::MAX))
    }

    /// Nothing met yet, of a memory.
    #[must_use]
    pub(super) fn of(memory: Id) -> Self {
        Self { memory, rows: [u32::MAX; KINDS] }
    }
}

impl Kept {
    /// The row of a contact, by its hash and itself.
    fn find(&self, hash: u64, contact: &Contact) -> Option<u32> {
        let rows = &self.memory.contacts;
        self.index.find(hash, |&index| rows.get(index as usize).is_some_and(|row| row.contact == *contact)).copied()
    }

    /// Adds a row that is not there.
    fn push(&mut self, row: ContactRow, hasher: &RandomState) {
        let rows = &mut self.memory.contacts;
        let Ok(index) = u32::try_from(rows.len()) else { return };
        let hash = hasher.hash_one(&row.contact);
        rows.push(row);
        self.index.insert_unique(hash, index, |&index| rows.get(index as usize).map_or(0, |row| hasher.hash_one(&row.contact)));
    }

    /// Contacts that count against the cap.
    fn capped(&self) -> usize {
        self.kinds.iter().skip(1).sum()
    }
}

/// Kinds of contacts: those of [`CONTACT_KINDS`], and names.
pub(super) const KINDS: usize = CONTACT_KINDS.len() + 1;

impl Contact {
    /// Countries are bounded by the two letters of their code.
    fn is_capped(&self) -> bool {
        !matches!(self, Self::Country(_))
    }

    /// Its kind's place among [`CONTACT_KINDS`], names last.
    fn rank(&self) -> usize {
        match self {
            Self::Country(_) => 0,
            Self::Asn(_) => 1,
            Self::Domain(_) => 2,
            Self::Name(_) => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(1_600_000_000_000_000_000 + seconds * 1_000_000_000)
    }

    fn domain(name: &str) -> Contact {
        Contact::Domain(name.into())
    }

    /// Meets at one moment; whether that was told.
    fn meet(contacts: &mut Contacts, limits: &Limits, device: &str, contact: Contact, seconds: u64) -> bool {
        let Some(id) = contacts.open(&device.into(), None, at(seconds), at(seconds), limits) else { return false };
        contacts.meet(&mut Met::of(id), &contact, Encounter { at: at(seconds), last: at(seconds + 1) }, limits)
    }

    #[test]
    fn a_contact_is_told_once_and_only_after_learning() {
        let limits = Limits::default();
        let mut contacts = Contacts::new(&limits);
        let mut told = |name: &str, seconds| meet(&mut contacts, &limits, "phone", domain(name), seconds);
        assert!(!told("a.example", 0));
        assert!(!told("b.example", DAY - 1));
        assert!(told("c.example", DAY));
        assert!(!told("a.example", DAY + 1), "learnt in silence");
        assert!(!told("c.example", DAY + 2), "told already");
        let row = contacts.rows()[0].contacts[0].clone();
        assert_eq!((row.contact, row.first, row.last, row.flows), (domain("a.example"), at(0), at(DAY + 2), 2));
        let name = Contact::Name("c.example".into());
        assert!(!meet(&mut contacts, &limits, "phone", name, DAY + 3), "names are kept and not told");
    }

    #[test]
    fn without_learning_all_is_told() {
        let limits = Limits { learning: Duration::ZERO, ..Limits::default() };
        let mut contacts = Contacts::new(&limits);
        assert!(meet(&mut contacts, &limits, "phone", Contact::Asn(64_496), 0));
    }

    #[test]
    fn what_is_restored_is_known_and_its_learning_goes_on_where_it_was() {
        let limits = Limits::default();
        let mut before = Contacts::new(&limits);
        meet(&mut before, &limits, "phone", domain("a.example"), 0);
        let mut contacts = Contacts::new(&limits);
        contacts.restore(before.rows(), &limits);
        assert_eq!(contacts.rows(), before.rows());
        assert_eq!(contacts.tables(&limits), before.tables(&limits));
        assert!(!meet(&mut contacts, &limits, "phone", domain("a.example"), 2 * DAY));
        assert!(meet(&mut contacts, &limits, "phone", domain("b.example"), 2 * DAY), "its first packet was two days ago");
    }

    #[test]
    fn a_flood_of_names_hides_no_country_and_no_domain() {
        let limits = Limits { contacts_per_device: 3, contacts: 100, learning: Duration::ZERO, ..Limits::default() };
        let mut contacts = Contacts::new(&limits);
        for index in 0..50 {
            meet(&mut contacts, &limits, "phone", Contact::Name(format!("n{index}.example").into()), index);
        }
        assert_eq!((contacts.tables(&limits)[1].entries, contacts.tables(&limits)[1].refused), (3, 47));
        assert!(meet(&mut contacts, &limits, "phone", domain("a.example"), 60));
        assert!(meet(&mut contacts, &limits, "phone", Contact::parse("country", "SG").unwrap(), 61));
        assert!(!meet(&mut contacts, &limits, "phone", Contact::Name("n0.example".into()), 62));
        assert_eq!(contacts.tables(&limits)[1].refused, 47, "what is known needs no room");
    }

    #[test]
    fn past_all_room_a_newcomer_is_counted_not_told_and_countries_still_are() {
        let limits = Limits { contacts: 3, learning: Duration::ZERO, ..Limits::default() };
        let mut contacts = Contacts::new(&limits);
        assert!(meet(&mut contacts, &limits, "one", Contact::Asn(1), 0) && meet(&mut contacts, &limits, "one", Contact::Asn(2), 0));
        assert!(!meet(&mut contacts, &limits, "one", Contact::Asn(3), 0), "it leaves room for others");
        assert!(meet(&mut contacts, &limits, "two", Contact::Asn(1), 0));
        assert!(!meet(&mut contacts, &limits, "two", Contact::Asn(2), 0));
        assert!(meet(&mut contacts, &limits, "two", Contact::parse("country", "SG").unwrap(), 0));
        let row = contacts.tables(&limits)[1];
        assert_eq!((row.entries, row.limit, row.refused), (3, 3, 2));
        let mut again = Contacts::new(&limits);
        again.restore(contacts.rows(), &limits);
        assert_eq!(again.rows(), contacts.rows(), "what had its room has it again");
    }

    #[test]
    fn forged_devices_push_out_each_other_and_nobody_who_belongs_here() {
        let limits = Limits { contact_devices: 8, ..Limits::default() };
        let mut contacts = Contacts::new(&limits);
        meet(&mut contacts, &limits, "phone", domain("a.example"), 0);
        meet(&mut contacts, &limits, "phone", domain("b.example"), 7_200);
        // A day without the phone, a forged device every minute.
        for minute in 0..24 * 60 {
            meet(&mut contacts, &limits, &format!("forged{minute}"), Contact::Asn(1), 7_200 + 60 * minute);
        }
        let rows = contacts.rows();
        assert_eq!(rows.len(), 8);
        let phone = rows.iter().find(|memory| *memory.device == *"phone").expect("the phone is remembered");
        assert_eq!(phone.contacts.len(), 2);
        assert_eq!(contacts.tables(&limits)[1].entries, 9, "what left is not counted");
        let row = contacts.tables(&limits)[1];
        assert!(row.refused > 0 && row.evicted > 10, "they stay for an hour, and then make room for others: {row:?}");
        assert!(meet(&mut contacts, &limits, "phone", domain("c.example"), 2 * DAY), "it is no newcomer");
    }

    #[test]
    fn an_alias_takes_over_what_was_known_under_the_mac() {
        let limits = Limits::default();
        let mut contacts = Contacts::new(&limits);
        let mac = Mac([2, 0, 0, 0, 0, 1]);
        meet(&mut contacts, &limits, &mac.to_string(), domain("a.example"), 0);
        let id = contacts.open(&"Mi 10T".into(), Some(mac), at(DAY), at(DAY), &limits).unwrap();
        let encounter = Encounter { at: at(DAY), last: at(DAY) };
        assert!(!contacts.meet(&mut Met::of(id), &domain("a.example"), encounter, &limits));
        assert!(contacts.meet(&mut Met::of(id), &domain("b.example"), encounter, &limits), "it has been learnt");
        assert_eq!(contacts.rows().len(), 1);
        assert_eq!((&*contacts.rows()[0].device, contacts.rows()[0].first), ("Mi 10T", at(0)));
        // Another MAC of the same device.
        let other = Mac([2, 0, 0, 0, 0, 2]);
        for name in ["a.example", "z.example"] {
            meet(&mut contacts, &limits, &other.to_string(), domain(name), DAY);
        }
        let id = contacts.open(&"Mi 10T".into(), Some(other), at(DAY), at(DAY), &limits).unwrap();
        assert!(!contacts.meet(&mut Met::of(id), &domain("z.example"), encounter, &limits));
        assert_eq!((contacts.rows().len(), contacts.rows()[0].contacts.len(), contacts.tables(&limits)[1].entries), (1, 3, 3));
    }

    #[test]
    fn a_contact_is_the_same_after_being_written_and_read() {
        for contact in [Contact::parse("country", "SG").unwrap(), Contact::Asn(64_496), domain("example.org"), Contact::Name("x".into())] {
            assert_eq!(Contact::parse(contact.kind(), &contact.value()), Some(contact));
        }
        for (kind, value) in [("asn", "64496"), ("asn", "ASx"), ("country", "Singapore"), ("city", "Vilnius")] {
            assert_eq!(Contact::parse(kind, value), None);
        }
    }
}
