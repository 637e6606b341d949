//! The served directory on disk: paths, files to read, uploads to write. Nothing here knows HTTP.
//!
//! # Laws
//!
//! 1. **Paths are checked in one place.** Storage takes every path as a [`RelativePath`]. It has no `..`, is not
//!    absolute, and cannot name a temporary file.
//! 2. **Every open stays beneath the root.** Where the kernel has `openat2`, it enforces this. Elsewhere the path is
//!    opened segment by segment, and no symbolic link is followed. An open never waits, and the result is used only if
//!    it is a regular file, or a directory that is to be listed. So a FIFO, a socket, a device or a link that leads out
//!    of the root is refused at once.
//! 3. **An upload is stored completely or not at all.** Its content goes to an unnamed file (`O_TMPFILE`) in the
//!    directory of its target, and becomes visible in one step. Where there are no unnamed files, it goes to a
//!    temporary file, whose name is `.spindle-` and sixteen hex digits. Dropping an [`Upload`] removes that file. If
//!    [`Directory::store`] replaces a file, it also writes to a temporary file. A resumable upload ([`PartialUpload`]) has
//!    two temporary files, for its content and its state, whose names begin with `.spindle=`. They stay when it is
//!    dropped, so that it can be continued. If an upload may create the directory of its target, its content is in the
//!    nearest directory above until it is published.
//! 4. **A temporary file is locked while it is in use.** One without a lock was left by a crash, belongs to a resumable
//!    upload, is the old version of a file that a durable upload is just replacing, or is that of [`Directory::store`],
//!    which writes another one if it is removed. The server removes such files from each directory to which it writes,
//!    unless it may not read that directory; those of a resumable upload only after that has expired. A directory that
//!    contains nothing else is empty to clients: when one removes it, the record of an ended upload is removed as well,
//!    but never an upload that can be continued. The removal takes a few milliseconds per upload, and works on one
//!    directory at a time. It never removes an upload in progress of another server on the same directory. It may remove
//!    the old version that another server keeps, which matters only if the power then fails on a file system without a
//!    journal.
//! 5. **The kernel decides who creates a file first.** [`UploadMode::CreateOnly`] never replaces a file, because the
//!    link fails if the name exists.
//! 6. **No two uploads of a run get the same modification time**, however coarse the clock is and however often it is
//!    set back. Each time is at least a microsecond later than the one before. After the clock was set back they are
//!    earlier again, and differ from the previous ones in the nanoseconds. No time is a whole number of milliseconds,
//!    so a file system with coarser timestamps keeps none of them exactly. [`Published`] shows by that whether an
//!    upload has its time for itself.
//! 7. **Memory does not grow with the size of a file or a directory.** Content passes through in the caller's buffers,
//!    and a [`FileRange`] is three words. The cache keeps small files in memory and larger ones open, up to a limit and
//!    for a few seconds after their last use. Each use revalidates the entry by its metadata. A small file is read into it
//!    only if that does not wait for the disk.
//! 8. **All system calls are behind one trait.** Storage makes the calls of [`FileSystem`] and no others. [`Native`]
//!    implements it for the operating system, and a test can implement a simulated disk. Everything that takes several
//!    calls is above the trait: opening segment by segment, retrying after a signal, temporary names, and publication.
//! 9. **A durable upload is on the disk when its commit returns**, with or without a journal. The file is flushed
//!    before it gets its name, so that the name never leads to incomplete content. After it has its name, the file and
//!    the directory are flushed. A regular file that is replaced keeps a temporary name until then. Otherwise the disk
//!    could free it while the directory on the disk still leads to it. A power failure on a file system without a
//!    journal may still lose the name in two cases: the system refuses the temporary name (no hard links, or on Linux a
//!    file of another owner), or the upload replaces a link. A failed flush is not repeated for the same upload,
//!    because the second one would succeed although the content is lost. Uploads that are committed together
//!    ([`commit_together`]) go through these steps together. Where the file system cannot flush
//!    directories, it decides when the name is on the disk.
//! 10. **The content of a long file is freed in the background**, because that takes time in proportion to its length.
//!     The file is open when it loses its last name, and the thread of `closer.rs` closes it after that. Where the space
//!     is needed meanwhile, storage waits for that thread.
//!
//! # What storage cannot guarantee
//!
//! Between the check of a name and the rename over it, *another process* may change what exists there. Uploads through
//! one [`Directory`] do not have this race, since one thread makes both in one call. Between processes only
//! [`UploadMode::CreateOnly`], [`Directory::create_directory`] and a [`Directory::rename`] that replaces nothing are
//! exact. A removal is of the name, whichever version has it at that moment.
//!
//! If another process moves a directory out of the root during an upload to it, the commit notices and publishes
//! nothing. If the move happens between that check and the link, the uploaded file moves along.
//!
//! Nothing here is shared between threads, except the descriptors of files while they are flushed, and those that are
//! handed over to be closed.

use std::os::fd::{AsFd, BorrowedFd};

mod annotation;
mod cleanup;
mod close_errors;
mod closer;
mod commit;
mod content_file;
mod directory;
mod ended_upload;
mod error;
mod file_cache;
mod file_range;
mod file_system;
mod flushers;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux;
mod listing;
mod metadata;
mod modification_times;
mod new_directories;
mod opened_file;
mod partial_upload;
mod path_resolution;
mod pending_uploads;
mod portable;
mod posix;
mod relative_path;
mod reservation;
mod residency;
mod retry;
mod short_upload;
mod state_file;
mod temporary_file;
#[cfg(test)]
mod tests;
mod tree_changes;
mod upload;
mod upload_id;
mod upload_remains;
mod upload_state;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub use linux::Linux;
pub use portable::Portable;

// The implementation for the operating system that this is built for.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub use linux::Linux as Native;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub use portable::Portable as Native;

pub use closer::start as start_closer;
pub use commit::{Published, commit_together};
pub use directory::Directory;
pub use ended_upload::EndedUpload;
pub use error::StorageError;
pub use file_cache::{CachedContent, CachedFile, FileCache, SMALL_FILE_BYTES_MAX};
pub use file_range::FileRange;
pub use file_system::{Access, DirectoryEntry, FileKind, FileSystem, Symlinks};
pub use flushers::{FLUSHED_AT_ONCE_MAX, start as start_flushers};
pub use listing::{Entry, EntryKind, Listing, SymlinkedDirectories, WalkEntry};
pub use metadata::Metadata;
pub use opened_file::{NamedFile, OpenedFile};
pub use partial_upload::{FoundUpload, PartialUpload, Uncommitted};
pub use pending_uploads::PendingCounts;
pub use relative_path::{DIRECTORIES_MAX, PATH_BYTES_MAX, PathError, RelativePath, SEGMENT_BYTES_MAX};
pub use tree_changes::{ChangeError, EntryPath};
pub use upload::{Upload, UploadMode};
pub use upload_id::UploadId;

/// The descriptor of the root.
impl<F: FileSystem<File: AsFd>> AsFd for Directory<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.directory.as_fd()
    }
}
