//! Where event lines go: a file or standard output.
//!
//! For `read` lines are written as they come and an error ends the run. For `watch` they pass a bounded queue to a thread of
//! their own, because a slow disk must never hold up the capture: what does not fit is dropped and counted.
//!
//! Road taken: a buffer of whole lines. A write that fails (disk full) keeps what it could not write and goes on where it
//! stopped, so no line is ever torn. Road not taken: `BufWriter`, which hides how much of a large line went out.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use super::events::Writer as Lines;
use super::patience::Stdout;
use super::rotate::{LogFile, Rotation};
use crate::engine::event::Event;

/// Lines written at once.
const CHUNK: usize = 64 * 1024;
/// Lines held while the disk takes none. Stops: a full disk filling the memory too.
const HELD: usize = 256 * 1024;
/// Events that wait for the writer. Stops: a device that causes events faster than the disk takes lines.
const QUEUE: usize = 4096;
/// Events handed over at once: waking the writer for each took a fast capture more time than reading its packets.
pub const AT_ONCE: usize = 256;

/// A log of events.
pub struct EventLog {
    out: Out,
    lines: Lines,
    buffer: Vec<u8>,
    /// Why the file could not begin anew, the last time that it should have.
    stuck: Option<io::Error>,
}

/// Where its lines go.
enum Out {
    Stream(Box<dyn Write + Send>),
    File(LogFile),
}

impl EventLog {
    /// A log that begins anew: what a file held before is gone. `-` is standard output.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path, sensor: &str) -> io::Result<Self> {
        Self::open(path, sensor, false)
    }

    /// A log that goes on behind what a file holds, as a restarted sensor wants it. `-` is standard output. Whoever reads a pipe
    /// may come, go and hang: a write to it fails after a second without room.
    ///
    /// # Errors
    /// When the file cannot be opened or made.
    pub fn append(path: &Path, sensor: &str) -> io::Result<Self> {
        Self::open(path, sensor, true)
    }

    fn open(path: &Path, sensor: &str, keep: bool) -> io::Result<Self> {
        let out = match (path.as_os_str() == "-", keep) {
            (true, true) => Out::Stream(Box::new(Stdout::open()?)),
            (true, false) => Out::Stream(Box::new(io::stdout())),
            (false, _) => Out::File(LogFile::open(path, keep)?),
        };
        Ok(Self::new(out, sensor))
    }

    /// A log to anything that takes bytes.
    #[must_use]
    pub fn to(out: Box<dyn Write + Send>, sensor: &str) -> Self {
        Self::new(Out::Stream(out), sensor)
    }

    fn new(out: Out, sensor: &str) -> Self {
        Self { out, lines: Lines::new(sensor), buffer: Vec::with_capacity(CHUNK), stuck: None }
    }

    /// Lets the file begin anew from now on.
    ///
    /// # Errors
    /// When the lines go to no plain file.
    pub fn rotating(mut self, rotation: Rotation) -> io::Result<Self> {
        match &mut self.out {
            Out::File(file) => file.rotating(rotation)?,
            Out::Stream(_) => return Err(io::Error::new(io::ErrorKind::InvalidInput, "standard output cannot be rotated")),
        }
        Ok(self)
    }

    /// Takes an event; writes when enough lines have come together.
    ///
    /// # Errors
    /// When they cannot be written. They are kept, and the next call tries again.
    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        self.lines.write(event, &mut self.buffer);
        if self.buffer.len() < CHUNK { Ok(()) } else { self.flush() }
    }

    /// Writes everything that was taken. To be called at the end.
    ///
    /// # Errors
    /// When it cannot be written. It is kept, and the next call tries again.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.buffer.is_empty() {
            let written = match &mut self.out {
                Out::Stream(out) => out.write(&self.buffer),
                Out::File(file) => {
                    let (room, rotated) = file.room(&self.buffer);
                    self.stuck = rotated.err();
                    file.write(self.buffer.get(..room).unwrap_or(&self.buffer))
                }
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.buffer.drain(..written.min(self.buffer.len()))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        match &mut self.out {
            Out::Stream(out) => out.flush(),
            Out::File(file) => file.flush(),
        }
    }

    /// Opens the file at its path again, where someone may have moved the former away; says how many lines that cost: one, if
    /// the former is full in the middle of a line.
    fn reopen(&mut self) -> io::Result<u64> {
        let flushed = self.flush();
        let Out::File(file) = &mut self.out else { return flushed.map(|()| 0) };
        if !file.is_plain() {
            return flushed.map(|()| 0); // nobody moves a pipe away
        }
        let torn = !file.is_whole();
        file.reopen()?;
        if torn {
            let end = self.buffer.iter().position(|byte| *byte == b'\n').map_or(self.buffer.len(), |end| end + 1);
            self.buffer.drain(..end);
        }
        Ok(u64::from(torn))
    }

    /// Moves the log to a thread of its own. `tell` hears of each outage once, and of its end. The thread ends when the last
    /// clone of the queue is gone and everything is written.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn detach(self, tell: impl FnMut(News<'_>) + Send + 'static) -> io::Result<(EventQueue, JoinHandle<()>)> {
        let (sender, inbox) = sync_channel(QUEUE);
        let (dropped, reopen) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let waiting = Arc::new(AtomicUsize::new(0));
        let queue = EventQueue { sender, waiting: Arc::clone(&waiting), dropped: Arc::clone(&dropped), reopen: Arc::clone(&reopen) };
        let writer = Writer { log: self, waiting, dropped, reopen, tell, failing: None, stuck: false };
        let thread = std::thread::Builder::new().name("events".to_owned()).spawn(move || writer.run(&inbox))?;
        Ok((queue, thread))
    }
}

