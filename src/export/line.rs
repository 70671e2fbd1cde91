//! A line of JSON in the making.
//!
//! Road taken: a small writer that puts fields in order straight into the buffer, each name with its punctuation as one copy; the
//! escaping is `serde_json`'s, asked only where there is something to escape. Road not taken: a `serde_json::Value` for each event
//! (an allocation for each field), or one struct of fifty optional fields.
//!
//! Road not taken: a memory of the heads of the latest conversations, for the answer that follows a question. In a trace of
//! handshakes only one line in six could find its head there, and the other five would look in vain.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{community, stamp};
use crate::engine::event::{Ends, Event, Mac};

/// The name of a field as it stands between two values: `,"name":`. Made by [`key!`].
#[derive(Clone, Copy)]
pub(super) struct Key(pub(super) &'static str);

/// A [`Key`] of a name, which is ours and needs no escape.
macro_rules! key {
    ($name:literal) => {
        $crate::export::line::Key(concat!(",\"", $name, "\":"))
    };
}
pub(super) use key;

/// What needs no escape, whoever chose it: an address. A name is never one.
pub(super) trait Plain: Display {}

impl Plain for Ipv6Addr {}

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
        line.time(key!("@timestamp"), event.time.as_nanos());
        line.word(key!("event.action"), action);
        line.text(key!("observer.name"), sensor);
        if !event.device.is_empty() {
            line.text(key!("device.id"), &event.device);
        }
        if let Some(mac) = event.mac {
            line.field(key!("source.mac"));
            line.mac(mac);
        }
        if let Some(ends) = &event.ends {
            line.end_of(key!("source.ip"), key!("source.port"), ends.client, ends);
            line.end_of(key!("destination.ip"), key!("destination.port"), ends.server, ends);
            line.word(key!("network.transport"), &transport(ends.protocol));
            if let Some(id) = community::id(ends) {
                line.field(key!("network.community_id"));
                line.plain(&id);
            }
        }
        line.number(key!("whither.packet"), event.packet);
        line
    }

    /// An address, and its port where the transport has ports.
    fn end_of(&mut self, address: Key, port: Key, end: SocketAddr, ends: &Ends) {
        self.field(address);
        self.address(end.ip());
        if matches!(ends.protocol, 6 | 17 | 132) {
            self.number(port, end.port());
        }
    }

    pub(super) fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }

    pub(super) fn open(&mut self) {
        self.out.push(b'{');
        self.fresh = true;
    }

    pub(super) fn close(&mut self) {
        self.out.push(b'}');
        self.fresh = false;
    }

    /// The name of a field.
    #[inline]
    pub(super) fn field(&mut self, Key(name): Key) {
        let name = name.as_bytes();
        self.out.extend_from_slice(if self.fresh { name.get(1..).unwrap_or_default() } else { name });
        self.fresh = false;
    }

    /// A value as text, escaped.
    pub(super) fn value(&mut self, text: &str) {
        if needs_escape(text.as_bytes()) {
            // Text into memory: neither can fail.
            let _ = serde_json::to_writer(&mut *self.out, text);
        } else {
            self.plain(text.as_bytes());
        }
    }

    /// A value as text that needs no escape.
    fn plain(&mut self, text: &[u8]) {
        self.out.push(b'"');
        self.out.extend_from_slice(text);
        self.out.push(b'"');
    }

    /// A time in UTC, nanoseconds since the epoch.
    pub(super) fn time(&mut self, name: Key, nanos: u64) {
        self.field(name);
        self.out.push(b'"');
        stamp(nanos, 9, self.out);
        self.out.push(b'"');
    }

    /// A MAC as a value.
    pub(super) fn mac(&mut self, mac: Mac) {
        self.plain(&mac.text());
    }

    /// An address as a value: the old kind by hand, since two of them stand in nearly every line.
    pub(super) fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => {
                self.out.push(b'"');
                let (text, length) = dotted(v4);
                self.out.extend_from_slice(&text);
                self.out.truncate(self.out.len().saturating_sub(text.len().saturating_sub(length)));
            }
            IpAddr::V6(v6) => self.shown(&v6),
        }
    }

    /// An address of the network: nothing in it needs an escape.
    pub(super) fn shown(&mut self, value: &impl Plain) {
        // Into memory: it cannot fail.
        let _ = write!(self.out, "\"{value}\"");
    }

    pub(super) fn text(&mut self, name: Key, value: &str) {
        self.field(name);
        self.value(value);
    }

    /// A word of ours, which needs no escape.
    pub(super) fn word(&mut self, name: Key, word: &str) {
        self.field(name);
        self.plain(word.as_bytes());
    }

    pub(super) fn maybe(&mut self, name: Key, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    pub(super) fn number(&mut self, name: Key, value: impl Into<u64>) {
        self.field(name);
        self.out.extend_from_slice(itoa::Buffer::new().format(value.into()).as_bytes());
    }

    /// A number with three decimals.
    pub(super) fn decimals(&mut self, name: Key, value: f64) {
        self.field(name);
        let _ = write!(self.out, "{value:.3}");
    }

    pub(super) fn flag(&mut self, name: Key, value: bool) {
        self.field(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A list, left out when it is empty.
    pub(super) fn list<T>(&mut self, name: Key, items: &[T], mut write: impl FnMut(&T, &mut Self)) {
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

/// An address in dots and the quote behind it, and how many bytes of the text that is: fifteen and one at most. Each octet comes as
/// three digits and a dot, of which leading zeros are shifted out.
fn dotted(address: Ipv4Addr) -> ([u8; 16], usize) {
    let (mut text, mut bits) = (0_u128, 0_u32);
    for octet in address.octets() {
        let digits = u32::from_le_bytes([b'0' + octet / 100, b'0' + octet / 10 % 10, b'0' + octet % 10, b'.']);
        let zeros = 8 * (u32::from(octet < 100) + u32::from(octet < 10));
        text |= u128::from(digits >> zeros) << bits;
        bits += 32 - zeros;
    }
    text ^= u128::from(b'.' ^ b'"') << (bits - 8);
    (text.to_le_bytes(), bits as usize / 8)
}

/// Whether JSON wants anything in a text escaped: a control character, a quote or a backslash. Eight bytes are asked at once, and
/// the last eight once more with what is left.
pub(super) fn needs_escape(text: &[u8]) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // The top bit of each byte that is zero; of one above it perhaps, which changes nothing: only whether there is one is asked.
    let zero = |word: u64| word.wrapping_sub(EACH) & !word;
    let hit = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(EACH * 0x20) & !word;
        (control | zero(word ^ (EACH * u64::from(b'"'))) | zero(word ^ (EACH * u64::from(b'\\')))) & (EACH * 0x80)
    };
    match text.last_chunk() {
        Some(last) => text.as_chunks().0.iter().fold(hit(last), |hits, word| hits | hit(word)) != 0,
        None => text.iter().any(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_an_escape_is_found_wherever_it_stands() {
        for length in 0..40 {
            let plain = vec![b'~'; length];
            assert!(!needs_escape(&plain) && !needs_escape(&vec![0xc3; length]) && !needs_escape(&vec![b' '; length]));
            for place in 0..length {
                for byte in (0..0x20).chain([b'"', b'\\']) {
                    let mut text = plain.clone();
                    text[place] = byte;
                    assert!(needs_escape(&text), "{byte:#x} at {place} of {length}");
                }
                for byte in (0x20..=0xff).filter(|byte| !matches!(byte, b'"' | b'\\')) {
                    let mut text = plain.clone();
                    text[place] = byte;
                    assert!(!needs_escape(&text), "{byte:#x} at {place} of {length}");
                }
            }
        }
    }

    #[test]
    fn an_address_is_written_as_everybody_writes_it() {
        let mut out = Vec::new();
        let mut line = Line { out: &mut out, fresh: true };
        let addresses: Vec<IpAddr> = (0..=255).map(|octet| [octet, 9, 99, 255 - octet].into()).collect();
        addresses.iter().for_each(|address| line.address(*address));
        let expected: String = addresses.iter().map(|address| format!("\"{address}\"")).collect();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
