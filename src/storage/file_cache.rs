//! Files that are asked for often. PathResolution, checking and closing a file costs more than all else that is done to
//! send a small one; one stat is enough to confirm that what was found before is what stands on the disk. The content
//! of small files is kept in memory, and larger ones are kept open.
//!
//! There are two generations. What is used is, or moves, in the young one; when that is full, or has had its time, it
//! becomes the old one, and what was old is forgotten. So the cache never holds more than its bounds, what is used
//! often stays, and what is not gives back its memory and its descriptor: a removed file's space becomes free, and a
//! file system can be unmounted.

use std::collections::HashMap;

use super::retry::read_exactly;
use super::{Directory, FileRange, FileSystem, Metadata, Native, OpenedFile, RelativePath};

/// The longest file whose content is kept in memory, in bytes. For longer ones copying costs more than a second call,
/// and they are sent from the disk's cache without a copy.
pub const SMALL_FILE_BYTES_MAX: usize = 16 * 1024;

/// How much a generation holds, in bytes: some two thousand small pages and images in both.
const GENERATION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What an entry costs besides its path and content, in bytes: generous, so that empty files count too.
const ENTRY_BYTES: usize = 512;

/// How long a generation is young, in nanoseconds. What nobody asks for is forgotten after once to twice that time.
const GENERATION_NS: u64 = 5 * 1_000_000_000;

/// A file that was asked for.
#[derive(Debug)]
pub struct CachedFile<T, F: FileSystem = Native> {
    metadata: Metadata,
    /// All of the file's bytes.
    pub content: CachedContent<F>,
    /// What the owner of the cache knows of this version of the file.
    pub user_data: T,
}

/// Where the content of a file is kept.
#[derive(Debug)]
pub enum CachedContent<F: FileSystem = Native> {
    /// In memory: the file is small.
    Memory(Box<[u8]>),
    /// In the file, which is open. This is the whole of it.
    Open(FileRange<F>),
}

#[derive(Debug)]
struct Generation<T, F: FileSystem> {
    files: HashMap<RelativePath, CachedFile<T, F>>,
    bytes: usize,
    /// How many of the files are open.
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

    fn insert(&mut self, path: RelativePath, file: CachedFile<T, F>) {
        let cost = Cost::of(&path, &file);
        self.bytes += cost.bytes;
        self.open_files += cost.open_files;
        self.files.insert(path, file);
    }

    fn remove(&mut self, path: &[u8]) -> Option<(RelativePath, CachedFile<T, F>)> {
        let (path, file) = self.files.remove_entry(path)?;
        let cost = Cost::of(&path, &file);
        self.bytes = self.bytes.saturating_sub(cost.bytes);
        self.open_files = self.open_files.saturating_sub(cost.open_files);
        Some((path, file))
    }
}

/// What a file costs the generation that has it.
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

/// Files by their paths.
#[derive(Debug)]
pub struct FileCache<T, F: FileSystem = Native> {
    young: Generation<T, F>,
    old: Generation<T, F>,
    /// How many files a generation may hold open.
    open_files_max: usize,
    /// When the young generation becomes the old one, on the monotonic clock. Of no meaning while the cache is empty.
    turn_ns: u64,
}

impl<T, F: FileSystem> FileCache<T, F> {
    /// A cache that holds at most `open_files_max` files open.
    pub fn new(open_files_max: usize) -> FileCache<T, F> {
        FileCache {
            young: Generation::default(),
            old: Generation::default(),
            open_files_max: open_files_max / 2,
            turn_ns: 0,
        }
    }

    /// Whether the file at `path` is here and, by one look at the directory, still the one on the disk. Then
    /// [`get`](FileCache::get) has it. `false` says nothing but that it is to be opened. Bytes that are no
    /// [`RelativePath`] are never here.
    pub fn revalidate(&mut self, path: &[u8], directory: &Directory<F>) -> bool {
        if let Some((key, file)) = self.young.files.get_key_value(path) {
            let is_valid = directory.is_current(key, &file.metadata);
            if !is_valid {
                self.young.remove(path);
            }
            return is_valid;
        }
        let Some((path, file)) = self.old.remove(path) else { return false };
        let is_valid = directory.is_current(&path, &file.metadata);
        if is_valid {
            self.keep(path, file);
        }
        is_valid
    }

