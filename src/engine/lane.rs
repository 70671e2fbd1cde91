//! One direction of what is being read: where its bytes begin, how far they are read, and which of [`DISSECTORS`] may still know
//! what they are.

use crate::dissect::observation::{ClientHello, Observation};
use crate::dissect::starttls::Upgrade;
use crate::dissect::{DISSECTORS, Dissector, Over, Verdict, dns, http, starttls, tls};
use crate::engine::flow::Side;
use crate::engine::limits::Limits;
use crate::engine::stream::Stream;
use crate::engine::table::{Id, Table};
use crate::packet::{Datagram, TCP, Timestamp};

/// Streams with bytes in them, by flow and sender.
pub(super) type Streams = Table<(Id, Side), Stream>;

/// A segment this far before the first one that was seen still moves the beginning; no packet carries more.
const MAX_SHIFT: u32 = 65_536;

/// Messages of DNS in a row that cannot be read and are stepped over. One of them would hide all behind it; a tunnel on port 53 whose
/// frames have a length too would be read for ever.
const MAX_UNREAD: u8 = 64;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// TCP: the sequence number of offset 0.
    pub(super) start: Option<u32>,
    /// The server's SYN was seen, which acknowledges the client's, so `start` is the true beginning. A client's SYN alone proves
    /// nothing: another number in a second one would put the hello where it is not looked for.
    pub(super) anchored: bool,
    /// Dissectors still in the race, one bit each.
    pub(super) racing: u16,
    /// Where reading goes on.
    pub(super) done: u64,
    /// Bytes that must be there before asking again.
    pub(super) need: usize,
    /// DNS, once there was a message of it: how many in a row could not be read.
    pub(super) unread: Option<u8>,
    /// What is held, if anything is.
    pub(super) stream: Option<Id>,
    /// An HTTP connection between two requests.
    pub(super) between: bool,
    /// Text comes first, and TLS may follow.
    pub(super) text: bool,
    /// The server took what came in the SYN, which is read at the sender's next segment.
    pub(super) taken: bool,
    /// Where a request is held behind a hole, and whether the other side has it: then what is missing was not captured.
    behind: Option<(u64, bool)>,
    /// What follows what is held was not captured.
    cut: bool,
    /// Something was seen in it.
    told: bool,
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

impl Lane {
    /// One direction of a flow with this packet's ports, of which nothing is read yet.
    pub(super) fn of(packet: &Datagram<'_>) -> Self {
        let over = if packet.protocol == TCP { Over::Stream } else { Over::Datagram };
        let (source, target) = (packet.source.port(), packet.target.port());
        let text = over == Over::Stream && [source, target].iter().any(|port| starttls::PORTS.contains(port));
        Self { racing: race(over, source, target), text, ..Self::default() }
    }

    /// Whether nobody reads on.
    pub(super) fn is_over(&self) -> bool {
        self.racing == 0
    }

    /// Whether the next bytes are waited for.
    pub(super) fn wants_more(&self) -> bool {
        self.racing != 0 && !self.between
    }

    fn races(&self, dissectors: u16) -> bool {
        self.racing & dissectors != 0
    }

    /// The stream begins at a sequence number: the server's SYN says so. What came before it is an older connection's, or junk that no
    /// server took, so everybody is in the race again; unless something was told, which would be told twice. Once anchored, what came
    /// is the stream's, and no other SYN takes it away (RFC 5961, 4.2).
    pub(super) fn begin(&mut self, start: u32, packet: &Datagram<'_>, streams: &mut Streams) {
        let stands = self.done != 0 || self.stream.is_some() || self.start == Some(start);
        if self.told || self.anchored && stands {
            return;
        }
        if let (Some(before), Some(stream)) = (self.start, self.stream.and_then(|id| streams.get_mut(id))) {
            let taken = start.wrapping_sub(before);
            // More than is held of it where a snap length cut the SYN.
            if (1..=MAX_SHIFT).contains(&taken) && !stream.supposed().is_empty() && stream.end() == 0 {
                stream.confirm(taken as usize);
                (self.anchored, self.taken) = (true, true);
                return;
            }
        }
        self.let_go(streams);
        *self = Self { start: Some(start), anchored: true, ..Self::of(packet) };
    }

