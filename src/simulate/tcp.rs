//! A TCP connection between a phone and a server, as the access point between them sees it.
//!
//! The cursor `now` is the time at the access point. A phone answers after the Wi-Fi's short delay, a server after its round
//! trip. No congestion control beyond a window that doubles: enough for believable sizes and times.

use std::io;
use std::time::Duration;

use etherparse::{TcpHeader, TcpOptionElement};
use fastrand::Rng;

use crate::packet::Timestamp;
use crate::simulate::wire::{self, End, Mark, Taped};

/// What befalls the segments of one message on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mishap {
    /// Nothing.
    None,
    /// The last two segments change places.
    Swapped,
    /// The first segment is sent again after the phone's time-out.
    Repeated,
}

/// One connection; sequence numbers are kept as each side counts them.
#[derive(Debug)]
pub(super) struct Conversation<'t> {
    frames: &'t mut Vec<Taped>,
    rng: Rng,
    phone: Side,
    server: Side,
    row: usize,
    least_rtt: Duration,
    /// The time of the last frame.
    pub(super) now: Timestamp,
}

#[derive(Debug)]
struct Side {
    end: End,
    /// The next sequence number to send.
    next: u32,
    /// What its timestamp clock showed at the epoch, in ms.
    clock: u32,
    /// The last timestamp it got from its peer.
    echo: u32,
}

impl Side {
    fn new(end: End, rng: &mut Rng) -> Self {
        Self { end, next: rng.u32(..), clock: rng.u32(..), echo: 0 }
    }

    fn clock_at(&self, now: Timestamp) -> u32 {
        const NANOS: u64 = 1_000_000;
        self.clock.wrapping_add((now.as_nanos() / NANOS % (1 << 32)) as u32)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Phone,
    Server,
}

#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    syn: bool,
    fin: bool,
    rst: bool,
    psh: bool,
    /// Sequence numbers before the next one, for what is sent again.
    back: u32,
}

impl<'t> Conversation<'t> {
    /// Opens a connection: SYN at `now`, the answer after at least `rtt`.
    pub(super) fn open(
        frames: &'t mut Vec<Taped>,
        mut rng: Rng,
        (phone, server): (End, End),
        row: usize,
        rtt: Duration,
        now: Timestamp,
    ) -> io::Result<Self> {
        let (phone, server) = (Side::new(phone, &mut rng), Side::new(server, &mut rng));
        let mut conversation = Self { frames, rng, phone, server, row, least_rtt: rtt, now };
        let syn = Flags { syn: true, ..Flags::default() };
        conversation.send(By::Phone, syn, &[], Mark::Opens)?;
        let after = conversation.rtt();
        conversation.wait(after);
        conversation.send(By::Server, syn, &[], Mark::Answers(after))?;
        conversation.wifi();
        conversation.ack(By::Phone)?;
        Ok(conversation)
    }

    /// The phone sends; the server acknowledges a round trip later, but `now` stays behind the last segment, whose time is returned.
    pub(super) fn up(&mut self, message: &[u8], mishap: Mishap) -> io::Result<Timestamp> {
        let begin = self.frames.len();
        let mss = self.mss();
        self.wait_micros(100..900);
        let segments = message.chunks(mss).count();
        let mut last = self.now;
        for (index, segment) in message.chunks(mss).enumerate() {
            last = self.now;
            self.send(By::Phone, Flags { psh: index + 1 == segments, ..Flags::default() }, segment, Mark::Plain)?;
            self.wait_micros(40..120);
        }
        let sent = self.now;
        match mishap {
            Mishap::None => {}
            Mishap::Swapped => self.swap_last_two(),
            Mishap::Repeated => self.repeat(begin),
        }
        self.now = sent.plus(self.rtt());
        self.ack(By::Server)?;
        self.now = sent;
        Ok(last)
    }

    /// The server sends a round trip and some thought later; the phone acknowledges every second segment.
    pub(super) fn down(&mut self, message: &[u8]) -> io::Result<()> {
        const FIRST_WINDOW: usize = 10;
        let rtt = self.rtt();
        self.wait(rtt);
        self.wait_micros(900..6_000);
        let mss = self.mss();
        let segments = message.chunks(mss).count();
        let (mut window, mut in_flight) = (FIRST_WINDOW, 0);
        for (index, segment) in message.chunks(mss).enumerate() {
            if in_flight == window {
                let rtt = self.rtt();
                self.wait(rtt);
                (window, in_flight) = (window * 2, 0);
            }
            self.send(By::Server, Flags { psh: index + 1 == segments, ..Flags::default() }, segment, Mark::Plain)?;
            in_flight += 1;
            if index % 2 == 1 || index + 1 == segments {
                self.wifi();
                self.ack(By::Phone)?;
            }
            self.wait_micros(60..160);
        }
        Ok(())
    }

