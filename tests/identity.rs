//! Who a device is: names with their sources, others' names that stick to nobody, and rotated MACs that are proposed, never merged.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test makes its own world")]

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use etherparse::PacketBuilder;
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::event::{Detail, Event};
use whither::engine::geo::GeoDb;
use whither::engine::limits::Limits;
use whither::engine::roster::{Entry, Roster};
use whither::engine::snapshot::{DeviceRow, Kind, SameAs, Source};
use whither::export::events::write_line;
use whither::export::identity;
use whither::export::json::summary_json;
use whither::packet::{Frame, Link, Mac, Timestamp};

const OLD: [u8; 6] = [0x02, 0, 0, 0, 0, 0x0a];
const NEW: [u8; 6] = [0x06, 0, 0, 0, 0, 0x0b];
const THIRD: [u8; 6] = [0x0a, 0, 0, 0, 0, 0x0c];
const ROUTER: [u8; 6] = [0x00, 0x00, 0x0c, 1, 2, 3];
const GROUP: [u8; 6] = [0x01, 0, 0x5e, 0, 0, 0xfb];
const CLIENT_ID: [u8; 19] = [255, 0, 0, 0, 1, 0, 2, 0, 0, 0xab, 0x11, 0x41, 0x8a, 0x9e, 0x55, 0x21, 0x70, 0x0c, 0x31];

/// Frames, the engine that reads them, and what it tells.
struct Lab {
    engine: Engine,
    now: Timestamp,
    frames: Vec<(u64, Vec<u8>)>,
    events: Vec<Event>,
}

impl Lab {
    fn new() -> Self {
        let engine = Engine::new(Limits::default(), OurSide::default(), GeoDb::embedded().unwrap(), true);
        Self { engine, now: Timestamp::from_nanos(1_700_000_000_000_000_000), frames: Vec::new(), events: Vec::new() }
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    fn udp(&mut self, macs: ([u8; 6], [u8; 6]), from: &str, to: &str, payload: &[u8]) {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let packet = PacketBuilder::ethernet2(macs.0, macs.1);
        let packet = match (from, to) {
            (SocketAddr::V4(from), SocketAddr::V4(to)) => packet.ipv4(from.ip().octets(), to.ip().octets(), 64),
            (SocketAddr::V6(from), SocketAddr::V6(to)) => packet.ipv6(from.ip().octets(), to.ip().octets(), 64),
            _ => unreachable!("one family"),
        };
        let mut data = Vec::new();
        packet.udp(from.port(), to.port()).write(&mut data, payload).unwrap();
        self.now = self.now.plus(Duration::from_millis(1));
        let number = self.frames.len() as u64 + 1;
        self.engine.ingest(&Frame { number, time: self.now, link: Link::Ethernet, wire_len: data.len() as u32, data: &data });
        self.events.extend(self.engine.events());
        self.frames.push((self.now.as_nanos(), data));
    }

    /// A DHCPREQUEST, with the options that a phone sends beside those given.
    fn lease(&mut self, mac: [u8; 6], name: &[u8], client_id: Option<&[u8]>) {
        let mut message = vec![1, 1, 6, 0, 1, 2, 3, 4];
        message.resize(28, 0);
        message.extend(mac);
        message.resize(236, 0);
        message.extend([99, 130, 83, 99, 53, 1, 3]);
        let by_mac = [&[1][..], &mac].concat();
        let options: [(u8, &[u8]); 4] =
            [(12, name), (55, &[1, 3, 6, 15, 26]), (60, b"android-dhcp-14"), (61, client_id.unwrap_or(&by_mac))];
        for (code, value) in options {
            message.extend([code, value.len() as u8]);
            message.extend(value);
        }
        message.push(255);
        self.udp((mac, [0xff; 6]), "0.0.0.0:68", "255.255.255.255:67", &message);
    }

    /// A datagram to the router: the device is here.
    fn talk(&mut self, mac: [u8; 6], address: &str) {
        self.udp((mac, ROUTER), &format!("{address}:40000"), "192.168.1.1:9", b"x");
    }

    /// An mDNS answer with these records.
    fn mdns(&mut self, mac: [u8; 6], from: &str, records: &[(u16, &str, Vec<u8>)]) {
        let mut message = vec![0, 0, 0x84, 0, 0, 0, 0, records.len() as u8, 0, 0, 0, 0];
        for (kind, owner, data) in records {
            message.extend(labels(owner));
            message.extend([0, *kind as u8, 0x80, 1, 0, 0, 0, 120]);
            message.extend((data.len() as u16).to_be_bytes());
            message.extend(data);
        }
        self.udp((mac, GROUP), &format!("{from}:5353"), "224.0.0.251:5353", &message);
    }

    fn device(&mut self, mac: [u8; 6]) -> DeviceRow {
        let snapshot = self.engine.snapshot();
        snapshot.devices.into_iter().find(|row| row.mac == Some(Mac(mac))).unwrap()
    }

    fn hostname(&mut self, mac: [u8; 6]) -> Option<String> {
        self.device(mac).hostname.map(|name| name.to_string())
    }

    /// The `same-device` events so far: device, and the proposal.
    fn proposals<'a>(&'a self) -> Vec<(&'a str, &'a SameAs)> {
        let same = |event: &'a Event| match &event.detail {
            Detail::SameDevice(same) => Some((&*event.device, &**same)),
            _ => None,
        };
        self.events.iter().filter_map(same).collect()
    }
}

