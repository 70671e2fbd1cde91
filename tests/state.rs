//! The state directory, from outside: what was met before a restart is known after it, and neither a kill nor a full disk harms it.
//!
//! A kill is at its worst while the state is being written, so a copy of this program writes without pause and is killed at
//! moments drawn by lot; disks that are full or read-only are mounted in a namespace of the test's own. Every wait is for a line
//! or a message, never for a clock.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test makes its own world, and fails by panicking"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use whither::engine::event::Timestamp;
use whither::engine::snapshot::{Contact, ContactRow, Memory};
use whither::export::state::State;
use whither::simulate::{Plan, write};

/// Says to a copy of this program what it is to do.
const PART: &str = "WHITHER_TEST_PART";
/// The directory that it is to do it in.
const FOLDER: &str = "WHITHER_TEST_FOLDER";

/// The simulated lab run: a pcap header, and where each record begins.
static LAB: LazyLock<(Vec<u8>, Vec<usize>)> = LazyLock::new(|| {
    let mut capture = Vec::new();
    write(&Plan::default(), &mut capture).unwrap();
    let (mut records, mut at) = (Vec::new(), 24);
    while at < capture.len() {
        records.push(at);
        at += 16 + u32::from_le_bytes(capture[at + 8..at + 12].try_into().unwrap()) as usize;
    }
    (capture, records)
});

/// Writes a part of the lab run as a capture.
fn part(path: &Path, from: usize, to: usize) {
    let (capture, records) = &*LAB;
    let at = |record: usize| records.get(record).copied().unwrap_or(capture.len());
    std::fs::write(path, [&capture[..24], &capture[at(from)..at(to)]].concat()).unwrap();
}

