//! RFC 9110 §12.5.3 and §8.4: gzip, for those who accept it.

use std::io::Read;

use crate::script::routed;

/// `abc` in the gzip format: no time, and Unix for the system.
const ABC: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x4c\x4a\x06\x00\xc2\x41\x24\x35\x03\x00\x00\x00";

fn request(lines: &str) -> String {
    format!("GET /echo/abc HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
}

#[track_caller]
fn gzip(lines: &str) {
    let told = routed(request(lines)).keeps(&[200]);
    let answer = told.answer();
    assert_eq!(answer.field("Content-Encoding"), Some("gzip"), "{lines}");
    assert_eq!(answer.field("Vary"), Some("Accept-Encoding"));
    assert_eq!(answer.content.as_deref(), Some(ABC));
    assert_eq!(answer.field("Content-Type"), Some("text/plain"));
}

#[track_caller]
fn identity(lines: &str) {
    let told = routed(request(lines)).keeps(&[200]);
    let answer = told.answer();
    assert_eq!(answer.field("Content-Encoding"), None, "{lines}");
    assert_eq!(answer.field("Vary"), Some("Accept-Encoding"));
    assert_eq!(answer.text(), "abc");
}

#[track_caller]
fn neither(lines: &str) {
    let told = routed(request(lines)).keeps(&[406]);
    assert_eq!(told.answer().field("Vary"), Some("Accept-Encoding"));
}

#[test]
fn gzip_for_those_who_accept_it() {
    gzip("Accept-Encoding: gzip\r\n");
    gzip("accept-encoding: GZIP\r\n");
    gzip("Accept-Encoding: x-gzip\r\n");
    gzip("Accept-Encoding: invalid-1, gzip, invalid-2\r\n");
    gzip("Accept-Encoding: ,, gzip ,,\r\n");
    gzip("Accept-Encoding: br;q=1.0, gzip;q=0.001\r\n");
    gzip("Accept-Encoding: gzip\t;\tq=0.5\r\n");
    gzip("Accept-Encoding: gzip;Q=1.000\r\n");
    gzip("Accept-Encoding: *\r\n");
    gzip("Accept-Encoding: identity;q=0.5, *;q=0.5\r\n");
    gzip("Accept-Encoding: identity;q=0.5, gzip;q=0.5\r\n");
    gzip("Accept-Encoding: identity;q=0, gzip;q=0.1\r\n");
    gzip("Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n");
}

#[test]
fn identity_for_all_others() {
    identity("");
    identity("Accept-Encoding:\r\n");
    identity("Accept-Encoding: br, deflate\r\n");
    identity("Accept-Encoding: invalid-encoding\r\n");
    identity("Accept-Encoding: gzip;q=0\r\n");
    identity("Accept-Encoding: gzip;q=0.000\r\n");
    identity("Accept-Encoding: gzip;q=0, *\r\n");
    identity("Accept-Encoding: identity;q=0.8, gzip;q=0.7\r\n");
    identity("Accept-Encoding: identity, *;q=0\r\n");
    identity("Accept-Encoding: gzipped\r\n");
    identity("Accept: gzip\r\n");
    identity("TE: gzip\r\n");
}

#[test]
fn what_breaks_the_grammar_counts_as_not_sent() {
    identity("Accept-Encoding: gzip;q=2\r\n");
    identity("Accept-Encoding: gzip;q=1.001\r\n");
    identity("Accept-Encoding: gzip;q=0.0001\r\n");
    identity("Accept-Encoding: gzip;q=+1\r\n");
    identity("Accept-Encoding: gzip;q=.5\r\n");
    identity("Accept-Encoding: gzip;q=\r\n");
    identity("Accept-Encoding: gzip;q\r\n");
    identity("Accept-Encoding: gzip;\r\n");
    identity("Accept-Encoding: gzip;q = 1\r\n");
    identity("Accept-Encoding: gzip;a=b\r\n");
    identity("Accept-Encoding: gzip gzip\r\n");
    identity("Accept-Encoding: \"gzip\"\r\n");
    identity("Accept-Encoding: gzip\u{a0}\r\n");
}

#[test]
fn a_star_weighs_identity_too() {
    identity("Accept-Encoding: gzip;q=0.4, *;q=0.8\r\n");
    gzip("Accept-Encoding: gzip;q=0.8, *;q=0.4\r\n");
    identity("Accept-Encoding: *;q=0.5, gzip;q=0.499\r\n");
}

#[test]
fn where_neither_is_acceptable_neither_is_sent() {
    neither("Accept-Encoding: identity;q=0\r\n");
    neither("Accept-Encoding: *;q=0\r\n");
    neither("Accept-Encoding: identity;q=0, gzip;q=0\r\n");
    neither("Accept-Encoding: br, *;q=0\r\n");
}

#[test]
fn what_is_compressed_is_what_would_have_been_sent() {
    let told = routed("GET /user-agent HTTP/1.1\r\nHost: h\r\nUser-Agent: \u{e9}\tb\r\nAccept-Encoding: gzip\r\n\r\n")
        .keeps(&[200]);
    let mut content = String::new();
    flate2::read::GzDecoder::new(told.answer().content.as_deref().unwrap()).read_to_string(&mut content).unwrap();
    assert_eq!(content, "\u{e9}\tb");
}

#[test]
fn one_compressor_serves_one_answer_after_the_other() {
    let told = routed(request("Accept-Encoding: gzip\r\n").repeat(3)).keeps(&[200, 200, 200]);
    assert!(told.answers.iter().all(|answer| answer.content.as_deref() == Some(ABC)));
}

#[test]
fn an_answer_without_content_is_not_coded() {
    let told = routed("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n").keeps(&[200]);
    assert_eq!((told.answer().field("Content-Encoding"), told.answer().field("Vary")), (None, None));
    routed("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: *;q=0\r\n\r\n").keeps(&[200]);
    routed("GET /nothing HTTP/1.1\r\nHost: h\r\nAccept-Encoding: *;q=0\r\n\r\n").keeps(&[404]);
}
