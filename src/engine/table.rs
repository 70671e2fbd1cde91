//! The only map in the crate: it cannot outgrow its capacity, and ids of entries that left find nothing.
//!
//! Road taken: slots in one vector, a keyed hash index over them (keys are chosen by the devices under suspicion), and a
//! queue in the order of filing. A packet only notes the time in its slot; the queue's head is looked at once per packet and
//! filed again if it turns out to be alive, so keeping order costs nothing per packet. The queue's links lie by themselves: filing a
//! living entry again, which tens of thousands of flows ask for every half minute, then meets 16 bytes of its neighbours and not
//! their slots. Road not taken: exact LRU, which relinks three entries on each packet.

use std::hash::Hash;
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashTable;

use crate::engine::snapshot::TableRow;
use crate::packet::Timestamp;

/// Names an entry; after the entry has left, it finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id {
    index: u32,
    generation: u32,
}

/// A map with a capacity.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    name: &'static str,
    limit: usize,
    hasher: RandomState,
    index: HashTable<u32>,
    slots: Vec<Slot<K, V>>,
    /// The queue, by slot.
    turns: Vec<Turn>,
    free: Vec<u32>,
    head: u32,
    tail: u32,
    evicted: u64,
    refused: u64,
}

/// In this order, so that what each packet asks of it is its first bytes.
#[derive(Debug)]
#[repr(C)]
struct Slot<K, V> {
    generation: u32,
    last: Timestamp,
    entry: Option<Entry<K, V>>,
}

#[derive(Debug)]
#[repr(C)]
struct Entry<K, V> {
    key: K,
    value: V,
}

/// Where a slot stands in the queue.
#[derive(Clone, Copy, Debug)]
struct Turn {
    filed: Timestamp,
    next: u32,
    previous: u32,
}

const NONE: u32 = u32::MAX;
/// The index has room for so many from the start: what it would grow by, it would hash all keys for.
const READY: usize = 65_536;
/// Entries looked at to make room for one: a bound on the work that one packet can cause.
const PROBES: usize = 8;

impl<K: Hash + Eq + Clone, V> Table<K, V> {
    /// An empty table of at most `limit` entries; `name` is its label in metrics.
    #[must_use]
    pub(super) fn new(name: &'static str, limit: usize) -> Self {
        Self {
            name,
            limit: limit.min(NONE as usize - 1),
            hasher: RandomState::new(),
            index: HashTable::with_capacity(limit.min(READY)),
            slots: Vec::new(),
            turns: Vec::new(),
            free: Vec::new(),
            head: NONE,
            tail: NONE,
            evicted: 0,
            refused: 0,
        }
    }

    /// Finds an entry by its key.
    #[inline]
    #[must_use]
    pub(super) fn find(&self, key: &K) -> Option<Id> {
        let hash = self.hasher.hash_one(key);
        let slots = &self.slots;
        let index = *self.index.find(hash, |&index| slot_key(slots, index) == Some(key))?;
        let generation = self.slots.get(index as usize)?.generation;
        Some(Id { index, generation })
    }

    /// The value of the entry under a key, to change it, with what names it; noted as in use at `now` if it `is` what is looked for.
    #[inline]
    pub(super) fn seek(&mut self, key: &K, now: Timestamp, is: impl FnOnce(&V) -> bool) -> Option<(Id, &mut V)> {
        let hash = self.hasher.hash_one(key);
        let slots = &self.slots;
        let index = *self.index.find(hash, |&index| slot_key(slots, index) == Some(key))?;
        let slot = self.slots.get_mut(index as usize)?;
        let entry = slot.entry.as_mut().filter(|entry| is(&entry.value))?;
        slot.last = slot.last.max(now);
        Some((Id { index, generation: slot.generation }, &mut entry.value))
    }

    /// The value of an entry, if it is still there.
    #[inline]
    #[must_use]
    pub(super) fn get(&self, id: Id) -> Option<&V> {
        let slot = self.slots.get(id.index as usize).filter(|slot| slot.generation == id.generation)?;
        slot.entry.as_ref().map(|entry| &entry.value)
    }

