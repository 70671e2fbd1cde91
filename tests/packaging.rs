//! The unit for systemd: how exposed systemd itself finds it, and that the program knows what it is started with.

#![expect(clippy::disallowed_methods, reason = "a test reads files of its own")]

use std::process::Command;

use clap::Parser as _;
use whither::config::Cli;

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/systemd/whither.service");

#[test]
fn systemd_finds_the_service_little_exposed() {
    let Ok(analysed) = Command::new("systemd-analyze").args(["security", "--offline=true", "--no-pager", UNIT]).output() else {
        return eprintln!("\n*** SKIPPED: systemd-analyze is not there ***\n");
    };
    let said = String::from_utf8_lossy(&analysed.stdout);
    let Some(overall) = said.lines().find_map(|line| line.split_once("Overall exposure level for whither.service: ")) else {
        let error = String::from_utf8_lossy(&analysed.stderr);
        return eprintln!("\n*** SKIPPED: this systemd-analyze reads no unit by itself: {error} ***\n");
    };
    let exposure: f64 = overall.1.split(' ').next().unwrap().parse().unwrap();
    assert!(exposure <= 2.0, "{said}");
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    assert!(readme.contains(&format!("`systemd-analyze security` reports {exposure} ")), "the README says another number than {exposure}");
}

#[test]
fn the_service_is_started_with_flags_that_there_are() {
    let unit = std::fs::read_to_string(UNIT).unwrap();
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let line = line.replace("%S", "/var/lib").replace("$ARGS", "wlan0 --events /var/log/whither/events.jsonl");
    Cli::try_parse_from(line.split(' ')).unwrap();
}
