//! Where the last flows of a device to a destination were put: its account, and its places among the device's contacts.
//!
//! A phone goes to the same servers again and again, and finding its account and its four contacts by their names touched a dozen
//! places in memory for each flow: a tenth of a capture's time. Road taken: the last few thousand, each at the place of its hash,
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

/// Haunts remembered, under a megabyte of them.
const REMEMBERED: usize = 8_192;

/// The last haunts.
#[derive(Debug)]
pub(super) struct Haunts {
    remembered: Vec<Option<Haunt>>,
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
    account: u32,
    met: Option<Met>,
}

impl Haunts {
    /// None yet.
    #[must_use]
    pub(super) fn new() -> Self {
        Self { remembered: std::iter::repeat_with(|| None).take(REMEMBERED).collect(), hasher: RandomState::new() }
    }

    /// The account of a device's flow that is named by `origin`, and where its other side stands among the contacts.
    #[must_use]
    pub(super) fn find(&self, device: Id, flow: &Flow, origin: Origin) -> Option<(u32, Option<Met>)> {
        let title = flow.name.as_ref().map(|named| &named.title);
        let site = flow.site.as_ref()?;
        let haunt = self.remembered.get(self.place(device, title, site))?.as_ref()?;
        let same = haunt.device == device
            && haunt.origin == origin
            && haunt.place == flow.place
            && Arc::ptr_eq(&haunt.site, site)
            && match (&haunt.title, title) {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                (one, other) => one.is_none() && other.is_none(),
            };
        same.then_some((haunt.account, haunt.met))
    }

    /// Remembers an account of a device's flow's own.
    pub(super) fn note(&mut self, device: Id, flow: &Flow, origin: Origin, account: u32) {
        let title = flow.name.as_ref().map(|named| &named.title);
        let Some(site) = &flow.site else { return };
        let place = self.place(device, title, site);
        if let Some(slot) = self.remembered.get_mut(place) {
            let (title, site) = (title.map(Arc::clone), Arc::clone(site));
            *slot = Some(Haunt { device, title, site, origin, place: flow.place, account, met: None });
        }
    }

    /// Remembers where its other side stands among the device's contacts, beside the account.
    pub(super) fn meet(&mut self, device: Id, flow: &Flow, account: u32, met: Met) {
        let title = flow.name.as_ref().map(|named| &named.title);
        let Some(site) = &flow.site else { return };
        let place = self.place(device, title, site);
        if let Some(Some(haunt)) = self.remembered.get_mut(place)
            && (haunt.device, haunt.account) == (device, account)
            && Arc::ptr_eq(&haunt.site, site)
            && haunt.title.as_ref().map(Arc::as_ptr) == title.map(Arc::as_ptr)
        {
            haunt.met = Some(met);
        }
    }

    fn place(&self, device: Id, title: Option<&Arc<Title>>, site: &Arc<Site>) -> usize {
        self.hasher.hash_one((device, title.map(Arc::as_ptr), Arc::as_ptr(site))) as usize % REMEMBERED
    }
}
