//! How all forms of a listing write links and numbers.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_encode};

use crate::storage::{Entry, EntryKind};

/// Everything but the unreserved characters (RFC 3986 §2.3). These have no special meaning in a shell, a URI or HTML.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A name as one segment of a path, percent-encoded byte by byte, so that every name leads to its own file. The result
/// has no colon and no slash, so a client can read it neither as a scheme nor as another host.
pub(super) fn segment(name: &[u8]) -> PercentEncode<'_> {
    percent_encode(name, ENCODED)
}

/// Writes a [`segment`], the relative link from a directory to the file with this name.
pub(super) fn write_segment(out: &mut Vec<u8>, name: &[u8]) {
    segment(name).for_each(|part| out.extend_from_slice(part.as_bytes()));
}

/// Writes the relative link from a directory to one of its entries.
pub(super) fn write_link(out: &mut Vec<u8>, entry: &Entry) {
    write_segment(out, &entry.name);
    if entry.kind == EntryKind::Directory {
        out.push(b'/');
    }
}

/// Writes a number in decimal digits. Each row has several numbers, and the standard library takes far longer.
pub(super) fn write_decimal(out: &mut Vec<u8>, number: u64) {
    // `u64::MAX` has 20 digits.
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number;
    while start == digits.len() || rest > 0 {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_the_standard_library_writes_it() {
        for number in [0, 1, 9, 10, 99, 100, 1_234_567_890, u64::MAX - 1, u64::MAX] {
            let mut out = Vec::new();
            write_decimal(&mut out, number);
            assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }
}
