//! Five sensors with 200 devices each in one VictoriaMetrics: what is added up over them is the truth, by every way into the store that
//! `packaging/fleet/` describes, and also after one of them was killed and started again. Run by `make soak`.
//!
//! The sensors read captures that are made here, of known bytes; the configurations are those of `packaging/fleet/`, with this test's
//! addresses in place of theirs.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test makes its own world and should stop at the first wrong thing"
)]

mod mixin;

use std::fs;
use std::path::Path;
use std::process::Command;

use mixin::server::{Server, free_address, until};
use mixin::{dashboards, queries, whole};

const SENSORS: [&str; 5] = ["attic", "bench", "cellar", "hall", "roof"];
const DEVICES: u8 = 200;
/// The one that is killed, and how many of its devices are still there when it is back.
const KILLED: usize = 2;
const LEFT: u8 = 150;

/// A way of the samples into the store.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// The store scrapes each sensor.
    Scrape,
    /// A vmagent beside each sensor.
    Vmagent,
    /// A Prometheus agent beside each sensor.
    Agent,
}

#[test]
#[ignore = "takes a minute and five sensors: make soak"]
fn sums_over_sensors_are_the_truth_when_they_are_scraped() {
    run(Way::Scrape);
}

#[test]
#[ignore = "takes a minute and five sensors: make soak"]
fn sums_over_sensors_are_the_truth_by_vmagent() {
    run(Way::Vmagent);
}

#[test]
#[ignore = "takes a minute and five sensors: make soak"]
fn sums_over_sensors_are_the_truth_by_a_prometheus_agent() {
    run(Way::Agent);
}

/// Two sensors in reach of the Prometheus in the middle, three at a site with one of its own.
#[test]
#[ignore = "takes a minute and five sensors: make soak"]
fn sums_over_sensors_are_the_truth_by_federation() {
    if !mixin::have(&["prometheus"], "no fleet is federated") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let first: Vec<u64> = (0..SENSORS.len()).map(|index| capture(folder.path(), index, DEVICES, 40 + 10 * index)).collect();
    let mut sensors: Vec<Option<Server>> = SENSORS.iter().map(|name| Some(sensor(folder.path(), name, "127.0.0.1:0"))).collect();
    let addresses: Vec<String> = sensors.iter().flatten().map(|sensor| sensor.address.clone()).collect();
    let [attic, bench, cellar, hall, roof] = [0, 1, 2, 3, 4].map(|index: usize| addresses[index].as_str());
    let target = |(name, at): (&str, &str)| format!("  - {{targets: [\"{at}\"], labels: {{sensor: {name}}}}}\n");
    let targets: String = [("attic", attic), ("cellar", cellar), ("roof", roof)].into_iter().map(target).collect();
    let site = format!("global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: whither\n  static_configs:\n{targets}");
    let site = prometheus(folder.path(), "site", &site);
    let grafana = mixin::root().display().to_string();
    let changes = [("192.0.2.11:9843", hall), ("192.0.2.12:9843", bench), ("192.0.2.20:9090", &site.address), ("../../grafana", &grafana)];
    let global =
        prometheus(folder.path(), "global", &packaged("global.yml", &[&changes[..], &[("interval: 15s", "interval: 1s")]].concat()));

    let total: u64 = first.iter().sum();
    agrees(&global, "sum(whither_device_transmit_bytes_total)", total);
    agrees(&global, "count(count by (sensor) (whither_device_transmit_bytes_total))", 5);
    agrees(&global, "count(whither_device_transmit_bytes_total)", 5 * u64::from(DEVICES));
    agrees(&global, "count(up{job=\"whither\"} == 1)", 5);
    agrees(&global, &overview_sent(""), total);

    sensors[KILLED].take().unwrap().kill();
    // All its devices are there again: of one that ended, federation shows the last value for five minutes.
    let again = capture(folder.path(), KILLED, DEVICES, 7);
    sensors[KILLED] = Some(sensor(folder.path(), SENSORS[KILLED], &addresses[KILLED]));
    agrees(&global, "sum(whither_device_transmit_bytes_total)", total - first[KILLED] + again);
    agrees(&global, "sum(resets(whither_device_transmit_bytes_total[1h]))", u64::from(DEVICES));
}

