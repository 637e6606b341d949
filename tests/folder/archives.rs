//! Archives of a folder. The real tar extracts exactly the files of the folder.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use tempfile::TempDir;

use crate::harness::{Server, noise};
use crate::support::{ask, get, share, share_with};

/// Extracts the archive with the real tar.
fn extract(archive: &[u8]) -> TempDir {
    let into = TempDir::new().unwrap();
    let mut tar =
        Command::new("tar").arg("-xf-").arg("-C").arg(into.path()).stdin(Stdio::piped()).spawn().expect("tar");
    tar.stdin.take().unwrap().write_all(archive).unwrap();
    assert!(tar.wait().unwrap().success());
    into
}

/// A path, the seconds and nanoseconds of its modification time, and the content if it is a file.
type Node = (Vec<u8>, i64, i64, Option<Vec<u8>>);

/// All paths below `root`, sorted. Links are followed.
fn tree(root: &Path) -> Vec<Node> {
    let mut tree = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        let metadata = fs::metadata(&directory).unwrap();
        let name = directory.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        tree.push((name, metadata.mtime(), metadata.mtime_nsec(), None));
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::metadata(&path).unwrap();
            if metadata.is_dir() {
                directories.push(path);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
            tree.push((name, metadata.mtime(), metadata.mtime_nsec(), Some(fs::read(&path).unwrap())));
        }
    }
    tree.sort();
    tree
}

fn archive(server: &Server, target: &str) -> Vec<u8> {
    let response = get(server, &format!("{target}?archive=tar"));
    assert_eq!(response.status, 200, "{}", response.head);
    assert_eq!(response.field("Content-Type"), Some("application/x-tar"));
    response.content
}

#[test]
fn tar_extracts_every_byte_name_and_time() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let server = share(&["empty", "sub/deep/er/file", "empty-dir/", "ü/é", &long, &"x".repeat(100), &"y".repeat(101)]);
    for (name, bytes) in [("511", 511), ("512", 512), ("513", 513), ("large", 3_000_000)] {
        server.write_file(name, &noise(bytes, bytes as u64));
    }
    fs::write(server.directory().join(OsStr::from_bytes(b"odd-\xff")), b"odd").unwrap();
    for (name, since_1970) in [("511", Duration::new(1, 234_567_891)), ("512", Duration::new(784_111_777, 0))] {
        File::open(server.directory().join(name)).unwrap().set_modified(UNIX_EPOCH + since_1970).unwrap();
    }
    File::open(server.directory().join("513")).unwrap().set_modified(UNIX_EPOCH - Duration::from_millis(1500)).unwrap();
    let extracted = extract(&archive(&server, "/"));
    assert_eq!(tree(&extracted.path().join("served")), tree(server.directory()));

    let extracted = extract(&archive(&server, "/sub/"));
    assert_eq!(tree(&extracted.path().join("sub")), tree(&server.directory().join("sub")));
}

#[test]
fn tar_extracts_many_small_files_among_large_ones() {
    let server = share(&["0/", "1/", "2/", "3/", "4/", "5/", "6/"]);
    for number in 0..1000 {
        // Lengths around multiples of the block, and around the largest small file.
        let bytes = match number % 100 {
            50 => 8188 + number / 100,
            99 => 100_000 + number,
            rest => rest * 173 % 5000 / 512 * 512 + number % 3,
        };
        server.write_file(&format!("{}/{number}", number % 7), &noise(bytes, number as u64));
    }
    let extracted = extract(&archive(&server, "/"));
    assert_eq!(tree(&extracted.path().join("served")), tree(server.directory()));
}

#[test]
fn an_archive_contains_only_what_clients_may_read() {
    let names = [".hidden", "sub/.hidden/x", "shown", ".spindle-0123456789abcdef"];
    let server = share(&names);
    symlink("/etc/passwd", server.directory().join("out")).unwrap();
    symlink("shown", server.directory().join("link")).unwrap();
    symlink(".", server.directory().join("circle")).unwrap();
    let names_in = |archive: &[u8]| {
        let names = tree(&extract(archive).path().join("served")).into_iter();
        names.map(|(name, ..)| String::from_utf8(name).unwrap()).filter(|name| name != "link").collect::<Vec<_>>()
    };
    assert_eq!(names_in(&archive(&server, "/")), ["", "shown", "sub"]);

    let server = share_with(&["--hidden"], &names);
    assert_eq!(names_in(&archive(&server, "/")), ["", ".hidden", "shown", "sub", "sub/.hidden", "sub/.hidden/x"]);
}

