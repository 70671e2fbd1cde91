//! From the bytes of a frame to addresses and a payload.
//!
//! Road taken: `etherparse`'s lax slicing, because frames on an access point are cut by a snap length, joined by receive
//! offload (total length 0) and damaged, and whatever was read before the damage still counts. Link headers that
//! etherparse has no entry for (Linux cooked v1 and v2, BSD loopback, PPP, 802.11) are a few fixed bytes and are taken off here.
//! Road not taken: IP reassembly. `etherparse`'s pool has no bound, and every byte can be charged without it.

mod plain;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use etherparse::{Ipv6ExtensionSlice, LaxIpSlice, LaxIpv6Slice, TcpSlice, UdpSlice};

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

impl Mac {
    /// Six pairs of hexadecimal digits with colons between, in lower case. By hand, since it stands in every line of the log: six
    /// times a formatter for two digits took longer than an address look-up.
    #[must_use]
    pub fn text(self) -> [u8; 17] {
        let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble };
        let mut text = [b':'; 17];
        for (pair, byte) in text.chunks_mut(3).zip(self.0) {
            if let [high, low, ..] = pair {
                (*high, *low) = (digit(byte >> 4), digit(byte & 0x0f));
            }
        }
        text
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.text()).unwrap_or_default())
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
    /// LINKTYPE_C_HDLC (104).
    CiscoHdlc,
    /// LINKTYPE_NFLOG (239).
    Nflog,
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
            104 => Self::CiscoHdlc,
            105 => Self::Ieee80211,
            113 => Self::LinuxSll,
            127 => Self::Radiotap,
            239 => Self::Nflog,
            276 => Self::LinuxSll2,
            _ => return None,
        })
    }
}

impl Link {
    /// Its LINKTYPE number, the commonest where there are several.
    #[must_use]
    pub const fn linktype(self) -> i32 {
        match self {
            Self::Loopback => 0,
            Self::Ethernet => 1,
            Self::Ppp => 9,
            Self::RawIp => 12,
            Self::CiscoHdlc => 104,
            Self::Ieee80211 => 105,
            Self::LinuxSll => 113,
            Self::Radiotap => 127,
            Self::Nflog => 239,
            Self::LinuxSll2 => 276,
        }
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

/// A frame as far as it could be read.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Its number in the capture, from 1.
    pub number: u64,
    /// When it was captured.
    pub time: Timestamp,
    /// Bytes on the wire, of the frame itself (capture headers such as radiotap are not the frame's).
    pub wire_len: u32,
    /// Link addresses; none on links that have no pair of them.
    pub macs: Option<Macs>,
    /// The link says that it went to a group (on links that have no receiver's address).
    pub group: bool,
    /// What it carries.
    pub body: Body<'a>,
}

/// What a frame carries.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// An IP packet.
    Ip(Datagram<'a>),
    /// Something else: its EtherType, or 0 for an 802.2 frame, and the bytes after it.
    Link(u16, &'a [u8]),
}

/// An IP packet, or a fragment of one.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Source address and port; port 0 where there is none.
    pub source: SocketAddr,
    /// Target address and port; port 0 where there is none.
    pub target: SocketAddr,
    /// IP protocol number after the extension headers.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// The TCP header's part that matters, for TCP.
    pub tcp: Option<Tcp>,
    /// Bytes after the transport header, as captured; the IP payload for other protocols; empty in later fragments.
    pub payload: &'a [u8],
    /// More payload was on the wire than `payload` holds: cut by the snap length, or the first of several fragments.
    pub cut: bool,
    /// It is a fragment.
    pub fragment: bool,
}

/// Sequence number and flags of a TCP segment (RFC 9293, 3.1).
#[derive(Clone, Copy, Debug)]
pub struct Tcp {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; means nothing without `ack`.
    pub acknowledged: u32,
    /// SYN.
    pub syn: bool,
    /// ACK.
    pub ack: bool,
    /// FIN or RST.
    pub end: bool,
    /// RST.
    pub reset: bool,
}

impl Tcp {
    /// Whether its receiver takes what it carries: a segment without ACK is dropped unless it is a SYN (RFC 9293, 3.10.7.4), and
    /// what a RST carries is at most a reason (3.5.3).
    #[inline]
    #[must_use]
    pub(crate) const fn is_taken(self) -> bool {
        (self.ack || self.syn) && !self.reset
    }
}

/// Why a frame could not be decoded: the label `reason` of `packets_skipped_total`.
pub type Skip = &'static str;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// ARP's EtherType.
pub const ARP: u16 = 0x0806;
const PPPOE_SESSION: u16 = 0x8864;
/// VLAN tags: 802.1Q, 802.1ad and the older QinQ numbers.
const VLAN: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
/// Stacked tags that are read; a frame of nothing but tags would be walked for its whole length.
const MAX_TAGS: usize = 4;
/// TCP's protocol number.
pub const TCP: u8 = 6;
/// UDP's protocol number.
pub const UDP: u8 = 17;
/// ICMPv6's protocol number.
pub const ICMPV6: u8 = 58;

impl<'a> Packet<'a> {
    /// Reads a frame's headers.
    ///
    /// # Errors
    /// The reason why nothing of it can be charged to anybody.
    pub fn decode(frame: &Frame<'a>) -> Result<Self, Skip> {
        Self::decode_plain(frame).map_or_else(|| Self::decode_any(frame), Ok)
    }

