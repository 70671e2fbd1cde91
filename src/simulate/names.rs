//! The servers of the simulated Internet, and the DNS messages that name them.
//!
//! Names are those that published accounts give (facts of the 2021 assessment, decompiled clients, blocklists). Addresses are
//! examples out of ranges that DB-IP's data of June 2026 places where the table says; nobody was asked.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use domain::base::iana::Class;
use domain::base::message_builder::{AnswerBuilder, MessageBuilder, QuestionBuilder};
use domain::base::record::ComposeRecord;
use domain::base::{Name, Rtype, StaticCompressor, ToName, Ttl};
use domain::rdata::svcb::{Https, SvcParamsBuilder};
use domain::rdata::{A, Aaaa, Cname, Soa};

/// A server: its name, the aliases before its address, where it is and how far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host {
    pub(super) name: &'static str,
    /// Its last alias, if it has any.
    pub(super) alias: Option<&'static str>,
    pub(super) v4: Ipv4Addr,
    /// Where DB-IP places `v4`.
    pub(super) country: &'static str,
    /// Its IPv6 address and where DB-IP places that.
    pub(super) v6: Option<(Ipv6Addr, &'static str)>,
    /// The least round trip in ms.
    pub(super) rtt: u64,
}

impl Host {
    /// The least round trip.
    pub(super) const fn rtt(&self) -> Duration {
        Duration::from_millis(self.rtt)
    }
}

const fn host(name: &'static str, v4: [u8; 4], country: &'static str, rtt: u64) -> Host {
    let [a, b, c, d] = v4;
    Host { name, alias: None, v4: Ipv4Addr::new(a, b, c, d), country, v6: None, rtt }
}

const fn alias(host: Host, alias: &'static str) -> Host {
    Host { alias: Some(alias), ..host }
}

const fn also(host: Host, v6: u128, country: &'static str) -> Host {
    Host { v6: Some((Ipv6Addr::from_bits(v6), country)), ..host }
}

// Round trips in ms as from a Vilnius access point: light alone needs 92 ms to Singapore and back, 12 ms to Frankfurt.
const SINGAPORE: u64 = 166;
const FRANKFURT: u64 = 22;
const GOOGLE: u64 = 18;
const AMSTERDAM: u64 = 27;

// Google and the open web: what every phone does.
pub(super) const CHECK: Host =
    also(host("connectivitycheck.gstatic.com", [142, 250, 185, 99], "US", GOOGLE), 0x2a00_1450_4001_0812_0000_0000_0000_2003, "DE");
pub(super) const SEARCH: Host =
    also(host("www.google.com", [142, 250, 185, 100], "US", GOOGLE), 0x2a00_1450_4001_081b_0000_0000_0000_2004, "DE");
/// Shares its addresses with the connectivity check.
pub(super) const STATIC: Host = Host { name: "www.gstatic.com", ..CHECK };
pub(super) const PLAY: Host =
    also(host("play.googleapis.com", [142, 250, 186, 106], "DE", GOOGLE), 0x2a00_1450_4001_080e_0000_0000_0000_200a, "DE");
pub(super) const CHECKIN: Host = also(
    alias(host("android.clients.google.com", [142, 250, 186, 46], "US", GOOGLE), "android.l.google.com"),
    0x2a00_1450_4001_082f_0000_0000_0000_200e,
    "DE",
);
pub(super) const FIREBASE: Host = host("firebaselogging-pa.googleapis.com", [142, 250, 185, 138], "US", GOOGLE);
pub(super) const APIS: Host =
    also(host("www.googleapis.com", [142, 250, 186, 170], "DE", GOOGLE), 0x2a00_1450_4001_0829_0000_0000_0000_200a, "DE");
