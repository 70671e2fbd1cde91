//! What was captured, kept: a ring of pcapng files in a directory, each whole by itself.
//!
//! Road taken: the thread that captures copies a turn's frames into a batch and hands it over a bounded queue; a thread of the recorder's
//! own writes them, so a disk that stands still (a sync, a cheap card) holds up no capture: what finds no room is dropped and counted,
//! in the metrics and in the file's own statistics. A batch is written at once when it comes, whole blocks at a time, so a killed
//! sensor's file ends with a whole block or with the one that was being written, and the next start cuts that one off. Roads not
//! taken: writing in the capture's thread, which saves a copy and loses packets whenever the disk waits; `dumpcap` beside the sensor,
//! a second capture with other losses and no marks.
//!
//! Files are numbered in the order of writing, since a clock may be set back. The oldest go first, so that all together never take more than
//! what was asked for: tiny files of a sensor that starts again and again push out no day.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, anyhow, bail};

use prometheus::proto::MetricType::COUNTER;

use super::pcapng::{Captured, Counts, Source, Writer};
use super::prometheus::Family;
use super::rfc3339;
use crate::mark::Mark;

/// Bytes of frames in a batch, more or less.
const BATCH: usize = 256 << 10;
/// Batches that wait for the writer: 16 MiB. Stops: a disk that stands still filling the memory.
const QUEUE: usize = 64;
/// Bytes written at once.
const CHUNK: usize = 256 << 10;
/// Nanoseconds after which a file says again what was lost, also where nothing was: a killed sensor's would say nothing.
const TOLD: u64 = 60_000_000_000;
/// Files in the ring at most, whatever their size. Stops: a sensor that starts again and again filling the directory.
const MOST_FILES: usize = 10_000;
/// How the files are called: `whither-00000042-20261130T101500Z.pcapng`.
const BEGIN: &str = "whither-";
const END: &str = ".pcapng";

#[rustfmt::skip] // a table: one metric, one row of three lines
pub(super) const FAMILIES: &[Family] = &[
    Family { name: "record_bytes_total", kind: COUNTER, labels: &[],
        samples: |from, to| if let Some(row) = from.record { to.add([], row.bytes) },
        help: "Bytes of captures written to the directory of --record." },
    Family { name: "record_dropped_packets_total", kind: COUNTER, labels: &[],
        samples: |from, to| if let Some(row) = from.record { to.add([], row.dropped) },
        help: "Packets that were to be recorded and were not: the disk was too slow, or full." },
    Family { name: "record_packets_total", kind: COUNTER, labels: &[],
        samples: |from, to| if let Some(row) = from.record { to.add([], row.packets) },
        help: "Packets written to the directory of --record." },
];

/// What to keep, and how much of it.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Bytes of one file at most; a single larger frame still goes into a file of its own.
    pub size: u64,
    /// How old a file may become.
    pub age: Option<Duration>,
    /// Bytes of all files together at most.
    pub total: u64,
    /// Where the frames come from, as each file says.
    pub source: Source,
    /// What is left out, in words for whoever opens a file.
    pub notes: Vec<String>,
}

/// How recording goes, for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordRow {
    /// Packets written.
    pub packets: u64,
    /// Bytes of files written.
    pub bytes: u64,
    /// Packets that the recorder dropped: the disk was too slow, or full.
    pub dropped: u64,
}

/// The same, as it goes on.
#[derive(Debug, Default)]
pub struct Stats {
    packets: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicU64,
}

impl Stats {
    /// How it has gone so far.
    #[must_use]
    pub fn row(&self) -> RecordRow {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        RecordRow { packets: of(&self.packets), bytes: of(&self.bytes), dropped: of(&self.dropped) }
    }
}

/// What there is to say of the recorder.
#[derive(Debug)]
pub enum News<'a> {
    /// Nothing can be written; from now on packets are dropped and counted.
    Failed(&'a io::Error),
    /// They are written again; so many were dropped meanwhile.
    Again(u64),
}

