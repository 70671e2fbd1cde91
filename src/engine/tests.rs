//! The engine held against an opponent: frames of real bytes go in, and what a user would notice is asked.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use etherparse::PacketBuilder;

use proptest::prelude::*;

use super::event::{Detail, Ends, Event, Where};
use super::snapshot::Snapshot;
use super::*;
use crate::packet::Link;

const A: [u8; 6] = [0x02, 0, 0, 0, 0, 0x0a];
const B: [u8; 6] = [0x02, 0, 0, 0, 0, 0x0b];
const ROUTER: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
const SERVER: &str = "203.0.113.9:443";
const PHONE: &str = "192.168.1.10:40000";
const SYN: u8 = 1;
const SYN_ACK: u8 = 2;
const ACK: u8 = 3;
const RST: u8 = 4;
const BARE: u8 = 5;

/// An engine, its time, and what every frame of it weighed.
struct Lab {
    engine: Engine,
    now: Timestamp,
    number: u64,
    events: Vec<Event>,
}

impl Lab {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let mut geo = GeoDb::embedded().unwrap();
        geo.add("country", include_bytes!("../../tests/geoip/lab-country.mmdb").to_vec()).unwrap();
        geo.add("asn", include_bytes!("../../tests/geoip/lab-asn.mmdb").to_vec()).unwrap();
        let engine = Engine::new(limits, OurSide::default(), geo, true);
        Self { engine, now: Timestamp::from_nanos(1_700_000_000_000_000_000), number: 0, events: Vec::new() }
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    fn frame(&mut self, data: &[u8]) {
        self.number += 1;
        self.now = self.now.plus(Duration::from_millis(1));
        let wire_len = u32::try_from(data.len()).unwrap();
        self.engine.ingest(&Frame { number: self.number, time: self.now, link: Link::Ethernet, wire_len, data });
        self.events.extend(self.engine.events());
    }

    fn udp(&mut self, macs: ([u8; 6], [u8; 6]), from: &str, to: &str, payload: &[u8]) {
        self.frame(&udp(macs, from, to, payload));
    }

    fn tcp(&mut self, macs: ([u8; 6], [u8; 6]), from: &str, to: &str, flags: u8, seq: u32, payload: &[u8]) {
        self.frame(&tcp(macs, from, to, flags, seq, payload));
    }

    /// The handshake of a phone with a server, both at sequence 1000.
    fn open(&mut self, mac: [u8; 6], from: &str, to: &str) {
        self.tcp((mac, ROUTER), from, to, SYN, 1000, &[]);
        self.tcp((ROUTER, mac), to, from, SYN_ACK, 1000, &[]);
        self.tcp((mac, ROUTER), from, to, ACK, 1001, &[]);
    }

    fn hellos(&self) -> Vec<String> {
        let name = |event: &Event| match &event.detail {
            Detail::Hello(hello, _) => Some(hello.name.as_ref().map_or(String::new(), |name| name.as_str().to_owned())),
            _ => None,
        };
        self.events.iter().filter_map(name).collect()
    }

    /// The snapshot, once its sums are found equal.
    fn snapshot(&mut self) -> Snapshot {
        let snapshot = self.engine.snapshot();
        let bytes = |both: snapshot::Both| (both.transmit.bytes, both.receive.bytes);
        for device in &snapshot.devices {
            let mut countries = (0, 0);
            for row in snapshot.countries.iter().filter(|row| row.device == device.id) {
                let (up, down) = bytes(row.total);
                countries = (countries.0 + up, countries.1 + down);
            }
            let mut destinations = bytes(device.pending);
            for row in snapshot.destinations.iter().filter(|row| row.device == device.id) {
                let (up, down) = bytes(row.total);
                destinations = (destinations.0 + up, destinations.1 + down);
            }
            assert_eq!(countries, bytes(device.total), "countries of {}", device.id);
            assert_eq!(destinations, bytes(device.total), "destinations and pending of {}", device.id);
        }
        snapshot
    }

    /// Bytes sent and received by a device.
    fn total(&mut self, mac: [u8; 6]) -> (u64, u64) {
        let snapshot = self.snapshot();
        let device = snapshot.devices.iter().find(|row| row.mac == Some(Mac(mac)));
        device.map_or((0, 0), |row| (row.total.transmit.bytes, row.total.receive.bytes))
    }

    /// Bytes that a device sent, by destination.
    fn sent(&mut self, mac: [u8; 6]) -> Vec<(String, u64)> {
        let snapshot = self.snapshot();
        let id = Mac(mac).to_string();
        let rows = snapshot.destinations.iter().filter(|row| *row.device == id && row.total.transmit.bytes > 0);
        rows.map(|row| (row.destination.to_string(), row.total.transmit.bytes)).collect()
    }
}

fn ends(from: &str, to: &str) -> (SocketAddr, SocketAddr) {
    (from.parse().unwrap(), to.parse().unwrap())
}

fn ip(macs: ([u8; 6], [u8; 6]), from: SocketAddr, to: SocketAddr) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
    let builder = PacketBuilder::ethernet2(macs.0, macs.1);
    match (from.ip(), to.ip()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => builder.ipv4(a.octets(), b.octets(), 64),
        (IpAddr::V6(a), IpAddr::V6(b)) => builder.ipv6(a.octets(), b.octets(), 255),
        _ => panic!("one family"),
    }
}

fn udp(macs: ([u8; 6], [u8; 6]), from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let (from, to) = ends(from, to);
    let mut data = Vec::new();
    ip(macs, from, to).udp(from.port(), to.port()).write(&mut data, payload).unwrap();
    data
}

fn tcp(macs: ([u8; 6], [u8; 6]), from: &str, to: &str, flags: u8, seq: u32, payload: &[u8]) -> Vec<u8> {
    let (from, to) = ends(from, to);
    let step = ip(macs, from, to).tcp(from.port(), to.port(), seq, 60_000);
    let step = match flags {
        SYN => step.syn(),
        // Both sides number alike.
        SYN_ACK => step.syn().ack(seq + 1),
        RST => step.rst(),
        BARE => step,
        _ => step.ack(1),
    };
    let mut data = Vec::new();
    step.write(&mut data, payload).unwrap();
    data
}

fn icmpv6(macs: ([u8; 6], [u8; 6]), from: &str, to: &str, kind: u8, body: &[u8]) -> Vec<u8> {
    let (from, to) = ends(from, to);
    let mut data = Vec::new();
    ip(macs, from, to).icmpv6_raw(kind, 0, [0; 4]).write(&mut data, body).unwrap();
    data
}

/// A neighbour advertisement of an address.
fn advertises(mac: [u8; 6], address: &str) -> Vec<u8> {
    let address: std::net::Ipv6Addr = address.parse().unwrap();
    icmpv6((mac, ROUTER), "[fe80::a]:0", "[fe80::1]:0", 136, &address.octets())
}

/// A router advertisement of a /64.
fn announces(mac: [u8; 6], prefix: &str) -> Vec<u8> {
    let prefix: std::net::Ipv6Addr = prefix.parse().unwrap();
    let mut body = vec![0; 8];
    body.extend([3, 4, 64, 0xc0]);
    body.extend([0; 12]);
    body.extend(prefix.octets());
    icmpv6((mac, [0x33, 0x33, 0, 0, 0, 1]), "[fe80::1]:0", "[ff02::1]:0", 134, &body)
}

/// A ClientHello in one record.
fn hello(name: &str) -> Vec<u8> {
    hello_with(name, &[])
}

/// The same with an Encrypted ClientHello beside it, of which nobody can say whether it is one or only looks like it.
fn encrypted(name: &str) -> Vec<u8> {
    hello_with(name, &[0xfe, 0x0d, 0, 4, 0, 0, 1, 0])
}

/// A ClientHello with a server name and more extensions.
fn hello_with(name: &str, more: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
    let mut entry = vec![0];
    entry.extend(length(name.as_bytes()));
    entry.extend(name.as_bytes());
    let mut extensions = vec![0, 0];
    extensions.extend(u16::try_from(entry.len() + 2).unwrap().to_be_bytes());
    extensions.extend(length(&entry));
    extensions.extend(&entry);
    extensions.extend(more);
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    body.extend(length(&extensions));
    body.extend(&extensions);
    let mut message = vec![1, 0];
    message.extend(length(&body));
    message.extend(&body);
    let mut record = vec![0x16, 3, 1];
    record.extend(length(&message));
    record.extend(&message);
    record
}

