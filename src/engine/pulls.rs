//! Config pulls: what a device fetches from a host that a watchlist files under `config` or `region_routing`.
//!
//! Such a fetch happens twice a day, when the network changes; no period can be computed from that, and none is needed: each is
//! told, with what makes it comparable to the others. Several apps that pull at once make one burst, and only the gap
//! between bursts says how long a client waits. Answers fall into two sizes where the list is either new or not: the split lies
//! in the widest gap between sizes, on a scale of ratios, and counts only where it is wide.
//! Road not taken: a threshold in bytes, which would be right for one list and one year.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;

use crate::engine::attach::{Attachments, WINDOW};
use crate::engine::rhythm::round;
use crate::engine::snapshot::Place;
use crate::packet::Timestamp;

/// Pulls kept of one device and name, the latest: the addresses of a device and name are many, and it may pull in a loop.
const MOST_PULLS: usize = 64;
/// Pulls no further apart are one burst: apps that were released by the same change of network.
pub const BURST: Duration = Duration::from_secs(120);
/// Two sizes this much apart, as a ratio and in bytes, may be two classes: a handshake resumed or not must not be.
const APART: (u64, u64) = (2, 4_096);

/// Which of its two sizes an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SizeClass {
    /// As for "nothing new".
    Small,
    /// As for a whole list.
    Large,
}

impl SizeClass {
    /// The value of `whither.size_class`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }
}

/// One pull, with what is known of it at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pull {
    /// Its first packet.
    pub begin: Timestamp,
    /// The server.
    pub server: SocketAddr,
    /// Where that is by the databases.
    pub place: Place,
    /// Transport payload of the device, bytes, as on the wire: TLS and HTTP heads are part of it, and what was sent twice counts twice.
    pub request: u64,
    /// The same of the server. Zero: it was not answered.
    pub response: u64,
    /// Time since the device's last association.
    pub attach_delay: Option<Duration>,
    /// From the begin of the last answered pull of this device and name to its own.
    pub gap: Option<Duration>,
    /// From the begin of the last burst to the begin of this one.
    pub burst_gap: Option<Duration>,
    /// Its size class; none while all answers are alike.
    pub class: Option<SizeClass>,
    /// Whether the class is another one than the last answer's; none where either is not known.
    pub changed: Option<bool>,
}

/// The pulls of one device from one name.
#[derive(Clone, Debug, PartialEq)]
pub struct PullsRow {
    /// The device's label.
    pub device: Arc<str>,
    /// The name, else the address.
    pub name: Arc<str>,
    /// The category on the watchlist.
    pub category: &'static str,
    /// Whose host it is, by the watchlist.
    pub vendor: Option<Arc<str>>,
    /// All pulls, kept or not.
    pub count: u64,
    /// The kept ones in the order of time, classes as all of them now show.
    pub pulls: Vec<Pull>,
    /// Bursts among them.
    pub bursts: usize,
    /// The least gap between answered bursts, seconds: no client waited less.
    pub gap_floor: Option<f64>,
    /// The round value that it lies within 1 % of; none where each pull followed an association and each
    /// association released one: then it is the gap between associations.
    pub round_gap: Option<&'static str>,
    /// The longest time since a pull, seconds, after which the device joined and stayed, and did not pull.
    pub waited: Option<f64>,
}

/// What is kept of one device and name.
#[derive(Debug)]
pub(super) struct History {
    pub(super) category: &'static str,
    pub(super) vendor: Option<Arc<str>>,
    pulls: Vec<Pull>,
    count: u64,
}

impl History {
    /// Nothing pulled yet.
    #[must_use]
    pub(super) fn new(category: &'static str, vendor: Option<Arc<str>>) -> Self {
        Self { category, vendor, pulls: Vec::new(), count: 0 }
    }

    /// Takes in a pull that ended, and completes it by what came before.
    pub(super) fn note(&mut self, mut pull: Pull) -> Pull {
        self.count = self.count.saturating_add(1);
        let at = self.pulls.partition_point(|other| other.begin <= pull.begin);
        if self.pulls.len() < MOST_PULLS {
            self.pulls.insert(at, pull);
        } else if let Some(at) = at.checked_sub(1) {
            self.pulls.remove(0);
            self.pulls.insert(at, pull);
        } else {
            return pull;
        }
        // By its place: two may begin at one moment.
        let at = if self.count > MOST_PULLS as u64 { at.saturating_sub(1) } else { at };
        if let Some(told) = complete(&self.pulls).get(at) {
            pull = *told;
        }
        pull
    }

