//! Feeding the dissectors: gathers the first bytes of each direction until one of [`DISSECTORS`] knows what they are.
//!
//! Nothing is copied while a whole message comes in one packet; only what is incomplete is kept, in a bounded table.

use std::net::IpAddr;

use arrayvec::ArrayVec;

use crate::dissect::observation::{Name, Observation};
use crate::dissect::quic::Form;
use crate::dissect::{Verdict, dns, http, quic, tls, tunnel};
use crate::engine::flow::{Side, Sides};
use crate::engine::lane::{CERTIFICATE, Harvest, LIMITED, Lane, Part, Streams, among, seen};
use crate::engine::limits::Limits;
use crate::engine::stream::Stream;
use crate::packet::{Datagram, TCP, UDP};

/// Connection IDs remembered of one flow: the first one, and one after a Retry (RFC 9001, 5.2).
const KEY_IDS: usize = quic::MAX_KEY_IDS;

/// Questions of a flow that wait for an answer. A client has few under way from one port; one that asks without end forgets its
/// first, whose answers then name nothing.
const QUESTIONS: usize = 16;

/// Datagrams in a row that were nobody's, on a flow whose ports say nothing, after which only QUIC's long header is still looked for: the
/// thousands of a call or a game would each be looked through, and be kept whole in a recording of heads. A socket's next QUIC
/// connection may come at any time, so the reading itself stays; the table of flows bounds how many there are.
const STRANGE: u8 = 16;

/// The boxes of readings that are over, for those that begin: flows come and go in tens of thousands, and to give each box back, which
/// the allocator joins with its cold neighbours, cost more than to make it.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "the boxes are what is used again")]
pub(super) struct Spare(Vec<Box<Reading>>);

impl Spare {
    /// Boxes kept, 200 kB of them. Flows end as others begin, so a few do.
    const MOST: usize = 1_024;

    /// What there is to read of a flow that begins with this packet, if anything.
    pub(super) fn begin(&mut self, packet: &Datagram<'_>) -> Option<Box<Reading>> {
        let reading = Reading::of(packet)?;
        Some(match self.0.pop() {
            Some(mut spare) => {
                *spare = reading;
                spare
            }
            None => Box::new(reading),
        })
    }

    /// A reading is over.
    pub(super) fn put(&mut self, reading: Box<Reading>) {
        if self.0.len() < Self::MOST {
            self.0.push(reading);
        }
    }
}

/// What is still being read of a flow.
#[derive(Debug)]
#[repr(C)] // first what is asked when the flow ends and no cache holds it any more
pub(super) struct Reading {
    lanes: Sides<Lane>,
    questions: ArrayVec<u16, QUESTIONS>,
    key_ids: ArrayVec<ArrayVec<u8, { quic::MAX_ID }>, KEY_IDS>,
    quic_version: u32,
    versioned: bool,
    tried: u8,
    strange: u8,
    requests: u8,
}

impl Reading {
    /// What there is to read of a flow that begins with this packet, if anything.
    #[must_use]
    fn of(packet: &Datagram<'_>) -> Option<Self> {
        if !matches!(packet.protocol, TCP | UDP) || packet.source.port() == 0 && packet.target.port() == 0 {
            return None;
        }
        Some(Self {
            questions: ArrayVec::new(),
            lanes: Sides::new(Lane::of(packet), Lane::of(packet)),
            key_ids: ArrayVec::new(),
            quic_version: 0,
            versioned: false,
            tried: 0,
            strange: 0,
            requests: 0,
        })
    }

    /// Notes the identifier of a DNS question. Two may bear the same, so each waits for an answer of its own.
    pub(super) fn asks(&mut self, id: u16) {
        if self.questions.is_full() {
            self.questions.remove(0);
        }
        self.questions.push(id);
    }

    /// Whether a DNS question with this identifier waits for an answer, and is answered now: who forges answers can guess neither it nor
    /// the port, and a second answer is as late for the device as it is for us.
    pub(super) fn answers(&mut self, id: u16) -> bool {
        self.questions.iter().position(|asked| *asked == id).map(|at| self.questions.remove(at)).is_some()
    }

    /// Whether a new reading would know as much: no question waits, and no part of a message.
    #[must_use]
    pub(super) fn may_rest(&self) -> bool {
        self.questions.is_empty() && !self.is_gathering()
    }

    /// Notes what a segment of `sender` acknowledges. Its head says that, so nobody looks at the rest for it.
    #[inline]
    pub(super) fn hears(&mut self, sender: Side, packet: &Datagram<'_>) {
        if let Some(tcp) = packet.tcp.filter(|tcp| tcp.ack && tcp.is_taken()) {
            self.lanes.of_mut(sender.other()).acknowledge(tcp.acknowledged);
        }
    }

    /// Whether a packet of `sender` says anything to it: most of a connection's do not, and need not be shown to it.
    #[inline]
    #[must_use]
    pub(super) fn concerns(&self, sender: Side, packet: &Datagram<'_>) -> bool {
        let lane = self.lanes.of(sender);
        let Some(tcp) = packet.tcp else {
            let by_any = self.strange < STRANGE || lane.racing & LIMITED != 0;
            return !packet.payload.is_empty() && (by_any || quic::recognise(packet.payload).is_some());
        };
        if !tcp.is_taken() {
            return false; // nobody takes it, and it would be read in place of what follows at its number
        }
        if packet.payload.is_empty() {
            // Where the stream begins, and that what came with that or behind a hole is to be read.
            return tcp.syn || lane.taken || lane.goes_on_behind();
        }
        // Of a request's body only the beginning is looked at, whether it is another request.
        tcp.syn || !lane.is_over() && (!lane.between || http::looks_like_request(packet.payload))
    }

