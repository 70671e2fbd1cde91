//! A comparison as Markdown and as a page.

use std::fmt::Write as _;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Amount, Comparison, LEVELS, Response, RhythmRow, Row, Side};
use crate::export::report::markdown::{code, plain};
use crate::export::report::words::{chance, grouped, percent, size, span, span_ms};

/// Rows of each level; JSON has all.
const MOST: usize = 100;
/// What the numbers mean, under both.
const NOTE: &str = "z is the difference of the log-odds in standard errors, by flows (hellos for ja4): positive where it is more of A's. \
Beyond 2 in either way is unusual, but there are many rows. Silence is the chance that the side without it would have met nothing had it met it \
as often by the hour as the other: a small one says that the difference is no accident of watching. One in: the time there by flow, their mean gap.";

/// As Markdown. Writing to a String cannot fail.
#[must_use]
pub fn compare_markdown(told: &Comparison) -> String {
    let mut out = String::from("# Two sides compared\n\n| | A | B |\n|---|---|---|\n");
    for (what, of) in SIDES {
        let _ = writeln!(out, "| {what} | {} | {} |", plain(&of(&told.a)), plain(&of(&told.b)));
    }
    for level in LEVELS {
        let rows: Vec<&Row> = told.rows.iter().filter(|row| row.level == level).collect();
        let _ = writeln!(
            out,
            "\n## {}\n\n| on | what | z | silence | A flows | A one in | A bytes/h | B flows | B one in | B bytes/h |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
            head(level, &rows)
        );
        for row in rows.iter().take(MOST) {
            let (a, b) = (cells(&row.a).join(" | "), cells(&row.b).join(" | "));
            let _ = writeln!(out, "| {} | {} | {} | {} | {a} | {b} |", on(row), code(&row.what), z(row), silence(row));
        }
        if rows.len() > MOST {
            let _ = writeln!(out, "\n{} more; JSON has all.", rows.len().saturating_sub(MOST));
        }
    }
    if !told.rhythms.is_empty() {
        let _ = writeln!(out, "\n## Rhythm: {}\n\n| is | destination | A | B |\n|---|---|---|---|", turned(told));
        for RhythmRow { destination, change, a, b } in &told.rhythms {
            let word = |side: &Option<String>| side.as_deref().map_or_else(|| "none".to_owned(), plain);
            let _ = writeln!(out, "| {change} | {} | {} | {} |", code(destination), word(a), word(b));
        }
    }
    if !told.responses.is_empty() {
        let _ = writeln!(out, "\n## After the marks\n\n| mark | destination | A | B |\n|---|---|---|---|");
        for (label, destination, a, b) in told.followed() {
            let _ = writeln!(out, "| {} | {} | {a} | {b} |", code(label), code(destination));
        }
        let _ = writeln!(out, "\n{}", told.left_out());
    }
    let _ = writeln!(out, "\n{NOTE}");
    out
}

/// As one page that needs nothing beside it.
#[must_use]
pub fn compare_html(told: &Comparison) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:";
                link rel="icon" href="data:,";
                title { "Two sides compared" }
                style { (PreEscaped(include_str!("../style.css"))) }
            }
            body {
                h1 { "Two sides compared" }
                div.wide { table {
                    thead { tr { th { } th { "A" } th { "B" } } }
                    tbody { @for (what, of) in SIDES { tr { td { (what) } td.name { (of(&told.a)) } td.name { (of(&told.b)) } } } }
                } }
                @for level in LEVELS { (table(level, &told.rows.iter().filter(|row| row.level == level).collect::<Vec<_>>())) }
                @if !told.rhythms.is_empty() {
                    h2.follows { "Rhythm: " (turned(told)) }
                    div.wide { table {
                        thead { tr { th { "is" } th { "destination" } th { "A" } th { "B" } } }
                        tbody { @for row in &told.rhythms { tr {
                            td { span.tag { (row.change) } } td.name { (row.destination) } td.words { (row.a.as_deref().unwrap_or("none")) } td.words { (row.b.as_deref().unwrap_or("none")) }
                        } } }
                    } }
                }
                @if !told.responses.is_empty() {
                    h2.follows { "After the marks" }
                    div.wide { table {
                        thead { tr { th { "mark" } th { "destination" } th { "A" } th { "B" } } }
                        tbody { @for (label, destination, a, b) in told.followed() { tr { td.name { (label) } td.name { (destination) } td.words { (a) } td.words { (b) } } } }
                    } }
                    p.soft { (told.left_out()) }
                }
                p.note { (NOTE) }
            }
        }
    };
    let mut text = page.into_string();
    text.push('\n');
    text
}

