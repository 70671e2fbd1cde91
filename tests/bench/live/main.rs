//! What a live capture loses and costs: the highest rate at which `tcpdump -w /dev/null` loses nothing, then `whither watch` at it.
//!
//! Everything happens in a network namespace that is made and removed here: a cable, the sender on one end, the capture on the other.
//! This program runs itself again inside it, so that nobody has to change namespaces. Sender and capture have a core each, where there
//! are two. The rate is searched for by halving, a trial of seconds each, so the whole is bounded in time.
//!
//! One sender cannot outrun a fast program, so the programs' own limits are found with a small share of a processor for each thread that
//! captures: it stands for the weaker processor of an access point, and shows what a second worker is worth.
//!
//! Road not taken: the engine in this process and a thread that feeds it, as in `scrape.rs`. It has no ring, so it can wait but never
//! lose anything. Nor the sender in this process: libpcap sends one frame with each call, and then the sender is the limit.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a benchmark stops at the first thing that fails")]
#![expect(clippy::panic, clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark makes its own world")]

mod program;
#[path = "../results.rs"]
mod results;
#[expect(dead_code, reason = "only conversations are needed here")]
#[path = "../../wire/mod.rs"]
mod wire;
mod world;

use std::time::Duration;

use program::{Program, Scraper, Sensor, Tcpdump, Trial};
use results::Section;
use world::{Namespace, Quota, Sender};

/// Frames a second at which every capture begins.
const LEAST: f64 = 20_000.0;
/// Halvings, on the scale of ratios, between that and what the sender can do: to 5 % or so.
const STEPS: usize = 6;
/// Seconds of a trial in the search.
const TRIAL: u64 = 3;
/// Seconds of a load that is told.
const LOAD: u64 = 10;
/// Thousandths of a processor for each thread that captures, where it has to be the limit, and MiB of the ring then: a large ring would
/// carry a load that is too much for as long as a trial lasts.
const QUOTA: u64 = 50;
const SMALL_RING: u64 = 8;
/// MiB of the ring, as `watch` has it.
const RING: u64 = 64;
/// Frames a second that one worker and two carry alike.
const STEADY: f64 = 200_000.0;
/// Frames a second at which a sensor gets to know many devices.
const GENTLE: f64 = 20_000.0;

fn main() {
    if world::is_inside() {
        inside();
    } else if std::env::args().any(|word| word == "--bench") {
        match Namespace::new() {
            Ok(namespace) => namespace.run_again(),
            Err(reason) => println!("A live capture: skipped, {reason}"),
        }
    }
}

/// The measurement, inside the namespace.
fn inside() {
    let sender = Sender::new();
    let mut section = Section::new("Live");
    section.say(format!(
        "Frames of the capture `{}` on a cable of one's own, sent for {TRIAL} s at each rate; a trial loses nothing when every frame sent was \
         captured. A ring of 64 MiB each.\n",
        sender.name
    ));
    section.say("| program | highest rate without loss, frames/s |\n|---|---|");
    let common = match Tcpdump::new(RING, None) {
        Some(mut tcpdump) => search(&mut section, &sender, &mut tcpdump),
        None => {
            section.say("| tcpdump | not installed |");
            None
        }
    };
    let own = search(&mut section, &sender, &mut Sensor::start(&[]));
    let Some((rate, _)) = common.or(own) else { return section.put() };

    section.say(format!("\n{LOAD} s at {rate:.0} frames/s; CPU of the whole process:\n"));
    section.say("| program | sent | lost | of these told | CPU ns/frame | scrapes: number, median, longest |\n|---|---|---|---|---|---|");
    if let Some(mut tcpdump) = Tcpdump::new(RING, None) {
        row(&mut section, "tcpdump -w /dev/null", &tcpdump.trial(&sender, rate, LOAD, None));
    }
    row(&mut section, "whither watch", &Sensor::start(&[]).trial(&sender, rate, LOAD, None));
    row(&mut section, "the same, --events /dev/null", &Sensor::start(&["--events", "/dev/null"]).trial(&sender, rate, LOAD, None));
    let mut sensor = Sensor::start(&[]);
    let (learnt, lost) = sensor.learn(&sender, GENTLE);
    let series = sensor.series();
    let second = Duration::from_secs(1);
    for (what, scraper) in [
        (format!("whither watch of {series} series"), None),
        ("the same, scraped each second".to_owned(), Some(Scraper { gzip: false, every: second })),
        ("the same, scraped without pause, gzip".to_owned(), Some(Scraper { gzip: true, every: Duration::ZERO })),
    ] {
        row(&mut section, &what, &sensor.trial(&sender, rate, LOAD, scraper));
    }
    section.say(format!(
        "\nThe series were learnt from {learnt} frames, of which {lost} were lost. Told: what the program itself says it lost."
    ));
    limits(&mut section, &sender);
    let (one, two) = (cost(&sender, "1"), cost(&sender, "2"));
    section.say(format!(
        "\nAt {STEADY:.0} frames/s one worker takes {one:.0} ns of CPU a frame and two together {two:.0}: twice the CPU carries {:.2} times as much.",
        2.0 * one / two
    ));
    section.put();
}

