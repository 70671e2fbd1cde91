//! Address to country and AS (stub).

/// An ISO 3166-1 alpha-2 country code, upper case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// A country from its code; `None` unless two ASCII letters.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        match code.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => Some(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()])),
            _ => None,
        }
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("ZZ")
    }
}
use std::net::IpAddr;
use std::sync::Arc;
/// Stub.
#[derive(Debug, Default)]
pub struct GeoDb;
/// Stub.
#[derive(Debug, Default)]
pub struct Located {
    /// c
    pub country: Option<Country>,
    /// a
    pub asn: Option<u32>,
    /// o
    pub organisation: Option<Arc<str>>,
}
impl GeoDb {
    /// Stub.
    pub fn locate(&self, _ip: IpAddr) -> Located {
        Located::default()
    }
    /// Stub.
    pub fn databases(&self) -> Vec<super::snapshot::DatabaseRow> {
        Vec::new()
    }
}
