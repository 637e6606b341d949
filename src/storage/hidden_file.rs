//! The hidden name of an upload in progress: where the system has no unnamed files, from the start; and where it has
//! them, for the moment between giving a file a name and renaming it over another.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::identity::same_file;
use super::system;

const PREFIX: &[u8; 9] = b".spindle-";
const DIGITS: usize = 16;
const NAME_OCTETS: usize = PREFIX.len() + DIGITS;

/// How many random names are tried. One is enough, unless a sweep takes the file in the instant before it is locked.
const ATTEMPTS_MAX: u32 = 16;

/// Whether a file of this name is an upload in progress, or what a crash left of one.
pub(super) fn is_hidden_name(name: &[u8]) -> bool {
    let is_digit = |octet: &u8| matches!(octet, b'0'..=b'9' | b'a'..=b'f');
    name.strip_prefix(PREFIX).is_some_and(|digits| digits.len() == DIGITS && digits.iter().all(is_digit))
}

/// As [`is_hidden_name`], for a file system that takes upper case for lower case.
pub(super) fn is_hidden_name_in_any_case(name: &[u8]) -> bool {
    <[u8; NAME_OCTETS]>::try_from(name).is_ok_and(|name| is_hidden_name(&name.map(|octet| octet.to_ascii_lowercase())))
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
    pub(super) fn create(parent: &Rc<OwnedFd>) -> Result<(Self, File), Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o666);
        Self::under_a_random_name(|name| {
            let file = retry_on_intr(|| rustix::fs::openat(parent, &name[..], flags, mode))?;
            let hidden = HiddenFile::standing(parent, name);
            // Between the two calls a sweep may have locked the file, or removed it: then another name is tried.
            if lock(file.as_fd())? && names(parent.as_fd(), name, file.as_fd())? {
                Ok((hidden, File::from(file)))
            } else {
                Err(Errno::EXIST)
            }
        })
    }

    /// Locks an unnamed file, and gives it a hidden name.
    pub(super) fn link(parent: &Rc<OwnedFd>, file: BorrowedFd<'_>) -> Result<Self, Errno> {
        lock(file)?;
        Self::under_a_random_name(|name| {
            system::link_unnamed(file, parent.as_fd(), name)?;
            Ok(HiddenFile::standing(parent, name))
        })
    }

    fn standing(parent: &Rc<OwnedFd>, name: &[u8; NAME_OCTETS]) -> Self {
        HiddenFile { parent: Rc::clone(parent), name: *name, stands: true }
    }

    fn under_a_random_name<T>(attempt: impl Fn(&[u8; NAME_OCTETS]) -> Result<T, Errno>) -> Result<T, Errno> {
        for _ in 0..ATTEMPTS_MAX {
            match attempt(&random_name()) {
                Err(Errno::EXIST) => {}
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }

    /// Makes the content visible under `name`, where nothing stands; `EEXIST` if something does.
    pub(super) fn publish_as_new(&mut self, name: &[u8]) -> Result<(), Errno> {
        match rustix::fs::linkat(&self.parent, &self.name[..], &self.parent, name, AtFlags::empty()) {
            // A file system without hard links. Some of those can refuse to rename over a name.
            Err(without_links @ (Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS)) => {
                system::rename_if_absent(self.parent.as_fd(), &self.name, name).map_err(|errno| match errno {
                    Errno::NOSYS | Errno::INVAL => without_links,
                    _ => errno,
                })?;
                self.stands = false;
                Ok(())
            }
            // The hidden name still stands beside the new one, and goes when this is dropped.
            result => result,
        }
    }

    /// Makes the content visible under `name`, in the place of what stands there.
    pub(super) fn replace(mut self, name: &[u8]) -> Result<(), Errno> {
        rustix::fs::renameat(&self.parent, &self.name[..], &self.parent, name)?;
        self.stands = false;
        Ok(())
    }
}

impl Drop for HiddenFile {
    fn drop(&mut self) {
        if self.stands {
            // Where this fails the file is left for a later sweep.
            let _ = rustix::fs::unlinkat(&self.parent, &self.name[..], AtFlags::empty());
        }
    }
}

/// Locks a file for its owner. `false`: somebody else holds the lock.
fn lock(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    match retry_on_intr(|| rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)) {
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
    let file = retry_on_intr(|| rustix::fs::openat(parent, name, flags, Mode::empty()))?;
    if !rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode).is_file() {
        return Ok(false);
    }
    // Unlike an owner, a sweep that cannot lock does not go on.
    retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive))?;
    // While the lock was being taken, the owner may have renamed the file: what has been published is not removed.
    if !names(parent, name, file.as_fd())? {
        return Ok(false);
    }
    rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
    Ok(true)
}

fn random_name() -> [u8; NAME_OCTETS] {
    // The standard library seeds each of these from the system's randomness. A name that was guessed or met twice
    // costs one more attempt, no more.
    let mut random = RandomState::new().build_hasher().finish();
    let mut name = [0; NAME_OCTETS];
    let (prefix, digits) = name.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(PREFIX);
    for digit in digits {
        *digit = b"0123456789abcdef"[(random % 16) as usize];
        random /= 16;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_names_are_hidden_and_differ() {
        let (one, other) = (random_name(), random_name());
        assert!(is_hidden_name(&one) && is_hidden_name(&other));
        assert_ne!(one, other);
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
