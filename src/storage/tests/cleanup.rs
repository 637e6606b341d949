//! The cleanup removes the temporary files that a crash left, and nothing else.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

const LEFT: &str = ".spindle-0123456789abcdef";

#[test]
fn temporary_files_of_a_crash_are_removed_at_the_first_upload_to_their_directory() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("sub")).unwrap();
        for directory in ["", "sub"] {
            fs::write(root.path().join(directory).join(LEFT), b"half").unwrap();
        }
        let directory = open(root.path());
        assert!(matches!(directory.open_file(&path("absent")), Err(StorageError::NotFound)));
        assert_eq!(names(root.path()), [LEFT, "sub"], "reading removes nothing");
        put(&directory, "sub/name", UploadMode::Replace, b"").unwrap();
        assert_eq!(names(&root.path().join("sub")), ["name"]);
        assert_eq!(names(root.path()), [LEFT, "sub"], "only the directory that is written to");
        drop(begin(&directory, "name", UploadMode::Replace).unwrap());
        assert_eq!(names(root.path()), ["sub"]);
        // A directory is scanned once per run, not for every upload.
        fs::write(root.path().join(LEFT), b"half").unwrap();
        put(&directory, "name", UploadMode::Replace, b"").unwrap();
        assert_eq!(names(root.path()), [LEFT, "name", "sub"]);
        put(&open(root.path()), "name", UploadMode::Replace, b"").unwrap();
        assert_eq!(names(root.path()), ["name", "sub"]);
    }
}

#[test]
fn files_with_similar_names_are_not_removed() {
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
    drop(begin(&Directory::open(root.path(), 1).unwrap(), "name", UploadMode::Replace).unwrap());
    assert_eq!(names(root.path()), before);
}

/// Two servers share a directory. The second cleans it up during an upload to the first.
#[test]
fn an_upload_in_progress_is_never_removed() {
    let root = tempfile::tempdir().unwrap();
    let first = open_portable(root.path());
    let mut upload = begin(&first, "first", UploadMode::Replace).unwrap();
    upload.write(b"one, ").unwrap();
    let in_progress = names(root.path());
    assert_eq!(in_progress.len(), 1);
    fs::write(root.path().join(LEFT), b"half").unwrap();
    put(&open_portable(root.path()), "second", UploadMode::Replace, b"").unwrap();
    assert_eq!(names(root.path()), [&in_progress[0], "second"]);
    upload.write(b"two").unwrap();
    upload.commit(0, |_| true).unwrap();
    assert_eq!(fs::read(root.path().join("first")).unwrap(), b"one, two");
    assert_eq!(names(root.path()), ["first", "second"]);
}

/// One server publishes uploads while others do nothing but clean up. No upload fails, and none is lost.
#[test]
fn a_cleanup_never_finds_an_upload_in_progress_unlocked() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let cleaner = scope.spawn(|| {
                let mut cleanups = 0;
                while !stop.load(Ordering::Relaxed) {
                    let directory = Directory::open(root.path(), 1).unwrap();
                    drop(begin(&directory, "other", UploadMode::Replace).unwrap());
                    cleanups += 1;
                }
                cleanups
            });
            let directory = open(root.path());
            let result = (0..500_u32).try_for_each(|version| {
                put(&directory, "name", UploadMode::Replace, &version.to_be_bytes())
                    .map_err(|error| (version, error))?;
                let content = fs::read(root.path().join("name")).unwrap();
                assert_eq!(content, version.to_be_bytes());
                Ok::<(), (u32, StorageError)>(())
            });
            stop.store(true, Ordering::Relaxed);
            assert!(result.is_ok(), "{result:?}");
            assert!(cleaner.join().unwrap() > 0);
        });
        assert_eq!(names(root.path()), ["name"]);
    }
}

