//! Who is on our side of the access point.
//!
//! A device is an alias of the devices file that has its MAC or address; else it is a MAC; on links without MACs, or when told
//! so, it is an address. An address is ours when it is private,
//! link-local or ULA, in a prefix that we were given or that a Router Advertisement announced, or when its owner said so by ARP
//! or neighbour discovery *and* the frame bears that owner's MAC. The last condition matters: a phone that claims a server's
//! address cannot make its traffic to that server look local, because those frames go to the router's MAC.
//! Where neither side is ours by these rules, who opens the conversation is ours.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use arrayvec::ArrayVec;
use ipnet::{IpNet, Ipv6Net};

use crate::dissect::observation::Name;
use crate::engine::activity::Activity;
use crate::engine::attach::Attachments;
use crate::engine::geo::Country;
use crate::engine::identity::{Identity, Kind, Source};
use crate::engine::ledger::Ledger;
use crate::engine::likeness::Likeness;
use crate::engine::limits::Limits;
use crate::engine::pulls::Routine;
use crate::engine::roster::{Entry, Roster};
use crate::engine::table::{Id, Table};
use crate::engine::vendor::vendor;
use crate::packet::{Mac, Macs, Timestamp};

/// Addresses kept of one device: privacy addresses change daily, a forger's with every packet.
const ADDRESSES: usize = 16;
/// Resolvers remembered that a device asked without an offer: each is told once; a scanner asks thousands.
const STRANGERS: usize = 8;
/// Public names remembered that DNS told a device: a handful of operators have one each, and a forger could tell it new ones without end.
const PUBLIC_NAMES: usize = 8;
/// Prefixes learned from Router Advertisements: a forger could announce without end.
const PREFIXES: usize = 8;
/// Routers remembered: a forger could pose as one with every frame, so those that forward come back to the end of the row.
const ROUTERS: usize = 8;

/// What tells devices apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum DeviceKey {
    /// Its alias in the devices file.
    Alias(Arc<str>),
    /// Its MAC.
    Mac(Mac),
    /// Its address.
    Address(IpAddr),
}

impl DeviceKey {
    /// The label of what it tells apart.
    #[must_use]
    fn label(&self) -> Arc<str> {
        match self {
            Self::Alias(alias) => Arc::clone(alias),
            Self::Mac(mac) => Arc::from(mac.to_string()),
            Self::Address(address) => Arc::from(address.to_string()),
        }
    }
}

/// One device.
#[derive(Debug)]
pub(super) struct Device {
    /// What tells it apart.
    pub(super) key: DeviceKey,
    /// Its label.
    pub(super) label: Arc<str>,
    /// The MACs it bore, in the order of their appearance: one, or those that the devices file lists. None where it is an address.
    pub(super) macs: Vec<Mac>,
    /// Its addresses, in the order of their appearance.
    pub(super) addresses: ArrayVec<IpAddr, ADDRESSES>,
    /// What it says of itself.
    pub(super) identity: Identity,
    /// The address for which multicast DNS gave its name.
    pub(super) named_at: Option<IpAddr>,
    /// Which others it may be.
    pub(super) likeness: Likeness,
    /// Resolvers it asked that nobody offered.
    pub(super) strangers: ArrayVec<IpAddr, STRANGERS>,
    /// What DNS told it that encrypted hellos show in place of the true names, the latest last.
    pub(super) public_names: ArrayVec<Arc<str>, PUBLIC_NAMES>,
    /// Countries outside its expected ones that were told: bounded by the number of countries.
    pub(super) unexpected: Vec<Country>,
    /// First packet.
    pub(super) first: Timestamp,
    /// Last packet.
    pub(super) last: Timestamp,
    /// Last packet that it sent.
    pub(super) spoke: Timestamp,
    /// What it sent where.
    pub(super) ledger: Ledger,
    /// When it joined, and how long it was there.
    pub(super) attach: Attachments,
    /// When it exchanged how much with the outside, where that is followed.
    pub(super) activity: Activity,
    /// What is counted of its rhythms and pulls.
    pub(super) routine: Routine,
}

/// Which side is whose, as the user knows it.
#[derive(Clone, Debug, Default)]
pub struct OurSide {
    /// Prefixes of our side beside the private ones.
    pub nets: Vec<IpNet>,
    /// Devices are addresses even where there are MACs: a capture taken behind a router, where one MAC stands for many.
    pub by_address: bool,
}

