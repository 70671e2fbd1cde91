//! seccomp: of some 350 system calls those that a sensor makes.
//!
//! Left out are, among others: `connect`, `sendmsg`, `listen`, a `socket` that is neither netlink (which interfaces there are), packet (to
//! capture again) nor Unix (what the C library asks about interfaces by), `execve`, `fork`, `ptrace`, `mount`, io_uring, memory that is both
//! written and run. What is left out fails with EPERM. `sendto` is left for answers on connections that others began, which need no
//! address, and for netlink.

use anyhow::{Context as _, Result};
use nix::libc;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch};

/// The length of a netlink address. Those of IP (16, 28) and packet sockets (20) are longer.
const NETLINK_ADDRESS: u64 = 12;
/// Bytes that one thread wakes another by; less than the header of an Ethernet frame.
const WAKE: u64 = 8;
const STDERR: u64 = 2;
/// Requests of `ioctl`, by asm-generic/ioctls.h: C libraries disagree on their type.
const TCGETS: u64 = 0x5401;
const TIOCGWINSZ: u64 = 0x5413;
const FIONBIO: u64 = 0x5421;
const FIONREAD: u64 = 0x541b;
const FIOCLEX: u64 = 0x5451;
/// What all requests about sockets and interfaces begin with (linux/sockios.h).
const SIOC: u64 = 0x8900;

/// A condition on an argument: its index, how it is compared, with what. Arguments of 32 bits are compared as such, since the upper half of
/// their register is noise.
struct Is(u8, SeccompCmpOp, u64);
/// Conditions that hold together.
type All<'a> = &'a [Is];

/// Allowed whatever the arguments are.
#[rustfmt::skip] // by what they are for
const ALWAYS: &[i64] = &[
    // files, which are Landlock's
    libc::SYS_openat, libc::SYS_read, libc::SYS_readv, libc::SYS_pread64, libc::SYS_lseek,
    libc::SYS_fstat, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_fstatfs, libc::SYS_statfs, libc::SYS_getdents64, libc::SYS_readlinkat,
    libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_fcntl, libc::SYS_flock, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_ftruncate,
    libc::SYS_renameat2, libc::SYS_unlinkat, libc::SYS_mkdirat, libc::SYS_getcwd, libc::SYS_fadvise64,
    // memory
    libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_brk, libc::SYS_membarrier,
    // threads, time, chance, who we are
    libc::SYS_futex, libc::SYS_set_robust_list, libc::SYS_rseq, libc::SYS_sched_yield, libc::SYS_sched_getaffinity, libc::SYS_getcpu,
    libc::SYS_nanosleep, libc::SYS_clock_nanosleep, libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_gettimeofday,
    libc::SYS_getrandom, libc::SYS_gettid, libc::SYS_getpid, libc::SYS_getppid, libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid,
    libc::SYS_uname, libc::SYS_sysinfo, libc::SYS_getrusage, libc::SYS_times,
    // signals to ourselves, and the end
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_rt_sigtimedwait, libc::SYS_sigaltstack,
    libc::SYS_restart_syscall, libc::SYS_exit, libc::SYS_exit_group,
    // waiting
    libc::SYS_ppoll, libc::SYS_pselect6, libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2, libc::SYS_pipe2,
    // sockets that are there; `bind` is for netlink and packet sockets
    libc::SYS_accept4, libc::SYS_bind, libc::SYS_getsockname, libc::SYS_getpeername, libc::SYS_setsockopt, libc::SYS_getsockopt,
    libc::SYS_recvfrom, libc::SYS_recvmsg, libc::SYS_shutdown,
    // a filter more
    libc::SYS_seccomp,
];

/// The older forms of some, which only this processor has.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OLDER: &[i64] = &[
    libc::SYS_open, libc::SYS_stat, libc::SYS_lstat, libc::SYS_access, libc::SYS_readlink, libc::SYS_rename, libc::SYS_renameat, libc::SYS_unlink,
    libc::SYS_mkdir, libc::SYS_poll, libc::SYS_select, libc::SYS_epoll_wait, libc::SYS_time, libc::SYS_arch_prctl,
];
#[cfg(target_arch = "aarch64")]
const OLDER: &[i64] = &[libc::SYS_renameat];
#[cfg(target_arch = "riscv64")]
const OLDER: &[i64] = &[];

/// What writes: for all but the thread that captures.
const WRITES: &[i64] = &[libc::SYS_write, libc::SYS_writev, libc::SYS_pwrite64];