    /// The file that [`confirm`](FileCache::revalidate) or [`insert`](FileCache::insert) has just said is there.
    pub fn get(&self, path: &[u8]) -> Option<&CachedFile<T, F>> {
        self.young.files.get(path)
    }

    /// Keeps a file that has been opened: its content, if it is small and stays the same while it is read, or else the
    /// open file. Says whether it is there; it is not where no files may be held open. `now_ns` is the monotonic time.
    ///
    /// The caller sees to it that the metadata is sure: that no further change can hide behind the same times.
    pub fn insert(
        &mut self,
        path: RelativePath,
        opened: &OpenedFile<F>,
        user_data: impl FnOnce() -> T,
        now_ns: u64,
    ) -> bool {
        let content = match read_small(opened) {
            Some(content) => CachedContent::Memory(content),
            None if self.open_files_max > 0 => CachedContent::Open(FileRange::whole(opened.clone())),
            None => return false,
        };
        self.young.remove(path.as_bytes());
        self.old.remove(path.as_bytes());
        if self.is_empty() {
            self.turn_ns = now_ns.saturating_add(GENERATION_NS);
        }
        self.keep(path, CachedFile { metadata: opened.metadata, content, user_data: user_data() });
        true
    }

    /// When [`evict_unused`](FileCache::evict_unused) has something to do, on the monotonic clock; `None` while the
    /// cache is empty.
    pub fn deadline_ns(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.turn_ns)
    }

    /// Forgets what nobody has asked for lately, if it is time to.
    pub fn evict_unused(&mut self, now_ns: u64) {
        if now_ns >= self.turn_ns {
            self.turn();
            self.turn_ns = now_ns.saturating_add(GENERATION_NS);
        }
    }

    fn keep(&mut self, path: RelativePath, file: CachedFile<T, F>) {
        if !self.young.has_room_for(Cost::of(&path, &file), self.open_files_max) {
            self.turn();
        }
        self.young.insert(path, file);
    }

    fn turn(&mut self) {
        self.old = std::mem::take(&mut self.young);
    }

    fn is_empty(&self) -> bool {
        self.young.files.is_empty() && self.old.files.is_empty()
    }
}