/// The files of a ring, the oldest first. What else lies in the directory is none of it.
///
/// # Errors
/// When the directory cannot be read.
pub fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        found.extend(number(&path).map(|number| (number, path)));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(BEGIN)?.strip_suffix(END)?.split('-').next()?.parse().ok()
}

/// What passes the queue.
#[derive(Debug, Default)]
struct Batch {
    items: Vec<Item>,
    /// The frames' bytes, one behind the other.
    bytes: Vec<u8>,
    packets: u64,
}

#[derive(Debug)]
enum Item {
    Packet {
        nanos: u64,
        linktype: i32,
        wire_len: u32,
        length: usize,
    },
    Mark(Mark),
    /// What was captured and lost since the capture was opened, and when that was asked.
    Counts(u64, Counts),
}

/// The near end: takes what is captured. Never waits.
#[derive(Debug)]
pub struct Recorder {
    sender: SyncSender<Batch>,
    batch: Batch,
    stats: Arc<Stats>,
    writer: JoinHandle<()>,
}

impl Recorder {
    /// Takes a directory, which is made if there is none, and begins a file in it. What a killed run left of a block is cut off. `tell`
    /// hears of each outage once, and of its end.
    ///
    /// # Errors
    /// When it cannot be made, read, locked or written in, or when another sensor uses it.
    pub fn open(folder: &Path, rules: Rules, tell: impl FnMut(News<'_>) + Send + 'static) -> Result<Self> {
        let ring = Ring::open(folder, rules)?;
        let stats = Arc::clone(&ring.stats);
        let (sender, inbox) = sync_channel(QUEUE);
        let writer = std::thread::Builder::new().name("record".to_owned()).spawn(move || ring.run(&inbox, tell))?;
        Ok(Self { sender, batch: Batch::default(), stats, writer })
    }

    /// How it goes.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    /// Takes a frame.
    pub fn packet(&mut self, packet: Captured<'_>) {
        if self.batch.bytes.len() >= BATCH && !self.flush() {
            self.stats.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let Captured { nanos, linktype, wire_len, data } = packet;
        self.batch.bytes.extend_from_slice(data);
        self.batch.items.push(Item::Packet { nanos, linktype, wire_len, length: data.len() });
        self.batch.packets = self.batch.packets.saturating_add(1);
    }

    /// Takes a mark.
    pub fn mark(&mut self, mark: Mark) {
        self.batch.items.push(Item::Mark(mark));
    }

    /// Takes what the capture counts, at some moment, nanoseconds since the epoch.
    pub fn counts(&mut self, nanos: u64, counts: Counts) {
        // Of several that wait for room the last says all.
        match self.batch.items.last_mut() {
            Some(Item::Counts(at, known)) => (*at, *known) = (nanos, counts),
            _ => self.batch.items.push(Item::Counts(nanos, counts)),
        }
    }

    /// Hands over what there is: at the end of each turn. False when there is no room; then it is kept for the next.
    pub fn flush(&mut self) -> bool {
        if self.batch.items.is_empty() {
            return true;
        }
        match self.sender.try_send(std::mem::take(&mut self.batch)) {
            Ok(()) => true,
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => {
                self.batch = batch;
                false
            }
        }
    }

    /// Writes what waits and ends the file.
    pub fn finish(self) {
        // A writer that panicked has told so.
        let _ = self.sender.send(self.batch);
        drop(self.sender);
        let _ = self.writer.join();
    }
}

/// The far end.
struct Ring {
    folder: PathBuf,
    rules: Rules,
    stats: Arc<Stats>,
    /// Held as long as the ring: two sensors would remove each other's files.
    #[expect(clippy::disallowed_types, reason = "only main, config, capture and export touch the world")]
    _lock: fs::File,
    /// The older files and their sizes, the oldest first.
    older: Vec<(PathBuf, u64)>,
    next: u64,
    current: Option<Current>,
    /// The last that the capture counted.
    counts: Counts,
    counted: u64,
    /// What of that and of our own losses stands in files: the next one goes on from there, also where none could be begun for long.
    written: Counts,
}

/// The file that is written.
struct Current {
    #[expect(clippy::disallowed_types, reason = "only main, config, capture and export touch the world")]
    file: fs::File,
    path: PathBuf,
    writer: Writer<Vec<u8>>,
    /// Whole blocks in the file, bytes.
    whole: u64,
    since: SystemTime,
    /// Packets in `writer`, not in the file yet.
    waiting: u64,
    /// What had been counted when it began.
    base: Counts,
    /// What of that was told in it, and when, nanoseconds since the epoch.
    told: Counts,
    told_at: u64,
    /// What `writer` holds of that, as counted from the start.
    telling: Option<Counts>,
}

impl Ring {
    fn open(folder: &Path, rules: Rules) -> Result<Self> {
        let shown = folder.display();
        if rules.total < rules.size {
            bail!("--record-max-total is less than --record-max-size: no file could become that large");
        }
        DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| format!("cannot make the directory {shown}"))?;
        #[expect(clippy::disallowed_types, reason = "only main, config, capture and export touch the world")]
        let lock = fs::File::open(folder).with_context(|| format!("cannot open the directory {shown}"))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => anyhow!("another whither uses the directory {shown}; stop it, or give this one its own"),
            fs::TryLockError::Error(error) => anyhow!("cannot lock the directory {shown}: {error}"),
        })?;
        let found = files(folder).with_context(|| format!("cannot read the directory {shown}"))?;
        if let Some(last) = found.last() {
            // On a disk that cannot be written it stays as it is, and is read up to there.
            let _ = mend(last);
        }
        let next = found.last().and_then(|path| number(path)).map_or(1, |last| last.saturating_add(1));
        let older = found.into_iter().map(|path| (fs::metadata(&path).map_or(0, |of| of.len()), path)).map(|(size, path)| (path, size));
        let mut ring = Self {
            folder: folder.to_owned(),
            rules,
            stats: Arc::default(),
            _lock: lock,
            older: older.collect(),
            next,
            current: None,
            counts: Counts::default(),
            counted: 0,
            written: Counts::default(),
        };
        ring.begin().with_context(|| format!("cannot write in the directory {shown}"))?;
        Ok(ring)
    }

    fn run(mut self, inbox: &Receiver<Batch>, mut tell: impl FnMut(News<'_>)) {
        let mut failing: Option<u64> = None;
        for batch in inbox {
            let before = self.stats.dropped.load(Ordering::Relaxed);
            let done = self.take(&batch);
            match (done, failing) {
                (Err(error), None) => {
                    failing = Some(before);
                    tell(News::Failed(&error));
                }
                (Ok(()), Some(before)) if batch.packets > 0 => {
                    failing = None;
                    tell(News::Again(self.stats.dropped.load(Ordering::Relaxed).saturating_sub(before)));
                }
                _ => {}
            }
        }
        let _ = self.end();
    }

    /// Writes a batch. What cannot be written is dropped and counted; the first reason is given back.
    fn take(&mut self, batch: &Batch) -> io::Result<()> {
        let mut rest = &batch.bytes[..];
        let mut done = Ok(());
        for item in &batch.items {
            let data = match item {
                Item::Packet { length, .. } => rest.split_off(..*length).unwrap_or_default(),
                _ => &[],
            };
            if let Err(error) = self.put(item, data) {
                done = done.and(Err(error));
            }
        }
        let flushed = self.flush();
        done.and(flushed)
    }

    fn put(&mut self, item: &Item, data: &[u8]) -> io::Result<()> {
        if let Item::Counts(nanos, counts) = item {
            (self.counted, self.counts) = (*nanos, *counts);
            let due = self.current.as_ref().is_some_and(|current| nanos.saturating_sub(current.told_at) >= TOLD);
            return self.tell_counts(due);
        }
        let room = self.room(data.len());
        let Some(current) = &mut self.current else {
            self.drop_packets(u64::from(matches!(item, Item::Packet { .. })));
            return room;
        };
        let written = match item {
            Item::Packet { nanos, linktype, wire_len, .. } => {
                current.waiting = current.waiting.saturating_add(1);
                let packet = Captured { nanos: *nanos, linktype: *linktype, wire_len: *wire_len, data };
                current.writer.from(&self.rules.source, packet)
            }
            Item::Mark(mark) => current.writer.mark(mark),
            Item::Counts(..) => Ok(()),
        };
        written?;
        if self.current.as_ref().is_some_and(|current| current.writer.held() >= CHUNK) {
            return self.flush();
        }
        room
    }

    /// Makes room for a frame: in this file, or in another.
    fn room(&mut self, length: usize) -> io::Result<()> {
        /// A block of a packet beside its data, and the statistics at the end.
        const BESIDE: u64 = 256;
        let Some(current) = &mut self.current else { return self.begin() };
        let held = current.whole.saturating_add(current.writer.held() as u64);
        let large = held.saturating_add(length as u64).saturating_add(BESIDE) > self.rules.size;
        let now = wall();
        if now < current.since {
            current.since = now; // the clock was set back
        }
        let old = self.rules.age.is_some_and(|most| now.duration_since(current.since).unwrap_or_default() >= most);
        if (large || old) && !current.is_fresh() {
            let ended = self.end();
            return self.begin().and(ended);
        }
        Ok(())
    }

    /// Begins a file, for which the oldest make room.
    fn begin(&mut self) -> io::Result<()> {
        let taken = |older: &[(PathBuf, u64)]| older.iter().fold(0_u64, |sum, (_, size)| sum.saturating_add(*size));
        while !self.older.is_empty()
            && (taken(&self.older).saturating_add(self.rules.size) > self.rules.total || self.older.len() >= MOST_FILES)
        {
            let (path, _) = self.older.remove(0);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.older.insert(0, (path, 0)); // its room is not ours any more, and is asked for again
                    return Err(error);
                }
                _ => {}
            }
        }
        let since = wall();
        let nanos = since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let stamp = rfc3339(u64::try_from(nanos).unwrap_or(u64::MAX), 0).replace(['-', ':'], "");
        let path = self.folder.join(format!("{BEGIN}{:08}-{stamp}{END}", self.next));
        let file = OpenOptions::new().append(true).create_new(true).open(&path)?;
        self.next = self.next.saturating_add(1);
        let mut writer = Writer::noted(Vec::new(), &self.rules.notes)?;
        writer.describe(&self.rules.source)?;
        let (base, told) = (self.written, Counts::default());
        self.current = Some(Current { file, path, writer, whole: 0, since, waiting: 0, base, told, told_at: 0, telling: None });
        self.flush()
    }

    /// Ends the file, with what was lost while it was written.
    fn end(&mut self) -> io::Result<()> {
        let told = self.tell_counts(true);
        let flushed = self.flush();
        if let Some(current) = self.current.take() {
            self.older.push((current.path, current.whole));
        }
        told.and(flushed)
    }

    /// Writes what was lost, when that is more than the file says, or `always`.
    fn tell_counts(&mut self, always: bool) -> io::Result<()> {
        let now = Counts { recorder: self.stats.dropped.load(Ordering::Relaxed), ..self.counts };
        let Some(current) = &mut self.current else { return Ok(()) };
        let since = now.since(current.base);
        if !always && since.lost() <= current.told.lost() {
            return Ok(());
        }
        (current.told, current.told_at, current.telling) = (since, self.counted, Some(now));
        current.writer.counts(self.counted, since)
    }

    /// Writes what is held. Where the disk takes it in part, that part is taken back, so that the file stays whole.
    fn flush(&mut self) -> io::Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let bytes = current.writer.take();
        let (waiting, telling) = (std::mem::take(&mut current.waiting), current.telling.take());
        match current.file.write_all(&bytes) {
            Ok(()) => {
                self.written = telling.unwrap_or(self.written);
                current.whole = current.whole.saturating_add(bytes.len() as u64);
                self.stats.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                self.stats.packets.fetch_add(waiting, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                let whole = current.whole;
                current.told = self.written.since(current.base);
                if current.file.set_len(whole).is_err() || whole == 0 {
                    // A file that cannot be whole, or has no head: the next try begins another.
                    if let Some(current) = self.current.take() {
                        let _ = fs::remove_file(&current.path).ok().filter(|()| whole == 0);
                        self.older.extend(Some((current.path, whole)).filter(|(_, whole)| *whole > 0));
                    }
                }
                self.drop_packets(waiting);
                Err(error)
            }
        }
    }

    fn drop_packets(&self, packets: u64) {
        self.stats.dropped.fetch_add(packets, Ordering::Relaxed);
    }
}

