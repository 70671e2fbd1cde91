//! Pictures as SVG inside the page: a map, a flow diagram, strips of time.
//!
//! Road taken: lines, boxes and text of our own, with coordinates that are whole numbers, so that no machine's rounding shows. What a
//! colour says is also said by a shape, a pattern or a word: the colours are those of Okabe and Ito, which colour-blind readers tell
//! apart, and print loses them. Road not taken: a plotting library, which brings fonts, or scripts.

pub(super) mod flows;
pub(super) mod map;
pub(super) mod strips;

/// Not contradicted.
const BLUE: &str = "#0072b2";
/// Refuted.
const VERMILLION: &str = "#d55e00";
/// Not measured.
const GREY: &str = "#767676";

/// One colour for each device in turn.
const TURNS: [&str; 6] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#5f5f5f"];

/// The colour of a verdict.
fn colour(verdict: &str) -> &'static str {
    match verdict {
        "consistent" | "part" => BLUE,
        "refuted" => VERMILLION,
        _ => GREY,
    }
}

/// `part` of `whole` as a part of `scale`; at least 1 of what is there at all.
fn scaled(part: u64, whole: u64, scale: u64) -> u64 {
    let scaled = u128::from(part).saturating_mul(u128::from(scale)).checked_div(u128::from(whole)).unwrap_or_default();
    u64::try_from(scaled).unwrap_or(scale).max(u64::from(part > 0))
}
