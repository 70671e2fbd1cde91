//! What nearly every frame is: TCP or UDP right behind an IP header, on Ethernet.
//!
//! Road taken: `etherparse`'s views of single headers. Its lax slicing, which reads everything else, first makes a list of extension
//! headers and of reasons to stop, and copying that from hand to hand took longer than reading the headers. Both must agree.

use std::net::{SocketAddrV4, SocketAddrV6};

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};

use super::{Body, Datagram, Frame, IPV4, IPV6, Link, Mac, Macs, Packet, TCP, Transport, UDP};

/// Reads such a frame if its IP header says how long it is; none for whatever has more in it, or less.
#[inline(always)]
pub(super) fn read<'a>(frame: &Frame<'a>) -> Option<Packet<'a>> {
    if frame.link != Link::Ethernet {
        return None;
    }
    let ([t0, t1, t2, t3, t4, t5, s0, s1, s2, s3, s4, s5, e0, e1], rest) = frame.data.split_first_chunk::<14>()?;
    let macs = Macs { source: Mac([*s0, *s1, *s2, *s3, *s4, *s5]), target: Mac([*t0, *t1, *t2, *t3, *t4, *t5]) };
    if macs.source.is_zero() {
        return None;
    }
    let datagram = match u16::from_be_bytes([*e0, *e1]) {
        IPV4 => {
            let header = Ipv4HeaderSlice::from_slice(rest).ok().filter(|header| !header.is_fragmenting_payload())?;
            let protocol = header.protocol().0;
            let (transport, cut) = transport(protocol, rest, header.slice().len(), usize::from(header.total_len()))?;
            Datagram {
                source: SocketAddrV4::new(header.source_addr(), transport.source).into(),
                target: SocketAddrV4::new(header.destination_addr(), transport.target).into(),
                protocol,
                hop_limit: header.ttl(),
                tcp: transport.tcp,
                payload: transport.payload,
                cut,
                fragment: false,
            }
        }
        IPV6 => {
            let header = Ipv6HeaderSlice::from_slice(rest).ok().filter(|header| header.payload_length() != 0)?;
            let (protocol, length) = (header.next_header().0, header.slice().len());
            let (transport, cut) = transport(protocol, rest, length, length.saturating_add(usize::from(header.payload_length())))?;
            Datagram {
                source: SocketAddrV6::new(header.source_addr(), transport.source, 0, 0).into(),
                target: SocketAddrV6::new(header.destination_addr(), transport.target, 0, 0).into(),
                protocol,
                hop_limit: header.hop_limit(),
                tcp: transport.tcp,
                payload: transport.payload,
                cut,
                fragment: false,
            }
        }
        _ => return None,
    };
    let (number, time, wire_len) = (frame.number, frame.time, frame.wire_len);
    Some(Packet { number, time, wire_len, macs: Some(macs), group: false, body: Body::Ip(datagram) })
}

/// What is behind a header of so many bytes in a packet that has `total` by its own word, and whether some of that is not there.
#[inline(always)]
fn transport(protocol: u8, packet: &[u8], header: usize, total: usize) -> Option<(Transport<'_>, bool)> {
    if !matches!(protocol, TCP | UDP) {
        return None;
    }
    let (length, behind) = (total.checked_sub(header)?, packet.get(header..)?);
    Some((Transport::read(protocol, behind.get(..length).unwrap_or(behind)), length > behind.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::file::{File, Item};

    /// Every frame of the samples; the first of each sample also cut at each length, and with each byte of its headers changed.
    #[test]
    fn the_plain_road_and_the_other_one_agree() {
        let (mut frames, mut plain_ones) = (0, 0);
        let mut agree = |frame: &Frame<'_>| {
            let (plainly, otherwise) = (Packet::decode(frame), Packet::decode_any(frame));
            assert_eq!(format!("{plainly:?}"), format!("{otherwise:?}"), "{frame:?}");
            frames += 1;
            plain_ones += usize::from(read(frame).is_some());
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
