//! Where the benchmarks leave what they found: a section each of `tests/bench/RESULTS.md`, with its day and the class of the machine.
//!
//! Each may run alone, so each replaces its own section and leaves the others as they were. What names a machine stays out.

use std::fs;
use std::path::Path;
use std::process::Command;

const FILE: &str = "tests/bench/RESULTS.md";
const HEAD: &str =
    "# What whither costs\n\nWritten by `make bench`; `README.md` says what it means. Ratios travel between machines, times do not.\n";
/// The sections, in the order of the file.
const SECTIONS: [&str; 5] = ["Reading", "Stages", "Growth", "Scrapes", "Live"];

/// A section in the making: what is said is printed at once, and is left in the file at the end.
pub(crate) struct Section {
    name: &'static str,
    text: String,
}

impl Section {
    /// An empty one, of a name in `SECTIONS`.
    pub(crate) fn new(name: &'static str) -> Self {
        assert!(SECTIONS.contains(&name));
        Self { name, text: String::new() }
    }

    /// A line, or several.
    pub(crate) fn say(&mut self, line: impl AsRef<str>) {
        println!("{}", line.as_ref());
        self.text += line.as_ref();
        self.text.push('\n');
    }

    /// Replaces what the file says under this name.
    pub(crate) fn put(self) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
        let old = fs::read_to_string(&path).unwrap_or_default();
        let kept =
            |name: &str| old.split("\n## ").find_map(|part| part.strip_prefix(name)?.strip_prefix('\n')).map(|part| part.trim().to_owned());
        let new = format!("{}\n\n{}", circumstances(), self.text.trim());
        let body = |name: &&str| if *name == self.name { Some(new.clone()) } else { kept(name) };
        let sections = SECTIONS.iter().filter_map(|name| Some(format!("\n## {name}\n\n{}\n", body(name)?)));
        fs::write(&path, HEAD.to_owned() + &sections.collect::<String>()).unwrap();
        println!("(also in {FILE})");
    }
}

/// The day, the class of the machine, the versions.
fn circumstances() -> String {
    let day = jiff::Timestamp::now().strftime("%F").to_string();
    let of = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix(key)?.split_once(':').map(|(_, value)| value.trim().to_owned())).unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = of("/proc/meminfo", "MemTotal").split(' ').next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel: Vec<&str> = kernel.split('.').take(2).collect();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let rustc = Command::new("rustc").arg("--version").output().map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
    let rustc = rustc.unwrap_or_default().split(' ').nth(1).unwrap_or("unknown").to_owned();
    format!(
        "{day}: whither {}, rustc {rustc}; {}, {cores} cores, {:.0} GiB, Linux {}. At the end {} processes were running or ready, on average of a minute.",
        env!("CARGO_PKG_VERSION"),
        of("/proc/cpuinfo", "model name"),
        memory / f64::from(1 << 20),
        kernel.join("."),
        load.split(' ').next().unwrap_or("unknown"),
    )
}
