//! Names from DNS answers, by the device that asked and the address that it was told.
//!
//! The key has the device in it: one phone's question never names another phone's flow (as a table by address alone would;
//! the idea is DN-Hunter's, Bermudez et al., IMC 2012). An answer is used for its lifetime, and at least for
//! [`Limits::name_life`](crate::engine::limits::Limits), since applications keep answers longer than their TTL.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;

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
    table: Table<(Id, IpAddr), ArrayVec<Candidate, CANDIDATES>>,
}

/// What an answer says of an address.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The name that was asked for.
    pub(super) title: Arc<Title>,
    /// The place that an alias of it claims.
    pub(super) region: Option<Region>,
    /// Its lifetime as answered.
    pub(super) ttl: Duration,
    /// The packet that held the answer, and its own time.
    pub(super) by: (u64, Timestamp),
}

/// A name that an address was given for.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// The latest answer with it.
    pub(super) answer: Answer,
    /// When that came.
    pub(super) seen: Timestamp,
    /// How long it is used.
    pub(super) life: Duration,
}

impl NameTable {
    /// An empty table.
    #[must_use]
    pub(super) fn new(limits: &Limits) -> Self {
        Self { table: Table::new("names", limits.names) }
    }

    /// Notes what `device` was told of `address`.
    pub(super) fn learn(&mut self, device: Id, address: IpAddr, answer: Answer, now: Timestamp, limits: &Limits) {
        if !answer.title.is_host {
            return; // no name to tell
        }
        let life = answer.ttl.max(limits.name_life);
        let candidate = Candidate { answer, seen: now, life };
        let key = (device, address.to_canonical());
        if let Some(id) = self.table.find(&key) {
            self.table.touch(id, now);
            if let Some(known) = self.table.get_mut(id) {
                known.retain(|other| other.answer.title.name != candidate.answer.title.name);
                if known.is_full() {
                    known.remove(0);
                }
                known.push(candidate);
            }
            return;
        }
        self.table.make_room(now, |_, silent| silent >= limits.stale);
        let mut first = ArrayVec::new();
        first.push(candidate);
        self.table.insert(key, first, now);
    }

    /// The names that `device` knows `address` by, the latest first.
    pub(super) fn of(&self, device: Id, address: IpAddr, now: Timestamp) -> impl Iterator<Item = &Candidate> {
        let known = self.table.find(&(device, address.to_canonical())).and_then(|id| self.table.get(id));
        known.into_iter().flatten().rev().filter(move |candidate| now.since(candidate.seen) <= candidate.life)
    }

    /// The latest name that `device` knows `address` by, and how many it may be: those whose lifetime runs, else all that are still used.
    pub(super) fn best(&self, device: Id, address: IpAddr, now: Timestamp) -> (Option<&Candidate>, usize) {
        let fresh = || self.of(device, address, now).filter(|candidate| candidate.is_fresh(now));
        match fresh().next() {
            Some(latest) => (Some(latest), fresh().count()),
            None => (self.of(device, address, now).next(), self.of(device, address, now).count()),
        }
    }

    /// The names that [`NameTable::best`] counts.
    pub(super) fn fitting(&self, device: Id, address: IpAddr, now: Timestamp) -> impl Iterator<Item = &Candidate> {
        let fresh = self.best(device, address, now).0.is_some_and(|latest| latest.is_fresh(now));
        self.of(device, address, now).filter(move |candidate| !fresh || candidate.is_fresh(now))
    }

    /// Lets a name go whose time is over; whether one went.
    pub(super) fn expire(&mut self, now: Timestamp) -> bool {
        let is_over = |known: &ArrayVec<Candidate, CANDIDATES>, _| known.iter().all(|candidate| now.since(candidate.seen) > candidate.life);
        self.table.pop_stale(now, Duration::from_mins(1), is_over).is_some()
    }

    /// Its state, for the metrics.
    #[must_use]
    pub(super) fn row(&self) -> TableRow {
        self.table.row()
    }
}

impl Candidate {
    /// Whether its lifetime as answered still runs.
    fn is_fresh(&self, now: Timestamp) -> bool {
        now.since(self.seen) <= self.answer.ttl
    }
}
