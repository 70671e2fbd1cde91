//! Names on the wire (RFC 1035, 4.1.4), looked at before anyone else follows their pointers.
//!
//! Both libraries follow pointers far: `dns-parser` without limit and again for each label that it prints, `domain` 255 times.
//! This walk refuses what no honest sender writes and counts what it visits, so a message costs no more than [`Effort::MESSAGE`].

use super::Reason;

/// The name or the record after it ends beyond the message.
pub(super) const CUT: Reason = "cut";

/// Pointers in one name. Senders compress by whole suffixes, so that real names have one or two. Longer chains make a reader
/// jump about in 2 bytes a step: the CPU attack on resolvers and sensors.
const MAX_HOPS: usize = 16;

/// Octets of one name, its length bytes and its root included (RFC 1035, 2.3.4).
const MAX_OCTETS: usize = 255;

/// What may still be spent on the names of one message.
pub(super) struct Effort(usize);

impl Effort {
    /// Octets of names visited in one message. Two thousand answers with names of thirty octets are half of it. It stops
    /// the message whose 5,000 records of 12 bytes all point at one name of 255, and so would turn 64 kB into 5 MB of text.
    pub(super) const MESSAGE: usize = 128 * 1024;

    /// The effort of one message.
    pub(super) fn new() -> Self {
        Self(Self::MESSAGE)
    }

    /// Octets visited so far.
    #[cfg(test)]
    pub(super) fn spent(&self) -> usize {
        Self::MESSAGE - self.0
    }

    fn spend(&mut self, octets: usize) -> Result<(), Reason> {
        self.0 = self.0.checked_sub(octets).ok_or("long-names")?;
        Ok(())
    }
}

/// A name that is safe to follow.
pub(super) struct Walked {
    /// Where in the message it ends: after its root or its first pointer.
    pub(super) end: usize,
    /// Its labels are ASCII without dots, so text with dots between labels says all of it.
    pub(super) plain: bool,
}

/// Follows the name that starts at `start`, every pointer strictly backwards, at most [`MAX_HOPS`] of them.
pub(super) fn walk(message: &[u8], start: usize, effort: &mut Effort) -> Result<Walked, Reason> {
    let mut at = start;
    let mut floor = start;
    let mut end = None;
    let mut octets: usize = 1;
    let mut hops: usize = 0;
    let mut plain = true;
    loop {
        let first = *message.get(at).ok_or(CUT)?;
        let next = at.saturating_add(1);
        match first {
            0 => {
                effort.spend(1)?;
                return Ok(Walked { end: end.unwrap_or(next), plain });
            }
            1..=63 => {
                let after = next.saturating_add(usize::from(first));
                let label = message.get(next..after).ok_or(CUT)?;
                octets = octets.saturating_add(label.len()).saturating_add(1);
                if octets > MAX_OCTETS {
                    return Err("long-name");
                }
                effort.spend(label.len().saturating_add(1))?;
                plain &= label.iter().all(|byte| byte.is_ascii() && *byte != b'.');
                at = after;
            }
            0xc0.. => {
                let target = usize::from(u16::from_be_bytes([first & 0x3f, *message.get(next).ok_or(CUT)?]));
                end = end.or(Some(next.saturating_add(1)));
                hops = hops.saturating_add(1);
                if target >= floor || hops > MAX_HOPS {
                    return Err("pointer-loop");
                }
                effort.spend(2)?;
                floor = target;
                at = target;
            }
            // The label types 01 and 10 were never deployed (RFC 6891, 5).
            _ => return Err("bad-name"),
        }
    }
}
