//! A link: one connection with both directions, as the kernels and the network between a client and the server
//! implement it.
//!
//! Each direction has a queue at the sender, at most one flight of bytes on its way, and a bounded buffer at the
//! receiver. Bytes that do not fit wait. Only a reset loses bytes: those on their way, and those that the client has not
//! read yet. (On Linux a client could still read these; on other systems it cannot.) The server can read what had arrived
//! before the reset, as on Linux, and gets the error after that.

use std::collections::VecDeque;

use crate::simulation::clients::exchanges::Exchange;
use crate::simulation::proxies::Header;
use crate::simulation::timeouts::History;

/// How bytes travel on a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    /// The time of a flight in nanoseconds is random, from `latency_ns` to `latency_ns + jitter_ns`.
    pub latency_ns: u64,
    pub jitter_ns: u64,
    /// The most bytes of a flight. The actual length is random.
    pub flight_bytes_max: usize,
    /// The sizes of the server's socket buffers.
    pub receive_buffer_bytes: usize,
    pub send_buffer_bytes: usize,
    /// The size of the client's receive buffer.
    pub client_buffer_bytes: usize,
}

/// The state of a connection at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The client has not connected yet.
    Before,
    /// The client has connected and sent nothing. The kernel holds the connection back.
    HeldBack,
    /// The connection is in the backlog. The client may send already.
    Backlog,
    /// The server has accepted it, and registered it under this key.
    Accepted(Option<usize>),
    /// The server has closed its socket.
    Closed,
}

/// The state of a link.
pub(crate) struct Link {
    pub listener: usize,
    pub path: Path,
    /// The random generator of this link alone: other links can be left out of a run without changing it.
    pub random: fastrand::Rng,
    pub stage: Stage,

    // To the server.
    /// Bytes that the client has sent, and that are not on their way yet.
    pub unsent: VecDeque<u8>,
    pub end_is_unsent: bool,
    pub in_flight_to_server: bool,
    /// Bytes in the receive buffer of the server's socket.
    pub arrived: VecDeque<u8>,
    pub end_has_arrived: bool,
    /// Whether the server has read the client's end.
    pub end_was_read: bool,
    pub reset_has_arrived: bool,
    /// The position of the urgent byte in the stream, if there is one; then how many bytes the client has sent, and how
    /// many have arrived.
    pub urgent_at: Option<u64>,
    pub sent_bytes: u64,
    pub arrived_bytes: u64,
    pub read_bytes: u64,
    /// The client that a proxy's header names, and how many bytes of the header have not arrived, and have not been
    /// read. They are in no other count: the client does not know of them.
    pub named: Option<spindle::semantics::client::Client>,
    /// The number of the client's address.
    pub address: usize,
    header_to_arrive: u64,
    pub header_to_read: u64,

    // To the client.
    /// Bytes in the send buffer of the server's socket.
    pub outgoing: VecDeque<u8>,
    pub server_has_ended: bool,
    pub in_flight_to_client: bool,
    /// Bytes in the receive buffer of the client's socket.
    pub received: VecDeque<u8>,
    pub end_was_received: bool,
    pub reset_was_received: bool,
    /// Whether the client has closed its socket. Bytes that arrive later are answered with a reset.
    pub client_has_closed: bool,

    // The state of epoll.
    /// Whether a send found no room, so that the server must be notified of room.
    pub wants_room: bool,
    pub is_notified: bool,
    /// Whether the send buffer is full although more bytes would fit. On Linux each queued packet takes more memory
    /// than its bytes. Ends when some bytes have left.
    pub is_filled: bool,

