//! Resumable uploads ("Resumable Uploads for HTTP"): the requirements of the draft.

use std::fs;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest, Sha256};

use crate::harness::{Client, Response, Server, Start, noise, wait_until};

pub(crate) const INTEROP: &str = "Upload-Draft-Interop-Version: 8";

/// Sends a request with these fields and content.
pub(crate) fn send(client: &mut Client, method: &str, target: &str, fields: &[&str], content: &[u8]) {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n");
    for field in fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    client.send(format!("{head}Content-Length: {}\r\n\r\n", content.len()));
    client.send(content);
}

pub(crate) fn request(client: &mut Client, method: &str, target: &str, fields: &[&str], content: &[u8]) -> Response {
    send(client, method, target, fields, content);
    if method == "HEAD" { client.head() } else { client.response() }
}

/// Creates an upload with this first part. Returns its location.
pub(crate) fn create(client: &mut Client, target: &str, fields: &[&str], content: &[u8]) -> String {
    let fields = [fields, &["Upload-Complete: ?0"]].concat();
    let response = request(client, "POST", target, &fields, content);
    assert_eq!(response.status, 201, "{}", response.head);
    assert_eq!(response.field("Upload-Complete"), Some("?0"));
    response.field("Location").expect("a location").to_owned()
}

pub(crate) fn append(client: &mut Client, location: &str, offset: usize, complete: bool, content: &[u8]) -> Response {
    let fields = [
        "Content-Type: application/partial-upload",
        if complete { "Upload-Complete: ?1" } else { "Upload-Complete: ?0" },
        &format!("Upload-Offset: {offset}"),
    ];
    request(client, "PATCH", location, &fields, content)
}

pub(crate) fn offset(client: &mut Client, location: &str) -> (u16, Option<String>, Option<String>) {
    let response = request(client, "HEAD", location, &[], b"");
    let field = |name| response.field(name).map(str::to_owned);
    (response.status, field("Upload-Offset"), field("Upload-Complete"))
}

pub(crate) fn incomplete(bytes: usize) -> (u16, Option<String>, Option<String>) {
    (204, Some(bytes.to_string()), Some("?0".to_owned()))
}

pub(crate) fn digest(content: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64_STANDARD.encode(Sha256::digest(content)))
}

pub(crate) fn only_names(server: &Server, expected: &[&str]) {
    let names = server.file_names().into_iter().filter(|name| !name.starts_with(".spindle="));
    assert_eq!(names.collect::<Vec<_>>(), expected);
}

#[test]
fn an_upload_in_parts_becomes_one_file() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let content = noise(200_000, 1);
    let location = create(&mut client, "/files/file", &[], &content[..70_000]);
    only_names(&server, &[]);
    assert_eq!(offset(&mut client, &location), incomplete(70_000));
    let response = append(&mut client, &location, 70_000, false, &content[70_000..70_001]);
    assert_eq!((response.status, response.field("Upload-Complete")), (204, Some("?0")));
    assert_eq!(response.field("Upload-Offset"), Some("70001"));
    let response = append(&mut client, &location, 70_001, true, &content[70_001..]);
    assert_eq!((response.status, response.field("Upload-Complete")), (201, Some("?1")));
    let read = client.get("/files/file");
    assert!(read.content == content);
    assert_eq!(response.field("ETag"), read.field("ETag"));
    assert!(client.is_kept());
}

#[test]
fn the_first_and_the_last_request_of_an_upload_may_have_no_content() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let location = create(&mut client, "/files/file", &[], b"");
    append(&mut client, &location, 0, false, b"content");
    assert_eq!(append(&mut client, &location, 7, true, b"").status, 201);
    assert_eq!(server.content_of("file").unwrap(), b"content");
    let empty = request(&mut client, "PUT", "/files/empty", &["Upload-Complete: ?1"], b"");
    assert_eq!((empty.status, empty.field("Upload-Complete")), (201, Some("?1")));
    assert_eq!(server.content_of("empty").unwrap(), b"");
}

