//! Giving up root: another user, and no capability but the one to capture.
//!
//! Unless a user is named, it is `nobody`; where `nobody` cannot reach what the sensor was given, it is whoever owns one of those paths,
//! so that `sudo whither watch --events events.jsonl` works in a person's own folder. Root itself is the last of them: root in name,
//! and without capabilities. The kernel is asked what each may, by taking its place for a moment. Road not taken: changing the owner of
//! files, which a sensor has no business to do.

use std::ffi::CString;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{AccessFlags, Gid, Uid, User, eaccess, geteuid, initgroups, setegid, seteuid, setgroups, setresgid, setresuid};

use super::Needs;

/// Whom the process belongs to when nobody says otherwise.
const NOBODY: &str = "nobody";

/// Whom the process belongs to now.
pub(super) struct Owner {
    pub(super) root: bool,
    pub(super) words: String,
}

/// Someone to become.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    name: String,
    uid: Uid,
    gid: Gid,
    /// Named by the person: with all its groups.
    named: bool,
}

/// Makes the process another user's, if it is root's. `strict`: root is no user to stay.
pub(super) fn leave_root(name: Option<&str>, needs: &Needs, strict: bool) -> Result<Owner> {
    if !geteuid().is_root() {
        return stay(name, needs);
    }
    let may_change = [Capability::CAP_SETUID, Capability::CAP_SETGID].into_iter().all(|cap| has(CapSet::Effective, cap));
    if name.is_none() && !may_change && !strict {
        // In a container whose root has no such right.
        make(needs)?;
        return Ok(Owner { root: true, words: "user root, who may become no other here".to_owned() });
    }
    let identity = match name {
        Some(name) => {
            let user = User::from_name(name)?.with_context(|| format!("there is no user {name}"))?;
            let identity = Identity { name: user.name, uid: user.uid, gid: user.gid, named: true };
            if !identity.uid.is_root() {
                may(&identity, needs).with_context(|| format!("as the user {name} (--user NAME is another)"))?;
            }
            identity
        }
        None => choose(needs, strict)?,
    };
    if !identity.uid.is_root() {
        become_user(&identity).with_context(|| format!("cannot become the user {}", identity.name))?;
    }
    make(needs)?;
    let words = match identity.uid.is_root() {
        true if name.is_some() => "user root".to_owned(),
        true => "user root, since only root reaches the files that it was given (--user NAME is another)".to_owned(),
        false => format!("user {}", identity.name),
    };
    Ok(Owner { root: identity.uid.is_root(), words })
}

/// For whoever is not root: only root can become another.
fn stay(name: Option<&str>, needs: &Needs) -> Result<Owner> {
    let own = User::from_uid(geteuid()).ok().flatten().map_or_else(|| geteuid().to_string(), |user| user.name);
    if name.is_some_and(|name| name != own) {
        bail!("only root can become another user; this is {own}: leave --user out");
    }
    make(needs)?;
    Ok(Owner { root: false, words: format!("user {own}") })
}

/// The first who may reach everything: nobody, else whoever owns one of the paths.
fn choose(needs: &Needs, strict: bool) -> Result<Identity> {
    let nobody =
        User::from_name(NOBODY).ok().flatten().map(|user| Identity { name: user.name, uid: user.uid, gid: user.gid, named: false });
    let paths = needs.write.iter().chain(&needs.keep).chain(&needs.read);
    let owners = paths.filter_map(|path| owner(path)).filter(|owner| !strict || !owner.uid.is_root());
    let mut refused = None;
    for identity in nobody.into_iter().chain(owners) {
        match may(&identity, needs) {
            Ok(()) => return Ok(identity),
            Err(error) => drop(refused.get_or_insert(error.context(format!("as the user {}", identity.name)))),
        }
    }
    let refused = refused.unwrap_or_else(|| anyhow!("there is no user {NOBODY}"));
    Err(refused.context("no user but root reaches what was given; let one, or say --user root"))
}

/// Whoever owns a path, or what there is of it.
fn owner(path: &Path) -> Option<Identity> {
    let of = path.ancestors().find_map(|path| here(path).metadata().ok())?;
    let uid = Uid::from_raw(of.uid());
    let known = User::from_uid(uid).ok().flatten();
    let (name, gid) = known.map_or_else(|| (uid.to_string(), Gid::from_raw(of.gid())), |user| (user.name, user.gid));
    Some(Identity { name, uid, gid, named: false })
}

