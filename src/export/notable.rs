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
        let mut rows: Vec<(u8, &RhythmRow)> =
            snapshot.rhythms.iter().filter(|row| row.device == device.id).filter_map(|row| Some((rank(row)?, row))).collect();
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
    let mut words = vec![format!("{} beats", row.beats)];
    if let (true, Some(period), Some(jitter)) = (row.periodic, row.period, row.jitter) {
        words.push(format!("every {} ± {}", span(period), span(jitter)));
    }
    if let Some(attach) = row.attach.filter(|attach| attach.anchored) {
        let delay = attach.delay.map(span).unwrap_or_default();
        words.push(format!("{} of {} within 2 min of joining, after {delay} (p = {:.0e})", attach.after, attach.beats, attach.chance));
        if let Some(floor) = row.gap_floor {
            words.push(format!("least gap {}{}", span(floor), about(row.round_gap)));
        }
    }
    if let Some(regularity) = row.regularity {
        words.push(format!("regularity {regularity:.2}"));
    }
    if row.beats > 0 {
        words.push(format!("{} bytes a beat", row.bytes_per_beat));
    }
    if let Some(share) = row.upload_share {
        words.push(format!("{:.0} % up", share * 100.0));
    }
    if row.persistent.flows > 0 {
        words.push(format!("{} persistent, up to {}", row.persistent.flows, span(row.persistent.longest.as_secs_f64())));
    }
    let category = row.category.map(|category| format!(" ({category})")).unwrap_or_default();
    format!("{}{category}: {}", printable(&row.destination), words.join(", "))
}

fn pulls(snapshot: &Snapshot, out: &mut String) {
    for device in devices(snapshot) {
        let rows: Vec<&PullsRow> = snapshot.pulls.iter().filter(|row| row.device == device.id).collect();
        let count: u64 = snapshot.pull_counts.iter().filter(|row| row.device == device.id).map(|row| row.pulls).sum();
        let _ = write!(out, "\nConfig pulls, {}:", label(device));
        if count == 0 {
            let _ = write!(out, " none seen");
        }
        let _ = writeln!(out, "{}{}", if count == 0 { "; " } else { " " }, coverage(device, snapshot));
        for row in rows {
            names(row, out);
        }
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
        "(coverage: seen for {:.1} h, {joined} associations, {:.1} % of outside bytes without a name, {:.1} % hidden; frames that the capture lost are not known here",
        present.as_secs_f64() / 3_600.0,
        bare * 100.0 / all,
        hidden * 100.0 / all,
    );
    if let Some(CoverageRow { shared, shared_flows, .. }) = row.filter(|row| row.shared_flows > 0) {
        let names: Vec<_> = shared.iter().map(|name| printable(name)).collect();
        let _ = write!(text, "; not counted: {shared_flows} flows to names that serve other purposes too, {}", names.join(", "));
    }
    text.push(')');
    text
}

/// Classes whose true destination is hidden.
const HIDDEN: [Class; 10] =
    [Class::Ech, Class::Doh, Class::Dot, Class::Doq, Class::Relay, Class::Wireguard, Class::Openvpn, Class::Ipsec, Class::Vpn, Class::Tor];

/// Devices that sent something outside; what forwards for others is none.
fn devices(snapshot: &Snapshot) -> impl Iterator<Item = &DeviceRow> {
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
fn span(seconds: f64) -> String {
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
