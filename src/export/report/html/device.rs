//! One device's part of the page.

use maud::{Markup, html};

use crate::export::report::model::{Absence, Destination, Device, Name, PhaseRow, Pulls, Response, Rhythm};
use crate::export::report::picture::{map, strips};
use crate::export::report::words::{chance, grouped, moment, percent, phase_sums, share, size, span, span_ms, told_phases, verdict};

/// Rows on the page, of each kind; JSON and CSV have all.
const MOST_DESTINATIONS: usize = 150;
const MOST_NAMES: usize = 12;
const MOST_CONTACTS: usize = 150;
const MOST_RHYTHMS: usize = 40;
const MOST_PHASES: usize = 40;

/// All of it.
pub(super) fn device(device: &Device, number: usize, bench: Option<[f64; 2]>) -> Markup {
    html! {
        h2 id={ "d" (number) } { (device.title) }
        (facts(device))
        @if device.coverage.outside_bytes == 0 {
            p { "Nothing went outside." }
        } @else {
            h3 { "Countries" }
            figure { (map::map(device, bench)) }
            (map::legend())
            (countries(device))
            h3 { "Destinations" }
            (destinations(device))
            h3 { "When" }
            figure { (strips::strips(&device.timeline)) }
            (phases(device))
            (pulls(device))
            (responses(device))
            (not_observed(device))
            (rhythms(device))
            (contacts(device))
            (budget(device))
        }
    }
}

fn phases(device: &Device) -> Markup {
    let told: Vec<&PhaseRow> = told_phases(device).take(MOST_PHASES).collect();
    html! { @if !device.phases.is_empty() {
        p { "Phases: " (phase_sums(device)) }
        @if !told.is_empty() { div.wide { table {
            thead { tr { th { "phase" } th { "by" } th { "from, to (UTC)" } th.number { "lasted" } } }
            tbody { @for row in told { tr { td { (row.phase) } td { (row.by) } td.time { (moment(&row.from)) " to " (moment(&row.to)) } td.number { (span(row.seconds)) } } } }
        } } (more(told_phases(device).count(), MOST_PHASES)) }
    } }
}

fn facts(device: &Device) -> Markup {
    html! { dl.facts {
        @if let Some(maker) = &device.maker { dt { "maker" } dd { (maker) ", by the block of the MAC" } }
        dt { "MAC" } dd { @if device.macs.is_empty() { "none on this link" } (device.macs.join(", ")) @if device.randomized_mac { " (locally administered: chosen by the device)" } }
        @if let Some(hostname) = &device.hostname { dt { "calls itself" } dd { (hostname) } }
        dt { "addresses" } dd { (device.addresses.join(", ")) }
        @if let Some(notes) = &device.notes { dt { "noted" } dd { (notes) } }
        @if !device.expected_countries.is_empty() { dt { "expected countries" } dd { (device.expected_countries.join(", ")) } }
        dt { "seen" } dd { (moment(&device.first)) " to " (moment(&device.last)) " UTC" }
        dt { "traffic" } dd { (size(device.transmit_bytes)) " up, " (size(device.receive_bytes)) " down, " (grouped(device.flows)) " flows" }
        dt { "coverage" } dd { (device.coverage.words()) }
    } }
}

fn countries(device: &Device) -> Markup {
    html! { div.wide { table {
        thead { tr { th { "country" } th.number { "up" } th.number { "down" } th.number { "share outside" } th.number { "not contradicted" } th.number { "refuted" } th.number { "not measured" } th.number { "anycast" } } }
        tbody { @for place in &device.countries {
            @let outside = !matches!(place.code.as_str(), "local" | "multicast");
            @let cell = |bytes: u64| if bytes == 0 { "–".to_owned() } else { size(bytes) };
            tr {
                td { (place.name) @if place.code.len() == 2 { " " span.soft { (place.code) } } }
                td.number { (size(place.transmit_bytes)) }
                td.number { (size(place.receive_bytes)) }
                td.number { @if outside { (share(place.transmit_bytes.saturating_add(place.receive_bytes), device.coverage.outside_bytes)) } }
                td.number { (cell(place.consistent_bytes)) }
                td.number { @if place.refuted_bytes > 0 { span.tag.refuted { (size(place.refuted_bytes)) } } @else { "–" } }
                td.number { (cell(place.unmeasured_bytes)) }
                td.number { (cell(place.anycast_bytes)) }
            }
        } }
    } } }
}

fn destinations(device: &Device) -> Markup {
    html! {
        div.wide { table {
            thead { tr { th { "destination" } th { "for, whose" } th { "origin" } th { "country, system" } th { "location" } th.number { "up" } th.number { "down" } th.number { "flows" } th { "first, last (UTC)" } } }
            tbody { @for row in device.destinations.iter().take(MOST_DESTINATIONS) { (destination(row)) } }
        } }
        (more(device.destinations.len(), MOST_DESTINATIONS))
    }
}

fn more(all: usize, most: usize) -> Markup {
    html! { @if all > most { p.soft { (all - most) " more; JSON has all." } } }
}

