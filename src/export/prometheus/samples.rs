//! The samples of one family, and their text.
//!
//! Road taken: the label values of all samples in one text, sorted by index, since rows come sorted but for a few, and written from
//! there. Road not taken: the crate's encoder, which writes what is not made of samples (histograms, the process). It wants each name and each
//! value of each sample as a `String` of its own: ten times the instructions, which for the 70,000 series of a capture of
//! handshakes were a twelfth of reading it. The test holds this text against the crate's.

use std::fmt::Write as _;

use prometheus::proto::MetricType;

use super::{Family, PREFIX};
use crate::export::line::needs_escape;
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

    /// Writes the family of them, sorted by their label values; nothing where there are none.
    pub(super) fn write(mut self, family: &Family, out: &mut String) {
        let keys = self.keys.as_str();
        let key = |row: &Row| keys.get(row.begin..row.end).unwrap_or_default();
        sort(&mut self.rows, key);
        if self.rows.is_empty() {
            return;
        }
        let name = format!("{PREFIX}{}", family.name);
        let kind = if family.kind == MetricType::COUNTER { "counter" } else { "gauge" };
        // Text into memory: it cannot fail.
        let _ = write!(out, "# HELP {name} {}\n# TYPE {name} {kind}\n", family.help);
        let begin = |(index, label): (usize, &&str)| format!("{}{label}=\"", if index == 0 { "{" } else { "\"," });
        let labels: Vec<String> = family.labels.iter().enumerate().map(begin).collect();
        for row in &self.rows {
            out.push_str(&name);
            for (label, value) in labels.iter().zip(key(row).split(BETWEEN)) {
                out.push_str(label);
                escape(value, out);
            }
            out.push_str(if labels.is_empty() { " " } else { "\"} " });
            number(row.value, out);
            out.push('\n');
        }
    }
}

/// A label's value (exposition format 0.0.4).
fn escape(value: &str, out: &mut String) {
    if !needs_escape(value.as_bytes()) {
        return out.push_str(value);
    }
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

/// A number as Rust shows it: nearly all are whole ones, whose digits are those of integers.
fn number(value: f64, out: &mut String) {
    let whole = value as u64;
    if whole < EXACT && whole as f64 == value && value.is_sign_positive() {
        out.push_str(itoa::Buffer::new().format(whole));
    } else {
        let _ = write!(out, "{value}");
    }
}

/// Below it each whole number is a float.
const EXACT: u64 = 1 << 53;

/// Sorts rows of which few stand too late, and these not far from where they belong.
fn sort<'a>(rows: &mut [Row], key: impl Fn(&Row) -> &'a str) {
    for at in 1..rows.len() {
        let Some((sorted, [row, ..])) = rows.split_at_checked(at) else { return };
        if sorted.last().is_none_or(|last| key(last) <= key(row)) {
            continue;
        }
        let place = sorted.partition_point(|other| key(other) <= key(row));
        if at.saturating_sub(place) > NEAR {
            return rows.sort_by(|one, other| key(one).cmp(key(other)));
        }
        if let Some(moved) = rows.get_mut(place..=at) {
            moved.rotate_right(1);
        }
    }
}

/// Rows that one may be moved past: else a whole sort costs less.
const NEAR: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn family(labels: &'static [&'static str]) -> Family {
        Family { name: "x", help: "X.", kind: MetricType::GAUGE, labels, samples: |_, _| {} }
    }

    fn written(samples: Samples, family: &Family) -> String {
        let mut text = String::new();
        samples.write(family, &mut text);
        text
    }

    #[test]
    fn samples_are_sorted_by_value_after_value_and_a_number_is_as_rust_shows_it() {
        let mut samples = Samples::default();
        samples.put(["Mi 10T", "1"], 0.25);
        samples.put(["Mi", "2"], f64::NAN);
        samples.put(["Mi", ""], 1e21);
        samples.add(["", "\"\\"], u64::MAX);
        samples.put(["Mi", "1"], -0.0);
        let expected = r#"# HELP whither_x X.
# TYPE whither_x gauge
whither_x{a="",b="\"\\"} 18446744073709552000
whither_x{a="Mi",b=""} 1000000000000000000000
whither_x{a="Mi",b="1"} -0
whither_x{a="Mi",b="2"} NaN
whither_x{a="Mi 10T",b="1"} 0.25
"#;
        assert_eq!(written(samples, &family(&["a", "b"])), expected);
        assert_eq!(written(Samples::default(), &family(&["a"])), "");
    }

    #[test]
    fn the_text_is_the_crates() {
        let values = [0.0, -0.0, 1.0, 9_007_199_254_740_991.0, 9_007_199_254_740_992.0, 1e22, 0.1, -5.0, f64::INFINITY, f64::NAN];
        let texts = ["", "a\\b\"c", "line\nline", "\u{1b}[31m", "žemaitis", "\\\\\"\"", "plain text of more than sixteen bytes\""];
        let family = family(&["a", "b"]);
        let (mut samples, mut metrics) = (Samples::default(), Vec::new());
        // From the last to the first: rows far from their places are sorted as well.
        for index in (0..200_usize).rev() {
            let (text, value) = (texts[index % texts.len()], values[index % values.len()]);
            let number = format!("{index:03}");
            samples.put([&number, text], value);
            let pair = |name: &str, value: &str| {
                let mut pair = prometheus::proto::LabelPair::default();
                pair.set_name(name.to_owned());
                pair.set_value(printable(value).into_owned());
                pair
            };
            let mut metric = prometheus::proto::Metric::from_label(vec![pair("a", &number), pair("b", text)]);
            let mut gauge = prometheus::proto::Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
            metrics.push(metric);
        }
        metrics.reverse();
        let expected = prometheus::TextEncoder::new().encode_to_string(&[crate::export::prometheus::filled(&family, metrics)]).unwrap();
        assert_eq!(written(samples, &family), expected);
    }
}
