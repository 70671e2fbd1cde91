//! QUIC: the CRYPTO frames of a client's Initial packets (RFC 9000, 17.2.2), which anyone on the path can open.
//!
//! Road taken: an Initial's keys come from a connection ID in the clear (RFC 9001, 5.2), so the packet's own authentication tag
//! says whether it is QUIC, on any port. Ciphers and key derivation are those of kept crates; only the order of the steps is
//! written here. The frames are handed out with their offsets: browsers shuffle them, within a packet and over packets, and the
//! flow puts them in order as it does with TCP segments.
//! Road not taken: `rustls`'s Initial keys, which derive both sides (twice the cost) and bring a whole TLS stack. Nor is a packet
//! that a snap length cut deciphered without its tag: nothing would say that it is QUIC.
//!
//! Tried without gain: all of it by `ring`, whose cipher saves 0.23 us for a full Initial and whose derivation costs 0.21 us more.

pub mod version;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use aes::Aes128Enc;
use aes::cipher::consts::U12;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes_gcm::AesGcm;
use aes_gcm::aead::AeadInOut;
use arrayvec::ArrayVec;
use hkdf::{Hkdf, HkdfExtract};
use sha2::Sha256;

use super::reader::Reader;
use super::{Dissector, Over, Verdict};

/// QUIC, on any port.
pub const DISSECTOR: Dissector = Dissector { name: "quic", over: Over::Datagram, ports: &[], read };

/// The CRYPTO frames of a datagram's client Initials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pieces {
    /// The version on the wire.
    pub version: u32,
    /// The connection ID whose keys opened them: the engine keeps the flow's first for later datagrams.
    pub key_id: ArrayVec<u8, MAX_ID>,
    /// The packets, deciphered, one behind the other.
    plain: Vec<u8>,
    /// Offset in the stream, and place in `plain`.
    frames: Vec<(u64, Range<usize>)>,
}

impl Pieces {
    /// Offset and bytes of each frame, in order of appearance.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u64, &[u8])> {
        self.frames.iter().map(|(offset, place)| (*offset, self.plain.get(place.clone()).unwrap_or_default()))
    }

    /// The beginning of the stream, if these frames are one run of it: a small hello comes in one datagram, in one frame or shuffled.
    #[must_use]
    pub fn beginning(&self) -> Option<Cow<'_, [u8]>> {
        if let [(0, place)] = self.frames.as_slice() {
            return self.plain.get(place.clone()).map(Cow::Borrowed);
        }
        let mut frames: ArrayVec<_, MAX_FRAMES> = self.frames.iter().take(MAX_FRAMES).collect();
        frames.sort_unstable_by_key(|(offset, _)| *offset);
        let mut whole = Vec::with_capacity(self.plain.len());
        for (offset, place) in frames {
            if *offset != whole.len() as u64 {
                return None;
            }
            whole.extend_from_slice(self.plain.get(place.clone())?);
        }
        Some(Cow::Owned(whole))
    }
}

/// Reads the first datagram of a client.
#[must_use]
pub fn read(datagram: &[u8]) -> Verdict {
    open(datagram, &[])
}

/// Opens the Initial packets that a datagram holds (RFC 9000, 12.2) with the keys of its own destination connection ID or, since
/// a client changes that after the server's first answer, of those remembered from earlier datagrams of the flow, of which
/// the first [`MAX_KEY_IDS`] are tried.
///
/// `Carries` may hold no pieces: packets that only acknowledge are authentic as well. All else is `NotMine`, also a
/// server's Initial, whose keys are others.
#[must_use]
pub fn open(datagram: &[u8], key_ids: &[&[u8]]) -> Verdict {
    let mut rest = datagram;
    let mut ring = Ring::default();
    let mut found = Pieces::default();
    let mut room = MAX_CRYPTO;
    for _ in 0..MAX_PACKETS {
        let Some(packet) = Packet::read(&mut rest) else { break };
        let begin = found.plain.len();
        // One that does not open says nothing of those behind it: receivers go on as well (RFC 9000, 12.2).
        if packet.initial && ring.open(&packet, key_ids, &mut found.plain).is_some() {
            let _ = collect(&mut found, begin, packet.scheme.crypto, &mut room);
        }
    }
    let Some(opener) = ring.openers.first().filter(|_| ring.fits) else { return Verdict::NotMine };
    found.version = opener.version;
    found.key_id = opener.id.iter().copied().collect();
    Verdict::Carries(found)
}

