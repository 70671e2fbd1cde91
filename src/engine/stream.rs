//! The contiguous beginning of a byte stream, from pieces at offsets: a TCP direction and QUIC's CRYPTO stream alike.
//!
//! Road taken: an in-order prefix and a few pieces that came early, because only the first flight of a connection is read.
//! Road not taken: a full reassembler, which has to hold a window per connection. Bytes that came first win: a retransmission
//! that says something else is what an evader sends. Of two early pieces at one place the longer wins, as at their receiver.

/// Pieces that came early. Chromium cuts its hello into a dozen shuffled pieces for each of two or three datagrams on purpose;
/// an attacker would cut it into single bytes.
const MAX_HOLES: usize = 128;

/// A prefix of a stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Offset of `ready`'s first byte in the stream.
    start: u64,
    ready: Vec<u8>,
    /// Sorted by offset, not overlapping `ready`.
    early: Vec<(u64, Box<[u8]>)>,
    /// What may follow `ready`, though nobody may have taken it. Kept apart, so that it hides nothing of what does come there.
    loose: Box<[u8]>,
}

impl Stream {
    /// The bytes that are ready to be read.
    #[must_use]
    pub(super) fn ready(&self) -> &[u8] {
        &self.ready
    }

    /// Whether nothing at all is held.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.early.is_empty() && self.loose.is_empty()
    }

    /// Where the next byte is expected.
    #[must_use]
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.ready.len() as u64)
    }

    /// Adds a piece; false when the stream must be given up because it would hold more than `limit` bytes or too many holes.
    pub(super) fn push(&mut self, offset: u64, piece: &[u8], limit: usize) -> bool {
        let end = self.end();
        let Some(piece) = usize::try_from(end.saturating_sub(offset)).ok().and_then(|known| piece.get(known..)) else {
            return true; // all of it is known
        };
        if piece.is_empty() {
            return true;
        }
        let offset = offset.max(end);
        if offset.saturating_sub(end) > limit as u64 {
            return true; // what lies so far outside will not be wanted; a liar sends it to have the stream given up
        }
        if offset > end {
            return self.keep_early(offset, piece, limit);
        }
        self.loose = Box::default();
        self.ready.extend_from_slice(piece);
        self.join_early();
        self.held() <= limit
    }

    /// Keeps what may follow [`Self::ready`], the first time; false when the stream must be given up.
    pub(super) fn suppose(&mut self, piece: &[u8], limit: usize) -> bool {
        if self.loose.is_empty() {
            self.loose = piece.into();
        }
        self.held() <= limit
    }

    /// Bytes that may follow [`Self::ready`].
    #[must_use]
    pub(super) fn supposed(&self) -> &[u8] {
        &self.loose
    }

    /// Of what may follow, so many bytes do, and no more.
    pub(super) fn confirm(&mut self, count: usize) {
        let loose = std::mem::take(&mut self.loose);
        self.ready.extend_from_slice(loose.get(..count).unwrap_or(&loose));
        self.join_early();
    }

    /// Forgets the first `count` bytes of [`Self::ready`].
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.ready.len());
        self.ready.drain(..count);
        self.start = self.start.saturating_add(count as u64);
    }

    /// Moves everything `by` bytes up: the stream turned out to begin earlier than where it was first seen.
    /// Only before anything was consumed.
    pub(super) fn shift(&mut self, by: u64) {
        self.loose = Box::default();
        let ready = std::mem::take(&mut self.ready);
        if !ready.is_empty() {
            self.early.insert(0, (0, ready.into_boxed_slice()));
        }
        for (offset, _) in &mut self.early {
            *offset = offset.saturating_add(by);
        }
    }

    /// Goes on at `offset`: what is missing before it was never captured.
    pub(super) fn skip_to(&mut self, offset: u64) {
        self.start = offset;
        self.ready.clear();
        self.early.retain(|(early, _)| *early >= offset);
        self.loose = Box::default();
        self.join_early();
    }

    /// Whether a piece is held that begins at `offset`, behind a hole.
    #[must_use]
    pub(super) fn is_early(&self, offset: u64) -> bool {
        self.early.binary_search_by_key(&offset, |(early, _)| *early).is_ok()
    }

    fn held(&self) -> usize {
        self.early.iter().fold(self.ready.len().saturating_add(self.loose.len()), |sum, (_, piece)| sum.saturating_add(piece.len()))
    }

    fn keep_early(&mut self, offset: u64, piece: &[u8], limit: usize) -> bool {
        let at = self.early.partition_point(|(other, _)| *other <= offset);
        let same = at.checked_sub(1).and_then(|before| self.early.get_mut(before)).filter(|(other, _)| *other == offset);
        match same {
            Some((_, known)) if known.len() >= piece.len() => return true,
            // The longer takes its place, as in Linux's queue of early segments: a head kept of the shorter one would be the evader's.
            Some((_, known)) => *known = piece.into(),
            None => self.early.insert(at, (offset, piece.into())),
        }
        self.early.len() <= MAX_HOLES && self.held() <= limit
    }

    fn join_early(&mut self) {
        while let Some((offset, piece)) = self.early.first() {
            let end = self.end();
            if *offset > end {
                break;
            }
            if let Some(rest) = usize::try_from(end.saturating_sub(*offset)).ok().and_then(|known| piece.get(known..)) {
                self.ready.extend_from_slice(rest);
            }
            self.early.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the cuts, the order and the repeats, the bytes are the same.
        #[test]
        fn splits_order_and_repeats_do_not_matter(
            bytes in proptest::collection::vec(any::<u8>(), 1..400),
            cuts in proptest::collection::vec((0usize..400, 1usize..80), 1..12),
        ) {
            let mut stream = Stream::default();
            for (from, length) in &cuts {
                let from = from % bytes.len();
                let to = (from + length).min(bytes.len());
                prop_assert!(stream.push(from as u64, &bytes[from..to], 4096));
                prop_assert_eq!(stream.ready(), &bytes[..stream.ready().len()]);
            }
            prop_assert!(stream.push(0, &bytes, 4096));
            prop_assert_eq!(stream.ready(), &bytes[..]);
            prop_assert!(stream.early.is_empty());
        }

        /// No sequence of pieces makes it hold more than its limit and one piece.
        #[test]
        fn it_never_holds_more_than_its_limit(pieces in proptest::collection::vec((0u64..5000, 1usize..200), 0..200)) {
            let mut stream = Stream::default();
            for (offset, length) in pieces {
                if !stream.push(offset, &vec![0; length], 1000) {
                    break;
                }
                prop_assert!(stream.held() <= 1000 && stream.early.len() <= MAX_HOLES);
            }
        }
    }

    #[test]
    fn a_stream_seen_from_its_middle_can_still_find_its_beginning() {
        let mut stream = Stream::default();
        assert!(stream.push(0, b"world", 100));
        stream.shift(6);
        assert_eq!(stream.ready(), b"");
        assert!(stream.push(0, b"hello ", 100));
        assert_eq!(stream.ready(), b"hello world");
    }

    #[test]
    fn what_came_first_wins() {
        let mut stream = Stream::default();
        assert!(stream.push(0, b"abc", 100));
        assert!(stream.push(1, b"XYZ", 100));
        assert_eq!(stream.ready(), b"abcZ");
    }

    #[test]
    fn of_two_early_pieces_at_one_place_the_longer_is_taken() {
        for longer_first in [false, true] {
            let mut stream = Stream::default();
            let mut pieces = [&b"XY"[..], b"bcd"];
            if longer_first {
                pieces.reverse();
            }
            pieces.iter().for_each(|piece| assert!(stream.push(1, piece, 100)));
            assert!(stream.push(0, b"a", 100));
            assert_eq!(stream.ready(), b"abcd", "{longer_first}");
        }
    }

    /// The pieces of two datagrams as a browser sent them, offsets and lengths.
    #[test]
    fn a_shuffled_hello_of_two_datagrams_comes_together() {
        let pieces = [
            (1008, 24),
            (1032, 254),
            (932, 76),
            (927, 1),
            (1286, 418),
            (923, 2),
            (0, 61),
            (921, 2),
            (915, 6),
            (928, 4),
            (925, 2),
            (307, 174),
            (306, 1),
            (305, 1),
            (77, 10),
            (668, 247),
            (61, 16),
            (130, 2),
            (132, 173),
            (481, 187),
            (87, 43),
        ];
        let bytes: Vec<u8> = (0..1704_u32).map(|index| u8::try_from(index % 251).unwrap()).collect();
        let mut stream = Stream::default();
        for (offset, length) in pieces {
            assert!(stream.push(offset as u64, &bytes[offset..offset + length], 16_384), "{offset}");
        }
        assert_eq!(stream.ready(), &bytes[..]);
    }
}
