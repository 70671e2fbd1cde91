//! What only this machine knows of its interfaces: which one to watch, and which addresses on it are ours.
//!
//! Everything is read from the kernel (`getifaddrs`, `/sys/class/net`, `/proc/net`, nl80211); nothing is sent.
//!
//! Why the access-point interface is chosen and not its bridge: traffic between two stations never reaches the bridge, as the radio
//! forwards it itself. The price, measured on hostapd: the radio shows a station's broadcasts twice (as received and as sent
//! on), the bridge shows them once. So the choice says that there is a bridge, and leaves it to the person.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;

use super::wireless;
use crate::packet::Mac;

/// An interface and why it was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its name.
    pub interface: String,
    /// Why, to be read after "chose NAME: ".
    pub why: String,
}

/// No interface offers itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoChoice {
    /// The interfaces there are, without loopback.
    pub interfaces: Vec<String>,
}

impl fmt::Display for NoChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no interface is in access-point mode and none has the default route: name one of {}", list(&self.interfaces))
    }
}

impl std::error::Error for NoChoice {}

/// The interface to watch when none is named: one in access-point mode, else the one with the default route.
///
/// # Errors
/// When there is neither.
pub fn choose() -> Result<Choice, NoChoice> {
    let access_points: Vec<_> = wireless::access_points().into_iter().map(|name| (bridge_of(&name), name)).collect();
    choose_from(&access_points, &proc("/proc/net/route"), &proc("/proc/net/ipv6_route"))
        .ok_or_else(|| NoChoice { interfaces: all().into_iter().filter(|name| name != "lo").collect() })
}

/// The networks that are on our side of `interface`: its own prefixes, and those of the bridge that it is a port of.
#[must_use]
pub fn local_prefixes(interface: &str) -> Vec<IpNet> {
    let ours = with_bridge(interface);
    let mut prefixes: Vec<_> = addresses()
        .filter(|entry| ours.contains(&entry.interface_name))
        .filter_map(|entry| IpNet::with_netmask(ip(&entry.address?)?, ip(&entry.netmask?)?).ok())
        .map(|prefix| prefix.trunc())
        .collect();
    prefixes.sort();
    prefixes.dedup();
    prefixes
}

/// The access point's own addresses on the link: of `interface`, and of the bridge that it is a port of (which is whom the
/// stations talk to).
#[must_use]
pub fn own_macs(interface: &str) -> Vec<Mac> {
    let ours = with_bridge(interface);
    let mut macs: Vec<_> = addresses()
        .filter(|entry| ours.contains(&entry.interface_name))
        .filter_map(|entry| entry.address?.as_link_addr().filter(|link| link.halen() == 6)?.addr().map(Mac))
        .filter(|mac| !mac.is_zero())
        .collect();
    macs.sort();
    macs.dedup();
    macs
}

/// Every interface, sorted.
pub(super) fn all() -> Vec<String> {
    let mut names: Vec<_> = addresses().map(|entry| entry.interface_name).collect();
    names.sort();
    names.dedup();
    names
}

/// The interfaces whose names are nearest to `wanted`, nearest first; at most eight, as a host of containers has hundreds.
pub(super) fn near(wanted: &str) -> Vec<String> {
    let mut names = all();
    names.sort_by_key(|name| distance(name, wanted));
    names.truncate(8);
    names
}

/// Whether an interface is there, and up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// There and up.
    Up,
    /// There, but taken down.
    Down,
    /// Not there.
    Gone,
}

/// Asks whether `interface` is up now. libpcap's `any` always is.
pub(super) fn state(interface: &str) -> State {
    if interface == "any" {
        return State::Up;
    }
    match addresses().find(|entry| entry.interface_name == interface) {
        Some(entry) if entry.flags.contains(InterfaceFlags::IFF_UP) => State::Up,
        Some(_) => State::Down,
        None => State::Gone,
    }
}

/// Names in a row, for a person.
pub(super) fn list(names: &[String]) -> String {
    if names.is_empty() { "(there are none)".to_owned() } else { names.join(", ") }
}

fn choose_from(access_points: &[(Option<String>, String)], routes: &str, routes6: &str) -> Option<Choice> {
    if let Some(((bridge, interface), others)) = access_points.split_first() {
        let mut why = "it is in access-point mode".to_owned();
        if !others.is_empty() {
            let others: Vec<_> = others.iter().map(|(_, name)| name.clone()).collect();
            why.push_str(&format!(", as {} too", list(&others)));
        }
        if let Some(bridge) = bridge {
            why.push_str(&format!(
                "; it is a port of the bridge {bridge}, which would show broadcasts once instead of twice and the wired ports too, \
                 but not what stations send each other"
            ));
        }
        return Some(Choice { interface: interface.clone(), why });
    }
    let (interface, family) =
        default_route(routes).map(|name| (name, "IPv4")).or_else(|| default_route6(routes6).map(|name| (name, "IPv6")))?;
    Some(Choice {
        interface,
        why: format!("no interface is in access-point mode, and this one has the {family} default route; to watch another, name it"),
    })
}

