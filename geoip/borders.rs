//! Makes `geoip/borders.bin` anew, the outlines of the countries. From the root:
//!
//! ```sh
//! data=$(mktemp -d)
//! (cd "$data" && for name in world-atlas i18n-iso-countries; do
//!     mkdir $name && tar xzf "$(npm pack --silent $name)" -C $name --strip-components=1
//! done)
//! cargo run --release --example borders-rebuild -- geoip/borders.bin \
//!     "$data/world-atlas/countries-10m.json" "$data/i18n-iso-countries/codes.json"
//! ```
//!
//! The same packages give the same bytes. Road taken: Natural Earth's finest outlines, made coarse here to two kilometres, which keeps the
//! small countries (at 1:50m Gibraltar and Tuvalu are gone, at 1:110m Singapore is). Road not taken: arcs shared between
//! neighbours, as in the source; they would save a third of the file and cost its reader an index.
//!
//! Each country: its ISO 3166-1 code (2 bytes), the length of the rest (4 bytes, little end first), then rings until it ends. A ring:
//! the number of its points, then each point's latitude and longitude less the one before (the first one's less 0), in units of
//! 1/200 degree. Numbers are LEB128; differences are zigzag. The last point leads back to the first. Longitudes of a ring run on past 180°.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Units to a degree: half a kilometre each.
const UNITS: f64 = 200.0;
/// How far a dropped point may lie from the outline that remains, degrees of a great circle: two kilometres.
const TOLERANCE: f64 = 2.0 / 111.0;
/// Bytes.
const LARGEST_FILE: usize = 300_000;

/// What Natural Earth draws apart and ISO 3166-1 does not: who may be meant by a code. Contested land is everybody's who claims
/// it, so that an outline never refutes what an address database says in good faith.
const UNCODED: &[(&str, &[&str])] = &[
    ("Kosovo", &["XK", "RS"]),
    ("Somaliland", &["SO"]),
    ("N. Cyprus", &["CY"]),
    ("Cyprus U.N. Buffer Zone", &["CY"]),
    ("Dhekelia", &["CY", "GB"]),
    ("Akrotiri", &["CY", "GB"]),
    ("USNB Guantanamo Bay", &["CU", "US"]),
    ("Baikonur", &["KZ", "RU"]),
    ("Siachen Glacier", &["IN", "PK"]),
    ("Indian Ocean Ter.", &["AU"]),
    ("Coral Sea Is.", &["AU"]),
    ("Clipperton I.", &["FR"]),
    ("Bajo Nuevo Bank", &["CO"]),
    ("Serranilla Bank", &["CO"]),
    ("Spratly Is.", &[]),
    ("Scarborough Reef", &[]),
];

/// Parts that have a code of their own in ISO 3166-1, or are claimed by another: the country they are drawn with, whose they are
/// as well, and a box around them (south, north, west, east).
const PARTS: &[(&str, &str, [f64; 4])] = &[
    ("FR", "GF", [2.0, 6.0, -55.0, -51.0]),
    ("FR", "GP", [15.8, 16.6, -62.0, -60.9]),
    ("FR", "MQ", [14.3, 15.0, -61.4, -60.7]),
    ("FR", "RE", [-21.5, -20.8, 55.1, 56.0]),
    ("FR", "YT", [-13.1, -12.5, 44.9, 45.4]),
    ("NO", "SJ", [70.7, 81.0, -10.0, 35.0]),
    ("NO", "BV", [-55.0, -54.0, 3.0, 4.0]),
    ("NL", "BQ", [11.9, 17.8, -68.6, -62.8]),
    ("NZ", "TK", [-9.6, -8.4, -173.0, -171.0]),
    ("AU", "CC", [-12.3, -11.7, 96.7, 97.0]),
    ("AU", "CX", [-10.7, -10.3, 105.4, 105.8]),
    ("RU", "UA", [44.3, 46.3, 32.4, 36.7]),
    ("EH", "MA", [20.0, 28.0, -18.0, -8.0]),
];

