//! Uploads to directories that do not exist.

use std::fs;
use std::os::unix::fs::symlink;

use rustix::io::Errno;

use super::super::{FoundUpload, UploadId};
use super::instrumented::Fault;
use super::*;

fn open_creating(system: System, root: &Path) -> (Instrumented, Directory<Instrumented>) {
    let instrumented = Instrumented::new(system);
    let directory = Directory::open_in(instrumented.clone(), root, 1).unwrap();
    directory.create_missing_directories();
    (instrumented, directory)
}

/// Everything below a directory, without the root's own path.
fn tree(root: &Path) -> Vec<String> {
    fn add(directory: &Path, prefix: &str, found: &mut Vec<String>) {
        for name in names(directory) {
            let path = format!("{prefix}{name}");
            found.push(path.clone());
            if directory.join(&name).is_dir() {
                add(&directory.join(&name), &format!("{path}/"), found);
            }
        }
    }
    let mut found = Vec::new();
    add(root, "", &mut found);
    found
}

#[test]
fn an_upload_creates_its_directories_when_it_is_published() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        let (_, directory) = open_creating(system, root.path());
        let mut upload = begin(&directory, "a/b/c/file", UploadMode::Replace).unwrap();
        upload.write(b"content").unwrap();
        assert!(tree(root.path()).iter().all(|name| name.starts_with(".spindle-")), "{:?}", tree(root.path()));
        assert!(upload.commit(0, |_| true).unwrap().created);
        assert_eq!(tree(root.path()), ["a", "a/b", "a/b/c", "a/b/c/file"]);
        assert_eq!(fs::read(root.path().join("a/b/c/file")).unwrap(), b"content");
        put(&directory, "a/d/file", UploadMode::CreateOnly, b"content").unwrap();
        assert!(matches!(put(&directory, "a/d/file", UploadMode::CreateOnly, b""), Err(StorageError::AlreadyExists)));
    }
}

#[test]
fn without_the_setting_a_missing_directory_is_an_error() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let missing = begin(&open(root.path()), "a/file", UploadMode::Replace).map(|_| ());
        assert!(matches!(missing, Err(StorageError::ParentMissing)), "{missing:?}");
    }
}

#[test]
fn an_upload_that_fails_leaves_no_directories() {
    for system in SYSTEMS {
        for (call, errno) in [("create_directory", Errno::NOSPC), ("link", Errno::IO), ("link_unnamed", Errno::IO)] {
            let root = tempfile::tempdir().unwrap();
            let (instrumented, directory) = open_creating(system, root.path());
            let dropped = begin(&directory, "a/b/file", UploadMode::Replace).unwrap();
            drop(dropped);
            assert_eq!(tree(root.path()), [""; 0]);
            let refused = begin(&directory, "a/b/file", UploadMode::Replace).unwrap().commit(0, |_| false);
            assert!(matches!(refused, Err(StorageError::ConditionFailed)));
            assert_eq!(tree(root.path()), [""; 0]);
            let mut upload = begin(&directory, "a/b/file", UploadMode::Replace).unwrap();
            upload.write(b"content").unwrap();
            let after = usize::from(call == "create_directory");
            instrumented.fail(Fault { call: Some(call), after, times: usize::MAX, errno });
            let committed = upload.commit(0, |_| true);
            if committed.is_err() {
                assert_eq!(tree(root.path()), [""; 0], "{call}");
            } else {
                assert_ne!(call, "create_directory");
            }
        }
    }
}

#[test]
fn directories_and_files_that_others_create_meanwhile_are_used() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        let (_, directory) = open_creating(system, root.path());
        let mut upload = begin(&directory, "a/b/file", UploadMode::Replace).unwrap();
        upload.write(b"mine").unwrap();
        fs::create_dir_all(root.path().join("a/b")).unwrap();
        fs::write(root.path().join("a/b/file"), b"theirs").unwrap();
        assert!(!upload.commit(0, |existing| existing.is_some_and(|found| found.size_bytes == 6)).unwrap().created);
        assert_eq!(tree(root.path()), ["a", "a/b", "a/b/file"]);
        assert_eq!(fs::read(root.path().join("a/b/file")).unwrap(), b"mine");

        let mut exclusive = begin(&directory, "c/file", UploadMode::CreateOnly).unwrap();
        exclusive.write(b"mine").unwrap();
        let committed = exclusive.commit(0, |_| {
            fs::create_dir_all(root.path().join("c")).unwrap();
            fs::write(root.path().join("c/file"), b"theirs").unwrap();
            true
        });
        assert!(matches!(committed, Err(StorageError::AlreadyExists)), "{committed:?}");
        assert_eq!(fs::read(root.path().join("c/file")).unwrap(), b"theirs");
    }
}

