//! The experiments of the bench, as `packaging/experiments.md` tells them: every command there is one, and those that the simulated lab
//! run can play print what stands below them.
//!
//! Road taken: the page itself is the test, so nobody follows a command that has become another. Road not taken: the same numbers once
//! more here, which would agree with the program and not with the page.
#![expect(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use clap::Parser as _;
use whither::config::Cli;

const PAGE: &str = include_str!("../packaging/experiments.md");

/// A command of the page, and the lines that it prints of the simulated run.
struct Step {
    experiment: &'static str,
    command: &'static str,
    prints: Vec<&'static str>,
}

impl Step {
    /// Whether it is about the simulated run, and not about a capture of the bench.
    fn is_played(&self) -> bool {
        self.command.starts_with("whither ") && self.command.split(' ').any(|word| matches!(word, "lab.pcap" | "days.pcap"))
    }

    fn words(&self) -> Vec<&'static str> {
        self.command.split(' ').collect()
    }
}

static STEPS: LazyLock<Vec<Step>> = LazyLock::new(|| {
    let mut steps: Vec<Step> = Vec::new();
    let (mut experiment, mut block) = ("", "");
    for line in PAGE.lines() {
        match (block, line) {
            ("", line) if line.starts_with("```") => block = line,
            (_, "```") => block = "",
            ("", line) => experiment = line.strip_prefix("## ").unwrap_or(experiment),
            ("```sh", command) => steps.push(Step { experiment, command, prints: Vec::new() }),
            ("```text", printed) => steps.last_mut().unwrap().prints.push(printed),
            (block, _) => panic!("a block of another kind: {block}"),
        }
    }
    steps
});

/// Where the simulated runs lie.
static LAB: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    for step in STEPS.iter().filter(|step| step.command.starts_with("whither simulate ")) {
        run(step, folder.path());
    }
    folder
});

fn run(step: &Step, at: &Path) -> String {
    let words = step.words();
    let run = Command::new(env!("CARGO_BIN_EXE_whither")).args(words.get(1..).unwrap()).current_dir(at).output().unwrap();
    assert!(run.status.success(), "{}: {}", step.command, String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn there_are_ten_and_each_says_its_state_what_to_expect_and_by_whom() {
    let parts: Vec<&str> = PAGE.split("\n## E").skip(1).collect();
    assert_eq!(parts.len(), 10);
    for (part, number) in parts.iter().zip(1..) {
        assert!(part.starts_with(&format!("{number} ")), "{part}");
        assert!(["\n- State: ", "\n- Expect: ", "\n- Source: ", "\n```sh\nwhither "].iter().all(|words| part.contains(words)), "{part}");
    }
}

#[test]
fn every_command_is_one() {
    for step in STEPS.iter() {
        match step.words().first() {
            Some(&"whither") => assert!(Cli::try_parse_from(step.words()).is_ok(), "{}", step.command),
            Some(&("jq" | "tshark")) => {}
            other => panic!("{other:?} of {}", step.command),
        }
    }
}

#[test]
fn what_can_be_played_prints_what_stands_there() {
    let mut played = BTreeSet::new();
    for step in STEPS.iter().filter(|step| step.is_played() && !step.prints.is_empty()) {
        let printed = run(step, LAB.path());
        for line in &step.prints {
            assert!(printed.contains(line), "{}: `{}` does not print\n{line}\nbut\n{printed}", step.experiment, step.command);
        }
        played.extend(step.experiment.split(' ').next());
    }
    // E3 fails on purpose, E10 is against another program.
    assert_eq!(played, BTreeSet::from(["E1", "E2", "E4", "E5", "E6", "E7", "E8", "E9"]));
}

/// The wrong answers of an experiment are told from the right ones: what E4 and E5 expect of the Xiaomi does not hold for the others.
#[test]
fn the_control_shows_no_response() {
    for phone in ["oneplus8t", "huawei_p40-1f3c9a77d2"] {
        let words = ["report", "lab.pcap", "--device", phone, "--marks", "lab.marks"];
        let run = Command::new(env!("CARGO_BIN_EXE_whither")).args(words).current_dir(LAB.path()).output().unwrap();
        let printed = String::from_utf8(run.stdout).unwrap();
        let after = printed.split("### After the marks").nth(1).unwrap().split("\n### ").next().unwrap();
        assert!(after.contains("| `page` | `www.gstatic.com`"), "what every page loads: {after}");
        assert!(!after.contains("xiaomi") && !after.contains("miui"), "{after}");
    }
}

/// E10, where tshark is there.
#[test]
fn others_read_the_same_names() {
    let steps: Vec<&Step> = STEPS.iter().filter(|step| step.experiment.starts_with("E10 ")).collect();
    let [own, other] = steps[..] else { panic!("{}", steps.len()) };
    run(own, LAB.path());
    let words = other.words();
    let (program, arguments) = words.split_first().unwrap();
    let Ok(told) = Command::new(program).args(arguments).current_dir(LAB.path()).output() else {
        return eprintln!("SKIPPED: {program} is not there, so nobody else reads the names");
    };
    let by_others: BTreeSet<String> = String::from_utf8(told.stdout).unwrap().lines().map(str::to_owned).collect();
    let names = fs::read_to_string(LAB.path().join("names.tsv")).unwrap();
    let mut by_us = BTreeSet::new();
    for line in names.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let [packet, .., origin, name] = cells[..] else { panic!("{line}") };
        if matches!(origin, "sni" | "quic") {
            by_us.insert(format!("{packet}\t{name}"));
        }
    }
    assert!(by_us.len() > 300, "{}", by_us.len());
    assert_eq!(by_us, by_others);
}