    /// The phone asks whether the server is still there, and it is (RFC 9293, 3.8.4).
    pub(super) fn keep_alive(&mut self) -> io::Result<()> {
        self.send(By::Phone, Flags { back: 1, ..Flags::default() }, &[], Mark::Plain)?;
        let rtt = self.rtt();
        self.wait(rtt);
        self.ack(By::Server)
    }

    /// The phone ends it, the server agrees.
    pub(super) fn close(&mut self) -> io::Result<()> {
        let fin = Flags { fin: true, ..Flags::default() };
        self.send(By::Phone, fin, &[], Mark::Plain)?;
        let rtt = self.rtt();
        self.wait(rtt);
        self.send(By::Server, fin, &[], Mark::Plain)?;
        self.wifi();
        self.ack(By::Phone)
    }

    /// The phone has lost interest.
    pub(super) fn reset(&mut self) -> io::Result<()> {
        self.send(By::Phone, Flags { rst: true, ..Flags::default() }, &[], Mark::Plain)
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, span: Duration) {
        self.now = self.now.plus(span);
    }

    fn wait_micros(&mut self, range: std::ops::Range<u64>) {
        let span = Duration::from_micros(self.rng.u64(range));
        self.wait(span);
    }

    /// To the phone and back over the air.
    fn wifi(&mut self) {
        self.wait_micros(1_100..3_200);
    }

    /// A round trip: never less than the least, now and then half as long again.
    fn rtt(&mut self) -> Duration {
        let share = if self.rng.u8(..) < 20 { self.rng.f64() * 0.5 } else { self.rng.f64() * 0.06 };
        self.least_rtt.mul_f64(1.0 + share)
    }

    /// 1,500 bytes less the headers and the timestamp option.
    fn mss(&self) -> usize {
        if self.phone.end.at.is_ipv6() { 1428 } else { 1448 }
    }

    fn ack(&mut self, by: By) -> io::Result<()> {
        self.send(by, Flags::default(), &[], Mark::Plain)
    }

    fn swap_last_two(&mut self) {
        if let [.., first, second] = self.frames.as_mut_slice() {
            std::mem::swap(&mut first.time, &mut second.time);
        }
    }

    fn repeat(&mut self, begin: usize) {
        const TIME_OUT: Duration = Duration::from_millis(230);
        if let Some(mut again) = self.frames.get(begin).cloned() {
            again.time = again.time.plus(self.least_rtt + TIME_OUT);
            self.frames.push(again);
        }
    }

    fn send(&mut self, by: By, flags: Flags, payload: &[u8], mark: Mark) -> io::Result<()> {
        let (from, to) = match by {
            By::Phone => (&mut self.phone, &mut self.server),
            By::Server => (&mut self.server, &mut self.phone),
        };
        let stamp = from.clock_at(self.now);
        let begins = flags.syn && by == By::Phone;
        let mut header = TcpHeader {
            sequence_number: from.next.wrapping_sub(flags.back),
            acknowledgment_number: if begins { 0 } else { to.next },
            ack: !begins,
            syn: flags.syn,
            fin: flags.fin,
            rst: flags.rst,
            psh: flags.psh,
            window_size: if flags.syn { 65_535 } else { 1_024 },
            ..TcpHeader::default()
        };
        let times = TcpOptionElement::Timestamp(stamp, from.echo);
        let mss = if from.end.at.is_ipv6() { 1440 } else { 1460 };
        let at_syn = [
            TcpOptionElement::MaximumSegmentSize(mss),
            TcpOptionElement::SelectiveAcknowledgementPermitted,
            times.clone(),
            TcpOptionElement::Noop,
            TcpOptionElement::WindowScale(8),
        ];
        let later = [TcpOptionElement::Noop, TcpOptionElement::Noop, times];
        header.set_options(if flags.syn { &at_syn } else { &later }).map_err(io::Error::other)?;
        let bytes = wire::tcp(from.end, to.end, header, payload)?;
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        from.next = from.next.wrapping_add(length + u32::from(flags.syn || flags.fin));
        to.echo = stamp;
        self.frames.push(Taped { time: self.now, bytes, row: Some(self.row), mark });
        Ok(())
    }
}
