//! Which session is driven next.
//!
//! Sessions that have just become ready come first, each once a turn. Those that used up their share of time or bytes wait
//! in a queue of their own, of which a turn drives a part: so a client that asks for little is answered between two drives
//! of those that ask for much, however many those are.

use std::collections::VecDeque;

/// How long a drive may take, in nanoseconds, and how long a turn drives those that used up theirs. It is looked at behind
/// each call that may have waited for the disk; one call may go past it.
pub(super) const DRIVE_NS: u64 = 1_000_000;

/// How long a turn drives those that used up their share at most, in nanoseconds, however long it has driven others: new
/// ones may wait to be heard of.
pub(super) const BUSY_SHARE_NS_MAX: u64 = 10 * DRIVE_NS;

/// Sessions by their keys. A session is in one of the queues at most; that it is in none although its key is, because it
/// has left or moved, is for the caller to notice.
#[derive(Debug, Default)]
pub(super) struct RunQueue {
    ready: VecDeque<usize>,
    busy: VecDeque<usize>,
}

impl RunQueue {
    /// Whether there is nobody to drive.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.busy.is_empty()
    }

    /// Queues a session: at the end of those that asked for much lately, or of the others.
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

    /// Gives back memory that only a flood has needed.
    pub(super) fn shrink(&mut self) {
        self.ready.shrink_to(QUEUE_KEPT);
        self.busy.shrink_to(QUEUE_KEPT);
    }
}

/// How many entries a queue keeps room for.
const QUEUE_KEPT: usize = 1024;
