//! The keys that sign links.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Link, LinkError, LinkRight, SIGNATURE_BYTES, SignedLink};
use crate::semantics::hexadecimal;

/// The length of a key, in bytes.
pub const SECRET_BYTES: usize = 32;

/// The most keys in a file. Each costs two or three blocks of SHA-256 for each request with a link.
const KEYS_MAX: usize = 8;

/// What the signed text begins with. Another meaning of a link will need another version.
const VERSION: &[u8] = b"spindle link 1\n";

/// Keys in the order of their file: the first signs, and each one verifies. So a new key can be put before an old one,
/// whose links then stay valid until its line is removed.
#[derive(Clone)]
pub struct LinkKeys {
    /// Not empty. Each has taken in its key.
    keys: Vec<Hmac<Sha256>>,
}

/// Without the keys.
impl fmt::Debug for LinkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkKeys").finish_non_exhaustive()
    }
}

/// Why the text of a key file has no keys. It does not show what is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFileError {
    /// The line with this number is neither a key, a comment nor empty.
    Line(usize),
    /// There is no key.
    Empty,
    /// There are too many.
    TooMany,
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFileError::Line(line) => write!(f, "line {line} is no key: expected 64 hexadecimal digits"),
            KeyFileError::Empty => f.write_str("it contains no key"),
            KeyFileError::TooMany => write!(f, "it contains more than {KEYS_MAX} keys"),
        }
    }
}

impl std::error::Error for KeyFileError {}

/// Where the keys come from. They are read at the start, and again when the server is told to.
pub trait KeySource {
    /// Reads the keys. May wait for the disk.
    ///
    /// # Errors
    /// One line that says why there are none. It does not contain a key.
    fn read(&mut self) -> Result<LinkKeys, String>;
}

/// A line of a key file with this key, including its line end.
pub fn key_line(secret: &[u8; SECRET_BYTES]) -> String {
    secret.iter().map(|byte| format!("{byte:02x}")).chain(["\n".to_owned()]).collect()
}

impl LinkKeys {
    /// Parses the text of a key file: one key a line, 64 lower-case hexadecimal digits. Lines that are empty or begin
    /// with `#` are left out.
    ///
    /// # Errors
    /// If a line is malformed, or there is no key or too many.
    pub fn parse(text: &[u8]) -> Result<LinkKeys, KeyFileError> {
        let mut keys = Vec::new();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let malformed = KeyFileError::Line(index + 1);
            let secret: [u8; SECRET_BYTES] = hexadecimal::parse(line).ok_or(malformed)?;
            keys.push(Hmac::new_from_slice(&secret).map_err(|_| malformed)?);
        }
        match keys.len() {
            0 => Err(KeyFileError::Empty),
            1..=KEYS_MAX => Ok(LinkKeys { keys }),
            _ => Err(KeyFileError::TooMany),
        }
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// Signs a link for `signed_path`: `/` and the decoded segments, with a slash at the end if it is that of a folder.
    pub fn sign(&self, link: Link, signed_path: &[u8]) -> SignedLink {
        let mut signature = [0; SIGNATURE_BYTES];
        if let Some(key) = self.keys.first() {
            signature.copy_from_slice(&with_text(key, &link, signed_path).finalize().into_bytes());
        }
        SignedLink { link, signature }
    }

    /// Verifies a link in a request for the decoded path `path`. Returns the link, and the signed part of the path.
    ///
    /// The signature is compared in constant time, with that by each key, so that the time tells nothing of either.
    ///
    /// # Errors
    /// If the link is not valid for this path and time. Only whoever has a right signature learns that it has expired.
    pub fn verify<'p>(&self, text: &[u8], path: &'p [u8], now_unix_s: u64) -> Result<(Link, &'p [u8]), LinkError> {
        let SignedLink { link, signature } = SignedLink::parse(text).ok_or(LinkError::Invalid)?;
        let signed_path = link.signed_path(path).ok_or(LinkError::Invalid)?;
        let is_signed = self.keys.iter().fold(false, |is_signed, key| {
            // Not `||`, which would leave out the other keys.
            is_signed | with_text(key, &link, signed_path).verify_slice(&signature).is_ok()
        });
        if !is_signed {
            return Err(LinkError::Invalid);
        }
        if now_unix_s >= link.expires_unix_s {
            return Err(LinkError::Expired);
        }
        Ok((link, signed_path))
    }
}