/// What there is to say of a log in another thread.
#[derive(Debug)]
pub enum News<'a> {
    /// Events cannot be written; from now on they are kept as long as there is room, then dropped and counted.
    Failed(&'a io::Error),
    /// They are written again; so many were dropped meanwhile.
    Again(u64),
    /// The file should begin anew and cannot; the present one goes on.
    Stuck(&'a io::Error),
}

/// What passes the queue.
enum Message {
    Events(Vec<Event>),
    /// There is something to do beside events.
    Wake,
}

/// The near end of a log in another thread.
#[derive(Clone, Debug)]
pub struct EventQueue {
    sender: SyncSender<Message>,
    /// Events that wait.
    waiting: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
    reopen: Arc<AtomicBool>,
}

impl EventQueue {
    /// Hands events over, or drops and counts those for which there is no room. Never waits.
    pub fn send(&self, events: &mut Vec<Event>) {
        let mut events = std::mem::take(events);
        if events.is_empty() {
            return;
        }
        let sent = events.len();
        let before = self.waiting.fetch_add(sent, Ordering::Relaxed);
        events.truncate(QUEUE.saturating_sub(before));
        let kept = events.len();
        let taken = kept > 0 && self.sender.try_send(Message::Events(events)).is_ok();
        let lost = if taken { sent.saturating_sub(kept) } else { sent };
        self.waiting.fetch_sub(lost, Ordering::Relaxed);
        self.dropped.fetch_add(lost as u64, Ordering::Relaxed);
    }

    /// Hands an event over and waits for room: for the end, when no packet waits for us and every flow has a line to write.
    pub fn send_last(&self, event: Event) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.sender.send(Message::Events(vec![event])).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Opens the log's file again at its path, behind what was sent before, as whoever moved it away wants it. Never waits.
    pub fn reopen(&self) {
        self.reopen.store(true, Ordering::Relaxed);
        // In a full queue the writer is awake anyway.
        let _ = self.sender.try_send(Message::Wake);
    }

    /// Events dropped so far: the queue was full, or the disk.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The far end.
struct Writer<F> {
    log: EventLog,
    waiting: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
    reopen: Arc<AtomicBool>,
    tell: F,
    /// Events cannot be written since so many had been dropped.
    failing: Option<u64>,
    /// It was told that the file cannot begin anew.
    stuck: bool,
}

impl<F: FnMut(News<'_>)> Writer<F> {
    fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            match inbox.try_recv() {
                Ok(message) => self.take(message),
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    self.flush(); // idle: whoever follows the log sees the last line now
                    match inbox.recv() {
                        Ok(message) => self.take(message),
                        Err(_) => break,
                    }
                }
            }
        }
        if !self.flush() {
            let lost = self.log.buffer.iter().filter(|byte| **byte == b'\n').count();
            self.drop(lost as u64);
        }
    }

    fn take(&mut self, message: Message) {
        if self.reopen.swap(false, Ordering::Relaxed) {
            let reopened = self.log.reopen().map(|lost| self.drop(lost));
            self.report(reopened);
        }
        let Message::Events(events) = message else { return };
        for event in events {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            if self.log.buffer.len() >= HELD && !self.flush() {
                self.drop(1);
            } else {
                let written = self.log.write(&event);
                self.report(written);
            }
        }
    }

    fn flush(&mut self) -> bool {
        let flushed = self.log.flush();
        self.report(flushed)
    }

    fn drop(&self, events: u64) {
        self.dropped.fetch_add(events, Ordering::Relaxed);
    }

    /// Tells what has changed; whether all is well.
    fn report(&mut self, done: io::Result<()>) -> bool {
        let dropped = self.dropped.load(Ordering::Relaxed);
        match (&done, self.failing) {
            (Err(error), None) => {
                self.failing = Some(dropped);
                (self.tell)(News::Failed(error));
            }
            (Ok(()), Some(before)) if self.log.buffer.is_empty() => {
                self.failing = None;
                (self.tell)(News::Again(dropped.saturating_sub(before)));
            }
            _ => {}
        }
        if let Some(error) = self.log.stuck.as_ref().filter(|_| !self.stuck) {
            (self.tell)(News::Stuck(error));
        }
        self.stuck = self.log.stuck.is_some();
        done.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::event::{Detail, Timestamp};
    use std::fs::OpenOptions;
    use std::sync::Mutex;

    fn event(packet: u64) -> Event {
        Event { time: Timestamp::from_nanos(0), packet, device: "phone".into(), mac: None, ends: None, detail: Detail::Association }
    }

    /// The packet numbers of the lines in a file.
    fn packets(path: &Path) -> Vec<u64> {
        let text = io::read_to_string(OpenOptions::new().read(true).open(path).unwrap()).unwrap();
        let number = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["whither.packet"].as_u64().unwrap();
        text.lines().map(number).collect()
    }

    /// Shares what is written to it.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // A short write is legal, and what a nearly full disk does.
            let taken = bytes.len().div_ceil(2);
            self.0.lock().unwrap().extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_created_log_begins_anew_and_an_appended_one_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        for (log, expected) in
            [(EventLog::create as fn(&Path, &str) -> _, vec![1]), (EventLog::append, vec![1, 1]), (EventLog::create, vec![1])]
        {
            let mut log = log(&path, "lab").unwrap();
            log.write(&event(1)).unwrap();
            log.flush().unwrap();
            assert_eq!(packets(&path), expected);
        }
        assert!(EventLog::create(&folder.path().join("none/events.jsonl"), "lab").is_err());
    }

    #[test]
    fn every_event_sent_is_written_in_order_when_the_queue_ends() {
        let out = Shared::default();
        let (queue, thread) = EventLog::to(Box::new(out.clone()), "lab").detach(|news| panic!("{news:?}")).unwrap();
        for packet in 0..1000 {
            queue.send(&mut vec![event(packet)]);
        }
        drop(queue);
        thread.join().unwrap();
        let written = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        let numbers: Vec<&str> = written.lines().map(|line| line.rsplit_once(':').unwrap().1.trim_end_matches('}')).collect();
        assert_eq!(numbers, (0..1000).map(|packet| packet.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn over_all_files_every_event_is_there_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let rotation = Rotation { size: Some(100_000), age: None, keep: 99 };
        let log = EventLog::append(&path, "lab").unwrap().rotating(rotation).unwrap();
        let (queue, thread) = log.detach(|news| panic!("{news:?}")).unwrap();
        (0..9000).for_each(|packet| queue.send_last(event(packet)));
        drop(queue);
        thread.join().unwrap();
        let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() > 5, "{files:?}");
        assert!(files.iter().all(|file| file.metadata().unwrap().len() <= 100_000));
        let number = |file: &std::path::PathBuf| file.extension().unwrap().to_str().unwrap().parse().unwrap_or(0);
        files.sort_by_key(|file| std::cmp::Reverse(number(file)));
        assert_eq!(files.iter().flat_map(|file| packets(file)).collect::<Vec<_>>(), (0..9000).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew_when_told_and_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let [path, moved] = ["events.jsonl", "moved"].map(|name| folder.path().join(name));
        let (queue, thread) = EventLog::append(&path, "lab").unwrap().detach(|news| panic!("{news:?}")).unwrap();
        (0..500).for_each(|packet| queue.send_last(event(packet)));
        std::fs::rename(&path, &moved).unwrap();
        queue.reopen();
        while !path.exists() {
            std::thread::yield_now(); // it is made without another event
        }
        (500..900).for_each(|packet| queue.send_last(event(packet)));
        drop(queue);
        thread.join().unwrap();
        assert_eq!([packets(&moved), packets(&path)].concat(), (0..900).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_never_waits() {
        let (sender, inbox) = sync_channel(2); // nobody takes from it
        let queue = EventQueue { sender, waiting: Arc::default(), dropped: Arc::default(), reopen: Arc::default() };
        (0..5).for_each(|packet| queue.send(&mut vec![event(packet)]));
        assert_eq!(queue.dropped(), 3);
        drop(inbox);
        queue.send(&mut vec![event(5)]);
        assert_eq!(queue.dropped(), 4, "a writer that is gone");
    }

    #[test]
    fn what_comes_at_once_is_taken_as_far_as_there_is_room() {
        let (sender, inbox) = sync_channel(9); // nobody takes from it
        let queue = EventQueue { sender, waiting: Arc::default(), dropped: Arc::default(), reopen: Arc::default() };
        let events = |number: u64| (0..number).map(event).collect::<Vec<_>>();
        let mut some = events(4_000);
        queue.send(&mut some);
        assert_eq!((some.len(), queue.dropped()), (0, 0));
        queue.send(&mut events(100));
        assert_eq!(queue.dropped(), 4);
        queue.send(&mut events(3));
        assert_eq!(queue.dropped(), 7);
        let held: usize = inbox.try_iter().map(|message| if let Message::Events(events) = message { events.len() } else { 0 }).sum();
        assert_eq!(held, QUEUE);
    }

    #[test]
    fn a_full_disk_is_told_once_and_every_event_is_counted() {
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&complaints);
        let log = EventLog::append(Path::new("/dev/full"), "lab").unwrap();
        let (queue, thread) = log.detach(move |news| heard.lock().unwrap().push(format!("{news:?}"))).unwrap();
        let sent = 6000; // more than the queue and what is held
        (0..sent).for_each(|packet| queue.send(&mut vec![event(packet)]));
        let counter = Arc::clone(&queue.dropped);
        drop(queue);
        thread.join().unwrap();
        let complaints = complaints.lock().unwrap();
        assert!(complaints.len() == 1 && complaints[0].contains("StorageFull"), "{complaints:?}");
        assert_eq!(counter.load(Ordering::Relaxed), sent);
    }

    #[test]
    fn a_full_disk_does_not_fill_the_memory() {
        let log = EventLog::append(Path::new("/dev/full"), "lab").unwrap();
        let mut writer = Writer {
            log,
            waiting: Arc::new(AtomicUsize::new(6000)),
            dropped: Arc::default(),
            reopen: Arc::default(),
            tell: |_: News<'_>| {},
            failing: None,
            stuck: false,
        };
        (0..6000).for_each(|packet| writer.take(Message::Events(vec![event(packet)])));
        assert!(writer.log.buffer.len() < HELD + 1024, "{}", writer.log.buffer.len());
        assert!(writer.dropped.load(Ordering::Relaxed) > 0);
    }

    #[test]
    fn an_outage_is_told_once_and_so_is_its_end() {
        /// Full until there is room.
        struct Full(Arc<AtomicBool>);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                if self.0.load(Ordering::Relaxed) { Ok(bytes.len()) } else { Err(io::ErrorKind::StorageFull.into()) }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (room, heard) = (Arc::new(AtomicBool::new(false)), std::cell::RefCell::new(Vec::new()));
        let log = EventLog::to(Box::new(Full(Arc::clone(&room))), "lab");
        let tell = |news: News<'_>| heard.borrow_mut().push(format!("{news:?}"));
        let mut writer = Writer {
            log,
            waiting: Arc::new(AtomicUsize::new(6000)),
            dropped: Arc::default(),
            reopen: Arc::default(),
            tell,
            failing: None,
            stuck: false,
        };
        for round in [1, 2] {
            room.store(false, Ordering::Relaxed);
            (0..4000).for_each(|packet| writer.take(Message::Events(vec![event(packet)])));
            assert!(!writer.flush());
            room.store(true, Ordering::Relaxed);
            assert!(writer.flush() && writer.flush());
            assert_eq!(heard.borrow().len(), 2 * round, "{heard:?}");
        }
        let dropped = writer.dropped.load(Ordering::Relaxed) / 2;
        assert_eq!(heard.borrow()[1], format!("Again({dropped})"));
        assert_eq!(heard.borrow()[3], heard.borrow()[1]);
    }

    #[test]
    fn a_disk_that_has_room_again_gets_whole_lines() {
        /// Takes ten bytes, then none until there is room.
        struct Tight(Shared, Arc<Mutex<bool>>, bool);
        impl Write for Tight {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                match (*self.1.lock().unwrap(), std::mem::replace(&mut self.2, true)) {
                    (true, _) => self.0.write(bytes),
                    (false, false) => self.0.write(&bytes[..10]),
                    (false, true) => Err(io::ErrorKind::StorageFull.into()),
                }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (out, room) = (Shared::default(), Arc::new(Mutex::new(false)));
        let mut log = EventLog::to(Box::new(Tight(out.clone(), Arc::clone(&room), false)), "lab");
        log.write(&event(1)).unwrap();
        assert!(log.flush().is_err());
        assert!(!out.0.lock().unwrap().is_empty(), "a torn line is on the disk");
        *room.lock().unwrap() = true;
        log.write(&event(2)).unwrap();
        log.flush().unwrap();
        let written = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert_eq!(written.lines().count(), 2);
        assert!(written.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{written}");
    }
}
