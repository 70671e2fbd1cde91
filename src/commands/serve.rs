//! Pages that show what `read` read, and the pace of a replay.
//!
//! Road taken: the pages show a copy of the engine's rows, which the reading renews. The road not taken is the engine behind a lock, as
//! `watch` has it: a reading at full speed would wait for every scrape.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use whither::config::Common;
use whither::engine::snapshot::Snapshot;
use whither::export::Scrape;
use whither::export::http::{Handle, Server};
use whither::export::web::Web;
use whither::packet::Timestamp;

/// How often a replay renews the pages.
const RENEWED: Duration = Duration::from_millis(250);

/// The pages, up.
pub(super) struct Pages {
    handle: Handle,
    shown: Arc<Mutex<(Snapshot, bool)>>,
}

impl Pages {
    /// Puts the pages up, and says where. `finished` says that all is read.
    pub(super) fn open((server, web): (Server, Web), common: &Common, snapshot: Snapshot, finished: bool) -> Result<Self> {
        let (scheme, address) = (web.scheme(), server.local_addr());
        let (sensor, bench) = (common.sensor().to_owned(), common.location.map(|at| (at.latitude, at.longitude)));
        let shown = Arc::new(Mutex::new((snapshot, finished)));
        let rows = Arc::clone(&shown);
        let scrape = move || {
            let (snapshot, finished) = rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Scrape { snapshot, sensor: sensor.clone(), bench, finished, ..Scrape::default() }
        };
        let handle = server.serve(scrape, Arc::new(AtomicBool::new(true)), web)?;
        eprintln!("whither: look at {scheme}://{address}/ (metrics at {scheme}://{address}/metrics); stop with Ctrl-C");
        Ok(Self { handle, shown })
    }

    /// Shows this from now on.
    fn show(&self, snapshot: Snapshot, finished: bool) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = (snapshot, finished);
    }

    /// Keeps them up until SIGINT or SIGTERM.
    pub(super) fn until_stopped(self) -> Result<()> {
        let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM])?;
        signals.forever().next();
        self.handle.stop();
        Ok(())
    }
}

/// A reading whose packets come at the times between them, divided by a factor, with the pages up.
pub(super) struct Replay {
    pages: Pages,
    factor: f64,
    /// The first packet's time, and when it was read.
    began: Option<(Timestamp, Instant)>,
    renewed: Option<Instant>,
}

impl Replay {
    /// `factor` is greater than zero.
    pub(super) fn new(pages: Pages, factor: f64) -> Self {
        Self { pages, factor, began: None, renewed: None }
    }

    /// Waits until a packet of this time is due; now and then the pages show what is known so far.
    #[expect(clippy::disallowed_methods, reason = "a replay goes by the wall clock")]
    pub(super) fn wait(&mut self, time: Timestamp, mut known: impl FnMut() -> Snapshot) {
        let (first, at) = *self.began.get_or_insert_with(|| (time, Instant::now()));
        let due = Duration::try_from_secs_f64(time.since(first).as_secs_f64() / self.factor).unwrap_or(Duration::MAX);
        loop {
            let now = Instant::now();
            if self.renewed.is_none_or(|last| now.duration_since(last) >= RENEWED) {
                self.renewed = Some(now);
                self.pages.show(known(), false);
            }
            let left = due.saturating_sub(now.duration_since(at));
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(RENEWED));
        }
    }

    /// The pages, which show this now.
    pub(super) fn end(self, snapshot: Snapshot) -> Pages {
        self.pages.show(snapshot, true);
        self.pages
    }
}
