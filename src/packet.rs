//! From the bytes of a frame to addresses and a payload.
//!
//! Road taken: `etherparse`'s lax slicing, because frames on an access point are cut by a snap length, joined by receive
//! offload (total length 0) and damaged, and whatever was read before the damage still counts. Link headers that
//! etherparse has no entry for (Linux cooked v1 and v2, BSD loopback, PPP, 802.11) are a few fixed bytes and are taken off here.
//! Road not taken: IP reassembly. `etherparse`'s pool has no bound, and every byte can be charged without it.

use std::fmt;
use std::time::Duration;

/// Nanoseconds since the Unix epoch; only ever from a capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A time from nanoseconds since the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This time and a while; saturates at the end of time (year 2554).
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// An IEEE 802 MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Broadcast or multicast: the group bit of the first octet (IEEE 802-2014, 8.2.2).
    #[must_use]
    pub const fn is_group(self) -> bool {
        let [first, ..] = self.0;
        first & 1 == 1
    }

    /// Locally administered: not from a vendor's block, as randomised addresses are (IEEE 802-2014, 8.2.2).
    #[must_use]
    pub const fn is_local(self) -> bool {
        let [first, ..] = self.0;
        first & 2 == 2
    }

    /// All zeros, as on loopback and in cooked captures without an address.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        matches!(self.0, [0, 0, 0, 0, 0, 0])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The link layers that can be read (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// LINKTYPE_ETHERNET (1).
    Ethernet,
    /// LINKTYPE_RAW (101), DLT_RAW (12, 14), LINKTYPE_IPV4 (228), LINKTYPE_IPV6 (229).
    RawIp,
    /// LINKTYPE_NULL (0) and LINKTYPE_LOOP (108).
    Loopback,
    /// LINKTYPE_LINUX_SLL (113).
    LinuxSll,
    /// LINKTYPE_LINUX_SLL2 (276).
    LinuxSll2,
    /// LINKTYPE_PPP (9) and LINKTYPE_PPP_HDLC (50).
    Ppp,
    /// LINKTYPE_IEEE802_11 (105).
    Ieee80211,
    /// LINKTYPE_IEEE802_11_RADIOTAP (127).
    Radiotap,
}

impl Link {
    /// The link layer of a LINKTYPE or DLT number, where it can be read.
    #[must_use]
    pub const fn from_linktype(number: i32) -> Option<Self> {
        Some(match number {
            0 | 108 => Self::Loopback,
            1 => Self::Ethernet,
            9 | 50 => Self::Ppp,
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            105 => Self::Ieee80211,
            113 => Self::LinuxSll,
            127 => Self::Radiotap,
            276 => Self::LinuxSll2,
            _ => return None,
        })
    }
}

/// A frame as the capture hands it over.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Its number in the capture, from 1.
    pub number: u64,
    /// When it was captured.
    pub time: Timestamp,
    /// How its bytes begin.
    pub link: Link,
    /// Bytes on the wire, of which `data` may hold fewer.
    pub wire_len: u32,
    /// The bytes that were captured.
    pub data: &'a [u8],
}

/// Who sent a frame to whom on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Macs {
    /// The sender.
    pub source: Mac,
    /// The receiver, a station or a group.
    pub target: Mac,
}
