//! Hostile values in everything that the server repeats: names in fields, pages, listings, archives and messages.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "socketless/mod.rs"]
mod socketless;

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode, percent_encode};
use spindle::storage::{Directory, Native, RelativePath};

use socketless::{Client, shared_folder};

/// The content of each file.
const CONTENT: &str = "content";

/// Names that mean something to a protocol, a language, a program or a terminal, and one of 255 bytes of each byte.
fn hostile_names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        "a\r\nSet-Cookie: b=c",
        "a\r\n\r\n<script>alert(1)<",
        "a\nb",
        "a\r",
        "<script>alert(1)<",
        "<img src=x onerror=alert(1)>",
        "\"><b>",
        "' onclick='alert(1)",
        "a&lt;b&amp;",
        "-->",
        "]]>",
        "javascript:alert(1)",
        "http:",
        "\\\\host\\share",
        "a\\..\\..\\etc",
        "%2e%2e%2f",
        "%",
        "%00",
        "%0d%0a",
        "?download",
        "#fragment",
        ";type=a",
        "-rf",
        "--help",
        "~",
        "$(reboot)",
        "`reboot`",
        "a\u{1b}[2J\u{1b}]0;title\u{7}",
        "a\u{9b}2J",
        "photo\u{202e}gpj.exe",
        "\u{2066}isolate\u{2069}",
        "line\u{2028}separator\u{2029}",
        "next\u{85}line",
        "e\u{301}",
        "\u{feff}mark",
        "emoji\u{1f642}",
        " ",
        "  a  ",
        "\t",
        "\"\\\"",
        "\\",
        "{\"a\":1}",
        "',",
        "index.html",
        "CON",
    ]
    .into_iter()
    .map(|name| name.as_bytes().to_vec())
    .collect();
    names.push(b"not UTF-8 \xff\xfe\xc0\xaf".to_vec());
    names.push(b"\xe2\x82".to_vec());
    for byte in (1..=255).filter(|byte| *byte != b'/' && *byte != b'.') {
        names.push(vec![byte; 255]);
    }
    names
}

fn client(root: &Path) -> Client<Native> {
    Client::new(shared_folder(Directory::open_in(Native, root, 1).unwrap(), 8))
}

fn encoded(name: &[u8]) -> String {
    percent_encode(name, NON_ALPHANUMERIC).to_string()
}

/// A response whose head is strictly well-formed.
struct Response {
    status: u16,
    fields: Vec<(String, String)>,
    content: Vec<u8>,
}

impl Response {
    fn parse(bytes: &[u8]) -> Response {
        let end = memchr::memmem::find(bytes, b"\r\n\r\n").expect("a head");
        let head = str::from_utf8(&bytes[..end]).expect("a head of ASCII");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a field line");
            assert!(name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-'), "{line:?}");
            assert!(!value.is_empty() && value.trim() == value, "{line:?}");
            assert!(value.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?}");
            (name.to_owned(), value.to_owned())
        };
        let fields: Vec<_> = lines.map(field).collect();
        let expected = [
            "Accept-Ranges",
            "Accept-Patch",
            "Allow",
            "Cache-Control",
            "Connection",
            "Content-Disposition",
            "Content-Length",
            "Content-Range",
            "Content-Security-Policy",
            "Content-Type",
            "Cross-Origin-Resource-Policy",
            "Date",
            "ETag",
            "Last-Modified",
            "Location",
            "Referrer-Policy",
            "Transfer-Encoding",
            "Upload-Complete",
            "Upload-Limit",
            "Upload-Offset",
            "Vary",
            "X-Content-Type-Options",
        ];
        for (name, _) in &fields {
            assert!(expected.contains(&name.as_str()), "no value adds a field: {name}");
        }
        let mut response = Response { status: status.expect("a status"), fields, content: bytes[end + 4..].to_vec() };
        if response.field("Transfer-Encoding").is_some() {
            response.content = dechunked(&response.content);
        }
        response
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is sent once");
        value
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.content).expect("content of UTF-8")
    }
}

