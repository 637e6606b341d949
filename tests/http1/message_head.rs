//! RFC 9112 §2.2, §3 and §5: the request-line and the field section.

use spindle::http1::Settings;
use spindle::http1::protocol_error::ProtocolError::*;

use crate::driver::{Reading, run};
use crate::probe::Probe;
use crate::script::{get, keeps, refused, script, waits};

/// A request of this request-line.
fn line(line: &str) -> String {
    format!("{line}\r\nHost: h\r\n\r\n")
}

/// A GET with this field line.
fn field(line: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\nHost: h\r\n", line.as_ref(), b"\r\n\r\n"].concat()
}

#[test]
fn one_empty_line_before_the_request_line_is_ignored() {
    keeps(format!("\r\n{}", get("/", "")), &[200]);
    keeps(format!("{}\r\n{}", get("/1", ""), get("/2", "")), &[200, 200]);
    keeps(format!("\r\n{}\r\n{}", get("/1", ""), get("/2", "")), &[200, 200]);
}

#[test]
fn more_than_one_empty_line_before_the_request_line_is_refused() {
    refused(format!("\r\n\r\n{}", get("/", "")), MethodInvalid);
    refused(format!("\n{}", get("/", "")), MethodInvalid);
    refused(format!("\r{}", get("/", "")), MethodInvalid);
    refused(format!("\r\n\n{}", get("/", "")), MethodInvalid);
    refused(format!("\r\n {}", get("/", "")), MethodInvalid);
}

#[test]
fn an_empty_line_alone_is_no_request() {
    keeps("\r\n", &[]);
    keeps("", &[]);
    let (outcome, mut driver) = run(Probe, Settings::default(), b"\r", &[], Reading::Everything, false);
    assert!(outcome.output.is_empty() && !outcome.ended);
    driver.receive_end();
    assert!(driver.output.is_empty() && driver.ended);
}

#[test]
fn a_line_ends_in_cr_lf_and_nothing_else() {
    refused("GET / HTTP/1.1\nHost: h\r\n\r\n", VersionInvalid);
    refused("GET / HTTP/1.1\rHost: h\r\n\r\n", VersionInvalid);
    refused("GET / HTTP/1.1\r\rHost: h\r\n\r\n", VersionInvalid);
    refused("GET / HTTP/1.1\r\nHost: h\n\r\n", LineEndInvalid);
    refused("GET / HTTP/1.1\r\nHost: h\r\r\n", LineEndInvalid);
    refused("GET / HTTP/1.1\r\nHost: h\rA: b\r\n\r\n", LineEndInvalid);
    refused("GET / HTTP/1.1\r\nHost: h\r\n\n", LineEndInvalid);
    refused("GET / HTTP/1.1\r\nHost: h\r\n\rA: b\r\n\r\n", LineEndInvalid);
    refused("GET / HTTP/1.1\r\nHost: h\n\n", LineEndInvalid);
    refused("GET / HTTP/1.1\r\n\n", LineEndInvalid);
}

#[test]
fn single_spaces_alone_part_the_request_line() {
    refused(line("GET  / HTTP/1.1"), TargetByteInvalid);
    refused(line("GET /  HTTP/1.1"), VersionInvalid);
    refused(line("GET\t/ HTTP/1.1"), MethodInvalid);
    refused(line("GET /\tHTTP/1.1"), TargetByteInvalid);
    refused(line(" GET / HTTP/1.1"), MethodInvalid);
    refused(line("GET / HTTP/1.1 "), VersionInvalid);
    refused(line("GET / HTTP/1.1\t"), VersionInvalid);
    refused(line("GET / HTTP/1.1 x"), VersionInvalid);
    refused(line("GET /\x0bHTTP/1.1"), TargetByteInvalid);
    refused(line("GET /\x0cHTTP/1.1"), TargetByteInvalid);
    refused(line("GET /a b HTTP/1.1"), VersionInvalid);
    refused(line("GET / / HTTP/1.1"), VersionInvalid);
}

