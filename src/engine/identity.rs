//! What is known of who a device is: each fact with what said it, when first, and when last.
//!
//! Every value that was seen is kept beside the one that is shown, so that a person can follow how a name came about and see when
//! it changed. Road not taken: one field for each kind, where the latest word silently replaces all before it.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::packet::Timestamp;

/// Facts kept of one device: a forger, or the device itself, could claim another name with every packet.
const FACTS: usize = 32;
/// Facts kept of one kind from one source. The first stays, and of the later ones the latest: neither the name that a device had
/// for months nor the one that it has now can be pushed out by a flood of others.
const OF_KIND: usize = 3;
/// Bytes kept of a value.
const VALUE: usize = 256;

/// What a fact tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What it is called.
    Hostname,
    /// The name of a service that it offers, which its user may have chosen.
    Instance,
    /// The maker of its MAC.
    Vendor,
    /// A MAC of it that is locally administered, as randomised ones are.
    RandomizedMac,
    /// Which DHCP client it runs, in that client's words.
    VendorClass,
    /// What its DHCP client tells itself apart by, in hexadecimal.
    ClientId,
    /// Its DHCP unique identifier, in hexadecimal.
    Duid,
    /// The DHCP options that it asks for, in its order.
    Parameters,
    /// The longest DHCP message that it takes.
    MaxMessage,
    /// A prefix that was delegated to it.
    DelegatedPrefix,
    /// Its model.
    Model,
    /// The product that announces itself, or that looks for others.
    Product,
    /// The UUID that it announces.
    Uuid,
}

impl Kind {
    /// Its name in events and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hostname => "hostname",
            Self::Instance => "instance",
            Self::Vendor => "vendor",
            Self::RandomizedMac => "randomized_mac",
            Self::VendorClass => "vendor_class",
            Self::ClientId => "client_id",
            Self::Duid => "duid",
            Self::Parameters => "parameters",
            Self::MaxMessage => "max_message",
            Self::DelegatedPrefix => "delegated_prefix",
            Self::Model => "model",
            Self::Product => "product",
            Self::Uuid => "uuid",
        }
    }

    /// What a person calls it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Hostname => "host name",
            Self::Instance => "service name",
            Self::Vendor => "maker",
            Self::RandomizedMac => "locally administered MAC",
            Self::VendorClass => "vendor class",
            Self::ClientId => "client identifier",
            Self::Duid => "DUID",
            Self::Parameters => "parameter list",
            Self::MaxMessage => "longest message",
            Self::DelegatedPrefix => "delegated prefix",
            Self::Model => "model",
            Self::Product => "product",
            Self::Uuid => "UUID",
        }
    }
}

/// What said it; of host names the first source that has one is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Its DHCPv4 client.
    Dhcp,
    /// The same, by the option for full names (81).
    DhcpFqdn,
    /// Its DHCPv6 client.
    Dhcp6,
    /// Its own multicast DNS.
    Mdns,
    /// Its own SSDP.
    Ssdp,
    /// The registry of the IEEE.
    Ieee,
    /// The MAC itself.
    Mac,
}

impl Source {
    /// Its name in events and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::DhcpFqdn => "dhcp-fqdn",
            Self::Dhcp6 => "dhcp6",
            Self::Mdns => "mdns",
            Self::Ssdp => "ssdp",
            Self::Ieee => "ieee",
            Self::Mac => "mac",
        }
    }
}

/// One thing that was said of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it tells.
    pub kind: Kind,
    /// The value, at most 256 bytes, without control characters.
    pub value: Arc<str>,
    /// What said it.
    pub source: Source,
    /// The packet that said it first: its number, from 1.
    pub packet: u64,
    /// That packet's time.
    pub first: Timestamp,
    /// When it was said last.
    pub last: Timestamp,
}

/// The facts of one device.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity {
    facts: Vec<Fact>,
    forgotten: u64,
}

impl Identity {
    /// Takes a fact in; true when it is new. An empty value is none.
    pub(super) fn note(&mut self, kind: Kind, source: Source, value: &str, packet: u64, time: Timestamp) -> bool {
        let value = cut(value.trim());
        if value.is_empty() {
            return false;
        }
        let same = |fact: &&mut Fact| fact.kind == kind && fact.source == source && *fact.value == *value;
        if let Some(fact) = self.facts.iter_mut().find(same) {
            fact.last = fact.last.max(time);
            return false;
        }
        let of_kind = || self.facts.iter().enumerate().filter(|(_, fact)| fact.kind == kind && fact.source == source);
        if self.facts.len() >= FACTS || of_kind().count() >= OF_KIND {
            self.forgotten = self.forgotten.saturating_add(1);
            let stalest = of_kind().skip(1).min_by_key(|(_, fact)| fact.last).map(|(index, _)| index);
            let Some(stalest) = stalest else { return false };
            self.facts.remove(stalest);
        }
        self.facts.push(Fact { kind, value: Arc::from(value), source, packet, first: time, last: time });
        true
    }

    /// Every fact, in the order in which they were learnt.
    #[must_use]
    pub(super) fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// Facts that found no room.
    #[must_use]
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The values of a kind.
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = &Fact> {
        self.facts.iter().filter(move |fact| fact.kind == kind)
    }

    /// The host name to show: the latest from the best source. The name of a service counts where nothing else names the device,
    /// and only if a person could have chosen it.
    #[must_use]
    pub(super) fn hostname(&self) -> Option<&Arc<str>> {
        let best = |kind: Kind| {
            let ranked = self.of(kind).enumerate().filter(|(_, fact)| kind == Kind::Hostname || !is_number(&fact.value));
            ranked.min_by_key(|(index, fact)| (fact.source, Reverse((fact.last, *index)))).map(|(_, fact)| &fact.value)
        };
        best(Kind::Hostname).or_else(|| best(Kind::Instance))
    }

