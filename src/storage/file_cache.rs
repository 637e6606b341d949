//! A cache of files that are often requested.
//!
//! Opening, checking and closing a small file takes longer than everything else that is done to send it. A cache entry
//! is revalidated with a single stat instead. The content of small files is in memory, larger files stay open.
//!
//! The cache has two generations. An entry that is used is in the young generation, or moves to it. When that is full
//! or a few seconds old, it becomes the old generation, and the previous old generation is evicted. So the cache never
//! exceeds its limits, and often used entries stay. An unused entry soon releases its memory and its descriptor, so
//! that the space of a removed file becomes free and a file system can be unmounted.

use std::collections::HashMap;
use std::rc::Rc;

use super::{Directory, FileRange, FileSystem, Metadata, Native, OpenedFile, RelativePath};

/// The largest file whose content is cached in memory, in bytes. Copying a larger one takes longer than a second system
/// call, with which it is sent from the page cache without a copy.
pub const SMALL_FILE_BYTES_MAX: usize = 16 * 1024;

/// The largest size of a generation, in bytes. Both together have room for some two thousand small pages and images.
const GENERATION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What an entry takes besides its path and content, in bytes. It is a generous estimate, so that empty files count
/// too.
const ENTRY_BYTES: usize = 512;

/// How long a generation is young, in nanoseconds. An unused entry is evicted after once to twice this time.
const ROTATION_NS: u64 = 5 * 1_000_000_000;

/// A cache entry.
#[derive(Debug)]
pub struct CachedFile<T, F: FileSystem = Native> {
    metadata: Metadata,
    /// The whole content of the file.
    pub content: CachedContent<F>,
    /// What the owner of the cache stores for this version of the file.
    pub user_data: T,
}

/// Where the content of a cached file is.
#[derive(Debug)]
pub enum CachedContent<F: FileSystem = Native> {
    /// In memory, since the file is small.
    Memory(Box<[u8]>),
    /// In the open file. The range is the whole file.
    Open(FileRange<F>),
}

#[derive(Debug)]
struct Generation<T, F: FileSystem> {
    files: HashMap<RelativePath, Rc<CachedFile<T, F>>>,
    bytes: usize,
    /// The number of files that are open.
    open_files: usize,
}

impl<T, F: FileSystem> Default for Generation<T, F> {
    fn default() -> Self {
        Generation { files: HashMap::new(), bytes: 0, open_files: 0 }
    }
}

impl<T, F: FileSystem> Generation<T, F> {
    fn has_room_for(&self, cost: Cost, open_files_max: usize) -> bool {
        self.bytes.saturating_add(cost.bytes) <= GENERATION_BYTES_MAX
            && self.open_files + cost.open_files <= open_files_max
    }

    fn insert(&mut self, path: RelativePath, file: Rc<CachedFile<T, F>>) {
        let cost = Cost::of(&path, &file);
        self.bytes += cost.bytes;
        self.open_files += cost.open_files;
        self.files.insert(path, file);
    }

    fn remove(&mut self, path: &[u8]) -> Option<(RelativePath, Rc<CachedFile<T, F>>)> {
        let (path, file) = self.files.remove_entry(path)?;
        let cost = Cost::of(&path, &file);
        self.bytes = self.bytes.saturating_sub(cost.bytes);
        self.open_files = self.open_files.saturating_sub(cost.open_files);
        Some((path, file))
    }
}

/// What a file takes of the limits of its generation.
#[derive(Clone, Copy)]
struct Cost {
    bytes: usize,
    open_files: usize,
}

impl Cost {
    fn of<T, F: FileSystem>(path: &RelativePath, file: &CachedFile<T, F>) -> Cost {
        let (content_bytes, open_files) = match &file.content {
            CachedContent::Memory(content) => (content.len(), 0),
            CachedContent::Open(_) => (0, 1),
        };
        Cost { bytes: path.as_bytes().len() + content_bytes + ENTRY_BYTES, open_files }
    }
}

