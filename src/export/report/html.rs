//! The report as one page that needs nothing beside it: no script, no font, no picture from anywhere, and a policy that says so.
//!
//! Road taken: `maud`, which checks the tags when this is compiled and escapes every text. Road not taken: templates in files of
//! their own, which are read when it is too late.

mod device;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::model::{Device, Header, MOST_DEVICES, Report};
use super::picture::{flows, map};
use super::words::{counts, cut, grouped, moment, share, size, span};

/// Marks in the table; JSON has all.
const MOST_MARKS: usize = 40;

/// The page.
#[must_use]
pub fn html(report: &Report) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:";
                meta name="referrer" content="no-referrer";
                link rel="icon" href="data:,";
                title { "Where the devices sent their data" }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                (map::world())
                (top(report))
                (summary(report))
                (rests_on(&report.header))
                (marks(report))
                @for (row, number) in report.devices.iter().take(MOST_DEVICES).zip(1..) {
                    (device::device(row, number, report.header.bench))
                }
                @if report.devices.len() > MOST_DEVICES {
                    p.note { (report.devices.len() - MOST_DEVICES) " more devices: ask for one with --device; JSON has all." }
                }
                (blind(report))
            }
        }
    };
    let mut text = page.into_string();
    text.push('\n');
    text
}

fn top(report: &Report) -> Markup {
    let header = &report.header;
    html! {
        h1 { "Where the devices sent their data" }
        p {
            "A passive report of " (report.devices.len()) (if report.devices.len() == 1 { " device" } else { " devices" })
            @if let (Some(first), Some(last)) = (&header.first, &header.last) { ", from " (moment(first)) " to " (moment(last)) " UTC" }
            ". It states what was observed in the captures named below, with what each statement rests on, and judges nobody."
        }
        nav {
            a href="#rests" { "What this rests on" }
            @for (device, number) in report.devices.iter().take(MOST_DEVICES).zip(1..) { a href={ "#d" (number) } { (cut(&device.title, 40)) } }
            a href="#blind" { "What cannot be seen" }
        }
    }
}

fn summary(report: &Report) -> Markup {
    html! {
        h2.follows { "Summary" }
        div.wide { table {
            thead { tr { th { "device" } th { "associated" } th.number { "up" } th.number { "down" } th { "countries, by bytes" } th { "config pulls" } th.number { "outside bytes named" } th.number { "hidden" } } }
            tbody { @for (device, number) in report.devices.iter().take(MOST_DEVICES).zip(1..) { tr {
                td.name { a href={ "#d" (number) } { (device.title) } @if let Some(maker) = &device.maker { span.sub { (maker) } } }
                td { (span(device.coverage.associated_seconds)) span.sub { "joined " (device.coverage.associations) "×" } }
                td.number { (size(device.transmit_bytes)) }
                td.number { (size(device.receive_bytes)) }
                td.words { (countries(device)) }
                td { @if device.coverage.outside_bytes == 0 { "–" } @else if device.pull_count == 0 { "not observed" } @else { (device.pull_count) @for row in device.pulls.iter().take(2) { span.sub { (row.name) ": " (row.count) } } } }
                td.number { (share(named(device), device.coverage.outside_bytes)) }
                td.number { (share(device.coverage.hidden_bytes, device.coverage.outside_bytes)) }
            } } }
        } }
        figure { (flows::flows(&report.devices)) }
        p.legend { "Bands are as wide as their bytes outside, both directions. Towards the countries: blue is not contradicted by handshake times, hatched is refuted by them, grey is not measured." }
    }
}

fn marks(report: &Report) -> Markup {
    html! { @if !report.marks.is_empty() {
        h2.follows { "Marks" }
        p { "What somebody at the bench said happens, in the captures or in a log beside them." }
        div.wide { table {
            thead { tr { th { "time (UTC)" } th { "said" } th { "device" } th { "phase" } } }
            tbody { @for row in report.marks.iter().take(MOST_MARKS) { tr {
                td.time { (moment(&row.time)) } td.words { (row.text) } td { (row.device.as_deref().unwrap_or("all")) } td { (row.phase.unwrap_or("–")) }
            } } }
        } }
        @if report.marks.len() > MOST_MARKS { p.soft { (report.marks.len().saturating_sub(MOST_MARKS)) " more; JSON has all." } }
    } }
}

fn named(device: &Device) -> u64 {
    device.coverage.outside_bytes.saturating_sub(device.coverage.unnamed_bytes).saturating_sub(device.coverage.hidden_bytes)
}

/// The first countries of a device, with their verdicts.
fn countries(device: &Device) -> Markup {
    let outside = device.countries.iter().filter(|place| !matches!(place.code.as_str(), "local" | "multicast"));
    html! { @for (place, at) in outside.clone().take(6).zip(0..) {
        @if at > 0 { ", " }
        (place.name) " " (share(place.transmit_bytes.saturating_add(place.receive_bytes), device.coverage.outside_bytes))
        @if place.refuted_bytes > 0 { " " span.tag.refuted { (if place.consistent_bytes + place.unmeasured_bytes > 0 { "part refuted" } else { "refuted" }) } }
    } @if outside.count() > 6 { ", …" } }
}

