//! Feeding the dissectors: gathers the first bytes of each direction until one of [`DISSECTORS`] knows what they are.
//!
//! Nothing is copied while a whole message comes in one packet; only what is incomplete is kept, in a bounded table.

use arrayvec::ArrayVec;

use crate::dissect::observation::{ClientHello, Observation};
use crate::dissect::starttls::Upgrade;
use crate::dissect::{DISSECTORS, Over, Verdict, dns, http, quic, starttls, tls, tunnel};
use crate::engine::flow::{Side, Sides};
use crate::engine::limits::Limits;
use crate::engine::stream::Stream;
use crate::engine::table::{Id, Table};
use crate::packet::{Datagram, TCP, Timestamp, UDP};

/// Streams with bytes in them, by flow and sender.
pub(super) type Streams = Table<(Id, Side), Stream>;

/// Connection IDs remembered of one flow: the first one, and one after a Retry (RFC 9001, 5.2).
const KEY_IDS: usize = quic::MAX_KEY_IDS;
/// A segment this far before the first one that was seen still moves the beginning.
const MAX_SHIFT: u32 = 65_536;

/// Questions of a flow that wait for an answer. A client has few under way from one port; one that asks without end forgets its
/// first, whose answers then name nothing.
const QUESTIONS: usize = 16;

/// What is still being read of a flow.
#[derive(Debug)]
pub(super) struct Reading {
    questions: ArrayVec<u16, QUESTIONS>,
    lanes: Sides<Lane>,
    key_ids: ArrayVec<ArrayVec<u8, 20>, KEY_IDS>,
    quic_version: u32,
    versioned: bool,
    tried: u8,
    requests: u8,
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    /// TCP: the sequence number of offset 0.
    start: Option<u32>,
    /// The server's SYN was seen, which acknowledges the client's, so `start` is the true beginning. A client's SYN alone proves
    /// nothing: another number in a second one would put the hello where it is not looked for.
    anchored: bool,
    /// Dissectors still in the race, one bit each.
    racing: u16,
    /// Where reading goes on.
    done: u64,
    /// Bytes that must be there before asking again.
    need: usize,
    /// What is held, if anything is.
    stream: Option<Id>,
    /// An HTTP connection between two requests.
    between: bool,
    /// Text comes first, and TLS may follow.
    text: bool,
}

/// What one packet brought to light.
#[derive(Debug, Default)]
pub(super) struct Harvest {
    /// What was seen, and the dissector's name.
    pub(super) seen: Vec<(&'static str, Observation)>,
    /// A message that could not be read: the dissector's name, and why.
    pub(super) malformed: Option<(&'static str, &'static str)>,
    /// The version of a flow's first QUIC long header.
    pub(super) quic_version: Option<&'static str>,
    /// A QUIC client's first flight: its Initial opened with the connection ID that it bears, which a client uses until it is answered.
    pub(super) first_flight: bool,
}

/// A flow's packet as the reading needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// The flow.
    pub(super) flow: Id,
    /// Who sent it.
    pub(super) sender: Side,
    /// When.
    pub(super) now: Timestamp,
    /// The packet.
    pub(super) packet: &'a Datagram<'a>,
}

impl Reading {
    /// What there is to read of a flow that begins with this packet, if anything.
    #[must_use]
    pub(super) fn of(packet: &Datagram<'_>) -> Option<Self> {
        if !matches!(packet.protocol, TCP | UDP) || packet.source.port() == 0 && packet.target.port() == 0 {
            return None;
        }
        let over = if packet.protocol == TCP { Over::Stream } else { Over::Datagram };
        let racing = race(over, packet.source.port(), packet.target.port());
        let text = over == Over::Stream && [packet.source.port(), packet.target.port()].iter().any(|port| starttls::PORTS.contains(port));
        let lane = || Lane { racing, text, ..Lane::default() };
        Some(Self {
            questions: ArrayVec::new(),
            lanes: Sides::new(lane(), lane()),
            key_ids: ArrayVec::new(),
            quic_version: 0,
            versioned: false,
            tried: 0,
            requests: 0,
        })
    }

    /// Notes the identifier of a DNS question.
    pub(super) fn asks(&mut self, id: u16) {
        if self.questions.contains(&id) {
            return;
        }
        if self.questions.is_full() {
            self.questions.remove(0);
        }
        self.questions.push(id);
    }

    /// Whether a DNS question with this identifier was seen: who forges answers can guess neither it nor the port.
    #[must_use]
    pub(super) fn has_asked(&self, id: u16) -> bool {
        self.questions.contains(&id)
    }

    /// Whether part of a message is held.
    #[must_use]
    pub(super) fn is_gathering(&self) -> bool {
        self.lanes.of(Side::Low).stream.is_some() || self.lanes.of(Side::High).stream.is_some()
    }

