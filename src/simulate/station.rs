//! A phone as a network sees it: identity, addresses, and the ways in which it talks to servers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

use crate::packet::{Mac, Timestamp};
use crate::simulate::hello::{self, Size};
use crate::simulate::names::{self, ASKED, Host, LIFETIME, RESOLVER};
use crate::simulate::tcp::{Conversation, Mishap};
use crate::simulate::tls::{CHANGE_CIPHER_SPEC, own_message, records, server_flight};
use crate::simulate::truth::{Row, Story};
use crate::simulate::wire::{self, End, Mark, Taped};

/// The access point's bridge.
pub(super) const GATEWAY: Mac = Mac([0x02, 0x00, 0x5e, 0x00, 0x77, 0x01]);
pub(super) const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);
pub(super) const GATEWAY_LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x5eff, 0xfe00, 0x7701);

/// What is fixed about a phone.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) maker: &'static str,
    pub(super) hostname: &'static str,
    pub(super) mac: Mac,
    pub(super) v4: Ipv4Addr,
    /// DHCP option 60.
    pub(super) vendor_class: &'static str,
    /// DHCP option 55.
    pub(super) parameters: &'static [u8],
    /// What Android's own HTTP client calls itself.
    pub(super) agent: &'static str,
    /// Whether lookups also go to a resolver that the phone's maker added.
    pub(super) second_resolver: bool,
}

/// Every frame and every account so far.
#[derive(Debug, Default)]
pub(super) struct Tape {
    pub(super) frames: Vec<Taped>,
    pub(super) rows: Vec<Row>,
}

impl Tape {
    /// Records a frame that stays on the link.
    pub(super) fn link(&mut self, time: Timestamp, bytes: Vec<u8>) {
        self.frames.push(Taped { time, bytes, row: None, mark: Mark::Plain });
    }

    fn row(&mut self, row: Row) -> usize {
        self.rows.iter().position(|known| *known == row).unwrap_or_else(|| {
            self.rows.push(row);
            self.rows.len() - 1
        })
    }
}

/// A phone and what it remembers.
#[derive(Debug)]
pub(super) struct Phone {
    pub(super) model: &'static Model,
    pub(super) rng: Rng,
    pub(super) story: Story,
    pub(super) v4: Ipv4Addr,
    pub(super) link_local: Ipv6Addr,
    /// The temporary address of this association.
    pub(super) v6: Ipv6Addr,
    /// Names looked up, and from when until when the answer holds. A life is not told in the order of time, so one is not enough.
    known: Vec<(&'static str, Range<Timestamp>)>,
    port: u16,
}

/// A datagram from the phone or to it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    Up(&'a [u8]),
    Down(&'a [u8]),
}

/// How an exchange over TCP ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Closed,
    Reset,
}

/// A TLS exchange: bytes of plaintext up and down, in turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange<'a> {
    pub(super) turns: &'a [(usize, usize)],
    pub(super) size: Size,
    pub(super) ending: Ending,
}

impl<'a> Exchange<'a> {
    /// The usual one: a hello of two segments, closed in order.
    pub(super) const fn of(turns: &'a [(usize, usize)]) -> Self {
        Self { turns, size: Size::Hybrid, ending: Ending::Closed }
    }
}

impl Phone {
    /// A phone that has not joined yet.
    pub(super) fn new(model: &'static Model, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let link_local = address(0xfe80_0000_0000_0000, &mut rng);
        let story = Story {
            mac: model.mac,
            hostname: Some(model.hostname),
            maker: model.maker,
            router: false,
            addresses: vec![IpAddr::V4(model.v4), IpAddr::V6(link_local)],
            pulls: Vec::new(),
            associations: Vec::new(),
            stimuli: Vec::new(),
        };
        let port = rng.u16(32_768..60_000);
        Self { model, rng, story, v4: model.v4, link_local, v6: link_local, known: Vec::new(), port }
    }

    /// This phone's side of a conversation.
    pub(super) fn end(&self, address: impl Into<IpAddr>, port: u16) -> End {
        End::new(self.story.mac, address, port)
    }

    /// Some milliseconds later.
    pub(super) fn later(&mut self, at: Timestamp, millis: Range<u64>) -> Timestamp {
        at.plus(Duration::from_micros(self.rng.u64(millis.start * 1_000..millis.end * 1_000)))
    }

    /// A new temporary address, and nothing looked up.
    pub(super) fn renew_v6(&mut self) {
        self.v6 = address(0x2001_0db8_0077_0000, &mut self.rng);
        self.story.addresses.push(IpAddr::V6(self.v6));
        self.known.clear();
    }

