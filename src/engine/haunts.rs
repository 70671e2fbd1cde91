//! Where the last flows of a device to a destination were put: its account, and its places among the device's contacts.
//!
//! A phone goes to the same servers again and again, and finding its account and its four contacts by their names touched a dozen
//! places in memory for each flow: a tenth of a capture's time. Road taken: the last thirty thousand, told apart by the shared name and address themselves and not by their text; what is not here is looked for as ever, so that
//! forgetting changes nothing. Road not taken: places kept in each device's ledger, which would be a second index to keep true.

use std::sync::Arc;

use crate::engine::contacts::Met;
use crate::engine::flow::Flow;
use crate::engine::geo::Site;
use crate::engine::recall::Recall;
use crate::engine::snapshot::{Origin, Place};
use crate::engine::table::Id;
use crate::engine::title::Title;

/// Pairs of haunts remembered, two megabytes of them: two hundred and fifty devices in five minutes had forty thousand.
const REMEMBERED: usize = 16_384;

/// The last haunts.
#[derive(Debug)]
pub(super) struct Haunts(Recall<Haunt, REMEMBERED>);

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
        Self(Recall::new())
    }

    /// What is remembered of where a device's flow goes that is named by `origin`.
    #[must_use]
    pub(super) fn find(&self, device: Id, flow: &Flow, origin: Origin) -> Option<Found> {
        let (title, site) = (title(flow), flow.site.as_ref()?);
        let same = |haunt: &Haunt| haunt.is(device, title, site) && haunt.origin == origin && haunt.place == flow.place;
        self.0.find(self.place(device, title, site), same).map(|haunt| haunt.found)
    }

    /// Remembers the account of a device's flow.
    pub(super) fn note(&mut self, device: Id, flow: &Flow, origin: Origin, account: u32, refused: Option<u32>) {
        let (title, Some(site)) = (title(flow), &flow.site) else { return };
        let (place, found) = (self.place(device, title, site), Found { account, refused, met: None });
        match self.0.find_mut(place, |haunt| haunt.is(device, title, site) && haunt.origin == origin && haunt.place == flow.place) {
            Some(haunt) => haunt.found = found, // its account is another now
            None => {
                let (title, site) = (title.map(Arc::clone), Arc::clone(site));
                self.0.put(place, Haunt { device, title, site, origin, place: flow.place, found });
            }
        }
    }

    /// Remembers where its other side stands among the device's contacts, beside the account.
    pub(super) fn meet(&mut self, device: Id, flow: &Flow, account: u32, met: Met) {
        let (title, Some(site)) = (title(flow), &flow.site) else { return };
        let place = self.place(device, title, site);
        if let Some(haunt) = self.0.find_mut(place, |haunt| haunt.is(device, title, site) && haunt.found.account == account) {
            haunt.found.met = Some(met);
        }
    }

    fn place(&self, device: Id, title: Option<&Arc<Title>>, site: &Arc<Site>) -> usize {
        self.0.place((device, title.map(Arc::as_ptr), Arc::as_ptr(site)))
    }
}

fn title(flow: &Flow) -> Option<&Arc<Title>> {
    flow.name.as_ref().map(|named| &named.title)
}

impl Haunt {
    /// Whether it is that of a device, a name and an address: the very same ones, whatever they say.
    fn is(&self, device: Id, title: Option<&Arc<Title>>, site: &Arc<Site>) -> bool {
        self.device == device && Arc::ptr_eq(&self.site, site) && self.title.as_ref().map(Arc::as_ptr) == title.map(Arc::as_ptr)
    }
}