    /// Shows a packet to the dissectors. False when there is nothing more to read of this flow.
    pub(super) fn read(&mut self, part: Part<'_>, streams: &mut Streams, limits: &Limits, harvest: &mut Harvest) -> bool {
        if part.packet.protocol == UDP {
            return self.datagram(part, streams, limits, harvest);
        }
        self.segment(part, streams, limits, harvest);
        let lane = self.lanes.of(part.sender);
        !(lane.is_over() && self.lanes.of(part.sender.other()).is_over())
    }

    /// Reads what can be read of unfinished messages, and lets them go.
    pub(super) fn finish(&mut self, streams: &mut Streams, harvest: &mut Harvest) {
        for side in [Side::Low, Side::High] {
            let lane = self.lanes.of_mut(side);
            if let Some((_, stream)) = lane.stream.take().and_then(|id| streams.take(id)) {
                match self.quic_version {
                    0 => lane.partial(stream.ready(), harvest),
                    version => {
                        harvest.seen.extend(tls::partial_handshake(stream.ready(), Some(version)).map(|hello| ("quic", seen(hello))))
                    }
                }
            }
        }
    }

    fn datagram(&mut self, part: Part<'_>, streams: &mut Streams, limits: &Limits, harvest: &mut Harvest) -> bool {
        let bytes = part.packet.payload;
        if bytes.is_empty() {
            return true;
        }
        let mut limited = false;
        for (dissector, bit) in DISSECTORS.iter().zip(0_u16..) {
            let lane = self.lanes.of_mut(part.sender);
            if lane.racing & (1 << bit) == 0 || dissector.ports.is_empty() {
                continue;
            }
            limited = true;
            match (dissector.read)(bytes) {
                Verdict::Saw { seen, .. } => harvest.seen.push((dissector.name, seen)),
                Verdict::Malformed(reason) => harvest.malformed = Some((dissector.name, reason)),
                Verdict::NotMine | Verdict::NeedMore(_) | Verdict::Carries(_) => {}
            }
        }
        if !limited {
            return self.any_port(part, true, streams, limits, harvest);
        }
        // A client may choose 53 for its own port, or a server listen there: the port alone must not hide a hello.
        if harvest.seen.is_empty() && self.tried < limits.datagrams {
            self.any_port(part, false, streams, limits, harvest);
            harvest.malformed = harvest.malformed.filter(|_| harvest.seen.is_empty());
        }
        true
    }

    /// A datagram between ports that say nothing: QUIC, or (if `form`) DNS by its form.
    fn any_port(&mut self, part: Part<'_>, form: bool, streams: &mut Streams, limits: &Limits, harvest: &mut Harvest) -> bool {
        self.tried = self.tried.saturating_add(1);
        if !self.versioned
            && let Some(recognised) = quic::recognise(part.packet.payload)
        {
            self.versioned = true;
            harvest.quic_version = Some(quic::version::name(recognised.version));
        }
        let message = Some(part.packet.payload).filter(|_| form).and_then(dns::by_form);
        let more = match (tunnel::read(part.packet.payload), message) {
            (Verdict::Saw { seen, .. }, _) => {
                harvest.seen.push(("tunnel", seen));
                false
            }
            (_, Some(message)) => {
                harvest.seen.push(("dns", Observation::Dns(Box::new(message))));
                true
            }
            (_, None) => self.quic(part, streams, limits, harvest),
        };
        if more && self.tried < limits.datagrams {
            return true;
        }
        self.tried = limits.datagrams;
        self.lanes.of_mut(Side::Low).let_go(streams);
        self.lanes.of_mut(Side::High).let_go(streams);
        false
    }

    fn quic(&mut self, part: Part<'_>, streams: &mut Streams, limits: &Limits, harvest: &mut Harvest) -> bool {
        let key_ids: ArrayVec<&[u8], KEY_IDS> = self.key_ids.iter().map(ArrayVec::as_slice).collect();
        if let Verdict::Carries(pieces) = quic::open(part.packet.payload, &key_ids) {
            harvest.first_flight = key_ids.is_empty();
            drop(key_ids);
            self.quic_version = pieces.version;
            if !self.key_ids.iter().any(|known| known.as_slice() == pieces.key_id.as_slice())
                && let Ok(id) = ArrayVec::try_from(pieces.key_id.as_slice())
            {
                // Full: an attacker is changing it on each packet; the first ones stay.
                let _ = self.key_ids.try_push(id);
            }
            let lane = self.lanes.of_mut(part.sender);
            for (offset, bytes) in &pieces.pieces {
                if !lane.hold(part, streams, limits.stream_bytes, *offset, bytes) {
                    return false;
                }
            }
            let ready = lane.stream.and_then(|id| streams.get(id)).map_or(&[][..], Stream::ready);
            if ready.len() >= lane.need {
                match tls::handshake(ready, Some(self.quic_version)) {
                    Verdict::Saw { seen, .. } => {
                        harvest.seen.push(("quic", seen));
                        return false;
                    }
                    Verdict::NeedMore(need) => lane.need = need,
                    _ => {
                        harvest.malformed = Some(("quic", "no-hello"));
                        return false;
                    }
                }
            }
        }
        true
    }