fn destination(row: &Destination) -> Markup {
    let named = row.names.iter().any(|name| name.name.is_some());
    html! { tr {
        td.name {
            strong { (row.destination) }
            @if named { @for name in row.names.iter().take(MOST_NAMES) { (full(name)) } }
            @if row.names.len() > MOST_NAMES { span.sub { (row.names.len() - MOST_NAMES) " more names" } }
        }
        td { @for service in &row.services { span.sub { (service.category) @if service.ambiguous { "?" } @if let Some(vendor) = &service.vendor { ", " (vendor) } } } }
        td { (row.origin) }
        td { (row.country_name) @if row.anycast { span.sub { "anycast" } }
            @if let Some(asn) = row.asn { span.sub { "AS" (asn) @if let Some(organization) = &row.organization { " " (organization) } } } }
        td.words { (location(row)) }
        td.number { (size(row.transmit_bytes)) }
        td.number { (size(row.receive_bytes)) }
        td.number { (grouped(row.flows)) }
        td.time { (moment(&row.first)) span.sub { (moment(&row.last)) } }
    } }
}

fn full(name: &Name) -> Markup {
    html! { span.sub {
        (name.name.as_deref().unwrap_or("(no name)"))
        @if let Some(category) = name.category { " [" (category) @if name.ambiguous { "?" } "]" }
        ", " (size(name.transmit_bytes.saturating_add(name.receive_bytes)))
    } }
}

fn location(row: &Destination) -> Markup {
    html! { @if row.outside {
        span class={ "tag " (row.verdict) } { (verdict(row.verdict)) }
        @if row.refuted_bytes > 0 && row.consistent_bytes.saturating_add(row.unmeasured_bytes) > 0 { span.sub { "refuted: " (size(row.refuted_bytes)) " of " (size(row.transmit_bytes.saturating_add(row.receive_bytes))) } }
        @if let Some(witnesses) = &row.witnesses { span.sub { (witnesses) } }
    } }
}

fn pulls(device: &Device) -> Markup {
    html! { @if device.pull_count > 0 {
        h3 { "Config pulls" }
        p { (device.pull_count) " in all: flows to hosts that a list files under config or region_routing. " span.soft { (device.coverage.words()) } }
        @for row in &device.pulls { (pulls_of(row)) }
    } }
}

fn pulls_of(row: &Pulls) -> Markup {
    html! {
        p { strong { (row.name) } " (" @if let Some(vendor) = &row.vendor { (vendor) ", " } (row.category) "): " (row.count) " in " (row.bursts) " bursts"
            @if let Some(gap) = row.least_gap_ms { ", least gap between bursts " (span_ms(gap)) @if let Some(round) = row.round_gap { " (about " (round) ")" } }
            @if let Some(waited) = row.waited_ms { "; joined " (span_ms(waited)) " after a pull and did not pull" }
            @if row.small + row.large > 0 { "; answers: " (row.large) " large, " (row.small) " small" }
            "." }
        div.wide { table {
            thead { tr { th { "begin (UTC)" } th { "after joining" } th { "after the last" } th.number { "request" } th.number { "response" } th { "size" } th { "server" } } }
            tbody { @for pull in &row.pulls { tr {
                td.time { (moment(&pull.begin)) }
                td { (pull.attach_delay_ms.map(span_ms).unwrap_or_else(|| "–".to_owned())) }
                td { (pull.gap_ms.map(span_ms).unwrap_or_else(|| "–".to_owned())) }
                td.number { (grouped(pull.request_bytes)) " B" }
                td.number { @if pull.response_bytes == 0 { "no answer" } @else { (grouped(pull.response_bytes)) " B" } }
                td { (pull.size_class.unwrap_or("–")) @if pull.changed == Some(true) { ", " strong { "changed" } } }
                td { (pull.server) " " span.soft { (pull.country) } }
            } } }
        } }
    }
}

fn responses(device: &Device) -> Markup {
    let told: Vec<&Response> = device.responses.iter().filter(|row| row.stands()).take(MOST_RHYTHMS).collect();
    html! { @if !device.responses.is_empty() || device.silent_tests > 0 {
        h3 { "After the marks" }
        p { (device.marks_words()) }
        @if !told.is_empty() {
            div.wide { table {
                thead { tr { th { "mark" } th { "destination" } th.number { "marks followed" } th { "median delay" } th.number { "bytes" } th.number { "by chance" } th.number { "lift" } th.number { "p" } th.number { "q" } } }
                tbody { @for row in told { tr {
                    td.name { (row.label) }
                    td.name { (row.destination) @if let Some(category) = row.category { span.sub { (category) } } }
                    td.number { (row.answered) " of " (row.marks) }
                    td { (span_ms(row.median_delay_ms)) }
                    td.number { (size(row.bytes)) }
                    td.number { (size(row.expected_bytes)) }
                    td.number { (row.lift()) }
                    td.number { (chance(row.p_millionths)) }
                    td.number { (chance(row.q_millionths)) }
                } } }
            } }
        }
    } }
}

