//! The namespace, the cable, the sender, and what it sends.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use whither::simulate::{self, Plan};

use super::wire;

/// Set in the copy of this program that runs inside the namespace.
const INSIDE: &str = "WHITHER_BENCH_INSIDE";
/// What stands beside it: the old controllers of processors, mounted together; empty where there is one tree of control groups.
const GROUPS: &str = "WHITHER_BENCH_GROUPS";
/// 16,120 destinations: near the most that are told apart (`Limits::accounts`), and with the devices' own series 50,000.
const DEVICES: u16 = 620;
const NAMES: u8 = 26;

/// Whether this is the copy inside the namespace.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// A program that has a core of its own, where there are two; the sender has the first. Without a core it has all.
pub(crate) fn pinned(core: impl Into<Option<usize>>, program: impl Into<OsString>) -> Command {
    let program = program.into();
    if let Some(core) = core.into()
        && std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
    {
        let mut command = Command::new("taskset");
        command.args(["-c", &core.to_string()]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// A network namespace; removed when dropped.
pub(crate) struct Namespace(String);

impl Namespace {
    pub(crate) fn new() -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("network namespaces need root".to_owned());
        }
        let name = format!("whither-{}-bench", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output().map_err(|error| format!("`ip` cannot be run: {error}"))?;
        if !made.status.success() {
            return Err(format!("no network namespace can be made: {}", String::from_utf8_lossy(&made.stderr).trim()));
        }
        Ok(Self(name))
    }

    /// Runs this program inside it.
    pub(crate) fn run_again(&self) {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.0]).arg(std::env::current_exe().unwrap()).env(INSIDE, "1").env(GROUPS, controllers());
        let ended = inside.status().unwrap();
        assert!(ended.success(), "inside the namespace: {ended}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// The controllers of processors, as the old trees of control groups have them; not to be seen from inside.
fn controllers() -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let mut groups = mounts.lines().filter_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        [_, _, "cgroup", options, ..] => options.split(',').any(|option| option == "cpu").then_some(options),
        _ => None,
    });
    let of_processors =
        |options: &str| options.split(',').filter(|option| matches!(*option, "cpu" | "cpuacct")).collect::<Vec<_>>().join(",");
    groups.next().map(of_processors).unwrap_or_default()
}

/// A share of a processor, by a control group; ended when dropped.
pub(crate) struct Quota {
    group: PathBuf,
    /// The tree of groups: `ip netns exec` covers the machine's own with a new `/sys`.
    tree: tempfile::TempDir,
}

impl Quota {
    /// So many thousandths of a processor, in turns of 20 ms: a thousandth of a second is the least that the kernel gives out.
    pub(crate) fn new(thousandths: u64) -> Result<Self, String> {
        let controllers = std::env::var(GROUPS).ok().filter(|controllers| !controllers.is_empty());
        let tree = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        match &controllers {
            Some(controllers) => mount.args(["-t", "cgroup", "-o", controllers, "none"]),
            None => mount.args(["-t", "cgroup2", "none"]),
        };
        let mounted = mount.arg(tree.path()).output().map_err(|error| format!("`mount` cannot be run: {error}"))?;
        if !mounted.status.success() {
            return Err(format!("control groups cannot be mounted: {}", String::from_utf8_lossy(&mounted.stderr).trim()));
        }
        let made = Self { group: tree.path().join(format!("whither-{}-bench", std::process::id())), tree };
        std::fs::create_dir(&made.group).map_err(|error| format!("no control group can be made: {error}"))?;
        let (period, quota) = (20_000, 20 * thousandths);
        let settings: &[(&str, String)] = &match controllers {
            Some(_) => vec![("cpu.cfs_period_us", period.to_string()), ("cpu.cfs_quota_us", quota.to_string())],
            None => vec![("cpu.max", format!("{quota} {period}"))],
        };
        for (name, value) in settings {
            std::fs::write(made.group.join(name), value).map_err(|error| format!("{name} cannot be set: {error}"))?;
        }
        Ok(made)
    }

    /// From now on a process has no more than that.
    pub(crate) fn hold(&self, process: u32) {
        std::fs::write(self.group.join("cgroup.procs"), process.to_string()).unwrap();
    }

    /// From now on it has what there is.
    pub(crate) fn free(&self, process: u32) {
        std::fs::write(self.tree.path().join("cgroup.procs"), process.to_string()).unwrap();
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.group);
        let _ = Command::new("umount").arg(self.tree.path()).status();
    }
}

