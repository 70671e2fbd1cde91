//! The recipe for ClickHouse, `packaging/logs/clickhouse.sql`, run as it stands by ClickHouse's own engine over the lab run's events.
//!
//! The engine is `chdb-core` from PyPI, which `make deps` puts under `target/tools`; without it this says that it was skipped.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types, reason = "a test reads files of its own")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

/// Where `make deps` puts what comes from PyPI.
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/python");
const RECIPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/logs/clickhouse.sql");

/// Creates the table, loads the lines as `clickhouse-client` would, asks the recipe's questions, and prints each answer as a line of JSON.
const RUN: &str = r#"
import json, re, sys
from chdb import session
recipe, events = sys.argv[1:]
text = re.sub(r"--.*", "", open(recipe).read())
statements = [one.strip() for one in text.split(";") if one.strip()]
engine = session.Session()
for one in statements:
    if one.startswith("CREATE"):
        engine.query(one)
engine.query(f"INSERT INTO whither.events FROM INFILE '{events}' SETTINGS date_time_input_format = 'best_effort', "
             "input_format_skip_unknown_fields = 1 FORMAT JSONEachRow")
def ask(query):
    lines = str(engine.query(query, "JSONEachRow")).splitlines()
    print(json.dumps([json.loads(line) for line in lines]))
ask("SELECT `event.action` AS action, toString(count()) AS count, toString(sum(`source.bytes`)) AS bytes, "
    "toString(max(`@timestamp`)) AS last FROM whither.events GROUP BY action")
for one in statements:
    if one.startswith("SELECT"):
        ask(one)
"#;

#[test]
fn the_recipe_takes_every_line_and_its_questions_have_answers() {
    if !Path::new(PACKAGES).join("chdb").exists() {
        let word = "\n*** SKIPPED: the recipe for ClickHouse: chdb-core is not installed (`make deps` installs it) ***\n";
        let _ = std::io::stderr().write_all(word.as_bytes());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [capture, events] = ["lab.pcap", "events.jsonl"].map(|name| folder.path().join(name));
    whither(&["simulate", capture.to_str().unwrap(), "--hours", "6"]);
    whither(&["read", "--events", events.to_str().unwrap(), capture.to_str().unwrap()]);

    let run = Command::new("python3").args(["-c", RUN, RECIPE]).arg(&events).env("PYTHONPATH", PACKAGES).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let answers: Vec<Vec<serde_json::Value>> =
        String::from_utf8(run.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [table, questions @ ..] = answers.as_slice() else { unreachable!("an answer for each query") };

    let text = std::fs::read_to_string(&events).unwrap();
    let mut truth: BTreeMap<String, (u64, u64, String)> = BTreeMap::new();
    for line in text.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let (count, bytes, last) = truth.entry(event["event.action"].as_str().unwrap().to_owned()).or_default();
        *count += 1;
        *bytes += event["source.bytes"].as_u64().unwrap_or(0);
        // ClickHouse writes the same instant without the letters.
        *last = event["@timestamp"].as_str().unwrap().replace('T', " ").trim_end_matches('Z').max(last).to_owned();
    }
    let number = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().parse::<u64>().unwrap();
    let held: BTreeMap<String, (u64, u64, String)> = table
        .iter()
        .map(|row| {
            (
                row["action"].as_str().unwrap().to_owned(),
                (number(row, "count"), number(row, "bytes"), row["last"].as_str().unwrap().to_owned()),
            )
        })
        .collect();
    assert_eq!(held, truth);
    assert_eq!(questions.len(), 3);
    assert!(questions.iter().all(|rows| rows.len() > 1), "a question without an answer: {questions:?}");
}

fn whither(arguments: &[&str]) {
    let run = Command::new(env!("CARGO_BIN_EXE_whither")).args(arguments).output().unwrap();
    assert!(run.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
}
