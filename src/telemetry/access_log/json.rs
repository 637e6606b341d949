//! JSON, one object a line.

use crate::semantics::client::Client;
use crate::semantics::date::Rfc3339;
use crate::semantics::exchange_record::{ExchangeRecord, Outcome};
use crate::semantics::request::Version;
use crate::telemetry::text::{push_client, push_json_string, push_milliseconds, push_number, push_three_digits};

const NS_PER_MS: u64 = 1_000_000;

/// The length of `{"time":"1994-11-06T08:49:37.`.
const TIME_BYTES: usize = 29;

/// Why an exchange was cut off if the server closed its connection.
const SERVER_CLOSED: &str = "the server closed the connection first";

/// Formats lines. It keeps parts of the last one, because many lines of one client follow each other within a second.
#[derive(Debug)]
pub(super) struct Formatter {
    /// The client, and the text from after the time to the number of the connection.
    client: Client,
    client_text: Vec<u8>,
    /// The time in seconds since 1970, and the line up to the fraction of the second.
    second: u64,
    time_text: [u8; TIME_BYTES],
}

impl Default for Formatter {
    fn default() -> Formatter {
        Formatter {
            client: Client::Unix,
            client_text: client_text(&Client::Unix, Vec::new()),
            second: 0,
            time_text: *b"{\"time\":\"1970-01-01T00:00:00.",
        }
    }
}

impl Formatter {
    /// Appends the line of an exchange, with its line end. `account` is who the client has proved to be.
    pub(super) fn push_line(&mut self, lines: &mut Vec<u8>, record: &ExchangeRecord, account: Option<&[u8]>) {
        lines.extend_from_slice(self.time_text(record.started.unix_s()));
        push_three_digits(lines, record.started.unix_ns / NS_PER_MS % 1000);
        lines.extend_from_slice(self.client_text(&record.client));
        push_exchange(lines, record, account);
    }

    fn client_text(&mut self, client: &Client) -> &[u8] {
        if self.client.ip() != client.ip() {
            self.client = *client;
            self.client_text = client_text(client, std::mem::take(&mut self.client_text));
        }
        &self.client_text
    }

    fn time_text(&mut self, unix_s: u64) -> &[u8] {
        // 64 bits of nanoseconds end in the year 2554, so there always is a date.
        if self.second != unix_s
            && let Some(date) = Rfc3339::new(i128::from(unix_s))
        {
            self.second = unix_s;
            let date = date.text();
            // Without the `Z` at the end.
            self.time_text[9..28].copy_from_slice(&date[..19]);
        }
        &self.time_text
    }
}

/// The text from after the time to the number of the connection, in the memory of another one.
fn client_text(client: &Client, mut text: Vec<u8>) -> Vec<u8> {
    text.clear();
    text.extend_from_slice(b"Z\",\"client\":\"");
    push_client(&mut text, client);
    text.extend_from_slice(b"\",\"connection\":");
    text
}

/// Appends what follows the client.
fn push_exchange(lines: &mut Vec<u8>, record: &ExchangeRecord, account: Option<&[u8]>) {
    push_number(lines, record.connection);
    lines.extend_from_slice(b",\"request\":");
    push_number(lines, record.request);
    push_string_or_null(lines, b",\"account\":", account);
    let (method, target) = method_and_target(record);
    push_string_or_null(lines, b",\"method\":", method);
    push_string_or_null(lines, b",\"target\":", target);
    lines.extend_from_slice(match record.version {
        Some(Version::Http11) => b",\"version\":\"1.1\"",
        Some(Version::Http10) => b",\"version\":\"1.0\"",
        None => b",\"version\":null",
    });
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
        Outcome::Complete => (&b",\"outcome\":\"complete\""[..], None),
        Outcome::CutOff => (&b",\"outcome\":\"cut off\""[..], None),
        Outcome::TimedOut => (&b",\"outcome\":\"timed out\""[..], None),
        Outcome::Refused(reason) => (&b",\"outcome\":\"refused\""[..], Some(reason)),
        Outcome::ServerClosed => (&b",\"outcome\":\"cut off\""[..], Some(SERVER_CLOSED)),
    };
    lines.extend_from_slice(outcome);
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
