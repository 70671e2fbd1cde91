//! What viewers are shown: one scrape for all of them, and each page made of it once.
//!
//! Road taken: a scrape is renewed when somebody asks and it is a second old, or older where taking it took long, so that a thousand
//! requests take as much from the capture as one. Pages are kept with it, compressed or not; a scrape that tells nothing new changes
//! nothing, and whoever has the page is told so (RFC 9110, 13.1.2). Road not taken: pages that are renewed by a clock, which is work
//! where nobody looks.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;

use super::feed::Feed;
use super::pack::gzip;
use super::query::Problem;
use super::{Scrape, Viewers};

/// How long a scrape is shown.
const SHOWN: Duration = Duration::from_secs(1);
/// A scrape is shown so many times as long as it took. Stops: viewers of large tables taking the engine from the capture.
const SHARE: u32 = 20;
/// Pages kept of one scrape. Stops: questions without end, each a page of its own, filling the memory.
const PAGES: usize = 64;
/// Bytes of them: the same with large ones.
const BYTES: usize = 32 << 20;

/// Where a scrape comes from.
pub(super) type Source = Arc<dyn Fn() -> Scrape + Send + Sync>;

/// What viewers are shown, renewed when they ask.
pub(super) struct Viewing {
    source: Source,
    pub(super) feed: Arc<Feed>,
    /// Whether captures can be read again.
    pub(super) again: bool,
    viewers: Box<dyn Fn() -> Viewers + Send + Sync>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    shown: Option<Arc<Shown>>,
    due: Option<Instant>,
    renewals: u64,
}

/// What is shown.
pub struct Shown {
    /// The scrape.
    pub scrape: Scrape,
    /// Whether captures can be read again.
    pub again: bool,
    /// Tells it from what was shown before, and by another run.
    pub generation: String,
    pages: Mutex<Vec<(String, Arc<Packed>)>>,
}

/// A page as it is sent.
pub(super) struct Packed {
    pub(super) plain: Bytes,
    pub(super) gzip: OnceLock<Bytes>,
}

impl Viewing {
    /// Nothing is taken from `source` before somebody asks.
    pub(super) fn new(source: Source, feed: Arc<Feed>, again: bool, viewers: impl Fn() -> Viewers + Send + Sync + 'static) -> Self {
        Self { source, feed, again, viewers: Box::new(viewers), held: Mutex::default() }
    }

    /// A scrape of this moment.
    pub(super) fn scrape(&self) -> Scrape {
        Scrape { viewers: Some((self.viewers)()), ..(self.source)() }
    }

    /// What is shown now, unless it is to be renewed.
    pub(super) fn current(&self) -> Option<Arc<Shown>> {
        let held = self.held();
        held.shown.clone().filter(|_| held.due.is_some_and(|due| now() < due))
    }

    /// What tells what was shown last from all else; nothing before somebody asked.
    pub(super) fn generation(&self) -> String {
        self.held().shown.as_ref().map(|shown| shown.generation.clone()).unwrap_or_default()
    }

