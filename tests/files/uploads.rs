//! Uploads that succeed: completely, in one step, and exactly one of several concurrent ones.

use std::collections::HashSet;
use std::fs;
use std::sync::Barrier;
use std::thread;

use crate::harness::{Client, Response, Server, Start, noise};
use crate::support::{Tracer, chunked, head};

fn store_chunked(client: &mut Client, method: &str, target: &str, bytes: Vec<u8>) -> Response {
    client.send(head(method, target, &["Transfer-Encoding: chunked"]));
    client.send(bytes);
    client.response()
}

#[test]
fn content_is_stored_exactly_with_content_length_and_in_chunks() {
    let server = Server::with_directory();
    let mut client = server.connect();
    for (number, bytes) in [0, 1, 2, 65_535, 65_536, 65_537, 3_000_001].into_iter().enumerate() {
        let content = noise(bytes, number as u64);
        let by_length = client.store("PUT", "/files/length", &[], &content);
        assert_eq!(by_length.status, if number == 0 { 201 } else { 204 }, "{bytes}");
        for chunk_bytes in [1, 1000, 70_000] {
            if bytes / chunk_bytes > 70_000 {
                continue;
            }
            let coded = chunked(&content, chunk_bytes);
            assert_eq!(store_chunked(&mut client, "POST", "/files/chunks", coded).status, 201);
            assert!(server.content_of("chunks").unwrap() == content, "{bytes} in chunks of {chunk_bytes}");
        }
        assert!(server.content_of("length").unwrap() == content, "{bytes}");
        assert!(client.get("/files/length").content == content, "{bytes}");
    }
    assert_eq!(server.file_names(), ["chunks", "length"]);
}

#[test]
fn chunk_extensions_and_trailers_are_not_stored() {
    let server = Server::with_directory();
    let coded = b"3;a=b;c=\"\\\"\"\r\nabc\r\n0003\r\ndef\r\n0;last\r\nETag: \"x\"\r\nContent-Length: 1\r\n\r\n";
    assert_eq!(store_chunked(&mut server.connect(), "PUT", "/files/file", coded.to_vec()).status, 201);
    assert_eq!(server.content_of("file").unwrap(), b"abcdef");
}

#[test]
fn post_is_always_201_and_put_is_204_if_it_replaced_a_file() {
    let server = Server::with_directory();
    let mut client = server.connect();
    for (method, expected) in [("POST", 201), ("POST", 201), ("PUT", 204)] {
        assert_eq!(client.store(method, "/files/posted", &[], method.as_bytes()).status, expected);
        assert_eq!(server.content_of("posted").unwrap(), method.as_bytes());
    }
    let made = client.store("PUT", "/files/put", &[], b"bytes");
    assert_eq!((made.status, made.field("Content-Length")), (201, Some("0")));
    let replaced = client.store("PUT", "/files/put", &[], b"bytes");
    assert_eq!((replaced.status, replaced.field("Content-Length")), (204, None));
    let read = client.get("/files/put");
    for name in ["ETag", "Last-Modified"] {
        assert_eq!(replaced.field(name), read.field(name), "the response describes what a GET returns");
        assert_ne!(replaced.field("ETag"), made.field("ETag"), "the same bytes are another version");
    }
    assert!(client.is_kept());
}

#[test]
fn no_two_uploads_have_the_same_tag_however_fast_they_are() {
    const UPLOADS: usize = 200;
    let server = Server::with_directory();
    let mut client = server.connect();
    // All requests are sent at once, so that many uploads fall into one tick of the file system's clock.
    client.send(format!("{}bytes", head("PUT", "/files/file", &["Content-Length: 5"])).repeat(UPLOADS));
    let tags: HashSet<String> =
        (0..UPLOADS).map(|_| client.response().field("ETag").expect("a tag").to_owned()).collect();
    assert_eq!(tags.len(), UPLOADS);
}

#[test]
fn an_upload_does_not_change_other_hard_links_of_the_file() {
    let server = Server::with_directory();
    server.write_file("file", b"before");
    fs::hard_link(server.directory().join("file"), server.directory().join("other")).unwrap();
    server.put("file", b"after");
    assert_eq!(
        (server.content_of("file"), server.content_of("other")),
        (Some(b"after".to_vec()), Some(b"before".to_vec()))
    );
}

