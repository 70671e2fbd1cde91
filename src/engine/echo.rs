//! What an access point's own interface shows twice: a station's frame to everybody is received, and sent out again to the other
//! stations (IEEE 802.11-2020, 4.5.2.2). The second copy is no traffic of the station's and must not be counted as that, nor told.
//!
//! Road taken: Ethernet framing does not say which way a frame went, so a copy is known by its bytes, all of them, and by
//! coming at once: the access point's kernel sends it before it takes the next frame, or, where the driver hands over many, sends the copies of all
//! in their order. What fits neither was said twice: one question by IPv4 and by IPv6, and both again within the millisecond. Either copy
//! may be the first in a capture. One copy for each frame: whoever really says the same three times in a row is counted twice at least.
//! Where a cooked capture tells the way, it must be the other one. Road not taken: asking whether the interface is an access point's, which
//! a file does not say.

use std::time::Duration;

use ahash::RandomState;
use arrayvec::ArrayVec;

use crate::engine::device::to_group;
use crate::packet::{Body, Frame, Link, Mac, Packet, Timestamp};

/// How much later the copy comes at most. On an emulated access point it was 0.1 ms, and 0.26 ms at most.
const AT_ONCE: Duration = Duration::from_millis(1);
/// Frames remembered, the latest: a station could send to everybody without end. Drivers hand over at most 64 at a time.
const KEPT: usize = 64;

/// The latest frames to everybody whose copy has not come.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    seen: ArrayVec<Seen, KEPT>,
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    hash: u64,
    time: Timestamp,
    sent: Option<bool>,
    source: Option<Mac>,
}

impl Echoes {
    /// Whether a frame is the second copy of one that was just seen.
    #[inline]
    pub(super) fn is_echo(&mut self, frame: &Frame<'_>, packet: &Packet<'_>) -> bool {
        is_for_all(packet) && self.is_copy(frame, packet)
    }

    fn is_copy(&mut self, frame: &Frame<'_>, packet: &Packet<'_>) -> bool {
        let Some((sent, head, rest)) = without_way(frame) else { return false };
        let source = packet.macs.map(|macs| macs.source);
        let new = Seen { hash: self.hasher.hash_one((head, rest, frame.wire_len)), time: packet.time, sent, source };
        let is_copy = |(index, seen): (usize, &Seen)| {
            let way = new.sent.is_none() || seen.sent != new.sent;
            seen.hash == new.hash && seen.is_at_once(&new) && way && !self.is_said_again(index, &new)
        };
        if let Some(index) = self.seen.iter().enumerate().position(is_copy) {
            self.seen.remove(index);
            return true;
        }
        if self.seen.is_full() {
            self.seen.remove(0);
        }
        self.seen.push(new);
        false
    }

    /// Whether its sender said something between the two, so that the second was not sent on at once, and something just before the first
    /// whose copy would have come before this one. Where the way is told, nothing needs to be inferred from the order.
    fn is_said_again(&self, index: usize, new: &Seen) -> bool {
        let by_same = |seen: &Seen| seen.source == new.source && seen.is_at_once(new);
        let (before, after) = self.seen.split_at_checked(index).unwrap_or_default();
        new.sent.is_none() && before.iter().any(by_same) && after.iter().skip(1).any(by_same)
    }
}

impl Seen {
    /// Whether another came so soon, before or after it.
    fn is_at_once(&self, other: &Self) -> bool {
        self.time.since(other.time).max(other.time.since(self.time)) <= AT_ONCE
    }
}

/// Whether all stations are meant.
#[inline]
fn is_for_all(packet: &Packet<'_>) -> bool {
    match (packet.macs, &packet.body) {
        (Some(macs), _) => macs.target.is_group(),
        (None, Body::Ip(datagram)) => packet.group || to_group(datagram.target.ip(), None),
        (None, Body::Link(..)) => packet.group,
    }
}

