//! The fields of resumable uploads: values of the wrong type, contradictions, limits, and what only some clients get.

use crate::harness::{Client, Response, Server, Start, noise};
use crate::resumable::{INTEROP, append, create, incomplete, offset, only_names, request, send};
use crate::support::chunked;

const PARTIAL: &str = "Content-Type: application/partial-upload";

fn problem_type(response: &Response) -> String {
    let problem: serde_json::Value = serde_json::from_slice(&response.content).expect("problem details");
    let problem_type = problem["type"].as_str().expect("a type");
    problem_type.strip_prefix("https://iana.org/assignments/http-problem-types#").expect("a registered type").to_owned()
}

fn patch(client: &mut Client, location: &str, fields: &[&str], content: &[u8]) -> Response {
    request(client, "PATCH", location, &[&[PARTIAL], fields].concat(), content)
}

#[test]
fn a_malformed_offset_counts_as_missing() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let location = create(&mut client, "/files/file", &[], b"content");
    let malformed =
        ["", "-7", "-0.0", "7.0", "7 7", "7, 7", "(7)", "?1", "\"7\"", ":Nw==:", "+7", "0x7", "7a", "1000000000000000"];
    for value in malformed {
        let response = patch(&mut client, &location, &["Upload-Complete: ?1", &format!("Upload-Offset: {value}")], b"");
        assert_eq!(response.status, 400, "{value}: {}", response.head);
    }
    let twice = ["Upload-Complete: ?1", "Upload-Offset: 7", "Upload-Offset: 7"];
    assert_eq!(patch(&mut client, &location, &twice, b"").status, 400, "two lines are a list");
    assert_eq!(offset(&mut client, &location), incomplete(7), "nothing has changed");
    // The largest integer is not malformed.
    let far = patch(&mut client, &location, &["Upload-Complete: ?1", "Upload-Offset: 999999999999999"], b"");
    assert_eq!((far.status, far.field("Upload-Offset")), (409, Some("7")));
    assert_eq!(problem_type(&far), "mismatching-upload-offset");
    // Parameters do not change the value.
    let response = patch(&mut client, &location, &["Upload-Complete: ?1;a", "Upload-Offset: 007;b=c"], b"");
    assert_eq!(response.status, 201);
}

#[test]
fn a_malformed_completeness_counts_as_missing() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let location = create(&mut client, "/files/file", &[], b"content");
    for value in ["", "1", "0", "?2", "true", "?1, ?1", "(?1)", "\"?1\""] {
        let field = format!("Upload-Complete: {value}");
        assert_eq!(patch(&mut client, &location, &[&field, "Upload-Offset: 7"], b"").status, 400, "{value}");
        let plain = request(&mut client, "PUT", "/files/plain", &[&field, INTEROP], b"content");
        assert!(matches!(plain.status, 201 | 204), "{value}: {}", plain.head);
        assert_eq!(plain.field("Upload-Complete"), None, "{value}: a plain upload");
    }
    let twice = ["Upload-Complete: ?1", "Upload-Complete: ?1", "Upload-Offset: 7"];
    assert_eq!(patch(&mut client, &location, &twice, b"").status, 400, "two lines are a list");
    assert_eq!(offset(&mut client, &location), incomplete(7));
}

#[test]
fn a_malformed_length_is_ignored() {
    let server = Server::with_directory();
    let mut client = server.connect();
    for value in ["", "-1", "1.0", "1, 1", "?1", "\"1\"", "1000000000000000"] {
        let field = format!("Upload-Length: {value}");
        let location = create(&mut client, "/files/file", &[&field], b"content");
        let head = request(&mut client, "HEAD", &location, &[], b"");
        assert_eq!((head.status, head.field("Upload-Length")), (204, None), "{value}");
        let fields = [&field, "Upload-Complete: ?0", "Upload-Offset: 7"];
        assert_eq!(patch(&mut client, &location, &fields, b"x").status, 204, "{value}");
    }
}

