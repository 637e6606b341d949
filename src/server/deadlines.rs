//! The deadlines of all sessions, ordered by time, and what a slow turn adds to them.

use std::collections::BTreeSet;

use log::debug;

use super::Server;
use super::world::{Transport, World};
use crate::semantics::service::{Service, Source};

/// How much of a turn's duration counts towards the deadlines of clients that are sending, in nanoseconds.
const TURN_COUNTED_NS: u64 = 1_000_000_000;

/// Pairs of a monotonic time in nanoseconds and a session's key, ordered by time.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    entries: BTreeSet<(u64, usize)>,
}

impl Deadlines {
    /// Adds an entry; `u64::MAX` means never, and adds none.
    pub(super) fn insert(&mut self, at_ns: u64, key: usize) {
        if at_ns != u64::MAX {
            self.entries.insert((at_ns, key));
        }
    }

    /// Removes an entry, if there is one.
    pub(super) fn remove(&mut self, at_ns: u64, key: usize) {
        self.entries.remove(&(at_ns, key));
    }

    /// The earliest time.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.entries.first().map(|(at_ns, _)| *at_ns)
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Removes the earliest entry if its time has come, and returns its key.
    pub(super) fn pop_passed(&mut self, now_ns: u64) -> Option<usize> {
        if self.next_ns()? > now_ns {
            return None;
        }
        self.entries.pop_first().map(|(_, key)| key)
    }
}

impl<W, S> Server<W, S>
where
    W: World,
    S: Service,
    S::Source: Source<File = <W::Transport as Transport>::File>,
{
    /// Extends the deadlines of clients that are sending or receiving by the duration of a slow turn, less one second:
    /// their sockets may have been full meanwhile, they waited for `100 (Continue)`, or the next send may be refused for
    /// lack of memory. One second still counts. Otherwise a client that sends or reads nothing would never time out while
    /// every turn is slow.
    pub(super) fn extend_deadlines_after_slow_turn(&mut self, polled_ns: u64) {
        let took_ns = self.cx.now.monotonic_ns.saturating_sub(polled_ns);
        let late_ns = took_ns.saturating_sub(TURN_COUNTED_NS);
        if late_ns > 0 {
            debug!(
                "a turn took {} ms: the deadlines of clients that are sending or receiving are extended",
                took_ns / 1_000_000
            );
            for (_, session) in &mut self.sessions {
                session.connection.extend_deadlines(late_ns, &self.cx.shared, &self.cx.now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_pass_in_the_order_of_their_times() {
        let mut deadlines = Deadlines::default();
        deadlines.insert(30, 1);
        deadlines.insert(10, 2);
        deadlines.insert(20, 3);
        deadlines.insert(u64::MAX, 4);
        deadlines.remove(20, 3);
        assert_eq!(deadlines.next_ns(), Some(10));
        assert_eq!(deadlines.pop_passed(9), None);
        assert_eq!(deadlines.pop_passed(30), Some(2));
        assert_eq!(deadlines.pop_passed(30), Some(1));
        assert_eq!(deadlines.pop_passed(u64::MAX), None);
    }
}