fn whither(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_whither")).args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn read(folder: &Path, arguments: &[&str]) -> String {
    let run = whither(folder, &[&["read"], arguments].concat());
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

/// It failed, and said so in one line that holds these words.
#[track_caller]
fn fails(run: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!((run.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
}

/// A program that ends with the test, also when that fails: a sensor left behind would hold what it inherited.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn running(command: &mut Command) -> Running {
    Running(command.spawn().unwrap())
}

fn skipped(why: &str) {
    let _ = std::io::stderr().write_all(format!("\n*** SKIPPED: state: {why} ***\n").as_bytes());
}

/// Device, kind and value; first and last time, and whether it was told. Flows that go on across a restart count twice.
fn contacts(folder: &Path) -> BTreeMap<[String; 3], [String; 3]> {
    let text = std::fs::read_to_string(folder.join("contacts.jsonl")).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(|row| row["kind"].is_string());
    rows.map(|row| (["device", "kind", "value"].map(|key| row[key].to_string()), ["first", "last", "told"].map(|key| row[key].to_string())))
        .collect()
}

/// The first contacts among events.
fn told(path: &Path) -> Vec<[String; 4]> {
    let text = std::fs::read_to_string(path).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let first = events.filter(|event| event["event.action"] == "first-contact");
    let mut told: Vec<_> =
        first.map(|event| ["@timestamp", "device.id", "whither.kind", "whither.value"].map(|key| event[key].to_string())).collect();
    told.sort_unstable();
    told
}

/// One test at a time: a process that another test has just forked holds this one's lock on its directory until it becomes another program.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn a_run_in_two_halves_knows_and_tells_what_one_run_does() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let all = LAB.1.len();
    part(&at.join("all.pcap"), 0, all);
    read(at, &["all.pcap", "--state", "one", "--learning", "1h", "--events", "all.jsonl"]);
    let told_at_once = told(&at.join("all.jsonl"));
    assert!(told_at_once.len() > 5, "{told_at_once:?}");
    // Not between a question and its answer: that names nothing to who did not see the question.
    for (index, cut) in [80, 7_000, all / 2].into_iter().enumerate() {
        let state = format!("two{index}");
        part(&at.join("a.pcap"), 0, cut);
        part(&at.join("b.pcap"), cut, all);
        read(at, &["a.pcap", "--state", &state, "--learning", "1h", "--events", "a.jsonl"]);
        read(at, &["b.pcap", "--state", &state, "--learning", "1h", "--events", "b.jsonl"]);
        assert_eq!(contacts(&at.join(&state)), contacts(&at.join("one")), "cut at {cut}");
        let mut told_in_two = [told(&at.join("a.jsonl")), told(&at.join("b.jsonl"))].concat();
        told_in_two.sort_unstable();
        assert_eq!(told_in_two, told_at_once, "cut at {cut}");
    }
}

#[test]
fn a_first_contact_is_told_with_its_flow_counted_and_shown_and_not_told_again() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    part(&at.join("lab.pcap"), 0, 2_000);
    let flags = ["lab.pcap", "--state", "state", "--learning", "0", "--events", "events.jsonl", "--metrics", "metrics"];
    let table = read(at, &flags);
    let count = |metrics: &str| -> usize {
        let lines = metrics.lines().filter(|line| line.starts_with("whither_first_contacts_total{"));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap()).sum()
    };
    let metrics = || std::fs::read_to_string(at.join("metrics")).unwrap();
    let first = told(&at.join("events.jsonl"));
    assert!(first.len() > 20);
    assert_eq!(count(&metrics()), first.len());
    assert!(table.contains(&format!("First contacts after learning: {}, the latest (all with --json):\n", first.len())), "{table}");
    assert!(!metrics().contains("whither_state_"), "`read` tells of packets, not of this machine's disk");
    let events = std::fs::read_to_string(at.join("events.jsonl")).unwrap();
    let singapore = events.lines().find(|line| line.contains(r#""whither.kind":"country","whither.value":"SG""#)).unwrap();
    let event: Value = serde_json::from_str(singapore).unwrap();
    assert_eq!(event["destination.geo.country_iso_code"], "SG");
    for key in ["@timestamp", "device.id", "source.ip", "destination.ip", "destination.port", "network.transport", "whither.packet"] {
        assert!(!event[key].is_null(), "no {key} in {singapore}");
    }
    read(at, &flags);
    assert_eq!((told(&at.join("events.jsonl")), count(&metrics())), (vec![], 0), "all of it is known");
    let json: Value = serde_json::from_str(&read(at, &["lab.pcap", "--json", "--state", "state"])).unwrap();
    let rows = |name: &str| json[name].as_array().unwrap().clone();
    for domain in rows("contacts").iter().filter(|row| row["kind"] == "domain") {
        let of_domain = |row: &&Value| row["device"] == domain["device"] && row["destination"] == domain["value"];
        let last = rows("destinations").iter().filter(of_domain).map(|row| row["last_seen"].to_string()).max();
        assert_eq!(last, Some(domain["last_seen"].to_string()), "the last packet, not the last that named one: {domain}");
    }
    assert_eq!(json["contacts"].as_array().unwrap().len(), contacts(&at.join("state")).len());
    assert!(contacts(&at.join("state")).values().any(|[_, _, told]| told == "true"), "what was told stays marked");
}

#[test]
fn a_devices_first_packet_is_that_of_an_earlier_run() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    part(&at.join("a.pcap"), 0, 2_000);
    part(&at.join("b.pcap"), 20_000, 21_000);
    let seen = |name: &str, flags: &[&str]| -> Vec<String> {
        let json: Value = serde_json::from_str(&read(at, &[&[name, "--json"], flags].concat())).unwrap();
        let phones = json["devices"].as_array().unwrap().iter().filter(|device| device["router"] == false);
        phones.map(|device| device["first_seen"].to_string()).collect()
    };
    let first = seen("a.pcap", &["--state", "state"]);
    assert_eq!(seen("b.pcap", &["--state", "state"]), first);
    assert_ne!(seen("b.pcap", &[]), first);
}

/// A state whose every row says which generation it is of.
fn generation(number: u64) -> Vec<Memory> {
    let time = Timestamp::from_nanos(1_600_000_000_000_000_000 + number);
    let row = |index: u32| ContactRow { contact: Contact::Asn(index), first: time, last: time, flows: number, told: false };
    vec![Memory { device: "phone".into(), first: time, last: time, contacts: (0..2_000).map(row).collect() }]
}

/// No generation is smaller than this, in bytes.
const WHOLE: u64 = 200_000;

/// A copy of this program, to do a part in a folder.
fn copy(name: &str, part: &str, folder: &Path, before: &[&str]) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match before {
        [] => Command::new(program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    };
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(PART, part).env(FOLDER, folder);
    command
}

fn is_part(part: &str) -> Option<std::path::PathBuf> {
    (std::env::var(PART).as_deref() == Ok(part)).then(|| std::env::var_os(FOLDER).unwrap().into())
}

