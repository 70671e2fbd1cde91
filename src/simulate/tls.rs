//! What follows a ClientHello: right framing around seeded bytes that nobody can decrypt, so nothing is lost by their being noise.

use fastrand::Rng;

/// What TLS 1.3 sends for the sake of old middleboxes (RFC 8446, D.4).
pub(super) const CHANGE_CIPHER_SPEC: [u8; 6] = [20, 3, 3, 0, 1, 1];

/// Encrypted application data: right framing, seeded content (RFC 8446, 5.2).
pub(super) fn records(rng: &mut Rng, plain: usize) -> Vec<u8> {
    const MOST: usize = 16_384;
    const SEALED: usize = 17;
    let mut bytes = Vec::with_capacity(plain + 64);
    let mut left = plain;
    while left > 0 {
        let part = left.min(MOST);
        let length = part + SEALED;
        bytes.extend([23, 3, 3]);
        bytes.extend((length as u16).to_be_bytes());
        bytes.extend(noise(rng, length));
        left -= part;
    }
    bytes
}

/// ServerHello for TLS 1.3 with X25519 (RFC 8446, 4.1.3); `session` is the client's, with its length.
pub(super) fn server_hello(rng: &mut Rng, session: &[u8]) -> Vec<u8> {
    const EXTENSIONS: [u8; 16] = [0, 46, 0, 43, 0, 2, 3, 4, 0, 51, 0, 36, 0, 29, 0, 32];
    let seeded = noise(rng, 64);
    let (random, share) = seeded.split_at(32);
    let body = [&[3, 3], random, session, &[0x13, 0x01, 0], &EXTENSIONS, share].concat();
    [&[2, 0], &(body.len() as u16).to_be_bytes()[..], &body].concat()
}

/// The server's answer over TCP: ServerHello in its record, then what looks like certificate and Finished.
pub(super) fn server_flight(rng: &mut Rng, hello: &[u8]) -> Vec<u8> {
    const SESSION_AT: usize = 5 + 4 + 2 + 32;
    const SESSION: usize = 33;
    let message = server_hello(rng, hello.get(SESSION_AT..SESSION_AT + SESSION).unwrap_or(&[0]));
    let mut flight = vec![22, 3, 3];
    flight.extend((message.len() as u16).to_be_bytes());
    flight.extend(message);
    flight.extend(CHANGE_CIPHER_SPEC);
    let (extensions, certificate) = (rng.usize(12..40), rng.usize(1_400..2_600));
    for part in [extensions, certificate, 264, 36] {
        flight.extend(records(rng, part));
    }
    flight
}

/// A message of a protocol that is nobody's: a magic number, a length, noise.
pub(super) fn own_message(rng: &mut Rng, length: usize) -> Vec<u8> {
    let mut message = vec![0xc2, 0xfe, 0, 5, 0, 2];
    message.extend(noise(rng, length));
    message
}

/// Seeded bytes that mean nothing.
pub(super) fn noise(rng: &mut Rng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rng.fill(&mut bytes);
    bytes
}
