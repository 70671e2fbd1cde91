//! The one word between reading and remembering: what a dissector saw.
//!
//! Everything here is owned, bounded and free of protocol state; `engine::learn` has the single exhaustive match over it.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use arrayvec::{ArrayString, ArrayVec};

/// Something a dissector read in a device's traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A DNS, mDNS or LLMNR message.
    Dns(Box<DnsMessage>),
    /// A TLS ClientHello, over TCP or from QUIC CRYPTO frames.
    Hello(Box<ClientHello>),
    /// The head of an HTTP/1 request in the clear.
    Request(Box<Request>),
    /// What a DHCPv4 client said of itself, or a server granted.
    Lease(Box<Lease>),
    /// The same by DHCPv6.
    Lease6(Box<Lease6>),
    /// What a device announces of itself, or looks for, by SSDP.
    Announcement(Box<Announcement>),
    /// The handshake of a tunnel, or of something else that hides what it carries.
    Tunnel(Tunnel),
    /// The certificate of a TLS server, in the clear up to TLS 1.2.
    Certificate(Box<Certificate>),
}

/// A host name as whither keeps it: lower case, no trailing dot, at most [`Name::MAX`] bytes of UTF-8.
///
/// Bytes that are not printable UTF-8 are written as `\DDD` (RFC 1035, 5.1), so a name never carries control characters
/// into a label, a terminal or a page.
///
/// Its text is shared, since one name is what many records of an answer, a flow and the tables all speak of.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The longest name kept, in bytes: 255 octets on the wire are at most 253 characters (RFC 1035, 2.3.4); escapes may quadruple them.
    pub const MAX: usize = 1012;
    /// The longest name that is made without a `String`: what is longer is nobody's host.
    const USUAL: usize = 255;

    /// A name from the labels of a DNS message. The root is the empty name.
    #[must_use]
    pub fn from_labels<'a>(labels: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut text = String::new();
        for label in labels {
            if !text.is_empty() {
                text.push('.');
            }
            escape(label, true, &mut text);
            if text.len() > Self::MAX {
                break;
            }
        }
        Self::cut(text)
    }

    /// A name from the octets of its labels, each behind its length (RFC 1035, 3.1), without the root.
    pub(super) fn from_wire(octets: &[u8]) -> Self {
        let mut text = ArrayVec::<u8, { Self::USUAL }>::new();
        if text.try_extend_from_slice(octets.get(1..).unwrap_or_default()).is_ok() {
            let (mut at, mut boundaries) = (octets.first().map_or(0, |first| usize::from(*first)), 0_usize);
            while let Some(length) = text.get_mut(at) {
                at = at.saturating_add(usize::from(*length)).saturating_add(1);
                *length = b'.';
                boundaries = boundaries.saturating_add(1);
            }
            if let Some((text, dots)) = lower(&mut text)
                && dots == boundaries
            {
                return Self(text.into());
            }
        }
        let mut rest = octets;
        Self::from_labels(std::iter::from_fn(|| {
            let (length, behind) = rest.split_first()?;
            let (label, behind) = behind.split_at_checked(usize::from(*length))?;
            rest = behind;
            Some(label)
        }))
    }

    /// A name written with dots, as in SNI and Host. `None` when it is empty.
    #[must_use]
    pub fn from_dotted(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_suffix(b".").unwrap_or(bytes);
        if bytes.is_empty() {
            return None;
        }
        let mut plain = ArrayVec::<u8, { Self::USUAL }>::new();
        if plain.try_extend_from_slice(bytes).is_ok()
            && let Some((text, _)) = lower(&mut plain)
        {
            return Some(Self(text.into()));
        }
        let mut text = String::new();
        escape(bytes.get(..Self::MAX.min(bytes.len())).unwrap_or(bytes), false, &mut text);
        Some(Self::cut(text))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same text, for who keeps it.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// Whether it is written as it was sent: nothing in it had to be escaped.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.0.contains('\\')
    }

    fn cut(mut text: String) -> Self {
        let mut end = Self::MAX.min(text.len());
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        text.truncate(end);
        Self(text.into())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Text chosen by a device (a host name, a user agent): at most [`Text::MAX`] bytes, control characters replaced.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Cow<'static, str>);

impl Text {
    /// The longest text kept, in bytes.
    pub const MAX: usize = 256;

    /// Text from bytes of the wire; `None` when nothing is left of it.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..Self::MAX.min(bytes.len())).unwrap_or(bytes);
        let odd = head.iter().fold(false, |odd, byte| odd | !matches!(byte, b' '..=b'~'));
        if let (false, Ok(plain)) = (odd, std::str::from_utf8(head)) {
            return (!plain.is_empty()).then(|| Self(usual(plain).map_or_else(|| plain.to_owned().into(), Cow::Borrowed))); // as nearly all are
        }
        let text: String =
            String::from_utf8_lossy(head).trim_matches('\0').chars().map(|c| if is_unsafe(c) { '\u{fffd}' } else { c }).collect();
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// What most hellos and requests say, which need not be copied.
fn usual(text: &str) -> Option<&'static str> {
    ["h2", "http/1.1", "h3", "GET", "POST"].into_iter().find(|word| *word == text)
}

/// Makes text lower-case, if it is graphic ASCII without a backslash, as nearly all names are; with the dots in it.
///
/// Every byte is looked at, without a way out: so the compiler takes many at once.
fn lower(text: &mut [u8]) -> Option<(&str, usize)> {
    let (mut odd, mut dots) = (0_u8, 0_u8);
    for byte in text.iter_mut() {
        odd |= u8::from(byte.wrapping_sub(b'!') > b'~' - b'!') | u8::from(*byte == b'\\');
        dots = dots.wrapping_add(u8::from(*byte == b'.'));
        *byte |= u8::from(byte.wrapping_sub(b'A') < 26) << 5;
    }
    if odd != 0 {
        return None;
    }
    Some((std::str::from_utf8(text).ok()?, usize::from(dots)))
}

/// Writes bytes as lower-case printable text; `dots` says that a dot inside is part of a label and must be escaped.
fn escape(bytes: &[u8], dots: bool, out: &mut String) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '.' if dots => out.push_str("\\."),
                '\\' => out.push_str("\\\\"),
                c if is_unsafe(c) || c == ' ' && !dots => {
                    let mut buffer = [0; 4];
                    for byte in c.encode_utf8(&mut buffer).bytes() {
                        push_decimal(byte, out);
                    }
                }
                c => out.extend(c.to_lowercase()),
            }
        }
        for byte in chunk.invalid() {
            push_decimal(*byte, out);
        }
    }
}

