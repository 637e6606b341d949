//! An honest client. It sends valid requests, reads the responses, and checks them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use spindle::http1::TOO_MANY_CONNECTIONS;
use spindle::http1::limits::IDLE_TIMEOUT_NS;

use crate::simulation::clients::behaviour::{Behaviour, Closing};
use crate::simulation::clients::exchanges::{Exchange, ReceivedResponse};
use crate::simulation::clients::expected::{Expected, ResponseCheck};
use crate::simulation::clients::request::{Content, Expect, OutstandingRequest, Request, SentAt};
use crate::simulation::clients::responses::{Parsed, Response, bytes_at_least, parse};
use crate::simulation::clients::{Client, ClientSocket};
use crate::simulation::file_model::FileModel;
use crate::simulation::link::{Link, Path};
use crate::simulation::network::{MILLISECOND, SECOND};
use crate::simulation::scenario::HOSTILE_UNTIL_NS;
use crate::simulation::timeouts::when_past;

/// How much longer a response may take than the network and the server's work.
const RESPONSE_MARGIN_NS: u64 = 250 * MILLISECOND;

/// How long a connection without a request in progress is kept at the connection limit: a quarter of a second after it
/// was accepted, as much after the response to a request that arrives meanwhile, and the pause before the next search
/// for such connections.
const EVICTED_AFTER_NS: u64 = 510 * MILLISECOND;

/// The same for a connection whose last response was sent while the client goes on sending, which is read and dropped.
const DRAINED_AFTER_NS: u64 = EVICTED_AFTER_NS + 2 * SECOND;

/// How often a client retries if its connection is closed before the response.
const ATTEMPTS_MAX: u32 = 50;

/// An honest client with one connection.
pub(crate) struct Honest {
    pub(super) behaviour: Behaviour,
    model: Rc<RefCell<FileModel>>,
    path: Path,
    listener: usize,
    remaining: VecDeque<Request>,
    pub(super) outstanding: VecDeque<OutstandingRequest>,
    /// Bytes that it has not sent yet, the length of its pieces, and when it sends the next one.
    to_send: VecDeque<u8>,
    piece_bytes: usize,
    sends_from_ns: u64,
    /// The bytes sent so far, and urgent ones in addition.
    sent_bytes: u64,
    pub(super) urgent_bytes: u64,
    pub(super) read: Vec<u8>,
    /// How many bytes are needed before another attempt to parse is worthwhile.
    parses_from: usize,
    attempt: u32,
    /// When it sends the next request; `None` before it has connected.
    requests_from_ns: Option<u64>,
    reads_from_ns: u64,
    responded_ns: u64,
    /// How often it has paused reading since the last response.
    pauses: u64,
    /// When it received a response that announces the end of the connection.
    pub(super) last_response: Option<SentAt>,
    is_done: bool,
    violation: Option<String>,
}

impl Honest {
    pub(crate) fn new(
        remaining: Vec<Request>,
        behaviour: Behaviour,
        model: &Rc<RefCell<FileModel>>,
        path: Path,
        listener: usize,
    ) -> Honest {
        Honest {
            behaviour,
            model: Rc::clone(model),
            path,
            listener,
            remaining: remaining.into(),
            outstanding: VecDeque::new(),
            to_send: VecDeque::new(),
            piece_bytes: usize::MAX,
            sends_from_ns: 0,
            sent_bytes: 0,
            urgent_bytes: 0,
            read: Vec::new(),
            parses_from: 0,
            attempt: 0,
            requests_from_ns: None,
            reads_from_ns: 0,
            responded_ns: 0,
            pauses: 0,
            last_response: None,
            is_done: false,
            violation: None,
        }
    }

    fn report_violation(&mut self, socket: &mut ClientSocket<'_>, about: String) {
        let now_ns = socket.now_ns();
        self.violation.get_or_insert(format!("at {} ms: {about}", now_ns / MILLISECOND));
        self.is_done = true;
        socket.close();
    }

    fn next_request(&self) -> String {
        self.outstanding.front().map(|outstanding| outstanding.request.to_string()).unwrap_or_default()
    }

