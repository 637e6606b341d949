//! `/.spindle/put`: the script that uploads a file and continues after any interruption, for those who have only a shell
//! and curl.

use std::borrow::Cow;

use super::{Offer, RouteReply};
use crate::semantics::response::{Body, Response};
use crate::semantics::rights::{Deed, Grant};
use crate::semantics::service::Reply;
use crate::semantics::status::Status;
use crate::storage::FileSystem;

/// The path of the script.
pub(super) const PATH: &[u8] = b"/.spindle/put";

const SCRIPT: &[u8] = include_bytes!("../../scripts/put.sh");

/// The script is offered where uploads are, to everybody: it contains no secret.
pub(super) fn offer(grant: &Grant) -> Option<Offer> {
    grant.offered().allow(Deed::Upload).then_some(Offer::READ_ONLY)
}

pub(super) fn respond<'r, F: FileSystem>() -> RouteReply<'r, F> {
    Reply::Respond(Response {
        content_type: Some(Cow::Borrowed("text/x-shellscript; charset=utf-8")),
        nosniff: true,
        body: Body::Bytes(Cow::Borrowed(SCRIPT)),
        ..Response::new(Status::Ok)
    })
}