fn push_decimal(byte: u8, out: &mut String) {
    use fmt::Write as _;
    // Writing to a String cannot fail.
    let _ = write!(out, "\\{byte:03}");
}

/// Control characters, and the invisible ones that reorder or hide text in a terminal or page.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// A DNS message (RFC 1035), over UDP or TCP, or mDNS (RFC 6762) or LLMNR (RFC 4795), which have its form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsMessage {
    /// The transaction identifier.
    pub id: u16,
    /// QR: this is an answer.
    pub response: bool,
    /// RCODE of the header: 0 NOERROR, 2 SERVFAIL, 3 NXDOMAIN.
    pub rcode: u8,
    /// What was asked, at most [`DnsMessage::MAX_QUESTIONS`].
    pub questions: Vec<Question>,
    /// The answer section, in order, at most [`DnsMessage::MAX_ANSWERS`].
    pub answers: Vec<Record>,
    /// Addresses of the additional section (and HTTPS hints anywhere), which name a server as answers do, and its SRV and TXT records,
    /// by which mDNS describes a service.
    pub additional: Vec<Record>,
    /// The message ended before its counts did or after them, was cut (TC), or had records that could not be read.
    pub partial: bool,
}

impl DnsMessage {
    /// Questions kept of one message; mDNS asks several at once.
    pub const MAX_QUESTIONS: usize = 64;
    /// Records kept of one section: a 64 KiB answer over TCP could hold thousands.
    pub const MAX_ANSWERS: usize = 2048;
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// QNAME.
    pub name: Name,
    /// QTYPE as a number: 1 A, 28 AAAA, 65 HTTPS.
    pub qtype: u16,
}

/// One resource record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The owner.
    pub name: Name,
    /// TYPE as a number.
    pub rtype: u16,
    /// Seconds that it may be kept; the top bit set reads as 0 (RFC 2181, 8).
    pub ttl: u32,
    /// What it says.
    pub data: RecordData,
}

/// The content of a record, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordData {
    /// A or AAAA.
    Address(IpAddr),
    /// CNAME, DNAME, NS, PTR or another record whose content is one name.
    Name(Name),
    /// HTTPS or SVCB (RFC 9460): target name, address hints, and the ECH configurations that are offered.
    Service {
        /// TargetName; the empty name means the owner.
        target: Name,
        /// The addresses of `ipv4hint` and `ipv6hint`, at most 16.
        hints: Vec<IpAddr>,
        /// The `ech` parameter (RFC 9848) is there.
        ech: bool,
        /// The public name of the first configuration in it: what hellos to this service show in place of its own. Empty where none can be read.
        public_name: Name,
    },
    /// TXT: its first strings, joined by a space.
    Text(Text),
    /// Any other type: its length in bytes.
    Other(u16),
}

