//! When a device met its destinations: a strip of time for each.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::export::report::model::{Strip, Timeline};
use crate::export::report::words::{cut, size};
use crate::export::rfc3339;

/// Units: where strips begin and end, and how high they are.
const LEFT: i64 = 262;
const RIGHT: i64 = 920;
const ROW: i64 = 19;
const HEAD: i64 = 34;
/// Letters before a strip.
const LETTERS: usize = 38;
/// Strips drawn: those of a listed purpose first to stay.
const MOST: usize = 32;
/// Marks drawn.
const MOST_MARKS: usize = 200;
/// Marks of one device that have a line through its strips.
const MOST_LINES: usize = 16;
/// Distances of labels on the axis, seconds.
const STEPS: [u64; 16] = [10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000];

/// The picture; nothing where there is no time.
pub(in crate::export::report) fn strips(timeline: &Timeline) -> Markup {
    let span = timeline.seconds.max(1);
    let (shown, left_out) = shown(&timeline.strips);
    if shown.is_empty() {
        return html! {};
    }
    let bottom = HEAD + ROW * shown.len() as i64;
    let x = |seconds: u64| LEFT + super::scaled(seconds.min(span), span, (RIGHT - LEFT) as u64) as i64;
    let moments = moments(timeline.begin, span);
    html! {
        svg.strips viewBox={ "0 0 1000 " (bottom + 8) } role="img" aria-label="When each destination was met" {
            @for (after, words) in &moments {
                path d={ "M" (x(*after)) " " (HEAD - 6) "V" (bottom) } stroke="#ddd" {}
                text x=(x(*after)) y=(HEAD - 10) font-size="11" fill="#444" text-anchor="middle" { (words) }
            }
            // Below the bars, and only a few of them: two hundred lines would be a curtain.
            @if timeline.marks.len() <= MOST_LINES {
                @for (after, _) in &timeline.marks { path d={ "M" (x(*after)) " " (HEAD) "V" (bottom) } stroke="#888" {} }
            }
            @for (strip, row) in shown.iter().zip(0..) {
                @let y = HEAD + ROW * row;
                path d={ "M0 " (y) "H1000" } stroke="#eee" {}
                text x=(LEFT - 6) y=(y + 14) font-size="12" text-anchor="end" {
                    @let purpose = purpose(strip);
                    (cut(&strip.destination, LETTERS.saturating_sub(purpose.chars().count()))) " " tspan fill="#555" { (purpose) }
                }
                path d=(bars(strip, timeline, span, y + ROW - 2)) fill="#0072b2" {}
                text x=(RIGHT + 6) y=(y + 14) font-size="12" fill="#444" { (size(strip.bytes)) }
            }
            @for (from, to, phase) in &timeline.phases {
                rect x=(x(*from)) y=(HEAD - 6) width=((x(*to) - x(*from)).max(1)) height="6" fill=(colour(phase)) { title { (phase) } }
            }
            @for (after, words) in timeline.marks.iter().take(MOST_MARKS) {
                path d={ "M" (x(*after)) " " (HEAD - 3) "l3 3l-3 3l-3 -3z" } fill="#000" { title { (words) } }
            }
            @for joined in &timeline.joins {
                path d={ "M" (x(*joined)) " " (HEAD - 6) "V" (bottom) } stroke="#d55e00" stroke-width="1.2" stroke-dasharray="3 3" { title { "joined" } }
                path d={ "M" (x(*joined) - 4) " " (HEAD - 7) "h8l-4 7z" } fill="#d55e00" {}
            }
        }
        p.legend {
            "Times are UTC. A bar is as high as the bytes of its moment: up to 1 kB, 10 kB, 100 kB, more. "
            @if !timeline.joins.is_empty() { span.joined { "▼ ┆" } " the device joined the access point. " }
            @if !timeline.phases.is_empty() {
                @for phase in ["attach", "in-use", "idle"] { span.key { span.swatch style={ "background:" (colour(phase)) } {} (phase) } }
            }
            @if !timeline.marks.is_empty() { "◆ a mark. " }
            @if timeline.marks.len() > MOST_MARKS { "Only the first " (MOST_MARKS) " marks are drawn. " }
            @if left_out > 0 { (left_out) " more destinations have no strip here; JSON has all." }
        }
    }
}

/// The colour of a phase, which colour-blind readers tell apart too, by its lightness.
fn colour(phase: &str) -> &'static str {
    match phase {
        "attach" => "#e69f00",
        "in-use" => "#005a46",
        _ => "#cfd8dc",
    }
}

/// What it is for, and where.
fn purpose(strip: &Strip) -> String {
    let unsure = if strip.ambiguous { "?" } else { "" };
    strip.category.map_or_else(|| strip.country.clone(), |category| format!("{category}{unsure} {}", strip.country))
}

/// The largest strips, and every one of a purpose that decides what a device does; in their order.
fn shown(strips: &[Strip]) -> (Vec<&Strip>, usize) {
    let decides = |strip: &&Strip| !strip.ambiguous && matches!(strip.category, Some("config" | "region_routing"));
    let room = MOST.saturating_sub(strips.iter().filter(decides).take(MOST).count());
    let mut others = 0;
    let shown: Vec<&Strip> = strips
        .iter()
        .filter(|strip| {
            others += usize::from(!decides(strip));
            decides(strip) || others <= room
        })
        .take(MOST)
        .collect();
    let left_out = strips.len().saturating_sub(shown.len());
    (shown, left_out)
}

/// One bar for each bin, one piece for neighbours of one height.
fn bars(strip: &Strip, timeline: &Timeline, span: u64, base: i64) -> String {
    let edge = |bin: usize| {
        let seconds = timeline.bin_seconds.saturating_mul(bin as u64).min(span);
        LEFT + super::scaled(seconds, span, (RIGHT - LEFT) as u64) as i64
    };
    let height = |bytes: u64| match bytes {
        0..1_000 => 4,
        1_000..10_000 => 8,
        10_000..100_000 => 12,
        _ => 16,
    };
    let mut path = String::new();
    let mut bins = strip.bins.iter().peekable();
    while let Some((at, _, bytes)) = bins.next() {
        let mut end = at + 1;
        while bins.next_if(|(next, _, more)| *next == end && height(*more) == height(*bytes)).is_some() {
            end += 1;
        }
        let (left, high) = (edge(*at), height(*bytes));
        let wide = (edge(end) - left).max(2);
        // Writing to a String cannot fail.
        let _ = write!(path, "M{left} {base}v-{high}h{wide}v{high}z");
    }
    path
}

/// Round moments on the axis: seconds after the begin, and what they are called.
fn moments(begin: u64, span: u64) -> Vec<(u64, String)> {
    let step = STEPS.into_iter().find(|step| span / step <= 10).unwrap_or(STEPS[15]);
    let first = begin / 1_000_000_000;
    let mut at = first.div_ceil(step).saturating_mul(step);
    let mut moments = Vec::new();
    while at.saturating_sub(first) <= span && moments.len() < 64 {
        let text = rfc3339(at.saturating_mul(1_000_000_000), 0);
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default().to_owned();
        let words = match (step, at % 86_400) {
            (_, 0) => part(5, 10),
            (0..60, _) => part(11, 19),
            _ => part(11, 16),
        };
        moments.push((at.saturating_sub(first), words));
        at = at.saturating_add(step);
    }
    moments
}
