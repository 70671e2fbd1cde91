//! Address to country and AS, from MaxMind DB files: the embedded ones, and before them the user's own.
//!
//! Taken: the embedded files lie in the executable as they are, and lookups read them in place. Starting costs nothing, and only the
//! pages that a lookup touches are ever loaded. Not taken: compressing them, since every run on a small capture would pay for it
//! (all three, one core: plain 13.5 MB and 0 ms; lz4 9.6 MB, 17 ms; gzip 7.7 MB, 48 ms; zstd 6.8 MB, 100 ms), while packages and
//! repositories compress them anyway. The last answers are remembered: a flow asks for its server when it begins, at its hello, when its
//! account is fixed and when it ends, and each descent through three trees that lie scattered over 13 MB cost as much as reading a hello.
//!
//! The makers of such files do not agree on the keys, and a file with other keys answers nothing without saying so. So every file of
//! the user's is probed when it is loaded: real records are walked until a known key gives a value, and a file that knows neither a
//! country nor an AS is refused with what it holds. The answers are estimates: anycast and moved networks mislead every such file.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, LazyLock};

use maxminddb::PathElement::{self, Key};
use maxminddb::{LookupResult, Reader};

use crate::dissect::observation::Text;
use crate::engine::anycast::is_anycast;
use crate::engine::recall::Recall;
use crate::engine::snapshot::DatabaseRow;

#[cfg(test)]
#[path = "../../geoip/mmdb_writer.rs"]
mod mmdb_writer;

/// The embedded files: name, bytes, keys. Where they come from, and whom to thank: `geoip/NOTICE`.
const EMBEDDED: [(&str, &[u8], Keys); 3] = [
    ("dbip-country", include_bytes!("../../geoip/dbip-country.mmdb"), Keys { country: Some(COUNTRY[0]), ..NO_KEYS }),
    (
        "asn-ipv4",
        include_bytes!("../../geoip/asn-ipv4.mmdb"),
        Keys { number: Some(NUMBER[0]), organisation: Some(ORGANISATION[0]), ..NO_KEYS },
    ),
    (
        "asn-ipv6",
        include_bytes!("../../geoip/asn-ipv6.mmdb"),
        Keys { number: Some(NUMBER[0]), organisation: Some(ORGANISATION[0]), ..NO_KEYS },
    ),
];

type Path = &'static [PathElement<'static>];

/// Where a country's code may stand: MaxMind and DB-IP; ip-location-db and IPinfo Lite; IPinfo. A registered country is not asked:
/// it is where the network's owner signed, not where the server is.
const COUNTRY: [Path; 3] = [&[Key("country"), Key("iso_code")], &[Key("country_code")], &[Key("country")]];

/// Where an AS's number may stand: MaxMind ASN and ISP; MaxMind Enterprise; IPinfo.
const NUMBER: [Path; 3] = [&[Key("autonomous_system_number")], &[Key("traits"), Key("autonomous_system_number")], &[Key("asn")]];

/// Where the name of its organisation may stand; the same, and both forms of IPinfo.
const ORGANISATION: [Path; 4] =
    [&[Key("autonomous_system_organization")], &[Key("traits"), Key("autonomous_system_organization")], &[Key("as_name")], &[Key("name")]];

/// Networks looked at before a file is judged, in each address family. A tree gone wrong may have no end.
const PROBE_NETWORKS: usize = 65_536;
/// Records looked at for a second fact when there is a first: a file that tells both mostly does so in every record.
const PROBE_RECORDS: usize = 1_000;
/// Pairs of addresses remembered, about a megabyte of them. A scan of the whole internet only makes each lookup cost what it costs without.
const REMEMBERED: usize = 2_048;
/// Keys named in a refusal.
const MOST_KEYS: usize = 16;
/// The longest organisation kept, in bytes: a file from elsewhere must not fill memory and lines.
const MOST_ORGANISATION: usize = 128;

/// An ISO 3166-1 alpha-2 country code, upper case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// A country from its code; `None` unless two ASCII letters.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        match code.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => Some(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()])),
            _ => None,
        }
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("ZZ")
    }

    /// Its short name in English; the code where there is none.
    #[must_use]
    pub fn name(&self) -> &str {
        let found = NAMES.binary_search_by_key(&self.as_str(), |(code, _)| code);
        found.ok().and_then(|index| NAMES.get(index)).map_or(self.as_str(), |(_, name)| name)
    }
}

/// The names of countries, by code.
static NAMES: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let mut names: Vec<_> = include_str!("../../geoip/countries.tsv").lines().filter_map(|line| line.split_once('\t')).collect();
    names.sort_unstable();
    names
});

/// What the databases know of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Located {
    /// Its country.
    pub country: Option<Country>,
    /// Its autonomous system.
    pub asn: Option<u32>,
    /// The organisation of that: at most 128 bytes, control characters replaced.
    pub organisation: Option<Arc<str>>,
    /// Whether the databases agree on its country; none where fewer than two know one.
    pub agree: Option<bool>,
}

