//! The report: what is known of each device at the end of some captures, with what that rests on and what it cannot show.
//!
//! Road taken: one model, made once of the engine's snapshot and of what [`gather::Gather`] kept of its events, in which every text
//! from outside is printable and every list is in its order; four small writers put it into HTML, Markdown, JSON and CSV. Nothing of
//! the day, the machine, its language or its time zone comes near it, so the same captures and settings give the same bytes.
//! Roads not taken: a template for each device that asks the engine, which could tell two stories; pictures by a plotting library,
//! which brings fonts and bitmaps where lines and boxes do.

mod absence;
mod blind;
mod compare;
mod csv;
mod draft;
mod gather;
mod html;
mod markdown;
mod model;
mod phases;
mod picture;
mod response;
mod said;
mod unmet;
mod words;

pub use compare::{Comparison, compare, compare_html, compare_markdown, compare_phases};
pub use csv::csv;
pub use draft::draft;
pub use gather::{Gather, Mark};
pub use html::html;
pub use markdown::markdown;
pub use model::{Capture, Drops, Inputs, Listing, Report};
pub use phases::{By, Phases, Span};
pub use said::phases;
pub use unmet::can_be_asked;

/// A report, or a comparison, as JSON, one object.
///
/// # Errors
/// Never: structs of text and numbers always serialise.
pub fn json(told: &impl serde::Serialize) -> Result<String, String> {
    let mut text = serde_json::to_string_pretty(told).map_err(|error| error.to_string())?;
    text.push('\n');
    Ok(text)
}
