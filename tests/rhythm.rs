//! The simulated lab run through the engine: every config pull with its delay, its gap and its size, for each phone what the
//! truth says, and a rhythm for what joining releases. And: what any phone does in the background is no config pull.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Cursor;
use std::sync::LazyLock;

use serde_json::Value;
use whither::capture::file::{File, Item};
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::geo::GeoDb;
use whither::engine::limits::Limits;
use whither::engine::snapshot::Snapshot;
use whither::engine::watchlist::Watchlist;
use whither::export::{events, notable};
use whither::simulate::truth::{DeviceTruth, Truth};
use whither::simulate::{Plan, write};

/// A run's truth, what the engine knows at its end, and its `config-pull` events in the order of their beginnings; then `rhythm` events.
type Run = (Truth, Snapshot, Vec<Value>, Vec<Value>);

static RUNS: LazyLock<[Run; 2]> = LazyLock::new(|| [1, 20_210_921].map(|seed| run(seed, Watchlist::embedded().unwrap(), |_| true)));

const LIST: &str = "globalapi.ad.xiaomi.com";

/// Reads those frames of a run that are to be seen.
fn run(seed: u64, list: Watchlist, seen: fn(&[u8]) -> bool) -> Run {
    let mut capture = Vec::new();
    let truth = write(&Plan { seed, ..Plan::default() }, &mut capture).unwrap();
    let mut engine = Engine::new(Limits::default(), OurSide::default(), GeoDb::embedded().unwrap(), true);
    engine.watch_for(vec![list]);
    let mut lines = Vec::new();
    File::from_reader(Cursor::new(capture))
        .unwrap()
        .read(&mut |item| {
            let Item::Frame(frame) = item else { panic!("all of it is Ethernet") };
            if seen(frame.data) {
                engine.ingest(&frame);
            }
            engine.events().for_each(|event| events::write_line(&event, "test", &mut lines));
        })
        .unwrap();
    engine.finish(|event| events::write_line(&event, "test", &mut lines));
    let told = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap());
    let told: Vec<Value> = told.collect();
    let of = |action: &str| told.iter().filter(|event| event["event.action"] == action).cloned().collect::<Vec<_>>();
    let (mut pulls, rhythms) = (of("config-pull"), of("rhythm"));
    pulls.sort_by_key(|event| event["event.start"].as_str().unwrap().to_owned());
    (truth, engine.snapshot(), pulls, rhythms)
}

fn phone<'a>(truth: &'a Truth, maker: &str) -> &'a DeviceTruth {
    truth.devices.iter().find(|device| device.maker == maker).unwrap()
}

fn of<'a>(pulls: &'a [Value], device: &str, name: &str) -> Vec<&'a Value> {
    pulls.iter().filter(|pull| pull["device.id"] == device && pull["destination.domain"] == name).collect()
}

#[test]
fn each_pull_of_the_list_has_its_delay_its_size_and_whether_that_changed() {
    for (truth, _, pulls, _) in &*RUNS {
        let xiaomi = phone(truth, "Xiaomi");
        let told = of(pulls, &xiaomi.mac, LIST);
        assert_eq!(told.len(), xiaomi.list_pulls.len());
        assert!(told.len() >= 12, "four apps, three times");
        for (index, (event, pull)) in told.iter().zip(&xiaomi.list_pulls).enumerate() {
            // The truth is of the request, the event of the connection's first packet: a round trip to Singapore before it, or two.
            let delay = pull.seconds_after_association - event["whither.attach_delay_s"].as_f64().unwrap();
            assert!((0.0..0.5).contains(&delay), "{delay} s: {event}");
            assert_eq!(event["whither.response_bytes"], pull.response_bytes, "{event}");
            assert_eq!((&event["whither.vendor"], &event["rule.category"]), (&"Xiaomi".into(), &"config".into()));
            assert_eq!(event["destination.geo.country_iso_code"], "SG");
            let before = index.checked_sub(1).map(|before| xiaomi.list_pulls[before].updated);
            assert_eq!(
                event["whither.size_class_changed"].as_bool().unwrap_or(false),
                before.is_some_and(|before| before != pull.updated),
                "{event}"
            );
            if let Some(class) = event["whither.size_class"].as_str() {
                assert_eq!(class == "large", pull.updated, "{event}");
            }
        }
        let changes: Vec<_> = told.iter().filter(|event| event["whither.size_class_changed"] == true).collect();
        assert_eq!(changes.len(), 2, "no longer new, and new again");
    }
}

