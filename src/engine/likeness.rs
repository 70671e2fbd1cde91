//! Whether two devices may be one that changed its MAC: a proposal with its evidence, never a merge.
//!
//! Road taken: either an identifier that is meant to be unique agrees (DHCP client identifier, DUID), or host name, parameter list and
//! something more do, while one of the two fell silent before the other came. The second kind of evidence is what models share, so
//! it counts only while the two were never there together, and its words say what it rests on. Road not taken: a probability, which
//! would have to be learnt from devices that nobody has labelled.

use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;

use crate::engine::identity::{Fact, Identity, Kind, is_number};
use crate::engine::table::Id;
use crate::packet::Timestamp;

/// Proposals kept of one device: a forger could repeat a phone's identifiers from a thousand MACs, or a thousand phones' from one.
const PROPOSALS: usize = 4;
/// How often one device may be held against all others: each new fact asks for it, and a forger could tell one with every packet.
const CHECKS: u8 = 64;
/// How long a device must have been silent since another came, before agreement that models share may count: a phone that
/// sleeps is heard of within that time (ARP, neighbour discovery, mDNS).
const QUIET: Duration = Duration::from_mins(10);
/// Least number of kinds that agree where none of them is unique.
const LEAST: usize = 3;
/// What may agree. Makers, message sizes and products do not tell two devices of one model apart, nor do they change with a MAC.
const TELLING: [Kind; 8] =
    [Kind::ClientId, Kind::Duid, Kind::Hostname, Kind::Parameters, Kind::VendorClass, Kind::Model, Kind::Instance, Kind::Uuid];

/// A proposal: this device may be another one, that was here before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SameAs {
    /// The label of the other.
    pub device: Arc<str>,
    /// What agrees, one fact of each kind, as this device told it.
    pub evidence: Vec<Fact>,
    /// An identifier that is meant to be unique is among it.
    pub unique: bool,
    /// The other spoke after this one came.
    pub together: bool,
    /// When the other spoke last.
    pub silent: Timestamp,
    /// When this one came.
    pub begun: Timestamp,
    /// The packet that completed the evidence.
    pub packet: u64,
    /// Its time.
    pub told: Timestamp,
}

impl SameAs {
    /// What it rests on, in a sentence.
    #[must_use]
    pub fn words(&self) -> String {
        let kinds: Vec<&str> = self.evidence.iter().map(|fact| fact.kind.words()).collect();
        let kinds = match kinds.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => kinds.concat(),
        };
        let agree = if self.evidence.len() == 1 { "agrees" } else { "agree" };
        let rests = match self.unique {
            true => "it rests on an identifier that is meant to be unique, which a copied system or a forger can repeat",
            false => "nothing unique is among it: two devices of one model can agree in all of this",
        };
        let met = match self.together {
            true => "both were heard at the same time".to_owned(),
            false => format!("the other was last heard {} before this one came", span(self.begun.since(self.silent))),
        };
        format!("{kinds} {agree}; {rests}; {met}")
    }
}

/// A span as a person says it.
fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

/// What one device has been likened to.
#[derive(Debug, Default)]
pub(super) struct Likeness {
    /// When to look again, once there was time enough for the others to be heard.
    pub(super) due: Option<Timestamp>,
    /// The other device, and the proposal, in the order in which they were told.
    found: ArrayVec<(Id, SameAs), PROPOSALS>,
    checks: u8,
}

impl Likeness {
    /// Notes that something new was learnt of a device that came at `first`: worth a look now, and another when others had their time.
    /// False when it has been looked at too often.
    pub(super) fn stir(&mut self, first: Timestamp) -> bool {
        self.checks = self.checks.saturating_add(1);
        if self.checks > CHECKS {
            return false;
        }
        self.due = Some(first.plus(QUIET));
        true
    }

    /// Whether the later look is due; only once.
    pub(super) fn is_due(&mut self, now: Timestamp) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }

    /// Keeps a proposal; false when it is known or there is no room.
    pub(super) fn propose(&mut self, other: Id, proposal: &SameAs) -> bool {
        let known = self.found.iter().any(|(_, known)| known.device == proposal.device);
        !known && self.found.try_push((other, proposal.clone())).is_ok()
    }

    /// The proposals that still hold; `spoke` says when another device sent something last. One that rests on what models share
    /// falls when the two are heard together after all.
    pub(super) fn holding(&self, spoke: impl Fn(Id) -> Option<Timestamp>) -> Vec<SameAs> {
        let holds = |(other, same): &&(Id, SameAs)| same.unique || spoke(*other).is_none_or(|spoke| spoke < same.begun);
        self.found.iter().filter(holds).map(|(_, same)| same.clone()).collect()
    }
}