/// What an address says by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// What the databases know of it.
    pub located: Located,
    /// The label of an account with it that has no name: its AS, `AS64496`, or `unknown`.
    pub label: Arc<str>,
    /// Its operator announces it from many places.
    pub anycast: bool,
    /// What each database that knows countries says, in the order in which they are asked.
    pub opinions: Arc<[Opinion]>,
}

/// What one database says of an address's country.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// The database, and its age.
    pub database: DatabaseRow,
    /// What it says; none where it does not know.
    pub country: Option<Country>,
}

/// Address databases, the most trusted first.
#[derive(Debug)]
pub struct GeoDb {
    databases: Vec<Arc<Database>>,
    /// How many of them are the user's; those come first.
    users: usize,
    /// The last answers.
    remembered: RefCell<Recall<Remembered, REMEMBERED>>,
}

/// An address, and what it says.
type Remembered = (IpAddr, Arc<Site>);

impl GeoDb {
    /// The databases that come with the program.
    ///
    /// # Errors
    /// Fails when the program was built with broken ones.
    pub fn embedded() -> Result<Self, GeoError> {
        let open = |(name, bytes, keys): (&str, &'static [u8], Keys)| {
            let reader = Reader::from_source(Cow::Borrowed(bytes)).map_err(|error| GeoError::broken(name, &error))?;
            Ok(Database { name: name.into(), keys, reader })
        };
        Ok(Self::of(EMBEDDED.into_iter().map(open).collect::<Result<_, _>>()?))
    }

    fn of(databases: Vec<Database>) -> Self {
        let databases = databases.into_iter().map(Arc::new).collect();
        Self { databases, users: 0, remembered: RefCell::new(Recall::new()) }
    }

    /// The same databases for another engine: they are in memory once, the last answers twice.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { databases: self.databases.clone(), users: self.users, remembered: RefCell::new(Recall::new()) }
    }

    /// Adds a file of the user's. What it knows goes before the embedded databases, and behind the files added earlier.
    ///
    /// # Errors
    /// Fails for a file that is damaged or that knows neither countries nor ASs; the error says how to mend it.
    pub fn add(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), GeoError> {
        if bytes.starts_with(&[0x1f, 0x8b]) {
            return Err(GeoError::Compressed { name: name.to_owned() });
        }
        let reader = Reader::from_source(Cow::Owned(bytes)).map_err(|error| GeoError::broken(name, &error))?;
        let keys = Keys::probe(&reader).map_err(|keys| GeoError::Useless {
            name: name.to_owned(),
            database_type: reader.metadata().database_type.clone(),
            keys,
        })?;
        self.databases.insert(self.users, Arc::new(Database { name: self.unused(name), keys, reader }));
        self.users += 1;
        self.remembered.get_mut().clear();
        Ok(())
    }

    /// What is known of an address. Fields which one database leaves open are filled by the next.
    #[must_use]
    pub fn locate(&self, ip: IpAddr) -> Located {
        self.site(ip).located.clone()
    }

    /// Everything that an address says by itself, worked out once and shared by the flows with it.
    #[must_use]
    pub fn site(&self, ip: IpAddr) -> Arc<Site> {
        let mut remembered = self.remembered.borrow_mut();
        let place = remembered.place(ip);
        if let Some((_, site)) = remembered.find(place, |(known, _)| *known == ip) {
            return Arc::clone(site);
        }
        let site = Arc::new(self.look_at(ip));
        remembered.put(place, (ip, Arc::clone(&site)));
        site
    }

    fn look_at(&self, ip: IpAddr) -> Site {
        let located = self.look_up(embedded_v4(ip));
        let label = located.asn.map_or_else(|| Arc::from("unknown"), |asn| Arc::from(format!("AS{asn}")));
        Site { label, anycast: is_anycast(ip), opinions: self.opinions(ip, located.country), located }
    }

    fn look_up(&self, ip: IpAddr) -> Located {
        let mut located = Located::default();
        for database in &self.databases {
            database.tell(ip, &mut located);
        }
        if self.databases.iter().filter(|database| database.keys.country.is_some()).count() > 1 {
            let mut others = self.databases.iter().filter_map(|database| database.country(ip)).skip(1).peekable();
            located.agree = others.peek().is_some().then(|| others.all(|country| Some(country) == located.country));
        }
        located
    }

    /// What each database that knows countries says of an address of which they say `first` together. Where there are several,
    /// one descent for each.
    fn opinions(&self, ip: IpAddr, first: Option<Country>) -> Arc<[Opinion]> {
        let mut knowing = self.databases.iter().filter(|database| database.keys.country.is_some());
        if let (Some(only), None) = (knowing.next(), knowing.next()) {
            return Arc::from([Opinion { database: only.row(), country: first }]);
        }
        let ip = embedded_v4(ip);
        let ask = |database: &Arc<Database>| Opinion { database: database.row(), country: database.country(ip) };
        self.databases.iter().filter(|database| database.keys.country.is_some()).map(ask).collect()
    }

    /// The databases in use, in the order in which they are asked.
    #[must_use]
    pub fn databases(&self) -> Vec<DatabaseRow> {
        self.databases.iter().map(|database| database.row()).collect()
    }

    /// A name that no database has yet: it becomes a metric's label.
    fn unused(&self, name: &str) -> Arc<str> {
        let taken = |name: &str| self.databases.iter().any(|database| &*database.name == name);
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default().into()
    }
}

