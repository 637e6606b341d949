//! The listing of a directory as an HTML page: a head, a row for each entry, and a foot.
//!
//! The page works without its scripts, which only add a filter, local times and keyboard shortcuts, and uploads with
//! their progress. Styles and scripts are inline, and [`CONTENT_SECURITY_POLICY`] names them by their hashes. So a
//! browser runs these scripts and no other ones. `'self'` would allow every script that somebody has uploaded.
//!
//! The names of files may have been chosen by an attacker. As text they are escaped, and characters that cannot be
//! printed are replaced by visible ones. As links they are percent-encoded byte by byte.

use std::io::Write as _;
use std::ops::Range;

use super::encode::{write_decimal, write_link};
use super::form::UPLOAD_FORM;
use super::query::{Order, Sort};
use crate::semantics::date::Rfc3339;
use crate::storage::{Entry, EntryKind};

const STYLE: &str = include_str!("../../assets/style.css");
const SCRIPT: &str = include_str!("../../assets/page.js");

/// The part of a page that takes files, its style and its scripts. Only a page that takes uploads contains them.
const UPLOAD_SECTION: &str = include_str!("../../assets/upload/upload.html");
const UPLOAD_STYLE: &str = include_str!("../../assets/upload/upload.css");
/// Each script uses what the ones before it declare.
const UPLOAD_SCRIPTS: [&str; 4] = [
    include_str!("../../assets/upload/request.js"),
    include_str!("../../assets/upload/transfer.js"),
    include_str!("../../assets/upload/queue.js"),
    include_str!("../../assets/upload/view.js"),
];

/// The Content-Security-Policy of the page. A test compares the hashes with the styles and the scripts.
///
/// The icons and the favicon are `data:` images in the page. The scripts send requests to this server only. Trusted
/// types are a second barrier after the escaping: they keep the page's own scripts from turning text into markup.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
     script-src 'sha256-bbF6Eoo0P2KPToVx7wTrK6gdkq4SpIXga6kRj9VcHAg=' \
     'sha256-rp09uzl2jii2Tgx9gVgFeDTAVZ7QvDkVmFDakmAj1zk=' \
     'sha256-AuIqm6oLejzWE63iPyUw4Wmsn2Ky1/4HEWZ1C1we1OA=' \
     'sha256-p+1l2OcITTzbk9qRowWLe+DU0PiIhARxxKnvaedsMIc=' \
     'sha256-ZAv4TOCGtTvNGY6xPOwMKlcxLz5CbRz3OGKLLjZZImU='; \
     style-src 'sha256-K2MnuT5AO1QeUNfCMW0KIauI9VffsdMiuGC/jFj5GRA=' \
     'sha256-1glUdELXMqnhIj5ixbzTI0WERdYww5/Ng0F241R3ocI='; \
     img-src data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// The title of the shared folder's root. The name of its directory is not shown, because it is private.
const ROOT: &str = "Shared folder";

/// For a file that was modified longer ago than this, only the date is shown, without the time.
const RECENT_S: i128 = 180 * 86_400;

const NS_PER_S: i128 = 1_000_000_000;

/// The values that the beginning of a page depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageHead<'a> {
    /// The directory's decoded path: `/` or `/a/b/`.
    pub path: &'a [u8],
    /// Whether files may be uploaded here.
    pub may_upload: bool,
    /// Whether an upload may replace an existing file.
    pub may_replace: bool,
    /// Whether names that begin with a dot may be uploaded.
    pub takes_hidden: bool,
    /// The longest upload, in bytes; `None` if only the disk sets a limit.
    pub upload_bytes_max: Option<u64>,
    /// The column by which the rows are sorted.
    pub sort: Sort,
    /// The direction of sorting.
    pub order: Order,
    /// Whether the rows are sorted at all: see [`listing`](super::listing).
    pub is_sorted: bool,
}

