//! The row of one entry: its links, its size and its time.

use super::text::{appended, put, write_count, write_name};
use crate::routes::folder::encode::{write_decimal, write_link};
use crate::semantics::date::Rfc3339;
use crate::storage::{Entry, EntryKind};

/// For a file that was modified longer ago than this, only the date is shown, without the time.
const RECENT_S: i128 = 180 * 86_400;

const NS_PER_S: i128 = 1_000_000_000;

/// Writes the row of one entry.
pub(in crate::routes::folder) fn write_row(out: &mut Vec<u8>, entry: &Entry, now_unix_s: u64) {
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

/// Writes a size such as `1.4 MB`, with the exact number of bytes as its tooltip.
fn write_size(out: &mut Vec<u8>, bytes: u64) {
    write_exact_and_readable(out, bytes, bytes);
}

/// Writes the longest size that is accepted, in the same way. It is rounded down: otherwise a file that is no longer than
/// the page says could be refused.
pub(super) fn write_limit(out: &mut Vec<u8>, bytes_max: u64) {
    write_exact_and_readable(out, bytes_max, rounded_down(bytes_max));
}

fn write_exact_and_readable(out: &mut Vec<u8>, exact_bytes: u64, readable_bytes: u64) {
    put(out, "<data value=\"");
    write_decimal(out, exact_bytes);
    put(out, "\" title=\"");
    write_count(out, exact_bytes);
    put(out, if exact_bytes == 1 { " byte\">" } else { " bytes\">" });
    write_readable_size(out, readable_bytes);
    put(out, "</data>");
}

/// The greatest size that is not above this one, and that [`write_readable_size`] writes without rounding.
fn rounded_down(bytes: u64) -> u64 {
    let mut unit_bytes = 1;
    while bytes / unit_bytes >= 1000 {
        unit_bytes *= 1000;
    }
    let step_bytes = if bytes / unit_bytes < 10 { (unit_bytes / 10).max(1) } else { unit_bytes };
    bytes - bytes % step_bytes
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

#[cfg(test)]
mod tests {
    use super::super::tests::written;
    use super::*;

    /// Tuesday, 24 November 2026, 17:19:35.
    const NOW_S: u64 = 1_795_540_775;

    fn entry(name: &[u8], kind: EntryKind) -> Entry {
        Entry { name: name.into(), kind, size_bytes: 1_400_000, modified_ns: i128::from(NOW_S) * NS_PER_S }
    }

    fn file_row(name: &[u8]) -> String {
        written(|out| write_row(out, &entry(name, EntryKind::File), NOW_S))
    }

    fn size(bytes: u64) -> String {
        written(|out| write_readable_size(out, bytes))
    }

    fn time(modified_ns: i128) -> String {
        written(|out| write_time(out, modified_ns, NOW_S))
    }

    #[test]
    fn a_limit_is_never_shown_as_more_than_it_is() {
        let limit = |bytes| written(|out| write_limit(out, bytes));
        assert_eq!(limit(1 << 30), "<data value=\"1073741824\" title=\"1,073,741,824 bytes\">1.0 GB</data>");
        for (bytes, shown) in [
            (1, ">1 B<"),
            (999, ">999 B<"),
            (1_999, ">1.9 kB<"),
            (9_999_999, ">9.9 MB<"),
            (10_999_999, ">10 MB<"),
            (999_999_999, ">999 MB<"),
            (u64::MAX, ">18 EB<"),
        ] {
            assert!(limit(bytes).contains(shown), "{}", limit(bytes));
        }
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
        let row = written(|out| write_row(out, &entry(b"photos", EntryKind::Directory), NOW_S));
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
}
