//! The hidden name of an upload in progress: where the system has no unnamed files, from the start; and where it has
//! them, for the moment between giving a file a name and renaming it over another.

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::identity::same_file;
use super::interrupted::retry;
use super::system;

const PREFIX: &[u8; 9] = b".spindle-";
const DIGITS: usize = 16;
const NAME_OCTETS: usize = PREFIX.len() + DIGITS;

/// Whether a link was refused because the file system has no hard links; `EPERM` may also mean what it says.
pub(super) fn lacks_links(errno: Errno) -> bool {
    matches!(errno, Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS)
}

/// Whether a file of this name is an upload in progress, or what a crash left of one.
pub(super) fn is_hidden_name(name: &[u8]) -> bool {
    let is_digit = |octet: &u8| matches!(octet, b'0'..=b'9' | b'a'..=b'f');
    name.strip_prefix(PREFIX).is_some_and(|digits| digits.len() == DIGITS && digits.iter().all(is_digit))
}

/// As [`is_hidden_name`], for a file system that takes upper case for lower case.
pub(super) fn is_hidden_name_in_any_case(name: &[u8]) -> bool {
    <[u8; NAME_OCTETS]>::try_from(name).is_ok_and(|name| is_hidden_name(&name.map(|octet| octet.to_ascii_lowercase())))
}

/// How many random names are tried. One is enough, unless a sweep takes the file in the instant before it is locked, or
/// another process draws its names from the same seed: see [`HiddenNames::try_names`]. Where another process does nothing
/// but sweep, on a busy machine, sixteen attempts in a row have been seen to fail.
const ATTEMPTS_MAX: u32 = 64;

/// What tells the stream of hidden names from others that are made from the same seed.
const STREAM: u64 = u64::from_be_bytes(*b".spindle");

/// Where hidden names come from: a generator of their own.
#[derive(Debug)]
pub(super) struct HiddenNames {
    random: RefCell<fastrand::Rng>,
}

impl HiddenNames {
    pub(super) fn new(seed: u64) -> Self {
        HiddenNames { random: RefCell::new(fastrand::Rng::with_seed(seed ^ STREAM)) }
    }

