//! seccomp: which system calls the process can make.
//!
//! [`CALLS`] is the whole list: what the running server makes on x86_64 and aarch64, with glibc and with musl. To derive
//! it again, run the tests with a program in the place of `target/debug/spindle` that executes the server by
//! `strace -f -o FILE`, and see which calls follow the last `seccomp(`; those that fail with `EPERM` are missing here.
//! Calls that only a failure makes, and that no test causes, are found by reading.
//!
//! A call that is allowed whatever its arguments are costs nothing but the entry to the kernel's checks, since the kernel
//! remembers that it needs no filter (since Linux 5.11). So the calls of nearly every request have no conditions, and their
//! order in the list does not matter. A call with a condition costs 60 ns instead of 30 (`scripts/bench/calls.rs`).
//!
//! The threads that flush uploads and close files are created before, and make no call that is not in the list. No thread is created
//! after the start, so neither `clone` nor `clone3` is allowed. Sockets only come from `accept4`.

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter_all_threads,
};

use super::{Enforced, Refusal};

/// What a call's arguments must be.
#[derive(Clone, Copy, Debug)]
enum Arguments {
    /// Anything.
    Any,
    /// The argument of this index is one of these numbers.
    OneOf(u8, &'static [i32]),
    /// The argument of this index has none of these bits.
    Without(u8, i32),
    /// The argument of this index is a null pointer.
    Null(u8),
    /// The first argument is the process itself.
    OwnProcess,
}

use Arguments::{Any, Null, OneOf, OwnProcess, Without};

/// An allowed system call.
type Call = (libc::c_long, Arguments);

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// The allowed calls of both architectures, each with what the server makes it for.
const CALLS: &[Call] = &[
    // The event loop: waiting for events, registering sockets, and reading the clock where the vDSO cannot.
    (libc::SYS_epoll_pwait, Any),
    (libc::SYS_epoll_ctl, Any),
    (libc::SYS_clock_gettime, Any),
    // Connections: taking them, moving bytes, sending files, ending the sending side.
    (libc::SYS_accept4, Any),
    (libc::SYS_recvfrom, Any),
    (libc::SYS_sendto, Any),
    (libc::SYS_read, Any),
    (libc::SYS_write, Any),
    (libc::SYS_writev, Any),
    (libc::SYS_sendfile, Any),
    (libc::SYS_shutdown, Any),
    (libc::SYS_close, Any),
    // Options of sockets. Other levels reach into parts of the kernel that the server never uses.
    (libc::SYS_setsockopt, OneOf(1, &[libc::SOL_SOCKET, libc::IPPROTO_TCP])),
    (libc::SYS_getsockopt, OneOf(1, &[libc::SOL_SOCKET, libc::IPPROTO_TCP])),
    // Whether the terminal is gone, and whether standard output takes a line.
    (libc::SYS_ppoll, Any),
    // Opening and looking at files.
    (libc::SYS_openat, Any),
    (libc::SYS_openat2, Any),
    (libc::SYS_newfstatat, Any),
    (libc::SYS_fstat, Any),
    (libc::SYS_statx, Any),
    // What is in memory of a file, and reading it ahead.
    (libc::SYS_preadv2, Any),
    (libc::SYS_fadvise64, Any),
    // Free space, and whether reserving it helps.
    (libc::SYS_fstatfs, Any),
    // Listings and archives.
    (libc::SYS_getdents64, Any),
    (libc::SYS_lseek, Any),
    (libc::SYS_pread64, Any),
    // Uploads: space, flush, digest, name.
    (libc::SYS_ftruncate, Any),
    (libc::SYS_fallocate, Any),
    (libc::SYS_fsync, Any),
    (libc::SYS_fsetxattr, Any),
    (libc::SYS_fgetxattr, Any),
    (libc::SYS_flock, Any),
    (libc::SYS_linkat, Any),
    (libc::SYS_renameat, Any),
    (libc::SYS_renameat2, Any),
    (libc::SYS_mkdirat, Any),
    (libc::SYS_unlinkat, Any),
    // The time of a file that is open. With a path it would change that of any file.
    (libc::SYS_utimensat, Null(1)),
    // A duplicate, whose close reports the errors of the file system; and the flags of a descriptor, which musl sets again
    // after each open.
    (libc::SYS_fcntl, OneOf(1, &[libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_SETFD, libc::F_GETFL])),
    // The limit on the size of files. Limits cannot be changed.
    (libc::SYS_prlimit64, Null(2)),
    // Identifiers of uploads, and the keys of hash maps.
    (libc::SYS_getrandom, Any),
    // Memory, never executable.
    (libc::SYS_mmap, Without(2, libc::PROT_EXEC)),
    (libc::SYS_mprotect, Without(2, libc::PROT_EXEC)),
    (libc::SYS_munmap, Any),
    (libc::SYS_mremap, Any),
    (libc::SYS_madvise, Any),
    (libc::SYS_brk, Any),
    // The channels to the threads that flush uploads and close files, and locks of the standard library.
    (libc::SYS_futex, Any),
    (libc::SYS_sched_yield, Any),
    // The pause after a poll that failed for lack of memory; also what the kernel makes of it after SIGCONT.
    (libc::SYS_clock_nanosleep, Any),
    (libc::SYS_nanosleep, Any),
    (libc::SYS_restart_syscall, Any),
    // Signal handlers: the return from one, and the end of the process.
    (libc::SYS_rt_sigreturn, Any),
    (libc::SYS_rt_sigaction, Any),
    (libc::SYS_rt_sigprocmask, Any),
    (libc::SYS_sigaltstack, Any),
    (libc::SYS_exit, Any),
    (libc::SYS_exit_group, Any),
    // abort(3), after a panic while panicking: SIGABRT to itself.
    (libc::SYS_getpid, Any),
    (libc::SYS_gettid, Any),
    (libc::SYS_tgkill, OwnProcess),
    (libc::SYS_tkill, OwnProcess),
];

/// Calls that aarch64 does not have, and that libraries make on x86_64.
#[cfg(target_arch = "x86_64")]
const OLD_CALLS: &[Call] = &[
    (libc::SYS_epoll_wait, Any),
    // Of the access log.
    (libc::SYS_open, Any),
    // Of a Unix socket at the end.
    (libc::SYS_unlink, Any),
    // As musl looks at a file by its path.
    (libc::SYS_stat, Any),
    (libc::SYS_lstat, Any),
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_CALLS: &[Call] = &[];

/// Restricts all threads of the process.
pub(super) fn restrict(refusal: Refusal) -> Enforced {
    let applied = filter(refusal)
        .map_err(|error| error.to_string())
        .and_then(|filter| apply_filter_all_threads(&filter).map_err(|error| error.to_string()));
    match applied {
        Ok(()) => Enforced::Whole,
        Err(reason) => Enforced::Nothing(reason),
    }
}

fn filter(refusal: Refusal) -> Result<BpfProgram, seccompiler::BackendError> {
    let refused = match refusal {
        // As if the process had no permission, which every caller expects of any call.
        Refusal::Error => SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        Refusal::Kill => SeccompAction::KillProcess,
    };
    let calls = CALLS.iter().chain(OLD_CALLS).map(|(call, arguments)| Ok((*call, rules(*arguments)?)));
    let rules = calls.collect::<Result<_, seccompiler::BackendError>>()?;
    SeccompFilter::new(rules, refused, SeccompAction::Allow, ARCHITECTURE)?.try_into()
}

/// One of the rules must hold; without any the call is always allowed.
fn rules(arguments: Arguments) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let equal = |index, value: u64| SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value);
    let number = |value: i32| u64::from(value.unsigned_abs());
    match arguments {
        Any => Ok(Vec::new()),
        OneOf(index, values) => {
            values.iter().map(|value| SeccompRule::new(vec![equal(index, number(*value))?])).collect()
        }
        Without(index, bits) => {
            let none = SeccompCmpOp::MaskedEq(number(bits));
            Ok(vec![SeccompRule::new(vec![SeccompCondition::new(index, SeccompCmpArgLen::Dword, none, 0)?])?])
        }
        Null(index) => {
            let null = SeccompCondition::new(index, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?;
            Ok(vec![SeccompRule::new(vec![null])?])
        }
        OwnProcess => Ok(vec![SeccompRule::new(vec![equal(0, u64::from(std::process::id()))?])?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A condition would take them off the kernel's list of calls that need no filter.
    #[test]
    fn the_calls_of_nearly_every_request_have_no_conditions() {
        let unconditional = [
            libc::SYS_epoll_pwait,
            libc::SYS_epoll_ctl,
            libc::SYS_accept4,
            libc::SYS_read,
            libc::SYS_recvfrom,
            libc::SYS_write,
            libc::SYS_sendto,
            libc::SYS_sendfile,
            libc::SYS_shutdown,
            libc::SYS_close,
            libc::SYS_openat,
            libc::SYS_openat2,
            libc::SYS_fstat,
            libc::SYS_newfstatat,
            libc::SYS_statx,
            libc::SYS_linkat,
            libc::SYS_renameat,
        ];
        for call in unconditional {
            assert!(CALLS.iter().any(|(allowed, arguments)| *allowed == call && matches!(arguments, Any)), "{call}");
        }
        #[cfg(target_arch = "x86_64")]
        assert!(
            OLD_CALLS.iter().any(|(allowed, arguments)| *allowed == libc::SYS_epoll_wait && matches!(arguments, Any))
        );
    }
}
