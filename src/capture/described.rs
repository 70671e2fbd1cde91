//! What a capture file says of an interface: its link layer, its clock and its snap length.
//!
//! Road not taken: the library's own reading of the clock, which knows no power of two and no big-endian offset.

use pcap_parser::{InterfaceDescriptionBlock, LegacyPcapBlock, PcapHeader};

use crate::packet::{Link, Timestamp};

/// An interface.
#[derive(Clone, Copy)]
pub(super) struct Interface {
    pub(super) linktype: i32,
    pub(super) link: Option<Link>,
    /// A power of ten or of two.
    pub(super) units_per_second: u64,
    /// What is added to all its times.
    pub(super) offset_seconds: i64,
    pub(super) snaplen: u32,
}

impl Interface {
    /// The one interface of a pcap file.
    pub(super) fn of_pcap(header: &PcapHeader) -> Self {
        let linktype = header.network.0 & 0x0fff_ffff; // the upper bits tell of a frame check sequence
        Self {
            linktype,
            link: Link::from_linktype(linktype),
            units_per_second: if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 },
            offset_seconds: 0,
            snaplen: header.snaplen,
        }
    }

    /// As a pcapng block describes it; none where its units of time are finer than 64 bits count: every packet of it would have a
    /// made-up time.
    pub(super) fn of_block(big: bool, block: &InterfaceDescriptionBlock<'_>) -> Option<Self> {
        Some(Self {
            linktype: block.linktype.0,
            link: Link::from_linktype(block.linktype.0),
            units_per_second: units_per_second(block.if_tsresol)?,
            // The library reads it as little-endian, whatever the section is.
            offset_seconds: if big { block.ts_offset().swap_bytes() } else { block.ts_offset() },
            snaplen: if block.snaplen == 0 { u32::MAX } else { block.snaplen },
        })
    }

    /// The time of a pcap file's record.
    pub(super) fn time_of(&self, record: &LegacyPcapBlock<'_>) -> Timestamp {
        // A pcap file counts microseconds or nanoseconds.
        let scale = if self.units_per_second == 1_000_000_000 { 1 } else { 1_000 };
        Timestamp::from_nanos(u64::from(record.ts_sec) * 1_000_000_000 + u64::from(record.ts_usec) * scale)
    }

    /// A time in its units.
    pub(super) fn time(&self, units: u64) -> Timestamp {
        const SECOND: u64 = 1_000_000_000;
        // What nearly every capture counts in, as division of 128 bits costs more than all the rest of a record.
        if SECOND.is_multiple_of(self.units_per_second)
            && self.offset_seconds == 0
            && let Some(nanos) = units.checked_mul(SECOND / self.units_per_second)
        {
            return Timestamp::from_nanos(nanos);
        }
        let units = u128::from(units);
        let per_second = u128::from(self.units_per_second);
        let second = u128::from(SECOND);
        let nanos = (units / per_second) * second + (units % per_second) * second / per_second;
        let offset = i128::from(self.offset_seconds) * i128::from(SECOND);
        let nanos = i128::try_from(nanos).unwrap_or(i128::MAX).saturating_add(offset).max(0);
        Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// What `if_tsresol` says (draft-ietf-opsawg-pcapng, 4.2): a power of ten, or of two with the highest bit set. The library compares that bit too
/// with the largest power there is, and so knows no power of two.
fn units_per_second(resolution: u8) -> Option<u64> {
    const OF_TWO: u8 = 0x80;
    let power = u32::from(resolution & !OF_TWO);
    if resolution & OF_TWO == 0 { 10_u64.checked_pow(power) } else { 2_u64.checked_pow(power) }
}