/// All devices, and whose address is whose.
#[derive(Debug)]
pub(super) struct Devices {
    side: OurSide,
    roster: Roster,
    /// Which edition of the roster it is: flows placed by an earlier one are looked at again.
    edition: u32,
    table: Table<DeviceKey, Device>,
    neighbours: Table<IpAddr, Mac>,
    prefixes: ArrayVec<Ipv6Net, PREFIXES>,
    /// The access point's own MACs, as this machine knows them.
    declared: Vec<Mac>,
    /// Those that were seen to forward, the latest last.
    routers: ArrayVec<Mac, ROUTERS>,
    accounts: usize,
    /// None leaves for having been silent: see [`Devices::stay`].
    staying: bool,
}

impl Devices {
    /// No devices yet.
    #[must_use]
    pub(super) fn new(side: OurSide, limits: &Limits) -> Self {
        Self {
            side,
            roster: Roster::default(),
            edition: 0,
            table: Table::new("devices", limits.devices),
            neighbours: Table::new("neighbours", limits.neighbours),
            prefixes: ArrayVec::new(),
            declared: Vec::new(),
            routers: ArrayVec::new(),
            accounts: 0,
            staying: false,
        }
    }

    /// The devices themselves.
    #[must_use]
    pub(super) fn table(&self) -> &Table<DeviceKey, Device> {
        &self.table
    }

    /// The state of the table of address owners, for the metrics.
    #[must_use]
    pub(super) fn neighbours(&self) -> &Table<IpAddr, Mac> {
        &self.neighbours
    }

    /// A device.
    #[must_use]
    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut Device> {
        self.table.get_mut(id)
    }

    /// Accounts open in all ledgers.
    #[must_use]
    pub(super) fn accounts(&self) -> usize {
        self.accounts
    }

    /// Counts an account that was opened.
    pub(super) fn opened_account(&mut self) {
        self.accounts = self.accounts.saturating_add(1);
    }

    /// Exchanges the prefixes that we were given.
    pub(super) fn nets(&mut self, nets: Vec<IpNet>) {
        self.side.nets = nets;
    }

    /// Whether an address, seen on the side of `mac`, is on our side.
    #[must_use]
    pub(super) fn ours(&self, address: IpAddr, mac: Option<Mac>) -> bool {
        if is_inside(address) || self.side.nets.iter().any(|net| net.contains(&address)) {
            return true;
        }
        if self.is_announced(address) && mac.is_none_or(|mac| !self.is_router(mac)) {
            return true;
        }
        // On links without MACs an owner is filed under the zero address.
        let owner = mac.unwrap_or(Mac([0; 6]));
        self.neighbours.find(&address).and_then(|id| self.neighbours.get(id)).is_some_and(|known| *known == owner)
    }

    /// Whether an address is in a prefix that a router announced for our link.
    #[must_use]
    pub(super) fn is_announced(&self, address: IpAddr) -> bool {
        matches!(address, IpAddr::V6(v6) if self.prefixes.iter().any(|prefix| prefix.contains(&v6)))
    }

    /// The prefixes that routers announced for our link.
    pub(super) fn announced(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.prefixes.iter().map(|prefix| IpNet::V6(*prefix))
    }

    /// Notes that `mac` owns `address`: it said so, or it opened a conversation from it.
    pub(super) fn own(&mut self, address: IpAddr, mac: Option<Mac>, now: Timestamp, limits: &Limits) {
        let mac = mac.unwrap_or(Mac([0; 6]));
        if mac.is_group() || address.is_multicast() || address.is_unspecified() {
            return;
        }
        if let Some(id) = self.neighbours.find(&address) {
            self.neighbours.touch(id, now);
            if let Some(known) = self.neighbours.get_mut(id) {
                *known = mac;
            }
            return;
        }
        self.neighbours.make_room(now, |_, silent| silent >= limits.stale);
        self.neighbours.insert(address, mac, now);
    }

    /// Notes a prefix that a router announced for our link (RFC 4861, 4.6.2). Only /64, which is what hosts use (RFC 4862): a wider one could swallow the world.
    pub(super) fn announce(&mut self, prefix: Ipv6Addr, length: u8) {
        if length != 64 || is_inside(IpAddr::V6(prefix)) || prefix.is_multicast() {
            return;
        }
        if let Ok(net) = Ipv6Net::new(prefix, length).map(|net| net.trunc())
            && !self.prefixes.contains(&net)
        {
            // Full: the first ones stay. A flood of announcements must not push out the true one.
            let _ = self.prefixes.try_push(net);
        }
    }

