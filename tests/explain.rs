//! `whither explain`: every claim is looked up in the capture itself, by packet number, and every sum is that of `read`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test makes its own world, and should stop at the first wrong claim"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use etherparse::PacketBuilder;
use pcap_parser::pcapng::Block;
use pcap_parser::{OptionCode, PcapBlockOwned, PcapCapture, PcapError, create_reader};
use serde_json::Value;
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::event::{Charge, Detail};
use whither::engine::geo::GeoDb;
use whither::engine::limits::Limits;
use whither::engine::snapshot::{Both, DestinationRow};
use whither::packet::{Frame, Link, Timestamp};
use whither::simulate::{Plan, write};

const VILNIUS: &str = "54.6872,25.2797";
const XIAOMI: &str = "d0:9c:7a:51:0e:2c";

/// Three hours of the lab run, as a file, and its frames: time and bytes.
struct Lab {
    _folder: tempfile::TempDir,
    path: PathBuf,
    bytes: Vec<u8>,
    frames: Vec<(u64, Vec<u8>)>,
}

impl Lab {
    fn new() -> Self {
        let mut bytes = Vec::new();
        write(&Plan { seed: 1, hours: 3, ..Plan::default() }, &mut bytes).unwrap();
        let blocks = PcapCapture::from_file(&bytes).unwrap().blocks;
        let nanos = |seconds: u32, nanos: u32| u64::from(seconds) * 1_000_000_000 + u64::from(nanos);
        let frames = blocks.iter().map(|block| (nanos(block.ts_sec, block.ts_usec), block.data.to_vec())).collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lab.pcap");
        std::fs::write(&path, &bytes).unwrap();
        Self { path, bytes, frames, _folder: folder }
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }

    fn explain(&self, destination: &str, flags: &[&str]) -> Output {
        explain(XIAOMI, destination, &[&[text(&self.path)], flags].concat())
    }

