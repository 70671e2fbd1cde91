//! What destinations are for, through the real program: each byte outside under one category, and noise as the simulation made it.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by panicking, on files of its own")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Hosts of the simulated run that are noise and nothing else, by kind; push on ports that say so among them.
const NOISE: [(&str, &[&str]); 3] = [
    ("captive_portal", &["connectivitycheck.gstatic.com", "connect.rom.miui.com", "connectivitycheck.cbg-app.huawei.com"]),
    ("time", &["time.android.com"]),
    ("push", &["mtalk.google.com", "app.chat.global.xiaomi.net", "data-dre.push.dbankcloud.com", "shorteuex.push.heytapmobile.com"]),
];

fn whither(folder: &Path, arguments: &[&str]) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_whither")).current_dir(folder).args(arguments).output().unwrap();
    assert!(run.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

/// A metric's samples: the text between its braces, and the value.
fn samples(text: &str, name: &str) -> Vec<(String, u64)> {
    let of = |line: &str| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} ")?;
        Some((labels.to_owned(), value.parse().unwrap()))
    };
    text.lines().filter_map(of).collect()
}

fn sum(samples: &[(String, u64)], device: &str, label: &str) -> u64 {
    let device = format!("device=\"{device}\"");
    samples.iter().filter(|(labels, _)| labels.starts_with(&device) && labels.contains(label)).map(|(_, value)| value).sum()
}

#[test]
fn noise_is_what_the_simulation_made_and_all_bytes_outside_have_one_category() {
    let folder = tempfile::tempdir().unwrap();
    whither(folder.path(), &["simulate", "lab.pcap", "--hours", "12"]);
    let table = whither(folder.path(), &["read", "lab.pcap", "--metrics", "metrics.txt"]);
    let summary: Value = serde_json::from_str(&whither(folder.path(), &["read", "lab.pcap", "--json"])).unwrap();
    let metrics = fs::read_to_string(folder.path().join("metrics.txt")).unwrap();
    let truth: Value = serde_json::from_str(&fs::read_to_string(folder.path().join("lab.truth.json")).unwrap()).unwrap();
    let (services, locations) = (samples(&metrics, "whither_service_bytes_total"), samples(&metrics, "whither_location_bytes_total"));

    let mut kinds = [0_u64; 3];
    for device in truth["devices"].as_array().unwrap().iter().filter(|device| device["router"] == false) {
        let id = device["mac"].as_str().unwrap();
        assert_eq!(sum(&services, id, ""), sum(&locations, id, ""), "{id}: each byte outside is under one category");
        let rows: Vec<&Value> = summary["destinations"].as_array().unwrap().iter().filter(|row| row["device"] == id).collect();
        for (index, (kind, names)) in NOISE.iter().enumerate() {
            let there = device["destinations"].as_array().unwrap().iter();
            let there = there.filter(|row| row["name"].as_str().is_some_and(|name| names.contains(&name)));
            let made: u64 = there.map(|row| row["transmit_bytes"].as_u64().unwrap() + row["receive_bytes"].as_u64().unwrap()).sum();
            let told = sum(&services, id, &format!("category=\"{kind}\""));
            assert_eq!(told, made, "{id}: {kind}");
            let of_rows = rows.iter().flat_map(|row| row["services"].as_array().unwrap());
            let of_rows = of_rows.filter(|service| service["category"] == *kind && service["ambiguous"] == false);
            assert_eq!(of_rows.map(|service| service["bytes"].as_u64().unwrap()).sum::<u64>(), made, "{id}: {kind} of the rows");
            kinds[index] += made;
        }
        let noise: u64 = rows.iter().map(|row| row["noise_bytes"].as_u64().unwrap()).sum();
        let all: u64 = NOISE.iter().map(|(kind, _)| sum(&services, id, &format!("category=\"{kind}\""))).sum();
        assert_eq!(noise, all, "{id}");
        assert!(table.lines().any(|line| line.contains(&format!("{id}: ")) && line.contains("; without it ")), "{table}");
    }
    assert!(kinds.iter().all(|bytes| *bytes > 0), "{kinds:?}");

    let rows = summary["destinations"].as_array().unwrap();
    let clock = rows.iter().find(|row| row["destination"] == "android.com").unwrap();
    assert_eq!((&clock["noise"], &clock["services"][0]["vendor"]), (&"time".into(), &"Google".into()));
    let google = rows.iter().find(|row| row["destination"] == "google.com" && row["origin"] == "quic").unwrap();
    assert_eq!((&google["noise"], &google["services"][0]["ambiguous"]), (&Value::Null, &true.into()), "a search is no noise");
}

#[test]
fn a_list_of_the_persons_own_says_what_a_host_is_for_before_the_embedded_one() {
    let folder = tempfile::tempdir().unwrap();
    let own = "globalapi.ad.xiaomi.com\tLab\ttelemetry\t-\tfalse\tX\n*.debian.org\tDebian\tupdate\t-\tfalse\tX\n";
    fs::write(folder.path().join("mine.tsv"), own).unwrap();
    whither(folder.path(), &["simulate", "lab.pcap", "--hours", "3"]);
    let lines = whither(folder.path(), &["read", "lab.pcap", "--watchlist", "mine.tsv", "--events", "-"]);
    let flows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |name: &str| {
        let flow = flows.iter().find(|event| event["event.action"] == "flow" && event["destination.domain"] == name);
        let flow = flow.unwrap_or_else(|| unreachable!("no flow to {name}"));
        let text = |key: &str| flow[key].as_str().unwrap_or("-").to_owned();
        [text("whither.service_category"), text("whither.vendor")]
    };
    assert_eq!(said("globalapi.ad.xiaomi.com"), ["telemetry", "Lab"]);
    assert_eq!(said("www.debian.org"), ["update", "Debian"]);
    assert_eq!(said("sa.api.intl.miui.com"), ["telemetry", "Xiaomi"]);
    assert_eq!(said("www.ripe.net"), ["-", "-"]);
}
