//! A pcap or pcapng file, plain or gzip-compressed.
//!
//! Road taken: `pcap-parser`, because one file may hold several interfaces of different link types and snap lengths (libpcap
//! refuses those), and because reading files then needs no C library. The records of a pcap file that lie whole in the buffer are parsed
//! where they are, one after another, by the library's own function; its iterator is asked for all else. Asked for each record, it cost
//! as much as decoding the frame: a call through a table, a block of any kind, and half of all bytes moved to the buffer's begin. Roads
//! not taken: `mmap`, which is unsafe on files that others may truncate; larger blocks and aligned reads, which changed nothing.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::bufread::MultiGzDecoder;
use pcap_parser::nom::IResult;
use pcap_parser::pcapng::Block;
use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{LegacyPcapBlock, PcapBlockOwned, PcapError, create_reader};
use pcap_parser::{parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified};

use super::described::Interface;
use super::statistics::{Lost, Statistics};
use crate::mark::Mark;
use crate::packet::{Frame, Link, Timestamp};

/// Bytes read at a time.
const BUFFER: usize = 1 << 18;
/// The largest block that is read: a forged length would otherwise claim all memory.
const MAX_BLOCK: usize = 1 << 26;
/// What is said of input that fails.
const READ_ERROR: &str = "a read error (or damaged compression)";
const NO_RECORD: &str = "the capture is damaged: no record can be read";
const NO_INTERFACE: &str = "the capture is damaged: a packet of an interface that it does not describe";
const FINER: &str = "the capture is damaged: an interface whose time units are finer than any clock counts";
/// How a pcapng section begins, in either byte order.
const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// The type of a Packet Block (draft-ietf-opsawg-pcapng, appendix A).
const PACKET_BLOCK: u32 = 2;
/// Interfaces described in one section: a file of nothing else would otherwise claim all memory.
const MAX_INTERFACES: usize = 4096;

/// Why a capture could not be opened, in words for a person.
#[derive(Debug)]
pub struct OpenError {
    path: Option<PathBuf>,
    words: String,
    is_cut: bool,
}

impl OpenError {
    fn other(words: String) -> Self {
        Self { path: None, words, is_cut: false }
    }

    /// The same, of this file.
    #[must_use]
    pub fn of(self, path: &Path) -> Self {
        Self { path: Some(path.to_owned()), ..self }
    }

    /// What is wrong, without the file's name, where it is cut or damaged before its first packet: other captures are worth reading all the same.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        self.is_cut.then_some(&*self.words)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        f.write_str(&self.words)
    }
}

impl std::error::Error for OpenError {}

/// Where a capture broke off; everything before was handed over.
#[derive(Debug)]
pub struct Damage {
    /// Frames that were read before.
    pub after: u64,
    /// What is wrong, in words for a person.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after packet {}; the {} before it are counted", self.what, self.after, self.after)
    }
}

impl std::error::Error for Damage {}

/// What a file yields.
#[derive(Debug)]
pub enum Item<'a> {
    /// A frame.
    Frame(Frame<'a>),
    /// A frame of a link layer that cannot be read, and that layer's number.
    Unreadable(u64, i32),
    /// A mark, and its number: Wireshark numbers it like a frame.
    Mark(u64, Mark),
}

/// An open capture file.
pub struct File {
    reader: Box<dyn PcapReaderIterator + Send>,
    /// How a pcap file's records are written; none in a pcapng file.
    records: Option<Records>,
    interfaces: Vec<Interface>,
    number: u64,
    last: Timestamp,
    /// Bytes of the reader's buffer.
    wanted: usize,
    failed: Arc<AtomicBool>,
    statistics: Statistics,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("number", &self.number).finish_non_exhaustive()
    }
}

/// The ways to write a record of a pcap file.
#[derive(Clone, Copy)]
enum Records {
    LittleEndian,
    BigEndian,
    /// With more fields in its header (Alexey Kuznetsov's format).
    Modified,
}

