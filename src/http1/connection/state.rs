//! The states of a connection, and the resources that each of them owns. A transition takes the old state by value, so
//! it leaves none of its resources behind. The transitions are in `process.rs`, `receive_content.rs` and `timeouts.rs`;
//! the module documentation of [`http1`](crate::http1) shows them.

use crate::http1::content::ContentDecoder;
use crate::http1::limits::DISCARDED_CONTENT_BYTES_MAX;
use crate::http1::message_head::HeadParser;
use crate::http1::protocol_error::ProtocolError;
use crate::http1::request_framing::RequestFraming;

/// What the next received byte belongs to. `K` is the routes' sink.
#[derive(Default)]
pub(super) enum State<K> {
    /// The header of the PROXY protocol, if the connection comes from a proxy that sends one.
    ///
    /// Next: [`Head`](State::Head) after the header; [`Closed`](State::Closed) after anything else, a head timeout, or
    /// the end of input.
    ProxyHeader,
    /// The head of a request, which may not have begun.
    ///
    /// Next: [`Content`](State::Content) or `Head` after a complete head; [`Draining`](State::Draining) if its response
    /// is the last, and after a protocol error, a head timeout, or the end of input; [`Closed`](State::Closed) after an
    /// idle timeout.
    Head(HeadParser),
    /// The content of a request.
    ///
    /// Next: [`Head`](State::Head) after the end of the content, or [`Committing`](State::Committing) if the response
    /// depends on others; [`Draining`](State::Draining) if the response is the last, and after a protocol error, a timeout,
    /// or when the content proves to be too long to be worth reading.
    Content(Box<ReceivingContent<K>>),
    /// Nothing yet. The content is complete, and the service completes the upload together with others at the end of the
    /// turn. Nothing is received or parsed until then. The upload itself is not here, so that closing the connection
    /// does not undo it.
    ///
    /// Next: [`Head`](State::Head) or [`Draining`](State::Draining) with the response.
    Committing(RequestFraming),
    /// Nothing. The last response has been queued. Received bytes are discarded, because closing a socket with unread
    /// bytes sends a reset, which can destroy the response.
    ///
    /// Next: [`Closed`](State::Closed), once the sending side has been shut down, after the end of input, a timeout, or
    /// too many bytes.
    Draining(Draining),
    /// The connection has ended: after Draining, after an idle timeout in Head, or after a write stall or a call of
    /// [`close`](super::Connection::close) in any state. Also the placeholder while a transition owns the state.
    #[default]
    Closed,
}

/// Content that is being received.
pub(super) struct ReceivingContent<K> {
    pub(super) decoder: ContentDecoder,
    pub(super) destination: Destination<K>,
    pub(super) framing: RequestFraming,
    /// How many bytes of content have been received.
    pub(super) bytes: u64,
    /// How the content has ended, while the sink has not taken all of it yet. `None` before the end of the content.
    pub(super) end: Option<Result<(), ProtocolError>>,
}

/// What is done with content.
pub(super) enum Destination<K> {
    /// A route's sink takes it.
    Sink(K),
    /// It is discarded. The response has been queued, and is held back until the content has proved to be well-formed.
    Discard,
}

/// What has been received since the last response was queued.
#[derive(Default)]
pub(super) struct Draining {
    /// Whether the client has promised to send nothing more, and its last response was so short that it does not
    /// depend on this process any more once the system has taken it.
    pub(super) is_unnecessary: bool,
    pub(super) bytes: u64,
    /// When draining ends, even if the client still sends, on the monotonic clock. 0 until the sending side has been
    /// shut down.
    pub(super) deadline_ns: u64,
}

/// What is done with content that no route reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnreadContent {
    /// There is none.
    None,
    /// It is read and discarded, and the connection persists.
    Discard,
    /// It is too long to be worth reading, or may never arrive: the response is sent at once, and the connection
    /// closes.
    Close,
}

impl UnreadContent {
    pub(super) fn of(framing: &RequestFraming) -> UnreadContent {
        if framing.has_no_content() {
            UnreadContent::None
        } else if framing.expects_continue || is_too_long_to_discard(framing) {
            // When a client that waits for `100 Continue` receives a final response, it may or may not send the
            // content.
            UnreadContent::Close
        } else {
            UnreadContent::Discard
        }
    }
}

/// Whether the content is known to be too long to be worth reading. The whole length counts, not what is left of it,
/// which would depend on how the bytes were cut into reads.
pub(super) fn is_too_long_to_discard(framing: &RequestFraming) -> bool {
    framing.content_bytes().is_some_and(|bytes| bytes > DISCARDED_CONTENT_BYTES_MAX)
}