    /// Notes that a MAC forwards for others.
    pub(super) fn forwards(&mut self, mac: Mac) {
        if mac.is_group() || self.declared.contains(&mac) {
            return;
        }
        self.routers.retain(|known| *known != mac);
        if self.routers.is_full() {
            self.routers.remove(0);
        }
        self.routers.push(mac);
    }

    /// Says which MACs are the access point's own.
    pub(super) fn declare(&mut self, macs: Vec<Mac>) {
        self.declared = macs;
    }

    /// Whether a MAC forwards for others.
    #[must_use]
    pub(super) fn is_router(&self, mac: Mac) -> bool {
        self.declared.contains(&mac) || self.routers.contains(&mac)
    }

    /// Exchanges the devices file. Who has another key by it is another device from its next packet on.
    pub(super) fn register(&mut self, roster: Roster) {
        self.edition = self.edition.wrapping_add(1);
        for (key, device) in self.table.iter_mut() {
            // Who has no alias any more stays as it was told, until it is forgotten.
            if let DeviceKey::Alias(alias) = key
                && let Some(entry) = roster.by_alias(alias)
            {
                device.macs.retain(|mac| entry.macs.contains(mac));
            }
        }
        self.roster = roster;
    }

    /// Which edition of the devices file is in use.
    #[must_use]
    pub(super) fn edition(&self) -> u32 {
        self.edition
    }

    /// What the devices file says of a device.
    #[must_use]
    pub(super) fn entry(&self, device: &Device) -> Option<&Entry> {
        match &device.key {
            DeviceKey::Alias(alias) => self.roster.by_alias(alias),
            DeviceKey::Mac(_) | DeviceKey::Address(_) => None,
        }
    }

    /// Whether a device still has the key that its MAC gives: a devices file that was read since may have given it an alias, and then
    /// this is what was counted before.
    #[must_use]
    pub(super) fn is_current(&self, device: &Device) -> bool {
        device.mac().is_none_or(|mac| self.link_key(mac) == device.key)
    }

    /// Whether the devices file says that several devices stand behind a MAC.
    #[must_use]
    pub(super) fn is_split(&self, mac: Mac) -> bool {
        self.roster.by_mac(mac).is_some_and(|entry| entry.split)
    }

    /// Whether devices are addresses even where there are MACs.
    #[must_use]
    pub(super) fn by_address(&self) -> bool {
        self.side.by_address
    }

    /// What tells the device apart that has `address` on the side of `mac`.
    #[must_use]
    pub(super) fn key(&self, address: IpAddr, mac: Option<Mac>) -> DeviceKey {
        match mac {
            // Who has no address yet is told apart by nothing else.
            Some(mac) if !self.side.by_address && (!self.is_split(mac) || address.is_unspecified()) => self.link_key(mac),
            _ => {
                let address = address.to_canonical();
                let entry = self.roster.by_address(address);
                entry.map_or(DeviceKey::Address(address), |entry| DeviceKey::Alias(Arc::clone(&entry.alias)))
            }
        }
    }

    /// What tells the device apart whose MAC, and nothing else, is known.
    #[must_use]
    pub(super) fn link_key(&self, mac: Mac) -> DeviceKey {
        self.roster.by_mac(mac).map_or(DeviceKey::Mac(mac), |entry| DeviceKey::Alias(Arc::clone(&entry.alias)))
    }

    /// The device of a key; `true` when it is new. `None` when the table is full of living devices.
    pub(super) fn open(&mut self, key: &DeviceKey, now: Timestamp, limits: &Limits) -> Option<(Id, bool)> {
        if let Some(id) = self.table.find(key) {
            self.touch(id, now);
            return Some((id, false));
        }
        if let Some((_, gone)) = self.table.make_room(now, |_, silent| silent >= limits.device_stale) {
            self.accounts = self.accounts.saturating_sub(gone.ledger.named());
        }
        let identity = self.forebear(key).map(|old| old.identity.clone()).unwrap_or_default();
        let device = Device {
            label: key.label(),
            macs: if let DeviceKey::Mac(mac) = key { vec![*mac] } else { Vec::new() },
            key: key.clone(),
            addresses: ArrayVec::new(),
            identity,
            named_at: None,
            likeness: Likeness::default(),
            unexpected: Vec::new(),
            strangers: ArrayVec::new(),
            public_names: ArrayVec::new(),
            first: now,
            last: now,
            spoke: now,
            ledger: Ledger::default(),
            attach: Attachments::default(),
            activity: Activity::default(),
            routine: Routine::default(),
        };
        self.table.insert(key.clone(), device, now).map(|id| (id, true))
    }

