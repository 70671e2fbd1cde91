//! Where the last flows of a device to a destination were put: its account, and its places among the device's contacts.
//!
//! A phone goes to the same servers again and again, and finding its account and its four contacts by their names touched a dozen
//! places in memory for each flow: a tenth of a capture's time. Road taken: the last thirty thousand, each in one of two places by its hash,
//! told apart by the shared name and address themselves and not by their text; what is not here is looked for as ever, so that
//! forgetting changes nothing. Road not taken: places kept in each device's ledger, which would be a second index to keep true.

use std::sync::Arc;

use ahash::RandomState;

use crate::engine::contacts::Met;
use crate::engine::flow::Flow;
use crate::engine::geo::Site;
use crate::engine::snapshot::{Origin, Place};
use crate::engine::table::Id;
use crate::engine::title::Title;

/// Pairs of haunts remembered, two megabytes of them: two hundred and fifty devices in five minutes had forty thousand. In pairs, since
/// of single ones many would push out each other.
const REMEMBERED: usize = 16_384;

/// The last haunts.
#[derive(Debug)]
pub(super) struct Haunts {
    /// In each pair the latest first.
    remembered: Vec<[Option<Haunt>; 2]>,
    hasher: RandomState,
}

/// A device and a destination.
#[derive(Debug)]
struct Haunt {
    device: Id,
    title: Option<Arc<Title>>,
    site: Arc<Site>,
    origin: Origin,
    place: Place,
    found: Found,
}

/// What is remembered of a haunt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// The account.
    pub(super) account: u32,
    /// There was no room for one of its own when the device's ledger had so many: while there is none and it has no more, there is
    /// none now.
    pub(super) refused: Option<u32>,
    /// Where the other side stands among the device's contacts.
    pub(super) met: Option<Met>,
}

impl Haunts {
    /// None yet.
    #[must_use]
    pub(super) fn new() -> Self {
        Self { remembered: std::iter::repeat_with(|| [None, None]).take(REMEMBERED).collect(), hasher: RandomState::new() }
    }

    /// What is remembered of where a device's flow goes that is named by `origin`.
    #[must_use]
    pub(super) fn find(&self, device: Id, flow: &Flow, origin: Origin) -> Option<Found> {
        let title = flow.name.as_ref().map(|named| &named.title);
        let site = flow.site.as_ref()?;
        let pair = self.remembered.get(self.place(device, title, site))?;
        let same = |haunt: &&Haunt| haunt.is(device, title, site) && haunt.origin == origin && haunt.place == flow.place;
        pair.iter().flatten().find(same).map(|haunt| haunt.found)
    }

    /// Remembers the account of a device's flow.
    pub(super) fn note(&mut self, device: Id, flow: &Flow, origin: Origin, account: u32, refused: Option<u32>) {
        let title = flow.name.as_ref().map(|named| &named.title);
        let Some(site) = &flow.site else { return };
        let place = self.place(device, title, site);
        if let Some([latest, before]) = self.remembered.get_mut(place) {
            let (title, site) = (title.map(Arc::clone), Arc::clone(site));
            let found = Found { account, refused, met: None };
            let again = |known: &Haunt| known.is(device, title.as_ref(), &site) && known.origin == origin;
            if latest.as_ref().is_some_and(again) {
                *latest = None; // its account is another now
            }
            let former = latest.replace(Haunt { device, title, site, origin, place: flow.place, found });
            *before = former.or_else(|| before.take());
        }
    }

    /// Remembers where its other side stands among the device's contacts, beside the account.
    pub(super) fn meet(&mut self, device: Id, flow: &Flow, account: u32, met: Met) {
        let title = flow.name.as_ref().map(|named| &named.title);
        let Some(site) = &flow.site else { return };
        let place = self.place(device, title, site);
        let Some(pair) = self.remembered.get_mut(place) else { return };
        if let Some(haunt) = pair.iter_mut().flatten().find(|haunt| haunt.is(device, title, site) && haunt.found.account == account) {
            haunt.found.met = Some(met);
        }
    }

    fn place(&self, device: Id, title: Option<&Arc<Title>>, site: &Arc<Site>) -> usize {
        self.hasher.hash_one((device, title.map(Arc::as_ptr), Arc::as_ptr(site))) as usize % REMEMBERED
    }
}

impl Haunt {
    /// Whether it is that of a device, a name and an address: the very same ones, whatever they say.
    fn is(&self, device: Id, title: Option<&Arc<Title>>, site: &Arc<Site>) -> bool {
        self.device == device && Arc::ptr_eq(&self.site, site) && self.title.as_ref().map(Arc::as_ptr) == title.map(Arc::as_ptr)
    }
}
