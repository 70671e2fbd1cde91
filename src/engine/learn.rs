//! What an observation changes: names, devices, the flow's own name, and the log. The one match over [`Observation`].

use std::net::IpAddr;
use std::sync::Arc;

use crate::dissect::observation::{
    Certificate, ClientHello, DnsMessage, Lease, Name, Observation, Record, RecordData, Request, Text, Tunnel, TunnelKind,
};
use crate::engine::core::{Core, where_is};
use crate::engine::event::{Detail, Ends, Event, Where};
use crate::engine::flow::{End, Flow, FlowKey, Named, Side};
use crate::engine::hidden;
use crate::engine::lane::{Harvest, Part};
use crate::engine::names::Answer;
use crate::engine::region::{Region, Whose};
use crate::engine::snapshot::{Class, Origin, PROTOCOLS, Place};
use crate::engine::table::Id;
use crate::engine::title::{Title, Titles};
use crate::packet::{Datagram, Mac, Macs, Timestamp, UDP};

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
    /// Shows a packet to the dissectors of its flow, and takes in what they see.
    pub(super) fn read(&mut self, id: Id, flow: &mut Flow, datagram: &Datagram<'_>, context: Context<'_>) {
        let Some(mut reading) = flow.reading.take() else { return };
        let part = Part { flow: id, sender: context.sender, now: context.now, packet: datagram };
        let mut harvest = Harvest { seen: std::mem::take(&mut self.seen), ..Harvest::default() };
        if reading.read(part, &mut self.streams, &self.limits, &mut harvest) {
            flow.reading = Some(reading);
        } else {
            self.spare.put(reading);
        }
        self.take_in(harvest, flow, context);
    }

    /// The reading of a flow is over: what can be read of half a message is read.
    pub(super) fn finish_reading(&mut self, key: &FlowKey, flow: &mut Flow) {
        let Some(mut reading) = flow.reading.take() else { return };
        if !reading.is_gathering() {
            return self.spare.put(reading);
        }
        let mut harvest = Harvest::default();
        reading.finish(&mut self.streams, &mut harvest);
        self.spare.put(reading);
        let context = Context { key, sender: flow.client, number: flow.packet, time: flow.last, now: flow.last, macs: None };
        let before = self.health.turn(key.endpoint(Side::Low).ip(), key.endpoint(Side::High).ip());
        self.take_in(harvest, flow, context);
        self.health.elsewhere = before;
    }

    fn take_in(&mut self, harvest: Harvest, flow: &mut Flow, context: Context<'_>) {
        if let Some((protocol, reason)) = harvest.malformed {
            self.health.refuse(protocol, reason);
        }
        if harvest.first_flight && flow.waited == 1 {
            flow.client = context.sender;
            flow.asked = Some(context.time);
        }
        if let Some(version) = harvest.quic_version {
            self.health.quic(version);
        }
        let mut seen = harvest.seen;
        for (protocol, seen) in seen.drain(..) {
            self.learn(protocol, seen, flow, context);
        }
        self.seen = seen;
    }

    /// Takes in what a dissector saw.
    fn learn(&mut self, protocol: &'static str, seen: Observation, flow: &mut Flow, context: Context<'_>) {
        match seen {
            Observation::Dns(message) => self.dns(protocol, message, flow, context),
            Observation::Hello(hello) => self.hello(hello, flow, context),
            Observation::Request(request) => self.request(request, flow, context),
            Observation::Lease(lease) => self.lease(&lease, context),
            Observation::Lease6(lease) => self.lease6(&lease, flow, context),
            Observation::Announcement(seen) => self.announcement(&seen, flow, context),
            Observation::Tunnel(tunnel) => self.tunnel(&tunnel, flow, context),
            Observation::Certificate(certificate) => certified(&certificate, &mut self.titles, flow, context),
        }
    }

    fn dns(&mut self, protocol: &'static str, message: Box<DnsMessage>, flow: &mut Flow, context: Context<'_>) {
        let group = context.key.endpoint(context.sender.other()).ip().is_multicast();
        let client = if message.response && !group { context.sender.other() } else { context.sender };
        flow.client = client;
        classify(flow, "dns");
        if !message.response && protocol == "dns" {
            self.stranger(flow, context, client);
        }
        let answered = match (message.response, &mut flow.reading) {
            // Who answers without being asked, from the port of a resolver, must not name anything.
            (true, Some(reading)) if protocol == "dns" => reading.answers(message.id),
            (false, Some(reading)) => {
                reading.asks(message.id);
                false
            }
            _ => false,
        };
        if answered {
            if let Some(end) = flow.ends.of(client)
                && self.names_for(end)
            {
                self.answers(end.device, &message, context);
            }
            // Most ports ask once; given back while it is in the cache, it is the next one's.
            if context.key.protocol() == UDP
                && let Some(reading) = flow.reading.take_if(|reading| reading.may_rest())
            {
                self.spare.put(reading);
                flow.rests = true;
            }
        }
        if protocol == "mdns" {
            self.own_names(&message, flow, context);
        }
        self.tell(flow, context, client, || Detail::Dns { protocol, message });
    }

    /// Whether this engine has to name what a device sends to the internet: of another engine's it sees none.
    fn names_for(&self, end: &End) -> bool {
        let (Some(share), Some(mac)) = (&self.health.share, end.mac) else { return true };
        share.reads(mac)
    }

    /// Every address in an answer is what the asked name resolved to, through whatever aliases.
    fn answers(&mut self, device: Id, message: &DnsMessage, context: Context<'_>) {
        let asked = message.questions.first().map(|question| self.titles.of(question.name.as_str()));
        let region = self.region_of_aliases(&message.answers);
        for record in &message.answers {
            self.address(device, asked.as_ref(), region, record, context);
        }
        for record in &message.additional {
            self.address(device, None, None, record, context);
        }
    }

    /// The place that the aliases of an answer claim: a cloud's word before a vendor's.
    fn region_of_aliases(&mut self, answers: &[Record]) -> Option<Region> {
        let mut first = None;
        for record in answers.iter().filter(|record| record.rtype == CNAME).take(ALIASES) {
            let RecordData::Name(target) = &record.data else { continue };
            match self.titles.of(target.as_str()).region {
                Some(region) if region.kind == Whose::Cloud => return Some(region),
                region => first = first.or(region),
            }
        }
        first
    }

    /// What a record says of addresses, of the name that was asked for or else its own.
    fn address(&mut self, device: Id, asked: Option<&Arc<Title>>, region: Option<Region>, record: &Record, context: Context<'_>) {
        let (addresses, pointed): (&[IpAddr], _) = match &record.data {
            RecordData::Address(address) => (std::slice::from_ref(address), None),
            RecordData::Service { target, hints, public_name, .. } => {
                if let Some(device) = self.devices.get_mut(device).filter(|_| !public_name.as_str().is_empty()) {
                    device.is_to_show(public_name);
                }
                // What begins like this is no host (RFC 8552), but what it points to is: a resolver tells its name so (RFC 9462).
                (hints, Some(target).filter(|_| record.name.as_str().starts_with('_')))
            }
            RecordData::Name(_) | RecordData::Text(_) | RecordData::Other(_) => return,
        };
        let title = match (pointed, asked) {
            (Some(target), _) => self.titles.of(target.as_str()),
            (None, Some(asked)) => Arc::clone(asked),
            (None, None) => self.titles.of(record.name.as_str()),
        };
        let (by, seen) = ((context.number, context.time), context.now);
        let answer = Answer { title, region: region.map(Box::new), ttl: record.ttl, by, seen, known_for: 0 };
        for address in addresses {
            self.names.learn(device, *address, answer.clone(), &self.limits);
        }
    }

    fn hello(&mut self, hello: Box<ClientHello>, flow: &mut Flow, context: Context<'_>) {
        if flow.may_ask(context.sender) {
            flow.client = context.sender;
        }
        let origin = if hello.quic_version.is_some() { Origin::Quic } else { Origin::Sni };
        classify(
            flow,
            match (context.key.endpoint(context.sender.other()).port(), hello.quic_version) {
                (853, None) => "dot",
                (853, Some(_)) => "doq",
                (_, None) => "tls",
                (_, Some(_)) => "quic",
            },
        );
        let name = hello.name.as_ref().filter(|name| flow.names(context.sender) && !self.is_public(&hello, name, flow, context));
        let title = name.map(|name| self.titles.of(name.as_str()));
        if let Some(title) = &title {
            call(flow, title, origin, context);
        }
        let place = self.place_told(flow, context, title.as_deref());
        self.tell(flow, context, context.sender, || Detail::Hello(hello, place));
    }

    /// Whether the name beside an Encrypted ClientHello is only the public one. The extension proves nothing, since clients send
    /// it at random (GREASE), nor does another name for this address, since many share one: it must be a name that DNS told this device to
    /// show, or one that is known for nothing else.
    fn is_public(&mut self, hello: &ClientHello, name: &Name, flow: &mut Flow, context: Context<'_>) -> bool {
        let server = context.key.endpoint(context.sender.other()).ip();
        let Some(device) = flow.ends.of(context.sender).as_ref().map(|end| end.device) else { return false };
        let told = self.names.of(device, server, context.now).map(|answer| &answer.title.name);
        if told.clone().any(|other| **other == *name.as_str()) {
            return false;
        }
        let shown = self.devices.table().get(device).is_some_and(|device| device.shows(name.as_str()));
        if hello.ech && (shown || hidden::is_ech_public_name(name.as_str())) {
            flow.hidden = Some(Class::Ech);
            return true;
        }
        if told.clone().next().is_some() && !self.names.may_know(device, server, name.as_str()) {
            let conflict = Detail::NameConflict { hello: name.shared(), dns: told.map(Arc::clone).collect() };
            self.say(flow, context, context.sender, conflict);
        }
        false
    }

    /// Tells of a device that asks a resolver which nobody offered, once for each. Only where some of its family were offered:
    /// a capture may begin after the lease.
    fn stranger(&mut self, flow: &Flow, context: Context<'_>, client: Side) {
        let resolver = context.key.endpoint(client.other()).ip();
        let known = self.offered.iter().any(|offered| offered.is_ipv4() == resolver.is_ipv4());
        if !known || self.offered.contains(&resolver) || resolver.is_multicast() {
            return;
        }
        let Some(device) = flow.ends.of(client).as_ref().and_then(|end| self.devices.get_mut(end.device)) else { return };
        if device.strangers.contains(&resolver) || device.strangers.try_push(resolver).is_err() {
            return;
        }
        let offered = self.offered.to_vec();
        self.say(flow, context, client, Detail::UnofferedResolver { offered });
    }

    /// A tunnel hides where its traffic goes; DTLS does not, and its hello may name the server.
    fn tunnel(&mut self, tunnel: &Tunnel, flow: &mut Flow, context: Context<'_>) {
        flow.hidden = match tunnel.kind {
            TunnelKind::WireGuard => Some(Class::Wireguard),
            TunnelKind::OpenVpn => Some(Class::Openvpn),
            TunnelKind::Ipsec => Some(Class::Ipsec),
            TunnelKind::L2tp | TunnelKind::Pptp => Some(Class::Vpn),
            TunnelKind::Dtls => flow.hidden,
        };
        if let Some(name) = tunnel.name.as_ref().filter(|_| flow.names(context.sender)) {
            flow.client = context.sender;
            call(flow, &self.titles.of(name.as_str()), Origin::Sni, context);
        }
    }

    fn request(&mut self, request: Box<Request>, flow: &mut Flow, context: Context<'_>) {
        if flow.may_ask(context.sender) {
            flow.client = context.sender;
        }
        classify(flow, "http");
        let host = request.host.as_ref().or(request.authority.as_ref()).filter(|_| flow.names(context.sender));
        let title = host.map(|host| self.titles.of(host.as_str()));
        if let Some(title) = &title {
            call(flow, title, Origin::Host, context);
        }
        let place = self.place_told(flow, context, title.as_deref());
        self.tell(flow, context, context.sender, || Detail::Request(request, place));
    }

    fn lease(&mut self, lease: &Lease, context: Context<'_>) {
        let mac = Mac(lease.mac);
        let key = match lease.address {
            Some(address) if context.macs.is_none() || self.devices.is_split(mac) => self.devices.key(IpAddr::V4(address), None),
            _ => self.devices.link_key(mac),
        };
        if lease.kind == 5 || lease.kind == 2 {
            lease.resolvers.iter().for_each(|resolver| self.offers(IpAddr::V4(*resolver)));
        }
        let Some(id) = self.devices.table().find(&key) else { return };
        let Some(device) = self.devices.get_mut(id) else { return };
        let mut news = false;
        let by_client = matches!(lease.kind, 0 | 1 | 3 | 4 | 7 | 8);
        if by_client && context.macs.is_some_and(|macs| macs.source != Mac(lease.mac)) {
            return; // one device speaks for another
        }
        if matches!(lease.kind, 1 | 3) && context.key.endpoint(context.sender).ip().is_unspecified() {
            device.attach.asked(context.now);
        }
        if let Some(address) = lease.address {
            news |= device.has(IpAddr::V4(address));
        }
        // What the client says of itself counts; servers only repeat it, or what they were told to call it.
        if by_client {
            news |= self.by_dhcp(id, lease, context);
        }
        self.news(id, news, context);
    }

    /// Tells something that is said of every message of its kind, where somebody takes all events.
    fn tell(&mut self, flow: &Flow, context: Context<'_>, client: Side, detail: impl FnOnce() -> Detail) {
        if self.events.wanted() {
            self.say(flow, context, client, detail());
        }
    }

    fn say(&mut self, flow: &Flow, context: Context<'_>, client: Side, detail: Detail) {
        if !self.events.notable() {
            return;
        }
        let ends =
            Ends { client: context.key.endpoint(client), server: context.key.endpoint(client.other()), protocol: context.key.protocol() };
        let mac = context.macs.map(|macs| if client == context.sender { macs.source } else { macs.target });
        // What is read when a flow ends has no packet of its own.
        let mac = mac.or_else(|| flow.ends.of(client).as_ref().and_then(|end| end.mac));
        let event = Event {
            time: context.time,
            packet: context.number,
            device: self.label(flow, client, ends.client.ip()),
            mac: mac.filter(|mac| !mac.is_group()),
            ends: Some(ends),
            detail,
        };
        self.events.push(event, &mut self.health);
    }

    /// Where the other side is, for a line in the log.
    fn place_told(&self, flow: &Flow, context: Context<'_>, title: Option<&Title>) -> Where {
        if !self.events.wanted() {
            return Where::default();
        }
        let domain = title.and_then(|title| title.domain.clone());
        match flow.place {
            Place::Local | Place::Multicast => Where { domain, ..Where::default() },
            Place::Country(_) | Place::Unknown => {
                let server = context.key.endpoint(context.sender.other()).ip();
                // Mostly the far side, whose site the flow has.
                let site = flow.site.as_ref().filter(|_| self.far(context.key, flow) == server);
                Where { domain, ..site.map_or_else(|| where_is(&self.geo.site(server)), |site| where_is(site)) }
            }
        }
    }
}

