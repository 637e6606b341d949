//! Digest Fields (RFC 9530): the digests that a client states, and those that the server computes.
//!
//! Repr-Digest covers a whole representation, Content-Digest the content of one message. For an upload in one request
//! without a content coding they cover the same bytes.

use sfv::{BareItem, Dictionary, ListEntry, Parser};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256, Sha512};

use super::fields::{FieldName, Fields};

/// An algorithm that this server computes (RFC 9530 §7.2). It ignores all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `sha-256`.
    Sha256,
    /// `sha-512`.
    Sha512,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

    /// The key of the algorithm in the fields.
    pub const fn key(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha-256",
            Algorithm::Sha512 => "sha-512",
        }
    }

    fn of_key(key: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.key() == key)
    }
}

/// A field of digests is not a dictionary of byte sequences of the right lengths (RFC 9530 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DigestFieldInvalid;

/// Digests of the same bytes, at most one for each algorithm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    sha256: Option<[u8; 32]>,
    sha512: Option<[u8; 64]>,
}

impl Digests {
    /// The digests that the field `name`, Repr-Digest or Content-Digest, states. Without the field, or if it names only
    /// unknown algorithms, the result is empty.
    ///
    /// # Errors
    /// The field is not a dictionary, or a known algorithm's value is not a byte sequence of the algorithm's length.
    pub fn of(fields: &Fields<'_>, name: FieldName) -> Result<Digests, DigestFieldInvalid> {
        Digests::of_dictionary(dictionary(fields, name)?)
    }

    fn of_dictionary(dictionary: Dictionary) -> Result<Digests, DigestFieldInvalid> {
        let mut digests = Digests::default();
        for (key, entry) in dictionary {
            let Some(algorithm) = Algorithm::of_key(key.as_str()) else { continue };
            let BareItem::ByteSequence(digest) = bare_item(&entry)? else { return Err(DigestFieldInvalid) };
            digests.set(algorithm, digest)?;
        }
        Ok(digests)
    }

    fn set(&mut self, algorithm: Algorithm, digest: &[u8]) -> Result<(), DigestFieldInvalid> {
        match algorithm {
            Algorithm::Sha256 => self.sha256 = Some(digest.try_into().map_err(|_| DigestFieldInvalid)?),
            Algorithm::Sha512 => self.sha512 = Some(digest.try_into().map_err(|_| DigestFieldInvalid)?),
        }
        Ok(())
    }

    /// Adds the digests of `other` that these do not have.
    pub fn add(&mut self, other: Digests) {
        self.sha256 = self.sha256.or(other.sha256);
        self.sha512 = self.sha512.or(other.sha512);
    }

    /// The digest by `algorithm`.
    pub fn get(&self, algorithm: Algorithm) -> Option<&[u8]> {
        match algorithm {
            Algorithm::Sha256 => self.sha256.as_ref().map(<[u8; 32]>::as_slice),
            Algorithm::Sha512 => self.sha512.as_ref().map(<[u8; 64]>::as_slice),
        }
    }

    /// Whether there is no digest.
    pub fn is_empty(&self) -> bool {
        self.sha256.is_none() && self.sha512.is_none()
    }

    /// Whether each digest that both have is the same. Digests that only one of them has are not compared.
    pub fn agrees_with(&self, other: &Digests) -> bool {
        let differ = |algorithm| matches!((self.get(algorithm), other.get(algorithm)), (Some(a), Some(b)) if a != b);
        !Algorithm::ALL.into_iter().any(differ)
    }

    /// Every digest, as one line of text that [`from_text`](Digests::from_text) reads: the form of the fields.
    pub fn to_text(&self) -> String {
        let mut dictionary = sfv::DictSerializer::new();
        for algorithm in Algorithm::ALL {
            if let Some(digest) = self.get(algorithm) {
                let _ = dictionary.bare_item(sfv::KeyRef::constant(algorithm.key()), digest);
            }
        }
        dictionary.finish().unwrap_or_default()
    }

    /// The digests that [`to_text`](Digests::to_text) has written. Text of another origin gives what can be read of it.
    pub fn from_text(text: &[u8]) -> Digests {
        Parser::new(text)
            .parse()
            .ok()
            .and_then(|dictionary| Digests::of_dictionary(dictionary).ok())
            .unwrap_or_default()
    }

    /// The value of a Repr-Digest or Content-Digest field with the digest by `algorithm`; `None` if there is no such
    /// digest.
    pub fn field_value(&self, algorithm: Algorithm) -> Option<String> {
        let digest = self.get(algorithm)?;
        let mut dictionary = sfv::DictSerializer::new();
        let _ = dictionary.bare_item(sfv::KeyRef::constant(algorithm.key()), digest);
        dictionary.finish()
    }
}

