//! What the engine's target does with its bytes: steps, each a kind, a pause, and bytes behind their length.
//!
//! A form of its own, and not `arbitrary`'s, because seeds have to be written in it as well as read.

use std::time::Duration;

use whither::packet::{Link, Timestamp};

use crate::{LINKS, initial};

/// One step.
pub struct Step<'a> {
    /// What to do: the lower three bits; the upper five choose something about it.
    pub kind: u8,
    /// How long after the last one, in milliseconds, or minutes for [`WAIT`].
    pub pause: u16,
    /// With what.
    pub bytes: &'a [u8],
}

/// A frame of the link layer that the upper bits choose.
pub const FRAME: u8 = 0;
/// A TCP segment: who, ports, flags, sequence number (two bytes), payload.
pub const SEGMENT: u8 = 1;
/// A UDP datagram: who, ports, payload.
pub const DATAGRAM: u8 = 2;
/// The same, with the payload as the frames of a sealed QUIC Initial.
pub const INITIAL: u8 = 3;
/// Another kind of frame: the upper bits choose ARP, ICMPv6, or one that cannot be read.
pub const OTHER: u8 = 4;
/// A snapshot.
pub const SNAPSHOT: u8 = 5;
/// The events are taken, or the engine is told of its surroundings.
pub const TELL: u8 = 6;
/// Nothing, for minutes; or, by the upper bits, a clock that goes wrong: see [`Step::after`].
pub const WAIT: u8 = 7;

/// The steps of an input, as far as they are whole.
pub fn steps(mut input: &[u8]) -> impl Iterator<Item = Step<'_>> {
    std::iter::from_fn(move || {
        let (&[kind, a, b, c, d], rest) = input.split_first_chunk()?;
        let (bytes, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([c, d])).min(rest.len()))?;
        input = rest;
        Some(Step { kind, pause: u16::from_le_bytes([a, b]), bytes })
    })
}

/// A step as bytes.
pub fn step(kind: u8, pause: u16, bytes: &[u8]) -> Vec<u8> {
    [&[kind][..], &pause.to_le_bytes(), &u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes(), bytes].concat()
}

impl Step<'_> {
    /// The time of this step when it was `now`: later, unless it is a [`WAIT`] whose upper bits say that the clock went back, or
    /// leapt by years, or is at its very beginning or end.
    pub fn after(&self, now: Timestamp) -> Timestamp {
        let minutes = Duration::from_secs(60) * u32::from(self.pause);
        let at = |nanos: u128| Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        match (self.kind & 7, self.kind >> 3) {
            (WAIT, 1) => at(u128::from(now.as_nanos()).saturating_sub(minutes.as_nanos())),
            (WAIT, 2) => at(u128::from(now.as_nanos()) + minutes.as_nanos() * 10_000),
            (WAIT, 3) => at(u128::from(now.as_nanos()).saturating_sub(minutes.as_nanos() * 10_000)),
            (WAIT, 4) => at(u128::from(self.pause)),
            (WAIT, 5) => at(u128::from(u64::MAX - u64::from(self.pause))),
            (WAIT, _) => now.plus(minutes),
            _ => now.plus(Duration::from_millis(1) * u32::from(self.pause)),
        }
    }

    /// The frame of this step, if it is one.
    pub fn frame(&self) -> Option<(Link, Vec<u8>)> {
        let choice = usize::from(self.kind >> 3);
        let frame = match self.kind & 7 {
            FRAME => return Some((LINKS[choice % LINKS.len()], self.bytes.to_vec())),
            SEGMENT => {
                let (&[who, ports, flags, a, b], payload) = self.bytes.split_first_chunk()?;
                let mut header = pair(who, ports).to_vec();
                header.extend((1_000 + u32::from(u16::from_le_bytes([a, b]))).to_be_bytes());
                header.extend([0, 0, 0, 1, 0x50, flags, 1, 0, 0, 0, 0, 0]);
                ip(who, 6, &[&header, payload].concat())
            }
            DATAGRAM | INITIAL => {
                let (&[who, ports], payload) = self.bytes.split_first_chunk()?;
                let sealed =
                    if self.kind & 7 == INITIAL { initial::sealed(&payload[..payload.len().min(1_400)]) } else { payload.to_vec() };
                let length = u16::try_from(sealed.len() + 8).unwrap_or(u16::MAX);
                ip(who, 17, &[&pair(who, ports)[..], &length.to_be_bytes(), &[0, 0], &sealed].concat())
            }
            OTHER => {
                let (&who, rest) = self.bytes.split_first()?;
                match choice % 3 {
                    0 => [&macs(who)[..], &[8, 6], rest].concat(),
                    1 => ip(who | 0x10, 58, rest),
                    _ => [&macs(who)[..], rest].concat(),
                }
            }
            _ => return None,
        };
        Some((Link::Ethernet, frame))
    }
}

/// Who: three bits of a device, one for the way, one for IPv6, three of a server. Ports: three bits of the server's, two of the device's.
fn pair(who: u8, ports: u8) -> [u8; 4] {
    const SERVER: [u16; 8] = [443, 80, 53, 853, 25, 5353, 51820, 67];
    let (server, client) = (SERVER[usize::from(ports & 7)].to_be_bytes(), (40_000 + u16::from(ports >> 3 & 3)).to_be_bytes());
    let [from, to] = if who & 8 == 0 { [client, server] } else { [server, client] };
    [from[0], from[1], to[0], to[1]]
}

fn macs(who: u8) -> [u8; 12] {
    let (device, router) = ([2, 0, 0, 0, 0, who & 7], [2, 0, 0, 0, 1, 0]);
    let [target, source] = if who & 8 == 0 { [router, device] } else { [device, router] };
    let mut both = [0; 12];
    both[..6].copy_from_slice(&target);
    both[6..].copy_from_slice(&source);
    both
}

fn ip(who: u8, protocol: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
    let mut frame = macs(who).to_vec();
    if who & 0x10 == 0 {
        let (device, server) = ([192, 168, 1, 10 + (who & 7)], [198, 51, 100, who >> 5]);
        let [from, to] = if who & 8 == 0 { [device, server] } else { [server, device] };
        frame.extend([8, 0, 0x45, 0]);
        frame.extend(length.saturating_add(20).to_be_bytes());
        frame.extend([0, 1, 0x40, 0, 64, protocol, 0, 0]);
        frame.extend(from.into_iter().chain(to));
    } else {
        let device = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, who & 7];
        let server = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, who >> 5];
        let [from, to] = if who & 8 == 0 { [device, server] } else { [server, device] };
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend(length.to_be_bytes());
        frame.extend([protocol, 255]);
        frame.extend(from.into_iter().chain(to));
    }
    frame.extend(body);
    frame
}
