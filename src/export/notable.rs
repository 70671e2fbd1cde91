//! Rhythms and config pulls as `read` prints them: the notable rhythms of each device, each config pull, and for a device without
//! any what that is worth.

use std::fmt::Write as _;
use std::time::Duration;

use super::{printable, rfc3339};
use crate::engine::snapshot::{Attach, Both, Class, CoverageRow, DeviceRow, Pull, PullsRow, RhythmRow, SizeClass, Snapshot};

/// Rhythms of one device that are printed; `--json` has all.
const MOST_RHYTHMS: usize = 8;
/// Pulls of one device and name that are printed, the latest.
const MOST_PULLS: usize = 16;

/// Both parts; empty where no device sent anything outside.
#[must_use]
pub fn lines(snapshot: &Snapshot) -> String {
    let mut out = String::new();
    rhythms(snapshot, &mut out);
    pulls(snapshot, &mut out);
    out
}

/// Writing to a String cannot fail, so its results are dropped here and below.
fn rhythms(snapshot: &Snapshot, out: &mut String) {
    for device in devices(snapshot) {
        let mut rows: Vec<(u8, &RhythmRow)> = snapshot.rhythms_of(&device.id).iter().filter_map(|row| Some((rank(row)?, row))).collect();
        if rows.is_empty() {
            continue;
        }
        rows.sort_by_key(|(rank, _)| *rank);
        let _ = write!(out, "\nRhythm, {}:\n", label(device));
        for (_, row) in rows.iter().take(MOST_RHYTHMS) {
            let _ = writeln!(out, "  {}", rhythm(row));
        }
        if let Some(more) = rows.len().checked_sub(MOST_RHYTHMS).filter(|more| *more > 0) {
            let _ = writeln!(out, "  and {more} more (--json)");
        }
    }
}

/// What is worth a line, and in which order: released by joining, periodic, persistent. Captive portal, time and push come last.
fn rank(row: &RhythmRow) -> Option<u8> {
    let kind = match row {
        RhythmRow { attach: Some(Attach { anchored: true, .. }), .. } => 0,
        RhythmRow { periodic: true, .. } => 1,
        RhythmRow { persistent, .. } if persistent.flows > 0 => 2,
        _ => return None,
    };
    let config = matches!(row.category, Some("config" | "region_routing"));
    let noise = matches!(row.category, Some("captive_portal" | "time" | "push"));
    Some(
        kind + if config {
            0
        } else if noise {
            6
        } else {
            3
        },
    )
}

fn rhythm(row: &RhythmRow) -> String {
    let anchored = row.attach.filter(|attach| attach.anchored);
    let mut words = Vec::new();
    if row.persistent.flows > 0 {
        words.push(format!("{} persistent, up to {}", row.persistent.flows, span(row.persistent.longest.as_secs_f64())));
    }
    if row.periodic || anchored.is_some() {
        words.push(format!("{} beats", row.beats));
    }
    if let (true, Some(period), Some(jitter)) = (row.periodic, row.period, row.jitter) {
        words.push(format!("every {} ± {}", span(period), span(jitter)));
    }
    if let Some(attach) = anchored {
        let delay = attach.delay.map(span).unwrap_or_default();
        words.push(format!("{} of {} within 2 min of joining, after {delay} (p = {:.0e})", attach.after, attach.beats, attach.chance));
        words.extend(row.gap_floor.map(|floor| format!("least gap {}{}", span(floor), about(row.round_gap))));
        if attach.skipped > 0 {
            words.push(format!("{} {} without", attach.skipped, if attach.skipped == 1 { "join" } else { "joins" }));
        }
    }
    if row.periodic || anchored.is_some() {
        words.extend(row.regularity.map(|regularity| format!("regularity {regularity:.2}")));
        words.push(format!("{} B a beat", row.bytes_per_beat));
        words.extend(row.upload_share.map(|share| format!("{:.0} % up", share * 100.0)));
    }
    let category = row.category.map(|category| format!(" ({category})")).unwrap_or_default();
    format!("{}{category}: {}", printable(&row.destination), words.join(", "))
}

