//! A client of the made-up world, with the buffers between it and the server, and what it has seen.

use std::collections::VecDeque;

use crate::network::{Action, Network, SECOND};

/// How a client reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    AsItComes,
    Never,
    /// So many bytes at a time.
    Steps {
        bytes: u64,
        every_ns: u64,
    },
}

/// A piece of what the server sends. Of files the length is enough.
pub(crate) enum Segment {
    Text(Vec<u8>),
    File(u64),
}

impl Segment {
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Segment::Text(text) => text.len() as u64,
            Segment::File(bytes) => *bytes,
        }
    }

    pub(crate) fn start(self, bytes: u64) -> Segment {
        match self {
            Segment::Text(mut text) => {
                text.truncate(bytes as usize);
                Segment::Text(text)
            }
            Segment::File(_) => Segment::File(bytes),
        }
    }
}

/// A connection: the client, and what is under way.
pub(crate) struct Line {
    pub listener: usize,
    pub reading: Reading,
    /// Whether the client closes its end once it has read the server's.
    closes_with_server: bool,
    asks_again: Option<(Vec<u8>, u64, usize)>,
    has_closed: bool,
    pub is_reset: bool,

    // The way to the server.
    pub unsent: VecDeque<u8>,
    pub end_is_unsent: bool,
    pub arrived: VecDeque<u8>,
    pub has_ended: bool,
    /// How many bytes are before the urgent one.
    pub urgent_at: Option<usize>,

    // The way back.
    segments: VecDeque<(u64, Segment)>,
    pub buffered: u64,
    pub wants_room: bool,
    pub server_has_ended: bool,

    // What the server knows it by.
    pub key: Option<usize>,
    pub is_told: bool,

    pub seen: Seen,
}

/// What the client has seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// All but the bytes of files.
    text: Vec<u8>,
    /// Where each response begins, and when that came.
    responses: Vec<(usize, u64)>,
    searched: usize,
    file_bytes: u64,
    end_ns: Option<u64>,
    closed_ns: Option<u64>,
    is_reset: bool,
}

/// A response as a client has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeenResponse {
    pub at_ns: u64,
    pub status: u16,
    pub says_close: bool,
}

const HEAD_START: &[u8] = b"HTTP/1.1 ";

impl Line {
    pub(crate) fn new(listener: usize) -> Line {
        Line {
            listener,
            reading: Reading::AsItComes,
            closes_with_server: true,
            asks_again: None,
            has_closed: false,
            is_reset: false,
            unsent: VecDeque::new(),
            end_is_unsent: false,
            arrived: VecDeque::new(),
            has_ended: false,
            urgent_at: None,
            segments: VecDeque::new(),
            buffered: 0,
            wants_room: false,
            server_has_ended: false,
            key: None,
            is_told: false,
            seen: Seen::default(),
        }
    }

    /// Whether nothing that the client does matters any more.
    pub(crate) fn has_left(&self) -> bool {
        self.has_closed || self.is_reset || self.seen.closed_ns.is_some() && self.buffered == 0
    }

    pub(crate) fn mark_urgent(&mut self) {
        self.urgent_at = Some((self.arrived.len() + self.unsent.len()).saturating_sub(1));
    }

    /// What is sent after this vanishes, and is answered by a reset.
    pub(crate) fn close(&mut self) {
        self.end_is_unsent = true;
        self.has_closed = true;
        self.segments.clear();
        self.buffered = 0;
    }

    pub(crate) fn reset(&mut self) {
        self.is_reset = true;
        self.arrived.clear();
        self.segments.clear();
        self.buffered = 0;
    }

    /// What the client has sent arrives, as far as there is room. Returns whether the server is to be told.
    pub(crate) fn deliver(&mut self, room_max: usize) -> bool {
        let bytes = room_max.saturating_sub(self.arrived.len()).min(self.unsent.len());
        // Slices are copied at once, also where nothing is optimized.
        self.arrived.extend(&self.unsent.make_contiguous()[..bytes]);
        self.unsent.drain(..bytes);
        let ends = self.end_is_unsent && self.unsent.is_empty() && !self.has_ended;
        self.has_ended |= ends;
        bytes > 0 || ends
    }

