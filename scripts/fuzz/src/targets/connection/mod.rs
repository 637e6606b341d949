//! A whole connection. The input is a plan, a line feed, and what the peer sends: see [`plan`] and
//! [`expand`](super::expand).
//!
//! While the connection lives, the driver checks that it keeps its contract: memory and thinking are bounded, every wait
//! has a deadline, and nothing waits for nothing. When it has ended, this must hold of what it sent:
//!
//! 1. The output is a sequence of well-formed responses, and ends within one only if the peer was given up.
//! 2. The answers are those of requests 1, 2, 3 and so on: none is missing, doubled or out of place.
//! 3. A protocol error is answered last. Behind it nothing is parsed, whatever the peer sends.
//! 4. A server that shuts down begins at most one more request, and its answer says that it is the last.
//! 5. Where an answer says `Connection: close`, the end follows it, and does not wait for the peer's.
//! 6. HEAD is answered as GET is, but for the content.
//! 7. The same bytes ask the same questions and get the same final responses in another cut. Only a deadline or the
//!    end of the server may cut them short.

mod driver;
mod plan;
mod responses;
mod service;

use spindle::http1::protocol_error::ProtocolError;
use spindle::http1::{Settings, Shared};

use self::driver::{Outcome, live};
use self::plan::{Event, Plan};
use self::responses::{Answer, Answers};
use super::expand::expand;

/// Enough to go past the limit of content that is discarded.
const STREAM_BYTES_MAX: usize = 320 * 1024;

/// A stream up to here is also received byte by byte.
const BY_BYTE_BYTES_MAX: usize = 1024;

/// What a peer might hope to have parsed behind a protocol error.
const SMUGGLED: &[u8] =
    b"\r\n\r\n0\r\n\r\nGET /echo/smuggled HTTP/1.1\r\nHost: a\r\n\r\nGET /echo/smuggled HTTP/1.1\r\n\r\n";

/// Runs the target.
pub fn run(input: &[u8]) {
    let (plan, bytes) = Plan::split(input);
    let stream = expand(bytes, STREAM_BYTES_MAX);
    let settings = Settings { strict: plan.strict, send_date: !plan.without_date, ..Settings::default() };
    // Shared by all connections of the run: the bytes that one leaves in a buffer must not matter to the next.
    let mut shared = Shared::new(settings);

    let disturbed = live(&stream, &plan, &mut shared);
    let received = &stream[..disturbed.received];
    let whole = live(received, &Plan::default(), &mut shared);
    let whole_answers = check(&whole, received, settings);
    let disturbed_answers = check(&disturbed, received, settings);
    same_in_another_cut(&disturbed, &disturbed_answers, &whole, &whole_answers);

    if received.len() <= BY_BYTE_BYTES_MAX {
        let byte_by_byte = Plan { events: vec![Event::Receive(1), Event::Send(1)], ..Plan::default() };
        let by_byte = live(received, &byte_by_byte, &mut shared);
        same_in_another_cut(&by_byte, &check(&by_byte, received, settings), &whole, &whole_answers);
    }
    nothing_is_parsed_behind_a_protocol_error(received, &whole, &whole_answers, &mut shared);
    ends_at_once_where_it_says_so(&whole, &whole_answers);
    head_is_get_without_content(received, &whole_answers, &mut shared, settings);
}

