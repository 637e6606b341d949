//! RFC 9110 §10.1.1: Expect.

use spindle::http1::Settings;
use spindle::http1::protocol_error::ProtocolError::*;

use crate::driver::{Driver, ReadMode};
use crate::response_reader::{ParsedResponse, parse_responses};
use crate::script::{assert_closes, assert_rejected, assert_stays_open, get, post};
use crate::service::TestService;

const EXPECT: &str = "Expect: 100-continue\r\n";

/// Sends the pieces of a stream one after the other. Returns the statuses of the responses after each.
fn statuses_after_each(pieces: &[&str]) -> Vec<Vec<u16>> {
    let mut driver = Driver::new(TestService, Settings::default(), ReadMode::Immediate);
    let mut known = 0;
    let statuses_after = |piece: &&str| {
        driver.send(piece.as_bytes());
        let methods: Vec<&str> = driver.service.requests().iter().map(|request| request.method).collect();
        let responses = parse_responses(&driver.output, &methods);
        let new: Vec<u16> = responses[known..].iter().map(|response: &ParsedResponse| response.status).collect();
        known = responses.len();
        new
    };
    pieces.iter().map(statuses_after).collect()
}

#[test]
fn a_client_that_waits_gets_100_continue() {
    let head = post(&format!("Content-Length: 5\r\n{EXPECT}"), "");
    assert_eq!(statuses_after_each(&[&head, "abcde"]), [vec![100], vec![201]]);
    let head = post(&format!("Transfer-Encoding: chunked\r\n{EXPECT}"), "");
    assert_eq!(statuses_after_each(&[&head, "0\r\n\r\n"]), [vec![100], vec![201]]);
    let head = post("Content-Length: 5\r\nexpect: 100-Continue\r\n", "");
    assert_eq!(statuses_after_each(&[&head, "abcde"]), [vec![100], vec![201]]);
}

#[test]
fn earlier_responses_are_sent_before_100_continue() {
    let stream = get("/", "") + &post(&format!("Content-Length: 5\r\n{EXPECT}"), "");
    assert_eq!(statuses_after_each(&[&stream, "abcde"]), [vec![200, 100], vec![201]]);
}

#[test]
fn a_client_that_does_not_wait_gets_no_100_continue() {
    let head = post(&format!("Content-Length: 5\r\n{EXPECT}"), "a");
    assert_eq!(statuses_after_each(&[&head, "bcde"]), [vec![], vec![201]]);
    let head = post("Content-Length: 5\r\n", "");
    assert_eq!(statuses_after_each(&[&head, "abcde"]), [vec![], vec![201]]);
}

#[test]
fn the_final_response_does_not_depend_on_whether_the_client_waited() {
    assert_eq!(assert_stays_open(post(&format!("Content-Length: 5\r\n{EXPECT}"), "abcde"), &[201]).content(), b"abcde");
    assert_stays_open(post(&format!("Transfer-Encoding: chunked\r\n{EXPECT}"), "1\r\na\r\n0\r\n\r\n"), &[201]);
    assert_stays_open(post("Content-Length: 1\r\nExpect: 100-continue, ,100-CONTINUE\r\n", "a"), &[201]);
}

#[test]
fn a_final_response_instead_of_100_continue_closes_the_connection() {
    let head = format!("POST /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n{EXPECT}\r\n");
    assert_eq!(statuses_after_each(&[&head]), [vec![403]]);
    assert_closes(&head, &[403]);
    assert_closes(format!("{head}abcde"), &[403]);
    assert_closes(get("/", &format!("Content-Length: 5\r\n{EXPECT}")) + "abcde", &[200]);
    assert_closes(get("/", &format!("Transfer-Encoding: chunked\r\n{EXPECT}")) + "0\r\n\r\n", &[200]);
    assert_closes(get("/source/2500", &format!("Content-Length: 5\r\n{EXPECT}")), &[200]);
}

#[test]
fn a_request_without_content_gets_no_100_continue() {
    assert_eq!(statuses_after_each(&[&post(EXPECT, "")]), [vec![201]]);
    assert_eq!(statuses_after_each(&[&post(&format!("Content-Length: 0\r\n{EXPECT}"), "")]), [vec![201]]);
    assert_stays_open(post(EXPECT, ""), &[201]);
    assert_stays_open(get("/", EXPECT), &[200]);
    assert_stays_open(get("/", "Expect: ,100-Continue,\r\n"), &[200]);
    assert_stays_open(get("/", "Expect:\r\n"), &[200]);
}

#[test]
fn expectations_in_http_10_are_ignored() {
    let head = format!("POST / HTTP/1.0\r\nContent-Length: 5\r\n{EXPECT}\r\n");
    assert_eq!(statuses_after_each(&[&head, "abcde"]), [vec![], vec![201]]);
    assert_closes("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: something\r\n\r\na", &[201]);
    assert_closes("GET / HTTP/1.0\r\nExpect: something\r\n\r\n", &[200]);
}

#[test]
fn any_other_expectation_is_rejected() {
    assert_rejected(post("Content-Length: 1\r\nExpect: something\r\n", "a"), ExpectationUnknown);
    assert_rejected(post("Content-Length: 1\r\nExpect: 100-continue, something\r\n", "a"), ExpectationUnknown);
    assert_rejected(post("Content-Length: 1\r\nExpect: 100-continue\r\nExpect: 200-ok\r\n", "a"), ExpectationUnknown);
    assert_rejected(post("Content-Length: 1\r\nExpect: 100-continue;a=b\r\n", "a"), ExpectationUnknown);
    assert_rejected(post("Content-Length: 1\r\nExpect: 100\r\n", "a"), ExpectationUnknown);
    assert_rejected(post("Transfer-Encoding: chunked\r\nExpect: a=\"b\"\r\n", "0\r\n\r\n"), ExpectationUnknown);
    // An expectation need not be about content: it is rejected without content too.
    assert_rejected(get("/", "Expect: something\r\n"), ExpectationUnknown);
    assert_rejected(get("/", "Expect: 100-continue, something\r\n"), ExpectationUnknown);
    assert_rejected(post("Content-Length: 0\r\nExpect: something\r\n", ""), ExpectationUnknown);
}

#[test]
fn malformed_content_after_100_continue_is_rejected() {
    let head = post(&format!("Transfer-Encoding: chunked\r\n{EXPECT}"), "");
    assert_eq!(statuses_after_each(&[&head, "+1\r\n"]), [vec![100], vec![400]]);
}
