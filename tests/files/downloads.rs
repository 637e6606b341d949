//! Downloads: their fields, files that change meanwhile, the cache, many clients at once, and the memory they take.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::harness::{Client, Server, Start, noise};
use crate::support::{Tracer, chunk, head, make_fifo, make_sparse, roomy_directory, set_modified};

/// More than all buffers between the server and a client that does not read.
const LARGE_BYTES: u64 = 64 << 20;

/// The memory that a transfer may take in addition to that of an idle server, in KiB, however long it is.
const MEMORY_MAX_KIB: u64 = 16 << 10;

/// More than one call of sendfile sends, and more than 31 bits can count.
const TWO_GIGABYTES: u64 = 2 << 30;

/// Long enough to show that memory grows with an upload, and no longer, because the content needs space on the disk.
const HALF_A_GIGABYTE: u64 = 512 << 20;

#[test]
fn get_and_head_describe_a_file_alike() {
    let server = Server::with_directory();
    let tag = server.put("file", b"bytes");
    let mut client = server.connect();
    let get = client.ask("GET", "/files/file", &[]);
    let head = client.ask("HEAD", "/files/file", &[]);
    assert_eq!((get.status, get.text()), (200, "bytes"));
    for (name, expected) in [
        ("Content-Length", "5"),
        ("Content-Type", "application/octet-stream"),
        ("Accept-Ranges", "bytes"),
        ("X-Content-Type-Options", "nosniff"),
        ("ETag", &tag),
        ("Content-Encoding", ""),
    ] {
        assert_eq!(get.field(name).unwrap_or_default(), expected);
    }
    let undated = |head: &str| head.split("\r\n").filter(|line| !line.starts_with("Date:")).collect::<String>();
    assert_eq!(undated(&get.head), undated(&head.head));
    assert!(client.is_kept());
}

/// Anybody may have uploaded the file, so a browser must not take it for a page because of its content.
#[test]
fn downloads_tell_browsers_not_to_guess_the_media_type() {
    const NOSNIFF: (&str, Option<&str>) = ("X-Content-Type-Options", Some("nosniff"));
    let server = Server::with_directory();
    server.put("file", b"<script>alert(1)</script>");
    server.write_file("long", &[b'x'; 100_000]);
    server.strong_tag("long");
    let mut client = server.connect();
    for (method, target, fields, status) in [
        ("GET", "/files/file", &[][..], 200),
        ("HEAD", "/files/file", &[], 200),
        ("GET", "/files/long", &[], 200),
        ("GET", "/files/file", &["Range: bytes=0-7"], 206),
        ("GET", "/files/file", &["Range: bytes=0-1,3-4"], 206),
    ] {
        // The second response comes from the cache, because both files are old enough to be cached.
        for _ in 0..2 {
            let response = client.ask(method, target, fields);
            assert_eq!((response.status, response.field(NOSNIFF.0)), (status, NOSNIFF.1), "{method} {target}");
        }
    }
    for (target, status) in [("/", 200), ("/echo/a", 200), ("/user-agent", 200), ("/files/absent", 404)] {
        let response = client.get(target);
        assert_eq!((response.status, response.field(NOSNIFF.0)), (status, None), "{target}");
    }
}

#[test]
fn a_404_has_content_only_for_clients_that_name_a_text_type() {
    let server = Server::with_directory();
    fs::create_dir(server.directory().join("shelf")).unwrap();
    for target in ["/files/absent", "/files/shelf", "/files/", "/files/../x", "/absent", "/echo/a/b"] {
        let response = server.ask("GET", target, &["Accept: text/html, */*;q=0.8"]);
        assert_eq!((response.status, response.text()), (404, "There is nothing at this address.\n"), "{target}");
        for fields in [&[][..], &["Accept: */*"]] {
            let response = server.ask("GET", target, fields);
            assert_eq!((response.status, response.text()), (404, ""), "{target}");
            assert_eq!((response.field("Content-Type"), response.field("Content-Length")), (None, Some("0")));
        }
    }
}

