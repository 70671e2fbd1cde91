//! TLS for the pages: a section of the web configuration file becomes a rustls configuration.
//!
//! Road taken: rustls with ring, which is what rustls keeps maintained for every processor an access point may have; it needs a C
//! compiler, which libpcap needs anyway. Roads not taken: aws-lc-rs, which wants more tools where it is built for another machine;
//! graviola, which runs only on processors with AES instructions, and a Raspberry Pi 4 has none; the pure-Rust provider, an alpha.
//!
//! Nothing of a client is kept after its connection: no session cache and no tickets, since a scraper comes every few seconds.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::web::{Files, Section};

/// The settings of `tls_server_config`.
pub(super) const KEYS: &[&str] = &[
    "cert",
    "key",
    "client_ca",
    "cert_file",
    "key_file",
    "client_auth_type",
    "client_ca_file",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "curve_preferences",
];

/// The configuration of a `tls_server_config`, none if it is empty. Files are named from `folder` on, and read through `files`.
///
/// # Errors
/// What is wrong, missing or not supported.
pub(super) fn config(section: &Section<'_>, folder: &Path, files: &mut Files) -> Result<Option<Arc<ServerConfig>>, String> {
    if section.is_empty() {
        return Ok(None);
    }
    let mut pem = |inline: &str, file: &str| pem(section, folder, files, inline, file);
    let chain = pem("cert", "cert_file")?.ok_or("`tls_server_config` has neither `cert_file` nor `cert`")?;
    let key = pem("key", "key_file")?.ok_or("`tls_server_config` has neither `key_file` nor `key`")?;
    let authority = pem("client_ca", "client_ca_file")?;
    let chain = certificates(&chain).ok_or("the server's certificate is not PEM")?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| "the server's key is not PEM, or is encrypted")?;

    let provider = Arc::new(provider(section)?);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(section)?)
        .map_err(|error| format!("`tls_server_config`: {error}"))?;
    let builder = match clients(section, authority, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| format!("the server's certificate and key: {error}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ignore_client_order = section.flag("prefer_server_cipher_suites")?.unwrap_or(true);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Some(Arc::new(config)))
}

/// What stands in the document, or in the file that it names.
fn pem(section: &Section<'_>, folder: &Path, files: &mut Files, inline: &str, file: &str) -> Result<Option<Vec<u8>>, String> {
    let full = |key| section.text(key).map(|text| text.filter(|text| !text.is_empty()));
    match (full(inline)?, full(file)?) {
        (Some(_), Some(_)) => Err(format!("`tls_server_config` has both `{inline}` and `{file}`")),
        (Some(text), None) => Ok(Some(text.as_bytes().to_vec())),
        (None, Some(name)) => files.read(&format!("the {file}"), &folder.join(name)).map(Some),
        (None, None) => Ok(None),
    }
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok()?;
    (!found.is_empty()).then_some(found)
}

/// Whose certificate a client must show.
fn clients(
    section: &Section<'_>,
    authority: Option<Vec<u8>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    if !section.list("client_allowed_sans")?.is_empty() {
        return Err("`tls_server_config.client_allowed_sans` is not supported: give the clients a CA of their own".to_owned());
    }
    let optional = match (section.text("client_auth_type")?.unwrap_or_default(), &authority) {
        ("" | "NoClientCert", None) => return Ok(None),
        ("" | "NoClientCert", Some(_)) => return Err("`tls_server_config` has a client CA, but no `client_auth_type`".to_owned()),
        ("RequireAndVerifyClientCert", _) => false,
        ("VerifyClientCertIfGiven", _) => true,
        (kind @ ("RequestClientCert" | "RequireAnyClientCert" | "RequireClientCert"), _) => {
            return Err(format!("`client_auth_type: {kind}` is not supported, as it verifies nothing; use RequireAndVerifyClientCert"));
        }
        _ => {
            return Err("`tls_server_config.client_auth_type` must be NoClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert"
                .to_owned());
        }
    };
    let pem = authority.ok_or("`tls_server_config` verifies clients, but has no `client_ca_file`")?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&pem).ok_or("the clients' CA is not PEM")? {
        roots.add(certificate).map_err(|error| format!("the clients' CA: {error}"))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let verifier = if optional { verifier.allow_unauthenticated() } else { verifier };
    verifier.build().map(Some).map_err(|error| format!("the clients' CA: {error}"))
}

fn versions(section: &Section<'_>) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let known = [("TLS12", &version::TLS12), ("TLS13", &version::TLS13)];
    let place = |key: &str, default| match section.text(key)?.unwrap_or(default) {
        old @ ("TLS10" | "TLS11") => Err(format!("`tls_server_config.{key}`: {old} is not supported: it is no longer safe (RFC 8996)")),
        name => {
            known.iter().position(|(known, _)| *known == name).ok_or_else(|| format!("`tls_server_config.{key}` must be TLS12 or TLS13"))
        }
    };
    let (from, to) = (place("min_version", "TLS12")?, place("max_version", "TLS13")?);
    if from > to {
        return Err("`tls_server_config`: `min_version` is above `max_version`".to_owned());
    }
    Ok(known.iter().skip(from).take(to - from + 1).map(|(_, version)| *version).collect())
}

/// Bytes that nobody can guess.
pub(super) fn random() -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    ring::default_provider().secure_random.fill(&mut bytes).map_err(|_| "the system has no random bytes to give".to_owned())?;
    Ok(bytes)
}

/// ring's suites and groups, or those of them that are asked for, in that order. TLS 1.3 keeps all its suites, as in Go.
fn provider(section: &Section<'_>) -> Result<CryptoProvider, String> {
    let mut provider = ring::default_provider();
    let name = |suite: rustls::CipherSuite| format!("{suite:?}").replace("TLS13_", "TLS_");
    let suites = section.list("cipher_suites")?;
    if !suites.is_empty() {
        let all = provider.cipher_suites;
        let mut chosen: Vec<_> = all.iter().filter(|suite| suite.tls13().is_some()).copied().collect();
        for wanted in suites {
            let suite = all.iter().find(|suite| name(suite.suite()) == wanted).ok_or_else(|| {
                let known: Vec<_> = all.iter().map(|suite| name(suite.suite())).collect();
                format!("`tls_server_config.cipher_suites`: `{wanted}` is not supported; there are {}", known.join(", "))
            })?;
            if !chosen.contains(suite) {
                chosen.push(*suite);
            }
        }
        provider.cipher_suites = chosen;
    }
    let curves = section.list("curve_preferences")?;
    if !curves.is_empty() {
        provider.kx_groups = curves.into_iter().map(group).collect::<Result<_, _>>()?;
    }
    Ok(provider)
}

fn group(name: &str) -> Result<&'static dyn SupportedKxGroup, String> {
    match name {
        "X25519" => Ok(ring::kx_group::X25519),
        "CurveP256" => Ok(ring::kx_group::SECP256R1),
        "CurveP384" => Ok(ring::kx_group::SECP384R1),
        other => Err(format!("`tls_server_config.curve_preferences`: `{other}` is not supported; there are X25519, CurveP256, CurveP384")),
    }
}
