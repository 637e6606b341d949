//! What a directory holds, in one of three forms, made as it is sent.
//!
//! Up to [`SORTED_MAX`] entries are read and sorted before the first is sent. With more, or where other listings hold
//! many entries already, the directory is read anew: they come as the disk has them, and nothing is kept. Either way
//! the work is done in slices, between which other connections have their turn.

use std::cell::Cell;
use std::cmp::Ordering;
use std::rc::Rc;
use std::vec;

use super::page::{self, PageHead};
use super::query::{Format, Order, Sort};
use super::{json, names, text};
use crate::semantics::service::{PIECE_BYTES_MAX, Piece, SourceFailed};
use crate::storage::{self, Entry, EntryKind, FileRange, FileSystem, Native, StorageError};

/// How many entries are sorted.
const SORTED_MAX: usize = 10_000;

/// How many entries all listings that are being sent hold at most, at some hundred bytes each.
const HELD_MAX: usize = 40 * SORTED_MAX;

/// How many entries are looked at, or sorted, in one go: half a millisecond of work where the disk need not be waited
/// for.
const SLICE_ENTRIES: usize = 128;

/// How many entries are counted in one go.
const COUNTED_ENTRIES: usize = 1024;

/// Rows are made up to this many bytes in one go, and one row more.
const ROWS_BYTES: usize = PIECE_BYTES_MAX / 2;

/// What is said of the listing as a whole.
pub(super) struct ListingOptions {
    pub(super) format: Format,
    /// Decoded, `/` or `/a/b/`.
    pub(super) path: Vec<u8>,
    pub(super) sort: Sort,
    pub(super) order: Order,
    pub(super) may_upload: bool,
    pub(super) may_replace: bool,
    /// Whether names that begin with a dot are listed.
    pub(super) shows_hidden: bool,
    pub(super) now_unix_s: u64,
}

/// A listing that is being sent.
pub struct Listing<F: FileSystem = Native> {
    directory: storage::Listing<F>,
    options: ListingOptions,
    held: Held,
    stage: Stage,
    /// Rows that are made, and how much of them has been sent.
    out: Vec<u8>,
    sent: usize,
    rows: u64,
}

/// How far it has come.
enum Stage {
    /// Entries are counted, so many until now: looking at as many as can be sorted, in vain, would delay the first row.
    Counting(usize),
    /// Entries are read, a run of them at a time.
    Gathering(Vec<Vec<Entry>>),
    /// Runs are sorted, one at a time: those that are left, and those that are sorted.
    Sorting(Vec<Vec<Entry>>, Vec<Vec<Keyed>>),
    /// Rows are made of sorted runs, each with its first entry at its end; the run with the first of all is the last
    /// one.
    Sorted(Vec<Vec<Keyed>>),
    /// Rows are made of what is left of a run, and then of what the directory still has.
    Unsorted(vec::IntoIter<Entry>),
    /// All rows are made.
    Complete,
}

/// An entry that is sorted, with the key of its name.
struct Keyed {
    key: Box<[u8]>,
    entry: Entry,
}

/// How many entries a listing holds, counted among all.
struct Held {
    total: Rc<Cell<usize>>,
    count: usize,
}

impl Held {
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

impl Drop for Held {
    fn drop(&mut self) {
        self.remove(self.count);
    }
}

impl<F: FileSystem> Listing<F> {
    /// `held_by_all` counts the entries that all listings hold.
    pub(super) fn new(
        directory: storage::Listing<F>,
        options: ListingOptions,
        held_by_all: &Rc<Cell<usize>>,
    ) -> Listing<F> {
        let may_be_too_large = directory.may_exceed(SORTED_MAX as u64);
        Listing {
            directory,
            options,
            held: Held { total: Rc::clone(held_by_all), count: 0 },
            stage: if may_be_too_large { Stage::Counting(0) } else { Stage::Gathering(Vec::new()) },
            out: Vec::new(),
            sent: 0,
            rows: 0,
        }
    }

