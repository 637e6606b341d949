//! Preconditions (RFC 9110 §13) of reads and writes, and the order of their evaluation.

use crate::harness::{Client, Server, Start};
use crate::support::{NOV_1994, head, set_modified};

/// A second in the three formats of a date, the second before, and the second after.
const SAME: [&str; 3] = ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"];
const EARLIER: [&str; 3] =
    ["Sun, 06 Nov 1994 08:49:36 GMT", "Sunday, 06-Nov-94 08:49:36 GMT", "Sun Nov  6 08:49:36 1994"];
const LATER: [&str; 3] =
    ["Sun, 06 Nov 1994 08:49:38 GMT", "Sunday, 06-Nov-94 08:49:38 GMT", "Sun Nov  6 08:49:38 1994"];

/// Fields of a request. `TAG` is replaced by the file's tag.
type Fields = &'static [&'static str];

const TAGS_OF_READING: [(Fields, u16); 28] = [
    (&[], 200),
    (&["If-Match: TAG"], 200),
    (&["If-Match: *"], 200),
    (&["If-Match: \"other\""], 412),
    (&["If-Match: W/TAG"], 412),
    (&["If-Match: \"a,b\" , W/\"c\",, TAG"], 200),
    (&["If-Match: \"other\"", "If-Match: TAG"], 200),
    (&["If-Match: \"other\", \"another\""], 412),
    (&["If-Match:"], 412),
    (&["If-None-Match: TAG"], 304),
    (&["If-None-Match: W/TAG"], 304),
    (&["If-None-Match: *"], 304),
    (&["If-None-Match: \"other\""], 200),
    (&["If-None-Match: \"a,b\", W/\"c\",, W/TAG"], 304),
    (&["If-None-Match: \"other\"", "If-None-Match: TAG"], 304),
    (&["If-None-Match: no tag"], 200),
    // The order of §13.2.2. If there is a tag, the date of the same step is ignored.
    (&["If-Match: TAG", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT"], 200),
    (&["If-Match: \"other\"", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:38 GMT"], 412),
    (&["If-None-Match: TAG", "If-Match: \"other\""], 412),
    (&["If-None-Match: TAG", "If-Match: TAG"], 304),
    (&["If-None-Match: TAG", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT"], 412),
    (&["If-None-Match: \"other\"", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"], 200),
    (&["If-None-Match: TAG", "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT"], 304),
    (&["If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"], 304),
    // Ranges are evaluated last.
    (&["Range: bytes=0-0", "If-None-Match: TAG"], 304),
    (&["Range: bytes=0-0", "If-Match: \"other\""], 412),
    (&["Range: bytes=99-", "If-None-Match: TAG"], 304),
    (&["Range: bytes=0-0", "If-None-Match: \"other\"", "If-Range: \"other\""], 200),
];

/// A server with a file that was modified in 1994, whose tag is strong.
fn server_with_an_old_file() -> (Server, String) {
    let server = Server::with_directory();
    server.write_file("old", b"bytes");
    set_modified(&server.directory().join("old"), NOV_1994);
    let tag = server.strong_tag("old");
    (server, tag)
}

fn with_tag(fields: &[&str], tag: &str) -> Vec<String> {
    fields.iter().map(|field| field.replace("TAG", tag)).collect()
}

fn check_reading(client: &mut Client, fields: &[&str], expected: u16) {
    for method in ["GET", "HEAD"] {
        let response = client.ask(method, "/files/old", fields);
        // Range counts only for GET.
        assert_eq!(response.status, expected, "{method} {fields:?}: {}", response.head);
        assert_eq!(response.content.is_empty(), method == "HEAD" || expected == 304, "{method} {fields:?}");
    }
}

#[test]
fn reads_evaluate_tags_in_the_order_of_the_rfc() {
    let (server, tag) = server_with_an_old_file();
    let mut client = server.connect();
    for (fields, expected) in TAGS_OF_READING {
        let fields = with_tag(fields, &tag);
        check_reading(&mut client, &fields.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn reads_evaluate_dates_in_all_three_formats() {
    let (server, _) = server_with_an_old_file();
    let mut client = server.connect();
    for form in 0..3 {
        for (date, since, unmodified_since) in
            [(EARLIER[form], 200, 412), (SAME[form], 304, 200), (LATER[form], 304, 200)]
        {
            check_reading(&mut client, &[&format!("If-Modified-Since: {date}")], since);
            check_reading(&mut client, &[&format!("If-Unmodified-Since: {date}")], unmodified_since);
        }
    }
    for no_date in ["", "0", "Sun, 06 Nov 1994 08:49:36", "Sun, 31 Feb 1994 08:49:36 GMT", "784111776"] {
        check_reading(&mut client, &[&format!("If-Modified-Since: {no_date}")], 200);
        check_reading(&mut client, &[&format!("If-Unmodified-Since: {no_date}")], 200);
    }
    // Two date fields are ignored.
    check_reading(&mut client, &[&format!("If-Modified-Since: {}", LATER[0]); 2].map(|field| &**field), 200);
}

#[test]
fn a_304_has_the_fields_of_the_200_and_nothing_of_its_content() {
    let (server, tag) = server_with_an_old_file();
    let mut client = server.connect();
    let whole = client.ask("GET", "/files/old", &[]);
    let not_modified = client.ask("GET", "/files/old", &[&format!("If-None-Match: {tag}")]);
    assert_eq!(not_modified.status, 304);
    for name in ["ETag", "Last-Modified"] {
        assert!(whole.field(name).is_some());
        assert_eq!(not_modified.field(name), whole.field(name));
    }
    assert!(not_modified.field("Date").is_some());
    assert_eq!(whole.field("Last-Modified"), Some(SAME[0]));
    for name in ["Content-Length", "Content-Type", "Content-Range", "Transfer-Encoding"] {
        assert_eq!(not_modified.field(name), None, "{name}");
    }
    assert!(client.is_kept(), "no content follows a 304");
}

#[test]
fn preconditions_count_only_if_the_response_would_have_been_a_success() {
    let server = Server::with_directory();
    std::fs::create_dir(server.directory().join("directory")).unwrap();
    server.write_file("file", b"bytes");
    for (method, target, field, expected) in [
        ("GET", "/files/absent", "If-Match: *", 404),
        ("GET", "/files/directory", "If-Match: \"a\"", 404),
        ("GET", "/files/../file", "If-None-Match: *", 404),
        ("PUT", "/files/absent/file", "If-Match: *", 404),
        ("PUT", "/files/directory", "If-Match: *", 409),
        ("PUT", "/files/directory", "If-None-Match: *", 409),
        ("POST", "/files/..", "If-Match: *", 400),
        ("DELETE", "/files/file", "If-Match: \"a\"", 405),
    ] {
        let response = server.store(method, target, &[field], b"");
        assert_eq!(response.status, expected, "{method} {target} {field}");
    }
    let response = server.store("PUT", "/files/file", &["If-Match: \"a\"", "Content-Encoding: gzip"], b"new");
    assert_eq!(response.status, 415);
    let length = "Content-Length: 999999999999999999";
    assert_eq!(server.ask("PUT", "/files/file", &["If-Match: \"a\"", length]).status, 507);
}

#[test]
fn create_only_is_a_conflict_whatever_the_preconditions() {
    let server = Start::new().directory().options(["--uploads", "create"]).start();
    server.write_file("file", b"bytes");
    for field in ["If-Match: *", "If-Match: \"a\"", "If-None-Match: *", "Accept: */*"] {
        assert_eq!(server.store("PUT", "/files/file", &[field], b"new").status, 409, "{field}");
    }
    assert_eq!(server.content_of("file").unwrap(), b"bytes");
}

/// Fields of a PUT, and its status with and without an existing file.
const WRITING: [(Fields, u16, u16); 21] = [
    (&[], 204, 201),
    (&["If-None-Match: *"], 412, 201),
    (&["If-None-Match: TAG"], 412, 201),
    (&["If-None-Match: W/TAG"], 412, 201),
    (&["If-None-Match: \"other\", TAG"], 412, 201),
    (&["If-None-Match: \"other\""], 204, 201),
    (&["If-Match: *"], 204, 412),
    (&["If-Match: TAG"], 204, 412),
    (&["If-Match: \"other\", TAG"], 204, 412),
    (&["If-Match: W/TAG"], 412, 412),
    (&["If-Match: \"other\""], 412, 412),
    (&["If-Match: no tag"], 412, 412),
    (&["If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT"], 412, 201),
    (&["If-Unmodified-Since: Sunday, 06-Nov-94 08:49:37 GMT"], 412, 201),
    (&["If-Unmodified-Since: Sun Nov  6 08:49:37 1994"], 412, 201),
    (&["If-Unmodified-Since: Fri, 31 Dec 9999 23:59:59 GMT"], 204, 201),
    (&["If-Unmodified-Since: no date"], 204, 201),
    (&["If-Match: TAG", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT"], 204, 412),
    (&["If-Match: TAG", "If-None-Match: *"], 412, 412),
    // These count only for reads.
    (&["If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT"], 204, 201),
    (&["If-Range: \"other\"", "Range: bytes=0-0"], 204, 201),
];

#[test]
fn writes_evaluate_preconditions_with_and_without_an_existing_file() {
    let server = Server::with_directory();
    let mut client = server.connect();
    for (fields, replaced, created) in WRITING {
        for method in ["PUT", "POST"] {
            let tag = server.put("existing", b"before");
            let fields = with_tag(fields, &tag);
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            for (name, expected, before) in [("existing", replaced, Some(&b"before"[..])), ("absent", created, None)] {
                let response = client.store(method, &format!("/files/{name}"), &fields, b"after");
                let expected = if method == "POST" && expected == 204 { 201 } else { expected };
                assert_eq!(response.status, expected, "{method} {name} {fields:?}");
                let content = if expected == 412 { before } else { Some(&b"after"[..]) };
                assert_eq!(server.content_of(name).as_deref(), content, "{method} {name} {fields:?}");
            }
            let _ = std::fs::remove_file(server.directory().join("absent"));
        }
    }
    assert!(client.is_kept());
}

#[test]
fn a_malformed_if_none_match_never_replaces_a_file() {
    let server = Server::with_directory();
    server.put("existing", b"before");
    for fields in [
        &["If-None-Match: *", "If-None-Match: *"][..],
        &["If-None-Match: *, \"a\""],
        &["If-None-Match: \"a\", *"],
        &["If-None-Match: unquoted"],
        &["If-None-Match: \"a\", unquoted"],
        &["If-None-Match: \"unterminated"],
    ] {
        let response = server.store("PUT", "/files/existing", fields, b"after");
        assert_eq!(response.status, 412, "{fields:?}");
        assert_eq!(server.content_of("existing").unwrap(), b"before");
    }
}

#[test]
fn preconditions_of_an_upload_are_evaluated_before_its_content_is_sent() {
    let server = Server::with_directory();
    server.put("existing", b"before");
    for field in ["If-Match: \"other\"", "If-None-Match: *", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT"] {
        let mut client = server.connect();
        client.send(head("PUT", "/files/existing", &[field, "Content-Length: 5", "Expect: 100-continue"]));
        assert_eq!(client.response().status, 412, "{field}: without a 100 before it");
        assert_eq!(client.rest(), b"");
    }
}

#[test]
fn preconditions_of_an_upload_are_evaluated_again_when_it_is_published() {
    let server = Server::with_directory();
    let tag = server.put("existing", b"before");
    let unmodified = format!("If-Match: {tag}");
    for (name, field, before) in [("existing", &*unmodified, 204), ("absent", "If-None-Match: *", 201)] {
        let target = format!("/files/{name}");
        let mut slow = server.connect();
        slow.send(head("PUT", &target, &[field, "Content-Length: 4", "Expect: 100-continue"]));
        assert_eq!(slow.head().status, 100);
        slow.send("sl");
        assert_eq!(server.store("PUT", &target, &[field], b"fast").status, before);
        slow.send("ow");
        assert_eq!(slow.response().status, 412, "{name}");
        assert_eq!(server.content_of(name).unwrap(), b"fast");
        assert!(slow.is_kept(), "the content has been read");
    }
    assert_eq!(server.file_names(), ["absent", "existing"]);
}
