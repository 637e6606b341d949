//! The directory on disk: names, files that leave, uploads that come in. It knows nothing of HTTP.
//!
//! # Laws
//!
//! 1. **A name becomes a path in one place.** [`RelativePath`] is the only type that storage takes as a name. Nothing
//!    in it can climb, start at the root of the system, or name an upload in progress.
//! 2. **Every open is beneath the root.** The kernel's own rule decides where it has one (`openat2`); elsewhere the
//!    path is walked segment by segment, and no link is followed. Opens do not wait, and what was opened is used only
//!    if it proves to be a regular file, or a directory that is to be listed: links that lead out, FIFOs, sockets and
//!    devices are answered at once.
//! 3. **An upload is whole, or it never happened.** Content goes to an unnamed file beside its target, and becomes
//!    visible in one step. Where the system has no unnamed files, it goes to a hidden name, `.spindle-` and sixteen hex
//!    digits, which no [`RelativePath`] can hold. Dropping an [`Upload`] removes every trace of it.
//! 4. **The hidden file of an upload is locked while it is in use.** A hidden file that is not locked was left by a crash,
//!    or is the old version that a durable upload is just replacing. A run removes such files when it writes to their
//!    directory, unless that may not be read: in slices of a few milliseconds, one slice for each upload and one directory
//!    at a time. It never removes the upload in progress of another server that shares the directory. It may remove the old
//!    version that another server keeps, which matters only if the power is then cut on a file system without a journal.
//! 5. **The kernel decides who was first.** Creating never replaces: the link fails where the name is taken.
//! 6. **No two uploads of a run share a modification time**, however coarse the clock, and however often it is set back:
//!    each is at least a microsecond later than the one before, and what came before and after the clock was set back
//!    differs in the nanoseconds. None is a whole number of milliseconds, so that a file system with coarser times keeps none
//!    exactly: [`Published`] tells by that whether the time is the upload's own.
//! 7. **No memory grows with a file, nor with the length of a directory.** Content passes through in the caller's pieces,
//!    and [`FileRange`] is three words. Files that are asked for often are kept, the small ones in memory and the others
//!    open, within bounds and not for long, and are confirmed by their metadata at each use.
//!
//! 8. **The outside is one trait deep.** Storage makes the calls of [`FileSystem`] and no others: [`Native`] is the system's,
//!    and a test may bring a disk of its own. What takes more than one call is decided above the trait: the walk by
//!    segments, the choice of the way to open, repeating what was interrupted, hidden names, and publication.
//!
//! 9. **A durable upload is on the disk when it is acknowledged**, with a journal or without: the file is flushed before it
//!    has its name, so that the name never leads to half of it; then it is named, and file and directory are flushed. A
//!    regular file that it replaces gets a hidden name until then, so that the disk does not free it before the directory
//!    on the disk leads to the new one. Where the system refuses that second name (no hard links, or a file of another
//!    owner on Linux), and where a link is replaced, a power cut on a file system without a journal may lose the name. A
//!    flush that has failed is never tried again for the same upload: the second would succeed, and the content be lost.
//!    Where the file system does not flush directories, the name is left to it.
//!
//! What storage cannot promise: between looking at a name and renaming over it, *another process* may change what
//! stands there. Among the uploads of one [`Directory`] there is no such window, since one thread does it all in one
//! call. Between processes only creation is exact. In the same way, a directory that is moved out of the root while an
//! upload to it is in progress is noticed just before the upload is published, and nothing is; one that is moved in the
//! moment between that look and the link takes the file along.
//!
//! Everything here belongs to one thread.

mod beneath;
mod directory;
mod error;
mod file_cache;
mod file_range;
mod file_system;
mod hidden_file;
mod interrupted;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux;
mod listing;
mod metadata;
mod modification_times;
mod portable;
mod posix;
mod relative_path;
mod sweep;
#[cfg(test)]
mod tests;
mod upload;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub use linux::Linux;
pub use portable::Portable;

// The file system of the system that this is built for.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub use linux::Linux as Native;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub use portable::Portable as Native;

pub use directory::{Directory, NamedFile, OpenedFile};
pub use error::StorageError;
pub use file_cache::{CachedContent, CachedFile, FileCache, SMALL_FILE_BYTES_MAX};
pub use file_range::FileRange;
pub use file_system::{Access, DirectoryEntry, FileKind, FileSystem, Symlinks};
pub use listing::{Entry, EntryKind, Listing, SymlinkedDirectories, WalkEntry};
pub use metadata::Metadata;
pub use relative_path::{PathError, RelativePath};
pub use upload::{Published, Upload, UploadMode};
