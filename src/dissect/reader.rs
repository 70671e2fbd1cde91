//! The one cursor over bytes of the wire: it takes from the front and cannot overrun.
//!
//! A failed reading leaves the cursor where it was, so a caller can still say what the rest is.
//! Road not taken: `std::io::Cursor`, whose errors say nothing that `None` does not, and which copies.

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    /// The bytes not yet taken.
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A cursor at the beginning of `bytes`.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    /// One byte.
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes in network order.
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes in network order.
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A run of bytes behind a length of one byte.
    pub(super) fn vec8(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let length = ahead.u8()?;
        let taken = ahead.take(usize::from(length))?;
        *self = ahead;
        Some(taken)
    }

    /// A run of bytes behind a length of two bytes.
    pub(super) fn vec16(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let length = ahead.u16()?;
        let taken = ahead.take(usize::from(length))?;
        *self = ahead;
        Some(taken)
    }
}
