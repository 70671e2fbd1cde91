//! What each stage costs for one packet, message or address, over everything of that kind that the simulated lab run has.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "a benchmark stops at the first thing that fails")]
#![expect(clippy::disallowed_methods, clippy::panic, reason = "a benchmark reads files of its own, and makes its own traffic")]

mod results;
#[expect(dead_code, reason = "only conversations are needed here")]
#[path = "../wire/mod.rs"]
mod wire;

use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::sync::LazyLock;

use divan::{Bencher, black_box};
use whither::capture::file::{File, Item};
use whither::dissect::{DISSECTORS, Over, Verdict, quic};
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::event::Event;
use whither::engine::geo::GeoDb;
use whither::engine::limits::Limits;
use whither::export::events::write_line;
use whither::packet::{Body, Datagram, Frame, Link, Packet, TCP, Timestamp, UDP};
use whither::simulate::{self, Plan};

/// Set in the copy of this program whose words are the section.
const INSIDE: &str = "WHITHER_BENCH_INSIDE";

fn main() {
    if std::env::args().any(|word| word == "--bench") && std::env::var_os(INSIDE).is_none() {
        return tell();
    }
    // Many in a row for each sample, so that the clock's own cost and the first miss of the cache do not show.
    divan::Divan::default().sample_size(500).sample_count(100).config_with_args().main();
}

/// Runs this again and keeps what it says.
fn tell() {
    let again = Command::new(std::env::current_exe().unwrap()).args(std::env::args_os().skip(1)).env(INSIDE, "1").output().unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    let mut section = results::Section::new("Stages");
    section.say("Over the simulated lab run; a frame is not read by all of them. `ingest` is the engine, all its stages together.\n");
    section.say(format!("```text\n{}\n```", String::from_utf8_lossy(&again.stdout).trim()));
    section.put();
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

/// The same on many flows in turn, so that each look-up finds its flow cold.
#[divan::bench(args = [1, 1_000, 60_000])]
fn ingest_on_flows_in_turn(bencher: Bencher<'_, '_>, flows: u32) {
    let (mut engine, mut time) = (engine(), 1_700_000_000_000_000_000);
    let mut data = Vec::new();
    for flow in 0..flows {
        let [_, high, middle, low] = flow.to_be_bytes();
        let client = SocketAddr::from(([10, 77, 0, 1 + low % 50], 1_024 + u16::from_be_bytes([high, middle]) + 256 * u16::from(low / 50)));
        let server = SocketAddr::from(([198, 18, middle, low], 443));
        let mut talk = wire::Talk::open(client, server);
        talk.say(true, wire::PUSH, &wire::hello("www.example.com")).say(false, wire::ACK, &[9; 1_000]);
        let frames: Vec<_> = talk
            .packets
            .iter()
            .map(|(up, packet)| if *up { (wire::PHONE, wire::GATEWAY, packet) } else { (wire::GATEWAY, wire::PHONE, packet) })
            .collect();
        let frames: Vec<_> = frames.into_iter().map(|(from, to, packet)| wire::frame(from, to, packet)).collect();
        for bytes in &frames {
            time += 1_000;
            engine.ingest(&frame(Timestamp::from_nanos(time), bytes));
        }
        data.extend(frames.into_iter().last());
        engine.events().for_each(drop);
    }
    let mut next = data.iter().cycle();
    bencher.bench_local(|| {
        time += 1_000;
        engine.ingest(&frame(Timestamp::from_nanos(time), black_box(next.next().unwrap())));
    });
}

/// A datagram of a flow of its own: made, located, settled, charged to its account, and another one ended in its place.
#[divan::bench]
fn ingest_a_flow_of_one_packet(bencher: Bencher<'_, '_>) {
    let (mut engine, mut time, mut number) = (engine(), 1_700_000_000_000_000_000, 0_u32);
    let client = |number: u32| SocketAddr::from(([10, 77, 0, 1], 1_024 + u16::try_from(number % 60_000).unwrap()));
    let frames: Vec<_> = (0..60_000)
        .map(|number| {
            wire::frame(wire::PHONE, wire::GATEWAY, &wire::udp(client(number), SocketAddr::from(([198, 18, 0, 1], 9_999)), &[9; 64]))
        })
        .collect();
    bencher.bench_local(|| {
        time += 10_000_000;
        number += 1;
        engine.ingest(&frame(Timestamp::from_nanos(time), &frames[number as usize % frames.len()]));
        engine.events().for_each(drop);
    });
}

/// An event as a line of JSON: each of the lab run, in the shares in which they come.
#[divan::bench]
fn write_an_event(bencher: Bencher<'_, '_>) {
    let (mut engine, mut events) = (engine(), Vec::<Event>::new());
    for (time, data) in FRAMES.iter() {
        engine.ingest(&frame(*time, data));
        events.extend(engine.events());
    }
    let (mut next, mut line) = (events.iter().cycle(), Vec::new());
    bencher.bench_local(|| {
        line.clear();
        write_line(black_box(next.next().unwrap()), "whither", &mut line);
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
