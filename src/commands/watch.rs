//! `whither watch`: an interface through the engine until stopped, with the pages up.
//!
//! Three threads beside this one: pages, event lines, signals. This one captures, and holds the engine's lock for one batch of
//! packets at a time; a scrape holds it for as long as copying the rows takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use whither::capture::interface;
use whither::capture::live::{Counters, Options};
use whither::capture::watch::{Turn, Watch as Capture};
use whither::config::{Common, EVENTS_KEEP, Watch};
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::limits::Limits;
use whither::export::http::{Handle, Server};
use whither::export::log::{EventLog, EventQueue, News};
use whither::export::record::Stats as Recorded;
use whither::export::rotate::Rotation;
use whither::export::state::{EVERY, Keeper, State as Kept, Stats};
use whither::export::web::Web;
use whither::export::{InterfaceRow, Scrape, printable};
use whither::packet::Timestamp;
use whither::sandbox;

use super::losses::{self, Losses};
use super::record::Beside;
use super::{confine, databases, devices, recall, watchlists, web};

/// How long a turn waits for packets: the longest that stopping takes.
const TURN: Duration = Duration::from_millis(200);
/// How far behind the wall clock a quiet link's time is kept, so that packets still on their way are not late.
const BEHIND: Duration = Duration::from_secs(2);

/// How often the interface's own addresses are asked for: providers delegate another prefix, DHCP another lease.
const KNOWN: Duration = Duration::from_secs(5);
/// Nanoseconds in which a busy capture's counters are asked for once: libpcap opens two files of the interface for it, 18 µs, and a
/// turn may be a block of a few hundred packets.
const COUNTED: u64 = 100_000_000;

struct State {
    engine: Engine,
    row: InterfaceRow,
}

