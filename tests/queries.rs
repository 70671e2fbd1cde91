//! Every query of every panel, variable, annotation and rule is asked of a real Prometheus, and has an answer.
//!
//! Two ways in, since a panel shows both what is now and what was:
//!
//! * **The lab run over its 26 hours.** The engine reads the simulated run once, and every few minutes of packet time the exporter
//!   says what a scrape then would have got; promtool makes Prometheus's own blocks of it, with the times of 2021.
//! * **Now.** Prometheus scrapes `whither read --serve` of the same run, with the rules loaded, and a sensor that is not there.
//!
//! The road not taken is a replay at the pace of scrapes: minutes of waiting, and hours squeezed until no window of a rule fits.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test makes its own world and should stop at the first wrong thing"
)]

mod mixin;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mixin::server::{Server, free_address, until};
use mixin::{choices, dashboards, have, promtool, queries, root, text, whole};
use serde_json::Value;
use whither::capture::file::{File, Item};
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::geo::GeoDb;
use whither::engine::limits::Limits;
use whither::engine::watchlist::Watchlist;
use whither::export::state::StateRow;
use whither::export::{InterfaceRow, Scrape, prometheus};
use whither::packet::{Frame, Link, Timestamp};
use whither::roster;
use whither::simulate::{Plan, write};

/// Between two scrapes of the lab run: less than the five minutes for which Prometheus holds a value.
const EVERY: u64 = 150;
/// Between two steps of a graph.
const STEP: u64 = 300;
/// What Prometheus adds to a scraped series.
const TARGET: &str = r#"job="whither",instance="bench:9843",sensor="lab""#;
/// An alias that is a regular expression by accident.
const ALIAS: &str = "Mi 10T (bench)";
const DEVICES: &str = r#"
[[device]]
alias = "Mi 10T (bench)"
mac = "d0:9c:7a:51:0e:2c"
expected = ["DE", "LT", "NL"]
"#;
const OTHER: &str = "ac:47:1b:9e:40:d3";

/// The state that each alert reaches in the lab run. None of the sensor's own may fire.
const FIRING: &[&str] = &[
    "WhitherConfigChanged",
    "WhitherLocationRefuted",
    "WhitherNewCountry",
    "WhitherNewDomain",
    "WhitherUnexpectedCountry",
    "WhitherWatchlistHit",
];

#[test]
fn every_query_has_an_answer() {
    if !have(&["prometheus", "promtool"], "no query is asked of a Prometheus") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = lab_run(folder.path());
    let flags = ["read", "--serve", "--location", "54.69,25.28", "--learning", "6h", "--devices", "devices.toml", "lab.pcap"];
    let sensor = Server::whither(&flags, folder.path(), "127.0.0.1:0");
    fs::write(folder.path().join("prometheus.yml"), configuration(&sensor.address)).unwrap();

    // The recording rules are worked out for the time of the lab run too, by a Prometheus that has its blocks.
    let first = Prometheus::start(folder.path());
    let (url, start, end) = (format!("http://{}", first.server.address), format!("{}", run.start), format!("{}", run.end));
    let data = folder.path().join("data");
    let backfill = ["tsdb", "create-blocks-from", "--max-block-duration=54h", "rules", "--url", &url, "--start", &start, "--end", &end];
    let more = ["--eval-interval=150s", "--output-dir"];
    promtool(&[&backfill[..], &more, &[data.to_str().unwrap(), root().join("rules.yml").to_str().unwrap()]].concat());
    drop(first);

    let prometheus = Prometheus::start(folder.path());
    prometheus.until_rules_ran();
    let mut wrong = Vec::new();
    then_and_now(&prometheus, &run, &mut wrong);
    rules_then(&prometheus, &run, &mut wrong);
    assert!(wrong.is_empty(), "{} without an answer:\n{}", wrong.len(), wrong.join("\n"));
    totals_are_exact(&prometheus, &run);
}

/// When the lab run began and ended, in seconds, and its last exposition.
struct Run {
    start: u64,
    end: u64,
    last: String,
}

