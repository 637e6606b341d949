//! The flushes of a durable upload, their order, and what happens if they fail.

use std::fs;

use rustix::io::Errno;

use super::instrumented::Fault;
use super::*;

/// Uploads content, on an instrumented system.
fn upload(
    directory: &Directory<Instrumented>,
    name: &str,
    mode: UploadMode,
    durable: bool,
) -> Result<Published, StorageError> {
    let mut upload = directory.begin_upload(&path(name), mode, None, durable)?;
    upload.write(b"new")?;
    upload.commit(0, |_| true)
}

/// Network file systems write buffered content when a file is closed, and report errors only then.
#[test]
fn an_upload_with_an_error_at_close_is_not_published() {
    for system in SYSTEMS {
        for (errno, durable) in [(Errno::IO, false), (Errno::DQUOT, false), (Errno::IO, true), (Errno::DQUOT, true)] {
            let root = tempfile::tempdir().unwrap();
            let instrumented = Instrumented::new(system);
            let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
            instrumented.fail(Fault { call: Some("close_errors"), after: 0, times: 2, errno });
            for mode in [UploadMode::CreateOnly, UploadMode::Replace] {
                let failed = upload(&directory, "name", mode, durable);
                match errno {
                    Errno::DQUOT => assert!(matches!(failed, Err(StorageError::DiskFull)), "{failed:?}"),
                    _ => assert!(matches!(failed, Err(StorageError::Io(_))), "{failed:?}"),
                }
                assert!(names(root.path()).is_empty());
            }
            assert!(upload(&directory, "name", UploadMode::Replace, durable).is_ok());
        }
    }
}

/// Where closing a file does nothing, two system calls are saved. Below the root there may be other file systems.
#[test]
fn errors_at_close_are_looked_for_except_on_a_file_system_without_them() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("directory")).unwrap();
        for never in [false, true] {
            let instrumented = Instrumented::new(system);
            if never {
                instrumented.never_fail_at_close();
            }
            let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
            for name in ["name", "directory/name"] {
                instrumented.calls();
                upload(&directory, name, UploadMode::Replace, false).unwrap();
                assert_eq!(instrumented.calls().contains(&"close_errors"), !never, "{system:?} {name}");
            }
            let close_errors = &directory.root.close_errors;
            let (device, inode) = instrumented.stat(&directory.root.directory).unwrap().file_id();
            assert_eq!(close_errors.may_occur_in(Ok((device, inode + 1))), !never);
            assert!(close_errors.may_occur_in(Ok((device + 1, inode))), "another file system");
            assert!(close_errors.may_occur_in(Err(Errno::IO)), "perhaps another file system");
        }
    }
}

#[test]
fn only_a_durable_upload_is_flushed() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        let instrumented = Instrumented::new(system);
        let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
        for (durable, waits) in [(false, false), (true, true)] {
            instrumented.calls();
            upload(&directory, "name", UploadMode::Replace, durable).unwrap();
            assert_eq!(instrumented.calls().iter().any(|call| call.starts_with("sync")), waits);
            assert_eq!(fs::read(root.path().join("name")).unwrap(), b"new");
        }
    }
}

/// The power may fail between any two of these calls. A file system without a journal stores the link count in the
/// inode, and a file system check removes a name whose inode has a link count of 0. So the file has a name before it is
/// flushed, and is renamed; where that is not possible, it is flushed again before its directory. The file that is
/// replaced keeps a temporary name until the directory is flushed.
#[test]
fn a_durable_upload_is_flushed_with_the_link_count_that_it_keeps() {
    const COUNTED: [&str; 7] =
        ["sync_file", "sync_directory", "link", "link_unnamed", "rename", "rename_noreplace", "unlink"];
    for system in SYSTEMS {
        let (new, replaced): (&[&str], &[&str]) = match system {
            System::Portable => (
                &["sync_file", "rename_noreplace", "link", "unlink", "sync_file", "sync_directory"],
                &["sync_file", "link", "rename", "sync_directory", "unlink"],
            ),
            #[cfg(target_os = "linux")]
            System::Linux => (
                &["link_unnamed", "sync_file", "rename_noreplace", "sync_directory"],
                &["link_unnamed", "sync_file", "link", "rename", "sync_directory", "unlink"],
            ),
        };
        let root = tempfile::tempdir().unwrap();
        let instrumented = Instrumented::new(system);
        let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
        if system != System::Portable
            && instrumented.create_unnamed(&fs::File::open(root.path()).unwrap().into()).is_err()
        {
            eprintln!("skipped: no unnamed files here");
            continue;
        }
        for (name, mode, expected) in [
            ("one", UploadMode::CreateOnly, new),
            ("two", UploadMode::Replace, new),
            ("one", UploadMode::Replace, replaced),
        ] {
            instrumented.calls();
            upload(&directory, name, mode, true).unwrap();
            let calls: Vec<_> = instrumented.calls().into_iter().filter(|call| COUNTED.contains(call)).collect();
            assert_eq!(calls, expected, "{system:?} {name} {mode:?}");
        }
    }
}

