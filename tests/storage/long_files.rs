//! Space that is free only once a long file has been closed in the background.

use std::cell::Cell;
use std::rc::Rc;

use spindle::storage::{Directory, EntryPath, StorageError, UploadMode};

use crate::disk::{Disk, Settings};
use crate::operations::{START_NS, Trial, path};

const CAPACITY_BYTES: u64 = 200_000;
const LONG_BYTES: usize = 150_000;

/// A disk on which a long file was removed that nobody has closed yet.
fn removed() -> (Disk, Directory<Disk>) {
    let settings = Settings { capacity_bytes: CAPACITY_BYTES, long_file_bytes: 1_000, ..Settings::linux(1) };
    let disk = Disk::new(settings, Rc::new(Cell::new(START_NS)));
    disk.add_file("name", &vec![1; LONG_BYTES], 0);
    let directory = Trial::open(&disk).unwrap();
    directory.remove(&EntryPath { path: path("name"), is_directory: false }, false, |_| true).unwrap();
    assert_eq!(disk.used_bytes(), LONG_BYTES as u64, "it is not closed yet");
    (disk, directory)
}

#[test]
fn an_upload_that_is_announced_waits_for_space_that_is_being_freed_but_never_in_vain() {
    let (disk, directory) = removed();
    let begin = |bytes| directory.begin_upload(&path("name"), UploadMode::Replace, Some(bytes), false);
    assert!(matches!(begin(CAPACITY_BYTES + 1), Err(StorageError::DiskFull)));
    assert!(begin(CAPACITY_BYTES - LONG_BYTES as u64 - 1).is_ok());
    assert_eq!(disk.used_bytes(), LONG_BYTES as u64, "nobody has waited");
    let mut upload = begin(CAPACITY_BYTES).unwrap();
    upload.write(&vec![2; CAPACITY_BYTES as usize]).unwrap();
    upload.commit(START_NS, |_| true).unwrap();
    assert_eq!(disk.used_bytes(), CAPACITY_BYTES);
}

#[test]
fn a_write_waits_for_space_that_is_being_freed() {
    let (disk, directory) = removed();
    let mut upload = directory.begin_upload(&path("name"), UploadMode::Replace, None, false).unwrap();
    upload.write(&vec![2; CAPACITY_BYTES as usize]).unwrap();
    assert!(matches!(upload.write(b"more"), Err(StorageError::DiskFull)));
    drop(upload);
    directory.store(&path("name"), UploadMode::Replace, &[3; 900], START_NS).unwrap();
    assert_eq!(disk.read("name").unwrap(), [3; 900]);
}