#[test]
fn the_wait_of_twelve_hours_is_found_and_named() {
    for (truth, snapshot, pulls, _) in &*RUNS {
        let xiaomi = phone(truth, "Xiaomi");
        let row = snapshot.pulls.iter().find(|row| *row.device == *xiaomi.mac && &*row.name == LIST).unwrap();
        assert_eq!((row.count, row.bursts, row.round_gap), (xiaomi.list_pulls.len() as u64, 3, Some("12 h")));
        assert!(row.waited.is_some_and(|waited| (3_500.0..3_700.0).contains(&waited)), "it joined after an hour, too early");
        let gaps: Vec<_> = of(pulls, &xiaomi.mac, LIST).iter().filter_map(|event| event["whither.burst_gap_s"].as_f64()).collect();
        assert!(gaps.iter().any(|gap| (gap - 43_200.0).abs() <= 432.0), "{gaps:?}");

        let rhythm = snapshot.rhythms.iter().find(|row| *row.device == *xiaomi.mac && &*row.destination == LIST).unwrap();
        let attach = rhythm.attach.unwrap();
        assert!(attach.anchored && attach.chance < 1e-4 && attach.skipped == 1, "{rhythm:?}");
        assert_eq!((rhythm.beats, rhythm.periodic, rhythm.round_gap), (3, false, Some("12 h")));
    }
}

#[test]
fn an_event_tells_once_that_a_pull_follows_joining() {
    for (truth, _, _, rhythms) in &*RUNS {
        let xiaomi = phone(truth, "Xiaomi");
        let of = |name: &str| {
            rhythms.iter().filter(|event| event["device.id"] == *xiaomi.mac && event["destination.domain"] == name).collect::<Vec<_>>()
        };
        let [told] = of(LIST)[..] else { panic!("{rhythms:?}") };
        assert_eq!((&told["whither.rhythm"], &told["rule.category"]), (&"anchored".into(), &"config".into()));
        assert!(told["whither.attach_delay_s"].as_f64().unwrap() < 10.0, "{told}");
        assert!(of("mtalk.google.com").iter().any(|event| event["whither.rhythm"] == "persistent"), "{rhythms:?}");
    }
}

#[test]
fn the_huawei_asks_for_its_region_whenever_it_joins() {
    for (truth, _, pulls, _) in &*RUNS {
        let huawei = phone(truth, "Huawei");
        let told = of(pulls, &huawei.mac, "grs.dbankcloud.com");
        assert_eq!(told.len(), huawei.associations.len());
        assert!(
            told.iter().all(|event| event["rule.category"] == "region_routing" && event["whither.attach_delay_s"].as_f64().unwrap() < 10.0)
        );
        assert!(told.iter().all(|event| event["whither.size_class"].is_null()), "its answers are all alike");
    }
}

