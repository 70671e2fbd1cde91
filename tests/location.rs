//! The simulated lab run, seen from where it is set: which countries its handshakes refute, and that every byte outside has a verdict.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test should stop at the first wrong one")]

use std::collections::BTreeSet;
use std::net::IpAddr;

use etherparse::PacketBuilder;
use pcap_parser::PcapCapture;
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::event::{Detail, Event, FlowEnd};
use whither::engine::geo::GeoDb;
use whither::engine::limits::Limits;
use whither::engine::snapshot::{Class, Snapshot, VERDICTS, Verdict};
use whither::packet::{Frame, Link, Timestamp};
use whither::simulate::{Plan, write};

const VILNIUS: (f64, f64) = (54.6872, 25.2797);

/// Reads six hours of the run; `look` sees the snapshot every thousand frames and at the end.
fn run(location: Option<(f64, f64)>, limits: Limits, mut look: impl FnMut(&Snapshot)) -> Vec<(IpAddr, FlowEnd)> {
    let mut pcap = Vec::new();
    write(&Plan { seed: 1, hours: 6, ..Plan::default() }, &mut pcap).unwrap();
    let side = OurSide { nets: Vec::new(), by_address: false };
    let mut engine = Engine::new(limits, side, GeoDb::embedded().unwrap(), true);
    if let Some((latitude, longitude)) = location {
        engine.stands_at(latitude, longitude);
    }
    let mut flows = Vec::new();
    let mut take = |event: Event| {
        if let Detail::Flow(flow) = event.detail {
            flows.push((event.ends.unwrap().server.ip(), *flow));
        }
    };
    for (index, block) in PcapCapture::from_file(&pcap).unwrap().blocks.iter().enumerate() {
        let time = Timestamp::from_nanos(u64::from(block.ts_sec) * 1_000_000_000 + u64::from(block.ts_usec));
        engine.ingest(&Frame { number: index as u64 + 1, time, link: Link::Ethernet, wire_len: block.origlen, data: block.data });
        engine.events().for_each(&mut take);
        if index % 1_000 == 0 {
            look(&engine.snapshot());
        }
    }
    engine.finish(&mut take);
    look(&engine.snapshot());
    flows
}

fn names(flows: &[(IpAddr, FlowEnd)], country: &str, verdict: Verdict) -> BTreeSet<String> {
    let there = flows.iter().filter(|(_, flow)| flow.place.country.is_some_and(|code| code.as_str() == country));
    there.filter(|(_, flow)| flow.verdict == Some(verdict)).filter_map(|(_, flow)| Some(flow.name.as_deref()?.to_owned())).collect()
}

#[test]
fn a_server_too_near_for_singapore_is_refuted_and_the_others_are_not() {
    let flows = run(Some(VILNIUS), Limits::default(), |_| {});
    assert_eq!(names(&flows, "SG", Verdict::Refuted), BTreeSet::from(["sdkconfig.ad.intl.xiaomi.com".to_owned()]));
    let reasons = flows.iter().filter(|(_, flow)| flow.verdict == Some(Verdict::Refuted)).map(|(_, flow)| flow.reason.as_deref());
    assert!(reasons.map(Option::unwrap).all(|reason| reason.starts_with("the handshake time contradicts the database's country: ")));
    assert!(flows.iter().all(|(_, flow)| flow.reason.is_none() || flow.verdict == Some(Verdict::Refuted)));
    let consistent = names(&flows, "SG", Verdict::Consistent);
    for name in ["globalapi.ad.xiaomi.com", "sa.api.intl.miui.com", "metrics-dra.dt.hicloud.com"] {
        assert!(consistent.contains(name), "{name} is not in {consistent:?}");
    }
    for country in ["DE", "NL", "LT", "BE"] {
        assert_eq!(names(&flows, country, Verdict::Refuted), BTreeSet::new(), "{country}");
    }
    assert!(
        names(&flows, "US", Verdict::Refuted).iter().any(|name| name.ends_with("gstatic.com")),
        "registered in one country, answered in another"
    );
    let quic = flows.iter().filter(|(_, flow)| flow.class == Class::Quic);
    let (timed, untimed): (Vec<_>, Vec<_>) = quic.partition(|(_, flow)| flow.rtt.is_some());
    assert!(!timed.is_empty() && untimed.is_empty(), "{} QUIC flows were timed, {} not", timed.len(), untimed.len());
    assert!(timed.iter().all(|(_, flow)| flow.verdict != Some(Verdict::Unmeasured)), "a verdict waits for the server's answer");
}

