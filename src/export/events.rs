//! An event as one line of JSON, in flat Elastic Common Schema names with dots.
//!
//! Road taken: a small writer that puts fields in order straight into the buffer; the escaping is `serde_json`'s. Road not
//! taken: a `serde_json::Value` for each event (an allocation for each field), or one struct of fifty optional fields.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

use super::{community, dns, rfc3339};
use crate::engine::event::{
    ClientHello, Detail, DeviceNews, DnsMessage, Ends, Event, FlowEnd, Question, Record, RecordData, Request, Where,
};

/// Writes an event as a line; a DNS message with several questions (mDNS) as one line for each, its answers with the first.
pub fn write_line(event: &Event, sensor: &str, out: &mut Vec<u8>) {
    match &event.detail {
        Detail::Dns { protocol, message } => {
            let first = message.questions.first();
            dns_line(event, sensor, protocol, message, (first, &message.answers), out);
            for question in message.questions.iter().skip(1) {
                dns_line(event, sensor, protocol, message, (Some(question), &[]), out);
            }
        }
        Detail::Hello(seen, place) => {
            let mut line = Line::begin(event, "tls-client-hello", sensor, out);
            hello(seen, place, &mut line);
            line.end();
        }
        Detail::Request(seen, place) => {
            let mut line = Line::begin(event, "http-request", sensor, out);
            request(seen, place, &mut line);
            line.end();
        }
        Detail::Device(news) => {
            let mut line = Line::begin(event, "device", sensor, out);
            device(news, &mut line);
            line.end();
        }
        Detail::Association => Line::begin(event, "association", sensor, out).end(),
        Detail::Flow(flow) => {
            let mut line = Line::begin(event, "flow", sensor, out);
            flow_end(flow, &mut line);
            line.end();
        }
    }
}

fn dns_line(
    event: &Event,
    sensor: &str,
    protocol: &str,
    message: &DnsMessage,
    (question, answers): (Option<&Question>, &[Record]),
    out: &mut Vec<u8>,
) {
    let mut line = Line::begin(event, if message.response { "dns-answer" } else { "dns-query" }, sensor, out);
    line.text("network.protocol", protocol);
    line.number("dns.id", message.id);
    if let Some(question) = question {
        line.text("dns.question.name", or_root(question.name.as_str()));
        line.text("dns.question.type", &dns::kind(question.qtype));
    }
    if message.response {
        line.text("dns.response_code", &dns::code(message.rcode));
    }
    // Known-answer lists of mDNS queries are answers too (RFC 6762, 7.1).
    line.list("dns.answers", answers, |record, line| {
        line.open();
        line.text("name", or_root(record.name.as_str()));
        line.text("type", &dns::kind(record.rtype));
        line.text("data", &content(&record.data));
        line.number("ttl", record.ttl);
        line.close();
    });
    let mut addresses: Vec<IpAddr> = Vec::new();
    for record in answers {
        match record.data {
            RecordData::Address(address) if !addresses.contains(&address) => addresses.push(address),
            _ => {}
        }
    }
    line.list("dns.resolved_ip", &addresses, |address, line| line.shown(address));
    line.end();
}

/// A record's content, as a zone file would put it.
fn content(data: &RecordData) -> String {
    match data {
        RecordData::Address(address) => address.to_string(),
        RecordData::Name(name) => or_root(name.as_str()).to_owned(),
        RecordData::Text(text) => text.as_str().to_owned(),
        RecordData::Service { target, hints, ech } => {
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
            text
        }
        RecordData::Other(length) => format!("\\# {length}"), // RFC 3597, 5, without the bytes
    }
}

/// The root is written as a dot: an empty name would look like none.
fn or_root(name: &str) -> &str {
    if name.is_empty() { "." } else { name }
}

fn hello(seen: &ClientHello, place: &Where, line: &mut Line<'_>) {
    line.text("network.protocol", if seen.quic_version.is_some() { "quic" } else { "tls" });
    if let Some(name) = &seen.name {
        line.text("tls.client.server_name", name.as_str());
        // Beside Encrypted ClientHello the name may be the public one; the engine says so by naming no domain.
        if !seen.ech || place.domain.is_some() {
            line.text("destination.domain", name.as_str());
        }
    }
    destination(place, line);
    line.list("tls.client.alpn", &seen.alpn, |name, line| line.shown(name));
    match seen.version {
        0 => {}
        version => line.text("tls.version", &tls_version(version)),
    }
    line.maybe("tls.client.ja4", seen.ja4.as_ref().map(|ja4| ja4.as_str()));
    if seen.ech {
        line.flag("tls.client.ech", true);
    }
    if let Some(version) = seen.quic_version {
        line.text("quic.version", &quic_version(version));
    }
}

fn tls_version(version: u16) -> String {
    match version {
        0x0304 => "1.3".to_owned(),
        0x0303 => "1.2".to_owned(),
        0x0302 => "1.1".to_owned(),
        0x0301 => "1.0".to_owned(),
        0x0300 => "ssl3".to_owned(),
        version => format!("{version:#06x}"),
    }
}

fn quic_version(version: u32) -> String {
    match version {
        1 => "1".to_owned(),
        0x6b33_43cf => "2".to_owned(), // RFC 9369
        0xff00_0000..=0xff00_00ff => format!("draft-{}", version & 0xff),
        version => format!("{version:#010x}"),
    }
}

