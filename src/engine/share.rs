//! One capture for several engines: whose a frame is, what an engine counts and tells of it, and how their rows are joined again.
//!
//! What passes between a device of ours and the internet is the one engine's that owns the device, by its MAC. DNS between two of our own,
//! of which every connection makes some, is for the engines that own the two. All else is everybody's: groups, ARP, neighbour discovery,
//! DHCP, what else two of our own send each other, what the access point itself answers. From that every engine learns whose an address
//! is, who forwards, which resolver was offered and who resembles whom, and each tells only of its own devices. So no row has to be put
//! together from two, and counters that belong to no device are counted by the owner, of two by the sender's, or by the first engine for
//! what is everybody's. The least handshake of a server is one table for all.
//!
//! Roads not taken: `PACKET_FANOUT`, which gives each frame to one socket, so what everybody must hear would reach one engine; and no
//! safe crate sets it. One thread that reads and hands copies on: reading and copying take a third of what an engine takes, so two
//! engines on two processors would be 1.4 times as fast. Engines that add up their rows for one device: presence, rhythms and first
//! contacts are no sums. The price of this road: what our own send each other costs every engine, and each has tables of its own.
//!
//! What is not the same as with one engine: of two devices that may be one, the newer's engine has not heard what the older sent to the
//! internet and asked a resolver; a router that is not the access point is known to each engine by the first frame that it sees of it; a
//! device with an address of ours that only ARP tells of (no private one, in no prefix of the interface, announced, or given) is not
//! charged for what a device of another engine sends it; and when another devices file gives a MAC to another engine, its connections begin
//! anew there, and what DNS told it before is not known.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::engine::limits::Limits;
use crate::engine::location::{Common, Servers};
use crate::engine::roster::Roster;
use crate::engine::snapshot::Snapshot;
use crate::packet::{Frame, Link, Mac};

/// MACs that are not with the engine that their number gives, because the devices file makes them one device with another: each is
/// some instructions of the filter in the kernel, which takes 4,096. What is past it is everybody's.
const MOVED: usize = 96;
/// Prefixes of ours in the filter, for the same reason.
const NETS: usize = 48;
/// Aliases remembered that the devices file had and has not any more: it may be read again without end.
const ALIASES: usize = 8_192;

/// Never on the internet, whatever an engine knows besides: private, shared, loopback, link-local and unique local addresses, and groups.
const INSIDE: [&str; 12] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/3",
    "::/16",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
];

/// What a frame is to an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// It reads it, and counts what belongs to no device.
    Counts,
    /// It reads it; another engine counts.
    Reads,
    /// It is not for this engine.
    Other,
}

/// Whose a frame is that is not everybody's, by the MACs of our own.
enum Whose {
    /// A station's and the internet's.
    Station(Mac),
    /// DNS from one of our own to another.
    Resolving(Mac, Mac),
}

/// One engine's share of a capture.
#[derive(Clone, Debug)]
pub struct Share {
    index: u8,
    engines: u8,
    servers: Common,
    /// MACs that another engine owns than their number says, sorted.
    moved: Vec<(Mac, u8)>,
    /// MACs of which nobody knows whose they are: everybody's. Sorted.
    open: Vec<Mac>,
    /// Which engine tells of an alias: for good, since what was counted stays where it was counted. Sorted.
    aliases: Vec<(Arc<str>, u8)>,
    /// Prefixes of ours, [`INSIDE`] among them.
    nets: Vec<IpNet>,
    /// The same as network and mask, by an address's first octet: every frame asks for two addresses.
    masks: Masks,
    /// How often what decides has changed.
    edition: u32,
}

impl Share {
    /// The shares of so many engines, at least one.
    #[must_use]
    pub fn among(engines: u8, limits: &Limits) -> Vec<Self> {
        let engines = engines.max(1);
        let servers = Servers::common(limits.servers);
        let of = |index| Self {
            index,
            engines,
            servers: servers.clone(),
            moved: Vec::new(),
            open: Vec::new(),
            aliases: Vec::new(),
            nets: inside(&[]),
            masks: Masks::of(&inside(&[])),
            edition: 0,
        };
        (0..engines).map(of).collect()
    }

