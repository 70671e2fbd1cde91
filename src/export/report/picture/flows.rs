//! Bytes from device to autonomous system to country, as bands as wide as their share.

use std::cmp::Reverse;

use maud::{Markup, html};

use super::{BLUE, GREY, TURNS, VERMILLION, scaled};
use crate::export::report::model::Device;
use crate::export::report::words::{cut, size};

/// Units.
const WIDTH: i64 = 1_000;
const HEIGHT: u64 = 420;
const GAP: i64 = 16;
/// Left edges of the three columns, and their width.
const COLUMNS: [i64; 3] = [180, 470, 825];
const BAR: i64 = 14;
/// Devices, systems and countries drawn; the rest is one band more.
const MOST: [usize; 3] = [8, 12, 10];

/// One way of bytes.
#[derive(Clone, Debug)]
struct Way {
    stops: [String; 3],
    verdict: &'static str,
    bytes: u64,
}

/// A stop: its name, its bytes, where it begins, and its height.
#[derive(Clone, Debug)]
struct Stop {
    name: String,
    bytes: u64,
    top: i64,
    high: i64,
}

/// The picture; nothing where nothing went outside.
pub(in crate::export::report) fn flows(devices: &[Device]) -> Markup {
    let mut ways: Vec<Way> = devices.iter().flat_map(ways).collect();
    let columns: Vec<Vec<Stop>> = (0..3).map(|column| stops(&mut ways, column)).collect();
    let total = ways.iter().fold(0_u64, |sum, way| sum.saturating_add(way.bytes));
    let bottom = columns.iter().flatten().map(|stop| stop.top + stop.high).max().unwrap_or_default();
    if total == 0 {
        return html! {};
    }
    html! {
        svg.flows viewBox={ "0 0 " (WIDTH) " " (bottom + 30) } role="img" aria-label="Bytes from each device to each autonomous system and country" {
            defs { pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                rect width="7" height="7" fill="#fff" {}
                rect width="4" height="7" fill=(VERMILLION) {}
            } }
            @for (x, head) in COLUMNS.iter().zip(["device", "autonomous system", "country by the databases"]) {
                text x=(x) y="14" font-size="12" fill="#444" font-weight="bold" { (head) }
            }
            (bands(&ways, &columns, 0, total))
            (bands(&ways, &columns, 1, total))
            @for (stops, (x, column)) in columns.iter().zip(COLUMNS.iter().zip(0..)) {
                @for stop in stops {
                    rect x=(x) y=(stop.top) width=(BAR) height=(stop.high) fill="#222" {}
                    @let left = column == 0;
                    text x=(if left { x - 5 } else { x + BAR + 5 }) y=(stop.top + stop.high / 2 + 4) font-size="12"
                        text-anchor=(if left { "end" } else { "start" }) stroke="#fff" stroke-width="3" paint-order="stroke" {
                        @match column {
                            0 => { (cut(&stop.name, 24)) tspan fill="#444" x=(x - 5) dy="14" { (size(stop.bytes)) } }
                            1 => { (cut(&stop.name, 34)) " " tspan fill="#444" { (size(stop.bytes)) } }
                            _ => { (cut(&stop.name, 14)) " " tspan fill="#444" { (size(stop.bytes)) } }
                        }
                    }
                }
            }
        }
    }
}

fn ways(device: &Device) -> Vec<Way> {
    let outside = device.destinations.iter().filter(|row| row.outside);
    outside
        .flat_map(|row| {
            let system = match (&row.organization, row.asn) {
                (Some(organization), Some(asn)) => format!("AS{asn} {organization}"),
                (_, Some(asn)) => format!("AS{asn}"),
                _ => "no known system".to_owned(),
            };
            let stops = [device.hostname.clone().unwrap_or_else(|| device.id.clone()), system, row.country_name.clone()];
            [("unmeasured", row.unmeasured_bytes), ("consistent", row.consistent_bytes), ("refuted", row.refuted_bytes)]
                .map(|(verdict, bytes)| Way { stops: stops.clone(), verdict, bytes })
        })
        .filter(|way| way.bytes > 0)
        .collect()
}