#[test]
fn an_upload_in_one_request_can_be_resumed_and_gets_the_response_of_a_plain_one() {
    let server = Server::with_directory();
    let mut client = server.connect();
    send(&mut client, "PUT", "/files/file", &["Upload-Complete: ?1", INTEROP], b"content");
    let interim = client.head();
    assert_eq!(interim.status, 104);
    assert!(interim.head.starts_with("HTTP/1.1 104 Upload Resumption Supported\r\n"));
    let location = interim.field("Location").expect("a location").to_owned();
    assert!(location.starts_with("/.spindle/uploads/"), "{location}");
    assert_eq!(interim.field("Upload-Limit"), Some("max-age=86400"));
    let response = client.response();
    assert_eq!((response.status, response.field("Upload-Complete")), (201, Some("?1")));
    // Clients of earlier versions of the draft require it.
    assert_eq!(response.field("Upload-Offset"), Some("7"));
    assert_eq!(server.content_of("file").unwrap(), b"content");
    // A client that does not send the version of the draft does not know 104.
    let plain = request(&mut client, "PUT", "/files/file", &["Upload-Complete: ?1"], b"other");
    assert_eq!(plain.status, 204);
}

/// A client of a draft version ignores a 104 that does not name this version (appendix B of the draft).
#[test]
fn an_interim_response_names_the_version_of_the_draft() {
    let server = Server::with_directory();
    let mut client = server.connect();
    send(&mut client, "PUT", "/files/file", &["Upload-Complete: ?1", INTEROP], b"content");
    let interim = client.head();
    assert_eq!((interim.status, interim.field("Upload-Draft-Interop-Version")), (104, Some("8")));
    assert_eq!(client.response().status, 201);
}

#[test]
fn an_http_10_client_gets_no_interim_response() {
    let server = Server::with_directory();
    let mut client = server.connect();
    client.send(format!(
        "PUT /files/file HTTP/1.0\r\nUpload-Complete: ?1\r\n{INTEROP}\r\nContent-Length: 7\r\n\r\ncontent"
    ));
    assert_eq!(client.response().status, 201);
    assert_eq!(client.rest(), b"");
}

#[test]
fn an_upload_is_resumed_at_its_offset_after_its_connection_breaks() {
    let server = Server::with_directory();
    let content = noise(300_000, 2);
    let mut broken = server.connect();
    let head = format!(
        "PUT /files/file HTTP/1.1\r\nHost: a\r\nUpload-Complete: ?1\r\n{INTEROP}\r\nContent-Length: {}\r\n\r\n",
        content.len()
    );
    broken.send(head);
    let location = broken.head().field("Location").expect("a location").to_owned();
    broken.send(&content[..100_000]);
    // The client requests the offset on another connection until the server has the first part.
    let mut client = server.connect();
    let (status, saved, complete) = offset(&mut client, &location);
    assert_eq!((status, complete.as_deref()), (204, Some("?0")));
    let saved: usize = saved.unwrap().parse().unwrap();
    assert!(saved <= 100_000);
    let response = append(&mut client, &location, saved, true, &content[saved..]);
    assert_eq!(response.status, 201, "{}", response.text());
    assert!(server.content_of("file").unwrap() == content);
    drop(broken);
}

/// Its client has not been told the location: it does not understand interim responses.
#[test]
fn an_upload_that_nobody_can_continue_leaves_nothing_when_its_connection_breaks() {
    let server = Start::new().directory().options(["--uploads-pending", "2"]).start();
    for _ in 0..3 {
        let mut client = server.connect();
        client.send("PUT /files/file HTTP/1.1\r\nHost: a\r\nUpload-Complete: ?1\r\nContent-Length: 9\r\n\r\ncont");
        wait_until("the upload to begin", || server.file_names().len() == 2);
        drop(client);
        wait_until("its end", || server.file_names().is_empty());
    }
    // They take no places either.
    create(&mut server.connect(), "/files/file", &[], b"");
}

