//! ClientHello bytes as a TLS library writes them: `rustls`, with a provider that can begin a handshake and nothing else.
//!
//! Road taken: real hellos, so that extension order, GREASE-free framing, padding and sizes are a library's and not our idea of
//! them. Everything random in them comes from a generator seeded before each hello, so a run repeats. The handshake never gets
//! an answer, so hash, key schedule and cipher are stubs that fail or stay empty if they are ever called.
//! Road not taken: a real provider (ring, aws-lc-rs): C and assembly for bytes that nobody decrypts, and no seed.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::cipher::{AeadKey, Iv, MessageDecrypter, MessageEncrypter, Tls13AeadAlgorithm, UnsupportedOperationError};
use rustls::crypto::tls13::{Hkdf, HkdfExpander, OkmBlock, OutputLengthError};
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, SharedSecret, SupportedKxGroup,
    WebPkiSupportedAlgorithms, hash, hmac,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CipherSuite, CipherSuiteCommon, ClientConfig, ClientConnection, ConnectionTrafficSecrets, DigitallySignedStruct, Error, NamedGroup,
    SignatureScheme, SupportedCipherSuite, Tls13CipherSuite, quic, sign,
};

/// How large a hello comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// X25519 alone: some 250 bytes, one segment.
    Classic,
    /// X25519MLKEM768 and X25519: some 1,470 bytes, two segments.
    Hybrid,
}

/// The bytes a client sends first over TCP: one TLS record with a ClientHello. `name` may be an address in text, which gives no SNI.
pub(super) fn client_hello(name: &str, size: Size, alpn: &[&str], seed: u64) -> io::Result<Vec<u8>> {
    let config = config(size, alpn, seed)?;
    let mut connection = ClientConnection::new(config, server_name(name)?).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut bytes)?;
    }
    Ok(bytes)
}

/// The same for QUIC: the handshake message alone, with the transport parameters (RFC 9001, 4.1.3 and 8.2).
pub(super) fn quic_hello(name: &str, parameters: Vec<u8>, seed: u64) -> io::Result<Vec<u8>> {
    let config = config(Size::Hybrid, &["h3"], seed)?;
    let mut connection =
        quic::ClientConnection::new(config, quic::Version::V1, server_name(name)?, parameters).map_err(io::Error::other)?;
    let mut bytes = Vec::new();
    connection.write_hs(&mut bytes);
    Ok(bytes)
}

fn server_name(name: &str) -> io::Result<ServerName<'static>> {
    ServerName::try_from(name.to_owned()).map_err(io::Error::other)
}

/// Seeds the thread's generator, which rustls is given for all its chance, and says what to offer.
fn config(size: Size, alpn: &[&str], seed: u64) -> io::Result<Arc<ClientConfig>> {
    fastrand::seed(seed);
    let provider = CryptoProvider {
        cipher_suites: SUITES.to_vec(),
        kx_groups: match size {
            Size::Classic => vec![&X25519],
            Size::Hybrid => vec![&X25519_MLKEM768, &X25519],
        },
        signature_verification_algorithms: WebPkiSupportedAlgorithms { all: &[], mapping: &[] },
        secure_random: &Stub,
        key_provider: &Stub,
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Stub))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

static SUITES: &[SupportedCipherSuite] =
    &[SupportedCipherSuite::Tls13(&AES_128), SupportedCipherSuite::Tls13(&AES_256), SupportedCipherSuite::Tls13(&CHACHA20)];
static AES_128: Tls13CipherSuite = suite(CipherSuite::TLS13_AES_128_GCM_SHA256);
static AES_256: Tls13CipherSuite = suite(CipherSuite::TLS13_AES_256_GCM_SHA384);
static CHACHA20: Tls13CipherSuite = suite(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256);

const fn suite(suite: CipherSuite) -> Tls13CipherSuite {
    Tls13CipherSuite {
        common: CipherSuiteCommon { suite, hash_provider: &Stub, confidentiality_limit: u64::MAX },
        hkdf_provider: &Stub,
        aead_alg: &Stub,
        quic: Some(&Stub),
    }
}

