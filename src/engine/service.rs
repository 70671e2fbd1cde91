//! What a destination is for, as a watchlist says, else as its port does where a port says only one thing.
//!
//! Road taken: the first list that gives a category speaks; time and push are also known by their ports, since they come from pools and by
//! bare addresses. What any phone does in the background can so be told apart from the rest: it is not taken out, because what
//! looks like background may be none. Road not taken: guessing from parts of names (`time.`, `push.`), which are also magazines and shops.

use std::sync::Arc;

use crate::engine::watchlist::{Category, Hit};
use crate::packet::{TCP, UDP};

/// What a flow's destination is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What for.
    pub category: Category,
    /// Whose host it is.
    pub vendor: Option<Arc<str>>,
    /// The host serves other purposes too, or its purpose was inferred: its bytes are not counted as the category's.
    pub ambiguous: bool,
}

impl Service {
    /// What a list says, where it says what for.
    pub(super) fn of_hit(hit: &Hit) -> Option<Self> {
        let said = hit.category != Category::Unclassified;
        said.then(|| Self { category: hit.category, vendor: hit.vendor.clone(), ambiguous: hit.ambiguous })
    }

    /// What a server's port says: NTP (RFC 5905), and the push services of Apple (5223) and Google (5228 to 5230).
    pub(super) fn of_port(protocol: u8, port: u16) -> Option<Self> {
        let category = match (protocol, port) {
            (UDP, 123) => Category::Time,
            (TCP, 5223 | 5228..=5230) => Category::Push,
            _ => return None,
        };
        Some(Self { category, vendor: None, ambiguous: false })
    }

    /// The category that its bytes count as: none for ambiguous ones.
    #[must_use]
    pub fn counted(&self) -> Option<Category> {
        (!self.ambiguous).then_some(self.category)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::watchlist::Watchlist;

    #[test]
    fn a_list_without_categories_says_nothing_of_what_for() {
        let own = Watchlist::embedded().unwrap();
        let service = |name: &str| own.lookup_name(name).as_ref().and_then(Service::of_hit);
        let check = service("connectivitycheck.gstatic.com").unwrap();
        assert_eq!((check.counted(), check.vendor.as_deref()), (Some(Category::CaptivePortal), Some("Google")));
        assert_eq!(service("www.google.com").map(|service| (service.category, service.counted())), Some((Category::CaptivePortal, None)));
        let plain = Watchlist::parse("mine", "example.org\n").unwrap();
        assert_eq!(plain.lookup_name("example.org").as_ref().and_then(Service::of_hit), None);
    }

    #[test]
    fn only_ports_that_say_one_thing_count() {
        let category = |protocol, port| Service::of_port(protocol, port).map(|service| service.category);
        assert_eq!((category(UDP, 123), category(TCP, 123)), (Some(Category::Time), None));
        assert_eq!((category(TCP, 5223), category(TCP, 5228), category(TCP, 443)), (Some(Category::Push), Some(Category::Push), None));
    }
}
