//! What `watch --record` keeps: that it tells what the wire told, and that marks come out of it again. The ring itself is tried at the foot
//! of `export::record`.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test makes its own world, and fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use whither::capture::file::{File, Item};
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::geo::GeoDb;
use whither::engine::limits::Limits;
use whither::export::pcapng::{Captured, Source};
use whither::export::record::{Recorder, Rules, files};
use whither::mark::Mark;
use whither::packet::Frame;

fn whither(words: &[&str]) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_whither")).args(words).output().unwrap();
    assert!(ran.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn rules(size: u64, total: u64) -> Rules {
    let source = Source { interface: "ap0".to_owned(), linktype: 1, snaplen: 4_096, filter: Some("ip or arp".to_owned()) };
    Rules { size, age: None, total, source, notes: vec!["a note".to_owned()] }
}

fn open(folder: &Path, size: u64, total: u64) -> Recorder {
    Recorder::open(folder, rules(size, total), |news| panic!("{news:?}")).unwrap()
}

/// Hands a frame over, however long the disk takes: a test waits where a capture drops.
fn keep(recorder: &mut Recorder, frame: &Frame<'_>, head: Option<usize>) {
    let data = head.map_or(frame.data, |head| &frame.data[..head]);
    let captured = Captured { nanos: frame.time.as_nanos(), linktype: frame.link.linktype(), wire_len: frame.wire_len, data };
    recorder.packet(captured);
    while !recorder.flush() {
        std::thread::yield_now();
    }
}

/// Records a capture as `watch --record-headers` would; the frames' bytes that were kept, and those that there were.
fn record_headers(capture: &Path, folder: &Path) -> (usize, usize) {
    let side = OurSide { nets: Vec::new(), by_address: false };
    let mut engine = Engine::new(Limits::default(), side, GeoDb::embedded().unwrap(), false);
    let mut recorder = open(folder, 1 << 30, 1 << 30);
    let (mut kept, mut all) = (0, 0);
    let mut read = |item: Item<'_>| match item {
        Item::Frame(frame) => {
            engine.ingest(&frame);
            keep(&mut recorder, &frame, engine.head());
            kept += engine.head().unwrap_or(frame.data.len());
            all += frame.data.len();
        }
        Item::Unreadable(..) => engine.unreadable(),
        Item::Mark(number, mark) => engine.mark(mark, number),
    };
    File::open(capture).unwrap().read(&mut read).unwrap();
    recorder.finish();
    (kept, all)
}

fn lab(folder: &Path, hours: &str) -> PathBuf {
    let capture = folder.join("lab.pcap");
    whither(&["simulate", "--hours", hours, text(&capture)]);
    capture
}

/// What is cut off is what nobody read: every event, every name, every byte counted is the same.
#[test]
fn headers_alone_tell_everything_but_the_content() {
    let place = tempfile::tempdir().unwrap();
    let mut captures = vec![lab(place.path(), "3")];
    for sample in ["phones", "http", "quic", "dns", "dhcp", "ethernet", "hello", "near", "vlan", "wifi"] {
        captures.push(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/pcaps/{sample}.pcap")));
    }
    for (number, capture) in captures.iter().enumerate() {
        let folder = place.path().join(number.to_string());
        let (kept, all) = record_headers(capture, &folder);
        for words in [&["--events", "-"][..], &["--metrics", "-"], &["--json"]] {
            let told = |path: &Path| whither(&[&["read", "--learning", "0", text(path)], words].concat());
            assert_eq!(told(&folder), told(capture), "{} {words:?}", capture.display());
        }
        if number == 0 {
            assert!(kept * 2 < all, "of {all} bytes {kept} are kept: content is among them");
        }
    }
}

/// The report's header must differ: the file, what of it is cut, and what its writer lost. Every other line is the same.
#[test]
fn the_report_of_a_recording_differs_in_its_header_alone() {
    let place = tempfile::tempdir().unwrap();
    let capture = lab(place.path(), "2");
    let folder = place.path().join("ring");
    let mut recorder = open(&folder, 200_000, 1 << 30);
    let mut read = |item: Item<'_>| {
        let Item::Frame(frame) = item else { panic!("all of it is Ethernet") };
        keep(&mut recorder, &frame, None);
    };
    File::open(&capture).unwrap().read(&mut read).unwrap();
    recorder.finish();
    assert!(files(&folder).unwrap().len() > 2, "several files, which are one capture");
    // One device leaves when a capture begins again; here none is silent for so long.
    let report = |path: &Path, form: &str| whither(&["report", text(path), form, "-"]);
    for form in ["--json", "--md", "--html", "--csv"] {
        let (ours, theirs) = (report(&folder, form), report(&capture, form));
        assert_eq!(ours, report(&folder, form), "twice the same");
        match form {
            "--json" => {
                let [mut ours, mut theirs]: [serde_json::Value; 2] = [&ours, &theirs].map(|text| serde_json::from_str(text).unwrap());
                assert_eq!(ours["header"]["captures"].as_array().unwrap().len(), files(&folder).unwrap().len());
                for told in [&mut ours, &mut theirs] {
                    told["header"]["captures"].take();
                    losses(told);
                }
                assert_eq!(ours, theirs);
            }
            "--csv" => assert_eq!(ours, theirs),
            _ => assert!(ours.contains("-20"), "the files are named"),
        }
    }
}