    /// Whether this engine counts what is everybody's.
    #[must_use]
    pub const fn is_first(&self) -> bool {
        self.index == 0
    }

    /// The number of a frame among those of all engines, of its number among this one's: no two have the same.
    #[must_use]
    pub const fn number(&self, own: u64) -> u64 {
        own.saturating_sub(1).saturating_mul(self.engines as u64).saturating_add(self.index as u64 + 1)
    }

    /// The table of handshakes for all.
    pub(super) fn servers(&self) -> Servers {
        self.servers.of(self.is_first())
    }

    /// Takes over which prefixes are ours: those that we were given, and those that a router announced.
    pub(super) fn nets(&mut self, ours: &[IpNet]) {
        let nets = inside(ours);
        if self.nets != nets {
            self.masks = Masks::of(&nets);
            self.nets = nets;
            self.edition = self.edition.wrapping_add(1);
        }
    }

    /// Which edition it is: another one may have another filter.
    #[must_use]
    pub const fn edition(&self) -> u32 {
        self.edition
    }

    /// Takes over which MACs are one device. A device that was there before stays where it is.
    pub(super) fn register(&mut self, roster: &Roster) {
        (self.moved, self.open) = (Vec::new(), Vec::new());
        for entry in roster.entries() {
            let Some(first) = entry.macs.first() else { continue };
            // Several devices behind one MAC are told apart by what only an engine knows.
            if entry.split {
                self.open.extend(&entry.macs);
                continue;
            }
            let owner = match self.aliases.binary_search_by(|(alias, _)| alias.cmp(&entry.alias)) {
                Ok(at) => self.aliases.get(at).map_or(0, |(_, owner)| *owner),
                Err(at) => {
                    let owner = self.by_number(*first);
                    if self.aliases.len() < ALIASES {
                        self.aliases.insert(at, (Arc::clone(&entry.alias), owner));
                    }
                    owner
                }
            };
            for mac in &entry.macs {
                match self.moved.len() < MOVED {
                    _ if self.by_number(*mac) == owner => {}
                    true => self.moved.push((*mac, owner)),
                    false => self.open.push(*mac),
                }
            }
        }
        self.moved.sort_unstable();
        self.open.sort_unstable();
        self.edition = self.edition.wrapping_add(1);
    }

    /// What a frame is to this engine.
    #[must_use]
    pub fn party(&self, frame: &Frame<'_>) -> Party {
        let (counts, reads) = match whose(frame, |address| self.is_inside(address)) {
            Some(Whose::Station(mac)) => (self.is_owner(mac), self.reads(mac)),
            Some(Whose::Resolving(from, to)) => (self.is_owner(from), self.reads(from) || self.reads(to)),
            None => (self.is_first(), true),
        };
        match (counts, reads) {
            (true, _) => Party::Counts,
            (false, true) => Party::Reads,
            (false, false) => Party::Other,
        }
    }

    /// Whether this engine reads what passes between a MAC of ours and the internet.
    pub(super) fn reads(&self, mac: Mac) -> bool {
        self.is_open(mac) || self.owner(mac) == self.index
    }

    /// Whether what passes between two addresses is everybody's.
    pub(super) fn is_common(&self, one: IpAddr, other: IpAddr) -> bool {
        self.is_inside(one) == self.is_inside(other)
    }

    /// Whether this engine tells of a device, by its label; a MAC decides where the label is an address.
    #[must_use]
    pub fn tells(&self, label: &str, mac: Option<Mac>) -> bool {
        let alias = self.aliases.binary_search_by(|(alias, _)| (**alias).cmp(label)).ok();
        let owner = match alias.and_then(|at| self.aliases.get(at)) {
            Some((_, owner)) => *owner,
            None => match parse(label) {
                Some(mac) => self.by_number(mac),
                None => mac.map_or(0, |mac| self.owner(mac)),
            },
        };
        owner == self.index
    }

