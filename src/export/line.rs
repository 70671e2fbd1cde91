//! A line of JSON in the making.
//!
//! Road taken: a small writer that puts fields in order straight into the buffer; the escaping is `serde_json`'s. Road not
//! taken: a `serde_json::Value` for each event (an allocation for each field), or one struct of fifty optional fields.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write as _;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{community, stamp};
use crate::engine::event::{Ends, Event, Mac};

/// What needs no escape, whoever chose it: an address. A name is never one.
pub(super) trait Plain: Display {}

impl Plain for IpAddr {}
impl Plain for Ipv6Addr {}
impl Plain for Mac {}

/// A line in the making: fields in order, commas between them.
pub(super) struct Line<'a> {
    out: &'a mut Vec<u8>,
    /// Nothing stands yet before the next field or item.
    fresh: bool,
}

impl<'a> Line<'a> {
    /// The fields that every event has, and the two ends where there are any.
    pub(super) fn begin(event: &Event, action: &str, sensor: &str, out: &'a mut Vec<u8>) -> Self {
        let mut line = Self { out, fresh: true };
        line.open();
        line.time("@timestamp", event.time.as_nanos());
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
            if let Some(id) = community::id(ends) {
                line.field("network.community_id");
                line.out.push(b'"');
                line.out.extend_from_slice(&id);
                line.out.push(b'"');
            }
        }
        line.number("whither.packet", event.packet);
        line
    }

    /// An address, and its port where the transport has ports.
    pub(super) fn end_of(&mut self, address: &str, port: &str, end: SocketAddr, ends: &Ends) {
        self.field(address);
        match end.ip() {
            // By hand: two of them stand in every line.
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                self.out.push(b'"');
                for (octet, after) in [(a, b'.'), (b, b'.'), (c, b'.'), (d, b'"')] {
                    decimal(octet, self.out);
                    self.out.push(after);
                }
            }
            v6 @ IpAddr::V6(_) => self.shown(&v6),
        }
        if matches!(ends.protocol, 6 | 17 | 132) {
            self.number(port, end.port());
        }
    }

    pub(super) fn end(mut self) {
        self.close();
        self.out.push(b'\n');
    }

    pub(super) fn open(&mut self) {
        self.out.push(b'{');
        self.fresh = true;
    }

    pub(super) fn close(&mut self) {
        self.out.push(b'}');
        self.fresh = false;
    }

    pub(super) fn comma(&mut self) {
        if !self.fresh {
            self.out.push(b',');
        }
        self.fresh = false;
    }

    /// The name of a field, which is ours and needs no escape.
    pub(super) fn field(&mut self, name: &str) {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// A value as text, escaped.
    pub(super) fn value(&mut self, text: &str) {
        // Nearly all texts need no escape, and whether one does is asked of all its bytes at once.
        let escaped = text.bytes().fold(false, |escaped, byte| escaped | (byte < b' ') | (byte == b'"') | (byte == b'\\'));
        if escaped {
            // Text into memory: neither can fail.
            let _ = serde_json::to_writer(&mut *self.out, text);
            return;
        }
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }

    /// A time in UTC, nanoseconds since the epoch.
    pub(super) fn time(&mut self, name: &str, nanos: u64) {
        self.field(name);
        self.out.push(b'"');
        stamp(nanos, 9, self.out);
        self.out.push(b'"');
    }

    /// An address of the link or the network: nothing in it needs an escape.
    pub(super) fn shown(&mut self, value: &impl Plain) {
        // Into memory: it cannot fail.
        let _ = write!(self.out, "\"{value}\"");
    }

    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.field(name);
        self.value(value);
    }

    pub(super) fn maybe(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    pub(super) fn number(&mut self, name: &str, value: impl Into<u64>) {
        self.field(name);
        self.out.extend_from_slice(itoa::Buffer::new().format(value.into()).as_bytes());
    }

    /// A number with three decimals.
    pub(super) fn decimals(&mut self, name: &str, value: f64) {
        self.field(name);
        let _ = write!(self.out, "{value:.3}");
    }

    pub(super) fn flag(&mut self, name: &str, value: bool) {
        self.field(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A list, left out when it is empty.
    pub(super) fn list<T>(&mut self, name: &str, items: &[T], mut write: impl FnMut(&T, &mut Self)) {
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

/// The transport by its IANA keyword, lower case; by number where few would know the word.
pub(super) fn transport(protocol: u8) -> Cow<'static, str> {
    Cow::Borrowed(match protocol {
        1 => "icmp",
        2 => "igmp",
        6 => "tcp",
        17 => "udp",
        47 => "gre",
        50 => "esp",
        58 => "ipv6-icmp",
        132 => "sctp",
        number => return Cow::Owned(number.to_string()),
    })
}

fn decimal(octet: u8, out: &mut Vec<u8>) {
    if octet >= 100 {
        out.push(b'0' + octet / 100);
    }
    if octet >= 10 {
        out.push(b'0' + octet / 10 % 10);
    }
    out.push(b'0' + octet % 10);
}
