//! The evidence for a person: who, where to, named by what, located by what, made up of which packets.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use super::packets::by;
use super::{Entry, Explanation, Name, Part, Row, Server, Sum};
use crate::engine::event::Spot;
use crate::engine::geo::Country;
use crate::engine::snapshot::{DestinationRow, Origin, Place, VERDICTS};
use crate::export::explain::ask::{country, title};
use crate::export::explain::captures::Captures;
use crate::export::{ATTRIBUTION, day, events, printable, rfc3339};

/// Flows of a row, and packets of a name, that are told unless all are asked for.
const SHOWN: usize = 12;

impl Explanation {
    /// The evidence in words; with `all`, every flow that was kept.
    #[must_use]
    pub fn words(&self, captures: &Captures, all: bool) -> String {
        let most = if all { usize::MAX } else { SHOWN };
        let teller = Teller { explanation: self, captures, most };
        let mut text = String::new();
        teller.device(&mut text);
        for (of_table, row) in &self.rows {
            teller.row(of_table, row, &mut text);
        }
        text
    }
}

struct Teller<'a> {
    explanation: &'a Explanation,
    captures: &'a Captures,
    most: usize,
}

impl Teller<'_> {
    fn device(&self, text: &mut String) {
        let device = &self.explanation.device;
        line(text, "DEVICE", &title(device));
        for mac in &device.macs {
            let random = if mac.is_local() { ", locally administered, as randomised ones are" } else { "" };
            line(text, "  MAC", &format!("{mac}{random}"));
        }
        if let Some(vendor) = &device.vendor {
            line(text, "  maker", &format!("{vendor}, by the block of the MAC in the IEEE registry"));
        }
        if let Some(notes) = &device.notes {
            line(text, "  notes", &format!("{notes} (devices file)"));
        }
        if !device.expected.is_empty() {
            let countries: Vec<&str> = device.expected.iter().map(Country::name).collect();
            line(text, "  expected", &format!("{} (devices file)", countries.join(", ")));
        }
        for learnt in &self.explanation.learnt {
            line(text, &format!("  {}", learnt.what), &format!("{}, {}", learnt.value, self.spot(learnt.by)));
        }
        line(text, "  seen", &format!("{} to {}", time(device.first.as_nanos()), time(device.last.as_nanos())));
    }

    fn row(&self, of_table: &DestinationRow, row: &Row, text: &mut String) {
        text.push('\n');
        let organisation = match (&of_table.organisation, of_table.asn) {
            (Some(organisation), Some(asn)) => format!(", AS{asn} {organisation}"),
            (None, Some(asn)) => format!(", AS{asn}"),
            _ => String::new(),
        };
        let origin = if of_table.origin == Origin::None { String::new() } else { format!(" ({})", of_table.origin.as_str()) };
        line(text, "DESTINATION", &format!("{}{origin}, {}{organisation}", of_table.destination, country(of_table)));
        match &self.explanation.part {
            Part::All => {}
            Part::Name(name) => line(text, "  of it", &format!("flows with {name}")),
            Part::Address(address) => line(text, "  of it", &format!("flows with {address}")),
        }
        for hit in row.listed(&self.explanation.listed) {
            let vendor = hit.vendor.as_ref().map(|vendor| format!(", {vendor}")).unwrap_or_default();
            let words = format!("{} in the list {}: {}{vendor}", hit.rule, hit.ruleset, hit.category.as_str());
            line(text, "  listed", &words);
        }
        if !matches!(of_table.place, Place::Local | Place::Multicast) {
            let verdicts = VERDICTS.iter().zip(row.sum.verdicts).filter(|(_, bytes)| *bytes > 0);
            let verdicts = verdicts.map(|(verdict, bytes)| format!("{} ({bytes} bytes)", verdict.as_str())).collect::<Vec<_>>();
            line(text, "  location", &verdicts.join(", "));
            self.named(row, text);
            self.located(of_table, row, text);
        }
        self.counted(of_table, row, text);
    }

    fn named(&self, row: &Row, text: &mut String) {
        text.push_str("\n  named by\n");
        for Name { name, origin, flows } in row.names() {
            let what = name.map_or_else(|| by(Origin::None).to_owned(), |name| format!("{name}, {}", by(origin)));
            let _ = writeln!(text, "    {} ({})", printable(&what), count(flows.len(), "flow"));
            let mut spots: Vec<(Spot, &Entry)> = flows.iter().filter_map(|flow| Some((flow.facts()?.named?, *flow))).collect();
            spots.sort_by_key(|(spot, _)| spot.0);
            spots.dedup_by_key(|(spot, _)| spot.0);
            for (spot, flow) in spots.iter().take(self.most) {
                let _ = writeln!(text, "      {}{}", self.spot(*spot), printable(&self.answer(*spot, flow)));
            }
            self.more(spots.len(), "naming packet", text);
        }
    }

    /// What the answer from DNS said that named a flow; nothing where something else named it.
    fn answer(&self, spot: Spot, flow: &Entry) -> String {
        let Some(facts) = flow.facts() else { return String::new() };
        let Some(told) = facts.answers.iter().find(|told| told.by.0 == spot.0) else { return String::new() };
        let mut words = String::from(": ");
        if let Some(answer) = self.explanation.answer(spot) {
            let _ = write!(words, "{} {}", answer.question, answer.kind);
            for alias in &answer.aliases {
                let _ = write!(words, ", {alias}");
            }
            words.push_str(", ");
        }
        let _ = write!(words, "{} for {} s", facts.far, told.ttl.as_secs());
        for other in facts.answers.iter().filter(|other| other.by.0 != spot.0 || other.name != told.name) {
            let _ = write!(words, "; it may also have been {}, {}", other.name, self.spot(other.by));
        }
        words
    }

    fn located(&self, of_table: &DestinationRow, row: &Row, text: &mut String) {
        text.push_str("\n  located by\n");
        let databases = self.explanation.databases.iter().map(|row| format!("{} of {}", printable(&row.database), day(row.built)));
        let databases = databases.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "    databases: {} ({databases}; {ATTRIBUTION})", country(of_table));
        let servers = row.servers();
        for server in servers.iter().take(self.most) {
            self.server(server, text);
        }
        self.more(servers.len(), "server", text);
    }

    // A further witness of a location gets its line here.
    fn server(&self, server: &Server<'_>, text: &mut String) {
        let Server { address, flows, location } = server;
        let _ = writeln!(text, "    {address} ({}), {}", count(flows.len(), "flow"), location.verdict.as_str());
        if let Some(least) = location.least {
            let milliseconds = least.rtt.as_secs_f64() * 1000.0;
            let asked = server.asked().map(|asked| format!(", asked by {}", self.captures.words(asked))).unwrap_or_default();
            let _ = writeln!(text, "      {}: answered after {milliseconds:.3} ms{asked}", self.spot(least.by));
        }
        let _ = writeln!(text, "      {}", printable(&location.words));
        let _ = writeln!(text, "      all witnesses: {}", printable(&location.witnesses.words()));
    }

    fn counted(&self, of_table: &DestinationRow, row: &Row, text: &mut String) {
        text.push_str("\n  counted by\n");
        if !row.flows.is_empty() {
            text.push_str(&self.flows(row));
            self.more(row.flows.len(), "flow", text);
        }
        let sum = &row.sum;
        if sum.frames > 0 {
            let _ = write!(text, "    {} of no flow", count(usize::try_from(sum.frames).unwrap_or(usize::MAX), "frame"));
            let numbers: Vec<String> = row.frames.iter().take(self.most).map(|frame| self.captures.words(frame.first)).collect();
            let _ = writeln!(text, ": {}{}", numbers.join(", "), if row.frames.len() > self.most { ", …" } else { "" });
        }
        if row.left_out > 0 {
            let _ = writeln!(text, "    {} more are in the sum and were not kept", row.left_out);
        }
        let said = match &self.explanation.part {
            Part::All if sum.is(of_table) => ", as in the table of `read`",
            Part::All => ", which is not what the table of `read` says: the device left its table meanwhile",
            Part::Name(_) | Part::Address(_) => "",
        };
        let _ = writeln!(text, "    sum: {}{said}", total(sum));
    }

    fn flows(&self, row: &Row) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(HEADER);
        for column in [0, 2, 6, 7, 8, 9] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for entry in row.flows.iter().take(self.most) {
            let Some(ends) = entry.ends else { continue };
            let both = &entry.charge.total;
            let end = |end: std::net::SocketAddr| if end.port() == 0 { end.ip().to_string() } else { end.to_string() };
            table.add_row([
                self.captures.words(entry.first),
                time(entry.first.1.as_nanos()),
                self.captures.words(entry.charge.last),
                time(entry.charge.last.1.as_nanos()),
                format!("{} {}", events::transport(ends.protocol), end(ends.client)),
                end(ends.server),
                both.transmit.packets.to_string(),
                both.transmit.bytes.to_string(),
                both.receive.packets.to_string(),
                both.receive.bytes.to_string(),
            ]);
        }
        let mut text = String::new();
        for line in table.lines() {
            let _ = writeln!(text, "   {}", line.trim_end());
        }
        text
    }

    /// A packet and its time.
    fn spot(&self, spot: Spot) -> String {
        format!("packet {} at {}", self.captures.words(spot), time(spot.1.as_nanos()))
    }

    fn more(&self, there_are: usize, what: &str, text: &mut String) {
        let more = there_are.saturating_sub(self.most);
        if more > 0 {
            let _ = writeln!(text, "    and {} more (--all tells them)", count(more, what));
        }
    }
}

const HEADER: [&str; 10] = ["FIRST", "TIME", "LAST", "TIME", "CLIENT", "SERVER", "UP", "BYTES", "DOWN", "BYTES"];

fn total(sum: &Sum) -> String {
    let (up, down) = (&sum.total.transmit, &sum.total.receive);
    let flows = count(usize::try_from(sum.flows).unwrap_or(usize::MAX), "flow");
    format!("{flows}; up {} packets, {} bytes; down {} packets, {} bytes", up.packets, up.bytes, down.packets, down.bytes)
}

fn line(text: &mut String, what: &str, words: &str) {
    let _ = writeln!(text, "{what:<14} {}", printable(words));
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn time(nanos: u64) -> String {
    rfc3339(nanos, 9)
}