    fn read_some(&mut self, socket: &mut ClientSocket<'_>) {
        let now_ns = socket.now_ns();
        if socket.received_bytes() == 0 {
            return;
        }
        if self.behaviour.reads_every_ns > 0 {
            if now_ns < self.reads_from_ns {
                return;
            }
            self.reads_from_ns = now_ns + self.behaviour.reads_every_ns;
            self.pauses += 1;
            socket.wake_in(self.behaviour.reads_every_ns);
        }
        let bytes = socket.read(self.behaviour.reads_bytes_max);
        self.read.extend(bytes);
    }

    /// Takes one response, if it has arrived completely. Returns whether it has.
    fn take_response(&mut self, socket: &mut ClientSocket<'_>) -> bool {
        let has_ended = socket.has_ended();
        if self.read.len() < self.parses_from && !has_ended {
            return false;
        }
        self.parses_from = 0;
        let Some(outstanding) = self.outstanding.front_mut() else {
            // A client that has no place may get its response before it sends. That it has none is checked elsewhere.
            if !TOO_MANY_CONNECTIONS.starts_with(&self.read) {
                self.report_violation(socket, "a response without a request".to_owned());
            }
            return false;
        };
        match parse(&self.read, outstanding.request.is_head(), has_ended) {
            Parsed::Partial => {
                self.parses_from = bytes_at_least(&self.read, outstanding.request.is_head());
                false
            }
            Parsed::Malformed(reason) => {
                self.report_violation(socket, reason);
                false
            }
            Parsed::Response(response) if response.status == 100 => {
                self.read.drain(..response.bytes);
                self.continue_received(socket);
                !self.is_done
            }
            Parsed::Response(response) => {
                self.read.drain(..response.bytes);
                self.check_response(socket, &response);
                !self.is_done
            }
        }
    }

    /// 100 (Continue) was received.
    fn continue_received(&mut self, socket: &mut ClientSocket<'_>) {
        let Some(outstanding) = self.outstanding.front_mut() else { return };
        let was_asked_for =
            !outstanding.request.may_be_pipelined() && !std::mem::replace(&mut outstanding.was_continued, true);
        if !was_asked_for {
            let about = format!("an unexpected interim response, requested {}", outstanding.request);
            return self.report_violation(socket, about);
        }
        let held_back = std::mem::take(&mut outstanding.held_back);
        self.send(socket, &held_back);
    }

    fn check_response(&mut self, socket: &mut ClientSocket<'_>, response: &Response) {
        if self.last_response.is_some() {
            return self.report_violation(socket, "a response after the last one".to_owned());
        }
        let Some(outstanding) = self.outstanding.pop_front() else { return };
        let now_ns = socket.now_ns();
        self.record_response(socket, &outstanding, response);
        if response.status == 408 && self.may_be_late(socket, &outstanding) {
            self.outstanding.push_front(outstanding);
            self.last_response = Some(sent_now(socket));
            return;
        }
        let is_ending = socket.inner.signal_ns.is_some();
        let checked = self.check_expected(&outstanding, response, now_ns);
        // The server makes at most sixteen archives at a time. Other clients may be receiving these.
        let is_archive = matches!(outstanding.request.expected, Expected::Archive { .. });
        let archives_may_be_held = is_archive && socket.inner.open > 16;
        // A request that needs a descriptor gets a 503 while there is none.
        let is_for_now = response.status == 503 && (self.behaviour.is_limited || archives_may_be_held)
            || self.behaviour.disk_may_fail && [500, 503, 507].contains(&response.status);
        let kept = outstanding.request.check_persistence(response, !outstanding.held_back.is_empty());
        let may_close = is_ending || self.behaviour.disk_may_fail || self.may_be_too_slow(&outstanding.request);
        let checked = if is_for_now { Ok(()) } else { checked.and(if may_close { Ok(()) } else { kept }) };
        let checked = checked.and_then(|()| self.check_time(socket, &outstanding));
        let checked = checked.and_then(|()| check_last(socket, &outstanding, response));
        self.responded_ns = now_ns;
        if let Err(about) = checked {
            return self.report_violation(socket, format!("{about}, requested {}", outstanding.request));
        }
        socket.count(&format!("answered {}", response.status));
        self.attempt = 0;
        if response.closes() || response.ends_with_connection {
            self.last_response = Some(sent_now(socket));
            self.to_send.clear();
            socket.wake_in(10 * SECOND);
        }
        let pause_ns = socket.random().u64(..=self.behaviour.pause_ns_max);
        self.requests_from_ns = Some(now_ns + pause_ns);
        socket.wake_in(pause_ns);
    }

