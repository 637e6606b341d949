//! A listing as a name a line, for the shell: `for f in $(curl -s 'host/dir/?format=text'); do curl -O host/dir/$f;
//! done`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::storage::{Entry, EntryKind};

/// All but the unreserved characters of RFC 3986 §2.3. None of what is left means anything to a shell, to a URI or to
/// HTML.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A name as a segment of a path: the reference that leads to it from its directory. There is neither a colon nor a
/// slash in it, so that it can name no scheme and no host, whatever the name is.
pub(super) fn encoded(name: &[u8]) -> percent_encoding::PercentEncode<'_> {
    percent_encode(name, ENCODED)
}

/// One line: the encoded name, and of a directory a slash.
pub(super) fn write_row(out: &mut Vec<u8>, entry: &Entry) {
    write_reference(out, entry);
    out.push(b'\n');
}

/// A number in decimal digits. There are several in each row of a listing, and the standard library takes far longer.
pub(super) fn write_decimal(out: &mut Vec<u8>, number: u64) {
    // As many as the largest number has.
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

/// What leads to the entry from its directory.
pub(super) fn write_reference(out: &mut Vec<u8>, entry: &Entry) {
    encoded(&entry.name).for_each(|part| out.extend_from_slice(part.as_bytes()));
    if entry.kind == EntryKind::Directory {
        out.push(b'/');
    }
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
