//! Where event lines go: a file or standard output.
//!
//! For `read` lines are written as they come and an error ends the run. For `watch` they pass a bounded queue to a thread of
//! their own, because a slow disk must never hold up the capture: what does not fit is dropped and counted.
//!
//! Road taken: a buffer of whole lines. A write that fails (disk full) keeps what it could not write and goes on where it
//! stopped, so no line is ever torn. Road not taken: `BufWriter`, which hides how much of a large line went out.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use super::events;
use crate::engine::event::Event;

/// Lines written at once.
const CHUNK: usize = 64 * 1024;
/// Lines held while the disk takes none. Stops: a full disk filling the memory too.
const HELD: usize = 256 * 1024;
/// Events that wait for the writer. Stops: a device that causes events faster than the disk takes lines.
const QUEUE: usize = 4096;

/// A log of events.
pub struct EventLog {
    out: Box<dyn Write + Send>,
    sensor: String,
    buffer: Vec<u8>,
}

impl EventLog {
    /// A log that begins anew: what a file held before is gone. `-` is standard output.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path, sensor: &str) -> io::Result<Self> {
        Self::open(path, sensor, OpenOptions::new().write(true).create(true).truncate(true))
    }

    /// A log that goes on behind what a file holds, as a restarted sensor wants it. `-` is standard output.
    ///
    /// # Errors
    /// When the file cannot be opened or made.
    pub fn append(path: &Path, sensor: &str) -> io::Result<Self> {
        Self::open(path, sensor, OpenOptions::new().append(true).create(true))
    }

    fn open(path: &Path, sensor: &str, how: &OpenOptions) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = if path.as_os_str() == "-" { Box::new(io::stdout()) } else { Box::new(how.open(path)?) };
        Ok(Self::to(out, sensor))
    }

    /// A log to anything that takes bytes.
    #[must_use]
    pub fn to(out: Box<dyn Write + Send>, sensor: &str) -> Self {
        Self { out, sensor: sensor.to_owned(), buffer: Vec::with_capacity(CHUNK) }
    }

    /// Takes an event; writes when enough lines have come together.
    ///
    /// # Errors
    /// When they cannot be written. They are kept, and the next call tries again.
    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        events::write_line(event, &self.sensor, &mut self.buffer);
        if self.buffer.len() < CHUNK { Ok(()) } else { self.flush() }
    }

    /// Writes everything that was taken. To be called at the end.
    ///
    /// # Errors
    /// When it cannot be written. It is kept, and the next call tries again.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.buffer.is_empty() {
            match self.out.write(&self.buffer) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.buffer.drain(..written.min(self.buffer.len()))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.flush()
    }

    /// Moves the log to a thread of its own. `complain` is told of the first failure, once. The thread ends when the last
    /// clone of the queue is gone and everything is written.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn detach(self, complain: impl FnOnce(&io::Error) + Send + 'static) -> io::Result<(EventQueue, JoinHandle<()>)> {
        let (sender, inbox) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer { log: self, dropped: Arc::clone(&dropped), complain: Some(complain) };
        let thread = std::thread::Builder::new().name("events".to_owned()).spawn(move || writer.run(&inbox))?;
        Ok((EventQueue { sender, dropped }, thread))
    }
}

/// The near end of a log in another thread.
#[derive(Clone, Debug)]
pub struct EventQueue {
    sender: SyncSender<Event>,
    dropped: Arc<AtomicU64>,
}

impl EventQueue {
    /// Hands an event over, or drops and counts it. Never waits.
    pub fn send(&self, event: Event) {
        if self.sender.try_send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Hands an event over and waits for room: for the end, when no packet waits for us and every flow has a line to write.
    pub fn send_last(&self, event: Event) {
        if self.sender.send(event).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
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
    dropped: Arc<AtomicU64>,
    complain: Option<F>,
}

impl<F: FnOnce(&io::Error)> Writer<F> {
    fn run(mut self, inbox: &Receiver<Event>) {
        loop {
            match inbox.try_recv() {
                Ok(event) => self.take(&event),
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    self.flush(); // idle: whoever follows the log sees the last line now
                    match inbox.recv() {
                        Ok(event) => self.take(&event),
                        Err(_) => break,
                    }
                }
            }
        }
        if !self.flush() {
            let lost = self.log.buffer.iter().filter(|byte| **byte == b'\n').count();
            self.dropped.fetch_add(lost as u64, Ordering::Relaxed);
        }
    }

    fn take(&mut self, event: &Event) {
        if self.log.buffer.len() >= HELD && !self.flush() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        } else if let Err(error) = self.log.write(event) {
            self.report(&error);
        }
    }

    fn flush(&mut self) -> bool {
        match self.log.flush() {
            Ok(()) => true,
            Err(error) => {
                self.report(&error);
                false
            }
        }
    }

    fn report(&mut self, error: &io::Error) {
        if let Some(complain) = self.complain.take() {
            complain(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::event::{Detail, Timestamp};
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
        let (queue, thread) = EventLog::to(Box::new(out.clone()), "lab").detach(|error| panic!("{error}")).unwrap();
        for packet in 0..1000 {
            queue.send(event(packet));
        }
        drop(queue);
        thread.join().unwrap();
        let written = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        let numbers: Vec<&str> = written.lines().map(|line| line.rsplit_once(':').unwrap().1.trim_end_matches('}')).collect();
        assert_eq!(numbers, (0..1000).map(|packet| packet.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_never_waits() {
        let (sender, inbox) = sync_channel(2); // nobody takes from it
        let queue = EventQueue { sender, dropped: Arc::default() };
        (0..5).for_each(|packet| queue.send(event(packet)));
        assert_eq!(queue.dropped(), 3);
        drop(inbox);
        queue.send(event(5));
        assert_eq!(queue.dropped(), 4, "a writer that is gone");
    }

    #[test]
    fn a_full_disk_is_told_once_and_every_event_is_counted() {
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&complaints);
        let log = EventLog::append(Path::new("/dev/full"), "lab").unwrap();
        let (queue, thread) = log.detach(move |error| heard.lock().unwrap().push(error.kind())).unwrap();
        let sent = 6000; // more than the queue and what is held
        (0..sent).for_each(|packet| queue.send(event(packet)));
        let counter = Arc::clone(&queue.dropped);
        drop(queue);
        thread.join().unwrap();
        assert_eq!(*complaints.lock().unwrap(), [io::ErrorKind::StorageFull]);
        assert_eq!(counter.load(Ordering::Relaxed), sent);
    }

    #[test]
    fn a_full_disk_does_not_fill_the_memory() {
        let log = EventLog::append(Path::new("/dev/full"), "lab").unwrap();
        let mut writer = Writer { log, dropped: Arc::default(), complain: None::<fn(&io::Error)> };
        (0..6000).for_each(|packet| writer.take(&event(packet)));
        assert!(writer.log.buffer.len() < HELD + 1024, "{}", writer.log.buffer.len());
        assert!(writer.dropped.load(Ordering::Relaxed) > 0);
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
