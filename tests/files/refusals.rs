//! Refused uploads: the server responds with the right status and a reason, as early as possible. The old file is unchanged, and
//! the connection is kept if little content remains.

use std::fs;
use std::os::unix::net::UnixListener;

use crate::harness::{Client, Response, Server, Start};
use crate::support::{chunk, chunked, head, make_fifo};

/// More content than the server discards. The client sends all of it before it reads. That must neither fail nor lose
/// the response.
const LONG_BYTES: usize = 10 << 20;

fn small_uploads_only() -> Server {
    let server = Start::new().directory().options(["--max-upload", "1000"]).start();
    server.put("existing", b"before");
    server
}

/// The response has this status, and a reason in one line.
#[track_caller]
fn assert_refused(response: &Response, status: u16) {
    assert_eq!(response.status, status, "{}", response.head);
    assert_eq!(response.field("Content-Type"), Some("text/plain"));
    let reason = response.text();
    assert!(reason.len() > 10 && reason.ends_with(".\n") && reason.lines().count() == 1, "{reason:?}");
}

/// A request with `Expect: 100-continue` is refused without `100 Continue`, and then the connection is closed.
#[track_caller]
fn assert_refused_at_the_head(mut client: Client, target: &str, fields: &[&str], status: u16) {
    client.send(head("PUT", target, &[fields, &["Expect: 100-continue"]].concat()));
    let response = client.response();
    assert_refused(&response, status);
    assert_eq!(
        response.field("Connection"),
        Some("close"),
        "the server cannot know whether the client still sends the content"
    );
    assert_eq!(client.rest(), b"");
}

#[test]
fn content_announced_as_too_long_is_refused_before_it_is_sent() {
    let server = small_uploads_only();
    for length in [1001, 5_000_000_000, 999_999_999_999_999_999_u64] {
        let length = format!("Content-Length: {length}");
        assert_refused_at_the_head(server.connect(), "/files/existing", &[&length], 413);
    }
    let mut client = server.connect();
    assert_refused(&client.store("PUT", "/files/existing", &[], &[b'x'; 1001]), 413);
    assert!(client.is_kept(), "short content is discarded, and the connection is kept");
    assert_eq!(client.store("PUT", "/files/existing", &[], &[b'x'; 1000]).status, 204, "the limit itself");
    let mut client = server.connect();
    let response = client.store("PUT", "/files/existing", &[], &vec![b'x'; LONG_BYTES]);
    assert_refused(&response, 413);
    assert_eq!((response.field("Connection"), &*client.rest()), (Some("close"), &b""[..]));
    assert_eq!(server.content_of("existing").unwrap(), [b'x'; 1000]);
}

#[test]
fn chunked_content_is_refused_when_it_passes_the_limit() {
    let server = small_uploads_only();
    let mut client = server.connect();
    client.send(head("PUT", "/files/existing", &["Transfer-Encoding: chunked", "Expect: 100-continue"]));
    assert_eq!(client.head().status, 100);
    client.send(chunk(&[b'x'; 600]));
    client.send(chunked(&[b'x'; 401], 100));
    let response = client.response();
    assert_refused(&response, 413);
    assert_eq!(
        (response.field("Connection"), &*client.rest()),
        (Some("close"), &b""[..]),
        "the length of the rest is not known"
    );
    assert_eq!(server.content_of("existing").unwrap(), b"before");
    let mut client = server.connect();
    for bytes in [1000, 999] {
        client.send(head("PUT", "/files/existing", &["Transfer-Encoding: chunked"]));
        client.send(chunked(&vec![b'x'; bytes], 7));
        assert_eq!(client.response().status, 204, "{bytes}");
    }

    // The response to a long upload is sent at once, and not only after its content.
    let mut client = server.connect();
    client.send(head("PUT", "/files/existing", &["Transfer-Encoding: chunked"]));
    client.send(chunk(&vec![b'x'; LONG_BYTES]));
    let response = client.response();
    assert_refused(&response, 413);
    assert_eq!((response.field("Connection"), &*client.rest()), (Some("close"), &b""[..]));
    assert_eq!(server.content_of("existing").unwrap().len(), 999);
    assert_eq!(server.file_names(), ["existing"]);
}