#[test]
fn an_upload_can_be_resumed_after_the_server_restarts() {
    let root = tempfile::tempdir().unwrap();
    // Dropping a server kills it.
    let start = || Start::new().directory_at(root.path()).start();
    let content = noise(150_000, 3);
    let location = create(&mut start().connect(), "/files/file", &[], &content[..100_000]);
    let server = start();
    let mut client = server.connect();
    assert_eq!(offset(&mut client, &location), incomplete(100_000));
    assert_eq!(append(&mut client, &location, 100_000, true, &content[100_000..]).status, 201);
    assert!(std::fs::read(root.path().join("file")).unwrap() == content);
    drop(server);
    // The client has not received the response, and requests it again from another server.
    let server = start();
    let replayed = append(&mut server.connect(), &location, 150_000, true, b"");
    assert_eq!((replayed.status, replayed.field("Upload-Complete")), (201, Some("?1")));
    assert_eq!((replayed.field("Content-Length"), replayed.field("Upload-Offset")), (Some("0"), Some("150000")));
    // The first tag was given when the file was new: only then is it known to be that of no other version.
    let tag = |response: &Response| response.field("ETag").unwrap().trim_start_matches("W/").to_owned();
    assert_eq!(tag(&replayed), tag(&server.connect().get("/files/file")));
}

#[test]
fn a_wrong_offset_is_a_conflict_and_the_response_contains_the_right_one() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let location = create(&mut client, "/files/file", &[], b"content");
    for wrong in [0, 6, 8] {
        let response = append(&mut client, &location, wrong, true, b"x");
        assert_eq!((response.status, response.field("Upload-Offset")), (409, Some("7")));
        assert_eq!(response.field("Upload-Complete"), Some("?0"));
        assert_eq!(response.field("Content-Type"), Some("application/problem+json"));
        let problem: serde_json::Value = serde_json::from_slice(&response.content).unwrap();
        assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#mismatching-upload-offset");
        assert_eq!((&problem["expected-offset"], &problem["provided-offset"]), (&7.into(), &wrong.into()));
    }
    assert_eq!(append(&mut client, &location, 7, true, b"").status, 201);
    let late = append(&mut client, &location, 3, false, b"more");
    assert_eq!((late.status, late.field("Upload-Offset")), (409, Some("7")));
}

#[test]
fn lengths_that_contradict_each_other_are_refused() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let problem = |response: &Response| {
        let problem: serde_json::Value = serde_json::from_slice(&response.content).expect("a problem");
        assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#inconsistent-upload-length");
        response.status
    };
    let at_once = request(&mut client, "PUT", "/files/file", &["Upload-Complete: ?1", "Upload-Length: 8"], b"content");
    assert_eq!(problem(&at_once), 400);
    let location = create(&mut client, "/files/file", &["Upload-Length: 10"], b"content");
    let head = request(&mut client, "HEAD", &location, &[], b"");
    assert_eq!(head.field("Upload-Length"), Some("10"));
    assert_eq!(problem(&append(&mut client, &location, 7, true, b"12")), 400);
    assert_eq!(offset(&mut client, &location), incomplete(7));
    // After more content than the stated length, the upload is invalid.
    assert_eq!(problem(&append(&mut client, &location, 7, false, b"1234")), 400);
    assert_eq!(offset(&mut client, &location).0, 404);
    only_names(&server, &[]);
}

#[test]
fn long_preconditions_are_saved_with_the_upload() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let tags = format!("If-None-Match: {}", vec!["\"0123456789abcdef\""; 1000].join(","));
    let location = create(&mut client, "/files/file", &[&tags], b"content");
    assert_eq!(append(&mut client, &location, 7, true, b"").status, 201);
}

