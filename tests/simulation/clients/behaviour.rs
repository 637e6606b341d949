//! How honest clients behave.

/// The behaviour of a client.
#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    /// How long it is silent after it has connected.
    pub silent_ns: u64,
    /// The most requests that it pipelines.
    pub pipelined: usize,
    /// The longest pause between a response and the next request.
    pub pause_ns_max: u64,
    /// The least number of pieces in which it sends, and the longest pause between two.
    pub pieces: usize,
    pub piece_every_ns_max: u64,
    /// Whether it sends an urgent byte before some pieces.
    pub sends_urgent: bool,
    /// How much it reads at a time, and the pause after that. It is slower than others, but fast enough for the server.
    pub reads_bytes_max: usize,
    pub reads_every_ns: u64,
    /// How it ends its connection.
    pub closing: Closing,
    /// Whether connections or descriptors are limited: a connection without a response in progress may be evicted, and
    /// a response may be late.
    pub is_limited: bool,
    /// How many connections always belong to clients that can be evicted, so that responses must be in time
    /// nevertheless; `None` if there may be none.
    pub evictable_max: Option<usize>,
    /// Whether the disk may fail: a response may report that, and content may end early.
    pub disk_may_fail: bool,
    /// Whether nearly each disk call takes seconds.
    pub disk_is_slow_always: bool,
    /// Whether its requests take no time besides the server's own work.
    pub is_fast: bool,
}

/// What a client does after its last response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// It half-closes after its last request.
    HalfClosesEarly,
    /// It closes.
    Closes,
    /// It waits until the server closes.
    Stays,
}