#[test]
fn an_archive_is_saved_under_the_name_of_the_folder() {
    let server = share(&["a b/x"]);
    let disposition = |target: &str| {
        let response = ask(&server, "HEAD", target, &[]);
        assert_eq!(response.status, 200, "{target}");
        response.field("Content-Disposition").unwrap().to_owned()
    };
    assert_eq!(disposition("/a%20b/?archive=tar"), "attachment; filename=\"a b.tar\"");
    assert_eq!(disposition("/?archive=tar"), "attachment; filename=\"served.tar\"");
    assert_eq!(get(&server, "/absent/?archive=tar").status, 404);
    assert_eq!(get(&server, "/?archive=zip").status, 400);
}

#[test]
fn the_connection_is_kept_after_an_archive() {
    let server = share(&["a", "b/c"]);
    let mut client = server.connect();
    for _ in 0..3 {
        let response = client.exchange("GET /?archive=tar HTTP/1.1\r\nHost: localhost\r\n\r\n");
        // An archive consists of whole blocks, and ends with two blocks of zeros.
        assert!(response.content.len().is_multiple_of(512) && response.content.ends_with(&[0; 1024]));
    }
}

#[test]
fn an_archive_ends_early_if_a_file_shrinks() {
    let server = share(&[]);
    let path = server.directory().join("large");
    // A sparse file, much longer than all buffers between the server and the client.
    File::create(&path).unwrap().set_len(64 << 20).unwrap();
    let mut client = server.connect();
    client.send("GET /?archive=tar HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.head().status, 200);
    File::options().write(true).open(&path).unwrap().set_len(1).unwrap();
    let content = client.read_until_closed();
    assert!(content.len() < 64 << 20 && !content.ends_with(b"0\r\n\r\n"), "{}", content.len());
}

/// An HTTP/1.0 client recognises the end of its content only by the end of the connection.
#[test]
fn an_http_1_0_client_sees_a_reset_if_its_archive_ends_early() {
    let server = share(&[]);
    let path = server.directory().join("large");
    for (shrinks, expected) in [(true, false), (false, true)] {
        File::create(&path).unwrap().set_len(64 << 20).unwrap();
        let mut client = server.connect();
        client.send("GET /?archive=tar HTTP/1.0\r\nHost: localhost\r\n\r\n");
        assert_eq!(client.head().status, 200);
        if shrinks {
            File::options().write(true).open(&path).unwrap().set_len(1).unwrap();
        }
        assert_eq!(client.closes_cleanly(), expected);
    }
}

#[test]
fn too_many_concurrent_archives_are_503_until_one_ends() {
    let server = share(&[]);
    File::create(server.directory().join("large")).unwrap().set_len(64 << 20).unwrap();
    let request = "GET /?archive=tar HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut clients: Vec<_> = (0..17).map(|_| server.connect()).collect();
    let statuses: Vec<u16> = clients
        .iter_mut()
        .map(|client| {
            client.send(request);
            client.head().status
        })
        .collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 16);
    assert_eq!(statuses[16], 503);
    clients.into_iter().for_each(crate::harness::Client::reset);
    crate::harness::wait_until("room for an archive", || {
        let mut client = server.connect();
        client.send(request);
        client.head().status == 200
    });
}

/// A deeper upload would break the archive off, for everybody.
#[test]
fn an_archive_contains_the_deepest_file_that_can_be_uploaded() {
    let server = share_with(&["--uploads", "create"], &[]);
    let deepest = format!("/{}f", "a/".repeat(63));
    let put = |target: &str| ask(&server, "PUT", target, &["Content-Length: 0"]).status;
    assert_eq!(put(&deepest), 201);
    let deeper = format!("/{}f", "a/".repeat(64));
    assert_eq!(put(&deeper), 400);
    assert_eq!(get(&server, &deeper).status, 404);
    let extracted = extract(&archive(&server, "/"));
    assert_eq!(fs::read(extracted.path().join(format!("served{deepest}"))).unwrap(), b"");
}
