//! Errors of the system: no space, no permission, no descriptors. Each has its own status, and the server recovers.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use tempfile::TempDir;

use crate::harness::{Server, SmallDisk, Start, bytes_free, noise, wait_until};
use crate::resumable::{append, create, incomplete, offset, only_names, request};
use crate::support::{chunked, head, skipped};

const DISK_BYTES: usize = 4 << 20;

#[test]
fn a_full_disk_is_507_and_the_old_file_stays() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else { return };
    let server = Start::new().directory_at(disk.path()).start();
    let before = vec![b'b'; DISK_BYTES / 2];
    assert_eq!(server.store("PUT", "/files/existing", &[], &before).status, 201);

    // With Content-Length it is refused before the content. The space of the old file does not count as free.
    let mut client = server.connect();
    let length = format!("Content-Length: {}", DISK_BYTES / 2 + 1);
    client.send(head("PUT", "/files/existing", &[&length, "Expect: 100-continue"]));
    assert_eq!(client.response().status, 507);
    assert_eq!(client.rest(), b"");

    // In chunks it is refused when the disk is full, while the client still sends.
    for bytes in [DISK_BYTES / 2 + 1, DISK_BYTES * 2] {
        let mut client = server.connect();
        client.send(head("PUT", "/files/existing", &["Transfer-Encoding: chunked"]));
        client.send(chunked(&vec![b'a'; bytes], 100_000));
        let response = client.response();
        assert_eq!((response.status, response.text()), (507, "There is not enough space for the content.\n"));
        assert_eq!((response.field("Connection"), &*client.rest()), (Some("close"), &b""[..]));
        assert!(server.content_of("existing").unwrap() == before);
        assert_eq!(server.file_names(), ["existing"]);
    }
    // The space of the refused uploads is free again.
    wait_until("space", || bytes_free(disk.path()) as usize >= DISK_BYTES / 2 - 65_536);
    assert_eq!(server.store("PUT", "/files/other", &[], &[b'o'; 1_000_000]).status, 201);
}

#[test]
fn if_two_uploads_do_not_both_fit_one_gets_507() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else { return };
    let server = Start::new().directory_at(disk.path()).start();
    let half = vec![b'x'; DISK_BYTES * 3 / 8];
    let length = format!("Content-Length: {}", half.len() * 2);
    let mut clients = [server.connect(), server.connect()];
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(head("PUT", &format!("/files/{number}"), &[&length, "Expect: 100-continue"]));
        assert_eq!(client.head().status, 100, "each upload fits by itself");
    }
    clients.iter_mut().for_each(|client| client.send(&half));
    // Either of them may fail. Its space is then free for the other.
    let statuses = clients.each_mut().map(|client| {
        let _ = client.try_send(&half);
        client.response().status
    });
    let stored = statuses.iter().position(|status| *status == 201);
    assert!(stored.is_some() && statuses.contains(&507), "{statuses:?}");
    assert_eq!(server.file_names(), [stored.unwrap().to_string()]);
}

#[test]
fn after_a_507_the_connection_of_a_short_upload_is_kept() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else { return };
    let server = Start::new().directory_at(disk.path()).start();
    let most = bytes_free(disk.path()) as usize - 65_536;
    assert_eq!(server.store("PUT", "/files/large", &[], &vec![b'l'; most]).status, 201);
    let mut client = server.connect();
    let content = vec![b's'; 200_000];
    assert_eq!(client.store("PUT", "/files/small", &[], &content).status, 507);
    assert!(client.is_kept());
    // The server cannot know whether chunked content is short.
    client.send(head("PUT", "/files/small", &["Transfer-Encoding: chunked"]));
    let _ = client.try_send(chunked(&content, 50_000));
    let response = client.response();
    assert_eq!((response.status, response.field("Connection")), (507, Some("close")));
    assert_eq!(server.file_names(), ["large"]);
}

