//! Removing, creating and moving: what they change, what they refuse, and what they flush.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;

use rustix::io::Errno;

use super::super::{ChangeError, EntryPath, FileCache, Metadata};
use super::instrumented::Fault;
use super::*;

/// The path `text`, which may end in a slash.
fn entry(text: &str) -> EntryPath {
    EntryPath { path: path(text.trim_end_matches('/')), is_directory: text.ends_with('/') }
}

fn always(_: Option<&Metadata>) -> bool {
    true
}

fn remove<F: FileSystem>(directory: &Directory<F>, name: &str) -> Result<(), ChangeError> {
    directory.remove(&entry(name), false, always)
}

/// Moves, and replaces what has the new name.
fn rename<F: FileSystem>(directory: &Directory<F>, from: &str, to: &str) -> Result<bool, ChangeError> {
    directory.rename(&entry(from), &entry(to), true, false, always)
}

fn move_new<F: FileSystem>(directory: &Directory<F>, from: &str, to: &str) -> Result<bool, ChangeError> {
    directory.rename(&entry(from), &entry(to), false, false, always)
}

/// The name of an error.
fn name_of<T: std::fmt::Debug>(result: Result<T, ChangeError>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(ChangeError::Storage(error)) => format!("{error:?}"),
        Err(error) => format!("{error:?}"),
    }
}

/// A directory with `dir/file`, `empty/`, `file`, `other`, `fifo`, and links to a file, to a directory, to nothing and out
/// of the root.
fn populate(root: &Path) {
    fs::create_dir(root.join("dir")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    for name in ["dir/file", "file", "other"] {
        fs::write(root.join(name), name).unwrap();
    }
    make_fifo(&root.join("fifo"));
    for (target, name) in [("file", "to-file"), ("empty", "to-dir"), ("nothing", "dangling"), ("..", "outward")] {
        symlink(target, root.join(name)).unwrap();
    }
}

const ALL: [&str; 9] = ["dangling", "dir", "empty", "fifo", "file", "other", "outward", "to-dir", "to-file"];

#[test]
fn files_links_and_empty_directories_are_removed() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        populate(root.path());
        let directory = open(root.path());
        for (name, expected) in [
            ("absent", "NotFound"),
            ("absent/file", "NotFound"),
            ("file/", "NotFound"),
            ("file/x", "NotFound"),
            ("to-file/", "NotFound"),
            ("dangling/", "NotFound"),
            ("fifo", "NotRegularFile"),
            ("dir", "DirectoryNotEmpty"),
            ("dir/", "DirectoryNotEmpty"),
        ] {
            assert_eq!(name_of(remove(&directory, name)), expected, "{name}");
            assert_eq!(names(root.path()), ALL, "{name}");
        }
        for name in ["to-file", "to-dir", "dangling", "outward", "dir/file", "dir/", "other", "empty"] {
            assert_eq!(name_of(remove(&directory, name)), "()", "{name}");
        }
        assert_eq!(names(root.path()), ["fifo", "file"], "the targets of links stay");
        assert!(root.path().parent().unwrap().exists());
    }
}

#[test]
fn nothing_is_changed_through_a_link_that_leads_out_of_the_root() {
    for open in OPENERS {
        let both = tempfile::tempdir().unwrap();
        let (root, outside) = (both.path().join("root"), both.path().join("outside"));
        for path in [&root, &outside, &outside.join("empty")] {
            fs::create_dir(path).unwrap();
        }
        fs::write(outside.join("secret"), b"secret").unwrap();
        fs::write(root.join("file"), b"file").unwrap();
        symlink("../outside", root.join("out")).unwrap();
        let directory = open(&root);
        for name in ["out/secret", "out/empty", "out/empty/"] {
            assert_eq!(name_of(remove(&directory, name)), "NotFound");
            assert_eq!(name_of(rename(&directory, name, "mine")), "NotFound");
        }
        assert_eq!(name_of(rename(&directory, "file", "out/file")), "ParentMissing");
        assert_eq!(name_of(rename(&directory, "file", "out/secret")), "ParentMissing");
        assert_eq!(name_of(directory.create_directory(&path("out/new"), false, always)), "ParentMissing");
        assert_eq!(
            (names(&root), names(&outside)),
            (vec!["file".into(), "out".into()], vec!["empty".into(), "secret".into()])
        );
        // The link itself can be moved and replaced.
        assert_eq!(name_of(rename(&directory, "out", "moved")), "true");
        assert_eq!(name_of(rename(&directory, "file", "moved")), "false");
        assert_eq!((names(&root), names(&outside)), (vec!["moved".into()], vec!["empty".into(), "secret".into()]));
    }
}

