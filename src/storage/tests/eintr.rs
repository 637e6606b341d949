//! A signal may interrupt every call (EINTR). The call has then had no effect, and is repeated.

use std::fs;

use rustix::io::Errno;

use super::instrumented::Fault;
use super::*;
use crate::storage::SymlinkedDirectories;

/// Makes use of every operation of storage. Returns their results.
fn use_everything(instrumented: &Instrumented, root: &Path) -> Result<Vec<String>, StorageError> {
    let directory = Directory::open_in(instrumented.clone(), root, 1).map_err(StorageError::Io)?;
    let mut results = Vec::new();
    for (name, mode, durable) in [
        ("new", UploadMode::CreateOnly, false),
        ("sub/new", UploadMode::Replace, true),
        ("sub/new", UploadMode::Replace, true),
        ("link", UploadMode::Replace, false),
    ] {
        let mut upload = directory.begin_upload(&path(name), mode, None, durable)?;
        upload.write(b"content")?;
        results.push(format!("{}", upload.commit(0, |_| true)?.created));
    }
    let opened = directory.open_file(&path("sub/new"))?;
    results.push(format!("{:?}", content(&opened)));
    results.push(format!("{}", opened.is_unchanged()));
    let metadata = directory.metadata(&path("sub/new"))?;
    results.push(format!("{} {}", metadata.size_bytes, directory.is_current(&path("sub/new"), &metadata)));
    results.push(format!("{}", directory.is_directory(&path("sub"))?));
    for sub in [None, Some(path("sub"))] {
        let mut listing = directory.list(sub.as_ref(), SymlinkedDirectories::Include)?;
        let (count, is_end) = listing.count(100, |_| true)?;
        listing.rewind();
        listing.modified_ns()?;
        results.push(format!("{count} {is_end} {}", listing.may_exceed(1 << 40)));
        let mut names = Vec::new();
        while let Some(entry) = listing.next() {
            names.extend(entry?.map(|entry| entry.name.escape_ascii().to_string()));
        }
        listing.rewind();
        while let Some(entry) = listing.next_walk_entry() {
            names.extend(entry?.map(|entry| entry.name().escape_ascii().to_string()));
        }
        names.sort();
        results.push(names.join(" "));
    }
    Ok(results)
}

/// A tree with a temporary file that a crash left, in a directory to which a file is uploaded.
fn make_tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("sub")).unwrap();
    std::os::unix::fs::symlink("sub", root.path().join("link")).unwrap();
    std::os::unix::fs::symlink("link", root.path().join("other")).unwrap();
    fs::write(root.path().join("sub/.spindle-0123456789abcdef"), b"").unwrap();
    root
}

#[test]
fn any_call_may_be_interrupted_once() {
    for system in SYSTEMS {
        let (instrumented, root) = (Instrumented::new(system), make_tree());
        let expected = use_everything(&instrumented, root.path()).unwrap();
        let calls = instrumented.calls();
        assert!(calls.len() > 60, "{calls:?}");
        for (after, call) in calls.iter().enumerate() {
            let (instrumented, root) = (Instrumented::new(system), make_tree());
            instrumented.fail(Fault { call: None, after, times: 1, errno: Errno::INTR });
            let results = use_everything(&instrumented, root.path());
            assert_eq!(results.ok().as_ref(), Some(&expected), "{system:?}: {call}, after {after} calls");
            assert_eq!(names(root.path()), ["link", "new", "other", "sub"]);
            assert_eq!(names(&root.path().join("sub")), ["new"], "{system:?}: {call}, after {after} calls");
        }
    }
}

/// A file system in user space may return EINTR for ever. The number of attempts is limited.
#[test]
fn a_call_that_is_interrupted_for_ever_is_an_error() {
    for system in SYSTEMS {
        let (instrumented, root) = (Instrumented::new(system), make_tree());
        instrumented.fail(Fault { call: None, after: 0, times: usize::MAX, errno: Errno::INTR });
        assert!(use_everything(&instrumented, root.path()).is_err());
        assert!(instrumented.calls().len() < 100);
    }
}
