//! Content of small files that are asked for often. Opening, reading and closing a small file costs more than all else
//! that is done to send it; one stat is enough to confirm that what is in memory is what stands on the disk.
//!
//! There are two generations. What is used is, or moves, in the young one; when that is full it becomes the old one, and
//! what was old is forgotten. So the cache never holds more than its bound, and what is used often stays.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::FileExt;

use super::{Directory, Identity, OpenedFile, RelativePath};

/// The longest file that is kept, in octets. For longer ones copying costs more than opening, and they are sent from the
/// disk's cache without a copy.
pub const SMALL_FILE_OCTETS_MAX: usize = 16 * 1024;

/// How much a generation holds, in octets: some two thousand small pages and images in both.
const GENERATION_OCTETS_MAX: usize = 4 * 1024 * 1024;

/// What an entry costs besides its name, path and content, in octets: generous, so that empty files count too.
const ENTRY_OCTETS: usize = 512;

/// A small file in memory.
#[derive(Debug)]
pub struct CachedFile<T> {
    path: RelativePath,
    identity: Identity,
    /// All of the file's octets.
    pub content: Box<[u8]>,
    /// What the owner of the cache knows of this version of the file.
    pub notes: T,
}

#[derive(Debug)]
struct Generation<T> {
    files: HashMap<Box<[u8]>, CachedFile<T>>,
    octets: usize,
}

impl<T> Default for Generation<T> {
    fn default() -> Self {
        Generation { files: HashMap::new(), octets: 0 }
    }
}

/// Small files under the names by which they were asked for.
#[derive(Debug)]
pub struct SmallFileCache<T> {
    young: Generation<T>,
    old: Generation<T>,
}

impl<T> Default for SmallFileCache<T> {
    fn default() -> Self {
        SmallFileCache { young: Generation::default(), old: Generation::default() }
    }
}

fn cost<T>(name: &[u8], file: &CachedFile<T>) -> usize {
    // The path is at most as long as the name that it was decoded from.
    2 * name.len() + file.content.len() + ENTRY_OCTETS
}

impl<T> SmallFileCache<T> {
    /// Whether the file of that name is in memory and, by one look at the directory, still the one on the disk. Then
    /// [`get`](SmallFileCache::get) has it. `false` says nothing but that it is to be opened.
    pub fn confirm(&mut self, name: &[u8], directory: &Directory) -> bool {
        let is_current = |file: &CachedFile<T>| directory.confirms(&file.path, &file.identity);
        if let Some(file) = self.young.files.get(name) {
            let confirmed = is_current(file);
            if !confirmed {
                self.forget(name);
            }
            return confirmed;
        }
        let Some((name, file)) = self.old.files.remove_entry(name) else { return false };
        self.old.octets = self.old.octets.saturating_sub(cost(&name, &file));
        let confirmed = is_current(&file);
        if confirmed {
            self.keep(name, file);
        }
        confirmed
    }

    /// The file that [`confirm`](SmallFileCache::confirm) or [`insert`](SmallFileCache::insert) has just said is there.
    pub fn get(&self, name: &[u8]) -> Option<&CachedFile<T>> {
        self.young.files.get(name)
    }

    /// Reads a file that has been opened into memory, if it is small enough, and stays the same meanwhile. Says whether it
    /// is there.
    ///
    /// The caller sees to it that the identity is sure: that no further change can hide behind the same times.
    pub fn insert(&mut self, name: &[u8], path: RelativePath, opened: &OpenedFile, notes: impl FnOnce() -> T) -> bool {
        let Some(content) = read_small(opened) else { return false };
        self.forget(name);
        self.keep(name.into(), CachedFile { path, identity: opened.identity, content, notes: notes() });
        true
    }

    fn keep(&mut self, name: Box<[u8]>, file: CachedFile<T>) {
        let octets = cost(&name, &file);
        if self.young.octets.saturating_add(octets) > GENERATION_OCTETS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.octets += octets;
        self.young.files.insert(name, file);
    }

