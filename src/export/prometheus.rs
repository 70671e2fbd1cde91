//! The exposition for Prometheus. Every metric name of the project stands in a table `FAMILIES`, one row each.
//!
//! Road taken: one family after the other, from the rows of a snapshot ([`Samples`]); histograms and the process through the
//! `prometheus` crate's encoder. Road not taken: a Collector in a fresh registry, where all families stand in memory at once; `CounterVec` and kin. These are slower to
//! scrape, never forget a series that left, and would be a second memory beside the engine's.

use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Registry, TextEncoder};

mod samples;

pub(super) use samples::Samples;

use super::{REVISION, Scrape, VERSION, contacts, printable, record, routine, sandbox, stream};
use crate::engine::snapshot::{Both, Origin, PROTOCOLS, RTT_BUCKETS, RttRow, VERDICTS};

/// The exposition of a scrape. `process` adds this process's own `process_*`; without it the same scrape gives the same bytes.
///
/// # Errors
/// When the `prometheus` crate refuses what it is given, which the tests exclude.
pub fn render(scrape: &Scrape, process: bool) -> prometheus::Result<String> {
    let mut text = String::new();
    if process {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        TextEncoder::new().encode_utf8(&registry.gather(), &mut text)?;
    }
    let mut families: Vec<&Family> = families().collect();
    families.sort_unstable_by_key(|family| family.name);
    for family in families {
        if family.kind == HISTOGRAM {
            TextEncoder::new().encode_utf8(histograms(family, scrape).as_slice(), &mut text)?;
        } else {
            let mut samples = Samples::default();
            (family.samples)(scrape, &mut samples);
            samples.write(family, &mut text);
        }
    }
    Ok(text)
}

/// The name of every series that a scrape may hold: for each histogram its three, and without `process_*`.
///
/// For whoever writes queries, such as the test of the dashboards.
pub fn series() -> impl Iterator<Item = String> {
    families().flat_map(|family| {
        let endings: &[&str] = if family.kind == HISTOGRAM { &["_bucket", "_count", "_sum"] } else { &[""] };
        endings.iter().map(|ending| format!("{PREFIX}{}{ending}", family.name))
    })
}

/// The page `/metrics`.
pub(super) fn live(scrape: Scrape) -> Result<String, String> {
    render(&scrape, true).map_err(|error| error.to_string())
}

/// All families; each table beside `FAMILIES` stands with what it tells.
fn families() -> impl Iterator<Item = &'static Family> {
    let more = [contacts::FAMILIES, record::FAMILIES, &routine::FAMILIES, sandbox::FAMILIES, stream::FAMILIES];
    FAMILIES.iter().chain(more.into_iter().flatten())
}

/// One metric: its name without the prefix, its help, its labels, and how its samples come from a scrape.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: MetricType,
    pub(super) labels: &'static [&'static str],
    pub(super) samples: fn(&Scrape, &mut Samples),
}

const PREFIX: &str = "whither_";
use MetricType::{COUNTER, GAUGE, HISTOGRAM};

const DESTINATION: &[&str] = &["device", "destination", "origin", "country", "asn"];