#[test]
fn a_file_or_a_link_in_the_way_is_an_error() {
    for system in SYSTEMS {
        let both = tempfile::tempdir().unwrap();
        let (root, outside) = (both.path().join("root"), both.path().join("outside"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(root.join("file"), b"").unwrap();
        symlink("nothing", root.join("dangling")).unwrap();
        symlink("../outside", root.join("out")).unwrap();
        let (_, directory) = open_creating(system, &root);
        for name in ["file/x", "file/a/x", "dangling/x", "dangling/a/x", "out/x", "out/a/x"] {
            let begun = begin(&directory, name, UploadMode::Replace).map(|_| ());
            assert!(matches!(begun, Err(StorageError::ParentMissing)), "{name}: {begun:?}");
        }
        // A link that takes the name of a missing directory meanwhile is not followed.
        let upload = begin(&directory, "a/b/file", UploadMode::Replace).unwrap();
        symlink("../outside", root.join("a")).unwrap();
        let committed = upload.commit(0, |_| true);
        assert!(matches!(committed, Err(StorageError::ParentMissing)), "{committed:?}");
        assert_eq!(names(&outside), [""; 0]);
    }
}

#[test]
fn a_durable_upload_flushes_all_its_new_directories_at_the_same_time() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        let (instrumented, directory) = open_creating(system, root.path());
        let upload = directory.begin_upload(&path("a/b/file"), UploadMode::Replace, None, true).unwrap();
        instrumented.calls();
        upload.commit(0, |_| true).unwrap();
        let calls = instrumented.calls();
        let after_each: Vec<_> = calls.split(|call| *call == "create_directory").skip(1).collect();
        assert_eq!(after_each.len(), 2, "{calls:?}");
        assert_eq!(after_each[0], ["open_entry"], "{calls:?}");
        // Both directories, and the one in which the first was created.
        let flushed = &["open_entry", "sync_all", "sync_directory", "sync_directory", "sync_directory"];
        assert!(after_each[1].starts_with(flushed), "{calls:?}");
    }
}

#[test]
fn a_resumable_upload_is_found_before_and_after_its_directory_exists() {
    for system in SYSTEMS {
        for others_create in [false, true] {
            let root = tempfile::tempdir().unwrap();
            let (_, directory) = open_creating(system, root.path());
            let (id, name) = (UploadId::new(7 << 64 | 8), path("a/b/file"));
            let mut upload =
                directory.begin_partial_upload(id, &name, UploadMode::Replace, None, false, b"note".to_vec()).unwrap();
            upload.write(b"one ").unwrap();
            upload.save(b"saved").unwrap();
            drop(upload);
            assert!(!root.path().join("a").exists());
            if others_create {
                fs::create_dir_all(root.path().join("a/b")).unwrap();
                put(&directory, "a/other", UploadMode::Replace, b"").unwrap();
            }
            // Another path with the same identifier leads to nothing, even if the directory is the same.
            for other in ["a/b/other", "a/file", "file", "b/file", "a/b/file/x"] {
                let found = directory.find_partial_upload(id, &path(other), false).map(|_| ());
                assert!(matches!(found, Err(StorageError::NotFound)), "{other}: {found:?}");
            }
            let Ok(FoundUpload::Partial(mut upload)) = directory.find_partial_upload(id, &name, false) else {
                panic!()
            };
            assert_eq!((upload.creation(), upload.note(), upload.bytes_written()), (&b"note"[..], &b"saved"[..], 4));
            upload.write(b"two").unwrap();
            let (published, ended) = upload.commit(UploadMode::Replace, 0, b"saved", None, |_| true).unwrap();
            assert!(published.unwrap().created);
            ended.save(b"told").unwrap();
            assert_eq!(fs::read(root.path().join("a/b/file")).unwrap(), b"one two");
            let found = directory.find_partial_upload(id, &name, false).unwrap();
            let FoundUpload::Ended { note, metadata, .. } = found else { panic!("{found:?}") };
            assert_eq!((note.as_deref(), metadata.unwrap().size_bytes), (Some(&b"told"[..]), 7));
            directory.forget_partial_upload(id, &name);
            assert!(directory.find_partial_upload(id, &name, false).is_err());
            assert!(names(root.path()).iter().all(|name| !name.starts_with(".spindle")));
        }
    }
}
