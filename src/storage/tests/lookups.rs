//! Reads and writes every kind of path, with both implementations of opening: none leaves the root, and none waits.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;
use crate::storage::SymlinkedDirectories;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Found {
    File,
    Nothing,
    SomethingElse,
}
use Found::{File, Nothing, SomethingElse};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stored {
    Created,
    Replaced,
    NoParent,
    Refused,
}
use Stored::{Created, NoParent, Refused, Replaced};

/// The path; what a reader finds, if links are followed and if they are not; and the result of an upload, in both
/// cases.
const PATHS: &[(&str, [Found; 2], [Stored; 2])] = &[
    ("plain", [File; 2], [Replaced; 2]),
    ("sub/nested", [File; 2], [Replaced; 2]),
    ("absent", [Nothing; 2], [Created; 2]),
    ("absent/absent", [Nothing; 2], [NoParent; 2]),
    ("plain/absent", [Nothing; 2], [NoParent; 2]),
    ("plain/sub/absent", [Nothing; 2], [NoParent; 2]),
    // Links that lead out of the root. An upload replaces the link itself.
    ("link-out", [Nothing; 2], [Replaced; 2]),
    ("link-out-absolute", [Nothing; 2], [Replaced; 2]),
    ("link-out-dangling", [Nothing; 2], [Replaced; 2]),
    ("link-out-and-in", [Nothing; 2], [Replaced; 2]),
    ("link-to-sibling", [Nothing; 2], [Replaced; 2]),
    ("link-to-parent/secret", [Nothing; 2], [NoParent; 2]),
    ("link-to-parent/root/plain", [Nothing; 2], [NoParent; 2]),
    ("link-to-slash/etc/passwd", [Nothing; 2], [NoParent; 2]),
    ("sub/link-to-link-out", [Nothing; 2], [Replaced; 2]),
    // An absolute link counts as leading out, even if its target is inside.
    ("link-in-absolute", [Nothing; 2], [Replaced; 2]),
    // Links that stay inside.
    ("link-in", [File, Nothing], [Replaced; 2]),
    ("sub/link-up", [File, Nothing], [Replaced; 2]),
    ("link-to-sub/nested", [File, Nothing], [Replaced, NoParent]),
    ("link-to-sub/absent", [Nothing; 2], [Created, NoParent]),
    ("link-dangling", [Nothing; 2], [Replaced; 2]),
    ("link-to-itself", [Nothing; 2], [Replaced; 2]),
    ("link-to-itself/absent", [Nothing; 2], [NoParent; 2]),
    ("link-to-fifo", [SomethingElse, Nothing], [Replaced; 2]),
    ("link-to-sub", [SomethingElse, Nothing], [Replaced; 2]),
    // Other kinds of files.
    ("sub", [SomethingElse; 2], [Refused; 2]),
    ("fifo", [SomethingElse; 2], [Refused; 2]),
    ("fifo/absent", [Nothing; 2], [NoParent; 2]),
    ("socket", [SomethingElse; 2], [Refused; 2]),
    ("device", [SomethingElse; 2], [Refused; 2]),
];

const SECRET: &[u8] = b"outside";
const INSIDE: &[u8] = b"inside";

fn make_tree(base: &Path) {
    let root = base.join("root");
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::create_dir(base.join("root-sibling")).unwrap();
    fs::write(base.join("secret"), SECRET).unwrap();
    fs::write(base.join("root-sibling/secret"), SECRET).unwrap();
    fs::write(root.join("plain"), INSIDE).unwrap();
    fs::write(root.join("sub/nested"), INSIDE).unwrap();
    let absolute = |name: &str| base.join(name).into_os_string().into_string().unwrap();
    for (name, target) in [
        ("link-out", "../secret"),
        ("link-out-absolute", &absolute("secret")),
        ("link-out-dangling", "../absent"),
        ("link-out-and-in", "../root/plain"),
        ("link-to-sibling", "../root-sibling/secret"),
        ("link-to-parent", ".."),
        ("link-to-slash", "/"),
        ("sub/link-to-link-out", "../link-out"),
        ("link-in-absolute", &absolute("root/plain")),
        ("link-in", "plain"),
        ("sub/link-up", "../plain"),
        ("link-to-sub", "sub"),
        ("link-dangling", "absent"),
        ("link-to-itself", "link-to-itself"),
        ("link-to-fifo", "fifo"),
    ] {
        symlink(target, root.join(name)).unwrap();
    }
    make_fifo(&root.join("fifo"));
    drop(UnixListener::bind(root.join("socket")).unwrap());
    // Only the superuser can make a device. Without that permission a second FIFO replaces it.
    let device = root.join("device");
    if !Command::new("mknod").arg(&device).args(["c", "1", "5"]).output().unwrap().status.success() {
        make_fifo(&device);
    }
}

