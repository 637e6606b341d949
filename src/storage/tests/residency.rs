//! What is asked about files in memory, and what is read ahead.

use rustix::io::Errno;

use super::instrumented::{Fault, Instrumented, System};
use super::*;
use crate::storage::FileCache;

const MIB: u64 = 1024 * 1024;
const SECOND_NS: u64 = 1_000_000_000;
const ASK: &str = "read_without_waiting";

/// An open file of that many bytes.
fn opened(bytes: u64) -> (tempfile::TempDir, Instrumented, Directory<Instrumented>, OpenedFile<Instrumented>) {
    let root = tempfile::tempdir().unwrap();
    fs::File::create(root.path().join("name")).unwrap().set_len(bytes).unwrap();
    let system = Instrumented::new(System::Portable);
    let directory = Directory::open_in(system.clone(), root.path(), 1).unwrap();
    let file = directory.open_file(&path("name")).unwrap();
    system.calls();
    (root, system, directory, file)
}

/// After `after` questions, `times` questions find that something is missing.
fn miss(system: &Instrumented, after: usize, times: usize) {
    system.fail(Fault { call: Some(ASK), after, times, errno: Errno::AGAIN });
}

/// How many questions were asked. Nothing else may have been called.
fn questions(system: &Instrumented) -> usize {
    let calls = system.calls();
    assert!(calls.iter().all(|call| *call == ASK), "{calls:?}");
    calls.len()
}

#[test]
fn a_download_from_memory_asks_four_times_for_a_mebibyte_and_reads_nothing_ahead() {
    let (_root, system, _, file) = opened(5 * MIB);
    let mut range = FileRange::whole(file);
    let mut asked = Vec::new();
    while !range.is_empty() {
        let bytes = range.bytes_in_memory(SECOND_NS);
        assert_eq!(bytes, MIB);
        range.advance(bytes);
        asked.push(questions(&system));
    }
    assert_eq!(asked, [5, 4, 4, 4, 4]);
}

#[test]
fn what_was_found_a_moment_ago_is_not_asked_about_again() {
    let (_root, system, _, file) = opened(MIB);
    let (first, second) = (FileRange::whole(file.clone()), FileRange::whole(file));
    assert_eq!(first.bytes_in_memory(SECOND_NS), MIB);
    assert_eq!(questions(&system), 5);
    let part = second.part(1000, 10).unwrap();
    assert_eq!((part.bytes_in_memory(SECOND_NS + 1), questions(&system)), (10, 0));
    assert_eq!((second.bytes_in_memory(SECOND_NS + SECOND_NS / 10 - 1), questions(&system)), (MIB, 0));
    assert_eq!((second.bytes_in_memory(SECOND_NS + SECOND_NS / 10), questions(&system)), (MIB, 5));
}

#[test]
fn a_short_range_asks_once_for_each_page_that_it_begins_or_ends_in() {
    let (_root, system, _, file) = opened(MIB);
    let whole = FileRange::whole(file);
    for (offset, bytes, asked) in [(MIB - 1, 1, 1), (5000, 5000, 2)] {
        let part = whole.part(offset, bytes).unwrap();
        assert_eq!((part.bytes_in_memory(SECOND_NS), questions(&system)), (bytes, asked));
    }
}

#[test]
fn what_is_missing_is_read_ahead_with_the_next_mebibyte() {
    let (_root, system, _, file) = opened(10 * MIB);
    let mut range = FileRange::whole(file).part(MIB / 2, 5 * MIB).unwrap();
    miss(&system, 0, 1);
    assert_eq!(range.bytes_in_memory(SECOND_NS), 0);
    assert_eq!(system.read_ahead(), [(MIB / 2, MIB / 2), (MIB, MIB)]);
    // The disk has read both. After the first question and two calls to read ahead, a question for each 16 KiB and the last
    // byte says so.
    assert_eq!(range.bytes_in_memory(SECOND_NS), MIB / 2);
    assert_eq!((system.read_ahead(), system.calls().len()), (vec![], 3 + 33));
    range.advance(MIB / 2);
    // Before the second one is sent, the third one is read ahead, unless it is in memory.
    miss(&system, 64, 1);
    assert_eq!(range.bytes_in_memory(SECOND_NS), MIB);
    assert_eq!((system.read_ahead(), system.calls().len()), (vec![(2 * MIB, MIB)], 65 + 1));
    range.advance(MIB);
    assert_eq!(range.bytes_in_memory(SECOND_NS), MIB);
    assert_eq!((system.read_ahead(), system.calls().len()), (vec![], 64 + 1));
    range.advance(MIB);
    // From here on everything was in memory before. Ten seconds later nothing is expected to be missing.
    assert_eq!((range.bytes_in_memory(SECOND_NS), questions(&system)), (MIB, 64));
    assert_eq!((range.bytes_in_memory(11 * SECOND_NS), questions(&system)), (MIB, 5));
}

#[test]
fn what_precedes_a_gap_is_sent_and_the_gap_is_read_ahead() {
    let (_root, system, _, file) = opened(MIB);
    let range = FileRange::whole(file);
    miss(&system, 2, 1);
    assert_eq!(range.bytes_in_memory(SECOND_NS), MIB / 4 + 4096);
    assert_eq!(system.read_ahead(), [(MIB / 4 + 4096, MIB - MIB / 4 - 4096)]);
}

#[test]
fn nothing_beyond_a_range_is_read_ahead() {
    let (_root, system, _, file) = opened(10 * MIB);
    miss(&system, 0, 1);
    assert_eq!(FileRange::whole(file).part(3, 5).unwrap().bytes_in_memory(SECOND_NS), 0);
    assert_eq!(system.read_ahead(), [(3, 5)]);
}

#[test]
fn where_the_system_cannot_tell_or_read_ahead_it_is_asked_only_once() {
    for (call, errno) in [(ASK, Errno::OPNOTSUPP), (ASK, Errno::NOSYS), (ASK, Errno::PERM), ("read_ahead", Errno::PERM)]
    {
        let (_root, system, _, file) = opened(3 * MIB);
        system.fail(Fault { call: Some(call), after: 0, times: 1, errno });
        miss(&system, 0, if call == ASK { 0 } else { 1 });
        let range = FileRange::whole(file);
        assert_eq!(range.bytes_in_memory(SECOND_NS), 3 * MIB, "{call} {errno}");
        system.calls();
        assert_eq!((range.bytes_in_memory(3 * SECOND_NS), questions(&system)), (3 * MIB, 0));
    }
}

#[test]
fn a_small_file_is_cached_only_if_it_is_in_memory_and_never_waited_for() {
    let (root, system, directory, file) = opened(5000);
    let mut cache = FileCache::new(8);
    miss(&system, 0, 1);
    assert!(cache.insert(path("name"), &file, || (), 0).is_none());
    assert_eq!(questions(&system), 1);
    assert!(cache.insert(path("name"), &file, || (), 0).is_some());
    assert_eq!(system.calls(), [ASK, "stat"]);
    // Where the system cannot tell, it is read as always.
    fs::write(root.path().join("other"), b"content").unwrap();
    let other = directory.open_file(&path("other")).unwrap();
    system.fail(Fault { call: Some(ASK), after: 0, times: 1, errno: Errno::OPNOTSUPP });
    system.calls();
    assert!(cache.insert(path("other"), &other, || (), 0).is_some());
    assert_eq!(system.calls(), [ASK, "read_at", "stat"]);
}
