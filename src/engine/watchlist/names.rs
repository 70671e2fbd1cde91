//! The names of a list: one text, and an index of hashes over it.

use ahash::RandomState;
use arrayvec::ArrayString;
use hashbrown::HashTable;

use super::flags::{ADBLOCK, BELOW, EXACT, EXCEPT};

/// Octets of a host name (RFC 1035, 2.3.4).
pub(super) const LONGEST: usize = 253;

/// The names of a list. Bounded by the list that they come from; keyed, because who names a flow chooses what is looked up.
#[derive(Debug, Default)]
pub(super) struct Names {
    text: String,
    rules: Vec<Rule>,
    index: HashTable<u32>,
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    start: u32,
    len: u8,
    flags: u8,
    note: u16,
}

impl Names {
    pub(super) fn len(&self) -> usize {
        self.rules.len()
    }

    /// Adds a name, in lower case; the first note of a name stays.
    pub(super) fn add(&mut self, name: &str, flags: u8, note: u16) {
        let hash = self.hasher.hash_one(name);
        if let Some(known) = self.index.find(hash, |&index| self.name(index) == Some(name)).copied() {
            if let Some(rule) = self.rules.get_mut(known as usize) {
                rule.flags |= flags;
                rule.note = if rule.note == 0 { note } else { rule.note };
            }
            return;
        }
        // The bounds on a list keep all three in range.
        let (Ok(index), Ok(start), Ok(len)) = (u32::try_from(self.rules.len()), u32::try_from(self.text.len()), u8::try_from(name.len()))
        else {
            return;
        };
        self.text.push_str(name);
        self.rules.push(Rule { start, len, flags, note });
        let (text, rules, hasher) = (&self.text, &self.rules, &self.hasher);
        self.index.insert_unique(hash, index, |&index| name_of(text, rules, index).map_or(0, |name| hasher.hash_one(name)));
    }

    /// The memory that growing took and holding does not need goes back.
    pub(super) fn finish(&mut self) {
        self.text.shrink_to_fit();
        self.rules.shrink_to_fit();
    }

    /// The longest rule that a name falls under, as it was spelt, and its note.
    pub(super) fn lookup(&self, name: &str) -> Option<(String, u16)> {
        if self.rules.is_empty() {
            return None;
        }
        let mut lower = ArrayString::<LONGEST>::new();
        lower.try_push_str(name.strip_suffix('.').unwrap_or(name)).ok()?;
        lower.make_ascii_lowercase();
        let mut found = None;
        let mut rest = Some(lower.as_str());
        while let Some(suffix) = rest {
            let hash = self.hasher.hash_one(suffix);
            let rule = self.index.find(hash, |&index| self.name(index) == Some(suffix));
            if let Some(rule) = rule.and_then(|&index| self.rules.get(index as usize)) {
                if rule.flags & EXCEPT != 0 {
                    return None;
                }
                let exact = suffix.len() == lower.len() && rule.flags & EXACT != 0;
                if found.is_none() && (exact || rule.flags & BELOW != 0) {
                    found = Some((suffix, exact, rule));
                }
            }
            rest = suffix.split_once('.').map(|(_, parent)| parent);
        }
        let (name, exact, rule) = found?;
        let spelt = match rule.flags & ADBLOCK {
            _ if exact => name.to_owned(),
            0 => format!("*.{name}"),
            _ => format!("||{name}^"),
        };
        Some((spelt, rule.note))
    }

    fn name(&self, index: u32) -> Option<&str> {
        name_of(&self.text, &self.rules, index)
    }
}

fn name_of<'a>(text: &'a str, rules: &[Rule], index: u32) -> Option<&'a str> {
    let rule = rules.get(index as usize)?;
    let start = rule.start as usize;
    text.get(start..start + usize::from(rule.len))
}
