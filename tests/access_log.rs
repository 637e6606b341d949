//! The lines of the access log, whatever a client sends, and outputs that are slow, full or replaced.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::rc::Rc;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use spindle::semantics::Now;
use spindle::semantics::client::Client;
use spindle::semantics::exchange_record::{ExchangeRecord, Outcome};
use spindle::semantics::fields::{FieldName, FieldSpan, FieldSpans, Fields};
use spindle::semantics::request::Version;
use spindle::telemetry::LogFormat;
use spindle::telemetry::access_log::{AccessLog, LogOutput, Reopened};

const SECOND: u64 = 1_000_000_000;

/// Sunday, 6 November 1994, 08:49:37 UTC.
const UNIX_NS: u64 = 784_111_777 * SECOND;

/// A file as the access log sees it.
#[derive(Default)]
struct Disk {
    /// How many bytes it takes before the next write fails; `None` if there is no limit.
    room: Option<usize>,
    /// The error of a write for which there is no room.
    error: Option<ErrorKind>,
    written: Vec<u8>,
    writes: usize,
    cannot_reopen: bool,
    /// Whether opening it anew finds the same file.
    is_never_moved: bool,
    /// What the file contained that was in use before it was opened anew.
    rotated: Vec<Vec<u8>>,
}

#[derive(Clone, Default)]
struct Output(Rc<RefCell<Disk>>);

impl LogOutput for Output {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut disk = self.0.borrow_mut();
        disk.writes += 1;
        let bytes = disk.room.unwrap_or(usize::MAX).min(lines.len());
        if bytes == 0 {
            return Err(disk.error.unwrap_or(ErrorKind::WouldBlock).into());
        }
        disk.room = disk.room.map(|room| room - bytes);
        disk.written.extend_from_slice(&lines[..bytes]);
        Ok(bytes)
    }

    fn reopen(&mut self) -> io::Result<Reopened> {
        let mut disk = self.0.borrow_mut();
        if disk.cannot_reopen {
            return Err(ErrorKind::PermissionDenied.into());
        }
        if disk.is_never_moved {
            return Ok(Reopened::SameOutput);
        }
        let written = std::mem::take(&mut disk.written);
        disk.rotated.push(written);
        Ok(Reopened::OtherOutput)
    }
}

fn access_log(format: LogFormat) -> (AccessLog, Output) {
    let output = Output::default();
    (AccessLog::new(Box::new(output.clone()), format), output)
}

fn at(monotonic_ns: u64) -> Now {
    Now { monotonic_ns, unix_ns: UNIX_NS + monotonic_ns }
}

/// The record of a request with these fields, if they are not empty.
fn record(request: &[u8], referer: &[u8], user_agent: &[u8]) -> ExchangeRecord {
    let mut record = ExchangeRecord::default();
    record.begin(Client::at(IpAddr::from([192, 0, 2, 1]), 80), 7, 3, &at(12_000_000));
    let (mut bytes, mut spans) = (Vec::new(), FieldSpans::default());
    for (name, value) in [(FieldName::Referer, referer), (FieldName::UserAgent, user_agent)] {
        let value_start = bytes.len() as u16;
        bytes.extend_from_slice(value);
        spans.push(FieldSpan { name, value_start, value_end: bytes.len() as u16, ..FieldSpan::default() });
    }
    record.version = Some(Version::Http11);
    record.note_request(request, &Fields::new(&bytes, &spans));
    record.status = Some(206);
    record.content_sent_bytes = 1234;
    record.content_received_bytes = 5;
    record.first_byte_ns = Some(1_500_000);
    record.total_ns = 20_000_000;
    record
}

/// What the log writes about the records.
fn written(format: LogFormat, records: &[ExchangeRecord]) -> String {
    let (mut log, output) = access_log(format);
    records.iter().for_each(|record| log.exchange_ended(record));
    log.flush(&at(0));
    let written = output.0.borrow().written.clone();
    String::from_utf8(written).expect("a log that is UTF-8")
}

