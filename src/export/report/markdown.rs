//! The report as Markdown (GitHub's tables), for issues, wikis and terminals.
//!
//! Road taken: every text that others chose stands in a code span, where nothing is a tag, a link or emphasis; pipes are escaped, since
//! tables are cut before spans are read. Road not taken: escaping each sign that means something, of which every dialect has others.

use std::fmt::Write as _;

use super::model::{Absence, Destination, Device, MOST_DEVICES, Pulls, Report, Response};
use super::words::{chance, counts, grouped, moment, phase_sums, share, size, span, span_ms, told_phases, verdict};

/// Rows of each kind; JSON and CSV have all.
const MOST: usize = 60;

/// All of it. Writing to a String cannot fail, so its results are dropped.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut out = String::new();
    top(report, &mut out);
    marks(report, &mut out);
    for device in report.devices.iter().take(MOST_DEVICES) {
        one(device, &mut out);
    }
    if let Some(more) = report.devices.len().checked_sub(MOST_DEVICES).filter(|more| *more > 0) {
        let _ = writeln!(out, "\n{more} more devices: ask for one with --device; JSON has all.");
    }
    let _ = writeln!(out, "\n## What cannot be seen, and why\n\n| blind to | what that hides | in these captures |\n|---|---|---|");
    for spot in &report.blind_spots {
        let _ = writeln!(out, "| {} | {} | {} |", spot.what, spot.hides, plain(&spot.here));
    }
    let _ = writeln!(out, "\n### Limits of the method\n");
    for limit in &report.limits {
        let _ = writeln!(out, "- {limit}");
    }
    out
}

fn top(report: &Report, out: &mut String) {
    let header = &report.header;
    let _ = writeln!(out, "# Where the devices sent their data\n");
    if let (Some(first), Some(last)) = (&header.first, &header.last) {
        let _ =
            writeln!(out, "From {} to {} UTC, {} frames. whither {}.", moment(first), moment(last), grouped(header.frames), header.whither);
    }
    let _ = writeln!(out, "\n| capture | SHA-256 | frames | lost, as its writer says |\n|---|---|---:|---|");
    for capture in &header.captures {
        let damage = capture.damage.as_deref().map(|damage| format!("; {}", plain(damage))).unwrap_or_default();
        let (name, lost) = (code(&capture.name), capture.drops.words());
        let _ = writeln!(out, "| {name} | `{}` | {} | {lost}{damage} |", capture.sha256, grouped(capture.frames));
    }
    let databases: Vec<String> = header.databases.iter().map(|row| format!("{} of {}", code(&row.name), row.built)).collect();
    let _ = writeln!(out, "\n- Address databases: {}. {}", databases.join(", "), header.attribution);
    for (told, what) in [(&header.not_charged, "Not charged to a device"), (&header.not_read, "Not readable")] {
        if !told.is_empty() {
            let _ = writeln!(out, "- {what}: {}", counts(told));
        }
    }
    for setting in &header.settings {
        let _ = writeln!(out, "- Setting {}: {}", setting.name, code(&setting.value));
    }
    let _ = writeln!(out, "- All settings: SHA-256 `{}`", header.settings_sha256);
    let _ = writeln!(
        out,
        "\n| device | associated | joined | up | down | config pulls | outside bytes unnamed | hidden |\n|---|---|---:|---:|---:|---|---:|---:|"
    );
    for device in report.devices.iter().take(MOST_DEVICES) {
        let coverage = &device.coverage;
        let pulls = match (coverage.outside_bytes, device.pull_count) {
            (0, _) => "-".to_owned(),
            (_, 0) => "not observed".to_owned(),
            (_, count) => count.to_string(),
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {pulls} | {} | {} |",
            code(&device.title),
            span(coverage.associated_seconds),
            coverage.associations,
            size(device.transmit_bytes),
            size(device.receive_bytes),
            share(coverage.unnamed_bytes, coverage.outside_bytes),
            share(coverage.hidden_bytes, coverage.outside_bytes),
        );
    }
}

fn marks(report: &Report, out: &mut String) {
    if report.marks.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n## Marks\n\n| time (UTC) | said | device | phase |\n|---|---|---|---|");
    for row in report.marks.iter().take(MOST) {
        let device = row.device.as_deref().map_or_else(|| "all".to_owned(), code);
        let _ = writeln!(out, "| {} | {} | {device} | {} |", moment(&row.time), code(&row.text), row.phase.unwrap_or("-"));
    }
    more(report.marks.len(), out);
}

fn phases(device: &Device, out: &mut String) {
    if device.phases.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n### Phases\n\n{}", phase_sums(device));
    if told_phases(device).next().is_some() {
        let _ = writeln!(out, "\n| phase | by | from (UTC) | to (UTC) | lasted |\n|---|---|---|---|---:|");
    }
    for row in told_phases(device).take(MOST) {
        let _ = writeln!(out, "| {} | {} | {} | {} | {} |", row.phase, row.by, moment(&row.from), moment(&row.to), span(row.seconds));
    }
    more(told_phases(device).count(), out);
}

