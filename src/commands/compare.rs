//! `whither compare`: two captures, or two devices or phases of the same captures, side by side.
//!
//! Road taken: each side is a report, and what is compared is what reports say; devices and phases share one reading. A device that is called like a
//! phase goes by its MAC. Road not taken: a side
//! with a syntax of its own (file, device and time in one word), which nobody remembers.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::CommandFactory as _;
use clap::error::ErrorKind;
use whither::config::{Cli, Compare};
use whither::engine::event::Phase;
use whither::export::report::{self, Comparison};
use whither::sandbox;

use super::report::{Bench, Form, check, read, write};
use super::{Way, captures};

/// Reads both sides and writes how they differ.
pub(crate) fn run(mut asked: Compare) -> Result<()> {
    let common = std::mem::take(&mut asked.common).over_file()?;
    let outs = [&asked.html, &asked.md, &asked.json].map(Option::as_deref);
    let sides = [PathBuf::from(&asked.a), PathBuf::from(&asked.b)];
    asked.files = captures(&asked.files)?;
    check(&outs, if asked.files.is_empty() { &sides } else { &asked.files })?;
    if !asked.files.is_empty() && !asked.device.is_empty() && phases(&asked).is_none() {
        let words = "--device chooses from two captures, or for two phases (attach, idle, in-use); here the two sides are devices already";
        Cli::command().error(ErrorKind::ArgumentConflict, words).exit();
    }
    sandbox::hush(common.sandbox.unwrap_or_default())?;
    let bench = Bench { marks: asked.marks.as_deref(), within: asked.within };
    let mut readings = Vec::new();
    let told = if asked.files.is_empty() {
        let [a, b] = sides.map(|side| read(&[side], &common, &bench, &[], Way::Patient));
        let (a, b) = (a?, b?);
        let told = report::compare(&a.told(&asked.device)?, &b.told(&asked.device)?);
        readings.extend([a, b]);
        told
    } else if let Some(phases) = phases(&asked) {
        let both = read(&asked.files, &common, &bench, &[], Way::Patient)?;
        let told = both.phases(&asked.device, phases)?;
        readings.push(both);
        told
    } else {
        let both = read(&asked.files, &common, &bench, &[], Way::Patient)?;
        let told = report::compare(&both.told(std::slice::from_ref(&asked.a))?, &both.told(std::slice::from_ref(&asked.b))?);
        readings.push(both);
        told
    };
    let wanted = outs.iter().all(Option::is_none);
    let forms: [(Option<&Path>, Form<Comparison>); 3] = [
        (asked.html.as_deref(), |told| Ok(report::compare_html(told))),
        (asked.md.as_deref().or(wanted.then_some(Path::new("-"))), |told| Ok(report::compare_markdown(told))),
        (asked.json.as_deref(), |told| report::json(told)),
    ];
    write(&forms, &told)?;
    readings.into_iter().try_for_each(super::report::Reading::end)
}

/// Two phases, where both sides are called like one.
fn phases(asked: &Compare) -> Option<[Phase; 2]> {
    let phase = |side: &str| Phase::ALL.into_iter().find(|phase| phase.as_str() == side);
    Some([phase(&asked.a)?, phase(&asked.b)?])
}
