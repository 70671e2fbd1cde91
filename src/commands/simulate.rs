//! `whither simulate`: the lab run with known truth.

use anyhow::{Result, bail};
use whither::config::Simulate;

/// Writes the capture and its truth.
pub(crate) fn run(_asked: &Simulate) -> Result<()> {
    bail!("not merged yet")
}
