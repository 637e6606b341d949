//! RFC 9112 §9: connections that are kept, and connections that end.

use crate::script::{Told, ends, keeps, script};

fn version_11(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
}

fn version_10(lines: &str) -> String {
    format!("GET / HTTP/1.0\r\n{lines}\r\n")
}

fn connection(told: &Told) -> Option<&str> {
    told.answer().field("Connection")
}

#[test]
fn version_11_is_kept_and_nothing_is_said_about_it() {
    assert_eq!(connection(&keeps(version_11(""), &[200])), None);
    assert_eq!(connection(&keeps(version_11("Connection: keep-alive\r\n"), &[200])), None);
    assert_eq!(connection(&keeps(version_11("Connection: upgrade\r\n"), &[200])), None);
    assert_eq!(connection(&keeps(version_11("Connection:\r\n"), &[200])), None);
    assert_eq!(connection(&keeps(version_11("Connection: closed, xclose, \"close\"\r\n"), &[200])), None);
    assert_eq!(connection(&keeps(version_11("X-Connection: close\r\n"), &[200])), None);
    assert_eq!(connection(&keeps(version_11("Proxy-Connection: close\r\n"), &[200])), None);
}

#[test]
fn close_ends_the_connection_wherever_it_stands() {
    ends(version_11("Connection: close\r\n"), &[200]);
    ends(version_11("Connection: Close\r\n"), &[200]);
    ends(version_11("connection: CLOSE\r\n"), &[200]);
    ends(version_11("Connection: a, close\r\n"), &[200]);
    ends(version_11("Connection: close ,a\r\n"), &[200]);
    ends(version_11("Connection: ,,\tclose\t,\r\n"), &[200]);
    ends(version_11("Connection: keep-alive, close\r\n"), &[200]);
    ends(version_11("Connection: close\r\nConnection: keep-alive\r\n"), &[200]);
    ends(version_11("Connection: keep-alive\r\nA: b\r\nConnection: close\r\n"), &[200]);
}

#[test]
fn version_10_ends_unless_it_asks_to_be_kept() {
    ends(version_10(""), &[200]);
    ends(version_10("Connection: close\r\n"), &[200]);
    ends(version_10("Connection: keep-alive, close\r\n"), &[200]);
    ends(version_10("Connection: keep-alivee\r\n"), &[200]);
    ends(version_10("Keep-Alive: timeout=5\r\n"), &[200]);
    assert_eq!(connection(&keeps(version_10("Connection: keep-alive\r\n"), &[200])), Some("keep-alive"));
    assert_eq!(connection(&keeps(version_10("Connection: a, Keep-Alive\r\n"), &[200])), Some("keep-alive"));
}

#[test]
fn close_counts_for_requests_with_content_too() {
    ends("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde", &[201]);
    ends("POST /refuse HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde", &[403]);
    ends("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nabcde", &[201]);
    let kept = "POST /refuse HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nabcde";
    assert_eq!(connection(&keeps(kept, &[403])), Some("keep-alive"));
}

#[test]
fn a_request_behind_close_is_never_seen() {
    let told = ends(version_11("Connection: close\r\n") + &version_11(""), &[200]);
    assert_eq!(told.seen.len(), 1);
    let told = ends(version_11("") + &version_11("Connection: close\r\n") + "garbage\0", &[200, 200]);
    assert_eq!(told.seen.len(), 2);
    ends(version_10("") + &version_10(""), &[200]);
}

#[test]
fn the_answer_is_in_version_11_whatever_the_request_was_in() {
    // The reader of responses takes nothing else.
    ends(version_10(""), &[200]);
    keeps("GET / HTTP/1.9\r\nHost: h\r\n\r\n", &[200]);
}

#[test]
fn upgrade_is_ignored() {
    keeps(version_11("Connection: Upgrade\r\nUpgrade: websocket\r\n"), &[200]);
    keeps(version_11("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"), &[200]);
    script("OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n").keeps(&[200]);
    script("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").ends(&[200]);
}
