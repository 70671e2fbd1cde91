//! The programs that capture: what each was sent, captured, says it lost, and took of the processors.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::world::{Quota, Sender, pinned};

/// Longer than a block waits in the ring, a batch in the sensor, and the counters for their turn.
const SETTLE: Duration = Duration::from_secs(1);

/// What came of a load.
pub(crate) struct Trial {
    /// Frames.
    pub(crate) sent: u64,
    /// Frames.
    pub(crate) captured: u64,
    /// Frames that the program itself says it lost.
    pub(crate) dropped: u64,
    /// Seconds that sending took.
    pub(crate) took: f64,
    /// Seconds of CPU, of the program and of the kernel for it.
    pub(crate) cpu: f64,
    /// How long each scrape took, the shortest first.
    pub(crate) scrapes: Vec<Duration>,
}

impl Trial {
    /// Frames sent and not captured.
    pub(crate) fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.captured)
    }

    /// Frames a second.
    pub(crate) fn rate(&self) -> f64 {
        self.sent as f64 / self.took
    }
}

/// Who scrapes during a load.
#[derive(Clone, Copy)]
pub(crate) struct Scraper {
    pub(crate) gzip: bool,
    pub(crate) every: Duration,
}

/// A program that captures on `port0`.
pub(crate) trait Program {
    fn name(&self) -> String;

    /// A load of so many seconds at a rate in frames a second, 0 being as fast as the sender goes.
    fn trial(&mut self, sender: &Sender, rate: f64, seconds: u64, scraper: Option<Scraper>) -> Trial;
}

/// `tcpdump -w /dev/null`: started for each load, since it counts at its end.
pub(crate) struct Tcpdump {
    /// MiB of its ring.
    ring: u64,
    quota: Option<Quota>,
}

impl Tcpdump {
    /// If it is installed.
    pub(crate) fn new(ring: u64, quota: Option<Quota>) -> Option<Self> {
        let there = pinned(1, "tcpdump").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        there.is_ok_and(|status| status.success()).then_some(Self { ring, quota })
    }
}

impl Program for Tcpdump {
    fn name(&self) -> String {
        "tcpdump -w /dev/null".to_owned()
    }