    /// The value of an entry, to change it.
    #[inline]
    #[must_use]
    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut V> {
        let slot = self.slots.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation)?;
        slot.entry.as_mut().map(|entry| &mut entry.value)
    }

    /// Notes that an entry was in use.
    #[inline]
    pub(super) fn touch(&mut self, id: Id, now: Timestamp) {
        if let Some(slot) = self.slots.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation) {
            slot.last = slot.last.max(now);
        }
    }

    /// Notes that all entries were there at `now`, as far as anybody knows.
    pub(super) fn touch_all(&mut self, now: Timestamp) {
        for slot in &mut self.slots {
            slot.last = now;
        }
    }

    /// Adds an entry under a key that is not there; `None`, and counted, when the table is full.
    pub(super) fn insert(&mut self, key: K, value: V, now: Timestamp) -> Option<Id> {
        if self.is_full() {
            self.refused = self.refused.saturating_add(1);
            return None;
        }
        let hash = self.hasher.hash_one(&key);
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(Slot { generation: 0, last: now, entry: None });
                self.turns.push(Turn { filed: now, next: NONE, previous: NONE });
                index
            }
        };
        let slot = self.slots.get_mut(index as usize)?;
        slot.last = now;
        slot.entry = Some(Entry { key, value });
        let generation = slot.generation;
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, index, |&index| slot_key(slots, index).map_or(0, |key| hasher.hash_one(key)));
        self.link(index, now);
        Some(Id { index, generation })
    }

    /// Counts a newcomer that found no room for another reason than the table's.
    pub(super) fn refuse(&mut self) {
        self.refused = self.refused.saturating_add(1);
    }

    /// Makes room when the table is full: the stalest of the first few in the queue that `may_leave`, given its value and how long it was silent.
    pub(super) fn make_room(&mut self, now: Timestamp, may_leave: impl Fn(&V, Duration) -> bool) -> Option<(K, V)> {
        if !self.is_full() {
            return None;
        }
        for _ in 0..PROBES {
            match self.look(now, Duration::ZERO, &may_leave) {
                Look::Left(entry) => return Some(entry),
                Look::Stays => {}
                Look::TooSoon => break,
            }
        }
        None
    }

    /// Takes out the first in the queue that `may_leave`. An entry that stays is looked at again after `recheck`.
    pub(super) fn pop_stale(&mut self, now: Timestamp, recheck: Duration, may_leave: impl Fn(&V, Duration) -> bool) -> Option<(K, V)> {
        for _ in 0..PROBES {
            match self.look(now, recheck, &may_leave) {
                Look::Left(entry) => return Some(entry),
                Look::Stays => {}
                Look::TooSoon => break,
            }
        }
        None
    }

    /// Takes out all entries, the oldest first, and gives back the table's memory: nothing may be filed under an old id any more.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (K, V)> + use<K, V> {
        let (mut slots, turns) = (std::mem::take(&mut self.slots), std::mem::take(&mut self.turns));
        (self.index, self.free) = (HashTable::new(), Vec::new());
        let mut next = std::mem::replace(&mut self.head, NONE);
        self.tail = NONE;
        std::iter::from_fn(move || {
            let index = next as usize;
            next = turns.get(index)?.next;
            slots.get_mut(index)?.entry.take().map(|entry| (entry.key, entry.value))
        })
    }

    /// Takes out an entry.
    pub(super) fn take(&mut self, id: Id) -> Option<(K, V)> {
        self.get(id)?;
        self.remove(id.index)
    }

    /// Every entry, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Id, &K, &V)> {
        self.slots.iter().zip(0_u32..).filter_map(|(slot, index)| {
            let Entry { key, value } = slot.entry.as_ref()?;
            Some((Id { index, generation: slot.generation }, key, value))
        })
    }

    /// Every entry, its value to change.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.slots.iter_mut().filter_map(|slot| slot.entry.as_mut().map(|entry| (&entry.key, &mut entry.value)))
    }

    /// How many entries there are.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Its state, for the metrics.
    #[must_use]
    pub(super) fn row(&self) -> TableRow {
        TableRow { table: self.name, entries: self.len() as u64, limit: self.limit as u64, evicted: self.evicted, refused: self.refused }
    }

    fn is_full(&self) -> bool {
        self.index.len() >= self.limit
    }

    fn look(&mut self, now: Timestamp, recheck: Duration, may_leave: &impl Fn(&V, Duration) -> bool) -> Look<(K, V)> {
        let index = self.head;
        let Some(turn) = self.turns.get_mut(index as usize) else { return Look::TooSoon };
        let Some(slot) = self.slots.get_mut(index as usize) else { return Look::TooSoon };
        // Time went back: an entry from the future would keep all others waiting.
        turn.filed = turn.filed.min(now);
        slot.last = slot.last.min(now);
        if now.since(turn.filed) < recheck {
            return Look::TooSoon;
        }
        let leaves = slot.entry.as_ref().is_some_and(|entry| may_leave(&entry.value, now.since(slot.last)));
        if !leaves {
            self.unlink(index);
            self.link(index, now);
            return Look::Stays;
        }
        self.evicted = self.evicted.saturating_add(1);
        self.remove(index).map_or(Look::TooSoon, Look::Left)
    }

    fn remove(&mut self, index: u32) -> Option<(K, V)> {
        let hash = self.hasher.hash_one(slot_key(&self.slots, index)?);
        if let Ok(found) = self.index.find_entry(hash, |&other| other == index) {
            found.remove();
        }
        self.unlink(index);
        self.free.push(index);
        let slot = self.slots.get_mut(index as usize)?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.entry.take().map(|entry| (entry.key, entry.value))
    }

    fn link(&mut self, index: u32, filed: Timestamp) {
        let tail = self.tail;
        if let Some(turn) = self.turns.get_mut(index as usize) {
            *turn = Turn { filed, next: NONE, previous: tail };
        }
        match self.turns.get_mut(tail as usize) {
            Some(last) => last.next = index,
            None => self.head = index,
        }
        self.tail = index;
    }

    fn unlink(&mut self, index: u32) {
        let Some(&Turn { previous, next, .. }) = self.turns.get(index as usize) else { return };
        match self.turns.get_mut(previous as usize) {
            Some(turn) => turn.next = next,
            None => self.head = next,
        }
        match self.turns.get_mut(next as usize) {
            Some(turn) => turn.previous = previous,
            None => self.tail = previous,
        }
    }
}

