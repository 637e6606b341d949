//! Honest clients that upload a file with "Resumable Uploads for HTTP": in parts, on connections that are cut at any
//! byte, on two connections at a time, with lost responses, and across restarts of the server.
//!
//! Each upload has a name of its own. So the file is the one that was sent, or there is none.

mod checks;
mod plan;
mod requests;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use fastrand::Rng;

pub(crate) use self::plan::Plan;
use self::requests::Sent;
use crate::simulation::clients::responses::{Parsed, parse};
use crate::simulation::clients::{Client, ClientSocket};
use crate::simulation::link::Path;
use crate::simulation::network::{MILLISECOND, SECOND};
use crate::simulation::scenario::one_of;

/// How many connections a client makes at most for one upload.
const CONNECTIONS_MAX: u32 = 60;

/// How many requests it sends at most. After half of them it sends all content that is left, and cuts nothing.
const REQUESTS_MAX: u32 = 60;
/// One connection of an upload.
pub(crate) struct Resuming {
    plan: Rc<RefCell<Plan>>,
    path: Path,
    listener: usize,
    sent: Sent,
    sent_ns: u64,
    /// Whether the upload had expired when this connection was made.
    has_expired: bool,
    /// The upload resource that it was sent to.
    resource: Option<String>,
    /// The highest offset that the server had sent before. The response on another connection may overtake this one.
    promised: usize,
    /// The rest of a request that is sent slowly.
    pieces: VecDeque<Vec<u8>>,
    next_piece_ns: u64,
    /// When the client drops the connection, whatever it has received, and whether it resets it.
    cut: Option<(u64, bool)>,
    /// The offset that the server has just reported.
    offset: Option<usize>,
    is_complete: bool,
    /// Whether another connection continues the upload.
    has_rival: bool,
    read: Vec<u8>,
    next_request_ns: u64,
    is_done: bool,
    violation: Option<String>,
}

impl Resuming {
    pub(crate) fn new(plan: &Rc<RefCell<Plan>>, path: Path, listener: usize) -> Resuming {
        Resuming {
            plan: Rc::clone(plan),
            path,
            listener,
            sent: Sent::Nothing,
            sent_ns: 0,
            has_expired: false,
            resource: None,
            promised: 0,
            pieces: VecDeque::new(),
            next_piece_ns: 0,
            cut: None,
            offset: None,
            is_complete: false,
            has_rival: false,
            read: Vec::new(),
            next_request_ns: 0,
            is_done: false,
            violation: None,
        }
    }

    fn report(&mut self, socket: &mut ClientSocket<'_>, about: &str) {
        let now_ns = socket.now_ns();
        let (sent, name) = (&self.sent, &self.plan.borrow().name);
        self.violation.get_or_insert(format!("at {} ms: {about}, {name}, after {sent:?}", now_ns / MILLISECOND));
        self.is_done = true;
        socket.close();
    }

    fn send_request(&mut self, socket: &mut ClientSocket<'_>) {
        let now_ns = socket.now_ns();
        if self.sent != Sent::Nothing || now_ns < self.next_request_ns {
            return;
        }
        let plan_cell = Rc::clone(&self.plan);
        let mut plan = plan_cell.borrow_mut();
        plan.requests += 1;
        if plan.requests > REQUESTS_MAX && !plan.disk_may_fail {
            drop(plan);
            return self.report(socket, "an upload that does not end");
        }
        if plan.requests > 2 * REQUESTS_MAX {
            plan.is_done = true;
            return;
        }
        let is_patient = plan.requests > REQUESTS_MAX / 2;
        let mut random = socket.random().fork();
        let (bytes, sent) = plan.next_request(self.offset, self.is_complete, is_patient, &mut random);
        plan.is_cancelled |= sent == Sent::Delete;
        if let Sent::Part { creates, end, complete, .. } = sent {
            if plan.version.is_none() {
                let (name, content) = (plan.name.clone(), Rc::clone(&plan.content));
                let mut model = plan.model.borrow_mut();
                let version = model.sends(&name, content, now_ns);
                if plan.repr_digest == Some(false) {
                    model.refused(&version);
                }
                drop(model);
                plan.version = Some(version);
            }
            plan.sent_max = plan.sent_max.max(end);
            plan.may_be_published |= complete;
            socket.inner.coverage.count("upload", if creates { "created" } else { "continued" });
        }
        (self.sent, self.sent_ns, self.promised) = (sent, now_ns, plan.promised);
        self.resource.clone_from(&plan.resource);
        drop(plan);
        self.send_bytes(socket, bytes, is_patient, &mut random);
    }