    /// Keeps of a snapshot what this engine tells.
    pub(super) fn keep(&self, snapshot: &mut Snapshot) {
        let own = |label: &Arc<str>| self.tells(label, None);
        snapshot.devices.retain(|row| self.tells(&row.id, row.mac));
        snapshot.countries.retain(|row| own(&row.device));
        snapshot.destinations.retain(|row| own(&row.device));
        snapshot.contacts.retain(|row| own(&row.device));
        snapshot.sightings.retain(|row| own(&row.device));
        snapshot.rhythms.retain(|row| own(&row.device));
        snapshot.pulls.retain(|row| own(&row.device));
        snapshot.pull_counts.retain(|row| own(&row.device));
        snapshot.coverage.retain(|row| own(&row.device));
    }

    /// What the kernel should hand over, in tcpdump's language: no frame that is [`Party::Other`], as far as the kernel can tell.
    #[must_use]
    pub fn filter(&self) -> String {
        let [from, to] = ["src", "dst"].map(|way| {
            let net = |net: &IpNet| format!("{} {way} net {net}", if net.addr().is_ipv4() { "ip" } else { "ip6" });
            let ours: Vec<String> = self.nets.iter().map(net).collect();
            let at = if way == "src" { 11 } else { 5 };
            let macs = |macs: &mut dyn Iterator<Item = Mac>| macs.map(|mac| format!(" or ether {way} {mac}")).collect::<String>();
            let mut own = format!("(ether[{at}] % {} = {}", self.engines, self.index);
            for (mac, _) in self.moved.iter().filter(|(mac, _)| self.by_number(*mac) == self.index) {
                own.push_str(&format!(" and not ether {way} {mac}"));
            }
            own.push(')');
            own.push_str(&macs(&mut self.moved.iter().filter(|(_, owner)| *owner == self.index).map(|(mac, _)| *mac)));
            own.push_str(&macs(&mut self.open.iter().copied()));
            (format!("({})", ours.join(" or ")), format!("({own})"))
        });
        let ((ours_from, own_from), (ours_to, own_to)) = (from, to);
        let dns = "((len >= 38 and ip[0] = 0x45 and ip[9] = 17 and ip[6:2] & 0x1fff = 0 and (ip[20:2] = 53 or ip[22:2] = 53)) \
             or (len >= 58 and ip6[6] = 17 and (ip6[40:2] = 53 or ip6[42:2] = 53)))";
        // What ends before its addresses would be refused at the first byte that is not there.
        format!(
            "len < 34 or ether[0] & 1 = 1 or (ip6 and len < 54) or ({ours_from} and ({own_from} or ({ours_to} and (not {dns} or {own_to})))) \
             or (not {ours_from} and (not {ours_to} or {own_to}))"
        )
    }

    fn is_inside(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(four) => self.masks.four.of(four.octets()).any(|(net, mask)| four.to_bits() & mask == *net),
            IpAddr::V6(six) => self.masks.six.of(six.octets()).any(|(net, mask)| six.to_bits() & mask == *net),
        }
    }

    /// Whether a MAC is everybody's.
    fn is_open(&self, mac: Mac) -> bool {
        self.open.binary_search(&mac).is_ok()
    }

    /// Whether this engine counts what a MAC sends or receives.
    fn is_owner(&self, mac: Mac) -> bool {
        if self.is_open(mac) { self.is_first() } else { self.owner(mac) == self.index }
    }

    fn owner(&self, mac: Mac) -> u8 {
        let at = self.moved.partition_point(|(other, _)| *other < mac);
        self.moved.get(at).filter(|(other, _)| *other == mac).map_or_else(|| self.by_number(mac), |(_, owner)| *owner)
    }

    fn by_number(&self, mac: Mac) -> u8 {
        let [.., last] = mac.0;
        last.checked_rem(self.engines).unwrap_or_default()
    }
}

/// Prefixes as network and mask.
#[derive(Clone, Debug)]
struct Masks {
    four: Octets<u32>,
    six: Octets<u128>,
}

