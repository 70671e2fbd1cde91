//! QUIC connections: Initials that anyone on the path can open, as in reality, and noise after them.
//!
//! Both sides' Initials are protected with the keys that RFC 9001, 5.2 derives from the client's connection ID. The hello is
//! larger than a datagram, so its CRYPTO frames are spread over two, now and then in the wrong order.

use std::io;

use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{Aead, Payload};
use hkdf::Hkdf;
use sha2::Sha256;

use crate::packet::Timestamp;
use crate::simulate::hello;
use crate::simulate::names::Host;
use crate::simulate::station::{Phone, Step, Tape};
use crate::simulate::tls::{noise, server_hello};

impl Phone {
    /// A QUIC connection on port 443: handshake, a request, an answer of `down` bytes.
    pub(super) fn quic(&mut self, tape: &mut Tape, host: &Host, at: Timestamp, (up, down): (usize, usize)) -> io::Result<Timestamp> {
        let (client_id, server_id) = (noise(&mut self.rng, 8), noise(&mut self.rng, 8));
        let hello = hello::quic_hello(host.name, TRANSPORT_PARAMETERS.to_vec(), self.rng.u64(..))?;
        let [first, second] = self.initials(&client_id, &hello)?;

        let server = Keys::derive(&client_id, b"server in")?;
        let message = server_hello(&mut self.rng, &[0]);
        let accepted = server.seal((&[], &server_id), 0, &[&ACK_OF_TWO[..], &crypto(0, &message)].concat())?;
        let handshake = LARGEST.saturating_sub(accepted.len());
        let answer = [accepted, self.handshake((&[], &server_id), handshake)].concat();
        let certificate = self.handshake((&[], &server_id), LARGEST);

        let client = Keys::derive(&client_id, b"client in")?;
        let finished = self.handshake((&server_id, &[]), 90);
        let mut acknowledged = ACK_OF_ONE.to_vec();
        acknowledged.resize(LARGEST - finished.len() - OVERHEAD - server_id.len(), 0);
        let finished = [client.seal((&server_id, &[]), 2, &acknowledged)?, finished].concat();

        let request = self.protected(&server_id, up.min(LARGEST));
        let pieces: Vec<_> = (0..down.div_ceil(LARGEST)).map(|piece| self.protected(&[], (down - piece * LARGEST).min(LARGEST))).collect();
        let acknowledgement = self.protected(&server_id, 12);
        let mut steps = vec![
            Step::Up(&first),
            Step::Up(&second),
            Step::Down(&answer),
            Step::Down(&certificate),
            Step::Up(&finished),
            Step::Up(&request),
        ];
        for pair in pieces.chunks(2) {
            steps.extend(pair.iter().map(|piece| Step::Down(piece)));
            steps.push(Step::Up(&acknowledgement));
        }
        self.datagrams(tape, (host, 443), "quic", at, &steps)
    }

    /// The two datagrams that carry a hello, padded as RFC 9000, 14.1 demands.
    fn initials(&mut self, id: &[u8], hello: &[u8]) -> io::Result<[Vec<u8>; 2]> {
        const FIRST: usize = 1_100;
        let keys = Keys::derive(id, b"client in")?;
        let (head, tail) = hello.split_at_checked(FIRST).unwrap_or((hello, &[]));
        let mut frames = [crypto(0, head), crypto(FIRST as u16, tail)];
        if self.rng.u8(..) < 64 {
            frames.reverse();
        }
        for frame in &mut frames {
            frame.resize(LARGEST - OVERHEAD - id.len(), 0);
        }
        let [one, two] = frames;
        Ok([keys.seal((id, &[]), 0, &one)?, keys.seal((id, &[]), 1, &two)?])
    }

    /// A Handshake packet of `length` bytes: a true header, the rest noise (RFC 9000, 17.2.4).
    fn handshake(&mut self, (target, source): (&[u8], &[u8]), length: usize) -> Vec<u8> {
        let mut packet = long_header(0xe0 | self.rng.u8(..16), target, source);
        let rest = length.saturating_sub(packet.len() + 2);
        packet.extend(varint(rest as u16));
        packet.extend(noise(&mut self.rng, rest));
        packet
    }

    /// A packet with a short header and `length` bytes of noise (RFC 9000, 17.3.1).
    fn protected(&mut self, target: &[u8], length: usize) -> Vec<u8> {
        let first = 0x40 | self.rng.u8(..32);
        [&[first], target, &noise(&mut self.rng, length + 20)].concat()
    }
}