pub(super) const MEASURE: Host = host("app-measurement.com", [142, 250, 184, 206], "ES", GOOGLE);
pub(super) const TALK: Host = alias(host("mtalk.google.com", [108, 177, 15, 188], "BE", GOOGLE), "mobile-gtalk.l.google.com");
pub(super) const TIME: Host = host("time.android.com", [216, 239, 35, 0], "US", GOOGLE);
pub(super) const DOWNLOAD: Host = host("r5---sn-4g5e6nsk.gvt1.com", [173, 194, 187, 74], "DE", GOOGLE);
pub(super) const UNNAMED: Host = host("", [142, 250, 186, 78], "DE", GOOGLE);
pub(super) const RESOLVER: Host = host("", [8, 8, 8, 8], "US", GOOGLE);
pub(super) const SITES: [Host; 4] = [
    also(host("en.wikipedia.org", [91, 198, 174, 192], "NL", AMSTERDAM), 0x2a02_ec80_0300_ed1a_0000_0000_0000_0001, "NL"),
    host("www.ripe.net", [193, 0, 6, 139], "NL", AMSTERDAM),
    also(host("www.debian.org", [130, 89, 148, 77], "NL", AMSTERDAM + 3), 0x2001_067c_2564_a119_0000_0000_0000_0077, "NL"),
    host("www.lrt.lt", [88, 119, 10, 1], "LT", 3),
];

// Xiaomi.
pub(super) const LIST: Host = host("globalapi.ad.xiaomi.com", [161, 117, 70, 145], "SG", SINGAPORE);
pub(super) const SENSORS: Host = host("sa.api.intl.miui.com", [47, 241, 10, 20], "SG", SINGAPORE + 4);
pub(super) const MISTAT: Host = host("data.mistat.intl.xiaomi.com", [161, 117, 94, 28], "SG", SINGAPORE + 2);
pub(super) const TRACKING: Host = host("tracking.intl.miui.com", [47, 88, 200, 10], "SG", SINGAPORE + 7);
pub(super) const MIUI_CHECK: Host = host("connect.rom.miui.com", [161, 117, 71, 20], "SG", SINGAPORE);
/// Placed in Singapore by its address, and 9 ms away: one of the two is wrong.
pub(super) const NEARBY: Host = host("sdkconfig.ad.intl.xiaomi.com", [47, 74, 200, 1], "SG", 9);
pub(super) const MI_PUSH: Host = alias(
    host("app.chat.global.xiaomi.net", [3, 120, 0, 1], "DE", FRANKFURT),
    "chat-global-0a1b2c3d4e5f6071.elb.eu-central-1.amazonaws.com",
);
pub(super) const MI_RESOLVER: Host = alias(
    host("fr.resolver.msg.global.xiaomi.net", [18, 184, 20, 30], "DE", FRANKFURT),
    "resolver-fr-1947218211.eu-central-1.elb.amazonaws.com",
);
pub(super) const MI_ADS: Host =
    alias(host("api.ad.intl.xiaomi.com", [18, 193, 5, 6], "DE", FRANKFURT), "ad-intl-803316212.eu-central-1.elb.amazonaws.com");

// Huawei.
pub(super) const METRICS_ASIA: Host = host("metrics-dra.dt.hicloud.com", [119, 8, 160, 1], "SG", SINGAPORE + 5);
pub(super) const COLLECTOR_ASIA: Host = host("datacollector-dra.dt.hicloud.com", [119, 8, 171, 20], "SG", SINGAPORE + 6);
pub(super) const LOGS_ASIA: Host =
    host("nsp-logservice-hiview-p05-dra.obs.ap-southeast-3.myhuaweicloud.com", [119, 8, 180, 10], "SG", SINGAPORE + 5);
