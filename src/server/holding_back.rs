//! Holding back: whether the system hands over connections only once their clients have sent something.
//!
//! It saves work for every connection that comes with its request. But silent connections are handed over a second later than
//! they were made, and by coarse timers: all that were made within some 30 ms at the same time. At the connection limit each of
//! them takes another's place, whose client connects again, and so they come in bursts for as long as an attack lasts. The
//! system and the loop need many milliseconds for a burst of hundreds, in which everybody waits. So while connections are
//! closed or refused to make room, nothing is held back, and hostile connections come as they are made.

use super::Server;
use super::world::{Transport, World};
use crate::semantics::service::{Service, Source};

/// How long after the last connection was closed or refused to make room the system holds back connections again, in
/// nanoseconds. Longer than it takes for those that are held back to be handed over.
const SUSPENDED_NS: u64 = 10 * 1_000_000_000;

/// Until when the system holds back nothing, and what it has held back before.
#[derive(Debug, Default)]
pub(super) struct HoldingBack {
    /// When connections are held back again, on the monotonic clock; `None` while they are.
    resume_ns: Option<u64>,
    /// When all connections that were held back have been handed over, on the monotonic clock, since the last time that the
    /// holding back ended.
    handed_over_ns: u64,
}

impl<W, S> Server<W, S>
where
    W: World,
    S: Service,
    S::Source: Source<File = <W::Transport as Transport>::File>,
{
    /// A connection was closed or refused to make room. For some time nothing is held back.
    pub(super) fn suspend_holding_back(&mut self) {
        self.end_holding_back(self.cx.now.monotonic_ns.saturating_add(SUSPENDED_NS));
    }

    /// Nothing is held back any more. Returns when everything that is held back at present has been handed over, on the
    /// monotonic clock; that time may be over.
    pub(super) fn end_holding_back_for_ever(&mut self) -> u64 {
        self.end_holding_back(u64::MAX);
        self.holding_back.handed_over_ns
    }

    fn end_holding_back(&mut self, resume_ns: u64) {
        let earlier_ns = self.holding_back.resume_ns.replace(resume_ns);
        if let Some(earlier_ns) = earlier_ns {
            self.holding_back.resume_ns = Some(earlier_ns.max(resume_ns));
            return;
        }
        let handed_over_ns = self.world.hand_over_silent_connections();
        // The last reading may be old, and connections that have come since then are held back as well.
        self.cx.now = self.world.now();
        self.holding_back.handed_over_ns = self.cx.now.monotonic_ns.saturating_add(handed_over_ns);
    }

    /// Lets the system hold back connections again, if it is time.
    pub(super) fn resume_holding_back_if_due(&mut self) {
        let now_ns = self.cx.now.monotonic_ns;
        if self.holding_back.resume_ns.take_if(|resume_ns| *resume_ns <= now_ns).is_some() {
            self.world.hold_back_silent_connections();
        }
    }
}
