//! The page in Debian's Chromium, driven with playwright: the lab run, a replay, names that were chosen to do harm, no packet at all,
//! and as many devices and destinations as the sensor keeps. What each check does stands in `tests/page/*.mjs`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test makes its own world"
)]

mod mixin;
#[expect(dead_code, reason = "not each frame is sent here")]
mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mixin::server::Server;
use whither::simulate::{Plan, write};
use wire::*;

const BROWSER: &str = "chromium-headless-shell";
const VILNIUS: &str = "54.6872,25.2797";

#[test]
fn the_lab_run_is_listed_searched_and_taken_apart() {
    let Some(browser) = Browser::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    lab(folder.path(), 26);
    let server = serve(&["--location", VILNIUS, "lab.pcap"], folder.path());
    browser.check("lab.mjs", &server, folder.path());
}

#[test]
fn a_replay_is_followed_as_it_goes() {
    let Some(browser) = Browser::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    lab(folder.path(), 6);
    let server = serve(&["--location", VILNIUS, "--learning", "0", "--speed", "900", "lab.pcap"], folder.path());
    browser.check("live.mjs", &server, folder.path());
}

#[test]
fn names_that_were_chosen_to_do_harm_are_text() {
    let Some(browser) = Browser::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hostile.pcap"), hostile()).unwrap();
    let devices =
        "[[device]]\nalias = \"<b onclick=alert(1)>שלום</b>\"\nmac = \"64:cc:2e:00:00:02\"\nnotes = \"<script>alert(2)</script>\"\n";
    fs::write(folder.path().join("devices.toml"), devices).unwrap();
    let server = serve(&["--devices", "devices.toml", "--learning", "0", "hostile.pcap"], folder.path());
    browser.check("hostile.mjs", &server, folder.path());
}

#[test]
fn without_a_packet_it_says_so_and_what_to_look_at() {
    let Some(browser) = Browser::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("empty.pcap"), pcap(PLAIN, 1, &[])).unwrap();
    let server = serve(&["empty.pcap"], folder.path());
    browser.check("empty.mjs", &server, folder.path());
}

#[test]
fn a_quiet_interface_is_named_and_one_that_goes_down_is_not_overlooked() {
    let Some(browser) = Browser::new() else { return };
    let Some(quiet) = Quiet::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::whither(&["watch", &quiet.0], folder.path(), "127.0.0.1:0");
    browser.check("quiet.mjs", &server, folder.path());
}

/// Prints what it takes: this machine's time is no promise, so no time fails it.
#[test]
fn many_devices_and_destinations_stay_fluid() {
    let Some(browser) = Browser::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("many.pcap"), many()).unwrap();
    let server = serve(&["many.pcap"], folder.path());
    println!("{}", browser.check("many.mjs", &server, folder.path()));
}

fn lab(folder: &Path, hours: u32) {
    write(&Plan { hours, ..Plan::default() }, &mut fs::File::create(folder.join("lab.pcap")).unwrap()).unwrap();
}

fn serve(arguments: &[&str], folder: &Path) -> Server {
    Server::whither(&[&["read", "--serve"], arguments].concat(), folder, "127.0.0.1:0")
}

/// An interface on which nothing is ever sent; gone when dropped.
struct Quiet(String);

impl Quiet {
    /// None, with a word, where it cannot be made; which nobody may accept where `WHITHER_LAB=must`.
    fn new() -> Option<Self> {
        let quiet = Self(format!("quiet{}", std::process::id() % 100_000));
        let other = format!("{}p", quiet.0);
        // The kernel would ask for routers and join groups.
        let mute = |name: &str| fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1").is_ok();
        let made = ip(&["link", "add", &quiet.0, "type", "veth", "peer", "name", &other])
            && [&quiet.0, &other].iter().all(|name| mute(name) && ip(&["link", "set", name, "up"]));
        if !made {
            let words = "no interface can be made here (it takes root and iproute2): the page of a quiet one is not opened";
            assert!(std::env::var_os("WHITHER_LAB").is_none_or(|value| value != "must"), "{words}");
            mixin::say_skipped(words);
        }
        made.then_some(quiet)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        ip(&["link", "del", &self.0]);
    }
}

fn ip(arguments: &[&str]) -> bool {
    Command::new("ip").args(arguments).output().is_ok_and(|run| run.status.success())
}

/// What drives the page.
struct Browser {
    modules: PathBuf,
    program: PathBuf,
}