impl Masks {
    fn of(nets: &[IpNet]) -> Self {
        let (mut four, mut six) = (Vec::new(), Vec::new());
        for net in nets {
            match net {
                IpNet::V4(net) => four.push((net.network().to_bits(), net.netmask().to_bits())),
                IpNet::V6(net) => six.push((net.network().to_bits(), net.netmask().to_bits())),
            }
        }
        Self {
            four: Octets::new(four, |octet, (net, mask)| (u32::from(octet) ^ net >> 24) & mask >> 24 == 0),
            six: Octets::new(six, |octet, (net, mask)| (u128::from(octet) ^ net >> 120) & mask >> 120 == 0),
        }
    }
}

/// Prefixes of one family, and for each first octet whether one of them may hold an address that begins with it: of most on the
/// internet that alone says that none does.
#[derive(Clone, Debug)]
struct Octets<T> {
    nets: Vec<(T, T)>,
    some: [bool; 256],
}

impl<T: Copy> Octets<T> {
    fn new(nets: Vec<(T, T)>, may_hold: impl Fn(u8, (T, T)) -> bool) -> Self {
        let mut some = [false; 256];
        for (octet, some) in (0..=u8::MAX).zip(&mut some) {
            *some = nets.iter().any(|net| may_hold(octet, *net));
        }
        Self { nets, some }
    }

    /// The prefixes that may hold an address of these octets.
    fn of<const LENGTH: usize>(&self, octets: [u8; LENGTH]) -> std::slice::Iter<'_, (T, T)> {
        let some = octets.first().and_then(|first| self.some.get(usize::from(*first)));
        if some == Some(&true) { self.nets.iter() } else { [].iter() }
    }
}

/// Whose a frame is; none of what is everybody's.
fn whose(frame: &Frame<'_>, is_inside: impl Fn(IpAddr) -> bool) -> Option<Whose> {
    if frame.link != Link::Ethernet {
        return None;
    }
    let (target, rest) = frame.data.split_first_chunk::<6>()?;
    let (source, rest) = rest.split_first_chunk::<6>()?;
    let (source, target) = (Mac(*source), Mac(*target));
    // The kernel takes a tag off before it asks its filter, and libpcap puts it back.
    let rest = match rest {
        [0x81, 0x00, _, _, rest @ ..] | [0x88, 0xa8, _, _, rest @ ..] => rest,
        rest => rest,
    };
    let (from, to, ports) = match rest {
        [0x08, 0x00, ip @ ..] => {
            let four = |at: usize| Some(IpAddr::V4(Ipv4Addr::from(*ip.get(at..)?.first_chunk::<4>()?)));
            // Without options, and not the rest of what was cut into fragments.
            let plain = matches!(ip, [0x45, _, _, _, _, _, fragment, rest, _, 17, ..] if fragment & 0x1f == 0 && *rest == 0);
            (four(12)?, four(16)?, ip.get(20..).filter(|_| plain))
        }
        [0x86, 0xdd, ip @ ..] => {
            let six = |at: usize| Some(IpAddr::V6(Ipv6Addr::from(*ip.get(at..)?.first_chunk::<16>()?)));
            (six(8)?, six(24)?, ip.get(40..).filter(|_| ip.get(6) == Some(&17)))
        }
        _ => return None,
    };
    let dns = || matches!(ports, Some([0, 53, _, _, ..] | [_, _, 0, 53, ..]));
    match (is_inside(from), is_inside(to)) {
        _ if target.is_group() => None,
        (true, false) => Some(Whose::Station(source)),
        (false, true) => Some(Whose::Station(target)),
        (true, true) if dns() => Some(Whose::Resolving(source, target)),
        _ => None,
    }
}

/// All prefixes of ours: without those that lie in others.
fn inside(ours: &[IpNet]) -> Vec<IpNet> {
    let mut nets: Vec<IpNet> = INSIDE.iter().filter_map(|net| net.parse().ok()).collect();
    for net in ours.iter().map(IpNet::trunc) {
        if nets.len() < NETS && !nets.iter().any(|wider| wider.contains(&net)) {
            nets.push(net);
        }
    }
    nets
}

