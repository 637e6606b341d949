//! Signed links: an address that lets whoever has it do one thing until a certain time, without an account.
//!
//! # Laws
//!
//! 1. The link is a part of the path: `/.spindle/link/LINK/photos/` is `/photos/` as this link allows it. So relative
//!    links in a page, `curl -T FILE URL/` and `?sort=size` work as they do without a link, and no redirect and no
//!    listing repeats the link.
//! 2. The signature covers all that is granted: the right, the decoded path of the file or folder, the expiry, the
//!    longest upload. So nothing can be changed, added or left out, and each link has only one spelling.
//! 3. The signed path is the decoded one. Two encodings of a path are the same path to the server, and also to a link.
//! 4. The server keeps no list of links. They end when they expire, or all at once when the key is replaced.
//! 5. A signature is a secret: see [`redaction`].

mod issuer;
mod keys;
pub mod redaction;

use std::fmt;

pub use self::issuer::LinkIssuer;
pub use self::keys::{KeyFileError, KeySource, LinkKeys, SECRET_BYTES, key_line};
use super::hexadecimal;
use super::rights::Scope;

/// The prefix of a path that begins with a link.
pub const PREFIX: &[u8] = b"/.spindle/link/";

/// The length of a signature, in bytes: that of HMAC-SHA-256.
const SIGNATURE_BYTES: usize = 32;

/// What a link allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkRight {
    /// To read a file, or a folder and everything beneath it.
    Read,
    /// To create files in a folder and beneath it, each of at most so many bytes. Nothing can be read or replaced.
    Create {
        /// `None` if only the server sets a limit.
        bytes_max: Option<u64>,
    },
    /// To continue one upload, with the same limit. The server issues such links itself, for the resources of uploads
    /// that begin under a link.
    Continue {
        /// As for the link under which the upload began.
        bytes_max: Option<u64>,
    },
}

impl LinkRight {
    fn word(self) -> &'static str {
        match self {
            LinkRight::Read => "read",
            LinkRight::Create { .. } => "create",
            LinkRight::Continue { .. } => "continue",
        }
    }

    fn bytes_max(self) -> Option<u64> {
        match self {
            LinkRight::Read => None,
            LinkRight::Create { bytes_max } | LinkRight::Continue { bytes_max } => bytes_max,
        }
    }
}

/// What a link says, except the path: that follows in the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it allows.
    pub right: LinkRight,
    /// How many segments the signed path has. The path of a request may continue beneath it.
    pub segments: usize,
    /// From this time on the link is refused, in seconds since 1970.
    pub expires_unix_s: u64,
    /// Tells two links for the same path apart, in the access log for example. Random.
    pub id: u64,
}

/// Why a link is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// It is malformed, or the signature is not that of this link and path by any key.
    Invalid,
    /// The signature is right, and the time is over.
    Expired,
}

/// A link with its signature, as it is in an address.
#[derive(Clone, Copy)]
pub struct SignedLink {
    link: Link,
    signature: [u8; SIGNATURE_BYTES],
}

/// Without the signature.
impl fmt::Debug for SignedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.link.fmt(f)
    }
}

impl Link {
    /// The signed path, if `path` is the decoded path of a request: a part of it, which ends in a slash if it is that
    /// of a folder. `None` if the request's path is too short.
    pub fn signed_path<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        if matches!(self.right, LinkRight::Continue { .. }) {
            return Some(path);
        }
        let mut slashes = memchr::memchr_iter(b'/', path);
        match slashes.nth(self.segments) {
            Some(slash) => path.get(..=slash),
            // The path of a file ends with its last segment.
            None => (segments_of_file(path) == Some(self.segments)).then_some(path),
        }
    }

    /// Where the link counts, if `signed_path` is the path that it was signed for.
    pub fn scope(&self, signed_path: &[u8]) -> Scope {
        let path = signed_path.strip_prefix(b"/").unwrap_or(signed_path);
        match (self.right, path.strip_suffix(b"/")) {
            // The path of the file follows the three segments of its upload.
            (LinkRight::Continue { .. }, _) => {
                Scope::Only(path.splitn(4, |byte| *byte == b'/').nth(3).unwrap_or(b"").into())
            }
            (_, None) if path.is_empty() => Scope::Below(path.into()),
            (_, None) => Scope::Only(path.into()),
            (_, Some(folder)) => Scope::Below(folder.into()),
        }
    }

    /// Writes everything but the signature: `create.1.1796083200.1073741824.0123456789abcdef.`
    fn write_head(&self, out: &mut String) {
        use std::fmt::Write as _;
        // Writing to a string does not fail.
        let _ = write!(out, "{}.", self.right.word());
        if !matches!(self.right, LinkRight::Continue { .. }) {
            let _ = write!(out, "{}.", self.segments);
        }
        let _ = write!(out, "{}.", self.expires_unix_s);
        if let Some(bytes_max) = self.right.bytes_max() {
            let _ = write!(out, "{bytes_max}.");
        }
        let _ = write!(out, "{:016x}.", self.id);
    }
}

impl SignedLink {
    /// Parses one segment of a path, not percent-decoded. Accepts only what [`Display`](fmt::Display) writes: each link
    /// has one spelling.
    pub fn parse(text: &[u8]) -> Option<SignedLink> {
        let mut parts = text.split(|byte| *byte == b'.');
        let word = parts.next()?;
        let segments = if word == b"continue" { 0 } else { usize::try_from(decimal(parts.next()?)?).ok()? };
        let expires_unix_s = decimal(parts.next()?)?;
        let (last, mut rest) = (parts.next()?, [None; 2]);
        rest.iter_mut().for_each(|part| *part = parts.next());
        if parts.next().is_some() {
            return None;
        }
        let (bytes_max, id, signature) = match rest {
            [Some(signature), None] => (None, last, signature),
            [Some(id), Some(signature)] => (Some(decimal(last)?), id, signature),
            _ => return None,
        };
        let right = match (word, bytes_max) {
            (b"read", None) => LinkRight::Read,
            (b"create", bytes_max) => LinkRight::Create { bytes_max },
            (b"continue", bytes_max) => LinkRight::Continue { bytes_max },
            _ => return None,
        };
        let id = u64::from_be_bytes(hexadecimal::parse(id)?);
        Some(SignedLink {
            link: Link { right, segments, expires_unix_s, id },
            signature: hexadecimal::parse(signature)?,
        })
    }