#[test]
fn a_cancelled_upload_is_removed() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let location = create(&mut client, "/files/file", &[], b"content");
    assert_eq!(request(&mut client, "DELETE", &location, &[], b"").status, 204);
    assert_eq!(offset(&mut client, &location).0, 404);
    assert_eq!(request(&mut client, "DELETE", &location, &[], b"").status, 404);
    assert_eq!(append(&mut client, &location, 7, true, b"").status, 404);
    assert!(server.file_names().is_empty());
}

#[test]
fn an_append_needs_its_method_media_type_and_offset() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let location = create(&mut client, "/files/file", &[], b"content");
    let fields = ["Upload-Complete: ?1", "Upload-Offset: 7"];
    let response = request(&mut client, "PATCH", &location, &fields, b"");
    assert_eq!((response.status, response.field("Accept-Patch")), (415, Some("application/partial-upload")));
    // Each of the two fields without the other.
    for field in fields {
        let fields = ["Content-Type: application/partial-upload", field];
        assert_eq!(request(&mut client, "PATCH", &location, &fields, b"").status, 400);
    }
    assert_eq!(request(&mut client, "PUT", &location, &[], b"").status, 405);
    assert_eq!(offset(&mut client, &location), incomplete(7));
}

#[test]
fn an_unknown_upload_is_not_found() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let location = create(&mut client, "/files/file", &[], b"content");
    let id = location.strip_prefix("/.spindle/uploads/").unwrap().strip_suffix("/file").unwrap();
    assert_eq!(id.len(), 32);
    for other in [
        location.replace("/file", "/other"),
        location.replace(id, &id[..31]),
        location.replace(id, &"0".repeat(32)),
        format!("/.spindle/uploads/{id}"),
        format!("/.spindle/uploads/{id}/../file"),
        "/.spindle/uploads/".to_owned(),
    ] {
        assert_eq!(offset(&mut client, &other).0, 404, "{other}");
    }
    // Clients cannot request the names of the files on the disk.
    for name in server.file_names() {
        assert_eq!(client.get(&format!("/files/{name}")).status, 404);
    }
}

#[test]
fn options_reports_the_limits_of_resumable_uploads() {
    let server = Start::new().directory().options(["--max-upload", "1000", "--upload-max-age", "60"]).start();
    let mut client = server.connect();
    let response = request(&mut client, "OPTIONS", "/files/file", &[], b"");
    assert_eq!((response.status, response.field("Upload-Limit")), (204, Some("max-size=1000, max-age=60")));
    let too_long = request(&mut client, "POST", "/files/file", &["Upload-Complete: ?0", "Upload-Length: 1001"], b"");
    assert_eq!((too_long.status, too_long.field("Upload-Limit")), (413, Some("max-size=1000, max-age=60")));
    let location = create(&mut client, "/files/file", &[], &[0; 1000]);
    let response = append(&mut client, &location, 1000, false, b"x");
    assert_eq!((response.status, response.field("Upload-Limit")), (413, Some("max-size=1000, max-age=60")));
    assert_eq!(offset(&mut client, &location), incomplete(1000), "nothing was sent, and the upload can be completed");
    // Without an announced length the limit shows only when it is exceeded. The upload is then of no use any more.
    let fields = "Upload-Complete: ?0\r\nUpload-Offset: 1000\r\nContent-Type: application/partial-upload";
    client.send(format!(
        "PATCH {location} HTTP/1.1\r\nHost: a\r\n{fields}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    ));
    assert_eq!(client.response().status, 413);
    assert!(server.file_names().is_empty());
}

#[test]
fn an_upload_expires_after_the_age_that_the_server_announces() {
    let server = Start::new().directory().options(["--upload-max-age", "60"]).start();
    let mut client = server.connect();
    let location = create(&mut client, "/files/file", &[], b"content");
    for (age_s, status) in [(50, 204), (70, 404)] {
        for name in server.file_names() {
            let file = std::fs::File::options().write(true).open(server.directory().join(&name)).expect("a file");
            let then = std::time::SystemTime::now() - std::time::Duration::from_secs(age_s);
            file.set_modified(then).expect("the time is set");
        }
        assert_eq!(offset(&mut client, &location).0, status, "{age_s}");
    }
}

#[test]
fn the_preconditions_of_the_first_request_apply_when_the_file_is_published() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let location = create(&mut client, "/files/file", &["If-None-Match: *"], b"content");
    assert_eq!(client.store("PUT", "/files/file", &[], b"theirs").status, 201);
    let response = append(&mut client, &location, 7, true, b"");
    assert_eq!((response.status, response.field("Upload-Complete")), (412, Some("?1")));
    assert_eq!(server.content_of("file").unwrap(), b"theirs");
    // The response is final, and can be requested again.
    assert_eq!(append(&mut client, &location, 7, true, b"").status, 412);
    let at_once = request(&mut client, "PUT", "/files/file", &["If-None-Match: *", "Upload-Complete: ?1"], b"x");
    assert_eq!(at_once.status, 412);
    only_names(&server, &["file"]);
}

#[test]
fn an_upload_that_does_not_match_its_digest_is_discarded() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let stated = format!("Repr-Digest: {}", digest(b"content"));
    let location = create(&mut client, "/files/good", &[&stated, "Want-Repr-Digest: sha-256=1"], b"cont");
    let good = append(&mut client, &location, 4, true, b"ent");
    assert_eq!((good.status, good.field("Repr-Digest")), (201, Some(digest(b"content").as_str())));
    let location = create(&mut client, "/files/bad", &[&stated], b"cont");
    let bad = append(&mut client, &location, 4, true, b"ext");
    assert_eq!((bad.status, bad.field("Upload-Complete")), (400, Some("?1")));
    assert_eq!(offset(&mut client, &location).0, 404);
    only_names(&server, &["good"]);
}