fn one(device: &Device, out: &mut String) {
    let _ = writeln!(out, "\n## {}\n", code(&device.title));
    let maker = device.maker.as_deref().map(|maker| format!("Maker {}. ", code(maker))).unwrap_or_default();
    let _ = writeln!(out, "{maker}Seen from {} to {} UTC.", moment(&device.first), moment(&device.last));
    if device.coverage.outside_bytes == 0 {
        let _ = writeln!(out, "Nothing went outside.");
        return;
    }
    let _ = writeln!(out, "Coverage: {}.", device.coverage.words());
    let _ = writeln!(
        out,
        "\n### Countries\n\n| country | up | down | not contradicted | refuted | not measured |\n|---|---:|---:|---:|---:|---:|"
    );
    for place in &device.countries {
        let verdicts = [place.consistent_bytes, place.refuted_bytes, place.unmeasured_bytes].map(size).join(" | ");
        let _ = writeln!(
            out,
            "| {} ({}) | {} | {} | {verdicts} |",
            place.name,
            place.code,
            size(place.transmit_bytes),
            size(place.receive_bytes)
        );
    }
    let _ = writeln!(
        out,
        "\n### Destinations\n\n| destination | for, whose | origin | country, system | location | up | down | flows | first (UTC) | last (UTC) |\n|---|---|---|---|---|---:|---:|---:|---|---|"
    );
    device.destinations.iter().take(MOST).for_each(|row| destination(row, out));
    more(device.destinations.len(), out);
    phases(device, out);
    if device.pull_count > 0 {
        let _ = writeln!(out, "\n### Config pulls: {}", device.pull_count);
        device.pulls.iter().for_each(|row| pulls(row, out));
    }
    responses(device, out);
    not_observed(device, out);
    rhythm(device, out);
    let _ = writeln!(out, "\n### First contacts\n\n| first (UTC) | kind | with | flows |\n|---|---|---|---:|");
    for row in device.first_contacts.iter().take(MOST) {
        let words = row.words.as_deref().map(|words| format!(" {words}")).unwrap_or_default();
        let _ = writeln!(out, "| {} | {} | {}{words} | {} |", moment(&row.first), row.kind, code(&row.value), grouped(row.flows));
    }
    more(device.first_contacts.len(), out);
    let _ = writeln!(out, "\n### Visibility budget\n\n| class | is | bytes |\n|---|---|---:|");
    for part in &device.visibility {
        let _ = writeln!(out, "| {} | {} | {} |", part.class, part.words, grouped(part.bytes));
    }
}

fn destination(row: &Destination, out: &mut String) {
    let services: Vec<String> = row
        .services
        .iter()
        .map(|service| {
            let whose = service.vendor.as_deref().map(|vendor| format!(" {}", code(vendor))).unwrap_or_default();
            format!("{}{}{whose}", service.category, if service.ambiguous { "?" } else { "" })
        })
        .collect();
    let names: Vec<String> = row.names.iter().filter_map(|name| name.name.as_deref()).take(6).map(code).collect();
    let names = if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
    let system = match (row.asn, &row.organization) {
        (Some(asn), Some(organization)) => format!(", AS{asn} {}", code(organization)),
        (Some(asn), None) => format!(", AS{asn}"),
        _ => String::new(),
    };
    let location = match row.outside {
        true => {
            format!("{}{}", verdict(row.verdict), row.witnesses.as_deref().map(|words| format!(": {}", plain(words))).unwrap_or_default())
        }
        false => String::new(),
    };
    let anycast = if row.anycast { " (anycast)" } else { "" };
    let _ = writeln!(
        out,
        "| {}{names} | {} | {} | {}{anycast}{system} | {location} | {} | {} | {} | {} | {} |",
        code(&row.destination),
        services.join(", "),
        row.origin,
        row.country_name,
        size(row.transmit_bytes),
        size(row.receive_bytes),
        grouped(row.flows),
        moment(&row.first),
        moment(&row.last),
    );
}

