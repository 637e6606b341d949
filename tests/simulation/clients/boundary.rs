//! Clients that send close to a limit: just within it, so that they must be served, or just beyond it, so that they
//! must be ended. Which of the two it was is decided by what happened at the server's socket, not by the client's plan.

use spindle::http1::limits::{
    CONTENT_BYTES_PER_SECOND_MIN, CONTENT_CREDIT_NS, CONTENT_GRACE_NS, DRAIN_NS, DRAIN_SILENCE_NS, HEAD_TIMEOUT_NS,
    IDLE_TIMEOUT_NS,
};

use crate::simulation::clients::responses::{Parsed, parse};
use crate::simulation::clients::{Client, ClientSocket};
use crate::simulation::network::{MILLISECOND, SECOND};
use crate::simulation::timeouts::{History, Moment, when_past};

/// The limit that a client probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boundary {
    /// The time for a head whose first byte comes after `from` bytes.
    Head { from: u64 },
    /// The time between two requests.
    Idle,
    /// The rate of content. The head has `head_bytes` bytes.
    Content { head_bytes: u64 },
    /// The time for chunked framing without any byte of content.
    Framing { head_bytes: u64 },
    /// The drain timeout after the last response.
    Drain,
}

/// Bytes of the script.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    /// The time since the previous piece, or since the response to it.
    pub wait_ns: u64,
    pub awaits_response: bool,
    pub bytes: usize,
}

/// A client that sends a script in timed pieces, and reads everything at once.
pub(crate) struct BoundaryClient {
    boundary: Boundary,
    stream: Vec<u8>,
    script: Vec<Piece>,
    /// Whether something else may end it: the connection limit.
    is_limited: bool,
    next: usize,
    sent: usize,
    next_ns: Option<u64>,
    read: Vec<u8>,
    has_seen_end: bool,
    is_done: bool,
    violation: Option<String>,
}

/// Whether a client was within its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It was, and must be served.
    Inside,
    /// It was not, and must be ended between these times.
    Outside { from_ns: u64, until_ns: u64 },
    /// Too close to the limit to decide.
    Either,
}

impl BoundaryClient {
    pub(crate) fn new(boundary: Boundary, stream: Vec<u8>, script: Vec<Piece>, is_limited: bool) -> BoundaryClient {
        BoundaryClient {
            boundary,
            stream,
            script,
            is_limited,
            next: 0,
            sent: 0,
            next_ns: None,
            read: Vec::new(),
            has_seen_end: false,
            is_done: false,
            violation: None,
        }
    }

    /// The statuses of the final responses that were read.
    fn statuses(&self) -> Result<Vec<u16>, String> {
        let (mut statuses, mut rest) = (Vec::new(), &self.read[..]);
        // Each iteration takes a response.
        loop {
            match parse(rest, false, self.has_seen_end) {
                Parsed::Response(response) => {
                    rest = &rest[response.bytes..];
                    if response.status >= 200 {
                        statuses.push(response.status);
                    }
                }
                Parsed::Partial if rest.is_empty() || !self.has_seen_end => return Ok(statuses),
                Parsed::Partial => return Err("a response that was cut short".to_owned()),
                Parsed::Malformed(reason) => return Err(reason),
            }
        }
    }

    fn send_what_is_due(&mut self, socket: &mut ClientSocket<'_>) {
        let now_ns = socket.now_ns();
        // Each iteration sends a piece.
        while let Some(piece) = self.script.get(self.next).copied() {
            let has_response = !self.read.is_empty();
            if piece.awaits_response && !has_response {
                return;
            }
            let due_ns = *self.next_ns.get_or_insert(now_ns + piece.wait_ns);
            if now_ns < due_ns {
                return socket.wake_in(due_ns - now_ns);
            }
            let end = (self.sent + piece.bytes).min(self.stream.len());
            socket.send(&self.stream[self.sent..end]);
            (self.sent, self.next, self.next_ns) = (end, self.next + 1, None);
        }
    }

    /// After how many final responses the client is done.
    fn responses_wanted(&self) -> usize {
        match self.boundary {
            Boundary::Head { from: 0 } | Boundary::Content { .. } | Boundary::Framing { .. } => 1,
            Boundary::Head { .. } | Boundary::Idle => 2,
            // It waits for the end of the connection.
            Boundary::Drain => usize::MAX,
        }
    }

