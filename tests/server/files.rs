//! Files: out and in, whole or not at all, without memory that grows with them.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::thread;

use crate::harness::{Client, Server, Start, noise, wait_until};

const MIB: usize = 1024 * 1024;

/// How much more memory the server may occupy while a file of any size passes through it, in KiB.
const PASSAGE_KIB_MAX: u64 = 16 * 1024;

#[test]
fn content_of_every_kind_comes_back_as_it_was_sent() {
    let server = Server::with_directory();
    let every_octet: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let contents: [(&str, Vec<u8>); 5] = [
        ("empty", Vec::new()),
        ("one", vec![0]),
        ("every-octet", every_octet),
        ("looks-like-http", b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("large", noise(64 * MIB, 7)),
    ];
    let mut client = server.connect();
    for (name, content) in &contents {
        for (method, status) in [("POST", 201), ("PUT", 204), ("POST", 201)] {
            let response = client.upload(method, &format!("/files/{name}"), content);
            assert_eq!(response.status, status, "{method} {name}");
            assert!(server.stored(name).as_ref() == Some(content), "{method} {name} is stored otherwise");
            let response = client.get(&format!("/files/{name}"));
            assert_eq!((response.status, response.field("Content-Type")), (200, Some("application/octet-stream")));
            assert!(&response.content == content, "{method} {name} comes back otherwise");
        }
    }
}

#[test]
fn put_says_whether_it_made_the_file() {
    let server = Server::with_directory();
    let mut client = server.connect();
    assert_eq!(client.upload("PUT", "/files/new", b"1").status, 201);
    assert_eq!(client.upload("PUT", "/files/new", b"2").status, 204);
    assert_eq!(server.stored("new").as_deref(), Some(&b"2"[..]));
}

#[test]
fn head_gives_the_length_and_no_content() {
    let server = Server::with_directory();
    server.put_file("f", b"12345");
    let mut client = server.connect();
    client.send("HEAD /files/f HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().field("Content-Length"), Some("5"));
    assert_eq!(client.get("/echo/next").text(), "next", "an octet of content would stand before this answer");
}

#[test]
fn files_are_404_without_a_directory() {
    let server = Server::plain();
    assert_eq!(server.get("/files/x").status, 404);
    assert_eq!(server.connect().upload("POST", "/files/x", b"x").status, 404);
}

#[test]
fn names_that_would_lead_elsewhere_lead_nowhere() {
    let server = Server::with_directory();
    let outside = server.directory().parent().expect("a parent");
    fs::write(outside.join("secret"), "secret").expect("a file outside");
    fs::create_dir(outside.join("served-too")).expect("a sibling whose name begins with the root's");
    fs::write(outside.join("served-too/secret"), "secret").expect("a file in it");
    fs::create_dir(server.directory().join("folder")).expect("a folder");
    server.put_file("folder/inside", b"inside");
    symlink(outside.join("secret"), server.directory().join("link-out")).expect("a link");
    symlink("../secret", server.directory().join("link-up")).expect("a link");
    symlink("../nothing", server.directory().join("dangling")).expect("a link");
    symlink("..", server.directory().join("parent")).expect("a link");
    let absolute = format!("/files/{}", outside.join("secret").display());
    let encoded = absolute.replacen("/files/", "/files/%2f", 1).replace("secret", "secre%74");
    let targets = [
        "/files/../secret",
        "/files/%2e%2e/secret",
        "/files/%2E%2e/secret",
        "/files/..%2fsecret",
        "/files/..%2Fsecret",
        "/files/%2e%2e%2fsecret",
        "/files/..%5csecret",
        "/files/%252e%252e/secret",
        "/files/folder/../../secret",
        "/files/folder/%2e%2e/%2e%2e/secret",
        "/files//secret",
        "/files/./secret",
        "/files/.",
        "/files/..",
        "/files/",
        "/files/folder/",
        "/files/folder//inside",
        "/files/folder/./inside",
        "/files/folder/../folder/inside",
        "/files/folder%2finside",
        "/files/folder/inside%00",
        "/files/folder/inside/",
        "/files/../served-too/secret",
        "/files/link-out",
        "/files/link-up",
        "/files/dangling",
        "/files/parent/secret",
        &absolute,
        &encoded,
        "/files/....//secret",
        "/files/..;/secret",
        "/files/%c0%ae%c0%ae/secret",
        "/files/folder/inside%0a",
    ];
    for target in targets {
        let response = server.get(target);
        assert_eq!((response.status, response.text()), (404, ""), "GET {target}");
    }
    let before = names_beneath(outside);
    for target in targets {
        for method in ["POST", "PUT"] {
            // A link may be replaced, since that leaves alone what it leads to; and a few of the names are odd, but
            // names. Whatever the answer is: nothing may have changed outside.
            server.connect().upload(method, target, b"overwritten");
            assert_eq!(fs::read(outside.join("secret")).expect("a file"), b"secret", "{method} {target}");
        }
    }
    let is_outside = |name: &String| !name.starts_with("served/");
    let after = names_beneath(outside);
    assert!(
        before.iter().filter(|name| is_outside(name)).eq(after.iter().filter(|name| is_outside(name))),
        "{after:?}"
    );
    assert_eq!(server.get("/files/folder/inside").text(), "inside");
}

/// All paths beneath `root`, links not followed.
fn names_beneath(root: &std::path::Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a type").is_dir() {
                folders.push(entry.path());
            }
            let name = entry.path().strip_prefix(root).expect("a path beneath").to_string_lossy().into_owned();
            names.push(name);
        }
    }
    names.sort();
    names
}

