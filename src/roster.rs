//! The devices file: TOML in, [`Roster`] out, or one line that says where the file is wrong and how to mend it.
//!
//! Road taken: a walk over TOML values that know where they stand, so that every error has its line, also "this MAC stands twice".
//! Road not taken: deriving it with serde, whose errors know the line of what is malformed, not of what contradicts another line.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Error, Result, anyhow};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::{nearest, words};
use crate::dissect::observation::Text;
use crate::engine::geo::Country;
use crate::engine::roster::{Entry, MOST_DEVICES, MOST_KEYS, Roster};
use crate::packet::Mac;

/// Bytes of a devices file: a wrong path may lead to something endless.
pub const LARGEST: usize = 1 << 20;
/// Characters of an alias: it is a label of every series of its device, and a cell of the table.
pub const LONGEST_ALIAS: usize = 64;

/// Countries of one device: more than there are.
const MOST_COUNTRIES: usize = 256;

const KEYS: [&str; 6] = ["alias", "mac", "address", "notes", "expected", "split"];

/// The roster of a file's text, of which `path` is told in errors. An empty text is an empty roster.
///
/// # Errors
/// What is wrong, in which line, and how to mend it.
pub fn parse(text: &str, path: &Path) -> Result<Roster> {
    let file = File { text, path };
    if text.len() > LARGEST {
        return Err(anyhow!("{}: more than {LARGEST} bytes: that is no devices file", path.display()));
    }
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        file.wrong(at, &format!("not TOML: {}", words(error.message())))
    })?;
    let mut entries = Vec::new();
    for (key, value) in table.get_ref() {
        let at = key.span().start;
        if key.get_ref() != "device" {
            let key = key.get_ref();
            return Err(file.wrong(at, &format!("there is no `{key}` here; each device begins with the line [[device]]")));
        }
        let Some(list) = value.get_ref().as_array() else {
            return Err(file.wrong(at, "`device` is a list; begin each device with the line [[device]], in double brackets"));
        };
        for device in list {
            let Some(table) = device.get_ref().as_table() else {
                return Err(file.wrong(device.span().start, "this is no device; begin each with the line [[device]]"));
            };
            entries.push((file.device(table, device.span().start)?, device.span().start));
        }
    }
    if let Some((_, at)) = entries.get(MOST_DEVICES) {
        return Err(file.wrong(*at, &format!("more than {MOST_DEVICES} devices; leave out those that are gone")));
    }
    file.contradictions(&entries)?;
    Ok(Roster::new(entries.into_iter().map(|(draft, _)| draft.entry).collect()))
}

/// A device as it is written, and where.
struct Draft {
    entry: Entry,
    alias_at: usize,
    macs: Vec<(Mac, usize)>,
    addresses: Vec<(IpAddr, usize)>,
}

#[derive(Clone, Copy)]
struct File<'a> {
    text: &'a str,
    path: &'a Path,
}

type Value<'i> = Spanned<DeValue<'i>>;

