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
        put(&directory, "sub/name", UploadMode::Replace, b"").unwrap();
        assert_eq!(names(&root.path().join("sub")), ["name"]);
        assert_eq!(names(root.path()), [LEFT, "sub"], "only the directory that is written to");
        drop(begin(&directory, "name", UploadMode::Replace).unwrap());
        assert_eq!(names(root.path()), ["sub"]);
        // Once in a run: the upload of a slow client must not cost a listing for each of its neighbours.
        fs::write(root.path().join(LEFT), b"half").unwrap();
        put(&directory, "name", UploadMode::Replace, b"").unwrap();
        assert_eq!(names(root.path()), [LEFT, "name", "sub"]);
        put(&way(root.path()), "name", UploadMode::Replace, b"").unwrap();
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
    drop(begin(&Directory::open(root.path(), 1).unwrap(), "name", UploadMode::Replace).unwrap());
    assert_eq!(names(root.path()), before);
}

/// Two servers share a directory: the second sweeps while the first receives.
#[test]
fn an_upload_in_progress_is_never_swept() {
    let root = tempfile::tempdir().unwrap();
    let first = open_portable(root.path());
    let mut upload = begin(&first, "first", UploadMode::Replace).unwrap();
    upload.write(b"one, ").unwrap();
    let hidden = names(root.path());
    assert_eq!(hidden.len(), 1);
    fs::write(root.path().join(LEFT), b"half").unwrap();
    put(&open_portable(root.path()), "second", UploadMode::Replace, b"").unwrap();
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
                    drop(begin(&directory, "sweeper", UploadMode::Replace).unwrap());
                    sweeps += 1;
                }
                sweeps
            });
            let directory = way(root.path());
            let result = (0..500_u32).try_for_each(|version| {
                put(&directory, "name", UploadMode::Replace, &version.to_be_bytes())
                    .map_err(|error| (version, error))?;
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
        let mut upload = begin(&open_portable(&root), "name", UploadMode::Replace).unwrap();
        upload.write(b"half").unwrap();
        std::process::abort();
    }
    let root = tempfile::tempdir().unwrap();
    put(&Directory::open(root.path(), 1).unwrap(), "name", UploadMode::Replace, b"old").unwrap();
    let crashed = run_as_child(module_path!(), "a_process_that_dies_leaves_nothing_for_good", root.path());
    assert!(!crashed.status.success());
    assert_eq!(names(root.path()).len(), 2, "the crash was to leave a hidden file");
    assert_eq!(fs::read(root.path().join("name")).unwrap(), b"old");
    put(&Directory::open(root.path(), 1).unwrap(), "other", UploadMode::Replace, b"").unwrap();
    assert_eq!(names(root.path()), ["name", "other"]);
}

/// What one upload may cost at most, whatever a crash has left.
const LOOKS_MAX: usize = 1_024;
const REMOVALS_MAX: usize = 64;

/// Uploads to each of these names in turn until nothing hidden is left in `directories`. Returns how many uploads it took.
fn upload_until_swept(system: System, root: &Path, uploads: &[&str], directories: &[&str]) -> usize {
    let instrumented = Instrumented::new(system);
    let directory = Directory::open_in(instrumented.clone(), root, 1).unwrap();
    for (count, name) in uploads.iter().cycle().enumerate().take(10_000) {
        instrumented.calls();
        put(&directory, name, UploadMode::Replace, b"new").unwrap();
        let calls = instrumented.calls();
        let count_of = |name| calls.iter().filter(|call| **call == name).count();
        let (looks, removals) = (count_of("next_entry"), count_of("unlink"));
        assert!(looks <= LOOKS_MAX, "{looks}");
        // The upload itself may remove its own hidden name.
        assert!(removals <= REMOVALS_MAX + 1, "{removals}");
        let is_hidden = |name: &String| name.starts_with(".spindle-");
        if !directories.iter().any(|directory| names(&root.join(directory)).iter().any(is_hidden)) {
            return count + 1;
        }
    }
    panic!("what a crash left is never removed");
}

fn leave(directory: &Path, hidden: usize, ordinary: usize) {
    fs::create_dir_all(directory).unwrap();
    for number in 0..hidden {
        fs::write(directory.join(format!(".spindle-{number:016x}")), b"half").unwrap();
    }
    for number in 0..ordinary {
        fs::write(directory.join(format!("ordinary-{number}")), b"").unwrap();
    }
}

#[test]
fn no_upload_waits_for_all_that_a_crash_has_left_and_all_is_removed_in_the_end() {
    for system in SYSTEMS {
        for (hidden, ordinary) in [(1, 0), (REMOVALS_MAX, 0), (500, 0), (3, 5_000), (200, 2_000)] {
            let root = tempfile::tempdir().unwrap();
            leave(root.path(), hidden, ordinary);
            let uploads = upload_until_swept(system, root.path(), &["name"], &[""]);
            let enough = 2 + hidden / REMOVALS_MAX + (hidden + ordinary) / LOOKS_MAX;
            assert!(uploads <= enough, "{uploads} uploads for {hidden} and {ordinary}");
        }
    }
}

#[test]
fn directories_that_are_written_to_in_turn_are_all_swept() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        for directory in ["one", "two", "three"] {
            leave(&root.path().join(directory), 100, 1_500);
        }
        upload_until_swept(system, root.path(), &["one/name", "two/name", "three/name"], &["one", "two", "three"]);
    }
}

#[test]
fn a_directory_that_is_removed_before_all_of_it_is_swept_keeps_no_other_from_being_swept() {
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
