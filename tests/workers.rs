//! `watch --workers 2` tells what `watch` tells: both watch one interface, over which the simulated lab run passes, and their counters
//! agree line by line; again after SIGHUP has brought a devices file that makes two phones one device, which one engine must have.
//!
//! In a network namespace that the test makes and removes; where none can be made it says so and passes, unless `WHITHER_LAB=must`.

#![cfg(feature = "live")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test makes its own world, and fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use nix::poll::{PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use whither::capture::file::{File, Item};

/// Set in the copy of this program that runs inside the namespace.
const INSIDE: &str = "WHITHER_TEST_INSIDE";
/// A wait, in milliseconds, and how many of them are enough for the sensors to have taken what they were sent, and settled it.
const TURN: u16 = 100;
const TURNS: usize = 300;
/// Two of the lab run's phones, whose numbers give them to different engines.
const PHONES: [&str; 2] = ["ac:47:1b:9e:40:d3", "94:65:2d:0b:77:e8"];

#[test]
fn two_workers_tell_what_one_tells() {
    if std::env::var_os(INSIDE).is_some() {
        return side_by_side();
    }
    let name = format!("whither-{}-workers", std::process::id());
    match Command::new("ip").args(["netns", "add", &name]).output() {
        Ok(made) if made.status.success() => {}
        other => {
            eprintln!("\n*** SKIPPED: no network namespace can be made here: {other:?} ***\n");
            return assert!(std::env::var("WHITHER_LAB").as_deref() != Ok("must"));
        }
    }
    let inside = Command::new("ip")
        .args(["netns", "exec", &name])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "two_workers_tell_what_one_tells", "--nocapture"])
        .env(INSIDE, "1")
        .status();
    run(&format!("ip netns del {name}"));
    assert!(inside.unwrap().success());
}

fn side_by_side() {
    // The kernel itself would speak IPv6 on a new interface.
    fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
    for line in ["link set lo up", "link add air0 type veth peer name ap0", "link set ap0 up", "link set air0 up"] {
        run(&format!("ip {line}"));
    }
    let folder = tempfile::tempdir().unwrap();
    // Whoever the sensors become reads the devices file and writes the events.
    run(&format!("chmod 777 {}", folder.path().display()));
    let (capture, devices) = (folder.path().join("lab.pcap"), folder.path().join("devices.toml"));
    run(&format!("{} simulate --hours 1 {}", env!("CARGO_BIN_EXE_whither"), capture.display()));
    fs::write(&devices, "").unwrap();
    let mut sensors = [1, 2].map(|workers| Sensor::start(workers, folder.path()));

    let mut sent = replay(&capture);
    assert!(sent > 1_000, "an hour of three phones: {sent} frames");
    agree(&sensors, sent);

    fs::write(&devices, format!("[[device]]\nalias = \"both\"\nmac = {PHONES:?}\n")).unwrap();
    for sensor in &mut sensors {
        kill(Pid::from_raw(sensor.child.id().try_into().unwrap()), Signal::SIGHUP).unwrap();
        let line = sensor.line();
        assert!(line.contains("read again"), "{line}");
    }
    // A turn, after which each worker has its new filter.
    for _ in 0..5 {
        poll(&mut [], PollTimeout::from(TURN)).unwrap();
    }
    sent += replay(&capture);
    agree(&sensors, sent);
    assert!(sensors.iter().all(|sensor| sensor.counters().keys().any(|series| series.contains("device=\"both\""))));

    let said: Vec<_> = sensors.map(Sensor::stop).into_iter().collect();
    let all = format!("{sent} packets captured on ap0, none lost");
    assert!(said.iter().all(|said| said.contains(&all) && !said.contains("does not share")), "{said:#?}");
    let [one, two] = [1, 2].map(|workers| told(&folder.path().join(format!("events-{workers}"))));
    assert!(one.contains_key(&("association".to_owned(), PHONES[0].to_owned())), "{one:#?}");
    assert_eq!(one, two, "events by kind and device");
}

/// Waits until both sensors have counted `sent` frames and tell the same.
fn agree(sensors: &[Sensor; 2], sent: u64) {
    let mut differs = Vec::new();
    for _ in 0..TURNS {
        let [one, two] = sensors.each_ref().map(Sensor::counters);
        let captured = one.get("whither_capture_packets_total{interface=\"ap0\"}").cloned();
        differs = one
            .iter()
            .filter(|(series, value)| two.get(*series) != Some(value))
            .take(5)
            .map(|(series, value)| format!("{series} {value}, {:?}", two.get(series)))
            .collect();
        differs.extend(two.keys().filter(|series| !one.contains_key(*series)).take(5).cloned());
        if captured == Some(sent.to_string()) && differs.is_empty() {
            assert!(one.len() > 200, "{one:#?}");
            return;
        }
        poll(&mut [], PollTimeout::from(TURN)).unwrap();
    }
    panic!("not the same of {sent} frames: {differs:?}");
}

/// Sends each frame of a capture from the far end, as fast as it can; says how many.
fn replay(path: &Path) -> u64 {
    let mut air = pcap::Capture::from_device("air0").unwrap().open().unwrap();
    let mut sent = 0;
    let done = File::open(path).unwrap().read(&mut |item| {
        let Item::Frame(frame) = item else { panic!("a frame of our own that cannot be read") };
        air.sendpacket(frame.data).unwrap();
        sent += 1;
    });
    assert!(done.is_ok());
    sent
}

/// How many events of each kind were told of each device; without those of connections, which begin anew with the engine that a phone
/// goes over to.
fn told(path: &Path) -> BTreeMap<(String, String), usize> {
    let mut told = BTreeMap::new();
    for line in fs::read_to_string(path).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let word = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        if matches!(event["event.action"].as_str(), Some("flow" | "tls-client-hello")) {
            continue;
        }
        *told.entry((word("event.action"), word("device.id"))).or_default() += 1;
    }
    told
}

fn run(line: &str) {
    let mut words = line.split(' ');
    let status = Command::new(words.next().unwrap()).args(words).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{line}: {status}");
}

struct Sensor {
    child: Child,
    said: BufReader<ChildStderr>,
    address: String,
}

impl Sensor {
    fn start(workers: usize, folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_whither"))
            .args(["watch", "ap0", "--listen", "127.0.0.1:0", "--workers", &workers.to_string(), "--learning", "0"])
            .args(["--devices".as_ref(), folder.join("devices.toml").as_os_str()])
            .args(["--events".as_ref(), folder.join(format!("events-{workers}")).as_os_str()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut sensor = Self { child, said, address: String::new() };
        let line = sensor.line();
        let address = line.split_once("http://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_else(|| panic!("{line}"));
        sensor.address = address.to_owned();
        sensor
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }

    /// What is counted: all series but those of the process, of time, and of tables, which each engine has for itself.
    fn counters(&self) -> BTreeMap<String, String> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let counted = |series: &str| {
            series.starts_with("whither_") && !["_table_", "handshake_rtt", "_timestamp_"].iter().any(|other| series.contains(other))
        };
        let lines = text.lines().filter_map(|line| line.rsplit_once(' ')).filter(|(series, _)| counted(series));
        lines.map(|(series, value)| (series.to_owned(), value.to_owned())).collect()
    }

    /// Ends it; what it said since.
    fn stop(mut self) -> String {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let mut said = String::new();
        self.said.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success());
        said
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
