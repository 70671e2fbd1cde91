//! `whither read`: captures through the engine, and what it knows at the end.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use clap::CommandFactory as _;
use clap::error::ErrorKind;
use whither::capture::file::Item;
use whither::config::{Cli, Common, Read};
use whither::engine::Engine;
use whither::engine::event::Event;
use whither::engine::snapshot::Snapshot;
use whither::export::feed::Feed;
use whither::export::http::Server;
use whither::export::log::EventLog;
use whither::export::names::Names;
use whither::export::web::Web;
use whither::export::{Scrape, contacts, identity, json, locations, noise, notable, prometheus, table, visibility};
use whither::sandbox;

use super::again::Files;
use super::explain::refuse_input;
use super::filter::Filter;
use super::progress::Progress;
use super::serve::{Pages, Replay};
use super::{Opened, Way, captures, engine, readable, recall, watchlists, web};

/// Reads the captures and tells what they hold.
pub(crate) fn run(mut asked: Read) -> Result<()> {
    let common = std::mem::take(&mut asked.common).over_file()?;
    let on_stdout = [asked.metrics.as_deref(), common.events.as_deref(), asked.names.as_deref()]
        .into_iter()
        .flatten()
        .filter(|path| path.as_os_str() == "-")
        .count();
    if on_stdout + usize::from(asked.json) > 1 {
        let words = "only one of --events -, --names -, --metrics - and --json can go to standard output; give the others a file";
        Cli::command().error(ErrorKind::ArgumentConflict, words).exit();
    }
    let feed = asked.serve.then(|| Arc::new(Feed::new(common.sensor())));
    let server = feed.as_ref().map(|feed| open(&common, feed, &asked.files)).transpose()?;
    sandbox::hush(common.sandbox.unwrap_or_default())?;
    let mut filter = Filter::new(common.filter.as_deref())?;
    // All are opened first: a misspelt name is told before an hour of reading.
    let files = captures(&asked.files)?.into_iter().map(|path| Ok((Way::Patient.open(&path)?, path))).collect::<Result<Vec<_>>>()?;
    refuse_overwriting(&asked, &common, files.iter().map(|(_, path)| path.as_path()))?;
    let log = common
        .events
        .as_ref()
        .map(|path| EventLog::create(path, common.sensor()).with_context(|| format!("cannot write the events to {}", path.display())));
    let mut told = Told { log: log.transpose()?, names: asked.names.is_some().then(Names::default), feed: feed.clone(), failed: None };
    let mut engine = engine(&common, told.wanted())?;
    engine.watch_for(watchlists(&common.watchlist)?);
    if told.feed.is_some() {
        engine.tell_notable();
    }
    let state = recall(std::slice::from_mut(&mut engine), &common)?;

    // With a speed the pages are up from the start, else when all is read.
    let (server, mut replay) = match (server, asked.speed) {
        (Some(server), Some(factor)) => (None, Some(Replay::new(Pages::open(server, &common, Snapshot::default(), false)?, factor))),
        (server, _) => (server, None),
    };

    let damages = pass(files, &mut engine, &mut filter, &mut told, replay.as_mut());
    engine.finish(|event| told.take(&event));
    told.finish(asked.names.as_deref())?;
    let snapshot = engine.snapshot();
    drop(engine); // its tables make room for what is printed
    let snapshot = show(&asked, on_stdout > 0, &common, snapshot)?;
    if let (Some(mut state), Some(folder)) = (state, &common.state) {
        state.save(&snapshot.contacts).with_context(|| format!("cannot save the state in {}", folder.display()))?;
    }
    if let Some(replay) = replay {
        replay.end(snapshot).until_stopped()?;
    } else if let Some(server) = server {
        Pages::open(server, &common, snapshot, true)?.until_stopped()?;
    }
    if damages.is_empty() { Ok(()) } else { Err(anyhow!(damages.join("; "))) }
}

/// Nothing is written over what is read, nor two things into one file.
fn refuse_overwriting<'a>(asked: &'a Read, common: &'a Common, captures: impl Iterator<Item = &'a Path>) -> Result<()> {
    let besides = [&common.geoip, &common.watchlist].into_iter().flatten().chain(&common.devices).chain(&common.config);
    let read: Vec<&Path> = captures.chain(besides.map(PathBuf::as_path)).collect();
    let mut outs = Vec::new();
    for out in [&asked.metrics, &common.events, &asked.names].into_iter().flatten().filter(|out| out.as_os_str() != "-") {
        refuse_input(out, &read)?;
        if outs.contains(&out) && !out.starts_with("/dev") {
            return Err(anyhow!("two outputs would go to {}; give each a file of its own", out.display()));
        }
        outs.push(out);
    }
    Ok(())
}