impl File {
    /// Opens a capture; `-` is standard input.
    ///
    /// # Errors
    /// No such file, a directory, no permission, empty, not a capture, or a link layer that cannot be read.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let input: Box<dyn Read + Send> = if path.as_os_str() == "-" {
            Box::new(io::stdin())
        } else {
            #[expect(clippy::disallowed_types, reason = "the only way in")]
            let file = std::fs::File::open(path).map_err(|error| OpenError::other(words(&error)).of(path))?;
            if file.metadata().is_ok_and(|meta| meta.is_dir()) {
                return Err(OpenError::other("is a directory; name the capture files in it".to_owned()).of(path));
            }
            Box::new(file)
        };
        Self::from_reader(input).map_err(|error| error.of(path))
    }

    /// Reads a capture from bytes as they come.
    ///
    /// # Errors
    /// Words that say why these bytes are no capture that can be read.
    pub fn from_reader(input: impl Read + Send + 'static) -> Result<Self, OpenError> {
        // The block reader has a buffer of its own: only what tells compression apart is read before it.
        let (mut input, mut magic) = (input, Vec::new());
        input.by_ref().take(2).read_to_end(&mut magic).map_err(|error| OpenError::other(error.to_string()))?;
        let compressed = magic == [0x1f, 0x8b];
        let input = io::Cursor::new(magic).chain(input);
        let input: Box<dyn Read + Send> =
            if compressed { Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, input))) } else { Box::new(input) };
        let failed = Arc::new(AtomicBool::new(false));
        // The library does not tell a section that is cut in its header from what is no capture: by its first bytes it is one.
        let (mut input, mut begin) = (Fill { input, failed: Arc::clone(&failed) }, Vec::new());
        input.by_ref().take(4).read_to_end(&mut begin).map_err(|error| OpenError::other(error.to_string()))?;
        let is_section = begin == SECTION;
        let input = Fill { input: io::Cursor::new(begin).chain(input), failed: Arc::clone(&failed) };
        let reader = create_reader(BUFFER, input).map_err(|error| {
            let (words, is_cut) = match error {
                _ if failed.load(Ordering::Relaxed) => ("cannot be read (damaged compression, or a read error)", true),
                PcapError::Eof => ("is empty", true),
                PcapError::Incomplete(_) => ("ends inside its first header: nothing in it can be read", true),
                _ if is_section => ("ends inside its first header, or that is damaged: nothing in it can be read", true),
                _ => ("is not a pcap or pcapng capture", false),
            };
            OpenError { path: None, words: words.to_owned(), is_cut }
        })?;
        let (last, statistics) = (Timestamp::default(), Statistics::default());
        let mut file = Self { reader, records: None, interfaces: Vec::new(), number: 0, last, wanted: BUFFER, failed, statistics };
        file.check_link()?;
        Ok(file)
    }

    /// A pcap file has one link layer for all: say at once if it cannot be read.
    fn check_link(&mut self) -> Result<(), OpenError> {
        if let Ok((used, PcapBlockOwned::LegacyHeader(header))) = self.reader.next() {
            let interface = Interface::of_pcap(&header);
            self.interfaces.push(interface);
            self.records = Some(match (header.is_modified_format(), header.is_bigendian()) {
                (true, _) => Records::Modified,
                (false, true) => Records::BigEndian,
                (false, false) => Records::LittleEndian,
            });
            self.reader.consume(used);
            if interface.link.is_none() {
                return Err(OpenError::other(format!(
                    "link type {} cannot be read; whither reads Ethernet, Linux cooked, raw IP, BSD loopback, PPP and 802.11",
                    interface.linktype
                )));
            }
        }
        Ok(())
    }

    /// What the capture's writer says that it lost, in what was read of it.
    #[must_use]
    pub fn lost(&self) -> Lost {
        self.statistics.lost()
    }

    /// Hands every frame over, in order.
    ///
    /// # Errors
    /// Where the capture breaks off, if it does.
    pub fn read(&mut self, each: &mut impl FnMut(Item<'_>)) -> Result<(), Damage> {
        self.read_linktypes(&mut |item, _| each(item))
    }

    /// The same, with the LINKTYPE number of each frame as the file has it; a mark has none of its own.
    ///
    /// # Errors
    /// Where the capture breaks off, if it does.
    pub fn read_linktypes(&mut self, each: &mut impl FnMut(Item<'_>, i32)) -> Result<(), Damage> {
        while self.block(each)? {}
        Ok(())
    }

    /// The time of the first frame; what was read to learn it is not handed over any more. None where there is none.
    pub fn begin(&mut self) -> Option<Timestamp> {
        let mut first = None;
        while first.is_none() {
            let mut note = |item: Item<'_>, _| {
                if let Item::Frame(frame) = item {
                    first.get_or_insert(frame.time);
                }
            };
            if !self.block(&mut note).ok()? {
                break;
            }
        }
        first
    }

    /// Takes in the records at hand and the next block; false at the end.
    fn block(&mut self, each: &mut impl FnMut(Item<'_>, i32)) -> Result<bool, Damage> {
        loop {
            match self.records {
                Some(Records::LittleEndian) => self.whole(parse_pcap_frame, each),
                Some(Records::BigEndian) => self.whole(parse_pcap_frame_be, each),
                Some(Records::Modified) => self.whole(parse_pcap_frame_modified, each),
                None if is_too_short(self.reader.data()) => return Err(self.damage(NO_RECORD)),
                None => {}
            }
            match self.reader.next() {
                Ok((used, block)) => {
                    self.statistics.note(&block);
                    let big = self.statistics.is_big_endian();
                    let told = take(&mut self.interfaces, &mut self.number, &mut self.last, big, &block, each);
                    self.reader.consume(used);
                    return told.map(|()| true).map_err(|what| self.damage(what));
                }
                Err(PcapError::Eof) => return self.end(true),
                Err(PcapError::Incomplete(_) | PcapError::BufferTooSmall) => {
                    let before = self.reader.data().len();
                    if before >= self.wanted {
                        self.wanted = self.wanted.saturating_mul(4);
                        if self.wanted > MAX_BLOCK {
                            return Err(self.damage("a block claims more bytes than any capture has,"));
                        }
                        self.reader.grow(self.wanted);
                    }
                    if self.reader.refill().is_err() {
                        return Err(self.damage(READ_ERROR));
                    }
                    if self.reader.data().len() == before && self.reader.reader_exhausted() {
                        return self.end(before == 0);
                    }
                }
                Err(PcapError::UnexpectedEof) => return self.end(false),
                Err(_) => return Err(self.damage(NO_RECORD)),
            }
        }
    }

    /// Hands over a pcap file's records as long as they lie whole in the buffer.
    fn whole(
        &mut self,
        parse: impl for<'a> Fn(&'a [u8]) -> IResult<&'a [u8], LegacyPcapBlock<'a>, PcapError<&'a [u8]>>,
        each: &mut impl FnMut(Item<'_>, i32),
    ) {
        let Some((interface, link)) = self.interfaces.first().and_then(|interface| Some((interface, interface.link?))) else { return };
        let data = self.reader.data();
        let mut rest = data;
        while let Ok((after, record)) = parse(rest) {
            rest = after;
            self.last = interface.time_of(&record);
            self.number = self.number.saturating_add(1);
            each(Item::Frame(frame(self.number, self.last, link, record.origlen, record.data)), interface.linktype);
        }
        let used = data.len().saturating_sub(rest.len());
        self.reader.consume_noshift(used);
    }

    /// There is no more: as it should be, or not.
    fn end(&self, clean: bool) -> Result<bool, Damage> {
        match (self.failed.load(Ordering::Relaxed), clean) {
            (true, _) => Err(self.damage(READ_ERROR)),
            (false, true) => Ok(false),
            (false, false) => Err(self.damage("the capture is truncated: it ends inside a record")),
        }
    }

    fn damage(&self, what: &str) -> Damage {
        Damage { after: self.number, what: what.to_owned() }
    }
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission to read it".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether a pcapng block claims fewer bytes than its frame of 12, which the library subtracts unasked from 4 on in one kind of block. In
/// either byte order: the other's reading of such a number is no less than [`MAX_BLOCK`].
fn is_too_short(block: &[u8]) -> bool {
    let length = block.get(4..).and_then(|rest| rest.first_chunk::<4>());
    length.is_some_and(|length| [u32::from_le_bytes(*length), u32::from_be_bytes(*length)].iter().any(|length| (4..12).contains(length)))
}

fn frame(number: u64, time: Timestamp, link: Link, wire_len: u32, data: &[u8]) -> Frame<'_> {
    Frame { number, time, link, wire_len: wire_len.max(u32::try_from(data.len()).unwrap_or(u32::MAX)), data }
}

/// A number of 32 bits in the section's byte order.
fn in_order(big: bool, bytes: [u8; 4]) -> u32 {
    if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

/// A packet in the block that came before the Enhanced Packet Block, obsolete but found in older captures (draft-ietf-opsawg-pcapng, appendix
/// A). By hand, as the library hands it over as bytes.
struct OldPacket<'a> {
    interface: u16,
    units: u64,
    wire_len: u32,
    data: &'a [u8],
}

impl<'a> OldPacket<'a> {
    fn read(big: bool, body: &'a [u8]) -> Option<Self> {
        let (interface, rest) = body.split_first_chunk()?;
        let interface = if big { u16::from_be_bytes(*interface) } else { u16::from_le_bytes(*interface) };
        let (_drops, mut rest) = rest.split_first_chunk::<2>()?;
        let mut number = || {
            let (bytes, after) = rest.split_first_chunk()?;
            rest = after;
            Some(in_order(big, *bytes))
        };
        let (high, low, caplen, wire_len) = (number()?, number()?, number()?, number()?);
        let data = rest.get(..usize::try_from(caplen).ok()?)?;
        Some(Self { interface, units: u64::from(high) << 32 | u64::from(low), wire_len, data })
    }
}

fn take(
    interfaces: &mut Vec<Interface>,
    number: &mut u64,
    last: &mut Timestamp,
    big: bool,
    block: &PcapBlockOwned<'_>,
    each: &mut impl FnMut(Item<'_>, i32),
) -> Result<(), &'static str> {
    let (interface, time, wire_len, data) = match block {
        PcapBlockOwned::LegacyHeader(header) => {
            interfaces.push(Interface::of_pcap(header));
            return Ok(());
        }
        PcapBlockOwned::Legacy(packet) => {
            let interface = interfaces.first().ok_or("the capture is damaged: a record without a header")?;
            (interface, interface.time_of(packet), packet.origlen, packet.data)
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            interfaces.clear();
            return Ok(());
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(description)) => {
            if interfaces.len() >= MAX_INTERFACES {
                return Err("the capture describes more interfaces than any machine has,");
            }
            interfaces.push(Interface::of_block(big, description).ok_or(FINER)?);
            return Ok(());
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            let index = usize::try_from(packet.if_id).unwrap_or(usize::MAX);
            let interface = interfaces.get(index).ok_or(NO_INTERFACE)?;
            let units = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
            let caplen = usize::try_from(packet.caplen).unwrap_or(usize::MAX).min(packet.data.len());
            (interface, interface.time(units), packet.origlen, packet.data.get(..caplen).unwrap_or(packet.data))
        }
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
            let interface = interfaces.first().ok_or(NO_INTERFACE)?;
            let caplen = usize::try_from(packet.origlen.min(interface.snaplen)).unwrap_or(usize::MAX).min(packet.data.len());
            (interface, *last, packet.origlen, packet.data.get(..caplen).unwrap_or(packet.data))
        }
        PcapBlockOwned::NG(Block::Unknown(block)) if in_order(big, block.block_type.to_le_bytes()) == PACKET_BLOCK => {
            let packet = OldPacket::read(big, block.data).filter(|_| block.block_len1 == block.block_len2).ok_or(NO_RECORD)?;
            let interface = interfaces.get(usize::from(packet.interface)).ok_or(NO_INTERFACE)?;
            (interface, interface.time(packet.units), packet.wire_len, packet.data)
        }
        PcapBlockOwned::NG(Block::SystemdJournalExport(entry)) => {
            // Numbered whether it is a mark or not, so that the numbers of frames are those that Wireshark tells.
            *number = number.saturating_add(1);
            if let Some(mark) = Mark::from_entry(entry.data) {
                each(Item::Mark(*number, mark), interfaces.first().map_or(0, |interface| interface.linktype));
            }
            return Ok(());
        }
        PcapBlockOwned::NG(_) => return Ok(()),
    };
    *number = number.saturating_add(1);
    *last = time;
    match interface.link {
        Some(link) => each(Item::Frame(frame(*number, time, link, wire_len, data)), interface.linktype),
        None => each(Item::Unreadable(*number, interface.linktype), interface.linktype),
    }
    Ok(())
}