fn labels(name: &str) -> Vec<u8> {
    name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).chain([0]).collect()
}

fn text(mac: [u8; 6]) -> String {
    Mac(mac).to_string()
}

/// The old phone, then nine seconds later one with another MAC that says the same.
fn rotated(client_id: Option<&[u8]>) -> Lab {
    let mut lab = Lab::new();
    lab.lease(OLD, b"Pixel-8", client_id);
    lab.talk(OLD, "192.168.1.10");
    lab.wait(9);
    lab.lease(NEW, b"Pixel-8", client_id);
    lab.talk(NEW, "192.168.1.11");
    lab
}

#[test]
fn each_fact_has_its_source_and_its_first_packet() {
    let mut lab = Lab::new();
    lab.mdns(OLD, "192.168.1.10", &[(1, "pixel.local", vec![192, 168, 1, 10])]);
    assert_eq!(lab.hostname(OLD).as_deref(), Some("pixel"), "all there is so far");
    let solicit =
        [&[1, 7, 7, 7, 0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 0x0a, 0, 6, 0, 2, 0, 23, 0, 39, 0, 8, 0][..], b"\x06pixel6\x00"].concat();
    lab.udp((OLD, GROUP), "[fe80::a]:546", "[ff02::1:2]:547", &solicit);
    assert_eq!(lab.hostname(OLD).as_deref(), Some("pixel6"));
    lab.lease(OLD, b"Pixel-8", None);
    lab.wait(1); // the same frame at once would be the access point's copy
    lab.lease(OLD, b"Pixel-8", None);
    let notify = b"NOTIFY * HTTP/1.1\r\nLOCATION: http://192.168.1.10:80/d.xml\r\nSERVER: Os/1 UPnP/1.1 Box/2\r\nUSN: uuid:77-1::x\r\n\r\n";
    lab.udp((OLD, GROUP), "192.168.1.10:1900", "239.255.255.250:1900", notify);
    let row = lab.device(OLD);
    assert_eq!(row.hostname.as_deref(), Some("Pixel-8"), "DHCP before DHCPv6 before mDNS");
    assert_eq!(row.addresses, ["192.168.1.10", "fe80::a"].map(|address| address.parse::<IpAddr>().unwrap()), "joined by the MAC");
    let told: Vec<(Kind, Source, &str, u64)> =
        row.identity.iter().map(|fact| (fact.kind, fact.source, &*fact.value, fact.packet)).collect();
    assert_eq!(
        told,
        [
            (Kind::RandomizedMac, Source::Mac, "02:00:00:00:00:0a", 1),
            (Kind::Hostname, Source::Mdns, "pixel", 1),
            (Kind::Hostname, Source::Dhcp6, "pixel6", 2),
            (Kind::Duid, Source::Dhcp6, "00:03:00:01:02:00:00:00:00:0a", 2),
            (Kind::Parameters, Source::Dhcp6, "23", 2),
            (Kind::Hostname, Source::Dhcp, "Pixel-8", 3),
            (Kind::VendorClass, Source::Dhcp, "android-dhcp-14", 3),
            (Kind::Parameters, Source::Dhcp, "1,3,6,15,26", 3),
            (Kind::ClientId, Source::Dhcp, "01:02:00:00:00:00:0a", 3),
            (Kind::Product, Source::Ssdp, "Os/1 UPnP/1.1 Box/2", 5),
            (Kind::Uuid, Source::Ssdp, "77-1", 5),
        ]
    );
    let name = row.identity.iter().find(|fact| fact.source == Source::Dhcp).unwrap();
    assert!(name.last > name.first, "said again in packet 4");
    let last = lab.events.iter().rfind(|event| matches!(event.detail, Detail::Device(_))).unwrap();
    let mut line = Vec::new();
    write_line(last, "lab", &mut line);
    let event: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!((&event["whither.identity"][1]["source"], &event["whither.identity"][1]["packet"]), (&"mdns".into(), &1.into()));
    let summary: serde_json::Value = serde_json::from_str(&summary_json(&lab.engine.snapshot())).unwrap();
    assert_eq!(summary["devices"][0]["identity"][3]["kind"], "duid");
}

