//! Requests under a signed link: the path that the link is for, and the grant that it gives.

use std::rc::Rc;

use super::{RouteReply, UPLOADS, error_reply, files};
use crate::semantics::Now;
use crate::semantics::access::Access;
use crate::semantics::link::{KeySource, LinkError, LinkKeys};
use crate::semantics::response::Response;
use crate::semantics::rights::Grant;
use crate::semantics::service::Reply;
use crate::semantics::status::Status;
use crate::storage::FileSystem;

pub(super) const INVALID: &str = "This link is not valid: it is incomplete or was changed, or its key was replaced.";
pub(super) const EXPIRED: &str = "This link has expired.";

/// The links that are accepted.
pub struct Links {
    keys: Rc<LinkKeys>,
    source: Box<dyn KeySource>,
}

impl Links {
    /// Accepts links that are signed by the keys of `source`.
    ///
    /// # Errors
    /// One line, if the keys cannot be read.
    pub fn new(mut source: Box<dyn KeySource>) -> Result<Links, String> {
        Ok(Links { keys: Rc::new(source.read()?), source })
    }

    /// Reads the keys anew. If that fails, the old ones stay in use. Returns what was read, for the log.
    pub(super) fn reload(&mut self) -> Option<String> {
        match self.source.read() {
            Ok(keys) => {
                let reloaded = format!("keys of links read again: {}", keys.count());
                self.keys = Rc::new(keys);
                Some(reloaded)
            }
            Err(reason) => {
                log::warn!("{reason}; the old keys stay in use");
                None
            }
        }
    }

    /// The grant of a request under the link `text`, for the path that follows the link in the target. Reads nothing but
    /// these.
    ///
    /// # Errors
    /// If the link is not valid for this path and time.
    pub(super) fn grant(&self, access: &Access, text: &[u8], path: &[u8], now: &Now) -> Result<Grant, LinkError> {
        let path = decoded_path(path).ok_or(LinkError::Invalid)?;
        let (link, signed_path) = self.keys.verify(text, &path, now.unix_s())?;
        Ok(access.grant_of_link(link, signed_path, &self.keys))
    }
}

/// The reply to a request whose link is refused.
pub(super) fn refusal<'r, F: FileSystem>(error: LinkError) -> RouteReply<'r, F> {
    let reason = match error {
        LinkError::Invalid => INVALID,
        LinkError::Expired => EXPIRED,
    };
    secretive(error_reply(Status::Forbidden, reason))
}

/// The reply to a request under a link. The browser tells its address to no other page, and no cache uses it after the
/// link has expired.
pub(super) fn secretive<F: FileSystem>(reply: RouteReply<'_, F>) -> RouteReply<'_, F> {
    match reply {
        Reply::Respond(response) => Reply::Respond(Response { no_referrer: true, no_cache: true, ..response }),
        receive => receive,
    }
}

/// The decoded path of a request, in the one spelling that links sign: `/`, `/a/b` for a file, or `/a/b/` for a folder.
/// `None` if nothing can have this path.
///
/// The path is decoded as it is when a file is opened. So no two paths that lead to different files have the same form.
pub fn decoded_path(path: &[u8]) -> Option<Vec<u8>> {
    if let Some(rest) = path.strip_prefix(UPLOADS) {
        // The identifier of an upload is not encoded, and does not count in the limit on the depth of a path.
        let slash = memchr::memchr(b'/', rest)?;
        let (id, name) = rest.split_at(slash + 1);
        return Some([UPLOADS, id, files::path_of(name).ok()?.as_bytes()].concat());
    }
    let name = path.strip_prefix(b"/")?;
    match name.strip_suffix(b"/") {
        _ if name.is_empty() => Some(b"/".to_vec()),
        Some(folder) => Some([b"/", files::path_of(folder).ok()?.as_bytes(), b"/"].concat()),
        None => Some([b"/", files::path_of(name).ok()?.as_bytes()].concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_one_decoded_form() {
        for (path, expected) in [
            ("/", Some("/")),
            ("/a", Some("/a")),
            ("/a/", Some("/a/")),
            ("/%61/%2e/b", Some("/a/b")),
            ("/./a/./b/", Some("/a/b/")),
            ("/a%20b/%C3%A9", Some("/a b/é")),
            ("/.spindle/uploads/00ff/./a%20b", Some("/.spindle/uploads/00ff/a b")),
            ("/.spindle/uploads/00ff", None),
            ("", None),
            ("a", None),
            ("//", None),
            ("//a", None),
            ("/a//b", None),
            ("/a/..", None),
            ("/a/%2e%2e/b", None),
            ("/a/.", None),
            ("/a/./", None),
            ("/a%2fb", None),
            ("/a%00", None),
        ] {
            assert_eq!(decoded_path(path.as_bytes()), expected.map(|path| path.as_bytes().to_vec()), "{path}");
        }
    }
}
