//! Lists of every form, and what falls under them.

use super::*;

fn list(text: &str) -> Watchlist {
    Watchlist::parse("lab", text).unwrap()
}

fn rule(list: &Watchlist, name: &str) -> Option<String> {
    list.lookup_name(name).map(|hit| hit.rule)
}

fn refused(text: &str) -> String {
    Watchlist::parse("lab", text).unwrap_err().to_string()
}

#[test]
fn the_embedded_list_knows_the_lab_hosts() {
    let list = Watchlist::embedded().unwrap();
    assert!(list.rules() > 200 && list.skipped() == 0, "{}", list.rules());
    let hit = list.lookup_name("sa.api.intl.miui.com").unwrap();
    assert_eq!((hit.vendor.as_deref(), hit.category, hit.region.as_deref()), (Some("Xiaomi"), Category::Telemetry, Some("intl")));
    assert_eq!((&*hit.ruleset, hit.ambiguous), ("whither", false));
    let hit = list.lookup_name("globalapi.ad.xiaomi.com").unwrap();
    assert_eq!((hit.category.as_str(), hit.category.is_noise()), ("config", false));
    let hit = list.lookup_name("connectivitycheck.gstatic.com").unwrap();
    assert_eq!((hit.category.as_str(), hit.category.is_noise()), ("captive_portal", true));
    assert!(list.lookup_name("play.googleapis.com").unwrap().ambiguous);
    assert_eq!(rule(&list, "12-courier.push.apple.com").as_deref(), Some("*.push.apple.com"));
    for own in ["example.com", "com", "push.apple.com.example.org", "www.oneplus.com"] {
        assert_eq!(rule(&list, own), None, "{own}");
    }
}

#[test]
fn rows_of_the_embedded_list_are_whole() {
    let text = include_str!("../../../geoip/watchlist.tsv");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [rule, vendor, category, region, ambiguous, sources] = fields[..] else { panic!("{line}") };
        assert!(!vendor.is_empty() && !region.is_empty() && matches!(ambiguous, "true" | "false"), "{line}");
        assert!(Category::from_name(category).is_some_and(|category| category != Category::Unclassified), "{line}");
        assert!(!sources.is_empty() && sources.split(' ').all(|letter| "CGKLMNOPRVX".contains(letter)), "{line}");
        assert_eq!(text.lines().filter(|other| other.split('\t').next() == Some(rule)).count(), 1, "{rule} stands twice");
    }
}

#[test]
fn a_hosts_file_lists_the_names_themselves() {
    let list = list(
        "\u{feff}# hosts\r\n127.0.0.1 localhost\r\n::1 ip6-localhost ip6-loopback\nfe80::1%lo0 localhost\n\
         255.255.255.255\tbroadcasthost\n0.0.0.0 0.0.0.0\n0.0.0.0 Tracker.Example.ORG other.example.org # two\n:: third.example.org#kept\n"
            .replace("#kept", "")
            .as_str(),
    );
    assert_eq!(rule(&list, "tracker.example.org").as_deref(), Some("tracker.example.org"));
    assert_eq!(rule(&list, "TRACKER.example.org.").as_deref(), Some("tracker.example.org"));
    assert_eq!(rule(&list, "third.example.org").as_deref(), Some("third.example.org"));
    assert_eq!(rule(&list, "below.tracker.example.org"), None);
    assert_eq!(list.lookup_address("127.0.0.1".parse().unwrap()), None, "a sink is no entry");
    assert_eq!(list.rules(), 3);
    let hit = list.lookup_name("other.example.org").unwrap();
    assert_eq!((hit.category.as_str(), hit.vendor, &*hit.ruleset), ("unclassified", None, "lab"));
}

#[test]
fn names_and_suffixes_stand_alone_on_a_line() {
    let list = list("plain.example.org\n*.below.example.org ; why\n*.zip\n_dns.resolver.arpa\n");
    assert_eq!(rule(&list, "plain.example.org").as_deref(), Some("plain.example.org"));
    assert_eq!(rule(&list, "a.plain.example.org"), None);
    assert_eq!(rule(&list, "below.example.org").as_deref(), Some("*.below.example.org"));
    assert_eq!(rule(&list, "a.b.below.example.org").as_deref(), Some("*.below.example.org"));
    assert_eq!(rule(&list, "abelow.example.org"), None, "a suffix ends at a dot");
    assert_eq!(rule(&list, "x.zip").as_deref(), Some("*.zip"));
}

