//! Two sides next to each other: captures, devices, or one device before and after.
//!
//! Road taken: set arithmetic on two reports, at the level of full names, registrable domains, systems, countries and TLS fingerprints;
//! ranked by log-odds with an informative Dirichlet prior (Monroe, Colaresi, Quinn, Political Analysis 16, 2008), so that what both do
//! sinks and what one does stands out without a list of what is common. What only one side did stands with how likely the
//! other's silence was, had it done the same at the same rate. Road not taken: a distance in one number, which nobody could argue about.

mod tell;

use std::cmp::Reverse;

use serde::Serialize;

use super::model::{Device, Report};
use super::words::permille;

pub use tell::{compare_html, compare_markdown};

/// The weight of the prior: a tenth of both sides' flows, shared out as both together have them.
const PRIOR: f64 = 0.1;

/// What is told of two sides.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    pub(super) format: &'static str,
    pub(super) whither: &'static str,
    pub(super) a: Side,
    pub(super) b: Side,
    /// By level, then by how much they set the sides apart.
    pub(super) rows: Vec<Row>,
    pub(super) rhythms: Vec<RhythmRow>,
}

/// One side.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Side {
    pub(super) captures: Vec<(String, String)>,
    pub(super) devices: Vec<String>,
    pub(super) coverage: Vec<String>,
    /// Of all its devices together.
    pub(super) associated_seconds: u64,
    pub(super) transmit_bytes: u64,
    pub(super) receive_bytes: u64,
    pub(super) flows: u64,
    pub(super) config_pulls: u64,
}

/// Something that one side met, or both.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    /// `name`, `domain`, `asn`, `country`, `ja4`.
    pub(super) level: &'static str,
    pub(super) what: String,
    /// `a`, `b` or `both`.
    pub(super) on: &'static str,
    pub(super) a: Amount,
    pub(super) b: Amount,
    /// Of the log-odds, hundredths: positive where it is more of A's.
    pub(super) z_centi: i64,
    /// Where only one met it: the chance of the other's silence had it met it at the same rate, thousandths.
    pub(super) silence_permille: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Amount {
    pub(super) flows: u64,
    pub(super) bytes: u64,
    pub(super) bytes_per_hour: u64,
}

/// A rhythm that one side has and the other has not, or has otherwise.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RhythmRow {
    pub(super) destination: String,
    pub(super) a: Option<String>,
    pub(super) b: Option<String>,
}

/// Puts two reports side by side; of each, all devices that went outside.
#[must_use]
pub fn compare(a: &Report, b: &Report) -> Comparison {
    let (one, other) = (side(a), side(b));
    let mut rows = Vec::new();
    for level in LEVELS {
        rows.extend(level_rows(level, a, b, [one.associated_seconds, other.associated_seconds]));
    }
    Comparison { format: "whither-compare/1", whither: crate::export::VERSION, rhythms: rhythms(a, b), a: one, b: other, rows }
}

/// The levels in the order in which they are told.
const LEVELS: [&str; 5] = ["country", "asn", "domain", "name", "ja4"];

fn devices(report: &Report) -> impl Iterator<Item = &Device> {
    report.devices.iter().filter(|device| device.coverage.outside_bytes > 0)
}

fn side(report: &Report) -> Side {
    let sum = |of: fn(&Device) -> u64| devices(report).map(of).fold(0, u64::saturating_add);
    Side {
        captures: report.header.captures.iter().map(|capture| (capture.name.clone(), capture.sha256.clone())).collect(),
        devices: devices(report).map(|device| device.title.clone()).collect(),
        coverage: devices(report).map(|device| format!("{}: {}", device.title, device.coverage.words())).collect(),
        associated_seconds: sum(|device| device.coverage.associated_seconds),
        transmit_bytes: sum(|device| device.transmit_bytes),
        receive_bytes: sum(|device| device.receive_bytes),
        flows: sum(|device| device.flows),
        config_pulls: sum(|device| device.pull_count),
    }
}

/// What a side met at a level, sorted by it, each once.
fn met(level: &str, report: &Report) -> Vec<(String, u64, u64)> {
    let mut met: Vec<(String, u64, u64)> = Vec::new();
    for device in devices(report) {
        if level == "ja4" {
            met.extend(device.ja4.iter().map(|print| (print.ja4.clone(), print.hellos, 0)));
        }
        for row in device.destinations.iter().filter(|row| row.outside) {
            let bytes = row.transmit_bytes.saturating_add(row.receive_bytes);
            match level {
                "country" => met.push((format!("{} ({})", row.country_name, row.country), row.flows, bytes)),
                "asn" => met.extend(row.asn.map(|asn| (system(asn, row.organization.as_deref()), row.flows, bytes))),
                "domain" if row.origin != "none" => met.push((row.destination.clone(), row.flows, bytes)),
                "name" => met.extend(
                    row.names
                        .iter()
                        .filter_map(|name| Some((name.name.clone()?, name.flows, name.transmit_bytes.saturating_add(name.receive_bytes)))),
                ),
                _ => {}
            }
        }
    }
    met.sort();
    met.chunk_by(|one, other| one.0 == other.0)
        .filter_map(|same| {
            let sum = |of: fn(&(String, u64, u64)) -> u64| same.iter().map(of).fold(0, u64::saturating_add);
            Some((same.first()?.0.clone(), sum(|row| row.1), sum(|row| row.2)))
        })
        .collect()
}

