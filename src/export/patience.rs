//! A consumer of event lines that may have stopped reading: the other end of a pipe, or a terminal.
//!
//! Road taken: ask whether there is room (poll(2)) before each write of no more than fits then; without room for a second, the
//! lines wait as on a full disk, and are dropped and counted past that. So a consumer that hangs holds up neither the capture nor
//! the end of the program. Road not taken: `O_NONBLOCK`, which would also be set for all others that write to the same terminal.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Milliseconds that a consumer has to make room. Once it has not, it is no longer waited for until there is room again.
const PATIENCE: u16 = 1_000;
/// Bytes that a pipe with room takes without waiting (pipe(7), `PIPE_BUF`).
pub(super) const ROOM: usize = 4_096;

/// Whether the consumer was found not to read.
#[derive(Debug, Default)]
pub(super) struct Patience {
    out: bool,
}

impl Patience {
    /// Waits for room.
    pub(super) fn wait(&mut self, end: impl AsFd) -> io::Result<()> {
        let time = if self.out { PollTimeout::ZERO } else { PollTimeout::from(PATIENCE) };
        self.out = poll(&mut [PollFd::new(end.as_fd(), PollFlags::POLLOUT)], time)? == 0;
        if self.out { Err(io::Error::new(io::ErrorKind::TimedOut, "nobody reads it")) } else { Ok(()) }
    }
}

/// Standard output, written to with patience.
#[expect(clippy::disallowed_types, reason = "only main, config, capture and export touch the world")]
pub(super) struct Stdout {
    file: std::fs::File,
    patience: Patience,
}

impl Stdout {
    #[expect(clippy::disallowed_types, reason = "only main, config, capture and export touch the world")]
    pub(super) fn open() -> io::Result<Self> {
        let end: OwnedFd = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Self { file: std::fs::File::from(end), patience: Patience::default() })
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.patience.wait(&self.file)?;
        self.file.write(bytes.get(..ROOM).unwrap_or(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
