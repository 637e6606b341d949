//! RFC 9112 §3.2 and RFC 9110 §4.2: the request target in its four forms.

use spindle::http1::protocol_error::ProtocolError::*;

use crate::script::{keeps, refused, routed, script};

fn request(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

#[test]
fn origin_form() {
    for target in ["/", "/a", "/a/b", "/a?b", "/?", "/a//b", "//a", "/a?b?c", "/%41%7e%E2", "/!$&'()*+,;=:@-._~", "/.."]
    {
        let told = keeps(request("GET", target), &[200]);
        assert_eq!(told.seen[0].target, target.as_bytes());
    }
}

#[test]
fn the_query_is_no_part_of_the_name() {
    assert_eq!(routed(request("GET", "/echo/a?b")).keeps(&[200]).answer().text(), "a");
    routed(request("GET", "/?a=b")).keeps(&[200]);
    routed(request("GET", "http://h?a=b")).keeps(&[200]);
}

#[test]
fn a_fragment_is_refused() {
    refused(request("GET", "/#a"), TargetFragment);
    refused(request("GET", "/a?b#"), TargetFragment);
    refused(request("GET", "#"), TargetFragment);
    refused(request("GET", "http://h/#a"), TargetFragment);
}

#[test]
fn a_byte_that_no_client_sends_raw_is_refused() {
    for byte in (0..=0x20_u8).chain(*b"\"<>\x7f").chain(0x80..=0xff) {
        if matches!(byte, b' ' | b'\r' | b'\n') {
            continue;
        }
        for target in [&b"/a"[..], b"/?", b"http://h/a", b"http://h?"] {
            refused([b"GET ", target, &[byte][..], b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat(), TargetByteInvalid);
        }
    }
    refused(request("GET", "/\u{e9}"), TargetByteInvalid);
    // Where a path ends matters to whoever takes a backslash for a slash.
    refused(request("GET", "/\\"), TargetByteInvalid);
    refused(request("GET", "/a\\b?c"), TargetByteInvalid);
    refused(request("GET", "http://h/a\\b?c"), TargetByteInvalid);
    assert!(TargetByteInvalid.reason().contains("percent-encoded"));
}

/// Chromium, wget, `curl -g`, Node's fetch, Go and Python send some of them raw.
#[test]
fn bytes_that_clients_send_raw_are_served_and_refused_where_strictness_is_asked_for() {
    for target in [
        "/a[1]",
        "/|",
        "/^",
        "/{b}",
        "/`",
        "/?[1]",
        "/?a=[|^{}`\\",
        "/?a?\\",
        "http://h/[a]",
        "http://h/a|b?\\",
        "http://h?[a]",
        "http://h?\\",
    ] {
        let told = keeps(request("GET", target), &[200]);
        assert_eq!(told.seen[0].target, target.as_bytes());
        assert_eq!(script(request("GET", target)).strict().refused(TargetByteInvalid).seen, []);
    }
    assert_eq!(routed(request("GET", "/echo/[|^{}`]?\\")).keeps(&[200]).answer().text(), "[|^{}`]");
    script(request("GET", "http://[::1]/a?%5B")).strict().keeps(&[200]);
    script(request("OPTIONS", "*")).strict().keeps(&[200]);
    // They are no part of any host.
    refused(request("GET", "http://a|b/"), TargetAuthorityInvalid);
    refused(request("GET", "http://a{b}"), TargetAuthorityInvalid);
    refused(request("CONNECT", "a^b:80"), TargetFormInvalid);
}

#[test]
fn a_percent_sign_is_followed_by_two_hexadecimal_digits() {
    refused(request("GET", "/%"), TargetPercentInvalid);
    refused(request("GET", "/%4"), TargetPercentInvalid);
    refused(request("GET", "/%4g"), TargetPercentInvalid);
    refused(request("GET", "/%g4"), TargetPercentInvalid);
    refused(request("GET", "/%%41"), TargetPercentInvalid);
    refused(request("GET", "/%+4"), TargetPercentInvalid);
    refused(request("GET", "/?%u0041"), TargetPercentInvalid);
    refused(request("GET", "http://h/%"), TargetPercentInvalid);
    refused("GET /%4\r\n", TargetPercentInvalid);
}

#[test]
fn absolute_form() {
    for target in
        ["http://h/a", "http://h", "http://h?b", "http://h:80/", "http://h:/", "http://[::1]:80/a", "http://a.b-c_d~e/"]
    {
        let told = keeps(request("GET", target), &[200]);
        assert_eq!(told.seen[0].target, target.as_bytes());
    }
    keeps(request("GET", "HTTP://h/a"), &[200]);
}

#[test]
fn the_path_of_an_absolute_form_is_what_is_asked_for() {
    assert_eq!(routed(request("GET", "http://other/echo/a")).keeps(&[200]).answer().text(), "a");
    routed(request("GET", "http://h")).keeps(&[200]);
}

#[test]
fn the_authority_of_an_absolute_form_may_differ_from_host() {
    keeps("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", &[200]);
    script("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n").strict().keeps(&[200]);
}

#[test]
fn the_authority_of_an_absolute_form_is_a_host_and_a_port() {
    refused(request("GET", "http://"), TargetAuthorityInvalid);
    refused(request("GET", "http:///a"), TargetAuthorityInvalid);
    refused(request("GET", "http://?a"), TargetAuthorityInvalid);
    refused(request("GET", "http://u@h/"), TargetAuthorityInvalid);
    refused(request("GET", "http://u:p@h/"), TargetAuthorityInvalid);
    refused(request("GET", "http://:80/"), TargetAuthorityInvalid);
    refused(request("GET", "http://h:a/"), TargetAuthorityInvalid);
    refused(request("GET", "http://h:80:80/"), TargetAuthorityInvalid);
    refused(request("GET", "http://a,b/"), TargetAuthorityInvalid);
    refused(request("GET", "http://[::1/"), TargetAuthorityInvalid);
    refused(request("GET", "http://[x]/"), TargetAuthorityInvalid);
}

#[test]
fn other_forms_are_refused() {
    refused(request("GET", "*"), TargetFormInvalid);
    refused(request("GET", "a"), TargetFormInvalid);
    refused(request("GET", "h:80"), TargetFormInvalid);
    refused(request("GET", "?a"), TargetFormInvalid);
    refused(request("GET", "https://h/"), TargetFormInvalid);
    refused(request("GET", "ftp://h/"), TargetFormInvalid);
    refused(request("GET", "http:/h"), TargetFormInvalid);
    refused(request("GET", "http:h"), TargetFormInvalid);
    refused(request("GET", "%2f"), TargetFormInvalid);
    refused(request("PUT", "*"), TargetFormInvalid);
    refused(request("FOO", "*"), TargetFormInvalid);
    refused(request("OPTIONS", "**"), TargetFormInvalid);
    refused(request("OPTIONS", "*?a"), TargetFormInvalid);
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", TargetFormInvalid);
}

#[test]
fn authority_form_is_for_connect_alone() {
    let told = keeps(request("CONNECT", "h:80"), &[200]);
    assert_eq!(told.seen[0].target, b"h:80");
    keeps(request("CONNECT", "[::1]:443"), &[200]);
    refused(request("CONNECT", "/"), TargetFormInvalid);
    refused(request("CONNECT", "h"), TargetFormInvalid);
    refused(request("CONNECT", "h:"), TargetFormInvalid);
    refused(request("CONNECT", ":80"), TargetFormInvalid);
    refused(request("CONNECT", "u@h:80"), TargetFormInvalid);
    refused(request("CONNECT", "h:80/"), TargetFormInvalid);
    refused(request("CONNECT", "http://h:80"), TargetFormInvalid);
    refused(request("CONNECT", "*"), TargetFormInvalid);
    refused(request("GET", "h:80"), TargetFormInvalid);
}

#[test]
fn asterisk_form_is_for_options_alone() {
    let told = keeps(request("OPTIONS", "*"), &[200]);
    assert_eq!(told.seen[0].target, b"*");
    refused(request("DELETE", "*"), TargetFormInvalid);
}
