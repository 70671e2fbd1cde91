//! The file that event lines go to, which may begin anew by size, by age, or because someone moved it away.
//!
//! Road taken: FILE becomes FILE.1, which becomes FILE.2, and so on, always between two lines. Whoever follows FILE by its inode,
//! as log shippers and `tail -F` do, misses nothing. Age is the wall clock's: packet time may be a replay's. Road not taken: names
//! with a time in them, which collide when the clock is set back, and tell nothing that the lines do not.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::patience::{Patience, ROOM};

/// When a file of events begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Before it has more bytes than these; a single longer line still goes to a file of its own.
    pub size: Option<u64>,
    /// At the first line after it is as old as this.
    pub age: Option<Duration>,
    /// How many older files stay; the oldest is overwritten. At least 1.
    pub keep: u16,
}

/// A file of lines.
pub(super) struct LogFile {
    path: PathBuf,
    #[expect(clippy::disallowed_types, reason = "only main, config, capture and export touch the world")]
    file: fs::File,
    rotation: Option<Rotation>,
    now: fn() -> SystemTime,
    size: u64,
    since: SystemTime,
    /// It ends with a whole line.
    whole: bool,
    /// Of whoever reads it, where it is no plain file.
    reader: Option<Patience>,
}

impl LogFile {
    /// Opens a file; what it holds stays if `keep`.
    pub(super) fn open(path: &Path, keep: bool) -> io::Result<Self> {
        let file = match keep {
            true => appending(path)?,
            false => OpenOptions::new().write(true).create(true).truncate(true).open(path)?,
        };
        let mut opened = Self { path: path.to_owned(), file, rotation: None, now: wall, size: 0, since: wall(), whole: true, reader: None };
        opened.learn();
        opened.reader = (keep && !opened.is_plain()).then(Patience::default);
        Ok(opened)
    }

    /// Lets it begin anew from now on.
    pub(super) fn rotating(&mut self, rotation: Rotation) -> io::Result<()> {
        if !self.is_plain() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file, and cannot be rotated"));
        }
        self.rotation = Some(rotation);
        Ok(())
    }

    /// How many of these bytes, which begin where the last write ended, belong into the present file: to the end of a line, if
    /// there is one. Before that it is rotated, if it is time; if that fails, the present file goes on and the error is told.
    pub(super) fn room(&mut self, lines: &[u8]) -> (usize, io::Result<()>) {
        let first = lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| end + 1);
        let Some(rotation) = self.rotation else { return (lines.len(), Ok(())) };
        if !self.whole {
            return (first, Ok(()));
        }
        let rotated = if self.is_due(rotation, first) { self.rotate(rotation.keep) } else { Ok(()) };
        let (Some(most), Ok(())) = (rotation.size, &rotated) else { return (lines.len(), rotated) };
        let room = usize::try_from(most.saturating_sub(self.size)).unwrap_or(usize::MAX);
        let fits = lines.get(..room).unwrap_or(lines).iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        (fits.max(first), rotated)
    }

    fn is_due(&mut self, rotation: Rotation, next: usize) -> bool {
        let now = (self.now)();
        if now < self.since {
            self.since = now; // the clock was set back
        }
        let large = rotation.size.is_some_and(|most| self.size.saturating_add(next as u64) > most);
        let old = rotation.age.is_some_and(|most| now.duration_since(self.since).unwrap_or_default() >= most);
        self.size > 0 && (large || old)
    }

    fn rotate(&mut self, keep: u16) -> io::Result<()> {
        if self.is_in_place() {
            for number in (1..keep).rev() {
                match fs::rename(self.older(number), self.older(number.saturating_add(1))) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            fs::rename(&self.path, self.older(1))?;
        }
        self.reopen()
    }

    /// Opens the file at its path, be it the same or, where someone moved that away, a new one.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = appending(&self.path)?;
        self.learn();
        Ok(())
    }

    /// Whether it is a file on a disk, not a pipe or a device.
    pub(super) fn is_plain(&self) -> bool {
        self.file.metadata().is_ok_and(|of| of.is_file())
    }

    /// Whether it ends with a whole line.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether what is written to is what stands at the path.
    fn is_in_place(&self) -> bool {
        let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        matches!((self.file.metadata(), fs::metadata(&self.path)), (Ok(open), Ok(there)) if same(&open, &there))
    }

    fn older(&self, number: u16) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// Its size and age; and ends the line that a sensor left half-written when the power went.
    fn learn(&mut self) {
        let of = self.file.metadata().ok().filter(fs::Metadata::is_file);
        self.size = of.as_ref().map_or(0, fs::Metadata::len);
        self.since = of.filter(|of| of.len() > 0).and_then(|of| of.created().ok()).unwrap_or_else(self.now);
        self.whole = true;
        let mut last = [b'\n'];
        let end = self.size.checked_sub(1).and_then(|last| self.file.seek(SeekFrom::Start(last)).ok());
        if end.is_some() && self.file.read(&mut last).is_ok_and(|read| read == 1) && last != [b'\n'] {
            self.size = self.size.saturating_add(self.file.write(b"\n").unwrap_or(0) as u64);
        }
    }
}

