//! What a person meets who asks for something that cannot be done: one line, in words that help, and the right exit code.
//!
//! Exit 0: done. 1: something failed. 2: wrong usage. Only the words that one needs are asserted, not whole sentences.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test makes its own world, and fails by panicking"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn whither(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whither"));
    command.args(arguments).stdin(Stdio::null()).env("RUST_BACKTRACE", "0");
    command
}

fn run(arguments: &[&str]) -> Output {
    whither(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// It failed with this code, in one line that begins with the program's name and holds these words.
#[track_caller]
fn fails(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    if code == 1 {
        assert!(said.starts_with("whither: ") && said.ends_with('\n') && said.lines().count() == 1, "one line: {said:?}");
    }
    let low = said.to_lowercase();
    for word in words {
        assert!(low.contains(&word.to_lowercase()), "{word:?} is not in {said:?}");
    }
    assert!(!low.contains("panicked") && !said.contains("Error {") && !said.contains("Os {"), "{said:?}");
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pcaps").join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder with a file of these bytes.
fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let path = text(&path).to_owned();
    (folder, path)
}

#[test]
fn what_is_no_capture_is_named() {
    fails(&run(&["read", "nowhere.pcap"]), 1, &["nowhere.pcap", "no such file"]);
    fails(&run(&["read", "no\u{1b}[31m\nwhere"]), 1, &["no\\u{1b}[31m\\u{a}where: no such file"]);
    let (folder, empty) = file("empty.pcap", b"");
    fails(&run(&["read", &empty]), 1, &["empty.pcap", "is empty"]);
    let nothing = tempfile::tempdir().unwrap();
    fails(&run(&["read", text(nothing.path())]), 1, &[text(nothing.path()), "no captures in this directory"]);
    fails(&run(&["read", text(folder.path())]), 1, &["empty.pcap", "is empty"]);
    let (_folder, prose) = file("notes.txt", b"Packets were captured on Monday, I think.\n".repeat(40).as_slice());
    fails(&run(&["read", &prose]), 1, &["notes.txt", "not a pcap or pcapng capture"]);
    let (_folder, short) = file("short.pcap", &fs::read(sample("ethernet.pcap")).unwrap()[..11]);
    fails(&run(&["read", &short]), 1, &["short.pcap", "header"]);
    let (_folder, packed) = file("torn.pcap.gz", &fs::read(sample("gzip.pcap.gz")).unwrap()[..12]);
    fails(&run(&["read", &packed]), 1, &["torn.pcap.gz"]);
}

#[test]
fn a_link_type_that_cannot_be_read_is_told_with_those_that_can() {
    let mut usb = fs::read(sample("ethernet.pcap")).unwrap();
    usb[20] = 220;
    let (_folder, usb) = file("usb.pcap", &usb);
    fails(&run(&["read", &usb]), 1, &["usb.pcap", "link type 220", "Ethernet", "802.11"]);
}

/// All files are opened before one is read: a misspelt name costs no hour.
#[test]
fn one_wrong_name_among_many_fails_at_once() {
    let output = run(&["read", text(&sample("ethernet.pcap")), "nowhere.pcap"]);
    fails(&output, 1, &["nowhere.pcap"]);
    assert_eq!(out(&output), "");
}

#[test]
fn what_stands_before_the_damage_is_counted_and_printed() {
    let whole = fs::read(sample("ethernet.pcap")).unwrap();
    let (_folder, torn) = file("torn.pcap", &whole[..whole.len() - 30]);
    let output = run(&["read", &torn, "--metrics", "-"]);
    fails(&output, 1, &["torn.pcap", "truncated", "packet 9"]);
    assert!(out(&output).contains("whither_destination_transmit_bytes_total{"), "{}", out(&output));
    let output = run(&["read", &torn, text(&sample("near.pcap"))]);
    fails(&output, 1, &["torn.pcap", "packet 9"]);
    assert!(out(&output).contains("Frames read: 18"), "the second file is read all the same: {}", out(&output));

    let packed = fs::read(sample("gzip.pcap.gz")).unwrap();
    let (_folder, torn) = file("torn.pcap.gz", &packed[..packed.len() - 60]);
    let output = run(&["read", &torn]);
    fails(&output, 1, &["torn.pcap.gz", "after packet"]);
    assert!(out(&output).contains("Frames read: "), "{}", out(&output));

    let mut wild = whole.clone();
    wild[24 + 8..24 + 12].copy_from_slice(&[0xff; 4]); // the first record's length
    let (_folder, wild) = file("wild.pcap", &wild);
    fails(&run(&["read", &wild]), 1, &["wild.pcap", "packet 0"]);
}

/// A file that was cut before its first packet is damage as any other: it costs the others nothing.
#[test]
fn what_stands_beside_a_capture_cut_in_its_first_header_is_counted_and_printed() {
    let whole = fs::read(sample("ethernet.pcap")).unwrap();
    let section = [&[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0][..], &0x1a2b_3c4d_u32.to_le_bytes()].concat();
    let packed = fs::read(sample("gzip.pcap.gz")).unwrap();
    for (name, bytes, word) in [
        ("empty.pcap", &[][..], "is empty"),
        ("short.pcap", &whole[..11], "first header"),
        ("short.pcapng", &section, "first header"),
        ("short.pcap.gz", &packed[..12], "compression"),
    ] {
        let (_folder, cut) = file(name, bytes);
        let good = sample("ethernet.pcap");
        let good = text(&good);
        for files in [[good, &cut], [&cut, good]] {
            let output = run(&["read", files[0], files[1]]);
            fails(&output, 1, &[name, word]);
            assert!(out(&output).contains("Frames read: 10"), "{name}: {}", out(&output));
            let output = run(&["report", files[0], files[1], "--json", "-"]);
            fails(&output, 1, &[name, word]);
            let report: Value = serde_json::from_str(&out(&output)).unwrap();
            let damages: Vec<_> =
                report["header"]["captures"].as_array().unwrap().iter().filter_map(|capture| capture["damage"].as_str()).collect();
            assert!(matches!(damages[..], [damage] if damage.contains(word) && !damage.contains(name)), "{damages:?}");
        }
        fails(&run(&["explain", "pixel", "local", &cut]), 1, &["no device `pixel`", name, word]);
        let output = run(&["compare", good, &cut]);
        fails(&output, 1, &[name, word]);
        assert!(!out(&output).is_empty(), "{name}");
    }
}

/// Runs the program as somebody who may do nothing in particular, where `folder` is open to all.
fn as_nobody(folder: &Path, arguments: &[&str]) -> Option<Output> {
    if !nix::unistd::geteuid().is_root() {
        return Some(run(arguments));
    }
    // Where the program was built nobody else may look; a copy can be run by anybody.
    let program = folder.join("whither");
    // By another process: a program that is open for writing here, when another test starts one, cannot be run ("text file busy").
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_whither")).arg(&program).status().unwrap().success());
    match Command::new("setpriv").args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).args(arguments).output() {
        Ok(output) if output.status.code() != Some(127) => Some(output),
        other => {
            eprintln!("SKIPPED: root may do everything, and setpriv cannot be run: {other:?}");
            None
        }
    }
}

#[test]
#[cfg(feature = "live")]
fn an_interface_that_cannot_be_watched_is_told_with_what_mends_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    if let Some(output) = as_nobody(folder.path(), &["watch", "lo", "--listen", "127.0.0.1:0"]) {
        fails(&output, 1, &["permission", "lo", "setcap cap_net_raw"]);
    }
    if nix::unistd::geteuid().is_root() {
        fails(&run(&["watch", "nowhere0", "--listen", "127.0.0.1:0"]), 1, &["nowhere0", "there are", "lo"]);
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fails(&run(&["watch", "lo", "--listen", &address]), 1, &[&address, "--listen", "in use"]);
}

/// Root reads everything, so the file is tried by somebody who is not root.
#[test]
fn a_file_without_permission_is_told_as_that() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, path) = file("secret.pcap", &fs::read(sample("ethernet.pcap")).unwrap());
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let Some(output) = as_nobody(folder.path(), &["read", &path]) else { return };
    fails(&output, 1, &["secret.pcap", "no permission"]);
}

