//! The main job for real: `whither watch` on the bridge of an access point with two phones, in network namespaces of its own.
//!
//! Real clients ask and fetch; the events and `/metrics` must tell what they did, and for each device the bytes that the kernel
//! counted at its port (see `lab/mod.rs` for what those counters mean). Where no namespace can be made the tests say so loudly and
//! pass, unless `WHITHER_LAB=must`.
//!
//! Nothing here sleeps: every wait is a read of the sensor's events with an upper bound.
#![cfg(feature = "live")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod lab;

use std::io::Read;
use std::os::fd::AsFd;
use std::process::{ChildStdout, Stdio};

use lab::{BODY, Counted, Lab, PHONES, RESOLVER, clients};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

/// A wait for more events, in milliseconds, and how many of them are enough for anything that is to come.
const TURN: u16 = 100;
const TURNS: usize = 200;

#[test]
fn two_phones_are_told_apart_to_the_byte() {
    let Some(mut run) = Run::start("plain", false, &[]) else { return };
    run.go();
    let counted = run.bytes_agree();
    for device in counted {
        assert!(device.receive_packets > BODY as u64 / 1448, "segments as on a real link: {device:?}");
    }
    run.stop();
}

#[test]
fn joined_segments_are_counted_and_read_as_well() {
    let Some(mut run) = Run::start("joined", true, &[]) else { return };
    run.go();
    let counted = run.bytes_agree();
    for device in counted {
        assert!(device.receive / device.receive_packets > 1514, "the segments were not joined: {device:?}");
    }
    run.stop();
}

#[test]
fn a_browser_is_read_over_tcp_and_quic() {
    let Some(mut run) = Run::start("browser", false, &clients::FOR_BROWSING) else { return };
    let (name, address) = ("video.example.net", "198.51.100.20");
    if let Err(reason) = run.lab.serve_http3(address) {
        return skip(&reason);
    }
    run.go_on_air();
    for (phone, quic, origin) in [(1, false, "sni"), (2, true, "quic")] {
        run.lab.browse(phone, name, address, quic);
        let mac = PHONES[phone - 1].mac;
        let mut hello =
            vec![("event.action", "tls-client-hello"), ("source.mac", mac), ("tls.client.server_name", name), ("tls.version", "1.3")];
        hello.extend(if quic {
            [("network.protocol", "quic"), ("quic.version", "1")]
        } else {
            [("network.protocol", "tls"), ("tls.client.alpn", "h2")]
        });
        run.event(&hello);
        run.metric("whither_visibility_receive_bytes_total", &[("device", mac), ("class", origin)], BODY as u64);
        let labels = [("device", mac), ("destination", "example.net"), ("origin", origin), ("country", "DE")];
        run.metric("whither_destination_receive_bytes_total", &labels, BODY as u64);
    }
    // What the servers saw: hellos that no segment and no datagram holds.
    let (tcp, quic) = (run.lab.hello_over_tcp(address), run.lab.hello_over_quic());
    assert!(tcp > 1_460 && quic > 1_460, "a hello without a post-quantum key share: {tcp} bytes over TCP, {quic} over QUIC");
    run.bytes_agree();
    run.stop();
}

#[test]
fn hidden_questions_are_hidden_and_open_ones_are_not() {
    let Some(mut run) = Run::start("resolver", false, &clients::FOR_ASKING) else { return };
    run.lab.serve_resolver();
    run.go_on_air();
    let (name, at) = RESOLVER;
    let [one, two] = PHONES.each_ref().map(|phone| phone.mac);
    let tls = format!("kdig +short +tls-ca=cert.pem +tls-hostname={name} @{at} hidden.example.com A");
    assert_eq!(run.lab.run("phone1", &tls), "192.0.2.10");
    let https = format!(
        "curl -sS --fail --max-time 20 --cacert cert.pem --resolve {name}:443:{at} --doh-url https://{name}/dns-query -o /dev/null \
         https://www.example.com/body"
    );
    run.lab.run("phone2", &https);
    for mac in [one, two] {
        run.event(&[("event.action", "tls-client-hello"), ("source.mac", mac), ("tls.client.server_name", name), ("destination.ip", at)]);
    }
    run.metric("whither_visibility_receive_bytes_total", &[("device", one), ("class", "dot")], 1_000);
    run.metric("whither_flows_total", &[("device", one), ("protocol", "dot")], 1);

    assert_eq!(run.lab.run("phone1", &format!("dig +tcp +short @{at} tcp.example.org A")), "192.0.2.10");
    let asked = [("network.transport", "tcp"), ("source.mac", one), ("dns.question.name", "tcp.example.org")];
    run.event(&[&[("event.action", "dns-query")][..], &asked].concat());
    run.event(&[&[("event.action", "dns-answer"), ("dns.resolved_ip", "192.0.2.10")][..], &asked].concat());
    run.event(&[
        ("event.action", "unoffered-resolver"),
        ("source.mac", one),
        ("destination.ip", at),
        ("whither.offered_resolvers", "192.168.77.1"),
    ]);

    // A hint of a service is an address like any other: a hello without a name is named by it.
    run.lab.run("phone1", &format!("dig +short @{at} service.example.org HTTPS"));
    run.until("the service", |run| {
        let answered = |event: &Value| event["dns.answers"][0]["data"] == ". ipv4hint=203.0.113.30 ech" && said(event, "source.mac", one);
        run.events.seen.iter().any(answered)
    });
    run.lab.run("phone1", "curl -sS --fail --max-time 20 --insecure -o /dev/null https://203.0.113.30/body");
    let labels = [("device", one), ("destination", "example.org"), ("origin", "dns")];
    run.metric("whither_destination_receive_bytes_total", &labels, BODY as u64);

    run.lab.ask_everybody(2, "printer.local");
    run.event(&[("event.action", "dns-query"), ("network.protocol", "mdns"), ("source.mac", two), ("dns.question.name", "printer.local")]);
    run.bytes_agree();
    let events = run.stop();
    let classes = |mac: &str, class: &str| {
        events.iter().filter(|event| said(event, "source.mac", mac) && said(event, "whither.visibility", class)).count()
    };
    assert_eq!(classes(one, "dot"), 1);
    assert!(classes(two, "doh") > 0, "a resolver that is known by name hides what it is asked");
    assert!(!events.iter().any(|event| event.to_string().contains("hidden.example.com")));
}

