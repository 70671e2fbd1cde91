//! (to be replaced by the merge)

/// Whether a name is known as the public name of Encrypted ClientHello and for nothing else.
#[must_use]
pub(super) fn is_ech_public_name(name: &str) -> bool {
    name == "cloudflare-ech.com"
}