impl Current {
    /// Nothing but the head is in it.
    fn is_fresh(&self) -> bool {
        self.waiting == 0 && self.writer.packets() == 0
    }
}

/// Cuts off what a killed sensor left of a block: a file of ours is blocks, each with its length at both ends.
fn mend(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let size = file.metadata()?.len();
    let mut whole = 0_u64;
    loop {
        let mut head = [0; 8];
        file.seek(SeekFrom::Start(whole))?;
        if file.read_exact(&mut head).is_err() {
            break;
        }
        let [.., a, b, c, d] = head;
        let length = u64::from(u32::from_le_bytes([a, b, c, d]));
        let end = whole.saturating_add(length);
        if length < 12 || end > size {
            break;
        }
        whole = end;
    }
    if whole < size { file.set_len(whole) } else { Ok(()) }
}

fn wall() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "how old a file is, only the wall clock knows")]
    SystemTime::now()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test reads what was written")]
mod tests {
    use super::*;
    use crate::capture::file::{File, Item};
    use crate::capture::statistics::Lost;
    use crate::packet::Timestamp;

    const SECOND: u64 = 1_780_272_000_000_000_000;

    fn rules(size: u64, total: u64) -> Rules {
        let source = Source { interface: "ap0".to_owned(), linktype: 1, snaplen: 4_096, filter: Some("ip or arp".to_owned()) };
        Rules { size, age: None, total, source, notes: vec!["a note".to_owned()] }
    }

