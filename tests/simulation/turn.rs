//! What a turn of the loop may cost: the loop never turns twice without progress or time passing, and no loop within a turn
//! has no bound.

/// Turns in a row in which nothing happened and no time passed. A deadline that has passed may cost one or two.
const IDLE_TURNS_MAX: u32 = 3;

/// What the loop has done since it last waited.
#[derive(Default)]
pub(crate) struct Turn {
    /// Waits so far.
    pub turns: u64,
    has_progressed: bool,
    waited_ns: u64,
    idle_turns: u32,
    /// Calls for connections since the last wait, and those of them of which nothing came.
    calls: u64,
    blocked_calls: u64,
    accepts: u64,
}

impl Turn {
    pub(crate) fn progressed(&mut self) {
        self.has_progressed = true;
    }

    /// The loop waits again, with so many things to be told and connections open.
    pub(crate) fn begin(&mut self, now_ns: u64, told: usize) {
        self.turns += 1;
        let is_idle = !self.has_progressed && told == 0 && self.waited_ns == now_ns;
        self.idle_turns = if is_idle { self.idle_turns + 1 } else { 0 };
        assert!(self.idle_turns <= IDLE_TURNS_MAX, "the loop turns again and again, and does nothing");
        (self.has_progressed, self.waited_ns) = (false, now_ns);
        (self.calls, self.blocked_calls, self.accepts) = (0, 0, 0);
    }

    /// A call for a connection. A drive makes some hundreds at most, and each connection is driven a few times a turn.
    pub(crate) fn called(&mut self, connections: usize) {
        self.calls += 1;
        assert!(self.calls <= 2000 * (connections as u64 + 64), "one turn makes {} calls", self.calls);
    }

    /// A call that would block: for each connection one to receive and one to send are to be expected, each time it is
    /// driven.
    pub(crate) fn blocked(&mut self, connections: usize) {
        self.blocked_calls += 1;
        let most = 8 * (connections as u64 + 64);
        assert!(self.blocked_calls <= most, "one turn makes {} calls that would block", self.blocked_calls);
    }

    pub(crate) fn accepted(&mut self, listeners: usize) {
        self.accepts += 1;
        assert!(self.accepts <= 65 * listeners as u64, "one turn accepts {} times", self.accepts);
    }
}