/// A question for the IPv4 address of `name`.
fn question(name: &str) -> Vec<u8> {
    let mut message = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// The answer to it.
fn answer(name: &str, address: [u8; 4]) -> Vec<u8> {
    let mut message = question(name);
    message[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
    message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    message.extend(address);
    message
}

/// The answer to a question for a service of `name`: where it is, at which address, and the ECH configurations for it.
fn service(name: &str, target: &[u8], address: [u8; 4], configurations: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
    let mut message = question(name);
    let end = message.len();
    message[end - 4..end - 2].copy_from_slice(&[0, 65]);
    message[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1]);
    let mut data = [&[0, 1][..], target, &[0, 4, 0, 4], &address].concat();
    if !configurations.is_empty() {
        data = [&data[..], &[0, 5], &length(configurations), configurations].concat();
    }
    [&message[..], &[0xc0, 12, 0, 65, 0, 1, 0, 0, 0, 60], &length(&data), &data].concat()
}

impl Lab {
    /// The phone asks its resolver, and is told.
    fn asks(&mut self, question: &[u8], answer: &[u8]) {
        self.udp((A, ROUTER), "192.168.1.10:5353", "192.168.1.1:53", question);
        self.udp((ROUTER, A), "192.168.1.1:53", "192.168.1.10:5353", answer);
    }

    fn resolves(&mut self, name: &str) {
        self.asks(&question(name), &answer(name, [203, 0, 113, 9]));
    }

    /// The phone opens a connection to the server and says hello.
    fn greets(&mut self, port: u16, hello: &[u8]) {
        let phone = format!("192.168.1.10:{port}");
        self.open(A, &phone, SERVER);
        self.tcp((A, ROUTER), &phone, SERVER, ACK, 1001, hello);
    }

    /// What the phone sent to the internet went there.
    fn destinations(&mut self) -> Vec<String> {
        self.engine.finish(drop);
        self.sent(A).into_iter().map(|(name, _)| name).filter(|name| name != "local").collect()
    }

    fn conflicts(&self) -> usize {
        self.events.iter().filter(|event| matches!(event.detail, Detail::NameConflict { .. })).count()
    }
}

#[test]
fn a_hello_that_only_looks_encrypted_keeps_its_name() {
    let mut lab = Lab::new();
    lab.resolves("www.example.org");
    lab.greets(40_000, &encrypted("www.example.com"));
    assert_eq!(lab.conflicts(), 1);
    assert_eq!(lab.destinations(), ["example.com"]);
}

#[test]
fn a_name_that_dns_tells_to_show_hides_another() {
    let mut lab = Lab::new();
    let configurations = crate::dissect::dns::samples::configurations("public.example.net");
    lab.asks(&question("www.example.org"), &service("www.example.org", &[0], [203, 0, 113, 9], &configurations));
    lab.greets(40_000, &encrypted("public.example.net"));
    assert_eq!(lab.conflicts(), 0);
    assert_eq!(lab.destinations(), ["example.org"]);
}

#[test]
fn of_an_address_with_many_names_none_contradicts_a_hello() {
    let mut lab = Lab::new();
    let shops: Vec<String> = (1..=6).map(|number| format!("www.shop{number}.com")).collect();
    shops.iter().for_each(|shop| lab.resolves(shop));
    (40_000..).zip(&shops).for_each(|(port, shop)| lab.greets(port, &encrypted(shop)));
    assert_eq!(lab.conflicts(), 0);
    assert_eq!(lab.destinations(), (1..=6).map(|number| format!("shop{number}.com")).collect::<Vec<_>>());
}

#[test]
fn an_answer_names_no_flow_that_began_before_it() {
    let mut lab = Lab::new();
    lab.udp((A, ROUTER), PHONE, SERVER, &[0x40; 100]);
    lab.wait(60);
    lab.resolves("www.example.org");
    lab.udp((A, ROUTER), PHONE, SERVER, &[0x40; 100]);
    assert_eq!(lab.destinations(), ["AS64496"]);
    lab.udp((A, ROUTER), "192.168.1.10:40001", SERVER, &[0x40; 100]);
    assert_eq!(lab.destinations(), ["AS64496", "example.org"]);
}

#[test]
fn an_answer_that_is_told_again_names_also_what_began_between() {
    let mut lab = Lab::new();
    lab.resolves("www.example.org");
    lab.udp((A, ROUTER), PHONE, SERVER, &[0x40; 100]);
    lab.wait(60);
    lab.resolves("www.example.org");
    lab.udp((A, ROUTER), PHONE, SERVER, &[0x40; 100]);
    assert_eq!(lab.destinations(), ["example.org"]);
}

#[test]
fn a_resolver_that_tells_its_name_is_called_by_that() {
    let mut lab = Lab::new();
    let target = b"\x03dns\x07example\x03net\x00";
    lab.asks(&question("_dns.resolver.arpa"), &service("_dns.resolver.arpa", target, [203, 0, 113, 9], &[]));
    lab.greets(40_000, &hello("dns.example.net"));
    lab.udp((A, ROUTER), PHONE, SERVER, &[0x40; 100]);
    assert_eq!(lab.conflicts(), 0);
    assert_eq!(lab.destinations(), ["example.net", "example.net"], "by its hello, and by DNS");
}

#[test]
fn a_server_does_not_name_itself() {
    for words in [hello("www.example.com"), b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n".to_vec()] {
        let mut lab = Lab::new();
        lab.open(A, PHONE, SERVER);
        lab.tcp((ROUTER, A), SERVER, PHONE, ACK, 1001, &words);
        assert_eq!(lab.destinations(), ["AS64496"]);
    }
}

#[test]
fn what_somebody_outside_calls_one_of_ours_is_no_name_of_the_outside() {
    let mut lab = Lab::new();
    lab.tcp((ROUTER, A), "203.0.113.9:40000", "192.168.1.10:80", SYN, 1000, &[]);
    lab.tcp((A, ROUTER), "192.168.1.10:80", "203.0.113.9:40000", SYN_ACK, 1000, &[]);
    lab.tcp((ROUTER, A), "203.0.113.9:40000", "192.168.1.10:80", ACK, 1001, b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
    assert!(lab.events.iter().any(|event| matches!(event.detail, Detail::Request(..))), "it is told");
    lab.engine.finish(|event| lab.events.push(event));
    let end = lab.events.iter().find_map(|event| if let Detail::Flow(end) = &event.detail { Some(end) } else { None }).unwrap();
    assert_eq!(end.place, Where::default(), "the destination is ours");
    assert_eq!(lab.destinations(), ["AS64496"]);
}

#[test]
fn seen_from_the_middle_ours_is_the_client() {
    let mut lab = Lab::new();
    lab.tcp((ROUTER, A), "203.0.113.9:5228", PHONE, ACK, 1001, &[0xaa; 100]);
    lab.tcp((A, ROUTER), PHONE, "203.0.113.9:5228", ACK, 1001, &[]);
    lab.engine.finish(|event| lab.events.push(event));
    let flow = lab.events.iter().find(|event| matches!(event.detail, Detail::Flow(..))).unwrap();
    assert_eq!(flow.ends.as_ref().map(|ends| ends.client), Some(PHONE.parse().unwrap()));
}

#[test]
fn a_connection_behind_one_that_is_older_than_the_capture_has_its_own_name() {
    let mut lab = Lab::new();
    lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 500_000, &[0xaa; 100]);
    lab.tcp((ROUTER, A), SERVER, PHONE, ACK, 700_000, &[0xaa; 100]);
    lab.wait(30);
    lab.greets(40_000, &hello("www.example.com"));
    assert_eq!(lab.destinations(), ["AS64496", "example.com"]);
}

#[test]
fn who_asks_again_and_again_and_is_not_answered_opens_one_flow() {
    let mut lab = Lab::new();
    for seconds in [0, 1, 2, 4, 8, 16, 32] {
        lab.wait(seconds);
        lab.tcp((A, ROUTER), PHONE, SERVER, SYN, 1000, &[]);
    }
    lab.engine.finish(drop);
    assert_eq!(lab.snapshot().destinations.iter().map(|row| row.flows).collect::<Vec<_>>(), [1]);
}

#[test]
fn an_address_that_changes_hands_leaves_each_owner_what_it_sent() {
    let mut lab = Lab::new();
    for mac in [A, A, B, B, A] {
        lab.udp((mac, ROUTER), PHONE, SERVER, &[0x40; 100]);
        lab.snapshot();
    }
    assert_eq!((lab.total(A).0, lab.total(B).0), (3 * 142, 2 * 142));
    lab.engine.finish(drop);
    assert_eq!((lab.total(A).0, lab.total(B).0), (3 * 142, 2 * 142));
}

#[test]
fn the_next_owner_of_an_address_is_not_named_by_the_first_ones_questions() {
    let mut lab = Lab::new();
    lab.udp((A, ROUTER), PHONE, "192.168.1.1:53", &question("first.example.org"));
    lab.udp((ROUTER, A), "192.168.1.1:53", PHONE, &answer("first.example.org", [203, 0, 113, 9]));
    for mac in [A, B] {
        for _ in 0..12 {
            lab.udp((mac, ROUTER), PHONE, SERVER, &[0x40; 100]);
        }
    }
    assert_eq!(lab.sent(A), [("example.org".to_owned(), 12 * 142), ("local".to_owned(), 77)]);
    assert_eq!(lab.sent(B), [("AS64496".to_owned(), 12 * 142)]);
}

#[test]
fn an_answer_to_no_question_names_nothing() {
    let mut lab = Lab::new();
    lab.udp((A, ROUTER), "192.168.1.10:40001", "192.168.1.1:53", &question("asked.example.org"));
    // To another port, and with another identifier: both are the forger's guesses.
    lab.udp((ROUTER, A), "192.168.1.1:53", PHONE, &answer("forged.example.org", [203, 0, 113, 9]));
    let mut other = answer("forged.example.org", [203, 0, 113, 9]);
    other[1] ^= 1;
    lab.udp((ROUTER, A), "192.168.1.1:53", "192.168.1.10:40001", &other);
    for _ in 0..12 {
        lab.udp((A, ROUTER), PHONE, SERVER, &[0x40; 100]);
    }
    assert_eq!(lab.snapshot().destinations.iter().filter(|row| *row.destination == *"AS64496").count(), 1);
    lab.udp((ROUTER, A), "192.168.1.1:53", "192.168.1.10:40001", &answer("asked.example.org", [203, 0, 113, 9]));
    for _ in 0..12 {
        lab.udp((A, ROUTER), "192.168.1.10:40002", SERVER, &[0x40; 100]);
    }
    assert!(lab.sent(A).contains(&("example.org".to_owned(), 12 * 142)), "{:?}", lab.sent(A));
}

#[test]
fn a_device_that_left_with_a_flow_unfinished_comes_back_with_equal_sums() {
    let mut lab = Lab::new();
    lab.open(A, PHONE, SERVER);
    lab.open(A, "192.168.1.10:40001", SERVER);
    lab.snapshot();
    lab.wait(8 * 24 * 3600);
    for _ in 0..4 {
        lab.udp((B, ROUTER), "192.168.1.11:1", "192.168.1.12:1", &[]);
    }
    lab.snapshot();
    lab.engine.finish(drop);
    lab.snapshot();
}

/// As in a capture of two interfaces that take turns.
#[test]
fn what_is_over_ends_also_where_every_other_frame_cannot_be_read() {
    let mut lab = Lab::new();
    lab.open(A, PHONE, SERVER);
    lab.wait(3 * 3600);
    for _ in 0..64 {
        lab.engine.unreadable();
        lab.udp((B, ROUTER), "192.168.1.11:40000", "203.0.113.9:9999", b"x");
    }
    let ended = |event: &&Event| {
        matches!(event.detail, Detail::Flow(_))
            && event.ends == Some(Ends { client: PHONE.parse().unwrap(), server: SERVER.parse().unwrap(), protocol: 6 })
    };
    assert_eq!(lab.events.iter().filter(ended).count(), 1);
}

#[test]
fn a_device_with_one_long_connection_is_not_silent() {
    let mut lab = Lab::with(Limits { devices: 2, ..Limits::default() });
    let tunnel = |lab: &mut Lab| lab.udp((A, ROUTER), PHONE, SERVER, &[0x40; 100]);
    for _ in 0..200 {
        tunnel(&mut lab);
        lab.wait(60);
    }
    lab.udp((B, ROUTER), "192.168.1.11:1", SERVER, &[]);
    lab.udp(([2, 0, 0, 0, 0, 0xc], ROUTER), "192.168.1.12:1", SERVER, &[]);
    lab.udp(([2, 0, 0, 0, 0, 0xd], ROUTER), "192.168.1.13:1", SERVER, &[]);
    assert_eq!(lab.total(A).0, 200 * 142);
    lab.wait(8 * 24 * 3600);
    for _ in 0..200 {
        tunnel(&mut lab);
    }
    for _ in 0..12 * 24 * 8 {
        tunnel(&mut lab);
        lab.wait(3600 / 12);
    }
    assert!(lab.total(A).0 >= 12 * 24 * 8 * 142, "a week without a new flow is not a week of silence");
}

fn quick(seed: u16) -> String {
    format!("192.168.1.10:{}", 30_000 + seed)
}

#[test]
fn a_first_frame_to_everybody_does_not_hide_a_conversation() {
    let mut lab = Lab::new();
    lab.udp((A, [0xff; 6]), PHONE, SERVER, &[0x40; 100]);
    for _ in 0..12 {
        lab.udp((A, ROUTER), PHONE, SERVER, &[0x40; 100]);
        lab.udp((ROUTER, A), SERVER, PHONE, &[0x40; 100]);
    }
    assert_eq!(lab.sent(A), [("AS64496".to_owned(), 12 * 142), ("multicast".to_owned(), 142)]);
    assert_eq!(lab.total(A), (13 * 142, 12 * 142));
}

#[test]
fn claims_of_a_servers_address_hide_nothing() {
    let far = "[2001:db8:9::9]:443";
    let mut lab = Lab::new();
    lab.frame(&announces(ROUTER, "2001:db8:1::"));
    lab.frame(&advertises(A, "2001:db8:9::9"));
    lab.frame(&announces(A, "2001:db8:9::"));
    lab.frame(&icmpv6((A, ROUTER), "[2001:db8:9::9]:0", "[fe80::1]:0", 135, &[0; 16]));
    for _ in 0..12 {
        lab.udp((A, ROUTER), "[2001:db8:1::10]:50000", far, &[0x40; 100]);
    }
    let sent = lab.sent(A);
    assert!(sent.contains(&("AS64496".to_owned(), 12 * 162)), "{sent:?}");
}

#[test]
fn forged_routers_do_not_push_out_the_true_one() {
    let mut lab = Lab::new();
    for forged in 0..20 {
        lab.frame(&announces([2, 0, 0, 0, 9, forged], "2001:db8:9::"));
    }
    lab.udp((ROUTER, A), "198.51.100.1:443", PHONE, &[0x40; 10]);
    for _ in 0..12 {
        lab.udp((A, ROUTER), PHONE, "[2001:db8:9::9]:443".replace("[2001:db8:9::9]", "203.0.113.9").as_str(), &[0x40; 100]);
        lab.udp((A, ROUTER), "[fd00::10]:50000", "[2001:db8:9::9]:443", &[0x40; 100]);
    }
    let sent = lab.sent(A);
    assert!(sent.contains(&("AS64496".to_owned(), 12 * (142 + 162))), "{sent:?}");
}

#[test]
fn who_sends_to_the_router_is_ours_whatever_the_ports() {
    let mut lab = Lab::new();
    lab.udp((ROUTER, A), "198.51.100.1:443", PHONE, &[0x40; 10]);
    // A public address that no rule knows, seen from the middle of its conversation.
    lab.udp((A, ROUTER), "192.0.2.77:50000", "203.0.113.9:50001", &[0x40; 100]);
    lab.udp((ROUTER, B), "203.0.113.9:50001", "192.0.2.78:50000", &[0x40; 200]);
    assert_eq!(lab.total(A).0, 142);
    assert_eq!(lab.total(B).1, 242);
}

#[test]
fn a_conversation_older_than_the_capture_is_counted_once_its_owner_is_known() {
    let mut lab = Lab::new();
    let (phone, far) = ("[2001:db8:1::10]:50000", "[2001:db8:9::9]:50001");
    lab.udp((A, ROUTER), phone, far, &[0x40; 100]);
    lab.frame(&advertises(A, "2001:db8:1::10"));
    let before = lab.total(A).0;
    lab.udp((A, ROUTER), phone, far, &[0x40; 100]);
    assert_eq!(lab.total(A).0, before + 162);
}

#[test]
fn decoy_syns_do_not_hide_a_hello() {
    for decoys in [[1000, 77_000, 1000], [77_000, 1000, 1000], [1000, 1000, 99], [5, 6, 7]] {
        let mut lab = Lab::new();
        for seq in decoys {
            lab.tcp((A, ROUTER), PHONE, SERVER, SYN, seq, &[]);
        }
        lab.tcp((ROUTER, A), SERVER, PHONE, SYN_ACK, 1000, &[]);
        let hello = hello("hidden.example.org");
        let (one, two) = hello.split_at(30);
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1031, two);
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1001, one);
        assert_eq!(lab.hellos(), ["hidden.example.org"], "{decoys:?}");
    }
}

