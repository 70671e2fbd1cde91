//! Who looks at the page: live streams, shared answers, conditional requests, against a listening server.

#![expect(clippy::unwrap_used, clippy::disallowed_types, reason = "a test is a client, and fails by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use whither::engine::Engine;
use whither::engine::device::OurSide;
use whither::engine::event::{Detail, Event};
use whither::engine::geo::GeoDb;
use whither::engine::limits::Limits;
use whither::export::Scrape;
use whither::export::feed::Feed;
use whither::export::http::{Handle, Server};
use whither::export::web::Web;
use whither::packet::{Frame, Link, Timestamp};

struct Site {
    address: SocketAddr,
    feed: Arc<Feed>,
    /// Scrapes that were taken.
    taken: Arc<AtomicU64>,
    /// Packets that the scrapes tell of.
    packets: Arc<AtomicU64>,
    _handle: Handle,
}

fn site() -> Site {
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = server.local_addr();
    let (feed, taken, packets) = (Arc::new(Feed::new("bench")), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (counted, passed) = (Arc::clone(&taken), Arc::clone(&packets));
    let scrape = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        let mut scrape = Scrape { sensor: "bench".to_owned(), ..Scrape::default() };
        scrape.snapshot.packets = passed.load(Ordering::Relaxed);
        scrape
    };
    let handle = server.telling(Arc::clone(&feed)).serve(scrape, Arc::new(true.into()), Web::default()).unwrap();
    Site { address, feed, taken, packets, _handle: handle }
}

impl Site {
    fn joins(&self, device: &str) {
        let time = Timestamp::from_nanos(1_632_200_000_000_000_000);
        self.feed.take(&Event { time, packet: 7, device: device.into(), mac: None, ends: None, detail: Detail::Association });
    }

    /// Asks, and does not wait.
    fn open(&self, path: &str, more: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n").as_bytes()).unwrap();
        BufReader::new(stream)
    }

    fn get(&self, path: &str, more: &str) -> (String, String) {
        let mut text = String::new();
        self.open(path, more).read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.to_lowercase(), body.to_owned())
    }
}

/// The next message of a live stream: its event, id and data.
fn message(stream: &mut BufReader<TcpStream>) -> (String, Option<String>, Value) {
    let (mut event, mut id) = (String::new(), None);
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream ended");
        match line.trim_end().split_once(": ") {
            Some(("event", told)) => event = told.to_owned(),
            Some(("id", told)) => id = Some(told.to_owned()),
            Some(("data", told)) => return (event, id, serde_json::from_str(told).unwrap()),
            _ => {}
        }
    }
}

#[test]
fn what_is_notable_is_told_live_once_and_again_to_who_lost_the_line() {
    let site = site();
    site.joins("before");
    let mut stream = site.open("/api/v1/stream", "");
    let (event, id, tick) = message(&mut stream);
    assert_eq!((event.as_str(), id, &tick["packets"], &tick["complete"]), ("tick", None, &0.into(), &true.into()));
    site.joins("first");
    let (event, id, told) = message(&mut stream);
    assert_eq!((event.as_str(), &told["event"]["device.id"]), ("notable", &"first".into()));
    assert_eq!(told["id"], id.clone().unwrap());
    site.feed.passed(40, None);
    site.feed.passed(2, None);
    let tick = loop {
        let (event, _, told) = message(&mut stream);
        assert_eq!(event, "tick", "{told}");
        if told["packets"] == 42 {
            break told;
        }
    };
    assert_eq!(tick["latest"], id.clone().unwrap());
    drop(stream);

    site.joins("second");
    for (path, more) in [
        ("/api/v1/stream".to_owned(), format!("Last-Event-ID: {}\r\n", id.clone().unwrap())),
        (format!("/api/v1/stream?after={}", id.clone().unwrap()), String::new()),
    ] {
        let (event, _, told) = message(&mut site.open(&path, &more));
        assert_eq!((event.as_str(), &told["event"]["device.id"]), ("notable", &"second".into()), "{path} {more}");
    }
    // An id of another run knows nothing of this one.
    let mut stream = site.open("/api/v1/stream", "Last-Event-ID: 0-99\r\n");
    let devices: Vec<Value> = (0..3).map(|_| message(&mut stream).2["event"]["device.id"].clone()).collect();
    assert_eq!(devices, ["before", "first", "second"]);
    let (_, body) = site.get(&format!("/api/v1/events?after={}", id.unwrap()), "");
    let page: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((page["events"].as_array().unwrap().len(), &page["complete"]), (1, &true.into()));
}

#[test]
fn live_streams_have_places_of_their_own_which_are_free_again() {
    let site = site();
    let mut streams: Vec<_> = (0..8).map(|_| site.open("/api/v1/stream", "")).collect();
    streams.iter_mut().for_each(|stream| assert_eq!(message(stream).0, "tick"));
    let (head, body) = site.get("/api/v1/stream", "");
    assert!(head.starts_with("http/1.1 503 ") && head.contains("application/problem+json") && body.contains("/api/v1/overview"), "{head}");
    let (head, body) = site.get("/metrics", "");
    assert!(head.starts_with("http/1.1 200 ") && body.contains("\nwhither_page_viewers 8\n"), "streams keep no other request out: {head}");
    drop(streams);
    // Whoever leaves is found at the next look.
    while !site.get("/metrics", "").1.contains("\nwhither_page_viewers 0\n") {}
    assert!(site.get("/metrics", "").1.contains("\nwhither_page_viewers_dropped_total 0\n"), "they left by themselves");
}

