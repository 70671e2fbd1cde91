//! `whither mark`: tells a sensor that is watching what happens now; and the near end of that, the sensor's.
//!
//! Road taken: a FIFO, which file permissions guard, which `echo` can write to, and which needs no call that the sandbox forbids. Roads not
//! taken: POST on the pages' port, which only reads; a socket, which needs a program at both ends.

use std::io::Write as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::libc;
use whither::config::Mark as Asked;
use whither::mark::Mark;
use whither::packet::Timestamp;

/// Tells it.
pub(crate) fn run(asked: &Asked) -> Result<()> {
    let text = asked.text.as_deref().or(asked.phase.map(whither::mark::Phase::as_str)).unwrap_or_default();
    let Some(mark) = Mark::new(now(), text) else { bail!("a mark says something: whither mark \"screen on\"") };
    let device = asked.device.as_deref().map(|words| Mark::new(now(), words).with_context(|| "a device has a name".to_owned()));
    let mark = Mark { device: device.transpose()?.map(|words| words.text), phase: asked.phase, ..mark };
    let path = &asked.mark_pipe;
    let opened = std::fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path);
    let mut pipe = opened.map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENXIO) => anyhow::anyhow!("nobody takes marks from {}: is `whither watch --mark-pipe` running?", path.display()),
        _ => anyhow::Error::new(error).context(format!("cannot write to {}; name the sensor's FIFO with --mark-pipe", path.display())),
    })?;
    if !pipe.metadata()?.file_type().is_fifo() {
        bail!("{} is no FIFO: nobody would read the mark", path.display());
    }
    pipe.write_all(mark.to_line().as_bytes()).with_context(|| format!("cannot write to {}", path.display()))
}

fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "a mark is of now")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().plus(now)
}

#[cfg(feature = "live")]
pub(super) use pipe::Pipe;

#[cfg(feature = "live")]
mod pipe {
    use std::io::{ErrorKind, Read as _};
    use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
    use std::path::Path;
    use std::time::Duration;

    use anyhow::{Context as _, Result, bail};
    use nix::libc;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use whither::mark::{LONGEST, Mark};
    use whither::packet::Timestamp;

    use super::now;

    /// Marks taken in one turn. Stops: who writes without end holding up the capture; the rest waits in the FIFO, and then the writer.
    const AT_ONCE: usize = 64;
    /// How long ago a line may say that it was: a turn, and a machine that is busy.
    const LATE: Duration = Duration::from_secs(10);

    /// The FIFO that marks come from.
    #[derive(Debug)]
    pub(crate) struct Pipe {
        #[expect(clippy::disallowed_types, reason = "only main, config, capture and export touch the world")]
        file: std::fs::File,
        /// What was read of lines that have not ended.
        held: Vec<u8>,
        /// The line that comes was too long: the rest of it is passed over.
        skipping: bool,
    }

    impl Pipe {
        /// Opens the FIFO; makes it, and its directory, if there is none. To be called before the process is confined.
        pub(crate) fn open(path: &Path) -> Result<Self> {
            let cannot = || format!("cannot take marks from {}", path.display());
            match std::fs::symlink_metadata(path) {
                Ok(there) if !there.file_type().is_fifo() => bail!("{}: it is no FIFO", cannot()),
                Ok(_) => {}
                Err(_) => {
                    path.parent().map_or(Ok(()), std::fs::create_dir_all).with_context(cannot)?;
                    mkfifo(path, Mode::from_bits_truncate(0o660)).with_context(cannot)?;
                }
            }
            // Open for writing too: so it outlives each writer (fifo(7)).
            let file = std::fs::OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path);
            Ok(Self { file: file.with_context(cannot)?, held: Vec::new(), skipping: false })
        }

        /// The marks that have come. A line that says another time than about now was not written now, and is taken for now.
        pub(crate) fn take(&mut self) -> Vec<Mark> {
            let mut buffer = [0; LONGEST];
            let mut marks = Vec::new();
            while marks.len() < AT_ONCE {
                let count = match self.file.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => count,
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(_) => break, // there is no more for now
                };
                for line in buffer.get(..count).unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
                    marks.extend(self.line(line, now()));
                }
            }
            marks
        }

        fn line(&mut self, piece: &[u8], now: Timestamp) -> Option<Mark> {
            let ends = piece.last() == Some(&b'\n');
            if !self.skipping {
                let room = LONGEST.saturating_sub(self.held.len());
                self.held.extend_from_slice(piece.get(..room).unwrap_or(piece));
                self.skipping = piece.len() > room;
            }
            if !ends {
                return None;
            }
            self.skipping = false;
            let mark = Mark::from_line(&std::mem::take(&mut self.held), now)?;
            let is_now = mark.time <= now && now.since(mark.time) <= LATE;
            Some(if is_now { mark } else { Mark { time: Mark::new(now, "now")?.time, ..mark } })
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::io::Write as _;

        #[test]
        fn what_is_written_is_told_line_by_line_and_a_line_without_end_is_one_mark() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("marks");
            let mut pipe = Pipe::open(&path).unwrap();
            let mut writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            let mut told = |text: &[u8]| {
                writer.write_all(text).unwrap();
                pipe.take().into_iter().map(|mark| mark.text.to_string()).collect::<Vec<_>>()
            };
            assert_eq!(told(b"screen on\nscreen"), ["screen on"]);
            assert_eq!(told(b" off\n\n"), ["screen off"]);
            assert_eq!(told(&[b'x'; 20_000]), Vec::<String>::new());
            assert_eq!(told(b"x\nnext\n"), ["x".repeat(256), "next".to_owned()]);
            let long_ago = pipe_marks(&mut pipe, &mut writer, br#"{"text": "a", "time": 5}"#);
            assert!(long_ago[0].time.as_nanos() > 1_700_000_000_000_000_000, "{long_ago:?}");
            drop(writer);
            assert_eq!(pipe.take(), []);
            assert!(Pipe::open(&path.join("marks")).is_err(), "it is in no directory");
        }

        #[expect(clippy::disallowed_types, reason = "a test writes to the FIFO that it made")]
        fn pipe_marks(pipe: &mut Pipe, writer: &mut std::fs::File, line: &[u8]) -> Vec<Mark> {
            writer.write_all(line).unwrap();
            writer.write_all(b"\n").unwrap();
            pipe.take()
        }
    }
}
