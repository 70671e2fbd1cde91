//! Writes `geoip/vendors.bin`, the makers' prefixes as `src/engine/vendor.rs` reads them, and shortens the makers' names.
//!
//! The file is three tables and the names: three counts (u32), then the records of the 24-, 28- and 36-bit prefixes, each
//! table sorted (the prefix's 3, 4 or 5 bytes, the last half byte zero where the prefix ends there; the place of the name, 3
//! bytes), then the names, each followed by a line break. Numbers are big-endian.
//!
//! Road not taken: an index of names between records and text. A record would be one byte shorter, the file no smaller.

use anyhow::{Context, Result, bail, ensure};

/// Bits of the prefixes of the registry: MA-L, MA-M, MA-S.
const SIZES: [usize; 3] = [24, 28, 36];
/// What the registry says in place of a maker: blocks that it hands on in parts, and buyers who are not told.
const NOBODY: [&str; 2] = ["IEEE Registration Authority", "Private"];

/// The file, from pairs of prefix (6, 7 or 9 hexadecimal digits) and name, in any order.
pub(crate) fn table<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Vec<u8>> {
    let mut records: [Vec<(Vec<u8>, String)>; 3] = Default::default();
    for (digits, name) in entries {
        let name = short(name);
        if name.is_empty() || NOBODY.contains(&name.as_str()) {
            continue;
        }
        let size = SIZES.iter().position(|bits| bits / 4 == digits.len());
        let Some(table) = size.and_then(|size| records.get_mut(size)) else { bail!("`{digits}` is no prefix of the registry") };
        table.push((octets(digits)?, name));
    }
    for table in &mut records {
        table.sort_unstable();
        table.dedup();
        ensure!(table.is_sorted_by(|(a, _), (b, _)| a < b), "a prefix has two makers");
    }
    let mut names: Vec<&str> = records.iter().flatten().map(|(_, name)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut text = Vec::new();
    let mut places = Vec::new();
    for name in &names {
        places.push(text.len());
        text.extend_from_slice(name.as_bytes());
        text.push(b'\n');
    }
    let mut file = Vec::new();
    for table in &records {
        file.extend_from_slice(&u32::try_from(table.len())?.to_be_bytes());
    }
    for (prefix, name) in records.iter().flatten() {
        let place = names.binary_search(&name.as_str()).ok().and_then(|index| places.get(index)).context("every name has a place")?;
        let [high, place @ ..] = u32::try_from(*place)?.to_be_bytes();
        ensure!(high == 0, "the names no longer fit into 16 MiB");
        file.extend_from_slice(prefix);
        file.extend_from_slice(&place);
    }
    file.extend_from_slice(&text);
    Ok(file)
}

/// Hexadecimal digits as octets, an odd one in the upper half.
fn octets(digits: &str) -> Result<Vec<u8>> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let values: Option<Vec<u8>> = digits.as_bytes().iter().map(digit).collect();
    let values = values.with_context(|| format!("`{digits}` is not hexadecimal"))?;
    Ok(values.chunks(2).map(|pair| pair.iter().fold(0, |octet, digit| (octet << 4) | digit) << (8 - 4 * pair.len())).collect())
}

/// Legal forms, without dots: what a company is, not who it is.
const FORMS: [&str; 51] = [
    "ab",
    "ag",
    "aps",
    "as",
    "asa",
    "a/s",
    "bhd",
    "bv",
    "co",
    "cokg",
    "coltd",
    "company",
    "corp",
    "corporate",
    "corporation",
    "doo",
    "eirl",
    "gmbh",
    "inc",
    "incorporated",
    "jsc",
    "kft",
    "kg",
    "kgaa",
    "kk",
    "limited",
    "llc",
    "llp",
    "lp",
    "ltd",
    "ltda",
    "mbh",
    "nv",
    "oo",
    "oy",
    "oyj",
    "plc",
    "pte",
    "pty",
    "private",
    "pvt",
    "sa",
    "sas",
    "sdn",
    "sl",
    "slu",
    "spa",
    "sp",
    "srl",
    "sro",
    "z",
];

