//! The dashboard asks only for what the sensor has, and says something sensible where there is nothing.
//!
//! Checked by its structure and by promtool, which every Prometheus package brings. The road not taken is a Grafana server
//! in the tests: it is no package of any distribution, and what it would refuse is known and listed here.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reads files of its own and should stop at the first wrong one"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use whither::export::prometheus;

/// Grafana's own variables that the dashboard uses, each with a value that makes a query whole.
const BUILT_IN: &[(&str, &str)] =
    &[("__rate_interval", "1m"), ("__interval", "1m"), ("__range", "6h"), ("__url_time_range", ""), ("__value.raw", "")];

#[test]
fn every_panel_says_what_it_shows_and_what_it_means_when_empty() {
    for (file, dashboard) in dashboards() {
        let mut ids = BTreeSet::new();
        for panel in panels(&dashboard) {
            let title = text(panel, "/title");
            let place = format!("{file}: panel {:?} {title:?}", panel["id"]);
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{place}: its id is used twice");
            assert!(!title.is_empty(), "{place}: no title");
            assert!(text(panel, "/description").len() > 20, "{place}: no description");
            if matches!(text(panel, "/type"), "text" | "row") {
                continue;
            }
            assert!(!text(panel, "/fieldConfig/defaults/unit").is_empty(), "{place}: no unit");
            assert!(!text(panel, "/fieldConfig/defaults/noValue").is_empty(), "{place}: nothing to say when empty");
            assert!(panel["targets"].as_array().is_some_and(|targets| !targets.is_empty()), "{place}: no query");
        }
    }
}

#[test]
fn panels_do_not_overlap() {
    for (file, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        for panel in panels(&dashboard) {
            let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            assert!(side("x") + side("w") <= 24, "{file}: {:?} is wider than the page", panel["title"]);
            for y in side("y")..side("y") + side("h") {
                for x in side("x")..side("x") + side("w") {
                    assert!(taken.insert((x, y)), "{file}: {:?} covers another panel at {x},{y}", panel["title"]);
                }
            }
        }
    }
}

#[test]
fn every_metric_in_a_query_exists() {
    let series: BTreeSet<String> = prometheus::series().collect();
    for (file, dashboard) in dashboards() {
        let mut named = 0;
        for query in queries(&dashboard) {
            for metric in words(&query).filter(|word| word.starts_with("whither_")) {
                assert!(series.contains(metric), "{file}: no such metric: {metric}, in {query}");
                named += 1;
            }
        }
        assert!(named > 0, "{file}: no query names a metric of the sensor");
    }
}

#[test]
fn every_variable_is_defined_and_no_sensor_is_hard_coded() {
    for (file, dashboard) in dashboards() {
        let defined: BTreeSet<&str> = variables(&dashboard).collect();
        for wanted in ["datasource", "job", "device"] {
            assert!(defined.contains(wanted), "{file}: no variable {wanted}");
        }
        strings(&dashboard, &mut |value| {
            for name in used_variables(value) {
                let known = defined.contains(name.as_str()) || BUILT_IN.iter().any(|(built_in, _)| *built_in == name);
                assert!(known, "{file}: ${{{name}}} is not defined, in {value}");
            }
        });
        for query in queries(&dashboard) {
            assert!(!query.contains("instance=") && !query.contains("9843"), "{file}: names one sensor: {query}");
        }
    }
}

#[test]
fn data_sources_are_chosen_by_the_variable() {
    for (file, dashboard) in dashboards() {
        let mut seen = 0;
        walk(&dashboard, &mut |value| {
            let Some(source) = value.get("datasource") else { return };
            // A panel without queries needs none; Grafana's own holds the annotations.
            if source["uid"] == "-- Grafana --" {
                return;
            }
            assert_eq!(source["type"], "prometheus", "{file}: {source}");
            assert_eq!(source["uid"], "${datasource}", "{file}: {source}");
            seen += 1;
        });
        assert!(seen > 0, "{file}: no data source");
    }
}

#[test]
fn the_estimate_and_its_source_stand_on_the_page() {
    for (file, dashboard) in dashboards() {
        let notes: String =
            panels(&dashboard).filter(|panel| panel["type"] == "text").map(|panel| text(panel, "/options/content")).collect();
        assert!(notes.contains("[IP Geolocation by DB-IP](https://db-ip.com)"), "{file}: the licence asks for this link");
        assert!(notes.contains("estimates"), "{file}: a location is an estimate");
    }
}

