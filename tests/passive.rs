//! A sensor only listens: while an hour of the simulated lab run passes, not one frame leaves the interface that it watches, and no thread
//! of it could have begun to speak.
//!
//! In a network namespace that the test makes and removes; where none can be made it says so and passes, unless `WHITHER_LAB=must`. That
//! the kernel really denies what is looked up here is tried out in `sandbox.rs`.

#![cfg(feature = "live")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test makes its own world, and fails by panicking"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use nix::poll::{PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use whither::capture::file::{File, Item};

/// Set in the copy of this program that runs inside the namespace.
const INSIDE: &str = "WHITHER_TEST_INSIDE";
/// A wait, in milliseconds, and how many of them are enough for the sensor to have taken what it was sent.
const TURN: u16 = 100;
const TURNS: usize = 300;

#[test]
fn not_one_frame_leaves_the_interface() {
    if std::env::var_os(INSIDE).is_some() {
        return listen_only();
    }
    let name = format!("whither-{}-passive", std::process::id());
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
        .args(["--exact", "not_one_frame_leaves_the_interface", "--nocapture"])
        .env(INSIDE, "1")
        .status();
    run(&format!("ip netns del {name}"));
    assert!(inside.unwrap().success());
}

fn listen_only() {
    // The kernel itself would speak IPv6 on a new interface.
    fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
    run("ip link set lo up");
    interface();
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("lab.pcap");
    run(&format!("{} simulate --hours 1 {}", env!("CARGO_BIN_EXE_whither"), capture.display()));
    let mut sensor = Sensor::start();
    let sent = replay(&capture);
    assert!(sent > 1_000, "an hour of three phones: {sent} frames");

    let all = format!("whither_capture_packets_total{{interface=\"ap0\"}} {sent}");
    let mut told = String::new();
    for _ in 0..TURNS {
        told = sensor.page("/metrics");
        if told.lines().any(|line| line == all) {
            break;
        }
        poll(&mut [], PollTimeout::from(TURN)).unwrap();
    }
    assert!(told.lines().any(|line| line == all), "not all of {sent} frames were taken:\n{told}");
    assert!(told.contains("destination=\"xiaomi.com\"") && told.contains("origin=\"quic\""), "and read:\n{told}");
    sensor.every_thread_is_confined(&told);
    sensor.hang_up();
    for page in ["/", "/api/v1/devices", "/api/v1/destinations", "/api/v1/contacts", "/api/v1/rhythm"] {
        sensor.page(page);
    }
    assert_eq!((sent_by("ap0"), sent_by("air0")), (0, sent), "frames that left each end");

    // It is opened again from inside, with what is left of all rights.
    run("ip link del ap0");
    assert!(sensor.line().contains("trying again until it is back"));
    interface();
    assert!(sensor.line().contains("watching ap0 again"));
    let metrics = sensor.page("/metrics");
    assert!(metrics.contains("whither_capture_up{interface=\"ap0\"} 1"), "{metrics}");
    sensor.stop();
    assert_eq!(sent_by("ap0"), 0);

    // That the counter would have told: the test sends one itself.
    pcap::Capture::from_device("ap0").unwrap().open().unwrap().sendpacket([0xff; 60]).unwrap();
    assert_eq!(sent_by("ap0"), 1);
}

/// A new interface, and its far end.
fn interface() {
    for line in ["link add air0 type veth peer name ap0", "link set ap0 up", "link set air0 up"] {
        run(&format!("ip {line}"));
    }
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

/// Frames that the kernel sent on an interface.
fn sent_by(interface: &str) -> u64 {
    let shown = Command::new("ip").args(["-s", "-j", "link", "show", "dev", interface]).output().unwrap();
    let link: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    link[0]["stats64"]["tx"]["packets"].as_u64().unwrap()
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
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_whither"))
            .args(["watch", "ap0", "--listen", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut sensor = Self { child, said, address: String::new() };
        let line = sensor.line();
        let address = line.split_once("http://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_else(|| panic!("{line}"));
        sensor.address = address.to_owned();
        assert!(line.contains("sandbox: user nobody, cap_net_raw alone, "), "{line}");
        sensor
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }

    fn page(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200"), "{path}: {text}");
        text
    }

    /// The kernel's word for each thread, and the sensor's own in its metrics.
    fn every_thread_is_confined(&self, metrics: &str) {
        let threads: Vec<_> = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap().collect();
        assert!(threads.len() > 2, "the capture, the pages, the signals: {threads:?}");
        for thread in threads {
            let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            let said = |line: &str| status.lines().any(|other| other.replace('\t', " ") == line);
            assert!(said("NoNewPrivs: 1") && said("CapEff: 0000000000002000") && !status.contains("Uid:\t0"), "{status}");
            assert_eq!(said("Seccomp: 2"), metrics.contains("whither_sandbox_enforced{layer=\"seccomp\"} 1"), "{status}");
        }
    }

    fn hang_up(&mut self) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGHUP).unwrap();
        assert!(self.line().contains("read again"));
    }

    fn stop(mut self) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// libpcap asks a resolver for the addresses of a host that a filter names. A sensor asks nobody.
#[test]
fn a_host_in_a_filter_is_not_looked_up() {
    for command in [&["watch", "lo"][..], &["read", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pcaps/dns.pcap")]] {
        let run = Command::new(env!("CARGO_BIN_EXE_whither"))
            .args(command)
            .args(["--listen", "127.0.0.1:0", "--filter", "host www.example.com"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{said}");
        assert!(said.contains("no permission to capture") || said.contains("host www.example.com"), "{said}");
    }
}