/// Calls `test` for both implementations of opening, each with a tree of its own. Panics if it takes too long.
fn on_both_trees(test: fn(&Directory<Instrumented>, &Path, usize)) {
    for open in OPENERS {
        let base = tempfile::tempdir().unwrap();
        make_tree(base.path());
        let base_path = base.path().to_owned();
        let (done, finished) = mpsc::channel();
        let worker = thread::spawn(move || {
            let directory = open(&base_path.join("root"));
            test(&directory, &base_path, usize::from(!directory.follows_links()));
            let _ = done.send(());
        });
        if finished.recv_timeout(Duration::from_secs(60)) == Err(mpsc::RecvTimeoutError::Timeout) {
            panic!("an operation waits for something in the tree");
        }
        worker.join().unwrap();
    }
}

#[test]
fn only_regular_files_beneath_the_root_can_be_read() {
    on_both_trees(|directory, _, column| {
        for (name, expected, _) in PATHS {
            let opened = directory.open_file(&path(name));
            let identified = directory.metadata(&path(name));
            let found = match &opened {
                Ok(_) => File,
                Err(StorageError::NotFound) => Nothing,
                Err(StorageError::NotRegularFile) => SomethingElse,
                Err(error) => panic!("{name}: {error:?}"),
            };
            assert_eq!(found, expected[column], "{name}");
            match (opened, identified) {
                (Ok(opened), Ok(metadata)) => {
                    assert_eq!(metadata, opened.metadata, "{name}");
                    let content = content(&opened);
                    assert_eq!(content, INSIDE, "{name}");
                }
                (Err(opened), Err(identified)) => {
                    assert_eq!(format!("{opened:?}"), format!("{identified:?}"), "{name}");
                }
                both => panic!("{name}: {both:?}"),
            }
        }
    });
}

fn store(directory: &Directory<Instrumented>, name: &str) -> Stored {
    match put(directory, name, UploadMode::Replace, b"new") {
        Ok(Published { created: true, .. }) => Created,
        Ok(Published { created: false, .. }) => Replaced,
        Err(StorageError::ParentMissing) => NoParent,
        Err(StorageError::NotRegularFile) => Refused,
        Err(error) => panic!("{name}: {error:?}"),
    }
}

#[test]
fn writing_changes_nothing_outside_the_root() {
    on_both_trees(|directory, base, column| {
        // Directories and links that are part of other paths come last, because they are replaced.
        let (through, last): (Vec<_>, Vec<_>) = PATHS.iter().partition(|(name, ..)| name.contains('/'));
        for (name, _, expected) in through.iter().chain(&last) {
            let before = fs::symlink_metadata(base.join("root").join(name)).ok();
            assert_eq!(store(directory, name), expected[column], "{name}");
            let after = fs::symlink_metadata(base.join("root").join(name)).ok();
            match expected[column] {
                Created | Replaced => assert!(after.unwrap().is_file(), "{name}"),
                NoParent | Refused => assert_eq!(before.map(|m| m.file_type()), after.map(|m| m.file_type()), "{name}"),
            }
        }
        assert_eq!(names(base), ["root", "root-sibling", "secret"]);
        assert_eq!(names(&base.join("root-sibling")), ["secret"]);
        assert_eq!(fs::read(base.join("secret")).unwrap(), SECRET);
        assert_eq!(fs::read(base.join("root-sibling/secret")).unwrap(), SECRET);
        assert!(names(&base.join("root")).iter().all(|name| !name.starts_with('.')));
    });
}

#[test]
fn creating_never_replaces_anything() {
    on_both_trees(|directory, base, column| {
        for (name, _, expected) in PATHS {
            let created = put(directory, name, UploadMode::CreateOnly, b"new");
            match (expected[column], created) {
                (Created, Ok(Published { created: true, .. })) => {
                    fs::remove_file(base.join("root").join(name)).unwrap()
                }
                (Replaced, Err(StorageError::AlreadyExists)) => {}
                (NoParent, Err(StorageError::ParentMissing)) => {}
                (Refused, Err(StorageError::NotRegularFile)) => {}
                other => panic!("{name}: {other:?}"),
            }
        }
    });
}

