//! A conversation: both directions of a pair of endpoints, what it is called, and what is still owed to an account.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::dissect::quic::{self, Form};
use crate::engine::contacts::Met;
use crate::engine::geo::Site;
use crate::engine::ledger::Marks;
use crate::engine::limits::Limits;
use crate::engine::reading::Reading;
use crate::engine::service::Service;
use crate::engine::snapshot::{Both, Class, Origin, PROTOCOLS, Place, Tally, Verdict};
use crate::engine::table::Id;
use crate::engine::title::Title;
use crate::engine::trail::Trail;
use crate::engine::watchlist::Hit;
use crate::engine::witness::Claim;
use crate::packet::{Datagram, ICMPV6, Mac, Packet, TCP, Tcp, Timestamp};

/// The same key for both directions: the lower endpoint first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlowKey {
    low: Wide,
    high: Wide,
    ports: (u16, u16),
    protocol: u8,
    v4: bool,
}

/// An address of either family: the upper and the lower half of its bits, in this order. Two words, since one of 128 bits would
/// have to lie at every sixteenth byte, and the key would not fit into one line of the cache with what stands before it.
type Wide = (u64, u64);

impl Hash for FlowKey {
    /// All of it, in as few steps as it takes: one for IPv4, where the derived one takes six.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let rest = u64::from(self.ports.0) << 32 | u64::from(self.ports.1) << 16 | u64::from(self.protocol) << 8 | u64::from(self.v4);
        if self.v4 {
            state.write_u128(u128::from(self.low.1 << 32 | self.high.1) << 64 | u128::from(rest));
        } else {
            state.write_u128(u128::from(self.low.0) << 64 | u128::from(self.low.1));
            state.write_u128(u128::from(self.high.0) << 64 | u128::from(self.high.1));
            state.write_u64(rest);
        }
    }
}

/// One of the two endpoints of a [`FlowKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    /// The lower endpoint.
    Low,
    /// The higher endpoint.
    High,
}

/// One value for each side.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct Sides<T> {
    low: T,
    high: T,
}

/// A conversation.
///
/// What each packet asks of it comes first, in as few lines of the cache as it fits: with 65,536 flows in
/// turn, fetching them is a third of what a packet costs. Small fields fill what would else be gaps.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Flow {
    /// TCP's opening and closing.
    pub(super) life: Life,
    /// Last packet.
    pub(super) last: Timestamp,
    /// Who opened it, as far as is known.
    pub(super) client: Side,
    /// Its account is fixed.
    pub(super) settled: bool,
    /// Where the other side is.
    pub(super) place: Place,
    /// What is known of its destination; meant once it is settled.
    pub(super) class: Class,
    /// Whether the handshake's time allows its country; meant once it is settled, none where that is no question.
    pub(super) verdict: Option<Verdict>,
    /// The databases disagree on its server's country; meant once it is settled.
    pub(super) disputed: bool,
    /// The sides that are ours.
    pub(super) ends: Sides<Option<End>>,
    /// QUIC: the client's first Initial, while nobody answered it.
    pub(super) asked: Option<Timestamp>,
    /// What is still being read of it.
    pub(super) reading: Option<Box<Reading>>,
    /// The packets behind it, where somebody audits.
    pub(super) trail: Option<Box<Trail>>,
    /// What each side sent.
    pub(super) seen: Sides<Tally>,
    /// Transport payload that each side sent, bytes, as on the wire.
    pub(super) payload: Sides<u64>,
    /// When the first packet with payload came.
    pub(super) waited_since: Timestamp,
    /// Packets with payload so far.
    pub(super) waited: u8,
    /// Its reading was given back until its next packet.
    pub(super) rests: bool,
    /// How long after its first packet it came to whom it belongs now, milliseconds, rounded up.
    pub(super) owned_after: u32,
    /// The sequence number of the client's first SYN, and whether another came later.
    pub(super) opened: (Option<u32>, bool),
    /// Its protocol, once something of it was read: an index of [`crate::engine::snapshot::PROTOCOLS`].
    pub(super) protocol: Option<u8>,
    /// What hides its true destination, where its handshake showed that.
    pub(super) hidden: Option<Class>,
    /// Where the sides that are ours stand.
    pub(super) standings: Sides<Standing>,
    /// Client's SYN to server's SYN-ACK at the sensor, or QUIC's counterpart.
    pub(super) rtt: Option<Duration>,
    /// First packet.
    pub(super) first: Timestamp,
    /// Of that, what the ledgers know.
    pub(super) told: Sides<Tally>,
    /// What its address says of the other side; none on our side, and while nobody's side is known.
    pub(super) site: Option<Arc<Site>>,
    /// What it is called, once that is known.
    pub(super) name: Option<Named>,
    /// The number of its first packet.
    pub(super) packet: u64,
    /// What few flows have, meant once it is settled.
    pub(super) rare: Option<Box<Rare>>,
}