/// A database and where in its records the facts stand.
#[derive(Debug)]
struct Database {
    name: Arc<str>,
    keys: Keys,
    reader: Reader<Cow<'static, [u8]>>,
}

impl Database {
    fn row(&self) -> DatabaseRow {
        DatabaseRow { database: Arc::clone(&self.name), built: self.reader.metadata().build_epoch }
    }

    fn record(&self, ip: IpAddr) -> Option<Record<'_>> {
        if ip.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return None;
        }
        self.reader.lookup(ip).ok()
    }

    fn country(&self, ip: IpAddr) -> Option<Country> {
        country(&self.record(ip)?, self.keys.country?)
    }

    /// Fills what is still open and known here.
    fn tell(&self, ip: IpAddr, located: &mut Located) {
        let keys = Keys {
            country: self.keys.country.filter(|_| located.country.is_none()),
            number: self.keys.number.filter(|_| located.asn.is_none()),
            organisation: self.keys.organisation,
        };
        if keys.country.is_none() && keys.number.is_none() {
            return;
        }
        let Some(record) = self.record(ip) else { return };
        if let Some(path) = keys.country {
            located.country = country(&record, path);
        }
        if let Some(path) = keys.number {
            located.asn = number(&record, path);
            located.organisation = keys.organisation.filter(|_| located.asn.is_some()).and_then(|path| organisation(&record, path));
        }
    }
}

/// Where in a database's records the facts stand.
#[derive(Clone, Copy, Debug)]
struct Keys {
    country: Option<Path>,
    number: Option<Path>,
    organisation: Option<Path>,
}

const NO_KEYS: Keys = Keys { country: None, number: None, organisation: None };

type Record<'a> = LookupResult<'a, Cow<'static, [u8]>>;

impl Keys {
    /// Finds the keys that yield values in real records; where there are none, the keys of the first record.
    fn probe(reader: &Reader<Cow<'static, [u8]>>) -> Result<Self, Vec<String>> {
        let mut keys = NO_KEYS;
        let mut first: Option<Vec<String>> = None;
        let v4 = networks(reader, Ipv4Addr::UNSPECIFIED.into());
        let v6 = networks(reader, Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0).into());
        for (seen, record) in v4.chain(v6).filter(Record::has_data).enumerate() {
            let known = keys.country.is_some() || keys.number.is_some();
            if known && (seen >= PROBE_RECORDS || (keys.country.is_some() && keys.organisation.is_some())) {
                break;
            }
            keys.country = keys.country.or_else(|| COUNTRY.into_iter().find(|path| country(&record, path).is_some()));
            keys.number = keys.number.or_else(|| NUMBER.into_iter().find(|path| number(&record, path).is_some()));
            if keys.number.is_some() {
                keys.organisation =
                    keys.organisation.or_else(|| ORGANISATION.into_iter().find(|path| organisation(&record, path).is_some()));
            }
            first.get_or_insert_with(|| record.decode::<MapKeys>().ok().flatten().unwrap_or_default().0);
        }
        if keys.country.is_none() && keys.number.is_none() { Err(first.unwrap_or_default()) } else { Ok(keys) }
    }
}

/// The networks of one address family from `start` on, with and without records, as the tree is cut. By lookups and not by the
/// reader's own walk, which has no bound in a tree that leads back into itself.
fn networks<'a>(reader: &'a Reader<Cow<'static, [u8]>>, start: IpAddr) -> impl Iterator<Item = Record<'a>> {
    let mut next = (reader.metadata().ip_version == 6 || start.is_ipv4()).then_some(start);
    std::iter::from_fn(move || {
        let record = reader.lookup(next?).ok()?;
        next = match record.network().ok()?.broadcast() {
            IpAddr::V4(last) => u32::from(last).checked_add(1).map(|next| Ipv4Addr::from(next).into()),
            IpAddr::V6(_) if start.is_ipv4() => None,
            IpAddr::V6(last) => u128::from(last).checked_add(1).map(|next| Ipv6Addr::from(next).into()),
        };
        Some(record)
    })
    .take(PROBE_NETWORKS)
}

fn country(record: &Record<'_>, path: Path) -> Option<Country> {
    let code: &str = record.decode_path(path).ok()??;
    Country::from_code(code).filter(|country| country.as_str() != "ZZ")
}