    /// Renews what is shown if it is time. Takes as long as the source does: not for the thread that answers.
    pub(super) fn renewed(&self) -> Arc<Shown> {
        if let Some(shown) = self.current() {
            return shown;
        }
        let before = now();
        let scrape = self.scrape();
        let taken = before.elapsed();
        let mut held = self.held();
        held.due = before.checked_add(SHOWN.max(taken.saturating_mul(SHARE)));
        if let Some(shown) = held.shown.as_ref().filter(|shown| shown.scrape == scrape) {
            return Arc::clone(shown);
        }
        held.renewals = held.renewals.saturating_add(1);
        let generation = format!("{}-{}", self.feed.run(), held.renewals);
        let shown = Arc::new(Shown { scrape, again: self.again, generation, pages: Mutex::default() });
        held.shown = Some(Arc::clone(&shown));
        shown
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shown {
    /// What is shown of a scrape, for tests of pages.
    #[cfg(test)]
    pub(super) fn of(scrape: Scrape) -> Self {
        Self { scrape, again: false, generation: "test-1".to_owned(), pages: Mutex::default() }
    }

    /// A page that was made before.
    pub(super) fn kept(&self, question: &str) -> Option<Arc<Packed>> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.iter().find(|(other, _)| other == question).map(|(_, page)| Arc::clone(page))
    }

    /// A page, kept or made now.
    pub(super) fn page(&self, question: &str, make: impl FnOnce(&Self) -> Result<String, Problem>) -> Result<Arc<Packed>, Problem> {
        if let Some(page) = self.kept(question) {
            return Ok(page);
        }
        let page = Arc::new(Packed::from(make(self)?.into_bytes()));
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = pages.iter().fold(page.plain.len(), |sum, (_, page)| sum.saturating_add(page.plain.len()));
        if pages.len() < PAGES && bytes <= BYTES {
            pages.push((question.to_owned(), Arc::clone(&page)));
        }
        Ok(page)
    }
}

impl From<Vec<u8>> for Packed {
    fn from(plain: Vec<u8>) -> Self {
        Self { plain: plain.into(), gzip: OnceLock::new() }
    }
}

impl Packed {
    /// Its bytes, compressed where the client takes it and it pays; and whether they are.
    pub(super) fn bytes(&self, compressed: bool) -> (Bytes, bool) {
        if !compressed || self.plain.len() < 1024 {
            return (self.plain.clone(), false);
        }
        (self.gzip.get_or_init(|| gzip(&self.plain)).clone(), true)
    }

    /// Whether [`Self::bytes`] has nothing left to do.
    pub(super) fn is_ready(&self, compressed: bool) -> bool {
        !compressed || self.plain.len() < 1024 || self.gzip.get().is_some()
    }
}

#[expect(clippy::disallowed_methods, reason = "how long something is shown is the wall clock's")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::export::fixture;

    /// A viewing whose packets are counted elsewhere.
    fn viewing(packets: &Arc<AtomicU64>, taken: &Arc<AtomicU64>) -> Viewing {
        let (packets, taken) = (Arc::clone(packets), Arc::clone(taken));
        let source = move || {
            taken.fetch_add(1, Ordering::Relaxed);
            let mut scrape = fixture::scrape();
            scrape.snapshot.packets = packets.load(Ordering::Relaxed);
            scrape
        };
        Viewing::new(Arc::new(source), Arc::new(Feed::new("lab")), false, Viewers::default)
    }

    #[test]
    fn all_who_ask_at_once_are_shown_one_scrape_and_one_page() {
        let (packets, taken) = (Arc::default(), Arc::default());
        let viewing = viewing(&packets, &taken);
        assert_eq!(viewing.generation(), "");
        let shown = viewing.renewed();
        let mut made = 0;
        for _ in 0..100 {
            let page = viewing
                .renewed()
                .page("x", |_| {
                    Ok({
                        made += 1;
                        "y".repeat(5_000)
                    })
                })
                .unwrap();
            assert_eq!((page.bytes(false).0.len(), page.bytes(false).1, page.bytes(true).1), (5_000, false, true));
            assert!(page.bytes(true).0.len() < 500);
        }
        assert_eq!((made, taken.load(Ordering::Relaxed)), (1, 1));
        assert_eq!(viewing.generation(), shown.generation);
    }

    #[test]
    fn what_tells_nothing_new_is_the_same_generation_with_its_pages() {
        let (packets, taken) = (Arc::default(), Arc::default());
        let viewing = viewing(&packets, &taken);
        let first = viewing.renewed();
        viewing.held().due = None;
        assert!(Arc::ptr_eq(&first, &viewing.renewed()));
        packets.store(1, Ordering::Relaxed);
        viewing.held().due = None;
        assert!(viewing.current().is_none());
        assert_ne!(first.generation, viewing.renewed().generation);
        assert_eq!(taken.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn questions_without_end_fill_no_memory() {
        let shown = viewing(&Arc::default(), &Arc::default()).renewed();
        (0..1_000).for_each(|turn| drop(shown.page(&turn.to_string(), |_| Ok("x".to_owned()))));
        assert_eq!(shown.pages.lock().unwrap().len(), PAGES);
        let shown = viewing(&Arc::default(), &Arc::default()).renewed();
        (0..10).for_each(|turn| drop(shown.page(&turn.to_string(), |_| Ok("x".repeat(10 << 20)))));
        assert_eq!(shown.pages.lock().unwrap().len(), 3);
    }
}
