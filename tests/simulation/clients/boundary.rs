//! Clients that send at the edge of a limit: just inside of it, and then they must be served, or just outside, and then they
//! must be ended. Which of both it was is judged by what happened at the server's socket, and not by what they meant to do.

use spindle::http1::limits::{
    CONTENT_BYTES_PER_SECOND_MIN, CONTENT_CREDIT_NS, CONTENT_GRACE_NS, DRAIN_NS, DRAIN_SILENCE_NS, HEAD_TIMEOUT_NS,
    IDLE_TIMEOUT_NS,
};

use crate::simulation::clients::responses::{Parsed, parse};
use crate::simulation::clients::{Client, ClientSocket};
use crate::simulation::network::{MILLISECOND, SECOND};
use crate::simulation::timeouts::{History, Moment, when_past};

/// The limit that a client goes to the edge of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boundary {
    /// The time for a head, of which the first byte is the one behind so many bytes.
    Head { from: u64 },
    /// The time until the next request.
    Idle,
    /// The rate of content, of which the head has so many bytes.
    Content { head_bytes: u64 },
    /// The time for content of which no byte comes, but of its framing.
    Framing { head_bytes: u64 },
    /// The time for which is listened behind the last response.
    Drain,
}

/// Bytes of a script.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    /// How long after the piece before, or after the answer to it.
    pub wait_ns: u64,
    pub awaits_response: bool,
    pub bytes: usize,
}

/// A client that sends a stream of bytes in pieces at their times, and reads all that comes at once.
pub(crate) struct BoundaryClient {
    boundary: Boundary,
    stream: Vec<u8>,
    script: Vec<Piece>,
    /// Whether anything but its limits may end it: scarce places.
    is_limited: bool,
    next: usize,
    sent: usize,
    next_ns: Option<u64>,
    read: Vec<u8>,
    has_seen_end: bool,
    is_done: bool,
    complaint: Option<String>,
}

/// What the limit says of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It kept to it, and must be served.
    Inside,
    /// It did not, at this time at the latest as the server sees it; it is judged no earlier than the other.
    Outside { from_ns: u64, until_ns: u64 },
    /// Too close to say.
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
            complaint: None,
        }
    }

    /// The final responses that were read, and whether something else is behind them.
    fn statuses(&self) -> Result<Vec<u16>, String> {
        let (mut statuses, mut rest) = (Vec::new(), &self.read[..]);
        // Each round takes a response.
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
        // Each round sends a piece.
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

    /// How many final responses end its talk with the server, if that does not.
    fn responses_wanted(&self) -> usize {
        match self.boundary {
            Boundary::Head { from: 0 } | Boundary::Content { .. } | Boundary::Framing { .. } => 1,
            Boundary::Head { .. } | Boundary::Idle => 2,
            // It wants to see the end.
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
                let asked_bytes = self.script.first().map_or(0, |piece| piece.bytes as u64);
                let outstanding = when_past(&history.arrivals, asked_bytes);
                let until_ns = outstanding.map_or(u64::MAX, |outstanding| outstanding.at_ns);
                let response = history.sends.iter().rev().find(|(sent, _)| sent.at_ns <= until_ns);
                let Some((answered, _)) = response else { return Verdict::Either };
                one_wait(*answered, IDLE_TIMEOUT_NS, outstanding, now, margin_ns)
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

    /// The connection is over, or all is answered.
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
        let held = self.statuses().and_then(|statuses| self.hold(verdict, &statuses, ended_ns, responded_ns));
        socket.count(match verdict {
            Verdict::Inside => "just within a limit",
            Verdict::Outside { .. } => "just beyond a limit",
            Verdict::Either => "at a limit",
        });
        if let Err(about) = held {
            self.complaint =
                Some(format!("at {} ms, {:?}, {verdict:?}: {about}", now.at_ns / MILLISECOND, self.boundary));
        }
    }

    /// Holds what it was given against what it must be given.
    fn hold(&self, verdict: Verdict, statuses: &[u16], ended_ns: u64, responded_ns: Option<u64>) -> Result<(), String> {
        let (within, right): (Option<u64>, bool) = match (self.boundary, verdict) {
            (Boundary::Head { from: 0 }, Verdict::Inside) => (None, statuses == [204]),
            (Boundary::Head { .. } | Boundary::Idle, Verdict::Inside) => (None, statuses == [204, 204]),
            (Boundary::Content { .. } | Boundary::Framing { .. }, Verdict::Inside) => {
                (None, statuses.len() == 1 && statuses != [408])
            }
            (Boundary::Head { from: 0 }, Verdict::Outside { .. }) => (responded_ns, statuses == [408]),
            // It may have been refused before, for another reason.
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
            return Err(format!("it was given {statuses:?}"));
        }
        match (verdict, within) {
            (Verdict::Outside { from_ns, until_ns }, Some(at_ns)) if !(from_ns..=until_ns).contains(&at_ns) => {
                Err(format!("it was ended at {} ms", at_ns / MILLISECOND))
            }
            _ => Ok(()),
        }
    }
}

/// A wait of `limit_ns` that began at `begun`, and was over with `came`.
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

/// The first of two that is not inside.
fn worse(one: Verdict, other: Verdict) -> Verdict {
    if one == Verdict::Inside { other } else { one }
}

/// The server listens until the client was silent for too long, or all of it was too long, and not for less. That it does
/// not listen for longer is seen at each connection.
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

    fn complaint(&self) -> Option<String> {
        self.complaint.clone()
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