#[test]
fn a_dhcpv6_server_tells_of_its_client_and_a_relay_of_nobody() {
    let option = |code: u8, value: &[u8]| [&[0, code, 0, value.len() as u8][..], value].concat();
    let address = |last: u8| [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[last]].concat();
    let mut lab = Lab::new();
    let solicit = [&[1, 7, 7, 7][..], &option(39, b"\0\x05other")].concat();
    let relayed = [&[12, 0][..], &[0; 32], &option(9, &solicit)].concat();
    lab.udp((OLD, GROUP), "[fe80::a]:547", "[ff05::1:3]:547", &relayed);
    assert_eq!(lab.hostname(OLD), None, "the relay's frame, another's words");
    let given = option(3, &[vec![0; 12], option(5, &[address(5), vec![0; 8]].concat())].concat());
    let prefix = option(25, &[vec![0; 12], option(26, &[vec![0, 0, 0, 0, 0, 0, 0, 0, 64], address(0)].concat())].concat());
    for kind in [2, 7] {
        let message = [vec![kind, 7, 7, 7], given.clone(), prefix.clone(), option(23, &address(53))].concat();
        lab.udp((ROUTER, OLD), "[fe80::1]:547", "[fe80::a]:546", &message);
        let row = lab.device(OLD);
        let granted = row.addresses.contains(&"2001:db8::5".parse().unwrap());
        let delegated = row.identity.iter().any(|fact| fact.kind == Kind::DelegatedPrefix && &*fact.value == "2001:db8::/64");
        assert_eq!((granted, delegated), (kind == 7, kind == 7), "only a Reply gives");
    }
    let query = [&[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &labels("example.org"), &[0, 1, 0, 1]].concat();
    for (resolver, strangers) in [("[2001:db8::35]:53", 0), ("[2001:db8::36]:53", 1)] {
        lab.udp((OLD, ROUTER), "[2001:db8::5]:40000", resolver, &query);
        let told = lab.events.iter().filter(|event| matches!(event.detail, Detail::UnofferedResolver { .. })).count();
        assert_eq!(told, strangers, "{resolver}");
    }
}

#[test]
fn a_service_names_a_device_that_nothing_else_names() {
    let mut lab = Lab::new();
    let srv = [&[0, 0, 0, 0, 0x1f, 0x49][..], &labels("1f-2e-3d.local")].concat();
    let own = (1, "1f-2e-3d.local", vec![192, 168, 1, 10]);
    lab.mdns(OLD, "192.168.1.10", &[(33, "Living Room._googlecast._tcp.local", srv.clone()), own.clone()]);
    let row = lab.device(OLD);
    assert!(row.identity.iter().any(|fact| fact.kind == Kind::Instance && &*fact.value == "living room"), "{:?}", row.identity);
    let model = (16, "Living Room._device-info._tcp.local", b"\x0bmodel=Box,3\x04os=1".to_vec());
    lab.mdns(OLD, "192.168.1.10", std::slice::from_ref(&model));
    assert!(lab.device(OLD).identity.iter().all(|fact| fact.kind != Kind::Model), "nothing says whose model it is");
    lab.mdns(OLD, "192.168.1.10", &[model, own]);
    assert!(lab.device(OLD).identity.iter().any(|fact| fact.kind == Kind::Model && &*fact.value == "Box,3"));
}

#[test]
fn who_answers_for_others_is_not_called_by_their_names() {
    let mut lab = Lab::new();
    // A proxy: the address is another's.
    lab.mdns(OLD, "192.168.1.10", &[(1, "printer.local", vec![192, 168, 1, 50])]);
    let ptr = labels("Office Printer._ipp._tcp.local");
    lab.mdns(OLD, "192.168.1.10", &[(12, "_ipp._tcp.local", ptr), (1, "printer.local", vec![192, 168, 1, 50])]);
    let srv = [&[0, 0, 0, 0, 2, 0x77][..], &labels("printer.local")].concat();
    lab.mdns(OLD, "192.168.1.10", &[(33, "Office Printer._ipp._tcp.local", srv)]);
    // A browser's call.
    lab.mdns(OLD, "192.168.1.10", &[(1, "0d6c3e1a-3c46-4bd8-8a3a-2f1de5a8b5d0.local", vec![192, 168, 1, 10])]);
    let notify = b"NOTIFY * HTTP/1.1\r\nLOCATION: http://192.168.1.50/d.xml\r\nSERVER: Printer/1\r\nUSN: uuid:50\r\n\r\n";
    lab.udp((OLD, GROUP), "192.168.1.10:1900", "239.255.255.250:1900", notify);
    let named = |row: DeviceRow| row.identity.iter().filter(|fact| fact.source != Source::Mac).cloned().collect::<Vec<_>>();
    let row = lab.device(OLD);
    assert_eq!((row.hostname.clone(), named(row)), (None, vec![]));
    // A repeater: hosts behind it speak with its MAC, each from its own address.
    lab.mdns(OLD, "192.168.1.10", &[(1, "repeater.local", vec![192, 168, 1, 10])]);
    lab.mdns(OLD, "192.168.1.77", &[(1, "laptop.local", vec![192, 168, 1, 77])]);
    assert_eq!(lab.hostname(OLD).as_deref(), Some("repeater"));
    // Its own new address, and then its own new name.
    lab.mdns(OLD, "192.168.1.12", &[(1, "repeater.local", vec![192, 168, 1, 12])]);
    lab.mdns(OLD, "192.168.1.12", &[(1, "repeater-2.local", vec![192, 168, 1, 12])]);
    assert_eq!(lab.hostname(OLD).as_deref(), Some("repeater-2"));
    assert_eq!(named(lab.device(OLD)).len(), 2);
}

#[test]
fn a_rotated_mac_is_proposed_once_the_other_had_time_to_be_heard() {
    let mut lab = rotated(None);
    assert_eq!(lab.proposals(), []);
    lab.wait(11 * 60);
    lab.talk(NEW, "192.168.1.11");
    lab.lease(NEW, b"Pixel-8", None);
    lab.talk(NEW, "192.168.1.11");
    let proposals = lab.proposals();
    let [(device, same)] = proposals[..] else { panic!("once: {proposals:?}") };
    assert_eq!((device.to_owned(), same.device.to_string()), (text(NEW), text(OLD)));
    let kinds: Vec<Kind> = same.evidence.iter().map(|fact| fact.kind).collect();
    assert_eq!((kinds, same.unique), (vec![Kind::Hostname, Kind::Parameters, Kind::VendorClass], false));
    let words = same.words();
    assert!(words.contains("two devices of one model") && words.ends_with("the other was last heard 9 s before this one came"), "{words}");
    assert_eq!((lab.device(NEW).same_as.len(), lab.device(OLD).same_as.len()), (1, 0), "nothing is merged");
    // The old one speaks: two devices after all.
    lab.talk(OLD, "192.168.1.10");
    assert_eq!(lab.device(NEW).same_as, []);
}

#[test]
fn two_phones_of_one_model_are_not_proposed() {
    let mut lab = rotated(None);
    lab.talk(OLD, "192.168.1.10");
    for _ in 0..20 {
        lab.wait(60);
        lab.talk(NEW, "192.168.1.11");
        lab.lease(NEW, b"Pixel-8", None);
    }
    assert_eq!(lab.proposals(), []);
}

#[test]
fn a_unique_identifier_is_told_at_once_whoever_else_is_there() {
    let mut lab = rotated(Some(&CLIENT_ID));
    lab.talk(OLD, "192.168.1.10");
    let proposals = lab.proposals();
    let [(device, same)] = proposals[..] else { panic!("once: {proposals:?}") };
    assert_eq!((device.to_owned(), same.unique, same.together), (text(NEW), true, false));
    assert!(same.evidence.iter().any(|fact| fact.kind == Kind::Duid && fact.value.starts_with("00:02:00:00:ab")), "{same:?}");
    assert_eq!(lab.device(NEW).same_as.len(), 1);
    lab.lease(THIRD, b"other", Some(&CLIENT_ID));
    lab.talk(OLD, "192.168.1.10");
    assert_eq!(lab.proposals().len(), 3, "the third with each of the two");
}

#[test]
fn what_the_devices_file_says_is_not_proposed() {
    let entry =
        |alias: &str, macs: &[[u8; 6]]| Entry { alias: alias.into(), macs: macs.iter().map(|mac| Mac(*mac)).collect(), ..Entry::default() };
    let mut lab = rotated(Some(&CLIENT_ID));
    lab.engine.register(Roster::new(vec![entry("pixel", &[OLD, NEW])]));
    lab.talk(NEW, "192.168.1.11");
    lab.lease(NEW, b"Pixel-8b", Some(&CLIENT_ID));
    let rows = lab.engine.snapshot().devices;
    let pixel = rows.iter().find(|row| *row.id == *"pixel").unwrap();
    assert_eq!(pixel.hostname.as_deref(), Some("Pixel-8b"));
    assert!(rows.iter().all(|row| row.same_as.is_empty()), "one device by the file: {rows:?}");
    assert_eq!(lab.proposals().len(), 1, "the one before there was a file");

    let mut lab = Lab::new();
    lab.engine.register(Roster::new(vec![entry("a", &[OLD]), entry("b", &[NEW])]));
    for mac in [OLD, NEW, THIRD] {
        lab.lease(mac, b"Pixel-8", Some(&CLIENT_ID));
    }
    let told: Vec<(&str, &str)> = lab.proposals().iter().map(|(device, same)| (*device, &*same.device)).collect();
    let third = text(THIRD);
    assert_eq!(told, [(third.as_str(), "b"), (third.as_str(), "a")], "two with an alias each are two; who was heard last comes first");
}

#[test]
fn hostile_names_reach_no_line() {
    let mut lab = Lab::new();
    for mac in [OLD, NEW] {
        lab.lease(mac, b"a\x1b[31m\n\xe2\x80\xaeb\0c<script>\"", Some(&CLIENT_ID));
    }
    let name = lab.hostname(OLD).unwrap();
    assert!(!name.contains(|c: char| c.is_control() || c == '\u{202e}') && name.ends_with("<script>\""), "{name:?}");
    let lines = identity::lines(&lab.engine.snapshot());
    assert!(lines.lines().count() == 3 && !lines.contains(|c: char| c.is_control() && c != '\n'), "{lines:?}");
    for event in &lab.events {
        let mut line = Vec::new();
        write_line(event, "lab", &mut line);
        assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok() && line.iter().filter(|byte| **byte < 32).count() == 1);
    }
}

#[test]
fn the_program_says_it_below_the_table() {
    let lab = rotated(Some(&CLIENT_ID));
    let mut capture = [&[0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0][..], &[0; 8], &[0, 0, 4, 0, 1, 0, 0, 0]].concat();
    for (time, data) in &lab.frames {
        for field in [time / 1_000_000_000, time % 1_000_000_000, data.len() as u64, data.len() as u64] {
            capture.extend((field as u32).to_le_bytes());
        }
        capture.extend(data);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rotated.pcap"), capture).unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_whither")).current_dir(folder.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let table = run(&["read", "rotated.pcap"]);
    let line = table.lines().find(|line| line.contains(&format!("Pixel-8 {} and {}: ", text(NEW), text(OLD)))).unwrap();
    assert!(line.contains("client identifier, DUID, host name"), "{line}");
    let json: serde_json::Value = serde_json::from_str(&run(&["read", "--json", "rotated.pcap"])).unwrap();
    assert_eq!(json["devices"][2]["same_as"][0]["device"], text(OLD), "{json}");
}
