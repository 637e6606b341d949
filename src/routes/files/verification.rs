//! The digests of an upload (RFC 9530): what the client states is verified before the upload is published, and what it
//! wants to know is computed.

use crate::semantics::digest::{Algorithm, Digests, Hasher, wanted};
use crate::semantics::fields::{FieldName, Fields};
use crate::semantics::request::Request;

/// Why an upload was refused that states a digest in a way that cannot be read.
const CONTENT_DIGEST_INVALID: &str = "The Content-Digest field is malformed.";
const REPR_DIGEST_INVALID: &str = "The Repr-Digest field is malformed.";

/// Why an upload was not stored.
pub(super) const CONTENT_DIFFERS: &str =
    "The content is not what the Content-Digest field states: it was changed on the way.";
pub(super) const REPRESENTATION_DIFFERS: &str =
    "The content is not what the Repr-Digest field states: it was changed on the way.";

/// Computes the digests of an upload while it arrives, and compares them at the end.
#[derive(Clone)]
pub(super) struct Verification {
    pub(super) content: Digests,
    pub(super) representation: Digests,
    pub(super) wanted: Option<Algorithm>,
    /// Whether the client has announced that a digest follows the content. It may be by any algorithm, so all are computed.
    wants_trailers: bool,
    /// Why a digest that followed the content cannot be read.
    malformed: Option<&'static str>,
    hasher: Hasher,
}

impl Verification {
    /// What `request` asks for; `None` if it neither states a digest by a known algorithm nor wants one. Then nothing has
    /// to be hashed.
    ///
    /// # Errors
    /// A field that states digests is malformed: the reason for a 400. A malformed Want-Repr-Digest is only ignored, since
    /// it is a preference.
    pub(super) fn of(request: &Request<'_>) -> Result<Option<Box<Verification>>, &'static str> {
        let content = Digests::of(&request.fields, FieldName::ContentDigest).map_err(|_| CONTENT_DIGEST_INVALID)?;
        let representation = Digests::of(&request.fields, FieldName::ReprDigest).map_err(|_| REPR_DIGEST_INVALID)?;
        let wanted = wanted(&request.fields);
        // A client does not know the digest of content that it makes while it sends it.
        let is_digest =
            |name: &[u8]| matches!(FieldName::from_bytes(name), FieldName::ContentDigest | FieldName::ReprDigest);
        let wants_trailers = request.content_bytes.is_none() && request.fields.list(FieldName::Trailer).any(is_digest);
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

    /// Whether a digest may follow the content.
    pub(super) fn wants_trailers(&self) -> bool {
        self.wants_trailers
    }

    /// Takes the digests that follow the content. They count in addition to those of the head.
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

    /// The next bytes of the content.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// The digests of the content, now that it is complete.
    ///
    /// # Errors
    /// They differ from what the client states: the reason for a 400.
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

/// What is known of an upload whose digests are what the client states.
pub(super) struct Verified {
    /// Every digest that was computed.
    pub(super) digests: Digests,
    /// The value of the Repr-Digest field that the client wants.
    pub(super) repr_digest: Option<String>,
}
