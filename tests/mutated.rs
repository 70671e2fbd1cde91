//! Captures with one byte in a hundred changed at random: `read` neither crashes, nor hangs, nor takes the machine's memory.
//!
//! Each capture is damaged in two ways, with many seeds each: anywhere, which mostly breaks its framing soon; and only inside its
//! packets, which goes as deep as the capture does. `make mutated CORPUS=DIR` does the same with every capture below a directory,
//! by a release build. What stops a hang is a limit on processor time far beyond the whole capture's, not a clock: a busy machine
//! fails nothing.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a test makes its own files and fails by panicking"
)]

use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fastrand::Rng;
use nix::sys::resource::{UsageWho, getrusage};

/// Damaged copies of each capture, of each kind; more where a corpus is given.
const SEEDS: [u64; 2] = [8, 20];
/// KiB of address space that a reading may have: every table full at once, and a block of 64 MiB in its buffer.
const SPACE: u64 = 640 << 10;
/// Seconds of processor time that any reading may have, beside ten times what the whole capture took.
const SPARE: u64 = 20;

/// What a reading writes beside the table: events, metrics, names.
const WRITTEN: [&str; 3] = ["events.jsonl", "metrics.txt", "names.tsv"];

#[test]
fn a_damaged_capture_is_read_as_far_as_it_goes() {
    let given = std::env::var_os("WHITHER_MUTATED").filter(|folder| !folder.is_empty());
    let seeds = SEEDS[usize::from(given.is_some())];
    let folder = given.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pcaps"), PathBuf::from);
    let mut captures = Vec::new();
    find(&folder, &mut captures);
    captures.sort();
    assert!(!captures.is_empty(), "no capture in {}", folder.display());
    let (next, slowest) = (Mutex::new(captures.iter()), Mutex::new((0.0, PathBuf::new())));
    let at_once = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                let scratch = tempfile::tempdir().unwrap();
                while let Some(path) = { next.lock().unwrap().next() } {
                    let ratio = all_of(path, scratch.path(), seeds);
                    let mut slowest = slowest.lock().unwrap();
                    if ratio > slowest.0 {
                        *slowest = (ratio, path.clone());
                    }
                }
            });
        }
    });
    let (ratio, path) = slowest.into_inner().unwrap();
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    eprintln!(
        "{} captures, {} readings; most memory {peak} KiB; the slowest took {ratio:.1} times as long as the whole capture: {}",
        captures.len(),
        captures.len() as u64 * (1 + 2 * seeds),
        path.display()
    );
}

/// One capture whole, then damaged; how many times longer than the whole one the slowest took.
fn all_of(path: &Path, scratch: &Path, seeds: u64) -> f64 {
    let bytes = std::fs::read(path).unwrap();
    let (whole, told) = read(path, scratch, SPARE);
    assert!(matches!(told.status.code(), Some(0 | 1)), "{}: {told:?}", path.display());
    let plain = unpacked(&bytes);
    let (everywhere, inside) = ([Range { start: 0, end: bytes.len() }], packets(&plain));
    let damaged = scratch.join("damaged");
    let mut slowest = 0.0_f64;
    for seed in 0..seeds {
        for (what, bytes, ranges) in [("anywhere", &bytes, &everywhere[..]), ("in packets", &plain, &inside[..])] {
            std::fs::write(&damaged, changed(bytes, ranges, seed)).unwrap();
            let (took, told) = read(&damaged, scratch, 10 * whole.as_secs() + SPARE);
            let said = String::from_utf8_lossy(&told.stderr);
            let sound = matches!(told.status.code(), Some(0 | 1)) && !said.contains("panicked");
            assert!(sound, "{} changed {what} by seed {seed}: {}: {said}", path.display(), told.status);
            let [events, metrics, names] = WRITTEN.map(|name| std::fs::read(scratch.join(name)).unwrap_or_default());
            for (text, also) in [(&told.stdout, '\n'), (&told.stderr, '\n'), (&events, '\n'), (&metrics, '\n'), (&names, '\t')] {
                let text = std::str::from_utf8(text).unwrap();
                let escape = text.chars().find(|letter| letter.is_control() && *letter != '\n' && *letter != also);
                assert_eq!(escape, None, "{} changed {what} by seed {seed} reaches a terminal", path.display());
            }
            for line in events.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let event: Result<serde_json::Value, _> = serde_json::from_slice(line);
                assert!(event.is_ok(), "{} changed {what} by seed {seed}: {}", path.display(), line.escape_ascii());
            }
            slowest = slowest.max(took.as_secs_f64() / whole.as_secs_f64());
        }
    }
    slowest
}

/// `whither read` with everything that it can write, within `seconds` of processor time; how long it took.
fn read(path: &Path, scratch: &Path, seconds: u64) -> (Duration, Output) {
    let limited = format!("ulimit -t {seconds} -v {SPACE} && exec \"$@\"");
    let begun = Instant::now();
    let output = Command::new("bash")
        .args(["-c", &limited, "bash", env!("CARGO_BIN_EXE_whither"), "read"])
        .arg(path)
        .args(["--events", WRITTEN[0], "--metrics", WRITTEN[1], "--names", WRITTEN[2], "--location", "54.7,25.3"])
        .current_dir(scratch)
        .output()
        .unwrap();
    (begun.elapsed(), output)
}

fn find(folder: &Path, captures: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        let name = path.to_string_lossy();
        if path.is_dir() {
            find(&path, captures);
        } else if [".pcap", ".pcapng", ".cap", ".gz"].iter().any(|ending| name.ends_with(ending)) {
            captures.push(path);
        }
    }
}

/// One byte in a hundred of these ranges changed, one at least.
fn changed(bytes: &[u8], ranges: &[Range<usize>], seed: u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut chance = Rng::with_seed(seed);
    let length: usize = ranges.iter().map(Range::len).sum();
    for _ in 0..length.div_ceil(100) {
        let mut at = chance.usize(..length);
        let range = ranges.iter().find(|range| {
            at < range.len() || {
                at -= range.len();
                false
            }
        });
        bytes[range.unwrap().start + at] ^= chance.u8(1..);
    }
    bytes
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match bytes.starts_with(&[0x1f, 0x8b]) {
        true => drop(flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain)),
        false => plain.extend(bytes),
    }
    plain
}

/// Where the packets' own bytes are: what no framing needs.
fn packets(file: &[u8]) -> Vec<Range<usize>> {
    let number = |at: usize, big: bool| {
        let bytes = file.get(at..at + 4)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) } as usize)
    };
    let mut found = Vec::new();
    if number(0, true) != Some(0x0a0d_0d0a) {
        let big = file[0] == 0xa1;
        let mut at = 24;
        while let Some(length) = number(at + 8, big) {
            found.push(at + 16..(at + 16 + length).min(file.len()));
            at += 16 + length;
        }
    } else {
        let (mut at, mut big) = (0, false);
        while let Some(kind) = number(at, big) {
            if kind == 0x0a0d_0d0a {
                big = number(at + 8, true) == Some(0x1a2b_3c4d);
            }
            let Some(length @ 12..) = number(at + 4, big) else { break };
            let head = match number(at, big) {
                Some(6) => 28, // enhanced packet
                Some(3) => 12, // simple packet
                _ => length,
            };
            found.push((at + head).min(file.len())..(at + length).saturating_sub(4).min(file.len()));
            at += length;
        }
    }
    found.retain(|range| !range.is_empty());
    found
}
