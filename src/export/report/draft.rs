//! Makes the model of the engine's snapshot and of what was gathered: picks, sums, sorts, and makes every text printable.

use std::cmp::Reverse;
use std::sync::Arc;

use super::blind;
use super::gather::{Flows, Gather, Row};
use super::model::{
    Count, Coverage, Database, Destination, Device, FirstContact, Header, Inputs, Name, Place, Print, Pull, Pulls, Report, Rhythm, Server,
    Service, Setting, Share, Strip, Timeline,
};
use super::phases::Phases;
use super::response;
use super::said::{self, phases};
use super::unmet::{self, Met};
use super::words::{as_ms, clean, milliseconds, span_ms};
use crate::engine::geo::Country;
use crate::engine::snapshot::{
    Attach, Both, Class, DestinationRow, DeviceRow, Place as Where, PullsRow, RhythmRow, SizeClass, Snapshot, VERDICTS,
};
use crate::export::notable::HIDDEN;
use crate::export::{ATTRIBUTION, REVISION, VERSION, day, rfc3339, table};

/// The report on some devices, given by their labels; on all of them where none is given.
#[must_use]
pub fn draft(inputs: Inputs, snapshot: &Snapshot, gather: &Gather, wanted: &[Arc<str>]) -> Report {
    let (asked, within) = (inputs.asked.clone(), inputs.within);
    let header = header(inputs, snapshot, gather);
    let mut rows: Vec<&DeviceRow> = snapshot.devices.iter().filter(|row| wanted.is_empty() || wanted.contains(&row.id)).collect();
    rows.sort_by_key(|row| row.router); // stable; what forwards for others comes last
    let mut devices: Vec<Device> = rows.iter().map(|row| device(row, &header, snapshot, gather)).collect();
    // All are compared, also those that are not told.
    let all: Vec<Met> = snapshot.devices.iter().filter(|row| !row.router).map(|row| Met::of(row, snapshot)).collect();
    for (row, device) in rows.iter().zip(&mut devices) {
        if !row.router && device.coverage.outside_bytes > 0 {
            device.not_observed = unmet::not_observed(row, device, &all, gather, &asked);
            device.asked = unmet::answers(row, gather, &asked);
            (device.responses, device.silent_tests) = response::responses(row, gather, within);
            device.within_seconds = within.as_secs();
        }
    }
    let blind_spots = blind::spots(&header, &devices);
    Report { format: "whither-report/1", header, marks: said::marks(gather, &rows), devices, blind_spots, limits: blind::LIMITS.to_vec() }
}

