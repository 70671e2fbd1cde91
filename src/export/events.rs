//! An event as one line of JSON, in flat Elastic Common Schema names with dots.
//!
//! Here stands which fields each event has; [`Line`] writes them.

use std::borrow::Cow;
use std::net::IpAddr;

mod location;

use super::line::{Line, Usual, key};
use super::{dns, identity, routine};
use crate::engine::event::{
    ClientHello, Detail, DeviceNews, DnsMessage, Event, FirstContact, FlowEnd, Phase, Question, Record, RecordData, Request, Unexpected,
    Watched, Where,
};

/// Writes an event as a line; a DNS message with several questions (mDNS) as one line for each, its answers with the first.
pub fn write_line(event: &Event, sensor: &str, out: &mut Vec<u8>) {
    Writer::new(sensor).write(event, out);
}

/// Writes events as lines, as [`write_line`] does, and remembers what they have in common.
#[derive(Debug)]
pub struct Writer(Usual);

impl Writer {
    /// A writer of a sensor's lines.
    #[must_use]
    pub fn new(sensor: &str) -> Self {
        Self(Usual::of(sensor))
    }

    /// Writes an event.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        write(event, &mut self.0, out);
    }
}

fn write(event: &Event, usual: &mut Usual, out: &mut Vec<u8>) {
    if let Detail::Dns { protocol, message } = &event.detail {
        let first = message.questions.first();
        dns_line(event, usual, protocol, message, (first, &message.answers), out);
        for question in message.questions.iter().skip(1) {
            dns_line(event, usual, protocol, message, (Some(question), &[]), out);
        }
        return;
    }
    let Some(action) = action(&event.detail) else { return };
    let mut line = Line::begin(event, action, usual, out);
    match &event.detail {
        Detail::Dns { .. } | Detail::Association | Detail::Charge(_) => {}
        Detail::Hello(seen, place) => hello(seen, place, &mut line),
        Detail::Request(seen, place) => request(seen, place, &mut line),
        Detail::Device(news) => device(news, &mut line),
        Detail::NameConflict { hello, dns } => {
            line.text(key!("tls.client.server_name"), hello);
            line.list(key!("whither.dns_names"), dns, |name, line| line.value(name));
        }
        Detail::UnofferedResolver { offered } => {
            line.list(key!("whither.offered_resolvers"), offered, |address, line| line.address(*address))
        }
        Detail::SameDevice(same) => identity::same_device(same, &mut line),
        Detail::Watchlist(seen) => watched(seen, &mut line),
        Detail::ConfigPull(seen) => routine::config_pull(seen, &mut line),
        Detail::Rhythm(seen) => routine::rhythm(seen, &mut line),
        Detail::UnexpectedCountry(seen) => unexpected(seen, &mut line),
        Detail::FirstContact(seen) => first_contact(seen, &mut line),
        Detail::Mark(mark) => {
            line.text(key!("message"), mark.text.as_str());
            line.maybe(key!("whither.phase"), mark.phase.map(Phase::as_str));
        }
        Detail::Flow(flow) => flow_end(flow, &mut line),
    }
    line.end();
}

/// `event.action`; none for what is no line in the log.
pub(super) fn action(detail: &Detail) -> Option<&'static str> {
    Some(match detail {
        Detail::Charge(_) => return None,
        Detail::Dns { message, .. } if message.response => "dns-answer",
        Detail::Dns { .. } => "dns-query",
        Detail::Hello(..) => "tls-client-hello",
        Detail::Request(..) => "http-request",
        Detail::Device(_) => "device",
        Detail::Association => "association",
        Detail::NameConflict { .. } => "name-conflict",
        Detail::UnofferedResolver { .. } => "unoffered-resolver",
        Detail::SameDevice(_) => "same-device",
        Detail::Watchlist(_) => "watchlist",
        Detail::ConfigPull(_) => "config-pull",
        Detail::Rhythm(_) => "rhythm",
        Detail::UnexpectedCountry(_) => "unexpected-country",
        Detail::FirstContact(_) => "first-contact",
        Detail::Mark(_) => "mark",
        Detail::Flow(_) => "flow",
    })
}