/// Reads the simulated run, with a neighbour beside it whose frames nobody can read, and makes Prometheus's blocks of it.
fn lab_run(folder: &Path) -> Run {
    let plan = Plan::default();
    let mut capture = Vec::new();
    write(&plan, &mut capture).unwrap();
    fs::write(folder.join("lab.pcap"), &capture).unwrap();
    fs::write(folder.join("devices.toml"), DEVICES).unwrap();
    let mut engine = Engine::new(Limits::default(), OurSide::default(), GeoDb::embedded().unwrap(), false);
    engine.stands_at(54.69, 25.28);
    engine.learns_for(Duration::from_secs(6 * 3600));
    engine.watch_for(vec![Watchlist::embedded().unwrap()]);
    engine.register(roster::parse(DEVICES, Path::new("devices.toml")).unwrap());

    let start = plan.begin.as_nanos() / 1_000_000_000;
    let end = start + u64::from(plan.hours) * 3600;
    let mut history = String::new();
    let (mut next, mut packets) = (start + EVERY, 0);
    let mut file = File::from_reader(Cursor::new(capture)).unwrap();
    file.read(&mut |item| {
        let Item::Frame(frame) = item else { panic!("all of it is Ethernet") };
        while frame.time >= Timestamp::from_nanos(next * 1_000_000_000) {
            unreadable(&mut engine, next);
            exposed(&mut history, &mut engine, packets, next);
            next += EVERY;
        }
        packets += 1;
        engine.ingest(&frame);
    })
    .unwrap();
    engine.finish(|_| {});
    let last = exposed(&mut history, &mut engine, packets, end);
    history.push_str("# EOF\n");
    let file = folder.join("history.txt");
    fs::write(&file, history).unwrap();
    let (file, data) = (file.to_str().unwrap(), folder.join("data"));
    promtool(&["tsdb", "create-blocks-from", "--max-block-duration=54h", "openmetrics", file, data.to_str().unwrap()]);
    Run { start, end, last }
}

/// Half a header, and a message to the resolver's port that is none.
fn unreadable(engine: &mut Engine, second: u64) {
    let mut datagram = Vec::new();
    etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 0x77], [2, 0, 0x5e, 0, 0x77, 1])
        .ipv4([192, 168, 77, 250], [192, 168, 77, 1], 64)
        .udp(50_000, 53)
        .write(&mut datagram, b"no message")
        .unwrap();
    for data in [&datagram[..], &datagram[..9]] {
        let time = Timestamp::from_nanos(second * 1_000_000_000);
        engine.ingest(&Frame { number: 0, time, link: Link::Ethernet, wire_len: u32::try_from(data.len()).unwrap(), data });
    }
}

/// Adds what a scrape at this second would have got, and what Prometheus itself adds to it.
fn exposed(history: &mut String, engine: &mut Engine, packets: u64, second: u64) -> String {
    let wlan = InterfaceRow { interface: "wlan0".to_owned(), up: true, packets, ..InterfaceRow::default() };
    let scrape = Scrape {
        snapshot: engine.snapshot(),
        capture: vec![wlan],
        state: Some(StateRow { written: second, errors: 0 }),
        sandbox: ["user", "capabilities", "landlock", "seccomp"].map(|layer| (layer, true)).to_vec(),
        ..Scrape::default()
    };
    let text = prometheus::render(&scrape, true).unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let own = format!("up 1\nscrape_duration_seconds 0.01\nscrape_samples_scraped {}", samples.clone().count());
    for line in samples.chain(own.lines()) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        match series.split_once('{') {
            Some((name, labels)) => writeln!(history, "{name}{{{TARGET},{labels} {value} {second}").unwrap(),
            None => writeln!(history, "{series}{{{TARGET}}} {value} {second}").unwrap(),
        }
    }
    text
}

/// Every query of every dashboard, asked of the lab run and, where it asks for one moment, of now.
fn then_and_now(prometheus: &Prometheus, run: &Run, wrong: &mut Vec<String>) {
    let then = [("__range", "93600s"), ("__interval", "5m"), ("__rate_interval", "10m")];
    let now = [("__range", "300s"), ("__interval", "1m"), ("__rate_interval", "1m")];
    let mut asked = 0;
    for (file, dashboard) in dashboards() {
        let chosen: &[(&str, &str)] = &[("device", ALIAS), ("device_a", ALIAS), ("device_b", OTHER), ("sensor", "lab")];
        for values in [&[][..], chosen] {
            if values.is_empty() && file != "whither-overview.json" && file != "whither-health.json" {
                continue; // of one device: All is no choice there
            }
            for query in queries(&file, &dashboard) {
                let alerts = query.expr.contains("ALERTS");
                let expr = whole(&query.expr, &dashboard, &[values, &then].concat());
                if !alerts && !prometheus.answers(&expr, query.instant, run.start, run.end) {
                    wrong.push(format!("{} in the lab run: {expr}", query.place));
                }
                let expr = whole(&query.expr, &dashboard, &[values, &now].concat());
                let live_only =
                    ["whither_capture_", "whither_state_", "malformed", "skipped", "input_errors"].iter().any(|name| expr.contains(name));
                let values_chosen = alerts && !values.is_empty(); // the absent sensor is the one with an alert
                if query.instant && !live_only && !values_chosen && !prometheus.answers_now(&expr) {
                    wrong.push(format!("{} now: {expr}", query.place));
                }
                asked += 1;
            }
        }
        for (place, series, label) in choices(&file, &dashboard) {
            let expr = format!("count by ({label}) ({})", whole(&series, &dashboard, &[]));
            for moment in [Some(run.end), None] {
                let found = prometheus.instant(&expr, moment);
                if !found.iter().any(|row| !text(row, &format!("/metric/{label}")).is_empty()) {
                    wrong.push(format!("{place}: {expr}"));
                }
            }
        }
    }
    assert!(asked > 100, "only {asked} queries were found");
}

