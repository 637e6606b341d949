//! The page of a listing: the least that works.

use super::query::{Order, Sort};

pub(super) struct PageHead<'a> {
    pub path: &'a [u8],
    pub may_upload: bool,
    pub may_replace: bool,
    pub sort: Sort,
    pub order: Order,
    pub is_sorted: bool,
}
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'";
pub(super) fn write_head(out: &mut Vec<u8>, head: &PageHead<'_>) {
    let _ = (head.may_upload, head.may_replace, head.sort, head.order, head.is_sorted);
    out.extend_from_slice(b"<!doctype html>\n<title>");
    out.extend_from_slice(head.path.escape_ascii().to_string().as_bytes());
    out.extend_from_slice(b"</title>\n<ul>\n");
}
pub(super) fn write_row(out: &mut Vec<u8>, entry: &crate::storage::Entry, _now_unix_s: u64) {
    out.extend_from_slice(b"<li>");
    out.extend_from_slice(entry.name.escape_ascii().to_string().as_bytes());
    out.extend_from_slice(b"</li>\n");
}
pub(super) fn write_foot(out: &mut Vec<u8>, _entries: u64, _is_sorted: bool) {
    out.extend_from_slice(b"</ul>\n");
}
