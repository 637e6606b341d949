//! RFC 9112 §4 and §6, RFC 9110 §6.6, §8.6 and §9.3.2: what every response is like. The reader of responses checks
//! most of it at each answer of each case.

use spindle::http1::Settings;
use spindle::http1::protocol_error::ProtocolError::*;

use crate::driver::{Driver, NOW, NOW_TEXT, Reading};
use crate::probe::Probe;
use crate::script::{ends, get, keeps, routed, script};

#[test]
fn the_order_of_the_fields() {
    let mut driver = Driver::new(Probe, Settings::default(), Reading::Everything);
    driver.receive(get("/abc", "Connection: close\r\n").as_bytes());
    let expected = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\nDate: {NOW_TEXT}\r\n\
         Connection: close\r\n\r\n/abc"
    );
    assert_eq!(String::from_utf8_lossy(&driver.output), expected);

    let told = routed("GET /echo/abc HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n").keeps(&[200]);
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
fn the_date_can_be_left_out() {
    assert_eq!(script(get("/", "")).without_date().keeps(&[200]).answer().field("Date"), None);
    script("GET /\0").without_date().refused(TargetByteInvalid);
}

#[test]
fn a_204_has_neither_length_nor_content() {
    let told = keeps(get("/nothing", ""), &[204]);
    assert_eq!((told.answer().field("Content-Length"), &told.answer().content), (None, &None));
    keeps(get("/nothing", "Content-Length: 3\r\n") + "abc", &[204]);
}

#[test]
fn a_304_has_neither_length_nor_content() {
    let told = routed("GET /echo/x HTTP/1.1\r\nHost: h\r\nIf-None-Match: *\r\n\r\n").keeps(&[304]);
    assert_eq!((told.answer().field("Content-Length"), &told.answer().content), (None, &None));
}

#[test]
fn content_from_a_source_is_as_long_as_announced() {
    for bytes in [0, 1, 999, 1000, 1001, 12_345] {
        let told = keeps(get(&format!("/source/{bytes}"), ""), &[200]);
        assert_eq!(told.answer().content.as_ref().map(Vec::len), Some(bytes));
    }
    ends(get("/source/1001", "Connection: close\r\n"), &[200]);
}

#[test]
fn an_error_answer_to_head_has_no_content() {
    for (fields, content, error) in [
        ("Host: a\r\nHost: b\r\n", "", HostRepeated),
        ("Host: h\r\nA : b\r\n", "", SpaceBeforeColon),
        ("Host: h\r\nContent-Length: x\r\n", "", ContentLengthInvalid),
        ("Host: h\r\nTransfer-Encoding: chunked\r\n", "+1\r\n", ChunkSizeInvalid),
        ("Host: h\r\nTransfer-Encoding: chunked\r\n", "0\r\nA : b\r\n", SpaceBeforeColon),
    ] {
        let told = script(format!("HEAD / HTTP/1.1\r\n{fields}\r\n{content}")).ends(&[error.status().code()]);
        let answer = told.answer();
        assert_eq!(answer.content, None, "{fields}");
        assert_eq!(answer.field("Content-Length"), Some((error.reason().len() + 1).to_string().as_str()));
    }
    for line in ["HEAD /# HTTP/1.1", "HEAD / HTTP/2.0", "HEAD / HTTP/1.1 ", "HEAD  /"] {
        let told = script(format!("{line}\r\n\r\n")).play_once();
        assert_eq!(told.answer().content, None, "{line}");
    }
    let told = script("HEAD(/ HTTP/1.1\r\n\r\n").ends(&[400]);
    assert!(told.answer().content.is_some(), "no method has been read");
}
