//! System calls that say EINTR, once or for ever: strace makes them say so.

use std::fs;

use super::*;

/// Runs a test again where `calls`, on `file` if one is named, fail with EINTR: as often as `when` says.
fn run_interrupted(test: &str, root: &Path, calls: &str, when: &str, file: Option<&Path>) {
    let inject = format!("inject={calls}:error=EINTR{when}");
    let mut prefix =
        vec!["timeout", "20", "strace", "--follow-forks", "--quiet=all", "--output=/dev/null", "-e", &inject];
    if let Some(file) = file {
        prefix.extend(["-P", file.to_str().unwrap()]);
    }
    match child_command("crate::no", "such_test", root, &prefix).output() {
        Ok(output) if output.status.success() => {
            assert_success(&child_command(module_path!(), test, root, &prefix).output().unwrap());
        }
        reason => eprintln!("skipped: strace cannot be used here: {reason:?}"),
    }
}

#[test]
fn a_read_that_is_interrupted_for_ever_is_an_error() {
    if let Some(root) = child_argument() {
        let opened = Directory::open(&root, 1).unwrap().open_file(&path("name")).unwrap();
        let error = FileRange::whole(opened).read_at(&mut [0; 10]).unwrap_err();
        assert_ne!(error.kind(), std::io::ErrorKind::Interrupted, "the caller would try again");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("name");
    fs::write(&file, b"content").unwrap();
    run_interrupted("a_read_that_is_interrupted_for_ever_is_an_error", root.path(), "pread64", "", Some(&file));
}

#[test]
fn a_read_that_is_interrupted_is_done_again() {
    if let Some(root) = child_argument() {
        let opened = Directory::open(&root, 1).unwrap().open_file(&path("name")).unwrap();
        assert_eq!(FileRange::whole(opened).read_at(&mut [0; 10]).unwrap(), 7);
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("name");
    fs::write(&file, b"content").unwrap();
    run_interrupted("a_read_that_is_interrupted_is_done_again", root.path(), "pread64", ":when=1..3", Some(&file));
}

/// The calls that publish. In their names a question mark allows for systems that lack the call.
const PUBLISHING: &str = "linkat,?renameat,?renameat2,fsync,flock,utimensat";

#[test]
fn a_publication_that_is_interrupted_is_done_again() {
    if let Some(root) = child_argument() {
        for way in WAYS {
            let _ = fs::remove_file(root.join("name"));
            let directory = way(&root);
            for created in [true, false] {
                let upload = directory.begin_upload(&path("name"), Publish::Replace, None, true).unwrap();
                assert_eq!(upload.commit(0, |_| true).unwrap().created, created);
            }
        }
        return;
    }
    let root = tempfile::tempdir().unwrap();
    // Every second call, so that each is interrupted on its own account.
    run_interrupted("a_publication_that_is_interrupted_is_done_again", root.path(), PUBLISHING, ":when=1+2", None);
}

#[test]
fn a_publication_that_is_interrupted_for_ever_is_an_error() {
    if let Some(root) = child_argument() {
        for way in WAYS {
            for publish in [Publish::Replace, Publish::CreateOnly] {
                let failed = put(&way(&root), "name", publish, b"");
                assert!(matches!(failed, Err(StorageError::Io(_))), "{failed:?}");
            }
        }
        return;
    }
    let test = "a_publication_that_is_interrupted_for_ever_is_an_error";
    for calls in ["linkat", "utimensat"] {
        let root = tempfile::tempdir().unwrap();
        run_interrupted(test, root.path(), calls, "", None);
        assert!(names(root.path()).is_empty());
    }
}
