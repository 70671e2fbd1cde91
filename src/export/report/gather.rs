//! What only events tell, gathered while the captures are read: full names under each destination, their servers with all witnesses,
//! when they were met, and what of the flows had a name.
//!
//! Road taken: one row for each device, account and full name, with a fixed number of bins over the whole capture whose width doubles
//! when it grows, so that memory has a bound that no capture moves. Road not taken: keeping the flows, of which a day has a million.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::event::{Detail, Event, FlowEnd, Mark as Said, Phase, Timestamp};
use crate::engine::geo::Country;
use crate::engine::snapshot::{Class, Location, Origin, Verdict};

/// Rows kept: a phone that connects to a million names. At most 4 KB each.
const MOST_ROWS: usize = 8_192;
/// Servers told of one row: a name with addresses without end.
const MOST_SERVERS: usize = 16;
/// Associations kept: frames that say that somebody joined can be forged.
const MOST_JOINS: usize = 4_096;
/// Fingerprints counted: hellos can be made with any.
const MOST_PRINTS: usize = 4_096;
/// Devices whose flows are counted: forged MAC addresses.
const MOST_DEVICES: usize = 1_024;
/// Hellos that are counted, and flows of all rows whose time is kept: a device may open a million. 32 bytes each.
const MOST_TIMES: usize = 1 << 19;
/// Marks kept: whoever may set one may set many.
const MOST_MARKS: usize = 1_024;
/// Bins of a timeline.
pub(super) const BINS: usize = 256;

/// What is gathered of all devices.
#[derive(Debug, Default)]
pub struct Gather {
    /// When the first bin begins; none before the first frame.
    pub(super) begin: Option<Timestamp>,
    /// Seconds of a bin: a power of two.
    pub(super) width: u64,
    /// Sorted by key.
    pub(super) rows: Vec<Row>,
    /// Flows that found no row.
    pub(super) untold: u64,
    /// Who joined when, in the order of time.
    pub(super) joins: Vec<(Arc<str>, Timestamp)>,
    /// The marks in the captures, whose devices are not known yet; in the order in which they stand there.
    said: Vec<Said>,
    /// Sorted by device.
    pub(super) flows: Vec<(Arc<str>, Flows)>,
    /// Device, fingerprint (JA4) and when hellos bore it, sorted by the first two.
    pub(super) prints: Vec<(Arc<str>, Arc<str>, Vec<Timestamp>)>,
    /// Hellos so far.
    hellos: usize,
    /// In the order in which they were taken in.
    pub(super) marks: Vec<Mark>,
    /// Flows whose time is kept, and those that found no room.
    pub(super) timed: usize,
    pub(super) untimed: u64,
}

/// Something that was done at the bench: what a person called it, and when.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// When.
    pub time: Timestamp,
    /// What.
    pub label: Arc<str>,
    /// To which device, by its label; none: it holds for all.
    pub device: Option<Arc<str>>,
    /// The phase that begins with it.
    pub phase: Option<Phase>,
}

impl Mark {
    /// Whether it is of a device, given by its label: of it alone, or of all.
    pub(super) fn is_of(&self, device: &str) -> bool {
        self.device.as_deref().is_none_or(|owner| owner == device)
    }
}

/// One flow, as far as its time goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    pub(super) first: Timestamp,
    /// First to last packet, milliseconds.
    pub(super) lasted: u32,
    /// Bytes from the client and from the server.
    pub(super) up: u64,
    pub(super) down: u64,
}

/// Which account a flow was put on, and its own name. The place is that of the account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) device: Arc<str>,
    /// The account's label.
    pub(super) destination: Arc<str>,
    pub(super) origin: Origin,
    pub(super) country: Option<Country>,
    pub(super) asn: Option<u32>,
    pub(super) name: Option<Arc<str>>,
}

/// One name of one device.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) flows: u64,
    pub(super) up: u64,
    pub(super) down: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) category: Option<(&'static str, bool)>,
    pub(super) vendor: Option<Arc<str>>,
    pub(super) servers: Vec<Server>,
    /// Servers that found no room.
    pub(super) more_servers: bool,
    /// Up to the last that holds something.
    pub(super) bins: Vec<Bin>,
    /// Its flows, in the order in which they ended.
    pub(super) times: Vec<Timed>,
}

/// One server of a name, as its last flow left it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: IpAddr,
    pub(super) verdict: Verdict,
    pub(super) location: Location,
}

/// A piece of a timeline.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bin {
    /// Flows that began in it.
    pub(super) begun: u32,
    /// Bytes, both directions; those of a flow spread evenly over its time.
    pub(super) bytes: u64,
}

