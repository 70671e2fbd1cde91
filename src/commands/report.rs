//! `whither report`: captures through the engine, and everything that is known at the end as a page, text, JSON or CSV.
//!
//! Road taken: each capture is read twice, once for its hash and once through the engine, for the hash is of the file as it lies there,
//! compressed or not, as `sha256sum` tells it. Road not taken: hashing what the reader happens to ask for, which misses what it skips.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::CommandFactory as _;
use clap::error::ErrorKind;
use sha2::{Digest as _, Sha256};
use whither::capture::file::{Damage, File, Item};
use whither::config::{Cli, Common, Report, Span};
use whither::engine::Engine;
use whither::engine::event::Phase;
use whither::engine::snapshot::Snapshot;
use whither::export::explain::ask;
use whither::export::report::{self, Capture, Drops, Gather, Inputs, Listing};
use whither::export::{printable, rfc3339};
use whither::packet::Timestamp;
use whither::sandbox;

use super::explain::{missing, refuse_input};
use super::filter::Filter;
use super::progress::Progress;
use super::{Way, captures, engine, marks, watchlists};

/// How long after a mark something is said to follow it, where nobody says otherwise: a page has loaded by then.
const WITHIN: Duration = Duration::from_mins(1);

/// Reads the captures and writes the report.
pub(crate) fn run(mut asked: Report) -> Result<()> {
    if let Some(words) = asked.ask.iter().find(|words| !report::can_be_asked(words)) {
        let words = format!("--ask takes a country's code like SG, AS<n>, or a host's name, and `{words}` is none of them");
        Cli::command().error(ErrorKind::ValueValidation, words).exit();
    }
    let common = std::mem::take(&mut asked.common).over_file()?;
    let outs = [&asked.html, &asked.md, &asked.json, &asked.csv].map(Option::as_deref);
    asked.files = captures(&asked.files)?;
    check(&outs, &asked.files)?;
    sandbox::hush(common.sandbox.unwrap_or_default())?;
    let settings: Vec<(&str, &String)> =
        asked.device.iter().map(|device| ("device", device)).chain(asked.ask.iter().map(|what| ("ask", what))).collect();
    let bench = Bench { marks: asked.marks.as_deref(), within: asked.within };
    let mut read = read(&asked.files, &common, &bench, &settings, Way::Patient)?;
    read.inputs.asked.clone_from(&asked.ask);
    let told = read.told(&asked.device)?;
    let wanted = outs.iter().all(Option::is_none);
    let forms: [(Option<&Path>, Form<report::Report>); 4] = [
        (asked.html.as_deref(), |told| Ok(report::html(told))),
        (asked.md.as_deref().or(wanted.then_some(Path::new("-"))), |told| Ok(report::markdown(told))),
        (asked.json.as_deref(), |told| report::json(told)),
        (asked.csv.as_deref(), |told| Ok(report::csv(told))),
    ];
    write(&forms, &told)?;
    read.end()
}

/// How something is written down.
pub(super) type Form<T> = fn(&T) -> Result<String, String>;

/// Writes all that was asked for.
pub(super) fn write<T>(forms: &[(Option<&Path>, Form<T>)], told: &T) -> Result<()> {
    for (path, form) in forms {
        if let Some(path) = path {
            put(path, &form(told).map_err(|error| anyhow!(error))?)?;
        }
    }
    Ok(())
}

/// Refuses what cannot be read twice, more than one text on standard output, and writing over a capture.
pub(super) fn check(outs: &[Option<&Path>], files: &[PathBuf]) -> Result<()> {
    if files.iter().any(|path| path.as_os_str() == "-") {
        bail!("a report names its captures by their hashes, so it reads files, not standard input");
    }
    if outs.iter().flatten().filter(|path| path.as_os_str() == "-").count() > 1 {
        let words = "only one of --html, --md, --json and --csv can go to standard output; give the others a file";
        Cli::command().error(ErrorKind::ArgumentConflict, words).exit();
    }
    outs.iter().flatten().try_for_each(|path| refuse_input(path, files))
}

/// What was read of captures.
pub(super) struct Reading {
    inputs: Inputs,
    snapshot: Snapshot,
    gather: Gather,
    damages: Vec<String>,
}

