//! Resumable uploads that are complete, and that cannot be published.

use std::fs;

use rustix::io::Errno;

use super::instrumented::Fault;
use super::partial_uploads::{end, id};
use super::*;
use crate::storage::{EndedUpload, FoundUpload, PartialUpload, Uncommitted};

/// A directory in which uploads create directories, and the file system that it is on.
fn open_instrumented(system: System, root: &Path) -> (Directory<Instrumented>, Instrumented) {
    let instrumented = Instrumented::new(system);
    let directory = Directory::open_in(instrumented.clone(), root, 1).unwrap();
    directory.create_missing_directories();
    (directory, instrumented)
}

fn complete_upload(directory: &Directory<Instrumented>, name: &str, durable: bool) -> PartialUpload<Instrumented> {
    let mode = UploadMode::Replace;
    let mut upload = directory.begin_partial_upload(id(), &path(name), mode, None, durable, Vec::new()).unwrap();
    upload.write(b"con").unwrap();
    upload.save(b"early").unwrap();
    upload.write(b"tent").unwrap();
    upload
}

fn fail_once(call: &'static str, errno: Errno) -> Fault {
    Fault { call: Some(call), after: 0, times: 1, errno }
}

type Committed = Result<(Result<Published, StorageError>, EndedUpload<Instrumented>), Uncommitted<Instrumented>>;

fn commit(upload: PartialUpload<Instrumented>) -> Committed {
    upload.commit(UploadMode::Replace, 0, b"note", None, |_| true)
}

fn commit_to_the_end(upload: PartialUpload<Instrumented>) {
    let (published, ended) = commit(upload).unwrap();
    published.unwrap();
    ended.save(b"stored").unwrap();
}

fn continued(directory: &Directory<Instrumented>, name: &str, durable: bool) -> PartialUpload<Instrumented> {
    match directory.find_partial_upload(id(), &path(name), durable).unwrap() {
        FoundUpload::Partial(upload) => *upload,
        FoundUpload::Ended { .. } => panic!("the upload has not ended"),
    }
}

/// Some failures, and whether a file has the name before.
const FAILURES: [(&str, Errno, bool); 10] = [
    ("link", Errno::NOSPC, false),
    ("link", Errno::DQUOT, false),
    ("link", Errno::IO, false),
    ("link", Errno::ACCESS, false),
    ("link", Errno::ROFS, false),
    ("rename", Errno::NOSPC, true),
    ("rename", Errno::IO, true),
    ("stat_at", Errno::IO, true),
    ("set_modified", Errno::IO, false),
    // The record that the file is about to be published.
    ("write", Errno::NOSPC, false),
];

/// It may be the only copy of somebody's work.
#[test]
fn a_complete_upload_is_kept_if_it_cannot_be_published_for_a_reason_that_may_pass() {
    for (call, errno, replaces) in FAILURES {
        for (system, durable) in SYSTEMS.into_iter().flat_map(|system| [(system, false), (system, true)]) {
            let context = format!("{call} {errno:?} {system:?} durable: {durable}");
            let root = tempfile::tempdir().unwrap();
            let name = root.path().join("name");
            if replaces {
                fs::write(&name, b"before").unwrap();
            }
            let (directory, instrumented) = open_instrumented(system, root.path());
            let upload = complete_upload(&directory, "name", durable);
            instrumented.fail(fail_once(call, errno));
            let Err(Uncommitted { error, upload: Some(upload), is_saved }) = commit(upload) else {
                panic!("{context}")
            };
            assert!(error.may_pass() && is_saved, "{context}: {error:?}");
            assert_eq!((upload.bytes_written(), upload.lifetime_ns()), (7, u64::MAX), "{context}");
            assert_eq!(fs::read(&name).ok().as_deref(), replaces.then_some(&b"before"[..]), "{context}");
            drop(upload);
            assert_eq!(names(root.path()).len(), 2 + usize::from(replaces), "{context}: {:?}", names(root.path()));

            // The next attempt fails too, and the one after that succeeds. The server was restarted in between.
            assert_eq!(directory.partial_uploads(), 1, "{context}");
            let upload = continued(&directory, "name", durable);
            assert_eq!((upload.bytes_written(), upload.note()), (7, &b"note"[..]), "{context}");
            instrumented.fail(fail_once(call, errno));
            assert!(matches!(commit(upload), Err(Uncommitted { is_saved: true, .. })), "{context}");
            let (directory, _) = open_instrumented(system, root.path());
            commit_to_the_end(continued(&directory, "name", durable));
            assert_eq!(fs::read(&name).unwrap(), b"content", "{context}");
            assert_eq!(end(&directory, "name").0.unwrap(), b"stored", "{context}");
            assert_eq!((directory.partial_uploads(), names(root.path()).len()), (0, 2), "{context}");
        }
    }
}

