//! What a request may do: the rights of whoever sends it, and the proofs that its route needs to use storage.
//!
//! # Laws
//!
//! 1. Whoever authenticates requests makes one [`Grant`] for each, before it is routed. Nothing else makes one.
//! 2. The routes reach the disk with a proof alone: [`MayRead`], [`MayUpload`] or [`MayManage`]. Only a grant makes
//!    proofs, and each contains the path for which it was made. So a route that forgets to ask does not compile, and
//!    one that asks for a path cannot use the proof for another.
//! 3. What is offered and what is allowed are the same decision: a page, a list of methods and a limit are made from the
//!    rights of the grant.

use std::borrow::Cow;
use std::rc::Rc;

use super::link::LinkIssuer;

/// Which uploads are allowed, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UploadPolicy {
    /// None.
    Off,
    /// Only names that no file has yet.
    Create,
    /// Any name. An existing file is replaced.
    Replace,
    /// As [`Replace`](UploadPolicy::Replace). Files and directories may also be removed and moved, and directories
    /// created.
    Manage,
}

impl UploadPolicy {
    /// Whether an upload may replace an existing file.
    pub fn may_replace(self) -> bool {
        self >= UploadPolicy::Replace
    }
}

/// Something that a request does, as far as rights distinguish it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Reads files, listings or archives.
    Read,
    /// Stores a file.
    Upload,
    /// Removes or moves something, or creates a directory.
    Manage,
}

/// What may be done. Reading and writing are independent of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Whether files may be read, and directories listed.
    pub reads: bool,
    /// Which uploads are allowed.
    pub uploads: UploadPolicy,
}

impl Rights {
    /// Nothing.
    pub const NONE: Rights = Rights { reads: false, uploads: UploadPolicy::Off };
    /// Everything.
    pub const ALL: Rights = Rights { reads: true, uploads: UploadPolicy::Manage };

    /// What both allow.
    pub fn and(self, other: Rights) -> Rights {
        Rights { reads: self.reads && other.reads, uploads: self.uploads.min(other.uploads) }
    }

    /// What at least one of them allows.
    pub fn or(self, other: Rights) -> Rights {
        Rights { reads: self.reads || other.reads, uploads: self.uploads.max(other.uploads) }
    }

    /// Whether this may be done.
    pub fn allow(self, deed: Deed) -> bool {
        match deed {
            Deed::Read => self.reads,
            Deed::Upload => self.uploads >= UploadPolicy::Create,
            Deed::Manage => self.uploads == UploadPolicy::Manage,
        }
    }
}

/// Something that has a place in the folder.
pub trait Located {
    /// Its decoded path: segments with slashes between them, or nothing for the folder itself.
    fn location(&self) -> &[u8];
}

impl Located for &[u8] {
    fn location(&self) -> &[u8] {
        self
    }
}

/// Where in the folder a grant counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere.
    #[default]
    Everything,
    /// In this directory and below it. The path is decoded, without a slash at either end.
    Below(Rc<[u8]>),
    /// For this file alone.
    Only(Rc<[u8]>),
}

impl Scope {
    fn contains(&self, location: &[u8]) -> bool {
        match self {
            Scope::Everything => true,
            Scope::Only(path) => **path == *location,
            Scope::Below(path) => {
                let rest = location.strip_prefix(&**path);
                rest.is_some_and(|rest| path.is_empty() || rest.is_empty() || rest.starts_with(b"/"))
            }
        }
    }
}

/// Who sends a request, as far as the server knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// Somebody who has not authenticated.
    #[default]
    Anybody,
    /// The owner of this account.
    Account(Rc<str>),
    /// Whoever has the link with this identifier.
    Link(u64),
}

impl Identity {
    /// The text by which an upload names its owner. It contains neither white space nor line ends, and is empty for
    /// [`Identity::Anybody`].
    pub fn owner(&self) -> Cow<'static, str> {
        match self {
            Identity::Anybody => Cow::Borrowed(""),
            Identity::Account(name) => Cow::Owned(format!("account:{name}")),
            Identity::Link(id) => Cow::Owned(format!("link:{id:016x}")),
        }
    }

    /// Whether an unfinished upload with this owner may be seen, continued and cancelled. One without an owner belongs to
    /// whoever knows its address.
    pub fn may_continue(&self, owner: &str) -> bool {
        owner.is_empty() || self.owner() == owner
    }
}