/// Watches until told to stop.
pub(crate) fn run(asked: Watch) -> Result<()> {
    let common = asked.common.over_file()?;
    let address = common.listen()?;
    let interface = match asked.interface {
        Some(interface) => interface,
        None => {
            let choice = interface::choose()?;
            eprintln!("whither: chose {}: {}", choice.interface, choice.why);
            choice.interface
        }
    };
    let mut options = Options { filter: common.filter.clone(), ..Options::new(&interface) };
    options.snaplen = common.snaplen.unwrap_or(options.snaplen);
    options.buffer = common.buffer.map_or(options.buffer, |mib| mib.saturating_mul(1 << 20));
    let server = Server::bind(address).with_context(|| format!("cannot listen on {address}; give another with --listen"))?;
    let web = web(common.web_config_file.as_deref())?;
    let (scheme, at) = (web.scheme(), server.local_addr());
    sandbox::ask_nobody(common.sandbox.unwrap_or_default())?;
    let snaplen = options.snaplen;
    let mut capture = Capture::open(options)?;
    let mut beside = Beside::before(&common)?;
    let sandbox = confine(&common, &web)?;

    let geo = databases(&common.geoip)?;
    let lists = watchlists(&common.watchlist)?;
    let roster = devices(common.devices.as_deref())?;
    let (queue, writer) = events(&common)?.unzip();
    let side = OurSide { nets: Vec::new(), by_address: common.by_address };
    let mut engine = Engine::new(Limits::default(), side, geo, queue.is_some());
    if let Some(at) = common.location {
        engine.stands_at(at.latitude, at.longitude);
    }
    engine.watch_for(lists);
    beside.open(&interface, capture.link(), snaplen, &common, &roster)?;
    let recorded = beside.stats();
    engine.register(roster);
    let kept = recall(&mut engine, &common)?;
    let stats = kept.as_ref().map(Kept::stats);
    know(&mut engine, &interface, &common);
    let row = InterfaceRow { interface: interface.clone(), up: true, ..InterfaceRow::default() };
    let state = Arc::new(Mutex::new(State { engine, row }));

    let about = Scrape {
        sensor: common.sensor().to_owned(),
        sandbox: sandbox.layers.iter().map(|layer| (layer.name, layer.on)).collect(),
        ..Scrape::default()
    };
    let handle = serve((server, web), &state, queue.clone(), (stats, recorded), about)?;
    let keeper = kept.map(|kept| keep(kept, &state)).transpose()?;
    let stop = signals(&state, &common)?;
    eprintln!(
        "whither: watching {interface}; look at {scheme}://{at}/ (metrics at {scheme}://{at}/metrics); stop with Ctrl-C; {}",
        sandbox.line()
    );
    sandbox::mute(&sandbox)?;
    let done = watch((&mut capture, &mut beside), &state, queue.as_ref(), &common, &stop);

    let mut last = lock(&state);
    eprintln!("whither: {}", losses::told(&last.row));
    last.engine.finish(|event| {
        if let Some(queue) = &queue {
            queue.send_last(event);
        }
    });
    drop(last);
    handle.stop();
    beside.finish();
    if let Some(keeper) = keeper {
        keeper.stop();
    }
    drop(queue);
    if let Some(writer) = writer {
        // A panic there has already been told.
        let _ = writer.join();
    }
    done
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells the engine what only this machine knows: which prefixes and MACs are the access point's.
fn know(engine: &mut Engine, interface: &str, common: &Common) {
    let mut nets = common.local_net.clone();
    nets.extend(interface::local_prefixes(interface));
    engine.nets(nets);
    engine.routers(interface::own_macs(interface));
}

fn watch(
    (capture, beside): (&mut Capture, &mut Beside),
    state: &Mutex<State>,
    queue: Option<&EventQueue>,
    common: &Common,
    stop: &AtomicBool,
) -> Result<()> {
    let mut known = now();
    let (mut losses, mut counted) = (Losses::default(), 0);
    let hangup = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGHUP, Arc::clone(&hangup))?;
    while !stop.load(Ordering::Relaxed) {
        // Taken at a batch's first packet, so that nobody waits while this thread does.
        let mut held: Option<MutexGuard<'_, State>> = None;
        let turn = capture.poll(TURN, &mut |frame| {
            let state = held.get_or_insert_with(|| lock(state));
            state.engine.ingest(frame);
            beside.frame(frame, &state.engine);
            if let Some(queue) = queue {
                state.engine.events().for_each(|event| queue.send(event));
            }
        });
        let mut held = held.unwrap_or_else(|| lock(state));
        let time = now();
        if !matches!(turn, Turn::Packets(1..)) || time.as_nanos() / COUNTED != counted {
            counted = time.as_nanos() / COUNTED;
            held.row.count(capture.stats(), capture.is_up());
        }
        let news = losses.news(&held.row);
        if time.since(known) >= KNOWN {
            known = time;
            let State { engine, row } = &mut *held;
            know(engine, &row.interface, common);
        }
        match turn {
            Turn::Packets(0) => held.engine.advance(time),
            Turn::Packets(_) | Turn::Waiting => {}
            Turn::Lost(lost) => eprintln!("whither: {lost}; trying again until it is back"),
            Turn::Back => eprintln!("whither: watching {} again", held.row.interface),
            Turn::Refused(error) => return Err(error.into()),
        }
        let State { engine, row } = &mut *held;
        beside.turn(engine, row, time);
        if let Some(queue) = queue {
            held.engine.events().for_each(|event| queue.send(event));
            if hangup.swap(false, Ordering::Relaxed) {
                queue.reopen();
            }
        }
        drop(held);
        if let Some(news) = news {
            eprintln!("whither: {news}");
        }
    }
    lock(state).row.count(capture.stats(), capture.is_up());
    Ok(())
}

/// The wall clock, a little behind.
fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "on a quiet live link no packet tells the time")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(BEHIND);
    Timestamp::default().plus(now)
}

