//! The send queue: bytes, then at most one source, then the end.

use std::mem;

use super::buffer_pool::{BufferPool, OutputBuffer};
use super::limits::{OUTPUT_BYTES_FULL, RESPONSE_CONTENT_BYTES_MAX};
use super::response_writer::{DateLine, Persistence, ResponseFraming, connection_line, write_chunk_size, write_head};
use crate::semantics::request::Version;
use crate::semantics::response::{Body, Response};
use crate::semantics::service::{FilePiece, Piece, Source, SourceFailed};

/// What the caller must do next to send.
#[derive(Debug)]
pub enum Transmit<'a, F> {
    /// Send bytes from memory.
    Bytes {
        /// The bytes.
        bytes: &'a [u8],
        /// Whether content from a source follows immediately, so that both may share a packet.
        more: bool,
    },
    /// Send from a file.
    File {
        /// The range of the file that is still to be sent.
        file: &'a F,
        /// How many bytes of it may be sent now, at most.
        bytes_max: u64,
    },
    /// Call again after other connections have had their turn: the source has more work to do before it can continue.
    Pending,
    /// Nothing, until the connection's deadline: the disk is reading what is to be sent next. Other connections are served
    /// meanwhile.
    NotInMemory,
    /// Shut down the sending side: nothing more will be sent.
    End,
    /// Close the connection at once: content that has been begun cannot be completed, and this is how the client
    /// notices.
    Abort,
}

impl<'a, F> Transmit<'a, F> {
    /// The same, but at most `bytes_max` bytes, at least one.
    pub(super) fn at_most(self, bytes_max: u64) -> Transmit<'a, F> {
        match self {
            Transmit::Bytes { bytes, .. } if bytes.len() as u64 >= bytes_max => {
                // Nothing follows immediately.
                Transmit::Bytes { bytes: &bytes[..bytes_max as usize], more: false }
            }
            Transmit::File { file, bytes_max: left } => Transmit::File { file, bytes_max: left.min(bytes_max) },
            other => other,
        }
    }
}

/// Whether the output has an end, after which nothing more is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Queued,
    Sent,
}

/// A response that is held back until the content of its request has been read. If the content is malformed, the
/// response is dropped, and the protocol error is the response instead.
#[derive(Clone, Copy, Debug)]
struct HeldResponse {
    /// The offset at which it begins.
    start: u32,
    /// The offset at which its Connection field is to be inserted.
    connection_field: u32,
}

/// How the content of the source is framed, and how much of it has been framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SourceFraming {
    /// Content of known length.
    Length,
    /// Content of unknown length, in the chunked coding or, for an HTTP/1.0 client, close-delimited.
    Stream {
        chunked: bool,
        /// How many bytes are still to be sent of a piece that comes from a file.
        left: u64,
        /// Whether no piece has been queued yet.
        is_first: bool,
    },
}

/// The result of [`SendQueue::queue_pieces`].
enum Queued {
    /// The queue contains something to send, or the content has ended.
    Pieces,
    /// The source has more work to do before it can continue.
    Pending,
}

/// What is to be sent to the client. Its offsets have 32 bits to keep a connection small; its contents are bounded by a
/// few hundred KiB.
pub(super) struct SendQueue<B> {
    bytes: OutputBuffer,
    /// How many of the bytes have been sent.
    sent: u32,
    held: Option<HeldResponse>,
    source: Option<B>,
    framing: SourceFraming,
    end: End,
}

impl<B> Default for SendQueue<B> {
    /// An empty queue.
    fn default() -> SendQueue<B> {
        SendQueue {
            bytes: OutputBuffer::default(),
            sent: 0,
            held: None,
            source: None,
            framing: SourceFraming::Length,
            end: End::Open,
        }
    }
}

impl<B: Source> SendQueue<B> {
    /// Whether anything can be sent now. A response that is held back cannot.
    #[inline]
    pub(super) fn is_pending(&self) -> bool {
        self.sendable_end() > self.sent as usize
            || self.held.is_none() && (self.source.is_some() || self.end == End::Queued)
    }

    /// Whether so much is queued that no further request may be parsed.
    pub(super) fn is_full(&self) -> bool {
        self.source.is_some() || self.queued_bytes() >= OUTPUT_BYTES_FULL
    }

    /// How many bytes in memory are still to be sent. Those of a source are not counted.
    pub(super) fn queued_bytes(&self) -> usize {
        self.bytes.len() - self.sent as usize
    }

    /// Whether the content of the last response comes from a source that has not ended.
    pub(super) fn has_source(&self) -> bool {
        self.source.is_some()
    }

    /// Whether [`transmit`](SendQueue::transmit) needs the source, because all bytes before its content have been sent.
    pub(super) fn sends_from_source(&self) -> bool {
        self.source.is_some() && self.sent as usize == self.sendable_end()
    }

    /// Whether there is nothing to send, not even the end.
    #[inline]
    pub(super) fn is_done(&self) -> bool {
        self.bytes.is_empty() && self.source.is_none() && self.end != End::Queued
    }

