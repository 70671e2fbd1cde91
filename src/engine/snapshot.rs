//! Plain sorted rows: the exporters' whole world. A snapshot owns its data, so formatting needs no lock.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use crate::engine::contacts::{CONTACT_KINDS, Contact, ContactRow, Memory};
use crate::engine::geo::Country;
pub use crate::engine::geo::Opinion;
pub use crate::engine::identity::{Fact, Kind, Source};
pub use crate::engine::likeness::SameAs;
pub use crate::engine::location::Finding;
pub use crate::engine::pulls::{Pull, PullsRow, SizeClass};
pub use crate::engine::region::Whose;
pub use crate::engine::rhythm::{Attach, Persistent, RhythmRow};
pub use crate::engine::timeline::{INTERVALS, Recent, Timeline};
pub use crate::engine::witness::{Location, Witnesses};
use crate::packet::{Mac, Timestamp};

/// Frames and bytes on the wire of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
}

/// Both directions, seen from the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Both {
    /// What the device sent.
    pub transmit: Tally,
    /// What the device received.
    pub receive: Tally,
}

/// What named a destination, in words of the metric label `origin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The server name of a ClientHello over TCP.
    Sni,
    /// The server name of a ClientHello over QUIC.
    Quic,
    /// The Host of an HTTP request.
    Host,
    /// The server's certificate (TLS 1.2 and before). In metrics, whose origins are a closed set, it is `none`.
    Certificate,
    /// An answer to this device's own DNS question.
    Dns,
    /// Only the public name of an Encrypted ClientHello: not the destination.
    Ech,
    /// Nothing.
    None,
}

impl Origin {
    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sni => "sni",
            Self::Quic => "quic",
            Self::Host => "host",
            Self::Certificate => "certificate",
            Self::Dns => "dns",
            Self::Ech => "ech",
            Self::None => "none",
        }
    }
}

/// What is known of a byte's destination: each falls in exactly one class, and the classes of a device are its visibility budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Named by the server name of a ClientHello over TCP.
    Sni,
    /// Named by the server name of a ClientHello over QUIC.
    Quic,
    /// Named by the Host of an HTTP request.
    Host,
    /// Named by the server's certificate (TLS 1.2 and before).
    Certificate,
    /// Named by the one DNS answer that fits.
    Dns,
    /// Named by the latest of several DNS answers that fit.
    DnsAmbiguous,
    /// The name is inside an Encrypted ClientHello.
    Ech,
    /// A resolver's DNS over HTTPS: the names asked for are inside.
    Doh,
    /// DNS over TLS.
    Dot,
    /// DNS over QUIC.
    Doq,
    /// A relay that hides the destination, such as iCloud Private Relay.
    Relay,
    /// A WireGuard tunnel.
    Wireguard,
    /// An OpenVPN tunnel.
    Openvpn,
    /// An IPsec tunnel.
    Ipsec,
    /// Another tunnel: L2TP, PPTP.
    Vpn,
    /// The Tor network.
    Tor,
    /// Nothing but the address.
    Bare,
    /// Counted but not followed, because a table was full.
    Lost,
    /// To our own side.
    Local,
    /// To a group.
    Multicast,
}

/// Every class, in the order of their numbers.
pub const CLASSES: [Class; 20] = [
    Class::Sni,
    Class::Quic,
    Class::Host,
    Class::Certificate,
    Class::Dns,
    Class::DnsAmbiguous,
    Class::Ech,
    Class::Doh,
    Class::Dot,
    Class::Doq,
    Class::Relay,
    Class::Wireguard,
    Class::Openvpn,
    Class::Ipsec,
    Class::Vpn,
    Class::Tor,
    Class::Bare,
    Class::Lost,
    Class::Local,
    Class::Multicast,
];