/// The type of an alias (RFC 1035, 3.2.2).
const CNAME: u16 = 5;
/// Aliases looked at in one answer: resolvers give up on longer chains, and a forged answer may hold thousands.
const ALIASES: usize = 16;

/// A server's certificate names a flow that nothing else does; a wildcard stands for the domain below it.
fn certified(certificate: &Certificate, titles: &mut Titles, flow: &mut Flow, context: Context<'_>) {
    flow.client = context.sender.other();
    if flow.protocol.is_none() {
        classify(flow, "tls"); // a hello knows better: DNS over TLS is told apart by it
    }
    if is_tor(certificate) {
        flow.hidden = Some(Class::Tor);
        return;
    }
    let Some(first) = certificate.names.first() else { return };
    let name = first.as_str().strip_prefix("*.").and_then(|rest| Name::from_dotted(rest.as_bytes()));
    call(flow, &titles.of(name.as_ref().unwrap_or(first).as_str()), Origin::Certificate, context);
}

/// The certificate of a Tor relay up to TLS 1.2: made for the connection, subject `www.<random>.net`, issuer
/// `www.<random>.com`, the random part 8 to 20 letters of base 32 (tor, `tor_tls_context_init` and `crypto_random_hostname`).
fn is_tor(certificate: &Certificate) -> bool {
    let random = |name: Option<&Text>, end: &str| {
        let middle = name.and_then(|name| name.as_str().strip_prefix("www.")?.strip_suffix(end));
        middle.is_some_and(|text| (8..=20).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')))
    };
    random(certificate.common_name.as_ref(), ".net") && random(certificate.issuer.as_ref(), ".com") && certificate.names.len() <= 1
}

/// The best origin names a flow, and the first of its kind stays: names are set once. An address is no name.
fn call(flow: &mut Flow, title: &Arc<Title>, origin: Origin, context: Context<'_>) {
    if flow.name.is_none() && title.is_host {
        flow.name = Some(Named { title: Arc::clone(title), origin, by: (context.number, context.time) });
    }
}

fn classify(flow: &mut Flow, protocol: &str) {
    let index = PROTOCOLS.iter().zip(0_u8..).find(|(name, _)| **name == protocol).map(|(_, index)| index);
    flow.protocol = index.or(flow.protocol);
}
