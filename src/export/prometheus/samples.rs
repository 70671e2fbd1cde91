//! The samples of one family, and their text.
//!
//! Road taken: the label values of all samples in one text, sorted by index, since rows come sorted but for a few. Road not taken:
//! sorting the lines themselves; a quote sorts behind a space, and `Mi` would come after `Mi 10T`.

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

    /// Writes them behind what is there, sorted by their label values; nothing where there are none.
    pub(super) fn write(mut self, family: &Family, text: &mut String) {
        if self.rows.is_empty() {
            return;
        }
        let kind = if family.kind == MetricType::COUNTER { "counter" } else { "gauge" };
        let Family { name, help, .. } = family;
        text.push_str(&format!("# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}\n"));
        let keys = self.keys.as_str();
        let key = |row: &Row| keys.get(row.begin..row.end).unwrap_or_default();
        if !self.rows.is_sorted_by_key(key) {
            self.rows.sort_by(|one, other| key(one).cmp(key(other)));
        }
        // What stands before each value: `whither_flows_total{device="`, `",protocol="`.
        let before: Vec<String> = match family.labels {
            [] => vec![],
            [first, more @ ..] => {
                std::iter::once(format!("{PREFIX}{name}{{{first}=\"")).chain(more.iter().map(|label| format!("\",{label}=\""))).collect()
            }
        };
        for row in &self.rows {
            for (before, value) in before.iter().zip(key(row).split(BETWEEN)) {
                text.push_str(before);
                escape(value, text);
            }
            if before.is_empty() {
                text.push_str(&format!("{PREFIX}{name} "));
            } else {
                text.push_str("\"} ");
            }
            number(row.value, text);
            text.push('\n');
        }
    }
}

/// A label value, escaped as the text format wants it.
fn escape(value: &str, text: &mut String) {
    if !needs_escape(value.as_bytes()) {
        return text.push_str(value);
    }
    for c in value.chars() {
        if matches!(c, '\\' | '"') {
            text.push('\\');
        }
        text.push(c); // no line break is left in what is printable
    }
}

/// A number as Rust shows it: whole ones, which nearly all are, without its formatter.
fn number(value: f64, text: &mut String) {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    if value.is_sign_positive() && value < EXACT && value.fract() == 0.0 {
        text.push_str(itoa::Buffer::new().format(value as u64));
    } else {
        text.push_str(&value.to_string());
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
        let mut text = String::new();
        samples.write(&family, &mut text);
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
