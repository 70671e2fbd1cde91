//! The evidence behind one row of the table: what named it, what located it, what it counts, each by its packets.
//!
//! Road taken: gathered from the events of an audited engine, so that the sums are the table's own; then told in words, as JSON, and
//! as the list of packets that a capture of the evidence holds. What is kept has a cap, what is summed has none. Road not taken: a
//! second reading of the packets here, which would be another opinion and not the evidence for the first.

pub mod ask;
pub mod captures;
pub(super) mod json;
mod packets;
mod words;

use std::net::IpAddr;
use std::sync::Arc;

use crate::engine::event::{Charge, Detail, DeviceNews, DnsMessage, Ends, Event, Facts, Hit, Located, RecordData, Spot};
use crate::engine::snapshot::{Both, DatabaseRow, DestinationRow, DeviceRow, Kind, Origin, Place, Snapshot, Tally, VERDICTS, Verdict};
use ask::{Key, Meant, Part, key, likeness, nearest};
pub use packets::Deciding;

/// Flows, and frames of none, kept of all rows together: a scan would else fill memory. Sums go on past them.
const MOST: usize = 10_000;
/// DNS answers, facts of the device, watchlist hits and names kept: the same.
const MOST_TOLD: usize = 4_096;

/// What is gathered while the captures are read.
#[derive(Debug)]
pub struct Case {
    device: Arc<str>,
    meant: Meant,
    rows: Vec<Row>,
    kept: usize,
    answers: Vec<Answer>,
    learnt: Vec<Learnt>,
    listed: Vec<Listed>,
    /// Names under the rows, for who misspelt one.
    names: Vec<Arc<str>>,
}

/// One row of the table, and what it is made of.
#[derive(Debug)]
struct Row {
    key: Key,
    flows: Vec<Entry>,
    frames: Vec<Entry>,
    sum: Sum,
    /// Flows and frames that are in the sum and were not kept.
    left_out: u64,
}

/// What a row's flows and frames add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    total: Both,
    flows: u64,
    frames: u64,
    verdicts: [u64; VERDICTS.len()],
}

/// A flow or frame, and what it put on the row.
#[derive(Debug)]
struct Entry {
    first: Spot,
    ends: Option<Ends>,
    charge: Charge,
}

/// A DNS answer to the device.
#[derive(Debug)]
struct Answer {
    by: Spot,
    question: String,
    kind: String,
    /// Aliases on the way, as `alias -> name`.
    aliases: Vec<String>,
}

/// Something that was learnt of the device.
#[derive(Debug)]
struct Learnt {
    what: &'static str,
    value: String,
    by: Spot,
}

/// What a watchlist says of a server.
#[derive(Debug)]
struct Listed {
    hit: Hit,
    name: Option<Arc<str>>,
    server: Option<IpAddr>,
}

/// The evidence, complete.
#[derive(Debug)]
pub struct Explanation {
    device: DeviceRow,
    part: Part,
    /// Each row of the table, the largest first, and what it is made of.
    rows: Vec<(DestinationRow, Row)>,
    answers: Vec<Answer>,
    learnt: Vec<Learnt>,
    listed: Vec<Listed>,
    databases: Vec<DatabaseRow>,
}

/// Flows of one name, or of none.
struct Name<'a> {
    name: Option<&'a str>,
    origin: Origin,
    flows: Vec<&'a Entry>,
}

/// Flows with one server.
struct Server<'a> {
    address: IpAddr,
    flows: Vec<&'a Entry>,
    /// What was made of it with the least handshake.
    location: &'a Located,
}

impl Case {
    /// A case about some rows of a device, given by its label.
    #[must_use]
    pub fn new(device: Arc<str>, meant: Meant) -> Self {
        let row = |key: &Key| Row { key: key.clone(), flows: Vec::new(), frames: Vec::new(), sum: Sum::default(), left_out: 0 };
        let rows = meant.rows.iter().map(row).collect();
        Self { device, meant, rows, kept: 0, answers: Vec::new(), learnt: Vec::new(), listed: Vec::new(), names: Vec::new() }
    }