enum Look<E> {
    Left(E),
    Stays,
    TooSoon,
}

fn slot_key<K, V>(slots: &[Slot<K, V>], index: u32) -> Option<&K> {
    slots.get(index as usize)?.entry.as_ref().map(|entry| &entry.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_full_table_refuses_newcomers_while_its_entries_live() {
        let mut table = Table::new("t", 2);
        assert!(table.insert(1, 'a', at(0)).is_some());
        assert!(table.insert(2, 'b', at(0)).is_some());
        assert!(table.make_room(at(5), |_, silent| silent >= Duration::from_secs(10)).is_none());
        assert!(table.insert(3, 'c', at(5)).is_none());
        assert_eq!((table.len(), table.row().refused), (2, 1));
    }

    #[test]
    fn the_silent_leave_and_the_living_stay() {
        let mut table = Table::new("t", 2);
        let one = table.insert(1, 'a', at(0)).unwrap();
        table.insert(2, 'b', at(1)).unwrap();
        table.touch(one, at(20));
        assert_eq!(table.make_room(at(21), |_, silent| silent >= Duration::from_secs(10)), Some((2, 'b')));
        assert_eq!(table.get(one), Some(&'a'));
        assert_eq!(table.find(&2), None);
    }

    #[test]
    fn an_id_of_an_entry_that_left_finds_nothing() {
        let mut table = Table::new("t", 1);
        let one = table.insert(1, 'a', at(0)).unwrap();
        assert_eq!(table.take(one), Some((1, 'a')));
        let two = table.insert(2, 'b', at(0)).unwrap();
        assert_eq!(table.get(one), None);
        assert_eq!(table.get(two), Some(&'b'));
    }

    #[test]
    fn the_queue_survives_any_order_of_leaving() {
        let mut table = Table::new("t", 64);
        let ids: Vec<Id> = (0..64).map(|key| table.insert(key, key, at(0)).unwrap()).collect();
        for id in ids.iter().skip(1).step_by(2) {
            table.take(*id).unwrap();
        }
        let mut left = Vec::new();
        while let Some((key, _)) = table.pop_stale(at(100), Duration::from_secs(1), |_, _| true) {
            left.push(key);
        }
        assert_eq!(left, (0..64).step_by(2).collect::<Vec<_>>());
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn all_leave_at_once_in_the_order_of_filing() {
        let mut table = Table::new("t", 4);
        let ids: Vec<Id> = (0..4).map(|key| table.insert(key, key, at(0)).unwrap()).collect();
        table.take(ids[1]).unwrap();
        table.insert(9, 9, at(1)).unwrap(); // where the one that left was
        assert_eq!(table.drain().map(|(key, _)| key).collect::<Vec<_>>(), [0, 2, 3, 9]);
        assert_eq!((table.len(), table.find(&0)), (0, None));
        assert!(table.insert(5, 5, at(2)).is_some());
        assert_eq!(table.drain().count(), 1);
    }
}
