//! The content of a long file is freed in the background, whatever was the last to refer to it.

use std::fs::File;

use super::super::EntryPath;
use super::*;

const LONG_BYTES: u64 = 4 * 1024 * 1024;

/// A directory with the long file `name`, on a file system whose files can be closed in the background.
fn with_long_file(system: System) -> (tempfile::TempDir, Instrumented, Directory<Instrumented>) {
    let root = tempfile::tempdir().unwrap();
    create(root.path(), "name", LONG_BYTES);
    let instrumented = Instrumented::new(system);
    instrumented.never_fail_at_close();
    let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
    (root, instrumented, directory)
}

fn create(root: &Path, name: &str, bytes: u64) {
    File::create(root.join(name)).unwrap().set_len(bytes).unwrap();
}

fn entry(name: &str) -> EntryPath {
    EntryPath { path: path(name), is_directory: false }
}

#[test]
fn a_long_file_that_is_removed_is_freed_in_the_background() {
    for system in SYSTEMS {
        for durable in [false, true] {
            let (root, instrumented, directory) = with_long_file(system);
            directory.remove(&entry("name"), durable, |_| true).unwrap();
            assert_eq!(names(root.path()), [""; 0]);
            assert_eq!(instrumented.close_all(), [LONG_BYTES]);
            create(root.path(), "short", LONG_BYTES - 1);
            directory.remove(&entry("short"), durable, |_| true).unwrap();
            assert_eq!(instrumented.close_all(), [0; 0]);
        }
    }
}

#[test]
fn a_long_file_that_an_upload_replaces_is_freed_in_the_background() {
    for system in SYSTEMS {
        for durable in [false, true] {
            let (root, instrumented, directory) = with_long_file(system);
            let upload = directory.begin_upload(&path("name"), UploadMode::Replace, None, durable).unwrap();
            upload.commit(0, |_| true).unwrap();
            assert_eq!(names(root.path()), ["name"]);
            assert_eq!(instrumented.close_all(), [LONG_BYTES], "durable: {durable}");
        }
        let (root, instrumented, directory) = with_long_file(system);
        directory.store(&path("name"), UploadMode::Replace, b"short", 0).unwrap();
        assert_eq!(names(root.path()), ["name"]);
        assert_eq!(instrumented.close_all(), [LONG_BYTES]);
    }
}

#[test]
fn a_long_file_that_a_move_replaces_is_freed_in_the_background() {
    for system in SYSTEMS {
        for durable in [false, true] {
            let (root, instrumented, directory) = with_long_file(system);
            create(root.path(), "other", 1);
            directory.rename(&entry("other"), &entry("name"), true, durable, |_| true).unwrap();
            assert_eq!(names(root.path()), ["name"]);
            assert_eq!(instrumented.close_all(), [LONG_BYTES], "durable: {durable}");
        }
    }
}

#[test]
fn a_long_file_that_is_removed_while_it_is_read_is_freed_in_the_background() {
    for system in SYSTEMS {
        let (_root, instrumented, directory) = with_long_file(system);
        let opened = directory.open_file(&path("name")).unwrap();
        directory.remove(&entry("name"), false, |_| true).unwrap();
        instrumented.close_all();
        drop(opened);
        assert_eq!(instrumented.close_all(), [LONG_BYTES]);
    }
}

#[test]
fn a_long_upload_that_is_not_published_is_freed_in_the_background() {
    for system in SYSTEMS {
        let (root, instrumented, directory) = with_long_file(system);
        let upload_of = |bytes: u64| {
            let mut upload = begin(&directory, "name", UploadMode::Replace).unwrap();
            upload.write(&vec![1; bytes as usize]).unwrap();
            upload
        };
        drop(upload_of(LONG_BYTES - 1));
        assert_eq!(instrumented.close_all(), [0; 0], "it is short");
        drop(upload_of(LONG_BYTES + 1));
        assert_eq!(instrumented.close_all(), [LONG_BYTES + 1]);
        assert!(matches!(upload_of(LONG_BYTES + 2).commit(0, |_| false), Err(StorageError::ConditionFailed)));
        assert_eq!(instrumented.close_all(), [LONG_BYTES + 2]);
        assert_eq!(names(root.path()), ["name"]);
    }
}

#[test]
fn a_long_file_that_a_cleanup_removes_is_freed_in_the_background() {
    for system in SYSTEMS {
        let (root, instrumented, directory) = with_long_file(system);
        create(root.path(), ".spindle-0123456789abcdef", LONG_BYTES + 1);
        put(&directory, "other", UploadMode::Replace, b"").unwrap();
        assert_eq!(names(root.path()), ["name", "other"]);
        assert_eq!(instrumented.close_all(), [LONG_BYTES + 1]);
    }
}

#[test]
fn a_cleanup_removes_one_long_file_at_a_time() {
    for system in SYSTEMS {
        let (root, instrumented, directory) = with_long_file(system);
        for digit in 0..3 {
            create(root.path(), &format!(".spindle-000000000000000{digit}"), LONG_BYTES);
        }
        for left in [2, 1, 0] {
            put(&directory, "name", UploadMode::Replace, b"").unwrap();
            instrumented.close_all();
            assert_eq!(names(root.path()).len(), 1 + left);
        }
    }
}

/// Where a file that is open would stay visible under another name, as on NFS.
#[test]
fn where_closing_a_file_may_fail_it_is_not_opened_to_be_removed() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        create(root.path(), "name", LONG_BYTES);
        let directory = open(root.path());
        let instrumented = directory.root.file_system().clone();
        instrumented.calls();
        directory.remove(&entry("name"), false, |_| true).unwrap();
        assert!(!instrumented.calls().contains(&"open_entry"));
    }
}

#[test]
fn a_long_file_that_cannot_be_opened_is_removed_and_replaced_all_the_same() {
    for system in SYSTEMS {
        let (root, instrumented, directory) = with_long_file(system);
        let no_descriptor =
            Fault { call: Some("open_entry"), after: 0, times: usize::MAX, errno: rustix::io::Errno::MFILE };
        instrumented.fail(no_descriptor);
        directory.remove(&entry("name"), false, |_| true).unwrap();
        create(root.path(), "name", LONG_BYTES);
        put(&directory, "name", UploadMode::Replace, b"new").unwrap();
        assert_eq!(fs::read(root.path().join("name")).unwrap(), b"new");
        assert_eq!(instrumented.close_all(), [0; 0]);
    }
}
