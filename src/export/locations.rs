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