fn request(seen: &Request, place: &Where, line: &mut Line<'_>) {
    line.text("network.protocol", "http");
    line.text("http.request.method", seen.method.as_str());
    if let Some(host) = &seen.host {
        line.text("url.domain", host.as_str());
        line.text("destination.domain", host.as_str());
    }
    line.maybe("url.path", seen.path.as_ref().map(|path| path.as_str()));
    line.maybe("user_agent.original", seen.agent.as_ref().map(|agent| agent.as_str()));
    destination(place, line);
}

fn device(news: &DeviceNews, line: &mut Line<'_>) {
    if let Some(mac) = news.mac {
        line.field("device.mac");
        line.shown(&mac);
        line.flag("device.randomized_mac", news.randomized);
    }
    line.maybe("device.name", news.name.as_deref());
    line.maybe("device.hostname", news.hostname.as_ref().map(|name| name.as_str()));
    line.maybe("device.vendor", news.vendor.as_deref());
    line.maybe("device.vendor_class", news.vendor_class.as_ref().map(|class| class.as_str()));
    line.list("device.addresses", &news.addresses, |address, line| line.shown(address));
}

fn flow_end(flow: &FlowEnd, line: &mut Line<'_>) {
    line.text("event.start", &rfc3339(flow.first.as_nanos(), 9));
    line.number("event.duration", nanos(flow.duration));
    line.number("source.bytes", flow.client.bytes);
    line.number("source.packets", flow.client.packets);
    line.number("destination.bytes", flow.server.bytes);
    line.number("destination.packets", flow.server.packets);
    line.maybe("destination.domain", flow.name.as_deref());
    let domain = flow.domain.as_ref().or(flow.place.domain.as_ref());
    destination(&Where { domain: domain.cloned(), ..flow.place.clone() }, line);
    line.text("whither.name_origin", flow.origin.as_str());
    if let Some(rtt) = flow.rtt {
        line.number("whither.rtt_ns", nanos(rtt));
    }
}

fn destination(place: &Where, line: &mut Line<'_>) {
    line.maybe("destination.registered_domain", place.domain.as_deref());
    line.maybe("destination.geo.country_iso_code", place.country.as_ref().map(|country| country.as_str()));
    if let Some(asn) = place.asn {
        line.number("destination.as.number", asn);
    }
    line.maybe("destination.as.organization.name", place.organisation.as_deref());
}

fn nanos(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The transport by its IANA keyword, lower case; by number where few would know the word.
fn transport(protocol: u8) -> String {
    match protocol {
        1 => "icmp".to_owned(),
        2 => "igmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        47 => "gre".to_owned(),
        50 => "esp".to_owned(),
        58 => "ipv6-icmp".to_owned(),
        132 => "sctp".to_owned(),
        number => number.to_string(),
    }
}

/// A line in the making: fields in order, commas between them.
struct Line<'a> {
    out: &'a mut Vec<u8>,
    /// Nothing stands yet before the next field or item.
    fresh: bool,
}

impl<'a> Line<'a> {
    /// The fields that every event has, and the two ends where there are any.
    fn begin(event: &Event, action: &str, sensor: &str, out: &'a mut Vec<u8>) -> Self {
        let mut line = Self { out, fresh: true };
        line.open();
        line.text("@timestamp", &rfc3339(event.time.as_nanos(), 9));
        line.text("event.action", action);
        line.text("observer.name", sensor);
        line.text("device.id", &event.device);
        if let Some(mac) = event.mac {
            line.field("source.mac");
            line.shown(&mac);
        }
        if let Some(ends) = &event.ends {
            line.end_of("source.ip", "source.port", ends.client, ends);
            line.end_of("destination.ip", "destination.port", ends.server, ends);
            line.text("network.transport", &transport(ends.protocol));
            line.maybe("network.community_id", community::id(ends).as_deref());
        }
        line.number("whither.packet", event.packet);
        line
    }

    /// An address, and its port where the transport has ports.
    fn end_of(&mut self, address: &str, port: &str, end: SocketAddr, ends: &Ends) {
        self.field(address);
        self.shown(&end.ip());
        if matches!(ends.protocol, 6 | 17 | 132) {
            self.number(port, end.port());
        }
    }

    fn end(mut self) {
        self.close();
        self.out.push(b'\n');
    }

    fn open(&mut self) {
        self.out.push(b'{');
        self.fresh = true;
    }

    fn close(&mut self) {
        self.out.push(b'}');
        self.fresh = false;
    }

    fn comma(&mut self) {
        if !self.fresh {
            self.out.push(b',');
        }
        self.fresh = false;
    }

    /// The name of a field, which is ours and needs no escape.
    fn field(&mut self, name: &str) {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// A value as text, escaped.
    fn value(&mut self, text: &str) {
        // Text into memory: neither can fail.
        let _ = serde_json::to_writer(&mut *self.out, text);
    }

    fn shown(&mut self, value: &impl Display) {
        self.value(&value.to_string());
    }

    fn text(&mut self, name: &str, value: &str) {
        self.field(name);
        self.value(value);
    }

    fn maybe(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    fn number(&mut self, name: &str, value: impl Into<u64>) {
        self.field(name);
        self.out.extend_from_slice(value.into().to_string().as_bytes());
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.field(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A list, left out when it is empty.
    fn list<T>(&mut self, name: &str, items: &[T], mut write: impl FnMut(&T, &mut Self)) {
        if items.is_empty() {
            return;
        }
        self.field(name);
        self.out.push(b'[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            write(item, self);
        }
        self.out.push(b']');
        self.fresh = false;
    }
}
