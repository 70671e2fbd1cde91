//! Several engines that share a capture tell together what one engine tells of it: rows, metrics and events, for every sample and the
//! simulated lab run. And the filter that each gives the kernel lets through what is its own or everybody's.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use whither::capture::file::{File, Item};
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::event::Detail;
use whither::engine::geo::GeoDb;
use whither::engine::limits::Limits;
use whither::engine::roster::{Entry, Roster};
use whither::engine::share::{Party, Share};
use whither::engine::snapshot::Snapshot;
use whither::engine::watchlist::Watchlist;
use whither::export::{Scrape, events, prometheus};
use whither::packet::{Frame, Link, Mac, Timestamp};
use whither::simulate::{Plan, write};

/// A frame of its own.
struct Owned {
    number: u64,
    time: Timestamp,
    link: Link,
    wire_len: u32,
    data: Vec<u8>,
}

impl Owned {
    fn frame(&self) -> Frame<'_> {
        Frame { number: self.number, time: self.time, link: self.link, wire_len: self.wire_len, data: &self.data }
    }
}

/// The samples of link types that engines can share, and the lab run: name and frames.
fn captures() -> Vec<(String, Vec<Owned>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pcaps");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_capture = |path: &PathBuf| ["pcap", "pcapng", "gz"].iter().any(|end| path.extension().is_some_and(|other| other == *end));
    let mut paths: Vec<_> = paths.filter(is_capture).collect();
    paths.sort();
    let mut captures: Vec<_> = paths
        .iter()
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), frames(File::open(path).unwrap())))
        .filter(|(_, frames)| frames.iter().all(|frame| frame.link == Link::Ethernet))
        .collect();
    let mut lab = Vec::new();
    write(&Plan { seed: 7, hours: 2, ..Plan::default() }, &mut lab).unwrap();
    captures.push(("the lab run".to_owned(), frames(File::from_reader(std::io::Cursor::new(lab)).unwrap())));
    assert!(captures.len() > 12, "the samples are missing");
    captures
}

fn frames(mut file: File) -> Vec<Owned> {
    let mut frames = Vec::new();
    // A damaged capture is one up to its damage.
    let _ = file.read(&mut |item| {
        if let Item::Frame(frame) = item {
            let Frame { number, time, link, wire_len, data } = frame;
            frames.push(Owned { number, time, link, wire_len, data: data.to_vec() });
        }
    });
    frames
}

/// Two of the lab run's phones as one device, so that one of them is not where its number says; or as repeaters with devices behind.
fn roster(split: bool) -> Roster {
    let macs = ["d0:9c:7a:51:0e:2c", "ac:47:1b:9e:40:d3"].map(|text| {
        let mut pairs = text.split(':').map(|pair| u8::from_str_radix(pair, 16).unwrap());
        Mac(std::array::from_fn(|_| pairs.next().unwrap()))
    });
    Roster::new(vec![Entry { alias: "phones".into(), macs: macs.to_vec(), split, ..Entry::default() }])
}

fn engine(geo: &GeoDb, share: Option<Share>) -> Engine {
    let mut engine = Engine::new(Limits::default(), OurSide::default(), geo.again(), true);
    if let Some(share) = share {
        engine.shares(share);
    }
    engine.stands_at(54.6872, 25.2797);
    engine.watch_for(vec![Watchlist::embedded().unwrap()]);
    engine.nets(vec!["203.0.113.0/29".parse().unwrap()]);
    engine
}

/// What engines tell of frames: rows while flows last, rows at the end, and events, sorted.
fn told(mut engines: Vec<Engine>, frames: &[Owned]) -> (Snapshot, Snapshot, Vec<String>) {
    let (mut lines, mut all) = (Vec::new(), Vec::new());
    let mut take = |event| {
        events::write_line(&event, "test", &mut lines);
        let line = String::from_utf8(std::mem::take(&mut lines)).unwrap();
        // How many handshakes there had been when a flow ended depends on when its engine looked what is over.
        let counted = line.split_once("the shortest of ").and_then(|(head, rest)| Some((head, rest.split_once(" handshakes")?.1)));
        all.push(counted.map_or(line.clone(), |(head, rest)| format!("{head}a handshake{rest}")));
    };
    for frame in frames {
        for engine in &mut engines {
            engine.ingest(&frame.frame());
            engine.events().for_each(&mut take);
        }
    }
    // Each lets go of what is over when it has frames to read; here all have.
    let last = frames.iter().map(|frame| frame.time).max().unwrap();
    let snapshot = |engines: &mut Vec<Engine>| Snapshot::join(engines.iter_mut().map(Engine::snapshot));
    engines.iter_mut().for_each(|engine| engine.advance(last));
    let meanwhile = snapshot(&mut engines);
    for engine in &mut engines {
        engine.events().for_each(&mut take);
        // Flows that end together end in any order, and a rhythm is told of the first that shows it.
        engine.finish(|event| {
            if !matches!(event.detail, Detail::Rhythm(_)) {
                take(event)
            }
        });
    }
    let end = snapshot(&mut engines);
    all.sort_unstable();
    (comparable(meanwhile), comparable(end), all)
}

/// Without what engines do have each for itself; sums of times to the microsecond, since their order is not the same.
fn comparable(mut snapshot: Snapshot) -> Snapshot {
    snapshot.tables.clear();
    snapshot.rtts.iter_mut().for_each(|row| row.sum = (row.sum * 1e6).round() / 1e6);
    snapshot
}

