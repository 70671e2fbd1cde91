//! What a sensor ought to find in the capture, counted from the frames themselves.
//!
//! Bytes are frame bytes on the wire without frame check sequence. A frame counts once per device and direction: for the device
//! whose MAC sent it as `transmit`, for the one whose MAC it was sent to as `receive`. The gateway only has what it says or
//! hears itself; what it passes on between phones and servers is the phones'.

use std::net::IpAddr;

use serde::{Serialize, Serializer};

use crate::packet::{Mac, Timestamp};
use crate::simulate::wire::{Mark, Taped};

/// The whole truth about one simulated capture.
#[derive(Clone, Debug, Serialize)]
pub struct Truth {
    /// Always true: nothing in the capture was measured.
    pub simulated: bool,
    /// What that means, in words.
    pub note: &'static str,
    /// The seed that gives this capture again.
    pub seed: u64,
    /// When packet time begins, RFC 3339.
    pub begin: String,
    /// When it ends: no frame is later, RFC 3339.
    pub end: String,
    /// Frames in the capture.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// The phones in the order of their makers' names here, then the gateway.
    pub devices: Vec<DeviceTruth>,
}

/// One station of the access point.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceTruth {
    /// Its MAC, lower case with colons.
    pub mac: String,
    /// What it tells the DHCP server it is called.
    pub hostname: Option<&'static str>,
    /// Its maker, or what it is.
    pub maker: &'static str,
    /// Whether it is the gateway, not a phone.
    pub router: bool,
    /// Every address that it ever had, in the order of first use.
    pub addresses: Vec<IpAddr>,
    /// What it sent.
    pub transmit: Count,
    /// What was sent to it alone.
    pub receive: Count,
    /// By country of the far side as DB-IP's data of June 2026 places it; `local` and `multicast` as in the metrics. An object.
    #[serde(serialize_with = "as_object")]
    pub countries: Vec<(&'static str, Traffic)>,
    /// By server on the Internet, in the order of first use. With `local` and `multicast` of `countries` these make the totals.
    pub destinations: Vec<DestinationTruth>,
    /// The word list pulls of a Xiaomi.
    pub list_pulls: Vec<ListPull>,
    /// When it joined the access point, RFC 3339.
    pub associations: Vec<String>,
    /// What its user did, when: the log of a stimulus-response test.
    pub stimuli: Vec<Stimulus>,
}

/// Frames and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Frames.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
}

/// Bytes both ways, seen from the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// The device sent these.
    pub transmit_bytes: u64,
    /// The device got these.
    pub receive_bytes: u64,
}

impl Traffic {
    fn add(&mut self, sent: bool, bytes: u64) {
        *(if sent { &mut self.transmit_bytes } else { &mut self.receive_bytes }) += bytes;
    }
}

/// One device's exchange with one server.
#[derive(Clone, Debug, Serialize)]
pub struct DestinationTruth {
    /// The server's full name; none where the capture does not tell it.
    pub name: Option<&'static str>,
    /// Its registrable domain.
    pub domain: Option<&'static str>,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// What tells the name: `sni`, `quic`, `host`, `dns` or `none`, as in the metrics.
    pub origin: &'static str,
    /// Where DB-IP's data of June 2026 places the address.
    pub country: &'static str,
    /// Bytes both ways.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// Connections opened, or exchanges of datagrams begun, each from a port of its own.
    pub flows: u64,
    /// Its first frame, RFC 3339.
    pub first: Option<String>,
    /// Its last frame, RFC 3339.
    pub last: Option<String>,
    /// The shortest time at the access point between a SYN, or a client's first Initial, and its answer, in milliseconds; none over
    /// any other protocol.
    pub min_rtt_ms: Option<f64>,
}

/// One answered request for the word list.
#[derive(Clone, Debug, Serialize)]
pub struct ListPull {
    /// When the request was seen, RFC 3339.
    pub time: String,
    /// How long after the phone joined.
    pub seconds_after_association: f64,
    /// The version in the request: that of the stored list, -1 where there is none.
    pub version: i64,
    /// The answer, head and body, in bytes of TCP payload.
    pub response_bytes: usize,
    /// Whether the answer held a new list.
    pub updated: bool,
}

/// Something that the user of a phone did.
#[derive(Clone, Debug, Serialize)]
pub struct Stimulus {
    /// When, RFC 3339.
    pub time: String,
    /// `page` (opened in the browser), `lock` (of the screen) or `store` (a search in the shop).
    pub kind: &'static str,
}

/// What the simulation knows of a device beyond its frames.
#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) mac: Mac,
    pub(super) hostname: Option<&'static str>,
    pub(super) maker: &'static str,
    pub(super) router: bool,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) pulls: Vec<(Timestamp, ListPull)>,
    pub(super) associations: Vec<Timestamp>,
    pub(super) stimuli: Vec<(Timestamp, &'static str)>,
}

/// A destination of one device, before anything is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) device: Mac,
    pub(super) name: Option<&'static str>,
    pub(super) address: IpAddr,
    pub(super) port: u16,
    pub(super) protocol: &'static str,
    pub(super) origin: &'static str,
    pub(super) country: &'static str,
}

