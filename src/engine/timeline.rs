//! Bytes by time: what a device moved in the last hour, and what went to a destination in all its life.
//!
//! Road taken: an account's whole life in a few intervals, whose width doubles whenever they do not reach; each begins at a multiple of
//! its width, so that those of several accounts can be laid side by side. Bytes are put where their flow's last packet is; flows are
//! told before the minute changes, so every byte stands in its own minute. Road not taken: intervals made of successive snapshots,
//! which are taken when somebody looks, and of a file that is read at once only at its end.

use crate::packet::Timestamp;

/// Intervals of an account's life: a strip on a page. Bounds the memory, 400 bytes for each account.
pub const INTERVALS: usize = 48;
/// Minutes of a device that are kept.
pub const RECENT: usize = 60;
/// Nanoseconds.
const MINUTE: u64 = 60_000_000_000;

/// A whole life.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// The width of an interval is two to the power of this, minutes.
    exponent: u8,
    /// The first interval's number, counted in its width since the epoch.
    begin: u32,
    bytes: Vec<u64>,
}

/// The last hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recent {
    /// The latest minute since the epoch.
    newest: u32,
    /// Minutes by their number, modulo their count.
    bytes: [u64; RECENT],
}

impl Default for Recent {
    fn default() -> Self {
        Self { newest: 0, bytes: [0; RECENT] }
    }
}

fn minute(at: Timestamp) -> u32 {
    u32::try_from(at.as_nanos() / MINUTE).unwrap_or(u32::MAX)
}

impl Timeline {
    /// Adds bytes of a time, which may lie before all others.
    pub(super) fn note(&mut self, at: Timestamp, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let minute = minute(at);
        if self.bytes.is_empty() {
            self.begin = minute >> self.exponent;
        }
        let slot = loop {
            let slot = minute >> self.exponent;
            if self.end().max(slot).saturating_sub(self.begin.min(slot)) < INTERVALS as u32 {
                break slot;
            }
            self.coarsen();
        };
        let before = self.begin.saturating_sub(slot) as usize;
        if before > 0 {
            self.bytes.splice(0..0, std::iter::repeat_n(0, before));
        }
        self.begin = self.begin.min(slot);
        let index = slot.saturating_sub(self.begin) as usize;
        if index >= self.bytes.len() {
            self.bytes.resize(index.saturating_add(1), 0);
        }
        if let Some(sum) = self.bytes.get_mut(index) {
            *sum = sum.saturating_add(bytes);
        }
    }

    /// The width of an interval, minutes.
    #[must_use]
    pub fn width(&self) -> u64 {
        1 << self.exponent
    }

    /// When it begins and when its last interval does, minutes since the epoch.
    #[must_use]
    pub fn span(&self) -> (u64, u64) {
        (u64::from(self.begin) << self.exponent, u64::from(self.end()) << self.exponent)
    }

    /// Its intervals: when each begins, minutes since the epoch, and bytes, both directions.
    pub fn intervals(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        (u64::from(self.begin)..).map(|number| number << self.exponent).zip(self.bytes.iter().copied())
    }

    /// The last interval's number.
    fn end(&self) -> u32 {
        self.begin.saturating_add(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX).saturating_sub(1))
    }

    /// Doubles the width.
    fn coarsen(&mut self) {
        let (begin, old) = (self.begin, std::mem::take(&mut self.bytes));
        self.exponent = self.exponent.saturating_add(1).min(31);
        self.begin = begin >> 1;
        for (number, bytes) in (begin..).zip(old) {
            let index = (number >> 1).saturating_sub(self.begin) as usize;
            match self.bytes.get_mut(index) {
                Some(sum) => *sum = sum.saturating_add(bytes),
                None => self.bytes.push(bytes),
            }
        }
    }
}

