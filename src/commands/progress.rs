//! How far the reading of a capture is, on a terminal only.

use std::io::IsTerminal as _;
use std::path::Path;

use whither::export::printable;

use super::Way;

/// Frames between two words about the progress.
const STEP: u64 = 1 << 15;
/// What a record of a capture takes beside its frame, bytes, more or less.
const RECORD: u64 = 16;
/// Signs of the bar.
const WIDTH: usize = 20;

/// The progress of one capture.
pub(super) struct Progress {
    shown: bool,
    name: String,
    all: u64,
    read: u64,
    frames: u64,
}

impl Progress {
    /// Of a capture that is about to be read.
    pub(super) fn of(path: &Path, way: Way<'_>) -> Self {
        let shown = matches!(way, Way::Patient) && std::io::stderr().is_terminal();
        let all = if shown { std::fs::metadata(path).map_or(0, |meta| meta.len()) } else { 0 };
        let name = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy());
        Self { shown, name: printable(&name).into_owned(), all, read: 0, frames: 0 }
    }

    /// Another frame. A compressed capture holds more than its size, so its share stays at the end while frames count on.
    pub(super) fn step(&mut self, bytes: usize) {
        if !self.shown {
            return;
        }
        self.read = self.read.saturating_add(bytes as u64).saturating_add(RECORD);
        self.frames = self.frames.saturating_add(1);
        if self.frames.is_multiple_of(STEP) {
            eprint!("\r{} ", self.words());
        }
    }

    /// The capture is read: nothing of the bar stays.
    pub(super) fn end(&self) {
        if self.shown {
            eprint!("\r\u{1b}[K");
        }
    }

    fn words(&self) -> String {
        // Standard input and pipes have no size.
        let Some(percent) = u128::from(self.read).saturating_mul(100).checked_div(u128::from(self.all)).map(|percent| percent.min(99))
        else {
            return format!("whither: {}: {} frames", self.name, self.frames);
        };
        let full = usize::try_from(percent).unwrap_or_default().saturating_mul(WIDTH) / 100;
        let bar = "#".repeat(full) + &" ".repeat(WIDTH.saturating_sub(full));
        format!("whither: {} [{bar}] {percent:>2} %, {} frames", self.name, self.frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows_and_never_says_that_it_is_over() {
        let mut progress = Progress { shown: true, name: "lab.pcap".to_owned(), all: 1_000, read: 0, frames: 0 };
        progress.step(484);
        assert_eq!(progress.words(), "whither: lab.pcap [##########          ] 50 %, 1 frames");
        progress.step(90_000);
        assert_eq!(progress.words(), "whither: lab.pcap [################### ] 99 %, 2 frames");
        progress.all = 0;
        assert_eq!(progress.words(), "whither: lab.pcap: 2 frames");
    }
}