/// Cached files by their paths.
#[derive(Debug)]
pub struct FileCache<T, F: FileSystem = Native> {
    young: Generation<T, F>,
    old: Generation<T, F>,
    /// The file that was lent last. Cleared before any is removed, since it would stay open.
    lent: Option<Rc<CachedFile<T, F>>>,
    /// The number of files that a generation may have open.
    open_files_max: usize,
    /// When the young generation becomes the old one, in nanoseconds on the monotonic clock. Unused while the cache is
    /// empty.
    rotate_at_ns: u64,
    hits: u64,
    misses: u64,
}

impl<T, F: FileSystem> FileCache<T, F> {
    /// A cache that has at most `open_files_max` files open.
    pub fn new(open_files_max: usize) -> FileCache<T, F> {
        FileCache {
            young: Generation::default(),
            old: Generation::default(),
            lent: None,
            open_files_max: open_files_max / 2,
            rotate_at_ns: 0,
            hits: 0,
            misses: 0,
        }
    }

    /// The file `path`, if the cache has it and a stat shows that the file on the disk is unchanged. An entry that is out of
    /// date is removed. Bytes that are not a [`RelativePath`] are never in the cache.
    ///
    /// Only revalidates: `None` means that the caller must open the file, and never decides a 404.
    pub fn revalidate(&mut self, path: &[u8], directory: &Directory<F>) -> Option<Rc<CachedFile<T, F>>> {
        self.lent = None;
        let file = self.find_valid(path, directory);
        let counter = if file.is_some() { &mut self.hits } else { &mut self.misses };
        *counter = counter.saturating_add(1);
        file
    }

    /// Keeps a file that the cache has returned until the next call, so that a response can borrow from it. This saves
    /// looking up its path again.
    pub fn lend(&mut self, file: Rc<CachedFile<T, F>>) -> &CachedFile<T, F> {
        self.lent.insert(file)
    }

    /// How often [`revalidate`](FileCache::revalidate) has returned a file, and `None`.
    pub fn hits_and_misses(&self) -> (u64, u64) {
        (self.hits, self.misses)
    }

    fn find_valid(&mut self, path: &[u8], directory: &Directory<F>) -> Option<Rc<CachedFile<T, F>>> {
        if let Some((key, file)) = self.young.files.get_key_value(path) {
            if directory.is_current(key, &file.metadata) {
                return Some(Rc::clone(file));
            }
            self.young.remove(path);
            return None;
        }
        let (path, file) = self.old.remove(path)?;
        directory.is_current(&path, &file.metadata).then(|| self.insert_young(path, file))
    }

    /// Adds an open file to the cache: its content, if it is small, else the file itself. Returns what was added. A small
    /// file is not added if it is not in memory or changes while it is read, and a longer one if no file may stay open.
    /// `now_ns` is the monotonic time.
    ///
    /// The caller must not add a file whose timestamps are so recent that another change may leave them the same.
    pub fn insert(
        &mut self,
        path: RelativePath,
        opened: &OpenedFile<F>,
        user_data: impl FnOnce() -> T,
        now_ns: u64,
    ) -> Option<Rc<CachedFile<T, F>>> {
        self.lent = None;
        let content = match usize::try_from(opened.metadata.size_bytes) {
            Ok(bytes) if bytes <= SMALL_FILE_BYTES_MAX => match read_small(opened, bytes) {
                Some(content) => CachedContent::Memory(content),
                None => return None,
            },
            _ if self.open_files_max > 0 => CachedContent::Open(FileRange::whole(opened.clone())),
            _ => return None,
        };
        self.young.remove(path.as_bytes());
        self.old.remove(path.as_bytes());
        if self.is_empty() {
            self.rotate_at_ns = now_ns.saturating_add(ROTATION_NS);
        }
        let file = CachedFile { metadata: opened.metadata, content, user_data: user_data() };
        Some(self.insert_young(path, Rc::new(file)))
    }

