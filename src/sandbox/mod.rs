//! What the process gives up before it reads a byte that a device has chosen.
//!
//! The capture and the listening socket are opened first, with whatever rights that needs. Then, before any thread starts, in this
//! order: another user (`user`), all capabilities but `cap_net_raw`, Landlock (`folders`), seccomp (`syscalls`). Everything
//! else is opened inside: address databases, watchlists, the devices file, the events, the state. So a file that the sensor could
//! not read again on SIGHUP fails at the start.
//!
//! `cap_net_raw` stays, because an interface that was removed and came back must be opened again. The thread that captures gives
//! up writing instead ([`mute`]): a process taken over there has a socket that could send frames, and no call to do it with.
//!
//! Roads not taken: a second process that opens sockets for this one, which is another parser of messages; a filter that kills
//! on a forbidden call, since a C library that is newer than the list would then end the sensor instead of trying another call.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::config::Sandbox as Mode;

mod folders;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
mod syscalls;
mod user;

/// What the process still needs once it is confined.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Files that are read now and later again, when they may have been replaced by others of the same name.
    pub read: Vec<PathBuf>,
    /// Files that are written, moved aside, and made anew.
    pub write: Vec<PathBuf>,
    /// Directories that are written in; made when they are not there.
    pub keep: Vec<PathBuf>,
}

/// One of the things that confine a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// `user`, `capabilities`, `landlock` or `seccomp`.
    pub name: &'static str,
    /// It holds.
    pub on: bool,
    /// What it leaves, or why it does not hold; for a person.
    pub words: String,
}

/// How a process is confined: one row for each layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// Whether and how strictly it was asked for.
    pub mode: Mode,
    /// The layers, from the outermost.
    pub layers: Vec<Layer>,
}

impl Sandbox {
    /// One line for a person.
    #[must_use]
    pub fn line(&self) -> String {
        let words: Vec<&str> = self.layers.iter().map(|layer| layer.words.as_str()).collect();
        format!("sandbox: {}", words.join(", "))
    }

    fn add(&mut self, name: &'static str, done: Result<String>) -> Result<()> {
        let (on, words) = match done {
            Ok(words) => (true, words),
            Err(error) if self.mode == Mode::Require => bail!("--sandbox require, but {error:#}"),
            Err(error) => (false, format!("{error:#}")),
        };
        self.layers.push(Layer { name, on, words });
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        self.layers.iter().any(|layer| layer.name == name && layer.on)
    }
}

/// Confines the process that calls it, for good. To be called before any thread starts: Landlock and seccomp bind the calling
/// thread and those that it starts.
///
/// # Errors
/// When `name` is no user that this process can become, or cannot reach what `needs` says; with [`Mode::Require`] also when a layer
/// does not hold.
pub fn enter(mode: Mode, name: Option<&str>, needs: &Needs) -> Result<Sandbox> {
    let mut sandbox = Sandbox { mode, layers: Vec::new() };
    let user = user::leave_root(name, needs, mode == Mode::Require)?;
    sandbox.layers.push(Layer { name: "user", on: !user.root, words: user.words });
    if mode == Mode::Off {
        let (on, words) = if user::only_captures() { (true, "cap_net_raw alone") } else { (false, "capabilities off") };
        sandbox.layers.push(Layer { name: "capabilities", on, words: words.to_owned() });
        let off = |(name, words): (_, &str)| Layer { name, on: false, words: words.to_owned() };
        sandbox.layers.extend([("landlock", "Landlock off"), ("seccomp", "seccomp off")].map(off));
        return Ok(sandbox);
    }
    sandbox.add("capabilities", user::keep_capturing())?;
    sandbox.add("landlock", folders::confine(needs))?;
    sandbox.add("seccomp", calls(Scope::Process))?;
    Ok(sandbox)
}

/// Takes from the process, before all else, whatever asks anybody anything: so a host's name in a capture filter is an error and no
/// question to a resolver.
///
/// # Errors
/// With [`Mode::Require`], when the kernel does not take it.
pub fn ask_nobody(mode: Mode) -> Result<()> {
    if mode == Mode::Off { Ok(()) } else { lenient(mode, calls(Scope::Questions)) }
}

/// Confines a process that only reads files: it starts no program, opens no network socket and asks nobody. Which files it reads and
/// writes stays its user's matter.
///
/// # Errors
/// With [`Mode::Require`], when the kernel does not take it.
pub fn hush(mode: Mode) -> Result<()> {
    if mode == Mode::Off { Ok(()) } else { lenient(mode, calls(Scope::Process)) }
}

fn lenient(mode: Mode, done: Result<String>) -> Result<()> {
    match done {
        Err(error) if mode == Mode::Require => bail!("--sandbox require, but {error:#}"),
        _ => Ok(()),
    }
}

/// From now on the calling thread writes to standard error alone, and starts no thread. For the thread that captures, when all others
/// run.
///
/// # Errors
/// When the kernel, which took the filter of [`enter`], does not take this one.
pub fn mute(sandbox: &Sandbox) -> Result<()> {
    if sandbox.has("seccomp") {
        calls(Scope::Capture)?;
    }
    Ok(())
}

/// Whom a list of system calls is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Questions,
    Process,
    Capture,
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
fn calls(scope: Scope) -> Result<String> {
    match scope {
        Scope::Questions => syscalls::ask_nobody()?,
        Scope::Process => syscalls::confine()?,
        Scope::Capture => syscalls::mute()?,
    }
    Ok("seccomp".to_owned())
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
fn calls(_: Scope) -> Result<String> {
    bail!("no seccomp: its list is not made for this processor")
}