#[test]
fn a_directory_is_created_under_a_free_name() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        populate(root.path());
        let directory = open(root.path());
        let create = |name: &str| name_of(directory.create_directory(&path(name), false, always));
        for name in ALL {
            assert_eq!(create(name), "AlreadyExists", "{name}");
        }
        for name in ["absent/new", "file/new", "absent/a/b"] {
            assert_eq!(create(name), "ParentMissing", "{name}");
        }
        assert_eq!((create("new"), create("dir/new"), create("new/new")), ("()".into(), "()".into(), "()".into()));
        assert!(root.path().join("new/new").is_dir() && root.path().join("dir/new").is_dir());
        let refused = directory.create_directory(&path("refused"), false, |_| false);
        assert_eq!(name_of(refused), "ConditionFailed");
        assert!(!root.path().join("refused").exists());
    }
}

#[test]
fn files_links_and_directories_are_moved() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        populate(root.path());
        let directory = open(root.path());
        let read = |name: &str| fs::read_to_string(root.path().join(name)).unwrap();
        assert_eq!(name_of(move_new(&directory, "file", "dir/new")), "true");
        assert_eq!(name_of(rename(&directory, "dir/new", "other")), "false");
        assert_eq!(read("other"), "file");
        assert_eq!(name_of(move_new(&directory, "dir/", "empty/moved/")), "true");
        assert_eq!(read("empty/moved/file"), "dir/file");
        fs::create_dir(root.path().join("dir")).unwrap();
        assert_eq!(name_of(rename(&directory, "empty/moved", "dir")), "false", "it replaces an empty directory");
        assert_eq!(read("dir/file"), "dir/file");
        assert_eq!(name_of(move_new(&directory, "to-dir", "dir/link")), "true");
        assert_eq!(fs::read_link(root.path().join("dir/link")).unwrap(), Path::new("empty"));
        assert_eq!(name_of(rename(&directory, "other", "to-file")), "false", "the link is replaced");
        assert!(fs::symlink_metadata(root.path().join("to-file")).unwrap().is_file());
        assert_eq!(names(root.path()), ["dangling", "dir", "empty", "fifo", "outward", "to-file"]);
    }
}

#[test]
fn a_move_that_is_refused_changes_nothing() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        populate(root.path());
        fs::hard_link(root.path().join("other"), root.path().join("same")).unwrap();
        let before = names(root.path());
        let directory = open(root.path());
        for (from, to, expected) in [
            ("absent", "new", "NotFound"),
            ("absent", "absent", "NotFound"),
            ("absent", "missing/new", "NotFound"),
            ("file/", "new", "NotFound"),
            ("fifo", "new", "NotRegularFile"),
            ("file", "fifo", "NotRegularFile"),
            ("file", "file", "SameEntry"),
            ("dir", "dir/", "SameEntry"),
            ("other", "same", "SameEntry"),
            ("file", "missing/new", "ParentMissing"),
            ("file", "other/new", "ParentMissing"),
            ("file", "new/", "KindsDiffer"),
            ("file", "empty", "KindsDiffer"),
            ("file", "dir", "KindsDiffer"),
            ("dir/file", "dir", "KindsDiffer"),
            ("dir", "file", "KindsDiffer"),
            ("dir", "to-dir", "KindsDiffer"),
            ("empty", "dir", "DirectoryNotEmpty"),
            ("dir", "dir/new", "IntoItself"),
            ("dir", "dir/new/x", "ParentMissing"),
        ] {
            assert_eq!(name_of(rename(&directory, from, to)), expected, "{from} to {to}");
            assert_eq!((names(root.path()), names(&root.path().join("dir"))), (before.clone(), vec!["file".into()]));
        }
        for to in ["other", "empty", "dir", "to-file", "dangling"] {
            assert_eq!(name_of(move_new(&directory, "file", to)), "AlreadyExists", "{to}");
            assert_eq!(fs::read(root.path().join("other")).unwrap(), b"other");
        }
        assert_eq!(name_of(move_new(&directory, "file", "file")), "SameEntry");
        assert_eq!(names(root.path()), before);
    }
}

