//! The world as a drawing: outlines and the middle of each country, for the report's maps and the page's.
//!
//! Projection: Natural Earth (T. Patterson; polynomials by B. Šavrič, B. Jenny, 2011), which needs no more than products and sums of
//! the coordinates: every machine rounds them alike. The outlines are Natural Earth's too, made coarse to what a page shows.

use std::fmt::Write as _;

use serde::Serialize;

use super::json;
use crate::engine::border::rings;
use crate::engine::geo::Country;

/// Width and height of the drawing, units; the south ends before Antarctica.
pub(in crate::export) const WIDTH: f64 = 2_000.0;
pub(in crate::export) const HEIGHT: i64 = 900;
/// The northern edge, radians of the projection's y.
const TOP: f64 = 1.36;
/// South of the drawing.
const NO_LAND: &str = "AQ";
/// Points nearer than this to the last one are left out, units.
const STEP: i64 = 3;

/// The page `/api/v1/outlines`: of each country its name, its outline as an SVG path, and its middle.
pub(in crate::export) fn page() -> String {
    #[derive(Serialize)]
    struct Drawing {
        attribution: &'static str,
        view_box: String,
        countries: Vec<Land>,
    }
    #[derive(Serialize)]
    struct Land {
        country: String,
        name: String,
        path: String,
        centre: (i64, i64),
    }
    let mut countries: Vec<Land> = middles()
        .into_iter()
        .map(|(country, centre)| Land {
            country: country.as_str().to_owned(),
            name: country.name().to_owned(),
            path: String::new(),
            centre,
        })
        .collect();
    rings(|country, ring| {
        if let Some(land) = countries.iter_mut().rfind(|land| land.country == country.as_str() && land.country != NO_LAND) {
            trace(ring, &mut land.path);
        }
    });
    let view_box = format!("0 0 {WIDTH} {HEIGHT}");
    // Text and numbers always serialise.
    json::text(&Drawing { attribution: "Made with Natural Earth, public domain", view_box, countries }).unwrap_or_default()
}

/// The outlines of all countries as one SVG path.
pub(in crate::export) fn outlines() -> String {
    let mut path = String::new();
    rings(|country, ring| {
        if country.as_str() != NO_LAND {
            trace(ring, &mut path);
        }
    });
    path
}

/// Where the signs of countries stand: the middle of each one's largest piece of land. Not each code has an outline.
pub(in crate::export) fn middles() -> Vec<(Country, (i64, i64))> {
    let mut best: Vec<(Country, f64, (i64, i64))> = Vec::new();
    rings(|country, ring| {
        let points: Vec<(f64, f64)> = ring.iter().map(|(north, east)| project(*north, *east)).map(|(x, y)| (x as f64, y as f64)).collect();
        let (area, at) = middle(&points);
        match best.iter_mut().rfind(|(known, ..)| *known == country) {
            Some(best) if area > best.1 => *best = (country, area, at),
            Some(_) => {}
            None => best.push((country, area, at)),
        }
    });
    best.into_iter().map(|(country, _, at)| (country, at)).collect()
}

/// Degrees to units.
pub(in crate::export) fn project(north: f64, east: f64) -> (i64, i64) {
    let (phi, lambda) = (north.to_radians(), east.to_radians());
    let square = phi * phi;
    let fourth = square * square;
    let across = 0.8707 - 0.131_979 * square + fourth * (-0.013_791 + fourth * (0.003_971 * square - 0.001_529 * fourth));
    let up = phi * (1.007_226 + square * (0.015_085 + fourth * (-0.044_475 + 0.028_874 * square - 0.005_916 * fourth)));
    let unit = WIDTH / (2.0 * 0.8707 * std::f64::consts::PI);
    ((WIDTH / 2.0 + lambda * across * unit).round() as i64, ((TOP - up) * unit).round() as i64)
}

/// A ring as a piece of a path, coarse; nothing of what is smaller than a point.
fn trace(ring: &[(f64, f64)], path: &mut String) {
    let mut points = ring.iter().map(|(north, east)| project(*north, *east));
    let Some(first) = points.next() else { return };
    let (mut last, mut piece, mut kept) = (first, format!("M{} {}l", first.0, first.1), 0);
    for point in points {
        let (x, y) = (point.0 - last.0, point.1 - last.1);
        if x.abs() + y.abs() < STEP {
            continue;
        }
        // A sign parts two numbers as well as a space does. Writing to a String cannot fail.
        let _ = write!(piece, "{}{x}{}{y}", if x < 0 || kept == 0 { "" } else { " " }, if y < 0 { "" } else { " " });
        (last, kept) = (point, kept + 1);
    }
    if kept >= 2 {
        path.push_str(&piece);
        path.push('z');
    }
}

/// A polygon's area and centre of gravity; of one without area, its first point.
fn middle(points: &[(f64, f64)]) -> (f64, (i64, i64)) {
    let Some(first) = points.first() else { return (0.0, (0, 0)) };
    let next = points.iter().skip(1).chain([first]);
    let (mut twice, mut x, mut y) = (0.0, 0.0, 0.0);
    for (one, other) in points.iter().zip(next) {
        let cross = one.0 * other.1 - other.0 * one.1;
        twice += cross;
        x += (one.0 + other.0) * cross;
        y += (one.1 + other.1) * cross;
    }
    if twice == 0.0 {
        return (0.0, (first.0 as i64, first.1 as i64));
    }
    (twice.abs() / 2.0, ((x / (3.0 * twice)).round() as i64, (y / (3.0 * twice)).round() as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projection_is_where_its_authors_say() {
        assert_eq!(project(0.0, 0.0), (1_000, 497));
        assert_eq!(project(0.0, 180.0), (2_000, 497));
        let (x, y) = project(54.6872, 25.2797);
        assert!((1_100..1_140).contains(&x) && (130..180).contains(&y), "Vilnius at {x} {y}");
    }

    #[test]
    fn the_world_is_small_enough_for_a_page_and_has_its_countries() {
        let path = outlines();
        assert!((20_000..120_000).contains(&path.len()), "{} bytes", path.len());
        let middles = middles();
        let near = |code: &str, (a, b): (i64, i64)| {
            let (_, (x, y)) = middles.iter().find(|(country, _)| country.as_str() == code).unwrap();
            (x - a).abs() < 30 && (y - b).abs() < 30
        };
        assert!(near("SG", project(1.35, 103.8)) && near("US", project(40.0, -99.0)), "{middles:?}");
        let told: serde_json::Value = serde_json::from_str(&page()).unwrap();
        let land = |code: &str| told["countries"].as_array().unwrap().iter().find(|land| land["country"] == code).unwrap().clone();
        assert_eq!((&land("SG")["name"], &land("AQ")["path"]), (&"Singapore".into(), &"".into()));
        let drawn: usize = told["countries"].as_array().unwrap().iter().map(|land| land["path"].as_str().unwrap().len()).sum();
        assert_eq!(drawn, path.len());
    }
}
