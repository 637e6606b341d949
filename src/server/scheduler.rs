//! The run queue: which session is driven next.
//!
//! Each turn drives every session of the ready queue once. Sessions whose last drive used much of its time or bytes are
//! in the busy queue, of which a turn drives only a part. Therefore the wait of a light session is bounded, however
//! many heavy ones there are.

use std::collections::VecDeque;

/// How long a drive may take, in nanoseconds, and the least share of a turn that the busy queue gets. It is checked
/// after each call that may have waited for the disk, so one such call may exceed it.
pub(super) const DRIVE_NS: u64 = 1_000_000;

/// The largest share of a turn that the busy queue gets, in nanoseconds, however long its other work took: the poll
/// must soon report new events.
pub(super) const BUSY_SHARE_NS_MAX: u64 = 10 * DRIVE_NS;

/// Two queues of session keys.
#[derive(Debug, Default)]
pub(super) struct RunQueue {
    ready: VecDeque<usize>,
    busy: VecDeque<usize>,
}

impl RunQueue {
    /// Whether there is no session to drive.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.busy.is_empty()
    }

    /// Appends a session to the busy or to the ready queue.
    pub(super) fn push(&mut self, key: usize, is_busy: bool) {
        let queue = if is_busy { &mut self.busy } else { &mut self.ready };
        queue.push_back(key);
    }

    pub(super) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn busy_len(&self) -> usize {
        self.busy.len()
    }

    pub(super) fn pop_ready(&mut self) -> Option<usize> {
        self.ready.pop_front()
    }

    pub(super) fn pop_busy(&mut self) -> Option<usize> {
        self.busy.pop_front()
    }

    /// Removes a session's entries. This takes time in proportion to the queues.
    pub(super) fn forget(&mut self, key: usize) {
        self.ready.retain(|queued| *queued != key);
        self.busy.retain(|queued| *queued != key);
    }

    /// Gives back memory that was needed only at a peak.
    pub(super) fn shrink(&mut self) {
        self.ready.shrink_to(QUEUE_KEPT);
        self.busy.shrink_to(QUEUE_KEPT);
    }
}

/// The capacity that each queue keeps, in entries.
const QUEUE_KEPT: usize = 1024;
