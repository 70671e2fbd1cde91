//! Sizes and spans of time as a person types them: `100MB`, `24h`.

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// How large a file may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Size(
    /// Bytes, at least [`Self::LEAST`].
    pub u64,
);

impl Size {
    /// Below this a file would hold a few events only, and the older ones would soon be overwritten.
    pub const LEAST: u64 = 64 * 1000;
}

/// How old a file may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Age(
    /// At least a minute.
    pub Duration,
);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const UNITS: &[(&str, u64)] =
            &[("", 1), ("kb", 1000), ("mb", 1_000_000), ("gb", 1_000_000_000), ("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30)];
        let bytes = amount(text, UNITS).ok_or("not a size; write one like 100MB or 1GiB")?;
        if bytes < Self::LEAST { Err("too small a size: at least 64kB".to_owned()) } else { Ok(Self(bytes)) }
    }
}

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const UNITS: &[(&str, u64)] = &[("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 7 * 86_400)];
        let seconds = amount(text, UNITS).ok_or("not a span of time; write one like 24h or 7d")?;
        if seconds < 60 { Err("too short a time: at least 1m".to_owned()) } else { Ok(Self(Duration::from_secs(seconds))) }
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl TryFrom<String> for Age {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A number and its unit, whatever the case.
fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.strip_prefix(digits)?.trim();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_are_numbers_with_units() {
        let size = |text: &str| text.parse::<Size>().ok().map(|size| size.0);
        assert_eq!(["100MB", "1 GiB", "65536", "64kb"].map(size), [Some(100_000_000), Some(1 << 30), Some(65_536), Some(64_000)]);
        assert_eq!(["", "MB", "10", "-100MB", "1.5GB", "100M", "99999999999GB"].map(size), [None; 7]);
        let age = |text: &str| text.parse::<Age>().ok().map(|age| age.0.as_secs());
        assert_eq!(["24h", "7d", "90s", "2W"].map(age), [Some(86_400), Some(7 * 86_400), Some(90), Some(14 * 86_400)]);
        assert_eq!(["", "24", "0h", "1h30m", "59s"].map(age), [None; 5]);
    }
}
