//! What confines the process, for the metrics: a sensor that should be confined and is not must be found from afar.

use prometheus::proto::MetricType::GAUGE;

use super::prometheus::Family;

#[rustfmt::skip] // a table: one metric, one row of three lines
pub(super) const FAMILIES: &[Family] = &[
    Family { name: "sandbox_enforced", kind: GAUGE, labels: &["layer"],
        samples: |from, to| from.sandbox.iter().for_each(|(layer, on)| to.add([layer], u64::from(*on))),
        help: "1 where the sensor has given up root (user), capabilities, files (landlock) and system calls (seccomp), 0 where not." },
];