    fn verdict(&self, history: &History, now: Moment, margin_ns: u64) -> Verdict {
        match self.boundary {
            Boundary::Head { from } => {
                let whole = when_past(&history.arrivals, self.stream.len() as u64 - 1);
                when_past(&history.reads, from)
                    .map_or(Verdict::Either, |begun| one_wait(begun, HEAD_TIMEOUT_NS, whole, now, margin_ns))
            }
            Boundary::Idle => {
                let first_request_bytes = self.script.first().map_or(0, |piece| piece.bytes as u64);
                let second_request = when_past(&history.arrivals, first_request_bytes);
                let until_ns = second_request.map_or(u64::MAX, |second_request| second_request.at_ns);
                let response = history.sends.iter().rev().find(|(sent, _)| sent.at_ns <= until_ns);
                let Some((sent, _)) = response else { return Verdict::Either };
                one_wait(*sent, IDLE_TIMEOUT_NS, second_request, now, margin_ns)
            }
            Boundary::Framing { head_bytes } => {
                let whole = when_past(&history.arrivals, self.stream.len() as u64 - 1);
                when_past(&history.reads, head_bytes - 1)
                    .map_or(Verdict::Either, |begun| one_wait(begun, CONTENT_GRACE_NS, whole, now, margin_ns))
            }
            Boundary::Content { head_bytes } => self.content_verdict(history, head_bytes, now, margin_ns),
            Boundary::Drain => drain_verdict(history, margin_ns),
        }
    }

    fn content_verdict(&self, history: &History, head_bytes: u64, now: Moment, margin_ns: u64) -> Verdict {
        let Some(begun) = when_past(&history.reads, head_bytes - 1) else { return Verdict::Either };
        let mut at = Moment { at_ns: begun.at_ns + CONTENT_GRACE_NS, ..begun };
        let mut before = head_bytes;
        let mut verdict = Verdict::Inside;
        for (read, bytes) in history.reads.iter().filter(|(_, bytes)| *bytes > head_bytes) {
            let arrived = when_past(&history.arrivals, before).unwrap_or(*read);
            verdict = worse(verdict, one_wait(at, 0, Some(arrived), now, margin_ns));
            let earned_ns = (bytes - before) * SECOND / CONTENT_BYTES_PER_SECOND_MIN;
            let at_ns = (at.at_ns + earned_ns).min(read.at_ns + CONTENT_CREDIT_NS);
            (at, before) = (Moment { at_ns, ..at }, *bytes);
        }
        let is_whole = before >= self.stream.len() as u64;
        let end = when_past(&history.arrivals, before);
        if is_whole { verdict } else { worse(verdict, one_wait(at, 0, end, now, margin_ns)) }
    }

    /// The connection has ended, or all responses have come.
    fn finish(&mut self, socket: &mut ClientSocket<'_>) {
        self.is_done = true;
        socket.close();
        if self.is_limited || socket.may_have_other_causes() {
            return;
        }
        let margin_ns = 5 * MILLISECOND + 200 * socket.inner.settings.call_ns_max;
        let now = socket.inner.moment();
        let history = &socket.inner.links[socket.link].history;
        let verdict = self.verdict(history, now, margin_ns);
        let ended_ns = history.closed.map_or(now.at_ns, |closed| closed.at_ns);
        let responded_ns = history.sends.last().map(|(at, _)| at.at_ns);
        let held = self.statuses().and_then(|statuses| self.compare(verdict, &statuses, ended_ns, responded_ns));
        socket.count(match verdict {
            Verdict::Inside => "just within a limit",
            Verdict::Outside { .. } => "just beyond a limit",
            Verdict::Either => "at a limit",
        });
        if let Err(about) = held {
            self.violation =
                Some(format!("at {} ms, {:?}, {verdict:?}: {about}", now.at_ns / MILLISECOND, self.boundary));
        }
    }

