//! The lab run with known truth: a capture as an access point with three phones would give it, and what a sensor must find in it.
//!
//! **Simulated.** No phone was measured and no server was asked. What the phones do is a model of public accounts of the 2021
//! assessment (hosts, request form, 12-hour cache, answers by version) and of what Android phones do in general. Use it to test a
//! sensor, never as evidence about a maker.
//!
//! Road taken: every frame is made with the account that it belongs to, then sorted by time, cut at the end, counted and written;
//! so the truth is a count of the very bytes in the file. All chance comes from one seed, all time from the plan.
//! Road not taken: recording a live lab. It needs phones, has no known truth, and may not be shared.
//!
//! Order of reading: [`truth`] (what is known), `phones` and `list` (who does what), `station` and `link` (how a phone talks), `tcp`,
//! `hello`, `names`, `wire` (bytes).

mod hello;
mod link;
mod list;
mod names;
mod phones;
mod quic;
mod station;
mod tcp;
mod tls;
pub mod truth;
mod wire;

use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use fastrand::Rng;

use crate::packet::Timestamp;
use list::{List, Puller};
use phones::{Life, MODELS};
use station::{GATEWAY, GATEWAY_LINK_LOCAL, GATEWAY_V4, Phone, Tape};
use truth::{Story, Truth};

/// What to simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Decides every byte.
    pub seed: u64,
    /// Hours of packet time; the experiment is made for 26. Memory and file grow with it, some 0.4 MB an hour.
    pub hours: u32,
    /// When the first phone joins.
    pub begin: Timestamp,
}

impl Default for Plan {
    /// 26 hours from 2021-08-23T06:00:00Z, morning in Vilnius.
    fn default() -> Self {
        Self { seed: 1, hours: 26, begin: Timestamp::from_nanos(1_629_698_400_000_000_000) }
    }
}

/// A month: the frames are held in memory until they are sorted, and a slip of the keyboard should not fill it.
pub const MOST_HOURS: u32 = 31 * 24;

/// Writes the capture as a pcap (nanoseconds, Ethernet, in the order of time) and returns the truth about it.
///
/// # Errors
/// When `out` fails, or the plan is for more than [`MOST_HOURS`].
pub fn write(plan: &Plan, out: &mut impl Write) -> io::Result<Truth> {
    if plan.hours > MOST_HOURS {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("more than {MOST_HOURS} hours")));
    }
    let end = plan.begin.plus(HOUR * plan.hours);
    let list = List { second_from: plan.begin.plus(HOUR * 20) };
    let mut seeds = Rng::with_seed(plan.seed);
    let mut tape = Tape::default();
    let mut stories = Vec::new();
    for (index, model) in (0_u32..).zip(&MODELS) {
        let phone = Phone::new(model, seeds.u64(..));
        let user = stimuli(&mut seeds, plan, model.maker);
        let pullers = if model.maker == "Xiaomi" { vec![Puller::NEW; PULLERS] } else { Vec::new() };
        let mut life = Life { phone, list: &list, pullers, user };
        let joins: Vec<Timestamp> = joins(plan, end, index).collect();
        for (at, from) in joins.iter().enumerate() {
            life.session(&mut tape, *from, joins.get(at + 1).copied().unwrap_or(end))?;
        }
        stories.push(life.phone.story);
    }
    stories.push(gateway(&mut tape, &mut seeds, plan.begin, end)?);
    tape.frames.retain(|frame| frame.time < end);
    tape.frames.sort_by_key(|frame| frame.time);
    wire::write_pcap(&tape.frames, out)?;
    Ok(truth::count(plan.seed, (plan.begin, end), &tape.frames, &tape.rows, &stories))
}

const HOUR: Duration = Duration::from_secs(3_600);
/// Of the seven apps that carry the SDK, those that run at every change of network.
const PULLERS: usize = 4;

/// When a phone joins: at the start, the Xiaomi alone about an hour later (too early for another pull), then all about 13 and 25 hours
/// after the start and every 12 hours on, each a little more than the list's 12 hours after the last.
fn joins(plan: &Plan, end: Timestamp, index: u32) -> impl Iterator<Item = Timestamp> {
    let shift = Duration::from_secs(23) * index;
    let early = (index == 0).then_some(HOUR + Duration::from_secs(40));
    let later = (0_u32..).map(|round| HOUR * (13 + 12 * round) + Duration::from_secs(180) * (round + 1));
    let begin = plan.begin;
    std::iter::once(Duration::ZERO)
        .chain(early)
        .chain(later)
        .map(move |after| begin.plus(after + shift))
        .take_while(move |time| *time < end)
}

/// What the users do while they are awake, 15 hours of each 24: 40 pages and 48 screen locks in 26 hours, and two searches in a
/// shop for the Huawei. In the order of time.
fn stimuli(rng: &mut Rng, plan: &Plan, maker: &str) -> Vec<(Timestamp, &'static str)> {
    const AWAKE: u64 = 15 * 3_600;
    const DAY: u64 = 24 * 3_600;
    let span = u64::from(plan.hours) * 3_600;
    let share = |in_26_hours: u64| in_26_hours * u64::from(plan.hours) / 26;
    let searches = if maker == "Huawei" { share(2).max(1) } else { 0 };
    let mut stimuli = Vec::new();
    for (kind, number) in [("page", share(40)), ("lock", share(48)), ("store", searches)] {
        for _ in 0..number {
            let after = loop {
                let after = rng.u64(300..span.max(301));
                if after % DAY < AWAKE {
                    break after;
                }
            };
            stimuli.push((plan.begin.plus(Duration::from_millis(after * 1_000 + rng.u64(0..1_000))), kind));
        }
    }
    stimuli.sort_by_key(|(time, _)| *time);
    stimuli
}

/// The access point itself: it announces its prefix every ten minutes or so.
fn gateway(tape: &mut Tape, rng: &mut Rng, begin: Timestamp, end: Timestamp) -> io::Result<Story> {
    let mut now = begin.plus(Duration::from_secs(7));
    while now < end {
        tape.link(now, link::advertisement()?);
        now = now.plus(Duration::from_millis(rng.u64(450_000..600_000)));
    }
    Ok(Story {
        mac: GATEWAY,
        hostname: None,
        maker: "access point",
        router: true,
        addresses: vec![IpAddr::V4(GATEWAY_V4), IpAddr::V6(GATEWAY_LINK_LOCAL)],
        pulls: Vec::new(),
        associations: Vec::new(),
        stimuli: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
