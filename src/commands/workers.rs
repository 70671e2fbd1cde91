//! The engines of `watch`: one, or with `--workers` several that share the capture, each with its own descriptor, ring and thread.
//!
//! The kernel hands each thread the frames that its engine reads, by a filter of its own; how they are shared out, and why not by
//! `PACKET_FANOUT`, stands at the head of `engine::share`. An engine decides once more itself, so frames from before the filter held are
//! nobody's twice. When one thread ends all do: a sensor of which half does not look is worse than none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use signal_hook::consts::SIGHUP;
use whither::capture::live::{Counters, Options};
use whither::capture::watch::{Turn, Watch as Capture};
use whither::config::Common;
use whither::engine::Engine;
use whither::engine::event::Event;
use whither::engine::share::Share;
use whither::engine::snapshot::Snapshot;
use whither::export::InterfaceRow;
use whither::export::feed::Feed;
use whither::export::log::{AT_ONCE, EventQueue};
use whither::packet::{Frame, Link, Timestamp};
use whither::sandbox::{self, Sandbox};

use super::losses::Losses;
use super::record::Beside;

/// How long a turn waits for packets: the longest that stopping takes.
const TURN: Duration = Duration::from_millis(200);
/// How far behind the wall clock a quiet link's time is kept, so that packets still on their way are not late.
const BEHIND: Duration = Duration::from_secs(2);
/// How often the interface's own addresses are asked for: providers delegate another prefix, DHCP another lease.
const KNOWN: Duration = Duration::from_secs(5);
/// Nanoseconds in which a busy capture's counters are asked for once: libpcap opens two files of the interface for it, 18 µs, and a
/// turn may be a block of a few hundred packets.
const COUNTED: u64 = 100_000_000;

/// One engine, and what its capture counts.
pub(super) struct State {
    pub(super) engine: Engine,
    row: InterfaceRow,
}

impl State {
    pub(super) fn new(engine: Engine, interface: &str) -> Self {
        Self { engine, row: InterfaceRow { interface: interface.to_owned(), up: true, ..InterfaceRow::default() } }
    }
}

/// All of them.
#[derive(Clone)]
pub(super) struct Workers(Arc<[Mutex<State>]>);

impl Workers {
    pub(super) fn new(states: Vec<State>) -> Self {
        Self(states.into_iter().map(Mutex::new).collect())
    }

    /// Each in turn; a capture waits only while its own is used.
    pub(super) fn each(&self, mut with: impl FnMut(&mut State)) {
        self.0.iter().for_each(|state| with(&mut lock(state)));
    }

    /// What they tell together, and what was captured.
    pub(super) fn told(&self) -> (Snapshot, InterfaceRow) {
        let mut rows = Vec::new();
        let mut take = |state: &Mutex<State>| {
            let mut held = lock(state);
            rows.push(held.counted());
            held.engine.snapshot()
        };
        let snapshot = Snapshot::join(self.0.iter().map(&mut take));
        (snapshot, join(rows))
    }

    /// Lets each engine know whom the devices of the others have met: by another devices file they may be its own.
    pub(super) fn exchange(&self) {
        if self.0.len() > 1 {
            let memories = self.told().0.contacts;
            self.each(|held| held.engine.learn_of_others(memories.clone()));
        }
    }

    /// What was captured.
    pub(super) fn row(&self) -> InterfaceRow {
        join(self.0.iter().map(|state| lock(state).counted()).collect())
    }
}

impl State {
    /// What was captured of this engine's: what is everybody's comes to each capture, and is counted by one engine.
    fn counted(&self) -> InterfaceRow {
        let packets = if self.engine.share().is_some() { self.engine.packets() } else { self.row.packets };
        InterfaceRow { packets, ..self.row.clone() }
    }

    /// Takes over what the capture counts.
    fn count(&mut self, counters: Counters, up: bool) {
        self.row.up = up;
        self.row.packets = counters.received.saturating_sub(counters.dropped_kernel);
        self.row.dropped_kernel = counters.dropped_kernel;
        self.row.dropped_interface = counters.dropped_interface;
    }

