//! Files and directories without some permissions.

use std::cell::Cell;
use std::rc::Rc;

use spindle::storage::{Directory, StorageError, SymlinkedDirectories, UploadMode};

use crate::disk::{Disk, Permissions};
use crate::operations::{START_NS, SYSTEMS, path};

const UNREADABLE: Permissions = Permissions { readable: false, ..Permissions::ALL };
const UNWRITABLE: Permissions = Permissions { writable: false, ..Permissions::ALL };
const UNSEARCHABLE: Permissions = Permissions { searchable: false, ..Permissions::ALL };

/// Uploads to `a/name`, beside a temporary file of a crash, while `a` has these permissions.
fn upload(system: usize, permissions: Permissions, durable: bool) -> (Result<(), StorageError>, Disk) {
    let disk = Disk::new(SYSTEMS[system].1(1), Rc::new(Cell::new(START_NS)));
    disk.add_directory("a");
    disk.add_file("a/.spindle-0123456789abcdef", b"half", 0);
    disk.permit("a", permissions);
    let directory = Directory::open_in(disk.clone(), Disk::root_path(), 7).unwrap();
    let upload = || {
        let mut upload = directory.begin_upload(&path("a/name"), UploadMode::Replace, None, durable)?;
        upload.write(b"content")?;
        upload.commit(START_NS, |_| true).map(|_| ())
    };
    let uploaded = upload();
    assert_eq!(disk.descriptors(), 1);
    (uploaded, disk)
}

#[test]
fn an_upload_needs_permissions_for_its_directory() {
    for system in 0..SYSTEMS.len() {
        for (permissions, durable) in [(UNWRITABLE, false), (UNSEARCHABLE, false), (UNREADABLE, true)] {
            let (refused, disk) = upload(system, permissions, durable);
            assert!(matches!(refused, Err(StorageError::PermissionDenied)), "{permissions:?} {refused:?}");
            assert_eq!(disk.read("a/name"), None);
        }
    }
}

/// The server does not remove temporary files there, since it cannot list the directory.
#[test]
fn a_directory_without_read_permission_accepts_uploads_if_it_can_be_traversed() {
    let (uploaded, disk) = upload(0, UNREADABLE, false);
    assert!(uploaded.is_ok(), "{uploaded:?}");
    disk.permit("a", Permissions::ALL);
    assert_eq!(disk.read("a/name").unwrap(), b"content");
    assert_eq!(disk.temporary_names().len(), 1);
}

#[test]
fn a_file_without_read_permission_can_be_replaced() {
    for (_, system) in SYSTEMS {
        let disk = Disk::new(system(1), Rc::new(Cell::new(START_NS)));
        disk.add_file("name", b"old", 0);
        disk.permit("name", Permissions { writable: false, ..UNREADABLE });
        let directory = Directory::open_in(disk.clone(), Disk::root_path(), 7).unwrap();
        assert!(matches!(directory.open_file(&path("name")), Err(StorageError::PermissionDenied)));
        let mut listing = directory.list(None, SymlinkedDirectories::Include).unwrap();
        let listed = std::iter::from_fn(|| listing.next()).filter_map(|entry| entry.unwrap()).count();
        assert_eq!(listed, 1);
        let mut upload = directory.begin_upload(&path("name"), UploadMode::Replace, None, true).unwrap();
        upload.write(b"new").unwrap();
        upload.commit(START_NS, |_| true).unwrap();
        assert_eq!(disk.read("name").unwrap(), b"new");
    }
}
