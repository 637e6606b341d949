//! The response to a form: what has become of each file, as text, JSON or HTML.

use std::borrow::Cow;

use super::page::{REPORT_ASSETS, write_report};
use super::sink::FormTarget;
use crate::routes::FileContent;
use crate::routes::files::Refusal;
use crate::routes::folder::page::content_security_policy;
use crate::routes::folder::query::Format;
use crate::routes::folder::{content_type_of, encode, json};
use crate::semantics::response::{Body, Response};
use crate::semantics::status::Status;
use crate::storage::{FileSystem, RelativePath};

/// The longest name in a report, in bytes. No file has a longer one, and the report is in memory.
const NAME_BYTES_MAX: usize = 255;

/// What has become of the files of a form.
#[derive(Default)]
pub(super) struct Report {
    pub(super) files: Vec<ReportedFile>,
    /// Why the form itself is refused. The files that precede the error are stored.
    pub(super) error: Option<&'static str>,
}

/// What has become of a file.
pub(super) struct ReportedFile {
    pub(super) name: Box<[u8]>,
    pub(super) outcome: Outcome,
}

#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Created,
    Replaced,
    Refused(Refusal),
}

impl Outcome {
    /// The status of the response to a PUT of the file.
    fn status(self) -> Status {
        match self {
            Outcome::Created => Status::Created,
            Outcome::Replaced => Status::NoContent,
            Outcome::Refused(refusal) => refusal.status,
        }
    }
}

impl Report {
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(super) fn stored(&mut self, name: &[u8], created: bool) {
        self.add(name, if created { Outcome::Created } else { Outcome::Replaced });
    }

    pub(super) fn refused(&mut self, name: &[u8], refusal: Refusal) {
        self.add(name, Outcome::Refused(refusal));
    }

    fn add(&mut self, name: &[u8], outcome: Outcome) {
        self.files.push(ReportedFile { name: name[..name.len().min(NAME_BYTES_MAX)].into(), outcome });
    }

    pub(super) fn failed(&mut self, reason: &'static str) {
        self.error = Some(reason);
    }

    /// 201 if all files were stored, 400 if the form itself is refused, otherwise the status of the first refusal.
    fn status(&self) -> Status {
        let refused = self.files.iter().map(|file| file.outcome.status()).find(|status| status.code() >= 400);
        match self.error {
            Some(_) => Status::BadRequest,
            None => refused.unwrap_or(Status::Created),
        }
    }

    /// The response to the form that was sent to `target`.
    pub(super) fn response<F: FileSystem>(&self, target: &FormTarget) -> Response<'static, FileContent<F>> {
        let FormTarget { directory, base_segments, is_drop_box, format, .. } = target;
        let format = *format;
        let mut content = Vec::new();
        match format {
            Format::Html => {
                let directory = directory.as_ref().map_or(&b""[..], RelativePath::as_bytes);
                write_report(&mut content, directory, *base_segments, self, *is_drop_box);
            }
            Format::Json => self.write_json(&mut content, *is_drop_box),
            Format::Text => self.write_text(&mut content),
        }
        Response {
            content_type: Some(Cow::Borrowed(content_type_of(format))),
            varies_by_media_type: true,
            no_cache: true,
            nosniff: true,
            same_origin_only: true,
            // The address may contain a link.
            no_referrer: true,
            content_security_policy: (format == Format::Html).then(|| content_security_policy(REPORT_ASSETS)),
            body: Body::Bytes(Cow::Owned(content)),
            ..Response::new(self.status())
        }
    }

    /// Writes a line for each file: `stored NAME`, `replaced NAME` or `refused NAME: REASON`, with encoded names. The
    /// last line says why the form is refused.
    fn write_text(&self, out: &mut Vec<u8>) {
        for ReportedFile { name, outcome } in &self.files {
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
        if let Some(reason) = self.error {
            out.extend_from_slice(reason.as_bytes());
            out.push(b'\n');
        }
    }

    /// Writes `{"files":[{"name":"a b","href":"a%20b","status":409,"reason":"…"},…],"error":null}`. The status is that
    /// of the response to a PUT of the file, and the reason is null if the file was stored. In a drop box href is null.
    fn write_json(&self, out: &mut Vec<u8>, is_drop_box: bool) {
        out.extend_from_slice(b"{\"files\":[");
        for (index, ReportedFile { name, outcome }) in self.files.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"\n{\"name\":" } else { b",\n{\"name\":" });
            json::write_string(out, name);
            out.extend_from_slice(b",\"href\":");
            if is_drop_box {
                out.extend_from_slice(b"null");
            } else {
                out.push(b'"');
                encode::write_segment(out, name);
                out.push(b'"');
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
        out.extend_from_slice(b"\n],\"error\":");
        match self.error {
            Some(reason) => json::write_string(out, reason.as_bytes()),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b"}\n");
    }
}
