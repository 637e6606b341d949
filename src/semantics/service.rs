//! The seam between the protocol and the resources.
//!
//! The connection asks, a route answers at once: either with a response, or with a sink for the request's content,
//! which gives the response when the content has ended. There is no state in which somebody owes a call. The driver is
//! whoever moves the bytes: the server's loop, or a test.

use super::Now;
use super::request::Request;
use super::response::Response;

/// What answers requests: a table of routes.
pub trait Service {
    /// Content that the driver transmits.
    type Source: Source;
    /// Where a request's content goes.
    type Sink: Sink<Source = Self::Source>;

    /// The answer to `request`. Asked once for each request whose head is acceptable, before its content is read.
    ///
    /// A reply may lend the service's own memory (a cached file, a compressor's output) until it is copied out.
    fn call<'r>(&'r mut self, request: &'r Request<'r>, now: &Now) -> Reply<'r, Self::Source, Self::Sink>;

    /// Whether the last [`call`](Service::call) may have taken long, because it waited for the disk or compressed
    /// something. The loop reads the clock again behind such a call, so that a connection that asks for nothing else is
    /// held to its share of time.
    fn may_have_blocked(&self) -> bool {
        false
    }

    /// When the service wants to be called although nobody asks anything, on the monotonic clock, in nanoseconds.
    fn deadline_ns(&self) -> Option<u64> {
        None
    }

    /// The deadline has passed.
    fn deadline_passed(&mut self, _now: &Now) {}
}

/// What a route says to a request.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one is made for each request, and never moved")]
pub enum Reply<'r, B, K> {
    /// This is the response. The request's content, if any, is discarded.
    Respond(Response<'r, B>),
    /// Put the content here, then ask the sink for the response.
    Receive(K),
}

/// Where a request's content goes: an upload. Dropped without [`finish`](Sink::finish), it leaves no trace.
pub trait Sink: Sized {
    /// As the service's.
    type Source;

    /// Takes the next bytes of the content, never none. They come in large pieces where the client sends fast, in pieces of
    /// any size where it does not.
    ///
    /// # Errors
    /// The response to the request: the sink is dropped with it.
    fn write(&mut self, content: &[u8]) -> Result<(), Box<Response<'static, Self::Source>>>;

    /// The content is complete: the response to the request.
    fn finish(self, now: &Now) -> Response<'static, Self::Source>;
}

/// Content that the driver sends, piece by piece. A piece is made when it is asked for, so that long content costs no
/// memory.
pub trait Source {
    /// What the driver sends pieces of files from.
    type File: FilePiece;

    /// How many bytes remain to be sent; `None` where that is not known before the end. Content of unknown length is sent
    /// in the chunked coding, or to an HTTP/1.0 client until the connection ends.
    fn bytes_left(&self) -> Option<u64>;

    /// What is to be sent next: the same until [`advance`](Source::advance) moves on, and `None` once all has been sent. A
    /// piece is never empty. Pieces in memory of content of unknown length are short, at most [`PIECE_BYTES_MAX`].
    ///
    /// # Errors
    /// The content cannot be completed. The connection then ends short, so that the client notices.
    fn piece(&mut self) -> Result<Option<Piece<'_, Self::File>>, SourceFailed>;

    /// The first `bytes` of the piece have been sent.
    fn advance(&mut self, bytes: u64);
}

/// The longest piece in memory of content of unknown length, in bytes: it is copied behind its chunk's size.
pub const PIECE_BYTES_MAX: usize = 16 * 1024;

/// A source cannot give what it has begun. It has logged why, where that is the server's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceFailed;

/// A stretch of content.
#[derive(Debug)]
pub enum Piece<'a, F> {
    /// Bytes in memory.
    Bytes(&'a [u8]),
    /// What is left of a range of a file.
    File(&'a F),
    /// Nothing yet: what comes next takes more work than other connections should wait for. Part of it has been done, and
    /// the next call goes on with it. Only content of unknown length has such pieces, and they are not advanced over.
    Pending,
}

/// A range of a file. Displayed, it names the file for the log.
pub trait FilePiece: std::fmt::Display {
    /// How many bytes of the range are still to be sent.
    fn bytes_left(&self) -> u64;
}

/// What a source sends that has no files.
impl FilePiece for std::convert::Infallible {
    fn bytes_left(&self) -> u64 {
        match *self {}
    }
}
