//! How much a device exchanged with the outside in each minute, for who wants to know when it was used.
//!
//! Road taken: a flow tells what it carried when its minute is over, so a packet costs nothing. The report alone asks for it. Road not
//! taken: the flows' ends, between which a connection of an hour hides that all of it came in the first minute.

use std::time::Duration;

use crate::packet::Timestamp;

/// The piece in which it is told.
pub const MINUTE: Duration = Duration::from_mins(1);
/// Minutes kept of one device, those in which it exchanged anything: nearly six days of all of them. Stops: a capture of years, and
/// clocks that leap.
const MOST: usize = 8_192;

/// The minutes of one device.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Minute since the epoch and bytes, sorted.
    minutes: Vec<(u32, u32)>,
}

impl Activity {
    /// Takes in bytes of a moment; late, as a flow that fell silent is told when it is over.
    pub(super) fn add(&mut self, time: Timestamp, bytes: u64) {
        let minute = u32::try_from(time.as_nanos() / 1_000_000_000 / MINUTE.as_secs()).unwrap_or(u32::MAX);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if bytes == 0 {
            return;
        }
        match self.minutes.binary_search_by_key(&minute, |known| known.0) {
            Ok(at) => self.minutes.get_mut(at).into_iter().for_each(|known| known.1 = known.1.saturating_add(bytes)),
            Err(at) if self.minutes.len() < MOST => self.minutes.insert(at, (minute, bytes)),
            Err(_) => {}
        }
    }

    /// Minute since the epoch and bytes, sorted.
    pub(super) fn minutes(&self) -> &[(u32, u32)] {
        &self.minutes
    }
}