/// Why a request may not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// An account could do it: a 401.
    SignIn,
    /// No account could do it, or the request has one that may not: a 403.
    Forbidden,
}

/// The decision about one request: what it may do, and who sends it.
#[derive(Clone, Debug)]
pub struct Grant {
    pub(super) rights: Rights,
    /// What the server offers to anybody at most.
    pub(super) offered: Rights,
    /// What whoever signs in could get; nothing if the request is authenticated.
    pub(super) others: Rights,
    pub(super) identity: Identity,
    pub(super) scope: Scope,
    pub(super) upload_bytes_max: Option<u64>,
    /// The link under which the request is made, if any.
    pub(super) link: Option<LinkIssuer>,
}

impl Grant {
    /// What may be done.
    pub fn rights(&self) -> Rights {
        self.rights
    }

    /// What the server offers to anybody at most. What it does not offer is a method that is not allowed, rather than a
    /// right that is missing.
    pub fn offered(&self) -> Rights {
        self.offered
    }

    /// Who sends the request.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The account that the client has proved to own.
    pub fn account(&self) -> Option<&Rc<str>> {
        match &self.identity {
            Identity::Account(name) => Some(name),
            Identity::Anybody | Identity::Link(_) => None,
        }
    }

    /// Whether whoever signs in could do more.
    pub fn could_do_more(&self) -> bool {
        self.others.or(self.rights) != self.rights
    }

    /// The longest upload, in bytes; `None` if only the disk sets a limit.
    pub fn upload_bytes_max(&self) -> Option<u64> {
        self.upload_bytes_max
    }

    /// The highest directory that the grant counts in: its decoded path, without a slash at either end. `None` if it counts
    /// for one file alone.
    pub fn base(&self) -> Option<&[u8]> {
        match &self.scope {
            Scope::Everything => Some(b""),
            Scope::Below(path) => Some(path),
            Scope::Only(_) => None,
        }
    }

    /// The link under which the request is made.
    pub fn link(&self) -> Option<&LinkIssuer> {
        self.link.as_ref()
    }

    /// When that link expires, in seconds since 1970.
    pub fn expires_unix_s(&self) -> Option<u64> {
        self.link().map(|issuer| issuer.link().expires_unix_s)
    }

    /// Allows to read what is at `path`, or to list it. A directory is read with everything below it.
    ///
    /// # Errors
    /// If that is not allowed.
    pub fn read<P: Located>(&self, path: P) -> Result<MayRead<P>, Denied> {
        self.check(Deed::Read, path.location())?;
        Ok(MayRead(path))
    }

    /// Allows to store a file at `path`.
    ///
    /// # Errors
    /// If that is not allowed.
    pub fn upload<P: Located>(&self, path: P) -> Result<MayUpload<P>, Denied> {
        self.check(Deed::Upload, path.location())?;
        Ok(MayUpload { path, may_replace: self.rights.uploads.may_replace(), identity: self.identity.clone() })
    }

    /// Allows to remove, move or create `path`.
    ///
    /// # Errors
    /// If that is not allowed.
    pub fn manage<P: Located>(&self, path: P) -> Result<MayManage<P>, Denied> {
        self.check(Deed::Manage, path.location())?;
        Ok(MayManage(path))
    }

    /// Whether the grant allows this somewhere. Does not look at the scope, so it never replaces the proof for a path.
    ///
    /// # Errors
    /// If that is allowed nowhere.
    pub fn allows(&self, deed: Deed) -> Result<(), Denied> {
        if self.rights.allow(deed) { Ok(()) } else { Err(self.denied(deed)) }
    }

    fn check(&self, deed: Deed, location: &[u8]) -> Result<(), Denied> {
        self.allows(deed)?;
        if self.scope.contains(location) { Ok(()) } else { Err(Denied::Forbidden) }
    }

    fn denied(&self, deed: Deed) -> Denied {
        if self.others.allow(deed) { Denied::SignIn } else { Denied::Forbidden }
    }
}

/// The proof that a grant allows to read a path.
#[derive(Clone, Debug)]
pub struct MayRead<P>(P);

impl<P> MayRead<P> {
    /// The path.
    pub fn path(&self) -> &P {
        &self.0
    }
}

