//! `/user-agent`: the value of the request's User-Agent field, empty if there is none.

use std::borrow::Cow;

use super::{RouteReply, Routes, text};
use crate::semantics::Now;
use crate::semantics::fields::FieldName;
use crate::semantics::request::Request;
use crate::semantics::rights::Grant;
use crate::storage::FileSystem;

pub(super) fn respond<'r, F: FileSystem>(
    routes: &'r mut Routes<F>,
    request: &'r Request<'r>,
    _: &'r [u8],
    _grant: &Grant,
    now: &Now,
) -> RouteReply<'r, F> {
    let user_agent = request.fields.first(FieldName::UserAgent).unwrap_or_default();
    text::respond(&mut routes.compressor, request, Cow::Borrowed(user_agent), now)
}