    /// Whether close-delimited content is being sent, and its end has not been.
    pub(super) fn is_close_delimited(&self) -> bool {
        matches!(self.framing, SourceFraming::Stream { chunked: false, .. }) && self.end != End::Sent
    }

    /// Whether the end has been sent.
    pub(super) fn has_ended(&self) -> bool {
        self.end == End::Sent
    }

    /// Queues an interim response (100 or 104).
    pub(super) fn push_interim(&mut self, bytes: &[u8], pool: &mut BufferPool) {
        self.reserve(pool);
        self.bytes.extend_from_slice(bytes);
    }

    /// Queues a response, and takes its content if that is a source. Returns how many of the queued bytes are content.
    ///
    /// If `head_only`, for the response to HEAD, the fields are those of the response to GET, and the content is
    /// omitted. If `persistence` is `None`, the response is held back until [`release`](SendQueue::release) is called.
    pub(super) fn push(
        &mut self,
        response: &mut Response<'_, B>,
        framing: ResponseFraming,
        head_only: bool,
        persistence: Option<Persistence>,
        date: Option<&DateLine>,
        pool: &mut BufferPool,
    ) -> usize {
        debug_assert!(self.end == End::Open && self.source.is_none() && self.held.is_none());
        self.reserve(pool);
        let start = self.bytes.len() as u32;
        let head = &mut pool.head;
        head.clear();
        write_head(head, response, framing, date);
        match persistence {
            Some(persistence) => head.extend_from_slice(connection_line(persistence)),
            None => self.held = Some(HeldResponse { start, connection_field: start + head.len() as u32 }),
        }
        head.extend_from_slice(b"\r\n");
        self.bytes.extend_from_slice(head);
        if head_only || response.status.forbids_content() {
            return 0;
        }
        match &response.body {
            Body::Empty => 0,
            Body::Bytes(content) => {
                // Longer content comes from a source: the client may leave it unread.
                debug_assert!(content.len() <= RESPONSE_CONTENT_BYTES_MAX);
                self.bytes.extend_from_slice(content);
                content.len()
            }
            Body::Source(_) => {
                self.take_source(response, framing);
                0
            }
        }
    }

    /// Takes the content's source, unless the content is empty.
    fn take_source(&mut self, response: &mut Response<'_, B>, framing: ResponseFraming) {
        let Body::Source(source) = mem::replace(&mut response.body, Body::Empty) else { return };
        self.framing = match framing {
            ResponseFraming::Length(0) => return,
            ResponseFraming::Length(_) => SourceFraming::Length,
            ResponseFraming::Chunked | ResponseFraming::CloseDelimited => {
                SourceFraming::Stream { chunked: framing == ResponseFraming::Chunked, left: 0, is_first: true }
            }
        };
        self.source = Some(source);
    }

    /// Makes the response that is held back sendable, with this persistence.
    pub(super) fn release(&mut self, persistence: Persistence) {
        if let Some(held) = self.held.take() {
            self.bytes.insert(held.connection_field as usize, connection_line(persistence));
        }
    }

    /// Drops the response that is held back, if there is one.
    pub(super) fn drop_held(&mut self) {
        if let Some(held) = self.held.take() {
            self.bytes.truncate(held.start as usize);
            self.source = None;
            self.framing = SourceFraming::Length;
        }
    }

    /// Queues the end: no response may follow.
    pub(super) fn end(&mut self) {
        if self.end == End::Open {
            self.end = End::Queued;
        }
    }