/// A laboratory and the sensor in it.
struct Run {
    lab: Lab,
    sensor: nix::unistd::Pid,
    events: Events,
}

/// The sensor's standard output, as events.
struct Events {
    pipe: ChildStdout,
    rest: Vec<u8>,
    seen: Vec<Value>,
}

impl Run {
    fn start(name: &str, offloads: bool, more: &[&str]) -> Option<Self> {
        let mut lab = Lab::new(name, offloads, more).map_err(|reason| skip(&reason)).ok()?;
        lab.serve();
        let countries = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/geoip/lab-country.mmdb");
        let mut command = lab.command("ap", env!("CARGO_BIN_EXE_whither"));
        command.args(["watch", "br-lan", "--listen", "127.0.0.1:9843", "--events", "-", "--geoip", countries]).stdout(Stdio::piped());
        let sensor = lab.start(&mut command);
        let pipe = sensor.stdout.take().unwrap();
        let sensor = nix::unistd::Pid::from_raw(i32::try_from(sensor.id()).unwrap());
        let mut run = Self { lab, sensor, events: Events { pipe, rest: Vec::new(), seen: Vec::new() } };
        run.until("the sensor is ready", |run| run.scrape().contains("whither_capture_packets_total{interface=\"br-lan\"}"));
        Some(run)
    }

    /// Both phones are there and have an address.
    fn go_on_air(&mut self) {
        let Self { lab, events, .. } = self;
        lab.switch_on(|| events.turn());
        for phone in [1, 2] {
            lab.lease(phone);
        }
    }

    /// What the phones do, and what the events must say of it.
    fn go(&mut self) {
        self.go_on_air();
        let lab = &self.lab;
        assert_eq!(lab.ask(1, "www.example.com", "A"), "192.0.2.10");
        assert_eq!(lab.ask(2, "video.example.net", "A"), "198.51.100.20");
        assert_eq!(lab.ask(1, "api.example.org", "AAAA"), "2001:db8:ff::30");
        lab.fetch(1, "www.example.com", "192.0.2.10");
        lab.fetch(1, "api.example.org", "2001:db8:ff::30");
        lab.fetch(2, "video.example.net", "198.51.100.20");

        for phone in &PHONES {
            self.event(&[("event.action", "device"), ("device.mac", phone.mac), ("device.hostname", phone.name)]);
        }
        for (phone, name, address, country) in [
            (0, "www.example.com", "192.0.2.10", "LT"),
            (0, "api.example.org", "2001:db8:ff::30", "SG"),
            (1, "video.example.net", "198.51.100.20", "DE"),
        ] {
            let mac = PHONES[phone].mac;
            self.event(&[("event.action", "dns-query"), ("source.mac", mac), ("dns.question.name", name)]);
            self.event(&[("event.action", "dns-answer"), ("source.mac", mac), ("dns.resolved_ip", address)]);
            self.event(&[
                ("event.action", "tls-client-hello"),
                ("device.id", mac),
                ("source.mac", mac),
                ("tls.client.server_name", name),
                ("destination.ip", address),
                ("destination.geo.country_iso_code", country),
            ]);
            let domain = name.split_once('.').unwrap().1;
            let labels = [("device", mac), ("destination", domain), ("origin", "sni"), ("country", country)];
            for way in ["transmit", "receive"] {
                let least = if way == "receive" { BODY as u64 } else { 500 };
                self.metric(&format!("whither_destination_{way}_bytes_total"), &labels, least);
            }
        }
        let others = self.events.seen.iter().filter(|event| said(event, "source.mac", PHONES[1].mac));
        assert!(others.clone().count() > 0 && !others.into_iter().any(|event| event.to_string().contains("www.example.com")));
    }