/// Writes everything before the first entry.
pub(super) fn write_head(out: &mut Vec<u8>, head: &PageHead<'_>) {
    let mut segments: Vec<&[u8]> =
        head.path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()).collect();
    let name = segments.pop();
    write_document_head(out, name, head.may_upload);
    write_breadcrumbs(out, name, &segments);
    put(
        out,
        "<main>\n<div class=\"bar\"><input id=\"filter\" type=\"search\" aria-label=\"Filter by name\" \
         aria-keyshortcuts=\"/\" placeholder=\"Filter\" autocomplete=\"off\" autocapitalize=\"off\" \
         spellcheck=\"false\" maxlength=\"255\" hidden><p id=\"count\" role=\"status\"></p>\
         <a class=\"button\" href=\"?archive=tar\" \
         title=\"As a tar archive\">Download all</a></div>\n",
    );
    if head.may_upload {
        write_upload_section(out, head);
        put(out, UPLOAD_FORM);
        write_upload_hint(out, head.may_replace);
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
    if name.is_some() {
        put(
            out,
            "<tr id=\"up\"><th scope=\"row\"><a href=\"../\">Parent folder</a></th><td class=\"s\"></td>\
             <td class=\"t\"></td><td class=\"g\"></td></tr>\n",
        );
    }
}

/// Writes the head of the document and the beginning of its body.
pub(super) fn write_document_head(out: &mut Vec<u8>, name: Option<&[u8]>, may_upload: bool) {
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
    put(out, ROOT);
    put(
        out,
        "</title>\n<link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' \
         viewBox='0 0 20 20'%3E%3Cpath fill='%233b78c4' d='M1 5.5A2 2 0 0 1 3 3.5h4.5l2 2H17a2 2 0 0 1 2 \
         2V15a2 2 0 0 1-2 2H3a2 2 0 0 1-2-2z'/%3E%3C/svg%3E\">\n<style>",
    );
    put(out, STYLE);
    put(out, "</style>\n");
    if may_upload {
        put(out, "<style>");
        put(out, UPLOAD_STYLE);
        put(out, "</style>\n");
    }
    put(out, "</head>\n<body>\n");
}