#[test]
fn the_condition_is_checked_against_what_a_reader_finds() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        populate(root.path());
        let directory = open(root.path());
        let seen = |name: &str| {
            let seen = Cell::new(None);
            let condition = |found: Option<&Metadata>| {
                seen.set(found.map(|found| (found.kind, found.size_bytes)));
                false
            };
            assert_eq!(name_of(directory.remove(&entry(name), false, condition)), "ConditionFailed", "{name}");
            let moved = directory.rename(&entry(name), &entry("new"), true, false, condition);
            assert_eq!(name_of(moved), "ConditionFailed", "{name}");
            seen.get()
        };
        assert_eq!(seen("file").unwrap().1, 4);
        assert_eq!(seen("dir").unwrap().0, super::super::FileKind::Directory);
        if directory.follows_links() {
            assert_eq!(seen("to-file").unwrap().1, 4);
        }
        assert_eq!((seen("dangling"), seen("outward")), (None, None));
        symlink("fifo", root.path().join("to-fifo")).unwrap();
        assert_eq!(seen("to-fifo"), None);
        fs::remove_file(root.path().join("to-fifo")).unwrap();
        assert_eq!(names(root.path()), ALL);
    }
}

/// The condition is called between the check and the rename, so that only the kernel notices the new file.
#[test]
fn a_name_that_another_process_takes_meanwhile_is_not_replaced_unless_it_may_be() {
    for open in OPENERS {
        for (moved, theirs_is_directory) in [("file", false), ("file", true), ("dir", false), ("dir", true)] {
            let root = tempfile::tempdir().unwrap();
            populate(root.path());
            let directory = open(root.path());
            let take = |_: Option<&Metadata>| {
                let path = root.path().join("new");
                match theirs_is_directory {
                    _ if path.exists() => {}
                    true => fs::create_dir(path).unwrap(),
                    false => fs::write(path, b"theirs").unwrap(),
                }
                true
            };
            let result = directory.rename(&entry(moved), &entry("new"), false, false, take);
            assert_eq!(name_of(result), "AlreadyExists", "{moved}");
            assert!(root.path().join(moved).exists());
            assert_eq!(root.path().join("new").is_dir(), theirs_is_directory);

            fs::remove_dir(root.path().join("new")).or_else(|_| fs::remove_file(root.path().join("new"))).unwrap();
            let result = directory.rename(&entry(moved), &entry("new"), true, false, take);
            let expected = if theirs_is_directory == (moved == "dir") { "false" } else { "KindsDiffer" };
            assert_eq!(name_of(result), expected, "{moved}");
        }
    }
}

/// The condition is called between the lookup and the removal.
#[test]
fn an_entry_whose_kind_another_process_changes_meanwhile_is_removed() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        populate(root.path());
        let directory = open(root.path());
        let (file, empty) = (root.path().join("file"), root.path().join("empty"));
        let replace = |_: Option<&Metadata>| {
            if file.is_file() {
                fs::remove_file(&file).unwrap();
                fs::create_dir(&file).unwrap();
            }
            true
        };
        assert_eq!(name_of(directory.remove(&entry("file"), false, replace)), "()");
        let replace = |_: Option<&Metadata>| {
            if empty.is_dir() {
                fs::remove_dir(&empty).unwrap();
                fs::write(&empty, b"").unwrap();
            }
            true
        };
        assert_eq!(name_of(directory.remove(&entry("empty"), false, replace)), "()");
        assert!(!file.exists() && !empty.exists());
    }
}

