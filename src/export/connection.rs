//! What an answer may know of the connection that it goes to: how long that may still last, and whether anybody is there.

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::libc::POLLRDHUP;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::time::Instant;

use super::places::Place;

/// Bytes that the kernel holds for a live stream. Stops: viewers that read nothing, each with megabytes waiting.
const HELD: usize = 16 * 1024;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: IpAddr,
    ends: Mutex<Instant>,
    place: Mutex<Option<Place>>,
    /// Its socket again, to ask about it while the answer is made.
    socket: Option<OwnedFd>,
}

impl Connection {
    /// One that has a place, and so long from now.
    pub(super) fn new(place: Place, socket: impl AsFd, time: Duration) -> Self {
        let ends = Mutex::new(Instant::now().checked_add(time).unwrap_or_else(Instant::now));
        let socket = socket.as_fd().try_clone_to_owned().ok();
        Self { peer: place.peer, ends, place: Mutex::new(Some(place)), socket }
    }

    /// When it ends.
    pub(super) fn ends(&self) -> Instant {
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives it so long from now.
    pub(super) fn lasts(&self, time: Duration) {
        if let Some(ends) = Instant::now().checked_add(time) {
            *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = ends;
        }
    }

    /// It has a place elsewhere, and leaves the one that it was accepted to.
    pub(super) fn moves(&self) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether the client has said that it is done. It may still read; but who waits for much does not say that.
    pub(super) fn is_left(&self) -> bool {
        let Some(socket) = &self.socket else { return false };
        let mut asked = [PollFd::new(socket.as_fd(), PollFlags::from_bits_retain(POLLRDHUP))];
        poll(&mut asked, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// Makes it a live stream: the kernel holds little, and a client that is gone without a word is given up after `time`.
    pub(super) fn streams(&self, time: Duration) {
        let Some(socket) = &self.socket else { return };
        // Where the kernel does not take it, the stream still ends by its own time.
        let _ = setsockopt(socket, sockopt::SndBuf, &HELD);
        let _ = setsockopt(socket, sockopt::TcpUserTimeout, &u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
    }
}
