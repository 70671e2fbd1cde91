//! What cannot be seen and why, with how much of it is in these captures; and the limits of the method.
//!
//! Road taken: each kind of blindness has its row whether it occurs or not, since a reader asks about the ones that do not.

use super::model::{BlindSpot, Device, Header};
use super::words::{grouped, share, size, span};

/// Every kind, with what of it is here.
pub(super) fn spots(header: &Header, devices: &[Device]) -> Vec<BlindSpot> {
    let bytes = |classes: &[&str]| {
        let told: Vec<String> = devices
            .iter()
            .filter_map(|device| {
                let part = device.visibility.iter().filter(|share| classes.contains(&share.class)).map(|share| share.bytes);
                let part = part.fold(0, u64::saturating_add);
                (part > 0).then(|| format!("{}: {} ({})", device.title, size(part), share(part, device.coverage.outside_bytes)))
            })
            .collect();
        if told.is_empty() { "none seen".to_owned() } else { told.join("; ") }
    };
    let spot = |what, hides, here| BlindSpot { what, hides, here };
    vec![
        spot("Contents", "what was sent, and why: encrypted bytes are not opened, and sizes do not say what they are", "always".to_owned()),
        spot("Apps", "which app of a device it was: all share its addresses", "always".to_owned()),
        spot("Other ways out", "the mobile network and its messages (SMS), Bluetooth, USB, another access point", away(devices)),
        spot("Encrypted DNS", "the names that were asked for; the connections that follow show theirs", bytes(&["doh", "dot", "doq"])),
        spot("Encrypted ClientHello", "the server's name; its address and the provider's public name stay", bytes(&["ech"])),
        spot("Relays, tunnels and Tor", "every destination behind them: one peer is seen", bytes(&super::absence::TUNNELS)),
        spot("Bare addresses", "the name, where nothing said one: an address may serve many", bytes(&["bare"])),
        spot("Shared addresses", "which of several names from DNS it was", bytes(&["dns_ambiguous"])),
        spot("Changing MAC addresses", "that two devices are one", randomised(devices)),
        spot("Address databases", "where a server stands: they are estimates, and one address may be in many places", anycast(devices)),
        spot("Lost frames", "anything in them", lost(header)),
        spot("Full tables", "what found no room in this program's own memory", full(header)),
        spot("Other times", "what the device does later, elsewhere, or with other settings", "these captures alone".to_owned()),
    ]
}

/// What holds for every report.
pub(super) const LIMITS: [&str; 9] = [
    "Passive: nothing was sent, asked or opened. What is told is names, addresses, sizes and times of packets, with the source of each.",
    "A contact is not a transfer of personal data: metadata does not show contents or intent.",
    "Bytes are frame bytes on the wire, headers included. Sizes of config pulls are transport payload, with TLS and HTTP heads in them.",
    "A country is what the address databases say. A handshake that is too short refutes it by the speed of light in glass; one that is \
     long enough proves nothing. A region in a name says what the name's owner wrote.",
    "A name from DNS (origin dns) is inferred by the device's own earlier answer for that address; names in hellos and requests are the \
     device's own words.",
    "Categories and makers are what a watchlist says of a host. The lists are incomplete, and a listed purpose may have changed.",
    "Rhythm is computed from the last 64 beats of each destination; an association is the access point's word or a DHCP request.",
    "The bounds of a \"not observed\" hold for occurrences that look like the flows that were seen: named as often, and not in tunnels. \
     They say nothing of what is made to look like something else.",
    "Associated time is the time between packets of the device that are not more than 15 minutes apart.",
];

fn away(devices: &[Device]) -> String {
    let told: Vec<String> = devices
        .iter()
        .filter(|device| device.coverage.outside_bytes > 0)
        .map(|device| format!("{}: associated for {}", device.title, span(device.coverage.associated_seconds)))
        .collect();
    format!("never visible here; {}", told.join("; "))
}

fn randomised(devices: &[Device]) -> String {
    let told: Vec<&str> = devices.iter().filter(|device| device.randomized_mac).map(|device| device.title.as_str()).collect();
    if told.is_empty() { "no locally administered MAC seen".to_owned() } else { format!("locally administered: {}", told.join("; ")) }
}

fn anycast(devices: &[Device]) -> String {
    let sum =
        |of: fn(&super::model::Place) -> u64| devices.iter().flat_map(|device| &device.countries).map(of).fold(0, u64::saturating_add);
    let outside = devices.iter().map(|device| device.coverage.outside_bytes).fold(0, u64::saturating_add);
    format!(
        "of bytes outside: {} refuted by handshake times, {} not contradicted, {} not measured; {} with anycast servers",
        share(sum(|place| place.refuted_bytes), outside),
        share(sum(|place| place.consistent_bytes), outside),
        share(sum(|place| place.unmeasured_bytes), outside),
        share(sum(|place| place.anycast_bytes), outside),
    )
}

fn lost(header: &Header) -> String {
    let told: Vec<String> = header.captures.iter().map(|capture| format!("{}: {}", capture.name, capture.drops.words())).collect();
    told.join("; ")
}

fn full(header: &Header) -> String {
    let counts: Vec<String> = header.refused.iter().map(|count| format!("{}: {}", count.what, grouped(count.count))).collect();
    let untold = header.untold_flows.saturating_add(header.events_dropped);
    match (counts.is_empty(), untold) {
        (true, 0) => "nothing was turned away".to_owned(),
        (true, untold) => format!("{} flows have no names or times below; their bytes are counted", grouped(untold)),
        (false, untold) => {
            format!("turned away: {}; {} flows have no names or times below; their bytes are counted", counts.join(", "), grouped(untold))
        }
    }
}

impl super::model::Drops {
    /// As a person reads it.
    pub(super) fn words(self) -> String {
        let said = |count: Option<u64>| count.map_or_else(|| "not recorded".to_owned(), grouped);
        match (self.interface, self.system) {
            (None, None) => "not recorded in the file".to_owned(),
            (interface, system) => format!("by the interface {}, by the system {}", said(interface), said(system)),
        }
    }

    /// Both, where at least one is recorded.
    pub(super) fn sum(self) -> Option<u64> {
        match (self.interface, self.system) {
            (None, None) => None,
            (interface, system) => Some(interface.unwrap_or_default().saturating_add(system.unwrap_or_default())),
        }
    }
}