#[test]
fn a_download_continues_with_the_old_file_if_it_is_replaced_or_removed() {
    let server = Server::with_directory();
    let old = noise(LARGE_BYTES as usize, 1);
    for removed in [false, true] {
        server.write_file("file", &old);
        let mut slow = server.connect();
        slow.send(head("GET", "/files/file", &[]));
        assert_eq!(slow.head().field("Content-Length"), Some("67108864"));
        if removed {
            fs::remove_file(server.directory().join("file")).unwrap();
            assert_eq!(server.get("/files/file").status, 404);
        } else {
            server.put("file", b"new");
            assert_eq!(server.get("/files/file").text(), "new");
        }
        assert!(slow.content(LARGE_BYTES) == old, "every byte of the old file");
        assert!(slow.is_kept());
    }
}

#[test]
fn a_file_that_is_truncated_during_a_download_ends_the_connection() {
    let server = Server::with_directory();
    let mut bystander = server.connect();
    assert!(bystander.is_kept());
    let descriptors = server.descriptors();
    for range in ["bytes=0-", "bytes=0-33554431,33554432-"] {
        let path = server.directory().join("file");
        make_sparse(&path, LARGE_BYTES);
        let mut slow = server.connect();
        slow.send(head("GET", "/files/file", &[&format!("Range: {range}")]));
        let promised: u64 = slow.head().field("Content-Length").unwrap().parse().unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_len(10_000).unwrap();
        // The next request must get no response: the client would take its bytes for the missing ones.
        let _ = slow.try_send(head("GET", "/echo/never", &[]));
        let received = slow.read_until_closed();
        assert!((received.len() as u64) < promised, "{range}: {} bytes", received.len());
        assert!(!received.ends_with(b"never"), "{range}");
        assert!(bystander.is_kept(), "{range}");
        server.wait_for_descriptors(descriptors);
        assert_eq!(server.get("/files/file").field("Content-Length"), Some("10000"), "other clients are served");
    }
}

