//! The digests of an upload (RFC 9530). Those that the client states are verified before the upload is published, and
//! the one that it wants is computed.

use crate::semantics::digest::{Algorithm, Digests, Hasher, wanted};
use crate::semantics::fields::{FieldName, Fields};
use crate::semantics::request::Request;

/// The reasons of a 400 to an upload with a malformed field.
const CONTENT_DIGEST_INVALID: &str = "The Content-Digest field is malformed.";
const REPR_DIGEST_INVALID: &str = "The Repr-Digest field is malformed.";

/// The reasons of a 400 to an upload whose digest differs.
pub(super) const CONTENT_DIFFERS: &str = "The content does not match the digest in the Content-Digest field.";
pub(super) const REPRESENTATION_DIFFERS: &str = "The content does not match the digest in the Repr-Digest field.";

/// The digests that the head of `request` states: those of its content, and those of the complete representation.
///
/// # Errors
/// One of the fields is malformed: the reason for a 400.
pub(super) fn stated_digests(request: &Request<'_>) -> Result<(Digests, Digests), &'static str> {
    let content = Digests::of(&request.fields, FieldName::ContentDigest).map_err(|_| CONTENT_DIGEST_INVALID)?;
    let representation = Digests::of(&request.fields, FieldName::ReprDigest).map_err(|_| REPR_DIGEST_INVALID)?;
    Ok((content, representation))
}

/// Whether the client announces a digest in the trailer section, as it must if it generates the content while it sends it.
pub(in crate::routes) fn announces_digest(fields: &Fields<'_>) -> bool {
    let is_digest =
        |name: &[u8]| matches!(FieldName::from_bytes(name), FieldName::ContentDigest | FieldName::ReprDigest);
    fields.list(FieldName::Trailer).any(is_digest)
}

/// Computes the digests of an upload while it arrives, and compares them at the end.
pub(super) struct Verification {
    content: Digests,
    representation: Digests,
    wanted: Option<Algorithm>,
    /// Whether the client has announced a digest in the trailer section. It may use any algorithm, so all are computed.
    wants_trailers: bool,
    /// The reason of a 400, if a digest in the trailer section is malformed or contradicts one in the head.
    malformed: Option<&'static str>,
    hasher: Hasher,
}

impl Verification {
    /// The verification that `request` needs; `None` if it neither states a digest by a known algorithm nor wants one.
    /// Then nothing has to be hashed.
    ///
    /// # Errors
    /// A field that states digests is malformed: the reason for a 400. A malformed Want-Repr-Digest is ignored, because
    /// it is only a preference.
    pub(super) fn of(request: &Request<'_>) -> Result<Option<Box<Verification>>, &'static str> {
        let (content, representation) = stated_digests(request)?;
        let wanted = wanted(&request.fields);
        let wants_trailers = request.content_bytes.is_none() && announces_digest(&request.fields);
        if content.is_empty() && representation.is_empty() && wanted.is_none() && !wants_trailers {
            return Ok(None);
        }
        let mut hasher = Hasher::new();
        hasher.add_all_of(&content);
        hasher.add_all_of(&representation);
        if let Some(algorithm) = wanted {
            hasher.add(algorithm);
        }
        if wants_trailers {
            Algorithm::ALL.into_iter().for_each(|algorithm| hasher.add(algorithm));
        }
        let malformed = None;
        Ok(Some(Box::new(Verification { content, representation, wanted, wants_trailers, malformed, hasher })))
    }

    /// Whether the trailer section may have a digest.
    pub(super) fn wants_trailers(&self) -> bool {
        self.wants_trailers
    }

    /// Adds the digests of the trailer section to those of the head.
    pub(super) fn take_trailers(&mut self, trailers: &Fields<'_>) {
        for (name, stated, reason) in [
            (FieldName::ContentDigest, &mut self.content, CONTENT_DIGEST_INVALID),
            (FieldName::ReprDigest, &mut self.representation, REPR_DIGEST_INVALID),
        ] {
            match Digests::of(trailers, name) {
                Ok(digests) if digests.agrees_with(stated) => stated.add(digests),
                Ok(_) | Err(_) => self.malformed = Some(reason),
            }
        }
    }

    /// Adds the next bytes of the content.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// Compares the digests after the content is complete, and returns them.
    ///
    /// # Errors
    /// They differ from those that the client states: the reason for a 400.
    pub(super) fn verify(&self) -> Result<Verified, &'static str> {
        if let Some(reason) = self.malformed {
            return Err(reason);
        }
        let digests = self.hasher.digests();
        if !digests.agrees_with(&self.content) {
            return Err(CONTENT_DIFFERS);
        }
        if !digests.agrees_with(&self.representation) {
            return Err(REPRESENTATION_DIFFERS);
        }
        let repr_digest = self.wanted.and_then(|algorithm| digests.field_value(algorithm));
        Ok(Verified { digests, repr_digest })
    }
}

/// The digests of a verified upload.
pub(super) struct Verified {
    /// Every digest that was computed.
    pub(super) digests: Digests,
    /// The value of the Repr-Digest field that the client wants.
    pub(super) repr_digest: Option<String>,
}
