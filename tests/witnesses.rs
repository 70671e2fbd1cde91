//! Witnesses of a location, through the real program: databases that disagree, regions in names and their aliases, anycast.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, on files of its own"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[expect(dead_code, reason = "these databases hold no numbers")]
#[path = "../geoip/mmdb_writer.rs"]
mod mmdb_writer;

/// 2026-01-01.
const BUILT: u64 = 1_767_225_600;

/// The lab run as read with a database of the person's own, which places these ranges.
struct Lab(tempfile::TempDir);

impl Lab {
    fn new(ranges: &[(&str, &str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = mmdb_writer::Writer::new(true);
        for (first, last, code) in ranges {
            let country = mmdb_writer::Value::Map(vec![("iso_code", mmdb_writer::Value::Text((*code).to_owned()))]);
            writer.insert(first.parse().unwrap(), last.parse().unwrap(), mmdb_writer::Value::Map(vec![("country", country)]));
        }
        fs::write(folder.path().join("second.mmdb"), writer.finish("Country", "made by a test", BUILT)).unwrap();
        whither(folder.path(), &["simulate", "lab.pcap", "--hours", "3"]);
        Self(folder)
    }

    fn read(&self, flags: &[&str]) -> String {
        whither(self.0.path(), &[&["read", "lab.pcap"], flags].concat())
    }

    /// The first flow to a name.
    fn flow(&self, flags: &[&str], name: &str) -> Value {
        let lines = self.read(&[&["--events", "-"], flags].concat());
        let flow = |event: &Value| event["event.action"] == "flow" && event["destination.domain"] == name;
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).find(flow).unwrap()
    }
}

fn whither(folder: &Path, arguments: &[&str]) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_whither")).current_dir(folder).args(arguments).output().unwrap();
    assert!(run.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn each_database_is_told_and_whether_they_agree() {
    let lab = Lab::new(&[("161.117.0.0", "161.117.255.255", "HK"), ("47.241.0.0", "47.241.255.255", "SG")]);
    let with: &[&str] = &["--geoip", "second.mmdb"];

    let disputed = lab.flow(with, "globalapi.ad.xiaomi.com");
    assert_eq!(disputed["destination.geo.country_iso_code"], "HK", "the first that knows is believed");
    let databases = serde_json::json!([
        {"database": "second", "built": "2026-01-01", "country": "HK"},
        {"database": "dbip-country", "built": "2026-06-01", "country": "SG"},
    ]);
    assert_eq!((&disputed["whither.geo_databases"], &disputed["whither.geo_agree"]), (&databases, &false.into()));

    assert_eq!(lab.flow(with, "sa.api.intl.miui.com")["whither.geo_agree"], true);
    let one = lab.flow(with, "www.ripe.net");
    assert_eq!(one.get("whither.geo_agree"), None, "one that knows agrees with nobody");
    assert_eq!(one["whither.geo_databases"][0].get("country"), None);
    assert_eq!(one["whither.geo_databases"][1]["country"], "NL");

    let alone = lab.flow(&[], "globalapi.ad.xiaomi.com");
    assert_eq!((alone.get("whither.geo_databases"), alone.get("whither.geo_agree")), (None, None));

    let table = lab.read(&[with, &["--location", "54.6872,25.2797", "--metrics", "metrics.txt"]].concat());
    assert!(table.lines().any(|line| line.contains("Hong Kong, disputed")), "{table}");
    let told = table.split("Locations that a witness contradicts:\n").nth(1).unwrap();
    let line = told.lines().find(|line| line.contains("globalapi.ad.xiaomi.com 161.117.70.145: ")).unwrap();
    assert!(line.contains("the databases disagree: second says Hong Kong, dbip-country says Singapore; "), "{line}");
    assert!(line.ends_with("; the handshake time does not contradict it, which proves nothing"), "{line}");
    assert!(told.contains("sdkconfig.ad.intl.xiaomi.com 47.74.200.1: one database says Singapore; "), "{told}");
    assert!(!told.contains("sa.api.intl.miui.com"), "{told}");

    let metrics = fs::read_to_string(lab.0.path().join("metrics.txt")).unwrap();
    let disputed = |line: &&str| line.starts_with("whither_geoip_disagreement_bytes_total{") && !line.ends_with(" 0");
    assert_eq!(metrics.lines().filter(disputed).count(), 1, "only the Xiaomi went there");
}

#[test]
fn a_region_in_a_name_or_its_alias_is_a_witness() {
    let lab = Lab::new(&[("18.193.0.0", "18.193.255.255", "IE")]);
    let said = |flags: &[&str], name: &str| {
        let flow = lab.flow(flags, name);
        let keys = ["whither.region_token", "whither.region", "whither.region_kind", "whither.region_agrees"];
        keys.map(|key| flow.get(key).map_or("-".to_owned(), |value| value.as_str().map_or(value.to_string(), str::to_owned)))
    };
    assert_eq!(said(&[], "api.ad.intl.xiaomi.com"), ["eu-central-1", "Germany", "cloud", "true"], "a cloud's word before a vendor's");
    assert_eq!(said(&["--geoip", "second.mmdb"], "api.ad.intl.xiaomi.com"), ["eu-central-1", "Germany", "cloud", "false"]);
    assert_eq!(said(&[], "sa.api.intl.miui.com"), ["intl", "places outside the vendor's home", "vendor", "-"], "too wide to say");
    assert_eq!(said(&[], "metrics-dre.dt.dbankcloud.cn"), ["-dre", "Europe", "vendor", "true"]);
    assert_eq!(said(&[], "www.ripe.net"), ["-", "-", "-", "-"]);

    let summary: Value = serde_json::from_str(&lab.read(&["--geoip", "second.mmdb", "--json"])).unwrap();
    let row = |country: &str| {
        let rows = summary["destinations"].as_array().unwrap().iter();
        rows.clone().find(|row| row["destination"] == "xiaomi.com" && row["country"] == country).unwrap().clone()
    };
    let location = &row("IE")["location"];
    assert_eq!((&location["region"]["alias"], &location["region"]["agrees"]), (&true.into(), &false.into()));
    assert!(
        location["words"].as_str().unwrap().contains("; but an alias of the name claims Germany (eu-central-1, a cloud's own region); ")
    );
    assert!(lab.read(&["--geoip", "second.mmdb"]).contains("Ireland, disputed"));
}

#[test]
fn an_address_in_many_places_is_marked_and_never_contradicted() {
    let lab = Lab::new(&[("8.8.8.0", "8.8.8.255", "DE")]);
    let with: &[&str] = &["--geoip", "second.mmdb", "--location", "54.6872,25.2797"];
    let lines = lab.read(&[&["--events", "-"], with].concat());
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let flow = events.iter().find(|event| event["event.action"] == "flow" && event["destination.ip"] == "8.8.8.8").unwrap();
    assert_eq!((&flow["whither.anycast"], &flow["whither.geo_agree"]), (&true.into(), &false.into()));
    assert_eq!(flow["whither.location_verdict"], "unmeasured");
    assert!(events.iter().filter(|event| event["destination.ip"] != "8.8.8.8").all(|event| event.get("whither.anycast").is_none()));
    let table = lab.read(with);
    assert!(table.contains("Germany (anycast)  "), "{table}");
    assert!(!table.contains("8.8.8.8:"), "{table}");
}
