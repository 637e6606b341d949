//! The listing of a directory as an HTML page: a head, a row for each entry, and a foot.
//!
//! Reading and the upload form work without scripts. Scripts add a filter, local times, shortcuts, upload progress, and the
//! dialogs that rename, delete and create. Styles and scripts are inline, and [`content_security_policy`] names them by their
//! hashes. So a browser runs these scripts and no other ones. `'self'` would allow every script that somebody has uploaded.
//!
//! The names of files may have been chosen by an attacker. As text they are escaped, and characters that cannot be
//! printed are replaced by visible ones. As links they are percent-encoded byte by byte.

mod assets;
mod columns;
mod drop_box;
mod row;
mod text;
mod upload;
mod visitor;

pub(super) use self::assets::content_security_policy;
use self::assets::{MANAGE_SECTION, scripts, styles};
use self::columns::write_columns;
pub(super) use self::drop_box::{DROP_BOX_ASSETS, write_drop_box, write_drop_box_head};
pub(super) use self::row::write_row;
pub(super) use self::text::{put, write_isolated_name};
use self::text::{write_count, write_name};
pub(super) use self::upload::UploadSection;
pub(super) use self::visitor::Visitor;
use super::encode::write_segment;
use super::query::{Order, Sort};
use super::segments;
use crate::semantics::date::{ImfFixdate, Rfc3339};
use crate::semantics::rights::UploadPolicy;

/// The title of the shared folder's root. The name of its directory is not shown, because it is private.
pub(super) const ROOT: &str = "Shared folder";

/// The values that the beginning of a page depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageHead<'a> {
    /// The directory's decoded path: `/` or `/a/b/`.
    pub path: &'a [u8],
    /// Which uploads and other changes are allowed here.
    pub uploads: UploadPolicy,
    /// Whether names that begin with a dot may be uploaded.
    pub takes_hidden: bool,
    /// The longest upload, in bytes; `None` if only the disk sets a limit.
    pub upload_bytes_max: Option<u64>,
    /// Who looks at the page.
    pub visitor: Visitor<'a>,
    /// How many segments of the path the highest folder has that may be seen. No folder above it is linked.
    pub base_segments: usize,
    /// When the link expires under which the page is requested, in seconds since 1970.
    pub expires_unix_s: Option<u64>,
    /// The column by which the rows are sorted.
    pub sort: Sort,
    /// The direction of sorting.
    pub order: Order,
    /// Whether the rows are sorted at all: see [`listing`](super::listing).
    pub is_sorted: bool,
}

/// Writes everything before the first entry.
pub(super) fn write_head(out: &mut Vec<u8>, head: &PageHead<'_>) {
    let mut above: Vec<&[u8]> = segments(head.path).collect();
    let name = above.pop();
    write_document_head(out, ROOT, name, head.uploads);
    head.visitor.write(out, head.path);
    write_breadcrumbs(out, name, &above, head.base_segments);
    put(out, "<main>\n");
    write_expiry(out, head.expires_unix_s);
    put(
        out,
        "<div class=\"bar\"><input id=\"filter\" type=\"search\" aria-label=\"Filter by name\" \
         aria-keyshortcuts=\"/\" placeholder=\"Filter\" autocomplete=\"off\" autocapitalize=\"off\" \
         spellcheck=\"false\" maxlength=\"255\" hidden><p id=\"count\" role=\"status\"></p>",
    );
    if head.uploads == UploadPolicy::Manage {
        put(out, "<button type=\"button\" class=\"button\" id=\"new-folder\" hidden>New folder</button>");
    }
    put(out, "<a class=\"button\" href=\"?archive=tar\" title=\"As a tar archive\">Download all</a></div>\n");
    if head.uploads != UploadPolicy::Off {
        UploadSection {
            may_replace: head.uploads.may_replace(),
            takes_hidden: head.takes_hidden,
            bytes_max: head.upload_bytes_max,
            visitor: head.visitor,
            is_drop_box: false,
            expires_unix_s: None,
        }
        .write(out);
    }
    if !head.is_sorted {
        put(
            out,
            "<p class=\"note\">This list is not sorted: the folder has more than 10,000 entries, or other large listings \
             are being sent.</p>\n",
        );
    }
    put(out, "<table id=\"list\">\n<caption class=\"v\">Files and folders</caption>\n");
    write_columns(out, head);
    put(out, "<tbody>\n");
    if name.is_some() && above.len() >= head.base_segments {
        put(
            out,
            "<tr id=\"up\"><th scope=\"row\"><a href=\"../\">Parent folder</a></th><td class=\"s\"></td>\
             <td class=\"t\"></td><td class=\"g\"></td></tr>\n",
        );
    }
}

