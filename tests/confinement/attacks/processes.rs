//! Starting programs, and reaching other processes.

use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::process::CommandExt;
use std::process::Command;

use memmap2::MmapMut;
use nix::fcntl::AtFlags;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::{Pid, execveat};
use rustix::process::{Signal, kill_process};

use super::Refused::{Each, Seccomp};
use super::{Attack, attack, errno, number};
use crate::scene::Scene;

/// What a shell runs to tell that it was started.
const SCRIPT: &str = "echo succeeded";

pub(super) const ATTACKS: &[Attack] = &[
    attack("executes /bin/sh", Each, |_| Err(number(Command::new("/bin/sh").args(["-c", SCRIPT]).exec()))),
    attack("starts /bin/sh as another process", Each, |_| {
        Command::new("/bin/sh").args(["-c", "exit 0"]).status().map(drop).map_err(number)
    }),
    attack("executes a program that it has open", Each, |scene| Err(execute(&scene.program))),
    // Landlock knows nothing of memory, but refuses the loader, which is a file. A static program would run.
    attack("executes a program from memory", Each, |scene| {
        let mut memory = File::from(memfd_create("program", MFdFlags::empty()).map_err(|errno| errno as i32)?);
        // Content of a file that it has open can be read.
        std::io::copy(&mut &scene.program, &mut memory).map_err(number)?;
        Err(execute(&memory))
    }),
    attack("makes memory executable", Seccomp, |_| {
        MmapMut::map_anon(4096).and_then(MmapMut::make_exec).map(drop).map_err(number)
    }),
    attack("starts a thread", Seccomp, |_| {
        std::thread::Builder::new().spawn(|| {}).map(|thread| drop(thread.join())).map_err(number)
    }),
    attack("starts a process", Seccomp, |_| unsafe_calls::fork()),
    attack("starts a process with clone3", Seccomp, |_| unsafe_calls::fork_with_clone3()),
    attack("traces its parent", Each, |scene| {
        let parent = pid(scene);
        nix::sys::ptrace::seize(parent, nix::sys::ptrace::Options::empty()).map_err(|errno| errno as i32)
    }),
    attack("reads the parent's memory directly", Each, |scene| {
        let (mut space, remote) = ([0; 8], RemoteIoVec { base: 0x1000, len: 8 });
        match process_vm_readv(pid(scene), &mut [IoSliceMut::new(&mut space)], &[remote]) {
            // Nothing is at this address, but it may look.
            Ok(_) | Err(nix::Error::EFAULT) => Ok(()),
            Err(errno) => Err(errno as i32),
        }
    }),
    attack("takes a descriptor of its parent", Each, |scene| unsafe_calls::steal_descriptor(scene.parent, 1).map(drop)),
    attack("signals its parent", Each, |scene| {
        let parent = rustix::process::Pid::from_raw(scene.parent.cast_signed()).ok_or(0)?;
        // It ignores this one.
        kill_process(parent, Signal::URG).map_err(errno)
    }),
    attack("signals itself with a call that reaches others", Seccomp, |_| {
        kill_process(rustix::process::getpid(), Signal::URG).map_err(errno)
    }),
    attack("raises a limit", Seccomp, |_| {
        use rustix::process::{Resource, getrlimit, setrlimit};
        setrlimit(Resource::Nofile, getrlimit(Resource::Nofile)).map_err(errno)
    }),
];

fn pid(scene: &Scene) -> Pid {
    Pid::from_raw(scene.parent.cast_signed())
}

/// Executes a shell that is open. Returns the number of the error.
fn execute(shell: &File) -> i32 {
    let arguments = [c"sh", c"-c", c"echo succeeded"];
    execveat(shell, c"", &arguments, &[] as &[&std::ffi::CStr], AtFlags::AT_EMPTY_PATH)
        .map_or_else(|errno| errno as i32, |never| match never {})
}
