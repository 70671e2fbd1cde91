//! What a flood may cost: memory that stays inside `Limits`, sums that stay right, and a device beside it that is still served.
//!
//! Each flood runs in a process of its own, so that the kernel's high-water mark of its memory is the flood's alone. Time is the
//! packets': a flood lasts twenty seconds of it, which is faster than anything in a full table grows stale.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test makes its own world")]

use std::process::Command;
use std::time::Duration;

use etherparse::PacketBuilder;
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::geo::GeoDb;
use whither::engine::limits::Limits;
use whither::engine::snapshot::{Both, Contact, ContactRow, Snapshot, TableRow, Tally};
use whither::packet::{Frame, Link, Timestamp};

/// Items of a flood. The tables are full long before either number; the larger one is for `make soak`, which builds a release.
const MANY: u32 = if cfg!(debug_assertions) { 200_000 } else { 1_000_000 };
/// How long a flood lasts, in packet time.
const SPAN: Duration = Duration::from_secs(20);
/// Looks at every table and sum during a flood.
const LOOKS: u32 = 8;
/// Set in the copy of this program that runs one flood alone.
const ALONE: &str = "WHITHER_TEST_ALONE";

const ROUTER: [u8; 6] = [2, 0, 0x5e, 0, 0x53, 1];
const FLOODER: [u8; 6] = [0x64, 0xcc, 0x2e, 0, 0, 2];
const HONEST: [u8; 6] = [0x3c, 0x5a, 0xb4, 0, 0, 1];
const HONEST_MAC: &str = "3c:5a:b4:00:00:01";
const HONEST_ADDRESS: [u8; 4] = [192, 168, 77, 10];
const FLOODER_ADDRESS: [u8; 4] = [192, 168, 77, 66];
const RESOLVER: [u8; 4] = [192, 168, 77, 1];
const SERVER: [u8; 4] = [198, 51, 100, 20];

/// A SYN, and the first segment of a ClientHello that never ends; each from another address and port.
#[test]
fn half_open_handshakes() {
    alone("half_open_handshakes", &[ALWAYS, STREAMS], |world| world.flood(MANY, half_open));
}

/// The same, and each goes on for as long as a stream is kept, so that the streams are as large as they can be.
#[test]
fn handshakes_that_go_on_and_on() {
    alone("handshakes_that_go_on_and_on", &[ALWAYS, STREAMS], |world| {
        world.flood(MANY, |world, index| endless(world, index, 443, &hello_start(0xff00)))
    });
}

