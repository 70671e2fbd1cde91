//! What `watch` does beside watching: keeps what is captured, and takes marks.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use whither::config::{Common, RECORD_SIZE, RECORD_TOTAL};
use whither::engine::Engine;
use whither::engine::roster::Roster;
use whither::export::InterfaceRow;
use whither::export::explain::ask;
use whither::export::pcapng::{Captured, Counts, Source};
use whither::export::record::{News, Recorder, Rules, Stats};
use whither::packet::{Body, Frame, Link, Mac, Packet, Timestamp};

use super::devices;
use super::mark::Pipe;

/// All of it; nothing where nothing was asked for.
#[derive(Debug, Default)]
pub(super) struct Beside {
    recorder: Option<Recorder>,
    pipe: Option<Pipe>,
    only: Option<Only>,
    headers: bool,
}

/// The devices that are kept.
#[derive(Debug)]
struct Only {
    macs: Vec<Mac>,
    addresses: Vec<IpAddr>,
}

impl Beside {
    /// What must be opened before the process is confined.
    pub(super) fn before(common: &Common) -> Result<Self> {
        let pipe = common.mark_pipe.as_deref().map(Pipe::open).transpose()?;
        Ok(Self { pipe, ..Self::default() })
    }

    /// The rest. `link`: how the interface's frames begin.
    pub(super) fn open(&mut self, interface: &str, (link, snaplen): (Option<Link>, i32), common: &Common) -> Result<()> {
        let Some(folder) = &common.record else {
            let bounds = common.record_max_size.is_some() || common.record_max_total.is_some() || common.record_max_age.is_some();
            if common.record_headers || !common.record_device.is_empty() || bounds {
                bail!("the flags that begin with --record- say what --record DIR keeps: give that too");
            }
            return Ok(());
        };
        if common.workers.is_some_and(|workers| workers > 1) {
            bail!("--record keeps packets in the order in which they came, which several --workers do not know: leave out one of them");
        }
        self.headers = common.record_headers;
        self.only = Only::of(&common.record_device, &devices(common.devices.as_deref())?)?;
        let mut notes = Vec::new();
        if self.headers {
            notes.push("whole are packets in which somebody read a name or a handshake; of all others there are the headers".to_owned());
        }
        if self.only.is_some() {
            notes.push(format!("only what was sent by or to {}", common.record_device.join(", ")));
        }
        let source = Source {
            interface: interface.to_owned(),
            linktype: link.map_or(1, Link::linktype),
            snaplen: u32::try_from(snaplen).unwrap_or_default(),
            filter: common.filter.clone(),
        };
        let rules = Rules {
            size: common.record_max_size.map_or(RECORD_SIZE, |size| size.0),
            age: common.record_max_age.map(|age| age.0),
            total: common.record_max_total.map_or(RECORD_TOTAL, |total| total.0),
            source,
            notes,
        };
        self.recorder = Some(Recorder::open(folder, rules, tell(folder))?);
        Ok(())
    }

    /// How recording goes.
    pub(super) fn stats(&self) -> Option<Arc<Stats>> {
        self.recorder.as_ref().map(Recorder::stats)
    }

    /// Keeps a frame that an engine has just taken in.
    pub(super) fn frame(&mut self, frame: &Frame<'_>, engine: &Engine) {
        let Some(recorder) = &mut self.recorder else { return };
        if self.only.as_ref().is_some_and(|only| !only.takes(frame)) {
            return;
        }
        let head = engine.head().filter(|_| self.headers);
        let data = head.and_then(|head| frame.data.get(..head)).unwrap_or(frame.data);
        let nanos = frame.time.as_nanos();
        recorder.packet(Captured { nanos, linktype: frame.link.linktype(), wire_len: frame.wire_len, data });
    }

    /// Ends a turn: tells the engine the marks that have come, and keeps all.
    pub(super) fn turn(&mut self, engine: &mut Engine, row: &InterfaceRow, now: Timestamp) {
        for mark in self.pipe.iter_mut().flat_map(Pipe::take) {
            if let Some(recorder) = &mut self.recorder {
                recorder.mark(mark.clone());
            }
            engine.mark(mark, 0);
        }
        if let Some(recorder) = &mut self.recorder {
            let received = row.packets.saturating_add(row.dropped_kernel);
            let counts = Counts { received, kernel: row.dropped_kernel, interface: row.dropped_interface, recorder: 0 };
            recorder.counts(now.as_nanos(), counts);
            recorder.flush();
        }
    }

    /// Writes what waits.
    pub(super) fn finish(self) {
        let Some(recorder) = self.recorder else { return };
        let stats = recorder.stats();
        recorder.finish();
        let row = stats.row();
        let dropped =
            if row.dropped == 0 { "none dropped".to_owned() } else { format!("{} DROPPED: the disk could not follow", row.dropped) };
        eprintln!("whither: {} packets recorded, {dropped}", row.packets);
    }
}

fn tell(folder: &Path) -> impl FnMut(News<'_>) + Send + 'static {
    let folder = folder.display().to_string();
    move |news| match news {
        News::Failed(error) => eprintln!("whither: cannot record to {folder}: {error}; trying on, dropping and counting what comes"),
        News::Again(dropped) => eprintln!("whither: recording to {folder} again; {dropped} packets were dropped"),
    }
}

impl Only {
    /// The devices that are meant; none: all.
    fn of(devices: &[String], roster: &Roster) -> Result<Option<Self>> {
        let mut only = Self { macs: Vec::new(), addresses: Vec::new() };
        for words in devices {
            let known = roster.by_alias(words);
            match (known, ask::mac(words), words.parse::<IpAddr>()) {
                (Some(entry), ..) => {
                    only.macs.extend(&entry.macs);
                    only.addresses.extend(&entry.addresses);
                }
                (None, Some(mac), _) => only.macs.push(Mac(mac)),
                (None, None, Ok(address)) => only.addresses.push(address.to_canonical()),
                _ => return Err(anyhow!("--record-device {words}: no MAC, no address, and no alias in the devices file")),
            }
        }
        Ok((!devices.is_empty()).then_some(only))
    }

    /// Whether a frame is of one of them. What cannot be decoded is of nobody.
    fn takes(&self, frame: &Frame<'_>) -> bool {
        let Ok(packet) = Packet::decode(frame) else { return false };
        let mac = packet.macs.is_some_and(|macs| self.macs.contains(&macs.source) || self.macs.contains(&macs.target));
        mac || match packet.body {
            Body::Ip(datagram) => [datagram.source, datagram.target].iter().any(|end| self.addresses.contains(&end.ip().to_canonical())),
            Body::Link(..) => false,
        }
    }
}
