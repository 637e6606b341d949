//! The seam between the protocol and the resources.
//!
//! The connection asks, a route answers at once: either with a response, or with a sink for the request's content,
//! which gives the response when the content has ended. There is no state in which somebody owes a call. The driver is
//! whoever moves the octets: the reactor, or a test.

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
    fn answer<'r>(&'r mut self, request: &'r Request<'r>, now: &Now) -> Reply<'r, Self::Source, Self::Sink>;

    /// When the service wants to be called although nobody asks anything, on the monotonic clock, in nanoseconds.
    fn deadline_ns(&self) -> Option<u64> {
        None
    }

    /// The deadline has passed.
    fn deadline_passed(&mut self, _now: &Now) {}
}

/// What a route says to a request.
#[derive(Debug)]
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

    /// Takes the next octets of the content.
    ///
    /// # Errors
    /// The response to the request: the sink is dropped with it.
    fn write(&mut self, content: &[u8]) -> Result<(), Box<Response<'static, Self::Source>>>;

    /// The content is complete: the response to the request.
    fn finish(self, now: &Now) -> Response<'static, Self::Source>;
}

/// Content of a known length that the driver transmits, piece by piece.
pub trait Source {
    /// What the driver sends pieces of files from.
    type File;

    /// Octets that remain to be sent.
    fn octets_left(&self) -> u64;

    /// What is to be sent next. Never empty while octets are left.
    fn piece(&self) -> Piece<'_, Self::File>;

    /// The first `octets` of the piece have been sent.
    fn advance(&mut self, octets: u64);
}

/// A stretch of content.
#[derive(Debug)]
pub enum Piece<'a, F> {
    /// Octets in memory.
    Octets(&'a [u8]),
    /// What is left of a range of a file.
    File(&'a F),
}