fn events(common: &Common) -> Result<Option<(EventQueue, JoinHandle<()>)>> {
    let Some(path) = &common.events else { return Ok(None) };
    let cannot = || format!("cannot write the events to {}", path.display());
    let mut log = EventLog::append(path, common.sensor()).with_context(cannot)?;
    let (size, age) = (common.events_max_size.map(|size| size.0), common.events_max_age.map(|age| age.0));
    if size.is_some() || age.is_some() {
        log = log.rotating(Rotation { size, age, keep: common.events_keep.unwrap_or(EVENTS_KEEP) }).with_context(cannot)?;
    }
    let path = path.display().to_string();
    let tell = move |news: News<'_>| match news {
        News::Failed(error) => {
            eprintln!("whither: cannot write events to {path}: {error}; trying on, dropping and counting what finds no room")
        }
        News::Again(dropped) => eprintln!("whither: writing events to {path} again; {dropped} were dropped"),
        News::Stuck(error) => eprintln!("whither: {path} cannot begin anew: {error}; it goes on as it is"),
    };
    Ok(Some(log.detach(tell)?))
}

/// Saves now and then what should survive a restart. The engine is held for as long as copying the rows takes.
fn keep(kept: Kept, state: &Arc<Mutex<State>>) -> Result<Keeper> {
    let state = Arc::clone(state);
    Ok(kept.keep(EVERY, move || lock(&state).engine.snapshot().contacts, |line| eprintln!("whither: {line}"))?)
}

fn serve(
    (server, web): (Server, Web),
    state: &Arc<Mutex<State>>,
    queue: Option<EventQueue>,
    (stats, recorded): (Option<Arc<Stats>>, Option<Arc<Recorded>>),
    about: Scrape,
) -> Result<Handle> {
    let state = Arc::clone(state);
    let scrape = move || {
        let mut held = lock(&state);
        let mut snapshot = held.engine.snapshot();
        let capture = vec![held.row.clone()];
        drop(held);
        snapshot.events_dropped = snapshot.events_dropped.saturating_add(queue.as_ref().map_or(0, EventQueue::dropped));
        Scrape {
            snapshot,
            capture,
            state: stats.as_deref().map(Stats::row),
            record: recorded.as_deref().map(Recorded::row),
            ..about.clone()
        }
    };
    Ok(server.serve(scrape, Arc::new(AtomicBool::new(true)), web)?)
}

/// Stops on SIGINT and SIGTERM; reads the address databases, watchlists and devices file again on SIGHUP, on which [`watch`]
/// opens the events' file again.
fn signals(state: &Arc<Mutex<State>>, common: &Common) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    // A second Ctrl-C ends the process at once; whatever manages services may say SIGTERM as often as it likes.
    signal_hook::flag::register_conditional_shutdown(SIGINT, 1, Arc::clone(&stop))?;
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let mut hangups = signal_hook::iterator::Signals::new([SIGHUP])?;
    let (state, files, lists, known) = (Arc::clone(state), common.geoip.clone(), common.watchlist.clone(), common.devices.clone());
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in hangups.forever() {
            match databases(&files).and_then(|geo| Ok((geo, watchlists(&lists)?, devices(known.as_deref())?))) {
                Ok((geo, lists, roster)) => {
                    let mut held = lock(&state);
                    held.engine.relocate(geo);
                    held.engine.watch_for(lists);
                    held.engine.register(roster);
                    drop(held);
                    eprintln!("whither: the address databases, watchlists and devices were read again");
                }
                Err(error) => {
                    let error = printable(&format!("{error:#}")).into_owned();
                    eprintln!("whither: {error}; the databases, watchlists and devices in use stay");
                }
            }
        }
    })?;
    Ok(stop)
}

/// What a row takes over from the capture.
trait Count {
    fn count(&mut self, counters: Counters, up: bool);
}

impl Count for InterfaceRow {
    fn count(&mut self, counters: Counters, up: bool) {
        self.up = up;
        self.packets = counters.received.saturating_sub(counters.dropped_kernel);
        self.dropped_kernel = counters.dropped_kernel;
        self.dropped_interface = counters.dropped_interface;
    }
}
