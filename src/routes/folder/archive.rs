//! A folder as a tar archive, made while it is sent. Values that are too long for a ustar header are in pax headers
//! (POSIX.1-2001).
//!
//! Memory and descriptors are bounded: open are the directories on the way to the current entry, and its file. Large
//! files are sent from the system's cache, each by itself. Small files are read into memory, and several are sent
//! together; one that is not in the system's cache is sent as a large one is.
//!
//! The archive contains what a client could get by requesting each name, with one difference: links to directories are
//! left out, because a link to a parent directory would make the archive endless.

use std::cell::Cell;
use std::rc::Rc;

use tar::{EntryType, Header};

use crate::routes::files::Tree;
use crate::semantics::service::{PIECE_BYTES_MAX, Piece, SourceFailed};
use crate::storage::{
    self, Directory, FileRange, FileSystem, Native, OpenedFile, RelativePath, StorageError, SymlinkedDirectories,
    WalkEntry,
};

/// The deepest nesting of directories. Each is open while its entries are sent.
const DEPTH_MAX: usize = 64;

/// The most archives that are sent at the same time, if there are descriptors for that many.
pub const ARCHIVES_MAX: usize = 16;

/// The most descriptors that an archive has open: the directories on the way to the current entry, and its file.
pub const ARCHIVE_DESCRIPTORS: usize = DEPTH_MAX + 1;

/// After this many entries without anything to send, other connections are served.
const SLICE_ENTRIES: usize = 256;

/// The largest file that is read into memory, in bytes. Header and content of such files are sent together.
const SMALL_FILE_BYTES_MAX: u64 = 8 * 1024;

/// Small files are read until there are this many bytes. Each takes at least one block, so only a few are opened per
/// slice.
const SLICE_BYTES: usize = PIECE_BYTES_MAX / 2;

/// The size of a block. Headers and contents fill whole blocks.
const BLOCK_BYTES: usize = 512;

/// The longest name of a ustar header, in bytes, and the largest size and time.
const NAME_BYTES_MAX: usize = 100;
const NUMBER_MAX: u64 = 0o777_7777_7777;

const NS_PER_S: i128 = 1_000_000_000;

/// Allows one archive to be sent, until it is dropped.
pub(super) struct Permit(Rc<Cell<usize>>);