#[rustfmt::skip] // a table: one metric, one row of three lines
const FAMILIES: &[Family] = &[
    Family { name: "build_info", kind: GAUGE, labels: &["version", "revision"], samples: build_info,
        help: "The version that runs; always 1." },
    Family { name: "capture_dropped_packets_total", kind: COUNTER, labels: &["interface", "by"], samples: capture_dropped,
        help: "Frames that never reached the sensor: dropped by the kernel's ring or by the interface." },
    Family { name: "capture_packets_total", kind: COUNTER, labels: &["interface"],
        samples: |from, to| from.capture.iter().for_each(|row| to.add([&row.interface], row.packets)),
        help: "Frames taken from the interface." },
    Family { name: "capture_up", kind: GAUGE, labels: &["interface"],
        samples: |from, to| from.capture.iter().for_each(|row| to.add([&row.interface], u64::from(row.up))),
        help: "1 while the interface is captured on, 0 while it is down or gone." },
    Family { name: "country_receive_bytes_total", kind: COUNTER, labels: &["device", "country"],
        samples: |from, to| countries(from, to, received),
        help: "Bytes on the wire that the device received, by the other end's country." },
    Family { name: "country_transmit_bytes_total", kind: COUNTER, labels: &["device", "country"],
        samples: |from, to| countries(from, to, sent),
        help: "Bytes on the wire that the device sent, by the other end's country." },
    Family { name: "destination_receive_bytes_total", kind: COUNTER, labels: DESTINATION,
        samples: |from, to| destinations(from, to, received),
        help: "Bytes on the wire that the device received, by destination and by what named it." },
    Family { name: "destination_transmit_bytes_total", kind: COUNTER, labels: DESTINATION,
        samples: |from, to| destinations(from, to, sent),
        help: "Bytes on the wire that the device sent, by destination and by what named it." },
    Family { name: "device_expected_country", kind: GAUGE, labels: &["device", "country"], samples: expected_countries,
        help: "A country that the device's owner expects it to meet, by the devices file; always 1." },
    Family { name: "device_info", kind: GAUGE, labels: &["device", "mac", "vendor", "hostname", "randomized"], samples: device_info,
        help: "What is known of the device; always 1." },
    Family { name: "device_receive_bytes_total", kind: COUNTER, labels: &["device"],
        samples: |from, to| from.snapshot.devices.iter().for_each(|row| to.add([&row.id], received(&row.total))),
        help: "Bytes on the wire that the device received." },
    Family { name: "device_transmit_bytes_total", kind: COUNTER, labels: &["device"],
        samples: |from, to| from.snapshot.devices.iter().for_each(|row| to.add([&row.id], sent(&row.total))),
        help: "Bytes on the wire that the device sent." },
    Family { name: "events_dropped_total", kind: COUNTER, labels: &[],
        samples: |from, to| to.add([], from.snapshot.events_dropped),
        help: "Events that were not written because the log could not follow." },
    Family { name: "flows_total", kind: COUNTER, labels: &["device", "protocol"], samples: flows,
        help: "Conversations that the device took part in, by protocol." },
    Family { name: "geoip_build_timestamp_seconds", kind: GAUGE, labels: &["database"],
        samples: |from, to| from.snapshot.databases.iter().for_each(|row| to.add([&row.database], row.built)),
        help: "When the address database was built." },
    Family { name: "geoip_disagreement_bytes_total", kind: COUNTER, labels: &["device"],
        samples: |from, to| from.snapshot.devices.iter().for_each(|row| to.add([&row.id], row.disputed)),
        help: "Bytes of the device with servers outside, both directions, whose country the address databases disagree on." },
    Family { name: "handshake_rtt_seconds", kind: HISTOGRAM, labels: &["country"], samples: |_, _| {},
        help: "Time from TCP SYN to SYN-ACK at the sensor, or from QUIC's first flight to its answer, by the server's country." },
    Family { name: "input_errors_total", kind: COUNTER, labels: &["protocol"],
        samples: |from, to| from.snapshot.input_errors.iter().for_each(|(protocol, count)| to.add([protocol], *count)),
        help: "Messages that could not be read, by protocol." },
    Family { name: "last_packet_timestamp_seconds", kind: GAUGE, labels: &[], samples: last_packet,
        help: "When the last frame was captured." },
    Family { name: "location_bytes_total", kind: COUNTER, labels: &["device", "verdict"], samples: locations,
        help: "Bytes of the device with servers outside, both directions, by whether the handshake time allows the country of the address; consistent is no proof." },
    Family { name: "malformed_messages_total", kind: COUNTER, labels: &["protocol", "reason"],
        samples: |from, to| from.snapshot.malformed.iter().for_each(|(protocol, reason, count)| to.add([protocol, reason], *count)),
        help: "Messages that could not be read, by protocol and reason." },
    Family { name: "packets_skipped_total", kind: COUNTER, labels: &["reason"],
        samples: |from, to| from.snapshot.skipped.iter().for_each(|(reason, count)| to.add([reason], *count)),
        help: "Frames that could not be charged to a device, by reason." },
    Family { name: "pending_bytes", kind: GAUGE, labels: &["device"],
        samples: |from, to| from.snapshot.devices.iter().for_each(|row| to.add([&row.id], received(&row.pending).saturating_add(sent(&row.pending)))),
        help: "Bytes of the device, both directions, that are counted but not yet given to a destination." },
    Family { name: "quic_flows_total", kind: COUNTER, labels: &["version"],
        samples: |from, to| from.snapshot.quic_versions.iter().for_each(|(version, count)| to.add([version], *count)),
        help: "Conversations that began with a QUIC long header, by its version." },
    Family { name: "service_bytes_total", kind: COUNTER, labels: &["device", "category"],
        samples: |from, to| from.snapshot.devices.iter().for_each(|row| row.services.iter().for_each(|(of, bytes)| to.add([&row.id, of], *bytes))),
        help: "Bytes of the device with servers outside, both directions, by what a watchlist or the port says that they are for." },
    Family { name: "table_entries", kind: GAUGE, labels: &["table"],
        samples: |from, to| from.snapshot.tables.iter().for_each(|row| to.add([row.table], row.entries)),
        help: "Entries in a bounded table." },
    Family { name: "table_evicted_total", kind: COUNTER, labels: &["table"],
        samples: |from, to| from.snapshot.tables.iter().for_each(|row| to.add([row.table], row.evicted)),
        help: "Entries that left a bounded table because they were stale or to make room." },
    Family { name: "table_limit", kind: GAUGE, labels: &["table"],
        samples: |from, to| from.snapshot.tables.iter().for_each(|row| to.add([row.table], row.limit)),
        help: "Entries that a bounded table holds at most." },
    Family { name: "table_refused_total", kind: COUNTER, labels: &["table"],
        samples: |from, to| from.snapshot.tables.iter().for_each(|row| to.add([row.table], row.refused)),
        help: "Newcomers that found a bounded table full." },
    Family { name: "visibility_receive_bytes_total", kind: COUNTER, labels: &["device", "class"],
        samples: |from, to| visibility(from, to, received),
        help: "Bytes on the wire that the device received, each in exactly one class of what is known of its destination." },
    Family { name: "visibility_transmit_bytes_total", kind: COUNTER, labels: &["device", "class"],
        samples: |from, to| visibility(from, to, sent),
        help: "Bytes on the wire that the device sent, each in exactly one class of what is known of its destination." },
    Family { name: "watchlist_hits_total", kind: COUNTER, labels: &["device", "ruleset", "category"],
        samples: |from, to| from.snapshot.sightings.iter().for_each(|row| to.add([&row.device, &row.ruleset, row.category], row.flows)),
        help: "Conversations of the device with what a watchlist carries, by the list's category." },
];

