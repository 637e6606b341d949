//! The listing of a directory as HTML, JSON or text, made while it is sent.
//!
//! Up to [`SORTED_ENTRIES_MAX`] entries are read and sorted before the first is sent. If there are more, or the
//! listings in progress hold too many entries, the directory is read from its start again: its entries are then sent
//! in the order of the disk, and none is kept. All work is done in slices, and other connections are served between
//! them.

use std::cell::Cell;
use std::cmp::Ordering;
use std::rc::Rc;
use std::vec;

use super::page::{self, PageHead, Visitor};
use super::query::{Format, Order, Sort};
use super::{json, names, text};
use crate::semantics::rights::UploadPolicy;
use crate::semantics::service::{PIECE_BYTES_MAX, Piece, SourceFailed};
use crate::storage::{self, Entry, EntryKind, FileRange, FileSystem, Native, StorageError};

/// The most entries that are sorted.
const SORTED_ENTRIES_MAX: usize = 10_000;

/// The most entries that all listings in progress hold, at some hundred bytes each.
const BUFFERED_ENTRIES_MAX: usize = 40 * SORTED_ENTRIES_MAX;

/// How many entries one slice reads or sorts: half a millisecond of work if the disk need not be waited for.
const SLICE_ENTRIES: usize = 128;

/// How many entries one slice counts.
const COUNT_SLICE_ENTRIES: usize = 1024;

/// A slice writes rows until it has written this many bytes.
const SLICE_BYTES: usize = PIECE_BYTES_MAX / 2;

/// How a directory is listed.
pub(super) struct ListingOptions {
    pub(super) format: Format,
    /// The decoded path: `/` or `/a/b/`.
    pub(super) path: Vec<u8>,
    pub(super) sort: Sort,
    pub(super) order: Order,
    pub(super) uploads: UploadPolicy,
    pub(super) upload_bytes_max: Option<u64>,
    /// The account of whoever reads the listing, and whether they could do more with one.
    pub(super) account: Option<Rc<str>>,
    pub(super) could_do_more: bool,
    /// How many segments of the path nothing is linked above: those of the highest folder that may be seen.
    pub(super) base_segments: usize,
    /// When the link expires under which the listing is requested, if any.
    pub(super) expires_unix_s: Option<u64>,
    /// Whether names that begin with a dot are listed.
    pub(super) shows_hidden: bool,
    pub(super) now_unix_s: u64,
}

impl ListingOptions {
    fn page_head(&self, is_sorted: bool) -> PageHead<'_> {
        let ListingOptions { path, sort, order, uploads, upload_bytes_max, base_segments, shows_hidden, .. } = self;
        PageHead {
            path,
            uploads: *uploads,
            takes_hidden: *shows_hidden,
            upload_bytes_max: *upload_bytes_max,
            visitor: Visitor { account: self.account.as_deref(), could_do_more: self.could_do_more },
            base_segments: *base_segments,
            expires_unix_s: self.expires_unix_s,
            sort: *sort,
            order: *order,
            is_sorted,
        }
    }
}

/// A listing that is being sent.
pub struct Listing<F: FileSystem = Native> {
    directory: storage::Listing<F>,
    options: ListingOptions,
    buffered: BufferedEntries,
    stage: Stage,
    /// The text that was written last, and how much of it has been sent.
    out: Vec<u8>,
    sent: usize,
    rows: u64,
}

/// What the next slice does.
enum Stage {
    /// Counts entries; so many have been counted. A count takes far less time than reading the entries, which would
    /// delay the first row for nothing if there are too many to sort.
    Counting(usize),
    /// Reads entries, one run per slice.
    Reading(Vec<Vec<Entry>>),
    /// Sorts one run: those that are not sorted yet, and those that are.
    Sorting(Vec<Vec<Entry>>, Vec<Vec<KeyedEntry>>),
    /// Merges the sorted runs, and writes a row for each entry. Each run has its first entry at its end, and so have
    /// the runs: the last entry of the last run comes first.
    Merging(Vec<Vec<KeyedEntry>>),
    /// Writes rows in the order of the disk: first for the entries that have been read, then for the following ones.
    Unsorted(vec::IntoIter<Entry>),
    /// All rows have been written.
    Done,
}

/// An entry with the key of its name.
struct KeyedEntry {
    key: Box<[u8]>,
    entry: Entry,
}