/// There is space for the content of the file, but none for its name.
#[test]
fn a_complete_upload_that_cannot_be_stored_is_kept_and_stored_later() {
    for options in [&[][..], &["--fsync"]] {
        let Some(disk) = SmallDisk::mount(DISK_BYTES) else { return };
        let start = || Start::new().directory_at(disk.path()).options(options.iter().copied()).start();
        let content = noise(200_000, 1);
        let server = start();
        let mut client = server.connect();
        let location = create(&mut client, "/files/file", &["Upload-Length: 200000"], &content[..1000]);
        // The directory, and the two files of the upload.
        disk.allow_files(3);
        for (from, part) in [(1000, &content[1000..]), (200_000, b"")] {
            let response = append(&mut client, &location, from, true, part);
            assert_eq!((response.status, response.text()), (507, "There is not enough space for the content.\n"));
            let upload = ["Upload-Complete", "Upload-Offset", "Upload-Limit"].map(|name| response.field(name));
            assert_eq!(upload, [Some("?0"), Some("200000"), Some("max-age=86400")]);
            assert_eq!(offset(&mut client, &location), incomplete(200_000));
        }
        only_names(&server, &[]);
        assert!(client.is_kept());
        drop(server);
        disk.allow_files(100);
        let server = start();
        let response = append(&mut server.connect(), &location, 200_000, true, b"");
        assert_eq!((response.status, response.field("Upload-Complete")), (201, Some("?1")));
        assert!(server.content_of("file").unwrap() == content);
        only_names(&server, &["file"]);
    }
}

/// Its client has not been told where it can be continued, unless it understands interim responses.
#[test]
fn the_response_to_an_upload_in_one_request_that_cannot_be_stored_has_its_location() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else { return };
    let server = Start::new().directory_at(disk.path()).start();
    let mut client = server.connect();
    disk.allow_files(3);
    let response = request(&mut client, "PUT", "/files/file", &["Upload-Complete: ?1"], b"content");
    assert_eq!((response.status, response.field("Upload-Complete")), (507, Some("?0")));
    let location = response.field("Location").expect("a location");
    disk.allow_files(100);
    assert_eq!(append(&mut client, location, 7, true, b"").status, 201);
    assert_eq!(server.content_of("file").unwrap(), b"content");
}

/// Without a Content-Length the server notices only when the disk is full.
#[test]
fn the_response_to_an_upload_in_one_request_that_fills_the_disk_has_its_location() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else { return };
    let server = Start::new().directory_at(disk.path()).start();
    let content = noise(DISK_BYTES * 2, 1);
    let mut client = server.connect();
    client.send(head("PUT", "/files/file", &["Upload-Complete: ?1", "Transfer-Encoding: chunked"]));
    let _ = client.try_send(chunked(&content, 100_000));
    let response = client.response();
    assert_eq!((response.status, response.field("Upload-Complete")), (507, Some("?0")));
    let location = response.field("Location").expect("a location");
    let saved: usize = response.field("Upload-Offset").expect("an offset").parse().unwrap();
    let mut client = server.connect();
    assert_eq!(offset(&mut client, location), incomplete(saved));
    // To continue it says the same.
    let response = append(&mut client, location, saved, true, &content[saved..saved + 100_000]);
    let fields = ["Upload-Complete", "Upload-Offset"].map(|name| response.field(name).map(str::to_owned));
    assert_eq!((response.status, fields[0].as_deref()), (507, Some("?0")));
    assert_eq!(offset(&mut client, location), (204, fields[1].clone(), fields[0].clone()));
    assert_eq!(request(&mut client, "DELETE", location, &[], b"").status, 204);
    assert_eq!(server.file_names(), [""; 0]);
}

/// The state file is longer than a block, so that its next record needs another one, which the full disk does not have.
#[test]
fn what_a_full_disk_cannot_save_of_an_upload_takes_no_space() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else { return };
    let server = Start::new().directory_at(disk.path()).start();
    let mut client = server.connect();
    let long = format!("If-None-Match: \"{}\"", "x".repeat(4096 - 190));
    let location = create(&mut client, "/files/file", &[&long], b"");
    let lengths = || fs::read_dir(disk.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    assert!(lengths().any(|bytes| (4096 - 60..=4096).contains(&bytes)), "{:?}", lengths().collect::<Vec<_>>());
    client.send(head(
        "PATCH",
        &location,
        &[
            "Content-Type: application/partial-upload",
            "Upload-Complete: ?0",
            "Upload-Offset: 0",
            "Transfer-Encoding: chunked",
        ],
    ));
    let _ = client.try_send(chunked(&vec![b'x'; DISK_BYTES * 2], 100_000));
    let response = client.response();
    assert_eq!((response.status, response.field("Upload-Offset")), (507, None), "its state was saved");
    assert_eq!(offset(&mut server.connect(), &location), incomplete(0));
    assert_eq!(server.store("PUT", "/files/other", &[], &vec![b'o'; DISK_BYTES / 2]).status, 201);
}