    fn check_expected(&self, outstanding: &OutstandingRequest, response: &Response, now_ns: u64) -> Result<(), String> {
        ResponseCheck { outstanding, response, model: &mut self.model.borrow_mut(), now_ns }.check()
    }

    /// Whether 408 is allowed: the shutdown began before the complete request had arrived. A second is the time for a head
    /// then. A slow turn takes it, and after that a call that would block without a reason makes the deadline pass.
    fn may_be_late(&self, socket: &ClientSocket<'_>, outstanding: &OutstandingRequest) -> bool {
        let link = &socket.inner.links[socket.link];
        let had_arrived = link.arrived_by_signal_bytes.unwrap_or(0) >= outstanding.end + self.urgent_bytes;
        let at_work_ns = outstanding.sent.as_ref().map_or(0, |sent| socket.inner.busy_ns() - sent.busy_ns);
        let was_slow = at_work_ns >= SECOND && socket.inner.settings.faults.blocked_receive > 0;
        socket.inner.signal_ns.is_some() && (!had_arrived || was_slow)
    }

    /// Whether its content may take too long: where each disk call takes seconds, the server takes no more from it at a
    /// time than its socket holds.
    fn may_be_too_slow(&self, request: &Request) -> bool {
        let is_long = request.content.is_some_and(|content| content.bytes > self.path.receive_buffer_bytes);
        self.behaviour.disk_is_slow_always && is_long
    }

    /// Checks whether the response came in time.
    fn check_time(&mut self, socket: &ClientSocket<'_>, outstanding: &OutstandingRequest) -> Result<(), String> {
        let now_ns = socket.now_ns();
        let own_ns = (std::mem::take(&mut self.pauses) + 1) * self.behaviour.reads_every_ns;
        if self.behaviour.is_limited && self.behaviour.evictable_max.is_none() {
            // After the last hostile client has left, each other client may keep a descriptor until it times out.
            let other_clients_ns = IDLE_TIMEOUT_NS * socket.inner.links.len() as u64;
            let is_late = now_ns > HOSTILE_UNTIL_NS + other_clients_ns + socket.inner.busy_ns();
            return if is_late { Err("a response long after all other clients had left".to_owned()) } else { Ok(()) };
        }
        // A response may arrive before the request was sent completely.
        let Some(sent) = outstanding.sent else { return Ok(()) };
        let network_ns = self.network_ns(socket, &sent);
        let at_work_ns = socket.inner.busy_ns() - sent.busy_ns;
        let took_ns = now_ns - sent.at_ns.max(self.responded_ns);
        let waiting_ns = self.eviction_ns(socket) + self.slowed_ns(socket);
        if took_ns <= network_ns + own_ns + at_work_ns + waiting_ns + RESPONSE_MARGIN_NS {
            return Ok(());
        }
        Err(format!(
            "a response after {} ms, of which {} on the way and {} at work",
            took_ns / MILLISECOND,
            network_ns / MILLISECOND,
            at_work_ns / MILLISECOND,
        ))
    }

    /// How long all bytes of the connection take at a limited rate, in one direction after the other.
    fn slowed_ns(&self, socket: &ClientSocket<'_>) -> u64 {
        let link = &socket.inner.links[socket.link];
        let bytes = link.read_bytes + link.output.len() as u64;
        socket.inner.settings.rate.map_or(0, |rate| bytes * SECOND / rate)
    }