/// What few flows have.
#[derive(Debug, Default)]
pub(super) struct Rare {
    /// What its destination is for.
    pub(super) service: Option<Service>,
    /// The place that its server's name claims.
    pub(super) claim: Option<Claim>,
    /// What the first list says that calls it a config pull.
    pub(super) listed: Option<Hit>,
}

/// A side that is ours: what each packet asks of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// The MAC on this side when it was placed; none where devices are addresses.
    pub(super) mac: Option<Mac>,
    /// The edition of the devices file that it was placed by.
    pub(super) edition: u32,
    /// The device.
    pub(super) device: Id,
}

/// Where a side that is ours stands in what is kept of its device.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Its account for this flow, once fixed.
    pub(super) account: Option<u32>,
    /// What this device's ledger knows of this flow, and no account yet: of a flow that a snapshot met before it was settled.
    pub(super) pending: Option<Box<Both>>,
    /// Where this flow's other side stands among the device's contacts.
    pub(super) met: Option<Met>,
}

/// A name and what gave it.
#[derive(Clone, Debug)]
pub(super) struct Named {
    /// The name.
    pub(super) title: Arc<Title>,
    /// What gave it.
    pub(super) origin: Origin,
    /// The packet that did, and its time; for a name from DNS, the answer's, which came before the flow.
    pub(super) by: (u64, Timestamp),
}

/// How far a conversation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Nothing seen of an opening.
    Unknown,
    /// A SYN was sent, at this time; `true` when it was repeated, so that an answer's time means nothing (Karn and Partridge, 1987).
    Opening(Timestamp, bool),
    /// Both sides have spoken.
    Open,
    /// This side will send no more, as its FIN says; the other may, and often says so itself only minutes later.
    Closing(Side),
    /// Both have sent a FIN, or one a RST.
    Closed,
}

impl FlowKey {
    /// The key of a packet, and which side sent it.
    #[inline]
    #[must_use]
    pub(super) fn of(packet: &Datagram<'_>) -> (Self, Side) {
        let (source, target) = (wide(packet.source.ip()), wide(packet.target.ip()));
        let (source_port, target_port) = (packet.source.port(), packet.target.port());
        let (protocol, v4) = (packet.protocol, packet.source.is_ipv4());
        if (source, source_port) <= (target, target_port) {
            (Self { low: source, high: target, ports: (source_port, target_port), protocol, v4 }, Side::Low)
        } else {
            (Self { low: target, high: source, ports: (target_port, source_port), protocol, v4 }, Side::High)
        }
    }

    /// The endpoint of a side.
    #[must_use]
    pub(super) fn endpoint(&self, side: Side) -> SocketAddr {
        let (address, port) = match side {
            Side::Low => (self.low, self.ports.0),
            Side::High => (self.high, self.ports.1),
        };
        SocketAddr::new(narrow(address, self.v4), port)
    }

    /// IP protocol number.
    #[must_use]
    pub(super) fn protocol(&self) -> u8 {
        self.protocol
    }
}

impl Side {
    /// The other one.
    #[must_use]
    pub(super) fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

impl<T> Sides<T> {
    /// A value for each side.
    pub(super) fn new(low: T, high: T) -> Self {
        Self { low, high }
    }

    /// One side's value.
    #[inline]
    pub(super) fn of(&self, side: Side) -> &T {
        match side {
            Side::Low => &self.low,
            Side::High => &self.high,
        }
    }

    /// One side's value, to change it.
    #[inline]
    pub(super) fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Low => &mut self.low,
            Side::High => &mut self.high,
        }
    }
}

