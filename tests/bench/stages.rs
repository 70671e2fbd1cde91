//! What each stage costs for one packet, message or address, over everything of that kind that the simulated lab run has.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark stops at the first thing that fails")]

use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::LazyLock;

use divan::{Bencher, black_box};
use whither::capture::file::{File, Item};
use whither::dissect::{DISSECTORS, Over, Verdict, quic};
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::geo::GeoDb;
use whither::engine::limits::Limits;
use whither::packet::{Body, Datagram, Frame, Link, Packet, TCP, Timestamp, UDP};
use whither::simulate::{self, Plan};

fn main() {
    // Many in a row for each sample, so that the clock's own cost and the first miss of the cache do not show.
    divan::Divan::default().sample_size(500).sample_count(100).config_with_args().main();
}

/// The lab run's frames: their times and bytes.
static FRAMES: LazyLock<Vec<(Timestamp, Vec<u8>)>> = LazyLock::new(|| {
    let mut capture = Vec::new();
    simulate::write(&Plan::default(), &mut capture).unwrap();
    let mut frames = Vec::new();
    let mut each = |item: Item<'_>| {
        if let Item::Frame(frame) = item {
            frames.push((frame.time, frame.data.to_vec()));
        }
    };
    File::from_reader(Cursor::new(capture)).unwrap().read(&mut each).unwrap();
    frames
});

fn frame(time: Timestamp, data: &[u8]) -> Frame<'_> {
    Frame { number: 1, time, link: Link::Ethernet, wire_len: u32::try_from(data.len()).unwrap(), data }
}

fn datagram(data: &[u8]) -> Option<Datagram<'_>> {
    match Packet::decode(&frame(Timestamp::default(), data)).ok()?.body {
        Body::Ip(datagram) => Some(datagram),
        Body::Link(..) => None,
    }
}

/// The payloads of the run that `wanted` takes.
fn payloads(wanted: impl Fn(&Datagram<'_>) -> bool) -> Vec<Vec<u8>> {
    let payloads: Vec<_> =
        FRAMES.iter().filter_map(|(_, data)| datagram(data)).filter(|it| wanted(it)).map(|it| it.payload.to_vec()).collect();
    assert!(!payloads.is_empty());
    payloads
}

/// A dissector over every payload of which it makes something.
fn dissect(bencher: Bencher<'_, '_>, name: &str, over: Over) {
    let dissector = DISSECTORS.iter().find(|other| other.name == name && other.over == over).unwrap();
    let protocol = if over == Over::Stream { TCP } else { UDP };
    let seen = payloads(|it| it.protocol == protocol && matches!((dissector.read)(it.payload), Verdict::Saw { .. }));
    let mut next = seen.iter().cycle();
    bencher.bench_local(|| (dissector.read)(black_box(next.next().unwrap())));
}

#[divan::bench]
fn decode_a_frame(bencher: Bencher<'_, '_>) {
    let mut next = FRAMES.iter().cycle();
    bencher.bench_local(|| {
        let (time, data) = next.next().unwrap();
        black_box(Packet::decode(&frame(*time, black_box(data))).is_ok())
    });
}

#[divan::bench]
fn read_a_dns_message(bencher: Bencher<'_, '_>) {
    dissect(bencher, "dns", Over::Datagram);
}

/// Hellos of a post-quantum key share, put together from their two segments as the engine does.
#[divan::bench]
fn read_a_tls_hello(bencher: Bencher<'_, '_>) {
    let read = DISSECTORS.iter().find(|other| other.name == "tls").unwrap().read;
    let mut halves: Vec<(SocketAddr, Vec<u8>)> = Vec::new();
    let mut hellos = Vec::new();
    for it in FRAMES.iter().filter_map(|(_, data)| datagram(data)).filter(|it| it.protocol == TCP && !it.payload.is_empty()) {
        let half = halves.iter().position(|(source, _)| *source == it.source);
        let joined: Vec<u8> = half.map(|at| halves.swap_remove(at).1).into_iter().flatten().chain(it.payload.iter().copied()).collect();
        match read(&joined) {
            Verdict::Saw { .. } => hellos.push(joined),
            Verdict::NeedMore(_) if half.is_none() => halves.push((it.source, joined)),
            _ => {}
        }
    }
    assert!(hellos.iter().any(|hello| hello.len() > 1460));
    let mut next = hellos.iter().cycle();
    bencher.bench_local(|| read(black_box(next.next().unwrap())));
}

#[divan::bench]
fn read_a_http_head(bencher: Bencher<'_, '_>) {
    dissect(bencher, "http", Over::Stream);
}

/// What every other first segment costs: all dissectors of streams say no.
#[divan::bench]
fn refuse_a_segment(bencher: Bencher<'_, '_>) {
    let streams = || DISSECTORS.iter().filter(|dissector| dissector.over == Over::Stream);
    let no = |payload: &[u8]| streams().all(|dissector| matches!((dissector.read)(payload), Verdict::NotMine));
    let refused = payloads(|it| it.protocol == TCP && !it.payload.is_empty() && no(it.payload));
    let mut next = refused.iter().cycle();
    bencher.bench_local(|| no(black_box(next.next().unwrap())));
}

#[divan::bench]
fn open_a_quic_initial(bencher: Bencher<'_, '_>) {
    let initials = payloads(|it| it.protocol == UDP && matches!(quic::open(it.payload, &[]), Verdict::Carries(_)));
    let mut next = initials.iter().cycle();
    bencher.bench_local(|| quic::open(black_box(next.next().unwrap()), &[]));
}

#[divan::bench(args = ["IPv4", "IPv6"])]
fn locate_an_address(bencher: Bencher<'_, '_>, family: &str) {
    let geo = GeoDb::embedded().unwrap();
    let mut bits: u32 = 1;
    bencher.bench_local(|| {
        bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let address: IpAddr = match family {
            "IPv4" => Ipv4Addr::from(bits).into(),
            _ => Ipv6Addr::from((0x2000_0000_u128 | u128::from(bits >> 4)) << 96).into(),
        };
        geo.locate(black_box(address))
    });
}

/// A packet of a flow that has its name and account: what nearly every packet is.
#[divan::bench]
fn ingest_on_an_established_flow(bencher: Bencher<'_, '_>) {
    let large = |data: &[u8]| datagram(data).is_some_and(|it| it.tcp.is_some() && it.payload.len() > 1000);
    let (at, (_, data)) = FRAMES.iter().enumerate().find(|(at, (_, data))| *at > 2000 && large(data)).unwrap();
    let mut engine = engine();
    for (time, data) in &FRAMES[..=at] {
        engine.ingest(&frame(*time, data));
    }
    let mut time = FRAMES[at].0.as_nanos();
    bencher.bench_local(|| {
        time += 1_000_000;
        engine.ingest(&frame(Timestamp::from_nanos(time), black_box(data)));
    });
}

/// The whole lab run, for each of its frames.
#[divan::bench]
fn ingest_the_lab_run(bencher: Bencher<'_, '_>) {
    let mut engine = engine();
    let mut next = FRAMES.iter().cycle();
    let mut last = Timestamp::default();
    bencher.bench_local(|| {
        let (time, data) = next.next().unwrap();
        if *time < last {
            engine = self::engine(); // time does not go back: begin again
        }
        last = *time;
        engine.ingest(&frame(*time, data));
        engine.events().for_each(drop);
    });
}

fn engine() -> Engine {
    Engine::new(Limits::default(), OurSide::default(), GeoDb::embedded().unwrap(), true)
}
