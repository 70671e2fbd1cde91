//! What `whither read` costs with everything on (addresses located, events and metrics written), against a loop of libpcap that only
//! adds up lengths, and beside other programs where they are installed: all over the same captures, in turn, in one run.
//!
//! Ratios are taken round by round and their median is told, because a shared machine's speed drifts while it measures.
//! `make bench` says where the captures come from; without any, the simulated lab run stands in for them.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a benchmark stops at the first thing that fails")]
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark reads a clock, and files of its own")]

mod measure;
mod results;

use std::env;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use measure::{Asked, Cost, spread};
use results::Section;
use whither::capture::file;
use whither::packet::Timestamp;
use whither::simulate::{self, Plan};

/// Rounds over each capture; one more before them fills the page cache.
const ROUNDS: usize = 5;
/// A program that takes longer than this, in seconds, runs in one round only.
const PATIENCE: f64 = 10.0;
/// Starts that are timed.
const STARTS: usize = 21;
/// Lab runs laid end to end, each with phones of its own.
const LAB_RUNS: u64 = 10;
/// Packets of a tiny capture.
const TINY: usize = 1_000;

/// Other programs, as Debian packages them, doing what comes nearest to ours: following flows, dissecting, writing nothing that
/// could be left out. `FILE` is the capture, `SCRATCH` a file that a program may write and remove. softflowd follows 8,192 flows unless told otherwise; tshark would not dissect at all
/// if it was asked for no field.
const PEERS: [&[&str]; 3] = [
    &["softflowd", "-d", "-6", "-m", "65536", "-p", "SCRATCH", "-c", "none", "-r", "FILE"],
    &["ndpiReader", "-q", "-i", "FILE"],
    &[
        "tshark",
        "-n",
        "-r",
        "FILE",
        "-Y",
        "dns or tls.handshake.type == 1 or quic or http.request",
        "-T",
        "fields",
        "-e",
        "dns.qry.name",
        "-e",
        "tls.handshake.extensions_server_name",
        "-e",
        "http.host",
    ],
];

fn main() {
    if matches!(measure::asked(), Asked::Bench) {
        bench();
    }
}

/// A program and its words.
struct Program<'a> {
    name: &'a str,
    path: PathBuf,
    words: Vec<&'a str>,
}

fn bench() {
    let folder = tempfile::tempdir().unwrap();
    let bare = folder.path().join("loop");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/loop.c");
    let built = Command::new("cc").arg("-O2").arg("-o").arg(&bare).arg(source).arg("-lpcap").status().unwrap();
    assert!(built.success(), "cc cannot build tests/bench/loop.c: are libpcap's development files there?");
    let library = String::from_utf8(Command::new(&bare).output().unwrap().stdout).unwrap();

    let whither = Path::new(env!("CARGO_BIN_EXE_whither")).to_owned();
    let all = vec!["read", "--events", "/dev/null", "--metrics", "/dev/null", "FILE"];
    let ours = [Program { name: "loop", path: bare, words: vec!["FILE"] }, Program { name: "whither", path: whither, words: all }];
    let peers: Vec<Program<'_>> =
        PEERS.iter().filter_map(|words| Some(Program { name: words[0], path: installed(words[0])?, words: words[1..].to_vec() })).collect();
    let missing: Vec<&str> = PEERS.iter().map(|words| words[0]).filter(|name| !peers.iter().any(|peer| peer.name == *name)).collect();

    let (tiny, captures) = captures(folder.path());
    let mut section = Section::new("Reading");
    section.say(start(&ours[1], &tiny));
    section.say(format!(
        "\n`whither read --events --metrics` against a bare loop of {}: the whole process, medians of {ROUNDS} rounds in turn, in brackets \
         the least and the most of the ratios. Where those are missing, the program took so long that it ran once.",
        library.trim()
    ));
    if !missing.is_empty() {
        section.say(format!("Not installed, so not here: {}.", missing.join(", ")));
    }
    section.say(
        "\n| capture | program | packets/s | CPU ns/packet | CPU, loop = 1 | wall, loop = 1 | peak MiB |\n|---|---|---|---|---|---|---|",
    );
    let programs: Vec<&Program<'_>> = ours.iter().chain(&peers).collect();
    for capture in &captures {
        rows(&mut section, &programs, capture);
    }
    section.put();
}