/// The stops of a column, the largest first; what is past the most is renamed to one stop.
fn stops(ways: &mut [Way], column: usize) -> Vec<Stop> {
    let name = |way: &Way| way.stops.get(column).cloned().unwrap_or_default();
    let mut sums: Vec<(String, u64)> = Vec::new();
    for way in ways.iter() {
        match sums.iter_mut().find(|(known, _)| *known == name(way)) {
            Some((_, sum)) => *sum = sum.saturating_add(way.bytes),
            None => sums.push((name(way), way.bytes)),
        }
    }
    sums.sort_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
    let most = MOST.get(column).copied().unwrap_or_default();
    let rest = sums.split_off(sums.len().min(most));
    if !rest.is_empty() {
        let others = format!("{} others", rest.len());
        for way in ways.iter_mut() {
            if let Some(stop) = way.stops.get_mut(column).filter(|stop| rest.iter().any(|(name, _)| name == *stop)) {
                stop.clone_from(&others);
            }
        }
        sums.push((others, rest.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))));
    }
    let total = sums.iter().fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
    let mut top = 24;
    sums.into_iter()
        .map(|(name, bytes)| {
            let stop = Stop { name, bytes, top, high: scaled(bytes, total, HEIGHT) as i64 };
            top += stop.high + GAP;
            stop
        })
        .collect()
}

/// The bands from one column to the next, in the order of both.
fn bands(ways: &[Way], columns: &[Vec<Stop>], from: usize, total: u64) -> Markup {
    let (Some(starts), Some(ends)) = (columns.get(from), columns.get(from + 1)) else { return html! {} };
    let place = |stops: &[Stop], name: Option<&String>| stops.iter().position(|stop| Some(&stop.name) == name).unwrap_or_default();
    let verdict = |way: &Way| if from == 0 { "" } else { way.verdict };
    let key = |way: &Way| (place(starts, way.stops.get(from)), place(ends, way.stops.get(from + 1)), verdict(way));
    let mut sorted: Vec<&Way> = ways.iter().collect();
    sorted.sort_by_key(|way| key(way));
    let mut left: Vec<i64> = starts.iter().map(|stop| stop.top).collect();
    let mut right: Vec<i64> = ends.iter().map(|stop| stop.top).collect();
    let (Some(x), Some(to)) = (COLUMNS.get(from), COLUMNS.get(from + 1)) else { return html! {} };
    let (x, middle) = (x + BAR, i64::midpoint(x + BAR, *to));
    html! {
        @for band in sorted.chunk_by(|one, other| key(one) == key(other)) {
            @if let Some(first) = band.first() {
                @let (start, end, verdict) = key(first);
                @let bytes = band.iter().fold(0_u64, |sum, way| sum.saturating_add(way.bytes));
                @let high = scaled(bytes, total, HEIGHT) as i64;
                @let one = advance(&mut left, start, high);
                @let other = advance(&mut right, end, high);
                path d={ "M" (x) " " (one) "C" (middle) " " (one) " " (middle) " " (other) " " (to) " " (other) "v" (high)
                    "C" (middle) " " (other + high) " " (middle) " " (one + high) " " (x) " " (one + high) "z" }
                    fill=(fill(start, verdict)) fill-opacity=(if verdict == "refuted" { "0.9" } else { "0.45" }) {
                    title { (starts.get(start).map(|stop| stop.name.as_str()).unwrap_or_default()) " → " (ends.get(end).map(|stop| stop.name.as_str()).unwrap_or_default()) ": " (size(bytes)) " " (verdict) }
                }
            }
        }
    }
}

/// Where a band begins at a stop; the next one begins below it.
fn advance(tops: &mut [i64], stop: usize, high: i64) -> i64 {
    let Some(top) = tops.get_mut(stop) else { return 0 };
    let here = *top;
    *top += high;
    here
}

/// Bands leave a device in its colour, and reach a country in that of the verdict.
fn fill(device: usize, verdict: &str) -> &'static str {
    match verdict {
        "" => TURNS.get(device % TURNS.len()).copied().unwrap_or(GREY),
        "refuted" => "url(#hatch)",
        "consistent" => BLUE,
        _ => GREY,
    }
}