#[test]
fn a_hundred_readers_during_two_hundred_replacements_see_whole_versions() {
    const VERSIONS: usize = 8;
    let versions: Vec<Vec<u8>> =
        (0..VERSIONS).map(|number| noise(12_000 + number * 1_999, number as u64 + 1)).collect();
    let server = Server::with_directory();
    server.put("file", &versions[0]);
    let (done, read) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                let mut client = server.connect();
                while !done.load(Ordering::Relaxed) {
                    let response = client.get("/files/file");
                    assert_eq!(response.status, 200);
                    assert!(versions.contains(&response.content), "a mixture of versions");
                    read.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut writer = server.connect();
        for number in 1..=200 {
            let response = writer.store("PUT", "/files/file", &[], &versions[number % VERSIONS]);
            if response.status != 204 {
                done.store(true, Ordering::Relaxed);
                panic!("{}", response.head);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(read.load(Ordering::Relaxed) >= 100);
    assert_eq!(server.file_names(), ["file"]);
}

#[test]
fn a_download_of_two_gigabytes_takes_little_memory() {
    let Some(scratch) = roomy_directory(TWO_GIGABYTES) else { return };
    let server = Start::new().directory_at(scratch.path()).start();
    make_sparse(&server.directory().join("sparse"), TWO_GIGABYTES);
    server.get("/files/absent");
    let idle_kib = server.resident_kib();
    let mut client = server.connect();
    client.send(head("GET", "/files/sparse", &[]));
    assert_eq!(client.head().field("Content-Length"), Some("2147483648"));
    client.skip(TWO_GIGABYTES);
    assert!(client.is_kept());
    let peak_kib = server.resident_peak_kib();
    assert!(peak_kib <= idle_kib + MEMORY_MAX_KIB, "{peak_kib} KiB at most, {idle_kib} when idle");
}

#[test]
fn an_upload_of_half_a_gigabyte_in_chunks_takes_little_memory() {
    let Some(scratch) = roomy_directory(HALF_A_GIGABYTE * 5 / 4) else { return };
    let server = Start::new().directory_at(scratch.path()).start();
    server.get("/files/absent");
    let idle_kib = server.resident_kib();
    let chunk = chunk(&vec![7; 1 << 20]);
    let mut client = server.connect();
    client.send(head("PUT", "/files/file", &["Transfer-Encoding: chunked"]));
    for _ in 0..HALF_A_GIGABYTE >> 20 {
        client.send(&chunk);
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().status, 201);
    let peak_kib = server.resident_peak_kib();
    assert_eq!(fs::metadata(server.directory().join("file")).unwrap().len(), HALF_A_GIGABYTE);
    assert!(peak_kib <= idle_kib + MEMORY_MAX_KIB, "{peak_kib} KiB at most, {idle_kib} when idle");
}

#[test]
fn a_small_file_is_sent_in_one_write_and_a_large_one_by_sendfile() {
    let Some(tracer) = Tracer::of("sendto,sendfile") else { return };
    let server = Start::new().directory().wrapped_by(tracer.command()).start();
    let small = noise(10_000, 1);
    server.write_file("small", &small);
    make_sparse(&server.directory().join("large"), 8 << 20);
    // A file is cached only if it has not been changed in the last two seconds.
    server.strong_tag("small");
    let mut client = server.connect();
    assert!(client.get("/files/small").content == small);
    assert_eq!(client.get("/files/large").content.len(), 8 << 20);
    drop(server);
    let trace = tracer.whole_trace();
    // The calls after the response to the last HEAD: one for the small file, and one for the head of the large file.
    let head_of_small = trace.iter().rposition(|call| call.contains("Content-Length: 10000")).expect("a response");
    let calls = &trace[head_of_small..];
    let (sent, others): (Vec<_>, Vec<_>) = calls.iter().partition(|call| call.starts_with("sendto"));
    if cfg!(target_os = "linux") {
        assert_eq!(sent.len(), 2, "{calls:?}");
        assert!(!sent[0].contains("MSG_MORE") && sent[1].contains("MSG_MORE"), "{calls:?}");
        assert!(others.iter().any(|call| call.starts_with("sendfile")), "{calls:?}");
    } else {
        assert!(sent.len() > 2 && !others.iter().any(|call| call.starts_with("sendfile")), "{calls:?}");
    }
}

/// A change that another process makes to a cached file. The smaller file keeps its length, so that a cache that compared
/// only lengths would not notice the change.
type Change = fn(&Path);

/// What a GET returns afterwards.
#[derive(Clone, Copy)]
enum Afterwards {
    TheSameContent,
    OtherContent,
    NotFound,
}

const CHANGES: [(&str, Change, Afterwards); 8] = [
    ("rewritten in place", |file| fs::write(file, b"other").unwrap(), Afterwards::OtherContent),
    ("replaced", |file| replace(file, |new| fs::write(new, b"other").unwrap()), Afterwards::OtherContent),
    ("given an old date", |file| set_modified(file, 0), Afterwards::TheSameContent),
    ("removed", |file| fs::remove_file(file).unwrap(), Afterwards::NotFound),
    (
        "replaced by a link that leads out",
        |file| replace(file, |new| symlink("/etc/passwd", new).unwrap()),
        Afterwards::NotFound,
    ),
    ("replaced by a FIFO", |file| replace(file, make_fifo), Afterwards::NotFound),
    ("its directory removed", |file| fs::remove_dir_all(file.parent().unwrap()).unwrap(), Afterwards::NotFound),
    (
        "its directory replaced by a link that leads out",
        |file| {
            let directory = file.parent().unwrap();
            fs::remove_dir_all(directory).unwrap();
            symlink("/etc", directory).unwrap();
        },
        Afterwards::NotFound,
    ),
];

fn replace(file: &Path, make: impl Fn(&Path)) {
    let new = file.with_extension("new");
    make(&new);
    fs::rename(new, file).unwrap();
}

/// Small files are cached in memory, and larger ones as open files.
#[test]
fn a_cached_file_is_never_older_than_the_one_on_the_disk() {
    let server = Server::with_directory();
    let mut client = server.connect();
    for content in [b"bytes".to_vec(), b"bytes".repeat(10_000)] {
        let directory = server.directory().join(content.len().to_string());
        for number in 0..CHANGES.len() {
            fs::create_dir_all(directory.join(number.to_string())).unwrap();
            fs::write(directory.join(format!("{number}/passwd")), &content).unwrap();
        }
        for (number, (what, change, afterwards)) in CHANGES.into_iter().enumerate() {
            let name = format!("{}/{number}/passwd", content.len());
            let target = format!("/files/{name}");
            // The file is cached as soon as its tag is strong. Then it is requested twice.
            let tag = server.strong_tag(&name);
            for _ in 0..2 {
                assert!(client.get(&target).content == content, "{what}");
            }
            change(&server.directory().join(&name));
            let response = client.get(&target);
            match afterwards {
                Afterwards::TheSameContent => assert!(response.content == content, "{what}"),
                Afterwards::OtherContent => assert_eq!(response.content, b"other", "{what}"),
                Afterwards::NotFound => assert_eq!(response.status, 404, "{what}"),
            }
            assert!(response.status == 404 || response.field("ETag") != Some(&tag), "{what}");
        }
    }
}

#[test]
fn a_large_file_stays_open_while_it_is_requested_and_not_for_long_afterwards() {
    let server = Server::with_directory();
    fs::write(server.directory().join("large"), noise(100_000, 1)).unwrap();
    let mut client = server.connect();
    assert!(client.is_kept());
    let descriptors = server.descriptors();
    server.strong_tag("large");
    assert_eq!(client.get("/files/large").content.len(), 100_000);
    server.wait_for_descriptors(descriptors + 1);
    fs::remove_file(server.directory().join("large")).unwrap();
    // No request wakes the server: it has to evict the file by its own deadline.
    server.wait_for_descriptors(descriptors);
    assert_eq!(client.get("/files/large").status, 404);
}

#[test]
fn a_file_is_cached_once_however_its_name_is_encoded() {
    let server = Server::with_directory();
    fs::create_dir(server.directory().join("shelf")).unwrap();
    fs::write(server.directory().join("shelf/large"), noise(100_000, 1)).unwrap();
    let mut client = server.connect();
    assert!(client.is_kept());
    let descriptors = server.descriptors();
    server.strong_tag("shelf/large");
    // The cache keeps the file open.
    server.wait_for_descriptors(descriptors + 1);
    for target in ["/files/shelf/large", "/files/shelf/l%61rge", "/files/%73helf/large", "/files/./shelf/./large"] {
        assert_eq!(client.get(target).content.len(), 100_000, "{target}");
        assert_eq!(server.descriptors(), descriptors + 1, "{target}");
    }
}

/// The encoded form of one name may be the other name.
#[test]
fn cached_files_whose_names_have_percent_signs_are_not_confused() {
    let server = Server::with_directory();
    let names = ["a", "%61", "%2561"];
    for name in names {
        server.write_file(name, name.as_bytes());
    }
    server.strong_tag("%252561");
    for _ in 0..2 {
        for (target, name) in
            [("/files/a", "a"), ("/files/%61", "a"), ("/files/%2561", "%61"), ("/files/%252561", "%2561")]
        {
            assert_eq!(server.get(target).text(), name, "{target}");
        }
    }
}

#[test]
fn clients_that_do_not_read_do_not_hold_up_others() {
    let server = Server::with_directory();
    make_sparse(&server.directory().join("sparse"), 1 << 40);
    let mut silent: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    for client in &mut silent {
        client.send(head("GET", "/files/sparse", &[]));
        assert_eq!(client.head().status, 200);
    }
    for _ in 0..20 {
        assert_eq!(server.ask("GET", "/files/sparse", &["Range: bytes=5-6"]).content, [0, 0]);
    }
}
