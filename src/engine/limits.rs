//! Every cap and every age, with the attack it stops. Caps bound memory; ages only say when something is over, so a clock
//! that leaps or stands still cannot leak.

use std::time::Duration;

/// The limits of one engine; where several share a capture, each has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Flows followed at once: a SYN flood, or a port scan from a phone.
    pub flows: usize,
    /// Devices known at once: a flood of forged MAC addresses.
    pub devices: usize,
    /// (device, address) pairs with a name: a million DNS answers.
    pub names: usize,
    /// Of one device, so that one phone's questions cannot turn away everybody's names: the same, from one device.
    pub names_per_device: usize,
    /// Address owners learned from ARP and neighbour discovery: forged advertisements.
    pub neighbours: usize,
    /// Servers whose least handshake time is kept: connections to a million addresses.
    pub servers: usize,
    /// Device × destination accounts in all, which bounds the series of `/metrics`: connections to a million names.
    pub accounts: usize,
    /// Accounts of one device, so that one phone cannot use up everybody's: the same, from one device.
    pub accounts_per_device: usize,
    /// Devices whose contacts are remembered, those that left too: a flood of forged MAC addresses.
    pub contact_devices: usize,
    /// Contacts remembered in all, beside countries: a phone that contacts a million names.
    pub contacts: usize,
    /// Contacts of one kind (AS, domain, name) of one device, so that one phone cannot use up everybody's, nor hide an AS behind names.
    pub contacts_per_device: usize,
    /// How long after its first packet ever a device's contacts are learnt in silence.
    pub learning: Duration,
    /// Device × name rhythms in all, of up to 64 beats: connections to a million names.
    pub rhythms: usize,
    /// Rhythms of one device: the same, from one device.
    pub rhythms_per_device: usize,
    /// Device × name histories of config pulls in all, of up to 64 pulls: forged devices that name a listed host.
    pub pulls: usize,
    /// Of one device: a list of one's own with a wildcard.
    pub pulls_per_device: usize,
    /// Streams whose first bytes are gathered at once: a million half-open handshakes.
    pub streams: usize,
    /// Bytes gathered of one stream: a handshake that never ends.
    pub stream_bytes: usize,
    /// Bytes gathered of a DNS stream: one message has at most 65,535 and its length (RFC 1035, 4.2.2).
    pub dns_stream_bytes: usize,
    /// A stream of DNS may only be that long while fewer streams than these are gathered: thousands of the longest would hold 300 MiB.
    pub dns_streams: usize,
    /// Datagrams of one flow that are tried as QUIC: each costs a key derivation.
    pub datagrams: u8,
    /// Requests that are read of one HTTP connection.
    pub requests: u8,
    /// Events waiting to be taken.
    pub events: usize,
    /// How long after its first payload a flow may wait for a name.
    pub naming: Duration,
    /// How many packets with payload may pass meanwhile. Not meant for a handshake that is arriving in pieces, which may take as many
    /// segments as it has bytes: it ends with [`Self::stream_bytes`], or with five times the time.
    pub naming_packets: u8,
    /// When a TCP connection without packets is over. Push connections are silent for half an hour; re-opening one loses its name.
    pub tcp_idle: Duration,
    /// When any other flow without packets is over, also a connection that one side has closed, or that never opened.
    pub flow_idle: Duration,
    /// When a connection that both sides have closed, or one has reset, is over.
    pub closed_idle: Duration,
    /// How long a flow or name must be silent before a newcomer may push it out.
    pub stale: Duration,
    /// When a server's least handshake time is forgotten: addresses change hands.
    pub server_idle: Duration,
    /// How long a device must be silent before its series end.
    pub device_idle: Duration,
    /// How long a device must be silent before a newcomer may push it out.
    pub device_stale: Duration,
    /// When a rhythm is forgotten.
    pub rhythm_idle: Duration,
    /// How long a rhythm, or a history of pulls, must be silent before a newcomer may push it out: four times the slowest pull that is known.
    pub rhythm_stale: Duration,
    /// How long a name from DNS is used at least, whatever its TTL: applications keep answers longer than resolvers do (Bermudez et al., IMC 2012).
    pub name_life: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 65_536,
            devices: 1_024,
            names: 32_768,
            names_per_device: 4_096,
            neighbours: 4_096,
            servers: 16_384,
            accounts: 16_384,
            accounts_per_device: 1_024,
            contact_devices: 1_024,
            contacts: 65_536,
            contacts_per_device: 2_048,
            learning: Duration::from_hours(24),
            rhythms: 8_192,
            rhythms_per_device: 512,
            pulls: 1_024,
            pulls_per_device: 32,
            streams: 4_096,
            stream_bytes: 16_384,
            dns_stream_bytes: 65_537,
            dns_streams: 256,
            datagrams: 16,
            requests: u8::MAX,
            events: 4_096,
            naming: Duration::from_secs(2),
            naming_packets: 10,
            tcp_idle: Duration::from_hours(1),
            flow_idle: Duration::from_mins(3),
            closed_idle: Duration::from_secs(15),
            stale: Duration::from_secs(30),
            server_idle: Duration::from_hours(24),
            device_idle: Duration::from_hours(7 * 24),
            device_stale: Duration::from_hours(1),
            rhythm_idle: Duration::from_hours(7 * 24),
            rhythm_stale: Duration::from_hours(48),
            name_life: Duration::from_hours(1),
        }
    }
}
