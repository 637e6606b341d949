//! RFC 9110 §13: conditional requests.

use crate::script::{assert_stays_open, routes_script};

fn version(method: &str, lines: &str) -> String {
    format!("{method} /version HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n")
}

/// The statuses of reads and writes of a resource with the strong entity tag `"a,b"`, modified at 08:00:00.
#[track_caller]
fn assert_read_and_write(lines: &str, read: u16, write: u16) {
    assert_stays_open(version("GET", lines), &[read]);
    assert_stays_open(version("HEAD", lines), &[read]);
    assert_stays_open(version("PUT", lines), &[write]);
    assert_stays_open(version("POST", lines), &[write]);
}

const BEFORE: &str = "Sun, 06 Nov 1994 07:59:59 GMT";
const SAME: &str = "Sun, 06 Nov 1994 08:00:00 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:00:01 GMT";

#[test]
fn if_match_uses_the_strong_comparison() {
    assert_read_and_write("If-Match: *", 200, 200);
    assert_read_and_write("If-Match: \"a,b\"", 200, 200);
    assert_read_and_write("If-Match: \"x\", \"a,b\"", 200, 200);
    assert_read_and_write("If-Match: ,\"x\" ,, \"a,b\",", 200, 200);
    assert_read_and_write("If-Match: \"x\"\r\nIf-Match: \"a,b\"", 200, 200);
    assert_read_and_write("If-Match: W/\"a,b\"", 412, 412);
    assert_read_and_write("If-Match: \"A,B\"", 412, 412);
    assert_read_and_write("If-Match: \"a\", \"b\"", 412, 412);
    assert_read_and_write("If-Match: a,b", 412, 412);
    assert_read_and_write("If-Match:", 412, 412);
}

#[test]
fn if_none_match_uses_the_weak_comparison() {
    assert_read_and_write("If-None-Match: *", 304, 412);
    assert_read_and_write("If-None-Match: \"a,b\"", 304, 412);
    assert_read_and_write("If-None-Match: W/\"a,b\"", 304, 412);
    assert_read_and_write("If-None-Match: \"x\", W/\"a,b\"", 304, 412);
    assert_read_and_write("If-None-Match: \"x\"\r\nIf-None-Match: \"a,b\"", 304, 412);
    assert_read_and_write("If-None-Match: \"x\"", 200, 200);
    // A malformed If-None-Match must not let a write through that it was meant to prevent.
    assert_read_and_write("If-None-Match: w/\"a,b\"", 200, 412);
    assert_read_and_write("If-None-Match:", 200, 200);
}

#[test]
fn if_modified_since_applies_to_reads() {
    assert_read_and_write(&format!("If-Modified-Since: {BEFORE}"), 200, 200);
    assert_read_and_write(&format!("If-Modified-Since: {SAME}"), 304, 200);
    assert_read_and_write(&format!("If-Modified-Since: {AFTER}"), 304, 200);
    assert_read_and_write("If-Modified-Since: Sunday, 06-Nov-94 08:00:00 GMT", 304, 200);
    assert_read_and_write("If-Modified-Since: Sun Nov  6 08:00:00 1994", 304, 200);
}

#[test]
fn if_unmodified_since_applies_to_reads_and_writes() {
    assert_read_and_write(&format!("If-Unmodified-Since: {BEFORE}"), 412, 412);
    assert_read_and_write(&format!("If-Unmodified-Since: {SAME}"), 200, 200);
    assert_read_and_write(&format!("If-Unmodified-Since: {AFTER}"), 200, 200);
    assert_read_and_write("If-Unmodified-Since: Sunday, 06-Nov-94 07:59:59 GMT", 412, 412);
    assert_read_and_write("If-Unmodified-Since: Sun Nov  6 07:59:59 1994", 412, 412);
}

#[test]
fn an_invalid_date_is_ignored() {
    for none in [
        "",
        "0",
        "yesterday",
        "\"a,b\"",
        "Sun, 06 Nov 1994 08:00:00 UTC",
        "Sun, 06 Nov 1994 08:00:00",
        "Sun, 6 Nov 1994 08:00:00 GMT",
        "Sun, 06 nov 1994 08:00:00 GMT",
        "Sun, 31 Nov 1994 08:00:00 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:00:00 GMT, Sun, 06 Nov 1994 08:00:00 GMT",
    ] {
        assert_read_and_write(&format!("If-Modified-Since: {none}"), 200, 200);
        assert_read_and_write(&format!("If-Unmodified-Since: {none}"), 200, 200);
    }
    assert_read_and_write(&format!("If-Modified-Since: {AFTER}\r\nIf-Modified-Since: {AFTER}"), 200, 200);
    assert_read_and_write(&format!("If-Unmodified-Since: {BEFORE}\r\nIf-Unmodified-Since: {BEFORE}"), 200, 200);
}

