//! What a scrape of 50,000 series costs, and what it takes from the capture.
//!
//! Plain and not with divan: the lock, the rendering and the compression are stages of one scrape, told side by side, and the
//! longest of each counts as much as the usual. What a live capture loses while it is scraped is measured by `live/`.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark stops at the first thing that fails, and tells the time"
)]

mod results;

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etherparse::PacketBuilder;
use flate2::{Compression, write::GzEncoder};
use results::Section;
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::geo::GeoDb;
use whither::engine::limits::Limits;
use whither::export::{Scrape, prometheus};
use whither::packet::{Frame, Link, Timestamp};

const SERIES: usize = 50_000;
const ROUNDS: usize = 20;
/// Frames that the capture takes under one lock, as a busy ring gives them.
const BATCH: usize = 256;
/// The load that the ring is reckoned with, and that a capture is measured under: frames a second, bytes of each.
const LOAD: (u64, u64) = (100_000, 1_000);
/// `--buffer`, as it is by default.
const RING: u64 = 64 << 20;

fn main() {
    if std::env::args().any(|word| word == "--bench") {
        let mut section = Section::new("Scrapes");
        stages(&mut section);
        section.put();
    }
}

/// What each stage of a scrape costs, and what the engine does meanwhile, without an interface.
fn stages(section: &mut Section) {
    let mut engine = Engine::new(Limits::default(), OurSide::default(), GeoDb::embedded().unwrap(), false);
    let mut time = 1_700_000_000_000_000_000;
    let mut series = 0;
    for device in 1_u8..=250 {
        if series >= SERIES {
            break;
        }
        fill(&mut engine, device, &mut time);
        series = samples(&scrape(&mut engine));
    }
    let scraped = scrape(&mut engine);
    let (devices, destinations) = (scraped.snapshot.devices.len(), scraped.snapshot.destinations.len());
    section.say(format!("{series} series: {devices} devices, {destinations} destinations; the median and the longest of {ROUNDS}:\n"));
    let text = prometheus::render(scraped, true).unwrap();
    section.say(format!("- text: {:.2} MB, compressed {:.2} MB", mega(text.len()), mega(gzip(&text).len())));
    let held = tell(section, "lock held", || scrape(&mut engine));
    let mut ready: Vec<_> = (0..ROUNDS).map(|_| scrape(&mut engine)).collect();
    tell(section, "render", || prometheus::render(ready.pop().unwrap(), true).unwrap());
    tell(section, "gzip", || gzip(&text));

    let (frames, bytes) = LOAD;
    let room = Duration::from_secs_f64(RING as f64 / (frames * bytes) as f64);
    section.say(format!(
        "- At {frames} frames of {bytes} bytes a second a ring of {} MiB lasts {room:.0?}: {:.0} times the longest hold.",
        RING >> 20,
        room.as_secs_f64() / held.as_secs_f64()
    ));
    let engine = Arc::new(Mutex::new(engine));
    let alone = ingest(&engine, 0, time);
    for scrapers in [1, 2] {
        let (rate, longest) = ingest(&engine, scrapers, time);
        section.say(format!(
            "- {scrapers} scrapers without pause: {:.0} % of the frames a second that are read without; a batch waits {longest:.1?} at most",
            100.0 * rate / alone.0
        ));
    }
}

/// A device with a connection to each of many places.
fn fill(engine: &mut Engine, device: u8, time: &mut u64) {
    for index in 0_u32..120 {
        let address = u32::from(device).wrapping_mul(0x0100_193d).wrapping_add(index).wrapping_mul(0x9e37_79b1).to_be_bytes();
        if matches!(address, [0 | 10 | 100 | 127 | 169 | 172 | 192 | 198 | 203 | 224.., ..]) {
            continue;
        }
        *time += 1_000_000;
        engine.ingest(&frame(*time, &packet(device, address)));
    }
    *time += 5_000_000_000;
}

fn packet(device: u8, to: [u8; 4]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let packet = PacketBuilder::ethernet2([0x3c, 0x5a, 0xb4, 0, 0, device], [2, 0, 0x5e, 0, 0x53, 1]).ipv4([192, 168, 77, device], to, 64);
    packet.udp(40_000, 40_001).write(&mut bytes, &[0xff; 100]).unwrap();
    bytes
}

fn frame(time: u64, data: &[u8]) -> Frame<'_> {
    let wire_len = u32::try_from(data.len()).unwrap();
    Frame { number: 1, time: Timestamp::from_nanos(time), link: Link::Ethernet, wire_len, data }
}

/// What `watch` does under the engine's lock.
fn scrape(engine: &mut Engine) -> Scrape {
    Scrape { snapshot: engine.snapshot(), sensor: "bench".to_owned(), ..Scrape::default() }
}

fn samples(scrape: &Scrape) -> usize {
    prometheus::render(scrape.clone(), true).unwrap().lines().filter(|line| !line.starts_with('#')).count()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn mega(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// Prints how long something takes; returns the longest.
fn tell<T>(section: &mut Section, what: &str, mut work: impl FnMut() -> T) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            std::hint::black_box(work());
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    let (median, longest) = (times.get(ROUNDS / 2).unwrap(), *times.last().unwrap());
    section.say(format!("- {what}: {median:.1?}, {longest:.1?}"));
    longest
}

/// Frames a second that one thread reads in batches while others scrape without pause, and its longest wait for the lock.
fn ingest(engine: &Arc<Mutex<Engine>>, scrapers: usize, time: u64) -> (f64, Duration) {
    let done = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..scrapers)
        .map(|_| {
            let (engine, done) = (Arc::clone(engine), Arc::clone(&done));
            std::thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let taken = scrape(&mut engine.lock().unwrap());
                    std::hint::black_box(prometheus::render(taken, true).unwrap());
                }
            })
        })
        .collect();
    let (bytes, begin, mut frames, mut longest) = (packet(1, [9, 9, 9, 9]), Instant::now(), 0_usize, Duration::ZERO);
    while begin.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        let mut held = engine.lock().unwrap();
        longest = longest.max(asked.elapsed());
        (0..BATCH).for_each(|_| held.ingest(&frame(time, &bytes)));
        frames += BATCH;
    }
    let rate = frames as f64 / begin.elapsed().as_secs_f64();
    done.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    (rate, longest)
}