/// A number, or text like `AS64496`. AS 0 is nobody (RFC 7607).
fn number(record: &Record<'_>, path: Path) -> Option<u32> {
    let number = match record.decode_path::<u32>(path) {
        Ok(number) => number?,
        Err(_) => {
            let text: &str = record.decode_path(path).ok()??;
            text.strip_prefix("AS").unwrap_or(text).parse().ok()?
        }
    };
    (number != 0).then_some(number)
}

fn organisation(record: &Record<'_>, path: Path) -> Option<Arc<str>> {
    let whole: &str = record.decode_path(path).ok()??;
    // A character has at most four bytes, so one of four cuts falls between two of them.
    let head = (MOST_ORGANISATION - 3..=MOST_ORGANISATION).rev().find_map(|end| whole.get(..end)).unwrap_or(whole);
    if head.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return (!head.is_empty()).then(|| head.into());
    }
    Text::from_bytes(head.as_bytes()).map(|text| text.as_str().into())
}

/// The IPv4 address inside an IPv6 one: mapped (RFC 4291), NAT64's well-known prefix (RFC 6052), 6to4 (RFC 3056). The databases
/// have records only of the inner one.
fn embedded_v4(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip.to_canonical() else { return ip.to_canonical() };
    match v6.octets() {
        [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] | [0x20, 0x02, a, b, c, d, ..] => Ipv4Addr::new(a, b, c, d).into(),
        _ => ip,
    }
}

/// The keys of a record's map.
#[derive(Default)]
struct MapKeys(Vec<String>);

impl<'de> serde::Deserialize<'de> for MapKeys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self::default())
    }
}

impl<'de> serde::de::Visitor<'de> for MapKeys {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some((key, _)) = map.next_entry::<&str, serde::de::IgnoredAny>()? {
            if self.0.len() < MOST_KEYS {
                self.0.extend(Text::from_bytes(key.as_bytes()).map(|key| key.to_string()));
            }
        }
        Ok(self)
    }
}

/// Why a database file is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GeoError {
    /// It is not, or not wholly, a MaxMind DB.
    Broken {
        /// The file.
        name: String,
        /// What the reader says.
        reason: String,
    },
    /// It is a gzip file.
    Compressed {
        /// The file.
        name: String,
    },
    /// It tells neither countries nor ASs.
    Useless {
        /// The file.
        name: String,
        /// What it says it is.
        database_type: String,
        /// What its first record holds; nothing when there is none.
        keys: Vec<String>,
    },
}

impl GeoError {
    fn broken(name: &str, error: &maxminddb::MaxMindDbError) -> Self {
        Self::Broken { name: name.to_owned(), reason: error.to_string() }
    }
}

impl fmt::Display for GeoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken { name, reason } => write!(f, "{name} is not a whole MaxMind DB file ({reason}): fetch it again"),
            Self::Compressed { name } => write!(f, "{name} is compressed: unpack it first, with gunzip or tar xzf"),
            Self::Useless { name, database_type, keys } => {
                let held = if keys.is_empty() { "no records".to_owned() } else { keys.join(", ") };
                write!(
                    f,
                    "{name} ({}) tells neither country nor AS, it holds: {held}. A Country, City or ASN database is wanted",
                    Text::from_bytes(database_type.as_bytes()).map(|text| text.to_string()).unwrap_or_default()
                )
            }
        }
    }
}

impl std::error::Error for GeoError {}

#[cfg(test)]
mod tests {
    use super::mmdb_writer::{Value, Writer};
    use super::*;

    const EXAMPLE_DATE: u64 = 1_767_225_600;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn iso(code: &str) -> (&'static str, Value) {
        ("country", Value::Map(vec![("iso_code", text(code))]))
    }

    /// A file with one record for each network, given as first and last address.
    fn file(ipv4_only: bool, networks: &[(&str, &str, Value)]) -> Vec<u8> {
        let mut writer = Writer::new(ipv4_only);
        for (first, last, value) in networks {
            writer.insert(first.parse().unwrap(), last.parse().unwrap(), value.clone());
        }
        let file = writer.finish("Example", "made by a test", EXAMPLE_DATE);
        Reader::from_source(&file).unwrap().verify().unwrap();
        file
    }

