//! A drop box (`--no-list`): others may add files, and cannot find out which ones are there.

use std::io::Read as _;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::harness::{Response, Server};
use crate::support::{ask, get, share_with};

/// A drop box with these names in its folder.
fn drop_box(policy: &str, names: &[&str]) -> Server {
    share_with(&["--no-list", "--uploads", policy], names)
}

/// Names that exist, each with one of the same length that does not.
const PAIRS: [(&str, &str); 12] = [
    ("/secret.txt", "/absent.txt"),
    ("/secret.txt?download", "/absent.txt?download"),
    ("/s%65cret.txt", "/a%62sent.txt"),
    ("/./secret.txt", "/./absent.txt"),
    ("/secret.txt/", "/absent.txt/"),
    ("/secret.txt/x", "/absent.txt/x"),
    ("/folder", "/absent"),
    ("/folder/", "/absent/"),
    ("/folder/?archive=tar", "/absent/?archive=tar"),
    ("/folder/inner.txt", "/folder/other.txt"),
    ("/link", "/none"),
    ("/.hidden", "/.absent"),
];

fn filled(policy: &str) -> Server {
    let server = drop_box(policy, &["secret.txt", "folder/inner.txt", ".hidden", "index.html"]);
    symlink("secret.txt", server.directory().join("link")).unwrap();
    symlink("loop", server.directory().join("loop")).unwrap();
    server
}

