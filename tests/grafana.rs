//! The dashboards, rules and servers' files under `grafana/` are whole, fit each other, and say something sensible where there is
//! nothing. What their queries find, `queries.rs` asks a Prometheus.
//!
//! The road not taken is a Grafana server in the tests: it is no package of any distribution. In its place stand Grafana's own types
//! from npm and its foundation SDK from PyPI.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test reads files of its own and should stop at the first wrong one"
)]

mod mixin;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mixin::{choices, dashboards, have, panels, promtool, queries, read, root, say_skipped, text, variables, whole};
use serde_json::Value;
use whither::export::prometheus;

/// Grafana's own variables that the dashboards use, each with a value that makes a query whole.
const BUILT_IN: &[(&str, &str)] =
    &[("__rate_interval", "1m"), ("__interval", "1m"), ("__range", "6h"), ("__url_time_range", ""), ("__value.raw", "")];

#[test]
fn the_dashboards_are_as_the_script_writes_them() {
    if !have(&["python3"], "whether the dashboards are as grafana/mixin.py writes them is not known") {
        return;
    }
    let run = Command::new("python3").arg(root().join("mixin.py")).arg("--check").output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

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
            if text(panel, "/type") == "text" {
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
    let check = |place: &str, query: &str| {
        let named: Vec<&str> = words(query).filter(|word| word.starts_with("whither_") && !word.contains(':')).collect();
        for metric in &named {
            assert!(series.contains(*metric), "{place}: no such metric: {metric}, in {query}");
        }
        named.len()
    };
    for (file, dashboard) in dashboards() {
        let asked = queries(&file, &dashboard).iter().map(|query| check(&query.place, &query.expr)).sum::<usize>();
        let chosen = choices(&file, &dashboard).iter().map(|(place, series, _)| check(place, series)).sum::<usize>();
        assert!(asked > 5 && chosen > 1, "{file}: its queries name {asked} metrics of the sensor, its variables {chosen}");
    }
    for file in ["rules.yml", "alerts.yml", "tests/alerts.yml"] {
        let rules = read(file);
        assert!(rules.lines().filter(|line| !line.trim_start().starts_with('#')).map(|line| check(file, line)).sum::<usize>() > 5);
    }
}

#[test]
fn every_variable_is_defined_and_no_sensor_is_hard_coded() {
    for (file, dashboard) in dashboards() {
        let defined: BTreeSet<&str> = variables(&dashboard).map(|variable| text(variable, "/name")).collect();
        let device: &[&str] = match file.as_str() {
            "whither-compare.json" => &["device_a", "device_b"],
            "whither-health.json" => &[],
            _ => &["device"],
        };
        for wanted in ["datasource", "job", "sensor"].iter().chain(device) {
            assert!(defined.contains(wanted), "{file}: no variable {wanted}");
        }
        strings(&dashboard, &mut |value| {
            for name in used_variables(value) {
                let known = defined.contains(name.as_str()) || BUILT_IN.iter().any(|(built_in, _)| *built_in == name);
                assert!(known, "{file}: ${{{name}}} is not defined, in {value}");
            }
        });
        for query in queries(&file, &dashboard) {
            assert!(!query.expr.contains("instance=") && !query.expr.contains("9843"), "{}: names one sensor", query.place);
            // Whoever counts a device or a sensor, counts those that are chosen.
            for selector in query.expr.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
                assert!(selector.contains("job=~\"$job\"") && selector.contains("sensor=~\"$sensor\""), "{}: {selector}", query.place);
            }
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

/// Whose browser opens a dashboard asks nobody but Grafana.
#[test]
fn no_dashboard_calls_out() {
    for (file, dashboard) in dashboards() {
        strings(&dashboard, &mut |value| {
            let links = value.replace("(https://db-ip.com)", "");
            assert!(!links.contains("http:") && !links.contains("https:"), "{file}: {value}");
        });
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
        strings(&dashboard, &mut |value| {
            for link in value.split("/d/").skip(1).filter_map(|rest| rest.split('?').next()) {
                assert!(root().join(format!("dashboards/{link}.json")).exists(), "{file}: a link to {link}, which is not there");
            }
        });
    }

    let compose = read("compose.yml");
    let mounts: Vec<Vec<&str>> =
        compose.lines().filter_map(|line| line.trim().strip_prefix("- ./")).map(|mount| mount.split(':').collect()).collect();
    assert!(mounts.len() >= 7, "each file and folder that the servers read: {mounts:?}");
    for mount in &mounts {
        assert!(root().join(mount[0]).exists(), "compose.yml mounts {} which is not there", mount[0]);
    }
    let mounted = |file: &str, at: &str| mounts.iter().any(|mount| mount[0] == file && mount[1] == at);
    assert!(mounted("dashboards", &yaml_value(&provider, "path:")), "the dashboards are not where Grafana looks");
    for rules in yaml_value(&read("prometheus.yml"), "rule_files:").trim_matches(['[', ']']).split(", ") {
        assert!(mounted(rules, &format!("/etc/prometheus/{rules}")), "{rules} is not where Prometheus looks");
    }

    let images: Vec<&str> = compose.lines().filter_map(|line| line.trim().strip_prefix("image:")).collect();
    assert_eq!(images.len(), 3, "{images:?}");
    for image in images {
        let tag = image.rsplit(':').next().unwrap().trim_start_matches('v');
        assert!(tag.split('.').count() == 3 && tag.split('.').all(|part| part.parse::<u32>().is_ok()), "{image}: pin a whole version");
    }

    // Prometheus listens where the data source looks, and scrapes where the sensor listens by default.
    let source = yaml_value(&read("provisioning/datasources/prometheus.yml"), "url:");
    assert!(compose.contains(&format!("--web.listen-address={}", source.trim_start_matches("http://"))), "nobody listens at {source}");
    let prometheus = read("prometheus.yml");
    assert!(prometheus.contains("127.0.0.1:9843"), "the sensor's default address");
    assert!(prometheus.contains("127.0.0.1:9093") && compose.contains("127.0.0.1:9093"), "Alertmanager");
}

/// An alert tells what it is, how bad, and what to do; and two tests hold it, one in which it fires and one in which it does not.
#[test]
fn every_alert_has_words_and_two_tests() {
    let (alerts, tests) = (read("alerts.yml"), read("tests/alerts.yml"));
    let readme = read("README.md");
    let mut names = 0;
    for alert in alerts.split("- alert: ").skip(1) {
        let name = alert.lines().next().unwrap();
        for wanted in ["severity: ", "summary: ", "description: ", "runbook: >-"] {
            assert!(alert.contains(wanted), "{name}: no {wanted}");
        }
        for test in ["fires", "is quiet"] {
            assert!(tests.contains(&format!("- name: {name} {test}")), "tests/alerts.yml: no test in which {name} {test}");
        }
        assert!(readme.contains(&format!("`{name}`")), "README.md does not name {name}");
        names += 1;
    }
    assert!(names >= 12);
}

#[test]
fn promtool_reads_the_configuration_and_every_query() {
    if !have(&["promtool"], "queries, rules, alerts and prometheus.yml go unchecked") {
        return;
    }
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["check", "config", "--agent", "../packaging/fleet/agent.yml"]);
    promtool(&["check", "config", "../packaging/fleet/global.yml"]);
    let said = promtool(&["test", "rules", "tests/alerts.yml"]);
    assert!(said.contains("SUCCESS"), "{said}");

    let folder = tempfile::tempdir().unwrap();
    for (file, dashboard) in dashboards() {
        let rules: Vec<Value> = queries(&file, &dashboard)
            .iter()
            .enumerate()
            .map(|(number, query)| {
                serde_json::json!({"record": format!("dashboard:query:{number}"), "expr": whole(&query.expr, &dashboard, BUILT_IN)})
            })
            .collect();
        // JSON is YAML.
        let path = folder.path().join(file);
        fs::write(&path, serde_json::json!({"groups": [{"name": "queries", "rules": rules}]}).to_string()).unwrap();
        promtool(&["check", "rules", path.to_str().unwrap()]);
    }
}

#[test]
fn amtool_reads_alertmanager_yml() {
    if !have(&["amtool"], "alertmanager.yml goes unchecked") {
        return;
    }
    let run = Command::new("amtool").arg("check-config").arg(root().join("alertmanager.yml")).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&[run.stdout, run.stderr].concat()));
}