/// A key exchange group: its name and the length of a client's share in bytes (RFC 8446, 4.2.8.2; draft-ietf-tls-ecdhe-mlkem).
#[derive(Debug)]
struct Group {
    name: NamedGroup,
    share: usize,
}

static X25519: Group = Group { name: NamedGroup::X25519, share: X25519_SHARE };
static X25519_MLKEM768: Group = Group { name: NamedGroup::X25519MLKEM768, share: 1184 + X25519_SHARE };
const X25519_SHARE: usize = 32;

impl SupportedKxGroup for Group {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut share = vec![0; self.share];
        fastrand::fill(&mut share);
        Ok(Box::new(Begun { group: self.name, share }))
    }

    fn name(&self) -> NamedGroup {
        self.name
    }
}

/// A key exchange that will never end.
struct Begun {
    group: NamedGroup,
    share: Vec<u8>,
}

impl ActiveKeyExchange for Begun {
    fn complete(self: Box<Self>, _: &[u8]) -> Result<SharedSecret, Error> {
        Err(never())
    }

    /// The X25519 part stands at the end of the hybrid share; offering it again is what browsers do.
    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        if self.group != NamedGroup::X25519MLKEM768 {
            return None;
        }
        self.share.last_chunk::<X25519_SHARE>().map(|share| (NamedGroup::X25519, share.as_slice()))
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn group(&self) -> NamedGroup {
        self.group
    }
}

fn never() -> Error {
    Error::General("a simulated handshake ends at the hello".to_owned())
}

/// Everything that rustls asks for and a hello does not need.
#[derive(Debug)]
struct Stub;

impl SecureRandom for Stub {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
        fastrand::fill(buffer);
        Ok(())
    }
}

impl KeyProvider for Stub {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn sign::SigningKey>, Error> {
        Err(never())
    }
}

impl hash::Hash for Stub {
    fn start(&self) -> Box<dyn hash::Context> {
        Box::new(Self)
    }

    fn hash(&self, _: &[u8]) -> hash::Output {
        hash::Output::new(&[0; 32])
    }

    fn output_len(&self) -> usize {
        32
    }

    fn algorithm(&self) -> hash::HashAlgorithm {
        hash::HashAlgorithm::SHA256
    }
}

impl hash::Context for Stub {
    fn fork_finish(&self) -> hash::Output {
        hash::Output::new(&[0; 32])
    }

    fn fork(&self) -> Box<dyn hash::Context> {
        Box::new(Self)
    }

    fn finish(self: Box<Self>) -> hash::Output {
        hash::Output::new(&[0; 32])
    }

    fn update(&mut self, _: &[u8]) {}
}

impl Hkdf for Stub {
    fn extract_from_zero_ikm(&self, _: Option<&[u8]>) -> Box<dyn HkdfExpander> {
        Box::new(Self)
    }

    fn extract_from_secret(&self, _: Option<&[u8]>, _: &[u8]) -> Box<dyn HkdfExpander> {
        Box::new(Self)
    }

    fn expander_for_okm(&self, _: &OkmBlock) -> Box<dyn HkdfExpander> {
        Box::new(Self)
    }

    fn hmac_sign(&self, _: &OkmBlock, _: &[u8]) -> hmac::Tag {
        hmac::Tag::new(&[0; 32])
    }
}

impl HkdfExpander for Stub {
    fn expand_slice(&self, _: &[&[u8]], _: &mut [u8]) -> Result<(), OutputLengthError> {
        Err(OutputLengthError)
    }

    fn expand_block(&self, _: &[&[u8]]) -> OkmBlock {
        OkmBlock::new(&[0; 32])
    }

    fn hash_len(&self) -> usize {
        32
    }
}

impl Tls13AeadAlgorithm for Stub {
    fn encrypter(&self, _: AeadKey, _: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Self)
    }

    fn decrypter(&self, _: AeadKey, _: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(Self)
    }

    fn key_len(&self) -> usize {
        32
    }

    fn extract_keys(&self, _: AeadKey, _: Iv) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

