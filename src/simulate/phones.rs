//! Three phones: what each does when it joins, in the background, and when its user touches it.
//!
//! The model is what published accounts say of the 2021 assessment and what decompiled client code does; no phone was measured.
//! A Xiaomi's apps pull the word list in cleartext when they are due at a change of network, its browser and its screen
//! lock send statistics to Singapore; a Huawei's services send to Singapore and to Europe, and its store leads to third-party
//! stores; a OnePlus, the control, has the same background and its own maker's hosts in Europe, and nothing else.

use std::io;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::time::Duration;

use crate::packet::{Mac, Timestamp};
use crate::simulate::hello::Size;
use crate::simulate::list::{List, Puller};
use crate::simulate::names::{self as at, Host};
use crate::simulate::station::{Ending, Exchange, Model, Phone, Step, Tape, Way};
use crate::simulate::tls::noise;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Registered blocks: d0:9c:7a Xiaomi Communications, ac:47:1b Huawei Device, 94:65:2d OnePlus Technology (IEEE MA-L).
pub(super) static MODELS: [Model; 3] = [
    Model {
        maker: "Xiaomi",
        hostname: "Mi10T-5G",
        mac: Mac([0xd0, 0x9c, 0x7a, 0x51, 0x0e, 0x2c]),
        v4: Ipv4Addr::new(192, 168, 77, 101),
        vendor_class: "android-dhcp-10",
        parameters: &[1, 3, 6, 15, 26, 28, 51, 58, 59, 43],
        agent: "Dalvik/2.1.0 (Linux; U; Android 10; M2007J3SY Build/QKQ1.200419.002)",
        second_resolver: true,
    },
    Model {
        maker: "Huawei",
        hostname: "HUAWEI_P40-1f3c9a77d2",
        mac: Mac([0xac, 0x47, 0x1b, 0x9e, 0x40, 0xd3]),
        v4: Ipv4Addr::new(192, 168, 77, 102),
        vendor_class: "HUAWEI:android:ANA",
        parameters: &[1, 3, 6, 15, 26, 28, 51, 58, 59, 43],
        agent: "Dalvik/2.1.0 (Linux; U; Android 10; ANA-NX9 Build/HUAWEIANA-N29)",
        second_resolver: false,
    },
    Model {
        maker: "OnePlus",
        hostname: "OnePlus8T",
        mac: Mac([0x94, 0x65, 0x2d, 0x0b, 0x77, 0xe8]),
        v4: Ipv4Addr::new(192, 168, 77, 103),
        vendor_class: "android-dhcp-11",
        parameters: &[1, 3, 6, 15, 26, 28, 51, 58, 59, 43, 114],
        agent: "Dalvik/2.1.0 (Linux; U; Android 11; KB2003 Build/RP1A.201005.001)",
        second_resolver: false,
    },
];

/// One phone through the whole run.
#[derive(Debug)]
pub(super) struct Life<'a> {
    pub(super) phone: Phone,
    pub(super) list: &'a List,
    pub(super) pullers: Vec<Puller>,
    /// What the user would do and when; it happens where the phone is on the network.
    pub(super) user: Vec<(Timestamp, &'static str)>,
}

