//! `/echo/{str}`: the string, percent-decoded.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::{READ_ONLY, RouteReply, Routes, text};
use crate::semantics::Now;
use crate::semantics::method::Method;
use crate::semantics::request::Request;
use crate::storage::FileSystem;

/// The string is one segment: a slash that it is to hold must be encoded.
pub(super) fn methods(string: &[u8]) -> Option<&'static [Method]> {
    (!string.contains(&b'/')).then_some(READ_ONLY)
}

pub(super) fn respond<'r, F: FileSystem>(
    routes: &'r mut Routes<F>,
    request: &'r Request<'r>,
    string: &'r [u8],
    now: &Now,
) -> RouteReply<'r, F> {
    text::respond(&mut routes.compressor, request, Cow::from(percent_decode(string)), now)
}