#[test]
fn an_upload_larger_than_the_free_space_is_refused_at_its_head() {
    let server = Server::with_directory();
    let mut client = server.connect();
    client.send(head("PUT", "/files/file", &["Content-Length: 999999999999999999", "Expect: 100-continue"]));
    assert_eq!(client.response().status, 507);
    assert_eq!(client.rest(), b"");
}

/// A server that permissions apply to. Root, which may run the tests, can read and write every file.
fn without_privileges(start: Start) -> Option<Start> {
    if !rustix::process::geteuid().is_root() {
        return Some(start);
    }
    let rights =
        ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"];
    let works = Command::new(rights[0]).args(&rights[1..]).arg("true").output();
    if works.is_ok_and(|output| output.status.success()) {
        return Some(start.wrapped_by(rights));
    }
    skipped("root cannot give its privileges up here: setpriv is missing or not allowed");
    None
}

/// The banner says that others may add files.
#[test]
fn a_server_that_may_not_write_to_its_directory_warns_at_the_start_if_it_takes_uploads() {
    let scratch = TempDir::new().unwrap();
    let root = scratch.path().join("root");
    fs::create_dir(&root).unwrap();
    let has_warned = |mode: u32, uploads: &str| {
        fs::set_permissions(&root, Permissions::from_mode(mode)).unwrap();
        let start = without_privileges(Start::new().directory_at(&root).options(["--uploads", uploads]))?;
        let mut server = start.start();
        let status = server.connect().upload("PUT", "/files/name", b"content").status;
        server.signal(rustix::process::Signal::TERM);
        server.wait();
        Some((status, server.raw_stderr().contains("may not write to the directory")))
    };
    for (mode, uploads, expected) in
        [(0o500, "create", (403, true)), (0o500, "off", (405, false)), (0o700, "create", (201, false))]
    {
        let Some(warned) = has_warned(mode, uploads) else { return };
        assert_eq!(warned, expected, "{mode:o} {uploads}");
    }
}

#[test]
fn a_directory_whose_files_the_server_may_not_use_is_an_error_at_the_start() {
    let scratch = TempDir::new().unwrap();
    let root = scratch.path().join("root");
    fs::create_dir(&root).unwrap();
    let start = || without_privileges(Start::new().directory_at(&root));
    // The server may list the names in the directory, but not open a file.
    fs::set_permissions(&root, Permissions::from_mode(0o600)).unwrap();
    if let Some(start) = start() {
        let ended = start.run_to_exit();
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains("no permission") && ended.stderr.contains("root"), "{}", ended.stderr);
    }
    // The other way round, files can be served by name.
    fs::write(root.join("file"), b"content").unwrap();
    fs::set_permissions(&root, Permissions::from_mode(0o300)).unwrap();
    if let Some(start) = start() {
        assert_eq!(start.start().get("/files/file").content, b"content");
    }
}

#[test]
fn without_permission_reads_and_writes_are_403() {
    let scratch = TempDir::new().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let allow = |name: &str, mode: u32| fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
    for directory in ["closed", "unsearchable"] {
        fs::create_dir(at(directory)).unwrap();
        fs::write(at(directory).join("file"), b"before").unwrap();
    }
    fs::write(at("secret"), b"before").unwrap();
    allow("secret", 0o000);
    allow("closed", 0o555);
    allow("unsearchable", 0o600);
    if let Some(server) = without_privileges(Start::new().directory_at(scratch.path())).map(Start::start) {
        let mut client = server.connect();
        let (denied, before) = ("The server may not write there.\n", b"before");
        assert_eq!(client.get("/files/secret").status, 403);
        assert_eq!(client.ask("HEAD", "/files/secret", &[]).status, 403);
        assert_eq!(client.get("/files/unsearchable/file").status, 403);
        assert_eq!(client.get("/files/closed/file").content, before);
        for target in ["/files/closed/file", "/files/closed/new", "/files/unsearchable/file"] {
            let response = client.store("PUT", target, &[], b"after");
            assert_eq!((response.status, response.text()), (403, denied), "{target}");
            let mut early = server.connect();
            early.send(head("PUT", target, &["Content-Length: 9", "Expect: 100-continue"]));
            assert_eq!(early.response().status, 403, "{target}");
        }
        assert!(client.is_kept());
        // Replacing a file needs only permission to write to its directory.
        assert_eq!(client.store("PUT", "/files/secret", &[], b"after").status, 204);
    }
    allow("unsearchable", 0o700);
    for file in ["closed/file", "unsearchable/file"] {
        assert_eq!(fs::read(at(file)).unwrap(), b"before", "{file}");
    }
}

