//! Space that is reserved ahead of an upload's content.

use std::fs;

use rustix::io::Errno;

use super::instrumented::Fault;
use super::partial_uploads::{begin_partial, commit, continued};
use super::*;

const MIB: u64 = 1024 * 1024;

/// Half a MiB, different for each number.
fn piece(number: usize) -> Vec<u8> {
    (0..MIB as usize / 2).map(|at| (at % 251 + number) as u8).collect()
}

fn content(pieces: usize) -> Vec<u8> {
    (0..pieces).flat_map(piece).collect()
}

/// Uploads that many pieces, announced with `bytes_expected`, and returns what was reserved: offset and length.
fn reserved(system: System, pieces: usize, bytes_expected: Option<u64>, fault: Option<Fault>) -> Vec<(u64, u64)> {
    let root = tempfile::tempdir().unwrap();
    let instrumented = Instrumented::new(system);
    let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
    if let Some(fault) = fault {
        instrumented.fail(fault);
    }
    let mut upload = directory.begin_upload(&path("name"), UploadMode::Replace, bytes_expected, false).unwrap();
    for number in 0..pieces {
        upload.write(&piece(number)).unwrap();
    }
    upload.commit(0, |_| true).unwrap();
    assert!(fs::read(root.path().join("name")).unwrap() == content(pieces));
    instrumented.reserved()
}

/// A client that announces much and sends little must not occupy the disk.
#[test]
fn space_is_reserved_for_long_content_but_never_more_than_has_arrived() {
    for system in SYSTEMS {
        let expected = [(1, 1), (2, 2), (4, 4), (8, 8), (16, 8), (24, 3)];
        let expected = expected.map(|(offset, bytes)| (offset * MIB, bytes * MIB));
        assert_eq!(reserved(system, 54, Some(27 * MIB), None), expected);
    }
}

#[test]
fn nothing_is_reserved_for_short_content_or_content_of_unknown_length() {
    for system in SYSTEMS {
        assert_eq!(reserved(system, 2, Some(MIB), None), []);
        assert_eq!(reserved(system, 8, None, None), []);
    }
}

#[test]
fn an_upload_is_stored_although_its_space_cannot_be_reserved() {
    for system in SYSTEMS {
        let fault = Fault { call: Some("reserve"), after: 1, times: usize::MAX, errno: Errno::NOSPC };
        let attempts = reserved(system, 54, Some(27 * MIB), Some(fault));
        assert_eq!(attempts, [(MIB, MIB), (2 * MIB, 2 * MIB)], "no further attempt after the error");
    }
}

#[test]
fn a_continued_upload_reserves_space_at_once() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        let instrumented = Instrumented::new(system);
        let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
        let mut upload = begin_partial(&directory, "name");
        for number in 0..4 {
            upload.write(&piece(number)).unwrap();
        }
        upload.save(b"").unwrap();
        drop(upload);
        let mut upload = continued(&directory, "name");
        upload.announce(Some(MIB));
        for number in 4..6 {
            upload.write(&piece(number)).unwrap();
        }
        assert_eq!(instrumented.reserved(), [(2 * MIB, MIB)]);
        commit(upload);
        assert!(fs::read(root.path().join("name")).unwrap() == content(6));
    }
}

/// On ext4 it would be flushed at the next close, as a file that was emptied to be rewritten.
#[test]
fn the_empty_content_of_an_upload_is_not_truncated_before_it_is_continued() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        let instrumented = Instrumented::new(system);
        let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
        drop(begin_partial(&directory, "name"));
        let mut upload = continued(&directory, "name");
        instrumented.calls();
        upload.write(&piece(0)).unwrap();
        assert_eq!(instrumented.calls(), ["write"]);
        commit(upload);
        assert!(fs::read(root.path().join("name")).unwrap() == content(1));
    }
}

#[test]
fn a_saved_upload_keeps_no_space_for_content_that_has_not_arrived() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        let instrumented = Instrumented::new(system);
        let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
        let mut upload = begin_partial(&directory, "name");
        upload.announce(Some(8 * MIB));
        for number in 0..3 {
            upload.write(&piece(number)).unwrap();
        }
        assert_eq!(instrumented.reserved(), [(MIB, MIB)]);
        instrumented.calls();
        upload.save(b"").unwrap();
        assert!(instrumented.calls().contains(&"truncate"));
        for number in 3..5 {
            upload.write(&piece(number)).unwrap();
        }
        commit(upload);
        assert!(fs::read(root.path().join("name")).unwrap() == content(5));
    }
}