#[test]
fn adblock_rules_about_hosts_count_and_others_are_passed_over() {
    let list = list(
        "[Adblock Plus 2.0]\n! Title: lab\n||ads.example.org^\n||cdn.example.net^$important\n||deep.example.net^|\n\
         @@||good.ads.example.org^\nexample.com##.banner > a\nexample.com,example.org#@#.x\n\
         ||example.com/path/ad.js\n||example.com^$third-party\n@@||ads.example.org^$domain=example.com\n||a*.example.com^\n||192.0.2.7^\n",
    );
    assert_eq!(rule(&list, "ads.example.org").as_deref(), Some("||ads.example.org^"));
    assert_eq!(rule(&list, "x.ads.example.org").as_deref(), Some("||ads.example.org^"));
    assert_eq!(rule(&list, "good.ads.example.org"), None);
    assert_eq!(rule(&list, "x.good.ads.example.org"), None);
    assert_eq!(rule(&list, "x.deep.example.net").as_deref(), Some("||deep.example.net^"));
    assert_eq!(rule(&list, "example.com"), None, "a rule about a path is not about the host");
    assert_eq!(list.lookup_address("192.0.2.7".parse().unwrap()).unwrap().rule, "192.0.2.7");
    assert_eq!(list.skipped(), 6);
}

#[test]
fn an_exception_takes_back_the_longer_rule_too() {
    let list =
        list("bad.example.org\n*.example.net\n@@||example.org^\n192.0.2.0/25\n@@||192.0.2.0/24^\n198.51.100.0/24\n@@||198.51.100.7^");
    assert_eq!(rule(&list, "bad.example.org"), None);
    assert_eq!(rule(&list, "example.net").as_deref(), Some("*.example.net"));
    let address = |text: &str| list.lookup_address(text.parse().unwrap()).map(|hit| hit.rule);
    assert_eq!(address("192.0.2.1"), None);
    assert_eq!(address("198.51.100.7"), None);
    assert_eq!(address("198.51.100.8").as_deref(), Some("198.51.100.0/24"));
}

#[test]
fn the_longest_rule_speaks() {
    let list = list("*.example.org\tA\tads\t-\tfalse\tC\n*.b.example.org\tB\tpush\tSG\ttrue\tC\nc.b.example.org\tC\ttime\t-\tfalse\tC\n");
    let of = |name: &str| list.lookup_name(name).map(|hit| (hit.rule, hit.category.as_str(), hit.ambiguous));
    assert_eq!(of("x.example.org"), Some(("*.example.org".to_owned(), "ads", false)));
    assert_eq!(of("x.b.example.org"), Some(("*.b.example.org".to_owned(), "push", true)));
    assert_eq!(of("c.b.example.org"), Some(("c.b.example.org".to_owned(), "time", false)));
    assert_eq!(of("x.c.b.example.org"), Some(("*.b.example.org".to_owned(), "push", true)));
}

#[test]
fn prefixes_nest_and_end_where_they_end() {
    let list = list(
        "# nets\n192.0.0.0/8\n192.0.2.0/24 ; SBL1\n192.0.2.64/26\n192.0.2.65\n198.51.100.9/24\n2001:db8::/32\n2001:db8:0:1::/64\n::ffff:203.0.113.0/120\n",
    );
    let of = |text: &str| list.lookup_address(text.parse().unwrap()).map(|hit| hit.rule);
    for (address, expected) in [
        ("191.255.255.255", None),
        ("192.0.0.0", Some("192.0.0.0/8")),
        ("192.0.2.63", Some("192.0.2.0/24")),
        ("192.0.2.64", Some("192.0.2.64/26")),
        ("192.0.2.65", Some("192.0.2.65")),
        ("192.0.2.66", Some("192.0.2.64/26")),
        ("192.0.2.127", Some("192.0.2.64/26")),
        ("192.0.2.128", Some("192.0.2.0/24")),
        ("192.0.3.0", Some("192.0.0.0/8")),
        ("193.0.0.0", None),
        ("198.51.100.0", Some("198.51.100.0/24")),
        ("203.0.113.5", Some("203.0.113.0/24")),
        ("::ffff:192.0.2.65", Some("192.0.2.65")),
        ("2001:db8::1", Some("2001:db8::/32")),
        ("2001:db8:0:1::1", Some("2001:db8:0:1::/64")),
        ("2001:db9::", None),
    ] {
        assert_eq!(of(address).as_deref(), expected, "{address}");
    }
    let all = Watchlist::parse("lab", "0.0.0.0/0\n::/0").unwrap();
    assert_eq!(all.lookup_address("255.255.255.255".parse().unwrap()).unwrap().rule, "0.0.0.0/0");
    assert_eq!(all.lookup_address("ffff::".parse().unwrap()).unwrap().rule, "::/0");
}