/// Takes out what a pcapng file knows and a pcap file cannot: how many frames were lost.
fn losses(told: &mut serde_json::Value) {
    let lost = "fewer than 0.1 % of the frames lost by the capture";
    for device in told["devices"].as_array_mut().unwrap() {
        device["coverage"]["frames_lost"].take();
        for absence in device["not_observed"].as_array_mut().unwrap() {
            absence["support"].take();
            absence["provided"].take();
            absence["conditions"].as_array_mut().unwrap().retain(|condition| condition["what"] != lost);
        }
    }
    for spot in told["blind_spots"].as_array_mut().unwrap() {
        spot["here"].take();
    }
}

/// In a marked capture phases and marks are told, escaped; and read again the same.
#[test]
fn marks_stand_in_the_report_whoever_wrote_them() {
    let place = tempfile::tempdir().unwrap();
    let capture = lab(place.path(), "2");
    let folder = place.path().join("ring");
    let mut recorder = open(&folder, 1 << 20, 1 << 30);
    let mut number = 0_u64;
    let mut read = |item: Item<'_>| {
        let Item::Frame(frame) = item else { panic!("all of it is Ethernet") };
        number += 1;
        let line = match number {
            100 => "{\"text\": \"idle from now\", \"phase\": \"idle\", \"device\": \"Mi10T-5G\"}".to_owned(),
            200 => format!("<script>alert(1)</script> | `x` \u{1b}[31m{}", "y".repeat(10_000)),
            _ => String::new(),
        };
        Mark::from_line(line.as_bytes(), frame.time).into_iter().for_each(|mark| recorder.mark(mark));
        keep(&mut recorder, &frame, None);
    };
    File::open(&capture).unwrap().read(&mut read).unwrap();
    recorder.finish();
    let json: serde_json::Value = serde_json::from_str(&whither(&["report", text(&folder), "--json", "-"])).unwrap();
    let marks = json["marks"].as_array().unwrap();
    let idle = marks.iter().find(|mark| mark["text"] == "idle from now").unwrap();
    assert_eq!((&idle["phase"], &idle["device"]), (&"idle".into(), &"d0:9c:7a:51:0e:2c".into()));
    let html = whither(&["report", text(&folder), "--html", "-"]);
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !html.contains("<script") && !html.contains('\u{1b}'));
    let events = whither(&["read", text(&folder), "--events", "-"]);
    assert!(events.lines().any(|line| line.contains("\"event.action\":\"mark\"") && line.contains("\"message\":\"idle from now\"")));
    let device = json["devices"].as_array().unwrap().iter().find(|device| device["id"] == "d0:9c:7a:51:0e:2c").unwrap();
    let last = device["phases"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["phase"], &last["by"]), (&"idle".into(), &"mark".into()), "it holds to the end");
}