/// The interface of the default route with the lowest metric, from `/proc/net/route`.
fn default_route(table: &str) -> Option<String> {
    let routes = table.lines().filter_map(|line| match line.split_ascii_whitespace().collect::<Vec<_>>().as_slice() {
        [name, "00000000", _, flags, _, _, metric, "00000000", ..] => usable(name, flags, metric.parse().ok()?),
        _ => None,
    });
    routes.min_by_key(|(metric, _)| *metric).map(|(_, name)| name)
}

/// The interface of the default route with the lowest metric, from `/proc/net/ipv6_route`.
fn default_route6(table: &str) -> Option<String> {
    let routes = table.lines().filter_map(|line| match line.split_ascii_whitespace().collect::<Vec<_>>().as_slice() {
        [target, "00", _, _, _, metric, _, _, flags, name] if target.bytes().all(|digit| digit == b'0') => {
            usable(name, flags, u32::from_str_radix(metric, 16).ok()?)
        }
        _ => None,
    });
    routes.min_by_key(|(metric, _)| *metric).map(|(_, name)| name)
}

/// A route that is up and does not reject (`RTF_UP`, `RTF_REJECT` of `linux/route.h`); loopback is never the way out.
fn usable(name: &str, flags: &str, metric: u32) -> Option<(u32, String)> {
    let flags = u32::from_str_radix(flags, 16).ok()?;
    (flags & 0x1 != 0 && flags & 0x200 == 0 && name != "lo").then(|| (metric, name.to_owned()))
}

fn addresses() -> impl Iterator<Item = InterfaceAddress> {
    getifaddrs().into_iter().flatten()
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let four = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    four.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

fn with_bridge(interface: &str) -> Vec<String> {
    std::iter::once(interface.to_owned()).chain(bridge_of(interface)).collect()
}

/// The bridge that has `interface` as its port. A bond's or a VRF's master is no bridge: it has no `bridge` folder.
fn bridge_of(interface: &str) -> Option<String> {
    let master = std::fs::read_link(Path::new("/sys/class/net").join(interface).join("master")).ok()?;
    let name = master.file_name()?.to_str()?.to_owned();
    Path::new("/sys/class/net").join(&name).join("bridge").exists().then_some(name)
}

#[expect(clippy::disallowed_methods, reason = "the routing table of this machine decides which interface is watched")]
fn proc(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Edit distance (Levenshtein), a row at a time. Names are at most 15 bytes; what a person typed is cut to 64 characters.
fn distance(name: &str, wanted: &str) -> usize {
    let wanted: Vec<char> = wanted.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=wanted.len()).collect();
    for letter in name.chars() {
        let mut left = row.first().map_or(0, |first| first + 1);
        let mut next = vec![left];
        for ((above_left, above), other) in row.iter().zip(row.iter().skip(1)).zip(&wanted) {
            left = (above_left + usize::from(letter != *other)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

    #[test]
    fn an_access_point_wins_over_the_default_route_and_its_bridge_is_mentioned() {
        let routes = format!("{HEAD}eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n");
        let one = [(Some("br-lan".to_owned()), "wlan0".to_owned()), (None, "wlan1".to_owned())];
        let choice = choose_from(&one, &routes, "").unwrap();
        assert_eq!(choice.interface, "wlan0");
        assert!(choice.why.starts_with("it is in access-point mode, as wlan1 too; it is a port of the bridge br-lan"), "{}", choice.why);
        assert_eq!(choose_from(&[], &routes, "").unwrap().interface, "eth0");
        assert_eq!(choose_from(&[], HEAD, ""), None);
    }

    #[test]
    fn the_default_route_of_the_lowest_metric_that_is_up_counts() {
        let routes = format!(
            "{HEAD}usb0\t00000000\t010200C0\t0003\t0\t0\t700\t00000000\t0\t0\t0\n\
             eth1\t00000000\t010200C0\t0002\t0\t0\t0\t00000000\t0\t0\t0\n\
             eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
             eth2\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        );
        assert_eq!(default_route(&routes).as_deref(), Some("eth0"));
    }

    #[test]
    fn an_ipv6_only_machine_has_a_default_route_too() {
        let any = "0".repeat(32);
        let next = "20010db8000000000000000000000001";
        let routes = format!(
            "{any} 00 {any} 00 {any} ffffffff 00000001 00000000 00200200 lo\n\
             {any} 00 {any} 00 {next} 00000400 00000001 00000000 00000003 eth0\n\
             fe800000000000000000000000000000 40 {any} 00 {any} 00000100 00000001 00000000 00000001 eth1\n"
        );
        let choice = choose_from(&[], HEAD, &routes).unwrap();
        assert_eq!((choice.interface.as_str(), choice.why.contains("IPv6")), ("eth0", true));
    }

    #[test]
    fn near_names_come_first() {
        assert_eq!(distance("wlan0", "wlan0"), 0);
        assert_eq!(distance("wlan0", "wlan1"), 1);
        assert_eq!(distance("wlan0", "wlna0"), 2);
        assert_eq!(distance("eth0", ""), 4);
        assert_eq!(near("l").first().map(String::as_str), Some("lo"));
    }

    #[test]
    fn loopback_is_up_and_its_prefix_is_its_own() {
        assert_eq!(state("lo"), State::Up);
        assert_eq!(state("no-such-one"), State::Gone);
        assert!(local_prefixes("lo").contains(&"127.0.0.0/8".parse().unwrap()));
        assert!(own_macs("lo").is_empty(), "loopback has no address on the link");
    }
}
