//! Files that are stored in one call.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

fn store<F: FileSystem>(
    directory: &Directory<F>,
    name: &str,
    mode: UploadMode,
    content: &[u8],
) -> Result<Published, StorageError> {
    directory.store(&path(name), mode, content, 0)
}

/// A directory on each of the systems, on a file system that may fail when a file is closed and on one that does not.
fn each_directory(test: impl Fn(&Instrumented, &Directory<Instrumented>, &Path)) {
    for system in SYSTEMS {
        for never_fails_at_close in [false, true] {
            let root = tempfile::tempdir().unwrap();
            let instrumented = Instrumented::new(system);
            if never_fails_at_close {
                instrumented.never_fail_at_close();
            }
            let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
            test(&instrumented, &directory, root.path());
        }
    }
}

#[test]
fn stored_content_is_what_an_upload_would_have_left() {
    each_directory(|_, directory, root| {
        let long = vec![b'l'; 100_000];
        for (content, created) in [(&b"one"[..], true), (b"", false), (b"two", false), (&long, false)] {
            let published = store(directory, "name", UploadMode::Replace, content).unwrap();
            assert_eq!((published.created, published.metadata.size_bytes), (created, content.len() as u64));
            let opened = directory.open_file(&path("name")).unwrap();
            assert_eq!(opened.metadata, published.metadata, "a reader sees the same version");
            assert_eq!(self::content(&opened), content);
        }
        let again = store(directory, "name", UploadMode::CreateOnly, b"other");
        assert!(matches!(again, Err(StorageError::AlreadyExists)), "{again:?}");
        assert!(store(directory, "other", UploadMode::CreateOnly, b"other").unwrap().created);
        assert_eq!(fs::read(root.join("name")).unwrap(), long);
        assert_eq!(names(root), ["name", "other"]);
    });
}

#[test]
fn what_is_stored_has_the_errors_of_an_upload() {
    each_directory(|instrumented, directory, root| {
        fs::create_dir(root.join("sub")).unwrap();
        fs::write(root.join("file"), b"").unwrap();
        for mode in [UploadMode::Replace, UploadMode::CreateOnly] {
            for name in ["sub", "file/name", "none/name"] {
                let errors = [store(directory, name, mode, b"content"), put(directory, name, mode, b"content")];
                let [stored, uploaded] = errors.map(|error| format!("{:?}", error.unwrap_err()));
                assert_eq!(stored, uploaded, "{name}");
            }
        }
        for call in ["write", "set_modified", "rename", "link_unnamed", "link", "create", "create_unnamed"] {
            for name in ["new", "file"] {
                let fault = |errno| instrumented::Fault { call: Some(call), after: 0, times: 1, errno };
                instrumented.calls();
                instrumented.fail(fault(rustix::io::Errno::NOSPC));
                let stored = store(directory, name, UploadMode::Replace, b"content");
                if instrumented.calls().contains(&call) {
                    assert!(matches!(stored, Err(StorageError::DiskFull)), "{call}: {stored:?}");
                } else {
                    // The call is not made, so the fault is still there.
                    instrumented.forget_faults();
                }
                assert_eq!(
                    fs::read(root.join("file")).unwrap().len(),
                    if stored.is_ok() && name == "file" { 7 } else { 0 }
                );
                fs::write(root.join("file"), b"").unwrap();
                let _ = fs::remove_file(root.join("new"));
                assert_eq!(names(root), ["file", "sub"], "{call}");
            }
        }
    });
}

#[test]
fn directories_are_created_for_what_is_stored() {
    each_directory(|_, directory, root| {
        directory.create_missing_directories();
        for created in [true, false] {
            assert_eq!(store(directory, "a/b/name", UploadMode::Replace, b"content").unwrap().created, created);
            assert_eq!(fs::read(root.join("a/b/name")).unwrap(), b"content");
            assert_eq!(names(&root.join("a/b")), ["name"]);
        }
    });
}

#[test]
fn a_link_is_replaced_by_what_is_stored_and_its_target_is_not() {
    each_directory(|_, directory, root| {
        fs::write(root.join("target"), b"target").unwrap();
        symlink("target", root.join("name")).unwrap();
        assert!(!store(directory, "name", UploadMode::Replace, b"content").unwrap().created);
        assert!(fs::symlink_metadata(root.join("name")).unwrap().is_file());
        assert_eq!(fs::read(root.join("target")).unwrap(), b"target");
    });
}

/// What another server does to the directory between any two calls.
#[test]
fn a_temporary_file_that_another_server_removes_is_written_again() {
    for call in ["write", "set_modified", "rename"] {
        each_directory(|instrumented, directory, root| {
            fs::write(root.join("name"), b"old").unwrap();
            // The first upload scans the directory.
            store(directory, "other", UploadMode::Replace, b"").unwrap();
            let other = Directory::open_in(Instrumented::new(System::Portable), root, 2).unwrap();
            instrumented.before(call, move || drop(begin(&other, "of another", UploadMode::Replace).unwrap()));
            assert!(!store(directory, "name", UploadMode::Replace, b"new").unwrap().created);
            assert_eq!(fs::read(root.join("name")).unwrap(), b"new");
            assert_eq!(names(root), ["name", "other"]);
        });
    }
}

#[test]
fn a_name_that_another_process_creates_meanwhile_is_replaced_only_if_it_may_be() {
    for mode in [UploadMode::Replace, UploadMode::CreateOnly] {
        each_directory(|instrumented, directory, root| {
            store(directory, "other", UploadMode::Replace, b"").unwrap();
            let theirs = root.join("name");
            instrumented.before("write", move || fs::write(theirs, b"theirs").unwrap());
            match (mode, store(directory, "name", mode, b"ours")) {
                (UploadMode::Replace, Ok(Published { created: false, .. })) => {
                    assert_eq!(fs::read(root.join("name")).unwrap(), b"ours");
                }
                (UploadMode::CreateOnly, Err(StorageError::AlreadyExists)) => {
                    assert_eq!(fs::read(root.join("name")).unwrap(), b"theirs");
                }
                (_, stored) => panic!("{mode:?}: {stored:?}"),
            }
            assert_eq!(names(root), ["name", "other"]);
        });
    }
}

/// Each call takes time that adds up to most of what a short upload costs.
#[test]
#[cfg(target_os = "linux")]
fn short_content_is_stored_in_six_calls() {
    let root = tempfile::tempdir().unwrap();
    let instrumented = Instrumented::new(System::Linux);
    instrumented.never_fail_at_close();
    let handle = fs::File::open(root.path()).unwrap().into();
    if !instrumented.can_link_unnamed(&handle) || instrumented.create_unnamed(&handle).is_err() {
        return eprintln!("skipped: no unnamed files here");
    }
    let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
    // The first upload scans the directory.
    store(&directory, "other", UploadMode::Replace, b"").unwrap();
    for expected in [
        ["stat_at", "create_unnamed", "write", "set_modified", "link_unnamed", "stat"],
        ["stat_at", "create", "write", "set_modified", "rename", "stat"],
    ] {
        instrumented.calls();
        store(&directory, "name", UploadMode::Replace, b"content").unwrap();
        assert_eq!(instrumented.calls(), expected);
    }
}
