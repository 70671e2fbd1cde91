//! Frames with right lengths and checksums, and the tape that keeps them with what they are about.
//!
//! Whoever makes a frame says which account it belongs to; the tape sorts by time and writes a pcap, and the truth is counted
//! from the very frames that are written. So the truth cannot differ from the capture, and a run cut short stays right.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacket, EtherType, Icmpv6Type, IgmpType, IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header,
    Ipv6Extensions, Ipv6FlowLabel, Ipv6Header, Ipv6RawExtHeader, PacketBuilder, PacketBuilderStep, TcpHeader, igmp,
};

use crate::packet::{Mac, Timestamp};

/// All stations.
pub(super) const BROADCAST: Mac = Mac([0xff; 6]);

/// What a frame tells beyond its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Nothing.
    Plain,
    /// It opens a flow.
    Opens,
    /// It answers an opening after this long.
    Answers(Duration),
}

/// A frame on its way to the file.
#[derive(Clone, Debug)]
pub(super) struct Taped {
    /// When the access point sees it.
    pub(super) time: Timestamp,
    /// From the Ethernet header on, without frame check sequence.
    pub(super) bytes: Vec<u8>,
    /// The row of the truth that it counts for; none on the link itself.
    pub(super) row: Option<usize>,
    /// What it tells.
    pub(super) mark: Mark,
}

impl Taped {
    /// Who sent it to whom on the link.
    pub(super) fn macs(&self) -> (Mac, Mac) {
        let mac = |bytes: Option<&[u8; 6]>| Mac(bytes.copied().unwrap_or_default());
        let target = self.bytes.first_chunk();
        let source = self.bytes.get(6..).and_then(<[u8]>::first_chunk);
        (mac(source), mac(target))
    }
}

/// One side of a conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// Its station on the link: for a server, the gateway.
    pub(super) mac: Mac,
    /// Its address and port; the port is 0 where there is none.
    pub(super) at: SocketAddr,
}

impl End {
    /// A side with a port.
    pub(super) fn new(mac: Mac, address: impl Into<IpAddr>, port: u16) -> Self {
        Self { mac, at: SocketAddr::new(address.into(), port) }
    }
}

/// A UDP datagram in a frame.
pub(super) fn udp(from: End, to: End, payload: &[u8]) -> io::Result<Vec<u8>> {
    let hops = if to.mac.is_group() && to.at.ip().is_multicast() { 255 } else { hops(from) };
    let builder = headers(from, to, hops, IpNumber::UDP)?.udp(from.at.port(), to.at.port());
    let mut frame = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut frame, payload).map_err(io::Error::other)?;
    Ok(frame)
}

/// A TCP segment in a frame; the ports of `header` are set here.
pub(super) fn tcp(from: End, to: End, mut header: TcpHeader, payload: &[u8]) -> io::Result<Vec<u8>> {
    header.source_port = from.at.port();
    header.destination_port = to.at.port();
    let builder = headers(from, to, hops(from), IpNumber::TCP)?.tcp_header(header);
    let mut frame = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut frame, payload).map_err(io::Error::other)?;
    Ok(frame)
}

/// A neighbour-discovery message in a frame: hop limit 255 (RFC 4861, 7.1).
pub(super) fn icmpv6(from: End, to: End, kind: Icmpv6Type, payload: &[u8]) -> io::Result<Vec<u8>> {
    let mut frame = Vec::new();
    headers(from, to, 255, IpNumber::IPV6_ICMP)?.icmpv6(kind).write(&mut frame, payload).map_err(io::Error::other)?;
    Ok(frame)
}

/// An MLDv2 report in a frame: ICMPv6 type 143 behind a hop-by-hop router alert (RFC 9777, 5.2).
pub(super) fn listener_report(from: End, to: End, groups: u8, records: &[u8]) -> io::Result<Vec<u8>> {
    const ROUTER_ALERT: [u8; 6] = [5, 2, 0, 0, 1, 0];
    let (IpAddr::V6(source), IpAddr::V6(target)) = (from.at.ip(), to.at.ip()) else { return Err(io::Error::other("MLD is for IPv6")) };
    let header = Ipv6Header { hop_limit: 1, source: source.octets(), destination: target.octets(), ..Ipv6Header::default() };
    let alert = Ipv6RawExtHeader::new_raw(IpNumber::IPV6_ICMP, &ROUTER_ALERT).map_err(io::Error::other)?;
    let extensions = Ipv6Extensions { hop_by_hop_options: Some(alert), ..Ipv6Extensions::default() };
    let builder = PacketBuilder::ethernet2(from.mac.0, to.mac.0).ip(IpHeaders::Ipv6(header, extensions));
    let mut frame = Vec::new();
    builder.icmpv6_raw(143, 0, [0, 0, 0, groups]).write(&mut frame, records).map_err(io::Error::other)?;
    Ok(frame)
}