/// A MAC as a label spells it.
fn parse(label: &str) -> Option<Mac> {
    let mut mac = [0; 6];
    let mut pairs = label.split(':');
    for byte in &mut mac {
        *byte = pairs.next().filter(|pair| pair.len() == 2).and_then(|pair| u8::from_str_radix(pair, 16).ok())?;
    }
    pairs.next().is_none().then_some(Mac(mac))
}

impl Snapshot {
    /// What the engines of one capture tell together, the first one first.
    #[must_use]
    pub fn join(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut parts = parts.into_iter();
        let mut all = parts.next().unwrap_or_default();
        let mut joined = false;
        for part in parts {
            joined = true;
            all.take_in(part);
        }
        if joined {
            // Each device is one engine's, whose rows are in order.
            all.devices.sort_by(|a, b| a.id.cmp(&b.id));
            all.countries.sort_by(|a, b| a.device.cmp(&b.device));
            all.destinations.sort_by(|a, b| a.device.cmp(&b.device));
            all.contacts.sort_by(|a, b| a.device.cmp(&b.device));
            all.sightings.sort_by(|a, b| a.device.cmp(&b.device));
            all.rhythms.sort_by(|a, b| a.device.cmp(&b.device));
            all.pulls.sort_by(|a, b| a.device.cmp(&b.device));
            all.pull_counts.sort_by(|a, b| a.device.cmp(&b.device));
            all.coverage.sort_by(|a, b| a.device.cmp(&b.device));
        }
        all
    }

    fn take_in(&mut self, part: Self) {
        self.last_packet = self.last_packet.max(part.last_packet);
        self.packets = self.packets.saturating_add(part.packets);
        self.events_dropped = self.events_dropped.saturating_add(part.events_dropped);
        self.devices.extend(part.devices);
        self.countries.extend(part.countries);
        self.destinations.extend(part.destinations);
        self.contacts.extend(part.contacts);
        self.sightings.extend(part.sightings);
        self.rhythms.extend(part.rhythms);
        self.pulls.extend(part.pulls);
        self.pull_counts.extend(part.pull_counts);
        self.coverage.extend(part.coverage);
        add(&mut self.skipped, part.skipped, |row| row.0, |row, more| row.1 = row.1.saturating_add(more.1));
        add(&mut self.input_errors, part.input_errors, |row| row.0, |row, more| row.1 = row.1.saturating_add(more.1));
        add(&mut self.malformed, part.malformed, |row| (row.0, row.1), |row, more| row.2 = row.2.saturating_add(more.2));
        add(&mut self.quic_versions, part.quic_versions, |row| row.0, |row, more| row.1 = row.1.saturating_add(more.1));
        add(
            &mut self.rtts,
            part.rtts,
            |row| row.place,
            |row, more| {
                row.count = row.count.saturating_add(more.count);
                row.sum += more.sum;
                row.buckets.iter_mut().zip(more.buckets).for_each(|(bucket, more)| *bucket = bucket.saturating_add(more));
            },
        );
        add(
            &mut self.tables,
            part.tables,
            |row| row.table,
            |row, more| {
                row.entries = row.entries.saturating_add(more.entries);
                row.limit = row.limit.saturating_add(more.limit);
                row.evicted = row.evicted.saturating_add(more.evicted);
                row.refused = row.refused.saturating_add(more.refused);
            },
        );
    }
}

/// Adds rows to those of the same key; all are in the order of it afterwards.
fn add<R, K: Ord>(rows: &mut Vec<R>, more: Vec<R>, key: impl Fn(&R) -> K, sum: impl Fn(&mut R, &R)) {
    rows.extend(more);
    rows.sort_by_key(&key);
    rows.dedup_by(|later, row| {
        let same = key(later) == key(row);
        if same {
            sum(row, later);
        }
        same
    });
}
