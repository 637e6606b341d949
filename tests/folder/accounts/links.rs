//! Accounts and signed links together: a request under a link may do what the link says, whoever sends it.

use std::fs;
use std::time::SystemTime;

use spindle::semantics::link::{Link, LinkKeys, LinkRight, SECRET_BYTES, key_line};
use tempfile::TempDir;

use super::{Guarded, basic, credentials};
use crate::support;

const CREATE: LinkRight = LinkRight::Create { bytes_max: None };

/// A server with accounts and a key.
struct Both {
    guarded: Guarded,
    #[expect(dead_code, reason = "kept for its drop")]
    scratch: TempDir,
}

impl Both {
    fn start(options: &[&str], accounts: &[&str]) -> Both {
        let scratch = tempfile::tempdir().unwrap();
        let key = scratch.path().join("key");
        fs::write(&key, key_line(&[7; SECRET_BYTES])).unwrap();
        let options = [&["--link-key", key.to_str().unwrap()], options].concat();
        Both { guarded: Guarded::with(&options, accounts), scratch }
    }

    /// The target of a path in `sub`, under a link for that folder.
    fn link(right: LinkRight, path: &str) -> String {
        let keys = LinkKeys::parse(key_line(&[7; SECRET_BYTES]).as_bytes()).unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let signed = keys.sign(Link { right, segments: 1, expires_unix_s: now + 600, id: 9 }, b"/sub/");
        format!("/.spindle/link/{signed}{path}")
    }

    fn status(&self, method: &str, target: &str, field: &str) -> u16 {
        let fields = ["Content-Length: 0", field];
        let count = if field.is_empty() { 1 } else { 2 };
        support::ask(&self.guarded.server, method, target, &fields[..count]).status
    }
}

/// The field with right credentials of the account that may do everything, with wrong ones, with others, and none.
fn authorizations() -> [String; 4] {
    let right = credentials("alice").remove(0);
    [right, basic("alice", "wrong"), "Authorization: Bearer x".to_owned(), String::new()]
}

#[test]
fn credentials_that_come_with_a_link_neither_add_to_it_nor_spoil_it() {
    let both = Both::start(&[], &["alice read,manage"]);
    for (number, field) in authorizations().iter().enumerate() {
        let create = |method: &str, path: &str| both.status(method, &Both::link(CREATE, path), field);
        assert_eq!(create("PUT", &format!("/sub/new-{number}")), 201, "{field}");
        assert_eq!(create("PUT", "/sub/b"), 409, "{field}");
        assert_eq!(create("GET", "/sub/b"), 403, "{field}");
        assert_eq!(create("GET", "/sub/?format=json"), 403, "{field}");
        assert_eq!(create("DELETE", "/sub/b"), 403, "{field}");
        assert_eq!(create("MKCOL", "/sub/folder/"), 403, "{field}");
        assert_eq!(create("PUT", "/other"), 403, "{field}");
        let read = |method: &str, path: &str| both.status(method, &Both::link(LinkRight::Read, path), field);
        assert_eq!(read("GET", "/sub/b"), 200, "{field}");
        assert_eq!(read("GET", "/a"), 403, "{field}");
        assert_eq!(read("PUT", "/sub/read"), 403, "{field}");
        assert_eq!(read("DELETE", "/sub/b"), 403, "{field}");
    }
    // The account alone may do what the links refused.
    assert_eq!(both.guarded.put("alice", "/sub/b"), 204);
    assert_eq!(both.guarded.status("alice", "DELETE", "/sub/b"), 204);
    // And nobody else may do without a link what the link allowed.
    assert_eq!((both.guarded.status("", "GET", "/sub/new-0"), both.guarded.put("", "/sub/more")), (401, 401));
}

#[test]
fn what_everybody_may_do_is_not_added_to_a_link() {
    let both = Both::start(&[], &["* read,replace"]);
    for field in authorizations() {
        assert_eq!(both.status("GET", &Both::link(CREATE, "/sub/b"), &field), 403, "{field}");
        assert_eq!(both.status("PUT", &Both::link(CREATE, "/sub/b"), &field), 409, "{field}");
        assert_eq!(both.status("PUT", &Both::link(LinkRight::Read, "/sub/new"), &field), 403, "{field}");
    }
    assert_eq!((both.guarded.status("", "GET", "/sub/b"), both.guarded.put("", "/sub/b")), (200, 204));
}

#[test]
fn the_options_are_an_upper_bound_for_links_and_accounts() {
    let both = Both::start(&["--uploads", "off"], &["alice read,manage"]);
    assert_eq!(both.status("PUT", &Both::link(CREATE, "/sub/new"), ""), 405);
    assert_eq!(both.status("GET", &Both::link(LinkRight::Read, "/sub/b"), ""), 200);
    let both = Both::start(&["--uploads", "create", "--max-upload", "1"], &["alice read,manage"]);
    let target = Both::link(LinkRight::Create { bytes_max: Some(1000) }, "/sub/new");
    let refused = support::ask(&both.guarded.server, "PUT", &target, &["Content-Length: 2"]);
    assert_eq!(refused.status, 413);
}

#[test]
fn an_upload_under_a_link_belongs_to_the_link_and_to_no_account() {
    let both = Both::start(&[], &["alice read,manage", "* create"]);
    let alice = &authorizations()[0];
    let fields = ["Upload-Complete: ?0", "Content-Length: 0", alice.as_str()];
    let begun = support::ask(&both.guarded.server, "PUT", &Both::link(CREATE, "/sub/new"), &fields);
    assert_eq!(begun.status, 201);
    let location = begun.field("Location").unwrap();
    let (_, resource) = location.split_once("/.spindle/uploads/").unwrap();
    let resource = format!("/.spindle/uploads/{resource}");
    for name in ["", "alice"] {
        for method in ["HEAD", "DELETE"] {
            assert_eq!(both.guarded.status(name, method, &resource), 404, "{name} {method}");
        }
    }
    for field in authorizations() {
        assert_eq!(both.status("HEAD", location, &field), 204, "{field}");
    }
    assert_eq!(both.status("DELETE", location, &basic("alice", "wrong")), 204);
}

#[test]
fn the_log_names_the_link_of_a_request_and_no_account() {
    let scratch = tempfile::tempdir().unwrap();
    let log = scratch.path().join("log");
    let both = Both::start(&["--access-log", log.to_str().unwrap()], &["alice read,manage"]);
    assert_eq!(both.status("GET", &Both::link(LinkRight::Read, "/sub/b"), &authorizations()[0]), 200);
    assert_eq!(both.guarded.status("alice", "GET", "/sub/b"), 200);
    let text = || fs::read_to_string(&log).unwrap();
    crate::harness::wait_until("two lines", || text().lines().count() == 2);
    let text = text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains(" - - [") && lines[0].contains(".0000000000000009.-/sub/b "), "{}", lines[0]);
    assert!(lines[1].contains(" - alice ["), "{}", lines[1]);
}
