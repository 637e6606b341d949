//! The manners of honest clients.

/// How a client behaves.
#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    /// How many requests it asks before it has the answers.
    pub pipelined: usize,
    /// How long it waits between an answer and the next requests at most.
    pub pause_ns_max: u64,
    /// In how many pieces it sends what it has to say at least, and how long it waits between two at most.
    pub pieces: usize,
    pub piece_every_ns_max: u64,
    /// Whether some of these pieces have an urgent byte before them.
    pub sends_urgent: bool,
    /// How much it reads at a time, and how long it waits then. It is slow, but not too slow.
    pub reads_bytes_max: usize,
    pub reads_every_ns: u64,
    /// What it does at the end.
    pub closing: Closing,
    /// Whether connections and descriptors may be scarce: then a connection that is not being answered may be closed, and an
    /// answer may be late.
    pub is_limited: bool,
    /// Whether it must be answered in time all the same, since all others can give way.
    pub others_evictable: bool,
    /// Whether the disk may fail: then an answer may be that it did, and content may end short.
    pub disk_may_fail: bool,
    /// Whether nothing of what it asks can take long, the server's own work left out.
    pub is_fast: bool,
}

/// What a client does when it has all its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// It ends its side along with its last requests.
    HalfClosesEarly,
    /// It closes.
    Closes,
    /// It stays, until the server closes.
    Stays,
}
