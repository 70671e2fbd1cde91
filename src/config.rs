//! What the person asked for: flags and the configuration file, as typed, become one set of settings, as meant.
//!
//! Every flag has a key of the same name in the file (`--local-net` is `local-net`, `--web.config.file` is `web-config-file`: in
//! TOML a dot would nest); a flag goes before the file, the file before the default. An unknown key is an error that names the nearest one.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use serde::Deserialize;

mod file;
pub mod quantity;

use crate::mark::Phase;
use crate::packet::Mac;

pub use file::parse;
use file::{MOST_KEPT, MOST_WORKERS};
pub(crate) use file::{nearest, words};
use quantity::{Age, Size};

/// Where pages and metrics are served unless said otherwise: on this machine alone.
pub const LISTEN: &str = "127.0.0.1:9843";
/// How many older files of events stay unless said otherwise.
pub const EVENTS_KEEP: u16 = 10;
/// Where `mark` writes unless said otherwise.
pub const MARK_PIPE: &str = "/run/whither/marks";
/// Bytes of a recorded file unless said otherwise.
pub const RECORD_SIZE: u64 = 100_000_000;
/// Bytes of all recorded files together unless said otherwise.
pub const RECORD_TOTAL: u64 = 10_000_000_000;
/// The sensor's name in events unless said otherwise.
pub const SENSOR: &str = "whither";

/// Where does each device send its data? A passive sensor for a lab access point.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 120, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch an access point's interface until stopped, and serve metrics and pages
    Watch(Watch),
    /// Read captures and print where each device sent its data
    Read(Read),
    /// Write a report that anyone with the same captures makes again byte for byte: HTML, Markdown, JSON, CSV
    Report(Report),
    /// Put two captures, or two devices or phases, side by side: who met what, how often, and what sets them apart
    Compare(Compare),
    /// Tell the evidence behind one row of the table: which packets named it, located it and are counted in it
    Explain(Explain),
    /// Tell a sensor that is watching what happens now at the bench
    Mark(Mark),
    /// Write a simulated lab run of three phones, with its truth beside it: no phone was measured
    Simulate(Simulate),
}

/// Flags of `watch` and `read` alike.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Common {
    /// Settings: TOML with the names of these flags as keys
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// An address database in MaxMind's format, asked before the embedded ones (repeatable: country, ASN, City)
    #[arg(long, value_name = "FILE")]
    pub geoip: Vec<PathBuf>,
    /// Names and addresses to look out for, beside the embedded list: a hosts file, domain list, AdBlock-style domain rules or
    /// prefixes (repeatable); hits are events and metrics
    #[arg(long, value_name = "FILE")]
    pub watchlist: Vec<PathBuf>,
    /// The devices that you know: aliases, all MACs of each, notes, expected countries; TOML
    #[arg(long, value_name = "FILE")]
    pub devices: Option<PathBuf>,
    /// A prefix of our side, beside the private ones (repeatable)
    #[arg(long, value_name = "CIDR", value_parser = cidr)]
    pub local_net: Vec<IpNet>,
    /// The access point's own MACs: nobody is asked for them, the machine that captures knows them.
    #[arg(skip)]
    #[serde(skip)]
    pub own_macs: Vec<Mac>,
    /// Where the sensor stands, decimal degrees: handshakes too short for a server's country refute it
    #[arg(long, value_name = "LAT,LON", allow_hyphen_values = true)]
    pub location: Option<Location>,
    /// Devices are addresses, not MACs: for a capture taken behind a router, where one MAC stands for many
    #[arg(long)]
    pub by_address: bool,
    /// Write events as JSON lines; - is standard output
    #[arg(long, value_name = "FILE|-")]
    pub events: Option<PathBuf>,
    /// Begin the file of events anew before it is larger: FILE becomes FILE.1
    #[arg(long, value_name = "SIZE")]
    pub events_max_size: Option<Size>,
    /// Begin the file of events anew when it is as old as this: FILE becomes FILE.1
    #[arg(long, value_name = "TIME")]
    pub events_max_age: Option<Age>,
    /// How many older files of events stay [default: 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_KEPT)))]
    pub events_keep: Option<u16>,
    /// This sensor's name in events [default: whither]
    #[arg(long, value_name = "NAME")]
    pub sensor: Option<String>,
    /// Keep in this directory what should survive a restart: whom each device has met
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// How long after a device's first packet ever its contacts are learnt in silence, like 90s, 30m, 24h, 7d; 0 tells all
    /// [default: 24h]
    #[arg(long, value_name = "DURATION")]
    pub learning: Option<Span>,
    /// Keep what is captured in this directory: a ring of pcapng files, the oldest of which make room
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,
    /// Begin another file before one is larger than this [default: 100MB]
    #[arg(long, value_name = "SIZE")]
    pub record_max_size: Option<Size>,
    /// Begin another file when one is as old as this
    #[arg(long, value_name = "TIME")]
    pub record_max_age: Option<Age>,
    /// All files together take no more than this [default: 10GB]
    #[arg(long, value_name = "SIZE")]
    pub record_max_total: Option<Size>,
    /// Keep whole only the packets in which somebody reads a name or a handshake, and of all others the headers
    #[arg(long)]
    pub record_headers: bool,
    /// Keep only what this device sends or is sent: a MAC, an address, or an alias of the devices file (repeatable)
    #[arg(long, value_name = "DEVICE")]
    pub record_device: Vec<String>,
    /// Take marks from this FIFO, which is made if there is none; `whither mark` and echo write to it
    #[arg(long, value_name = "FIFO")]
    pub mark_pipe: Option<PathBuf>,
    /// Take only packets that match, in tcpdump's filter language
    #[arg(long, value_name = "BPF")]
    pub filter: Option<String>,
    /// Where to serve pages and metrics [default: 127.0.0.1:9843]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// TLS, users and headers for the pages, in the format of the Prometheus exporters' web configuration
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub web_config_file: Option<PathBuf>,
    /// Bytes kept of each packet in a live capture [default: 4096]
    #[arg(long, value_name = "BYTES")]
    pub snaplen: Option<i32>,
    /// MiB of the kernel's ring buffer in a live capture [default: 64]
    #[arg(long, value_name = "MIB")]
    pub buffer: Option<i32>,
    /// Engines that share a live capture, one for each processor that it may take [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST_WORKERS)))]
    pub workers: Option<u8>,
    /// Started as root: whose the process is once the capture is open [default: nobody, else who owns the files given]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Give up all rights that are not needed: capabilities, files, system calls [default: try]
    #[arg(long, value_enum, value_name = "off|try|require", hide_possible_values = true)]
    pub sandbox: Option<Sandbox>,
}