fn sent(both: &Both) -> u64 {
    both.transmit.bytes
}

fn received(both: &Both) -> u64 {
    both.receive.bytes
}

fn build_info(_: &Scrape, to: &mut Samples) {
    // An empty label is the same as none to Prometheus.
    to.add([VERSION, REVISION.unwrap_or_default()], 1);
}

fn capture_dropped(from: &Scrape, to: &mut Samples) {
    for row in &from.capture {
        to.add([&row.interface, "interface"], row.dropped_interface);
        to.add([&row.interface, "kernel"], row.dropped_kernel);
    }
}

fn device_info(from: &Scrape, to: &mut Samples) {
    for row in &from.snapshot.devices {
        let mac = row.mac.map(|mac| mac.to_string()).unwrap_or_default();
        let randomized = if row.randomized { "true" } else { "false" };
        to.add([&row.id, &mac, row.vendor.as_deref().unwrap_or_default(), row.hostname.as_deref().unwrap_or_default(), randomized], 1);
    }
}

fn expected_countries(from: &Scrape, to: &mut Samples) {
    for row in &from.snapshot.devices {
        row.expected.iter().for_each(|country| to.add([&row.id, country.as_str()], 1));
    }
}

fn countries(from: &Scrape, to: &mut Samples, way: fn(&Both) -> u64) {
    for row in &from.snapshot.countries {
        to.add([&row.device, row.place.as_str()], way(&row.total));
    }
}

fn destinations(from: &Scrape, to: &mut Samples, way: fn(&Both) -> u64) {
    for row in &from.snapshot.destinations {
        let mut digits = itoa::Buffer::new();
        let asn = row.asn.map_or("", |asn| digits.format(asn));
        to.add([&row.device, &row.destination, origin(row.origin), row.place.as_str(), asn], way(&row.total));
    }
}