impl Life<'_> {
    /// From one association to the next: `from` until `until`, with what the user does in between.
    pub(super) fn session(&mut self, tape: &mut Tape, from: Timestamp, until: Timestamp) -> io::Result<()> {
        let ready = self.phone.join(tape, from)?;
        self.settle_in(tape, from, ready, until)?;
        // A phone that leaves stops a few seconds before it is seen to join again.
        let last = Timestamp::from_nanos(until.as_nanos().saturating_sub(20_000_000_000));
        self.upkeep(tape, ready, last)?;
        self.background(tape, ready, last)?;
        let stimuli: Vec<_> = self.user.iter().copied().filter(|(time, _)| (ready..last).contains(time)).collect();
        for (time, kind) in stimuli {
            self.phone.story.stimuli.push((time, kind));
            match kind {
                "page" => self.page(tape, time)?,
                "lock" => self.lock(tape, time)?,
                _ => self.store(tape, time)?,
            }
        }
        Ok(())
    }

    /// The first seconds: is this the Internet, what time is it, push, check-in; then the maker's own.
    fn settle_in(&mut self, tape: &mut Tape, from: Timestamp, ready: Timestamp, until: Timestamp) -> io::Result<()> {
        let phone = &mut self.phone;
        no_content(phone, tape, &at::CHECK, ready)?;
        let time = phone.later(ready, 2..30);
        phone.tls(tape, &at::SEARCH, time, Exchange { size: Size::Classic, ..Exchange::of(&[(180, 120)]) })?;
        let time = phone.later(ready, 600..1_500);
        ask_time(phone, tape, time)?;
        let time = phone.later(ready, 1_200..2_500);
        phone.stay(tape, (&at::TALK, 5_228), Way::Tls, (time, until))?;
        let time = phone.later(ready, 1_500..4_000);
        phone.tls(tape, &at::CHECKIN, time, Exchange::of(&[(1_400, 5_200), (300, 240)]))?;
        let time = phone.later(ready, 900..2_000);
        match phone.model.maker {
            "Xiaomi" => {
                no_content(phone, tape, &at::MIUI_CHECK, ready)?;
                for puller in &mut self.pullers {
                    puller.network_changed(phone, tape, self.list, from, ready)?;
                }
                let body = "{\"S\":\"Ok\",\"R\":{\"wifi\":[\"3.120.0.1:5222\"]}}";
                phone.http(tape, &at::MI_RESOLVER, time, "GET /gslb/?ver=4.0&type=wifi&countrycode=LT HTTP/1.1", json(body).as_bytes())?;
                let time = phone.later(time, 300..700);
                phone.stay(tape, (&at::MI_PUSH, 5_222), Way::Own, (time, until))?;
                phone.tls(tape, &at::MI_ADS, time, Exchange::of(&[(900, 3_100)]))?;
                let time = phone.later(time, 2_000..9_000);
                phone.tls(tape, &at::NEARBY, time, Exchange::of(&[(520, 900)]))?;
            }
            "Huawei" => {
                no_content(phone, tape, &at::HUAWEI_CHECK, ready)?;
                phone.tls(tape, &at::ROUTING, time, Exchange::of(&[(410, 2_600)]))?;
                let time = phone.later(time, 800..2_000);
                phone.stay(tape, (&at::HUAWEI_PUSH, 443), Way::Tls, (time, until))?;
                phone.tls(tape, &at::METRICS_ASIA, time, Exchange::of(&[(3_900, 210)]))?;
                let time = phone.later(time, 500..1_500);
                let time = phone.tls(tape, &at::KEEPER, time, Exchange::of(&[(240, 380)]))?;
                phone.tls(tape, &at::KEPT, time, Exchange::of(&[(700, 1_900)]))?;
            }
            _ => {
                no_content(phone, tape, &at::ONEPLUS_CHECK, ready)?;
                let time = phone.tls(tape, &at::HEYTAP_SHORT, time, Exchange::of(&[(600, 420)]))?;
                phone.stay(tape, (&at::HEYTAP_PUSH, 443), Way::Tls, (time, until))?;
            }
        }
        Ok(())
    }

    /// What keeps a link alive: ARP, neighbour discovery, the lease, the clock, multicast DNS.
    fn upkeep(&mut self, tape: &mut Tape, from: Timestamp, until: Timestamp) -> io::Result<()> {
        let phone = &mut self.phone;
        for time in times(phone, from, until, MINUTE * 9) {
            phone.is_asked(tape, time)?;
        }
        for time in times(phone, from, until, MINUTE * 14) {
            phone.ask_neighbour(tape, time)?;
        }
        for time in times(phone, from, until, HOUR) {
            phone.query_multicast(tape, time)?;
        }
        for time in times(phone, from, until, HOUR * 6) {
            ask_time(phone, tape, time)?;
        }
        for time in std::iter::successors(Some(from.plus(HOUR * 6)), |time| Some(time.plus(HOUR * 6))).take_while(|time| *time < until) {
            phone.renew(tape, time)?;
        }
        Ok(())
    }

    /// What runs by itself: Google's services as on every Android, then the maker's.
    fn background(&mut self, tape: &mut Tape, from: Timestamp, until: Timestamp) -> io::Result<()> {
        let phone = &mut self.phone;
        for time in times(phone, from, until, MINUTE * 14) {
            let (up, down) = (phone.rng.usize(300..2_600), phone.rng.usize(150..1_800));
            if phone.rng.u8(..) < 40 {
                phone.quic(tape, &at::SEARCH, time, (up, down * 3))?;
                continue;
            }
            let host = match phone.rng.u8(..) {
                0..90 => &at::PLAY,
                90..150 => &at::FIREBASE,
                150..190 => &at::APIS,
                190..225 => &at::MEASURE,
                _ => &at::CHECKIN,
            };
            let size = if phone.rng.u8(..) < 50 { Size::Classic } else { Size::Hybrid };
            let ending = if phone.rng.u8(..) < 60 { Ending::Reset } else { Ending::Closed };
            phone.tls(tape, host, time, Exchange { turns: &[(up, down)], size, ending })?;
        }
        for time in times(phone, from, until, HOUR * 4) {
            let noise: Vec<_> = (0..6).map(|_| (short_header(phone, 40..300), short_header(phone, 400..1_250))).collect();
            let steps: Vec<_> = noise.iter().flat_map(|(up, down)| [Step::Up(up), Step::Down(down)]).collect();
            phone.datagrams(tape, (&at::UNNAMED, 443), "none", time, &steps)?;
        }
        let own: &[(&Host, Duration, (usize, usize))] = match phone.model.maker {
            "Xiaomi" => {
                &[(&at::TRACKING, HOUR * 3, (1_700, 160)), (&at::MI_ADS, HOUR * 2, (800, 2_900)), (&at::NEARBY, HOUR * 8, (520, 700))]
            }
            "Huawei" => &[
                (&at::METRICS_ASIA, MINUTE * 50, (2_800, 180)),
                (&at::COLLECTOR_ASIA, MINUTE * 95, (4_200, 180)),
                (&at::LOGS_ASIA, HOUR * 6, (9_500, 320)),
                (&at::METRICS_EUROPE, HOUR, (2_100, 180)),
                (&at::LOGS_EUROPE, HOUR * 4, (3_000, 200)),
            ],
            _ => &[
                (&at::HEYTAP_STATS, HOUR, (2_400, 160)),
                (&at::REMOTE_CONFIG, HOUR * 8, (700, 1_800)),
                (&at::ONEPLUS, HOUR * 6, (500, 2_100)),
                (&at::HEYTAP_SHORT, HOUR * 5, (400, 300)),
            ],
        };
        for (host, every, (up, down)) in own {
            for time in times(phone, from, until, *every) {
                let (up, down) = (phone.rng.usize(up / 2..up * 2), phone.rng.usize(down / 2..down * 2));
                phone.tls(tape, host, time, Exchange::of(&[(up, down)]))?;
            }
        }
        Ok(())
    }

    /// The user opens a page; a Xiaomi's browser tells of it, when it begins and when it ends.
    fn page(&mut self, tape: &mut Tape, time: Timestamp) -> io::Result<()> {
        let phone = &mut self.phone;
        let site = phone.rng.choice(&at::SITES).unwrap_or(&at::SEARCH);
        let (first, second) = (phone.rng.usize(2_500..7_000), phone.rng.usize(900..3_000));
        let over = phone.tls(tape, site, time, Exchange::of(&[(620, first), (480, second)]))?;
        let while_loading = phone.later(time, 80..300);
        if phone.rng.bool() {
            phone.quic(tape, &at::STATIC, while_loading, (420, 3_000))?;
        } else {
            phone.tls(tape, &at::STATIC, while_loading, Exchange::of(&[(340, 1_700)]))?;
        }
        if phone.model.maker == "Xiaomi" {
            let time = phone.later(time, 300..1_500);
            let (begins, ends) = (phone.rng.usize(1_100..2_400), phone.rng.usize(900..1_900));
            phone.tls(tape, &at::SENSORS, time.max(while_loading), Exchange::of(&[(begins, 210), (ends, 190)]))?;
        }
        if phone.rng.u8(..) < 20 {
            phone.tls(tape, &at::DOWNLOAD, over, Exchange::of(&[(420, 75_000)]))?;
        }
        Ok(())
    }

    /// The screen is locked; a Xiaomi tells of it.
    fn lock(&mut self, tape: &mut Tape, time: Timestamp) -> io::Result<()> {
        let phone = &mut self.phone;
        if phone.model.maker == "Xiaomi" {
            let (time, up) = (phone.later(time, 150..900), phone.rng.usize(800..2_200));
            phone.tls(tape, &at::MISTAT, time, Exchange::of(&[(up, 170)]))?;
        }
        Ok(())
    }

    /// A search in the maker's shop for an app that it does not have: third-party shops follow within minutes.
    fn store(&mut self, tape: &mut Tape, time: Timestamp) -> io::Result<()> {
        let phone = &mut self.phone;
        phone.tls(tape, &at::STORE, time, Exchange::of(&[(1_200, 24_000), (900, 9_000)]))?;
        let time = phone.later(time, 40_000..110_000);
        phone.tls(tape, &at::APK_PURE, time, Exchange::of(&[(800, 18_000)]))?;
        let time = phone.later(time, 30_000..90_000);
        phone.tls(tape, &at::APTOIDE, time, Exchange::of(&[(700, 12_000), (300, 160_000)]))?;
        Ok(())
    }
}