/// A maker's name without its legal form: `Xiaomi Communications Co Ltd` is `Xiaomi Communications`.
fn short(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| match c {
            '，' => ',',
            '（' => '(',
            '）' => ')',
            c if c.is_whitespace() || c.is_control() => ' ',
            c => c,
        })
        .collect();
    let words: Vec<&str> = plain.split(' ').filter(|word| !word.is_empty()).collect();
    let plain = words.join(" ");
    // `Motorola Mobility LLC, a Lenovo Company`
    let mut rest = plain.split(", a ").next().unwrap_or(&plain);
    loop {
        rest = rest.trim_end_matches([' ', ',', '.', ';', '&', '-', '(']);
        let (before, last) = match rest.rfind([' ', ',', '(', ')']).map(|at| rest.split_at(at)) {
            Some((before, last)) => (before, last),
            None => break,
        };
        // A bracket that closes stays with its name: `OnePlus Technology (Shenzhen)`; an empty or legal one goes: `(Pty)`.
        let (before, word) = match last {
            ")" => match before.rfind('(').and_then(|at| before.split_at_checked(at)) {
                Some((name, bracket)) => (name, bracket),
                None => break,
            },
            last if last.starts_with(')') => match rest.rfind(')').and_then(|at| rest.split_at_checked(at + 1)) {
                Some(parts) => parts,
                None => break,
            },
            last => (before, last),
        };
        let word: String = word.chars().filter(|c| !matches!(c, '.' | ' ' | ',' | '(' | ')')).collect::<String>().to_lowercase();
        let kept = before.chars().filter(|c| c.is_alphanumeric()).count();
        if kept < 2 || !(word.is_empty() || FORMS.contains(&word.as_str())) {
            break;
        }
        rest = before;
    }
    rest.trim_matches([' ', ',', ';']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_forms_go_and_names_stay() {
        for (long, expected) in [
            ("Xiaomi Communications Co Ltd", "Xiaomi Communications"),
            ("HUAWEI TECHNOLOGIES CO.,LTD", "HUAWEI TECHNOLOGIES"),
            ("Samsung Electronics Co.,Ltd", "Samsung Electronics"),
            ("GUANGDONG OPPO MOBILE TELECOMMUNICATIONS CORP.,LTD", "GUANGDONG OPPO MOBILE TELECOMMUNICATIONS"),
            ("OnePlus Technology (Shenzhen) Co., Ltd", "OnePlus Technology (Shenzhen)"),
            ("Flextronics Computing（SuZhou)Co.,LTD.", "Flextronics Computing(SuZhou)"),
            ("Apple, Inc.", "Apple"),
            ("Intel Corporate", "Intel"),
            ("Cisco Systems, Inc", "Cisco Systems"),
            ("Motorola Mobility LLC, a Lenovo Company", "Motorola Mobility"),
            ("Würth Elektronik eiSos GmbH & Co. KG", "Würth Elektronik eiSos"),
            ("Foo Sp. z o.o.", "Foo"),
            ("Bar (Pty) Ltd", "Bar"),
            ("Baz S.r.l.", "Baz"),
            ("AG", "AG"),
            ("3M CO", "3M"),
            ("Nokia", "Nokia"),
            ("Dual  spaces\u{a0}Inc.", "Dual spaces"),
            ("XEROX CORPORATION", "XEROX"),
        ] {
            assert_eq!(short(long), expected, "{long}");
        }
    }

    #[test]
    fn the_order_of_the_source_does_not_matter() {
        let entries = [("AABBCC", "Two, Inc."), ("001122", "One"), ("AABBCC3", "Three"), ("AABBCC0FF", "Four"), ("AABBCD", "Private")];
        let file = table(entries.into_iter()).unwrap();
        assert_eq!(file, table(entries.into_iter().rev()).unwrap());
        assert_eq!(file.len(), 12 + 2 * 6 + 7 + 8 + "Two\nOne\nThree\nFour\n".len(), "a prefix of nobody is left out");
    }

    #[test]
    fn a_source_that_contradicts_itself_is_refused() {
        assert!(table([("001122", "One"), ("001122", "Two")].into_iter()).is_err());
        assert!(table([("00112", "One")].into_iter()).is_err());
        assert!(table([("00112g", "One")].into_iter()).is_err());
    }
}