fn dns_line(
    event: &Event,
    usual: &mut Usual,
    protocol: &str,
    message: &DnsMessage,
    (question, answers): (Option<&Question>, &[Record]),
    out: &mut Vec<u8>,
) {
    let mut line = Line::begin(event, if message.response { "dns-answer" } else { "dns-query" }, usual, out);
    line.word(key!("network.protocol"), protocol);
    line.number(key!("dns.id"), message.id);
    if let Some(question) = question {
        // Unicast DNS asks for host names; bytes that had to be escaped are no name that another tool would know it by.
        let key =
            if protocol != "dns" || question.name.is_plain() { key!("dns.question.name") } else { key!("whither.dns_question_escaped") };
        line.text(key, or_root(question.name.as_str()));
        line.word(key!("dns.question.type"), &dns::kind(question.qtype));
    }
    if message.response {
        line.word(key!("dns.response_code"), &dns::code(message.rcode));
    }
    // Known-answer lists of mDNS queries are answers too (RFC 6762, 7.1).
    line.list(key!("dns.answers"), answers, |record, line| {
        line.open(key!("name"));
        line.value(or_root(record.name.as_str()));
        line.word(key!("type"), &dns::kind(record.rtype));
        line.field(key!("data"));
        content(&record.data, line);
        line.number(key!("ttl"), record.ttl);
        line.close();
    });
    line.list(key!("dns.resolved_ip"), &addresses(answers), |(address, _), line| line.address(*address));
    line.end();
}

/// The addresses in answers, each once, in order; by sorting, since an answer of two thousand would else cost millions of comparisons.
fn addresses(answers: &[Record]) -> Vec<(IpAddr, usize)> {
    let address = |(at, record): (usize, &Record)| match record.data {
        RecordData::Address(address) => Some((address, at)),
        _ => None,
    };
    let mut addresses: Vec<_> = answers.iter().enumerate().filter_map(address).collect();
    addresses.sort_unstable();
    addresses.dedup_by_key(|(address, _)| *address);
    addresses.sort_unstable_by_key(|(_, at)| *at);
    addresses
}

/// A record's content, as a zone file would put it.
fn content(data: &RecordData, line: &mut Line<'_>) {
    match data {
        RecordData::Address(address) => line.address(*address),
        RecordData::Name(name) => line.value(or_root(name.as_str())),
        RecordData::Text(text) => line.value(text.as_str()),
        RecordData::Service { target, hints, ech, .. } => {
            let of = |v6: bool| hints.iter().filter(|hint| hint.is_ipv6() == v6).map(ToString::to_string).collect::<Vec<_>>().join(",");
            let mut text = or_root(target.as_str()).to_owned();
            for (key, value) in [(" ipv4hint=", of(false)), (" ipv6hint=", of(true))] {
                if !value.is_empty() {
                    text.push_str(key);
                    text.push_str(&value);
                }
            }
            if *ech {
                text.push_str(" ech");
            }
            line.value(&text);
        }
        RecordData::Other(length) => line.value(&format!("\\# {length}")), // RFC 3597, 5, without the bytes
    }
}

/// The root is written as a dot: an empty name would look like none.
fn or_root(name: &str) -> &str {
    if name.is_empty() { "." } else { name }
}

fn hello(seen: &ClientHello, place: &Where, line: &mut Line<'_>) {
    line.word(key!("network.protocol"), if seen.quic_version.is_some() { "quic" } else { "tls" });
    if let Some(name) = &seen.name {
        line.text(key!("tls.client.server_name"), name.as_str());
        // Beside Encrypted ClientHello the name may be the public one; the engine says so by naming no domain.
        if !seen.ech || place.domain.is_some() {
            line.text(key!("destination.domain"), name.as_str());
        }
    }
    destination(place.domain.as_deref(), place, line);
    line.list(key!("tls.client.alpn"), &seen.alpn, |name, line| line.value(name.as_str()));
    match seen.version {
        0 => {}
        version => line.word(key!("tls.version"), &tls_version(version)),
    }
    line.maybe(key!("tls.client.ja4"), seen.ja4.as_ref().map(|ja4| ja4.as_str()));
    if seen.ech {
        line.flag(key!("tls.client.ech"), true);
    }
    if let Some(version) = seen.quic_version {
        line.word(key!("quic.version"), &quic_version(version));
    }
}