/// The same with messages of DNS over TCP, which may be four times as long.
#[test]
fn dns_messages_that_go_on_and_on() {
    let query = [&[0xff, 0xff, 0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &[0; 1_400]].concat();
    alone("dns_messages_that_go_on_and_on", &[ALWAYS, STREAMS, DNS_STREAMS], |world| {
        world.flood(MANY, |world, index| endless(world, index, 53, &query))
    });
}

/// Answers with names as long as they can be, four for each address, asked for by sixteen devices.
#[test]
fn dns_answers() {
    alone("dns_answers", &[ALWAYS, NAMES], |world| {
        world.flood(MANY, |world, index| answer(world, index, (index / 4 % 16) as u8));
        let names = world.table("names");
        assert!(names.refused > 0, "it was full: {names:?}");
    });
}

/// The same by one device: the next answer to another still names its flow.
#[test]
fn dns_answers_to_one_device() {
    alone("dns_answers_to_one_device", &[ALWAYS, NAMES], |world| {
        world.flood(MANY, |world, index| {
            answer(world, index, 0);
            if index == MANY / 2 {
                world.honest_answer([203, 0, 113, 80], b"\x05named\x07example\x00");
            }
        });
        assert!(world.table("names").refused > 0);
        let named = world.look();
        let named = named.destinations.iter().find(|row| *row.device == *HONEST_MAC && *row.destination == *"named.example");
        assert_eq!(named.map(|row| row.origin.as_str()), Some("dns"));
    });
}

/// Answers whose names point to themselves, to each other, and along chains as long as a message.
#[test]
fn dns_names_that_point_in_circles() {
    alone("dns_names_that_point_in_circles", &[ALWAYS], |world| {
        world.flood(MANY / 4, |world, index| {
            let head = [0, 7, 0x81, 0x80, 0, 1, 0, 9, 0, 0, 0, 0];
            let mut message = [&head[..], &[0xc0, 12, 0, 1, 0, 1]].concat();
            for pointer in 0..200_u16 {
                let to = match index % 3 {
                    0 => 18 + 2 * pointer,                   // itself
                    1 => 18 + 2 * ((pointer + 1) % 200),     // the next, and round
                    _ => 18 + 2 * pointer.saturating_sub(1), // the one before
                };
                message.extend((0xc000 | to).to_be_bytes());
            }
            message.extend([0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 51, 100, 1]);
            let from = End { mac: FLOODER, address: FLOODER_ADDRESS, port: 1_024 + (index % 60_000) as u16 };
            let to = End { mac: ROUTER, address: RESOLVER, port: 53 };
            world.udp(from, to, &question(b"\x03www\x07example\x00"));
            world.udp(to, from, &message);
        });
        assert_eq!(world.table("names").entries, 0);
    });
}

/// ClientHellos a byte at a time, of as many connections as are read at once, each byte before the one that comes before it.
#[test]
fn hellos_that_drip_backwards() {
    alone("hellos_that_drip_backwards", &[ALWAYS, STREAMS], |world| {
        world.flood(MANY, |world, index| {
            let streams = Limits::default().streams as u32;
            let (turn, connection) = (index / streams, index % streams);
            let [_, b, c, d] = connection.to_be_bytes();
            let from = End { mac: FLOODER, address: [10, b, c, d], port: 40_000 };
            match turn {
                0 => world.tcp(from, server(connection), (1_000, true, false), &[]),
                1 => world.tcp(from, server(connection), (1_001, false, true), &[0x16]),
                more => world.tcp(from, server(connection), (1_500 - more * 2, false, true), &[3]),
            }
        });
    });
}

/// The same by sixteen devices, which could have all accounts between them: another device's destinations still get theirs.
#[test]
fn names_met_by_sixteen_devices() {
    alone("names_met_by_sixteen_devices", &[ALWAYS, STREAMS], |world| {
        world.flood(MANY, |world, index| {
            let device = (index % 16) as u8;
            let port = 1_024 + (index / 16 % 60_000) as u16;
            let from = End { mac: [0x64, 0xcc, 0x2e, 0, 2, device], address: [192, 168, 77, 150 + device], port };
            let request = format!("GET / HTTP/1.1\r\nHost: d{index}.example\r\n\r\n");
            world.tcp(from, server(index), (1, true, false), &[]);
            world.tcp(from, server(index), (2, false, true), request.as_bytes());
        });
    });
}

/// A request to another host in another domain each time.
#[test]
fn names_met() {
    alone("names_met", &[ALWAYS, STREAMS], |world| {
        world.flood(MANY, |world, index| {
            let from = End { mac: FLOODER, address: FLOODER_ADDRESS, port: 1_024 + (index % 60_000) as u16 };
            let to = End { address: [203, 0, 113, (index / 60_000) as u8], ..server(index) };
            let request = format!("GET / HTTP/1.1\r\nHost: {:a>60}.d{index}.example\r\n\r\n", "");
            world.tcp(from, to, (1, true, false), &[]);
            world.tcp(from, to, (2, false, true), request.as_bytes());
        });
        let snapshot = world.engine.snapshot();
        let table = snapshot.tables.iter().find(|row| row.table == "contacts").unwrap();
        assert!(table.refused > 0, "{table:?}");
        let flooder = snapshot.contacts.iter().map(|memory| memory.contacts.len()).max().unwrap();
        assert!(flooder > Limits::default().contacts_per_device, "names and domains, each up to its cap");
    });
}

/// Each frame from another MAC, with a connection to somewhere.
#[test]
fn forged_macs() {
    alone("forged_macs", &[ALWAYS], |world| {
        world.flood(MANY, |world, index| {
            let [a, b, c, d] = index.to_be_bytes();
            let from = End { mac: [2, 0x66, a, b, c, d], address: [10, b, c, d], port: 50_000 };
            world.tcp(from, server(index), (1_000, true, false), &[]);
            world.arp([2, 0x67, a, b, c, d], [10, b, c, d]);
        });
    });
}

/// Datagrams that look like QUIC Initials, each with another connection ID, none with a true tag; many in one flow and many flows.
#[test]
fn forged_initials() {
    alone("forged_initials", &[ALWAYS], |world| world.flood(MANY, initial));
}

/// DHCP, mDNS and SSDP with ever new names and identifiers, as long as they can be: from ever new MACs, and all from one.
#[test]
fn forged_identities() {
    alone("forged_identities", &[ALWAYS], |world| {
        world.flood(MANY / 4, |world, index| {
            let [a, b, c, d] = index.to_be_bytes();
            let forged = End { mac: [2, 0x68, a, b, c, d], address: [10, b, c, d], port: 50_000 };
            let one = End { mac: FLOODER, address: FLOODER_ADDRESS, port: 50_000 };
            for from in [forged, one] {
                identities(world, from, index);
            }
        });
        let snapshot = world.look();
        let most = snapshot.devices.iter().map(|row| (row.identity.len(), row.same_as.len()));
        assert!(most.clone().all(|(facts, same)| facts <= 32 && same <= 4), "{:?}", most.max());
    });
}

fn identities(world: &mut World, from: End, index: u32) {
    let long = format!("{index:08}-{:x>240}", "");
    let option = |code: u8, value: &[u8]| [&[code, value.len() as u8][..], value].concat();
    let head = [&[1, 1, 6, 0][..], &[0; 24], &from.mac, &[0; 202], &[99, 130, 83, 99, 53, 1, 3]].concat();
    let options = [
        option(12, long.as_bytes()),
        option(60, long.as_bytes()),
        option(55, &long.as_bytes()[..64]),
        option(61, &long.as_bytes()[..32]),
        option(81, format!("\0\0\0{long}").as_bytes()),
    ];
    let (client, server) = (End { address: [0; 4], port: 68, ..from }, End { mac: [0xff; 6], address: [255; 4], port: 67 });
    world.udp(client, server, &[head, options.concat()].concat());
    let name = [&[63][..], &[b'a'; 55], format!("{index:08}").as_bytes(), b"\x05local\0"].concat();
    let answer = [&[0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0][..], &name, &[0, 1, 0, 1, 0, 0, 0, 60, 0, 4], &from.address].concat();
    let group = End { mac: [1, 0, 0x5e, 0, 0, 0xfb], address: [224, 0, 0, 251], port: 5_353 };
    world.udp(End { port: 5_353, ..from }, group, &answer);
    let [a, b, c, d] = from.address;
    let notify = format!("NOTIFY * HTTP/1.1\r\nLOCATION: http://{a}.{b}.{c}.{d}/\r\nSERVER: {long}\r\nUSN: uuid:{long}\r\n\r\n");
    world.udp(End { port: 1_900, ..from }, End { port: 1_900, address: [239, 255, 255, 250], ..group }, notify.as_bytes());
}

/// One end of a packet.
#[derive(Clone, Copy)]
struct End {
    mac: [u8; 6],
    address: [u8; 4],
    port: u16,
}

fn server(index: u32) -> End {
    End { mac: ROUTER, address: [203, 0, 113, index.to_be_bytes()[3]], port: 443 }
}

fn half_open(world: &mut World, index: u32) {
    let [_, b, c, d] = index.to_be_bytes();
    let from = End { mac: FLOODER, address: [10, b, c, d], port: 1_024 + (index % 60_000) as u16 };
    world.tcp(from, server(index), (1_000, true, false), &[]);
    world.tcp(from, server(index), (1_001, false, true), &hello_start(1_900));
}

/// One segment of each of as many connections as there are streams, in turn.
fn endless(world: &mut World, index: u32, port: u16, start: &[u8]) {
    let streams = Limits::default().streams as u32;
    let (segment, connection) = (index / streams, index % streams);
    let [_, b, c, d] = connection.to_be_bytes();
    let from = End { mac: FLOODER, address: [10, b, c, d], port: 40_000 };
    let to = End { port, ..server(connection) };
    match segment {
        0 => {
            world.tcp(from, to, (1_000, true, false), &[]);
            world.tcp(from, to, (1_001, false, true), start);
        }
        more => world.tcp(from, to, (1_001 + more * start.len() as u32, false, true), &vec![0; start.len()]),
    }
}

/// A question for the address of a name.
fn question(name: &[u8]) -> Vec<u8> {
    [&[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], name, &[0, 1, 0, 1]].concat()
}

fn answer(world: &mut World, index: u32, device: u8) {
    let label = format!("{:a>63}", "");
    let name = [label.as_str(), &label, &label, &format!("n{index:08}"), "example", "org"]
        .map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    let name = [name.concat(), vec![0]].concat();
    let address = (0x2000_0000 + index / 4).to_be_bytes();
    let head = [0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    let message = [&head[..], &name, &[0, 1, 0, 1], &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4], &address].concat();
    let from = End { mac: ROUTER, address: RESOLVER, port: 53 };
    let mac = [0x64, 0xcc, 0x2e, 0, 1, device];
    let to = End { mac, address: [192, 168, 77, 100 + device], port: 1_024 + (index % 60_000) as u16 };
    world.udp(to, from, &question(&name));
    world.udp(from, to, &message);
}

fn initial(world: &mut World, index: u32) {
    let id = u64::from(index).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let mut datagram = [&[0xc3, 0, 0, 0, 1, 8][..], &id, &[0, 0, 0x44, 0xa0]].concat();
    datagram.resize(1_200, id[3]);
    let from = End { mac: FLOODER, address: FLOODER_ADDRESS, port: 1_024 + (index / 4 % 60_000) as u16 };
    world.udp(from, End { address: [203, 0, (index / 240_000) as u8, 9], ..server(index) }, &datagram);
}

/// The first 1,300 bytes of a ClientHello whose handshake message has `length` bytes.
fn hello_start(length: u16) -> Vec<u8> {
    let [high, low] = length.to_be_bytes();
    let record = (length.saturating_add(4)).min(16_384).to_be_bytes();
    let mut hello = [&[0x16, 3, 1, record[0], record[1], 1, 0, high, low, 3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
    hello.extend((length - 43).to_be_bytes());
    hello.extend([0, 21]);
    hello.extend((length - 47).to_be_bytes());
    hello.resize(1_300, 0);
    hello
}

/// A whole ClientHello of this name, with a key share of X25519MLKEM768, so that it takes two segments.
fn hello(name: &str) -> Vec<u8> {
    let length = name.len() as u16;
    let two = u16::to_be_bytes;
    let extension = [&[0, 0][..], &two(length + 5), &two(length + 3), &[0], &two(length), name.as_bytes()].concat();
    let share = [&[0, 51, 0x04, 0xc6, 0x04, 0xc4, 0x11, 0xec, 0x04, 0xc0][..], &[9; 1_216]].concat();
    let extension = [share, vec![0, 21, 1, 0], vec![0; 256], extension].concat();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &two(extension.len() as u16), &extension].concat();
    [&[0x16, 3, 1][..], &two(body.len() as u16 + 4), &[1, 0], &two(body.len() as u16), &body].concat()
}

/// An engine with default limits, its time, and what a device that has nothing to do with the flood really sent and received.
struct World {
    engine: Engine,
    time: u64,
    number: u64,
    honest: Both,
    connections: u16,
    /// What each of its visits carried, by domain.
    visits: Vec<(String, Both)>,
}

impl World {
    fn new() -> Self {
        // Nobody takes the events, so that their queue fills too.
        let engine = Engine::new(Limits::default(), OurSide::default(), GeoDb::embedded().unwrap(), true);
        Self { engine, time: 1_700_000_000_000_000_000, number: 0, honest: Both::default(), connections: 0, visits: Vec::new() }
    }

    /// Lets `one` happen many times; before, between and after, everything must be as it should.
    fn flood(&mut self, many: u32, one: impl Fn(&mut Self, u32)) {
        self.honest_visit("www.before.example");
        for index in 0..many {
            one(self, index);
            self.time += SPAN.as_nanos() as u64 / u64::from(many);
            if index % (many / LOOKS) == many / LOOKS - 1 {
                self.honest_visit(&format!("www.middle{index}.example"));
                self.look();
            }
        }
        self.honest_visit("www.after.example");
        let snapshot = self.look();
        let named = snapshot.destinations.iter().find(|row| *row.device == *HONEST_MAC && *row.destination == *"after.example");
        assert_eq!(named.map(|row| row.origin.as_str()), Some("sni"), "the next hello is named: {:?}", snapshot.tables);
        let remembered = snapshot.contacts.iter().find(|memory| *memory.device == *HONEST_MAC).unwrap();
        for domain in ["before.example", "after.example"] {
            let met = |row: &ContactRow| row.contact == Contact::Domain(domain.into());
            assert!(remembered.contacts.iter().any(met), "{domain} is remembered: {:?}", snapshot.tables);
        }
        self.engine.finish(drop);
        let snapshot = self.look();
        for (domain, carried) in &self.visits {
            let row = snapshot.destinations.iter().find(|row| *row.device == *HONEST_MAC && *row.destination == **domain);
            assert_eq!(row.map(|row| row.total), Some(*carried), "{domain} in the middle of it: {:?}", snapshot.tables);
        }
    }

    fn table(&mut self, name: &str) -> TableRow {
        self.engine.snapshot().tables.into_iter().find(|row| row.table == name).unwrap()
    }

    /// The device beside is told a name for an address, and connects to it without saying one.
    fn honest_answer(&mut self, address: [u8; 4], name: &[u8]) {
        let ask = End { mac: HONEST, address: HONEST_ADDRESS, port: 50_001 };
        let resolver = End { mac: ROUTER, address: RESOLVER, port: 53 };
        self.udp(ask, resolver, &question(name));
        let head = [0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
        let record = [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4][..], &address].concat();
        self.udp(resolver, ask, &[&head[..], name, &[0, 1, 0, 1], &record].concat());
        let (from, to) = (End { port: 50_002, ..ask }, End { mac: ROUTER, address, port: 5_223 });
        self.tcp(from, to, (1, true, false), &[]);
        self.tcp(to, from, (1, true, true), &[]);
        for part in 0..12 {
            self.tcp(from, to, (2 + part * 9, false, true), b"no hello.");
        }
    }

    /// Tables inside their limits, sums that agree, and exact totals of the device beside.
    fn look(&mut self) -> Snapshot {
        let snapshot = self.engine.snapshot();
        for table in &snapshot.tables {
            assert!(table.entries <= table.limit, "{table:?}");
        }
        for device in &snapshot.devices {
            let mut countries = Both::default();
            let mut destinations = device.pending;
            let mut visible = device.pending;
            snapshot.countries.iter().filter(|row| row.device == device.id).for_each(|row| add(&mut countries, row.total));
            snapshot.destinations.iter().filter(|row| row.device == device.id).for_each(|row| add(&mut destinations, row.total));
            device.visibility.iter().for_each(|(_, total)| add(&mut visible, *total));
            assert_eq!([countries, destinations, visible], [device.total; 3], "{}", device.id);
        }
        let honest = snapshot.devices.iter().find(|row| *row.id == *HONEST_MAC).unwrap();
        assert_eq!(honest.total, self.honest);
        snapshot
    }

    /// A connection of the device beside.
    fn honest_visit(&mut self, name: &str) {
        self.connections += 1;
        let before = self.honest;
        let from = End { mac: HONEST, address: HONEST_ADDRESS, port: 40_000 + self.connections };
        let to = End { mac: ROUTER, address: SERVER, port: 443 };
        self.tcp(from, to, (1, true, false), &[]);
        self.tcp(to, from, (1, true, true), &[]);
        let hello = hello(name);
        let (first, second) = hello.split_at(1_400);
        self.tcp(from, to, (2, false, true), first);
        self.tcp(from, to, (1_402, false, true), second);
        self.tcp(to, from, (2, false, true), &[0x17; 1_000]);
        let domain = name.split_once('.').unwrap().1.to_owned();
        let since = |now: Tally, then: Tally| Tally { packets: now.packets - then.packets, bytes: now.bytes - then.bytes };
        let carried = Both { transmit: since(self.honest.transmit, before.transmit), receive: since(self.honest.receive, before.receive) };
        self.visits.push((domain, carried));
    }

    fn tcp(&mut self, from: End, to: End, (sequence, syn, ack): (u32, bool, bool), payload: &[u8]) {
        let packet =
            PacketBuilder::ethernet2(from.mac, to.mac).ipv4(from.address, to.address, 64).tcp(from.port, to.port, sequence, 65_535);
        let packet = if syn { packet.syn() } else { packet };
        let packet = if ack { packet.ack(2) } else { packet };
        let mut bytes = Vec::new();
        packet.write(&mut bytes, payload).unwrap();
        self.frame(&bytes);
    }

    fn udp(&mut self, from: End, to: End, payload: &[u8]) {
        let packet = PacketBuilder::ethernet2(from.mac, to.mac).ipv4(from.address, to.address, 64).udp(from.port, to.port);
        let mut bytes = Vec::new();
        packet.write(&mut bytes, payload).unwrap();
        self.frame(&bytes);
    }

    fn arp(&mut self, mac: [u8; 6], address: [u8; 4]) {
        let head = [&[0xff; 6][..], &mac, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]].concat();
        self.frame(&[&head[..], &mac, &address, &[0; 6], &address, &[0; 18]].concat());
    }

    fn frame(&mut self, data: &[u8]) {
        self.number += 1;
        let tally = Tally { packets: 1, bytes: data.len() as u64 };
        if data[6..12] == HONEST {
            add(&mut self.honest, Both { transmit: tally, receive: Tally::default() });
        }
        if data[..6] == HONEST {
            add(&mut self.honest, Both { transmit: Tally::default(), receive: tally });
        }
        let time = Timestamp::from_nanos(self.time);
        self.engine.ingest(&Frame { number: self.number, time, link: Link::Ethernet, wire_len: data.len() as u32, data });
    }
}

fn add(sum: &mut Both, more: Both) {
    for (sum, more) in [(&mut sum.transmit, more.transmit), (&mut sum.receive, more.receive)] {
        sum.packets += more.packets;
        sum.bytes += more.bytes;
    }
}

/// Runs a flood in a process of its own, whose memory must stay inside the bound.
fn alone(name: &str, parts: &[Part], flood: impl FnOnce(&mut World)) {
    let bound = parts.iter().map(|part| part(&Limits::default())).sum::<usize>() as u64 >> 10;
    if std::env::var(ALONE).as_deref() == Ok(name) {
        let mut world = World::new();
        let before = peak();
        flood(&mut world);
        let after = peak();
        eprintln!("{name}: {before} KiB before, {after} KiB at most, of {bound}");
        assert!(after <= bound, "{after} KiB, of {bound}: {:#?}", world.engine.snapshot().tables);
        return;
    }
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).args([name, "--exact", "--nocapture", "--test-threads=1"]).env(ALONE, name).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    eprint!("{said}");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// The most memory that this process had, in KiB (proc(5), `VmHWM`).
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What a flood may fill beside [`ALWAYS`]: bytes for an entry times entries.
type Part = fn(&Limits) -> usize;

/// The program, its databases as far as they are touched, and a snapshot; flows with their reading and the name they may bear;
/// devices with ledger, addresses and facts (32 of 256 bytes and their source, and proposals that repeat some); accounts with their
/// label; rhythms with a few beats; address owners; events, of which those that repeat a device's facts are the largest; contacts with their name, and a copy
/// of the row.
const ALWAYS: Part = |limits| {
    (16 << 20)
        + 1_024 * limits.flows
        + 26_624 * limits.devices
        + 512 * limits.accounts
        + 512 * limits.rhythms
        + 128 * limits.neighbours
        + 4_096 * limits.events
        + 768 * limits.contacts
};
/// Two bytes for one, as a growing vector may have; 512 for early pieces and the slot: 130 MiB by default.
const STREAMS: Part = |limits| (2 * limits.stream_bytes + 512) * limits.streams;
/// Those that may be longer: 32 MiB by default.
const DNS_STREAMS: Part = |limits| 2 * limits.dns_stream_bytes * limits.dns_streams;
/// Four names of 253 bytes, with their counters, times and the slot: 48 MiB by default.
const NAMES: Part = |limits| 1_536 * limits.names;
