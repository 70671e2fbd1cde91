//! The pages as a client sees them: any bytes to a listening server, over loopback. Whatever comes, what goes back is nothing or
//! whole answers with a length, none of them a page unless GET or HEAD asked for it, and each safe to show.

#![no_main]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use whither::export::Scrape;
use whither::engine::event::{Detail, Event};
use whither::export::feed::Feed;
use whither::export::http::Server;
use whither::export::web::Web;
use whither::packet::Timestamp;

static SERVER: LazyLock<SocketAddr> = LazyLock::new(|| {
    let server = Server::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = server.local_addr();
    let feed = Arc::new(Feed::new("fuzz"));
    let joins = Event { time: Timestamp::default(), packet: 1, device: "a".into(), mac: None, ends: None, detail: Detail::Association };
    feed.take(&joins);
    let handle = server.telling(feed).serve(Scrape::default, Arc::new(true.into()), Web::default()).expect("a thread");
    std::mem::forget(handle); // until the process ends
    address
});

fuzz_target!(|input: &[u8]| {
    let mut stream = TcpStream::connect(*SERVER).expect("it listens");
    let _ = stream.write_all(input); // it may have heard enough
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer); // a reset where it left bytes unread
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return };
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    assert!(head.starts_with("http/1."), "{head}");
    let asked = ["GET ", "HEAD "].iter().any(|method| input.trim_ascii_start().starts_with(method.as_bytes()));
    assert!(asked || !head.contains(" 200 "), "{head}");
    assert!(!head.contains(" 500 "), "{head}");
    if head.contains("\r\ncontent-type:") {
        assert!(head.contains("\r\ncontent-security-policy: default-src 'none'"), "{head}");
    }
});
