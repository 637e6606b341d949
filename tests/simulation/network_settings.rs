//! The parameters of the network: its size, and how often which fault happens.

use std::num::NonZeroU64;

use crate::simulation::shares::Addresses;

/// Faults of the network and of the kernel's calls. Each happens once in so many calls; 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// A receive that would block although bytes have arrived. A notification follows later.
    pub blocked_receive: u64,
    /// A send that would block although there is room. A notification follows later.
    pub blocked_send: u64,
    /// A send that takes fewer bytes than fit.
    pub short_send: u64,
    /// After a send the buffer counts as full, whatever it contains.
    pub filled_buffer: u64,
    /// An event that reports readiness which does not exist.
    pub spurious_event: u64,
    /// A wait that returns early and reports nothing.
    pub interrupted_wait: u64,
    /// A connection that is lost before it is accepted.
    pub failed_accept: u64,
    /// A connection whose socket cannot be registered.
    pub failed_registration: u64,
    /// An accept that fails for lack of a descriptor because another process has taken it.
    pub stolen_descriptor: u64,
}

/// How long the kernel holds back a silent connection, in nanoseconds.
pub(crate) const HELD_BACK_NS: u64 = 1_000_000_000;

/// The parameters of a run's network.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub listeners: usize,
    /// The most connections in a listener's backlog.
    pub backlog_max: usize,
    /// Whether the kernel holds back connections whose clients have sent nothing, for [`HELD_BACK_NS`].
    pub holds_back: bool,
    /// The most connections that the server may have open.
    pub descriptors: usize,
    /// The most connections that the server accepts before some give way to others.
    pub connections_max: usize,
    pub addresses: Addresses,
    /// The most connections of an address, if that is limited.
    pub connections_per_address: Option<usize>,
    /// How many bytes a second each connection may send and receive, if that is limited.
    pub rate: Option<NonZeroU64>,
    /// The longest that a call of the server takes, in nanoseconds.
    pub call_ns_max: u64,
    pub faults: Faults,
}
