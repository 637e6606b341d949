//! Not enough space, descriptors or permission. Each is tried in a process of its own.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;

fn limit(resource: Resource, current: u64) {
    let maximum = getrlimit(resource).maximum;
    setrlimit(resource, Rlimit { current: Some(current), maximum }).unwrap();
}

#[test]
fn more_than_the_disk_has_is_refused_at_once() {
    for way in WAYS {
        let root = tempfile::tempdir().unwrap();
        let directory = way(root.path());
        let refused = directory.begin_upload(&path("name"), UploadMode::Replace, Some(u64::MAX), false);
        assert!(matches!(refused, Err(StorageError::DiskFull)));
        assert!(names(root.path()).is_empty());
        assert!(directory.begin_upload(&path("name"), UploadMode::Replace, Some(1), false).is_ok());
    }
}

/// A file size limit is announced by a signal that ends the process: it must never come to that.
#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk() {
    if let Some(root) = child_argument() {
        limit(Resource::Fsize, 4096);
        for way in WAYS {
            let directory = way(&root);
            let refused = directory.begin_upload(&path("name"), UploadMode::Replace, Some(4097), false);
            assert!(matches!(refused, Err(StorageError::DiskFull)));
            put(&directory, "name", UploadMode::Replace, &[1; 4096]).unwrap();
            let mut upload = begin(&directory, "name", UploadMode::Replace).unwrap();
            upload.write(&[2; 4096]).unwrap();
            assert!(matches!(upload.write(&[2]), Err(StorageError::DiskFull)));
            // Its content is incomplete now, and stays unpublished whatever the caller does.
            assert!(matches!(upload.commit(0, |_| true), Err(StorageError::Io(_))));
            assert_eq!(fs::read(root.join("name")).unwrap(), [1; 4096]);
            assert_eq!(names(&root), ["name"]);
        }
        return;
    }
    let root = tempfile::tempdir().unwrap();
    assert_success(&run_as_child(module_path!(), "a_limit_on_the_size_of_files_is_a_full_disk", root.path()));
}

#[test]
fn without_descriptors_nothing_is_opened_and_what_was_begun_is_finished() {
    if let Some(root) = child_argument() {
        limit(Resource::Nofile, 64);
        for way in WAYS {
            let directory = way(&root);
            put(&directory, "name", UploadMode::Replace, b"old").unwrap();
            let mut upload = directory.begin_upload(&path("name"), UploadMode::Replace, None, true).unwrap();
            let nested = directory.begin_upload(&path("sub/name"), UploadMode::Replace, None, true).unwrap();
            let mut taken = Vec::new();
            while let Ok(file) = fs::File::open("/dev/null") {
                taken.push(file);
            }
            assert!(taken.len() < 64);
            assert!(matches!(directory.open_file(&path("name")), Err(StorageError::TooManyOpenFiles)));
            assert!(matches!(directory.metadata(&path("name")), Err(StorageError::TooManyOpenFiles)));
            assert!(matches!(begin(&directory, "name", UploadMode::Replace), Err(StorageError::TooManyOpenFiles)));
            assert!(matches!(begin(&directory, "sub/name", UploadMode::Replace), Err(StorageError::TooManyOpenFiles)));
            upload.write(b"new").unwrap();
            assert!(!upload.commit(0, |standing| standing.is_some()).unwrap().created);
            nested.commit(0, |_| true).unwrap();
            drop(taken);
            assert_eq!(fs::read(root.join("name")).unwrap(), b"new");
            assert!(begin(&directory, "sub/name", UploadMode::Replace).is_ok());
            assert_eq!(names(&root), ["name", "sub"]);
        }
        return;
    }
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("sub")).unwrap();
    let test = "without_descriptors_nothing_is_opened_and_what_was_begun_is_finished";
    assert_success(&run_as_child(module_path!(), test, root.path()));
}

