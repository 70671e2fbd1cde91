//! What nearly every frame is: TCP or UDP right behind an IP header, on Ethernet.
//!
//! Road taken: `etherparse`'s views of single headers. Its lax slicing, which reads everything else, first makes a list of extension
//! headers and of reasons to stop, and copying that from hand to hand took longer than reading the headers. Both must agree.

use std::net::SocketAddr;

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};

use super::{Datagram, IPV4, IPV6, Mac, Macs, TCP, UDP};

/// Reads such a frame if its IP header says how long it is; none for whatever has more in it, or less.
#[inline]
pub(super) fn read(data: &[u8]) -> Option<(Macs, Datagram<'_>)> {
    let ([t0, t1, t2, t3, t4, t5, s0, s1, s2, s3, s4, s5, e0, e1], rest) = data.split_first_chunk::<14>()?;
    let macs = Macs { source: Mac([*s0, *s1, *s2, *s3, *s4, *s5]), target: Mac([*t0, *t1, *t2, *t3, *t4, *t5]) };
    let (source, target, protocol, hop_limit, length, header) = match u16::from_be_bytes([*e0, *e1]) {
        IPV4 => {
            let header = Ipv4HeaderSlice::from_slice(rest).ok().filter(|header| !header.is_fragmenting_payload())?;
            let (source, target) = (header.source_addr().into(), header.destination_addr().into());
            let bytes = header.slice().len();
            let length = usize::from(header.total_len()).checked_sub(bytes)?;
            (source, target, header.protocol(), header.ttl(), length, bytes)
        }
        IPV6 => {
            let header = Ipv6HeaderSlice::from_slice(rest).ok().filter(|header| header.payload_length() != 0)?;
            let (source, target) = (header.source_addr().into(), header.destination_addr().into());
            (source, target, header.next_header(), header.hop_limit(), usize::from(header.payload_length()), header.slice().len())
        }
        _ => return None,
    };
    if !matches!(protocol.0, TCP | UDP) || macs.source.is_zero() {
        return None;
    }
    let behind = rest.get(header..)?;
    let mut datagram = Datagram {
        source: SocketAddr::new(source, 0),
        target: SocketAddr::new(target, 0),
        protocol: protocol.0,
        hop_limit,
        tcp: None,
        payload: &[],
        cut: length > behind.len(),
    };
    datagram.transport(behind.get(..length).unwrap_or(behind));
    Some((macs, datagram))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::file::{File, Item};
    use crate::packet::{Frame, Packet};

    /// Every frame of the samples; the first of each sample also cut at each length, and with each byte of its headers changed.
    #[test]
    fn the_plain_road_and_the_other_one_agree() {
        let (mut frames, mut plain_ones) = (0, 0);
        let mut agree = |frame: &Frame<'_>| {
            let (plainly, otherwise) = (Packet::decode(frame), Packet::decode_any(frame));
            assert_eq!(format!("{plainly:?}"), format!("{otherwise:?}"), "{frame:?}");
            frames += 1;
            plain_ones += usize::from(read(frame.data).is_some());
        };
        for sample in std::fs::read_dir("tests/pcaps").unwrap().map(|entry| entry.unwrap().path()) {
            let Ok(mut file) = File::open(&sample) else { continue };
            let _ = file.read(&mut |item| {
                let Item::Frame(frame) = item else { return };
                agree(&frame);
                if frame.number > 16 {
                    return;
                }
                let mut data = frame.data.to_vec();
                for at in 0..data.len().min(80) {
                    agree(&Frame { data: &frame.data[..at], ..frame });
                    for flip in [0x01, 0x40, 0xf0] {
                        data[at] ^= flip;
                        agree(&Frame { data: &data, ..frame });
                        data[at] ^= flip;
                    }
                }
            });
        }
        assert!(plain_ones * 4 > frames, "{plain_ones} of {frames} are plain: too few to say anything");
    }
}
