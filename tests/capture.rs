//! An interface through libpcap, for real: on loopback, and in network namespaces that these tests make and remove.
//!
//! Both need the right to capture; without it they say so and pass.
#![cfg(feature = "live")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::process::{Command, Stdio};
use std::time::Duration;

use whither::capture::live::{Live, Lost, OpenError, Options};
use whither::capture::watch::{Turn, Watch};

/// Set in the copy of this program that runs inside the namespace.
const INSIDE: &str = "WHITHER_TEST_INSIDE";
/// A turn; how long a test waits is counted in turns, so a hanging capture fails instead of hanging the test.
const TURN: Duration = Duration::from_millis(100);

/// Opens, or says why the test is skipped.
fn open(options: Options) -> Option<Watch> {
    match Watch::open(options) {
        Ok(watch) => Some(watch),
        Err(error @ OpenError::NoPermission { .. }) => {
            eprintln!("SKIPPED: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn run(command: &str) {
    let words: Vec<_> = command.split(' ').collect();
    let status = Command::new(words[0]).args(&words[1..]).status().unwrap();
    assert!(status.success(), "{command}: {status}");
}

#[test]
#[expect(clippy::disallowed_types, reason = "a test has to make the packets that it wants to see")]
fn packets_of_loopback_are_seen_once_whole_and_counted() {
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = receiver.local_addr().unwrap().port();
    let filter = Some(format!("udp dst port {port}"));
    let Some(mut watch) = open(Options { filter, snaplen: 64, ..Options::new("lo") }) else { return };

    for size in [10, 1000] {
        sender.send_to(&vec![7; size], ("127.0.0.1", port)).unwrap();
    }
    let mut seen = Vec::new();
    for _ in 0..100 {
        let turn = watch.poll(TURN, &mut |frame| seen.push((frame.number, frame.wire_len, frame.data.len(), frame.time)));
        assert!(matches!(turn, Turn::Packets(_)), "{turn:?}");
        if seen.len() >= 2 {
            break;
        }
    }
    let lengths: Vec<_> = seen.iter().map(|(number, wire, kept, _)| (*number, *wire, *kept)).collect();
    // 14 of the link, 20 of IPv4, 8 of UDP; the second is cut to 64.
    assert_eq!(lengths, [(1, 52, 52), (2, 1042, 64)]);
    assert!(seen[0].3 <= seen[1].3 && seen[0].3.as_nanos() > 1_700_000_000_000_000_000, "nanoseconds since 1970: {seen:?}");
    let counters = watch.stats();
    // The kernel counts a packet of loopback as sent and as received; libpcap hands over one of them.
    assert!(counters.received >= 2 && counters.dropped_kernel == 0, "{counters:?}");
}

#[test]
fn a_quiet_interface_is_waited_for_no_longer_than_said() {
    let Some(mut watch) = open(Options { filter: Some("udp port 0".to_owned()), ..Options::new("lo") }) else { return };
    for _ in 0..3 {
        assert_eq!(watch.poll(TURN, &mut |_| panic!("no packet has port 0")), Turn::Packets(0));
    }
}

#[test]
fn a_bad_filter_is_refused_with_the_words_of_libpcap() {
    let Some(_) = open(Options::new("lo")) else { return };
    let error = Live::open(&Options { filter: Some("prot 53".to_owned()), ..Options::new("lo") }).unwrap_err();
    assert!(error.to_string().starts_with("the filter \"prot 53\" cannot be used: "), "{error}");
}

/// The interface goes down and up, then away and back: each is told once, and packets come again.
#[test]
fn an_interface_that_comes_back_is_watched_again() {
    if std::env::var_os(INSIDE).is_some() {
        return down_up_away_and_back();
    }
    let name = format!("whither-capture-{}", std::process::id());
    match Command::new("ip").args(["netns", "add", &name]).output() {
        Ok(made) if made.status.success() => {}
        other => return eprintln!("SKIPPED: no network namespace can be made here: {other:?}"),
    }
    let inside = Command::new("ip")
        .args(["netns", "exec", &name])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "an_interface_that_comes_back_is_watched_again", "--nocapture"])
        .env(INSIDE, "1")
        .status();
    run(&format!("ip netns del {name}"));
    assert!(inside.unwrap().success());
}

fn down_up_away_and_back() {
    run("ip link set lo up");
    run("ip link add port0 type veth peer name port1");
    run("ip link set port1 up");
    let error = Live::open(&Options::new("port0")).unwrap_err();
    assert_eq!(error, OpenError::Down { interface: "port0".to_owned() });
    run("ip link set port0 up");
    let mut watch = Watch::open(Options::new("port0")).unwrap();

    // It flaps: each loss is told once, and each return.
    for _ in 0..3 {
        run("ip link set port0 down");
        assert!(matches!(until(&mut watch, |turn| matches!(turn, Turn::Lost(_))), Turn::Lost(Lost::Down { .. })));
        assert!(!watch.is_up());
        run("ip link set port0 up");
        until(&mut watch, |turn| *turn == Turn::Back);
        assert!(watch.is_up());
    }
    let before = packets_after_a_neighbour_question(&mut watch);

    run("ip link del port0");
    assert!(matches!(until(&mut watch, |turn| matches!(turn, Turn::Lost(_))), Turn::Lost(Lost::Gone { .. })));
    run("ip link add port0 type veth peer name port1");
    run("ip link set port1 up");
    run("ip link set port0 up");
    until(&mut watch, |turn| *turn == Turn::Back);
    let after = packets_after_a_neighbour_question(&mut watch);
    assert!(after > before, "counters go on over a reopening: {before} then {after}");
}

/// Turns until one is as wanted, at most 50 of them.
fn until(watch: &mut Watch, wanted: impl Fn(&Turn) -> bool) -> Turn {
    let turns = (0..50).map(|_| watch.poll(TURN, &mut |_| {}));
    let mut seen = Vec::new();
    for turn in turns {
        if wanted(&turn) {
            return turn;
        }
        seen.push(turn);
    }
    panic!("not in {seen:?}");
}

/// Makes the other end ask for a neighbour (an ARP broadcast) and waits for it; returns the packets counted in all.
fn packets_after_a_neighbour_question(watch: &mut Watch) -> u64 {
    run("ip addr replace 192.0.2.1/24 dev port1");
    let mut ask = Command::new("ping").args(["-c1", "-W1", "192.0.2.77"]).stdout(Stdio::null()).spawn().unwrap();
    let mut asked = false;
    for _ in 0..50 {
        watch.poll(TURN, &mut |frame| asked |= frame.data.get(12..14) == Some(&[8, 6]));
        if asked {
            break;
        }
    }
    let _ = ask.wait();
    assert!(asked, "the question was not seen");
    watch.stats().received
}