impl Reading {
    /// The report on some devices, as the person names them; on all where none is named.
    pub(super) fn told(&self, devices: &[String]) -> Result<report::Report> {
        let wanted =
            devices.iter().map(|words| Ok(ask::device(words, &self.snapshot).map_err(|words| missing(words, &self.damages))?.id.clone()));
        Ok(report::draft(self.inputs.clone(), &self.snapshot, &self.gather, &wanted.collect::<Result<Vec<_>>>()?))
    }

    /// Two phases of these devices.
    pub(super) fn phases(&self, devices: &[String], phases: [Phase; 2]) -> Result<report::Comparison> {
        let told = report::compare_phases(&self.told(devices)?, &self.gather, &self.snapshot, phases);
        let words =
            |phase: Phase| anyhow!("no device was in the phase `{}`, by marks or by traffic; the report tells the phases", phase.as_str());
        told.map_err(words)
    }

    /// Fails where a capture broke off.
    pub(super) fn end(self) -> Result<()> {
        if self.damages.is_empty() { Ok(()) } else { Err(anyhow!(self.damages.join("; "))) }
    }
}

/// What was done at the bench, and how it is held against the traffic.
pub(super) struct Bench<'a> {
    pub(super) marks: Option<&'a Path>,
    pub(super) within: Option<Span>,
}

/// Reads captures through one engine. `settings` are those beside the common ones.
pub(super) fn read(paths: &[PathBuf], common: &Common, bench: &Bench<'_>, settings: &[(&str, &String)], way: Way<'_>) -> Result<Reading> {
    let mut filter = Filter::new(common.filter.as_deref())?;
    // All are opened first: a misspelt name is told before an hour of reading.
    let paths = captures(paths)?;
    let files = paths.iter().map(|path| Ok((path.as_path(), way.open(path)?))).collect::<Result<Vec<_>>>()?;
    let mut inputs = inputs(common, bench, settings)?;
    let log = bench.marks.map(marks::read).transpose()?.unwrap_or_default();
    let mut engine = engine(common, true)?;
    engine.watch_for(watchlists(&common.watchlist)?);
    engine.follow_activity();
    let mut gather = Gather::new();
    let mut damages = Vec::new();
    for (path, file) in files {
        let mut capture = hashed(path, way)?;
        match file {
            Ok(mut file) => {
                engine.begin();
                if let Err(damage) = through(Progress::of(path, way), &mut file, &mut capture, &mut engine, &mut gather, &mut filter) {
                    capture.damage = Some(damage.to_string());
                    damages.push(format!("{}: {damage}", path.display()));
                }
            }
            Err(words) => {
                damages.push(format!("{}: {words}", path.display()));
                capture.damage = Some(words);
            }
        }
        inputs.captures.push(capture);
    }
    engine.finish(|event| gather.take(event));
    gather.own_marks(|words| engine.label_of(words));
    let snapshot = engine.snapshot();
    marks::say(log, &snapshot, &mut gather)?;
    Ok(Reading { inputs, snapshot, gather, damages })
}

/// One capture through the engine.
fn through(
    mut progress: Progress,
    file: &mut File,
    capture: &mut Capture,
    engine: &mut Engine,
    gather: &mut Gather,
    filter: &mut Filter,
) -> Result<(), Damage> {
    let mut ends: Option<(Timestamp, Timestamp)> = None;
    let read = file.read(&mut |item| {
        if let Item::Mark(number, mark) = item {
            engine.mark(mark, number);
            return engine.events().for_each(|event| gather.take(event));
        }
        capture.frames = capture.frames.saturating_add(1);
        let Item::Frame(frame) = item else { return engine.unreadable() };
        progress.step(frame.data.len());
        let (first, last) = ends.unwrap_or((frame.time, frame.time));
        ends = Some((first.min(frame.time), last.max(frame.time)));
        capture.cut_frames = capture.cut_frames.saturating_add(u64::from((frame.data.len() as u64) < u64::from(frame.wire_len)));
        if !filter.takes(&frame) {
            capture.filtered_frames = capture.filtered_frames.saturating_add(1);
            return;
        }
        gather.frame(frame.time);
        engine.ingest(&frame);
        if engine.has_events() {
            engine.events().for_each(|event| gather.take(event));
        }
    });
    progress.end();
    let lost = file.lost();
    capture.drops = Drops { interface: lost.interface, system: lost.system };
    if let Some((first, last)) = ends {
        (capture.first, capture.last) = (Some(rfc3339(first.as_nanos(), 9)), Some(rfc3339(last.as_nanos(), 9)));
    }
    read
}

