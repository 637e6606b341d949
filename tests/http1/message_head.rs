//! RFC 9112 §2.2, §3 and §5: the request-line and the field section.

use spindle::http1::Settings;
use spindle::http1::protocol_error::ProtocolError::*;

use crate::driver::{ReadMode, run};
use crate::script::{assert_incomplete, assert_rejected, assert_stays_open, get, script};
use crate::service::TestService;

/// A request with this request-line and a Host.
fn line(line: &str) -> String {
    format!("{line}\r\nHost: h\r\n\r\n")
}

/// A GET with a Host and this field line.
fn field(line: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\nHost: h\r\n", line.as_ref(), b"\r\n\r\n"].concat()
}

#[test]
fn one_empty_line_before_the_request_line_is_ignored() {
    assert_stays_open(format!("\r\n{}", get("/", "")), &[200]);
    assert_stays_open(format!("{}\r\n{}", get("/1", ""), get("/2", "")), &[200, 200]);
    assert_stays_open(format!("\r\n{}\r\n{}", get("/1", ""), get("/2", "")), &[200, 200]);
}

#[test]
fn more_than_one_empty_line_before_the_request_line_is_rejected() {
    assert_rejected(format!("\r\n\r\n{}", get("/", "")), MethodInvalid);
    assert_rejected(format!("\n{}", get("/", "")), MethodInvalid);
    assert_rejected(format!("\r{}", get("/", "")), MethodInvalid);
    assert_rejected(format!("\r\n\n{}", get("/", "")), MethodInvalid);
    assert_rejected(format!("\r\n {}", get("/", "")), MethodInvalid);
}

#[test]
fn an_empty_line_alone_is_not_a_request() {
    assert_stays_open("\r\n", &[]);
    assert_stays_open("", &[]);
    let (transcript, mut driver) = run(TestService, Settings::default(), b"\r", &[], ReadMode::Immediate, false);
    assert!(transcript.output.is_empty() && !transcript.eof_sent);
    driver.half_close();
    assert!(driver.output.is_empty() && driver.eof_sent);
}

#[test]
fn lines_end_only_in_crlf() {
    assert_rejected("GET / HTTP/1.1\nHost: h\r\n\r\n", VersionInvalid);
    assert_rejected("GET / HTTP/1.1\rHost: h\r\n\r\n", VersionInvalid);
    assert_rejected("GET / HTTP/1.1\r\rHost: h\r\n\r\n", VersionInvalid);
    assert_rejected("GET / HTTP/1.1\r\nHost: h\n\r\n", LineEndInvalid);
    assert_rejected("GET / HTTP/1.1\r\nHost: h\r\r\n", LineEndInvalid);
    assert_rejected("GET / HTTP/1.1\r\nHost: h\rA: b\r\n\r\n", LineEndInvalid);
    assert_rejected("GET / HTTP/1.1\r\nHost: h\r\n\n", LineEndInvalid);
    assert_rejected("GET / HTTP/1.1\r\nHost: h\r\n\rA: b\r\n\r\n", LineEndInvalid);
    assert_rejected("GET / HTTP/1.1\r\nHost: h\n\n", LineEndInvalid);
    assert_rejected("GET / HTTP/1.1\r\n\n", LineEndInvalid);
}

#[test]
fn the_request_line_is_separated_by_single_spaces() {
    assert_rejected(line("GET  / HTTP/1.1"), TargetByteInvalid);
    assert_rejected(line("GET /  HTTP/1.1"), VersionInvalid);
    assert_rejected(line("GET\t/ HTTP/1.1"), MethodInvalid);
    assert_rejected(line("GET /\tHTTP/1.1"), TargetByteInvalid);
    assert_rejected(line(" GET / HTTP/1.1"), MethodInvalid);
    assert_rejected(line("GET / HTTP/1.1 "), VersionInvalid);
    assert_rejected(line("GET / HTTP/1.1\t"), VersionInvalid);
    assert_rejected(line("GET / HTTP/1.1 x"), VersionInvalid);
    assert_rejected(line("GET /\x0bHTTP/1.1"), TargetByteInvalid);
    assert_rejected(line("GET /\x0cHTTP/1.1"), TargetByteInvalid);
    assert_rejected(line("GET /a b HTTP/1.1"), VersionInvalid);
    assert_rejected(line("GET / / HTTP/1.1"), VersionInvalid);
}

