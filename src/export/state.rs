//! What survives a restart: whom each device has met, in `DIR/contacts.jsonl`, and one sensor that may write it.
//!
//! Road taken: one file of sorted JSON lines whose last line is the SHA-256 of all before it, written anew beside the old one,
//! synced, and put in its place by a rename (rename(2): there is always one of the two, whole). A person reads it with `jq`, and
//! `head -n -1 contacts.jsonl | sha256sum` checks it. Roads not taken: a log that is appended to, which a kill tears in its last
//! line and which must be folded now and then; a database, whose file nobody reads, for some hundred kilobytes.
//!
//! The lock is on the directory itself: it needs no file, so it holds on a full disk and on one that cannot be written.

use std::fmt::Write as _;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::rfc3339;
use crate::engine::event::Timestamp;
use crate::engine::snapshot::{Contact, ContactRow, Memory};

/// How often `watch` saves, when something changed: the most that a kill can lose.
pub const EVERY: Duration = Duration::from_secs(60);

const FILE: &str = "contacts.jsonl";
const HALF: &str = "contacts.jsonl.tmp";
/// The format. Whoever changes it so that an older program would misread it counts this up.
const VERSION: u32 = 1;
/// Bytes of the largest file that is read: the caps on contacts allow 100 MB. Stops: a device file or a foreign giant.
const LARGEST: u64 = 256 << 20;

/// A state directory that is ours while this lives.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    /// The directory, locked.
    #[expect(clippy::disallowed_types, reason = "only main, config, capture and export touch the world")]
    lock: std::fs::File,
    /// The checksum of what is on the disk.
    saved: Option<String>,
    stats: Arc<Stats>,
}

/// How saving went, for the metrics.
#[derive(Debug, Default)]
pub struct Stats {
    errors: AtomicU64,
    written: AtomicU64,
}

/// The same, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateRow {
    /// Attempts that failed.
    pub errors: u64,
    /// When the file was last written, seconds since the epoch; 0 if never.
    pub written: u64,
}

impl Stats {
    /// How saving has gone so far.
    #[must_use]
    pub fn row(&self) -> StateRow {
        StateRow { errors: self.errors.load(Ordering::Relaxed), written: self.written.load(Ordering::Relaxed) }
    }
}