/// A failed flush may have discarded the data, and the next one would succeed.
#[test]
fn a_failed_flush_is_not_repeated() {
    // Without a free descriptor, storage flushes the file instead of closing a duplicate.
    let no_descriptor = Fault { call: Some("close_errors"), after: 0, times: 1, errno: Errno::MFILE };
    for (system, durable, close_fault) in SYSTEMS.into_iter().flat_map(|system| {
        [(true, None), (true, Some(no_descriptor)), (false, Some(no_descriptor))]
            .map(|(durable, close_fault)| (system, durable, close_fault))
    }) {
        for errno in [Errno::IO, Errno::NOSPC, Errno::INVAL] {
            let root = tempfile::tempdir().unwrap();
            let instrumented = Instrumented::new(system);
            let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
            fs::write(root.path().join("name"), b"old").unwrap();
            close_fault.into_iter().for_each(|fault| instrumented.fail(fault));
            instrumented.fail(Fault { call: Some("sync_file"), after: 0, times: 1, errno });
            let failed = upload(&directory, "name", UploadMode::Replace, durable);
            assert!(matches!(failed, Err(StorageError::Io(_) | StorageError::DiskFull)), "{errno:?} {failed:?}");
            assert_eq!(instrumented.calls().iter().filter(|call| **call == "sync_file").count(), 1);
            assert_eq!(fs::read(root.path().join("name")).unwrap(), b"old");
            assert_eq!(names(root.path()), ["name"]);
            assert!(upload(&directory, "name", UploadMode::Replace, durable).is_ok());
        }
    }
}

#[test]
fn a_durable_upload_whose_name_cannot_be_flushed_is_an_error() {
    for system in SYSTEMS {
        for (call, after) in [("sync_file", 1), ("sync_directory", 0)] {
            let root = tempfile::tempdir().unwrap();
            let instrumented = Instrumented::new(system);
            let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
            // Otherwise a file that has a temporary name is not flushed again.
            instrumented.fail(Fault { call: Some("rename_noreplace"), after: 0, times: 1, errno: Errno::INVAL });
            instrumented.fail(Fault { call: Some(call), after, times: 1, errno: Errno::IO });
            let failed = upload(&directory, "name", UploadMode::Replace, true);
            assert!(matches!(failed, Err(StorageError::Io(_))), "{failed:?}");
            let flushed = instrumented.calls().iter().filter(|name| **name == call).count();
            assert_eq!(flushed, after + 1, "{call} is not repeated");
        }
    }
}

/// Some file systems cannot flush directories, because each change is on the disk at once, or because a server writes
/// them.
#[test]
fn a_file_system_that_cannot_flush_directories_is_no_error() {
    for system in SYSTEMS {
        for errno in [Errno::INVAL, Errno::OPNOTSUPP, Errno::NOSYS] {
            let root = tempfile::tempdir().unwrap();
            let instrumented = Instrumented::new(system);
            let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
            instrumented.fail(Fault { call: Some("sync_directory"), after: 0, times: usize::MAX, errno });
            for created in [true, false] {
                instrumented.calls();
                let published = upload(&directory, "name", UploadMode::Replace, true);
                assert_eq!(published.unwrap().created, created, "{system:?} {errno:?}");
                let calls = instrumented.calls();
                let last = |names: &[&str]| calls.iter().rposition(|call| names.contains(call));
                let named = last(&["link", "link_unnamed", "rename", "rename_noreplace"]);
                assert!(last(&["sync_file"]) > named, "{system:?} {errno:?} {calls:?}");
            }
            assert_eq!(fs::read(root.path().join("name")).unwrap(), b"new");
        }
    }
}
