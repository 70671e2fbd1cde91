//! `read --serve --speed`: the pages are up while the reading goes on at the pace of the capture, and show all at its end.

#![expect(clippy::unwrap_used, clippy::disallowed_types, reason = "a test makes its own world")]

mod mixin;

use std::fs::File;

use mixin::server::{Server, until};
use whither::simulate::{Plan, write};

#[test]
fn a_replay_shows_what_has_passed_so_far() {
    let folder = tempfile::tempdir().unwrap();
    let truth = write(&Plan { hours: 1, ..Plan::default() }, &mut File::create(folder.path().join("lab.pcap")).unwrap()).unwrap();
    let replay = |speed: &str| Server::whither(&["read", "--serve", "--speed", speed, "lab.pcap"], folder.path(), "127.0.0.1:0");
    let all: u64 = truth.devices.iter().map(|device| device.transmit.bytes).sum();

    let slow = replay("0.001"); // the first second of the capture takes a quarter of an hour
    until(|| sent(&slow) > 0, || slow.get("/metrics"));
    assert!(sent(&slow) < all / 2, "{} of {all} bytes at once", sent(&slow));

    let fast = replay("1000000");
    until(|| sent(&fast) == all, || format!("{} of {all} bytes", sent(&fast)));
}

/// The bytes that all devices have sent.
fn sent(server: &Server) -> u64 {
    let metrics = server.get("/metrics");
    let lines = metrics.lines().filter(|line| line.starts_with("whither_device_transmit_bytes_total{"));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}
