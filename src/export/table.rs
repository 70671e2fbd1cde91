//! The table that `read` prints, for a person: a line for each destination, a total for each device, and what was left out.
//!
//! Each line carries its device, so `grep` and `sort` work on it. No colour: it says the same in a pipe as on a terminal.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::fmt::Write as _;

mod grid;

use grid::Grid;

use super::{ATTRIBUTION, day, printable, rfc3339};
use crate::engine::event::Timestamp;
use crate::engine::snapshot::{Both, DestinationRow, DeviceRow, Origin, Place, Snapshot};

/// The table, made to fit `width` columns where one is given.
#[must_use]
pub fn destinations(snapshot: &Snapshot, width: Option<usize>) -> String {
    let mut grid = Grid::new(HEADER, RIGHT);
    let mut devices: Vec<&DeviceRow> = snapshot.devices.iter().collect();
    devices.sort_by_key(|device| device.router); // stable; what forwards for others is not what a person asks about first
    for device in devices {
        let mut rows: Vec<_> = snapshot.destinations_of(&device.id).iter().collect();
        let twins = twins(&rows);
        rows.sort_by_key(|row| Reverse(bytes(&row.total))); // stable: equals stay in the order of their labels
        let label = label(device);
        for row in &rows {
            line(&label, row, &twins, &mut grid);
        }
        total(&label, device, &rows, &mut grid);
    }
    let mut text = width.map_or_else(|| grid.plain(), |width| grid.fitted(width));
    drop(grid);
    text.push('\n');
    footer(snapshot, &mut text);
    text
}

const HEADER: [&str; 9] = ["DEVICE", "COUNTRY", "DESTINATION", "ORIGIN", "UP", "DOWN", "FLOWS", "FIRST SEEN (UTC)", "LAST SEEN (UTC)"];

/// The columns of numbers.
const RIGHT: [usize; 3] = [4, 5, 6];

/// What a line shows beside its numbers.
type Shown<'a> = (&'a str, Origin, Place);

fn shown(row: &DestinationRow) -> Shown<'_> {
    (&row.destination, row.origin, row.place)
}

/// What several of a device's rows, sorted as a snapshot has them, show alike. Two lines that differ in nothing but their numbers
/// would puzzle: they differ in the AS.
fn twins<'a>(rows: &[&'a DestinationRow]) -> Vec<Shown<'a>> {
    rows.iter().zip(rows.iter().skip(1)).filter(|(one, other)| shown(one) == shown(other)).map(|(one, _)| shown(one)).collect()
}

