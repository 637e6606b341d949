//! Forms that contain files: POST of multipart/form-data to a directory.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Response, Server, noise};
use crate::support::{ask, get, share, share_with};

const BOUNDARY: &str = "----boundary";

/// The parts of a form, each a header and content.
#[derive(Default)]
struct Form(Vec<u8>);

impl Form {
    fn new() -> Form {
        Form::default()
    }

    /// Adds a part with these header lines.
    fn part(mut self, lines: &str, content: impl AsRef<[u8]>) -> Form {
        self.0.extend_from_slice(format!("--{BOUNDARY}\r\n{lines}\r\n\r\n").as_bytes());
        self.0.extend_from_slice(content.as_ref());
        self.0.extend_from_slice(b"\r\n");
        self
    }

    fn file(self, name: &str, content: impl AsRef<[u8]>) -> Form {
        self.part(&format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\""), content)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        self.0
    }
}

/// Posts `form` to `target` with these further field lines.
fn post_with(server: &Server, target: &str, fields: &[&str], form: &[u8]) -> Response {
    let mut head = format!("POST {target} HTTP/1.1\r\nHost: localhost:{}\r\n", server.port());
    head += &format!("Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n", form.len());
    for field in fields {
        head += field;
        head += "\r\n";
    }
    head += "\r\n";
    let mut client = server.connect();
    client.send(head);
    // A server that refuses the form may close the connection.
    let _ = client.try_send(form);
    client.response()
}

fn post(server: &Server, target: &str, form: Form) -> Response {
    post_with(server, target, &[], &form.end())
}

/// A server that lets others add files, with these names in its folder.
fn drop_box(names: &[&str]) -> Server {
    share_with(&["--uploads", "create"], names)
}

#[test]
fn each_file_of_a_form_is_stored_under_its_name() {
    let server = drop_box(&["sub/old"]);
    let long = noise(300_000, 1);
    let form = Form::new()
        .file("a.txt", "one\r\n")
        .part("Content-Disposition: form-data; name=\"comment\"", "a text")
        .file("b c.bin", &long)
        .file("empty", "");
    let response = post(&server, "/sub/", form);
    assert_eq!((response.status, response.field("Content-Type")), (201, Some("text/plain; charset=utf-8")));
    assert_eq!(response.text(), "stored a.txt\nstored b%20c.bin\nstored empty\n");
    assert_eq!(server.content_of("sub/a.txt"), Some(b"one\r\n".to_vec()));
    assert_eq!(server.content_of("sub/b c.bin"), Some(long));
    assert_eq!(server.content_of("sub/empty"), Some(Vec::new()));
    assert_eq!(get(&server, "/sub/a.txt").text(), "one\r\n");
    assert_eq!(post(&server, "/", Form::new().file("top", "x")).status, 201);
    assert_eq!(server.content_of("top"), Some(b"x".to_vec()));
    // As for other uploads, missing directories are created.
    assert_eq!(post(&server, "/new/deep/", Form::new().file("a", "x")).status, 201);
    assert_eq!(server.content_of("new/deep/a"), Some(b"x".to_vec()));
}

#[test]
fn a_form_in_chunks_of_a_byte_is_stored() {
    let server = drop_box(&[]);
    let form = Form::new().file("a", "\r\n-").file("b", "--").end();
    let mut client = server.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: localhost:{}\r\nTransfer-Encoding: chunked\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n",
        server.port()
    ));
    for byte in &form {
        client.send([b"1\r\n", &[*byte][..], b"\r\n"].concat());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().status, 201);
    assert_eq!(server.content_of("a"), Some(b"\r\n-".to_vec()));
    assert_eq!(server.content_of("b"), Some(b"--".to_vec()));
}

