//! Confinement: after its start the process gives up what it no longer needs. If a fault ever lets a stranger run code in
//! it, that code finds no file but those that are served, no program to start, and no network to reach.
//!
//! Two layers of the kernel enforce it, each without the other:
//!
//! - Landlock says which files the process can open, and which TCP ports, sockets and processes it can reach.
//! - seccomp says which system calls it can make. The list is a table in `system_calls.rs`.
//!
//! # Laws
//!
//! 1. Nothing can be taken back, so everything that the server opens only once is opened before.
//! 2. What the kernel cannot enforce is said in one line at the start, and the server runs.
//! 3. A right is granted only for what the server does, and for the smallest part of the disk that is enough.

#[cfg(target_os = "linux")]
mod landlock;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod system_calls;
mod user;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use log::warn;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub use user::{become_user, is_root, may_write};

/// The value of `--sandbox`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// The process is not confined.
    Off,
    /// A system call that is not in the table fails.
    #[default]
    On,
    /// A system call that is not in the table ends the process.
    Kill,
}

/// Parses the value of `--sandbox`. The error is one line without the value.
impl FromStr for Sandbox {
    type Err = String;

    fn from_str(value: &str) -> Result<Sandbox, String> {
        match value {
            "off" => Ok(Sandbox::Off),
            "on" => Ok(Sandbox::On),
            "kill" => Ok(Sandbox::Kill),
            _ => Err("expected on, off or kill".to_owned()),
        }
    }
}

/// What happens if the process makes a system call that is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The call fails with `EPERM`.
    Error,
    /// SIGSYS ends the process.
    Kill,
}

/// Which layers to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layers {
    /// Whether to use Landlock.
    pub landlock: bool,
    /// How to use seccomp; `None` for not at all.
    pub seccomp: Option<Refusal>,
}

impl From<Sandbox> for Layers {
    fn from(sandbox: Sandbox) -> Layers {
        match sandbox {
            Sandbox::Off => Layers { landlock: false, seccomp: None },
            Sandbox::On => Layers { landlock: true, seccomp: Some(Refusal::Error) },
            Sandbox::Kill => Layers { landlock: true, seccomp: Some(Refusal::Kill) },
        }
    }
}

/// What the server does in its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderUse {
    /// It reads files and lists directories.
    Read,
    /// It also stores uploads, and creates directories for them.
    Upload,
    /// It also moves files, links and directories.
    Manage,
}

/// The files that the server uses after its start, apart from those that are open.
#[derive(Clone, Debug, Default)]
pub struct Files<'a> {
    /// The folder that is served. The descriptor identifies it, whatever its path leads to by now.
    pub folder: Option<(BorrowedFd<'a>, FolderUse)>,
    /// Files that are opened anew to append to them. They may have been renamed by then, so that a new one is created.
    pub appended: Vec<PathBuf>,
    /// Files that are read anew. They may have been replaced by then.
    pub read: Vec<PathBuf>,
    /// Unix sockets that are removed at the end.
    pub sockets: Vec<PathBuf>,
}

/// What a layer enforces.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Enforced {
    /// All of it.
    Whole,
    /// All but this, which the kernel lacks.
    Without(String),
    /// Nothing, for this reason.
    Nothing(String),
    /// Nothing, because it was not asked for.
    Off,
}

/// What is in force. Displayed, it is one line without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confinement {
    landlock: Enforced,
    seccomp: Enforced,
    /// The directories outside the folder in which Landlock allows to read or write files.
    others: OtherDirectories,
}

/// Directories of files that are opened anew. Whatever else is below them can be reached, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct OtherDirectories {
    read: BTreeSet<PathBuf>,
    written: BTreeSet<PathBuf>,
}

impl OtherDirectories {
    fn of(files: &Files<'_>) -> OtherDirectories {
        let directories = |paths: &[PathBuf]| paths.iter().filter_map(|path| directory_of(path)).collect();
        OtherDirectories { read: directories(&files.read), written: directories(&files.appended) }
    }
}

/// The directory of a regular file. `None` for anything else, such as `/dev/stdout` or a named pipe: that is not replaced,
/// and its directory is that of other devices.
fn directory_of(path: &Path) -> Option<PathBuf> {
    let target = path.canonicalize().ok()?;
    if fs::metadata(&target).ok()?.is_file() { target.parent().map(Path::to_owned) } else { None }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers = [("Landlock", &self.landlock), ("seccomp", &self.seccomp)];
        let mut enforced = Vec::new();
        let mut missing = Vec::new();
        for (name, layer) in layers {
            match layer {
                Enforced::Whole => enforced.push(name.to_owned()),
                Enforced::Without(what) => enforced.push(format!("{name} (this kernel lacks {what})")),
                Enforced::Nothing(reason) => missing.push(format!("{name}: {reason}")),
                Enforced::Off => {}
            }
        }
        match (enforced.is_empty(), missing.is_empty()) {
            (true, true) => f.write_str("Not confined."),
            (true, false) => write!(f, "Not confined. {}.", missing.join("; ")),
            (false, true) => write!(f, "Confined by {}.", enforced.join(" and ")),
            (false, false) => write!(f, "Confined by {}, and not by {}.", enforced.join(" and "), missing.join("; ")),
        }?;
        let OtherDirectories { read, written } = &self.others;
        for directory in read.union(written) {
            let access = match (read.contains(directory), written.contains(directory)) {
                (true, true) => "read and written",
                (true, false) => "read",
                (false, _) => "written",
            };
            write!(f, " Files below {directory:?} can be {access}.")?;
        }
        Ok(())
    }
}