/// The key with the text that is signed. Only the path may contain a line end, and it comes last, so that no two
/// different links have the same text.
fn with_text(key: &Hmac<Sha256>, link: &Link, signed_path: &[u8]) -> Hmac<Sha256> {
    let (word, bytes_max) = match link.right {
        LinkRight::Read => ("read", None),
        LinkRight::Create { bytes_max } => ("create", bytes_max),
        LinkRight::Continue { bytes_max } => ("continue", bytes_max),
    };
    let bytes_max = bytes_max.map_or_else(|| "any".to_owned(), |bytes_max| bytes_max.to_string());
    let text = format!("{word}\n{}\n{bytes_max}\n{:016x}\n", link.expires_unix_s, link.id);
    [VERSION, text.as_bytes(), signed_path].into_iter().fold(key.clone(), |key, part| key.chain_update(part))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> LinkKeys {
        let lines: Vec<String> = bytes.iter().map(|byte| key_line(&[*byte; SECRET_BYTES])).collect();
        LinkKeys::parse(lines.concat().as_bytes()).unwrap()
    }

    fn link(right: LinkRight, segments: usize) -> Link {
        Link { right, segments, expires_unix_s: 100, id: 7 }
    }

    fn signed(keys: &LinkKeys, right: LinkRight, path: &[u8]) -> String {
        let segments = path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()).count();
        keys.sign(link(right, segments), path).to_string()
    }

    /// Computed by another implementation: `printf 'spindle link 1\nread\n100\nany\n0000000000000007\n/a b/' | openssl
    /// dgst -sha256 -mac HMAC -macopt hexkey:0101…`
    #[test]
    fn the_signature_is_that_of_the_documented_text() {
        let expected = "4442eba1a25ed483d5b42fa936541f8d2f4f3dd437520e74ac2f0798ad57a8d5";
        let text = signed(&keys(&[1]), LinkRight::Read, b"/a b/");
        assert_eq!(text, format!("read.1.100.0000000000000007.{expected}"));
    }

    #[test]
    fn a_link_is_valid_for_its_path_and_beneath_it_until_it_expires() {
        let keys = keys(&[1]);
        let folder = signed(&keys, LinkRight::Read, b"/a/");
        for path in ["/a/", "/a/b", "/a/b/", "/a/b/c"] {
            let verified = keys.verify(folder.as_bytes(), path.as_bytes(), 99);
            assert_eq!(verified, Ok((link(LinkRight::Read, 1), &b"/a/"[..])), "{path}");
        }
        for path in ["/", "/a", "/b/", "/ab/", "/A/", "/b/a/", "//a/", ""] {
            assert_eq!(keys.verify(folder.as_bytes(), path.as_bytes(), 99), Err(LinkError::Invalid), "{path}");
        }
        assert_eq!(keys.verify(folder.as_bytes(), b"/a/", 100), Err(LinkError::Expired));
        let file = signed(&keys, LinkRight::Read, b"/a/b");
        assert!(keys.verify(file.as_bytes(), b"/a/b", 99).is_ok());
        for path in ["/a/b/", "/a/b/c", "/a/c", "/a/"] {
            assert_eq!(keys.verify(file.as_bytes(), path.as_bytes(), 99), Err(LinkError::Invalid), "{path}");
        }
    }

    #[test]
    fn an_expired_link_with_a_wrong_signature_is_invalid() {
        let text = signed(&keys(&[1]), LinkRight::Read, b"/a/");
        assert_eq!(keys(&[2]).verify(text.as_bytes(), b"/a/", 200), Err(LinkError::Invalid));
        assert_eq!(keys(&[1]).verify(text.as_bytes(), b"/b/", 200), Err(LinkError::Invalid));
    }

    #[test]
    fn every_changed_byte_of_a_link_is_noticed() {
        let keys = keys(&[1, 2]);
        for (right, path) in [
            (LinkRight::Read, &b"/a/b/"[..]),
            (LinkRight::Create { bytes_max: None }, b"/a/b/"),
            (LinkRight::Create { bytes_max: Some(1000) }, b"/"),
            (LinkRight::Continue { bytes_max: Some(1000) }, b"/a"),
        ] {
            let text = signed(&keys, right, path).into_bytes();
            assert!(keys.verify(&text, path, 0).is_ok());
            for at in 0..text.len() {
                for byte in 0..=u8::MAX {
                    let mut changed = text.clone();
                    changed[at] = byte;
                    let is_same = changed == text;
                    assert_eq!(keys.verify(&changed, path, 0).is_ok(), is_same, "{}", changed.escape_ascii());
                }
                let (left_out, mut doubled) = ([&text[..at], &text[at + 1..]].concat(), text.clone());
                doubled.insert(at, text[at]);
                assert!(keys.verify(&left_out, path, 0).is_err() && keys.verify(&doubled, path, 0).is_err());
            }
        }
    }

    #[test]
    fn each_key_verifies_and_the_first_signs() {
        let (old, new, both) = (keys(&[1]), keys(&[2]), keys(&[2, 1]));
        let by = |keys: &LinkKeys| signed(keys, LinkRight::Read, b"/");
        for (text, verifier, expected) in [
            (by(&old), &both, true),
            (by(&new), &both, true),
            (by(&both), &new, true),
            (by(&both), &old, false),
            (by(&old), &new, false),
        ] {
            assert_eq!(verifier.verify(text.as_bytes(), b"/", 0).is_ok(), expected);
        }
    }

    #[test]
    fn the_error_about_a_key_file_names_the_line_and_not_the_key() {
        let line = key_line(&[0xab; SECRET_BYTES]);
        let cut = &line[..63];
        for (text, expected) in [
            (String::new(), KeyFileError::Empty),
            ("# nothing\n\n".to_owned(), KeyFileError::Empty),
            (format!("\n{line}{cut}\n"), KeyFileError::Line(3)),
            (line.to_uppercase(), KeyFileError::Line(1)),
            (format!("{} {line}", &line[..64]), KeyFileError::Line(1)),
            (line.repeat(KEYS_MAX + 1), KeyFileError::TooMany),
        ] {
            let error = LinkKeys::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error, expected);
            assert!(!error.to_string().contains("abab"));
        }
        assert!(LinkKeys::parse(format!("# one\r\n\r\n{}\r\n", &line[..64]).as_bytes()).is_ok());
        assert_eq!(format!("{:?}", keys(&[0xab])), "LinkKeys { .. }");
    }
}
