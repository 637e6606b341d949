//! The host names under which the folder is served.

use crate::harness::Server;
use crate::support::{share, share_with};

fn status(server: &Server, host: &str) -> u16 {
    let response = server.connect().exchange(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    if response.status == 421 {
        assert!(response.text().contains("--host"), "{}", response.text());
    }
    response.status
}

#[test]
fn only_addresses_and_the_machines_names_are_allowed() {
    let server = share(&[]);
    for host in ["localhost", "localhost:4221", "127.0.0.1", "[::1]:80", "10.0.0.1"] {
        assert_eq!(status(&server, host), 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.nip.example:4221"] {
        assert_eq!(status(&server, host), 421, "{host}");
    }
    // The authority of an absolute-form replaces Host.
    let status_of = |target: &str, host: &str| {
        server.connect().exchange(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).status
    };
    assert_eq!(status_of("http://evil.example/", "localhost"), 421);
    assert_eq!(status_of("http://localhost/", "evil.example"), 200);
    for method in ["HEAD", "OPTIONS", "DELETE"] {
        let mut client = server.connect();
        client.send(format!("{method} / HTTP/1.1\r\nHost: evil.example\r\n\r\n"));
        assert_eq!(client.head().status, 421, "{method}");
    }
}

#[test]
fn a_request_without_host_is_allowed() {
    let server = share(&[]);
    let mut client = server.connect();
    client.send("GET /?format=text HTTP/1.0\r\n\r\n");
    assert!(client.rest().starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn names_given_by_the_option_host_are_allowed() {
    let server = share_with(&["--host", "files.example", "--host", "b"], &[]);
    assert_eq!((status(&server, "Files.Example:80"), status(&server, "b"), status(&server, "c")), (200, 200, 421));
    let any = share_with(&["--host", "*"], &[]);
    assert_eq!(status(&any, "evil.example"), 200);
}

#[test]
fn without_a_folder_every_host_name_is_allowed() {
    assert_eq!(status(&Server::plain(), "evil.example"), 200);
}
