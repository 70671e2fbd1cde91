//! The devices file through the engine and the real program: what is one device, what it is called, and which countries nobody
//! expected.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, on files of its own"
)]

#[expect(dead_code, reason = "the captures' own builders are not needed here")]
mod wire;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::event::{Detail, Event};
use whither::engine::geo::GeoDb;
use whither::engine::limits::Limits;
use whither::engine::snapshot::{DeviceRow, Snapshot};
use whither::packet::{Frame, Link, Timestamp};
use wire::*;

/// Both MACs of the simulated run's first two phones in one entry, with a country of each expected.
const MERGED: &str = "
[[device]]
alias = 'bench'
mac = ['d0:9c:7a:51:0e:2c', 'AC-47-1B-9E-40-D3']
notes = 'MIUI 12.0.10 QJDEUXM'
expected = ['SG', 'DE', 'US']

[[device]]
alias = 'oneplus'
mac = '94652d0b77e8'
";

fn whither(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_whither")).current_dir(folder).args(arguments).output().unwrap()
}

/// What `read` says of three hours of the simulated run: table, summary, events, metrics.
fn told(folder: &Path, flags: &[&str]) -> (String, Value, Vec<Value>, String) {
    let table = whither(folder, &[&["read", "lab.pcap", "--events", "events", "--metrics", "metrics"], flags].concat());
    assert!(table.status.success(), "{}", String::from_utf8_lossy(&table.stderr));
    let json = whither(folder, &[&["read", "lab.pcap", "--json"], flags].concat());
    let events = fs::read_to_string(folder.join("events")).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let metrics = fs::read_to_string(folder.join("metrics")).unwrap();
    (String::from_utf8(table.stdout).unwrap(), serde_json::from_slice(&json.stdout).unwrap(), events, metrics)
}

