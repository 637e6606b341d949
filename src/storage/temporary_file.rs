//! Temporary files: their names, their locks and their removal.
//!
//! Where the system has no unnamed files, an upload is written to a temporary file from the start. Where it has them,
//! an upload gets a temporary name only to be renamed over an existing file, or, if it is durable, to be flushed with a
//! name. The file that a durable upload replaces also has one, until the disk has the name of the new file.

use std::cell::RefCell;
use std::rc::Rc;

use rustix::io::Errno;

use super::content_file::ContentFile;
use super::file_system::{Access, FileKind, FileSystem, Symlinks};
use super::retry::retry_on_intr;

const PREFIX: &[u8; 9] = b".spindle-";
/// The prefix of the two files of a resumable upload. A cleanup does not remove them until the upload expires.
const PARTIAL_PREFIX: &[u8; 9] = b".spindle=";
const DIGITS: usize = 16;
const NAME_BYTES: usize = PREFIX.len() + DIGITS;

/// `.spindle-` or `.spindle=`, and sixteen lower-case hex digits.
pub(super) type TemporaryName = [u8; NAME_BYTES];

/// Whether a link failed because the file system has no hard links. `EPERM` may also be a lack of permission.
pub(super) fn lacks_hard_links(errno: Errno) -> bool {
    matches!(errno, Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS)
}

/// Whether this is the name of a temporary file.
pub(super) fn is_temporary_name(name: &[u8]) -> bool {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let digits = name.strip_prefix(PREFIX).or_else(|| name.strip_prefix(PARTIAL_PREFIX));
    digits.is_some_and(|digits| digits.len() == DIGITS && digits.iter().all(is_digit))
}

/// Whether a temporary name is that of a file of a resumable upload.
pub(super) fn is_partial_name(name: &TemporaryName) -> bool {
    name.starts_with(PARTIAL_PREFIX)
}

/// The number from which [`partial_name`] makes this name.
pub(super) fn number_of(name: &TemporaryName) -> u64 {
    let digits = name[PREFIX.len()..].iter().rev();
    digits.fold(0, |number, digit| number << 4 | u64::from(char::from(*digit).to_digit(16).unwrap_or_default()))
}

/// The name, if it [is a temporary one](is_temporary_name).
pub(super) fn as_temporary_name(name: &[u8]) -> Option<TemporaryName> {
    TemporaryName::try_from(name).ok().filter(|name| is_temporary_name(name))
}

/// As [`is_temporary_name`], for file systems that ignore case.
pub(super) fn is_temporary_name_in_any_case(name: &[u8]) -> bool {
    TemporaryName::try_from(name).is_ok_and(|name| is_temporary_name(&name.map(|byte| byte.to_ascii_lowercase())))
}

/// The number of names that are tried. The first one succeeds, unless the cleanup of another server takes the file
/// before it is locked, or another process draws its names from the same seed: see [`TemporaryNames::try_names`].
/// Sixteen attempts have been seen to fail on a busy machine, where another process did nothing but clean up.
const ATTEMPTS_MAX: u32 = 64;

/// Generates temporary names.
#[derive(Debug)]
pub(super) struct TemporaryNames {
    random: RefCell<fastrand::Rng>,
}

impl TemporaryNames {
    pub(super) fn new(seed: u64) -> Self {
        TemporaryNames { random: RefCell::new(fastrand::Rng::with_seed(seed)) }
    }

    /// Calls `attempt` with one name after the other, as long as it returns `EEXIST`.
    ///
    /// Another process may use the same seed and directory, and any number of the names that would come next. So after
    /// a collision the names come from a new generator, which is seeded with the next number of the old one. The other
    /// process stays with the old generator, since it did not meet the collision. Each collision thus gets past one
    /// such process, and the attempts suffice for [`ATTEMPTS_MAX`] of them.
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

/// The name of a temporary file. Dropping it removes the name. It must be dropped before the locked descriptor, so that
/// no other server ever finds it without a lock.
#[derive(Debug)]
pub(super) struct TemporaryFile<F: FileSystem> {
    file_system: F,
    parent: Rc<F::File>,
    name: TemporaryName,
    /// Whether the directory still has the name.
    exists: bool,
    keeps_on_drop: bool,
}

impl<F: FileSystem> TemporaryFile<F> {
    /// Creates an empty temporary file, and locks it.
    pub(super) fn create(
        file_system: &F,
        parent: &Rc<F::File>,
        names: &TemporaryNames,
    ) -> Result<(Self, F::File), Errno> {
        names.try_names(|name| TemporaryFile::create_named(file_system, parent, name))
    }

