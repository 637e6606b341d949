//! A folder as a web site (`--site`).

use std::fs;

use crate::harness::Server;
use crate::support::{ask, get, share_with};

fn site(names: &[&str]) -> Server {
    share_with(&["--site"], names)
}

#[test]
fn a_directory_is_served_as_its_index_and_never_listed() {
    let server = site(&["index.html", "sub/index.html", "bare/file", "odd/index.html/"]);
    for target in ["/", "/?format=json", "/?archive=tar", "/?sort=bad"] {
        let response = get(&server, target);
        assert_eq!((response.status, response.text()), (200, "index.html"), "{target}");
        assert_eq!(response.field("Content-Type"), Some("text/html; charset=utf-8"));
        assert_eq!(response.field("Content-Security-Policy"), None);
        assert_eq!(response.field("X-Content-Type-Options"), Some("nosniff"));
    }
    assert_eq!(get(&server, "/sub/").text(), "sub/index.html");
    assert_eq!(get(&server, "/sub?a=b").field("Location"), Some("./sub/?a=b"));
    for target in ["/bare/", "/bare/?format=text", "/odd/", "/absent/", "/absent"] {
        let response = get(&server, target);
        assert_eq!((response.status, response.text()), (404, ""), "{target}");
        let in_a_browser = ask(&server, "GET", target, &["Accept: text/html"]);
        assert_eq!(in_a_browser.text(), "There is nothing at this address.\n", "{target}");
    }
    assert_eq!(get(&server, "/bare").status, 301);
    assert_eq!(ask(&server, "PUT", "/new", &["Content-Length: 0"]).status, 405);
}

#[test]
fn a_404_has_the_sites_own_page() {
    let server = site(&["404.html", "bare/x", ".hidden"]);
    for target in ["/absent", "/bare/", "/a//b", "/.hidden", "/.spindle/x", "/../x"] {
        let response = ask(&server, "GET", target, &["Range: bytes=0-1", "If-None-Match: *"]);
        assert_eq!((response.status, response.text()), (404, "404.html"), "{target}");
        assert_eq!(response.field("Content-Type"), Some("text/html; charset=utf-8"));
        assert_eq!(response.field("ETag"), None);
    }
    let head = ask(&server, "HEAD", "/absent", &[]);
    assert_eq!((head.status, head.field("Content-Length")), (404, Some("8")));
    assert_eq!(ask(&server, "DELETE", "/absent", &[]).status, 405);
}

#[test]
fn a_compressed_file_is_sent_to_clients_that_accept_its_coding() {
    let server =
        site(&["index.html", "index.html.br", "index.html.gz", "a.txt", "a.txt.zst", "only.css.gz", "plain.txt"]);
    for (target, accepted, content, coding) in [
        ("/", "gzip, deflate, br, zstd", "index.html.br", Some("br")),
        ("/index.html", "gzip, br;q=0.5", "index.html.gz", Some("gzip")),
        ("/", "zstd", "index.html", None),
        ("/", "identity", "index.html", None),
        ("/", "br;q=0", "index.html", None),
        ("/", "br;q=0.5, identity", "index.html", None),
        ("/a.txt", "gzip, deflate, br, zstd", "a.txt.zst", Some("zstd")),
        ("/plain.txt", "gzip, br", "plain.txt", None),
    ] {
        let response = ask(&server, "GET", target, &[&format!("Accept-Encoding: {accepted}")]);
        assert_eq!((response.status, response.text()), (200, content), "{target} {accepted}");
        assert_eq!(response.field("Content-Encoding"), coding);
        assert_eq!(response.field("Vary"), Some("Accept-Encoding"));
        let original = get(&server, target);
        assert_eq!(original.field("Content-Encoding"), None);
        assert_eq!(original.field("Vary"), Some("Accept-Encoding"));
        assert_eq!(original.field("Content-Type"), response.field("Content-Type"));
        assert_eq!(original.field("ETag") == response.field("ETag"), coding.is_none(), "{target} {accepted}");
    }
    assert_eq!(ask(&server, "GET", "/only.css", &["Accept-Encoding: gzip"]).status, 404);
    // Under its own name a compressed file is an ordinary file.
    let response = ask(&server, "GET", "/only.css.gz", &["Accept-Encoding: gzip"]);
    assert_eq!((response.field("Content-Encoding"), response.field("Content-Type")), (None, Some("application/gzip")));
}

#[test]
fn preconditions_use_the_tag_of_the_compressed_file() {
    let server = site(&["a.txt", "a.txt.br"]);
    let br = "Accept-Encoding: br";
    let tag = ask(&server, "GET", "/a.txt", &[br]).field("ETag").unwrap().to_owned();
    let condition = format!("If-None-Match: {tag}");
    let response = ask(&server, "HEAD", "/a.txt", &[br, &condition]);
    assert_eq!((response.status, response.field("Vary")), (304, Some("Accept-Encoding")));
    assert_eq!(response.field("Content-Encoding"), None);
    assert_eq!(ask(&server, "GET", "/a.txt", &[&condition]).status, 200);
    let part = ask(&server, "GET", "/a.txt", &[br, "Range: bytes=2-4"]);
    assert_eq!((part.status, part.text(), part.field("Content-Encoding")), (206, "txt", Some("br")));
}

#[test]
fn several_ranges_are_sent_from_the_uncompressed_file() {
    // A client decodes the content as a whole, and could not decode the lines between the parts.
    let server = site(&["a.txt", "a.txt.br"]);
    let parts = ask(&server, "GET", "/a.txt", &["Accept-Encoding: br", "Range: bytes=0-0,4-4"]);
    assert_eq!((parts.status, parts.field("Content-Encoding")), (206, None));
    assert!(parts.field("Content-Type").unwrap().starts_with("multipart/byteranges"), "{}", parts.head);
    assert!(parts.text().contains("bytes 4-4/5"), "{}", parts.text());
    assert_eq!(parts.field("Vary"), Some("Accept-Encoding"));
}

#[test]
fn a_site_allows_no_uploads() {
    let ended = crate::harness::Start::new().folder().options(["--site", "--uploads", "create"]).run_to_exit();
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("--site") && ended.stderr.contains("--uploads"), "{}", ended.stderr);
    let server = site(&["a"]);
    assert_eq!(ask(&server, "PUT", "/a", &["Content-Length: 0"]).status, 405);
    assert_eq!(fs::read(server.directory().join("a")).unwrap(), b"a");
}