    pub(crate) fn push(&mut self, segment: Segment, now_ns: u64) {
        if self.has_closed {
            self.is_reset = true;
            return;
        }
        self.buffered += segment.bytes();
        self.segments.push_back((now_ns, segment));
    }

    /// The client reads what it may. Returns whether the server is to be told that there is room again.
    pub(crate) fn read(&mut self, now_ns: u64, buffer_bytes: u64) -> bool {
        if self.reading == Reading::AsItComes {
            // Each round takes a segment.
            while let Some((at_ns, segment)) = self.segments.pop_front() {
                self.buffered -= segment.bytes();
                self.seen.take(segment, at_ns);
            }
        }
        let sees_end = self.server_has_ended && self.buffered == 0 && self.reading != Reading::Never;
        if sees_end && self.seen.end_ns.is_none() {
            self.seen.end_ns = Some(now_ns);
            if self.closes_with_server {
                self.close();
                // It may be told at once: nothing is before it.
                self.has_ended = self.unsent.is_empty();
                return true;
            }
        }
        // As Linux has it: a third of the buffer.
        let has_room = self.wants_room && (buffer_bytes - self.buffered) >= buffer_bytes / 3;
        self.wants_room &= !has_room;
        has_room
    }

    pub(crate) fn read_step(&mut self, now_ns: u64) {
        let Reading::Steps { bytes: mut left, .. } = self.reading else { return };
        while let Some((_, segment)) = self.segments.pop_front().filter(|_| left > 0) {
            let bytes = segment.bytes().min(left);
            left -= bytes;
            self.buffered -= bytes;
            let rest = match &segment {
                Segment::Text(text) => Segment::Text(text[bytes as usize..].to_vec()),
                Segment::File(all) => Segment::File(all - bytes),
            };
            self.seen.take(segment.start(bytes), now_ns);
            if rest.bytes() > 0 {
                self.segments.push_front((now_ns, rest));
                break;
            }
        }
    }

    /// What a client asks that asks again when it has been answered, and when.
    pub(crate) fn next_question(&mut self, now_ns: u64) -> Option<(u64, Vec<u8>)> {
        let (request, pause_ns, asked) = self.asks_again.as_mut()?;
        if self.seen.responses.len() <= *asked || self.server_has_ended {
            return None;
        }
        *asked = self.seen.responses.len();
        Some((now_ns + *pause_ns, request.clone()))
    }

    pub(crate) fn server_closed(&mut self, now_ns: u64) {
        self.seen.closed_ns = Some(now_ns);
        // Unread bytes make a close a reset.
        self.seen.is_reset = !self.arrived.is_empty() || !self.server_has_ended;
        self.server_has_ended = true;
        self.key = None;
        self.is_told = false;
    }
}

impl Seen {
    fn take(&mut self, segment: Segment, at_ns: u64) {
        match segment {
            Segment::File(bytes) => self.file_bytes += bytes,
            Segment::Text(text) => {
                self.text.extend_from_slice(&text);
                while let Some(place) =
                    self.text[self.searched..].windows(HEAD_START.len()).position(|window| window == HEAD_START)
                {
                    self.responses.push((self.searched + place, at_ns));
                    self.searched += place + HEAD_START.len();
                }
                self.searched = self.searched.max(self.text.len().saturating_sub(HEAD_START.len() - 1));
            }
        }
    }
}

/// A client in the hands of a test.
pub(crate) struct Peer {
    pub(crate) network: Network,
    pub(crate) line: usize,
}

impl Peer {
    fn with<R>(&self, look: impl FnOnce(&mut Line) -> R) -> R {
        look(&mut self.network.inner.borrow_mut().lines[self.line])
    }

    fn at(self, at_ns: u64, action: Action) -> Peer {
        self.network.inner.borrow_mut().schedule(at_ns, self.line, action);
        self
    }

    pub(crate) fn send(self, at_ns: u64, bytes: impl AsRef<[u8]>) -> Peer {
        self.at(at_ns, Action::Send(bytes.as_ref().to_vec()))
    }

    /// Sends `bytes` again and again, so many times.
    pub(crate) fn send_each(mut self, from_ns: u64, every_ns: u64, times: u64, bytes: impl AsRef<[u8]>) -> Peer {
        for time in 0..times {
            self = self.send(from_ns + time * every_ns, bytes.as_ref());
        }
        self
    }

