//! A line of JSON in the making.
//!
//! Road taken: a small writer that puts fields in order straight into the buffer, each name with its punctuation as one copy; the
//! escaping is `serde_json`'s, asked only where there is something to escape. Road not taken: a `serde_json::Value` for each event
//! (an allocation for each field), or one struct of fifty optional fields.
//!
//! What lines have in common is remembered ([`Usual`]), and names are copied inline: a quarter of the instructions of a line less. It is
//! less of the time: these ran four at once, while the rest of a flow waits for memory.
//!
//! Road not taken: a memory of the heads of the latest conversations, for the answer that follows a question. In a trace of
//! handshakes only one line in six could find its head there, and the other five would look in vain.

use std::borrow::Cow;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use arrayvec::ArrayVec;

use super::{community, nine_digits, stamp};
use crate::engine::event::{Ends, Event, Mac};

/// The name of a field as it stands between two values, `,"name":`, and the same with the quote of a text behind it. Made by [`key!`].
#[derive(Clone, Copy)]
pub(super) struct Key(pub(super) &'static str, pub(super) &'static str);

/// A [`Key`] of a name, which is ours and needs no escape.
macro_rules! key {
    ($name:literal) => {
        $crate::export::line::Key(concat!(",\"", $name, "\":"), concat!(",\"", $name, "\":\""))
    };
}
pub(super) use key;

/// What many lines have in common, written once.
#[derive(Debug)]
pub(super) struct Usual {
    sensor: String,
    /// By action, of which there are some fifteen: what stands between the time and the device.
    heads: Vec<(&'static str, Vec<u8>)>,
    /// The latest minutes, each at the place of its number: `2021-09-21T04:53:`.
    minutes: [(u64, [u8; MINUTE]); MINUTES],
}

/// Characters of a time up to its seconds.
const MINUTE: usize = 17;
/// Minutes remembered: a flow's line tells when it began, and that was mostly one of these.
const MINUTES: usize = 16;

impl Usual {
    /// Nothing yet, of the lines of a sensor.
    pub(super) fn of(sensor: &str) -> Self {
        Self { sensor: sensor.to_owned(), heads: Vec::new(), minutes: [(u64::MAX, [0; MINUTE]); MINUTES] }
    }

    fn head(&mut self, action: &'static str, out: &mut Vec<u8>) {
        // The very word, which is quicker to compare than what it says; another that says the same would have a head of its own.
        if let Some((_, head)) = self.heads.iter().find(|(known, _)| std::ptr::eq(*known, action)) {
            return out.extend_from_slice(head);
        }
        let begin = out.len();
        out.extend_from_slice(b"\"");
        let mut line = Line { out, usual: self };
        line.word(key!("event.action"), action);
        let sensor = line.usual.sensor.clone();
        line.text(key!("observer.name"), &sensor);
        let head = out.get(begin..).unwrap_or_default().to_vec();
        self.heads.push((action, head));
    }

    fn minute(&mut self, minute: u64) -> [u8; MINUTE] {
        let Some((known, text)) = self.minutes.get_mut(minute as usize % MINUTES) else { return [0; MINUTE] };
        if *known != minute {
            let mut whole = Vec::with_capacity(MINUTE.saturating_add(3));
            stamp(minute.saturating_mul(60_000_000_000), 0, &mut whole);
            (*known, *text) = (minute, whole.first_chunk().copied().unwrap_or([0; MINUTE]));
        }
        *text
    }
}

/// A line in the making: fields in order, commas between them. What puts a name is always inlined: then the name is copied by a few
/// instructions instead of a call.
pub(super) struct Line<'a> {
    out: &'a mut Vec<u8>,
    usual: &'a mut Usual,
}