#[test]
fn what_is_no_file_is_neither_read_nor_written_nor_waited_for() {
    let server = Server::with_directory();
    fs::create_dir(server.directory().join("folder")).expect("a folder");
    let fifo = server.directory().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(server.directory().join("socket")).expect("a socket");
    for name in ["fifo", "socket", "folder"] {
        let target = format!("/files/{name}");
        assert_eq!(server.get(&target).status, 404, "{name}");
        for method in ["POST", "PUT"] {
            assert_eq!(server.connect().upload(method, &target, b"x").status, 409, "{method} {name}");
        }
        assert_eq!(server.get("/").status, 200, "after {name}");
    }
    assert_eq!(server.names(), ["fifo", "folder", "socket"]);
}

#[test]
fn hidden_names_can_be_neither_read_nor_written() {
    let server = Server::with_directory();
    server.put_file(".spindle-0123456789abcdef", b"in progress");
    assert_eq!(server.get("/files/.spindle-0123456789abcdef").status, 404);
    assert_eq!(server.connect().upload("PUT", "/files/.spindle-0123456789abcdef", b"x").status, 400);
}

/// Sends the head of an upload and part of its content, and waits until the server has taken it up.
fn begin_upload(server: &Server, name: &str, octets: usize, part: &[u8]) -> Client {
    let before = server.descriptors();
    let mut client = server.connect();
    client.send(format!("PUT /files/{name} HTTP/1.1\r\nHost: a\r\nContent-Length: {octets}\r\n\r\n"));
    client.send(part);
    // The connection, and the file that is being written.
    wait_until("an upload in progress", || server.descriptors() >= before + 2);
    client
}

#[test]
fn an_upload_that_is_cut_leaves_nothing_and_the_old_file_as_it_was() {
    let server = Server::with_directory();
    server.put_file("old", b"the old content");
    let descriptors = server.descriptors();
    for name in ["old", "new"] {
        for by_reset in [false, true] {
            let client = begin_upload(&server, name, 1000, b"part of the new content");
            assert_eq!(server.get("/files/old").text(), "the old content", "while {name} is on its way");
            match by_reset {
                true => client.reset(),
                false => drop(client),
            }
            wait_until("the end of the upload", || server.descriptors() <= descriptors);
            assert_eq!(server.names(), ["old"]);
            assert_eq!(server.stored("old").as_deref(), Some(&b"the old content"[..]));
        }
    }
}

#[test]
fn a_chunked_upload_that_is_cut_or_broken_leaves_nothing() {
    let server = Server::with_directory();
    let descriptors = server.descriptors();
    let head = "PUT /files/new HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for content in ["5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "5\r\nhello\r\n+1\r\nx\r\n0\r\n\r\n", "5\r\nhelloworld"] {
        let mut client = server.connect();
        client.send(format!("{head}{content}"));
        client.half_close();
        assert_eq!(client.response().status, 400, "{content:?}");
        assert_eq!(client.rest(), b"");
        wait_until("the end of the upload", || server.descriptors() <= descriptors);
        assert_eq!(server.names(), [""; 0], "{content:?}");
    }
}

#[test]
fn what_a_killed_server_left_is_swept_at_the_first_upload() {
    let server = Server::with_directory();
    server.put_file(".spindle-00112233445566ff", b"left over");
    assert_eq!(server.connect().upload("PUT", "/files/new", b"x").status, 201);
    assert_eq!(server.names(), ["new"]);
}

