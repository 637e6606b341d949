//! What an honest client knows of its exchanges, to compare with the server's records.

use std::ops::RangeInclusive;

use spindle::semantics::request::Version;

/// A request, and its response.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// The method, a space, and the target as sent.
    pub request: String,
    pub version: Version,
    /// When the request was begun.
    pub requested_ns: u64,
    /// `None` until it has been received.
    pub response: Option<ReceivedResponse>,
}

/// A response as the client read it.
#[derive(Clone, Debug)]
pub(crate) struct ReceivedResponse {
    pub status: u16,
    /// How many received bytes of content the record may report.
    pub received_bytes: RangeInclusive<u64>,
    /// How many bytes its content took with its framing.
    pub sent_bytes: u64,
    /// When it had been read completely.
    pub at_ns: u64,
}
