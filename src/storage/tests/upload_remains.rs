//! Removing and replacing directories in which uploads have left files.

use std::fs;
use std::time::{Duration, SystemTime};

use super::partial_uploads::{begin_partial, commit, find};
use super::*;
use crate::storage::{ChangeError, EntryPath, FoundUpload, UploadId};

const DAY: Duration = Duration::from_secs(86_400);

fn now_ns() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64
}

/// A directory `dir`, in a root where uploads expire after a day.
fn open_with_directory(open: fn(&Path) -> Directory<Instrumented>) -> (tempfile::TempDir, Directory<Instrumented>) {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("dir")).unwrap();
    let directory = open(root.path());
    directory.set_partial_upload_age_max(DAY.as_nanos() as u64);
    directory.set_time(now_ns());
    (root, directory)
}

fn directory_entry(name: &str) -> EntryPath {
    EntryPath { path: path(name), is_directory: true }
}

fn remove(directory: &Directory<Instrumented>) -> Result<(), ChangeError> {
    directory.remove(&directory_entry("dir"), true, |_| true)
}

/// Moves another directory over it.
fn replace(root: &Path, directory: &Directory<Instrumented>) -> Result<(), ChangeError> {
    fs::create_dir_all(root.join("other")).unwrap();
    directory.rename(&directory_entry("other"), &directory_entry("dir"), true, true, |_| true).map(drop)
}

/// An upload to `dir/name` that has ended, and whose file was removed.
fn end_upload(root: &Path, directory: &Directory<Instrumented>, number: u128) {
    let id = UploadId::new(number << 64 | (number + 1_000_000));
    let mode = UploadMode::Replace;
    let upload = directory.begin_partial_upload(id, &path("dir/name"), mode, None, false, Vec::new()).unwrap();
    commit(upload);
    fs::remove_file(root.join("dir/name")).unwrap();
}

fn is_not_empty(result: &Result<(), ChangeError>) -> bool {
    matches!(result, Err(ChangeError::DirectoryNotEmpty))
}

#[test]
fn the_records_of_ended_uploads_do_not_keep_their_directory() {
    for open in OPENERS {
        let (root, directory) = open_with_directory(open);
        end_upload(root.path(), &directory, 1);
        // More than are removed at once.
        (2..=150).for_each(|number| end_upload(root.path(), &directory, number));
        replace(root.path(), &directory).unwrap();
        assert_eq!(names(root.path()), ["dir"]);
        (1..=150).for_each(|number| end_upload(root.path(), &directory, number));
        assert_eq!(names(&root.path().join("dir")).len(), 150);
        remove(&directory).unwrap();
        assert!(names(root.path()).is_empty());
    }
}

#[test]
fn an_upload_that_can_be_continued_keeps_its_directory_and_all_records() {
    for open in OPENERS {
        let (root, directory) = open_with_directory(open);
        end_upload(root.path(), &directory, 1);
        let upload = begin_partial(&directory, "dir/name");
        assert!(is_not_empty(&remove(&directory)), "the upload is in progress");
        drop(upload);
        // As another server does, which does not know the upload.
        let directory = open(root.path());
        directory.set_partial_upload_age_max(DAY.as_nanos() as u64);
        directory.set_time(now_ns());
        assert!(is_not_empty(&remove(&directory)));
        assert!(is_not_empty(&replace(root.path(), &directory)));
        assert_eq!(names(&root.path().join("dir")).len(), 3);
        assert!(matches!(find(&directory, "dir/name"), Ok(FoundUpload::Partial(_))));
        // A file keeps the records, too.
        let Ok(FoundUpload::Partial(upload)) = find(&directory, "dir/name") else { panic!("the upload is there") };
        upload.discard();
        fs::write(root.path().join("dir/.hidden"), b"").unwrap();
        assert!(is_not_empty(&remove(&directory)));
        assert_eq!(names(&root.path().join("dir")).len(), 2);
    }
}

#[test]
fn expired_uploads_and_the_files_of_a_crash_do_not_keep_their_directory() {
    for open in OPENERS {
        let (root, directory) = open_with_directory(open);
        drop(begin_partial(&directory, "dir/name"));
        fs::write(root.path().join("dir/.spindle-0123456789abcdef"), b"").unwrap();
        assert!(is_not_empty(&remove(&directory)));
        directory.set_time(now_ns() + 2 * DAY.as_nanos() as u64);
        remove(&directory).unwrap();
        assert!(names(root.path()).is_empty());
    }
}

#[test]
fn an_upload_whose_end_was_not_recorded_does_not_keep_its_directory() {
    for open in OPENERS {
        let (root, directory) = open_with_directory(open);
        let upload = begin_partial(&directory, "dir/name");
        let (published, ended) = upload.commit(UploadMode::Replace, now_ns(), b"note", None, |_| true).unwrap();
        published.unwrap();
        drop(ended);
        assert!(is_not_empty(&remove(&directory)), "its file is there");
        fs::remove_file(root.path().join("dir/name")).unwrap();
        remove(&directory).unwrap();
        assert!(names(root.path()).is_empty());
    }
}

#[test]
fn a_file_that_another_server_has_locked_keeps_its_directory_and_the_records() {
    for open in OPENERS {
        let (root, directory) = open_with_directory(open);
        end_upload(root.path(), &directory, 1);
        let locked = fs::File::create(root.path().join("dir/.spindle-0123456789abcdef")).unwrap();
        rustix::fs::flock(&locked, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
        assert!(is_not_empty(&remove(&directory)));
        assert_eq!(names(&root.path().join("dir")).len(), 2);
        drop(locked);
        remove(&directory).unwrap();
    }
}
