//! What the writer of a pcapng file says that it lost: interface statistics blocks.
//!
//! The counters of an interface go on through its section, so the last block of each counts; sections are added up. A file without such
//! blocks, and every pcap file, says nothing, which is not the same as nothing lost.

use pcap_parser::PcapBlockOwned;
use pcap_parser::pcapng::Block;

/// Interfaces of a section whose counters are kept: a file of nothing but blocks would otherwise claim all memory.
const MOST: usize = 4096;
/// `isb_ifdrop` and `isb_osdrop` (draft-ietf-opsawg-pcapng, 4.6).
const BY_INTERFACE: u16 = 5;
const BY_SYSTEM: u16 = 7;

/// Frames lost, as far as the file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Dropped by the interface.
    pub interface: Option<u64>,
    /// Dropped by the system.
    pub system: Option<u64>,
}

/// The counters met so far.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    big_endian: bool,
    earlier: Lost,
    /// Of this section, by interface.
    section: Vec<(u32, Lost)>,
}

impl Statistics {
    /// Takes in a block; most are packets, of no interest.
    pub(super) fn note(&mut self, block: &PcapBlockOwned<'_>) {
        match block {
            PcapBlockOwned::NG(Block::SectionHeader(section)) => {
                self.earlier = self.lost();
                self.section.clear();
                self.big_endian = section.big_endian();
            }
            PcapBlockOwned::NG(Block::InterfaceStatistics(block)) => {
                let value = |code: u16| {
                    let option = block.options.iter().find(|option| option.code.0 == code)?;
                    let bytes = *option.value().first_chunk::<8>()?;
                    Some(if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
                };
                let lost = Lost { interface: value(BY_INTERFACE), system: value(BY_SYSTEM) };
                let known = self.section.iter().position(|(interface, _)| *interface == block.if_id);
                if known.is_none() && self.section.len() < MOST {
                    self.section.push((block.if_id, Lost::default()));
                }
                let at = known.unwrap_or(self.section.len().saturating_sub(1));
                if let Some((_, known)) = self.section.get_mut(at).filter(|(interface, _)| *interface == block.if_id) {
                    *known = Lost { interface: lost.interface.or(known.interface), system: lost.system.or(known.system) };
                }
            }
            _ => {}
        }
    }

    /// The byte order of the section that is read.
    pub(super) const fn is_big_endian(&self) -> bool {
        self.big_endian
    }

    /// All of it.
    pub(super) fn lost(&self) -> Lost {
        let add = |sum: Option<u64>, more: Option<u64>| match (sum, more) {
            (None, None) => None,
            (sum, more) => Some(sum.unwrap_or_default().saturating_add(more.unwrap_or_default())),
        };
        self.section.iter().fold(self.earlier, |sum, (_, lost)| Lost {
            interface: add(sum.interface, lost.interface),
            system: add(sum.system, lost.system),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::file::File;

    /// A block of a type with a body.
    fn block(kind: u32, body: &[u8], number: fn(u32) -> [u8; 4]) -> Vec<u8> {
        let length = number(u32::try_from(body.len() + 12).unwrap());
        [&number(kind), &length, body, &length].concat()
    }

    /// A section of one Ethernet interface whose counters are told twice.
    fn section(big: bool, drops: [u64; 2]) -> Vec<u8> {
        let number: fn(u32) -> [u8; 4] = if big { u32::to_be_bytes } else { u32::to_le_bytes };
        let short = |value: u16| if big { value.to_be_bytes() } else { value.to_le_bytes() };
        let long = |value: u64| if big { value.to_be_bytes() } else { value.to_le_bytes() };
        let head = [&number(0x1a2b_3c4d)[..], &short(1), &short(0), &[0xff; 8]].concat();
        let interface = [&short(1)[..], &short(0), &number(0)].concat();
        let mut out = [block(0x0a0d_0d0a, &head, number), block(1, &interface, number)].concat();
        for drop in drops {
            let options = [&short(BY_INTERFACE)[..], &short(8), &long(drop), &short(BY_SYSTEM), &short(8), &long(1), &short(0), &short(0)];
            out.extend(block(5, &[&[0; 12][..], &options.concat()].concat(), number));
        }
        out
    }

    #[test]
    fn the_last_word_of_each_section_counts_in_either_byte_order() {
        let bytes = [section(false, [3, 5]), section(true, [1, 70])].concat();
        let mut file = File::from_reader(std::io::Cursor::new(bytes)).unwrap();
        assert_eq!(file.lost(), Lost::default());
        file.read(&mut |_| {}).unwrap();
        assert_eq!(file.lost(), Lost { interface: Some(75), system: Some(2) });
    }
}