#[test]
fn a_length_that_is_less_than_what_was_received_is_refused() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let location = create(&mut client, "/files/file", &[], b"content");
    for length in [0, 6] {
        let length = format!("Upload-Length: {length}");
        let response = patch(&mut client, &location, &[&length, "Upload-Complete: ?0", "Upload-Offset: 7"], b"");
        assert_eq!((response.status, problem_type(&response)), (400, "inconsistent-upload-length".to_owned()));
    }
    let head = request(&mut client, "HEAD", &location, &[], b"");
    assert_eq!((head.field("Upload-Offset"), head.field("Upload-Length")), (Some("7"), None));
    // At the creation: of the content that the head announces, and of content that arrives in chunks.
    let fields = ["Upload-Complete: ?0", "Upload-Length: 6"];
    let announced = request(&mut client, "POST", "/files/other", &fields, b"content");
    assert_eq!((announced.status, problem_type(&announced)), (400, "inconsistent-upload-length".to_owned()));
    let head = format!(
        "POST /files/other HTTP/1.1\r\nHost: a\r\n{}\r\nTransfer-Encoding: chunked\r\n\r\n",
        fields.join("\r\n")
    );
    client.send(head);
    client.send(chunked(b"content", 3));
    let exceeded = client.response();
    assert_eq!((exceeded.status, problem_type(&exceeded)), (400, "inconsistent-upload-length".to_owned()));
}

#[test]
fn the_lengths_of_all_requests_must_be_equal() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let location = create(&mut client, "/files/file", &["Upload-Length: 10"], b"content");
    for fields in [
        &["Upload-Length: 9", "Upload-Complete: ?0", "Upload-Offset: 7"],
        &["Upload-Length: 11", "Upload-Complete: ?0", "Upload-Offset: 7"],
        // The offset and Content-Length are the length of a request that completes the upload.
        &["Upload-Length: 10", "Upload-Complete: ?1", "Upload-Offset: 7"],
    ] {
        let response = patch(&mut client, &location, fields, b"");
        assert_eq!((response.status, problem_type(&response)), (400, "inconsistent-upload-length".to_owned()));
        assert_eq!(response.field("Upload-Complete"), Some("?0"));
    }
    let fields = ["Upload-Length: 10", "Upload-Complete: ?1", "Upload-Offset: 7"];
    assert_eq!(patch(&mut client, &location, &fields, b"end").status, 201);
}

#[test]
fn a_length_is_known_from_the_first_request_that_states_it() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let location = create(&mut client, "/files/file", &[], b"content");
    let length =
        |client: &mut Client| request(client, "HEAD", &location, &[], b"").field("Upload-Length").map(str::to_owned);
    assert_eq!(length(&mut client), None);
    let fields = ["Upload-Length: 20", "Upload-Complete: ?0", "Upload-Offset: 7"];
    assert_eq!(patch(&mut client, &location, &fields, b"").status, 204);
    assert_eq!(length(&mut client).as_deref(), Some("20"));
    // A request that completes the upload and breaks off has stated it too.
    let location = create(&mut client, "/files/other", &[], b"content");
    let mut broken = server.connect();
    send(
        &mut broken,
        "PATCH",
        &location,
        &[PARTIAL, "Upload-Complete: ?1", "Upload-Offset: 7", "Expect: 100-continue"],
        b"",
    );
    assert_eq!(broken.response().status, 201, "no content is left");
    let location = create(&mut client, "/files/third", &[], b"content");
    broken.send(format!(
        "PATCH {location} HTTP/1.1\r\nHost: a\r\n{PARTIAL}\r\nUpload-Complete: ?1\r\nUpload-Offset: 7\r\n\
         Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    ));
    assert_eq!(broken.head().status, 100);
    broken.send("12");
    broken.half_close();
    assert_eq!(broken.response().status, 400, "the content is incomplete");
    let head = request(&mut client, "HEAD", &location, &[], b"");
    assert_eq!((head.field("Upload-Offset"), head.field("Upload-Length")), (Some("9"), Some("12")));
    assert_eq!(head.field("Upload-Complete"), Some("?0"), "an interrupted request completes nothing");
}

#[test]
fn an_append_has_the_media_type_of_a_partial_upload_and_no_content_coding() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let location = create(&mut client, "/files/file", &[], b"content");
    let fields = ["Upload-Complete: ?0", "Upload-Offset: 7"];
    for media_type in
        ["application/octet-stream", "application/merge-patch+json", "application/*", "partial-upload", ""]
    {
        let media_type = format!("Content-Type: {media_type}");
        let response = request(&mut client, "PATCH", &location, &[&[&*media_type], &fields[..]].concat(), b"more");
        assert_eq!((response.status, response.field("Accept-Patch")), (415, Some("application/partial-upload")));
    }
    let coded = patch(&mut client, &location, &[&["Content-Encoding: gzip"], &fields[..]].concat(), b"more");
    assert_eq!((coded.status, coded.field("Accept-Encoding")), (415, Some("identity")));
    assert_eq!(offset(&mut client, &location), incomplete(7), "nothing was appended");
    let media_type = "Content-Type: Application/Partial-Upload; a=b";
    let response = request(&mut client, "PATCH", &location, &[&[media_type], &fields[..]].concat(), b"more");
    assert_eq!((response.status, response.field("Upload-Offset")), (204, Some("11")));
}

