//! What must be true of every dissector, and bytes that the targets and their seeds share.

use whither::dissect::observation::{Name, Observation, RecordData, Text};
use whither::dissect::{Dissector, Verdict};
use whither::packet::Link;

pub mod initial;
pub mod script;

/// A datagram's verdict, and that it keeps what it promises.
pub fn datagram(dissector: &Dissector, bytes: &[u8]) -> Verdict {
    let verdict = (dissector.read)(bytes);
    promises(&verdict, bytes);
    verdict
}

/// A stream's verdict, and that no cut of the stream changes it: more is wanted, or it is the same.
///
/// The first two bytes say where to cut.
pub fn stream(dissector: &Dissector, input: &[u8]) {
    let Some((cut, bytes)) = input.split_first_chunk::<2>() else { return };
    let whole = (dissector.read)(bytes);
    promises(&whole, bytes);
    let Some(head) = bytes.get(..usize::from(u16::from_le_bytes(*cut))) else { return };
    let early = (dissector.read)(head);
    promises(&early, head);
    if !matches!(early, Verdict::NeedMore(_)) {
        assert_eq!(early, whole, "cut at {}", head.len());
    }
}

/// What every verdict promises of the bytes that it is about.
pub fn promises(verdict: &Verdict, bytes: &[u8]) {
    match verdict {
        Verdict::NotMine | Verdict::Malformed(_) | Verdict::Carries(_) => {}
        Verdict::NeedMore(wanted) => assert!(*wanted > bytes.len(), "wants {wanted} of {}", bytes.len()),
        Verdict::Saw { seen, used, .. } => {
            assert!((1..=bytes.len().max(1)).contains(used), "used {used} of {}", bytes.len());
            observed(seen);
        }
    }
}

/// That nothing in an observation could leave its label, line or page.
pub fn observed(seen: &Observation) {
    match seen {
        Observation::Dns(message) => {
            message.questions.iter().for_each(|question| name(&question.name));
            for record in message.answers.iter().chain(&message.additional) {
                name(&record.name);
                match &record.data {
                    RecordData::Name(target) => name(target),
                    RecordData::Service { target, hints, .. } => {
                        name(target);
                        assert!(hints.len() <= 16);
                    }
                    RecordData::Text(said) => text(said),
                    _ => {}
                }
            }
        }
        Observation::Hello(hello) => {
            hello.name.iter().for_each(name);
            hello.alpn.iter().for_each(text);
            assert!(hello.ja4.iter().all(|print| print.len() == 36 && print.is_ascii()));
            assert!(hello.alpn.len() <= 16);
        }
        Observation::Request(request) => {
            request.host.iter().chain(&request.authority).for_each(name);
            [Some(&request.method), request.path.as_ref(), request.query.as_ref(), request.agent.as_ref()]
                .into_iter()
                .flatten()
                .for_each(text);
        }
        Observation::Lease(lease) => {
            [&lease.hostname, &lease.vendor_class, &lease.fqdn].into_iter().flatten().for_each(text);
            assert!(lease.parameters.len() <= 64 && lease.client_id.len() <= 32);
        }
        Observation::Lease6(lease) => {
            [&lease.fqdn, &lease.vendor_class].into_iter().flatten().for_each(text);
            assert!(lease.duid.len() <= 130 && lease.parameters.len() <= 32);
            assert!(lease.addresses.len() <= 8 && lease.prefixes.len() <= 8 && lease.resolvers.len() <= 8);
        }
        Observation::Announcement(seen) => [&seen.product, &seen.kind, &seen.uuid].into_iter().flatten().for_each(text),
        Observation::Tunnel(tunnel) => tunnel.name.iter().for_each(name),
        Observation::Certificate(certificate) => {
            certificate.names.iter().for_each(name);
            certificate.common_name.iter().chain(&certificate.issuer).for_each(text);
            assert!(certificate.names.len() <= 8 && (0x0300..=0x0303).contains(&certificate.version));
        }
    }
}

fn name(name: &Name) {
    assert!(name.as_str().len() <= Name::MAX && !name.as_str().contains(char::is_control), "{name:?}");
}

fn text(text: &Text) {
    assert!(text.as_str().len() <= Text::MAX * 3 && !text.as_str().contains(char::is_control), "{text:?}");
}

/// Every link layer that can be read.
pub const LINKS: [Link; 10] = [
    Link::Ethernet,
    Link::RawIp,
    Link::Loopback,
    Link::LinuxSll,
    Link::LinuxSll2,
    Link::Ppp,
    Link::Ieee80211,
    Link::Radiotap,
    Link::CiscoHdlc,
    Link::Nflog,
];
