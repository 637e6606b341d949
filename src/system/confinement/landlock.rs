//! Landlock: which files the process can open, and what else it can reach.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use rustix::fs::{CWD, FsWord, Mode, OFlags, fstatfs, openat};
use rustix::io::Errno;

use super::{Enforced, Files, FolderUse, directory_of};

/// The newest version whose restrictions are used: the newest one that the server was tested with.
const NEWEST: ABI = ABI::V7;

/// What a version adds that the server would use, and the version.
const ADDED: [(ABI, &str); 4] = [
    (ABI::V3, "truncation"),
    (ABI::V4, "TCP ports"),
    (ABI::V5, "device controls"),
    (ABI::V6, "signals and abstract sockets"),
];

/// The types that `statfs(2)` reports for pipes and sockets without a name.
const PIPES: FsWord = 0x5049_5045;
const SOCKETS: FsWord = 0x534f_434b;

/// A file or directory, and the rights to it and to everything beneath it.
struct Rule<'a> {
    path: Descriptor<'a>,
    rights: BitFlags<AccessFs>,
}

enum Descriptor<'a> {
    Borrowed(BorrowedFd<'a>),
    Owned(OwnedFd),
}

impl AsFd for Descriptor<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Descriptor::Borrowed(descriptor) => *descriptor,
            Descriptor::Owned(descriptor) => descriptor.as_fd(),
        }
    }
}

/// Restricts the thread, which must be the only one, to `files`.
pub(super) fn restrict(files: &Files<'_>) -> Enforced {
    let rules = rules(files);
    if let Err(reason) = try_in_thread(&rules, files.folder) {
        return Enforced::Nothing(reason);
    }
    match ruleset(&rules).and_then(RulesetCreated::restrict_self) {
        Ok(status) => enforced(status.landlock),
        Err(error) => Enforced::Nothing(error.to_string()),
    }
}

/// The rules. A file that does not exist has none: to open it will fail, as without Landlock.
fn rules<'a>(files: &Files<'a>) -> Vec<Rule<'a>> {
    let mut rules = Vec::new();
    if let Some((folder, usage)) = files.folder {
        rules.push(Rule { path: Descriptor::Borrowed(folder), rights: folder_rights(usage) });
    }
    for path in &files.appended {
        rules.extend(of_path(path, make_bitflags!(AccessFs::{ReadFile | WriteFile})));
        // Where the file is created anew. It cannot be read there, and others can be written to but not truncated.
        rules.extend(of_directory(path, make_bitflags!(AccessFs::{MakeReg | WriteFile})));
    }
    for path in &files.read {
        rules.extend(of_path(path, AccessFs::ReadFile.into()));
        rules.extend(of_directory(path, AccessFs::ReadFile.into()));
    }
    for path in &files.sockets {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        rules.extend(of_path(parent, AccessFs::RemoveFile.into()));
    }
    rules
}

fn folder_rights(usage: FolderUse) -> BitFlags<AccessFs> {
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    // An unnamed file gets its name in a directory that the upload has created, and that is removed if this fails.
    let upload = make_bitflags!(AccessFs::{
        WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer
    });
    match usage {
        FolderUse::Read => read,
        FolderUse::Upload => read | upload,
        FolderUse::Manage => read | upload | AccessFs::MakeSym,
    }
}

fn of_path(path: &Path, rights: BitFlags<AccessFs>) -> Option<Rule<'static>> {
    let opened = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    // A pipe or a socket without a name, such as `/dev/stdout` may lead to. Landlock neither refuses it nor takes a rule.
    if matches!(fstatfs(&opened).ok()?.f_type, PIPES | SOCKETS) {
        return None;
    }
    Some(Rule { path: Descriptor::Owned(opened), rights })
}

/// For the directory of a regular file.
fn of_directory(path: &Path, rights: BitFlags<AccessFs>) -> Option<Rule<'static>> {
    of_path(&directory_of(path)?, rights)
}

/// The rules, not yet in force.
fn ruleset(rules: &[Rule<'_>]) -> Result<RulesetCreated, RulesetError> {
    let mut created = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for rule in rules {
        created = created.add_rule(PathBeneath::new(rule.path.as_fd(), rule.rights))?;
    }
    Ok(created)
}

/// Tries the rules in a thread that ends, because the process could not go back. Returns why they cannot be used: the
/// kernel does not know them, or refuses what the server needs with them.
fn try_in_thread(rules: &[Rule<'_>], folder: Option<(BorrowedFd<'_>, FolderUse)>) -> Result<(), String> {
    let list = || folder.map(|(folder, _)| list(folder));
    let without = list();
    let trial = || -> Result<_, RulesetError> { Ok((ruleset(rules)?.restrict_self()?, list())) };
    let tried = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, trial);
        thread.map(|thread| thread.join())
    });
    let (status, within) = match tried {
        Ok(Ok(tried)) => tried.map_err(|error| error.to_string())?,
        Ok(Err(_)) => return Err("trying it has failed".to_owned()),
        Err(error) => return Err(format!("it cannot be tried: {error}")),
    };
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err(reason(status.landlock));
    }
    let can_move =
        matches!(status.landlock, LandlockStatus::Available { effective_abi, .. } if effective_abi >= ABI::V2);
    if !can_move && folder.is_some_and(|(_, usage)| usage != FolderUse::Read) {
        return Err("this kernel's would refuse to link and to move files between directories".to_owned());
    }
    match within {
        Some(Err(error)) if within != without => Err(format!("it refuses the folder: {error}")),
        _ => Ok(()),
    }
}

/// Opens the folder for reading.
fn list(folder: BorrowedFd<'_>) -> Result<(), Errno> {
    openat(folder, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map(drop)
}

fn enforced(status: LandlockStatus) -> Enforced {
    let LandlockStatus::Available { effective_abi, .. } = status else { return Enforced::Nothing(reason(status)) };
    let missing: Vec<&str> = ADDED.iter().filter(|(since, _)| *since > effective_abi).map(|(_, what)| *what).collect();
    match missing.is_empty() {
        true => Enforced::Whole,
        false => Enforced::Without(missing.join(", ")),
    }
}

fn reason(status: LandlockStatus) -> String {
    match status {
        LandlockStatus::NotEnabled => "this kernel has it, but not enabled".to_owned(),
        LandlockStatus::NotImplemented => "this kernel lacks it, or a container hides it".to_owned(),
        LandlockStatus::Available { .. } => "the kernel has refused it".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    /// Rules without the folder stand for a file system that cannot be opened under Landlock.
    #[test]
    fn rules_that_refuse_the_folder_are_found_before_they_are_in_force() {
        let directory = tempfile::tempdir().unwrap();
        let folder = std::fs::File::open(directory.path()).unwrap();
        let usage = FolderUse::Read;
        let tried = try_in_thread(&[], Some((folder.as_fd(), usage)));
        if tried.as_ref().is_err_and(|reason| reason.contains("kernel")) {
            return eprintln!("skipped: {tried:?}");
        }
        assert_eq!(tried, Err("it refuses the folder: Permission denied (os error 13)".to_owned()));
        let rule = Rule { path: Descriptor::Borrowed(folder.as_fd()), rights: folder_rights(usage) };
        assert_eq!(try_in_thread(&[rule], Some((folder.as_fd(), usage))), Ok(()));
        assert!(std::fs::read_dir("/").is_ok(), "this thread is not confined");
    }
}