    fn told(&self, destination: &str) -> Value {
        let output = self.explain(destination, &["--json", "--location", VILNIUS]);
        assert!(output.status.success(), "{}", err(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The bytes of a packet that is told of, once its time is the one that is told.
    fn packet(&self, told: &Value) -> &[u8] {
        assert_eq!(told["file"], text(&self.path));
        let (nanos, bytes) = &self.frames[number(&told["packet"]) - 1];
        assert_eq!(told["time"], format!("{:.9}", jiff::Timestamp::from_nanosecond(i128::from(*nanos)).unwrap()));
        bytes
    }
}

fn explain(device: &str, destination: &str, rest: &[&str]) -> Output {
    whither(&[&["explain", device, destination], rest].concat())
}

fn whither(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_whither")).args(arguments).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn row<'a>(told: &'a Value, origin: &str, country: &str) -> &'a Value {
    let rows = told["rows"].as_array().unwrap();
    rows.iter().find(|row| row["row"]["origin"] == origin && row["row"]["country"] == country).unwrap()
}

#[test]
fn a_name_is_told_by_the_packet_that_holds_it() {
    let lab = Lab::new();
    let told = lab.told("xiaomi.com");
    let named = &row(&told, "host", "SG")["named"][0];
    assert_eq!((&named["name"], named["by"].as_array().unwrap().len()), (&"globalapi.ad.xiaomi.com".into(), number(&named["flows"])));
    for by in named["by"].as_array().unwrap() {
        assert!(holds(lab.packet(by), b"\r\nHost: globalapi.ad.xiaomi.com\r\n"), "{by}");
    }
    // By DNS: the answer to this device that came before the flow, and the alias in it.
    let told = lab.told("xiaomi.net");
    let row = row(&told, "dns", "DE");
    let named = &row["named"][0];
    assert_eq!(named["name"], "app.chat.global.xiaomi.net");
    let by = &named["by"][0];
    assert!(holds(lab.packet(by), b"\x03app\x04chat\x06global\x06xiaomi\x03net\0"));
    assert!(by["dns"]["aliases"][0].as_str().unwrap().contains(".elb.eu-central-1.amazonaws.com"), "{by}");
    assert!(number(&by["packet"]) < number(&row["counted"][0]["first"]["packet"]));
}

#[test]
fn a_refuted_location_is_told_by_its_handshake() {
    let lab = Lab::new();
    let told = lab.told("sdkconfig.ad.intl.xiaomi.com");
    let located = &row(&told, "sni", "SG")["located"][0];
    assert_eq!(located["verdict"], "refuted");
    assert!(located["words"].as_str().unwrap().starts_with("the handshake time contradicts the database's country: "), "{located}");
    let (asked, answered) = (&located["asked"], &located["answered"]);
    let flags = |told: &Value| lab.packet(told)[14 + 20 + 13] & 0x12; // IPv4 without options: SYN and ACK of TCP's flags
    assert_eq!((flags(asked), flags(answered)), (0x02, 0x12));
    let time = |told: &Value| lab.frames[number(&told["packet"]) - 1].0;
    let rtt = time(answered) - time(asked);
    assert_eq!(located["rtt_ns"], rtt);
    assert!((8_000_000..10_000_000).contains(&rtt), "the simulator puts it at 9 ms: {rtt} ns");
    let words = String::from_utf8(lab.explain("xiaomi.com", &["--location", VILNIUS]).stdout).unwrap();
    let line = format!("packet {} at ", answered["packet"]);
    assert!(words.contains(&line) && words.contains(&format!("asked by {}", asked["packet"])), "{line}\n{words}");
}

#[test]
fn sums_are_those_of_read() {
    let lab = Lab::new();
    let output = whither(&["read", "--json", "--location", VILNIUS, text(&lab.path)]);
    let table: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut compared = 0;
    for destination in ["xiaomi.com", "SG", "local", "multicast", "AS15169"] {
        let told = lab.told(destination);
        for found in told["rows"].as_array().unwrap() {
            assert!(table["destinations"].as_array().unwrap().contains(&found["row"]), "{}", found["row"]);
            assert_eq!(found["is_the_row"], true, "{}", found["row"]);
            for (field, all) in found["sum"].as_object().unwrap() {
                assert_eq!(*all, found["row"][field], "{field} of {}", found["row"]);
                let flows: u64 = found["counted"].as_array().unwrap().iter().map(|flow| flow[field].as_u64().unwrap()).sum();
                let frames = number(&found["sum_frames"]);
                assert!(flows == all.as_u64().unwrap() || frames > 0, "{field} of {}", found["row"]);
            }
            compared += 1;
        }
    }
    assert!(compared > 8, "{compared}");
}

/// A row of one device, as a charge and as the table tell it.
type Key = (String, String, String, Option<u32>);

fn add(sum: &mut Both, some: &Both) {
    for (sum, some) in [(&mut sum.transmit, some.transmit), (&mut sum.receive, some.receive)] {
        sum.packets += some.packets;
        sum.bytes += some.bytes;
    }
}

/// Reads frames with a device audited, and holds its charges to its rows; how many there are.
fn charges_are_the_rows(frames: &[(u64, Vec<u8>)], device: &str, limits: Limits) -> usize {
    let side = OurSide { nets: Vec::new(), by_address: false };
    let mut engine = Engine::new(limits, side, GeoDb::embedded().unwrap(), true);
    engine.audit(device);
    let mut charges: Vec<Charge> = Vec::new();
    let mut take = |detail: Detail| {
        if let Detail::Charge(charge) = detail {
            charges.push(*charge);
        }
    };
    for ((time, data), number) in frames.iter().zip(1..) {
        let wire_len = u32::try_from(data.len()).unwrap();
        engine.ingest(&Frame { number, time: Timestamp::from_nanos(*time), link: Link::Ethernet, wire_len, data });
        engine.events().for_each(|event| take(event.detail));
    }
    engine.finish(|event| take(event.detail));
    let mut sums: Vec<(Key, Both, u64)> = Vec::new();
    for charge in charges {
        let key = (charge.destination.to_string(), charge.origin.as_str().to_owned(), charge.place.as_str().to_owned(), charge.asn);
        let index = sums.iter().position(|(other, ..)| *other == key).unwrap_or_else(|| {
            sums.push((key, Both::default(), 0));
            sums.len() - 1
        });
        add(&mut sums[index].1, &charge.total);
        sums[index].2 += u64::from(charge.flow.is_some());
    }
    let snapshot = engine.snapshot();
    let key = |row: &DestinationRow| (row.destination.to_string(), row.origin.as_str().to_owned(), row.place.as_str().to_owned(), row.asn);
    let rows = snapshot.destinations.iter().filter(|row| *row.device == *device);
    let mut table: Vec<_> = rows.map(|row| (key(row), row.total, row.flows)).collect();
    table.sort_by(|a, b| a.0.cmp(&b.0));
    sums.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(sums, table, "{device}");
    table.len()
}

#[test]
fn charges_add_up_to_every_row_of_every_device_also_where_tables_are_full() {
    let lab = Lab::new();
    for limits in [Limits::default(), Limits { flows: 3, accounts_per_device: 4, servers: 2, ..Limits::default() }] {
        let devices = [XIAOMI, "ac:47:1b:9e:40:d3", "02:00:5e:00:77:01"];
        let rows: usize = devices.into_iter().map(|device| charges_are_the_rows(&lab.frames, device, limits.clone())).sum();
        assert!(rows > 10, "{rows}");
    }
}

#[test]
fn a_flow_whose_address_changes_hands_is_charged_to_each_owner_for_his_part() {
    let frame = |to_server: bool, phone: u8, length: usize| {
        let (phone, router) = ([2, 0, 0, 0, 0, phone], [2, 0, 0, 0, 0, 1]);
        let (near, far) = (([192, 168, 1, 10], 40_000), ([203, 0, 113, 7], 443));
        let (macs, from, to) = if to_server { ((phone, router), near, far) } else { ((router, phone), far, near) };
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ethernet2(macs.0, macs.1).ipv4(from.0, to.0, 64).udp(from.1, to.1);
        builder.write(&mut bytes, &vec![0; length]).unwrap();
        bytes
    };
    let frames = [frame(true, 10, 100), frame(false, 10, 700), frame(true, 10, 50), frame(true, 11, 30), frame(false, 11, 900)];
    let frames: Vec<(u64, Vec<u8>)> = (1_632_200_000..).map(|second| second * 1_000_000_000).zip(frames).collect();
    for device in ["02:00:00:00:00:0a", "02:00:00:00:00:0b"] {
        assert_eq!(charges_are_the_rows(&frames, device, Limits::default()), 1);
    }
}

/// The packets of a pcapng file: time, length on the wire, bytes, comments.
fn evidence(path: &Path) -> Vec<(u64, u32, Vec<u8>, Vec<String>)> {
    let mut reader = create_reader(1 << 20, std::io::Cursor::new(std::fs::read(path).unwrap())).unwrap();
    let mut packets = Vec::new();
    loop {
        match reader.next() {
            Ok((used, block)) => {
                if let PcapBlockOwned::NG(Block::EnhancedPacket(packet)) = block {
                    let comments = packet.options.iter().filter(|option| option.code == OptionCode::Comment);
                    let comments = comments.map(|option| option.as_str().unwrap().to_owned()).collect();
                    let data = packet.data[..packet.caplen as usize].to_vec();
                    packets.push((u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low), packet.origlen, data, comments));
                }
                reader.consume(used);
            }
            Err(PcapError::Eof) => return packets,
            Err(PcapError::Incomplete(_)) => reader.refill().unwrap(),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn the_evidence_is_the_packets_themselves_each_with_what_it_shows() {
    let lab = Lab::new();
    let out = lab.beside("evidence.pcapng");
    let output = lab.explain("sdkconfig.ad.intl.xiaomi.com", &["--location", VILNIUS, "--evidence", text(&out)]);
    assert!(output.status.success(), "{}", err(&output));
    let packets = evidence(&out);
    let mut last = 0;
    for (nanos, wire_len, data, comments) in &packets {
        let own = comments[0].strip_prefix(&format!("{} packet ", text(&lab.path))).unwrap();
        let number: usize = own.split(':').next().unwrap().parse().unwrap();
        assert_eq!((*nanos, data), (lab.frames[number - 1].0, &lab.frames[number - 1].1), "{comments:?}");
        assert_eq!(*wire_len as usize, data.len());
        assert!(number > last, "in order, each once");
        last = number;
    }
    let all: Vec<&String> = packets.iter().flat_map(|(.., comments)| comments).collect();
    for words in [
        "named: sdkconfig.ad.intl.xiaomi.com, by the server name of a TLS ClientHello",
        "for a handshake",
        "ms, refuted",
        "counted: the first of",
        "counted: the last packet",
        "device: host name Mi10T-5G",
    ] {
        assert!(all.iter().any(|comment| comment.contains(words)), "{words} is not in {all:#?}");
    }
    // The hello is whole, so the evidence alone names and refutes again.
    let again = whither(&["read", "--json", "--location", VILNIUS, text(&out)]);
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    let row = again["destinations"].as_array().unwrap().iter().find(|row| row["destination"] == "xiaomi.com").unwrap();
    assert_eq!((&row["origin"], &row["location_bytes"]["consistent"]), (&"sni".into(), &0.into()));
    if let Ok(tshark) =
        Command::new("tshark").args(["-r", text(&out), "-T", "fields", "-e", "tls.handshake.extensions_server_name"]).output()
    {
        let names = String::from_utf8(tshark.stdout).unwrap();
        assert!(names.contains("sdkconfig.ad.intl.xiaomi.com"), "{names}{}", String::from_utf8_lossy(&tshark.stderr));
    }
}

#[test]
fn every_counted_packet_can_be_written_and_they_add_up() {
    let lab = Lab::new();
    for destination in ["xiaomi.net", "local"] {
        let out = lab.beside("all.pcapng");
        let output = lab.explain(destination, &["--json", "--all", "--evidence", text(&out)]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let counted = evidence(&out).into_iter().filter(|(.., comments)| comments.iter().any(|comment| comment.contains(": counted")));
        let bytes: u64 = counted.map(|(_, wire_len, ..)| u64::from(wire_len)).sum();
        let rows = told["rows"].as_array().unwrap().iter();
        let sum = |field: &str| rows.clone().map(|row| row["sum"][field].as_u64().unwrap()).sum::<u64>();
        assert_eq!(bytes, sum("transmit_bytes") + sum("receive_bytes"), "{destination}");
    }
}

#[test]
fn packets_of_several_captures_are_told_with_their_file() {
    let lab = Lab::new();
    // Cut in the middle: the second file's packets begin with 1 again.
    let half = lab.frames.len() / 2;
    let at = 24 + lab.frames.iter().take(half).map(|(_, data)| 16 + data.len()).sum::<usize>();
    let (first, second) = (lab.beside("a.pcap"), lab.beside("b.pcap"));
    std::fs::write(&first, &lab.bytes[..at]).unwrap();
    std::fs::write(&second, [&lab.bytes[..24], &lab.bytes[at..]].concat()).unwrap();
    let output = explain(XIAOMI, "miui.com", &[text(&first), text(&second), "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let whole = lab.told("miui.com");
    let spots = |told: &Value| -> Vec<usize> {
        let flows = told["rows"].as_array().unwrap().iter().flat_map(|row| row["counted"].as_array().unwrap());
        let ends = flows.flat_map(|flow| [flow["first"].clone(), flow["last"].clone()]);
        ends.map(|spot| number(&spot["packet"]) + if spot["file"] == text(&second) { half } else { 0 }).collect()
    };
    assert_eq!(spots(&told), spots(&whole));
    assert!(spots(&whole).iter().any(|number| *number > half) && spots(&whole).iter().any(|number| *number <= half));
    let words = explain(XIAOMI, "miui.com", &[text(&first), text(&second)]);
    assert!(String::from_utf8(words.stdout).unwrap().contains(&format!("packet {}:", text(&first))));
}

#[track_caller]
fn fails(output: &Output, words: &[&str]) {
    let said = err(output);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
    assert!(said.starts_with("whither: ") && said.lines().count() == 1, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
}

#[test]
fn who_or_what_is_not_there_is_told_with_the_nearest() {
    let lab = Lab::new();
    let path = text(&lab.path);
    fails(&explain("Mi10", "xiaomi.com", &[path]), &["no device `Mi10`", "Mi10T-5G"]);
    fails(&lab.explain("xiaomi.con", &[]), &["`xiaomi.con`", "xiaomi.com"]);
    fails(&lab.explain("sdkkonfig.ad.intl.xiaomi.com", &[]), &["sdkkonfig", "nearest are sdkconfig.ad.intl.xiaomi.com"]);
    fails(&lab.explain("203.0.113.250", &[]), &["203.0.113.250"]);
    fails(&explain(XIAOMI, "SG", &["-"]), &["standard input"]);
    fails(&explain(XIAOMI, "SG", &["nowhere.pcap"]), &["nowhere.pcap", "no such file"]);
    let link = lab.beside("link.pcap");
    std::fs::hard_link(&lab.path, &link).unwrap();
    for out in [path, text(&link)] {
        fails(&lab.explain("SG", &["--evidence", out]), &["which is read"]);
    }
    assert_eq!(std::fs::read(&lab.path).unwrap(), lab.bytes, "the capture is as it was");
}

#[test]
fn a_device_may_be_named_in_any_usual_way() {
    let lab = Lab::new();
    let whole = lab.explain("xiaomi.com", &[]).stdout;
    for device in ["D0-9C-7A-51-0E-2C", "d09c.7a51.0e2c", "d09c7a510e2c", "mi10t-5g", "Mi10T-5G d0:9c:7a:51:0e:2c", "192.168.77.101"] {
        let output = explain(device, "xiaomi.com", &[text(&lab.path)]);
        assert!(output.status.success() && output.stdout == whole, "{device}: {}", err(&output));
    }
}

#[test]
fn what_stands_before_the_damage_is_explained() {
    let lab = Lab::new();
    let torn = lab.beside("torn.pcap");
    std::fs::write(&torn, &lab.bytes[..lab.bytes.len() - 7]).unwrap();
    let output = explain(XIAOMI, "xiaomi.com", &[text(&torn)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("truncated") && String::from_utf8(output.stdout).unwrap().contains("as in the table of `read`"));
}

#[test]
fn an_alias_with_several_macs_is_one_device_with_one_sum() {
    let lab = Lab::new();
    let file = lab.beside("devices.toml");
    let both = format!("[[device]]\nalias = \"phones\"\nmac = [\"{XIAOMI}\", \"ac:47:1b:9e:40:d3\"]\n");
    std::fs::write(&file, both).unwrap();
    for device in ["phones", "AC471B9E40D3"] {
        let output = explain(device, "local", &["--devices", text(&file), text(&lab.path)]);
        let words = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(words.starts_with("DEVICE         phones"), "{words}{}", err(&output));
        assert!(words.contains(XIAOMI) && words.contains("ac:47:1b:9e:40:d3") && words.contains("as in the table of `read`"), "{words}");
    }
}