/// Invariants 1, 2, the first half of 3, and 4.
fn check(outcome: &Outcome, received: &[u8], settings: Settings) -> Answers {
    // A peer that was too slow may have sent its method only afterwards.
    let first_head = (!outcome.timed_out).then(|| received.strip_prefix(b"\r\n").unwrap_or(received));
    let first_is_head = first_head.map(|bytes| bytes.starts_with(b"HEAD "));
    let answers = responses::read(&outcome.sent, &outcome.asked, settings.send_date, first_is_head);
    assert!(!answers.is_cut_off || outcome.timed_out, "a response is broken off only where the peer does not read");

    let numbers: Vec<usize> = answers.finals.iter().filter_map(Answer::number).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len()), "requests are answered once each, in order: {numbers:?}");
    let errors = answers.finals.len() - numbers.len();
    assert!(errors <= 1, "a connection has at most one error");
    if let (1, Some(last)) = (errors, answers.finals.last()) {
        assert_eq!(last.number(), None, "an error is answered last");
    }
    // What was asked and not answered: a request whose content was the protocol error, or what a deadline cut short.
    let unanswered = outcome.asked.len() - numbers.len();
    assert!(
        unanswered <= errors || outcome.timed_out,
        "every question has its answer: {unanswered} are missing, errors: {errors}"
    );
    if let Some(asked) = outcome.asked_when_finished {
        assert!(outcome.asked.len() <= asked + 1, "a server that shuts down begins at most one more request");
        let says_more = numbers.len() > asked && answers.finals.last().is_some_and(|last| !last.says_close());
        assert!(!says_more, "the last answer of a server that shuts down says so");
    }
    assert!(answers.interims <= outcome.asked.len(), "only a request whose head is accepted is told to continue");
    // A connection between two requests is closed at once by a server that shuts down.
    let may_just_close = outcome.timed_out || outcome.asked_when_finished.is_some() || answers.finals.is_empty();
    assert!(outcome.ended || may_just_close, "a connection that answered ends in order");
    answers
}

/// Invariant 7.
fn same_in_another_cut(one: &Outcome, one_answers: &Answers, whole: &Outcome, whole_answers: &Answers) {
    if !one.timed_out && one.asked_when_finished.is_none() {
        assert_eq!(one.asked, whole.asked, "the same bytes ask the same questions in every cut");
        assert_eq!(one_answers.finals, whole_answers.finals, "the same bytes get the same answers in every cut");
        return;
    }
    assert!(whole.asked.starts_with(&one.asked), "what is cut short has asked the first of the same questions");
    let is_too_late =
        |answer: &Answer| answer.tells_of(ProtocolError::HeadTooSlow) || answer.tells_of(ProtocolError::ContentTooSlow);
    let finals = || one_answers.finals.iter().filter(|answer| !is_too_late(answer)).cloned();
    assert!(
        finals().map(Answer::without_connection).eq(whole_answers
            .finals
            .iter()
            .cloned()
            .map(Answer::without_connection)
            .take(finals().count())),
        "what is cut short has got the first of the same answers"
    );
}

/// Invariant 3, second half. A message that the peer's end cut short is another one with more bytes behind it.
fn nothing_is_parsed_behind_a_protocol_error(
    received: &[u8],
    whole: &Outcome,
    whole_answers: &Answers,
    shared: &mut Shared,
) {
    let Some(last) = whole_answers.finals.last().filter(|last| last.number().is_none()) else { return };
    if last.tells_of(ProtocolError::HeadIncomplete) || last.tells_of(ProtocolError::ContentIncomplete) {
        return;
    }
    let longer = [received, SMUGGLED].concat();
    let again = live(&longer, &Plan::default(), shared);
    assert_eq!(again.asked, whole.asked, "nothing behind an error is asked about");
    assert_eq!(again.sent, whole.sent, "nothing behind an error is answered");
}

/// Invariant 5.
fn ends_at_once_where_it_says_so(whole: &Outcome, whole_answers: &Answers) {
    let Some(last) = whole_answers.finals.last().filter(|last| last.says_close()) else { return };
    let is_about_the_peers_end =
        last.tells_of(ProtocolError::HeadIncomplete) || last.tells_of(ProtocolError::ContentIncomplete);
    assert!(whole.ended_first || is_about_the_peers_end, "the end follows an answer that says `Connection: close`");
}

/// Invariant 6, shown by the first request.
fn head_is_get_without_content(received: &[u8], answers: &Answers, shared: &mut Shared, settings: Settings) {
    let Some(behind_method) = received.strip_prefix(b"HEAD ") else { return };
    let Some(answer) = answers.finals.first().filter(|answer| answer.number().is_some()) else { return };
    let get = [b"GET ", behind_method].concat();
    let as_get = check(&live(&get, &Plan::default(), shared), &get, settings);
    let expected = as_get.finals.first().cloned().map(Answer::without_content);
    assert_eq!(Some(answer), expected.as_ref(), "HEAD is answered as GET is, but for the content");
}