#[test]
fn the_oneplus_has_none_and_its_coverage_beside_that() {
    for (truth, snapshot, pulls, _) in &*RUNS {
        let oneplus = phone(truth, "OnePlus");
        assert!(!pulls.iter().any(|event| event["device.id"] == *oneplus.mac));
        assert!(!snapshot.pulls.iter().any(|row| *row.device == *oneplus.mac));
        let counts: Vec<_> = snapshot.pull_counts.iter().filter(|row| *row.device == *oneplus.mac).map(|row| row.pulls).collect();
        assert_eq!(counts, [0]);
        let text = notable::lines(snapshot);
        let line = text.lines().find(|line| line.starts_with("Config pulls,") && line.contains(&oneplus.mac)).unwrap();
        let (before, after) = line.split_once(": none seen; coverage: seen for ").unwrap();
        assert!(before.contains(&oneplus.mac) && (after.starts_with("25 h 5") || after.starts_with("26 h 0 min")), "{line}");
        assert!(line.contains(&format!(" {} associations, ", oneplus.associations.len())), "{line}");
        assert!(line.contains(" % of outside bytes without a name, ") && line.contains(" % hidden"), "{line}");
    }
}

#[test]
fn nothing_but_listed_configuration_is_a_pull() {
    for (_, _, pulls, _) in &*RUNS {
        let mut names: Vec<&str> = pulls.iter().map(|event| event["destination.domain"].as_str().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names, [LIST, "grs.dbankcloud.com", "sdkconfig.ad.intl.xiaomi.com"]);
    }
}

#[test]
fn no_background_of_the_run_is_called_periodic_and_push_is_taken_out() {
    for (_, snapshot, ..) in &*RUNS {
        let periodic: Vec<_> = snapshot.rhythms.iter().filter(|row| row.periodic).map(|row| &row.destination).collect();
        assert!(periodic.is_empty(), "the simulation has no timer: {periodic:?}");
        let push: Vec<_> = snapshot.rhythms.iter().filter(|row| &*row.destination == "mtalk.google.com").collect();
        assert_eq!(push.len(), 3);
        assert!(push.iter().all(|row| row.persistent.flows >= 2 && row.persistent.longest.as_secs() > 11 * 3_600), "{push:?}");
    }
}

#[test]
fn without_the_access_points_word_dhcp_says_when_a_phone_joined() {
    // A length, not an EtherType: the 802.2 frames.
    let (truth, snapshot, pulls, _) = run(1, Watchlist::embedded().unwrap(), |frame| frame.get(12).is_some_and(|high| *high >= 6));
    for device in truth.devices.iter().filter(|device| !device.router) {
        let row = snapshot.coverage.iter().find(|row| *row.device == *device.mac).unwrap();
        assert_eq!(row.associations, device.associations.len() as u64, "renewals are none: {row:?}");
    }
    let xiaomi = phone(&truth, "Xiaomi");
    let told = of(&pulls, &xiaomi.mac, LIST);
    assert_eq!(told.len(), xiaomi.list_pulls.len());
    for (event, pull) in told.iter().zip(&xiaomi.list_pulls) {
        let less = pull.seconds_after_association - event["whither.attach_delay_s"].as_f64().unwrap();
        assert!((0.0..3.0).contains(&less), "DHCP comes a moment later: {less} s");
    }
}

#[test]
fn a_list_of_ones_own_names_pulls_and_what_serves_other_purposes_too_is_none() {
    let own = "*.apkpure.com\tA store\tconfig\t-\tfalse\tM\nwww.gstatic.com\tGoogle\tconfig\t-\ttrue\tM\nplay.googleapis.com\tGoogle\ttelemetry\t-\tfalse\tM\n";
    let (truth, snapshot, pulls, _) = run(1, Watchlist::parse("mine", own).unwrap(), |_| true);
    let huawei = phone(&truth, "Huawei");
    let searches = huawei.stimuli.iter().filter(|stimulus| stimulus.kind == "store").count();
    assert_eq!((pulls.len(), of(&pulls, &huawei.mac, "m.apkpure.com").len()), (searches, searches));
    assert!(pulls.iter().all(|event| event["rule.ruleset"] == "mine" && event["rule.name"] == "*.apkpure.com"));
    let coverage = snapshot.coverage.iter().find(|row| *row.device == *huawei.mac).unwrap();
    assert!(coverage.shared_flows > 0 && coverage.shared.iter().map(|name| &**name).eq(["www.gstatic.com"]), "{coverage:?}");
}
