//! The maker of a MAC, by the registry of the IEEE (MA-L, MA-M, MA-S).
//!
//! Road taken: a table made beforehand (`geoip/vendor_writer.rs` says its shape), looked up where it lies: nothing to unpack at
//! the start, nothing on the heap. Roads not taken: a crate with the list, which adds 9 MB to the program; the list compressed,
//! which would be half a megabyte in the file and one and a half in memory.

use crate::packet::Mac;

static TABLE: &[u8] = include_bytes!("../../geoip/vendors.bin");

/// The maker, without its legal form. None for locally administered MACs, which nobody registered, and for blocks whose buyer
/// is not told. The longest prefix speaks.
#[must_use]
pub(super) fn vendor(mac: Mac) -> Option<&'static str> {
    find(TABLE, mac)
}

fn find(table: &[u8], mac: Mac) -> Option<&str> {
    if mac.is_local() || mac.is_group() {
        return None;
    }
    let [a, b, c, d, e, _] = mac.0;
    let (large, rest) = table.split_first_chunk::<4>()?;
    let (medium, rest) = rest.split_first_chunk::<4>()?;
    let (small, rest) = rest.split_first_chunk::<4>()?;
    let [large, medium, small] = [large, medium, small].map(|count| u32::from_be_bytes(*count) as usize);
    let (large, rest) = rest.split_at_checked(large.checked_mul(6)?)?;
    let (medium, rest) = rest.split_at_checked(medium.checked_mul(7)?)?;
    let (small, names) = rest.split_at_checked(small.checked_mul(8)?)?;
    let place = place::<8>(small, &[a, b, c, d, e & 0xf0])
        .or_else(|| place::<7>(medium, &[a, b, c, d & 0xf0]))
        .or_else(|| place::<6>(large, &[a, b, c]))?;
    let name = names.get(place..)?.split(|byte| *byte == b'\n').next()?;
    std::str::from_utf8(name).ok()
}

/// Where the name of a prefix stands, from a sorted table of records of `N` bytes.
fn place<const N: usize>(table: &[u8], prefix: &[u8]) -> Option<usize> {
    let (records, _) = table.as_chunks::<N>();
    let index = records.binary_search_by(|record| record.get(..prefix.len()).cmp(&Some(prefix))).ok()?;
    let [a, b, c] = *records.get(index)?.last_chunk::<3>()?;
    Some(u32::from_be_bytes([0, a, b, c]) as usize)
}

#[cfg(test)]
#[path = "../../geoip/vendor_writer.rs"]
mod vendor_writer;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makers_of_known_blocks() {
        for (mac, expected) in [
            ([0x00, 0x00, 0x0c, 1, 2, 3], "Cisco Systems"),
            ([0x64, 0xcc, 0x2e, 1, 2, 3], "Xiaomi Communications"),
            ([0xb8, 0x27, 0xeb, 1, 2, 3], "Raspberry Pi Foundation"),
            ([0x00, 0x03, 0x93, 1, 2, 3], "Apple"),
            ([0x00, 0x00, 0x00, 1, 2, 3], "XEROX"),
        ] {
            assert_eq!(vendor(Mac(mac)), Some(expected), "{}", Mac(mac));
        }
    }

    #[test]
    fn a_random_mac_has_no_maker() {
        assert_eq!(vendor(Mac([0x66, 0xcc, 0x2e, 1, 2, 3])), None, "a Xiaomi block with the local bit");
        assert_eq!(vendor(Mac([0x02, 0x5a, 0, 0, 0, 0x9c])), None);
        assert_eq!(vendor(Mac([0xff; 6])), None);
        assert_eq!(vendor(Mac([0x01, 0, 0x5e, 0, 0, 0xfb])), None, "a group");
    }

    #[test]
    fn the_longest_prefix_speaks_up_to_its_border() {
        let table = vendor_writer::table(
            [
                ("A0BBCC", "Large"),
                ("A0BBCC3", "Medium"),
                ("A0BBCC3F8", "Small"),
                ("A0BBCE", "Last"),
                ("A4BBCE", "IEEE Registration Authority"),
            ]
            .into_iter(),
        )
        .unwrap();
        let of = |mac| find(&table, Mac(mac));
        assert_eq!(of([0xa0, 0xbb, 0xcc, 0x2f, 0xff, 0xff]), Some("Large"));
        assert_eq!(of([0xa0, 0xbb, 0xcc, 0x30, 0x00, 0x00]), Some("Medium"));
        assert_eq!(of([0xa0, 0xbb, 0xcc, 0x3f, 0x7f, 0xff]), Some("Medium"));
        assert_eq!(of([0xa0, 0xbb, 0xcc, 0x3f, 0x80, 0x00]), Some("Small"));
        assert_eq!(of([0xa0, 0xbb, 0xcc, 0x3f, 0x8f, 0xff]), Some("Small"));
        assert_eq!(of([0xa0, 0xbb, 0xcc, 0x3f, 0x90, 0x00]), Some("Medium"));
        assert_eq!(of([0xa0, 0xbb, 0xcc, 0x40, 0x00, 0x00]), Some("Large"));
        assert_eq!(of([0xa0, 0xbb, 0xcd, 0, 0, 0]), None, "between two blocks");
        assert_eq!(of([0xa0, 0xbb, 0xce, 0, 0, 0]), Some("Last"));
        assert_eq!(of([0xa0, 0xbb, 0xcf, 0, 0, 0]), None, "after the last");
        assert_eq!(of([0xa4, 0xbb, 0xce, 0, 0, 0]), None, "the registry itself is no maker");
        for end in 0..table.len() {
            let _ = find(&table[..end], Mac([0xa0, 0xbb, 0xcc, 0x3f, 0x80, 0]));
        }
    }

    #[test]
    fn every_record_of_the_table_has_a_name() {
        let counts: Vec<usize> = TABLE.as_chunks::<4>().0[..3].iter().map(|count| u32::from_be_bytes(*count) as usize).collect();
        assert!(counts[0] > 39_000 && counts[1] > 6_000 && counts[2] > 7_000, "{counts:?}");
        let records = &TABLE[12..];
        let sizes = counts.iter().zip([6, 7, 8]);
        let names = &records[sizes.map(|(count, size)| count * size).sum()..];
        let names = std::str::from_utf8(names).unwrap().strip_suffix('\n').unwrap();
        assert!(names.lines().is_sorted() && names.lines().all(|name| !name.is_empty() && !name.contains(char::is_control)));
        let (large, _) = records.split_at(counts[0] * 6);
        for record in large.as_chunks::<6>().0 {
            let mac = Mac([record[0], record[1], record[2], 0, 0, 0]);
            assert!(mac.is_local() || mac.is_group() || vendor(mac).is_some_and(|name| !name.is_empty()), "{mac}");
        }
    }

    #[test]
    fn the_table_stays_small() {
        assert!(TABLE.len() <= 1_200_000, "{} bytes are in every program", TABLE.len());
    }
}