impl Class {
    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sni => "sni",
            Self::Quic => "quic",
            Self::Host => "host",
            Self::Certificate => "certificate",
            Self::Dns => "dns",
            Self::DnsAmbiguous => "dns_ambiguous",
            Self::Ech => "ech",
            Self::Doh => "doh",
            Self::Dot => "dot",
            Self::Doq => "doq",
            Self::Relay => "relay",
            Self::Wireguard => "wireguard",
            Self::Openvpn => "openvpn",
            Self::Ipsec => "ipsec",
            Self::Vpn => "vpn",
            Self::Tor => "tor",
            Self::Bare => "bare",
            Self::Lost => "lost",
            Self::Local => "local",
            Self::Multicast => "multicast",
        }
    }
}

/// Where traffic went, in words of the metric label `country`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A country, by the address database.
    Country(Country),
    /// The same side of the access point.
    Local,
    /// A multicast or broadcast group.
    Multicast,
    /// No database knows.
    Unknown,
}

impl Place {
    /// The label value: ISO 3166-1 alpha-2, `local`, `multicast` or `unknown`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Country(country) => country.as_str(),
            Self::Local => "local",
            Self::Multicast => "multicast",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether the handshake's time allows the country that the databases give, in words of the metric label `verdict`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Not measured.
    Unmeasured,
    /// The time does not contradict it, which proves nothing.
    Consistent,
    /// The time contradicts it.
    Refuted,
}

/// Every verdict, in the order of their numbers.
pub const VERDICTS: [Verdict; 3] = [Verdict::Unmeasured, Verdict::Consistent, Verdict::Refuted];

impl Verdict {
    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unmeasured => "unmeasured",
            Self::Consistent => "consistent",
            Self::Refuted => "refuted",
        }
    }
}

/// One device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRow {
    /// The metric label: alias, else MAC, else address.
    pub id: Arc<str>,
    /// Its MAC, on links that have them; the first that was seen of several.
    pub mac: Option<Mac>,
    /// All its MACs that were seen, in that order: several only where the devices file says so.
    pub macs: Vec<Mac>,
    /// Its name, where it is one of the devices file.
    pub alias: Option<Arc<str>>,
    /// What its owner noted there.
    pub notes: Option<Arc<str>>,
    /// Countries that its owner expects, sorted; empty is no expectation.
    pub expected: Vec<Country>,
    /// Its addresses, sorted, at most 16.
    pub addresses: Vec<IpAddr>,
    /// The name it gave: of DHCPv4, DHCPv6 and mDNS the first that it used.
    pub hostname: Option<Arc<str>>,
    /// The maker of its MAC, by the IEEE registry.
    pub vendor: Option<Arc<str>>,
    /// Its MAC is locally administered, as randomised ones are.
    pub randomized: bool,
    /// It forwards for others: it sends Router Advertisements or packets from addresses that are not ours.
    pub router: bool,
    /// Everything that was said of who it is, in the order in which it was learnt.
    pub identity: Vec<Fact>,
    /// Facts of that kind which found no room.
    pub identity_forgotten: u64,
    /// Earlier devices that it may be.
    pub same_as: Vec<SameAs>,
    /// First packet ever, also of earlier runs where their state is kept.
    pub first: Timestamp,
    /// Last packet.
    pub last: Timestamp,
    /// All its traffic.
    pub total: Both,
    /// Bytes of the last hour, by minute.
    pub recent: Recent,
    /// Of that, what has no destination yet.
    pub pending: Both,
    /// The rest by what is known of its destination; only classes that occur, in order.
    pub visibility: Vec<(Class, Both)>,
    /// Bytes, both directions, that went outside and have a destination, by whether its location holds, in the order of [`VERDICTS`].
    pub verdicts: [u64; VERDICTS.len()],
    /// The same bytes by what their destination is for; `none` where no list or port says, or only ambiguously. Only what occurs.
    pub services: Vec<(&'static str, u64)>,
    /// Of the same bytes, those with servers whose country the databases disagree on.
    pub disputed: u64,
    /// Flows begun, by protocol, in the order of [`PROTOCOLS`].
    pub flows: [u64; PROTOCOLS.len()],
    /// First contacts told in this run, by kind, in the order of [`CONTACT_KINDS`].
    pub first_contacts: [u64; CONTACT_KINDS.len()],
}

