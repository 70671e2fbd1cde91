//! How far away a country is at least: from a point to the nearest point of its outline, on a sphere.
//!
//! Road taken: every segment of the outline is a piece of a great circle, and the nearest point of each is found with three dot
//! products; 50,000 segments, once, when the sensor is told where it stands. Road not taken: an index over the segments, or
//! distances to capitals, which refute what is true in every large country.
//!
//! The outlines are Natural Earth's, made coarse to two kilometres (`geoip/NOTICE`); `geoip/borders.rs` says how the file is written.

use crate::engine::geo::Country;

/// The sphere's radius, km: the mean radius of the Earth (IUGG).
const RADIUS_KM: f64 = 6371.0088;
/// Units of the file to a degree.
const UNITS: f64 = 200.0;
/// Degrees: a straight line on the source's map is cut into pieces no longer than this. The 49th parallel is no great circle,
/// and would be 100 km off at its middle.
const LONGEST_PIECE: f64 = 1.0;

static OUTLINES: &[u8] = include_bytes!("../../geoip/borders.bin");

/// The distances from one place to every country that has an outline, computed once.
#[derive(Debug)]
pub struct Distances(Vec<(Country, f64)>);

impl Distances {
    /// The distances from (latitude, longitude), degrees.
    #[must_use]
    pub fn from(place: (f64, f64)) -> Self {
        let mut all: Vec<_> = outlines().map(|(country, outline)| (country, nearest_km(place, outline))).collect();
        all.sort_unstable_by_key(|(country, _)| *country);
        Self(all)
    }

    /// Kilometres to the nearest point of a country: 0 inside it, `None` for a code without an outline.
    #[must_use]
    pub fn to(&self, country: Country) -> Option<f64> {
        let index = self.0.binary_search_by_key(&country, |(code, _)| *code).ok()?;
        self.0.get(index).map(|(_, distance)| *distance)
    }
}

/// Kilometres from (latitude, longitude), degrees, to the nearest point of a country: 0 inside it, `None` for a code without an outline.
#[must_use]
pub fn distance_km(from: (f64, f64), country: Country) -> Option<f64> {
    outlines().find(|(code, _)| *code == country).map(|(_, outline)| nearest_km(from, outline))
}

/// Calls `visit` with every country and each ring of its outline: (latitude, longitude), degrees. Longitudes of a ring may run past 180.
pub fn rings(mut visit: impl FnMut(Country, &[(f64, f64)])) {
    for (country, outline) in outlines() {
        outline.rings(&mut |ring| visit(country, ring));
    }
}

/// Kilometres along the great circle between two (latitude, longitude), degrees.
#[must_use]
pub fn great_circle_km(from: (f64, f64), to: (f64, f64)) -> f64 {
    RADIUS_KM * angle(Vector::of(from), Vector::of(to))
}

/// A country's rings, still encoded.
#[derive(Clone, Copy)]
struct Outline<'a>(&'a [u8]);