#[test]
fn kill_9_at_any_moment_leaves_the_last_whole_state_or_the_next() {
    let _alone = alone();
    if let Some(folder) = is_part("save") {
        let (mut state, _) = State::open(&folder).unwrap();
        for number in 1.. {
            state.save(&generation(number)).unwrap();
            writeln!(std::io::stdout(), "saved {number}").unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut lot = fastrand::Rng::with_seed(9);
    let mut half = 0;
    for round in 0..60 {
        let name = "kill_9_at_any_moment_leaves_the_last_whole_state_or_the_next";
        let mut child = running(copy(name, "save", folder.path(), &[]).stdout(Stdio::piped()).stderr(Stdio::null()));
        let lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut saved = lines.filter_map(|line| Some(line.split_once("saved ")?.1.parse::<u64>().unwrap()));
        let mut least = 0;
        for _ in 0..lot.u32(1..4) {
            least = saved.next().unwrap();
        }
        // Some part of a save later; every other time at once when half a save is seen.
        let path = |name: &str| folder.path().join(name);
        let torn = || path("contacts.jsonl.tmp").exists() || std::fs::metadata(path("contacts.jsonl")).is_ok_and(|file| file.len() < WHOLE);
        for _ in 0..lot.u32(0..300_000) {
            if round % 2 == 0 && torn() {
                break;
            }
            std::hint::spin_loop();
        }
        drop(child);
        // What it had said by then, it had saved.
        let last = saved.last().unwrap_or(least);
        half += u32::from(folder.path().join("contacts.jsonl.tmp").exists());
        let (_state, memories) = State::open(folder.path()).unwrap();
        let number = memories[0].contacts[0].flows;
        assert!(number == last || number == last + 1, "round {round}: {number} after {last}");
        assert!(memories == generation(number), "round {round}: rows of several generations");
    }
    eprintln!("of 60 kills, {half} left a half-written file");
}

#[test]
fn a_reader_that_is_killed_leaves_the_state_as_it_was() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    part(&at.join("a.pcap"), 0, 500);
    read(at, &["a.pcap", "--state", "state"]);
    let before = std::fs::read(at.join("state/contacts.jsonl")).unwrap();
    let mut reader = Command::new(env!("CARGO_BIN_EXE_whither"));
    reader.args(["read", "-", "--events", "-", "--state", "state"]).current_dir(at);
    let mut child = running(reader.stdin(Stdio::piped()).stdout(Stdio::piped()));
    // Its input never ends; it has read some of it when the first event comes.
    let mut input = child.0.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || input.write_all(&LAB.0[..LAB.1[5_000]]).map(|()| input));
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("event.action"), "{line}");
    fails(&whither(at, &["read", "a.pcap", "--state", "state"]), &["another whither uses the state directory state"]);
    drop(child);
    let _ = feeder.join();
    assert_eq!(std::fs::read(at.join("state/contacts.jsonl")).unwrap(), before);
    read(at, &["a.pcap", "--state", "state"]);
}

#[test]
fn a_damaged_state_is_never_written_over() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    part(&at.join("a.pcap"), 0, 500);
    read(at, &["a.pcap", "--state", "state"]);
    let path = at.join("state/contacts.jsonl");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    for command in ["read", "watch"] {
        let file = if command == "read" { "a.pcap" } else { "lo" };
        let run = whither(at, &[command, file, "--state", "state", "--listen", "127.0.0.1:0"]);
        if String::from_utf8_lossy(&run.stderr).contains("captur") {
            skipped("no right to capture on loopback");
            continue;
        }
        fails(&run, &["state/contacts.jsonl", "cut short", "mv state/contacts.jsonl"]);
        assert_eq!(std::fs::read(&path).unwrap(), &whole[..whole.len() / 2]);
    }
    std::fs::rename(&path, at.join("old")).unwrap();
    read(at, &["a.pcap", "--state", "state"]);
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