/// A process aborts in the middle of an upload, without dropping it.
#[test]
fn what_an_aborted_process_leaves_is_removed() {
    if let Some(root) = child_argument() {
        let mut upload = begin(&open_portable(&root), "name", UploadMode::Replace).unwrap();
        upload.write(b"half").unwrap();
        std::process::abort();
    }
    let root = tempfile::tempdir().unwrap();
    put(&Directory::open(root.path(), 1).unwrap(), "name", UploadMode::Replace, b"old").unwrap();
    let crashed = run_as_child(module_path!(), "what_an_aborted_process_leaves_is_removed", root.path());
    assert!(!crashed.status.success());
    assert_eq!(names(root.path()).len(), 2, "the crash leaves a temporary file");
    assert_eq!(fs::read(root.path().join("name")).unwrap(), b"old");
    put(&Directory::open(root.path(), 1).unwrap(), "other", UploadMode::Replace, b"").unwrap();
    assert_eq!(names(root.path()), ["name", "other"]);
}

/// The most entries that one upload reads, and the most temporary files that it removes.
const READS_MAX: usize = 1_024;
const REMOVALS_MAX: usize = 64;

/// Uploads to each of these names in turn until no temporary file is left in `directories`. Returns the number of
/// uploads.
fn upload_until_clean(system: System, root: &Path, uploads: &[&str], directories: &[&str]) -> usize {
    let instrumented = Instrumented::new(system);
    let directory = Directory::open_in(instrumented.clone(), root, 1).unwrap();
    for (count, name) in uploads.iter().cycle().enumerate().take(10_000) {
        instrumented.calls();
        put(&directory, name, UploadMode::Replace, b"new").unwrap();
        let calls = instrumented.calls();
        let count_of = |name| calls.iter().filter(|call| **call == name).count();
        let (reads, removals) = (count_of("next_entry"), count_of("unlink"));
        assert!(reads <= READS_MAX, "{reads}");
        // The upload also removes its own temporary name.
        assert!(removals <= REMOVALS_MAX + 1, "{removals}");
        let is_temporary = |name: &String| name.starts_with(".spindle-");
        if !directories.iter().any(|directory| names(&root.join(directory)).iter().any(is_temporary)) {
            return count + 1;
        }
    }
    panic!("some temporary files are never removed");
}

fn leave(directory: &Path, temporary: usize, ordinary: usize) {
    fs::create_dir_all(directory).unwrap();
    for number in 0..temporary {
        fs::write(directory.join(format!(".spindle-{number:016x}")), b"half").unwrap();
    }
    for number in 0..ordinary {
        fs::write(directory.join(format!("ordinary-{number}")), b"").unwrap();
    }
}

#[test]
fn each_upload_removes_a_limited_number_of_temporary_files_until_none_is_left() {
    for system in SYSTEMS {
        for (temporary, ordinary) in [(1, 0), (REMOVALS_MAX, 0), (500, 0), (3, 5_000), (200, 2_000)] {
            let root = tempfile::tempdir().unwrap();
            leave(root.path(), temporary, ordinary);
            let uploads = upload_until_clean(system, root.path(), &["name"], &[""]);
            let enough = 2 + temporary / REMOVALS_MAX + (temporary + ordinary) / READS_MAX;
            assert!(uploads <= enough, "{uploads} uploads for {temporary} and {ordinary}");
        }
    }
}

#[test]
fn directories_with_uploads_in_turn_are_all_cleaned_up() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        for directory in ["one", "two", "three"] {
            leave(&root.path().join(directory), 100, 1_500);
        }
        upload_until_clean(system, root.path(), &["one/name", "two/name", "three/name"], &["one", "two", "three"]);
    }
}

#[test]
fn a_directory_that_is_removed_during_its_scan_does_not_block_the_next_one() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        leave(&root.path().join("one"), 500, 0);
        leave(&root.path().join("two"), 10, 0);
        let directory = open_on(system, root.path());
        put(&directory, "one/name", UploadMode::Replace, b"").unwrap();
        fs::remove_dir_all(root.path().join("one")).unwrap();
        for _ in 0..3 {
            put(&directory, "two/name", UploadMode::Replace, b"").unwrap();
        }
        assert_eq!(names(&root.path().join("two")), ["name"]);
    }
}