/// How many entries a listing holds. They also count in the total of all listings.
struct BufferedEntries {
    total: Rc<Cell<usize>>,
    count: usize,
}

impl BufferedEntries {
    fn add(&mut self, count: usize) {
        self.count += count;
        self.total.set(self.total.get() + count);
    }

    fn remove(&mut self, count: usize) {
        let count = count.min(self.count);
        self.count -= count;
        self.total.set(self.total.get().saturating_sub(count));
    }
}

impl Drop for BufferedEntries {
    fn drop(&mut self) {
        self.remove(self.count);
    }
}

impl<F: FileSystem> Listing<F> {
    /// `buffered_by_all` is the number of entries that all listings hold.
    pub(super) fn new(
        directory: storage::Listing<F>,
        options: ListingOptions,
        buffered_by_all: &Rc<Cell<usize>>,
    ) -> Listing<F> {
        let may_be_too_large = directory.may_exceed(SORTED_ENTRIES_MAX as u64);
        Listing {
            directory,
            options,
            buffered: BufferedEntries { total: Rc::clone(buffered_by_all), count: 0 },
            stage: if may_be_too_large { Stage::Counting(0) } else { Stage::Reading(Vec::new()) },
            out: Vec::new(),
            sent: 0,
            rows: 0,
        }
    }

