//! The evidence as JSON: the same as in words, all of it, with stable field names.

use std::borrow::Cow;

use serde::Serialize;

use super::captures::Captures;
use super::{Entry, Explanation, Name, Part, Row, Server};
use crate::engine::event::{Hit, Spot, Told};
use crate::engine::snapshot::{DestinationRow, VERDICTS};
use crate::export::events::nanos;
use crate::export::json::{Counts, Database, Destination, Device, Place, Total};
use crate::export::line;
use crate::export::{ATTRIBUTION, VERSION, rfc3339};

impl Explanation {
    /// The evidence as one object on one line, every flow that was kept among it.
    #[must_use]
    pub fn json(&self, captures: &Captures) -> String {
        let packet = |spot| Packet::of(spot, captures);
        let told = Page {
            whither: VERSION,
            files: captures.names().collect(),
            device: Device::from(&self.device),
            learnt: self.learnt.iter().map(|fact| Fact { what: fact.what, value: &fact.value, by: packet(fact.by) }).collect(),
            part: match &self.part {
                Part::All => None,
                Part::Name(name) => Some(name.clone()),
                Part::Address(address) => Some(address.to_string()),
            },
            databases: self.databases.iter().map(Database::from).collect(),
            attribution: ATTRIBUTION,
            rows: self.found(captures, usize::MAX),
        };
        // Plain structs of text and numbers always serialise.
        serde_json::to_string(&told).unwrap_or_default()
    }

    /// The page `/api/v1/evidence`: at most `most` flows, frames, servers and namings of each row.
    pub(in crate::export) fn page(&self, captures: &Captures, most: usize, generation: &str) -> String {
        let packet = |spot| Packet::of(spot, captures);
        let told = Shown {
            generation,
            source: "captures",
            downloads: true,
            words: None,
            attribution: ATTRIBUTION,
            databases: self.databases.iter().map(Database::from).collect(),
            files: captures.names().collect(),
            device: Device::from(&self.device),
            learnt: self.learnt.iter().map(|fact| Fact { what: fact.what, value: &fact.value, by: packet(fact.by) }).collect(),
            rows: self.found(captures, most),
        };
        // Plain structs of text and numbers always serialise.
        serde_json::to_string(&told).unwrap_or_default()
    }

    fn found<'a>(&'a self, captures: &'a Captures, most: usize) -> Vec<Found<'a>> {
        let found = |(of_table, row): &'a (DestinationRow, Row)| Found {
            row: Destination::from(of_table),
            listed: row.listed(&self.listed).into_iter().map(Listed::from).collect(),
            sum: Total::from(&row.sum.total),
            sum_flows: row.sum.flows,
            sum_frames: row.sum.frames,
            sum_location_bytes: Counts(VERDICTS.iter().map(|verdict| verdict.as_str()).zip(row.sum.verdicts).collect()),
            is_the_row: matches!(self.part, Part::All) && row.sum.is(of_table),
            left_out: row
                .left_out
                .saturating_add([&row.flows, &row.frames].map(|kept| kept.len().saturating_sub(most) as u64).iter().sum()),
            named: row.names().iter().take(most).map(|name| self.named(name, captures, most)).collect(),
            located: row.servers().iter().take(most).map(|server| located(server, captures)).collect(),
            counted: row.flows.iter().take(most).map(|entry| counted(entry, captures)).collect(),
            frames: row.frames.iter().take(most).map(|frame| Packet::of(frame.first, captures)).collect(),
        };
        self.rows.iter().map(found).collect()
    }

    fn named<'a>(&'a self, name: &Name<'a>, captures: &'a Captures, most: usize) -> Named<'a> {
        let mut by: Vec<Spot> = name.flows.iter().filter_map(|flow| flow.facts()?.named).collect();
        by.sort_unstable_by_key(|spot| spot.0);
        by.dedup_by_key(|spot| spot.0);
        let told =
            |by: Spot| name.flows.iter().flat_map(|flow| flow.facts()).flat_map(|facts| &facts.answers).find(|told| told.by.0 == by.0);
        let answer = |by: Spot| {
            let told: &Told = told(by)?;
            let answer = self.answer(by);
            Some(Answer {
                question: answer.map(|answer| answer.question.as_str()),
                kind: answer.map(|answer| answer.kind.as_str()),
                aliases: answer.map(|answer| answer.aliases.as_slice()).unwrap_or_default(),
                ttl: told.ttl.as_secs(),
            })
        };
        let mut others: Vec<&str> = name
            .flows
            .iter()
            .flat_map(|flow| flow.facts())
            .flat_map(|facts| &facts.answers)
            .map(|told| &*told.name)
            .filter(|other| Some(*other) != name.name)
            .collect();
        others.sort_unstable();
        others.dedup();
        Named {
            name: name.name,
            origin: name.origin.as_str(),
            flows: name.flows.len(),
            by: by.into_iter().take(most).map(|spot| Naming { packet: Packet::of(spot, captures), dns: answer(spot) }).collect(),
            others,
        }
    }
}

fn located<'a>(server: &Server<'a>, captures: &'a Captures) -> Located<'a> {
    let least = server.location.least;
    Located {
        address: server.address.to_string(),
        flows: server.flows.len(),
        verdict: server.location.verdict.as_str(),
        words: server.location.words.as_str().into(),
        witnesses: Place::from(&server.location.witnesses),
        handshakes: least.map(|least| least.handshakes),
        rtt_ns: least.map(|least| nanos(least.rtt)),
        asked: server.asked().map(|spot| Packet::of(spot, captures)),
        answered: least.map(|least| Packet::of(least.by, captures)),
    }
}