#[test]
fn a_method_is_a_token() {
    refused(line("G(T / HTTP/1.1"), MethodInvalid);
    refused(line("GET: / HTTP/1.1"), MethodInvalid);
    refused(line("G\0T / HTTP/1.1"), MethodInvalid);
    refused(line("G\u{c9}T / HTTP/1.1"), MethodInvalid);
    refused(line("\"GET\" / HTTP/1.1"), MethodInvalid);
    refused(line("GET,POST / HTTP/1.1"), MethodInvalid);
    refused(line("{GET} / HTTP/1.1"), MethodInvalid);
    refused("\0\r\n\r\n", MethodInvalid);
    refused("GET\r\n\r\n", MethodInvalid);
    refused("\x16\x03\x01\x02\x00\x01\x00\x01", MethodInvalid);
    keeps(line("!#$%&'*+-.^_`|~09azAZ / HTTP/1.1"), &[501]);
}

#[test]
fn a_version_is_http_a_digit_a_dot_and_a_digit() {
    refused(line("GET / http/1.1"), VersionInvalid);
    refused(line("GET / Http/1.1"), VersionInvalid);
    refused(line("GET / HTTP/1"), VersionInvalid);
    refused(line("GET / HTTP/1."), VersionInvalid);
    refused(line("GET / HTTP/.1"), VersionInvalid);
    refused(line("GET / HTTP/01.1"), VersionInvalid);
    refused(line("GET / HTTP/1.01"), VersionInvalid);
    refused(line("GET / HTTP/1.10"), VersionInvalid);
    refused(line("GET / HTTP/11.1"), VersionInvalid);
    refused(line("GET / HTTP/1,1"), VersionInvalid);
    refused(line("GET / HTTP/+1.1"), VersionInvalid);
    refused(line("GET / HTTP/-1.1"), VersionInvalid);
    refused(line("GET / HTTP/a.1"), VersionInvalid);
    refused(line("GET / HTTP /1.1"), VersionInvalid);
    refused(line("GET / HTTP/ 1.1"), VersionInvalid);
    refused(line("GET / HTTPS/1.1"), VersionInvalid);
    refused(line("GET / ICE/1.0"), VersionInvalid);
    refused(line("GET / HTTP/1.1HTTP/1.1"), VersionInvalid);
    refused(line("GET / "), VersionInvalid);
    refused(line("GET /"), VersionMissing);
    refused("GET /\n", VersionMissing);
}

#[test]
fn a_later_minor_version_is_read_as_the_highest_that_is_known() {
    for minor in 1..=9 {
        let told = keeps(line(&format!("GET / HTTP/1.{minor}")), &[200]);
        assert!(!told.seen[0].is_version_10);
    }
    assert!(script(line("GET / HTTP/1.0")).ends(&[200]).seen[0].is_version_10);
}

#[test]
fn another_major_version_is_not_supported() {
    refused(line("GET / HTTP/0.9"), VersionNotSupported);
    refused(line("GET / HTTP/2.0"), VersionNotSupported);
    refused(line("GET / HTTP/2.1"), VersionNotSupported);
    refused(line("GET / HTTP/3.0"), VersionNotSupported);
    refused(line("GET / HTTP/9.9"), VersionNotSupported);
}

#[test]
fn a_field_name_is_a_token_and_a_colon_follows_at_once() {
    refused(field("A : b"), SpaceBeforeColon);
    refused(field("A\t: b"), SpaceBeforeColon);
    refused(field("Content-Length : 5"), SpaceBeforeColon);
    refused(field("Transfer-Encoding : chunked"), SpaceBeforeColon);
    refused(field(": b"), FieldNameEmpty);
    refused(field("A b: c"), SpaceBeforeColon);
    refused(field("A"), FieldColonMissing);
    refused(field("A\n"), FieldColonMissing);
    refused(field("A(: b"), FieldNameInvalid);
    refused(field("A\0: b"), FieldNameInvalid);
    refused(field("A\x0b: b"), FieldNameInvalid);
    refused(field("A\x7f: b"), FieldNameInvalid);
    refused(field("\u{e9}: b"), FieldNameInvalid);
    refused(field("A/b: c"), FieldNameInvalid);
    refused(field("\"A\": b"), FieldNameInvalid);
    refused(field("[A]: b"), FieldNameInvalid);
    keeps(field("!#$%&'*+-.^_`|~09azAZ: b"), &[200]);
}