    pub(in crate::routes) fn piece(&mut self) -> Result<Option<Piece<'_, FileRange<F>>>, SourceFailed> {
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
            self.run_slice()?;
            if self.out.is_empty() {
                let is_done = matches!(self.stage, Stage::Done);
                return Ok(if is_done { None } else { Some(Piece::Pending) });
            }
        }
        let end = self.out.len().min(self.sent + PIECE_BYTES_MAX);
        Ok(Some(Piece::Bytes(&self.out[self.sent..end])))
    }

    pub(in crate::routes) fn advance(&mut self, bytes: u64) {
        // The cast is exact: `bytes` is at most the length of the piece in memory.
        self.sent = self.out.len().min(self.sent + bytes as usize);
    }

    fn run_slice(&mut self) -> Result<(), SourceFailed> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Counting(count) => self.count(count)?,
            Stage::Reading(runs) => self.read(runs)?,
            Stage::Sorting(runs, sorted) => self.sort(runs, sorted),
            Stage::Merging(runs) => self.write_sorted(runs),
            Stage::Unsorted(entries) => self.write_unsorted(entries)?,
            Stage::Done => Stage::Done,
        };
        Ok(())
    }

    fn count(&mut self, count: usize) -> Result<Stage, SourceFailed> {
        let shows_hidden = self.options.shows_hidden;
        let is_counted = |name: &[u8]| shows_hidden || !name.starts_with(b".");
        let (more, is_end) = self.directory.count(COUNT_SLICE_ENTRIES, is_counted).map_err(|error| fail(&error))?;
        let count = count + more;
        if count > SORTED_ENTRIES_MAX {
            return Ok(self.begin_unsorted());
        }
        if is_end {
            self.directory.rewind();
            return Ok(Stage::Reading(Vec::new()));
        }
        Ok(Stage::Counting(count))
    }

    fn read(&mut self, mut runs: Vec<Vec<Entry>>) -> Result<Stage, SourceFailed> {
        let (run, is_end) = self.read_run()?;
        self.buffered.add(run.len());
        // The cost of a merged row grows with the number of runs, so an empty one is not kept.
        if !run.is_empty() {
            runs.push(run);
        }
        let is_too_large = self.buffered.count > SORTED_ENTRIES_MAX;
        if is_end && !is_too_large {
            // A single run is sorted in the slice that has read it.
            return Ok(if runs.len() > 1 { Stage::Sorting(runs, Vec::new()) } else { self.sort(runs, Vec::new()) });
        }
        if is_too_large || self.buffered.total.get() > BUFFERED_ENTRIES_MAX {
            // The entries are read again later: keeping them until the client has read them would take memory.
            drop(runs);
            self.buffered.remove(self.buffered.count);
            return Ok(self.begin_unsorted());
        }
        Ok(Stage::Reading(runs))
    }

    fn begin_unsorted(&mut self) -> Stage {
        self.directory.rewind();
        self.write_head(false);
        Stage::Unsorted(Vec::new().into_iter())
    }

    /// Reads the next [`SLICE_ENTRIES`] entries. Returns those that are listed, and whether the end was reached.
    fn read_run(&mut self) -> Result<(Vec<Entry>, bool), SourceFailed> {
        let mut run = Vec::with_capacity(SLICE_ENTRIES);
        for _ in 0..SLICE_ENTRIES {
            match self.directory.next() {
                None => return Ok((run, true)),
                Some(Ok(Some(entry))) if self.options.shows_hidden || !entry.name.starts_with(b".") => run.push(entry),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(fail(&error)),
            }
        }
        Ok((run, false))
    }

    /// Sorts one run so that its first entry is at its end. After the last run, the runs are sorted in the same way
    /// by their first entries.
    fn sort(&mut self, mut runs: Vec<Vec<Entry>>, mut sorted: Vec<Vec<KeyedEntry>>) -> Stage {
        let (sort, order) = (self.options.sort, self.options.order);
        if let Some(run) = runs.pop().filter(|run| !run.is_empty()) {
            let mut run: Vec<_> =
                run.into_iter().map(|entry| KeyedEntry { key: names::key(&entry.name), entry }).collect();
            run.sort_unstable_by(|one, other| compare(sort, order, other, one));
            sorted.push(run);
        }
        if !runs.is_empty() {
            return Stage::Sorting(runs, sorted);
        }
        self.write_head(true);
        sorted.sort_unstable_by(|one, other| match (one.last(), other.last()) {
            (Some(one), Some(other)) => compare(sort, order, other, one),
            _ => Ordering::Equal,
        });
        Stage::Merging(sorted)
    }

    fn write_sorted(&mut self, mut runs: Vec<Vec<KeyedEntry>>) -> Stage {
        while self.out.len() < SLICE_BYTES {
            match pop_first(&mut runs, self.options.sort, self.options.order) {
                Some(entry) => {
                    self.buffered.remove(1);
                    self.write_row(&entry);
                }
                None => {
                    self.write_foot(true);
                    return Stage::Done;
                }
            }
        }
        Stage::Merging(runs)
    }

    fn write_unsorted(&mut self, mut entries: vec::IntoIter<Entry>) -> Result<Stage, SourceFailed> {
        if entries.len() == 0 {
            let (run, is_end) = self.read_run()?;
            if run.is_empty() && is_end {
                self.write_foot(false);
                return Ok(Stage::Done);
            }
            entries = run.into_iter();
        }
        while self.out.len() < SLICE_BYTES {
            let Some(entry) = entries.next() else { break };
            self.write_row(&entry);
        }
        Ok(Stage::Unsorted(entries))
    }

    fn write_head(&mut self, is_sorted: bool) {
        match self.options.format {
            Format::Html => page::write_head(&mut self.out, &self.options.page_head(is_sorted)),
            Format::Json => json::write_head(&mut self.out, &self.options.path, is_sorted),
            Format::Text => {}
        }
    }

    fn write_row(&mut self, entry: &Entry) {
        match self.options.format {
            Format::Html => page::write_row(&mut self.out, entry, self.options.now_unix_s),
            Format::Json => json::write_row(&mut self.out, entry, self.rows == 0),
            Format::Text => text::write_row(&mut self.out, entry),
        }
        self.rows += 1;
    }

    fn write_foot(&mut self, is_sorted: bool) {
        match self.options.format {
            Format::Html => page::write_foot(&mut self.out, &self.options.page_head(is_sorted), self.rows),
            Format::Json => json::write_foot(&mut self.out),
            Format::Text => {}
        }
    }
}

fn fail(error: &StorageError) -> SourceFailed {
    log::warn!("a directory cannot be listed: {error}");
    SourceFailed
}

/// Removes the first of all entries, which is at the end of the last run, and moves that run to the place of its next
/// entry.
fn pop_first(runs: &mut Vec<Vec<KeyedEntry>>, sort: Sort, order: Order) -> Option<Entry> {
    let mut run = runs.pop()?;
    let first = run.pop();
    if let Some(next) = run.last() {
        let comes_later =
            |run: &Vec<KeyedEntry>| run.last().is_some_and(|entry| compare(sort, order, entry, next).is_gt());
        let index = runs.partition_point(comes_later);
        runs.insert(index, run);
    }
    first.map(|first| first.entry)
}

