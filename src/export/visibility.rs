//! The visibility budget of `read`: for each device, what share of its bytes outside is known by what.
//!
//! A "not seen" is worth as much as the share of traffic that has a name, so the table is never without this.

use std::fmt::Write as _;

use super::printable;
use super::table::alias;
use crate::engine::snapshot::{Both, Class, Snapshot};

/// One line for each device with traffic outside; every byte is in exactly one share.
#[must_use]
pub fn lines(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    for device in &snapshot.devices {
        let outside = |class: &Class| !matches!(class, Class::Local | Class::Multicast);
        let shares: Vec<(&str, u64)> = device
            .visibility
            .iter()
            .filter(|(class, _)| outside(class))
            .map(|(class, some)| (class.as_str(), bytes(some)))
            .chain([("pending", bytes(&device.pending))])
            .filter(|(_, some)| *some > 0)
            .collect();
        let all: u64 = shares.iter().map(|(_, some)| *some).fold(0, u64::saturating_add);
        if all == 0 {
            continue;
        }
        if out.is_empty() {
            out.push_str("\nKnown by (share of bytes outside):\n");
        }
        let name = match (&device.alias, device.hostname.as_deref()) {
            (Some(_), _) => alias(device),
            (None, Some(name)) => format!("{name} {}", device.id),
            (None, None) => device.id.to_string(),
        };
        // Writing to a String cannot fail.
        let _ = write!(out, "  {}:", printable(&name));
        for (class, some) in shares {
            let _ = write!(out, " {class} {:.1} %", some as f64 * 100.0 / all as f64);
        }
        out.push('\n');
    }
    out
}

fn bytes(both: &Both) -> u64 {
    both.transmit.bytes.saturating_add(both.receive.bytes)
}