#[test]
fn an_upload_is_visible_only_after_its_last_byte() {
    let server = Server::with_directory();
    server.put("existing", b"before");
    for (name, before) in [("existing", Some(&b"before"[..])), ("absent", None)] {
        let target = format!("/files/{name}");
        let mut client = server.connect();
        client.send(head("PUT", &target, &["Content-Length: 100000", "Expect: 100-continue"]));
        assert_eq!(client.head().status, 100);
        client.send(vec![b'x'; 99_999]);
        for _ in 0..3 {
            let seen = server.get(&target);
            assert_eq!((seen.status == 200).then_some(&seen.content[..]), before);
        }
        client.send("x");
        assert!(matches!(client.response().status, 201 | 204));
        assert_eq!(server.get(&target).content, [b'x'; 100_000]);
    }
}

#[test]
fn one_of_two_concurrent_uploads_of_a_name_is_stored_completely() {
    let server = Server::with_directory();
    let contents = [noise(200_000, 1), noise(300_000, 2)];
    for round in 0..5 {
        let mut clients = [server.connect(), server.connect()];
        for (client, content) in clients.iter_mut().zip(&contents) {
            client.send(head("PUT", "/files/file", &[&format!("Content-Length: {}", content.len())]));
        }
        for piece in 0..10 {
            for (client, content) in clients.iter_mut().zip(&contents) {
                let bytes = content.len() / 10;
                client.send(&content[piece * bytes..(piece + 1) * bytes]);
            }
        }
        let statuses = clients.each_mut().map(|client| client.response().status);
        assert!(statuses.iter().all(|status| matches!(status, 201 | 204)), "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), usize::from(round == 0));
        let stored = server.content_of("file").unwrap();
        assert!(contents.contains(&stored), "one of them, complete");
    }
    assert_eq!(server.file_names(), ["file"]);
}

#[test]
fn exactly_one_of_many_clients_creates_a_file() {
    const CLIENTS: usize = 40;
    for (fields, options, late) in [(&["If-None-Match: *"][..], &[][..], 412), (&[], &["--uploads", "create"], 409)] {
        let server = Start::new().directory().options(options.iter().copied()).start();
        let barrier = Barrier::new(CLIENTS);
        let responses: Vec<(usize, u16)> = thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let (server, barrier) = (&server, &barrier);
                    scope.spawn(move || {
                        let mut client = server.connect();
                        let length = "Content-Length: 50000";
                        client.send(head("PUT", "/files/file", &[fields, &[length, "Expect: 100-continue"]].concat()));
                        // Every upload has been accepted before any content is sent.
                        assert_eq!(client.head().status, 100);
                        barrier.wait();
                        client.send(vec![number as u8; 50_000]);
                        (number, client.response().status)
                    })
                })
                .collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        let winners: Vec<_> = responses.iter().filter(|(_, status)| *status == 201).collect();
        assert_eq!(winners.len(), 1, "{responses:?}");
        // All others find the file when they are published.
        assert!(responses.iter().all(|(_, status)| [201, late].contains(status)), "{responses:?}");
        assert_eq!(server.content_of("file").unwrap(), vec![winners[0].0 as u8; 50_000]);
        assert_eq!(server.file_names(), ["file"]);
    }
}

#[test]
fn a_hundred_clients_increment_a_counter_and_no_update_is_lost() {
    const CLIENTS: usize = 100;
    let server = Server::with_directory();
    server.put("counter", b"0");
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = server.connect();
                // An attempt fails only if another client has succeeded, and each client succeeds once.
                for _ in 0..CLIENTS {
                    let read = client.get("/files/counter");
                    let next = read.text().parse::<usize>().unwrap() + 1;
                    let condition = format!("If-Match: {}", read.field("ETag").unwrap());
                    match client.store("PUT", "/files/counter", &[&condition], next.to_string().as_bytes()).status {
                        204 => return,
                        412 => {}
                        other => panic!("{other}"),
                    }
                }
                panic!("refused more often than other clients have succeeded");
            });
        }
    });
    assert_eq!(server.content_of("counter").unwrap(), CLIENTS.to_string().as_bytes());
}

