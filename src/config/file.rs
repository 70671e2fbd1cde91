//! The configuration file: TOML with the names of flags as keys.
//!
//! Road taken: an unknown key is an error that names the nearest one, since a misspelt setting that is passed over is not noticed for weeks.

use std::path::Path;

use anyhow::{Result, anyhow, bail};

use super::Common;

/// The settings of a file, of which `path` is told in errors.
///
/// # Errors
/// What is wrong with it, where, and for an unknown key the nearest one there is.
pub fn parse(text: &str, path: &Path) -> Result<Common> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        anyhow!("{}, line {}: not TOML: {}", path.display(), before.split('\n').count(), words(error.message()))
    })?;
    for key in table.keys() {
        if !KEYS.contains(&key.as_str()) {
            bail!("{}: there is no setting `{key}`; did you mean `{}`?", path.display(), nearest(KEYS, key));
        }
    }
    let wrong = |error: toml::de::Error| anyhow!("a setting in {} is not what it should be: {}", path.display(), words(&error.to_string()));
    let common: Common = table.try_into().map_err(wrong)?;
    for (key, given, most) in
        [("workers", common.workers.map(u16::from), MOST_WORKERS.into()), ("events-keep", common.events_keep, MOST_KEPT)]
    {
        if given.is_some_and(|number| number == 0 || number > most) {
            bail!("{}: `{key}` is a number from 1 to {most}", path.display());
        }
    }
    Ok(common)
}

/// Engines that may share a capture: more have been tried nowhere.
pub(super) const MOST_WORKERS: u8 = 16;
/// Older files of events that may stay: their number is in their names.
pub(super) const MOST_KEPT: u16 = 9_999;

/// Of the keys there are, the one that was meant.
pub(crate) fn nearest(keys: &[&'static str], key: &str) -> &'static str {
    let nearest = keys.iter().max_by(|a, b| strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key)));
    nearest.copied().unwrap_or_default()
}

/// An error of several lines in one.
pub(crate) fn words(error: &str) -> String {
    error.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[rustfmt::skip] // one to a line: others are added beside them
pub(super) const KEYS: &[&str] = &[
    "devices",
    "geoip",
    "watchlist",
    "local-net",
    "location",
    "by-address",
    "events",
    "events-max-size",
    "events-max-age",
    "events-keep",
    "sensor",
    "state",
    "learning",
    "record",
    "record-max-size",
    "record-max-age",
    "record-max-total",
    "record-headers",
    "record-device",
    "mark-pipe",
    "filter",
    "listen",
    "web-config-file",
    "snaplen",
    "buffer",
    "workers",
    "user",
    "sandbox",
];