impl Flow {
    /// A new conversation, of which nothing is read yet, opened by the sender of its first packet unless TCP's flags or the ports say otherwise.
    #[must_use]
    pub(super) fn new(packet: &Datagram<'_>, number: u64, sender: Side, now: Timestamp) -> Self {
        let answer = match packet.tcp {
            Some(tcp) if tcp.syn => tcp.ack,
            // Seen from its middle: servers listen on low ports.
            _ => packet.source.port() != 0 && packet.source.port() < 1024 && packet.target.port() >= 1024,
        };
        Self {
            ends: Sides::default(),
            standings: Sides::default(),
            client: if answer { sender.other() } else { sender },
            first: now,
            last: now,
            seen: Sides::default(),
            payload: Sides::default(),
            told: Sides::default(),
            place: Place::Unknown,
            site: None,
            name: None,
            protocol: None,
            packet: number,
            owned_after: 0,
            hidden: None,
            class: Class::Bare,
            settled: false,
            rests: false,
            life: Life::Unknown,
            opened: (None, false),
            rtt: None,
            asked: None,
            verdict: None,
            rare: None,
            disputed: false,
            waited_since: now,
            waited: 0,
            reading: None,
            trail: None,
        }
    }

    /// Whether this is its first packet, from the middle of a TCP connection between ports that do not say who serves: push services
    /// listen on high ports, and their connections are older than most captures.
    #[must_use]
    pub(super) fn begins_amid(&self, packet: &Datagram<'_>) -> bool {
        let first = self.seen.low.packets == 0 && self.seen.high.packets == 0;
        first && packet.tcp.is_some_and(|tcp| !tcp.syn) && packet.source.port().min(packet.target.port()) >= 1024
    }