fn run(way: Way) {
    if !mixin::have(&["victoria-metrics", "vmagent", "prometheus"], "no fleet is added up") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let first: Vec<u64> = (0..SENSORS.len()).map(|index| capture(folder.path(), index, DEVICES, 40 + 10 * index)).collect();
    let mut sensors: Vec<Option<Server>> = SENSORS.iter().map(|name| Some(sensor(folder.path(), name, "127.0.0.1:0"))).collect();
    let addresses: Vec<String> = sensors.iter().flatten().map(|sensor| sensor.address.clone()).collect();
    let (store, _agents) = store(way, folder.path(), &addresses);

    let total: u64 = first.iter().sum();
    agrees(&store, "sum(whither_device_transmit_bytes_total)", total);
    agrees(&store, "count(count by (sensor) (whither_device_transmit_bytes_total))", 5);
    agrees(&store, "count(whither_device_transmit_bytes_total)", 5 * u64::from(DEVICES));
    for (name, bytes) in SENSORS.iter().zip(&first) {
        agrees(&store, &format!("sum(whither_country_transmit_bytes_total{{sensor=\"{name}\"}})"), *bytes);
    }
    // The same MACs are at every sensor, as devices that roam are: they are added up, not joined.
    agrees(&store, "count(sum by (device) (whither_device_transmit_bytes_total))", u64::from(DEVICES));
    agrees(&store, &overview_sent(""), total);

    sensors[KILLED].take().unwrap().kill();
    let again = capture(folder.path(), KILLED, LEFT, 7);
    assert!(again < first[KILLED] / 2, "a counter that falls is a counter that began anew");
    sensors[KILLED] = Some(sensor(folder.path(), SENSORS[KILLED], &addresses[KILLED]));
    let now = total - first[KILLED] + again;
    agrees(&store, "sum(whither_device_transmit_bytes_total)", now);
    agrees(&store, "count(whither_device_transmit_bytes_total)", 4 * u64::from(DEVICES) + u64::from(LEFT));
    // Both lives of the killed one, each once.
    agrees(&store, "sum(increase_pure(whither_device_transmit_bytes_total[1h]))", total + again);
    agrees(&store, &overview_sent(SENSORS[0]), first[0]);
}

/// What the Overview asks for "Sent", of one sensor or of all.
fn overview_sent(sensor: &str) -> String {
    let (_, overview) = dashboards().into_iter().find(|(file, _)| file == "whither-overview.json").unwrap();
    let query = queries("", &overview).into_iter().find(|query| query.place.contains("\"Sent\"")).unwrap();
    let chosen: &[(&str, &str)] = if sensor.is_empty() { &[] } else { &[("sensor", sensor)] };
    whole(&query.expr, &overview, &[chosen, &[("__range", "3600s")]].concat())
}

fn agrees(store: &Server, expr: &str, truth: u64) {
    until(|| store.number(expr) == Some(truth as f64), || format!("{expr} is {:?} and not {truth}", store.number(expr)));
}

/// Writes a sensor's capture: each device sends `size` bytes of payload to three servers, which answer. Returns the bytes sent.
fn capture(folder: &Path, sensor: usize, devices: u8, size: usize) -> u64 {
    let mut pcap: Vec<u8> = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1].iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut sent = 0;
    for device in 0..devices {
        let mac = [2, 0, 0, 0, 1, device];
        let address = [192, 168, 80, device];
        for server in 1..=3 {
            let far = [203, 0, 113, 10 * server];
            let mut up = Vec::new();
            let builder = etherparse::PacketBuilder::ethernet2(mac, ROUTER).ipv4(address, far, 64).udp(40_000, 443);
            builder.write(&mut up, &vec![0; size + usize::from(device)]).unwrap();
            let mut down = Vec::new();
            let builder = etherparse::PacketBuilder::ethernet2(ROUTER, mac).ipv4(far, address, 60).udp(443, 40_000);
            builder.write(&mut down, &[0; 300]).unwrap();
            sent += up.len() as u64;
            for frame in [up, down] {
                let length = u32::try_from(frame.len()).unwrap();
                pcap.extend([1_700_000_000 + u32::from(device), 0, length, length].iter().flat_map(|word| word.to_le_bytes()));
                pcap.extend(frame);
            }
        }
    }
    fs::write(folder.join(format!("{}.pcap", SENSORS[sensor])), pcap).unwrap();
    sent
}