#[test]
fn a_limit_of_0_allows_only_empty_files() {
    let server = Start::new().directory().options(["--max-upload", "0"]).start();
    assert_eq!(server.store("PUT", "/files/empty", &[], b"").status, 201);
    assert_refused(&server.store("PUT", "/files/empty", &[], b"x"), 413);
}

#[test]
fn content_with_a_content_coding_other_than_identity_is_refused() {
    let server = Server::with_directory();
    server.put("existing", b"before");
    let mut client = server.connect();
    for coding in ["gzip", "br", "identity, gzip", "GZIP", "x", "gzip, identity"] {
        for method in ["PUT", "POST"] {
            let field = format!("Content-Encoding: {coding}");
            let response = client.store(method, "/files/existing", &[&field], b"after");
            assert_refused(&response, 415);
            assert_eq!(response.field("Accept-Encoding"), Some("identity"));
        }
    }
    assert_eq!(server.content_of("existing").unwrap(), b"before");
    assert!(client.is_kept());
    assert_eq!(client.store("PUT", "/files/existing", &["Content-Encoding: Identity"], b"after").status, 204);
    let fields = ["Content-Encoding: gzip", "Content-Length: 5"];
    assert_refused_at_the_head(server.connect(), "/files/existing", &fields, 415);
}

#[test]
fn an_upload_from_another_site_is_refused() {
    let server = Server::with_directory();
    server.put("existing", b"before");
    let mut client = server.connect();
    for field in ["Origin: http://b", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"] {
        for method in ["PUT", "POST"] {
            for target in ["/files/existing", "/files/absent"] {
                assert_refused(&client.store(method, target, &[field], b"after"), 403);
            }
        }
        assert_refused_at_the_head(server.connect(), "/files/existing", &[field, "Content-Length: 5"], 403);
        assert_eq!(client.ask("GET", "/files/existing", &[field]).text(), "before");
    }
    assert_eq!((server.content_of("existing").unwrap(), server.file_names().len()), (b"before".to_vec(), 1));
    assert!(client.is_kept());
    let own = ["Origin: http://a", "Sec-Fetch-Site: same-origin"];
    assert_eq!(client.store("PUT", "/files/existing", &own, b"after").status, 204);
}

/// `curl -F` and the form of a browser wrap the file in multipart/form-data.
#[test]
fn a_form_is_refused_and_not_stored_as_the_file() {
    let server = Server::with_directory();
    server.put("existing", b"before");
    let mut client = server.connect();
    let boundary = "Content-Type: multipart/form-data; boundary=b";
    for field in [
        boundary,
        "Content-Type: multipart/form-data",
        "content-type:MULTIPART/Form-Data;boundary=\"a;b\"",
        "Content-Type: Multipart/form-data ; charset=UTF-8; boundary=b",
    ] {
        for method in ["PUT", "POST"] {
            let form = b"--b\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\nafter\r\n--b--\r\n";
            for target in ["/files/existing", "/files/absent"] {
                let response = client.store(method, target, &[field], form);
                assert_refused(&response, 415);
                assert!(response.text().contains("curl -T"), "{}", response.text());
                // The field would mean that the content coding was the reason (RFC 9110 §15.5.16).
                assert_eq!(response.field("Accept-Encoding"), None);
            }
        }
    }
    assert_eq!((server.content_of("existing").unwrap(), server.file_names().len()), (b"before".to_vec(), 1));
    assert!(client.is_kept());
    assert_refused_at_the_head(server.connect(), "/files/existing", &[boundary, "Content-Length: 5"], 415);

    for field in [
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: multipart/form-data-x",
        "Content-Type: multipart/mixed; boundary=b",
        "Content-Type: text/plain; a=multipart/form-data",
        "Content-Type:",
    ] {
        assert_eq!(client.store("PUT", "/files/existing", &[field], b"after").status, 204, "{field}");
    }
}