    /// How long the client may have to wait at the connection limit until others have been evicted. During a slow disk
    /// call many clients may have connected before it. Each of these gets its turn: so many at a time as can be evicted.
    /// The listeners take turns, and so the other listener's backlog may go before it as often. A connection that ended
    /// while its client was sending may have been drained until then.
    fn eviction_ns(&self, socket: &ClientSocket<'_>) -> u64 {
        let Some(evictable_max) = self.behaviour.evictable_max else { return 0 };
        let before = (socket.inner.links[socket.link].queued_behind + 1) * socket.inner.settings.listeners;
        let was_drained = |link: &Link| link.server_has_ended && link.reset_was_received;
        let evicted_after_ns =
            if socket.inner.links.iter().any(was_drained) { DRAINED_AFTER_NS } else { EVICTED_AFTER_NS };
        before.div_ceil(evictable_max) as u64 * evicted_after_ns
    }

    /// The longest that the flights since then can have taken.
    fn network_ns(&self, socket: &ClientSocket<'_>, since: &SentAt) -> u64 {
        let flights = socket.inner.links[socket.link].flights - since.flights;
        (flights + 4) * (self.path.latency_ns + self.path.jitter_ns)
    }

    /// Notes what the record of the exchange must say.
    fn record_response(&self, socket: &mut ClientSocket<'_>, outstanding: &OutstandingRequest, response: &Response) {
        let response = ReceivedResponse {
            status: response.status,
            received_bytes: outstanding.request.received_bytes(response),
            sent_bytes: response.framed_bytes as u64,
            at_ns: socket.now_ns(),
        };
        let exchanges = socket.inner.links[socket.link].exchanges.iter_mut().flatten();
        if let Some(exchange) = exchanges.into_iter().find(|exchange| exchange.response.is_none()) {
            exchange.response = Some(response);
        }
    }

    fn send_requests(&mut self, socket: &mut ClientSocket<'_>) {
        let now_ns = socket.now_ns();
        let requests_from_ns = *self.requests_from_ns.get_or_insert_with(|| {
            socket.wake_in(self.behaviour.silent_ns);
            now_ns + self.behaviour.silent_ns
        });
        if now_ns < requests_from_ns || self.last_response.is_some() {
            return;
        }
        let mut bytes = Vec::new();
        while self.outstanding.len() < self.behaviour.pipelined {
            let may_follow = self.outstanding.iter().all(|outstanding| outstanding.request.may_be_followed());
            let next = self
                .remaining
                .front()
                .filter(|next| self.outstanding.is_empty() || may_follow && next.may_be_pipelined());
            if next.is_none() {
                break;
            }
            let Some(request) = self.remaining.pop_front() else { break };
            bytes.extend(self.begin(socket, request, bytes.len()));
        }
        self.send(socket, &bytes);
    }

    /// Encodes a request that is sent after `bytes_before` bytes of others. Returns what is sent of it now.
    fn begin(&mut self, socket: &mut ClientSocket<'_>, request: Request, bytes_before: usize) -> Vec<u8> {
        let now_ns = socket.now_ns();
        let written = request.write(&mut self.model.borrow_mut(), now_ns);
        let exchange = Exchange {
            request: format!("{} {}", request.method, request.sent_target()),
            version: request.version(),
            requested_ns: now_ns,
            response: None,
        };
        socket.inner.links[socket.link].exchanges.get_or_insert_default().push(exchange);
        let head_end = self.sent_bytes + (self.to_send.len() + bytes_before + written.head.len()) as u64;
        let (mut bytes, mut held_back, mut content_from_ns) = (written.head, Vec::new(), 0);
        let end = head_end + written.content.len() as u64;
        if let Some(Content { expect: Expect::Continue { for_ns }, .. }) = request.content {
            (held_back, content_from_ns) = (written.content, for_ns.map_or(u64::MAX, |for_ns| now_ns + for_ns));
            if let Some(for_ns) = for_ns {
                socket.wake_in(for_ns);
            }
        } else {
            bytes.extend(written.content);
        }
        let (version, tag) = (written.version, written.tag);
        let (at_ns, sent, was_continued) = (now_ns, None, false);
        self.outstanding.push_back(OutstandingRequest {
            request,
            version,
            tag,
            held_back,
            content_from_ns,
            head_end,
            end,
            at_ns,
            sent,
            was_continued,
        });
        bytes
    }