/// Whether, and how strictly, the process gives up the rights that it does not need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sandbox {
    /// It keeps them.
    Off,
    /// It gives up what this kernel lets it give up, and says what not.
    #[default]
    Try,
    /// It does not start where it cannot give up all.
    Require,
}

/// `whither watch`.
#[derive(Args, Debug)]
pub struct Watch {
    /// The interface [default: the one in access-point mode, else the one with the default route]
    pub interface: Option<String>,
    /// The rest.
    #[command(flatten)]
    pub common: Common,
}

/// `whither read`.
#[derive(Args, Debug)]
#[command(mut_args(not_live))]
pub struct Read {
    /// pcap or pcapng captures, plain or gzip-compressed, or directories of them; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write the metrics as a scrape at the end would give them; - is standard output, in place of the table
    #[arg(long, value_name = "FILE|-")]
    pub metrics: Option<PathBuf>,
    /// List each named flow: packet, time, device, client, server, what named it, the name; - is standard output
    #[arg(long, value_name = "FILE|-")]
    pub names: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
    /// After reading, keep pages and metrics up at --listen
    #[arg(long)]
    pub serve: bool,
    /// With --serve: show the pages while reading, at so many times the speed of the capture, as if it happened now
    #[arg(long, value_name = "FACTOR", requires = "serve", value_parser = speed)]
    pub speed: Option<f64>,
    /// The rest.
    #[command(flatten)]
    pub common: Common,
}

/// `whither explain`.
#[derive(Args, Debug)]
#[command(mut_args(only_captures))]
pub struct Explain {
    /// The device: its label in the table, its MAC, one of its addresses, or its host name
    pub device: String,
    /// The destination: what stands in the table's DESTINATION column, an address, AS<n>, a country's code or name, or a full name.
    /// What fits several is taken in this order: address, table, AS, country, full name
    pub destination: String,
    /// pcap or pcapng captures, plain or gzip-compressed, or directories of them; they are read more than once, so not standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Print the evidence as JSON
    #[arg(long)]
    pub json: bool,
    /// Write the packets that decide as a capture of their own, each with a comment that says what it shows
    #[arg(long, value_name = "OUT.pcapng")]
    pub evidence: Option<PathBuf>,
    /// Tell every flow, and write every packet that is counted
    #[arg(long)]
    pub all: bool,
    /// The rest.
    #[command(flatten)]
    pub common: Common,
}

