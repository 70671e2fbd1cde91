//! What a report says, owned, sorted and printable: the writers' whole world.
//!
//! Numbers are whole (bytes, milliseconds, thousandths) wherever they can be, so that no library's last digit shows.

use std::time::Duration;

use serde::Serialize;

/// What the report is told of its making, beside what the engine knows.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The captures in the order in which they were read.
    pub captures: Vec<Capture>,
    /// The lists in the order in which they are asked, the embedded one last.
    pub lists: Vec<Listing>,
    /// Settings that change what is told, by name; the files among them by their hash.
    pub settings: Vec<(String, String)>,
    /// SHA-256 of the settings' lines, `name = value`.
    pub settings_sha256: String,
    /// Where the sensor stood: degrees north and east.
    pub bench: Option<(f64, f64)>,
    /// What was asked about, as typed.
    pub asked: Vec<String>,
    /// How long after a mark something is said to follow it.
    pub within: Duration,
}

/// One capture.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Capture {
    /// Its file's name, without the way to it: that is another one elsewhere.
    pub name: String,
    /// Its size as it lies there, compressed or not.
    pub bytes: u64,
    /// The hash of these bytes, hexadecimal.
    pub sha256: String,
    /// Frames in it.
    pub frames: u64,
    /// Frames of which it does not hold the end.
    pub cut_frames: u64,
    /// Frames that `--filter` left out.
    pub filtered_frames: u64,
    /// The first frame's time, RFC 3339.
    pub first: Option<String>,
    /// The latest frame's.
    pub last: Option<String>,
    /// What its writer says that it lost.
    pub drops: Drops,
    /// Where and why it breaks off.
    pub damage: Option<String>,
}

/// What the writer of a capture says that it lost. A pcap file has no place for that; a pcapng file may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drops {
    /// Frames that the interface dropped (`isb_ifdrop`).
    pub interface: Option<u64>,
    /// Frames that the system dropped (`isb_osdrop`).
    pub system: Option<u64>,
}

/// A list or other file that had a say.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Listing {
    /// Its name.
    pub name: String,
    /// Its hash, hexadecimal.
    pub sha256: String,
    /// Its rules.
    pub rules: usize,
}

/// Devices on the page and in Markdown: a flood of forged ones would be a page that nobody can open. JSON and CSV have all.
pub(super) const MOST_DEVICES: usize = 64;

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub(super) format: &'static str,
    pub(super) header: Header,
    /// What somebody at the bench said, in the order of time.
    pub(super) marks: Vec<MarkRow>,
    pub(super) devices: Vec<Device>,
    pub(super) blind_spots: Vec<BlindSpot>,
    pub(super) limits: Vec<&'static str>,
}

/// What the report rests on.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Header {
    pub(super) whither: &'static str,
    pub(super) revision: Option<&'static str>,
    pub(super) captures: Vec<Capture>,
    /// First and last packet of all.
    pub(super) first: Option<String>,
    pub(super) last: Option<String>,
    pub(super) frames: u64,
    pub(super) not_charged: Vec<Count>,
    pub(super) not_read: Vec<Count>,
    /// Tables that turned something away.
    pub(super) refused: Vec<Count>,
    pub(super) events_dropped: u64,
    /// Flows whose name and time are in no list below: these are full.
    pub(super) untold_flows: u64,
    /// Flows whose own time found no room, so that no mark is held against them.
    pub(super) untimed_flows: u64,
    pub(super) databases: Vec<Database>,
    pub(super) lists: Vec<Listing>,
    pub(super) settings: Vec<Setting>,
    pub(super) settings_sha256: String,
    pub(super) bench: Option<[f64; 2]>,
    pub(super) attribution: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Count {
    pub(super) what: &'static str,
    pub(super) count: u64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Database {
    pub(super) name: String,
    pub(super) built: String,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: String,
}

/// One device.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Device {
    pub(super) id: String,
    /// For a person: name and label.
    pub(super) title: String,
    pub(super) macs: Vec<String>,
    pub(super) hostname: Option<String>,
    pub(super) maker: Option<String>,
    pub(super) randomized_mac: bool,
    pub(super) addresses: Vec<String>,
    pub(super) notes: Option<String>,
    pub(super) expected_countries: Vec<String>,
    pub(super) first: String,
    pub(super) last: String,
    pub(super) transmit_bytes: u64,
    pub(super) receive_bytes: u64,
    pub(super) flows: u64,
    pub(super) coverage: Coverage,
    pub(super) countries: Vec<Place>,
    pub(super) visibility: Vec<Share>,
    pub(super) destinations: Vec<Destination>,
    pub(super) first_contacts: Vec<FirstContact>,
    pub(super) rhythms: Vec<Rhythm>,
    pub(super) pulls: Vec<Pulls>,
    pub(super) pull_count: u64,
    /// What followed the marks, the least p first.
    pub(super) responses: Vec<Response>,
    /// What did not: tests of a label against a destination of which no flow followed it.
    pub(super) silent_tests: u64,
    /// How long after a mark counts.
    pub(super) within_seconds: u64,
    pub(super) not_observed: Vec<Absence>,
    /// What was asked about and observed.
    pub(super) asked: Vec<Answer>,
    pub(super) phases: Vec<PhaseRow>,
    pub(super) timeline: Timeline,
    /// TLS clients on it by their fingerprint, the most frequent first.
    pub(super) ja4: Vec<Print>,
}