/// The sum of all series of a metric whose labels hold this text.
fn sum(metrics: &str, name: &str, labels: &str) -> u64 {
    let of = |line: &&str| line.starts_with(&format!("whither_{name}{{")) && line.contains(labels);
    metrics.lines().filter(of).map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn two_macs_of_one_entry_are_one_device_with_the_totals_of_both() {
    let folder = tempfile::tempdir().unwrap();
    assert!(whither(folder.path(), &["simulate", "lab.pcap", "--hours", "3"]).status.success());
    fs::write(folder.path().join("devices.toml"), MERGED).unwrap();
    fs::write(folder.path().join("settings.toml"), "devices = 'devices.toml'\n").unwrap();
    let (_, _, _, apart) = told(folder.path(), &[]);
    let (table, summary, events, metrics) = told(folder.path(), &["--devices", "devices.toml"]);

    // Not the flows: before they have addresses, both ask for a lease between the same endpoints, which is one conversation of one device.
    let phones = ["device=\"d0:9c:7a:51:0e:2c\"", "device=\"ac:47:1b:9e:40:d3\""];
    for name in [
        "device_transmit_bytes_total",
        "device_receive_bytes_total",
        "country_transmit_bytes_total",
        "destination_receive_bytes_total",
        "visibility_transmit_bytes_total",
        "location_bytes_total",
        "watchlist_hits_total",
    ] {
        let both: u64 = phones.iter().map(|phone| sum(&apart, name, phone)).sum();
        assert!(both > 0 && both == sum(&metrics, name, "device=\"bench\""), "{name}: {both}");
    }
    let singapore = |labels: &str| sum(&apart, "country_transmit_bytes_total", &format!("{labels},country=\"SG\""));
    let both: u64 = phones.iter().map(|phone| singapore(phone)).sum();
    assert_eq!(both, sum(&metrics, "country_transmit_bytes_total", "device=\"bench\",country=\"SG\""));
    assert!(phones.iter().all(|phone| !metrics.contains(phone)), "the alias is the label everywhere");
    assert!(metrics.contains("whither_device_info{device=\"bench\",mac=\"d0:9c:7a:51:0e:2c\",vendor=\"Xiaomi Communications\","));

    assert!(table.lines().any(|line| line.starts_with("bench d0:9c:7a:51:0e:2c +1  ")), "{table}");
    assert!(table.lines().any(|line| line.starts_with("oneplus 94:65:2d:0b:77:e8  ")), "{table}");
    assert!(table.contains("\n  bench d0:9c:7a:51:0e:2c +1: sni "), "{table}");
    let devices = summary["devices"].as_array().unwrap();
    let bench = devices.iter().find(|device| device["device"] == "bench").unwrap();
    assert_eq!((&bench["alias"], &bench["notes"]), (&"bench".into(), &"MIUI 12.0.10 QJDEUXM".into()));
    assert_eq!(bench["macs"], serde_json::json!(["d0:9c:7a:51:0e:2c", "ac:47:1b:9e:40:d3"]));
    assert_eq!(bench["expected_countries"], serde_json::json!(["DE", "SG", "US"]));
    assert!(devices.iter().any(|device| device["alias"].is_null()), "the router has none");

    assert!(events.iter().all(|event| event["device.id"] != "d0:9c:7a:51:0e:2c" && event["device.id"] != "ac:47:1b:9e:40:d3"));
    let news = events.iter().rfind(|event| event["event.action"] == "device" && event["device.id"] == "bench").unwrap();
    assert_eq!((&news["device.name"], &news["whither.notes"]), (&"bench".into(), &"MIUI 12.0.10 QJDEUXM".into()));
    assert_eq!((&news["whither.macs"][1], &news["whither.expected"][0]), (&"ac:47:1b:9e:40:d3".into(), &"DE".into()));

    assert_eq!(told(folder.path(), &["--config", "settings.toml"]).3, metrics, "the settings know it too");
}

#[test]
fn a_country_that_nobody_expected_is_told_once_and_can_be_alerted_on() {
    let folder = tempfile::tempdir().unwrap();
    assert!(whither(folder.path(), &["simulate", "lab.pcap", "--hours", "3"]).status.success());
    fs::write(folder.path().join("devices.toml"), MERGED).unwrap();
    let (_, summary, events, metrics) = told(folder.path(), &["--devices", "devices.toml"]);

    let met = summary["countries"].as_array().unwrap().iter().filter(|row| row["device"] == "bench");
    let mut outside: Vec<_> = met.map(|row| row["country"].as_str().unwrap()).collect();
    outside.retain(|country| !["SG", "DE", "US", "local", "multicast", "unknown"].contains(country));
    let mut told: Vec<_> = events.iter().filter(|event| event["event.action"] == "unexpected-country").collect();
    assert!(told.iter().all(|event| event["device.id"] == "bench"), "nobody expects anything of the others");
    told.sort_by_key(|event| event["destination.geo.country_iso_code"].as_str().unwrap());
    let countries: Vec<_> = told.iter().map(|event| event["destination.geo.country_iso_code"].as_str().unwrap()).collect();
    assert!(!outside.is_empty() && countries == outside, "{countries:?} are not {outside:?}, each once");
    let lithuania = told.iter().find(|event| event["destination.geo.country_iso_code"] == "LT").unwrap();
    assert_eq!(
        (&lithuania["destination.domain"], &lithuania["whither.expected"]),
        (&"www.lrt.lt".into(), &serde_json::json!(["DE", "SG", "US"]))
    );

    let expected: Vec<_> = metrics.lines().filter(|line| line.starts_with("whither_device_expected_country{")).collect();
    let line = |country: &str| format!("whither_device_expected_country{{device=\"bench\",country=\"{country}\"}} 1");
    assert_eq!(expected, ["DE", "SG", "US"].map(line));
}

#[test]
fn a_bad_file_is_one_line_that_names_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    assert!(whither(folder.path(), &["simulate", "lab.pcap", "--hours", "1"]).status.success());
    fs::write(folder.path().join("bad.toml"), "[[device]]\nalias = 'a'\nmac = '02:00:00:00:00'\n").unwrap();
    fs::write(folder.path().join("empty.toml"), "").unwrap();
    fs::write(folder.path().join("binary.toml"), [0xff, 0xfe]).unwrap();
    for (file, says) in [
        ("bad.toml", "bad.toml, line 3: `02:00:00:00:00` is no MAC; write six pairs"),
        ("gone.toml", "cannot read the devices file gone.toml: "),
        ("binary.toml", "the devices file binary.toml is not UTF-8 text"),
    ] {
        let output = whither(folder.path(), &["read", "lab.pcap", "--devices", file]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains(says) && said.lines().count() == 1, "{said}");
    }
    assert_eq!(whither(folder.path(), &["read", "lab.pcap", "--devices", "empty.toml"]).status.code(), Some(0));
}

