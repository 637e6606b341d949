//! Who looks at a page.

use super::super::encode::write_segment;
use super::text::{put, write_isolated_name};

/// Who looks at a page, as far as the server knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::routes::folder) struct Visitor<'a> {
    /// The account that they have signed in to.
    pub account: Option<&'a str>,
    /// Whether they could do more if they signed in.
    pub could_do_more: bool,
}

impl Visitor<'_> {
    /// Writes who is signed in, or a link to sign in. `path` is the decoded path of the page's folder.
    pub(super) fn write(&self, out: &mut Vec<u8>, path: &[u8]) {
        let segments = || path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty());
        match self {
            Visitor { account: Some(account), .. } => {
                put(out, "<aside class=\"who\" aria-label=\"Account\">Signed in as ");
                write_isolated_name(out, account.as_bytes());
            }
            Visitor { could_do_more: true, .. } => {
                put(out, "<aside class=\"who\" aria-label=\"Account\"><a rel=\"nofollow\" href=\"./");
                segments().for_each(|_| put(out, "../"));
                put(out, "?sign-in=");
                for segment in segments() {
                    write_segment(out, segment);
                    put(out, "/");
                }
                put(out, "\">Sign in</a>");
            }
            Visitor { account: None, could_do_more: false } => return,
        }
        put(out, "</aside>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::PageHead;
    use super::super::tests::{HEAD, head};
    use super::*;

    #[test]
    fn a_page_says_who_is_signed_in_or_offers_to_sign_in_if_that_would_help() {
        let page = |path, account, could_do_more| {
            head(&PageHead { path, visitor: Visitor { account, could_do_more }, ..HEAD })
        };
        assert!(!page(b"/", None, false).contains("class=\"who\""));
        let signed_in = page(b"/a/", Some("alice"), false);
        assert!(signed_in.contains("aria-label=\"Account\">Signed in as <bdi>alice</bdi></aside>"), "{signed_in}");
        assert!(!signed_in.contains("sign-in"));
        assert!(page(b"/", None, true).contains(" href=\"./?sign-in=\">Sign in</a>"));
        let inner = page(b"/a b/\"&=/", None, true);
        assert!(inner.contains(" href=\"./../../?sign-in=a%20b/%22%26%3D/\">Sign in</a>"), "{inner}");
    }
}
