//! One file for each command, and what they share.

mod again;
pub(crate) mod compare;
pub(crate) mod explain;
mod filter;
#[cfg(feature = "live")]
mod losses;
pub(crate) mod mark;
mod marks;
mod progress;
pub(crate) mod read;
#[cfg(feature = "live")]
mod record;
pub(crate) mod report;
mod serve;
pub(crate) mod simulate;
#[cfg(feature = "live")]
pub(crate) mod watch;
#[cfg(feature = "live")]
mod workers;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use whither::capture::file::File;
#[cfg(feature = "live")]
use whither::capture::interface;
use whither::config::Common;
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::geo::GeoDb;
use whither::engine::limits::Limits;
use whither::engine::roster::Roster;
use whither::engine::watchlist::{self, Watchlist};
use whither::export::again::Stop;
use whither::export::state::State;
use whither::export::web::Web;
use whither::roster;
#[cfg(feature = "live")]
use whither::sandbox::{self, Needs, Sandbox};

/// How captures are read: to their end, or until nobody waits for it any more.
#[derive(Clone, Copy)]
enum Way<'a> {
    /// Somebody at a terminal waits.
    Patient,
    /// A viewer of the pages waits.
    Until(&'a Arc<Stop>),
}

/// A capture, or what is wrong with one that was cut before its first packet: told when the others are read.
type Opened = Result<File, String>;

impl Way<'_> {
    /// Opens a capture; fails on what nobody wants to hear after an hour of reading: a misspelt name, or a file that is no capture.
    fn open(self, path: &Path) -> Result<Opened> {
        let file = if let Way::Until(stop) = self {
            #[expect(clippy::disallowed_types, reason = "only main, config, capture and export touch the world")]
            let file = std::fs::File::open(path).with_context(|| format!("{} cannot be read again", path.display()))?;
            File::from_reader(again::Ending { input: file, stop: Arc::clone(stop) }).map_err(|error| error.of(path))
        } else {
            File::open(path)
        };
        file.map(Ok).or_else(|error| error.damage().map(|words| Err(words.to_owned())).ok_or(error)).map_err(anyhow::Error::from)
    }

    /// Whether it should end now.
    fn is_over(self) -> bool {
        matches!(self, Way::Until(stop) if stop.is_asked())
    }
}

/// The capture, if it can be read; else what is wrong with it stands among the damages.
fn readable(opened: Opened, path: &Path, damages: &mut Vec<String>) -> Option<File> {
    opened.map_err(|words| damages.push(format!("{}: {words}", path.display()))).ok()
}

/// The address databases: the person's before the embedded ones.
fn databases(files: &[impl AsRef<Path>]) -> Result<GeoDb> {
    let mut geo = GeoDb::embedded()?;
    for path in files {
        let path = path.as_ref();
        #[expect(clippy::disallowed_methods, reason = "only main, config, capture and export touch the world")]
        let bytes = std::fs::read(path).with_context(|| format!("cannot read the address database {}", path.display()))?;
        let name = path.file_stem().map_or_else(|| path.display().to_string(), |stem| stem.to_string_lossy().into_owned());
        geo.add(&name, bytes).with_context(|| format!("cannot use the address database {}", path.display()))?;
    }
    Ok(geo)
}

/// An engine for captures that looks out for nothing yet; `events` says whether anybody will take them.
fn engine(common: &Common, events: bool) -> Result<Engine> {
    let side = OurSide { nets: common.local_net.clone(), by_address: common.by_address };
    let mut engine = Engine::new(Limits::default(), side, databases(&common.geoip)?, events);
    if let Some(at) = common.location {
        engine.stands_at(at.latitude, at.longitude);
    }
    engine.routers(common.own_macs.clone());
    engine.register(devices(common.devices.as_deref())?);
    Ok(engine)
}

/// What was asked for, and what only this machine knows of an interface: which prefixes and MACs are the access point's.
#[cfg(feature = "live")]
fn knowing(interface: &str, common: &Common) -> Common {
    let mut common = common.clone();
    common.local_net.extend(interface::local_prefixes(interface));
    common.own_macs = interface::own_macs(interface);
    common
}