    /// What a SYN carries (RFC 7413): held until the server's SYN says how much of it was taken. Without a cookie of the server's
    /// nothing is, and what follows at its place is the stream. Where no such answer is seen, it is read when nothing else is.
    pub(super) fn offer(&mut self, start: u32, part: Part<'_>, streams: &mut Streams, limit: usize) {
        if self.told || self.anchored {
            return; // an open connection takes nothing of a SYN (RFC 5961, 4.2)
        }
        let held = self.stream.and_then(|id| streams.get(id)).is_some_and(|stream| !stream.supposed().is_empty());
        if self.start != Some(start) || !held {
            self.let_go(streams);
            *self = Self { start: Some(start), ..Self::of(part.packet) };
        }
        if !self.suppose(part, streams, limit) {
            self.let_go(streams);
        }
    }

    /// The first of several fragments. Whoever sends no more of them sends a decoy, which no TCP ever gets to see (RFC 1122, 3.3.2): what
    /// comes whole at its place is read instead, and where nothing does, it is told in the end. False when the stream must be given up.
    pub(super) fn piece(&mut self, offset: u64, part: Part<'_>, streams: &mut Streams, limit: usize) -> bool {
        self.between || offset != self.end(streams) || self.suppose(part, streams, limit)
    }

    /// Where the next byte is expected.
    fn end(&self, streams: &Streams) -> u64 {
        self.stream.and_then(|id| streams.get(id)).map_or(self.done, Stream::end)
    }

    /// Keeps what a packet says comes next, of which nobody knows whether it was taken; false when the stream must be given up.
    fn suppose(&mut self, part: Part<'_>, streams: &mut Streams, limit: usize) -> bool {
        self.gather(part, streams).is_some_and(|stream| stream.suppose(part.packet.payload, limit))
    }

    /// The other side has everything before a sequence number. What is missing here of that was not captured, and nobody sends it again
    /// (RFC 9293, 3.8): a request behind it speaks for itself. One that the other side does not have may be a decoy.
    #[inline]
    pub(super) fn acknowledge(&mut self, number: u32) {
        if let (Some(start), Some((offset, acknowledged))) = (self.start, &mut self.behind) {
            *acknowledged |= (*offset + 1..1 << 31).contains(&u64::from(number.wrapping_sub(start)));
        }
    }

    /// Whether a request is to be read behind what was not captured, with the next segment.
    pub(super) fn goes_on_behind(&self) -> bool {
        matches!(self.behind, Some((_, true)))
    }

    /// Goes on behind what was not captured, unless that came meanwhile.
    pub(super) fn go_on_behind(&mut self, streams: &mut Streams, requests: &mut u8, limits: &Limits, harvest: &mut Harvest) {
        let Some((behind, _)) = self.behind.take_if(|(_, acknowledged)| *acknowledged) else { return };
        let Some(stream) = self.stream.and_then(|id| streams.get_mut(id)).filter(|stream| stream.end() < behind) else { return };
        self.conclude(stream, harvest);
        stream.skip_to(behind);
        (self.done, self.need, self.racing) = (behind, 0, HTTP);
        self.race_held(streams, requests, limits, harvest);
    }