    fn trial(&mut self, sender: &Sender, rate: f64, seconds: u64, _: Option<Scraper>) -> Trial {
        let mut command = pinned(1, "tcpdump");
        // Without -Z it would give /dev/null to a user of its own.
        command.args("-i port0 -n -s 0 -Z root -w /dev/null -B".split(' ')).arg((self.ring * 1024).to_string());
        let mut process = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut says = BufReader::new(process.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("listening on") {
            assert!(says.read_line(&mut said).unwrap() > 0, "tcpdump ended: {said}");
        }
        let before = cpu(process.id());
        let (sent, took) = within(self.quota.as_ref(), process.id(), || sender.send(rate, seconds));
        std::thread::sleep(SETTLE);
        let cpu = cpu(process.id()) - before;
        kill(Pid::from_raw(process.id().cast_signed()), Signal::SIGINT).unwrap();
        says.read_to_string(&mut said).unwrap();
        process.wait().unwrap();
        let count = |of: &str| said.lines().find_map(|line| line.split_once(of)?.0.trim().parse::<u64>().ok()).unwrap();
        Trial { sent, took, captured: count(" packet"), dropped: count(" packets dropped by kernel"), cpu, scrapes: Vec::new() }
    }
}

/// `whither watch`; ended when dropped.
pub(crate) struct Sensor {
    process: Child,
    at: SocketAddr,
    more: Vec<&'static str>,
    quota: Option<Quota>,
    /// Held so that what the sensor says finds a reader.
    _says: BufReader<ChildStderr>,
}

impl Sensor {
    /// Starts it, with more words.
    pub(crate) fn start(more: &[&'static str]) -> Self {
        Self::start_within(more, None)
    }

    /// The same, with a share of a processor while it is sent to. Several workers have a core each.
    pub(crate) fn start_within(more: &[&'static str], quota: Option<Quota>) -> Self {
        let own = std::env::var("WHITHER_BENCH_WATCH").unwrap_or_default();
        let mut command = pinned((!more.contains(&"--workers")).then_some(1), env!("CARGO_BIN_EXE_whither"));
        command.args(["watch", "port0", "--listen", "127.0.0.1:0"]).args(more).args(own.split_ascii_whitespace());
        let mut process = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut says = BufReader::new(process.stderr.take().unwrap());
        let mut said = String::new();
        let at = loop {
            assert!(says.read_line(&mut said).unwrap() > 0, "the sensor ended: {said}");
            if let Some((_, rest)) = said.split_once("look at http://") {
                break rest.split('/').next().unwrap().parse().unwrap();
            }
        };
        Self { process, at, more: more.to_vec(), quota, _says: says }
    }

    /// Lets it meet many devices and names; returns how many frames that took, and how many of them were lost.
    pub(crate) fn learn(&mut self, sender: &Sender, rate: f64) -> (u64, u64) {
        let (before, _) = self.counted();
        let (sent, _) = sender.open(rate);
        std::thread::sleep(SETTLE);
        (sent, sent.saturating_sub(self.counted().0 - before))
    }

    /// Series of a scrape.
    pub(crate) fn series(&self) -> usize {
        self.metrics().lines().filter(|line| !line.starts_with('#')).count()
    }

    fn metrics(&self) -> String {
        String::from_utf8(get(self.at, false)).unwrap()
    }

    /// What its metrics say of its interface: frames captured, frames dropped by the ring and by the interface.
    fn counted(&self) -> (u64, u64) {
        let metrics = self.metrics();
        let sum = |name: &str| {
            let samples = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once(' '));
            samples.map(|(_, value)| value.parse::<u64>().unwrap()).sum()
        };
        (sum("whither_capture_packets_total"), sum("whither_capture_dropped_packets_total"))
    }
}

impl Program for Sensor {
    fn name(&self) -> String {
        ["whither watch"].iter().chain(&self.more).copied().collect::<Vec<_>>().join(" ")
    }

    fn trial(&mut self, sender: &Sender, rate: f64, seconds: u64, scraper: Option<Scraper>) -> Trial {
        let ((captured, dropped), cpu_before) = (self.counted(), cpu(self.process.id()));
        let at = self.at;
        let ((sent, took), mut scrapes) = std::thread::scope(|scope| {
            let scraping = scraper.map(|scraper| scope.spawn(move || scraper.scrape(at, Duration::from_secs(seconds))));
            let sent = within(self.quota.as_ref(), self.process.id(), || sender.send(rate, seconds));
            (sent, scraping.map_or_else(Vec::new, |thread| thread.join().unwrap()))
        });
        std::thread::sleep(SETTLE);
        let cpu = cpu(self.process.id()) - cpu_before;
        let (captured_now, dropped_now) = self.counted();
        scrapes.sort_unstable();
        Trial { sent, took, captured: captured_now - captured, dropped: dropped_now - dropped, cpu, scrapes }
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Scraper {
    /// Scrapes for so long; returns how long each took.
    fn scrape(self, at: SocketAddr, span: Duration) -> Vec<Duration> {
        let (begin, mut scrapes) = (Instant::now(), Vec::new());
        while begin.elapsed() < span {
            let asked = Instant::now();
            get(at, self.gzip);
            scrapes.push(asked.elapsed());
            std::thread::sleep(self.every.saturating_sub(asked.elapsed()));
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
    body
}

/// Sends while a process has no more than a share of a processor, where there is one.
fn within<T>(quota: Option<&Quota>, process: u32, send: impl FnOnce() -> T) -> T {
    if let Some(quota) = quota {
        quota.hold(process);
    }
    let sent = send();
    if let Some(quota) = quota {
        quota.free(process);
    }
    sent
}

/// Seconds of CPU of all threads that there are (Linux, `sched-stats.rst`: the first field is nanoseconds on a processor).
fn cpu(process: u32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let of = |task: std::path::PathBuf| {
        let text = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or_default()
    };
    tasks.map(|task| of(task.unwrap().path())).sum::<f64>() / 1e9
}