    /// When [`evict_unused`](FileCache::evict_unused) must be called, in nanoseconds on the monotonic clock; `None`
    /// while the cache is empty.
    pub fn deadline_ns(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.rotate_at_ns)
    }

    /// Evicts the entries that were not used lately, if it is time.
    pub fn evict_unused(&mut self, now_ns: u64) {
        if now_ns >= self.rotate_at_ns {
            self.lent = None;
            self.rotate();
            self.rotate_at_ns = now_ns.saturating_add(ROTATION_NS);
        }
    }

    fn insert_young(&mut self, path: RelativePath, file: Rc<CachedFile<T, F>>) -> Rc<CachedFile<T, F>> {
        if !self.young.has_room_for(Cost::of(&path, &file), self.open_files_max) {
            self.rotate();
        }
        self.young.insert(path, Rc::clone(&file));
        file
    }

    fn rotate(&mut self) {
        self.old = std::mem::take(&mut self.young);
    }

    fn is_empty(&self) -> bool {
        self.young.files.is_empty() && self.old.files.is_empty()
    }
}

/// The content of a small file. `None` if it is not in memory, or the file was changed while it was read.
fn read_small<F: FileSystem>(opened: &OpenedFile<F>, bytes: usize) -> Option<Box<[u8]>> {
    let mut content = vec![0; bytes];
    let is_read = bytes == 0 || opened.file.read_if_in_memory(&mut content, 0).ok()?;
    (is_read && opened.is_unchanged()).then(|| content.into_boxed_slice())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    const OPEN_FILES_MAX: usize = 8;

    fn open(directory: &Directory, name: &str) -> (RelativePath, OpenedFile) {
        let path = RelativePath::from_segments(name.split('/')).unwrap();
        let opened = directory.open_file(&path).unwrap();
        (path, opened)
    }

    fn cached(root: &Path, name: &str) -> (FileCache<()>, Directory) {
        let directory = Directory::open(root, 1).unwrap();
        let (path, opened) = open(&directory, name);
        let mut cache = FileCache::new(OPEN_FILES_MAX);
        assert!(cache.insert(path, &opened, || (), 0).is_some());
        (cache, directory)
    }

    /// Caches `file`, under the path `alias`.
    fn insert(cache: &mut FileCache<()>, directory: &Directory, alias: &str, file: &str) -> bool {
        let (_, opened) = open(directory, file);
        cache.insert(RelativePath::from_segments([alias]).unwrap(), &opened, || (), 0).is_some()
    }

    /// The bytes and the open files of the cache, counted entry by entry.
    fn usage(cache: &FileCache<()>) -> (usize, usize) {
        let costs = [&cache.young, &cache.old]
            .into_iter()
            .flat_map(|half| &half.files)
            .map(|(path, file)| Cost::of(path, file));
        costs.fold((0, 0), |(bytes, open_files), cost| (bytes + cost.bytes, open_files + cost.open_files))
    }

    #[test]
    fn a_file_is_cached_until_it_changes() {
        let root = tempfile::tempdir().unwrap();
        for bytes in [3, SMALL_FILE_BYTES_MAX + 1] {
            fs::write(root.path().join("a"), vec![7; bytes]).unwrap();
            let (mut cache, directory) = cached(root.path(), "a");
            assert!(cache.revalidate(b"a", &directory).is_some());

            fs::write(root.path().join("a"), vec![7; bytes + 1]).unwrap();
            assert!(cache.revalidate(b"a", &directory).is_none(), "another length");
            assert_eq!(usage(&cache), (0, 0));
        }
    }

    #[test]
    fn a_file_that_was_replaced_or_removed_is_not_valid() {
        let root = tempfile::tempdir().unwrap();
        for bytes in [3, SMALL_FILE_BYTES_MAX + 1] {
            fs::write(root.path().join("a"), vec![7; bytes]).unwrap();
            let (mut cache, directory) = cached(root.path(), "a");
            fs::write(root.path().join("b"), vec![8; bytes]).unwrap();
            fs::rename(root.path().join("b"), root.path().join("a")).unwrap();
            assert!(cache.revalidate(b"a", &directory).is_none());

            let (mut cache, directory) = cached(root.path(), "a");
            fs::remove_file(root.path().join("a")).unwrap();
            assert!(cache.revalidate(b"a", &directory).is_none());
        }
    }

    #[test]
    fn small_files_are_cached_in_memory_and_larger_ones_stay_open() {
        let root = tempfile::tempdir().unwrap();
        for (bytes, is_open) in [(0, false), (SMALL_FILE_BYTES_MAX, false), (SMALL_FILE_BYTES_MAX + 1, true)] {
            let written = vec![7; bytes];
            fs::write(root.path().join("a"), &written).unwrap();
            let (mut cache, directory) = cached(root.path(), "a");
            let content = match &cache.revalidate(b"a", &directory).unwrap().content {
                CachedContent::Memory(content) if !is_open => content.to_vec(),
                CachedContent::Open(file) if is_open => {
                    let mut content = vec![0; bytes + 1];
                    let read = file.read_at(&mut content).unwrap();
                    content.truncate(read);
                    content
                }
                other => panic!("{bytes} bytes are cached as {other:?}"),
            };
            assert!(content == written, "{bytes}");
        }
    }

    #[test]
    fn without_open_files_only_small_ones_are_cached() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path(), 1).unwrap();
        let mut cache = FileCache::new(1);
        for (bytes, is_cached) in [(SMALL_FILE_BYTES_MAX, true), (SMALL_FILE_BYTES_MAX + 1, false)] {
            fs::write(root.path().join("a"), vec![7; bytes]).unwrap();
            assert_eq!(insert(&mut cache, &directory, "a", "a"), is_cached, "{bytes}");
        }
    }

    #[test]
    fn many_files_do_not_exceed_the_limits_of_the_cache_and_used_ones_stay() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), vec![7; 4096]).unwrap();
        fs::write(root.path().join("large"), vec![7; SMALL_FILE_BYTES_MAX + 1]).unwrap();
        let (mut cache, directory) = cached(root.path(), "a");
        for number in 0..10_000 {
            let file = if number % 50 == 0 { "large" } else { "a" };
            assert!(insert(&mut cache, &directory, &format!("alias-{number}"), file));
            let (bytes, open_files) = usage(&cache);
            assert!(bytes <= 2 * GENERATION_BYTES_MAX && open_files <= OPEN_FILES_MAX);
            if number % 100 == 0 {
                assert!(cache.revalidate(b"a", &directory).is_some(), "evicted at {number} although it is used");
            }
        }
        let first_alias: &[u8] = b"alias-1";
        for half in [&cache.young, &cache.old] {
            assert!(!half.files.contains_key(first_alias), "not evicted although it is unused");
        }
        let counted = (cache.young.bytes + cache.old.bytes, cache.young.open_files + cache.old.open_files);
        assert_eq!(counted, usage(&cache));
    }

    #[test]
    fn unused_files_are_closed_in_time_and_used_ones_stay() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("used"), vec![7; SMALL_FILE_BYTES_MAX + 1]).unwrap();
        fs::write(root.path().join("unused"), vec![7; SMALL_FILE_BYTES_MAX + 1]).unwrap();
        let (mut cache, directory) = cached(root.path(), "used");
        assert!(insert(&mut cache, &directory, "unused", "unused"));
        assert_eq!(usage(&cache).1, 2);
        for _ in 0..2 {
            let due_ns = cache.deadline_ns().unwrap();
            cache.evict_unused(due_ns - 1);
            assert_eq!(cache.deadline_ns(), Some(due_ns), "too early");
            cache.evict_unused(due_ns);
            assert!(cache.revalidate(b"used", &directory).is_some());
        }
        assert_eq!(usage(&cache).1, 1);
        for _ in 0..2 {
            cache.evict_unused(cache.deadline_ns().unwrap());
        }
        assert_eq!((usage(&cache), cache.deadline_ns()), ((0, 0), None), "an empty cache has no deadline");
    }
}
