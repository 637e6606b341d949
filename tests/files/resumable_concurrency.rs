//! Several requests for one resumable upload at a time, a restarted server, and two servers.

use crate::harness::{Client, Server, Start, noise, wait_until};
use crate::resumable::{append, create, incomplete, offset, only_names, request};

/// Begins a request with the rest of the content, and sends a part of it: more than the server gathers before it writes.
fn begin_append(server: &Server, location: &str, offset: usize, content: &[u8], sent: usize) -> Client {
    let mut client = server.connect();
    client.send(format!(
        "PATCH {location} HTTP/1.1\r\nHost: a\r\nContent-Type: application/partial-upload\r\nUpload-Complete: ?1\r\n\
         Upload-Offset: {offset}\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        content.len()
    ));
    assert_eq!(client.head().status, 100);
    client.send(&content[..sent]);
    client
}

const BYTES: usize = 200_000;

#[test]
fn a_second_append_ends_the_first_one() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let content = noise(BYTES, 1);
    let location = create(&mut client, "/files/file", &[], &content[..10]);
    // What it sends may differ: the client has given it up.
    let theirs = &noise(BYTES, 2)[10..];
    let mut first = begin_append(&server, &location, 10, theirs, 0);
    let second = append(&mut client, &location, 10, true, &content[10..]);
    assert_eq!((second.status, second.field("Upload-Complete")), (201, Some("?1")));
    first.send(theirs);
    assert_eq!(first.response().status, 409);
    assert!(server.content_of("file").unwrap() == content);
    only_names(&server, &["file"]);
}

#[test]
fn an_offset_that_was_retrieved_while_content_arrives_is_accepted() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let content = noise(BYTES, 3);
    let location = create(&mut client, "/files/file", &[], b"");
    for method in ["HEAD", "GET"] {
        let (_, before, _) = offset(&mut client, &location);
        let before: usize = before.unwrap().parse().unwrap();
        let mut first = begin_append(&server, &location, before, &content[before..], 90_000);
        let has_arrived = || {
            let files = std::fs::read_dir(server.directory()).unwrap();
            let longest = files.map(|entry| entry.unwrap().metadata().unwrap().len()).max().unwrap();
            longest >= before as u64 + 65_536
        };
        wait_until("content on the disk", has_arrived);
        let retrieved = request(&mut client, method, &location, &[], b"");
        assert_eq!((retrieved.status, retrieved.field("Upload-Complete")), (204, Some("?0")));
        let found: usize = retrieved.field("Upload-Offset").unwrap().parse().unwrap();
        assert!(found >= before + 65_536, "what has arrived is kept: {found}");
        // The rest of the first request comes too late, and changes nothing.
        first.send(&content[before + 90_000..]);
        assert_eq!(first.response().status, 409, "{method}");
        assert_eq!(offset(&mut client, &location), incomplete(found), "{method}");
    }
    let (_, found, _) = offset(&mut client, &location);
    let found: usize = found.unwrap().parse().unwrap();
    assert_eq!(append(&mut client, &location, found, true, &content[found..]).status, 201);
    assert!(server.content_of("file").unwrap() == content);
}

#[test]
fn a_cancellation_ends_the_request_that_sends_content() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let content = noise(BYTES, 4);
    let location = create(&mut client, "/files/file", &[], b"");
    let mut first = begin_append(&server, &location, 0, &content, 90_000);
    assert_eq!(request(&mut client, "DELETE", &location, &[], b"").status, 204);
    assert!(server.file_names().is_empty(), "{:?}", server.file_names());
    first.send(&content[90_000..]);
    assert_eq!(first.response().status, 409);
    assert_eq!(offset(&mut client, &location).0, 404);
    assert!(server.file_names().is_empty(), "{:?}", server.file_names());
}

/// So a client can continue at once, although the server does not know yet that the connection of the first request is lost.
#[test]
fn the_request_that_creates_an_upload_is_ended_by_a_retrieval_too() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let content = noise(BYTES, 5);
    let mut first = server.connect();
    first.send(format!(
        "PUT /files/file HTTP/1.1\r\nHost: a\r\nUpload-Complete: ?1\r\n{}\r\nContent-Length: {BYTES}\r\n\r\n",
        crate::resumable::INTEROP
    ));
    let location = first.head().field("Location").expect("a location").to_owned();
    first.send(&content[..90_000]);
    let (status, found, _) = offset(&mut client, &location);
    assert_eq!(status, 204);
    let found: usize = found.unwrap().parse().unwrap();
    first.send(&content[90_000..]);
    assert_eq!(first.response().status, 409);
    assert_eq!(append(&mut client, &location, found, true, &content[found..]).status, 201);
    assert!(server.content_of("file").unwrap() == content);
}

#[test]
fn an_upload_that_one_server_receives_is_not_continued_by_another_one() {
    let scratch = tempfile::tempdir().unwrap();
    let [one, other] = [(); 2].map(|()| Start::new().directory_at(scratch.path()).start());
    let content = noise(BYTES, 6);
    let location = create(&mut one.connect(), "/files/file", &[], b"");
    // The upload is found by the request that continues it, not begun by it.
    let mut first = begin_append(&one, &location, 0, &content, 90_000);
    let mut client = other.connect();
    assert_eq!(offset(&mut client, &location).0, 503);
    assert_eq!(append(&mut client, &location, 0, true, &content).status, 503);
    assert_eq!(request(&mut client, "DELETE", &location, &[], b"").status, 503);
    first.send(&content[90_000..]);
    assert_eq!(first.response().status, 201);
    assert!(one.content_of("file").unwrap() == content);
    let (status, _, complete) = offset(&mut other.connect(), &location);
    assert_eq!((status, complete.as_deref()), (204, Some("?1")));
}

#[test]
fn uploads_of_an_earlier_run_count_as_pending_once_they_are_known() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("other")).unwrap();
    let start = || Start::new().directory_at(root.path()).options(["--uploads-pending", "1"]).start();
    let begin = |client: &mut Client, target: &str| {
        let created = request(client, "POST", target, &["Upload-Complete: ?0"], b"content");
        (created.status, created.field("Location").map(str::to_owned))
    };
    let (status, location) = begin(&mut start().connect(), "/files/one");
    assert_eq!(status, 201);
    let location = location.unwrap();

    // A cleanup of its directory sees it: the first upload to the directory starts one.
    let server = start();
    let mut client = server.connect();
    assert_eq!(begin(&mut client, "/files/two").0, 503);
    assert_eq!(server.file_names().len(), 3, "the refused upload leaves nothing: {:?}", server.file_names());
    let whole = request(&mut client, "POST", "/files/whole", &["Upload-Complete: ?1"], b"content");
    assert_eq!(whole.status, 201, "an upload in one request needs no upload resource");
    drop(server);

    // A request finds it, and no upload has gone to its directory yet.
    let server = start();
    let mut client = server.connect();
    assert_eq!(offset(&mut client, &location), incomplete(7));
    assert_eq!(begin(&mut client, "/files/other/two").0, 503);
    assert_eq!(append(&mut client, &location, 7, true, b"").status, 201);
    let (status, other) = begin(&mut client, "/files/other/two");
    assert_eq!(status, 201);
    assert_eq!(request(&mut client, "DELETE", &other.unwrap(), &[], b"").status, 204);
    drop(server);

    // The record of an upload that has ended does not count.
    let server = start();
    assert_eq!(begin(&mut server.connect(), "/files/three").0, 201);
}