/// On a file system of one megabyte, mounted for a process of its own.
#[test]
fn a_disk_that_fills_up_keeps_the_old_file() {
    if let Some(root) = child_argument() {
        for way in WAYS {
            let directory = way(&root);
            put(&directory, "name", UploadMode::Replace, b"old").unwrap();
            let refused = directory.begin_upload(&path("name"), UploadMode::Replace, Some(2 << 20), false);
            assert!(matches!(refused, Err(StorageError::DiskFull)));
            let mut upload = begin(&directory, "name", UploadMode::Replace).unwrap();
            let full = (0..100).find_map(|_| upload.write(&[0; 60_000]).err());
            assert!(matches!(full, Some(StorageError::DiskFull)), "{full:?}");
            // There is room again for a little, and it must not make the content look whole.
            assert!(upload.commit(0, |_| true).is_err());
            assert_eq!(fs::read(root.join("name")).unwrap(), b"old");
            assert_eq!(names(&root), ["name"]);
            put(&directory, "name", UploadMode::Replace, &[1; 500_000]).unwrap();
            put(&directory, "name", UploadMode::Replace, b"").unwrap();
        }
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=1m none \"$0\" && exec \"$@\"";
    let prefix = ["unshare", "--mount", "sh", "-c", mount, root.path().to_str().unwrap()];
    let possible = Command::new(prefix[0]).args(&prefix[1..]).arg("true").output();
    match possible {
        Ok(output) if output.status.success() => {}
        reason => {
            eprintln!("skipped: no file system can be mounted here: {reason:?}");
            return;
        }
    }
    let test = "a_disk_that_fills_up_keeps_the_old_file";
    assert_success(&child_command(module_path!(), test, root.path(), &prefix).output().unwrap());
}

/// The superuser is permitted everything, so it becomes somebody else for this.
#[test]
fn what_the_system_does_not_permit_is_denied() {
    if let Some(root) = child_argument() {
        for way in WAYS {
            let directory = way(&root);
            assert!(matches!(directory.open_file(&path("unreadable")), Err(StorageError::PermissionDenied)));
            assert!(matches!(directory.open_file(&path("closed/name")), Err(StorageError::PermissionDenied)));
            let publish = [UploadMode::CreateOnly, UploadMode::Replace];
            for (name, publish) in ["name", "closed/name", "unwritable/name"]
                .into_iter()
                .flat_map(|name| publish.map(|publish| (name, publish)))
            {
                let refused = begin(&directory, name, publish);
                assert!(matches!(refused, Err(StorageError::PermissionDenied)), "{name} {refused:?}");
            }
        }
        return;
    }
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("unreadable"), b"").unwrap();
    for directory in ["closed", "unwritable"] {
        fs::create_dir(root.path().join(directory)).unwrap();
    }
    let permit = |name: &str, mode| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(root.path().join(name), permissions).unwrap();
    };
    for (name, mode) in [("unreadable", 0), ("closed", 0), ("unwritable", 0o555), ("", 0o555)] {
        permit(name, mode);
    }
    run_as_somebody("what_the_system_does_not_permit_is_denied", root.path());
    // So that the directory can be removed by others than the superuser.
    for name in ["", "closed", "unwritable"] {
        permit(name, 0o755);
    }
}

/// A directory that may be written to and not read, as a drop box is. Only Linux can open one.
#[test]
fn a_directory_that_cannot_be_read_takes_uploads() {
    if let Some(root) = child_argument() {
        for system in SYSTEMS {
            let opens_unreadable = system != System::Portable;
            upload_unread(&open_on(system, &root), "box/name", opens_unreadable, &root.join("box/name"));
            let served = Directory::open_in(Instrumented::new(system), &root.join("box"), 1);
            assert_eq!(served.is_ok(), opens_unreadable, "{system:?} {served:?}");
            if let Ok(directory) = served {
                upload_unread(&directory, "other", true, &root.join("box/other"));
                upload_unread(&directory, "inner/name", true, &root.join("box/inner/name"));
            }
        }
        return;
    }
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("box/inner")).unwrap();
    let permit = |name: &str, mode| {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(root.path().join(name), permissions).unwrap();
    };
    for (name, mode) in [("box/inner", 0o333), ("box", 0o333), ("", 0o777)] {
        permit(name, mode);
    }
    run_as_somebody("a_directory_that_cannot_be_read_takes_uploads", root.path());
    for name in ["", "box", "box/inner"] {
        permit(name, 0o755);
    }
}

/// Uploads to a directory that cannot be read. `succeeds`: where the system can open one.
fn upload_unread(directory: &Directory<Instrumented>, name: &str, succeeds: bool, stored: &Path) {
    let publish = [UploadMode::Replace, UploadMode::Replace, UploadMode::CreateOnly];
    let results = publish.map(|publish| put(directory, name, publish, b"content").map(|_| ()));
    if !succeeds {
        assert!(matches!(results[0], Err(StorageError::PermissionDenied)), "{results:?}");
        return;
    }
    assert!(matches!(results, [Ok(()), Ok(()), Err(StorageError::AlreadyExists)]), "{name} {results:?}");
    assert_eq!(fs::read(stored).unwrap(), b"content");
    // The name cannot be brought to the disk, so nothing is promised.
    let durable = directory.begin_upload(&path(name), UploadMode::Replace, None, true);
    assert!(matches!(durable, Err(StorageError::PermissionDenied)), "{durable:?}");
}

/// Runs a test again as somebody who is not the superuser, to whom everything is permitted.
fn run_as_somebody(test: &str, root: &Path) {
    let somebody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let prefix = if rustix::process::geteuid().is_root() { &somebody[..] } else { &[] };
    match child_command("crate::no", "such_test", root, prefix).output() {
        Ok(output) if output.status.success() => {
            assert_success(&child_command(module_path!(), test, root, prefix).output().unwrap());
        }
        reason => eprintln!("skipped: the tests cannot be run as somebody else: {reason:?}"),
    }
}
