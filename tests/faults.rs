//! What breaks around a sensor: its consumer of events, its file descriptors, its clock, and itself. For each, what is kept, what is
//! lost, and that it is said and counted; the table stands in the README under "When something breaks".
//!
//! The real program on loopback. Waits are reads of what it says, or repeated looks at a metric; never sleeps.
#![cfg(feature = "live")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test talks to the program it started and should stop at the first surprise"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

struct Sensor {
    child: Child,
    said: BufReader<ChildStderr>,
    address: String,
}

impl Sensor {
    /// Watches loopback from inside a folder; none, with a word, where that is not allowed. `limits` is for the shell.
    fn watch(folder: &Path, limits: &str, flags: &[&str]) -> Option<Self> {
        let words = [&["watch", "lo", "--listen", "127.0.0.1:0"][..], flags].concat();
        let sensor = Self::start(folder, limits, &words);
        if sensor.is_none() {
            let _ = std::io::stderr().write_all(b"\n*** SKIPPED: faults: no right to capture on loopback ***\n");
        }
        sensor
    }

    fn start(folder: &Path, limits: &str, words: &[&str]) -> Option<Self> {
        let mut child = Command::new("bash")
            .args(["-c", &format!("{limits} exec \"$@\""), "bash", env!("CARGO_BIN_EXE_whither")])
            .args(words)
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut sensor = Self { child, said, address: String::new() };
        let line = sensor.line();
        let (_, rest) = line.split_once("http://")?;
        sensor.address = rest.split('/').next().unwrap().to_owned();
        Some(sensor)
    }

    /// The next line that it says; none at its end.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }

    fn tell(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// What it said from now to its end, and how it ended.
    fn end(mut self) -> (String, ExitStatus) {
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        (rest, self.child.wait().unwrap())
    }

    fn page(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// The value of a metric without labels.
    fn metric(&self, name: &str) -> f64 {
        let text = self.page("/metrics").unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Questions of DNS that nobody answers: an event each.
fn ask(count: usize) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..count {
        let label = format!("q{:0>9}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let question = [b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x0a", label.as_bytes(), b"\x07example\x03com\0\0\x01\0\x01"].concat();
        // Nobody listens there, which loopback tells the next sender.
        let _ = socket.send_to(&question, "127.0.0.1:53");
    }
}

/// A connection from another address of the loopback network.
fn connect_from(last: u8, to: &str) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, last], 0).into()).unwrap();
        socket.connect(to.parse().unwrap()).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream
}

/// Every line is an event; the last may be cut short where `torn`.
fn events(path: &Path, torn: bool) -> Vec<Value> {
    let text = String::from_utf8(std::fs::read(path).unwrap()).unwrap();
    let whole = if torn { text.rsplit_once('\n').map_or("", |(whole, _)| whole) } else { text.trim_end_matches('\n') };
    assert!(torn || text.ends_with('\n') || text.is_empty(), "the last line is not whole");
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The consumer of events is not there yet, then hangs, then reads, then dies.
#[test]
fn a_consumer_of_events_that_hangs_or_dies_holds_up_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("events");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let Some(mut sensor) = Sensor::watch(folder.path(), "", &["--events", "events", "--state", "state"]) else { return };
    let mut asked = 0;
    while sensor.metric("whither_events_dropped_total") == 0.0 {
        ask(500);
        asked += 500;
        assert!(asked < 1_000_000, "nothing is dropped, and nobody reads");
    }
    let said = sensor.line();
    assert!(said.contains("cannot write events to events: nobody reads it"), "{said}");
    assert!(sensor.metric("whither_capture_packets_total{interface=\"lo\"}") > 0.0, "the capture goes on");

    // A reader comes: what was kept is there, each line whole, and it is told how many are not.
    let mut reader = BufReader::new(std::fs::File::open(&pipe).unwrap());
    let mut line = String::new();
    for _ in 0..1_000 {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0);
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event["event.action"].is_string());
        // In a pipe that is quiet the next line waits for the next event.
        if !reader.buffer().contains(&b'\n') {
            ask(1);
        }
    }
    // It dies; the next outage is told again, and the sensor can be stopped in the middle of it.
    drop(reader);
    ask(20_000);
    sensor.tell(Signal::SIGTERM);
    let (said, status) = sensor.end();
    assert!(status.success(), "{status}: {said}");
    assert!(said.contains("writing events to events again; ") && said.matches("nobody reads it").count() <= 2, "{said}");
    assert!(folder.path().join("state/contacts.jsonl").exists(), "the state is saved");
}

