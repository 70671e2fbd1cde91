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
