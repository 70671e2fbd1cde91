//! "Not observed", with what that is worth: how long and how well somebody looked, and what would have been seen.
//!
//! Road taken: three questions that a coverage answers in numbers. Would one occurrence have shown? With the share of like flows that
//! were named or placed, less what the capture lost. How often may it happen unseen? A random event at a rate r is missed for a time t
//! with the chance exp(-r t), so none in t excludes, with 95 %, r of 3.0 / t and more. How often after joining? None after n joins
//! excludes a chance of 1 - 0.05^(1/n) and more. Bytes that may be anything are told beside. Road not taken: one word of "clean", which
//! is what two laboratories with different coverage would disagree about.

use super::model::{Absence, Condition, Coverage, Device};
use super::words::{percent, permille, share, size, span};

/// The chance, natural logarithm, that a bound is wrong: ln 0.05.
const SURE: f64 = -2.995_732_273_553_991;
/// Frames lost, thousandths, above which a "not observed" is weak.
const LOST: u64 = 1;
/// Bytes unnamed or hidden, thousandths, above which it is.
const UNKNOWN: u64 = 50;
/// The slowest timer of config pulls that is known from client code, seconds, and the rounds of it that should be waited for.
const SLOWEST: u64 = 43_200;
const ROUNDS: u64 = 3;

/// What would have shown something.
#[derive(Clone, Copy)]
pub(super) enum By {
    /// A name, so the share of named flows counts.
    Name,
    /// An address, so tunnels and addresses without one country count.
    Address,
}

/// Something that was not observed of a device.
pub(super) fn absence(what: String, because: String, by: By, timed: bool, coverage: &Coverage, device: &Device) -> Absence {
    let lost = coverage.frames_lost.unwrap_or_default();
    let captured = 1.0 - ratio(lost, lost.saturating_add(coverage.frames));
    let told = match by {
        By::Name => ratio(coverage.web_flows_named, coverage.web_flows),
        By::Address => 1.0 - ratio(coverage.tunnelled_flows.saturating_add(coverage.placeless_flows), coverage.outside_flows),
    };
    let seen = (captured * told).clamp(0.0, 1.0);
    let there = coverage.associated_seconds as f64;
    let joins = coverage.associations as f64;
    let unseen = match by {
        By::Name => coverage.unnamed_bytes.saturating_add(coverage.hidden_bytes),
        By::Address => placeless(device),
    };
    let conditions = conditions(by, timed, coverage, unseen);
    let support = match conditions.iter().map(|condition| condition.met).min_by_key(|met| met.map_or(1, |met| if met { 2 } else { 0 })) {
        Some(Some(false)) => "weak",
        Some(None) => "open",
        _ => "supported",
    };
    let after = if joins > 0.0 && seen > 0.0 { Some((1.0 - (SURE / joins).exp()) / seen) } else { None };
    Absence {
        what,
        because,
        would_show: match by {
            By::Name => "a server name in a TLS or QUIC hello, an HTTP Host, a certificate, or the device's own DNS answer for the address",
            By::Address => "the address of any frame, by the address databases",
        },
        least: match by {
            By::Name => "one connection whose hello, request or DNS answer is in the capture: some 600 bytes",
            By::Address => "one frame: 60 bytes",
        },
        seen_permille: (seen * 1000.0) as u64,
        provided: if coverage.frames_lost.is_some() { "" } else { ", if the capture lost nothing, which it does not say" },
        once_in_seconds: Some((there * seen / -SURE) as u64).filter(|seconds| *seconds > 0),
        timer_seconds: coverage.associated_seconds / ROUNDS,
        after_joining_permille: after.map(|after| (after * 1000.0).ceil() as u64).filter(|permille| *permille <= 1000),
        not_excluded_bytes: unseen,
        conditions,
        support,
    }
}