/// How long a start takes, with nearly nothing to read.
fn start(whither: &Program<'_>, tiny: &Path) -> String {
    let costs: Vec<Cost> = (0..STARTS).map(|_| run(whither, tiny)).collect();
    let [least, median, most] = spread(costs.iter().map(|cost| cost.wall * 1e3));
    let [_, cpu, _] = spread(costs.iter().map(|cost| cost.cpu * 1e3));
    let [_, peak, _] = spread(costs.iter().map(|cost| cost.peak));
    format!(
        "A capture of {TINY} packets is read in {median:.0} ms ({least:.0} to {most:.0}), {cpu:.0} ms of CPU and {peak:.0} MiB: what starting takes."
    )
}

/// What each program takes for a capture: the table's rows.
fn rows(section: &mut Section, programs: &[&Program<'_>], capture: &Path) {
    let mut costs: Vec<Vec<Cost>> = programs.iter().map(|_| Vec::new()).collect();
    for program in &programs[..2] {
        run(program, capture);
    }
    for _ in 0..ROUNDS {
        for (program, costs) in programs.iter().zip(&mut costs) {
            if costs.first().is_none_or(|first| first.wall < PATIENCE) {
                costs.push(run(program, capture));
            }
        }
    }
    let packets = packets(capture) as f64;
    let name = capture.file_stem().unwrap().to_string_lossy();
    let name = name.strip_prefix("bench-").unwrap_or(&name);
    for (program, of) in programs.iter().zip(&costs) {
        let ratio = |of: &[Cost], what: fn(&Cost) -> f64| {
            let [least, median, most] = spread(of.iter().zip(&costs[0]).map(|(ours, bare)| what(ours) / what(bare)));
            if of.len() == 1 { format!("{median:.1}") } else { format!("{median:.2} ({least:.2} to {most:.2})") }
        };
        let median = |what: fn(&Cost) -> f64| spread(of.iter().map(what))[1];
        let (cpu, wall) = if program.name == "loop" {
            ("1".to_owned(), "1".to_owned())
        } else {
            (ratio(of, |cost| cost.cpu), ratio(of, |cost| cost.wall))
        };
        section.say(format!(
            "| {name} | {} | {:.0} | {:.0} | {cpu} | {wall} | {:.0} |",
            program.name,
            packets / median(|cost| cost.wall),
            median(|cost| cost.cpu) * 1e9 / packets,
            median(|cost| cost.peak)
        ));
    }
}

fn run(program: &Program<'_>, capture: &Path) -> Cost {
    let scratch = tempfile::tempdir().unwrap();
    let scratch = scratch.path().join("scratch");
    let words = program.words.iter().map(|word| match *word {
        "FILE" => capture.as_os_str(),
        "SCRATCH" => scratch.as_os_str(),
        word => word.as_ref(),
    });
    Cost::read(&measure::command(&program.path).args(words).output().unwrap())
}

/// The first file of that name on the search path.
fn installed(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn packets(capture: &Path) -> u64 {
    let mut packets = 0;
    file::File::open(capture).unwrap().read(&mut |_| packets += 1).unwrap();
    packets
}

/// A tiny capture, and those that are measured: the ones in the folder that `WHITHER_BENCH_TRACES` names, else the lab runs.
fn captures(folder: &Path) -> (PathBuf, Vec<PathBuf>) {
    let (tiny, lab) = (folder.join("tiny.pcap"), folder.join("lab.pcap"));
    let mut out = BufWriter::new(File::create(&lab).unwrap());
    let mut plan = Plan::default();
    for seed in 1..=LAB_RUNS {
        let mut run = Vec::new();
        plan.seed = seed;
        simulate::write(&plan, &mut run).unwrap();
        let (header, records) = run.split_at(24); // pcap's file header
        if seed == 1 {
            fs::write(&tiny, &run[..24 + length(records, TINY)]).unwrap();
            out.write_all(header).unwrap();
        }
        out.write_all(records).unwrap();
        plan.begin = Timestamp::from_nanos(plan.begin.as_nanos() + u64::from(plan.hours) * 3_600_000_000_000);
    }
    out.flush().unwrap();
    let given = env::var_os("WHITHER_BENCH_TRACES").filter(|given| !given.is_empty());
    let mut given: Vec<PathBuf> =
        given.map_or_else(Vec::new, |given| fs::read_dir(given).unwrap().map(|entry| entry.unwrap().path()).collect());
    given.retain(|path| path.extension().is_some_and(|end| end == "pcap" || end == "pcapng"));
    given.sort();
    (tiny, if given.is_empty() { vec![lab] } else { given })
}

/// Bytes of so many records of a little-endian pcap: a header of 16 bytes, the third of its four words being the bytes kept.
fn length(records: &[u8], count: usize) -> usize {
    (0..count).fold(0, |at, _| at + 16 + u32::from_le_bytes(records[at + 8..at + 12].try_into().unwrap()) as usize)
}