#[test]
fn segments_far_outside_do_not_hide_a_hello() {
    let mut lab = Lab::new();
    lab.open(A, PHONE, SERVER);
    for decoy in 0..40 {
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1_000_000 + 5000 * decoy, &[0x33; 400]);
    }
    lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1001, &hello("hidden.example.org"));
    assert_eq!(lab.hellos(), ["hidden.example.org"]);
}

#[test]
fn what_no_tcp_takes_does_not_hide_a_hello() {
    for flags in [BARE, RST] {
        let mut lab = Lab::new();
        lab.open(A, PHONE, SERVER);
        lab.tcp((A, ROUTER), PHONE, SERVER, flags, 1001, &hello("decoy.example.org"));
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1001, &hello("hidden.example.org"));
        assert_eq!(lab.hellos(), ["hidden.example.org"], "{flags}");
    }
}

#[test]
fn what_comes_before_the_servers_syn_does_not_hide_a_hello() {
    let decoy = hello("decoy.example.org");
    for (seq, early) in [(77_777, &b"\0\x01\x02"[..]), (1001, b"junk"), (1001, &decoy[..20]), (1021, &decoy[20..])] {
        let mut lab = Lab::new();
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 990, b"of an older connection");
        lab.tcp((A, ROUTER), PHONE, SERVER, SYN, 1000, &[]);
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, seq, early);
        lab.tcp((ROUTER, A), SERVER, PHONE, SYN_ACK, 1000, &[]);
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1001, &hello("hidden.example.org"));
        assert_eq!(lab.hellos(), ["hidden.example.org"], "{seq}");
    }
}

