//! Whether the handshake's time allows the country that the databases give: it can refute, and it can prove nothing.
//!
//! The bound is that of constraint-based geolocation (Gueye, Ziviani, Crovella, Fdida, IMC 2004) with one vantage point. Light in
//! glass runs at 2/3 of its speed in a vacuum, and a handshake's time holds the way there and back, so whoever answered is at most
//! `rtt / 2 · 2/3 c` away: 100 km for each millisecond. Against it stands the distance to the nearest border of the country, since
//! nobody knows where in it a server should be. Glass is a little faster than that (its index is 1.468, 2 %) and radio links are
//! faster still, but no path on the ground is straight: measured ones reach 40 to 60 km for each millisecond.
//!
//! Road taken: only SYN to SYN-ACK, and a QUIC client's first flight to its answer, timed at the sensor, so the air between device and access point
//! is not in it; the least of all handshakes with an address counts. What goes wrong on the way makes a time longer,
//! and a longer time refutes less. Road not taken: the speed that paths reach in practice (4/9 c; Katz-Bassett et al., IMC 2006), which would
//! refute more and sometimes wrongly; and times inside connections, where the other side thinks before it answers.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::engine::anycast::is_anycast;
use crate::engine::border::Distances;
use crate::engine::geo::Country;
use crate::engine::snapshot::{Class, TableRow, Verdict};
use crate::engine::table::Table;
use crate::packet::Timestamp;

/// 2/3 of the speed of light, km/s.
const FIBRE_KM_S: f64 = 299_792.458 * 2.0 / 3.0;
/// What a country may lie beyond the bound and still not be refuted, km: a millisecond by which the capture's clock may be late
/// with the first packet, and the two kilometres of the outlines.
pub const MARGIN_KM: f64 = 100.0;

/// The farthest that whoever answered can be, km, when the handshake took `rtt`.
#[must_use]
pub fn reach_km(rtt: Duration) -> f64 {
    rtt.as_secs_f64() / 2.0 * FIBRE_KM_S
}

/// Where the sensor stands.
#[derive(Debug)]
pub struct Bench(Distances);

impl Bench {
    /// At a latitude and longitude, degrees.
    #[must_use]
    pub fn at(latitude: f64, longitude: f64) -> Self {
        Self(Distances::from((latitude, longitude)))
    }
}

/// The least handshake time of a server's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Least {
    /// That time.
    pub rtt: Duration,
    /// Handshakes seen.
    pub handshakes: u32,
    /// The packet that answered soonest, and its time.
    pub by: (u64, Timestamp),
}

/// What there is to say of a claimed country, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    /// The time does not contradict it.
    Consistent(Measured),
    /// The time contradicts it.
    Refuted(Measured),
    /// Nobody said where the sensor stands.
    NoBench,
    /// No database gives a country, or it has no outline.
    NoCountry,
    /// No handshake was timed, or its clock stood still.
    NoHandshake,
    /// The address is in many places.
    Anycast,
    /// The flow hides where it goes; its server's place is not the destination's.
    Tunnel,
}

/// A country held against a handshake.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// The country.
    pub country: Country,
    /// The least handshake.
    pub least: Least,
    /// Its nearest border, km.
    pub border_km: f64,
}

/// Holds the country of a server against its least handshake time.
#[must_use]
pub fn judge(bench: Option<&Bench>, server: IpAddr, country: Option<Country>, class: Class, least: Option<Least>) -> Finding {
    let Some(bench) = bench else { return Finding::NoBench };
    if matches!(class, Class::Relay | Class::Wireguard | Class::Openvpn | Class::Ipsec | Class::Tor) {
        return Finding::Tunnel;
    }
    if is_anycast(server) {
        return Finding::Anycast;
    }
    let Some((country, border_km)) = country.and_then(|country| Some((country, bench.0.to(country)?))) else { return Finding::NoCountry };
    // A time of nothing is that of a capture whose clock is too coarse, and would refute everything.
    let Some(least) = least.filter(|least| !least.rtt.is_zero()) else { return Finding::NoHandshake };
    let measured = Measured { country, least, border_km };
    if border_km > reach_km(least.rtt) + MARGIN_KM { Finding::Refuted(measured) } else { Finding::Consistent(measured) }
}

