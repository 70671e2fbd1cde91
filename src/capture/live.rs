//! An interface, through libpcap.
//!
//! Settings, and the measurement behind each (a burst of 249,479 packets at 443,000 packets/s, 2 µs of work per packet):
//!
//! * **Buffer 64 MiB.** 16 MiB lost 15,081 packets of the burst, 64 MiB none.
//! * **No immediate mode.** It makes libpcap fall back from TPACKET_V3 to V2, whose slots are as large as the snap length: with
//!   65,535 bytes and 16 MiB it lost 54 % of the burst. The price of V3: the kernel hands over a block when it is full or
//!   `BLOCK_MS` old, so a packet is read up to that much later (its time stamp is the kernel's and does not move). A slow reader
//!   is forgiven a quarter of a thousand such blocks, 25 s on a quiet link.
//! * **Snap length 4096.** 2048 would cut a ClientHello that receive offload has joined from two segments, and the rest never
//!   comes. V3 frames are as large as what they hold, so more costs only the bytes that are kept.
//! * **Nanosecond stamps**, because round-trip times of a few milliseconds bound distances.
//! * **Non-blocking, and `poll`.** libpcap's read time-out never fires on a quiet link (it polls without end), so timers and
//!   shutdown would wait for the next packet. `dispatch` in batches of `BATCH`, because it would not return while packets come
//!   faster than they are handled.
//! * **The interface itself is asked in every quiet turn.** libpcap says nothing when it goes down (1.10 waits for it to come back),
//!   and a sensor that sees nothing must say why.
//!
//! Why an open fails is asked of the kernel, not read from libpcap's words: the `pcap` crate keeps those but not the code, and they
//! differ between versions.

use std::fmt;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use pcap::{Active, Capture, Linktype, Precision};

use super::interface::{self, State};
use crate::packet::{Frame, Link, Timestamp};

/// Milliseconds after which the kernel hands over a block that is not full.
const BLOCK_MS: i32 = 100;
/// Packets handled before the caller is asked again whether to go on.
const BATCH: usize = 4096;

/// What to capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The interface's name; libpcap's `any` is one.
    pub interface: String,
    /// A filter in libpcap's language.
    pub filter: Option<String>,
    /// Another, of our own: what fails it, or the other one, is not captured.
    pub share: Option<String>,
    /// Bytes kept of each packet.
    pub snaplen: i32,
    /// Bytes of the kernel's ring buffer.
    pub buffer: i32,
    /// Whether to see what is not for this machine; off for `any`, which cannot.
    pub promiscuous: bool,
}

impl Options {
    /// Bytes kept of each packet, unless said otherwise.
    pub const SNAPLEN: i32 = 4096;
    /// Bytes of the ring buffer, unless said otherwise: 64 MiB.
    pub const BUFFER: i32 = 64 << 20;

    /// The defaults for an interface.
    #[must_use]
    pub fn new(interface: &str) -> Self {
        Self { interface: interface.to_owned(), filter: None, share: None, snaplen: Self::SNAPLEN, buffer: Self::BUFFER, promiscuous: true }
    }

    /// Both filters, where there is one of our own. It comes first: a person's may be about what lies behind a tag, and moves all that
    /// follows.
    fn both(&self) -> Option<String> {
        let share = self.share.as_ref()?;
        Some(self.filter.as_ref().map_or_else(|| share.clone(), |filter| format!("({share}) and ({filter})")))
    }
}

/// Why an interface could not be opened, in words for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// There is none of that name.
    NoSuchInterface {
        /// The name.
        interface: String,
        /// Names that there are, nearest first.
        near: Vec<String>,
    },
    /// This user may not capture.
    NoPermission {
        /// The interface.
        interface: String,
        /// This program's file.
        program: String,
    },
    /// It is there, but down.
    Down {
        /// The interface.
        interface: String,
    },
    /// libpcap does not understand the filter.
    BadFilter {
        /// The filter.
        filter: String,
        /// What libpcap says.
        words: String,
    },
    /// Its frames begin in a way that cannot be read.
    UnknownLink {
        /// The interface.
        interface: String,
        /// DLT number.
        number: i32,
    },
    /// Anything else, as a snap length or a buffer that the kernel refuses.
    Other {
        /// The interface.
        interface: String,
        /// What libpcap says.
        words: String,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchInterface { interface, near } => {
                write!(f, "there is no interface {interface:?}; there are {}", interface::list(near))
            }
            Self::NoPermission { interface, program } => write!(
                f,
                "no permission to capture on {interface}: run it as root, or give it the right with \
                 `sudo setcap cap_net_raw+ep {program}`, or in a systemd unit with AmbientCapabilities=CAP_NET_RAW; \
                 `make demo` needs no right and shows a simulated lab run"
            ),
            Self::Down { interface } => write!(f, "the interface {interface} is down: `ip link set {interface} up`"),
            Self::BadFilter { filter, words } => write!(f, "the filter {filter:?} cannot be used: {words}"),
            Self::UnknownLink { interface, number } => {
                let name = Linktype(*number).get_name().unwrap_or_else(|_| "no name".to_owned());
                write!(f, "frames of {interface} have link type {number} ({name}), which cannot be read")
            }
            Self::Other { interface, words } => write!(f, "capturing on {interface} failed: {words}"),
        }
    }
}