fn not_observed(device: &Device) -> Markup {
    html! {
        @if !device.asked.is_empty() {
            h3 { "Asked about, and observed" }
            ul { @for answer in &device.asked { li { strong { (answer.what) } ": " (answer.observed) } } }
        }
        @if !device.not_observed.is_empty() {
            h3 { "Not observed, and what that is worth" }
            p.note { strong { "Coverage: " } (device.coverage.words()) "." }
            div.wide { table {
                thead { tr { th { "not observed" } th { "what would have been seen" } th { "conditions" } } }
                tbody { @for alike in device.not_observed.chunk_by(Absence::like) { @if let Some(absence) = alike.first() { tr {
                    td.name { @for absence in alike { strong { (absence.what) } span.sub { (absence.because) } } }
                    td.words { "by " (absence.would_show) "; at the least " (absence.least) span.sub { (absence.detectable()) } }
                    td.words { span class={ "tag " (absence.support) } { (absence.support) }
                        @for condition in &absence.conditions { span.sub { (mark(condition.met)) " " (condition.what) ": " (condition.is) } } }
                } } } }
            } }
            p.legend { "✓ holds, ✗ does not, ? is not known. Supported: all hold; weak: one does not; open: one is not known." }
        }
    }
}

fn mark(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "✓",
        Some(false) => "✗",
        None => "?",
    }
}

fn rhythms(device: &Device) -> Markup {
    html! { @if !device.rhythms.is_empty() {
        h3 { "Rhythm" }
        div.wide { table {
            thead { tr { th { "destination" } th { "is" } th.number { "beats" } th { "period ± jitter" } th.number { "regularity" } th { "least gap" } th.number { "bytes a beat" } th { "after joining" } } }
            tbody { @for row in device.rhythms.iter().take(MOST_RHYTHMS) { (rhythm(row)) } }
        } }
        (more(device.rhythms.len(), MOST_RHYTHMS))
    } }
}

fn rhythm(row: &Rhythm) -> Markup {
    let span_of = |milliseconds: Option<u64>| milliseconds.map(span_ms).unwrap_or_default();
    html! { tr {
        td.name { (row.destination) @if let Some(category) = row.category { span.sub { (category) } } }
        td { (row.kinds.join(", ")) @if row.persistent_flows > 0 { span.sub { (row.persistent_flows) " connections, up to " (span(row.persistent_longest_seconds)) } } }
        td.number { (row.beats) }
        td { @if row.kinds.contains(&"periodic") { (span_of(row.period_ms)) " ± " (span_of(row.jitter_ms)) } @else { "–" } }
        td.number { @match row.regularity_permille { Some(permille) => (percent(permille)), None => "–" } }
        td { (span_of(row.least_gap_ms)) @if let Some(round) = row.round_gap { " (about " (round) ")" } }
        td.number { (size(row.bytes_per_beat)) }
        td.words { (row.after_joining.as_deref().unwrap_or("–")) }
    } }
}

fn contacts(device: &Device) -> Markup {
    html! {
        h3 { "First contacts" }
        div.wide { table {
            thead { tr { th { "first (UTC)" } th { "kind" } th { "with" } th.number { "flows" } th { "last (UTC)" } } }
            tbody { @for row in device.first_contacts.iter().take(MOST_CONTACTS) { tr {
                td.time { (moment(&row.first)) }
                td { (row.kind) }
                td.name { (row.value) @if let Some(words) = &row.words { " " (words) } }
                td.number { (grouped(row.flows)) }
                td.time { (moment(&row.last)) }
            } } }
        } }
        (more(device.first_contacts.len(), MOST_CONTACTS))
    }
}

/// Every byte is in one class; bytes of our own side are last.
fn budget(device: &Device) -> Markup {
    let total = device.visibility.iter().map(|share| share.bytes).fold(0_u64, u64::saturating_add);
    let kind = |share: &crate::export::report::model::Share| match share.class {
        _ if share.hidden => "hidden",
        "bare" | "lost" => "bare",
        "local" | "multicast" => "side",
        _ => "named",
    };
    html! {
        h3 { "Visibility budget" }
        div.budget role="img" aria-label="Shares of the bytes by what is known of their destination" {
            @for part in &device.visibility { span class=(kind(part)) style={ "flex: " (part.bytes) } title={ (part.class) ": " (share(part.bytes, total)) } {} }
        }
        p.legend {
            span.key { span.swatch.named {} "named" } span.key { span.swatch.bare {} "only the address" }
            span.key { span.swatch.hidden {} "hidden" } span.key { span.swatch.side {} "our own side and groups" }
        }
        div.wide { table {
            thead { tr { th { "class" } th { "is" } th.number { "bytes" } th.number { "share of all" } th.number { "share outside" } } }
            tbody { @for part in &device.visibility { tr {
                td { (part.class) } td { (part.words) } td.number { (grouped(part.bytes)) }
                td.number { (share(part.bytes, total)) }
                td.number { @if kind(part) == "side" { "–" } @else { (share(part.bytes, device.coverage.outside_bytes)) } }
            } } }
        } }
    }
}