/// A fingerprint of a TLS client, such as `t13d1516h2_8daaf6152771_e5627efa2ab1`.
pub type Ja4 = ArrayString<36>;

/// A TLS ClientHello (RFC 8446, 4.1.2), as far as a passive observer uses it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The server name (RFC 6066, 3), if the client sent one that is a host name.
    pub name: Option<Name>,
    /// Application protocols offered (RFC 7301), in order, at most 16.
    pub alpn: Vec<Text>,
    /// The highest version offered: supported_versions, else legacy_version; GREASE left out. 0x0304 is TLS 1.3.
    pub version: u16,
    /// The encrypted_client_hello extension is there (RFC 9849). GREASE sends it too, so it proves nothing by itself.
    pub ech: bool,
    /// JA4 of the hello (TLS client, BSD-3-Clause part), `t...` over TCP and `q...` over QUIC.
    pub ja4: Option<Ja4>,
    /// The QUIC version that carried it, if one did.
    pub quic_version: Option<u32>,
}

/// The head of an HTTP/1 request (RFC 9112, 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Text,
    /// Host without its port.
    pub host: Option<Name>,
    /// The host of an absolute or CONNECT target, without its port.
    pub authority: Option<Name>,
    /// The path, without the query: a query may carry what only its user should see.
    pub path: Option<Text>,
    /// The query, kept apart from the path, for the evidence of known endpoints only.
    pub query: Option<Text>,
    /// User-Agent.
    pub agent: Option<Text>,
}

/// What a DHCPv4 message says of a client (RFC 2131, RFC 2132).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// chaddr.
    pub mac: [u8; 6],
    /// Option 53: 1 DISCOVER, 3 REQUEST, 5 ACK; 0 where there is none (BOOTP).
    pub kind: u8,
    /// The address the server acknowledged (yiaddr of an ACK).
    pub address: Option<Ipv4Addr>,
    /// Option 12.
    pub hostname: Option<Text>,
    /// Option 60.
    pub vendor_class: Option<Text>,
    /// Option 55, as sent: the order tells implementations apart. At most 64.
    pub parameters: Vec<u8>,
    /// Option 61, at most 32 bytes.
    pub client_id: Vec<u8>,
    /// Option 57: the longest message the client takes, bytes.
    pub max_message: Option<u16>,
    /// Option 81, the name in it.
    pub fqdn: Option<Text>,
    /// Option 6: the resolvers that a server offers, at most 8.
    pub resolvers: Vec<Ipv4Addr>,
}

/// What a DHCPv6 message says of a client (RFC 8415).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease6 {
    /// msg-type: 1 Solicit, 7 Reply; of the innermost message where relays are between.
    pub kind: u8,
    /// A relay carried it: the frame's sender is not the one who speaks.
    pub relayed: bool,
    /// Option 1, the client's DUID, at most 130 bytes.
    pub duid: Vec<u8>,
    /// Option 39, the name in it (RFC 4704).
    pub fqdn: Option<Text>,
    /// Option 16, its strings joined by a space.
    pub vendor_class: Option<Text>,
    /// Option 16, the IANA enterprise number of whoever defined them.
    pub enterprise: Option<u32>,
    /// Option 6, the options asked for, as sent: at most [`Lease6::MAX_PARAMETERS`].
    pub parameters: Vec<u16>,
    /// The addresses of IA_NA and IA_TA: wished by a client, given by a server. At most [`Lease6::MAX_ADDRESSES`].
    pub addresses: Vec<Ipv6Addr>,
    /// The prefixes of IA_PD and their lengths in bits, at most as many.
    pub prefixes: Vec<(Ipv6Addr, u8)>,
    /// Option 23 (RFC 3646): the resolvers that a server offers, at most as many.
    pub resolvers: Vec<Ipv6Addr>,
}

impl Lease6 {
    /// Options asked for that are kept: the longest real list is about 15.
    pub const MAX_PARAMETERS: usize = 32;
    /// Addresses, prefixes and resolvers kept of one message: nobody has more than a few.
    pub const MAX_ADDRESSES: usize = 8;

    /// Whether a client says it (RFC 8415, 7.3); else a server does.
    #[must_use]
    pub const fn is_client(&self) -> bool {
        !matches!(self.kind, 2 | 7 | 10)
    }
}

