//! The secret of an account, and the hash of it that is stored.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::semantics::hexadecimal;

/// The letters of a secret. None looks like another: there is no `l`, `o`, `0` or `1`.
const ALPHABET: [u8; 32] = *b"abcdefghijkmnpqrstuvwxyz23456789";

/// How many letters 128 bits take, at five bits each.
const SECRET_BYTES: usize = 26;

/// What a stored hash begins with.
const ALGORITHM: &str = "sha256:";

/// The secret of an account: 26 letters and digits, which a double click selects.
pub struct Secret([u8; SECRET_BYTES]);

/// Without the secret.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// The secret with these bits, which must be unpredictable.
    pub fn from_random(random: u128) -> Secret {
        let mut rest = random;
        Secret(std::array::from_fn(|_| {
            // The cast is exact: a remainder of 32.
            let letter = ALPHABET[(rest % 32) as usize];
            rest /= 32;
            letter
        }))
    }

    /// The secret itself, to be shown to its owner once.
    pub fn expose(&self) -> &str {
        // Cannot fail: the alphabet is ASCII.
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The hash to be stored.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }
}

/// The SHA-256 of a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash([u8; 32]);

/// Without the hash.
impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash")
    }
}

impl SecretHash {
    /// The hash of what a client gives as its secret.
    pub fn of(secret: &[u8]) -> SecretHash {
        SecretHash(Sha256::digest(secret).into())
    }

    /// The form in an accounts file: `sha256:` and 64 lower-case hexadecimal digits.
    pub fn to_text(self) -> String {
        let digits = self.0.iter().map(|byte| format!("{byte:02x}"));
        [ALGORITHM.to_owned()].into_iter().chain(digits).collect()
    }

    /// Reads that form; `None` if it is another.
    pub(super) fn parse(text: &str) -> Option<SecretHash> {
        hexadecimal::parse(text.strip_prefix(ALGORITHM)?.as_bytes()).map(SecretHash)
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_of_the_128_bits_is_in_the_secret() {
        let bits = (0..128).map(|bit| 1_u128 << bit).chain([0, u128::MAX]);
        let secrets: HashSet<String> = bits.map(|random| Secret::from_random(random).expose().to_owned()).collect();
        assert_eq!(secrets.len(), 130);
        assert!(secrets.iter().all(|secret| secret.len() == SECRET_BYTES));
        assert_eq!(Secret::from_random(0).expose(), "a".repeat(26));
        assert_eq!(ALPHABET.iter().collect::<HashSet<_>>().len(), 32);
    }

    #[test]
    fn a_hash_is_that_of_sha256sum_and_is_read_as_it_is_written() {
        let hash = SecretHash::of(b"abc");
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_text(), text);
        assert_eq!(SecretHash::parse(text), Some(hash));
        for malformed in ["", "sha256:", &text[1..], &text[..70], &text.to_uppercase(), &format!("{text}0")] {
            assert_eq!(SecretHash::parse(malformed), None, "{malformed}");
        }
        assert_eq!(SecretHash::parse(&text.replace('f', "F")), None);
        assert_eq!(SecretHash::parse(&text.replace("ba", "+a")), None);
    }
}
