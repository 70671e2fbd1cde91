//! Countries on the map, with the verdict of the handshakes.

use maud::{Markup, html};

use super::{BLUE, GREY, VERMILLION, colour};
use crate::export::report::model::{Device, Place};
use crate::export::report::words::{share, size};
use crate::export::world::{HEIGHT, WIDTH, middles, outlines, project};

/// Countries on one map.
const MOST: usize = 40;

/// The outlines of all countries, to be drawn once for a page; maps refer to it.
pub(in crate::export::report) fn world() -> Markup {
    html! { svg.once aria-hidden="true" width="0" height="0" { defs {
        path id="world" d=(outlines()) {}
    } } }
}

/// Where a device's bytes went.
pub(in crate::export::report) fn map(device: &Device, bench: Option<[f64; 2]>) -> Markup {
    let places: Vec<&Place> = device.countries.iter().filter(|place| place.code.len() == 2).take(MOST).collect();
    let bytes = |place: &Place| place.transmit_bytes.saturating_add(place.receive_bytes);
    let most = places.iter().map(|place| bytes(place)).max().unwrap_or_default();
    let middles = middles();
    // What has no outline stands at the edge.
    let spot = |place: &&Place| middles.iter().find(|(country, _)| country.as_str() == place.code).map_or((30, HEIGHT - 30), |(_, at)| *at);
    let spots: Vec<(i64, i64)> = places.iter().map(spot).collect();
    let here = bench.map(|[north, east]| project(north, east));
    let boxes: Vec<Box> = spots.iter().zip(&places).map(|((x, y), place)| around(*x, *y, radius(bytes(place), most))).collect();
    let mut labels = Vec::new();
    for ((spot, place), own) in spots.iter().zip(&places).zip(0..) {
        let text = format!("{} {}", place.code, share(bytes(place), device.coverage.outside_bytes));
        let at = label(*spot, radius(bytes(place), most), &text, own, &boxes, &labels);
        labels.extend(at.map(|at| (text, at)));
    }
    html! {
        svg.map viewBox={ "0 0 " (WIDTH as i64) " " (HEIGHT) } role="img" aria-label={ "Map of the countries that " (device.title) " sent to" } {
            rect width=(WIDTH as i64) height=(HEIGHT) fill="#f3f6f8" {}
            use href="#world" fill="#dcdcd6" stroke="#fff" stroke-width="1" {}
            @if let Some((x, y)) = here {
                @for ((to, _), place) in spots.iter().zip(0..).zip(&places) {
                    path d={ "M" (x) " " (y) "Q" (i64::midpoint(x, to.0)) " " (i64::midpoint(y, to.1) - (x - to.0).abs() / 6) " " (to.0) " " (to.1) }
                        fill="none" stroke=(colour(verdict(place))) stroke-width="2.5" stroke-opacity="0.55"
                        stroke-dasharray=[dashes(verdict(place))] {}
                }
            }
            @for ((x, y), place) in spots.iter().zip(&places) {
                (marker(*x, *y, radius(bytes(place), most), place))
            }
            @if let Some((x, y)) = here {
                @for (colour, width) in [("#fff", "8"), ("#000", "4")] {
                    path d={ "M" (x - 11) " " (y) "h22M" (x) " " (y - 11) "v22" } stroke=(colour) stroke-width=(width) { title { "the sensor" } }
                }
            }
            @for (text, at) in &labels {
                text x=(at.left + 3) y=(at.top + 25) font-size="27" stroke="#fff" stroke-width="5" paint-order="stroke" { (text) }
            }
        }
    }
}

/// What the signs on the maps mean.
pub(in crate::export::report) fn legend() -> Markup {
    let sign = |verdict: &str, words: &str| {
        html! { span.key {
            svg viewBox="0 0 44 44" width="18" height="18" aria-hidden="true" { (shape(22, 22, 15, verdict)) }
            " " (words)
        } }
    };
    html! { p.legend {
        (sign("consistent", "handshake times do not contradict the databases' country"))
        (sign("part", "they contradict it for a part of the bytes: that server is elsewhere"))
        (sign("refuted", "they contradict it: what was measured is elsewhere"))
        (sign("unmeasured", "not measured"))
        span.key { svg viewBox="0 0 44 44" width="18" height="18" aria-hidden="true" { path d="M8 22h28M22 8v28" stroke="#000" stroke-width="5" {} } " the sensor" }
        span.key { "The area of a sign grows with the bytes; the shares are of the device's bytes outside." }
    } }
}

