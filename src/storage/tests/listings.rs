//! Listings, with both implementations of opening: they contain what a client can read, and nothing else.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use rustix::io::Errno;

use super::instrumented::Fault;
use super::*;
use crate::storage::{EntryKind, Listing, SymlinkedDirectories};

/// Name, kind and size of all entries, sorted by name.
fn entries<F: FileSystem>(mut listing: Listing<F>) -> Vec<(String, EntryKind, u64)> {
    let mut entries = Vec::new();
    while let Some(entry) = listing.next() {
        if let Some(entry) = entry.unwrap() {
            entries.push((entry.name.escape_ascii().to_string(), entry.kind, entry.size_bytes));
        }
    }
    entries.sort_by(|one, other| one.0.cmp(&other.0));
    entries
}

fn file(name: &str, bytes: u64) -> (String, EntryKind, u64) {
    (name.to_owned(), EntryKind::File, bytes)
}

fn directory(name: &str) -> (String, EntryKind, u64) {
    (name.to_owned(), EntryKind::Directory, 0)
}

#[test]
fn only_what_can_be_read_is_listed() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("root");
    fs::create_dir_all(root.join("sub/deep")).unwrap();
    fs::write(outer.path().join("secret"), b"secret").unwrap();
    fs::write(root.join("plain"), b"12345").unwrap();
    fs::write(root.join(".dot"), b"").unwrap();
    fs::write(root.join(".spindle-0123456789abcdef"), b"an upload").unwrap();
    fs::write(root.join(OsStr::from_bytes(b"not-utf-8-\xff")), b"1").unwrap();
    fs::write(root.join("sub/nested"), b"123").unwrap();
    make_fifo(&root.join("fifo"));
    let _socket = UnixListener::bind(root.join("socket")).unwrap();
    symlink("plain", root.join("link-in")).unwrap();
    symlink("sub", root.join("link-to-sub")).unwrap();
    symlink("../secret", root.join("link-out")).unwrap();
    symlink("absent", root.join("link-dangling")).unwrap();
    symlink("fifo", root.join("link-to-fifo")).unwrap();
    symlink("../plain", root.join("sub/link-up")).unwrap();

    for open in OPENERS {
        let served = open(&root);
        let list = |path: Option<&str>, linked| entries(served.list(path.map(super::path).as_ref(), linked).unwrap());
        let mut expected = vec![file(".dot", 0), file("not-utf-8-\\xff", 1), file("plain", 5), directory("sub")];
        let mut beneath = vec![directory("deep"), file("nested", 3)];
        if served.follows_links() {
            expected.insert(1, file("link-in", 5));
            beneath.insert(1, file("link-up", 5));
        }
        assert_eq!(list(None, SymlinkedDirectories::Exclude), expected);
        assert_eq!(list(Some("sub"), SymlinkedDirectories::Include), beneath);
        if served.follows_links() {
            expected.insert(2, directory("link-to-sub"));
            assert_eq!(list(Some("link-to-sub"), SymlinkedDirectories::Include), beneath);
        }
        assert_eq!(list(None, SymlinkedDirectories::Include), expected);
        assert_eq!(list(Some("sub/deep"), SymlinkedDirectories::Include), []);
    }
}

#[test]
fn only_directories_beneath_the_root_can_be_listed() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("plain"), b"").unwrap();
    symlink("..", root.join("link-to-parent")).unwrap();
    symlink("/", root.join("link-to-slash")).unwrap();
    for open in OPENERS {
        let served = open(&root);
        for name in ["plain", "absent", "link-to-parent", "link-to-slash", "link-to-parent/root"] {
            let listed = served.list(Some(&path(name)), SymlinkedDirectories::Include);
            assert!(matches!(listed, Err(StorageError::NotFound)), "{name}: {listed:?}");
            assert!(matches!(served.is_directory(&path(name)), Ok(false)), "{name}");
        }
    }
}

#[test]
fn a_listing_of_a_directory_that_is_removed_ends() {
    let root = tempfile::tempdir().unwrap();
    for open in OPENERS {
        fs::create_dir(root.path().join("sub")).unwrap();
        let served = open(root.path());
        let listing = served.list(Some(&path("sub")), SymlinkedDirectories::Include).unwrap();
        fs::remove_dir(root.path().join("sub")).unwrap();
        assert_eq!(entries(listing), []);
    }
}

#[test]
fn a_disk_error_does_not_mean_that_a_directory_is_missing() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("sub")).unwrap();
    for system in SYSTEMS {
        let instrumented = Instrumented::new(system);
        let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
        assert!(matches!(directory.is_directory(&path("sub")), Ok(true)));
        for errno in [Errno::IO, Errno::MFILE] {
            instrumented.fail(Fault { call: None, after: 0, times: 1, errno });
            assert!(directory.is_directory(&path("sub")).is_err(), "{errno:?}");
        }
    }
}