impl File<'_> {
    fn device(self, table: &DeTable<'_>, begin: usize) -> Result<Draft> {
        let mut draft = Draft { entry: Entry::default(), alias_at: begin, macs: Vec::new(), addresses: Vec::new() };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "alias" => {
                    draft.alias_at = value.span().start;
                    draft.entry.alias = self.alias(value)?.into();
                }
                "mac" => draft.macs = self.each(value, MOST_KEYS, "MACs like d0:9c:7a:12:34:56", |file, at, text| file.mac(at, text))?,
                "address" => {
                    draft.addresses =
                        self.each(value, MOST_KEYS, "addresses like 192.168.77.21", |file, at, text| file.address(at, text))?
                }
                "notes" => draft.entry.notes = Some(self.text(value, "notes", Text::MAX)?.into()),
                "expected" => {
                    let countries =
                        self.each(value, MOST_COUNTRIES, "country codes like \"DE\"", |file, at, text| file.country(at, text))?;
                    draft.entry.expected = countries.into_iter().map(|(country, _)| country).collect();
                }
                "split" => {
                    let split = value.get_ref().as_bool();
                    draft.entry.split = split.ok_or_else(|| self.wrong(value.span().start, "`split` is true or false, without quotes"))?;
                }
                other => {
                    let what = format!("a device has no `{other}`; did you mean `{}`?", nearest(&KEYS, other));
                    return Err(self.wrong(key.span().start, &what));
                }
            }
        }
        if draft.entry.alias.is_empty() {
            return Err(self.wrong(begin, "this device has no alias; add a line like alias = \"mi-10t\""));
        }
        let alias = &draft.entry.alias;
        if draft.macs.is_empty() && draft.addresses.is_empty() {
            return Err(self.wrong(begin, &format!("`{alias}` has neither `mac` nor `address`, so nothing can be known as it; add one")));
        }
        if draft.entry.split && draft.macs.is_empty() {
            return Err(self.wrong(begin, &format!("`{alias}` is split but has no `mac`; add the MAC that the others stand behind")));
        }
        draft.entry.macs = draft.macs.iter().map(|(mac, _)| *mac).collect();
        draft.entry.addresses = draft.addresses.iter().map(|(address, _)| *address).collect();
        draft.entry.expected.sort_unstable();
        draft.entry.expected.dedup();
        Ok(draft)
    }

    /// What no two devices may share. The line told is the later one.
    fn contradictions(self, drafts: &[(Draft, usize)]) -> Result<()> {
        let all = || drafts.iter().map(|(draft, _)| draft);
        let alias = all().map(|draft| (draft.entry.alias.to_string(), draft.alias_at)).collect();
        let mac = all().flat_map(|draft| &draft.macs).map(|(mac, at)| (mac.to_string(), *at)).collect();
        let address = all().flat_map(|draft| &draft.addresses).map(|(address, at)| (address.to_string(), *at)).collect();
        for (what, mend, items) in [
            ("alias", "give each device its own, or put all its MACs into one entry", alias),
            ("MAC", "leave one of them out", mac),
            ("address", "leave one of them out", address),
        ] {
            if let Some((item, first, second)) = twice(items) {
                return Err(self.wrong(second, &format!("the {what} {item} stands in line {} already; {mend}", self.line(first))));
            }
        }
        Ok(())
    }

    fn alias(self, value: &Value<'_>) -> Result<String> {
        let text = self.text(value, "alias", LONGEST_ALIAS)?;
        let at = value.span().start;
        if text.trim() != text {
            return Err(self.wrong(at, "the alias begins or ends with a space; leave it out"));
        }
        if mac(text).is_some() || text.parse::<IpAddr>().is_ok() {
            return Err(self.wrong(at, &format!("the alias {text} looks like a device without an alias; give it a name")));
        }
        Ok(text.to_owned())
    }

    /// Text of one line that may stand in a label.
    fn text<'t>(self, value: &'t Value<'_>, name: &str, most: usize) -> Result<&'t str> {
        let at = value.span().start;
        let text = value.get_ref().as_str().ok_or_else(|| self.wrong(at, &format!("`{name}` is text; write it in quotes")))?;
        if text.trim().is_empty() {
            return Err(self.wrong(at, &format!("`{name}` is empty; write something")));
        }
        if text.chars().count() > most {
            return Err(self.wrong(at, &format!("`{name}` is longer than {most} characters; shorten it")));
        }
        // As text from the wire: what would have to be replaced there is refused here.
        if text.chars().any(|c| Text::from_bytes(c.encode_utf8(&mut [0; 4]).as_bytes()).is_none_or(|clean| !clean.as_str().starts_with(c)))
        {
            return Err(self.wrong(at, &format!("`{name}` holds a character that is not printable; leave it out")));
        }
        Ok(text)
    }

    /// One text or a list of at most `most`, each read by `read`, with its place; `what` they are.
    fn each<T>(self, value: &Value<'_>, most: usize, what: &str, read: impl Fn(Self, usize, &str) -> Result<T>) -> Result<Vec<(T, usize)>> {
        let one = |value: &Value<'_>| {
            let at = value.span().start;
            let text = value.get_ref().as_str().ok_or_else(|| self.wrong(at, &format!("here stand {what}, in quotes")))?;
            Ok((read(self, at, text)?, at))
        };
        let Some(list) = value.get_ref().as_array() else { return Ok(vec![one(value)?]) };
        if let Some(more) = list.get(most) {
            return Err(self.wrong(more.span().start, &format!("more than {most} of these for one device; leave out those that are gone")));
        }
        list.iter().map(one).collect()
    }

    fn mac(self, at: usize, text: &str) -> Result<Mac> {
        let mac = mac(text).ok_or_else(|| self.wrong(at, &format!("`{text}` is no MAC; write six pairs like d0:9c:7a:12:34:56")))?;
        if mac.is_group() || mac.is_zero() {
            let kind = if mac.is_zero() { "the MAC of nobody" } else { "a multicast MAC" };
            return Err(self.wrong(at, &format!("{mac} is {kind}: no device sends from it; write the device's own")));
        }
        Ok(mac)
    }

    fn address(self, at: usize, text: &str) -> Result<IpAddr> {
        let address = text.parse::<IpAddr>().map(|address| address.to_canonical());
        let address = address.map_err(|_| {
            let what = format!("`{text}` is no address; write one like 192.168.77.21 or 2001:db8::21, without prefix length or zone");
            self.wrong(at, &what)
        })?;
        if address.is_multicast() || address.is_unspecified() || address == IpAddr::from([255; 4]) {
            return Err(self.wrong(at, &format!("{address} is no single device's address; write the device's own")));
        }
        Ok(address)
    }

    fn country(self, at: usize, text: &str) -> Result<Country> {
        let known = Country::from_code(text).filter(|country| country.name() != country.as_str());
        known.ok_or_else(|| {
            let mend = if text.eq_ignore_ascii_case("uk") { "the United Kingdom is GB" } else { "write two letters like DE" };
            self.wrong(at, &format!("`{text}` is no country code of ISO 3166; {mend}"))
        })
    }

    fn line(self, at: usize) -> usize {
        self.text.get(..at).unwrap_or_default().split('\n').count()
    }

    fn wrong(self, at: usize, what: &str) -> Error {
        anyhow!("{}, line {}: {what}", self.path.display(), self.line(at))
    }
}

