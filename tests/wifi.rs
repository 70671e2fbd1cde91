//! The main job on a real 802.11 stack: `whither watch` beside hostapd, as a user that may capture and nothing else.
//!
//! A virtual machine of Debian's parts has two WPA2 access points of one network and three stations on virtual radios
//! (`wifi/machine.sh`, `wifi/guest/join.sh`). Its own kernel counts every frame, its servers say what they were asked, and its scenario
//! what it did; here the scrapes and events of three sensors, one for each access point and one for the bridge, are held against that.
//! Where the machine cannot be, the test says why and passes, unless `WHITHER_WIFI=must`.
//!
//! The day (`make soak`) is the simulator's: its three phones' requests, each at its time, made by real clients. The machine's time leaps
//! while nothing happens.
#![cfg(feature = "live")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and reads files of its own"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use whither::capture::file::{File, Item};
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::geo::GeoDb;
use whither::engine::limits::Limits;
use whither::export::events;
use whither::simulate::{Plan, write};

/// An Ethernet header, which the kernel does not count on the way in.
const HEADER: u64 = 14;
/// The access points, each with the sensor's interface.
const APS: [(&str, &str); 2] = [("wlan0", "02:00:5e:00:53:01"), ("wlan1", "02:00:5e:00:53:02")];
const BRIDGE: &str = "br-lan";

#[test]
fn stations_are_told_apart_to_the_byte() {
    let Some(run) = Run::of("join", &[]) else { return };
    for interface in ["wlan0", "wlan1", BRIDGE] {
        run.bytes_agree(interface);
        run.sent_again(interface);
        run.joins_agree(interface);
        run.conserved(interface);
    }
    run.stations_are_named();
    run.destinations_agree(BRIDGE, None);
    // Who roams comes to the other access point in the middle of a connection, where nothing names it any more.
    run.destinations_agree("wlan0", Some(&["iphone"]));
    run.destinations_agree("wlan1", Some(&["laptop"]));
    run.hellos_agree();
    let macs: BTreeSet<String> = run.truth("join").filter(|join| join["station"] == "iphone").map(|join| text(join, "mac")).collect();
    assert_eq!(macs.len(), 2, "the phone came back with another MAC");
    assert!(run.log().contains("CapEff:\t0000000000002000"), "a right too many: {}", run.log());
}

#[test]
#[ignore = "a part of `make soak`: an hour or more of a core; WIFI_HOURS=1 takes five minutes"]
fn a_day_of_three_phones_is_told_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, domains) = plan();
    std::fs::write(folder.path().join("plan"), plan).unwrap();
    let path = folder.path().join("plan").display().to_string();
    let Some(mut run) = Run::of("day", &[("WIFI_PLAN", &path), ("WIFI_SECONDS", "14400")]) else { return };
    run.domains = domains;
    for interface in ["wlan0", BRIDGE] {
        run.bytes_agree(interface);
        run.sent_again(interface);
        run.joins_agree(interface);
        run.conserved(interface);
        run.destinations_agree(interface, None);
    }
    run.stations_are_named();
    run.hellos_agree();
    assert!(run.truth("fetch").count() > 10);
}

/// What the simulator's phones do in 26 hours, or WIFI_HOURS, as lines for `wifi/guest/day.sh`, and the registrable domains of the names.
fn plan() -> (String, BTreeMap<String, String>) {
    let mut capture = Vec::new();
    let hours = std::env::var("WIFI_HOURS").map_or(Plan::default().hours, |hours| hours.parse().unwrap());
    write(&Plan { hours, ..Plan::default() }, &mut capture).unwrap();
    let mut engine = Engine::new(Limits::default(), OurSide::default(), GeoDb::embedded().unwrap(), true);
    let mut told = Vec::new();
    File::from_reader(std::io::Cursor::new(capture))
        .unwrap()
        .read(&mut |item| {
            let Item::Frame(frame) = item else { panic!("all of it is Ethernet") };
            engine.ingest(&frame);
            engine.events().for_each(|event| events::write_line(&event, "test", &mut told));
        })
        .unwrap();
    engine.finish(|event| events::write_line(&event, "test", &mut told));
    let told: Vec<Value> = String::from_utf8(told).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |action: &'static str| told.iter().filter(move |event| event["event.action"] == action);
    let seconds = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
    let begin = of("association").map(|event| seconds(&text(event, "@timestamp"))).min().unwrap();
    let name = |mac: &Value| of("device").find(|event| event["device.mac"] == *mac && event["device.hostname"].is_string()).unwrap();
    let mut lines: Vec<(i64, u8, String)> = Vec::new();
    for event in of("association") {
        let host = text(name(&event["source.mac"]), "device.hostname");
        lines.push((seconds(&text(event, "@timestamp")) - begin, 0, format!("{} join {host}", text(event, "source.mac"))));
    }
    let mut domains = BTreeMap::new();
    for event in of("flow").filter(|event| ["sni", "quic", "host"].contains(&text(event, "whither.name_origin").as_str())) {
        let [mac, origin, host, address] =
            ["source.mac", "whither.name_origin", "destination.domain", "destination.ip"].map(|field| text(event, field));
        let line = format!("{mac} {origin} {host} {address} {}", event["destination.bytes"]);
        lines.push((seconds(&text(event, "event.start")) - begin, 1, line));
        domains.insert(host, text(event, "destination.registered_domain"));
    }
    lines.sort_unstable();
    (lines.into_iter().map(|(second, _, line)| format!("{second} {line}\n")).collect(), domains)
}

