//! The response to a form: what has become of each file, as text, JSON or HTML. It is written while it is sent, because it
//! can be many times as long as the [report](Report).

use std::borrow::Cow;

use super::page::{self, REPORT_ASSETS};
use super::report::{Outcome, Position, Report};
use super::sink::FormTarget;
use crate::routes::FileContent;
use crate::routes::folder::page::content_security_policy;
use crate::routes::folder::query::Format;
use crate::routes::folder::{content_type_of, encode, json};
use crate::semantics::response::{Body, Response};
use crate::semantics::service::PIECE_BYTES_MAX;
use crate::storage::FileSystem;

/// A slice writes files until it has written this many bytes.
const SLICE_BYTES: usize = PIECE_BYTES_MAX;

/// A report that is being sent.
pub struct ReportContent {
    report: Report,
    target: FormTarget,
    /// What the next slice begins with.
    position: Position,
    is_complete: bool,
    /// The text that was written last, and how much of it has been sent.
    out: Vec<u8>,
    sent: usize,
}

/// The response to the form that was sent to `target`. A short one is made at once, so that its length is known.
pub(super) fn respond<F: FileSystem>(mut report: Report, target: FormTarget) -> Response<'static, FileContent<F>> {
    report.shrink();
    let (status, format) = (report.status(), target.format);
    let mut content =
        ReportContent { report, target, position: Position::default(), is_complete: false, out: Vec::new(), sent: 0 };
    content.write_head();
    content.write_slice();
    let body = match content.is_complete {
        true => Body::Bytes(Cow::Owned(content.out)),
        false => Body::Source(FileContent::Report(Box::new(content))),
    };
    Response {
        content_type: Some(Cow::Borrowed(content_type_of(format))),
        varies_by_media_type: true,
        no_cache: true,
        nosniff: true,
        same_origin_only: true,
        // The address may contain a link.
        no_referrer: true,
        content_security_policy: (format == Format::Html).then(|| content_security_policy(REPORT_ASSETS)),
        body,
        ..Response::new(status)
    }
}

impl ReportContent {
    pub(in crate::routes) fn piece(&mut self) -> Option<&[u8]> {
        if self.sent == self.out.len() && !self.is_complete {
            self.out.clear();
            self.sent = 0;
            self.write_slice();
        }
        let end = self.out.len().min(self.sent + PIECE_BYTES_MAX);
        (self.sent < end).then(|| &self.out[self.sent..end])
    }

    pub(in crate::routes) fn advance(&mut self, bytes: u64) {
        // The cast is exact: `bytes` is at most the length of the piece in memory.
        self.sent = self.out.len().min(self.sent + bytes as usize);
    }

    fn write_head(&mut self) {
        match self.target.format {
            Format::Html => page::write_head(&mut self.out, &self.target, &self.report),
            Format::Json => self.out.extend_from_slice(b"{\"files\":["),
            Format::Text => {}
        }
    }

    fn write_slice(&mut self) {
        while self.out.len() < SLICE_BYTES {
            let is_first = self.position.is_start();
            let Some((name, outcome)) = self.report.next(&mut self.position) else {
                self.write_foot();
                self.is_complete = true;
                return;
            };
            let is_linked = !self.target.is_drop_box;
            match self.target.format {
                Format::Html => page::write_file(&mut self.out, name, outcome, is_linked),
                Format::Json => write_json_file(&mut self.out, name, outcome, is_linked, is_first),
                Format::Text => write_text_file(&mut self.out, name, outcome),
            }
        }
    }

    fn write_foot(&mut self) {
        match self.target.format {
            Format::Html => page::write_foot(&mut self.out, &self.target, &self.report),
            Format::Json => write_json_foot(&mut self.out, self.report.error()),
            Format::Text => {
                if let Some(reason) = self.report.error() {
                    self.out.extend_from_slice(reason.as_bytes());
                    self.out.push(b'\n');
                }
            }
        }
    }
}

/// Writes `stored NAME`, `replaced NAME` or `refused NAME: REASON`, with an encoded name. The line after the last file says
/// why the form is refused.
fn write_text_file(out: &mut Vec<u8>, name: &[u8], outcome: Outcome) {
    out.extend_from_slice(match outcome {
        Outcome::Created => b"stored",
        Outcome::Replaced => b"replaced",
        Outcome::Refused(_) => b"refused",
    });
    if !name.is_empty() {
        out.push(b' ');
        encode::write_segment(out, name);
    }
    if let Outcome::Refused(refusal) = outcome {
        out.extend_from_slice(b": ");
        out.extend_from_slice(refusal.reason.as_bytes());
    }
    out.push(b'\n');
}

/// Writes a file of `{"files":[{"name":"a b","href":"a%20b","status":409,"reason":"…"},…],"error":null}`. The status is that
/// of the response to a PUT of the file, and the reason is null if the file was stored. In a drop box href is null.
fn write_json_file(out: &mut Vec<u8>, name: &[u8], outcome: Outcome, is_linked: bool, is_first: bool) {
    out.extend_from_slice(if is_first { b"\n{\"name\":" } else { b",\n{\"name\":" });
    json::write_string(out, name);
    out.extend_from_slice(b",\"href\":");
    if is_linked {
        out.push(b'"');
        encode::write_segment(out, name);
        out.push(b'"');
    } else {
        out.extend_from_slice(b"null");
    }
    out.extend_from_slice(b",\"status\":");
    encode::write_decimal(out, u64::from(outcome.status().code()));
    out.extend_from_slice(b",\"reason\":");
    match outcome {
        Outcome::Refused(refusal) => json::write_string(out, refusal.reason.as_bytes()),
        Outcome::Created | Outcome::Replaced => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
}

fn write_json_foot(out: &mut Vec<u8>, error: Option<&'static str>) {
    out.extend_from_slice(b"\n],\"error\":");
    match error {
        Some(reason) => json::write_string(out, reason.as_bytes()),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b"}\n");
}
