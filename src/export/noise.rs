//! What of a device's traffic any phone makes in the background, as `read` prints it: checks for a captive portal, time, push.
//!
//! Road taken: the totals with and without, side by side. Road not taken: leaving it out of the table, since a destination may pass for noise.

use std::fmt::Write as _;

use super::printable;
use super::table::size;
use crate::engine::snapshot::{DestinationRow, Snapshot};

/// One line for each device that has any.
#[must_use]
pub fn lines(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    for device in &snapshot.devices {
        let kinds = kinds(snapshot.destinations_of(&device.id));
        let noise = kinds.iter().fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
        if noise == 0 {
            continue;
        }
        if out.is_empty() {
            out.push_str("\nBackground noise (bytes outside that any phone makes, by watchlist and port):\n");
        }
        let outside = device.services.iter().fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
        let name = device.hostname.as_deref().map(|name| format!("{} ", printable(name))).unwrap_or_default();
        let each: Vec<String> = kinds.iter().map(|(kind, bytes)| format!("{kind} {}", size(*bytes))).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "  {name}{}: {} of {} ({}); without it {}",
            printable(&device.id),
            size(noise),
            size(outside),
            each.join(", "),
            size(outside.saturating_sub(noise))
        );
    }
    out
}

/// The kinds of noise of a device, in the order of their names.
fn kinds(rows: &[DestinationRow]) -> Vec<(&'static str, u64)> {
    let services = rows.iter().flat_map(|row| &row.services).filter(|service| service.noise);
    let mut kinds: Vec<(&'static str, u64)> = Vec::new();
    for service in services {
        match kinds.iter_mut().find(|(kind, _)| *kind == service.category) {
            Some((_, bytes)) => *bytes = bytes.saturating_add(service.bytes),
            None => kinds.push((service.category, service.bytes)),
        }
    }
    kinds.sort_unstable();
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::snapshot::ServiceRow;
    use crate::export::fixture;

    #[test]
    fn noise_is_told_with_and_without_and_ambiguous_hosts_are_none() {
        let mut snapshot = fixture::scrape().snapshot;
        assert_eq!(lines(&snapshot), "");
        let service = |category, noise, bytes| ServiceRow { category, noise, vendor: None, ambiguous: !noise, bytes };
        snapshot.devices[0].services = vec![("none", 150_000), ("push", 50_000), ("time", 900)];
        snapshot.destinations[0].services = vec![service("push", true, 20_000), service("captive_portal", false, 5_000)];
        snapshot.destinations[1].services = vec![service("push", true, 30_000), service("time", true, 900)];
        let text = lines(&snapshot);
        assert!(text.ends_with("\n  02:00:00:00:00:0a: 50.9 kB of 200.9 kB (push 50.0 kB, time 900 B); without it 150.0 kB\n"), "{text}");
    }
}
