//! Clients as phones have them: a browser over TCP and QUIC, and resolvers that encrypt; and the servers that these need.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::{BODY, Lab, RESOLVER, succeeded};

/// What [`Lab::browse`] and its server need beside the programs of every laboratory.
pub(crate) const FOR_BROWSING: [&str; 2] = ["python3", BROWSER];
/// What is needed to ask the resolver that encrypts.
pub(crate) const FOR_ASKING: [&str; 2] = ["python3", "kdig"];
const BROWSER: &str = "chromium-headless-shell";
/// Where `make deps` puts aioquic.
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/python");

impl Lab {
    /// A resolver with every way to encrypt; it listens when this returns.
    pub(crate) fn serve_resolver(&mut self) {
        self.python("resolver.py", include_str!("resolver.py"), &[RESOLVER.1, "cert.pem", "key.pem"]);
    }

    /// HTTP/3 at an address; it listens when this returns. Or the reason why there can be none.
    pub(crate) fn serve_http3(&mut self, address: &str) -> Result<(), String> {
        if !std::path::Path::new(PACKAGES).join("aioquic").exists() {
            return Err("not installed: aioquic (`make deps` installs it)".to_owned());
        }
        self.python("http3.py", include_str!("http3.py"), &[address, "cert.pem", "key.pem", &BODY.to_string(), "pieces"]);
        Ok(())
    }

    /// A phone opens `body` of that name and address in a browser, which shows what it got.
    pub(crate) fn browse(&self, phone: usize, name: &str, address: &str, quic: bool) {
        let folder = self.path(&format!("browser-{phone}-{quic}")).display().to_string();
        // QUIC takes no certificate whose key is not named.
        let key = "openssl x509 -in cert.pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64";
        let key = succeeded(key, &self.command("inet", "sh").args(["-c", key]).output().unwrap());
        let mut browser = self.command(&format!("phone{phone}"), BROWSER);
        browser.args("--no-sandbox --disable-gpu --disable-dev-shm-usage --disable-background-networking --disable-sync".split(' '));
        browser.args("--disable-component-update --no-first-run --timeout=20000 --dump-dom".split(' '));
        browser.arg(format!("--user-data-dir={folder}")).arg(format!("--ignore-certificate-errors-spki-list={key}"));
        browser.arg(format!("--host-resolver-rules=MAP {name} {address}, MAP * ~NOTFOUND"));
        browser.arg(if quic { format!("--origin-to-force-quic-on={name}:443") } else { "--disable-quic".to_owned() });
        let shown = succeeded(BROWSER, &browser.env("HOME", &folder).arg(format!("https://{name}/body")).output().unwrap());
        assert!(shown.matches('w').count() >= BODY, "{name}: {shown:.300}");
    }

    /// A phone asks its link for the address of a name, as mDNS does.
    pub(crate) fn ask_everybody(&self, phone: usize, name: &str) {
        let ask = "import socket, sys\n\
                   labels = b''.join(bytes([len(label)]) + label.encode() for label in sys.argv[1].split('.'))\n\
                   udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
                   udp.bind(('', 5353))\n\
                   udp.sendto(bytes([0, 0, 0, 0, 0, 1]) + bytes(6) + labels + bytes([0, 0, 1, 0, 1]), ('224.0.0.251', 5353))";
        succeeded("mDNS", &self.command(&format!("phone{phone}"), "python3").args(["-c", ask, name]).output().unwrap());
    }

    /// The length of the longest ClientHello that the server at an address read over TCP, as OpenSSL tells it.
    pub(crate) fn hello_over_tcp(&self, address: &str) -> usize {
        let messages = std::fs::read_to_string(self.path(&format!("messages-{address}"))).unwrap();
        let hellos = messages.lines().filter(|line| line.contains("ClientHello"));
        let lengths = hellos.filter_map(|line| usize::from_str_radix(line.split_once("[length ")?.1.split_once(']')?.0, 16).ok());
        lengths.max().unwrap_or_default()
    }

    /// How far the pieces of a ClientHello reach that the server of HTTP/3 read.
    pub(crate) fn hello_over_quic(&self) -> usize {
        let pieces = std::fs::read_to_string(self.path("pieces")).unwrap();
        let ends = pieces.lines().map(|line| line.split(' ').map(|word| word.parse::<usize>().unwrap()).sum());
        ends.max().unwrap_or_default()
    }

    fn python(&mut self, name: &str, text: &str, arguments: &[&str]) {
        std::fs::write(self.path(name), text).unwrap();
        let mut command = self.command("inet", "python3");
        command.arg(name).args(arguments).env("PYTHONPATH", PACKAGES).stdout(Stdio::piped());
        let mut said = BufReader::new(self.start(&mut command).stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{name}");
    }
}
