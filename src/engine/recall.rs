//! The last of what can be worked out again, each in one of two places by its hash: there is nothing to evict, and forgetting
//! changes nothing but what it costs. In pairs, since where each had one place two that are asked for in turn would push each other
//! out for good.

use ahash::RandomState;

use std::hash::Hash;

/// What was worked out last, at most so many pairs.
#[derive(Debug)]
pub(super) struct Recall<T, const PAIRS: usize> {
    /// In each pair the latest first.
    pairs: Vec<[Option<T>; 2]>,
    /// Keyed: what is asked for is chosen by the devices under suspicion.
    hasher: RandomState,
}

impl<T, const PAIRS: usize> Recall<T, PAIRS> {
    /// Nothing yet.
    #[must_use]
    pub(super) fn new() -> Self {
        Self { pairs: std::iter::repeat_with(|| [None, None]).take(PAIRS).collect(), hasher: RandomState::new() }
    }

    /// Where what is known by `key` may be.
    pub(super) fn place(&self, key: impl Hash) -> usize {
        self.hasher.hash_one(key) as usize % PAIRS
    }

    /// One of those in a place.
    pub(super) fn find(&self, place: usize, is: impl Fn(&T) -> bool) -> Option<&T> {
        self.pairs.get(place)?.iter().flatten().find(|known| is(known))
    }

    /// The same, to change it.
    pub(super) fn find_mut(&mut self, place: usize, is: impl Fn(&T) -> bool) -> Option<&mut T> {
        self.pairs.get_mut(place)?.iter_mut().flatten().find(|known| is(known))
    }

    /// Remembers one that is not there, in place of the older of two.
    pub(super) fn put(&mut self, place: usize, new: T) {
        if let Some([latest, before]) = self.pairs.get_mut(place) {
            *before = latest.replace(new);
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.pairs.iter_mut().for_each(|pair| *pair = [None, None]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_those_in_one_place_the_last_two_are_remembered() {
        let mut recall = Recall::<u32, 1>::new();
        let place = recall.place("anything");
        for number in 1..=3 {
            recall.put(place, number);
        }
        let known = |recall: &Recall<u32, 1>| -> Vec<u32> {
            (1..=4).filter(|number| recall.find(place, |known| known == number).is_some()).collect()
        };
        assert_eq!(known(&recall), [2, 3]);
        *recall.find_mut(place, |known| *known == 2).unwrap() = 4;
        assert_eq!(known(&recall), [3, 4]);
        recall.clear();
        assert!(known(&recall).is_empty());
    }
}
