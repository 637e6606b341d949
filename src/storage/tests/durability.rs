//! What is asked of the disk before an upload is acknowledged, in which order, and what is acknowledged where it fails.

use std::fs;

use rustix::io::Errno;

use super::instrumented::Fault;
use super::*;

/// Uploads whole content, on a instrumented system.
fn upload(
    directory: &Directory<Instrumented>,
    name: &str,
    publish: UploadMode,
    durable: bool,
) -> Result<Published, StorageError> {
    let mut upload = directory.begin_upload(&path(name), publish, None, durable)?;
    upload.write(b"new")?;
    upload.commit(0, |_| true)
}

/// Network file systems write what was kept back when a file is closed, and only then say what went wrong.
#[test]
fn an_upload_whose_content_cannot_be_closed_is_not_published() {
    for system in SYSTEMS {
        for (errno, durable) in [(Errno::IO, false), (Errno::DQUOT, false), (Errno::IO, true), (Errno::DQUOT, true)] {
            let root = tempfile::tempdir().unwrap();
            let instrumented = Instrumented::new(system);
            let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
            instrumented.fail(Fault { call: Some("close_errors"), after: 0, times: 2, errno });
            for publish in [UploadMode::CreateOnly, UploadMode::Replace] {
                let failed = upload(&directory, "name", publish, durable);
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

#[test]
fn only_a_durable_upload_waits_for_the_disk() {
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

/// A power cut may come between any two of these. File systems without a journal keep a file's number of links in the file
/// itself: a name whose file has none on the disk is removed when the disk is checked. So the file is flushed again behind
/// all that changes it, and before its name; and the file that is replaced keeps a name until the directory is flushed.
#[test]
fn a_durable_upload_is_flushed_before_its_name_is_made_and_behind_it() {
    const COUNTED: [&str; 7] =
        ["sync_file", "sync_directory", "link", "link_unnamed", "rename", "rename_noreplace", "unlink"];
    for system in SYSTEMS {
        let (new, replaced): (&[&str], &[&str]) = match system {
            System::Portable => (
                &["sync_file", "link", "unlink", "sync_file", "sync_directory"],
                &["sync_file", "link", "rename", "sync_file", "sync_directory", "unlink"],
            ),
            #[cfg(target_os = "linux")]
            System::Linux => (
                &["sync_file", "link_unnamed", "sync_file", "sync_directory"],
                &["sync_file", "link_unnamed", "sync_file", "link", "rename", "sync_file", "sync_directory", "unlink"],
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
        for (name, publish, expected) in [
            ("one", UploadMode::CreateOnly, new),
            ("two", UploadMode::Replace, new),
            ("one", UploadMode::Replace, replaced),
        ] {
            instrumented.calls();
            upload(&directory, name, publish, true).unwrap();
            let calls: Vec<_> = instrumented.calls().into_iter().filter(|call| COUNTED.contains(call)).collect();
            assert_eq!(calls, expected, "{system:?} {name} {publish:?}");
        }
    }
}

/// A flush that has failed may have thrown away what was to be written, and the next one succeeds.
#[test]
fn a_flush_that_fails_is_not_made_up_for_by_a_second_one() {
    // The flush takes the place of the question at close where that cannot be put.
    let cannot_ask = Fault { call: Some("close_errors"), after: 0, times: 1, errno: Errno::MFILE };
    for (system, durable, unanswered) in SYSTEMS.into_iter().flat_map(|system| {
        [(true, None), (true, Some(cannot_ask)), (false, Some(cannot_ask))]
            .map(|(durable, unanswered)| (system, durable, unanswered))
    }) {
        for errno in [Errno::IO, Errno::NOSPC, Errno::INVAL] {
            let root = tempfile::tempdir().unwrap();
            let instrumented = Instrumented::new(system);
            let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
            fs::write(root.path().join("name"), b"old").unwrap();
            unanswered.into_iter().for_each(|fault| instrumented.fail(fault));
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
fn an_upload_whose_name_does_not_reach_the_disk_is_not_acknowledged() {
    for system in SYSTEMS {
        for (call, after) in [("sync_file", 1), ("sync_directory", 0)] {
            let root = tempfile::tempdir().unwrap();
            let instrumented = Instrumented::new(system);
            let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
            instrumented.fail(Fault { call: Some(call), after, times: 1, errno: Errno::IO });
            let failed = upload(&directory, "name", UploadMode::Replace, true);
            assert!(matches!(failed, Err(StorageError::Io(_))), "{failed:?}");
            let flushed = instrumented.calls().iter().filter(|name| **name == call).count();
            assert_eq!(flushed, after + 1, "{call} is not tried again");
        }
    }
}

/// Some file systems flush no directories, because each change of one is on the disk at once, or in the hands of a server.
#[test]
fn a_directory_that_the_file_system_does_not_flush_is_no_error() {
    for system in SYSTEMS {
        for errno in [Errno::INVAL, Errno::OPNOTSUPP, Errno::NOSYS] {
            let root = tempfile::tempdir().unwrap();
            let instrumented = Instrumented::new(system);
            let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
            instrumented.fail(Fault { call: Some("sync_directory"), after: 0, times: usize::MAX, errno });
            for created in [true, false] {
                let published = upload(&directory, "name", UploadMode::Replace, true);
                assert_eq!(published.unwrap().created, created, "{system:?} {errno:?}");
            }
            assert_eq!(fs::read(root.path().join("name")).unwrap(), b"new");
        }
    }
}