/// A frame's bytes without the one that says which way it went, and whether it was sent by the machine that captured (in cooked
/// captures, <https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html>). None on links that no access point has.
fn without_way<'a>(frame: &Frame<'a>) -> Option<(Option<bool>, &'a [u8], &'a [u8])> {
    const OUTGOING: u8 = 4;
    let (head, way, rest) = match (frame.link, frame.data) {
        (Link::Ethernet, data) => return Some((None, data, &[])),
        (Link::LinuxSll, [_, way, rest @ ..]) => (frame.data.get(..1)?, *way, rest),
        (Link::LinuxSll2, [_, _, _, _, _, _, _, _, _, _, way, rest @ ..]) => (frame.data.get(..10)?, *way, rest),
        _ => return None,
    };
    Some((Some(way == OUTGOING), head, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATION: [u8; 6] = [2, 0, 0, 0, 0, 10];

    /// Tells which of these frames are echoes; each is microseconds from the first, a byte that it holds, and bytes before it.
    fn echoes(link: Link, frames: &[(u64, u8, &[u8])]) -> Vec<bool> {
        let mut echoes = Echoes::default();
        let each = |(micros, byte, head): &(u64, u8, &[u8])| {
            let data = [*head, &[*byte; 40]].concat();
            let time = Timestamp::from_nanos(1_000_000_000 + micros * 1_000);
            let frame = Frame { number: 1, time, link, wire_len: u32::try_from(data.len()).unwrap(), data: &data };
            Packet::decode(&frame).is_ok_and(|packet| echoes.is_echo(&frame, &packet))
        };
        frames.iter().map(each).collect()
    }

    fn to(target: [u8; 6]) -> Vec<u8> {
        [&target[..], &STATION, &[0x88, 0xb5]].concat()
    }

    #[test]
    fn a_frame_to_everybody_that_comes_twice_at_once_is_one() {
        let all = to([0xff; 6]);
        let frames: Vec<(u64, u8, &[u8])> = vec![(0, 1, &all), (50, 2, &all), (100, 1, &all), (150, 2, &all), (200, 1, &all)];
        assert_eq!(echoes(Link::Ethernet, &frames), [false, false, true, true, false], "a third one is the station's own again");
        // Captures hold what the access point sent before what it received, or stamp it so.
        assert_eq!(echoes(Link::Ethernet, &[(900, 1, &all), (800, 1, &all)]), [false, true]);
    }

    #[test]
    fn what_comes_later_or_differs_or_goes_to_one_station_is_not() {
        let (all, one) = (to([1, 0, 0x5e, 0, 0, 0xfb]), to([2, 0, 0, 0, 0, 11]));
        assert_eq!(echoes(Link::Ethernet, &[(0, 1, &all), (1_001, 1, &all)]), [false, false]);
        assert_eq!(echoes(Link::Ethernet, &[(0, 1, &all), (1, 2, &all)]), [false, false]);
        assert_eq!(echoes(Link::Ethernet, &[(0, 1, &one), (1, 1, &one)]), [false, false]);
    }

    #[test]
    fn cooked_captures_tell_the_way() {
        let head = |way| [&[0, way, 0, 1, 0, 6][..], &STATION, &[0, 0, 0x88, 0xb5]].concat();
        let (received, sent) = (head(1), head(4));
        assert_eq!(echoes(Link::LinuxSll, &[(0, 1, &received), (100, 1, &received)]), [false, false], "received twice");
        let second: [u8; 28] = [0x45, 0, 0, 28, 0, 0, 0, 0, 1, 17, 0, 0, 192, 168, 1, 10, 224, 0, 0, 251, 20, 233, 20, 233, 0, 8, 0, 0];
        let ip = |head: &[u8]| [&head[..14], &[8, 0], &second].concat();
        assert_eq!(echoes(Link::LinuxSll, &[(0, 1, &ip(&received)), (100, 1, &ip(&sent))]), [false, true]);
    }

    #[test]
    fn what_is_said_again_after_something_else_was_said_again_with_a_difference_is_no_copy() {
        let (all, other) = (to([1, 0, 0x5e, 0, 0, 0xfb]), [&[0xff; 6][..], &[2, 0, 0, 0, 0, 11, 0x88, 0xb5]].concat());
        // A question of mDNS by IPv4 and by IPv6, both twice; IPv4's identification counts on, IPv6 has none.
        let said: [(u64, u8, &[u8]); 4] = [(0, 1, &all), (50, 6, &all), (300, 2, &all), (330, 6, &all)];
        assert_eq!(echoes(Link::Ethernet, &said), [false; 4]);
        // On an access point each has its copy, at once or after all of them.
        let at_once = [said[0], said[0], said[1], said[1], said[2], said[2], said[3], said[3]];
        assert_eq!(echoes(Link::Ethernet, &at_once), [false, true].repeat(4).as_slice());
        let after_all = [said[0], said[1], said[2], said[0], said[1], said[2]];
        assert_eq!(echoes(Link::Ethernet, &after_all), [false, false, false, true, true, true]);
        // What others say to everybody makes no difference: what comes from the wire has no copy.
        let others: [(u64, u8, &[u8]); 4] = [(0, 1, &other), (50, 6, &all), (300, 2, &other), (330, 6, &all)];
        assert_eq!(echoes(Link::Ethernet, &others), [false, false, false, true]);
        // Nor does what came long before.
        let before: [(u64, u8, &[u8]); 4] = [(0, 1, &all), (5_000, 6, &all), (5_050, 2, &all), (5_100, 6, &all)];
        assert_eq!(echoes(Link::Ethernet, &before), [false, false, false, true]);
    }

    #[test]
    fn a_flood_of_them_takes_no_more_room() {
        let all = to([0xff; 6]);
        let mut frames: Vec<(u64, u8, &[u8])> = (0..=255).map(|byte| (u64::from(byte), byte, &all[..])).collect();
        frames.push((300, 255, &all));
        frames.push((300, 0, &all));
        let found = echoes(Link::Ethernet, &frames);
        assert!(found[256] && !found[257], "the latest are remembered");
    }
}
