//! The text of a list, line by line.
//!
//! What a line means is what the programs that such lists are made for take it to mean (Pi-hole, AdGuard): a name alone, and a
//! name in a hosts file, is that name; `*.name` and `||name^` are the name and all below it; `@@||name^` takes both back.
//! What begins like an AdBlock rule but speaks of paths, parts of pages or who embeds whom is passed over and counted: it
//! would be wrong to take it for the whole host, and a list should not fail for it. Anything else fails, with its number.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::flags::{ADBLOCK, BELOW, EXACT, EXCEPT};
use super::names::{LONGEST, Names};
use super::prefixes::Prefixes;
use super::{Category, Error, Note, Watchlist};

/// Characters of a line that an error repeats.
const SHOWN: usize = 60;
/// Notes before the current one that it may be equal to: rows come in groups, and a hostile list must not be read in square time.
const RECENT: usize = 32;
/// What stands between the page and the part of it in a cosmetic rule.
const COSMETIC: [&str; 7] = ["##", "#@#", "#?#", "#$#", "#%#", "#@?#", "$$"];
/// Modifiers that leave a rule about the whole host.
const HARMLESS: [&str; 2] = ["important", "all"];

type Read<T> = Result<T, &'static str>;

/// Reads a list of at most `largest` bytes and `most` rules.
pub(super) fn list(ruleset: &str, text: &str, largest: usize, most: usize) -> Result<Watchlist, Error> {
    if text.len() > largest {
        return Err(Error::TooLarge);
    }
    let mut reading = Reading {
        names: Names::default(),
        v4: Prefixes::new(32),
        v6: Prefixes::new(128),
        notes: vec![Note::default()],
        skipped: 0,
        lower: String::new(),
    };
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim();
        reading.line(line).map_err(|why| Error::Line { number, text: line.chars().take(SHOWN).collect(), why })?;
        if reading.names.len() + reading.v4.len() + reading.v6.len() > most {
            return Err(Error::TooMany);
        }
    }
    let Reading { mut names, mut v4, mut v6, notes, skipped, .. } = reading;
    names.finish();
    v4.finish();
    v6.finish();
    Ok(Watchlist { ruleset: Arc::from(ruleset), names, v4, v6, notes: notes.into(), skipped })
}

/// A list in the making.
struct Reading {
    names: Names,
    v4: Prefixes,
    v6: Prefixes,
    /// The first says nothing.
    notes: Vec<Note>,
    skipped: usize,
    /// A name in lower case, kept for its memory.
    lower: String,
}

impl Reading {
    fn line(&mut self, line: &str) -> Read<()> {
        if line.is_empty() || line.starts_with(['#', '!', ';']) || (line.starts_with('[') && line.ends_with(']')) {
            return Ok(());
        }
        if let Some(fields) = own_form(line) {
            return self.row(fields);
        }
        if line.split_whitespace().next().is_some_and(|word| COSMETIC.iter().any(|mark| word.contains(mark))) {
            self.skipped += 1;
            return Ok(());
        }
        let mut words = line.split_whitespace().take_while(|word| !word.starts_with(['#', ';']));
        let Some(first) = words.next() else { return Ok(()) };
        let mut others = words.peekable();
        if others.peek().is_none() {
            return self.word(first);
        }
        if host_address(first).is_none() {
            return Err("not a rule: a name, a prefix, an AdBlock domain rule or a line of a hosts file");
        }
        // `127.0.0.1 localhost` and kin are how a hosts file begins, not what it lists.
        for name in others.filter(|name| name.contains('.') && *name != "localhost.localdomain" && name.parse::<IpAddr>().is_err()) {
            self.name(name, EXACT, 0)?;
        }
        Ok(())
    }

    /// A rule that is one word.
    fn word(&mut self, word: &str) -> Read<()> {
        if let Some(rule) = word.strip_prefix("@@||") {
            return self.adblock(rule, EXCEPT);
        }
        if let Some(rule) = word.strip_prefix("||") {
            return self.adblock(rule, BELOW | ADBLOCK);
        }
        self.rule(word, 0)
    }

    /// A name, `*.name`, an address or a prefix.
    fn rule(&mut self, word: &str, note: u16) -> Read<()> {
        if let Some(net) = prefix(word) {
            self.prefix(net, EXACT, note);
            return Ok(());
        }
        match word.strip_prefix("*.") {
            Some(name) => self.name(name, BELOW, note),
            None if word.trim_end_matches('.').contains('.') => self.name(word, EXACT, note),
            None => Err("not a rule: one word without a dot is no host of the internet (a whole top-level domain is *.name)"),
        }
    }

