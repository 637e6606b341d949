//! RFC 9110 §12.5.3 and §8.4: Accept-Encoding, and content in gzip.

use std::io::Read;

use crate::script::routes_script;

/// `abc` in the gzip format, without a modification time, by the fastest algorithm, and with Unix as the operating
/// system.
const ABC: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\x03\x4b\x4c\x4a\x06\x00\xc2\x41\x24\x35\x03\x00\x00\x00";

fn request(lines: &str) -> String {
    format!("GET /echo/abc HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
}

#[track_caller]
fn assert_gzip(lines: &str) {
    let result = routes_script(request(lines)).assert_stays_open(&[200]);
    let response = result.response();
    assert_eq!(response.field("Content-Encoding"), Some("gzip"), "{lines}");
    assert_eq!(response.field("Vary"), Some("Accept-Encoding"));
    assert_eq!(response.content.as_deref(), Some(ABC));
    assert_eq!(response.field("Content-Type"), Some("text/plain"));
}

#[track_caller]
fn assert_identity(lines: &str) {
    let result = routes_script(request(lines)).assert_stays_open(&[200]);
    let response = result.response();
    assert_eq!(response.field("Content-Encoding"), None, "{lines}");
    assert_eq!(response.field("Vary"), Some("Accept-Encoding"));
    assert_eq!(response.text(), "abc");
}

#[track_caller]
fn assert_not_acceptable(lines: &str) {
    let result = routes_script(request(lines)).assert_stays_open(&[406]);
    assert_eq!(result.response().field("Vary"), Some("Accept-Encoding"));
}

#[test]
fn gzip_is_sent_to_clients_that_accept_it() {
    assert_gzip("Accept-Encoding: gzip\r\n");
    assert_gzip("accept-encoding: GZIP\r\n");
    assert_gzip("Accept-Encoding: x-gzip\r\n");
    assert_gzip("Accept-Encoding: invalid-1, gzip, invalid-2\r\n");
    assert_gzip("Accept-Encoding: ,, gzip ,,\r\n");
    assert_gzip("Accept-Encoding: br;q=1.0, gzip;q=0.001\r\n");
    assert_gzip("Accept-Encoding: gzip\t;\tq=0.5\r\n");
    assert_gzip("Accept-Encoding: gzip;Q=1.000\r\n");
    assert_gzip("Accept-Encoding: *\r\n");
    assert_gzip("Accept-Encoding: identity;q=0.5, *;q=0.5\r\n");
    assert_gzip("Accept-Encoding: identity;q=0.5, gzip;q=0.5\r\n");
    assert_gzip("Accept-Encoding: identity;q=0, gzip;q=0.1\r\n");
    assert_gzip("Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n");
}

#[test]
fn identity_is_sent_to_all_other_clients() {
    assert_identity("");
    assert_identity("Accept-Encoding:\r\n");
    assert_identity("Accept-Encoding: br, deflate\r\n");
    assert_identity("Accept-Encoding: invalid-encoding\r\n");
    assert_identity("Accept-Encoding: gzip;q=0\r\n");
    assert_identity("Accept-Encoding: gzip;q=0.000\r\n");
    assert_identity("Accept-Encoding: gzip;q=0, *\r\n");
    assert_identity("Accept-Encoding: identity;q=0.8, gzip;q=0.7\r\n");
    assert_identity("Accept-Encoding: identity, *;q=0\r\n");
    assert_identity("Accept-Encoding: gzipped\r\n");
    assert_identity("Accept: gzip\r\n");
    assert_identity("TE: gzip\r\n");
}

#[test]
fn malformed_members_of_accept_encoding_are_ignored() {
    assert_identity("Accept-Encoding: gzip;q=2\r\n");
    assert_identity("Accept-Encoding: gzip;q=1.001\r\n");
    assert_identity("Accept-Encoding: gzip;q=0.0001\r\n");
    assert_identity("Accept-Encoding: gzip;q=+1\r\n");
    assert_identity("Accept-Encoding: gzip;q=.5\r\n");
    assert_identity("Accept-Encoding: gzip;q=\r\n");
    assert_identity("Accept-Encoding: gzip;q\r\n");
    assert_identity("Accept-Encoding: gzip;\r\n");
    assert_identity("Accept-Encoding: gzip;q = 1\r\n");
    assert_identity("Accept-Encoding: gzip;a=b\r\n");
    assert_identity("Accept-Encoding: gzip gzip\r\n");
    assert_identity("Accept-Encoding: \"gzip\"\r\n");
    assert_identity("Accept-Encoding: gzip\u{a0}\r\n");
}

#[test]
fn the_weight_of_the_wildcard_applies_to_identity_too() {
    assert_identity("Accept-Encoding: gzip;q=0.4, *;q=0.8\r\n");
    assert_gzip("Accept-Encoding: gzip;q=0.8, *;q=0.4\r\n");
    assert_identity("Accept-Encoding: *;q=0.5, gzip;q=0.499\r\n");
}

#[test]
fn if_no_coding_is_acceptable_the_response_is_406() {
    assert_not_acceptable("Accept-Encoding: identity;q=0\r\n");
    assert_not_acceptable("Accept-Encoding: *;q=0\r\n");
    assert_not_acceptable("Accept-Encoding: identity;q=0, gzip;q=0\r\n");
    assert_not_acceptable("Accept-Encoding: br, *;q=0\r\n");
}

#[test]
fn gzip_content_decompresses_to_the_uncompressed_content() {
    let result =
        routes_script("GET /user-agent HTTP/1.1\r\nHost: h\r\nUser-Agent: \u{e9}\tb\r\nAccept-Encoding: gzip\r\n\r\n")
            .assert_stays_open(&[200]);
    let mut content = String::new();
    flate2::read::GzDecoder::new(result.response().content.as_deref().unwrap()).read_to_string(&mut content).unwrap();
    assert_eq!(content, "\u{e9}\tb");
}

#[test]
fn the_compressor_is_reused_for_consecutive_responses() {
    let result = routes_script(request("Accept-Encoding: gzip\r\n").repeat(3)).assert_stays_open(&[200, 200, 200]);
    assert!(result.responses.iter().all(|response| response.content.as_deref() == Some(ABC)));
}

#[test]
fn a_response_without_content_is_not_compressed() {
    let result = routes_script("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n").assert_stays_open(&[200]);
    assert_eq!((result.response().field("Content-Encoding"), result.response().field("Vary")), (None, None));
    routes_script("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: *;q=0\r\n\r\n").assert_stays_open(&[200]);
    routes_script("GET /nothing HTTP/1.1\r\nHost: h\r\nAccept-Encoding: *;q=0\r\n\r\n").assert_stays_open(&[404]);
}