fn pulls(snapshot: &Snapshot, out: &mut String) {
    for device in devices(snapshot) {
        let rows: Vec<&PullsRow> = snapshot.pulls.iter().filter(|row| row.device == device.id).collect();
        let count: u64 = snapshot.pull_counts.iter().filter(|row| row.device == device.id).map(|row| row.pulls).sum();
        let coverage = coverage(device, snapshot);
        let _ = match count {
            0 => writeln!(out, "\nConfig pulls, {}: none seen; {coverage}", label(device)),
            count => writeln!(out, "\nConfig pulls, {}: {count}; {coverage}", label(device)),
        };
        rows.into_iter().for_each(|row| names(row, out));
    }
}

fn names(row: &PullsRow, out: &mut String) {
    let vendor = row.vendor.as_deref().map(|vendor| format!("{}, ", printable(vendor))).unwrap_or_default();
    let _ = write!(out, "  {} ({vendor}{}): {} in {} bursts", printable(&row.name), row.category, row.count, row.bursts);
    if let Some(floor) = row.gap_floor {
        let _ = write!(out, ", least gap between bursts {}{}", span(floor), about(row.round_gap));
    }
    if let Some(waited) = row.waited {
        let _ = write!(out, "; joined {} after a pull and did not pull", span(waited));
    }
    out.push('\n');
    if let Some(earlier) = row.pulls.len().checked_sub(MOST_PULLS).filter(|earlier| *earlier > 0) {
        let _ = writeln!(out, "    {earlier} earlier (--json)");
    }
    for pull in row.pulls.iter().skip(row.pulls.len().saturating_sub(MOST_PULLS)) {
        let _ = writeln!(out, "    {}", one(pull));
    }
}

fn one(pull: &Pull) -> String {
    let mut words = Vec::new();
    if let Some(delay) = pull.attach_delay {
        words.push(format!("{} after joining", span(delay.as_secs_f64())));
    }
    if let Some(gap) = pull.gap {
        words.push(format!("{} after the last", span(gap.as_secs_f64())));
    }
    words.push(match pull.response {
        0 => "no answer".to_owned(),
        bytes => format!("response {bytes} B"),
    });
    if let Some(class) = pull.class.map(SizeClass::as_str) {
        words.push(if pull.changed == Some(true) { format!("{class}, changed") } else { class.to_owned() });
    }
    format!("{} {}", rfc3339(pull.begin.as_nanos(), 0).replace('T', " ").trim_end_matches('Z'), words.join(", "))
}

/// How long and how well a device was seen: without it a "none seen" says nothing.
fn coverage(device: &DeviceRow, snapshot: &Snapshot) -> String {
    let row = snapshot.coverage.iter().find(|row| row.device == device.id);
    let (present, joined) = row.map_or((Duration::ZERO, 0), |row| (row.present, row.associations));
    let outside = |class: &Class| !matches!(class, Class::Local | Class::Multicast);
    let sum = |of: fn(&Class) -> bool| {
        let some = device.visibility.iter().filter(|(class, _)| outside(class) && of(class));
        some.map(|(_, some)| bytes(some)).fold(0, u64::saturating_add)
    };
    let all = sum(|_| true).saturating_add(bytes(&device.pending)).max(1) as f64;
    let bare = sum(|class| matches!(class, Class::Bare | Class::Lost)).saturating_add(bytes(&device.pending)) as f64;
    let hidden = sum(|class| HIDDEN.contains(class)) as f64;
    let mut text = format!(
        "coverage: seen for {}, {joined} associations, {:.1} % of outside bytes without a name, {:.1} % hidden; frames that the capture lost are not known here",
        span(present.as_secs_f64()),
        bare * 100.0 / all,
        hidden * 100.0 / all,
    );
    if let Some(CoverageRow { shared, shared_flows, .. }) = row.filter(|row| row.shared_flows > 0) {
        let names: Vec<_> = shared.iter().map(|name| printable(name)).collect();
        let _ = write!(text, "; not counted: {shared_flows} flows to names that serve other purposes too, {}", names.join(", "));
    }
    text
}

