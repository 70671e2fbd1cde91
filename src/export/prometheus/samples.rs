//! The samples of one family, before they become the crate's.
//!
//! Road taken: the label values of all samples in one text, sorted by index, since rows come sorted but for a few, and handed to the
//! crate's encoder one family after the other, so that only one stands in memory. Road not taken: writing the text here, which
//! took a third of the instructions, and would be a second implementation of an exposition format that the crate keeps.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::{Family, filled};
use crate::export::printable;

/// Stands between two values of one sample. It sorts before all that a value may have in it, so that whole keys compare like their
/// values one by one.
const BETWEEN: char = '\0';

/// The samples of one family in the making.
#[derive(Debug, Default)]
pub(in crate::export) struct Samples {
    /// The label values of all of them.
    keys: String,
    rows: Vec<Row>,
}

/// One sample: where its label values lie in the keys, and its value.
#[derive(Clone, Copy, Debug)]
struct Row {
    begin: usize,
    end: usize,
    value: f64,
}

impl Samples {
    /// One whole number. Exact up to 2^53, which is nine petabytes.
    pub(in crate::export) fn add<const N: usize>(&mut self, values: [&str; N], value: u64) {
        self.put(values, value as f64);
    }

    /// One number.
    pub(in crate::export) fn put<const N: usize>(&mut self, values: [&str; N], value: f64) {
        let begin = self.keys.len();
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.keys.push(BETWEEN);
            }
            self.keys.push_str(&printable(value));
        }
        self.rows.push(Row { begin, end: self.keys.len(), value });
    }

    /// The family of them, sorted by their label values; none where there are none.
    pub(super) fn family(mut self, family: &Family) -> Option<MetricFamily> {
        let keys = self.keys.as_str();
        let key = |row: &Row| keys.get(row.begin..row.end).unwrap_or_default();
        if !self.rows.is_sorted_by_key(key) {
            self.rows.sort_by(|one, other| key(one).cmp(key(other)));
        }
        let metric = |row: &Row| {
            let pair = |(name, value): (&&str, &str)| {
                let mut pair = LabelPair::default();
                pair.set_name((*name).to_owned());
                pair.set_value(value.to_owned());
                pair
            };
            let mut metric = Metric::from_label(family.labels.iter().zip(key(row).split(BETWEEN)).map(pair).collect());
            if family.kind == MetricType::COUNTER {
                let mut counter = Counter::default();
                counter.set_value(row.value);
                metric.set_counter(counter);
            } else {
                let mut gauge = Gauge::default();
                gauge.set_value(row.value);
                metric.set_gauge(gauge);
            }
            metric
        };
        let metrics: Vec<Metric> = self.rows.iter().map(metric).collect();
        (!metrics.is_empty()).then(|| filled(family, metrics))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_sorted_by_value_after_value_and_a_number_is_as_rust_shows_it() {
        let family = Family { name: "x", help: "X.", kind: MetricType::GAUGE, labels: &["a", "b"], samples: |_, _| {} };
        let mut samples = Samples::default();
        samples.put(["Mi 10T", "1"], 0.25);
        samples.put(["Mi", "2"], f64::NAN);
        samples.put(["Mi", ""], 1e21);
        samples.add(["", "\"\\"], u64::MAX);
        samples.put(["Mi", "1"], -0.0);
        let text = prometheus::TextEncoder::new().encode_to_string(&[samples.family(&family).unwrap()]).unwrap();
        let expected = r#"# HELP whither_x X.
# TYPE whither_x gauge
whither_x{a="",b="\"\\"} 18446744073709552000
whither_x{a="Mi",b=""} 1000000000000000000000
whither_x{a="Mi",b="1"} -0
whither_x{a="Mi",b="2"} NaN
whither_x{a="Mi 10T",b="1"} 0.25
"#;
        assert_eq!(text, expected);
    }
}