/// What a run of the machine left.
struct Run {
    out: PathBuf,
    truth: Vec<Value>,
    /// Registrable domains of names, where they are more than the name without its first label.
    domains: BTreeMap<String, String>,
}

impl Run {
    /// Runs a scenario; none where this machine cannot.
    fn of(scenario: &str, settings: &[(&str, &str)]) -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let out = root.join("target/wifi/out").join(scenario);
        let mut machine = Command::new(root.join("tests/wifi/machine.sh"));
        machine.arg(env!("CARGO_BIN_EXE_whither")).arg(&out).arg(scenario).envs(settings.iter().copied()).stdin(Stdio::null());
        let ended = machine.stderr(Stdio::inherit()).output().unwrap();
        if ended.status.code() == Some(77) {
            skip(String::from_utf8_lossy(&ended.stdout).trim());
            return None;
        }
        assert!(ended.status.success(), "see {}", out.display());
        Some(Self { truth: lines(&out.join("truth.jsonl")), out, domains: BTreeMap::new() })
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.out.join(name)).unwrap()
    }

    fn log(&self) -> String {
        self.read("log")
    }

    fn truth<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.truth.iter().filter(move |line| line["kind"] == kind)
    }

    /// The stations' MACs, each with its station.
    fn macs(&self) -> BTreeMap<String, String> {
        self.truth("join").map(|join| (text(join, "mac"), text(join, "station"))).collect()
    }

    /// Each device's bytes are what the kernel counted at the same interface, the second copy of its frames to everybody left out.
    fn bytes_agree(&self, interface: &str) {
        let metrics = Metrics::of(&self.read(&format!("{interface}.metrics")));
        let counted = Counted::of(&self.read(&format!("{interface}.counted.json")));
        let peers = self.peers(interface);
        let mut seen = 0;
        for mac in self.macs().keys() {
            let sum =
                |parts: &[(&str, u64)]| parts.iter().map(|(set, header)| counted.bytes(set, *header, |key| key[0] == *mac)).sum::<u64>();
            let between = |side: usize| peers.iter().filter(|(pair, _)| pair[side] == *mac).map(|(_, bytes)| bytes).sum::<u64>();
            let truth = [
                sum(&[("in_from", HEADER), ("out_from", 0)]) + between(0) - sum(&[("in_empty", HEADER)]),
                sum(&[("in_to", HEADER), ("out_to", 0)]) + between(1),
            ];
            let told = ["transmit", "receive"].map(|way| metrics.sum(&format!("whither_device_{way}_bytes_total"), &[("device", mac)]));
            assert_eq!(told, truth, "sent and received by {mac}, as {interface} shows it");
            seen += told[0];
        }
        assert!(seen > 0, "nothing was seen at {interface}");
        // What keeps an association alive, a header with nothing behind, is counted and charged to nobody.
        assert_eq!(metrics.sum("whither_packets_skipped_total", &[("reason", "malformed-ip")]), counted.packets("in_empty"), "{interface}");
    }

    /// What stations of one access point sent each other, by sender and receiver: it does not pass the access point's kernel.
    fn peers(&self, interface: &str) -> Vec<([String; 2], u64)> {
        let Some((_, bssid)) = APS.iter().find(|(name, _)| *name == interface) else { return Vec::new() };
        let here: BTreeSet<String> = self.truth("join").filter(|join| join["bssid"] == **bssid).map(|join| text(join, "mac")).collect();
        let mut found = Vec::new();
        for station in self.macs().into_values().collect::<BTreeSet<_>>() {
            let counted = Counted::of(&self.read(&format!("{station}.peers.json")));
            let own: Vec<String> =
                self.macs().into_iter().filter(|(mac, name)| *name == station && here.contains(mac)).map(|(mac, _)| mac).collect();
            // The phone that changed its MAC was spoken to under the first.
            let Some(mac) = self.truth("join").map(|join| text(join, "mac")).find(|mac| own.contains(mac)) else { continue };
            for other in here.iter().filter(|other| !own.contains(other)) {
                found.push(([other.clone(), mac.clone()], counted.bytes("from", HEADER, |key| key[0] == *other)));
            }
        }
        found
    }

    /// Second copies are counted, all of them, and only where there are any.
    fn sent_again(&self, interface: &str) {
        let metrics = Metrics::of(&self.read(&format!("{interface}.metrics")));
        let counted = Counted::of(&self.read(&format!("{interface}.counted.json")));
        let copies = if interface == BRIDGE { 0 } else { counted.packets("in_group") };
        assert_eq!(metrics.sum("whither_packets_skipped_total", &[("reason", "sent-again")]), copies, "{interface}");
        assert!(copies > 0 || interface == BRIDGE, "{interface}");
    }

    /// Every join and every roam is told once at each interface: the bridge hands the frame that marks it to the other access point.
    fn joins_agree(&self, interface: &str) {
        let done = self.truth("join").chain(self.truth("roam")).map(|line| text(line, "mac"));
        let events = lines(&self.out.join(format!("{interface}.events.jsonl")));
        let told = events.iter().filter(|event| event["event.action"] == "association").map(|event| text(event, "source.mac"));
        assert_eq!(tally(told), tally(done), "associations at {interface}");
    }

    /// Countries add up to a device's total, and so do destinations with what is pending.
    fn conserved(&self, interface: &str) {
        let metrics = Metrics::of(&self.read(&format!("{interface}.metrics")));
        for mac in self.macs().keys() {
            let of = |what: &str, way: &str| metrics.sum(&format!("whither_{what}_{way}_bytes_total"), &[("device", mac)]);
            let both = |what: &str| of(what, "transmit") + of(what, "receive");
            assert_eq!(both("country"), both("device"), "{mac} at {interface}");
            assert_eq!(
                both("destination") + metrics.sum("whither_pending_bytes", &[("device", mac)]),
                both("device"),
                "{mac} at {interface}"
            );
        }
    }

    /// The host name that each station gave for its address stands beside its MAC.
    fn stations_are_named(&self) {
        let metrics = Metrics::of(&self.read(&format!("{BRIDGE}.metrics")));
        for lease in self.truth("lease") {
            let labels = [("mac", text(lease, "mac")), ("hostname", text(lease, "hostname"))];
            assert_eq!(metrics.sum("whither_device_info", &labels.each_ref().map(|(label, value)| (*label, value.as_str()))), 1, "{lease}");
        }
    }

    /// For each device the registrable domains, what named them, and their bytes to and from the servers of that domain.
    fn destinations_agree(&self, interface: &str, stations: Option<&[&str]>) {
        let metrics = Metrics::of(&self.read(&format!("{interface}.metrics")));
        let counted = Counted::of(&self.read(&format!("{interface}.counted.json")));
        let mut truth: BTreeMap<(String, String), (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
        for line in self.truth.iter().filter(|line| line["host"].is_string()) {
            if stations.is_some_and(|stations| !stations.contains(&text(line, "station").as_str())) {
                continue;
            }
            let host = text(line, "host");
            let domain = self.domains.get(&host).cloned().unwrap_or_else(|| host.split_once('.').unwrap().1.to_owned());
            let (origins, addresses) = truth.entry((text(line, "mac"), domain)).or_default();
            origins.insert(text(line, "origin"));
            addresses.insert(text(line, "address"));
        }
        let expected: BTreeMap<_, _> = truth
            .into_iter()
            .map(|((mac, domain), (origins, addresses))| {
                let with = |set: &str, header: u64| counted.bytes(set, header, |key| key[0] == mac && addresses.contains(&key[1]));
                let sent = with("in_4", HEADER) + with("in_6", HEADER);
                let got = with("out_4", 0) + with("out_6", 0);
                ((mac, domain), (origins, sent, got))
            })
            .collect();
        let mut told: BTreeMap<(String, String), (BTreeSet<String>, u64, u64)> = BTreeMap::new();
        let macs = self.macs();
        for (name, labels, value) in &metrics.0 {
            let way = match name.as_str() {
                "whither_destination_transmit_bytes_total" => 0,
                "whither_destination_receive_bytes_total" => 1,
                _ => continue,
            };
            let wanted = macs.get(&labels["device"]).is_some_and(|name| stations.is_none_or(|stations| stations.contains(&name.as_str())));
            if !wanted || ["local", "multicast"].contains(&labels["destination"].as_str()) {
                continue;
            }
            let (origins, sent, got) = told.entry((labels["device"].clone(), labels["destination"].clone())).or_default();
            origins.insert(labels["origin"].clone());
            *(if way == 0 { sent } else { got }) += value;
        }
        // A server's last words that came too late are answered by an ICMP error, which is a flow of its own: named by DNS alone.
        for (key, (origins, ..)) in &mut told {
            if expected.get(key).is_some_and(|(said, ..)| !said.contains("dns")) {
                origins.remove("dns");
            }
        }
        assert_eq!(told, expected, "destinations at {interface}");
        assert!(!told.is_empty());
    }

    /// The hellos that were told are those that the servers read, TCP and QUIC, some of them in two packets.
    fn hellos_agree(&self) {
        let served = lines(&self.out.join("servers.jsonl"));
        let asked = served.iter().filter(|line| !text(line, "sni").is_empty());
        let quic = |line: &Value| if line["http"] == "HTTP/3.0" { "quic" } else { "tls" }.to_owned();
        let mut truth: Vec<_> = asked.map(|line| [text(line, "client"), text(line, "sni"), quic(line)]).collect();
        let address = |mac: &Value| self.truth("lease").find(|lease| lease["mac"] == *mac).map(|lease| text(lease, "address")).unwrap();
        truth.extend(self.truth("dot").map(|line| [address(&line["mac"]), text(line, "host"), "tls".to_owned()]));
        let events = lines(&self.out.join(format!("{BRIDGE}.events.jsonl")));
        let hellos = events.iter().filter(|event| event["event.action"] == "tls-client-hello");
        let told = hellos.map(|event| ["source.ip", "tls.client.server_name", "network.protocol"].map(|field| text(event, field)));
        assert_eq!(tally(told), tally(truth));
    }
}