fn system(asn: u32, organization: Option<&str>) -> String {
    organization.map_or_else(|| format!("AS{asn}"), |organization| format!("AS{asn} {organization}"))
}

fn level_rows(level: &'static str, a: &Report, b: &Report, seconds: [u64; 2]) -> Vec<Row> {
    let (of_a, of_b) = (met(level, a), met(level, b));
    let sum = |rows: &[(String, u64, u64)]| rows.iter().fold(0_u64, |sum, row| sum.saturating_add(row.1));
    let totals = [sum(&of_a), sum(&of_b)];
    let mut all: Vec<&String> = of_a.iter().chain(&of_b).map(|row| &row.0).collect();
    all.sort_unstable();
    all.dedup();
    let [there_a, there_b] = seconds;
    let amount = |rows: &[(String, u64, u64)], what: &String, seconds: u64| {
        let row = rows.binary_search_by(|row| row.0.cmp(what)).ok().and_then(|at| rows.get(at));
        row.map_or_else(Amount::default, |(_, flows, bytes)| Amount {
            flows: *flows,
            bytes: *bytes,
            bytes_per_hour: per_hour(*bytes, seconds),
        })
    };
    let mut rows: Vec<Row> = all
        .into_iter()
        .map(|what| {
            let (of_a, of_b) = (amount(&of_a, what, there_a), amount(&of_b, what, there_b));
            let (on, silence) = match (of_a.flows, of_b.flows) {
                (flows, 0) => ("a", silence(flows, there_a, there_b)),
                (0, flows) => ("b", silence(flows, there_b, there_a)),
                _ => ("both", None),
            };
            Row { level, what: what.clone(), on, a: of_a, b: of_b, z_centi: z(of_a.flows, of_b.flows, totals), silence_permille: silence }
        })
        .collect();
    rows.sort_by_key(|row| (Reverse(row.z_centi.unsigned_abs()), Reverse(row.a.bytes.saturating_add(row.b.bytes)))); // stable: by name
    rows
}

fn per_hour(bytes: u64, seconds: u64) -> u64 {
    permille(bytes, seconds).map_or(0, |milli| milli.saturating_mul(3_600) / 1_000)
}

/// The chance that one who is there for `other` meets nothing at the rate of `flows` in `own`, thousandths: a Poisson process.
fn silence(flows: u64, own: u64, other: u64) -> Option<u64> {
    (own > 0).then(|| ((-(flows as f64) * other as f64 / own as f64).exp() * 1000.0).round() as u64)
}

/// How far the log-odds of two shares lie apart, in standard errors, hundredths.
fn z(a: u64, b: u64, [all_a, all_b]: [u64; 2]) -> i64 {
    let (a, b, all_a, all_b) = (a as f64, b as f64, all_a as f64, all_b as f64);
    let prior = PRIOR * (all_a + all_b);
    let own = prior * (a + b) / (all_a + all_b);
    let odds = |some: f64, all: f64| ((some + own) / (all + prior - some - own)).ln();
    let z = (odds(a, all_a) - odds(b, all_b)) / (1.0 / (a + own) + 1.0 / (b + own)).sqrt();
    if z.is_finite() { (z * 100.0).round() as i64 } else { 0 }
}

fn rhythms(a: &Report, b: &Report) -> Vec<RhythmRow> {
    let of = |report: &Report| -> Vec<(String, String)> {
        let rows = devices(report).flat_map(|device| &device.rhythms);
        let mut rows: Vec<(String, String)> = rows.map(|row| (row.destination.clone(), row.words())).collect();
        rows.sort();
        rows.dedup_by(|one, other| one.0 == other.0);
        rows
    };
    let (of_a, of_b) = (of(a), of(b));
    let mut all: Vec<&String> = of_a.iter().chain(&of_b).map(|row| &row.0).collect();
    all.sort_unstable();
    all.dedup();
    let find = |rows: &[(String, String)], what: &String| rows.iter().find(|row| row.0 == *what).map(|row| row.1.clone());
    let row = |what: &String| RhythmRow { destination: what.clone(), a: find(&of_a, what), b: find(&of_b, what) };
    all.into_iter().map(row).filter(|row| row.a != row.b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_do_sinks_and_what_one_does_stands_out() {
        assert_eq!(z(50, 50, [500, 500]), 0);
        assert_eq!(z(10, 20, [500, 400]), -z(20, 10, [400, 500]));
        assert!(z(12, 0, [500, 500]) > 200 && z(0, 12, [500, 500]) < -200);
        assert!(z(12, 0, [500, 500]) > z(1, 0, [500, 500]) && z(1, 0, [500, 500]) > 0);
        assert_eq!(z(5, 0, [5, 0]), 0, "all that there is");
    }

    #[test]
    fn silence_is_as_likely_as_the_other_sides_rate_makes_it() {
        assert_eq!(silence(3, 100, 100), Some(50), "exp(-3)");
        assert_eq!((silence(1, 1_000, 1), silence(1, 0, 1)), (Some(999), None));
        assert_eq!(per_hour(1_000, 7_200), 496, "thousandths of bytes a second, rounded down");
    }
}
