//! The page `/api/v1/outlines`: the outlines of countries as paths for a map. Natural Earth, public domain (`geoip/NOTICE`).
//!
//! Road taken: tenths of a degree, and points at least a quarter of one apart, which a wall display does not show; 50,000 points become
//! some 10,000. A country too small for that keeps its middle, so that something can point to it. The projection is the viewer's matter:
//! x is the longitude and y the latitude upside down, as SVG counts.

use std::fmt::Write as _;

use serde::Serialize;

use super::json;
use crate::engine::border::rings;
use crate::engine::geo::Country;

/// Units of a degree.
const FINE: f64 = 10.0;
/// Half the way around, units.
const HALF: i64 = 1_800;
/// The square of how far points stand apart at least, units.
const APART: i64 = 6;

/// The page.
pub(super) fn page() -> String {
    #[derive(Serialize)]
    struct Page {
        attribution: &'static str,
        view_box: &'static str,
        countries: Vec<Outline>,
    }
    let mut countries: Vec<(Country, String, (f64, [i64; 2]))> = Vec::new();
    rings(|country, ring| {
        let (shape, turn) = size(ring);
        let points = coarse(ring, turn);
        if countries.last().is_none_or(|(last, ..)| *last != country) {
            countries.push((country, String::new(), (-1.0, [0; 2])));
        }
        let Some((_, path, largest)) = countries.last_mut() else { return };
        if points.len() > 2 {
            write(&points, path);
        }
        if shape.0 > largest.0 {
            *largest = shape;
        }
    });
    countries.sort_by_key(|(country, ..)| *country);
    let outline = |(country, path, (_, centre)): (Country, String, _)| Outline {
        country: country.as_str().to_owned(),
        name: country.name().to_owned(),
        path,
        centre,
    };
    let page = Page {
        attribution: "Made with Natural Earth, public domain",
        view_box: "-1800 -900 3600 1800",
        countries: countries.into_iter().map(outline).collect(),
    };
    // Plain structs of text and numbers always serialise.
    json::text(&page).unwrap_or_default()
}

#[derive(Serialize)]
struct Outline {
    country: String,
    name: String,
    path: String,
    centre: [i64; 2],
}

/// A ring in tenths of a degree, x and y, turned by so much, without points that stand too near to the one before.
fn coarse(ring: &[(f64, f64)], turn: i64) -> Vec<(i64, i64)> {
    let mut points: Vec<(i64, i64)> = Vec::new();
    for (latitude, longitude) in ring {
        let (x, y) = ((longitude * FINE).round() as i64 + turn, (-latitude * FINE).round() as i64);
        let far = |last: &(i64, i64)| (x - last.0).pow(2) + (y - last.1).pow(2) >= APART;
        if points.last().is_none_or(far) {
            points.push((x, y));
        }
    }
    if points.first() == points.last() {
        points.pop();
    }
    points
}

/// How large a ring's box is and its middle; and by how much it is to be turned, since longitudes may run past the end of the map.
fn size(ring: &[(f64, f64)]) -> ((f64, [i64; 2]), i64) {
    let span = |of: fn(&(f64, f64)) -> f64| {
        let (least, most) = ring.iter().map(of).fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)));
        (most - least, ((least + most) / 2.0 * FINE).round() as i64)
    };
    let ((wide, x), (high, y)) = (span(|point| point.1), span(|point| -point.0));
    let turn = -(x + HALF).div_euclid(2 * HALF) * 2 * HALF;
    ((wide * high, [x + turn, y]), turn)
}

/// A ring as a closed path: relative steps are the shorter writing.
fn write(points: &[(i64, i64)], path: &mut String) {
    let mut last = (0, 0);
    for (index, (x, y)) in points.iter().enumerate() {
        let (right, down) = (x - last.0, y - last.1);
        // A minus parts numbers too. Writing to a String cannot fail.
        let _ = match index {
            0 => write!(path, "M{x}"),
            1 => write!(path, "l{right}"),
            _ if right < 0 => write!(path, "{right}"),
            _ => write!(path, " {right}"),
        };
        let _ = if down < 0 { write!(path, "{down}") } else { write!(path, " {down}") };
        last = (*x, *y);
    }
    path.push('Z');
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_country_has_a_middle_inside_the_map_and_most_a_path_and_the_whole_is_small() {
        let page = super::page();
        assert!(page.len() < 150_000, "{}", page.len());
        let page: serde_json::Value = serde_json::from_str(&page).unwrap();
        let countries = page["countries"].as_array().unwrap();
        let drawn = countries.iter().filter(|country| country["path"] != "").count();
        assert!(countries.len() > 230 && drawn > 190, "{} {drawn}", countries.len());
        for country in countries {
            let path = country["path"].as_str().unwrap();
            assert!(path.bytes().all(|byte| b"MlZ0123456789- ".contains(&byte)), "{}", country["country"]);
            let (x, y) = (country["centre"][0].as_i64().unwrap(), country["centre"][1].as_i64().unwrap());
            assert!(x.abs() <= 1_800 && y.abs() <= 900, "{} {x} {y}", country["country"]);
        }
        for (code, x, y) in [("LT", 239, -552), ("SG", 1_038, -14), ("RU", 1_037, -595)] {
            let country = countries.iter().find(|country| country["country"] == code).unwrap();
            let centre = &country["centre"];
            assert!((centre[0].as_i64().unwrap() - x).abs() < 10 && (centre[1].as_i64().unwrap() - y).abs() < 10, "{code} {centre}");
        }
    }
}
