//! Uploads to a shared folder.

use crate::harness::Server;
use crate::support::{ask, share, share_with};

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