    /// Tells the engine what only this machine knows: which prefixes and MACs are the access point's.
    pub(super) fn know(&mut self, common: &Common) {
        let known = super::knowing(&self.row.interface, common);
        self.engine.nets(known.local_net);
        self.engine.routers(known.own_macs);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The rows of several captures of one interface as one: each ring drops for itself, what the interface drops is lost to all.
fn join(rows: Vec<InterfaceRow>) -> InterfaceRow {
    let mut rows = rows.into_iter();
    let first = rows.next().unwrap_or_default();
    rows.fold(first, |sum, row| InterfaceRow {
        up: sum.up && row.up,
        packets: sum.packets.saturating_add(row.packets),
        dropped_kernel: sum.dropped_kernel.saturating_add(row.dropped_kernel),
        dropped_interface: sum.dropped_interface.max(row.dropped_interface),
        ..sum
    })
}

/// Opens the interface once for each worker; the ring is shared out among them.
pub(super) fn open(options: &Options, common: &Common) -> Result<Vec<Capture>> {
    let workers = common.workers.unwrap_or(1);
    if workers > 1 && common.by_address {
        bail!("--workers shares frames out by MAC, and --by-address is for captures where MACs tell nothing: leave out one of them");
    }
    let options = Options { buffer: options.buffer.checked_div(i32::from(workers)).unwrap_or(options.buffer), ..options.clone() };
    let captures = (0..workers).map(|_| Capture::open(options.clone())).collect::<Result<Vec<_>, _>>()?;
    if workers > 1 && captures.iter().any(|capture| capture.link() != Link::Ethernet) {
        bail!("--workers shares frames out by MAC, and those of {} have none to go by: leave it out", options.interface);
    }
    Ok(captures)
}

/// What a worker works with.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) workers: &'a Workers,
    pub(super) queue: Option<&'a EventQueue>,
    pub(super) feed: &'a Feed,
    pub(super) common: &'a Common,
    pub(super) stop: &'a AtomicBool,
    pub(super) sandbox: &'a Sandbox,
}

impl Work<'_> {
    /// Watches until told to stop: the first capture on this thread.
    pub(super) fn run(self, captures: Vec<Capture>, beside: Beside) -> Result<()> {
        let mut captures = (1..).zip(captures);
        let first = captures.next();
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (number, capture) in captures {
                let thread = std::thread::Builder::new().name(format!("capture-{number}"));
                match thread.spawn_scoped(scope, move || self.watch(number, capture, Beside::default())) {
                    Ok(thread) => threads.push(thread),
                    Err(error) => {
                        self.stop.store(true, Ordering::Relaxed);
                        return Err(error).context("no thread for a worker");
                    }
                }
            }
            let done = first.map_or(Ok(()), |(number, capture)| self.watch(number, capture, beside));
            threads.into_iter().fold(done, |done, thread| match thread.join() {
                Ok(other) => done.and(other),
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    fn watch(self, number: usize, capture: Capture, beside: Beside) -> Result<()> {
        let _all_end = Ending(self.stop);
        sandbox::mute(self.sandbox)?;
        let Some(state) = number.checked_sub(1).and_then(|index| self.workers.0.get(index)) else { return Ok(()) };
        let mut worker = Worker {
            work: self,
            first: number == 1,
            capture,
            beside,
            state,
            losses: Losses::default(),
            passed: 0,
            counted: 0,
            known: now(),
            edition: None,
        };
        worker.narrow();
        let hangup = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGHUP, Arc::clone(&hangup))?;
        while !self.stop.load(Ordering::Relaxed) {
            worker.turn()?;
            if hangup.swap(false, Ordering::Relaxed)
                && let Some(queue) = self.queue.filter(|_| worker.first)
            {
                queue.reopen();
            }
        }
        let (counters, up) = (worker.capture.stats(), worker.capture.is_up());
        let mut held = lock(state);
        held.count(counters, up);
        let State { engine, row } = &mut *held;
        worker.beside.turn(engine, row, now());
        drop(held);
        worker.beside.finish();
        Ok(())
    }
}

/// Ends all workers with the one that holds it.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One thread's part.
struct Worker<'a> {
    work: Work<'a>,
    /// It speaks for all.
    first: bool,
    capture: Capture,
    beside: Beside,
    state: &'a Mutex<State>,
    losses: Losses,
    /// Packets that the pages were told of.
    passed: u64,
    /// When its counters were asked for last, in units of [`COUNTED`].
    counted: u64,
    /// When the interface's addresses were asked for last.
    known: Timestamp,
    /// Of which share the filter is.
    edition: Option<u32>,
}

impl Worker<'_> {
    fn turn(&mut self) -> Result<()> {
        let Work { workers, queue, feed, common, .. } = self.work;
        let state = self.state;
        let hand_over = |told: &mut Vec<Event>| {
            told.iter().for_each(|event| feed.take(event));
            match queue {
                Some(queue) => queue.send(told),
                None => told.clear(),
            }
        };
        // Taken at a batch's first packet, so that nobody waits while this thread does.
        let mut held: Option<MutexGuard<'_, State>> = None;
        let (beside, mut told) = (&mut self.beside, Vec::new());
        let turn = self.capture.poll(TURN, &mut |frame| {
            let State { engine, .. } = &mut **held.get_or_insert_with(|| lock(state));
            match engine.share().map(|share| share.number(frame.number)) {
                Some(number) => engine.ingest(&Frame { number, ..*frame }),
                None => engine.ingest(frame),
            }
            beside.frame(frame, engine);
            told.extend(engine.events());
            if told.len() >= AT_ONCE {
                hand_over(&mut told);
            }
        });
        let mut held = held.unwrap_or_else(|| lock(state));
        let time = now();
        let counts = !matches!(turn, Turn::Packets(1..)) || time.as_nanos() / COUNTED != self.counted;
        if counts {
            self.counted = time.as_nanos() / COUNTED;
            held.count(self.capture.stats(), self.capture.is_up());
        }
        if time.since(self.known) >= KNOWN {
            self.known = time;
            held.know(common);
        }
        match turn {
            Turn::Packets(0) => held.engine.advance(time),
            Turn::Packets(_) | Turn::Waiting => {}
            Turn::Lost(lost) if self.first => eprintln!("whither: {lost}; trying again until it is back"),
            Turn::Back if self.first => eprintln!("whither: watching {} again", held.row.interface),
            Turn::Lost(_) | Turn::Back => {}
            Turn::Refused(error) => return Err(error.into()),
        }
        let State { engine, row } = &mut *held;
        self.beside.turn(engine, row, time);
        told.extend(held.engine.events());
        let (packets, last_packet) = (held.engine.packets(), held.engine.last_packet());
        let narrow = held.engine.share().map(Share::edition) != self.edition;
        drop(held);
        hand_over(&mut told);
        feed.passed(packets.saturating_sub(self.passed), last_packet);
        self.passed = packets;
        if narrow {
            self.narrow();
        }
        if counts
            && self.first
            && let Some(news) = self.losses.news(&workers.row())
        {
            eprintln!("whither: {news}");
        }
        Ok(())
    }

    /// Asks the kernel for this engine's share alone.
    fn narrow(&mut self) {
        let held = lock(self.state);
        let Some((edition, filter)) = held.engine.share().map(|share| (share.edition(), share.filter())) else { return };
        drop(held);
        self.edition = Some(edition);
        if let Err(error) = self.capture.narrow(filter) {
            eprintln!("whither: the kernel does not share frames out ({error}): each worker looks at all of them");
        }
    }
}

/// The wall clock, a little behind.
pub(super) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "on a quiet live link no packet tells the time")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(BEHIND);
    Timestamp::default().plus(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_interface_drops_is_lost_once() {
        let row =
            |packets, dropped_kernel, up| InterfaceRow { interface: "wlan0".to_owned(), up, packets, dropped_kernel, dropped_interface: 7 };
        assert_eq!(join(vec![row(10, 1, true), row(20, 2, true)]), row(30, 3, true));
        assert_eq!(join(vec![row(10, 1, true), row(20, 2, false)]), row(30, 3, false));
    }
}
