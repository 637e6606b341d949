//! Missing space, descriptors and permissions. Most tests run in a process of their own.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;

fn limit(resource: Resource, current: u64) {
    let maximum = getrlimit(resource).maximum;
    setrlimit(resource, Rlimit { current: Some(current), maximum }).unwrap();
}

#[test]
fn more_content_than_free_space_is_refused_at_once() {
    for open in OPENERS {
        let root = tempfile::tempdir().unwrap();
        let directory = open(root.path());
        let refused = directory.begin_upload(&path("name"), UploadMode::Replace, Some(u64::MAX), false);
        assert!(matches!(refused, Err(StorageError::DiskFull)));
        assert!(names(root.path()).is_empty());
        assert!(directory.begin_upload(&path("name"), UploadMode::Replace, Some(1), false).is_ok());
    }
}

/// To ask takes a system call, and the content of a short upload shows as soon whether it fits.
#[test]
fn the_free_space_is_only_asked_for_if_the_content_is_not_short() {
    for system in SYSTEMS {
        let root = tempfile::tempdir().unwrap();
        let instrumented = Instrumented::new(system);
        let directory = Directory::open_in(instrumented.clone(), root.path(), 1).unwrap();
        for (bytes, asks) in [(None, false), (Some(65_535), false), (Some(65_536), true)] {
            instrumented.calls();
            directory.begin_upload(&path("name"), UploadMode::Replace, bytes, false).unwrap();
            assert_eq!(instrumented.calls().contains(&"free_bytes"), asks, "{bytes:?}");
        }
    }
}

/// Exceeding the limit raises a signal that ends the process, so storage must never exceed it.
#[test]
fn a_file_size_limit_is_reported_as_a_full_disk() {
    if let Some(root) = child_argument() {
        limit(Resource::Fsize, 4096);
        for open in OPENERS {
            let directory = open(&root);
            let refused = directory.begin_upload(&path("name"), UploadMode::Replace, Some(4097), false);
            assert!(matches!(refused, Err(StorageError::DiskFull)));
            put(&directory, "name", UploadMode::Replace, &[1; 4096]).unwrap();
            let mut upload = begin(&directory, "name", UploadMode::Replace).unwrap();
            upload.write(&[2; 4096]).unwrap();
            assert!(matches!(upload.write(&[2]), Err(StorageError::DiskFull)));
            // The content is incomplete now, so it must not be published.
            assert!(matches!(upload.commit(0, |_| true), Err(StorageError::Io(_))));
            assert_eq!(fs::read(root.join("name")).unwrap(), [1; 4096]);
            assert_eq!(names(&root), ["name"]);
        }
        return;
    }
    let root = tempfile::tempdir().unwrap();
    assert_success(&run_as_child(module_path!(), "a_file_size_limit_is_reported_as_a_full_disk", root.path()));
}

#[test]
fn without_descriptors_uploads_in_progress_can_still_be_committed() {
    if let Some(root) = child_argument() {
        limit(Resource::Nofile, 64);
        for open in OPENERS {
            let directory = open(&root);
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
            assert!(!upload.commit(0, |existing| existing.is_some()).unwrap().created);
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
    let test = "without_descriptors_uploads_in_progress_can_still_be_committed";
    assert_success(&run_as_child(module_path!(), test, root.path()));
}

/// Runs on a file system of one megabyte, which is mounted for a process of its own.
#[test]
fn a_disk_that_fills_up_keeps_the_old_file() {
    if let Some(root) = child_argument() {
        for open in OPENERS {
            let directory = open(&root);
            put(&directory, "name", UploadMode::Replace, b"old").unwrap();
            let refused = directory.begin_upload(&path("name"), UploadMode::Replace, Some(2 << 20), false);
            assert!(matches!(refused, Err(StorageError::DiskFull)));
            let mut upload = begin(&directory, "name", UploadMode::Replace).unwrap();
            let full = (0..100).find_map(|_| upload.write(&[0; 60_000]).err());
            assert!(matches!(full, Some(StorageError::DiskFull)), "{full:?}");
            // A part of the content is missing, even if there is space again.
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

/// The superuser has every permission, so the test changes its user.
#[test]
fn missing_permissions_are_reported() {
    if let Some(root) = child_argument() {
        for open in OPENERS {
            let directory = open(&root);
            assert!(matches!(directory.open_file(&path("unreadable")), Err(StorageError::PermissionDenied)));
            assert!(matches!(directory.open_file(&path("closed/name")), Err(StorageError::PermissionDenied)));
            let mode = [UploadMode::CreateOnly, UploadMode::Replace];
            for (name, mode) in
                ["name", "closed/name", "unwritable/name"].into_iter().flat_map(|name| mode.map(|mode| (name, mode)))
            {
                let refused = begin(&directory, name, mode);
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
    run_as_other_user("missing_permissions_are_reported", root.path());
    // Without these permissions, only the superuser could remove the directory.
    for name in ["", "closed", "unwritable"] {
        permit(name, 0o755);
    }
}

/// A directory that may be written to but not read. Only Linux can open one.
#[test]
fn a_directory_without_read_permission_accepts_uploads() {
    if let Some(root) = child_argument() {
        for system in SYSTEMS {
            let opens_unreadable = system != System::Portable;
            upload_without_read_permission(
                &open_on(system, &root),
                "box/name",
                opens_unreadable,
                &root.join("box/name"),
            );
            let served = Directory::open_in(Instrumented::new(system), &root.join("box"), 1);
            assert_eq!(served.is_ok(), opens_unreadable, "{system:?} {served:?}");
            if let Ok(directory) = served {
                upload_without_read_permission(&directory, "other", true, &root.join("box/other"));
                upload_without_read_permission(&directory, "inner/name", true, &root.join("box/inner/name"));
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
    run_as_other_user("a_directory_without_read_permission_accepts_uploads", root.path());
    for name in ["", "box", "box/inner"] {
        permit(name, 0o755);
    }
}

/// Uploads to a directory that may not be read. `succeeds`: whether the system can open one.
fn upload_without_read_permission(directory: &Directory<Instrumented>, name: &str, succeeds: bool, stored: &Path) {
    let mode = [UploadMode::Replace, UploadMode::Replace, UploadMode::CreateOnly];
    let results = mode.map(|mode| put(directory, name, mode, b"content").map(|_| ()));
    if !succeeds {
        assert!(matches!(results[0], Err(StorageError::PermissionDenied)), "{results:?}");
        return;
    }
    assert!(matches!(results, [Ok(()), Ok(()), Err(StorageError::AlreadyExists)]), "{name} {results:?}");
    assert_eq!(fs::read(stored).unwrap(), b"content");
    // The name cannot be flushed, so a durable upload is refused.
    let durable = directory.begin_upload(&path(name), UploadMode::Replace, None, true);
    assert!(matches!(durable, Err(StorageError::PermissionDenied)), "{durable:?}");
}

/// Runs a test again as another user than the superuser.
fn run_as_other_user(test: &str, root: &Path) {
    let other_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let prefix = if rustix::process::geteuid().is_root() { &other_user[..] } else { &[] };
    match child_command("crate::no", "such_test", root, prefix).output() {
        Ok(output) if output.status.success() => {
            assert_success(&child_command(module_path!(), test, root, prefix).output().unwrap());
        }
        reason => eprintln!("skipped: the tests cannot be run as another user: {reason:?}"),
    }
}
