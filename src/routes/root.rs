//! `/`: a 200 without content, which shows that the server is up.

use super::{RouteReply, Routes, text};
use crate::semantics::Now;
use crate::semantics::request::Request;
use crate::semantics::response::Response;
use crate::semantics::rights::Grant;
use crate::semantics::service::Reply;
use crate::semantics::status::Status;
use crate::storage::FileSystem;

pub(super) fn respond<'r, F: FileSystem>(
    _: &'r mut Routes<F>,
    request: &'r Request<'r>,
    _: &'r [u8],
    _grant: &Grant,
    now: &Now,
) -> RouteReply<'r, F> {
    // A response is large: `unwrap_or_else` would move it.
    match text::failed_precondition(request, now) {
        Some(failed) => Reply::Respond(failed),
        None => Reply::Respond(Response::new(Status::Ok)),
    }
}