/// The algorithm that Want-Repr-Digest prefers among those that this server computes (RFC 9530 §4): the one with the
/// highest preference, of equal ones the first in the field. `None` without the field, if it is malformed, or if it
/// accepts none.
pub fn wanted(fields: &Fields<'_>) -> Option<Algorithm> {
    // Nearly every request is without the field.
    if !fields.contains(FieldName::WantReprDigest) {
        return None;
    }
    let mut wanted: Option<(Algorithm, i64)> = None;
    for (key, entry) in dictionary(fields, FieldName::WantReprDigest).ok()? {
        let Some(algorithm) = Algorithm::of_key(key.as_str()) else { continue };
        let Ok(BareItem::Integer(preference)) = bare_item(&entry) else { return None };
        let preference = i64::from(*preference);
        if !(0..=10).contains(&preference) {
            return None;
        }
        // A preference of 0 means "not acceptable".
        if preference > 0 && wanted.is_none_or(|(_, best)| preference > best) {
            wanted = Some((algorithm, preference));
        }
    }
    wanted.map(|(algorithm, _)| algorithm)
}

/// Several lines of one field are one dictionary (RFC 9651 §4.2).
fn dictionary(fields: &Fields<'_>, name: FieldName) -> Result<Dictionary, DigestFieldInvalid> {
    // Nearly every request is without these fields, and should not pay for a parser.
    if !fields.contains(name) {
        return Ok(Dictionary::new());
    }
    let lines: Vec<&[u8]> = fields.values(name).collect();
    Parser::new(&lines.join(&b", "[..])).parse().map_err(|_| DigestFieldInvalid)
}

fn bare_item(entry: &ListEntry) -> Result<&BareItem, DigestFieldInvalid> {
    match entry {
        ListEntry::Item(item) => Ok(&item.bare_item),
        ListEntry::InnerList(_) => Err(DigestFieldInvalid),
    }
}

/// Computes the digests of bytes that arrive piece by piece.
#[derive(Clone, Default)]
pub struct Hasher {
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
}

impl Hasher {
    /// A hasher that has seen no bytes and computes nothing yet.
    pub fn new() -> Hasher {
        Hasher::default()
    }

    /// Computes the digest by `algorithm` too. Call it before the first [`update`](Hasher::update).
    pub fn add(&mut self, algorithm: Algorithm) {
        match algorithm {
            Algorithm::Sha256 => _ = self.sha256.get_or_insert_default(),
            Algorithm::Sha512 => _ = self.sha512.get_or_insert_default(),
        }
    }

    /// Computes each digest that `stated` has.
    pub fn add_all_of(&mut self, stated: &Digests) {
        for algorithm in Algorithm::ALL {
            if stated.get(algorithm).is_some() {
                self.add(algorithm);
            }
        }
    }

    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
    }

    /// The digests of all bytes so far.
    pub fn digests(&self) -> Digests {
        Digests {
            sha256: self.sha256.as_ref().map(|hasher| hasher.clone().finalize().into()),
            sha512: self.sha512.as_ref().map(|hasher| hasher.clone().finalize().into()),
        }
    }

    /// The state of the hasher, from which [`restore`](Hasher::restore) continues, also in another process.
    pub fn save(&self) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        let sha256 = self.sha256.as_ref().map(|hasher| hasher.serialize().to_vec());
        let sha512 = self.sha512.as_ref().map(|hasher| hasher.serialize().to_vec());
        (sha256, sha512)
    }

    /// The hasher that [`save`](Hasher::save) has saved; `None` if the state is damaged.
    pub fn restore(sha256: Option<&[u8]>, sha512: Option<&[u8]>) -> Option<Hasher> {
        Some(Hasher { sha256: restore(sha256)?, sha512: restore(sha512)? })
    }
}