    fn segment(&mut self, part: Part<'_>, streams: &mut Streams, limits: &Limits, harvest: &mut Harvest) {
        let Some(tcp) = part.packet.tcp else { return };
        let first = tcp.seq.wrapping_add(u32::from(tcp.syn));
        if tcp.syn && tcp.ack {
            self.lanes.of_mut(part.sender).begin(first);
            self.lanes.of_mut(part.sender.other()).begin(tcp.acknowledged);
        }
        let lane = self.lanes.of_mut(part.sender);
        let payload = part.packet.payload;
        if payload.is_empty() || lane.is_over() {
            return;
        }
        let dns = part.packet.source.port() == 53 || part.packet.target.port() == 53;
        if lane.start.is_none() && payload == [0] && !dns {
            return; // a keep-alive probe (RFC 9293, 3.8.4) of a connection older than the capture: no part of the stream
        }
        let offset = lane.offset(first, streams);
        if offset.saturating_add(payload.len() as u64) <= lane.done || offset == u64::MAX {
            return; // known
        }
        if lane.between {
            // The rest of a request's body may lie here; a segment that begins like a request is one.
            if !http::looks_like_request(payload) || offset < lane.done {
                return;
            }
            lane.between = false;
            lane.done = offset;
        }
        let limit = if dns && streams.len() < limits.dns_streams { limits.dns_stream_bytes } else { limits.stream_bytes };
        if lane.stream.is_none() && offset == lane.done {
            let used = lane.race(payload, &mut self.requests, limits, harvest);
            lane.done = offset.saturating_add(used as u64);
            let rest = payload.get(used..).unwrap_or_default();
            if !rest.is_empty() && lane.wants_more() && !lane.hold(part, streams, limit, lane.done, rest) {
                lane.give_up(streams, harvest);
            }
        } else if lane.hold(part, streams, limit, offset, payload) {
            lane.race_held(streams, &mut self.requests, limits, harvest);
        } else {
            lane.give_up(streams, harvest);
        }
        if part.packet.cut {
            lane.give_up(streams, harvest); // what the snap length cut off never comes
        }
    }
}

impl Lane {
    fn is_over(&self) -> bool {
        self.racing == 0
    }

    fn wants_more(&self) -> bool {
        self.racing != 0 && !self.between
    }

    fn races(&self, name: &str) -> bool {
        DISSECTORS.iter().zip(0_u16..).any(|(dissector, bit)| dissector.name == name && self.racing & (1 << bit) != 0)
    }

    /// The stream begins at a sequence number.
    fn begin(&mut self, start: u32) {
        if self.done == 0 && self.stream.is_none() {
            self.start = Some(start);
            self.anchored = true;
        }
    }

    /// Where in the stream a sequence number is; a segment before the first one that was seen moves the beginning.
    fn offset(&mut self, seq: u32, streams: &mut Streams) -> u64 {
        let start = *self.start.get_or_insert(seq);
        let ahead = seq.wrapping_sub(start);
        if ahead < 1 << 31 {
            return u64::from(ahead);
        }
        let behind = start.wrapping_sub(seq);
        if self.anchored || self.done != 0 || behind > MAX_SHIFT {
            // Known bytes again, or from before what was read: past the end of what can be pushed.
            return u64::MAX;
        }
        self.start = Some(seq);
        self.need = 0;
        if let Some(stream) = self.stream.and_then(|id| streams.get_mut(id)) {
            stream.shift(u64::from(behind));
        }
        0
    }

    /// Keeps a piece; false when the stream must be given up.
    fn hold(&mut self, part: Part<'_>, streams: &mut Streams, limit: usize, offset: u64, bytes: &[u8]) -> bool {
        let id = match self.stream.filter(|id| streams.get(*id).is_some()) {
            Some(id) => id,
            None => {
                // A table full of unfinished handshakes: the oldest makes room. The pieces of a true one follow each other at once,
                // so it is read before thousands of forged ones have come after it.
                streams.make_room(part.now, |_, _| true);
                let mut stream = Stream::default();
                stream.skip_to(self.done);
                match streams.insert((part.flow, part.sender), stream, part.now) {
                    Some(id) => id,
                    None => return false,
                }
            }
        };
        self.stream = Some(id);
        streams.touch(id, part.now);
        streams.get_mut(id).is_some_and(|stream| stream.push(offset, bytes, limit))
    }

