//! What an honest client knows of each of its exchanges, to be held against the server's record.

use std::ops::RangeInclusive;

use spindle::semantics::request::Version;

/// A request, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// The method, a space, and the target as it was sent.
    pub request: String,
    pub version: Version,
    /// When it was asked.
    pub requested_ns: u64,
    /// `None` while there is none.
    pub response: Option<ReceivedResponse>,
}

/// A response, as the client has read it.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedResponse {
    pub status: u16,
    /// How many bytes of content the server may say that it received.
    pub received_bytes: RangeInclusive<u64>,
    /// How many bytes its own content took with its framing.
    pub sent_bytes: u64,
    /// When all of it had been read.
    pub at_ns: u64,
}