    /// As [`Packet::decode`], of what nearly every frame is; none for any other. By itself, since who takes a packet from either of two
    /// roads copies it.
    #[inline(always)]
    pub(crate) fn decode_plain(frame: &Frame<'a>) -> Option<Self> {
        plain::read(frame)
    }

    /// Reads the headers of any frame.
    pub(crate) fn decode_any(frame: &Frame<'a>) -> Result<Self, Skip> {
        let mut packet =
            Self { number: frame.number, time: frame.time, wire_len: frame.wire_len, macs: None, group: false, body: Body::Link(0, &[]) };
        let data = frame.data;
        packet.body = match frame.link {
            Link::Ethernet => packet.ethernet(data)?,
            Link::RawIp => Body::Ip(ip(data)?),
            Link::Loopback => {
                let (family, rest) = data.split_first_chunk::<4>().ok_or("truncated")?;
                // The family is in the byte order of the machine that captured; its numbers differ by system.
                match u32::from_le_bytes(*family).min(u32::from_be_bytes(*family)) {
                    2 | 10 | 24 | 28 | 30 => Body::Ip(ip(rest)?),
                    _ => return Err("unknown-family"),
                }
            }
            Link::LinuxSll => match data.split_first_chunk::<16>() {
                Some(([_, kind, .., a, b], rest)) => {
                    packet.group = matches!(kind, 1 | 2);
                    ether_type(u16::from_be_bytes([*a, *b]), rest)?
                }
                None => return Err("truncated"),
            },
            Link::LinuxSll2 => match data.split_first_chunk::<20>() {
                Some(([a, b, _, _, _, _, _, _, _, _, kind, ..], rest)) => {
                    packet.group = matches!(kind, 1 | 2);
                    ether_type(u16::from_be_bytes([*a, *b]), rest)?
                }
                None => return Err("truncated"),
            },
            Link::CiscoHdlc => match data.split_first_chunk::<4>() {
                Some(([_, _, a, b], rest)) => ether_type(u16::from_be_bytes([*a, *b]), rest)?,
                None => return Err("truncated"),
            },
            Link::Nflog => Body::Ip(ip(nflog(data)?)?),
            Link::Ppp => ppp(data.strip_prefix(&[0xff, 0x03]).unwrap_or(data))?,
            Link::Ieee80211 => packet.ieee80211(data)?,
            Link::Radiotap => {
                // Version, pad, length (little-endian, of the whole capture header).
                let Some([0, _, a, b, ..]) = data.first_chunk::<8>() else { return Err("radiotap") };
                let header = u16::from_le_bytes([*a, *b]);
                packet.wire_len = packet.wire_len.saturating_sub(u32::from(header));
                packet.ieee80211(data.get(usize::from(header)..).ok_or("radiotap")?)?
            }
        };
        Ok(packet)
    }