/// One side of a comparison.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side<'a> {
    /// Its label.
    pub(super) label: &'a Arc<str>,
    /// It has an alias in the devices file.
    pub(super) named: bool,
    /// A MAC of it is locally administered, so that it may change.
    pub(super) local: bool,
    /// What is known of it.
    pub(super) identity: &'a Identity,
    /// When it came.
    pub(super) first: Timestamp,
    /// When it sent something last.
    pub(super) spoke: Timestamp,
}

/// Whether `newer` may be `older` with another MAC; `now` and `packet` are of the packet that asks.
#[must_use]
pub(super) fn liken(newer: Side<'_>, older: Side<'_>, packet: u64, told: Timestamp, now: Timestamp) -> Option<SameAs> {
    // Neither MAC could have changed, or a person said that they are two.
    if !newer.local && !older.local || newer.named && older.named {
        return None;
    }
    // Without one of these nothing more would do; asked first, since a thousand forged devices are held against each other.
    if ![Kind::ClientId, Kind::Duid, Kind::Hostname].into_iter().any(|kind| agreement(kind, newer, older).is_some()) {
        return None;
    }
    let evidence: Vec<Fact> = TELLING.iter().filter_map(|kind| agreement(*kind, newer, older)).cloned().collect();
    let has = |kind: Kind| evidence.iter().any(|fact| fact.kind == kind);
    let unique = has(Kind::ClientId) || has(Kind::Duid);
    let together = older.spoke >= newer.first;
    let waited = now.since(newer.first) >= QUIET;
    let weak = has(Kind::Hostname) && has(Kind::Parameters) && evidence.len() >= LEAST;
    if !unique && (together || !waited || !weak || differ(newer, older)) {
        return None;
    }
    let (device, silent, begun) = (Arc::clone(older.label), older.spoke, newer.first);
    Some(SameAs { device, evidence, unique, together, silent, begun, packet, told })
}

/// A fact of this kind that both have.
fn agreement<'a>(kind: Kind, newer: Side<'a>, older: Side<'a>) -> Option<&'a Fact> {
    newer.identity.of(kind).find(|fact| {
        let sound = match kind {
            Kind::ClientId | Kind::Duid => is_telling(&fact.value),
            Kind::Instance => !is_number(&fact.value),
            _ => true,
        };
        sound && older.identity.of(kind).any(|other| other.value.eq_ignore_ascii_case(&fact.value))
    })
}

/// Whether something speaks against the two being one: facts that a change of MAC leaves alone, and none in common.
fn differ(newer: Side<'_>, older: Side<'_>) -> bool {
    [Kind::VendorClass, Kind::Parameters, Kind::Model, Kind::Uuid, Kind::ClientId, Kind::Duid].into_iter().any(|kind| {
        let of = |side: Side<'_>| side.identity.of(kind).any(|fact| !is_of_mac(kind, &fact.value));
        of(newer) && of(older) && agreement(kind, newer, older).is_none()
    })
}

/// An identifier made of a MAC: a client identifier of type 1 (RFC 2132, 9.14), a DUID with a link-layer address (RFC 8415, 11.2, 11.4).
fn is_of_mac(kind: Kind, value: &str) -> bool {
    match kind {
        Kind::ClientId => value.len() == 20 && value.starts_with("01:"),
        Kind::Duid => value.starts_with("00:01:") || value.starts_with("00:03:"),
        _ => false,
    }
}