type Point = (f64, f64);
type Ring = Vec<(i64, i64)>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [out, atlas, codes] = arguments.as_slice() else { anyhow::bail!("usage: borders-rebuild OUT.bin COUNTRIES.json CODES.json") };
    let (atlas, codes): (Value, Value) = (serde_json::from_slice(&read(atlas)?)?, serde_json::from_slice(&read(codes)?)?);
    let arcs = arcs(&atlas)?;
    let mut countries: Vec<(String, Vec<Ring>)> = Vec::new();
    for shape in list(&atlas, "/objects/countries/geometries")? {
        let owners = owners(shape, &codes)?;
        for polygon in polygons(shape, &arcs)? {
            let parts = PARTS.iter().filter(|(from, _, around)| owners.iter().any(|owner| owner == from) && is_inside(&polygon, around));
            let parts: Vec<String> = parts.map(|(_, to, _)| (*to).to_owned()).collect();
            for owner in owners.iter().chain(&parts) {
                let rings = polygon.iter().map(|ring| units(ring));
                match countries.iter_mut().find(|(code, _)| code == owner) {
                    Some((_, known)) => known.extend(rings),
                    None => countries.push((owner.clone(), rings.collect())),
                }
            }
        }
    }
    countries.sort();
    let bytes = encode(&countries);
    eprintln!("{out}: {} bytes, {} countries", bytes.len(), countries.len());
    ensure!(bytes.len() <= LARGEST_FILE, "that is more than {LARGEST_FILE} bytes");
    write(out, &bytes)
}

/// The arcs of a TopoJSON file in degrees, latitude first, made coarse. Neighbours share arcs, so their borders stay one line.
fn arcs(atlas: &Value) -> Result<Vec<Vec<Point>>> {
    let pair = |path: &str| -> Result<Point> {
        let [x, y] = list(atlas, path)? else { anyhow::bail!("{path} is no pair") };
        Ok((number(x)?, number(y)?))
    };
    let ((scale_x, scale_y), (move_x, move_y)) = (pair("/transform/scale")?, pair("/transform/translate")?);
    let mut arcs = Vec::new();
    for arc in list(atlas, "/arcs")? {
        let (mut x, mut y) = (0.0, 0.0);
        let mut points: Vec<Point> = Vec::new();
        for step in arc.as_array().context("an arc is a list")? {
            x += number(step.get(0).context("x")?)?;
            y += number(step.get(1).context("y")?)?;
            let mut longitude = x * scale_x + move_x;
            if let Some((_, before)) = points.last() {
                longitude = before + wrap(longitude - before);
            }
            points.push((y * scale_y + move_y, longitude));
        }
        arcs.push(coarse(&points));
    }
    Ok(arcs)
}

/// A line with fewer points, none of the others farther from it than the tolerance (Douglas and Peucker, 1973).
fn coarse(points: &[Point]) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let inner = points.get(1..points.len().saturating_sub(1)).unwrap_or_default();
    let off = inner.iter().map(|point| distance(*point, *first, *last)).enumerate();
    match off.max_by(|a, b| a.1.total_cmp(&b.1)) {
        Some((at, farthest)) if farthest > TOLERANCE => {
            let (head, tail) = (points.get(..at + 2).unwrap_or_default(), points.get(at + 1..).unwrap_or_default());
            let mut line = coarse(head);
            line.pop();
            line.extend(coarse(tail));
            line
        }
        _ => vec![*first, *last],
    }
}

/// Degrees from a point to a straight line between two others, on a map that is true around the point.
fn distance(point: Point, from: Point, to: Point) -> f64 {
    let shrink = point.0.to_radians().cos();
    let flat = |other: Point| ((other.1 - point.1) * shrink, other.0 - point.0);
    let ((ax, ay), (bx, by)) = (flat(from), flat(to));
    let (dx, dy) = (bx - ax, by - ay);
    let length = dx * dx + dy * dy;
    let along = if length == 0.0 { 0.0 } else { (-(ax * dx + ay * dy) / length).clamp(0.0, 1.0) };
    (ax + along * dx).hypot(ay + along * dy)
}