const ROUTER: [u8; 6] = [2, 0, 0x5e, 0, 0x53, 1];

fn sensor(folder: &Path, name: &str, address: &str) -> Server {
    Server::whither(&["read", "--serve", "--sensor", name, &format!("{name}.pcap")], folder, address)
}

/// A VictoriaMetrics that gets the samples of these sensors, and the agents that it needs for that.
fn store(way: Way, folder: &Path, sensors: &[String]) -> (Server, Vec<Server>) {
    let address = free_address();
    let mut command = Command::new("victoria-metrics");
    command.arg(format!("-httpListenAddr={address}")).args(["-storageDataPath=store", "-search.latencyOffset=0s", "-search.disableCache"]);
    if let Way::Scrape = way {
        let target = |(name, at): (&&str, &String)| format!("  - {{targets: [\"{at}\"], labels: {{sensor: {name}}}}}\n");
        let targets: String = SENSORS.iter().zip(sensors).map(target).collect();
        let config = format!("global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: whither\n  static_configs:\n{targets}");
        fs::write(folder.join("scrape.yml"), config).unwrap();
        command.arg("-promscrape.config=scrape.yml");
    }
    let store = Server::start(&mut command, folder, &address, "server at http://");
    let agent = |(name, at): (&&str, &String)| match way {
        Way::Scrape => None,
        Way::Vmagent | Way::Agent => Some(agent(way, folder, name, at, &address)),
    };
    let agents = SENSORS.iter().zip(sensors).filter_map(agent).collect();
    (store, agents)
}

fn agent(way: Way, folder: &Path, name: &str, sensor: &str, store: &str) -> Server {
    let file = if let Way::Vmagent = way { "vmagent.yml" } else { "agent.yml" };
    let name_label = format!("sensor: {name}");
    let changes = [("127.0.0.1:9843", sensor), ("sensor: roof", name_label.as_str()), ("interval: 15s", "interval: 1s")];
    let receiver = ("metrics.example.net:8428", store);
    let config = packaged(file, &[&changes[..], &[receiver]].concat());
    fs::write(folder.join(format!("{name}.yml")), config).unwrap();
    let address = free_address();
    let mut command;
    let words = if let Way::Vmagent = way {
        command = Command::new("vmagent");
        command.args([format!("-promscrape.config={name}.yml"), format!("-remoteWrite.url=http://{store}/api/v1/write")]);
        command.args([format!("-remoteWrite.tmpDataPath={name}"), format!("-httpListenAddr={address}")]);
        "server at http://"
    } else {
        command = Command::new("prometheus");
        command.args([format!("--config.file={name}.yml"), format!("--storage.agent.path={name}")]);
        command.args(["--enable-feature=agent".to_owned(), format!("--web.listen-address={address}")]);
        "ready to receive web requests"
    };
    Server::start(&mut command, folder, &address, words)
}

/// A file of `packaging/fleet/` with this test's addresses in place of its own.
fn packaged(file: &str, changes: &[(&str, &str)]) -> String {
    let config = fs::read_to_string(mixin::root().join("../packaging/fleet").join(file)).unwrap();
    changes.iter().fold(config, |config, (theirs, ours)| {
        assert!(config.contains(theirs), "{file} has no {theirs}");
        config.replace(theirs, ours)
    })
}

/// A Prometheus with this configuration.
fn prometheus(folder: &Path, name: &str, config: &str) -> Server {
    fs::write(folder.join(format!("{name}.yml")), config).unwrap();
    let address = free_address();
    let mut command = Command::new("prometheus");
    command.args([format!("--config.file={name}.yml"), format!("--storage.tsdb.path={name}"), format!("--web.listen-address={address}")]);
    Server::start(&mut command, folder, &address, "ready to receive web requests")
}
