//! The combined log format of Apache and nginx.

use crate::semantics::client::Client;
use crate::semantics::date::ImfFixdate;
use crate::semantics::exchange_record::ExchangeRecord;
use crate::semantics::request::Version;
use crate::telemetry::text::{push_client, push_escaped, push_number};

/// What takes the place of the status if there was no response. Readers of the format expect a number; nginx introduced
/// this one.
const STATUS_WITHOUT_RESPONSE: u16 = 499;

/// The length of `[06/Nov/1994:08:49:37 +0000] "`.
const TIME_BYTES: usize = 30;

/// Formats lines. It keeps the beginning of the last one, because many lines of one client follow each other within a
/// second.
#[derive(Debug)]
pub(super) struct Formatter {
    /// The client and its address as in a line, with the two fields after it.
    client: Client,
    client_text: Vec<u8>,
    /// The time in seconds since 1970, with the quotation mark of the field after it.
    second: u64,
    time_text: [u8; TIME_BYTES],
}

impl Default for Formatter {
    fn default() -> Formatter {
        Formatter {
            client: Client::Unix,
            client_text: b"unix - ".to_vec(),
            second: 0,
            time_text: *b"[01/Jan/1970:00:00:00 +0000] \"",
        }
    }
}

impl Formatter {
    /// Appends the line of an exchange, with its line end. `account` is who the client has proved to be.
    pub(super) fn push_line(&mut self, lines: &mut Vec<u8>, record: &ExchangeRecord, account: Option<&[u8]>) {
        lines.extend_from_slice(self.client_text(&record.client));
        // A space would end the field.
        match account.filter(|account| !account.is_empty() && !account.contains(&b' ')) {
            Some(account) => {
                push_escaped(lines, account);
                lines.push(b' ');
            }
            None => lines.extend_from_slice(b"- "),
        }
        lines.extend_from_slice(self.time_text(record.started.unix_s()));
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

    fn client_text(&mut self, client: &Client) -> &[u8] {
        if self.client.ip() != client.ip() {
            self.client = *client;
            self.client_text.clear();
            push_client(&mut self.client_text, client);
            self.client_text.extend_from_slice(b" - ");
        }
        &self.client_text
    }

    /// The text of a time in seconds since 1970. After the year 9999 it stays the same.
    fn time_text(&mut self, unix_s: u64) -> &[u8] {
        if self.second != unix_s
            && let Some(date) = ImfFixdate::new(unix_s)
        {
            self.second = unix_s;
            // Sun, 06 Nov 1994 08:49:37 GMT
            let date = date.as_bytes();
            self.time_text[1..3].copy_from_slice(&date[5..7]);
            self.time_text[4..7].copy_from_slice(&date[8..11]);
            self.time_text[8..12].copy_from_slice(&date[12..16]);
            self.time_text[13..21].copy_from_slice(&date[17..25]);
        }
        &self.time_text
    }
}

fn push_or_dash(lines: &mut Vec<u8>, text: &[u8]) {
    match text {
        b"" => lines.push(b'-'),
        text => push_escaped(lines, text),
    }
}