/// The proof that a grant allows to store a file at a path.
#[derive(Clone, Debug)]
pub struct MayUpload<P> {
    path: P,
    may_replace: bool,
    identity: Identity,
}

impl<P> MayUpload<P> {
    /// The path.
    pub fn path(&self) -> &P {
        &self.path
    }

    /// Whether an existing file may be replaced.
    pub fn may_replace(&self) -> bool {
        self.may_replace
    }

    /// Who stores the file.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

/// The proof that a grant allows to remove, move or create a path.
#[derive(Clone, Debug)]
pub struct MayManage<P>(P);

impl<P> MayManage<P> {
    /// The path.
    pub fn path(&self) -> &P {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICIES: [UploadPolicy; 4] =
        [UploadPolicy::Off, UploadPolicy::Create, UploadPolicy::Replace, UploadPolicy::Manage];
    const DEEDS: [Deed; 3] = [Deed::Read, Deed::Upload, Deed::Manage];

    fn grant(rights: Rights, others: Rights, scope: Scope) -> Grant {
        Grant {
            rights,
            offered: Rights::ALL,
            others,
            identity: Identity::Anybody,
            scope,
            upload_bytes_max: None,
            link: None,
        }
    }

    fn all_rights() -> impl Iterator<Item = Rights> {
        POLICIES.into_iter().flat_map(|uploads| [false, true].map(|reads| Rights { reads, uploads }))
    }

    #[test]
    fn each_upload_policy_includes_the_lesser_ones_and_reading_stands_alone() {
        for (index, uploads) in POLICIES.into_iter().enumerate() {
            for reads in [false, true] {
                let rights = Rights { reads, uploads };
                assert_eq!(DEEDS.map(|deed| rights.allow(deed)), [reads, index >= 1, index == 3], "{rights:?}");
                assert_eq!(uploads.may_replace(), index >= 2);
            }
        }
    }

    #[test]
    fn a_bound_never_adds_a_right() {
        for one in all_rights() {
            for other in all_rights() {
                let (both, either) = (one.and(other), one.or(other));
                for deed in DEEDS {
                    assert_eq!(both.allow(deed), one.allow(deed) && other.allow(deed), "{one:?} {other:?} {deed:?}");
                    assert_eq!(either.allow(deed), one.allow(deed) || other.allow(deed), "{one:?} {other:?} {deed:?}");
                }
            }
        }
    }

    #[test]
    fn a_proof_is_made_exactly_where_the_rights_allow_the_deed() {
        for rights in all_rights() {
            for others in all_rights() {
                let grant = grant(rights, others, Scope::Everything);
                let denied = |deed| if others.allow(deed) { Denied::SignIn } else { Denied::Forbidden };
                let path = &b"a"[..];
                for (made, deed) in [
                    (grant.read(path).map(drop), Deed::Read),
                    (grant.upload(path).map(drop), Deed::Upload),
                    (grant.manage(path).map(drop), Deed::Manage),
                ] {
                    let expected = if rights.allow(deed) { Ok(()) } else { Err(denied(deed)) };
                    assert_eq!(made, expected, "{rights:?} {others:?} {deed:?}");
                }
                let may_replace = grant.upload(path).map(|path| path.may_replace());
                assert!(may_replace.is_err() || may_replace == Ok(rights.uploads.may_replace()));
            }
        }
    }

    #[test]
    fn a_scope_ends_at_whole_names() {
        let everywhere = [&b""[..], b"a", b"a/b", b"a/b/c", b"a/bc", b"ab", b"b", b"a/b/"];
        let inside = |scope: Scope| {
            let grant = grant(Rights::ALL, Rights::ALL, scope);
            everywhere.map(|path| {
                let read = grant.read(path).map(drop);
                assert_eq!(grant.upload(path).map(drop), read);
                assert_eq!(grant.manage(path).map(drop), read);
                assert_ne!(read, Err(Denied::SignIn), "signing in does not widen a scope");
                read.is_ok()
            })
        };
        assert_eq!(inside(Scope::Everything), [true; 8]);
        assert_eq!(inside(Scope::Below(b""[..].into())), [true; 8]);
        let below = [false, false, true, true, false, false, false, true];
        assert_eq!(inside(Scope::Below(b"a/b"[..].into())), below);
        let only = [false, false, true, false, false, false, false, false];
        assert_eq!(inside(Scope::Only(b"a/b"[..].into())), only);
    }
}