    pub(in crate::routes) fn piece(&mut self) -> Result<Option<Piece<'_, FileRange<F>>>, SourceFailed> {
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
            self.work()?;
            if self.out.is_empty() {
                let is_complete = matches!(self.stage, Stage::Complete);
                return Ok(if is_complete { None } else { Some(Piece::Pending) });
            }
        }
        let end = self.out.len().min(self.sent + PIECE_BYTES_MAX);
        Ok(Some(Piece::Bytes(&self.out[self.sent..end])))
    }

    pub(in crate::routes) fn advance(&mut self, bytes: u64) {
        // No more than the piece had, whose length was a `usize`.
        self.sent = self.out.len().min(self.sent + bytes as usize);
    }

    /// Does one slice of work.
    fn work(&mut self) -> Result<(), SourceFailed> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Complete) {
            Stage::Counting(count) => self.count(count)?,
            Stage::Gathering(runs) => self.gather(runs)?,
            Stage::Sorting(runs, sorted) => self.sort(runs, sorted),
            Stage::Sorted(runs) => self.write_sorted(runs),
            Stage::Unsorted(runs) => self.write_unsorted(runs)?,
            Stage::Complete => Stage::Complete,
        };
        Ok(())
    }

    fn count(&mut self, count: usize) -> Result<Stage, SourceFailed> {
        let shows_hidden = self.options.shows_hidden;
        let is_counted = |name: &[u8]| shows_hidden || !name.starts_with(b".");
        let (more, is_end) = self.directory.count(COUNTED_ENTRIES, is_counted).map_err(|error| fail(&error))?;
        let count = count + more;
        if count > SORTED_MAX {
            self.directory.rewind();
            self.write_head(false);
            return Ok(Stage::Unsorted(Vec::new().into_iter()));
        }
        if is_end {
            self.directory.rewind();
            return Ok(Stage::Gathering(Vec::new()));
        }
        Ok(Stage::Counting(count))
    }

    fn gather(&mut self, mut runs: Vec<Vec<Entry>>) -> Result<Stage, SourceFailed> {
        let (run, is_end) = self.read_slice()?;
        self.held.add(run.len());
        // Each run is looked at for every row: those in which nothing is listed are not kept.
        if !run.is_empty() {
            runs.push(run);
        }
        let is_too_large = self.held.count > SORTED_MAX;
        if is_end && !is_too_large {
            // One run is no more work than has been done.
            return Ok(if runs.len() > 1 { Stage::Sorting(runs, Vec::new()) } else { self.sort(runs, Vec::new()) });
        }
        if is_too_large || self.held.total.get() > HELD_MAX {
            // Nothing has been sent yet. What was gathered would have to be kept until the client has read it.
            drop(runs);
            self.held.remove(self.held.count);
            self.directory.rewind();
            self.write_head(false);
            return Ok(Stage::Unsorted(Vec::new().into_iter()));
        }
        Ok(Stage::Gathering(runs))
    }

    /// The entries among the next few that are listed, and whether they are the last ones.
    fn read_slice(&mut self) -> Result<(Vec<Entry>, bool), SourceFailed> {
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

    /// Sorts one run, so that its first entry is at its end.
    fn sort(&mut self, mut runs: Vec<Vec<Entry>>, mut sorted: Vec<Vec<Keyed>>) -> Stage {
        let (sort, order) = (self.options.sort, self.options.order);
        if let Some(run) = runs.pop().filter(|run| !run.is_empty()) {
            let mut run: Vec<_> = run.into_iter().map(|entry| Keyed { key: names::key(&entry.name), entry }).collect();
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
        Stage::Sorted(sorted)
    }

    fn write_sorted(&mut self, mut runs: Vec<Vec<Keyed>>) -> Stage {
        while self.out.len() < ROWS_BYTES {
            match take_first(&mut runs, self.options.sort, self.options.order) {
                Some(entry) => {
                    self.held.remove(1);
                    self.write_row(&entry);
                }
                None => {
                    self.write_foot(true);
                    return Stage::Complete;
                }
            }
        }
        Stage::Sorted(runs)
    }

    fn write_unsorted(&mut self, mut rest: vec::IntoIter<Entry>) -> Result<Stage, SourceFailed> {
        if rest.len() == 0 {
            let (run, is_end) = self.read_slice()?;
            if run.is_empty() && is_end {
                self.write_foot(false);
                return Ok(Stage::Complete);
            }
            rest = run.into_iter();
        }
        while self.out.len() < ROWS_BYTES {
            let Some(entry) = rest.next() else { break };
            self.write_row(&entry);
        }
        Ok(Stage::Unsorted(rest))
    }

    fn write_head(&mut self, is_sorted: bool) {
        let ListingOptions { format, path, sort, order, may_upload, may_replace, .. } = &self.options;
        match format {
            Format::Html => page::write_head(
                &mut self.out,
                &PageHead {
                    path,
                    may_upload: *may_upload,
                    may_replace: *may_replace,
                    sort: *sort,
                    order: *order,
                    is_sorted,
                },
            ),
            Format::Json => json::write_head(&mut self.out, path, is_sorted),
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
            Format::Html => page::write_foot(&mut self.out, self.rows, is_sorted),
            Format::Json => json::write_foot(&mut self.out),
            Format::Text => {}
        }
    }
}

fn fail(error: &StorageError) -> SourceFailed {
    log::warn!("a directory cannot be listed: {error}");
    SourceFailed
}

/// Takes the entry that comes first from the end of the last run, and puts what is left of the run where it belongs
/// now.
fn take_first(runs: &mut Vec<Vec<Keyed>>, sort: Sort, order: Order) -> Option<Entry> {
    let mut run = runs.pop()?;
    let first = run.pop();
    if let Some(next) = run.last() {
        let comes_later = |run: &Vec<Keyed>| run.last().is_some_and(|entry| compare(sort, order, entry, next).is_gt());
        let place = runs.partition_point(comes_later);
        runs.insert(place, run);
    }
    first.map(|first| first.entry)
}

/// Directories come first. What is the same in what is sorted by comes by name.
fn compare(sort: Sort, order: Order, one: &Keyed, other: &Keyed) -> Ordering {
    let is_file = |keyed: &Keyed| keyed.entry.kind == EntryKind::File;
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

    /// A listing of `root` as a page.
    fn listing(root: &Path, held_by_all: &Rc<Cell<usize>>) -> Listing {
        let directory = Directory::open(root, 1).unwrap().list(None, SymlinkedDirectories::Include).unwrap();
        let options = ListingOptions {
            format: Format::Html,
            path: b"/".to_vec(),
            sort: Sort::Name,
            order: Order::Ascending,
            may_upload: false,
            may_replace: false,
            shows_hidden: false,
            now_unix_s: 0,
        };
        Listing::new(directory, options, held_by_all)
    }

    /// All of it. `look` sees the listing behind each step.
    fn read(listing: &mut Listing, mut look: impl FnMut(&Listing)) -> String {
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
            look(listing);
        }
        panic!("it has no end");
    }

    fn fill(root: &Path, count: usize, prefix: &str) {
        (0..count).for_each(|number| drop(File::create(root.join(format!("{prefix}{number}"))).unwrap()));
    }

    #[test]
    fn what_is_sent_as_the_disk_has_it_is_not_kept() {
        let root = tempfile::tempdir().unwrap();
        // Each of these quotes is five bytes of a page, and three of a reference.
        fill(root.path(), SORTED_MAX + 1, &"'".repeat(100));
        let held = Rc::default();
        let mut largest = 0;
        let page = read(&mut listing(root.path(), &held), |listing| {
            largest = largest.max(listing.out.capacity());
            if !listing.out.is_empty() {
                assert_eq!(held.get(), 0);
            }
        });
        assert_eq!(page.matches("<tr><th scope=\"row\">").count(), SORTED_MAX + 1);
        // The head of the page is longer than all rows that are made in one go.
        assert!(largest < 8 * PIECE_BYTES_MAX, "{largest}");
    }

    #[test]
    fn an_entry_is_held_until_its_row_is_made() {
        let root = tempfile::tempdir().unwrap();
        fill(root.path(), 1_000, "");
        let held = Rc::default();
        let mut seen = Vec::new();
        read(&mut listing(root.path(), &held), |_| seen.push(held.get()));
        assert_eq!((seen.iter().max(), seen.last()), (Some(&1_000), Some(&0)));
        assert!(seen.iter().any(|held| (1..900).contains(held)) && seen.windows(2).any(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn where_others_hold_many_entries_the_page_does_not_say_that_it_is_long() {
        let root = tempfile::tempdir().unwrap();
        fill(root.path(), 300, "");
        let page = read(&mut listing(root.path(), &Rc::new(Cell::new(HELD_MAX))), |_| {});
        assert!(page.contains("300 entries, not sorted"));
        assert!(page.contains("or other large listings are being sent"));
        assert!(!page.contains("has more than 10,000"));
    }
}