#[test]
fn a_line_in_the_combined_format() {
    let record = record(b"GET /a?b HTTP-like", b"", b"curl/8");
    assert_eq!(
        written(LogFormat::Combined, &[record]),
        "192.0.2.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a?b HTTP-like HTTP/1.1\" 206 1234 \"-\" \"curl/8\"\n"
    );
    let mut without_head = ExchangeRecord::default();
    without_head.begin(Client::Unix, 0, 1, &at(0));
    assert_eq!(
        written(LogFormat::Combined, &[without_head]),
        "unix - - [06/Nov/1994:08:49:37 +0000] \"-\" 499 0 \"-\" \"-\"\n"
    );
}

#[test]
fn a_line_in_json() {
    let line = written(LogFormat::Json, &[record(b"GET /a?b", b"", b"curl/8")]);
    assert_eq!(
        line,
        concat!(
            r#"{"time":"1994-11-06T08:49:37.012Z","client":"192.0.2.1","connection":7,"request":3,"account":null,"#,
            r#""method":"GET","target":"/a?b","version":"1.1","status":206,"bytes_sent":1234,"bytes_received":5,"#,
            r#""first_byte_ms":1.500,"total_ms":20.000,"referer":null,"user_agent":"curl/8","outcome":"complete","#,
            r#""reason":null}"#,
            "\n"
        )
    );
}

#[test]
fn each_outcome_has_its_name_and_reason() {
    for (outcome, name, reason) in [
        (Outcome::Complete, "complete", Value::Null),
        (Outcome::CutOff, "cut off", Value::Null),
        (Outcome::TimedOut, "timed out", Value::Null),
        (Outcome::Refused("It is \"bad\"."), "refused", "It is \"bad\".".into()),
        (Outcome::ServerClosed, "cut off", "the server closed the connection first".into()),
    ] {
        let mut record = record(b"GET /", b"", b"");
        record.outcome = outcome;
        let line: Value = serde_json::from_str(&written(LogFormat::Json, &[record])).expect("JSON");
        assert_eq!((&line["outcome"], &line["reason"]), (&name.into(), &reason));
    }
}

/// The quoted and unquoted fields of a line in the combined format.
fn fields_of(line: &str) -> Vec<&str> {
    let parts: Vec<&str> = line.split('"').collect();
    assert_eq!(parts.len(), 7, "three quoted fields: {line}");
    parts
}

/// Reverses the escaping of the combined format.
fn unescaped(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).expect("two digits"));
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

fn or_dash(bytes: &[u8]) -> &[u8] {
    if bytes.is_empty() { b"-" } else { bytes }
}

/// Bytes among which those are frequent that end fields or lines.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![any::<u8>(), prop::sample::select(b"\r\n\"\\ \x1b\x7f\x80\x9b\xc2x{}-".to_vec())], 0..60)
}