#[test]
fn no_line_is_folded_or_indented() {
    refused(field("A: b\r\n c"), FieldLineIndented);
    refused(field("A: b\r\n\tc"), FieldLineIndented);
    refused(field("A: b\r\n \r\nC: d"), FieldLineIndented);
    refused("GET / HTTP/1.1\r\n Host: h\r\n\r\n", FieldLineIndented);
    refused("GET / HTTP/1.1\r\n\tHost: h\r\n\r\n", FieldLineIndented);
    refused("GET / HTTP/1.1\r\n \r\n\r\n", FieldLineIndented);
}

#[test]
fn a_field_value_holds_no_control_byte() {
    for byte in (0..0x20_u8).filter(|byte| !matches!(byte, b'\t' | b'\r' | b'\n')).chain([0x7f]) {
        refused(field([b"A: b", &[byte][..], b"c"].concat()), FieldValueInvalid);
        refused(field([b"A:", &[byte][..]].concat()), FieldValueInvalid);
    }
}

#[test]
fn a_field_value_may_hold_tabs_and_bytes_beyond_ascii() {
    let told = keeps(field(b"A: \x80\xff b\tc \"d\" (e),;"), &[200]);
    assert_eq!(told.seen[0].fields[1], (b"A".to_vec(), b"\x80\xff b\tc \"d\" (e),;".to_vec()));
}

#[test]
fn white_space_around_a_value_is_no_part_of_it() {
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
        let told = keeps(field(sent), &[200]);
        assert_eq!(told.seen[0].fields[1], (b"A".to_vec(), value.to_vec()), "{sent}");
    }
}

#[test]
fn field_names_are_known_in_any_case() {
    for name in ["Host", "host", "HOST", "hOsT"] {
        let told = script(format!("GET / HTTP/1.1\r\n{name}: h\r\n\r\n")).strict().keeps(&[200]);
        assert_eq!(told.seen[0].hosts, [b"h"]);
    }
}

#[test]
fn fields_reach_the_service_in_their_order() {
    let told = keeps("GET / HTTP/1.1\r\nB: 1\r\nHost: h\r\nA: 2\r\nb: 3\r\n\r\n", &[200]);
    let fields: Vec<_> = told.seen[0].fields.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    assert_eq!(fields, [(&b"B"[..], &b"1"[..]), (b"Host", b"h"), (b"A", b"2"), (b"b", b"3")]);
}

#[test]
fn a_head_that_the_peer_does_not_finish_is_refused_at_its_end() {
    waits("G", HeadIncomplete);
    waits("GET ", HeadIncomplete);
    waits("GET /%", HeadIncomplete);
    waits("GET / HTTP/1.", HeadIncomplete);
    waits("GET / HTTP/1.1\r", HeadIncomplete);
    waits("GET / HTTP/1.1\r\n", HeadIncomplete);
    waits("GET / HTTP/1.1\r\nHost", HeadIncomplete);
    waits("GET / HTTP/1.1\r\nHost: h\r", HeadIncomplete);
    waits("GET / HTTP/1.1\r\nHost: h\r\n\r", HeadIncomplete);
    waits("\r\nGET / HTTP/1.1\r\n", HeadIncomplete);
}

#[test]
fn the_protocol_error_whose_bytes_end_first_counts() {
    refused("G(T /# HTTP/9.9\n : \n", MethodInvalid);
    refused("GET /# HTTP/9.9\n : \n", TargetFragment);
    refused("GET / HTTP/9.9\n : \n", VersionInvalid);
    refused("GET / HTTP/9.9\r\n : \n", VersionNotSupported);
    refused("GET / HTTP/1.1\r\nA : \n\x00", SpaceBeforeColon);
    refused("GET / HTTP/1.1\r\nContent-Length: x\r\nA : b\r\n\r\n", SpaceBeforeColon);
}

#[test]
fn nothing_behind_a_protocol_error_is_parsed() {
    refused(format!("GET  / HTTP/1.1\r\n\r\n{}{}", get("/", ""), get("/", "")), TargetByteInvalid);
    let told = script(format!("{}G(T\r\n{}", get("/1", ""), get("/2", ""))).ends(&[200, 400]);
    assert_eq!(told.seen.len(), 1);
}
