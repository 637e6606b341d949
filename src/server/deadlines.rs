//! The deadlines of all sessions, ordered by time: how they expire, and what a slow turn adds to them.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use log::{debug, error};

use super::Server;
use super::scheduler::DRIVE_NS;
use super::session::Queued;
use super::world::{Transport, World};
use crate::semantics::exchange_record::Outcome;
use crate::semantics::service::{Service, Source};

/// How much of a turn's duration, or of a wait in the queue, counts towards the deadlines of clients that are sending, in
/// nanoseconds.
const COUNTED_NS_MAX: u64 = 1_000_000_000;

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
    /// Expires the deadlines that had passed when the poll returned. Whatever had arrived by then has been handled,
    /// since a poll reports every ready socket unless it is full. Expires for a slice of time, since each timeout of an
    /// upload may save it to the disk, and leaves the rest to the next turn.
    pub(super) fn expire_deadlines(&mut self) {
        let polled_ns = self.polled_ns;
        if self.cx.service.deadline_ns().is_some_and(|deadline_ns| deadline_ns <= polled_ns) {
            debug!("the service's timer has fired");
            self.cx.service.deadline_passed(&self.cx.now);
            self.cx.disk_call_ended(&mut self.world);
        }
        let Some(due_ns) = self.full_polls.judge_by_ns(polled_ns) else {
            debug!("the poll was full: deadlines are judged after the next one");
            return;
        };
        if self.deadlines.next_ns().is_none_or(|next_ns| next_ns > due_ns) {
            return;
        }
        self.cx.now = self.world.now();
        let until_ns = self.cx.now.monotonic_ns.saturating_add(DRIVE_NS);
        for _ in 0..self.deadlines.len() {
            if self.cx.now.monotonic_ns >= until_ns {
                return debug!("the slice of time for expiring is over: the next turn goes on");
            }
            let Some(key) = self.deadlines.pop_passed(due_ns) else { return };
            let Some(session) = self.sessions.get_mut(key) else { continue };
            session.armed_ns = u64::MAX;
            // A queued session may have input that was not read yet, and output that was not sent: the server is late,
            // not the client. If the deadline has moved since the entry was made, nothing expires and a new entry is made.
            if session.queued != Queued::No && session.connection.deadline_ns() <= due_ns {
                debug!("connection {}: a timer is judged after its next drive", session.connection.number());
                session.is_overdue = true;
            } else {
                self.expire(key, due_ns);
            }
        }
    }

    /// Acts on the session's timers that had fired by `at_ns`.
    pub(super) fn expire(&mut self, key: usize, at_ns: u64) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let run_group = session.run_group;
        let begun_ns = self.cx.now.monotonic_ns;
        let cx = &mut self.cx;
        if catch_unwind(AssertUnwindSafe(|| session.expire(at_ns, cx))).is_err() {
            error!("a connection was closed because of the panic above");
            return self.remove(key, Outcome::CutOff);
        }
        // A timeout may have saved an upload to the disk.
        self.cx.disk_call_ended(&mut self.world);
        self.queue.charge(run_group, Queued::No, self.cx.now.monotonic_ns.saturating_sub(begun_ns));
        self.deliver_records();
        self.note_activity(key, false);
        self.arm_deadline(key);
        self.enqueue(key);
    }

    /// Extends the deadlines of clients that are sending or receiving by the duration of a slow turn, less one second:
    /// their sockets may have been full meanwhile, they waited for `100 (Continue)`, or the next send may be refused for
    /// lack of memory. One second still counts. Otherwise a client that sends or reads nothing would never time out while
    /// every turn is slow.
    pub(super) fn extend_deadlines_after_slow_turn(&mut self) {
        let took_ns = self.cx.now.monotonic_ns.saturating_sub(self.polled_ns);
        let late_ns = took_ns.saturating_sub(COUNTED_NS_MAX);
        if late_ns > 0 {
            debug!(
                "a turn took {} ms: the deadlines of clients that are sending or receiving are extended",
                took_ns / 1_000_000
            );
            for (_, session) in &mut self.sessions {
                session.connection.extend_deadlines(late_ns, &self.cx.shared, &self.cx.now);
            }
            self.added_ns = self.added_ns.saturating_add(late_ns);
        }
    }

    /// Extends the deadlines of a client that is sending or receiving by the time that its session has waited in the queue
    /// since `since_ns`, less one second. The next drive may read only a part of what the client has sent, because its
    /// socket was full.
    pub(super) fn extend_deadlines_after_wait(&mut self, key: usize, since_ns: u64) {
        let waited_ns = self.counted_ns(self.polled_ns).saturating_sub(since_ns);
        let late_ns = waited_ns.saturating_sub(COUNTED_NS_MAX);
        if late_ns == 0 {
            return;
        }
        // The timers of one that has not been driven begin later.
        if let Some(session) = self.sessions.get_mut(key).filter(|session| session.is_registered) {
            debug!("connection {}: waited in the queue for {} ms", session.connection.number(), waited_ns / 1_000_000);
            session.connection.extend_deadlines(late_ns, &self.cx.shared, &self.cx.now);
        }
    }

    /// The time `at_ns` without what slow turns have added to the deadlines: that must not be added again for those who
    /// waited in the queue meanwhile.
    pub(super) fn counted_ns(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(self.added_ns)
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
