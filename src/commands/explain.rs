//! `whither explain`: the evidence behind one row of the table.
//!
//! Road taken: the captures are read twice through the engine, first to know who and what is meant, then with that one device
//! audited, so that nothing of all the others is kept; and once more without it, where packets are to be written. Road not taken:
//! keeping in one reading what might be asked for, which has no bound.

use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error, Result, anyhow, bail};
use whither::capture::file::Item;
use whither::config::{Common, Explain};
use whither::engine::Engine;
use whither::engine::event::Event;
use whither::engine::snapshot::Snapshot;
use whither::export::explain::captures::Captures;
use whither::export::explain::{Case, Deciding, ask};
use whither::export::pcapng::{Captured, Writer};
use whither::export::printable;
use whither::packet::{Body, Frame, Packet};
use whither::sandbox;

use super::filter::Filter;
use super::progress::Progress;
use super::{Opened, Way, captures, engine, readable, watchlists};

/// Tells the evidence, and writes it where that was asked.
pub(crate) fn run(mut asked: Explain) -> Result<()> {
    let common = std::mem::take(&mut asked.common).over_file()?;
    sandbox::hush(common.sandbox.unwrap_or_default())?;
    asked.files = captures(&asked.files)?;
    if asked.files.iter().any(|path| path.as_os_str() == "-") {
        bail!("explain reads the captures more than once, which standard input cannot be; name a file");
    }
    if let Some(out) = &asked.evidence {
        refuse_input(out, &asked.files)?;
    }
    let called = |path: &Path| path.display().to_string();
    let inputs = Inputs { paths: &asked.files, common: &common, way: Way::Patient, called, frames: u64::MAX };
    let (snapshot, damages) = inputs.read(engine(&common, false)?, &mut Captures::default(), |_| {})?;
    let device = ask::device(&asked.device, &snapshot).map_err(|words| missing(words, &damages))?;
    let meant = ask::destination(&asked.destination, device, &snapshot).map_err(|words| missing(words, &damages))?;

    let mut engine = engine(&common, true)?;
    engine.watch_for(watchlists(&common.watchlist)?);
    engine.audit(&device.id);
    let mut case = Case::new(device.id.clone(), meant);
    let mut captures = Captures::default();
    let (snapshot, damages) = inputs.read(engine, &mut captures, |event| case.take(event))?;
    let explanation = case.close(&asked.destination, &snapshot).map_err(|words| anyhow!(words))?;

    if let Some(out) = &asked.evidence {
        let cannot = || format!("cannot write the evidence to {}", out.display());
        #[expect(clippy::disallowed_types, reason = "only main, config, capture and export touch the world")]
        let file = std::fs::File::create(out).with_context(cannot)?;
        let written = inputs.write(BufWriter::new(file), &explanation.deciding(asked.all)).with_context(cannot)?;
        eprintln!("whither: {} holds {written} packets", out.display());
    }
    let mut out = std::io::stdout().lock();
    if asked.json {
        writeln!(out, "{}", explanation.json(&captures))?;
    } else {
        write!(out, "{}", explanation.words(&captures, asked.all))?;
    }
    out.flush()?;
    if damages.is_empty() { Ok(()) } else { Err(anyhow!(damages.join("; "))) }
}

/// Somebody is not in the captures, or stands behind the damage of one.
pub(super) fn missing(words: String, damages: &[String]) -> Error {
    anyhow!([&[words], damages].concat().join("; "))
}

/// What is written must not go over what is read, by whatever name.
pub(super) fn refuse_input(out: &Path, files: &[impl AsRef<Path>]) -> Result<()> {
    let which = |path: &Path| std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    let Some(of_out) = which(out) else { return Ok(()) };
    match files.iter().map(AsRef::as_ref).find(|path| which(path) == Some(of_out)) {
        Some(path) => bail!("{} would be written over {}, which is read; give another file", out.display(), path.display()),
        None => Ok(()),
    }
}

/// Captures that are read more than once.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) paths: &'a [PathBuf],
    pub(super) common: &'a Common,
    pub(super) way: Way<'a>,
    /// What they are called.
    pub(super) called: fn(&Path) -> String,
    /// So many frames count, those that a filter takes.
    pub(super) frames: u64,
}

impl<'a> Inputs<'a> {
    /// Through an engine; what it knows at the end, and where the captures broke off.
    pub(super) fn read(&self, mut engine: Engine, captures: &mut Captures, mut take: impl FnMut(Event)) -> Result<(Snapshot, Vec<String>)> {
        let mut filter = Filter::new(self.common.filter.as_deref())?;
        let (mut damages, mut left) = (Vec::new(), self.frames);
        for (path, file) in self.open()? {
            captures.begin(&(self.called)(path));
            let Some(mut file) = readable(file, path, &mut damages) else { continue };
            engine.begin();
            let mut progress = Progress::of(path, self.way);
            let read = file.read(&mut |item| match item {
                Item::Frame(frame) => {
                    progress.step(frame.data.len());
                    let frame = Frame { number: captures.through(frame.number), ..frame };
                    if left > 0 && filter.takes(&frame) {
                        left = left.saturating_sub(1);
                        engine.ingest(&frame);
                        engine.events().for_each(&mut take);
                    }
                }
                Item::Unreadable(number, _) => {
                    captures.through(number);
                    if left > 0 {
                        left = left.saturating_sub(1);
                        engine.unreadable();
                    }
                }
                Item::Mark(number, _) => {
                    captures.through(number);
                }
            });
            progress.end();
            if let Err(damage) = read {
                damages.push(format!("{}: {damage}", path.display()));
            }
        }
        engine.finish(take);
        Ok((engine.snapshot(), damages))
    }

    /// Writes the packets that are evidence; how many. They are found by their numbers, and by the filter that numbered none of them away.
    pub(super) fn write(&self, out: impl Write, deciding: &Deciding) -> Result<u64> {
        let mut writer = Writer::new(out)?;
        let mut filter = Filter::new(self.common.filter.as_deref())?;
        let mut captures = Captures::default();
        let (mut written, mut failed) = (0_u64, None);
        for (path, file) in self.open()? {
            let name = printable(&(self.called)(path)).into_owned();
            captures.begin(&name);
            // Damage is told where the evidence was gathered.
            let Ok(mut file) = file else { continue };
            let _ = file.read_linktypes(&mut |item, linktype| {
                let Item::Frame(frame) = item else { return };
                let through = captures.through(frame.number);
                let Some(shown) = deciding.shows(through, ends(&frame)).filter(|_| failed.is_none() && filter.takes(&frame)) else {
                    return;
                };
                let comments: Vec<String> = shown.iter().map(|words| format!("{name} packet {}: {words}", frame.number)).collect();
                let captured = Captured { nanos: frame.time.as_nanos(), linktype, wire_len: frame.wire_len, data: frame.data };
                failed = writer.packet(&name, captured, &comments).err();
                written = written.saturating_add(1);
            });
        }
        failed.map_or_else(|| writer.finish(), Err)?;
        Ok(written)
    }

    /// All captures, opened before one is read: a misspelt name is told before an hour of reading.
    fn open(&self) -> Result<Vec<(&'a Path, Opened)>> {
        self.paths.iter().map(|path| Ok((path.as_path(), self.way.open(path)?))).collect()
    }
}

/// Between whom a frame went, where it carries IP.
fn ends(frame: &Frame<'_>) -> Option<(SocketAddr, SocketAddr, u8)> {
    match Packet::decode(frame).ok()?.body {
        Body::Ip(datagram) => Some((datagram.source, datagram.target, datagram.protocol)),
        Body::Link(..) => None,
    }
}