/// Writes links to the folders above this one, and the name of this one. Links are relative, so a proxy can serve the
/// folder at any path.
pub(super) fn write_breadcrumbs(out: &mut Vec<u8>, name: Option<&[u8]>, above: &[&[u8]]) {
    put(out, "<header>\n");
    let Some(name) = name else {
        put(out, "<h1>");
        put(out, ROOT);
        put(out, "</h1>\n</header>\n");
        return;
    };
    put(out, "<nav aria-label=\"Folders above\"><ol>");
    for depth in 0..=above.len() {
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
    put(out, "</ol></nav>\n<h1>");
    write_isolated_name(out, name);
    put(out, "</h1>\n</header>\n");
}

/// Writes the part that takes files. Its script shows it, and reads from its attributes what the server allows.
fn write_upload_section(out: &mut Vec<u8>, head: &PageHead<'_>) {
    put(out, "<section id=\"uploads\" aria-label=\"Upload\"");
    if head.may_replace {
        put(out, " data-may-replace");
    }
    if head.takes_hidden {
        put(out, " data-takes-hidden");
    }
    if let Some(bytes_max) = head.upload_bytes_max {
        let _ = write!(out, " data-bytes-max=\"{bytes_max}\"");
    }
    put(out, " hidden>\n");
    put(out, UPLOAD_SECTION);
}

fn write_upload_hint(out: &mut Vec<u8>, may_replace: bool) {
    put(
        out,
        "<p class=\"note\" id=\"upload-hint\">To upload from a terminal: <code>curl -T FILE <span id=\"address\">ADDRESS-OF-THIS-PAGE</span>\
         </code>. ",
    );
    put(
        out,
        if may_replace {
            "A file of the same name is replaced.</p>\n"
        } else {
            "Existing files are never replaced.</p>\n"
        },
    );
}

/// Writes the heads of the columns. They are links that sort the rows, if the rows are sorted at all.
fn write_columns(out: &mut Vec<u8>, head: &PageHead<'_>) {
    put(out, "<thead><tr>");
    for (sort, class, title) in
        [(Sort::Name, "n", "Name"), (Sort::Size, "s", "Size"), (Sort::Modified, "t", "Modified")]
    {
        let is_active = head.is_sorted && head.sort == sort;
        put(out, "<th scope=\"col\" class=\"");
        put(out, class);
        put(
            out,
            match (is_active, head.order) {
                (false, _) => "\">",
                (true, Order::Ascending) => "\" aria-sort=\"ascending\">",
                (true, Order::Descending) => "\" aria-sort=\"descending\">",
            },
        );
        if head.is_sorted {
            let (key, order) = column_query(sort, is_active.then_some(head.order));
            let _ = write!(out, "<a href=\"?sort={key}&amp;order={order}\">{title}</a>");
        } else {
            put(out, title);
        }
        if sort == Sort::Modified {
            put(out, "<span id=\"zone\"> (UTC)</span>");
        }
        put(out, "</th>");
    }
    put(out, "<th scope=\"col\" class=\"g\"><span class=\"v\">Download</span></th></tr></thead>\n");
}

/// The values of `sort` and `order` in a column's link. They reverse the order if the rows are sorted by this column.
/// Otherwise the largest or latest entries come first, since people look for these most often.
fn column_query(sort: Sort, active: Option<Order>) -> (&'static str, &'static str) {
    let (key, first) = match sort {
        Sort::Name => ("name", Order::Ascending),
        Sort::Size => ("size", Order::Descending),
        Sort::Modified => ("modified", Order::Descending),
    };
    let order = match active {
        None => first,
        Some(Order::Ascending) => Order::Descending,
        Some(Order::Descending) => Order::Ascending,
    };
    match order {
        Order::Ascending => (key, "asc"),
        Order::Descending => (key, "desc"),
    }
}

/// Writes the row of one entry.
pub(super) fn write_row(out: &mut Vec<u8>, entry: &Entry, now_unix_s: u64) {
    let is_directory = entry.kind == EntryKind::Directory;
    put(
        out,
        if is_directory { "<tr><th scope=\"row\"><a class=\"d\" href=\"" } else { "<tr><th scope=\"row\"><a href=\"" },
    );
    // Link and name occur twice. They are encoded once and then copied.
    let href = appended(out, |out| write_link(out, entry));
    put(out, "\"><bdi>");
    let name = appended(out, |out| write_name(out, &entry.name));
    put(out, "</bdi></a></th><td class=\"s\">");
    if !is_directory {
        write_size(out, entry.size_bytes);
    }
    put(out, "</td><td class=\"t\">");
    write_time(out, entry.modified_ns, now_unix_s);
    put(out, "</td><td class=\"g\"><a href=\"");
    out.extend_from_within(href);
    put(
        out,
        if is_directory {
            "?archive=tar\" title=\"Download as archive\" aria-label=\"Download "
        } else {
            "?download\" title=\"Download\" aria-label=\"Download "
        },
    );
    out.extend_from_within(name);
    put(out, if is_directory { " as archive\"></a></td></tr>\n" } else { "\"></a></td></tr>\n" });
}

/// Where in `out` is what `write` appends.
fn appended(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
    let start = out.len();
    write(out);
    start..out.len()
}

/// Writes a size such as `1.4 MB`, with the exact number of bytes as its tooltip.
fn write_size(out: &mut Vec<u8>, bytes: u64) {
    put(out, "<data value=\"");
    write_decimal(out, bytes);
    put(out, "\" title=\"");
    write_count(out, bytes);
    put(out, if bytes == 1 { " byte\">" } else { " bytes\">" });
    write_readable_size(out, bytes);
    put(out, "</data>");
}

/// Writes a size with two significant digits below ten of its unit, and up to three above. Units are powers of 1000, as
/// the SI defines them.
fn write_readable_size(out: &mut Vec<u8>, bytes: u64) {
    if bytes < 1000 {
        write_decimal(out, bytes);
        put(out, " B");
        return;
    }
    let mut unit_bytes = 1;
    for unit in [" kB", " MB", " GB", " TB", " PB", " EB"] {
        unit_bytes *= 1000;
        // The remainder is rounded by itself, so that no product overflows.
        let (whole, rest) = (bytes / unit_bytes, bytes % unit_bytes);
        let tenths = whole * 10 + (rest * 10 + unit_bytes / 2) / unit_bytes;
        let rounded = whole + (rest + unit_bytes / 2) / unit_bytes;
        if tenths < 100 {
            write_decimal(out, tenths / 10);
            out.extend_from_slice(&[b'.', b'0' + (tenths % 10) as u8]);
            return put(out, unit);
        }
        if rounded < 1000 {
            write_decimal(out, rounded);
            return put(out, unit);
        }
    }
}

/// Writes a time in UTC. The script replaces it with local time.
fn write_time(out: &mut Vec<u8>, modified_ns: i128, now_unix_s: u64) {
    // Dividing 64 bits takes far less time than dividing 128. In nanoseconds they last until the year 2262.
    let unix_s = match i64::try_from(modified_ns) {
        Ok(ns) => i128::from(ns.div_euclid(NS_PER_S as i64)),
        Err(_) => modified_ns.div_euclid(NS_PER_S),
    };
    let Some(date) = Rfc3339::new(unix_s) else {
        put(out, "unknown");
        return;
    };
    let text = date.text();
    put(out, "<time datetime=\"");
    out.extend_from_slice(&text);
    put(out, "\">");
    out.extend_from_slice(&text[..10]);
    if i128::from(now_unix_s) - unix_s < RECENT_S {
        put(out, " ");
        // Hours and minutes.
        out.extend_from_slice(&text[11..16]);
    }
    put(out, "</time>");
}

/// Writes everything after the last entry.
pub(super) fn write_foot(out: &mut Vec<u8>, entries: u64, is_sorted: bool, may_upload: bool) {
    if entries == 0 {
        put(out, "<tr id=\"empty\"><td colspan=\"4\">This folder is empty.</td></tr>\n");
    }
    put(out, "</tbody>\n</table>\n</main>\n<footer><p>");
    write_count(out, entries);
    put(out, if entries == 1 { " entry" } else { " entries" });
    put(out, if is_sorted { "" } else { ", not sorted" });
    put(out, "</p><p>Spindle</p></footer>\n");
    let upload_scripts = if may_upload { &UPLOAD_SCRIPTS[..] } else { &[] };
    for script in [SCRIPT].iter().chain(upload_scripts) {
        put(out, "<script>");
        put(out, script);
        put(out, "</script>\n");
    }
    put(out, "</body>\n</html>\n");
}

/// Writes a number such as `1,234,567`.
fn write_count(out: &mut Vec<u8>, count: u64) {
    let digits = appended(out, |out| write_decimal(out, count));
    let mut end = digits.end;
    while end > digits.start + 3 {
        end -= 3;
        out.insert(end, b',');
    }
}

/// Writes a name so that right-to-left letters in it do not affect the text around it.
pub(super) fn write_isolated_name(out: &mut Vec<u8>, name: &[u8]) {
    put(out, "<bdi>");
    write_name(out, name);
    put(out, "</bdi>");
}

/// Writes a name as text, or as the value of an attribute in double quotes. Each sequence that is not UTF-8 is shown as
/// U+FFFD.
fn write_name(out: &mut Vec<u8>, name: &[u8]) {
    // Most names need no escapes.
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !b"&<>\"'".contains(byte);
    let plain_bytes = name.iter().position(|byte| !plain(byte)).unwrap_or(name.len());
    let (plain, rest) = name.split_at(plain_bytes);
    out.extend_from_slice(plain);
    for chunk in rest.utf8_chunks() {
        chunk.valid().chars().for_each(|each| write_character(out, each));
        if !chunk.invalid().is_empty() {
            write_character(out, char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Writes one character of a name. Control characters are shown as their Unicode pictures, so that different names look
/// different. Characters that change the direction of text are shown as U+FFFD: otherwise `photo[U+202E]gpj.exe` would
/// look like the name of a picture.
fn write_character(out: &mut Vec<u8>, each: char) {
    let shown = match each {
        '&' => return put(out, "&amp;"),
        '<' => return put(out, "&lt;"),
        '>' => return put(out, "&gt;"),
        '"' => return put(out, "&quot;"),
        '\'' => return put(out, "&#39;"),
        '\0'..='\x1f' => char::from_u32(u32::from(each) + 0x2400).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\x7f' => '\u{2421}',
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        _ => each,
    };
    put(out, shown.encode_utf8(&mut [0; 4]));
}

pub(super) fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use sha2::{Digest as _, Sha256};

    use super::*;

    /// Tuesday, 24 November 2026, 17:19:35.
    const NOW_S: u64 = 1_795_540_775;

    const HEAD: PageHead<'_> = PageHead {
        path: b"/",
        may_upload: false,
        may_replace: false,
        takes_hidden: false,
        upload_bytes_max: None,
        sort: Sort::Name,
        order: Order::Ascending,
        is_sorted: true,
    };

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("a page is UTF-8, whatever the names are")
    }

    fn head(head: &PageHead<'_>) -> String {
        text(|out| write_head(out, head))
    }

    fn entry(name: &[u8], kind: EntryKind) -> Entry {
        Entry { name: name.into(), kind, size_bytes: 1_400_000, modified_ns: i128::from(NOW_S) * NS_PER_S }
    }

    fn file_row(name: &[u8]) -> String {
        text(|out| write_row(out, &entry(name, EntryKind::File), NOW_S))
    }

    fn size(bytes: u64) -> String {
        text(|out| write_readable_size(out, bytes))
    }

    fn time(modified_ns: i128) -> String {
        text(|out| write_time(out, modified_ns, NOW_S))
    }

    /// A page without entries that takes uploads.
    fn upload_page() -> String {
        head(&PageHead { may_upload: true, ..HEAD }) + &text(|out| write_foot(out, 0, true, true))
    }

    #[test]
    fn the_policy_allows_the_pages_own_styles_and_scripts_and_no_others() {
        let scripts: Vec<&str> = [SCRIPT].into_iter().chain(UPLOAD_SCRIPTS).collect();
        for (directive, sources) in [("script-src", &scripts[..]), ("style-src", &[STYLE, UPLOAD_STYLE])] {
            let hashes = sources.iter().map(|source| BASE64_STANDARD.encode(Sha256::digest(source)));
            let hashes: String = hashes.map(|hash| format!(" 'sha256-{hash}'")).collect();
            let expected = format!("; {directive}{hashes};");
            assert!(CONTENT_SECURITY_POLICY.contains(&expected), "the policy has to say{expected}");
        }
        let page = upload_page();
        for style in [STYLE, UPLOAD_STYLE] {
            assert!(page.contains(&format!("<style>{style}</style>")));
        }
        for script in scripts {
            assert!(page.contains(&format!("<script>{script}</script>")));
        }
        for attribute in [" style=", " onclick=\"", " onload=\"", "javascript:"] {
            assert!(!page.contains(attribute), "the policy forbids {attribute}");
        }
    }

    #[test]
    fn styles_and_scripts_do_not_end_early() {
        for source in [STYLE, UPLOAD_STYLE, SCRIPT].into_iter().chain(UPLOAD_SCRIPTS) {
            assert!(!source.contains("</") && !source.contains("<!--"));
        }
    }

    #[test]
    fn the_page_is_small_and_loads_nothing_from_elsewhere() {
        let read_only = head(&HEAD) + &text(|out| write_foot(out, 0, true, false));
        for (page, bytes_max) in [(read_only, 40 * 1024), (upload_page(), 80 * 1024)] {
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
        let read_only = head(&HEAD) + &text(|out| write_foot(out, 0, true, false));
        assert!(!read_only.contains("id=\"upload") && !read_only.contains("type=\"file\""), "{read_only}");
        let section = "<section id=\"uploads\" aria-label=\"Upload\"";
        assert!(upload_page().contains(&format!("{section} hidden>")));
        let most =
            PageHead { may_upload: true, may_replace: true, takes_hidden: true, upload_bytes_max: Some(1000), ..HEAD };
        let expected = format!("{section} data-may-replace data-takes-hidden data-bytes-max=\"1000\" hidden>");
        assert!(head(&most).contains(&expected));
    }

    #[test]
    fn a_row_shows_a_file_and_links_to_it_and_to_its_download() {
        let row = file_row(b"notes.txt");
        assert!(row.contains("<a href=\"notes.txt\"><bdi>notes.txt</bdi></a>"), "{row}");
        assert!(
            row.contains("<a href=\"notes.txt?download\" title=\"Download\" aria-label=\"Download notes.txt\">"),
            "{row}"
        );
        assert!(row.contains("<data value=\"1400000\" title=\"1,400,000 bytes\">1.4 MB</data>"), "{row}");
        assert!(row.contains("<time datetime=\"2026-11-24T17:19:35Z\">2026-11-24 17:19</time>"), "{row}");
    }

    #[test]
    fn a_directory_is_linked_with_a_slash_and_has_no_size() {
        let row = text(|out| write_row(out, &entry(b"photos", EntryKind::Directory), NOW_S));
        assert!(row.contains("<a class=\"d\" href=\"photos/\"><bdi>photos</bdi></a>"), "{row}");
        assert!(row.contains("href=\"photos/?archive=tar\""), "{row}");
        assert!(row.contains("<td class=\"s\"></td>") && !row.contains("MB"), "{row}");
    }

    #[test]
    fn no_name_becomes_markup() {
        let name = b"\"><script>alert('1')</script>&amp;.txt";
        let shown = "&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;amp;.txt";
        let linked = "%22%3E%3Cscript%3Ealert%28%271%27%29%3C%2Fscript%3E%26amp%3B.txt";
        let row = file_row(name);
        assert!(row.contains(&format!("<bdi>{shown}</bdi>")), "{row}");
        assert!(row.contains(&format!("aria-label=\"Download {shown}\"")), "{row}");
        assert!(row.contains(&format!("href=\"{linked}\"")), "{row}");
        let page = head(&PageHead { path: b"/\"><script>/\"><script>/", ..HEAD });
        assert!(!page.contains("<script") && page.contains("<h1><bdi>&quot;&gt;&lt;script&gt;"), "{page}");
    }

    #[test]
    fn a_link_decodes_to_the_bytes_of_the_name() {
        let name: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
        let row = file_row(&name);
        let (_, rest) = row.split_once("href=\"").expect("a link");
        let (href, _) = rest.split_once('"').expect("its end");
        assert_eq!(percent_encoding::percent_decode_str(href).collect::<Vec<u8>>(), name);
        assert!(href.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"%-._~".contains(&byte)), "{href}");
    }

    #[test]
    fn no_name_is_read_as_a_scheme_a_query_or_another_folder() {
        for (name, href) in [
            (&b"javascript:alert(1)"[..], "javascript%3Aalert%281%29"),
            (b"a?download", "a%3Fdownload"),
            (b"#top", "%23top"),
            (b"..\\x", "..%5Cx"),
            (b"%2e%2e", "%252e%252e"),
            (b" ", "%20"),
            (b"caf\xe9", "caf%E9"),
        ] {
            assert!(file_row(name).contains(&format!("<a href=\"{href}\">")), "{href}");
        }
    }

    #[test]
    fn characters_that_cannot_be_printed_are_replaced_by_visible_ones() {
        for (name, shown) in [
            (&b"two\nlines\tand\x7f"[..], "two\u{240a}lines\u{2409}and\u{2421}"),
            (b"caf\xe9 \xff\xfe", "caf\u{fffd} \u{fffd}\u{fffd}"),
            ("photo\u{202e}gpj.exe".as_bytes(), "photo\u{fffd}gpj.exe"),
            ("\u{5e9}\u{5dc}\u{5d5}\u{5dd}".as_bytes(), "\u{5e9}\u{5dc}\u{5d5}\u{5dd}"),
        ] {
            assert!(file_row(name).contains(&format!("<bdi>{shown}</bdi>")), "{shown}");
        }
    }

    #[test]
    fn sizes_are_rounded_to_two_or_three_digits() {
        for (bytes, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_049, "1.0 kB"),
            (1_050, "1.1 kB"),
            (9_949, "9.9 kB"),
            (9_950, "10 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (1_400_000, "1.4 MB"),
            (23_456_789_012, "23 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
    }

    #[test]
    fn a_count_is_grouped_by_thousands() {
        for (count, shown) in [(0, "0"), (999, "999"), (1000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(text(|out| write_count(out, count)), shown);
        }
    }

    #[test]
    fn an_old_file_shows_its_date_and_keeps_its_time_in_the_attribute() {
        assert_eq!(time(951_782_400 * NS_PER_S), "<time datetime=\"2000-02-29T00:00:00Z\">2000-02-29</time>");
        assert_eq!(time(-1), "<time datetime=\"1969-12-31T23:59:59Z\">1969-12-31</time>");
        // A modification in the future is not old.
        let later = i128::from(NOW_S + 86_400) * NS_PER_S + 1;
        assert_eq!(time(later), "<time datetime=\"2026-11-25T17:19:35Z\">2026-11-25 17:19</time>");
    }

    #[test]
    fn a_time_outside_of_the_years_0_to_9999_is_unknown() {
        for modified_ns in [i128::MIN, i128::MAX, 253_402_300_800 * NS_PER_S] {
            assert_eq!(time(modified_ns), "unknown");
        }
    }

    #[test]
    fn the_columns_link_to_their_sort_order() {
        let page = head(&PageHead { sort: Sort::Size, order: Order::Descending, ..HEAD });
        assert!(page.contains("<th scope=\"col\" class=\"n\"><a href=\"?sort=name&amp;order=asc\">Name</a>"), "{page}");
        assert!(
            page.contains("class=\"s\" aria-sort=\"descending\"><a href=\"?sort=size&amp;order=asc\">Size</a>"),
            "{page}"
        );
        assert!(page.contains("class=\"t\"><a href=\"?sort=modified&amp;order=desc\">Modified</a>"), "{page}");
        assert_eq!(page.matches("aria-sort=").count(), 1 + STYLE.matches("aria-sort=").count());
    }

    #[test]
    fn an_unsorted_page_says_so() {
        let page = head(&PageHead { is_sorted: false, ..HEAD });
        assert!(page.contains("This list is not sorted: the folder has more than 10,000 entries, or"), "{page}");
        assert!(!page.contains("?sort=") && !page.contains("\" aria-sort"), "{page}");
        assert!(text(|out| write_foot(out, 12_345, false, false)).contains("<p>12,345 entries, not sorted</p>"));
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
    fn the_page_says_how_to_upload_if_uploads_are_allowed() {
        assert!(!head(&HEAD).contains("curl"));
        let create = head(&PageHead { may_upload: true, ..HEAD });
        assert!(create.contains("curl -T") && create.contains("Existing files are never replaced."));
        let replace = head(&PageHead { may_upload: true, may_replace: true, ..HEAD });
        assert!(replace.contains("A file of the same name is replaced."));
    }

    #[test]
    fn an_empty_folder_says_so() {
        assert!(text(|out| write_foot(out, 0, true, false)).contains("This folder is empty."));
        let foot = text(|out| write_foot(out, 1, true, false));
        assert!(!foot.contains("empty.") && foot.contains("<p>1 entry</p>"), "{foot}");
    }
}
