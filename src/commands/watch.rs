//! `whither watch`: an interface through the engine until stopped, with the pages up.
//!
//! Three threads beside this one: pages, event lines, signals. This one captures, and so does one for each further worker (`workers`); it
//! holds its engine's lock for one batch of packets at a time, and a scrape holds it for as long as copying the rows takes.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use whither::capture::interface;
use whither::capture::live::Options;
use whither::capture::watch::Watch as Capture;
use whither::config::{Common, EVENTS_KEEP, Watch};
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::limits::Limits;
use whither::engine::share::Share;
use whither::engine::watchlist::Watchlist;
use whither::export::feed::Feed;
use whither::export::http::{Handle, Server};
use whither::export::log::{EventLog, EventQueue, News};
use whither::export::record::Stats as Recorded;
use whither::export::rotate::Rotation;
use whither::export::state::{EVERY, Keeper, State as Kept, Stats};
use whither::export::web::Web;
use whither::export::{Scrape, printable};
use whither::sandbox;

use super::again::Files;
use super::record::Beside;
use super::workers::{self, State, Work, Workers};
use super::{confine, databases, devices, losses, recall, watchlists, web};

/// Why nobody can have the packets.
const NO_CAPTURES: &str = "The sensor keeps no packets: what it remembers is here. With --record DIR it keeps the latest, \
    and this gives their evidence.";

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
    let captures = workers::open(&options, &common)?;
    let mut beside = Beside::before(&common)?;
    let sandbox = confine(&common, &web)?;
    let link = captures.first().map(Capture::link);
    beside.open(&interface, (link, options.snaplen), &common)?;

    let (queue, writer) = events(&common)?.unzip();
    let feed = Arc::new(Feed::new(common.sensor()));
    let (workers, kept) = engines(captures.len(), &interface, queue.is_some(), &common)?;
    let stats = (kept.as_ref().map(Kept::stats), beside.stats());
    let about = Scrape {
        sensor: common.sensor().to_owned(),
        sandbox: sandbox.layers.iter().map(|layer| (layer.name, layer.on)).collect(),
        bench: common.location.map(|at| (at.latitude, at.longitude)),
        ..Scrape::default()
    };
    let archive = common.record.as_ref().map(|folder| Files::ring(folder, &interface, &common)).ok_or(NO_CAPTURES);
    let server = server.telling(Arc::clone(&feed)).reading(archive);
    let handle = serve((server, web), &workers, queue.clone(), stats, about)?;
    let keeper = kept.map(|kept| keep(kept, &workers)).transpose()?;
    let stop = signals(&workers, &common)?;
    eprintln!(
        "whither: watching {interface}; look at {scheme}://{at}/ (metrics at {scheme}://{at}/metrics); stop with Ctrl-C; {}",
        sandbox.line()
    );
    let work = Work { workers: &workers, queue: queue.as_ref(), feed: &feed, common: &common, stop: &stop, sandbox: &sandbox };
    let done = work.run(captures, beside);

    eprintln!("whither: {}", losses::told(&workers.row()));
    workers.each(|last| {
        last.engine.finish(|event| {
            if let Some(queue) = &queue {
                queue.send_last(event);
            }
        });
    });
    handle.stop();
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

/// An engine for each worker, each with its share where there are several; and where what they know is kept.
fn engines(workers: usize, interface: &str, events: bool, common: &Common) -> Result<(Workers, Option<Kept>)> {
    let geo = databases(&common.geoip)?;
    let lists: Arc<[Watchlist]> = watchlists(&common.watchlist)?.into();
    let roster = devices(common.devices.as_deref())?;
    let limits = Limits::default();
    let shares = Share::among(u8::try_from(workers).unwrap_or(u8::MAX), &limits);
    let mut engines = Vec::new();
    for share in shares {
        let side = OurSide { nets: Vec::new(), by_address: common.by_address };
        let mut engine = Engine::new(limits.clone(), side, geo.again(), events);
        if workers > 1 {
            engine.shares(share);
        }
        if let Some(at) = common.location {
            engine.stands_at(at.latitude, at.longitude);
        }
        engine.watch_for(Arc::clone(&lists));
        engine.register(roster.clone());
        engine.tell_notable();
        engines.push(engine);
    }
    let kept = recall(&mut engines, common)?;
    let mut states: Vec<State> = engines.into_iter().map(|engine| State::new(engine, interface)).collect();
    states.iter_mut().for_each(|state| state.know(common));
    Ok((Workers::new(states), kept))
}

fn events(common: &Common) -> Result<Option<(EventQueue, JoinHandle<()>)>> {
    let Some(path) = &common.events else {
        if common.events_max_size.is_some() || common.events_max_age.is_some() || common.events_keep.is_some() {
            bail!("--events-max-size, --events-max-age and --events-keep are about the file that --events names: give that too");
        }
        return Ok(None);
    };
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

/// Saves now and then what should survive a restart. An engine is held for as long as copying the rows takes.
fn keep(kept: Kept, workers: &Workers) -> Result<Keeper> {
    let workers = workers.clone();
    Ok(kept.keep(EVERY, move || workers.told().0.contacts, |line| eprintln!("whither: {line}"))?)
}

fn serve(
    (server, web): (Server, Web),
    workers: &Workers,
    queue: Option<EventQueue>,
    (stats, recorded): (Option<Arc<Stats>>, Option<Arc<Recorded>>),
    about: Scrape,
) -> Result<Handle> {
    let (workers, began) = (workers.clone(), workers::now());
    let scrape = move || {
        let (mut snapshot, row) = workers.told();
        snapshot.events_dropped = snapshot.events_dropped.saturating_add(queue.as_ref().map_or(0, EventQueue::dropped));
        // Whole seconds, and few of many: what is shown is renewed when it changes.
        let silent = workers::now().since(snapshot.last_packet.unwrap_or(began)).as_secs();
        let silent = Some(Duration::from_secs(if silent < 10 { silent } else { silent - silent % 5 }));
        let (state, record) = (stats.as_deref().map(Stats::row), recorded.as_deref().map(Recorded::row));
        Scrape { snapshot, capture: vec![row], silent, state, record, ..about.clone() }
    };
    Ok(server.serve(scrape, Arc::new(AtomicBool::new(true)), web)?)
}

/// Stops on SIGINT and SIGTERM; reads the address databases, watchlists and devices file again on SIGHUP, on which the first worker
/// opens the events' file again.
fn signals(workers: &Workers, common: &Common) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    // A second Ctrl-C ends the process at once; whatever manages services may say SIGTERM as often as it likes.
    signal_hook::flag::register_conditional_shutdown(SIGINT, 1, Arc::clone(&stop))?;
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let mut hangups = signal_hook::iterator::Signals::new([SIGHUP])?;
    let (workers, files, lists, known) = (workers.clone(), common.geoip.clone(), common.watchlist.clone(), common.devices.clone());
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in hangups.forever() {
            match databases(&files).and_then(|geo| Ok((geo, watchlists(&lists)?, devices(known.as_deref())?))) {
                Ok((geo, lists, roster)) => {
                    let lists: Arc<[Watchlist]> = lists.into();
                    workers.exchange();
                    workers.each(|held| {
                        held.engine.relocate(geo.again());
                        held.engine.watch_for(Arc::clone(&lists));
                        held.engine.register(roster.clone());
                    });
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