/// However often it is told to read its files again, and to stop.
#[test]
fn storms_of_signals_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(sensor) = Sensor::watch(folder.path(), "", &["--events", "events.jsonl", "--state", "state"]) else { return };
    for _ in 0..300 {
        sensor.tell(Signal::SIGHUP);
        ask(1);
    }
    let told = || events(&folder.path().join("events.jsonl"), true).iter().filter(|event| event["event.action"] == "dns-query").count();
    let mut looks = 0;
    while told() < 300 {
        assert!(sensor.page("/-/healthy").unwrap().starts_with("HTTP/1.1 200 "));
        looks += 1;
        assert!(looks < 20_000, "{} of 300 questions are told", told());
    }
    for _ in 0..300 {
        sensor.tell(Signal::SIGTERM);
    }
    let (said, status) = sensor.end();
    assert_eq!(status.code(), Some(0), "one orderly end: {said}");
    let reloads = said.lines().filter(|line| line.contains("read again")).count();
    let others: Vec<_> = said.lines().filter(|line| !line.contains("read again") && !line.contains("packets captured on lo")).collect();
    assert!(reloads <= 300 && others.is_empty(), "a line for each reload at most: {others:?}");
    assert!(!events(&folder.path().join("events.jsonl"), false).is_empty());
    assert!(folder.path().join("state/contacts.jsonl").exists(), "the state is saved");
}

/// Killed while it writes: what was written is there, and the next run goes on behind it.
#[test]
fn a_kill_9_costs_the_line_being_written_and_the_next_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let flags = ["--events", "events.jsonl", "--state", "state"];
    for round in 0..3 {
        let Some(sensor) = Sensor::watch(folder.path(), "", &flags) else { return };
        let before = std::fs::metadata(&path).unwrap().len();
        while std::fs::metadata(&path).unwrap().len() < before + 100_000 {
            ask(100);
        }
        sensor.tell(Signal::SIGKILL);
        let (_, status) = sensor.end();
        assert!(!status.success());
        // A torn line is ended by the next run, so that only itself is lost.
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let torn = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).count();
        assert!(torn <= round + 1, "{torn} torn lines after {} kills", round + 1);
    }
}

/// With fewer file descriptors than clients, and clients that say half of a request or read half of an answer.
#[test]
fn clients_that_hold_every_file_descriptor_hold_them_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pcaps/hello.pcap");
    let words = ["read", "--serve", "--listen", "0.0.0.0:0", capture];
    let sensor = Sensor::start(folder.path(), "ulimit -n 40;", &words).unwrap();
    let port = sensor.address.rsplit_once(':').unwrap().1.to_owned();
    let mut clients: Vec<TcpStream> = Vec::new();
    // Each peer may hold eight places: these could hold all 64.
    for peer in 1..=8 {
        for _ in 0..8 {
            let mut stream = connect_from(peer, &format!("127.0.0.1:{port}"));
            let half = if clients.len().is_multiple_of(2) {
                "GET /metrics HTTP/1.1\r\nHost:"
            } else {
                "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
            };
            let _ = stream.write_all(half.as_bytes());
            clients.push(stream);
        }
    }
    // Their time ends, and everybody is served again.
    let since = Instant::now();
    while !sensor.page("/-/healthy").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ")) {
        assert!(since.elapsed() < Duration::from_mins(1), "nobody is served any more"); // only so that the test ends
    }
    drop(clients);
    assert!(sensor.page("/metrics").unwrap().contains("whither_build_info"));
    sensor.tell(Signal::SIGTERM);
    assert!(sensor.end().1.success());
}

