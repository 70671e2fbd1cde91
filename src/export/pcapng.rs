//! A small pcapng file: packets as they were captured, each with a comment. The format is draft-ietf-opsawg-pcapng.
//!
//! Road taken: `pcap-parser`, which reads captures here, also writes their blocks. Road not taken: the same three blocks by hand,
//! which would save the crates that its writing half brings along (`cookie-factory`, and with it `futures`).

use std::borrow::Cow;
use std::io::{self, Write};

use pcap_parser::{
    EnhancedPacketBlock, InterfaceDescriptionBlock, InterfaceStatisticsBlock, Linktype, OptionCode, PcapNGOption, SectionHeaderBlock,
    SystemdJournalExportBlock, ToVec,
};

use super::VERSION;
use crate::mark::Mark;

/// Bytes of a comment at most: its length has 16 bits.
const LONGEST: usize = 4_096;

/// What a statistics block may say (draft-ietf-opsawg-pcapng, 4.6).
const IFDROP: u16 = 5;
const FILTERACCEPT: u16 = 6;
const OSDROP: u16 = 7;

/// A packet as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// Nanoseconds since the epoch.
    pub nanos: u64,
    /// Its LINKTYPE number.
    pub linktype: i32,
    /// Bytes on the wire, of which `data` may hold fewer.
    pub wire_len: u32,
    /// What was captured of it.
    pub data: &'a [u8],
}

/// Where packets were captured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The interface's name.
    pub interface: String,
    /// Its LINKTYPE number.
    pub linktype: i32,
    /// Bytes kept of each packet at most.
    pub snaplen: u32,
    /// The filter, in libpcap's language.
    pub filter: Option<String>,
}

/// What a capture counts, from some moment on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that passed the filter; includes those that the kernel dropped.
    pub received: u64,
    /// Dropped by the kernel.
    pub kernel: u64,
    /// Dropped by the interface.
    pub interface: u64,
    /// Dropped by whoever writes them.
    pub recorder: u64,
}

impl Counts {
    /// How much more it is than earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            received: self.received.saturating_sub(earlier.received),
            kernel: self.kernel.saturating_sub(earlier.kernel),
            interface: self.interface.saturating_sub(earlier.interface),
            recorder: self.recorder.saturating_sub(earlier.recorder),
        }
    }

    /// Packets that were lost, wherever.
    #[must_use]
    pub const fn lost(self) -> u64 {
        self.kernel.saturating_add(self.interface).saturating_add(self.recorder)
    }
}

/// Writes packets, as pcapng.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// The interfaces that were described: what each is called, and its link type.
    interfaces: Vec<(String, i32)>,
    packets: u64,
}

impl Writer<Vec<u8>> {
    /// Bytes that were not taken yet.
    #[must_use]
    pub fn held(&self) -> usize {
        self.out.len()
    }

