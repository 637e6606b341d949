//! Tests of the routes with the system calls of Linux, and with only those of every Unix, in the temporary directory and on
//! each real file system that can be mounted.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use spindle::routes::{FileRoutes, FolderKind, FolderRoutes, FolderSettings, Routes, UploadSettings};
use spindle::semantics::Now;
use spindle::semantics::allowed_hosts::AllowedHosts;
use spindle::semantics::rights::UploadPolicy;
use spindle::storage::{Directory, FileSystem, Native, Portable};

#[cfg(target_os = "linux")]
#[path = "mounted/mod.rs"]
mod mounted;
#[path = "socketless/mod.rs"]
mod socketless;

use socketless::{Client, content, status};

fn files<F: FileSystem>(file_system: F, root: &Path) -> FileRoutes<F> {
    let uploads = UploadSettings {
        policy: UploadPolicy::Replace,
        bytes_max: None,
        durable: true,
        age_s_max: 86_400,
        pending_max: 1000,
    };
    FileRoutes::new(Directory::open_in(file_system, root, 1).unwrap(), uploads, 8, 1, Box::new(|| None))
}

fn sharing() -> FolderSettings {
    FolderSettings {
        name: b"folder".to_vec(),
        shows_hidden: false,
        kind: FolderKind::Listed,
        hosts: AllowedHosts::new(&[], None),
    }
}

fn make_tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("sub")).unwrap();
    fs::write(root.path().join("sub/nested"), "nested").unwrap();
    fs::write(root.path().join("large"), "0123456789".repeat(5_000)).unwrap();
    symlink("sub/nested", root.path().join("link")).unwrap();
    symlink("/etc/passwd", root.path().join("link-out")).unwrap();
    root
}

fn files_are_stored_and_read<F: FileSystem>(file_system: F, follows_links: bool) {
    let root = make_tree();
    let mut client = Client::new(Routes::new(Some(files(file_system, root.path()))));
    assert_eq!(status(&client.put("/files/new", "If-None-Match: *\r\n", "first")), 201);
    assert_eq!(status(&client.put("/files/new", "If-None-Match: *\r\n", "second")), 412);
    assert_eq!(status(&client.put("/files/new", "", "second")), 204);
    assert_eq!(status(&client.put("/files/absent/new", "", "second")), 404);
    assert_eq!(status(&client.put("/files/sub", "", "second")), 409);
    assert_eq!(fs::read(root.path().join("new")).unwrap(), b"second");
    // The first response is sent from the file, the second from the cache.
    for _ in 0..2 {
        assert_eq!(content(&client.get("/files/new")), "second");
        assert_eq!(content(&client.get("/files/sub/nested")), "nested");
        assert_eq!(content(&client.get("/files/large")), "0123456789".repeat(5_000));
    }
    let part = client.request("GET /files/large HTTP/1.1\r\nHost: localhost\r\nRange: bytes=10-14\r\n\r\n");
    assert_eq!((status(&part), content(&part)), (206, "01234"));
    for name in ["absent", "sub", "link-out", "..%2Fsecret"] {
        assert_eq!(status(&client.get(&format!("/files/{name}"))), 404, "{name}");
    }
    assert_eq!(status(&client.get("/files/link")), if follows_links { 200 } else { 404 });
    let mut names: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["large", "link", "link-out", "new", "sub"], "no temporary file is left");
}

fn a_folder_is_listed_and_archived<F: FileSystem>(file_system: F, follows_links: bool) {
    let root = make_tree();
    let mut client = Client::new(Routes::shared_folder(FolderRoutes::new(files(file_system, root.path()), sharing())));
    let listing = client.get("/?format=text");
    for (name, is_listed) in [("large", true), ("sub/", true), ("link", follows_links), ("link-out", false)] {
        let lines = content(&listing).split("\r\n").flat_map(|chunk| chunk.split('\n'));
        assert_eq!(lines.clone().filter(|line| *line == name).count(), usize::from(is_listed), "{name} in {listing}");
    }
    let archive = client.get("/?archive=tar");
    for name in ["folder/large", "folder/sub/nested"] {
        assert!(archive.contains(name), "{name}");
    }
    assert!(!archive.contains("link-out"));
    assert_eq!(archive.contains("folder/link"), follows_links);
    assert_eq!(status(&client.get("/sub")), 301);
    assert_eq!(status(&client.put("/sub/new", "", "content")), 201);
    assert_eq!(content(&client.get("/sub/new")), "content");
}

/// Content number `number`. All contents have the same length, because a tag contains the length.
fn version(number: usize) -> String {
    format!("version {number:04}")
}

/// The entity tag of the file `name`, if it is strong.
fn strong_tag<F: FileSystem>(client: &mut Client<F>) -> Option<String> {
    let head = client.request("HEAD /files/name HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let tag = head.lines().find_map(|line| line.strip_prefix("ETag: ")).expect("a tag").trim();
    (!tag.starts_with("W/")).then(|| tag.to_owned())
}

/// Uploads and another process change a file as quickly as they can. Then it stays unchanged until every tag is strong.
fn two_versions_never_share_a_strong_tag<F: FileSystem>(file_system: F) {
    const QUIET: Duration = Duration::from_millis(2_100);
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("name");
    let mut client = Client::new(Routes::new(Some(files(file_system, root.path()))));
    let mut seen: HashMap<String, String> = HashMap::new();
    let start = Instant::now();
    let mut check = |client: &mut Client<F>| {
        let unix_ns = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
        client.now = Now { monotonic_ns: u64::try_from(start.elapsed().as_nanos()).unwrap(), unix_ns };
        let tag = strong_tag(client)?;
        let now = fs::read_to_string(&path).unwrap();
        let before = seen.entry(tag.clone()).or_insert_with(|| now.clone());
        assert_eq!(*before, now, "{before:?} and {now:?} share {tag}");
        Some(tag)
    };
    for number in 0..120 {
        match number % 3 {
            0 if number > 0 => fs::write(&path, version(number)).unwrap(),
            _ => assert!(client.put("/files/name", "", &version(number)).starts_with("HTTP/1.1 20")),
        }
        drop(check(&mut client));
        if number % 60 == 59 {
            thread::sleep(QUIET);
            assert!(check(&mut client).is_some(), "after two seconds without a change a tag is strong");
        }
    }
}

#[test]
fn two_versions_never_share_a_strong_tag_with_native_calls() {
    two_versions_never_share_a_strong_tag(Native);
}

#[test]
fn two_versions_never_share_a_strong_tag_with_portable_calls() {
    two_versions_never_share_a_strong_tag(Portable);
}

#[cfg(target_os = "linux")]
#[test]
fn the_routes_work_on_each_file_system_that_can_be_mounted() {
    mounted::run_on_each_file_system(&["files_are", "a_folder_is", "two_versions"], 6);
}

#[test]
fn files_are_stored_and_read_with_native_calls() {
    files_are_stored_and_read(Native, cfg!(target_os = "linux"));
}

#[test]
fn files_are_stored_and_read_with_portable_calls() {
    files_are_stored_and_read(Portable, false);
}

#[test]
fn a_folder_is_listed_and_archived_with_native_calls() {
    a_folder_is_listed_and_archived(Native, cfg!(target_os = "linux"));
}

#[test]
fn a_folder_is_listed_and_archived_with_portable_calls() {
    a_folder_is_listed_and_archived(Portable, false);
}