/// Content that comes with its head is stored in another way than content that comes later.
#[test]
fn the_response_to_an_upload_is_the_same_whether_its_content_comes_with_its_head_or_later() {
    const CASES: [(&str, &str, &[&str], u16); 14] = [
        ("PUT", "/files/new", &[], 201),
        ("PUT", "/files/new", &[], 204),
        ("POST", "/files/new", &[], 201),
        ("PUT", "/files/new", &["Connection: close"], 204),
        ("PUT", "/files/new", &["If-None-Match: *"], 412),
        ("PUT", "/files/absent", &["If-Match: *"], 412),
        ("PUT", "/files/new", &["Repr-Digest: sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"], 400),
        ("PUT", "/files/new", &["Want-Repr-Digest: sha-256=1"], 204),
        ("PUT", "/files/new", &["Content-Encoding: gzip"], 415),
        ("PUT", "/files/shelf", &[], 409),
        ("PUT", "/files/none/new", &[], 404),
        ("PUT", "/files/new/new", &[], 404),
        ("PUT", "/files/a%00b", &[], 400),
        ("PUT", "/files/long", &[], 413),
    ];
    let results = [true, false].map(|comes_at_once| {
        let server = Start::new().directory().options(["--max-upload", "1000"]).start();
        fs::create_dir(server.directory().join("shelf")).unwrap();
        let mut other = server.connect();
        let responses = CASES.map(|(method, target, fields, expected)| {
            let content = noise(if expected == 413 { 1001 } else { 1000 }, 1);
            let length = format!("Content-Length: {}", content.len());
            let head = head(method, target, &[fields, &[&length]].concat());
            let mut client = server.connect();
            if comes_at_once {
                client.send([head.as_bytes(), &content].concat());
            } else {
                client.send(head);
                // Once this has its response, the server has read the head.
                assert!(other.is_kept());
                client.send(&content);
            }
            let response = client.response();
            assert_eq!(response.status, expected, "{method} {target} {fields:?}");
            assert_eq!(client.is_kept(), !fields.contains(&"Connection: close"), "{method} {target} {fields:?}");
            let differs = |line: &&str| ["ETag:", "Last-Modified:", "Date:"].iter().any(|name| line.starts_with(name));
            let lines: Vec<String> = response.head.lines().filter(|line| !differs(line)).map(str::to_owned).collect();
            (lines, response.content)
        });
        assert!(server.content_of("new").unwrap() == noise(1000, 1));
        assert_eq!(server.file_names(), ["new", "shelf"]);
        responses
    });
    assert_eq!(results[0], results[1]);
}

#[test]
fn with_create_no_upload_replaces_a_file() {
    let server = Start::new().directory().options(["--uploads", "create"]).start();
    let mut client = server.connect();
    for method in ["PUT", "POST"] {
        let target = format!("/files/{method}");
        assert_eq!(client.store(method, &target, &[], b"first").status, 201);
        let taken = client.store(method, &target, &[], b"second");
        assert_eq!((taken.status, taken.text()), (409, "There is a file of this name, and it may not be replaced.\n"));
        assert_eq!(server.content_of(method).unwrap(), b"first");
    }
    assert!(client.is_kept());
    // An existing file is refused before the content.
    let mut early = server.connect();
    early.send(head("PUT", "/files/PUT", &["Content-Length: 5", "Expect: 100-continue"]));
    assert_eq!(early.response().status, 409);
}