/// Classes whose true destination is hidden.
pub(super) const HIDDEN: [Class; 10] =
    [Class::Ech, Class::Doh, Class::Dot, Class::Doq, Class::Relay, Class::Wireguard, Class::Openvpn, Class::Ipsec, Class::Vpn, Class::Tor];

/// Devices that sent something outside; what forwards for others is none.
pub(super) fn devices(snapshot: &Snapshot) -> impl Iterator<Item = &DeviceRow> {
    let outside = |device: &&DeviceRow| device.visibility.iter().any(|(class, _)| !matches!(class, Class::Local | Class::Multicast));
    snapshot.devices.iter().filter(|device| !device.router).filter(outside)
}

fn label(device: &DeviceRow) -> String {
    let name = device.hostname.as_deref().map(|name| format!("{} ", printable(name))).unwrap_or_default();
    format!("{name}{}", printable(&device.id))
}

/// ` (12 h)` where a gap is within 1 % of that.
fn about(round: Option<&str>) -> String {
    round.map(|round| format!(" (about {round})")).unwrap_or_default()
}

/// Seconds as a person says them: `3.9 s`, `4 min 10 s`, `12 h 3 min`.
pub(super) fn span(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
    }
}

fn bytes(both: &Both) -> u64 {
    both.transmit.bytes.saturating_add(both.receive.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fixture::{self, HOSTILE};

    #[test]
    fn a_rhythm_and_its_pulls_as_read_prints_them() {
        let mut snapshot = fixture::scrape().snapshot;
        snapshot.devices.truncate(1);
        snapshot.coverage[0].shared = vec!["www.example.org".into()];
        let expected = "
Rhythm, 02:00:00:00:00:0a:
  config.example.org (config): 1 persistent, up to 2 h 1 min, 5 beats, every 5 min 0 s ± 1.5 s, regularity 0.88, 4000 B a beat, 25 % up

Config pulls, 02:00:00:00:00:0a: 2; coverage: seen for 1 min 30 s, 2 associations, 0.0 % of outside bytes without a name, 0.0 % hidden; \
frames that the capture lost are not known here; not counted: 3 flows to names that serve other purposes too, www.example.org
  config.example.org (Xiaomi, config): 2 in 2 bursts, least gap between bursts 12 h 3 min (about 12 h); joined 1 h 0 min after a pull and did not pull
    2021-09-21 04:53:23 3.2 s after joining, response 19060 B, large
    2021-09-21 16:56:23 3.2 s after joining, 12 h 3 min after the last, response 190 B, small, changed
";
        assert_eq!(lines(&snapshot), expected);
    }

    #[test]
    fn none_seen_never_comes_without_its_coverage() {
        let mut snapshot = fixture::scrape().snapshot;
        (snapshot.pulls, snapshot.pull_counts) = (Vec::new(), Vec::new());
        let none: Vec<&str> = lines(&snapshot).lines().filter(|line| line.contains("none seen")).map(|_| "").collect();
        assert_eq!(none.len(), 2);
        assert!(
            lines(&snapshot).lines().filter(|line| line.contains("none seen")).all(|line| line.contains("none seen; coverage: seen for "))
        );
    }

    #[test]
    fn names_that_a_device_chose_stay_on_their_line() {
        let text = lines(&fixture::scrape().snapshot);
        assert!(text.contains("\\u{1b}[31m") && HOSTILE.contains('\u{1b}'));
        assert!(!text.contains(|c: char| c.is_control() && c != '\n') && !text.contains('\u{202e}'), "{text:?}");
    }

    #[test]
    fn spans_are_said_in_two_units_at_most() {
        let said = [0.0, 3.94, 59.4, 59.6, 250.0, 3_599.6, 43_380.0, 200_000.0].map(span);
        assert_eq!(said, ["0.0 s", "3.9 s", "59.4 s", "1 min 0 s", "4 min 10 s", "1 h 0 min", "12 h 3 min", "55 h 33 min"]);
    }
}