#[test]
fn a_resolver_in_many_places_and_our_own_side_have_no_verdict() {
    let flows = run(Some(VILNIUS), Limits::default(), |_| {});
    for (server, flow) in &flows {
        match flow.class {
            Class::Local | Class::Multicast => assert_eq!(flow.verdict, None, "{server}"),
            _ if *server == IpAddr::from([8, 8, 8, 8]) => assert_eq!(flow.verdict, Some(Verdict::Unmeasured), "{server}"),
            _ => assert!(flow.verdict.is_some(), "{server}"),
        }
    }
}

#[test]
fn verdicts_add_up() {
    every_byte_outside_has_one_verdict_and_none_goes_back(Limits::default());
}

#[test]
fn verdicts_add_up_where_tables_are_full() {
    let limits = Limits { flows: 4, servers: 3, ..Limits::default() };
    every_byte_outside_has_one_verdict_and_none_goes_back(limits);
}

fn every_byte_outside_has_one_verdict_and_none_goes_back(limits: Limits) {
    let mut before: Vec<(String, [u64; VERDICTS.len()])> = Vec::new();
    let mut refuted = 0;
    run(Some(VILNIUS), limits, |snapshot| {
        for device in &snapshot.devices {
            let bytes = |both: &whither::engine::snapshot::Both| both.transmit.bytes + both.receive.bytes;
            let outside = device.visibility.iter().filter(|(class, _)| !matches!(class, Class::Local | Class::Multicast));
            let verdicts = device.verdicts;
            let rows = snapshot.destinations.iter().filter(|row| row.device == device.id);
            let of_rows = rows.fold([0; VERDICTS.len()], |sum, row| std::array::from_fn(|index| sum[index] + row.verdicts[index]));
            assert_eq!(of_rows, verdicts, "{}", device.id);
            assert_eq!(verdicts.iter().sum::<u64>(), outside.map(|(_, some)| bytes(some)).sum::<u64>(), "{}", device.id);
            match before.iter_mut().find(|(id, _)| **id == *device.id) {
                Some((_, known)) => {
                    assert!(known.iter().zip(&verdicts).all(|(then, now)| then <= now), "{}", device.id);
                    *known = verdicts;
                }
                None => before.push((device.id.to_string(), verdicts)),
            }
            refuted = refuted.max(verdicts.last().copied().unwrap_or_default());
        }
    });
    assert!(refuted > 0);
}

#[test]
fn without_a_location_nothing_is_measured() {
    let mut rows = 0;
    let flows = run(None, Limits::default(), |snapshot| {
        rows += snapshot.destinations.len();
        assert!(snapshot.destinations.iter().all(|row| row.verdicts[1..] == [0, 0]));
    });
    assert!(rows > 0 && flows.iter().all(|(_, flow)| !matches!(flow.verdict, Some(Verdict::Consistent | Verdict::Refuted))));
}

const PHONE: [u8; 4] = [192, 168, 1, 10];
/// In Singapore, by the database of the tests.
const SERVER: [u8; 4] = [203, 0, 113, 7];
const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// A TCP segment between two endpoints; the phone's MAC ends in 10. `flags`: `S` SYN, `A` ACK, `F` FIN.
fn segment(from: ([u8; 4], u16), to: ([u8; 4], u16), flags: &str) -> Vec<u8> {
    let mac = |address: [u8; 4]| if address == SERVER { ROUTER } else { [2, 0, 0, 0, 0, address[3]] };
    let mut builder = PacketBuilder::ethernet2(mac(from.0), mac(to.0)).ipv4(from.0, to.0, 64).tcp(from.1, to.1, 1_000, 64_000);
    for flag in flags.chars() {
        builder = match flag {
            'S' => builder.syn(),
            'A' => builder.ack(1_001),
            _ => builder.fin(),
        };
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &[]).unwrap();
    bytes
}