#[test]
fn a_part_that_does_not_match_its_digest_is_not_appended() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let whole = format!("Repr-Digest: {}", digest(b"content"));
    let location = create(&mut client, "/files/file", &[&whole], b"cont");
    let mut part = |content: &[u8], stated: &[u8]| {
        let fields = [
            "Content-Type: application/partial-upload",
            "Upload-Complete: ?1",
            "Upload-Offset: 4",
            &format!("Content-Digest: {}", digest(stated)),
        ];
        request(&mut client, "PATCH", &location, &fields, content)
    };
    let bad = part(b"ext", b"ent");
    assert_eq!((bad.status, bad.field("Upload-Offset"), bad.field("Upload-Complete")), (400, Some("4"), Some("?0")));
    // The digest of the complete content continues from the state before the refused part.
    assert_eq!(part(b"ent", b"ent").status, 201);
    assert_eq!(server.content_of("file").unwrap(), b"content");
}

#[test]
fn a_part_that_breaks_off_before_its_digest_is_verified_is_not_appended() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let whole = format!("Repr-Digest: {}", digest(&[&b"begin"[..], &[b'A'; 100]].concat()));
    let location = create(&mut client, "/files/file", &[&whole], b"begin");
    let fields = "Content-Type: application/partial-upload\r\nUpload-Complete: ?1\r\nUpload-Offset: 5\r\n";
    let stated = format!("Content-Digest: {}\r\nContent-Length: 100", digest(&[b'A'; 100]));
    let head = format!("PATCH {location} HTTP/1.1\r\nHost: a\r\n{fields}{stated}\r\n\r\n");
    let has_file_of = |bytes: u64| {
        let mut lengths =
            fs::read_dir(server.directory()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
        lengths.any(|length| length == bytes)
    };
    let send_half = || {
        let mut sender = server.connect();
        sender.send(&head);
        sender.send([b'B'; 50]);
        wait_until("the first half", || has_file_of(55));
        sender
    };
    drop(send_half());
    wait_until("the end of the closed connection", || has_file_of(5));
    assert_eq!(offset(&mut client, &location), incomplete(5));
    send_half().reset();
    wait_until("the end of the reset connection", || has_file_of(5));
    let taken_over = send_half();
    assert_eq!(offset(&mut client, &location), incomplete(5));
    drop(taken_over);
    // The digest of the complete content continues from the state before.
    assert_eq!(append(&mut client, &location, 5, true, &[b'A'; 100]).status, 201);
    assert_eq!(server.content_of("file").unwrap().len(), 105);
}