/// Packets looked at in one datagram: a forger would fill 65,507 bytes with thousands, to have the cipher set up for each. Clients send
/// at most four; one that hides its hello behind packets that do not open has no room for it in a frame of Ethernet behind as many
/// as these of the shortest that can be sealed, 37 bytes.
const MAX_PACKETS: usize = 32;
/// Remembered connection IDs tried on one datagram: the client's first choice and, after a Retry, the server's.
pub const MAX_KEY_IDS: usize = 2;
/// Key derivations spent on one datagram, whatever connection IDs and versions its packets bear: a forger changes them with each.
const MAX_KEYS: usize = MAX_KEY_IDS + 1;
/// CRYPTO frames taken from one datagram: frames of one byte would turn a datagram into thousands of allocations.
const MAX_FRAMES: usize = 64;
/// CRYPTO bytes taken from one datagram: no datagram on a real path is longer, a jumbogram of forgeries is.
const MAX_CRYPTO: usize = 16_384;
/// The longest connection ID, bytes (RFC 9000, 17.2).
pub const MAX_ID: usize = 20;
/// A client's first connection ID has at least this many bytes (RFC 9000, 7.2), so shorter ones are no keys.
const MIN_KEY_ID: usize = 8;

/// What differs between the versions.
struct Scheme {
    /// The extraction of the Initial secret, as far as its salt goes.
    extract: LazyLock<HkdfExtract<Sha256>>,
    /// What key, initialization vector and header protection are expanded with: `HkdfLabel` (RFC 8446, 7.1) with an empty context.
    labels: [&'static [u8]; 3],
    /// What the four values of the type bits mean.
    types: [Form; 4],
    /// The type of the CRYPTO frame.
    crypto: u8,
}

const TYPES_1: [Form; 4] = [Form::Initial, Form::ZeroRtt, Form::Handshake, Form::Retry];
const LABELS_1: [&[u8]; 3] = [b"\0\x10\x0etls13 quic key\0", b"\0\x0c\x0dtls13 quic iv\0", b"\0\x10\x0dtls13 quic hp\0"];
const CLIENT: &[u8] = b"\0\x20\x0ftls13 client in\0";

/// RFC 9001, 5.2.
static VERSION_1: Scheme = Scheme {
    extract: LazyLock::new(|| salted(0x3876_2cf7_f559_34b3_4d17_9ae6_a4c8_0cad, 0xccbb_7f0a)),
    labels: LABELS_1,
    types: TYPES_1,
    crypto: 6,
};
/// RFC 9369, 3.3.
static VERSION_2: Scheme = Scheme {
    extract: LazyLock::new(|| salted(0x0ded_e3de_f700_a6db_8193_81be_6e26_9dcb, 0xf9bd_2ed9)),
    labels: [b"\0\x10\x10tls13 quicv2 key\0", b"\0\x0c\x0ftls13 quicv2 iv\0", b"\0\x10\x0ftls13 quicv2 hp\0"],
    types: [Form::Retry, Form::Initial, Form::ZeroRtt, Form::Handshake],
    crypto: 6,
};
/// draft-ietf-quic-tls-29 to -32, 5.2.
static DRAFT_29: Scheme = Scheme {
    extract: LazyLock::new(|| salted(0xafbf_ec28_9993_d24c_9e97_86f1_9c61_11e0, 0x4390_a899)),
    labels: LABELS_1,
    types: TYPES_1,
    crypto: 6,
};
/// draft-ietf-quic-tls-23 to -28, 5.2.
static DRAFT_23: Scheme = Scheme {
    extract: LazyLock::new(|| salted(0xc3ee_f712_c72e_bb5a_11a7_d243_2bb4_6365, 0xbef9_f502)),
    labels: LABELS_1,
    types: TYPES_1,
    crypto: 6,
};
/// Google's T051: draft 27 with a salt of its own and the frames of Google QUIC, whose CRYPTO frame has another type.
static GOOGLE_T051: Scheme = Scheme {
    extract: LazyLock::new(|| salted(0x7a4e_def4_e7cc_ee5f_a450_6c19_124f_c8cc, 0xda6e_033d)),
    labels: LABELS_1,
    types: TYPES_1,
    crypto: 8,
};

fn scheme(version: u32) -> Option<&'static Scheme> {
    Some(match version {
        1 | 0xff00_0021 | 0xff00_0022 => &VERSION_1,
        0x6b33_43cf => &VERSION_2,
        0xff00_001d..=0xff00_0020 => &DRAFT_29,
        // 0xfaceb002 is mvfst's draft 27.
        0xff00_0017..=0xff00_001c | 0xface_b002 => &DRAFT_23,
        0x5430_3531 => &GOOGLE_T051,
        _ => return None,
    })
}

