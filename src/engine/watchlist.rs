//! Lists of names and addresses to look out for: which entry a flow's name, or its address, stands on. A hit says that the list
//! carries it, nothing else.
//!
//! Road taken: one text of all names with an index of hashes over it, asked for a name and each of its parents, and prefixes
//! sorted with each knowing the one around it: a look-up costs a few hashes or one binary search, whatever the list's length,
//! and nothing is allocated without a hit. Roads not taken: a trie of labels, which takes a hundred bytes where this takes
//! thirty; a filter language with paths and page contexts, which a sensor that sees names alone cannot answer.
//!
//! What is looked up is a flow's own name or address, not a DNS question: who asks has not gone there yet.

mod category;
mod names;
mod parse;
mod prefixes;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

pub use category::{CATEGORIES, Category};
use names::Names;
use prefixes::Prefixes;

/// Bytes of a list. One that is fetched again and again from elsewhere could grow until the sensor dies at its start.
pub const LARGEST: usize = 64 << 20;
/// Rules of a list: the same, with short ones.
pub const MOST_RULES: usize = 2_000_000;

/// One list.
#[derive(Debug)]
pub struct Watchlist {
    ruleset: Arc<str>,
    names: Names,
    v4: Prefixes,
    v6: Prefixes,
    notes: Box<[Note]>,
    skipped: usize,
}

/// What a list says of a name or address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The entry, as the list spells it.
    pub rule: String,
    /// The list's name.
    pub ruleset: Arc<str>,
    /// What the entry is for; [`Category::Unclassified`] in a list that does not say.
    pub category: Category,
    /// Whose host it is.
    pub vendor: Option<Arc<str>>,
    /// The region that the name claims, which is not where the server is.
    pub region: Option<Arc<str>>,
    /// It serves other purposes too, or its purpose was inferred.
    pub ambiguous: bool,
}

/// What an entry says beside its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Note {
    category: Category,
    vendor: Option<Arc<str>>,
    region: Option<Arc<str>>,
    ambiguous: bool,
}

/// How an entry is meant: these bits, of which one entry may bear several when lines repeat.
mod flags {
    /// The name itself.
    pub(super) const EXACT: u8 = 1;
    /// The name and all below it.
    pub(super) const BELOW: u8 = 2;
    /// The same, spelt `||name^`.
    pub(super) const ADBLOCK: u8 = 4;
    /// `@@`: this, and all below it, is no hit in this list, whatever else says so.
    pub(super) const EXCEPT: u8 = 8;
}

impl Watchlist {
    /// The list that the program carries, `geoip/watchlist.tsv`: the ruleset `whither`.
    ///
    /// # Errors
    /// Never, as its test says.
    pub fn embedded() -> Result<Self, Error> {
        Self::parse("whither", include_str!("../../geoip/watchlist.tsv"))
    }

    /// Reads a list: hosts file, domain list, AdBlock-style domain rules, addresses and prefixes, or the form of
    /// `geoip/watchlist.tsv`, told apart line by line.
    ///
    /// # Errors
    /// The first line that is none of these, or a list past [`LARGEST`] or [`MOST_RULES`].
    pub fn parse(ruleset: &str, text: &str) -> Result<Self, Error> {
        parse::list(ruleset, text, LARGEST, MOST_RULES)
    }

    /// Its name.
    #[must_use]
    pub fn ruleset(&self) -> &Arc<str> {
        &self.ruleset
    }

    /// How many rules it has.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.names.len() + self.v4.len() + self.v6.len()
    }

    /// Lines that were passed over because they speak of parts of pages, or of circumstances that a sensor does not see.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// The longest rule that a host name falls under.
    #[must_use]
    pub fn lookup_name(&self, name: &str) -> Option<Hit> {
        let (rule, note) = self.names.lookup(name)?;
        Some(self.hit(rule, note))
    }

    /// The longest prefix that an address falls under.
    #[must_use]
    pub fn lookup_address(&self, address: IpAddr) -> Option<Hit> {
        let (rule, note) = match address.to_canonical() {
            IpAddr::V4(address) => self.v4.lookup(u128::from(address.to_bits()) << 96)?,
            IpAddr::V6(address) => self.v6.lookup(address.to_bits())?,
        };
        Some(self.hit(rule, note))
    }

    fn hit(&self, rule: String, note: u16) -> Hit {
        let note = self.notes.get(usize::from(note)).cloned().unwrap_or_default();
        Hit {
            rule,
            ruleset: Arc::clone(&self.ruleset),
            category: note.category,
            vendor: note.vendor,
            region: note.region,
            ambiguous: note.ambiguous,
        }
    }
}

/// Why a list could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// More bytes than [`LARGEST`].
    TooLarge,
    /// More rules than [`MOST_RULES`].
    TooMany,
    /// A line that is no rule.
    Line {
        /// Its number, from 1.
        number: usize,
        /// Its beginning.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "it is larger than {} MiB; give a smaller list", LARGEST >> 20),
            Self::TooMany => write!(f, "it has more than {MOST_RULES} rules; give a smaller list"),
            // With escapes: a list is somebody else's text, and this goes to a terminal.
            Self::Line { number, text, why } => write!(f, "line {number}: {text:?}: {why}"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests;