    /// When all is quiet, device totals are what the kernel counted, and countries and destinations add up to them.
    fn bytes_agree(&mut self) -> [Counted; 2] {
        let mut last = String::new();
        for _ in 0..TURNS {
            let counted = [1, 2].map(|phone| self.lab.counted(phone));
            let metrics = self.scrape();
            let told = PHONES.each_ref().map(|phone| {
                ["transmit", "receive"].map(|way| sum(&metrics, &format!("whither_device_{way}_bytes_total"), &[("device", phone.mac)]))
            });
            if told == counted.map(|device| [device.transmit, device.receive]) {
                for phone in &PHONES {
                    conserved(&metrics, phone.mac);
                }
                self.lab.promtool(&metrics);
                return counted;
            }
            last = format!("told {told:?}, counted {counted:?}");
            self.events.turn();
        }
        panic!("bytes (sent, received) of each phone: {last}\n{}", self.scrape());
    }

    /// Waits for an event with these fields.
    fn event(&mut self, fields: &[(&str, &str)]) {
        self.until(&format!("{fields:?}"), |run| {
            run.events.seen.iter().any(|event| fields.iter().all(|(field, value)| said(event, field, value)))
        });
    }

    /// Waits until a metric with these labels is at least so much.
    fn metric(&mut self, name: &str, labels: &[(&str, &str)], least: u64) {
        self.until(&format!("{name} {labels:?} >= {least}"), |run| sum(&run.scrape(), name, labels) >= least);
    }

    fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        for _ in 0..TURNS {
            if holds(self) {
                return;
            }
            self.events.turn();
        }
        panic!("not told: {what}\nevents: {:#?}\nmetrics: {}", self.events.seen, self.scrape());
    }

    fn scrape(&self) -> String {
        let scrape = self.lab.command("ap", "curl").args(["-s", "--max-time", "5", "http://127.0.0.1:9843/metrics"]).output().unwrap();
        String::from_utf8_lossy(&scrape.stdout).into_owned()
    }

    /// A sensor that is told to stop ends well, having told of every flow; all that it told.
    fn stop(mut self) -> Vec<Value> {
        nix::sys::signal::kill(self.sensor, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.events.pipe.read_to_end(&mut self.events.rest).unwrap();
        self.events.take();
        let status = self.lab.wait(self.sensor);
        assert!(status.success(), "{status}");
        self.events.seen
    }
}

impl Events {
    /// Waits for events at most a turn, and takes them.
    fn turn(&mut self) {
        let ready = poll(&mut [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)], PollTimeout::from(TURN)).unwrap();
        if ready == 0 {
            return;
        }
        let mut buffer = [0; 65536];
        let read = self.pipe.read(&mut buffer).unwrap();
        if read == 0 {
            poll(&mut [], PollTimeout::from(TURN)).unwrap(); // it has closed its output: a turn still takes its time
        }
        self.rest.extend(&buffer[..read]);
        self.take();
    }

    /// Takes the whole lines.
    fn take(&mut self) {
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.seen.push(serde_json::from_slice(&line).unwrap());
        }
    }
}

fn skip(reason: &str) {
    eprintln!("\n*** SKIPPED: the live test cannot run here: {reason} ***\n");
    assert!(std::env::var("WHITHER_LAB").as_deref() != Ok("must"), "WHITHER_LAB=must, but: {reason}");
}

/// Whether an event's field is this value, or a list that has it.
fn said(event: &Value, field: &str, value: &str) -> bool {
    match &event[field] {
        Value::Array(list) => list.iter().any(|one| one == value),
        one => one == value,
    }
}

/// Both directions: countries add up to the device's total, and so do destinations with what is pending.
fn conserved(metrics: &str, mac: &str) {
    let of = |name: &str| sum(metrics, name, &[("device", mac)]);
    let mut destinations = 0;
    let mut totals = 0;
    for way in ["transmit", "receive"] {
        let total = of(&format!("whither_device_{way}_bytes_total"));
        assert_eq!(of(&format!("whither_country_{way}_bytes_total")), total, "{way} of {mac}\n{metrics}");
        destinations += of(&format!("whither_destination_{way}_bytes_total"));
        totals += total;
    }
    assert_eq!(destinations + of("whither_pending_bytes"), totals, "{mac}\n{metrics}");
}

/// The sum of a metric's samples that have these labels.
fn sum(metrics: &str, name: &str, labels: &[(&str, &str)]) -> u64 {
    let samples = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} "));
    let wanted = samples.filter(|(found, _)| labels.iter().all(|(label, value)| found.contains(&format!("{label}=\"{value}\""))));
    wanted.map(|(_, value)| value.parse::<f64>().unwrap() as u64).sum()
}
