//! What one device sent where: exact totals, its countries, its destinations.
//!
//! Road taken: one ledger inside each device, whose rows never leave while the device stays: a row that left would make a sum
//! fall, and folding it into `other` would make `other` jump. Past the cap, newcomers begin in `other`. Road not taken: one
//! table for all devices with eviction; it cannot keep counters monotone and sums equal at once.

use std::sync::Arc;

use ahash::RandomState;
use hashbrown::HashTable;

use crate::engine::service::Service;
use crate::engine::snapshot::{Both, CLASSES, CONTACT_KINDS, Class, Origin, PROTOCOLS, Place, Tally, VERDICTS, Verdict};
use crate::engine::timeline::{Recent, Timeline};
use crate::engine::watchlist::{CATEGORIES, Category};
use crate::engine::witness::Location;
use crate::packet::Timestamp;

/// The tallies of one device.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Everything.
    pub(super) total: Both,
    /// The last hour of that.
    pub(super) recent: Recent,
    /// By country: bounded by the number of countries.
    pub(super) countries: Vec<(Place, Both)>,
    /// By destination; the first [`Ledger::named`] of them count against the cap, `other` rows (one for each place) do not.
    pub(super) accounts: Vec<Account>,
    /// By what is known of the destination: adds up to what the accounts hold.
    pub(super) classes: [Both; CLASSES.len()],
    /// Bytes, both directions, by whether the location holds: adds up to what the classes outside hold.
    pub(super) verdicts: [u64; VERDICTS.len()],
    /// Bytes, both directions, by what their destination is for, [`Category::Unclassified`] where nobody says: adds up to the same.
    pub(super) services: [u64; CATEGORIES],
    /// Bytes, both directions, with servers whose country the databases disagree on.
    pub(super) disputed: u64,
    /// Flows begun, by protocol.
    pub(super) flows: [u64; PROTOCOLS.len()],
    /// Flows to what a watchlist carries, by list and category: bounded by the lists given times a closed set.
    pub(super) sightings: Vec<(Arc<str>, Category, u64)>,
    /// First contacts told, by kind.
    pub(super) first_contacts: [u64; CONTACT_KINDS.len()],
    named: usize,
    /// The accounts of what stays on our side and of what goes to groups, which a third of all flows are with.
    inside: [Option<u32>; 2],
    /// The accounts by destination: whoever has a thousand could make every packet walk past them.
    index: HashTable<u32>,
    hasher: RandomState,
}

/// The traffic of one device with one destination.
#[derive(Debug)]
pub(super) struct Account {
    /// Which.
    pub(super) destination: Destination,
    /// The organisation of its AS.
    pub(super) organisation: Option<Arc<str>>,
    /// Bytes, both directions, by whether the location holds.
    pub(super) verdicts: [u64; VERDICTS.len()],
    /// What it is for, as far as lists and ports say, and bytes, both directions: one for each category, and one more for its
    /// ambiguous hosts.
    pub(super) services: Vec<(Service, u64)>,
    /// The server whose location the witnesses contradict most; while they contradict none, the first.
    pub(super) location: Option<Arc<Location>>,
    /// How much they contradict it.
    pub(super) against: u8,
    /// Some of its servers are announced from many places.
    pub(super) anycast: bool,
    /// Flows that went there.
    pub(super) flows: u64,
    /// First packet.
    pub(super) first: Timestamp,
    /// Last packet.
    pub(super) last: Timestamp,
    /// How much.
    pub(super) total: Both,
    /// The same, both directions, by time.
    pub(super) timeline: Timeline,
    /// The packet that first named it.
    pub(super) named: Option<(u64, Timestamp)>,
}

/// What is known of bytes that are given to an account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks<'a> {
    /// What is known of their destination.
    pub(super) class: Class,
    /// Whether its location holds; none on our side, which has no services either.
    pub(super) verdict: Option<Verdict>,
    /// What it is for.
    pub(super) service: Option<&'a Service>,
    /// The databases disagree on its country.
    pub(super) disputed: bool,
}

/// A destination as an account knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Destination {
    /// Its AS.
    pub(super) asn: Option<u32>,
    /// Where it is.
    pub(super) place: Place,
    /// What named it.
    pub(super) origin: Origin,
    /// The label.
    pub(super) label: Arc<str>,
}

impl Destination {
    /// The account of what found no room, in one place.
    #[must_use]
    pub(super) fn other(place: Place) -> Self {
        Self { label: Arc::from("other"), origin: Origin::None, place, asn: None }
    }

    /// Traffic that stays on our side, or goes to a group.
    #[must_use]
    pub(super) fn inside(place: Place) -> Self {
        Self { label: Arc::from(place.as_str()), origin: Origin::None, place, asn: None }
    }
}

impl Ledger {
    /// Accounts that count against the cap.
    #[must_use]
    pub(super) fn named(&self) -> usize {
        self.named
    }

