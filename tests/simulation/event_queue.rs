//! The queue of future events, ordered by time. Events at the same time happen in the order in which they were
//! scheduled.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A future event.
#[derive(Debug)]
pub(crate) enum Event {
    Connect {
        link: usize,
        attempt: u32,
    },
    /// The kernel no longer holds back a silent connection.
    HandOver(usize),
    ToServer(usize),
    ToClient(usize),
    /// Calls a client that has scheduled this call.
    Wake(usize),
    /// Delivers a readiness notification that a fault has delayed.
    Notify(usize),
    /// Writes that version of the accounts file, or a broken one, and asks the server to read it.
    Accounts(Option<usize>),
    /// The same with the file of keys.
    Keys(Option<usize>),
    /// Asks the server to shut down.
    Signal,
    /// Moves the wall clock by so many nanoseconds.
    ClockSet(i64),
    /// Sets the number of descriptors that the server may have open.
    Descriptors(usize),
}

#[derive(Debug)]
struct Entry {
    at_ns: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        (self.at_ns, self.number).cmp(&(other.at_ns, other.number))
    }
}

/// All future events.
#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    entries: BinaryHeap<Reverse<Entry>>,
    planned: u64,
}

impl EventQueue {
    pub(crate) fn push(&mut self, at_ns: u64, event: Event) {
        self.planned += 1;
        self.entries.push(Reverse(Entry { at_ns, number: self.planned, event }));
    }

    /// The next event, and its time.
    pub(crate) fn next(&self) -> Option<(u64, &Event)> {
        self.entries.peek().map(|Reverse(entry)| (entry.at_ns, &entry.event))
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Event)> {
        self.entries.pop().map(|Reverse(entry)| (entry.at_ns, entry.event))
    }
}