#[test]
fn a_port_that_is_taken_is_told_with_the_flag_that_mends_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let capture = sample("ethernet.pcap");
    let output = run(&["read", "--serve", "--listen", &address, text(&capture)]);
    fails(&output, 1, &[&address, "--listen", "in use"]);
    fails(&run(&["read", "--serve", "--listen", "9843", text(&capture)]), 2, &["--listen", "9843"]);
}

#[test]
fn a_database_that_cannot_answer_is_refused() {
    let capture = sample("ethernet.pcap");
    let read = |database: &str| run(&["read", "--geoip", database, text(&capture)]);
    fails(&read("nowhere.mmdb"), 1, &["nowhere.mmdb", "no such file"]);
    let lab = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/geoip/lab-country.mmdb")).unwrap();
    let (_folder, broken) = file("broken.mmdb", &lab[..lab.len() / 2]);
    fails(&read(&broken), 1, &["broken.mmdb", "fetch it again"]);
    let (_folder, prose) = file("notes.mmdb", b"country,range\nLT,192.0.2.0/24\n");
    fails(&read(&prose), 1, &["notes.mmdb"]);
    // Of a kind that knows neither countries nor ASs: the same file with other keys, as long as the old ones.
    let mut other = lab.clone();
    for (from, to) in [(&b"iso_code"[..], &b"is_a_vpn"[..]), (b"country", b"privacy")] {
        while let Some(place) = other.windows(from.len()).position(|bytes| bytes == from) {
            other[place..place + from.len()].copy_from_slice(to);
        }
    }
    let (_folder, other) = file("privacy.mmdb", &other);
    fails(&read(&other), 1, &["privacy.mmdb", "country"]);
    let (_folder, packed) = file("packed.mmdb", &[&[0x1f, 0x8b, 8, 0][..], &[0; 60]].concat());
    fails(&read(&packed), 1, &["packed.mmdb", "gunzip"]);
}