/// The item that stands twice, and where; of several the one whose second place comes first.
fn twice(mut items: Vec<(String, usize)>) -> Option<(String, usize, usize)> {
    items.sort_unstable();
    let same = items.windows(2).filter_map(|pair| match pair {
        [(first, at), (second, again)] if first == second => Some((second, *at, *again)),
        _ => None,
    });
    same.min_by_key(|(_, _, again)| *again).map(|(item, at, again)| (item.clone(), at, again))
}

/// A MAC in a usual notation: pairs with colons or hyphens between them (the first zero of a pair may be missing), three groups
/// of four with dots, or twelve digits alone.
fn mac(text: &str) -> Option<Mac> {
    let digits: String = match text.split([':', '-']).collect::<Vec<_>>().as_slice() {
        pairs @ [_, _, _, _, _, _] if pairs.iter().all(|pair| matches!(pair.len(), 1 | 2)) => {
            pairs.iter().map(|pair| format!("{pair:0>2}")).collect()
        }
        [whole] => match whole.split('.').collect::<Vec<_>>().as_slice() {
            groups @ [_, _, _] if groups.iter().all(|group| group.len() == 4) => groups.concat(),
            [digits] => (*digits).to_owned(),
            _ => return None,
        },
        _ => return None,
    };
    if digits.len() != 12 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let [_, _, octets @ ..] = u64::from_str_radix(&digits, 16).ok()?.to_be_bytes();
    Some(Mac(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Roster> {
        parse(text, Path::new("d.toml"))
    }

    #[test]
    fn a_device_with_all_its_fields() {
        let roster = read(
            "[[device]]\nalias = 'mi-10t'\nmac = ['d0:9c:7a:12:34:56', '02-5A-11-22-33-44']\naddress = '192.168.77.21'\n\
             notes = \"bench phone 1, MIUI 12.0.10 \\\"QJDEUXM\\\"\"\nexpected = ['SG', 'lt', 'DE', 'DE']\n\
             [[device]]\nalias = 'repeater'\nmac = 'd09c.7a12.3457'\nsplit = true\n",
        )
        .unwrap();
        let phone = roster.by_alias("mi-10t").unwrap();
        assert_eq!(phone.macs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["d0:9c:7a:12:34:56", "02:5a:11:22:33:44"]);
        assert_eq!(phone.addresses, ["192.168.77.21".parse::<IpAddr>().unwrap()]);
        assert_eq!(phone.notes.as_deref(), Some("bench phone 1, MIUI 12.0.10 \"QJDEUXM\""));
        assert_eq!(phone.expected.iter().map(Country::as_str).collect::<Vec<_>>(), ["DE", "LT", "SG"]);
        assert!(!phone.split && roster.by_mac(mac("d0:9c:7a:12:34:57").unwrap()).unwrap().split);
        assert_eq!(roster.len(), 2);
    }

    #[test]
    fn nothing_in_it_is_nobody_known() {
        assert!(read("").unwrap().is_empty() && read("# later\n").unwrap().is_empty() && read("device = []").unwrap().is_empty());
    }

    #[test]
    fn a_mac_in_every_usual_notation() {
        for text in ["02:5a:11:22:33:04", "02-5A-11-22-33-04", "2:5a:11:22:33:4", "025a.1122.3304", "025A11223304"] {
            assert_eq!(mac(text), Some(Mac([0x02, 0x5a, 0x11, 0x22, 0x33, 0x04])), "{text}");
        }
        for text in [
            "",
            "02:5a:11:22:33",
            "02:5a:11:22:33:04:05",
            "02:5a:11:22:33:0g",
            "025a.1122.33.04",
            "+25a11223304",
            "02:5a::11:22:33",
            "é25a1122330",
        ] {
            assert_eq!(mac(text), None, "{text}");
        }
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_its_mending() {
        let phone = "[[device]]\nalias = 'a'\nmac = '02:00:00:00:00:01'\n";
        let with = |line: &str| format!("{phone}{line}\n");
        let long = "x".repeat(65);
        for (text, says) in [
            ("[[device]\n".to_owned(), "line 1: not TOML"),
            ("\n[[devise]]\n".to_owned(), "line 2: there is no `devise` here; each device begins with the line [[device]]"),
            ("[device]\nalias = 'a'\n".to_owned(), "line 1: `device` is a list; begin each device with the line [[device]]"),
            (with("exspected = ['DE']"), "line 4: a device has no `exspected`; did you mean `expected`?"),
            (with("expected = ['DE',\n'XX']"), "line 5: `XX` is no country code of ISO 3166; write two letters like DE"),
            (with("expected = 'UK'"), "the United Kingdom is GB"),
            (with("expected = 'Germany'"), "line 4: `Germany` is no country code"),
            (with("expected = [5]"), "line 4: here stand country codes like \"DE\", in quotes"),
            (with("split = 'yes'"), "line 4: `split` is true or false, without quotes"),
            (with("notes = 5"), "line 4: `notes` is text; write it in quotes"),
            (with("address = '192.168.1.0/24'"), "line 4: `192.168.1.0/24` is no address; write one like"),
            (with("address = 'ff02::1'"), "line 4: ff02::1 is no single device's address"),
            (with("address = ['192.0.2.1', '::ffff:192.0.2.1']"), "line 4: the address 192.0.2.1 stands in line 4 already"),
            ("[[device]]\nmac = '02:00:00:00:00:01'\n".to_owned(), "line 1: this device has no alias; add a line like alias = "),
            ("\n[[device]]\nalias = 'a'\n".to_owned(), "line 2: `a` has neither `mac` nor `address`"),
            ("[[device]]\nalias = 'a'\naddress = '192.0.2.1'\nsplit = true\n".to_owned(), "line 1: `a` is split but has no `mac`"),
            ("[[device]]\nalias = ''\n".to_owned(), "line 2: `alias` is empty"),
            ("[[device]]\nalias = 'a '\n".to_owned(), "line 2: the alias begins or ends with a space"),
            ("[[device]]\nalias = \"a\\u202eb\"\n".to_owned(), "line 2: `alias` holds a character that is not printable"),
            ("[[device]]\nalias = \"a\\nb\"\n".to_owned(), "line 2: `alias` holds a character that is not printable"),
            (format!("[[device]]\nalias = '{long}'\n"), "line 2: `alias` is longer than 64 characters; shorten it"),
            ("[[device]]\nalias = '02-00-00-00-00-09'\n".to_owned(), "line 2: the alias 02-00-00-00-00-09 looks like a device without"),
            ("[[device]]\nalias = '192.0.2.1'\n".to_owned(), "line 2: the alias 192.0.2.1 looks like"),
            ("[[device]]\nmac = '01:00:5e:00:00:fb'\n".to_owned(), "line 2: 01:00:5e:00:00:fb is a multicast MAC: no device sends from it"),
            ("[[device]]\nmac = ['00:00:00:00:00:00']\n".to_owned(), "line 2: 00:00:00:00:00:00 is the MAC of nobody"),
            ("[[device]]\nmac = 'd0:9c'\n".to_owned(), "line 2: `d0:9c` is no MAC; write six pairs like"),
            (format!("{phone}\n{phone}"), "line 6: the alias a stands in line 2 already; give each device its own"),
            (
                format!("{phone}[[device]]\nalias = 'b'\nmac = '02-00-00-00-00-01'\n"),
                "line 6: the MAC 02:00:00:00:00:01 stands in line 3 already",
            ),
        ] {
            let said = read(&text).unwrap_err().to_string();
            assert!(said.starts_with("d.toml, line ") && said.contains(says) && said.lines().count() == 1, "{text}\n{said}");
        }
    }

    #[test]
    fn a_file_that_grew_without_end_is_refused() {
        let many: String =
            (0..=MOST_DEVICES).map(|number| format!("[[device]]\nalias = 'd{number}'\naddress = '2001:db8::{number:x}'\n")).collect();
        assert!(read(&many).unwrap_err().to_string().contains("line 3073: more than 1024 devices"));
        assert!(read(&" ".repeat(LARGEST + 1)).unwrap_err().to_string().contains("that is no devices file"));
    }
}
