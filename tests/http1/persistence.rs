//! RFC 9112 §9.3 and §9.6: whether a connection is kept or closed after a response.

use crate::script::{CaseResult, assert_closes, assert_stays_open, script};

fn http_11(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
}

fn http_10(lines: &str) -> String {
    format!("GET / HTTP/1.0\r\n{lines}\r\n")
}

fn connection(result: &CaseResult) -> Option<&str> {
    result.response().field("Connection")
}

#[test]
fn http_11_connections_are_kept_without_a_connection_field() {
    assert_eq!(connection(&assert_stays_open(http_11(""), &[200])), None);
    assert_eq!(connection(&assert_stays_open(http_11("Connection: keep-alive\r\n"), &[200])), None);
    assert_eq!(connection(&assert_stays_open(http_11("Connection: upgrade\r\n"), &[200])), None);
    assert_eq!(connection(&assert_stays_open(http_11("Connection:\r\n"), &[200])), None);
    assert_eq!(connection(&assert_stays_open(http_11("Connection: closed, xclose, \"close\"\r\n"), &[200])), None);
    assert_eq!(connection(&assert_stays_open(http_11("X-Connection: close\r\n"), &[200])), None);
    assert_eq!(connection(&assert_stays_open(http_11("Proxy-Connection: close\r\n"), &[200])), None);
}

#[test]
fn close_ends_the_connection_anywhere_in_the_list() {
    assert_closes(http_11("Connection: close\r\n"), &[200]);
    assert_closes(http_11("Connection: Close\r\n"), &[200]);
    assert_closes(http_11("connection: CLOSE\r\n"), &[200]);
    assert_closes(http_11("Connection: a, close\r\n"), &[200]);
    assert_closes(http_11("Connection: close ,a\r\n"), &[200]);
    assert_closes(http_11("Connection: ,,\tclose\t,\r\n"), &[200]);
    assert_closes(http_11("Connection: keep-alive, close\r\n"), &[200]);
    assert_closes(http_11("Connection: close\r\nConnection: keep-alive\r\n"), &[200]);
    assert_closes(http_11("Connection: keep-alive\r\nA: b\r\nConnection: close\r\n"), &[200]);
}

#[test]
fn http_10_connections_end_without_keep_alive() {
    assert_closes(http_10(""), &[200]);
    assert_closes(http_10("Connection: close\r\n"), &[200]);
    assert_closes(http_10("Connection: keep-alive, close\r\n"), &[200]);
    assert_closes(http_10("Connection: keep-alivee\r\n"), &[200]);
    assert_closes(http_10("Keep-Alive: timeout=5\r\n"), &[200]);
    assert_eq!(connection(&assert_stays_open(http_10("Connection: keep-alive\r\n"), &[200])), Some("keep-alive"));
    assert_eq!(connection(&assert_stays_open(http_10("Connection: a, Keep-Alive\r\n"), &[200])), Some("keep-alive"));
}

#[test]
fn close_applies_to_requests_with_content_too() {
    assert_closes("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde", &[201]);
    assert_closes("POST /refuse HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde", &[403]);
    assert_closes("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nabcde", &[201]);
    let kept = "POST /refuse HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nabcde";
    assert_eq!(connection(&assert_stays_open(kept, &[403])), Some("keep-alive"));
}

#[test]
fn requests_after_close_are_not_processed() {
    let result = assert_closes(http_11("Connection: close\r\n") + &http_11(""), &[200]);
    assert_eq!(result.requests.len(), 1);
    let result = assert_closes(http_11("") + &http_11("Connection: close\r\n") + "garbage\0", &[200, 200]);
    assert_eq!(result.requests.len(), 2);
    assert_closes(http_10("") + &http_10(""), &[200]);
}

#[test]
fn the_response_is_http_11_whatever_the_version_of_the_request() {
    // The response reader accepts no other version.
    assert_closes(http_10(""), &[200]);
    assert_stays_open("GET / HTTP/1.9\r\nHost: h\r\n\r\n", &[200]);
}

#[test]
fn upgrade_is_ignored() {
    assert_stays_open(http_11("Connection: Upgrade\r\nUpgrade: websocket\r\n"), &[200]);
    assert_stays_open(
        http_11("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
        &[200],
    );
    script("OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n")
        .assert_stays_open(&[200]);
    script("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").assert_closes(&[200]);
}