impl Recent {
    /// Adds bytes of a time; what lies further back than is kept is left out.
    pub(super) fn note(&mut self, at: Timestamp, bytes: u64) {
        let minute = minute(at);
        if minute > self.newest {
            let passed = minute.saturating_sub(self.newest).min(RECENT as u32);
            for gone in (minute.saturating_sub(passed)..minute).map(|before| before.saturating_add(1)) {
                if let Some(sum) = self.bytes.get_mut(gone as usize % RECENT) {
                    *sum = 0;
                }
            }
            self.newest = minute;
        }
        if self.newest.saturating_sub(minute) < RECENT as u32
            && let Some(sum) = self.bytes.get_mut(minute as usize % RECENT)
        {
            *sum = sum.saturating_add(bytes);
        }
    }

    /// The [`RECENT`] minutes up to the one of `end`, the oldest first: bytes, both directions.
    #[must_use]
    pub fn until(&self, end: Timestamp) -> Vec<u64> {
        let end = u64::from(minute(end));
        let kept = (u64::from(self.newest) + 1).saturating_sub(RECENT as u64)..=u64::from(self.newest);
        let of = |minute: u64| {
            let index = usize::try_from(minute % RECENT as u64).unwrap_or_default();
            if kept.contains(&minute) { self.bytes.get(index).copied().unwrap_or_default() } else { 0 }
        };
        ((end + 1).saturating_sub(RECENT as u64)..=end).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u64) -> Timestamp {
        Timestamp::from_nanos(minute * MINUTE + 17)
    }

    #[test]
    fn a_life_of_any_length_keeps_every_byte_in_its_interval() {
        for step in [1, 2, 3, 47, 60, 1_000] {
            let mut line = Timeline::default();
            let minutes: Vec<u64> = (0..200).map(|turn| 27_000_000 + turn * step).collect();
            minutes.iter().for_each(|minute| line.note(at(*minute), 10));
            line.note(at(26_999_000), 5); // another capture, an older one
            let told: Vec<(u64, u64)> = line.intervals().collect();
            assert!(told.len() <= INTERVALS && told.len() * 4 > INTERVALS, "{step}: {}", told.len());
            for (begin, bytes) in told {
                assert_eq!(begin % line.width(), 0);
                let own = |minute: &&u64| (begin..begin + line.width()).contains(*minute);
                let early = u64::from((begin..begin + line.width()).contains(&26_999_000)) * 5;
                assert_eq!(bytes, minutes.iter().filter(own).count() as u64 * 10 + early, "{step} {begin}");
            }
            let (begin, end) = line.span();
            assert!(begin <= 26_999_000 && end <= *minutes.last().unwrap() && end + line.width() > *minutes.last().unwrap());
        }
    }

    #[test]
    fn the_ends_of_time_fit_in_a_life() {
        let mut line = Timeline::default();
        line.note(Timestamp::from_nanos(u64::MAX), 1);
        line.note(Timestamp::default(), 2);
        line.note(at(5), 0);
        assert_eq!(line.intervals().map(|(_, bytes)| bytes).sum::<u64>(), 3);
        assert!(line.intervals().count() <= INTERVALS);
    }

    #[test]
    fn the_last_hour_forgets_what_is_older_and_takes_what_comes_late() {
        let mut recent = Recent::default();
        for (minute, bytes) in [(1_000, 1), (1_001, 2), (1_030, 4), (1_059, 8), (1_058, 16)] {
            recent.note(at(minute), bytes);
        }
        let told = recent.until(at(1_059));
        assert_eq!((told.len(), told[0], told[1], told[30], told[58], told[59]), (RECENT, 1, 2, 4, 16, 8));
        recent.note(at(1_060), 32);
        recent.note(at(1_000), 64); // too late
        assert_eq!(recent.until(at(1_060)).iter().sum::<u64>(), 62);
        assert_eq!(recent.until(at(1_090)).iter().sum::<u64>(), 56, "whoever was silent since shows that");
        recent.note(at(5_000), 1);
        assert_eq!(recent.until(at(5_000)).iter().sum::<u64>(), 1);
        assert_eq!(Recent::default().until(at(3)), [0, 0, 0, 0]);
    }
}