/// What an earlier run knew, for the engines, and the directory to keep it in; and how long contacts are learnt.
fn recall(engines: &mut [Engine], common: &Common) -> Result<Option<State>> {
    if let Some(span) = common.learning {
        engines.iter_mut().for_each(|engine| engine.learns_for(span.0));
    }
    let Some(folder) = &common.state else { return Ok(None) };
    let (state, memories) = State::open(folder)?;
    engines.iter_mut().for_each(|engine| engine.remember(memories.clone()));
    Ok(Some(state))
}

/// What to look out for: the person's lists, whose word on what a host is for goes first, and the embedded one.
fn watchlists(files: &[impl AsRef<Path>]) -> Result<Vec<Watchlist>> {
    let mut lists = Vec::new();
    for path in files {
        let path = path.as_ref();
        let bytes = beginning(path, watchlist::LARGEST).with_context(|| format!("cannot read the watchlist {}", path.display()))?;
        let name = path.file_stem().map_or_else(|| path.display().to_string(), |stem| stem.to_string_lossy().into_owned());
        // A comment in an old character set is no harm; a rule in one is told by its line.
        let list = Watchlist::parse(&name, &String::from_utf8_lossy(&bytes));
        let list = list.map_err(|error| anyhow!("the watchlist {}: {error}", path.display()))?;
        if list.skipped() > 0 {
            let (name, rules, skipped) = (path.display(), list.rules(), list.skipped());
            eprintln!("whither: the watchlist {name}: {rules} rules; {skipped} lines about parts of pages were passed over");
        }
        lists.push(list);
    }
    lists.push(Watchlist::embedded().context("the embedded watchlist")?);
    Ok(lists)
}

/// Confines this process to what `watch` needs from now on; the sockets are open.
#[cfg(feature = "live")]
fn confine(common: &Common, web: &Web) -> Result<Sandbox> {
    let written = common.events.iter().filter(|path| path.as_os_str() != "-");
    let needs = Needs {
        read: [&common.geoip, &common.watchlist, &web.files()].into_iter().flatten().chain(&common.devices).cloned().collect(),
        write: written.cloned().collect(),
        keep: common.state.iter().chain(&common.record).cloned().collect(),
    };
    sandbox::enter(common.sandbox.unwrap_or_default(), common.user.as_deref(), &needs)
}

/// How the pages are to be served.
fn web(file: Option<&Path>) -> Result<Web> {
    file.map_or_else(|| Ok(Web::default()), |path| Web::load(path).map_err(|error| anyhow!(error)))
}

/// The devices that the person knows.
fn devices(file: Option<&Path>) -> Result<Roster> {
    let Some(path) = file else { return Ok(Roster::default()) };
    let bytes = beginning(path, roster::LARGEST).with_context(|| format!("cannot read the devices file {}", path.display()))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| anyhow!("the devices file {} is not UTF-8 text", path.display()))?;
    roster::parse(text, path).context("the devices file")
}

/// The captures that are meant: a directory stands for those in it, in the order of their first packets.
fn captures(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let cannot = || format!("cannot read the directory {}", path.display());
        let is_capture = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            [".pcap", ".pcapng", ".cap"].iter().any(|end| name.strip_suffix(".gz").unwrap_or(&name).ends_with(end))
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).with_context(cannot)? {
            let path = entry.with_context(cannot)?.path();
            if is_capture(&path) {
                // A file without packets has its place by its name alone.
                found.push((Way::Patient.open(&path)?.ok().and_then(|mut file| file.begin()), path));
            }
        }
        if found.is_empty() {
            return Err(anyhow!("{}: no captures in this directory (.pcap, .pcapng, .cap, also .gz)", path.display()));
        }
        found.sort();
        files.extend(found.into_iter().map(|(_, path)| path));
    }
    Ok(files)
}

/// A file's first `most` bytes, and a byte more, so that a larger one is told as such without being held.
fn beginning(path: &Path, most: usize) -> std::io::Result<Vec<u8>> {
    #[expect(clippy::disallowed_types, reason = "only main, config, capture and export touch the world")]
    let file = std::fs::File::open(path)?;
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