#[test]
fn a_servers_syn_that_is_seen_again_or_late_changes_nothing() {
    let (bytes, syn) = (hello("www.example.org"), tcp((ROUTER, A), SERVER, PHONE, SYN_ACK, 1000, &[]));
    for cut in 1..bytes.len() {
        let mut lab = Lab::new();
        if cut % 2 == 0 {
            lab.open(A, PHONE, SERVER);
        } else {
            lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1001, &bytes);
        }
        let (one, two) = bytes.split_at(cut);
        lab.frame(&syn);
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1001, one);
        lab.frame(&syn);
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1001 + u32::try_from(cut).unwrap(), two);
        lab.frame(&syn);
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1001, &bytes);
        assert_eq!(lab.hellos(), ["www.example.org"], "{cut}");
    }
}

/// The server's SYN, which acknowledges the phone's at 1000 and so many bytes behind it.
fn takes(bytes: usize) -> Vec<u8> {
    let mut syn = tcp((ROUTER, A), SERVER, PHONE, SYN_ACK, 1000, &[]);
    syn[42..46].copy_from_slice(&(1001 + u32::try_from(bytes).unwrap()).to_be_bytes());
    syn
}

#[test]
fn a_hello_in_the_syn_is_read_where_the_server_takes_it() {
    let bytes = hello("early.example.org");
    for taken in 0..=bytes.len() {
        let mut lab = Lab::new();
        lab.tcp((A, ROUTER), PHONE, SERVER, SYN, 1000, &bytes);
        lab.tcp((A, ROUTER), PHONE, SERVER, SYN, 1000, &bytes);
        lab.frame(&takes(taken));
        assert_eq!(lab.hellos(), [""; 0]);
        let next = 1001 + u32::try_from(taken).unwrap();
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, next, &[]);
        assert_eq!(lab.hellos().len(), usize::from(taken == bytes.len()));
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, next, &bytes[taken..]);
        assert_eq!(lab.hellos(), ["early.example.org"], "{taken}");
        lab.engine.finish(|event| lab.events.push(event));
        assert_eq!(lab.hellos(), ["early.example.org"], "{taken}");
    }
}

#[test]
fn a_hello_in_the_syn_that_the_server_did_not_take_hides_none() {
    let (decoy, hello) = (hello("decoy.example.org"), hello("hidden.example.org"));
    for early in [&decoy, &b"X"[..], &decoy[..60]] {
        let mut lab = Lab::new();
        lab.tcp((A, ROUTER), PHONE, SERVER, SYN, 1000, early);
        for decoy in 0..200 {
            lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1200 + 70 * decoy, &[0x33; 60]);
        }
        lab.frame(&takes(0));
        // As if it had been taken, which the server knows better.
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1001 + u32::try_from(early.len()).unwrap(), &[]);
        lab.tcp((A, ROUTER), PHONE, SERVER, SYN, 1000, early);
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1001, &hello);
        lab.engine.finish(|event| lab.events.push(event));
        assert_eq!(lab.hellos(), ["hidden.example.org"], "{}", early.len());
    }
}

#[test]
fn what_a_snap_length_left_of_a_hello_in_the_syn_is_told() {
    let bytes = hello("early.example.org");
    let syn = tcp((A, ROUTER), PHONE, SERVER, SYN, 1000, &bytes);
    for taken in [bytes.len(), 0] {
        let mut lab = Lab::new();
        lab.frame(&syn[..syn.len() - 10]);
        lab.frame(&takes(taken));
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1001 + u32::try_from(taken).unwrap(), &[]);
        lab.engine.finish(|event| lab.events.push(event));
        assert_eq!(lab.hellos().len(), usize::from(taken > 0));
    }
}

/// Unless something else comes at its place.
#[test]
fn a_hello_in_the_syn_is_read_where_no_answer_is_seen() {
    let (early, later) = (hello("early.example.org"), hello("later.example.org"));
    let after = 1001 + u32::try_from(early.len()).unwrap();
    let cases: [(u32, &[u8], &str); 5] = [
        (after, &[], "early"),
        (after, &[0x14, 3, 3, 0, 1, 1], "early"),
        (77_777, b"junk", "early"),
        (1001, &later, "later"),
        (0, &[], "early"),
    ];
    for (seq, payload, name) in cases {
        let mut lab = Lab::new();
        lab.tcp((A, ROUTER), PHONE, SERVER, SYN, 1000, &early);
        if seq != 0 {
            lab.tcp((A, ROUTER), PHONE, SERVER, ACK, seq, payload);
        }
        lab.engine.finish(|event| lab.events.push(event));
        let told: Vec<String> = lab.hellos().iter().map(|told| told.split('.').next().unwrap_or_default().to_owned()).collect();
        assert_eq!(told.join(" "), name, "{seq} {}", payload.len());
    }
}

/// A segment as the first of two fragments.
fn fragment(seq: u32, payload: &[u8]) -> Vec<u8> {
    let mut first = tcp((A, ROUTER), PHONE, SERVER, ACK, seq, payload);
    first[20] = 0x20;
    first
}

#[test]
fn a_fragment_without_its_rest_hides_no_hello() {
    let (decoy, hello) = (hello("decoy.example.org"), hello("hidden.example.org"));
    for length in [44, decoy.len() - 1, decoy.len()] {
        for reversed in [false, true] {
            let mut lab = Lab::new();
            lab.open(A, PHONE, SERVER);
            lab.frame(&fragment(1001, &decoy[..length]));
            let (one, two) = hello.split_at(60);
            let mut parts = [(1001, one), (1061, two)];
            if reversed {
                parts.reverse();
            }
            parts.iter().for_each(|(seq, part)| lab.tcp((A, ROUTER), PHONE, SERVER, ACK, *seq, part));
            lab.engine.finish(|event| lab.events.push(event));
            assert_eq!(lab.hellos(), ["hidden.example.org"], "{length}, reversed: {reversed}");
        }
    }
}

/// Nor is it a SYN's payload, however its number fits.
#[test]
fn a_fragment_before_the_servers_syn_hides_no_hello() {
    let decoy = hello("decoy.example.org");
    let mut lab = Lab::new();
    lab.tcp((A, ROUTER), PHONE, SERVER, SYN, 1000, &[]);
    lab.frame(&fragment(1001 - u32::try_from(decoy.len()).unwrap(), &decoy));
    lab.frame(&takes(0));
    lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1001, &hello("hidden.example.org"));
    assert_eq!(lab.hellos(), ["hidden.example.org"]);
}

#[test]
fn a_hello_of_which_a_fragment_is_all_that_was_seen_is_told() {
    let hello = hello("www.example.org");
    for before in [0, 20] {
        let mut lab = Lab::new();
        lab.open(A, PHONE, SERVER);
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1001, &hello[..before]);
        lab.frame(&fragment(1001 + u32::try_from(before).unwrap(), &hello[before..]));
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 3001, b"later");
        lab.engine.finish(|event| lab.events.push(event));
        assert_eq!(lab.hellos(), ["www.example.org"], "{before}");
    }
}

#[test]
fn a_hello_that_a_snap_length_cut_is_told_once_though_it_is_sent_again_whole() {
    let hello = hello("www.example.org");
    let whole = tcp((A, ROUTER), PHONE, SERVER, ACK, 1001, &hello);
    for cut in 1..hello.len() {
        let mut lab = Lab::new();
        lab.open(A, PHONE, SERVER);
        lab.frame(&whole[..whole.len() - cut]);
        lab.frame(&whole[..whole.len() - cut]);
        let early = lab.hellos();
        lab.frame(&whole);
        lab.frame(&whole);
        assert_eq!(lab.hellos().len(), 1, "{cut}");
        assert!(!early.is_empty() || lab.hellos() == ["www.example.org"], "{cut}");
    }
}

#[test]
fn a_request_behind_one_that_a_snap_length_cut_is_told() {
    let mut lab = Lab::new();
    let server = "203.0.113.9:80";
    lab.open(A, PHONE, server);
    let get = tcp((A, ROUTER), PHONE, server, ACK, 1001, b"GET /a HTTP/1.1\r\nHost: one.example.org\r\n\r\n");
    lab.frame(&get[..get.len() - 34]);
    lab.tcp((A, ROUTER), PHONE, server, ACK, 1045, b"body");
    lab.tcp((A, ROUTER), PHONE, server, ACK, 1049, b"GET /b HTTP/1.1\r\nHost: two.example.org\r\n\r\n");
    assert_eq!(lab.events.iter().filter(|event| matches!(event.detail, Detail::Request(..))).count(), 1);
    assert_eq!(lab.snapshot().tables.iter().find(|row| row.table == "streams").unwrap().entries, 0);
}