    /// All of it.
    pub(super) fn row(&self, device: &Arc<str>, name: &Arc<str>, attachments: &Attachments) -> PullsRow {
        let pulls = complete(&self.pulls);
        let bursts = bursts(pulls.iter());
        let answered: Vec<&Pull> = pulls.iter().filter(|pull| pull.response > 0).collect();
        let gaps = self::bursts(answered.iter().copied());
        let gap_floor = gaps.iter().zip(gaps.iter().skip(1)).map(|((one, _), (next, _))| next.since(*one).as_secs_f64());
        let gap_floor = gap_floor.min_by(f64::total_cmp);
        let released = answered.iter().all(|pull| pull.attach_delay.is_some_and(|delay| delay <= WINDOW));
        let waited = waited(&answered, attachments).map(|waited| waited.as_secs_f64());
        PullsRow {
            device: Arc::clone(device),
            name: Arc::clone(name),
            category: self.category,
            vendor: self.vendor.clone(),
            count: self.count,
            bursts: bursts.len(),
            gap_floor,
            round_gap: gap_floor.filter(|_| !(released && waited.is_none())).and_then(round),
            waited,
            pulls,
        }
    }
}

/// The longest time from a pull to an association that released none.
fn waited(answered: &[&Pull], attachments: &Attachments) -> Option<Duration> {
    let without = |joined: Timestamp| {
        let next = answered.partition_point(|pull| pull.begin <= joined);
        let last = answered.get(next.checked_sub(1)?)?;
        let follows = answered.get(next).is_some_and(|pull| pull.begin.since(joined) <= WINDOW);
        (!follows).then(|| joined.since(last.begin))
    };
    attachments.stayed().filter_map(without).max()
}

/// First and last begin of each burst.
fn bursts<'a>(pulls: impl Iterator<Item = &'a Pull>) -> Vec<(Timestamp, Timestamp)> {
    let mut bursts: Vec<(Timestamp, Timestamp)> = Vec::new();
    for pull in pulls {
        match bursts.last_mut() {
            Some((_, last)) if pull.begin.since(*last) <= BURST => *last = pull.begin,
            _ => bursts.push((pull.begin, pull.begin)),
        }
    }
    bursts
}

/// Gaps and classes of pulls in the order of time, each by what came before it, and the classes by all.
fn complete(pulls: &[Pull]) -> Vec<Pull> {
    let split = split(pulls.iter().filter(|pull| pull.response > 0).map(|pull| pull.response));
    let class = |pull: &Pull| {
        split.filter(|_| pull.response > 0).map(|split| if pull.response > split { SizeClass::Large } else { SizeClass::Small })
    };
    let mut last: Option<Pull> = None;
    let mut burst: Option<(Timestamp, Timestamp, Option<Duration>)> = None;
    let mut told = Vec::with_capacity(pulls.len());
    for pull in pulls {
        burst = match burst {
            Some((first, last, gap)) if pull.begin.since(last) <= BURST => Some((first, pull.begin, gap)),
            Some((first, ..)) => Some((pull.begin, pull.begin, Some(pull.begin.since(first)))),
            None => Some((pull.begin, pull.begin, None)),
        };
        let class = class(pull);
        let changed = class.zip(last.and_then(|last| last.class)).map(|(now, then)| now != then);
        let gap = last.map(|last| pull.begin.since(last.begin));
        let pull = Pull { gap, burst_gap: burst.and_then(|(.., gap)| gap), class, changed, ..*pull };
        if pull.response > 0 {
            last = Some(pull);
        }
        told.push(pull);
    }
    told
}

/// The largest of the small sizes, where there are two classes.
fn split(sizes: impl Iterator<Item = u64>) -> Option<u64> {
    let mut sizes: Vec<u64> = sizes.collect();
    sizes.sort_unstable();
    let ratio = |(small, large): &(u64, u64)| *large as f64 / *small as f64;
    let pairs = sizes.iter().copied().zip(sizes.iter().copied().skip(1));
    let (small, large) = pairs.max_by(|one, other| ratio(one).total_cmp(&ratio(other)))?;
    (large >= small.saturating_mul(APART.0) && large.saturating_sub(small) >= APART.1).then_some(small)
}

/// What a device counts of its own: so many rhythms and histories it may have, and its pulls by vendor.
#[derive(Debug, Default)]
pub(super) struct Routine {
    /// Rhythms kept of it.
    pub(super) rhythms: usize,
    /// Histories kept of it.
    pub(super) histories: usize,
    /// Flows to names that are listed for configuration and serve other purposes too: no pulls.
    pub(super) shared: u64,
    /// Some of those names, sorted.
    pub(super) names: ArrayVec<Arc<str>, MOST_SHARED>,
    vendors: ArrayVec<(Arc<str>, u64, u64), MOST_VENDORS>,
    unknown: (u64, u64),
}

/// Names of hosts with several purposes that are remembered: a list of one's own may hold thousands.
const MOST_SHARED: usize = 4;
/// Vendors whose pulls are counted apart: the same.
const MOST_VENDORS: usize = 32;

impl Routine {
    /// Counts a flow to a name that serves other purposes too.
    pub(super) fn shared(&mut self, name: Arc<str>) {
        self.shared = self.shared.saturating_add(1);
        if let Err(at) = self.names.binary_search(&name) {
            let _ = self.names.try_insert(at, name);
        }
    }

