//! One file for each command, and what they share.

pub(crate) mod read;
pub(crate) mod simulate;
#[cfg(feature = "live")]
pub(crate) mod watch;

use std::path::Path;

use anyhow::{Context as _, Result};
use whither::engine::geo::GeoDb;

/// The address databases: the person's before the embedded ones.
fn databases(files: &[impl AsRef<Path>]) -> Result<GeoDb> {
    let mut geo = GeoDb::embedded()?;
    for path in files {
        let path = path.as_ref();
        #[expect(clippy::disallowed_methods, reason = "only main, config, capture and export touch the world")]
        let bytes = std::fs::read(path).with_context(|| format!("cannot read the address database {}", path.display()))?;
        let name = path.file_stem().map_or_else(|| path.display().to_string(), |stem| stem.to_string_lossy().into_owned());
        geo.add(&name, bytes).with_context(|| format!("cannot use the address database {}", path.display()))?;
    }
    Ok(geo)
}
