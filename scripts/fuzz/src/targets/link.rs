//! Signed links. The input is three parts with a zero byte between them: a link without its signature, a decoded path, and
//! edits, each of which is two bytes: where in the signed link (modulo its length), and the byte that is to be there.
//!
//! 1. No input makes it panic.
//! 2. A link is written as it was read: no link has a second spelling.
//! 3. A link that is signed for a path is valid for it, until it expires. With any edit it is valid for nothing.
//! 4. No text in a log contains a signature that the text had.

use std::sync::LazyLock;

use spindle::semantics::link::redaction::push_redacted;
use spindle::semantics::link::{LinkError, LinkKeys, SECRET_BYTES, SignedLink, key_line};

/// The length of a signature, in hexadecimal digits.
const SIGNATURE_DIGITS: usize = 64;

static KEYS: LazyLock<LinkKeys> = LazyLock::new(|| {
    let lines: String = [1, 2].map(|byte| key_line(&[byte; SECRET_BYTES])).concat();
    LinkKeys::parse(lines.as_bytes()).expect("two keys")
});

/// Runs the target.
pub fn run(input: &[u8]) {
    let mut parts = input.splitn(3, |byte| *byte == 0);
    let (head, path, edits) =
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    assert_redacted(input);
    assert_redacted(path);
    let unsigned = [head, b".", &b"0123456789abcdef".repeat(4)].concat();
    let Some(parsed) = SignedLink::parse(&unsigned) else { return };
    assert_eq!(parsed.to_string().into_bytes(), unsigned, "a link is written as it was read");
    let link = *parsed.unverified();
    let Some(signed_path) = link.signed_path(path) else { return };
    let text = KEYS.sign(link, signed_path).to_string().into_bytes();
    let before = link.expires_unix_s.saturating_sub(1);
    if before < link.expires_unix_s {
        assert_eq!(KEYS.verify(&text, path, before), Ok((link, signed_path)), "a signed link is valid");
    }
    assert_eq!(KEYS.verify(&text, path, link.expires_unix_s), Err(LinkError::Expired), "its time ends");
    assert_redacted(&[b"GET /.spindle/link/", &text[..], path, b" "].concat());
    let mut edited = text.clone();
    for edit in edits.chunks_exact(2) {
        let at = usize::from(edit[0]) % edited.len();
        edited[at] = edit[1];
    }
    if edited != text {
        assert_eq!(KEYS.verify(&edited, path, before), Err(LinkError::Invalid), "an edited link is not valid");
    }
    assert_redacted(&[b"http://host/.spindle/link/", &edited[..], b"/"].concat());
}

fn assert_redacted(text: &[u8]) {
    let mut redacted = Vec::new();
    push_redacted(&mut redacted, text);
    let links = || {
        let segments = text.split(|byte| b"/?&=# ".contains(byte));
        segments.filter(|segment| SignedLink::parse(segment).is_some())
    };
    for link in links() {
        let signature = &link[link.len() - SIGNATURE_DIGITS..];
        let count = |text: &[u8]| text.windows(SIGNATURE_DIGITS).filter(|window| *window == signature).count();
        // A file may have the same name as a signature.
        let names = count(text) - links().filter(|other| other.ends_with(signature)).count();
        assert!(count(&redacted) <= names, "no signature is shown: {}", redacted.escape_ascii());
    }
}