#[test]
fn with_uploads_off_an_upload_is_405() {
    let server = Start::new().directory().options(["--uploads", "off"]).start();
    server.write_file("file", b"bytes");
    for (method, target) in [("PUT", "/files/file"), ("POST", "/files/new"), ("PUT", "/files/..")] {
        let response = server.store(method, target, &[], b"written");
        assert_eq!((response.status, response.field("Allow")), (405, Some("GET, HEAD, OPTIONS")), "{method} {target}");
        assert_eq!(response.text(), "Uploads are turned off on this server.\n", "{method} {target}");
    }
    for (method, reason) in [
        ("DELETE", "Deleting, moving and creating directories are turned off on this server.\n"),
        ("PATCH", "The method is not offered at this target.\n"),
    ] {
        let other = server.ask(method, "/files/file", &[]);
        assert_eq!((other.status, other.text()), (405, reason));
    }
    assert_eq!(server.ask("OPTIONS", "/files/file", &[]).field("Allow"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(server.get("/files/file").text(), "bytes");
    assert_eq!(server.file_names(), ["file"]);
    let offered = Server::with_directory().ask("OPTIONS", "/files/file", &[]);
    assert_eq!(offered.field("Allow"), Some("GET, HEAD, POST, PUT, OPTIONS"));
}

#[test]
fn with_fsync_file_and_directory_are_flushed_before_the_response() {
    for (options, expected) in
        [(&["--fsync"][..], &["linkat", "fsync", "renameat2", "fsync", "response"][..]), (&[], &["linkat", "response"])]
    {
        let Some(tracer) = Tracer::of("fsync,linkat,renameat,renameat2,sendto") else { return };
        let server = Start::new().directory().wrapped_by(tracer.command()).options(options.iter().copied()).start();
        fs::create_dir(server.directory().join("shelf")).unwrap();
        assert_eq!(server.store("PUT", "/files/shelf/file", &[], b"bytes").status, 201);
        drop(server);
        let trace = tracer.whole_trace();
        let name = |line: &String| match line.split('(').next() {
            Some("sendto") => line.contains("HTTP/1.1 201").then(|| "response".to_owned()),
            call => call.filter(|call| ["fsync", "linkat", "renameat", "renameat2"].contains(call)).map(str::to_owned),
        };
        let calls: Vec<String> = trace.iter().filter_map(name).collect();
        assert_eq!(calls, expected, "{trace:#?}");
        let descriptor =
            |line: &&String| line.strip_prefix("fsync(").and_then(|rest| rest.split(')').next().map(str::to_owned));
        let flushed: Vec<String> = trace.iter().filter_map(|line| descriptor(&line)).collect();
        assert!(flushed.first().is_none_or(|file| *file != flushed[1]), "the file, and then its directory: {trace:#?}");
    }
}

#[test]
fn with_fsync_files_are_created_and_replaced_as_without_it() {
    let server = Start::new().directory().options(["--fsync"]).start();
    assert_eq!(server.store("PUT", "/files/file", &[], b"bytes").status, 201);
    assert_eq!(server.store("PUT", "/files/file", &[], b"other").status, 204);
    assert_eq!(server.content_of("file").unwrap(), b"other");
}

/// The uploads share their flushes, with threads that the confinement must allow for. Some replace what another one of them
/// has just stored.
#[test]
fn many_uploads_at_once_are_all_stored_with_fsync() {
    let server = Start::new().directory().options(["--fsync", "--sandbox", "kill"]).start();
    let content = |number: usize| format!("content {number}").into_bytes();
    let mut clients: Vec<_> = (0..100).map(|_| server.connect()).collect();
    for round in 0..3 {
        for (number, client) in clients.iter_mut().enumerate() {
            let (target, content) = (format!("/files/{}", number % 80), content(number + round));
            let length = format!("Content-Length: {}", content.len());
            client.send([head("PUT", &target, &[&length]).into_bytes(), content].concat());
        }
        let statuses: Vec<u16> = clients.iter_mut().map(|client| client.response().status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), if round == 0 { 80 } else { 0 });
        assert!(statuses.iter().all(|status| [201, 204].contains(status)), "{statuses:?}");
        for name in 0..80 {
            let stored = server.content_of(&name.to_string()).unwrap();
            assert!([name, name + 80].iter().any(|number| stored == content(number + round)), "{stored:?}");
        }
    }
    assert_eq!(server.file_names().len(), 80, "no temporary file is left");
}

/// RFC 9110 §8.7 and §14.4: Content-Location has no effect, and Content-Range counts only for PUT.
#[test]
fn content_location_and_content_range_without_a_meaning_are_ignored() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let elsewhere = "Content-Location: /files/elsewhere";
    assert_eq!(client.store("PUT", "/files/file", &[elsewhere], b"bytes").status, 201);
    let part = "Content-Range: bytes 0-1/5";
    assert_eq!(client.store("POST", "/files/posted", &[part], b"bytes").status, 201);
    assert_eq!(client.ask("GET", "/files/file", &[part]).text(), "bytes");
    assert_eq!((server.content_of("posted").unwrap(), server.file_names().len()), (b"bytes".to_vec(), 2));
}

#[test]
fn the_space_of_a_long_upload_that_breaks_off_is_freed() {
    let server = Server::with_directory();
    let descriptors = server.descriptors();
    let mut client = server.connect();
    client.send("PUT /files/name HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n");
    let content = noise(1024 * 1024, 1);
    (0..64).for_each(|_| client.send(&content));
    client.reset();
    server.wait_for_descriptors(descriptors);
    server.wait_until_idle();
    assert_eq!(server.file_names(), [""; 0]);
}