fn put(path: &Path, text: &str) -> Result<()> {
    if path.as_os_str() == "-" {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        return Ok(out.flush()?);
    }
    #[expect(clippy::disallowed_methods, reason = "only main, config, capture and export touch the world")]
    std::fs::write(path, text).with_context(|| format!("cannot write the report to {}", path.display()))
}

/// What the report tells of its making, but for the captures.
fn inputs(common: &Common, bench: &Bench<'_>, more: &[(&str, &String)]) -> Result<Inputs> {
    let mut lists = Vec::new();
    for (list, path) in watchlists(&common.watchlist)?.iter().zip(common.watchlist.iter().map(Some).chain([None])) {
        let sha256 = match path {
            Some(path) => hash(path, Way::Patient)?.1,
            None => hexadecimal(&Sha256::digest(include_bytes!("../../geoip/watchlist.tsv"))),
        };
        lists.push(Listing { name: list.ruleset().to_string(), sha256, rules: list.rules() });
    }
    let mut settings = Vec::new();
    for path in &common.geoip {
        settings.push(("geoip".to_owned(), format!("{}, {}", name(path), hash(path, Way::Patient)?.1)));
    }
    if let Some(path) = &common.devices {
        settings.push(("devices".to_owned(), format!("{}, {}", name(path), hash(path, Way::Patient)?.1)));
    }
    settings.extend(lists.iter().map(|list| ("watchlist".to_owned(), format!("{}, {} rules, {}", list.name, list.rules, list.sha256))));
    settings.extend(common.local_net.iter().map(|net| ("local-net".to_owned(), net.to_string())));
    settings.extend(common.location.map(|at| ("location".to_owned(), format!("{},{}", at.latitude, at.longitude))));
    settings.push(("by-address".to_owned(), common.by_address.to_string()));
    settings.extend(common.filter.iter().map(|filter| ("filter".to_owned(), filter.clone())));
    if let Some(path) = bench.marks {
        settings.push(("marks".to_owned(), format!("{}, {}", name(path), hash(path, Way::Patient)?.1)));
    }
    settings.extend(bench.within.map(|within| ("within".to_owned(), format!("{}s", within.0.as_secs()))));
    settings.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).clone())));
    let lines: String = settings.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
    Ok(Inputs {
        captures: Vec::new(),
        lists,
        settings,
        settings_sha256: hexadecimal(&Sha256::digest(lines.as_bytes())),
        bench: common.location.map(|at| (at.latitude, at.longitude)),
        asked: Vec::new(),
        within: bench.within.map_or(WITHIN, |within| within.0),
    })
}

fn hashed(path: &Path, way: Way<'_>) -> Result<Capture> {
    let (bytes, sha256) = hash(path, way)?;
    Ok(Capture { name: name(path), bytes, sha256, ..Capture::default() })
}

/// A file's name without the way to it, which is another one on another machine.
fn name(path: &Path) -> String {
    let name = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy());
    printable(&name).into_owned()
}

/// A file's size and hash.
fn hash(path: &Path, way: Way<'_>) -> Result<(u64, String)> {
    let cannot = || format!("cannot read {}", path.display());
    #[expect(clippy::disallowed_types, reason = "only main, config, capture and export touch the world")]
    let mut file = std::fs::File::open(path).with_context(cannot)?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0_u64, vec![0; 1 << 18]);
    while !way.is_over() {
        let count = file.read(&mut buffer).with_context(cannot)?;
        let Some(part) = buffer.get(..count).filter(|part| !part.is_empty()) else { break };
        hash.update(part);
        bytes = bytes.saturating_add(count as u64);
    }
    Ok((bytes, hexadecimal(&hash.finalize())))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