#[test]
fn a_watch_keeps_its_state_to_itself_and_saves_it_when_it_is_stopped() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut sensor = Command::new(env!("CARGO_BIN_EXE_whither"));
    sensor.args(["watch", "lo", "--listen", "127.0.0.1:0", "--state", "state"]).current_dir(at);
    let mut child = running(sensor.stderr(Stdio::piped()));
    let mut said = BufReader::new(child.0.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let Some((_, rest)) = line.split_once("http://") else { return skipped(&line) };
    let address = rest.split('/').next().unwrap().to_owned();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    assert!(get("/metrics").contains("\nwhither_state_write_errors_total 0\n"));
    assert!(get("/api/v1/contacts").contains(r#""contacts":["#));
    part(&at.join("a.pcap"), 0, 500);
    fails(&whither(at, &["read", "a.pcap", "--state", "state"]), &["another whither uses the state directory state"]);
    kill(Pid::from_raw(child.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(child.0.wait().unwrap().success(), "{rest}");
    let packets = rest.strip_prefix("whither: ").and_then(|rest| rest.split_once(" packets captured on lo, none lost\n"));
    assert!(packets.is_some_and(|(_, more)| more.is_empty()), "{rest}");
    read(at, &["a.pcap", "--state", "state"]);
}

/// Runs a part of this program where it may mount; none where that is not allowed.
fn with_mounts(name: &str, part: &str) {
    let unshare = ["unshare", "--user", "--map-root-user", "--mount"];
    let allowed = Command::new(unshare[0]).args(&unshare[1..]).args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    if !allowed.is_ok_and(|run| run.status.success()) {
        return skipped("no mount namespaces here: a full disk and a read-only one were not tried");
    }
    let folder = tempfile::tempdir().unwrap();
    let run = copy(name, part, folder.path(), &unshare).output().unwrap();
    assert!(run.status.success(), "{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
}

fn mount(folder: &Path, arguments: &[&str]) {
    assert!(Command::new("mount").args(arguments).arg(folder).status().unwrap().success());
}

/// Fills a disk to its last byte.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
}

#[test]
fn a_full_disk_is_one_line_until_there_is_room_again() {
    let _alone = alone();
    let name = "a_full_disk_is_one_line_until_there_is_room_again";
    let Some(folder) = is_part("full") else { return with_mounts(name, "full") };
    mount(&folder, &["-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
    let (mut state, _) = State::open(&folder).unwrap();
    state.save(&generation(1)).unwrap();
    let filling = folder.join("filling");
    fill(&filling);
    let stats = state.stats();
    let (say, said) = sync_channel(100);
    let (ask, asked) = sync_channel(0);
    let number = std::sync::atomic::AtomicU64::new(1);
    let take = move || {
        // Nobody listens any more at the end.
        let _ = ask.send(());
        generation(number.fetch_add(1, Ordering::Relaxed) + 1)
    };
    let keeper = state.keep(Duration::from_millis(1), take, move |line: &str| say.send(line.to_owned()).unwrap()).unwrap();
    (0..5).for_each(|_| asked.recv().unwrap());
    assert!(stats.row().errors >= 4, "{:?}", stats.row());
    std::fs::remove_file(&filling).unwrap();
    (0..3).for_each(|_| asked.recv().unwrap());
    drop(asked);
    keeper.stop();
    let said: Vec<String> = said.iter().collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("No space left on device") && said[1].ends_with("is saved again"), "{said:?}");
    let (_state, memories) = State::open(&folder).unwrap();
    assert_eq!(memories, generation(memories[0].contacts[0].flows));
}

#[test]
fn a_state_on_a_disk_that_is_read_only_is_used_and_told_of() {
    let _alone = alone();
    let name = "a_state_on_a_disk_that_is_read_only_is_used_and_told_of";
    let Some(folder) = is_part("read-only") else { return with_mounts(name, "read-only") };
    mount(&folder, &["-t", "tmpfs", "-o", "size=4m", "tmpfs"]);
    part(&folder.join("a.pcap"), 0, 500);
    part(&folder.join("b.pcap"), 0, 600);
    read(&folder, &["a.pcap", "--state", "state"]);
    let before = std::fs::read(folder.join("state/contacts.jsonl")).unwrap();
    mount(&folder, &["-o", "remount,ro"]);
    let run = whither(&folder, &["read", "b.pcap", "--state", "state", "--learning", "0"]);
    fails(&run, &["cannot save the state in state", "Read-only file system"]);
    let table = String::from_utf8(run.stdout).unwrap();
    assert!(table.contains("Frames read: 600"), "{table}");
    assert_eq!(std::fs::read(folder.join("state/contacts.jsonl")).unwrap(), before);
    fails(&whither(&folder, &["read", "a.pcap", "--state", "other"]), &["cannot make the state directory other"]);
}
