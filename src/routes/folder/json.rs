//! A listing as JSON (RFC 8259).
//!
//! `{"path":"/dir/","sorted":true,"entries":[{"name":"a b","href":"a%20b","type":"file","size":5,"modified":"…Z"},…]}`.
//! In a name that is not UTF-8, each invalid sequence becomes U+FFFD. `href` leads to the entry whatever its name is.

use std::io::Write as _;

use super::encode;
use crate::semantics::date::Rfc3339;
use crate::semantics::misleading::is_misleading;
use crate::storage::{Entry, EntryKind};

const NS_PER_S: i128 = 1_000_000_000;

/// Writes everything before the first entry.
pub(super) fn write_head(out: &mut Vec<u8>, path: &[u8], is_sorted: bool) {
    out.extend_from_slice(b"{\"path\":");
    write_string(out, path);
    out.extend_from_slice(if is_sorted { b",\"sorted\":true" } else { b",\"sorted\":false" });
    out.extend_from_slice(b",\"entries\":[");
}

/// Writes one entry, after a comma unless it is the first.
pub(super) fn write_row(out: &mut Vec<u8>, entry: &Entry, is_first: bool) {
    out.extend_from_slice(if is_first { b"\n{\"name\":" } else { b",\n{\"name\":" });
    write_string(out, &entry.name);
    // An encoded name needs no escapes.
    out.extend_from_slice(b",\"href\":\"");
    encode::write_link(out, entry);
    match entry.kind {
        EntryKind::File => {
            out.extend_from_slice(b"\",\"type\":\"file\",\"size\":");
            encode::write_decimal(out, entry.size_bytes);
        }
        EntryKind::Directory => out.extend_from_slice(b"\",\"type\":\"directory\",\"size\":null"),
    }
    match Rfc3339::new(entry.modified_ns.div_euclid(NS_PER_S)) {
        Some(date) => {
            out.extend_from_slice(b",\"modified\":\"");
            out.extend_from_slice(&date.text());
            out.extend_from_slice(b"\"}");
        }
        None => out.extend_from_slice(b",\"modified\":null}"),
    }
}

/// Writes everything after the last entry.
pub(super) fn write_foot(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\n]}\n");
}

/// Writes a string (§7). Each sequence that is not UTF-8 becomes U+FFFD.
pub(super) fn write_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    // Most names need no escapes.
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    let plain_bytes = bytes.iter().position(|byte| !plain(byte)).unwrap_or(bytes.len());
    let (plain, rest) = bytes.split_at(plain_bytes);
    out.extend_from_slice(plain);
    for chunk in rest.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                // JSON demands this of some of them. U+2028 and U+2029 end a line in old JavaScript.
                _ if is_misleading(character) => {
                    // All of them are below U+10000. Writing to a vector never fails.
                    let _ = write!(out, "\\u{:04x}", u32::from(character));
                }
                _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &[u8], kind: EntryKind, modified_ns: i128) -> Entry {
        Entry { name: name.into(), kind, size_bytes: 7, modified_ns }
    }

    #[test]
    fn a_listing_is_valid_json_with_no_entry_and_with_two() {
        let mut out = Vec::new();
        write_head(&mut out, b"/a \"b\"/", true);
        write_foot(&mut out);
        assert_eq!(out, b"{\"path\":\"/a \\\"b\\\"/\",\"sorted\":true,\"entries\":[\n]}\n");

        out.clear();
        write_head(&mut out, b"/", false);
        write_row(&mut out, &entry(b"a b", EntryKind::File, 784_111_777_999_999_999), true);
        write_row(&mut out, &entry(b"d", EntryKind::Directory, -1), false);
        write_foot(&mut out);
        let expected = concat!(
            "{\"path\":\"/\",\"sorted\":false,\"entries\":[\n",
            "{\"name\":\"a b\",\"href\":\"a%20b\",\"type\":\"file\",\"size\":7,\"modified\":\"1994-11-06T08:49:37Z\"},\n",
            "{\"name\":\"d\",\"href\":\"d/\",\"type\":\"directory\",\"size\":null,\"modified\":\"1969-12-31T23:59:59Z\"}\n",
            "]}\n"
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn quotes_control_characters_and_bytes_that_are_not_utf_8_are_escaped() {
        for (name, expected) in [
            (&b"\"\\/"[..], r#""\"\\/""#),
            (b"\n\t\x00\x1f\x7f", r#""\u000a\u0009\u0000\u001f\u007f""#),
            ("é\u{2028}\u{85}😀".as_bytes(), "\"é\\u2028\\u0085😀\""),
            (b"a\xffb\xc3", "\"a\u{fffd}b\u{fffd}\""),
        ] {
            let mut out = Vec::new();
            write_string(&mut out, name);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