/// Writing into a cell cannot fail, so its results are dropped here and below.
fn line(device: &str, row: &DestinationRow, twins: &[Shown<'_>], grid: &mut Grid) {
    grid.cell(device);
    grid.write(|cell| country(row, cell));
    grid.write(|cell| {
        let _ = match (&row.organisation, row.asn) {
            (Some(organisation), _) if row.origin == Origin::None => write!(cell, "{} ({organisation})", row.destination),
            (_, Some(asn)) if twins.binary_search(&shown(row)).is_ok() => write!(cell, "{} (AS{asn})", row.destination),
            _ => cell.write_str(&row.destination),
        };
        services(row, cell);
    });
    grid.cell(if row.origin == Origin::None { "-" } else { row.origin.as_str() });
    numbers(&row.total, row.flows, (row.first, row.last), grid);
}

fn total(label: &str, device: &DeviceRow, rows: &[&DestinationRow], grid: &mut Grid) {
    grid.cell(label);
    grid.cell("");
    grid.cell(&format!("TOTAL, {}", named_share(device, rows)));
    grid.cell("");
    let flows = device.flows.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
    numbers(&device.total, flows, (device.first, device.last), grid);
}

/// The cells that a destination and a device have alike.
fn numbers(total: &Both, flows: u64, (first, last): (Timestamp, Timestamp), grid: &mut Grid) {
    grid.write(|cell| write_size(total.transmit.bytes, cell));
    grid.write(|cell| write_size(total.receive.bytes, cell));
    grid.cell(itoa::Buffer::new().format(flows));
    grid.write(|cell| seconds(first.as_nanos(), cell));
    grid.write(|cell| seconds(last.as_nanos(), cell));
}

/// How much of what went outside had a name: a "not seen" is worth no more than that. Local and multicast traffic needs none.
fn named_share(device: &DeviceRow, rows: &[&DestinationRow]) -> String {
    let outside = || rows.iter().filter(|row| !matches!(row.place, Place::Local | Place::Multicast));
    let sum = |sum: u64, row: &&DestinationRow| sum.saturating_add(bytes(&row.total));
    let all = outside().fold(bytes(&device.pending), sum);
    let named = outside().filter(|row| !matches!(row.origin, Origin::None | Origin::Ech)).fold(0, sum);
    match all {
        0 => "nothing went outside".to_owned(),
        all => {
            let permille = u128::from(named) * 1000 / u128::from(all);
            format!("{}.{} % of outside bytes named", permille / 10, permille % 10)
        }
    }
}

fn footer(snapshot: &Snapshot, text: &mut String) {
    let counts = |counts: &[(&str, u64)]| {
        let told: Vec<String> =
            counts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name} {}", grouped(*count))).collect();
        told.join(", ")
    };
    text.push_str(&format!("Frames read: {}", grouped(snapshot.packets)));
    let skipped = snapshot.skipped.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    if skipped > 0 {
        text.push_str(&format!("; of these not charged to a device: {} ({})", grouped(skipped), counts(&snapshot.skipped)));
    }
    text.push('\n');
    if snapshot.input_errors.iter().any(|(_, count)| *count > 0) {
        text.push_str(&format!("Messages that could not be read: {}\n", counts(&snapshot.input_errors)));
    }
    if snapshot.destinations.iter().any(|row| matches!(row.verdicts, [_, _, bytes] if bytes > 0)) {
        text.push_str(&format!("{REFUTED}: a handshake was too short for a server in the country that the databases give\n"));
    }
    if snapshot.destinations.iter().any(|row| matches!(row.verdicts, [_, _, 0]) && is_disputed(row)) {
        text.push_str(&format!("{DISPUTED}: the databases disagree, or the server's name claims another place\n"));
    }
    if !snapshot.databases.is_empty() {
        let dated = snapshot.databases.iter().map(|row| format!("{} of {}", printable(&row.database), day(row.built)));
        text.push_str(&format!("{ATTRIBUTION}; databases: {}\n", dated.collect::<Vec<_>>().join(", ")));
    }
}

/// Who it is, and its label where that says more; of an alias, the MAC that stands behind it.
pub(super) fn label(device: &DeviceRow) -> String {
    let name = match (&device.alias, device.hostname.as_deref().or(device.vendor.as_deref())) {
        (Some(_), _) => alias(device),
        (None, Some(name)) if *name != *device.id => format!("{name} {}", device.id),
        _ => device.id.to_string(),
    };
    if device.router { format!("{name} (router)") } else { name }
}

/// A device of the devices file: its alias, its first MAC and how many more, else its first address.
pub(super) fn alias(device: &DeviceRow) -> String {
    match (device.macs.as_slice(), device.addresses.first()) {
        ([mac], _) => format!("{} {mac}", device.id),
        ([mac, more @ ..], _) => format!("{} {mac} +{}", device.id, more.len()),
        ([], Some(address)) => format!("{} {address}", device.id),
        ([], None) => device.id.to_string(),
    }
}

/// Where it is by the databases, a country by its name; marked where a handshake's time contradicts them.
fn country(row: &DestinationRow, cell: &mut String) {
    cell.push_str(match &row.place {
        Place::Country(country) => country.name(),
        place @ (Place::Local | Place::Multicast | Place::Unknown) => place.as_str(),
    });
    if row.anycast {
        cell.push_str(" (anycast)");
    }
    let _ = match row.verdicts {
        [_, _, 0] if is_disputed(row) => write!(cell, ", {DISPUTED}"),
        [_, _, 0] => Ok(()),
        [_, 0, _] => write!(cell, ", {REFUTED}"),
        _ => write!(cell, ", part {REFUTED}"),
    };
}

/// What it is for: the two categories with the most bytes, `?` behind a host that serves other purposes too.
fn services(row: &DestinationRow, cell: &mut String) {
    for (index, service) in row.services.iter().take(2).enumerate() {
        cell.push_str(if index == 0 { " [" } else { ", " });
        cell.push_str(service.category);
        cell.push_str(if service.ambiguous { "?" } else { "" });
    }
    match row.services.len() {
        0 => {}
        1 | 2 => cell.push(']'),
        _ => cell.push_str(", …]"),
    }
}