/// By a salt, from its first 16 bytes and its last 4.
fn salted(head: u128, tail: u32) -> HkdfExtract<Sha256> {
    let mut salt = [0; 20];
    salt.iter_mut().zip(head.to_be_bytes().into_iter().chain(tail.to_be_bytes())).for_each(|(into, byte)| *into = byte);
    HkdfExtract::new(Some(&salt))
}

/// The part of a long header that all versions share (RFC 8999, 5.1).
struct Long<'a> {
    first: u8,
    version: u32,
    destination: &'a [u8],
    after: Reader<'a>,
}

impl<'a> Long<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let first = reader.u8().filter(|first| first & 0x80 != 0)?;
        let version = reader.u32()?;
        let destination = reader.vec8().filter(|id| id.len() <= MAX_ID)?;
        reader.vec8().filter(|id| id.len() <= MAX_ID)?;
        Some(Self { first, version, destination, after: reader })
    }

    fn form(&self, scheme: &Scheme) -> Form {
        let [a, b, c, d] = scheme.types;
        match self.first >> 4 & 3 {
            0 => a,
            1 => b,
            2 => c,
            _ => d,
        }
    }
}

/// A packet with a long header and a length, still protected.
struct Packet<'a> {
    initial: bool,
    version: u32,
    scheme: &'static Scheme,
    destination: &'a [u8],
    /// From its first byte to the end of its tag.
    whole: &'a [u8],
    /// Where its packet number begins.
    number_at: usize,
}

impl<'a> Packet<'a> {
    /// The packet at the beginning of `rest`, which then begins after it. `None` at the end, for other versions, for packets
    /// without a length (Retry, short headers) and where the length does not fit.
    ///
    /// The fixed bit is not asked for: clients may send it cleared (RFC 9287).
    fn read(rest: &mut &'a [u8]) -> Option<Self> {
        let mut long = Long::read(rest)?;
        let scheme = scheme(long.version)?;
        let form = long.form(scheme);
        if form == Form::Retry {
            return None;
        }
        if form == Form::Initial {
            let token = varint(&mut long.after)?;
            long.after.take(usize::try_from(token).ok()?)?;
        }
        let length = usize::try_from(varint(&mut long.after)?).ok()?;
        let number_at = rest.len().checked_sub(long.after.rest.len())?;
        let (whole, after) = rest.split_at_checked(number_at.checked_add(length)?)?;
        *rest = after;
        Some(Self { initial: form == Form::Initial, version: long.version, scheme, destination: long.destination, whole, number_at })
    }

    /// The connection IDs whose keys may open it, each once, likeliest first.
    fn key_ids<'b>(&self, remembered: &'b [&'b [u8]]) -> impl Iterator<Item = &'b [u8]>
    where
        'a: 'b,
    {
        let own = self.destination;
        let own_first = (own.len() >= MIN_KEY_ID).then_some(own);
        own_first.into_iter().chain(remembered.iter().copied().filter(move |id| *id != own).take(MAX_KEY_IDS))
    }
}

/// The keys that were tried on one datagram, each derived once.
#[derive(Default)]
struct Ring<'a> {
    openers: ArrayVec<Opener<'a>, MAX_KEYS>,
    /// The packets of a datagram share their keys: once one opened, its are the only ones left.
    fits: bool,
}

impl<'a> Ring<'a> {
    /// Puts the frames of a packet behind `plain`, if one of the keys opens it.
    fn open(&mut self, packet: &Packet<'a>, remembered: &'a [&'a [u8]], plain: &mut Vec<u8>) -> Option<()> {
        if self.fits {
            return self.openers.first_mut()?.open(packet, plain);
        }
        for id in packet.key_ids(remembered) {
            let at = match self.openers.iter().position(|opener| opener.version == packet.version && opener.id == id) {
                Some(known) => known,
                None if self.openers.is_full() => continue,
                None => {
                    let secret = Secret::derive(packet.scheme, id)?;
                    self.openers.push(Opener { version: packet.version, id, secret, keys: None });
                    self.openers.len().saturating_sub(1)
                }
            };
            if self.openers.get_mut(at)?.open(packet, plain).is_some() {
                self.openers.swap(0, at);
                self.openers.truncate(1);
                self.fits = true;
                return Some(());
            }
        }
        None
    }
}

/// What the keys of a version and a connection ID open.
struct Opener<'a> {
    version: u32,
    id: &'a [u8],
    secret: Secret,
    /// Derived only for a packet whose header makes sense.
    keys: Option<Keys>,
}

