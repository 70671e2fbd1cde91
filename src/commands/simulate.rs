//! `whither simulate`: the lab run with known truth.

use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context as _, Result};
use whither::config::Simulate;
use whither::simulate::{Plan, write};

/// Writes the capture and its truth.
pub(crate) fn run(asked: &Simulate) -> Result<()> {
    let truth_path = asked.out.with_extension("truth.json");
    let plan = Plan { seed: asked.seed, hours: asked.hours, ..Plan::default() };
    let mut out = BufWriter::new(create(&asked.out)?);
    let truth = write(&plan, &mut out).with_context(|| format!("cannot write {}", asked.out.display()))?;
    std::io::Write::flush(&mut out).with_context(|| format!("cannot write {}", asked.out.display()))?;
    serde_json::to_writer_pretty(create(&truth_path)?, &truth).with_context(|| format!("cannot write {}", truth_path.display()))?;
    eprintln!("whither: {} holds a simulated lab run (no phone was measured), {} its truth", asked.out.display(), truth_path.display());
    Ok(())
}

#[expect(clippy::disallowed_types, reason = "only main, config, capture and export touch the world")]
fn create(path: &Path) -> Result<std::fs::File> {
    std::fs::File::create(path).with_context(|| format!("cannot make {}", path.display()))
}