/// Fills the buffer it is given as far as it can: the block reader takes a short read (as of a pipe) for the end.
struct Fill<R> {
    input: R,
    /// An error is the end, and is remembered: what came before it is read first, however often the block reader asks.
    failed: Arc<AtomicBool>,
}

impl<R: Read> Read for Fill<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty() && !self.failed.load(Ordering::Relaxed)) {
            match self.input.read(rest) {
                Ok(0) => break,
                Ok(count) => filled = filled.saturating_add(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.failed.store(true, Ordering::Relaxed),
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::pcapng::{Captured, Writer};

    #[test]
    fn a_mark_is_read_back_where_it_stands_and_numbered_as_wireshark_does() {
        let mark = Mark::from_line(
            br#"{"text": "screen on", "device": "pixel", "phase": "in-use", "time": 1780272000000001}"#,
            Timestamp::default(),
        );
        let mark = mark.unwrap();
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes).unwrap();
        let captured = Captured { nanos: 1, linktype: 1, wire_len: 60, data: &[0; 14] };
        writer.mark(&mark).unwrap();
        writer.packet("a", captured, &[]).unwrap();
        writer.mark(&mark).unwrap();
        writer.packet("a", captured, &[]).unwrap();
        let mut told = Vec::new();
        let mut file = File::from_reader(io::Cursor::new(bytes)).unwrap();
        file.read(&mut |item| {
            told.push(match item {
                Item::Frame(frame) => (frame.number, None),
                Item::Unreadable(number, _) => (number, None),
                Item::Mark(number, mark) => (number, Some(mark)),
            });
        })
        .unwrap();
        assert_eq!(told, [(1, Some(mark.clone())), (2, None), (3, Some(mark)), (4, None)]);
    }

    #[test]
    fn units_of_any_size_are_nanoseconds_and_no_number_of_them_wraps() {
        let time = |units_per_second, offset_seconds, units| {
            let interface = Interface { linktype: 1, link: Some(Link::Ethernet), units_per_second, offset_seconds, snaplen: 0 };
            interface.time(units).as_nanos()
        };
        assert_eq!(time(1, 0, 7), 7_000_000_000);
        assert_eq!(time(1_000_000, 0, 5_000_001), 5_000_001_000);
        assert_eq!(time(1_000_000_000, 0, u64::MAX), u64::MAX);
        assert_eq!(time(1_000_000, 0, u64::MAX), u64::MAX);
        assert_eq!(time(1 << 20, 0, 7 << 19), 3_500_000_000);
        assert_eq!(time(10_000_000_000, 0, 25), 2);
        assert_eq!(time(1_000_000, 3_600, 1), 3_600_000_001_000);
        assert_eq!(time(1_000_000, -3_600, 1), 0);
    }

    #[test]
    fn a_block_that_claims_less_than_its_frame_is_damage() {
        for (big, claimed) in (4..12).flat_map(|claimed| [(false, claimed), (true, claimed)]) {
            let number = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() };
            let (order, whole, block, length) = (number(0x1a2b_3c4d), number(28), number(0x8000_0001), number(claimed));
            let version = if big { [0, 1, 0, 0] } else { [1, 0, 0, 0] };
            let bytes = [[0x0a, 0x0d, 0x0d, 0x0a], whole, order, version, [0xff; 4], [0xff; 4], whole, block, length, [0; 4]].concat();
            let mut file = File::from_reader(io::Cursor::new(bytes)).unwrap();
            assert_eq!(file.read(&mut |_| {}).unwrap_err().what, NO_RECORD);
        }
    }