/// An engine and its time.
struct Lab {
    engine: Engine,
    number: u64,
    seconds: u64,
    link: Link,
    events: Vec<Event>,
}

impl Lab {
    fn new(devices: &str) -> Self {
        let mut geo = GeoDb::embedded().unwrap();
        geo.add("country", include_bytes!("geoip/lab-country.mmdb").to_vec()).unwrap();
        let engine = Engine::new(Limits::default(), OurSide::default(), geo, true);
        let mut lab = Self { engine, number: 0, seconds: BEGIN, link: Link::Ethernet, events: Vec::new() };
        lab.register(devices);
        lab
    }

    fn register(&mut self, devices: &str) {
        self.engine.register(whither::roster::parse(devices, Path::new("devices.toml")).unwrap());
    }

    fn send(&mut self, data: &[u8]) {
        self.number += 1;
        let time = Timestamp::from_nanos(self.seconds * 1_000_000_000 + self.number * 1_000_000);
        let wire_len = u32::try_from(data.len()).unwrap();
        self.engine.ingest(&Frame { number: self.number, time, link: self.link, wire_len, data });
        self.events.extend(self.engine.events());
    }

    /// A page fetched by who has this MAC and address, answered to it; the bytes that it sent.
    fn page(&mut self, mac: [u8; 6], address: &str, server: &str, name: &str) -> u64 {
        let mut sent = 0;
        for (up, packet) in page(address, "192.168.1.1", server, name) {
            let data = if up { frame(mac, GATEWAY, &packet) } else { frame(GATEWAY, mac, &packet) };
            sent += if up { data.len() as u64 } else { 0 };
            self.send(&data);
        }
        sent
    }

    fn snapshot(&mut self) -> Snapshot {
        self.engine.snapshot()
    }

    fn device(&mut self, id: &str) -> Option<DeviceRow> {
        self.snapshot().devices.into_iter().find(|device| *device.id == *id)
    }

    fn sent(&mut self, id: &str) -> u64 {
        self.device(id).map_or(0, |device| device.total.transmit.bytes)
    }

    fn ids(&mut self) -> Vec<String> {
        self.snapshot()
            .devices
            .iter()
            .filter(|device| device.mac.map(|mac| mac.0) != Some(GATEWAY))
            .map(|device| device.id.to_string())
            .collect()
    }
}

const SERVER: &str = "192.0.2.10:443";

