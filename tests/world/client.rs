//! A simulated client, with the buffers between it and the server, and the responses that it has received.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use crate::network::{Action, Network, SECOND};

/// How a client reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadMode {
    /// Everything, as soon as it arrives.
    Immediate,
    Never,
    /// A number of bytes at each interval.
    Steps {
        bytes: u64,
        every_ns: u64,
    },
}

/// A piece of the server's output: bytes, or a number of bytes of a file.
pub(crate) enum Segment {
    Bytes(Vec<u8>),
    File(u64),
}

impl Segment {
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Segment::Bytes(data) => data.len() as u64,
            Segment::File(bytes) => *bytes,
        }
    }

    pub(crate) fn start(self, bytes: u64) -> Segment {
        match self {
            Segment::Bytes(mut data) => {
                data.truncate(bytes as usize);
                Segment::Bytes(data)
            }
            Segment::File(_) => Segment::File(bytes),
        }
    }
}

/// A connection: the state of the client, and the bytes in transit.
pub(crate) struct Connection {
    pub listener: usize,
    pub ip: IpAddr,
    pub read_mode: ReadMode,
    /// Whether the client closes once it has read the server's half-close.
    closes_with_server: bool,
    /// The request that the client repeats, the pause before it, and the number of responses at the last repetition.
    repeated_request: Option<(Vec<u8>, u64, usize)>,
    client_closed: bool,
    pub is_reset: bool,

    // From the client to the server.
    pub unsent: VecDeque<u8>,
    pub eof_unsent: bool,
    pub arrived: VecDeque<u8>,
    pub eof_arrived: bool,
    /// The number of unread bytes before the urgent one.
    pub urgent_at: Option<usize>,

    // From the server to the client.
    segments: VecDeque<(u64, Segment)>,
    pub buffered: u64,
    pub wants_room: bool,
    /// How many more sends the system refuses for lack of memory.
    pub sends_refused: u32,
    pub server_half_closed: bool,

    // The server's key for the connection, and whether a readiness event is pending.
    pub key: Option<usize>,
    pub is_pending: bool,
    pub was_registered: bool,

    pub received: Received,
}

/// What the client has received.
#[derive(Default)]
pub(crate) struct Received {
    /// All bytes except those of files.
    data: Vec<u8>,
    /// The start of each response in `data`, and when it arrived.
    responses: Vec<(usize, u64)>,
    searched: usize,
    file_bytes: u64,
    half_closed_ns: Option<u64>,
    closed_ns: Option<u64>,
    is_reset: bool,
    /// Bytes that the server had not read when it closed the connection, which makes the close a reset.
    unread_bytes: usize,
}

/// A response that a client has received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReceivedResponse {
    pub at_ns: u64,
    pub status: u16,
    pub says_close: bool,
}

const HEAD_START: &[u8] = b"HTTP/1.1 ";

impl Connection {
    pub(crate) fn new(listener: usize) -> Connection {
        Connection {
            listener,
            ip: Ipv4Addr::LOCALHOST.into(),
            read_mode: ReadMode::Immediate,
            closes_with_server: true,
            repeated_request: None,
            client_closed: false,
            is_reset: false,
            unsent: VecDeque::new(),
            eof_unsent: false,
            arrived: VecDeque::new(),
            eof_arrived: false,
            urgent_at: None,
            segments: VecDeque::new(),
            buffered: 0,
            wants_room: false,
            sends_refused: 0,
            server_half_closed: false,
            key: None,
            is_pending: false,
            was_registered: false,
            received: Received::default(),
        }
    }

    /// Whether the connection has ended for the client: one side has reset it, the client has closed it, or the server has
    /// closed it and the client has read everything.
    pub(crate) fn is_gone(&self) -> bool {
        self.client_closed || self.is_reset || self.received.closed_ns.is_some() && self.buffered == 0
    }

    pub(crate) fn mark_urgent(&mut self) {
        self.urgent_at = Some((self.arrived.len() + self.unsent.len()).saturating_sub(1));
    }

    /// The client closes its socket. Whatever the server sends from now on is lost, and causes a reset.
    pub(crate) fn close(&mut self) {
        self.eof_unsent = true;
        self.client_closed = true;
        self.segments.clear();
        self.buffered = 0;
    }

    /// The connection is reset. As on Linux, the server can still read what has arrived.
    pub(crate) fn reset(&mut self) {
        self.is_reset = true;
        self.unsent.clear();
        self.segments.clear();
        self.buffered = 0;
    }

    /// Delivers the client's bytes as far as the receive buffer has room, and then its half-close. Returns whether the
    /// server gets a readiness event.
    pub(crate) fn deliver(&mut self, room_max: usize) -> bool {
        let bytes = room_max.saturating_sub(self.arrived.len()).min(self.unsent.len());
        // Copies a slice, which is fast even without optimization.
        self.arrived.extend(&self.unsent.make_contiguous()[..bytes]);
        self.unsent.drain(..bytes);
        let ends = self.eof_unsent && self.unsent.is_empty() && !self.eof_arrived;
        self.eof_arrived |= ends;
        bytes > 0 || ends
    }