    /// Whether part of a message is held.
    #[must_use]
    pub(super) fn is_gathering(&self) -> bool {
        self.lanes.of(Side::Low).stream.is_some() || self.lanes.of(Side::High).stream.is_some()
    }

    /// Shows a packet that concerns it to the dissectors. False when there is nothing more to read of this flow.
    pub(super) fn read(&mut self, part: Part<'_>, streams: &mut Streams, limits: &Limits, harvest: &mut Harvest) -> bool {
        if part.packet.protocol == UDP {
            return self.datagram(part, streams, limits, harvest);
        }
        self.segment(part, streams, limits, harvest);
        self.lanes.of_mut(part.sender).go_on_behind(streams, &mut self.requests, limits, harvest);
        if harvest.seen.iter().any(|(_, seen)| names_for_good(seen)) {
            // Its certificate would come in two or three segments more, to be kept until it is whole, and change nothing.
            let other = self.lanes.of_mut(part.sender.other());
            other.racing &= !CERTIFICATE;
            if other.is_over() {
                other.let_go(streams);
            }
        }
        let lane = self.lanes.of(part.sender);
        !(lane.is_over() && self.lanes.of(part.sender.other()).is_over())
    }

    /// Reads what can be read of unfinished messages, and lets them go.
    pub(super) fn finish(&mut self, streams: &mut Streams, harvest: &mut Harvest) {
        for side in [Side::Low, Side::High] {
            let lane = self.lanes.of_mut(side);
            if let Some((_, stream)) = lane.stream.take().and_then(|id| streams.take(id)) {
                match self.quic_version {
                    0 => lane.conclude(&stream, harvest),
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
        for (_, dissector) in among(self.lanes.of(part.sender).racing & LIMITED) {
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
        let recognised = quic::recognise(part.packet.payload);
        if !self.versioned
            && let Some(recognised) = &recognised
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
                harvest.seen.push(("dns", Observation::Dns(message)));
                self.strange = 0;
                true
            }
            // Packets of these forms may have an Initial beside them, or be one; nothing else is tried.
            (_, None) if recognised.is_some_and(|packet| matches!(packet.form, Form::Initial | Form::ZeroRtt | Form::Handshake)) => {
                self.tried = self.tried.saturating_add(1);
                self.quic(part, streams, limits, harvest)
            }
            (_, None) => {
                self.strange = self.strange.saturating_add(1);
                true
            }
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
            if !self.key_ids.contains(&pieces.key_id) {
                // Full: an attacker is changing it on each packet; the first ones stay.
                let _ = self.key_ids.try_push(pieces.key_id.clone());
            }
            if self.lanes.of(part.sender).stream.is_none()
                && let Some(beginning) = pieces.beginning()
                && let Verdict::Saw { seen, .. } = tls::handshake(&beginning, Some(self.quic_version))
            {
                harvest.seen.push(("quic", seen));
                return false;
            }
            let lane = self.lanes.of_mut(part.sender);
            for (offset, bytes) in pieces.iter() {
                if !lane.hold(part, streams, limits.stream_bytes, offset, bytes) {
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
            self.lanes.of_mut(part.sender).begin(first, part.packet, streams);
            self.lanes.of_mut(part.sender.other()).begin(tcp.acknowledged, part.packet, streams);
        }
        let lane = self.lanes.of_mut(part.sender);
        let payload = part.packet.payload;
        let dns = part.packet.source.port() == 53 || part.packet.target.port() == 53;
        let limit = if dns && streams.len() < limits.dns_streams { limits.dns_stream_bytes } else { limits.stream_bytes };
        if std::mem::take(&mut lane.taken) {
            lane.race_held(streams, &mut self.requests, limits, harvest);
        }
        if payload.is_empty() || lane.is_over() {
            return;
        }
        if tcp.syn && !tcp.ack {
            return lane.offer(first, part, streams, limit);
        }
        if part.packet.fragment && !lane.anchored {
            return; // perhaps nobody's, so it must not say where the stream begins
        }
        if lane.start.is_none() && payload == [0] && !dns {
            return; // a keep-alive probe (RFC 9293, 3.8.4) of a connection older than the capture: no part of the stream
        }
        let offset = lane.offset(first, streams);
        if offset.saturating_add(payload.len() as u64) <= lane.done || offset == u64::MAX {
            return; // known
        }
        if part.packet.fragment {
            if !lane.piece(offset, part, streams, limit) {
                lane.give_up(streams, harvest);
            }
            return;
        }
        lane.pass(offset, streams);
        if lane.between {
            // The rest of a request's body does not concern us.
            if offset < lane.done || !http::looks_like_request(payload) {
                return;
            }
            lane.between = false;
            lane.done = offset;
        }
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
            lane.cut_off(streams, harvest);
        }
    }
}

/// Whether this gives a flow a name that no certificate of the server would change: a hello's, unless it may be only the public
/// one, is an address, or has the form that Tor's have, which are known by their certificate.
fn names_for_good(seen: &Observation) -> bool {
    let Observation::Hello(hello) = seen else { return false };
    let Some(name) = hello.name.as_ref().filter(|_| !hello.ech).map(Name::as_str) else { return false };
    let tor = name.strip_prefix("www.").and_then(|rest| rest.strip_suffix(".com")).is_some_and(|middle| !middle.contains(['.', '-']));
    !tor && name.parse::<IpAddr>().is_err()
}
