//! Short texts made in memory, compressed for those who accept it.

use std::borrow::Cow;

use flate2::{Compress, Compression, FlushCompress, Status as Flate};

use super::{FileContent, PRECONDITION_FAILED, RouteReply, refuse};
use crate::semantics::Now;
use crate::semantics::conditional::{Preconditions, Validators, Verdict};
use crate::semantics::content_coding::{self, ContentCoding};
use crate::semantics::request::Request;
use crate::semantics::response::{Body, ContentEncoding, Response};
use crate::semantics::service::Reply;
use crate::semantics::status::Status;
use crate::storage::FileSystem;

/// The answer to a GET of `text`.
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
            None => return refuse(Status::InternalServerError, "The content could not be compressed."),
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

/// The answer to a read whose preconditions do not hold. A text has neither an entity tag nor a date, but it exists.
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

/// zlib's usual balance of time and size.
const LEVEL: Compression = Compression::new(6);

/// The largest window, 2^15 bytes, as every gzip decoder must have it.
const WINDOW_BITS: u8 = 15;

/// The byte of a gzip header that names the system, and the value for Unix: the same content has the same bytes
/// wherever the server runs.
const SYSTEM_AT: usize = 9;
const SYSTEM_UNIX: u8 = 3;

/// Header, trailer, and what the coding adds to content that cannot be compressed: far less than this.
const GZIP_OVERHEAD_BYTES: usize = 64;

/// A compressor whose state, some hundred KiB, serves one answer after the other.
pub(super) struct Compressor {
    /// Whether it was used since it was last [`begun`](Compressor::begin).
    is_used: bool,
    /// Made when it is first needed.
    state: Option<Compress>,
    compressed: Vec<u8>,
}

impl Compressor {
    pub(super) fn new() -> Compressor {
        Compressor { is_used: false, state: None, compressed: Vec::new() }
    }

    /// A request begins that may need it.
    pub(super) fn begin(&mut self) {
        self.is_used = false;
    }

    /// Whether the request has needed it.
    pub(super) fn is_used(&self) -> bool {
        self.is_used
    }

    /// `text` in the gzip format (RFC 1952), without a file name and with no time; `None` if the compressor fails.
    fn gzip(&mut self, text: &[u8]) -> Option<&[u8]> {
        self.is_used = true;
        let state = self.state.get_or_insert_with(|| Compress::new_gzip(LEVEL, WINDOW_BITS));
        // Before each use and not after: a panic may have left either of them in the midst of another text.
        state.reset();
        self.compressed.clear();
        self.compressed.reserve(text.len() + text.len() / 8 + GZIP_OVERHEAD_BYTES);
        let status = state.compress_vec(text, &mut self.compressed, FlushCompress::Finish);
        if !matches!(status, Ok(Flate::StreamEnd)) {
            return None;
        }
        *self.compressed.get_mut(SYSTEM_AT)? = SYSTEM_UNIX;
        Some(&self.compressed)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_bytes_of_a_short_text() {
        assert_eq!(
            Compressor::new().gzip(b"abc").unwrap(),
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x4c\x4a\x06\x00\xc2\x41\x24\x35\x03\x00\x00\x00"
        );
    }

    #[test]
    fn a_compressor_that_is_used_again_gives_what_a_new_one_gives() {
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