/// The condition is called between the lookup and the change.
#[test]
fn an_entry_that_another_process_removes_meanwhile_is_not_found() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        populate(root.path());
        let directory = open(root.path());
        let vanish = |name: &'static str| {
            let path = root.path().join(name);
            move |_: Option<&Metadata>| {
                fs::remove_file(&path).unwrap();
                true
            }
        };
        assert_eq!(name_of(directory.remove(&entry("file"), false, vanish("file"))), "NotFound");
        let moved = directory.rename(&entry("other"), &entry("new"), true, false, vanish("other"));
        assert_eq!(name_of(moved), "NotFound");
    }
}

#[test]
fn an_entry_that_is_in_use_by_the_system_cannot_be_removed() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        populate(root.path());
        let instrumented = Instrumented::new(system);
        let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
        for (call, name) in [("unlink", "file"), ("remove_directory", "empty")] {
            instrumented.fail(Fault { call: Some(call), after: 0, times: 1, errno: Errno::BUSY });
            assert_eq!(name_of(remove(&directory, name)), "PermissionDenied");
        }
    }
}

/// Some file systems do not know the flag that forbids to replace.
#[test]
fn a_file_system_without_an_exclusive_rename_moves_by_a_link() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        populate(root.path());
        let instrumented = Instrumented::new(system);
        let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
        instrumented.fail(Fault { call: Some("rename_noreplace"), after: 0, times: 2, errno: Errno::INVAL });
        assert_eq!(name_of(move_new(&directory, "file", "new")), "true");
        assert_eq!(name_of(move_new(&directory, "dir", "new-dir")), "true");
        assert_eq!(fs::read(root.path().join("new")).unwrap(), b"file");
        assert_eq!(fs::read(root.path().join("new-dir/file")).unwrap(), b"dir/file");
    }
}

/// On the disk the name may lead to either of the two files.
#[test]
fn a_replaced_file_stays_under_a_temporary_name_if_the_move_cannot_be_flushed() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        populate(root.path());
        let instrumented = Instrumented::new(system);
        let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
        instrumented.fail(Fault { call: Some("sync_directory"), after: 0, times: 1, errno: Errno::IO });
        let moved = directory.rename(&entry("file"), &entry("other"), true, true, always);
        assert!(name_of(moved).starts_with("Io"));
        let kept: Vec<String> = names(root.path()).into_iter().filter(|name| name.starts_with(".spindle-")).collect();
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert_eq!(fs::read(root.path().join(&kept[0])).unwrap(), b"other");
        assert_eq!(fs::read(root.path().join("other")).unwrap(), b"file");
    }
}

/// Without RENAME_NOREPLACE a file is linked and then removed. Where there are no hard links either, a rename might
/// replace a file.
#[test]
fn without_hard_links_and_an_exclusive_rename_a_move_must_be_allowed_to_replace() {
    let root = tempfile::tempdir().unwrap();
    populate(root.path());
    let instrumented = Instrumented::new(System::Portable);
    let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
    instrumented.calls();
    assert_eq!(name_of(move_new(&directory, "other", "moved")), "true");
    let calls = instrumented.calls();
    assert!(calls.ends_with(&["rename_noreplace", "link", "unlink"]), "{calls:?}");
    assert_eq!(name_of(move_new(&directory, "dir", "moved-dir")), "true");
    let calls = instrumented.calls();
    assert!(calls.ends_with(&["rename_noreplace", "create_directory", "rename"]), "{calls:?}");

    instrumented.fail(Fault { call: Some("link"), after: 0, times: usize::MAX, errno: Errno::OPNOTSUPP });
    assert_eq!(name_of(move_new(&directory, "file", "new")), "NotExclusive");
    assert!(root.path().join("file").exists() && !root.path().join("new").exists());
    assert_eq!(name_of(rename(&directory, "file", "new")), "true");
    assert_eq!(name_of(move_new(&directory, "moved-dir", "dir")), "true", "a directory needs no link");
}