    /// The device's label.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Takes in an event; most are of others.
    pub fn take(&mut self, event: Event) {
        if event.device != self.device {
            return;
        }
        let by = (event.packet, event.time);
        match event.detail {
            Detail::Charge(charge) => self.charge(Entry { first: by, ends: event.ends, charge: *charge }),
            Detail::Dns { message, .. } if message.response => self.answer(&message, by),
            Detail::Device(news) => self.learn(&news, by),
            Detail::Watchlist(seen) => {
                let seen = Listed { hit: seen.hit, name: seen.name, server: event.ends.map(|ends| ends.server.ip()) };
                let known = |other: &Listed| other.hit == seen.hit && other.name == seen.name && other.server == seen.server;
                if self.listed.len() < MOST_TOLD && !self.listed.iter().any(known) {
                    self.listed.push(seen);
                }
            }
            _ => {}
        }
    }

    /// The evidence, with what the engine knows at the end.
    ///
    /// # Errors
    /// Words that name the nearest there are, when nothing of what was meant was there.
    pub fn close(mut self, asked: &str, snapshot: &Snapshot) -> Result<Explanation, String> {
        let device = snapshot.devices.iter().find(|row| row.id == self.device);
        let device = device.ok_or_else(|| format!("the device {} left the table before the captures ended", self.device))?.clone();
        let mut rows = Vec::new();
        for mut row in self.rows.drain(..).filter(|row| row.sum != Sum::default()) {
            row.flows.sort_by_key(|entry| entry.first.0);
            row.frames.sort_by_key(|entry| entry.first.0);
            let of_table = snapshot.destinations.iter().find(|other| other.device == self.device && key(other) == row.key);
            rows.extend(of_table.map(|of_table| (of_table.clone(), row)));
        }
        if rows.is_empty() {
            let known = self.names.iter().map(|name| (likeness(name, asked), name.to_string()));
            return Err(format!("{} had no flow with `{asked}` in these captures; {}", ask::title(&device), nearest(known)));
        }
        let size = |row: &Row| row.sum.total.transmit.bytes.saturating_add(row.sum.total.receive.bytes);
        rows.sort_by(|a, b| size(&b.1).cmp(&size(&a.1)).then_with(|| a.1.key.cmp(&b.1.key)));
        self.listed.sort_by(|a, b| (&a.hit.ruleset, &a.hit.rule).cmp(&(&b.hit.ruleset, &b.hit.rule)));
        Ok(Explanation {
            device,
            part: self.meant.part,
            rows,
            answers: self.answers,
            learnt: self.learnt,
            listed: self.listed,
            databases: snapshot.databases.clone(),
        })
    }

    fn charge(&mut self, entry: Entry) {
        let charge = &entry.charge;
        let key =
            |row: &Row| *row.key.0 == *charge.destination && (row.key.1, row.key.2, row.key.3) == (charge.origin, charge.place, charge.asn);
        let Some(row) = self.rows.iter_mut().find(|row| key(row)) else { return };
        if let Some(name) = entry.facts().and_then(|facts| facts.name.as_ref())
            && self.names.len() < MOST_TOLD
            && !self.names.contains(name)
        {
            self.names.push(Arc::clone(name));
        }
        if !self.meant.holds(charge, entry.ends.as_ref()) {
            return;
        }
        row.sum.add(charge);
        if self.kept >= MOST {
            row.left_out = row.left_out.saturating_add(1);
            return;
        }
        self.kept = self.kept.saturating_add(1);
        if charge.flow.is_some() { row.flows.push(entry) } else { row.frames.push(entry) }
    }

    /// Keeps an answer that may have named a flow of the rows.
    fn answer(&mut self, message: &DnsMessage, by: Spot) {
        let Some(question) = message.questions.first() else { return };
        let name = question.name.as_str();
        let may_name = |row: &Row| name.strip_suffix(&*row.key.0).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if self.answers.len() >= MOST_TOLD || !self.rows.iter().any(may_name) {
            return;
        }
        let alias = |record: &crate::engine::event::Record| match &record.data {
            RecordData::Name(target) if record.rtype == CNAME => Some(format!("{} -> {}", record.name.as_str(), target.as_str())),
            _ => None,
        };
        self.answers.push(Answer {
            by,
            question: name.to_owned(),
            kind: super::dns::kind(question.qtype).into(),
            aliases: message.answers.iter().filter_map(alias).collect(),
        });
    }