#[test]
fn any_name_that_the_file_system_allows_is_served() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        for name in [&[b'x'; 255][..], b"\xff\xfe", b" ", b"...", b"..a", b"%2e%2e", b"a\nb", b"~", b"-rf", b"\\"] {
            fs::write(root.path().join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
            let opened = directory.open_file(&RelativePath::from_segments([name]).unwrap()).unwrap();
            assert_eq!(opened.metadata.size_bytes, name.len() as u64);
        }
    }
}

#[test]
fn a_path_of_the_greatest_length_is_looked_up() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        // 64 segments of 63 bytes and the slashes between them: 4095 bytes.
        let deep = RelativePath::from_segments(std::iter::repeat_n("a".repeat(63), 64)).unwrap();
        assert_eq!(deep.as_bytes().len(), 4095);
        assert!(matches!(open(root.path()).open_file(&deep), Err(StorageError::NotFound)));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn magic_links_in_proc_are_not_followed() {
    for open in OPENERS {
        let directory = open(Path::new("/proc/self"));
        assert!(directory.open_file(&path("status")).is_ok());
        for name in ["exe", "cwd/Cargo.toml", "root/etc/passwd"] {
            assert!(matches!(directory.open_file(&path(name)), Err(StorageError::NotFound)), "{name}");
        }
    }
}

/// Another thread keeps exchanging a directory and a link that leads out of the root. Whatever is opened is inside.
#[test]
#[cfg(target_os = "linux")]
fn no_lookup_leaves_a_tree_that_changes_meanwhile() {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    for open in OPENERS {
        let base = tempfile::tempdir().unwrap();
        make_tree(base.path());
        let root = base.path().join("root");
        fs::write(root.join("sub/secret"), INSIDE).unwrap();
        symlink("../sub/../sub/secret", root.join("sub/climbing")).unwrap();
        let (one, other, stop) = (root.join("sub"), root.join("link-to-parent"), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                }
            });
            let directory = open(&root);
            for _ in 0..5_000 {
                for name in ["sub/secret", "sub/climbing"] {
                    match directory.open_file(&path(name)) {
                        Ok(opened) => {
                            let content = content(&opened);
                            if content != INSIDE {
                                stop.store(true, Ordering::Relaxed);
                            }
                            assert_eq!(content, INSIDE);
                        }
                        Err(StorageError::NotFound | StorageError::Busy) => {}
                        Err(error) => {
                            stop.store(true, Ordering::Relaxed);
                            panic!("{error:?}");
                        }
                    }
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_root_that_cannot_be_served_is_named_in_the_error() {
    let base = tempfile::tempdir().unwrap();
    fs::write(base.path().join("file"), b"").unwrap();
    make_fifo(&base.path().join("fifo"));
    for (name, reason) in [("absent", "No such file"), ("file", "Not a directory"), ("fifo", "Not a directory")] {
        let error = Directory::open(&base.path().join(name), 1).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(reason), "{error}");
    }
}

#[test]
fn only_an_unchanged_file_is_current() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let first = put(&directory, "name", UploadMode::Replace, b"one").unwrap().metadata;
        assert!(directory.is_current(&path("name"), &first));
        assert!(!directory.is_current(&path("other"), &first));
        let second = put(&directory, "name", UploadMode::Replace, b"two").unwrap().metadata;
        assert!(!directory.is_current(&path("name"), &first));
        assert!(directory.is_current(&path("name"), &second));
    }
}

/// The root is open, but was removed.
#[test]
fn nothing_is_found_in_a_removed_root() {
    for open in OPENERS {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("sub/name"), b"content").unwrap();
        let directory = open(&root);
        fs::remove_dir_all(&root).unwrap();
        for linked in [SymlinkedDirectories::Include, SymlinkedDirectories::Exclude] {
            assert!(matches!(directory.list(None, linked), Err(StorageError::NotFound)));
            assert!(matches!(directory.list(Some(&path("sub")), linked), Err(StorageError::NotFound)));
        }
        for name in ["name", "sub/name"] {
            let opened = directory.open_file(&path(name));
            assert!(matches!(opened, Err(StorageError::NotFound)), "{name} {opened:?}");
            let identified = directory.metadata(&path(name));
            assert!(matches!(identified, Err(StorageError::NotFound)), "{name} {identified:?}");
            for mode in [UploadMode::Replace, UploadMode::CreateOnly] {
                let begun = begin(&directory, name, mode);
                assert!(matches!(begun, Err(StorageError::ParentMissing)), "{name} {begun:?}");
            }
        }
    }
}