    /// What is known of its bytes.
    #[must_use]
    pub(super) fn marks(&self) -> Marks<'_> {
        Marks { class: self.class, verdict: self.verdict, service: self.service(), disputed: self.disputed }
    }

    /// It belongs to somebody else from now on.
    pub(super) fn changes_hands(&mut self, now: Timestamp) {
        let after = now.since(self.first).as_nanos().div_ceil(1_000_000);
        self.owned_after = u32::try_from(after).unwrap_or(u32::MAX);
    }

    /// Since when it belongs to whom it belongs to now: what he was told later is not why it is there.
    #[must_use]
    pub(super) fn owned_since(&self) -> Timestamp {
        self.first.plus(Duration::from_millis(self.owned_after.into()))
    }

    /// What its destination is for; meant once it is settled.
    #[must_use]
    pub(super) fn service(&self) -> Option<&Service> {
        self.rare.as_ref()?.service.as_ref()
    }

    /// What the first list says that calls it a config pull; meant once it is settled.
    #[must_use]
    pub(super) fn listed(&self) -> Option<&Hit> {
        self.rare.as_ref()?.listed.as_ref()
    }

    /// The other side's AS.
    #[must_use]
    pub(super) fn asn(&self) -> Option<u32> {
        self.site.as_ref()?.located.asn
    }

    /// Its full name.
    #[must_use]
    pub(super) fn full_name(&self) -> Option<Arc<str>> {
        self.name.as_ref().map(|named| Arc::clone(&named.title.name))
    }

    /// The registrable domain of that.
    #[must_use]
    pub(super) fn domain(&self) -> Option<Arc<str>> {
        self.name.as_ref()?.title.domain.clone()
    }

    /// The MAC on a side, where it tells a device apart.
    #[must_use]
    pub(super) fn mac(&self, side: Side) -> Option<Mac> {
        self.ends.of(side).as_ref()?.mac
    }

    /// Whether one of ours opened it to a server that is not ours.
    #[must_use]
    pub(super) fn is_outward(&self) -> bool {
        self.ends.of(self.client).is_some()
            && self.ends.of(self.client.other()).is_none()
            && !matches!(self.place, Place::Local | Place::Multicast)
    }

    /// Times a QUIC server's first answer: whether this is one. To be called before the packet is counted; `time` is the packet's own.
    #[inline]
    pub(super) fn answer(&mut self, sender: Side, packet: &Datagram<'_>, time: Timestamp) -> bool {
        if self.asked.is_none() || sender == self.client {
            return false;
        }
        let Some(since) = self.asked.take() else { return false };
        let form = quic::recognise(packet.payload).map(|recognised| recognised.form);
        // A client that waited and sent again may be answered for either.
        let timed = matches!(form, Some(Form::Initial | Form::Handshake | Form::Retry | Form::VersionNegotiation))
            && self.last.since(since) <= FIRST_FLIGHT;
        if timed {
            self.rtt = Some(time.since(since));
        }
        timed
    }

    /// Whether a packet of `sender` is to be shown to its reading.
    #[inline]
    pub(super) fn reads(&mut self, sender: Side, datagram: &Datagram<'_>) -> bool {
        let Some(reading) = &mut self.reading else { return false };
        reading.hears(sender, datagram);
        reading.concerns(sender, datagram)
    }

    /// Whether anybody else looks at a packet's payload: a QUIC server's first answer is looked at beside the readers, neighbour
    /// discovery before it has a flow; and copies of frames to everybody are known by all their bytes.
    #[inline]
    pub(super) fn looks_at(&self, datagram: &Datagram<'_>) -> bool {
        self.asked.is_some() || datagram.protocol == ICMPV6 || self.place == Place::Multicast
    }

    /// Counts a packet of `sender` of which `captured` bytes are there.
    #[inline]
    pub(super) fn count(&mut self, sender: Side, packet: &Packet<'_>, datagram: &Datagram<'_>, captured: usize, now: Timestamp) {
        let cut = if datagram.cut { (packet.wire_len as usize).saturating_sub(captured) } else { 0 };
        let payload = datagram.payload.len().saturating_add(cut);
        self.last = now;
        self.seen.of_mut(sender).add(Tally { packets: 1, bytes: u64::from(packet.wire_len) });
        // Also payload that the capture does not hold: a flow waits for its name no longer because of that.
        if payload > 0 {
            if self.waited == 0 {
                self.waited_since = now;
            }
            self.waited = self.waited.saturating_add(1);
            let carried = self.payload.of_mut(sender);
            *carried = carried.saturating_add(payload as u64);
        }
    }

    /// Follows TCP's opening and closing: whether this timed its handshake; `now` is the packet's own time, since it is timed by that.
    #[inline]
    pub(super) fn follow(&mut self, sender: Side, tcp: Tcp, now: Timestamp) -> bool {
        if tcp.syn && !tcp.ack && sender == self.client {
            // Also where none was seen before: the one that it follows is older than the capture.
            self.opened.1 |= self.opened.0 != Some(tcp.seq) && matches!(self.life, Life::Open | Life::Closing(_));
            self.opened.0.get_or_insert(tcp.seq);
        }
        match self.life {
            _ if tcp.reset => self.life = Life::Closed,
            Life::Closed => {}
            Life::Closing(side) if tcp.end && side != sender => self.life = Life::Closed,
            _ if tcp.end => self.life = Life::Closing(sender),
            Life::Unknown if tcp.syn && !tcp.ack => self.life = Life::Opening(now, false),
            Life::Opening(since, _) if tcp.syn && !tcp.ack && sender == self.client => self.life = Life::Opening(since, true),
            Life::Opening(since, repeated) if tcp.syn && tcp.ack && sender != self.client => {
                self.rtt = (!repeated).then(|| now.since(since));
                self.life = Life::Open;
                return !repeated;
            }
            Life::Open | Life::Closing(_) => {}
            Life::Unknown | Life::Opening(..) if !tcp.syn => self.life = Life::Open,
            Life::Unknown | Life::Opening(..) => {}
        }
        false
    }

    /// Whether another connection begins between the same endpoints: a SYN after the end; without an end, the answer to a new SYN
    /// (a SYN alone ends nothing: the server refuses it, and it would take the name away from what follows).
    #[must_use]
    pub(super) fn is_over(&self, tcp: Option<Tcp>) -> bool {
        tcp.is_some_and(|tcp| tcp.syn && if tcp.ack { self.opened.1 } else { self.life == Life::Closed })
    }

    /// Whether the account must be fixed now: it has a name, or it waited long enough for one.
    #[must_use]
    pub(super) fn is_due(&self, protocol: u8, now: Timestamp, limits: &Limits) -> bool {
        // QUIC's name comes before the server's answer, whose time decides the verdict.
        if self.name.is_some() && self.asked.is_none() || matches!(self.place, Place::Local | Place::Multicast) {
            return true;
        }
        if !matches!(protocol, TCP | crate::packet::UDP) || self.reading.is_none() && !self.rests && self.asked.is_none() {
            return true; // nothing more will be read of it
        }
        let (packets, since) = (self.waited, self.waited_since);
        let gathering = self.reading.as_ref().is_some_and(|reading| reading.is_gathering());
        let span = if gathering { limits.naming.saturating_mul(5) } else { limits.naming };
        packets > 0 && (packets >= limits.naming_packets && !gathering || now.since(since) >= span)
    }

    /// Whether `sender` may be the client for what it asks: not where the other side's SYN was seen.
    #[must_use]
    pub(super) fn may_ask(&self, sender: Side) -> bool {
        self.opened.0.is_none() || sender == self.client
    }

    /// Whether a hello or a request of `sender` names the other side to us: what somebody outside calls one of ours does not.
    #[must_use]
    pub(super) fn names(&self, sender: Side) -> bool {
        self.may_ask(sender) && (self.ends.of(sender).is_some() || self.ends.of(sender.other()).is_none())
    }

    /// Whether both sides have spoken.
    #[must_use]
    pub(super) fn is_answered(&self) -> bool {
        self.seen.of(Side::Low).packets > 0 && self.seen.of(Side::High).packets > 0
    }

    /// Whether nothing more has to come: a question of DNS was answered, and what it taught is learnt.
    #[must_use]
    pub(super) fn is_spent(&self) -> bool {
        let protocol = self.protocol.and_then(|index| PROTOCOLS.get(usize::from(index)));
        self.life == Life::Unknown && self.is_answered() && protocol == Some(&"dns")
    }

    /// Whether it is over, given how long it has been silent.
    #[must_use]
    pub(super) fn may_leave(&self, silent: Duration, limits: &Limits) -> bool {
        silent
            >= match self.life {
                Life::Closed => limits.closed_idle,
                Life::Open => limits.tcp_idle,
                // A client that nobody answers asks again after 1, 2, 4 to 32 seconds (RFC 6298, 5.5): one attempt, not several.
                // Whom its peer has left closes when it likes, like a phone's pool of connections; Linux's conntrack waits one or two minutes.
                Life::Opening(..) | Life::Closing(_) | Life::Unknown => limits.flow_idle,
            }
    }

    /// What a side sent and received since the ledgers were told.
    #[must_use]
    pub(super) fn owed(&self, side: Side) -> Both {
        Both {
            transmit: self.seen.of(side).since(*self.told.of(side)),
            receive: if self.place == Place::Multicast {
                Tally::default()
            } else {
                self.seen.of(side.other()).since(*self.told.of(side.other()))
            },
        }
    }

    /// Whether a side is known to be ours.
    #[must_use]
    pub(super) fn is_placed(&self) -> bool {
        self.ends.low.is_some() || self.ends.high.is_some()
    }
}

/// A QUIC client's first datagrams are sent at once, and again after a second (RFC 9002, 6.2.2), or sooner where it knows the server.
const FIRST_FLIGHT: Duration = Duration::from_millis(5);

fn wide(address: IpAddr) -> Wide {
    match address {
        IpAddr::V4(v4) => (0, u64::from(v4.to_bits())),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            ((bits >> 64) as u64, bits as u64)
        }
    }
}

fn narrow(wide: Wide, v4: bool) -> IpAddr {
    match u32::try_from(wide.1) {
        Ok(bits) if v4 => IpAddr::V4(Ipv4Addr::from_bits(bits)),
        _ => IpAddr::V6((u128::from(wide.0) << 64 | u128::from(wide.1)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_takes_seven_lines_of_the_cache_and_each_packet_asks_for_four() {
        // Beside it lie its key and two words of the table's.
        let beside = size_of::<FlowKey>() + 16;
        assert!(beside + size_of::<Flow>() <= 7 * 64, "{}", size_of::<Flow>());
        assert!(beside + std::mem::offset_of!(Flow, standings) <= 4 * 64, "{}", std::mem::offset_of!(Flow, standings));
    }
}