/// Sends through `port1` what arrives at `port0`.
pub(crate) struct Sender {
    folder: tempfile::TempDir,
    capture: PathBuf,
    /// What it sends.
    pub(crate) name: String,
}

impl Sender {
    /// Makes the cable, builds the sender, and finds what to send: the mixed capture of those that `make bench` measures over, else the first
    /// of them, else the simulated lab run.
    pub(crate) fn new() -> Self {
        for line in [
            "link set lo up",
            "link add port0 address 02:00:5e:10:00:01 type veth peer name port1",
            "link set port0 addrgenmode none arp off promisc on up",
            "link set port1 addrgenmode none arp off up",
        ] {
            let made = Command::new("ip").args(line.split(' ')).status().unwrap();
            assert!(made.success(), "ip {line}: {made}");
        }
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/live/send.c");
        let built = Command::new("cc").arg("-O2").arg("-o").arg(folder.path().join("send")).arg(source).status().unwrap();
        assert!(built.success(), "cc cannot build tests/bench/live/send.c");
        let capture = given().unwrap_or_else(|| {
            let lab = folder.path().join("lab.pcap");
            simulate::write(&Plan::default(), &mut std::fs::File::create(&lab).unwrap()).unwrap();
            lab
        });
        let openings = openings().into_iter().flat_map(|frame| {
            let kept = u32::try_from(frame.len()).unwrap();
            [[0, 0, kept, kept].map(u32::to_le_bytes).concat(), frame].concat()
        });
        let header = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1].map(u32::to_le_bytes).concat();
        std::fs::write(folder.path().join("openings"), header.into_iter().chain(openings).collect::<Vec<u8>>()).unwrap();
        let name = capture.file_stem().unwrap().to_string_lossy().into_owned();
        Self { folder, capture, name }
    }

    /// Sends for so many seconds, at a rate in frames a second (0 is as fast as it goes); returns how many, in how many seconds.
    pub(crate) fn send(&self, rate: f64, seconds: u64) -> (u64, f64) {
        self.run(&self.capture, rate, seconds)
    }

    /// Sends what opens every device's connection to every name, once.
    pub(crate) fn open(&self, rate: f64) -> (u64, f64) {
        self.run(&self.folder.path().join("openings"), rate, 0)
    }

    fn run(&self, capture: &Path, rate: f64, seconds: u64) -> (u64, f64) {
        let mut command = pinned(0, self.folder.path().join("send"));
        let done = command.arg("port1").arg(capture).args([rate.to_string(), seconds.to_string()]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let said = String::from_utf8(done.stdout).unwrap();
        let (sent, took) = said.trim().split_once(' ').unwrap();
        (sent.parse().unwrap(), took.parse().unwrap())
    }
}

fn given() -> Option<PathBuf> {
    let folder = std::env::var_os("WHITHER_BENCH_TRACES").filter(|folder| !folder.is_empty())?;
    let mut given: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    given.retain(|path| path.extension().is_some_and(|end| end == "pcap"));
    given.sort_by_key(|path| (!path.to_string_lossy().contains("mixed"), path.clone()));
    given.into_iter().next()
}

/// Every device's connections to every name, name by name, up to the server's answer.
fn openings() -> Vec<Vec<u8>> {
    (0..NAMES).flat_map(|name| (0..DEVICES).flat_map(move |device| opening(device, name))).collect()
}

fn opening(device: u16, name: u8) -> Vec<Vec<u8>> {
    let [high, low] = (device + 1).to_be_bytes();
    let mac = [0x3c, 0x5a, 0xb4, 0, high, low];
    let client = SocketAddr::from(([10, 77, high, low], 40_000 + u16::from(name)));
    let [a, b, c] = [[192, 0, 2], [198, 51, 100], [203, 0, 113]][usize::from(name % 3)];
    let server = SocketAddr::from(([a, b, c, name + 1], 443));
    let mut talk = wire::Talk::open(client, server);
    talk.say(true, wire::PUSH, &wire::hello(&format!("www.n{name}.example"))).say(false, wire::PUSH, &wire::server_flight());
    let frame = |(up, packet): &(bool, Vec<u8>)| {
        let (from, to) = if *up { (mac, wire::GATEWAY) } else { (wire::GATEWAY, mac) };
        wire::frame(from, to, packet)
    };
    talk.packets.iter().map(frame).collect()
}
