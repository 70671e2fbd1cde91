//! The registrable domain of a host name.

use std::net::IpAddr;

/// The registrable domain of a host name by the public suffix list; none for addresses, single labels and names that are not
/// in the public tree.
pub(super) fn registrable(name: &str) -> Option<&str> {
    let public = name.contains('.')
        && !name.contains('\\')
        && name.parse::<IpAddr>().is_err()
        && ![".local", ".arpa", ".internal", ".lan", ".home"].iter().any(|end| name.ends_with(end));
    if public { psl::domain_str(name) } else { None }
}