    // For the checks.
    /// All bytes that the server has sent.
    pub output: Vec<u8>,
    /// When the server last sent bytes.
    pub output_ns: u64,
    pub resets_on_close: bool,
    /// Whether the server's process was stopped while the connection was open.
    pub was_crashed: bool,
    /// The number of flights so far, in both directions.
    pub flights: u64,
    /// How many connections were before it in the backlog.
    pub queued_behind: usize,
    /// When the kernel had established the connection.
    pub established_ns: Option<u64>,
    /// When the server accepted and closed the connection.
    pub accepted_ns: Option<u64>,
    pub closed_ns: Option<u64>,
    /// Whether the server closed the connection during a request, to make room for another client.
    pub gave_way: bool,
    /// Whether the server had no place for the connection.
    pub was_refused: bool,
    /// Whether the server could not register the socket.
    pub was_not_registered: bool,
    /// How many bytes had arrived when the shutdown signal was sent.
    pub arrived_by_signal_bytes: Option<u64>,
    /// How many notifications a fault is delaying.
    pub delayed_notifications: u32,
    /// The exchanges of an honest client on this link.
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
            named: None,
            address: 0,
            header_to_arrive: 0,
            header_to_read: 0,
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
            was_crashed: false,
            flights: 0,
            queued_behind: 0,
            established_ns: None,
            accepted_ns: None,
            closed_ns: None,
            gave_way: false,
            was_refused: false,
            was_not_registered: false,
            arrived_by_signal_bytes: None,
            delayed_notifications: 0,
            exchanges: None,
            history: History::default(),
        }
    }

    /// The key under which the server has registered it.
    pub(crate) fn key(&self) -> Option<usize> {
        match self.stage {
            Stage::Accepted(key) => key,
            _ => None,
        }
    }

    /// Whether a flight to the server can begin.
    pub(crate) fn can_start_flight_to_server(&self) -> bool {
        let has_room = self.arrived.len() < self.path.receive_buffer_bytes || self.stage == Stage::Closed;
        let has_more = !self.unsent.is_empty() && has_room || self.unsent.is_empty() && self.end_is_unsent;
        !self.in_flight_to_server && has_more && !self.is_dead() && self.stage != Stage::Before
    }

    /// Whether a flight to the client can begin.
    pub(crate) fn can_start_flight_to_client(&self) -> bool {
        let has_room = self.received.len() < self.path.client_buffer_bytes || self.client_has_closed;
        let has_end = self.server_has_ended && !self.end_was_received;
        let has_more = !self.outgoing.is_empty() && has_room || self.outgoing.is_empty() && has_end;
        !self.in_flight_to_client && has_more && !self.is_dead()
    }

    /// A proxy sends its header before the client's bytes.
    pub(crate) fn begin_with(&mut self, header: Header) {
        self.named = Some(header.names);
        self.header_to_arrive = header.bytes.len() as u64;
        self.header_to_read = header.bytes.len() as u64;
        self.unsent.extend(header.bytes);
    }

    /// Notes that the server has read some bytes. Returns how many of them were the client's.
    pub(crate) fn read(&mut self, bytes: u64) -> u64 {
        let of_header = self.header_to_read.min(bytes);
        self.header_to_read -= of_header;
        self.read_bytes += bytes - of_header;
        bytes - of_header
    }

    /// Whether a reset has ended the connection.
    pub(crate) fn is_dead(&self) -> bool {
        self.reset_was_received || self.reset_has_arrived
    }

    /// A flight of at most `bytes_max` bytes arrives at the server. Returns whether the server's socket has become
    /// readable.
    pub(crate) fn arrive_at_server(&mut self, bytes_max: usize) -> bool {
        self.in_flight_to_server = false;
        self.flights += 1;
        if self.is_dead() {
            return false;
        }
        if self.stage == Stage::Closed {
            if !self.unsent.is_empty() {
                // The socket is closed.
                self.reset_client();
            }
            self.unsent.clear();
            self.end_is_unsent = false;
            return false;
        }
        let room = self.path.receive_buffer_bytes.saturating_sub(self.arrived.len());
        let bytes = bytes_max.min(room).min(self.unsent.len());
        move_bytes(&mut self.unsent, &mut self.arrived, bytes);
        let of_header = self.header_to_arrive.min(bytes as u64);
        self.header_to_arrive -= of_header;
        self.arrived_bytes += bytes as u64 - of_header;
        let ends = self.unsent.is_empty() && self.end_is_unsent;
        if ends {
            self.end_is_unsent = false;
            self.end_has_arrived = true;
        }
        bytes > 0 || ends
    }

    /// A flight of at most `bytes_max` bytes arrives at the client. Returns whether the client's socket has become
    /// readable.
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

    /// The client receives a reset. Bytes that it has not read and bytes on their way are lost.
    pub(crate) fn reset_client(&mut self) {
        self.reset_was_received = true;
        self.received.clear();
        self.outgoing.clear();
        self.unsent.clear();
    }

    /// The server receives a reset.
    pub(crate) fn reset_server(&mut self) {
        self.reset_has_arrived = true;
        self.outgoing.clear();
        self.unsent.clear();
        self.received.clear();
    }

    /// How many more bytes fit into the send buffer.
    pub(crate) fn room(&self) -> usize {
        if self.is_filled && !self.outgoing.is_empty() {
            return 0;
        }
        self.path.send_buffer_bytes.saturating_sub(self.outgoing.len())
    }

    /// Whether epoll reports the socket as writable: as on Linux, if a third of the buffer is free.
    pub(crate) fn is_writable(&self) -> bool {
        self.room() >= (self.path.send_buffer_bytes / 3).max(1) || self.reset_has_arrived
    }

    /// How many bytes one call can read. A read stops before urgent data.
    pub(crate) fn readable_bytes(&self) -> usize {
        let before_urgent = self.urgent_at.map(|at| (at + self.header_to_read).saturating_sub(self.read_bytes));
        let before_urgent = before_urgent.filter(|bytes| *bytes > 0);
        before_urgent.map_or(self.arrived.len(), |bytes| self.arrived.len().min(bytes as usize))
    }

    /// Skips the urgent byte, which is not part of the stream, once all bytes before it have been read.
    pub(crate) fn pass_urgent(&mut self) {
        if self.urgent_at == Some(self.read_bytes) && self.header_to_read == 0 && self.arrived.pop_front().is_some() {
            self.read_bytes += 1;
            self.urgent_at = None;
        }
    }

    /// Whether urgent data has arrived that was not read past.
    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent_at.is_some_and(|at| at >= self.read_bytes && self.arrived_bytes > at)
    }

    /// Whether nothing more happens on the link unless its client or the server acts.
    pub(crate) fn is_at_rest(&self) -> bool {
        !self.in_flight_to_client
            && !self.in_flight_to_server
            && !self.can_start_flight_to_client()
            && !self.can_start_flight_to_server()
    }

    /// Whether the server keeps a connection although it has been notified that the client has reset it.
    pub(crate) fn is_kept_after_reset(&self) -> bool {
        self.reset_has_arrived && self.key().is_some() && !self.is_notified && self.delayed_notifications == 0
    }

    /// Whether the server has been notified of bytes or an end that it does not read, although no full send buffer
    /// keeps it from reading.
    pub(crate) fn has_missed_input(&self) -> bool {
        let has_unread = !self.arrived.is_empty() || self.end_has_arrived && !self.end_was_read;
        let is_readable = has_unread && !self.reset_has_arrived && self.key().is_some();
        is_readable && !self.is_notified && self.delayed_notifications == 0 && !self.wants_room
    }
}

/// Moves the first `bytes` bytes of one queue to the end of another, by slices.
fn move_bytes(from: &mut VecDeque<u8>, to: &mut VecDeque<u8>, bytes: usize) {
    let (first, second) = from.as_slices();
    let in_first = bytes.min(first.len());
    to.extend(&first[..in_first]);
    to.extend(&second[..bytes - in_first]);
    from.drain(..bytes);
}

/// Removes the first `bytes` bytes of a queue.
pub(crate) fn take_bytes(from: &mut VecDeque<u8>, bytes: usize) -> Vec<u8> {
    let (first, second) = from.as_slices();
    let in_first = bytes.min(first.len());
    let taken = [&first[..in_first], &second[..bytes - in_first]].concat();
    from.drain(..bytes);
    taken
}
