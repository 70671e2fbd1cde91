//! The word list: a publisher's versions, and a client that asks for them as the decompiled ad SDK does.
//!
//! Modelled: the request's form with the stored version (-1 where there is none), `cacheTime` of 12 hours, the check at every
//! change of network, the rule that an answer is taken only if it is newer. Not modelled: retries, since nothing fails here.
//! The entries are numbers: what stands in a real list is of no use to a sensor that never reads it.

use std::io;
use std::time::Duration;

use crate::packet::Timestamp;
use crate::simulate::names::LIST;
use crate::simulate::phones::json;
use crate::simulate::station::{Phone, Tape};
use crate::simulate::truth::{ListPull, rfc3339};

/// What the server asks clients to wait between requests; the client code's default too.
const CACHE: Duration = Duration::from_secs(12 * 3_600);

/// The publisher: two versions, the second from some moment on.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) second_from: Timestamp,
}

impl List {
    /// Version and number of entries: 449 as in the report of 2021, then 2,210 as seen later that year.
    fn published(&self, now: Timestamp) -> (i64, usize) {
        if now < self.second_from { (1_627_794_000_123, 449) } else { (1_629_803_400_456, 2_210) }
    }

    fn answer(&self, stored: i64, now: Timestamp) -> (String, i64, bool) {
        let (version, entries) = self.published(now);
        let cache = CACHE.as_millis();
        if stored >= version {
            let body = format!("{{\"status\":0,\"message\":\"not updated\",\"version\":{stored},\"cacheTime\":{cache}}}");
            return (json(&body), stored, false);
        }
        let words: Vec<String> =
            (1..=entries).map(|number| format!("entry-{number:05}-of-a-simulated-word-list-v{}", version % 1_000)).collect();
        let words = words.join(",");
        let body = format!("{{\"status\":0,\"message\":\"updated\",\"version\":{version},\"cacheTime\":{cache},\"keywords\":\"{words}\"}}");
        (json(&body), version, true)
    }
}

/// One app that carries the SDK.
#[derive(Clone, Copy, Debug)]
pub(super) struct Puller {
    stored: i64,
    asked: Option<Timestamp>,
}

impl Puller {
    /// An app just installed.
    pub(super) const NEW: Self = Self { stored: -1, asked: None };

    /// The network changed at `joined` and works since `ready`: ask if it is time.
    pub(super) fn network_changed(
        &mut self,
        phone: &mut Phone,
        tape: &mut Tape,
        list: &List,
        joined: Timestamp,
        ready: Timestamp,
    ) -> io::Result<()> {
        if self.asked.is_some_and(|asked| ready < asked.plus(CACHE)) {
            return Ok(());
        }
        let at = phone.later(ready, 900..7_000);
        let (answer, version, updated) = list.answer(self.stored, at);
        let head = format!("POST /filter/text?clientInfo=alpha&appKey=MiAdSdk_i18n&version={} HTTP/1.1", self.stored);
        let (time, over) = phone.http(tape, &LIST, at, &head, answer.as_bytes())?;
        let pull = ListPull {
            time: rfc3339(time),
            seconds_after_association: time.since(joined).as_secs_f64(),
            version: self.stored,
            response_bytes: answer.len(),
            updated,
        };
        phone.story.pulls.push((time, pull));
        phone.story.pulls.sort_by_key(|(time, _)| *time);
        (self.stored, self.asked) = (version, Some(over));
        Ok(())
    }
}
