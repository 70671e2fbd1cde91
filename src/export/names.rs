//! The listing of names that `read --names` writes: each flow that got one, what gave it, and the packet to look at.

use std::io::{self, Write};

use super::rfc3339;
use crate::engine::event::{Detail, Event};

/// One line for each named flow of a capture, in the order of the packets that named them.
#[derive(Debug, Default)]
pub struct Names {
    lines: Vec<(u64, String)>,
    left_out: u64,
}

/// Lines kept: a capture of a million connections would otherwise fill memory.
const MOST: usize = 1_000_000;

impl Names {
    /// Takes in an event; ends of flows are what counts.
    pub fn take(&mut self, event: &Event) {
        let (Detail::Flow(flow), Some(ends)) = (&event.detail, event.ends) else { return };
        let (Some(name), Some((packet, time))) = (&flow.name, flow.named) else { return };
        if self.lines.len() >= MOST {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        let time = rfc3339(time.as_nanos(), 9);
        let (client, server) = (ends.client, ends.server);
        let transport = if ends.protocol == 6 { "tcp" } else { "udp" };
        let line = format!("{packet}\t{time}\t{}\t{client}\t{server}\t{transport}\t{}\t{name}", event.device, flow.origin.as_str());
        self.lines.push((packet, line));
    }

    /// Writes the listing: tab-separated, a head, then a line for each named flow.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(mut self, out: &mut dyn Write) -> io::Result<()> {
        self.lines.sort_unstable();
        writeln!(out, "packet\ttime\tdevice\tclient\tserver\ttransport\torigin\tname")?;
        for (_, line) in &self.lines {
            writeln!(out, "{line}")?;
        }
        if self.left_out > 0 {
            writeln!(out, "# {} more were left out", self.left_out)?;
        }
        out.flush()
    }
}