#[test]
fn offsets_count_the_content_and_not_its_chunks() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let content = noise(50_000, 1);
    let send = |client: &mut Client, method: &str, target: &str, fields: &str, content: &[u8]| {
        client.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\nTransfer-Encoding: chunked\r\n\r\n"));
        client.send(chunked(content, 7));
        client.response()
    };
    let created = send(&mut client, "POST", "/files/file", "Upload-Complete: ?0", &content[..10_000]);
    assert_eq!((created.status, created.field("Upload-Offset")), (201, Some("10000")));
    let location = created.field("Location").unwrap().to_owned();
    let fields = format!("{PARTIAL}\r\nUpload-Complete: ?1\r\nUpload-Offset: 10000");
    assert_eq!(send(&mut client, "PATCH", &location, &fields, &content[10_000..]).status, 201);
    assert!(server.content_of("file").unwrap() == content);
}

#[test]
fn head_and_get_describe_an_upload_and_nothing_caches_that() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let location = create(&mut client, "/files/file", &["Upload-Length: 10"], b"content");
    for complete in ["?0", "?1"] {
        for method in ["HEAD", "GET"] {
            let response = request(&mut client, method, &location, &[], b"");
            assert_eq!((response.status, response.content.len()), (204, 0), "{method}");
            assert_eq!(response.field("Cache-Control"), Some("no-store"), "{method}");
            let expected = if complete == "?0" { "7" } else { "10" };
            assert_eq!(response.field("Upload-Offset"), Some(expected), "{method}");
            assert_eq!(response.field("Upload-Length"), Some("10"), "{method}");
            assert_eq!(response.field("Upload-Complete"), Some(complete), "{method}");
            let limit = response.field("Upload-Limit").expect("limits");
            let age_s: u64 = limit.strip_prefix("max-age=").expect("an age").parse().unwrap();
            assert!((86_300..=86_400).contains(&age_s), "{method}: {limit}");
        }
        if complete == "?0" {
            assert_eq!(append(&mut client, &location, 7, true, b"end").status, 201);
        }
    }
    let options = request(&mut client, "OPTIONS", &location, &[], b"");
    assert_eq!((options.status, options.field("Allow")), (204, Some("GET, HEAD, PATCH, DELETE, OPTIONS")));
}