impl MessageEncrypter for Stub {
    fn encrypt(
        &mut self,
        _: rustls::crypto::cipher::OutboundPlainMessage<'_>,
        _: u64,
    ) -> Result<rustls::crypto::cipher::OutboundOpaqueMessage, Error> {
        Err(never())
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        payload_len
    }
}

impl MessageDecrypter for Stub {
    fn decrypt<'a>(
        &mut self,
        _: rustls::crypto::cipher::InboundOpaqueMessage<'a>,
        _: u64,
    ) -> Result<rustls::crypto::cipher::InboundPlainMessage<'a>, Error> {
        Err(never())
    }
}

impl quic::Algorithm for Stub {
    fn packet_key(&self, _: AeadKey, _: Iv) -> Box<dyn quic::PacketKey> {
        Box::new(Self)
    }

    fn header_protection_key(&self, _: AeadKey) -> Box<dyn quic::HeaderProtectionKey> {
        Box::new(Self)
    }

    fn aead_key_len(&self) -> usize {
        16
    }
}

impl quic::PacketKey for Stub {
    fn encrypt_in_place(&self, _: u64, _: &[u8], _: &mut [u8]) -> Result<quic::Tag, Error> {
        Err(never())
    }

    fn decrypt_in_place<'a>(&self, _: u64, _: &[u8], _: &'a mut [u8]) -> Result<&'a [u8], Error> {
        Err(never())
    }

    fn tag_len(&self) -> usize {
        16
    }

    fn confidentiality_limit(&self) -> u64 {
        u64::MAX
    }

    fn integrity_limit(&self) -> u64 {
        u64::MAX
    }
}

impl quic::HeaderProtectionKey for Stub {
    fn encrypt_in_place(&self, _: &[u8], _: &mut u8, _: &mut [u8]) -> Result<(), Error> {
        Err(never())
    }

    fn decrypt_in_place(&self, _: &[u8], _: &mut u8, _: &mut [u8]) -> Result<(), Error> {
        Err(never())
    }

    fn sample_len(&self) -> usize {
        16
    }
}

impl ServerCertVerifier for Stub {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Err(never())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(never())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(never())
    }

    /// What Android's Conscrypt offers, in its order.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA512,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sni(bytes: &[u8]) -> Option<String> {
        let (rest, record) = tls_parser::parse_tls_plaintext(bytes).unwrap();
        assert!(rest.is_empty());
        let tls_parser::TlsMessage::Handshake(tls_parser::TlsMessageHandshake::ClientHello(hello)) = &record.msg[0] else {
            panic!("not a hello: {record:?}");
        };
        let (_, extensions) = tls_parser::parse_tls_client_hello_extensions(hello.ext.unwrap()).unwrap();
        extensions.iter().find_map(|extension| match extension {
            tls_parser::TlsExtension::SNI(names) => names.first().map(|(_, name)| String::from_utf8_lossy(name).into_owned()),
            _ => None,
        })
    }

    #[test]
    fn a_hybrid_hello_needs_two_segments_and_a_classic_one_does_not() {
        let hybrid = client_hello("sa.api.intl.miui.com", Size::Hybrid, &["h2", "http/1.1"], 1).unwrap();
        let classic = client_hello("sa.api.intl.miui.com", Size::Classic, &["h2"], 1).unwrap();
        assert!((1449..1700).contains(&hybrid.len()), "{}", hybrid.len());
        assert!(classic.len() < 400, "{}", classic.len());
        assert_eq!(sni(&hybrid).as_deref(), Some("sa.api.intl.miui.com"));
        assert_eq!(sni(&classic).as_deref(), Some("sa.api.intl.miui.com"));
    }

    #[test]
    fn the_seed_decides_every_byte() {
        let hello = |seed| client_hello("www.example.org", Size::Hybrid, &["h2"], seed).unwrap();
        assert_eq!(hello(7), hello(7));
        assert_ne!(hello(7), hello(8));
    }

    #[test]
    fn an_address_as_name_gives_no_sni() {
        assert_eq!(sni(&client_hello("192.0.2.1", Size::Hybrid, &[], 1).unwrap()), None);
    }
}