#[test]
fn a_line_that_is_no_rule_is_told_with_its_number() {
    for (line, why) in [
        ("two words", "not a rule"),
        ("<!DOCTYPE html>", "not a rule"),
        ("garbage", "one word without a dot"),
        ("/ads/banner.js", "not a host name"),
        ("http://example.org/", "not a host name"),
        ("1.2.3", "not a host name"),
        ("1.2.3.4/33", "not a host name"),
        ("192.0.2.0/24 example.org", "not a rule"),
        ("a..example.org", "not a host name"),
        (".example.org", "not a host name"),
        ("||exa mple.org^", "not a rule"),
        ("||^", "not a host name"),
        ("*.*.example.org", "not a host name"),
        ("bücher.example", "xn--"),
        ("0.0.0.0 bad!.example.org", "not a host name"),
        ("a.example.org\tA\tnonsense\t-\tfalse\tC", "category"),
        ("\u{1b}[31m.example.org", "not a host name"),
    ] {
        let error = refused(&format!("good.example.org\n{line}\n"));
        assert!(error.starts_with("line 2: ") && error.contains(why), "{line:?}: {error}");
        assert!(!error.contains('\u{1b}'), "an escape sequence reaches the terminal");
    }
    let long = refused(&"a".repeat(100_000));
    assert!(long.len() < 300, "{} bytes of an error", long.len());
    assert!(refused(&format!("{}.org", "a.".repeat(130))).contains("longer"));
    assert!(refused(&format!("{}.org", "a".repeat(64))).contains("not a host name"));
}

#[test]
fn a_list_too_large_is_refused() {
    let read = |text: &str, largest, most| parse::list("lab", text, largest, most).map(|list| list.rules());
    assert_eq!(read("a.example\n192.0.2.0/24\n2001:db8::/32\n", 38, 3), Ok(3));
    assert_eq!(read("a.example\n192.0.2.0/24\n2001:db8::/32\n", 37, 3), Ok(3));
    assert_eq!(read("a.example\n192.0.2.0/24\n2001:db8::/32\n", 36, 3), Err(Error::TooLarge));
    assert_eq!(read("a.example\n192.0.2.0/24\n2001:db8::/32\n", 38, 2), Err(Error::TooMany));
    assert_eq!(Watchlist::parse("lab", &"#".repeat(LARGEST + 1)).unwrap_err(), Error::TooLarge);
}

#[test]
fn a_file_cut_anywhere_is_read_or_refused() {
    let text = "||ads.example.org^$important\n0.0.0.0 tracker.example.org x.example.org\n192.0.2.0/24\n2001:db8::/32\n\
        a.example.org\tA\tads\t-\tfalse\tC\n@@||good.example.org^\nb\u{fc}cher\n";
    for (end, _) in text.char_indices() {
        if let Ok(list) = Watchlist::parse("lab", text.split_at(end).0) {
            let _ = (list.lookup_name("x.ads.example.org"), list.lookup_address("192.0.2.1".parse().unwrap()));
        }
    }
}

#[test]
fn no_name_is_too_strange_to_be_asked_for() {
    let list = list("*.example.org\n*.com\n");
    for name in ["", ".", "..", "...com", "\u{fc}", "a\\046b.example.org", &"a.".repeat(200), &"é".repeat(126), "%"] {
        let _ = list.lookup_name(name);
    }
    assert_eq!(rule(&list, "..example.org").as_deref(), Some("*.example.org"));
}

#[test]
fn repeated_lines_are_one_rule() {
    let list = list("a.example.org\nA.example.org.\n*.a.example.org\n192.0.2.0/24\n192.0.2.9/24\n");
    assert_eq!(list.rules(), 2);
    assert_eq!(rule(&list, "a.example.org").as_deref(), Some("a.example.org"));
    assert_eq!(rule(&list, "b.a.example.org").as_deref(), Some("*.a.example.org"));
}