    /// Takes what was written since the last time: whole blocks.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(out: W) -> io::Result<Self> {
        Self::noted(out, &[])
    }

    /// Begins a file that says something of itself.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn noted(mut out: W, notes: &[String]) -> io::Result<Self> {
        let user = option(OptionCode::ShbUserAppl, &format!("whither {VERSION}"));
        let mut head = SectionHeaderBlock {
            block_type: 0,
            block_len1: 0,
            bom: 0,
            major_version: 1,
            minor_version: 0,
            section_len: -1,
            options: notes.iter().map(|words| option(OptionCode::Comment, words)).chain([user]).collect(),
            block_len2: 0,
        };
        write(&mut out, &mut head)?;
        Ok(Self { out, interfaces: Vec::new(), packets: 0 })
    }

    /// Writes a packet of the capture `file`, with comments.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn packet(&mut self, file: &str, packet: Captured<'_>, comments: &[String]) -> io::Result<()> {
        let known = self.interfaces.iter().position(|(name, linktype)| name == file && *linktype == packet.linktype);
        let index = match known {
            Some(index) => index,
            None => self.interface(file, packet.linktype, 0, vec![option(OptionCode::IfDescription, file)])?,
        };
        self.block(index, packet, comments)
    }

    /// Writes a packet of a live capture; describes its interface first, if that was not done.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn from(&mut self, source: &Source, packet: Captured<'_>) -> io::Result<()> {
        let known = self.interfaces.iter().position(|(_, linktype)| *linktype == packet.linktype);
        let index = match known {
            Some(index) => index,
            None => self.describe(&Source { linktype: packet.linktype, ..source.clone() })?,
        };
        self.block(index, packet, &[])
    }

    /// Describes an interface; gives its number.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn describe(&mut self, source: &Source) -> io::Result<usize> {
        // Its first byte says that a string of libpcap's follows.
        let filter = source.filter.as_ref().map(|text| option(OptionCode::IfFilter, &format!("\0{text}")));
        let options = [option(OptionCode::IfName, &source.interface)].into_iter().chain(filter).collect();
        self.interface(&source.interface, source.linktype, source.snaplen, options)
    }

    /// Writes what was captured and lost on the first interface, `nanos` since the epoch.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn counts(&mut self, nanos: u64, counts: Counts) -> io::Result<()> {
        let [high, low] = halves(nanos);
        let lost = counts.kernel.saturating_add(counts.recorder);
        let number =
            |code: u16, value: u64| PcapNGOption { code: OptionCode(code), len: 8, value: Cow::Owned(value.to_le_bytes().to_vec()) };
        let words = format!("of osdrop {} by the recorder, whose disk could not follow", counts.recorder);
        let mut options = vec![number(IFDROP, counts.interface), number(FILTERACCEPT, counts.received), number(OSDROP, lost)];
        options.extend((counts.recorder > 0).then(|| option(OptionCode::Comment, &words)));
        let mut block =
            InterfaceStatisticsBlock { block_type: 0, block_len1: 0, if_id: 0, ts_high: high, ts_low: low, options, block_len2: 0 };
        write(&mut self.out, &mut block)
    }

    /// Packets written so far.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    fn block(&mut self, index: usize, packet: Captured<'_>, comments: &[String]) -> io::Result<()> {
        self.packets = self.packets.saturating_add(1);
        let captured = u32::try_from(packet.data.len()).unwrap_or(u32::MAX);
        let [high, low] = halves(packet.nanos);
        let mut block = EnhancedPacketBlock {
            block_type: 0,
            block_len1: 0,
            if_id: u32::try_from(index).unwrap_or_default(),
            ts_high: high,
            ts_low: low,
            caplen: captured,
            origlen: packet.wire_len.max(captured),
            data: packet.data,
            options: comments.iter().map(|words| option(OptionCode::Comment, words)).collect(),
            block_len2: 0,
        };
        write(&mut self.out, &mut block)
    }

    /// Writes a mark, as a journal entry.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn mark(&mut self, mark: &Mark) -> io::Result<()> {
        let entry = mark.to_entry();
        write(&mut self.out, &mut SystemdJournalExportBlock { block_type: 0, block_len1: 0, data: &entry, block_len2: 0 })
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn interface(&mut self, name: &str, linktype: i32, snaplen: u32, options: Vec<PcapNGOption<'_>>) -> io::Result<usize> {
        let mut block = InterfaceDescriptionBlock {
            block_type: 0,
            block_len1: 0,
            linktype: Linktype(linktype),
            reserved: 0,
            snaplen,
            options,
            block_len2: 0,
            if_tsresol: 9, // nanoseconds
            if_tsoffset: 0,
        };
        write(&mut self.out, &mut block)?;
        self.interfaces.push((name.to_owned(), linktype));
        Ok(self.interfaces.len().saturating_sub(1))
    }
}

/// A time as pcapng has it.
fn halves(nanos: u64) -> [u32; 2] {
    [nanos >> 32, nanos & 0xffff_ffff].map(|half| u32::try_from(half).unwrap_or_default())
}

fn option(code: OptionCode, text: &str) -> PcapNGOption<'static> {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let value = text.get(..end).unwrap_or_default().as_bytes().to_vec();
    PcapNGOption { code, len: u16::try_from(value.len()).unwrap_or_default(), value: Cow::Owned(value) }
}

fn write(out: &mut impl Write, block: &mut impl ToVec) -> io::Result<()> {
    let bytes = block.to_vec().map_err(|error| io::Error::other(error.to_string()))?;
    out.write_all(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Timestamp;

    #[test]
    fn each_capture_and_link_type_is_an_interface_and_every_length_is_read_back() {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes).unwrap();
        let data: Vec<u8> = (0..9).collect();
        let packets = [("a.pcap", 1, 0), ("b.pcap", 101, 1), ("a.pcap", 1, 2), ("a.pcap", 108, 3), ("ž \u{1f4f1}.pcap", 1, 9)];
        for (file, linktype, length) in packets {
            let nanos = 1_632_200_000_000_000_001 + length as u64;
            let captured = Captured { nanos, linktype, wire_len: 60_000, data: &data[..length] };
            writer.packet(file, captured, &["x".repeat(length), "ž".repeat(3_000)]).unwrap();
        }
        assert_eq!(writer.interfaces.len(), 4);
        writer.finish().unwrap();
        let mut rest = &bytes[..];
        let mut read = Vec::new();
        while !rest.is_empty() {
            let (left, block) = pcap_parser::parse_block_le(rest).unwrap();
            if let pcap_parser::Block::EnhancedPacket(block) = block {
                let nanos = u64::from(block.ts_high) << 32 | u64::from(block.ts_low);
                let comments: Vec<&str> = block.options.iter().filter_map(|option| option.as_str().ok()).collect();
                assert_eq!((comments[0].len(), comments[1].len()), (block.caplen as usize, LONGEST));
                read.push((block.if_id, Timestamp::from_nanos(nanos), block.origlen, block.data[..block.caplen as usize].to_vec()));
            }
            rest = left;
        }
        let expected: Vec<_> = [0, 1, 0, 2, 3]
            .into_iter()
            .zip(packets)
            .map(|(index, (.., length))| {
                (index, Timestamp::from_nanos(1_632_200_000_000_000_001 + length as u64), 60_000, data[..length].to_vec())
            })
            .collect();
        assert_eq!(read, expected);
    }
}