#[test]
fn wrong_usage_is_exit_2_and_says_what_is_right() {
    fails(&run(&["read", "--local-net", "300.0.0.0/8", "x.pcap"]), 2, &["--local-net", "300.0.0.0/8", "203.0.113.0/24"]);
    fails(&run(&["read", "--local-net", "192.0.2.0/33", "x.pcap"]), 2, &["192.0.2.0/33"]);
    fails(&run(&["read", "--evnets", "-", "x.pcap"]), 2, &["--evnets", "--events"]);
    fails(&run(&["read"]), 2, &["FILE"]);
    fails(&run(&["raed", "x.pcap"]), 2, &["raed", "read"]);
    fails(&run(&["simulate", "x.pcap", "--hours", "0"]), 2, &["--hours"]);
    for words in ["Singapore", "ZZ", "", "*.example.com", "https://example.com", "192.0.2.1", "2001:db8::1", "AS 64496", "example"] {
        fails(&run(&["report", text(&sample("ethernet.pcap")), "--ask", words]), 2, &["--ask", "AS<n>", words]);
    }
    fails(&run(&[]), 2, &["Usage", "watch", "read", "simulate"]);
}

/// A flag that would do nothing is refused; as a setting in a file it may be another command's.
#[test]
fn a_flag_that_a_command_has_no_use_for_is_refused() {
    let capture = sample("ethernet.pcap");
    let capture = text(&capture);
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events.jsonl");
    let useless = [
        ("--events", text(&events)),
        ("--sensor", "roof"),
        ("--listen", "127.0.0.1:0"),
        ("--web.config.file", "web.yml"),
        ("--state", text(folder.path())),
        ("--learning", "0"),
    ];
    let of_watch = [
        ("--events-max-size", "100MB"),
        ("--events-max-age", "1h"),
        ("--events-keep", "3"),
        ("--record", text(folder.path())),
        ("--record-headers", ""),
        ("--mark-pipe", "marks"),
        ("--snaplen", "96"),
        ("--buffer", "8"),
        ("--workers", "2"),
        ("--user", "nobody"),
    ];
    for command in [&["read", capture][..], &["report", capture], &["compare", capture, capture], &["explain", "x", "local", capture]] {
        for (flag, value) in of_watch.iter().chain(useless.iter().filter(|_| command[0] != "read")) {
            let output = run(&[command, &[*flag], if value.is_empty() { &[] } else { std::slice::from_ref(value) }].concat());
            fails(&output, 2, &[command[0], "no use for", flag, "Usage: whither"]);
            assert_eq!(out(&output), "", "{command:?} {flag}");
        }
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "nothing was written");
    let settings =
        useless.iter().chain(&of_watch).filter(|(flag, _)| !matches!(*flag, "--events-max-age" | "--web.config.file" | "--state"));
    let setting = |(flag, value): &(&str, &str)| match (flag.trim_start_matches("--"), value.parse::<u32>()) {
        (key @ ("snaplen" | "buffer" | "workers" | "events-keep"), Ok(number)) => format!("{key} = {number}\n"),
        (key, _) if value.is_empty() => format!("{key} = true\n"),
        (key, _) => format!("{key} = \"{value}\"\n"),
    };
    let (_folder, settings) = file("lab.toml", settings.map(setting).collect::<String>().as_bytes());
    for command in [&["read", capture][..], &["report", capture], &["compare", capture, capture]] {
        let output = run(&[command, &["--config", &settings]].concat());
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn settings_that_are_wrong_are_told_with_their_file() {
    let capture = sample("ethernet.pcap");
    let read = |settings: &str| run(&["read", "--config", settings, text(&capture)]);
    fails(&read("nowhere.toml"), 1, &["nowhere.toml", "no such file"]);
    let (_folder, unknown) = file("lab.toml", b"evnets = \"-\"\n");
    fails(&read(&unknown), 1, &["lab.toml", "evnets", "`events`"]);
    let (_folder, wrong) = file("lab.toml", b"listen = \"here\"\n");
    fails(&read(&wrong), 1, &["lab.toml", "listen"]);
    let (_folder, broken) = file("lab.toml", b"# the lab\nlisten = = 3\n");
    fails(&read(&broken), 1, &["lab.toml", "line 2", "not TOML"]);
    for (line, key) in [("workers = 0", "workers"), ("workers = 17", "workers"), ("events-keep = 0", "events-keep")] {
        let (_folder, beyond) = file("lab.toml", line.as_bytes());
        fails(&read(&beyond), 1, &["lab.toml", key, "from 1 to"]);
    }
    let (_folder, right) = file("lab.toml", b"sensor = \"roof\"\nevents = \"-\"\n");
    let output = read(&right);
    assert!(output.status.success() && out(&output).lines().all(|line| line.contains(r#""observer.name":"roof""#)));
}

#[test]
fn standard_output_is_for_one_thing() {
    let capture = sample("ethernet.pcap");
    let read = |flags: &[&str]| run(&[&["read", text(&capture)], flags].concat());
    fails(&read(&["--events", "-", "--metrics", "-"]), 2, &["--events", "--metrics", "standard output"]);
    fails(&read(&["--events", "-", "--json"]), 2, &["--events", "--json", "standard output"]);
    for line in out(&read(&["--events", "-"])).lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(event["event.action"].is_string());
    }
    let metrics = out(&read(&["--metrics", "-"]));
    assert!(metrics.lines().all(|line| line.starts_with("# ") || line.starts_with("whither_")), "{metrics}");
    let summary: Value = serde_json::from_str(&out(&read(&["--json"]))).unwrap();
    assert!(summary.to_string().contains("example.com"), "{summary}");
}

#[test]
fn what_cannot_be_written_is_named() {
    let capture = sample("ethernet.pcap");
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("missing/events.jsonl");
    fails(&run(&["read", text(&capture), "--events", text(&nowhere)]), 1, &[text(&nowhere), "no such file"]);
    fails(&run(&["read", text(&capture), "--metrics", text(folder.path())]), 1, &[text(folder.path()), "metrics"]);
    fails(&run(&["simulate", text(&folder.path().join("missing/run.pcap"))]), 1, &["missing/run.pcap"]);
    if Path::new("/dev/full").exists() {
        fails(&run(&["read", text(&sample("phones.pcap")), "--events", "/dev/full"]), 1, &["events", "space"]);
    }
}

#[test]
fn nothing_is_written_over_what_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (capture, link, devices) = (at("x.pcap"), at("link.pcap"), at("devices.toml"));
    fs::copy(sample("ethernet.pcap"), &capture).unwrap();
    fs::hard_link(&capture, &link).unwrap();
    fs::write(&devices, "").unwrap();
    let before = fs::read(&capture).unwrap();
    for flag in ["--events", "--names", "--metrics"] {
        fails(&run(&["read", text(&capture), flag, text(&link)]), 1, &["link.pcap", "which is read"]);
        fails(&run(&["read", text(folder.path()), flag, text(&capture)]), 1, &["which is read"]);
        fails(&run(&["read", text(&capture), "--devices", text(&devices), flag, text(&devices)]), 1, &["which is read"]);
    }
    fails(&run(&["read", text(&capture), "--events", text(&at("y")), "--names", text(&at("y"))]), 1, &["a file of its own"]);
    assert!(fs::read(&capture).unwrap() == before && !at("y").exists());
}

/// `| head`: whoever has seen enough closes the pipe, and nothing failed.
#[test]
fn a_closed_pipe_ends_quietly() {
    for flags in [&["--events", "-"][..], &["--metrics", "-"], &["--json"], &[]] {
        let mut child = whither(&[&["read", text(&sample("phones.pcap"))], flags].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""), "{flags:?}");
    }
}

#[test]
fn a_capture_may_come_from_standard_input_or_compressed() {
    let told = |arguments: &[&str], stdin: Option<&[u8]>| {
        let mut child = whither(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        // A byte now and then, as a pipe from far away brings them.
        for piece in stdin.unwrap_or_default().chunks(97) {
            pipe.write_all(piece).unwrap();
        }
        drop(pipe);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        out(&output)
    };
    let packed = fs::read(sample("gzip.pcap.gz")).unwrap();
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut plain).unwrap();
    let by_name = told(&["read", text(&sample("gzip.pcap.gz"))], None);
    assert!(by_name.contains("example.com"), "{by_name}");
    assert_eq!(told(&["read", "-"], Some(&packed)), by_name);
    assert_eq!(told(&["read", "-"], Some(&plain)), by_name);
    fails(&run(&["read", "-"]), 1, &["empty"]);
}

#[test]
#[cfg(feature = "live")]
fn a_filter_takes_what_it_says() {
    let capture = sample("ethernet.pcap");
    let told = |filter: &str| run(&["read", "--filter", filter, text(&capture)]);
    let only_dns = out(&told("udp port 53"));
    assert!(only_dns.contains("Frames read: 2\n") && !only_dns.contains("example.com"), "{only_dns}");
    assert!(out(&told("tcp")).contains("Frames read: 8"));
    fails(&told("prot 53"), 1, &["prot 53", "filter"]);
}

#[test]
fn the_help_names_every_command_and_flag_in_words() {
    let help = run(&["--help"]);
    assert!(help.status.success());
    let help = out(&help).split_whitespace().collect::<Vec<_>>().join(" ");
    for word in ["watch", "read", "simulate", "no phone was measured"] {
        assert!(help.contains(word), "{word:?} is not in {help}");
    }
    assert!(out(&run(&["--version"])).starts_with("whither "));
}