/// Hosts of the requests that were told.
fn hosts(lab: &Lab) -> Vec<String> {
    let host = |event: &Event| match &event.detail {
        Detail::Request(request, _) => Some(request.host.as_ref().map_or(String::new(), |host| host.as_str().to_owned())),
        _ => None,
    };
    lab.events.iter().filter_map(host).collect()
}

/// A web server's acknowledgement of what the phone sent before a sequence number.
fn acknowledges(server: &str, number: u32) -> Vec<u8> {
    let mut data = tcp((ROUTER, A), server, PHONE, ACK, 1001, &[]);
    data[42..46].copy_from_slice(&number.to_be_bytes());
    data
}

#[test]
fn a_request_behind_one_that_was_not_captured_is_told() {
    let (server, second) = ("203.0.113.9:80", b"GET /b HTTP/1.1\r\nHost: two.example.org\r\n\r\n");
    let first = b"GET /a HTTP/1.1\r\nHost: one.example.org\r\n\r\n";
    let next = 1001 + u32::try_from(first.len()).unwrap();
    // What is captured of the first one, whether a body's end comes before the second, and what is told.
    for (captured, body, told) in [(0, 0, &["two"][..]), (40, 0, &["one", "two"]), (first.len(), 0, &["one", "two"]), (0, 5, &["two"])] {
        for missing in [0, 100] {
            let mut lab = Lab::new();
            lab.open(A, PHONE, server);
            if captured > 0 {
                lab.tcp((A, ROUTER), PHONE, server, ACK, 1001, &first[..captured]);
            }
            let at = next + missing;
            lab.tcp((A, ROUTER), PHONE, server, ACK, at, &b"abcde"[..body]);
            lab.frame(&acknowledges(server, at));
            lab.tcp((A, ROUTER), PHONE, server, ACK, at + u32::try_from(body).unwrap(), second);
            lab.frame(&acknowledges(server, at + 43));
            lab.tcp((A, ROUTER), PHONE, server, ACK, at + 43, &[]);
            let told: Vec<String> = told.iter().map(|name| format!("{name}.example.org")).collect();
            assert_eq!(hosts(&lab), told, "{captured} {body} {missing}");
        }
    }
}

/// Of a segment that only acknowledges, nobody looks at the payload: what a page answers stays out of a recording of heads.
#[test]
fn half_a_message_does_not_have_its_answers_looked_at() {
    let mut lab = Lab::new();
    lab.open(A, PHONE, SERVER);
    lab.tcp((ROUTER, A), SERVER, PHONE, ACK, 1001, b"220 ready");
    lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1001, &hello("www.example.org")[..40]);
    lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1200, b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n");
    lab.tcp((ROUTER, A), SERVER, PHONE, ACK, 1010, &[b'x'; 500]);
    assert_eq!(lab.engine.head(), Some(54));
}

/// Unless the server has it, it may be a decoy; and what comes late is still read first.
#[test]
fn a_request_behind_a_hole_hides_none_that_fills_it() {
    let (server, first) = ("203.0.113.9:80", b"GET /a HTTP/1.1\r\nHost: one.example.org\r\n\r\n");
    let next = 1001 + u32::try_from(first.len()).unwrap();
    for acknowledged in [0, 1001, next, next + 43] {
        let mut lab = Lab::new();
        lab.open(A, PHONE, server);
        lab.tcp((A, ROUTER), PHONE, server, ACK, next, b"GET /b HTTP/1.1\r\nHost: two.example.org\r\n\r\n");
        lab.frame(&acknowledges(server, acknowledged));
        if acknowledged <= next {
            lab.tcp((A, ROUTER), PHONE, server, ACK, next, &[]);
            assert_eq!(hosts(&lab), [""; 0], "{acknowledged}");
        }
        lab.tcp((A, ROUTER), PHONE, server, ACK, 1001, first);
        assert_eq!(hosts(&lab), ["one.example.org", "two.example.org"], "{acknowledged}");
    }
}

#[test]
fn a_connection_that_one_side_has_closed_goes_on() {
    let fin = |data: Vec<u8>| {
        let mut data = data;
        data[47] |= 1;
        data
    };
    let (phone, server) = (tcp((A, ROUTER), PHONE, SERVER, ACK, 1200, &[]), tcp((ROUTER, A), SERVER, PHONE, ACK, 1001, b"rest"));
    let flows = |lab: &mut Lab| {
        lab.engine.finish(|event| lab.events.push(event));
        lab.events.iter().filter(|event| matches!(event.detail, Detail::Flow(_))).count()
    };
    for (first, late) in [(fin(phone.clone()), server.clone()), (fin(server.clone()), fin(phone.clone()))] {
        let mut lab = Lab::new();
        lab.open(A, PHONE, SERVER);
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1001, &hello("www.example.org"));
        lab.frame(&first);
        lab.wait(120);
        lab.frame(&late);
        assert_eq!(lab.sent(A).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["example.org"]);
        assert_eq!(flows(&mut lab), 1);
    }
    // Closed by both, it is over.
    let mut lab = Lab::new();
    lab.open(A, PHONE, SERVER);
    lab.frame(&fin(phone.clone()));
    lab.frame(&fin(server.clone()));
    lab.wait(20);
    lab.frame(&phone);
    assert_eq!(flows(&mut lab), 2);
}

#[test]
fn each_hello_of_a_connection_is_told() {
    let mut lab = Lab::new();
    lab.open(A, PHONE, SERVER);
    let (first, second) = (hello("www.example.org"), hello("www.example.org"));
    lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1001, &first);
    let mut retry = vec![0x14, 3, 3, 0, 1, 1];
    retry.extend(&second);
    let next = 1001 + u32::try_from(first.len()).unwrap();
    lab.tcp((A, ROUTER), PHONE, SERVER, ACK, next, &retry);
    assert_eq!(lab.hellos(), ["www.example.org"; 2]);
}

#[test]
fn a_hello_inside_a_tunnel_through_a_proxy_is_told() {
    let mut lab = Lab::new();
    lab.open(A, PHONE, "203.0.113.9:3128");
    let connect = b"CONNECT www.example.org:443 HTTP/1.1\r\nHost: www.example.org:443\r\n\r\n";
    lab.tcp((A, ROUTER), PHONE, "203.0.113.9:3128", ACK, 1001, connect);
    let next = 1001 + u32::try_from(connect.len()).unwrap();
    let hello = hello("www.example.org");
    let (one, two) = hello.split_at(30);
    lab.tcp((A, ROUTER), PHONE, "203.0.113.9:3128", ACK, next, one);
    lab.tcp((A, ROUTER), PHONE, "203.0.113.9:3128", ACK, next + 30, two);
    assert_eq!(lab.hellos(), ["www.example.org"]);
}

#[test]
fn a_hello_is_read_wherever_it_is_cut_and_in_any_order() {
    let hello = hello("www.example.org");
    for cut in 1..hello.len() {
        for reversed in [false, true] {
            let mut lab = Lab::new();
            lab.open(A, PHONE, SERVER);
            let (one, two) = hello.split_at(cut);
            let mut parts = [(1001, one), (1001 + u32::try_from(cut).unwrap(), two)];
            if reversed {
                parts.reverse();
            }
            for (seq, part) in parts {
                lab.tcp((A, ROUTER), PHONE, SERVER, ACK, seq, part);
                lab.tcp((A, ROUTER), PHONE, SERVER, ACK, seq, part);
            }
            assert_eq!(lab.hellos(), ["www.example.org"], "cut at {cut}, reversed: {reversed}");
        }
    }
}

#[test]
fn long_connections_that_still_go_on_are_rows_of_their_own_names() {
    let mut lab = Lab::new();
    let phones = ["b.example.org", "a.example.org", "b.example.org", "c.example.org"].into_iter().zip(40_000..);
    for (name, port) in phones.clone() {
        let phone = format!("192.168.1.10:{port}");
        lab.open(A, &phone, SERVER);
        lab.tcp((A, ROUTER), &phone, SERVER, ACK, 1001, &hello(name));
    }
    for _ in 0..3 {
        lab.wait(1_500);
        phones.clone().for_each(|(_, port)| lab.tcp((A, ROUTER), &format!("192.168.1.10:{port}"), SERVER, ACK, 1001, &[]));
    }
    let rows = lab.snapshot().rhythms;
    let told: Vec<_> = rows.iter().map(|row| (&*row.destination, row.persistent.flows)).collect();
    assert_eq!(told, [("a.example.org", 1), ("b.example.org", 2), ("c.example.org", 1)]);
}