impl State {
    /// Takes a state directory, which is made if there is none, and loads what it holds. What a killed run left half-written is
    /// removed.
    ///
    /// # Errors
    /// When it cannot be made, read or locked, when another sensor uses it, or when its file is damaged or not ours: then
    /// nothing is changed, and the error says how to mend it.
    pub fn open(folder: &Path) -> Result<(Self, Vec<Memory>)> {
        let shown = folder.display();
        DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| format!("cannot make the state directory {shown}"))?;
        #[expect(clippy::disallowed_types, reason = "only main, config, capture and export touch the world")]
        let lock = std::fs::File::open(folder).with_context(|| format!("cannot open the state directory {shown}"))?;
        lock.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => {
                anyhow!("another whither uses the state directory {shown}; stop it, or give this one its own with --state")
            }
            std::fs::TryLockError::Error(error) => anyhow!("cannot lock the state directory {shown}: {error}"),
        })?;
        // On a disk that cannot be written it stays, and harms nobody.
        let _ = std::fs::remove_file(folder.join(HALF));
        let mut state = Self { folder: folder.to_owned(), lock, saved: None, stats: Arc::default() };
        let memories = state.load()?;
        Ok((state, memories))
    }

    fn load(&mut self) -> Result<Vec<Memory>> {
        let path = self.folder.join(FILE);
        let file = match OpenOptions::new().read(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("cannot read the state {}", path.display())),
        };
        self.note(&file);
        let mut text = String::new();
        let read = file.take(LARGEST).read_to_string(&mut text);
        let parsed = match read {
            Ok(_) => parse(&text),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(anyhow!("it is not text")),
            Err(error) => return Err(error).with_context(|| format!("cannot read the state {}", path.display())),
        };
        let path = path.display();
        let (memories, sum) = parsed.map_err(|error| {
            anyhow!("the state {path} cannot be used: {error}; put a copy in its place, or begin anew: mv {path} {path}.old")
        })?;
        self.saved = Some(sum);
        Ok(memories)
    }

    /// Saves everything, unless the disk holds just that; `true` when it wrote.
    ///
    /// # Errors
    /// When the disk does not take it. What it held before is untouched.
    pub fn save(&mut self, memories: &[Memory]) -> io::Result<bool> {
        let (text, sum) = render(memories);
        if self.saved.as_ref() == Some(&sum) {
            return Ok(false);
        }
        let half = self.folder.join(HALF);
        let written = self.put(&half, text.as_bytes());
        if written.is_err() {
            self.stats.errors.fetch_add(1, Ordering::Relaxed);
            // What is there of it takes room on a full disk.
            let _ = std::fs::remove_file(&half);
        }
        written?;
        self.saved = Some(sum);
        Ok(true)
    }

    fn put(&self, half: &Path, bytes: &[u8]) -> io::Result<()> {
        // A file of an earlier run, or a link that somebody put there, is not written through.
        if let Err(error) = std::fs::remove_file(half)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(half)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(half, self.folder.join(FILE))?;
        self.lock.sync_all()?;
        self.note(&file);
        Ok(())
    }

    /// Notes when a file was written.
    #[expect(clippy::disallowed_types, reason = "only main, config, capture and export touch the world")]
    fn note(&self, file: &std::fs::File) {
        let time = file.metadata().and_then(|metadata| metadata.modified()).ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        if let Some(time) = time {
            self.stats.written.store(time.as_secs(), Ordering::Relaxed);
        }
    }

    /// How saving goes, for the metrics.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    /// Saves in a thread of its own, after each `every` and at the end, what `take` hands over. `say` is told when saving begins
    /// to fail and when it works again, each once, as a whole line.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn keep(
        self,
        every: Duration,
        take: impl Fn() -> Vec<Memory> + Send + 'static,
        say: impl Fn(&str) + Send + 'static,
    ) -> io::Result<Keeper> {
        let (stop, stopped) = sync_channel::<()>(1);
        let thread = std::thread::Builder::new().name("state".to_owned()).spawn(move || {
            let mut fails = Fails { state: self, failing: false };
            while matches!(stopped.recv_timeout(every), Err(RecvTimeoutError::Timeout)) {
                fails.save(&take(), &say);
            }
            fails.save(&take(), &say);
        })?;
        Ok(Keeper { stop, thread })
    }
}

/// A state that complains once.
struct Fails {
    state: State,
    failing: bool,
}

impl Fails {
    fn save(&mut self, memories: &[Memory], say: &impl Fn(&str)) {
        let saved = self.state.save(memories);
        let folder = self.state.folder.display();
        let (failing, line) = match saved {
            Ok(_) => (false, format!("the state in {folder} is saved again")),
            Err(error) => {
                (true, format!("cannot save the state in {folder}: {error}; what devices newly meet is in memory alone until it works"))
            }
        };
        if failing != std::mem::replace(&mut self.failing, failing) {
            say(&line);
        }
    }
}

