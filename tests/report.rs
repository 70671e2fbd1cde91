//! The report on the simulated lab run: it states the planted truth and nothing else, it is the same bytes wherever it is made, and its
//! page stays whole in a browser at the size of a phone, of a laptop and of paper.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

const VILNIUS: &str = "54.6872,25.2797";
const LIST: &str = "globalapi.ad.xiaomi.com";
/// The server whose country the databases have wrong: it answers from 1000 km away.
const PLANTED: &str = "sdkconfig.ad.intl.xiaomi.com";
/// What a report is written as.
const FORMS: [&str; 4] = ["html", "md", "json", "csv"];

/// The lab run, and where it lies.
static LAB: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    whither(&["simulate", "lab.pcap"], folder.path(), &[]);
    whither(
        &[&["report", "lab.pcap"], FLAGS, &["--html", "o.html", "--md", "o.md", "--json", "o.json", "--csv", "o.csv"]].concat(),
        folder.path(),
        &[],
    );
    folder
});
const FLAGS: &[&str] = &["--location", VILNIUS, "--ask", "SG", "--marks", "lab.marks"];

fn whither(arguments: &[&str], at: &Path, environment: &[(&str, &str)]) -> String {
    let run =
        Command::new(env!("CARGO_BIN_EXE_whither")).args(arguments).envs(environment.iter().copied()).current_dir(at).output().unwrap();
    assert!(run.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
    assert!(arguments[0] == "simulate" || run.stderr.is_empty(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

fn told(form: &str) -> String {
    fs::read_to_string(LAB.path().join(format!("o.{form}"))).unwrap()
}

fn model() -> Value {
    serde_json::from_str(&told("json")).unwrap()
}

fn truth() -> Value {
    serde_json::from_str(&fs::read_to_string(LAB.path().join("lab.truth.json")).unwrap()).unwrap()
}

/// A phone's part of the report, and its truth.
fn phone(maker: &str) -> (Value, Value) {
    let truth = truth()["devices"].as_array().unwrap().iter().find(|device| device["maker"] == maker).unwrap().clone();
    let told = model()["devices"].as_array().unwrap().iter().find(|device| device["id"] == truth["mac"]).unwrap().clone();
    (told, truth)
}

fn country(device: &Value, code: &str) -> Option<Value> {
    device["countries"].as_array().unwrap().iter().find(|place| place["code"] == code).cloned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn every_pull_of_the_list_is_there_with_its_delay_the_twelve_hours_and_its_size() {
    let (told, truth) = phone("Xiaomi");
    let rows: Vec<&Value> = told["pulls"].as_array().unwrap().iter().filter(|row| row["name"] == LIST).collect();
    let [row] = rows[..] else { panic!("{rows:?}") };
    let planted = truth["list_pulls"].as_array().unwrap();
    let pulls = row["pulls"].as_array().unwrap();
    assert_eq!((pulls.len(), number(&row["count"])), (planted.len(), planted.len() as u64));
    assert_eq!(row["round_gap"], "12 h");
    assert!((43_200_000..43_632_000).contains(&number(&row["least_gap_ms"])), "{row}");
    for (at, (pull, of_truth)) in pulls.iter().zip(planted).enumerate() {
        let delay = of_truth["seconds_after_association"].as_f64().unwrap() * 1000.0 - number(&pull["attach_delay_ms"]) as f64;
        assert!((0.0..500.0).contains(&delay), "{delay} ms between connection and request: {pull}");
        assert_eq!((&pull["response_bytes"], &pull["country"]), (&of_truth["response_bytes"], &"SG".into()));
        assert_eq!(pull["size_class"], if of_truth["updated"] == true { "large" } else { "small" });
        let before = at.checked_sub(1).map(|before| &planted[before]["updated"]);
        assert_eq!(pull["changed"] == true, before.is_some_and(|before| *before != of_truth["updated"]), "{pull}");
    }
    let md = self::told("md");
    assert!(md.contains(&format!("`{LIST}` (`Xiaomi`, config): {} in 3 bursts, least gap between bursts 12 h ", planted.len())), "{md}");
}

#[test]
fn two_phones_met_singapore_and_the_verdict_stands_beside_it() {
    for (maker, refuted) in [("Xiaomi", true), ("Huawei", false)] {
        let (told, truth) = phone(maker);
        let place = country(&told, "SG").unwrap();
        let planted = &truth["countries"]["SG"];
        assert_eq!((&place["transmit_bytes"], &place["receive_bytes"]), (&planted["transmit_bytes"], &planted["receive_bytes"]));
        assert!(number(&place["consistent_bytes"]) > 0);
        assert_eq!(number(&place["refuted_bytes"]) > 0, refuted, "{place}");
        let asked = told["asked"][0]["observed"].as_str().unwrap();
        assert!(asked.starts_with(&format!("{} flows, ", flows_to(&truth, "SG"))), "{asked}");
    }
}

fn flows_to(truth: &Value, code: &str) -> u64 {
    let there = truth["destinations"].as_array().unwrap().iter().filter(|row| row["country"] == code);
    there.map(|row| number(&row["flows"])).sum()
}

#[test]
fn the_planted_wrong_country_is_refuted_with_its_reason_and_no_other_of_xiaomi() {
    let (told, _) = phone("Xiaomi");
    let names = |row: &Value| row["names"].as_array().unwrap().clone();
    let refuted: Vec<Value> = told["destinations"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["country"] == "SG")
        .flat_map(names)
        .filter(|name| name["servers"].as_array().unwrap().iter().any(|server| server["verdict"] == "refuted"))
        .collect();
    let [name] = &refuted[..] else { panic!("{refuted:?}") };
    assert_eq!(name["name"], PLANTED);
    let words = name["servers"][0]["witnesses"].as_str().unwrap();
    assert!(
        words.contains("says Singapore; ")
            && words.contains("; but a handshake took 9.0 ms, ")
            && words.contains("and Singapore begins 9137 km away"),
        "{words}"
    );
    assert!(self::told("html").contains("but a handshake took 9."));
}

#[test]
fn the_third_phone_has_nothing_and_what_that_is_worth() {
    let (told, truth) = phone("OnePlus");
    assert_eq!(number(&told["pull_count"]), 0);
    assert_eq!(country(&told, "SG"), None);
    let coverage = &told["coverage"];
    assert_eq!(number(&coverage["associations"]), truth["associations"].as_array().unwrap().len() as u64);
    assert!((93_000..93_600).contains(&number(&coverage["associated_seconds"])), "{coverage}");
    assert_eq!((&coverage["frames_lost"], number(&coverage["hidden_bytes"])), (&Value::Null, 0), "a pcap file does not say what was lost");
    let absences = told["not_observed"].as_array().unwrap();
    let of = |what: &str| {
        absences.iter().find(|row| row["what"].as_str().unwrap().starts_with(what)).unwrap_or_else(|| panic!("{what}: {absences:?}"))
    };
    let pull = of("a config pull");
    assert_eq!(pull["support"], "weak", "26 h are less than three times 12 h");
    assert!((29_000..31_300).contains(&number(&pull["once_in_seconds"])), "26 h / 3.0: {pull}");
    let singapore = of("a server in Singapore (SG)");
    assert_eq!((&singapore["support"], number(&singapore["not_excluded_bytes"])), (&"open".into(), 0));
    assert!(singapore["because"].as_str().unwrap().contains("Mi10T-5G"), "{singapore}");
    // 1 - 0.05^(1/3), rounded up.
    assert_eq!(number(&singapore["after_joining_permille"]), 632);
    let html = self::told("html");
    let part = html.split("<h2 id=\"d1\">").nth(1).unwrap().split("<h2 ").next().unwrap();
    assert!(part.starts_with("OnePlus8T ") && part.contains("Not observed, and what that is worth"));
    assert!(part.contains("associated 25 h 54 min; joined 3 times; frames lost: not recorded in the capture; without a name 1.0 %"));
}

/// A pcapng file says what its writer lost: then a "not observed" is supported, or weak, and no longer open.
#[test]
fn what_the_writer_of_a_capture_lost_decides_over_what_was_not_observed() {
    let folder = tempfile::tempdir().unwrap();
    whither(&["simulate", "long.pcap", "--hours", "40"], folder.path(), &[]);
    let pcap = fs::read(folder.path().join("long.pcap")).unwrap();
    for (drops, support, least) in [(0, "supported", 950), (9_000, "weak", 700)] {
        fs::write(folder.path().join("long.pcapng"), pcapng(&pcap, drops)).unwrap();
        let model: Value = serde_json::from_str(&whither(&["report", "long.pcapng", "--json", "-"], folder.path(), &[])).unwrap();
        assert_eq!(model["header"]["captures"][0]["drops"]["system"], drops);
        let phone = model["devices"].as_array().unwrap().iter().find(|device| device["hostname"] == "OnePlus8T").unwrap();
        assert_eq!(phone["coverage"]["frames_lost"], drops);
        let absences = phone["not_observed"].as_array().unwrap();
        assert!(absences.len() >= 3 && absences.iter().all(|absence| absence["support"] == support), "{absences:?}");
        let pull = &absences[0];
        assert!(pull["what"].as_str().unwrap().starts_with("a config pull") && number(&pull["seen_permille"]) >= least, "{pull}");
        assert!(drops == 0 || number(&pull["seen_permille"]) < 850, "what is lost is not seen: {pull}");
        assert_eq!(pull["provided"], "", "nothing is supposed");
    }
}

/// A capture of nanoseconds and Ethernet as pcapng, with what its interface lost at its end.
fn pcapng(pcap: &[u8], drops: u64) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let length = u32::try_from(body.len() + 12).unwrap().to_le_bytes();
        [&kind.to_le_bytes(), &length, body, &length].concat()
    };
    let word = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().unwrap());
    assert_eq!(word(0), 0xa1b2_3c4d);
    let head = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    // if_tsresol: nanoseconds.
    let interface = [&[1, 0, 0, 0, 0, 0, 0, 0][..], &[9, 0, 1, 0, 9, 0, 0, 0], &[0; 4]].concat();
    let mut out = [block(0x0a0d_0d0a, &head), block(1, &interface)].concat();
    let mut at = 24;
    while at < pcap.len() {
        let time = u64::from(word(at)) * 1_000_000_000 + u64::from(word(at + 4));
        let (captured, wire) = (word(at + 8), word(at + 12));
        let data = &pcap[at + 16..at + 16 + captured as usize];
        let times = [((time >> 32) as u32).to_le_bytes(), (time as u32).to_le_bytes()].concat();
        let padding = vec![0; data.len().next_multiple_of(4) - data.len()];
        let body = [&[0; 4][..], &times, &captured.to_le_bytes(), &wire.to_le_bytes(), data, &padding].concat();
        out.extend(block(6, &body));
        at += 16 + data.len();
    }
    let lost = [&[0; 12][..], &[7, 0, 8, 0], &drops.to_le_bytes(), &[0; 4]].concat();
    out.extend(block(5, &lost));
    out
}

/// Which program this is and how old its data are is no property of a capture.
fn kept(md: &str) -> String {
    let other =
        |line: &&str| ["- Address databases:", "- Setting watchlist:", "- All settings:"].iter().any(|start| line.starts_with(start));
    md.split_inclusive('\n').filter(|line| !other(line)).collect::<String>().replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

#[test]
fn the_report_is_as_expected() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/lab.md");
    let md = kept(&told("md"));
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &md).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    for (line, (old, new)) in (1..).zip(expected.lines().zip(md.lines())) {
        assert_eq!(new, old, "line {line}; UPDATE=1 cargo test --test report takes what is told now");
    }
    assert_eq!(md.lines().count(), expected.lines().count());
}

#[test]
fn the_same_captures_give_the_same_bytes_in_another_place_time_zone_and_locale() {
    let elsewhere = tempfile::tempdir().unwrap();
    for file in ["lab.pcap", "lab.marks"] {
        fs::copy(LAB.path().join(file), elsewhere.path().join(file)).unwrap();
    }
    let full = elsewhere.path().join("lab.pcap");
    let flags = ["--html", "p.html", "--md", "p.md", "--json", "p.json", "--csv", "p.csv"];
    let environment = [("TZ", "Asia/Singapore"), ("LC_ALL", "lt_LT.UTF-8"), ("LANG", "tr_TR.UTF-8"), ("COLUMNS", "40")];
    whither(&[&["report", full.to_str().unwrap()], FLAGS, &flags].concat(), elsewhere.path(), &environment);
    for form in FORMS {
        let (one, two) = (told(form), fs::read_to_string(elsewhere.path().join(format!("p.{form}"))).unwrap());
        assert!(one.len() > 10_000, "{form}: {} bytes", one.len());
        assert!(one == two, "the {form} differ");
    }
    let compared = |at: &Path, capture: &str, environment: &[(&str, &str)]| {
        whither(&["compare", "mi10t-5g", "oneplus8t", capture, "--marks", "lab.marks", "--html", "-"], at, environment)
    };
    let (one, two) = (compared(LAB.path(), "lab.pcap", &[("TZ", "UTC")]), compared(elsewhere.path(), full.to_str().unwrap(), &environment));
    assert!(one.len() > 10_000 && one == two, "the comparisons differ");
}

#[test]
fn the_hash_is_that_of_the_file_and_one_device_can_be_asked_for() {
    let sum = Command::new("sha256sum").arg(LAB.path().join("lab.pcap")).output().unwrap().stdout;
    let sum = String::from_utf8(sum).unwrap().split(' ').next().unwrap().to_owned();
    assert_eq!(model()["header"]["captures"][0]["sha256"], *sum);
    let one = whither(&["report", "lab.pcap", "--device", "mi10t-5g", "--marks", "lab.marks", "--json", "-"], LAB.path(), &[]);
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(one["devices"].as_array().unwrap().len(), 1);
    let marks = one["marks"].as_array().unwrap();
    assert!(!marks.is_empty() && marks.iter().all(|mark| mark["device"] == one["devices"][0]["id"]), "what was done to others is theirs");
    assert!(one["header"]["settings"].as_array().unwrap().iter().any(|setting| setting["name"] == "device"));
    let default = whither(&["report", "lab.pcap"], LAB.path(), &[]);
    assert!(default.starts_with("# Where the devices sent their data\n"), "Markdown when nothing else is asked for");
}

#[test]
fn each_form_says_what_was_not_charged() {
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pcaps/damaged.pcap");
    for form in ["--md", "--html"] {
        let told = whither(&["report", capture, form, "-"], LAB.path(), &[]).to_lowercase();
        assert!(told.contains("not charged to a device: malformed-ip 1, no-ip 1, no-side-ours 1, truncated 2"), "{form}: {told}");
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    for (arguments, words, status) in [
        (&["report", "-"][..], "standard input", 1),
        (&["report", "lab.pcap", "--html", "-", "--md", "-"], "only one of", 2),
        (&["report", "lab.pcap", "--html", "lab.pcap"], "which is read", 1),
        (&["report", "lab.pcap", "--device", "mi11"], "Mi10T-5G", 1),
        (&["report", "lab.pcap", "--marks", "lab.truth.json"], "the marks lab.truth.json, line 1: not a time", 1),
        (&["compare", "idle", "in-use", "lab.pcap"], "no device was in the phase `in-use`", 1),
        (&["compare", "mi10t-5g", "oneplus8t", "lab.pcap", "--device", "mi10t-5g"], "--device chooses from two captures", 2),
    ] {
        let run = Command::new(env!("CARGO_BIN_EXE_whither")).args(arguments).current_dir(LAB.path()).output().unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(status), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn two_phones_side_by_side_differ_by_their_makers_and_not_by_what_both_do() {
    let told = whither(&["compare", "mi10t-5g", "oneplus8t", "lab.pcap", "--location", VILNIUS, "--json", "-"], LAB.path(), &[]);
    let told: Value = serde_json::from_str(&told).unwrap();
    let rows = told["rows"].as_array().unwrap();
    let row = |level: &str, what: &str| {
        rows.iter()
            .find(|row| row["level"] == level && row["what"].as_str().unwrap().starts_with(what))
            .unwrap_or_else(|| panic!("{level} {what}"))
    };
    for (level, what, on) in [
        ("country", "Singapore (SG)", "a"),
        ("asn", "AS45102 ", "a"),
        ("domain", "xiaomi.com", "a"),
        ("name", LIST, "a"),
        ("domain", "heytapmobile.com", "b"),
        ("name", "www.gstatic.com", "both"),
        ("ja4", "t13d", "both"),
    ] {
        assert_eq!(row(level, what)["on"], on, "{what}");
    }
    let z = |what: &str| row("domain", what)["z_centi"].as_i64().unwrap();
    assert!(z("xiaomi.com") > 400 && z("heytapmobile.com") < -400, "the makers stand out");
    assert!(["google.com", "gstatic.com", "debian.org"].into_iter().all(|what| z(what).abs() < 200), "what both do sinks");
    assert_eq!(row("domain", "xiaomi.com")["silence_permille"], 0);
    let lost = |row: &&Value| row["destination"] == LIST;
    assert_eq!(told["rhythms"].as_array().unwrap().iter().find(lost).unwrap()["b"], Value::Null);

    // A capture beside itself differs in nothing, and the order of the sides only turns the signs.
    let same = whither(&["compare", "lab.pcap", "lab.pcap", "--json", "-"], LAB.path(), &[]);
    let same: Value = serde_json::from_str(&same).unwrap();
    assert!(same["rows"].as_array().unwrap().iter().all(|row| row["on"] == "both" && row["z_centi"] == 0));
    assert_eq!(same["rhythms"].as_array().unwrap().len(), 0);
    let md = whither(&["compare", "oneplus8t", "mi10t-5g", "lab.pcap"], LAB.path(), &[]);
    assert!(md.contains("| only B | `xiaomi.com` | −6."), "{md}");
}

#[test]
fn two_phases_side_by_side_divide_what_the_device_did() {
    let phases = |arguments: &[&str]| -> Value {
        let words = [&["compare"], arguments, &["lab.pcap", "--device", "mi10t-5g", "--json", "-"]].concat();
        serde_json::from_str(&whither(&words, LAB.path(), &[])).unwrap()
    };
    let told = phases(&["attach", "idle"]);
    let rows = |level: &str| told["rows"].as_array().unwrap().iter().filter(|row| row["level"] == level).cloned().collect::<Vec<_>>();
    let list = rows("name").into_iter().find(|row| row["what"] == LIST).unwrap();
    assert_eq!((&list["on"], number(&list["a"]["flows"])), (&"a".into(), 12), "pulled when it joins, and never else");
    assert!(rows("ja4").iter().any(|row| row["on"] == "both"));
    // Nobody used the phone long enough to show, so the two phases are all of its time.
    let (device, _) = phone("Xiaomi");
    let outside = device["destinations"].as_array().unwrap().iter().filter(|row| row["outside"] == true);
    let all: u64 = outside.map(|row| number(&row["flows"])).sum();
    assert_eq!(number(&told["a"]["flows"]) + number(&told["b"]["flows"]), all);
    let bytes = |side: &str| number(&told[side]["transmit_bytes"]) + number(&told[side]["receive_bytes"]);
    let (some, whole) = (bytes("a") + bytes("b"), number(&device["coverage"]["outside_bytes"]));
    assert!(some <= whole && some > whole * 99 / 100, "{some} of {whole}: but for seconds between phases and roundings");
    // A phase is where a mark begins it.
    fs::write(
        LAB.path().join("phases.marks"),
        "2021-08-23T08:00:00Z {\"phase\": \"in-use\"}\n2021-08-23T20:00:00Z {\"phase\": \"idle\"}\n",
    )
    .unwrap();
    let told = phases(&["idle", "in-use", "--marks", "phases.marks"]);
    assert_eq!(told["b"]["associated_seconds"], 12 * 3_600);
    assert!(told["b"]["coverage"][0].as_str().unwrap().starts_with("1 times in-use, 12 h 0 min in all (1 by mark)"), "{}", told["b"]);
}

#[test]
fn what_follows_the_marks_is_told_of_both_sides_by_the_same_test() {
    let words = ["compare", "mi10t-5g", "oneplus8t", "lab.pcap", "--marks", "lab.marks", "--json", "-"];
    let told: Value = serde_json::from_str(&whither(&words, LAB.path(), &[])).unwrap();
    let rows = told["responses"].as_array().unwrap();
    let of = |label: &str, name: &str| {
        let is = |side: &Value| side["label"] == label && side["destination"] == name;
        rows.iter().find(|row| is(&row["a"]) || is(&row["b"])).unwrap_or_else(|| panic!("{label} {name}: {rows:?}"))
    };
    for (label, name) in [("page", "sa.api.intl.miui.com"), ("lock", "data.mistat.intl.xiaomi.com")] {
        let row = of(label, name);
        let marks = truth()["devices"][0]["stimuli"].as_array().unwrap().iter().filter(|stimulus| stimulus["kind"] == label).count() as u64;
        assert_eq!((number(&row["a"]["answered"]), number(&row["a"]["marks"])), (marks, marks), "{row}");
        assert!(number(&row["a"]["q_millionths"]) < 10_000 && row["b"].is_null(), "{row}");
    }
    // The same of both is no difference between them.
    let both = of("page", "www.gstatic.com");
    assert!(["a", "b"].iter().all(|side| number(&both[side]["q_millionths"]) < 10_000), "{both}");
}

/// A capture that breaks off is reported as far as it goes, with the damage in it.
#[test]
fn a_damaged_capture_is_reported_with_its_damage() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(LAB.path().join("lab.pcap")).unwrap();
    fs::write(folder.path().join("cut.pcap"), &whole[..whole.len() / 2]).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_whither"))
        .args(["report", "cut.pcap", "--json", "o.json"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1));
    let model: Value = serde_json::from_str(&fs::read_to_string(folder.path().join("o.json")).unwrap()).unwrap();
    let damage = model["header"]["captures"][0]["damage"].as_str().unwrap();
    assert!(damage.contains("truncated") && String::from_utf8_lossy(&run.stderr).contains(damage), "{damage}");
    assert_eq!(model["devices"].as_array().unwrap().len(), 4);
}

/// What a browser makes of the page: measured by a page around it, which writes down what is wrong.
#[test]
fn the_page_stays_whole_on_a_phone_a_laptop_and_paper() {
    if !browser_is_there() {
        return eprintln!("SKIPPED: chromium-headless-shell is not on PATH, the page is not opened");
    }
    let html = told("html");
    // Paper is 186 mm wide between the margins: 703 CSS pixels.
    let paper = html.replace("@media print {", "@media screen {").replace("<body>", "<body class=\"paper\">");
    for (name, page, width) in [("phone", &html, 390), ("laptop", &html, 1366), ("paper", &paper, 703)] {
        let (counts, wrong) = measured(name, page, width);
        assert!(wrong.is_empty(), "{name}, {width} px: {wrong}");
        let counts: Vec<u32> = counts.split(',').map(|count| count.parse().unwrap()).collect();
        assert!(counts[0] >= 7 && counts[1] >= 100 && counts[2] >= 1_000, "pictures, texts in them, cells: {counts:?}");
    }
    let compared = whither(&["compare", "mi10t-5g", "oneplus8t", "lab.pcap", "--marks", "lab.marks", "--html", "-"], LAB.path(), &[]);
    for width in [390, 1366] {
        let (_, wrong) = measured("side by side", &compared, width);
        assert!(wrong.is_empty(), "side by side, {width} px: {wrong}");
    }
    // What measures is measured: a picture and a cell that are too wide are found, and a picture from elsewhere is asked for.
    let broken = html.replacen("font-size=\"12\"", "font-size=\"60\"", 4).replacen("default-src 'none';", "", 1);
    let broken = broken.replacen("<h2", "<img src=\"http://127.0.0.1:9/x.png\"><h2", 1).replace("img-src data:", "img-src *");
    let (_, wrong) = measured("broken", &broken, 1366);
    for words in ["cut off in its picture", "on \"", "asks for http://127.0.0.1:9/x.png"] {
        assert!(wrong.contains(words), "{words}: {wrong}");
    }
}

fn browser_is_there() -> bool {
    Command::new(BROWSER).arg("--version").output().is_ok_and(|run| run.status.success())
}

const BROWSER: &str = "chromium-headless-shell";

/// Opens a page in a frame and gives back what is on it, what is wrong with it, and what the browser complained of.
fn measured(name: &str, page: &str, width: u32) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("page.html"), page).unwrap();
    let around = include_str!("report/measure.html").replace("WIDTH", &width.to_string());
    fs::write(folder.path().join("around.html"), around).unwrap();
    let net: PathBuf = folder.path().join("net.json");
    let run = Command::new(BROWSER)
        .args(["--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--enable-logging=stderr", "--virtual-time-budget=20000"])
        .arg(format!("--log-net-log={}", net.display()))
        .arg("--dump-dom")
        .arg(format!("file://{}", folder.path().join("around.html").display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&run.stdout).into_owned();
    let result =
        dom.split("<pre id=\"wrong\">").nth(1).and_then(|rest| rest.split("</pre>").next()).unwrap_or_else(|| panic!("{name}: {dom}"));
    let counts = result.lines().next().and_then(|line| line.strip_prefix("measured "));
    let counts = counts.unwrap_or_else(|| panic!("{name}: nothing was measured: {result}")).to_owned();
    let said: Vec<String> =
        String::from_utf8_lossy(&run.stderr).lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    let asked = fs::read_to_string(&net).unwrap_or_default();
    let requests = asked.matches("\"url\":\"http").count();
    let mut wrong: Vec<String> = result.lines().skip(1).map(str::to_owned).collect();
    wrong.extend(said);
    if requests > 0 {
        wrong.push(format!("{requests} requests left the page"));
    }
    (counts, wrong.join("\n"))
}
