//! RFC 9112 §4 and §6, RFC 9110 §6.6, §8.6 and §9.3.2: what every response is like. The reader of responses checks
//! most of it at each answer of each case.

use spindle::http1::Settings;
use spindle::http1::protocol_error::ProtocolError::*;

use crate::driver::{Driver, NOW, NOW_TEXT, Reading};
use crate::script::{assert_closes, assert_stays_open, get, routed, script};
use crate::service::Probe;

#[test]
fn fields_are_sent_in_a_fixed_order() {
    let mut driver = Driver::new(Probe, Settings::default(), Reading::Everything);
    driver.receive(get("/abc", "Connection: close\r\n").as_bytes());
    let expected = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\nDate: {NOW_TEXT}\r\n\
         Connection: close\r\n\r\n/abc"
    );
    assert_eq!(String::from_utf8_lossy(&driver.output), expected);

    let told = routed("GET /echo/abc HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n").assert_stays_open(&[200]);
    let names: Vec<_> = told.answer().fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Content-Encoding", "Content-Type", "Content-Length", "Vary", "Date"]);
}

#[test]
fn the_date_follows_the_clock() {
    let mut driver = Driver::new(Probe, Settings::default(), Reading::Everything);
    driver.receive(get("/", "").as_bytes());
    driver.now.unix_ns += 999_999_999;
    driver.receive(get("/", "").as_bytes());
    driver.now.unix_ns += 1;
    driver.receive(get("/", "").as_bytes());
    let output = String::from_utf8_lossy(&driver.output).into_owned();
    let dates: Vec<_> = output.lines().filter_map(|line| line.strip_prefix("Date: ")).collect();
    assert_eq!(dates, [NOW_TEXT, NOW_TEXT, "Sun, 06 Nov 1994 08:49:38 GMT"]);
    assert_eq!(NOW.unix_s() + 1, driver.now.unix_s());
}

#[test]
fn the_date_can_be_disabled() {
    assert_eq!(script(get("/", "")).without_date().assert_stays_open(&[200]).answer().field("Date"), None);
    script("GET /\0").without_date().assert_rejected(TargetByteInvalid);
}

#[test]
fn a_204_has_neither_content_length_nor_content() {
    let told = assert_stays_open(get("/nothing", ""), &[204]);
    assert_eq!((told.answer().field("Content-Length"), &told.answer().content), (None, &None));
    assert_stays_open(get("/nothing", "Content-Length: 3\r\n") + "abc", &[204]);
}

#[test]
fn a_304_has_neither_content_length_nor_content() {
    let told = routed("GET /echo/x HTTP/1.1\r\nHost: h\r\nIf-None-Match: *\r\n\r\n").assert_stays_open(&[304]);
    assert_eq!((told.answer().field("Content-Length"), &told.answer().content), (None, &None));
}

#[test]
fn content_from_a_source_has_the_announced_length() {
    for bytes in [0, 1, 999, 1000, 1001, 12_345] {
        let told = assert_stays_open(get(&format!("/source/{bytes}"), ""), &[200]);
        assert_eq!(told.answer().content.as_ref().map(Vec::len), Some(bytes));
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
        let told = script(format!("HEAD / HTTP/1.1\r\n{fields}\r\n{content}")).assert_closes(&[error.status().code()]);
        let answer = told.answer();
        assert_eq!(answer.content, None, "{fields}");
        assert_eq!(answer.field("Content-Length"), Some((error.reason().len() + 1).to_string().as_str()));
    }
    for line in ["HEAD /# HTTP/1.1", "HEAD / HTTP/2.0", "HEAD / HTTP/1.1 ", "HEAD  /"] {
        let told = script(format!("{line}\r\n\r\n")).play_once();
        assert_eq!(told.answer().content, None, "{line}");
    }
    let told = script("HEAD(/ HTTP/1.1\r\n\r\n").assert_closes(&[400]);
    assert!(told.answer().content.is_some(), "no method has been read");
}