#[test]
fn a_running_device_that_gets_an_alias_begins_a_new_series_and_the_old_one_stands_still() {
    let mut lab = Lab::new("");
    let mac = "3c:5a:b4:00:00:01";
    lab.send(&frame(PHONE, BROADCAST, &udp(at("0.0.0.0:68"), at("255.255.255.255:67"), &dhcp(3, PHONE, "Redmi-Note", None))));
    lab.page(PHONE, "192.168.1.10", SERVER, "www.example.org");
    // A conversation that begins before the alias and goes on after it.
    let mut talk = Talk::open(at("192.168.1.10:51000"), at(SERVER));
    talk.say(true, PUSH, &hello("long.example.org"));
    let up = |packet: &[u8]| frame(PHONE, GATEWAY, packet);
    let down = |packet: &[u8]| frame(GATEWAY, PHONE, packet);
    for (is_up, packet) in &talk.packets {
        lab.send(&if *is_up { up(packet) } else { down(packet) });
    }
    let before = lab.sent(mac);

    lab.register(&format!("[[device]]\nalias = 'redmi'\nmac = '{mac}'\n"));
    assert_eq!(lab.ids(), [mac], "nothing changes before its next packet");
    let data = up(&tcp(at("192.168.1.10:51000"), at(SERVER), 2_000, PUSH, &[7; 500]));
    lab.send(&data);
    let redmi = lab.device("redmi").unwrap();
    assert_eq!((lab.sent(mac), redmi.total.transmit.bytes), (before, data.len() as u64));
    assert_eq!(redmi.hostname.as_deref(), Some("Redmi-Note"), "who it said to be by DHCP is known without another lease");
    let rows = lab.snapshot().destinations;
    assert!(rows.iter().any(|row| &*row.device == "redmi" && &*row.destination == "example.org"), "the conversation keeps its name");

    lab.register(&format!("[[device]]\nalias = 'phone'\nmac = '{mac}'\n"));
    lab.send(&data);
    assert_eq!((lab.sent("redmi"), lab.sent("phone")), (data.len() as u64, data.len() as u64));
    assert_eq!(lab.device("redmi").unwrap().macs, redmi.macs, "an old series keeps its labels");
    lab.register(&format!("[[device]]\nalias = 'redmi'\nmac = '{mac}'\n"));
    lab.send(&data);
    assert_eq!(lab.sent("redmi"), 2 * data.len() as u64, "back again, it goes on where it stood");
    lab.register("");
    lab.send(&data);
    assert_eq!((lab.sent(mac), lab.sent("redmi")), (before + data.len() as u64, 2 * data.len() as u64));
}

#[test]
fn aliases_that_change_hands_let_no_counter_fall() {
    let entries = |first: &str, second: &str| {
        format!("[[device]]\nalias = '{first}'\nmac = '3c:5a:b4:00:00:01'\n[[device]]\nalias = '{second}'\nmac = '64:cc:2e:00:00:02'\n")
    };
    let mut lab = Lab::new(&entries("one", "two"));
    let much =
        lab.page(PHONE, "192.168.1.10", SERVER, "www.example.org") + lab.page(PHONE, "192.168.1.10", "203.0.113.30:443", "x.example.org");
    let little = lab.page(OTHER_PHONE, "192.168.1.11", SERVER, "www.example.org");
    assert_eq!((lab.sent("one"), lab.sent("two")), (much, little));
    lab.register(&entries("two", "one"));
    assert_eq!((lab.sent("one"), lab.sent("two")), (much, little));
    lab.seconds += 60;
    let more = lab.page(PHONE, "192.168.1.10", SERVER, "www.example.org");
    assert_eq!((lab.sent("one"), lab.sent("two")), (much, little + more));
    assert_eq!(lab.device("two").unwrap().macs[0].0, PHONE, "its MAC is the one that it has now");
}