/// The folder that a relative path begins in has a name too.
fn here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// Whether someone may reach everything: asked of the kernel in their place.
fn may(identity: &Identity, needs: &Needs) -> Result<()> {
    groups(identity)?;
    setegid(identity.gid)?;
    seteuid(identity.uid)?;
    let reached = reach(needs);
    // The saved user is root still. Whoever cannot go back must not go on.
    seteuid(Uid::from_raw(0)).context("cannot become root again")?;
    setegid(Gid::from_raw(0)).context("cannot become root again")?;
    reached
}

fn reach(needs: &Needs) -> Result<()> {
    let (read, write) = (AccessFlags::R_OK, AccessFlags::W_OK | AccessFlags::X_OK);
    for path in &needs.read {
        ask(path, read, "read")?;
    }
    for path in &needs.write {
        // A new one is made in its place now and then, where that is allowed; the log says when it is not.
        match path.exists() {
            true => ask(path, AccessFlags::W_OK, "written")?,
            false => ask(here(path.parent().unwrap_or(path)), write, "written in")?,
        }
    }
    for path in &needs.keep {
        let there = path.ancestors().map(here).find(|path| path.exists()).unwrap_or(path);
        ask(there, write, "written in")?;
    }
    Ok(())
}

/// What is not there at all is told by whoever opens it.
fn ask(path: &Path, access: AccessFlags, what: &str) -> Result<()> {
    match eaccess(path, access) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => bail!("{} cannot be {what}: {}", path.display(), error.desc()),
    }
}

fn groups(identity: &Identity) -> Result<()> {
    match CString::new(identity.name.as_str()) {
        Ok(name) if identity.named => initgroups(&name, identity.gid)?,
        _ => setgroups(&[identity.gid])?,
    }
    Ok(())
}

fn become_user(identity: &Identity) -> Result<()> {
    limit();
    caps::securebits::set_keepcaps(true)?;
    groups(identity)?;
    setresgid(identity.gid, identity.gid, identity.gid)?;
    setresuid(identity.uid, identity.uid, identity.uid)?;
    caps::securebits::set_keepcaps(false)?;
    keep_capturing()?;
    // /proc/self is this user's again, for the metrics. Nobody with fewer capabilities can look into the process by it (ptrace(2)).
    Ok(prctl::set_dumpable(true)?)
}

/// The directories that are to be kept in, made by whoever will.
fn make(needs: &Needs) -> Result<()> {
    for path in &needs.keep {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("cannot make the directory {}", path.display()))?;
    }
    Ok(())
}

/// Gives up every capability but `cap_net_raw`, for this process and all that it could start; says which is left.
pub(super) fn keep_capturing() -> Result<String> {
    let wanted: CapsHashSet = [Capability::CAP_NET_RAW].into_iter().filter(|cap| has(CapSet::Permitted, *cap)).collect();
    limit();
    let none = CapsHashSet::new();
    let sets = [(CapSet::Effective, &wanted), (CapSet::Permitted, &wanted), (CapSet::Inheritable, &none)];
    for (set, value) in sets {
        caps::set(None, set, value).context("no capability could be given up")?;
    }
    // Kernels before 4.3 have none.
    let _ = caps::clear(None, CapSet::Ambient);
    prctl::set_no_new_privs().context("new privileges could not be ruled out")?;
    Ok(if wanted.is_empty() { "no capability" } else { "cap_net_raw alone" }.to_owned())
}

/// Whether the process has no capability but that one, if any.
pub(super) fn only_captures() -> bool {
    caps::read(None, CapSet::Permitted).is_ok_and(|held| held.iter().all(|cap| *cap == Capability::CAP_NET_RAW))
}

/// Rules out that a program started from here gets more. Only for whoever may, as root: for all others the bounding set says no more than
/// the permitted one, without new privileges.
fn limit() {
    let others = caps::runtime::procfs_all_supported(None).unwrap_or_else(|_| caps::all());
    others.into_iter().filter(|cap| *cap != Capability::CAP_NET_RAW).for_each(|cap| drop(caps::drop(None, CapSet::Bounding, cap)));
}

fn has(set: CapSet, cap: Capability) -> bool {
    caps::has_cap(None, set, cap).unwrap_or(false)
}
