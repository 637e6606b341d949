//! The part of a page that takes files.

use std::io::Write as _;

use super::assets::UPLOAD_SECTION;
use super::row::write_limit;
use super::text::put;
use super::visitor::Visitor;
use crate::routes::folder::form::UPLOAD_FORM;

/// What the server allows, as the part that takes files tells its script and its readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::routes::folder) struct UploadSection<'a> {
    /// Whether an upload may replace an existing file.
    pub may_replace: bool,
    /// Whether names that begin with a dot may be uploaded.
    pub takes_hidden: bool,
    /// The longest upload, in bytes; `None` if only the disk sets a limit.
    pub bytes_max: Option<u64>,
    /// Whether nothing can be read that has been uploaded.
    pub is_drop_box: bool,
    /// Under a link: until when it works, in seconds since 1970.
    pub expires_unix_s: Option<u64>,
    /// Who may upload.
    pub visitor: Visitor<'a>,
}

impl UploadSection<'_> {
    /// Writes the part that the script shows, the form for browsers without JavaScript, and a command for terminals.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put(out, "<section id=\"uploads\" aria-label=\"Upload\"");
        for (is_set, attribute) in [
            (self.may_replace, " data-may-replace"),
            (self.takes_hidden, " data-takes-hidden"),
            (self.is_drop_box, " data-drop-box"),
        ] {
            put(out, if is_set { attribute } else { "" });
        }
        if let Some(bytes_max) = self.bytes_max {
            let _ = write!(out, " data-bytes-max=\"{bytes_max}\"");
        }
        put(out, " hidden>\n");
        put(out, UPLOAD_SECTION);
        put(out, UPLOAD_FORM);
        self.write_hint(out);
    }

    fn write_hint(&self, out: &mut Vec<u8>) {
        put(out, "<p class=\"note\" id=\"upload-hint\">");
        if let Some(bytes_max) = self.bytes_max {
            put(out, "Files of at most ");
            write_limit(out, bytes_max);
            put(out, ". ");
        }
        put(out, "To upload from a terminal: <code>curl ");
        if let Some(account) = self.visitor.account {
            // curl asks for the secret. No account has a name that a shell or HTML would read in another way.
            put(out, "-u ");
            put(out, account);
            put(out, " ");
        }
        put(out, "-T FILE <span id=\"address\">ADDRESS-OF-THIS-PAGE</span></code>. ");
        put(
            out,
            if self.may_replace {
                "A file of the same name is replaced.</p>\n"
            } else {
                "Existing files are never replaced.</p>\n"
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HEAD, head};
    use super::super::{PageHead, Visitor};
    use crate::semantics::rights::UploadPolicy;

    #[test]
    fn the_page_states_the_longest_upload_if_there_is_one() {
        let limited = |upload_bytes_max| head(&PageHead { uploads: UploadPolicy::Create, upload_bytes_max, ..HEAD });
        let limit = "Files of at most <data value=\"1073741824\" title=\"1,073,741,824 bytes\">1.0 GB</data>. ";
        assert!(limited(Some(1 << 30)).contains(limit));
        assert!(!limited(None).contains("Files of at most"));
    }

    #[test]
    fn the_command_for_a_terminal_contains_the_name_of_the_account() {
        let visitor = Visitor { account: Some("alice"), could_do_more: false };
        let page = head(&PageHead { uploads: UploadPolicy::Create, visitor, ..HEAD });
        assert!(page.contains("<code>curl -u alice -T FILE "), "{page}");
    }

    #[test]
    fn the_page_says_how_to_upload_if_uploads_are_allowed() {
        assert!(!head(&HEAD).contains("curl"));
        let create = head(&PageHead { uploads: UploadPolicy::Create, ..HEAD });
        assert!(create.contains("curl -T") && create.contains("Existing files are never replaced."));
        let replace = head(&PageHead { uploads: UploadPolicy::Replace, ..HEAD });
        assert!(replace.contains("A file of the same name is replaced."));
    }
}