fn dechunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    while !bytes.is_empty() {
        let end = memchr::memmem::find(bytes, b"\r\n").expect("a chunk size");
        let size = usize::from_str_radix(str::from_utf8(&bytes[..end]).unwrap(), 16).expect("a chunk size");
        content.extend_from_slice(&bytes[end + 2..][..size]);
        bytes = &bytes[end + 2 + size + 2..];
    }
    content
}

fn ask(client: &mut Client<Native>, method: &str, target: &str, fields: &str) -> Response {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    Response::parse(&client.exchange(request.as_bytes()).expect("a complete response"))
}

fn create(root: &Path, name: &[u8], is_directory: bool) {
    let path = root.join(OsStr::from_bytes(name));
    if is_directory { fs::create_dir(path).unwrap() } else { fs::write(path, CONTENT).unwrap() }
}

/// The name in a Content-Disposition, as a client reads it that knows RFC 8187.
fn disposition_name(value: &str) -> String {
    let rest = value.strip_prefix("attachment; filename=\"").expect("an attachment");
    let (plain, rest) = rest.split_once('"').expect("a closing quotation mark");
    assert!(!plain.contains(['\\', '%', '/']), "{value}");
    match rest.strip_prefix("; filename*=UTF-8''") {
        None => {
            assert_eq!(rest, "");
            plain.to_owned()
        }
        Some(extended) => {
            let is_attr_char = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
            assert!(extended.bytes().all(is_attr_char), "{value}");
            percent_decode(extended.as_bytes()).decode_utf8().expect("UTF-8").into_owned()
        }
    }
}

#[test]
fn a_name_in_a_field_is_data() {
    for name in hostile_names() {
        let root = tempfile::tempdir().unwrap();
        create(root.path(), &name, false);
        let mut client = client(root.path());
        let target = encoded(&name);
        let shown = name.escape_ascii();

        let download = ask(&mut client, "GET", &format!("/{target}?download"), "");
        assert_eq!((download.status, download.text()), (200, CONTENT), "{shown}");
        let saved_as = disposition_name(download.field("Content-Disposition").unwrap());
        assert_eq!(saved_as, String::from_utf8_lossy(&name), "{shown}");

        let moved = ask(&mut client, "MOVE", &format!("/{target}"), "Destination: /moved\r\n");
        assert_eq!(moved.status, 201, "{shown}");
        let back = ask(&mut client, "MOVE", "/moved", &format!("Destination: http://localhost/{target}\r\n"));
        let location = back.field("Location").unwrap();
        assert_eq!(percent_decode(&location.as_bytes()[1..]).collect::<Vec<_>>(), name, "{shown}");

        fs::remove_file(root.path().join(OsStr::from_bytes(&name))).unwrap();
        let begun = ask(&mut client, "POST", &format!("/{target}"), "Upload-Complete: ?0\r\nContent-Length: 0\r\n");
        let location = begun.field("Location").unwrap().strip_prefix("/.spindle/uploads/").unwrap();
        let (_, location) = location.split_once('/').unwrap();
        assert_eq!(percent_decode(location.as_bytes()).collect::<Vec<_>>(), name, "{shown}");

        create(root.path(), &name, true);
        let redirect = ask(&mut client, "GET", &format!("/{target}?sort=size&x={target}"), "");
        let location = redirect.field("Location").unwrap();
        let (path, query) = location.split_once('?').unwrap();
        let path = path.strip_prefix("./").and_then(|path| path.strip_suffix('/')).expect("a relative path");
        assert_eq!(percent_decode(path.as_bytes()).collect::<Vec<_>>(), name, "{shown}");
        assert_eq!(query, format!("sort=size&x={target}"));

        let archive = ask(&mut client, "GET", &format!("/{target}/?archive=tar"), "");
        let saved_as = disposition_name(archive.field("Content-Disposition").unwrap());
        assert_eq!(saved_as, format!("{}.tar", String::from_utf8_lossy(&name)), "{shown}");
    }
}

