//! What a server's name says by itself, worked out once for each name and shared by all that bear it.
//!
//! Road taken: the last few thousand names, so that a flood of names only makes each cost what it costs without. Road not taken: a table of all names in use, which would have to count its users.

use std::net::IpAddr;
use std::sync::Arc;

use crate::engine::domain::registrable;
use crate::engine::hidden;
use crate::engine::recall::Recall;
use crate::engine::region::{Region, region_of_name};
use crate::engine::snapshot::Class;

/// Pairs of names remembered, under a megabyte of them.
const REMEMBERED: usize = 2_048;

/// A name, and what it says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Title {
    /// The full name.
    pub(super) name: Arc<str>,
    /// Its registrable domain.
    pub(super) domain: Option<Arc<str>>,
    /// The place that it claims.
    pub(super) region: Option<Region>,
    /// What its owner hides.
    pub(super) hidden: Option<Class>,
    /// Whether it names a host: the root does not, nor does an address.
    pub(super) is_host: bool,
}

/// The last names.
#[derive(Debug)]
pub(super) struct Titles(Recall<Arc<Title>, REMEMBERED>);

impl Titles {
    /// No names yet.
    #[must_use]
    pub(super) fn new() -> Self {
        Self(Recall::new())
    }

    /// The title of a name.
    pub(super) fn of(&mut self, name: &str) -> Arc<Title> {
        let place = self.0.place(name);
        if let Some(known) = self.0.find(place, |known| *known.name == *name) {
            return Arc::clone(known);
        }
        let title = Arc::new(Title::new(name));
        self.0.put(place, Arc::clone(&title));
        title
    }
}

impl Title {
    /// Works out what a name says.
    #[must_use]
    pub(super) fn new(name: &str) -> Self {
        let full: Arc<str> = Arc::from(name);
        let domain = registrable(name).map(|domain| if domain.len() == name.len() { Arc::clone(&full) } else { Arc::from(domain) });
        let is_host = !name.is_empty() && name.parse::<IpAddr>().is_err();
        Self { name: full, domain, region: region_of_name(name), hidden: hidden::by_name(name), is_host }
    }

    /// The label of its account: the registrable domain, or the name where there is none.
    #[must_use]
    pub(super) fn label(&self) -> &Arc<str> {
        self.domain.as_ref().unwrap_or(&self.name)
    }
}
