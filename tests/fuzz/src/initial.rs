//! A sealed QUIC Initial of version 1 (RFC 9001, 5) around frames of the fuzzer's choice, which it could never seal by chance.

use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{Aead, Payload};
use hkdf::Hkdf;
use sha2::Sha256;

const SALT: [u8; 20] =
    [0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a];

/// The connection ID that all of them have.
pub const ID: [u8; 8] = *b"whither!";

/// A datagram with one Initial in it.
pub fn sealed(frames: &[u8]) -> Vec<u8> {
    let (initial, _) = Hkdf::<Sha256>::extract(Some(&SALT), &ID);
    let secret = expand::<32>(&initial, b"client in");
    let (key, vector, protection) =
        (expand::<16>(&secret, b"quic key"), expand::<12>(&secret, b"quic iv"), expand::<16>(&secret, b"quic hp"));
    let length = u16::try_from(frames.len() + 20).unwrap_or(u16::MAX) & 0x3fff | 0x4000;
    let header = [&[0xc3, 0, 0, 0, 1, 8][..], &ID, &[0, 0], &length.to_be_bytes(), &[0; 4]].concat();
    let number_at = header.len() - 4;
    let body = Aes128Gcm::new(&key.into()).encrypt(&Array::from(vector), Payload { msg: frames, aad: &header }).expect("seals");
    let mut packet = [header, body].concat();
    let mut mask = Array::from(<[u8; 16]>::try_from(&packet[number_at + 4..number_at + 20]).expect("a tag at least"));
    Aes128::new(&protection.into()).encrypt_block(&mut mask);
    packet[0] ^= mask[0] & 0x0f;
    packet[number_at..number_at + 4].iter_mut().zip(&mask[1..]).for_each(|(byte, mask)| *byte ^= mask);
    packet
}

fn expand<const N: usize>(secret: &[u8], label: &[u8]) -> [u8; N] {
    let info = [&[0, N as u8, 6 + label.len() as u8][..], b"tls13 ", label, &[0]].concat();
    let mut out = [0; N];
    Hkdf::<Sha256>::from_prk(secret).expect("long enough").expand(&info, &mut out).expect("short enough");
    out
}