/// The countries in the order of the file.
fn outlines() -> impl Iterator<Item = (Country, Outline<'static>)> {
    let mut rest = OUTLINES;
    std::iter::from_fn(move || {
        let (code, after) = rest.split_first_chunk::<2>()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let (body, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        rest = after;
        Some((Country::from_code(std::str::from_utf8(code).ok()?)?, Outline(body)))
    })
}

impl<'a> Outline<'a> {
    /// Calls `visit` with the points of every ring, degrees. Longitudes of a ring may run past 180.
    fn rings(self, visit: &mut impl FnMut(&[(f64, f64)])) {
        let mut rest = self.0;
        let mut ring = Vec::new();
        while let Some(points) = leb128(&mut rest) {
            ring.clear();
            let (mut latitude, mut longitude) = (0_i64, 0_i64);
            for _ in 0..points {
                let (Some(north), Some(east)) = (zigzag(&mut rest), zigzag(&mut rest)) else { return };
                latitude = latitude.saturating_add(north);
                longitude = longitude.saturating_add(east);
                ring.push((latitude as f64 / UNITS, longitude as f64 / UNITS));
            }
            visit(&ring);
        }
    }

    /// Calls `visit` with both ends of every edge, degrees. Longitudes of a ring may run past 180.
    fn edges(self, visit: &mut impl FnMut((f64, f64), (f64, f64))) {
        self.rings(&mut |ring| {
            ring.iter().zip(ring.iter().skip(1)).for_each(|(from, to)| visit(*from, *to));
            if let (Some(first), Some(last)) = (ring.first(), ring.last()) {
                visit(*last, (first.0, last.1 + wrap(first.1 - last.1)));
            }
        });
    }
}

/// Kilometres to the nearest point of an outline; 0 inside.
fn nearest_km(place: (f64, f64), outline: Outline<'_>) -> f64 {
    let here = Vector::of(place);
    let mut inside = false;
    let mut nearest = -1.0_f64;
    outline.edges(&mut |from, to| {
        inside ^= crosses(place, from, to);
        let pieces = ((to.1 - from.1).abs().max((to.0 - from.0).abs()) / LONGEST_PIECE).ceil().max(1.0);
        let mut start = Vector::of(from);
        for piece in 1..=pieces as u32 {
            let share = f64::from(piece) / pieces;
            let end = Vector::of((from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share));
            nearest = nearest.max(closeness(here, start, end));
            start = end;
        }
    });
    if inside { 0.0 } else { RADIUS_KM * nearest.clamp(-1.0, 1.0).acos() }
}

/// Whether an edge crosses the meridian of a place north of it. No country holds the North Pole, so a place with an odd number of
/// crossings on its way there is inside: this needs no edge of the map, neither at 180° nor around the South Pole.
fn crosses(place: (f64, f64), from: (f64, f64), to: (f64, f64)) -> bool {
    let west = wrap(from.1 - place.1);
    let east = west + wrap(to.1 - from.1);
    if (west < 0.0) == (east < 0.0) {
        return false;
    }
    from.0 + (to.0 - from.0) * (west / (west - east)) > place.0
}

/// The cosine of the angle from a place to the nearest point of a piece of a great circle.
fn closeness(here: Vector, from: Vector, to: Vector) -> f64 {
    let ends = here.dot(from).max(here.dot(to));
    let normal = from.cross(to);
    let length = normal.dot(normal).sqrt();
    // The foot of the perpendicular lies between the ends when it lies beyond neither.
    let between = normal.cross(from).dot(here) > 0.0 && to.cross(normal).dot(here) > 0.0;
    if length == 0.0 || !between {
        return ends;
    }
    let height = normal.dot(here) / length;
    (1.0 - height * height).max(0.0).sqrt()
}

/// A point on the unit sphere.
#[derive(Clone, Copy)]
struct Vector([f64; 3]);

impl Vector {
    fn of((latitude, longitude): (f64, f64)) -> Self {
        let ((sin, cos), (east, origin)) = (latitude.to_radians().sin_cos(), longitude.to_radians().sin_cos());
        Self([cos * origin, cos * east, sin])
    }

    fn dot(self, other: Self) -> f64 {
        let ([a, b, c], [x, y, z]) = (self.0, other.0);
        a * x + b * y + c * z
    }

    fn cross(self, other: Self) -> Self {
        let ([a, b, c], [x, y, z]) = (self.0, other.0);
        Self([b * z - c * y, c * x - a * z, a * y - b * x])
    }
}

/// The angle between two points, radians; exact for near ones and for opposite ones.
fn angle(a: Vector, b: Vector) -> f64 {
    let normal = a.cross(b);
    normal.dot(normal).sqrt().atan2(a.dot(b))
}

/// A difference of longitudes, from -180 up to 180 degrees.
fn wrap(difference: f64) -> f64 {
    (difference + 180.0).rem_euclid(360.0) - 180.0
}

fn zigzag(rest: &mut &[u8]) -> Option<i64> {
    let value = leb128(rest)?;
    let half = i64::try_from(value >> 1).ok()?;
    Some(if value & 1 == 0 { half } else { !half })
}

fn leb128(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const VILNIUS: (f64, f64) = (54.6872, 25.2797);

    fn to(from: (f64, f64), code: &str) -> f64 {
        distance_km(from, Country::from_code(code).unwrap()).unwrap_or_else(|| panic!("{code} has no outline"))
    }

    type City = (&'static str, &'static str, (f64, f64), f64, f64);

    /// City, country, place, kilometres from Vilnius to the city, and what its country is at least away.
    #[rustfmt::skip]
    const CITIES: [City; 14] = [
        ("Warsaw", "PL", (52.2297, 21.0122), 393.0, 90.0),
        ("Helsinki", "FI", (60.1699, 24.9384), 610.0, 500.0),
        ("Moscow", "RU", (55.7558, 37.6173), 790.0, 140.0), // Kaliningrad
        ("Frankfurt", "DE", (50.1109, 8.6821), 1_232.0, 600.0),
        ("Amsterdam", "NL", (52.3676, 4.9041), 1_367.0, 1_100.0),
        ("Dublin", "IE", (53.3498, -6.2603), 2_048.0, 1_950.0),
        ("Mumbai", "IN", (19.0760, 72.8777), 5_624.0, 4_300.0),
        ("Beijing", "CN", (39.9042, 116.4074), 6_563.0, 3_700.0),
        ("Ashburn", "US", (39.0438, -77.4874), 7_283.0, 5_900.0), // Alaska
        ("Shanghai", "CN", (31.2304, 121.4737), 7_595.0, 3_700.0),
        ("Hong Kong", "HK", (22.3193, 114.1694), 7_931.0, 7_850.0),
        ("Tokyo", "JP", (35.6762, 139.6503), 8_186.0, 6_900.0),
        ("Singapore", "SG", (1.3521, 103.8198), 9_151.0, 9_100.0),
        ("San Jose", "US", (37.3382, -121.8863), 9_313.0, 5_900.0),
    ];

    #[test]
    fn cities_are_as_far_from_vilnius_as_the_globe_says_and_their_countries_nearer() {
        for (city, code, place, km, least) in CITIES {
            let measured = great_circle_km(VILNIUS, place);
            assert!((measured - km).abs() < km / 100.0, "{city}: {measured} km");
            let border = to(VILNIUS, code);
            assert!(border >= least && border <= measured, "{city}: the border of {code} at {border} km");
            assert_eq!(to(place, code), 0.0, "{city} lies in {code}");
        }
    }

    #[test]
    fn all_distances_at_once_are_those_one_by_one() {
        let all = Distances::from(VILNIUS);
        for code in ["LT", "BY", "SG", "AQ", "FJ"] {
            let country = Country::from_code(code).unwrap();
            assert_eq!(all.to(country), distance_km(VILNIUS, country), "{code}");
        }
        let nobody = Country::from_code("XX").unwrap();
        assert_eq!((all.to(nobody), distance_km(VILNIUS, nobody)), (None, None));
    }

    #[test]
    fn every_country_with_a_name_has_an_outline() {
        let all = Distances::from((0.0, 0.0));
        let codes = include_str!("../../geoip/countries.tsv").lines().filter_map(|line| line.split_once('\t'));
        let without: Vec<&str> = codes.map(|(code, _)| code).filter(|code| all.to(Country::from_code(code).unwrap()).is_none()).collect();
        assert_eq!(without, [""; 0]);
    }

    #[test]
    fn who_stands_in_an_enclave_is_not_in_the_country_around_it() {
        let maseru = (-29.6, 28.2);
        assert_eq!(to(maseru, "LS"), 0.0);
        let away = to(maseru, "ZA");
        assert!((20.0..120.0).contains(&away), "{away}");
        let (pretoria, kaliningrad) = ((-25.7479, 28.2293), (54.7104, 20.4522));
        assert_eq!(to(pretoria, "ZA"), 0.0);
        assert!(to(pretoria, "LS") > 250.0);
        assert_eq!(to(kaliningrad, "RU"), 0.0, "an exclave");
        let baarle = (51.44, 4.93);
        assert!(to(baarle, "BE") < 10.0 && to(baarle, "NL") < 10.0);
    }

    #[test]
    fn the_antimeridian_is_no_border() {
        for longitude in [179.999, -180.0, 180.0, -179.999] {
            assert_eq!(to((67.5, longitude), "RU"), 0.0, "Chukotka, {longitude}");
            assert_eq!(to((-16.85, longitude), "FJ"), 0.0, "Taveuni, {longitude}");
        }
        let (west, east) = (to((-17.0, 178.9), "FJ"), to((-17.0, -178.5), "FJ"));
        assert!(west < 60.0 && east < 120.0, "{west} {east}");
        // Over the Bering Strait; Diomede lies 4 km from Diomede.
        let little = (65.7546, -168.9243);
        assert!(to(little, "RU") < 10.0 && to(little, "US") < 5.0);
        let (anadyr, nome) = ((64.7337, 177.4968), (64.5011, -165.4064));
        assert!((300.0..700.0).contains(&to(anadyr, "US")), "{}", to(anadyr, "US"));
        assert!((150.0..350.0).contains(&to(nome, "RU")), "{}", to(nome, "RU"));
    }

    #[test]
    fn at_the_poles() {
        assert_eq!(to((-90.0, 0.0), "AQ"), 0.0);
        assert_eq!(to((-89.9, 137.0), "AQ"), 0.0);
        assert!((to((-80.0, 179.99), "AQ") - to((-80.0, -180.0), "AQ")).abs() < 1.0, "Ross Sea");
        let pole = to((90.0, 12.0), "GL");
        assert!((690.0..730.0).contains(&pole), "Kaffeklubben Island is the nearest land: {pole}");
        assert!(to((90.0, 0.0), "AQ") > 16_000.0);
        assert!((to((90.0, 0.0), "RU") - to((90.0, 90.0), "RU")).abs() < 0.001);
    }

    #[test]
    fn a_border_along_a_parallel_is_no_great_circle() {
        // Halfway along the 49th parallel between Canada and the United States, 0.1 degrees to either side.
        assert_eq!(to((48.9, -109.0), "US"), 0.0);
        assert_eq!(to((49.1, -109.0), "CA"), 0.0);
        let (north, south) = (to((49.1, -109.0), "US"), to((48.9, -109.0), "CA"));
        assert!((9.0..13.0).contains(&north) && (9.0..13.0).contains(&south), "{north} {south}");
    }

    #[test]
    fn contested_land_is_everybodys_who_claims_it() {
        let (simferopol, pristina, nicosia_north) = ((44.9521, 34.1024), (42.6629, 21.1655), (35.25, 33.3));
        for (place, codes) in [(simferopol, ["RU", "UA"]), (pristina, ["XK", "RS"]), (nicosia_north, ["CY", "CY"])] {
            assert!(codes.iter().all(|code| to(place, code) < 3.0), "{place:?}");
        }
    }

    #[test]
    fn territories_far_away_are_their_own() {
        for (place, code) in
            [((4.9, -52.3), "GF"), ((-21.1, 55.5), "RE"), ((78.2, 15.6), "SJ"), ((12.2, -68.3), "BQ"), ((-10.5, 105.6), "CX")]
        {
            assert_eq!(to(place, code), 0.0, "{code}");
            assert!(to(VILNIUS, code) > 1_500.0, "{code}");
        }
        assert!(to((1.29, 103.85), "MY") < 40.0 && to((1.29, 103.85), "MY") > 5.0, "Johor, seen from Singapore");
        for code in ["MC", "VA", "GI", "MT", "LU", "BH", "MO", "TV"] {
            assert!(to(VILNIUS, code) > 900.0, "{code}");
        }
    }
}
