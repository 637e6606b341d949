//! RFC 9112 §3.2 and RFC 9110 §7.2: the Host field.

use spindle::http1::protocol_error::ProtocolError::*;

use crate::script::{keeps, refused, script};

fn host(line: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\n", line.as_ref(), b"\r\n\r\n"].concat()
}

#[test]
fn a_host_and_a_port() {
    for value in ["h", "h:80", "h:", "127.0.0.1:4221", "[::1]", "[::1]:80", "[v1.a]", "a-b.c_d~", "a%2Db", "localhost"]
    {
        let told = script(host(format!("Host: {value}"))).strict().keeps(&[200]);
        assert_eq!(told.seen[0].hosts, [value.as_bytes()]);
    }
}

#[test]
fn an_invalid_host_is_refused() {
    refused(host("Host:"), HostInvalid);
    refused(host("Host:  "), HostInvalid);
    refused(host("Host: :80"), HostInvalid);
    refused(host("Host: u@h"), HostInvalid);
    refused(host("Host: h/"), HostInvalid);
    refused(host("Host: h/a"), HostInvalid);
    refused(host("Host: http://h"), HostInvalid);
    refused(host("Host: a b"), HostInvalid);
    refused(host("Host: a\tb"), HostInvalid);
    refused(host("Host: a,b"), HostInvalid);
    refused(host("Host: a, a"), HostInvalid);
    refused(host("Host: h:80a"), HostInvalid);
    refused(host("Host: h:+80"), HostInvalid);
    refused(host("Host: h:80:80"), HostInvalid);
    refused(host("Host: h?a"), HostInvalid);
    refused(host("Host: h#a"), HostInvalid);
    refused(host("Host: [::1"), HostInvalid);
    refused(host("Host: ::1"), HostInvalid);
    refused(host("Host: [::1]a"), HostInvalid);
    refused(host("Host: h\u{e9}"), HostInvalid);
    refused(host("Host: h\\a"), HostInvalid);
    refused(host("Host: a%zz"), HostInvalid);
    refused(host("Host: \"h\""), HostInvalid);
}

#[test]
fn a_repeated_host_is_refused() {
    refused(host("Host: h\r\nHost: h"), HostRepeated);
    refused(host("Host: a\r\nHost: b"), HostRepeated);
    refused(host("Host: a\r\nX: y\r\nhost: b"), HostRepeated);
    refused("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", HostRepeated);
    refused("GET http://h/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", HostRepeated);
}

#[test]
fn a_missing_host_is_served_by_default() {
    keeps("GET / HTTP/1.1\r\n\r\n", &[200]);
    keeps("GET / HTTP/1.1\r\nX-Host: h\r\n\r\n", &[200]);
}

#[test]
fn a_missing_host_is_refused_where_that_is_asked_for() {
    for bytes in ["GET / HTTP/1.1\r\n\r\n", "GET http://h/ HTTP/1.1\r\n\r\n", "OPTIONS * HTTP/1.1\r\nA: b\r\n\r\n"] {
        assert_eq!(script(bytes).strict().refused(HostMissing).seen, []);
    }
    script("GET / HTTP/1.0\r\n\r\n").strict().ends(&[200]);
}

#[test]
fn an_invalid_host_is_refused_even_where_the_target_names_one() {
    refused("GET http://h/ HTTP/1.1\r\nHost: a b\r\n\r\n", HostInvalid);
    refused("GET http://h/ HTTP/1.1\r\nHost:\r\n\r\n", HostInvalid);
}