    /// A block of a pcapng file, of a type and with a body.
    fn block(big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
        let length = long(big, u32::try_from(body.len() + 12).unwrap());
        [&long(big, kind)[..], &length, body, &length].concat()
    }

    fn long(big: bool, value: u32) -> [u8; 4] {
        if big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn short(big: bool, value: u16) -> [u8; 2] {
        if big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// A section of one Ethernet interface with these options.
    fn section(big: bool, options: &[u8]) -> Vec<u8> {
        let head = [&long(big, 0x1a2b_3c4d)[..], &short(big, 1), &short(big, 0), &[0xff; 8]].concat();
        let interface = [&short(big, 1)[..], &short(big, 0), &long(big, 0), options].concat();
        [block(big, 0x0a0d_0d0a, &head), block(big, 1, &interface)].concat()
    }

    /// A packet of so many units since the epoch.
    fn packet(big: bool, units: u64) -> Vec<u8> {
        let (high, low) = (u32::try_from(units >> 32).unwrap(), u32::try_from(units & 0xffff_ffff).unwrap());
        let head = [0, high, low, 14, 60].map(|value| long(big, value)).concat();
        block(big, 6, &[&head[..], &[0; 16]].concat())
    }

    /// A frame's time, and its lengths on the wire and here.
    type Told = (u64, u32, usize);

    /// Its frames, and how it ended.
    fn frames(bytes: Vec<u8>) -> (Vec<Told>, Result<(), String>) {
        let (mut frames, mut file) = (Vec::new(), File::from_reader(io::Cursor::new(bytes)).unwrap());
        let end = file.read(&mut |item| {
            let Item::Frame(frame) = item else { panic!("{item:?}") };
            frames.push((frame.time.as_nanos(), frame.wire_len, frame.data.len()));
        });
        (frames, end.map_err(|damage| damage.what))
    }

    #[test]
    fn an_interface_counts_in_powers_of_ten_or_of_two() {
        let told = |resolution: u8, units| {
            let option = [&short(false, 9)[..], &short(false, 1), &[resolution, 0, 0, 0], &[0; 4]].concat();
            frames([section(false, &option), packet(false, units)].concat())
        };
        const SECONDS: u64 = 1_700_000_000;
        for (resolution, units, nanos) in [
            (6, SECONDS * 1_000_000 + 1, SECONDS * 1_000_000_000 + 1_000),
            (9, SECONDS * 1_000_000_000 + 1, SECONDS * 1_000_000_000 + 1),
            (0x80, SECONDS, SECONDS * 1_000_000_000),
            (0x80 | 20, (SECONDS << 20) + (1 << 19), SECONDS * 1_000_000_000 + 500_000_000),
            (0x80 | 30, (SECONDS << 30) + (1 << 29), SECONDS * 1_000_000_000 + 500_000_000),
            (0x80 | 63, 1 << 62, 500_000_000),
            (19, 5_000_000_000_000_000_000, 500_000_000),
        ] {
            assert_eq!(told(resolution, units), (vec![(nanos, 60, 14)], Ok(())), "{resolution:#x}");
        }
        for finer in [20, 127, 0x80 | 64, 0xff] {
            assert_eq!(told(finer, SECONDS), (vec![], Err(FINER.to_owned())), "{finer:#x}");
        }
    }

    #[test]
    fn an_obsolete_packet_block_is_read_in_either_byte_order() {
        for big in [false, true] {
            let packet = |interface: u16, caplen: u32| {
                let head = [0, 5_000_001, caplen, 60].map(|value| long(big, value)).concat();
                // Padded to 32 bits; then a comment.
                let options = [&short(big, 1)[..], &short(big, 2), b"hm\0\0", &[0; 4]].concat();
                block(big, 2, &[&short(big, interface)[..], &[0xff; 2], &head, &[0; 16], &options].concat())
            };
            let read = |last: Vec<u8>| frames([section(big, &[]), packet(0, 14), last].concat());
            let frame = (5_000_001_000, 60, 14);
            assert_eq!(read(packet(0, 14)), (vec![frame; 2], Ok(())));
            assert_eq!(read(packet(1, 14)), (vec![frame], Err(NO_INTERFACE.to_owned())));
            assert_eq!(read(packet(0, 29)), (vec![frame], Err(NO_RECORD.to_owned())));
            assert_eq!(read(block(big, 2, &[0; 19])), (vec![frame], Err(NO_RECORD.to_owned())));
        }
    }

    #[test]
    fn an_offset_of_times_is_in_the_sections_byte_order() {
        for (big, seconds) in [(false, 3_600_i64), (true, 3_600)] {
            let seconds = if big { seconds.to_be_bytes() } else { seconds.to_le_bytes() };
            let option = [&short(big, 14)[..], &short(big, 8), &seconds, &[0; 4]].concat();
            assert_eq!(frames([section(big, &option), packet(big, 1)].concat()).0, [(3_600_000_001_000, 60, 14)], "{big}");
        }
    }
}
