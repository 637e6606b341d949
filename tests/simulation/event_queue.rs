//! What will happen, in the order of the times; of what happens at one time, what was planned first comes first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What will happen.
#[derive(Debug)]
pub(crate) enum Event {
    Connect {
        link: usize,
        attempt: u32,
    },
    ToServer(usize),
    ToClient(usize),
    /// The client wanted to be called.
    Wake(usize),
    /// Readiness that a fault has kept back.
    Notify(usize),
    /// The server is asked to end.
    Signal,
    /// The wall clock is set, by so many nanoseconds.
    ClockSet(i64),
    /// The number of connections that the server may have open changes.
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

/// All that will happen.
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

    /// What happens next, and when.
    pub(crate) fn next(&self) -> Option<(u64, &Event)> {
        self.entries.peek().map(|Reverse(entry)| (entry.at_ns, &entry.event))
    }

    pub(crate) fn pop(&mut self) -> Option<(u64, Event)> {
        self.entries.pop().map(|Reverse(entry)| (entry.at_ns, entry.event))
    }
}
