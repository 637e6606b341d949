//! JSON, one object a line.

use crate::semantics::exchange_record::{ExchangeRecord, Outcome};
use crate::semantics::request::Version;
use crate::telemetry::text::{push_client, push_json_string, push_milliseconds, push_number, push_rfc_3339};

/// Why an exchange was cut off if the server closed its connection.
const SERVER_CLOSED: &str = "the server closed the connection first";

/// Appends the line of an exchange, with its line end. `account` is who the client has proved to be.
pub(super) fn push_line(lines: &mut Vec<u8>, record: &ExchangeRecord, account: Option<&[u8]>) {
    lines.extend_from_slice(b"{\"time\":\"");
    push_rfc_3339(lines, record.started.unix_ns);
    lines.extend_from_slice(b"\",\"client\":\"");
    push_client(lines, &record.client);
    lines.extend_from_slice(b"\",\"connection\":");
    push_number(lines, record.connection);
    lines.extend_from_slice(b",\"request\":");
    push_number(lines, record.request);
    push_string_or_null(lines, b",\"account\":", account);
    let (method, target) = method_and_target(record);
    push_string_or_null(lines, b",\"method\":", method);
    push_string_or_null(lines, b",\"target\":", target);
    let version = record.version.map(|version| match version {
        Version::Http10 => &b"1.0"[..],
        Version::Http11 => b"1.1",
    });
    push_string_or_null(lines, b",\"version\":", version);
    push_or_null(lines, b",\"status\":", record.status, |lines, status| push_number(lines, u64::from(status)));
    lines.extend_from_slice(b",\"bytes_sent\":");
    push_number(lines, record.content_sent_bytes);
    lines.extend_from_slice(b",\"bytes_received\":");
    push_number(lines, record.content_received_bytes);
    push_or_null(lines, b",\"first_byte_ms\":", record.first_byte_ns, push_milliseconds);
    lines.extend_from_slice(b",\"total_ms\":");
    push_milliseconds(lines, record.total_ns);
    push_string_or_null(lines, b",\"referer\":", not_empty(record.referer()));
    push_string_or_null(lines, b",\"user_agent\":", not_empty(record.user_agent()));
    let (outcome, reason) = match record.outcome {
        Outcome::Complete => ("complete", None),
        Outcome::CutOff => ("cut off", None),
        Outcome::TimedOut => ("timed out", None),
        Outcome::Refused(reason) => ("refused", Some(reason)),
        Outcome::ServerClosed => ("cut off", Some(SERVER_CLOSED)),
    };
    push_string_or_null(lines, b",\"outcome\":", Some(outcome.as_bytes()));
    push_string_or_null(lines, b",\"reason\":", reason.map(str::as_bytes));
    lines.extend_from_slice(b"}\n");
}

/// The method and the target, if the head was complete.
fn method_and_target(record: &ExchangeRecord) -> (Option<&[u8]>, Option<&[u8]>) {
    let both = record.method_and_target();
    match memchr::memchr(b' ', both) {
        Some(space) => (Some(&both[..space]), Some(&both[space + 1..])),
        None => (None, None),
    }
}

fn not_empty(text: &[u8]) -> Option<&[u8]> {
    Some(text).filter(|text| !text.is_empty())
}

fn push_string_or_null(lines: &mut Vec<u8>, name: &[u8], text: Option<&[u8]>) {
    push_or_null(lines, name, text, push_json_string);
}

fn push_or_null<T>(lines: &mut Vec<u8>, name: &[u8], value: Option<T>, push: impl FnOnce(&mut Vec<u8>, T)) {
    lines.extend_from_slice(name);
    match value {
        Some(value) => push(lines, value),
        None => lines.extend_from_slice(b"null"),
    }
}
