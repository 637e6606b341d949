//! The hidden name of an upload in progress: where the system has no unnamed files, from the start; and where it has
//! them, for the moment between giving a file a name and renaming it over another. A file that is replaced may have one
//! until the disk has the name of its successor.

use std::cell::RefCell;
use std::rc::Rc;

use rustix::io::Errno;

use super::file_system::{Access, FileKind, FileSystem, Symlinks};
use super::retry::retry_on_intr;

const PREFIX: &[u8; 9] = b".spindle-";
const DIGITS: usize = 16;
const NAME_BYTES: usize = PREFIX.len() + DIGITS;

/// A hidden name.
pub(super) type TemporaryName = [u8; NAME_BYTES];

/// Whether a link was refused because the file system has no hard links; `EPERM` may also mean what it says.
pub(super) fn lacks_hard_links(errno: Errno) -> bool {
    matches!(errno, Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS)
}

/// Whether a file of this name is an upload in progress, or what a crash left of one.
pub(super) fn is_temporary_name(name: &[u8]) -> bool {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.strip_prefix(PREFIX).is_some_and(|digits| digits.len() == DIGITS && digits.iter().all(is_digit))
}

/// The name, if it [is a hidden one](is_temporary_name).
pub(super) fn as_temporary_name(name: &[u8]) -> Option<TemporaryName> {
    TemporaryName::try_from(name).ok().filter(|name| is_temporary_name(name))
}

/// As [`is_temporary_name`], for a file system that takes upper case for lower case.
pub(super) fn is_temporary_name_in_any_case(name: &[u8]) -> bool {
    TemporaryName::try_from(name).is_ok_and(|name| is_temporary_name(&name.map(|byte| byte.to_ascii_lowercase())))
}

/// How many random names are tried. One is enough, unless a sweep takes the file in the instant before it is locked, or
/// another process draws its names from the same seed: see [`TemporaryNames::try_names`]. Where another process does
/// nothing but sweep, on a busy machine, sixteen attempts in a row have been seen to fail.
const ATTEMPTS_MAX: u32 = 64;

/// Where hidden names come from: a generator of their own.
#[derive(Debug)]
pub(super) struct TemporaryNames {
    random: RefCell<fastrand::Rng>,
}

impl TemporaryNames {
    pub(super) fn new(seed: u64) -> Self {
        TemporaryNames { random: RefCell::new(fastrand::Rng::with_seed(seed)) }
    }