impl Row {
    fn destination(&self) -> DestinationTruth {
        DestinationTruth {
            name: self.name,
            domain: self.name.map(|name| psl::domain_str(name).unwrap_or(name)),
            address: self.address,
            port: self.port,
            protocol: self.protocol,
            origin: self.origin,
            country: self.country,
            traffic: Traffic::default(),
            flows: 0,
            first: None,
            last: None,
            min_rtt_ms: None,
        }
    }
}

/// Counts what is written. `frames` are in the order of time and all before `end`.
pub(super) fn count(seed: u64, (begin, end): (Timestamp, Timestamp), frames: &[Taped], rows: &[Row], stories: &[Story]) -> Truth {
    let mut destinations: Vec<DestinationTruth> = rows.iter().map(Row::destination).collect();
    let mut devices: Vec<DeviceTruth> = stories.iter().map(|story| device(story, end)).collect();
    for frame in frames {
        let (source, target) = frame.macs();
        let row = frame.row.and_then(|row| rows.get(row));
        let place = row.map_or(if target.is_group() { "multicast" } else { "local" }, |row| row.country);
        let bytes = frame.bytes.len() as u64;
        for (story, device) in stories.iter().zip(&mut devices) {
            let sent = story.mac == source;
            let passing_on = row.is_some_and(|row| row.device != story.mac);
            if (sent || story.mac == target) && !passing_on {
                device.count(place, sent, bytes);
            }
        }
        if let (Some(row), Some(destination)) = (row, frame.row.and_then(|row| destinations.get_mut(row))) {
            destination.count(frame, row.device == source, bytes);
        }
    }
    for (row, destination) in rows.iter().zip(destinations).filter(|(_, destination)| destination.first.is_some()) {
        if let Some((_, device)) = stories.iter().zip(&mut devices).find(|(story, _)| story.mac == row.device) {
            device.destinations.push(destination);
        }
    }
    Truth {
        simulated: true,
        note: NOTE,
        seed,
        begin: rfc3339(begin),
        end: rfc3339(end),
        packets: frames.len() as u64,
        bytes: frames.iter().map(|frame| frame.bytes.len() as u64).sum(),
        devices,
    }
}

const NOTE: &str = "Simulated: no phone was measured and no server was asked. What the phones do here is a model of published accounts of \
the 2021 assessment and of decompiled client code; addresses are taken from ranges that DB-IP's data of June 2026 places in the countries \
named, and say nothing about who uses them. Bytes are frame bytes without frame check sequence.";

fn device(story: &Story, end: Timestamp) -> DeviceTruth {
    DeviceTruth {
        mac: story.mac.to_string(),
        hostname: story.hostname,
        maker: story.maker,
        router: story.router,
        addresses: story.addresses.clone(),
        transmit: Count::default(),
        receive: Count::default(),
        countries: Vec::new(),
        destinations: Vec::new(),
        list_pulls: story.pulls.iter().filter(|(time, _)| *time < end).map(|(_, pull)| pull.clone()).collect(),
        associations: story.associations.iter().filter(|time| **time < end).map(|time| rfc3339(*time)).collect(),
        stimuli: story.stimuli.iter().filter(|(time, _)| *time < end).map(|(time, kind)| Stimulus { time: rfc3339(*time), kind }).collect(),
    }
}

impl Truth {
    /// What the users did, as a log that `--marks` reads: time, what, and to which phone.
    #[must_use]
    pub fn marks(&self) -> String {
        let of = |device: &DeviceTruth| {
            let mac = device.mac.clone();
            device
                .stimuli
                .iter()
                .map(move |stimulus| format!("{} {{\"text\": \"{}\", \"device\": \"{mac}\"}}\n", stimulus.time, stimulus.kind))
                .collect::<Vec<_>>()
        };
        let mut lines: Vec<String> = self.devices.iter().flat_map(of).collect();
        lines.sort_unstable();
        format!("# Simulated: what the users of the phones did.\n{}", lines.concat())
    }
}

impl DeviceTruth {
    fn count(&mut self, place: &'static str, sent: bool, bytes: u64) {
        let total = if sent { &mut self.transmit } else { &mut self.receive };
        total.packets += 1;
        total.bytes += bytes;
        match self.countries.iter_mut().find(|(country, _)| *country == place) {
            Some((_, traffic)) => traffic.add(sent, bytes),
            None => {
                let mut traffic = Traffic::default();
                traffic.add(sent, bytes);
                self.countries.push((place, traffic));
                self.countries.sort_unstable_by_key(|(country, _)| *country);
            }
        }
    }
}

impl DestinationTruth {
    fn count(&mut self, frame: &Taped, sent: bool, bytes: u64) {
        self.traffic.add(sent, bytes);
        let time = rfc3339(frame.time);
        self.first.get_or_insert_with(|| time.clone());
        self.last = Some(time);
        match frame.mark {
            Mark::Plain => {}
            Mark::Opens => self.flows += 1,
            Mark::Answers(after) => {
                let after = after.as_nanos() as f64 / 1e6;
                self.min_rtt_ms = Some(self.min_rtt_ms.map_or(after, |least| least.min(after)));
            }
        }
    }
}

/// A time as text, to the nanosecond.
pub(super) fn rfc3339(time: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time.as_nanos())).map_or_else(|_| time.as_nanos().to_string(), |time| format!("{time:.9}"))
}

fn as_object<S: Serializer>(countries: &[(&'static str, Traffic)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(countries.iter().copied())
}
