//! What a whole process costs: its start and end are part of it.
//!
//! Road taken: the kernel's own account (`getrusage`) of a child whose only child is the program, so that the account is of that
//! run alone. Road not taken: timing the library inside this process, which would leave out reading the file, the events and the exit.

use std::env;
use std::ffi::{OsStr, OsString};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};

/// The word that makes a benchmark measure what the words after it run.
const WORD: &str = "--measure";

/// What a run took.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// User and system time, seconds.
    pub(crate) cpu: f64,
    /// Seconds.
    pub(crate) wall: f64,
    /// Most memory in use, MiB.
    pub(crate) peak: f64,
}

/// What a benchmark was started for.
pub(crate) enum Asked {
    /// `cargo bench`.
    Bench,
    /// Nothing more: it has measured for its parent, or was built and run as a test.
    Done,
}

/// To be called first.
pub(crate) fn asked() -> Asked {
    let words: Vec<OsString> = env::args_os().skip(1).collect();
    match words.split_first() {
        Some((first, rest)) if first == WORD => measure(rest),
        _ if words.iter().any(|word| word == "--bench") => return Asked::Bench,
        _ => {}
    }
    Asked::Done
}

/// A command that runs `program` and prints what it took, for [`Cost::read`].
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.arg(WORD).arg(program).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Cost {
    /// Of what such a command printed.
    pub(crate) fn read(output: &std::process::Output) -> Self {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout);
        let figures: Vec<f64> = text.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
        Self { cpu: figures[0], wall: figures[1], peak: figures[2] }
    }
}

/// Least, median, most.
pub(crate) fn spread(values: impl IntoIterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}

fn measure(words: &[OsString]) {
    let begin = Instant::now();
    let status = Command::new(&words[0]).args(&words[1..]).stdout(Stdio::null()).status().unwrap();
    let wall = begin.elapsed().as_secs_f64();
    assert!(status.success(), "{}: {status}", words[0].display());
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let cpu: f64 = [usage.user_time(), usage.system_time()].iter().map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6).sum();
    println!("{cpu} {wall} {}", usage.max_rss() as f64 / 1024.0);
}