/// The order of two entries. Directories always come first. Entries with the same size or time are ordered by name.
fn compare(sort: Sort, order: Order, one: &KeyedEntry, other: &KeyedEntry) -> Ordering {
    let is_file = |keyed: &KeyedEntry| keyed.entry.kind == EntryKind::File;
    let by_kind = is_file(one).cmp(&is_file(other));
    if by_kind.is_ne() {
        return by_kind;
    }
    let by_name = || one.key.cmp(&other.key).then_with(|| one.entry.name.cmp(&other.entry.name));
    let by_key = match sort {
        Sort::Name => by_name(),
        Sort::Size => one.entry.size_bytes.cmp(&other.entry.size_bytes),
        Sort::Modified => one.entry.modified_ns.cmp(&other.entry.modified_ns),
    };
    let in_order = match order {
        Order::Ascending => by_key,
        Order::Descending => by_key.reverse(),
    };
    in_order.then_with(by_name)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use super::*;
    use crate::storage::{Directory, SymlinkedDirectories};

    /// A listing of `root` as HTML.
    fn listing(root: &Path, buffered_by_all: &Rc<Cell<usize>>) -> Listing {
        let directory = Directory::open(root, 1).unwrap().list(None, SymlinkedDirectories::Include).unwrap();
        let options = ListingOptions {
            format: Format::Html,
            path: b"/".to_vec(),
            sort: Sort::Name,
            order: Order::Ascending,
            uploads: UploadPolicy::Off,
            upload_bytes_max: None,
            account: None,
            could_do_more: false,
            base_segments: 0,
            expires_unix_s: None,
            shows_hidden: false,
            now_unix_s: 0,
        };
        Listing::new(directory, options, buffered_by_all)
    }

    /// The whole content. `inspect` is called after each piece.
    fn read(listing: &mut Listing, mut inspect: impl FnMut(&Listing)) -> String {
        let mut content = Vec::new();
        for _ in 0..100_000 {
            let count = match listing.piece().expect("the directory can be read") {
                None => return String::from_utf8(content).unwrap(),
                Some(Piece::Bytes(bytes)) => {
                    content.extend_from_slice(bytes);
                    bytes.len()
                }
                Some(_) => 0,
            };
            listing.advance(count as u64);
            inspect(listing);
        }
        panic!("the listing does not end");
    }

    fn fill(root: &Path, count: usize, prefix: &str) {
        (0..count).for_each(|number| drop(File::create(root.join(format!("{prefix}{number}"))).unwrap()));
    }

    #[test]
    fn an_unsorted_listing_holds_no_entries() {
        let root = tempfile::tempdir().unwrap();
        // Each quote takes five bytes as text and three in a link.
        fill(root.path(), SORTED_ENTRIES_MAX + 1, &"'".repeat(100));
        let buffered = Rc::default();
        let mut largest = 0;
        let page = read(&mut listing(root.path(), &buffered), |listing| {
            largest = largest.max(listing.out.capacity());
            if !listing.out.is_empty() {
                assert_eq!(buffered.get(), 0);
            }
        });
        assert_eq!(page.matches("<tr><th scope=\"row\">").count(), SORTED_ENTRIES_MAX + 1);
        // The head of the page is longer than the rows of one slice.
        assert!(largest < 8 * PIECE_BYTES_MAX, "{largest}");
    }

    #[test]
    fn an_entry_is_held_until_its_row_is_written() {
        let root = tempfile::tempdir().unwrap();
        fill(root.path(), 1_000, "");
        let buffered = Rc::default();
        let mut counts = Vec::new();
        read(&mut listing(root.path(), &buffered), |_| counts.push(buffered.get()));
        assert_eq!((counts.iter().max(), counts.last()), (Some(&1_000), Some(&0)));
        assert!(counts.iter().any(|count| (1..900).contains(count)) && counts.windows(2).any(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn a_listing_that_is_unsorted_because_of_others_does_not_claim_to_be_long() {
        let root = tempfile::tempdir().unwrap();
        fill(root.path(), 300, "");
        let page = read(&mut listing(root.path(), &Rc::new(Cell::new(BUFFERED_ENTRIES_MAX))), |_| {});
        assert!(page.contains("300 entries, not sorted"));
        assert!(page.contains("or other large listings are being sent"));
    }
}