    /// Sends bytes, possibly in pieces.
    fn send(&mut self, socket: &mut ClientSocket<'_>, bytes: &[u8]) {
        self.to_send.extend(bytes);
        self.piece_bytes = match self.behaviour.pieces {
            0 | 1 => usize::MAX,
            pieces => (2 * self.to_send.len() / pieces).max(1),
        };
        self.send_pieces(socket);
    }

    fn send_pieces(&mut self, socket: &mut ClientSocket<'_>) {
        // Each iteration sends a piece.
        while !self.to_send.is_empty() && socket.now_ns() >= self.sends_from_ns {
            let most = self.piece_bytes.min(self.to_send.len());
            let bytes = if self.behaviour.pieces > 1 { socket.random().usize(1..=most) } else { most };
            let is_urgent = self.behaviour.sends_urgent && socket.random().u8(..4) == 0;
            if is_urgent && socket.inner.links[socket.link].urgent_at.is_none() {
                socket.next_is_urgent();
                socket.send(b"!");
                self.urgent_bytes += 1;
            }
            let piece: Vec<u8> = self.to_send.drain(..bytes).collect();
            socket.send(&piece);
            self.sent_bytes += bytes as u64;
            if self.behaviour.piece_every_ns_max > 0 {
                let pause_ns = socket.random().u64(1..=self.behaviour.piece_every_ns_max);
                self.sends_from_ns = socket.now_ns() + pause_ns;
                socket.wake_in(pause_ns);
            }
        }
        let now = sent_now(socket);
        for outstanding in &mut self.outstanding {
            if outstanding.end <= self.sent_bytes {
                outstanding.sent.get_or_insert(now);
            }
        }
        let is_last = self.remaining.is_empty() && self.to_send.is_empty();
        if is_last
            && self.outstanding.iter().all(|outstanding| outstanding.held_back.is_empty())
            && self.behaviour.closing == Closing::HalfClosesEarly
        {
            socket.end();
        }
    }

    /// Sends the content when 100 (Continue) has not come in time.
    fn send_without_continue(&mut self, socket: &mut ClientSocket<'_>) {
        let now_ns = socket.now_ns();
        let Some(outstanding) =
            self.outstanding.front_mut().filter(|outstanding| now_ns >= outstanding.content_from_ns)
        else {
            return;
        };
        if !outstanding.held_back.is_empty() && self.last_response.is_none() {
            let held_back = std::mem::take(&mut outstanding.held_back);
            socket.count("sends content without 100 (Continue)");
            self.send(socket, &held_back);
        }
    }

    /// The connection has ended. If it was allowed to, the client retries on another one.
    fn reconnect(&mut self, socket: &mut ClientSocket<'_>) {
        self.is_done = true;
        socket.close();
        if self.outstanding.is_empty() && self.remaining.is_empty() {
            return;
        }
        if !self.may_end(socket) || !self.may_be_cut_short(socket) {
            let bytes = self.read.len();
            let about =
                format!("the connection ended, with {bytes} bytes of a response; requested {}", self.next_request());
            return self.report_violation(socket, about);
        }
        if socket.inner.signal_ns.is_some() {
            return;
        }
        if self.attempt == ATTEMPTS_MAX {
            return self.give_up(socket);
        }
        let remaining =
            self.outstanding.drain(..).map(|outstanding| outstanding.request).chain(self.remaining.drain(..)).collect();
        let mut next = Honest::new(remaining, self.behaviour.clone(), &self.model, self.path, self.listener);
        next.attempt = self.attempt + 1;
        // Retries come at growing intervals. Otherwise clients would keep evicting each other.
        let in_ns = socket.random().u64(..SECOND / 2 * u64::from(self.attempt.min(9) + 1));
        socket.count("retries on another connection");
        socket.add_client(in_ns, self.listener, self.path, Box::new(next));
    }

