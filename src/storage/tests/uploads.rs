//! Uploads before their commit: the content is not visible, and dropping the upload removes it.

use std::fs;

use rustix::fs::FlockOperation;

use super::*;

#[test]
fn nothing_is_visible_before_the_commit_and_everything_after() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let mut upload = begin(&directory, "name", UploadMode::CreateOnly).unwrap();
        upload.write(b"one, ").unwrap();
        upload.write(b"").unwrap();
        upload.write(b"two").unwrap();
        assert_eq!(upload.bytes_written(), 8);
        assert!(matches!(directory.open_file(&path("name")), Err(StorageError::NotFound)));
        let published = upload.commit(0, |_| true).unwrap();
        assert!(published.created);
        assert_eq!(published.metadata.size_bytes, 8);
        assert_eq!(fs::read(root.path().join("name")).unwrap(), b"one, two");
        assert_eq!(names(root.path()), ["name"]);
    }
}

#[test]
fn a_dropped_upload_leaves_nothing() {
    for open in OPENERS {
        for mode in [UploadMode::CreateOnly, UploadMode::Replace] {
            let root = tempfile::tempdir().unwrap();
            let directory = open(root.path());
            let mut upload = begin(&directory, "name", mode).unwrap();
            upload.write(b"half of it").unwrap();
            drop(upload);
            assert!(names(root.path()).is_empty());
        }
    }
}

/// The content has no name if the system supports that, else a temporary one.
#[test]
fn an_upload_in_progress_has_no_name_or_a_locked_temporary_one() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        let instrumented = Instrumented::new(system);
        let directory = open_on(system, root.path());
        let handle = fs::File::open(root.path()).unwrap().into();
        let _upload = begin(&directory, "name", UploadMode::Replace).unwrap();
        let unnamed = instrumented.can_link_unnamed(&handle) && instrumented.create_unnamed(&handle).is_ok();
        assert_eq!(names(root.path()).len(), usize::from(!unnamed));
        assert!(!(unnamed && system == System::Portable));
    }

    let root = tempfile::tempdir().unwrap();
    let directory = open_portable(root.path());
    let upload = begin(&directory, "name", UploadMode::Replace).unwrap();
    let [name] = &names(root.path())[..] else { panic!("one temporary file is expected") };
    assert!(RelativePath::from_segments([name]).is_err(), "a client could request {name}");
    let other = fs::File::open(root.path().join(name)).unwrap();
    let lock = || rustix::fs::flock(&other, FlockOperation::NonBlockingLockExclusive);
    assert_eq!(lock(), Err(rustix::io::Errno::WOULDBLOCK));
    drop(upload);
    assert_eq!(lock(), Ok(()));
}

#[test]
fn an_empty_upload_makes_an_empty_file() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let published = put(&open(root.path()), "name", UploadMode::Replace, b"").unwrap();
        assert_eq!((published.created, published.metadata.size_bytes), (true, 0));
        assert_eq!(fs::read(root.path().join("name")).unwrap(), b"");
    }
}

#[test]
fn a_new_file_has_the_usual_mode() {
    use std::os::unix::fs::PermissionsExt;
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(root.path().join(name)).unwrap().permissions().mode();
        fs::File::create(root.path().join("other")).unwrap();
        put(&open(root.path()), "name", UploadMode::Replace, b"").unwrap();
        assert_eq!(mode("name"), mode("other"));
    }
}

#[test]
fn content_of_another_length_than_expected_is_not_published() {
    for open in OPENERS {
        for content in [&b"12"[..], b"1234"] {
            let root = tempfile::tempdir().unwrap();
            let directory = open(root.path());
            let mut upload = directory.begin_upload(&path("name"), UploadMode::Replace, Some(3), false).unwrap();
            upload.write(content).unwrap();
            assert!(matches!(upload.commit(0, |_| true), Err(StorageError::Io(_))));
            assert!(names(root.path()).is_empty());
        }
    }
}

#[test]
fn an_upload_to_a_directory_that_was_removed_meanwhile_fails() {
    for open in OPENERS {
        for mode in [UploadMode::CreateOnly, UploadMode::Replace] {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join("sub")).unwrap();
            let mut upload = begin(&open(root.path()), "sub/name", mode).unwrap();
            upload.write(b"content").unwrap();
            fs::remove_dir_all(root.path().join("sub")).unwrap();
            assert!(matches!(upload.commit(0, |_| true), Err(StorageError::ParentMissing)));
            assert!(names(root.path()).is_empty());
        }
    }
}

/// The file would be published in the open directory, wherever that is, and no reader would find it.
#[test]
fn an_upload_to_a_directory_that_was_moved_meanwhile_fails() {
    for open in OPENERS {
        for (mode, durable, is_replaced) in [
            (UploadMode::CreateOnly, false, false),
            (UploadMode::Replace, false, false),
            (UploadMode::Replace, true, false),
            (UploadMode::Replace, false, true),
        ] {
            let scratch = tempfile::tempdir().unwrap();
            let root = scratch.path().join("root");
            fs::create_dir_all(root.join("sub/deep")).unwrap();
            let directory = open(&root);
            let mut uploads: Vec<_> = ["sub/name", "sub/deep/name"]
                .map(|name| directory.begin_upload(&path(name), mode, None, durable).unwrap())
                .into();
            fs::rename(root.join("sub"), scratch.path().join("away")).unwrap();
            if is_replaced {
                fs::create_dir_all(root.join("sub/deep")).unwrap();
            }
            for mut upload in uploads.drain(..) {
                upload.write(b"content").unwrap();
                assert!(matches!(upload.commit(0, |_| true), Err(StorageError::ParentMissing)));
            }
            assert_eq!(names(&scratch.path().join("away")), ["deep"]);
            assert!(names(&scratch.path().join("away/deep")).is_empty());
            if is_replaced {
                assert_eq!(names(&root.join("sub")), ["deep"]);
                assert!(names(&root.join("sub/deep")).is_empty());
            }
        }
    }
}

#[test]
fn uploads_continue_in_a_directory_that_is_moved_away_and_back() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("sub")).unwrap();
        let upload = begin(&open(root.path()), "sub/name", UploadMode::Replace).unwrap();
        fs::rename(root.path().join("sub"), root.path().join("away")).unwrap();
        fs::rename(root.path().join("away"), root.path().join("sub")).unwrap();
        assert!(upload.commit(0, |_| true).is_ok());
        assert_eq!(names(&root.path().join("sub")), ["name"]);
    }
}

/// The open root is served wherever it is.
#[test]
fn uploads_continue_in_a_root_that_is_moved() {
    for open in OPENERS {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        let directory = open(&root);
        let uploads = ["name", "sub/name"].map(|name| begin(&directory, name, UploadMode::Replace).unwrap());
        fs::rename(&root, scratch.path().join("away")).unwrap();
        for upload in uploads {
            assert!(upload.commit(0, |_| true).is_ok());
        }
        assert_eq!(names(&scratch.path().join("away")), ["name", "sub"]);
        assert_eq!(names(&scratch.path().join("away/sub")), ["name"]);
    }
}
