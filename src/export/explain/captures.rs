//! Packets numbered through several captures, and back: the engine wants one number for each, a person the file and what `tshark` says.

use crate::engine::event::Spot;

/// The captures in the order they were read.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    /// Each one's name, and the number of its last packet through all.
    files: Vec<(String, u64)>,
}

/// A packet as a person finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Which capture, from 0.
    pub index: usize,
    /// The capture's name.
    pub file: &'a str,
    /// The packet's number in it, from 1.
    pub packet: u64,
}

impl Captures {
    /// Another capture begins; its name is made printable.
    pub fn begin(&mut self, name: &str) {
        let last = self.files.last().map_or(0, |(_, last)| *last);
        self.files.push((crate::export::printable(name).into_owned(), last));
    }

    /// The number through all captures of packet `number` of the one that began last.
    pub fn through(&mut self, number: u64) -> u64 {
        let before = self.files.iter().rev().nth(1).map_or(0, |(_, last)| *last);
        let through = before.saturating_add(number);
        if let Some((_, last)) = self.files.last_mut() {
            *last = (*last).max(through);
        }
        through
    }

    /// Where a packet stands, given its number through all.
    #[must_use]
    pub fn place(&self, through: u64) -> Place<'_> {
        let index = self.files.partition_point(|(_, last)| *last < through);
        let before = index.checked_sub(1).and_then(|index| self.files.get(index)).map_or(0, |(_, last)| *last);
        let file = self.files.get(index).map_or("", |(name, _)| name.as_str());
        Place { index, file, packet: through.saturating_sub(before) }
    }

    /// A packet in words: its number, with its file where there are several.
    pub(super) fn words(&self, spot: Spot) -> String {
        let place = self.place(spot.0);
        if self.files.len() > 1 { format!("{}:{}", place.file, place.packet) } else { place.packet.to_string() }
    }

    /// Their names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_through_all_is_the_files_own_again() {
        let mut captures = Captures::default();
        let mut told = Vec::new();
        for (file, packets) in [("a.pcap", 3), ("empty.pcap", 0), ("b.pcap", 2)] {
            captures.begin(file);
            told.extend((1..=packets).map(|number| (captures.through(number), file, number)));
        }
        assert_eq!(told.iter().map(|(through, ..)| *through).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        for (through, file, packet) in told {
            let place = captures.place(through);
            assert_eq!((place.file, place.packet), (file, packet));
        }
    }
}