/// The values of the label `protocol`.
pub const PROTOCOLS: [&str; 7] = ["tls", "quic", "http", "dns", "dot", "doq", "other"];

/// A device's traffic with one country.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountryRow {
    /// The device's label.
    pub device: Arc<str>,
    /// Where.
    pub place: Place,
    /// How much.
    pub total: Both,
}

/// A device's traffic with one destination.
#[derive(Clone, Debug, PartialEq)]
pub struct DestinationRow {
    /// The device's label.
    pub device: Arc<str>,
    /// Registrable domain; `AS<n>`; `local`; `multicast`; `unknown` (no name, no AS); `other` (past the cap).
    pub destination: Arc<str>,
    /// What named it.
    pub origin: Origin,
    /// Where it is.
    pub place: Place,
    /// Its autonomous system, if known.
    pub asn: Option<u32>,
    /// The organisation of that, if known.
    pub organisation: Option<Arc<str>>,
    /// Bytes, both directions, by whether the location holds, in the order of [`VERDICTS`]; none on our side.
    pub verdicts: [u64; VERDICTS.len()],
    /// What it is for, as far as lists and ports say, the most bytes first.
    pub services: Vec<ServiceRow>,
    /// Of its servers outside the one whose location the witnesses contradict most; while they contradict none, the first.
    pub location: Option<Arc<Location>>,
    /// Some of its servers are announced from many places at once: the country is no place.
    pub anycast: bool,
    /// Flows that went there.
    pub flows: u64,
    /// First packet.
    pub first: Timestamp,
    /// Last packet.
    pub last: Timestamp,
    /// How much.
    pub total: Both,
    /// The same, both directions, by time.
    pub timeline: Timeline,
    /// The packet that first named it, and its time; for a name from DNS the answer's.
    pub named: Option<(u64, Timestamp)>,
}

/// What a destination is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRow {
    /// A category of the watchlist.
    pub category: &'static str,
    /// What any phone does in the background: checks for a captive portal, time, push.
    pub noise: bool,
    /// Whose hosts they are.
    pub vendor: Option<Arc<str>>,
    /// The hosts serve other purposes too, or theirs was inferred: not counted as the category, nor as noise.
    pub ambiguous: bool,
    /// Bytes, both directions.
    pub bytes: u64,
}

/// A device's flows to what a watchlist carries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SightingRow {
    /// The device's label.
    pub device: Arc<str>,
    /// The list.
    pub ruleset: Arc<str>,
    /// What the list says that it is for.
    pub category: &'static str,
    /// How many.
    pub flows: u64,
}

/// When a device exchanged how much with the outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivityRow {
    /// The device's label.
    pub device: Arc<str>,
    /// Minutes since the epoch, and the bytes of each that has any, sorted.
    pub minutes: Vec<(u32, u32)>,
}

/// What a device's "not seen" is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoverageRow {
    /// The device's label.
    pub device: Arc<str>,
    /// How long it was there, its silences of up to a quarter of an hour included.
    pub present: Duration,
    /// How often it joined.
    pub associations: u64,
    /// Some names that it went to which are listed for configuration and serve other purposes too: no pulls. Sorted.
    pub shared: Vec<Arc<str>>,
    /// Its flows to such names.
    pub shared_flows: u64,
}

/// A device's config pulls by vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullCountRow {
    /// The device's label.
    pub device: Arc<str>,
    /// The vendor, where the list names one.
    pub vendor: Option<Arc<str>>,
    /// Pulls.
    pub pulls: u64,
    /// Of these, answers of another size class than the one before.
    pub changes: u64,
}

/// A bounded table's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableRow {
    /// Its name.
    pub table: &'static str,
    /// Entries now.
    pub entries: u64,
    /// Entries at most.
    pub limit: u64,
    /// Entries that left because they were stale or to make room.
    pub evicted: u64,
    /// Newcomers that found no room.
    pub refused: u64,
}