    /// What is to be sent next; `None` if there is nothing to send now.
    pub(super) fn transmit(&mut self) -> Option<Transmit<'_, B::File>> {
        if self.sent as usize == self.sendable_end()
            && self.held.is_none()
            && let SourceFraming::Stream { chunked, left: 0, is_first } = self.framing
        {
            match self.queue_pieces(chunked, is_first) {
                Ok(Queued::Pieces) => {}
                Ok(Queued::Pending) => return Some(Transmit::Pending),
                Err(SourceFailed) => return Some(Transmit::Abort),
            }
        }
        let (sent, sendable_end) = (self.sent as usize, self.sendable_end());
        if sent < sendable_end {
            let more = self.source.is_some() && self.held.is_none();
            return Some(Transmit::Bytes { bytes: &self.bytes.as_slice()[sent..sendable_end], more });
        }
        if self.held.is_some() {
            return None;
        }
        match (&mut self.source, self.end) {
            (Some(source), _) => Some(next_of(source, self.framing)),
            (None, End::Queued) => Some(Transmit::End),
            (None, End::Open | End::Sent) => None,
        }
    }

    /// Queues the next part of content of unknown length: pieces in memory until the queue is full, the chunk size of a
    /// piece in a file, or the last chunk.
    fn queue_pieces(&mut self, chunked: bool, mut is_first: bool) -> Result<Queued, SourceFailed> {
        let Some(source) = &mut self.source else { return Ok(Queued::Pieces) };
        // Each round queues one piece. It must not be empty: an empty chunk is the last one (RFC 9112 §7.1), and the
        // client would take what follows it for another response.
        while self.bytes.len() < OUTPUT_BYTES_FULL {
            let (bytes, left) = match source.piece()? {
                Some(Piece::Bytes(piece)) => (piece, 0),
                Some(Piece::File(file)) => (&[][..], file.bytes_left()),
                Some(Piece::Pending) if self.bytes.is_empty() => return Ok(Queued::Pending),
                // Send what has been queued first.
                Some(Piece::Pending) => break,
                None => {
                    self.source = None;
                    // If not chunked, the framing stays, because the end of the connection is still to complete the
                    // content.
                    if chunked {
                        self.bytes.extend_from_slice(if is_first { b"0\r\n\r\n" } else { b"\r\n0\r\n\r\n" });
                        self.framing = SourceFraming::Length;
                    }
                    return Ok(Queued::Pieces);
                }
            };
            if bytes.is_empty() && left == 0 {
                debug_assert!(false, "a source returned an empty piece");
                return Err(SourceFailed);
            }
            if chunked {
                write_chunk_size(&mut self.bytes, bytes.len() as u64 + left, is_first);
            }
            is_first = false;
            self.framing = SourceFraming::Stream { chunked, left, is_first };
            if left > 0 {
                break;
            }
            let count = bytes.len() as u64;
            self.bytes.extend_from_slice(bytes);
            source.advance(count);
        }
        Ok(Queued::Pieces)
    }

    /// Removes the first `bytes` bytes of what [`transmit`](SendQueue::transmit) returned, which have been sent; 0
    /// after [`Transmit::Pending`].
    pub(super) fn transmitted(&mut self, bytes: u64) {
        if (self.sent as usize) < self.sendable_end() {
            self.sent += bytes as u32;
            if self.sent as usize == self.bytes.len() {
                self.bytes.clear();
                self.sent = 0;
            }
            return;
        }
        let Some(source) = &mut self.source else {
            debug_assert!(false, "there was nothing to send");
            return;
        };
        source.advance(bytes);
        match &mut self.framing {
            SourceFraming::Stream { left, .. } => *left = left.saturating_sub(bytes),
            SourceFraming::Length if source.bytes_left() == Some(0) => self.source = None,
            SourceFraming::Length => {}
        }
    }

    /// The sending side has been shut down.
    pub(super) fn end_transmitted(&mut self) {
        self.end = End::Sent;
    }

    /// How many bytes of memory the queue owns, used or not.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.memory_bytes()
    }

    /// Gives the memory back to the pool if the queue contains no bytes.
    pub(super) fn release_if_empty(&mut self, pool: &mut BufferPool) {
        if self.bytes.is_empty() && self.bytes.memory_bytes() > 0 {
            pool.return_output(mem::take(&mut self.bytes));
        }
    }

    /// The offset up to which bytes may be sent: all, but for a response that is held back.
    #[inline]
    fn sendable_end(&self) -> usize {
        self.held.map_or(self.bytes.len(), |held| held.start as usize)
    }

    /// Not inlined: most responses need no other memory, and without this code `reserve` is short.
    #[inline(never)]
    fn take_memory(&mut self, pool: &mut BufferPool) {
        self.bytes = pool.take_output();
    }

    /// Makes sure that the queue has memory, with space for another response.
    #[inline]
    fn reserve(&mut self, pool: &mut BufferPool) {
        if self.bytes.memory_bytes() == 0 {
            self.take_memory(pool);
        }
        // Without this, the part that has been sent could grow without limit while a client never reads everything.
        if self.sent as usize >= OUTPUT_BYTES_FULL / 2 {
            self.bytes.drop_front(self.sent as usize);
            self.sent = 0;
        }
    }
}

/// What is to be sent next of a source; within the current chunk, if the content is chunked.
fn next_of<B: Source>(source: &mut B, framing: SourceFraming) -> Transmit<'_, B::File> {
    let bytes_max = match framing {
        SourceFraming::Stream { left, .. } => left,
        SourceFraming::Length => u64::MAX,
    };
    // Before the piece borrows the source.
    let bytes_left = source.bytes_left();
    match source.piece() {
        Ok(Some(Piece::Bytes([]))) => {
            debug_assert!(false, "a source returned an empty piece");
            Transmit::Abort
        }
        Ok(Some(Piece::Bytes(bytes))) => {
            let more = bytes_left.is_some_and(|left| left > bytes.len() as u64);
            Transmit::Bytes { bytes, more }
        }
        Ok(Some(Piece::File(file))) => Transmit::File { file, bytes_max },
        Ok(Some(Piece::Pending)) => Transmit::Pending,
        // The content is shorter than its Content-Length, or cannot be read.
        Ok(None) | Err(_) => Transmit::Abort,
    }
}

/// How a response to a client of this version is framed.
pub(super) fn framing_of<B: Source>(response: &Response<'_, B>, version: Version) -> ResponseFraming {
    match &response.body {
        Body::Empty => ResponseFraming::Length(0),
        Body::Bytes(content) => ResponseFraming::Length(content.len() as u64),
        Body::Source(source) => match (source.bytes_left(), version) {
            (Some(bytes), _) => ResponseFraming::Length(bytes),
            (None, Version::Http11) => ResponseFraming::Chunked,
            (None, Version::Http10) => ResponseFraming::CloseDelimited,
        },
    }
}
