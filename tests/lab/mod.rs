//! A laboratory access point in network namespaces of its own, made by [`Lab::new`] and removed when it is dropped.
//!
//! ```text
//! phone 1 -- lan1 --+
//! phone 2 -- lan2 --+-- br-lan, in `ap` -- wan0 -- up0, in `inet`: servers on documentation addresses
//! nobody  -- lan9 --+
//! ```
//!
//! What the kernel's counters of the ports mean, since a sensor on `br-lan` is held against them to the byte:
//!
//! * All that a phone sends arrives at its port and, as the sensor makes the bridge promiscuous, at the sensor:
//!   `sent = lanN.rx_bytes`.
//! * A port sends what is for its phone, and what the bridge sends to everybody. `lan9` has nobody behind it, so it sends only the
//!   latter: `received = lanN.tx_bytes - lan9.tx_bytes`. For this the ports are isolated from each other, as stations of a guest
//!   network are, and nobody speaks before all three ports forward.
//!
//! The bridge is watched, not a port: it is what an access point without wireless drivers has, and it sees both phones.
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test makes its own world")]

pub(crate) mod clients;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The phones' own addresses; the first host name is sent by DHCP.
pub(crate) const PHONES: [Phone; 2] = [
    Phone { name: "Pixel-8", mac: "3c:5a:b4:00:00:01", six: "2001:db8:77::11" },
    Phone { name: "Mi-11", mac: "64:cc:2e:00:00:02", six: "2001:db8:77::12" },
];
/// The names that the access point's resolver knows, and where their servers are.
pub(crate) const SERVERS: [(&str, &str); 5] = [
    ("www.example.com", "192.0.2.10"),
    ("video.example.net", "198.51.100.20"),
    ("api.example.org", "203.0.113.30"),
    ("api.example.org", "2001:db8:ff::30"),
    RESOLVER,
];
/// A public resolver that encrypts, by a name that such a one really has: the class of its traffic is known by that.
pub(crate) const RESOLVER: (&str, &str) = ("dns.google", "203.0.113.53");
/// The size of the file `body` on every server.
pub(crate) const BODY: usize = 300_000;

const TOOLS: [&str; 8] = ["ip", "ethtool", "dnsmasq", "busybox", "dig", "curl", "openssl", "sh"];

/// A device of the laboratory.
pub(crate) struct Phone {
    /// What it says its host name is.
    pub(crate) name: &'static str,
    /// Its MAC.
    pub(crate) mac: &'static str,
    /// Its global IPv6 address.
    pub(crate) six: &'static str,
}

/// The namespaces, and what runs in them.
pub(crate) struct Lab {
    name: String,
    folder: tempfile::TempDir,
    children: Vec<Child>,
}

impl Lab {
    /// Builds it, all but the phones' speaking; or the reason why it cannot be built here. `more` are programs that it needs too.
    pub(crate) fn new(name: &str, offloads: bool, more: &[&str]) -> Result<Self, String> {
        let missing: Vec<_> = TOOLS.iter().chain(more).copied().filter(|tool| !on_path(tool)).collect();
        if !missing.is_empty() {
            return Err(format!("not installed: {} (`make deps` installs them)", missing.join(", ")));
        }
        if !nix::unistd::geteuid().is_root() {
            return Err("network namespaces need root".to_owned());
        }
        remove_orphans();
        let name = format!("whither-{}-{name}", std::process::id());
        let lab = Self { name, folder: tempfile::tempdir().unwrap(), children: Vec::new() };
        for part in lab.parts() {
            let made = Command::new("ip").args(["netns", "add", &part]).output().unwrap();
            if !made.status.success() {
                return Err(format!("no network namespace can be made: {}", String::from_utf8_lossy(&made.stderr).trim()));
            }
        }
        lab.wire();
        if !offloads {
            lab.without_offloads();
        }
        Ok(lab)
    }