#[test]
fn devices_behind_one_mac_are_told_apart_by_address_where_the_file_says_so() {
    let mut lab = Lab::new(
        "[[device]]\nalias = 'repeater'\nmac = '3c:5a:b4:00:00:01'\nsplit = true\naddress = '192.168.1.9'\n\
         [[device]]\nalias = 'tv'\naddress = ['192.168.1.20', '2001:db8:77::20']\n",
    );
    let tv = lab.page(PHONE, "192.168.1.20", SERVER, "tv.example.org");
    let unknown = lab.page(PHONE, "192.168.1.21", SERVER, "other.example.org");
    let own = lab.page(PHONE, "192.168.1.9", SERVER, "update.example.org");
    let arp = ethernet(PHONE, BROADCAST, 0x0806, &arp(1, (PHONE, [192, 168, 1, 20]), ([0; 6], [192, 168, 1, 1])));
    lab.send(&arp);
    let lease = frame(PHONE, BROADCAST, &udp(at("0.0.0.0:68"), at("255.255.255.255:67"), &dhcp(1, PHONE, "Extender", None)));
    lab.send(&lease);
    let phone = lab.page(OTHER_PHONE, "192.168.1.30", SERVER, "www.example.org");

    assert_eq!(lab.ids(), ["192.168.1.21", "64:cc:2e:00:00:02", "repeater", "tv"]);
    assert_eq!((lab.sent("tv"), lab.sent("192.168.1.21"), lab.sent("64:cc:2e:00:00:02")), (tv, unknown, phone));
    let own = own + (arp.len() + lease.len()) as u64;
    assert_eq!(lab.sent("repeater"), own, "its own address, and what has no address, is its own");
    assert_eq!(lab.device("repeater").unwrap().hostname.as_deref(), Some("Extender"));
    assert!(lab.device("tv").unwrap().macs.is_empty(), "the MAC is not the television's");
    let names = lab.snapshot().destinations.into_iter().filter(|row| &*row.device == "tv" && row.asn.is_none()).count();
    assert!(names > 0);

    // It comes to the access point itself: another device, unless the file says that MAC too.
    let data = frame(OTHER_PHONE, GATEWAY, &tcp(at("192.168.1.20:50000"), at(SERVER), 5_000, PUSH, &[1; 50]));
    lab.send(&data);
    assert_eq!((lab.sent("tv"), lab.sent("64:cc:2e:00:00:02")), (tv, phone + data.len() as u64));
}

#[test]
fn on_a_link_without_macs_an_address_has_the_alias_at_once_and_after_a_reload() {
    let mut lab = Lab::new("[[device]]\nalias = 'tablet'\naddress = '192.168.1.10'\nmac = '02:00:00:00:00:77'\n");
    lab.link = Link::RawIp;
    let mut sent = 0;
    for (up, packet) in page("192.168.1.10", "192.168.1.1", SERVER, "www.example.org") {
        sent += if up { packet.len() as u64 } else { 0 };
        lab.send(&packet);
    }
    assert_eq!(lab.sent("tablet"), sent);
    lab.register("[[device]]\nalias = 'slate'\naddress = '192.168.1.10'\n");
    let more = tcp(at("192.168.1.10:50000"), at(SERVER), 9_000, PUSH, &[1; 50]);
    lab.send(&more);
    assert_eq!((lab.sent("tablet"), lab.sent("slate")), (sent, more.len() as u64));
}

#[test]
fn expectations_follow_the_file_of_the_day() {
    let entry = |expected: &str| format!("[[device]]\nalias = 'phone'\nmac = '3c:5a:b4:00:00:01'\nexpected = [{expected}]\n");
    let mut lab = Lab::new(&entry("'LT'"));
    let told = |lab: &Lab| {
        let country = |event: &Event| match &event.detail {
            Detail::UnexpectedCountry(seen) => Some(seen.place.country.unwrap().as_str().to_owned()),
            _ => None,
        };
        lab.events.iter().filter_map(country).collect::<Vec<_>>()
    };
    let singapore = "203.0.113.30:443";
    for server in [SERVER, singapore, singapore, "192.168.1.77:443"] {
        lab.page(PHONE, "192.168.1.10", server, "www.example.org");
    }
    assert_eq!(told(&lab), ["SG"]);
    lab.register(&entry("'SG'"));
    lab.seconds += 60;
    for server in [singapore, SERVER] {
        lab.page(PHONE, "192.168.1.10", server, "www.example.org");
        lab.page(OTHER_PHONE, "192.168.1.11", server, "www.example.org");
    }
    assert_eq!(told(&lab), ["SG", "LT"], "told once each, and of nobody that nobody expects anything of");
    lab.register(&entry(""));
    lab.page(PHONE, "192.168.1.10", "192.0.2.77:443", "www.example.org");
    assert_eq!(told(&lab).len(), 2, "without a set nothing is unexpected");
}
