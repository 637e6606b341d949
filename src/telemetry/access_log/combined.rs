//! The combined log format of Apache and nginx.

use crate::semantics::date::ImfFixdate;
use crate::semantics::exchange_record::ExchangeRecord;
use crate::semantics::request::Version;
use crate::telemetry::text::{push_client, push_escaped, push_number};

/// What takes the place of the status if there was no response. Readers of the format expect a number; nginx introduced
/// this one.
const STATUS_WITHOUT_RESPONSE: u16 = 499;

/// The length of `[06/Nov/1994:08:49:37 +0000]`.
const TIME_BYTES: usize = 28;

/// Formats times, of which many follow each other within a second.
#[derive(Debug)]
pub(super) struct Times {
    second: u64,
    text: [u8; TIME_BYTES],
}

impl Default for Times {
    fn default() -> Times {
        Times { second: 0, text: *b"[01/Jan/1970:00:00:00 +0000]" }
    }
}

impl Times {
    /// The text of a time in seconds since 1970. After the year 9999 it stays the same.
    fn text(&mut self, unix_s: u64) -> &[u8] {
        if self.second != unix_s
            && let Some(date) = ImfFixdate::new(unix_s)
        {
            self.second = unix_s;
            // Sun, 06 Nov 1994 08:49:37 GMT
            let date = date.as_bytes();
            self.text[1..3].copy_from_slice(&date[5..7]);
            self.text[4..7].copy_from_slice(&date[8..11]);
            self.text[8..12].copy_from_slice(&date[12..16]);
            self.text[13..21].copy_from_slice(&date[17..25]);
        }
        &self.text
    }
}

/// Appends the line of an exchange, with its line end. `account` is who the client has proved to be.
pub(super) fn push_line(lines: &mut Vec<u8>, record: &ExchangeRecord, account: Option<&[u8]>, times: &mut Times) {
    push_client(lines, &record.client);
    lines.extend_from_slice(b" - ");
    // A space would end the field.
    match account.filter(|account| !account.is_empty() && !account.contains(&b' ')) {
        Some(account) => push_escaped(lines, account),
        None => lines.push(b'-'),
    }
    lines.push(b' ');
    lines.extend_from_slice(times.text(record.started.unix_s()));
    lines.extend_from_slice(b" \"");
    push_or_dash(lines, record.method_and_target());
    lines.extend_from_slice(match record.version {
        Some(Version::Http11) => b" HTTP/1.1\" ",
        Some(Version::Http10) => b" HTTP/1.0\" ",
        None => b"\" ",
    });
    push_number(lines, u64::from(record.status.unwrap_or(STATUS_WITHOUT_RESPONSE)));
    lines.push(b' ');
    push_number(lines, record.content_sent_bytes);
    lines.extend_from_slice(b" \"");
    push_or_dash(lines, record.referer());
    lines.extend_from_slice(b"\" \"");
    push_or_dash(lines, record.user_agent());
    lines.extend_from_slice(b"\"\n");
}

fn push_or_dash(lines: &mut Vec<u8>, text: &[u8]) {
    match text {
        b"" => lines.push(b'-'),
        text => push_escaped(lines, text),
    }
}
