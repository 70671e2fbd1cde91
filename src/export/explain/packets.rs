//! The packets that are the evidence, each with what it shows, for a capture of them alone.

use std::net::SocketAddr;

use super::{Entry, Explanation};
use crate::engine::event::Spot;
use crate::engine::snapshot::Origin;

/// Which packets of the captures are evidence.
#[derive(Debug, Default)]
pub struct Deciding {
    /// Numbers through all captures, sorted, and what each shows.
    packets: Vec<(u64, Vec<String>)>,
    /// Stretches of flows, sorted: the two ends and the protocol, the first and last number, what all packets between show.
    stretches: Vec<(Ends, u64, u64, &'static str)>,
}

/// Two ends in either direction, and the protocol.
type Ends = (SocketAddr, SocketAddr, u8);

impl Deciding {
    /// What a packet shows; none when it is no evidence. `ends` are its source, target and protocol, where it has them.
    #[must_use]
    pub fn shows(&self, number: u64, ends: Option<Ends>) -> Option<Vec<String>> {
        let listed = self.packets.binary_search_by_key(&number, |(packet, _)| *packet).ok().and_then(|index| self.packets.get(index));
        let mut shows = listed.map(|(_, words)| words.clone()).unwrap_or_default();
        if let Some(words) = ends.and_then(|ends| self.stretch(number, sorted(ends))) {
            let kind = |words: &str| words.split(':').next().map(str::to_owned);
            if !shows.iter().any(|other| kind(other) == kind(words)) {
                shows.push(words.to_owned());
            }
        }
        (!shows.is_empty()).then_some(shows)
    }

    /// What the packets show of a stretch that a packet lies in.
    fn stretch(&self, number: u64, ends: Ends) -> Option<&'static str> {
        let after = self.stretches.partition_point(|(other, first, ..)| (other, first) <= (&ends, &number));
        let (other, _, last, words) = self.stretches.get(after.checked_sub(1)?)?;
        (*other == ends && number <= *last).then_some(*words)
    }

    fn note(&mut self, spot: Spot, words: String) {
        self.packets.push((spot.0, vec![words]));
    }

    /// In order, each packet once.
    fn sort(&mut self) {
        self.packets.sort();
        self.packets.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same && !earlier.1.ends_with(&later.1) {
                earlier.1.append(&mut later.1);
            }
            same
        });
        self.stretches.sort_unstable();
    }
}

impl Explanation {
    /// The packets that decide: each flow up to the one that named it (a hello may come in pieces), what located its server, its last.
    /// With `all`, every packet that is counted, of the flows and frames that were kept.
    #[must_use]
    pub fn deciding(&self, all: bool) -> Deciding {
        let mut deciding = Deciding::default();
        for learnt in self.learnt.iter().filter(|learnt| learnt.what != "address") {
            deciding.note(learnt.by, format!("device: {} {}", learnt.what, learnt.value));
        }
        for (_, row) in &self.rows {
            for entry in &row.flows {
                flow(entry, row.key.1, &mut deciding);
                let named = entry.facts().and_then(|facts| facts.named).map_or(0, |named| named.0);
                let (until, words) = if all { (entry.charge.last.0, "counted") } else { (named, "named: leads to the packet that names") };
                if let Some(ends) = entry.ends.filter(|_| until > entry.first.0) {
                    deciding.stretches.push((sorted((ends.client, ends.server, ends.protocol)), entry.first.0, until, words));
                }
            }
            for server in row.servers() {
                let Some(least) = server.location.least else { continue };
                if let Some(asked) = server.asked() {
                    deciding.note(asked, format!("located: asks {} for a handshake", server.address));
                }
                let milliseconds = least.rtt.as_secs_f64() * 1000.0;
                let words = format!("located: {} answers after {milliseconds:.1} ms, {}", server.address, server.location.verdict.as_str());
                deciding.note(least.by, words);
            }
            if all {
                row.frames.iter().for_each(|frame| deciding.note(frame.first, "counted: a frame of no flow".to_owned()));
            }
        }
        deciding.sort();
        deciding
    }
}

fn flow(entry: &Entry, origin: Origin, deciding: &mut Deciding) {
    let total = &entry.charge.total;
    let packets = total.transmit.packets.saturating_add(total.receive.packets);
    let bytes = total.transmit.bytes.saturating_add(total.receive.bytes);
    deciding.note(entry.first, format!("counted: the first of {packets} packets, {bytes} bytes, of a flow"));
    if entry.charge.last.0 != entry.first.0 {
        deciding.note(entry.charge.last, "counted: the last packet of a flow".to_owned());
    }
    let Some(facts) = entry.facts() else { return };
    if let (Some(name), Some(named)) = (&facts.name, facts.named) {
        deciding.note(named, format!("named: {name}, by {}", by(origin)));
    }
}

/// What named a destination, for a person.
pub(super) fn by(origin: Origin) -> &'static str {
    match origin {
        Origin::Sni => "the server name of a TLS ClientHello",
        Origin::Quic => "the server name of a QUIC ClientHello",
        Origin::Host => "the Host of an HTTP request",
        Origin::Certificate => "the server's certificate",
        Origin::Dns => "an answer to the device's DNS question",
        Origin::Ech => "an answer to the device's DNS question; the ClientHello's own name is encrypted",
        Origin::None => "nothing: only the address is known",
    }
}

fn sorted((a, b, protocol): Ends) -> Ends {
    if a <= b { (a, b, protocol) } else { (b, a, protocol) }
}
