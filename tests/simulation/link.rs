//! One connection: its two directions, as a kernel and a network have them between a client and the server.
//!
//! Each direction is a queue at the sender, one flight at a time, and a bounded buffer at the receiver. What does not fit
//! waits; nothing is lost but by a reset, which also takes away what its receiver has not read yet. (Linux would let a
//! client read that; others do not.)

use std::collections::VecDeque;

use crate::simulation::clients::exchanges::Exchange;
use crate::simulation::timeouts::History;

/// How a connection's packets travel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    /// How long a flight takes at least, in nanoseconds, and how much longer at most.
    pub latency_ns: u64,
    pub jitter_ns: u64,
    /// The longest flight, in bytes. The length of each is random below it.
    pub flight_bytes_max: usize,
    /// What the server's socket holds of what it has not read, and of what the client has not taken.
    pub receive_buffer_bytes: usize,
    pub send_buffer_bytes: usize,
    /// What the client's socket holds of what the client has not read.
    pub client_buffer_bytes: usize,
}

/// How far a connection has come at the server's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The client has not connected yet.
    Before,
    /// It waits to be accepted. The client may send already.
    Backlog,
    /// The server has it, under this key.
    Accepted(usize),
    /// The server has closed its socket.
    Closed,
}

/// A connection.
pub(crate) struct Link {
    pub listener: usize,
    pub path: Path,
    /// All choices that concern it alone, so that other connections can be left out of a run without changing them.
    pub random: fastrand::Rng,
    pub stage: Stage,

    // To the server.
    /// What the client has sent and the network has not taken.
    pub unsent: VecDeque<u8>,
    pub end_is_unsent: bool,
    pub in_flight_to_server: bool,
    /// What waits at the server's socket.
    pub arrived: VecDeque<u8>,
    pub end_has_arrived: bool,
    /// Whether the server has read the end.
    pub end_was_read: bool,
    pub reset_has_arrived: bool,
    /// How many bytes were sent before the one that is urgent, and how many of the stream have arrived.
    pub urgent_at: Option<u64>,
    pub sent_bytes: u64,
    pub arrived_bytes: u64,
    pub read_bytes: u64,

    // To the client.
    /// What waits at the server's socket to be sent.
    pub outgoing: VecDeque<u8>,
    pub server_has_ended: bool,
    pub in_flight_to_client: bool,
    /// What waits at the client's socket.
    pub received: VecDeque<u8>,
    pub end_was_received: bool,
    pub reset_was_received: bool,
    /// Whether the client has closed its socket: what comes then is answered by a reset.
    pub client_has_closed: bool,

    // What epoll knows.
    /// Whether a send found no room, so that room is announced.
    pub wants_room: bool,
    pub is_notified: bool,
    /// Whether the send buffer counts as full although bytes would fit: as on Linux, where each packet that waits takes more
    /// than its bytes. It ends once some have gone.
    pub is_filled: bool,

    // For the checks.
    /// All bytes that the server has handed to the socket.
    pub output: Vec<u8>,
    /// When the last of them were.
    pub output_ns: u64,
    pub resets_on_close: bool,
    /// Whether the server's process was stopped while it had the connection.
    pub was_stopped: bool,
    /// Flights in both directions so far.
    pub flights: u64,
    /// When the server accepted and closed the connection.
    pub accepted_ns: Option<u64>,
    pub closed_ns: Option<u64>,
    /// How many bytes had arrived when the server was asked to end.
    pub arrived_by_signal_bytes: Option<u64>,
    /// How many announcements a fault keeps back.
    pub delayed_notifications: u32,
    /// What an honest client has asked on it.
    pub exchanges: Option<Vec<Exchange>>,
    pub history: History,
}

impl Link {
    pub(crate) fn new(listener: usize, path: Path, random: fastrand::Rng) -> Link {
        Link {
            listener,
            path,
            random,
            stage: Stage::Before,
            unsent: VecDeque::new(),
            end_is_unsent: false,
            in_flight_to_server: false,
            arrived: VecDeque::new(),
            end_has_arrived: false,
            end_was_read: false,
            reset_has_arrived: false,
            urgent_at: None,
            sent_bytes: 0,
            arrived_bytes: 0,
            read_bytes: 0,
            outgoing: VecDeque::new(),
            server_has_ended: false,
            in_flight_to_client: false,
            received: VecDeque::new(),
            end_was_received: false,
            reset_was_received: false,
            client_has_closed: false,
            wants_room: false,
            is_notified: false,
            is_filled: false,
            output: Vec::new(),
            output_ns: 0,
            resets_on_close: false,
            was_stopped: false,
            flights: 0,
            accepted_ns: None,
            closed_ns: None,
            arrived_by_signal_bytes: None,
            delayed_notifications: 0,
            exchanges: None,
            history: History::default(),
        }
    }

    /// The key that the server knows it by.
    pub(crate) fn key(&self) -> Option<usize> {
        match self.stage {
            Stage::Accepted(key) => Some(key),
            _ => None,
        }
    }

    /// Whether the next flight to the server can begin.
    pub(crate) fn can_start_flight_to_server(&self) -> bool {
        let has_room = self.arrived.len() < self.path.receive_buffer_bytes || self.stage == Stage::Closed;
        let has_more = !self.unsent.is_empty() && has_room || self.unsent.is_empty() && self.end_is_unsent;
        !self.in_flight_to_server && has_more && !self.is_dead() && self.stage != Stage::Before
    }

    /// Whether the next flight to the client can begin.
    pub(crate) fn can_start_flight_to_client(&self) -> bool {
        let has_room = self.received.len() < self.path.client_buffer_bytes || self.client_has_closed;
        let has_end = self.server_has_ended && !self.end_was_received;
        let has_more = !self.outgoing.is_empty() && has_room || self.outgoing.is_empty() && has_end;
        !self.in_flight_to_client && has_more && !self.is_dead()
    }

