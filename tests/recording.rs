//! Recording for real: `watch --record` on a link of its own and on loopback, its marks, its end by force, its full disk.
//!
//! In a network namespace that the test makes and removes; where none can be made it says so and passes, unless `WHITHER_LAB=must`. Waits are
//! reads of what the sensor says, or repeated looks at a metric or file with an upper bound.
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
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::sync_channel;

use nix::poll::{PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use whither::capture::file::{File, Item};
use whither::export::pcapng::{Captured, Source, Writer};
use whither::export::record::{News, Recorder, Rules, files};
use whither::mark::Mark;

/// Set in the copy of this program that runs inside a namespace.
const INSIDE: &str = "WHITHER_TEST_INSIDE";
/// A wait, in milliseconds, and how many of them are enough for the sensor to have taken what it was sent.
const TURN: u16 = 100;
const TURNS: usize = 300;
/// A phone of the lab run.
const PHONE: &str = "d0:9c:7a:51:0e:2c";

fn skipped(why: &str) {
    eprintln!("\n*** SKIPPED: {why} ***\n");
    assert!(std::env::var("WHITHER_LAB").as_deref() != Ok("must"));
}

fn run(line: &str) {
    let mut words = line.split(' ');
    let status = Command::new(words.next().unwrap()).args(words).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{line}: {status}");
}

fn whither(words: &[&str]) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_whither")).args(words).output().unwrap();
    assert!(ran.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

struct Sensor {
    child: Child,
    said: BufReader<ChildStderr>,
    address: String,
}

impl Sensor {
    /// None where capturing is not allowed.
    fn watch(interface: &str, flags: &[&str]) -> Option<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_whither"))
            .args(["watch", interface, "--listen", "127.0.0.1:0"])
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut sensor = Self { child, said, address: String::new() };
        let mut line = String::new();
        sensor.said.read_line(&mut line).unwrap();
        assert!(line.contains("http://") || line.contains("no permission"), "{line}");
        sensor.address = line.split_once("http://")?.1.split('/').next().unwrap().to_owned();
        Some(sensor)
    }

    /// An answer with its head.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// The value of a metric with its labels.
    fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
    }

    fn until(&self, name: &str, least: u64) {
        until(name, || self.metric(name) >= least);
    }

    fn tell(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// What it said from now to its end.
    fn end(mut self) -> String {
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        self.child.wait().unwrap();
        rest
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..TURNS {
        if holds() {
            return;
        }
        poll(&mut [], PollTimeout::from(TURN)).unwrap();
    }
    panic!("waited in vain for {what}");
}

/// A frame: its length on the wire, and its bytes.
type Kept = (u64, u32, Vec<u8>);

/// The frames of captures in their order, with their times.
fn frames(captures: &[PathBuf]) -> Vec<Kept> {
    let mut frames = Vec::new();
    for path in captures {
        let mut take = |item: Item<'_>| {
            if let Item::Frame(frame) = item {
                frames.push((frame.time.as_nanos(), frame.wire_len, frame.data.to_vec()));
            }
        };
        File::open(path).unwrap().read(&mut take).unwrap_or_else(|damage| panic!("{}: {damage}", path.display()));
    }
    frames
}

/// Runs a test's copy where it has a network, or mounts, of its own.
fn inside(name: &str, wrap: &[&str]) {
    let ran = Command::new(wrap[0])
        .args(&wrap[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .status();
    assert!(ran.unwrap().success());
}

/// The lab run is replayed onto a link, as fast as it goes, and recorded. Its packets have the times at which they passed there. So what
/// was recorded is held against the same packets with the same times in a file that the recorder never touched.
#[test]
fn a_report_of_a_recording_is_that_of_the_packets_but_for_its_header() {
    in_namespace("record", "a_report_of_a_recording_is_that_of_the_packets_but_for_its_header", replayed);
}

/// Runs the body of a test in a network namespace of its own: in a copy of this program that runs this test alone.
fn in_namespace(what: &str, test: &str, body: fn()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let name = format!("whither-{}-{what}", std::process::id());
    match Command::new("ip").args(["netns", "add", &name]).output() {
        Ok(made) if made.status.success() => {}
        other => return skipped(&format!("no network namespace can be made here: {other:?}")),
    }
    let ran = std::panic::catch_unwind(|| inside(test, &["ip", "netns", "exec", &name]));
    run(&format!("ip netns del {name}"));
    assert!(ran.is_ok());
}

/// The evidence behind a row is read from what was recorded, and must know what the sensor knows: here only the interface's prefix
/// says whose the addresses are, which no private range and no packet tells.
#[test]
fn evidence_from_the_ring_knows_the_prefixes_of_the_interface() {
    in_namespace("prefix", "evidence_from_the_ring_knows_the_prefixes_of_the_interface", prefixed);
}

fn prefixed() {
    backed(Some("addr add 203.0.113.1/24 dev ap0"), "transmit_bytes", |access_point, station| {
        datagram((access_point, station), ([203, 0, 113, 10], 5_000), ([198, 51, 100, 7], 9_999))
    });
}

/// Here only the interface's MAC says who forwards, and so whose the addresses are: the first packets are a server's, of a
/// conversation that is older than the recording.
#[test]
fn evidence_from_the_ring_knows_the_macs_of_the_interface() {
    in_namespace("forwards", "evidence_from_the_ring_knows_the_macs_of_the_interface", forwarded);
}

fn forwarded() {
    backed(None, "receive_bytes", |access_point, station| {
        datagram((station, access_point), ([198, 51, 100, 7], 443), ([203, 0, 113, 10], 5_000))
    });
}

/// A UDP datagram in a frame; the target's MAC first.
fn datagram((to, from): ([u8; 6], [u8; 6]), source: ([u8; 4], u16), target: ([u8; 4], u16)) -> Vec<u8> {
    let mut frame = [&to[..], &from, &[8, 0, 0x45, 0, 0, 60, 0, 0, 0, 0, 64, 17, 0, 0], &source.0, &target.0].concat();
    frame.extend(source.1.to_be_bytes().into_iter().chain(target.1.to_be_bytes()).chain([0, 40, 0, 0]).chain([0xaa; 32]));
    frame
}

/// A frame between an access point's MAC and a station's passes three times: its row has evidence for all bytes that it counts.
fn backed(address: Option<&str>, counted: &str, frame: fn([u8; 6], [u8; 6]) -> Vec<u8>) {
    fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
    let links = ["link set lo up", "link add air0 type veth peer name ap0 address 02:00:00:00:00:01"];
    for line in links.into_iter().chain(address).chain(["link set ap0 up", "link set air0 up"]) {
        run(&format!("ip {line}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let sensor = Sensor::watch("ap0", &["--record", text(folder.path())]).unwrap();
    let frame = frame([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 10]);
    let mut air = pcap::Capture::from_device("air0").unwrap().open().unwrap();
    (0..3).for_each(|_| air.sendpacket(&frame[..]).unwrap());
    let row = || -> Option<u64> {
        let body = sensor.get("/api/v1/evidence?device=02:00:00:00:00:0a&destination=unknown");
        let page: Value = serde_json::from_str(body.split_once("\r\n\r\n")?.1).ok()?;
        page["rows"][0]["row"][counted].as_u64()
    };
    until("the evidence", || row() == Some(3 * frame.len() as u64));
}

fn replayed() {
    // The kernel itself would speak IPv6 on a new interface.
    fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
    for line in ["set lo up", "add air0 type veth peer name ap0", "set ap0 up", "set air0 up"] {
        run(&format!("ip link {line}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (lab, ring, headers, one) = (at("lab.pcap"), at("ring"), at("headers"), at("one"));
    whither(&["simulate", "--hours", "1", text(&lab)]);
    let lab_run = frames(std::slice::from_ref(&lab));
    let sensors: Vec<Sensor> = [
        &["--record", text(&ring), "--record-max-size", "100kB"][..],
        &["--record", text(&headers), "--record-headers", "--snaplen", "4096"],
        &["--record", text(&one), "--record-device", PHONE],
    ]
    .iter()
    .map(|flags| Sensor::watch("ap0", flags).unwrap())
    .collect();
    let mut air = pcap::Capture::from_device("air0").unwrap().open().unwrap();
    lab_run.iter().for_each(|(_, _, data)| air.sendpacket(&data[..]).unwrap());
    let phone = PHONE.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect::<Vec<_>>();
    let of_phone: Vec<Kept> = lab_run.iter().filter(|(.., data)| data[..6] == phone || data[6..12] == phone).cloned().collect();
    assert!(of_phone.len() > 100 && of_phone.len() < lab_run.len());
    for (sensor, packets) in sensors.into_iter().zip([lab_run.len(), lab_run.len(), of_phone.len()]) {
        sensor.until("whither_capture_packets_total{interface=\"ap0\"}", lab_run.len() as u64);
        sensor.until("whither_record_packets_total", packets as u64);
        assert_eq!(sensor.metric("whither_record_dropped_packets_total"), 0);
        sensor.tell(Signal::SIGTERM);
        let said = sensor.end();
        assert!(said.contains("none lost") && said.contains(&format!("whither: {packets} packets recorded, none dropped")), "{said}");
    }
    let files_of_ring = files(&ring).unwrap();
    assert!(files_of_ring.len() > 2, "{files_of_ring:?}");
    let recorded = frames(&files_of_ring);
    let bytes = |frames: &[Kept]| frames.iter().map(|(_, wire, data)| (*wire, data.clone())).collect::<Vec<_>>();
    assert_eq!(bytes(&recorded), bytes(&lab_run), "every packet, whole, in its order");
    assert_eq!(bytes(&frames(&files(&one).unwrap())), bytes(&of_phone), "of one device");

    // The same packets in one file, with the times at which they passed.
    let plain = at("plain.pcapng");
    let mut writer = Writer::new(fs::File::create(&plain).unwrap()).unwrap();
    for ((nanos, ..), (_, wire_len, data)) in recorded.iter().zip(&lab_run) {
        writer.packet("lab", Captured { nanos: *nanos, linktype: 1, wire_len: *wire_len, data }, &[]).unwrap();
    }
    writer.finish().unwrap();
    let report = |path: &Path, zone: &str| {
        let ran = Command::new(env!("CARGO_BIN_EXE_whither"))
            .args(["report", text(path), "--json", "-"])
            .env("TZ", zone)
            .env("LC_ALL", if zone == "UTC" { "C" } else { "lt_LT.UTF-8" })
            .output()
            .unwrap();
        String::from_utf8(ran.stdout).unwrap()
    };
    let ours = report(&ring, "UTC");
    assert_eq!(ours, report(&ring, "Asia/Shanghai"));
    same_but_for_the_header(&ours, &report(&plain, "UTC"));
    assert_eq!(whither(&["report", text(&ring), "--csv", "-"]), whither(&["report", text(&plain), "--csv", "-"]));
    // And events are what they would have been.
    let events = |path: &Path| whither(&["read", text(path), "--events", "-", "--learning", "0"]);
    let names = |path: &Path| -> Vec<String> {
        let events = events(path);
        let event = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        events
            .lines()
            .map(event)
            .filter(|event| event["event.action"] == "tls-client-hello")
            .map(|event| event["tls.client.server_name"].to_string())
            .collect()
    };
    assert!(!names(&plain).is_empty());
    assert_eq!(names(&headers), names(&plain), "of headers alone");
    let sizes = |folder: &Path| files(folder).unwrap().iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>();
    assert!(sizes(&headers) * 2 < sizes(&ring), "{} of {}", sizes(&headers), sizes(&ring));
}

/// What differs: the captures in the header, and what follows from it that a recording says what was lost: the lost frames of the
/// coverage, and how well a "not observed" is supported.
fn same_but_for_the_header(ours: &str, theirs: &str) {
    let [mut ours, mut theirs]: [Value; 2] = [ours, theirs].map(|text| serde_json::from_str(text).unwrap());
    assert_eq!(ours["devices"][0]["coverage"]["frames_lost"], 0);
    assert_eq!(theirs["devices"][0]["coverage"]["frames_lost"], Value::Null);
    for told in [&mut ours, &mut theirs] {
        told["header"]["captures"].take();
        for device in told["devices"].as_array_mut().unwrap() {
            device["coverage"]["frames_lost"].take();
            for absence in device["not_observed"].as_array_mut().unwrap() {
                absence["support"].take();
                absence["provided"].take();
                let lost = "fewer than 0.1 % of the frames lost by the capture";
                absence["conditions"].as_array_mut().unwrap().retain(|condition| condition["what"] != lost);
            }
        }
        for spot in told["blind_spots"].as_array_mut().unwrap() {
            spot["here"].take();
        }
    }
    assert_eq!(ours, theirs);
}

/// Questions that nobody answers.
fn ask(name: &str) {
    let length = [u8::try_from(name.len()).unwrap()];
    let question = [&b"\0\x07\x01\0\0\x01\0\0\0\0\0\0"[..], &length, name.as_bytes(), b"\x07example\x03com\0\0\x01\0\x01"].concat();
    let _ = UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&question, "127.0.0.1:53");
}

/// Events by their action and what they say, in their order, of the questions and marks among them.
fn told(lines: &str) -> Vec<(String, String)> {
    let of = |line: &str| {
        let event: Value = serde_json::from_str(line).ok()?;
        let words = match event["event.action"].as_str()? {
            "dns-query" => event["dns.question.name"].to_string(),
            "mark" => format!("{} {} {}", event["message"], event["device.id"], event["whither.phase"]),
            _ => return None,
        };
        Some((event["event.action"].to_string(), words))
    };
    lines.lines().filter_map(of).collect()
}

#[test]
fn marks_go_into_events_and_recording_and_a_killed_sensor_leaves_them_whole() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (ring, pipe, events) = (at("ring"), at("run/marks"), at("events"));
    let flags = ["--record", text(&ring), "--mark-pipe", text(&pipe), "--events", text(&events), "--filter", "udp port 53"];
    let Some(sensor) = Sensor::watch("lo", &flags) else { return skipped("no right to capture on loopback") };
    let wait_for = |words: &str| until(words, || fs::read_to_string(&events).unwrap().contains(words));
    ask("before");
    wait_for("before.example.com");
    whither(&["mark", "screen on", "--device", "127.0.0.1", "--phase", "in-use", "--mark-pipe", text(&pipe)]);
    wait_for("screen on");
    fs::write(&pipe, "plain \u{1b}[31m words\n").unwrap();
    wait_for("words");
    ask("after");
    wait_for("after.example.com");
    sensor.until("whither_record_packets_total", 2);
    sensor.tell(Signal::SIGKILL);
    sensor.end();
    let live = told(&fs::read_to_string(&events).unwrap());
    assert_eq!(live.len(), 4, "{live:?}");
    assert_eq!(live[2].1, "\"plain \u{fffd}[31m words\" null null");
    let again = told(&whither(&["read", text(&ring), "--events", "-"]));
    assert_eq!(again, live, "the recording tells what the sensor told");
    let report: Value = serde_json::from_str(&whither(&["report", text(&ring), "--json", "-"])).unwrap();
    let mark = &report["marks"][0];
    assert_eq!((&mark["text"], &mark["phase"]), (&"screen on".into(), &"in-use".into()));
    let capture = &report["header"]["captures"][0];
    assert!(capture["damage"].is_null());
    assert_eq!(capture["drops"]["system"], 0, "also a killed sensor's file says what was lost, up to a minute before: {capture}");

    // Nobody is there now.
    let ran = Command::new(env!("CARGO_BIN_EXE_whither")).args(["mark", "x", "--mark-pipe", text(&pipe)]).output().unwrap();
    assert!(!ran.status.success() && String::from_utf8_lossy(&ran.stderr).contains("nobody takes marks"));
}

#[test]
fn what_cannot_go_together_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "").unwrap();
    for (flags, words) in [
        (vec!["--record-headers"], "give that too"),
        (vec!["--record-max-age", "1h"], "give that too"),
        (vec!["--events-keep", "3"], "give that too"),
        (vec!["--record", text(&at("ring")), "--workers", "2"], "leave out one of them"),
        (vec!["--record", text(&at("ring")), "--record-device", "nobody"], "no alias in the devices file"),
        (vec!["--record", text(&at("file"))], "file"),
        (vec!["--mark-pipe", text(&at("file"))], "it is no FIFO"),
    ] {
        let ran =
            Command::new(env!("CARGO_BIN_EXE_whither")).args(["watch", "lo", "--listen", "127.0.0.1:0"]).args(&flags).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(!ran.status.success() && (said.contains(words) || said.contains("no permission")), "{flags:?}: {said}");
    }
}

/// A full disk is told once, and its end; what was written stays whole, and what was not is counted.
#[test]
fn a_full_disk_is_one_line_until_there_is_room_again() {
    if std::env::var_os(INSIDE).is_some() {
        // Files that are as long as what is written at once, and shorter: then the disk is full also where a file begins.
        return [200_000, 50_000].into_iter().for_each(full_disk);
    }
    let unshare = ["unshare", "--user", "--map-root-user", "--mount"];
    let allowed = Command::new(unshare[0]).args(&unshare[1..]).args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    if !allowed.is_ok_and(|run| run.status.success()) {
        return skipped("no mount namespaces here: a full disk was not tried");
    }
    inside("a_full_disk_is_one_line_until_there_is_room_again", &unshare);
}

fn full_disk(size: u64) {
    let folder = tempfile::tempdir().unwrap();
    assert!(Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(folder.path()).status().unwrap().success());
    let filling = folder.path().join("filling");
    fs::write(&filling, vec![0; 600_000]).unwrap();
    let (say, said) = sync_channel(100);
    let tell = move |news: News<'_>| {
        say.send(match news {
            News::Failed(error) => format!("failed: {error}"),
            News::Again(dropped) => format!("again: {dropped}"),
        })
        .unwrap();
    };
    let source = Source { interface: "ap0".to_owned(), linktype: 1, snaplen: 0, filter: None };
    let rules = Rules { size, age: None, total: 10_000_000, source, notes: Vec::new() };
    let mut recorder = Recorder::open(folder.path(), rules, tell).unwrap();
    let stats = recorder.stats();
    let mut number = 0_u64;
    let mut send = |recorder: &mut Recorder| {
        for _ in 0..100 {
            let mut data = [0; 1_000];
            data[..8].copy_from_slice(&number.to_be_bytes());
            recorder.packet(Captured { nanos: number, linktype: 1, wire_len: 1_000, data: &data });
            number += 1;
        }
        while !recorder.flush() {
            std::thread::yield_now();
        }
    };
    for _ in 0..10 {
        send(&mut recorder);
    }
    assert!(said.recv().unwrap().contains("No space left on device"));
    until("all that was sent", || stats.row().packets + stats.row().dropped == 1_000);
    assert!(stats.row().dropped > 0);
    fs::remove_file(&filling).unwrap();
    send(&mut recorder);
    let again = said.recv().unwrap();
    assert_eq!(again, format!("again: {}", stats.row().dropped));
    recorder.mark(Mark::new(whither::packet::Timestamp::default(), "over").unwrap());
    recorder.finish();
    let row = stats.row();
    assert_eq!(row.packets + row.dropped, number);
    let kept = frames(&files(folder.path()).unwrap());
    assert_eq!(kept.len() as u64, row.packets, "each file is whole");
    let lost: u64 = files(folder.path())
        .unwrap()
        .iter()
        .map(|path| {
            let mut file = File::open(path).unwrap();
            file.read(&mut |_| {}).unwrap();
            file.lost().system.unwrap_or_default() // what a full disk did not take stands in the next file
        })
        .sum();
    assert_eq!(lost, row.dropped, "and says what is missing");
}