fn metrics(snapshot: &Snapshot) -> String {
    prometheus::render(&Scrape { snapshot: snapshot.clone(), ..Scrape::default() }, false).unwrap()
}

#[test]
fn engines_tell_together_what_one_tells() {
    let geo = GeoDb::embedded().unwrap();
    for (name, frames) in captures() {
        for roster in [Roster::default(), roster(false), roster(true)] {
            let with = |share| {
                let mut engine = engine(&geo, share);
                engine.register(roster.clone());
                engine
            };
            let (meanwhile, end, events) = told(vec![with(None)], &frames);
            for number in [2, 3] {
                let engines = Share::among(number, &Limits::default()).into_iter().map(|share| with(Some(share))).collect();
                let (shared_meanwhile, shared_end, shared_events) = told(engines, &frames);
                for (one, many) in [(&meanwhile, &shared_meanwhile), (&end, &shared_end)] {
                    let (one_text, many_text) = (metrics(one), metrics(many));
                    let differs: Vec<_> = one_text.lines().zip(many_text.lines()).filter(|(one, many)| one != many).take(3).collect();
                    assert!(one_text == many_text, "{name}, {number} engines: {differs:#?}");
                    let (one, many) = (format!("{one:#?}"), format!("{many:#?}"));
                    let differs: Vec<_> = one.lines().zip(many.lines()).filter(|(one, many)| one != many).take(3).collect();
                    assert!(one == many, "{name}, {number} engines: {differs:#?}");
                }
                let count = |lines: &[String], line: &String| lines.iter().filter(|other| *other == line).count();
                let odd = events.iter().chain(&shared_events).filter(|line| count(&events, line) != count(&shared_events, line));
                let odd: Vec<_> = if events == shared_events { Vec::new() } else { odd.take(4).collect() };
                assert!(odd.is_empty(), "{name}, {number} engines: {odd:#?}");
            }
        }
    }
}

#[test]
fn each_frame_is_counted_once_and_read_by_few() {
    let (mut own, mut resolving, mut common) = (0, 0, 0);
    for (_, frames) in captures() {
        let shares = Share::among(3, &Limits::default());
        for frame in &frames {
            let parties: Vec<_> = shares.iter().map(|share| share.party(&frame.frame())).collect();
            let count = |party| parties.iter().filter(|other| **other == party).count();
            match (count(Party::Counts), count(Party::Reads), count(Party::Other)) {
                (1, 0, 2) => own += 1,
                (1, 1, 1) => resolving += 1,
                (1, 2, 0) => common += 1,
                other => panic!("frame {}: {other:?}", frame.number),
            }
        }
    }
    assert!(own > 1_000 && own > common && resolving > 100, "{own}, {resolving} and {common}: what has to be shared is not");
}

#[cfg(feature = "live")]
#[test]
fn the_kernel_hands_over_what_an_engine_reads_and_no_more() {
    use pcap::{Capture, Linktype};
    let geo = GeoDb::embedded().unwrap();
    let mut engines: Vec<_> = Share::among(3, &Limits::default()).into_iter().map(|share| engine(&geo, Some(share))).collect();
    engines.iter_mut().for_each(|engine| engine.register(roster(false)));
    let shares: Vec<_> = engines.iter().map(|engine| engine.share().unwrap()).collect();
    let programs: Vec<_> =
        shares.iter().map(|share| Capture::dead(Linktype::ETHERNET).unwrap().compile(&share.filter(), true).unwrap()).collect();
    let asks = |name: &str, frame: &Owned| {
        // The kernel takes tags off before it asks the filter.
        let tagged = matches!(frame.data.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8]));
        let mut seen = frame.data.clone();
        if tagged && seen.len() >= 16 {
            seen.drain(12..16);
        }
        let mut readers = 0;
        for (share, program) in shares.iter().zip(&programs) {
            let reads = share.party(&frame.frame()) != Party::Other;
            assert_eq!(program.filter(&seen), reads, "{name}, frame {}: {}", frame.number, share.filter());
            readers += u32::from(reads);
        }
        readers
    };
    let mut six = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 17, 64][..], &[0; 32], &[0x13, 0x88]].concat();
    six.extend([0, 53, 0, 20, 0, 0].into_iter().chain([0; 12]));
    (six[22], six[38]) = (0xfd, 0xfd); // both are unique local addresses
    let six = Owned { number: 1, time: Timestamp::default(), link: Link::Ethernet, wire_len: 74, data: six };
    let mut all = 0;
    for (name, frames) in captures().into_iter().chain([("IPv6".to_owned(), vec![six])]) {
        let mut damaged = 0;
        for frame in &frames {
            if asks(&name, frame) != 2 {
                continue;
            }
            // DNS between two of ours: everybody's where its ports cannot be found, and never lost.
            (damaged, all) = (damaged + 1, all + 1);
            if damaged > 20 {
                continue;
            }
            for length in 14..frame.data.len() {
                let Owned { number, time, link, wire_len, .. } = *frame;
                asks(&name, &Owned { number, time, link, wire_len, data: frame.data[..length].to_vec() });
            }
            // Version and header length, fragment offset, protocol or next header.
            for (at, byte) in [(14, 0x46), (20, 0x20), (20, 0x01), (21, 0x01), (23, 6), (20, 44)] {
                let Owned { number, time, link, wire_len, .. } = *frame;
                let mut data = frame.data.clone();
                data[at] = byte;
                asks(&name, &Owned { number, time, link, wire_len, data });
            }
        }
    }
    assert!(all > 20, "{all}: there is little DNS between two of ours");
}