    /// Where in the stream a sequence number is; a segment before the first one that was seen moves the beginning.
    pub(super) fn offset(&mut self, seq: u32, streams: &mut Streams) -> u64 {
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
    pub(super) fn hold(&mut self, part: Part<'_>, streams: &mut Streams, limit: usize, offset: u64, bytes: &[u8]) -> bool {
        let anchored = self.anchored;
        let Some(stream) = self.gather(part, streams) else { return false };
        // Whether a SYN's payload was taken decides where reading goes on: what is sent behind it meanwhile only fills the stream.
        let waits = !anchored && !stream.supposed().is_empty() && offset > stream.end();
        let held = waits || stream.push(offset, bytes, limit);
        let (end, early) = (stream.end(), stream.is_early(offset));
        if early
            && self.races(HTTP)
            && http::looks_like_request(bytes)
            && self.behind.is_none_or(|(known, _)| known <= end || offset < known)
        {
            self.behind = Some((offset, false));
        }
        held
    }

    /// The stream to keep a packet's bytes in.
    fn gather<'a>(&mut self, part: Part<'_>, streams: &'a mut Streams) -> Option<&'a mut Stream> {
        let id = match self.stream.filter(|id| streams.get(*id).is_some()) {
            Some(id) => id,
            None => {
                // A table full of unfinished handshakes: the oldest makes room. The pieces of a true one follow each other at once,
                // so it is read before thousands of forged ones have come after it.
                streams.make_room(part.now, |_, _| true);
                let mut stream = Stream::default();
                stream.skip_to(self.done);
                streams.insert((part.flow, part.sender), stream, part.now)?
            }
        };
        self.stream = Some(id);
        streams.touch(id, part.now);
        streams.get_mut(id)
    }

    /// Shows what is held to the dissectors, once there is enough of it.
    pub(super) fn race_held(&mut self, streams: &mut Streams, requests: &mut u8, limits: &Limits, harvest: &mut Harvest) {
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
    pub(super) fn race(&mut self, bytes: &[u8], requests: &mut u8, limits: &Limits, harvest: &mut Harvest) -> usize {
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
        let may_come_back = *requests > 0 && self.races(HTTP) || !self.anchored;
        for (mask, dissector) in among(self.racing) {
            let verdict = match (dissector.read)(rest) {
                Verdict::NotMine if mask == DNS && self.unread.is_some() => dns::unreadable(rest),
                verdict => verdict,
            };
            match verdict {
                Verdict::NotMine | Verdict::Carries(_) => self.racing &= !mask,
                Verdict::NeedMore(more) => need = need.min(more),
                Verdict::Malformed(reason) => {
                    harvest.malformed = Some((dissector.name, reason));
                    if mask == DNS && self.steps_over() {
                        self.racing = mask;
                        return Some(dns::end(rest));
                    }
                    self.racing &= !mask;
                }
                Verdict::Saw { seen, used, more } => {
                    self.racing = if more { mask } else { 0 };
                    self.unread = (mask == DNS).then_some(0);
                    if matches!(&seen, Observation::Request(request) if request.method.as_str() == "CONNECT") {
                        self.racing |= TLS; // what goes through the tunnel
                    }
                    harvest.seen.push((dissector.name, seen));
                    self.told = true;
                    if mask == HTTP {
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
            self.racing = HTTP;
            self.between = true;
            self.need = 0;
            return None;
        }
        self.need = if need == usize::MAX { 0 } else { need };
        None
    }

    /// Whether one more message of DNS that cannot be read is stepped over.
    fn steps_over(&mut self) -> bool {
        let unread = self.unread.unwrap_or(0).saturating_add(1);
        self.unread = Some(unread);
        unread <= MAX_UNREAD
    }

    /// Stops gathering: what half a message says already is told, and a later request may still be read.
    pub(super) fn give_up(&mut self, streams: &mut Streams, harvest: &mut Harvest) {
        if let Some(stream) = self.stream.and_then(|id| streams.get(id)) {
            self.conclude(stream, harvest);
        }
        self.stop(streams);
    }

    /// The rest of a packet was not captured: what half a message says already is told. Where that is nothing, it may come again whole.
    pub(super) fn cut_off(&mut self, streams: &mut Streams, harvest: &mut Harvest) {
        let before = harvest.seen.len();
        if let Some(stream) = self.stream.and_then(|id| streams.get(id)) {
            self.conclude(stream, harvest);
        }
        self.cut = self.stream.is_some() && harvest.seen.len() == before;
        if !self.cut {
            self.stop(streams);
        }
    }

    /// Bytes come at an offset: if they lie behind what was not captured, that did not come again, and nothing is gathered any more.
    pub(super) fn pass(&mut self, offset: u64, streams: &mut Streams) {
        if self.cut {
            self.cut = false;
            if offset > self.end(streams) {
                self.stop(streams);
            }
        }
    }

    /// A missing segment hides what it held; a later request on the same connection still speaks for itself.
    fn stop(&mut self, streams: &mut Streams) {
        self.between = self.races(HTTP);
        self.racing = if self.between { HTTP } else { 0 };
        self.let_go(streams);
    }

    /// Tells what is held, since no more of it will come: what half a message says already, or a whole one that was only supposed.
    pub(super) fn conclude(&mut self, stream: &Stream, harvest: &mut Harvest) {
        let before = harvest.seen.len();
        let bytes = [stream.ready(), stream.supposed()].concat();
        let whole =
            among(self.racing).filter(|_| !stream.supposed().is_empty()).find_map(|(_, dissector)| match (dissector.read)(&bytes) {
                Verdict::Saw { seen, .. } => Some((dissector.name, seen)),
                _ => None,
            });
        if whole.is_some() {
            harvest.seen.extend(whole);
        } else {
            if self.races(TLS) {
                harvest.seen.extend(tls::partial(&bytes).map(|hello| ("tls", seen(hello))));
            }
            if self.races(HTTP) {
                harvest.seen.extend(http::partial(&bytes).map(|request| ("http", Observation::Request(Box::new(request)))));
            }
        }
        self.told |= harvest.seen.len() > before;
    }

    /// Holds nothing any more.
    pub(super) fn let_go(&mut self, streams: &mut Streams) {
        self.behind = None;
        if let Some(id) = self.stream.take() {
            streams.take(id);
        }
    }
}

/// A hello as an observation.
pub(super) fn seen(hello: ClientHello) -> Observation {
    Observation::Hello(Box::new(hello))
}

/// The dissectors that may know what a flow between two ports says, one bit each.
fn race(over: Over, source: u16, target: u16) -> u16 {
    let readers = if over == Over::Stream { SETS.stream } else { SETS.all & !SETS.stream };
    let limited = PORTS.iter().filter(|(port, _)| *port == source || *port == target).fold(0, |set, (_, bit)| set | bit);
    readers & (!LIMITED | limited)
}

/// The ports that dissectors are limited to, with their bits, made once.
const PORTS: [(u16, u16); LIMITS] = {
    let mut table = [(0, 0); LIMITS];
    let mut free: &mut [(u16, u16)] = &mut table;
    let (mut rows, mut bit): (&[Dissector], u16) = (&DISSECTORS, 1);
    while let [row, rest @ ..] = rows {
        let mut ports = row.ports;
        while let [port, more @ ..] = ports {
            let [slot, left @ ..] = free else { break };
            *slot = (*port, bit);
            (ports, free) = (more, left);
        }
        bit <<= 1;
        rows = rest;
    }
    table
};

/// How many there are.
const LIMITS: usize = {
    let (mut rows, mut count): (&[Dissector], usize) = (&DISSECTORS, 0);
    while let [row, rest @ ..] = rows {
        count += row.ports.len();
        rows = rest;
    }
    count
};

/// The dissectors of a set, each with its bit.
pub(super) fn among(mut set: u16) -> impl Iterator<Item = (u16, &'static Dissector)> {
    std::iter::from_fn(move || {
        let bit = set & set.wrapping_neg();
        let dissector = DISSECTORS.get(usize::try_from(set.trailing_zeros()).ok()?)?;
        set &= !bit;
        Some((bit, dissector))
    })
}

/// Sets of [`DISSECTORS`], a bit for each row, made once: names compared for each segment cost more than most segments.
struct Sets {
    http: u16,
    tls: u16,
    certificate: u16,
    /// DNS over TCP.
    dns: u16,
    /// Those that read streams.
    stream: u16,
    /// Those limited to some ports.
    limited: u16,
    all: u16,
}

const SETS: Sets = sets();
const HTTP: u16 = SETS.http;
const TLS: u16 = SETS.tls;
const DNS: u16 = SETS.dns;
/// What names a TLS server by its certificate.
pub(super) const CERTIFICATE: u16 = SETS.certificate;
/// Those limited to some ports.
pub(super) const LIMITED: u16 = SETS.limited;

const fn sets() -> Sets {
    let mut sets = Sets { http: 0, tls: 0, certificate: 0, dns: 0, stream: 0, limited: 0, all: 0 };
    let mut rows: &[Dissector] = &DISSECTORS;
    let mut bit: u16 = 1;
    while let [row, rest @ ..] = rows {
        match row.name.as_bytes() {
            b"http" => sets.http |= bit,
            b"tls" => sets.tls |= bit,
            b"certificate" => sets.certificate |= bit,
            b"dns" if matches!(row.over, Over::Stream) => sets.dns |= bit,
            _ => {}
        }
        if matches!(row.over, Over::Stream) {
            sets.stream |= bit;
        }
        if !row.ports.is_empty() {
            sets.limited |= bit;
        }
        sets.all |= bit;
        bit <<= 1;
        rows = rest;
    }
    sets
}