#[test]
fn a_complete_upload_is_kept_if_its_directories_cannot_be_created() {
    for (call, errno) in [
        ("create_directory", Errno::NOSPC),
        ("open_entry", Errno::MFILE),
        ("sync_directory", Errno::IO),
        ("link", Errno::NOSPC),
    ] {
        for (system, durable) in SYSTEMS.into_iter().flat_map(|system| [(system, false), (system, true)]) {
            if call == "sync_directory" && !durable {
                continue;
            }
            let context = format!("{call} {errno:?} {system:?} durable: {durable}");
            let root = tempfile::tempdir().unwrap();
            let (directory, instrumented) = open_instrumented(system, root.path());
            let upload = complete_upload(&directory, "new/dir/name", durable);
            // While it is published. Before that, `open_entry` may be called to look for the directory.
            let before = instrumented.clone();
            let times = std::cell::Cell::new(0);
            let published = upload.commit(UploadMode::Replace, 0, b"note", None, |_| {
                if times.replace(times.get() + 1) == 0 {
                    before.fail(fail_once(call, errno));
                }
                true
            });
            let Err(Uncommitted { upload: Some(upload), is_saved: true, .. }) = published else { panic!("{context}") };
            assert!(!root.path().join("new").exists(), "{context}");
            // It can be committed without being found again.
            commit_to_the_end(*upload);
            assert_eq!(fs::read(root.path().join("new/dir/name")).unwrap(), b"content", "{context}");
            assert_eq!((directory.partial_uploads(), names(root.path()).len()), (0, 2), "{context}");
        }
    }
}

/// The disk is so full that the state cannot be saved either.
#[test]
fn a_complete_upload_whose_state_cannot_be_saved_is_continued_from_the_last_save() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        let (directory, instrumented) = open_instrumented(system, root.path());
        let upload = complete_upload(&directory, "name", false);
        instrumented.fail(Fault { call: Some("write"), after: 0, times: usize::MAX, errno: Errno::NOSPC });
        let uncommitted = commit(upload);
        let Err(Uncommitted { error: StorageError::DiskFull, upload: Some(mut upload), is_saved: false }) = uncommitted
        else {
            panic!()
        };
        // Its client sends the rest again, so that others may have that space until then.
        upload.remove_unsaved();
        let lengths = || fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
        assert!(lengths().any(|bytes| bytes == "con".len() as u64));
        drop(upload);
        instrumented.forget_faults();
        let mut upload = continued(&directory, "name", false);
        assert_eq!((upload.bytes_written(), upload.note()), (3, &b"early"[..]));
        upload.write(b"tent").unwrap();
        commit_to_the_end(upload);
        assert_eq!(fs::read(root.path().join("name")).unwrap(), b"content");
    }
}