/// Confines the process for the rest of its life. It must have a single thread. `start_threads` creates any others: after
/// Landlock, which threads inherit when they are created, and before seccomp, which no thread can be created after.
///
/// A layer that the system does not have, or that does not work with these files, is left out: the result says so.
///
/// # Errors
/// If refused system calls are to end the process, and seccomp cannot be used. Then the option would promise too much.
pub fn confine(layers: Layers, files: &Files<'_>, start_threads: impl FnOnce()) -> Result<Confinement, String> {
    // Before seccomp, since the calls that look for a directory are not in the table.
    let others = OtherDirectories::of(files);
    let landlock = if layers.landlock { restrict_files(files) } else { Enforced::Off };
    start_threads();
    // After Landlock, whose own calls are not in the table.
    let seccomp = layers.seccomp.map_or(Enforced::Off, restrict_system_calls);
    match (layers.seccomp, &seccomp) {
        (Some(Refusal::Kill), Enforced::Nothing(reason)) => {
            Err(format!("refused system calls cannot end the process: seccomp: {reason}"))
        }
        _ => {
            let has_landlock = matches!(landlock, Enforced::Whole | Enforced::Without(_));
            let others = if has_landlock { others } else { OtherDirectories::default() };
            Ok(Confinement { landlock, seccomp, others })
        }
    }
}

#[cfg(target_os = "linux")]
fn restrict_files(files: &Files<'_>) -> Enforced {
    landlock::restrict(files)
}

#[cfg(not(target_os = "linux"))]
fn restrict_files(_: &Files<'_>) -> Enforced {
    Enforced::Nothing("only Linux has it".to_owned())
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn restrict_system_calls(refusal: Refusal) -> Enforced {
    system_calls::restrict(refusal)
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn restrict_system_calls(_: Refusal) -> Enforced {
    Enforced::Nothing("only for Linux on x86_64 and aarch64".to_owned())
}

/// Prevents core dumps, which would contain the memory of the process and with it secrets.
pub fn prevent_core_dumps() {
    // A limit of 0 is ignored where the dump goes to a program (`|` in core_pattern(5)). A limit of 1 byte is not, and is
    // too short for a file.
    let limit = Rlimit { current: Some(1), maximum: Some(1) };
    if setrlimit(Resource::Core, limit).is_ok() {
        return;
    }
    // The hard limit is 0 already.
    let is_prevented = getrlimit(Resource::Core).current == Some(0) && forbid_dumps();
    if !is_prevented {
        warn!("cannot prevent core dumps");
    }
}

/// Unlike the limit this also hides the process in `/proc` from other processes of the user, so it is only the second
/// choice.
#[cfg(target_os = "linux")]
fn forbid_dumps() -> bool {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok()
}

/// Elsewhere no dump goes to a program, so the limit of 0 is enough.
#[cfg(not(target_os = "linux"))]
fn forbid_dumps() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_says_what_is_in_force_and_what_is_missing() {
        let line =
            |landlock, seccomp| Confinement { landlock, seccomp, others: OtherDirectories::default() }.to_string();
        let nothing = |reason: &str| Enforced::Nothing(reason.to_owned());
        let without = Enforced::Without("TCP ports".to_owned());
        assert_eq!(line(Enforced::Whole, Enforced::Whole), "Confined by Landlock and seccomp.");
        assert_eq!(line(without, Enforced::Whole), "Confined by Landlock (this kernel lacks TCP ports) and seccomp.");
        assert_eq!(
            line(nothing("this kernel lacks it"), Enforced::Whole),
            "Confined by seccomp, and not by Landlock: this kernel lacks it."
        );
        assert_eq!(line(Enforced::Off, Enforced::Off), "Not confined.");
        assert_eq!(
            line(nothing("this kernel lacks it"), nothing("not for this processor")),
            "Not confined. Landlock: this kernel lacks it; seccomp: not for this processor."
        );
    }

    #[test]
    fn each_other_directory_is_named_once() {
        let line = |read: &[&str], written: &[&str]| {
            let set = |paths: &[&str]| paths.iter().map(PathBuf::from).collect();
            let others = OtherDirectories { read: set(read), written: set(written) };
            Confinement { landlock: Enforced::Whole, seccomp: Enforced::Off, others }.to_string()
        };
        assert_eq!(
            line(&["/etc/a"], &["/var/log"]),
            "Confined by Landlock. Files below \"/etc/a\" can be read. Files below \"/var/log\" can be written."
        );
        assert_eq!(
            line(&["/srv/a"], &["/srv/a"]),
            "Confined by Landlock. Files below \"/srv/a\" can be read and written."
        );
    }
}