/// All bytes that the server sends before it closes the connection, without the Date field.
fn raw_response(server: &Server, method: &str, target: &str, fields: &str) -> String {
    let mut client = server.connect();
    client.send(format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n"));
    let mut bytes = Vec::new();
    client.stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let lines: Vec<&str> = text.split("\r\n").filter(|line| !line.starts_with("Date: ")).collect();
    assert!(lines.len() > 1, "{method} {target}: {text}");
    lines.join("\r\n")
}

/// Fields that make other responses out of those to requests for existing files, for a folder that can be read.
const FIELDS: [&str; 14] = [
    "",
    "Accept: text/html\r\n",
    "Accept: application/json\r\n",
    "Accept-Encoding: gzip, br\r\n",
    "Range: bytes=0-1\r\n",
    "Range: bytes=900-\r\n",
    "If-None-Match: *\r\n",
    "If-Match: *\r\n",
    "If-Match: \"a\"\r\n",
    "If-Modified-Since: Mon, 01 Jan 2035 00:00:00 GMT\r\n",
    "If-Unmodified-Since: Mon, 01 Jan 1990 00:00:00 GMT\r\n",
    "Want-Repr-Digest: sha-256=1\r\nWant-Content-Digest: sha-256=1\r\n",
    "Depth: 1\r\nDestination: /elsewhere\r\nOverwrite: F\r\n",
    "Expect: 100-continue\r\n",
];

#[test]
fn no_response_to_a_request_that_reads_tells_an_existing_name_from_a_missing_one() {
    for policy in ["create", "manage"] {
        let server = filled(policy);
        for (existing, missing) in PAIRS {
            for method in ["GET", "HEAD"] {
                for fields in FIELDS {
                    let response = raw_response(&server, method, existing, fields);
                    assert_eq!(
                        response,
                        raw_response(&server, method, missing, fields),
                        "{method} {existing} {fields}"
                    );
                    assert!(response.starts_with("HTTP/1.1 404 "), "{method} {existing} {fields}: {response}");
                }
            }
        }
    }
}

#[test]
fn no_response_to_a_method_that_is_not_offered_tells_an_existing_name_from_a_missing_one() {
    let server = filled("create");
    for (existing, missing) in PAIRS {
        for method in ["OPTIONS", "TRACE", "PATCH", "DELETE", "MKCOL", "MOVE", "PROPFIND", "LOCK", "LINK"] {
            for fields in FIELDS {
                let response = raw_response(&server, method, existing, fields);
                assert_eq!(response, raw_response(&server, method, missing, fields), "{method} {existing} {fields}");
            }
        }
    }
    let managed = filled("manage");
    for (existing, missing) in PAIRS {
        for method in ["OPTIONS", "TRACE", "PATCH", "PROPFIND"] {
            assert_eq!(raw_response(&managed, method, existing, ""), raw_response(&managed, method, missing, ""));
        }
    }
}

/// Nobody knows this identifier, so there is no such upload.
const UPLOAD: &str = "/.spindle/uploads/00000000000000000000000000000001";

#[test]
fn no_response_about_an_unknown_upload_tells_an_existing_name_from_a_missing_one() {
    for policy in ["create", "manage"] {
        let server = filled(policy);
        for (existing, missing) in PAIRS.into_iter().chain([("/loop/x", "/none/x")]) {
            for method in ["GET", "HEAD", "PATCH", "DELETE", "PUT", "POST", "MKCOL"] {
                let fields = "Content-Type: application/partial-upload\r\nUpload-Complete: ?1\r\nUpload-Offset: 0\r\n";
                let [one, other] =
                    [existing, missing].map(|path| raw_response(&server, method, &format!("{UPLOAD}{path}"), fields));
                assert_eq!(one, other, "{method} {existing}");
            }
        }
    }
}

#[test]
fn the_page_of_a_drop_box_is_its_only_resource_that_can_be_read() {
    let server = filled("create");
    let empty = get(&drop_box("create", &[]), "/");
    for (target, fields) in [
        ("/", &[][..]),
        ("/", &["Accept: */*"]),
        ("/", &["Accept: text/html, application/json;q=0.9"]),
        ("/", &["Accept: image/png"]),
        ("/?format=html", &["Accept: application/json"]),
        ("/?sort=size&order=desc", &[]),
    ] {
        let page = ask(&server, "GET", target, fields);
        assert_eq!((page.status, page.field("Content-Type")), (200, Some("text/html; charset=utf-8")), "{target}");
        assert!(page.text().contains("<h1>Send files</h1>") && page.text().ends_with("</html>\n"), "{target}");
        assert_eq!(page.text(), empty.text(), "{target} depends on the files");
        assert_eq!(ask(&server, "HEAD", target, fields).field("Content-Length"), page.field("Content-Length"));
        assert_eq!(page.field("X-Content-Type-Options"), Some("nosniff"));
        assert!(page.field("Content-Security-Policy").unwrap().contains("default-src 'none'"));
    }
    for (target, fields) in [
        ("/?format=json", &[][..]),
        ("/?format=text", &[]),
        ("/?archive=tar", &[]),
        ("/", &["Accept: application/json"]),
        ("/", &["Accept: text/plain"]),
        ("/?format=json", &["Accept: text/html"]),
        ("//", &[]),
        ("/./", &[]),
        ("/index.html", &[]),
    ] {
        for method in ["GET", "HEAD"] {
            assert_eq!(ask(&server, method, target, fields).status, 404, "{method} {target} {fields:?}");
        }
    }
    assert_eq!(get(&server, "/.spindle/put").status, 200);
}

#[test]
fn only_what_can_be_read_in_a_drop_box_offers_get_and_head() {
    let file = "POST, PUT, OPTIONS";
    let managed_file = "POST, PUT, DELETE, MKCOL, MOVE, OPTIONS";
    for (policy, file, directory) in [
        ("create", file, "POST, OPTIONS"),
        ("replace", file, "POST, OPTIONS"),
        ("manage", managed_file, "POST, DELETE, MKCOL, MOVE, OPTIONS"),
    ] {
        let server = filled(policy);
        for (target, offered) in [
            ("/", "GET, HEAD, POST, OPTIONS"),
            ("/.spindle/put", "GET, HEAD, OPTIONS"),
            ("/secret.txt", file),
            ("/absent.txt", file),
            ("/secret.txt/x", file),
            ("/link", file),
            ("/folder/", directory),
            ("/absent/", directory),
            ("/./", directory),
        ] {
            let allow = ask(&server, "OPTIONS", target, &[]).field("Allow").map(str::to_owned);
            assert_eq!(allow.as_deref(), Some(offered), "{policy} {target}");
            let refused = ask(&server, "PATCH", target, &["Content-Length: 0"]);
            assert_eq!((refused.status, refused.field("Allow")), (405, Some(offered)), "{policy} {target}");
        }
    }
    let managed = filled("manage");
    for (target, offered) in
        [("/secret.txt", "POST, PUT, DELETE, MOVE, OPTIONS"), ("/folder/", "POST, DELETE, MOVE, OPTIONS")]
    {
        let taken = ask(&managed, "MKCOL", target, &["Content-Length: 0"]);
        assert_eq!((taken.status, taken.field("Allow")), (405, Some(offered)), "{target}");
    }
}

#[test]
fn a_file_that_was_put_into_a_drop_box_is_on_the_disk_and_cannot_be_read() {
    let server = drop_box("create", &["taken"]);
    for (method, target) in [("PUT", "/a"), ("POST", "/b"), ("PUT", "/new/deep/c")] {
        assert_eq!(ask(&server, method, target, &["Content-Length: 0"]).status, 201);
        assert_eq!(server.content_of(&target[1..]), Some(Vec::new()));
        assert_eq!(get(&server, target).status, 404);
    }
    assert_eq!(ask(&server, "PUT", "/taken", &["Content-Length: 0"]).status, 409);
    assert_eq!(ask(&server, "DELETE", "/taken", &[]).status, 405);
    assert_eq!(server.content_of("taken"), Some(b"taken".to_vec()));
}

#[test]
fn a_resumable_upload_to_a_drop_box_is_continued_and_cancelled() {
    let server = drop_box("create", &[]);
    let mut client = server.connect();
    client.send("PUT /x/file HTTP/1.1\r\nHost: localhost\r\nUpload-Complete: ?0\r\nContent-Length: 4\r\n\r\nfirs");
    let location = client.response().field("Location").unwrap().to_owned();
    assert_eq!(ask(&server, "HEAD", &location, &[]).field("Upload-Offset"), Some("4"));
    client.send(format!(
        "PATCH {location} HTTP/1.1\r\nHost: localhost\r\nUpload-Complete: ?1\r\nUpload-Offset: 4\r\n\
         Content-Type: application/partial-upload\r\nContent-Length: 1\r\n\r\nt"
    ));
    assert_eq!(client.response().status, 201);
    assert_eq!(server.content_of("x/file"), Some(b"first".to_vec()));
    assert_eq!(get(&server, "/x/file").status, 404);
    assert_eq!(ask(&server, "DELETE", &location, &[]).status, 204);
}

#[test]
fn who_knows_a_name_in_a_drop_box_can_replace_or_manage_it_if_that_is_allowed() {
    let replacing = drop_box("replace", &["known"]);
    assert_eq!(ask(&replacing, "PUT", "/known", &["Content-Length: 0"]).status, 204);
    assert_eq!(replacing.content_of("known"), Some(Vec::new()));
    assert_eq!(ask(&replacing, "PUT", "/known", &["Content-Length: 0", "If-None-Match: *"]).status, 412);
    assert_eq!(ask(&replacing, "DELETE", "/known", &[]).status, 405);
    let managed = drop_box("manage", &["known"]);
    assert_eq!(ask(&managed, "MOVE", "/known", &["Destination: /moved"]).status, 201);
    assert_eq!(get(&managed, "/moved").status, 404);
    assert_eq!(ask(&managed, "DELETE", "/moved", &[]).status, 204);
    assert_eq!(ask(&managed, "MKCOL", "/made", &["Content-Length: 0"]).status, 201);
    assert_eq!(managed.file_names(), ["made"]);
}

/// Posts a form with these files, each of which contains its name.
fn post(server: &Server, target: &str, accept: &str, names: &[&str]) -> Response {
    let parts = names.iter().map(|name| {
        format!("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{name}\r\n")
    });
    let form = parts.collect::<String>() + "--b--\r\n";
    let mut client = server.connect();
    client.send(format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nContent-Length: {}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n\r\n{form}",
        form.len()
    ));
    client.response()
}