/// These frames, each after so many milliseconds.
fn read(frames: &[(u64, Vec<u8>)]) -> (Engine, Vec<Event>) {
    let mut geo = GeoDb::embedded().unwrap();
    geo.add("lab-country", include_bytes!("geoip/lab-country.mmdb").to_vec()).unwrap();
    let mut engine = Engine::new(Limits::default(), OurSide { nets: Vec::new(), by_address: false }, geo, true);
    engine.stands_at(VILNIUS.0, VILNIUS.1);
    for (number, (milliseconds, data)) in (1..).zip(frames) {
        let time = Timestamp::from_nanos((1_632_200_000_000 + milliseconds) * 1_000_000);
        engine.ingest(&Frame { number, time, link: Link::Ethernet, wire_len: u32::try_from(data.len()).unwrap(), data });
    }
    let mut events: Vec<Event> = engine.events().collect();
    engine.finish(|event| events.push(event));
    (engine, events)
}

/// The verdicts of the flows with the server among these frames.
fn verdicts(frames: &[(u64, Vec<u8>)]) -> Vec<Option<Verdict>> {
    let flows = read(frames).1.into_iter().filter_map(|event| match (event.detail, event.ends) {
        (Detail::Flow(flow), Some(ends)) => Some((flow.verdict, ends)),
        _ => None,
    });
    let with_server = |address: IpAddr| address == IpAddr::from(SERVER);
    flows.filter(|(_, ends)| with_server(ends.client.ip()) || with_server(ends.server.ip())).map(|(verdict, _)| verdict).collect()
}

fn handshake(port: u16, at: u64, rtt: u64) -> [(u64, Vec<u8>); 2] {
    let (phone, server) = ((PHONE, port), (SERVER, 443));
    [(at, segment(phone, server, "S")), (at + rtt, segment(server, phone, "SA"))]
}

#[test]
fn one_handshake_decides_and_the_shortest_of_several_counts() {
    assert_eq!(verdicts(&handshake(40_000, 0, 9)), [Some(Verdict::Refuted)]);
    assert_eq!(verdicts(&handshake(40_000, 0, 187)), [Some(Verdict::Consistent)]);
    let both = [handshake(40_000, 0, 9), handshake(40_001, 1_000, 187)].concat();
    assert_eq!(verdicts(&both), [Some(Verdict::Refuted); 2], "a long one does not make a short one undone");
    assert_eq!(verdicts(&handshake(40_000, 0, 0)), [Some(Verdict::Unmeasured)], "a clock that stands still times nothing");
}

#[test]
fn who_connects_to_us_is_not_placed_by_our_own_answer() {
    let (outside, phone) = ((SERVER, 40_000), (PHONE, 443));
    let inward = [(0, segment(outside, phone, "S")), (2, segment(phone, outside, "SA"))];
    let known = [(500, segment((PHONE, 50_000), ([192, 0, 2, 1], 443), "S"))];
    let frames = [&known[..], &inward].concat();
    assert_eq!(verdicts(&frames), [Some(Verdict::Unmeasured)]);
    assert!(read(&frames).0.snapshot().rtts.is_empty(), "the time of our own answer is no country's");
}

#[test]
fn a_repeated_syn_and_an_answer_nobody_asked_for_time_nothing() {
    let (phone, server) = ((PHONE, 40_000), (SERVER, 443));
    let again = [(0, segment(phone, server, "S")), (1_000, segment(phone, server, "S")), (1_003, segment(server, phone, "SA"))];
    assert_eq!(verdicts(&again), [Some(Verdict::Unmeasured)]);
    assert_eq!(verdicts(&[(3, segment(server, phone, "SA"))]), [Some(Verdict::Unmeasured)]);
}

#[test]
fn frames_out_of_order_are_timed_by_their_own_clocks() {
    // Another frame from later came first, as with two captures in one file: the engine's clock is already past the handshake's.
    let later = [(150, segment((PHONE, 50_000), ([192, 0, 2, 1], 443), "S"))];
    assert_eq!(verdicts(&[&later[..], &handshake(40_000, 0, 187)].concat()), [Some(Verdict::Consistent)]);
}
