//! What a turn of the loop may cost: the loop never turns twice without progress or time passing, and no loop within a turn
//! has no bound. The bounds are those of `src/server`: they are not the same constants, since a test that read them there
//! would agree with whatever they are.

use std::collections::HashMap;

/// Turns in a row in which nothing was seen to happen and no time passed. A deadline that has passed may cost two. And
/// requests that have been received may be answered without a call while the socket takes nothing: until 64 KiB of responses
/// wait (`OUTPUT_BYTES_FULL`), of 64 bytes at least, 256 a turn (`STEPS_PER_DRIVE`).
const IDLE_TURNS_MAX: u32 = 2 + 64 * 1024 / (64 * 256);

/// How often a turn drives a connection at most: once as it is ready or new, and once more as one that asked for much
/// (`drive_ready` or `accept`, then `drive_busy`).
const DRIVES_MAX: u64 = 2;

/// Calls of a drive that would block: one to receive and one to send. Each ends the hope for that until an event comes.
const BLOCKED_PER_DRIVE: u64 = 2;

/// Calls of a drive: it takes 256 steps at most (`STEPS_PER_DRIVE`), of which each may lead to a receive and a send, as both
/// do for each request of a pipeline that comes in pieces. Sends of content are bounded by their bytes, a mebibyte
/// (`BYTES_PER_DRIVE`), and the least that a socket takes at a time, unless a fault makes that less.
const CALLS_PER_DRIVE: u64 = 2 * 256;

/// Bytes that a drive moves (`BYTES_PER_DRIVE`), unless a single call moves more.
const BYTES_PER_DRIVE: u64 = 1024 * 1024;

/// Calls to accept at a listener in a turn (`ACCEPTED_PER_TURN`).
const ACCEPTS_MAX: u64 = 64;

/// Calls for one connection in one turn.
#[derive(Default)]
struct Calls {
    calls: u64,
    /// Those that would block.
    blocked: u64,
    /// Bytes received and sent, and the most that one call received or sent.
    bytes: u64,
    bytes_per_call_max: u64,
}

/// What the loop has done since it last waited.
#[derive(Default)]
pub(crate) struct TurnBudget {
    /// Waits so far.
    pub turns: u64,
    has_progressed: bool,
    waited_ns: u64,
    idle_turns: u32,
    calls: HashMap<usize, Calls>,
    accepts: HashMap<usize, u64>,
}

impl TurnBudget {
    pub(crate) fn progressed(&mut self) {
        self.has_progressed = true;
    }

    /// The loop waits again, with so many things to be told.
    pub(crate) fn begin(&mut self, now_ns: u64, told: usize) {
        self.turns += 1;
        let is_idle = !self.has_progressed && told == 0 && self.waited_ns == now_ns;
        self.idle_turns = if is_idle { self.idle_turns + 1 } else { 0 };
        assert!(self.idle_turns <= IDLE_TURNS_MAX, "the loop turns again and again, and does nothing");
        (self.has_progressed, self.waited_ns) = (false, now_ns);
        self.calls.clear();
        self.accepts.clear();
    }

    /// A call for a connection, to receive or to send.
    pub(crate) fn called(&mut self, link: usize) {
        let Calls { calls, .. } = self.calls.entry(link).or_default();
        *calls += 1;
        assert!(*calls <= DRIVES_MAX * CALLS_PER_DRIVE, "one turn makes {calls} calls for a connection");
    }

    /// A call for a connection that would block.
    pub(crate) fn blocked(&mut self, link: usize) {
        let Calls { blocked, .. } = self.calls.entry(link).or_default();
        *blocked += 1;
        let most = DRIVES_MAX * BLOCKED_PER_DRIVE;
        assert!(*blocked <= most, "one turn makes {blocked} calls for a connection that would block");
    }

    /// A call for a connection has received or sent bytes.
    pub(crate) fn moved(&mut self, link: usize, call_bytes: u64) {
        let Calls { bytes, bytes_per_call_max, .. } = self.calls.entry(link).or_default();
        *bytes += call_bytes;
        *bytes_per_call_max = call_bytes.max(*bytes_per_call_max);
        let most = DRIVES_MAX * (BYTES_PER_DRIVE + *bytes_per_call_max);
        assert!(*bytes <= most, "one turn moves {bytes} bytes of a connection");
    }

    pub(crate) fn accepted(&mut self, listener: usize) {
        let accepts = self.accepts.entry(listener).or_default();
        *accepts += 1;
        assert!(*accepts <= ACCEPTS_MAX, "one turn accepts {accepts} times from a listener");
    }
}