    fn ethernet(&mut self, data: &'a [u8]) -> Result<Body<'a>, Skip> {
        let ([t0, t1, t2, t3, t4, t5, s0, s1, s2, s3, s4, s5, e0, e1], rest) = data.split_first_chunk::<14>().ok_or("truncated")?;
        let target = Mac([*t0, *t1, *t2, *t3, *t4, *t5]);
        let source = Mac([*s0, *s1, *s2, *s3, *s4, *s5]);
        // Loopback interfaces pose as Ethernet with zero addresses.
        if !(target.is_zero() && source.is_zero()) {
            self.macs = Some(Macs { source, target });
        }
        let kind = u16::from_be_bytes([*e0, *e1]);
        // A number below 0x0600 is a length (IEEE 802.3, 3.2.6): an 802.2 frame follows.
        if kind < 0x0600 { Ok(llc(rest)) } else { ether_type(kind, rest) }
    }

    /// An 802.11 frame (IEEE 802.11-2020, 9.2): only data frames in the clear carry anything to read.
    fn ieee80211(&mut self, data: &'a [u8]) -> Result<Body<'a>, Skip> {
        let ([control, flags, _, _], rest) = data.split_first_chunk::<4>().ok_or("truncated")?;
        if control & 0x0c != 0x08 {
            return Err("wifi-not-data");
        }
        if control & 0x40 != 0 {
            return Err("wifi-no-data");
        }
        if flags & 0x40 != 0 {
            return Err("wifi-protected");
        }
        let (first, rest) = rest.split_first_chunk::<6>().ok_or("truncated")?;
        let (second, rest) = rest.split_first_chunk::<6>().ok_or("truncated")?;
        let (third, rest) = rest.split_first_chunk::<6>().ok_or("truncated")?;
        let mut rest = rest.get(2..).ok_or("truncated")?;
        // To DS and from DS say which address is whose (table 9-30).
        let (target, source) = match flags & 0x03 {
            0 => (first, second),
            1 => (third, second),
            2 => (first, third),
            _ => {
                let (fourth, after) = rest.split_first_chunk::<6>().ok_or("truncated")?;
                rest = after;
                (third, fourth)
            }
        };
        self.macs = Some(Macs { source: Mac(*source), target: Mac(*target) });
        if control & 0x80 != 0 {
            let ([qos, _], after) = rest.split_first_chunk::<2>().ok_or("truncated")?;
            if qos & 0x80 != 0 {
                return Err("wifi-a-msdu");
            }
            rest = after;
            if flags & 0x80 != 0 {
                rest = rest.get(4..).ok_or("truncated")?; // HT control
            }
        }
        match llc(rest) {
            Body::Link(0, _) => Err("wifi-no-snap"),
            Body::Link(kind, rest) => ether_type(kind, rest),
            body @ Body::Ip(_) => Ok(body),
        }
    }
}

/// An 802.2 frame; with a SNAP header (RFC 1042) it has an EtherType after all.
fn llc(data: &[u8]) -> Body<'_> {
    match data.split_first_chunk::<8>() {
        Some(([0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8, a, b], rest)) => {
            let kind = u16::from_be_bytes([*a, *b]);
            ether_type(kind, rest).unwrap_or(Body::Link(kind, rest))
        }
        _ => Body::Link(0, data),
    }
}

fn ether_type(mut kind: u16, mut data: &[u8]) -> Result<Body<'_>, Skip> {
    for _ in 0..MAX_TAGS {
        if !VLAN.contains(&kind) {
            break;
        }
        let ([_, _, a, b], rest) = data.split_first_chunk::<4>().ok_or("truncated")?;
        kind = u16::from_be_bytes([*a, *b]);
        data = rest;
    }
    match kind {
        IPV4 | IPV6 => ip(data).map(Body::Ip),
        PPPOE_SESSION => ppp(data.get(6..).ok_or("truncated")?),
        kind => Ok(Body::Link(kind, data)),
    }
}

/// A PPP frame after its address and control bytes (RFC 1661, 2; numbers of RFC 1332 and RFC 5072).
fn ppp(data: &[u8]) -> Result<Body<'_>, Skip> {
    match data {
        [0x00, 0x21 | 0x57, rest @ ..] | [0x21 | 0x57, rest @ ..] => ip(rest).map(Body::Ip),
        _ => Err("ppp-control"),
    }
}

