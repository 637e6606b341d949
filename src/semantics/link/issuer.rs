//! Links that the server issues itself: those of the resources of uploads that begin under a link.

use std::fmt;
use std::rc::Rc;

use super::{Link, LinkKeys, LinkRight, PREFIX};

/// A link under which a request is made, with the keys that issue further ones.
#[derive(Clone)]
pub struct LinkIssuer {
    link: Link,
    keys: Rc<LinkKeys>,
}

/// Without the keys.
impl fmt::Debug for LinkIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.link.fmt(f)
    }
}

impl LinkIssuer {
    /// A link that was verified by one of these keys.
    pub(in crate::semantics) fn new(link: Link, keys: &Rc<LinkKeys>) -> LinkIssuer {
        LinkIssuer { link, keys: Rc::clone(keys) }
    }

    /// The link.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The address of the resource of an upload that begins under this link. `decoded` is its decoded path, and `encoded`
    /// the same as a part of an address.
    ///
    /// The address has a link of its own, which allows nothing but this upload, and ends with the first one. So the
    /// signature of the first link is in no response, and clients need not know that there is one.
    pub fn address_of_upload(&self, encoded: &str, decoded: &[u8]) -> String {
        let bytes_max = self.link.right.bytes_max();
        let link = Link { right: LinkRight::Continue { bytes_max }, ..self.link };
        format!("{}{}{encoded}", String::from_utf8_lossy(PREFIX), self.keys.sign(link, decoded))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::{LinkError, SECRET_BYTES, key_line, split};
    use super::*;

    #[test]
    fn the_address_of_an_upload_allows_this_upload_alone_and_as_long_as_its_link() {
        let keys = Rc::new(LinkKeys::parse(key_line(&[1; SECRET_BYTES]).as_bytes()).unwrap());
        let link = Link { right: LinkRight::Create { bytes_max: Some(5) }, segments: 1, expires_unix_s: 100, id: 7 };
        let decoded = b"/.spindle/uploads/00/in/a b";
        let address = LinkIssuer::new(link, &keys).address_of_upload("/.spindle/uploads/00/in/a%20b", decoded);
        let (text, path) = split(address.as_bytes()).unwrap();
        assert_eq!(path, b"/.spindle/uploads/00/in/a%20b");
        let expected = Link { right: LinkRight::Continue { bytes_max: Some(5) }, ..link };
        let (verified, _) = keys.verify(text, decoded, 99).unwrap();
        assert_eq!((verified.right, verified.expires_unix_s, verified.id), (expected.right, 100, 7));
        assert_eq!(keys.verify(text, decoded, 100), Err(LinkError::Expired));
        for other in [&b"/.spindle/uploads/01/in/a b"[..], b"/.spindle/uploads/00/in/b", b"/in/a b", b"/in/"] {
            assert_eq!(keys.verify(text, other, 99), Err(LinkError::Invalid));
        }
    }
}
