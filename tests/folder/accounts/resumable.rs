//! Whose an unfinished resumable upload is.

use super::{Guarded, credentials};

/// Begins an upload by the account with this name, whose first four bytes are `firs`. Returns its address.
fn begin(guarded: &Guarded, name: &str, target: &str) -> String {
    let mut client = guarded.server.connect();
    let credentials: String = credentials(name).iter().map(|field| format!("{field}\r\n")).collect();
    client.send(format!(
        "PUT {target} HTTP/1.1\r\nHost: localhost\r\n{credentials}Upload-Complete: ?0\r\nContent-Length: 4\r\n\r\nfirs"
    ));
    let created = client.response();
    assert_eq!(created.status, 201, "{}", created.head);
    created.field("Location").unwrap().to_owned()
}

fn append(guarded: &Guarded, name: &str, upload: &str) -> u16 {
    let mut client = guarded.server.connect();
    let credentials: String = credentials(name).iter().map(|field| format!("{field}\r\n")).collect();
    client.send(format!(
        "PATCH {upload} HTTP/1.1\r\nHost: localhost\r\n{credentials}Upload-Complete: ?1\r\nUpload-Offset: 4\r\n\
         Content-Type: application/partial-upload\r\nContent-Length: 1\r\n\r\nt"
    ));
    client.response().status
}

#[test]
fn an_unfinished_upload_belongs_to_the_account_that_created_it() {
    let guarded = Guarded::new(&["* create", "alice read,create", "bob read,manage"]);
    let upload = begin(&guarded, "alice", "/new");
    // For all others it does not exist, although they know its address and may upload.
    for other in ["", "bob"] {
        for method in ["HEAD", "GET", "DELETE"] {
            let response = guarded.ask(other, method, &upload);
            assert_eq!((response.status, response.field("Upload-Offset")), (404, None), "{other} {method}");
        }
        assert_eq!(append(&guarded, other, &upload), 404, "{other}");
    }
    assert_eq!(guarded.ask("alice", "HEAD", &upload).field("Upload-Offset"), Some("4"));
    assert_eq!(append(&guarded, "alice", &upload), 201);
    assert_eq!(guarded.server.content_of("new"), Some(b"first".to_vec()));
    // Its record stays hers, too.
    for (name, status) in [("bob", 404), ("", 404), ("alice", 204)] {
        assert_eq!(guarded.status(name, "HEAD", &upload), status, "{name}");
        assert_eq!(guarded.status(name, "DELETE", &upload), status, "{name}");
    }
}

#[test]
fn an_upload_in_progress_is_not_interrupted_by_others() {
    let guarded = Guarded::new(&["alice create", "bob manage"]);
    let upload = begin(&guarded, "alice", "/new");
    let mut client = guarded.server.connect();
    client.send(format!(
        "PATCH {upload} HTTP/1.1\r\nHost: localhost\r\n{}\r\nUpload-Complete: ?1\r\nUpload-Offset: 4\r\n\
         Content-Type: application/partial-upload\r\nContent-Length: 3\r\n\r\nt ",
        credentials("alice").concat()
    ));
    // Until the server has taken it, it is not in progress.
    crate::harness::wait_until("content", || !client.is_readable_within(std::time::Duration::from_millis(50)));
    for _ in 0..3 {
        assert_eq!(guarded.status("bob", "HEAD", &upload), 404);
        assert_eq!(append(&guarded, "bob", &upload), 404);
        assert_eq!(guarded.status("bob", "DELETE", &upload), 404);
    }
    client.send("x");
    assert_eq!(client.response().status, 201);
    assert_eq!(guarded.server.content_of("new"), Some(b"first x".to_vec()));
}

#[test]
fn an_upload_without_an_account_belongs_to_whoever_knows_its_address() {
    let guarded = Guarded::new(&["* create", "alice read,create", "bob read"]);
    let upload = begin(&guarded, "", "/new");
    assert_eq!(guarded.ask("alice", "HEAD", &upload).field("Upload-Offset"), Some("4"));
    assert_eq!(append(&guarded, "", &upload), 201);
    assert_eq!(guarded.server.content_of("new"), Some(b"first".to_vec()));
}

#[test]
fn a_right_that_was_withdrawn_ends_an_upload_at_its_next_request() {
    let guarded = Guarded::new(&["alice read,replace"]);
    let upload = begin(&guarded, "alice", "/a");
    guarded.replace_accounts(&["alice read,create"]);
    // It began as one that replaces, and must not do so now.
    assert_eq!(append(&guarded, "alice", &upload), 409);
    assert_eq!(guarded.server.content_of("a"), Some(b"a".to_vec()));
    let upload = begin(&guarded, "alice", "/new");
    guarded.replace_accounts(&["alice read"]);
    assert_eq!(append(&guarded, "alice", &upload), 403);
    assert_eq!(guarded.server.content_of("new"), None);
}