#[test]
fn a_partial_put_is_refused() {
    let server = Server::with_directory();
    server.put("existing", b"before");
    let mut client = server.connect();
    for range in ["bytes 0-2/5", "bytes */5", "items 0-1/2", ""] {
        let field = format!("Content-Range: {range}");
        assert_refused(&client.store("PUT", "/files/existing", &[&field], b"xxx"), 400);
        assert_refused(&client.store("PUT", "/files/absent", &[&field], b"xxx"), 400);
    }
    assert_eq!((server.content_of("existing").unwrap(), server.file_names().len()), (b"before".to_vec(), 1));
    assert!(client.is_kept());
    let fields = ["Content-Range: bytes 0-4/9", "Content-Length: 5"];
    assert_refused_at_the_head(server.connect(), "/files/existing", &fields, 400);
}

#[test]
fn a_name_that_cannot_be_a_file_is_refused_before_the_content() {
    let server = Server::with_directory();
    let at = |name: &str| server.directory().join(name);
    fs::create_dir_all(at("directory/full")).unwrap();
    make_fifo(&at("fifo"));
    let _listener = UnixListener::bind(at("socket")).unwrap();
    server.write_file("file", b"bytes");
    let before = server.file_names();
    for (name, status) in [
        ("directory", 409),
        ("directory/full", 409),
        ("fifo", 409),
        ("socket", 409),
        ("absent/file", 404),
        ("file/file", 404),
        ("fifo/file", 404),
        ("..", 400),
        ("a%00", 400),
        (".spindle-0123456789abcdef", 400),
    ] {
        let target = format!("/files/{name}");
        assert_refused_at_the_head(server.connect(), &target, &["Content-Length: 5"], status);
        assert_refused_at_the_head(server.connect(), &target, &["Transfer-Encoding: chunked"], status);
        let mut client = server.connect();
        for method in ["PUT", "POST"] {
            assert_refused(&client.store(method, &target, &[], b"bytes"), status);
        }
        client.send(head("PUT", &target, &["Transfer-Encoding: chunked"]));
        client.send(chunked(b"bytes", 2));
        assert_refused(&client.response(), status);
        assert!(client.is_kept(), "{name}");
    }
    assert_eq!(server.file_names(), before);
}

#[test]
fn malformed_content_after_a_refusal_turns_it_into_a_400() {
    let server = Server::with_directory();
    let mut client = server.connect();
    client.send(head("PUT", "/files/absent/file", &["Transfer-Encoding: chunked"]));
    client.send("4\r\nbytes\r\n0\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.field("Connection")), (400, Some("close")));
    assert_eq!(client.rest(), b"", "one response, and not two");
}

#[test]
fn an_upload_fails_if_its_directory_is_removed_meanwhile() {
    let server = Server::with_directory();
    let shelf = server.directory().join("shelf");
    fs::create_dir(&shelf).unwrap();
    let mut client = server.connect();
    client.send(head("PUT", "/files/shelf/file", &["Content-Length: 5", "Expect: 100-continue"]));
    assert_eq!(client.head().status, 100);
    fs::remove_dir_all(&shelf).unwrap();
    client.send("bytes");
    assert_refused(&client.response(), 404);
    assert!(client.is_kept());
    assert!(server.file_names().is_empty());
}

#[test]
fn a_directory_created_during_an_upload_is_not_replaced() {
    let server = Server::with_directory();
    let mut client = server.connect();
    client.send(head("PUT", "/files/name", &["Content-Length: 5", "Expect: 100-continue"]));
    assert_eq!(client.head().status, 100);
    fs::create_dir(server.directory().join("name")).unwrap();
    client.send("bytes");
    assert_refused(&client.response(), 409);
    assert!(client.is_kept());
    assert!(server.directory().join("name").is_dir());
    assert_eq!(server.file_names(), ["name"]);
}

/// With `--uploads create` an existing file is a conflict also for `If-None-Match: *`. It makes no difference whether
/// the file exists when the upload begins or appears during it.
#[test]
fn with_create_a_file_that_appears_during_the_upload_is_a_conflict_too() {
    let server = Start::new().directory().options(["--uploads", "create"]).start();
    let mut late = server.connect();
    late.send(head("PUT", "/files/x", &["Content-Length: 4", "If-None-Match: *", "Expect: 100-continue"]));
    assert_eq!(late.head().status, 100);
    server.put("x", b"first");
    late.send("late");
    assert_eq!(late.response().status, 409);
    assert_eq!(server.store("PUT", "/files/x", &["If-None-Match: *"], b"late").status, 409);
    assert_eq!(server.get("/files/x").text(), "first");
}
