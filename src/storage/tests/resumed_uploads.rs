//! Resumable uploads of an earlier run, of another server, and after faults.

use std::fs;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;

use super::instrumented::Fault;
use super::partial_uploads::{begin_partial, commit, continued, end, find, id};
use super::*;
use crate::storage::{Metadata, PartialUpload, UploadId};

/// Sets the modification times of all files.
fn age(root: &Path, by: Duration) {
    for name in names(root) {
        let file = fs::File::options().write(true).open(root.join(name)).unwrap();
        file.set_modified(file.metadata().unwrap().modified().unwrap() - by).unwrap();
    }
}

fn modified(root: &Path) -> Vec<SystemTime> {
    names(root).into_iter().map(|name| fs::metadata(root.join(name)).unwrap().modified().unwrap()).collect()
}

fn now_ns() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64
}

const DAY: Duration = Duration::from_secs(86_400);

/// A run of the server in which uploads expire after a day.
fn run(open: fn(&Path) -> Directory<Instrumented>, root: &Path) -> Directory<Instrumented> {
    let directory = open(root);
    directory.set_partial_upload_age_max(DAY.as_nanos() as u64);
    directory.set_time(now_ns());
    directory
}

#[test]
fn an_upload_of_an_earlier_run_counts_from_the_moment_in_which_a_request_finds_it() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        drop(begin_partial(&run(open, root.path()), "name"));
        age(root.path(), DAY / 2);
        let directory = run(open, root.path());
        assert_eq!(directory.partial_uploads(), 0, "nothing is known of it yet");
        drop(continued(&directory, "name"));
        assert_eq!(directory.partial_uploads(), 1);
        drop(continued(&directory, "name"));
        assert_eq!(directory.partial_uploads(), 1, "it is the same upload");
        // It expires by the time of its last byte, and not by that of the request.
        directory.set_time(now_ns() + (DAY * 3 / 4).as_nanos() as u64);
        assert_eq!(directory.partial_uploads(), 0);
        directory.set_time(now_ns());
        commit(continued(&directory, "name"));
        assert_eq!(directory.partial_uploads(), 0);
    }
}

#[test]
fn uploads_of_an_earlier_run_count_from_the_moment_in_which_a_cleanup_sees_them() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = run(open, root.path());
        let begin = |number: u128| {
            let id = UploadId::new(number << 64 | (number + 1000));
            directory.begin_partial_upload(id, &path("name"), UploadMode::Replace, None, false, Vec::new()).unwrap()
        };
        (1..=3).for_each(|number| begin(number).discard());
        for number in 4..=6 {
            let mut upload = begin(number);
            upload.write(b"content").unwrap();
            upload.save(b"note").unwrap();
        }
        age(root.path(), 2 * DAY);
        (7..=9).for_each(|number| drop(begin(number)));
        // The record of an upload that has ended is no unfinished upload.
        commit(begin(10));

        let directory = run(open, root.path());
        assert_eq!(directory.partial_uploads(), 0, "nothing is known of them yet");
        put(&directory, "other", UploadMode::Replace, b"").unwrap();
        assert_eq!(directory.partial_uploads(), 3, "the ended and the expired ones do not count");
        drop(directory.find_partial_upload(UploadId::new(7 << 64 | 1007), &path("name"), false).unwrap());
        assert_eq!(directory.partial_uploads(), 3, "a request finds one of them");
    }
}

/// A cleanup cannot know that the file was published just before the server stopped. A request can.
#[test]
fn an_upload_whose_end_was_not_recorded_counts_until_a_request_finds_its_file() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let upload = begin_partial(&run(open, root.path()), "name");
        let (published, ended) = upload.commit(UploadMode::Replace, now_ns(), b"note", None, |_| true).unwrap();
        published.unwrap();
        drop(ended);
        let directory = run(open, root.path());
        put(&directory, "other", UploadMode::Replace, b"").unwrap();
        assert_eq!(directory.partial_uploads(), 1);
        assert!(end(&directory, "name").2.is_some());
        assert_eq!(directory.partial_uploads(), 0);
    }
}

#[test]
fn a_cleanup_that_sees_many_uploads_does_it_in_slices() {
    let root = tempfile::tempdir().unwrap();
    let directory = run(open_portable, root.path());
    for number in 0..100 {
        let id = UploadId::new(number << 64 | (number + 1000));
        drop(directory.begin_partial_upload(id, &path("name"), UploadMode::Replace, None, false, Vec::new()).unwrap());
    }
    let directory = run(open_portable, root.path());
    let mut seen = vec![0];
    for _ in 0..4 {
        put(&directory, "other", UploadMode::Replace, b"").unwrap();
        seen.push(directory.partial_uploads());
    }
    assert!(seen.windows(2).all(|counts| counts[0] <= counts[1] && counts[1] - counts[0] <= 64), "{seen:?}");
    assert_eq!(seen[4], 100);
}

