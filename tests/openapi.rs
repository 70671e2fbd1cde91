//! The API against its description: the document against the routes, and the real server against the document, by schemathesis.
//!
//! Schemathesis comes from PyPI (`make deps`) and lies under `target/tools`; without it that part says that it was skipped.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test talks to the program it started and should stop at the first surprise"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use whither::export::query::Kind;
use whither::export::{Page, ROUTES};

const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/schemathesis");

fn document() -> Value {
    serde_json::from_str(include_str!("../src/export/openapi.json")).unwrap()
}

#[test]
fn every_route_of_the_api_is_described_with_its_parameters_and_no_other() {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let routes: Vec<_> = ROUTES.iter().filter(|route| route.path.starts_with("/api/")).collect();
    let mut described: Vec<&str> = paths.keys().map(String::as_str).collect();
    let mut served: Vec<&str> = routes.iter().map(|route| route.path).collect();
    described.sort_unstable();
    served.sort_unstable();
    assert_eq!(described, served);
    for route in routes {
        let told = &paths[route.path]["get"];
        let content = told["responses"]["200"]["content"].as_object().unwrap();
        let kind = route.content_type.split(';').next().unwrap();
        assert_eq!(content.keys().collect::<Vec<_>>(), [kind], "{}", route.path);
        let parameters = told["parameters"].as_array().unwrap();
        assert_eq!(parameters.len(), route.parameters.unwrap().len(), "{}", route.path);
        for (told, parameter) in parameters.iter().zip(route.parameters.unwrap()) {
            let (path, schema) = (route.path, &told["schema"]);
            assert_eq!(
                (&told["name"], &told["required"], &told["in"]),
                (&parameter.name.into(), &parameter.required.into(), &"query".into()),
                "{path}"
            );
            match parameter.kind {
                Kind::Text => assert_eq!((&schema["type"], &schema["minLength"]), (&"string".into(), &1.into()), "{path}"),
                Kind::OneOf(words) => assert_eq!(schema["enum"], json!(words), "{path}"),
                Kind::Number(least, most) => {
                    assert_eq!((&schema["minimum"], &schema["maximum"]), (&least.into(), &most.into()), "{path} {}", parameter.name);
                }
                Kind::Flag => assert_eq!(schema["type"], "boolean", "{path}"),
                Kind::Id => assert!(schema["pattern"].is_string(), "{path}"),
            }
        }
        assert_eq!(told["responses"]["503"].is_object(), matches!(route.page, Page::Again(_) | Page::Live), "{}", route.path);
    }
}

