//! The service. It numbers its responses, so that a missing, repeated or misplaced one is noticed.

use std::borrow::Cow;
use std::convert::Infallible;

use spindle::routes::Routes;
use spindle::semantics::Now;
use spindle::semantics::method::Method;
use spindle::semantics::request::Request;
use spindle::semantics::response::{Body, Response};
use spindle::semantics::service::{Finished, Piece, Reply, Service, Sink, Source, SourceFailed};
use spindle::semantics::status::Status;

use super::super::driver::CountingService;

/// The longest content of a source.
const SOURCE_BYTES_MAX: u64 = 200_000;

/// The longest piece of a source.
const PIECE_BYTES_MAX: u64 = 1000;

/// Byte n of a source is n modulo this number.
const PATTERN_BYTES: u64 = 251;

/// Byte `at` of a source.
pub(super) fn source_byte(at: u64) -> u8 {
    (at % PATTERN_BYTES) as u8
}

/// A request that reached the service.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ReceivedRequest {
    pub(super) method: Method,
    target: String,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    content_bytes: Option<u64>,
    /// The length of the source in the response, if it has one.
    pub(super) source_bytes: Option<u64>,
}

/// `/source/N` responds with N bytes from a source. `/sink/N` accepts at most N bytes of content. For any other path
/// the server's own routes respond, without a directory. The entity tag of each response is the number of its request,
/// from 1.
pub(super) struct NumberingService {
    routes: Routes,
    /// The requests, in order.
    pub(super) requests: Vec<ReceivedRequest>,
}

impl NumberingService {
    pub(super) fn new() -> NumberingService {
        NumberingService { routes: Routes::new(None), requests: Vec::new() }
    }
}

impl Service for NumberingService {
    type Source = PatternSource;
    type Sink = DigestSink;

    fn call<'r>(&'r mut self, request: &'r Request<'r>, now: &Now) -> Reply<'r, PatternSource, DigestSink> {
        let path = request.target.path().unwrap_or_default();
        let source_bytes = number_after(path, b"/source/").map(|bytes| bytes.min(SOURCE_BYTES_MAX));
        self.requests.push(ReceivedRequest {
            method: request.method,
            target: format!("{:?}", request.target),
            fields: request.fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
            content_bytes: request.content_bytes,
            source_bytes,
        });
        let number = self.requests.len();
        if let Some(bytes_left) = source_bytes {
            let body = Body::Source(PatternSource { at: 0, bytes_left });
            return Reply::Respond(tagged(number, Response { body, ..Response::new(Status::Ok) }));
        }
        if let Some(bytes_max) = number_after(path, b"/sink/") {
            return Reply::Receive(DigestSink { number, bytes_max, bytes: 0, digest: 0 });
        }
        match self.routes.call(request, now) {
            Reply::Respond(response) => Reply::Respond(tagged(number, without_source(response))),
            Reply::Receive(_) | Reply::RespondToContent(..) => panic!("without a directory nothing is received"),
        }
    }

    fn commit<K>(&mut self, group: Vec<(K, Infallible)>, _: &Now) -> Vec<(K, Response<'static, PatternSource>)> {
        group.into_iter().map(|(_, commit)| match commit {}).collect()
    }
}

impl CountingService for NumberingService {
    fn calls(&self) -> usize {
        self.requests.len()
    }

    fn read(file: &std::convert::Infallible, _: &mut [u8]) -> Option<usize> {
        match *file {}
    }
}

fn number_after(path: &[u8], prefix: &[u8]) -> Option<u64> {
    str::from_utf8(path.strip_prefix(prefix)?).ok()?.parse().ok()
}

fn tagged<B>(number: usize, response: Response<'_, B>) -> Response<'_, B> {
    Response { etag: Some(Cow::Owned(format!("\"{number}\""))), ..response }
}

/// The response of a route that has no files to send.
fn without_source<B>(response: Response<'_, B>) -> Response<'_, PatternSource> {
    Response {
        content_encoding: response.content_encoding,
        content_type: response.content_type,
        varies_by_coding: response.varies_by_coding,
        allow: response.allow,
        accept_encoding: response.accept_encoding,
        accepts_ranges: response.accepts_ranges,
        nosniff: response.nosniff,
        content_range: response.content_range,
        etag: response.etag,
        last_modified: response.last_modified,
        body: match response.body {
            Body::Empty => Body::Empty,
            Body::Bytes(content) => Body::Bytes(content),
            Body::Source(_) => panic!("without a directory there are no files"),
        },
        // The other fields are those of a shared folder.
        ..Response::new(response.status)
    }
}

/// A source of [`source_byte`]s.
#[derive(Debug)]
pub(super) struct PatternSource {
    at: u64,
    bytes_left: u64,
}

/// Long enough for a piece that begins at any byte of the pattern.
static PATTERN: [u8; (PATTERN_BYTES + PIECE_BYTES_MAX) as usize] = {
    let mut bytes = [0; (PATTERN_BYTES + PIECE_BYTES_MAX) as usize];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = (at as u64 % PATTERN_BYTES) as u8;
        at += 1;
    }
    bytes
};

impl Source for PatternSource {
    type File = std::convert::Infallible;

    fn bytes_left(&self) -> Option<u64> {
        Some(self.bytes_left)
    }

    fn piece(&mut self) -> Result<Option<Piece<'_, Self::File>>, SourceFailed> {
        let start = (self.at % PATTERN_BYTES) as usize;
        let bytes = self.bytes_left.min(PIECE_BYTES_MAX) as usize;
        Ok((bytes > 0).then(|| Piece::Bytes(&PATTERN[start..start + bytes])))
    }

    fn advance(&mut self, bytes: u64) {
        self.at += bytes;
        self.bytes_left = self.bytes_left.checked_sub(bytes).expect("the source advances within its length");
    }
}

/// A sink that responds with the length and a digest of the content.
#[derive(Debug)]
pub(super) struct DigestSink {
    number: usize,
    bytes_max: u64,
    bytes: u64,
    digest: u64,
}

impl Sink for DigestSink {
    type Source = PatternSource;
    type Commit = Infallible;

    fn write(&mut self, content: &[u8], _: &Now) -> Result<usize, Box<Response<'static, PatternSource>>> {
        assert!(!content.is_empty(), "a sink never gets an empty piece");
        self.bytes += content.len() as u64;
        if self.bytes > self.bytes_max {
            let response =
                Response::with_reason(Status::ContentTooLarge, "The content is longer than this sink takes.");
            return Err(Box::new(tagged(self.number, response)));
        }
        for byte in content {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(content.len())
    }

    fn finish(self, _: &Now) -> Finished<PatternSource, Infallible> {
        let summary = format!("{} bytes, digest {:x}\n", self.bytes, self.digest);
        let body = Body::Bytes(Cow::Owned(summary.into_bytes()));
        Finished::Responded(tagged(self.number, Response { body, ..Response::new(Status::Created) }))
    }
}
