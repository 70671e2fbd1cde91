//! Names in a message's form (RFC 1035, 4.1.4), looked at before anyone else follows their pointers.
//!
//! Both libraries follow pointers far: `dns-parser` without limit and again for each label that it prints, `domain` 255 times.
//! This walk refuses what no honest sender writes and counts what it visits, so a message costs no more than [`Effort::MESSAGE`].
//! It takes the text along: the labels lie in the message as they are written but for the length before each, so a run of them
//! is copied at once. Most owners are a pointer to a name that was read already; [`Names`] gives that one again, not a copy.

use arrayvec::ArrayVec;

use super::Reason;
use crate::dissect::observation::Name;

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
#[derive(Clone, Copy, Debug)]
pub(super) struct Walked {
    /// Where in the message it ends: after its root or its first pointer.
    pub(super) end: usize,
    octets: usize,
    hops: usize,
}

/// Octets of a name, each label behind its length, without its root.
pub(super) type Labels = ArrayVec<u8, MAX_OCTETS>;

/// Follows the name that starts at `start`, every pointer strictly backwards, at most [`MAX_HOPS`] of them.
pub(super) fn walk(message: &[u8], start: usize, effort: &mut Effort, labels: &mut Labels) -> Result<Walked, Reason> {
    let (mut at, mut floor, mut run) = (start, start, start);
    let mut end = None;
    let mut octets: usize = 1;
    let mut hops: usize = 0;
    loop {
        let first = *message.get(at).ok_or(CUT)?;
        let next = at.saturating_add(1);
        if let 1..=63 = first {
            let after = next.saturating_add(usize::from(first));
            octets = octets.saturating_add(usize::from(first)).saturating_add(1);
            if after > message.len() {
                return Err(CUT);
            }
            if octets > MAX_OCTETS {
                return Err("long-name");
            }
            at = after;
            continue;
        }
        if let Some(run) = message.get(run..at).filter(|run| !run.is_empty()) {
            effort.spend(run.len())?;
            labels.try_extend_from_slice(run).map_err(|_| "long-name")?;
        }
        match first {
            0 => {
                effort.spend(1)?;
                return Ok(Walked { end: end.unwrap_or(next), octets, hops });
            }
            0xc0.. => {
                let target = pointer(first, *message.get(next).ok_or(CUT)?);
                end = end.or(Some(next.saturating_add(1)));
                hops = hops.saturating_add(1);
                if target >= floor || hops > MAX_HOPS {
                    return Err("pointer-loop");
                }
                effort.spend(2)?;
                (floor, at, run) = (target, target, target);
            }
            // The label types 01 and 10 were never deployed (RFC 6891, 5).
            _ => return Err("bad-name"),
        }
    }
}

fn pointer(first: u8, second: u8) -> usize {
    usize::from(u16::from_be_bytes([first & 0x3f, second]))
}

/// Names that are kept to be given again: the question, the aliases behind it, and a few more.
const KNOWN: usize = 6;

/// The names of one message.
pub(super) struct Names<'a> {
    message: &'a [u8],
    effort: Effort,
    /// By where they start.
    known: ArrayVec<(usize, Walked, Name), KNOWN>,
}

impl<'a> Names<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { message, effort: Effort::new(), known: ArrayVec::new() }
    }

    /// The name that starts at `start`, and where it ends.
    pub(super) fn read(&mut self, start: usize) -> Result<(Name, usize), Reason> {
        let target = match self.message.get(start..) {
            Some([first, second, ..]) if *first >= 0xc0 => Some(pointer(*first, *second)),
            _ => None,
        };
        if let Some((_, walked, name)) = self.known.iter().find(|(at, ..)| Some(*at) == target) {
            if walked.hops >= MAX_HOPS {
                return Err("pointer-loop");
            }
            // As much as if it were followed: what is told grows with it, whoever holds the text.
            self.effort.spend(walked.octets.saturating_add(walked.hops.saturating_mul(2)).saturating_add(2))?;
            return Ok((name.clone(), start.saturating_add(2)));
        }
        let mut labels = Labels::new();
        let walked = walk(self.message, start, &mut self.effort, &mut labels)?;
        let name = Name::from_wire(&labels);
        let hops = walked.hops.saturating_sub(target.is_some().into());
        let _ = self.known.try_push((target.unwrap_or(start), Walked { hops, ..walked }, name.clone()));
        Ok((name, walked.end))
    }

    /// Where the name that starts at `start` ends.
    pub(super) fn skip(&mut self, start: usize) -> Result<usize, Reason> {
        walk(self.message, start, &mut self.effort, &mut Labels::new()).map(|walked| walked.end)
    }
}