    /// The vendor class to show, in the same way.
    #[must_use]
    pub(super) fn vendor_class(&self) -> Option<&Arc<str>> {
        let ranked = self.of(Kind::VendorClass).enumerate();
        ranked.min_by_key(|(index, fact)| (fact.source, Reverse((fact.last, *index)))).map(|(_, fact)| &fact.value)
    }
}

/// A name that a machine made of numbers: identifiers of a fabric, serial numbers, UUIDs.
pub(super) fn is_number(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, '-' | ':' | '_' | '.' | '@'))
}

/// Bytes in hexadecimal, with colons, as identifiers are written.
#[must_use]
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(3));
    for (index, byte) in bytes.iter().enumerate() {
        // Into memory: it cannot fail.
        let _ = write!(text, "{}{byte:02x}", if index > 0 { ":" } else { "" });
    }
    text
}

/// Numbers with commas between them.
#[must_use]
pub(super) fn listed(numbers: impl Iterator<Item = u16>) -> String {
    let mut text = String::new();
    for number in numbers {
        // Into memory: it cannot fail.
        let _ = write!(text, "{}{number}", if text.is_empty() { "" } else { "," });
    }
    text
}

fn cut(value: &str) -> &str {
    let mut end = VALUE.min(value.len());
    while !value.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    value.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_nanos(second * 1_000_000_000)
    }

    fn values(identity: &Identity) -> Vec<&str> {
        identity.facts().iter().map(|fact| &*fact.value).collect()
    }

    #[test]
    fn a_fact_said_again_keeps_its_first_packet() {
        let mut identity = Identity::default();
        assert!(identity.note(Kind::Hostname, Source::Dhcp, "Pixel-8", 7, at(10)));
        assert!(!identity.note(Kind::Hostname, Source::Dhcp, "Pixel-8", 90, at(20)));
        assert!(identity.note(Kind::Hostname, Source::Mdns, "pixel-8", 91, at(21)), "the same from elsewhere is another fact");
        assert!(!identity.note(Kind::Hostname, Source::Dhcp, " ", 92, at(22)));
        let fact = &identity.facts()[0];
        assert_eq!((fact.packet, fact.first, fact.last), (7, at(10), at(20)));
        assert_eq!(identity.facts().len(), 2);
    }

    #[test]
    fn the_best_source_names_it_and_of_that_the_latest_word() {
        let mut identity = Identity::default();
        let shown = |identity: &Identity| identity.hostname().map(ToString::to_string);
        assert_eq!(shown(&identity), None);
        for (kind, source, value, expected) in [
            (Kind::Instance, Source::Mdns, "0123456789ABCDEF-0011", None),
            (Kind::Instance, Source::Mdns, "Living Room", Some("Living Room")),
            (Kind::Hostname, Source::Mdns, "tv", Some("tv")),
            (Kind::Hostname, Source::Dhcp6, "tv6", Some("tv6")),
            (Kind::Hostname, Source::DhcpFqdn, "tv.example", Some("tv.example")),
            (Kind::Hostname, Source::Dhcp, "TV-4", Some("TV-4")),
            (Kind::Hostname, Source::Mdns, "tv-2", Some("TV-4")),
            (Kind::Hostname, Source::Dhcp, "TV-5", Some("TV-5")),
            (Kind::Hostname, Source::Dhcp, "TV-4", Some("TV-5")),
        ] {
            identity.note(kind, source, value, 1, at(1));
            assert_eq!(shown(&identity).as_deref(), expected, "{value}");
        }
        identity.note(Kind::Hostname, Source::Dhcp, "TV-4", 1, at(2));
        assert_eq!(shown(&identity).as_deref(), Some("TV-4"), "said last");
    }

    #[test]
    fn a_flood_of_names_leaves_the_first_and_the_latest() {
        let mut identity = Identity::default();
        identity.note(Kind::Hostname, Source::Dhcp, "true-name", 1, at(1));
        for second in 2..1_000 {
            identity.note(Kind::Hostname, Source::Dhcp, &format!("forged-{second}"), 1, at(second));
        }
        assert_eq!(values(&identity), ["true-name", "forged-998", "forged-999"]);
        assert_eq!(identity.forgotten(), 996);
        identity.note(Kind::Duid, Source::Dhcp6, &"é".repeat(300), 1, at(1_000));
        assert_eq!(identity.facts()[3].value.len(), VALUE);
    }

    #[test]
    fn no_mix_of_kinds_outgrows_the_bound() {
        let mut identity = Identity::default();
        for number in 0..1_000_u64 {
            for kind in [Kind::Hostname, Kind::Instance, Kind::VendorClass, Kind::ClientId, Kind::Duid, Kind::Parameters, Kind::Uuid] {
                for source in [Source::Dhcp, Source::Dhcp6, Source::Mdns] {
                    identity.note(kind, source, &format!("{number}"), number, at(number));
                }
            }
        }
        assert_eq!(identity.facts().len(), FACTS);
    }

    #[test]
    fn values_are_written_as_people_write_them() {
        assert_eq!(hexadecimal(&[1, 0xa0, 0xff]), "01:a0:ff");
        assert_eq!((hexadecimal(&[]), listed([1, 121, 3].into_iter())), (String::new(), "1,121,3".to_owned()));
    }
}
