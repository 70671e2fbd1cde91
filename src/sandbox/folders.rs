//! Landlock: of all files the process reaches those that it was given, and no TCP port.
//!
//! A rule of Landlock holds an inode, not a name, and files are replaced by a rename. So what is allowed is the folder that a file
//! stands in, and the one that it really stands in where it is a link. Road not taken: rules on the files themselves, under which the first
//! update of an address database could not be read.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreated,
    RulesetCreatedAttr as _, RulesetStatus, Scope, make_bitflags,
};

use super::Needs;

/// What of the system's own a sensor reads while it runs: its process and when the machine started, for the metrics; and what interfaces
/// dropped, which libpcap reads there (an interface that comes back is another folder in it).
const OWN: [&str; 3] = ["/proc/self", "/proc/stat", "/sys/devices"];
/// The newest rights that are asked for; an older kernel has fewer, of which the network's and signals are seccomp's too.
const NEWEST: ABI = ABI::V6;

/// Confines the calling thread; says to what.
pub(super) fn confine(needs: &Needs) -> Result<String> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()
        .context("no Landlock")?;
    let read = make_bitflags!(AccessFs::{ReadFile});
    let write = make_bitflags!(AccessFs::{ReadFile | WriteFile | Truncate | MakeReg | RemoveFile});
    OWN.iter().for_each(|path| allow(&mut rules, Path::new(path), read | AccessFs::ReadDir));
    folders(&needs.read).iter().for_each(|path| allow(&mut rules, path, read));
    folders(&needs.write).iter().for_each(|path| allow(&mut rules, path, write));
    needs.keep.iter().for_each(|path| allow(&mut rules, path, write | AccessFs::ReadDir));
    if rules.restrict_self().context("no Landlock")?.ruleset == RulesetStatus::NotEnforced {
        bail!("no Landlock: this kernel has none, or has it switched off (lsm=)");
    }
    Ok("Landlock".to_owned())
}

/// Allows what is below a path. One that cannot be allowed, as it is not there, is passed over: whoever opens it is refused, and tells so.
fn allow(rules: &mut RulesetCreated, path: &Path, access: BitFlags<AccessFs>) {
    let Ok(opened) = PathFd::new(path) else { return };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    let _ = rules.add_rule(PathBeneath::new(opened, access));
}

/// The folders of files; what stands in the topmost folder, and what is no plain file, stands for itself.
fn folders(files: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        files.iter().flat_map(|file| [Some(file.clone()), file.canonicalize().ok()]).flatten().map(folder).collect();
    found.sort();
    found.dedup();
    found
}

fn folder(file: PathBuf) -> PathBuf {
    let special = file.metadata().is_ok_and(|of| !of.is_file());
    match file.parent() {
        _ if special => file,
        Some(folder) if folder.as_os_str().is_empty() => PathBuf::from("."),
        Some(folder) if folder.parent().is_some() => folder.to_owned(),
        _ => file,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_reached_by_its_folder_and_where_it_really_is() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        for folder in ["given", "real"] {
            std::fs::DirBuilder::new().create(root.join(folder)).unwrap();
        }
        #[expect(clippy::disallowed_methods, reason = "a test writes the files that it reads")]
        std::fs::write(root.join("real/a.mmdb"), "").unwrap();
        std::os::unix::fs::symlink("../real/a.mmdb", root.join("given/a.mmdb")).unwrap();
        assert_eq!(folders(&[root.join("given/a.mmdb")]), [root.join("given"), root.join("real")]);
        assert_eq!(folders(&[root.join("real/none"), root.join("real/a.mmdb")]), [root.join("real")]);
        assert_eq!(folders(&["a.mmdb", "/a.mmdb", "/dev/null"].map(PathBuf::from)), ["/a.mmdb", "/dev/null", "."].map(PathBuf::from));
    }
}