/// The clock is set forward by twenty years in the middle of a capture, as on an access point without a clock of its own, then back
/// by thirty, and one frame alone is from the year 2100: nothing is lost, and nobody is charged with another's bytes.
#[test]
fn a_clock_that_is_set_loses_nothing() {
    let bytes = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pcaps/phones.pcap")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (mut at, mut packets) = (24, Vec::new());
    while let Some(header) = bytes.get(at..at + 16) {
        packets.push(at);
        at += 16 + usize::try_from(u32::from_le_bytes(header.get(8..12).unwrap().try_into().unwrap())).unwrap();
    }
    let totals = |name: &str, step: &dyn Fn(usize, u32) -> u32| {
        let mut stepped = bytes.clone();
        for (number, at) in packets.iter().enumerate() {
            let field = stepped.get_mut(*at..at + 4).unwrap();
            let seconds = u32::from_le_bytes((&*field).try_into().unwrap());
            field.copy_from_slice(&step(number, seconds).to_le_bytes());
        }
        let path = folder.path().join(name);
        std::fs::write(&path, stepped).unwrap();
        let run = Command::new(env!("CARGO_BIN_EXE_whither")).arg("read").arg(path).args(["--metrics", "-"]).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let text = String::from_utf8(run.stdout).unwrap();
        let counted = ["whither_device_transmit_", "whither_device_receive_", "whither_country_transmit_", "whither_country_receive_"];
        let rows: Vec<String> = text.lines().filter(|line| counted.iter().any(|name| line.starts_with(name))).map(str::to_owned).collect();
        assert!(rows.len() > 8, "{text}");
        rows
    };
    let (year, third) = (365 * 86_400, packets.len() / 3);
    let right = totals("right.pcap", &|_, seconds| seconds);
    let stepped = totals("stepped.pcap", &|number, seconds| match number / third {
        0 => seconds,
        1 if number == third + 9 => 4_102_444_800,
        1 => seconds + 20 * year,
        _ => seconds - 10 * year,
    });
    assert_eq!(stepped, right);
    let zero = totals("zero.pcap", &|number, seconds| if number % 2 == 0 { 0 } else { seconds });
    assert_eq!(zero, right, "every other frame is from 1970");
}

/// Captures a fortnight apart, of one phone each, and a capture as long: what was in the first is told at the end.
#[test]
fn a_fortnight_of_silence_takes_no_device_out_of_the_table() {
    let first = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pcaps/phones.pcap")).unwrap();
    let (phone, other) = ([0xd0, 0x9c, 0x7a, 0x51, 0x0e, 0x2c], [0xd0, 0x9c, 0x7a, 0x51, 0x0e, 0x2d]);
    let mut second = first.clone();
    let mut at = 24;
    while let Some(header) = second.get_mut(at..at + 16) {
        let seconds = u32::from_le_bytes(header.get(..4).unwrap().try_into().unwrap()) + 15 * 86_400;
        header.get_mut(..4).unwrap().copy_from_slice(&seconds.to_le_bytes());
        let length = usize::try_from(u32::from_le_bytes(header.get(8..12).unwrap().try_into().unwrap())).unwrap();
        let packet = second.get_mut(at + 16..at + 16 + length).unwrap();
        for place in 0..packet.len().saturating_sub(5) {
            if let Some(mac) = packet.get_mut(place..place + 6).filter(|bytes| **bytes == phone) {
                mac.copy_from_slice(&other);
            }
        }
        at += 16 + length;
    }
    let folder = tempfile::tempdir().unwrap();
    let both = [&first[..], second.get(24..).unwrap()].concat();
    for (name, bytes) in [("first.pcap", &first), ("second.pcap", &second), ("both.pcap", &both)] {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let rows = |files: &[&str]| {
        let run =
            Command::new(env!("CARGO_BIN_EXE_whither")).arg("read").args(files).args(["--metrics", "-"]).current_dir(&folder).output();
        let text = String::from_utf8(run.unwrap().stdout).unwrap();
        let of_phone = |line: &&str| line.starts_with("whither_device_") && line.contains("bytes_total{device=\"d0:9c:7a:51:0e:2c\"");
        text.lines().filter(of_phone).map(str::to_owned).collect::<Vec<_>>()
    };
    let alone = rows(&["first.pcap"]);
    assert_eq!(alone.len(), 2);
    assert_eq!(rows(&["first.pcap", "second.pcap"]), alone);
    assert_eq!(rows(&["both.pcap"]), alone);
}
