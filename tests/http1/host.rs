//! RFC 9112 §3.2 and RFC 9110 §7.2: the Host field.

use spindle::http1::protocol_error::ProtocolError::*;

use crate::script::{assert_rejected, assert_stays_open, script};

fn host(line: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\n", line.as_ref(), b"\r\n\r\n"].concat()
}

#[test]
fn a_valid_host_with_or_without_port_is_accepted() {
    for value in ["h", "h:80", "h:", "127.0.0.1:4221", "[::1]", "[::1]:80", "[v1.a]", "a-b.c_d~", "a%2Db", "localhost"]
    {
        let result = script(host(format!("Host: {value}"))).strict().assert_stays_open(&[200]);
        assert_eq!(result.requests[0].hosts, [value.as_bytes()]);
    }
}

#[test]
fn an_invalid_host_is_rejected() {
    assert_rejected(host("Host:"), HostInvalid);
    assert_rejected(host("Host:  "), HostInvalid);
    assert_rejected(host("Host: :80"), HostInvalid);
    assert_rejected(host("Host: u@h"), HostInvalid);
    assert_rejected(host("Host: h/"), HostInvalid);
    assert_rejected(host("Host: h/a"), HostInvalid);
    assert_rejected(host("Host: http://h"), HostInvalid);
    assert_rejected(host("Host: a b"), HostInvalid);
    assert_rejected(host("Host: a\tb"), HostInvalid);
    assert_rejected(host("Host: a,b"), HostInvalid);
    assert_rejected(host("Host: a, a"), HostInvalid);
    assert_rejected(host("Host: h:80a"), HostInvalid);
    assert_rejected(host("Host: h:+80"), HostInvalid);
    assert_rejected(host("Host: h:80:80"), HostInvalid);
    assert_rejected(host("Host: h?a"), HostInvalid);
    assert_rejected(host("Host: h#a"), HostInvalid);
    assert_rejected(host("Host: [::1"), HostInvalid);
    assert_rejected(host("Host: ::1"), HostInvalid);
    assert_rejected(host("Host: [::1]a"), HostInvalid);
    assert_rejected(host("Host: h\u{e9}"), HostInvalid);
    assert_rejected(host("Host: h\\a"), HostInvalid);
    assert_rejected(host("Host: a%zz"), HostInvalid);
    assert_rejected(host("Host: \"h\""), HostInvalid);
}

#[test]
fn a_repeated_host_is_rejected() {
    assert_rejected(host("Host: h\r\nHost: h"), HostRepeated);
    assert_rejected(host("Host: a\r\nHost: b"), HostRepeated);
    assert_rejected(host("Host: a\r\nX: y\r\nhost: b"), HostRepeated);
    assert_rejected("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", HostRepeated);
    assert_rejected("GET http://h/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", HostRepeated);
}

#[test]
fn a_missing_host_is_accepted_by_default() {
    assert_stays_open("GET / HTTP/1.1\r\n\r\n", &[200]);
    assert_stays_open("GET / HTTP/1.1\r\nX-Host: h\r\n\r\n", &[200]);
}

#[test]
fn a_missing_host_is_rejected_in_strict_mode() {
    for bytes in ["GET / HTTP/1.1\r\n\r\n", "GET http://h/ HTTP/1.1\r\n\r\n", "OPTIONS * HTTP/1.1\r\nA: b\r\n\r\n"] {
        assert_eq!(script(bytes).strict().assert_rejected(HostMissing).requests, []);
    }
    script("GET / HTTP/1.0\r\n\r\n").strict().assert_closes(&[200]);
}

#[test]
fn an_invalid_host_is_rejected_even_if_the_target_has_an_authority() {
    assert_rejected("GET http://h/ HTTP/1.1\r\nHost: a b\r\n\r\n", HostInvalid);
    assert_rejected("GET http://h/ HTTP/1.1\r\nHost:\r\n\r\n", HostInvalid);
}