#[test]
fn a_method_is_a_token() {
    assert_rejected(line("G(T / HTTP/1.1"), MethodInvalid);
    assert_rejected(line("GET: / HTTP/1.1"), MethodInvalid);
    assert_rejected(line("G\0T / HTTP/1.1"), MethodInvalid);
    assert_rejected(line("G\u{c9}T / HTTP/1.1"), MethodInvalid);
    assert_rejected(line("\"GET\" / HTTP/1.1"), MethodInvalid);
    assert_rejected(line("GET,POST / HTTP/1.1"), MethodInvalid);
    assert_rejected(line("{GET} / HTTP/1.1"), MethodInvalid);
    assert_rejected("\0\r\n\r\n", MethodInvalid);
    assert_rejected("GET\r\n\r\n", MethodInvalid);
    assert_rejected("\x16\x03\x01\x02\x00\x01\x00\x01", MethodInvalid);
    assert_stays_open(line("!#$%&'*+-.^_`|~09azAZ / HTTP/1.1"), &[501]);
}

#[test]
fn a_malformed_version_is_rejected() {
    assert_rejected(line("GET / http/1.1"), VersionInvalid);
    assert_rejected(line("GET / Http/1.1"), VersionInvalid);
    assert_rejected(line("GET / HTTP/1"), VersionInvalid);
    assert_rejected(line("GET / HTTP/1."), VersionInvalid);
    assert_rejected(line("GET / HTTP/.1"), VersionInvalid);
    assert_rejected(line("GET / HTTP/01.1"), VersionInvalid);
    assert_rejected(line("GET / HTTP/1.01"), VersionInvalid);
    assert_rejected(line("GET / HTTP/1.10"), VersionInvalid);
    assert_rejected(line("GET / HTTP/11.1"), VersionInvalid);
    assert_rejected(line("GET / HTTP/1,1"), VersionInvalid);
    assert_rejected(line("GET / HTTP/+1.1"), VersionInvalid);
    assert_rejected(line("GET / HTTP/-1.1"), VersionInvalid);
    assert_rejected(line("GET / HTTP/a.1"), VersionInvalid);
    assert_rejected(line("GET / HTTP /1.1"), VersionInvalid);
    assert_rejected(line("GET / HTTP/ 1.1"), VersionInvalid);
    assert_rejected(line("GET / HTTPS/1.1"), VersionInvalid);
    assert_rejected(line("GET / ICE/1.0"), VersionInvalid);
    assert_rejected(line("GET / HTTP/1.1HTTP/1.1"), VersionInvalid);
    assert_rejected(line("GET / "), VersionInvalid);
    assert_rejected(line("GET /"), VersionMissing);
    assert_rejected("GET /\n", VersionMissing);
}

#[test]
fn a_higher_minor_version_is_treated_as_http_11() {
    for minor in 1..=9 {
        let result = assert_stays_open(line(&format!("GET / HTTP/1.{minor}")), &[200]);
        assert!(!result.requests[0].is_http_10);
    }
    assert!(script(line("GET / HTTP/1.0")).assert_closes(&[200]).requests[0].is_http_10);
}

#[test]
fn another_major_version_is_not_supported() {
    assert_rejected(line("GET / HTTP/0.9"), VersionNotSupported);
    assert_rejected(line("GET / HTTP/2.0"), VersionNotSupported);
    assert_rejected(line("GET / HTTP/2.1"), VersionNotSupported);
    assert_rejected(line("GET / HTTP/3.0"), VersionNotSupported);
    assert_rejected(line("GET / HTTP/9.9"), VersionNotSupported);
}

#[test]
fn a_field_name_is_a_token_followed_directly_by_a_colon() {
    assert_rejected(field("A : b"), SpaceBeforeColon);
    assert_rejected(field("A\t: b"), SpaceBeforeColon);
    assert_rejected(field("Content-Length : 5"), SpaceBeforeColon);
    assert_rejected(field("Transfer-Encoding : chunked"), SpaceBeforeColon);
    assert_rejected(field(": b"), FieldNameEmpty);
    assert_rejected(field("A b: c"), SpaceBeforeColon);
    assert_rejected(field("A"), FieldColonMissing);
    assert_rejected(field("A\n"), FieldColonMissing);
    assert_rejected(field("A(: b"), FieldNameInvalid);
    assert_rejected(field("A\0: b"), FieldNameInvalid);
    assert_rejected(field("A\x0b: b"), FieldNameInvalid);
    assert_rejected(field("A\x7f: b"), FieldNameInvalid);
    assert_rejected(field("\u{e9}: b"), FieldNameInvalid);
    assert_rejected(field("A/b: c"), FieldNameInvalid);
    assert_rejected(field("\"A\": b"), FieldNameInvalid);
    assert_rejected(field("[A]: b"), FieldNameInvalid);
    assert_stays_open(field("!#$%&'*+-.^_`|~09azAZ: b"), &[200]);
}

