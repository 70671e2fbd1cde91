//! What `read` prints below the table: the servers whose location a witness contradicts.
//!
//! Road taken: a server is told once, however many devices used it. Road not taken: a column for each witness, which no terminal has
//! room for; `--json` and the events have each by itself.

use std::fmt::Write as _;

use super::printable;
use crate::engine::snapshot::Snapshot;

/// Servers told at most: a hundred are read, ten thousand are not.
const MOST: usize = 50;

/// One line for each server whose country another witness contradicts; nothing where there is none.
#[must_use]
pub fn contradicted(snapshot: &Snapshot) -> String {
    let rows = snapshot.destinations.iter().filter_map(|row| row.location.as_deref());
    let mut servers: Vec<_> = rows.filter(|location| location.witnesses.against() > 0).collect();
    servers.sort_by(|a, b| (&a.name, a.server).cmp(&(&b.name, b.server)));
    servers.dedup_by(|a, b| (&a.name, a.server) == (&b.name, b.server));
    let mut out = String::new();
    if servers.is_empty() {
        return out;
    }
    out.push_str("\nLocations that a witness contradicts:\n");
    for location in servers.iter().take(MOST) {
        let name = location.name.as_deref().map(|name| format!("{} ", printable(name))).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {name}{}: {}", location.server, printable(&location.words()));
    }
    if servers.len() > MOST {
        let _ = writeln!(out, "  and {} more; --json has all", servers.len().saturating_sub(MOST));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use std::sync::Arc;

    use crate::engine::snapshot::Location;
    use crate::export::fixture;

    fn told(servers: impl IntoIterator<Item = u8>) -> String {
        let mut snapshot = fixture::scrape().snapshot;
        let row = snapshot.destinations.remove(1);
        snapshot.destinations.clear();
        for last in servers {
            let location = Location { server: IpAddr::from([203, 0, 113, last]), ..fixture::disputed() };
            let mut row = row.clone();
            row.location = Some(Arc::new(location));
            snapshot.destinations.push(row);
        }
        contradicted(&snapshot)
    }

    #[test]
    fn a_server_is_told_once_and_a_thousand_are_not_told_one_by_one() {
        assert_eq!(told([]), "");
        assert_eq!(told([7, 8, 7]).lines().count(), 4, "an empty line, the head and two servers");
        let many = told(0..=200);
        assert!(many.ends_with("\n  and 151 more; --json has all\n"), "{many}");
    }

    #[test]
    fn a_server_is_told_with_its_witnesses_and_its_name_does_no_harm() {
        let text = told([7]);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        let line = text.lines().last().unwrap();
        let words = "203.0.113.7: the databases disagree: first says Singapore, second says Germany; no handshake with it was timed";
        assert!(line.ends_with(words), "{line}");
    }

    #[test]
    fn what_nobody_contradicts_is_not_told() {
        let mut snapshot = fixture::scrape().snapshot;
        let mut location = fixture::disputed();
        location.witnesses.agree = Some(true);
        snapshot.destinations[0].location = Some(Arc::new(location));
        assert_eq!(contradicted(&snapshot), "");
    }
}