    fn next_port(&mut self) -> u16 {
        self.port = if self.port > 60_000 { 32_768 } else { self.port + self.rng.u16(1..5) };
        self.port
    }

    /// Asks for A, AAAA and HTTPS unless the answers still hold; returns when the addresses are known.
    pub(super) fn look_up(&mut self, tape: &mut Tape, host: &Host, at: Timestamp) -> io::Result<Timestamp> {
        if host.name.is_empty() || self.known.iter().any(|(name, holds)| *name == host.name && holds.contains(&at)) {
            return Ok(at);
        }
        let (mut asked, mut done) = (at, at);
        for kind in ASKED {
            let id = self.rng.u16(..);
            let question = names::query(host.name, kind, id)?;
            let answer = names::answer(host, kind, id)?;
            let port = self.next_port();
            let (phone, resolver) = (self.end(self.v4, port), End::new(GATEWAY, GATEWAY_V4, 53));
            tape.link(asked, wire::udp(phone, resolver, &question)?);
            let answered = self.later(asked, 1..32);
            tape.link(answered, wire::udp(resolver, phone, &answer)?);
            if self.model.second_resolver && self.rng.u8(..) < 64 {
                self.datagrams(tape, (&RESOLVER, 53), "none", asked, &[Step::Up(&question), Step::Down(&answer)])?;
            }
            done = done.max(answered);
            asked = asked.plus(Duration::from_micros(self.rng.u64(90..400)));
        }
        self.known.push((host.name, done..at.plus(LIFETIME)));
        Ok(done.plus(Duration::from_micros(self.rng.u64(300..2_000))))
    }

    /// Datagrams to a server and back. `origin` is what names the server: over QUIC the first round trip is measured too.
    pub(super) fn datagrams(
        &mut self,
        tape: &mut Tape,
        (host, port): (&Host, u16),
        origin: &'static str,
        at: Timestamp,
        steps: &[Step<'_>],
    ) -> io::Result<Timestamp> {
        let begin = self.look_up(tape, host, at)?;
        let (row, phone, server) = self.ends(tape, host, port, "udp", origin);
        let (mut now, mut last_up, mut answered) = (begin, true, origin != "quic");
        let mut opened = begin;
        for (index, step) in steps.iter().enumerate() {
            let (from, to, bytes, up) = match step {
                Step::Up(bytes) => (phone, server, bytes, true),
                Step::Down(bytes) => (server, phone, bytes, false),
            };
            now = now.plus(Duration::from_micros(self.rng.u64(60..700)));
            if last_up && !up {
                now = now.plus(host.rtt());
            }
            if index == 0 {
                opened = now;
            }
            let mark = match index {
                0 => Mark::Opens,
                _ if !up && !answered => Mark::Answers(now.since(opened)),
                _ => Mark::Plain,
            };
            answered |= !up;
            last_up = up;
            tape.frames.push(Taped { time: now, bytes: wire::udp(from, to, bytes)?, row: Some(row), mark });
        }
        Ok(now)
    }

    /// The account and both sides of a new conversation, over IPv6 more often than not.
    fn ends(&mut self, tape: &mut Tape, host: &Host, port: u16, protocol: &'static str, origin: &'static str) -> (usize, End, End) {
        let first = self.rng.u8(..) < 210;
        let mut places = names::addresses(host);
        let place = places.next().filter(|(address, _)| first || address.is_ipv4()).or_else(|| places.next());
        let place = place.unwrap_or((IpAddr::V4(host.v4), host.country));
        let origin = if host.name.is_empty() { "none" } else { origin };
        let row = tape.row(self.row(host, place, port, protocol, origin));
        let own = if place.0.is_ipv6() { IpAddr::V6(self.v6) } else { IpAddr::V4(self.v4) };
        let own_port = self.next_port();
        (row, self.end(own, own_port), End::new(GATEWAY, place.0, port))
    }

    fn row(&self, host: &Host, (address, country): (IpAddr, &'static str), port: u16, protocol: &'static str, origin: &'static str) -> Row {
        let name = (origin != "none").then_some(host.name);
        Row { device: self.story.mac, name, address, port, protocol, origin, country }
    }

    /// Looks the name up and opens a connection to one of its addresses.
    fn connect<'t>(
        &mut self,
        tape: &'t mut Tape,
        host: &Host,
        port: u16,
        origin: &'static str,
        at: Timestamp,
    ) -> io::Result<Conversation<'t>> {
        let at = self.look_up(tape, host, at)?;
        let (row, phone, server) = self.ends(tape, host, port, "tcp", origin);
        Conversation::open(&mut tape.frames, self.rng.fork(), (phone, server), row, host.rtt(), at)
    }