fn header(inputs: Inputs, snapshot: &Snapshot, gather: &Gather) -> Header {
    let counts = |counts: &[(&'static str, u64)]| -> Vec<Count> {
        counts.iter().filter(|(_, count)| *count > 0).map(|(what, count)| Count { what, count: *count }).collect()
    };
    let refused: Vec<(&'static str, u64)> = snapshot.tables.iter().map(|row| (row.table, row.refused)).collect();
    Header {
        whither: VERSION,
        revision: REVISION,
        first: inputs.captures.iter().filter_map(|capture| capture.first.clone()).min(),
        last: inputs.captures.iter().filter_map(|capture| capture.last.clone()).max(),
        captures: inputs.captures,
        frames: snapshot.packets,
        not_charged: counts(&snapshot.skipped),
        not_read: counts(&snapshot.input_errors),
        refused: counts(&refused),
        events_dropped: snapshot.events_dropped,
        untold_flows: gather.untold,
        untimed_flows: gather.untimed,
        databases: snapshot.databases.iter().map(|row| Database { name: clean(&row.database), built: day(row.built) }).collect(),
        lists: inputs.lists,
        settings: inputs.settings.into_iter().map(|(name, value)| Setting { name, value: clean(&value) }).collect(),
        settings_sha256: inputs.settings_sha256,
        bench: inputs.bench.map(|(north, east)| [north, east]),
        attribution: ATTRIBUTION,
    }
}

fn device(row: &DeviceRow, header: &Header, snapshot: &Snapshot, gather: &Gather) -> Device {
    let destinations: Vec<&DestinationRow> = snapshot.destinations.iter().filter(|other| other.device == row.id).collect();
    let told = phases(&row.id, snapshot, gather);
    let clean_text = |text: &Option<Arc<str>>| text.as_deref().map(clean);
    Device {
        id: clean(&row.id),
        title: clean(&table::label(row)),
        macs: row.macs.iter().map(ToString::to_string).collect(),
        hostname: clean_text(&row.hostname),
        maker: clean_text(&row.vendor),
        randomized_mac: row.randomized,
        addresses: row.addresses.iter().map(ToString::to_string).collect(),
        notes: clean_text(&row.notes),
        expected_countries: row.expected.iter().map(|country| country.as_str().to_owned()).collect(),
        first: time(row.first.as_nanos()),
        last: time(row.last.as_nanos()),
        transmit_bytes: row.total.transmit.bytes,
        receive_bytes: row.total.receive.bytes,
        flows: row.flows.iter().fold(0, |sum, count| sum.saturating_add(*count)),
        coverage: coverage(row, header, snapshot, gather),
        countries: countries(row, snapshot, &destinations),
        visibility: row.visibility.iter().map(|(class, some)| share(*class, bytes(some))).collect(),
        destinations: tell_destinations(destinations, gather),
        first_contacts: first_contacts(row, snapshot),
        rhythms: snapshot.rhythms.iter().filter(|other| other.device == row.id).map(rhythm).filter(|row| !row.kinds.is_empty()).collect(),
        pulls: snapshot.pulls.iter().filter(|other| other.device == row.id).map(pulls).collect(),
        pull_count: snapshot.pull_counts.iter().filter(|other| other.device == row.id).fold(0, |sum, row| sum.saturating_add(row.pulls)),
        responses: Vec::new(),
        silent_tests: 0,
        within_seconds: 0,
        not_observed: Vec::new(),
        asked: Vec::new(),
        phases: said::rows(&told),
        timeline: timeline(row, &told, snapshot, gather),
        ja4: prints(row, gather),
    }
}

fn coverage(row: &DeviceRow, header: &Header, snapshot: &Snapshot, gather: &Gather) -> Coverage {
    let there = snapshot.coverage.iter().find(|other| other.device == row.id);
    let of = |holds: &dyn Fn(Class) -> bool| {
        let some = row.visibility.iter().filter(|(class, _)| holds(*class)).map(|(_, some)| bytes(some));
        some.fold(0, u64::saturating_add)
    };
    let lost: Vec<Option<u64>> = header.captures.iter().map(|capture| capture.drops.sum()).collect();
    let flows = gather.flows.iter().find(|(device, _)| *device == row.id).map_or_else(Flows::default, |(_, flows)| *flows);
    let pending = bytes(&row.pending);
    let hidden: Vec<Share> =
        row.visibility.iter().filter(|(class, _)| HIDDEN.contains(class)).map(|(class, some)| share(*class, bytes(some))).collect();
    Coverage {
        associated_seconds: there.map_or(0, |there| there.present.as_secs()),
        associations: there.map_or(0, |there| there.associations),
        // One capture that does not say makes the sum unknown.
        frames_lost: lost.iter().copied().collect::<Option<Vec<u64>>>().map(|lost| lost.into_iter().fold(0, u64::saturating_add)),
        frames: header.frames,
        frames_cut: header.captures.iter().map(|capture| capture.cut_frames).fold(0, u64::saturating_add),
        outside_bytes: of(&|class| !matches!(class, Class::Local | Class::Multicast)).saturating_add(pending),
        unnamed_bytes: of(&|class| matches!(class, Class::Bare | Class::Lost)).saturating_add(pending),
        hidden_bytes: of(&|class| HIDDEN.contains(&class)),
        hidden,
        web_flows: flows.web,
        web_flows_named: flows.web_named,
        outside_flows: flows.outside,
        tunnelled_flows: flows.tunnelled,
        placeless_flows: flows.placeless,
    }
}

fn share(class: Class, bytes: u64) -> Share {
    Share { class: class.as_str(), words: super::words::class(class), hidden: HIDDEN.contains(&class), bytes }
}

fn countries(row: &DeviceRow, snapshot: &Snapshot, destinations: &[&DestinationRow]) -> Vec<Place> {
    let mut places: Vec<Place> = snapshot
        .countries
        .iter()
        .filter(|other| other.device == row.id)
        .map(|other| {
            let mut place = Place {
                code: other.place.as_str().to_owned(),
                name: place_name(&other.place),
                transmit_bytes: other.total.transmit.bytes,
                receive_bytes: other.total.receive.bytes,
                unmeasured_bytes: 0,
                consistent_bytes: 0,
                refuted_bytes: 0,
                anycast_bytes: 0,
            };
            for there in destinations.iter().filter(|there| there.place == other.place) {
                let [unmeasured, consistent, refuted] = there.verdicts;
                place.unmeasured_bytes = place.unmeasured_bytes.saturating_add(unmeasured);
                place.consistent_bytes = place.consistent_bytes.saturating_add(consistent);
                place.refuted_bytes = place.refuted_bytes.saturating_add(refuted);
                place.anycast_bytes = place.anycast_bytes.saturating_add(if there.anycast { bytes(&there.total) } else { 0 });
            }
            place
        })
        .collect();
    places.sort_by_key(|place| Reverse(place.transmit_bytes.saturating_add(place.receive_bytes))); // stable
    places
}

fn place_name(place: &Where) -> String {
    match place {
        Where::Country(country) => country.name().to_owned(),
        Where::Local => "our own side".to_owned(),
        Where::Multicast => "groups (multicast)".to_owned(),
        Where::Unknown => "unknown".to_owned(),
    }
}

fn tell_destinations(rows: Vec<&DestinationRow>, gather: &Gather) -> Vec<Destination> {
    let mut told: Vec<Destination> = rows.into_iter().map(|row| destination(row, gather)).collect();
    told.sort_by_key(|row| (!row.outside, Reverse(row.transmit_bytes.saturating_add(row.receive_bytes)))); // stable
    told
}

fn destination(row: &DestinationRow, gather: &Gather) -> Destination {
    let [unmeasured, consistent, refuted] = row.verdicts;
    let outside = !matches!(row.place, Where::Local | Where::Multicast);
    // They are sorted by device and destination first.
    let before = |other: &Row| (&other.key.device, &other.key.destination) < (&row.device, &row.destination);
    let rows = gather.rows.get(gather.rows.partition_point(before)..).unwrap_or_default();
    let account = |other: &&Row| other.key.device == row.device && other.key.destination == row.destination;
    let of_row = |other: &&Row| {
        let place = other.key.country.map_or(Where::Unknown, Where::Country);
        outside && (other.key.origin, place, other.key.asn) == (row.origin, row.place, row.asn)
    };
    let mut names: Vec<Name> = rows.iter().take_while(account).filter(of_row).map(name).collect();
    names.sort_by_key(|name| Reverse(name.transmit_bytes.saturating_add(name.receive_bytes))); // stable
    Destination {
        destination: clean(&row.destination),
        origin: row.origin.as_str(),
        country: row.place.as_str().to_owned(),
        country_name: place_name(&row.place),
        asn: row.asn,
        organization: row.organisation.as_deref().map(clean),
        outside,
        anycast: row.anycast,
        services: row
            .services
            .iter()
            .map(|service| Service {
                category: service.category,
                vendor: service.vendor.as_deref().map(clean),
                ambiguous: service.ambiguous,
                bytes: service.bytes,
            })
            .collect(),
        verdict: match (outside, consistent, refuted) {
            (false, ..) => "",
            (true, 0, 0) => VERDICTS[0].as_str(),
            (true, _, 0) => VERDICTS[1].as_str(),
            _ => VERDICTS[2].as_str(),
        },
        unmeasured_bytes: unmeasured,
        consistent_bytes: consistent,
        refuted_bytes: refuted,
        witnesses: row.location.as_deref().map(|location| clean(&location.words())),
        transmit_bytes: row.total.transmit.bytes,
        receive_bytes: row.total.receive.bytes,
        flows: row.flows,
        first: time(row.first.as_nanos()),
        last: time(row.last.as_nanos()),
        names,
    }
}

fn name(row: &Row) -> Name {
    let server = |server: &super::gather::Server| Server {
        address: server.address.to_string(),
        verdict: server.verdict.as_str(),
        witnesses: clean(&server.location.words()),
    };
    Name {
        name: row.key.name.as_deref().map(clean),
        category: row.category.map(|(category, _)| category),
        ambiguous: row.category.is_some_and(|(_, ambiguous)| ambiguous),
        vendor: row.vendor.as_deref().map(clean),
        transmit_bytes: row.up,
        receive_bytes: row.down,
        flows: row.flows,
        first: time(row.first.as_nanos()),
        last: time(row.last.as_nanos()),
        servers: row.servers.iter().map(server).collect(),
        more_servers: row.more_servers,
    }
}

fn first_contacts(row: &DeviceRow, snapshot: &Snapshot) -> Vec<FirstContact> {
    let memory = snapshot.contacts.iter().filter(|memory| memory.device == row.id);
    let mut met: Vec<_> = memory.flat_map(|memory| &memory.contacts).filter(|contact| contact.contact.kind() != "name").collect();
    met.sort_by_key(|contact| contact.first); // stable
    met.into_iter()
        .map(|contact| {
            let value = contact.contact.value();
            let country = (contact.contact.kind() == "country").then(|| Country::from_code(&value)).flatten();
            FirstContact {
                kind: contact.contact.kind(),
                words: country.map(|country| country.name().to_owned()),
                value: clean(&value),
                first: time(contact.first.as_nanos()),
                last: time(contact.last.as_nanos()),
                flows: contact.flows,
            }
        })
        .collect()
}

fn rhythm(row: &RhythmRow) -> Rhythm {
    let anchored = row.attach.filter(|attach| attach.anchored);
    let kinds = [("anchored", anchored.is_some()), ("periodic", row.periodic), ("persistent", row.persistent.flows > 0)];
    let after = |attach: Attach| {
        let delay = attach.delay.map(|delay| format!(", {} after it", span_ms(as_ms(delay)))).unwrap_or_default();
        format!(
            "{} of {} beats within 2 min of joining{delay} (p = {:.0e}); {} joins without",
            attach.after, attach.beats, attach.chance, attach.skipped
        )
    };
    Rhythm {
        destination: clean(&row.destination),
        category: row.category,
        kinds: kinds.into_iter().filter(|(_, holds)| *holds).map(|(kind, _)| kind).collect(),
        beats: row.beats,
        period_ms: row.period.map(as_ms),
        jitter_ms: row.jitter.map(as_ms),
        regularity_permille: row.regularity.map(as_ms),
        bytes_per_beat: row.bytes_per_beat,
        least_gap_ms: row.gap_floor.map(as_ms),
        round_gap: row.round_gap,
        after_joining: anchored.map(after),
        persistent_flows: row.persistent.flows,
        persistent_longest_seconds: row.persistent.longest.as_secs(),
    }
}

fn pulls(row: &PullsRow) -> Pulls {
    let of = |class| row.pulls.iter().filter(|pull| pull.class == Some(class)).count() as u64;
    let pull = |pull: &crate::engine::snapshot::Pull| Pull {
        begin: time(pull.begin.as_nanos()),
        server: pull.server.to_string(),
        country: pull.place.as_str().to_owned(),
        attach_delay_ms: pull.attach_delay.map(milliseconds),
        gap_ms: pull.gap.map(milliseconds),
        burst_gap_ms: pull.burst_gap.map(milliseconds),
        request_bytes: pull.request,
        response_bytes: pull.response,
        size_class: pull.class.map(SizeClass::as_str),
        changed: pull.changed,
    };
    Pulls {
        name: clean(&row.name),
        category: row.category,
        vendor: row.vendor.as_deref().map(clean),
        count: row.count,
        bursts: row.bursts,
        least_gap_ms: row.gap_floor.map(as_ms),
        round_gap: row.round_gap,
        waited_ms: row.waited.map(as_ms),
        small: of(SizeClass::Small),
        large: of(SizeClass::Large),
        changes: row.pulls.iter().filter(|pull| pull.changed == Some(true)).count() as u64,
        pulls: row.pulls.iter().map(pull).collect(),
    }
}

fn prints(row: &DeviceRow, gather: &Gather) -> Vec<Print> {
    let own = gather.prints.iter().filter(|(device, ..)| *device == row.id);
    let mut prints: Vec<Print> = own.map(|(_, ja4, times)| Print { ja4: clean(ja4), hellos: times.len() as u64 }).collect();
    prints.sort_by_key(|print| Reverse(print.hellos)); // stable
    prints
}

fn timeline(row: &DeviceRow, phases: &Phases, snapshot: &Snapshot, gather: &Gather) -> Timeline {
    let Some(begin) = gather.begin else { return Timeline::default() };
    let joins = gather.joins.iter().filter(|(device, _)| *device == row.id).map(|(_, time)| time.since(begin).as_secs());
    let key = |row: &&Row| (row.key.destination.clone(), row.category, row.key.country);
    let mut rows: Vec<&Row> = gather.rows.iter().filter(|other| other.key.device == row.id).collect();
    rows.sort_by_key(key);
    let mut strips: Vec<Strip> = rows.chunk_by(|one, other| key(one) == key(other)).filter_map(strip).collect();
    strips.sort_by_key(|strip| Reverse(strip.bytes)); // stable
    Timeline {
        begin: begin.as_nanos(),
        bin_seconds: gather.width,
        seconds: snapshot.last_packet.map_or(0, |last| last.since(begin).as_secs()),
        joins: joins.collect(),
        marks: said::on_timeline(gather, &row.id, begin),
        phases: phases
            .spans()
            .iter()
            .map(|span| (span.from.since(begin).as_secs(), span.to.since(begin).as_secs(), span.phase.as_str()))
            .collect(),
        strips,
    }
}

fn strip(rows: &[&Row]) -> Option<Strip> {
    let first = rows.first()?;
    let mut bins = Vec::new();
    for row in rows {
        if bins.len() < row.bins.len() {
            bins.resize(row.bins.len(), super::gather::Bin::default());
        }
        bins.iter_mut().zip(&row.bins).for_each(|(sum, bin)| *sum = sum.with(*bin));
    }
    Some(Strip {
        destination: clean(&first.key.destination),
        category: first.category.map(|(category, _)| category),
        ambiguous: first.category.is_some_and(|(_, ambiguous)| ambiguous),
        country: first.key.country.map_or("unknown".to_owned(), |country| country.as_str().to_owned()),
        bytes: rows.iter().fold(0, |sum, row| sum.saturating_add(row.up).saturating_add(row.down)),
        bins: (0..).zip(bins).filter(|(_, bin)| bin.bytes > 0 || bin.begun > 0).map(|(at, bin)| (at, bin.begun, bin.bytes)).collect(),
    })
}

fn time(nanos: u64) -> String {
    rfc3339(nanos, 3)
}

fn bytes(both: &Both) -> u64 {
    both.transmit.bytes.saturating_add(both.receive.bytes)
}