/// By the types that Grafana's panels are written against (npm `@grafana/schema`).
#[test]
fn dashboards_are_of_grafanas_types() {
    let Some(package) = tool("node/node_modules/@grafana/schema", "@grafana/schema of npm") else { return };
    let modules = package.ancestors().nth(2).unwrap();
    if !have(&["node"], "the dashboards are not held against Grafana's types") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    schema("node", "schema.mjs", &[modules, folder.path()]);
}

/// By Grafana's own reader and writer of dashboards (PyPI `grafana-foundation-sdk`): what it drops is no part of a dashboard.
#[test]
fn dashboards_survive_grafanas_sdk() {
    let Some(package) = tool("grafana-sdk", "grafana-foundation-sdk of PyPI") else { return };
    if !have(&["python3"], "the dashboards are not read by Grafana's SDK") {
        return;
    }
    schema("python3", "schema.py", &[&package]);
}

/// A folder that `make deps` fills, if it is there.
fn tool(name: &str, package: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools").join(name);
    if path.is_dir() {
        return Some(path);
    }
    say_skipped(&format!("{package} is not in target/tools (`make deps`): a check of the dashboards is left out"));
    None
}

fn schema(program: &str, script: &str, arguments: &[&Path]) {
    let mut command = Command::new(program);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mixin").join(script)).args(arguments);
    command.args(dashboards().iter().map(|(file, _)| root().join("dashboards").join(file)));
    let run = command.output().unwrap();
    assert!(run.status.success(), "{script}:\n{}", String::from_utf8_lossy(&run.stderr));
}

/// The first value of a key in a file of ours: plain, one line, an optional comment behind it.
fn yaml_value(yaml: &str, key: &str) -> String {
    let line = yaml.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap_or_else(|| panic!("no {key}"));
    line.split(" #").next().unwrap().trim().to_owned()
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
    query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':')
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
