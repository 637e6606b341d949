//! The media type of a file, by the extension of its name, and whether browsers run its content.

use std::borrow::Cow;

/// The type of a file with an unknown extension.
const UNKNOWN: &str = "application/octet-stream";

/// The media type of a file with this name. Text is declared as UTF-8, which nearly all text is. Without a charset
/// browsers would assume another one.
pub(super) fn of(name: &[u8]) -> Cow<'static, str> {
    let extension = memchr::memrchr(b'.', name).and_then(|dot| std::str::from_utf8(&name[dot + 1..]).ok());
    let known = extension.and_then(|extension| new_mime_guess::from_ext(extension).first_raw());
    match known {
        None => Cow::Borrowed(UNKNOWN),
        Some("text/html") => Cow::Borrowed("text/html; charset=utf-8"),
        Some("text/plain") => Cow::Borrowed("text/plain; charset=utf-8"),
        Some(text) if text.starts_with("text/") => Cow::Owned(format!("{text}; charset=utf-8")),
        Some(known) => Cow::Borrowed(known),
    }
}

/// Whether a browser that opens content of this type may run scripts in it. Pages, some images and documents have
/// scripts.
pub(super) fn is_active(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim_end();
    let is_xml = ["+xml", "/xml", "/xsl", "xslt"].iter().any(|ending| essence.ends_with(ending));
    let is_named = matches!(
        essence,
        "text/html" | "application/pdf" | "text/mathml" | "text/xml-external-parsed-entity" | "application/xml-dtd"
    );
    is_xml || is_named || essence.starts_with("multipart/x-") || essence.contains("mathml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_decides_in_any_case() {
        for (name, expected) in [
            ("a.html", "text/html; charset=utf-8"),
            ("A.HTM", "text/html; charset=utf-8"),
            ("notes.txt", "text/plain; charset=utf-8"),
            ("style.css", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.b.png", "image/png"),
            ("photo.JPG", "image/jpeg"),
            ("film.mp4", "video/mp4"),
            ("a.svg", "image/svg+xml"),
            ("a.pdf", "application/pdf"),
            ("a.tar", "application/x-tar"),
            ("a", UNKNOWN),
            ("html", UNKNOWN),
            ("a.", UNKNOWN),
            ("a.unheard-of", UNKNOWN),
            ("a.html~", UNKNOWN),
        ] {
            assert_eq!(of(name.as_bytes()), expected, "{name}");
        }
        assert_eq!(of(b"a.\xff"), UNKNOWN);
    }

    #[test]
    fn types_that_may_contain_scripts_are_active_and_others_are_not() {
        for name in [
            "a.html", "a.htm", "a.xhtml", "a.xht", "a.svg", "a.svgz", "a.xml", "a.xsl", "a.xslt", "a.pdf", "a.mml",
            "a.mathml", "a.rss", "a.atom", "a.rdf", "a.shtml", "a.kml",
        ] {
            let media_type = of(name.as_bytes());
            assert!(is_active(&media_type) || media_type == UNKNOWN, "{name}: {media_type}");
        }
        for name in ["a.txt", "a.png", "a.jpg", "a.mp4", "a.json", "a.css", "a.csv", "a.zip", "a"] {
            assert!(!is_active(&of(name.as_bytes())), "{name}");
        }
        assert!(is_active("text/html") && is_active("image/svg+xml"));
    }
}
