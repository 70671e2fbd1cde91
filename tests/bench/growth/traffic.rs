//! Traffic of any size, made while it is written.

use std::io::Write;
use std::net::SocketAddr;

use super::wire;

/// A packet every 10 µs: 100,000 a second.
const STEP: u64 = 10_000;
/// When it begins, nanoseconds.
const BEGIN: u64 = 1_700_000_000_000_000_000;
/// Bytes of data in a packet: few, since the pipe costs by the byte and the engine does not.
const PAYLOAD: usize = 64;

/// So many connections of so many devices to so many names. Each device has connections to each name, in turn.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) devices: u32,
    pub(crate) names: u32,
    pub(crate) flows: u32,
}

impl Load {
    /// Writes a pcap: every connection's opening, then so many packets of data on all connections in turn.
    pub(crate) fn write(&self, data: u32, out: impl Write) {
        let mut tape = Tape { out, time: BEGIN };
        tape.write(&[0xa1b2_3c4d, 0x0004_0002, 0, 0, 65_535, 1].map(u32::to_le_bytes).concat());
        for flow in 0..self.flows {
            let mut talk = self.talk(flow);
            let name = (flow / self.devices) % self.names;
            talk.say(true, wire::PUSH, &wire::hello(&format!("www.n{name}.example"))).say(false, wire::PUSH, &wire::server_flight());
            talk.packets.iter().for_each(|(up, packet)| tape.frame(&self.frame(flow, *up, packet)));
        }
        for (flow, _) in (0..self.flows).cycle().zip(0..data) {
            let (client, server) = self.ends(flow);
            let packet = wire::tcp(server, client, 20_000, wire::ACK, &[9; PAYLOAD]);
            tape.frame(&self.frame(flow, false, &packet));
        }
        tape.out.flush().unwrap();
    }

    fn talk(&self, flow: u32) -> wire::Talk {
        let (client, server) = self.ends(flow);
        wire::Talk::open(client, server)
    }

    /// Servers are in the range for benchmarks (RFC 2544), and never at home.
    fn ends(&self, flow: u32) -> (SocketAddr, SocketAddr) {
        let (device, turn) = (flow % self.devices, flow / self.devices);
        let [_, _, high, low] = (device + 1).to_be_bytes();
        let [_, _, above, below] = (turn % self.names).to_be_bytes();
        let port = u16::try_from(1_024 + turn / self.names % 60_000).unwrap();
        (SocketAddr::from(([10, 77, high, low], port)), SocketAddr::from(([198, 18, above, below], 443)))
    }

    fn frame(&self, flow: u32, up: bool, packet: &[u8]) -> Vec<u8> {
        let [_, _, high, low] = (flow % self.devices + 1).to_be_bytes();
        let mac = [0x3c, 0x5a, 0xb4, 0, high, low];
        let (from, to) = if up { (mac, wire::GATEWAY) } else { (wire::GATEWAY, mac) };
        wire::frame(from, to, packet)
    }
}

struct Tape<W> {
    out: W,
    time: u64,
}

impl<W: Write> Tape<W> {
    fn frame(&mut self, frame: &[u8]) {
        self.time += STEP;
        let (seconds, nanos) = (self.time / 1_000_000_000, self.time % 1_000_000_000);
        let kept = u64::try_from(frame.len()).unwrap();
        let head = [seconds, nanos, kept, kept].map(|word| u32::try_from(word).unwrap().to_le_bytes()).concat();
        self.write(&head);
        self.write(frame);
    }

    fn write(&mut self, bytes: &[u8]) {
        self.out.write_all(bytes).unwrap();
    }
}
