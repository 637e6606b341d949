//! The page of a drop box. It contains no names, and needs no part of the script that belongs to the list.

use super::assets::DROP_BOX_SCRIPTS;
use super::text::put;
use super::upload::UploadSection;
use super::{write_document_head, write_end, write_expiry};
use crate::semantics::rights::UploadPolicy;

/// What the page is for. Whoever opens a link in a letter knows nothing of drop boxes.
const TITLE: &str = "Send files";

/// The page has the styles and scripts of a page that takes uploads. Nothing in it changes files that exist.
pub(in crate::routes::folder) const DROP_BOX_ASSETS: UploadPolicy = UploadPolicy::Create;

/// Writes the whole page. Under a link, or where there are accounts, others may have the right to read the folder.
pub(in crate::routes::folder) fn write_drop_box(out: &mut Vec<u8>, uploads: &UploadSection<'_>) {
    write_document_head(out, TITLE, None, DROP_BOX_ASSETS);
    uploads.visitor.write(out, b"/");
    write_heading(out);
    put(out, "<main id=\"drop-box\">\n<p>Add files here for the owner of this folder. ");
    let visitor = &uploads.visitor;
    let others_may_read = uploads.expires_unix_s.is_some() || visitor.account.is_some() || visitor.could_do_more;
    match others_may_read {
        false => put(out, "Nobody else can see them or download them again, not even you.</p>\n"),
        true => put(out, "You cannot see them or download them again.</p>\n"),
    }
    write_expiry(out, uploads.expires_unix_s);
    uploads.write(out);
    put(out, "</main>\n<footer><p>Spindle</p></footer>\n");
    write_end(out, DROP_BOX_SCRIPTS);
}

/// Writes the head of a page of a drop box, up to its heading. `name` is the first part of its title.
pub(in crate::routes::folder) fn write_drop_box_head(out: &mut Vec<u8>, name: Option<&[u8]>) {
    write_document_head(out, TITLE, name, DROP_BOX_ASSETS);
    write_heading(out);
}

fn write_heading(out: &mut Vec<u8>) {
    put(out, "<header>\n<h1>");
    put(out, TITLE);
    put(out, "</h1>\n</header>\n");
}

#[cfg(test)]
mod tests {
    use super::super::assets::SCRIPT;
    use super::super::tests::written;
    use super::super::visitor::Visitor;
    use super::*;

    const UPLOADS: UploadSection<'_> = UploadSection {
        may_replace: false,
        takes_hidden: false,
        bytes_max: None,
        is_drop_box: true,
        expires_unix_s: None,
        visitor: Visitor { account: None, could_do_more: false },
    };

    #[test]
    fn the_page_promises_that_nobody_else_sees_the_files_only_where_nobody_may_read() {
        let says_nobody =
            |uploads: &UploadSection<'_>| written(|out| write_drop_box(out, uploads)).contains("Nobody else can see");
        assert!(says_nobody(&UPLOADS));
        let visitors = [(Some("alice"), false), (None, true)];
        for (account, could_do_more) in visitors {
            assert!(!says_nobody(&UploadSection { visitor: Visitor { account, could_do_more }, ..UPLOADS }));
        }
        assert!(!says_nobody(&UploadSection { expires_unix_s: Some(1), ..UPLOADS }));
    }

    #[test]
    fn the_page_of_a_drop_box_takes_files_and_has_no_list() {
        let page = written(|out| write_drop_box(out, &UPLOADS));
        assert!(page.contains("<h1>Send files</h1>") && page.contains("<title>Send files</title>"));
        assert!(page.contains("<section id=\"uploads\" aria-label=\"Upload\" data-drop-box hidden>"));
        assert!(page.contains("<form id=\"form\"") && page.contains("curl -T FILE"));
        for listed in ["id=\"list\"", "id=\"filter\"", "<a ", "?archive", "?sort", SCRIPT] {
            assert!(!page.contains(listed), "{listed}");
        }
    }
}