fn visibility(from: &Scrape, to: &mut Samples, way: fn(&Both) -> u64) {
    for row in &from.snapshot.devices {
        for (class, total) in &row.visibility {
            to.add([&row.id, class.as_str()], way(total));
        }
    }
}

fn locations(from: &Scrape, to: &mut Samples) {
    for row in &from.snapshot.devices {
        for (verdict, bytes) in VERDICTS.into_iter().zip(row.verdicts) {
            to.add([&row.id, verdict.as_str()], bytes);
        }
    }
}

/// The origin as the label knows it, whose values are a closed set.
fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Certificate => Origin::None.as_str(),
        known => known.as_str(),
    }
}

fn flows(from: &Scrape, to: &mut Samples) {
    for row in &from.snapshot.devices {
        for (protocol, count) in PROTOCOLS.iter().zip(row.flows) {
            to.add([&row.id, protocol], count);
        }
    }
}

/// The histogram of handshake times, of which there is one: a family, or none where nothing was timed.
fn histograms(family: &Family, from: &Scrape) -> Option<MetricFamily> {
    let metric = |row: &RttRow| {
        let bucket = |(bound, count): (&f64, &u64)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(*count);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(RTT_BUCKETS.iter().zip(&row.buckets).map(bucket).collect());
        histogram.set_sample_count(row.count);
        histogram.set_sample_sum(row.sum);
        let mut place = LabelPair::default();
        place.set_name("country".to_owned());
        place.set_value(printable(row.place.as_str()).into_owned());
        let mut metric = Metric::from_label(vec![place]);
        metric.set_histogram(histogram);
        metric
    };
    (!from.snapshot.rtts.is_empty()).then(|| filled(family, from.snapshot.rtts.iter().map(metric).collect()))
}

/// A family as the crate wants it.
fn filled(family: &Family, metrics: Vec<Metric>) -> MetricFamily {
    let mut filled = MetricFamily::default();
    filled.set_name(format!("{PREFIX}{}", family.name));
    filled.set_help(family.help.to_owned());
    filled.set_field_type(family.kind);
    filled.set_metric(metrics);
    filled
}

