//! Resumable uploads.

use std::fs;

use super::*;
use crate::storage::{FoundUpload, Metadata, PartialUpload, UploadId};

const ID: u128 = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;

pub(super) fn id() -> UploadId {
    UploadId::new(ID)
}

pub(super) fn begin_partial(directory: &Directory<Instrumented>, name: &str) -> PartialUpload<Instrumented> {
    let mode = UploadMode::Replace;
    directory.begin_partial_upload(id(), &path(name), mode, None, false, b"creation".to_vec()).unwrap()
}

pub(super) fn find(directory: &Directory<Instrumented>, name: &str) -> Result<FoundUpload<Instrumented>, StorageError> {
    directory.find_partial_upload(id(), &path(name), false)
}

pub(super) fn continued(directory: &Directory<Instrumented>, name: &str) -> PartialUpload<Instrumented> {
    match find(directory, name).unwrap() {
        FoundUpload::Partial(upload) => *upload,
        FoundUpload::Ended { .. } => panic!("the upload has not ended"),
    }
}

/// The note, the length and the metadata of an upload that has ended.
pub(super) fn end(directory: &Directory<Instrumented>, name: &str) -> (Option<Vec<u8>>, u64, Option<Metadata>) {
    match find(directory, name).unwrap() {
        FoundUpload::Ended { note, bytes, metadata, .. } => (note, bytes, metadata),
        FoundUpload::Partial(_) => panic!("the upload has ended"),
    }
}

pub(super) fn commit(upload: PartialUpload<Instrumented>) -> Published {
    let (published, ended) = upload.commit(UploadMode::Replace, 0, b"note", None, |_| true).unwrap();
    ended.save(b"response").unwrap();
    published.unwrap()
}

#[test]
fn another_run_continues_an_upload_from_the_last_save() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let mut upload = begin_partial(&open(root.path()), "name");
        upload.write(b"one, ").unwrap();
        upload.save(b"first").unwrap();
        upload.write(b"lost").unwrap();
        drop(upload);

        let directory = open(root.path());
        let mut upload = continued(&directory, "name");
        assert_eq!((upload.bytes_written(), upload.note(), upload.creation()), (5, &b"first"[..], &b"creation"[..]));
        upload.write(b"two").unwrap();
        assert!(
            matches!(directory.open_file(&path("name")), Err(StorageError::NotFound)),
            "the upload is not complete"
        );
        commit(upload);
        assert_eq!(fs::read(root.path().join("name")).unwrap(), b"one, two");
        assert_eq!(end(&directory, "name").0.unwrap(), b"response");
        assert_eq!(end(&directory, "name").1, 8);
    }
}

#[test]
fn without_a_save_only_the_creation_is_left() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        begin_partial(&directory, "name").write(b"lost").unwrap();
        let upload = continued(&directory, "name");
        assert_eq!((upload.bytes_written(), upload.note()), (0, &b""[..]));
    }
}

#[test]
fn an_upload_is_found_only_by_its_identifier_and_its_name() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("other")).unwrap();
        let directory = open(root.path());
        drop(begin_partial(&directory, "name"));
        for (wrong, name) in
            [(ID ^ 1, "name"), (ID ^ 1 << 127, "name"), (ID, "nam"), (ID, "other/name"), (ID, "none/name")]
        {
            let found = directory.find_partial_upload(UploadId::new(wrong), &path(name), false);
            assert!(matches!(found, Err(StorageError::NotFound)), "{wrong:x} {name}");
        }
        continued(&directory, "name");
    }
}

#[test]
fn an_upload_that_is_being_continued_is_not_continued_by_another() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let upload = begin_partial(&directory, "name");
        assert!(matches!(find(&directory, "name"), Err(StorageError::Busy)));
        drop(upload);
        continued(&directory, "name");
    }
}

#[test]
fn unsaved_content_can_be_removed() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let mut upload = begin_partial(&directory, "name");
        upload.write(b"good").unwrap();
        upload.save(b"").unwrap();
        upload.write(b"bad").unwrap();
        upload.rewind(4).unwrap();
        upload.write(b"ness").unwrap();
        commit(upload);
        assert_eq!(fs::read(root.path().join("name")).unwrap(), b"goodness");
    }
}

#[test]
fn an_upload_whose_content_the_disk_has_lost_is_not_continued() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let mut upload = begin_partial(&directory, "name");
        upload.write(b"content").unwrap();
        upload.save(b"").unwrap();
        drop(upload);
        fs::File::options().write(true).open(hidden_content(root.path())).unwrap().set_len(6).unwrap();
        assert!(matches!(find(&directory, "name"), Err(StorageError::NotFound)));
        assert!(names(root.path()).is_empty(), "both files are removed");
    }
}

/// The temporary file with the content, which is shorter than the state file here.
fn hidden_content(root: &Path) -> PathBuf {
    let files = names(root).into_iter().map(|name| root.join(name));
    files.min_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

#[test]
fn a_discarded_upload_leaves_nothing() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let upload = begin_partial(&directory, "name");
        assert_eq!(directory.partial_uploads(), 1);
        upload.discard();
        assert!(names(root.path()).is_empty());
        assert_eq!(directory.partial_uploads(), 0);
    }
}

