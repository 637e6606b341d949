//! `/?sign-in=PATH`: asks a browser for an account, and then leads back to the folder at PATH.
//!
//! A browser asks its user for name and secret only after a 401, and a page that everybody may read never gets one. The
//! resource is at the root, because browsers send credentials by themselves only to the paths beside and below the one
//! that asked (RFC 7617 §2.2).

use std::borrow::Cow;

use super::{FolderRoutes, encode, query};
use crate::routes::{RouteReply, denied_reply};
use crate::semantics::method::Method;
use crate::semantics::request::Request;
use crate::semantics::response::{RareFields, Response};
use crate::semantics::rights::{Denied, Grant};
use crate::semantics::service::Reply;
use crate::semantics::status::Status;
use crate::storage::{FileSystem, RelativePath};

/// The reply to a request for the resource; `None` if the request is for something else.
pub(in crate::routes) fn respond<'r, F: FileSystem>(
    folder: &FolderRoutes<F>,
    request: &Request<'_>,
    path: &[u8],
    grant: &Grant,
) -> Option<RouteReply<'r, F>> {
    let is_root = path == b"/" && matches!(request.method, Method::Get | Method::Head);
    let back = query::sign_in(request.target.query()).filter(|_| is_root)?;
    if grant.account().is_none() {
        return Some(denied_reply(Denied::SignIn));
    }
    let location = Some(location_of(folder, &back));
    Some(Reply::Respond(Response {
        rare: Some(Box::new(RareFields { location, ..RareFields::default() })),
        ..Response::new(Status::SeeOther)
    }))
}

/// The address of the folder with this decoded path, and that of the root if no folder can have it. It is relative and
/// made of whole encoded segments, so it never leads to another host.
fn location_of<F: FileSystem>(folder: &FolderRoutes<F>, back: &[u8]) -> String {
    let segments = back.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty());
    let mut encoded = Vec::new();
    if let Ok(path) = RelativePath::from_segments(segments) {
        for segment in path.as_bytes().split(|byte| *byte == b'/') {
            encode::write_segment(&mut encoded, segment);
            encoded.push(b'/');
        }
    }
    let is_shown = encoded.strip_suffix(b"/").is_some_and(|name| folder.shows(name));
    format!("./{}", if is_shown { String::from_utf8_lossy(&encoded) } else { Cow::Borrowed("") })
}
