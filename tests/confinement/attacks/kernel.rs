//! The rest of the kernel: what makes a system call useful to somebody who looks for its faults.

use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use seccompiler::{SeccompAction, SeccompFilter, apply_filter};

use super::Refused::{Each, Seccomp};
use super::{Attack, attack, number};

pub(super) const ATTACKS: &[Attack] = &[
    attack("mounts a file system", Each, |scene| {
        let at = scene.inside("directory");
        mount(Some("none"), &at, Some("tmpfs"), MsFlags::empty(), None::<&str>).map_err(|errno| errno as i32)?;
        umount2(&at, MntFlags::MNT_DETACH).map_err(|errno| errno as i32)
    }),
    attack("changes its root", Seccomp, |_| std::os::unix::fs::chroot("/").map_err(number)),
    attack("makes a user namespace", Seccomp, |_| unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| errno as i32)),
    attack("makes a network namespace", Seccomp, |_| unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| errno as i32)),
    attack("adds a filter of system calls", Seccomp, |_| {
        let target = std::env::consts::ARCH.try_into().expect("a known processor");
        let one = [(libc::SYS_acct, Vec::new())].into_iter().collect();
        let filter = SeccompFilter::new(one, SeccompAction::Allow, SeccompAction::Errno(1), target);
        let filter: seccompiler::BpfProgram = filter.and_then(TryInto::try_into).expect("a filter");
        apply_filter(&filter).map_err(|error| match error {
            seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => number(error),
            _ => 0,
        })
    }),
    attack("loads a program into the kernel", Seccomp, |_| unsafe_calls::load_bpf().map(drop)),
    attack("adds a key to a keyring", Seccomp, |_| unsafe_calls::add_key()),
    attack("uses io_uring", Seccomp, |scene| {
        // That the kernel opens nothing outside for it is another attack.
        unsafe_calls::open_with_io_uring(
            &std::ffi::CString::new(scene.inside("file").to_str().expect("text")).expect("a path"),
        )
        .map(drop)
    }),
    attack("handles its own page faults", Seccomp, |_| unsafe_calls::handle_page_faults().map(drop)),
    attack("reads the kernel's log", Seccomp, |_| unsafe_calls::kernel_log_bytes()),
    attack("changes its user", Seccomp, |_| {
        // To the one that it has, so that this succeeds without confinement.
        let user = nix::unistd::getuid();
        nix::unistd::setresuid(user, user, user).map_err(|errno| errno as i32)
    }),
];