impl Finding {
    /// In one word.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Consistent(_) => Verdict::Consistent,
            Self::Refuted(_) => Verdict::Refuted,
            Self::NoBench | Self::NoCountry | Self::NoHandshake | Self::Anycast | Self::Tunnel => Verdict::Unmeasured,
        }
    }

    /// In a sentence that says no more than is known.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Consistent(measured) => format!(
                "the handshake time does not contradict the database's country: {}. That is no proof: a long time has many causes.",
                measured.words()
            ),
            Self::Refuted(measured) => format!(
                "the handshake time contradicts the database's country: {}. The address may be registered elsewhere, have moved or be \
                 in several places at once, or something on the way answered in its stead.",
                measured.words()
            ),
            Self::NoBench => "not measured: the sensor was not told where it stands (--location LAT,LON).".to_owned(),
            Self::NoCountry => "not measured: no database gives a country whose borders are known.".to_owned(),
            Self::NoHandshake => "not measured: no handshake with this address was timed.".to_owned(),
            Self::Anycast => "not measured: the address is announced from many places at once, so it has no one country.".to_owned(),
            Self::Tunnel => "not measured: the flow is a tunnel, and where it leads to is hidden.".to_owned(),
        }
    }
}

impl Measured {
    fn words(&self) -> String {
        let of_how_many = match self.least.handshakes {
            0 | 1 => "the one handshake".to_owned(),
            more => format!("the shortest of {more} handshakes"),
        };
        let begins = match self.border_km {
            0.0 => "which the sensor stands in".to_owned(),
            away => format!("which begins {away:.0} km away"),
        };
        format!(
            "{of_how_many} took {:.1} ms, so whoever answered is at most {:.0} km away (light in fibre, and {MARGIN_KM:.0} km for errors); \
             the database says {}, {begins}",
            self.least.rtt.as_secs_f64() * 1000.0,
            reach_km(self.least.rtt) + MARGIN_KM,
            self.country.name(),
        )
    }
}

/// The least handshake times by server address: an engine's own, or those of all engines of one capture.
#[derive(Debug)]
pub(super) enum Servers {
    /// One engine's.
    Own(Table<IpAddr, Least>),
    /// All engines'; whether it is this one that lets go of the silent.
    Common(Arc<Mutex<Table<IpAddr, Least>>>, bool),
}

impl Servers {
    /// An empty table of at most `limit` addresses.
    #[must_use]
    pub(super) fn new(limit: usize) -> Self {
        Self::Own(Table::new("servers", limit))
    }

    /// An empty table for several engines.
    #[must_use]
    pub(super) fn common(limit: usize) -> Common {
        Common(Arc::new(Mutex::new(Table::new("servers", limit))))
    }

    /// Takes in a handshake, answered by packet `number` at `now`; the least so far, with it. Who is pushed out or finds no room
    /// is judged by its own handshake alone, which can only refute less. `stale`: the silence after which one may be pushed out.
    pub(super) fn note(&mut self, server: IpAddr, rtt: Duration, number: u64, now: Timestamp, stale: Duration) -> Least {
        let new = Least { rtt, handshakes: 1, by: (number, now) };
        match self {
            Self::Own(table) => note(table, server.to_canonical(), new, stale),
            Self::Common(table, _) => note(&mut lock(table), server.to_canonical(), new, stale),
        }
    }

    /// The least handshake time of an address.
    #[must_use]
    pub(super) fn least(&self, server: IpAddr) -> Option<Least> {
        let find = |table: &Table<IpAddr, Least>| table.find(&server.to_canonical()).and_then(|id| table.get(id)).copied();
        match self {
            Self::Own(table) => find(table),
            Self::Common(table, _) => find(&lock(table)),
        }
    }

    /// Lets an address go that was silent for `idle`; whether one went.
    pub(super) fn expire(&mut self, now: Timestamp, idle: Duration) -> bool {
        let pop = |table: &mut Table<IpAddr, Least>| table.pop_stale(now, Duration::from_mins(1), |_, silent| silent >= idle).is_some();
        match self {
            Self::Own(table) => pop(table),
            Self::Common(table, expires) => *expires && pop(&mut lock(table)),
        }
    }