fn pulls(row: &Pulls, out: &mut String) {
    let vendor = row.vendor.as_deref().map(|vendor| format!("{}, ", code(vendor))).unwrap_or_default();
    let gap = row.least_gap_ms.map(|gap| format!(", least gap between bursts {}", span_ms(gap))).unwrap_or_default();
    let round = row.round_gap.map(|round| format!(" (about {round})")).unwrap_or_default();
    let waited = row.waited_ms.map(|waited| format!("; joined {} after a pull and did not pull", span_ms(waited))).unwrap_or_default();
    let sizes = format!("; answers: {} large, {} small", row.large, row.small);
    let _ = writeln!(
        out,
        "\n{} ({vendor}{}): {} in {} bursts{gap}{round}{waited}{sizes}.\n",
        code(&row.name),
        row.category,
        row.count,
        row.bursts
    );
    let _ = writeln!(
        out,
        "| begin (UTC) | after joining | after the last | request | response | size | server |\n|---|---|---|---:|---:|---|---|"
    );
    for pull in &row.pulls {
        let span_of = |span: Option<u64>| span.map_or_else(|| "-".to_owned(), span_ms);
        let changed = if pull.changed == Some(true) { ", changed" } else { "" };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} B | {} B | {}{changed} | {} {} |",
            moment(&pull.begin),
            span_of(pull.attach_delay_ms),
            span_of(pull.gap_ms),
            grouped(pull.request_bytes),
            grouped(pull.response_bytes),
            pull.size_class.unwrap_or("-"),
            pull.server,
            pull.country,
        );
    }
}

fn responses(device: &Device, out: &mut String) {
    if device.responses.is_empty() && device.silent_tests == 0 {
        return;
    }
    let _ = writeln!(out, "\n### After the marks\n\n{}\n", device.marks_words());
    let told: Vec<&Response> = device.responses.iter().filter(|row| row.stands()).take(MOST).collect();
    if told.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "| mark | destination | marks followed | median delay | bytes | by chance | lift | p | q |\n|---|---|---:|---|---:|---:|---:|---:|---:|"
    );
    for row in told {
        let category = row.category.map(|category| format!(" {category}")).unwrap_or_default();
        let _ = writeln!(
            out,
            "| {} | {}{category} | {} of {} | {} | {} | {} | {} | {} | {} |",
            code(&row.label),
            code(&row.destination),
            row.answered,
            row.marks,
            span_ms(row.median_delay_ms),
            size(row.bytes),
            size(row.expected_bytes),
            row.lift(),
            chance(row.p_millionths),
            chance(row.q_millionths),
        );
    }
}

fn not_observed(device: &Device, out: &mut String) {
    if !device.asked.is_empty() {
        let _ = writeln!(out, "\n### Asked about, and observed\n");
        for answer in &device.asked {
            let _ = writeln!(out, "- {}: {}", code(&answer.what), answer.observed);
        }
    }
    if device.not_observed.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n### Not observed, and what that is worth\n");
    for alike in device.not_observed.chunk_by(Absence::like) {
        let Some(absence) = alike.first() else { continue };
        let what: Vec<String> = alike.iter().map(|absence| format!("**{}** ({})", plain(&absence.what), plain(&absence.because))).collect();
        let conditions: Vec<String> = absence
            .conditions
            .iter()
            .map(|condition| {
                let met = condition.met.map_or("not known", |met| if met { "holds" } else { "does not hold" });
                format!("{}: {} ({met})", condition.what, condition.is)
            })
            .collect();
        let _ = writeln!(
            out,
            "- Not observed: {}. {}: {}. It would have been seen by {}; at the least {}; {}. Coverage: {}.",
            what.join("; "),
            absence.support,
            conditions.join("; "),
            absence.would_show,
            absence.least,
            absence.detectable(),
            device.coverage.words(),
        );
    }
}

fn rhythm(device: &Device, out: &mut String) {
    if device.rhythms.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "\n### Rhythm\n\n| destination | is | beats | period ± jitter | least gap | bytes a beat | after joining |\n|---|---|---:|---|---|---:|---|"
    );
    for row in device.rhythms.iter().take(MOST) {
        let period = match (row.kinds.contains(&"periodic"), row.period_ms, row.jitter_ms) {
            (true, Some(period), Some(jitter)) => format!("{} ± {}", span_ms(period), span_ms(jitter)),
            _ => "-".to_owned(),
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {period} | {}{} | {} | {} |",
            code(&row.destination),
            row.kinds.join(", "),
            row.beats,
            row.least_gap_ms.map(span_ms).unwrap_or_default(),
            row.round_gap.map(|round| format!(" (about {round})")).unwrap_or_default(),
            size(row.bytes_per_beat),
            row.after_joining.as_deref().unwrap_or("-"),
        );
    }
    more(device.rhythms.len(), out);
}

fn more(all: usize, out: &mut String) {
    if all > MOST {
        let _ = writeln!(out, "\n{} more; JSON has all.", all.saturating_sub(MOST));
    }
}

/// Text that others chose, as a code span with a fence longer than any in it.
pub(super) fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.saturating_add(1));
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{}{pad}{fence}", text.replace('|', "\\|"))
}

/// A sentence of ours that others' words stand in: every sign that could mean something is escaped (CommonMark, 2.4).
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '#' | '&' | '!' | '@' | '$') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_chose_cannot_leave_its_cell_or_its_span() {
        assert_eq!(code("a|b"), "`a\\|b`");
        assert_eq!(code("a`b``c"), "```a`b``c```");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(plain("<img src=x> [a](b) |"), "\\<img src=x\\> \\[a\\](b) \\|");
    }
}