#[test]
fn a_cleanup_does_not_remove_an_upload_before_it_expires() {
    const DAY_NS: u64 = 86_400_000_000_000;
    let now_ns = || std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        drop(begin_partial(&open(root.path()), "name"));
        for (age_ns, left) in [(DAY_NS / 2, 2), (2 * DAY_NS, 0)] {
            let directory = open(root.path());
            directory.set_partial_upload_age_max(DAY_NS);
            directory.set_time(now_ns() + age_ns);
            put(&directory, "other", UploadMode::Replace, b"").unwrap();
            assert_eq!(names(root.path()).len(), left + 1);
        }
        assert!(matches!(find(&open(root.path()), "name"), Err(StorageError::NotFound)));
    }
}

/// The directory was clean when the upload began in it.
#[test]
fn a_cleanup_removes_an_upload_that_has_expired_in_the_same_run() {
    const DAY_NS: u64 = 86_400_000_000_000;
    let now_ns = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        directory.set_partial_upload_age_max(DAY_NS);
        directory.set_time(now_ns);
        drop(begin_partial(&directory, "name"));
        for (age_ns, left) in [(DAY_NS / 2, 2), (2 * DAY_NS, 0)] {
            directory.set_time(now_ns + age_ns);
            put(&directory, "other", UploadMode::Replace, b"").unwrap();
            assert_eq!(names(root.path()).len(), left + 1);
        }
    }
}

#[test]
fn uploads_that_have_expired_are_not_counted() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_portable(root.path());
    directory.set_partial_upload_age_max(10);
    directory.set_time(100);
    drop(begin_partial(&directory, "name"));
    directory.set_time(110);
    assert_eq!(directory.partial_uploads(), 1);
    directory.set_time(111);
    assert_eq!(directory.partial_uploads(), 0);
}

#[test]
fn an_expired_upload_is_not_found_even_before_a_cleanup() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        drop(begin_partial(&directory, "name"));
        directory.set_partial_upload_age_max(1);
        directory.set_time(u64::MAX);
        assert!(matches!(find(&directory, "name"), Err(StorageError::NotFound)));
    }
}

#[test]
fn the_state_file_does_not_grow_with_the_upload() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_portable(root.path());
    let mut upload = begin_partial(&directory, "name");
    for number in 0..500_u32 {
        upload.write(b"content").unwrap();
        upload.save(&[number as u8; 1000]).unwrap();
    }
    drop(upload);
    let bytes: u64 = names(root.path()).iter().map(|name| fs::metadata(root.path().join(name)).unwrap().len()).sum();
    assert!(bytes < 100_000, "{bytes}");
    let upload = continued(&directory, "name");
    assert_eq!((upload.bytes_written(), upload.note()), (3500, &[243; 1000][..]));
}

#[test]
fn an_unrecorded_end_is_recognised_by_the_published_file() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let mut upload = begin_partial(&directory, "name");
        upload.write(b"content").unwrap();
        let (published, ended) = upload.commit(UploadMode::Replace, 0, b"note", None, |_| true).unwrap();
        published.unwrap();
        // The server stops here.
        drop(ended);
        let (note, bytes, metadata) = end(&directory, "name");
        assert_eq!((note, bytes, metadata.unwrap().size_bytes), (None, 7, 7));
        put(&directory, "name", UploadMode::Replace, b"another").unwrap();
        assert!(matches!(find(&directory, "name"), Err(StorageError::NotFound)));
    }
}

/// The server stops between the link and the removal of the temporary name.
#[test]
fn a_published_file_is_not_changed_by_continuing_its_upload() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let mut upload = begin_partial(&directory, "name");
        upload.write(b"content").unwrap();
        let content = hidden_content(root.path());
        let second = root.path().join("second");
        fs::hard_link(&content, &second).unwrap();
        let (published, ended) = upload.commit(UploadMode::Replace, 0, b"note", None, |_| true).unwrap();
        published.unwrap();
        drop(ended);
        fs::rename(&second, &content).unwrap();
        let (note, bytes, metadata) = end(&directory, "name");
        assert_eq!((note, bytes, metadata.is_some()), (None, 7, true));
        assert_eq!(fs::read(root.path().join("name")).unwrap(), b"content");
    }
}

#[test]
fn an_upload_ends_even_if_its_condition_fails() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let upload = begin_partial(&directory, "name");
        let (published, ended) = upload.commit(UploadMode::Replace, 0, b"note", None, |_| false).unwrap();
        assert!(matches!(published, Err(StorageError::ConditionFailed)));
        ended.save(b"failed").unwrap();
        assert_eq!(end(&directory, "name").0.unwrap(), b"failed");
        assert_eq!(names(root.path()).len(), 1, "only the state file is left");
    }
}