/// The packet in a netfilter log record: attributes of length, type and padded value, type 9 holds it (nfnetlink_log.h).
fn nflog(data: &[u8]) -> Result<&[u8], Skip> {
    let mut rest = data.get(4..).ok_or("truncated")?;
    while let Some(([a, b, c, d], _)) = rest.split_first_chunk::<4>() {
        // Attributes are in the byte order of the machine that captured, which is little-endian wherever this is used.
        let length = usize::from(u16::from_le_bytes([*a, *b]));
        let value = rest.get(4..length).ok_or("truncated")?;
        if u16::from_le_bytes([*c, *d]) & 0x7fff == 9 {
            return Ok(value);
        }
        rest = rest.get(length.next_multiple_of(4)..).ok_or("truncated")?;
    }
    Err("nflog-no-packet")
}

fn ip(data: &[u8]) -> Result<Datagram<'_>, Skip> {
    let (slice, stopped) = LaxIpSlice::from_slice(data).map_err(|_| "malformed-ip")?;
    let payload = slice.payload();
    let (hop_limit, later) = match &slice {
        LaxIpSlice::Ipv4(v4) => (v4.header().ttl(), v4.header().fragments_offset().value() != 0),
        LaxIpSlice::Ipv6(v6) => (v6.header().hop_limit(), payload.fragmented && (stopped.is_some() || is_later_fragment(v6))),
    };
    let protocol = payload.ip_number.0;
    let transport = if later { Transport::default() } else { Transport::read(protocol, payload.payload) };
    Ok(Datagram {
        source: SocketAddr::new(slice.source_addr(), transport.source),
        target: SocketAddr::new(slice.destination_addr(), transport.target),
        protocol,
        hop_limit,
        tcp: transport.tcp,
        payload: transport.payload,
        cut: payload.incomplete || payload.fragmented,
        fragment: payload.fragmented,
    })
}

/// Only for a chain of extension headers that was read to its end: the library's iterator does not look at lengths again, so it
/// would read past the end of one that is cut off.
fn is_later_fragment(v6: &LaxIpv6Slice<'_>) -> bool {
    v6.extensions().clone().into_iter().any(|extension| match extension {
        Ipv6ExtensionSlice::Fragment(fragment) => fragment.fragment_offset().value() != 0,
        _ => false,
    })
}

/// What a transport header says, nothing where there is none; and what is behind it.
#[derive(Default)]
struct Transport<'a> {
    source: u16,
    target: u16,
    tcp: Option<Tcp>,
    payload: &'a [u8],
}

impl<'a> Transport<'a> {
    #[inline(always)]
    fn read(protocol: u8, data: &'a [u8]) -> Self {
        match protocol {
            TCP => {
                let Ok(tcp) = TcpSlice::from_slice(data) else { return Self::default() };
                let (seq, acknowledged) = (tcp.sequence_number(), tcp.acknowledgment_number());
                let (syn, ack, reset) = (tcp.syn(), tcp.ack(), tcp.rst());
                Self {
                    source: tcp.source_port(),
                    target: tcp.destination_port(),
                    tcp: Some(Tcp { seq, acknowledged, syn, ack, end: reset || tcp.fin(), reset }),
                    payload: tcp.payload(),
                }
            }
            UDP => {
                let Ok(udp) = UdpSlice::from_slice_lax(data) else { return Self::default() };
                Self { source: udp.source_port(), target: udp.destination_port(), tcp: None, payload: udp.payload() }
            }
            _ => Self { payload: data, ..Self::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fragment header whose successor is not there: `etherparse` walks such a chain past its end, unchecked.
    #[test]
    fn extension_headers_that_are_cut_off_are_not_walked() {
        let addresses = [[0xfd; 16], [0xfe; 16]].concat();
        let fragment = [60, 0, 0, 1, 0, 0, 0, 1]; // the first of several, so the walk goes on behind it
        for chain in [&[][..], &[17, 9], &[17, 255, 0, 0, 0, 0, 0, 0]] {
            let length = u16::try_from(fragment.len() + chain.len()).unwrap().to_be_bytes();
            let data = [&[0x60, 0, 0, 0][..], &length, &[44, 64], &addresses, &fragment, chain].concat();
            let frame = Frame { number: 1, time: Timestamp::from_nanos(1), link: Link::RawIp, wire_len: 60, data: &data };
            let Ok(Packet { body: Body::Ip(datagram), .. }) = Packet::decode(&frame) else { panic!("not read") };
            assert_eq!((datagram.protocol, datagram.payload, datagram.cut), (60, &[][..], true));
        }
    }
}