fn conditions(by: By, timed: bool, coverage: &Coverage, unseen: u64) -> Vec<Condition> {
    let mut conditions = Vec::new();
    if timed {
        conditions.push(Condition {
            what: "there for 36 h (three rounds of 12 h, the slowest such timer that is known)",
            is: span(coverage.associated_seconds),
            met: Some(coverage.associated_seconds >= SLOWEST.saturating_mul(ROUNDS)),
        });
    }
    let all = coverage.frames.saturating_add(coverage.frames_lost.unwrap_or_default());
    conditions.push(Condition {
        what: "fewer than 0.1 % of the frames lost by the capture",
        is: coverage.frames_lost.map_or_else(|| "not recorded in the capture".to_owned(), |lost| share(lost, all)),
        met: coverage.frames_lost.map(|lost| permille(lost, all).is_none_or(|lost| lost < LOST)),
    });
    let few = permille(unseen, coverage.outside_bytes).is_none_or(|share| share < UNKNOWN);
    conditions.push(Condition {
        what: match by {
            By::Name => "fewer than 5 % of the bytes outside without a name of their own",
            By::Address => "fewer than 5 % of the bytes outside in tunnels or at addresses of no one country",
        },
        is: share(unseen, coverage.outside_bytes),
        met: Some(few),
    });
    conditions
}

/// Bytes whose country cannot be said: in tunnels and relays, at addresses that no database knows or that are in many places.
fn placeless(device: &Device) -> u64 {
    let tunnels = device.coverage.hidden.iter().filter(|share| TUNNELS.contains(&share.class)).map(|share| share.bytes);
    let places = device.countries.iter().map(|place| match place.code.as_str() {
        "unknown" => place.transmit_bytes.saturating_add(place.receive_bytes),
        _ => place.anycast_bytes,
    });
    tunnels.chain(places).fold(0, u64::saturating_add).min(device.coverage.outside_bytes)
}

pub(super) const TUNNELS: [&str; 6] = ["relay", "wireguard", "openvpn", "ipsec", "vpn", "tor"];

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl Absence {
    /// Whether all but what was not observed is the same.
    pub(super) fn like(&self, other: &Self) -> bool {
        let bounds = |one: &Self| (one.seen_permille, one.once_in_seconds, one.timer_seconds, one.after_joining_permille);
        let rest = |one: &Self| (one.not_excluded_bytes, one.support, one.would_show, one.conditions.len());
        bounds(self) == bounds(other) && rest(self) == rest(other)
    }

    /// What would have been seen, as a person reads it.
    pub(super) fn detectable(&self) -> String {
        let mut words = vec![format!("one occurrence would have shown with a chance of {}{}", percent(self.seen_permille), self.provided)];
        if let Some(seconds) = self.once_in_seconds {
            words.push(format!("what comes at random once in {} or more often would have shown with 95 %", span(seconds)));
        }
        if self.timer_seconds > 0 {
            words.push(format!("a timer of {} or less would have gone off three times", span(self.timer_seconds)));
        }
        if let Some(permille) = self.after_joining_permille {
            words.push(format!("what follows {} or more of the associations would have shown with 95 %", percent(permille)));
        }
        words.push(format!("not excluded: {} that may have been anything", size(self.not_excluded_bytes)));
        words.join("; ")
    }
}

impl Coverage {
    /// All that belongs to a "not observed", in one line.
    pub(super) fn words(&self) -> String {
        let lost = match self.frames_lost {
            None => "frames lost: not recorded in the capture".to_owned(),
            Some(lost) => format!("frames lost: {lost} ({})", share(lost, lost.saturating_add(self.frames))),
        };
        let hidden: Vec<String> =
            self.hidden.iter().map(|part| format!("{} {}", part.class, share(part.bytes, self.outside_bytes))).collect();
        let how = if hidden.is_empty() { String::new() } else { format!(" ({})", hidden.join(", ")) };
        format!(
            "associated {}; joined {} {}; {lost}; without a name {} of {} outside; hidden {}{how}",
            span(self.associated_seconds),
            self.associations,
            if self.associations == 1 { "time" } else { "times" },
            share(self.unnamed_bytes, self.outside_bytes),
            size(self.outside_bytes),
            share(self.hidden_bytes, self.outside_bytes),
        )
    }
}