#[test]
fn a_refused_file_does_not_keep_the_others_from_being_stored() {
    let server = drop_box(&["taken", "folder/x"]);
    let form = Form::new()
        .file("first", "1")
        .file("taken", "2")
        .file("folder", "3")
        .file(".hidden", "4")
        .file(".spindle-0123456789abcdef", "5")
        .file("..", "6")
        .file("last", "7");
    let response = post(&server, "/", form);
    assert_eq!(response.status, 409);
    assert_eq!(
        response.text(),
        "stored first\n\
         refused taken: There is a file of this name, and it may not be replaced.\n\
         refused folder: Something that is not a file has this name.\n\
         refused .hidden: No file can have this name here.\n\
         refused .spindle-0123456789abcdef: No file can have this name here.\n\
         refused ..: No file can have this name here.\n\
         stored last\n"
    );
    assert_eq!(server.content_of("taken"), Some(b"taken".to_vec()));
    assert_eq!(server.file_names(), ["first", "folder", "last", "taken"]);
}

#[test]
fn files_are_replaced_if_uploads_may_replace_and_hidden_ones_are_stored_if_they_are_served() {
    let server = share_with(&["--uploads", "replace", "--hidden"], &["a", "sub/"]);
    let response = post(&server, "/", Form::new().file("a", "new").file(".b", "x").file("c", "1").file("c", "2"));
    assert_eq!((response.status, response.text()), (201, "replaced a\nstored .b\nstored c\nreplaced c\n"));
    assert_eq!(server.content_of("a"), Some(b"new".to_vec()));
    assert_eq!(server.content_of("c"), Some(b"2".to_vec()));
    let response = post(&server, "/", Form::new().file(".spindle", "x"));
    assert_eq!((response.status, response.text()), (400, "refused .spindle: No file can have this name here.\n"));
    assert_eq!(post(&server, "/sub/", Form::new().file(".spindle", "x")).status, 201);
}

#[test]
fn the_longest_upload_counts_for_each_file() {
    let server = share_with(&["--uploads", "create", "--max-upload", "1K"], &[]);
    let fits = noise(1024, 1);
    let response = post(&server, "/", Form::new().file("a", &fits).file("b", noise(1025, 2)).file("c", &fits));
    assert_eq!(response.status, 413);
    assert_eq!(response.text(), "stored a\nrefused b: The content is longer than the server accepts.\nstored c\n");
    assert_eq!(server.file_names(), ["a", "c"]);
}

#[test]
fn a_name_is_decoded_and_reduced_to_its_last_segment() {
    let server = drop_box(&["sub/"]);
    let form = Form::new()
        .file("../escaped", "1")
        .file("C:\\\\Users\\\\me\\\\back.txt", "2")
        .file("%22quoted%22", "3")
        .file("sub/", "4")
        .part("Content-Disposition: form-data; filename*=UTF-8''extended", "5");
    let response = post(&server, "/sub/", form);
    assert_eq!(response.status, 400);
    assert_eq!(
        response.text(),
        "stored escaped\nstored back.txt\nstored %22quoted%22\nrefused: No file can have this name here.\n\
         refused: The name is stated only in filename*, which a form must not use (RFC 7578 section 4.2).\n"
    );
    let mut names: Vec<_> =
        fs::read_dir(server.directory().join("sub")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["\"quoted\"", "back.txt", "escaped"]);
    assert_eq!(server.file_names(), ["sub"]);
}

#[test]
fn an_empty_file_field_is_ignored_and_a_form_without_files_is_refused() {
    let server = drop_box(&[]);
    let response = post(&server, "/", Form::new().file("", "").file("a", "1").file("", ""));
    assert_eq!((response.status, response.text()), (201, "stored a\n"));
    let comment = "Content-Disposition: form-data; name=\"comment\"";
    for form in [Form::new(), Form::new().file("", ""), Form::new().part(comment, "a text")] {
        let response = post(&server, "/", form);
        assert_eq!((response.status, response.text()), (400, "The form contains no file.\n"));
    }
}

#[test]
fn a_field_that_is_not_a_file_may_have_64_kib_and_no_more() {
    let server = drop_box(&[]);
    let form = |bytes: usize| {
        Form::new()
            .file("a", "1")
            .part("Content-Disposition: form-data; name=\"comment\"", "x".repeat(bytes))
            .file("b", "2")
    };
    let response = post(&server, "/", form(64 * 1024 + 1));
    assert_eq!(response.status, 400);
    assert_eq!(response.text(), "stored a\nA field of the form that is not a file is too long.\n");
    assert_eq!(server.file_names(), ["a"]);
    let response = post(&server, "/", form(64 * 1024));
    assert_eq!(response.status, 409);
    assert!(response.text().ends_with("stored b\n"), "{}", response.text());
}