impl<'a> Line<'a> {
    /// The fields that every event has, and the two ends where there are any.
    pub(super) fn begin(event: &Event, action: &'static str, usual: &'a mut Usual, out: &'a mut Vec<u8>) -> Self {
        out.extend_from_slice(b"{\"@timestamp\":\"");
        let mut line = Self { out, usual };
        line.digits(event.time.as_nanos());
        line.usual.head(action, line.out);
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
            match ends.protocol {
                6 => line.word(key!("network.transport"), "tcp"),
                17 => line.word(key!("network.transport"), "udp"),
                other => line.word(key!("network.transport"), &transport(other)),
            }
            if let Some(id) = community::id(ends) {
                line.begin_text(key!("network.community_id"));
                line.out.extend_from_slice(&id);
                line.out.push(b'"');
            }
        }
        line.number(key!("whither.packet"), event.packet);
        line
    }

    /// An address, and its port where the transport has ports.
    #[inline(always)]
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

    /// An object begins, with the name of its first field.
    pub(super) fn open(&mut self, Key(name, _): Key) {
        self.out.push(b'{');
        self.out.extend_from_slice(name.as_bytes().get(1..).unwrap_or_default());
    }

    pub(super) fn close(&mut self) {
        self.out.push(b'}');
    }

    /// The name of a field.
    #[inline(always)]
    pub(super) fn field(&mut self, Key(name, _): Key) {
        self.out.extend_from_slice(name.as_bytes());
    }

    #[inline(always)]
    fn begin_text(&mut self, Key(_, name): Key) {
        self.out.extend_from_slice(name.as_bytes());
    }

    /// A value as text, escaped.
    pub(super) fn value(&mut self, text: &str) {
        self.out.push(b'"');
        self.rest_of_text(text);
    }

    /// A text whose first quote is there, escaped.
    fn rest_of_text(&mut self, text: &str) {
        if needs_escape(text.as_bytes()) {
            self.out.pop();
            // Text into memory: neither can fail.
            let _ = serde_json::to_writer(&mut *self.out, text);
        } else {
            self.rest_of_word(text);
        }
    }

    fn rest_of_word(&mut self, word: &str) {
        self.out.extend_from_slice(word.as_bytes());
        self.out.push(b'"');
    }

    /// A time in UTC, nanoseconds since the epoch.
    #[inline(always)]
    pub(super) fn time(&mut self, name: Key, nanos: u64) {
        self.begin_text(name);
        self.digits(nanos);
        self.out.push(b'"');
    }

    fn digits(&mut self, nanos: u64) {
        let (seconds, subsec) = (nanos / 1_000_000_000, (nanos % 1_000_000_000) as u32);
        self.out.extend_from_slice(&self.usual.minute(seconds / 60));
        let second = (seconds % 60) as u8;
        let [a, b, c, d, e, f, g, h, i] = nine_digits(subsec);
        self.out.extend_from_slice(&[b'0' + second / 10, b'0' + second % 10, b'.', a, b, c, d, e, f, g, h, i, b'Z']);
    }

    /// A MAC as a value.
    pub(super) fn mac(&mut self, mac: Mac) {
        self.out.push(b'"');
        self.out.extend_from_slice(&mac.text());
        self.out.push(b'"');
    }

    /// An address as a value, by hand, since two of them stand in nearly every line.
    pub(super) fn address(&mut self, address: IpAddr) {
        self.out.push(b'"');
        match address {
            IpAddr::V4(v4) => {
                let (text, length) = dotted(v4);
                self.out.extend_from_slice(&text);
                self.out.truncate(self.out.len().saturating_sub(text.len().saturating_sub(length)));
            }
            IpAddr::V6(v6) => {
                self.out.extend_from_slice(&coloned(v6));
                self.out.push(b'"');
            }
        }
    }

    #[inline(always)]
    pub(super) fn text(&mut self, name: Key, value: &str) {
        self.begin_text(name);
        self.rest_of_text(value);
    }

    /// A word of ours, which needs no escape.
    #[inline(always)]
    pub(super) fn word(&mut self, name: Key, word: &str) {
        self.begin_text(name);
        self.rest_of_word(word);
    }

    #[inline(always)]
    pub(super) fn maybe(&mut self, name: Key, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    #[inline(always)]
    pub(super) fn number(&mut self, name: Key, value: impl Into<u64>) {
        self.field(name);
        self.decimal(value.into());
    }

    fn decimal(&mut self, value: u64) {
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A number with three decimals.
    pub(super) fn decimals(&mut self, name: Key, value: f64) {
        self.field(name);
        let _ = write!(self.out, "{value:.3}");
    }

    #[inline(always)]
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
    }
}