    /// A TLS exchange on port 443; returns its last moment.
    pub(super) fn tls(&mut self, tape: &mut Tape, host: &Host, at: Timestamp, exchange: Exchange<'_>) -> io::Result<Timestamp> {
        let mut connection = self.secure(tape, host, 443, exchange.size, at)?;
        for (up, down) in exchange.turns {
            connection.up(&records(&mut self.rng, *up), Mishap::None)?;
            connection.down(&records(&mut self.rng, *down))?;
            connection.wait(Duration::from_millis(self.rng.u64(5..400)));
        }
        match exchange.ending {
            Ending::Closed => connection.close()?,
            Ending::Reset => connection.reset()?,
        }
        Ok(connection.now)
    }

    /// A TLS connection up to the phone's Finished.
    fn secure<'t>(&mut self, tape: &'t mut Tape, host: &Host, port: u16, size: Size, at: Timestamp) -> io::Result<Conversation<'t>> {
        let address = host.v4.to_string();
        let name = if host.name.is_empty() { &address } else { host.name };
        let hello = hello::client_hello(name, size, &["h2", "http/1.1"], self.rng.u64(..))?;
        let mishap = match self.rng.u8(..) {
            0..16 if size == Size::Hybrid => Mishap::Swapped,
            16..28 => Mishap::Repeated,
            _ => Mishap::None,
        };
        let mut connection = self.connect(tape, host, port, "sni", at)?;
        connection.up(&hello, mishap)?;
        connection.down(&server_flight(&mut self.rng, &hello))?;
        let finished = [&CHANGE_CIPHER_SPEC[..], &records(&mut self.rng, 36)].concat();
        connection.up(&finished, Mishap::None)?;
        Ok(connection)
    }

    /// One cleartext request and its answer; returns when the request was sent and when it was over.
    pub(super) fn http(
        &mut self,
        tape: &mut Tape,
        host: &Host,
        at: Timestamp,
        head: &str,
        answer: &[u8],
    ) -> io::Result<(Timestamp, Timestamp)> {
        let mut connection = self.connect(tape, host, 80, "host", at)?;
        let request = format!(
            "{head}\r\nUser-Agent: {}\r\nHost: {}\r\nConnection: Keep-Alive\r\nAccept-Encoding: gzip\r\n",
            self.model.agent, host.name
        );
        let length = if head.starts_with("POST") { "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n" } else { "" };
        let asked = connection.up(format!("{request}{length}\r\n").as_bytes(), Mishap::None)?;
        connection.down(answer)?;
        connection.wait(Duration::from_millis(self.rng.u64(50..900)));
        connection.close()?;
        Ok((asked, connection.now))
    }

    /// A connection that stays: something small both ways now and then, until the phone leaves without a word.
    pub(super) fn stay(
        &mut self,
        tape: &mut Tape,
        (host, port): (&Host, u16),
        way: Way,
        (at, until): (Timestamp, Timestamp),
    ) -> io::Result<()> {
        let mut connection = match way {
            Way::Tls => self.secure(tape, host, port, Size::Hybrid, at)?,
            Way::Own => {
                let mut connection = self.connect(tape, host, port, "dns", at)?;
                connection.up(&own_message(&mut self.rng, 210), Mishap::None)?;
                connection.down(&own_message(&mut self.rng, 96))?;
                connection
            }
        };
        loop {
            let every = if way == Way::Tls { 780..901 } else { 240..300 };
            connection.wait(Duration::from_millis(self.rng.u64(every.start * 1_000..every.end * 1_000)));
            if connection.now.plus(Duration::from_secs(5)) >= until {
                return Ok(());
            }
            match way {
                Way::Tls if self.rng.bool() => {
                    connection.up(&records(&mut self.rng, 24), Mishap::None)?;
                    connection.down(&records(&mut self.rng, 26))?;
                }
                Way::Own if self.rng.u8(..) < 40 => {
                    connection.up(&own_message(&mut self.rng, 28), Mishap::None)?;
                    connection.down(&own_message(&mut self.rng, 20))?;
                }
                _ => connection.keep_alive()?,
            }
        }
    }
}

/// What speaks over a connection that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// TLS.
    Tls,
    /// A protocol of the maker's own.
    Own,
}

fn address(prefix: u64, rng: &mut Rng) -> Ipv6Addr {
    // Bits 6 and 7 of the interface identifier mean nothing in a random one (RFC 7136); EUI-64's ff:fe is avoided all the same.
    Ipv6Addr::from_bits(u128::from(prefix) << 64 | u128::from(rng.u64(..) & !0xff_0000_0000 | 0x0d_0000_0000))
}
