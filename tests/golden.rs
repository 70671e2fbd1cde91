//! Small captures and what `whither read` must say of them: events, metrics and table, to the byte.
//!
//! `UPDATE=1 cargo test --test golden` writes the expectations anew: read the diff before committing it. The captures themselves are
//! made by `cargo test --test golden -- --ignored`; `pcaps/README.md` says what each holds.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test fails by panicking")]

mod samples;
mod wire;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Flags that a capture is read with, beside the address databases of the laboratory.
const FLAGS: [(&str, &[&str]); 2] =
    [("behind-router.pcap", &["--by-address"]), ("ipv4-public.pcap", &["--local-net", "203.0.113.0/29", "--sensor", "bench"])];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pcaps")
}

fn captures() -> Vec<String> {
    let names = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut captures: Vec<_> = names.filter(|name| [".pcap", ".pcapng", ".gz"].iter().any(|end| name.ends_with(end))).collect();
    captures.sort_unstable();
    captures
}

/// What `read` says of a capture: (suffix of the expectation, text) for events, metrics, table.
fn told(name: &str) -> [(&'static str, String); 3] {
    let out = tempfile::tempdir().unwrap();
    let (events, metrics) = (out.path().join("events"), out.path().join("metrics"));
    let flags = FLAGS.iter().find(|(capture, _)| *capture == name).map_or(&[][..], |(_, flags)| flags);
    let run = Command::new(env!("CARGO_BIN_EXE_whither"))
        .args(["read", "--geoip", "../geoip/lab-country.mmdb", "--geoip", "../geoip/lab-asn.mmdb", "--events"])
        .arg(&events)
        .arg("--metrics")
        .arg(&metrics)
        .args(flags)
        .arg(name)
        .current_dir(folder())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && said.is_empty(), "{name}: {}, saying: {said}", run.status);
    // Which program this is and how old its data are is no property of a capture.
    let kept = |line: &&str| !line.starts_with("whither_build_info{") && !line.starts_with("whither_geoip_build_timestamp_seconds{");
    let metrics: String = fs::read_to_string(metrics).unwrap().split_inclusive('\n').filter(kept).collect();
    let table = String::from_utf8(run.stdout).unwrap();
    let table: String =
        table.split_inclusive('\n').map(|line| line.split_once("; databases: ").map_or(line, |(credit, _)| credit)).collect();
    [("events.jsonl", fs::read_to_string(events).unwrap()), ("metrics.txt", metrics), ("table.txt", table.trim_end().to_owned() + "\n")]
}

/// Where two texts differ, as a person would want to be told.
fn difference(path: &Path, expected: &str, told: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (expected.lines().collect(), told.lines().collect());
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let same_end = old[same..].iter().rev().zip(new[same..].iter().rev()).take_while(|(old, new)| old == new).count();
    let (first, second) = (old.get(same).unwrap_or(&""), new.get(same).unwrap_or(&""));
    let column = first.chars().zip(second.chars()).take_while(|(old, new)| old == new).count();
    let mut text = format!("{}, line {}, column {}:\n", path.display(), same + 1, column + 1);
    let shown = |sign: char, lines: &[&str]| lines.iter().take(8).map(|line| format!("  {sign} {line}\n")).collect::<String>();
    text.push_str(&shown('-', &old[same..old.len() - same_end]));
    text.push_str(&shown('+', &new[same..new.len() - same_end]));
    text
}

#[test]
fn captures_are_told_as_expected() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut differences = Vec::new();
    let mut wanted = BTreeSet::new();
    for capture in captures() {
        let stem = capture.split('.').next().unwrap().to_owned();
        for (suffix, told) in told(&capture) {
            let path = folder().join(format!("{stem}.{suffix}"));
            let expected = fs::read_to_string(&path).unwrap_or_default();
            if update {
                fs::write(&path, &told).unwrap();
            } else if told != expected {
                differences.push(difference(&path, &expected, &told));
            }
            assert!(wanted.insert(path), "{stem}: two captures of one name");
        }
    }
    assert!(wanted.len() > 60, "the captures are missing");
    assert!(differences.is_empty(), "UPDATE=1 cargo test --test golden takes what is told now:\n{}", differences.join("\n"));
    let kept: BTreeSet<_> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let stale: Vec<_> =
        kept.difference(&wanted).filter(|path| [".jsonl", ".txt"].iter().any(|end| path.to_str().unwrap().ends_with(end))).collect();
    assert!(stale.is_empty(), "expectations of no capture: {stale:?}");
}

/// What holds whatever the expectations say: no series twice, every sum of a device equal.
#[test]
fn expectations_are_sound() {
    for path in fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.display().to_string();
        if name.ends_with(".events.jsonl") {
            for line in fs::read_to_string(&path).unwrap().lines() {
                let event: serde_json::Value = serde_json::from_str(line).unwrap();
                for key in ["@timestamp", "event.action", "observer.name", "device.id"] {
                    assert!(event.get(key).is_some_and(serde_json::Value::is_string), "{name}: no {key} in {line}");
                }
            }
        } else if name.ends_with(".metrics.txt") {
            let text = fs::read_to_string(&path).unwrap();
            let samples = || text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap());
            let series: BTreeSet<_> = samples().map(|(series, _)| series).collect();
            assert_eq!(series.len(), samples().count(), "{name}: a series twice");
            let sum = |metric: &str| -> f64 {
                samples().filter(|(series, _)| series.starts_with(metric)).map(|(_, value)| value.parse::<f64>().unwrap()).sum()
            };
            for way in ["transmit", "receive"] {
                let total = sum(&format!("whither_device_{way}_bytes_total{{"));
                assert_eq!(total, sum(&format!("whither_country_{way}_bytes_total{{")), "{name}");
                assert_eq!(total, sum(&format!("whither_destination_{way}_bytes_total{{")), "{name}: at the end nothing is pending");
            }
        }
    }
}

#[test]
fn prometheus_linter_finds_nothing() {
    for path in
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.to_str().unwrap().ends_with(".metrics.txt"))
    {
        let linted = fs::OpenOptions::new().read(true).open(&path).unwrap();
        let check = Command::new("promtool").args(["check", "metrics"]).stdin(linted).output();
        let Ok(verdict) = check else { return eprintln!("SKIPPED: promtool is not on PATH, the expectations are not linted") };
        let said = String::from_utf8_lossy(&verdict.stderr);
        assert!(verdict.status.success() && said.is_empty(), "{}: {said}", path.display());
    }
}

/// Makes the captures anew, all but those that nobody here made.
#[test]
#[ignore = "writes into the source tree: by hand after a change of tests/samples, cargo test --test golden -- --ignored"]
fn make_the_captures() {
    for (name, bytes) in samples::all() {
        assert!(bytes.len() < 50_000, "{name}: {} bytes", bytes.len());
        fs::write(folder().join(name), bytes).unwrap();
    }
}