/// A mark.
#[derive(Clone, Debug, Serialize)]
pub(super) struct MarkRow {
    pub(super) time: String,
    pub(super) text: String,
    /// The label of the device that it is of; none: of all.
    pub(super) device: Option<String>,
    pub(super) phase: Option<&'static str>,
}

/// A time that a device spent in a phase.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PhaseRow {
    pub(super) phase: &'static str,
    /// What says so: `mark`, `joining` or `traffic`.
    pub(super) by: &'static str,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) seconds: u64,
}

/// A TLS client by its fingerprint (JA4).
#[derive(Clone, Debug, Serialize)]
pub(super) struct Print {
    pub(super) ja4: String,
    pub(super) hellos: u64,
}

/// What a "not observed" is worth.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Coverage {
    pub(super) associated_seconds: u64,
    pub(super) associations: u64,
    /// Frames that the captures' writers say they lost; none where they do not say.
    pub(super) frames_lost: Option<u64>,
    pub(super) frames: u64,
    pub(super) frames_cut: u64,
    /// Bytes to and from the outside.
    pub(super) outside_bytes: u64,
    /// Of these, without a name and not hidden by a known means.
    pub(super) unnamed_bytes: u64,
    /// Of these, with their destination or name hidden, and how.
    pub(super) hidden_bytes: u64,
    pub(super) hidden: Vec<Share>,
    /// Flows to the web's ports, and those of them that had a name.
    pub(super) web_flows: u64,
    pub(super) web_flows_named: u64,
    pub(super) outside_flows: u64,
    /// Flows into tunnels and relays, and those to addresses of no one country.
    pub(super) tunnelled_flows: u64,
    pub(super) placeless_flows: u64,
}

/// A class of bytes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Share {
    pub(super) class: &'static str,
    pub(super) words: &'static str,
    pub(super) hidden: bool,
    pub(super) bytes: u64,
}

/// A country, or what stands for one.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Place {
    /// ISO 3166 alpha-2, else `local`, `multicast`, `unknown`.
    pub(super) code: String,
    pub(super) name: String,
    pub(super) transmit_bytes: u64,
    pub(super) receive_bytes: u64,
    pub(super) unmeasured_bytes: u64,
    pub(super) consistent_bytes: u64,
    pub(super) refuted_bytes: u64,
    /// Bytes of accounts with servers that are announced from many places.
    pub(super) anycast_bytes: u64,
}

/// An account: registrable domain or AS, what named it, and where it is.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Destination {
    pub(super) destination: String,
    pub(super) origin: &'static str,
    pub(super) country: String,
    pub(super) country_name: String,
    pub(super) asn: Option<u32>,
    pub(super) organization: Option<String>,
    pub(super) outside: bool,
    pub(super) anycast: bool,
    pub(super) services: Vec<Service>,
    /// Bytes by verdict: `unmeasured`, `consistent`, `refuted`.
    pub(super) verdict: &'static str,
    pub(super) unmeasured_bytes: u64,
    pub(super) consistent_bytes: u64,
    pub(super) refuted_bytes: u64,
    /// What all witnesses say of the server that is contradicted most, else of the first.
    pub(super) witnesses: Option<String>,
    pub(super) transmit_bytes: u64,
    pub(super) receive_bytes: u64,
    pub(super) flows: u64,
    pub(super) first: String,
    pub(super) last: String,
    pub(super) names: Vec<Name>,
}

/// What a destination is for.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Service {
    pub(super) category: &'static str,
    pub(super) vendor: Option<String>,
    pub(super) ambiguous: bool,
    pub(super) bytes: u64,
}

/// A full name under a destination, from flows that ended.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Name {
    /// None: the flows without one.
    pub(super) name: Option<String>,
    pub(super) category: Option<&'static str>,
    pub(super) ambiguous: bool,
    pub(super) vendor: Option<String>,
    pub(super) transmit_bytes: u64,
    pub(super) receive_bytes: u64,
    pub(super) flows: u64,
    pub(super) first: String,
    pub(super) last: String,
    pub(super) servers: Vec<Server>,
    pub(super) more_servers: bool,
}

/// A server, and what its witnesses say.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Server {
    pub(super) address: String,
    pub(super) verdict: &'static str,
    pub(super) witnesses: String,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct FirstContact {
    pub(super) kind: &'static str,
    pub(super) value: String,
    /// A country's name.
    pub(super) words: Option<String>,
    pub(super) first: String,
    pub(super) last: String,
    pub(super) flows: u64,
}

