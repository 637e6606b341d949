//! Uploads to a shared folder.

use crate::harness::Server;
use crate::support::{ask, get, lines, share, share_with};

fn put(server: &Server, target: &str, fields: &[&str]) -> u16 {
    ask(server, "PUT", target, &[fields, &["Content-Length: 0"]].concat()).status
}

#[test]
fn uploads_are_405_unless_they_are_turned_on() {
    let server = share(&["sub/a"]);
    for target in ["/new", "/sub/a", "/sub/", "/"] {
        for method in ["PUT", "POST"] {
            let response = ask(&server, method, target, &["Content-Length: 0"]);
            assert_eq!(
                (response.status, response.field("Allow")),
                (405, Some("GET, HEAD, OPTIONS")),
                "{method} {target}"
            );
            assert_eq!(response.text(), "Uploads are turned off on this server.\n", "{method} {target}");
        }
    }
    assert_eq!(server.file_names(), ["sub"]);
}

#[test]
fn files_are_stored_if_uploads_are_turned_on() {
    let server = share_with(&["--uploads", "create"], &["sub/a"]);
    assert_eq!(put(&server, "/sub/b", &[]), 201);
    assert_eq!(put(&server, "/sub/a", &[]), 409);
    assert_eq!(put(&server, "/sub", &[]), 409);
    let to_a_directory = ask(&server, "PUT", "/sub/", &["Content-Length: 0"]);
    assert_eq!((to_a_directory.status, to_a_directory.text()), (405, "The method is not offered at this target.\n"));
    let replacing = share_with(&["--uploads", "replace"], &["a"]);
    assert_eq!(put(&replacing, "/a", &[]), 204);
    assert_eq!(replacing.content_of("a"), Some(Vec::new()));
}

#[test]
fn an_upload_from_another_site_is_refused() {
    let server = share_with(&["--uploads", "replace"], &["a"]);
    assert_eq!(put(&server, "/b", &["Origin: http://evil.example"]), 403);
    assert_eq!(put(&server, "/b", &["Sec-Fetch-Site: cross-site"]), 403);
    assert_eq!(put(&server, "/b", &[&format!("Origin: http://localhost:{}", server.port())]), 201);
}

#[test]
fn an_upload_creates_the_directories_that_it_needs() {
    let server = share_with(&["--uploads", "create"], &["a"]);
    assert_eq!(put(&server, "/x/y/z", &[]), 201);
    assert_eq!(put(&server, "/x/y/z", &[]), 409);
    assert_eq!(put(&server, "/x/other/z", &[]), 201);
    assert_eq!(lines(&server, "/x/"), ["other/", "y/"]);
    // A file is in the way.
    assert_eq!(put(&server, "/a/z", &[]), 404);
    assert_eq!(server.file_names(), ["a", "x"]);
}

#[test]
fn an_upload_that_fails_creates_no_directory() {
    let server = share_with(&["--uploads", "replace", "--max-upload", "10"], &[]);
    assert_eq!(put(&server, "/x/y", &["If-Match: *"]), 412);
    assert_eq!(put(&server, "/x/.y", &[]), 404);
    let mut client = server.connect();
    client.send(format!(
        "PUT /x/y HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n{}\r\n",
        "a".repeat(11)
    ));
    assert_eq!(client.response().status, 413);
    let mut aborted = server.connect();
    aborted.send("PUT /x/y HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf");
    drop(aborted);
    assert_eq!(put(&server, "/other", &[]), 201);
    assert_eq!(server.file_names(), ["other"]);
}

#[test]
fn a_resumable_upload_to_a_missing_directory_is_continued() {
    let server = share_with(&["--uploads", "replace", "--fsync"], &[]);
    let mut client = server.connect();
    client.send("PUT /x/y/file HTTP/1.1\r\nHost: localhost\r\nUpload-Complete: ?0\r\nContent-Length: 4\r\n\r\nfirs");
    let created = client.response();
    assert_eq!(created.status, 201, "{}", created.head);
    let location = created.field("Location").unwrap().to_owned();
    assert!(!server.directory().join("x").exists());
    assert_eq!(ask(&server, "HEAD", &location, &[]).field("Upload-Offset"), Some("4"));
    client.send(format!(
        "PATCH {location} HTTP/1.1\r\nHost: localhost\r\nUpload-Complete: ?1\r\nUpload-Offset: 4\r\n\
         Content-Type: application/partial-upload\r\nContent-Length: 5\r\n\r\nt and"
    ));
    assert_eq!(client.response().status, 201);
    assert_eq!(get(&server, "/x/y/file").text(), "first and");
    assert_eq!(ask(&server, "DELETE", &location, &[]).status, 204);
    assert_eq!(server.file_names(), ["x"]);
}