impl Opener<'_> {
    /// Puts the frames of a packet behind `plain`, if its tag is right (RFC 9001, 5.3).
    fn open(&mut self, packet: &Packet<'_>, plain: &mut Vec<u8>) -> Option<()> {
        let unmasked = packet.unmask(&self.secret.header)?;
        if self.keys.is_none() {
            self.keys = self.secret.keys(packet.scheme);
        }
        self.keys.as_ref()?.decipher(packet, &unmasked, plain)
    }
}

/// The secret of a client's Initial packets (RFC 9001, 5.2), and the first key of it.
struct Secret {
    client: Hkdf<Sha256>,
    header: Aes128Enc,
}

/// The other keys of it.
struct Keys {
    cipher: Cipher,
    vector: [u8; 12],
}

/// AES-128-GCM. GCM only ever encrypts with AES, so the schedule of the other direction is not made.
type Cipher = AesGcm<Aes128Enc, U12>;

/// A packet whose header protection is off (RFC 9001, 5.4).
struct Unmasked<'a> {
    first: u8,
    number: ArrayVec<u8, 4>,
    sealed: &'a [u8],
}

impl Secret {
    fn derive(scheme: &Scheme, id: &[u8]) -> Option<Self> {
        let mut extract = scheme.extract.clone();
        extract.input_ikm(id);
        let (_, initial) = extract.finalize();
        let client = Hkdf::<Sha256>::from_prk(&expand::<32>(&initial, CLIENT)?).ok()?;
        let [_, _, header] = scheme.labels;
        let header = Aes128Enc::new(&Array::from(expand::<16>(&client, header)?));
        Some(Self { client, header })
    }

    fn keys(&self, scheme: &Scheme) -> Option<Keys> {
        let [key, vector, _] = scheme.labels;
        Some(Keys { cipher: Cipher::new(&Array::from(expand::<16>(&self.client, key)?)), vector: expand(&self.client, vector)? })
    }
}

impl Packet<'_> {
    /// Takes the header protection off.
    fn unmask(&self, header: &Aes128Enc) -> Option<Unmasked<'_>> {
        let (clear, protected) = self.whole.split_at_checked(self.number_at)?;
        let mut mask = Array::from(*protected.get(4..)?.first_chunk::<16>()?);
        header.encrypt_block(&mut mask);
        let [of_first, of_number @ ..] = mask.0;
        let first = clear.first()? ^ (of_first & 0x0f);
        // Reserved bits are zero: three forgeries of four end here, before the cipher is run over them.
        if first & 0x0c != 0 {
            return None;
        }
        let (number, sealed) = protected.split_at_checked(usize::from(first & 3).saturating_add(1))?;
        let number = number.iter().zip(of_number).map(|(byte, mask)| byte ^ mask).collect();
        Some(Unmasked { first, number, sealed })
    }
}

impl Keys {
    /// The packet number is taken as it was sent, without its upper bytes: an Initial's is small.
    fn decipher(&self, packet: &Packet<'_>, unmasked: &Unmasked<'_>, plain: &mut Vec<u8>) -> Option<()> {
        let mut nonce = self.vector;
        for (byte, number) in nonce.iter_mut().rev().zip(unmasked.number.iter().rev()) {
            *byte ^= number;
        }
        let mut header: Vec<u8> = Vec::with_capacity(packet.number_at.saturating_add(4));
        header.push(unmasked.first);
        header.extend_from_slice(packet.whole.get(1..packet.number_at)?);
        header.extend_from_slice(&unmasked.number);
        let (sealed, tag) = unmasked.sealed.split_last_chunk::<16>()?;
        let begin = plain.len();
        plain.extend_from_slice(sealed);
        let opened = self.cipher.decrypt_inout_detached(&Array::from(nonce), &header, plain.get_mut(begin..)?.into(), &Array::from(*tag));
        if opened.is_err() {
            plain.truncate(begin);
        }
        opened.ok()
    }
}

/// HKDF-Expand (RFC 5869, 2.3).
fn expand<const N: usize>(secret: &Hkdf<Sha256>, label: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    secret.expand(label, &mut out).ok()?;
    Some(out)
}

