//! Captures read again for whoever looks at the pages: by the code of `explain` and of `report`, so that it is the same evidence.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Error;
use whither::config::Common;
use whither::export::again::{Archive, LARGEST, Stop};
use whither::export::explain::captures::Captures;
use whither::export::explain::{Case, Deciding, Explanation};
use whither::export::query::Problem;
use whither::export::{printable, report};

use super::explain::Inputs;
use super::report::Bench;
use super::{Way, captures, engine, watchlists};

/// The captures that were read, or that are being recorded.
pub(super) struct Files {
    paths: Vec<PathBuf>,
    common: Common,
    /// What was read is in them from the first frame on; of a ring the first ones are gone.
    whole: bool,
    /// What was asked for, and what this machine knows when somebody asks.
    knowing: Box<dyn Fn(&Common) -> Common + Send + Sync>,
}

impl Files {
    /// The captures, if they can be read again.
    pub(super) fn archive(paths: &[PathBuf], common: &Common) -> Result<Arc<dyn Archive>, &'static str> {
        if paths.iter().any(|path| path.as_os_str() == "-") {
            return Err("The packets came by standard input, which cannot be read again: name a file, and this gives their evidence.");
        }
        Ok(Arc::new(Self { paths: paths.to_vec(), common: common.clone(), whole: true, knowing: Box::new(Common::clone) }))
    }

    /// A directory that `watch` records to from an interface: whatever is in it when somebody asks.
    #[cfg(feature = "live")]
    pub(super) fn ring(folder: &Path, interface: &str, common: &Common) -> Arc<dyn Archive> {
        let interface = interface.to_owned();
        let knowing = Box::new(move |common: &Common| super::knowing(&interface, common));
        Arc::new(Self { paths: vec![folder.to_owned()], common: common.clone(), whole: false, knowing })
    }

    fn common(&self) -> Common {
        (self.knowing)(&self.common)
    }

    fn inputs<'a>(&self, paths: &'a [PathBuf], common: &'a Common, frames: u64, stop: &'a Arc<Stop>) -> Inputs<'a> {
        let frames = if self.whole { frames } else { u64::MAX };
        Inputs { paths, common, way: Way::Until(stop), called, frames }
    }
}

/// A capture's name without the way to it, which is this machine's matter.
fn called(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

impl Archive for Files {
    fn explain(&self, mut case: Case, asked: &str, frames: u64, stop: &Arc<Stop>) -> Result<(Explanation, Captures), Problem> {
        let common = self.common();
        let mut engine = engine(&common, true).map_err(failed)?;
        engine.watch_for(watchlists(&self.common.watchlist).map_err(failed)?);
        engine.audit(case.device());
        let (paths, mut captures) = (captures(&self.paths).map_err(failed)?, Captures::default());
        // Damage was told when they were read first.
        let (snapshot, _) =
            self.inputs(&paths, &common, frames, stop).read(engine, &mut captures, |event| case.take(event)).map_err(failed)?;
        if stop.is_asked() {
            return Err(stopped());
        }
        Ok((case.close(asked, &snapshot).map_err(Problem::absent)?, captures))
    }

    fn packets(&self, deciding: &Deciding, stop: &Arc<Stop>) -> Result<Vec<u8>, Problem> {
        let mut bytes = Bounded(Vec::new());
        self.inputs(&captures(&self.paths).map_err(failed)?, &self.common(), u64::MAX, stop).write(&mut bytes, deciding).map_err(failed)?;
        if stop.is_asked() { Err(stopped()) } else { Ok(bytes.0) }
    }

    fn report(&self, device: &str, page: bool, stop: &Arc<Stop>) -> Result<String, Problem> {
        let (asked, bench) = (device.to_owned(), Bench { marks: None, within: None });
        let read = super::report::read(&self.paths, &self.common(), &bench, &[("device", &asked)], Way::Until(stop)).map_err(failed)?;
        if stop.is_asked() {
            return Err(stopped());
        }
        let told = read.told(std::slice::from_ref(&asked)).map_err(|error| Problem::absent(error.to_string()))?;
        if page { Ok(report::html(&told)) } else { report::json(&told).map_err(Problem::failed) }
    }
}

fn stopped() -> Problem {
    Problem::busy("The captures were not read to their end.".to_owned())
}

/// A capture is gone, or another one has its name.
fn failed(error: Error) -> Problem {
    Problem::busy(printable(&format!("{error:#}")).into_owned())
}

/// A reader that fails when nobody waits for it any more.
pub(super) struct Ending<R> {
    pub(super) input: R,
    pub(super) stop: Arc<Stop>,
}

impl<R: Read> Read for Ending<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_asked() {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        self.input.read(buffer)
    }
}

/// An answer of so many bytes at most.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > LARGEST {
            let words = format!("the packets are more than {} MiB; whither explain --evidence writes them to a file", LARGEST >> 20);
            return Err(io::Error::other(words));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