fn table(level: &str, rows: &[&Row]) -> Markup {
    html! {
        h2.follows { (head(level, rows)) }
        div.wide { table {
            thead { tr { th { "on" } th { "what" } th.number { "z" } th.number { "silence" } th.number { "A flows" } th.number { "A one in" } th.number { "A by the hour" } th.number { "B flows" } th.number { "B one in" } th.number { "B by the hour" } } }
            tbody { @for row in rows.iter().take(MOST) { tr {
                td { span.tag { (on(row)) } } td.name { (row.what) } td.number { (z(row)) } td.number { (silence(row)) }
                @for cell in cells(&row.a).into_iter().chain(cells(&row.b)) { td.number { (cell) } }
            } } }
        } }
        @if rows.len() > MOST { p.soft { (rows.len() - MOST) " more; JSON has all." } }
    }
}

fn turned(told: &Comparison) -> String {
    let of = |change: &str| told.rhythms.iter().filter(|row| row.change == change).count();
    format!("{} lost (only A), {} gained (only B), {} changed", of("lost"), of("gained"), of("changed"))
}

impl Comparison {
    /// Label, destination and what either side shows, where one of them stands out.
    fn followed(&self) -> impl Iterator<Item = (&str, &str, String, String)> {
        let words = |side: &Option<Response>| {
            side.as_ref().map_or_else(
                || "no flow followed".to_owned(),
                |row| {
                    let (p, q) = (chance(row.p_millionths), chance(row.q_millionths));
                    let bytes = format!("{}, {} by chance (lift {})", size(row.bytes), size(row.expected_bytes), row.lift());
                    format!("{} of {} marks, {} after; {bytes}; p {p}, q {q}", row.answered, row.marks, span_ms(row.median_delay_ms))
                },
            )
        };
        let stands = self.responses.iter().filter(|row| row.either().any(Response::stands)).take(MOST);
        stands.filter_map(move |row| {
            let one = row.either().next()?;
            Some((one.label.as_str(), one.destination.as_str(), words(&row.a), words(&row.b)))
        })
    }

    fn left_out(&self) -> String {
        let rest = self.responses.len().saturating_sub(self.followed().count());
        format!(
            "{} more destinations followed some mark, and no more than chance has it (q above 0.05); JSON has them.",
            grouped(rest as u64)
        )
    }
}

type Of = fn(&Side) -> String;

/// What is told of each side.
const SIDES: [(&str, Of); 8] = [
    ("captures", |side| side.captures.iter().map(|(name, sha256)| format!("{name}, SHA-256 {sha256}")).collect::<Vec<_>>().join("; ")),
    ("devices", |side| side.devices.join("; ")),
    ("associated, all devices", |side| span(side.associated_seconds)),
    ("up", |side| size(side.transmit_bytes)),
    ("down", |side| size(side.receive_bytes)),
    ("flows", |side| grouped(side.flows)),
    ("config pulls", |side| if side.config_pulls == 0 { "not observed, see coverage".to_owned() } else { side.config_pulls.to_string() }),
    ("coverage", |side| side.coverage.join("; ")),
];

fn head(level: &str, rows: &[&Row]) -> String {
    let on = |on: &str| rows.iter().filter(|row| row.on == on).count();
    let words = match level {
        "country" => "Countries",
        "asn" => "Autonomous systems",
        "domain" => "Domains",
        "name" => "Names",
        _ => "TLS fingerprints (JA4)",
    };
    format!("{words}: {} only A, {} only B, {} both", on("a"), on("b"), on("both"))
}

fn on(row: &Row) -> &'static str {
    match row.on {
        "a" => "only A",
        "b" => "only B",
        _ => "both",
    }
}

fn z(row: &Row) -> String {
    let centi = row.z_centi.unsigned_abs();
    format!("{}{}.{:02}", if row.z_centi < 0 { "−" } else { "" }, centi / 100, centi % 100)
}

fn silence(row: &Row) -> String {
    match row.silence_permille {
        None => "–".to_owned(),
        Some(0) => "< 0.1 %".to_owned(),
        Some(permille) => percent(permille),
    }
}

/// Flows, the mean gap between them, bytes by the hour.
fn cells(amount: &Amount) -> [String; 3] {
    let gap = amount.mean_gap_seconds.map_or_else(|| "–".to_owned(), span);
    if amount.is_none() {
        return ["–", "–", "–"].map(str::to_owned);
    }
    [grouped(amount.flows), gap, if amount.bytes == 0 { "–".to_owned() } else { size(amount.bytes_per_hour) }]
}