#[test]
fn a_date_with_wrong_separators_or_names_is_ignored() {
    // Regression test: these were accepted as dates, because the bytes between the parts were not checked.
    for none in [
        "Xxx, 06 Nov 1994 07:59:59 GMT",
        "sun, 06 Nov 1994 07:59:59 GMT",
        "Sun, 06 Nov +199 07:59:59 GMT",
        "Sunday, 06-Nov-94x07:59:59 GMT",
        "Sun Novx 6 07:59:59 1994",
        "Sun Nov  6x07:59:59 1994",
        "Sun Nov  6 07:59:59x1994",
        "Xxx Nov  6 07:59:59 1994",
        "Sun Nov 0  07:59:59 1994",
    ] {
        assert_read_and_write(&format!("If-Unmodified-Since: {none}"), 200, 200);
    }
}

#[test]
fn preconditions_are_evaluated_in_the_order_of_the_rfc() {
    // If-Match takes precedence over If-Unmodified-Since, and If-None-Match over If-Modified-Since.
    assert_read_and_write(&format!("If-Match: \"a,b\"\r\nIf-Unmodified-Since: {BEFORE}"), 200, 200);
    assert_read_and_write(&format!("If-Match: \"x\"\r\nIf-Unmodified-Since: {AFTER}"), 412, 412);
    assert_read_and_write(&format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {AFTER}"), 200, 200);
    assert_read_and_write(&format!("If-None-Match: \"a,b\"\r\nIf-Modified-Since: {BEFORE}"), 304, 412);
    // The first precondition that fails determines the status.
    assert_read_and_write("If-Match: \"x\"\r\nIf-None-Match: \"a,b\"", 412, 412);
    assert_read_and_write("If-Match: \"a,b\"\r\nIf-None-Match: \"a,b\"", 304, 412);
    assert_read_and_write(&format!("If-Unmodified-Since: {BEFORE}\r\nIf-None-Match: \"a,b\""), 412, 412);
    assert_read_and_write(&format!("If-Unmodified-Since: {BEFORE}\r\nIf-Modified-Since: {AFTER}"), 412, 412);
}

#[test]
fn preconditions_of_options_and_trace_are_ignored() {
    for method in ["OPTIONS", "TRACE"] {
        assert_stays_open(version(method, "If-Match: \"x\""), &[200]);
        assert_stays_open(version(method, "If-None-Match: *"), &[200]);
    }
}

#[test]
fn preconditions_apply_to_texts_too() {
    for target in ["/", "/echo/x", "/user-agent"] {
        let assert_status = |method: &str, lines: &str, status: u16| {
            routes_script(format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n"))
                .assert_stays_open(&[status])
        };
        for method in ["GET", "HEAD"] {
            assert_status(method, "If-Match: *", 200);
            assert_status(method, "If-Match: \"x\"", 412);
            assert_status(method, "If-None-Match: *", 304);
            assert_status(method, "If-None-Match: \"x\"", 200);
            // A text has no modification date to compare with.
            assert_status(method, &format!("If-Modified-Since: {AFTER}"), 200);
            assert_status(method, &format!("If-Unmodified-Since: {BEFORE}"), 200);
        }
    }
}

#[test]
fn preconditions_apply_only_to_otherwise_successful_requests() {
    for (request, status) in [
        ("GET /nothing HTTP/1.1", 404),
        ("POST / HTTP/1.1", 405),
        ("FOO / HTTP/1.1", 501),
        ("GET /echo/x HTTP/1.1\r\nAccept-Encoding: *;q=0", 406),
    ] {
        routes_script(format!("{request}\r\nHost: h\r\nIf-Match: \"x\"\r\n\r\n")).assert_stays_open(&[status]);
        routes_script(format!("{request}\r\nHost: h\r\nIf-None-Match: *\r\n\r\n")).assert_stays_open(&[status]);
    }
}

#[test]
fn a_304_has_the_vary_field_of_the_200() {
    let vary_of = |target: &str, lines: &str, status: u16| {
        let result =
            routes_script(format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n")).assert_stays_open(&[status]);
        result.response().field("Vary").map(str::to_owned)
    };
    for target in ["/", "/echo/x", "/user-agent"] {
        assert_eq!(vary_of(target, "If-None-Match: *\r\n", 304), vary_of(target, "", 200), "{target}");
    }
}