/// Bytes as they are, in each place of a request that a response may repeat. `None` is a closed connection.
#[test]
fn no_byte_of_a_request_adds_to_the_head_of_a_response() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("d")).unwrap();
    fs::write(root.path().join("f"), CONTENT).unwrap();
    let mut client = client(root.path());
    let templates: &[&str] = &[
        "GET /d?x=@ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /d/?sort=@ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /f?download=@ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /@ HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n",
        "GET /f HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: \"@\"\r\n\r\n",
        "GET /f HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-1@\r\n\r\n",
        "GET /f HTTP/1.1\r\nHost: localhost\r\nConnection: @\r\n\r\n",
        "GET /f HTTP/1.1\r\nHost: localhost\r\nWant-Repr-Digest: sha-256=@\r\n\r\n",
        "GET /f HTTP/1.1\r\nHost: @\r\n\r\n",
        "@ /f HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "MOVE /f HTTP/1.1\r\nHost: localhost\r\nDestination: /d/@\r\nOverwrite: F\r\n\r\n",
        "POST /new HTTP/1.1\r\nHost: localhost\r\nUpload-Complete: ?0\r\nUpload-Length: 1@\r\nContent-Length: 0\r\n\r\n",
        "PUT /f HTTP/1.1\r\nHost: localhost\r\nRepr-Digest: sha-256=@\r\nContent-Length: 0\r\n\r\n",
        "PUT /f HTTP/1.1\r\nHost: localhost\r\nExpect: @\r\nContent-Length: 0\r\n\r\n",
    ];
    let mut complete = 0;
    for template in templates {
        let (before, after) = template.split_once('@').unwrap();
        for byte in 0..=255 {
            let request = [before.as_bytes(), b"a", &[byte], b"X-Added: b", after.as_bytes()].concat();
            if let Some(response) = client.exchange(&request) {
                Response::parse(&response);
                complete += 1;
            }
        }
    }
    assert!(complete > 256 * 6, "most responses are complete: {complete}");
}

/// The tags of a page, without its text and without the values of attributes. Panics if a tag does not end.
fn skeleton(page: &str) -> String {
    let mut found = String::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        rest = &rest[start..];
        let mut quote = None;
        let mut end = None;
        for (at, each) in rest.char_indices() {
            match (quote, each) {
                (None, '>') => {
                    end = Some(at);
                    break;
                }
                (None, '"' | '\'') => quote = Some(each),
                (Some(open), _) if open == each => quote = None,
                (Some(_), _) => continue,
                (None, _) => {}
            }
            found.push(each);
        }
        found.push('>');
        rest = &rest[end.expect("a tag ends")..];
    }
    found
}

/// A folder in which each name is that of a file and of a directory.
fn folder_of(names: &[Vec<u8>]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("files")).unwrap();
    fs::create_dir(root.path().join("directories")).unwrap();
    for name in names {
        create(&root.path().join("files"), name, false);
        create(&root.path().join("directories"), name, true);
    }
    root
}

fn harmless_names(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("name{number}").into_bytes()).collect()
}

