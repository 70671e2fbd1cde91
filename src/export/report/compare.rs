//! Two sides next to each other: captures, devices, phases, or one device before and after.
//!
//! Road taken: set arithmetic on two reports, at the level of full names, registrable domains, systems, countries and TLS fingerprints;
//! ranked by log-odds with an informative Dirichlet prior (Monroe, Colaresi, Quinn, Political Analysis 16, 2008), so that what both do
//! sinks and what one does stands out without a list of what is common. What only one side did stands with how likely the
//! other's silence was, had it done the same at the same rate. Road not taken: a distance in one number, which nobody could argue about.

mod facts;
mod tell;

use std::cmp::Reverse;

use serde::Serialize;

use super::gather::Gather;
use super::model::{Report, Response};
use super::words::permille;
use crate::engine::event::Phase;
use crate::engine::snapshot::Snapshot;
use facts::{Facts, Met};

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
    /// The least q of either side first.
    pub(super) responses: Vec<ResponseRow>,
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
    /// Time there by flow: the mean gap; none without flows.
    pub(super) mean_gap_seconds: Option<u64>,
}

/// A rhythm that one side has and the other has not, or has otherwise.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RhythmRow {
    pub(super) destination: String,
    /// `lost`: only A has it; `gained`: only B; `changed`.
    pub(super) change: &'static str,
    pub(super) a: Option<String>,
    pub(super) b: Option<String>,
}

/// What followed the marks of one label on either side.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ResponseRow {
    pub(super) a: Option<Response>,
    pub(super) b: Option<Response>,
}

/// Puts two reports side by side; of each, all devices that went outside.
#[must_use]
pub fn compare(a: &Report, b: &Report) -> Comparison {
    Comparison::of(Facts::of(a), Facts::of(b))
}

/// Puts two phases of the same devices side by side.
///
/// # Errors
/// The phase in which nobody was.
pub fn compare_phases(report: &Report, gather: &Gather, snapshot: &Snapshot, phases: [Phase; 2]) -> Result<Comparison, Phase> {
    let [a, b] = phases
        .map(|phase| Some(Facts::within(report, gather, snapshot, phase)).filter(|facts| facts.side.associated_seconds > 0).ok_or(phase));
    Ok(Comparison::of(a?, b?))
}

/// The levels in the order in which they are told.
const LEVELS: [&str; 5] = ["country", "asn", "domain", "name", "ja4"];

impl Comparison {
    fn of(a: Facts, b: Facts) -> Self {
        let seconds = [a.side.associated_seconds, b.side.associated_seconds];
        let mut rows = Vec::new();
        for (level, (of_a, of_b)) in LEVELS.into_iter().zip(a.met.iter().zip(&b.met)) {
            rows.extend(level_rows(level, of_a, of_b, seconds));
        }
        Self {
            format: "whither-compare/1",
            whither: crate::export::VERSION,
            rows,
            rhythms: rhythms(&a.rhythms, &b.rhythms),
            responses: responses(&a.responses, &b.responses),
            a: a.side,
            b: b.side,
        }
    }
}

fn level_rows(level: &'static str, of_a: &[Met], of_b: &[Met], seconds: [u64; 2]) -> Vec<Row> {
    let sum = |rows: &[Met]| rows.iter().fold(0_u64, |sum, row| sum.saturating_add(row.1));
    let totals = [sum(of_a), sum(of_b)];
    let mut all: Vec<&String> = of_a.iter().chain(of_b).map(|row| &row.0).collect();
    all.sort_unstable();
    all.dedup();
    let [there_a, there_b] = seconds;
    let amount = |rows: &[Met], what: &String, seconds: u64| {
        let row = rows.binary_search_by(|row| row.0.cmp(what)).ok().and_then(|at| rows.get(at));
        row.map_or_else(Amount::default, |(_, flows, bytes)| Amount {
            flows: *flows,
            bytes: *bytes,
            bytes_per_hour: per_hour(*bytes, seconds),
            mean_gap_seconds: seconds.checked_div(*flows),
        })
    };
    let mut rows: Vec<Row> = all
        .into_iter()
        .map(|what| {
            let (of_a, of_b) = (amount(of_a, what, there_a), amount(of_b, what, there_b));
            let (on, silence) = match (of_a.is_none(), of_b.is_none()) {
                (false, true) => ("a", silence(of_a.flows, there_a, there_b)),
                (true, false) => ("b", silence(of_b.flows, there_b, there_a)),
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
    (own > 0 && flows > 0).then(|| ((-(flows as f64) * other as f64 / own as f64).exp() * 1000.0).round() as u64)
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

fn rhythms(of_a: &[(String, String)], of_b: &[(String, String)]) -> Vec<RhythmRow> {
    let mut all: Vec<&String> = of_a.iter().chain(of_b).map(|row| &row.0).collect();
    all.sort_unstable();
    all.dedup();
    let find = |rows: &[(String, String)], what: &String| rows.iter().find(|row| row.0 == *what).map(|row| row.1.clone());
    let row = |what: &String| {
        let (a, b) = (find(of_a, what), find(of_b, what));
        let change = match (&a, &b) {
            (Some(_), None) => "lost",
            (None, _) => "gained",
            _ => "changed",
        };
        RhythmRow { destination: what.clone(), change, a, b }
    };
    all.into_iter().map(row).filter(|row| row.a != row.b).collect()
}

fn responses(of_a: &[Response], of_b: &[Response]) -> Vec<ResponseRow> {
    let key = |row: &Response| (row.label.clone(), row.destination.clone());
    // Of several devices the clearest counts.
    let find = |rows: &[Response], what: &(String, String)| {
        rows.iter().filter(|row| key(row) == *what).min_by_key(|row| row.q_millionths).cloned()
    };
    let mut all: Vec<(String, String)> = of_a.iter().chain(of_b).map(key).collect();
    all.sort_unstable();
    all.dedup();
    let mut rows: Vec<ResponseRow> = all.iter().map(|what| ResponseRow { a: find(of_a, what), b: find(of_b, what) }).collect();
    rows.sort_by_key(ResponseRow::least); // stable
    rows
}

impl Amount {
    /// Of a flow that began in another phase there are bytes alone.
    fn is_none(&self) -> bool {
        self.flows == 0 && self.bytes == 0
    }
}

impl ResponseRow {
    fn either(&self) -> impl Iterator<Item = &Response> {
        self.a.iter().chain(&self.b)
    }

    fn least(&self) -> u64 {
        self.either().map(|response| response.q_millionths).min().unwrap_or(u64::MAX)
    }
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