/// Writes when the link of the page expires, if it has one. The script replaces the time with local time.
fn write_expiry(out: &mut Vec<u8>, unix_s: Option<u64>) {
    let Some(unix_s) = unix_s else { return };
    let (Some(shown), Some(date)) = (ImfFixdate::new(unix_s), Rfc3339::new(unix_s.into())) else { return };
    put(out, "<p class=\"note\" id=\"expiry\">This link works until <time datetime=\"");
    out.extend_from_slice(&date.text());
    put(out, "\">");
    out.extend_from_slice(shown.as_bytes());
    put(out, "</time>.</p>\n");
}

/// Writes the head of the document and the beginning of its body. `root` is the title of the shared folder, and `name`
/// precedes it.
pub(super) fn write_document_head(out: &mut Vec<u8>, root: &str, name: Option<&[u8]>, uploads: UploadPolicy) {
    put(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>",
    );
    if let Some(name) = name {
        write_name(out, name);
        put(out, " \u{2013} ");
    }
    put(out, root);
    put(
        out,
        "</title>\n<link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' \
         viewBox='0 0 20 20'%3E%3Cpath fill='%233b78c4' d='M1 5.5A2 2 0 0 1 3 3.5h4.5l2 2H17a2 2 0 0 1 2 \
         2V15a2 2 0 0 1-2 2H3a2 2 0 0 1-2-2z'/%3E%3C/svg%3E\">\n",
    );
    for style in styles(uploads) {
        put(out, "<style>");
        put(out, style);
        put(out, "</style>\n");
    }
    put(out, "</head>\n<body>\n");
}

/// Writes links to the folders above this one, and the name of this one. The highest of them is the one whose path has
/// `base_segments` segments. Links are relative, so a proxy can serve the folder at any path.
pub(super) fn write_breadcrumbs(out: &mut Vec<u8>, name: Option<&[u8]>, above: &[&[u8]], base_segments: usize) {
    put(out, "<header>\n");
    let Some(name) = name else {
        put(out, "<h1>");
        put(out, ROOT);
        put(out, "</h1>\n</header>\n");
        return;
    };
    if base_segments <= above.len() {
        put(out, "<nav aria-label=\"Folders above\"><ol>");
        for depth in base_segments..=above.len() {
            put(out, "<li><a href=\"");
            for _ in depth..=above.len() {
                put(out, "../");
            }
            put(out, "\">");
            match depth.checked_sub(1).and_then(|at| above.get(at)) {
                Some(segment) => write_isolated_name(out, segment),
                None => put(out, ROOT),
            }
            put(out, "</a></li>");
        }
        put(out, "</ol></nav>\n");
    }
    put(out, "<h1>");
    write_isolated_name(out, name);
    put(out, "</h1>\n</header>\n");
}

/// Writes the menu and the dialogs that rename, delete and create. Their script reads from the attributes which path the
/// folder has on the server: behind a proxy the browser may know it under another one.
fn write_manage_section(out: &mut Vec<u8>, path: &[u8], takes_hidden: bool) {
    put(out, "<div id=\"manage\" data-path=\"/");
    for segment in segments(path) {
        write_segment(out, segment);
        put(out, "/");
    }
    put(out, if takes_hidden { "\" data-takes-hidden>\n" } else { "\">\n" });
    put(out, MANAGE_SECTION);
    put(out, "</div>\n");
}

