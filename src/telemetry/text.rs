//! Parts of log lines, appended to a buffer without allocating: numbers, times, addresses and escaped text.

use std::io::Write as _;
use std::net::IpAddr;

use crate::semantics::client::Client;
use crate::semantics::date::Rfc3339;
use crate::semantics::misleading::is_misleading;

const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_US: u64 = 1000;

pub(super) fn push_number(line: &mut Vec<u8>, number: u64) {
    line.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a duration in milliseconds, with three digits after the point.
pub(super) fn push_milliseconds(line: &mut Vec<u8>, duration_ns: u64) {
    let us = duration_ns / NS_PER_US;
    push_number(line, us / 1000);
    line.push(b'.');
    push_three_digits(line, us % 1000);
}

/// Appends a number below 1000 as three digits.
pub(super) fn push_three_digits(line: &mut Vec<u8>, number: u64) {
    line.extend([number / 100, number / 10, number].map(|digit| b'0' + (digit % 10) as u8));
}

/// Appends a time in UTC as in RFC 3339, to the millisecond: `1994-11-06T08:49:37.000Z`.
pub(super) fn push_rfc_3339(line: &mut Vec<u8>, unix_ns: u64) {
    // 64 bits of nanoseconds end in the year 2554, so there always is a date.
    let date = Rfc3339::new(i128::from(unix_ns / NS_PER_S)).map_or(*b"0000-00-00T00:00:00Z", |date| date.text());
    line.extend_from_slice(&date[..date.len() - 1]);
    line.push(b'.');
    push_three_digits(line, unix_ns % NS_PER_S / 1_000_000);
    line.push(b'Z');
}

/// Appends an IP address, or `unix`.
pub(super) fn push_client(line: &mut Vec<u8>, client: &Client) {
    match client {
        Client::Network { ip: IpAddr::V4(ip), .. } => {
            let [first, rest @ ..] = u32::from(*ip).to_be_bytes();
            push_number(line, u64::from(first));
            for part in rest {
                line.push(b'.');
                push_number(line, u64::from(part));
            }
        }
        // Writing to a vector cannot fail.
        Client::Network { ip: IpAddr::V6(ip), .. } => drop(write!(line, "{ip}")),
        Client::Unix => line.extend_from_slice(b"unix"),
    }
}

/// Appends text as nginx does in its combined format: quotation marks, backslashes, and every byte that is not printable
/// ASCII become `\xHH`. So a quoted field ends at the next quotation mark, and a line at the next line end.
pub(super) fn push_escaped(line: &mut Vec<u8>, text: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if is_all_plain(text) {
        return line.extend_from_slice(text);
    }
    let mut rest = text;
    // Ends: each iteration removes a byte.
    while let Some(at) = rest.iter().position(|byte| !is_plain(*byte)) {
        let byte = rest[at];
        line.extend_from_slice(&rest[..at]);
        line.extend([b'\\', b'x', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        rest = &rest[at + 1..];
    }
    line.extend_from_slice(rest);
}

/// Whether a byte stands for itself in both formats.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// Whether all bytes are [plain](is_plain). Looks at all of them in any case: without an exit the loop is vectorised.
fn is_all_plain(text: &[u8]) -> bool {
    text.iter().fold(true, |is_all_plain, byte| is_all_plain & is_plain(*byte))
}

/// Appends a JSON string with its quotation marks. [Misleading](is_misleading) characters are escaped, also those that JSON
/// would allow: some programs end a line at U+2028. Bytes that are not UTF-8 become U+FFFD.
pub(super) fn push_json_string(line: &mut Vec<u8>, text: &[u8]) {
    line.push(b'"');
    if is_all_plain(text) {
        line.extend_from_slice(text);
    } else {
        push_json_chunks(line, text);
    }
    line.push(b'"');
}

fn push_json_chunks(line: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => line.extend([b'\\', character as u8]),
                // All of these are below U+10000. Writing to a vector cannot fail.
                _ if is_misleading(character) => drop(write!(line, "\\u{:04x}", u32::from(character))),
                _ => line.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            line.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut line = Vec::new();
        push(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn times_have_three_digits_after_the_point() {
        assert_eq!(text(|line| push_milliseconds(line, 0)), "0.000");
        assert_eq!(text(|line| push_milliseconds(line, 12_034_567)), "12.034");
        assert_eq!(text(|line| push_milliseconds(line, u64::MAX)), "18446744073709.551");
        assert_eq!(text(|line| push_rfc_3339(line, 784_111_777_012_345_678)), "1994-11-06T08:49:37.012Z");
        assert_eq!(text(|line| push_rfc_3339(line, u64::MAX)), "2554-07-21T23:34:33.709Z");
    }

    #[test]
    fn a_client_is_an_address_without_a_port() {
        let client = |ip: &str| text(|line| push_client(line, &Client::at(ip.parse().unwrap(), 80)));
        assert_eq!(client("192.0.2.10"), "192.0.2.10");
        assert_eq!(client("255.0.100.9"), "255.0.100.9");
        assert_eq!(client("2001:db8::1"), "2001:db8::1");
        assert_eq!(text(|line| push_client(line, &Client::Unix)), "unix");
    }

    #[test]
    fn the_combined_format_escapes_what_could_end_a_field_or_a_line() {
        let escaped = |bytes: &[u8]| text(|line| push_escaped(line, bytes));
        assert_eq!(escaped(b""), "");
        assert_eq!(escaped(b"GET /a%20b?c='d'~ "), "GET /a%20b?c='d'~ ");
        assert_eq!(escaped(b"a\"b\\c\r\n\x00\x1b\x7f\xc3\xa4\xff"), r"a\x22b\x5Cc\x0D\x0A\x00\x1B\x7F\xC3\xA4\xFF");
    }

    #[test]
    fn json_strings_are_valid_and_without_control_characters() {
        let string = |bytes: &[u8]| text(|line| push_json_string(line, bytes));
        assert_eq!(string(b""), r#""""#);
        assert_eq!(string(b"/a%20b"), r#""/a%20b""#);
        assert_eq!(string("\"ä\\\n\u{7f}\u{9b}🙂".as_bytes()), r#""\"ä\\\u000a\u007f\u009b🙂""#);
        assert_eq!(string(b"a\xff\xe2\x82b"), "\"a\u{fffd}\u{fffd}b\"");
        assert_eq!(string("gpj\u{202e}.exe\u{2028}".as_bytes()), r#""gpj\u202e.exe\u2028""#);
    }
}