/// The thread that saves.
#[derive(Debug)]
#[must_use = "the last state is saved when this is stopped"]
pub struct Keeper {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Saves a last time, and waits for that.
    pub fn stop(self) {
        drop(self.stop);
        // A panic there has already been told.
        let _ = self.thread.join();
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    whither: String,
    version: u32,
    devices: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceLine {
    device: String,
    first: String,
    last: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ContactLine {
    device: String,
    kind: String,
    value: String,
    first: String,
    last: String,
    flows: u64,
    told: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Foot {
    sha256: String,
}

/// The file's text, and its checksum.
fn render(memories: &[Memory]) -> (String, String) {
    let mut text = String::new();
    line(&Head { whither: "contacts".to_owned(), version: VERSION, devices: memories.len() }, &mut text);
    for memory in memories {
        let time = |time: Timestamp| rfc3339(time.as_nanos(), 9);
        let device = memory.device.to_string();
        let (first, last) = (time(memory.first), time(memory.last));
        line(&DeviceLine { device: device.clone(), first, last }, &mut text);
        for row in &memory.contacts {
            let (kind, value) = (row.contact.kind().to_owned(), row.contact.value().to_string());
            let (first, last) = (time(row.first), time(row.last));
            line(&ContactLine { device: device.clone(), kind, value, first, last, flows: row.flows, told: row.told }, &mut text);
        }
    }
    let sum = digest(&text);
    line(&Foot { sha256: sum.clone() }, &mut text);
    (text, sum)
}

fn line(of: &impl Serialize, text: &mut String) {
    // Plain structs of text and numbers always serialise.
    text.push_str(&serde_json::to_string(of).unwrap_or_default());
    text.push('\n');
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// What a file holds, and its checksum.
fn parse(text: &str) -> Result<(Vec<Memory>, String)> {
    let foreign = "it is no state of whither";
    let head: Head = text.lines().next().and_then(|line| serde_json::from_str(line).ok()).context(foreign)?;
    if head.whither != "contacts" {
        bail!(foreign);
    }
    if head.version != VERSION {
        bail!("it has format {}, and this whither reads format {VERSION}", head.version);
    }
    let end = text.trim_end_matches('\n').rfind('\n').map_or(0, |at| at.saturating_add(1));
    let (body, foot) = text.split_at_checked(end).context(foreign)?;
    let foot: Foot = serde_json::from_str(foot.trim_end()).ok().context("it is cut short: its last line, the checksum, is not there")?;
    if digest(body) != foot.sha256 {
        bail!("its lines and its checksum do not agree");
    }
    let mut memories: Vec<Memory> = Vec::new();
    for (index, line) in body.lines().enumerate().skip(1) {
        let wrong = || format!("line {} is not what it should be", index.saturating_add(1));
        if let Some((device, row)) = contact(line) {
            let memory = memories.last_mut().filter(|memory| *memory.device == *device);
            memory.with_context(wrong)?.contacts.push(row);
        } else {
            memories.push(device(line).with_context(wrong)?);
        }
    }
    Ok((memories, foot.sha256))
}

fn device(line: &str) -> Option<Memory> {
    let line: DeviceLine = serde_json::from_str(line).ok()?;
    Some(Memory { device: line.device.into(), first: time(&line.first)?, last: time(&line.last)?, contacts: Vec::new() })
}

fn contact(line: &str) -> Option<(String, ContactRow)> {
    let line: ContactLine = serde_json::from_str(line).ok()?;
    let contact = Contact::parse(&line.kind, &line.value)?;
    Some((line.device, ContactRow { contact, first: time(&line.first)?, last: time(&line.last)?, flows: line.flows, told: line.told }))
}

fn time(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_nanosecond()).ok().map(Timestamp::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fixture;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Mutex;

    fn memories() -> Vec<Memory> {
        fixture::scrape().snapshot.contacts
    }

    fn written(folder: &Path) -> Vec<u8> {
        let mut bytes = Vec::new();
        OpenOptions::new().read(true).open(folder.join(FILE)).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn put(folder: &Path, name: &str, bytes: &[u8]) {
        OpenOptions::new().write(true).create(true).truncate(true).open(folder.join(name)).unwrap().write_all(bytes).unwrap();
    }

    #[test]
    fn what_is_saved_is_loaded_and_only_its_owner_may_read_it() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/b");
        let (mut state, loaded) = State::open(&folder).unwrap();
        assert_eq!(loaded, []);
        assert!(state.save(&memories()).unwrap());
        assert!(!state.save(&memories()).unwrap(), "nothing changed");
        assert!(state.stats().row().written > 1_700_000_000);
        drop(state);
        let (mut state, loaded) = State::open(&folder).unwrap();
        assert_eq!(loaded, memories());
        assert!(!state.save(&memories()).unwrap(), "the disk holds just that");
        assert!(state.stats().row().written > 1_700_000_000);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&folder.join(FILE))), (0o700, 0o600));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn the_file_is_sorted_lines_that_a_person_can_check() {
        let (text, sum) = render(&memories());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], r#"{"whither":"contacts","version":1,"devices":1}"#);
        assert_eq!(
            lines[1],
            r#"{"device":"02:00:00:00:00:0a","first":"2021-09-21T04:53:20.000000000Z","last":"2021-09-21T04:54:50.000000000Z"}"#
        );
        assert_eq!(
            lines[2],
            r#"{"device":"02:00:00:00:00:0a","kind":"country","value":"SG","first":"2021-09-21T04:53:21.000000000Z","last":"2021-09-21T04:54:20.000000000Z","flows":1,"told":true}"#
        );
        assert_eq!(lines.len(), 7);
        assert_eq!(lines[6], format!(r#"{{"sha256":"{sum}"}}"#));
        let body = text.strip_suffix(&format!("{}\n", lines[6])).unwrap();
        assert_eq!(digest(body), sum, "as head and sha256sum see it");
        assert_eq!(render(&[]).0.lines().count(), 2);
        assert_eq!(digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn what_is_damaged_or_foreign_is_refused_with_a_way_out_and_left_as_it_is() {
        let (whole, _) = render(&memories());
        let cut = whole.get(..whole.len() - 90).unwrap();
        let changed = whole.replace("\"SG\"", "\"DE\"");
        let newer = whole.replace("\"version\":1", "\"version\":2");
        for (bytes, word) in [
            (b"".as_slice(), "no state of whither"),
            (b"PRIVATE NOTES\n", "no state of whither"),
            (b"{\"a\":1}\n", "no state of whither"),
            (b"\xff\xfe\0", "not text"),
            (cut.as_bytes(), "cut short"),
            (changed.as_bytes(), "do not agree"),
            (newer.as_bytes(), "format 2"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            put(folder.path(), FILE, bytes);
            let error = format!("{:#}", State::open(folder.path()).unwrap_err());
            assert!(error.contains(word) && error.contains("mv ") && error.lines().count() == 1, "{error}");
            assert_eq!(written(folder.path()), bytes);
        }
        // A right checksum over what makes no sense.
        for (from, to, line) in
            [("\"asn\"", "\"city\"", "line 4"), ("2021-09-21T04:53:21.0", "today", "line 3"), ("0a\",\"kind", "0b\",\"kind", "line 3")]
        {
            let body = whole.rsplit_once("{\"sha256").unwrap().0.replace(from, to);
            let error = parse(&format!("{body}{{\"sha256\":\"{}\"}}\n", digest(&body))).unwrap_err();
            assert!(error.to_string().contains(line), "{error}");
        }
    }

    #[test]
    fn every_cut_of_the_file_is_noticed() {
        let (whole, _) = render(&memories());
        for end in (0..whole.len() - 1).filter(|end| whole.is_char_boundary(*end)) {
            assert!(parse(whole.get(..end).unwrap()).is_err(), "cut at {end}");
        }
        assert!(parse(&whole).is_ok());
    }

    #[test]
    fn what_a_killed_run_left_half_written_is_removed_and_harms_nothing() {
        let folder = tempfile::tempdir().unwrap();
        State::open(folder.path()).unwrap().0.save(&memories()).unwrap();
        put(folder.path(), HALF, b"{\"whither\":\"cont");
        let (_state, loaded) = State::open(folder.path()).unwrap();
        assert_eq!(loaded, memories());
        assert!(!folder.path().join(HALF).exists());
    }

    #[test]
    fn two_sensors_do_not_share_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        let first = State::open(folder.path()).unwrap();
        let error = format!("{:#}", State::open(folder.path()).unwrap_err());
        assert!(error.contains("another whither") && error.contains("--state"), "{error}");
        drop(first);
        State::open(folder.path()).unwrap();
    }

    #[test]
    fn a_file_in_its_place_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = format!("{:#}", State::open(file.path()).unwrap_err());
        assert!(error.contains("cannot make the state directory"), "{error}");
        assert!(State::open(Path::new("/proc/none/state")).is_err());
    }

    #[test]
    fn a_disk_that_takes_nothing_is_told_once_and_once_more_when_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let (state, _) = State::open(folder.path()).unwrap();
        let stats = state.stats();
        let said = Mutex::new(Vec::new());
        let say = |line: &str| said.lock().unwrap().push(line.to_owned());
        let mut fails = Fails { state, failing: false };
        fails.save(&memories()[..0], &say);
        // A directory in the place of the half-written file cannot be removed as a file, nor written to.
        std::fs::create_dir(folder.path().join(HALF)).unwrap();
        (0..3).for_each(|_| fails.save(&memories(), &say));
        assert_eq!(stats.row().errors, 3);
        std::fs::remove_dir(folder.path().join(HALF)).unwrap();
        (0..2).for_each(|_| fails.save(&memories(), &say));
        let said = said.into_inner().unwrap();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("cannot save the state in ") && said[1].ends_with("is saved again"), "{said:?}");
        drop(fails);
        assert_eq!(State::open(folder.path()).unwrap().1, memories());
    }

    #[test]
    fn a_keeper_saves_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (state, _) = State::open(folder.path()).unwrap();
        let keeper = state.keep(Duration::from_secs(3_600), memories, |line| panic!("{line}")).unwrap();
        keeper.stop();
        assert_eq!(State::open(folder.path()).unwrap().1, memories());
    }
}
