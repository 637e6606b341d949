//! Uploads that the client or the server aborts. An old version of the file stays, and no temporary file is left.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Client, Server, Start};
use crate::support::{chunk, head};

/// How a client aborts its upload.
type Abort = fn(Client);

/// A description, the framing field, the content that is sent, and how the client then aborts.
const ABORTS: [(&str, &str, &[u8], Abort); 13] = [
    ("FIN in the content", "Content-Length: 10", b"half", |client| expect_400(client, |client| client.half_close())),
    ("FIN before the content", "Content-Length: 10", b"", |client| expect_400(client, |client| client.half_close())),
    ("FIN in a chunk", CHUNKED, b"a\r\nhalf", |client| expect_400(client, |client| client.half_close())),
    ("FIN after a chunk", CHUNKED, b"4\r\nhalf\r\n", |client| expect_400(client, |client| client.half_close())),
    ("FIN in the last chunk", CHUNKED, b"4\r\nhalf\r\n0\r\n", |client| {
        expect_400(client, |client| client.half_close())
    }),
    ("close", "Content-Length: 10", b"half", drop),
    ("close in chunks", CHUNKED, b"4\r\nhalf\r\n", drop),
    ("reset", "Content-Length: 10", b"half", Client::reset),
    ("reset in chunks", CHUNKED, b"4\r\nhalf\r\n", Client::reset),
    ("a bad size", CHUNKED, b"4\r\nhalf\r\n", |client| {
        expect_400(client, |client| client.send("+1\r\nx\r\n0\r\n\r\n"))
    }),
    ("a bad end of a chunk", CHUNKED, b"4\r\nhalf", |client| {
        expect_400(client, |client| client.send("!\r\n0\r\n\r\n"))
    }),
    ("a bad trailer", CHUNKED, b"4\r\nhalf\r\n0\r\n", |client| {
        expect_400(client, |client| client.send("no field\r\n\r\n"))
    }),
    ("a size too long", CHUNKED, b"4\r\nhalf\r\n", |client| {
        expect_400(client, |client| client.send("fffffffffffffffff\r\n"))
    }),
];

const CHUNKED: &str = "Transfer-Encoding: chunked";

fn expect_400(mut client: Client, end: impl FnOnce(&mut Client)) {
    end(&mut client);
    assert_eq!(client.response().status, 400);
    assert_eq!(client.rest(), b"");
}

#[test]
fn an_aborted_upload_leaves_no_trace() {
    let server = Server::with_directory();
    // One more, for the connection that stays open.
    let descriptors = server.descriptors() + 1;
    server.put("existing", b"before");
    let mut others = server.connect();
    assert!(others.is_kept());
    server.wait_for_descriptors(descriptors);
    for (what, framing, bytes, abort) in ABORTS {
        for (name, method) in [("existing", "PUT"), ("absent", "POST")] {
            let mut client = server.connect();
            client.send(head(method, &format!("/files/{name}"), &[framing, "Expect: 100-continue"]));
            assert_eq!(client.head().status, 100);
            client.send(bytes);
            // The connection, and the file for the content.
            server.wait_for_descriptors(descriptors + 2);
            abort(client);
            server.wait_for_descriptors(descriptors);
            assert_eq!(server.content_of("existing").unwrap(), b"before", "{what}");
            assert_eq!(server.file_names(), ["existing"], "{what}");
        }
    }
    assert!(others.is_kept());
}

#[test]
fn an_upload_that_is_too_slow_is_aborted_with_408() {
    let server = Server::with_directory();
    server.put("existing", b"before");
    let started = Instant::now();
    let mut client = server.connect();
    client.send(head("PUT", "/files/existing", &["Content-Length: 100000"]));
    client.send("a few bytes");
    let response = client.response();
    assert_eq!(response.status, 408);
    assert!(started.elapsed() >= Duration::from_secs(10), "the minimum rate applies only after ten seconds");
    assert_eq!((server.content_of("existing").unwrap(), server.file_names().len()), (b"before".to_vec(), 1));
}

#[test]
fn a_killed_server_leaves_the_old_version_and_its_temporary_files_are_removed_later() {
    let scratch = tempfile::TempDir::new().unwrap();
    let directory = scratch.path();
    let mut server = Start::new().directory_at(directory).start();
    let descriptors = server.descriptors();
    server.put("existing", b"before");
    let mut clients = Vec::new();
    for (name, framing) in [("existing", "Content-Length: 100000"), ("absent", CHUNKED)] {
        let mut client = server.connect();
        client.send(head("PUT", &format!("/files/{name}"), &[framing, "Expect: 100-continue"]));
        assert_eq!(client.head().status, 100);
        client.send(chunk(&[b'x'; 50_000]));
        clients.push(client);
    }
    server.wait_for_descriptors(descriptors + 4);
    server.signal(Signal::KILL);
    assert_eq!(server.wait(), None, "killed");

    // Without unnamed files a kill may leave such a file behind. With them it does so only in rare cases.
    fs::write(directory.join(".spindle-00000000000000aa"), b"left").unwrap();
    let server = Start::new().directory_at(directory).start();
    let is_temporary = |name: &String| name.starts_with(".spindle-");
    let left: Vec<String> = server.file_names().into_iter().filter(is_temporary).collect();
    assert!(left.len() == 1 || left.len() == 3, "{left:?}");
    for name in &left {
        let target = format!("/files/{name}");
        assert_eq!((server.get(&target).status, server.ask("HEAD", &target, &[]).status), (404, 404));
        assert_eq!(server.store("PUT", &target, &[], b"x").status, 400);
        assert_eq!(server.store("POST", &target, &[], b"x").status, 400);
    }
    assert_eq!((server.get("/files/existing").text(), server.get("/files/absent").status), ("before", 404));
    assert_eq!(
        server.file_names().into_iter().filter(is_temporary).count(),
        left.len(),
        "a read removes no temporary file"
    );
    server.put("new", b"bytes");
    assert_eq!(server.file_names(), ["existing", "new"]);
}