    /// Opens the account of a destination, or finds it. `room` says whether a new one may be opened; if not, it is `other`'s.
    /// Whether it is the destination's own comes with it.
    pub(super) fn open(&mut self, destination: Destination, room: bool, now: Timestamp) -> (u32, bool) {
        if let Some(index) = self.find(&destination) {
            return (index, true);
        }
        let destination = if room {
            self.named = self.named.saturating_add(1);
            destination
        } else {
            let other = Destination::other(destination.place);
            if let Some(index) = self.find(&other) {
                return (index, false);
            }
            other
        };
        let index = u32::try_from(self.accounts.len()).unwrap_or(u32::MAX);
        let (accounts, hasher) = (&self.accounts, &self.hasher);
        let hash_of = |&index: &u32| accounts.get(index as usize).map_or(0, |account| hasher.hash_one(&account.destination));
        self.index.insert_unique(hasher.hash_one(&destination), index, hash_of);
        self.accounts.push(Account {
            destination,
            organisation: None,
            verdicts: [0; VERDICTS.len()],
            services: Vec::new(),
            location: None,
            against: 0,
            anycast: false,
            flows: 0,
            first: now,
            last: now,
            total: Both::default(),
            timeline: Timeline::default(),
            named: None,
        });
        (index, room)
    }

    /// As [`Ledger::open`], of traffic that stays on our side or goes to a group.
    pub(super) fn open_inside(&mut self, place: Place, room: bool, now: Timestamp) -> (u32, bool) {
        let slot = usize::from(place == Place::Multicast);
        if let Some(Some(known)) = self.inside.get(slot) {
            return (*known, true);
        }
        let (index, own) = self.open(Destination::inside(place), room, now);
        if let Some(known) = self.inside.get_mut(slot).filter(|_| own) {
            *known = Some(index);
        }
        (index, own)
    }

    /// Adds to the device's total and to a country's.
    pub(super) fn charge(&mut self, place: Place, some: Both, now: Timestamp) {
        self.total.add(some);
        self.recent.note(now, some.bytes());
        match self.countries.iter_mut().find(|(other, _)| *other == place) {
            Some((_, total)) => total.add(some),
            None => self.countries.push((place, some)),
        }
    }

    /// Adds to an account and to a class; outside also to the verdict on the location and to what the destination is for.
    pub(super) fn give(&mut self, account: u32, marks: Marks<'_>, some: Both, now: Timestamp) {
        let Some(account) = self.accounts.get_mut(account as usize) else { return };
        account.total.add(some);
        account.timeline.note(now, some.bytes());
        account.last = account.last.max(now);
        if let Some(total) = self.classes.get_mut(marks.class as usize) {
            total.add(some);
        }
        let Some(verdict) = marks.verdict else { return };
        let bytes = some.bytes();
        let category = marks.service.and_then(Service::counted).unwrap_or_default();
        let totals =
            [account.verdicts.get_mut(verdict as usize), self.verdicts.get_mut(verdict as usize), self.services.get_mut(category as usize)];
        for total in totals.into_iter().flatten() {
            *total = total.saturating_add(bytes);
        }
        if marks.disputed {
            self.disputed = self.disputed.saturating_add(bytes);
        }
        if let Some(service) = marks.service {
            account.serves(service, bytes);
        }
    }

    /// Counts a flow to what a watchlist carries.
    pub(super) fn sighted(&mut self, ruleset: &Arc<str>, category: Category) {
        match self.sightings.iter_mut().find(|(list, other, _)| list == ruleset && *other == category) {
            Some((.., count)) => *count = count.saturating_add(1),
            None => self.sightings.push((Arc::clone(ruleset), category, 1)),
        }
    }

    fn find(&self, destination: &Destination) -> Option<u32> {
        let is_it = |&index: &u32| self.accounts.get(index as usize).is_some_and(|account| account.destination == *destination);
        self.index.find(self.hasher.hash_one(destination), is_it).copied()
    }
}

impl Account {
    fn serves(&mut self, service: &Service, bytes: u64) {
        let same = |other: &Service| (other.category, other.ambiguous) == (service.category, service.ambiguous);
        match self.services.iter_mut().find(|(other, _)| same(other)) {
            Some((_, total)) => *total = total.saturating_add(bytes),
            None => self.services.push((service.clone(), bytes)),
        }
    }
}

impl Both {
    /// Adds another.
    pub(super) fn add(&mut self, other: Self) {
        self.transmit.add(other.transmit);
        self.receive.add(other.receive);
    }

    /// Bytes of both.
    #[must_use]
    pub(super) fn bytes(&self) -> u64 {
        self.transmit.bytes.saturating_add(self.receive.bytes)
    }
}

impl Tally {
    /// Adds another.
    pub(super) fn add(&mut self, other: Self) {
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    /// What came on top of an earlier state.
    #[must_use]
    pub(super) fn since(self, earlier: Self) -> Self {
        Self { packets: self.packets.saturating_sub(earlier.packets), bytes: self.bytes.saturating_sub(earlier.bytes) }
    }
}