fn tls_version(version: u16) -> Cow<'static, str> {
    Cow::Borrowed(match version {
        0x0304 => "1.3",
        0x0303 => "1.2",
        0x0302 => "1.1",
        0x0301 => "1.0",
        0x0300 => "ssl3",
        version => return Cow::Owned(format!("{version:#06x}")),
    })
}

fn quic_version(version: u32) -> Cow<'static, str> {
    match version {
        1 => Cow::Borrowed("1"),
        0x6b33_43cf => Cow::Borrowed("2"), // RFC 9369
        0xff00_0000..=0xff00_00ff => Cow::Owned(format!("draft-{}", version & 0xff)),
        version => Cow::Owned(format!("{version:#010x}")),
    }
}

fn request(seen: &Request, place: &Where, line: &mut Line<'_>) {
    line.word(key!("network.protocol"), "http");
    line.text(key!("http.request.method"), seen.method.as_str());
    if let Some(host) = &seen.host {
        line.text(key!("url.domain"), host.as_str());
    }
    if let Some(name) = seen.host.as_ref().or(seen.authority.as_ref()) {
        line.text(key!("destination.domain"), name.as_str());
    }
    line.maybe(key!("url.path"), seen.path.as_ref().map(|path| path.as_str()));
    line.maybe(key!("user_agent.original"), seen.agent.as_ref().map(|agent| agent.as_str()));
    destination(place.domain.as_deref(), place, line);
}

fn device(news: &DeviceNews, line: &mut Line<'_>) {
    if let Some(mac) = news.mac {
        line.field(key!("device.mac"));
        line.mac(mac);
        line.flag(key!("device.randomized_mac"), news.randomized);
    }
    line.maybe(key!("device.name"), news.name.as_deref());
    line.maybe(key!("device.hostname"), news.hostname.as_deref());
    line.maybe(key!("device.vendor"), news.vendor.as_deref());
    line.maybe(key!("device.vendor_class"), news.vendor_class.as_deref());
    line.list(key!("device.addresses"), &news.addresses, |address, line| line.address(*address));
    if news.macs.len() > 1 {
        line.list(key!("whither.macs"), &news.macs, |mac, line| line.mac(*mac));
    }
    line.maybe(key!("whither.notes"), news.notes.as_deref());
    line.list(key!("whither.expected"), &news.expected, |country, line| line.value(country.as_str()));
    line.list(key!("whither.identity"), &news.identity, identity::fact);
}

fn watched(seen: &Watched, line: &mut Line<'_>) {
    let hit = &seen.hit;
    line.maybe(key!("destination.domain"), seen.name.as_deref());
    destination(seen.place.domain.as_deref(), &seen.place, line);
    line.text(key!("rule.name"), &hit.rule);
    line.text(key!("rule.ruleset"), &hit.ruleset);
    line.word(key!("rule.category"), hit.category.as_str());
    line.maybe(key!("whither.vendor"), hit.vendor.as_deref());
    line.maybe(key!("whither.claimed_region"), hit.region.as_deref());
    if hit.ambiguous {
        line.flag(key!("whither.ambiguous"), true);
    }
}

fn unexpected(seen: &Unexpected, line: &mut Line<'_>) {
    line.maybe(key!("destination.domain"), seen.name.as_deref());
    destination(seen.place.domain.as_deref(), &seen.place, line);
    line.list(key!("whither.expected"), &seen.expected, |country, line| line.value(country.as_str()));
    line.maybe(key!("whither.location_verdict"), seen.verdict.map(|verdict| verdict.as_str()));
}

fn first_contact(seen: &FirstContact, line: &mut Line<'_>) {
    line.maybe(key!("destination.domain"), seen.name.as_deref());
    destination(seen.place.domain.as_deref(), &seen.place, line);
    line.word(key!("whither.kind"), seen.contact.kind());
    line.text(key!("whither.value"), &seen.contact.value());
}

fn flow_end(flow: &FlowEnd, line: &mut Line<'_>) {
    line.time(key!("event.start"), flow.first.as_nanos());
    line.number(key!("event.duration"), nanos(flow.duration));
    line.number(key!("source.bytes"), flow.client.bytes);
    line.number(key!("source.packets"), flow.client.packets);
    line.number(key!("destination.bytes"), flow.server.bytes);
    line.number(key!("destination.packets"), flow.server.packets);
    line.maybe(key!("destination.domain"), flow.name.as_deref());
    destination(flow.domain.as_deref(), &flow.place, line);
    line.word(key!("whither.name_origin"), flow.origin.as_str());
    line.word(key!("whither.visibility"), flow.class.as_str());
    if let Some(rtt) = flow.rtt {
        line.number(key!("whither.rtt_ns"), nanos(rtt));
    }
    line.maybe(key!("whither.location_verdict"), flow.verdict.map(|verdict| verdict.as_str()));
    location::fields(flow, line);
    line.maybe(key!("event.reason"), flow.reason.as_deref());
}

