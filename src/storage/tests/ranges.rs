//! Ranges of an open file.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd};

use super::*;

fn open(content: &[u8]) -> (tempfile::TempDir, FileRange) {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("name"), content).unwrap();
    let opened = Directory::open(root.path(), 1).unwrap().open_file(&path("name")).unwrap();
    (root, FileRange::whole(opened))
}

fn read(range: &FileRange, space: usize) -> Vec<u8> {
    let mut buffer = vec![0; space];
    let bytes = range.read_at(&mut buffer).unwrap();
    buffer.truncate(bytes);
    buffer
}

#[test]
fn a_range_is_read_in_pieces_up_to_its_end() {
    let (_root, whole) = open(b"0123456789");
    let mut range = whole.part(2, 5).unwrap();
    assert_eq!((range.offset(), range.remaining()), (2, 5));
    assert_eq!(read(&range, 3), b"234");
    assert_eq!(read(&range, 3), b"234", "reading does not advance");
    range.advance(3);
    assert_eq!((range.offset(), range.remaining(), range.is_empty()), (5, 2, false));
    assert_eq!(read(&range, 100), b"56", "no byte past the end of the range");
    assert_eq!(read(&range, 0), b"");
    range.advance(2);
    assert!(range.is_empty());
    assert_eq!(read(&range, 100), b"");
}

#[test]
fn parts_lie_within_their_range_and_share_its_descriptor() {
    let (_root, whole) = open(b"0123456789");
    assert_eq!(read(&whole.part(9, 1).unwrap(), 10), b"9");
    assert!(whole.part(10, 0).unwrap().is_empty());
    for (skipped, bytes) in [(10, 1), (0, 11), (11, 0), (u64::MAX, 1), (1, u64::MAX)] {
        assert!(whole.part(skipped, bytes).is_none(), "{skipped} {bytes}");
    }
    let part = whole.part(2, 6).unwrap();
    let inner = part.part(1, 2).unwrap();
    assert_eq!(read(&inner, 10), b"34");
    assert!(part.part(5, 2).is_none(), "a part of a part stays within it");
    assert_eq!(inner.as_fd().as_raw_fd(), whole.as_fd().as_raw_fd());
}

#[test]
fn a_file_that_became_shorter_is_an_error() {
    let (root, mut whole) = open(b"0123456789");
    fs::OpenOptions::new().write(true).open(root.path().join("name")).unwrap().set_len(4).unwrap();
    assert_eq!(read(&whole, 10), b"0123");
    whole.advance(4);
    assert_eq!(whole.read_at(&mut [0; 10]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_replaced_file_is_read_to_its_end() {
    let (root, whole) = open(b"old");
    put(&Directory::open(root.path(), 1).unwrap(), "name", UploadMode::Replace, b"new and longer").unwrap();
    assert_eq!(read(&whole, 100), b"old");
}

/// The log shows a range as the name of its file, escaped so that it cannot end the line.
#[test]
fn a_range_is_displayed_as_the_name_of_its_file() {
    let root = tempfile::tempdir().unwrap();
    let name = "sub/a\n2026 ERROR forged \"\u{202e}";
    fs::create_dir(root.path().join("sub")).unwrap();
    fs::write(root.path().join(name), b"0123456789").unwrap();
    for open in OPENERS {
        let whole = FileRange::whole(open(root.path()).open_file(&path(name)).unwrap());
        let shown = r#""sub/a\n2026 ERROR forged \"\xe2\x80\xae""#;
        assert_eq!(whole.to_string(), shown);
        assert_eq!(whole.part(2, 5).unwrap().to_string(), shown);
    }
}

#[test]
fn an_empty_file_has_nothing_to_read() {
    let (_root, whole) = open(b"");
    assert!(whole.is_empty());
    assert_eq!(read(&whole, 1), b"");
}

#[test]
fn offsets_beyond_four_gigabytes_work() {
    let (root, _) = open(b"");
    let bytes = 100_000_000_000;
    let file = fs::OpenOptions::new().write(true).open(root.path().join("name")).unwrap();
    file.set_len(bytes).unwrap();
    std::os::unix::fs::FileExt::write_at(&file, b"end", bytes - 3).unwrap();
    let opened = Directory::open(root.path(), 1).unwrap().open_file(&path("name")).unwrap();
    let whole = FileRange::whole(opened);
    assert_eq!(whole.remaining(), bytes);
    assert_eq!(read(&whole.part(bytes - 3, 3).unwrap(), 10), b"end");
}