#[test]
fn a_hello_byte_by_byte_names_its_account() {
    let mut lab = Lab::new();
    lab.open(A, PHONE, SERVER);
    let bytes = hello("slow.example.org");
    for (at, byte) in bytes.iter().enumerate() {
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1001 + u32::try_from(at).unwrap(), &[*byte]);
    }
    assert!(bytes.len() > 64 && lab.sent(A).iter().any(|(name, _)| name == "example.org"), "{:?}", lab.sent(A));
}

#[test]
fn a_port_used_again_is_another_conversation() {
    for flags in [ACK, RST] {
        let mut lab = Lab::new();
        lab.open(A, PHONE, SERVER);
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 1001, &hello("one.example.org"));
        lab.tcp((ROUTER, A), SERVER, PHONE, flags, 1001, &[]);
        lab.wait(2);
        lab.tcp((A, ROUTER), PHONE, SERVER, SYN, 900_000, &[]);
        lab.tcp((ROUTER, A), SERVER, PHONE, SYN_ACK, 900_000, &[]);
        lab.tcp((A, ROUTER), PHONE, SERVER, ACK, 900_001, &hello("two.example.com"));
        assert_eq!(lab.hellos(), ["one.example.org", "two.example.com"]);
        let names: Vec<String> = lab.sent(A).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["example.com", "example.org"]);
    }
}

#[test]
fn a_conversation_silent_for_long_is_over_though_nothing_pushed_it_out() {
    let mut lab = Lab::new();
    for port in 1..60 {
        lab.udp((A, ROUTER), &quick(port), SERVER, &[0x40; 10]);
    }
    lab.wait(3600);
    lab.udp((A, ROUTER), &quick(59), SERVER, &[0x40; 10]);
    lab.engine.finish(drop);
    let snapshot = lab.snapshot();
    assert_eq!(snapshot.destinations.iter().map(|row| row.flows).sum::<u64>(), 60);
}

#[test]
fn waiting_for_a_name_ends_though_the_conversation_fell_silent() {
    let mut lab = Lab::new();
    lab.udp((A, ROUTER), PHONE, SERVER, &[0x40; 100]);
    lab.wait(5);
    lab.udp((B, ROUTER), "192.168.1.11:1", SERVER, &[]);
    assert_eq!(lab.sent(A), [("AS64496".to_owned(), 142)]);
}

#[test]
fn the_root_and_addresses_are_no_names() {
    let mut lab = Lab::new();
    for name in ["", "1.2.3.4"] {
        lab.udp((ROUTER, A), "192.168.1.1:53", PHONE, &answer(name, [203, 0, 113, 9]));
    }
    for _ in 0..12 {
        lab.udp((A, ROUTER), PHONE, SERVER, &[0x40; 100]);
    }
    assert_eq!(lab.sent(A), [("AS64496".to_owned(), 12 * 142)]);
}

#[test]
fn a_far_future_frame_does_not_stop_time() {
    for wrong in [u64::MAX, 0] {
        for first in [true, false] {
            let mut lab = Lab::with(Limits { flows: 4, ..Limits::default() });
            let right = lab.now;
            if !first {
                lab.udp((A, ROUTER), PHONE, SERVER, &[0x40; 100]);
            }
            lab.now = Timestamp::from_nanos(wrong.saturating_sub(2_000_000));
            lab.udp((A, ROUTER), PHONE, SERVER, &[0x40; 100]);
            lab.now = right;
            for port in 0..50 {
                lab.wait(60);
                lab.udp((A, ROUTER), &quick(port), SERVER, &[0x40; 100]);
            }
            let snapshot = lab.snapshot();
            let flows = snapshot.tables.iter().find(|row| row.table == "flows").unwrap();
            assert!(flows.refused < 3, "{} refused after a frame at {wrong}, first: {first}", flows.refused);
            assert_eq!(snapshot.last_packet, Some(lab.now), "after a frame at {wrong}, first: {first}");
            if !first {
                assert_eq!(snapshot.devices.first().map(|row| row.last), Some(lab.now), "after a frame at {wrong}");
            }
        }
    }
}

#[test]
fn a_quiet_link_does_not_move_the_last_packets_time() {
    let mut lab = Lab::new();
    lab.udp((A, ROUTER), PHONE, SERVER, &[0x40; 100]);
    lab.engine.advance(lab.now.plus(Duration::from_secs(500)));
    assert_eq!(lab.snapshot().last_packet, Some(lab.now));
}

#[test]
fn on_a_quiet_link_every_flow_that_is_over_ends() {
    let mut lab = Lab::new();
    lab.open(A, PHONE, SERVER);
    for port in 0..20 {
        lab.udp((A, ROUTER), &quick(port), SERVER, &[0x40; 100]);
    }
    lab.engine.advance(lab.now.plus(Duration::from_secs(500)));
    assert_eq!(lab.snapshot().tables.iter().find(|row| row.table == "flows").unwrap().entries, 1, "the connection stays");
}

#[test]
fn one_device_does_not_lend_anothers_mac_a_name() {
    let mut lab = Lab::new();
    lab.udp((B, ROUTER), "192.168.1.11:1", SERVER, &[]);
    let mut request = vec![1, 1, 6, 0, 1, 2, 3, 4];
    request.resize(28, 0);
    request.extend(B);
    request.resize(236, 0);
    request.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 3, 12, 4]);
    request.extend(b"fake\xff");
    lab.udp((A, [0xff; 6]), "0.0.0.0:68", "255.255.255.255:67", &request);
    let snapshot = lab.snapshot();
    assert!(snapshot.devices.iter().all(|row| row.hostname.is_none()), "{:?}", snapshot.devices);
}

#[test]
fn fragments_wait_for_no_name() {
    let mut lab = Lab::new();
    let mut later = udp((A, ROUTER), PHONE, SERVER, &[0x40; 100]);
    later[20] = 0;
    later[21] = 100;
    lab.frame(&later);
    assert_eq!(lab.sent(A), [("AS64496".to_owned(), 142)]);
}

/// A datagram of 192.168.1.2 to a documentation address, from this port.
fn small(port: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 192, 168, 1, 2, 192, 0, 2, 1];
    packet.extend(port.to_be_bytes().into_iter().chain([0x27, 0x0f, 0, 9, 0, 0, 1]));
    packet
}

#[test]
fn the_end_tells_every_flow_however_little_room_events_have() {
    let limits = Limits { events: 4, ..Limits::default() };
    let mut engine = Engine::new(limits, OurSide::default(), GeoDb::embedded().unwrap(), true);
    for port in 1..=50 {
        let data = small(port);
        engine.ingest(&Frame { number: port.into(), time: Timestamp::from_nanos(1), link: Link::RawIp, wire_len: 29, data: &data });
        engine.events().for_each(drop);
    }
    let mut flows = 0;
    engine.finish(|event| flows += u32::from(matches!(event.detail, Detail::Flow(_))));
    assert_eq!((flows, engine.snapshot().events_dropped), (50, 0));
}

const HOSTS: [&str; 6] =
    ["192.168.1.10:4000", "192.168.1.11:53", "203.0.113.9:443", "198.51.100.7:53", "224.0.0.251:5353", "192.168.1.255:137"];
const STATIONS: [[u8; 6]; 5] = [A, B, ROUTER, [2, 0, 0, 0, 0, 0xc], [0xff; 6]];

/// One frame of a random lab: who, from and to where, what, and how long after the last one in seconds.
type Step = (usize, usize, usize, usize, u8, u16, u64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![8 => 0_u64..3, 1 => 3_u64..40, 1 => 3_000_u64..5_000];
    proptest::collection::vec((0..4_usize, 0..5_usize, 0..4_usize, 0..6_usize, 0..7_u8, 0..3_u16, wait), 1..120)
}

fn made(step: Step) -> Option<Vec<u8>> {
    let (source, target, from, to, kind, port, _) = step;
    let (macs, to) = ((STATIONS[source], STATIONS[target]), HOSTS[to]);
    let mut from: SocketAddr = HOSTS[from].parse().ok()?;
    from.set_port(from.port() + port);
    let from = from.to_string();
    // Between two that no rule knows, the side is guessed: tests of its own.
    if from == to || step.2 >= 2 && (2..4).contains(&step.3) {
        return None;
    }
    Some(match kind {
        0 => tcp(macs, &from, to, SYN, 1000, &[]),
        1 => tcp(macs, &from, to, SYN_ACK, 1000, &[]),
        2 => tcp(macs, &from, to, ACK, 1001, &hello("www.example.org")),
        3 => tcp(macs, &from, to, RST, 1001, &[]),
        4 => udp(macs, &from, to, &answer("www.example.com", [203, 0, 113, 9])),
        5 => {
            let mut later = udp(macs, &from, to, &[9; 64]);
            later[21] = 100;
            later
        }
        _ => udp(macs, &from, to, &[0x40; 99]),
    })
}