pub(super) fn destination(domain: Option<&str>, place: &Where, line: &mut Line<'_>) {
    line.maybe(key!("destination.registered_domain"), domain);
    line.maybe(key!("destination.geo.country_iso_code"), place.country.as_ref().map(|country| country.as_str()));
    if let Some(asn) = place.asn {
        line.number(key!("destination.as.number"), asn);
    }
    line.maybe(key!("destination.as.organization.name"), place.organisation.as_deref());
    if place.anycast {
        line.flag(key!("whither.anycast"), true);
    }
}

pub(super) fn nanos(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dissect::observation::{Name, Text};
    use crate::engine::event::{Category, Ends, Hit};
    use crate::engine::geo::Country;
    use crate::engine::snapshot::Class;
    use crate::engine::snapshot::{Origin, Tally, Verdict};
    use crate::export::fixture;
    use crate::export::line::transport;
    use crate::packet::{Mac, Timestamp};
    use std::sync::Arc;
    use std::time::Duration;

    const HEAD: &str = r#""observer.name":"lab","device.id":"phone","source.mac":"02:00:00:00:00:0a""#;
    const TCP: &str = concat!(
        r#""source.ip":"192.168.1.10","source.port":40000,"destination.ip":"192.0.2.1","destination.port":443,"#,
        r#""network.transport":"tcp","network.community_id":"1:AnCCqINO2Bm84v5lD5Wf5dBzObw=","whither.packet":7"#
    );
    const UDP: &str = concat!(
        r#""source.ip":"192.168.1.10","source.port":40000,"destination.ip":"192.0.2.1","destination.port":443,"#,
        r#""network.transport":"udp","network.community_id":"1:YwYdjGSj4+en/rKvztupreTiHFc=","whither.packet":7"#
    );

    fn event(protocol: u8, detail: Detail) -> Event {
        Event {
            time: Timestamp::from_nanos(1_632_200_000_000_000_042),
            packet: 7,
            device: "phone".into(),
            mac: Some(Mac([2, 0, 0, 0, 0, 10])),
            ends: Some(Ends { client: "192.168.1.10:40000".parse().unwrap(), server: "192.0.2.1:443".parse().unwrap(), protocol }),
            detail,
        }
    }

    fn written(event: &Event) -> Vec<String> {
        let mut out = Vec::new();
        write_line(event, "lab", &mut out);
        assert_eq!(out.last(), Some(&b'\n'));
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    /// The line of an event, with what every event has and who spoke to whom taken off.
    fn own(event: &Event, action: &str, ends: &str) -> String {
        let lines = written(event);
        let [line] = lines.as_slice() else { panic!("not one line: {lines:?}") };
        serde_json::from_str::<serde_json::Value>(line).unwrap();
        let head = format!(r#"{{"@timestamp":"2021-09-21T04:53:20.000000042Z","event.action":"{action}",{HEAD},{ends}"#);
        line.strip_prefix(&head).unwrap_or_else(|| panic!("{line}\ndoes not begin with\n{head}")).to_owned()
    }

    fn name(text: &str) -> Name {
        Name::from_dotted(text.as_bytes()).unwrap()
    }

    fn text(text: &str) -> Text {
        Text::from_bytes(text.as_bytes()).unwrap()
    }

    fn place() -> Where {
        let country = Country::from_code("SG");
        Where { domain: Some("example.org".into()), country, asn: Some(64_496), organisation: Some("Example Net".into()), anycast: false }
    }

    const PLACE: &str = concat!(
        r#""destination.registered_domain":"example.org","destination.geo.country_iso_code":"SG","#,
        r#""destination.as.number":64496,"destination.as.organization.name":"Example Net""#
    );

    fn dns(message: DnsMessage) -> Event {
        event(17, Detail::Dns { protocol: "dns", message: Box::new(message) })
    }

    #[test]
    fn a_question() {
        let questions = vec![Question { name: name("www.example.org"), qtype: 65 }];
        assert_eq!(
            own(&dns(DnsMessage { id: 4660, questions, ..DnsMessage::default() }), "dns-query", UDP),
            r#","network.protocol":"dns","dns.id":4660,"dns.question.name":"www.example.org","dns.question.type":"HTTPS"}"#
        );
    }

    #[test]
    fn an_answer_with_every_kind_of_record() {
        let record = |rtype, data| Record { name: name("a.example.org"), rtype, ttl: 60, data };
        let addresses = ["192.0.2.1", "2001:db8::1", "192.0.2.1"].map(|address| address.parse::<IpAddr>().unwrap());
        let mut answers = vec![
            record(5, RecordData::Name(name("b.example.org"))),
            record(
                65,
                RecordData::Service {
                    target: Name::from_labels([].into_iter()),
                    hints: vec![addresses[1], addresses[0]],
                    ech: true,
                    public_name: Name::default(),
                },
            ),
            record(16, RecordData::Text(text("v=spf1 -all"))),
            record(4711, RecordData::Other(12)),
        ];
        answers.extend(addresses.map(|address| record(if address.is_ipv4() { 1 } else { 28 }, RecordData::Address(address))));
        let questions = vec![Question { name: name("a.example.org"), qtype: 1 }];
        let message = DnsMessage { id: 1, response: true, questions, answers, ..DnsMessage::default() };
        assert_eq!(
            own(&dns(message), "dns-answer", UDP),
            concat!(
                r#","network.protocol":"dns","dns.id":1,"dns.question.name":"a.example.org","dns.question.type":"A","#,
                r#""dns.response_code":"NOERROR","dns.answers":["#,
                r#"{"name":"a.example.org","type":"CNAME","data":"b.example.org","ttl":60},"#,
                r#"{"name":"a.example.org","type":"HTTPS","data":". ipv4hint=192.0.2.1 ipv6hint=2001:db8::1 ech","ttl":60},"#,
                r#"{"name":"a.example.org","type":"TXT","data":"v=spf1 -all","ttl":60},"#,
                r#"{"name":"a.example.org","type":"TYPE4711","data":"\\# 12","ttl":60},"#,
                r#"{"name":"a.example.org","type":"A","data":"192.0.2.1","ttl":60},"#,
                r#"{"name":"a.example.org","type":"AAAA","data":"2001:db8::1","ttl":60},"#,
                r#"{"name":"a.example.org","type":"A","data":"192.0.2.1","ttl":60}],"#,
                r#""dns.resolved_ip":["192.0.2.1","2001:db8::1"]}"#
            )
        );
    }

    #[test]
    fn each_question_has_a_line_and_only_the_first_the_answers() {
        let questions = ["one.local", "two.local", "three.local"].map(|host| Question { name: name(host), qtype: 12 }).to_vec();
        let answers = vec![Record { name: name("one.local"), rtype: 1, ttl: 9, data: RecordData::Address("192.0.2.1".parse().unwrap()) }];
        let lines = written(&dns(DnsMessage { response: true, questions, answers, ..DnsMessage::default() }));
        assert_eq!(lines.len(), 3);
        for (line, host) in lines.iter().zip(["one.local", "two.local", "three.local"]) {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["dns.question.name"], host);
            assert_eq!(value.get("dns.answers").is_some(), host == "one.local");
        }
    }

    #[test]
    fn an_answer_without_a_question_has_a_line() {
        assert_eq!(
            own(&dns(DnsMessage { response: true, rcode: 3, ..DnsMessage::default() }), "dns-answer", UDP),
            r#","network.protocol":"dns","dns.id":0,"dns.response_code":"NXDOMAIN"}"#
        );
    }

    #[test]
    fn a_hello_over_tcp_and_over_quic() {
        let mut seen = ClientHello {
            name: Some(name("www.example.org")),
            alpn: vec![text("h2"), text("http/1.1")],
            version: 0x0304,
            ech: false,
            ja4: "t13d1516h2_8daaf6152771_b186095e22b6".parse().ok(),
            quic_version: None,
        };
        let names = r#""tls.client.server_name":"www.example.org","destination.domain":"www.example.org""#;
        let rest = r#""tls.client.alpn":["h2","http/1.1"],"tls.version":"1.3","tls.client.ja4":"t13d1516h2_8daaf6152771_b186095e22b6""#;
        assert_eq!(
            own(&event(6, Detail::Hello(Box::new(seen.clone()), place())), "tls-client-hello", TCP),
            format!(r#","network.protocol":"tls",{names},{PLACE},{rest}}}"#)
        );
        seen.quic_version = Some(0xff00_001d);
        seen.ech = true;
        assert_eq!(
            own(&event(17, Detail::Hello(Box::new(seen.clone()), Where::default())), "tls-client-hello", UDP),
            format!(
                r#","network.protocol":"quic","tls.client.server_name":"www.example.org",{rest},"tls.client.ech":true,"quic.version":"draft-29"}}"#
            ),
            "a public name is not the destination"
        );
    }

    #[test]
    fn versions_have_the_names_that_people_use() {
        assert_eq!([0x0304, 0x0303, 0x0301, 0xfefd].map(tls_version), ["1.3", "1.2", "1.0", "0xfefd"]);
        assert_eq!([1, 0x6b33_43cf, 0xff00_001d, 0x5130_3433].map(quic_version), ["1", "2", "draft-29", "0x51303433"]);
    }

    #[test]
    fn a_request() {
        let seen = Request {
            method: text("GET"),
            host: Some(name("www.example.org")),
            authority: None,
            path: Some(text("/list")),
            query: Some(text("user=secret")),
            agent: Some(text("Dalvik/2.1.0")),
        };
        assert_eq!(
            own(&event(6, Detail::Request(Box::new(seen), place())), "http-request", TCP),
            format!(
                r#","network.protocol":"http","http.request.method":"GET","url.domain":"www.example.org","destination.domain":"www.example.org","url.path":"/list","user_agent.original":"Dalvik/2.1.0",{PLACE}}}"#
            )
        );
    }

    #[test]
    fn a_device_and_an_association_without_ends() {
        let news = DeviceNews {
            mac: Some(Mac([2, 0, 0, 0, 0, 10])),
            macs: vec![Mac([2, 0, 0, 0, 0, 10]), Mac([2, 0, 0, 0, 0, 11])],
            notes: Some("bench 1".into()),
            expected: vec![Country::from_code("DE").unwrap()],
            name: Some("phone".into()),
            hostname: Some("Redmi-Note".into()),
            vendor: Some("Xiaomi".into()),
            vendor_class: Some("android-dhcp-13".into()),
            randomized: true,
            addresses: vec!["192.168.1.10".parse().unwrap(), "fe80::1".parse().unwrap()],
            identity: vec![fixture::fact(crate::engine::snapshot::Kind::Hostname, "Redmi-Note")],
        };
        let bare = |detail| Event { ends: None, ..event(6, detail) };
        assert_eq!(
            own(&bare(Detail::Device(Box::new(news))), "device", r#""whither.packet":7"#),
            r#","device.mac":"02:00:00:00:00:0a","device.randomized_mac":true,"device.name":"phone","device.hostname":"Redmi-Note","device.vendor":"Xiaomi","device.vendor_class":"android-dhcp-13","device.addresses":["192.168.1.10","fe80::1"],"whither.macs":["02:00:00:00:00:0a","02:00:00:00:00:0b"],"whither.notes":"bench 1","whither.expected":["DE"],"whither.identity":[{"kind":"hostname","value":"Redmi-Note","source":"dhcp","packet":3,"first":"2021-09-21T04:53:22.000000000Z","last":"2021-09-21T04:53:29.000000000Z"}]}"#
        );
        assert_eq!(own(&bare(Detail::Association), "association", r#""whither.packet":7"#), "}");
    }

    #[test]
    fn a_watchlist_hit() {
        let hit = Hit {
            rule: "*.example.org".to_owned(),
            ruleset: "whither".into(),
            category: Category::Telemetry,
            vendor: Some("Xiaomi".into()),
            region: Some("intl".into()),
            ambiguous: true,
        };
        let seen = Watched { hit, name: Some("www.example.org".into()), place: place() };
        assert_eq!(
            own(&event(6, Detail::Watchlist(Box::new(seen))), "watchlist", TCP),
            format!(
                r#","destination.domain":"www.example.org",{PLACE},"rule.name":"*.example.org","rule.ruleset":"whither","rule.category":"telemetry","whither.vendor":"Xiaomi","whither.claimed_region":"intl","whither.ambiguous":true}}"#
            )
        );
    }

    #[test]
    fn an_unexpected_country() {
        let expected = vec![Country::from_code("DE").unwrap(), Country::from_code("LT").unwrap()];
        let verdict = Some(Verdict::Consistent);
        let seen = Unexpected { expected, name: Some("www.example.org".into()), place: place(), verdict };
        assert_eq!(
            own(&event(6, Detail::UnexpectedCountry(Box::new(seen))), "unexpected-country", TCP),
            format!(
                r#","destination.domain":"www.example.org",{PLACE},"whither.expected":["DE","LT"],"whither.location_verdict":"consistent"}}"#
            )
        );
    }

    #[test]
    fn a_first_contact() {
        for (kind, value) in [("country", "SG"), ("asn", "AS64496"), ("domain", "example.org")] {
            let contact = crate::engine::event::Contact::parse(kind, value).unwrap();
            let seen = FirstContact { contact, name: Some("www.example.org".into()), place: place() };
            assert_eq!(
                own(&event(6, Detail::FirstContact(Box::new(seen))), "first-contact", TCP),
                format!(r#","destination.domain":"www.example.org",{PLACE},"whither.kind":"{kind}","whither.value":"{value}"}}"#)
            );
        }
    }

    fn flow() -> FlowEnd {
        FlowEnd {
            first: Timestamp::from_nanos(1_632_199_999_500_000_000),
            duration: Duration::from_millis(500),
            client: Tally { packets: 3, bytes: 1_500 },
            server: Tally { packets: 4, bytes: 60_000 },
            name: Some("www.example.org".into()),
            domain: Some("example.org".into()),
            named: None,
            class: Class::Sni,
            origin: Origin::Sni,
            rtt: Some(Duration::from_micros(12_500)),
            verdict: Some(Verdict::Refuted),
            service: None,
            location: None,
            reason: Some("too near".to_owned()),
            place: Where { domain: None, ..place() },
        }
    }

    #[test]
    fn a_flow() {
        assert_eq!(
            own(&event(6, Detail::Flow(Box::new(flow()))), "flow", TCP),
            format!(
                r#","event.start":"2021-09-21T04:53:19.500000000Z","event.duration":500000000,"source.bytes":1500,"source.packets":3,"destination.bytes":60000,"destination.packets":4,"destination.domain":"www.example.org",{PLACE},"whither.name_origin":"sni","whither.visibility":"sni","whither.rtt_ns":12500000,"whither.location_verdict":"refuted","event.reason":"too near"}}"#
            )
        );
    }

    #[test]
    fn transports_without_ports_show_none() {
        let line = written(&event(58, Detail::Flow(Box::new(flow())))).remove(0);
        assert!(line.contains(r#""network.transport":"ipv6-icmp""#) && !line.contains(".port\""), "{line}");
        assert_eq!(transport(89), "89");
    }

    #[test]
    fn hostile_names_stay_on_one_line_of_valid_json() {
        let evil = b"a\"},{\"event.action\":\"device\nb\0\x1b[31m\xff\xe2\x80\xae\\";
        let seen = Request {
            method: Text::from_bytes(evil).unwrap(),
            host: Name::from_dotted(evil),
            authority: None,
            path: Text::from_bytes(evil),
            query: None,
            agent: Text::from_bytes(evil),
        };
        let mut one = event(6, Detail::Request(Box::new(seen), Where::default()));
        one.device = fixture::HOSTILE.into();
        let lines = written(&one);
        assert_eq!(lines.len(), 1);
        assert!(!lines[0].contains(char::is_control), "{lines:?}");
        let value: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(value["event.action"], "http-request");
        assert_eq!(value["device.id"], fixture::HOSTILE);
    }

    #[test]
    fn hostile_names_in_a_list_are_text_as_well() {
        let name: Arc<str> = Name::from_dotted(b"a\"],\"event.action\":\"device\xff.example").unwrap().as_str().into();
        let lines = written(&event(6, Detail::NameConflict { hello: Arc::clone(&name), dns: vec![Arc::clone(&name)] }));
        let value: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(
            (value["event.action"].as_str(), &value["whither.dns_names"][0]),
            (Some("name-conflict"), &serde_json::Value::from(&*name))
        );
    }
}
