//! The credentials of HTTP Basic (RFC 7617) in the Authorization field.

use std::fmt;

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};

use super::file::NAME_BYTES_MAX;
use crate::semantics::fields::{FieldName, Fields};

/// The longest secret that is compared, in bytes. Those of accounts are shorter.
const SECRET_BYTES_MAX: usize = 64;

/// The longest credentials, in bytes. Longer ones belong to no account.
const CREDENTIALS_BYTES_MAX: usize = NAME_BYTES_MAX + 1 + SECRET_BYTES_MAX;

/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a client gives to prove who it is. Held in place, so that a request allocates nothing for it.
#[derive(Clone, Copy)]
pub struct Credentials {
    bytes: [u8; CREDENTIALS_BYTES_MAX],
    /// The position of the first colon, which ends the name.
    colon: usize,
    end: usize,
}

/// With the name alone.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("name", &String::from_utf8_lossy(self.name())).finish_non_exhaustive()
    }
}

/// There are credentials, and they cannot be those of any account: another scheme, a malformed value, or more than one
/// field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialsError;

impl Credentials {
    /// The credentials with this name and secret; `None` if they are too long, or the name contains a colon.
    pub fn new(name: &[u8], secret: &[u8]) -> Option<Credentials> {
        let mut credentials = Credentials { bytes: [0; CREDENTIALS_BYTES_MAX], colon: name.len(), end: 0 };
        credentials.end = name.len() + 1 + secret.len();
        credentials.bytes.get_mut(..name.len())?.copy_from_slice(name);
        *credentials.bytes.get_mut(name.len())? = b':';
        credentials.bytes.get_mut(name.len() + 1..credentials.end)?.copy_from_slice(secret);
        (!name.contains(&b':')).then_some(credentials)
    }

    /// The credentials of a request; `None` if it has none.
    ///
    /// # Errors
    /// If it has some that no account can have.
    pub fn of(fields: &Fields<'_>) -> Result<Option<Credentials>, CredentialsError> {
        if !fields.contains(FieldName::Authorization) {
            return Ok(None);
        }
        // Of two fields, a proxy and the server might believe different ones.
        let value = fields.single(FieldName::Authorization).ok_or(CredentialsError)?;
        Credentials::parse(value).map(Some)
    }

    /// Parses the value of the field: the scheme in any case, spaces, and base64 of name, colon and secret.
    ///
    /// # Errors
    /// As [`of`](Credentials::of).
    pub fn parse(value: &[u8]) -> Result<Credentials, CredentialsError> {
        let space = memchr::memchr(b' ', value).ok_or(CredentialsError)?;
        let (scheme, rest) = value.split_at(space);
        if !scheme.eq_ignore_ascii_case(b"Basic") {
            return Err(CredentialsError);
        }
        let token = rest.trim_ascii_start();
        // The decoder would also take half of the padding, which a proxy may refuse or read in another way.
        if token.ends_with(b"=") && !token.len().is_multiple_of(4) {
            return Err(CredentialsError);
        }
        let mut bytes = [0; CREDENTIALS_BYTES_MAX];
        let end = BASE64.decode_slice(token, &mut bytes).map_err(|_| CredentialsError)?;
        let colon = memchr::memchr(b':', &bytes[..end]).ok_or(CredentialsError)?;
        Ok(Credentials { bytes, colon, end })
    }

    /// The name.
    pub fn name(&self) -> &[u8] {
        &self.bytes[..self.colon]
    }

    /// The secret.
    pub(super) fn secret(&self) -> &[u8] {
        &self.bytes[self.colon + 1..self.end]
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    fn parsed(value: &str) -> Option<(String, String)> {
        let credentials = Credentials::parse(value.as_bytes()).ok()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some((text(credentials.name()), text(credentials.secret())))
    }

    fn pair(name: &str, secret: &str) -> Option<(String, String)> {
        Some((name.to_owned(), secret.to_owned()))
    }

    #[test]
    fn name_and_secret_are_those_of_the_examples_of_rfc_7617() {
        assert_eq!(parsed("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), pair("Aladdin", "open sesame"));
        assert_eq!(parsed("Basic dGVzdDoxMjPCow=="), pair("test", "123\u{a3}"));
    }

    #[test]
    fn the_scheme_has_any_case_and_the_secret_may_contain_colons() {
        for scheme in ["basic", "BASIC", "bAsIc"] {
            assert_eq!(parsed(&format!("{scheme} YTpi")), pair("a", "b"));
        }
        assert_eq!(parsed("Basic   YTpi"), pair("a", "b"));
        assert_eq!(parsed("Basic YTo6YjpjOg=="), pair("a", ":b:c:"));
        assert_eq!(parsed("Basic YTo6YjpjOg"), pair("a", ":b:c:"), "without padding");
        assert_eq!(parsed("Basic Og=="), pair("", ""));
    }

    #[test]
    fn malformed_values_are_no_credentials() {
        for value in [
            "",
            " ",
            "Basic",
            "Basic ",
            "YTpi",
            "Bearer YTpi",
            "BasicYTpi",
            "Basic\tYTpi",
            "Basic YTpi YTpi",
            "Basic YTpi,Basic YTpi",
            "Basic YT*i",
            "Basic YTp",
            "Basic YTpi=",
            "Basic YWI=",
            "Basic YTo6YjpjOh==",
            "Basic YTo6YjpjOg=",
            "Basic Og=",
            "Basic YTpi====",
        ] {
            assert_eq!(parsed(value), None, "{value}");
        }
    }

    #[test]
    fn credentials_have_a_greatest_length() {
        let value = |bytes: usize| format!("Basic {}", BASE64_STANDARD.encode(format!("a:{}", "b".repeat(bytes - 2))));
        assert!(parsed(&value(CREDENTIALS_BYTES_MAX)).is_some());
        assert_eq!(parsed(&value(CREDENTIALS_BYTES_MAX + 1)), None);
        assert_eq!(parsed(&value(60_000)), None);
        assert!(Credentials::new(&[b'a'; NAME_BYTES_MAX], &[b'b'; SECRET_BYTES_MAX]).is_some());
        assert!(Credentials::new(b"a", &[b'b'; CREDENTIALS_BYTES_MAX]).is_none());
        assert!(Credentials::new(b"a:b", b"c").is_none());
    }
}