    fn learn(&mut self, news: &DeviceNews, by: Spot) {
        // The maker is told in a line of its own.
        let facts = news.identity.iter().filter(|fact| !matches!(fact.kind, Kind::Vendor | Kind::RandomizedMac));
        let facts = facts.map(|fact| (fact.kind.words(), fact.value.to_string(), (fact.packet, fact.first)));
        let addresses = news.addresses.iter().map(|address| ("address", address.to_string(), by));
        for (what, value, by) in facts.chain(addresses) {
            let known = self.learnt.iter().any(|learnt| learnt.what == what && learnt.value == value);
            if !known && self.learnt.len() < MOST_TOLD {
                self.learnt.push(Learnt { what, value, by });
            }
        }
    }
}

/// CNAME's number (RFC 1035, 3.2.2).
const CNAME: u16 = 5;

impl Sum {
    fn add(&mut self, charge: &Charge) {
        let more = |tally: &mut Tally, some: Tally| {
            tally.packets = tally.packets.saturating_add(some.packets);
            tally.bytes = tally.bytes.saturating_add(some.bytes);
        };
        more(&mut self.total.transmit, charge.total.transmit);
        more(&mut self.total.receive, charge.total.receive);
        match &charge.flow {
            Some(_) => self.flows = self.flows.saturating_add(1),
            None => self.frames = self.frames.saturating_add(1),
        }
        let verdict = match &charge.flow {
            Some(flow) => flow.location.as_ref().map(|location| location.verdict),
            None => (!matches!(charge.place, Place::Local | Place::Multicast)).then_some(Verdict::Unmeasured),
        };
        if let Some(bytes) = verdict.and_then(|verdict| self.verdicts.get_mut(verdict as usize)) {
            *bytes = bytes.saturating_add(charge.total.transmit.bytes).saturating_add(charge.total.receive.bytes);
        }
    }

    /// Whether the table says the same. Of part of a row that is no question.
    fn is(&self, row: &DestinationRow) -> bool {
        self.total == row.total && self.flows == row.flows && self.verdicts == row.verdicts
    }
}

impl Entry {
    fn facts(&self) -> Option<&Facts> {
        self.charge.flow.as_deref()
    }
}

impl Row {
    /// What the watchlists say of its servers.
    fn listed<'a>(&self, all: &'a [Listed]) -> Vec<&'a Hit> {
        let is_theirs = |listed: &&Listed| match &listed.name {
            Some(name) => self.flows.iter().any(|flow| flow.facts().and_then(|facts| facts.name.as_ref()) == Some(name)),
            None => self.flows.iter().any(|flow| flow.ends.map(|ends| ends.server.ip()) == listed.server),
        };
        let mut hits: Vec<&Hit> = all.iter().filter(is_theirs).map(|listed| &listed.hit).collect();
        hits.dedup();
        hits
    }

    /// Its flows by what named them, in the order of the first naming.
    fn names(&self) -> Vec<Name<'_>> {
        let mut names: Vec<Name<'_>> = Vec::new();
        for entry in &self.flows {
            let name = entry.facts().and_then(|facts| facts.name.as_deref());
            match names.iter_mut().find(|other| other.name == name) {
                Some(known) => known.flows.push(entry),
                None => names.push(Name { name, origin: self.key.1, flows: vec![entry] }),
            }
        }
        names
    }

    /// Its flows by the server that they were located by.
    fn servers(&self) -> Vec<Server<'_>> {
        let mut servers: Vec<Server<'_>> = Vec::new();
        for entry in &self.flows {
            let Some((facts, location)) = entry.facts().and_then(|facts| Some((facts, facts.location.as_ref()?))) else { continue };
            match servers.iter_mut().find(|server| server.address == facts.far) {
                Some(server) => {
                    server.flows.push(entry);
                    // The least handshake only falls: who ended last knows most.
                    let rtt = |location: &Located| location.least.map(|least| least.rtt);
                    if server.location.least.is_none() || location.least.is_some() && rtt(location) <= rtt(server.location) {
                        server.location = location;
                    }
                }
                None => servers.push(Server { address: facts.far, flows: vec![entry], location }),
            }
        }
        servers
    }
}

impl Server<'_> {
    /// The packet that asked for the least handshake, where it was one of these flows.
    fn asked(&self) -> Option<Spot> {
        let least = self.location.least?;
        let of = |entry: &&Entry| entry.facts().and_then(|facts| facts.handshake).filter(|(_, answered, _)| answered.0 == least.by.0);
        self.flows.iter().find_map(of).map(|(asked, ..)| asked)
    }
}

impl Explanation {
    fn answer(&self, by: Spot) -> Option<&Answer> {
        self.answers.iter().find(|answer| answer.by.0 == by.0)
    }
}