#[test]
fn finding_an_upload_does_not_extend_its_life() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let mut upload = begin_partial(&run(open, root.path()), "name");
        upload.write(b"content").unwrap();
        upload.save(b"note").unwrap();
        upload.write(b"unsaved").unwrap();
        drop(upload);
        age(root.path(), DAY / 2);
        let before = modified(root.path());
        let directory = run(open, root.path());
        let upload = continued(&directory, "name");
        let left = Duration::from_nanos(upload.lifetime_ns());
        assert!((DAY / 2 - Duration::from_secs(60)..=DAY / 2).contains(&left), "{left:?}");
        drop(upload);
        assert_eq!(modified(root.path()), before);

        let mut upload = continued(&directory, "name");
        upload.write(b" and more").unwrap();
        upload.save(b"note").unwrap();
        assert_eq!(Duration::from_nanos(upload.lifetime_ns()), DAY, "more content does");
        drop(upload);
        assert!(Duration::from_nanos(continued(&directory, "name").lifetime_ns()) > DAY - Duration::from_secs(60));
        commit(continued(&directory, "name"));
        assert_eq!(fs::read(root.path().join("name")).unwrap(), b"content and more");
    }
}

/// A file is published without the content that an earlier run has not saved.
#[test]
fn unsaved_content_of_an_earlier_run_is_not_published() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let mut upload = begin_partial(&open(root.path()), "name");
        upload.write(b"content").unwrap();
        upload.save(b"note").unwrap();
        upload.write(b"unsaved").unwrap();
        drop(upload);
        commit(continued(&open(root.path()), "name"));
        assert_eq!(fs::read(root.path().join("name")).unwrap(), b"content");
    }
}

/// Two servers share the directory. The other one appends after this one has read the state, and before it has the lock.
#[test]
fn content_that_another_server_appends_before_the_upload_is_locked_is_kept() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let mut theirs = begin_partial(&open(root.path()), "name");
        theirs.write(b"one, ").unwrap();
        theirs.save(b"first").unwrap();
        let directory = open(root.path());
        directory.root.file_system().before("lock", move || {
            theirs.write(b"two").unwrap();
            theirs.save(b"second").unwrap();
        });
        let upload = continued(&directory, "name");
        assert_eq!((upload.bytes_written(), upload.note()), (8, &b"second"[..]));
        commit(upload);
        assert_eq!(fs::read(root.path().join("name")).unwrap(), b"one, two");
    }
}

#[test]
fn an_upload_that_was_found_is_not_continued_by_another_server() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        drop(begin_partial(&open(root.path()), "name"));
        let (one, other) = (open(root.path()), open(root.path()));
        let upload = continued(&one, "name");
        for directory in [&one, &other] {
            assert!(matches!(find(directory, "name"), Err(StorageError::Busy)));
        }
        drop(upload);
        continued(&other, "name");
    }
}

/// Both of its files are locked while it is continued.
#[test]
fn a_cleanup_removes_no_file_of_an_upload_that_is_being_continued() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        drop(begin_partial(&open(root.path()), "name"));
        let mut upload = continued(&open(root.path()), "name");
        let other = run(open, root.path());
        other.set_time(now_ns() + 2 * DAY.as_nanos() as u64);
        put(&other, "other", UploadMode::Replace, b"").unwrap();
        assert_eq!(names(root.path()).len(), 3, "{:?}", names(root.path()));
        upload.write(b"content").unwrap();
        commit(upload);
        assert_eq!(fs::read(root.path().join("name")).unwrap(), b"content");
    }
}

#[test]
fn a_reused_inode_number_does_not_pass_for_the_published_file() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let mut upload = begin_partial(&directory, "name");
        upload.write(b"content").unwrap();
        let (published, ended) = upload.commit(UploadMode::Replace, now_ns(), b"note", None, |_| true).unwrap();
        published.unwrap();
        // The server stops here. Later the file is removed, and another one of the same length gets its inode number.
        drop(ended);
        assert_eq!(end(&directory, "name").1, 7);
        let file = fs::File::options().write(true).open(root.path().join("name")).unwrap();
        file.set_modified(SystemTime::now() - DAY).unwrap();
        assert!(matches!(find(&directory, "name"), Err(StorageError::NotFound)));
    }
}

