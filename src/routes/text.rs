//! Responses with a short text, compressed for clients that accept gzip.

use std::borrow::Cow;

use flate2::{Compress, Compression, FlushCompress, Status as Flate};

use super::{FileContent, PRECONDITION_FAILED, RouteReply, error_reply};
use crate::semantics::Now;
use crate::semantics::conditional::{Preconditions, Validators, Verdict};
use crate::semantics::content_coding::{self, ContentCoding};
use crate::semantics::request::Request;
use crate::semantics::response::{Body, ContentEncoding, Response};
use crate::semantics::service::Reply;
use crate::semantics::status::Status;
use crate::storage::FileSystem;

/// The reply to a GET or HEAD of `text`.
pub(super) fn respond<'r, F: FileSystem>(
    compressor: &'r mut Compressor,
    request: &'r Request<'r>,
    text: Cow<'r, [u8]>,
    now: &Now,
) -> RouteReply<'r, F> {
    let Some(coding) = content_coding::negotiate(&request.fields) else {
        return Reply::Respond(Response {
            varies_by_coding: true,
            ..Response::with_reason(
                Status::NotAcceptable,
                "The content can be sent as it is or as gzip, and neither is acceptable.",
            )
        });
    };
    if let Some(failed) = failed_precondition(request, now) {
        // RFC 9110 §15.4.5: a 304 carries the Vary that the 200 would have had.
        return Reply::Respond(Response { varies_by_coding: true, ..failed });
    }
    let (content_encoding, body) = match coding {
        ContentCoding::Identity => (None, Body::Bytes(text)),
        ContentCoding::Gzip => match compressor.gzip(&text) {
            Some(compressed) => (Some(ContentEncoding::Gzip), Body::Bytes(Cow::Borrowed(compressed))),
            None => return error_reply(Status::InternalServerError, "The content could not be compressed."),
        },
    };
    Reply::Respond(Response {
        content_encoding,
        content_type: Some(Cow::Borrowed("text/plain")),
        varies_by_coding: true,
        body,
        ..Response::new(Status::Ok)
    })
}

/// The response to a read whose preconditions fail; `None` if they hold. The resource exists, but has neither an
/// entity tag nor a date.
#[inline]
pub(super) fn failed_precondition<F: FileSystem>(
    request: &Request<'_>,
    now: &Now,
) -> Option<Response<'static, FileContent<F>>> {
    match Preconditions::of(request, now)?.evaluate(Some(Validators::default())) {
        Verdict::Proceed => None,
        Verdict::NotModified => Some(Response::new(Status::NotModified)),
        Verdict::Failed => Some(Response::with_reason(Status::PreconditionFailed, PRECONDITION_FAILED)),
    }
}

/// zlib's default level.
const LEVEL: Compression = Compression::new(6);

/// The level for texts of at most [`SHORT_BYTES_MAX`]. It always uses the fixed codes of deflate. The other levels also make
/// codes for the text, which takes longer than all else, and hardly ever pays for so few bytes: it saves 15 of 128 at most.
const SHORT_LEVEL: Compression = Compression::fast();
const SHORT_BYTES_MAX: usize = 128;

/// The largest window, 2^15 bytes. Every gzip decoder supports it.
const WINDOW_BITS: u8 = 15;

/// Where the gzip header names the operating system, and the value for Unix (RFC 1952 §2.3.1). It is always set to
/// Unix, so that the same text has the same bytes wherever the server runs.
const OS_OFFSET: usize = 9;
const OS_UNIX: u8 = 3;

/// More than the gzip header, the trailer, and what deflate adds to content that cannot be compressed.
const GZIP_OVERHEAD_BYTES: usize = 64;

/// A compressor that is reused for every response, since its state takes some hundred KiB.
pub(super) struct Compressor {
    /// Whether it has been used since [`begin_request`](Compressor::begin_request).
    is_used: bool,
    /// Allocated at the first use.
    state: Option<Compress>,
    compressed: Vec<u8>,
}

impl Compressor {
    pub(super) fn new() -> Compressor {
        Compressor { is_used: false, state: None, compressed: Vec::new() }
    }

    /// Resets [`is_used`](Compressor::is_used).
    pub(super) fn begin_request(&mut self) {
        self.is_used = false;
    }

    /// Whether the current request has used the compressor.
    pub(super) fn is_used(&self) -> bool {
        self.is_used
    }

    /// `text` in the gzip format (RFC 1952), without a file name and with a modification time of 0; `None` if the
    /// compressor fails.
    fn gzip(&mut self, text: &[u8]) -> Option<&[u8]> {
        self.is_used = true;
        let state = self.state.get_or_insert_with(|| Compress::new_gzip(LEVEL, WINDOW_BITS));
        // Before each use and not after it: a panic may have left either in the middle of another text.
        state.reset();
        state.set_level(if text.len() <= SHORT_BYTES_MAX { SHORT_LEVEL } else { LEVEL }).ok()?;
        self.compressed.clear();
        self.compressed.reserve(text.len() + text.len() / 8 + GZIP_OVERHEAD_BYTES);
        let status = state.compress_vec(text, &mut self.compressed, FlushCompress::Finish);
        if !matches!(status, Ok(Flate::StreamEnd)) {
            return None;
        }
        *self.compressed.get_mut(OS_OFFSET)? = OS_UNIX;
        Some(&self.compressed)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_short_text_has_exactly_these_bytes() {
        assert_eq!(
            Compressor::new().gzip(b"abc").unwrap(),
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\x03\x4b\x4c\x4a\x06\x00\xc2\x41\x24\x35\x03\x00\x00\x00"
        );
    }

    #[test]
    fn a_reused_compressor_gives_the_same_bytes_as_a_new_one() {
        let mut used = Compressor::new();
        let mut noise = 1_u32;
        for bytes in [0, 1, 100, 4096, 65_536, 3] {
            let text: Vec<u8> = std::iter::repeat_with(|| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 24) as u8
            })
            .take(bytes)
            .collect();
            let compressed = used.gzip(&text).unwrap().to_vec();
            assert_eq!(compressed, Compressor::new().gzip(&text).unwrap());
            let mut decoded = Vec::new();
            flate2::read::GzDecoder::new(&compressed[..]).read_to_end(&mut decoded).unwrap();
            assert_eq!(decoded, text);
        }
    }
}
