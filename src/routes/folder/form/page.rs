//! The form in the page of a directory, and the page that a browser shows after sending it. Both work without
//! JavaScript.

use super::report::{Outcome, Report};
use super::sink::FormTarget;
use crate::routes::folder::encode::{write_decimal, write_segment};
use crate::routes::folder::page::{
    ROOT, put, write_breadcrumbs, write_document_head, write_drop_box_head, write_isolated_name,
};
use crate::routes::folder::segments;
use crate::semantics::rights::UploadPolicy;

/// The form, for browsers without JavaScript. It is sent to the address of the page.
pub(in crate::routes::folder) const UPLOAD_FORM: &str = "<noscript><form id=\"form\" class=\"bar\" method=\"post\" \
    enctype=\"multipart/form-data\"><label for=\"form-files\">Upload files</label><input id=\"form-files\" \
    type=\"file\" name=\"file\" multiple required><button>Upload</button></form></noscript>\n";

/// The report has the styles of a page that takes uploads, and nothing in it changes the folder.
pub(super) const REPORT_ASSETS: UploadPolicy = UploadPolicy::Create;

/// Writes everything before the first file. In a drop box only the highest folder that may be seen has a page, so there is
/// no link to another one.
pub(super) fn write_head(out: &mut Vec<u8>, target: &FormTarget, report: &Report) {
    if target.is_drop_box {
        write_drop_box_head(out, Some(b"Upload"));
    } else {
        let mut above: Vec<&[u8]> = segments(target.path()).collect();
        let name = above.pop();
        write_document_head(out, ROOT, Some(b"Upload"), REPORT_ASSETS);
        write_breadcrumbs(out, name, &above, target.base_segments);
    }
    put(out, "<main>\n<p class=\"note\" role=\"status\">");
    write_summary(out, report);
    put(out, "</p>\n");
    if !report.is_empty() {
        put(out, "<ul class=\"report\">\n");
    }
}

fn write_summary(out: &mut Vec<u8>, report: &Report) {
    if let Some(reason) = report.error() {
        put(out, reason);
        put(out, " ");
    }
    match (report.stored_count(), report.file_count()) {
        (0, _) => put(out, "No file was stored."),
        (1, 1) => put(out, "The file was stored."),
        (stored, total) => {
            write_decimal(out, stored as u64);
            put(out, " of ");
            write_decimal(out, total as u64);
            put(out, if stored == 1 { " files was stored." } else { " files were stored." });
        }
    }
}

/// Writes what has become of a file.
pub(super) fn write_file(out: &mut Vec<u8>, name: &[u8], outcome: Outcome, is_linked: bool) {
    match outcome {
        Outcome::Created | Outcome::Replaced => {
            put(out, "<li>");
            put(out, if matches!(outcome, Outcome::Created) { "Stored: " } else { "Replaced: " });
            if is_linked {
                put(out, "<a href=\"");
                write_segment(out, name);
                put(out, "\">");
            }
            write_isolated_name(out, name);
            put(out, if is_linked { "</a></li>\n" } else { "</li>\n" });
        }
        Outcome::Refused(refusal) => {
            put(out, "<li class=\"refused\">Not stored: ");
            if !name.is_empty() {
                write_isolated_name(out, name);
                put(out, ". ");
            }
            put(out, refusal.reason);
            put(out, "</li>\n");
        }
    }
}

/// Writes everything after the last file.
pub(super) fn write_foot(out: &mut Vec<u8>, target: &FormTarget, report: &Report) {
    if !report.is_empty() {
        put(out, "</ul>\n");
    }
    put(out, "<p><a href=\"./");
    if target.is_drop_box {
        let depth = segments(target.path()).count().saturating_sub(target.base_segments);
        (0..depth).for_each(|_| put(out, "../"));
    }
    put(out, if target.is_drop_box { "\">Add more files" } else { "\">Back to the folder" });
    put(out, "</a></p>\n</main>\n</body>\n</html>\n");
}