fn counted<'a>(entry: &'a Entry, captures: &'a Captures) -> Counted<'a> {
    let facts = entry.facts();
    Counted {
        first: Packet::of(entry.first, captures),
        last: Packet::of(entry.charge.last, captures),
        transport: entry.ends.map(|ends| line::transport(ends.protocol).into_owned()),
        client: entry.ends.map(|ends| ends.client.to_string()),
        server: entry.ends.map(|ends| ends.server.to_string()),
        name: facts.and_then(|facts| facts.name.as_deref()),
        visibility: facts.map(|facts| facts.class.as_str()),
        location_verdict: facts.and_then(|facts| facts.location.as_ref()).map(|location| location.verdict.as_str()),
        rtt_ns: facts.and_then(|facts| facts.handshake).map(|(.., rtt)| nanos(rtt)),
        total: Total::from(&entry.charge.total),
    }
}

#[derive(Serialize)]
struct Page<'a> {
    whither: &'static str,
    files: Vec<&'a str>,
    device: Device<'a>,
    learnt: Vec<Fact<'a>>,
    /// The name or address that was asked for, where it is less than whole rows.
    part: Option<String>,
    databases: Vec<Database<'a>>,
    attribution: &'static str,
    rows: Vec<Found<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    generation: &'a str,
    source: &'static str,
    downloads: bool,
    words: Option<&'static str>,
    attribution: &'static str,
    databases: Vec<Database<'a>>,
    files: Vec<&'a str>,
    device: Device<'a>,
    learnt: Vec<Fact<'a>>,
    rows: Vec<Found<'a>>,
}

#[derive(Serialize)]
pub(in crate::export) struct Found<'a> {
    pub(in crate::export) row: Destination<'a>,
    pub(in crate::export) listed: Vec<Listed<'a>>,
    pub(in crate::export) sum: Total,
    pub(in crate::export) sum_flows: u64,
    pub(in crate::export) sum_frames: u64,
    pub(in crate::export) sum_location_bytes: Counts,
    pub(in crate::export) is_the_row: bool,
    pub(in crate::export) left_out: u64,
    pub(in crate::export) named: Vec<Named<'a>>,
    pub(in crate::export) located: Vec<Located<'a>>,
    pub(in crate::export) counted: Vec<Counted<'a>>,
    pub(in crate::export) frames: Vec<Packet<'a>>,
}

#[derive(Serialize)]
pub(in crate::export) struct Packet<'a> {
    pub(in crate::export) file: &'a str,
    pub(in crate::export) packet: u64,
    pub(in crate::export) time: String,
}

impl<'a> Packet<'a> {
    fn of(spot: Spot, captures: &'a Captures) -> Self {
        let place = captures.place(spot.0);
        Self { file: place.file, packet: place.packet, time: rfc3339(spot.1.as_nanos(), 9) }
    }
}

#[derive(Serialize)]
pub(in crate::export) struct Fact<'a> {
    pub(in crate::export) what: &'static str,
    pub(in crate::export) value: &'a str,
    pub(in crate::export) by: Packet<'a>,
}

#[derive(Serialize)]
pub(in crate::export) struct Listed<'a> {
    pub(in crate::export) rule: &'a str,
    pub(in crate::export) ruleset: &'a str,
    pub(in crate::export) category: &'static str,
    pub(in crate::export) vendor: Option<&'a str>,
}

impl<'a> From<&'a Hit> for Listed<'a> {
    fn from(hit: &'a Hit) -> Self {
        Self { rule: &hit.rule, ruleset: &hit.ruleset, category: hit.category.as_str(), vendor: hit.vendor.as_deref() }
    }
}

#[derive(Serialize)]
pub(in crate::export) struct Named<'a> {
    pub(in crate::export) name: Option<&'a str>,
    pub(in crate::export) origin: &'static str,
    pub(in crate::export) flows: usize,
    pub(in crate::export) by: Vec<Naming<'a>>,
    /// Other names that DNS gave for the same addresses.
    pub(in crate::export) others: Vec<&'a str>,
}

#[derive(Serialize)]
pub(in crate::export) struct Naming<'a> {
    #[serde(flatten)]
    pub(in crate::export) packet: Packet<'a>,
    pub(in crate::export) dns: Option<Answer<'a>>,
}

#[derive(Serialize)]
pub(in crate::export) struct Answer<'a> {
    pub(in crate::export) question: Option<&'a str>,
    #[serde(rename = "type")]
    pub(in crate::export) kind: Option<&'a str>,
    pub(in crate::export) aliases: &'a [String],
    pub(in crate::export) ttl: u64,
}

#[derive(Serialize)]
pub(in crate::export) struct Located<'a> {
    pub(in crate::export) address: String,
    pub(in crate::export) flows: usize,
    pub(in crate::export) verdict: &'static str,
    pub(in crate::export) words: Cow<'a, str>,
    pub(in crate::export) witnesses: Place<'a>,
    pub(in crate::export) handshakes: Option<u32>,
    pub(in crate::export) rtt_ns: Option<u64>,
    pub(in crate::export) asked: Option<Packet<'a>>,
    pub(in crate::export) answered: Option<Packet<'a>>,
}

#[derive(Serialize)]
pub(in crate::export) struct Counted<'a> {
    pub(in crate::export) first: Packet<'a>,
    pub(in crate::export) last: Packet<'a>,
    pub(in crate::export) transport: Option<String>,
    pub(in crate::export) client: Option<String>,
    pub(in crate::export) server: Option<String>,
    pub(in crate::export) name: Option<&'a str>,
    pub(in crate::export) visibility: Option<&'static str>,
    pub(in crate::export) location_verdict: Option<&'static str>,
    pub(in crate::export) rtt_ns: Option<u64>,
    #[serde(flatten)]
    pub(in crate::export) total: Total,
}
