//! SIGHUP reads the address databases and the devices file again, without an end to the capture; a broken one is refused and the
//! old one stays.
//!
//! On loopback with the real program. Waits are blocking reads of what the program says, never sleeps.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    reason = "a test talks to the program it started and should stop at the first surprise"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const FIRST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/geoip/lab-country.mmdb");
const SECOND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/geoip/lab-asn.mmdb");

struct Sensor {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
    address: String,
}

impl Sensor {
    /// Starts watching loopback; none, with a word, where that is not allowed.
    fn start(flags: &[&str], file: &Path) -> Option<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_whither"))
            .args(["watch", "lo", "--listen", "127.0.0.1:0"])
            .args(flags)
            .arg(file)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut sensor = Self { child, said, address: String::new() };
        let line = sensor.line();
        if line.contains("no permission") || line.contains("may not capture") {
            let _ = std::io::stderr().write_all(format!("\n*** SKIPPED: reload: {line} ***\n").as_bytes());
            return None;
        }
        let (_, rest) = line.split_once("http://").unwrap_or_else(|| panic!("{line}"));
        sensor.address = rest.split('/').next().unwrap().to_owned();
        Some(sensor)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }

    fn hang_up(&mut self) -> String {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGHUP).unwrap();
        self.line()
    }

    /// The rows of one metric.
    fn metric(&self, name: &str) -> Vec<String> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// Files are replaced by renaming, as the README tells people to.
fn replace(path: &Path, bytes: &[u8]) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, bytes).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

#[test]
fn databases_are_read_again_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("lab.mmdb");
    replace(&database, &std::fs::read(FIRST).unwrap());
    let Some(mut sensor) = Sensor::start(&["--geoip"], &database) else { return };
    let rows = |sensor: &Sensor| sensor.metric("whither_geoip_build_timestamp_seconds{");
    let before = rows(&sensor);
    assert!(before.iter().any(|row| row.contains("database=\"lab\"")), "{before:?}");

    replace(&database, b"rubbish");
    let said = sensor.hang_up();
    assert!(said.contains("lab") && said.contains("stay"), "{said}");
    assert_eq!(rows(&sensor), before, "the databases in use stay");

    replace(&database, &std::fs::read(SECOND).unwrap());
    let said = sensor.hang_up();
    assert!(said.contains("read again"), "{said}");
    assert!(rows(&sensor).iter().any(|row| row.contains("database=\"lab\"")));
    assert_eq!(sensor.metric("whither_capture_up{"), ["whither_capture_up{interface=\"lo\"} 1"], "the capture goes on");
    assert_eq!(
        sensor.metric("whither_capture_dropped_packets_total{interface=\"lo\",by=\"kernel\"}"),
        ["whither_capture_dropped_packets_total{interface=\"lo\",by=\"kernel\"} 0"]
    );

    kill(Pid::from_raw(sensor.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let said = sensor.line();
    assert!(said.ends_with(" packets captured on lo, none lost\n") && !said.starts_with("whither: 0 "), "{said}");
}

#[test]
fn the_devices_file_is_read_again_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let devices = folder.path().join("devices.toml");
    let entry = |alias: &str| format!("[[device]]\nalias = '{alias}'\naddress = '127.0.0.1'\n");
    replace(&devices, entry("bench").as_bytes());
    let Some(mut sensor) = Sensor::start(&["--events", "-", "--devices"], &devices) else { return };
    let mut events = BufReader::new(sensor.child.stdout.take().unwrap());
    // Whoever asks for a page is seen on loopback, and told under its name. This blocks until then.
    let mut wait_for = |sensor: &Sensor, alias: &str| {
        sensor.metric("whither_device_info{");
        let told = |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["event.action"] == "device" && event["device.name"] == alias && event["device.id"] == alias
        };
        let mut line = "{}".to_owned();
        while !told(&line) {
            line.clear();
            assert!(events.read_line(&mut line).unwrap() > 0, "the sensor ended before it saw {alias}");
        }
    };
    wait_for(&sensor, "bench");

    replace(&devices, b"[[device]]\nalias = 'roof'\n");
    let said = sensor.hang_up();
    assert!(said.contains("devices.toml, line 1: `roof` has neither") && said.contains("devices in use stay"), "{said}");

    replace(&devices, entry("roof").as_bytes());
    let said = sensor.hang_up();
    assert!(said.contains("devices were read again"), "{said}");
    wait_for(&sensor, "roof");
    let rows = sensor.metric("whither_device_transmit_bytes_total{");
    let of = |alias: &str| rows.iter().any(|row| row.contains(&format!("device=\"{alias}\"")));
    assert!(of("bench") && of("roof"), "the old series stays, the new one is there: {rows:?}");
}

#[test]
fn the_file_of_events_is_made_anew_when_it_was_moved_away_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let [events, moved] = ["events.jsonl", "events.jsonl.moved"].map(|name| folder.path().join(name));
    let Some(mut sensor) = Sensor::start(&["--events"], &events) else { return };
    // Each look is a request on loopback, which is an event.
    let until_told = |sensor: &Sensor| {
        while std::fs::metadata(&events).map_or(0, |of| of.len()) == 0 {
            sensor.metric("whither_build_info");
        }
    };
    until_told(&sensor);
    std::fs::rename(&events, &moved).unwrap();
    sensor.hang_up();
    until_told(&sensor);
    kill(Pid::from_raw(sensor.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert!(sensor.child.wait().unwrap().success());
    let text = [&moved, &events].map(|path| std::fs::read_to_string(path).unwrap());
    let numbers: Vec<u64> = text
        .iter()
        .flat_map(|text| text.lines())
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|event| event["event.action"] == "http-request")
        .map(|event| event["whither.packet"].as_u64().unwrap())
        .collect();
    assert!(numbers.is_sorted_by(|a, b| a < b) && text.iter().all(|text| text.ends_with("}\n")), "{text:?}");
}