#[test]
fn the_report_of_a_form_to_a_drop_box_contains_its_own_files_and_no_links_to_them() {
    let server = drop_box("create", &["a/taken", "a/other"]);
    let page = post(&server, "/a/b/../", "text/html", &["x"]);
    assert_eq!(page.status, 404, "{}", page.text());
    let page = post(&server, "/a/", "text/html", &["one", "taken"]);
    assert_eq!(page.status, 409);
    let links: Vec<&str> = page.text().split("<a ").skip(1).map(|link| link.split('>').next().unwrap()).collect();
    assert_eq!(links, ["href=\"./../\""], "only the page of the drop box can be opened");
    assert!(
        page.text().contains("<li>Stored: <bdi>one</bdi></li>") && page.text().contains("<bdi>taken</bdi>. There is")
    );
    assert!(!page.text().contains("other"));
    assert_eq!(post(&server, "/", "text/html", &["two"]).text().matches("href=\"./\">Add more files").count(), 1);
    let report: Value = serde_json::from_str(post(&server, "/a/", "application/json", &["three"]).text()).unwrap();
    let expected = json!([{ "name": "three", "href": null, "status": 201, "reason": null }]);
    assert_eq!(report["files"], expected);
    assert_eq!(post(&server, "/", "*/*", &["four"]).text(), "stored four\n");
    assert_eq!(server.content_of("a/one"), Some(b"one".to_vec()));
}

#[test]
fn a_drop_box_that_the_server_may_not_list_has_a_page() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = drop_box("create", &[]);
    let set_mode = |mode| std::fs::set_permissions(server.directory(), std::fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o300);
    assert_eq!(get(&server, "/").status, 200);
    assert_eq!(ask(&server, "PUT", "/a", &["Content-Length: 0"]).status, 201);
    set_mode(0o700);
    assert_eq!(server.content_of("a"), Some(Vec::new()));
}
