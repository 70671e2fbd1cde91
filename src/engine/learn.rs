//! What an observation changes: names, devices, the flow's own name, and the log. The one match over [`Observation`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::dissect::observation::{ClientHello, DnsMessage, Lease, Name, Observation, Record, RecordData, Request};
use crate::engine::Core;
use crate::engine::account::registrable;
use crate::engine::device::DeviceKey;
use crate::engine::event::{Detail, DeviceNews, Ends, Event, Where};
use crate::engine::flow::{Flow, FlowKey, Named, Side};
use crate::engine::geo::GeoDb;
use crate::engine::snapshot::{Origin, PROTOCOLS, Place};
use crate::engine::table::Id;
use crate::packet::{Mac, Macs, Timestamp};

/// The packet that an observation was read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// The flow's key.
    pub(super) key: &'a FlowKey,
    /// Who sent it.
    pub(super) sender: Side,
    /// Its number.
    pub(super) number: u64,
    /// Its own time.
    pub(super) time: Timestamp,
    /// The engine's time.
    pub(super) now: Timestamp,
    /// Its link addresses.
    pub(super) macs: Option<Macs>,
}

impl Core {
    /// Takes in what a dissector saw.
    pub(super) fn learn(&mut self, protocol: &'static str, seen: Observation, flow: &mut Flow, context: Context<'_>) {
        match seen {
            Observation::Dns(message) => self.dns(protocol, message, flow, context),
            Observation::Hello(hello) => self.hello(hello, flow, context),
            Observation::Request(request) => self.request(request, flow, context),
            Observation::Lease(lease) => self.lease(&lease, context),
        }
    }

    fn dns(&mut self, protocol: &'static str, message: Box<DnsMessage>, flow: &mut Flow, context: Context<'_>) {
        let group = context.key.endpoint(context.sender.other()).ip().is_multicast();
        let client = if message.response && !group { context.sender.other() } else { context.sender };
        flow.client = client;
        classify(flow, "dns");
        if message.response
            && protocol != "mdns"
            && let Some(end) = flow.ends.of(client)
        {
            self.answers(end.device, &message, context.now);
        }
        self.tell(flow, context, client, || Detail::Dns { protocol, message });
    }

    /// Every address in an answer is what the asked name resolved to, through whatever aliases.
    fn answers(&mut self, device: Id, message: &DnsMessage, now: Timestamp) {
        let asked = message.questions.first().map(|question| &question.name);
        for record in &message.answers {
            self.address(device, asked.unwrap_or(&record.name), record, now);
        }
        for record in &message.additional {
            self.address(device, &record.name, record, now);
        }
    }

    fn address(&mut self, device: Id, name: &Name, record: &Record, now: Timestamp) {
        let addresses: &[IpAddr] = match &record.data {
            RecordData::Address(address) => std::slice::from_ref(address),
            RecordData::Service { hints, .. } => hints,
            RecordData::Name(_) | RecordData::Text(_) | RecordData::Other(_) => return,
        };
        let name: Arc<str> = Arc::from(name.as_str());
        let ttl = Duration::from_secs(u64::from(record.ttl));
        for address in addresses {
            self.names.learn(device, *address, &name, ttl, now, &self.limits);
        }
    }

    fn hello(&mut self, hello: Box<ClientHello>, flow: &mut Flow, context: Context<'_>) {
        flow.client = context.sender;
        let origin = if hello.quic_version.is_some() { Origin::Quic } else { Origin::Sni };
        classify(flow, if hello.quic_version.is_some() { "quic" } else { "tls" });
        if let Some(name) = &hello.name {
            call(flow, name, origin);
        }
        let place = self.place_of(flow, context, hello.name.as_ref());
        self.tell(flow, context, context.sender, || Detail::Hello(hello, place));
    }

    fn request(&mut self, request: Box<Request>, flow: &mut Flow, context: Context<'_>) {
        flow.client = context.sender;
        classify(flow, "http");
        if let Some(host) = &request.host {
            call(flow, host, Origin::Host);
        }
        let place = self.place_of(flow, context, request.host.as_ref());
        self.tell(flow, context, context.sender, || Detail::Request(request, place));
    }

