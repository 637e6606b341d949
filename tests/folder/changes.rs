//! Deleting, moving and creating directories in a shared folder.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::{Response, Server};
use crate::support::{ask, get, lines, share, share_with};

fn managed(names: &[&str]) -> Server {
    share_with(&["--uploads", "manage"], names)
}

fn status(server: &Server, method: &str, target: &str, fields: &[&str]) -> u16 {
    let response = ask(server, method, target, fields);
    if response.status >= 400 && response.status != 404 {
        assert_eq!(response.text().lines().count(), 1, "the reason is one line: {}", response.text());
    }
    response.status
}

fn move_to(server: &Server, target: &str, destination: &str, fields: &[&str]) -> Response {
    ask(server, "MOVE", target, &[fields, &[&format!("Destination: {destination}")]].concat())
}

#[test]
fn without_manage_nothing_can_be_deleted_moved_or_created() {
    for (options, [of_files, of_directories]) in [
        (&[][..], ["GET, HEAD, OPTIONS"; 2]),
        (&["--uploads", "create"], ["GET, HEAD, POST, PUT, OPTIONS", "GET, HEAD, POST, OPTIONS"]),
        (&["--uploads", "replace"], ["GET, HEAD, POST, PUT, OPTIONS", "GET, HEAD, POST, OPTIONS"]),
    ] {
        let server = share_with(options, &["a", "sub/"]);
        for method in ["DELETE", "MKCOL", "MOVE"] {
            for (target, allowed) in [("/a", of_files), ("/new", of_files), ("/sub/", of_directories)] {
                let response = ask(&server, method, target, &["Destination: /b"]);
                assert_eq!((response.status, response.field("Allow")), (405, Some(allowed)), "{method} {target}");
                let reason = "Deleting, moving and creating directories are turned off on this server.\n";
                assert_eq!(response.text(), reason);
            }
        }
        assert_eq!(server.file_names(), ["a", "sub"]);
    }
}

#[test]
fn options_lists_the_methods_of_files_and_of_directories() {
    let server = managed(&["a", "sub/"]);
    let allowed = |target: &str| ask(&server, "OPTIONS", target, &[]).field("Allow").unwrap().to_owned();
    assert_eq!(allowed("/a"), "GET, HEAD, POST, PUT, DELETE, MKCOL, MOVE, OPTIONS");
    assert_eq!(allowed("/new"), allowed("/a"));
    assert_eq!(allowed("/sub/"), "GET, HEAD, POST, DELETE, MKCOL, MOVE, OPTIONS");
    assert_eq!(allowed("/"), "GET, HEAD, POST, OPTIONS");
    for method in ["DELETE", "MKCOL", "MOVE"] {
        assert_eq!(status(&server, method, "/", &["Destination: /b"]), 405, "{method}");
    }
}

#[test]
fn files_and_empty_directories_are_deleted() {
    let server = managed(&["a", "b", "full/c", "empty/", "also-empty/"]);
    for (target, expected) in [
        ("/absent", 404),
        ("/absent/x", 404),
        ("/a/", 404),
        ("/a/x", 404),
        ("/..%2Fa", 404),
        ("/full/../a", 404),
        ("/full", 409),
        ("/full/", 409),
        ("/a", 204),
        ("/a", 404),
        ("/empty", 204),
        ("/also-empty/", 204),
        ("/full/./c", 204),
        ("/full/", 204),
    ] {
        assert_eq!(status(&server, "DELETE", target, &[]), expected, "{target}");
    }
    assert_eq!(server.file_names(), ["b"]);
}

#[test]
fn a_deleted_or_moved_file_is_not_served_from_the_cache() {
    let server = managed(&["a", "b", "c"]);
    for target in ["/a", "/b", "/c"] {
        for _ in 0..3 {
            assert_eq!(get(&server, target).status, 200);
        }
    }
    assert_eq!(status(&server, "DELETE", "/a", &[]), 204);
    assert_eq!(move_to(&server, "/b", "/c", &[]).status, 204);
    assert_eq!((get(&server, "/a").status, get(&server, "/b").status, get(&server, "/c").text()), (404, 404, "b"));
}

