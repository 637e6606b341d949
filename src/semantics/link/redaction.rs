//! Removes the signatures of links from what is logged: whoever reads a log must not be able to use them.
//!
//! The access log, its JSON form and the lines of `-v` all take their text from the exchange record, which is where
//! this is applied. So no reader of records can forget it.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::SignedLink;

/// What takes the place of a signature, or of a link that is malformed.
const REDACTED: u8 = b'-';

/// The length of the shortest link, `read.0.0.`, in bytes.
const LINK_BYTES_MIN: usize = 9 + 16 + 1 + 64;

/// Appends `text`, which contains targets or URLs, with each link in it redacted. A well-formed link keeps everything but
/// its signature, also in capital letters. What is in the place of a link and is not well-formed is left out as a whole: it may be a link with a
/// typing error, and its reader could correct that.
pub fn push_redacted(out: &mut Vec<u8>, text: &[u8]) {
    if !may_contain_link(text) {
        out.extend_from_slice(text);
        return;
    }
    let mut place = Place::Elsewhere;
    let mut rest = text;
    // Ends: each iteration removes a separator, or is the last.
    loop {
        let end = separator(rest).unwrap_or(rest.len());
        let (segment, after) = rest.split_at(end);
        place = push_segment(out, segment, place);
        let Some(first) = after.first() else { break };
        let bytes = if *first == b'%' { 3 } else { 1 };
        // A query ends the path.
        if !matches!(first, b'/' | b'%') {
            place = Place::Elsewhere;
        }
        let (separator, after) = after.split_at(bytes.min(after.len()));
        out.extend_from_slice(separator);
        rest = after;
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

/// The first byte that ends a segment: a slash, also an encoded one, or a delimiter of a URL or of a request line.
fn separator(text: &[u8]) -> Option<usize> {
    (0..text.len()).find(|at| match text[*at] {
        b'/' | b'?' | b'&' | b'=' | b'#' | b' ' => true,
        b'%' => text[*at + 1..].first() == Some(&b'2') && matches!(text[*at + 1..].get(1), Some(b'f' | b'F')),
        _ => false,
    })
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
            &format!("GET /blobs/{SIGNATURE}/{}", "a".repeat(100)),
        ] {
            assert_eq!(redacted(text), text);
        }
    }
}