/// The content, if it is small and the file did not change while it was read.
fn read_small<F: FileSystem>(opened: &OpenedFile<F>) -> Option<Box<[u8]>> {
    let bytes = usize::try_from(opened.metadata.size_bytes).ok().filter(|bytes| *bytes <= SMALL_FILE_BYTES_MAX)?;
    let mut content = vec![0; bytes];
    read_exactly(|space, offset| opened.file.read_at(space, offset), &mut content, 0).ok()??;
    opened.is_unchanged().then(|| content.into_boxed_slice())
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
        assert!(cache.insert(path, &opened, || (), 0));
        (cache, directory)
    }

    /// Caches `file`, under the path `alias`.
    fn insert(cache: &mut FileCache<()>, directory: &Directory, alias: &str, file: &str) -> bool {
        let (_, opened) = open(directory, file);
        cache.insert(RelativePath::from_segments([alias]).unwrap(), &opened, || (), 0)
    }

    /// The bytes and the open files that the cache holds, counted one by one.
    fn held(cache: &FileCache<()>) -> (usize, usize) {
        let costs = [&cache.young, &cache.old]
            .into_iter()
            .flat_map(|half| &half.files)
            .map(|(path, file)| Cost::of(path, file));
        costs.fold((0, 0), |(bytes, open_files), cost| (bytes + cost.bytes, open_files + cost.open_files))
    }

    #[test]
    fn a_file_is_kept_until_it_changes() {
        let root = tempfile::tempdir().unwrap();
        for bytes in [3, SMALL_FILE_BYTES_MAX + 1] {
            fs::write(root.path().join("a"), vec![7; bytes]).unwrap();
            let (mut cache, directory) = cached(root.path(), "a");
            assert!(cache.revalidate(b"a", &directory));
            assert!(cache.get(b"a").is_some());

            fs::write(root.path().join("a"), vec![7; bytes + 1]).unwrap();
            assert!(!cache.revalidate(b"a", &directory), "another length");
            assert!(cache.get(b"a").is_none(), "what is out of date is forgotten");
            assert_eq!(held(&cache), (0, 0));
        }
    }

    #[test]
    fn a_file_that_is_replaced_or_removed_is_not_confirmed() {
        let root = tempfile::tempdir().unwrap();
        for bytes in [3, SMALL_FILE_BYTES_MAX + 1] {
            fs::write(root.path().join("a"), vec![7; bytes]).unwrap();
            let (mut cache, directory) = cached(root.path(), "a");
            fs::write(root.path().join("b"), vec![8; bytes]).unwrap();
            fs::rename(root.path().join("b"), root.path().join("a")).unwrap();
            assert!(!cache.revalidate(b"a", &directory));

            let (mut cache, directory) = cached(root.path(), "a");
            fs::remove_file(root.path().join("a")).unwrap();
            assert!(!cache.revalidate(b"a", &directory));
        }
    }

    #[test]
    fn small_files_are_kept_in_memory_and_larger_ones_open() {
        let root = tempfile::tempdir().unwrap();
        for (bytes, is_open) in [(0, false), (SMALL_FILE_BYTES_MAX, false), (SMALL_FILE_BYTES_MAX + 1, true)] {
            let written = vec![7; bytes];
            fs::write(root.path().join("a"), &written).unwrap();
            let (cache, _directory) = cached(root.path(), "a");
            let content = match &cache.get(b"a").unwrap().content {
                CachedContent::Memory(content) if !is_open => content.to_vec(),
                CachedContent::Open(file) if is_open => {
                    let mut content = vec![0; bytes + 1];
                    let read = file.read_at(&mut content).unwrap();
                    content.truncate(read);
                    content
                }
                other => panic!("{bytes} bytes are kept as {other:?}"),
            };
            assert!(content == written, "{bytes}");
        }
    }

    #[test]
    fn without_open_files_only_small_ones_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::open(root.path(), 1).unwrap();
        let mut cache = FileCache::new(1);
        for (bytes, is_kept) in [(SMALL_FILE_BYTES_MAX, true), (SMALL_FILE_BYTES_MAX + 1, false)] {
            fs::write(root.path().join("a"), vec![7; bytes]).unwrap();
            assert_eq!(insert(&mut cache, &directory, "a", "a"), is_kept, "{bytes}");
        }
    }

    #[test]
    fn many_files_do_not_grow_the_cache_past_its_bounds_and_the_ones_in_use_stay() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), vec![7; 4096]).unwrap();
        fs::write(root.path().join("large"), vec![7; SMALL_FILE_BYTES_MAX + 1]).unwrap();
        let (mut cache, directory) = cached(root.path(), "a");
        for number in 0..10_000 {
            let file = if number % 50 == 0 { "large" } else { "a" };
            assert!(insert(&mut cache, &directory, &format!("alias-{number}"), file));
            let (bytes, open_files) = held(&cache);
            assert!(bytes <= 2 * GENERATION_BYTES_MAX && open_files <= OPEN_FILES_MAX);
            if number % 100 == 0 {
                assert!(cache.revalidate(b"a", &directory), "in use, and forgotten at {number}");
            }
        }
        let first_alias: &[u8] = b"alias-1";
        for half in [&cache.young, &cache.old] {
            assert!(!half.files.contains_key(first_alias), "out of use, and kept");
        }
        let counted = (cache.young.bytes + cache.old.bytes, cache.young.open_files + cache.old.open_files);
        assert_eq!(counted, held(&cache));
    }

    #[test]
    fn what_is_not_asked_for_is_closed_in_time_and_what_is_stays() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("used"), vec![7; SMALL_FILE_BYTES_MAX + 1]).unwrap();
        fs::write(root.path().join("unused"), vec![7; SMALL_FILE_BYTES_MAX + 1]).unwrap();
        let (mut cache, directory) = cached(root.path(), "used");
        assert!(insert(&mut cache, &directory, "unused", "unused"));
        assert_eq!(held(&cache).1, 2);
        for _ in 0..2 {
            let due_ns = cache.deadline_ns().unwrap();
            cache.evict_unused(due_ns - 1);
            assert_eq!(cache.deadline_ns(), Some(due_ns), "too early");
            cache.evict_unused(due_ns);
            assert!(cache.revalidate(b"used", &directory));
        }
        assert_eq!(held(&cache).1, 1);
        for _ in 0..2 {
            cache.evict_unused(cache.deadline_ns().unwrap());
        }
        assert_eq!((held(&cache), cache.deadline_ns()), ((0, 0), None), "an empty cache wakes nobody");
    }
}