#[test]
fn a_delete_is_conditional() {
    let server = managed(&["a", "b", "dir/"]);
    fs::File::open(server.directory().join("a")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    for (target, field, expected) in [
        ("/a", "If-Match: \"other\"", 412),
        ("/a", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 204),
        ("/b", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 412),
        ("/b", "If-None-Match: *", 412),
        ("/b", "If-Match: *", 204),
        ("/dir/", "If-Match: \"other\"", 412),
        ("/dir/", "If-Match: *", 204),
        // Preconditions count only where the response would be a success.
        ("/absent", "If-Match: *", 404),
    ] {
        assert_eq!(status(&server, "DELETE", target, &[field]), expected, "{target} {field}");
    }
}

#[test]
fn the_tag_of_an_upload_permits_to_delete_it() {
    let server = managed(&[]);
    let put = ask(&server, "PUT", "/a", &["Content-Length: 0"]);
    let tag = put.field("ETag").unwrap();
    assert_eq!(status(&server, "DELETE", "/a", &[&format!("If-Match: {tag}")]), 204);
}

#[test]
fn directories_are_created() {
    let server = managed(&["a", "sub/"]);
    for (target, fields, expected) in [
        ("/new", &[][..], 201),
        ("/new", &[], 405),
        ("/new/", &[], 405),
        ("/new/deep/", &["If-None-Match: *"], 201),
        ("/new/deep/", &["If-None-Match: *"], 405),
        ("/a", &[], 405),
        ("/a/x", &[], 409),
        ("/missing/x", &[], 409),
        ("/x", &["If-Match: *"], 412),
        ("/x", &["Content-Length: 1"], 415),
        ("/x", &["Transfer-Encoding: chunked"], 415),
        ("/%2F", &[], 400),
    ] {
        let content = match fields {
            ["Content-Length: 1"] => "x",
            ["Transfer-Encoding: chunked"] => "0\r\n\r\n",
            _ => "",
        };
        let mut client = server.connect();
        client.send(
            format!("MKCOL {target} HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n{content}", fields.join("\r\n"))
                .replace("\r\n\r\n\r\n", "\r\n\r\n"),
        );
        assert_eq!(client.response().status, expected, "{target} {fields:?}");
    }
    let existing = ask(&server, "MKCOL", "/a", &[]);
    assert_eq!(existing.field("Allow"), Some("GET, HEAD, POST, PUT, DELETE, MOVE, OPTIONS"), "without MKCOL");
    assert_eq!(lines(&server, "/new/"), ["deep/"]);
    assert_eq!(server.file_names(), ["a", "new", "sub"]);
}

#[test]
fn files_and_directories_are_moved() {
    let server = managed(&["a", "b", "dir/x", "empty/"]);
    let authority = format!("localhost:{}", server.port());
    let moved = move_to(&server, "/a", "/dir/a%20b", &["Overwrite: F"]);
    assert_eq!((moved.status, moved.field("Location")), (201, Some("/dir/a%20b")));
    let moved = move_to(&server, "/dir/a%20b", &format!("http://{authority}/b"), &[]);
    assert_eq!((moved.status, moved.field("Location")), (204, None));
    assert_eq!(get(&server, "/b").text(), "a");
    assert_eq!(move_to(&server, "/dir/", "/empty/moved/", &["Overwrite: T", "Depth: infinity"]).status, 201);
    assert_eq!(get(&server, "/empty/moved/x").text(), "dir/x");
    assert_eq!(move_to(&server, "/empty/moved", "/dir", &[]).status, 201);
    assert_eq!(move_to(&server, "/dir", "/empty", &[]).status, 204, "an empty directory is replaced");
    assert_eq!(server.file_names(), ["b", "empty"]);
}

#[test]
fn a_move_that_is_refused_changes_nothing() {
    let server = managed(&["a", "b", "dir/x", "empty/", ".hidden"]);
    for (target, destination, fields, expected) in [
        ("/absent", "/new", &[][..], 404),
        ("/a/", "/new", &[], 404),
        ("/a", "/a", &[], 403),
        ("/a", "/a", &["Overwrite: F"], 403),
        ("/a", "/%61", &[], 403),
        ("/a", "/./a", &[], 403),
        ("/dir", "/dir/", &[], 403),
        ("/a", "/b", &["Overwrite: F"], 412),
        ("/dir", "/empty", &["Overwrite: F"], 412),
        ("/a", "/b", &["Overwrite: maybe"], 400),
        ("/a", "/missing/a", &[], 409),
        ("/a", "/b/a", &[], 409),
        ("/a", "/dir", &[], 409),
        ("/a", "/empty", &[], 409),
        ("/a", "/new/", &[], 409),
        ("/dir", "/a", &[], 409),
        ("/empty", "/dir", &[], 409),
        ("/dir", "/dir/sub", &[], 409),
        ("/dir/x", "/dir", &[], 409),
        ("/a", "/", &[], 403),
        ("/a", "http://localhost", &[], 502),
        ("/a", "http://other.example/a", &[], 502),
        ("/a", "https://other.example/a", &[], 502),
        ("/a", "//localhost/a", &[], 400),
        ("/a", "b", &[], 400),
        ("/a", "/b#c", &[], 400),
        ("/a", "/%2", &[], 400),
        ("/a", "/..", &[], 403),
        ("/a", "/dir/../b", &[], 403),
        ("/a", "/x%2Fy", &[], 400),
        ("/a", "/x%00", &[], 400),
        ("/a", "/.hidden", &[], 403),
        ("/a", "/.new", &[], 403),
        ("/a", "/.spindle/x", &[], 403),
        ("/.hidden", "/new", &[], 404),
        ("/a", "/new", &["If-Match: \"other\""], 412),
        ("/a", "/new", &["If-None-Match: *"], 412),
    ] {
        let response = move_to(&server, target, destination, fields);
        assert_eq!(response.status, expected, "{target} to {destination}: {}", response.text());
        assert_eq!(server.file_names(), [".hidden", "a", "b", "dir", "empty"], "{target} to {destination}");
        assert_eq!((get(&server, "/b").text(), get(&server, "/dir/x").text()), ("b", "dir/x"));
    }
    assert_eq!(status(&server, "MOVE", "/a", &[]), 400, "without a destination");
}

#[test]
fn hidden_and_temporary_names_cannot_be_changed() {
    let temporary = ".spindle-0123456789abcdef";
    for (options, hidden) in [(&["--uploads", "manage"][..], 404), (&["--uploads", "manage", "--hidden"], 204)] {
        let server = share_with(options, &[".hidden", "a", temporary, "dir/.spindle=0123456789abcdef", ".spindle/x"]);
        for target in
            [&format!("/{temporary}"), "/dir/.spindle=0123456789abcdef", "/.spindle/x", "/.spindle/", "/.spindle"]
        {
            assert_eq!(status(&server, "DELETE", target, &[]), 404, "{target}");
            assert_eq!(move_to(&server, target, "/b", &[]).status, 404, "{target}");
            assert!(matches!(move_to(&server, "/a", target, &[]).status, 400 | 403), "{target}");
            assert!(matches!(status(&server, "MKCOL", target, &[]), 400 | 404), "{target}");
        }
        // The directory looks empty to clients.
        let refused = ask(&server, "DELETE", "/dir/", &[]);
        assert_eq!(refused.status, 409);
        assert!(refused.text().contains("hidden names or unfinished uploads"), "{}", refused.text());
        assert_eq!(status(&server, "DELETE", "/.hidden", &[]), hidden);
    }
}

#[test]
fn links_are_changed_themselves_and_nothing_is_changed_through_a_link_to_the_outside() {
    let server = managed(&["a", "dir/x"]);
    let (root, outside) = (server.directory().to_owned(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("secret"), b"secret").unwrap();
    symlink(outside.path(), root.join("out")).unwrap();
    symlink(outside.path().join("secret"), root.join("to-secret")).unwrap();
    symlink("dir", root.join("to-dir")).unwrap();
    assert_eq!(status(&server, "DELETE", "/out/secret", &[]), 404);
    assert_eq!(status(&server, "MKCOL", "/out/new", &[]), 409);
    assert_eq!(move_to(&server, "/out/secret", "/b", &[]).status, 404);
    assert_eq!(move_to(&server, "/a", "/out/a", &[]).status, 409);
    assert_eq!(ask(&server, "PUT", "/out/new/file", &["Content-Length: 0"]).status, 404);
    assert_eq!(move_to(&server, "/to-secret", "/moved", &[]).status, 201);
    assert_eq!(fs::read_link(root.join("moved")).unwrap(), outside.path().join("secret"));
    for target in ["/moved", "/out", "/to-dir"] {
        assert_eq!(status(&server, "DELETE", target, &[]), 204, "{target}");
    }
    assert_eq!(server.file_names(), ["a", "dir"]);
    assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"secret");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert_eq!(get(&server, "/dir/x").text(), "dir/x");
}

#[test]
fn a_change_from_another_site_is_refused() {
    let server = managed(&["a"]);
    for field in ["Origin: http://evil.example", "Sec-Fetch-Site: cross-site"] {
        for method in ["DELETE", "MKCOL", "MOVE"] {
            assert_eq!(status(&server, method, "/a", &[field, "Destination: /b"]), 403, "{method} {field}");
        }
    }
    assert_eq!(server.file_names(), ["a"]);
    let own = format!("Origin: http://localhost:{}", server.port());
    assert_eq!(status(&server, "DELETE", "/a", &[&own]), 204);
}

#[test]
fn other_methods_of_webdav_are_not_known() {
    let server = share(&["a"]);
    for method in ["COPY", "PROPFIND", "PROPPATCH", "LOCK", "UNLOCK"] {
        assert_eq!(status(&server, method, "/a", &["Destination: /b"]), 501, "{method}");
    }
}

#[test]
fn a_folder_can_be_deleted_or_replaced_after_a_finished_resumable_upload() {
    let server = managed(&["new/"]);
    for change in ["DELETE", "MOVE"] {
        assert_eq!(status(&server, "MKCOL", "/x/", &[]), 201);
        assert_eq!(status(&server, "PUT", "/x/f", &["Upload-Complete: ?1", "Content-Length: 0"]), 201);
        let unfinished = ask(&server, "POST", "/x/g", &["Upload-Complete: ?0", "Content-Length: 0"]);
        assert_eq!(unfinished.status, 201);
        assert_eq!(status(&server, "DELETE", "/x/f", &[]), 204);
        let end = || match change {
            "DELETE" => status(&server, "DELETE", "/x/", &[]),
            _ => move_to(&server, "/new/", "/x/", &[]).status,
        };
        assert_eq!(end(), 409, "an upload is unfinished");
        let location = unfinished.field("Location").unwrap();
        assert_eq!(status(&server, "HEAD", location, &[]), 204, "it can still be continued");
        assert_eq!(status(&server, "DELETE", location, &[]), 204);
        assert_eq!(end(), 204);
    }
    assert_eq!(server.file_names(), ["x"]);
}

#[test]
fn a_folder_can_be_deleted_after_its_uploads_have_expired() {
    let server = share_with(&["--uploads", "manage", "--upload-max-age", "1"], &["x/"]);
    assert_eq!(status(&server, "POST", "/x/g", &["Upload-Complete: ?0", "Content-Length: 0"]), 201);
    assert_eq!(status(&server, "DELETE", "/x/", &[]), 409);
    crate::harness::wait_until("the end of the upload", || status(&server, "DELETE", "/x/", &[]) == 204);
    assert_eq!(server.file_names(), [""; 0]);
}