fn restore<H: SerializableState>(state: Option<&[u8]>) -> Option<Option<H>> {
    let Some(state) = state else { return Some(None) };
    let state: &SerializedState<H> = state.try_into().ok()?;
    H::deserialize(state).ok().map(Some)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::semantics::fields::{FieldSpan, FieldSpans};

    // RFC 9530 appendix B: the digests of `{"hello": "world"}` and a line feed.
    const CONTENT: &[u8] = b"{\"hello\": \"world\"}\n";
    const SHA256: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
    const SHA512: &str =
        "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:";

    /// `check` with fields whose lines all have `name`.
    fn with_lines<T>(name: FieldName, lines: &[&str], check: impl FnOnce(&Fields<'_>) -> T) -> T {
        let bytes = lines.concat();
        let mut spans = FieldSpans::default();
        let mut start = 0;
        for line in lines {
            let end = start + u16::try_from(line.len()).unwrap();
            spans.push(FieldSpan { name, name_start: 0, name_end: 0, value_start: start, value_end: end });
            start = end;
        }
        check(&Fields::new(bytes.as_bytes(), &spans))
    }

    fn stated(lines: &[&str]) -> Result<Digests, DigestFieldInvalid> {
        with_lines(FieldName::ReprDigest, lines, |fields| Digests::of(fields, FieldName::ReprDigest))
    }

    fn computed(pieces: &[&[u8]]) -> Digests {
        let mut hasher = Hasher::new();
        Algorithm::ALL.into_iter().for_each(|algorithm| hasher.add(algorithm));
        pieces.iter().for_each(|piece| hasher.update(piece));
        hasher.digests()
    }

    #[test]
    fn the_digests_of_the_rfcs_example_are_computed_and_written() {
        let digests = computed(&[&CONTENT[..5], b"", &CONTENT[5..]]);
        assert_eq!(digests.field_value(Algorithm::Sha256).as_deref(), Some(SHA256));
        assert_eq!(digests.field_value(Algorithm::Sha512).as_deref(), Some(SHA512));
        assert_eq!(stated(&[SHA256, SHA512]), Ok(digests));
    }

    #[test]
    fn a_digest_of_other_bytes_does_not_agree() {
        let sha256 = stated(&[SHA256]).unwrap();
        assert!(sha256.agrees_with(&computed(&[CONTENT])));
        assert!(!sha256.agrees_with(&computed(&[b"other"])));
        assert!(!computed(&[b"other"]).agrees_with(&sha256));
        assert!(sha256.agrees_with(&Digests::default()), "nothing to compare");
    }

    #[test]
    fn unknown_algorithms_are_ignored() {
        assert_eq!(stated(&["md5=:AA==:, unixsum=1, crc32c=(1 2)"]), Ok(Digests::default()));
        assert_eq!(stated(&[]), Ok(Digests::default()));
    }

    #[test]
    fn malformed_fields_are_refused() {
        for line in
            ["sha-256", "sha-256=1", "sha-256=:AAAA:", "sha-256=(:AAAA:)", "sha-256=:?:", "=", SHA512[..40].into()]
        {
            assert_eq!(stated(&[line]), Err(DigestFieldInvalid), "{line}");
        }
    }

    #[test]
    fn the_highest_preference_is_wanted() {
        let wanted = |lines: &[&str]| with_lines(FieldName::WantReprDigest, lines, wanted);
        assert_eq!(wanted(&["sha-256=1"]), Some(Algorithm::Sha256));
        assert_eq!(wanted(&["sha-256=3, sha-512=10, md5=10"]), Some(Algorithm::Sha512));
        assert_eq!(wanted(&["sha-512=5", "sha-256=5"]), Some(Algorithm::Sha512));
        for unacceptable in ["", "sha-256=0", "md5=3", "sha-256=11", "sha-256=-1", "sha-256", "sha-256=?1", ","] {
            assert_eq!(wanted(&[unacceptable]), None, "{unacceptable}");
        }
    }

    #[test]
    fn a_restored_hasher_continues_where_the_saved_one_was() {
        for cut in 0..300 {
            let content = vec![7; 300];
            let mut hasher = Hasher::new();
            hasher.add(Algorithm::Sha256);
            hasher.add(Algorithm::Sha512);
            hasher.update(&content[..cut]);
            let (sha256, sha512) = hasher.save();
            let mut restored = Hasher::restore(sha256.as_deref(), sha512.as_deref()).unwrap();
            restored.update(&content[cut..]);
            assert_eq!(restored.digests(), computed(&[&content]), "{cut}");
        }
    }

    #[test]
    fn a_damaged_state_is_not_restored() {
        let mut hasher = Hasher::new();
        hasher.add(Algorithm::Sha256);
        let (sha256, _) = hasher.save();
        let state = sha256.unwrap();
        assert!(Hasher::restore(Some(&state[1..]), None).is_none());
        let mut damaged = state.clone();
        // The last part is the block buffer, which says how full it is.
        damaged.iter_mut().skip(40).for_each(|byte| *byte = 0xff);
        assert!(Hasher::restore(Some(&damaged), None).is_none());
    }
}