/// Writes everything after the last entry.
pub(super) fn write_foot(out: &mut Vec<u8>, head: &PageHead<'_>, entries: u64) {
    if entries == 0 {
        put(out, "<tr id=\"empty\"><td colspan=\"4\">This folder is empty.</td></tr>\n");
    }
    put(out, "</tbody>\n</table>\n");
    if head.uploads == UploadPolicy::Manage {
        write_manage_section(out, head.path, head.takes_hidden);
    }
    put(out, "</main>\n<footer><p>");
    write_count(out, entries);
    put(out, if entries == 1 { " entry" } else { " entries" });
    put(out, if head.is_sorted { "" } else { ", not sorted" });
    put(out, "</p><p>Spindle</p></footer>\n");
    write_end(out, scripts(head.uploads));
}

/// Writes the scripts and the end of the document.
fn write_end(out: &mut Vec<u8>, scripts: &[&str]) {
    for script in scripts {
        put(out, "<script>");
        put(out, script);
        put(out, "</script>\n");
    }
    put(out, "</body>\n</html>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const HEAD: PageHead<'_> = PageHead {
        path: b"/",
        uploads: UploadPolicy::Off,
        takes_hidden: false,
        upload_bytes_max: None,
        visitor: Visitor { account: None, could_do_more: false },
        base_segments: 0,
        expires_unix_s: None,
        sort: Sort::Name,
        order: Order::Ascending,
        is_sorted: true,
    };

    pub(super) fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("a page is UTF-8, whatever the names are")
    }

    pub(super) fn head(head: &PageHead<'_>) -> String {
        written(|out| write_head(out, head))
    }

    fn foot(head: &PageHead<'_>, entries: u64) -> String {
        written(|out| write_foot(out, head, entries))
    }

    /// A page without entries.
    pub(super) fn page(uploads: UploadPolicy) -> String {
        let of = PageHead { uploads, ..HEAD };
        head(&of) + &foot(&of, 0)
    }

    #[test]
    fn the_page_is_small_and_loads_nothing_from_elsewhere() {
        for (uploads, bytes_max) in
            [(UploadPolicy::Off, 40 * 1024), (UploadPolicy::Create, 80 * 1024), (UploadPolicy::Manage, 112 * 1024)]
        {
            let page = page(uploads);
            assert!(page.len() <= bytes_max, "{} bytes", page.len());
            // The name of a format, which is not requested.
            let page = page.replace("http://www.w3.org/2000/svg", "");
            for reference in ["http:", "https:", "src=\"", "url(//", "@import"] {
                assert!(!page.contains(reference), "the page contains {reference}");
            }
        }
    }

    #[test]
    fn the_page_takes_only_the_uploads_that_are_allowed() {
        let read_only = page(UploadPolicy::Off);
        assert!(!read_only.contains("id=\"upload") && !read_only.contains("type=\"file\""), "{read_only}");
        let section = "<section id=\"uploads\" aria-label=\"Upload\"";
        assert!(page(UploadPolicy::Create).contains(&format!("{section} hidden>")));
        let most =
            PageHead { uploads: UploadPolicy::Replace, takes_hidden: true, upload_bytes_max: Some(1000), ..HEAD };
        let expected = format!("{section} data-may-replace data-takes-hidden data-bytes-max=\"1000\" hidden>");
        assert!(head(&most).contains(&expected));
    }

    #[test]
    fn only_a_page_that_may_change_the_folder_contains_menu_and_dialogs() {
        for uploads in [UploadPolicy::Off, UploadPolicy::Create, UploadPolicy::Replace] {
            let page = page(uploads);
            for part in ["id=\"manage\"", "id=\"new-folder\"", "Rename", "MKCOL"] {
                assert!(!page.contains(part), "{uploads:?}: {part}");
            }
        }
        let root = PageHead { uploads: UploadPolicy::Manage, ..HEAD };
        assert!(foot(&root, 0).contains("<div id=\"manage\" data-path=\"/\">"));
        let inner = PageHead { path: b"/a b/\"><c>%\xff/", takes_hidden: true, ..root };
        let expected = "<div id=\"manage\" data-path=\"/a%20b/%22%3E%3Cc%3E%25%FF/\" data-takes-hidden>";
        assert!(foot(&inner, 0).contains(expected));
    }

    #[test]
    fn an_unsorted_page_says_so() {
        let page = head(&PageHead { is_sorted: false, ..HEAD });
        assert!(page.contains("This list is not sorted: the folder has more than 10,000 entries, or"), "{page}");
        assert!(!page.contains("?sort=") && !page.contains("\" aria-sort"), "{page}");
        assert!(foot(&PageHead { is_sorted: false, ..HEAD }, 12_345).contains("<p>12,345 entries, not sorted</p>"));
    }

    #[test]
    fn the_folders_above_are_linked_and_the_root_has_none() {
        let page = head(&PageHead { path: "/a b/<c>/d/".as_bytes(), ..HEAD });
        let expected = "<ol><li><a href=\"../../../\">Shared folder</a></li>\
                        <li><a href=\"../../\"><bdi>a b</bdi></a></li>\
                        <li><a href=\"../\"><bdi>&lt;c&gt;</bdi></a></li></ol></nav>\n<h1><bdi>d</bdi></h1>";
        assert!(page.contains(expected), "{page}");
        assert!(page.contains("<title>d \u{2013} Shared folder</title>"));
        assert!(page.contains("<tr id=\"up\"><th scope=\"row\"><a href=\"../\">"));
        let root = head(&HEAD);
        assert!(root.contains("<h1>Shared folder</h1>"));
        assert!(!root.contains("<nav") && !root.contains("id=\"up\"") && !root.contains("../"));
    }

    #[test]
    fn under_a_link_no_folder_above_that_of_the_link_is_linked() {
        let inner = head(&PageHead { path: b"/a/b/c/d/", base_segments: 2, ..HEAD });
        let expected = "<ol><li><a href=\"../../\"><bdi>b</bdi></a></li>\
                        <li><a href=\"../\"><bdi>c</bdi></a></li></ol></nav>\n<h1><bdi>d</bdi></h1>";
        assert!(inner.contains(expected), "{inner}");
        assert!(inner.contains("<tr id=\"up\">"));
        let base = head(&PageHead { path: b"/a/b/", base_segments: 2, ..HEAD });
        assert!(base.contains("<h1><bdi>b</bdi></h1>") && !base.contains("../") && !base.contains("id=\"up\""));
    }

    #[test]
    fn the_pages_of_a_link_say_when_it_expires() {
        let expires_unix_s = Some(1_795_540_775);
        let uploads = UploadSection {
            may_replace: false,
            takes_hidden: false,
            bytes_max: None,
            visitor: HEAD.visitor,
            is_drop_box: true,
            expires_unix_s,
        };
        let time = "<time datetime=\"2026-11-24T17:19:35Z\">Tue, 24 Nov 2026 17:19:35 GMT</time>";
        for page in [head(&PageHead { expires_unix_s, ..HEAD }), written(|out| write_drop_box(out, &uploads))] {
            assert!(page.contains(&format!(">This link works until {time}.</p>")), "{page}");
        }
        let without = UploadSection { expires_unix_s: None, ..uploads };
        assert!(![head(&HEAD), written(|out| write_drop_box(out, &without))].concat().contains("works until"));
    }

    #[test]
    fn no_path_becomes_markup() {
        let page = head(&PageHead { path: b"/\"><script>/\"><script>/", ..HEAD });
        assert!(!page.contains("<script") && page.contains("<h1><bdi>&quot;&gt;&lt;script&gt;"), "{page}");
    }

    #[test]
    fn an_empty_folder_says_so() {
        assert!(foot(&HEAD, 0).contains("This folder is empty."));
        let foot = foot(&HEAD, 1);
        assert!(!foot.contains("empty.") && foot.contains("<p>1 entry</p>"), "{foot}");
    }
}