/// An address database in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseRow {
    /// What it is called: `dbip-country`, a file's name.
    pub database: Arc<str>,
    /// When it was built, seconds since the epoch.
    pub built: u64,
}

/// Handshake times with one country, in the buckets of [`RTT_BUCKETS`].
#[derive(Clone, Debug, PartialEq)]
pub struct RttRow {
    /// Where.
    pub place: Place,
    /// Handshakes not longer than each bucket's bound (cumulative).
    pub buckets: [u64; RTT_BUCKETS.len()],
    /// All handshakes.
    pub count: u64,
    /// Their times added up, seconds.
    pub sum: f64,
}

/// Upper bounds of `handshake_rtt_seconds`, seconds: chosen so that 2/3 c from a European bench tells continents apart.
pub const RTT_BUCKETS: [f64; 12] = [0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0];

/// Everything there is to tell, at one moment. All rows are sorted by their labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The last packet's time.
    pub last_packet: Option<Timestamp>,
    /// Frames read, of all kinds.
    pub packets: u64,
    /// Devices, by label.
    pub devices: Vec<DeviceRow>,
    /// Device × country.
    pub countries: Vec<CountryRow>,
    /// Device × destination.
    pub destinations: Vec<DestinationRow>,
    /// Whom each device has met, by label; also of devices that are not here now.
    pub contacts: Vec<Memory>,
    /// Device × watchlist × category.
    pub sightings: Vec<SightingRow>,
    /// Device × name: what comes again and again.
    pub rhythms: Vec<RhythmRow>,
    /// Device × name: config pulls.
    pub pulls: Vec<PullsRow>,
    /// Device × vendor: how many. Every device has a row without vendor.
    pub pull_counts: Vec<PullCountRow>,
    /// Devices: what a "not seen" is worth.
    pub coverage: Vec<CoverageRow>,
    /// Devices: in which minutes they exchanged how much with the outside; where that is followed.
    pub activity: Vec<ActivityRow>,
    /// Handshake times by country.
    pub rtts: Vec<RttRow>,
    /// Frames that could not be charged to a device, by reason.
    pub skipped: Vec<(&'static str, u64)>,
    /// Messages that could not be read, by protocol.
    pub input_errors: Vec<(&'static str, u64)>,
    /// The same by protocol and reason.
    pub malformed: Vec<(&'static str, &'static str, u64)>,
    /// Flows that began with a QUIC long header, by version.
    pub quic_versions: Vec<(&'static str, u64)>,
    /// Bounded tables.
    pub tables: Vec<TableRow>,
    /// Address databases.
    pub databases: Vec<DatabaseRow>,
    /// Events that were dropped because nobody took them.
    pub events_dropped: u64,
}

impl Snapshot {
    /// A device's destinations, by its label.
    #[must_use]
    pub fn destinations_of(&self, device: &str) -> &[DestinationRow] {
        of(&self.destinations, |row| (*row.device).cmp(device))
    }

    /// A device's countries, by its label.
    #[must_use]
    pub fn countries_of(&self, device: &str) -> &[CountryRow] {
        of(&self.countries, |row| (*row.device).cmp(device))
    }

    /// What a watchlist carries of a device's flows, by its label.
    #[must_use]
    pub fn sightings_of(&self, device: &str) -> &[SightingRow] {
        of(&self.sightings, |row| (*row.device).cmp(device))
    }

    /// A device's rhythms, by its label.
    #[must_use]
    pub fn rhythms_of(&self, device: &str) -> &[RhythmRow] {
        of(&self.rhythms, |row| (*row.device).cmp(device))
    }
}

/// The rows that are equal to what is asked, of rows sorted by it: looking at all of them for each device would take as long as
/// their number squared.
fn of<T>(rows: &[T], compare: impl Fn(&T) -> Ordering) -> &[T] {
    let begin = rows.partition_point(|row| compare(row).is_lt());
    let rows = rows.get(begin..).unwrap_or_default();
    rows.get(..rows.partition_point(|row| compare(row).is_eq())).unwrap_or_default()
}