    fn lease(&mut self, lease: &Lease, context: Context<'_>) {
        let key = match lease.address {
            Some(address) if context.macs.is_none() => DeviceKey::Address(IpAddr::V4(address)),
            _ => DeviceKey::Mac(Mac(lease.mac)),
        };
        let Some(id) = self.devices.table().find(&key) else { return };
        let Some(device) = self.devices.get_mut(id) else { return };
        let mut news = false;
        if let Some(address) = lease.address {
            news |= device.has(IpAddr::V4(address));
        }
        // What the client says of itself counts; servers only repeat it, or what they were told to call it.
        if matches!(lease.kind, 0 | 1 | 3 | 7 | 8) {
            for (known, said) in [
                (&mut device.hostname, lease.hostname.as_ref().or(lease.fqdn.as_ref())),
                (&mut device.vendor_class, lease.vendor_class.as_ref()),
            ] {
                if said.is_some() && known.as_ref() != said {
                    *known = said.cloned();
                    news = true;
                }
            }
        }
        if news {
            self.tell_device(id, context.number, context.time);
        }
    }

    /// Writes a line about a device.
    pub(super) fn tell_device(&mut self, id: Id, packet: u64, time: Timestamp) {
        if !self.events.wanted() {
            return;
        }
        let Some(device) = self.devices.table().get(id) else { return };
        let mut addresses = device.addresses.to_vec();
        addresses.sort_unstable();
        let news = DeviceNews {
            mac: device.mac(),
            name: None,
            hostname: device.hostname.clone(),
            vendor: None,
            vendor_class: device.vendor_class.clone(),
            randomized: device.mac().is_some_and(Mac::is_local),
            addresses,
        };
        let event =
            Event { time, packet, device: Arc::clone(&device.label), mac: news.mac, ends: None, detail: Detail::Device(Box::new(news)) };
        self.events.push(event, &mut self.health);
    }

    fn tell(&mut self, flow: &Flow, context: Context<'_>, client: Side, detail: impl FnOnce() -> Detail) {
        if !self.events.wanted() {
            return;
        }
        let ends =
            Ends { client: context.key.endpoint(client), server: context.key.endpoint(client.other()), protocol: context.key.protocol() };
        let mac = context.macs.map(|macs| if client == context.sender { macs.source } else { macs.target });
        let event = Event {
            time: context.time,
            packet: context.number,
            device: self.label(flow, client, ends.client.ip()),
            mac: mac.filter(|mac| !mac.is_group()),
            ends: Some(ends),
            detail: detail(),
        };
        self.events.push(event, &mut self.health);
    }

    /// The label of the device that a flow is told under: the client's if it is ours, else the server's, else the client's address.
    pub(super) fn label(&self, flow: &Flow, client: Side, address: IpAddr) -> Arc<str> {
        let end = flow.ends.of(client).as_ref().or_else(|| flow.ends.of(client.other()).as_ref());
        match end.and_then(|end| self.devices.table().get(end.device)) {
            Some(device) => Arc::clone(&device.label),
            None => Arc::from(address.to_canonical().to_string()),
        }
    }

    /// Where the other side is, for a line in the log.
    fn place_of(&self, flow: &Flow, context: Context<'_>, name: Option<&Name>) -> Where {
        if !self.events.wanted() {
            return Where::default();
        }
        let domain = name.and_then(|name| registrable(name.as_str())).map(Arc::from);
        match flow.place {
            Place::Local | Place::Multicast => Where { domain, ..Where::default() },
            Place::Country(_) | Place::Unknown => {
                Where { domain, ..where_is(&self.geo, context.key.endpoint(context.sender.other()).ip()) }
            }
        }
    }
}

/// Where an address is, by the databases.
pub(super) fn where_is(geo: &GeoDb, address: IpAddr) -> Where {
    let located = geo.locate(address);
    Where { domain: None, country: located.country, asn: located.asn, organisation: located.organisation }
}

/// The best origin names a flow, and the first of its kind stays: names are set once. An address is no name.
fn call(flow: &mut Flow, name: &Name, origin: Origin) {
    if flow.name.is_none() && name.as_str().parse::<IpAddr>().is_err() {
        flow.name = Some(Named { name: Arc::from(name.as_str()), origin });
    }
}

fn classify(flow: &mut Flow, protocol: &str) {
    let index = PROTOCOLS.iter().zip(0_u8..).find(|(name, _)| **name == protocol).map(|(_, index)| index);
    flow.protocol = index.or(flow.protocol);
}