    /// Sends a request: at once, slowly, or only a part of it.
    fn send_bytes(&mut self, socket: &mut ClientSocket<'_>, mut bytes: Vec<u8>, is_patient: bool, random: &mut Rng) {
        let cuts = !is_patient && random.u8(..3) == 0;
        if cuts {
            bytes.truncate(random.usize(..=bytes.len()));
            // If the request was sent completely, its response is lost.
            let in_ns = one_of(random, &[0, MILLISECOND, 200 * MILLISECOND, 3 * SECOND]);
            self.cut = Some((socket.now_ns() + in_ns, random.bool()));
            socket.wake_in(in_ns);
        }
        if random.u8(..4) == 0 && bytes.len() > 8 {
            // Longer than the interval of the interim responses with an offset.
            for piece in bytes.chunks(bytes.len().div_ceil(4)) {
                self.pieces.push_back(piece.to_vec());
            }
            self.cut = self.cut.map(|(at_ns, resets)| (at_ns + random.u64(..6 * SECOND), resets));
            if let Some((at_ns, _)) = self.cut {
                socket.wake_in(at_ns - socket.now_ns());
            }
            let is_part = matches!(self.sent, Sent::Part { creates: false, .. });
            if is_part && !is_patient && random.bool() && self.plan.borrow().connections < CONNECTIONS_MAX / 2 {
                self.has_rival = true;
                self.add_connection(socket, random.u64(..5 * SECOND));
            }
            self.send_pieces(socket);
        } else {
            socket.send(&bytes);
        }
    }

    fn send_pieces(&mut self, socket: &mut ClientSocket<'_>) {
        if socket.now_ns() < self.next_piece_ns {
            return;
        }
        let Some(piece) = self.pieces.pop_front() else { return };
        socket.send(&piece);
        self.next_piece_ns = socket.now_ns() + 1_200 * MILLISECOND;
        socket.wake_in(1_200 * MILLISECOND);
    }

    fn add_connection(&self, socket: &mut ClientSocket<'_>, in_ns: u64) {
        self.plan.borrow_mut().connections += 1;
        let next = Resuming::new(&self.plan, self.path, self.listener);
        socket.add_client(in_ns, self.listener, self.path, Box::new(next));
    }

    /// Continues on another connection.
    fn reconnect(&mut self, socket: &mut ClientSocket<'_>) {
        self.is_done = true;
        socket.close();
        let plan = self.plan.borrow();
        if plan.is_done || socket.inner.signal_ns.is_some() || self.has_rival {
            return;
        }
        if plan.connections >= CONNECTIONS_MAX {
            let is_excused = plan.disk_may_fail || socket.inner.crashed_ns.is_some();
            drop(plan);
            if !is_excused {
                self.report(socket, "no response on all connections");
            }
            return;
        }
        drop(plan);
        // Longer pauses let an upload expire.
        let in_ns = one_of(socket.random(), &[0, 0, 100 * MILLISECOND, SECOND, 5 * SECOND, 25 * SECOND, 40 * SECOND]);
        self.add_connection(socket, in_ns);
    }

    /// Takes one response. Returns whether there was one.
    fn take_response(&mut self, socket: &mut ClientSocket<'_>) -> bool {
        if self.sent == Sent::Nothing {
            if !self.read.is_empty() {
                self.report(socket, "a response without a request");
            }
            return false;
        }
        match parse(&self.read, self.sent == Sent::Head, false) {
            Parsed::Partial => false,
            Parsed::Malformed(reason) => {
                self.report(socket, &reason);
                false
            }
            Parsed::Response(response) => {
                self.read.drain(..response.bytes);
                let checked =
                    if response.status < 200 { self.interim(socket, &response) } else { self.check(socket, &response) };
                if let Err(about) = checked {
                    self.report(socket, &format!("{about}: {response:?}"));
                    return false;
                }
                if response.status >= 200 {
                    self.has_expired = false;
                    self.sent = Sent::Nothing;
                    let unsent = self.pieces.len();
                    self.pieces.clear();
                    if response.closes() || unsent > 0 || self.has_rival && response.status == 409 {
                        self.reconnect(socket);
                        return false;
                    }
                    let pause_ns = one_of(socket.random(), &[0, 0, MILLISECOND, 2 * SECOND]);
                    self.next_request_ns = socket.now_ns() + pause_ns;
                    socket.wake_in(pause_ns);
                }
                true
            }
        }
    }
}

impl Client for Resuming {
    fn act(&mut self, socket: &mut ClientSocket<'_>) {
        if self.is_done {
            return;
        }
        let now_ns = socket.now_ns();
        {
            let mut plan = self.plan.borrow_mut();
            self.has_expired |= plan.has_expired(socket);
            plan.touched_ns = plan.touched_ns.map(|_| now_ns);
        }
        if let Some((at_ns, resets)) = self.cut
            && socket.now_ns() >= at_ns
        {
            if resets {
                socket.reset();
            }
            return self.reconnect(socket);
        }
        let read = socket.read(usize::MAX);
        self.read.extend(read);
        // Each iteration takes a response.
        while self.take_response(socket) {}
        if self.is_done {
            return;
        }
        if socket.has_ended() || socket.is_lost() {
            return self.reconnect(socket);
        }
        if self.plan.borrow().is_done {
            self.is_done = true;
            return socket.close();
        }
        self.send_pieces(socket);
        self.send_request(socket);
    }

    fn violation(&self) -> Option<String> {
        self.violation.clone()
    }

    fn name(&self) -> &'static str {
        "resuming"
    }

    fn describe(&self) -> String {
        let plan = self.plan.borrow();
        format!("resuming, {} bytes to {}, connection {}", plan.content.len(), plan.name, plan.connections)
    }
}
