//! What the sensor gives up, tried out: by a process that calls the same function, and by looking at a sensor that runs.
//!
//! The kernel says what a process may still do only when it tries. So these tests start their own program again, which confines itself as
//! `watch` does and then tries what a sensor must not: each attempt has to fail by the kernel's own word. Road not taken: a switch in the
//! sensor that makes it misbehave.

#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::panic,
    reason = "a test tries what the sensor must not, and should stop at the first surprise"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd::geteuid;
use whither::config::Sandbox as Mode;
use whither::sandbox::{self, Needs, Sandbox};

/// Set in the copy of this program that confines itself: the folder that the test has made.
const INSIDE: &str = "WHITHER_TEST_INSIDE";

/// Runs a test of this program again, alone in its process, with a folder of its own; the rest of the test is what that process does.
fn again(test: &str) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(INSIDE) {
        return Some(PathBuf::from(folder));
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["geoip", "state", "events", "other"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    for name in ["geoip/a.mmdb", "geoip/b.mmdb", "other/secret"] {
        fs::write(folder.path().join(name), "rows").unwrap();
    }
    let mut alone = Command::new(std::env::current_exe().unwrap());
    let ended = alone.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(INSIDE, folder.path()).output().unwrap();
    let said = [ended.stdout, ended.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(ended.status.success(), "{}\n{said}", ended.status);
    None
}

/// Confined in the way of a sensor that has an address database, events and a state directory.
fn confined(folder: &Path) -> Sandbox {
    let needs =
        Needs { read: vec![folder.join("geoip/a.mmdb")], write: vec![folder.join("events/e.jsonl")], keep: vec![folder.join("state")] };
    sandbox::enter(Mode::Try, None, &needs).unwrap()
}

fn has(sandbox: &Sandbox, layer: &str) -> bool {
    let on = sandbox.layers.iter().any(|row| row.name == layer && row.on);
    if !on {
        eprintln!("\n*** SKIPPED: {} ***\n", sandbox.line());
        assert!(std::env::var("WHITHER_LAB").as_deref() != Ok("must"), "WHITHER_LAB=must, but: {}", sandbox.line());
    }
    on
}

fn refused<T>(what: &str, tried: std::io::Result<T>, with: Errno) {
    match tried {
        Ok(_) => panic!("{what} was allowed"),
        Err(error) => assert_eq!(error.raw_os_error(), Some(with as i32), "{what}: {error}"),
    }
}

#[test]
fn nobody_is_asked_and_nothing_is_sent() {
    let Some(folder) = again("nobody_is_asked_and_nothing_is_sent") else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let before = UdpSocket::bind("127.0.0.1:0").unwrap();
    // What is to be denied is allowed before, or the test would prove nothing.
    drop(TcpStream::connect(at).unwrap());
    let _ = listener.accept().unwrap();
    before.send_to(b"a", at).unwrap();
    assert!(("localhost", 80).to_socket_addrs().is_ok());

    if !has(&confined(&folder), "seccomp") {
        return;
    }
    refused("a TCP connection", TcpStream::connect(at), Errno::EPERM);
    refused("a UDP socket", UdpSocket::bind("127.0.0.1:0"), Errno::EPERM);
    refused("a TCP socket over IPv6", TcpListener::bind("[::1]:0"), Errno::EPERM);
    refused("a datagram on a socket that was there before", before.send_to(b"a", at), Errno::EPERM);
    refused("a peer for a socket that was there before", before.connect(at), Errno::EPERM);
    for family in [AddressFamily::Inet, AddressFamily::Inet6, AddressFamily::Vsock, AddressFamily::Bluetooth, AddressFamily::Can] {
        for kind in [SockType::Stream, SockType::Datagram, SockType::Raw] {
            assert_eq!(socket(family, kind, SockFlag::empty(), None).err(), Some(Errno::EPERM), "{family:?} {kind:?}");
        }
    }
    assert!(("whither.example.com", 80).to_socket_addrs().is_err(), "a name was looked up");
    refused("another program", Command::new("/bin/true").status(), Errno::EPERM);
}

#[test]
fn only_what_was_given_is_read_and_written() {
    let Some(folder) = again("only_what_was_given_is_read_and_written") else { return };
    if !has(&confined(&folder), "landlock") {
        return;
    }
    refused("reading elsewhere", fs::read(folder.join("other/secret")), Errno::EACCES);
    refused("reading the system's", fs::read("/etc/passwd"), Errno::EACCES);
    refused("writing elsewhere", fs::write(folder.join("other/new"), ""), Errno::EACCES);
    refused("writing what is read", fs::write(folder.join("geoip/a.mmdb"), ""), Errno::EACCES);
    refused("removing what is read", fs::remove_file(folder.join("geoip/a.mmdb")), Errno::EACCES);
    refused("listing elsewhere", fs::read_dir(folder.join("other")), Errno::EACCES);
}

#[test]
fn what_a_sensor_does_goes_on() {
    let Some(folder) = again("what_a_sensor_does_goes_on") else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let sandbox = confined(&folder);

    // Rotation, and the file that a log shipper follows.
    let [events, older] = ["events/e.jsonl", "events/e.jsonl.1"].map(|name| folder.join(name));
    fs::write(&events, "{}\n").unwrap();
    fs::rename(&events, &older).unwrap();
    fs::write(&events, "{}\n").unwrap();
    fs::remove_file(&older).unwrap();
    // The state, beside the former and put in its place.
    fs::File::open(folder.join("state")).unwrap().lock().unwrap();
    let mut half = fs::File::create_new(folder.join("state/half")).unwrap();
    half.write_all(b"{}").unwrap();
    half.sync_all().unwrap();
    fs::rename(folder.join("state/half"), folder.join("state/whole")).unwrap();
    assert_eq!(fs::read(folder.join("state/whole")).unwrap(), b"{}");
    // Pages, in a thread of their own.
    let answering =
        std::thread::Builder::new().name("pages".to_owned()).spawn(move || listener.accept().unwrap().0.write_all(b"200").unwrap());
    answering.unwrap().join().unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "200");
    // A database that has taken the place of another is another file in the same folder.
    for database in ["geoip/a.mmdb", "geoip/b.mmdb"] {
        assert_eq!(fs::read(folder.join(database)).unwrap(), b"rows");
    }
    // The interfaces' addresses, which change, and what they dropped.
    fs::read("/sys/class/net/lo/statistics/rx_missed_errors").unwrap();
    assert!(nix::ifaddrs::getifaddrs().unwrap().count() > 0);
    assert!(sandbox.line().starts_with("sandbox: user "), "{}", sandbox.line());
}

#[test]
fn root_is_given_up_where_another_user_is_enough() {
    let Some(folder) = again("root_is_given_up_where_another_user_is_enough") else { return };
    if !geteuid().is_root() {
        return eprintln!("\n*** SKIPPED: only root can be given up ***\n");
    }
    for path in [folder.clone(), folder.join("events"), folder.join("state")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let sandbox = confined(&folder);
    assert!(has(&sandbox, "user"), "{}", sandbox.line());
    fs::write(folder.join("events/e.jsonl"), "").unwrap();
    let nobody = fs::metadata(folder.join("events/e.jsonl")).unwrap();
    assert!(nobody.uid() != 0 && nobody.gid() != 0, "{}", nobody.uid());
    // Of this thread: the test's harness has another, which is not confined.
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(of("Uid:"), vec![nobody.uid().to_string(); 4].join("\t"), "real, effective, saved, and for files");
    assert_eq!(of("Groups:"), nobody.gid().to_string());
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        let held = u64::from_str_radix(&of(set), 16).unwrap();
        assert_eq!(held & !(1 << 13), 0, "{set} is more than cap_net_raw");
    }
    assert_eq!([of("NoNewPrivs:"), of("Seccomp:")], ["1", "2"]);
    assert!(nix::unistd::setuid(nix::unistd::Uid::from_raw(0)).is_err(), "root again");
}

#[test]
fn whoever_owns_the_files_is_taken_where_nobody_is_not_enough() {
    let Some(folder) = again("whoever_owns_the_files_is_taken_where_nobody_is_not_enough") else { return };
    if !geteuid().is_root() {
        return eprintln!("\n*** SKIPPED: only root can become another user ***\n");
    }
    let person = 54_321;
    for path in ["", "events", "state"].map(|name| folder.join(name)) {
        std::os::unix::fs::chown(&path, Some(person), Some(person)).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    }
    let sandbox = confined(&folder);
    assert!(sandbox.line().starts_with("sandbox: user 54321, "), "{}", sandbox.line());
    fs::write(folder.join("events/e.jsonl"), "").unwrap();
    let made = fs::metadata(folder.join("events/e.jsonl")).unwrap();
    assert_eq!((made.uid(), made.gid()), (person, person));
}

#[test]
fn a_user_that_cannot_reach_what_was_given_is_told_and_not_taken() {
    let Some(folder) = again("a_user_that_cannot_reach_what_was_given_is_told_and_not_taken") else { return };
    if !geteuid().is_root() {
        return eprintln!("\n*** SKIPPED: only root can become another user ***\n");
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let needs = Needs { read: vec![folder.join("geoip/a.mmdb")], ..Needs::default() };
    let told = |name| format!("{:#}", sandbox::enter(Mode::Try, Some(name), &needs).unwrap_err());
    assert!(
        told("nobody").starts_with("as the user nobody (--user NAME is another): ")
            && told("nobody").contains("a.mmdb cannot be read: Permission denied")
    );
    assert_eq!(told("no-such-user"), "there is no user no-such-user");
    assert!(geteuid().is_root(), "nothing was changed");
}

/// Who sends frames must write them: the thread that captures has a socket for it, and no call.
#[cfg(feature = "live")]
#[test]
fn the_thread_that_captures_cannot_send_on_its_capture() {
    use whither::capture::live::{Live, Options};
    let Some(folder) = again("the_thread_that_captures_cannot_send_on_its_capture") else { return };
    if let Err(error) = Live::open(&Options::new("lo")) {
        return eprintln!("\n*** SKIPPED: {error} ***\n");
    }
    let mut capture = pcap::Capture::from_device("lo").unwrap().open().unwrap();
    // Of a protocol that nobody listens to: the first for experiments (IEEE 802, 9.2.3).
    let frame = [&[0; 12][..], &[0x88, 0xb5], &[0; 46]].concat();
    let sandbox = confined(&folder);
    if !has(&sandbox, "seccomp") {
        return;
    }
    capture.sendpacket(&frame[..]).unwrap(); // it can, or the test would prove nothing
    sandbox::mute(&sandbox).unwrap();
    let denied = capture.sendpacket(&frame[..]).unwrap_err().to_string();
    assert!(denied.contains("Operation not permitted"), "{denied}");
    refused("a file", fs::write(folder.join("events/e.jsonl"), "longer than a wake"), Errno::EPERM);
    assert!(std::thread::Builder::new().spawn(|| {}).is_err(), "another thread");
    // What it needs: to capture again, to speak to a person, to wake another thread.
    drop(capture);
    Live::open(&Options::new("lo")).unwrap();
    std::io::stderr().write_all(b"heard\n").unwrap();
    std::io::pipe().unwrap().1.write_all(b"!").unwrap();
}
