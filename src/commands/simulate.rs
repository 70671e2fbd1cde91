//! `whither simulate`: the lab run with known truth, and the log of what its users did.

use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use whither::config::Simulate;
use whither::simulate::{Plan, write};

/// Writes the capture, its truth and its marks.
pub(crate) fn run(asked: &Simulate) -> Result<()> {
    let (truth_path, marks_path) = (asked.out.with_extension("truth.json"), asked.out.with_extension("marks"));
    let plan = Plan { seed: asked.seed, hours: asked.hours, ..Plan::default() };
    let mut out = BufWriter::new(create(&asked.out)?);
    let truth = write(&plan, &mut out).with_context(|| format!("cannot write {}", asked.out.display()))?;
    out.flush().with_context(|| format!("cannot write {}", asked.out.display()))?;
    serde_json::to_writer_pretty(create(&truth_path)?, &truth).with_context(|| format!("cannot write {}", truth_path.display()))?;
    create(&marks_path)?.write_all(truth.marks().as_bytes()).with_context(|| format!("cannot write {}", marks_path.display()))?;
    eprintln!(
        "whither: {} holds a simulated lab run (no phone was measured), {} its truth, {} what the users did",
        asked.out.display(),
        truth_path.display(),
        marks_path.display()
    );
    Ok(())
}

#[expect(clippy::disallowed_types, reason = "only main, config, capture and export touch the world")]
fn create(path: &Path) -> Result<std::fs::File> {
    std::fs::File::create(path).with_context(|| format!("cannot make {}", path.display()))
}
