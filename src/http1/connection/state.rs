//! What the next received byte means, and what that meaning owns. A transition takes the old state by value, so that
//! nothing of it is left behind.

use crate::http1::content::ContentDecoder;
use crate::http1::limits::DISCARDED_CONTENT_BYTES_MAX;
use crate::http1::message_head::HeadParser;
use crate::http1::request_framing::RequestFraming;

/// What the next received byte means.
#[derive(Default)]
pub(super) enum State<K> {
    /// It belongs to a head, or begins one.
    Head(HeadParser),
    /// It belongs to the content of a request.
    Content(Box<ReceivingContent<K>>),
    /// Nothing: it is discarded, so that no reset destroys the last response.
    Draining(Draining),
    /// There is none.
    #[default]
    Closed,
}

/// Content on its way in.
pub(super) struct ReceivingContent<K> {
    pub(super) decoder: ContentDecoder,
    pub(super) destination: Destination<K>,
    pub(super) framing: RequestFraming,
    /// Bytes of content so far.
    pub(super) bytes: u64,
}

/// Where content goes.
pub(super) enum Destination<K> {
    /// Into a route's sink.
    Sink(K),
    /// Nowhere: the response has been made, and is held back until the content has proved to be well-formed.
    Nowhere,
}

/// What was received after the last response.
#[derive(Default)]
pub(super) struct Draining {
    pub(super) bytes: u64,
    /// When draining ends, however much still comes; 0 before the end was sent.
    pub(super) give_up_ns: u64,
}

/// What is done with content that no route wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnreadContent {
    /// There is none.
    None,
    /// It is read and discarded, and the connection kept.
    Discard,
    /// It is not worth reading, or may never come: the response goes at once, and the connection ends.
    Close,
}

impl UnreadContent {
    pub(super) fn of(framing: &RequestFraming) -> UnreadContent {
        if framing.has_no_content() {
            UnreadContent::None
        } else if framing.expects_continue || is_too_long_to_discard(framing) {
            // A client that waits for `100 Continue` may send its content, or not, once it has seen another response.
            UnreadContent::Close
        } else {
            UnreadContent::Discard
        }
    }
}

/// Whether it has been announced that the content is not worth reading. It is the whole length that counts and not what
/// is left of it, which would depend on how the bytes were cut.
pub(super) fn is_too_long_to_discard(framing: &RequestFraming) -> bool {
    framing.content_bytes().is_some_and(|bytes| bytes > DISCARDED_CONTENT_BYTES_MAX)
}