/// Notes the CRYPTO frames of the packet that begins at `begin` (RFC 9000, 19). `None` where something else stands than an Initial may
/// hold; what was read before it counts.
fn collect(found: &mut Pieces, begin: usize, crypto: u8, room: &mut usize) -> Option<()> {
    let mut reader = Reader::new(found.plain.get(begin..)?);
    while let Some(kind) = reader.u8() {
        match kind {
            // PADDING: much of most Initials.
            0 => while reader.rest.first_chunk() == Some(&[0; 32]) && reader.array::<32>().is_some() {},
            // PING
            1 => {}
            // ACK, and ACK with counts of congestion marks
            2 | 3 => {
                let (_largest, _delay, ranges, _first) =
                    (varint(&mut reader)?, varint(&mut reader)?, varint(&mut reader)?, varint(&mut reader)?);
                for _ in 0..ranges {
                    let (_gap, _length) = (varint(&mut reader)?, varint(&mut reader)?);
                }
                if kind == 3 {
                    let _marks = (varint(&mut reader)?, varint(&mut reader)?, varint(&mut reader)?);
                }
            }
            _ if kind == crypto => {
                let offset = varint(&mut reader)?;
                let length = usize::try_from(varint(&mut reader)?).ok()?;
                reader.take(length)?;
                *room = room.checked_sub(length)?;
                if found.frames.len() >= MAX_FRAMES {
                    return None;
                }
                let end = found.plain.len().saturating_sub(reader.rest.len());
                found.frames.push((offset, end.saturating_sub(length)..end));
            }
            // CONNECTION_CLOSE
            0x1c => {
                let (_error, _frame) = (varint(&mut reader)?, varint(&mut reader)?);
                let reason = varint(&mut reader)?;
                reader.take(usize::try_from(reason).ok()?)?;
            }
            _ => return None,
        }
    }
    Some(())
}

/// A variable-length integer (RFC 9000, 16).
fn varint(reader: &mut Reader<'_>) -> Option<u64> {
    let first = reader.u8()?;
    let mut value = u64::from(first & 0x3f);
    for byte in reader.take((1_usize << (first >> 6)).saturating_sub(1))? {
        value = value << 8 | u64::from(*byte);
    }
    Some(value)
}

/// A datagram that is QUIC by its look, for counting: nothing in it is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// The kind of its first packet.
    pub form: Form,
    /// The version on the wire; 0 in a version negotiation. Google's are ASCII: 0x51303433 is `Q043`.
    pub version: u32,
}

/// The kinds of packet that tell their version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A client's or a server's; [`open`] opens those of clients.
    Initial,
    /// Early data of a client.
    ZeroRtt,
    /// A handshake packet.
    Handshake,
    /// A server's request to come again with a token.
    Retry,
    /// A server's list of versions.
    VersionNegotiation,
    /// Google QUIC before the IETF's (Q039 to Q050, T050): no Initial that could be opened here.
    Google,
    /// A version that no one has (RFC 9000, 15), sent to make the server negotiate.
    Greased,
}

/// Whether a datagram looks like QUIC, by its first bytes alone.
#[must_use]
pub fn recognise(datagram: &[u8]) -> Option<Recognised> {
    let mut reader = Reader::new(datagram);
    let first = reader.u8()?;
    if first & 0x80 == 0 {
        // Google's public header up to Q043: a version and a connection ID of 8 bytes announced.
        reader.take(8)?;
        let version = reader.u32()?;
        return (first & 0x09 == 0x09 && is_google(version)).then_some(Recognised { form: Form::Google, version });
    }
    let version = reader.u32()?;
    // Q046 has another layout of its connection IDs.
    if is_google(version) && scheme(version).is_none() {
        return Some(Recognised { form: Form::Google, version });
    }
    let long = Long::read(datagram)?;
    let form = match scheme(version) {
        Some(scheme) => long.form(scheme),
        None if version == 0 => {
            let (offered, odd) = long.after.rest.as_chunks::<4>();
            let known = |version: &[u8; 4]| {
                let version = u32::from_be_bytes(*version);
                scheme(version).is_some() || is_google(version) || is_greased(version)
            };
            // A list without one version that is known could be any datagram of zeros.
            if !odd.is_empty() || !offered.iter().any(known) {
                return None;
            }
            Form::VersionNegotiation
        }
        None if is_greased(version) => Form::Greased,
        None => return None,
    };
    Some(Recognised { form, version })
}