    pub(crate) fn push(&mut self, segment: Segment, now_ns: u64) {
        if self.client_closed {
            self.is_reset = true;
            return;
        }
        self.buffered += segment.bytes();
        self.segments.push_back((now_ns, segment));
    }

    /// The client reads. Returns whether the server gets a readiness event: room in the send buffer, or the client's
    /// close.
    pub(crate) fn read(&mut self, now_ns: u64, buffer_bytes: u64) -> bool {
        if self.read_mode == ReadMode::Immediate {
            while let Some((at_ns, segment)) = self.segments.pop_front() {
                self.buffered -= segment.bytes();
                self.received.take(segment, at_ns);
            }
        }
        let reads_eof = self.server_half_closed && self.buffered == 0 && self.read_mode != ReadMode::Never;
        if reads_eof && self.received.half_closed_ns.is_none() {
            self.received.half_closed_ns = Some(now_ns);
            if self.closes_with_server {
                self.close();
                // The client's half-close arrives at once if no bytes precede it.
                self.eof_arrived = self.unsent.is_empty();
                return true;
            }
        }
        // Linux reports a socket as writable once a third of its send buffer is free.
        let has_room = self.wants_room && (buffer_bytes - self.buffered) >= buffer_bytes / 3;
        self.wants_room &= !has_room;
        has_room
    }

    pub(crate) fn read_step(&mut self, now_ns: u64) {
        let ReadMode::Steps { bytes: mut left, .. } = self.read_mode else { return };
        while let Some((_, segment)) = self.segments.pop_front().filter(|_| left > 0) {
            let bytes = segment.bytes().min(left);
            left -= bytes;
            self.buffered -= bytes;
            let rest = match &segment {
                Segment::Bytes(data) => Segment::Bytes(data[bytes as usize..].to_vec()),
                Segment::File(all) => Segment::File(all - bytes),
            };
            self.received.take(segment.start(bytes), now_ns);
            if rest.bytes() > 0 {
                self.segments.push_front((now_ns, rest));
                break;
            }
        }
    }

    /// The next repetition of the request, and its time, once the client has received another response.
    pub(crate) fn next_request(&mut self, now_ns: u64) -> Option<(u64, Vec<u8>)> {
        let (request, pause_ns, response_count) = self.repeated_request.as_mut()?;
        if self.received.responses.len() <= *response_count || self.server_half_closed {
            return None;
        }
        *response_count = self.received.responses.len();
        Some((now_ns + *pause_ns, request.clone()))
    }

    pub(crate) fn server_closed(&mut self, now_ns: u64) {
        self.received.closed_ns = Some(now_ns);
        // Closing a socket with unread bytes resets the connection.
        self.received.unread_bytes = self.arrived.len();
        self.received.is_reset = !self.arrived.is_empty() || !self.server_half_closed;
        self.server_half_closed = true;
        self.key = None;
        self.is_pending = false;
    }
}

impl Received {
    fn take(&mut self, segment: Segment, at_ns: u64) {
        match segment {
            Segment::File(bytes) => self.file_bytes += bytes,
            Segment::Bytes(data) => {
                self.data.extend_from_slice(&data);
                while let Some(place) =
                    self.data[self.searched..].windows(HEAD_START.len()).position(|window| window == HEAD_START)
                {
                    self.responses.push((self.searched + place, at_ns));
                    self.searched += place + HEAD_START.len();
                }
                self.searched = self.searched.max(self.data.len().saturating_sub(HEAD_START.len() - 1));
            }
        }
    }
}

/// A test's handle of a client. Times are in nanoseconds since the start of the simulation.
pub(crate) struct Client {
    pub(crate) network: Network,
    pub(crate) connection: usize,
}

impl Client {
    fn with<R>(&self, look: impl FnOnce(&mut Connection) -> R) -> R {
        look(&mut self.network.inner.borrow_mut().connections[self.connection])
    }

    fn at(self, at_ns: u64, action: Action) -> Client {
        self.network.inner.borrow_mut().schedule(at_ns, self.connection, action);
        self
    }

    /// Connects from this address, which is 127.0.0.1 otherwise.
    pub(crate) fn from(self, ip: impl Into<IpAddr>) -> Client {
        self.with(|connection| connection.ip = ip.into());
        self
    }

    pub(crate) fn send(self, at_ns: u64, bytes: impl AsRef<[u8]>) -> Client {
        self.at(at_ns, Action::Send(bytes.as_ref().to_vec()))
    }

    /// Sends `bytes` so many times, at intervals of `every_ns`.
    pub(crate) fn send_each(mut self, from_ns: u64, every_ns: u64, times: u64, bytes: impl AsRef<[u8]>) -> Client {
        for time in 0..times {
            self = self.send(from_ns + time * every_ns, bytes.as_ref());
        }
        self
    }

    pub(crate) fn mark_urgent(self, at_ns: u64) -> Client {
        self.at(at_ns, Action::Urgent)
    }

    pub(crate) fn half_close(self, at_ns: u64) -> Client {
        self.at(at_ns, Action::HalfClose)
    }

