//! Events waiting to be taken: bounded, and free of cost while nobody listens.

use crate::engine::event::Event;
use crate::engine::health::Health;

/// A bounded queue.
#[derive(Debug)]
pub(super) struct Events {
    /// Somebody takes all.
    wanted: bool,
    /// Somebody takes those that a person is shown.
    notable: bool,
    limit: usize,
    waiting: Vec<Event>,
}

impl Events {
    /// An empty queue of at most `limit` events; `wanted` says whether anybody takes them.
    #[must_use]
    pub(super) fn new(wanted: bool, limit: usize) -> Self {
        Self { wanted, notable: wanted, limit, waiting: Vec::new() }
    }

    /// Somebody takes what is notable, from now on.
    pub(super) fn want_notable(&mut self) {
        self.notable = true;
    }

    /// Whether anybody takes all events.
    #[must_use]
    pub(super) fn wanted(&self) -> bool {
        self.wanted
    }

    /// Whether anybody takes those that are few: what a device met, what a list carries, who it is.
    #[must_use]
    pub(super) fn notable(&self) -> bool {
        self.notable
    }

    /// Adds one, or counts it as dropped: a consumer that is dead must not fill memory. Another engine's is left to that.
    pub(super) fn push(&mut self, event: Event, health: &mut Health) {
        if !self.notable || health.share.as_ref().is_some_and(|share| !share.tells(&event.device, event.mac)) {
            return;
        }
        if self.waiting.len() >= self.limit {
            health.events_dropped = health.events_dropped.saturating_add(1);
        } else {
            self.waiting.push(event);
        }
    }

    /// Takes all of them.
    pub(super) fn take(&mut self) -> std::vec::Drain<'_, Event> {
        self.waiting.drain(..)
    }

    /// Whether there are none.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