/// What each carries with a share of a processor, and what a second worker adds.
fn limits(section: &mut Section, sender: &Sender) {
    let quota = |threads: u64| Quota::new(QUOTA * threads);
    if let Err(reason) = quota(1) {
        return section.say(format!("\nThe programs' own limits were not looked for: {reason}."));
    }
    section
        .say(format!("\nWith {} % of a processor for each thread that captures, and a ring of {SMALL_RING} MiB:\n", QUOTA as f64 / 10.0));
    section.say("| program | highest rate without loss, frames/s |\n|---|---|");
    if let Some(mut tcpdump) = Tcpdump::new(SMALL_RING, quota(1).ok()) {
        search(section, sender, &mut tcpdump);
    }
    let one = search(section, sender, &mut Sensor::start_within(&["--buffer", "8"], quota(1).ok()));
    let two = search(section, sender, &mut Sensor::start_within(&["--buffer", "8", "--workers", "2"], quota(2).ok()));
    match (one, two) {
        (Some((one, true)), Some((two, true))) => section.say(format!("\nTwo workers carry {:.2} times what one carries.", two / one)),
        _ => section.say("\nWhere the sender is the limit, or another load, it does not show what a second worker is worth."),
    }
}

/// What so many workers cost together, nanoseconds of CPU a frame, once they know who is there.
fn cost(sender: &Sender, workers: &'static str) -> f64 {
    let mut sensor = Sensor::start(&["--workers", workers]);
    sensor.trial(sender, STEADY, TRIAL, None);
    let trials: Vec<Trial> = (0..3).map(|_| sensor.trial(sender, STEADY, LOAD, None)).collect();
    trials.iter().map(|trial| trial.cpu).sum::<f64>() * 1e9 / trials.iter().map(|trial| trial.sent).sum::<u64>() as f64
}

/// The highest rate without loss, also told, and whether the program is what limits it; none if there is none.
fn search(section: &mut Section, sender: &Sender, program: &mut dyn Program) -> Option<(f64, bool)> {
    let most = program.trial(sender, 0.0, TRIAL, None);
    let (mut low, mut high) = (LEAST, most.rate());
    if most.lost() == 0 {
        section.say(format!("| {} | {high:.0} or more: as fast as the sender goes |", program.name()));
        return Some((high, false));
    }
    let mut best = None;
    for _ in 0..STEPS {
        let rate = (low * high).sqrt();
        // Two of three: a rate that sometimes loses nothing is not without loss, and a machine that stood still once says nothing.
        let mut lossless = || program.trial(sender, rate, TRIAL, None).lost() == 0;
        let (first, second) = (lossless(), lossless());
        let carried = if first == second { first } else { lossless() };
        if carried {
            (low, best) = (rate, Some(rate));
        } else {
            high = rate;
        }
    }
    let found = best.map_or_else(|| format!("below {high:.0}"), |rate| format!("{rate:.0}, and not {high:.0}"));
    section.say(format!("| {} | {found} |", program.name()));
    best.map(|rate| (rate, true))
}

fn row(section: &mut Section, what: &str, trial: &Trial) {
    let scrapes = match trial.scrapes.as_slice() {
        [] => String::new(),
        all => format!("{}, {:.0?}, {:.0?}", all.len(), all[all.len() / 2], all[all.len() - 1]),
    };
    let (sent, lost, told) = (trial.sent, trial.lost(), trial.dropped);
    section.say(format!("| {what} | {sent} | {lost} | {told} | {:.0} | {scrapes} |", trial.cpu * 1e9 / sent as f64));
}
