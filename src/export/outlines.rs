//! The page `/api/v1/outlines`: the outlines of countries as paths for a map. Natural Earth, public domain (`geoip/NOTICE`).
//!
//! Road taken: a tenth of a degree, which a wall display does not show, and no island below that; 50,000 points become some 15,000.
//! The projection is the viewer's matter: x is the longitude and y the latitude upside down, as SVG counts.

use std::fmt::Write as _;

use serde::Serialize;

use super::json;
use crate::engine::border::rings;
use crate::engine::geo::Country;

/// Points of a degree.
const FINE: f64 = 10.0;

/// The page.
pub(super) fn page() -> String {
    #[derive(Serialize)]
    struct Page {
        attribution: &'static str,
        view_box: &'static str,
        countries: Vec<Outline>,
    }
    let mut countries: Vec<(Country, String, (i64, [f64; 2]))> = Vec::new();
    rings(|country, ring| {
        let points = coarse(ring);
        if points.len() < 3 {
            return;
        }
        let shape = size(&points);
        if countries.last().is_none_or(|(last, ..)| *last != country) {
            countries.push((country, String::new(), (i64::MIN, [0.0; 2])));
        }
        let Some((_, path, largest)) = countries.last_mut() else { return };
        write(&points, path);
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
        view_box: "-180 -90 360 180",
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
    centre: [f64; 2],
}

/// A ring in tenths of a degree, x and y, without points that fall together.
fn coarse(ring: &[(f64, f64)]) -> Vec<(i64, i64)> {
    let mut points: Vec<(i64, i64)> =
        ring.iter().map(|(latitude, longitude)| ((longitude * FINE).round() as i64, (-latitude * FINE).round() as i64)).collect();
    points.dedup();
    if points.first() == points.last() {
        points.pop();
    }
    points
}

/// How large a ring's box is, and its middle.
fn size(points: &[(i64, i64)]) -> (i64, [f64; 2]) {
    let span = |of: fn(&(i64, i64)) -> i64| {
        let (least, most) = points.iter().map(of).fold((i64::MAX, i64::MIN), |(least, most), value| (least.min(value), most.max(value)));
        (most.saturating_sub(least), (least as f64 + most as f64) / 2.0 / FINE)
    };
    let ((wide, x), (high, y)) = (span(|point| point.0), span(|point| point.1));
    (wide.saturating_mul(high), [x, y])
}

/// A ring as a closed path: relative steps are the shorter writing.
fn write(points: &[(i64, i64)], path: &mut String) {
    let mut last = (0, 0);
    for (index, point) in points.iter().enumerate() {
        let step = (point.0.saturating_sub(last.0), point.1.saturating_sub(last.1));
        let command = if index == 0 { 'M' } else { 'l' };
        let ((x, y), degrees) = (if index == 0 { *point } else { step }, |value: i64| value as f64 / FINE);
        // Writing to a String cannot fail.
        let _ = write!(path, "{command}{} {}", degrees(x), degrees(y));
        last = *point;
    }
    path.push('Z');
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_country_has_a_path_inside_the_map_and_the_whole_is_small() {
        let page = super::page();
        assert!(page.len() < 400_000, "{}", page.len());
        let page: serde_json::Value = serde_json::from_str(&page).unwrap();
        let countries = page["countries"].as_array().unwrap();
        assert!(countries.len() > 200, "{}", countries.len());
        for country in countries {
            let path = country["path"].as_str().unwrap();
            assert!(
                path.starts_with('M') && path.ends_with('Z') && path.bytes().all(|byte| b"MlZ0123456789.- ".contains(&byte)),
                "{country}"
            );
        }
        let lithuania = countries.iter().find(|country| country["country"] == "LT").unwrap();
        let (x, y) = (lithuania["centre"][0].as_f64().unwrap(), lithuania["centre"][1].as_f64().unwrap());
        assert!((x - 23.9).abs() < 1.0 && (y + 55.2).abs() < 1.0, "{x} {y}");
    }
}
