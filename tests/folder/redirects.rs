//! Redirects from the name of a directory without its slash.

use crate::support::{ask, get, share};

#[test]
fn a_missing_slash_is_redirected_and_the_query_is_kept() {
    let server = share(&["sub/deep/", "a b/", "c:d/", "ü/", "http:/"]);
    for (target, location) in [
        ("/sub", "./sub/"),
        ("/sub/deep", "./deep/"),
        ("/sub?format=json&x=[1]", "./sub/?format=json&x=[1]"),
        ("/sub?", "./sub/?"),
        ("/a%20b", "./a%20b/"),
        ("/c:d", "./c%3Ad/"),
        ("/%C3%BC", "./%C3%BC/"),
        ("/http:", "./http%3A/"),
        ("/./sub", "./sub/"),
    ] {
        for method in ["GET", "HEAD"] {
            let response = ask(&server, method, target, &[]);
            assert_eq!((response.status, response.field("Location")), (301, Some(location)), "{method} {target}");
        }
    }
}

#[test]
fn no_redirect_leads_to_another_host() {
    let server = share(&["evil.example/", "sub/evil.example/"]);
    for target in [
        "//evil.example",
        "//evil.example/",
        "//evil.example/..",
        "///evil.example",
        "/%2fevil.example",
        "/%2f%2fevil",
        "/%5cevil.example",
        "/\\evil.example",
        "/sub//evil.example",
        "/sub/%2f/evil.example",
        "/..//evil.example",
    ] {
        let response = get(&server, target);
        assert!(matches!(response.status, 400 | 404), "{target}: {}", response.head);
        assert_eq!(response.field("Location"), None, "{target}");
    }
    assert_eq!(get(&server, "/evil.example").field("Location"), Some("./evil.example/"));
}
