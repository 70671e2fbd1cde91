//! Numbers and texts as the report's writers say them: the same everywhere, in no one's language settings.

use std::time::Duration;

use super::model::{Count, Device, PhaseRow};
use crate::engine::snapshot::Class;
pub(super) use crate::export::table::{grouped, size};

/// Text from a device, a file or the person, safe on one line: what hides or reorders text is written out.
pub(super) fn clean(text: &str) -> String {
    crate::export::printable(text).into_owned()
}

/// Counts in one line, each with what it is of.
pub(super) fn counts(counts: &[Count]) -> String {
    let told: Vec<String> = counts.iter().map(|count| format!("{} {}", count.what, grouped(count.count))).collect();
    told.join(", ")
}

/// Milliseconds as a person says them: `3.9 s`, `4 min 10 s`, `12 h 3 min`.
pub(super) fn span_ms(milliseconds: u64) -> String {
    let tenths = milliseconds.saturating_add(50) / 100;
    let seconds = milliseconds.saturating_add(500) / 1000;
    match seconds {
        0..60 => format!("{}.{} s", tenths / 10, tenths % 10),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// Seconds as a person says them.
pub(super) fn span(seconds: u64) -> String {
    span_ms(seconds.saturating_mul(1000))
}

/// A share of a whole: `12.3 %`; `-` of nothing.
pub(super) fn share(part: u64, whole: u64) -> String {
    match permille(part, whole) {
        None => "-".to_owned(),
        Some(0) if part > 0 => "< 0.1 %".to_owned(),
        Some(permille) => percent(permille),
    }
}

/// Thousandths as per cent.
pub(super) fn percent(permille: u64) -> String {
    format!("{}.{} %", permille / 10, permille % 10)
}

/// A chance in millionths as a decimal: `0.00064`.
pub(super) fn chance(millionths: u64) -> String {
    let text = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A share in thousandths, rounded down; none of nothing.
pub(super) fn permille(part: u64, whole: u64) -> Option<u64> {
    u64::try_from(u128::from(part).saturating_mul(1000).checked_div(u128::from(whole))?).ok()
}

/// Whole milliseconds.
pub(super) fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Seconds as milliseconds, rounded.
pub(super) fn as_ms(seconds: f64) -> u64 {
    (seconds * 1000.0).round().max(0.0) as u64
}

/// A time for people: `2021-08-23 06:00:02`.
pub(super) fn moment(rfc3339: &str) -> String {
    rfc3339.chars().take(19).map(|c| if c == 'T' { ' ' } else { c }).collect()
}

/// Text cut to so many characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// What a class of bytes is, in a few words.
pub(super) const fn class(class: Class) -> &'static str {
    match class {
        Class::Sni => "named by a TLS ClientHello",
        Class::Quic => "named by a QUIC ClientHello",
        Class::Host => "named by an HTTP Host",
        Class::Certificate => "named by a certificate",
        Class::Dns => "named by the one DNS answer that fits",
        Class::DnsAmbiguous => "named by the latest of several DNS answers that fit",
        Class::Ech => "name inside an Encrypted ClientHello",
        Class::Doh => "DNS over HTTPS",
        Class::Dot => "DNS over TLS",
        Class::Doq => "DNS over QUIC",
        Class::Relay => "a relay that hides the destination",
        Class::Wireguard => "a WireGuard tunnel",
        Class::Openvpn => "an OpenVPN tunnel",
        Class::Ipsec => "an IPsec tunnel",
        Class::Vpn => "another tunnel",
        Class::Tor => "the Tor network",
        Class::Bare => "nothing but the address",
        Class::Lost => "counted but not followed: a table was full",
        Class::Local => "to our own side",
        Class::Multicast => "to a group",
    }
}

/// What a verdict on a location says, in a few words.
pub(super) fn verdict(verdict: &str) -> &'static str {
    match verdict {
        "refuted" => "refuted by a handshake's time",
        "consistent" => "not contradicted by handshake times",
        _ => "not measured",
    }
}

impl super::model::Rhythm {
    /// What it is, in a line.
    pub(super) fn words(&self) -> String {
        let mut words = Vec::new();
        if let (true, Some(period), Some(jitter)) = (self.kinds.contains(&"periodic"), self.period_ms, self.jitter_ms) {
            words.push(format!("every {} ± {}", span_ms(period), span_ms(jitter)));
        }
        words.extend(self.after_joining.clone());
        if self.persistent_flows > 0 {
            words.push(format!("{} persistent connections, up to {}", self.persistent_flows, span(self.persistent_longest_seconds)));
        }
        words.join("; ")
    }
}

/// How long a device was in each phase, and by what that is known.
pub(super) fn phase_sums(device: &Device) -> String {
    let mut kinds: Vec<(&str, &str)> = device.phases.iter().map(|row| (row.phase, row.by)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let sum = |kind: (&str, &str)| {
        let same = device.phases.iter().filter(|row| (row.phase, row.by) == kind);
        same.fold((0_u64, 0_u64), |(count, seconds), row| (count.saturating_add(1), seconds.saturating_add(row.seconds)))
    };
    let words = kinds.into_iter().map(|kind| {
        let (count, seconds) = sum(kind);
        let (phase, by) = kind;
        let quiet = if kind == ("idle", "traffic") { "quiet " } else { "" };
        format!("{phase} {} in {count} ({quiet}by {by})", span(seconds))
    });
    format!("{}.", words.collect::<Vec<_>>().join("; "))
}

/// The phases that are told one by one: all but those that quiet traffic makes of what lies between.
pub(super) fn told_phases(device: &Device) -> impl Iterator<Item = &PhaseRow> {
    device.phases.iter().filter(|row| (row.phase, row.by) != ("idle", "traffic"))
}

impl Device {
    /// What was tested of its marks, and how it came out.
    pub(super) fn marks_words(&self) -> String {
        let stand = self.responses.iter().filter(|row| row.stands()).count() as u64;
        let tests = self.silent_tests.saturating_add(self.responses.len() as u64);
        format!(
            "Flows that begin within {} of a mark, held against all shifts of the marks through the device's time: {} of {} tests of a label \
             and a destination stand out (q of 0.05 or less, Benjamini-Hochberg). A flow that was open before a mark does not follow it.",
            span(self.within_seconds),
            grouped(stand),
            grouped(tests),
        )
    }
}

impl super::model::Response {
    /// Whether chance is out of question: fewer than one in twenty such rows would be false.
    pub(super) fn stands(&self) -> bool {
        self.q_millionths <= 50_000
    }

    /// How many times as many bytes as by chance.
    pub(super) fn lift(&self) -> String {
        let tenths = u128::from(self.bytes).saturating_mul(10).checked_div(u128::from(self.expected_bytes));
        tenths.map_or_else(|| "-".to_owned(), |tenths| format!("{}.{}", tenths / 10, tenths % 10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_shares_are_said_alike_everywhere() {
        let said = [0, 3_940, 59_440, 59_960, 250_000, 43_380_000].map(span_ms);
        assert_eq!(said, ["0.0 s", "3.9 s", "59.4 s", "1 min 0 s", "4 min 10 s", "12 h 3 min"]);
        assert_eq!([share(1, 3), share(0, 9), share(1, 10_000), share(1, 0)], ["33.3 %", "0.0 %", "< 0.1 %", "-"]);
        assert_eq!([0, 640, 10_000, 1_000_000].map(chance), ["0", "0.00064", "0.01", "1"]);
        assert_eq!((cut("žemaitis", 4), cut("abc", 3)), ("žem…".to_owned(), "abc".to_owned()));
    }
}