/// The smallest datagram that may carry an Initial, and here also the largest.
const LARGEST: usize = 1_200;
/// Of an Initial: first byte, version, two lengths of IDs, token length, length, packet number, tag.
const OVERHEAD: usize = 1 + 4 + 2 + 1 + 2 + 1 + 16;
/// ACK frames (RFC 9000, 19.3): up to packet 1 and the one before it; packet 0.
const ACK_OF_TWO: [u8; 5] = [2, 1, 0, 0, 1];
const ACK_OF_ONE: [u8; 5] = [2, 0, 0, 0, 0];
/// Idle time-out 30 s, 1,472 bytes of UDP, 100 streams (RFC 9000, 18.2).
const TRANSPORT_PARAMETERS: [u8; 16] = [1, 4, 0x80, 0, 0x75, 0x30, 3, 2, 0x45, 0xc0, 8, 2, 0x40, 100, 0x0f, 0];

/// A CRYPTO frame (RFC 9000, 19.6).
fn crypto(offset: u16, bytes: &[u8]) -> Vec<u8> {
    [&[6], &varint(offset)[..], &varint(bytes.len() as u16), bytes].concat()
}

/// A variable-length integer in two bytes (RFC 9000, 16).
fn varint(value: u16) -> [u8; 2] {
    (0x4000 | value & 0x3fff).to_be_bytes()
}

fn long_header(first: u8, target: &[u8], source: &[u8]) -> Vec<u8> {
    const VERSION_1: [u8; 4] = [0, 0, 0, 1];
    [&[first], &VERSION_1[..], &[target.len() as u8], target, &[source.len() as u8], source].concat()
}

/// What version 1 mixes into its first secret (RFC 9001, 5.2).
const SALT: [u8; 20] =
    [0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a];

/// One side's keys for Initial packets.
struct Keys {
    cipher: Aes128Gcm,
    vector: [u8; 12],
    header: Aes128,
}

impl Keys {
    fn derive(id: &[u8], side: &[u8]) -> io::Result<Self> {
        let initial = Hkdf::<Sha256>::new(Some(&SALT), id);
        let secret = Hkdf::<Sha256>::from_prk(&expand::<32>(&initial, side)?).map_err(io::Error::other)?;
        Ok(Self {
            cipher: Aes128Gcm::new(&Array::from(expand::<16>(&secret, b"quic key")?)),
            vector: expand(&secret, b"quic iv")?,
            header: Aes128::new(&Array::from(expand::<16>(&secret, b"quic hp")?)),
        })
    }

    /// An Initial packet with a packet number of one byte (RFC 9001, 5.3 and 5.4).
    fn seal(&self, (target, source): (&[u8], &[u8]), number: u8, frames: &[u8]) -> io::Result<Vec<u8>> {
        const TAG: usize = 16;
        let mut header = long_header(0xc0, target, source);
        header.push(0);
        header.extend(varint((1 + frames.len() + TAG) as u16));
        header.push(number);
        let mut nonce = self.vector;
        if let Some(last) = nonce.last_mut() {
            *last ^= number;
        }
        let sealed = self.cipher.encrypt(&Array::from(nonce), Payload { msg: frames, aad: &header }).map_err(|_| short())?;
        let mut mask = Array::from(*sealed.get(3..).and_then(<[u8]>::first_chunk::<16>).ok_or_else(short)?);
        self.header.encrypt_block(&mut mask);
        let [of_first, of_number, ..] = mask.0;
        if let [first, .., number] = header.as_mut_slice() {
            *first ^= of_first & 0x0f;
            *number ^= of_number;
        }
        header.extend(sealed);
        Ok(header)
    }
}

/// HKDF-Expand-Label without context (RFC 8446, 7.1).
fn expand<const N: usize>(secret: &Hkdf<Sha256>, label: &[u8]) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let info = [&(N as u16).to_be_bytes()[..], &[6 + label.len() as u8], b"tls13 ", label, &[0]].concat();
    secret.expand(&info, &mut bytes).map_err(|_| short())?;
    Ok(bytes)
}

fn short() -> io::Error {
    io::Error::other("a QUIC packet outgrew itself")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9001, A.1: the client's keys for connection ID 8394c8f03e515708.
    #[test]
    fn keys_are_those_of_the_rfc() {
        let initial = Hkdf::<Sha256>::new(Some(&SALT), &[0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08]);
        let secret = Hkdf::<Sha256>::from_prk(&expand::<32>(&initial, b"client in").unwrap()).unwrap();
        assert_eq!(expand::<12>(&secret, b"quic iv").unwrap(), [0xfa, 0x04, 0x4b, 0x2f, 0x42, 0xa3, 0xfd, 0x3b, 0x46, 0xfb, 0x25, 0x5c]);
    }
}