#[test]
fn names_change_nothing_in_the_markup_of_a_page() {
    let names = hostile_names();
    let (hostile, harmless) = (folder_of(&names), folder_of(&harmless_names(names.len())));
    let (mut one, mut other) = (client(hostile.path()), client(harmless.path()));
    for directory in ["/files/", "/directories/"] {
        let page = ask(&mut one, "GET", directory, "Accept: text/html\r\n");
        let expected = ask(&mut other, "GET", directory, "Accept: text/html\r\n");
        assert_eq!(skeleton(page.text()), skeleton(expected.text()), "{directory}");
        assert_eq!(page.field("Content-Security-Policy"), expected.field("Content-Security-Policy"));
        let mut controls = page.text().chars().filter(|each| each.is_control() && *each != '\n');
        assert_eq!(controls.next(), None, "no control character is sent");
        let is_override = |each: char| matches!(each, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        assert!(!page.text().contains(is_override), "no name changes the direction of text");
    }
    // The title and the path at the top of a page.
    for name in names.iter().filter(|name| name.len() < 255) {
        let target = format!("/directories/{}/", encoded(name));
        let page = ask(&mut one, "GET", &target, "Accept: text/html\r\n");
        let expected = ask(&mut other, "GET", "/directories/name0/", "Accept: text/html\r\n");
        assert_eq!(skeleton(page.text()), skeleton(expected.text()), "{}", name.escape_ascii());
    }
    // Two names with the slash between them.
    for (root, names) in [(&hostile, ["<", "script><img src=x onerror=alert(1)>"]), (&harmless, ["a", "b"])] {
        fs::create_dir_all(root.path().join("directories").join(names[0]).join(names[1])).unwrap();
    }
    let target = format!("/directories/%3C/{}/", encoded(b"script><img src=x onerror=alert(1)>"));
    let page = ask(&mut one, "GET", &target, "Accept: text/html\r\n");
    let expected = ask(&mut other, "GET", "/directories/a/b/", "Accept: text/html\r\n");
    assert_eq!(skeleton(page.text()), skeleton(expected.text()), "{target}");
}

#[test]
fn names_are_data_in_listings_as_json_and_as_text() {
    let names = hostile_names();
    let root = folder_of(&names);
    let mut client = client(root.path());
    let json = ask(&mut client, "GET", "/files/?format=json", "");
    let listing: serde_json::Value = serde_json::from_str(json.text()).expect("JSON");
    let entries = listing["entries"].as_array().unwrap();
    assert_eq!(entries.len(), names.len());
    for entry in entries {
        let name: Vec<u8> = percent_decode(entry["href"].as_str().unwrap().as_bytes()).collect();
        assert!(names.contains(&name), "{entry}");
        assert_eq!(entry["name"].as_str().unwrap(), String::from_utf8_lossy(&name));
        assert_eq!(entry.as_object().unwrap().len(), 5);
    }
    let is_hidden = |each: char| {
        each.is_control() && each != '\n' || matches!(each, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!json.text().contains(is_hidden), "a terminal shows JSON as it is");
    let text = ask(&mut client, "GET", "/files/?format=text", "");
    assert!(text.text().bytes().all(|byte| byte == b'\n' || byte.is_ascii_graphic()));
    let mut listed: Vec<Vec<u8>> = text.text().lines().map(|line| percent_decode(line.as_bytes()).collect()).collect();
    let mut expected = names;
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
}

/// The names of the files in an archive. The records of a pax header are read by their lengths, as POSIX says: a name
/// may contain line ends.
fn archived_names(mut archive: &[u8]) -> Vec<Vec<u8>> {
    const BLOCK: usize = 512;
    let mut names = Vec::new();
    let mut long_name = None;
    while let Some((header, rest)) = archive.split_at_checked(BLOCK).filter(|(header, _)| header[0] != 0) {
        let header = tar::Header::from_byte_slice(header);
        let bytes = usize::try_from(header.entry_size().expect("a size")).unwrap();
        let content = &rest[..bytes];
        archive = &rest[bytes.next_multiple_of(BLOCK)..];
        match header.entry_type() {
            tar::EntryType::XHeader => long_name = pax_path(content),
            tar::EntryType::Regular => {
                assert_eq!(content, CONTENT.as_bytes());
                names.push(long_name.take().unwrap_or_else(|| header.path_bytes().into_owned()));
            }
            _ => long_name = None,
        }
    }
    assert!(archive.iter().all(|byte| *byte == 0) && archive.len() >= 2 * BLOCK, "the archive is complete");
    names
}

fn pax_path(mut records: &[u8]) -> Option<Vec<u8>> {
    let mut path = None;
    while !records.is_empty() {
        let space = records.iter().position(|byte| *byte == b' ').expect("a length");
        let length: usize = str::from_utf8(&records[..space]).unwrap().parse().expect("a length");
        let (record, rest) = records.split_at(length);
        let record = record[space + 1..].strip_suffix(b"\n").expect("a line end");
        if let Some(value) = record.strip_prefix(b"path=") {
            path = Some(value.to_vec());
        }
        records = rest;
    }
    path
}

#[test]
fn names_are_data_in_an_archive() {
    let names = hostile_names();
    let root = folder_of(&names);
    let archive = ask(&mut client(root.path()), "GET", "/files/?archive=tar", "");
    let mut expected: Vec<Vec<u8>> = names.iter().map(|name| [b"files/", &name[..]].concat()).collect();
    let mut found = archived_names(&archive.content);
    found.sort();
    expected.sort();
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
    assert_eq!(found.len(), expected.len());
}

/// The boundary of a form, which no content contains.
const BOUNDARY: &str = "b-o-u-n-d-a-r-y";

/// A form with files of these names, as far as a form can express them.
fn form(names: &[Vec<u8>]) -> Vec<u8> {
    let mut form = Vec::new();
    for name in names {
        form.extend_from_slice(b"--b-o-u-n-d-a-r-y\r\nContent-Disposition: form-data; name=\"f\"; filename=\"");
        for byte in name {
            match byte {
                b'"' => form.extend_from_slice(b"%22"),
                b'\\' => form.extend_from_slice(b"\\\\"),
                _ => form.push(*byte),
            }
        }
        form.extend_from_slice(b"\"\r\n\r\ncontent\r\n");
    }
    form.extend_from_slice(b"--b-o-u-n-d-a-r-y--\r\n");
    form
}

fn post(client: &mut Client<Native>, form: &[u8], accept: &str) -> Response {
    let mut request = format!("POST / HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n");
    let _ = write!(
        request,
        "Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {}\r\n\r\n",
        form.len()
    );
    Response::parse(&client.exchange(&[request.as_bytes(), form].concat()).expect("a complete response"))
}

#[test]
fn names_are_data_in_the_report_of_a_form() {
    // A form cannot express a line end, and a report is made in the same way for every byte.
    let is_expressible = |name: &Vec<u8>| !name.contains(&b'\r') && !name.contains(&b'\n') && name.len() < 255;
    let names: Vec<Vec<u8>> = hostile_names().into_iter().filter(is_expressible).collect();
    for name in &names {
        let root = tempfile::tempdir().unwrap();
        let mut client = client(root.path());
        let shown = name.escape_ascii();
        let page = post(&mut client, &form(std::slice::from_ref(name)), "text/html");
        let harmless = tempfile::tempdir().unwrap();
        let names = [b"harmless".to_vec()];
        let expected = post(&mut self::client(harmless.path()), &form(&names), "text/html");
        if page.status == expected.status {
            assert_eq!(skeleton(page.text()), skeleton(expected.text()), "{shown}");
        }
        assert!(!page.text().chars().any(|each| each.is_control() && each != '\n'), "{shown}");
        let json = post(&mut client, &form(std::slice::from_ref(name)), "application/json");
        let report: serde_json::Value = serde_json::from_str(json.text()).expect("JSON");
        assert_eq!(
            report["files"].as_array().map_or(0, Vec::len) + usize::from(report["error"].is_string()),
            1,
            "{shown}"
        );
        let text = post(&mut client, &form(std::slice::from_ref(name)), "text/plain");
        assert!(text.text().bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')), "{shown}");
        assert_eq!(text.text().lines().count(), 1, "{shown}");
    }
}

#[test]
fn names_are_data_in_messages() {
    for name in hostile_names() {
        let path = RelativePath::from_segments([&name]).unwrap();
        let shown = format!("{path:?}");
        assert!(!shown.contains(|each: char| each.is_control() || matches!(each, '\u{2028}'..='\u{202e}')), "{shown}");
    }
}