impl io::Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.reader {
            None => self.file.write(bytes)?,
            Some(reader) => {
                reader.wait(&self.file)?;
                self.file.write(bytes.get(..ROOM).unwrap_or(bytes))?
            }
        };
        self.size = self.size.saturating_add(written as u64);
        if let Some(last) = bytes.get(..written).and_then(<[u8]>::last) {
            self.whole = *last == b'\n';
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[expect(clippy::disallowed_types, reason = "only main, config, capture and export touch the world")]
fn appending(path: &Path) -> io::Result<fs::File> {
    // Readable too, for its last byte; a device may only be written to.
    let open = |read| OpenOptions::new().read(read).append(true).create(true).open(path);
    match fs::metadata(path) {
        // A named pipe that is also open for reading waits for no reader and outlives each of them (fifo(7)).
        Ok(there) if there.file_type().is_fifo() => open(true),
        Ok(there) if !there.is_file() => open(false),
        _ => open(true).or_else(|_| open(false)),
    }
}

fn wall() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "how old a file is, only the wall clock knows")]
    SystemTime::now()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test reads what was written")]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local!(static NOW: Cell<u64> = const { Cell::new(0) });

    fn clock() -> SystemTime {
        wall() + Duration::from_secs(NOW.get())
    }

    fn opened(path: &Path, rotation: Rotation) -> LogFile {
        let mut file = LogFile::open(path, true).unwrap();
        file.rotating(rotation).unwrap();
        file.now = clock;
        file
    }

    /// Writes lines as the log does.
    fn write(file: &mut LogFile, mut lines: &[u8]) {
        while !lines.is_empty() {
            let (room, rotated) = file.room(lines);
            rotated.unwrap();
            let written = file.write(&lines[..room]).unwrap();
            lines = &lines[written..];
        }
    }

    /// What the files hold, the newest first.
    fn held(path: &Path) -> Vec<String> {
        let older =
            |number: usize| PathBuf::from(if number == 0 { path.display().to_string() } else { format!("{}.{number}", path.display()) });
        (0..).map(older).map_while(|path| fs::read_to_string(path).ok()).collect()
    }

    #[test]
    fn by_size_every_line_is_in_one_file_and_no_file_is_larger() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e");
        let mut file = opened(&path, Rotation { size: Some(10), age: None, keep: 9 });
        write(&mut file, b"one\ntwo\nthree\n");
        write(&mut file, b"a line longer than a file may be\n");
        write(&mut file, b"four\nfive\n");
        assert_eq!(held(&path), ["four\nfive\n", "a line longer than a file may be\n", "three\n", "one\ntwo\n"]);
        // A restarted sensor goes on where it was.
        write(&mut opened(&path, Rotation { size: Some(10), age: None, keep: 2 }), b"six\n");
        assert_eq!(held(&path)[..3], ["six\n", "four\nfive\n", "a line longer than a file may be\n"]);
    }

    #[test]
    fn by_age_at_the_next_line_and_an_empty_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e");
        let mut file = opened(&path, Rotation { size: None, age: Some(Duration::from_secs(3600)), keep: 1 });
        NOW.set(4000);
        write(&mut file, b"one\n");
        assert_eq!(held(&path), ["one\n"]);
        NOW.set(8000);
        write(&mut file, b"two\n");
        NOW.set(100); // set back
        write(&mut file, b"three\n");
        assert_eq!(held(&path), ["two\nthree\n", "one\n"]);
        NOW.set(3800);
        write(&mut file, b"four\n");
        assert_eq!(held(&path), ["four\n", "two\nthree\n"], "the oldest is gone");
    }

    #[test]
    fn a_line_is_never_parted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e");
        let mut file = opened(&path, Rotation { size: Some(6), age: Some(Duration::ZERO), keep: 9 });
        file.write_all(b"on").unwrap(); // a nearly full disk took no more
        write(&mut file, b"e and more\ntwo\n");
        assert_eq!(held(&path), ["two\n", "one and more\n"]);
    }

    #[test]
    fn what_a_lost_sensor_left_of_a_line_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e");
        fs::write(&path, "one\ntw").unwrap();
        LogFile::open(&path, true).unwrap().write_all(b"three\n").unwrap();
        assert_eq!(held(&path), ["one\ntw\nthree\n"]);
    }

    #[test]
    fn a_file_that_cannot_be_moved_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e");
        let mut file = opened(&path, Rotation { size: Some(4), age: None, keep: 1 });
        write(&mut file, b"one\n");
        fs::create_dir_all(folder.path().join("e.1/x")).unwrap(); // in the way
        let (room, rotated) = file.room(b"two\n");
        assert!(rotated.is_err());
        file.write_all(&b"two\n"[..room]).unwrap();
        fs::remove_dir_all(folder.path().join("e.1")).unwrap();
        write(&mut file, b"three\n");
        assert_eq!(held(&path), ["three\n", "one\ntwo\n"]);
    }

    #[test]
    fn what_is_no_plain_file_is_not_rotated() {
        let mut null = LogFile::open(Path::new("/dev/null"), true).unwrap();
        assert!(null.rotating(Rotation { size: Some(4), age: None, keep: 1 }).is_err());
    }
}