pub(super) const METRICS_EUROPE: Host = host("metrics-dre.dt.dbankcloud.cn", [80, 158, 10, 10], "DE", FRANKFURT + 1);
pub(super) const LOGS_EUROPE: Host = host("logservice-dre.platform.hicloud.com", [160, 44, 200, 10], "DE", FRANKFURT + 1);
pub(super) const ROUTING: Host = host("grs.dbankcloud.com", [80, 158, 20, 10], "DE", FRANKFURT + 1);
pub(super) const STORE: Host = host("store.hispace.hicloud.com", [80, 158, 30, 10], "DE", FRANKFURT + 1);
pub(super) const HUAWEI_CHECK: Host = host("connectivitycheck.cbg-app.huawei.com", [80, 158, 40, 10], "DE", FRANKFURT + 1);
pub(super) const HUAWEI_PUSH: Host = host("data-dre.push.dbankcloud.com", [80, 158, 50, 10], "DE", FRANKFURT + 1);
pub(super) const KEEPER: Host = host("dnkeeper.hicloud.com", [80, 158, 20, 11], "DE", FRANKFURT + 1);
/// Reached by an address that the in-app resolver gave: no DNS answer and no SNI.
pub(super) const KEPT: Host = host("", [159, 138, 85, 20], "SG", SINGAPORE + 5);
pub(super) const APK_PURE: Host = host("m.apkpure.com", [18, 195, 60, 70], "DE", FRANKFURT);
pub(super) const APTOIDE: Host =
    alias(host("ws75.aptoide.com", [52, 28, 40, 50], "DE", FRANKFURT), "ws75-lb-622010417.eu-central-1.elb.amazonaws.com");

// OnePlus.
pub(super) const HEYTAP_PUSH: Host = host("dceuex.push.heytapmobile.com", [3, 64, 10, 20], "DE", FRANKFURT);
pub(super) const HEYTAP_SHORT: Host = host("shorteuex.push.heytapmobile.com", [35, 156, 10, 20], "DE", FRANKFURT);
pub(super) const HEYTAP_STATS: Host =
    alias(host("obus-dc-eu.heytapmobile.com", [52, 28, 41, 51], "DE", FRANKFURT), "obus-eu-1180023304.eu-central-1.elb.amazonaws.com");
pub(super) const REMOTE_CONFIG: Host = host("rus-service-eu.allawnos.com", [18, 184, 30, 40], "DE", FRANKFURT);
pub(super) const ONEPLUS: Host = host("open.oneplus.net", [15, 236, 20, 30], "FR", 32);
pub(super) const ONEPLUS_CHECK: Host = host("conn-service-eu-01.allawnos.com", [3, 121, 10, 10], "DE", FRANKFURT);

/// How long an answer holds.
pub(super) const LIFETIME: Duration = Duration::from_secs(300);

/// The three questions that a phone asks with every lookup.
pub(super) const ASKED: [Rtype; 3] = [Rtype::A, Rtype::AAAA, Rtype::HTTPS];

type Target = StaticCompressor<Vec<u8>>;

/// The question: recursion desired.
pub(super) fn query(name: &str, kind: Rtype, id: u16) -> io::Result<Vec<u8>> {
    Ok(question(name, kind, id, false)?.finish().into_target())
}

/// A question by multicast DNS: no id, no recursion (RFC 6762, 18).
pub(super) fn multicast_query(name: &str) -> io::Result<Vec<u8>> {
    let mut question = question(name, Rtype::PTR, 0, false)?;
    question.header_mut().set_rd(false);
    Ok(question.finish().into_target())
}

/// The resolver's answer: the aliases, then addresses or service parameters, else why there are none.
pub(super) fn answer(host: &Host, kind: Rtype, id: u16) -> io::Result<Vec<u8>> {
    let mut message = question(host.name, kind, id, true)?.answer();
    let ttl = Ttl::from_secs(LIFETIME.as_secs() as u32);
    let mut owner = name(host.name)?;
    if let Some(alias) = host.alias {
        let alias = name(alias)?;
        push(&mut message, (&owner, Class::IN, ttl, Cname::new(alias.clone())))?;
        owner = alias;
    }
    match (kind, host.v6) {
        (Rtype::A, _) => push(&mut message, (&owner, Class::IN, ttl, A::new(host.v4)))?,
        (Rtype::AAAA, Some((v6, _))) => push(&mut message, (&owner, Class::IN, ttl, Aaaa::new(v6)))?,
        (Rtype::HTTPS, Some(_)) => push(&mut message, (&owner, Class::IN, ttl, service(host)?))?,
        _ => return no_data(message, &owner),
    }
    Ok(message.finish().into_target())
}

