//! Lines of the access log. The input is four parts with a zero byte between them: a letter that chooses how the exchange
//! ended, then the method and the target, Referer, and User-Agent, of any bytes.
//!
//! 1. No input makes it panic.
//! 2. An exchange is one line of printable ASCII in the combined format, and one line without control characters in JSON.
//! 3. Read back, the combined format has exactly the bytes of the request; JSON has them with U+FFFD for what is not UTF-8.
//! 4. Whatever the request contains, the other fields are where programs expect them.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use serde_json::Value;
use spindle::semantics::Now;
use spindle::semantics::client::Client;
use spindle::semantics::exchange_record::{ExchangeRecord, Outcome};
use spindle::semantics::fields::{FieldName, FieldSpan, FieldSpans, Fields};
use spindle::semantics::request::Version;
use spindle::telemetry::LogFormat;
use spindle::telemetry::access_log::{AccessLog, LogOutput, Reopened};

/// The longest part, so that offsets fit 16 bits.
const PART_BYTES_MAX: usize = 16 * 1024;

/// Runs the target.
pub fn run(input: &[u8]) {
    let mut parts = input.splitn(4, |byte| *byte == 0).map(|part| &part[..part.len().min(PART_BYTES_MAX)]);
    let kind = parts.next().and_then(|part| part.first().copied()).unwrap_or(b'a');
    let request = parts.next().unwrap_or_default();
    let (referer, agent) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let record = record(kind, request, referer, agent);
    let combined = line(&record, LogFormat::Combined);
    assert!(combined.iter().all(|byte| matches!(byte, b' '..=b'~')), "the line is printable ASCII");
    assert_combined(&combined, &record);
    let json = line(&record, LogFormat::Json);
    assert_json(&json, &record);
}

fn record(kind: u8, request: &[u8], referer: &[u8], agent: &[u8]) -> ExchangeRecord {
    let (mut bytes, mut spans) = (Vec::new(), FieldSpans::default());
    for (name, value) in [(FieldName::Referer, referer), (FieldName::UserAgent, agent)] {
        let value_start = bytes.len() as u16;
        bytes.extend_from_slice(value);
        spans.push(FieldSpan { name, value_start, value_end: bytes.len() as u16, ..FieldSpan::default() });
    }
    let now = Now { monotonic_ns: 1, unix_ns: 784_111_777_000_000_000 };
    let mut record = ExchangeRecord::default();
    record.begin(Client::at([192, 0, 2, 1].into(), 80), 1, 2, &now);
    if kind & 1 == 0 {
        let version = if kind & 2 == 0 { Version::Http11 } else { Version::Http10 };
        record.version = Some(version);
        record.note_request(request, &Fields::new(&bytes, &spans));
    }
    record.status = (kind & 4 == 0).then_some(206);
    record.outcome = if kind & 8 == 0 { Outcome::Complete } else { Outcome::Refused("a \"reason\"") };
    record.content_sent_bytes = 5;
    record
}

/// Keeps what is written.
struct Written(Rc<RefCell<Vec<u8>>>);

impl LogOutput for Written {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(lines);
        Ok(lines.len())
    }

    fn reopen(&mut self) -> io::Result<Reopened> {
        Ok(Reopened::SameOutput)
    }
}

/// The line, without its end.
fn line(record: &ExchangeRecord, format: LogFormat) -> Vec<u8> {
    let written = Rc::default();
    let mut log = AccessLog::new(Box::new(Written(Rc::clone(&written))), format);
    log.exchange_ended(record);
    log.flush(&Now { monotonic_ns: 2, unix_ns: 2 });
    let mut line = written.take();
    assert_eq!(line.pop(), Some(b'\n'), "a line ends with a line feed");
    assert!(!line.contains(&b'\n') && !line.contains(&b'\r'), "an exchange is one line");
    line
}

fn assert_combined(line: &[u8], record: &ExchangeRecord) {
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b'"').collect();
    let [start, request, numbers, referer, b" ", agent, b""] = parts[..] else {
        panic!("the line has three quoted fields: {}", line.escape_ascii())
    };
    assert_eq!(start, b"192.0.2.1 - - [06/Nov/1994:08:49:37 +0000] ", "the client and the time precede the request");
    let status = record.status.unwrap_or(499);
    assert_eq!(numbers, format!(" {status} 5 ").as_bytes(), "the status and the length follow the request");
    let or_dash = |text: &[u8]| if text.is_empty() { b"-".to_vec() } else { text.to_vec() };
    let version = match record.version {
        Some(Version::Http11) => &b" HTTP/1.1"[..],
        Some(Version::Http10) => b" HTTP/1.0",
        None => b"",
    };
    assert_eq!(unescaped(request), [&or_dash(record.method_and_target())[..], version].concat(), "the request is kept");
    assert_eq!(unescaped(referer), or_dash(record.referer()), "the Referer is kept");
    assert_eq!(unescaped(agent), or_dash(record.user_agent()), "the User-Agent is kept");
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let [b'x', high, low, after @ ..] = rest else { panic!("a backslash begins an escape") };
        let digits = [*high, *low];
        let byte = std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.expect("an escape has two digits"));
        rest = after;
    }
    bytes
}

fn assert_json(line: &[u8], record: &ExchangeRecord) {
    let text = std::str::from_utf8(line).expect("JSON is UTF-8");
    assert!(!text.chars().any(char::is_control), "the line has no control characters");
    let value: Value = serde_json::from_str(text).expect("the line is JSON");
    let string = |name: &str| value.get(name).and_then(Value::as_str);
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let not_empty = |bytes: &[u8]| Some(lossy(bytes)).filter(|text| !text.is_empty());
    let request = record.method_and_target();
    let space = request.iter().position(|byte| *byte == b' ');
    let (method, target) = (space.map(|at| lossy(&request[..at])), space.map(|at| lossy(&request[at + 1..])));
    assert_eq!((string("method"), string("target")), (method.as_deref(), target.as_deref()), "the request is kept");
    assert_eq!(string("referer"), not_empty(record.referer()).as_deref(), "the Referer is kept");
    assert_eq!(string("user_agent"), not_empty(record.user_agent()).as_deref(), "the User-Agent is kept");
    assert_eq!(value.get("status").and_then(Value::as_u64), record.status.map(u64::from), "the status is kept");
    assert_eq!((string("client"), string("time")), (Some("192.0.2.1"), Some("1994-11-06T08:49:37.000Z")));
    assert_eq!(value.as_object().map(serde_json::Map::len), Some(17), "no field is added or replaced");
}