    fn forget(&mut self, name: &[u8]) {
        for generation in [&mut self.young, &mut self.old] {
            if let Some(file) = generation.files.remove(name) {
                generation.octets = generation.octets.saturating_sub(cost(name, &file));
            }
        }
    }
}

/// The content, if it is small and the file did not change while it was read.
fn read_small(opened: &OpenedFile) -> Option<Box<[u8]>> {
    let octets = usize::try_from(opened.identity.octets).ok().filter(|octets| *octets <= SMALL_FILE_OCTETS_MAX)?;
    let mut content = vec![0; octets];
    read_exactly(opened, &mut content).ok()?;
    opened.is_unchanged().then(|| content.into_boxed_slice())
}

fn read_exactly(opened: &OpenedFile, content: &mut [u8]) -> io::Result<()> {
    opened.file.read_exact_at(content, 0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn open(directory: &Directory, name: &str) -> (RelativePath, OpenedFile) {
        let path = RelativePath::from_segments(name.split('/')).unwrap();
        let opened = directory.open_file(&path).unwrap();
        (path, opened)
    }

    fn cached(root: &Path, name: &str) -> (SmallFileCache<()>, Directory) {
        let directory = Directory::open(root).unwrap();
        let (path, opened) = open(&directory, name);
        let mut cache = SmallFileCache::default();
        assert!(cache.insert(name.as_bytes(), path, &opened, || ()));
        (cache, directory)
    }

    #[test]
    fn a_file_is_kept_until_it_changes() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "one").unwrap();
        let (mut cache, directory) = cached(root.path(), "a");
        assert!(cache.confirm(b"a", &directory));
        assert_eq!(&cache.get(b"a").unwrap().content[..], b"one");

        fs::write(root.path().join("a"), "other").unwrap();
        assert!(!cache.confirm(b"a", &directory), "another length");
        assert!(cache.get(b"a").is_none(), "what is out of date is forgotten");
    }

    #[test]
    fn a_file_that_is_replaced_or_removed_is_not_confirmed() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "one").unwrap();
        let (mut cache, directory) = cached(root.path(), "a");
        fs::write(root.path().join("b"), "two").unwrap();
        fs::rename(root.path().join("b"), root.path().join("a")).unwrap();
        assert!(!cache.confirm(b"a", &directory));

        let (mut cache, directory) = cached(root.path(), "a");
        fs::remove_file(root.path().join("a")).unwrap();
        assert!(!cache.confirm(b"a", &directory));
    }

    #[test]
    fn only_small_files_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path()).unwrap();
        let mut cache = SmallFileCache::default();
        for (octets, is_kept) in [(0, true), (SMALL_FILE_OCTETS_MAX, true), (SMALL_FILE_OCTETS_MAX + 1, false)] {
            fs::write(root.path().join("a"), vec![7; octets]).unwrap();
            let (path, opened) = open(&directory, "a");
            assert_eq!(cache.insert(b"a", path, &opened, || ()), is_kept, "{octets}");
        }
    }

    #[test]
    fn many_files_do_not_grow_the_cache_past_its_bound_and_the_ones_in_use_stay() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), vec![7; 4096]).unwrap();
        let (mut cache, directory) = cached(root.path(), "a");
        for number in 0..10_000 {
            let name = format!("alias-{number}");
            let (path, opened) = open(&directory, "a");
            assert!(cache.insert(name.as_bytes(), path, &opened, || ()));
            let held: usize = [&cache.young, &cache.old]
                .iter()
                .flat_map(|half| &half.files)
                .map(|(name, file)| cost(name, file))
                .sum();
            assert!(held <= 2 * GENERATION_OCTETS_MAX);
            if number % 100 == 0 {
                assert!(cache.confirm(b"a", &directory), "in use, and forgotten at {number}");
            }
        }
        assert!(!cache.confirm(b"alias-0", &directory), "out of use, and kept");
    }
}