#[test]
fn viewers_share_one_scrape_and_who_has_the_page_is_told_so() {
    let site = site();
    let tags: Vec<String> = (0..4)
        .map(|_| {
            let (head, body) = site.get("/api/v1/overview", "Accept-Encoding: identity\r\n");
            assert!(head.starts_with("http/1.1 200 ") && body.contains("\"sensor\":\"bench\""), "{head}");
            head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned()
        })
        .collect();
    assert!(tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
    let (head, body) = site.get("/api/v1/overview", &format!("If-None-Match: \"x\", {}\r\n", tags[0].replace("w/", "W/")));
    assert!(head.starts_with("http/1.1 304 ") && head.contains(&format!("etag: {}", tags[0])) && body.is_empty(), "{head}");
    site.packets.store(9, Ordering::Relaxed);
    let before = site.taken.load(Ordering::Relaxed);
    let fresh = loop {
        let (head, body) = site.get("/api/v1/overview", &format!("If-None-Match: {}\r\n", tags[0].replace("w/", "W/")));
        if head.starts_with("http/1.1 200 ") {
            break body;
        }
    };
    assert!(fresh.contains("\"packets\":9"), "{fresh}");
    assert_eq!(site.taken.load(Ordering::Relaxed), before + 1, "however often it was asked for meanwhile");
}

#[test]
fn files_of_the_page_are_kept_as_long_as_they_are_the_same() {
    let site = site();
    for path in ["/", "/assets/app.js", "/assets/app.css", "/assets/icon.svg", "/api/v1/outlines", "/api/v1/openapi.json"] {
        let (head, _) = site.get(path, "");
        assert!(head.starts_with("http/1.1 200 ") && head.contains("\r\ncache-control: no-cache"), "{path}: {head}");
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().replace("w/", "W/");
        let (head, body) = site.get(path, &format!("If-None-Match: {tag}\r\n"));
        assert!(head.starts_with("http/1.1 304 ") && head.contains("content-security-policy") && body.is_empty(), "{path}: {head}");
    }
    let (head, _) = site.get("/api/v1/overview", "");
    assert!(head.contains("\r\ncache-control: no-store"), "what was seen is kept by no browser: {head}");
}

/// A rather full sensor: 200 devices, of which one has 500 destinations and the others as many as the table of accounts has room for.
fn full() -> Scrape {
    let mut lab = engine();
    for device in 0..200_u8 {
        let count = if device == 0 { 500 } else { 79 };
        for number in 0..count {
            lab.ingest(&Frame {
                number: 1,
                time: Timestamp::from_nanos(1_632_200_000_000_000_000 + u64::from(device) * 1_000_000_000),
                link: Link::Ethernet,
                wire_len: 60,
                data: &syn(device, number),
            });
        }
    }
    Scrape { sensor: "bench".to_owned(), snapshot: lab.snapshot(), ..Scrape::default() }
}

fn engine() -> Engine {
    Engine::new(Limits::default(), OurSide::default(), GeoDb::embedded().unwrap(), false)
}

/// A SYN of a device to one server of many, each in a network of its own.
fn syn(device: u8, number: u16) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1, device, 8, 0];
    frame.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 192, 168, 0, device, 1 + low % 220, high.wrapping_mul(91), 7 + device, 9]);
    frame.extend([200, low, 1, 187, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 255, 255, 0, 0, 0, 0]);
    frame
}

/// The figures that it prints are those of this machine; what it holds is how much a viewer is sent.
#[test]
fn two_hundred_devices_are_a_small_answer() {
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (address, scrape) = (server.local_addr(), full());
    let rows = scrape.snapshot.destinations.len();
    let _handle = server.serve(move || scrape.clone(), Arc::new(true.into()), Web::default()).unwrap();
    let ask = |path: &str, more: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n").as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        bytes
    };
    for (path, plain, packed) in [
        ("/api/v1/overview", 2 << 20, 200 << 10),
        ("/api/v1/device?device=02:00:00:00:01:00", 1 << 20, 80 << 10),
        ("/api/v1/destinations?limit=100", 120 << 10, 20 << 10),
    ] {
        #[expect(clippy::disallowed_methods, reason = "figures for a person; nothing is held against them")]
        let began = std::time::Instant::now();
        let sizes = [ask(path, "").len(), ask(path, "Accept-Encoding: gzip\r\n").len()];
        let first = began.elapsed();
        (0..10).for_each(|_| drop(ask(path, "Accept-Encoding: gzip\r\n")));
        let words = format!(
            "{rows} rows, {path}: {sizes:?} bytes plain and gzip; made in {first:?}, ten viewers more in {:?}\n",
            began.elapsed() - first
        );
        let _ = std::io::stderr().write_all(words.as_bytes());
        assert!(sizes[0] < plain && sizes[1] < packed, "{path}: {sizes:?}");
    }
}
