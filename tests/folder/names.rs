//! Which names exist: hidden, reserved and outside ones.

use std::os::unix::fs::symlink;

use crate::support::{ask, get, lines, share, share_with};

const NAMES: &[&str] = &[".env", ".git/config", "sub/.hidden", "sub/shown", ".spindle/x", ".spindle-0123456789abcdef"];

#[test]
fn names_that_begin_with_a_dot_do_not_exist_for_any_method() {
    let server = share_with(&["--uploads", "replace"], NAMES);
    assert_eq!(lines(&server, "/"), ["sub/"]);
    assert_eq!(lines(&server, "/sub/"), ["shown"]);
    for target in
        ["/.env", "/%2eenv", "/.git/", "/.git", "/.git/config", "/sub/.hidden", "/./.env", "/.absent", "/.../"]
    {
        for method in ["GET", "HEAD", "PUT", "POST", "OPTIONS"] {
            let response = ask(&server, method, target, &["Content-Length: 0"]);
            assert_eq!(response.status, 404, "{method} {target}");
        }
    }
    assert_eq!(get(&server, "/./sub/shown").status, 200);
}

/// Without content, a browser shows an error page of its own.
#[test]
fn a_404_has_a_line_of_text_for_clients_that_name_a_text_type() {
    const FIREFOX: &str = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let server = share(&[".env"]);
    for target in ["/absent", "/absent/", "/.env", "/.spindle/", "/../x", "/a/%00", "/absent/?archive=tar"] {
        for accept in [FIREFOX, "Accept: text/plain"] {
            let response = ask(&server, "GET", target, &[accept]);
            assert_eq!((response.status, response.text()), (404, "There is nothing at this address.\n"), "{target}");
            assert_eq!((response.field("Content-Type"), response.field("Vary")), (Some("text/plain"), Some("Accept")));
            let head = ask(&server, "HEAD", target, &[accept]);
            assert_eq!((head.status, head.field("Content-Length")), (404, Some("34")), "{target}");
            assert_eq!((head.field("Content-Type"), head.field("Vary")), (Some("text/plain"), Some("Accept")));
        }
        for fields in [&[][..], &["Accept: */*"], &["Accept: image/png, */*;q=0.5"], &["Accept: text/html;q=0"]] {
            let response = ask(&server, "GET", target, fields);
            assert_eq!((response.status, response.text(), response.field("Vary")), (404, "", None), "{target}");
        }
    }
}

#[test]
fn with_hidden_they_exist_except_those_reserved_for_the_server() {
    let server = share_with(&["--hidden", "--uploads", "replace"], NAMES);
    assert_eq!(lines(&server, "/")[0], ".git/");
    assert!(!lines(&server, "/").contains(&".spindle-0123456789abcdef".to_owned()));
    for target in ["/.env", "/.git/", "/.git/config", "/sub/.hidden"] {
        assert_eq!(get(&server, target).status, 200, "{target}");
    }
    for target in
        ["/.spindle/x", "/.spindle/", "/.spindle", "/%2espindle/x", "/./.spindle/x", "/.spindle-0123456789abcdef"]
    {
        assert_eq!(get(&server, target).status, 404, "{target}");
    }
    assert_eq!(ask(&server, "PUT", "/.spindle/x", &["Content-Length: 0"]).status, 404);
}

#[test]
fn nothing_outside_of_the_folder_is_served() {
    let server = share(&["sub/a"]);
    symlink("/etc", server.directory().join("etc")).unwrap();
    symlink("..", server.directory().join("up")).unwrap();
    symlink("sub", server.directory().join("in")).unwrap();
    let listed = lines(&server, "/");
    assert!(!listed.iter().any(|name| name.starts_with("etc") || name.starts_with("up")), "{listed:?}");
    for target in ["/etc", "/etc/", "/etc/passwd", "/up/", "/up", "/../../etc/passwd", "/%2e%2e/", "/..%2f"] {
        assert_eq!(get(&server, target).status, 404, "{target}");
    }
    // On some systems links are not followed.
    if listed.contains(&"in/".to_owned()) {
        assert_eq!(lines(&server, "/in/"), ["a"]);
    }
}