    fn open(folder: &Path, size: u64, total: u64) -> Recorder {
        Recorder::open(folder, rules(size, total), |news| panic!("{news:?}")).unwrap()
    }

    /// Hands a frame over, however long the disk takes: a test waits where a capture drops.
    fn keep(recorder: &mut Recorder, number: u64, data: &[u8]) {
        recorder.packet(Captured { nanos: SECOND + number * 1_000_000, linktype: 1, wire_len: 1_500, data });
        while !recorder.flush() {
            std::thread::yield_now();
        }
    }

    /// The numbers of the frames in a file, which stand in their first bytes; what the file says that was lost; the marks.
    fn held(path: &Path) -> (Vec<u64>, Lost, Vec<Mark>) {
        let (mut numbers, mut marks) = (Vec::new(), Vec::new());
        let mut file = File::open(path).unwrap();
        file.read(&mut |item| match item {
            Item::Frame(frame) => {
                assert_eq!(frame.wire_len, 1_500);
                numbers.push(u64::from_be_bytes(*frame.data.first_chunk().unwrap()));
            }
            Item::Mark(_, mark) => marks.push(mark),
            Item::Unreadable(..) => panic!("all of it is Ethernet"),
        })
        .unwrap_or_else(|damage| panic!("{}: {damage}", path.display()));
        (numbers, file.lost(), marks)
    }