/// Takes from the calling thread, and those that it will start, what a C library asks a resolver by.
pub(super) fn ask_nobody() -> Result<()> {
    let denied = [libc::SYS_connect, libc::SYS_sendmsg, libc::SYS_sendmmsg];
    install(denied.iter().map(|call| (*call, &[&[] as All<'_>][..])), SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32))
}

/// Confines the calling thread, and those that it will start.
pub(super) fn confine() -> Result<()> {
    let own = u64::from(std::process::id());
    let inherited: &[(i64, &[All<'_>])] = &[
        (libc::SYS_close, &[&[]]),
        // Glibc asks by clone3 first, whose flags no filter can see, and by clone when there is none.
        (libc::SYS_clone3, &[&[]]),
        (libc::SYS_clone, &[&[Is(0, MaskedEq(flag(libc::CLONE_THREAD)), flag(libc::CLONE_THREAD))]]),
        (libc::SYS_sendto, &[&[Is(5, Eq, 0)], &[Is(5, Eq, NETLINK_ADDRESS)]]),
        (libc::SYS_socket, &[&[Is(0, Eq, flag(libc::AF_NETLINK))], &[Is(0, Eq, flag(libc::AF_PACKET))], &[Is(0, Eq, flag(libc::AF_UNIX))]]),
        (libc::SYS_socketpair, &[&[Is(0, Eq, flag(libc::AF_UNIX))]]),
        (libc::SYS_mmap, &[&[Is(2, MaskedEq(flag(libc::PROT_EXEC)), 0)]]),
        (libc::SYS_mprotect, &[&[Is(2, MaskedEq(flag(libc::PROT_EXEC)), 0)]]),
        (libc::SYS_tgkill, &[&[Is(0, Eq, own)]]),
        (libc::SYS_prlimit64, &[&[Is(0, Eq, 0)], &[Is(0, Eq, own)]]),
        // A thread's name, and what memory is for.
        (
            libc::SYS_prctl,
            &[&[Is(0, Eq, flag(libc::PR_SET_NAME))], &[Is(0, Eq, flag(libc::PR_SET_VMA))], &[Is(0, Eq, flag(libc::PR_SET_NO_NEW_PRIVS))]],
        ),
        // Questions about a terminal, and about interfaces; what sets an interface needs a capability that is gone.
        (
            libc::SYS_ioctl,
            &[
                &[Is(1, Eq, TCGETS)],
                &[Is(1, Eq, TIOCGWINSZ)],
                &[Is(1, Eq, FIONBIO)],
                &[Is(1, Eq, FIONREAD)],
                &[Is(1, Eq, FIOCLEX)],
                &[Is(1, MaskedEq(0xff00), SIOC)],
            ],
        ),
    ];
    let always = [ALWAYS, OLDER, WRITES].concat();
    let rules = always.iter().map(|call| (*call, &[&[] as All<'_>][..])).chain(inherited.iter().copied());
    install(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)?;
    let clone3: &[(i64, &[All<'_>])] = &[(libc::SYS_clone3, &[&[]])];
    install(clone3.iter().copied(), SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))
}

/// Takes from the calling thread, when all others run, what could send a frame: it writes to standard error, and wakes others.
pub(super) fn mute() -> Result<()> {
    let longer = |at| Is(at, SeccompCmpOp::Gt, WAKE);
    let unheard: [Is; 2] = [Is(0, Ne, STDERR), longer(2)];
    let denied: &[(i64, &[All<'_>])] = &[
        (libc::SYS_write, &[&unheard]),
        (libc::SYS_writev, &[&[Is(0, Ne, STDERR)]]),
        (libc::SYS_pwrite64, &[&[]]),
        (libc::SYS_sendto, &[&[Is(5, Ne, NETLINK_ADDRESS), longer(2)]]),
        // Else another socket could take its place.
        (libc::SYS_close, &[&[Is(0, Eq, STDERR)]]),
        (libc::SYS_clone, &[&[]]),
    ];
    install(denied.iter().copied(), SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32))
}

/// Installs a filter: `matched` for the calls listed, where one of their alternatives holds, `otherwise` for all else.
fn install<'a>(calls: impl Iterator<Item = (i64, &'a [All<'a>])>, otherwise: SeccompAction, matched: SeccompAction) -> Result<()> {
    let rules = calls.map(|(call, alternatives)| Ok((call, rules(alternatives)?))).collect::<Result<_>>()?;
    let target = TargetArch::try_from(std::env::consts::ARCH).context("no seccomp")?;
    let program: BpfProgram = SeccompFilter::new(rules, otherwise, matched, target).and_then(TryInto::try_into).context("no seccomp")?;
    seccompiler::apply_filter(&program).context("no seccomp")
}

/// No conditions: always.
fn rules(alternatives: &[All<'_>]) -> Result<Vec<SeccompRule>> {
    let some = alternatives.iter().filter(|conditions| !conditions.is_empty());
    some.map(|conditions| {
        let conditions = conditions.iter().map(|Is(index, how, with)| {
            let width = if matches!(with, 0..=0xffff_ffff) && *index != 2 { SeccompCmpArgLen::Dword } else { SeccompCmpArgLen::Qword };
            SeccompCondition::new(*index, width, how.clone(), *with)
        });
        Ok(SeccompRule::new(conditions.collect::<Result<_, _>>()?)?)
    })
    .collect()
}

fn flag(value: libc::c_int) -> u64 {
    u64::from(value.unsigned_abs())
}