    /// What it says. Not to be believed before [`LinkKeys::verify`].
    pub fn unverified(&self) -> &Link {
        &self.link
    }
}

/// The form in an address. It consists of lower-case letters, digits and dots, which nothing encodes or cuts off.
impl fmt::Display for SignedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.link.write_head(&mut text);
        f.write_str(&text)?;
        self.signature.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Splits the path of a request into a link and the path that it is for. `None` if the path does not begin with a link:
/// the prefix must be spelled without percent-encoding.
pub fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = path.strip_prefix(PREFIX)?;
    let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
    Some(rest.split_at(end))
}

/// How many segments a decoded path has, if it is that of a file.
fn segments_of_file(path: &[u8]) -> Option<usize> {
    (!path.is_empty() && !path.ends_with(b"/")).then(|| memchr::memchr_iter(b'/', path).count())
}

/// Parses decimal digits without leading zeros.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 1 && digits[0] == b'0' {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef";
    const SIGNATURE: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn parse(head: &str) -> Option<SignedLink> {
        SignedLink::parse(format!("{head}.{ID}.{SIGNATURE}").as_bytes())
    }

    #[test]
    fn a_link_is_read_as_it_was_written() {
        for (head, right, segments) in [
            ("read.0.17", LinkRight::Read, 0),
            ("read.2.17", LinkRight::Read, 2),
            ("create.1.17", LinkRight::Create { bytes_max: None }, 1),
            ("create.1.17.0", LinkRight::Create { bytes_max: Some(0) }, 1),
            ("create.1.17.18446744073709551615", LinkRight::Create { bytes_max: Some(u64::MAX) }, 1),
            ("continue.17", LinkRight::Continue { bytes_max: None }, 0),
            ("continue.17.5", LinkRight::Continue { bytes_max: Some(5) }, 0),
        ] {
            let signed = parse(head).unwrap();
            let expected = Link { right, segments, expires_unix_s: 17, id: 0x0123_4567_89ab_cdef };
            assert_eq!(*signed.unverified(), expected, "{head}");
            assert_eq!(signed.to_string(), format!("{head}.{ID}.{SIGNATURE}"));
        }
    }

    #[test]
    fn a_link_has_only_one_spelling() {
        for head in [
            "",
            "read",
            "read.1",
            "read.1.",
            "read.01.17",
            "read.1.017",
            "read.+1.17",
            "read.-1.17",
            "READ.1.17",
            "read.1.17.5",
            "read.1.17.5.5",
            "write.1.17",
            "create.1.17.",
            "create.1.17.05",
            "create.1.17.5.5",
            "read.1.18446744073709551616",
            "read.1.%317",
            "continue",
            "continue.1.17.5",
            "read..1.17",
            ".read.1.17",
        ] {
            assert!(parse(head).is_none(), "{head}");
        }
        for tail in [
            "0123456789ABCDEF.".to_owned() + SIGNATURE,
            format!("{ID}.{}", SIGNATURE.to_uppercase()),
            format!("{ID}.{SIGNATURE}0"),
            format!("{ID}.{SIGNATURE}."),
            format!("{ID}.{}", &SIGNATURE[1..]),
            format!("{}.{SIGNATURE}", &ID[1..]),
            format!("{ID}{SIGNATURE}"),
            format!("{ID}."),
        ] {
            assert!(SignedLink::parse(format!("read.1.17.{tail}").as_bytes()).is_none(), "{tail}");
        }
    }

    #[test]
    fn the_signed_path_is_that_of_the_file_or_of_the_folder_above() {
        for (segments, path, expected) in [
            (0, "/", Some("/")),
            (0, "/a/b", Some("/")),
            (1, "/", None),
            (1, "/a", Some("/a")),
            (1, "/a/", Some("/a/")),
            (1, "/a/b/c", Some("/a/")),
            (2, "/a", None),
            (2, "/a/", None),
            (2, "/a/b", Some("/a/b")),
            (2, "/a/b/", Some("/a/b/")),
            (2, "/a/b/c", Some("/a/b/")),
            (usize::MAX, "/a/b", None),
        ] {
            let link = Link { right: LinkRight::Read, segments, expires_unix_s: 0, id: 0 };
            assert_eq!(link.signed_path(path.as_bytes()), expected.map(str::as_bytes), "{segments} {path}");
        }
    }

    #[test]
    fn a_link_is_split_from_the_path_that_it_is_for() {
        for (path, expected) in [
            ("/.spindle/link/read.x/a/b", Some(("read.x", "/a/b"))),
            ("/.spindle/link/read.x", Some(("read.x", ""))),
            ("/.spindle/link/", Some(("", ""))),
            ("/.spindle/link", None),
            ("/%2espindle/link/read.x/", None),
            ("/a/.spindle/link/read.x/", None),
        ] {
            let expected = expected.map(|(link, path)| (link.as_bytes(), path.as_bytes()));
            assert_eq!(split(path.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn no_signature_is_in_debug_output() {
        let output = format!("{:?}", parse("read.1.17").unwrap());
        assert!(!output.contains("0011") && !output.contains("17, 34"), "{output}");
    }
}