/// Samples of an exposition: name, labels, value.
struct Metrics(Vec<(String, BTreeMap<String, String>, u64)>);

impl Metrics {
    fn of(text: &str) -> Self {
        let sample = |line: &str| {
            let (name, rest) = line.split_once('{')?;
            let (labels, value) = rest.rsplit_once("} ")?;
            let label = |pair: &str| pair.split_once("=\"").map(|(name, value)| (name.to_owned(), value.trim_end_matches('"').to_owned()));
            Some((name.to_owned(), labels.split("\",").filter_map(label).collect(), value.parse::<f64>().ok()? as u64))
        };
        Self(text.lines().filter_map(sample).collect())
    }

    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let fits =
            |found: &BTreeMap<String, String>| labels.iter().all(|(label, value)| found.get(*label).is_some_and(|found| found == value));
        self.0.iter().filter(|(found, have, _)| found == name && fits(have)).map(|(.., value)| value).sum()
    }
}

/// What the kernel counted: set, key, packets, bytes.
struct Counted(Vec<(String, Vec<String>, u64, u64)>);

impl Counted {
    fn of(json: &str) -> Self {
        let tables: Value = serde_json::from_str(json).unwrap();
        let mut rows = Vec::new();
        for set in tables["nftables"].as_array().unwrap().iter().map(|entry| &entry["set"]) {
            for entry in set["elem"].as_array().into_iter().flatten().map(|entry| &entry["elem"]) {
                let key = match &entry["val"]["concat"] {
                    Value::Array(parts) => parts.iter().map(|part| part.as_str().unwrap().to_owned()).collect(),
                    _ => vec![text(entry, "val")],
                };
                let count = |what: &str| entry["counter"][what].as_u64().unwrap();
                rows.push((text(set, "name"), key, count("packets"), count("bytes")));
            }
        }
        Self(rows)
    }

    /// Bytes of a set's elements whose key fits, with so many more for each packet.
    fn bytes(&self, set: &str, header: u64, fits: impl Fn(&[String]) -> bool) -> u64 {
        let rows = self.0.iter().filter(|(name, key, ..)| name == set && fits(key));
        rows.map(|(.., packets, bytes)| bytes + header * packets).sum()
    }

    fn packets(&self, set: &str) -> u64 {
        self.0.iter().filter(|(name, ..)| name == set).map(|(_, _, packets, _)| packets).sum()
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(line: &Value, field: &str) -> String {
    line[field].as_str().unwrap_or_default().to_owned()
}

fn tally<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    items.into_iter().fold(BTreeMap::new(), |mut tally, item| {
        *tally.entry(item).or_default() += 1;
        tally
    })
}

fn skip(reason: &str) {
    eprintln!("\n*** SKIPPED: the test of a virtual access point cannot run here: {reason} ***\n");
    assert!(std::env::var("WHITHER_WIFI").as_deref() != Ok("must"), "WHITHER_WIFI=must, but: {reason}");
}