    /// The client has retried often enough.
    fn give_up(&mut self, socket: &mut ClientSocket<'_>) {
        let sends_slowly = self.outstanding.front().is_none_or(|first| first.sent.is_none());
        if self.behaviour.disk_may_fail {
            socket.count("gives up because of the disk");
        } else if socket.inner.links[socket.link].was_refused {
            // Others of its address may hold its connections for as long as they like. `shares.rs` has checked the refusal.
            socket.count("gives up because it is refused");
        } else if self.behaviour.is_limited && sends_slowly {
            // At the connection limit others may take the place of each client that needs longer for its request than
            // the server keeps such connections.
            socket.count("gives up because it sends slowly");
        } else {
            self.report_violation(socket, "no response after all retries".to_owned());
        }
    }

    /// After the last response the server must end the connection at once.
    fn check_end(&mut self, socket: &mut ClientSocket<'_>) {
        let Some(last) = self.last_response else { return };
        let waited_ns = socket.now_ns() - last.at_ns;
        let at_work_ns = socket.inner.busy_ns() - last.busy_ns;
        if waited_ns > self.network_ns(socket, &last) + at_work_ns + RESPONSE_MARGIN_NS + self.behaviour.reads_every_ns
        {
            self.report_violation(socket, "the connection did not end after the last response".to_owned());
        }
    }
}

fn sent_now(socket: &ClientSocket<'_>) -> SentAt {
    SentAt { at_ns: socket.now_ns(), busy_ns: socket.inner.busy_ns(), flights: socket.inner.links[socket.link].flights }
}

/// Checks that a response announces the end of the connection if the server read the request during a shutdown.
fn check_last(socket: &ClientSocket<'_>, outstanding: &OutstandingRequest, response: &Response) -> Result<(), String> {
    let history = &socket.inner.links[socket.link].history;
    let Some(shutdown) = socket.inner.shutdown else { return Ok(()) };
    let was_read_later =
        when_past(&history.reads, outstanding.head_end - 1).is_some_and(|read| read.at_ns > shutdown.at_ns);
    let is_last = response.closes() || response.ends_with_connection;
    if was_read_later && !is_last {
        return Err("a response during a shutdown does not announce the end of the connection".to_owned());
    }
    Ok(())
}

impl Client for Honest {
    fn act(&mut self, socket: &mut ClientSocket<'_>) {
        if self.is_done {
            return;
        }
        self.read_some(socket);
        // Each iteration takes a response.
        while self.take_response(socket) {}
        if self.is_done {
            return;
        }
        if socket.has_ended() || socket.is_lost() {
            return self.reconnect(socket);
        }
        self.check_end(socket);
        self.send_without_continue(socket);
        self.send_pieces(socket);
        self.send_requests(socket);
        let has_all = self.outstanding.is_empty() && self.remaining.is_empty();
        if has_all && self.to_send.is_empty() && self.behaviour.closing == Closing::Closes {
            self.is_done = true;
            socket.close();
        }
    }

    fn violation(&self) -> Option<String> {
        // At the connection limit the client may never have been accepted.
        let may_never_be_accepted = self.behaviour.is_limited && self.behaviour.evictable_max.is_none();
        let was_never_accepted = may_never_be_accepted && self.outstanding.is_empty() && self.read.is_empty();
        let is_waiting =
            !(self.is_done || was_never_accepted || self.outstanding.is_empty() && self.remaining.is_empty());
        let waits = is_waiting.then(|| format!("no response and no reason; waiting for {}", self.next_request()));
        self.violation.clone().or(waits)
    }

    fn name(&self) -> &'static str {
        "honest"
    }

    fn describe(&self) -> String {
        let requests: Vec<String> = self.remaining.iter().map(Request::to_string).collect();
        format!("honest, {:?}, requests {}", self.behaviour, requests.join("; "))
    }
}
