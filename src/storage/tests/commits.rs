//! Commits: what they replace, what they check, and what they return.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::symlink;

use super::super::Metadata;
use super::*;

#[test]
fn replacing_reports_whether_a_file_existed() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        assert!(put(&directory, "name", UploadMode::Replace, b"one").unwrap().created);
        assert!(!put(&directory, "name", UploadMode::Replace, b"two").unwrap().created);
        assert_eq!(fs::read(root.path().join("name")).unwrap(), b"two");
        assert_eq!(names(root.path()), ["name"]);
    }
}

#[test]
fn creating_never_replaces_a_file_that_was_created_meanwhile() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let [mut upload, mut third] = [(); 2].map(|()| begin(&directory, "name", UploadMode::CreateOnly).unwrap());
        upload.write(b"second").unwrap();
        third.write(b"third").unwrap();
        // The file is created between the check and the link, so that only the kernel notices it.
        let committed = upload.commit(0, |existing| {
            assert_eq!(existing, None);
            fs::write(root.path().join("name"), b"first").unwrap();
            true
        });
        assert!(matches!(committed, Err(StorageError::AlreadyExists)));
        // The third upload finds it when it checks.
        assert!(matches!(third.commit(0, |_| true), Err(StorageError::AlreadyExists)));
        assert_eq!(fs::read(root.path().join("name")).unwrap(), b"first");
        assert_eq!(names(root.path()), ["name"]);
        assert!(matches!(begin(&directory, "name", UploadMode::CreateOnly), Err(StorageError::AlreadyExists)));
    }
}

#[test]
fn the_condition_is_checked_against_the_file_that_is_replaced() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let asked: RefCell<Vec<Option<Metadata>>> = RefCell::default();
        let mut upload = begin(&directory, "name", UploadMode::Replace).unwrap();
        upload.write(b"mine").unwrap();
        let published = upload.commit(0, |existing| {
            asked.borrow_mut().push(existing.copied());
            // Another process creates the name after the first check.
            if asked.borrow().len() == 1 {
                fs::write(root.path().join("name"), b"theirs").unwrap();
            }
            true
        });
        assert!(!published.unwrap().created);
        let asked = asked.into_inner();
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[0], None);
        assert_eq!(asked[1].unwrap().size_bytes, b"theirs".len() as u64);
        assert_eq!(fs::read(root.path().join("name")).unwrap(), b"mine");
        assert_eq!(names(root.path()), ["name"]);
    }
}

#[test]
fn a_condition_that_fails_changes_nothing() {
    for open in OPENERS {
        for mode in [UploadMode::CreateOnly, UploadMode::Replace] {
            let root = tempfile::tempdir().unwrap();
            let directory = open(root.path());
            let upload = begin(&directory, "name", mode).unwrap();
            let committed = upload.commit(0, |existing| existing.is_some());
            assert!(matches!(committed, Err(StorageError::ConditionFailed)));
            assert!(names(root.path()).is_empty());
        }
    }
}

/// Two uploads with a condition on the same version: the second commit must not undo the first.
#[test]
fn an_update_is_not_lost() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let seen = put(&directory, "name", UploadMode::Replace, b"0").unwrap().metadata;
        let unchanged = |existing: Option<&Metadata>| existing == Some(&seen);
        let [mut one, mut other] = [(); 2].map(|()| begin(&directory, "name", UploadMode::Replace).unwrap());
        one.write(b"1").unwrap();
        other.write(b"2").unwrap();
        other.commit(0, unchanged).unwrap();
        assert!(matches!(one.commit(0, unchanged), Err(StorageError::ConditionFailed)));
        assert_eq!(fs::read(root.path().join("name")).unwrap(), b"2");
    }
}

#[test]
fn of_two_uploads_to_one_name_the_last_commit_wins() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let [mut one, mut other] = [(); 2].map(|()| begin(&directory, "name", UploadMode::Replace).unwrap());
        one.write(b"one and ").unwrap();
        other.write(b"other").unwrap();
        one.write(b"longer").unwrap();
        assert!(other.commit(0, |_| true).unwrap().created);
        let reader = directory.open_file(&path("name")).unwrap();
        assert!(!one.commit(0, |_| true).unwrap().created);
        assert_eq!(fs::read(root.path().join("name")).unwrap(), b"one and longer");
        let content = content(&reader);
        assert_eq!(content, b"other", "a reader that has the old file open reads it to its end");
        assert_eq!(names(root.path()), ["name"]);
    }
}

#[test]
fn a_commit_returns_the_metadata_that_a_reader_sees() {
    for open in OPENERS {
        for mode in [UploadMode::CreateOnly, UploadMode::Replace] {
            for already_there in [false, true] {
                let root = tempfile::tempdir().unwrap();
                let directory = open(root.path());
                if already_there && mode == UploadMode::Replace {
                    put(&directory, "name", mode, b"before").unwrap();
                }
                let Published { metadata: published, modified_ns, .. } =
                    put(&directory, "name", mode, b"content").unwrap();
                assert_eq!(published.modified_ns, i128::from(modified_ns), "this file system keeps nanoseconds");
                assert_eq!(directory.open_file(&path("name")).unwrap().metadata, published);
                assert_eq!(directory.metadata(&path("name")).unwrap(), published);
            }
        }
    }
}

