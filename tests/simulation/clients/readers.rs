//! Clients that read slowly, close to the write-stall timeout, and clients that never read.

use crate::simulation::clients::responses::{Parsed, parse};
use crate::simulation::clients::{Client, ClientSocket};
use crate::simulation::network::{MILLISECOND, SECOND};
use crate::simulation::timeouts::write_stall_ns;

/// A client that pauses before it reads on for slightly less or slightly more than the write-stall timeout.
pub(crate) struct SlowReader {
    requests: Vec<u8>,
    /// How many responses it must receive, and the length of their content.
    wanted: usize,
    content_bytes: usize,
    /// By how much it exceeds the timeout; negative if it must be served.
    beyond_ns: i64,
    /// Whether something else may end it: the connection limit, or a disk that fails.
    may_be_ended: bool,
    has_begun: bool,
    read: Vec<u8>,
    /// How many bytes it reads before the next pause.
    to_read: usize,
    /// When it will be woken.
    wakes_ns: u64,
    is_done: bool,
    violation: Option<String>,
}

impl SlowReader {
    pub(crate) fn new(
        request: &[u8],
        wanted: usize,
        content_bytes: usize,
        beyond_ns: i64,
        may_be_ended: bool,
    ) -> SlowReader {
        SlowReader {
            requests: request.repeat(wanted),
            wanted,
            content_bytes,
            beyond_ns,
            may_be_ended,
            has_begun: false,
            read: Vec::new(),
            to_read: 0,
            wakes_ns: 0,
            is_done: false,
            violation: None,
        }
    }

    /// Reads if the pause is over, and otherwise asks to be woken when it is.
    fn read_in_time(&mut self, socket: &mut ClientSocket<'_>) {
        let now_ns = socket.now_ns();
        let link = &socket.inner.links[socket.link];
        let path = link.path;
        let Some((sent, _)) = link.history.sends.last() else { return };
        let due_ns = (sent.at_ns + write_stall_ns(path.send_buffer_bytes)).saturating_add_signed(self.beyond_ns);
        let is_over = link.closed_ns.is_some() || link.server_has_ended;
        if self.to_read == 0 && now_ns >= due_ns {
            self.to_read = path.client_buffer_bytes + path.send_buffer_bytes / 2;
        } else if self.to_read == 0 && !is_over {
            return self.wake_in(socket, due_ns - now_ns);
        }
        let most = if is_over { usize::MAX } else { self.to_read };
        let read = socket.read(most);
        self.to_read = self.to_read.saturating_sub(read.len());
        self.read.extend(read);
        if !is_over && self.to_read > 0 {
            // All bytes in flight arrive within that time.
            self.wake_in(socket, 10 * MILLISECOND);
        }
    }

    fn wake_in(&mut self, socket: &mut ClientSocket<'_>, ns: u64) {
        let now_ns = socket.now_ns();
        if self.wakes_ns <= now_ns {
            self.wakes_ns = now_ns + ns;
            socket.wake_in(ns);
        }
    }

    fn responses(&self) -> Result<usize, String> {
        let (mut responses, mut rest) = (0, &self.read[..]);
        // Each iteration takes a response.
        while let Parsed::Response(response) = parse(rest, false, false) {
            if response.status != 200 || response.content.len() != self.content_bytes {
                return Err(format!("{} with {} bytes", response.status, response.content.len()));
            }
            (responses, rest) = (responses + 1, &rest[response.bytes..]);
        }
        Ok(responses)
    }

    fn finish(&mut self, socket: &mut ClientSocket<'_>) {
        self.is_done = true;
        let has_ended_it = socket.inner.links[socket.link].closed_ns.is_some();
        socket.close();
        if self.may_be_ended || socket.may_have_other_causes() {
            return;
        }
        let is_inside = self.beyond_ns < 0;
        socket.count(if is_inside { "reads just in time" } else { "reads just too late" });
        let right = match self.responses() {
            Ok(responses) if is_inside => responses == self.wanted,
            // The rest fits into the buffers, so that no further read is needed.
            Ok(responses) => has_ended_it || responses == self.wanted,
            Err(_) => false,
        };
        if !right {
            let (now_ms, path) = (socket.now_ns() / MILLISECOND, socket.inner.links[socket.link].path);
            self.violation = Some(format!(
                "at {now_ms} ms it reads {} ms late, and has {:?} of {} responses, {path:?}",
                self.beyond_ns / MILLISECOND as i64,
                self.responses(),
                self.wanted,
            ));
        }
    }
}

impl Client for SlowReader {
    fn act(&mut self, socket: &mut ClientSocket<'_>) {
        if self.is_done {
            return;
        }
        if !self.has_begun {
            self.has_begun = true;
            socket.send(&std::mem::take(&mut self.requests));
        }
        self.read_in_time(socket);
        let is_served = self.read.len() >= self.wanted * self.content_bytes && self.responses() == Ok(self.wanted);
        if socket.has_ended() || socket.is_lost() || is_served {
            self.finish(socket);
        }
    }

    fn violation(&self) -> Option<String> {
        self.violation.clone()
    }

    fn name(&self) -> &'static str {
        "reads slowly"
    }
}

/// A client that keeps sending requests and never reads.
pub(crate) struct NonReader {
    request: Vec<u8>,
    every_ns: u64,
    leaves_ns: u64,
    next_ns: u64,
    has_begun: bool,
    is_done: bool,
}

/// How long it sends requests.
const NON_READER_REQUESTS_NS: u64 = 60 * SECOND;

impl NonReader {
    pub(crate) fn new(request: Vec<u8>, every_ns: u64, leaves_ns: u64) -> NonReader {
        NonReader { request, every_ns, leaves_ns, next_ns: 0, has_begun: false, is_done: false }
    }
}

impl Client for NonReader {
    fn act(&mut self, socket: &mut ClientSocket<'_>) {
        let now_ns = socket.now_ns();
        if !self.has_begun {
            self.has_begun = true;
            socket.wake_in(self.leaves_ns.saturating_sub(now_ns));
        }
        if !self.is_done && (now_ns >= self.leaves_ns || socket.is_lost()) {
            self.is_done = true;
            socket.close();
        }
        let accepted_ns = socket.inner.links[socket.link].accepted_ns;
        let requests = accepted_ns.is_none_or(|accepted_ns| now_ns < accepted_ns + NON_READER_REQUESTS_NS);
        if !self.is_done && requests && now_ns >= self.next_ns && socket.unsent_bytes() == 0 {
            self.next_ns = now_ns + self.every_ns;
            socket.send(&self.request);
            socket.wake_in(self.every_ns);
        }
    }

    fn name(&self) -> &'static str {
        "pipelines without reading"
    }
}