/// After a failed flush, or an error that only appears when a file is closed, the disk may have a part of the content.
#[test]
fn a_complete_upload_whose_content_cannot_be_flushed_is_removed() {
    // The flushes of the content, of its record, and of the content with its time.
    let failures = [("sync_file", 0), ("sync_file", 1), ("sync_file", 2), ("close_errors", 0)];
    for (system, (call, after)) in SYSTEMS.into_iter().flat_map(|system| failures.map(|failure| (system, failure))) {
        let root = tempfile::tempdir().unwrap();
        let (directory, instrumented) = open_instrumented(system, root.path());
        let upload = complete_upload(&directory, "name", true);
        instrumented.fail(Fault { call: Some(call), after, times: 1, errno: Errno::NOSPC });
        let uncommitted = commit(upload);
        let Err(Uncommitted { error: StorageError::DiskFull, upload: None, is_saved: false }) = uncommitted else {
            panic!("{call}")
        };
        assert!(names(root.path()).is_empty(), "{call} {after}: {:?}", names(root.path()));
        assert_eq!(directory.partial_uploads(), 0);
        let found = directory.find_partial_upload(id(), &path("name"), true);
        assert!(matches!(found, Err(StorageError::NotFound)), "{call} {after}");
    }
}

/// To continue the upload would change a file that others may be reading.
#[test]
fn an_upload_has_ended_once_its_content_has_its_name() {
    for (system, replaces) in SYSTEMS.into_iter().flat_map(|system| [(system, false), (system, true)]) {
        let root = tempfile::tempdir().unwrap();
        let name = root.path().join("name");
        if replaces {
            fs::write(&name, b"before").unwrap();
        }
        let (directory, instrumented) = open_instrumented(system, root.path());
        let upload = complete_upload(&directory, "name", true);
        instrumented.fail(fail_once("sync_directory", Errno::NOSPC));
        let (published, ended) = commit(upload).unwrap();
        assert!(matches!(published, Err(StorageError::DiskFull)), "{published:?}");
        ended.save(b"not flushed").unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"content");
        assert_eq!(end(&directory, "name").0.unwrap(), b"not flushed");
        assert_eq!(directory.partial_uploads(), 0);
        assert_eq!(names(root.path()).iter().filter(|name| name.starts_with(".spindle=")).count(), 1);
    }
}

/// As a file server may do, after it has lost the response of another server behind it.
#[test]
fn an_upload_whose_link_was_made_although_it_has_failed_has_ended() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        let (directory, instrumented) = open_instrumented(system, root.path());
        let upload = complete_upload(&directory, "name", false);
        let (folder, name) = (root.path().to_owned(), root.path().join("name"));
        let linked = name.clone();
        instrumented.before("link", move || {
            let content = names(&folder).into_iter().map(|name| folder.join(name));
            let content = content.min_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
            fs::hard_link(content, linked).unwrap();
        });
        instrumented.fail(fail_once("link", Errno::IO));
        let (published, ended) = commit(upload).unwrap();
        assert!(matches!(published, Err(StorageError::Io(_))), "{published:?}");
        drop(ended);
        let (note, bytes, metadata) = end(&directory, "name");
        assert_eq!((note, bytes, metadata.is_some()), (None, 7, true));
        assert_eq!((fs::read(name).unwrap(), names(root.path()).len()), (b"content".to_vec(), 2));
    }
}

/// The digest describes a version, whose time cannot be found out.
#[test]
fn an_upload_is_stored_without_its_digest_if_its_version_is_unknown() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        let (directory, instrumented) = open_instrumented(system, root.path());
        let upload = complete_upload(&directory, "name", false);
        // The first call is that for the record of the publication.
        instrumented.fail(Fault { call: Some("stat"), after: 1, times: 1, errno: Errno::IO });
        let (published, _) =
            upload.commit(UploadMode::Replace, 0, b"note", Some(b"digest".to_vec()), |_| true).unwrap();
        published.unwrap();
        instrumented.forget_faults();
        let opened = directory.open_file(&path("name")).unwrap();
        assert_eq!((content(&opened), opened.annotation()), (b"content".to_vec(), None));
    }
}