impl std::error::Error for OpenError {}

/// Why no packets come any more, in words for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The interface was taken down. The same [`Live`] goes on when it is up again.
    Down {
        /// The interface.
        interface: String,
    },
    /// The interface is not there any more, or one of the same name has taken its place: it must be opened again.
    Gone {
        /// The interface.
        interface: String,
    },
    /// Anything else: it must be opened again.
    Failed {
        /// The interface.
        interface: String,
        /// What libpcap says.
        words: String,
    },
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down { interface } => write!(f, "the interface {interface} was taken down"),
            Self::Gone { interface } => write!(f, "the interface {interface} was removed"),
            Self::Failed { interface, words } => write!(f, "capturing on {interface} failed: {words}"),
        }
    }
}

impl std::error::Error for Lost {}

/// Packets of a capture since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that passed the filter; includes those dropped by the kernel.
    pub received: u64,
    /// Dropped because the ring buffer was full.
    pub dropped_kernel: u64,
    /// Dropped by the interface or its driver.
    pub dropped_interface: u64,
}

/// An open interface.
pub struct Live {
    capture: Capture<Active>,
    interface: String,
    index: u32,
    link: Link,
    number: u64,
    lost: bool,
    counters: Counters,
    last: [u32; 3],
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("interface", &self.interface).field("link", &self.link).finish_non_exhaustive()
    }
}

impl Live {
    /// Opens an interface. What is captured afterwards can go on without rights; opening again cannot.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let interface = options.interface.clone();
        match interface::state(&interface) {
            State::Gone => {
                let near = interface::near(&interface);
                return Err(OpenError::NoSuchInterface { interface, near });
            }
            State::Down => return Err(OpenError::Down { interface }),
            State::Up if !permitted() => return Err(OpenError::NoPermission { interface, program: program() }),
            State::Up => {}
        }
        let mut capture = activate(options).map_err(|error| OpenError::Other { interface: interface.clone(), words: words(&error) })?;
        let number = capture.get_datalink().0;
        let Some(link) = Link::from_linktype(number) else { return Err(OpenError::UnknownLink { interface, number }) };
        if let Some(filter) = &options.filter {
            let refused = |error| OpenError::BadFilter { filter: filter.clone(), words: words(&error) };
            capture.filter(filter, true).map_err(refused)?;
        }
        if let Some(both) = options.both() {
            capture.filter(&both, true).map_err(|error| OpenError::Other { interface: interface.clone(), words: words(&error) })?;
        }
        let index = if_nametoindex(interface.as_str()).unwrap_or_default();
        Ok(Self { capture, interface, index, link, number: 0, lost: false, counters: Counters::default(), last: [0; 3] })
    }

    /// How its frames begin.
    #[must_use]
    pub const fn link(&self) -> Link {
        self.link
    }

    /// Exchanges the filters for those of `options`. Frames that were captured before may fail them.
    pub(super) fn narrow(&mut self, options: &Options) -> Result<(), String> {
        options.both().map_or(Ok(()), |both| self.capture.filter(&both, true).map_err(|error| words(&error)))
    }

    /// Hands each packet to `each`, waiting at most `wait` for the first, and returns how many there were. A signal ends the wait.
    ///
    /// # Errors
    /// When no packets can come any more. It goes on saying so until they can, and never waits then.
    pub fn poll(&mut self, wait: Duration, each: &mut dyn FnMut(&Frame<'_>)) -> Result<usize, Lost> {
        if self.lost {
            self.still_there()?;
        }
        let packets = self.batch(each)?;
        if packets > 0 {
            return Ok(packets);
        }
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        if poll(&mut [PollFd::new(self.capture.as_fd(), PollFlags::POLLIN)], timeout) == Err(Errno::EINTR) {
            return Ok(0);
        }
        let packets = self.batch(each)?;
        if packets == 0 {
            self.still_there()?;
        }
        Ok(packets)
    }

    /// Packets since it was opened. To be asked at least once in 4 billion packets, since libpcap counts in 32 bits.
    pub fn stats(&mut self) -> Counters {
        if let Ok(now) = self.capture.stats() {
            let now = [now.received, now.dropped, now.if_dropped];
            self.counters = self.counters.advance(self.last, now);
            self.last = now;
        }
        self.counters
    }

    fn batch(&mut self, each: &mut dyn FnMut(&Frame<'_>)) -> Result<usize, Lost> {
        let (link, number) = (self.link, &mut self.number);
        let read = self.capture.dispatch(Some(BATCH), |packet| {
            *number += 1;
            let time = nanos(packet.header.ts.tv_sec, packet.header.ts.tv_usec);
            each(&Frame { number: *number, time, link, wire_len: packet.header.len, data: packet.data });
        });
        read.map_err(|error| {
            let failed = Lost::Failed { interface: self.interface.clone(), words: words(&error) };
            self.still_there().err().unwrap_or(failed)
        })
    }

    /// Whether the interface that was opened is there and up.
    fn still_there(&mut self) -> Result<(), Lost> {
        let interface = self.interface.clone();
        let same = if_nametoindex(interface.as_str()).unwrap_or_default() == self.index;
        let state = interface::state(&interface);
        self.lost = state != State::Up || !same;
        match state {
            State::Up if same => Ok(()),
            State::Down if same => Err(Lost::Down { interface }),
            _ => Err(Lost::Gone { interface }),
        }
    }
}

impl Counters {
    /// These and those of another capture, for an interface that was opened again.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            received: self.received.saturating_add(other.received),
            dropped_kernel: self.dropped_kernel.saturating_add(other.dropped_kernel),
            dropped_interface: self.dropped_interface.saturating_add(other.dropped_interface),
        }
    }

    /// What libpcap's 32-bit counters say now, given what they said last.
    fn advance(self, last: [u32; 3], now: [u32; 3]) -> Self {
        let ([received, kernel, interface], [received_now, kernel_now, interface_now]) = (last, now);
        self.plus(Self {
            received: risen(received, received_now),
            dropped_kernel: risen(kernel, kernel_now),
            dropped_interface: risen(interface, interface_now),
        })
    }
}

