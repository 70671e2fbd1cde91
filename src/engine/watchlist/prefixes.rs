//! The prefixes of a list, of one address family, as numbers whose first bit is the address's first.

use super::flags::EXCEPT;

const NONE: u32 = u32::MAX;

/// The prefixes of a list. Bounded by the list that they come from.
#[derive(Debug)]
pub(super) struct Prefixes {
    /// Bits of an address: 32 or 128.
    width: u8,
    /// By first address, the shorter prefix first.
    rules: Vec<Rule>,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    network: u128,
    /// The longest other prefix around this one.
    around: u32,
    len: u8,
    flags: u8,
    note: u16,
}

impl Rule {
    fn holds(&self, address: u128) -> bool {
        (self.network ^ address).leading_zeros() >= u32::from(self.len)
    }
}

impl Prefixes {
    /// None yet, of a family whose addresses have so many bits.
    pub(super) fn new(width: u8) -> Self {
        Self { width, rules: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.rules.len()
    }

    /// Adds a prefix. Look-ups need [`Prefixes::finish`] first.
    pub(super) fn add(&mut self, network: u128, len: u8, flags: u8, note: u16) {
        self.rules.push(Rule { network, around: NONE, len, flags, note });
    }

    /// Sorts, joins repeated ones, and finds what is around each.
    pub(super) fn finish(&mut self) {
        self.rules.sort_by_key(|rule| (rule.network, rule.len));
        self.rules.dedup_by(|next, first| {
            let same = (next.network, next.len) == (first.network, first.len);
            if same {
                first.flags |= next.flags;
                first.note = if first.note == 0 { next.note } else { first.note };
            }
            same
        });
        self.rules.shrink_to_fit();
        // The prefixes around the one looked at, the outermost first: at most one of each length.
        let mut open: Vec<(u32, Rule)> = Vec::new();
        for (index, rule) in (0_u32..).zip(&mut self.rules) {
            while open.last().is_some_and(|(_, last)| !last.holds(rule.network)) {
                open.pop();
            }
            rule.around = open.last().map_or(NONE, |(index, _)| *index);
            open.push((index, *rule));
        }
    }

    /// The longest prefix that an address falls under, as it is written, and its note.
    pub(super) fn lookup(&self, address: u128) -> Option<(String, u16)> {
        // Every prefix that holds the address begins at it or before; the last that does is the longest, or is inside it.
        let after = self.rules.partition_point(|rule| rule.network <= address);
        let mut at = after.checked_sub(1);
        let mut found: Option<&Rule> = None;
        while let Some(rule) = at.and_then(|at| self.rules.get(at)) {
            if rule.holds(address) {
                if rule.flags & EXCEPT != 0 {
                    return None;
                }
                found = found.or(Some(rule));
            }
            at = (rule.around != NONE).then_some(rule.around as usize);
        }
        let rule = found?;
        let network = match self.width {
            32 => std::net::Ipv4Addr::from_bits((rule.network >> 96) as u32).to_string(),
            _ => std::net::Ipv6Addr::from_bits(rule.network).to_string(),
        };
        Some((if rule.len == self.width { network } else { format!("{network}/{}", rule.len) }, rule.note))
    }
}