#[test]
fn the_announced_age_is_what_is_left_of_it() {
    let server = Start::new().directory().options(["--upload-max-age", "100"]).start();
    let mut client = server.connect();
    let location = create(&mut client, "/files/file", &[], b"content");
    for name in server.file_names() {
        let file = std::fs::File::options().write(true).open(server.directory().join(&name)).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(60)).unwrap();
    }
    let age_s = |client: &mut Client| -> u64 {
        let head = request(client, "HEAD", &location, &[], b"");
        head.field("Upload-Limit").expect("limits").strip_prefix("max-age=").expect("an age").parse().unwrap()
    };
    for _ in 0..2 {
        let left = age_s(&mut client);
        assert!((30..=40).contains(&left), "a HEAD does not extend it: {left}");
    }
    let empty = append(&mut client, &location, 7, false, b"");
    let left: u64 = empty.field("Upload-Limit").unwrap().strip_prefix("max-age=").unwrap().parse().unwrap();
    assert!((30..=40).contains(&left), "nor does a request without content: {left}");
    let more = append(&mut client, &location, 7, false, b"more");
    assert_eq!(more.field("Upload-Limit"), Some("max-age=100"), "more content does");
    assert!(age_s(&mut client) > 90);
}

#[test]
fn options_says_that_resumable_uploads_are_supported() {
    let server = Server::with_directory();
    let mut client = server.connect();
    for target in ["/files/file", "/files/missing/file", "*"] {
        let response = request(&mut client, "OPTIONS", target, &[], b"");
        assert_eq!(
            (response.status, response.field("Accept-Patch")),
            (204, Some("application/partial-upload")),
            "{target}"
        );
    }
    for target in ["/echo/a", "/"] {
        assert_eq!(request(&mut client, "OPTIONS", target, &[], b"").field("Accept-Patch"), None, "{target}");
    }
    let read_only = Start::new().directory().options(["--uploads", "off"]).start();
    for target in ["/files/file", "*"] {
        assert_eq!(read_only.ask("OPTIONS", target, &[]).field("Accept-Patch"), None, "{target}");
    }
}

#[test]
fn a_limit_of_the_length_is_enforced_in_each_request() {
    let server = Start::new().directory().options(["--max-upload", "1000"]).start();
    let mut client = server.connect();
    let location = create(&mut client, "/files/file", &[], b"content");
    for (fields, content) in [
        (&["Upload-Length: 1001", "Upload-Complete: ?0", "Upload-Offset: 7"][..], &[0_u8; 1][..]),
        (&["Upload-Complete: ?0", "Upload-Offset: 7"], &[0; 994]),
        (&["Upload-Complete: ?1", "Upload-Offset: 7"], &[0; 994]),
    ] {
        let response = patch(&mut client, &location, fields, content);
        assert_eq!((response.status, response.field("Upload-Limit")), (413, Some("max-size=1000, max-age=86400")));
        assert_eq!(offset(&mut client, &location), incomplete(7), "the upload can still be completed");
    }
    let fields = ["Upload-Length: 1000", "Upload-Complete: ?1", "Upload-Offset: 7"];
    assert_eq!(patch(&mut client, &location, &fields, &[0; 993]).status, 201);
}

#[test]
fn only_clients_of_the_same_version_of_the_draft_get_interim_responses() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let version = "Upload-Draft-Interop-Version";
    for (number, lines) in
        [&[][..], &["7"], &["9"], &["\"8\""], &["8.0"], &["8, 8"], &["8", "8"], &["?1"]].iter().enumerate()
    {
        let lines: Vec<String> = lines.iter().map(|value| format!("{version}: {value}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let fields = [&["Upload-Complete: ?1"], &lines[..]].concat();
        let response = request(&mut client, "PUT", &format!("/files/{number}"), &fields, b"content");
        assert_eq!(response.status, 201, "{lines:?}: the final response comes first");
    }
    send(&mut client, "PUT", "/files/file", &["Upload-Complete: ?1", INTEROP], b"content");
    let interim = client.head();
    assert_eq!((interim.status, interim.field(version)), (104, Some("8")));
    let response = client.response();
    assert_eq!((response.status, response.field(version)), (201, None));
}

#[test]
fn interim_and_final_responses_have_the_same_location_and_each_upload_its_own() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let mut locations = std::collections::BTreeSet::new();
    for _ in 0..20 {
        send(&mut client, "POST", "/files/file", &["Upload-Complete: ?0", INTEROP], b"content");
        let interim = client.head();
        let response = client.response();
        assert_eq!((interim.status, response.status), (104, 201));
        for name in ["Location", "Upload-Limit"] {
            assert!(interim.field(name).is_some(), "{name}");
            assert_eq!(interim.field(name), response.field(name), "{name}");
        }
        assert!(locations.insert(response.field("Location").unwrap().to_owned()));
    }
}