#[test]
fn an_upload_that_is_reset_while_the_rate_pauses_it_keeps_what_was_received() {
    let server = Start::new().directory().options(["--rate", "2K"]).start();
    let mut client = server.connect();
    assert_eq!(client.get("/").status, 200);
    let descriptors = server.descriptors();
    let fields = "Upload-Complete: ?1\r\nContent-Length: 60000";
    let mut sender = server.connect();
    sender.send(format!("POST /files/file HTTP/1.1\r\nHost: a\r\n{INTEROP}\r\n{fields}\r\n\r\n"));
    sender.send([b'A'; 60_000]);
    let interim = sender.head();
    let location = interim.field("Location").expect("a location").to_owned();
    sender.reset();
    wait_until("the end of the connection", || server.descriptors() <= descriptors);
    let (status, received, complete) = offset(&mut client, &location);
    assert_eq!((status, complete.as_deref()), (204, Some("?0")));
    let received: u64 = received.and_then(|bytes| bytes.parse().ok()).expect("an offset");
    assert!((1..10_000).contains(&received), "{received}");
}

#[test]
fn the_number_of_pending_uploads_is_limited() {
    let server = Start::new().directory().options(["--uploads-pending", "1"]).start();
    let mut client = server.connect();
    let location = create(&mut client, "/files/one", &[], b"");
    assert_eq!(request(&mut client, "POST", "/files/two", &["Upload-Complete: ?0"], b"").status, 503);
    // A complete upload needs no upload resource.
    assert_eq!(request(&mut client, "POST", "/files/whole", &["Upload-Complete: ?1"], b"x").status, 201);
    assert_eq!(append(&mut client, &location, 0, true, b"").status, 201);
    create(&mut client, "/files/two", &[], b"");
}

/// Otherwise one client could take all places, and keep them for a day.
#[test]
fn no_address_takes_the_last_places_for_pending_uploads() {
    let server = Start::new().directory().options(["--uploads-pending", "6"]).start();
    let begin = |client: &mut Client, name: usize| {
        request(client, "POST", &format!("/files/{name}"), &["Upload-Complete: ?0"], b"").status
    };
    let mut greedy = server.connect();
    let begun: Vec<u16> = (0..5).map(|name| begin(&mut greedy, name)).collect();
    assert_eq!(begun, [201, 201, 201, 503, 503], "as many as are left");
    let mut other = Client::connect_from([127, 0, 0, 2], server.port());
    assert_eq!((begin(&mut other, 10), begin(&mut other, 11)), (201, 201));
    assert_eq!(begin(&mut other, 12), 503);
    let mut third = Client::connect_from([127, 0, 0, 3], server.port());
    assert_eq!((begin(&mut third, 20), begin(&mut greedy, 5)), (201, 503));
}

#[test]
fn progress_is_reported_while_content_arrives() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let head = format!(
        "PUT /files/file HTTP/1.1\r\nHost: a\r\nUpload-Complete: ?1\r\n{INTEROP}\r\nContent-Length: 1000\r\n\r\n"
    );
    client.send(head);
    assert!(client.head().field("Location").is_some());
    for sent in 1..1000_usize {
        client.send([b'x']);
        if client.is_readable_within(std::time::Duration::from_millis(5)) {
            let interim = client.head();
            assert_eq!((interim.status, interim.field("Location")), (104, None), "only the first 104 has a Location");
            assert_eq!(interim.field("Upload-Draft-Interop-Version"), Some("8"));
            let offset: usize = interim.field("Upload-Offset").expect("an offset").parse().unwrap();
            assert!((1..=sent).contains(&offset));
            return;
        }
    }
    panic!("no progress was reported in five seconds");
}
