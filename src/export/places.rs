//! Who is being served: so many at once, and of these so many of one client.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Places, and who has them: so few that a list is enough.
#[derive(Debug)]
pub(super) struct Places {
    all: usize,
    per_peer: usize,
    taken: Mutex<Vec<IpAddr>>,
}

/// One of them; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    pub(super) peer: IpAddr,
}

impl Places {
    /// So many in all, and for one peer.
    pub(super) fn new(all: usize, per_peer: usize) -> Arc<Self> {
        Arc::new(Self { all, per_peer, taken: Mutex::default() })
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Place {
    /// A place for a peer, if there is one.
    pub(super) fn take(places: &Arc<Places>, peer: IpAddr) -> Option<Self> {
        let peer = site(peer);
        let mut taken = places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_peer = taken.iter().filter(|other| **other == peer).count();
        if taken.len() >= places.all || of_peer >= places.per_peer {
            return None;
        }
        taken.push(peer);
        drop(taken);
        Some(Self { places: Arc::clone(places), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = taken.iter().position(|other| *other == self.peer) {
            taken.swap_remove(index);
        }
    }
}

/// What one client can be expected to own: an IPv4 address, an IPv6 /64.
fn site(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_clients_are_counted_by_their_network() {
        let site = |text: &str| site(text.parse().unwrap());
        assert_eq!(site("2001:db8:1:2:3:4:5:6"), site("2001:db8:1:2::"));
        assert_ne!(site("2001:db8:1:2::1"), site("2001:db8:1:3::1"));
        assert_eq!(site("::ffff:192.0.2.1"), site("192.0.2.1"));
        assert_ne!(site("192.0.2.1"), site("192.0.2.2"));
    }
}