    /// A file of the laboratory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command that runs in a part: `ap`, `inet`, `phone1`, `phone2`.
    pub(crate) fn command(&self, part: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.part(part)]).arg(program).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Runs a line of words in a part and returns what it prints; it must succeed.
    pub(crate) fn run(&self, part: &str, line: &str) -> String {
        let mut words = line.split_ascii_whitespace();
        let output = self.command(part, words.next().unwrap()).args(words).output().unwrap();
        succeeded(&format!("{part}: {line}"), &output)
    }

    /// Starts what ends with the laboratory.
    pub(crate) fn start(&mut self, command: &mut Command) -> &mut Child {
        self.children.push(command.spawn().unwrap());
        self.children.last_mut().unwrap()
    }

    /// Waits for the end of what was started.
    pub(crate) fn wait(&mut self, id: nix::unistd::Pid) -> std::process::ExitStatus {
        let same = |child: &&mut Child| i64::from(child.id()) == i64::from(id.as_raw());
        self.children.iter_mut().find(same).unwrap().wait().unwrap()
    }

    /// DHCP and DNS on the access point, HTTPS on every server.
    pub(crate) fn serve(&mut self) {
        let records: String = SERVERS.iter().map(|(name, address)| format!("host-record={name},{address}\n")).collect();
        let resolver = format!(
            "interface=br-lan\nbind-interfaces\nno-resolv\nno-hosts\nno-ping\nuser=root\ndhcp-authoritative\n\
             dhcp-range=192.168.77.50,192.168.77.150,1h\ndhcp-leasefile={}\npid-file={}\n{records}",
            self.path("leases").display(),
            // Its own: of two that start at once with the usual one, one ends.
            self.path("resolver.pid").display()
        );
        std::fs::write(self.path("resolver.conf"), resolver).unwrap();
        std::fs::write(self.path("lease.sh"), LEASE).unwrap();
        std::fs::write(self.path("body"), vec![b'w'; BODY]).unwrap();
        self.run("ap", &format!("chmod 755 {}", self.path("lease.sh").display()));
        let names = SERVERS.map(|(name, _)| format!("DNS:{name}")).join(",");
        self.run(
            "inet",
            &format!(
                "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=lab -addext subjectAltName={names} \
                 -keyout key.pem -out cert.pem"
            ),
        );
        let mut resolver = self.command("ap", "dnsmasq");
        self.start(resolver.args(["--keep-in-foreground", "--log-facility=-", "--conf-file=resolver.conf"]).stderr(Stdio::null()));
        for (_, address) in SERVERS.iter().filter(|server| **server != RESOLVER) {
            let at = if address.contains(':') { format!("[{address}]:443") } else { format!("{address}:443") };
            let mut server = self.command("inet", "openssl");
            server.args(["s_server", "-quiet", "-cert", "cert.pem", "-key", "key.pem", "-WWW", "-accept", &at]);
            server.args(["-msg", "-msgfile", &format!("messages-{address}")]);
            self.start(server.stdout(Stdio::null()).stderr(Stdio::null()));
        }
    }

    /// Puts the phones on the air: to be called when the sensor is ready. Nobody says a word before every port forwards.
    pub(crate) fn switch_on(&self, mut turn: impl FnMut()) {
        self.ip("ap", "link set silent9 up\n");
        for phone in ["phone1", "phone2"] {
            self.ip(phone, "link set wlan0 up\n");
        }
        for _ in 0..100 {
            let ports = self.run("ap", "ip -j -d link show type bridge_slave");
            if ports.matches("\"state\":\"forwarding\"").count() == 3 {
                break;
            }
            turn();
        }
        self.sysctl("ap", "net/ipv6/conf/br-lan/disable_ipv6", "0");
        self.ip("ap", "addr add 2001:db8:77::1/64 dev br-lan nodad\n");
        for (phone, Phone { six, .. }) in ["phone1", "phone2"].into_iter().zip(PHONES) {
            self.sysctl(phone, "net/ipv6/conf/wlan0/disable_ipv6", "0");
            self.ip(phone, &format!("addr add {six}/64 dev wlan0 nodad\nroute add default via 2001:db8:77::1\n"));
        }
    }

    /// A phone asks for its address by DHCP, telling its host name.
    pub(crate) fn lease(&self, phone: usize) {
        let (part, Phone { name, .. }) = (format!("phone{phone}"), &PHONES[phone - 1]);
        self.run(&part, &format!("busybox udhcpc -f -q -n -t 10 -T 1 -i wlan0 -x hostname:{name} -s {}", self.path("lease.sh").display()));
    }

    /// A phone asks the access point for the addresses of a name.
    pub(crate) fn ask(&self, phone: usize, name: &str, kind: &str) -> String {
        self.run(&format!("phone{phone}"), &format!("dig +short +tries=3 @192.168.77.1 {name} {kind}"))
    }

    /// A phone fetches `body` from the server of that name and address, over TLS.
    pub(crate) fn fetch(&self, phone: usize, name: &str, address: &str) {
        let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let line = format!(
            "curl -sS --fail --max-time 20 --retry 5 --retry-connrefused --cacert cert.pem --resolve {name}:443:{address} \
             -o /dev/null -w %{{size_download}} https://{name}/body"
        );
        assert_eq!(self.run(&format!("phone{phone}"), &line), BODY.to_string(), "{name}");
    }

    /// Prometheus' own check of an exposition finds nothing.
    pub(crate) fn promtool(&self, metrics: &str) {
        if !on_path("promtool") {
            return eprintln!("\n*** SKIPPED: the check of the metrics: promtool is not there (`make promtool` fetches it) ***\n");
        }
        std::fs::write(self.path("metrics"), metrics).unwrap();
        let scrape = std::fs::File::open(self.path("metrics")).unwrap();
        let found = Command::new("promtool").args(["check", "metrics"]).stdin(scrape).output().unwrap();
        succeeded("promtool check metrics", &found);
    }

    /// Bytes and packets that the kernel counted on a phone's port.
    pub(crate) fn counted(&self, phone: usize) -> Counted {
        let (port, nobody) = (self.port(&format!("lan{phone}")), self.port("lan9"));
        Counted {
            transmit: port("rx", "bytes"),
            receive: port("tx", "bytes") - nobody("tx", "bytes"),
            receive_packets: port("tx", "packets") - nobody("tx", "packets"),
        }
    }

    fn port(&self, name: &str) -> impl Fn(&str, &str) -> u64 + use<> {
        let text = self.run("ap", &format!("ip -s -j link show dev {name}"));
        let link: serde_json::Value = serde_json::from_str(&text).unwrap();
        move |way, what| link[0]["stats64"][way][what].as_u64().unwrap()
    }

    fn wire(&self) {
        for part in self.parts() {
            assert!(ip_batch(&part, "link set lo up\n"));
        }
        self.ip("ap", "link add br-lan address 02:00:5e:00:53:01 type bridge forward_delay 0 mcast_snooping 0\n");
        for (phone, Phone { mac, .. }) in ["phone1", "phone2"].into_iter().zip(PHONES) {
            let port = phone.replace("phone", "lan");
            self.ip("ap", &format!("link add {port} type veth peer name wlan0 address {mac} netns {}\n", self.part(phone)));
            self.sysctl(phone, "net/ipv6/conf/wlan0/disable_ipv6", "1");
        }
        self.ip(
            "ap",
            &format!("link add lan9 type veth peer name silent9\nlink add wan0 type veth peer name up0 netns {}\n", self.part("inet")),
        );
        for quiet in ["lan1", "lan2", "lan9", "silent9", "br-lan"] {
            self.sysctl("ap", &format!("net/ipv6/conf/{quiet}/disable_ipv6"), "1");
        }
        for port in ["lan1", "lan2", "lan9"] {
            self.ip("ap", &format!("link set {port} master br-lan\nlink set {port} type bridge_slave isolated on\nlink set {port} up\n"));
        }
        self.ip(
            "ap",
            "addr add 192.168.77.1/24 dev br-lan\nlink set br-lan up\n\
             addr add 192.0.2.1/24 dev wan0\naddr add 2001:db8:ff::1/64 dev wan0 nodad\nlink set wan0 up\n",
        );
        self.ip("inet", "addr add 192.0.2.2/24 dev up0\naddr add 2001:db8:ff::2/64 dev up0 nodad\nlink set up0 up\n");
        self.ip("inet", "route add default via 192.0.2.1\nroute add default via 2001:db8:ff::1\n");
        for (_, address) in SERVERS {
            let (via, at_once) = if address.contains(':') { ("2001:db8:ff::2", "nodad") } else { ("192.0.2.2", "") };
            self.ip("inet", &format!("addr add {address} dev lo {at_once}\n"));
            self.ip("ap", &format!("route add {address} via {via}\n"));
        }
        self.sysctl("ap", "net/ipv4/ip_forward", "1");
        self.sysctl("ap", "net/ipv6/conf/all/forwarding", "1");
    }

    /// Segments and checksums as on a real link: by default a veth hands over segments of 64 kB without checksums.
    fn without_offloads(&self) {
        let ends =
            [("ap", "lan1"), ("ap", "lan2"), ("ap", "wan0"), ("ap", "br-lan"), ("phone1", "wlan0"), ("phone2", "wlan0"), ("inet", "up0")];
        for (part, interface) in ends {
            self.run(part, &format!("ethtool -K {interface} tx off tso off gso off gro off"));
        }
    }

    fn ip(&self, part: &str, lines: &str) {
        assert!(ip_batch(&self.part(part), lines), "{part}: {lines}");
    }

    fn sysctl(&self, part: &str, key: &str, value: &str) {
        let set = self.command(part, "sh").args(["-c", &format!("echo {value} > /proc/sys/{key}")]).output().unwrap();
        succeeded(key, &set);
    }

    fn part(&self, part: &str) -> String {
        format!("{}-{part}", self.name)
    }

    fn parts(&self) -> [String; 4] {
        ["ap", "inet", "phone1", "phone2"].map(|part| self.part(part))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for part in self.parts() {
            let _ = Command::new("ip").args(["netns", "del", &part]).stderr(Stdio::null()).status();
        }
    }
}

/// What the kernel counted for a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Bytes that it sent.
    pub(crate) transmit: u64,
    /// Bytes that were sent to it alone.
    pub(crate) receive: u64,
    /// Frames that were sent to it alone.
    pub(crate) receive_packets: u64,
}

/// What udhcpc runs with the lease in the environment.
const LEASE: &str = r#"#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr replace "$ip/$mask" dev "$interface"
ip route replace default via "${router%% *}" dev "$interface"
"#;

fn on_path(tool: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(tool).exists()))
}

fn ip_batch(namespace: &str, lines: &str) -> bool {
    let mut ip = Command::new("ip").args(["-n", namespace, "-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    ip.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    ip.wait().unwrap().success()
}

fn succeeded(what: &str, output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {} {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Namespaces of test runs that were killed: their process is not there any more.
fn remove_orphans() {
    let listed = Command::new("ip").args(["netns", "list"]).output().unwrap();
    for name in String::from_utf8_lossy(&listed.stdout).lines().filter_map(|line| line.split(' ').next()) {
        let process = name.strip_prefix("whither-").and_then(|rest| rest.split('-').next());
        if process.is_some_and(|id| id.parse::<u32>().is_ok() && !Path::new("/proc").join(id).exists()) {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}