#[test]
fn progress_of_an_append_is_reported_without_a_location() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let location = create(&mut client, "/files/file", &[], b"content");
    client.send(format!(
        "PATCH {location} HTTP/1.1\r\nHost: a\r\n{PARTIAL}\r\nUpload-Complete: ?1\r\nUpload-Offset: 7\r\n{INTEROP}\r\n\
         Content-Length: 1000\r\n\r\n"
    ));
    for sent in 1..1000_usize {
        client.send(b"x");
        if client.is_readable_within(std::time::Duration::from_millis(5)) {
            let interim = client.head();
            assert_eq!((interim.status, interim.field("Location")), (104, None));
            let offset: usize = interim.field("Upload-Offset").expect("an offset").parse().unwrap();
            assert!((8..=7 + sent).contains(&offset), "{offset}");
            return;
        }
    }
    panic!("no progress was reported in five seconds");
}

#[test]
fn a_client_that_waits_gets_100_continue_besides_104() {
    let server = Server::with_directory();
    let mut client = server.connect();
    let expect = "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    client.send(format!("POST /files/file HTTP/1.1\r\nHost: a\r\nUpload-Complete: ?0\r\n{INTEROP}\r\n{expect}"));
    let mut statuses = [client.head().status, client.head().status];
    statuses.sort_unstable();
    assert_eq!(statuses, [100, 104]);
    client.send("cont");
    let created = client.response();
    assert_eq!(created.status, 201);
    let location = created.field("Location").unwrap().to_owned();

    let patch = |offset: usize| {
        format!(
            "PATCH {location} HTTP/1.1\r\nHost: a\r\n{PARTIAL}\r\nUpload-Complete: ?1\r\nUpload-Offset: {offset}\r\n\
             {INTEROP}\r\n{expect}"
        )
    };
    let mut refused = server.connect();
    refused.send(patch(3));
    assert_eq!(refused.response().status, 409, "instead of 100");
    client.send(patch(4));
    assert_eq!(client.head().status, 100);
    client.send("ents");
    assert_eq!(client.response().status, 201);
    assert_eq!(server.content_of("file").unwrap(), b"contents");
}

#[test]
fn a_completed_upload_takes_no_content_and_repeats_its_final_response() {
    let server = Server::with_directory();
    let mut client = server.connect();
    for (method, status) in [("PUT", 201), ("PUT", 204), ("POST", 201)] {
        let created = request(&mut client, method, "/files/file", &["Upload-Complete: ?0"], b"content");
        let location = created.field("Location").unwrap().to_owned();
        let last = append(&mut client, &location, 7, true, b"");
        assert_eq!((last.status, last.field("Upload-Complete")), (status, Some("?1")), "{method}");
        for complete in [true, false] {
            let refused = append(&mut client, &location, 7, complete, b"more");
            assert_eq!((refused.status, refused.field("Upload-Complete")), (400, Some("?0")));
            assert_eq!(problem_type(&refused), "inconsistent-upload-length");
        }
        let refused = append(&mut client, &location, 7, false, b"");
        assert_eq!((refused.status, problem_type(&refused)), (400, "completed-upload".to_owned()));
        let wrong = append(&mut client, &location, 6, true, b"");
        assert_eq!((wrong.status, wrong.field("Upload-Offset")), (409, Some("7")));

        let repeated = append(&mut client, &location, 7, true, b"");
        assert_eq!(repeated.status, status, "{method}");
        for name in ["Upload-Complete", "ETag", "Last-Modified", "Location"] {
            assert_eq!(repeated.field(name), last.field(name), "{method} {name}");
        }
        assert_eq!(server.content_of("file").unwrap(), b"content");
        assert_eq!(request(&mut client, "DELETE", &location, &[], b"").status, 204);
        only_names(&server, &["file"]);
    }
}
