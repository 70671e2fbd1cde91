//! The devices as their owner knows them: aliases, notes, expected countries, and which MACs and addresses are one device.
//!
//! Road taken: what the file says is a mapping from MACs and addresses to aliases, asked when a flow is placed; the alias itself
//! keys the device. So a ledger belongs to a label whatever the file says tomorrow: a frame is charged to the alias of its day,
//! and no counter jumps or falls when the file changes. Road not taken: renaming and joining the ledgers of running devices,
//! which would make one series fall and another jump.

use std::net::IpAddr;
use std::sync::Arc;

use crate::engine::geo::Country;
use crate::packet::Mac;

/// Devices that a file may hold. As many as the table of devices holds: the series of expected countries follow it.
pub const MOST_DEVICES: usize = 1_024;
/// MACs and addresses of one device, each: what a generated file could grow to.
pub const MOST_KEYS: usize = 64;

/// One device as its owner knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The label. Unique; no MAC and no address, since those are the labels of devices without an alias.
    pub alias: Arc<str>,
    /// Its MACs, in the order of the file.
    pub macs: Vec<Mac>,
    /// Its addresses, for links without MACs, and behind a MAC that is split.
    pub addresses: Vec<IpAddr>,
    /// What its owner noted.
    pub notes: Option<Arc<str>>,
    /// Countries that its owner expects, sorted; empty is no expectation.
    pub expected: Vec<Country>,
    /// Several devices stand behind its MACs, told apart by address; frames without IP are its own.
    pub split: bool,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// Sorted by alias.
    entries: Vec<Entry>,
    /// Sorted, with the index of the entry.
    macs: Vec<(Mac, usize)>,
    /// The same; in canonical form.
    addresses: Vec<(IpAddr, usize)>,
}

impl Roster {
    /// A roster. Where two entries claim one MAC or address, one of them has it, always the same.
    #[must_use]
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|a, b| a.alias.cmp(&b.alias));
        let (mut macs, mut addresses) = (Vec::new(), Vec::new());
        for (index, entry) in entries.iter().enumerate() {
            macs.extend(entry.macs.iter().map(|mac| (*mac, index)));
            addresses.extend(entry.addresses.iter().map(|address| (address.to_canonical(), index)));
        }
        macs.sort_unstable();
        addresses.sort_unstable();
        Self { entries, macs, addresses }
    }

    /// How many devices it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All of them, by alias.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The device of a MAC.
    #[must_use]
    pub fn by_mac(&self, mac: Mac) -> Option<&Entry> {
        self.entries.get(find(&self.macs, &mac)?)
    }

    /// The device of an address in canonical form.
    #[must_use]
    pub fn by_address(&self, address: IpAddr) -> Option<&Entry> {
        self.entries.get(find(&self.addresses, &address)?)
    }

    /// The device of an alias.
    #[must_use]
    pub fn by_alias(&self, alias: &str) -> Option<&Entry> {
        let index = self.entries.binary_search_by(|entry| (*entry.alias).cmp(alias)).ok()?;
        self.entries.get(index)
    }
}

fn find<K: Ord>(keys: &[(K, usize)], key: &K) -> Option<usize> {
    let first = keys.partition_point(|(other, _)| other < key);
    keys.get(first).filter(|(other, _)| other == key).map(|(_, index)| *index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_finds_its_device_and_a_key_claimed_twice_always_the_same() {
        let entry = |alias: &str, macs: &[u8], address: &str| Entry {
            alias: alias.into(),
            macs: macs.iter().map(|last| Mac([2, 0, 0, 0, 0, *last])).collect(),
            addresses: vec![address.parse().unwrap()],
            ..Entry::default()
        };
        let (phone, tablet) = (entry("phone", &[1, 9, 4], "192.0.2.1"), entry("tablet", &[3, 9], "::ffff:192.0.2.2"));
        for entries in [vec![phone.clone(), tablet.clone()], vec![tablet, phone]] {
            let roster = Roster::new(entries);
            let of = |last: u8| roster.by_mac(Mac([2, 0, 0, 0, 0, last])).map(|entry| entry.alias.to_string());
            assert_eq!([of(1), of(4), of(3), of(9)].map(Option::unwrap), ["phone", "phone", "tablet", "phone"]);
            assert_eq!(of(5), None);
            assert_eq!(&*roster.by_address("192.0.2.2".parse().unwrap()).unwrap().alias, "tablet");
            assert_eq!(roster.by_alias("tablet").unwrap().macs.len(), 2);
            assert!(roster.by_alias("Tablet").is_none());
        }
    }
}