/// `whither report`.
#[derive(Args, Debug)]
#[command(mut_args(only_captures))]
pub struct Report {
    /// pcap or pcapng captures, plain or gzip-compressed, or directories of them; they are hashed too, so not standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Only this device, by its label in the table, its MAC, one of its addresses or its host name (repeatable)
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<String>,
    /// Say of this, too, whether each device met it: a country's code, AS<n>, or a name and all below it (repeatable)
    #[arg(long, value_name = "WHAT")]
    pub ask: Vec<String>,
    /// A log of what was done, beside the marks in the captures: lines of a time (RFC 3339) and a mark
    #[arg(long, value_name = "FILE")]
    pub marks: Option<PathBuf>,
    /// How long after a mark something is said to follow it: 90s, 5m [default: 1m]
    #[arg(long, value_name = "DURATION")]
    pub within: Option<Span>,
    /// Write one page that needs nothing beside it; - is standard output
    #[arg(long, value_name = "FILE|-")]
    pub html: Option<PathBuf>,
    /// Write Markdown; - is standard output [default: there, when nothing else is asked for]
    #[arg(long, value_name = "FILE|-")]
    pub md: Option<PathBuf>,
    /// Write everything as JSON; - is standard output
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// Write a line for each device, destination and server name; - is standard output
    #[arg(long, value_name = "FILE|-")]
    pub csv: Option<PathBuf>,
    /// The rest.
    #[command(flatten)]
    pub common: Common,
}

/// `whither compare`.
#[derive(Args, Debug)]
#[command(mut_args(only_captures))]
pub struct Compare {
    /// One side: a capture; or, when captures follow, a device in them by its label, MAC, address or host name, or a phase (attach, idle, in-use)
    pub a: String,
    /// The other side, likewise
    pub b: String,
    /// The captures of both devices or phases
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Only this device of both captures, or of both phases (repeatable)
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<String>,
    /// A log of what was done, beside the marks in the captures: lines of a time (RFC 3339) and a mark
    #[arg(long, value_name = "FILE")]
    pub marks: Option<PathBuf>,
    /// How long after a mark something is said to follow it: 90s, 5m [default: 1m]
    #[arg(long, value_name = "DURATION")]
    pub within: Option<Span>,
    /// Write one page that needs nothing beside it; - is standard output
    #[arg(long, value_name = "FILE|-")]
    pub html: Option<PathBuf>,
    /// Write Markdown; - is standard output [default: there, when nothing else is asked for]
    #[arg(long, value_name = "FILE|-")]
    pub md: Option<PathBuf>,
    /// Write everything as JSON; - is standard output
    #[arg(long, value_name = "FILE|-")]
    pub json: Option<PathBuf>,
    /// The rest.
    #[command(flatten)]
    pub common: Common,
}

/// `whither mark`.
#[derive(Args, Debug)]
pub struct Mark {
    /// What happens now, as "screen on"
    #[arg(required_unless_present = "phase")]
    pub text: Option<String>,
    /// Which device it is of, by its label, MAC, address or host name [default: all]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// The phase that begins with it
    #[arg(long, value_enum)]
    pub phase: Option<Phase>,
    /// The FIFO of the sensor
    #[arg(long, value_name = "FIFO", default_value = MARK_PIPE)]
    pub mark_pipe: PathBuf,
}

/// `whither simulate`.
#[derive(Args, Debug)]
pub struct Simulate {
    /// The capture to write; its truth goes to the same name with .truth.json, what the users did with .marks
    #[arg(value_name = "OUT.pcap")]
    pub out: PathBuf,
    /// Same seed, same bytes
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Hours of packet time
    #[arg(long, default_value_t = 26, value_parser = clap::value_parser!(u32).range(1..=240))]
    pub hours: u32,
}