struct Sensor {
    child: Child,
    address: String,
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves the simulated lab run.
fn sensor(folder: &Path) -> Sensor {
    let capture = folder.join("lab.pcap");
    let run = Command::new(env!("CARGO_BIN_EXE_whither")).args(["simulate", "--hours", "2"]).arg(&capture).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let mut child = Command::new(env!("CARGO_BIN_EXE_whither"))
        .args(["read", "--serve", "--listen", "127.0.0.1:0", "--location", "54.7,25.3"])
        .arg(&capture)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let (_, rest) = line.split_once("look at http://").unwrap_or_else(|| panic!("{line}"));
    Sensor { child, address: rest.split('/').next().unwrap().to_owned() }
}

/// Only values that lead somewhere: any text is a device's label, but nearly none is that of one.
fn narrowed(devices: &[&str], destinations: &[&str]) -> Value {
    let mut document = document();
    for path in document["paths"].as_object_mut().unwrap().values_mut() {
        for parameter in path["get"]["parameters"].as_array_mut().unwrap() {
            let values = match parameter["name"].as_str().unwrap() {
                "device" => devices,
                "destination" => destinations,
                _ => continue,
            };
            if parameter["required"] == true {
                parameter["schema"] = json!({ "type": "string", "enum": values });
            }
        }
    }
    document
}

#[test]
fn schemathesis_finds_nothing() {
    if !Path::new(TOOLS).join("schemathesis").is_dir() {
        let _ =
            std::io::stderr().write_all(b"\n*** SKIPPED: schemathesis is not in target/tools (`make deps`): the API is not fuzzed ***\n");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sensor = sensor(folder.path());
    let file = folder.path().join("openapi.json");
    let document = narrowed(&["d0:9c:7a:51:0e:2c", "ac:47:1b:9e:40:d3"], &["xiaomi.com", "hicloud.com", "local", "SG"]);
    std::fs::write(&file, document.to_string()).unwrap();
    // The live stream has no end, and is held to its word in `tests/viewers.rs`.
    let run = Command::new("python3")
        .args(["-m", "schemathesis.cli", "run", file.to_str().unwrap(), "--url", &format!("http://{}", sensor.address)])
        .args(["--exclude-path", "/api/v1/stream", "--phases", "examples,coverage,fuzzing", "--max-examples", "15"])
        .args(["--generation-deterministic", "--continue-on-failure", "--no-color", "--workers", "2"])
        .env("PYTHONPATH", TOOLS)
        .env("NO_COLOR", "1")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}\n{}", String::from_utf8_lossy(&run.stderr));
    assert!(said.contains(&format!("Tested: {}", ROUTES.iter().filter(|route| route.path.starts_with("/api/")).count() - 1)), "{said}");
}

/// What a page gets of the captures: the row itself, the packets and the report, each as a file to save.
#[test]
fn evidence_is_the_row_and_comes_with_its_packets() {
    let folder = tempfile::tempdir().unwrap();
    let sensor = sensor(folder.path());
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&sensor.address).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        (String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase(), bytes[end + 4..].to_vec())
    };
    let asked = "device=d0:9c:7a:51:0e:2c&destination=xiaomi.com";
    let (head, body) = get(&format!("/api/v1/evidence?{asked}&flows=2"));
    let page: Value = serde_json::from_slice(&body).unwrap();
    assert!(head.starts_with("http/1.1 200 ") && page["source"] == "captures", "{head}");
    let rows = page["rows"].as_array().unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        assert_eq!((&row["is_the_row"], &row["row"]["destination"]), (&true.into(), &"xiaomi.com".into()));
        let flows = row["sum_flows"].as_u64().unwrap();
        let told = row["counted"].as_array().unwrap().len() as u64;
        assert_eq!((told, row["left_out"].as_u64().unwrap()), (flows.min(2), flows - told));
        assert_eq!(row["counted"][0]["first"]["file"], "lab.pcap", "without the way to it");
    }
    let (head, body) = get(&format!("/api/v1/evidence.pcapng?{asked}"));
    assert!(head.contains("content-disposition: attachment; filename=\"whither-d0-9c-7a-51-0e-2c-xiaomi.com.pcapng\""), "{head}");
    assert_eq!(body[..4], [0x0a, 0x0d, 0x0d, 0x0a], "pcapng");
    let (head, body) = get("/api/v1/report.html?device=d0:9c:7a:51:0e:2c");
    assert!(head.contains(".html\"") && body.starts_with(b"<!DOCTYPE html>"), "{head}");
    let (_, body) = get("/api/v1/report.json?device=d0:9c:7a:51:0e:2c");
    assert!(serde_json::from_slice::<Value>(&body).unwrap().is_object());
    let (_, body) = get("/api/v1/device?device=d0:9c:7a:51:0e:2c");
    let page: Value = serde_json::from_slice(&body).unwrap();
    for row in page["destinations"].as_array().unwrap() {
        let strip: u64 = row["timeline"].as_array().unwrap().iter().map(|bytes| bytes.as_u64().unwrap()).sum();
        assert_eq!(strip, row["transmit_bytes"].as_u64().unwrap() + row["receive_bytes"].as_u64().unwrap(), "{}", row["destination"]);
    }
}