    /// Who bore one of the MACs before they were this alias's: what it said of itself by DHCP holds until it says it again, which
    /// may take a day. Asked only for aliases, so that forged MACs do not buy a walk through the table.
    fn forebear(&self, key: &DeviceKey) -> Option<&Device> {
        let DeviceKey::Alias(alias) = key else { return None };
        let entry = self.roster.by_alias(alias)?;
        let bore = |device: &&Device| device.macs.iter().any(|mac| entry.macs.contains(mac));
        self.table.iter().map(|(_, _, device)| device).filter(bore).max_by_key(|device| (device.last, &device.key))
    }

    /// Notes that a device was heard of.
    pub(super) fn touch(&mut self, id: Id, now: Timestamp) {
        self.table.touch(id, now);
        if let Some(device) = self.table.get_mut(id) {
            device.last = device.last.max(now);
            device.attach.hear(now);
        }
    }

    /// Lets no device go from now on, however long it is silent: what is told at the end of captures is about all that was in them.
    pub(super) fn stay(&mut self) {
        self.staying = true;
    }

    /// Takes no device for silent: time has leapt, and what was not watched was not silence. Without it a clock that is set by more than
    /// a week would end all series.
    pub(super) fn outlast(&mut self, now: Timestamp) {
        self.table.touch_all(now);
    }

    /// Lets a device go that was silent for very long: its series end. Whether one went.
    pub(super) fn expire(&mut self, now: Timestamp, limits: &Limits) -> bool {
        if self.staying {
            return false;
        }
        let gone = self.table.pop_stale(now, limits.device_stale, |_, silent| silent >= limits.device_idle);
        if let Some((_, gone)) = &gone {
            self.accounts = self.accounts.saturating_sub(gone.ledger.named());
        }
        gone.is_some()
    }
}

impl Device {
    /// Notes what DNS told it to show in place of a true name.
    pub(super) fn is_to_show(&mut self, public_name: &Name) {
        self.public_names.retain(|known| **known != *public_name.as_str());
        if self.public_names.is_full() {
            self.public_names.remove(0);
        }
        self.public_names.push(public_name.shared());
    }

    /// Whether DNS told it to show this name.
    #[must_use]
    pub(super) fn shows(&self, name: &str) -> bool {
        self.public_names.iter().any(|shown| **shown == *name)
    }

    /// Notes what its MACs tell, when the first packet of each is seen.
    pub(super) fn meet(&mut self, packet: u64, time: Timestamp) {
        for mac in &self.macs {
            if let Some(vendor) = vendor(*mac) {
                self.identity.note(Kind::Vendor, Source::Ieee, vendor, packet, time);
            }
            if mac.is_local() {
                self.identity.note(Kind::RandomizedMac, Source::Mac, &mac.to_string(), packet, time);
            }
        }
    }

    /// Notes an address of the device; true when it is new.
    pub(super) fn has(&mut self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        // Phones send from ::1 while their address is being checked: that is not one of theirs.
        if self.mac().is_some() && address.is_loopback() {
            return false;
        }
        if address.is_unspecified() || address.is_multicast() || self.addresses.contains(&address) {
            return false;
        }
        if self.addresses.is_full() {
            self.addresses.remove(0);
        }
        self.addresses.push(address);
        true
    }

    /// Its name in the devices file, also after it was taken out there.
    #[must_use]
    pub(super) fn alias(&self) -> Option<Arc<str>> {
        matches!(self.key, DeviceKey::Alias(_)).then(|| Arc::clone(&self.label))
    }

    /// Notes a MAC of the device; true when it is new. Only those that the devices file lists come here.
    pub(super) fn bears(&mut self, mac: Mac) -> bool {
        let new = !self.macs.contains(&mac);
        if new {
            self.macs.push(mac);
        }
        new
    }

    /// Its MAC: the first it bore, so that labels stay. None where it is told apart by address.
    #[must_use]
    pub(super) fn mac(&self) -> Option<Mac> {
        self.macs.first().copied()
    }
}

/// Private, shared, loopback, link-local and ULA addresses: never a place on the internet (RFC 6890).
/// Documentation ranges are not among them: tests and simulations put servers there.
fn is_inside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || a == 0 || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Whether a packet goes to a group: by its address, or (a subnet's own broadcast address) by its frame.
#[must_use]
pub(super) fn to_group(target: IpAddr, macs: Option<Macs>) -> bool {
    let by_address = match target {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_multicast(),
    };
    by_address || macs.is_some_and(|macs| macs.target.is_group())
}
