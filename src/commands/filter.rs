//! A filter over files: the language is libpcap's, so it needs libpcap.
//!
//! Road taken: libpcap compiles it and asks it about whole frames. Of a frame that was cut the `pcap` crate says only how much there is,
//! and takes that for its length on the wire, which `len`, `greater` and `less` are about: those run here, by the machine of McCanne and
//! Jacobson ("The BSD Packet Filter", 1993, section 3). The crate shows its instructions as text alone. Road not taken: zeros in place of
//! what was cut, which other tests would then take for the frame's.

use anyhow::Result;
#[cfg(feature = "live")]
use anyhow::anyhow;
use whither::packet::Frame;

/// A filter, compiled for each link layer that it meets.
pub(super) struct Filter {
    #[cfg(feature = "live")]
    text: Option<String>,
    #[cfg(feature = "live")]
    programs: Vec<(whither::packet::Link, Option<Program>)>,
}

impl Filter {
    #[cfg(not(feature = "live"))]
    pub(super) fn new(text: Option<&str>) -> Result<Self> {
        match text {
            Some(_) => {
                anyhow::bail!("this whither was built without libpcap, whose language --filter speaks; build it with the feature `live`")
            }
            None => Ok(Self {}),
        }
    }

    #[cfg(not(feature = "live"))]
    pub(super) fn takes(&mut self, _: &Frame<'_>) -> bool {
        true
    }

    #[cfg(feature = "live")]
    pub(super) fn new(text: Option<&str>) -> Result<Self> {
        let filter = Self { text: text.map(str::to_owned), programs: Vec::new() };
        if let Some(text) = text {
            filter.compile(1, text).map_err(|error| anyhow!("the filter `{text}` is not in tcpdump's language: {error}"))?;
        }
        Ok(filter)
    }

    #[cfg(feature = "live")]
    fn compile(&self, linktype: i32, text: &str) -> Result<pcap::BpfProgram, pcap::Error> {
        pcap::Capture::dead(pcap::Linktype(linktype))?.compile(text, true)
    }

    #[cfg(feature = "live")]
    pub(super) fn takes(&mut self, frame: &Frame<'_>) -> bool {
        let Some(text) = &self.text else { return true };
        if !self.programs.iter().any(|(link, _)| *link == frame.link) {
            let program = self.compile(frame.link.linktype(), text).ok().map(Program::new);
            self.programs.push((frame.link, program));
        }
        // A filter that means nothing on a link layer (`ether host` on raw IP) takes nothing from it.
        let program = self.programs.iter().find(|(link, _)| *link == frame.link).and_then(|(_, program)| program.as_ref());
        program.is_some_and(|program| program.takes(frame))
    }
}

/// A compiled filter.
#[cfg(feature = "live")]
struct Program {
    whole: pcap::BpfProgram,
    /// The same, for frames that were cut. None if the crate shows it in another way than it did.
    steps: Option<Vec<Step>>,
}

#[cfg(feature = "live")]
impl Program {
    fn new(whole: pcap::BpfProgram) -> Self {
        let steps = whole.get_instructions().iter().map(|step| Step::read(&step.to_string())).collect();
        Self { whole, steps }
    }

    fn takes(&self, frame: &Frame<'_>) -> bool {
        let is_cut = usize::try_from(frame.wire_len).is_ok_and(|length| length > frame.data.len());
        match &self.steps {
            Some(steps) if is_cut => run(steps, frame).is_some_and(|bytes| bytes > 0),
            _ => self.whole.filter(frame.data),
        }
    }
}

/// An instruction.
#[cfg(feature = "live")]
#[derive(Clone, Copy)]
struct Step {
    code: u16,
    /// How many instructions to pass over if so, and if not.
    jumps: [u8; 2],
    k: u32,
}

#[cfg(feature = "live")]
impl Step {
    fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ');
        let code = numbers.next()?.parse().ok()?;
        let jumps = [numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?];
        Some(Self { code, jumps, k: numbers.next()?.parse().ok()? })
    }
}

/// What a program answers about a frame: so many bytes of it are wanted. None where it asks for bytes that are not there, divides by nothing,
/// or is no program. Each step goes forward, so it ends.
#[cfg(feature = "live")]
fn run(steps: &[Step], frame: &Frame<'_>) -> Option<u32> {
    let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, [0_u32; 16], 0_usize);
    loop {
        let step = *steps.get(at)?;
        at = at.checked_add(1)?;
        let cell = usize::try_from(step.k).ok()?;
        let operand = if step.code & 0x08 == 0 { step.k } else { x };
        match step.code & 0x07 {
            0 => a = load(step, x, &memory, frame)?,
            1 => x = load(step, x, &memory, frame)?,
            2 => *memory.get_mut(cell)? = a,
            3 => *memory.get_mut(cell)? = x,
            4 => a = compute(step.code, a, operand)?,
            5 => {
                let [so, not] = step.jumps.map(usize::from);
                let is_so = match step.code & 0xf0 {
                    0x00 => {
                        at = at.checked_add(cell)?;
                        continue;
                    }
                    0x10 => a == operand,
                    0x20 => a > operand,
                    0x30 => a >= operand,
                    0x40 => a & operand != 0,
                    _ => return None,
                };
                at = at.checked_add(if is_so { so } else { not })?;
            }
            6 => return Some(if step.code & 0x18 == 0x10 { a } else { step.k }),
            _ if step.code & 0xf8 == 0 => x = a,
            _ => a = x,
        }
    }
}