impl Cli {
    /// What was typed; ends the process where that is no usage.
    ///
    /// A flag that its command does not show would do nothing, and is refused. In a configuration file it is another command's.
    #[must_use]
    pub fn typed() -> Self {
        Self::from_words(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    fn from_words(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, clap::Error> {
        let mut known = Self::command();
        let matches = known.try_get_matches_from_mut(words)?;
        if let Some((name, given)) = matches.subcommand()
            && let Some(command) = known.find_subcommand_mut(name)
        {
            let is_given = |flag: &&clap::Arg| given.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine);
            let useless = command.get_arguments().filter(|flag| flag.is_hide_set()).find(is_given).and_then(clap::Arg::get_long);
            if let Some(flag) = useless.map(str::to_owned) {
                return Err(command.error(ErrorKind::ArgumentConflict, format!("`{name}` has no use for --{flag}")));
            }
        }
        Self::from_arg_matches(&matches)
    }
}

impl Common {
    /// These flags, over the configuration file's where there is one.
    ///
    /// # Errors
    /// When the file cannot be read, or holds what is no setting.
    pub fn over_file(self) -> Result<Self> {
        let Some(path) = self.config.clone() else { return Ok(self) };
        #[expect(clippy::disallowed_methods, reason = "the configuration is the world's")]
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read the settings {}", path.display()))?;
        let file = parse(&text, &path)?;
        Ok(Self {
            config: self.config,
            geoip: if self.geoip.is_empty() { file.geoip } else { self.geoip },
            watchlist: if self.watchlist.is_empty() { file.watchlist } else { self.watchlist },
            devices: self.devices.or(file.devices),
            local_net: if self.local_net.is_empty() { file.local_net } else { self.local_net },
            own_macs: self.own_macs,
            location: self.location.or(file.location),
            by_address: self.by_address || file.by_address,
            events: self.events.or(file.events),
            events_max_size: self.events_max_size.or(file.events_max_size),
            events_max_age: self.events_max_age.or(file.events_max_age),
            events_keep: self.events_keep.or(file.events_keep),
            sensor: self.sensor.or(file.sensor),
            state: self.state.or(file.state),
            learning: self.learning.or(file.learning),
            record: self.record.or(file.record),
            record_max_size: self.record_max_size.or(file.record_max_size),
            record_max_age: self.record_max_age.or(file.record_max_age),
            record_max_total: self.record_max_total.or(file.record_max_total),
            record_headers: self.record_headers || file.record_headers,
            record_device: if self.record_device.is_empty() { file.record_device } else { self.record_device },
            mark_pipe: self.mark_pipe.or(file.mark_pipe),
            filter: self.filter.or(file.filter),
            listen: self.listen.or(file.listen),
            web_config_file: self.web_config_file.or(file.web_config_file),
            snaplen: self.snaplen.or(file.snaplen),
            buffer: self.buffer.or(file.buffer),
            workers: self.workers.or(file.workers),
            user: self.user.or(file.user),
            sandbox: self.sandbox.or(file.sandbox),
        })
    }

    /// Where to serve.
    ///
    /// # Errors
    /// Never with the default.
    pub fn listen(&self) -> Result<SocketAddr> {
        self.listen.map_or_else(|| LISTEN.parse().context("the default address"), Ok)
    }

    /// The sensor's name.
    #[must_use]
    pub fn sensor(&self) -> &str {
        self.sensor.as_deref().unwrap_or(SENSOR)
    }
}

/// A place on the globe.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Location {
    /// Degrees north, from -90 to 90.
    pub latitude: f64,
    /// Degrees east, from -180 to 180.
    pub longitude: f64,
}

impl std::str::FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let degrees = |text: &str, most: f64| text.trim().parse().ok().filter(|degrees: &f64| degrees.abs() <= most);
        text.split_once(',')
            .and_then(|(north, east)| Some(Self { latitude: degrees(north, 90.0)?, longitude: degrees(east, 180.0)? }))
            .ok_or_else(|| "not a place; write degrees north and degrees east like 54.6872,25.2797".to_owned())
    }
}

impl TryFrom<String> for Location {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A span of time: a whole number of seconds, minutes, hours or days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
        let unit = units.into_iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
        let (number, seconds) = unit.unwrap_or((text, 0));
        let number: u64 = number.parse().map_err(|_| SPAN.to_owned())?;
        if seconds == 0 && number > 0 {
            return Err(SPAN.to_owned());
        }
        number.checked_mul(seconds).map(|seconds| Self(Duration::from_secs(seconds))).ok_or_else(|| SPAN.to_owned())
    }
}

const SPAN: &str = "not a span of time; write one like 90s, 30m, 24h or 7d, or 0";

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A prefix; an address alone is itself.
fn cidr(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .map(|net| net.trunc())
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map_err(|_| "not a prefix; write one like 203.0.113.0/24 or 2001:db8::/48".to_owned())
}