/// Flows of a device to the outside, once they ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flows {
    /// All but DNS to its port.
    pub(super) outside: u64,
    /// Of these, with servers on the ports of the web (80, 443): those that have a name to show.
    pub(super) web: u64,
    /// Of these, named.
    pub(super) web_named: u64,
    /// Of all, into tunnels and relays.
    pub(super) tunnelled: u64,
    /// Of all, to addresses that have no country: none that a database knows, or many.
    pub(super) placeless: u64,
}

impl Gather {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { width: 1, ..Self::default() }
    }

    /// Takes in the time of a frame; the first one counts.
    pub fn frame(&mut self, time: Timestamp) {
        self.begin.get_or_insert(time);
    }

    /// Takes in a mark.
    pub fn mark(&mut self, mark: Mark) {
        if self.marks.len() < MOST_MARKS {
            self.marks.push(mark);
        }
    }

    /// Takes in an event; most are of no interest.
    pub fn take(&mut self, event: Event) {
        match event.detail {
            Detail::Flow(flow) if flow.verdict.is_some() => {
                let Some(ends) = event.ends else { return };
                self.count(&event.device, &flow, ends.server.port());
                self.flow(event.device, *flow, ends.server.ip());
            }
            Detail::Hello(hello, _) => hello.ja4.iter().for_each(|ja4| self.print(Arc::clone(&event.device), ja4.as_str(), event.time)),
            Detail::Mark(mark) if self.said.len() < MOST_MARKS => self.said.push(*mark),
            Detail::Association if self.joins.len() < MOST_JOINS => self.joins.push((event.device, event.time)),
            _ => {}
        }
    }

    /// Takes in the marks of the captures, when all devices are known: one may be named before its first packet.
    pub fn own_marks(&mut self, label_of: impl Fn(&str) -> Arc<str>) {
        for said in std::mem::take(&mut self.said) {
            let device = said.device.as_ref().map(|words| label_of(words.as_str()));
            self.mark(Mark { time: said.time, label: Arc::from(said.text.as_str()), device, phase: said.phase });
        }
    }

    fn print(&mut self, device: Arc<str>, ja4: &str, time: Timestamp) {
        if self.hellos >= MOST_TIMES {
            return;
        }
        self.hellos = self.hellos.saturating_add(1);
        match self.prints.binary_search_by(|(other, print, _)| (&**other, &**print).cmp(&(&*device, ja4))) {
            Ok(at) => self.prints.get_mut(at).into_iter().for_each(|(.., times)| times.push(time)),
            Err(at) if self.prints.len() < MOST_PRINTS => self.prints.insert(at, (device, Arc::from(ja4), vec![time])),
            Err(_) => {}
        }
    }

    fn count(&mut self, device: &Arc<str>, flow: &FlowEnd, port: u16) {
        let at = match self.flows.binary_search_by(|(other, _)| other.cmp(device)) {
            Ok(at) => at,
            Err(_) if self.flows.len() >= MOST_DEVICES => return,
            Err(at) => {
                self.flows.insert(at, (Arc::clone(device), Flows::default()));
                at
            }
        };
        let Some((_, flows)) = self.flows.get_mut(at) else { return };
        let named = !matches!(flow.origin, Origin::None | Origin::Ech);
        let tunnel = is_tunnel(flow.class);
        let asks = port == 53 && !tunnel; // a resolver, often in many places at once, is not where the data goes
        for (count, holds) in [
            (&mut flows.outside, !asks),
            (&mut flows.web, matches!(port, 80 | 443)),
            (&mut flows.web_named, matches!(port, 80 | 443) && named),
            (&mut flows.tunnelled, tunnel),
            (&mut flows.placeless, !tunnel && !asks && (flow.place.country.is_none() || flow.place.anycast)),
        ] {
            *count = count.saturating_add(u64::from(holds));
        }
    }

    fn flow(&mut self, device: Arc<str>, flow: FlowEnd, server: IpAddr) {
        let destination = match (&flow.domain, &flow.name, flow.place.asn) {
            (Some(label), ..) | (None, Some(label), _) => Arc::clone(label),
            (None, None, Some(asn)) => Arc::from(format!("AS{asn}")),
            (None, None, None) => Arc::from("unknown"),
        };
        let key = Key {
            device,
            destination,
            origin: flow.origin,
            country: flow.place.country,
            asn: flow.place.asn,
            name: flow.name.as_ref().map(Arc::clone),
        };
        let at = match self.rows.binary_search_by(|row| row.key.cmp(&key)) {
            Ok(at) => at,
            Err(_) if self.rows.len() >= MOST_ROWS => {
                self.untold = self.untold.saturating_add(1);
                return;
            }
            Err(at) => {
                self.rows.insert(at, Row::new(key, &flow));
                at
            }
        };
        let last = flow.first.plus(flow.duration);
        while self.bin(last).is_some_and(|bin| bin >= BINS) {
            self.widen();
        }
        let span = self.bin(flow.first).zip(self.bin(last));
        let room = self.timed < MOST_TIMES;
        self.timed = self.timed.saturating_add(usize::from(room));
        self.untimed = self.untimed.saturating_add(u64::from(!room));
        if let Some(row) = self.rows.get_mut(at) {
            if room {
                row.times.push(Timed::of(&flow));
            }
            row.add(flow, server, last, span);
        }
    }

    /// The number of the bin that a moment lies in.
    fn bin(&self, time: Timestamp) -> Option<usize> {
        let after = time.since(self.begin?).as_secs();
        usize::try_from(after.checked_div(self.width)?).ok()
    }

    fn widen(&mut self) {
        self.width = self.width.saturating_mul(2);
        for row in &mut self.rows {
            row.bins = row.bins.chunks(2).map(|pair| pair.iter().fold(Bin::default(), |sum, bin| sum.with(*bin))).collect();
        }
    }
}

