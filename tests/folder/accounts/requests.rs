//! How requests with credentials are answered: fields for caches, content that is refused, other sites.

use super::{Guarded, credentials};
use crate::harness::Response;

fn fields(response: &Response, names: [&str; 2]) -> [Option<String>; 2] {
    names.map(|name| response.field(name).map(str::to_owned))
}

#[test]
fn no_cache_shows_a_response_to_somebody_else() {
    let guarded = Guarded::new(&["* read", "alice read,replace"]);
    for target in ["/a", "/", "/missing", "/sub", "/?archive=tar", "/.spindle/put"] {
        let anonymous = guarded.ask("", "GET", target);
        assert!(anonymous.field("Vary").is_some_and(|names| names.contains("Authorization")), "{}", anonymous.head);
        assert!(!anonymous.head.contains("private"), "{}", anonymous.head);
        let own = guarded.ask("alice", "GET", target);
        assert!(own.field("Vary").is_some_and(|names| names.contains("Authorization")), "{}", own.head);
        assert_eq!(own.field("Cache-Control"), Some("private, no-cache"), "{target}");
    }
    let listing = guarded.ask_with("alice", "GET", "/", &["Accept: text/html"]);
    assert_eq!(listing.field("Vary"), Some("Accept, Authorization"));
    let tag = guarded.ask("alice", "GET", "/a").field("ETag").unwrap().to_owned();
    let unchanged = guarded.ask_with("alice", "GET", "/a", &[&format!("If-None-Match: {tag}")]);
    let both = [Some("Authorization".to_owned()), Some("private, no-cache".to_owned())];
    assert_eq!((unchanged.status, fields(&unchanged, ["Vary", "Cache-Control"])), (304, both));
}

#[test]
fn content_that_may_not_be_stored_is_refused_before_it_is_sent() {
    let guarded = Guarded::new(&["* read", "alice read"]);
    for (name, status) in [("", 403), ("alice", 403)] {
        let mut client = guarded.server.connect();
        let credentials = credentials(name).concat();
        let head = format!(
            "PUT /new HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5\r\n{credentials}{}\r\n",
            if name.is_empty() { "" } else { "\r\n" }
        );
        let response = client.exchange(&head);
        assert_eq!(response.status, status);
        assert!(response.head.contains("Connection: close"), "{}", response.head);
        assert!(client.rest().is_empty());
    }
    let guarded = Guarded::new(&["alice manage"]);
    let mut client = guarded.server.connect();
    let response = client.exchange(
        "PUT /new HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 99999999999999999\r\n\r\n",
    );
    assert_eq!(response.status, 401, "{}", response.head);
    // Short content is read and ignored, and the connection goes on.
    let mut client = guarded.server.connect();
    client.send("PUT /new HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n12345GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let next = (client.response().status, client.response().status);
    assert_eq!(next, (401, 401));
    assert_eq!(guarded.server.file_names(), ["a", "sub"]);
}

#[test]
fn a_refusal_does_not_depend_on_what_exists() {
    let guarded = Guarded::new(&["alice read", "bob create"]);
    let without_time = |response: Response| {
        let lines: Vec<&str> = response.head.lines().filter(|line| !line.starts_with("Date")).collect();
        (lines.join("\n"), response.content)
    };
    for name in ["", "bob"] {
        for fields in [&[][..], &["If-None-Match: *"], &["Range: bytes=0-0"]] {
            let ask = |target: &str| without_time(guarded.ask_with(name, "GET", target, fields));
            let [existing, missing] = ["/a", "/missing"].map(ask);
            assert_eq!(existing, missing);
            assert_eq!(ask("/sub/"), ask("/missing/"));
        }
    }
}

#[test]
fn a_page_of_another_site_gains_nothing_by_the_credentials_of_its_reader() {
    let guarded = Guarded::new(&["alice read,manage"]);
    for from in
        ["Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: null"]
    {
        for name in ["alice", ""] {
            for (method, target, field) in [
                ("PUT", "/new", "Content-Length: 0"),
                ("POST", "/", "Content-Type: multipart/form-data; boundary=b"),
                ("DELETE", "/a", "Content-Length: 0"),
                ("MOVE", "/a", "Destination: /b"),
                ("MKCOL", "/new/", "Content-Length: 0"),
            ] {
                let response = guarded.ask_with(name, method, target, &[from, field]);
                assert_eq!(response.status, 403, "{method} {target} {from}");
                assert_eq!(response.field("WWW-Authenticate"), None, "no dialog opens for the other page");
            }
        }
        // What is read cannot be passed to the other page.
        for target in ["/", "/?format=json", "/a", "/?archive=tar"] {
            let response = guarded.ask_with("alice", "GET", target, &[from]);
            assert_eq!(response.field("Cross-Origin-Resource-Policy"), Some("same-origin"), "{target}");
            assert_eq!(response.field("X-Content-Type-Options"), Some("nosniff"), "{target}");
            assert!(!response.head.contains("Access-Control"), "{}", response.head);
        }
    }
    assert_eq!(guarded.server.file_names(), ["a", "sub"]);
    let origin = format!("Origin: http://localhost:{}", guarded.server.port());
    assert_eq!(guarded.ask_with("alice", "PUT", "/new", &[&origin, "Content-Length: 0"]).status, 201);
}

#[test]
fn a_form_replaces_only_what_its_account_may_replace() {
    let guarded = Guarded::new(&["alice read,create", "bob replace"]);
    let form = "--b\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\nnew\r\n--b--\r\n";
    let send = |name: &str| {
        let mut client = guarded.server.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\n{}\r\nContent-Type: multipart/form-data; boundary=b\r\n\
             Content-Length: {}\r\n\r\n{form}",
            credentials(name).concat(),
            form.len()
        ));
        client.response()
    };
    assert_eq!(send("alice").status, 409);
    assert_eq!(guarded.server.content_of("a"), Some(b"a".to_vec()));
    let replaced = send("bob");
    assert_eq!((replaced.status, replaced.text()), (201, "replaced a\n"));
    assert_eq!(guarded.server.content_of("a"), Some(b"new".to_vec()));
}
