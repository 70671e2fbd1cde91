//! The README says what is there: its picture, flags, metrics, events and caps are held against the program.
//!
//! Road not taken: making the README from the program. It is for people, and its words want an author.

#![expect(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "a test reads files of its own")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory as _;
use whither::config::Cli;
use whither::engine::limits::Limits;
use whither::engine::roster::MOST_DEVICES;
use whither::export::prometheus;
use whither::roster;

#[test]
fn the_picture_is_what_read_prints() {
    let printed = read(&[]);
    let readme = readme();
    let picture = readme.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(picture.lines().count() > 5);
    for line in picture.lines() {
        assert!(printed.lines().any(|other| other.starts_with(line)), "`whither read` does not print\n{line}\nbut\n{printed}");
    }
}

#[test]
fn the_evidence_is_what_explain_prints() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("lab.pcap");
    whither(&["simulate", capture.to_str().unwrap()]);
    let section = section("Why: the evidence behind a row");
    let mut lines = section.split("```text\n$ whither explain ").nth(1).unwrap().split("```").next().unwrap().lines();
    let asked: Vec<&str> = lines.next().unwrap().split(" --evidence").next().unwrap().split(' ').collect();
    let asked: Vec<&str> = asked.into_iter().map(|word| if word == "lab.pcap" { capture.to_str().unwrap() } else { word }).collect();
    let printed = whither(&[&["explain"], &asked[..]].concat());
    let mut rest = printed.lines();
    for line in lines {
        assert!(rest.any(|other| other.starts_with(line)), "in its place, `whither explain` does not print\n{line}\nbut\n{printed}");
    }
}

#[test]
fn every_metric_is_listed() {
    let whole = |series: String| {
        let name = series.trim_start_matches("whither_");
        ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
    };
    assert_eq!(first_cells("Metrics"), prometheus::series().map(whole).collect());
}

#[test]
fn every_event_is_listed() {
    let action = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["event.action"].as_str().unwrap().to_owned()
    };
    // Nobody in the simulated run says another name than it was told, or changes its MAC, nobody wrote down what to expect of it, and
    // nobody at the bench said anything.
    let others = ["name-conflict", "same-device", "unexpected-country", "mark"].map(str::to_owned);
    let seen = read(&["--events", "-", "--learning", "0"]).lines().map(action).chain(others).collect();
    assert_eq!(first_cells("Events"), seen);
}

#[test]
fn every_flag_is_listed() {
    let flags = Cli::command()
        .get_subcommands()
        .flat_map(|command| command.get_arguments().filter_map(clap::Arg::get_long).map(|flag| format!("--{flag}")).collect::<Vec<_>>())
        .collect();
    let listed: BTreeSet<String> = first_cells("Commands")
        .iter()
        .filter(|cell| cell.starts_with("--"))
        .map(|cell| cell.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(listed, flags);
}

#[test]
fn every_dependency_stands_with_what_it_is_for() {
    let manifest: toml::Table = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap().parse().unwrap();
    let target = manifest["target"].as_table().unwrap().values().map(|target| &target["dependencies"]);
    let direct: BTreeSet<&str> =
        target.chain([&manifest["dependencies"]]).flat_map(|table| table.as_table().unwrap().keys().map(String::as_str)).collect();
    let section = section("What it is built from");
    let listed: BTreeSet<&str> =
        section.lines().filter(|line| line.starts_with("| ")).flat_map(|line| line.split('`').skip(1).step_by(2)).collect();
    assert_eq!(listed, direct);
}

#[test]
fn the_devices_file_is_one_that_is_read() {
    let section = section("Devices: who is who");
    let example = section.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let roster = roster::parse(example, Path::new("README.md")).unwrap();
    assert_eq!(roster.len(), example.matches("[[device]]").count());
    let fields = first_cells("Devices: who is who");
    assert!(!fields.is_empty() && fields.iter().all(|field| example.contains(&format!("\n{field} = "))), "{fields:?}");
}

#[test]
fn every_cap_is_the_one_in_use() {
    let limits = Limits::default();
    let section = section("What is bounded");
    let caps = [
        limits.flows,
        limits.devices,
        limits.names,
        limits.names_per_device,
        limits.neighbours,
        limits.accounts,
        MOST_DEVICES,
        limits.accounts_per_device,
        limits.contact_devices,
        limits.contacts,
        limits.contacts_per_device,
        limits.rhythms,
        limits.pulls,
        limits.streams,
        limits.dns_stream_bytes,
        limits.events,
    ];
    for cap in caps {
        let (thousands, rest) = (cap / 1000, cap % 1000);
        assert!(section.contains(&format!("{thousands},{rest:03}")), "{cap} is not in:\n{section}");
    }
    assert!(section.contains(&format!("{} KiB", limits.stream_bytes / 1024)));
}

/// What `read` prints of the simulated lab run.
fn read(flags: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("lab.pcap");
    whither(&["simulate", capture.to_str().unwrap()]);
    whither(&[&["read", capture.to_str().unwrap()], flags].concat())
}

fn whither(arguments: &[&str]) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_whither")).args(arguments).output().unwrap();
    assert!(run.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

fn section(title: &str) -> String {
    let readme = readme();
    let from = readme.split(&format!("\n## {title}\n")).nth(1).unwrap_or_else(|| panic!("no section {title}"));
    from.split("\n## ").next().unwrap().to_owned()
}

/// What stands in backticks in the first column of a section's tables.
fn first_cells(title: &str) -> BTreeSet<String> {
    let section = section(title);
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|line| line.split(" |").next());
    cells.flat_map(|cell| cell.trim_end_matches('`').split("`, `")).map(str::to_owned).collect()
}