/// Whether databases disagree, or a name claims another place.
fn is_disputed(row: &DestinationRow) -> bool {
    row.location.as_ref().is_some_and(|location| location.witnesses.against() > 0)
}

const REFUTED: &str = "refuted";
const DISPUTED: &str = "disputed";

/// Text made safe, and cut where a device chose a name long enough to push everything else off the screen.
fn fit(text: &str) -> Cow<'_, str> {
    let text = printable(text);
    if text.len() <= WIDEST || text.char_indices().nth(WIDEST).is_none() {
        return text;
    }
    Cow::Owned(text.chars().take(WIDEST.saturating_sub(1)).chain(['…']).collect())
}

/// Characters of a cell at most.
const WIDEST: usize = 64;

fn bytes(both: &Both) -> u64 {
    both.transmit.bytes.saturating_add(both.receive.bytes)
}

fn seconds(nanos: u64, cell: &mut String) {
    let time = rfc3339(nanos, 0);
    if let Some((day, time)) = time.strip_suffix('Z').and_then(|time| time.split_once('T')) {
        cell.push_str(day);
        cell.push(' ');
        cell.push_str(time);
    }
}

/// Bytes as a person says them: `532 B`, `1.2 MB`; decimal, rounded down so that no share exceeds its whole.
pub(super) fn size(bytes: u64) -> String {
    let mut text = String::new();
    write_size(bytes, &mut text);
    text
}

fn write_size(bytes: u64, text: &mut String) {
    let mut unit = 1_u64;
    let mut name = " B";
    for (next, larger) in [(1_000, " kB"), (1_000_000, " MB"), (1_000_000_000, " GB"), (1_000_000_000_000, " TB")] {
        if bytes >= next {
            (unit, name) = (next, larger);
        }
    }
    text.push_str(itoa::Buffer::new().format(bytes / unit));
    if unit > 1 {
        text.push('.');
        text.push_str(itoa::Buffer::new().format(bytes % unit / (unit / 10)));
    }
    text.push_str(name);
}

