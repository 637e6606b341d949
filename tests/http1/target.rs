//! RFC 9112 §3.2 and RFC 9110 §4.2: the request target in its four forms.

use spindle::http1::protocol_error::ProtocolError::*;

use crate::script::{assert_rejected, assert_stays_open, routes_script, script};

fn request(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

#[test]
fn origin_form_is_accepted() {
    for target in ["/", "/a", "/a/b", "/a?b", "/?", "/a//b", "//a", "/a?b?c", "/%41%7e%E2", "/!$&'()*+,;=:@-._~", "/.."]
    {
        let result = assert_stays_open(request("GET", target), &[200]);
        assert_eq!(result.requests[0].target, target.as_bytes());
    }
}

#[test]
fn the_query_does_not_affect_routing() {
    assert_eq!(routes_script(request("GET", "/echo/a?b")).assert_stays_open(&[200]).response().text(), "a");
    routes_script(request("GET", "/?a=b")).assert_stays_open(&[200]);
    routes_script(request("GET", "http://h?a=b")).assert_stays_open(&[200]);
}

#[test]
fn a_fragment_is_rejected() {
    assert_rejected(request("GET", "/#a"), TargetFragment);
    assert_rejected(request("GET", "/a?b#"), TargetFragment);
    assert_rejected(request("GET", "#"), TargetFragment);
    assert_rejected(request("GET", "http://h/#a"), TargetFragment);
}

#[test]
fn a_byte_that_no_client_sends_unencoded_is_rejected() {
    for byte in (0..=0x20_u8).chain(*b"\"<>\x7f").chain(0x80..=0xff) {
        if matches!(byte, b' ' | b'\r' | b'\n') {
            continue;
        }
        for target in [&b"/a"[..], b"/?", b"http://h/a", b"http://h?"] {
            assert_rejected(
                [b"GET ", target, &[byte][..], b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat(),
                TargetByteInvalid,
            );
        }
    }
    assert_rejected(request("GET", "/\u{e9}"), TargetByteInvalid);
    // A backslash is rejected in the path only: some clients and servers treat it as a slash there.
    assert_rejected(request("GET", "/\\"), TargetByteInvalid);
    assert_rejected(request("GET", "/a\\b?c"), TargetByteInvalid);
    assert_rejected(request("GET", "http://h/a\\b?c"), TargetByteInvalid);
    assert!(TargetByteInvalid.reason().contains("percent-encoded"));
}

/// Chromium, wget, `curl -g`, Node's fetch, Go and Python send some of them without percent-encoding.
#[test]
fn bytes_that_clients_send_unencoded_are_rejected_only_in_strict_mode() {
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
        let result = assert_stays_open(request("GET", target), &[200]);
        assert_eq!(result.requests[0].target, target.as_bytes());
        assert_eq!(script(request("GET", target)).strict().assert_rejected(TargetByteInvalid).requests, []);
    }
    assert_eq!(
        routes_script(request("GET", "/echo/[|^{}`]?\\")).assert_stays_open(&[200]).response().text(),
        "[|^{}`]"
    );
    script(request("GET", "http://[::1]/a?%5B")).strict().assert_stays_open(&[200]);
    script(request("OPTIONS", "*")).strict().assert_stays_open(&[200]);
    // A host contains none of them, in either mode.
    assert_rejected(request("GET", "http://a|b/"), TargetAuthorityInvalid);
    assert_rejected(request("GET", "http://a{b}"), TargetAuthorityInvalid);
    assert_rejected(request("CONNECT", "a^b:80"), TargetFormInvalid);
}

#[test]
fn a_percent_sign_must_be_followed_by_two_hexadecimal_digits() {
    assert_rejected(request("GET", "/%"), TargetPercentInvalid);
    assert_rejected(request("GET", "/%4"), TargetPercentInvalid);
    assert_rejected(request("GET", "/%4g"), TargetPercentInvalid);
    assert_rejected(request("GET", "/%g4"), TargetPercentInvalid);
    assert_rejected(request("GET", "/%%41"), TargetPercentInvalid);
    assert_rejected(request("GET", "/%+4"), TargetPercentInvalid);
    assert_rejected(request("GET", "/?%u0041"), TargetPercentInvalid);
    assert_rejected(request("GET", "http://h/%"), TargetPercentInvalid);
    assert_rejected("GET /%4\r\n", TargetPercentInvalid);
}

#[test]
fn absolute_form_is_accepted() {
    for target in
        ["http://h/a", "http://h", "http://h?b", "http://h:80/", "http://h:/", "http://[::1]:80/a", "http://a.b-c_d~e/"]
    {
        let result = assert_stays_open(request("GET", target), &[200]);
        assert_eq!(result.requests[0].target, target.as_bytes());
    }
    assert_stays_open(request("GET", "HTTP://h/a"), &[200]);
}

#[test]
fn an_absolute_form_is_routed_by_its_path() {
    assert_eq!(routes_script(request("GET", "http://other/echo/a")).assert_stays_open(&[200]).response().text(), "a");
    routes_script(request("GET", "http://h")).assert_stays_open(&[200]);
}

#[test]
fn the_authority_of_an_absolute_form_may_differ_from_host() {
    assert_stays_open("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", &[200]);
    script("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n").strict().assert_stays_open(&[200]);
}

#[test]
fn an_absolute_form_with_an_invalid_authority_is_rejected() {
    assert_rejected(request("GET", "http://"), TargetAuthorityInvalid);
    assert_rejected(request("GET", "http:///a"), TargetAuthorityInvalid);
    assert_rejected(request("GET", "http://?a"), TargetAuthorityInvalid);
    assert_rejected(request("GET", "http://u@h/"), TargetAuthorityInvalid);
    assert_rejected(request("GET", "http://u:p@h/"), TargetAuthorityInvalid);
    assert_rejected(request("GET", "http://:80/"), TargetAuthorityInvalid);
    assert_rejected(request("GET", "http://h:a/"), TargetAuthorityInvalid);
    assert_rejected(request("GET", "http://h:80:80/"), TargetAuthorityInvalid);
    assert_rejected(request("GET", "http://a,b/"), TargetAuthorityInvalid);
    assert_rejected(request("GET", "http://[::1/"), TargetAuthorityInvalid);
    assert_rejected(request("GET", "http://[x]/"), TargetAuthorityInvalid);
}

#[test]
fn other_target_forms_are_rejected() {
    assert_rejected(request("GET", "*"), TargetFormInvalid);
    assert_rejected(request("GET", "a"), TargetFormInvalid);
    assert_rejected(request("GET", "h:80"), TargetFormInvalid);
    assert_rejected(request("GET", "?a"), TargetFormInvalid);
    assert_rejected(request("GET", "https://h/"), TargetFormInvalid);
    assert_rejected(request("GET", "ftp://h/"), TargetFormInvalid);
    assert_rejected(request("GET", "http:/h"), TargetFormInvalid);
    assert_rejected(request("GET", "http:h"), TargetFormInvalid);
    assert_rejected(request("GET", "%2f"), TargetFormInvalid);
    assert_rejected(request("PUT", "*"), TargetFormInvalid);
    assert_rejected(request("FOO", "*"), TargetFormInvalid);
    assert_rejected(request("OPTIONS", "**"), TargetFormInvalid);
    assert_rejected(request("OPTIONS", "*?a"), TargetFormInvalid);
    assert_rejected("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", TargetFormInvalid);
}

#[test]
fn authority_form_is_accepted_only_for_connect() {
    let result = assert_stays_open(request("CONNECT", "h:80"), &[200]);
    assert_eq!(result.requests[0].target, b"h:80");
    assert_stays_open(request("CONNECT", "[::1]:443"), &[200]);
    assert_rejected(request("CONNECT", "/"), TargetFormInvalid);
    assert_rejected(request("CONNECT", "h"), TargetFormInvalid);
    assert_rejected(request("CONNECT", "h:"), TargetFormInvalid);
    assert_rejected(request("CONNECT", ":80"), TargetFormInvalid);
    assert_rejected(request("CONNECT", "u@h:80"), TargetFormInvalid);
    assert_rejected(request("CONNECT", "h:80/"), TargetFormInvalid);
    assert_rejected(request("CONNECT", "http://h:80"), TargetFormInvalid);
    assert_rejected(request("CONNECT", "*"), TargetFormInvalid);
    assert_rejected(request("GET", "h:80"), TargetFormInvalid);
}

#[test]
fn asterisk_form_is_accepted_only_for_options() {
    let result = assert_stays_open(request("OPTIONS", "*"), &[200]);
    assert_eq!(result.requests[0].target, b"*");
    assert_rejected(request("DELETE", "*"), TargetFormInvalid);
}