/// How much a 32-bit counter has risen. A driver that resets makes the interface's counter fall: that is no rise of 4 billion.
fn risen(last: u32, now: u32) -> u64 {
    let rise = now.wrapping_sub(last);
    if rise > u32::MAX / 2 { 0 } else { u64::from(rise) }
}

/// This program's file, to be named in a command that a person can copy.
fn program() -> String {
    std::env::current_exe().map_or_else(|_| "PROGRAM".to_owned(), |path| path.display().to_string())
}

/// Whether the kernel lets this process capture: the socket that libpcap will ask for, closed at once.
fn permitted() -> bool {
    let refused = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).err();
    !matches!(refused, Some(Errno::EPERM | Errno::EACCES))
}

fn activate(options: &Options) -> Result<Capture<Active>, pcap::Error> {
    Capture::from_device(options.interface.as_str())?
        .promisc(options.promiscuous && options.interface != "any")
        .snaplen(options.snaplen)
        .buffer_size(options.buffer)
        .timeout(BLOCK_MS)
        .precision(Precision::Nano)
        .open()?
        .setnonblock()
}

/// libpcap's own words, without the wrapper's.
fn words(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(words) => words.clone(),
        other => other.to_string(),
    }
}

/// With nanosecond precision the field of microseconds holds nanoseconds. Both have 32 bits on some 32-bit machines.
fn nanos(seconds: impl Into<i64>, nanos: impl Into<i64>) -> Timestamp {
    let nanos = seconds.into().saturating_mul(1_000_000_000).saturating_add(nanos.into());
    Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_go_on_past_32_bits_and_never_fall() {
        let near_the_end = Counters::default().advance([0; 3], [u32::MAX / 2, 7, 5]).advance([u32::MAX / 2, 7, 5], [u32::MAX - 1, 7, 5]);
        let past = near_the_end.advance([u32::MAX - 1, 7, 5], [8, 9, 1]);
        assert_eq!(past, Counters { received: u64::from(u32::MAX) + 9, dropped_kernel: 9, dropped_interface: 5 });
    }

    #[test]
    fn stamps_are_nanoseconds() {
        assert_eq!(nanos(1_767_225_600, 999_999_999).as_nanos(), 1_767_225_600_999_999_999);
        assert_eq!(nanos(-1, 0).as_nanos(), 0, "a clock before 1970 is not believed");
    }

    #[test]
    fn a_misspelt_interface_is_answered_with_those_there_are() {
        let error = Live::open(&Options::new("loo")).unwrap_err();
        assert!(error.to_string().starts_with("there is no interface \"loo\"; there are lo"), "{error}");
    }
}
