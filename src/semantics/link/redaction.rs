//! Removes the signatures of links from what is logged: whoever reads a log must not be able to use them.
//!
//! The access log, its JSON form and the lines of `-v` all take their text from the exchange record, which is where
//! this is applied. So no reader of records can forget it.

use std::borrow::Cow;
use std::ops::Range;

use percent_encoding::percent_decode;

use super::SignedLink;

/// What takes the place of a signature, or of a link that is malformed.
const REDACTED: u8 = b'-';

/// The length of the shortest link, `read.0.0.`, in bytes.
const LINK_BYTES_MIN: usize = 9 + 16 + 1 + 64;

/// Appends `text`, which contains targets or URLs, with each link in it redacted. A well-formed link keeps everything but
/// its signature, also in capital letters. What is in the place of a link and is not well-formed is left out as a whole: it
/// may be a link with a typing error, and its reader could correct that.
pub fn push_redacted(out: &mut Vec<u8>, text: &[u8]) {
    if !may_contain_link(text) {
        out.extend_from_slice(text);
        return;
    }
    let mut place = Place::Elsewhere;
    let mut rest = text;
    // Ends: each iteration removes a separator, or is the last.
    loop {
        let separator = separator(rest).unwrap_or(rest.len()..rest.len());
        place = push_segment(out, &rest[..separator.start], place);
        let Some(first) = rest.get(separator.start) else { break };
        // A query ends the path.
        if !matches!(first, b'/' | b'\\' | b'%') {
            place = Place::Elsewhere;
        }
        out.extend_from_slice(&rest[separator.clone()]);
        rest = &rest[separator.end..];
    }
}

/// Which segments precede the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Elsewhere,
    /// `.spindle`.
    Reserved,
    /// `.spindle/link`.
    Link,
}

/// A quick test that is true for every text with a link, and false for most others.
fn may_contain_link(text: &[u8]) -> bool {
    let has_hidden_name = || memchr::memmem::find(text, b"/.").is_some();
    text.len() >= LINK_BYTES_MIN || memchr::memchr(b'%', text).is_some() || has_hidden_name()
}

/// What ends the first segment: a slash, which may be percent-encoded any number of times, as in an address in the query
/// of an address in the query of another one; a backslash, which browsers take for a slash; or a delimiter of a URL or of
/// a request line.
fn separator(text: &[u8]) -> Option<Range<usize>> {
    let mut start = 0;
    // Ends: each iteration goes on behind what it has found.
    while let Some(found) = text[start..].iter().position(|byte| b"/\\?&=# %".contains(byte)) {
        let at = start + found;
        if text[at] != b'%' {
            return Some(at..at + 1);
        }
        // Each encoding turns the percent sign into `%25`.
        start = at + 1;
        while text[start..].starts_with(b"25") {
            start += 2;
        }
        if text[start..].starts_with(b"2f") || text[start..].starts_with(b"2F") {
            return Some(at..start + 2);
        }
    }
    None
}