/// An IPv6 address as RFC 5952 has it: the first of the longest runs of zeros is left out, and an IPv4 address inside is in dots.
fn coloned(address: Ipv6Addr) -> ArrayVec<u8, 40> {
    let mut text = ArrayVec::new();
    if let Some(v4) = address.to_ipv4_mapped() {
        let (dots, length) = dotted(v4);
        text.extend(*b"::ffff:");
        text.extend(dots.into_iter().take(length.saturating_sub(1)));
        return text;
    }
    let segments = address.segments();
    let (mut run, mut longest) = ((0_usize, 0_usize), (0_usize, 0_usize));
    for (at, segment) in segments.into_iter().enumerate() {
        run = if segment != 0 { (at.saturating_add(1), 0) } else { (run.0, run.1.saturating_add(1)) };
        longest = if run.1 > longest.1 { run } else { longest };
    }
    let (from, zeros) = if longest.1 > 1 { longest } else { (usize::MAX, 0) };
    for (at, segment) in segments.into_iter().enumerate() {
        if at == from {
            text.extend(*b"::");
        }
        if at >= from && at.saturating_sub(from) < zeros {
            continue;
        }
        if at > 0 && (from == usize::MAX || at != from.saturating_add(zeros)) {
            text.push(b':');
        }
        let digits = 4_u32.saturating_sub(segment.leading_zeros() / 4).max(1);
        for place in (0..digits).rev() {
            let nibble = (segment >> (4 * place) & 15) as u8;
            text.push(nibble + if nibble < 10 { b'0' } else { b'a' - 10 });
        }
    }
    text
}

/// An address in dots and the quote behind it, and how many bytes of the text that is: fifteen and one at most.
fn dotted(address: Ipv4Addr) -> ([u8; 16], usize) {
    let (mut text, mut length) = ([0; 16], 0_usize);
    for octet in address.octets() {
        let (digits, more) = OCTETS.get(usize::from(octet)).copied().unwrap_or_default();
        // All four are written, and what is too much of them is written over by the next.
        if let Some(room) = text.get_mut(length..).and_then(|rest| rest.first_chunk_mut()) {
            *room = digits;
        }
        length = length.saturating_add(usize::from(more));
    }
    if let Some(dot) = text.get_mut(length.saturating_sub(1)) {
        *dot = b'"';
    }
    (text, length)
}

/// Every octet in digits with a dot behind, and how many bytes that is.
const OCTETS: [([u8; 4], u8); 256] = {
    let mut octets = [([0; 4], 0); 256];
    let mut rest: &mut [([u8; 4], u8)] = &mut octets;
    let mut octet = 0_u8;
    while let Some((this, others)) = rest.split_first_mut() {
        let (a, b, c) = (b'0' + octet / 100, b'0' + octet / 10 % 10, b'0' + octet % 10);
        *this = match octet {
            0..10 => ([c, b'.', 0, 0], 2),
            10..100 => ([b, c, b'.', 0], 3),
            100.. => ([a, b, c, b'.'], 4),
        };
        octet = octet.wrapping_add(1);
        rest = others;
    }
    octets
};

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
        let mut line = Line { out: &mut out, usual: &mut Usual::of("lab") };
        let mut addresses: Vec<IpAddr> = (0..=255).map(|octet| [octet, 9, 99, 255 - octet].into()).collect();
        // Every run of zeros, and digits of every length.
        addresses.extend((0..=255_u16).map(|bits| {
            let segment = |at: u16| if bits >> at & 1 == 0 { 0 } else { 0xfa0c_u16 >> (4 * (at % 4)) };
            IpAddr::from([0, 1, 2, 3, 4, 5, 6, 7].map(segment))
        }));
        addresses.push("::ffff:192.0.2.1".parse().unwrap());
        addresses.iter().for_each(|address| line.address(*address));
        let expected: String = addresses.iter().map(|address| format!("\"{address}\"")).collect();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
