//! What QUIC versions are called: a closed set, since a version is whatever its sender writes.

/// Names by number: RFC 9000, RFC 9369, the drafts, Google's own and Facebook's.
const NAMES: [(u32, &str); 32] = [
    (0, "negotiation"),
    (0x0000_0001, "1"),
    (0x6b33_43cf, "2"),
    (0xff00_0016, "draft-22"),
    (0xff00_0017, "draft-23"),
    (0xff00_0018, "draft-24"),
    (0xff00_0019, "draft-25"),
    (0xff00_001a, "draft-26"),
    (0xff00_001b, "draft-27"),
    (0xff00_001c, "draft-28"),
    (0xff00_001d, "draft-29"),
    (0xff00_001e, "draft-30"),
    (0xff00_001f, "draft-31"),
    (0xff00_0020, "draft-32"),
    (0xff00_0021, "draft-33"),
    (0xff00_0022, "draft-34"),
    (0x5130_3234, "Q024"),
    (0x5130_3235, "Q025"),
    (0x5130_3330, "Q030"),
    (0x5130_3333, "Q033"),
    (0x5130_3334, "Q034"),
    (0x5130_3335, "Q035"),
    (0x5130_3337, "Q037"),
    (0x5130_3339, "Q039"),
    (0x5130_3433, "Q043"),
    (0x5130_3434, "Q044"),
    (0x5130_3436, "Q046"),
    (0x5130_3530, "Q050"),
    (0x5430_3530, "T050"),
    (0x5430_3531, "T051"),
    (0xface_b001, "mvfst-1"),
    (0xface_b002, "mvfst-2"),
];

/// The name of a version; `greased` for those that no one has (RFC 9000, 15), `other` for the rest.
#[must_use]
pub fn name(version: u32) -> &'static str {
    match NAMES.iter().find(|(number, _)| *number == version) {
        Some((_, name)) => name,
        None if version & 0x0f0f_0f0f == 0x0a0a_0a0a => "greased",
        None => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_their_usual_names() {
        assert_eq!(name(1), "1");
        assert_eq!(name(u32::from_be_bytes(*b"Q046")), "Q046");
        assert_eq!(name(0xff00_001d), "draft-29");
        assert_eq!(name(0x1a2a_3a4a), "greased");
        assert_eq!(name(0xdead_beef), "other");
    }

    #[test]
    fn no_number_has_two_names() {
        for (index, (number, name)) in NAMES.iter().enumerate() {
            assert!(NAMES.iter().skip(index + 1).all(|(other, text)| other != number && text != name), "{name}");
        }
    }
}