impl Permit {
    /// `None` if `max` archives are being sent. `count` is how many are.
    pub(super) fn new(count: &Rc<Cell<usize>>, max: usize) -> Option<Permit> {
        (count.get() < max).then(|| {
            count.set(count.get() + 1);
            Permit(Rc::clone(count))
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// A directory whose entries are being sent.
struct Level<F: FileSystem> {
    listing: storage::Listing<F>,
    /// `None` for the root.
    path: Option<RelativePath>,
    /// The prefix of its entries' names in the archive, which ends in a slash.
    prefix: Vec<u8>,
}

/// An archive that is being sent.
pub struct Archive<F: FileSystem = Native> {
    directory: Directory<F>,
    shows_hidden: bool,
    /// The directories on the way to the current entry, the root first.
    levels: Vec<Level<F>>,
    /// Headers, small files and padding that were written last, and how much of them has been sent.
    out: Vec<u8>,
    sent: usize,
    /// The large file that is sent after that, and the padding after the file.
    file: Option<FileRange<F>>,
    padding_bytes: usize,
    is_complete: bool,
    #[expect(dead_code, reason = "held until the archive has been sent")]
    permit: Permit,
}

impl<F: FileSystem> Archive<F> {
    /// An archive of `tree`, which is called `name` in the archive.
    pub(super) fn new(
        tree: &Tree<'_, F>,
        name: &[u8],
        shows_hidden: bool,
        permit: Permit,
    ) -> Result<Archive<F>, StorageError> {
        let listing = tree.directory.list(tree.path, SymlinkedDirectories::Exclude)?;
        let prefix = [name, b"/"].concat();
        let mut archive = Archive {
            directory: tree.directory.clone(),
            shows_hidden,
            levels: Vec::new(),
            out: Vec::new(),
            sent: 0,
            file: None,
            padding_bytes: 0,
            is_complete: false,
            permit,
        };
        archive.write_header(&prefix, EntryType::Directory, 0, listing.modified_ns()?);
        archive.levels.push(Level { listing, path: tree.path.cloned(), prefix });
        Ok(archive)
    }

    pub(in crate::routes) fn piece(&mut self) -> Result<Option<Piece<'_, FileRange<F>>>, SourceFailed> {
        if self.sent == self.out.len() && self.file.is_none() {
            self.out.clear();
            self.sent = 0;
            self.pad();
            self.run_slice()?;
        }
        let end = self.out.len().min(self.sent + PIECE_BYTES_MAX);
        Ok(match &self.file {
            _ if self.sent < end => Some(Piece::Bytes(&self.out[self.sent..end])),
            Some(file) => Some(Piece::File(file)),
            None if self.is_complete => None,
            None => Some(Piece::Pending),
        })
    }

    pub(in crate::routes) fn advance(&mut self, bytes: u64) {
        if self.sent < self.out.len() {
            // The cast is exact: `bytes` is at most the length of the piece in memory.
            self.sent = self.out.len().min(self.sent + bytes as usize);
            return;
        }
        let Some(file) = &mut self.file else { return };
        file.advance(bytes);
        if file.is_empty() {
            self.file = None;
        }
    }

    /// Fills the last block of the previous file.
    fn pad(&mut self) {
        self.out.resize(self.out.len() + self.padding_bytes, 0);
        self.padding_bytes = 0;
    }

    /// Writes the next entries to `out`, or the end of the archive.
    fn run_slice(&mut self) -> Result<(), SourceFailed> {
        for _ in 0..SLICE_ENTRIES {
            if self.file.is_some() || self.out.len() >= SLICE_BYTES {
                return Ok(());
            }
            let Some(level) = self.levels.last_mut() else {
                if !self.is_complete {
                    self.is_complete = true;
                    // The end of an archive: two blocks of zeros.
                    self.out.resize(self.out.len() + 2 * BLOCK_BYTES, 0);
                }
                return Ok(());
            };
            match level.listing.next_walk_entry() {
                None => {
                    self.levels.pop();
                }
                Some(Ok(Some(entry))) if self.shows_hidden || !entry.name().starts_with(b".") => {
                    self.add(&entry).map_err(|error| self.fail(&entry, &error))?;
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    log::warn!("an archive ends early: a directory cannot be read: {error}");
                    return Err(SourceFailed);
                }
            }
        }
        Ok(())
    }

    fn fail(&self, entry: &WalkEntry, error: &StorageError) -> SourceFailed {
        let prefix = self.levels.last().map(|level| level.prefix.escape_ascii().to_string()).unwrap_or_default();
        log::warn!("an archive ends early: {prefix}{}: {error}", entry.name().escape_ascii());
        SourceFailed
    }

    fn add(&mut self, entry: &WalkEntry) -> Result<(), StorageError> {
        let Some(level) = self.levels.last() else { return Ok(()) };
        let above = level.path.as_ref().map(RelativePath::as_bytes);
        let segments = above.into_iter().flat_map(|path| path.split(|byte| *byte == b'/')).chain([entry.name()]);
        let path = RelativePath::from_segments(segments).map_err(|_| StorageError::InvalidName)?;
        let name = [&level.prefix, entry.name()].concat();
        match entry {
            WalkEntry::Directory(_, modified_ns) => self.add_directory(path, &name, *modified_ns),
            WalkEntry::File(_) => self.add_file(&path, &name),
        }
    }

    fn add_directory(&mut self, path: RelativePath, name: &[u8], modified_ns: i128) -> Result<(), StorageError> {
        if self.levels.len() >= DEPTH_MAX {
            return Err(StorageError::Io(std::io::Error::other("the directories are nested too deeply")));
        }
        let prefix = [name, b"/"].concat();
        match self.directory.list(Some(&path), SymlinkedDirectories::Exclude) {
            Ok(listing) => {
                self.write_header(&prefix, EntryType::Directory, 0, modified_ns);
                self.levels.push(Level { listing, path: Some(path), prefix });
                Ok(())
            }
            // A client cannot list this directory either.
            Err(StorageError::PermissionDenied) => {
                self.write_header(&prefix, EntryType::Directory, 0, modified_ns);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn add_file(&mut self, path: &RelativePath, name: &[u8]) -> Result<(), StorageError> {
        let opened = match self.directory.open_file(path) {
            Ok(opened) => opened,
            // A client could not get this file either, or it was removed after its name was read.
            Err(StorageError::PermissionDenied | StorageError::NotFound | StorageError::NotRegularFile) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.add_opened(opened, name)
    }

    fn add_opened(&mut self, opened: OpenedFile<F>, name: &[u8]) -> Result<(), StorageError> {
        let (bytes, modified_ns) = (opened.metadata.size_bytes, opened.metadata.modified_ns);
        self.write_header(name, EntryType::Regular, bytes, modified_ns);
        // The cast is exact: the padding is shorter than a block.
        self.padding_bytes = bytes.next_multiple_of(BLOCK_BYTES as u64).wrapping_sub(bytes) as usize;
        let file = FileRange::whole(opened);
        // As many bytes as the header announces. If the file has grown, the rest is left out. If it has shrunk, or is not in
        // memory, it is sent as a large one is, which waits for the disk without keeping others waiting, and fails if bytes
        // are missing.
        if bytes <= SMALL_FILE_BYTES_MAX && file.append_if_in_memory(&mut self.out).map_err(StorageError::Io)? {
            self.pad();
        } else {
            self.file = Some(file);
        }
        Ok(())
    }

    fn write_header(&mut self, name: &[u8], kind: EntryType, bytes: u64, modified_ns: i128) {
        let mut records = Vec::new();
        let unix_s = modified_ns.div_euclid(NS_PER_S);
        let ustar_unix_s = u64::try_from(unix_s).unwrap_or(0).min(NUMBER_MAX);
        let is_utf8 = std::str::from_utf8(name).is_ok();
        // A name that is not UTF-8 stays in the ustar header if it fits, because few programs know the pax record
        // `hdrcharset`, which it would need.
        if name.len() > NAME_BYTES_MAX || !name.is_ascii() && is_utf8 {
            if !is_utf8 {
                write_record(&mut records, "hdrcharset", b"BINARY");
            }
            write_record(&mut records, "path", name);
        }
        if bytes > NUMBER_MAX {
            write_record(&mut records, "size", bytes.to_string().as_bytes());
        }
        if i128::from(ustar_unix_s) * NS_PER_S != modified_ns {
            write_record(&mut records, "mtime", decimal_seconds(modified_ns).as_bytes());
        }
        if !records.is_empty() {
            let length = records.len() as u64;
            records.resize(records.len().next_multiple_of(BLOCK_BYTES), 0);
            write_block(&mut self.out, b"PaxHeader", EntryType::XHeader, length, ustar_unix_s);
            self.out.extend_from_slice(&records);
        }
        write_block(&mut self.out, name, kind, bytes, ustar_unix_s);
    }
}

/// Writes a ustar header. A name that is too long is cut, because the name in the pax records takes precedence.
fn write_block(out: &mut Vec<u8>, name: &[u8], kind: EntryType, bytes: u64, unix_s: u64) {
    let mut header = Header::new_ustar();
    let name = &name[..name.len().min(NAME_BYTES_MAX)];
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(bytes.min(NUMBER_MAX));
    header.set_mtime(unix_s);
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
}

/// Writes a pax record, `length key=value\n`. The length counts its own digits too.
fn write_record(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    // Three more: the space, the equals sign and the line end.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + digits(rest);
    // Adding the digits may have made the number one digit longer.
    length = rest + digits(length);
    out.extend_from_slice(format!("{length} {key}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Seconds since 1970 with nanoseconds as the fraction. The fraction of a negative time counts away from zero.
fn decimal_seconds(ns: i128) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    let (whole, rest) = (ns / NS_PER_S.unsigned_abs(), ns % NS_PER_S.unsigned_abs());
    if rest == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest:09}") }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    /// An archive of a new folder with files of these names and lengths.
    fn archive(files: &[(&str, usize)]) -> (tempfile::TempDir, Archive) {
        let root = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(root.path().join(name), vec![b'x'; *bytes]).unwrap();
        }
        let directory = Directory::open(root.path(), 1).unwrap();
        let permit = Permit::new(&Rc::default(), 1).unwrap();
        let archive = Archive::new(&Tree { directory: &directory, path: None }, b"folder", false, permit).unwrap();
        (root, archive)
    }

    /// Reads the archive to its end. Returns the lengths of all pieces.
    fn lengths(archive: &mut Archive) -> Vec<usize> {
        let mut lengths = Vec::new();
        loop {
            let length = match archive.piece().unwrap() {
                Some(Piece::Bytes(bytes)) => bytes.len(),
                Some(Piece::File(file)) => file.remaining() as usize,
                Some(Piece::Pending) => continue,
                None => return lengths,
            };
            archive.advance(length as u64);
            lengths.push(length);
        }
    }

    #[test]
    fn several_small_files_are_sent_together_and_large_files_by_themselves() {
        let names: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        let mut files: Vec<(&str, usize)> = names.iter().map(|name| (&**name, 100)).collect();
        files.push(("large", 100_000));
        let (_root, mut archive) = archive(&files);
        let lengths = lengths(&mut archive);
        assert!(lengths.contains(&100_000));
        assert!(lengths.iter().all(|length| *length == 100_000 || *length <= PIECE_BYTES_MAX));
        // A file takes two blocks, and the pax header with its time another two. So four files fill a slice.
        assert!(lengths.len() < 1000 / 3, "{}", lengths.len());
        assert_eq!(lengths.iter().sum::<usize>() % BLOCK_BYTES, 0);
    }

    #[test]
    fn a_small_file_has_the_length_in_its_header_or_is_sent_as_a_large_one_that_lacks_bytes() {
        for (bytes, is_complete) in [(99, false), (0, false), (100, true), (101, true), (9000, true)] {
            let (root, mut archive) = archive(&[("small", 100)]);
            let path = RelativePath::from_segments([&b"small"[..]]).unwrap();
            let opened = archive.directory.open_file(&path).unwrap();
            // The length changes after the stat and before the read.
            File::options().write(true).open(root.path().join("small")).unwrap().set_len(bytes).unwrap();
            archive.add_opened(opened, b"folder/small").unwrap();
            assert!(archive.out.len().is_multiple_of(BLOCK_BYTES), "{bytes}");
            // Sending that many bytes of a file that has fewer is an error, which ends the response.
            assert_eq!(archive.file.as_ref().map(FileRange::remaining), (!is_complete).then_some(100), "{bytes}");
            if is_complete {
                let content = &archive.out[archive.out.len() - BLOCK_BYTES..];
                assert_eq!(content, [&[b'x'; 100][..], &[0; BLOCK_BYTES - 100]].concat());
            }
        }
    }

    #[test]
    fn a_file_that_is_removed_after_its_name_was_read_is_left_out() {
        for a_directory_takes_its_place in [false, true] {
            let (root, mut archive) = archive(&[("a", 20_000), ("b", 20_000)]);
            archive.out.clear();
            // Writes the header of one file. The name of the other has been read as well.
            archive.run_slice().unwrap();
            let is_a = archive.out.windows(8).any(|name| name == b"folder/a");
            let other = root.path().join(if is_a { "b" } else { "a" });
            fs::remove_file(&other).unwrap();
            if a_directory_takes_its_place {
                fs::create_dir(&other).unwrap();
            }
            assert_eq!(lengths(&mut archive).iter().filter(|length| **length == 20_000).count(), 1);
        }
    }

    #[test]
    fn the_length_of_a_pax_record_includes_its_own_digits() {
        for value_bytes in [1, 2, 3, 4, 80, 88, 89, 90, 91, 985, 986, 987, 988, 989, 990] {
            let mut record = Vec::new();
            write_record(&mut record, "path", &vec![b'a'; value_bytes]);
            let text = String::from_utf8(record).unwrap();
            let (length, _) = text.split_once(' ').unwrap();
            assert_eq!(length.parse::<usize>().unwrap(), text.len(), "{text}");
        }
    }

    #[test]
    fn times_have_nanoseconds_and_a_sign() {
        for (ns, expected) in [
            (0, "0"),
            (1_500_000_000, "1.500000000"),
            (-1, "-0.000000001"),
            (-1_500_000_000, "-1.500000000"),
            (784_111_777_000_000_000, "784111777"),
        ] {
            assert_eq!(decimal_seconds(ns), expected);
        }
    }
}
