//! Watchlists through the real program: hits of the simulated lab run in events and metrics, and a bad list in one clear line.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panicking, on files of its own")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn whither(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_whither")).current_dir(folder).args(arguments).output().unwrap()
}

#[test]
fn each_flow_to_a_listed_host_is_one_hit_of_each_list() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    fs::write(folder.path().join("mine.txt"), "||miui.com^\n@@||rom.miui.com^\n").unwrap();
    assert!(whither(folder.path(), &["simulate", "lab.pcap", "--hours", "3"]).status.success());
    let read = ["read", "lab.pcap", "--watchlist", "mine.txt", "--events", "events.json", "--metrics", "metrics.txt"];
    assert!(whither(folder.path(), &read).status.success());

    let events: Vec<serde_json::Value> = at("events.json").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let flows = |end: &str| {
        let to = |event: &&serde_json::Value| {
            let domain = event["destination.domain"].as_str().unwrap_or_default();
            event["event.action"] == "flow" && domain.ends_with(end) && !domain.ends_with("rom.miui.com")
        };
        events.iter().filter(to).count()
    };
    let hits = |ruleset: &str, rule: &str| {
        let of = |event: &&serde_json::Value| {
            event["event.action"] == "watchlist" && event["rule.ruleset"] == ruleset && event["rule.name"] == rule
        };
        events.iter().filter(of).count()
    };
    assert!(flows("globalapi.ad.xiaomi.com") > 0 && flows(".miui.com") > 0);
    assert_eq!(hits("whither", "globalapi.ad.xiaomi.com"), flows("globalapi.ad.xiaomi.com"), "once for each flow, never for a question");
    assert_eq!(hits("mine", "||miui.com^"), flows(".miui.com"));

    let pull = events.iter().find(|event| event["rule.name"] == "globalapi.ad.xiaomi.com").unwrap();
    assert_eq!(pull["rule.category"], "config");
    assert_eq!(pull["whither.vendor"], "Xiaomi");
    assert_eq!(pull["destination.domain"], "globalapi.ad.xiaomi.com");
    assert!(pull["source.ip"].is_string() && pull["destination.port"].is_number(), "{pull}");

    let counted: usize = at("metrics.txt")
        .lines()
        .filter(|line| line.starts_with("whither_watchlist_hits_total{") && line.contains("ruleset=\"mine\",category=\"unclassified\""))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap())
        .sum();
    assert_eq!(counted, hits("mine", "||miui.com^"));
}

#[test]
fn a_bad_list_is_one_line_that_names_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.txt"), "good.example.org\nno rule at all\n").unwrap();
    assert!(whither(folder.path(), &["simulate", "lab.pcap", "--hours", "1"]).status.success());
    for (list, says) in [("bad.txt", "the watchlist bad.txt: line 2: "), ("gone.txt", "cannot read the watchlist gone.txt: ")] {
        let output = whither(folder.path(), &["read", "lab.pcap", "--watchlist", list]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains(says) && said.lines().count() == 1, "{said}");
    }
}
