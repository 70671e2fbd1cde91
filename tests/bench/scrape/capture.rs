//! What scrapes take from a real capture: `whither watch` on one end of a cable of its own, a paced sender on the other.
//!
//! Everything happens in a network namespace that is made and removed here. This program runs itself again inside it, so that neither
//! the sensor, the sender nor the scraper has to change namespaces. On the wire are documentation addresses and names only.
//!
//! Road not taken: the engine and a thread that calls it, as in `main.rs`. It has no ring, so it can wait but never lose anything.

#[expect(dead_code, reason = "only conversations are needed here")]
#[path = "../../wire/mod.rs"]
mod wire;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use pcap::{Active, Capture};

use super::LOAD;

/// Set in the copy of this program that runs inside the namespace.
const INSIDE: &str = "WHITHER_BENCH_INSIDE";
/// 16,120 destinations: near the most that are told apart (`Limits::accounts`), and with the devices' own series 50,000.
const DEVICES: u16 = 620;
const NAMES: u8 = 26;
/// Frames a second at which the sensor gets to know them.
const GENTLE: u64 = 20_000;
/// How long each load lasts.
const LOADED: Duration = Duration::from_secs(10);
/// Longer than a block waits in the ring, a batch in the sensor, and the counters for their turn.
const SETTLE: Duration = Duration::from_secs(1);
/// `USER_HZ`: the unit of `/proc/PID/stat`.
const TICKS: f64 = 100.0;

/// Who scrapes during a load.
#[derive(Clone, Copy)]
struct Scraper {
    gzip: bool,
    every: Duration,
}

/// The whole measurement; says why where it cannot be made.
pub(super) fn run() {
    match Namespace::new() {
        Ok(namespace) => {
            let mut inside = Command::new("ip");
            inside.args(["netns", "exec", &namespace.0]).arg(std::env::current_exe().unwrap()).env(INSIDE, "1");
            let ended = inside.status().unwrap();
            assert!(ended.success(), "inside the namespace: {ended}");
        }
        Err(reason) => println!("A live capture: skipped, {reason}"),
    }
}

/// Whether this is the copy inside the namespace.
pub(super) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// The measurement itself.
pub(super) fn inside() {
    for line in [
        "link set lo up",
        "link add port0 address 02:00:5e:10:00:01 type veth peer name port1",
        "link set port0 addrgenmode none up",
        "link set port1 addrgenmode none up",
    ] {
        let made = Command::new("ip").args(line.split(' ')).status().unwrap();
        assert!(made.success(), "ip {line}: {made}");
    }
    let sensor = Sensor::start();
    let mut port = Capture::from_device("port1").unwrap().open().unwrap();

    let talks = talks();
    let opened = talks.iter().map(|talk| talk.opening.len()).sum();
    let mut openings = talks.iter().flat_map(|talk| &talk.opening).cycle();
    send(&mut port, &mut openings, opened, GENTLE);
    std::thread::sleep(SETTLE);
    let metrics = sensor.metrics();
    let known = counted(&metrics);
    let series = metrics.lines().filter(|line| !line.starts_with('#')).count();
    let ((rate, size), seconds) = (LOAD, LOADED.as_secs());
    println!(
        "A live capture: {series} series, learnt from {opened} frames ({} captured, {} dropped); then {seconds} s of {rate} frames of {size} bytes a second:",
        known.captured, known.dropped
    );
    println!(
        "  {:<18} {:>7} {:>9} {:>8} {:>8} {:>6} {:>18} {:>9}",
        "scrapes", "sent", "captured", "dropped", "a second", "CPU", "median, longest", "bytes"
    );
    let second = Duration::from_secs(1);
    let each = |gzip, every| Some(Scraper { gzip, every });
    for (what, scraper) in [
        ("none", None),
        ("one a second", each(false, second)),
        ("one a second, gzip", each(true, second)),
        ("gzip, no pause", each(true, Duration::ZERO)),
        ("none, once more", None),
    ] {
        println!("  {what:<18} {}", load(&sensor, &mut port, &talks, scraper));
    }
    println!(
        "  dropped: by the kernel's ring and the interface together. CPU: the sensor's, in microseconds for each frame, scrapes included."
    );
}

/// Sends the load while `scraper` scrapes; returns the row.
fn load(sensor: &Sensor, port: &mut Capture<Active>, talks: &[Talk], scraper: Option<Scraper>) -> String {
    let (rate, _) = LOAD;
    let count = usize::try_from(rate * LOADED.as_secs()).unwrap();
    let (before, cpu) = (counted(&sensor.metrics()), sensor.cpu());
    let (took, mut scrapes) = std::thread::scope(|scope| {
        let scraping = scraper.map(|scraper| scope.spawn(move || scraper.scrape(sensor.at)));
        let took = send(port, &mut talks.iter().map(|talk| &talk.data).cycle(), count, rate);
        (took, scraping.map_or_else(Vec::new, |thread| thread.join().unwrap()))
    });
    std::thread::sleep(SETTLE);
    let cpu = (sensor.cpu() - cpu) / count as f64;
    let after = counted(&sensor.metrics());
    let (captured, dropped) = (after.captured - before.captured, after.dropped - before.dropped);
    let mut row = format!("{count:>7} {captured:>9} {dropped:>8} {:>8.0} {:>6.2}", count as f64 / took.as_secs_f64(), cpu * 1e6);
    scrapes.sort_unstable();
    if let (Some((median, bytes)), Some((longest, _))) = (scrapes.get(scrapes.len() / 2), scrapes.last()) {
        write!(row, " {:>8.1?} {longest:>8.1?} {bytes:>9} ({} scrapes)", median, scrapes.len()).unwrap();
    }
    row
}

