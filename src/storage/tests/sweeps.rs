//! What a crash leaves is removed, and nothing else.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

const LEFT: &str = ".spindle-0123456789abcdef";

#[test]
fn what_a_crash_left_is_removed_when_its_directory_is_first_written_to() {
    for way in WAYS {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("sub")).unwrap();
        for directory in ["", "sub"] {
            fs::write(root.path().join(directory).join(LEFT), b"half").unwrap();
        }
        let directory = way(root.path());
        assert!(matches!(directory.open_file(&path("absent")), Err(StorageError::NotFound)));
        assert_eq!(names(root.path()), [LEFT, "sub"], "reading removes nothing");
        put(&directory, "sub/name", Publish::Replace, b"").unwrap();
        assert_eq!(names(&root.path().join("sub")), ["name"]);
        assert_eq!(names(root.path()), [LEFT, "sub"], "only the directory that is written to");
        drop(begin(&directory, "name", Publish::Replace).unwrap());
        assert_eq!(names(root.path()), ["sub"]);
        // Once in a run: the upload of a slow client must not cost a listing for each of its neighbours.
        fs::write(root.path().join(LEFT), b"half").unwrap();
        put(&directory, "name", Publish::Replace, b"").unwrap();
        assert_eq!(names(root.path()), [LEFT, "name", "sub"]);
        put(&way(root.path()), "name", Publish::Replace, b"").unwrap();
        assert_eq!(names(root.path()), ["name", "sub"]);
    }
}

#[test]
fn names_that_only_resemble_are_left_alone() {
    let like_it = [
        ".SPINDLE-0123456789ABCDEF",
        ".spindle-0123456789abcde",
        ".spindle-0123456789abcdef0",
        ".spindle-notes",
        "spindle-0123456789abcdef",
    ];
    let (directory, link, fifo) =
        (".spindle-1111111111111111", ".spindle-2222222222222222", ".spindle-3333333333333333");
    let root = tempfile::tempdir().unwrap();
    for name in like_it {
        fs::write(root.path().join(name), b"keep").unwrap();
    }
    fs::create_dir(root.path().join(directory)).unwrap();
    symlink(".spindle-notes", root.path().join(link)).unwrap();
    make_fifo(&root.path().join(fifo));
    let before = names(root.path());
    drop(begin(&Directory::open(root.path(), 1).unwrap(), "name", Publish::Replace).unwrap());
    assert_eq!(names(root.path()), before);
}

/// Two servers share a directory: the second sweeps while the first receives.
#[test]
fn an_upload_in_progress_is_never_swept() {
    let root = tempfile::tempdir().unwrap();
    let first = open_portable(root.path());
    let mut upload = begin(&first, "first", Publish::Replace).unwrap();
    upload.write(b"one, ").unwrap();
    let hidden = names(root.path());
    assert_eq!(hidden.len(), 1);
    fs::write(root.path().join(LEFT), b"half").unwrap();
    put(&open_portable(root.path()), "second", Publish::Replace, b"").unwrap();
    assert_eq!(names(root.path()), [&hidden[0], "second"]);
    upload.write(b"two").unwrap();
    upload.commit(0, |_| true).unwrap();
    assert_eq!(fs::read(root.path().join("first")).unwrap(), b"one, two");
    assert_eq!(names(root.path()), ["first", "second"]);
}

/// One publishes again and again while others do nothing but sweep: no upload fails, none is lost.
#[test]
fn sweeping_never_meets_an_upload_unlocked() {
    for way in WAYS {
        let root = tempfile::tempdir().unwrap();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let sweeper = scope.spawn(|| {
                let mut sweeps = 0;
                while !stop.load(Ordering::Relaxed) {
                    let directory = Directory::open(root.path(), 1).unwrap();
                    drop(begin(&directory, "sweeper", Publish::Replace).unwrap());
                    sweeps += 1;
                }
                sweeps
            });
            let directory = way(root.path());
            let result = (0..500_u32).try_for_each(|version| {
                put(&directory, "name", Publish::Replace, &version.to_be_bytes()).map_err(|error| (version, error))?;
                let content = fs::read(root.path().join("name")).unwrap();
                assert_eq!(content, version.to_be_bytes());
                Ok::<(), (u32, StorageError)>(())
            });
            stop.store(true, Ordering::Relaxed);
            assert!(result.is_ok(), "{result:?}");
            assert!(sweeper.join().unwrap() > 0);
        });
        assert_eq!(names(root.path()), ["name"]);
    }
}

/// A real crash, in a process of its own: in the middle of an upload, with no time to clean up.
#[test]
fn a_process_that_dies_leaves_nothing_for_good() {
    if let Some(root) = child_argument() {
        let mut upload = begin(&open_portable(&root), "name", Publish::Replace).unwrap();
        upload.write(b"half").unwrap();
        std::process::abort();
    }
    let root = tempfile::tempdir().unwrap();
    put(&Directory::open(root.path(), 1).unwrap(), "name", Publish::Replace, b"old").unwrap();
    let crashed = run_as_child(module_path!(), "a_process_that_dies_leaves_nothing_for_good", root.path());
    assert!(!crashed.status.success());
    assert_eq!(names(root.path()).len(), 2, "the crash was to leave a hidden file");
    assert_eq!(fs::read(root.path().join("name")).unwrap(), b"old");
    put(&Directory::open(root.path(), 1).unwrap(), "other", Publish::Replace, b"").unwrap();
    assert_eq!(names(root.path()), ["name", "other"]);
}