/// Times about `mean` apart.
pub(super) fn times(phone: &mut Phone, from: Timestamp, until: Timestamp, mean: Duration) -> Vec<Timestamp> {
    let mut times = Vec::new();
    let mut now = from;
    loop {
        now = now.plus(mean.mul_f64(0.3 + 1.4 * phone.rng.f64()));
        if now >= until {
            return times;
        }
        times.push(now);
    }
}

/// The cleartext question whether this is the Internet.
fn no_content(phone: &mut Phone, tape: &mut Tape, host: &Host, time: Timestamp) -> io::Result<()> {
    phone.http(tape, host, time, "GET /generate_204 HTTP/1.1", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")?;
    Ok(())
}

/// A 200 with JSON.
pub(super) fn json(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: {}\r\nConnection: keep-alive\r\n\r\n{body}",
        body.len()
    )
}

/// NTP (RFC 5905, 7.3): a client's and a server's packet; only the transmit timestamps are filled.
fn ask_time(phone: &mut Phone, tape: &mut Tape, time: Timestamp) -> io::Result<()> {
    const ERA: u64 = 2_208_988_800;
    let seconds = (time.as_nanos() / 1_000_000_000 + ERA) as u32;
    let packet = |first: [u8; 4]| {
        let mut packet = first.to_vec();
        packet.resize(40, 0);
        packet.extend(seconds.to_be_bytes());
        packet.extend([0; 4]);
        packet
    };
    let (client, server) = (packet([0x1b, 0, 0, 0]), packet([0x1c, 1, 0, 0xec]));
    phone.datagrams(tape, (&at::TIME, 123), "dns", time, &[Step::Up(&client), Step::Down(&server)])?;
    Ok(())
}

/// What looks like QUIC that began before the capture did: a short header (RFC 9000, 17.3), the rest noise. Nothing names it.
fn short_header(phone: &mut Phone, length: Range<usize>) -> Vec<u8> {
    let length = phone.rng.usize(length);
    let mut datagram = noise(&mut phone.rng, length);
    if let Some(first) = datagram.first_mut() {
        *first = 0x40 | *first & 0x1f;
    }
    datagram
}
