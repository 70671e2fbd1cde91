//! Names that were chosen to do harm, from the wire to every form in which they are told: a phone's host name, server names, an HTTP
//! Host, a question to a resolver, and, from the bench itself, a mark and the name of a capture. Markup, formulas, signs that turn text
//! round, and what a terminal obeys.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

#[expect(dead_code, reason = "the captures' own builders are not needed here")]
mod wire;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use wire::*;

const PHONE_NAME: &str = "=HYPERLINK(1)<script>alert(1)</script>\u{202e}\u{61c}\u{1b}[31m|`a`";
const SERVER: &str = "<img src=x onerror=alert(2)>.example.com";
const HOST: &str = "=1+1.example.org";
const CAPTURE: &str = "=a<b>\u{202e}`|\"'.pcap";
const MARK: &str = "2026-01-02T03:04:05Z <script>alert(3)</script>\u{1b}[2J\u{200f} | `x`";

/// A phone that joins, asks, and meets three servers; the capture has a name like its own.
fn bench() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut frames = vec![frame(
        PHONE,
        BROADCAST,
        &udp(at("0.0.0.0:68"), at("255.255.255.255:67"), &dhcp(3, PHONE, PHONE_NAME, Some([192, 168, 1, 10]))),
    )];
    let mut add = |packets: Vec<(bool, Vec<u8>)>| {
        frames.extend(
            packets.into_iter().map(|(up, packet)| if up { frame(PHONE, GATEWAY, &packet) } else { frame(GATEWAY, PHONE, &packet) }),
        );
    };
    add(page("192.168.1.10", "192.168.1.1", "203.0.113.7:443", SERVER));
    add(page("192.168.1.10", "192.168.1.1", "203.0.113.8:443", "a\u{1b}]0;x\u{7}\u{202e}.example.net"));
    let mut talk = Talk::open(at("192.168.1.10:50001"), at("203.0.113.9:80"));
    talk.say(true, PUSH, &request(HOST, "/<b>")).say(false, PUSH, b"HTTP/1.1 204 No Content\r\n\r\n");
    add(talk.close());
    fs::write(folder.path().join(CAPTURE), pcap(PLAIN, 1, &frames)).unwrap();
    fs::write(folder.path().join("bench.marks"), format!("{MARK}\n").repeat(6)).unwrap();
    fs::write(folder.path().join("devices.toml"), "[[device]]\nalias = '-x<b>'\nmac = '3c:5a:b4:00:00:01'\nnotes = '@SUM(A1)<i>'\n")
        .unwrap();
    folder
}

fn whither(folder: &Path, arguments: &[&str]) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_whither")).current_dir(folder).args(arguments).output().unwrap();
    assert!(run.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

fn told(folder: &Path, form: &str) -> String {
    let flags = ["--devices", "devices.toml", "--marks", "bench.marks"];
    whither(folder, &[&["report", CAPTURE, form, "-"], &flags[..]].concat())
}

fn compared(folder: &Path, form: &str) -> String {
    whither(folder, &["compare", CAPTURE, CAPTURE, "--marks", "bench.marks", form, "-"])
}

/// The cells of RFC 4180.
fn cells(csv: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for c in csv.replace("\r\n", "\n").chars() {
        match c {
            '"' => quoted = !quoted,
            ',' | '\n' if !quoted => cells.push(String::new()),
            _ => cells.last_mut().unwrap().push(c),
        }
    }
    cells
}

#[test]
fn no_form_obeys_what_somebody_called_himself() {
    let folder = bench();
    let at = folder.path();
    let pages = [told(at, "--html"), compared(at, "--html")];
    for page in &pages {
        assert!(page.contains("&lt;img\\032src=x\\032onerror=alert(2)&gt;.example.com"), "{page}");
        for tag in ["<script", "<img", "<b>", "<i>", "<u>"] {
            assert!(!page.contains(tag), "{tag}: {page}");
        }
    }
    assert!(pages[0].contains("&lt;script&gt;alert(1)") && pages[0].contains("@SUM(A1)&lt;i&gt;"), "{}", pages[0]);

    let texts = [told(at, "--md"), compared(at, "--md")];
    for text in &texts {
        for line in text.lines() {
            let outside: String = without_code(line);
            let outside = outside.replace("\\<", "").replace("< 0.1 %", "");
            assert!(!outside.contains('<'), "{line}");
        }
        // Every row of a table has as many cells as its head, whatever the names say.
        let tables = text.split("\n\n").filter(|part| part.starts_with('|'));
        for table in tables {
            let count = |line: &str| line.replace("\\|", "").matches('|').count();
            assert!(table.lines().all(|line| count(line) == count(table.lines().next().unwrap())), "{table}");
        }
    }

    let csv = told(at, "--csv");
    assert!(csv.contains(HOST) && csv.contains("example.com"), "{csv}");
    let formula = |cell: &&String| cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    assert_eq!(cells(&csv).iter().find(formula), None, "{csv}");

    let models = [told(at, "--json"), compared(at, "--json")];
    let model: Value = serde_json::from_str(&models[0]).unwrap();
    let phone = model["devices"].as_array().unwrap().iter().find(|device| device["id"] == "-x<b>").unwrap();
    assert!(phone["hostname"].as_str().unwrap().starts_with("=HYPERLINK(1)<script>alert(1)</script>"), "{phone}");

    let words =
        [whither(at, &["read", CAPTURE]), whither(at, &["read", CAPTURE, "--json"]), whither(at, &["read", CAPTURE, "--names", "-"])];
    let words = words.into_iter().chain([whither(at, &["explain", "3c:5a:b4:00:00:01", "example.org", CAPTURE, CAPTURE])]);
    for text in pages.into_iter().chain(texts).chain([csv]).chain(models).chain(words) {
        let hidden = |c: char| (c.is_control() && !matches!(c, '\n' | '\r' | '\t')) || matches!(c, '\u{202e}' | '\u{200f}' | '\u{61c}');
        assert!(!text.contains(hidden), "{:?}", text.lines().find(|line| line.contains(hidden)));
    }
}

/// A line of Markdown without its code spans: a run of backticks up to the next of the same length.
fn without_code(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(begin) = rest.find('`') {
        // An escaped one is none.
        if rest[..begin].ends_with('\\') {
            out.push_str(&rest[..=begin]);
            rest = &rest[begin + 1..];
            continue;
        }
        let fence = rest[begin..].chars().take_while(|c| *c == '`').count();
        out.push_str(&rest[..begin]);
        let inside = &rest[begin + fence..];
        let mut at = 0;
        let end = loop {
            let next = inside[at..].find('`').unwrap_or_else(|| panic!("a span without an end: {line}")) + at;
            let run = inside[next..].chars().take_while(|c| *c == '`').count();
            if run == fence {
                break next;
            }
            at = next + run;
        };
        rest = &inside[end + fence..];
    }
    out + rest
}
