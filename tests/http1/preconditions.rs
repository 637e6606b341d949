//! RFC 9110 §13: conditional requests.

use crate::script::{keeps, routed};

fn version(method: &str, lines: &str) -> String {
    format!("{method} /version HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n")
}

/// What a GET and a PUT of a resource with the strong tag `"a,b"`, modified at 08:00:00, are answered.
#[track_caller]
fn judged(lines: &str, read: u16, write: u16) {
    keeps(version("GET", lines), &[read]);
    keeps(version("HEAD", lines), &[read]);
    keeps(version("PUT", lines), &[write]);
    keeps(version("POST", lines), &[write]);
}

const BEFORE: &str = "Sun, 06 Nov 1994 07:59:59 GMT";
const SAME: &str = "Sun, 06 Nov 1994 08:00:00 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:00:01 GMT";

#[test]
fn if_match_compares_strongly() {
    judged("If-Match: *", 200, 200);
    judged("If-Match: \"a,b\"", 200, 200);
    judged("If-Match: \"x\", \"a,b\"", 200, 200);
    judged("If-Match: ,\"x\" ,, \"a,b\",", 200, 200);
    judged("If-Match: \"x\"\r\nIf-Match: \"a,b\"", 200, 200);
    judged("If-Match: W/\"a,b\"", 412, 412);
    judged("If-Match: \"A,B\"", 412, 412);
    judged("If-Match: \"a\", \"b\"", 412, 412);
    judged("If-Match: a,b", 412, 412);
    judged("If-Match:", 412, 412);
}

#[test]
fn if_none_match_compares_weakly() {
    judged("If-None-Match: *", 304, 412);
    judged("If-None-Match: \"a,b\"", 304, 412);
    judged("If-None-Match: W/\"a,b\"", 304, 412);
    judged("If-None-Match: \"x\", W/\"a,b\"", 304, 412);
    judged("If-None-Match: \"x\"\r\nIf-None-Match: \"a,b\"", 304, 412);
    judged("If-None-Match: \"x\"", 200, 200);
    // A demand that cannot be read is no licence to write.
    judged("If-None-Match: w/\"a,b\"", 200, 412);
    judged("If-None-Match:", 200, 200);
}

#[test]
fn if_modified_since_counts_for_reads() {
    judged(&format!("If-Modified-Since: {BEFORE}"), 200, 200);
    judged(&format!("If-Modified-Since: {SAME}"), 304, 200);
    judged(&format!("If-Modified-Since: {AFTER}"), 304, 200);
    judged("If-Modified-Since: Sunday, 06-Nov-94 08:00:00 GMT", 304, 200);
    judged("If-Modified-Since: Sun Nov  6 08:00:00 1994", 304, 200);
}

#[test]
fn if_unmodified_since_counts_for_all() {
    judged(&format!("If-Unmodified-Since: {BEFORE}"), 412, 412);
    judged(&format!("If-Unmodified-Since: {SAME}"), 200, 200);
    judged(&format!("If-Unmodified-Since: {AFTER}"), 200, 200);
    judged("If-Unmodified-Since: Sunday, 06-Nov-94 07:59:59 GMT", 412, 412);
    judged("If-Unmodified-Since: Sun Nov  6 07:59:59 1994", 412, 412);
}

#[test]
fn a_date_that_is_none_is_ignored() {
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
        judged(&format!("If-Modified-Since: {none}"), 200, 200);
        judged(&format!("If-Unmodified-Since: {none}"), 200, 200);
    }
    judged(&format!("If-Modified-Since: {AFTER}\r\nIf-Modified-Since: {AFTER}"), 200, 200);
    judged(&format!("If-Unmodified-Since: {BEFORE}\r\nIf-Unmodified-Since: {BEFORE}"), 200, 200);
}

#[test]
fn a_date_with_other_bytes_in_the_places_of_its_grammar_is_none() {
    // Each was once taken for a date: the bytes between its parts were not looked at.
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
        judged(&format!("If-Unmodified-Since: {none}"), 200, 200);
    }
}

#[test]
fn the_order_of_evaluation() {
    // If-Match counts instead of If-Unmodified-Since, and If-None-Match instead of If-Modified-Since.
    judged(&format!("If-Match: \"a,b\"\r\nIf-Unmodified-Since: {BEFORE}"), 200, 200);
    judged(&format!("If-Match: \"x\"\r\nIf-Unmodified-Since: {AFTER}"), 412, 412);
    judged(&format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {AFTER}"), 200, 200);
    judged(&format!("If-None-Match: \"a,b\"\r\nIf-Modified-Since: {BEFORE}"), 304, 412);
    // Whatever fails first is the answer.
    judged("If-Match: \"x\"\r\nIf-None-Match: \"a,b\"", 412, 412);
    judged("If-Match: \"a,b\"\r\nIf-None-Match: \"a,b\"", 304, 412);
    judged(&format!("If-Unmodified-Since: {BEFORE}\r\nIf-None-Match: \"a,b\""), 412, 412);
    judged(&format!("If-Unmodified-Since: {BEFORE}\r\nIf-Modified-Since: {AFTER}"), 412, 412);
}

#[test]
fn methods_that_select_nothing_have_no_preconditions() {
    for method in ["OPTIONS", "TRACE"] {
        keeps(version(method, "If-Match: \"x\""), &[200]);
        keeps(version(method, "If-None-Match: *"), &[200]);
    }
}

#[test]
fn preconditions_count_for_texts_too() {
    for target in ["/", "/echo/x", "/user-agent"] {
        let asked = |method: &str, lines: &str, status: u16| {
            routed(format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n")).keeps(&[status])
        };
        for method in ["GET", "HEAD"] {
            asked(method, "If-Match: *", 200);
            asked(method, "If-Match: \"x\"", 412);
            asked(method, "If-None-Match: *", 304);
            asked(method, "If-None-Match: \"x\"", 200);
            // A text has no date: there is nothing to compare with.
            asked(method, &format!("If-Modified-Since: {AFTER}"), 200);
            asked(method, &format!("If-Unmodified-Since: {BEFORE}"), 200);
        }
    }
}

#[test]
fn preconditions_count_only_where_the_answer_would_have_been_a_success() {
    for (request, status) in [
        ("GET /nothing HTTP/1.1", 404),
        ("POST / HTTP/1.1", 405),
        ("FOO / HTTP/1.1", 501),
        ("GET /echo/x HTTP/1.1\r\nAccept-Encoding: *;q=0", 406),
    ] {
        routed(format!("{request}\r\nHost: h\r\nIf-Match: \"x\"\r\n\r\n")).keeps(&[status]);
        routed(format!("{request}\r\nHost: h\r\nIf-None-Match: *\r\n\r\n")).keeps(&[status]);
    }
}

#[test]
fn a_304_says_what_the_200_would_have_varied_by() {
    let asked = |target: &str, lines: &str, status: u16| {
        let told = routed(format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n")).keeps(&[status]);
        told.answer().field("Vary").map(str::to_owned)
    };
    for target in ["/", "/echo/x", "/user-agent"] {
        assert_eq!(asked(target, "If-None-Match: *\r\n", 304), asked(target, "", 200), "{target}");
    }
}