/// Grafana refuses a dashboard that bears its folder's name, and one whose uid is taken.
#[test]
fn provisioning_compose_and_dashboards_fit_each_other() {
    let provider = read("provisioning/dashboards/whither.yml");
    let folder = yaml_value(&provider, "folder:");
    let mut uids = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        let (uid, title) = (text(&dashboard, "/uid"), text(&dashboard, "/title"));
        assert!(!title.eq_ignore_ascii_case(&folder) && !uid.eq_ignore_ascii_case(&folder), "{file}: named like its folder {folder}");
        assert_eq!(file, format!("{uid}.json"), "the file's name tells the uid");
        assert!(uids.insert(uid.to_owned()), "{file}: uid {uid} is used twice");
        let schema = dashboard["schemaVersion"].as_u64().unwrap();
        assert!((38..=39).contains(&schema), "{file}: Grafana 10 reads schema 38, and later ones migrate; this is {schema}");
    }

    let compose = read("compose.yml");
    let mounts: Vec<Vec<&str>> =
        compose.lines().filter_map(|line| line.trim().strip_prefix("- ./")).map(|mount| mount.split(':').collect()).collect();
    assert_eq!(mounts.len(), 4, "each file and folder that the two servers read");
    for mount in &mounts {
        assert!(root().join(mount[0]).exists(), "compose.yml mounts {} which is not there", mount[0]);
    }
    let dashboards_at = yaml_value(&provider, "path:");
    assert!(
        mounts.iter().any(|mount| mount[0] == "dashboards" && mount[1] == dashboards_at),
        "dashboards are not mounted at {dashboards_at}"
    );

    let images: Vec<&str> = compose.lines().filter_map(|line| line.trim().strip_prefix("image:")).collect();
    assert_eq!(images.len(), 2);
    for image in images {
        let tag = image.rsplit(':').next().unwrap().trim_start_matches('v');
        assert!(tag.split('.').count() == 3 && tag.split('.').all(|part| part.parse::<u32>().is_ok()), "{image}: pin a whole version");
    }

    // Prometheus listens where the data source looks, and scrapes where the sensor listens by default.
    let source = yaml_value(&read("provisioning/datasources/prometheus.yml"), "url:");
    assert!(compose.contains(&format!("--web.listen-address={}", source.trim_start_matches("http://"))), "nobody listens at {source}");
    assert!(read("prometheus.yml").contains("127.0.0.1:9843"), "the sensor's default address");
}

#[test]
fn promtool_reads_the_configuration_and_every_query() {
    if Command::new("promtool").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        // Not by `eprintln!`, which the test harness would keep to itself.
        let note = "SKIPPED: promtool is not installed (Debian: apt-get install prometheus): queries and prometheus.yml go unchecked";
        writeln!(std::io::stderr(), "{note}").unwrap();
        return;
    }
    promtool(&["check", "config"], &root().join("prometheus.yml"));

    let folder = tempfile::tempdir().unwrap();
    for (file, dashboard) in dashboards() {
        let rules: Vec<Value> = panels(&dashboard)
            .flat_map(expressions)
            .enumerate()
            .map(|(number, query)| serde_json::json!({"record": format!("dashboard:query:{number}"), "expr": whole(&query, &dashboard)}))
            .collect();
        // JSON is YAML.
        let path = folder.path().join(file);
        fs::write(&path, serde_json::json!({"groups": [{"name": "queries", "rules": rules}]}).to_string()).unwrap();
        promtool(&["check", "rules"], &path);
    }
}

fn promtool(arguments: &[&str], file: &Path) {
    let run = Command::new("promtool").args(arguments).arg(file).output().unwrap();
    let said = [run.stdout, run.stderr].concat();
    assert!(run.status.success(), "promtool {arguments:?} {}:\n{}", file.display(), String::from_utf8_lossy(&said));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana")
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("grafana/{name}: {error}"))
}

/// The first value of a key in a file of ours: plain, one line, an optional comment behind it.
fn yaml_value(yaml: &str, key: &str) -> String {
    let line = yaml.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap_or_else(|| panic!("no {key}"));
    line.split(" #").next().unwrap().trim().to_owned()
}

/// Every dashboard with its file's name.
fn dashboards() -> Vec<(String, Value)> {
    let folder = root().join("dashboards");
    let found: Vec<(String, Value)> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let json = fs::read_to_string(folder.join(&name)).unwrap();
            (name.clone(), serde_json::from_str(&json).unwrap_or_else(|error| panic!("{name}: {error}")))
        })
        .collect();
    assert!(!found.is_empty(), "no dashboard");
    found
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter()
}

fn variables(dashboard: &Value) -> impl Iterator<Item = &str> {
    dashboard["templating"]["list"].as_array().unwrap().iter().map(|variable| text(variable, "/name"))
}

/// The queries of a panel.
fn expressions(panel: &Value) -> Vec<String> {
    panel["targets"].as_array().into_iter().flatten().map(|target| text(target, "/expr").to_owned()).collect()
}

/// The queries of all panels and variables.
fn queries(dashboard: &Value) -> Vec<String> {
    let asked_by_variables = dashboard["templating"]["list"].as_array().unwrap().iter().filter(|variable| variable["type"] == "query");
    panels(dashboard).flat_map(expressions).chain(asked_by_variables.map(|variable| text(variable, "/query/query").to_owned())).collect()
}

/// A query as Grafana would send it.
fn whole(query: &str, dashboard: &Value) -> String {
    let mut names: Vec<(&str, &str)> = BUILT_IN.to_vec();
    names.extend(variables(dashboard).map(|name| (name, ".+")));
    names.iter().fold(query.to_owned(), |query, (name, value)| query.replace(&format!("${name}"), value))
}

/// The names after `$`, as `$name` or `${name}` or `${name:format}`.
fn used_variables(value: &str) -> Vec<String> {
    value
        .split('$')
        .skip(1)
        .map(|rest| match rest.strip_prefix('{') {
            Some(braced) => braced.chars().take_while(|c| !matches!(c, '}' | ':')).collect(),
            None => rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect(),
        })
        .collect()
}

fn words(query: &str) -> impl Iterator<Item = &str> {
    query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Visits every value, from the outside in.
fn walk(value: &Value, visit: &mut dyn FnMut(&Value)) {
    visit(value);
    match value {
        Value::Array(list) => list.iter().for_each(|inner| walk(inner, visit)),
        Value::Object(map) => map.values().for_each(|inner| walk(inner, visit)),
        _ => {}
    }
}

/// Visits every string, except Grafana's own words for "all values".
fn strings(value: &Value, visit: &mut dyn FnMut(&str)) {
    walk(value, &mut |value| {
        if let Some(text) = value.as_str().filter(|text| *text != "$__all") {
            visit(text);
        }
    });
}