/// An SSDP message (UPnP Device Architecture 2.0, 1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// It looks for others (M-SEARCH); else it tells of its sender.
    pub search: bool,
    /// SERVER, or USER-AGENT of a search: operating system, UPnP version, product.
    pub product: Option<Text>,
    /// NT or ST: the type of what is announced or looked for.
    pub kind: Option<Text>,
    /// The UUID in USN.
    pub uuid: Option<Text>,
    /// The address in LOCATION, where the announced device really is.
    pub host: Option<IpAddr>,
}

/// A handshake after which only one peer is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Of what.
    pub kind: TunnelKind,
    /// The server name of a DTLS hello, if it has one.
    pub name: Option<Name>,
}

/// What hides the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TunnelKind {
    /// WireGuard.
    WireGuard,
    /// OpenVPN, over UDP or TCP.
    OpenVpn,
    /// IPsec, by its key exchange (IKEv1, IKEv2), over UDP or TCP.
    Ipsec,
    /// L2TP, mostly with IPsec around it.
    L2tp,
    /// PPTP, whose data goes over GRE.
    Pptp,
    /// DTLS: calls in a browser, and some VPNs.
    Dtls,
}

impl TunnelKind {
    /// Its usual name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WireGuard => "wireguard",
            Self::OpenVpn => "openvpn",
            Self::Ipsec => "ipsec",
            Self::L2tp => "l2tp",
            Self::Pptp => "pptp",
            Self::Dtls => "dtls",
        }
    }
}

/// What a TLS server's own certificate (RFC 5280) says of its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// The subject's common name if it is a host name, then the other DNS names that it is for, in its order; at most
    /// [`Certificate::MAX_NAMES`], and they may begin with `*.`. The first is what to call the server: lists are often in
    /// the order of the alphabet.
    pub names: Vec<Name>,
    /// There were more names.
    pub cut: bool,
    /// The subject's common name, whatever it says.
    pub common_name: Option<Text>,
    /// The issuer's common name.
    pub issuer: Option<Text>,
    /// The version that the server chose: 0x0300 (SSL 3) to 0x0303 (TLS 1.2).
    pub version: u16,
}

impl Certificate {
    /// Names kept of one certificate: those of shared servers have hundreds.
    pub const MAX_NAMES: usize = 8;

    /// Whether it has the form that Tor gives to those of its relays: two random names of base 32, of `.net` by a `.com`, and
    /// nothing else. (Since TLS 1.3 they are not seen.)
    #[must_use]
    pub fn is_tor(&self) -> bool {
        let random = |text: &Option<Text>, top: &str| {
            let label = text.as_ref().and_then(|text| text.as_str().strip_prefix("www.")?.strip_suffix(top));
            label
                .is_some_and(|label| (8..=20).contains(&label.len()) && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')))
        };
        self.names.len() <= 1 && !self.cut && random(&self.common_name, ".net") && random(&self.issuer, ".com")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(labels: &[&[u8]]) -> String {
        Name::from_labels(labels.iter().copied()).to_string()
    }

    #[test]
    fn names_from_labels_are_lower_case_and_unambiguous() {
        assert_eq!(name(&[b"WWW", b"Example", b"COM"]), "www.example.com");
        assert_eq!(name(&[]), "");
        assert_eq!(name(&["Jonas’s iPhone".as_bytes(), b"local"]), "jonas’s iphone.local");
        assert_eq!(name(&["Kęstučio".as_bytes()]), "kęstučio");
        assert_eq!(name(&[b"goo.com"]), "goo\\.com");
        assert_eq!(name(&[b"a\\b"]), "a\\\\b");
        assert_eq!(name(&[b"a\0\n\x1b[31m"]), "a\\000\\010\\027[31m");
        assert_eq!(name(&[b"\xff\xc3"]), "\\255\\195");
        assert_eq!(name(&["a\u{202e}b".as_bytes()]), "a\\226\\128\\174b", "a mark that turns the text around");
    }

    #[test]
    fn names_stay_within_their_bound() {
        let label = [0xff; 63];
        let longest = name(&[&label, &label, &label, &label[..61]]);
        assert!(longest.len() <= Name::MAX && longest.ends_with("\\255"), "{}", longest.len());
        let many = vec![&label[..]; 100];
        assert!(name(&many).len() <= Name::MAX);
        assert!(Name::from_dotted(&[b'a'; 5000]).unwrap().as_str().len() <= Name::MAX);
    }

    #[test]
    fn names_with_dots_lose_the_last_one() {
        let dotted = |text: &str| Name::from_dotted(text.as_bytes()).map(|name| name.to_string());
        assert_eq!(dotted("Example.COM."), Some("example.com".to_owned()));
        assert_eq!(dotted("."), None);
        assert_eq!(dotted("a b"), Some("a\\032b".to_owned()));
    }
}
