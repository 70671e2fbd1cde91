//! What all witnesses say of where a server is: the address databases, its name, its handshake times, and who announces it.
//!
//! Road taken: each witness says its own word, and a person reads which of them contradict each other. Road not taken: one score of
//! confidence. The witnesses are not of one kind: a short handshake refutes by physics and proves nothing else, databases copy from
//! each other, and a name says what its owner wrote.

use std::net::IpAddr;
use std::sync::Arc;

use crate::engine::geo::{Country, Opinion};
use crate::engine::location::{Finding, MARGIN_KM, Measured, reach_km};
use crate::engine::region::{Region, Whose};

/// A place that a server's name claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The place.
    pub region: Region,
    /// It stands in an alias of the name that DNS answered (CNAME), not in the name.
    pub alias: bool,
}

/// What the witnesses say of the country that the databases give a server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Witnesses {
    /// That country: the first database's that knows one.
    pub country: Option<Country>,
    /// Whether the databases agree; none where fewer than two know a country.
    pub agree: Option<bool>,
    /// What the server's name claims.
    pub claim: Option<Claim>,
    /// What the handshake's time says.
    pub finding: Finding,
    /// Its operator announces it from many places: then it has no country, whatever the others say.
    pub anycast: bool,
}

impl Witnesses {
    /// Whether the country lies where the name claims; none without a claim or a country, where the claim is too wide, and where
    /// the address has no one country.
    #[must_use]
    pub fn region_agrees(&self) -> Option<bool> {
        self.claim.filter(|_| !self.anycast)?.region.area.holds(self.country?)
    }

    /// How heavy what speaks against the country is, 0 for nothing: a handshake's time before databases that disagree, these
    /// before a name. What has no one country cannot be contradicted.
    #[must_use]
    pub fn against(&self) -> u8 {
        if self.anycast {
            return 0;
        }
        let refuted = matches!(self.finding, Finding::Refuted(_));
        u8::from(refuted) << 2 | u8::from(self.agree == Some(false)) << 1 | u8::from(self.region_agrees() == Some(false))
    }
}

/// A server, and what the witnesses say of where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Location {
    /// The server's address.
    pub server: IpAddr,
    /// Its full name, if it has one.
    pub name: Option<Arc<str>>,
    /// What they say.
    pub witnesses: Witnesses,
    /// The databases one by one, in the order in which they are asked.
    pub opinions: Arc<[Opinion]>,
}

impl Location {
    /// One sentence of all witnesses, without a full stop. It says no more than is known.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = Vec::with_capacity(4);
        if self.witnesses.anycast {
            words.push("the address is announced from many places at once (anycast), so it has no one country".to_owned());
        }
        words.push(self.databases());
        words.extend(self.claim());
        words.extend(handshake(&self.witnesses.finding));
        words.join("; ")
    }

    fn databases(&self) -> String {
        let said = || self.opinions.iter().filter_map(|opinion| opinion.country.map(|country| (country, &opinion.database.database)));
        let Some((first, _)) = said().next() else { return "no database knows its country".to_owned() };
        if said().all(|(country, _)| country == first) {
            let country = first.name();
            return match said().count() {
                1 => format!("one database says {country}"),
                2 => format!("two databases say {country}"),
                more => format!("{more} databases say {country}"),
            };
        }
        let each: Vec<String> = said().map(|(country, database)| format!("{database} says {}", country.name())).collect();
        format!("the databases disagree: {}", each.join(", "))
    }

    fn claim(&self) -> Option<String> {
        let Claim { region, alias } = self.witnesses.claim?;
        let but = if self.witnesses.region_agrees() == Some(false) { "but " } else { "" };
        let what = if alias { "an alias of the name" } else { "the name" };
        let whose = match region.kind {
            Whose::Cloud => "a cloud's own region",
            Whose::Vendor => "the vendor's own word, which may mean whom the server is for",
        };
        Some(format!("{but}{what} claims {} ({}, {whose})", region.area.words(), region.token))
    }
}

fn handshake(finding: &Finding) -> Option<String> {
    Some(match finding {
        Finding::Consistent(_) => "the handshake time does not contradict it, which proves nothing".to_owned(),
        Finding::Refuted(measured) => refuted(measured),
        Finding::NoBench => "its handshakes were held against nothing, since the sensor was not told where it stands".to_owned(),
        Finding::NoHandshake => "no handshake with it was timed".to_owned(),
        Finding::Tunnel => "it is the end of a tunnel, and where that leads to is hidden".to_owned(),
        Finding::NoCountry | Finding::Anycast => return None, // said already
    })
}