/// What a load instruction fetches.
#[cfg(feature = "live")]
fn load(step: Step, x: u32, memory: &[u32], frame: &Frame<'_>) -> Option<u32> {
    let packet = |at: u32, size: usize| {
        let bytes = frame.data.get(usize::try_from(at).ok()?..)?.get(..size)?;
        Some(bytes.iter().fold(0, |number: u32, byte| number << 8 | u32::from(*byte)))
    };
    let size = match step.code & 0x18 {
        0x00 => 4,
        0x08 => 2,
        _ => 1,
    };
    match step.code & 0xe0 {
        0x00 => Some(step.k),
        0x20 => packet(step.k, size),
        0x40 => packet(x.checked_add(step.k)?, size),
        0x60 => memory.get(usize::try_from(step.k).ok()?).copied(),
        0x80 => Some(frame.wire_len),
        0xa0 => Some((packet(step.k, 1)? & 0x0f) << 2),
        _ => None,
    }
}

/// What an instruction of arithmetic makes of the accumulator.
#[cfg(feature = "live")]
fn compute(code: u16, a: u32, operand: u32) -> Option<u32> {
    Some(match code & 0xf0 {
        0x00 => a.wrapping_add(operand),
        0x10 => a.wrapping_sub(operand),
        0x20 => a.wrapping_mul(operand),
        0x30 => a.checked_div(operand)?,
        0x40 => a | operand,
        0x50 => a & operand,
        0x60 => a.checked_shl(operand).unwrap_or_default(),
        0x70 => a.checked_shr(operand).unwrap_or_default(),
        0x80 => a.wrapping_neg(),
        0x90 => a.checked_rem(operand)?,
        0xa0 => a ^ operand,
        _ => return None,
    })
}

#[cfg(all(test, feature = "live"))]
mod tests {
    use super::*;
    use std::path::Path;
    use whither::capture::file::{File, Item};
    use whither::packet::{Link, Timestamp};

    const FILTERS: [&str; 16] = [
        "udp",
        "tcp port 443 or udp port 53",
        "not ip6",
        "host 192.168.1.23 and not arp",
        "net 192.168.0.0/16",
        "ether multicast",
        "ip6 host fe80::1 or icmp6",
        "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
        "tcp[((tcp[12] & 0xf0) >> 2):2] = 0x1603",
        "ip[2:2] - ((ip[0] & 0xf) << 2) > 100",
        "ip[8] * 2 / 3 % 7 = 1 or ip[8] ^ 3 = 67",
        "ip[0] / (ip[1] & 1) = 1",
        "len - 14 > 60",
        "greater 200",
        "less 80 or ether[0] & 1 = 1",
        "vlan or pppoes or portrange 1-1023",
    ];

    fn program(text: &str, link: Link) -> Option<Program> {
        Filter::new(Some(text)).ok()?.compile(link.linktype(), text).ok().map(Program::new)
    }

    #[test]
    fn libpcap_says_the_same_of_every_frame_and_of_every_beginning_of_it() {
        let mut taken = [[0_u32; 2]; FILTERS.len()];
        for name in ["ethernet", "dns", "quic", "hello", "near", "pppoe", "sll", "sll2", "raw-ip", "vlan", "wifi", "ipv6-public"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pcaps").join(name).with_extension("pcap");
            File::open(&path)
                .unwrap()
                .read(&mut |item| {
                    let Item::Frame(whole) = item else { return };
                    for (text, taken) in FILTERS.iter().zip(&mut taken) {
                        let Some(program) = program(text, whole.link) else { continue };
                        for length in (0..=whole.data.len().min(120)).chain([whole.data.len()]) {
                            let data = &whole.data[..length];
                            let frame = Frame { wire_len: u32::try_from(length).unwrap(), data, ..whole };
                            let wanted = program.whole.filter(data);
                            let told = run(program.steps.as_ref().unwrap(), &frame).is_some_and(|bytes| bytes > 0);
                            assert_eq!(told, wanted, "{text}, {name} {} of {length}", whole.number);
                            taken[usize::from(wanted)] += 1;
                        }
                    }
                })
                .unwrap();
        }
        for (text, taken) in FILTERS.iter().zip(taken) {
            assert!(taken[0] > 0, "{text} takes all");
            assert!(taken[1] > 0 || text.contains("vlan") || text.contains('/') || text.contains("fe80"), "{text} takes none");
        }
    }

    #[test]
    fn a_cut_frame_is_as_long_as_it_was_on_the_wire() {
        let mut longer = Filter::new(Some("greater 1000")).unwrap();
        let mut shorter = Filter::new(Some("less 999")).unwrap();
        let mut both = Filter::new(Some("len > 1000 and ether[95] = 7")).unwrap();
        let mut beyond = Filter::new(Some("len > 1000 and not ether[96] = 7")).unwrap();
        let frame = |wire_len| Frame { number: 1, time: Timestamp::default(), link: Link::Ethernet, wire_len, data: &[7; 96] };
        for (wire_len, is_long) in [(96, false), (999, false), (1_514, true)] {
            assert_eq!([longer.takes(&frame(wire_len)), shorter.takes(&frame(wire_len))], [is_long, !is_long], "{wire_len}");
            assert_eq!(
                [both.takes(&frame(wire_len)), beyond.takes(&frame(wire_len))],
                [is_long, false],
                "what is not there is not guessed"
            );
        }
    }
}
