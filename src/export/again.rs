//! Captures read again because somebody asks on what a row rests: evidence, its packets, the report.
//!
//! Road taken: one such reading at a time, in a thread of its own, apart from whatever captures; it ends when it took too long, or the
//! client has gone. What it may hold has a cap. Road not taken: keeping what might be asked for, which has no bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::connection::Connection;
use super::explain::captures::Captures;
use super::explain::{Case, Deciding, Explanation, ask};
use super::query::{Problem, Query};
use super::router::{Site, Wish, in_turn};
use super::viewing::{Packed, Shown};
use super::{Form, evidence, printable};

/// How long a reading may take, and how long one waits for the one before it. Stops: a capture of days holding the processor.
const READING: Duration = Duration::from_secs(120);
/// How long the answer may take from then on.
const SENDING: Duration = Duration::from_secs(60);
/// How often it is asked whether the client is still there.
const LOOKS: Duration = Duration::from_millis(250);
/// Bytes of an answer: evidence of a year of packets would fill the memory.
pub const LARGEST: usize = 64 << 20;
/// Flows listed of a row where nobody says how many.
const FLOWS: usize = 100;

/// Says that a reading should end before its end.
#[derive(Debug, Default)]
pub struct Stop(AtomicBool);

impl Stop {
    /// Ends it.
    pub fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it should end.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Who can read the captures again.
pub trait Archive: Send + Sync {
    /// Gathers the evidence for a case from the first so many frames; `asked` is the destination's name in words.
    ///
    /// # Errors
    /// The captures are gone, changed, or hold nothing of the case; or it was stopped.
    fn explain(&self, case: Case, asked: &str, frames: u64, stop: &Arc<Stop>) -> Result<(Explanation, Captures), Problem>;

    /// The packets that decide, as a capture of at most [`LARGEST`] bytes.
    ///
    /// # Errors
    /// The same; or they are more.
    fn packets(&self, deciding: &Deciding, stop: &Arc<Stop>) -> Result<Vec<u8>, Problem>;

    /// The report on a device, by its label: as a page, or as JSON.
    ///
    /// # Errors
    /// The same.
    fn report(&self, device: &str, page: bool, stop: &Arc<Stop>) -> Result<String, Problem>;
}

/// Captures that can be read again, or the reason why they cannot.
pub(super) struct Again {
    archive: Result<Arc<dyn Archive>, &'static str>,
    turn: Arc<Semaphore>,
}

/// One answer, and what it is saved as.
struct Answer {
    bytes: Vec<u8>,
    content_type: &'static str,
    name: Option<String>,
}

/// What is asked for.
struct Wanted {
    form: Form,
    query: Query,
    shown: Arc<Shown>,
}

impl Again {
    /// Reads by `archive`; without one it says why.
    pub(super) fn new(archive: Result<Arc<dyn Archive>, &'static str>) -> Self {
        Self { archive, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Whether captures can be read again.
    pub(super) fn is_possible(&self) -> bool {
        self.archive.is_ok()
    }

    /// The answer to what a client asks of the captures.
    pub(super) async fn answer(
        &self,
        form: Form,
        site: &Arc<Site>,
        connection: Option<Arc<Connection>>,
        query: Query,
        wish: &Wish,
    ) -> Result<Response, Problem> {
        let at = Arc::clone(site);
        let shown = in_turn(site, move || Ok(at.viewing.renewed())).await?;
        let wanted = Wanted { form, query, shown };
        let answer = match &self.archive {
            Ok(archive) => {
                let archive = Arc::clone(archive);
                self.read(connection.as_deref(), move |stop| wanted.read(&*archive, stop)).await?
            }
            Err(why) => wanted.remembered(why)?,
        };
        let (bytes, packed) = Packed::from(answer.bytes).bytes(wish.takes_gzip());
        Ok(told(bytes, packed, answer.content_type, answer.name.as_deref()))
    }

    /// Reads, when it is its turn and as long as somebody waits for it.
    async fn read(
        &self,
        connection: Option<&Connection>,
        work: impl FnOnce(&Arc<Stop>) -> Result<Answer, Problem> + Send + 'static,
    ) -> Result<Answer, Problem> {
        if let Some(connection) = connection {
            connection.lasts(READING.saturating_mul(2).saturating_add(SENDING));
        }
        let late = || Problem::busy("The captures are being read for somebody else; ask again.".to_owned());
        let turn = timeout(READING, Arc::clone(&self.turn).acquire_owned()).await.map_err(|_| late())?.map_err(|_| late())?;
        let stop = Arc::new(Stop::default());
        let _stopped_at_last = Stopping(Arc::clone(&stop));
        let asked = Arc::clone(&stop);
        let mut reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&asked)
        });
        let mut left = READING;
        loop {
            match timeout(LOOKS, &mut reading).await {
                Ok(done) => {
                    if let Some(connection) = connection {
                        connection.lasts(SENDING);
                    }
                    return done.unwrap_or_else(|_| Err(Problem::failed("The captures could not be read.".to_owned())));
                }
                Err(_) if connection.is_some_and(Connection::is_left) => return Err(late()), // nobody hears it
                Err(_) => left = left.saturating_sub(LOOKS),
            }
            if left.is_zero() {
                let words = format!(
                    "Reading the captures again took more than {} s; whither explain and whither report have time.",
                    READING.as_secs()
                );
                return Err(Problem::busy(words));
            }
        }
    }
}

