//! The interface between the protocol and the routes.
//!
//! The connection calls the service with a request, and the service returns immediately: either a response, or a sink
//! for the request's content. When the content has ended, the sink returns the response, or a commit: work that costs
//! less if it is done for several uploads at once. The loop collects commits for a moment and passes them to the service
//! in one call, which returns their responses. There are no callbacks.

use std::rc::Rc;

use super::Now;
use super::fields::Fields;
use super::request::{ArrivedContent, Request};
use super::response::{Response, UploadStatus};

/// Responds to requests: a table of routes.
pub trait Service {
    /// Content that is read while it is sent.
    type Source: Source;
    /// The recipient of a request's content.
    type Sink: Sink<Source = Self::Source>;

    /// Responds to `request`. Called once for each request whose head is valid, before its content is read, and with the
    /// content if that has [arrived](Request::arrived).
    ///
    /// The reply may borrow memory of the service (a cached file, a compressor's output), which the connection copies.
    fn call<'r>(&'r mut self, request: &'r Request<'r>, now: &Now) -> Reply<'r, Self::Source, Self::Sink>;

    /// Whether the last [`call`](Service::call) may have taken long, because it waited for the disk or compressed
    /// something. The loop reads the clock again after such a call, so that the time budget of each connection's turn
    /// is effective.
    fn may_have_blocked(&self) -> bool {
        false
    }

    /// The account that the request of the last [`call`](Service::call) was authenticated as.
    fn account(&self) -> Option<&Rc<str>> {
        None
    }

    /// Reads anew what an administrator may have changed, such as a file of accounts. May wait for the disk. Returns
    /// phrases for the log that say what was read; a failure is logged at once.
    fn reload(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// When to call [`deadline_passed`](Service::deadline_passed), in nanoseconds on the monotonic clock; `None` for
    /// never.
    fn deadline_ns(&self) -> Option<u64> {
        None
    }

    /// Called when the time of [`deadline_ns`](Service::deadline_ns) has come.
    fn deadline_passed(&mut self, _now: &Now) {}

    /// Completes uploads whose sinks returned [`Finished::Deferred`], in this order, and returns their responses. `K`
    /// identifies the request; each is returned once, with its response. One upload that fails does not keep the others
    /// from being completed. The call may wait for the disk.
    fn commit<K>(&mut self, group: CommitGroup<K, Self>, now: &Now) -> Vec<(K, Response<'static, Self::Source>)>;
}

/// The commit of a service's sink.
pub type CommitOf<S> = <<S as Service>::Sink as Sink>::Commit;

/// Uploads to be completed together, each with what identifies its request.
pub type CommitGroup<K, S> = Vec<(K, CommitOf<S>)>;

/// How a route reacts to a request. `B` is the service's [`Source`](Service::Source), `K` its [`Sink`](Service::Sink).
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one is made for each request, and never moved")]
pub enum Reply<'r, B, K> {
    /// It responds at once. The request's content, if any, is ignored.
    Respond(Response<'r, B>),
    /// It takes the content into a sink, which then responds.
    Receive(K),
    /// It has taken the [content that arrived with the head](Request::arrived), and responds. A service need not do that:
    /// it only saves the sink.
    RespondToContent(ArrivedContent<'r>, Response<'static, B>),
}

/// Takes the content of a request: an upload. If it is dropped without [`finish`](Sink::finish), the upload leaves no
/// trace, unless it is [resumable](Sink::is_resumable).
pub trait Sink: Sized {
    /// The service's [`Source`](Service::Source).
    type Source;

    /// An upload whose content is complete, and that is to be completed together with others.
    /// [`Infallible`](std::convert::Infallible) for a service that responds to every upload at once.
    type Commit;

    /// Takes the next bytes of the content, at least one. If the client sends fast, the pieces are large; otherwise
    /// they may have any size.
    ///
    /// Returns how many bytes it has taken, at least one. A sink leaves the rest for the next call if it would take
    /// longer than other connections should wait for.
    ///
    /// # Errors
    /// The response to the request, if the sink refuses the content. The sink is then dropped.
    fn write(&mut self, content: &[u8], now: &Now) -> Result<usize, Box<Response<'static, Self::Source>>>;

    /// The interim response to be sent now, if there is one. Called when the sink has been created, and after each
    /// [`write`](Sink::write).
    fn interim(&mut self, _now: &Now) -> Option<Interim> {
        None
    }

    /// Whether the sink uses the trailer section of chunked content. If not, the section is only validated.
    fn wants_trailers(&self) -> bool {
        false
    }

    /// Takes the trailer section, after the last content and before [`finish`](Sink::finish).
    fn take_trailers(&mut self, _trailers: &Fields<'_>) {}

    /// Whether a later request can resume the upload. The sink then gets all content that has been received, even if
    /// the connection ends early.
    fn is_resumable(&self) -> bool {
        false
    }

    /// Completes the content.
    fn finish(self, now: &Now) -> Finished<Self::Source, Self::Commit>;
}

/// What a sink returns at the end of its content. `B` is the service's [`Source`](Service::Source), `C` the sink's
/// [`Commit`](Sink::Commit).
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one is made for each upload, and matched at once")]
pub enum Finished<B, C> {
    /// The response to the request.
    Responded(Response<'static, B>),
    /// The response follows from [`Service::commit`], a moment later. The upload is completed even if the connection is
    /// lost until then.
    Deferred(C),
}

/// An interim response with status 104 (Upload Resumption Supported, draft-ietf-httpbis-resumable-upload).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interim {
    /// Location: where the upload can be continued.
    pub location: Option<String>,
    /// The fields about the upload.
    pub upload: UploadStatus,
}

/// Content that is sent piece by piece. A piece is created when it is needed, so that long content needs little memory.
pub trait Source {
    /// A range of a file, from which a piece is sent without copying it to memory.
    type File: FilePiece;

    /// How many bytes are still to be sent; `None` if that is not known before the end. Content of unknown length is
    /// sent in the chunked coding, or close-delimited to an HTTP/1.0 client.
    fn bytes_left(&self) -> Option<u64>;

    /// The piece to be sent next, which is the same until [`advance`](Source::advance) is called; `None` at the end. A
    /// piece is never empty. If the length of the content is unknown, a piece in memory has at most [`PIECE_BYTES_MAX`]
    /// bytes.
    ///
    /// # Errors
    /// If the content cannot be completed. The connection is then closed early, so that the client notices.
    fn piece(&mut self) -> Result<Option<Piece<'_, Self::File>>, SourceFailed>;

    /// Removes the first `bytes` bytes of the current piece, which have been sent.
    fn advance(&mut self, bytes: u64);
}

/// The longest piece in memory of content of unknown length, in bytes. Such pieces are copied, each after its chunk
/// size.
pub const PIECE_BYTES_MAX: usize = 16 * 1024;

/// A source cannot complete its content. If this is the server's fault, the source has logged the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceFailed;

/// A piece of content.
#[derive(Debug)]
pub enum Piece<'a, F> {
    /// Bytes in memory.
    Bytes(&'a [u8]),
    /// The rest of a range of a file.
    File(&'a F),
    /// Nothing yet: the next piece takes more work than other connections should wait for. A part of the work has been
    /// done, and the next call continues it. Only content of unknown length may be pending. `advance` is then
    /// called with 0 bytes, or not at all.
    Pending,
}

/// A range of a file. Its `Display` output is the file's name, for the log.
pub trait FilePiece: std::fmt::Display {
    /// How many bytes of the range are still to be sent.
    fn bytes_left(&self) -> u64;

    /// How many of the next bytes can be read without waiting for the disk, as far as is known; all that are left if that
    /// cannot be known. If it is 0, the disk has been asked to read them, and the caller asks again later.
    fn bytes_in_memory(&self, _now: &Now) -> u64 {
        self.bytes_left()
    }
}

/// For sources without files.
impl FilePiece for std::convert::Infallible {
    fn bytes_left(&self) -> u64 {
        match *self {}
    }
}