/// Whose a shape is, by its number in ISO 3166-1 or, without one, its name.
fn owners(shape: &Value, codes: &Value) -> Result<Vec<String>> {
    let name = shape.pointer("/properties/name").and_then(Value::as_str).context("a shape has a name")?;
    let Some(id) = shape.get("id").and_then(Value::as_str) else {
        let (_, owners) = UNCODED.iter().find(|(other, _)| *other == name).with_context(|| format!("whose is {name}?"))?;
        return Ok(owners.iter().map(|owner| (*owner).to_owned()).collect());
    };
    let row = codes.as_array().context("codes are a list")?.iter().find(|row| row.get(2).and_then(Value::as_str) == Some(id));
    let code = row.and_then(|row| row.get(0)?.as_str()).with_context(|| format!("no code for {name}, number {id}"))?;
    Ok(vec![code.to_owned()])
}

/// The polygons of a shape, each a list of closed rings.
fn polygons(shape: &Value, arcs: &[Vec<Point>]) -> Result<Vec<Vec<Vec<Point>>>> {
    let whole = shape.get("arcs").and_then(Value::as_array).context("a shape has arcs")?;
    let one = std::slice::from_ref(shape.get("arcs").context("arcs")?);
    let polygons = if shape.get("type").and_then(Value::as_str) == Some("Polygon") { one } else { whole.as_slice() };
    let rings = |polygon: &Value| polygon.as_array().context("a polygon is rings")?.iter().map(|line| ring(line, arcs)).collect();
    polygons.iter().map(rings).collect()
}

fn ring(line: &Value, arcs: &[Vec<Point>]) -> Result<Vec<Point>> {
    let mut ring: Vec<Point> = Vec::new();
    for index in line.as_array().context("a ring is arcs")? {
        let index = index.as_i64().context("an arc's number")?;
        let arc = arcs.get(usize::try_from(if index < 0 { !index } else { index })?).context("an arc that is not there")?;
        let ordered: Vec<Point> = if index < 0 { arc.iter().rev().copied().collect() } else { arc.clone() };
        for (latitude, longitude) in ordered {
            let longitude = ring.last().map_or(longitude, |(_, before)| before + wrap(longitude - before));
            ring.push((latitude, longitude));
        }
    }
    Ok(ring)
}

fn is_inside(polygon: &[Vec<Point>], [south, north, west, east]: &[f64; 4]) -> bool {
    polygon.iter().flatten().all(|(latitude, longitude)| (south..=north).contains(&latitude) && (west..=east).contains(&longitude))
}

/// A ring in units, no point twice in a row.
fn units(ring: &[Point]) -> Ring {
    let mut points: Ring = ring.iter().map(|(a, b)| ((a * UNITS).round() as i64, (b * UNITS).round() as i64)).collect();
    points.dedup();
    if points.len() > 1 && points.first() == points.last() {
        points.pop();
    }
    points
}

fn encode(countries: &[(String, Vec<Ring>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (code, rings) in countries {
        let mut body = Vec::new();
        for ring in rings {
            leb128(ring.len() as u64, &mut body);
            let mut before = (0, 0);
            for point in ring {
                zigzag(point.0 - before.0, &mut body);
                zigzag(point.1 - before.1, &mut body);
                before = *point;
            }
        }
        out.extend_from_slice(code.as_bytes());
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(&body);
    }
    out
}

fn zigzag(value: i64, out: &mut Vec<u8>) {
    leb128(((value << 1) ^ (value >> 63)) as u64, out);
}

fn leb128(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A difference of longitudes, from -180 up to 180 degrees.
fn wrap(difference: f64) -> f64 {
    (difference + 180.0).rem_euclid(360.0) - 180.0
}

fn list<'a>(value: &'a Value, path: &str) -> Result<&'a [Value]> {
    Ok(value.pointer(path).and_then(Value::as_array).with_context(|| format!("no list at {path}"))?)
}

fn number(value: &Value) -> Result<f64> {
    value.as_f64().context("not a number")
}

#[expect(clippy::disallowed_methods, reason = "a program of the person who rebuilds the data, no part of the sensor")]
fn read(path: &str) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {path}"))
}

#[expect(clippy::disallowed_methods, reason = "a program of the person who rebuilds the data, no part of the sensor")]
fn write(path: &str, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("cannot write {path}"))
}