/// An IGMPv2 report in a frame, with IPv4's router alert (RFC 2236, 2).
pub(super) fn igmp_report(from: End, to: End) -> io::Result<Vec<u8>> {
    const ROUTER_ALERT: [u8; 4] = [0x94, 4, 0, 0];
    let (IpAddr::V4(source), IpAddr::V4(target)) = (from.at.ip(), to.at.ip()) else { return Err(io::Error::other("IGMP is for IPv4")) };
    let header = Ipv4Header {
        time_to_live: 1,
        protocol: IpNumber::IGMP,
        source: source.octets(),
        destination: target.octets(),
        options: ROUTER_ALERT.into(),
        ..Ipv4Header::default()
    };
    let builder = PacketBuilder::ethernet2(from.mac.0, to.mac.0).ip(IpHeaders::Ipv4(header, Ipv4Extensions::default()));
    let report = IgmpType::MembershipReportV2(igmp::MembershipReportV2Type { group_address: target.into() });
    let mut frame = Vec::new();
    builder.igmp(report).write(&mut frame, &[]).map_err(io::Error::other)?;
    Ok(frame)
}

/// An ARP request or answer: `to` is on the frame, `asked` inside, as RFC 826 leaves it.
pub(super) fn arp(operation: ArpOperation, from: (Mac, Ipv4Addr), to: Mac, asked: (Mac, Ipv4Addr)) -> io::Result<Vec<u8>> {
    let packet =
        ArpPacket::new(ArpHardwareId::ETHERNET, EtherType::IPV4, operation, &from.0.0, &from.1.octets(), &asked.0.0, &asked.1.octets())
            .map_err(io::Error::other)?;
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(from.0.0, to.0).arp(packet).write(&mut frame).map_err(io::Error::other)?;
    Ok(frame)
}

/// What an access point's software sends in a station's name when it associates, so that bridges learn the way to it:
/// an 802.2 LLC XID response to all stations, unpadded as on a Wi-Fi interface.
pub(super) fn xid(station: Mac) -> Vec<u8> {
    const LENGTH: [u8; 2] = 6_u16.to_be_bytes();
    const NULL_SAP: u8 = 0;
    const RESPONSE: u8 = 1;
    const XID: [u8; 4] = [0xaf, 0x81, 0x01, 0x02];
    [&BROADCAST.0[..], &station.0, &LENGTH, &[NULL_SAP, RESPONSE], &XID].concat()
}

/// Servers are some hops away, phones and the gateway none.
fn hops(from: End) -> u8 {
    let near = match from.at.ip() {
        IpAddr::V4(address) => address.is_private() || address.is_unspecified(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.segments().starts_with(&[0x2001, 0x0db8]),
    };
    if near { 64 } else { 52 }
}

fn headers(from: End, to: End, hops: u8, protocol: IpNumber) -> io::Result<PacketBuilderStep<IpHeaders>> {
    let ip = match (from.at.ip(), to.at.ip()) {
        (IpAddr::V4(source), IpAddr::V4(target)) => IpHeaders::Ipv4(
            Ipv4Header {
                identification: 0,
                dont_fragment: true,
                fragment_offset: IpFragOffset::ZERO,
                time_to_live: hops,
                protocol,
                source: source.octets(),
                destination: target.octets(),
                ..Ipv4Header::default()
            },
            Ipv4Extensions::default(),
        ),
        (IpAddr::V6(source), IpAddr::V6(target)) => IpHeaders::Ipv6(
            Ipv6Header {
                flow_label: Ipv6FlowLabel::ZERO,
                next_header: protocol,
                hop_limit: hops,
                source: source.octets(),
                destination: target.octets(),
                ..Ipv6Header::default()
            },
            Ipv6Extensions::default(),
        ),
        _ => return Err(io::Error::other("one packet, two versions of IP")),
    };
    Ok(PacketBuilder::ethernet2(from.mac.0, to.mac.0).ip(ip))
}

/// Writes frames as a pcap: nanoseconds, Ethernet, little endian (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html>).
pub(super) fn write_pcap(frames: &[Taped], out: &mut impl Write) -> io::Result<()> {
    const NANOSECONDS: u32 = 0xa1b2_3c4d;
    const VERSION: u32 = 2 | 4 << 16;
    const SNAP_LENGTH: u32 = 262_144;
    const ETHERNET: u32 = 1;
    for word in [NANOSECONDS, VERSION, 0, 0, SNAP_LENGTH, ETHERNET] {
        out.write_all(&word.to_le_bytes())?;
    }
    for frame in frames {
        let since = Duration::from_nanos(frame.time.as_nanos());
        let seconds = u32::try_from(since.as_secs()).map_err(io::Error::other)?;
        let length = u32::try_from(frame.bytes.len()).map_err(io::Error::other)?;
        for word in [seconds, since.subsec_nanos(), length, length] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(&frame.bytes)?;
    }
    out.flush()
}