fn refuted(measured: &Measured) -> String {
    format!(
        "but a handshake took {:.1} ms, so whoever answered is at most {:.0} km away, and {} begins {:.0} km away",
        measured.least.rtt.as_secs_f64() * 1000.0,
        reach_km(measured.least.rtt) + MARGIN_KM,
        measured.country.name(),
        measured.border_km,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::engine::location::Least;
    use crate::engine::region::region_of_name;
    use crate::engine::snapshot::DatabaseRow;
    use crate::packet::Timestamp;

    fn country(code: &str) -> Country {
        Country::from_code(code).unwrap()
    }

    fn measured(milliseconds: u64) -> Measured {
        let least = Least { rtt: Duration::from_millis(milliseconds), handshakes: 3, by: (1, Timestamp::from_nanos(0)) };
        Measured { country: country("SG"), least, border_km: 9_126.0 }
    }

    /// A server in Singapore, by the first of databases that say so.
    fn location(says: &[Option<&str>], claims: Option<&str>, finding: Finding) -> Location {
        let opinion = |(number, code): (usize, &Option<&str>)| Opinion {
            database: DatabaseRow { database: format!("db{number}").into(), built: 0 },
            country: code.map(country),
        };
        let known: Vec<Country> = says.iter().flatten().map(|code| country(code)).collect();
        let witnesses = Witnesses {
            country: known.first().copied(),
            agree: (known.len() > 1).then(|| known.iter().all(|other| *other == known[0])),
            claim: claims.and_then(region_of_name).map(|region| Claim { region, alias: false }),
            finding,
            anycast: false,
        };
        let opinions = (1..).zip(says).map(opinion).collect();
        Location { server: "203.0.113.1".parse().unwrap(), name: None, witnesses, opinions }
    }

    const ELB: &str = "x.ap-southeast-1.elb.amazonaws.com";

    #[test]
    fn witnesses_that_agree_are_told_and_prove_nothing() {
        let words = location(&[Some("SG"), Some("SG")], Some(ELB), Finding::Consistent(measured(187))).words();
        assert_eq!(
            words,
            "two databases say Singapore; the name claims Singapore (ap-southeast-1, a cloud's own region); \
             the handshake time does not contradict it, which proves nothing"
        );
    }

    #[test]
    fn who_contradicts_is_told_by_name() {
        let mut seen = location(&[Some("SG"), None, Some("DE")], Some("a.eu-central-1.elb.amazonaws.com"), Finding::Refuted(measured(9)));
        assert_eq!(seen.witnesses.against(), 7);
        let words = seen.words();
        for part in [
            "the databases disagree: db1 says Singapore, db3 says Germany; ",
            "; but the name claims Germany (eu-central-1, a cloud's own region); ",
            "; but a handshake took 9.0 ms, so whoever answered is at most 999 km away, and Singapore begins 9126 km away",
        ] {
            assert!(words.contains(part), "{words}");
        }
        seen.witnesses.anycast = true;
        assert_eq!((seen.witnesses.against(), seen.witnesses.region_agrees()), (0, None));
        assert!(seen.words().starts_with("the address is announced from many places at once"));
    }

    #[test]
    fn one_witness_alone_contradicts_nobody() {
        for (seen, words) in [
            (location(&[Some("SG"), None], None, Finding::NoHandshake), "one database says Singapore; no handshake with it was timed"),
            (location(&[None], None, Finding::NoCountry), "no database knows its country"),
        ] {
            assert_eq!((seen.words().as_str(), seen.witnesses.against()), (words, 0));
        }
        let wide = location(&[Some("SG")], Some("sa.api.intl.miui.com"), Finding::NoBench);
        assert_eq!((wide.witnesses.region_agrees(), wide.witnesses.against()), (None, 0));
        assert!(wide.words().contains("the name claims places outside the vendor's home (intl, the vendor's own word"), "{}", wide.words());
    }

    #[test]
    fn a_handshake_weighs_more_than_databases_and_these_more_than_a_name() {
        let against = |says: &[Option<&str>], claims, finding| location(says, claims, finding).witnesses.against();
        let name = against(&[Some("SG")], Some("a.eu-central-1.elb.amazonaws.com"), Finding::NoHandshake);
        let databases = against(&[Some("SG"), Some("DE")], None, Finding::NoHandshake);
        let time = against(&[Some("SG")], None, Finding::Refuted(measured(9)));
        assert!(0 < name && name < databases && databases < time, "{name} {databases} {time}");
    }
}