/// Files have been cut and recorded already, take no rights to read, and all events of them are wanted, in one file.
fn not_live(flag: clap::Arg) -> clap::Arg {
    let of_watch = ["mark_pipe", "snaplen", "buffer", "workers", "user", "events_max_size", "events_max_age", "events_keep"];
    let hide = flag.get_id().as_str().starts_with("record") || of_watch.contains(&flag.get_id().as_str());
    if hide { flag.hide(true) } else { flag }
}

/// Nothing is told beside the answer, and only the captures may speak: no earlier run.
fn only_captures(flag: clap::Arg) -> clap::Arg {
    let useless = ["events", "sensor", "listen", "web_config_file", "state", "learning"].contains(&flag.get_id().as_str());
    if useless { flag.hide(true) } else { not_live(flag) }
}

/// A factor that time can be divided by.
fn speed(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|factor| (0.001..=1e9).contains(factor)).ok_or_else(|| "a number from 0.001 to 1000000000".to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::file::KEYS;
    use super::*;
    use std::io::Write as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_ring_is_told_of_where_there_is_one() {
        let help = |name: &str| Cli::command().find_subcommand_mut(name).unwrap().render_long_help().to_string();
        for flag in ["--snaplen", "--buffer", "--workers"] {
            assert_eq!([help("watch").contains(flag), help("read").contains(flag)], [true, false], "{flag}");
        }
    }

    #[test]
    fn every_common_flag_has_its_key_in_the_file() {
        let command = Cli::command();
        let watch = command.find_subcommand("watch").unwrap();
        let flags = watch.get_arguments().filter_map(clap::Arg::get_long).filter(|flag| !matches!(*flag, "config" | "help"));
        let mut flags: Vec<_> = flags.map(|flag| flag.replace('.', "-")).collect();
        flags.sort_unstable();
        let mut keys = KEYS.to_vec();
        keys.sort_unstable();
        assert_eq!(flags, keys);
    }

    #[test]
    fn a_flag_goes_before_the_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"sensor = 'bench'\nlisten = '127.0.0.1:1'\nlocal-net = ['203.0.113.0/24']\n").unwrap();
        let path = file.path().to_str().unwrap();
        let Command::Watch(watch) = Cli::parse_from(["whither", "watch", "--config", path, "--sensor", "roof"]).command else { panic!() };
        let common = watch.common.over_file().unwrap();
        assert_eq!(common.sensor(), "roof");
        assert_eq!(common.listen().unwrap().port(), 1);
        assert_eq!(common.local_net.len(), 1);
    }

    #[test]
    fn a_place_is_two_numbers_on_the_globe() {
        let place = |text: &str| text.parse::<Location>().ok().map(|place| (place.latitude, place.longitude));
        assert_eq!(place("54.6872,25.2797"), Some((54.6872, 25.2797)));
        assert_eq!(place("-33.9, 18.4"), Some((-33.9, 18.4)));
        for wrong in ["", "54.7", "54.7;25.3", "91,0", "0,180.5", "NaN,0", "inf,0", "54,7,25,3", "vilnius"] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
        let Command::Watch(watch) = Cli::parse_from(["whither", "watch", "--location", "-33.9,18.4"]).command else { panic!() };
        assert_eq!(watch.common.location.map(|place| place.latitude), Some(-33.9));
        let file = parse("location = '54.6872,25.2797'", Path::new("w.toml")).unwrap();
        assert_eq!(file.location.map(|place| place.longitude), Some(25.2797));
        assert!(parse("location = 'Vilnius'", Path::new("w.toml")).is_err());
    }

    #[test]
    fn a_span_is_a_number_and_its_unit() {
        let seconds = |text: &str| text.parse::<Span>().ok().map(|span| span.0.as_secs());
        assert_eq!(["0", "0s", "90s", "30m", "24h", "7d"].map(seconds), [0, 0, 90, 1_800, 86_400, 604_800].map(Some));
        for wrong in ["", "h", "24", "1.5h", "-1h", "1 h", "24H", "18446744073709551615d", "1h30m", "\u{661}h"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
        assert_eq!(parse("learning = '12h'", Path::new("w.toml")).unwrap().learning, Some(Span(Duration::from_secs(43_200))));
        assert!(parse("learning = 'long'", Path::new("w.toml")).is_err());
    }

    #[test]
    fn an_unknown_key_is_told_with_the_nearest() {
        let error = parse("sensr = 'x'", Path::new("w.toml")).unwrap_err();
        assert_eq!(error.to_string(), "w.toml: there is no setting `sensr`; did you mean `sensor`?");
    }
}