/// Every recording rule has samples over the lab run, and each alert is in the state that it should be in.
fn rules_then(prometheus: &Prometheus, run: &Run, wrong: &mut Vec<String>) {
    let mut firing = BTreeSet::new();
    for rule in prometheus.rules() {
        let name = text(&rule, "/name");
        if rule["type"] == "recording" {
            if !prometheus.answers(name, false, run.start, run.end) {
                wrong.push(format!("recording rule {name}"));
            }
        } else if prometheus.answers(text(&rule, "/query"), false, run.start, run.end) {
            firing.insert(name.to_owned());
        }
    }
    let expected: BTreeSet<String> = FIRING.iter().map(|name| (*name).to_owned()).collect();
    if firing != expected {
        wrong.push(format!("alerts over the lab run: {firing:?}, expected {expected:?}"));
    }
}

/// The totals of the range are those of the sensor, to the byte.
fn totals_are_exact(prometheus: &Prometheus, run: &Run) {
    let (_, overview) = dashboards().into_iter().find(|(file, _)| file == "whither-overview.json").unwrap();
    let shown = |title: &str| {
        let query = queries("", &overview).into_iter().find(|query| query.place.contains(title)).unwrap();
        let expr = whole(&query.expr, &overview, &[("__range", "93600s")]);
        prometheus.instant(&expr, Some(run.end)).iter().map(|row| text(row, "/value/1").parse::<f64>().unwrap()).sum::<f64>()
    };
    let told = |names: &[&str]| {
        let lines = run.last.lines().filter(|line| names.iter().any(|name| line.starts_with(&format!("whither_{name}{{"))));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum::<f64>()
    };
    assert_eq!(shown("\"Sent\""), told(&["device_transmit_bytes_total"]));
    let both = told(&["device_transmit_bytes_total", "device_receive_bytes_total"]);
    assert!(both > 9e6);
    assert_eq!(shown("Devices × countries"), both);
    assert_eq!(shown("Watchlist hits"), told(&["watchlist_hits_total"]));
}

fn configuration(sensor: &str) -> String {
    let (rules, alerts) = (root().join("rules.yml"), root().join("alerts.yml"));
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules:?}, {alerts:?}]
scrape_configs:
- job_name: whither
  static_configs:
  - {{targets: [\"{sensor}\"], labels: {{sensor: lab}}}}
  - {{targets: [\"127.0.0.1:1\"], labels: {{sensor: absent}}}}
"
    )
}

struct Prometheus {
    server: Server,
}

impl Prometheus {
    fn start(folder: &Path) -> Self {
        let address = free_address();
        let mut command = Command::new("prometheus");
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--storage.tsdb.retention.time=100y"]);
        command.arg(format!("--web.listen-address={address}"));
        Self { server: Server::start(&mut command, folder, &address, "ready to receive web requests") }
    }

    /// The rows of an answer at a moment, in seconds, or now.
    fn instant(&self, expr: &str, moment: Option<u64>) -> Vec<Value> {
        let time = moment.map(|second| format!("&time={second}")).unwrap_or_default();
        self.server.query("query", expr, &time)
    }

    fn answers(&self, expr: &str, instant: bool, start: u64, end: u64) -> bool {
        let rows = if instant {
            self.instant(expr, Some(end))
        } else {
            self.server.query("query_range", expr, &format!("&start={start}&end={end}&step={STEP}"))
        };
        rows.iter().any(is_number)
    }

    fn answers_now(&self, expr: &str) -> bool {
        self.instant(expr, None).iter().any(is_number)
    }

    fn rules(&self) -> Vec<Value> {
        let answer: Value = serde_json::from_str(&self.server.get("/api/v1/rules")).unwrap();
        let groups = answer["data"]["groups"].as_array().unwrap();
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
    }

    /// Every rule has run without an error, on what was scraped, and an alert is on its way.
    fn until_rules_ran(&self) {
        let ran = || {
            let rules = self.rules();
            for rule in &rules {
                assert_ne!(rule["health"], "err", "{rule}");
            }
            let ran = !rules.is_empty() && rules.iter().all(|rule| rule["health"] == "ok");
            ran && self.answers_now("ALERTS") && self.answers_now("whither_build_info{sensor=\"lab\"}")
        };
        until(ran, || format!("the rules never ran: {:?}", self.rules()));
    }
}

/// Whether a row of an answer has at least one number.
fn is_number(row: &Value) -> bool {
    let number = |pair: &Value| pair[1].as_str().unwrap().parse::<f64>().is_ok_and(f64::is_finite);
    row.get("value").is_some_and(number) || row["values"].as_array().is_some_and(|pairs| pairs.iter().any(number))
}
