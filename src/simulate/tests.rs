//! The capture read back by libraries that had no part in writing it, and held against its truth.

use std::net::IpAddr;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap_parser::{Capture as _, PcapCapture};

use super::*;

fn run(seed: u64, hours: u32) -> (Vec<u8>, Truth) {
    let mut bytes = Vec::new();
    let truth = write(&Plan { seed, hours, ..Plan::default() }, &mut bytes).unwrap();
    (bytes, truth)
}

/// Frames with their times in ns, as `pcap-parser` reads them.
fn frames(pcap: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let capture = PcapCapture::from_file(pcap).unwrap();
    assert!(capture.header.is_nanosecond_precision());
    assert_eq!(capture.get_datalink(), pcap_parser::Linktype::ETHERNET);
    capture
        .blocks
        .iter()
        .map(|block| {
            assert_eq!(block.caplen, block.origlen);
            (u64::from(block.ts_sec) * 1_000_000_000 + u64::from(block.ts_usec), block.data.to_vec())
        })
        .collect()
}

fn mac(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

#[test]
fn the_seed_decides_every_byte() {
    let (one, truth) = run(5, 2);
    let (again, truth_again) = run(5, 2);
    let (other, _) = run(6, 2);
    assert!(one == again, "the same seed gave other bytes");
    assert_eq!(serde_json::to_string(&truth).unwrap(), serde_json::to_string(&truth_again).unwrap());
    assert!(one != other, "another seed gave the same bytes");
}

#[test]
fn the_run_is_a_day_long_and_small() {
    for seed in 1..4 {
        let (pcap, truth) = run(seed, 26);
        assert!(pcap.len() < 12_000_000, "{} bytes", pcap.len());
        assert!((25_000..40_000).contains(&truth.packets), "{} packets", truth.packets);
        let frames = frames(&pcap);
        assert!(frames.is_sorted_by_key(|(time, _)| *time));
        let (first, last) = (frames.first().unwrap().0, frames.last().unwrap().0);
        assert!(last - first > 25 * 3_600 * 1_000_000_000 && last - first < 26 * 3_600 * 1_000_000_000);
    }
}

#[test]
fn the_truth_is_what_the_frames_say() {
    let (pcap, truth) = run(1, 26);
    let frames = frames(&pcap);
    assert_eq!(truth.packets, frames.len() as u64);
    assert_eq!(truth.bytes, frames.iter().map(|(_, frame)| frame.len() as u64).sum::<u64>());
    for device in truth.devices.iter().filter(|device| !device.router) {
        let sum = |at: std::ops::Range<usize>| frames.iter().filter(move |(_, frame)| mac(&frame[at.clone()]) == device.mac);
        assert_eq!(device.transmit.packets, sum(6..12).count() as u64);
        assert_eq!(device.transmit.bytes, sum(6..12).map(|(_, frame)| frame.len() as u64).sum::<u64>());
        assert_eq!(device.receive.packets, sum(0..6).count() as u64);
        assert_eq!(device.receive.bytes, sum(0..6).map(|(_, frame)| frame.len() as u64).sum::<u64>());
    }
}

#[test]
fn countries_and_destinations_add_up_to_the_device() {
    let (_, truth) = run(2, 26);
    for device in &truth.devices {
        let sum = |of: fn(&truth::Traffic) -> u64| device.countries.iter().map(|(_, traffic)| of(traffic)).sum::<u64>();
        assert_eq!(sum(|traffic| traffic.transmit_bytes), device.transmit.bytes, "{}", device.mac);
        assert_eq!(sum(|traffic| traffic.receive_bytes), device.receive.bytes, "{}", device.mac);
        let near = |place: &str| matches!(place, "local" | "multicast");
        let away: u64 = device.countries.iter().filter(|(place, _)| !near(place)).map(|(_, traffic)| traffic.receive_bytes).sum();
        assert_eq!(away, device.destinations.iter().map(|row| row.traffic.receive_bytes).sum::<u64>());
    }
}

/// Bytes with one address on one port of one device, both ways, read from the frames.
fn exchanged(frames: &[(u64, Vec<u8>)], phone: &str, (far, port): (IpAddr, u16)) -> (u64, u64) {
    let mut sums = (0, 0);
    for (_, frame) in frames {
        let sliced = SlicedPacket::from_ethernet(frame).unwrap();
        let (source, target): (IpAddr, IpAddr) = match &sliced.net {
            Some(NetSlice::Ipv4(ip)) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            Some(NetSlice::Ipv6(ip)) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
            _ => continue,
        };
        let (from, to) = match &sliced.transport {
            Some(TransportSlice::Tcp(tcp)) => (tcp.source_port(), tcp.destination_port()),
            Some(TransportSlice::Udp(udp)) => (udp.source_port(), udp.destination_port()),
            _ => continue,
        };
        if (target, to) == (far, port) && mac(&frame[6..12]) == phone {
            sums.0 += frame.len() as u64;
        }
        if (source, from) == (far, port) && mac(&frame[..6]) == phone {
            sums.1 += frame.len() as u64;
        }
    }
    sums
}

#[test]
fn each_destination_has_the_bytes_of_its_address() {
    let (pcap, truth) = run(3, 3);
    let frames = frames(&pcap);
    for device in &truth.devices {
        for row in &device.destinations {
            // Two names may share an address, and with it a port.
            let shared = |other: &&truth::DestinationTruth| (other.address, other.port) == (row.address, row.port);
            let told = device.destinations.iter().filter(shared);
            let told = told.fold((0, 0), |sum, row| (sum.0 + row.traffic.transmit_bytes, sum.1 + row.traffic.receive_bytes));
            assert_eq!(exchanged(&frames, &device.mac, (row.address, row.port)), told, "{:?} {}", row.name, row.address);
        }
    }
}

#[test]
fn the_xiaomi_pulls_when_it_is_due_and_no_other_phone_pulls() {
    let (_, truth) = run(1, 26);
    let [xiaomi, huawei, oneplus, gateway] = truth.devices.as_slice() else { panic!("{} devices", truth.devices.len()) };
    assert_eq!(xiaomi.associations.len(), 4);
    let at = |hour: &str| xiaomi.list_pulls.iter().filter(|pull| pull.time.contains(hour)).collect::<Vec<_>>();
    assert!(at("T06:00:").iter().all(|pull| pull.version == -1 && pull.updated && pull.response_bytes > 15_000));
    assert!(at("T19:03:").iter().all(|pull| pull.version > 0 && !pull.updated && pull.response_bytes < 400));
    assert!(at("24T07:06:").iter().all(|pull| pull.updated && pull.response_bytes > 80_000));
    assert_eq!((at("T06:00:").len(), at("23T07:0").len(), at("T19:03:").len(), at("24T07:06:").len()), (4, 0, 4, 4));
    assert!(xiaomi.list_pulls.iter().all(|pull| pull.seconds_after_association < 10.0));
    for other in [huawei, oneplus, gateway] {
        assert!(other.list_pulls.is_empty());
        assert!(other.destinations.iter().all(|row| row.name != Some("globalapi.ad.xiaomi.com")));
    }
    let countries = |device: &truth::DeviceTruth| device.countries.iter().map(|(place, _)| *place).collect::<Vec<_>>();
    assert!(countries(xiaomi).contains(&"SG") && countries(huawei).contains(&"SG") && !countries(oneplus).contains(&"SG"));
    assert_eq!(countries(gateway), ["local", "multicast"]);
}

#[test]
fn one_server_in_singapore_is_too_near_to_be_there() {
    let (_, truth) = run(1, 26);
    let singapore = truth.devices.iter().flat_map(|device| &device.destinations).filter(|row| row.country == "SG");
    let near: Vec<_> = singapore.filter(|row| row.min_rtt_ms.is_some_and(|rtt| rtt < 92.0)).map(|row| row.name).collect();
    assert_eq!(near, [Some("sdkconfig.ad.intl.xiaomi.com")]);
}

/// One client's side of a TCP connection.
struct Client {
    key: (Vec<u8>, u16, u16),
    first: u32,
    bytes: Vec<u8>,
}

/// What the client of each TLS connection sent, in the order of its sequence numbers and once.
fn sent_by_clients(frames: &[(u64, Vec<u8>)]) -> Vec<Vec<u8>> {
    let mut clients: Vec<Client> = Vec::new();
    for (_, frame) in frames {
        let sliced = SlicedPacket::from_ethernet(frame).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { continue };
        let key = (frame[6..12].to_vec(), tcp.source_port(), tcp.destination_port());
        if tcp.syn() && !tcp.ack() {
            clients.push(Client { key, first: tcp.sequence_number().wrapping_add(1), bytes: Vec::new() });
        } else if let Some(client) = clients.iter_mut().rev().find(|client| client.key == key) {
            let at = tcp.sequence_number().wrapping_sub(client.first) as usize;
            if !tcp.payload().is_empty() {
                client.bytes.resize(client.bytes.len().max(at + tcp.payload().len()), 0);
                client.bytes[at..at + tcp.payload().len()].copy_from_slice(tcp.payload());
            }
        }
    }
    clients.into_iter().filter(|client| matches!(client.key.2, 443 | 5_228)).map(|client| client.bytes).collect()
}

#[test]
fn every_client_hello_parses_and_most_need_two_segments() {
    let (pcap, truth) = run(4, 6);
    let (mut hellos, mut large, mut unnamed) = (0, 0, 0);
    for bytes in sent_by_clients(&frames(&pcap)).iter().filter(|bytes| !bytes.is_empty()) {
        let (_, record) = tls_parser::parse_tls_plaintext(bytes).unwrap();
        let tls_parser::TlsMessage::Handshake(tls_parser::TlsMessageHandshake::ClientHello(hello)) = &record.msg[0] else {
            panic!("not a hello");
        };
        let (_, extensions) = tls_parser::parse_tls_client_hello_extensions(hello.ext.unwrap()).unwrap();
        let named = extensions.iter().any(|extension| matches!(extension, tls_parser::TlsExtension::SNI(names) if !names.is_empty()));
        hellos += 1;
        large += u64::from(record.hdr.len > 1_443);
        unnamed += u64::from(!named);
    }
    let flows: u64 = truth
        .devices
        .iter()
        .flat_map(|device| &device.destinations)
        .filter(|row| matches!(row.port, 443 | 5_228) && row.protocol == "tcp")
        .map(|row| row.flows)
        .sum();
    assert_eq!(hellos, flows);
    assert!(large * 2 > hellos && large < hellos, "{large} of {hellos}");
    assert_eq!(unnamed, 1, "the flow to the in-app resolver's address");
}