fn marker(x: i64, y: i64, radius: i64, place: &Place) -> Markup {
    let bytes = place.transmit_bytes.saturating_add(place.receive_bytes);
    html! { g {
        title { (place.name) ": " (size(bytes)) ", refuted " (size(place.refuted_bytes)) ", not contradicted " (size(place.consistent_bytes)) }
        (shape(x, y, radius, verdict(place)))
    } }
}

/// A disc, a framed disc, a crossed square, or a ring: told apart without colour.
fn shape(x: i64, y: i64, radius: i64, verdict: &str) -> Markup {
    html! {
        @match verdict {
            "consistent" => { circle cx=(x) cy=(y) r=(radius) fill=(BLUE) fill-opacity="0.75" stroke="#fff" stroke-width="2" {} }
            "refuted" => {
                rect x=(x - radius) y=(y - radius) width=(radius * 2) height=(radius * 2) fill="#fff" fill-opacity="0.85" stroke=(VERMILLION) stroke-width="4" {}
                path d={ "M" (x - radius) " " (y - radius) "l" (radius * 2) " " (radius * 2) "m0-" (radius * 2) "l-" (radius * 2) " " (radius * 2) } stroke=(VERMILLION) stroke-width="4" {}
            }
            _ => { circle cx=(x) cy=(y) r=(radius) fill="#fff" fill-opacity="0.8" stroke=(GREY) stroke-width="4" {} }
        }
    }
}

/// The verdict on a country; `part` where one server is refuted and another is not contradicted.
fn verdict(place: &Place) -> &'static str {
    match (place.refuted_bytes, place.consistent_bytes) {
        (0, 0) => "unmeasured",
        (0, _) => "consistent",
        (_, 0) => "refuted",
        _ => "part",
    }
}

fn dashes(verdict: &str) -> Option<&'static str> {
    match verdict {
        "consistent" | "part" => None,
        "refuted" => Some("4 10"),
        _ => Some("14 10"),
    }
}

/// The area grows with the bytes.
fn radius(bytes: u64, most: u64) -> i64 {
    let share = if most == 0 { 0.0 } else { bytes as f64 / most as f64 };
    9 + (share.sqrt() * 21.0) as i64
}

/// A rectangle that text or a sign takes.
#[derive(Clone, Copy, Debug)]
struct Box {
    left: i64,
    top: i64,
    right: i64,
    bottom: i64,
}

impl Box {
    fn meets(&self, other: &Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }
}

fn around(x: i64, y: i64, radius: i64) -> Box {
    Box { left: x - radius, top: y - radius, right: x + radius, bottom: y + radius }
}

/// Room for a label beside its sign, where nothing else is; none where there is none.
fn label((x, y): (i64, i64), radius: i64, text: &str, own: usize, signs: &[Box], labels: &[(String, Box)]) -> Option<Box> {
    let (wide, high) = (text.chars().count() as i64 * 15 + 6, 32);
    let beside = [
        (x + radius + 2, y - 16),
        (x - radius - wide - 2, y - 16),
        (x - wide / 2, y - radius - high - 2),
        (x - wide / 2, y + radius + 2),
        (x + radius, y - radius - high),
        (x + radius, y + radius),
        (x - radius - wide, y - radius - high),
        (x - radius - wide, y + radius),
    ];
    beside.into_iter().map(|(left, top)| Box { left, top, right: left + wide, bottom: top + high }).find(|at| {
        let inside = at.left >= 0 && at.top >= 0 && at.right <= WIDTH as i64 && at.bottom <= HEIGHT;
        let free = !labels.iter().any(|(_, other)| at.meets(other));
        inside && free && !signs.iter().zip(0..).any(|(sign, number)| number != own && at.meets(sign))
    })
}