proptest! {
    /// Whatever happens, each frame is counted once for who sent it and once for who got it, sums are equal at every moment,
    /// counters never fall and no table outgrows its limit.
    #[test]
    fn every_frame_counts_once(steps in steps(), flows in 1_usize..6, accounts in 1_usize..4, streams in 1_usize..3) {
        let mut lab = Lab::with(Limits { flows, accounts, streams, names: 2, neighbours: 2, ..Limits::default() });
        let mut expected = [(0, 0); 5];
        let mut before = Snapshot::default();
        for (number, step) in (0_u16..).zip(steps) {
            let Some(mut data) = made(step) else { continue };
            // IPv4's identification: the same bytes to everybody twice at once would be an echo, which is not counted.
            data[18..20].copy_from_slice(&number.to_be_bytes());
            lab.wait(step.6);
            lab.frame(&data);
            let bytes = data.len() as u64;
            if step.2 < 2 {
                expected[step.0].0 += bytes;
            }
            if matches!(step.3, 0 | 1 | 5) && step.1 != 4 {
                expected[step.1].1 += bytes;
            }
            let after = lab.snapshot();
            for table in &after.tables {
                prop_assert!(table.entries <= table.limit, "{table:?}");
            }
            for row in &before.destinations {
                let now: u64 = after.destinations.iter()
                    .filter(|other| (&other.device, &other.destination, other.origin, other.place) == (&row.device, &row.destination, row.origin, row.place))
                    .map(|other| other.total.transmit.bytes).sum();
                prop_assert!(now >= row.total.transmit.bytes, "{row:?} fell");
            }
            before = after;
        }
        lab.engine.finish(drop);
        for (mac, expected) in STATIONS.iter().zip(expected) {
            prop_assert_eq!(lab.total(*mac), expected);
        }
        prop_assert!(lab.snapshot().devices.iter().all(|row| row.pending == snapshot::Both::default()));
    }
}

/// The client's Initial of a QUIC version 1 connection with the server name example.org, as the simulated run sends it.
fn initials() -> Vec<Vec<u8>> {
    let mut capture = Vec::new();
    crate::simulate::write(&crate::simulate::Plan { hours: 2, ..crate::simulate::Plan::default() }, &mut capture).unwrap();
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut rest = &capture[24..];
    while let Some((header, after)) = rest.split_first_chunk::<16>() {
        let length = usize::try_from(u32::from_le_bytes([header[8], header[9], header[10], header[11]])).unwrap();
        let (data, after) = after.split_at(length);
        rest = after;
        let frame = Frame { number: 1, time: Timestamp::default(), link: Link::Ethernet, wire_len: 0, data };
        if let Ok(Packet { body: Body::Ip(datagram), .. }) = Packet::decode(&frame)
            && datagram.protocol == crate::packet::UDP
            && datagram.target.port() == 443
            && found.len() < 2
        {
            found.push(datagram.payload.to_vec());
        }
    }
    found
}

#[test]
fn a_port_of_another_protocol_does_not_hide_quic() {
    for from in ["192.168.1.10:53", "192.168.1.10:5353", "192.168.1.10:68"] {
        let mut lab = Lab::new();
        for datagram in initials() {
            lab.udp((A, ROUTER), from, SERVER, &datagram);
        }
        assert_eq!(lab.hellos().len(), 1, "{from}");
    }
}

#[test]
fn datagrams_that_are_nobodys_do_not_hide_quic() {
    for junk in [&[0x40; 1200][..], b"x", &[0x80; 1200]] {
        let mut lab = Lab::new();
        for _ in 0..2_000 {
            lab.udp((A, ROUTER), PHONE, SERVER, junk);
            lab.udp((ROUTER, A), SERVER, PHONE, junk);
        }
        let is_kept = junk.len() > 1 && lab.engine.head().is_none();
        assert!(!is_kept, "a recording of heads would hold all of them");
        for datagram in initials() {
            lab.udp((A, ROUTER), PHONE, SERVER, &datagram);
        }
        assert_eq!(lab.hellos().len(), 1, "{}", junk.len());
    }
}

/// Each of them may cost a key derivation.
#[test]
fn so_many_initials_are_tried_and_no_more() {
    let most = usize::from(Limits::default().datagrams);
    for (forged, told) in [(most - 2, 1), (most, 0)] {
        let mut lab = Lab::new();
        let mut forgery = initials().remove(0);
        *forgery.last_mut().unwrap() ^= 1;
        for _ in 0..forged {
            lab.udp((A, ROUTER), PHONE, SERVER, &forgery);
        }
        for datagram in initials() {
            lab.udp((A, ROUTER), PHONE, SERVER, &datagram);
        }
        assert_eq!(lab.hellos().len(), told, "{forged}");
    }
}

#[test]
fn dns_on_another_port_is_told_as_long_as_it_is_dns() {
    let mut lab = Lab::new();
    for _ in 0..100 {
        lab.udp((A, ROUTER), PHONE, "192.168.1.1:5300", &question("www.example.org"));
        lab.udp((ROUTER, A), "192.168.1.1:5300", PHONE, &answer("www.example.org", [203, 0, 113, 9]));
        lab.udp((A, ROUTER), PHONE, "192.168.1.1:5300", b"junk");
    }
    assert_eq!(lab.events.iter().filter(|event| matches!(event.detail, Detail::Dns { .. })).count(), 200);
}

#[test]
fn where_devices_are_addresses_frames_without_ip_make_none() {
    let mut lab = Lab::new();
    lab.engine = Engine::new(Limits::default(), OurSide { by_address: true, ..OurSide::default() }, GeoDb::embedded().unwrap(), true);
    let mut arp = vec![0xff; 6];
    arp.extend(A);
    arp.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    arp.extend(A);
    arp.extend([192, 168, 1, 10, 0, 0, 0, 0, 0, 0, 192, 168, 1, 1]);
    lab.frame(&arp);
    lab.udp((A, ROUTER), PHONE, SERVER, &[0x40; 100]);
    let devices: Vec<String> = lab.snapshot().devices.iter().map(|row| row.id.to_string()).collect();
    assert_eq!(devices, ["192.168.1.10"]);
}

#[test]
fn repeated_segments_hold_no_stream() {
    let mut lab = Lab::new();
    lab.open(A, PHONE, "203.0.113.9:80");
    let get = b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n";
    lab.tcp((A, ROUTER), PHONE, "203.0.113.9:80", ACK, 1001, get);
    lab.tcp((A, ROUTER), PHONE, "203.0.113.9:80", ACK, 1001, get);
    assert_eq!(lab.snapshot().tables.iter().find(|row| row.table == "streams").unwrap().entries, 0);
}

#[test]
fn a_bogus_loopback_source_is_charged_and_is_no_address_of_the_device() {
    let mut lab = Lab::new();
    lab.udp((A, ROUTER), "[::1]:5000", "[2001:db8:9::9]:443", &[0x40; 100]);
    lab.udp((A, ROUTER), "127.0.0.1:5000", SERVER, &[0x40; 100]);
    assert_eq!(lab.total(A).0, 162 + 142);
    assert_eq!(lab.snapshot().devices[0].addresses, Vec::<IpAddr>::new());
}

#[test]
fn every_request_of_a_connection_is_told_whatever_lies_between() {
    let mut lab = Lab::new();
    let server = "203.0.113.9:80";
    lab.open(A, PHONE, server);
    let post: &[u8] = b"POST /a HTTP/1.1\r\nHost: one.example.org\r\nContent-Length: 9\r\n\r\n";
    let parts: [&[u8]; 7] = [
        post,
        b"body-body",
        b"GET /b HTTP/1.1\r\nHo",
        b"st: two.example.org\r\n\r\n",
        b"GET /c HTTP/1.1\r\nHost: three.example.org\r\n\r\nGET /d HTTP/1.1\r\nHost: four.example.org\r\n\r\nGET /e HT",
        b"TP/1.1\r\nHost: five.example.org\r\n\r\n",
        b"GET /f HTTP/1.1\r\nHost: six.example.org\r\n\r\n",
    ];
    let mut seq = 1001;
    for part in parts {
        lab.tcp((A, ROUTER), PHONE, server, ACK, seq, part);
        lab.tcp((A, ROUTER), PHONE, server, ACK, seq, part);
        seq += u32::try_from(part.len()).unwrap();
    }
    assert_eq!(hosts(&lab), ["one", "two", "three", "four", "five", "six"].map(|name| format!("{name}.example.org")));
}