/// All captures through the engine; where they broke off.
fn pass(
    files: Vec<(Opened, PathBuf)>,
    engine: &mut Engine,
    filter: &mut Filter,
    told: &mut Told,
    mut replay: Option<&mut Replay>,
) -> Vec<String> {
    let mut damages = Vec::new();
    for (file, path) in files {
        let Some(mut file) = readable(file, &path, &mut damages) else { continue };
        engine.begin();
        let mut progress = Progress::of(&path, Way::Patient);
        let read = file.read(&mut |item| match item {
            Item::Frame(frame) => {
                progress.step(frame.data.len());
                if !filter.takes(&frame) {
                    return;
                }
                if let Some(replay) = &mut replay {
                    replay.wait(frame.time, || engine.snapshot());
                }
                engine.ingest(&frame);
                if engine.has_events() {
                    engine.events().for_each(|event| told.take(&event));
                }
                if let Some(feed) = &told.feed {
                    feed.passed(1, Some(frame.time));
                }
            }
            Item::Unreadable(..) => engine.unreadable(),
            Item::Mark(number, mark) => engine.mark(mark, number),
        });
        progress.end();
        if let Err(damage) = read {
            damages.push(format!("{}: {damage}", path.display()));
        }
    }
    damages
}

/// Where events go.
struct Told {
    log: Option<EventLog>,
    names: Option<Names>,
    /// What the pages tell.
    feed: Option<Arc<Feed>>,
    /// The log's first failure. The reading goes on, for the table; it is told at the end.
    failed: Option<std::io::Error>,
}

impl Told {
    fn wanted(&self) -> bool {
        self.log.is_some() || self.names.is_some()
    }

    /// Takes in an event.
    fn take(&mut self, event: &Event) {
        if let (Some(log), None) = (&mut self.log, &self.failed) {
            self.failed = log.write(event).err();
        }
        if let Some(names) = &mut self.names {
            names.take(event);
        }
        if let Some(feed) = &self.feed {
            feed.take(event);
        }
    }

    fn finish(self, path: Option<&Path>) -> Result<()> {
        if let Some(mut log) = self.log {
            log.flush().or_else(|error| self.failed.map_or(Err(error), Err)).context("cannot write the events")?;
        }
        let (Some(names), Some(path)) = (self.names, path) else { return Ok(()) };
        if path.as_os_str() == "-" {
            return Ok(names.write(&mut std::io::stdout().lock())?);
        }
        #[expect(clippy::disallowed_types, reason = "only main, config, capture and export touch the world")]
        let file = std::fs::File::create(path).with_context(|| format!("cannot write the names to {}", path.display()))?;
        names.write(&mut std::io::BufWriter::new(file)).with_context(|| format!("cannot write the names to {}", path.display()))
    }
}

/// The pages, not up yet.
fn open(common: &Common, feed: &Arc<Feed>, files: &[PathBuf]) -> Result<(Server, Web)> {
    let address = common.listen()?;
    let server = Server::bind(address).with_context(|| format!("cannot listen on {address}; give another with --listen"))?;
    let server = server.telling(Arc::clone(feed)).reading(Files::archive(files, common));
    Ok((server, web(common.web_config_file.as_deref())?))
}

/// Prints what was asked for, and gives back what it is about.
fn show(asked: &Read, stdout_taken: bool, common: &Common, snapshot: Snapshot) -> Result<Snapshot> {
    let mut out = std::io::stdout().lock();
    if asked.json {
        writeln!(out, "{}", json::summary_json(&snapshot))?;
    } else if !stdout_taken {
        let width = out.is_terminal().then(|| std::env::var("COLUMNS").ok()?.parse().ok()).flatten();
        write!(out, "{}{}{}", table::destinations(&snapshot, width), identity::lines(&snapshot), visibility::lines(&snapshot))?;
        write!(out, "{}{}{}", noise::lines(&snapshot), locations::contradicted(&snapshot), contacts::lines(&snapshot))?;
        write!(out, "{}", notable::lines(&snapshot))?;
    }
    let scrape = Scrape { snapshot, sensor: common.sensor().to_owned(), ..Scrape::default() };
    if let Some(path) = &asked.metrics {
        let text = prometheus::render(&scrape, false)?;
        if path.as_os_str() == "-" {
            out.write_all(text.as_bytes())?;
        } else {
            write_file(path, &text)?;
        }
    }
    out.flush()?;
    Ok(scrape.snapshot)
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    #[expect(clippy::disallowed_methods, reason = "only main, config, capture and export touch the world")]
    std::fs::write(path, text).with_context(|| format!("cannot write the metrics to {}", path.display()))
}