    /// Creates an empty temporary file that is not locked: the cleanup of another server may remove its name at any
    /// time.
    pub(super) fn create_unlocked(
        file_system: &F,
        parent: &Rc<F::File>,
        names: &TemporaryNames,
    ) -> Result<(Self, F::File), Errno> {
        names.try_names(|name| {
            let file = retry_on_intr(|| file_system.create(parent, name))?;
            Ok((TemporaryFile::new(file_system, parent, name), file))
        })
    }

    /// Creates an empty temporary file under this name, and locks it; `EEXIST` if the name exists.
    pub(super) fn create_named(
        file_system: &F,
        parent: &Rc<F::File>,
        name: &TemporaryName,
    ) -> Result<(Self, F::File), Errno> {
        let file = retry_on_intr(|| file_system.create(parent, name))?;
        let temporary = TemporaryFile::new(file_system, parent, name);
        if lock_created(file_system, parent, name, &file)? { Ok((temporary, file)) } else { Err(Errno::EXIST) }
    }

    /// Sets whether the file stays when `self` is dropped.
    pub(super) fn keep_on_drop(&mut self, keeps: bool) {
        self.keeps_on_drop = keeps;
    }

    /// Locks an unnamed file, and gives it a temporary name.
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

    /// Gives the file `name` a second, temporary name, so that the disk does not free it when another file takes
    /// `name`. It is not locked, so the cleanup of another server may remove the temporary name early. `None` if the
    /// file system or its permissions allow no second name, or if the file does not exist any more.
    pub(super) fn link_existing(
        file_system: &F,
        parent: &Rc<F::File>,
        name: &[u8],
        names: &TemporaryNames,
    ) -> Result<Option<Self>, Errno> {
        let linked = names.try_names(|temporary| {
            retry_on_intr(|| file_system.link(parent, name, parent, temporary))?;
            Ok(TemporaryFile::new(file_system, parent, temporary))
        });
        match linked {
            Ok(linked) => Ok(Some(linked)),
            Err(errno) if lacks_hard_links(errno) || matches!(errno, Errno::MLINK | Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    pub(super) fn name(&self) -> &TemporaryName {
        &self.name
    }

    /// The directory that contains it.
    pub(super) fn parent(&self) -> &Rc<F::File> {
        &self.parent
    }

    /// Does not remove the name. A later cleanup does.
    pub(super) fn leak(mut self) {
        self.exists = false;
    }

    pub(super) fn new(file_system: &F, parent: &Rc<F::File>, name: &TemporaryName) -> Self {
        TemporaryFile {
            file_system: file_system.clone(),
            parent: Rc::clone(parent),
            name: *name,
            exists: true,
            keeps_on_drop: false,
        }
    }

    /// Makes the content visible under `name` in `directory`; `EEXIST` if that exists.
    pub(super) fn publish_as_new(&mut self, directory: &F::File, name: &[u8]) -> Result<(), Errno> {
        match retry_on_intr(|| self.file_system.link(&self.parent, &self.name, directory, name)) {
            Err(no_links) if lacks_hard_links(no_links) => match self.rename_as_new(directory, name) {
                Err(Errno::NOSYS | Errno::INVAL) => Err(no_links),
                renamed => renamed,
            },
            // The file has both names now. Dropping `self` removes the temporary one.
            linked => linked,
        }
    }

    /// As [`publish_as_new`](Self::publish_as_new), but the file has at no time two names. Not all systems can do that:
    /// `NOSYS` or `INVAL`.
    pub(super) fn rename_as_new(&mut self, directory: &F::File, name: &[u8]) -> Result<(), Errno> {
        retry_on_intr(|| self.file_system.rename_noreplace(&self.parent, &self.name, directory, name))?;
        self.exists = false;
        Ok(())
    }

    /// Makes the content visible under `name` in `directory`, and replaces a file or link of that name.
    pub(super) fn replace(&mut self, directory: &F::File, name: &[u8]) -> Result<(), Errno> {
        retry_on_intr(|| self.file_system.rename(&self.parent, &self.name, directory, name))?;
        self.exists = false;
        Ok(())
    }
}

impl<F: FileSystem> Drop for TemporaryFile<F> {
    fn drop(&mut self) {
        if self.exists && !self.keeps_on_drop {
            // If this fails, a later cleanup removes the file.
            let _ = retry_on_intr(|| self.file_system.unlink(&self.parent, &self.name));
        }
    }
}

/// Locks a file that was just created under `name`. `false`: the cleanup of another server was faster, and has locked
/// or even removed it.
fn lock_created<F: FileSystem>(file_system: &F, parent: &F::File, name: &[u8], file: &F::File) -> Result<bool, Errno> {
    Ok(lock(file_system, file)? && is_named(file_system, parent, name, file)?)
}

/// Locks a file for the upload that writes it. `false`: another process has the lock.
pub(super) fn lock<F: FileSystem>(file_system: &F, file: &F::File) -> Result<bool, Errno> {
    match retry_on_intr(|| file_system.lock(file)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        // The file system has no locks. Then a cleanup cannot lock, and so not remove, the file either.
        Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(true),
        Err(errno) => Err(errno),
    }
}

/// Whether `name` in `parent` is a name of `file`.
fn is_named<F: FileSystem>(file_system: &F, parent: &F::File, name: &[u8], file: &F::File) -> Result<bool, Errno> {
    match retry_on_intr(|| file_system.stat_at(parent, name, Symlinks::NoFollow)) {
        Ok(stat) => Ok(stat.is_same_file(&retry_on_intr(|| file_system.stat(file))?)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Removes the temporary file `name` if no process has its lock. Returns its length in bytes; `None` if it was not removed.
///
/// # Errors
/// `WOULDBLOCK` if another process has the lock; else as the calls that it takes.
pub(super) fn remove_if_abandoned<F: FileSystem>(
    file_system: &F,
    parent: &F::File,
    name: &[u8],
) -> Result<Option<u64>, Errno> {
    let file = retry_on_intr(|| file_system.open_entry(parent, name, Access::Lock))?;
    let metadata = retry_on_intr(|| file_system.stat(&file))?;
    if metadata.kind != FileKind::Regular {
        return Ok(None);
    }
    let file = ContentFile::new(file_system, file, metadata.size_bytes);
    // Unlike an upload, a cleanup stops where files cannot be locked: the file may be in use.
    retry_on_intr(|| file_system.lock(&file))?;
    let is_removed = remove_locked(file_system, parent, name, &file)?;
    Ok(is_removed.then_some(metadata.size_bytes))
}

/// Removes `name` if it still is a name of `file`. Before the lock was taken, the upload may have been published and
/// another file created under `name`.
fn remove_locked<F: FileSystem>(file_system: &F, parent: &F::File, name: &[u8], file: &F::File) -> Result<bool, Errno> {
    let is_same = is_named(file_system, parent, name, file)?;
    if is_same {
        retry_on_intr(|| file_system.unlink(parent, name))?;
    }
    Ok(is_same)
}

fn temporary_name(number: u64) -> TemporaryName {
    name_with(PREFIX, number)
}

/// The name of one of the two files of a resumable upload.
pub(super) fn partial_name(number: u64) -> TemporaryName {
    name_with(PARTIAL_PREFIX, number)
}

fn name_with(prefix_bytes: &[u8; 9], mut number: u64) -> TemporaryName {
    let mut name = [0; NAME_BYTES];
    let (prefix, digits) = name.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(prefix_bytes);
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
    fn names_that_differ_in_one_digit_have_different_numbers() {
        let name = as_temporary_name(b".spindle=00000000000000ff").unwrap();
        assert_eq!(partial_name(number_of(&name)), name);
        for at in PREFIX.len()..NAME_BYTES {
            let mut other = name;
            other[at] = b'7';
            assert_ne!(number_of(&other), number_of(&name));
        }
    }

    #[test]
    fn a_file_is_locked_by_one_descriptor_at_a_time() {
        let (directory, _) = temporary();
        fs::write(directory.path().join(NAME), b"").unwrap();
        let [one, other]: [OwnedFd; 2] = [(); 2].map(|()| File::open(directory.path().join(NAME)).unwrap().into());
        assert_eq!(lock(&Native, &one), Ok(true));
        assert_eq!(lock(&Native, &other), Ok(false));
        drop(one);
        assert_eq!(lock(&Native, &other), Ok(true));
    }

    #[test]
    fn an_unnamed_file_is_locked_before_it_gets_a_temporary_name() {
        let (directory, parent) = temporary();
        let Ok(file) = Native.create_unnamed(&parent) else {
            return eprintln!("skipped: no unnamed files here");
        };
        let temporary = TemporaryFile::link(&Native, &parent, &file, &TemporaryNames::new(1)).unwrap();
        assert_eq!(remove_if_abandoned(&Native, &parent, &temporary.name), Err(Errno::WOULDBLOCK));
        drop(temporary);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_a_cleanup_has_locked_or_removed_is_not_used() {
        let (directory, parent) = temporary();
        let create = || OwnedFd::from(File::create(directory.path().join(NAME)).unwrap());
        let lock_created = |file: &OwnedFd| lock_created(&Native, &parent, NAME.as_bytes(), file);
        assert_eq!(lock_created(&create()), Ok(true));
        let removed = create();
        assert_eq!(remove_if_abandoned(&Native, &parent, NAME.as_bytes()), Ok(Some(0)));
        assert_eq!(lock_created(&removed), Ok(false));
        let (locked, other) = (create(), create());
        assert_eq!(lock(&Native, &other), Ok(true));
        assert_eq!(lock_created(&locked), Ok(false));
    }

    /// A publication without hard links, on a file system that has them.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_rename_without_replacing_fails_if_the_name_exists() {
        let (directory, parent) = temporary();
        fs::write(directory.path().join("taken"), b"theirs").unwrap();
        let (mut temporary, _file) = TemporaryFile::create(&Native, &parent, &TemporaryNames::new(1)).unwrap();
        assert_eq!(temporary.rename_as_new(&parent, b"taken"), Err(Errno::EXIST));
        assert_eq!(temporary.rename_as_new(&parent, b"free"), Ok(()));
        assert!(!temporary.exists);
        drop(temporary);
        assert_eq!(fs::read(directory.path().join("taken")).unwrap(), b"theirs");
        assert_eq!(fs::read(directory.path().join("free")).unwrap(), b"");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn only_an_unlocked_regular_file_is_removed() {
        let (directory, parent) = temporary();
        let path = directory.path().join(NAME);
        let remove = || remove_if_abandoned(&Native, &parent, NAME.as_bytes());
        fs::write(&path, b"").unwrap();
        assert_eq!(remove(), Ok(Some(0)));
        assert_eq!(remove(), Err(Errno::NOENT));

        // A FIFO without a reader cannot be opened for writing without waiting; with a reader it can.
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(remove(), Err(Errno::NXIO));
        let reader = Native.open_entry(&parent, NAME.as_bytes(), Access::Read).unwrap();
        assert_eq!(remove(), Ok(None));
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
        // Nor is another file that has the name since.
        fs::write(&path, b"").unwrap();
        assert_eq!(remove_locked(&Native, &parent, NAME.as_bytes(), &file), Ok(false));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn temporary_names_differ_and_a_seed_repeats_them() {
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

    /// As many processes as there are attempts, each with a hundred temporary files in one directory.
    #[test]
    fn processes_with_the_same_seed_do_not_run_out_of_names() {
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