/// Whether the far side of such flows only passes on.
pub(super) fn is_tunnel(class: Class) -> bool {
    matches!(class, Class::Relay | Class::Wireguard | Class::Openvpn | Class::Ipsec | Class::Vpn | Class::Tor)
}

impl Row {
    fn new(key: Key, flow: &FlowEnd) -> Self {
        Self {
            key,
            flows: 0,
            up: 0,
            down: 0,
            first: flow.first,
            last: flow.first,
            category: None,
            vendor: None,
            servers: Vec::new(),
            more_servers: false,
            bins: Vec::new(),
            times: Vec::new(),
        }
    }

    fn add(&mut self, flow: FlowEnd, server: IpAddr, last: Timestamp, span: Option<(usize, usize)>) {
        self.flows = self.flows.saturating_add(1);
        self.up = self.up.saturating_add(flow.client.bytes);
        self.down = self.down.saturating_add(flow.server.bytes);
        self.first = self.first.min(flow.first);
        self.last = self.last.max(last);
        if let Some(service) = &flow.service {
            self.category = self.category.or(Some((service.category.as_str(), service.ambiguous)));
            self.vendor = self.vendor.take().or_else(|| service.vendor.clone());
        }
        if let (Some(location), Some(verdict)) = (flow.location, flow.verdict) {
            let told = Server { address: server, verdict, location };
            match self.servers.binary_search_by(|other| other.address.cmp(&server)) {
                Ok(at) => self.servers.get_mut(at).into_iter().for_each(|known| known.learn(&told)),
                Err(at) if self.servers.len() < MOST_SERVERS => self.servers.insert(at, told),
                Err(_) => self.more_servers = true,
            }
        }
        if let Some((from, to)) = span {
            self.spread(flow.client.bytes.saturating_add(flow.server.bytes), from, to.min(BINS.saturating_sub(1)));
        }
    }

    /// Bytes over bins; what does not divide goes to the first.
    fn spread(&mut self, bytes: u64, from: usize, to: usize) {
        if self.bins.len() <= to {
            self.bins.resize(to.saturating_add(1), Bin::default());
        }
        let bins = (to.saturating_sub(from) as u64).saturating_add(1);
        let (each, rest) = (bytes / bins, bytes % bins);
        for (at, bin) in self.bins.iter_mut().enumerate().skip(from) {
            let more = if at == from { rest } else { 0 };
            *bin = bin.with(Bin { begun: u32::from(at == from), bytes: each.saturating_add(more) });
        }
    }
}

impl Timed {
    fn of(flow: &FlowEnd) -> Self {
        Self {
            first: flow.first,
            lasted: u32::try_from(flow.duration.as_millis()).unwrap_or(u32::MAX),
            up: flow.client.bytes,
            down: flow.server.bytes,
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.up.saturating_add(self.down)
    }

    pub(super) fn last(&self) -> Timestamp {
        self.first.plus(Duration::from_millis(u64::from(self.lasted)))
    }
}

impl Server {
    /// The later word is the better founded: the least handshake can only have become less.
    fn learn(&mut self, told: &Self) {
        if told.verdict >= self.verdict {
            self.verdict = told.verdict;
            self.location = told.location.clone();
        }
    }
}

impl Bin {
    pub(super) fn with(self, other: Self) -> Self {
        Self { begun: self.begun.saturating_add(other.begun), bytes: self.bytes.saturating_add(other.bytes) }
    }
}