fn question(text: &str, kind: Rtype, id: u16, answers: bool) -> io::Result<QuestionBuilder<Target>> {
    let mut message = MessageBuilder::from_target(StaticCompressor::new(Vec::new())).map_err(|_| short())?;
    let header = message.header_mut();
    header.set_id(id);
    header.set_qr(answers);
    header.set_rd(true);
    header.set_ra(answers);
    let mut message = message.question();
    message.push((&name(text)?, kind)).map_err(|_| short())?;
    Ok(message)
}

fn push(message: &mut AnswerBuilder<Target>, record: impl ComposeRecord) -> io::Result<()> {
    message.push(record).map_err(|_| short())
}

/// HTTP/2 and 3 at this name and these addresses (RFC 9460).
fn service(host: &Host) -> io::Result<Https<Vec<u8>, Name<Vec<u8>>>> {
    let mut params = SvcParamsBuilder::<Vec<u8>>::empty();
    params.alpn(&[b"h2", b"h3"]).map_err(|_| short())?;
    params.ipv4hint([host.v4]).map_err(|_| short())?;
    if let Some((v6, _)) = host.v6 {
        params.ipv6hint([v6]).map_err(|_| short())?;
    }
    let params = params.freeze().map_err(|_| short())?;
    Https::new(1, Name::root_vec(), params).map_err(|_| short())
}

/// An empty answer with the zone's SOA (RFC 2308, 2.2).
fn no_data(message: AnswerBuilder<Target>, owner: &Name<Vec<u8>>) -> io::Result<Vec<u8>> {
    let zone = owner.iter_suffixes().nth(owner.label_count().saturating_sub(3)).map_or_else(Name::root_vec, |zone| zone.to_vec());
    let mut message = message.authority();
    let seconds = Ttl::from_secs;
    let soa = Soa::new(zone.clone(), zone.clone(), 2_021_082_301.into(), seconds(900), seconds(900), seconds(1_800), seconds(60));
    message.push((&zone, Class::IN, seconds(60), soa)).map_err(|_| short())?;
    Ok(message.finish().into_target())
}

fn name(text: &str) -> io::Result<Name<Vec<u8>>> {
    text.parse().map_err(|_| io::Error::other(format!("not a name: {text}")))
}

fn short() -> io::Error {
    io::Error::other("a DNS message outgrew itself")
}

/// The addresses of a host, IPv6 first.
pub(super) fn addresses(host: &Host) -> impl Iterator<Item = (IpAddr, &'static str)> {
    host.v6.map(|(v6, country)| (IpAddr::V6(v6), country)).into_iter().chain([(IpAddr::V4(host.v4), host.country)])
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Message;
    use hickory_proto::rr::RecordType;

    use super::*;

    fn types(host: &Host, kind: Rtype) -> (Vec<RecordType>, Vec<RecordType>) {
        let message = Message::from_vec(&answer(host, kind, 7).unwrap()).unwrap();
        let types = |records: &[hickory_proto::rr::Record]| records.iter().map(|record| record.record_type()).collect();
        (types(&message.answers), types(&message.authorities))
    }

    #[test]
    fn answers_hold_aliases_addresses_parameters_or_the_reason_for_none() {
        assert_eq!(types(&LIST, Rtype::A), (vec![RecordType::A], vec![]));
        assert_eq!(types(&MI_PUSH, Rtype::A), (vec![RecordType::CNAME, RecordType::A], vec![]));
        assert_eq!(types(&MI_PUSH, Rtype::AAAA), (vec![RecordType::CNAME], vec![RecordType::SOA]));
        assert_eq!(types(&SEARCH, Rtype::AAAA), (vec![RecordType::AAAA], vec![]));
        assert_eq!(types(&SEARCH, Rtype::HTTPS), (vec![RecordType::HTTPS], vec![]));
        assert_eq!(types(&LIST, Rtype::HTTPS), (vec![], vec![RecordType::SOA]));
    }
}