/// A number with commas between thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digits.len().saturating_sub(index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::snapshot::ServiceRow;
    use crate::export::fixture;

    #[test]
    fn a_phone_as_read_prints_it() {
        let mut snapshot = fixture::scrape().snapshot;
        snapshot.devices.truncate(1);
        snapshot.destinations.truncate(3);
        let expected = "
DEVICE                    COUNTRY    DESTINATION                           ORIGIN      UP      DOWN  FLOWS  FIRST SEEN (UTC)     LAST SEEN (UTC)
Xiaomi 02:00:00:00:00:0a  Singapore  example.org                           sni     1.0 kB    1.0 MB      2  2021-09-21 04:53:21  2021-09-21 04:54:20
Xiaomi 02:00:00:00:00:0a  Singapore  AS64496 (Example Net)                 -        700 B  200.0 kB      2  2021-09-21 04:53:21  2021-09-21 04:54:20
Xiaomi 02:00:00:00:00:0a  local      local                                 -        500 B     500 B      2  2021-09-21 04:53:21  2021-09-21 04:54:20
Xiaomi 02:00:00:00:00:0a             TOTAL, 83.2 % of outside bytes named          2.5 kB    1.2 MB      3  2021-09-21 04:53:20  2021-09-21 04:54:50

Frames read: 12,345; of these not charged to a device: 7 (malformed 7)
Messages that could not be read: dns 1
IP Geolocation by DB-IP (https://db-ip.com); databases: dbip-country of 2026-06-01
";
        assert_eq!(destinations(&snapshot, None), expected.trim_start_matches('\n'));
    }

    #[test]
    fn a_router_comes_last_and_is_marked() {
        let mut snapshot = fixture::scrape().snapshot;
        snapshot.devices[0].router = true;
        let text = destinations(&snapshot, None);
        let of_router: Vec<bool> = text.lines().skip(1).take_while(|line| !line.is_empty()).map(|line| line.contains("(router)")).collect();
        assert_eq!(of_router, [false, false, true, true, true, true], "{text}");
        assert!(text.contains("\nXiaomi 02:00:00:00:00:0a (router)  "), "{text}");
    }

    #[test]
    fn one_name_in_two_networks_is_told_apart() {
        let mut snapshot = fixture::scrape().snapshot;
        let twin = DestinationRow { asn: Some(64_500), ..snapshot.destinations[1].clone() };
        snapshot.destinations.insert(2, twin);
        let text = destinations(&snapshot, None);
        assert!(text.contains(" example.org (AS64496) ") && text.contains(" example.org (AS64500) "), "{text}");
    }

    #[test]
    fn a_refuted_country_is_marked_and_explained() {
        let mut snapshot = fixture::scrape().snapshot;
        let told = |snapshot: &Snapshot, word: &str| destinations(snapshot, None).lines().filter(|line| line.contains(word)).count();
        assert_eq!(told(&snapshot, "refuted"), 0);
        snapshot.destinations[0].verdicts = [5, 0, 7];
        assert_eq!((told(&snapshot, "Singapore, refuted"), told(&snapshot, "refuted: ")), (1, 1));
        snapshot.destinations[0].verdicts = [5, 1, 7];
        assert_eq!((told(&snapshot, "Singapore, part refuted"), told(&snapshot, "refuted: ")), (1, 1));
    }

    #[test]
    fn what_a_destination_is_for_stands_behind_its_name() {
        let mut snapshot = fixture::scrape().snapshot;
        let service = |category, ambiguous| ServiceRow { category, noise: false, vendor: None, ambiguous, bytes: 1 };
        snapshot.destinations[1].services = vec![service("ads", false)];
        assert!(destinations(&snapshot, None).contains(" example.org [ads] "));
        snapshot.destinations[1].services = vec![service("ads", true), service("push", false), service("time", false)];
        assert!(destinations(&snapshot, None).contains(" example.org [ads?, push, …] "));
    }

    #[test]
    fn a_country_that_is_no_place_or_that_a_witness_contradicts_is_marked() {
        let mut snapshot = fixture::scrape().snapshot;
        snapshot.destinations[0].location = Some(fixture::disputed().into());
        let text = destinations(&snapshot, None);
        assert!(text.contains(" Singapore, disputed ") && text.contains("\ndisputed: "), "{text}");
        snapshot.destinations[0].verdicts = [5, 0, 7];
        let text = destinations(&snapshot, None);
        assert!(text.contains(" Singapore, refuted ") && !text.contains("disputed"), "the stronger witness speaks: {text}");
        snapshot.destinations[0] =
            DestinationRow { anycast: true, verdicts: [12, 0, 0], location: None, ..snapshot.destinations[0].clone() };
        let text = destinations(&snapshot, None);
        assert!(text.contains(" Singapore (anycast) ") && !text.contains("disputed"), "{text}");
    }

    #[test]
    fn a_narrow_terminal_is_kept_to() {
        let text = destinations(&fixture::scrape().snapshot, Some(100));
        let table = text.split("\n\n").next().unwrap();
        assert!(table.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn hostile_names_inject_nothing() {
        let text = destinations(&fixture::scrape().snapshot, None);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        assert!(!text.contains('\u{202e}'));
        assert_eq!(text.lines().filter(|line| line.contains("\\u{1b}[31m")).count(), 2, "one row and one total, each on one line");
    }

    #[test]
    fn a_name_of_a_thousand_letters_does_not_widen_the_table() {
        let mut snapshot = fixture::scrape().snapshot;
        snapshot.destinations[1].destination = "x".repeat(1000).into();
        assert!(destinations(&snapshot, None).lines().all(|line| line.chars().count() < 250));
    }

    #[test]
    fn sizes_are_decimal_and_never_rounded_up() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (999_999, "999.9 kB"),
            (1_250_000, "1.2 MB"),
            (3_000_000_000, "3.0 GB"),
            (u64::MAX, "18446744.0 TB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!([grouped(0), grouped(999), grouped(1_000), grouped(12_345_678)], ["0", "999", "1,000", "12,345,678"]);
    }

    #[test]
    fn a_device_that_sent_nothing_outside_has_no_share() {
        let device = fixture::device("x", 1, fixture::both(500, 500), fixture::both(0, 0));
        let row = fixture::destination("x", "local", Origin::None, Place::Local, fixture::both(500, 500));
        assert_eq!(named_share(&device, &[&row]), "nothing went outside");
    }
}