/// Ends a reading when nobody waits for it any more, for whatever reason.
struct Stopping(Arc<Stop>);

impl Drop for Stopping {
    fn drop(&mut self) {
        self.0.now();
    }
}

impl Wanted {
    /// By reading the captures.
    fn read(&self, archive: &dyn Archive, stop: &Arc<Stop>) -> Result<Answer, Problem> {
        let snapshot = &self.shown.scrape.snapshot;
        let device = ask::device(self.query.text("device").unwrap_or_default(), snapshot).map_err(Problem::absent)?;
        if matches!(self.form, Form::Report | Form::ReportJson) {
            let page = self.form == Form::Report;
            let bytes = archive.report(&device.id, page, stop)?.into_bytes();
            let (content_type, ending) = if page { (HTML, "html") } else { (JSON, "json") };
            return Ok(Answer { bytes, content_type, name: Some(format!("{}.{ending}", file(&device.id, None))) });
        }
        let words = self.query.text("destination").unwrap_or_default();
        let meant = evidence::meant(&self.query, device, snapshot)?;
        let case = Case::new(Arc::clone(&device.id), meant);
        let (told, captures) = archive.explain(case, words, snapshot.packets, stop)?;
        if self.form == Form::Evidence {
            let page = told.page(&captures, self.query.count("flows").unwrap_or(FLOWS), &self.shown.generation);
            return Ok(Answer { bytes: page.into_bytes(), content_type: JSON, name: None });
        }
        let bytes = archive.packets(&told.deciding(self.query.flag("all")), stop)?;
        Ok(Answer { bytes, content_type: PCAPNG, name: Some(format!("{}.pcapng", file(&device.id, Some(words)))) })
    }

    /// By what the engine remembers; `why` there is no more.
    fn remembered(&self, why: &'static str) -> Result<Answer, Problem> {
        let snapshot = &self.shown.scrape.snapshot;
        let device = ask::device(self.query.text("device").unwrap_or_default(), snapshot).map_err(Problem::absent)?;
        if matches!(self.form, Form::Report | Form::ReportJson) {
            return Err(Problem::absent(why.to_owned()));
        }
        let meant = evidence::meant(&self.query, device, snapshot)?;
        if self.form == Form::Packets {
            return Err(Problem::absent(why.to_owned()));
        }
        let page = evidence::remembered(device, &meant, &self.shown, why).map_err(Problem::failed)?;
        Ok(Answer { bytes: page.into_bytes(), content_type: JSON, name: None })
    }
}

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const PCAPNG: &str = "application/vnd.tcpdump.pcap";

fn told(bytes: Bytes, packed: bool, content_type: &'static str, name: Option<&str>) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some(disposition) = name.and_then(|name| HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")).ok()) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

/// What an answer is saved as: of names that devices chose, what every file system takes.
fn file(device: &str, destination: Option<&str>) -> String {
    let plain = |text: &str| -> String {
        let kept = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' };
        printable(text).chars().map(kept).take(64).collect::<String>().trim_start_matches(['.', '-']).to_owned()
    };
    let parts = ["whither".to_owned(), plain(device)].into_iter().chain(destination.map(plain));
    parts.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fixture::HOSTILE;

    #[test]
    fn a_download_has_a_name_that_every_file_system_takes() {
        assert_eq!(file("02:00:00:00:00:0a", Some("example.org")), "whither-02-00-00-00-00-0a-example.org");
        let name = file(HOSTILE, Some("../../etc/passwd"));
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')), "{name}");
        assert!(!name.contains('/') && name.len() < 150, "{name}");
    }
}
