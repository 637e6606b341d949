//! What is asked of the disk before an upload is acknowledged, in which order, and what is acknowledged where it fails.

use std::fs;

use rustix::io::Errno;

use super::watched::Fault;
use super::*;

/// Uploads whole content, on a watched system.
fn upload(
    directory: &Directory<Watched>,
    name: &str,
    publish: Publish,
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
            let watched = Watched::new(system);
            let directory = Directory::open_in(watched.clone(), root.path(), 1).unwrap();
            watched.fail(Fault { call: Some("errors_at_close"), after: 0, times: 2, errno });
            for publish in [Publish::CreateOnly, Publish::Replace] {
                let failed = upload(&directory, "name", publish, durable);
                match errno {
                    Errno::DQUOT => assert!(matches!(failed, Err(StorageError::DiskFull)), "{failed:?}"),
                    _ => assert!(matches!(failed, Err(StorageError::Io(_))), "{failed:?}"),
                }
                assert!(names(root.path()).is_empty());
            }
            assert!(upload(&directory, "name", Publish::Replace, durable).is_ok());
        }
    }
}

#[test]
fn only_a_durable_upload_waits_for_the_disk() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        let watched = Watched::new(system);
        let directory = Directory::open_in(watched.clone(), root.path(), 1).unwrap();
        for (durable, waits) in [(false, false), (true, true)] {
            watched.calls();
            upload(&directory, "name", Publish::Replace, durable).unwrap();
            assert_eq!(watched.calls().contains(&"sync"), waits);
            assert_eq!(fs::read(root.path().join("name")).unwrap(), b"new");
        }
    }
}