    /// Compares the responses with the verdict.
    fn compare(
        &self,
        verdict: Verdict,
        statuses: &[u16],
        ended_ns: u64,
        responded_ns: Option<u64>,
    ) -> Result<(), String> {
        let (within, right): (Option<u64>, bool) = match (self.boundary, verdict) {
            (Boundary::Head { from: 0 }, Verdict::Inside) => (None, statuses == [204]),
            (Boundary::Head { .. } | Boundary::Idle, Verdict::Inside) => (None, statuses == [204, 204]),
            (Boundary::Content { .. } | Boundary::Framing { .. }, Verdict::Inside) => {
                (None, statuses.len() == 1 && statuses != [408])
            }
            (Boundary::Head { from: 0 }, Verdict::Outside { .. }) => (responded_ns, statuses == [408]),
            // The server may have refused it earlier, for another reason.
            (Boundary::Content { .. } | Boundary::Framing { .. }, Verdict::Outside { .. }) => match statuses {
                [408] => (responded_ns, true),
                _ => (None, statuses.len() == 1 && statuses[0] >= 400),
            },
            (Boundary::Head { .. }, Verdict::Outside { .. }) => (responded_ns, statuses == [204, 408]),
            (Boundary::Idle, Verdict::Outside { .. }) => (Some(ended_ns), statuses == [204]),
            (Boundary::Drain, _) => (Some(ended_ns), statuses == [400] && self.has_seen_end),
            (_, Verdict::Either) => (None, true),
        };
        if !right {
            return Err(format!("it received {statuses:?}"));
        }
        match (verdict, within) {
            (Verdict::Outside { from_ns, until_ns }, Some(at_ns)) if !(from_ns..=until_ns).contains(&at_ns) => {
                Err(format!("its connection ended at {} ms", at_ns / MILLISECOND))
            }
            _ => Ok(()),
        }
    }
}

/// The verdict on one wait of `limit_ns` that began at `begun` and was ended by `came`.
fn one_wait(begun: Moment, limit_ns: u64, came: Option<Moment>, now: Moment, margin_ns: u64) -> Verdict {
    let (from_ns, until_ns) = ((begun.at_ns + limit_ns).saturating_sub(margin_ns), begun.latest_ns(limit_ns, now));
    match came {
        Some(came) if came.at_ns <= from_ns => Verdict::Inside,
        Some(came) if came.at_ns <= until_ns => Verdict::Either,
        Some(_) => Verdict::Outside { from_ns, until_ns },
        None if now.at_ns > until_ns => Verdict::Outside { from_ns, until_ns },
        None => Verdict::Either,
    }
}

/// The first of the two that is not `Inside`.
fn worse(one: Verdict, other: Verdict) -> Verdict {
    if one == Verdict::Inside { other } else { one }
}

/// The server drains until the client has been silent for too long, or for the maximum time, and not shorter. That it
/// does not drain longer is checked for each connection.
fn drain_verdict(history: &History, margin_ns: u64) -> Verdict {
    let Some(ended) = history.ended else { return Verdict::Either };
    let mut from_ns = ended.at_ns + DRAIN_SILENCE_NS - margin_ns;
    for (arrived, _) in history.arrivals.iter().filter(|(arrived, _)| arrived.at_ns > ended.at_ns) {
        if arrived.at_ns > from_ns {
            break;
        }
        from_ns = (arrived.at_ns + DRAIN_SILENCE_NS).min(ended.at_ns + DRAIN_NS) - margin_ns;
    }
    Verdict::Outside { from_ns, until_ns: u64::MAX }
}

impl Client for BoundaryClient {
    fn act(&mut self, socket: &mut ClientSocket<'_>) {
        if self.is_done {
            return;
        }
        let read = socket.read(usize::MAX);
        self.read.extend(read);
        self.has_seen_end |= socket.has_ended();
        let has_response = self.statuses().is_ok_and(|statuses| statuses.len() >= self.responses_wanted());
        let is_over = socket.is_lost() || self.has_seen_end && self.boundary != Boundary::Drain;
        if is_over || has_response {
            return self.finish(socket);
        }
        self.send_what_is_due(socket);
        if self.boundary == Boundary::Drain
            && self.next == self.script.len()
            && socket.inner.links[socket.link].closed_ns.is_some()
        {
            self.finish(socket);
        }
    }

    fn violation(&self) -> Option<String> {
        self.violation.clone()
    }

    fn name(&self) -> &'static str {
        match self.boundary {
            Boundary::Head { .. } => "at the edge of the head's time",
            Boundary::Idle => "at the edge of idleness",
            Boundary::Framing { .. } => "at the edge of framing's time",
            Boundary::Content { .. } => "at the edge of content's rate",
            Boundary::Drain => "at the edge of draining",
        }
    }
}
