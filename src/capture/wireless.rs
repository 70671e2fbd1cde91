//! Which wireless interfaces are access points: one question to the kernel, over generic netlink (nl80211).
//!
//! Nothing leaves the machine: netlink is a socket between a program and its own kernel, and the question needs no rights.
//! Roads not taken: `/sys` and `/proc` do not tell the mode; the wireless extensions that did need an `ioctl`, so `unsafe`, and
//! are gone for Wi-Fi 7 devices; running `iw` needs `iw`; the netlink crates bring a dozen others for this one question.
//! Attribute numbers and layouts: `linux/netlink.h`, `linux/genetlink.h`, `linux/nl80211.h`.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NL80211_CMD_GET_INTERFACE: u8 = 5;
const NL80211_ATTR_IFNAME: u16 = 4;
const NL80211_ATTR_IFTYPE: u16 = 5;
const NL80211_IFTYPE_AP: u32 = 3;
/// nlmsghdr (16 bytes) and genlmsghdr (4 bytes).
const HEADERS: usize = 20;
/// Answers read at most: the kernel is trusted, but no loop here is without an end.
const ANSWERS: usize = 64;

/// The names of the interfaces in access-point mode, sorted; none where the kernel has no wireless.
pub(crate) fn access_points() -> Vec<String> {
    let mut names = ask_for_access_points().unwrap_or_default();
    names.sort();
    names
}

fn ask_for_access_points() -> Option<Vec<String>> {
    let kernel = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkGeneric).ok()?;
    bind(kernel.as_raw_fd(), &NetlinkAddr::new(0, 0)).ok()?;
    setsockopt(&kernel, sockopt::ReceiveTimeout, &TimeVal::seconds(1)).ok()?;
    let family = ask(&kernel, &request(GENL_ID_CTRL, NLM_F_REQUEST, CTRL_CMD_GETFAMILY, Some((CTRL_ATTR_FAMILY_NAME, b"nl80211\0"))))?;
    let family = family.iter().flat_map(|answer| Attributes(answer)).find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID)?.1;
    let family = u16::from_ne_bytes(family.try_into().ok()?);
    let interfaces = ask(&kernel, &request(family, NLM_F_REQUEST | NLM_F_DUMP, NL80211_CMD_GET_INTERFACE, None))?;
    Some(interfaces.iter().filter_map(|answer| access_point(answer)).collect())
}

/// The interface's name, if these attributes are of one in access-point mode.
fn access_point(attributes: &[u8]) -> Option<String> {
    let value = |kind| Attributes(attributes).find(|(found, _)| *found == kind).map(|(_, value)| value);
    let mode = u32::from_ne_bytes(value(NL80211_ATTR_IFTYPE)?.try_into().ok()?);
    let name = value(NL80211_ATTR_IFNAME)?.split(|byte| *byte == 0).next()?;
    (mode == NL80211_IFTYPE_AP).then(|| String::from_utf8_lossy(name).into_owned())
}

/// A generic netlink request with at most one attribute.
fn request(family: u16, flags: u16, command: u8, attribute: Option<(u16, &[u8])>) -> Vec<u8> {
    let mut body = vec![command, 1, 0, 0];
    if let Some((kind, value)) = attribute {
        body.extend(u16::try_from(value.len() + 4).unwrap_or(u16::MAX).to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut message = u32::try_from(body.len() + 16).unwrap_or(u32::MAX).to_ne_bytes().to_vec();
    message.extend(family.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(1_u32.to_ne_bytes()); // sequence
    message.extend(0_u32.to_ne_bytes()); // our port: the kernel fills it in
    message.extend(body);
    message
}

/// The attributes of every answer to a request; `None` when the kernel refuses or does not answer.
fn ask(kernel: &OwnedFd, request: &[u8]) -> Option<Vec<Vec<u8>>> {
    let dump = request.get(6..8) != Some(NLM_F_REQUEST.to_ne_bytes().as_slice());
    sendto(kernel.as_raw_fd(), request, &NetlinkAddr::new(0, 0), MsgFlags::empty()).ok()?;
    let mut answers = Vec::new();
    let mut buffer = vec![0; 32 * 1024];
    for _ in 0..ANSWERS {
        let read = recv(kernel.as_raw_fd(), &mut buffer, MsgFlags::empty()).ok()?;
        let mut rest = buffer.get(..read)?;
        while let Some((kind, message, after)) = next_message(rest) {
            match kind {
                NLMSG_ERROR => return None,
                NLMSG_DONE => return Some(answers),
                _ => answers.push(message.get(HEADERS..).unwrap_or_default().to_vec()),
            }
            rest = after;
        }
        if !dump {
            return Some(answers);
        }
    }
    Some(answers)
}

/// The first netlink message: its type, its bytes with the headers, and what follows.
fn next_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (kind, _) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_ne_bytes(*length)).ok()?;
    let message = bytes.get(..length).filter(|message| message.len() >= 16)?;
    Some((u16::from_ne_bytes(*kind), message, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// Netlink attributes: type and value.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (kind, _) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_ne_bytes(*length));
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes(*kind) & 0x3fff, value)) // two flag bits on top
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = u16::try_from(value.len() + 4).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn only_an_interface_in_access_point_mode_is_named() {
        let interface = |mode: u32| [attribute(3, &[7, 0, 0, 0]), attribute(4, b"wlan0\0"), attribute(5, &mode.to_ne_bytes())].concat();
        assert_eq!(access_point(&interface(3)).as_deref(), Some("wlan0"));
        assert_eq!(access_point(&interface(2)), None, "a station");
        assert_eq!(access_point(&attribute(5, &3_u32.to_ne_bytes())), None, "a P2P device has no name");
    }

    #[test]
    fn damaged_attributes_end_the_reading() {
        let good = attribute(4, b"wlan0\0");
        for cut in 0..good.len() {
            assert!(Attributes(good.get(..cut).unwrap()).count() <= 1);
        }
        assert_eq!(Attributes(&[0, 0, 4, 0, 1, 2]).next(), None, "a length of zero would never end");
    }

    #[test]
    fn messages_are_split_at_their_lengths() {
        let two = [request(20, 1, 5, None), request(21, 1, 5, Some((4, b"a\0")))].concat();
        let (first, _, rest) = next_message(&two).unwrap();
        let (second, message, rest) = next_message(rest).unwrap();
        assert_eq!((first, second, rest), (20, 21, &[][..]));
        assert_eq!(Attributes(message.get(HEADERS..).unwrap()).collect::<Vec<_>>(), [(4, &b"a\0"[..])]);
        assert_eq!(next_message(&[0; 16]), None, "a length of zero would never end");
    }

    #[test]
    fn the_kernel_is_asked_without_rights_and_without_wireless() {
        // Whatever the machine: an answer within the time limit, and names that exist.
        for name in access_points() {
            assert!(std::path::Path::new("/sys/class/net").join(name).exists());
        }
    }
}