/// What comes again and again.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Rhythm {
    pub(super) destination: String,
    pub(super) category: Option<&'static str>,
    /// `anchored`, `periodic`, `persistent`, as far as it is.
    pub(super) kinds: Vec<&'static str>,
    pub(super) beats: usize,
    pub(super) period_ms: Option<u64>,
    pub(super) jitter_ms: Option<u64>,
    pub(super) regularity_permille: Option<u64>,
    pub(super) bytes_per_beat: u64,
    pub(super) least_gap_ms: Option<u64>,
    pub(super) round_gap: Option<&'static str>,
    pub(super) after_joining: Option<String>,
    pub(super) persistent_flows: u64,
    pub(super) persistent_longest_seconds: u64,
}

/// Config pulls from one name.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Pulls {
    pub(super) name: String,
    pub(super) category: &'static str,
    pub(super) vendor: Option<String>,
    pub(super) count: u64,
    pub(super) bursts: usize,
    pub(super) least_gap_ms: Option<u64>,
    pub(super) round_gap: Option<&'static str>,
    pub(super) waited_ms: Option<u64>,
    pub(super) small: u64,
    pub(super) large: u64,
    pub(super) changes: u64,
    pub(super) pulls: Vec<Pull>,
}

/// One pull.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Pull {
    pub(super) begin: String,
    pub(super) server: String,
    pub(super) country: String,
    pub(super) attach_delay_ms: Option<u64>,
    pub(super) gap_ms: Option<u64>,
    pub(super) burst_gap_ms: Option<u64>,
    pub(super) request_bytes: u64,
    pub(super) response_bytes: u64,
    pub(super) size_class: Option<&'static str>,
    pub(super) changed: Option<bool>,
}

/// What followed the marks of one label.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Response {
    pub(super) label: String,
    pub(super) marks: u64,
    /// Marks that a flow followed.
    pub(super) answered: u64,
    /// Full name, else account.
    pub(super) destination: String,
    pub(super) category: Option<&'static str>,
    /// Of the flows that began within the window after the marks.
    pub(super) bytes: u64,
    /// The mean of that over all shifts of the marks.
    pub(super) expected_bytes: u64,
    /// From a mark to the first flow after it.
    pub(super) median_delay_ms: u64,
    /// The share of the shifts that give as many bytes.
    pub(super) p_millionths: u64,
    /// The same, corrected for all tests of the device (Benjamini-Hochberg).
    pub(super) q_millionths: u64,
}

/// Something that was not observed, and what that is worth.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Absence {
    pub(super) what: String,
    /// Why it is spoken of at all.
    pub(super) because: String,
    /// What would have shown it.
    pub(super) would_show: &'static str,
    /// The least that would have been seen.
    pub(super) least: &'static str,
    /// The chance that one occurrence would have been seen, thousandths.
    pub(super) seen_permille: u64,
    /// What that chance supposes.
    pub(super) provided: &'static str,
    /// Random occurrences at least as often as once in so many seconds would have been seen with 95 %; none where it was there too short.
    pub(super) once_in_seconds: Option<u64>,
    /// A timer of at most so many seconds would have gone off three times.
    pub(super) timer_seconds: u64,
    /// What follows this share of associations, thousandths, or more would have been seen with 95 %.
    pub(super) after_joining_permille: Option<u64>,
    /// Bytes of which it cannot be said that they were not this.
    pub(super) not_excluded_bytes: u64,
    pub(super) conditions: Vec<Condition>,
    /// `supported` where all conditions hold, `weak` where one does not, `open` where one is not known.
    pub(super) support: &'static str,
}

/// Something that was asked about and observed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Answer {
    pub(super) what: String,
    pub(super) observed: String,
}

/// What a "not observed" should fulfil.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Condition {
    pub(super) what: &'static str,
    pub(super) is: String,
    pub(super) met: Option<bool>,
}

/// When destinations were met, in bins of one width.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Timeline {
    /// Nanoseconds since the epoch.
    pub(super) begin: u64,
    pub(super) bin_seconds: u64,
    /// Seconds from the begin to the last packet.
    pub(super) seconds: u64,
    /// Associations, seconds after the begin.
    pub(super) joins: Vec<u64>,
    /// Marks of it or of all, seconds after the begin.
    pub(super) marks: Vec<(u64, String)>,
    /// Phases: begin and end, seconds after the begin, and which.
    pub(super) phases: Vec<(u64, u64, &'static str)>,
    pub(super) strips: Vec<Strip>,
}

/// One destination's time: of each bin that holds something its number, flows begun, bytes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Strip {
    pub(super) destination: String,
    pub(super) category: Option<&'static str>,
    pub(super) ambiguous: bool,
    pub(super) country: String,
    pub(super) bytes: u64,
    pub(super) bins: Vec<(usize, u32, u64)>,
}

/// What cannot be seen, why, and how much of these captures that is.
#[derive(Clone, Debug, Serialize)]
pub(super) struct BlindSpot {
    pub(super) what: &'static str,
    pub(super) hides: &'static str,
    pub(super) here: String,
}
