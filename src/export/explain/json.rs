//! The evidence as JSON: the same as in words, all of it, with stable field names.

use serde::Serialize;

use super::captures::Captures;
use super::{Entry, Explanation, Name, Part, Row, Server};
use crate::engine::event::{Hit, Spot, Told};
use crate::engine::snapshot::VERDICTS;
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
            rows: self
                .rows
                .iter()
                .map(|(of_table, row)| Found {
                    row: Destination::from(of_table),
                    listed: row.listed(&self.listed).into_iter().map(Listed::from).collect(),
                    sum: Total::from(&row.sum.total),
                    sum_flows: row.sum.flows,
                    sum_frames: row.sum.frames,
                    sum_location_bytes: Counts(VERDICTS.iter().map(|verdict| verdict.as_str()).zip(row.sum.verdicts).collect()),
                    is_the_row: matches!(self.part, Part::All) && row.sum.is(of_table),
                    left_out: row.left_out,
                    named: row.names().iter().map(|name| self.named(name, captures)).collect(),
                    located: row.servers().iter().map(|server| located(server, captures)).collect(),
                    counted: row.flows.iter().map(|entry| counted(entry, captures)).collect(),
                    frames: frames(row, captures),
                })
                .collect(),
        };
        // Plain structs of text and numbers always serialise.
        serde_json::to_string(&told).unwrap_or_default()
    }

    fn named<'a>(&'a self, name: &Name<'a>, captures: &'a Captures) -> Named<'a> {
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
            by: by.into_iter().map(|spot| Naming { packet: Packet::of(spot, captures), dns: answer(spot) }).collect(),
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
        words: &server.location.words,
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

fn frames<'a>(row: &Row, captures: &'a Captures) -> Vec<Packet<'a>> {
    row.frames.iter().map(|frame| Packet::of(frame.first, captures)).collect()
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
struct Found<'a> {
    row: Destination<'a>,
    listed: Vec<Listed<'a>>,
    sum: Total,
    sum_flows: u64,
    sum_frames: u64,
    sum_location_bytes: Counts,
    is_the_row: bool,
    left_out: u64,
    named: Vec<Named<'a>>,
    located: Vec<Located<'a>>,
    counted: Vec<Counted<'a>>,
    frames: Vec<Packet<'a>>,
}

#[derive(Serialize)]
struct Packet<'a> {
    file: &'a str,
    packet: u64,
    time: String,
}

impl<'a> Packet<'a> {
    fn of(spot: Spot, captures: &'a Captures) -> Self {
        let place = captures.place(spot.0);
        Self { file: place.file, packet: place.packet, time: rfc3339(spot.1.as_nanos(), 9) }
    }
}

#[derive(Serialize)]
struct Fact<'a> {
    what: &'static str,
    value: &'a str,
    by: Packet<'a>,
}

#[derive(Serialize)]
struct Listed<'a> {
    rule: &'a str,
    ruleset: &'a str,
    category: &'static str,
    vendor: Option<&'a str>,
}

impl<'a> From<&'a Hit> for Listed<'a> {
    fn from(hit: &'a Hit) -> Self {
        Self { rule: &hit.rule, ruleset: &hit.ruleset, category: hit.category.as_str(), vendor: hit.vendor.as_deref() }
    }
}

#[derive(Serialize)]
struct Named<'a> {
    name: Option<&'a str>,
    origin: &'static str,
    flows: usize,
    by: Vec<Naming<'a>>,
    /// Other names that DNS gave for the same addresses.
    others: Vec<&'a str>,
}

#[derive(Serialize)]
struct Naming<'a> {
    #[serde(flatten)]
    packet: Packet<'a>,
    dns: Option<Answer<'a>>,
}

#[derive(Serialize)]
struct Answer<'a> {
    question: Option<&'a str>,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    aliases: &'a [String],
    ttl: u64,
}

#[derive(Serialize)]
struct Located<'a> {
    address: String,
    flows: usize,
    verdict: &'static str,
    words: &'a str,
    witnesses: Place<'a>,
    handshakes: Option<u32>,
    rtt_ns: Option<u64>,
    asked: Option<Packet<'a>>,
    answered: Option<Packet<'a>>,
}

#[derive(Serialize)]
struct Counted<'a> {
    first: Packet<'a>,
    last: Packet<'a>,
    transport: Option<String>,
    client: Option<String>,
    server: Option<String>,
    name: Option<&'a str>,
    visibility: Option<&'static str>,
    location_verdict: Option<&'static str>,
    rtt_ns: Option<u64>,
    #[serde(flatten)]
    total: Total,
}
