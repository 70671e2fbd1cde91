//! The simulated lab run, seen from where it is set: which countries its handshakes refute, and that every byte outside has a verdict.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test should stop at the first wrong one")]

use std::collections::BTreeSet;
use std::net::IpAddr;

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
fn run(location: Option<(f64, f64)>, mut look: impl FnMut(&Snapshot)) -> Vec<(IpAddr, FlowEnd)> {
    let mut pcap = Vec::new();
    write(&Plan { seed: 1, hours: 6, ..Plan::default() }, &mut pcap).unwrap();
    let side = OurSide { nets: Vec::new(), by_address: false };
    let mut engine = Engine::new(Limits::default(), side, GeoDb::embedded().unwrap(), true);
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
    let flows = run(Some(VILNIUS), |_| {});
    assert_eq!(names(&flows, "SG", Verdict::Refuted), BTreeSet::from(["sdkconfig.ad.intl.xiaomi.com".to_owned()]));
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
}

#[test]
fn a_resolver_in_many_places_and_our_own_side_have_no_verdict() {
    let flows = run(Some(VILNIUS), |_| {});
    for (server, flow) in &flows {
        match flow.class {
            Class::Local | Class::Multicast => assert_eq!(flow.verdict, None, "{server}"),
            _ if *server == IpAddr::from([8, 8, 8, 8]) => assert_eq!(flow.verdict, Some(Verdict::Unmeasured), "{server}"),
            _ => assert!(flow.verdict.is_some(), "{server}"),
        }
    }
}

#[test]
fn every_byte_outside_that_has_a_destination_has_a_verdict_at_every_moment_and_none_goes_back() {
    let mut before: Vec<(String, [u64; VERDICTS.len()])> = Vec::new();
    let mut refuted = 0;
    run(Some(VILNIUS), |snapshot| {
        for device in &snapshot.devices {
            let bytes = |both: &whither::engine::snapshot::Both| both.transmit.bytes + both.receive.bytes;
            let outside = device.visibility.iter().filter(|(class, _)| !matches!(class, Class::Local | Class::Multicast));
            let verdicts = device.verdicts.each_ref().map(bytes);
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
    assert!(refuted > 0 && before.iter().all(|(_, verdicts)| verdicts.first().is_some()));
}

#[test]
fn without_a_location_nothing_is_measured() {
    let mut rows = 0;
    let flows = run(None, |snapshot| {
        rows += snapshot.destinations.len();
        assert!(snapshot.destinations.iter().all(|row| row.verdict == Verdict::Unmeasured));
    });
    assert!(rows > 0 && flows.iter().all(|(_, flow)| !matches!(flow.verdict, Some(Verdict::Consistent | Verdict::Refuted))));
}
