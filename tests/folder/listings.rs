//! Listings in each of their formats.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, UNIX_EPOCH};

use crate::harness::Server;
use crate::support::{ask, get, lines, share};

#[test]
fn accept_and_the_query_choose_the_format() {
    let server = share(&["a.txt"]);
    let format = |target: &str, fields: &[&str]| {
        let response = ask(&server, "GET", target, fields);
        assert_eq!(response.status, 200, "{}", response.head);
        assert_eq!(response.field("Vary"), Some("Accept"));
        assert_eq!(response.field("Cache-Control"), Some("no-cache"));
        assert_eq!(response.field("X-Content-Type-Options"), Some("nosniff"));
        assert_eq!(response.field("Cross-Origin-Resource-Policy"), Some("same-origin"));
        response.field("Content-Type").unwrap().to_owned()
    };
    let (html, json, text) = ("text/html; charset=utf-8", "application/json", "text/plain; charset=utf-8");
    assert_eq!(format("/", &[]), html);
    assert_eq!(format("/", &["Accept: */*"]), html);
    assert_eq!(format("/", &["Accept: application/json"]), json);
    assert_eq!(format("/", &["Accept: text/html;q=0.2, text/plain;q=0.9"]), text);
    assert_eq!(format("/", &["Accept: image/png"]), html);
    assert_eq!(format("/?format=json", &["Accept: text/html"]), json);
    assert_eq!(format("/?format=text", &[]), text);
    assert_eq!(format("/?format=html", &["Accept: application/json"]), html);
    let page = get(&server, "/");
    assert!(page.field("Content-Security-Policy").unwrap().contains("default-src 'none'"), "{}", page.head);
    assert!(page.text().contains("a.txt"), "{}", page.text());
}

#[test]
fn an_unknown_format_or_order_is_400_and_names_the_parameter() {
    let server = share(&[]);
    for (target, named) in [("/?format=xml", "format"), ("/?sort=x", "sort"), ("/?order=up", "order")] {
        let response = get(&server, target);
        assert_eq!(response.status, 400);
        assert!(response.text().contains(named), "{}", response.text());
    }
}

#[test]
fn json_describes_each_entry_and_its_href_leads_to_it() {
    let server = share(&["sub/x", "a \"b\".txt"]);
    let odd = server.directory().join(OsStr::from_bytes(b"odd-\xff"));
    fs::write(&odd, b"12345").unwrap();
    let when = UNIX_EPOCH + Duration::from_secs(784_111_777);
    for path in [&odd, &server.directory().join("sub")] {
        File::open(path).unwrap().set_modified(when).unwrap();
    }
    let response = get(&server, "/?format=json");
    let listing = response.text();
    assert!(listing.starts_with("{\"path\":\"/\",\"sorted\":true,\"entries\":["), "{listing}");
    let date = "\"modified\":\"1994-11-06T08:49:37Z\"";
    let sub = format!("{{\"name\":\"sub\",\"href\":\"sub/\",\"type\":\"directory\",\"size\":null,{date}}}");
    let odd = format!("{{\"name\":\"odd-\u{fffd}\",\"href\":\"odd-%FF\",\"type\":\"file\",\"size\":5,{date}}}");
    assert!(listing.contains(&sub) && listing.contains(&odd), "{listing}");
    assert!(listing.contains("{\"name\":\"a \\\"b\\\".txt\",\"href\":\"a%20%22b%22.txt\""), "{listing}");
    assert_eq!(get(&server, "/odd-%FF").text(), "12345");
    let sub = get(&server, "/sub/?format=json");
    assert!(sub.text().starts_with("{\"path\":\"/sub/\","), "{}", sub.text());
}

#[test]
fn each_line_of_a_text_listing_is_a_valid_link() {
    let server = share(&["sub/", "a b*$(c)'\"<&>", "ü", "-rf", "c:d"]);
    let names = lines(&server, "/");
    assert_eq!(names.len(), 5, "{names:?}");
    assert_eq!(names[0], "sub/");
    for name in &names {
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%/".contains(&byte)), "{name}");
        assert_eq!(get(&server, &format!("/{name}")).status, 200, "{name}");
    }
}

#[test]
fn directories_are_listed_first_and_names_in_natural_order() {
    let server = share(&["file10", "File2", "file1", "sub2/", "Sub10/", "sub1/"]);
    let ascending = ["sub1/", "sub2/", "Sub10/", "file1", "File2", "file10"];
    assert_eq!(lines(&server, "/"), ascending);
    assert_eq!(lines(&server, "/?order=desc"), ["Sub10/", "sub2/", "sub1/", "file10", "File2", "file1"]);
}

#[test]
fn entries_are_sorted_by_size_and_time() {
    let server = share(&["sub/"]);
    for (name, bytes, unix_s) in [("a", 30, 3_000), ("b", 4, 9_000), ("c", 100, 1_000), ("d", 4, 2_000)] {
        server.write_file(name, &vec![0; bytes]);
        let file = File::options().write(true).open(server.directory().join(name)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(unix_s)).unwrap();
    }
    assert_eq!(lines(&server, "/?sort=size"), ["sub/", "b", "d", "a", "c"]);
    assert_eq!(lines(&server, "/?sort=size&order=desc"), ["sub/", "c", "a", "b", "d"]);
    assert_eq!(lines(&server, "/?sort=modified"), ["sub/", "c", "d", "a", "b"]);
    assert_eq!(lines(&server, "/?sort=modified&order=desc"), ["sub/", "b", "a", "d", "c"]);
}

#[test]
fn head_has_the_fields_of_get_and_keeps_the_connection() {
    let server = share(&["a"]);
    let mut client = server.connect();
    for method in ["HEAD", "GET", "HEAD"] {
        client.send(format!("{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let response = if method == "HEAD" { client.head() } else { client.response() };
        assert_eq!(response.status, 200);
        assert_eq!(response.field("Transfer-Encoding"), Some("chunked"));
    }
}

#[test]
fn an_http_1_0_client_is_sent_the_listing_until_the_end() {
    let server = share(&["a", "b"]);
    let mut client = server.connect();
    client.send("GET /?format=text HTTP/1.0\r\n\r\n");
    let response = String::from_utf8(client.rest()).unwrap();
    assert!(response.ends_with("\r\n\r\na\nb\n"), "{response}");
    assert!(!response.contains("Transfer-Encoding") && !response.contains("Content-Length"), "{response}");
}

#[test]
fn only_existing_directories_are_listed() {
    let server = share(&["a", "sub/"]);
    let status = |server: &Server, target: &str| get(server, target).status;
    for target in ["/absent/", "/a/", "//", "/sub//", "/../", "/sub/../", "/%2e%2e/", "/sub%2f/", "/sub/./"] {
        assert_eq!(status(&server, target), 404, "{target}");
    }
    assert_eq!(status(&server, "/./sub/"), 200);
}

#[test]
fn preconditions_are_evaluated_for_a_listing() {
    let server = share(&[]);
    assert_eq!(ask(&server, "GET", "/", &["If-Match: \"other\""]).status, 412);
    assert_eq!(ask(&server, "GET", "/", &["If-None-Match: *"]).status, 304);
}

#[test]
fn a_folder_that_has_been_removed_is_not_found() {
    let server = share(&["a"]);
    fs::remove_dir_all(server.directory()).unwrap();
    for target in ["/", "/?format=json", "/?archive=tar", "/a"] {
        assert_eq!(get(&server, target).status, 404, "{target}");
    }
    fs::create_dir(server.directory()).unwrap();
}