#[test]
fn folded_and_indented_lines_are_rejected() {
    assert_rejected(field("A: b\r\n c"), FieldLineIndented);
    assert_rejected(field("A: b\r\n\tc"), FieldLineIndented);
    assert_rejected(field("A: b\r\n \r\nC: d"), FieldLineIndented);
    assert_rejected("GET / HTTP/1.1\r\n Host: h\r\n\r\n", FieldLineIndented);
    assert_rejected("GET / HTTP/1.1\r\n\tHost: h\r\n\r\n", FieldLineIndented);
    assert_rejected("GET / HTTP/1.1\r\n \r\n\r\n", FieldLineIndented);
}

#[test]
fn a_control_byte_in_a_field_value_is_rejected() {
    for byte in (0..0x20_u8).filter(|byte| !matches!(byte, b'\t' | b'\r' | b'\n')).chain([0x7f]) {
        assert_rejected(field([b"A: b", &[byte][..], b"c"].concat()), FieldValueInvalid);
        assert_rejected(field([b"A:", &[byte][..]].concat()), FieldValueInvalid);
    }
}

#[test]
fn a_field_value_may_contain_tabs_and_non_ascii_bytes() {
    let result = assert_stays_open(field(b"A: \x80\xff b\tc \"d\" (e),;"), &[200]);
    assert_eq!(result.requests[0].fields[1], (b"A".to_vec(), b"\x80\xff b\tc \"d\" (e),;".to_vec()));
}

#[test]
fn white_space_around_a_field_value_is_removed() {
    for (sent, value) in [
        ("A:b", &b"b"[..]),
        ("A: b", b"b"),
        ("A: \t b \t ", b"b"),
        ("A:", b""),
        ("A:   ", b""),
        ("A:\t", b""),
        ("A: b  c ", b"b  c"),
        ("A: : ", b":"),
    ] {
        let result = assert_stays_open(field(sent), &[200]);
        assert_eq!(result.requests[0].fields[1], (b"A".to_vec(), value.to_vec()), "{sent}");
    }
}

#[test]
fn field_names_are_case_insensitive() {
    for name in ["Host", "host", "HOST", "hOsT"] {
        let result = script(format!("GET / HTTP/1.1\r\n{name}: h\r\n\r\n")).strict().assert_stays_open(&[200]);
        assert_eq!(result.requests[0].hosts, [b"h"]);
    }
}

#[test]
fn fields_reach_the_service_in_order() {
    let result = assert_stays_open("GET / HTTP/1.1\r\nB: 1\r\nHost: h\r\nA: 2\r\nb: 3\r\n\r\n", &[200]);
    let fields: Vec<_> = result.requests[0].fields.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    assert_eq!(fields, [(&b"B"[..], &b"1"[..]), (b"Host", b"h"), (b"A", b"2"), (b"b", b"3")]);
}

#[test]
fn an_unfinished_head_is_rejected_when_the_client_half_closes() {
    assert_incomplete("G", HeadIncomplete);
    assert_incomplete("GET ", HeadIncomplete);
    assert_incomplete("GET /%", HeadIncomplete);
    assert_incomplete("GET / HTTP/1.", HeadIncomplete);
    assert_incomplete("GET / HTTP/1.1\r", HeadIncomplete);
    assert_incomplete("GET / HTTP/1.1\r\n", HeadIncomplete);
    assert_incomplete("GET / HTTP/1.1\r\nHost", HeadIncomplete);
    assert_incomplete("GET / HTTP/1.1\r\nHost: h\r", HeadIncomplete);
    assert_incomplete("GET / HTTP/1.1\r\nHost: h\r\n\r", HeadIncomplete);
    assert_incomplete("\r\nGET / HTTP/1.1\r\n", HeadIncomplete);
}

#[test]
fn the_first_protocol_error_in_the_input_is_reported() {
    assert_rejected("G(T /# HTTP/9.9\n : \n", MethodInvalid);
    assert_rejected("GET /# HTTP/9.9\n : \n", TargetFragment);
    assert_rejected("GET / HTTP/9.9\n : \n", VersionInvalid);
    assert_rejected("GET / HTTP/9.9\r\n : \n", VersionNotSupported);
    assert_rejected("GET / HTTP/1.1\r\nA : \n\x00", SpaceBeforeColon);
    assert_rejected("GET / HTTP/1.1\r\nContent-Length: x\r\nA : b\r\n\r\n", SpaceBeforeColon);
}

#[test]
fn nothing_after_a_protocol_error_is_parsed() {
    assert_rejected(format!("GET  / HTTP/1.1\r\n\r\n{}{}", get("/", ""), get("/", "")), TargetByteInvalid);
    let result = script(format!("{}G(T\r\n{}", get("/1", ""), get("/2", ""))).assert_closes(&[200, 400]);
    assert_eq!(result.requests.len(), 1);
}