#[test]
fn a_form_has_at_most_1000_parts_and_their_headers_at_most_8_kib() {
    let server = drop_box(&[]);
    let form = |parts: usize| (0..parts).fold(Form::new(), |form, index| form.file(&format!("{parts}-{index}"), "x"));
    assert_eq!(post(&server, "/", form(1000)).status, 201);
    let response = post(&server, "/", form(1001));
    assert_eq!(response.status, 400);
    assert!(response.text().ends_with("stored 1001-999\nThe form has too many parts.\n"), "{}", response.text());
    assert_eq!(server.file_names().len(), 2000);
    let padded = |bytes: usize| {
        let lines = "Content-Disposition: form-data; filename=padded\r\nA: ";
        Form::new().part(&format!("{lines}{}", "x".repeat(bytes - lines.len() - 4)), "x")
    };
    let response = post(&server, "/", padded(8 * 1024 + 1));
    assert_eq!((response.status, response.text()), (400, "The header of a part of the form is too long.\n"));
    assert_eq!(post(&server, "/", padded(8 * 1024)).status, 201);
}

#[test]
fn a_long_report_is_complete_in_each_format() {
    let server = drop_box(&[]);
    let name = |index: usize| format!("{index} {}", "<\u{e9}".repeat(40));
    let form = (0..1000).fold(Form::new(), |form, index| form.file(&name(index), "x")).end();
    let ask = |format, status| {
        let response = post_with(&server, &format!("/?format={format}"), &[], &form);
        assert_eq!(response.status, status, "{format}");
        response
    };
    let text = ask("text", 201);
    assert!(
        text.text().lines().enumerate().all(|(index, line)| line.starts_with(&format!("stored {index}%20%3C%C3%A9")))
    );
    assert_eq!(text.text().lines().count(), 1000);
    let json: Value = serde_json::from_str(ask("json", 409).text()).unwrap();
    let names: Vec<_> = json["files"].as_array().unwrap().iter().map(|file| file["name"].clone()).collect();
    assert_eq!(names, (0..1000).map(name).collect::<Vec<_>>());
    let html = ask("html", 409);
    assert!(
        html.text().contains("<p class=\"note\" role=\"status\">No file was stored.</p>\n<ul class=\"report\">\n<li")
    );
    assert!(
        html.text()
            .ends_with("</li>\n</ul>\n<p><a href=\"./\">Back to the folder</a></p>\n</main>\n</body>\n</html>\n")
    );
    for (index, line) in html.text().lines().filter(|line| line.starts_with("<li ")).enumerate() {
        assert!(line.starts_with(&format!("<li class=\"refused\">Not stored: <bdi>{index} &lt;\u{e9}")), "{line}");
    }
    assert_eq!(html.text().matches("<li class=\"refused\">").count(), 1000);
}

/// The report names each file that is stored, and takes a bounded amount of memory.
#[test]
fn the_names_in_a_form_have_at_most_128_kib_in_all() {
    let server = drop_box(&[]);
    let long = |index: usize| format!("{index:0>255}");
    let form = |files: usize, last: &str| {
        (0..files).fold(Form::new(), |form, index| form.file(&long(index), "x")).file(last, "x")
    };
    // 514 names of 255 bytes, and one of 2.
    let response = post(&server, "/", form(514, "aa"));
    assert_eq!((response.status, response.text().lines().count()), (201, 515));
    let response = post(&server, "/", form(514, "bbb"));
    assert_eq!(response.status, 400);
    assert!(
        response.text().ends_with("\nThe names of the files in the form are longer than 128 KiB in all.\n"),
        "{}",
        response.text()
    );
    assert_eq!(server.content_of("bbb"), None);
    // Of a name that no file can have, only so much is reported.
    let response = post(&server, "/", Form::new().file(&"y".repeat(300), "x").file("c", "x"));
    assert_eq!(response.text(), format!("refused {}: No file can have this name here.\nstored c\n", "y".repeat(255)));
}