    /// Tries names until one is free.
    ///
    /// A process that shares the directory may have been started with the same seed, and hold any number of the names
    /// that this one would draw. So after a collision the names come from another stream, which is made from the number
    /// that would have been next. The other process is not on that stream, since only who came second has left the
    /// first one. Each collision thus leads past one process: the attempts suffice for as many of them with one seed.
    fn try_names<T>(&self, attempt: impl Fn(&TemporaryName) -> Result<T, Errno>) -> Result<T, Errno> {
        for _ in 0..ATTEMPTS_MAX {
            let number = self.random.borrow_mut().u64(..);
            match attempt(&temporary_name(number)) {
                Err(Errno::EXIST) => {
                    self.random.replace_with(|random| random.fork());
                }
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }
}

/// A hidden name that stands in a directory. Dropped, it is removed; so it is dropped before the locked descriptor is.
#[derive(Debug)]
pub(super) struct TemporaryFile<F: FileSystem> {
    file_system: F,
    parent: Rc<F::File>,
    name: TemporaryName,
    exists: bool,
}

impl<F: FileSystem> TemporaryFile<F> {
    /// Creates an empty file under a hidden name, and locks it.
    pub(super) fn create(
        file_system: &F,
        parent: &Rc<F::File>,
        names: &TemporaryNames,
    ) -> Result<(Self, F::File), Errno> {
        names.try_names(|name| {
            let file = retry_on_intr(|| file_system.create(parent, name))?;
            let hidden = TemporaryFile::new(file_system, parent, name);
            if claim(file_system, parent, name, &file)? { Ok((hidden, file)) } else { Err(Errno::EXIST) }
        })
    }

    /// Locks an unnamed file, and gives it a hidden name.
    pub(super) fn link(
        file_system: &F,
        parent: &Rc<F::File>,
        file: &F::File,
        names: &TemporaryNames,
    ) -> Result<Self, Errno> {
        lock(file_system, file)?;
        names.try_names(|name| {
            retry_on_intr(|| file_system.link_unnamed(file, parent, name))?;
            Ok(TemporaryFile::new(file_system, parent, name))
        })
    }

    /// Gives the file called `name` a second, hidden name, so that it is not freed when another file takes `name`. It
    /// is not locked: a sweep by another process may remove the hidden name early. `None` if the file system or its
    /// permissions allow no second name, or if the file is gone.
    pub(super) fn keep(
        file_system: &F,
        parent: &Rc<F::File>,
        name: &[u8],
        names: &TemporaryNames,
    ) -> Result<Option<Self>, Errno> {
        let kept = names.try_names(|hidden| {
            retry_on_intr(|| file_system.link(parent, name, hidden))?;
            Ok(TemporaryFile::new(file_system, parent, hidden))
        });
        match kept {
            Ok(kept) => Ok(Some(kept)),
            Err(errno) if lacks_hard_links(errno) || matches!(errno, Errno::MLINK | Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Leaves the file to a later sweep.
    pub(super) fn leave(mut self) {
        self.exists = false;
    }

    fn new(file_system: &F, parent: &Rc<F::File>, name: &TemporaryName) -> Self {
        TemporaryFile { file_system: file_system.clone(), parent: Rc::clone(parent), name: *name, exists: true }
    }

    /// Makes the content visible under `name`, where nothing stands; `EEXIST` if something does.
    pub(super) fn publish_as_new(&mut self, name: &[u8]) -> Result<(), Errno> {
        match retry_on_intr(|| self.file_system.link(&self.parent, &self.name, name)) {
            Err(no_links) if lacks_hard_links(no_links) => match self.rename_noreplace(name) {
                Err(Errno::NOSYS | Errno::INVAL) => Err(no_links),
                renamed => renamed,
            },
            // The hidden name still stands beside the new one, and goes when this is dropped.
            linked => linked,
        }
    }

    /// For file systems without hard links: some of those can refuse to rename over a name.
    fn rename_noreplace(&mut self, name: &[u8]) -> Result<(), Errno> {
        retry_on_intr(|| self.file_system.rename_noreplace(&self.parent, &self.name, name))?;
        self.exists = false;
        Ok(())
    }

    /// Makes the content visible under `name`, in the place of what stands there.
    pub(super) fn replace(mut self, name: &[u8]) -> Result<(), Errno> {
        retry_on_intr(|| self.file_system.rename(&self.parent, &self.name, name))?;
        self.exists = false;
        Ok(())
    }
}

impl<F: FileSystem> Drop for TemporaryFile<F> {
    fn drop(&mut self) {
        if self.exists {
            // Where this fails the file is left for a later sweep.
            let _ = retry_on_intr(|| self.file_system.unlink(&self.parent, &self.name));
        }
    }
}

/// Locks a file that has just been created under `name`. `false`: in the instant between, a sweep has locked it, or has
/// locked and removed it already.
fn claim<F: FileSystem>(file_system: &F, parent: &F::File, name: &[u8], file: &F::File) -> Result<bool, Errno> {
    Ok(lock(file_system, file)? && names(file_system, parent, name, file)?)
}

/// Locks a file for its owner. `false`: somebody else holds the lock.
fn lock<F: FileSystem>(file_system: &F, file: &F::File) -> Result<bool, Errno> {
    match retry_on_intr(|| file_system.lock(file)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        // A file system without locks. Nobody can take one to sweep there either.
        Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(true),
        Err(errno) => Err(errno),
    }
}

/// Whether `name` in `parent` is this very file.
fn names<F: FileSystem>(file_system: &F, parent: &F::File, name: &[u8], file: &F::File) -> Result<bool, Errno> {
    match retry_on_intr(|| file_system.stat_at(parent, name, Symlinks::NoFollow)) {
        Ok(stat) => Ok(stat.is_same_file(&retry_on_intr(|| file_system.stat(file))?)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Removes `name`, a hidden one, if nobody holds its lock: its owner is gone. Says whether it did.
pub(super) fn remove_if_abandoned<F: FileSystem>(
    file_system: &F,
    parent: &F::File,
    name: &[u8],
) -> Result<bool, Errno> {
    let file = retry_on_intr(|| file_system.open_entry(parent, name, Access::Lock))?;
    if retry_on_intr(|| file_system.stat(&file))?.kind != FileKind::Regular {
        return Ok(false);
    }
    // Unlike an owner, a sweep that cannot lock does not go on.
    retry_on_intr(|| file_system.lock(&file))?;
    remove_locked(file_system, parent, name, &file)
}

/// Removes `name` if it still is `file`. While the lock was being taken, its owner may have renamed it, and what has
/// been published is not removed.
fn remove_locked<F: FileSystem>(file_system: &F, parent: &F::File, name: &[u8], file: &F::File) -> Result<bool, Errno> {
    let same = names(file_system, parent, name, file)?;
    if same {
        retry_on_intr(|| file_system.unlink(parent, name))?;
    }
    Ok(same)
}

fn temporary_name(mut number: u64) -> TemporaryName {
    let mut name = [0; NAME_BYTES];
    let (prefix, digits) = name.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(PREFIX);
    for digit in digits {
        *digit = b"0123456789abcdef"[(number % 16) as usize];
        number /= 16;
    }
    name
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::storage::{Native, Portable};

    const NAME: &str = ".spindle-0123456789abcdef";

    fn temporary() -> (tempfile::TempDir, Rc<OwnedFd>) {
        let directory = tempfile::tempdir().unwrap();
        let descriptor = File::open(directory.path()).unwrap().into();
        (directory, Rc::new(descriptor))
    }

    #[test]
    fn a_lock_has_one_holder() {
        let (directory, _) = temporary();
        fs::write(directory.path().join(NAME), b"").unwrap();
        let [one, other]: [OwnedFd; 2] = [(); 2].map(|()| File::open(directory.path().join(NAME)).unwrap().into());
        assert_eq!(lock(&Native, &one), Ok(true));
        assert_eq!(lock(&Native, &other), Ok(false));
        drop(one);
        assert_eq!(lock(&Native, &other), Ok(true));
    }

    #[test]
    fn an_unnamed_file_is_locked_before_it_has_a_temporary_name() {
        let (directory, parent) = temporary();
        let Ok(file) = Native.create_unnamed(&parent) else {
            return eprintln!("skipped: no unnamed files here");
        };
        let hidden = TemporaryFile::link(&Native, &parent, &file, &TemporaryNames::new(1)).unwrap();
        assert_eq!(remove_if_abandoned(&Native, &parent, &hidden.name), Err(Errno::WOULDBLOCK));
        drop(hidden);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_a_sweep_was_faster_to_take_is_not_claimed() {
        let (directory, parent) = temporary();
        let create = || OwnedFd::from(File::create(directory.path().join(NAME)).unwrap());
        let claim = |file: &OwnedFd| claim(&Native, &parent, NAME.as_bytes(), file);
        assert_eq!(claim(&create()), Ok(true));
        let removed = create();
        assert_eq!(remove_if_abandoned(&Native, &parent, NAME.as_bytes()), Ok(true));
        assert_eq!(claim(&removed), Ok(false));
        let (locked, sweeper) = (create(), create());
        assert_eq!(lock(&Native, &sweeper), Ok(true));
        assert_eq!(claim(&locked), Ok(false));
    }

    /// What publishes where there are no hard links, tried where there are.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_rename_can_refuse_to_replace() {
        let (directory, parent) = temporary();
        fs::write(directory.path().join("taken"), b"theirs").unwrap();
        let (mut hidden, _file) = TemporaryFile::create(&Native, &parent, &TemporaryNames::new(1)).unwrap();
        assert_eq!(hidden.rename_noreplace(b"taken"), Err(Errno::EXIST));
        assert_eq!(hidden.rename_noreplace(b"free"), Ok(()));
        assert!(!hidden.exists);
        drop(hidden);
        assert_eq!(fs::read(directory.path().join("taken")).unwrap(), b"theirs");
        assert_eq!(fs::read(directory.path().join("free")).unwrap(), b"");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn only_an_unlocked_regular_file_is_abandoned() {
        let (directory, parent) = temporary();
        let path = directory.path().join(NAME);
        let remove = || remove_if_abandoned(&Native, &parent, NAME.as_bytes());
        fs::write(&path, b"").unwrap();
        assert_eq!(remove(), Ok(true));
        assert_eq!(remove(), Err(Errno::NOENT));

        // A FIFO that nobody reads would make a writer wait; one that somebody reads can be opened.
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(remove(), Err(Errno::NXIO));
        let reader = Native.open_entry(&parent, NAME.as_bytes(), Access::Read).unwrap();
        assert_eq!(remove(), Ok(false));
        drop(reader);
        fs::remove_file(&path).unwrap();

        fs::write(directory.path().join("target"), b"").unwrap();
        std::os::unix::fs::symlink("target", &path).unwrap();
        assert!(remove().is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_has_been_renamed_is_not_removed() {
        let (directory, parent) = temporary();
        let path = directory.path().join(NAME);
        fs::write(&path, b"").unwrap();
        let file = File::open(&path).unwrap().into();
        fs::rename(&path, directory.path().join("published")).unwrap();
        assert_eq!(remove_locked(&Native, &parent, NAME.as_bytes(), &file), Ok(false));
        // Even if another file has the name by now.
        fs::write(&path, b"").unwrap();
        assert_eq!(remove_locked(&Native, &parent, NAME.as_bytes(), &file), Ok(false));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn names_are_hidden_and_differ_and_one_seed_repeats_them() {
        let drawn = |seed| {
            let names = TemporaryNames::new(seed);
            [(); 3].map(|()| names.try_names(|name| Ok(*name)).unwrap())
        };
        let [one, two, three] = drawn(1);
        assert!(is_temporary_name(&one) && is_temporary_name(&two) && is_temporary_name(&three));
        assert!(one != two && two != three && one != three);
        assert_eq!(drawn(1), [one, two, three]);
        assert_ne!(drawn(2), [one, two, three]);
    }

    /// Sixteen processes with one seed, each of which holds a hundred names of one directory.
    #[test]
    fn others_with_the_same_seed_take_no_name_away() {
        let (directory, parent) = temporary();
        let mut held = Vec::new();
        for process in 0..ATTEMPTS_MAX {
            let names = TemporaryNames::new(1);
            for upload in 0..100 {
                let created = TemporaryFile::create(&Portable, &parent, &names);
                assert!(created.is_ok(), "upload {upload} of process {process}: {created:?}");
                held.push(created);
            }
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), held.len());
    }

    #[test]
    fn only_the_exact_form_is_a_temporary_name() {
        assert!(is_temporary_name(b".spindle-0123456789abcdef"));
        for other in [
            &b".spindle-0123456789abcde"[..],
            b".spindle-0123456789abcdef0",
            b".spindle-0123456789abcdeg",
            b".spindle-0123456789abcdeF",
            b".Spindle-0123456789abcdef",
            b"spindle-0123456789abcdef0",
            b"x.spindle-0123456789abcdef",
            b".spindle-",
            b"",
        ] {
            assert!(!is_temporary_name(other), "{}", other.escape_ascii());
        }
        assert!(is_temporary_name_in_any_case(b".SPINDLE-0123456789ABCDEF"));
        assert!(!is_temporary_name_in_any_case(b".SPINDLE-0123456789ABCDEG"));
    }
}