    pub(crate) fn close(self, at_ns: u64) -> Client {
        self.at(at_ns, Action::Close)
    }

    pub(crate) fn reset(self, at_ns: u64) -> Client {
        self.at(at_ns, Action::Reset)
    }

    /// The next sends to this client, so many, would block although there is room.
    pub(crate) fn refuses_sends(self, at_ns: u64, count: u32) -> Client {
        self.at(at_ns, Action::RefuseSends(count))
    }

    pub(crate) fn never_reads(self) -> Client {
        self.with(|connection| connection.read_mode = ReadMode::Never);
        self
    }

    /// Reads nothing before `at_ns`, and everything from then on.
    pub(crate) fn reads_from(self, at_ns: u64) -> Client {
        self.never_reads().at(at_ns, Action::ReadMode(ReadMode::Immediate))
    }

    pub(crate) fn reads_slowly(self, bytes: u64, every_ns: u64) -> Client {
        self.at(0, Action::ReadMode(ReadMode::Steps { bytes, every_ns }))
    }

    /// Does not close when the server half-closes.
    pub(crate) fn never_closes(self) -> Client {
        self.with(|connection| connection.closes_with_server = false);
        self
    }

    /// Sends `request` after each response, after a pause. The test sends the first request.
    pub(crate) fn repeats(self, pause_ns: u64, request: impl AsRef<[u8]>) -> Client {
        self.with(|connection| connection.repeated_request = Some((request.as_ref().to_vec(), pause_ns, 0)));
        self
    }

    pub(crate) fn responses(&self) -> Vec<ReceivedResponse> {
        self.with(|connection| {
            let Received { data, responses, .. } = &connection.received;
            let response = |index: usize| {
                let (start, at_ns) = responses[index];
                let end = responses.get(index + 1).map_or(data.len(), |(end, _)| *end);
                let data = String::from_utf8_lossy(&data[start..end]);
                let status = data[HEAD_START.len()..].get(..3).and_then(|digits| digits.parse().ok()).unwrap_or(0);
                ReceivedResponse { at_ns, status, says_close: data.contains("\r\nConnection: close\r\n") }
            };
            (0..responses.len()).map(response).collect()
        })
    }

    /// The statuses of the responses so far.
    pub(crate) fn statuses(&self) -> Vec<u16> {
        self.responses().iter().map(|response| response.status).collect()
    }

    /// The time from `sent_ns`, when the request was sent, to the first response after it.
    pub(crate) fn response_time_ns(&self, sent_ns: u64) -> u64 {
        let responses = self.responses();
        let first = responses.iter().find(|response| response.at_ns >= sent_ns).expect("a response");
        first.at_ns - sent_ns
    }

    /// The longest time without a response, from the first response until now.
    pub(crate) fn longest_gap_ns(&self) -> u64 {
        let first_ns = self.responses().first().expect("a response").at_ns;
        self.longest_gap_since_ns(first_ns)
    }

    /// The longest time without a response, from `since_ns` until now. A client that is never served again has waited until
    /// now.
    pub(crate) fn longest_gap_since_ns(&self, since_ns: u64) -> u64 {
        let responses = self.responses();
        let later = responses.iter().map(|response| response.at_ns).filter(|at_ns| *at_ns > since_ns);
        let mut last_ns = since_ns;
        later
            .chain([self.network.now_ns()])
            .map(|at_ns| at_ns - std::mem::replace(&mut last_ns, at_ns))
            .max()
            .unwrap_or(0)
    }

    /// The number of bytes received, without those of files.
    pub(crate) fn received_bytes(&self) -> usize {
        self.with(|connection| connection.received.data.len())
    }

    /// The number of bytes received of files.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.with(|connection| connection.received.file_bytes)
    }

    /// When the server closed the connection.
    pub(crate) fn closed_ns(&self) -> Option<u64> {
        self.with(|connection| connection.received.closed_ns)
    }

    pub(crate) fn closed_s(&self) -> Option<f64> {
        self.closed_ns().map(|closed_ns| closed_ns as f64 / SECOND as f64)
    }

    /// When the client read the server's half-close.
    pub(crate) fn half_closed_ns(&self) -> Option<u64> {
        self.with(|connection| connection.received.half_closed_ns)
    }

    /// Whether the server closed the connection without a half-close, or with unread bytes.
    pub(crate) fn is_aborted(&self) -> bool {
        self.with(|connection| connection.received.is_reset)
    }

    /// Whether the server ever registered the connection's socket.
    pub(crate) fn was_registered(&self) -> bool {
        self.with(|connection| connection.was_registered)
    }

    /// How many bytes the server had not read when it closed the connection.
    pub(crate) fn unread_bytes(&self) -> usize {
        self.with(|connection| connection.received.unread_bytes)
    }

    /// Whether the connection has been reset.
    pub(crate) fn is_reset(&self) -> bool {
        self.with(|connection| connection.is_reset)
    }

    /// Whether the connection was reset before the server accepted it.
    pub(crate) fn is_refused(&self) -> bool {
        self.with(|connection| connection.is_reset && connection.received.closed_ns.is_none())
    }
}
