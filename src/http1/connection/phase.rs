//! What the next received octet means, and what that meaning owns. Leaving a phase drops what it owns.

use super::log_entry::{LogEntry, Outcome};
use crate::http1::content::ContentDecoder;
use crate::http1::exchange::Exchange;
use crate::http1::limits::DISCARDED_CONTENT_OCTETS_MAX;
use crate::http1::message_head::MessageHead;

/// What the next received octet means.
pub(super) enum Phase<K> {
    /// It belongs to a head, or begins one.
    Head(MessageHead),
    /// It belongs to the content of a request.
    Content(Box<Receiving<K>>),
    /// Nothing: it is discarded, so that no reset destroys the last answer.
    Draining(Draining),
    /// There is none.
    Closed,
}

/// Content on its way in.
pub(super) struct Receiving<K> {
    pub(super) decoder: ContentDecoder,
    pub(super) destination: Destination<K>,
    pub(super) exchange: Exchange,
    /// Octets of content so far.
    pub(super) octets: u64,
    /// When octets came last.
    pub(super) heard_ns: u64,
    /// What the log is told once the request is answered.
    pub(super) entry: LogEntry,
}

/// Where content goes.
pub(super) enum Destination<K> {
    /// Into a route's sink.
    Sink(K),
    /// Nowhere: the answer has been made, and is held until the content has proved to be well-formed.
    Nowhere(Outcome),
}

#[derive(Default)]
pub(super) struct Draining {
    /// When the end was sent; 0 before.
    pub(super) ended_ns: u64,
    pub(super) octets: u64,
}

/// What becomes of the content of a request that has been answered without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// There is none.
    NoContent,
    /// It is read and discarded, and the connection kept.
    Discard,
    /// It is not worth reading, or may never come: the answer goes at once, and the connection ends.
    Close,
}

impl Fate {
    pub(super) fn of_unwanted_content(exchange: &Exchange) -> Fate {
        if exchange.has_no_content() {
            Fate::NoContent
        } else if exchange.expects_continue || is_too_long_to_discard(exchange) {
            // A peer that waits for `100 Continue` may send its content, or not, once it has seen another answer.
            Fate::Close
        } else {
            Fate::Discard
        }
    }
}

/// Whether it has been announced that the content is not worth reading. It is the whole length that counts and not what
/// is left of it, which would depend on how the octets were cut.
pub(super) fn is_too_long_to_discard(exchange: &Exchange) -> bool {
    exchange.content_octets().is_some_and(|octets| octets > DISCARDED_CONTENT_OCTETS_MAX)
}
