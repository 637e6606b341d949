//! Checks the server's timeouts from outside. The events at each of its sockets are recorded, and no wait may take longer
//! than its limit, whatever the client does.

use std::num::NonZeroU64;

use spindle::http1::limits::{
    DRAIN_NS, DRAIN_SHORT_NS, DRAIN_SILENCE_NS, IDLE_TIMEOUT_NS, READER_BYTES_PER_SECOND_MIN, SHUTDOWN_IDLE_NS,
    WRITE_STALL_NS,
};

use crate::simulation::network::{MILLISECOND, SECOND};
use crate::simulation::records::CLOCK_LAG_NS;

/// How late a deadline may be noticed, besides the server's own work. A delayed notification arrives within a few
/// milliseconds.
pub(crate) const TOLERANCE_NS: u64 = 10 * MILLISECOND;

/// A time, and how long the server had worked by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub at_ns: u64,
    pub busy_ns: u64,
}

impl Moment {
    /// The latest time at which a wait of `limit_ns` that began now may end, seen from `now`. While the server works it
    /// may not check the wait; and it adds the time of a slow turn to the deadline, which is as much again at most.
    pub(crate) fn latest_ns(self, limit_ns: u64, now: Moment) -> u64 {
        self.at_ns + limit_ns + TOLERANCE_NS + 2 * (now.busy_ns - self.busy_ns)
    }
}

/// An event at the server's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Accepted,
    /// So many bytes were read.
    Read(u64),
    /// So many bytes were sent.
    Sent(u64),
    /// A send found no room.
    Blocked,
    /// The server has half-closed.
    Ended,
    Closed,
}

/// The events at a connection's socket so far.
#[derive(Default)]
pub(crate) struct History {
    /// The total of bytes after each arrival, each read and each send.
    pub arrivals: Vec<(Moment, u64)>,
    pub reads: Vec<(Moment, u64)>,
    pub sends: Vec<(Moment, u64)>,
    pub accepted: Option<Moment>,
    pub ended: Option<Moment>,
    pub closed: Option<Moment>,
    blocked: Option<Moment>,
    /// The time of the last progress of any kind.
    progressed: Option<Moment>,
}

/// How long a client may take to empty a full send buffer.
pub(crate) fn write_stall_ns(send_buffer_bytes: usize) -> u64 {
    WRITE_STALL_NS + send_buffer_bytes as u64 / READER_BYTES_PER_SECOND_MIN * SECOND
}

impl History {
    /// Notes a step. Returns which wait before it was too long. `shutdown` is when the server began to shut down.
    pub(crate) fn note(
        &mut self,
        step: Step,
        now: Moment,
        send_buffer_bytes: usize,
        shutdown: Option<Moment>,
    ) -> Option<String> {
        let exceeded = self.exceeded(now, send_buffer_bytes, shutdown);
        if step == Step::Blocked {
            self.blocked.get_or_insert(now);
            return exceeded;
        }
        self.progressed = Some(now);
        match step {
            Step::Accepted => self.accepted = Some(now),
            Step::Read(bytes) => add(&mut self.reads, now, bytes),
            Step::Sent(bytes) => {
                add(&mut self.sends, now, bytes);
                self.blocked = None;
            }
            Step::Ended => self.ended = Some(now),
            Step::Closed => self.closed = Some(now),
            Step::Blocked => {}
        }
        exceeded
    }

    fn exceeded(&self, now: Moment, send_buffer_bytes: usize, shutdown: Option<Moment>) -> Option<String> {
        let last_read = self.reads.last().map(|(at, _)| *at);
        let silent = self.ended.map(|ended| last_read.filter(|read| read.at_ns > ended.at_ns).unwrap_or(ended));
        let unheard = self.accepted.filter(|_| last_read.is_none());
        // A shutdown restarts the waits that it shortens.
        let in_shutdown = |since: Option<Moment>| Some(later(since?, shutdown?));
        let waits = [
            ("a first byte", unheard, IDLE_TIMEOUT_NS),
            ("a first byte in shutdown", in_shutdown(unheard), SHUTDOWN_IDLE_NS),
            ("the client's end in shutdown", in_shutdown(self.ended), DRAIN_SHORT_NS),
            ("a client that does not read", self.blocked, write_stall_ns(send_buffer_bytes)),
            ("the client's end", self.ended, DRAIN_NS),
            ("a byte after the end", silent, DRAIN_SILENCE_NS),
            ("anything", self.progressed, IDLE_TIMEOUT_NS.max(write_stall_ns(send_buffer_bytes))),
        ];
        waits.into_iter().find_map(|(what, since, limit_ns)| {
            let since = since?;
            let is_over = now.at_ns > since.latest_ns(limit_ns, now);
            is_over.then(|| {
                let (waited_ms, limit_ms) = ((now.at_ns - since.at_ns) / MILLISECOND, limit_ns / MILLISECOND);
                format!("the server has waited {waited_ms} ms for {what}; the limit is {limit_ms} ms")
            })
        })
    }

    /// Whether more was sent or received than a limited rate allows: at once what a tenth of a second is enough for. The
    /// loop's clock may be late when it accepts.
    pub(crate) fn exceeds_rate(&self, rate: NonZeroU64, now: Moment) -> Option<String> {
        let open_ns = now.at_ns - self.accepted?.at_ns;
        let most =
            (u128::from(open_ns + SECOND / 10 + CLOCK_LAG_NS) * u128::from(rate.get()) / u128::from(SECOND)) as u64 + 1;
        let moved = [("sent", &self.sends), ("received", &self.reads)].map(|(what, moved)| (what, moved.last()));
        moved.into_iter().find_map(|(what, last)| {
            let (_, bytes) = last.filter(|(_, bytes)| *bytes > most)?;
            Some(format!("{bytes} bytes were {what}, and at most {most} were allowed"))
        })
    }

    /// Bytes have arrived at the server's socket.
    pub(crate) fn arrived(&mut self, now: Moment, bytes_in_all: u64) {
        self.arrivals.push((now, bytes_in_all));
    }
}

fn later(one: Moment, other: Moment) -> Moment {
    if one.at_ns < other.at_ns { other } else { one }
}

fn add(counts: &mut Vec<(Moment, u64)>, now: Moment, bytes: u64) {
    let before = counts.last().map_or(0, |(_, count)| *count);
    counts.push((now, before + bytes));
}

/// When the total first exceeded `bytes`.
pub(crate) fn when_past(counts: &[(Moment, u64)], bytes: u64) -> Option<Moment> {
    counts.iter().find(|(_, count)| *count > bytes).map(|(at, _)| *at)
}