#[test]
fn of_two_uploads_at_once_one_wins_whole() {
    let server = Server::with_directory();
    let contents = [noise(3 * MIB, 11), noise(2 * MIB, 12)];
    for _ in 0..5 {
        thread::scope(|scope| {
            for content in &contents {
                let server = &server;
                scope.spawn(move || {
                    let response = server.connect().upload("POST", "/files/both", content);
                    assert_eq!(response.status, 201);
                });
            }
        });
        let stored = server.stored("both").expect("a file");
        assert!(contents.contains(&stored), "a mixture of {} octets is stored", stored.len());
    }
    assert_eq!(server.names(), ["both"]);
}

#[test]
fn a_download_goes_on_with_the_old_content_while_the_file_is_replaced() {
    let server = Server::with_directory();
    let (old, new) = (noise(16 * MIB, 13), noise(5 * MIB, 14));
    server.put_file("file", &old);
    let mut reader = server.connect();
    reader.send("GET /files/file HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = reader.head();
    assert_eq!(head.field("Content-Length"), Some(old.len().to_string().as_str()));
    assert_eq!(server.connect().upload("PUT", "/files/file", &new).status, 204);
    let received = reader.content(old.len() as u64);
    assert!(received == old, "the content changed on its way");
    assert!(reader.get("/files/file").content == new, "the new content is not served");
}

#[test]
fn chunks_as_curl_sends_them_are_stored_without_their_framing() {
    let server = Server::with_directory();
    let content = noise(300_000, 15);
    let mut client = server.connect();
    client.send(
        "POST /files/chunked HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\
         Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(client.head().status, 100);
    for chunk in content.chunks(65_524) {
        client.send(format!("{:x}\r\n", chunk.len()));
        client.send(chunk);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().status, 201);
    assert!(server.stored("chunked").as_ref() == Some(&content), "the octets differ");
    assert_eq!(client.get("/echo/next").text(), "next");
}

#[test]
fn no_content_is_asked_for_that_would_be_refused() {
    let server = Start::new().directory().options(["--max-upload", "10"]).start();
    let mut client = server.connect();
    let response =
        client.exchange("PUT /files/x HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!((response.status, response.field("Connection")), (413, Some("close")));
    assert_eq!(client.rest(), b"");
}

#[test]
fn uploads_may_be_limited_to_new_files_or_turned_off() {
    let create = Start::new().directory().options(["--uploads", "create"]).start();
    for method in ["POST", "PUT"] {
        let target = format!("/files/{method}");
        assert_eq!(create.connect().upload(method, &target, b"1").status, 201);
        assert_eq!(create.connect().upload(method, &target, b"2").status, 409);
        assert_eq!(create.stored(method).as_deref(), Some(&b"1"[..]));
    }
    let off = Start::new().directory().options(["--uploads=off"]).start();
    for method in ["POST", "PUT"] {
        let response = off.connect().upload(method, "/files/x", b"1");
        assert_eq!((response.status, response.field("Allow")), (405, Some("GET, HEAD, OPTIONS")));
    }
    assert_eq!(off.names(), [""; 0]);
}

#[test]
fn an_upload_may_be_as_long_as_the_limit_and_no_longer() {
    let server = Start::new().directory().options(["--max-upload", "1K"]).start();
    let (fits, exceeds) = (noise(1024, 16), noise(1025, 16));
    assert_eq!(server.connect().upload("PUT", "/files/fits", &fits).status, 201);
    assert_eq!(server.connect().upload("PUT", "/files/exceeds", &exceeds).status, 413);
    let chunked = |name: &str, content: &[u8]| {
        let mut client = server.connect();
        client.send(format!("PUT /files/{name} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
        client.send(format!("{:x}\r\n", content.len()));
        client.send(content);
        client.send("\r\n0\r\n\r\n");
        client.response().status
    };
    assert_eq!(chunked("fits-chunked", &fits), 201);
    assert_eq!(chunked("exceeds-chunked", &exceeds), 413);
    assert_eq!(server.names(), ["fits", "fits-chunked"]);
}

#[test]
fn an_upload_over_the_limit_is_refused_readably_however_long_it_is() {
    let server = Start::new().directory().options(["--max-upload", "1M"]).start();
    let content = noise(10 * MIB, 17);
    // With its length announced, at the head.
    assert_eq!(server.connect().upload("PUT", "/files/x", &content).status, 413);
    // In chunks, once the limit is passed; the peer sends all of it before it reads anything.
    let mut client = server.connect();
    client.send("PUT /files/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(format!("{:x}\r\n", content.len()));
    client.send(&content);
    client.send("\r\n0\r\n\r\n");
    assert_eq!(client.response().status, 413);
    assert_eq!(server.names(), [""; 0]);
}

#[test]
fn preconditions_decide_about_uploads_and_downloads() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let put = |client: &mut Client, field: &str, content: &str| {
        let length = content.len();
        client.exchange(&format!(
            "PUT /files/f HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{field}\r\n\r\n{content}"
        ))
    };
    assert_eq!(put(&mut client, "If-Match: *", "no").status, 412);
    let first = put(&mut client, "If-None-Match: *", "one");
    assert_eq!(first.status, 201);
    let tag = first.field("ETag").expect("a tag").to_owned();
    assert!(tag.starts_with('"'), "{tag} is not strong");
    assert_eq!(put(&mut client, "If-None-Match: *", "no").status, 412);
    assert_eq!(put(&mut client, "If-Match: \"other\"", "no").status, 412);
    assert_eq!(put(&mut client, &format!("If-Match: {tag}"), "two").status, 204);
    assert_eq!(put(&mut client, &format!("If-Match: {tag}"), "no").status, 412);
    let read = client.get("/files/f");
    assert_eq!(read.text(), "two");
    let tag = read.field("ETag").expect("a tag").to_owned();
    client.send(format!("GET /files/f HTTP/1.1\r\nHost: a\r\nIf-None-Match: {tag}\r\n\r\n"));
    assert_eq!(client.head().status, 304);
    assert_eq!(client.get("/echo/next").text(), "next");
}

#[test]
fn of_many_that_create_the_same_file_one_succeeds() {
    let server = Start::new().directory().options(["--uploads", "create"]).start();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let (server, threads): (_, Vec<_>) = (&server, (0..8).collect());
        let uploads: Vec<_> = threads
            .into_iter()
            .map(|place| scope.spawn(move || server.connect().upload("POST", "/files/one", &noise(MIB, place)).status))
            .collect();
        uploads.into_iter().map(|upload| upload.join().expect("an answer")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 7, "{statuses:?}");
}

#[test]
fn a_download_of_two_gigabytes_costs_no_memory() {
    const OCTETS: u64 = 2 << 30;
    let server = Server::with_directory();
    // A file of holes: it takes no room on the disk.
    File::create(server.directory().join("huge")).and_then(|file| file.set_len(OCTETS)).expect("a file of holes");
    assert_eq!(server.get("/").status, 200);
    let idle_kib = server.resident_kib();
    let mut client = server.connect();
    client.send("GET /files/huge HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().field("Content-Length"), Some(OCTETS.to_string().as_str()));
    client.skip(OCTETS);
    assert_eq!(client.get("/").status, 200);
    let cost_kib = server.resident_peak_kib() - idle_kib;
    assert!(cost_kib <= PASSAGE_KIB_MAX, "{cost_kib} KiB");
}

#[test]
fn a_chunked_upload_of_half_a_gigabyte_costs_no_memory() {
    const CHUNKS: usize = 512;
    let server = Server::with_directory();
    assert_eq!(server.get("/").status, 200);
    let idle_kib = server.resident_kib();
    let mut client = server.connect();
    client.send("PUT /files/huge HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut chunk = format!("{MIB:x}\r\n").into_bytes();
    chunk.extend_from_slice(&noise(MIB, 18));
    chunk.extend_from_slice(b"\r\n");
    for _ in 0..CHUNKS {
        client.stream.write_all(&chunk).expect("a peer that receives");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().status, 201);
    let cost_kib = server.resident_peak_kib() - idle_kib;
    assert!(cost_kib <= PASSAGE_KIB_MAX, "{cost_kib} KiB");
    let length = fs::metadata(server.directory().join("huge")).expect("the file").len();
    assert_eq!(length, (CHUNKS * MIB) as u64);
}

#[test]
fn a_file_that_shrinks_on_its_way_ends_its_connection_and_nothing_else() {
    let server = Server::with_directory();
    server.put_file("shrinking", &noise(32 * MIB, 19));
    let mut bystander = server.connect();
    let mut client = server.connect();
    client.send("GET /files/shrinking HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    // What fits the sockets' buffers is under way by now at most.
    File::options()
        .write(true)
        .open(server.directory().join("shrinking"))
        .and_then(|file| file.set_len(1))
        .expect("less");
    client.send("GET /echo/never HTTP/1.1\r\nHost: a\r\n\r\n");
    let ending = client.everything_until_any_end();
    assert!(ending.len() < 32 * MIB, "all of the content came");
    assert!(!ending.ends_with(b"never"), "an answer followed content that was cut short");
    assert_eq!(bystander.get("/echo/unharmed").text(), "unharmed");
}