impl Browser {
    /// None, with a word, where something of it is missing; which nobody may accept where `WHITHER_LAB=must`.
    fn new() -> Option<Self> {
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/node/node_modules");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path).map(|folder| folder.join(BROWSER)).find(|file| file.is_file());
        let node = Command::new("node").arg("--version").output().is_ok_and(|run| run.status.success());
        let there = ["playwright-core", "axe-core"].iter().all(|package| modules.join(package).is_dir());
        match program {
            Some(program) if node && there => Some(Self { modules, program }),
            _ => {
                let words =
                    format!("the page is not opened: it takes node, {BROWSER}, and of npm playwright-core and axe-core (`make deps`)");
                assert!(std::env::var_os("WHITHER_LAB").is_none_or(|value| value != "must"), "{words}");
                mixin::say_skipped(&words);
                None
            }
        }
    }

    /// Runs a check against a server, and gives back what it says.
    fn check(&self, script: &str, server: &Server, folder: &Path) -> String {
        // Screenshots go where somebody wants to look at them.
        let shots = std::env::var_os("WHITHER_SHOTS").map_or_else(|| folder.to_owned(), PathBuf::from);
        let run = Command::new("node")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page").join(script))
            .args([&self.modules, &self.program])
            .arg(format!("http://{}", server.address))
            .arg(shots)
            .output()
            .unwrap();
        let (out, wrong) = (String::from_utf8_lossy(&run.stdout).into_owned(), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success(), "{script}:\n{out}{wrong}");
        out
    }
}

/// A phone that calls itself by markup and goes to hosts with names of every harmful kind, and one that the devices file knows.
fn hostile() -> Vec<u8> {
    let broadcast = |mac, message: &[u8]| frame(mac, BROADCAST, &udp(at("0.0.0.0:68"), at("255.255.255.255:67"), message));
    let mut frames = vec![broadcast(PHONE, &dhcp(3, PHONE, "<img src=x onerror=alert(3)>\u{202e}txt.exe\u{7}", Some([192, 168, 1, 23])))];
    let long = format!("{0}.{0}.{0}.{1}.example", "l".repeat(63), "m".repeat(53)); // 253 bytes
    let names = [
        "<script>alert(4)</script>.example",
        "\u{202e}moc.elgoog\u{200b}.example",
        "a\u{1b}[31m\u{7}b.example",
        "שלום.example",
        "\"><svg onload=alert(5)>.example",
        "javascript:alert(6).example",
        &long,
    ];
    for (index, name) in names.iter().enumerate() {
        for (mac, client) in [(PHONE, "192.168.1.23"), (OTHER_PHONE, "192.168.1.24")] {
            let story = page(client, "192.168.1.1", &format!("192.0.2.{}:443", index + 10), name);
            frames
                .extend(story.into_iter().map(|(up, packet)| if up { frame(mac, GATEWAY, &packet) } else { frame(GATEWAY, mac, &packet) }));
        }
    }
    pcap(PLAIN, 1, &frames)
}

/// 200 devices, each of which looks up 500 names and opens a connection to each; the first has them all before the others begin, since
/// past the sensor's cap of destinations bytes go to `other`.
fn many() -> Vec<u8> {
    const DEVICES: usize = 200;
    const NAMES: usize = 500;
    let mut frames = Vec::new();
    let mut visit = |device: usize, name: usize| {
        let [high, low] = u16::try_from(device + 10).unwrap().to_be_bytes();
        let mac = [0x3c, 0x5a, 0xb4, 1, high, low];
        let (client, resolver) = (format!("10.1.{high}.{low}"), at("10.1.255.254:53"));
        let server = at(&format!("{}.{}:443", if name < 250 { "198.51.100" } else { "203.0.113" }, name % 250 + 1));
        let asker = at(&format!("{client}:{}", 10_000 + name));
        let answer = dns_address(u16::try_from(name).unwrap(), &format!("www.site-{name}.example"), server.ip());
        let caller = at(&format!("{client}:{}", 20_000 + name));
        frames.push(frame(
            mac,
            GATEWAY,
            &udp(asker, resolver, &dns(u16::try_from(name).unwrap(), format!("www.site-{name}.example").as_bytes(), A, None)),
        ));
        frames.push(frame(GATEWAY, mac, &udp(resolver, asker, &answer)));
        frames.extend(
            Talk::open(caller, server)
                .close()
                .into_iter()
                .map(|(up, packet)| if up { frame(mac, GATEWAY, &packet) } else { frame(GATEWAY, mac, &packet) }),
        );
    };
    (0..NAMES).for_each(|name| visit(0, name));
    (0..NAMES).for_each(|name| (1..DEVICES).for_each(|device| visit(device, name)));
    pcap(PLAIN, 1, &frames)
}
