//! What a packet costs, and how much memory there is, as flows, devices, destinations and series grow in number.
//!
//! `whither read -`, with everything on, is fed through a pipe, so nothing of the traffic needs room on a disk. It runs over the
//! connections' openings alone, and over openings and data: the difference is what a packet of an open connection costs, the former
//! what a new connection costs. The data go round all connections in turn, so each packet finds its own the coldest: real traffic
//! comes in trains and is kinder. Each load is the same at every run, to the byte.
//!
//! Road not taken: the engine in this process, where the generator's own memory would stand in the account of the kernel.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a benchmark stops at the first thing that fails")]
#![expect(clippy::disallowed_methods, clippy::panic, reason = "a benchmark reads a clock and files of its own, and makes its own traffic")]

#[expect(dead_code, reason = "a pipe's time on the clock is the writer's too")]
#[path = "../measure.rs"]
mod measure;
mod plot;
#[path = "../results.rs"]
mod results;
mod traffic;
#[expect(dead_code, reason = "only conversations are needed here")]
#[path = "../../wire/mod.rs"]
mod wire;

use std::fs;
use std::io::BufWriter;
use std::path::Path;
use std::process::Stdio;

use measure::{Asked, Cost, spread};
use plot::Panel;
use results::Section;
use traffic::Load;

/// Runs of each load.
const ROUNDS: usize = 3;
/// Packets with data in a load.
const DATA: u32 = 1_000_000;
const PICTURE: &str = "tests/bench/growth.svg";

fn main() {
    if matches!(measure::asked(), Asked::Bench) {
        bench();
    }
}

/// What was measured of a load.
pub(crate) struct Point {
    /// How many there were of what grows.
    number: f64,
    /// CPU nanoseconds of a packet of an open connection.
    packet: f64,
    /// CPU nanoseconds of a new connection, five packets long.
    opening: f64,
    /// MiB at most.
    peak: f64,
    series: usize,
}

fn bench() {
    let load = |devices, names, flows| Load { devices, names, flows };
    // What does not grow stays in the middle: 65,536 connections are as many as are followed at once.
    let sweeps: [(&'static str, Vec<(u32, Load)>); 4] = [
        ("flows", [1_000, 10_000, 65_536, 200_000, 1_000_000].map(|flows| (flows, load(50, 20, flows))).to_vec()),
        ("devices", [1, 10, 100, 1_000, 10_000].map(|devices| (devices, load(devices, 4, 40_000))).to_vec()),
        ("destinations", [10, 100, 1_000, 10_000, 50_000].map(|all| (all, load(50.min(all), all.div_ceil(50), 60_000))).to_vec()),
        ("series", [2, 10, 60, 250, 620].map(|devices| (0, load(devices, 26, devices * 26))).to_vec()),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut section = Section::new("Growth");
    let empty = spread((0..ROUNDS).map(|_| run(&load(1, 1, 0), 0, folder.path()).0.cpu))[1];
    section.say(format!(
        "`whither read - --events --metrics`, fed through a pipe; CPU of the whole process, medians of {ROUNDS}. Opening: a connection's first five packets, \
         with its ClientHello. Packet: each of {DATA} on the connections in turn; {:.0} ns of it are libpcap's bare loop on the same pipe.\n",
        bare(folder.path())
    ));
    section.say(
        "| what grows | number | connections | devices | series | ns/packet | ns/opening | peak MiB |\n|---|---|---|---|---|---|---|---|",
    );
    let mut panels = Vec::new();
    for (what, loads) in sweeps {
        let mut points = Vec::new();
        for (number, load) in loads {
            let mut point = measure(&load, empty, folder.path());
            point.number = if what == "series" { point.series as f64 } else { f64::from(number) };
            section.say(format!(
                "| {what} | {:.0} | {} | {} | {} | {:.0} | {:.0} | {:.0} |",
                point.number, load.flows, load.devices, point.series, point.packet, point.opening, point.peak
            ));
            points.push(point);
        }
        panels.push(Panel { what, points });
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PICTURE);
    fs::write(path, plot::picture(&panels)).unwrap();
    section.say("\n![cost and memory against numbers](growth.svg)");
    section.put();
}

fn measure(load: &Load, empty: f64, folder: &Path) -> Point {
    let (mut opened, mut whole, mut series) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        opened.push(run(load, 0, folder).0.cpu);
        let (cost, seen) = run(load, DATA, folder);
        whole.push(cost);
        series = seen;
    }
    let each = |cpu: f64, number: u32| cpu.max(0.0) * 1e9 / f64::from(number);
    let [_, opening, _] = spread(opened.iter().map(|cpu| each(cpu - empty, load.flows)));
    let [_, packet, _] = spread(whole.iter().zip(&opened).map(|(whole, opened)| each(whole.cpu - opened, DATA)));
    let [_, peak, _] = spread(whole.iter().map(|cost| cost.peak));
    Point { number: 0.0, packet, opening, peak, series }
}

/// One run: what it took, and the series of its metrics.
fn run(load: &Load, data: u32, folder: &Path) -> (Cost, usize) {
    let metrics = folder.join("metrics");
    let mut command = measure::command(env!("CARGO_BIN_EXE_whither"));
    command.args(["read", "-", "--events", "/dev/null", "--metrics"]).arg(&metrics);
    let cost = feed(command, load, data);
    (cost, fs::read_to_string(metrics).unwrap().lines().filter(|line| !line.starts_with('#')).count())
}

fn feed(mut command: std::process::Command, load: &Load, data: u32) -> Cost {
    let mut process = command.stdin(Stdio::piped()).spawn().unwrap();
    load.write(data, BufWriter::with_capacity(1 << 16, process.stdin.take().unwrap()));
    Cost::read(&process.wait_with_output().unwrap())
}

/// CPU nanoseconds of libpcap for a packet of the same pipe.
fn bare(folder: &Path) -> f64 {
    let bare = folder.join("loop");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/loop.c");
    let built = std::process::Command::new("cc").arg("-O2").arg("-o").arg(&bare).arg(source).arg("-lpcap").status().unwrap();
    assert!(built.success(), "cc cannot build tests/bench/loop.c: are libpcap's development files there?");
    let cpu = |data| {
        let mut command = measure::command(&bare);
        command.arg("-");
        feed(command, &Load { devices: 1, names: 1, flows: 1_000 }, data).cpu
    };
    spread((0..ROUNDS).map(|_| (cpu(DATA) - cpu(0)) * 1e9 / f64::from(DATA)))[1]
}