#[test]
fn modification_times_strictly_increase() {
    const NOW: u64 = 1_700_000_000_123_456_789;
    const NOW_US: u64 = 1_700_000_000_123_456_000;
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        // The clock stands still, advances, and is set back a little.
        for (clock, expected) in
            [(NOW, NOW_US), (NOW, NOW_US + 1000), (NOW + 9000, NOW_US + 9000), (NOW - 5000, NOW_US + 10_000)]
        {
            let upload = begin(&directory, "name", UploadMode::Replace).unwrap();
            let published = upload.commit(clock, |_| true).unwrap();
            assert_eq!(published.metadata.modified_ns, i128::from(expected));
        }
    }
}

#[test]
fn modification_times_follow_back_a_clock_that_was_years_ahead() {
    const NOW_S: u64 = 1_700_000_000;
    const TEN_YEARS_S: u64 = 10 * 365 * 86_400;
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        for clock_s in [NOW_S, NOW_S + TEN_YEARS_S, NOW_S + 1, NOW_S + 2] {
            let upload = begin(&directory, "name", UploadMode::Replace).unwrap();
            let published = upload.commit(clock_s * 1_000_000_000, |_| true).unwrap();
            assert_eq!(published.metadata.modified_ns / 1_000_000_000, i128::from(clock_s));
        }
    }
}

#[test]
fn a_durable_commit_publishes_the_same() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("sub")).unwrap();
        let directory = open(root.path());
        for name in ["name", "sub/name"] {
            let mut upload = directory.begin_upload(&path(name), UploadMode::Replace, None, true).unwrap();
            upload.write(b"content").unwrap();
            let published = upload.commit(0, |_| true).unwrap();
            assert_eq!(directory.metadata(&path(name)).unwrap(), published.metadata);
            assert_eq!(fs::read(root.path().join(name)).unwrap(), b"content");
        }
    }
}

#[test]
fn a_link_is_replaced_and_its_target_is_not() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let target = put(&directory, "target", UploadMode::Replace, b"target").unwrap().metadata;
        symlink("target", root.path().join("link")).unwrap();
        symlink("absent", root.path().join("dangling")).unwrap();
        // The condition is checked against the file that a reader finds.
        let seen = if directory.follows_links() { Some(target) } else { None };
        for (name, seen) in [("link", seen), ("dangling", None)] {
            let mut upload = begin(&directory, name, UploadMode::Replace).unwrap();
            upload.write(b"new").unwrap();
            let committed = upload.commit(0, |existing| {
                assert_eq!(existing.copied(), seen, "{name}");
                true
            });
            assert!(!committed.unwrap().created);
            assert!(fs::symlink_metadata(root.path().join(name)).unwrap().is_file());
        }
        assert_eq!(fs::read(root.path().join("target")).unwrap(), b"target");
        assert_eq!(names(root.path()), ["dangling", "link", "target"]);
    }
}

#[test]
fn something_else_than_a_regular_file_is_never_replaced() {
    for open in OPENERS {
        let make: [fn(&Path); 2] = [|path| fs::create_dir(path).unwrap(), make_fifo];
        for (make, mode) in
            make.into_iter().flat_map(|make| [(make, UploadMode::CreateOnly), (make, UploadMode::Replace)])
        {
            let root = tempfile::tempdir().unwrap();
            let directory = open(root.path());
            let upload = begin(&directory, "name", mode).unwrap();
            make(&root.path().join("name"));
            assert!(matches!(upload.commit(0, |_| true), Err(StorageError::NotRegularFile)));
            assert!(!fs::symlink_metadata(root.path().join("name")).unwrap().is_file());
            assert!(matches!(begin(&directory, "name", mode), Err(StorageError::NotRegularFile)));
            assert_eq!(names(root.path()), ["name"]);
        }
    }
}

/// While a file is replaced again and again, each reader finds one complete version.
#[test]
fn no_reader_sees_a_torn_file() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        put(&directory, "name", UploadMode::Replace, &[0; 4096]).unwrap();
        let name = root.path().join("name");
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..300 {
                            let content = fs::read(&name).unwrap();
                            assert_eq!(content.len(), 4096);
                            assert!(content.iter().all(|&byte| byte == content[0]));
                        }
                    })
                })
                .collect();
            for version in 1..=200 {
                let mut upload = begin(&directory, "name", UploadMode::Replace).unwrap();
                upload.write(&[version; 1000]).unwrap();
                upload.write(&[version; 3096]).unwrap();
                upload.commit(0, |_| true).unwrap();
            }
            for reader in readers {
                reader.join().unwrap();
            }
        });
    }
}
