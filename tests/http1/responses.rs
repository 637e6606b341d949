//! RFC 9112 §4 and §6, RFC 9110 §6.6, §8.6 and §9.3.2: requirements for every response. The response parser checks most
//! of them in each response of each case.

use spindle::http1::Settings;
use spindle::http1::protocol_error::ProtocolError::*;

use crate::driver::{Driver, NOW, NOW_TEXT, ReadMode};
use crate::script::{assert_closes, assert_stays_open, get, routes_script, script};
use crate::service::TestService;

#[test]
fn fields_are_sent_in_a_fixed_order() {
    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Immediate);
    driver.send(get("/abc", "Connection: close\r\n").as_bytes());
    let expected = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\nDate: {NOW_TEXT}\r\n\
         Connection: close\r\n\r\n/abc"
    );
    assert_eq!(String::from_utf8_lossy(&driver.output), expected);

    let result =
        routes_script("GET /echo/abc HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n").assert_stays_open(&[200]);
    let names: Vec<_> = result.response().fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Content-Encoding", "Content-Type", "Content-Length", "Vary", "Date"]);
}

#[test]
fn the_date_follows_the_clock() {
    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Immediate);
    driver.send(get("/", "").as_bytes());
    driver.now.unix_ns += 999_999_999;
    driver.send(get("/", "").as_bytes());
    driver.now.unix_ns += 1;
    driver.send(get("/", "").as_bytes());
    let output = String::from_utf8_lossy(&driver.output).into_owned();
    let dates: Vec<_> = output.lines().filter_map(|line| line.strip_prefix("Date: ")).collect();
    assert_eq!(dates, [NOW_TEXT, NOW_TEXT, "Sun, 06 Nov 1994 08:49:38 GMT"]);
    assert_eq!(NOW.unix_s() + 1, driver.now.unix_s());
}

#[test]
fn the_date_can_be_disabled() {
    assert_eq!(script(get("/", "")).without_date().assert_stays_open(&[200]).response().field("Date"), None);
    script("GET /\0").without_date().assert_rejected(TargetByteInvalid);
}

#[test]
fn a_204_has_neither_content_length_nor_content() {
    let result = assert_stays_open(get("/nothing", ""), &[204]);
    assert_eq!((result.response().field("Content-Length"), &result.response().content), (None, &None));
    assert_stays_open(get("/nothing", "Content-Length: 3\r\n") + "abc", &[204]);
}

#[test]
fn a_304_has_neither_content_length_nor_content() {
    let result = routes_script("GET /echo/x HTTP/1.1\r\nHost: h\r\nIf-None-Match: *\r\n\r\n").assert_stays_open(&[304]);
    assert_eq!((result.response().field("Content-Length"), &result.response().content), (None, &None));
}

#[test]
fn content_from_a_source_has_the_announced_length() {
    for bytes in [0, 1, 999, 1000, 1001, 12_345] {
        let result = assert_stays_open(get(&format!("/source/{bytes}"), ""), &[200]);
        assert_eq!(result.response().content.as_ref().map(Vec::len), Some(bytes));
    }
    assert_closes(get("/source/1001", "Connection: close\r\n"), &[200]);
}

#[test]
fn an_error_response_to_head_has_no_content() {
    for (fields, content, error) in [
        ("Host: a\r\nHost: b\r\n", "", HostRepeated),
        ("Host: h\r\nA : b\r\n", "", SpaceBeforeColon),
        ("Host: h\r\nContent-Length: x\r\n", "", ContentLengthInvalid),
        ("Host: h\r\nTransfer-Encoding: chunked\r\n", "+1\r\n", ChunkSizeInvalid),
        ("Host: h\r\nTransfer-Encoding: chunked\r\n", "0\r\nA : b\r\n", SpaceBeforeColon),
    ] {
        let result =
            script(format!("HEAD / HTTP/1.1\r\n{fields}\r\n{content}")).assert_closes(&[error.status().code()]);
        let response = result.response();
        assert_eq!(response.content, None, "{fields}");
        assert_eq!(response.field("Content-Length"), Some((error.reason().len() + 1).to_string().as_str()));
    }
    for line in ["HEAD /# HTTP/1.1", "HEAD / HTTP/2.0", "HEAD / HTTP/1.1 ", "HEAD  /"] {
        let result = script(format!("{line}\r\n\r\n")).run_once();
        assert_eq!(result.response().content, None, "{line}");
    }
    let result = script("HEAD(/ HTTP/1.1\r\n\r\n").assert_closes(&[400]);
    assert!(result.response().content.is_some(), "no method has been read");
}
