//! By which name the pages are asked for: a guard against DNS rebinding.
//!
//! A web site may give its own name the address 127.0.0.1; the browser that shows it on this machine then takes whither's pages
//! for the site's own and lets its script read them. What cannot be forged is the Host header. So where pages are served on loopback
//! without a password, they are so only by an address, `localhost`, or this machine's name.
//!
//! Road not taken: the same for all addresses. A sensor in a network is scraped by whatever name its DNS has.

use std::net::IpAddr;

/// Whether a Host header (RFC 9110, 7.2) names this machine; `machine` is its host name, or empty.
pub(super) fn is_ours(host: &str, machine: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(address, _)| address),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let machine = machine.to_ascii_lowercase();
    let short = machine.split('.').next().unwrap_or_default();
    let of_machine = !short.is_empty() && (name == machine || name == short || name.strip_suffix(".local") == Some(short));
    name.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost") || of_machine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_this_machine_are_ours_and_sites_are_not() {
        for host in [
            "127.0.0.1:9843",
            "192.0.2.1",
            "[::1]:9843",
            "localhost:80",
            "LocalHost.",
            "x.localhost",
            "bench-2:9843",
            "Bench-2.local",
            "bench-2.example.org",
        ] {
            assert!(is_ours(host, "bench-2.example.org"), "{host}");
        }
        for host in [
            "example.net",
            "127.0.0.1.example.net",
            "localhost.example.net:9843",
            "bench-22",
            "bench-2.example.net",
            "",
            "[example.net]",
            "xlocalhost",
        ] {
            assert!(!is_ours(host, "bench-2"), "{host}");
        }
        assert!(!is_ours("", "") && !is_ours(".", ""));
    }
}
