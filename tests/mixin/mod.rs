//! The dashboards and rules under `grafana/`, read as what they ask of Prometheus.
#![allow(
    clippy::allow_attributes,
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test makes its own world and should stop at the first wrong thing"
)]

pub(crate) mod server;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The folder `grafana`.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana")
}

/// A file of it.
pub(crate) fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("grafana/{name}: {error}"))
}

/// Every dashboard with its file's name.
pub(crate) fn dashboards() -> Vec<(String, Value)> {
    let folder = root().join("dashboards");
    let mut found: Vec<(String, Value)> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let json = fs::read_to_string(folder.join(&name)).unwrap();
            (name.clone(), serde_json::from_str(&json).unwrap_or_else(|error| panic!("{name}: {error}")))
        })
        .collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    assert_eq!(found.len(), 4, "overview, device, compare, health");
    found
}

pub(crate) fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter()
}

pub(crate) fn variables(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["templating"]["list"].as_array().unwrap().iter()
}

/// Something that a dashboard asks of Prometheus.
pub(crate) struct Query {
    /// Where it stands: file, panel and letter.
    pub(crate) place: String,
    /// PromQL with Grafana's variables.
    pub(crate) expr: String,
    /// Asked for the end of the time range alone.
    pub(crate) instant: bool,
}

/// Every query of panels and annotations.
pub(crate) fn queries(file: &str, dashboard: &Value) -> Vec<Query> {
    let of_panels = panels(dashboard).flat_map(|panel| {
        panel["targets"].as_array().into_iter().flatten().map(move |target| Query {
            place: format!("{file}: {:?} {}", text(panel, "/title"), text(target, "/refId")),
            expr: text(target, "/expr").to_owned(),
            instant: target["instant"] == true,
        })
    });
    let annotations = dashboard["annotations"]["list"].as_array().unwrap().iter().filter(|one| one["target"].is_object());
    let annotations = annotations.map(|one| Query {
        place: format!("{file}: annotation {:?}", text(one, "/name")),
        expr: text(one, "/target/expr").to_owned(),
        instant: false,
    });
    of_panels.chain(annotations).collect()
}

/// What fills the choices of the variables: (place, metric with its labels, label).
pub(crate) fn choices(file: &str, dashboard: &Value) -> Vec<(String, String, String)> {
    let asked = variables(dashboard).filter(|variable| variable["type"] == "query");
    asked
        .map(|variable| {
            let query = text(variable, "/query/query");
            let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap_or_else(|| panic!("{query}"));
            let (series, label) = inside.rsplit_once(", ").unwrap();
            (format!("{file}: variable {}", text(variable, "/name")), series.to_owned(), label.to_owned())
        })
        .collect()
}

/// A query as Grafana sends it. `values` are the chosen ones; a variable that is not among them stands at All.
pub(crate) fn whole(query: &str, dashboard: &Value, values: &[(&str, &str)]) -> String {
    let mut names: Vec<(String, String)> = variables(dashboard)
        .map(|variable| {
            let name = text(variable, "/name");
            let chosen = values.iter().find(|(wanted, _)| *wanted == name).map(|(_, value)| *value);
            let value = match (chosen, variable["multi"] == true) {
                (None, true) => text(variable, "/allValue").to_owned(),
                (None, false) => String::new(),
                (Some(one), true) => regex_escaped(one),
                (Some(one), false) => one.replace('\\', "\\\\").replace('"', "\\\""),
            };
            (name.to_owned(), value)
        })
        .collect();
    names.extend(values.iter().filter(|(name, _)| name.starts_with("__")).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len())); // $device_a before $device
    names.iter().fold(query.to_owned(), |query, (name, value)| query.replace(&format!("${name}"), value))
}

/// What Grafana's Prometheus data source makes of one choice of a variable that takes several.
fn regex_escaped(value: &str) -> String {
    let escape = |c: char| if "\\^$*+?.()|[]{}".contains(c) { format!("\\\\{c}") } else { c.to_string() };
    value.chars().map(escape).collect()
}

pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// What `promtool` prints when it finds nothing wrong.
pub(crate) fn promtool(arguments: &[&str]) -> String {
    let run = Command::new("promtool").args(arguments).current_dir(root()).output().unwrap();
    let said = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
    assert!(run.status.success(), "promtool {arguments:?}:\n{said}");
    said
}

/// Whether these programs are there; if not, that is told.
pub(crate) fn have(programs: &[&str], unchecked: &str) -> bool {
    let absent = |name: &&&str| {
        Command::new(name).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_err()
    };
    let missing: Vec<&str> = programs.iter().filter(absent).copied().collect();
    if missing.is_empty() {
        return true;
    }
    say_skipped(&format!("not installed: {} (`make deps`): {unchecked}", missing.join(", ")));
    false
}

/// Tells what is not checked here, past the test harness, which would keep it to itself.
pub(crate) fn say_skipped(what: &str) {
    std::io::stderr().write_all(format!("\n*** SKIPPED: {what} ***\n\n").as_bytes()).unwrap();
}
