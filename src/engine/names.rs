//! Names from DNS answers, by the device that asked and the address that it was told.
//!
//! The key has the device in it: one phone's question never names another phone's flow (as a table by address alone would;
//! the idea is DN-Hunter's, Bermudez et al., IMC 2012). An answer is used for its lifetime, and at least for
//! [`Limits::name_life`](crate::engine::limits::Limits), since applications keep answers longer than their TTL.
//!
//! A device that asks for ever new names fills its own share of the table, and then pushes out its own.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::limits::Limits;
use crate::engine::region::Region;
use crate::engine::snapshot::TableRow;
use crate::engine::table::{Id, Table};
use crate::engine::title::Title;
use crate::packet::Timestamp;

/// Names kept for one (device, address): a content network's address serves many.
const CANDIDATES: usize = 4;

/// (device, address) → the names that were answered with it.
#[derive(Debug)]
pub(super) struct NameTable {
    table: Table<(Id, IpAddr), Known>,
    /// How many of them each device has.
    shares: Table<Id, usize>,
    /// How long an answer is used at least.
    life: Duration,
}

/// The names of one address.
#[derive(Debug)]
struct Known {
    device: Id,
    latest: Answer,
    /// Those before, the oldest first. Apart, since nearly all addresses have one name, and tens of thousands of entries are written
    /// and read from memory that no cache holds.
    earlier: Vec<Answer>,
}

/// What an answer says of an address: 48 bytes.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The name that was asked for.
    pub(super) title: Arc<Title>,
    /// The place that an alias of it claims.
    pub(super) region: Option<Box<Region>>,
    /// Its lifetime as answered, seconds.
    pub(super) ttl: u32,
    /// The packet that held the answer, and its own time.
    pub(super) by: (u64, Timestamp),
    /// When that came.
    pub(super) seen: Timestamp,
    /// How much earlier the first one came of those that told the same, each before the time of the last was over: milliseconds, rounded up.
    pub(super) known_for: u32,
}

impl NameTable {
    /// An empty table.
    #[must_use]
    pub(super) fn new(limits: &Limits) -> Self {
        let shares = Table::new("name_shares", limits.names);
        Self { table: Table::new("names", limits.names), shares, life: limits.name_life }
    }

    /// Notes what `device` was told of `address`.
    pub(super) fn learn(&mut self, device: Id, address: IpAddr, answer: Answer, limits: &Limits) {
        if !answer.title.is_host {
            return; // no name to tell
        }
        let (key, now) = ((device, address.to_canonical()), answer.seen);
        if let Some(id) = self.table.find(&key) {
            self.table.touch(id, now);
            if let Some(known) = self.table.get_mut(id) {
                known.take_in(answer, self.life);
            }
            return;
        }
        if self.share(device) >= limits.names_per_device {
            let own = |known: &Known, silent| known.device == device && silent >= limits.stale;
            match self.table.pop_stale(now, Duration::ZERO, own) {
                Some((key, _)) => self.left(key.0),
                None => return self.table.refuse(),
            }
        }
        if let Some((key, _)) = self.table.make_room(now, |_, silent| silent >= limits.stale) {
            self.left(key.0);
        }
        if self.table.insert(key, Known { device, latest: answer, earlier: Vec::new() }, now).is_some() {
            self.came(device, now);
        }
    }

    /// How many addresses a device knows by name.
    fn share(&self, device: Id) -> usize {
        self.shares.find(&device).and_then(|id| self.shares.get(id)).copied().unwrap_or_default()
    }

    fn came(&mut self, device: Id, now: Timestamp) {
        match self.shares.find(&device).and_then(|id| self.shares.get_mut(id)) {
            Some(share) => *share = share.saturating_add(1),
            // One name at least for each share: there is room.
            None => drop(self.shares.insert(device, 1, now)),
        }
    }

    fn left(&mut self, device: Id) {
        let Some(id) = self.shares.find(&device) else { return };
        match self.shares.get_mut(id) {
            Some(share @ 2..) => *share = share.saturating_sub(1),
            _ => drop(self.shares.take(id)),
        }
    }

    /// The names that `device` knew `address` by at a time, the latest first.
    pub(super) fn of(&self, device: Id, address: IpAddr, then: Timestamp) -> impl DoubleEndedIterator<Item = &Answer> + Clone {
        let known = self.known(device, address);
        known.into_iter().flat_map(Known::names).filter(move |answer| answer.since() <= then && answer.is_used(then, self.life))
    }

    /// Whether `device` was told a name of `address`, as far as is remembered: of an address with many names it may have been.
    #[must_use]
    pub(super) fn may_know(&self, device: Id, address: IpAddr, name: &str) -> bool {
        self.known(device, address).is_some_and(|known| known.is_full() || known.names().any(|answer| *answer.title.name == *name))
    }

    fn known(&self, device: Id, address: IpAddr) -> Option<&Known> {
        self.table.find(&(device, address.to_canonical())).and_then(|id| self.table.get(id))
    }