    fn singapore(record: Vec<(&'static str, Value)>) -> Vec<u8> {
        file(false, &[("192.0.2.0", "192.0.2.255", Value::Map(record))])
    }

    fn only(bytes: Vec<u8>) -> GeoDb {
        let mut geo = GeoDb::of(Vec::new());
        geo.add("example.mmdb", bytes).unwrap();
        geo
    }

    fn locate(geo: &GeoDb, ip: &str) -> (Option<String>, Option<u32>, Option<String>) {
        let located = geo.locate(ip.parse().unwrap());
        (located.country.map(|country| country.as_str().to_owned()), located.asn, located.organisation.map(|name| name.to_string()))
    }

    fn known(country: &str, asn: u32, organisation: &str) -> (Option<String>, Option<u32>, Option<String>) {
        (Some(country.to_owned()), Some(asn), Some(organisation.to_owned()))
    }

    fn place(country: &str) -> (Option<String>, Option<u32>, Option<String>) {
        (Some(country.to_owned()), None, None)
    }

    fn system(asn: u32, organisation: &str) -> (Option<String>, Option<u32>, Option<String>) {
        (None, Some(asn), Some(organisation.to_owned()))
    }

    const NOTHING: (Option<String>, Option<u32>, Option<String>) = (None, None, None);

    fn refusal(bytes: Vec<u8>) -> String {
        GeoDb::of(Vec::new()).add("bad.mmdb", bytes).unwrap_err().to_string()
    }

    #[test]
    fn the_embedded_databases_know_the_hosts_this_sensor_is_about() {
        let geo = GeoDb::embedded().unwrap();
        for (ip, country, asn) in [
            ("47.241.10.20", "SG", Some(45102)),
            ("47.74.200.1", "SG", None),
            ("20.47.97.231", "NL", Some(8069)),
            ("159.138.10.10", "HK", Some(136_907)),
            ("119.8.160.1", "SG", None),
            ("80.158.10.10", "DE", None),
            ("121.36.10.10", "CN", Some(55990)),
            ("3.120.0.1", "DE", Some(16509)),
            ("13.48.0.1", "SE", Some(16509)),
            ("95.216.1.1", "FI", Some(24940)),
            ("90.131.32.1", "LT", None),
            ("78.56.0.1", "LT", None),
            ("88.119.10.1", "LT", None),
            ("71.18.1.1", "US", Some(396_986)),
            ("2001:4860:4860::8888", "CA", Some(15169)),
        ] {
            let located = geo.locate(ip.parse().unwrap());
            assert_eq!(located.country.map(|country| country.as_str().to_owned()).as_deref(), Some(country), "{ip}");
            assert!(asn.is_none() || located.asn == asn, "{ip} {located:?}");
            assert!(located.organisation.is_some(), "{ip}");
        }
        for ip in ["192.168.0.1", "192.0.2.1", "fe80::1", "0.0.0.0", "255.255.255.255", "::", "ff02::1"] {
            assert_eq!(locate(&geo, ip).1, None, "{ip}");
        }
    }

    #[test]
    fn the_embedded_databases_say_the_date_of_their_data() {
        let rows: Vec<_> = GeoDb::embedded().unwrap().databases().iter().map(|row| (row.database.to_string(), row.built)).collect();
        let june = |day: u64| 1_780_272_000 + (day - 1) * 86_400;
        let expected = [("dbip-country", june(1)), ("asn-ipv4", june(17)), ("asn-ipv6", june(17))];
        assert_eq!(rows, expected.map(|(name, built)| (name.to_owned(), built)));
    }

    #[test]
    fn the_embedded_databases_are_sound() {
        for (name, bytes, _) in EMBEDDED {
            let reader = Reader::from_source(bytes).unwrap();
            reader.verify().unwrap();
            assert!(bytes.len() <= 6_000_000, "{name}");
        }
    }

    #[test]
    fn each_database_has_its_own_word_and_silence_is_no_disagreement() {
        let country = |code: &str| file(true, &[("192.0.2.0", "192.0.2.127", Value::Map(vec![iso(code)]))]);
        let geo = |files: &[Vec<u8>]| {
            let mut geo = GeoDb::of(Vec::new());
            files.iter().for_each(|file| geo.add("x", file.clone()).unwrap());
            geo
        };
        let system = singapore(vec![("autonomous_system_number", Value::Number(64496))]);
        let wide = file(false, &[("192.0.2.0", "192.0.2.255", Value::Map(vec![iso("SG")]))]);
        let told = |geo: &GeoDb, ip: &str| {
            let ip = ip.parse().unwrap();
            let code = |opinion: &Opinion| opinion.country.map_or("-".to_owned(), |code| code.as_str().to_owned());
            let site = geo.site(ip);
            (site.opinions.iter().map(code).collect::<Vec<_>>().join(" "), site.located.agree)
        };
        let three = geo(&[country("SG"), system.clone(), country("DE"), wide.clone()]);
        assert_eq!(told(&three, "192.0.2.1"), ("SG DE SG".to_owned(), Some(false)), "a database of ASs alone has no word on it");
        assert_eq!(told(&three, "::ffff:192.0.2.1").0, "SG DE SG");
        assert_eq!(told(&three, "192.0.2.200"), ("- - SG".to_owned(), None));
        assert_eq!(told(&three, "2001:db8::1"), ("- - -".to_owned(), None));
        assert_eq!(told(&geo(&[country("SG"), wide]), "192.0.2.1"), ("SG SG".to_owned(), Some(true)));
        assert_eq!(told(&geo(&[country("SG"), system]), "192.0.2.1"), ("SG".to_owned(), None));
        let row = three.site("192.0.2.1".parse().unwrap()).opinions[1].database.clone();
        assert_eq!((&*row.database, row.built), ("x-3", EXAMPLE_DATE));
    }

    #[test]
    fn every_maker_s_keys_are_understood() {
        let cloud = "Example Cloud";
        let sg = known("SG", 64496, cloud);
        let full = |country: Vec<(&'static str, Value)>, more: Vec<(&'static str, Value)>| singapore([country, more].concat());
        let maxmind_as = || vec![("autonomous_system_number", Value::Number(64496)), ("autonomous_system_organization", text(cloud))];
        let ipinfo_as = |name| vec![("asn", text("AS64496")), (name, text(cloud))];
        let cases = [
            ("MaxMind Country", full(vec![iso("SG")], vec![]), place("SG")),
            ("MaxMind ASN", full(vec![], maxmind_as()), system(64496, cloud)),
            ("MaxMind Enterprise", full(vec![iso("SG")], vec![("traits", Value::Map(maxmind_as()))]), sg.clone()),
            ("ip-location-db country", full(vec![("country_code", text("SG"))], vec![]), place("SG")),
            ("ip-location-db both", full(vec![("country_code", text("SG"))], maxmind_as()), sg.clone()),
            (
                "IPinfo country_asn",
                full(vec![("country", text("SG")), ("country_name", text("Singapore"))], ipinfo_as("as_name")),
                sg.clone(),
            ),
            ("IPinfo Lite", full(vec![("country", text("Singapore")), ("country_code", text("SG"))], ipinfo_as("as_name")), sg.clone()),
            ("IPinfo ASN", full(vec![], ipinfo_as("name")), system(64496, cloud)),
            ("number alone", full(vec![], vec![("asn", Value::Number(64496))]), (None, Some(64496), None)),
            (
                "MaxMind City",
                full(
                    vec![("city", Value::Map(vec![("names", Value::Map(vec![("en", text("Singapore"))]))]))],
                    vec![("continent", Value::Map(vec![("code", text("AS"))])), iso("SG"), ("registered_country", iso("US").1)],
                ),
                place("SG"),
            ),
        ];
        for (maker, bytes, expected) in cases {
            let geo = only(bytes);
            assert_eq!(locate(&geo, "192.0.2.77"), expected, "{maker}");
            assert_eq!(locate(&geo, "192.0.3.1"), NOTHING, "{maker}");
        }
    }

    #[test]
    fn a_country_of_registration_is_no_place() {
        let both = Value::Map(vec![iso("LT")]);
        let registered = Value::Map(vec![("registered_country", iso("US").1)]);
        let geo = only(file(false, &[("192.0.2.0", "192.0.2.255", registered), ("203.0.113.0", "203.0.113.255", both)]));
        assert_eq!(locate(&geo, "203.0.113.1"), place("LT"));
        assert_eq!(locate(&geo, "192.0.2.1"), NOTHING);
    }

    #[test]
    fn addresses_around_an_ipv4_address_are_unwrapped() {
        let geo = only(singapore(vec![iso("SG")]));
        for ip in ["192.0.2.1", "::ffff:192.0.2.1", "64:ff9b::192.0.2.1", "2002:c000:201::1", "2002:c000:201:5:6:7:8:9"] {
            assert_eq!(locate(&geo, ip), place("SG"), "{ip}");
        }
        for ip in ["64:ff9b:1::192.0.2.1", "2001:db8::192.0.2.1", "64:ff9b::192.0.3.1"] {
            assert_eq!(locate(&geo, ip), NOTHING, "{ip}");
        }
    }

    #[test]
    fn a_file_of_one_family_knows_nothing_of_the_other() {
        let four = only(file(true, &[("198.51.100.0", "198.51.100.255", Value::Map(vec![iso("DE")]))]));
        assert_eq!(locate(&four, "198.51.100.7"), place("DE"));
        assert_eq!(locate(&four, "::ffff:198.51.100.7"), place("DE"));
        assert_eq!(locate(&four, "2001:db8::1"), NOTHING);
        let six = only(file(false, &[("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Value::Map(vec![iso("LT")]))]));
        assert_eq!(locate(&six, "2001:db8::1"), place("LT"));
        assert_eq!(locate(&six, "2001:db9::1"), NOTHING);
        assert_eq!(locate(&six, "198.51.100.7"), NOTHING);
    }

    #[test]
    fn the_user_s_files_come_first_for_what_they_know() {
        let mut geo = GeoDb::embedded().unwrap();
        let here = |code| file(false, &[("47.241.10.0", "47.241.10.255", Value::Map(vec![iso(code)]))]);
        geo.add("mine.mmdb", here("LT")).unwrap();
        geo.add("mine.mmdb", here("DE")).unwrap();
        let located = geo.locate("47.241.10.20".parse().unwrap());
        assert_eq!((located.country, located.asn), (Country::from_code("LT"), Some(45102)));
        assert_eq!(geo.locate("47.74.200.1".parse().unwrap()).country, Country::from_code("SG"));
        let names: Vec<_> = geo.databases().iter().map(|row| row.database.to_string()).collect();
        assert_eq!(names, ["mine.mmdb", "mine.mmdb-2", "dbip-country", "asn-ipv4", "asn-ipv6"]);
        assert_eq!(geo.databases()[0].built, EXAMPLE_DATE);
    }

    #[test]
    fn what_is_remembered_is_what_the_files_say_also_after_a_new_one() {
        let mut geo = GeoDb::embedded().unwrap();
        // More addresses than are remembered, each asked for again at once, and all of them once more later.
        let addresses = || (0..3 * REMEMBERED as u32).map(|number| IpAddr::from(Ipv4Addr::from(number.wrapping_mul(2_654_435_761))));
        for _ in 0..2 {
            for address in addresses().flat_map(|address| [address, address]) {
                assert_eq!(geo.locate(address), geo.look_up(address), "{address}");
            }
        }
        let mine = file(false, &[("1.0.0.0", "223.255.255.255", Value::Map(vec![iso("LT")]))]);
        geo.add("mine.mmdb", mine).unwrap();
        let lithuania = |address: &IpAddr| geo.locate(*address).country == Country::from_code("LT");
        assert!(
            addresses().filter(|address| matches!(address, IpAddr::V4(v4) if (1..224).contains(&v4.octets()[0]))).all(|it| lithuania(&it))
        );
    }

    #[test]
    fn number_and_organisation_come_from_the_same_file() {
        let mut geo = GeoDb::embedded().unwrap();
        let bare = Value::Map(vec![("autonomous_system_number", Value::Number(64496))]);
        geo.add("bare.mmdb", file(false, &[("47.241.10.0", "47.241.10.255", bare)])).unwrap();
        let located = geo.locate("47.241.10.20".parse().unwrap());
        assert_eq!((located.asn, located.organisation), (Some(64496), None));
    }

    #[test]
    fn an_organisation_without_a_number_is_not_told() {
        let record = |number| {
            Value::Map(vec![("autonomous_system_number", Value::Number(number)), ("autonomous_system_organization", text("Example"))])
        };
        let geo = only(file(false, &[("192.0.2.0", "192.0.2.255", record(0)), ("203.0.113.0", "203.0.113.255", record(64496))]));
        assert_eq!(locate(&geo, "203.0.113.1"), system(64496, "Example"));
        assert_eq!(locate(&geo, "192.0.2.1"), NOTHING);
    }

    #[test]
    fn a_file_that_would_never_answer_is_refused_with_what_it_holds() {
        let message = refusal(singapore(vec![("connection_type", text("Cellular")), ("is_anonymous", Value::Number(1))]));
        assert_eq!(
            message,
            "bad.mmdb (Example) tells neither country nor AS, it holds: connection_type, is_anonymous. \
             A Country, City or ASN database is wanted"
        );
        assert!(refusal(file(false, &[])).contains("it holds: no records"));
        let nobody = vec![("country_code", text("ZZ")), ("asn", text("AS0"))];
        assert!(refusal(singapore(nobody)).contains("country_code, asn"));
    }

    #[test]
    fn a_file_cut_short_or_packed_is_refused() {
        let whole = singapore(vec![iso("SG"), ("autonomous_system_number", Value::Number(64496))]);
        for length in 0..whole.len() {
            let message = refusal(whole[..length].to_vec());
            assert!(message.starts_with("bad.mmdb ") && message.contains("fetch it again"), "{length}: {message}");
        }
        assert!(refusal(vec![0x1f, 0x8b, 8, 0]).contains("unpack it first"));
        assert!(refusal(b"<html>404</html>".to_vec()).contains("not a whole MaxMind DB file"));
    }

    /// What the answer is does not matter; that there is one does.
    #[test]
    fn damage_anywhere_in_a_file_ends_in_an_answer_or_a_refusal() {
        let whole = singapore(vec![iso("SG"), ("asn", text("AS64496")), ("as_name", text("Example Cloud"))]);
        for at in 0..whole.len() {
            for value in [0, 0xff, whole[at] ^ 0x20, whole[at].wrapping_add(1)] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let mut geo = GeoDb::of(Vec::new());
                if geo.add("damaged.mmdb", bytes).is_ok() {
                    let _ = (locate(&geo, "192.0.2.1"), locate(&geo, "2001:db8::1"), geo.databases());
                }
            }
        }
    }

    #[test]
    fn a_tree_that_leads_back_to_its_root_is_refused_in_time() {
        let mut bytes = singapore(vec![iso("SG")]);
        let records = bytes.windows(16).position(|window| window == [0; 16]).unwrap();
        assert!(records > 6 * 100);
        bytes[..6 * 100].fill(0);
        assert!(refusal(bytes).contains("no records"));
    }

    #[test]
    fn organisations_are_bounded_and_printable() {
        for (given, kept) in [
            ("Cloud\u{1b}[31m\nInc.".to_owned(), "Cloud\u{fffd}[31m\u{fffd}Inc.".to_owned()),
            ("x".repeat(300), "x".repeat(128)),
            (format!("{}ąč", "x".repeat(125)), format!("{}ą", "x".repeat(125))),
            ("漢".repeat(90), "漢".repeat(42)),
            ("x".repeat(126), "x".repeat(126)),
        ] {
            let geo =
                only(singapore(vec![("autonomous_system_number", Value::Number(64496)), ("autonomous_system_organization", text(&given))]));
            assert_eq!(locate(&geo, "192.0.2.1").2, Some(kept));
        }
    }

    #[test]
    fn countries_have_names() {
        let name = |code| Country::from_code(code).unwrap().name().to_owned();
        assert_eq!([name("sg"), name("DE"), name("CI"), name("TR")], ["Singapore", "Germany", "Côte d'Ivoire", "Türkiye"]);
        assert_eq!([name("ZZ"), name("QQ")], ["ZZ", "QQ"]);
        assert_eq!(Country::from_code("DEU"), None);
        assert_eq!(Country::from_code("é"), None);
        let codes: Vec<_> = include_str!("../../geoip/countries.tsv").lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert_eq!(codes.len(), 250, "249 of ISO 3166-1 and Kosovo");
        assert!(codes.is_sorted() && codes.iter().all(|code| Country::from_code(code).unwrap().as_str() == *code));
    }

    #[test]
    fn the_lab_databases_answer_for_documentation_networks() {
        let mut geo = GeoDb::embedded().unwrap();
        geo.add("lab-country.mmdb", include_bytes!("../../tests/geoip/lab-country.mmdb").to_vec()).unwrap();
        geo.add("lab-asn.mmdb", include_bytes!("../../tests/geoip/lab-asn.mmdb").to_vec()).unwrap();
        assert_eq!(locate(&geo, "192.0.2.9"), known("LT", 64497, "Example Telecom Vilnius"));
        assert_eq!(locate(&geo, "198.51.100.9"), known("DE", 64498, "Example Hosting Frankfurt"));
        assert_eq!(locate(&geo, "203.0.113.9"), known("SG", 64496, "Example Cloud Singapore"));
        assert_eq!(locate(&geo, "2001:db8::9"), known("SG", 64496, "Example Cloud Singapore"));
    }

    /// Texts that repeat are pointers, of one form up to 2,048 bytes into the data, of another up to 526,336, and of a third behind.
    #[test]
    fn the_writer_s_pointers_lead_to_their_texts_near_and_far() {
        const HALF: u32 = 5_000;
        let name = |number: u32| format!("{:0>120}", number % HALF);
        let mut writer = Writer::new(true);
        for number in 1..2 * HALF {
            let address = IpAddr::from(Ipv4Addr::from(0xc000_0000 + number));
            let record = vec![("autonomous_system_number", Value::Number(number)), ("autonomous_system_organization", text(&name(number)))];
            writer.insert(address, address, Value::Map(record));
        }
        let geo = only(writer.finish("Example", "made by a test", EXAMPLE_DATE));
        for number in 1..2 * HALF {
            let located = geo.locate(Ipv4Addr::from(0xc000_0000 + number).into());
            assert_eq!((located.asn, located.organisation), (Some(number), Some(name(number).into())));
        }
    }

    /// The writer against a plain list: ranges of any shape, later ones over earlier ones.
    #[test]
    fn the_writer_s_tree_answers_as_a_list_of_ranges_does() {
        let mut seed = 7_u32;
        let mut random = move |below: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) % below
        };
        for ipv4_only in [true, false] {
            let base = 0xc000_0200;
            let mut writer = Writer::new(ipv4_only);
            let mut ranges = Vec::new();
            for _ in 0..200 {
                let (a, b) = (base + random(4096), base + random(4096));
                let (first, last, number) = (a.min(b), a.max(b).min(a.min(b) + 64), 64496 + random(4));
                writer.insert(
                    Ipv4Addr::from(first).into(),
                    Ipv4Addr::from(last).into(),
                    Value::Map(vec![("autonomous_system_number", Value::Number(number))]),
                );
                ranges.push((first..=last, number));
            }
            let geo = only(writer.finish("Example", "made by a test", EXAMPLE_DATE));
            for address in base - 10..base + 4200 {
                let expected = ranges.iter().rev().find(|(range, _)| range.contains(&address)).map(|(_, number)| *number);
                assert_eq!(geo.locate(Ipv4Addr::from(address).into()).asn, expected);
            }
        }
    }
}
