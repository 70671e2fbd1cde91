//! An interface that is kept being watched: lost, it is tried again with growing pauses ([`Backoff`]).
//!
//! No thread, no sleep, no clock: a lost interface is waited for in turns of `poll`, so that whoever calls can stop, or let time
//! pass in the engine, between any two turns. Road not taken: opening again whatever happened. A capture of an interface that
//! was only down goes on by itself, and after rights were dropped it is the only one that can.

use std::time::Duration;

use nix::poll::{PollTimeout, poll};

use super::Backoff;
use super::live::{Counters, Live, Lost, OpenError, Options};
use crate::packet::{Frame, Link};

/// What a turn of [`Watch::poll`] brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// So many packets; zero when none came in time.
    Packets(usize),
    /// The interface is lost since now: worth one line.
    Lost(Lost),
    /// Still lost.
    Waiting,
    /// It was opened again: worth one line. (After [`Lost::Down`] the capture simply goes on.)
    Back,
    /// It is there again but cannot be opened, as after dropping the right to: retrying cannot help.
    Refused(OpenError),
}

/// An interface that is kept being watched: lost, it is tried again with growing pauses.
#[derive(Debug)]
pub struct Watch {
    options: Options,
    live: Option<Live>,
    lost: Option<Backoff>,
    before: Counters,
    link: Link,
}

impl Watch {
    /// Opens it for the first time.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let live = Live::open(&options)?;
        Ok(Self { link: live.link(), options, live: Some(live), lost: None, before: Counters::default() })
    }

    /// How its frames begin.
    #[must_use]
    pub const fn link(&self) -> Link {
        self.link
    }

    /// Captures from now on only what passes `share` beside the person's filter. Frames captured before may not.
    ///
    /// # Errors
    /// What libpcap or the kernel says; everything is captured as before then.
    pub fn narrow(&mut self, share: String) -> Result<(), String> {
        let before = self.options.share.replace(share);
        let done = self.live.as_mut().map_or(Ok(()), |live| live.narrow(&self.options));
        if done.is_err() {
            self.options.share = before;
        }
        done
    }

    /// Whether packets can come: what an `up` metric says.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.lost.is_none()
    }

    /// As [`Live::poll`], but a lost interface is waited for, at most `wait` in each turn.
    pub fn poll(&mut self, wait: Duration, each: &mut dyn FnMut(&Frame<'_>)) -> Turn {
        if let Some(backoff) = &mut self.lost {
            let span = wait.min(backoff.left());
            let whole = poll(&mut [], PollTimeout::try_from(span).unwrap_or(PollTimeout::MAX)).is_ok();
            if !whole || !backoff.waited(span) {
                return Turn::Waiting;
            }
            return self.try_again(each);
        }
        match self.live.as_mut().map(|live| live.poll(wait, each)) {
            Some(Ok(packets)) => Turn::Packets(packets),
            Some(Err(lost)) => self.lose(lost),
            None => Turn::Waiting,
        }
    }

    /// Packets since the first opening.
    pub fn stats(&mut self) -> Counters {
        let now = self.live.as_mut().map(Live::stats).unwrap_or_default();
        self.before.plus(now)
    }

    /// A capture of an interface that is only down is kept: it needs no rights to go on.
    fn lose(&mut self, lost: Lost) -> Turn {
        if !matches!(lost, Lost::Down { .. }) {
            self.before = self.stats();
            self.live = None;
        }
        self.lost.get_or_insert_default();
        Turn::Lost(lost)
    }

    fn try_again(&mut self, each: &mut dyn FnMut(&Frame<'_>)) -> Turn {
        let tried = match &mut self.live {
            Some(live) => match live.poll(Duration::ZERO, each) {
                Ok(_) => Ok(()),
                Err(Lost::Down { .. }) => return Turn::Waiting,
                Err(lost) => {
                    self.lose(lost);
                    return Turn::Waiting;
                }
            },
            None => Live::open(&self.options).map(|live| {
                self.link = live.link();
                self.live = Some(live);
            }),
        };
        match tried {
            Ok(()) => {
                self.lost = None;
                Turn::Back
            }
            Err(error @ (OpenError::NoPermission { .. } | OpenError::UnknownLink { .. })) => Turn::Refused(error),
            Err(_) => Turn::Waiting,
        }
    }
}