    /// Counts a pull, and a change of its size class.
    pub(super) fn pulled(&mut self, vendor: Option<&Arc<str>>, changed: bool) {
        if let Some(vendor) = vendor
            && !self.vendors.iter().any(|(known, ..)| known == vendor)
        {
            let _ = self.vendors.try_push((Arc::clone(vendor), 0, 0));
        }
        let known = self.vendors.iter_mut().find(|(known, ..)| vendor.is_some_and(|vendor| vendor == known));
        let (pulls, changes) = known.map_or((&mut self.unknown.0, &mut self.unknown.1), |(_, pulls, changes)| (pulls, changes));
        *pulls = pulls.saturating_add(1);
        *changes = changes.saturating_add(u64::from(changed));
    }

    /// Pulls and changes by vendor; those of no vendor always, so that a device without pulls has its zero.
    pub(super) fn counts(&self) -> impl Iterator<Item = (Option<Arc<str>>, u64, u64)> + '_ {
        let known = self.vendors.iter().map(|(vendor, pulls, changes)| (Some(Arc::clone(vendor)), *pulls, *changes));
        std::iter::once((None, self.unknown.0, self.unknown.1)).chain(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos((1_000_000 + seconds) * 1_000_000_000)
    }

    fn pull(seconds: u64, response: u64) -> Pull {
        Pull {
            begin: at(seconds),
            server: "203.0.113.7:80".parse().unwrap(),
            place: Place::Unknown,
            request: 300,
            response,
            attach_delay: None,
            gap: None,
            burst_gap: None,
            class: None,
            changed: None,
        }
    }

    fn noted(pulls: &[(u64, u64)]) -> (Vec<Pull>, PullsRow) {
        let mut history = History::new("config", None);
        let told = pulls.iter().map(|(time, response)| history.note(pull(*time, *response))).collect();
        (told, history.row(&"phone".into(), &"host.example".into(), &Attachments::default()))
    }

    #[test]
    fn a_list_that_is_new_then_not_then_new_again_changes_class_twice() {
        let (told, row) = noted(&[(0, 19_000), (1, 19_000), (13 * HOUR, 190), (13 * HOUR + 2, 190), (25 * HOUR, 93_000)]);
        let classes: Vec<_> = told.iter().map(|pull| (pull.class.map(SizeClass::as_str), pull.changed)).collect();
        let expected = [(None, None), (None, None), (Some("small"), Some(true)), (Some("small"), Some(false)), (Some("large"), Some(true))];
        assert_eq!(classes, expected);
        assert_eq!(row.pulls.first().and_then(|pull| pull.class), Some(SizeClass::Large), "later ones show what the first was");
        assert_eq!(told.last().unwrap().burst_gap, Some(Duration::from_secs(12 * HOUR)));
        assert_eq!(told.last().unwrap().gap, Some(Duration::from_secs(12 * HOUR - 2)));
        assert_eq!((row.count, row.bursts, row.gap_floor, row.round_gap), (5, 3, Some(12.0 * 3_600.0), Some("12 h")));
    }

    #[test]
    fn answers_that_differ_by_a_handshake_are_of_one_class() {
        let (told, _) = noted(&[(0, 4_059), (HOUR, 2_907), (2 * HOUR, 650), (3 * HOUR, 4_700)]);
        assert!(told.iter().all(|pull| pull.class.is_none() && pull.changed.is_none()), "{told:?}");
    }

    #[test]
    fn one_without_an_answer_is_told_and_no_gap_is_counted_from_it() {
        let (told, row) = noted(&[(0, 500), (HOUR, 0), (12 * HOUR, 500)]);
        assert_eq!(told.last().unwrap().gap, Some(Duration::from_secs(12 * HOUR)));
        assert_eq!((row.bursts, row.gap_floor), (3, Some(12.0 * 3_600.0)));
    }

    #[test]
    fn one_that_ends_late_takes_its_place_by_its_beginning() {
        let (told, row) = noted(&[(HOUR, 500), (2 * HOUR, 500), (0, 500)]);
        assert_eq!((told.last().unwrap().gap, row.pulls.first().map(|pull| pull.begin)), (None, Some(at(0))));
    }

    #[test]
    fn a_thousand_pulls_leave_the_latest() {
        let pulls: Vec<(u64, u64)> = (0..1_000).map(|at| (at * HOUR, 500)).collect();
        let (told, row) = noted(&pulls);
        assert_eq!((row.count, row.pulls.len(), row.pulls.last().map(|pull| pull.begin)), (1_000, MOST_PULLS, Some(at(999 * HOUR))));
        assert!(told.iter().skip(1).all(|pull| pull.gap == Some(Duration::from_secs(HOUR))));
    }

    #[test]
    fn a_list_with_a_vendor_in_each_line_is_counted_in_bounds() {
        let mut routine = Routine::default();
        for vendor in 0..1_000 {
            routine.pulled(Some(&Arc::from(format!("vendor {vendor}"))), false);
            routine.shared(Arc::from(format!("{vendor}.example")));
        }
        routine.pulled(None, true);
        assert_eq!(routine.counts().count(), MOST_VENDORS + 1);
        assert_eq!(routine.counts().map(|(_, pulls, _)| pulls).sum::<u64>(), 1_001);
        assert_eq!((routine.names.len(), routine.shared), (MOST_SHARED, 1_000));
    }
}