    #[test]
    fn the_ring_has_a_bound_and_each_file_is_whole_by_itself() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("ring");
        let write = |from: u64, to: u64| {
            let mut recorder = open(&folder, 64_000, 256_000);
            for number in from..to {
                let mut data = [7; 500];
                data[..8].copy_from_slice(&number.to_be_bytes());
                keep(&mut recorder, number, &data);
            }
            recorder.finish();
        };
        write(0, 1_000);
        write(1_000, 1_020); // a sensor that starts again goes on
        let ring = files(&folder).unwrap();
        let sizes: Vec<u64> = ring.iter().map(|path| fs::metadata(path).unwrap().len()).collect();
        assert!(sizes.iter().all(|size| *size <= 64_000) && sizes.iter().sum::<u64>() <= 256_000, "{sizes:?}");
        let numbers: Vec<u64> = ring.iter().flat_map(|path| held(path).0).collect();
        let first = numbers[0];
        assert!(first > 500 && first < 800, "the oldest made room: {first}");
        assert_eq!(numbers, (first..1_020).collect::<Vec<_>>(), "the rest is there, in order");
        // Nobody else may write there meanwhile.
        let one = open(&folder, 64_000, 256_000);
        let error = Recorder::open(&folder, rules(64_000, 256_000), |_| {}).unwrap_err();
        assert!(error.to_string().contains("another whither"), "{error}");
        one.finish();
        assert!(Recorder::open(&folder, rules(64_001, 64_000), |_| {}).is_err());
    }

    #[test]
    fn what_was_lost_and_said_stands_in_the_file_it_belongs_to() {
        let place = tempfile::tempdir().unwrap();
        let mut recorder = open(place.path(), 64_000, 1 << 30);
        let mark = Mark::new(Timestamp::from_nanos(SECOND), "screen on").unwrap();
        for number in 0..200 {
            let mut data = [7; 500];
            data[..8].copy_from_slice(&u64::to_be_bytes(number));
            if number == 10 {
                recorder.mark(mark.clone());
            }
            if number == 20 || number == 150 {
                recorder.counts(SECOND, Counts { received: number, kernel: number, interface: 1, recorder: 0 });
            }
            keep(&mut recorder, number, &data);
        }
        recorder.finish();
        let told: Vec<_> = files(place.path()).unwrap().iter().map(|path| held(path)).collect();
        assert_eq!(told.len(), 2);
        assert_eq!((told[0].1.system, told[0].1.interface), (Some(20), Some(1)));
        assert_eq!((told[1].1.system, told[1].1.interface), (Some(130), Some(0)), "counted since the file began");
        assert_eq!((&told[0].2, &told[1].2), (&vec![mark], &Vec::new()));
    }

    /// The power goes, or somebody kills it: whatever is left of the last block is cut off by the next start, wherever it was torn.
    #[test]
    fn a_torn_file_is_mended() {
        let place = tempfile::tempdir().unwrap();
        let mut whole = open(place.path(), 64_000, 1 << 30);
        for number in 0..3 {
            let mut data = [7; 100];
            data[..8].copy_from_slice(&u64::to_be_bytes(number));
            keep(&mut whole, number, &data);
        }
        whole.finish();
        let path = files(place.path()).unwrap().remove(0);
        let bytes = fs::read(&path).unwrap();
        let mut counts = Vec::new();
        for cut in 0..bytes.len() {
            fs::write(&path, &bytes[..cut]).unwrap();
            let next = open(place.path(), 64_000, 1 << 30);
            next.finish();
            let ring = files(place.path()).unwrap();
            let read = File::open(&path).ok().map(|mut file| {
                let mut packets = 0;
                file.read(&mut |_| packets += 1).unwrap_or_else(|damage| panic!("cut at {cut}: {damage}"));
                packets
            });
            counts.push(read);
            ring[1..].iter().for_each(|path| fs::remove_file(path).unwrap());
        }
        counts.dedup();
        assert_eq!(counts, [None, Some(0), Some(1), Some(2), Some(3)], "all that was whole is read");
    }

    #[test]
    fn an_old_file_is_ended_though_it_is_small() {
        let place = tempfile::tempdir().unwrap();
        let rules = Rules { age: Some(Duration::ZERO), ..rules(1 << 20, 1 << 30) };
        let mut recorder = Recorder::open(place.path(), rules, |news| panic!("{news:?}")).unwrap();
        for number in 0..3 {
            keep(&mut recorder, number, &number.to_be_bytes());
        }
        recorder.finish();
        let numbers: Vec<_> = files(place.path()).unwrap().iter().map(|path| held(path).0).collect();
        assert_eq!(numbers, [[0], [1], [2]]);
    }
}