#[test]
fn an_encoded_file_is_refused() {
    let server = drop_box(&[]);
    let encoded = |encoding: &str, name: &str| {
        format!("Content-Disposition: form-data; filename={name}\r\nContent-Transfer-Encoding: {encoding}")
    };
    let response =
        post(&server, "/", Form::new().part(&encoded("base64", "a"), "eA==").part(&encoded("binary", "b"), "x"));
    assert_eq!(response.status, 415);
    assert!(response.text().starts_with("refused a: ") && response.text().ends_with("stored b\n"));
    assert_eq!(server.file_names(), ["b"]);
}

#[test]
fn of_a_malformed_form_the_complete_files_are_stored() {
    let server = drop_box(&[]);
    let whole = Form::new().file("a", "1").file("b", "2").end();
    for (form, report) in [
        (
            &whole[..whole.len() - BOUNDARY.len() - 8],
            "stored a\nrefused b: The form is malformed before the end of this file.\n\
             The form ends before its last boundary.\n",
        ),
        (
            b"------boundary\r\nContent-Disposition: form-data; filename=c\r\n\r\nx\r\n------boundaryx\r\n",
            "refused c: The form is malformed before the end of this file.\n\
             Something follows a boundary of the form on its line.\n",
        ),
        (b"------boundary\r\nx\r\n\r\n", "The header of a part of the form is malformed.\n"),
        (b"", "The form ends before its last boundary.\n"),
    ] {
        let response = post_with(&server, "/", &[], form);
        assert_eq!((response.status, response.text()), (400, report));
    }
    assert_eq!(server.file_names(), ["a"]);
}

#[test]
fn if_the_connection_breaks_the_complete_files_are_stored() {
    let server = drop_box(&[]);
    let form = Form::new().file("a", "1").file("b", "2").end();
    let mut client = server.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: localhost:{}\r\nContent-Length: {}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n",
        server.port(),
        form.len()
    ));
    client.send(&form[..form.len() - BOUNDARY.len() - 7]);
    client.half_close();
    assert_eq!(client.response().status, 400);
    assert_eq!(server.file_names(), ["a"]);
}

#[test]
fn the_response_is_text_json_or_html_as_the_client_prefers() {
    let server = drop_box(&["taken"]);
    let form = |name: &str| Form::new().file(name, "x").file("taken", "x").file("<b>\u{e9}", "x").end();
    let browser = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let response = post_with(&server, "/", &["Accept: application/json"], &form("json"));
    assert_eq!((response.status, response.field("Content-Type")), (409, Some("application/json")));
    let reason = "There is a file of this name, and it may not be replaced.";
    assert_eq!(
        serde_json::from_str::<Value>(response.text()).unwrap(),
        json!({ "error": null, "files": [
            { "name": "json", "href": "json", "status": 201, "reason": null },
            { "name": "taken", "href": "taken", "status": 409, "reason": reason },
            { "name": "<b>\u{e9}", "href": "%3Cb%3E%C3%A9", "status": 201, "reason": null },
        ] })
    );
    let response = post_with(&server, "/", &[browser], &form("html"));
    assert_eq!((response.status, response.field("Content-Type")), (409, Some("text/html; charset=utf-8")));
    assert_eq!(response.field("X-Content-Type-Options"), Some("nosniff"));
    let policy = get(&server, "/").field("Content-Security-Policy").unwrap().to_owned();
    assert!(policy.contains("form-action 'self'"), "{policy}");
    assert_eq!(response.field("Content-Security-Policy"), Some(&*policy));
    let page = response.text();
    for expected in [
        "1 of 3 files was stored.",
        "<li>Stored: <a href=\"html\"><bdi>html</bdi></a></li>",
        "Not stored: <bdi>taken</bdi>. There is a file",
        "Not stored: <bdi>&lt;b&gt;\u{e9}</bdi>.",
        "<a href=\"./\">Back to the folder</a>",
    ] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    let response = post_with(&server, "/?format=text", &[browser], &form("text"));
    assert!(response.text().starts_with("stored text\n"), "{}", response.text());
}