    fn race_held(&mut self, streams: &mut Streams, requests: &mut u8, limits: &Limits, harvest: &mut Harvest) {
        let Some(stream) = self.stream.and_then(|id| streams.get_mut(id)) else { return };
        if stream.ready().is_empty() || stream.ready().len() < self.need {
            return;
        }
        let used = self.race(stream.ready(), requests, limits, harvest);
        stream.consume(used);
        self.done = self.done.saturating_add(used as u64);
        if stream.is_empty() || !self.wants_more() {
            self.done = stream.end();
            self.let_go(streams);
        }
    }

    /// Shows bytes to every dissector in the race until none can say more; returns how many are done with.
    fn race(&mut self, bytes: &[u8], requests: &mut u8, limits: &Limits, harvest: &mut Harvest) -> usize {
        let mut used: usize = 0;
        if self.text && !http::looks_like_request(bytes) {
            match starttls::upgrade(bytes) {
                Upgrade::NeedMore => {
                    self.need = bytes.len().saturating_add(1);
                    return 0;
                }
                Upgrade::At(start) => used = start,
                Upgrade::Never => {}
            }
        }
        self.text = false;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            if rest.is_empty() {
                self.need = 0;
                return used;
            }
            match self.round(rest, requests, limits, harvest) {
                Some(more) => used = used.saturating_add(more.max(1)),
                None => return used,
            }
        }
    }

    /// One round of the race; the bytes used when somebody saw something and there may be more.
    fn round(&mut self, rest: &[u8], requests: &mut u8, limits: &Limits, harvest: &mut Harvest) -> Option<usize> {
        let mut need = usize::MAX;
        let may_come_back = *requests > 0 && self.races("http") || !self.anchored;
        for (dissector, bit) in DISSECTORS.iter().zip(0_u16..) {
            let mask = 1 << bit;
            if self.racing & mask == 0 {
                continue;
            }
            match (dissector.read)(rest) {
                Verdict::NotMine | Verdict::Carries(_) => self.racing &= !mask,
                Verdict::NeedMore(more) => need = need.min(more),
                Verdict::Malformed(reason) => {
                    harvest.malformed = Some((dissector.name, reason));
                    self.racing &= !mask;
                }
                Verdict::Saw { seen, used, more } => {
                    self.racing = if more { mask } else { 0 };
                    if matches!(&seen, Observation::Request(request) if request.method.as_str() == "CONNECT") {
                        self.racing |= race_of("tls"); // what goes through the tunnel
                    }
                    harvest.seen.push((dissector.name, seen));
                    if dissector.name == "http" {
                        *requests = requests.saturating_add(1);
                        if *requests >= limits.requests {
                            self.racing = 0;
                        }
                    }
                    return more.then_some(used);
                }
            }
        }
        if self.racing == 0 && may_come_back {
            // A body follows the request, or the connection is older than the capture: go on at the next segment that looks
            // like a request.
            self.racing = race_of("http");
            self.between = true;
            self.need = 0;
            return None;
        }
        self.need = if need == usize::MAX { 0 } else { need };
        None
    }

    fn give_up(&mut self, streams: &mut Streams, harvest: &mut Harvest) {
        if let Some(stream) = self.stream.and_then(|id| streams.get(id)) {
            self.partial(stream.ready(), harvest);
        }
        // A missing segment hides what it held; a later request on the same connection still speaks for itself.
        self.between = self.races("http");
        self.racing = if self.between { race_of("http") } else { 0 };
        self.let_go(streams);
    }

    /// What half a message says already.
    fn partial(&self, ready: &[u8], harvest: &mut Harvest) {
        if self.races("tls") {
            harvest.seen.extend(tls::partial(ready).map(|hello| ("tls", seen(hello))));
        }
        if self.races("http") {
            harvest.seen.extend(http::partial(ready).map(|request| ("http", Observation::Request(Box::new(request)))));
        }
    }

    fn let_go(&mut self, streams: &mut Streams) {
        if let Some(id) = self.stream.take() {
            streams.take(id);
        }
    }
}

fn seen(hello: ClientHello) -> Observation {
    Observation::Hello(Box::new(hello))
}

fn race(over: Over, source: u16, target: u16) -> u16 {
    let mut racing = 0;
    for (dissector, bit) in DISSECTORS.iter().zip(0_u16..) {
        let ports = dissector.ports;
        if dissector.over == over && (ports.is_empty() || ports.contains(&source) || ports.contains(&target)) {
            racing |= 1 << bit;
        }
    }
    racing
}

fn race_of(name: &str) -> u16 {
    DISSECTORS.iter().zip(0_u16..).filter(|(dissector, _)| dissector.name == name).fold(0, |mask, (_, bit)| mask | 1 << bit)
}
