//! What `whither read` costs, with everything on, against a loop of libpcap that only adds up lengths: both over the same
//! capture, in turn, in one run. `make bench`; captures of one's own join by `WHITHER_BENCH_TRACES=DIR`.
//!
//! Road taken: whole processes, start and end included, by the kernel's own accounts (`getrusage`) of a child whose only work is
//! that run; ratios pair by pair, of which the median is told, because a shared machine's speed drifts while it measures.
//! Road not taken: timing the library inside this process, which would leave out reading the file, the events and the exit.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a benchmark stops at the first thing that fails")]
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark reads a clock, and files of its own")]

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use whither::capture::file;
use whither::packet::Timestamp;
use whither::simulate::{self, Plan};

/// Pairs of runs for each capture; one more before them fills the page cache.
const ROUNDS: usize = 5;
/// Lab runs laid end to end, each with phones of its own.
const LAB_RUNS: u64 = 10;
/// Where the table is left.
const TABLE: &str = "out/bench.md";

fn main() {
    let words: Vec<OsString> = env::args_os().skip(1).collect();
    match words.first() {
        Some(word) if word == "--measure" => measure(&words[1..]),
        Some(_) if words.iter().any(|word| word == "--bench") => bench(),
        _ => {} // built and run as a test: there is nothing to tell
    }
}

/// What a run took.
#[derive(Clone, Copy)]
struct Cost {
    /// User and system time, seconds.
    cpu: f64,
    /// Seconds.
    wall: f64,
    /// Most memory in use, MiB.
    peak: f64,
}

fn bench() {
    let folder = tempfile::tempdir().unwrap();
    let bare = folder.path().join("loop");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/loop.c");
    let built = Command::new("cc").arg("-O2").arg("-o").arg(&bare).arg(source).arg("-lpcap").status().unwrap();
    assert!(built.success(), "cc cannot build tests/bench/loop.c: are libpcap's development files there?");

    let mut table = vec![
        format!("whither read --events --metrics, and a bare libpcap loop; medians of {ROUNDS} runs in turn, least to most of the ratios"),
        "| capture | packets | packets/s | CPU ns/packet | CPU, loop = 1 | wall, loop = 1 | wall s | peak MiB |".to_owned(),
        "|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    table.iter().for_each(|line| println!("{line}"));
    for trace in traces(folder.path()) {
        let row = row(&trace, &bare);
        println!("{row}");
        table.push(row);
    }
    fs::create_dir_all("out").unwrap();
    fs::write(TABLE, table.join("\n") + "\n").unwrap();
    println!("(also in {TABLE})");
}

/// The captures: an empty one (what starting costs), the lab runs, and those of the person's.
fn traces(folder: &Path) -> Vec<PathBuf> {
    let (empty, lab) = (folder.join("empty.pcap"), folder.join("lab.pcap"));
    let mut out = BufWriter::new(File::create(&lab).unwrap());
    let mut plan = Plan::default();
    for seed in 1..=LAB_RUNS {
        let mut run = Vec::new();
        plan.seed = seed;
        simulate::write(&plan, &mut run).unwrap();
        let (header, records) = run.split_at(24); // pcap's file header
        if seed == 1 {
            fs::write(&empty, header).unwrap();
            out.write_all(header).unwrap();
        }
        out.write_all(records).unwrap();
        plan.begin = Timestamp::from_nanos(plan.begin.as_nanos() + u64::from(plan.hours) * 3_600_000_000_000);
    }
    out.flush().unwrap();
    let mut traces = vec![empty, lab];
    if let Some(own) = env::var_os("WHITHER_BENCH_TRACES").filter(|own| !own.is_empty()) {
        let mut own: Vec<PathBuf> = fs::read_dir(own).unwrap().map(|entry| entry.unwrap().path()).collect();
        own.retain(|path| path.extension().is_some_and(|end| end == "pcap" || end == "pcapng"));
        own.sort();
        traces.extend(own);
    }
    traces
}

fn row(trace: &Path, bare: &Path) -> String {
    let whither = Path::new(env!("CARGO_BIN_EXE_whither"));
    let all = ["read", "--events", "/dev/null", "--metrics", "/dev/null"];
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let pair = (run(whither, &all, trace), run(bare, &[], trace));
        if round > 0 {
            ours.push(pair.0);
            theirs.push(pair.1);
        }
    }
    let ratios = |of: fn(&Cost) -> f64| {
        let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| of(ours) / of(theirs)).collect();
        let [least, median, most] = spread(&ratios);
        format!("{median:.2} ({least:.2} to {most:.2})")
    };
    let median = |of: fn(&Cost) -> f64| spread(&ours.iter().map(of).collect::<Vec<_>>())[1];
    let (packets, cpu, wall) = (packets(trace), median(|cost| cost.cpu), median(|cost| cost.wall));
    let name = trace.file_stem().unwrap().to_string_lossy();
    let (rate, each) = (packets as f64 / wall, cpu * 1e9 / (packets.max(1)) as f64);
    let (cpu, over) = (ratios(|cost| cost.cpu), ratios(|cost| cost.wall));
    format!("| {name} | {packets} | {rate:.0} | {each:.0} | {cpu} | {over} | {wall:.3} | {:.0} |", median(|cost| cost.peak))
}

/// Least, median, most.
fn spread(values: &[f64]) -> [f64; 3] {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

fn packets(trace: &Path) -> u64 {
    let mut packets = 0;
    file::File::open(trace).unwrap().read(&mut |_| packets += 1).unwrap();
    packets
}

/// Runs a program by way of this one, so that the kernel's account of finished children is of that run alone.
fn run(program: &Path, words: &[&str], trace: &Path) -> Cost {
    let out = Command::new(env::current_exe().unwrap()).arg("--measure").arg(program).args(words).arg(trace).output().unwrap();
    assert!(out.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let figures: Vec<f64> = text.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
    Cost { cpu: figures[0], wall: figures[1], peak: figures[2] }
}

/// Runs what is asked and says what it took.
fn measure(words: &[OsString]) {
    let begin = Instant::now();
    let status = Command::new(&words[0]).args(&words[1..]).stdout(Stdio::null()).status().unwrap();
    let wall = begin.elapsed().as_secs_f64();
    assert!(status.success(), "{status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let cpu: f64 = [usage.user_time(), usage.system_time()].iter().map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6).sum();
    println!("{cpu} {wall} {}", usage.max_rss() as f64 / 1024.0);
}