#[test]
fn a_form_from_another_site_is_refused() {
    let server = drop_box(&[]);
    let form = Form::new().file("a", "1").end();
    for field in
        ["Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"]
    {
        assert_eq!(post_with(&server, "/", &[field], &form).status, 403, "{field}");
    }
    assert_eq!(server.file_names(), Vec::<String>::new());
    let origin = format!("Origin: http://localhost:{}", server.port());
    assert_eq!(post_with(&server, "/", &[&origin, "Sec-Fetch-Site: same-origin"], &form).status, 201);
}

#[test]
fn a_directory_offers_post_only_if_uploads_are_on() {
    let server = drop_box(&["sub/a"]);
    let options = ask(&server, "OPTIONS", "/sub/", &[]);
    assert_eq!(options.field("Allow"), Some("GET, HEAD, POST, OPTIONS"));
    assert_eq!(options.field("Accept-Post"), Some("multipart/form-data"));
    assert_eq!(ask(&server, "OPTIONS", "/sub/a", &[]).field("Accept-Post"), None);
    let put = ask(&server, "PUT", "/sub/", &["Content-Length: 0"]);
    assert_eq!((put.status, put.field("Allow")), (405, Some("GET, HEAD, POST, OPTIONS")));
    let read_only = share(&["sub/a"]);
    assert_eq!(ask(&read_only, "OPTIONS", "/sub/", &[]).field("Allow"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(post(&read_only, "/sub/", Form::new().file("b", "1")).status, 405);
    assert!(!get(&read_only, "/").text().contains("<form"));
}

#[test]
fn a_post_to_a_directory_that_is_not_a_form_is_415_and_says_what_is_accepted() {
    let server = drop_box(&["sub/"]);
    for fields in
        [&["Content-Length: 0"][..], &["Content-Length: 0", "Content-Type: application/x-www-form-urlencoded"]]
    {
        let response = ask(&server, "POST", "/sub/", fields);
        assert_eq!((response.status, response.field("Accept-Post")), (415, Some("multipart/form-data")));
        assert!(response.text().contains("curl -F"), "{}", response.text());
    }
    let gzip = post_with(&server, "/", &["Content-Encoding: gzip"], &Form::new().file("a", "1").end());
    assert_eq!((gzip.status, gzip.field("Accept-Encoding")), (415, Some("identity")));
    assert_eq!(server.file_names(), ["sub"]);
}

#[test]
fn a_form_that_cannot_be_stored_as_the_client_demands_is_refused() {
    let server = drop_box(&["a", "sub/"]);
    let form = Form::new().file("b", "1").end();
    let digest = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    for field in
        [format!("Content-Digest: {digest}"), format!("Repr-Digest: {digest}"), "Trailer: Content-Digest".into()]
    {
        let response = post_with(&server, "/", &[&field], &form);
        assert_eq!(response.status, 400, "{field}");
        assert!(response.text().contains("digest of a form"), "{}", response.text());
    }
    assert_eq!(post_with(&server, "/", &["If-None-Match: *"], &form).status, 412);
    for target in ["/a/", "/.hidden/"] {
        assert_eq!(post_with(&server, target, &[], &form).status, 404, "{target}");
    }
    assert_eq!(post_with(&server, "/?format=xml", &[], &form).status, 400);
    let mut head = format!("POST / HTTP/1.1\r\nHost: localhost:{}\r\nContent-Length: 0\r\n", server.port());
    head += "Content-Type: multipart/form-data\r\n\r\n";
    let response = server.connect().exchange(&head);
    assert_eq!((response.status, response.text()), (400, "The Content-Type of the form has no valid boundary.\n"));
    // A form is still no file.
    assert_eq!(post_with(&server, "/b", &[], &form).status, 415);
    assert_eq!(server.file_names(), ["a", "sub"]);
}

/// The files are published one by one, so that the server serves others in between.
#[test]
fn a_connection_stays_open_after_a_form() {
    let server = drop_box(&[]);
    let mut client = server.connect();
    let many = (0..500).fold(Form::new(), |form, index| form.file(&index.to_string(), "x")).end();
    for status in [201, 409] {
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: localhost:{}\r\nContent-Length: {}\r\n\
             Content-Type: multipart/form-data; boundary=\"{BOUNDARY}\"\r\n\r\n",
            server.port(),
            many.len()
        ));
        client.send(&many);
        let response = client.response();
        assert_eq!((response.status, response.text().lines().count()), (status, 500));
    }
}
