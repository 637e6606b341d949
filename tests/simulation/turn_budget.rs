//! Limits on the work of one turn of the event loop. The loop must not spin: only a few turns in a row may make no
//! progress while no time passes. Each loop within a turn is bounded. The bounds repeat those of `src/server` as constants
//! of their own: a test that imported them would accept any value.

use std::collections::HashMap;

/// The most turns in a row without visible progress and without time passing. A deadline that has passed may cost two.
/// There may be 256 sessions that have nothing to do, of which a turn drives at least three (`DRIVE_NS`). While a socket
/// takes nothing, the server responds to requests that it received before without a call: up to 64 KiB of responses
/// (`OUTPUT_BYTES_FULL`) of at least 64 bytes, 256 a turn (`STEPS_PER_DRIVE`).
const IDLE_TURNS_MAX: u32 = 2 + 256 / 3 + 64 * 1024 / (64 * 256);

/// How often a turn drives a connection at most: once from the queue (`drive_queued`), and once because it is new
/// (`accept`).
const DRIVES_MAX: u64 = 2;

/// The most calls of a drive that would block: one to receive and one to send. After each the session waits for an
/// event.
const BLOCKED_PER_DRIVE: u64 = 2;

/// The most calls of a drive. It takes 256 steps (`STEPS_PER_DRIVE`), and each may lead to a receive and a send, as
/// with a pipeline that arrives in pieces. Sends of content are bounded by `BYTES_PER_DRIVE` and by the least that a
/// socket takes at a time, unless a fault makes that less.
const CALLS_PER_DRIVE: u64 = 2 * 256;

/// The most bytes of a drive (`BYTES_PER_DRIVE`). One more call may exceed it.
const BYTES_PER_DRIVE: u64 = 1024 * 1024;

/// The most calls to accept on a listener in a turn (`ACCEPTED_PER_TURN`).
const ACCEPTS_MAX: u64 = 64;

/// The same where connections may be refused (`TAKEN_PER_TURN`).
const TAKEN_MAX: u64 = 512;

/// The calls for one connection in one turn.
#[derive(Default)]
struct Calls {
    calls: u64,
    /// How many would block.
    blocked: u64,
    /// The bytes received and sent, in total and by the largest call.
    bytes: u64,
    bytes_per_call_max: u64,
}

/// What the loop has done since its last wait.
#[derive(Default)]
pub(crate) struct TurnBudget {
    /// The number of waits.
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

    /// The loop waits again. `pending` notifications are waiting.
    pub(crate) fn begin(&mut self, now_ns: u64, pending: usize) {
        self.turns += 1;
        let is_idle = !self.has_progressed && pending == 0 && self.waited_ns == now_ns;
        self.idle_turns = if is_idle { self.idle_turns + 1 } else { 0 };
        assert!(self.idle_turns <= IDLE_TURNS_MAX, "the loop spins without progress");
        (self.has_progressed, self.waited_ns) = (false, now_ns);
        self.calls.clear();
        self.accepts.clear();
    }

    /// A call to receive or to send.
    pub(crate) fn called(&mut self, link: usize) {
        let Calls { calls, .. } = self.calls.entry(link).or_default();
        *calls += 1;
        assert!(*calls <= DRIVES_MAX * CALLS_PER_DRIVE, "one turn makes {calls} calls for a connection");
    }

    /// A call that would block.
    pub(crate) fn blocked(&mut self, link: usize) {
        let Calls { blocked, .. } = self.calls.entry(link).or_default();
        *blocked += 1;
        let most = DRIVES_MAX * BLOCKED_PER_DRIVE;
        assert!(*blocked <= most, "one turn makes {blocked} calls for a connection that would block");
    }

    /// A call that has received or sent bytes.
    pub(crate) fn moved(&mut self, link: usize, call_bytes: u64) {
        let Calls { bytes, bytes_per_call_max, .. } = self.calls.entry(link).or_default();
        *bytes += call_bytes;
        *bytes_per_call_max = call_bytes.max(*bytes_per_call_max);
        let most = DRIVES_MAX * (BYTES_PER_DRIVE + *bytes_per_call_max);
        assert!(*bytes <= most, "one turn moves {bytes} bytes of a connection");
    }

    pub(crate) fn accepted(&mut self, listener: usize, may_refuse: bool) {
        let accepts = self.accepts.entry(listener).or_default();
        *accepts += 1;
        let most = if may_refuse { TAKEN_MAX } else { ACCEPTS_MAX };
        assert!(*accepts <= most, "one turn accepts {accepts} times from a listener");
    }
}