    /// Its state, for the metrics; that of a table for all is told by one engine.
    #[must_use]
    pub(super) fn row(&self) -> Option<TableRow> {
        match self {
            Self::Own(table) => Some(table.row()),
            Self::Common(table, tells) => tells.then(|| lock(table).row()),
        }
    }
}

/// A table of handshakes for several engines.
#[derive(Clone, Debug)]
pub(super) struct Common(Arc<Mutex<Table<IpAddr, Least>>>);

impl Common {
    /// The table as one engine's; whether it is the first, which keeps the table.
    #[must_use]
    pub(super) fn of(&self, first: bool) -> Servers {
        Servers::Common(Arc::clone(&self.0), first)
    }
}

fn lock(table: &Mutex<Table<IpAddr, Least>>) -> MutexGuard<'_, Table<IpAddr, Least>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(table: &mut Table<IpAddr, Least>, server: IpAddr, new: Least, stale: Duration) -> Least {
    let now = new.by.1;
    let Some(id) = table.find(&server) else {
        table.make_room(now, |_, silent| silent >= stale);
        table.insert(server, new, now);
        return new;
    };
    table.touch(id, now);
    let Some(known) = table.get_mut(id) else { return new };
    let handshakes = known.handshakes.saturating_add(1);
    *known = Least { handshakes, ..if new.rtt < known.rtt { new } else { *known } };
    *known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::border::great_circle_km;

    const VILNIUS: (f64, f64) = (54.6872, 25.2797);

    fn country(code: &str) -> Option<Country> {
        Some(Country::from_code(code).unwrap())
    }

    fn least(milliseconds: f64) -> Option<Least> {
        let rtt = Duration::from_secs_f64(milliseconds / 1000.0);
        Some(Least { rtt, handshakes: 1, by: (1, Timestamp::from_nanos(0)) })
    }

    fn server() -> IpAddr {
        "203.0.113.1".parse().unwrap()
    }

    fn vilnius() -> Bench {
        Bench::at(VILNIUS.0, VILNIUS.1)
    }

    fn verdict(bench: &Bench, code: &str, milliseconds: f64) -> Verdict {
        judge(Some(bench), server(), country(code), Class::Sni, least(milliseconds)).verdict()
    }

    /// City, country, place, and the least handshake time from Vilnius at 2/3 c, ms.
    #[rustfmt::skip]
    const CITIES: [(&str, (f64, f64), f64); 14] = [
        ("PL", (52.2297, 21.0122), 3.9), ("FI", (60.1699, 24.9384), 6.1), ("RU", (55.7558, 37.6173), 7.9), ("DE", (50.1109, 8.6821), 12.3),
        ("NL", (52.3676, 4.9041), 13.7), ("IE", (53.3498, -6.2603), 20.5), ("IN", (19.0760, 72.8777), 56.3), ("CN", (39.9042, 116.4074), 65.7),
        ("US", (39.0438, -77.4874), 72.9), ("CN", (31.2304, 121.4737), 76.0), ("HK", (22.3193, 114.1694), 79.4), ("JP", (35.6762, 139.6503), 81.9),
        ("SG", (1.3521, 103.8198), 91.6), ("US", (37.3382, -121.8863), 93.2),
    ];

    #[test]
    fn the_bound_is_that_of_the_table_of_cities() {
        for (code, place, milliseconds) in CITIES {
            let reach = reach_km(Duration::from_secs_f64(milliseconds / 1000.0));
            let away = great_circle_km(VILNIUS, place);
            assert!((reach - away).abs() < away / 50.0, "{code}: {reach} km in {milliseconds} ms, {away} km away");
        }
    }

    #[test]
    fn a_server_where_it_is_said_to_be_is_never_refuted() {
        let bench = vilnius();
        for (code, _, milliseconds) in CITIES {
            for slower in [1.0, 1.5, 3.0, 100.0] {
                assert_eq!(verdict(&bench, code, milliseconds * slower), Verdict::Consistent, "{code} after {slower} × {milliseconds} ms");
            }
        }
    }

    #[test]
    fn a_short_handshake_refutes_a_far_country() {
        let bench = vilnius();
        for (code, milliseconds) in [("SG", 9.0), ("SG", 88.0), ("US", 18.0), ("JP", 60.0), ("IN", 30.0), ("IE", 15.0), ("DE", 1.0)] {
            assert_eq!(verdict(&bench, code, milliseconds), Verdict::Refuted, "{code} in {milliseconds} ms");
        }
        // 9,130 km less 100 km at 99.93 km for each ms.
        assert_eq!((verdict(&bench, "SG", 90.0), verdict(&bench, "SG", 92.0)), (Verdict::Refuted, Verdict::Consistent));
    }

    #[test]
    fn neighbours_and_the_own_country_are_not_refuted_by_any_time() {
        let bench = vilnius();
        for code in ["LT", "BY"] {
            assert_eq!(verdict(&bench, code, 0.001), Verdict::Consistent, "{code}: its border is nearer than the margin");
        }
        let taveuni = Bench::at(-16.85, -179.99);
        assert_eq!(verdict(&taveuni, "FJ", 0.001), Verdict::Consistent, "the antimeridian is no border");
        let maseru = Bench::at(-29.3167, 27.4833);
        assert_eq!((verdict(&maseru, "LS", 0.01), verdict(&maseru, "ZA", 0.01)), (Verdict::Consistent, Verdict::Consistent), "an enclave");
    }

    #[test]
    fn what_is_not_measured_is_not_judged() {
        let bench = vilnius();
        let with = |server: &str, code: &str, class, least| judge(Some(&bench), server.parse().unwrap(), country(code), class, least);
        for (finding, why) in [
            (judge(None, server(), country("SG"), Class::Sni, least(9.0)), Finding::NoBench),
            (judge(Some(&bench), server(), None, Class::Sni, least(9.0)), Finding::NoCountry),
            (with("203.0.113.1", "EU", Class::Sni, least(9.0)), Finding::NoCountry),
            (with("203.0.113.1", "SG", Class::Sni, None), Finding::NoHandshake),
            (with("203.0.113.1", "SG", Class::Sni, least(0.0)), Finding::NoHandshake),
            (with("1.1.1.1", "AU", Class::Sni, least(3.0)), Finding::Anycast),
            (with("203.0.113.1", "SG", Class::Relay, least(9.0)), Finding::Tunnel),
            (with("203.0.113.1", "SG", Class::Openvpn, least(9.0)), Finding::Tunnel),
        ] {
            assert_eq!(finding, why);
            assert_eq!(finding.verdict(), Verdict::Unmeasured);
            assert!(finding.words().starts_with("not measured: "));
        }
    }

    #[test]
    fn the_words_say_no_more_than_is_known() {
        let bench = vilnius();
        let words = |milliseconds| judge(Some(&bench), server(), country("SG"), Class::Sni, least(milliseconds)).words();
        let (near, far) = (words(9.0), words(187.5));
        assert!(near.starts_with("the handshake time contradicts the database's country: the one handshake took 9.0 ms"), "{near}");
        assert!(near.contains("at most 999 km") && near.contains("Singapore, which begins 91"), "{near}");
        assert!(far.starts_with("the handshake time does not contradict the database's country"), "{far}");
        assert!(far.contains("no proof"), "{far}");
    }

    #[test]
    fn the_least_of_an_address_is_kept_and_a_scan_fills_nothing_past_the_cap() {
        let mut servers = Servers::new(2);
        let stale = Duration::from_secs(30);
        let at = |seconds: u64| Timestamp::from_nanos(seconds * 1_000_000_000);
        let ms = Duration::from_millis;
        for (number, milliseconds) in [(1, 20), (2, 9), (3, 11)] {
            servers.note(server(), ms(milliseconds), number, at(number), stale);
        }
        assert_eq!(servers.least(server()), Some(Least { rtt: ms(9), handshakes: 3, by: (2, at(2)) }));
        for last in 2..=250_u8 {
            servers.note(IpAddr::from([203, 0, 113, last]), ms(1), 9, at(10), stale);
        }
        assert_eq!(
            (servers.row().unwrap().entries, servers.least(server()).map(|least| least.handshakes)),
            (2, Some(3)),
            "the living stay"
        );
        servers.note(IpAddr::from([192, 0, 2, 1]), ms(1), 9, at(60), stale);
        assert!(servers.least(IpAddr::from([192, 0, 2, 1])).is_some(), "the silent leave");
    }
}