/// The note has the state of the digests, which must be that of the whole content. The condition is called between the
/// record and the publication, and copies what a kill would leave there.
#[test]
fn an_upload_that_was_about_to_be_published_is_continued_with_the_note_of_its_publication() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let killed = tempfile::tempdir().unwrap();
        let mut upload = begin_partial(&open(root.path()), "name");
        upload.write(b"one, ").unwrap();
        upload.save(b"first").unwrap();
        upload.write(b"two").unwrap();
        let copy = |_: Option<&Metadata>| {
            for name in names(root.path()) {
                fs::copy(root.path().join(&name), killed.path().join(&name)).unwrap();
            }
            true
        };
        let (published, _) = upload.commit(UploadMode::Replace, 0, b"both", None, copy).unwrap();
        published.unwrap();
        let upload = continued(&open(killed.path()), "name");
        assert_eq!((upload.bytes_written(), upload.note()), (8, &b"both"[..]));
        commit(upload);
        assert_eq!(fs::read(killed.path().join("name")).unwrap(), b"one, two");
    }
}

#[test]
fn an_upload_that_cannot_be_begun_leaves_no_file_and_is_not_counted() {
    for system in SYSTEMS {
        for call in ["create", "write"] {
            let root = tempfile::tempdir().unwrap();
            let instrumented = Instrumented::new(system);
            let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
            // The second file that is created is the state file.
            let after = usize::from(call == "create");
            instrumented.fail(Fault { call: Some(call), after, times: 1, errno: Errno::NOSPC });
            let begun =
                directory.begin_partial_upload(id(), &path("name"), UploadMode::Replace, None, false, Vec::new());
            assert!(begun.is_err(), "{call}: {:?}", instrumented.calls());
            assert!(names(root.path()).is_empty(), "{call}: {:?}", names(root.path()));
            assert_eq!(directory.partial_uploads(), 0);
        }
    }
}

/// A directory, and a durable upload to it that has content and was not saved.
fn unsaved_durable_upload(
    instrumented: &Instrumented,
    root: &Path,
) -> (Directory<Instrumented>, PartialUpload<Instrumented>) {
    let directory = Directory::open_in(instrumented.clone(), root, 1).unwrap();
    let begun = directory.begin_partial_upload(id(), &path("name"), UploadMode::Replace, None, true, Vec::new());
    let mut upload = begun.unwrap();
    upload.write(b"content").unwrap();
    (directory, upload)
}

/// After a failed flush it is unknown what is on the disk, so that no offset may be reported any more.
#[test]
fn an_upload_cannot_be_used_after_a_failed_flush() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        let instrumented = Instrumented::new(system);
        let (directory, mut upload) = unsaved_durable_upload(&instrumented, root.path());
        instrumented.fail(Fault { call: Some("sync_file"), after: 0, times: 1, errno: Errno::IO });
        assert!(upload.save(b"note").is_err(), "{:?}", instrumented.calls());
        assert!(upload.write(b"more").is_err() && upload.save(b"note").is_err());
        drop(upload);
        assert!(names(root.path()).is_empty());
        assert!(matches!(directory.find_partial_upload(id(), &path("name"), true), Err(StorageError::NotFound)));
        assert_eq!(directory.partial_uploads(), 0);
    }
}

#[test]
fn a_cleanup_that_cannot_read_the_age_of_an_upload_keeps_it() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        drop(begin_partial(&open_portable(root.path()), "name"));
        let instrumented = Instrumented::new(system);
        let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
        directory.set_partial_upload_age_max(DAY.as_nanos() as u64);
        directory.set_time(now_ns());
        // The first call is that of the cleanup.
        instrumented.fail(Fault { call: Some("stat_at"), after: 0, times: 1, errno: Errno::IO });
        let _ = put(&directory, "other", UploadMode::Replace, b"");
        assert_eq!(names(root.path()).iter().filter(|name| name.starts_with(".spindle=")).count(), 2);
    }
}

/// Otherwise everybody would wait for those flushes when many connections break.
#[test]
fn a_durable_upload_that_breaks_off_is_flushed_when_it_is_found() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        let instrumented = Instrumented::new(system);
        let (directory, upload) = unsaved_durable_upload(&instrumented, root.path());
        let flushes = || instrumented.calls().iter().filter(|call| call.starts_with("sync_")).count();
        flushes();
        upload.save_unreported(b"note").unwrap();
        // Where the system cannot tell whether it was started again, nobody could later.
        let has_boot_id = instrumented.boot_id().is_some();
        assert_eq!(flushes() == 0, has_boot_id, "{system:?}");
        let found = directory.find_partial_upload(id(), &path("name"), true).unwrap();
        assert!(matches!(found, super::super::FoundUpload::Partial(upload) if upload.bytes_written() == 7));
        assert!(flushes() >= 2, "the content and the state: {system:?}");
    }
}