    pub(crate) fn mark_urgent(self, at_ns: u64) -> Peer {
        self.at(at_ns, Action::Urgent)
    }

    pub(crate) fn half_close(self, at_ns: u64) -> Peer {
        self.at(at_ns, Action::HalfClose)
    }

    pub(crate) fn close(self, at_ns: u64) -> Peer {
        self.at(at_ns, Action::Close)
    }

    pub(crate) fn reset(self, at_ns: u64) -> Peer {
        self.at(at_ns, Action::Reset)
    }

    pub(crate) fn never_reads(self) -> Peer {
        self.with(|line| line.reading = Reading::Never);
        self
    }

    /// Reads as it comes from then on, and not before.
    pub(crate) fn reads_from(self, at_ns: u64) -> Peer {
        self.never_reads().at(at_ns, Action::Reading(Reading::AsItComes))
    }

    pub(crate) fn reads_slowly(self, bytes: u64, every_ns: u64) -> Peer {
        self.at(0, Action::Reading(Reading::Steps { bytes, every_ns }))
    }

    /// Keeps its end open when the server has ended.
    pub(crate) fn never_closes(self) -> Peer {
        self.with(|line| line.closes_with_server = false);
        self
    }

    /// Asks when it has been answered, after a pause. The first question is for the test to send.
    pub(crate) fn asks_again(self, pause_ns: u64, request: impl AsRef<[u8]>) -> Peer {
        self.with(|line| line.asks_again = Some((request.as_ref().to_vec(), pause_ns, 0)));
        self
    }

    pub(crate) fn responses(&self) -> Vec<SeenResponse> {
        self.with(|line| {
            let Seen { text, responses, .. } = &line.seen;
            let response = |place: usize| {
                let (start, at_ns) = responses[place];
                let end = responses.get(place + 1).map_or(text.len(), |(end, _)| *end);
                let text = String::from_utf8_lossy(&text[start..end]);
                let status = text[HEAD_START.len()..].get(..3).and_then(|digits| digits.parse().ok()).unwrap_or(0);
                SeenResponse { at_ns, status, says_close: text.contains("\r\nConnection: close\r\n") }
            };
            (0..responses.len()).map(response).collect()
        })
    }

    pub(crate) fn statuses(&self) -> Vec<u16> {
        self.responses().iter().map(|response| response.status).collect()
    }

    /// How long the answer took that was asked for at `asked_ns`: the first response after it.
    pub(crate) fn answered_within(&self, asked_ns: u64) -> u64 {
        let responses = self.responses();
        let first = responses.iter().find(|response| response.at_ns >= asked_ns).expect("an answer");
        first.at_ns - asked_ns
    }

    /// The longest time between two answers.
    pub(crate) fn longest_gap_ns(&self) -> u64 {
        let responses = self.responses();
        responses.windows(2).map(|pair| pair[1].at_ns - pair[0].at_ns).max().expect("two answers at least")
    }

    /// How much it has been given, files left out.
    pub(crate) fn text_bytes(&self) -> usize {
        self.with(|line| line.seen.text.len())
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.with(|line| line.seen.file_bytes)
    }

    /// When the server closed its end.
    pub(crate) fn closed_ns(&self) -> Option<u64> {
        self.with(|line| line.seen.closed_ns)
    }

    pub(crate) fn closed_s(&self) -> Option<f64> {
        self.closed_ns().map(|closed_ns| closed_ns as f64 / SECOND as f64)
    }

    /// When the server said that it sends nothing more.
    pub(crate) fn end_ns(&self) -> Option<u64> {
        self.with(|line| line.seen.end_ns)
    }

    /// Whether the server closed without an end, or with bytes unread.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.with(|line| line.seen.is_reset)
    }

    /// Whether the server has reset the connection, or wanted its end to be a reset.
    pub(crate) fn is_reset(&self) -> bool {
        self.with(|line| line.is_reset)
    }

    /// Whether the connection never came to be.
    pub(crate) fn is_refused(&self) -> bool {
        self.with(|line| line.is_reset && line.seen.closed_ns.is_none())
    }
}
