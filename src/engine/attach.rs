//! When a device joined, and how long it was there.
//!
//! Road taken: the access point's 802.2 XID frame in the station's name, which its interface and the bridge above it show; where
//! a capture does not (a switch elsewhere, a filter for IP), a DHCP DISCOVER or REQUEST from the unspecified address. That is a client without an address
//! that it may use: it came to the link anew (RFC 2131, 4.3.2), whereas one that renews asks from its own address. DHCP within a
//! minute of a known association belongs to it. Road not taken: silence before the request, which a sleeping phone keeps too.

use std::time::Duration;

use arrayvec::ArrayVec;

use crate::packet::Timestamp;

/// How long after an association something is said to follow it.
pub const WINDOW: Duration = Duration::from_secs(120);
/// Associations kept, the latest: a device that is held against them could join with every frame.
const MOST: usize = 64;
/// XID frames no further apart are one association: access points of which both kernel and daemon send one.
const TWICE: Duration = Duration::from_secs(1);
/// DHCP that belongs to an association.
const DHCP: Duration = Duration::from_secs(60);
/// Who is heard of again within this was there meanwhile: phones in standby speak every few minutes.
const SILENCE: Duration = Duration::from_mins(15);

/// The associations and the presence of one device.
#[derive(Debug, Default)]
pub(super) struct Attachments {
    times: ArrayVec<Timestamp, MOST>,
    count: u64,
    heard: Option<Timestamp>,
    present: Duration,
}

/// How long the device was there within the windows and in the rest, seconds, from a moment on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exposure {
    pub(super) from: Timestamp,
    pub(super) within: f64,
    pub(super) rest: f64,
}

impl Attachments {
    /// Notes that the access point said that it joined.
    pub(super) fn joined(&mut self, now: Timestamp) {
        self.note(now, TWICE);
    }

    /// Notes that it asked for an address without having one.
    pub(super) fn asked(&mut self, now: Timestamp) {
        self.note(now, DHCP);
    }

    /// Notes that it was heard of.
    pub(super) fn hear(&mut self, now: Timestamp) {
        let silent = self.heard.map_or(Duration::ZERO, |heard| now.since(heard));
        if silent <= SILENCE {
            self.present = self.present.saturating_add(silent);
        }
        self.heard = self.heard.max(Some(now));
    }

    /// How many there were.
    #[must_use]
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// How long the device was there, its silences of up to a quarter of an hour included.
    #[must_use]
    pub(super) fn present(&self) -> Duration {
        self.present
    }

    /// How long after the last association before it a moment is.
    #[must_use]
    pub(super) fn delay(&self, time: Timestamp) -> Option<Duration> {
        let after = self.times.partition_point(|joined| *joined <= time);
        self.times.get(after.checked_sub(1)?).map(|joined| time.since(*joined))
    }

    /// Those that the device stayed for, a whole window long.
    pub(super) fn stayed(&self) -> impl Iterator<Item = Timestamp> + '_ {
        let ends = self.times.iter().skip(1).copied().chain(self.heard);
        self.times.iter().copied().zip(ends).filter(|(joined, end)| end.since(*joined) >= WINDOW).map(|(joined, _)| joined)
    }

    /// Time within the windows and outside them, from `oldest` on where that is given and later. None without associations.
    #[must_use]
    pub(super) fn exposure(&self, oldest: Option<Timestamp>) -> Option<Exposure> {
        let (first, heard) = (*self.times.first()?, self.heard?);
        let lost = self.count > self.times.len() as u64;
        let from = oldest.into_iter().chain(lost.then_some(first)).max().unwrap_or_default();
        let ends = self.times.iter().skip(1).copied().chain([heard]);
        let windows = self.times.iter().copied().zip(ends).filter(|(joined, _)| joined.plus(WINDOW) >= from);
        let within: f64 = windows.map(|(joined, end)| end.since(joined).min(WINDOW).as_secs_f64()).sum();
        // Presence is known as a whole; where the beginning is forgotten, its share of the time stands for it.
        let begin = heard.as_nanos().saturating_sub(first.as_nanos()).max(1) as f64 / 1e9;
        let share = (heard.since(from).as_secs_f64() / begin).min(1.0);
        let rest = (self.present.as_secs_f64() * share - within).max(1.0);
        (within > 0.0).then_some(Exposure { from, within, rest })
    }

    fn note(&mut self, now: Timestamp, same: Duration) {
        self.hear(now);
        if self.times.last().is_some_and(|last| now.since(*last) <= same) {
            return;
        }
        self.count = self.count.saturating_add(1);
        if self.times.is_full() {
            self.times.remove(0);
        }
        self.times.push(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn dhcp_after_a_known_association_is_part_of_it_and_alone_stands_for_one() {
        let mut attachments = Attachments::default();
        attachments.joined(at(100));
        attachments.joined(at(100)); // the same once more
        attachments.asked(at(102));
        assert_eq!(attachments.count(), 1);
        attachments.asked(at(4_000));
        attachments.joined(at(4_005)); // a station that is seen to join joined, whatever came before
        assert_eq!(attachments.count(), 3);
        assert_eq!(attachments.delay(at(4_010)), Some(Duration::from_secs(5)));
        assert_eq!(attachments.delay(at(99)), None);
    }

    #[test]
    fn short_silences_are_presence_and_long_ones_are_not() {
        let mut attachments = Attachments::default();
        for time in [0, 600, 1_200, 10_000, 10_060] {
            attachments.hear(at(time));
        }
        assert_eq!(attachments.present(), Duration::from_secs(1_260));
    }

    #[test]
    fn a_device_that_joins_without_end_takes_no_more_room() {
        let mut attachments = Attachments::default();
        (0..100_000).for_each(|time| attachments.joined(at(time * 5)));
        assert_eq!((attachments.count(), attachments.times.len()), (100_000, MOST));
        assert_eq!(attachments.exposure(None).map(|exposure| exposure.from), attachments.times.first().copied());
        assert_eq!(attachments.stayed().count(), 0);
    }
}