proptest! {
    #[test]
    fn no_bytes_from_a_client_can_forge_a_line_or_a_field(
        requests in vec((hostile(), hostile(), hostile()), 1..5)
    ) {
        let records: Vec<ExchangeRecord> = requests
            .iter()
            .map(|(target, referer, user_agent)| record(&[b"GET ", &target[..]].concat(), referer, user_agent))
            .collect();
        let combined = written(LogFormat::Combined, &records);
        prop_assert!(combined.ends_with('\n'));
        prop_assert!(combined.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
        prop_assert_eq!(combined.lines().count(), requests.len());
        for (line, (target, referer, user_agent)) in combined.lines().zip(&requests) {
            let fields = fields_of(line);
            prop_assert_eq!(fields[2], " 206 1234 ");
            prop_assert_eq!(unescaped(fields[1]), [b"GET ", &target[..], b" HTTP/1.1"].concat());
            prop_assert_eq!(unescaped(fields[3]), or_dash(referer));
            prop_assert_eq!(unescaped(fields[5]), or_dash(user_agent));
        }
        let json = written(LogFormat::Json, &records);
        prop_assert!(!json.chars().any(|character| character.is_control() && character != '\n'));
        prop_assert_eq!(json.lines().count(), requests.len());
        for (line, (target, _, user_agent)) in json.lines().zip(&requests) {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let (logged_target, agent) = (line["target"].as_str(), line["user_agent"].as_str());
            prop_assert_eq!(logged_target.expect("a target"), String::from_utf8_lossy(target));
            prop_assert_eq!(agent.unwrap_or_default(), String::from_utf8_lossy(user_agent));
        }
    }
}

/// Adds numbered lines until some are lost. Returns how many were added.
fn overfill(log: &mut AccessLog) -> usize {
    let lost_before = log.lost_lines();
    let mut added = 0;
    while log.lost_lines() < lost_before + 10 {
        log.exchange_ended(&record(format!("GET /{added}").as_bytes(), b"", &[b'x'; 1000]));
        added += 1;
        assert!(added < 10_000, "the buffer has no bound");
    }
    added
}

/// The numbers of the lines, each of which must be whole.
fn numbers(written: &[u8]) -> Vec<usize> {
    let lines = String::from_utf8(written.to_vec()).expect("text");
    let number = |line: &str| {
        assert!(line.ends_with("x\""), "{line}");
        let fields = fields_of(line);
        fields[1].strip_prefix("GET /")?.strip_suffix(" HTTP/1.1")?.parse().ok()
    };
    lines.lines().map(|line| number(line).expect("a whole line")).collect()
}

#[test]
fn when_an_output_is_full_only_whole_lines_are_lost_and_all_of_them_are_counted() {
    // The limit is within a line.
    for error in [ErrorKind::WouldBlock, ErrorKind::StorageFull] {
        let (mut log, output) = access_log(LogFormat::Combined);
        *output.0.borrow_mut() = Disk { room: Some(1500), error: Some(error), ..Disk::default() };
        log.exchange_ended(&record(b"GET /0", b"", &[b'x'; 1000]));
        log.exchange_ended(&record(b"GET /0", b"", &[b'x'; 1000]));
        log.flush(&at(0));
        assert_eq!(output.0.borrow().written.len(), 1500);
        let added = overfill(&mut log);
        let lost = log.lost_lines();
        output.0.borrow_mut().room = None;
        log.flush(&at(2 * SECOND));
        let written = numbers(&output.0.borrow().written);
        assert_eq!(written.len() as u64, 2 + added as u64 - lost);
        assert!(written[2..].iter().copied().eq(0..written.len() - 2), "{written:?}");
    }
}

#[test]
fn lines_are_written_together_a_tenth_of_a_second_after_the_first_exchange_has_ended() {
    let (mut log, _) = access_log(LogFormat::Combined);
    assert_eq!(log.deadline_ns(), None);
    for number in 0..3 {
        let mut record = record(b"GET /", b"", b"");
        record.started = at(SECOND + number);
        log.exchange_ended(&record);
    }
    // Its response took 20 ms.
    let deadline_ns = SECOND + 20_000_000 + SECOND / 10;
    assert_eq!(log.deadline_ns(), Some(deadline_ns));
    log.flush(&at(deadline_ns));
    assert_eq!(log.deadline_ns(), None);
}

/// The attempts to write to an output without room, when the log asks for them, until `until_ns`.
fn attempts_until(until_ns: u64, log: &mut AccessLog, output: &Output) -> usize {
    let before = output.0.borrow().writes;
    while let Some(deadline_ns) = log.deadline_ns().filter(|deadline_ns| *deadline_ns < until_ns) {
        log.flush(&at(deadline_ns));
    }
    output.0.borrow().writes - before
}

#[test]
fn a_slow_output_is_tried_again_soon_but_not_often_while_it_takes_nothing() {
    let (mut log, output) = access_log(LogFormat::Combined);
    output.0.borrow_mut().room = Some(0);
    log.exchange_ended(&record(b"GET /", b"", b""));
    log.flush(&at(0));
    assert!((3..10).contains(&attempts_until(SECOND / 20, &mut log, &output)));
    attempts_until(10 * SECOND, &mut log, &output);
    assert!((10..=11).contains(&attempts_until(11 * SECOND, &mut log, &output)));
    output.0.borrow_mut().room = Some(1);
    log.flush(&at(11 * SECOND));
    let deadline_ns = log.deadline_ns().expect("a deadline");
    assert!(deadline_ns <= 11 * SECOND + 1_000_000, "it takes something again: {deadline_ns}");
}

#[test]
fn a_failed_output_is_tried_again_after_a_second_and_a_slow_one_whenever_asked() {
    for (error, writes) in [(ErrorKind::WouldBlock, 3), (ErrorKind::StorageFull, 1)] {
        let (mut log, output) = access_log(LogFormat::Json);
        *output.0.borrow_mut() = Disk { room: Some(0), error: Some(error), ..Disk::default() };
        log.exchange_ended(&record(b"GET /", b"", b""));
        for _ in 0..3 {
            log.flush(&at(SECOND));
        }
        assert_eq!(output.0.borrow().writes, writes, "{error}");
        let deadline_ns = log.deadline_ns().expect("a deadline");
        assert!((SECOND + SECOND / 1000..=2 * SECOND).contains(&deadline_ns), "{deadline_ns}");
        output.0.borrow_mut().room = None;
        log.flush(&at(deadline_ns));
        assert!(!output.0.borrow().written.is_empty());
        assert_eq!(log.deadline_ns(), None);
    }
}

#[test]
fn after_a_rotation_lines_go_to_the_new_file_and_the_rest_of_a_line_is_lost() {
    let (mut log, output) = access_log(LogFormat::Combined);
    let add = |log: &mut AccessLog, number: usize| {
        log.exchange_ended(&record(format!("GET /{number}").as_bytes(), b"", &[b'x'; 1000]));
    };
    add(&mut log, 0);
    log.reload(&at(0));
    assert_eq!(numbers(&output.0.borrow().rotated[0]), [0], "what was collected before belongs to the old file");
    // The disk is full within line 1.
    *output.0.borrow_mut() = Disk { room: Some(500), error: Some(ErrorKind::StorageFull), ..Disk::default() };
    add(&mut log, 1);
    add(&mut log, 2);
    log.reload(&at(0));
    output.0.borrow_mut().room = None;
    log.flush(&at(0));
    assert_eq!(output.0.borrow().rotated[0].len(), 500);
    assert_eq!((numbers(&output.0.borrow().written), log.lost_lines()), (vec![2], 1));
}

#[test]
fn a_line_that_was_begun_is_completed_if_the_same_pipe_is_opened_anew() {
    let (mut log, output) = access_log(LogFormat::Combined);
    *output.0.borrow_mut() = Disk { room: Some(500), is_never_moved: true, ..Disk::default() };
    for number in 0..2 {
        log.exchange_ended(&record(format!("GET /{number}").as_bytes(), b"", &[b'x'; 1000]));
    }
    log.reload(&at(0));
    assert_eq!(log.deadline_ns(), Some(0), "the rest is tried again without a further exchange");
    output.0.borrow_mut().room = None;
    log.flush(&at(0));
    assert_eq!((numbers(&output.0.borrow().written), log.lost_lines()), (vec![0, 1], 0));
}

#[test]
fn a_file_that_cannot_be_opened_anew_stays_in_use() {
    let (mut log, output) = access_log(LogFormat::Json);
    output.0.borrow_mut().cannot_reopen = true;
    log.reload(&at(0));
    log.exchange_ended(&record(b"GET /", b"", b""));
    log.flush(&at(0));
    assert!(!output.0.borrow().written.is_empty());
}

#[test]
fn what_cannot_be_written_when_the_server_stops_is_counted() {
    let (mut log, output) = access_log(LogFormat::Json);
    *output.0.borrow_mut() = Disk { room: Some(10), ..Disk::default() };
    for _ in 0..3 {
        log.exchange_ended(&record(b"GET /", b"", b""));
    }
    log.stop(&at(0));
    assert_eq!(log.lost_lines(), 3, "the first one is not whole");
}