/// `Q0nn` or `T0nn`.
fn is_google(version: u32) -> bool {
    matches!(version.to_be_bytes(), [b'Q' | b'T', b'0', b'0'..=b'9', b'0'..=b'9'])
}

/// RFC 9000, 15.
const fn is_greased(version: u32) -> bool {
    version & 0x0f0f_0f0f == 0x0a0a_0a0a
}

#[cfg(test)]
mod tests {
    use aes_gcm::aead::{Aead, Payload};

    use super::super::observation::Observation;
    use super::super::tls;
    use super::*;

    const ID: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];
    /// The CRYPTO frame of RFC 9001, A.2, which RFC 9369, A.2 shares.
    const FRAME: &str = "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c00000413011302010000c0\
        00000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007000504616c706e000500050100000000003300260024\
        001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e0403050306030203080408050806\
        002d00020101001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff0801100104800075300901100f088394c8f03e515708\
        06048000ffff";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter_map(|digit| char::from(digit).to_digit(16)).map(|digit| digit as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    fn keys(version: u32, id: &[u8]) -> (Aes128Enc, Keys) {
        let scheme = scheme(version).unwrap();
        let secret = Secret::derive(scheme, id).unwrap();
        let keys = secret.keys(scheme).unwrap();
        (secret.header, keys)
    }

    /// Protects a packet as its sender does: the reverse of [`Opener::open`], a packet number of four bytes.
    fn seal(version: u32, key_id: &[u8], header: &[u8], frames: &[u8]) -> Vec<u8> {
        let (protection, keys) = keys(version, key_id);
        let (number_at, number) = (header.len() - 4, &header[header.len() - 4..]);
        let mut nonce = keys.vector;
        nonce[8..].iter_mut().zip(number).for_each(|(byte, number)| *byte ^= number);
        let sealed = keys.cipher.encrypt(&Array::from(nonce), Payload { msg: frames, aad: header }).unwrap();
        let mut packet = [header, &sealed].concat();
        let mut mask = Array::from(*packet[number_at + 4..].first_chunk::<16>().unwrap());
        protection.encrypt_block(&mut mask);
        packet[0] ^= mask[0] & 0x0f;
        packet[number_at..number_at + 4].iter_mut().zip(&mask[1..]).for_each(|(byte, mask)| *byte ^= mask);
        packet
    }

    /// An Initial to `id`, under the keys of `key_id`.
    fn initial(version: u32, id: &[u8], key_id: &[u8], frames: &[u8]) -> Vec<u8> {
        let first = if version == 0x6b33_43cf { 0xd3 } else { 0xc3 };
        let length = u16::try_from(4 + frames.len() + 16).unwrap() | 0x4000;
        let mut header = vec![first];
        header.extend(version.to_be_bytes());
        header.push(id.len() as u8);
        header.extend(id);
        header.extend([0, 0]);
        header.extend(length.to_be_bytes());
        header.extend([0, 0, 0, 2]);
        seal(version, key_id, &header, frames)
    }

    fn crypto(offset: u8, data: &[u8]) -> Vec<u8> {
        [&[6, offset & 0x3f][..], &(u16::try_from(data.len()).unwrap() | 0x4000).to_be_bytes(), data].concat()
    }

    fn told(found: &Pieces) -> Vec<(u64, Vec<u8>)> {
        found.iter().map(|(offset, bytes)| (offset, bytes.to_vec())).collect()
    }

    fn pieces(verdict: Verdict) -> Pieces {
        match verdict {
            Verdict::Carries(pieces) => pieces,
            other => panic!("not opened: {other:?}"),
        }
    }

    fn vector(version: u32, header: &str, beginning: &str, tag: &str) {
        let mut frames = bytes(FRAME);
        frames.resize(1162, 0);
        let packet = seal(version, &ID, &bytes(header), &frames);
        // The published packet begins and ends so; its tag depends on every byte between.
        assert!(packet.starts_with(&bytes(beginning)) && packet.ends_with(&bytes(tag)) && packet.len() == 1200);
        let found = pieces(read(&packet));
        assert_eq!((found.version, &found.key_id[..], found.iter().len()), (version, &ID[..], 1));
        let (0, data) = found.iter().next().unwrap() else { panic!("offset") };
        match tls::handshake(data, Some(version)) {
            Verdict::Saw { seen: Observation::Hello(hello), .. } => assert_eq!(hello.name.unwrap().as_str(), "example.com"),
            other => panic!("no hello: {other:?}"),
        }
    }

    #[test]
    fn the_client_initial_of_rfc_9001() {
        vector(
            1,
            "c300000001088394c8f03e5157080000449e00000002",
            "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9b",
            "e221af44860018ab0856972e194cd934",
        );
    }

    #[test]
    fn the_client_initial_of_rfc_9369() {
        vector(
            0x6b33_43cf,
            "d36b3343cf088394c8f03e5157080000449e00000002",
            "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485dd04de806071",
            "a18b2faa745b6fe189cf772a9f84cbfc",
        );
    }

    #[test]
    fn the_initialization_vectors_of_the_drafts() {
        // Those of drafts 29 and 23 are in their appendices (A.1); Google's was computed apart from this program and opens a
        // capture of 2020.
        for (version, expected) in [
            (0xff00_001d, "6b26114b9cba2b63a9e8dd4f"),
            (0xff00_0017, "8681359410a70bb9c92f0420"),
            (0x5430_3531, "efdd37eda34f2f7080bb140c"),
        ] {
            assert_eq!(keys(version, &ID).1.vector[..], bytes(expected), "{version:x}");
        }
    }

    #[test]
    fn every_version_opens_what_it_sealed_and_no_other() {
        let all = [1, 0x6b33_43cf, 0xff00_001d, 0xff00_0020, 0xff00_0017, 0xff00_001c, 0xface_b002, 0x5430_3531];
        for version in all {
            let mut frames = [crypto(0, b"hello"), vec![0; 100]].concat();
            frames[0] = scheme(version).unwrap().crypto;
            let mut packet = initial(version, &ID, &ID, &frames);
            assert_eq!(told(&pieces(read(&packet))), [(0, b"hello".to_vec())], "{version:x}");
            packet[4] ^= 0x40;
            assert_eq!(read(&packet), Verdict::NotMine);
        }
    }

    #[test]
    fn frames_come_in_any_order_between_others() {
        let sent = [
            &[1, 0, 0][..],
            &crypto(20, b"world"),
            &[2, 5, 0, 1, 2, 0, 1],
            &crypto(0, b"hello"),
            &[3, 5, 0, 0, 2, 1, 2, 3],
            &[0x1c, 0, 6, 2, b'n', b'o'],
            &crypto(10, b"again"),
        ]
        .concat();
        let found = told(&pieces(read(&initial(1, &ID, &ID, &sent))));
        assert_eq!(found, [(20, b"world".to_vec()), (0, b"hello".to_vec()), (10, b"again".to_vec())]);
    }

    #[test]
    fn several_packets_of_a_datagram_are_opened_and_others_stepped_over() {
        let one = initial(1, &ID, &ID, &crypto(0, b"hello"));
        let two = initial(1, &ID, &ID, &crypto(5, b"world"));
        let early = [&[0xd0, 0, 0, 0, 1, 8][..], &ID, &[0, 0x10], &[7; 16]].concat();
        let datagram = [&early[..], &one, &two, &[0x40, 1, 2, 3]].concat();
        assert_eq!(told(&pieces(read(&datagram))), [(0, b"hello".to_vec()), (5, b"world".to_vec())]);
    }

    #[test]
    fn one_that_does_not_open_hides_none_behind_it() {
        let hello = initial(1, &ID, &ID, &crypto(0, b"hello"));
        // The last byte is of the tag.
        let mut forged = hello.clone();
        *forged.last_mut().unwrap() ^= 1;
        for strangers in
            [forged.clone(), [&initial(1, &ID, b"another id", &[0; 40])[..], &initial(1, b"", b"another id", &[0; 40])].concat()]
        {
            let datagram = [&strangers[..], &hello].concat();
            assert_eq!(told(&pieces(read(&datagram))), [(0, b"hello".to_vec())]);
            let later = [&strangers[..], &initial(1, &ID, b"first id", &crypto(0, b"hello"))].concat();
            assert_eq!(pieces(open(&later, &[b"unused id", b"first id"])).key_id[..], *b"first id");
            let between = [&hello[..], &strangers, &initial(1, &ID, &ID, &crypto(5, b"world"))].concat();
            assert_eq!(pieces(read(&between)).beginning().unwrap()[..], *b"helloworld");
        }
        let other = |version: u32| initial(version, &ID, b"another id", &[0; 40]);
        assert_eq!(pieces(read(&[other(0x6b33_43cf), other(0xff00_001d), hello.clone()].concat())).version, 1);
        assert_eq!(read(&[other(0x6b33_43cf), other(0xff00_001d), other(0xff00_001e), hello.clone()].concat()), Verdict::NotMine);
        assert_eq!(read(&[forged.repeat(MAX_PACKETS), hello.clone()].concat()), Verdict::NotMine);
        assert_eq!(pieces(read(&[forged.repeat(MAX_PACKETS - 1), hello].concat())).iter().len(), 1);
    }

    #[test]
    fn a_changed_connection_id_is_opened_with_the_remembered_one() {
        let packet = initial(1, b"by server", &ID, &crypto(0, b"hello"));
        assert_eq!(read(&packet), Verdict::NotMine);
        assert_eq!(open(&packet, &[b"another id"]), Verdict::NotMine);
        assert_eq!(pieces(open(&packet, &[b"another id", &ID])).key_id[..], ID);
        assert_eq!(pieces(open(&initial(1, b"", &ID, &crypto(0, b"hello")), &[&ID])).key_id[..], ID);
    }

    #[test]
    fn an_initial_that_only_acknowledges_is_authentic_and_empty() {
        assert_eq!(told(&pieces(read(&initial(1, &ID, &ID, &[2, 0, 0, 0, 0, 0, 0])))), []);
    }

    #[test]
    fn no_cut_and_no_damage_makes_pieces_of_its_own() {
        let packet = initial(1, &ID, &ID, &[crypto(0, b"hello"), vec![0; 60]].concat());
        for cut in 0..packet.len() {
            assert_eq!(read(&packet[..cut]), Verdict::NotMine, "cut {cut}");
            let _ = recognise(&packet[..cut]);
        }
        for at in 0..packet.len() {
            for bit in 0..8 {
                let mut damaged = packet.clone();
                damaged[at] ^= 1 << bit;
                // The fixed bit is the only one that nothing depends on; it is authenticated all the same.
                assert_eq!(read(&damaged), Verdict::NotMine, "byte {at} bit {bit}");
                let _ = recognise(&damaged);
            }
        }
    }

    #[test]
    fn what_one_datagram_may_hold_is_bounded() {
        let frames: Vec<u8> = (0..200).flat_map(|at| crypto(at, b"x")).collect();
        assert_eq!(pieces(read(&initial(1, &ID, &ID, &frames))).iter().len(), MAX_FRAMES);
        let packet = initial(1, &ID, &ID, &crypto(0, b"hello"));
        assert_eq!(pieces(read(&packet.repeat(MAX_PACKETS + 1))).iter().len(), MAX_PACKETS);
        let long = initial(1, &ID, &ID, &crypto(0, &[7; 9000]));
        assert_eq!(pieces(read(&long.repeat(3))).iter().len(), 1);
    }

    #[test]
    fn looks_are_recognised_without_keys() {
        let look = |bytes: &[u8]| recognise(bytes).map(|seen| (seen.form, seen.version));
        let long = |first: u8, version: u32| [&[first][..], &version.to_be_bytes(), &[0, 8, 1, 2, 3, 4, 5, 6, 7, 8]].concat();
        assert_eq!(look(&long(0xc0, 1)), Some((Form::Initial, 1)));
        assert_eq!(look(&long(0xf0, 1)), Some((Form::Retry, 1)));
        assert_eq!(look(&long(0xc0, 0x6b33_43cf)), Some((Form::Retry, 0x6b33_43cf)));
        assert_eq!(look(&long(0xc0, 0x1a2a_3a4a)), Some((Form::Greased, 0x1a2a_3a4a)));
        assert_eq!(look(&long(0xc0, 0xdead_beef)), None);
        assert_eq!(look(&long(0xc3, 0x5130_3436)), Some((Form::Google, 0x5130_3436)));
        assert_eq!(look(&long(0xc3, 0x5130_3530)), Some((Form::Google, 0x5130_3530)));
        let offer = [&long(0x80, 0)[..], &[0, 0, 0, 1, 0x1a, 0x2a, 0x3a, 0x4a]].concat();
        assert_eq!(look(&offer), Some((Form::VersionNegotiation, 0)));
        assert_eq!(look(&long(0x80, 0)), None);
        assert_eq!(look(&[&long(0x80, 0)[..], &[0; 8]].concat()), None);
        assert_eq!(look(&[&offer[..], &[0]].concat()), None);
        assert_eq!(look(&[&[0x09, 1, 2, 3, 4, 5, 6, 7, 8][..], b"Q043", &[1]].concat()), Some((Form::Google, 0x5130_3433)));
        assert_eq!(look(b"\x09 not at all QUIC"), None);
    }
}