fn rests_on(header: &Header) -> Markup {
    html! {
        h2.follows #rests { "What this rests on" }
        p { "whither " (header.whither) @if let Some(revision) = header.revision { " (" (revision) ")" } ". The same captures, settings, lists and databases give this page again, byte for byte." }
        div.wide { table {
            caption { "Captures" }
            thead { tr { th { "file" } th { "SHA-256" } th.number { "frames" } th { "first and last packet (UTC)" } th { "lost, as its writer says" } } }
            tbody { @for capture in &header.captures { tr {
                td.name { (capture.name) span.sub { (grouped(capture.bytes)) " bytes" } }
                td.mono { (capture.sha256) }
                td.number { (grouped(capture.frames))
                    @if capture.cut_frames > 0 { span.sub { (grouped(capture.cut_frames)) " cut short" } }
                    @if capture.filtered_frames > 0 { span.sub { (grouped(capture.filtered_frames)) " left out by --filter" } } }
                td { @if let (Some(first), Some(last)) = (&capture.first, &capture.last) { (moment(first)) br; (moment(last)) } }
                td.words { (capture.drops.words()) @if let Some(damage) = &capture.damage { span.sub { (damage) } } }
            } } }
        } }
        dl.facts {
            dt { "frames read" } dd { (grouped(header.frames)) @if !header.not_charged.is_empty() { "; not charged to a device: " (counts(&header.not_charged)) } }
            dt { "not readable" } dd { @if header.not_read.is_empty() { "nothing" } @else { (counts(&header.not_read)) } }
            dt { "address databases" } dd { @for (row, at) in header.databases.iter().zip(0..) { @if at > 0 { ", " } (row.name) " of " (row.built) } ". " (header.attribution) }
            dt { "the sensor stood" } dd { @match header.bench { Some([north, east]) => { (north) "° N, " (east) "° E" } None => "at a place that was not told, so no handshake was held against a country" } }
        }
        div.wide { table {
            caption { "Settings; all of them as one: SHA-256 " span.mono { (header.settings_sha256) } }
            tbody {
                @for setting in &header.settings { tr { td.name { (setting.name) } td.mono { (setting.value) } } }
            }
        } }
    }
}

fn blind(report: &Report) -> Markup {
    html! {
        h2 #blind { "What cannot be seen, and why" }
        div.wide { table {
            thead { tr { th { "blind to" } th { "what that hides" } th { "in these captures" } } }
            tbody { @for spot in &report.blind_spots { tr { td { (spot.what) } td.words { (spot.hides) } td.words { (spot.here) } } } }
        } }
        h3 { "Limits of the method" }
        ul { @for limit in &report.limits { li { (limit) } } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fixture::{self, HOSTILE};
    use crate::export::report::{Capture, Gather, Inputs, csv, draft, json, markdown};

    /// A report in which every text that somebody else may choose is chosen to do harm.
    fn hostile() -> Report {
        let mut snapshot = fixture::scrape().snapshot;
        for device in &mut snapshot.devices {
            device.hostname = Some(HOSTILE.into());
            device.vendor = Some(HOSTILE.into());
            device.notes = Some(HOSTILE.into());
        }
        for row in &mut snapshot.destinations {
            row.organisation = Some(HOSTILE.into());
            row.location = Some(std::sync::Arc::new(fixture::disputed()));
        }
        snapshot.pulls.iter_mut().for_each(|row| row.vendor = Some(HOSTILE.into()));
        let inputs = Inputs {
            captures: vec![Capture { name: crate::export::report::words::clean(HOSTILE), ..Capture::default() }],
            settings: vec![("filter".to_owned(), HOSTILE.to_owned())],
            asked: vec![HOSTILE.to_owned()],
            ..Inputs::default()
        };
        draft(inputs, &snapshot, &Gather::new(), &[])
    }

    #[test]
    fn names_that_were_chosen_to_do_harm_do_none_in_any_form() {
        let report = hostile();
        let forms = [html(&report), markdown(&report), json(&report).unwrap(), csv(&report)];
        for text in &forms {
            assert!(text.contains("u{202e}"), "the name is there: {text}");
            let hidden = |c: char| (c.is_control() && !matches!(c, '\n' | '\r')) || c == '\u{202e}';
            assert!(!text.contains(hidden), "{text:?}");
        }
        let [page, md, ..] = &forms;
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
        assert!(!page.contains("http://") && !page.contains("src=") && !page.contains("@import"), "nothing is asked for");
        let outside_spans: String = md.split('`').step_by(2).collect();
        assert!(!outside_spans.replace("\\<", "").replace("< 0.1 %", "").contains('<'), "{outside_spans}");
    }

    #[test]
    fn the_page_says_what_it_may_load_which_is_nothing() {
        let page = html(&hostile());
        assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">"), "{page}");
        assert!(page.contains("default-src 'none'; style-src 'unsafe-inline'; img-src data:"));
    }
}