fn last_packet(from: &Scrape, to: &mut Samples) {
    if let Some(time) = from.snapshot.last_packet {
        // Milliseconds: what Prometheus itself resolves, and exact in a float.
        to.put([], (time.as_nanos() / 1_000_000) as f64 / 1000.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::fixture::{self, HOSTILE};

    fn lines(text: &str, name: &str) -> Vec<String> {
        let plain = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        text.lines().filter(plain).map(str::to_owned).collect()
    }

    #[test]
    fn metrics_of_a_scrape_are_as_the_contract_names_them() {
        let text = render(&fixture::scrape(), false).unwrap();
        for line in [
            r#"whither_device_info{device="02:00:00:00:00:0a",mac="02:00:00:00:00:0a",vendor="Xiaomi",hostname="",randomized="true"} 1"#,
            r#"whither_device_receive_bytes_total{device="02:00:00:00:00:0a"} 1200500"#,
            r#"whither_country_transmit_bytes_total{device="02:00:00:00:00:0a",country="local"} 500"#,
            r#"whither_destination_receive_bytes_total{device="02:00:00:00:00:0a",destination="example.org",origin="sni",country="SG",asn="64496"} 1000000"#,
            r#"whither_destination_transmit_bytes_total{device="02:00:00:00:00:0a",destination="local",origin="none",country="local",asn=""} 500"#,
            r#"whither_pending_bytes{device="02:00:00:00:00:0a"} 300"#,
            r#"whither_flows_total{device="02:00:00:00:00:0a",protocol="tls"} 3"#,
            r#"whither_flows_total{device="02:00:00:00:00:0a",protocol="doq"} 0"#,
            r#"whither_handshake_rtt_seconds_bucket{country="SG",le="0.15"} 1"#,
            r#"whither_handshake_rtt_seconds_bucket{country="SG",le="+Inf"} 4"#,
            r#"whither_handshake_rtt_seconds_sum{country="SG"} 2.75"#,
            r#"whither_capture_up{interface="wlan0"} 1"#,
            r#"whither_capture_packets_total{interface="wlan0"} 12345"#,
            r#"whither_capture_dropped_packets_total{interface="wlan0",by="kernel"} 2"#,
            r#"whither_packets_skipped_total{reason="malformed"} 7"#,
            r#"whither_input_errors_total{protocol="dns"} 1"#,
            r#"whither_table_limit{table="flows"} 65536"#,
            r#"whither_geoip_build_timestamp_seconds{database="dbip-country"} 1780272000"#,
            "whither_last_packet_timestamp_seconds 1632200090.123",
            r#"whither_watchlist_hits_total{device="02:00:00:00:00:0a",ruleset="whither",category="telemetry"} 2"#,
            "whither_events_dropped_total 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in:\n{text}");
        }
        assert!(!text.contains("process_"), "a replay must not tell of the machine it ran on");
    }

    #[test]
    fn the_same_scrape_gives_the_same_bytes_and_a_live_one_tells_of_the_process_too() {
        assert_eq!(render(&fixture::scrape(), false).unwrap(), render(&fixture::scrape(), false).unwrap());
        assert_eq!(lines(&render(&fixture::scrape(), true).unwrap(), "process_resident_memory_bytes").len(), 1);
    }

    #[test]
    fn each_series_stands_once_and_each_family_once() {
        let text = render(&fixture::scrape(), true).unwrap();
        let mut series: Vec<&str> = text.lines().filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series).collect();
        let all = series.len();
        series.sort_unstable();
        series.dedup();
        assert_eq!(series.len(), all, "a series or a header stands twice in:\n{text}");
    }

    #[test]
    fn every_family_is_one_that_prometheus_takes_and_no_two_share_a_name() {
        let mut names: Vec<&str> = families().map(|family| family.name).collect();
        for family in families() {
            let labels = family.labels.iter().map(|label| (*label).to_owned()).collect();
            prometheus::core::Desc::new(format!("{PREFIX}{}", family.name), family.help.to_owned(), labels, Default::default()).unwrap();
            assert!(!family.help.contains(['\\', '\n']), "the help of {} would need an escape", family.name);
        }
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }

    #[test]
    fn series_names_what_a_scrape_holds() {
        let text = render(&fixture::scrape(), false).unwrap();
        let mut held: Vec<&str> =
            text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next()).collect();
        held.sort_unstable();
        held.dedup();
        let mut named: Vec<String> = series().collect();
        named.sort_unstable();
        assert_eq!(held, named);
    }

    #[test]
    fn hostile_names_stay_inside_their_quotes() {
        let text = render(&fixture::scrape(), false).unwrap();
        let name = r#"a\"b\\c\\u{a}d\\u{0}e\\u{1b}[31mf\\u{202e}g<script>alert(1)</script>"#;
        let line = format!(r#"whither_device_transmit_bytes_total{{device="{name}"}} 800"#);
        assert!(text.lines().any(|other| other == line), "{line} is not in:\n{text}");
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
        assert!(HOSTILE.contains('\0'));
    }

    #[test]
    fn before_the_first_packet_the_plain_counters_are_zero_and_no_time_is_claimed() {
        let text = render(&Scrape::default(), false).unwrap();
        assert_eq!(lines(&text, "whither_events_dropped_total"), ["whither_events_dropped_total 0"]);
        assert_eq!(lines(&text, "whither_build_info").len(), 1);
        assert!(!text.contains("last_packet"), "{text}");
    }

    #[test]
    fn destinations_and_pending_add_up_to_the_device_as_they_do_in_the_rows() {
        let text = render(&fixture::scrape(), false).unwrap();
        let sum = |name: &str| -> u64 {
            let of_phone = lines(&text, name).into_iter().filter(|line| line.contains("02:00:00:00:00:0a"));
            of_phone.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
        };
        let device = sum("whither_device_transmit_bytes_total") + sum("whither_device_receive_bytes_total");
        let destinations = sum("whither_destination_transmit_bytes_total") + sum("whither_destination_receive_bytes_total");
        assert_eq!(device, destinations + sum("whither_pending_bytes"));
        assert_eq!(device, sum("whither_country_transmit_bytes_total") + sum("whither_country_receive_bytes_total"));
    }
}