    /// What follows `||`: `name^`, perhaps with modifiers.
    fn adblock(&mut self, rule: &str, flags: u8) -> Read<()> {
        let (host, modifiers) = rule.split_once('$').unwrap_or((rule, ""));
        let whole = modifiers.split(',').all(|modifier| modifier.is_empty() || HARMLESS.contains(&modifier));
        let host = host.strip_suffix('|').unwrap_or(host);
        let host = host.strip_suffix('^').unwrap_or(host);
        let host = host.strip_prefix("*.").unwrap_or(host);
        if let (true, Some(net)) = (whole, prefix(host)) {
            self.prefix(net, flags, 0);
            return Ok(());
        }
        if !whole || host.contains(['/', '*', '^', '?', ':', '=', '|']) {
            self.skipped += 1;
            return Ok(());
        }
        self.name(host, flags, 0)
    }

    /// A row in the form of our own list.
    fn row(&mut self, [rule, vendor, category, region, ambiguous, _]: [&str; 6]) -> Read<()> {
        let said = |field: &str| (!matches!(field, "" | "-")).then(|| Arc::from(field));
        let category = Category::from_name(category).ok_or("the category is none of those that geoip/watchlist.tsv names")?;
        let note = Note { category, vendor: said(vendor), region: said(region), ambiguous: ambiguous == "true" };
        let known = self.notes.iter().rev().take(RECENT).position(|other| *other == note);
        let index = match known {
            Some(back) => self.notes.len() - 1 - back,
            None => {
                self.notes.push(note);
                self.notes.len() - 1
            }
        };
        let index = u16::try_from(index).map_err(|_| "too many combinations of vendor, category and region; sort the list by them")?;
        self.rule(rule, index)
    }

    fn name(&mut self, name: &str, flags: u8, note: u16) -> Read<()> {
        let name = name.strip_suffix('.').unwrap_or(name);
        check(name)?;
        self.lower.clear();
        self.lower.push_str(name);
        self.lower.make_ascii_lowercase();
        self.names.add(&self.lower, flags, note);
        Ok(())
    }

    fn prefix(&mut self, net: IpNet, flags: u8, note: u16) {
        match net.trunc() {
            IpNet::V4(net) => self.v4.add(u128::from(net.network().to_bits()) << 96, net.prefix_len(), flags, note),
            IpNet::V6(net) => self.v6.add(net.network().to_bits(), net.prefix_len(), flags, note),
        }
    }
}

/// The six fields of our own form; the fifth tells it from a hosts file with tabs.
fn own_form(line: &str) -> Option<[&str; 6]> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    let row = [next()?, next()?, next()?, next()?, next()?, next()?];
    let [.., ambiguous, _] = row;
    (matches!(ambiguous, "true" | "false") && fields.next().is_none()).then_some(row)
}

/// The address that a line of a hosts file begins with; `fe80::1%lo0` has a zone.
fn host_address(word: &str) -> Option<IpAddr> {
    let address = word.split_once('%').map_or(word, |(address, _)| address);
    address.parse().ok()
}

/// A prefix, or an address alone, which is its own; IPv4 in an IPv6 notation is IPv4.
fn prefix(word: &str) -> Option<IpNet> {
    let net = word.parse().or_else(|_| word.parse::<IpAddr>().map(IpNet::from)).ok()?;
    match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match Ipv6Addr::to_ipv4_mapped(&v6.addr()) {
            Some(v4) => IpNet::new(IpAddr::V4(v4), v6.prefix_len() - 96).ok(),
            None => Some(net),
        },
        _ => Some(net),
    }
}

/// Whether a name can be one on the wire (RFC 1035, 2.3.1, and the underscores that are in use).
fn check(name: &str) -> Read<()> {
    if name.len() > LONGEST {
        return Err("longer than a host name can be");
    }
    if !name.is_ascii() {
        return Err("a name outside ASCII; write it as it is on the wire, with xn--");
    }
    let sound = |label: &str| {
        matches!(label.len(), 1..=63) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let numeric = name.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    if numeric || !name.split('.').all(sound) { Err("not a host name, an address or a prefix") } else { Ok(()) }
}