#[test]
fn a_move_whose_last_step_fails_is_undone() {
    for (call, from) in [("unlink", "file"), ("rename", "dir")] {
        let root = tempfile::tempdir().unwrap();
        populate(root.path());
        let instrumented = Instrumented::new(System::Portable);
        let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
        instrumented.fail(Fault { call: Some(call), after: 0, times: 1, errno: Errno::IO });
        assert!(name_of(move_new(&directory, from, "new")).starts_with("Io"), "{call}");
        assert_eq!(names(root.path()), ALL, "{call}");
    }
}

#[test]
fn another_file_system_is_reported() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        populate(root.path());
        let instrumented = Instrumented::new(system);
        let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
        for call in ["rename_noreplace", "rename", "link"] {
            instrumented.fail(Fault { call: Some(call), after: 0, times: usize::MAX, errno: Errno::XDEV });
        }
        for (from, to) in [("file", "dir/new"), ("file", "other"), ("dir", "empty/new")] {
            assert_eq!(name_of(rename(&directory, from, to)), "OtherFileSystem", "{from} to {to}");
        }
        assert_eq!((names(root.path()), names(&root.path().join("empty"))), (ALL.map(str::to_owned).to_vec(), vec![]));
    }
}

#[test]
fn only_a_durable_change_is_flushed_and_after_it_was_made() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        populate(root.path());
        let instrumented = Instrumented::new(system);
        let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
        let mut numbers = 0..;
        let mut change = |durable: bool| {
            let number = numbers.next().unwrap();
            let new = format!("dir/new-{number}");
            instrumented.calls();
            directory.create_directory(&path(&new), durable, always).unwrap();
            let created = instrumented.calls();
            directory.rename(&entry(&new), &entry("moved"), true, durable, always).unwrap();
            let moved = instrumented.calls();
            directory.remove(&entry("moved"), durable, always).unwrap();
            [created, moved, instrumented.calls()]
        };
        for calls in change(false) {
            assert!(calls.iter().all(|call| !call.starts_with("sync")), "{calls:?}");
        }
        let [created, moved, removed] = change(true);
        assert!(created.ends_with(&["sync_directory", "sync_directory"]), "the new directory and its own: {created:?}");
        assert!(moved.ends_with(&["sync_directory", "sync_directory"]), "both directories: {moved:?}");
        assert!(removed.ends_with(&["remove_directory", "sync_directory"]), "{removed:?}");
        directory.rename(&entry("file"), &entry("other"), true, true, always).unwrap();
        assert_eq!(instrumented.calls().iter().filter(|call| **call == "sync_directory").count(), 1);
        assert_eq!(fs::read(root.path().join("other")).unwrap(), b"file");
        assert!(names(root.path()).iter().all(|name| !name.starts_with(".spindle")), "{:?}", names(root.path()));
    }
}

#[test]
fn the_cache_serves_nothing_that_was_removed_or_moved() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let mut cache: FileCache<(), Instrumented> = FileCache::new(8);
        let content = |bytes: usize| vec![7; bytes];
        for bytes in [3, super::super::SMALL_FILE_BYTES_MAX + 1] {
            for name in ["a", "b", "c"] {
                fs::write(root.path().join(name), content(bytes)).unwrap();
                let opened = directory.open_file(&path(name)).unwrap();
                assert!(cache.insert(path(name), &opened, || (), 0).is_some());
            }
            remove(&directory, "a").unwrap();
            rename(&directory, "b", "c").unwrap();
            for name in [&b"a"[..], b"b", b"c"] {
                assert!(cache.revalidate(name, &directory).is_none());
            }
        }
    }
}