/// Appends a segment, or what takes its place. Returns the place of the next one.
fn push_segment(out: &mut Vec<u8>, segment: &[u8], place: Place) -> Place {
    // Borrows the segment, unless something in it is encoded.
    let decoded = Cow::<[u8]>::from(percent_decode(segment));
    if decoded.len() >= LINK_BYTES_MIN && SignedLink::parse(&decoded.to_ascii_lowercase()).is_some() {
        let head = decoded.len() - 2 * super::SIGNATURE_BYTES;
        out.extend_from_slice(&decoded[..head]);
        out.push(REDACTED);
        return Place::Elsewhere;
    }
    match (place, &*decoded) {
        // As in the path of a file, empty segments and `.` do not count.
        (place, b"" | b".") => {
            out.extend_from_slice(segment);
            place
        }
        (Place::Link, _) => {
            out.push(REDACTED);
            Place::Elsewhere
        }
        (place, decoded) => {
            out.extend_from_slice(segment);
            match place {
                _ if decoded.eq_ignore_ascii_case(b".spindle") => Place::Reserved,
                Place::Reserved if decoded.eq_ignore_ascii_case(b"link") => Place::Link,
                _ => Place::Elsewhere,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "create.1.1796083200.5.0123456789abcdef.";
    const SIGNATURE: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn redacted(text: &str) -> String {
        let mut out = Vec::new();
        push_redacted(&mut out, text.as_bytes());
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn a_link_keeps_everything_but_its_signature() {
        for template in [
            "GET /.spindle/link/LINK/inbox/?sort=size",
            "GET /.spindle/link/LINK",
            "PATCH /.spindle/link/LINK/.spindle/uploads/00/a",
            "GET http://host/.spindle/link/LINK/",
            "https://host/below/.spindle/link/LINK/a/b",
            "GET /.spindle/link/LINK/.spindle/link/LINK/",
            "GET /other/LINK/",
            "GET /?next=LINK&a=b",
            "GET /?next=http%3A%2F%2Fhost%2f.spindle%2Flink%2FLINK%2Finbox",
            "GET /%2espindle/%6cink/LINK/inbox/",
            "http://host/?u=http%253A%252F%252Fhost%252F.spindle%252flink%252FLINK%252Finbox",
            "/?u=%25252F.spindle%25252Flink%25252FLINK%25252F",
            "http://host\\.spindle\\link\\LINK\\inbox",
            "GET /.//.spindle/./link//LINK/",
        ] {
            let text = template.replace("LINK", &format!("{HEAD}{SIGNATURE}"));
            assert_eq!(redacted(&text), template.replace("LINK", &format!("{HEAD}-")), "{template}");
        }
        let capitals = format!("GET /.SPINDLE/LINK/{HEAD}{SIGNATURE}/").to_uppercase();
        assert_eq!(redacted(&capitals), format!("GET /.SPINDLE/LINK/{}-/", HEAD.to_uppercase()));
        let encoded = format!("GET /.spindle/link/{HEAD}%300{}/", &SIGNATURE[2..]);
        assert_eq!(redacted(&encoded), format!("GET /.spindle/link/{HEAD}-/"));
    }

    #[test]
    fn nothing_is_left_of_a_link_that_is_malformed() {
        for link in [
            format!("{HEAD}{}", &SIGNATURE[1..]),
            format!("{HEAD}{SIGNATURE}."),
            format!("x{HEAD}{SIGNATURE}"),
            SIGNATURE.to_owned(),
            "0011".to_owned(),
        ] {
            for prefix in ["/.spindle/link/", "/%2Espindle/Link/", "http://host/.spindle/link/", "//.spindle//link/./"]
            {
                assert_eq!(redacted(&format!("{prefix}{link}/a")), format!("{prefix}-/a"), "{link}");
            }
        }
    }

    #[test]
    fn a_link_in_an_address_in_an_address_is_found_however_often_it_is_encoded() {
        for encodings in 0..6 {
            let slash = format!("%{}2F", "25".repeat(encodings));
            let template = "http://host/?u=_a_.spindle_link_LINK_inbox".replace('_', &slash);
            let text = template.replace("LINK", &format!("{HEAD}{SIGNATURE}"));
            assert_eq!(redacted(&text), template.replace("LINK", &format!("{HEAD}-")));
            // Malformed, because an encoded delimiter follows.
            let text = template.replace("LINK", &format!("{HEAD}{SIGNATURE}%3F"));
            assert_eq!(redacted(&text), template.replace("LINK", "-"));
        }
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for text in [
            "",
            "GET /",
            "GET /.spindle/links/read",
            "GET /link/read.1",
            "GET /.spindle/link",
            "GET /.spindle/link/",
            "GET /.spindle?link/a",
            "GET /%",
            "GET /%2",
            "GET /a%2fb/%zz/?x=%2F#/",
            "GET /a%252fb%25%252/%25252\\",
            &format!("GET /blobs/{SIGNATURE}/{}", "a".repeat(100)),
        ] {
            assert_eq!(redacted(text), text);
        }
    }
}
