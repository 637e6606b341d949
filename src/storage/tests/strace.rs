//! System calls that fail as they do on few file systems: with EINTR, once or for ever, or when a file is closed.
//! strace injects the errors; in continuous integration it must be installed.

use std::fs;

use super::*;

/// Runs a test again while `calls` (only those on `file`, if there is one) fail with EINTR, as often as `when` says.
fn run_interrupted(test: &str, root: &Path, calls: &str, when: &str, file: Option<&Path>) {
    run_failing(test, root, &[&format!("{calls}:error=EINTR{when}")], file);
}

/// Runs a test again while calls fail as `failures` say, in the syntax of strace.
fn run_failing(test: &str, root: &Path, failures: &[&str], file: Option<&Path>) {
    let injected: Vec<String> = failures.iter().map(|failure| format!("--inject={failure}")).collect();
    let mut prefix = vec!["timeout", "20", "strace", "--follow-forks", "--quiet=all", "--output=/dev/null"];
    prefix.extend(injected.iter().map(String::as_str));
    if let Some(file) = file {
        prefix.extend(["-P", file.to_str().unwrap()]);
    }
    match child_command("crate::no", "such_test", root, &prefix).output() {
        Ok(output) if output.status.success() => {
            assert_success(&child_command(module_path!(), test, root, &prefix).output().unwrap());
        }
        reason => {
            let must_work = cfg!(target_os = "linux") && std::env::var_os("CI").is_some_and(|value| value == "true");
            assert!(!must_work, "strace cannot be used: {reason:?}");
            eprintln!("skipped: strace cannot be used here: {reason:?}");
        }
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
fn an_interrupted_read_is_retried() {
    if let Some(root) = child_argument() {
        let opened = Directory::open(&root, 1).unwrap().open_file(&path("name")).unwrap();
        assert_eq!(FileRange::whole(opened).read_at(&mut [0; 10]).unwrap(), 7);
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("name");
    fs::write(&file, b"content").unwrap();
    run_interrupted("an_interrupted_read_is_retried", root.path(), "pread64", ":when=1..3", Some(&file));
}

/// The calls of a publication. The question mark allows for systems that lack the call.
const PUBLISHING: &str = "linkat,?renameat,?renameat2,fsync,flock,utimensat";

#[test]
fn an_interrupted_publication_is_retried() {
    if let Some(root) = child_argument() {
        for open in OPENERS {
            let _ = fs::remove_file(root.join("name"));
            let directory = open(&root);
            for created in [true, false] {
                let upload = directory.begin_upload(&path("name"), UploadMode::Replace, None, true).unwrap();
                assert_eq!(upload.commit(0, |_| true).unwrap().created, created);
            }
        }
        return;
    }
    let root = tempfile::tempdir().unwrap();
    // Every second call fails, so that each kind is interrupted and then repeated.
    run_interrupted("an_interrupted_publication_is_retried", root.path(), PUBLISHING, ":when=1+2", None);
}

#[test]
fn a_publication_that_is_interrupted_for_ever_is_an_error() {
    if let Some(root) = child_argument() {
        for open in OPENERS {
            for mode in [UploadMode::Replace, UploadMode::CreateOnly] {
                let failed = put(&open(&root), "name", mode, b"");
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

/// Makes the type of the file system unknown, so that it counts as one that may fail when a file is closed.
const UNKNOWN_FILE_SYSTEM: &str = "fstatfs:error=ENOSYS";

/// How many files a thread closes before closing fails. The start of the program does not expect errors there.
const CLOSES_BEFORE: u32 = 100;

fn close_files_until_closing_fails() {
    for _ in 0..CLOSES_BEFORE {
        drop(fs::File::open("/dev/null").unwrap());
    }
}

/// Network file systems write buffered content when a file is closed, and report errors only then.
#[test]
fn an_error_at_close_prevents_the_publication() {
    if let Some(root) = child_argument() {
        close_files_until_closing_fails();
        for open in OPENERS {
            let directory = open(&root);
            let failed = put(&directory, "name", UploadMode::Replace, b"content");
            if root.join("quota").exists() {
                assert!(matches!(failed, Err(StorageError::DiskFull)), "{failed:?}");
            } else {
                assert!(matches!(failed, Err(StorageError::Io(_))), "{failed:?}");
            }
        }
        return;
    }
    let test = "an_error_at_close_prevents_the_publication";
    let root = tempfile::tempdir().unwrap();
    let fail = |failure: &str| run_failing(test, root.path(), &[UNKNOWN_FILE_SYSTEM, failure], None);
    fail(&format!("close:error=EIO:when={CLOSES_BEFORE}+"));
    assert!(names(root.path()).is_empty());
    fs::write(root.path().join("quota"), b"").unwrap();
    fail(&format!("close:error=EDQUOT:when={CLOSES_BEFORE}+"));
    assert_eq!(names(root.path()), ["quota"]);
}

/// After an interrupted close the descriptor is closed. Storage then flushes the content to see its errors.
#[test]
fn an_interrupted_close_is_not_an_error() {
    if let Some(root) = child_argument() {
        close_files_until_closing_fails();
        for open in OPENERS {
            put(&open(&root), "name", UploadMode::Replace, b"content").unwrap();
        }
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let interrupted = format!("close:error=EINTR:when={CLOSES_BEFORE}+");
    run_failing("an_interrupted_close_is_not_an_error", root.path(), &[UNKNOWN_FILE_SYSTEM, &interrupted], None);
}