#[test]
fn an_unknown_upload_is_404_whether_its_directory_is_missing_or_closed() {
    let scratch = TempDir::new().unwrap();
    let closed = scratch.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    if let Some(server) = without_privileges(Start::new().directory_at(scratch.path())).map(Start::start) {
        let mut client = server.connect();
        assert_eq!(client.get("/files/closed/file").status, 403);
        for method in ["GET", "DELETE"] {
            for directory in ["closed", "absent"] {
                let upload = format!("/.spindle/uploads/{:032x}/{directory}/file", 1);
                assert_eq!(client.ask(method, &upload, &[]).status, 404, "{method} {directory}");
            }
        }
    }
}

#[test]
fn an_unfinished_upload_is_not_reported_as_lost_while_the_disk_is_read_only() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else { return };
    let server = Start::new().directory_at(disk.path()).start();
    let mut client = server.connect();
    let upload = create(&mut client, "/files/name", &[], b"some");
    let unknown = format!("/.spindle/uploads/{:032x}/name", 1);

    disk.set_read_only(true);
    assert_eq!(offset(&mut client, &upload).0, 403);
    let response = append(&mut client, &upload, 4, true, b"thing");
    assert_eq!((response.status, response.text()), (403, "The server may not write there.\n"));
    assert_eq!(request(&mut client, "DELETE", &upload, &[], b"").status, 403);
    assert_eq!(offset(&mut client, &unknown).0, 404);

    disk.set_read_only(false);
    assert_eq!(offset(&mut client, &upload), incomplete(4));
    assert_eq!(append(&mut client, &upload, 4, true, b"thing").status, 201);
    assert_eq!(server.content_of("name").unwrap(), b"something");
}

/// Sets the server's limit of descriptors. `None` is no limit.
fn limit_descriptors(server: &Server, current: Option<u64>) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    prlimit(Some(server.pid()), Resource::Nofile, Rlimit { current, maximum }).expect("a limit to set");
}

#[test]
fn without_descriptors_files_are_503_and_the_connection_is_kept() {
    let server = Server::with_directory();
    server.put("file", b"bytes");
    fs::create_dir(server.directory().join("shelf")).unwrap();
    let mut client = server.connect();
    assert!(client.is_kept());
    limit_descriptors(&server, Some(3));
    for (method, target) in [("GET", "/files/file"), ("PUT", "/files/file"), ("POST", "/files/shelf/new")] {
        let response = client.store(method, target, &[], b"after");
        let reason = "The server has too many files open.\n";
        assert_eq!((response.status, response.text()), (503, reason), "{method} {target}");
    }
    assert_eq!(client.ask("HEAD", "/files/file", &[]).status, 503);
    assert!(client.is_kept());
    assert_eq!(server.content_of("file").unwrap(), b"bytes");
    limit_descriptors(&server, getrlimit(Resource::Nofile).maximum);
    assert_eq!(client.get("/files/file").text(), "bytes");
    assert_eq!(client.store("PUT", "/files/file", &[], b"after").status, 204);
}

#[test]
fn an_accepted_upload_needs_no_further_descriptor() {
    let server = Start::new().directory().options(["--fsync"]).start();
    fs::create_dir(server.directory().join("shelf")).unwrap();
    server.write_file("shelf/existing", b"before");
    let descriptors = server.descriptors();
    for (name, status) in [("absent", 201), ("existing", 204)] {
        let mut client = server.connect();
        let target = format!("/files/shelf/{name}");
        client.send(head("PUT", &target, &["Transfer-Encoding: chunked", "Expect: 100-continue"]));
        assert_eq!(client.head().status, 100);
        limit_descriptors(&server, Some(3));
        client.send(chunked(b"bytes", 3));
        assert_eq!(client.response().status, status, "{name}");
        limit_descriptors(&server, getrlimit(Resource::Nofile).maximum);
        drop(client);
        server.wait_for_descriptors(descriptors);
    }
}