/// One port asks again and again, two questions at once with one identifier among them; an answer counts for one question.
#[test]
fn every_question_of_a_port_may_be_answered_once() {
    let (resolver, from) = ("203.0.113.53:53", "192.168.1.10:40053");
    let mut lab = Lab::new();
    let ask = |lab: &mut Lab, name: &str| lab.udp((A, ROUTER), from, resolver, &question(name));
    let tell = |lab: &mut Lab, name: &str, last: u8| lab.udp((ROUTER, A), resolver, from, &answer(name, [203, 0, 113, last]));
    ask(&mut lab, "one.example.org");
    tell(&mut lab, "one.example.org", 1);
    ask(&mut lab, "two.example.org");
    ask(&mut lab, "three.example.org");
    tell(&mut lab, "two.example.org", 2);
    tell(&mut lab, "three.example.org", 3);
    tell(&mut lab, "late.example.org", 4);
    for last in 1..=4 {
        let server = format!("203.0.113.{last}:9000");
        lab.udp((A, ROUTER), "192.168.1.10:40000", &server, b"anything");
    }
    lab.wait(5);
    lab.engine.finish(|event| lab.events.push(event));
    let told = lab.events.iter().filter_map(|event| match &event.detail {
        Detail::Flow(flow) if event.ends.is_some_and(|ends| ends.server.port() == 9000) => Some(flow.name.clone()),
        _ => None,
    });
    let told: Vec<_> = told.map(|name| name.as_deref().map(str::to_owned)).collect();
    assert_eq!(told, [Some("one"), Some("two"), Some("three"), None].map(|name| name.map(|name| format!("{name}.example.org"))));
    assert_eq!(lab.events.iter().filter(|event| matches!(event.detail, Detail::Dns { .. })).count(), 7);
}

#[test]
fn messages_of_a_dns_connection_are_told_wherever_they_are_cut() {
    let mut bytes = Vec::new();
    for name in ["one.example.org", "two.example.org", "three.example.org"] {
        let message = answer(name, [203, 0, 113, 9]);
        bytes.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
        bytes.extend(message);
    }
    for cut in 1..bytes.len() {
        for reversed in [false, true] {
            let mut lab = Lab::new();
            let server = "203.0.113.53:53";
            lab.open(A, PHONE, server);
            let (one, two) = bytes.split_at(cut);
            let mut parts = [(1001, one), (1001 + u32::try_from(cut).unwrap(), two)];
            if reversed {
                parts.reverse();
            }
            for (seq, part) in parts {
                lab.tcp((ROUTER, A), server, PHONE, ACK, seq, part);
            }
            let told = lab.events.iter().filter(|event| matches!(event.detail, Detail::Dns { .. })).count();
            assert_eq!(told, 3, "cut at {cut}, reversed: {reversed}");
        }
    }
}

#[test]
fn a_dns_message_that_cannot_be_read_hides_none_behind_it() {
    let framed = |message: &[u8]| [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat();
    let readable = framed(&question("one.example.org"));
    let mut opcode = question("two.example.org");
    opcode[2] |= 3 << 3;
    let mut label = question("three.example.org");
    label[12] = 0x45;
    let mut counts = question("four.example.org");
    counts[6] = 0xff;
    let unreadable = [opcode, label, counts, vec![7; 5], vec![]].map(|message| framed(&message));
    let told = |segments: &[&[u8]]| {
        let mut lab = Lab::new();
        lab.open(A, PHONE, "203.0.113.53:53");
        let mut seq = 1001;
        for segment in segments {
            lab.tcp((A, ROUTER), PHONE, "203.0.113.53:53", ACK, seq, segment);
            seq += u32::try_from(segment.len()).unwrap();
        }
        let told = lab.events.iter().filter(|event| matches!(event.detail, Detail::Dns { .. })).count();
        (told, lab.snapshot().malformed.iter().map(|(_, _, count)| count).sum::<u64>())
    };
    // The first ones look like DNS, the others do only where DNS is known to be.
    for bad in &unreadable[..2] {
        assert_eq!(told(&[bad, &readable]), (1, 1), "{bad:?}");
        assert_eq!(told(&[&bad.repeat(64), &readable]), (1, 1), "{bad:?}");
        assert_eq!(told(&[&bad.repeat(65), &readable]).0, 0, "{bad:?}");
    }
    for bad in &unreadable {
        let bytes = [&readable[..], bad, bad, &readable, bad, &readable].concat();
        for cut in 1..bytes.len() {
            let (one, two) = bytes.split_at(cut);
            assert_eq!(told(&[one, two]).0, 3, "{bad:?} cut at {cut}");
        }
        assert_eq!(told(&[&readable, &bad.repeat(64), &readable, &bad.repeat(64), &readable]), (3, 2), "{bad:?}");
        assert_eq!(told(&[&readable, &bad.repeat(65), &readable]).0, 1, "{bad:?}");
    }
    for bad in &unreadable[2..] {
        assert_eq!(told(&[bad, &readable]), (0, 0), "{bad:?}");
    }
}

#[test]
fn frames_joined_by_offload_cut_or_tagged_count_with_what_was_on_the_wire() {
    let mut lab = Lab::new();
    let mut joined = tcp((A, ROUTER), PHONE, SERVER, ACK, 1001, &[0x40; 3000]);
    joined[16] = 0;
    joined[17] = 0;
    lab.frame(&joined);
    let whole = udp((A, ROUTER), PHONE, SERVER, &[0x40; 1000]);
    let cut = Frame { number: 2, time: lab.now, link: Link::Ethernet, wire_len: 1042, data: &whole[..96] };
    lab.engine.ingest(&cut);
    let mut tagged = whole[..12].to_vec();
    tagged.extend([0x81, 0, 0xe0, 0]);
    tagged.extend(&whole[12..]);
    lab.frame(&tagged);
    assert_eq!(lab.total(A).0, 3054 + 1042 + 1046);
}

#[test]
fn a_phone_that_forwards_or_still_uses_another_networks_address_is_counted_all_the_same() {
    let mut lab = Lab::new();
    lab.frame(&announces(ROUTER, "2001:db8:1::"));
    // An address of the cellular network, to the resolver of this one: it looks as a router does.
    lab.udp((A, ROUTER), "198.51.100.77:5000", "192.168.1.1:53", &[0x40; 10]);
    let before = lab.total(A).0;
    for _ in 0..3 {
        lab.udp((A, ROUTER), "[2001:db8:1::10]:50000", "[2001:db8:9::9]:50001", &[0x40; 100]);
    }
    assert_eq!(lab.total(A).0, before + 3 * 162);
}

#[test]
fn an_address_that_goes_to_somebody_unknown_is_not_charged_to_its_last_owner() {
    let mut lab = Lab::new();
    let (phone, far) = ("192.0.2.77:50000", "203.0.113.9:50001");
    let mut arp = vec![0xff; 6];
    arp.extend(A);
    arp.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    arp.extend(A);
    arp.extend([192, 0, 2, 77, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1]);
    lab.frame(&arp);
    lab.udp((A, B), phone, far, &[0x40; 100]);
    let before = lab.total(A).0;
    lab.udp((ROUTER, [2, 0, 0, 0, 0, 0xc]), phone, far, &[0x40; 100]);
    assert_eq!(lab.total(A).0, before);
}

#[test]
fn a_subnets_broadcast_address_is_no_device_on_a_cooked_link() {
    let frame = udp((A, ROUTER), "192.168.1.10:137", "192.168.1.255:137", &[0x40; 50]);
    let mut v1 = vec![0, 1, 0, 1, 0, 6];
    v1.extend(A);
    v1.extend([0, 0, 8, 0]);
    v1.extend(&frame[14..]);
    let mut v2 = vec![8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 1, 6];
    v2.extend(A);
    v2.extend([0, 0]);
    v2.extend(&frame[14..]);
    for (link, data) in [(Link::LinuxSll, v1), (Link::LinuxSll2, v2)] {
        let mut lab = Lab::new();
        let wire_len = u32::try_from(data.len()).unwrap();
        lab.engine.ingest(&Frame { number: 1, time: lab.now, link, wire_len, data: &data });
        let devices: Vec<String> = lab.snapshot().devices.iter().map(|row| row.id.to_string()).collect();
        assert_eq!(devices, ["192.168.1.10"], "{link:?}");
    }
}

proptest! {
    /// Where devices leave and come back, or find no room, sums are equal all the same.
    #[test]
    fn sums_are_equal_where_devices_come_and_go(steps in steps(), devices in 1_usize..4, flows in 1_usize..20) {
        let mut lab = Lab::with(Limits { flows, devices, device_idle: Duration::from_secs(4_000), ..Limits::default() });
        for step in steps {
            let Some(data) = made(step) else { continue };
            lab.wait(step.6);
            lab.frame(&data);
            lab.snapshot();
        }
        lab.engine.finish(drop);
        prop_assert!(lab.snapshot().devices.iter().all(|row| row.pending == snapshot::Both::default()));
    }
}

#[test]
fn a_capture_that_is_older_than_the_one_before_has_its_own_time() {
    let mut lab = Lab::new();
    lab.udp((A, ROUTER), PHONE, SERVER, &[0x40; 100]);
    let first = lab.snapshot().last_packet.unwrap();
    lab.engine.begin();
    let earlier = Timestamp::from_nanos(first.as_nanos() - 3_600_000_000_000);
    let data = small(7);
    lab.engine.ingest(&Frame { number: 1, time: earlier, link: Link::RawIp, wire_len: 29, data: &data });
    let mut starts = Vec::new();
    lab.engine.finish(|event| {
        if let Detail::Flow(flow) = event.detail {
            starts.push(flow.first);
        }
    });
    assert!(starts.contains(&earlier), "{starts:?}");
}