    /// The latest name that `device` knew `address` by, and how many it may be: those whose lifetime runs, else all that are still used.
    pub(super) fn best(&self, device: Id, address: IpAddr, then: Timestamp) -> (Option<&Answer>, usize) {
        let used = self.of(device, address, then);
        let fresh = used.clone().filter(|answer| answer.is_fresh(then));
        match fresh.clone().next() {
            Some(latest) => (Some(latest), fresh.count()),
            None => (used.clone().next(), used.count()),
        }
    }

    /// The names that [`NameTable::best`] counts.
    pub(super) fn fitting(&self, device: Id, address: IpAddr, then: Timestamp) -> impl Iterator<Item = &Answer> {
        let fresh = self.best(device, address, then).0.is_some_and(|latest| latest.is_fresh(then));
        self.of(device, address, then).filter(move |answer| !fresh || answer.is_fresh(then))
    }

    /// Lets a name go whose time is over; whether one went.
    pub(super) fn expire(&mut self, now: Timestamp) -> bool {
        let life = self.life;
        let over = |known: &Known, _| known.names().all(|answer| !answer.is_used(now, life));
        let gone = self.table.pop_stale(now, Duration::from_mins(1), over);
        if let Some((key, _)) = &gone {
            self.left(key.0);
        }
        gone.is_some()
    }

    /// Its state, for the metrics.
    #[must_use]
    pub(super) fn row(&self) -> TableRow {
        self.table.row()
    }
}

impl Known {
    /// All of them, the latest first.
    fn names(&self) -> impl DoubleEndedIterator<Item = &Answer> + Clone {
        std::iter::once(&self.latest).chain(self.earlier.iter().rev())
    }

    /// Whether there may have been more.
    fn is_full(&self) -> bool {
        self.earlier.len() + 1 >= CANDIDATES
    }

    fn take_in(&mut self, mut answer: Answer, life: Duration) {
        let same = |known: &&Answer| known.title.name == answer.title.name && known.is_used(answer.seen, life);
        if let Some(known) = self.names().find(same) {
            let known_for = answer.seen.since(known.since()).as_nanos().div_ceil(1_000_000);
            answer.known_for = u32::try_from(known_for).unwrap_or(u32::MAX);
        }
        let before = std::mem::replace(&mut self.latest, answer);
        if before.title.name == self.latest.title.name {
            return;
        }
        self.earlier.retain(|other| other.title.name != self.latest.title.name);
        if self.is_full() {
            self.earlier.remove(0);
        }
        self.earlier.push(before);
    }
}

impl Answer {
    /// Since when its device has known it.
    fn since(&self) -> Timestamp {
        Timestamp::from_nanos(self.seen.as_nanos().saturating_sub(u64::from(self.known_for).saturating_mul(1_000_000)))
    }

    /// Its lifetime as answered.
    pub(super) fn ttl(&self) -> Duration {
        Duration::from_secs(u64::from(self.ttl))
    }

    /// Whether its lifetime as answered still runs.
    fn is_fresh(&self, now: Timestamp) -> bool {
        now.since(self.seen) <= self.ttl()
    }

    /// Whether it is used: for its lifetime, and at least for `life`.
    fn is_used(&self, now: Timestamp, life: Duration) -> bool {
        now.since(self.seen) <= self.ttl().max(life)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn ids(count: usize) -> Vec<Id> {
        let mut devices = Table::new("devices", count);
        (0..count).filter_map(|device| devices.insert(device, (), Timestamp::default())).collect()
    }

    fn answer(name: &str, seen: Timestamp) -> Answer {
        let title = Title { name: name.into(), domain: None, region: None, hidden: None, is_host: true };
        Answer { title: Arc::new(title), region: None, ttl: 0, by: (1, seen), seen, known_for: 0 }
    }

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn a_device_that_asks_without_end_fills_its_share_and_no_other() {
        let limits = Limits { names: 100, names_per_device: 10, name_life: Duration::from_mins(5), ..Limits::default() };
        let [flooder, honest] = ids(2)[..] else { panic!() };
        let mut names = NameTable::new(&limits);
        let second = |number: u32| Timestamp::default().plus(Duration::from_secs(u64::from(number)));
        let held = |names: &NameTable| (names.table.len(), names.share(flooder), names.share(honest));
        for number in 0..25 {
            names.learn(flooder, address(number), answer("flood.example", second(0)), &limits);
        }
        assert_eq!(held(&names), (10, 10, 0));
        assert_eq!(names.row().refused, 15);
        names.learn(honest, address(7), answer("www.example.com", second(1)), &limits);
        assert_eq!(names.of(honest, address(7), second(1)).count(), 1);
        assert_eq!(held(&names), (11, 10, 1));
        // Its own go for its own, once they are silent.
        names.learn(flooder, address(50), answer("flood.example", second(40)), &limits);
        assert_eq!(names.of(flooder, address(50), second(40)).count(), 1);
        assert_eq!(held(&names), (11, 10, 1));
        // What is over is given back, to the last.
        assert_eq!((0..20).filter(|number| names.expire(second(1_000 + number * 100))).count(), 11);
        assert_eq!(held(&names), (0, 0, 0));
        assert_eq!(names.shares.len(), 0);
    }
}