/// Whether an identifier can tell devices apart: four bytes or more, and not one byte over and over behind a type.
fn is_telling(value: &str) -> bool {
    let mut bytes = value.split(':').skip(1);
    let second = bytes.next();
    value.len() >= 11 && bytes.any(|byte| Some(byte) != second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::identity::Source;
    use crate::packet::Mac;

    const OLD: Mac = Mac([0x02, 0, 0, 0, 0, 0x0a]);
    const NEW: Mac = Mac([0x06, 0, 0, 0, 0, 0x0b]);
    const PHONE: [(Kind, &str); 3] =
        [(Kind::Hostname, "Pixel-8"), (Kind::Parameters, "1,3,6,15,26"), (Kind::VendorClass, "android-dhcp-14")];

    fn at(minute: u64) -> Timestamp {
        Timestamp::from_nanos(minute * 60_000_000_000)
    }

    fn known(facts: &[(Kind, &str)]) -> Identity {
        let mut identity = Identity::default();
        for (kind, value) in facts {
            identity.note(*kind, Source::Dhcp, value, 1, at(1));
        }
        identity
    }

    /// The older was here from minute 1 to `spoke`, the newer came at minute 20; it is minute 40.
    fn likened(older: (Mac, &[(Kind, &str)]), newer: (Mac, &[(Kind, &str)]), spoke: u64) -> Option<SameAs> {
        let (one, two) = (known(older.1), known(newer.1));
        let (label, other): (Arc<str>, Arc<str>) = ("older".into(), "newer".into());
        let older = Side { label: &label, named: false, local: older.0.is_local(), identity: &one, first: at(1), spoke: at(spoke) };
        let newer = Side { label: &other, named: false, local: newer.0.is_local(), identity: &two, first: at(20), spoke: at(40) };
        liken(newer, older, 7, at(40), at(40))
    }

    #[test]
    fn what_models_share_counts_only_if_the_two_never_met() {
        let found = likened((OLD, &PHONE), (NEW, &PHONE), 19).unwrap();
        assert_eq!((found.evidence.len(), found.unique, &*found.device), (3, false, "older"));
        assert_eq!(
            found.words(),
            "host name, parameter list and vendor class agree; nothing unique is among it: two devices of one model can agree in all \
             of this; the other was last heard 60 s before this one came"
        );
        assert_eq!(likened((OLD, &PHONE), (NEW, &PHONE), 20), None, "heard together");
        let registered = Mac([0, 0, 0x0c, 1, 2, 3]);
        assert!(likened((registered, &PHONE), (NEW, &PHONE), 19).is_some(), "a phone that begins to change its MAC");
        assert_eq!(likened((registered, &PHONE), (Mac([0, 0, 0x0c, 1, 2, 4]), &PHONE), 19), None, "neither MAC can have changed");
    }

    #[test]
    fn too_little_or_a_contradiction_is_no_proposal() {
        for (newer, why) in [
            (&PHONE[..2], "two kinds"),
            (&PHONE[1..], "no host name"),
            (&[PHONE[0], (Kind::Parameters, "1,3"), PHONE[2], (Kind::Model, "x")][..], "other parameters"),
            (&[PHONE[0], PHONE[1], (Kind::VendorClass, "android-dhcp-15"), (Kind::Model, "x")][..], "another vendor class"),
            (&[PHONE[0], PHONE[1], PHONE[2], (Kind::Duid, "00:04:02:03:04")][..], "another unique DUID"),
            (&[][..], "nothing"),
        ] {
            let older = [PHONE[0], PHONE[1], PHONE[2], (Kind::Duid, "00:04:09:09:01"), (Kind::Model, "x")];
            assert_eq!(likened((OLD, &older), (NEW, newer), 19), None, "{why}");
        }
        let by_mac = |mac: &'static str| [PHONE[0], PHONE[1], PHONE[2], (Kind::ClientId, mac)];
        let found = likened((OLD, &by_mac("01:02:00:00:00:00:0a")), (NEW, &by_mac("01:06:00:00:00:00:0b")), 19);
        assert!(found.is_some_and(|found| !found.unique), "identifiers made of the MACs change with them");
    }

    #[test]
    fn a_unique_identifier_alone_is_enough() {
        let with = |value: &'static str| [(Kind::Duid, value)];
        let found = likened((OLD, &with("00:04:11:22:33:44")), (NEW, &with("00:04:11:22:33:44")), 30).unwrap();
        assert!(found.unique && found.together);
        assert_eq!(
            found.words(),
            "DUID agrees; it rests on an identifier that is meant to be unique, which a copied system or a forger can repeat; both \
             were heard at the same time"
        );
        for dull in ["00", "01:02:03", "00:00:00:00:00:00", "01:ff:ff:ff:ff:ff:ff"] {
            assert_eq!(likened((OLD, &with(dull)), (NEW, &with(dull)), 30), None, "{dull}");
        }
    }

    #[test]
    fn proposals_are_bounded_told_once_and_fall_when_contradicted() {
        let mut table = crate::engine::table::Table::new("devices", 9);
        let other = table.insert(1, (), at(1)).unwrap();
        let mut likeness = Likeness::default();
        let found = likened((OLD, &PHONE), (NEW, &PHONE), 19).unwrap();
        assert!(likeness.propose(other, &found) && !likeness.propose(other, &found));
        assert_eq!(likeness.holding(|_| Some(at(19))).len(), 1);
        assert_eq!(likeness.holding(|_| None).len(), 1, "the other left");
        assert_eq!(likeness.holding(|_| Some(at(41))), [], "heard together after all");
        for number in 0..9 {
            likeness.propose(other, &SameAs { device: Arc::from(format!("{number}")), unique: true, ..found.clone() });
        }
        assert_eq!(likeness.holding(|_| Some(at(41))).len(), PROPOSALS - 1);
        assert_eq!((0..200).filter(|_| likeness.stir(at(1))).count(), usize::from(CHECKS));
    }
}
