//! A listing as text, one link a line, for the shell:
//! `for link in $(curl -s 'host/dir/?format=text'); do curl -O host/dir/$link; done`.

use super::encode;
use crate::storage::Entry;

/// Writes the line of one entry: its encoded name, followed by a slash if it is a directory.
pub(super) fn write_row(out: &mut Vec<u8>, entry: &Entry) {
    encode::write_link(out, entry);
    out.push(b'\n');
}
