//! `/echo/{string}`: the string, percent-decoded.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::{Offer, RouteReply, Routes, text};
use crate::semantics::Now;
use crate::semantics::request::Request;
use crate::semantics::rights::Grant;
use crate::storage::FileSystem;

/// The string is one segment of the path, so a slash in it must be encoded.
pub(super) fn offer(string: &[u8]) -> Option<Offer> {
    (!string.contains(&b'/')).then_some(Offer::READ_ONLY)
}

pub(super) fn respond<'r, F: FileSystem>(
    routes: &'r mut Routes<F>,
    request: &'r Request<'r>,
    string: &'r [u8],
    _grant: &Grant,
    now: &Now,
) -> RouteReply<'r, F> {
    text::respond(&mut routes.compressor, request, Cow::from(percent_decode(string)), now)
}