    /// Tries names until one is free.
    ///
    /// A process that shares the directory may have been started with the same seed, and hold any number of the names
    /// that this one would draw. So after a collision the names come from another stream, which is made from the number
    /// that would have been next. The other process is not on that stream, since only who came second has left the
    /// first one. Each collision thus leads past one process: the attempts suffice for as many of them with one seed.
    fn try_names<T>(&self, attempt: impl Fn(&[u8; NAME_OCTETS]) -> Result<T, Errno>) -> Result<T, Errno> {
        for _ in 0..ATTEMPTS_MAX {
            let number = self.random.borrow_mut().u64(..);
            match attempt(&hidden_name(number)) {
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
pub(super) struct HiddenFile {
    parent: Rc<OwnedFd>,
    name: [u8; NAME_OCTETS],
    stands: bool,
}

impl HiddenFile {
    /// Creates an empty file under a hidden name, and locks it.
    pub(super) fn create(parent: &Rc<OwnedFd>, names: &HiddenNames) -> Result<(Self, File), Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o666);
        names.try_names(|name| {
            let file = retry(|| rustix::fs::openat(parent, &name[..], flags, mode))?;
            let hidden = HiddenFile::standing(parent, name);
            if claim(parent.as_fd(), name, file.as_fd())? { Ok((hidden, File::from(file))) } else { Err(Errno::EXIST) }
        })
    }

    /// Locks an unnamed file, and gives it a hidden name.
    pub(super) fn link(parent: &Rc<OwnedFd>, file: BorrowedFd<'_>, names: &HiddenNames) -> Result<Self, Errno> {
        lock(file)?;
        names.try_names(|name| {
            system::link_unnamed(file, parent.as_fd(), name)?;
            Ok(HiddenFile::standing(parent, name))
        })
    }

    fn standing(parent: &Rc<OwnedFd>, name: &[u8; NAME_OCTETS]) -> Self {
        HiddenFile { parent: Rc::clone(parent), name: *name, stands: true }
    }

    /// Makes the content visible under `name`, where nothing stands; `EEXIST` if something does.
    pub(super) fn publish_as_new(&mut self, name: &[u8]) -> Result<(), Errno> {
        let link = || rustix::fs::linkat(&self.parent, &self.name[..], &self.parent, name, AtFlags::empty());
        match retry(link) {
            Err(no_links) if lacks_links(no_links) => match self.rename_if_absent(name) {
                Err(Errno::NOSYS | Errno::INVAL) => Err(no_links),
                renamed => renamed,
            },
            // The hidden name still stands beside the new one, and goes when this is dropped.
            linked => linked,
        }
    }

    /// For file systems without hard links: some of those can refuse to rename over a name.
    fn rename_if_absent(&mut self, name: &[u8]) -> Result<(), Errno> {
        system::rename_if_absent(self.parent.as_fd(), &self.name, name)?;
        self.stands = false;
        Ok(())
    }

    /// Makes the content visible under `name`, in the place of what stands there.
    pub(super) fn replace(mut self, name: &[u8]) -> Result<(), Errno> {
        retry(|| rustix::fs::renameat(&self.parent, &self.name[..], &self.parent, name))?;
        self.stands = false;
        Ok(())
    }
}

impl Drop for HiddenFile {
    fn drop(&mut self) {
        if self.stands {
            // Where this fails the file is left for a later sweep.
            let _ = retry(|| rustix::fs::unlinkat(&self.parent, &self.name[..], AtFlags::empty()));
        }
    }
}

/// Locks a file that has just been created under `name`. `false`: in the instant between, a sweep has locked it, or has
/// locked and removed it already.
fn claim(parent: BorrowedFd<'_>, name: &[u8], file: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(lock(file)? && names(parent, name, file)?)
}

/// Locks a file for its owner. `false`: somebody else holds the lock.
fn lock(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    match retry(|| rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        // A file system without locks. Nobody can take one to sweep there either.
        Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(true),
        Err(errno) => Err(errno),
    }
}

/// Whether `name` in `parent` is this very file.
fn names(parent: BorrowedFd<'_>, name: &[u8], file: BorrowedFd<'_>) -> Result<bool, Errno> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(same_file(&stat, &rustix::fs::fstat(file)?)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Removes `name`, a hidden one, if nobody holds its lock: its owner is gone. Says whether it did.
pub(super) fn remove_if_abandoned(parent: BorrowedFd<'_>, name: &[u8]) -> Result<bool, Errno> {
    // For writing: where locks are kept by a file server, an exclusive one needs it.
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = retry(|| rustix::fs::openat(parent, name, flags, Mode::empty()))?;
    if !rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode).is_file() {
        return Ok(false);
    }
    // Unlike an owner, a sweep that cannot lock does not go on.
    retry(|| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive))?;
    remove_locked(parent, name, file.as_fd())
}

/// Removes `name` if it still is `file`. While the lock was being taken, its owner may have renamed it, and what has
/// been published is not removed.
fn remove_locked(parent: BorrowedFd<'_>, name: &[u8], file: BorrowedFd<'_>) -> Result<bool, Errno> {
    let same = names(parent, name, file)?;
    if same {
        retry(|| rustix::fs::unlinkat(parent, name, AtFlags::empty()))?;
    }
    Ok(same)
}

fn hidden_name(mut number: u64) -> [u8; NAME_OCTETS] {
    let mut name = [0; NAME_OCTETS];
    let (prefix, digits) = name.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(PREFIX);
    for digit in digits {
        *digit = b"0123456789abcdef"[(number % 16) as usize];
        number /= 16;
    }
    name
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop where it stands")]
mod tests {
    use std::fs;

    use super::*;

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
        let [one, other] = [(); 2].map(|()| File::open(directory.path().join(NAME)).unwrap());
        assert_eq!(lock(one.as_fd()), Ok(true));
        assert_eq!(lock(other.as_fd()), Ok(false));
        drop(one);
        assert_eq!(lock(other.as_fd()), Ok(true));
    }

    #[test]
    fn an_unnamed_file_is_locked_before_it_has_a_hidden_name() {
        let (directory, parent) = temporary();
        let Ok(file) = system::create_unnamed(parent.as_fd()) else {
            return eprintln!("skipped: no unnamed files here");
        };
        let hidden = HiddenFile::link(&parent, file.as_fd(), &HiddenNames::new(1)).unwrap();
        assert_eq!(remove_if_abandoned(parent.as_fd(), &hidden.name), Err(Errno::WOULDBLOCK));
        drop(hidden);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_a_sweep_was_faster_to_take_is_not_claimed() {
        let (directory, parent) = temporary();
        let create = || File::create(directory.path().join(NAME)).unwrap();
        let claim = |file: &File| claim(parent.as_fd(), NAME.as_bytes(), file.as_fd());
        assert_eq!(claim(&create()), Ok(true));
        let removed = create();
        assert_eq!(remove_if_abandoned(parent.as_fd(), NAME.as_bytes()), Ok(true));
        assert_eq!(claim(&removed), Ok(false));
        let (locked, sweeper) = (create(), create());
        assert_eq!(lock(sweeper.as_fd()), Ok(true));
        assert_eq!(claim(&locked), Ok(false));
    }

    /// What publishes where there are no hard links, tried where there are.
    #[test]
    #[cfg(all(target_os = "linux", not(spindle_portable)))]
    fn a_rename_can_refuse_to_replace() {
        let (directory, parent) = temporary();
        fs::write(directory.path().join("taken"), b"theirs").unwrap();
        let (mut hidden, _file) = HiddenFile::create(&parent, &HiddenNames::new(1)).unwrap();
        assert_eq!(hidden.rename_if_absent(b"taken"), Err(Errno::EXIST));
        assert_eq!(hidden.rename_if_absent(b"free"), Ok(()));
        assert!(!hidden.stands);
        drop(hidden);
        assert_eq!(fs::read(directory.path().join("taken")).unwrap(), b"theirs");
        assert_eq!(fs::read(directory.path().join("free")).unwrap(), b"");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn only_an_unlocked_regular_file_is_abandoned() {
        let (directory, parent) = temporary();
        let path = directory.path().join(NAME);
        let remove = || remove_if_abandoned(parent.as_fd(), NAME.as_bytes());
        fs::write(&path, b"").unwrap();
        assert_eq!(remove(), Ok(true));
        assert_eq!(remove(), Err(Errno::NOENT));

        // A FIFO that nobody reads would make a writer wait; one that somebody reads can be opened.
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(remove(), Err(Errno::NXIO));
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let reader = rustix::fs::open(&path, flags, Mode::empty()).unwrap();
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
        let file = File::open(&path).unwrap();
        fs::rename(&path, directory.path().join("published")).unwrap();
        assert_eq!(remove_locked(parent.as_fd(), NAME.as_bytes(), file.as_fd()), Ok(false));
        // Even if another file has the name by now.
        fs::write(&path, b"").unwrap();
        assert_eq!(remove_locked(parent.as_fd(), NAME.as_bytes(), file.as_fd()), Ok(false));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn names_are_hidden_and_differ_and_one_seed_repeats_them() {
        let drawn = |seed| {
            let names = HiddenNames::new(seed);
            [(); 3].map(|()| names.try_names(|name| Ok(*name)).unwrap())
        };
        let [one, two, three] = drawn(1);
        assert!(is_hidden_name(&one) && is_hidden_name(&two) && is_hidden_name(&three));
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
            let names = HiddenNames::new(1);
            for upload in 0..100 {
                let created = HiddenFile::create(&parent, &names);
                assert!(created.is_ok(), "upload {upload} of process {process}: {created:?}");
                held.push(created);
            }
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), held.len());
    }

    #[test]
    fn only_the_exact_form_is_a_hidden_name() {
        assert!(is_hidden_name(b".spindle-0123456789abcdef"));
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
            assert!(!is_hidden_name(other), "{}", other.escape_ascii());
        }
        assert!(is_hidden_name_in_any_case(b".SPINDLE-0123456789ABCDEF"));
        assert!(!is_hidden_name_in_any_case(b".SPINDLE-0123456789ABCDEG"));
    }
}
