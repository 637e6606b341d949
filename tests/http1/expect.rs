//! RFC 9110 §10.1.1: Expect.

use spindle::http1::Settings;
use spindle::http1::protocol_error::ProtocolError::*;

use crate::driver::{Driver, Reading};
use crate::probe::Probe;
use crate::responses::{Answer, read_all};
use crate::script::{ends, get, keeps, post, refused};

const EXPECT: &str = "Expect: 100-continue\r\n";

/// What is answered to the pieces of a stream, one after the other, each by an immediate reader.
fn statuses(pieces: &[&str]) -> Vec<Vec<u16>> {
    let mut driver = Driver::new(Probe, Settings::default(), Reading::Everything);
    let mut known = 0;
    let statuses_after = |piece: &&str| {
        driver.receive(piece.as_bytes());
        let methods: Vec<&str> = driver.service.seen().iter().map(|seen| seen.method).collect();
        let answers = read_all(&driver.output, &methods);
        let new: Vec<u16> = answers[known..].iter().map(|answer: &Answer| answer.status).collect();
        known = answers.len();
        new
    };
    pieces.iter().map(statuses_after).collect()
}

#[test]
fn a_peer_that_waits_is_told_to_go_on() {
    let head = post(&format!("Content-Length: 5\r\n{EXPECT}"), "");
    assert_eq!(statuses(&[&head, "abcde"]), [vec![100], vec![201]]);
    let head = post(&format!("Transfer-Encoding: chunked\r\n{EXPECT}"), "");
    assert_eq!(statuses(&[&head, "0\r\n\r\n"]), [vec![100], vec![201]]);
    let head = post("Content-Length: 5\r\nexpect: 100-Continue\r\n", "");
    assert_eq!(statuses(&[&head, "abcde"]), [vec![100], vec![201]]);
}

#[test]
fn a_peer_that_is_answered_is_told_to_go_on_behind_the_answers() {
    let stream = get("/", "") + &post(&format!("Content-Length: 5\r\n{EXPECT}"), "");
    assert_eq!(statuses(&[&stream, "abcde"]), [vec![200, 100], vec![201]]);
}

#[test]
fn a_peer_that_does_not_wait_is_not_told_to_go_on() {
    let head = post(&format!("Content-Length: 5\r\n{EXPECT}"), "a");
    assert_eq!(statuses(&[&head, "bcde"]), [vec![], vec![201]]);
    let head = post("Content-Length: 5\r\n", "");
    assert_eq!(statuses(&[&head, "abcde"]), [vec![], vec![201]]);
}

#[test]
fn the_final_answers_do_not_depend_on_whether_the_peer_waited() {
    assert_eq!(keeps(post(&format!("Content-Length: 5\r\n{EXPECT}"), "abcde"), &[201]).content(), b"abcde");
    keeps(post(&format!("Transfer-Encoding: chunked\r\n{EXPECT}"), "1\r\na\r\n0\r\n\r\n"), &[201]);
    keeps(post("Content-Length: 1\r\nExpect: 100-continue, ,100-CONTINUE\r\n", "a"), &[201]);
}

#[test]
fn an_answer_that_needs_no_content_is_sent_instead_and_ends_the_connection() {
    let head = format!("POST /refuse HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n{EXPECT}\r\n");
    assert_eq!(statuses(&[&head]), [vec![403]]);
    ends(&head, &[403]);
    ends(format!("{head}abcde"), &[403]);
    ends(get("/", &format!("Content-Length: 5\r\n{EXPECT}")) + "abcde", &[200]);
    ends(get("/", &format!("Transfer-Encoding: chunked\r\n{EXPECT}")) + "0\r\n\r\n", &[200]);
    ends(get("/source/2500", &format!("Content-Length: 5\r\n{EXPECT}")), &[200]);
}

#[test]
fn where_no_content_is_owed_nothing_is_waited_for() {
    assert_eq!(statuses(&[&post(EXPECT, "")]), [vec![201]]);
    assert_eq!(statuses(&[&post(&format!("Content-Length: 0\r\n{EXPECT}"), "")]), [vec![201]]);
    keeps(post(EXPECT, ""), &[201]);
    keeps(get("/", EXPECT), &[200]);
    keeps(get("/", "Expect: ,100-Continue,\r\n"), &[200]);
    keeps(get("/", "Expect:\r\n"), &[200]);
}

#[test]
fn version_10_does_not_know_expectations() {
    let head = format!("POST / HTTP/1.0\r\nContent-Length: 5\r\n{EXPECT}\r\n");
    assert_eq!(statuses(&[&head, "abcde"]), [vec![], vec![201]]);
    ends("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: something\r\n\r\na", &[201]);
    ends("GET / HTTP/1.0\r\nExpect: something\r\n\r\n", &[200]);
}

#[test]
fn any_other_expectation_fails() {
    refused(post("Content-Length: 1\r\nExpect: something\r\n", "a"), ExpectationUnknown);
    refused(post("Content-Length: 1\r\nExpect: 100-continue, something\r\n", "a"), ExpectationUnknown);
    refused(post("Content-Length: 1\r\nExpect: 100-continue\r\nExpect: 200-ok\r\n", "a"), ExpectationUnknown);
    refused(post("Content-Length: 1\r\nExpect: 100-continue;a=b\r\n", "a"), ExpectationUnknown);
    refused(post("Content-Length: 1\r\nExpect: 100\r\n", "a"), ExpectationUnknown);
    refused(post("Transfer-Encoding: chunked\r\nExpect: a=\"b\"\r\n", "0\r\n\r\n"), ExpectationUnknown);
    // What is expected may be about anything, and not about content alone.
    refused(get("/", "Expect: something\r\n"), ExpectationUnknown);
    refused(get("/", "Expect: 100-continue, something\r\n"), ExpectationUnknown);
    refused(post("Content-Length: 0\r\nExpect: something\r\n", ""), ExpectationUnknown);
}

#[test]
fn a_peer_that_was_told_to_go_on_can_still_offend() {
    let head = post(&format!("Transfer-Encoding: chunked\r\n{EXPECT}"), "");
    assert_eq!(statuses(&[&head, "+1\r\n"]), [vec![100], vec![400]]);
}