/// Sends so many frames, as many as are due by the wall clock each time; returns how long that took.
fn send<'a>(port: &mut Capture<Active>, frames: &mut impl Iterator<Item = &'a Vec<u8>>, count: usize, rate: u64) -> Duration {
    let begin = Instant::now();
    let mut sent = 0;
    while sent < count {
        let due = count.min((begin.elapsed().as_secs_f64() * rate as f64) as usize);
        for frame in frames.take(due - sent) {
            port.sendpacket(&frame[..]).unwrap();
        }
        sent = due;
        std::thread::sleep(Duration::from_millis(1));
    }
    begin.elapsed()
}

impl Scraper {
    /// Scrapes for as long as a load lasts; returns how long each took and its bytes.
    fn scrape(self, at: SocketAddr) -> Vec<(Duration, usize)> {
        let (begin, mut scrapes) = (Instant::now(), Vec::new());
        while begin.elapsed() < LOADED {
            let asked = Instant::now();
            let bytes = get(at, self.gzip).len();
            let took = asked.elapsed();
            scrapes.push((took, bytes));
            std::thread::sleep(self.every.saturating_sub(took));
        }
        scrapes
    }
}

/// One scrape: the body.
fn get(at: SocketAddr, gzip: bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).unwrap();
    let accept = if gzip { "Accept-Encoding: gzip\r\n" } else { "" };
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {at}\r\n{accept}Connection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 ") && head.contains("content-encoding: gzip") == gzip, "{head}");
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
    body
}

/// What the sensor's metrics say of its interface.
struct Counted {
    captured: u64,
    dropped: u64,
}

fn counted(metrics: &str) -> Counted {
    let sum = |name: &str| {
        let samples = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once(' '));
        samples.map(|(_, value)| value.parse::<u64>().unwrap()).sum()
    };
    Counted { captured: sum("whither_capture_packets_total"), dropped: sum("whither_capture_dropped_packets_total") }
}

/// `whither watch` on `port0`; ended when dropped.
struct Sensor {
    process: Child,
    at: SocketAddr,
    /// Held so that what the sensor says finds a reader.
    _says: BufReader<ChildStderr>,
}

impl Sensor {
    fn start() -> Self {
        let countries = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/geoip/lab-country.mmdb");
        let mut command = Command::new(env!("CARGO_BIN_EXE_whither"));
        command.args(["watch", "port0", "--listen", "127.0.0.1:0", "--geoip", countries]);
        let mut process = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut says = BufReader::new(process.stderr.take().unwrap());
        let mut said = String::new();
        let at = loop {
            assert!(says.read_line(&mut said).unwrap() > 0, "the sensor ended: {said}");
            if let Some((_, rest)) = said.split_once("look at http://") {
                break rest.split('/').next().unwrap().parse().unwrap();
            }
        };
        Self { process, at, _says: says }
    }

    fn metrics(&self) -> String {
        String::from_utf8(get(self.at, false)).unwrap()
    }

    /// Seconds of CPU, of the program and of the kernel for it (proc(5): `utime`, `stime`).
    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields = stat.rsplit_once(") ").unwrap().1.split(' ');
        fields.skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / TICKS
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A network namespace; removed when dropped.
struct Namespace(String);

impl Namespace {
    fn new() -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("network namespaces need root".to_owned());
        }
        let name = format!("whither-{}-scrape", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output().map_err(|error| format!("`ip` cannot be run: {error}"))?;
        if !made.status.success() {
            return Err(format!("no network namespace can be made: {}", String::from_utf8_lossy(&made.stderr).trim()));
        }
        Ok(Self(name))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// A device's connection to a name: the frames that open it up to the server's answer, and one of the data that follow.
struct Talk {
    opening: Vec<Vec<u8>>,
    data: Vec<u8>,
}

/// Every device with every name, name by name.
fn talks() -> Vec<Talk> {
    (0..NAMES).flat_map(|name| (0..DEVICES).map(move |device| talk(device, name))).collect()
}

fn talk(device: u16, name: u8) -> Talk {
    let [high, low] = (device + 1).to_be_bytes();
    let mac = [0x3c, 0x5a, 0xb4, 0, high, low];
    let client = SocketAddr::from(([10, 77, high, low], 40_000 + u16::from(name)));
    let [a, b, c] = [[192, 0, 2], [198, 51, 100], [203, 0, 113]][usize::from(name % 3)];
    let server = SocketAddr::from(([a, b, c, name + 1], 443));
    let mut talk = wire::Talk::open(client, server);
    talk.say(true, wire::PUSH, &wire::hello(&format!("www.n{name}.example"))).say(false, wire::PUSH, &wire::server_flight());
    // A record of application data (RFC 8446, 5.1): 1,000 bytes with the headers of Ethernet, IPv4, TCP and its own.
    let (_, size) = LOAD;
    let payload = usize::try_from(size).unwrap() - 14 - 20 - 20;
    let record = [&[23, 3, 3][..], &u16::try_from(payload - 5).unwrap().to_be_bytes(), &vec![9; payload - 5]].concat();
    talk.say(false, wire::PUSH, &record);
    let frame = |(up, packet): &(bool, Vec<u8>)| {
        let (from, to) = if *up { (mac, wire::GATEWAY) } else { (wire::GATEWAY, mac) };
        wire::frame(from, to, packet)
    };
    let (data, opening) = talk.packets.split_last().unwrap();
    Talk { opening: opening.iter().map(frame).collect(), data: frame(data) }
}