    /// Whether a reset has ended it.
    pub(crate) fn is_dead(&self) -> bool {
        self.reset_was_received || self.reset_has_arrived
    }

    /// A flight of at most `bytes_max` bytes arrives at the server. Returns whether the server's socket has news.
    pub(crate) fn arrive_at_server(&mut self, bytes_max: usize) -> bool {
        self.in_flight_to_server = false;
        self.flights += 1;
        if self.is_dead() {
            return false;
        }
        if self.stage == Stage::Closed {
            if !self.unsent.is_empty() {
                // Nobody listens any more.
                self.reset_client();
            }
            self.unsent.clear();
            self.end_is_unsent = false;
            return false;
        }
        let room = self.path.receive_buffer_bytes.saturating_sub(self.arrived.len());
        let bytes = bytes_max.min(room).min(self.unsent.len());
        move_bytes(&mut self.unsent, &mut self.arrived, bytes);
        self.arrived_bytes += bytes as u64;
        let ends = self.unsent.is_empty() && self.end_is_unsent;
        if ends {
            self.end_is_unsent = false;
            self.end_has_arrived = true;
        }
        bytes > 0 || ends
    }

    /// A flight of at most `bytes_max` bytes arrives at the client. Returns whether the client has news.
    pub(crate) fn arrive_at_client(&mut self, bytes_max: usize) -> bool {
        self.in_flight_to_client = false;
        self.flights += 1;
        if self.is_dead() {
            return false;
        }
        if self.client_has_closed {
            if !self.outgoing.is_empty() {
                self.reset_server();
            }
            self.end_was_received = self.server_has_ended;
            return false;
        }
        let room = self.path.client_buffer_bytes.saturating_sub(self.received.len());
        let bytes = bytes_max.min(room).min(self.outgoing.len());
        move_bytes(&mut self.outgoing, &mut self.received, bytes);
        self.is_filled &= bytes == 0;
        let ends = self.outgoing.is_empty() && self.server_has_ended && !self.end_was_received;
        self.end_was_received |= ends;
        bytes > 0 || ends
    }

    /// A reset reaches the client: what it has not read is gone, and so is what was on its way.
    pub(crate) fn reset_client(&mut self) {
        self.reset_was_received = true;
        self.received.clear();
        self.outgoing.clear();
        self.unsent.clear();
    }

    /// A reset reaches the server.
    pub(crate) fn reset_server(&mut self) {
        self.reset_has_arrived = true;
        self.arrived.clear();
        self.outgoing.clear();
        self.unsent.clear();
        self.received.clear();
    }

    /// How many bytes may still be sent before the socket's buffer is full.
    pub(crate) fn room(&self) -> usize {
        if self.is_filled && !self.outgoing.is_empty() {
            return 0;
        }
        self.path.send_buffer_bytes.saturating_sub(self.outgoing.len())
    }

    /// Whether the socket counts as writable: as on Linux, from a third of its buffer on.
    pub(crate) fn is_writable(&self) -> bool {
        self.room() >= (self.path.send_buffer_bytes / 3).max(1) || self.reset_has_arrived
    }

    /// How many bytes may be read at once: urgent data ends a read.
    pub(crate) fn readable_bytes(&self) -> usize {
        let before_urgent = self.urgent_at.map(|at| at.saturating_sub(self.read_bytes)).filter(|bytes| *bytes > 0);
        before_urgent.map_or(self.arrived.len(), |bytes| self.arrived.len().min(bytes as usize))
    }

    /// The byte that is urgent is no part of the stream: once all before it has been read, it is passed over.
    pub(crate) fn pass_urgent(&mut self) {
        if self.urgent_at == Some(self.read_bytes) && self.arrived.pop_front().is_some() {
            self.read_bytes += 1;
            self.urgent_at = None;
        }
    }

    /// Whether urgent data has arrived that was not read past.
    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent_at.is_some_and(|at| at >= self.read_bytes && self.arrived_bytes > at)
    }

    /// Whether nothing can happen on it any more, unless its client or the server does something.
    pub(crate) fn is_at_rest(&self) -> bool {
        !self.in_flight_to_client
            && !self.in_flight_to_server
            && !self.can_start_flight_to_client()
            && !self.can_start_flight_to_server()
    }

    /// Whether bytes or an end wait to be received of which the server has been told, although nothing keeps it from
    /// receiving them: its responses all have room.
    pub(crate) fn is_forgotten(&self) -> bool {
        let has_unread = !self.arrived.is_empty() || self.end_has_arrived && !self.end_was_read;
        let is_readable = has_unread && !self.reset_has_arrived && self.key().is_some();
        is_readable && !self.is_notified && self.delayed_notifications == 0 && !self.wants_room
    }
}

/// Moves the first `bytes` bytes of one queue to the end of another, in pieces and not byte by byte.
fn move_bytes(from: &mut VecDeque<u8>, to: &mut VecDeque<u8>, bytes: usize) {
    let (first, second) = from.as_slices();
    let in_first = bytes.min(first.len());
    to.extend(&first[..in_first]);
    to.extend(&second[..bytes - in_first]);
    from.drain(..bytes);
}

/// Takes the first `bytes` bytes out of a queue.
pub(crate) fn take_bytes(from: &mut VecDeque<u8>, bytes: usize) -> Vec<u8> {
    let (first, second) = from.as_slices();
    let in_first = bytes.min(first.len());
    let taken = [&first[..in_first], &second[..bytes - in_first]].concat();
    from.drain(..bytes);
    taken
}
