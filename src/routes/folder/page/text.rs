//! How the page writes names, which an attacker may have chosen, and numbers.

use std::ops::Range;

use crate::routes::folder::encode::write_decimal;
use crate::semantics::misleading::is_misleading;

/// Where in `out` is what `write` appends.
pub(super) fn appended(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
    let start = out.len();
    write(out);
    start..out.len()
}

/// Writes a number such as `1,234,567`.
pub(super) fn write_count(out: &mut Vec<u8>, count: u64) {
    let digits = appended(out, |out| write_decimal(out, count));
    let mut end = digits.end;
    while end > digits.start + 3 {
        end -= 3;
        out.insert(end, b',');
    }
}

/// Writes a name so that right-to-left letters in it do not affect the text around it.
pub(in crate::routes::folder) fn write_isolated_name(out: &mut Vec<u8>, name: &[u8]) {
    put(out, "<bdi>");
    write_name(out, name);
    put(out, "</bdi>");
}

/// Writes a name as text, or as the value of an attribute in double quotes. Each sequence that is not UTF-8 is shown as
/// U+FFFD.
pub(super) fn write_name(out: &mut Vec<u8>, name: &[u8]) {
    // Most names need no escapes.
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !b"&<>\"'".contains(byte);
    let plain_bytes = name.iter().position(|byte| !plain(byte)).unwrap_or(name.len());
    let (plain, rest) = name.split_at(plain_bytes);
    out.extend_from_slice(plain);
    for chunk in rest.utf8_chunks() {
        chunk.valid().chars().for_each(|each| write_character(out, each));
        if !chunk.invalid().is_empty() {
            write_character(out, char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Writes one character of a name. Control characters are shown as their Unicode pictures, so that different names look
/// different. Characters that change the direction of text are shown as U+FFFD: otherwise `photo[U+202E]gpj.exe` would
/// look like the name of a picture.
fn write_character(out: &mut Vec<u8>, each: char) {
    let shown = match each {
        '&' => return put(out, "&amp;"),
        '<' => return put(out, "&lt;"),
        '>' => return put(out, "&gt;"),
        '"' => return put(out, "&quot;"),
        '\'' => return put(out, "&#39;"),
        '\0'..='\x1f' => char::from_u32(u32::from(each) + 0x2400).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\x7f' => '\u{2421}',
        _ if is_misleading(each) => char::REPLACEMENT_CHARACTER,
        _ => each,
    };
    put(out, shown.encode_utf8(&mut [0; 4]));
}

pub(in crate::routes::folder) fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::tests::written;
    use super::*;

    #[test]
    fn characters_that_cannot_be_printed_are_replaced_by_visible_ones() {
        for (name, shown) in [
            (&b"two\nlines\tand\x7f"[..], "two\u{240a}lines\u{2409}and\u{2421}"),
            (b"caf\xe9 \xff\xfe", "caf\u{fffd} \u{fffd}\u{fffd}"),
            ("photo\u{202e}gpj.exe".as_bytes(), "photo\u{fffd}gpj.exe"),
            ("\u{5e9}\u{5dc}\u{5d5}\u{5dd}".as_bytes(), "\u{5e9}\u{5dc}\u{5d5}\u{5dd}"),
        ] {
            assert_eq!(written(|out| write_name(out, name)), shown);
        }
    }

    #[test]
    fn a_count_is_grouped_by_thousands() {
        for (count, shown) in [(0, "0"), (999, "999"), (1000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(written(|out| write_count(out, count)), shown);
        }
    }
}
