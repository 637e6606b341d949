//! The fields of a response with a file, and what a browser may do with the file.

use crate::support::{ask, get, share};

#[test]
fn a_file_has_the_media_type_of_its_extension() {
    let server = share(&["a.html", "a.txt", "a.PNG", "a.js", "a.json", "a", "a.unheard", "sub/a.css"]);
    for (target, expected) in [
        ("/a.html", "text/html; charset=utf-8"),
        ("/a%2ehtml", "text/html; charset=utf-8"),
        ("/a.txt", "text/plain; charset=utf-8"),
        ("/a.PNG", "image/png"),
        ("/a.js", "text/javascript; charset=utf-8"),
        ("/a.json", "application/json"),
        ("/a", "application/octet-stream"),
        ("/a.unheard", "application/octet-stream"),
        ("/sub/a.css", "text/css; charset=utf-8"),
    ] {
        // The second response comes from the cache if the file is old enough.
        for _ in 0..2 {
            let response = get(&server, target);
            assert_eq!(response.field("Content-Type"), Some(expected), "{target}");
            assert_eq!(response.field("X-Content-Type-Options"), Some("nosniff"));
            assert_eq!(response.field("Cross-Origin-Resource-Policy"), Some("same-origin"));
        }
    }
}

#[test]
fn types_that_browsers_run_are_sandboxed() {
    let server = share(&["a.html", "a.svg", "a.xml", "a.pdf", "a.xhtml", "a.txt", "a.png"]);
    for (target, policy) in [
        ("/a.html", Some("sandbox")),
        ("/a.svg", Some("sandbox")),
        ("/a.xml", Some("sandbox")),
        ("/a.pdf", Some("sandbox")),
        ("/a.xhtml", Some("sandbox")),
        ("/a.txt", None),
        ("/a.png", None),
    ] {
        assert_eq!(get(&server, target).field("Content-Security-Policy"), policy, "{target}");
        let part = ask(&server, "GET", target, &["Range: bytes=0-0"]);
        assert_eq!((part.status, part.field("Content-Security-Policy")), (206, policy), "{target}");
    }
}

#[test]
fn a_download_is_saved_under_its_name() {
    let server = share(&["a \"b\".txt", "ü.html"]);
    let disposition = |target: &str| get(&server, target).field("Content-Disposition").map(str::to_owned);
    assert_eq!(disposition("/%C3%BC.html"), None);
    assert_eq!(
        disposition("/%C3%BC.html?download").as_deref(),
        Some("attachment; filename=\"_.html\"; filename*=UTF-8''%C3%BC.html")
    );
    assert_eq!(
        disposition("/a%20%22b%22.txt?x&download=1").as_deref(),
        Some("attachment; filename=\"a _b_.txt\"; filename*=UTF-8''a%20%22b%22.txt")
    );
}

#[test]
fn parts_have_the_media_type_of_the_file() {
    let server = share(&["a.txt"]);
    let response = ask(&server, "GET", "/a.txt", &["Range: bytes=0-1,3-3"]);
    assert_eq!(response.status, 206);
    assert_eq!(
        response.text().matches("Content-Type: text/plain; charset=utf-8\r\n").count(),
        2,
        "{}",
        response.text()
    );
}

#[test]
fn preconditions_are_evaluated_for_files() {
    let server = share(&["a.txt"]);
    let etag = get(&server, "/a.txt").field("ETag").unwrap().to_owned();
    assert_eq!(ask(&server, "GET", "/a.txt", &[&format!("If-None-Match: {etag}")]).status, 304);
    assert_eq!(ask(&server, "GET", "/a.txt", &["If-Match: \"other\""]).status, 412);
}
