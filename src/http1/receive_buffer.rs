//! Bytes that have been received and not yet been used up.
//!
//! ```text
//!   0 … content_start … content_end … start … end … 64 KiB
//!       └─ content that was decoded ┘ └ unread ┘
//! ```
//!
//! Content is gathered in the memory that it was received into: each stretch of it that the decoder finds moves down to
//! the ones before. So a client that sends a byte a chunk costs one write to its file for thousands of chunks.

use super::buffer_pool::{BufferPool, ReceiveMemory};
use super::limits::{IDLE_BUFFER_BYTES, RECEIVE_BUFFER_BYTES, RECEIVE_TAIL_BYTES_MIN};
use crate::semantics::fields::FieldSpans;

/// Memory that is borrowed while there are bytes in it. 32 bits are enough for offsets into it, and keep a session small.
#[derive(Default)]
pub(super) struct ReceiveBuffer {
    memory: Option<Box<ReceiveMemory>>,
    content_start: u32,
    content_end: u32,
    start: u32,
    end: u32,
}

impl ReceiveBuffer {
    /// The bytes that have not been read.
    pub(super) fn unread(&self) -> &[u8] {
        match &self.memory {
            Some(memory) => &memory.bytes[self.start as usize..self.end as usize],
            None => &[],
        }
    }

    /// The unread bytes, and where the lines of their head are noted. `None` where nothing is unread.
    pub(super) fn unread_with_spans(&mut self) -> Option<(&[u8], &mut FieldSpans)> {
        let memory = self.memory.as_mut().filter(|_| self.start < self.end)?;
        Some((&memory.bytes[self.start as usize..self.end as usize], &mut memory.spans))
    }

    /// The content that has been gathered.
    pub(super) fn content(&self) -> &[u8] {
        match &self.memory {
            Some(memory) => &memory.bytes[self.content_start as usize..self.content_end as usize],
            None => &[],
        }
    }

    /// Whether nothing is unread.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes could be received, if what is here were moved to the front.
    pub(super) fn room(&self) -> usize {
        let content = (self.content_end - self.content_start) as usize;
        RECEIVE_BUFFER_BYTES - content - (self.end - self.start) as usize
    }

    /// Room to receive into, at most `bytes_max` bytes; empty if the buffer is full. What is written there counts once
    /// [`received`](ReceiveBuffer::received) says so.
    pub(super) fn space(&mut self, bytes_max: usize, pool: &mut BufferPool) -> &mut [u8] {
        if self.is_parked() && self.end as usize == IDLE_BUFFER_BYTES {
            self.move_to_full_size(pool);
        }
        if self.start == self.end {
            // What comes now then lies right behind the content, and need not be moved to it.
            (self.start, self.end) = (self.content_end, self.content_end);
        }
        let memory = self.memory.get_or_insert_with(|| pool.take_receive());
        let tail_wanted = RECEIVE_TAIL_BYTES_MIN.min(bytes_max);
        let tail = memory.bytes.len() - self.end as usize;
        let used_start = if self.content_start < self.content_end { self.content_start } else { self.start };
        // A little content, which came along with its head, moves at once: all that follows is then in whole pages.
        let is_little = self.content_start < self.content_end && tail < bytes_max && self.end - used_start <= 4096;
        if used_start > 0 && (tail < tail_wanted || is_little) {
            memory.bytes.copy_within(used_start as usize..self.end as usize, 0);
            self.content_start = self.content_start.saturating_sub(used_start);
            self.content_end = self.content_end.saturating_sub(used_start);
            self.start -= used_start;
            self.end -= used_start;
        }
        let space = &mut memory.bytes[self.end as usize..];
        let bytes = space.len().min(bytes_max);
        &mut space[..bytes]
    }

    fn is_parked(&self) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.bytes.len() == IDLE_BUFFER_BYTES)
    }

    /// The first `bytes` of the space have been received.
    pub(super) fn received(&mut self, bytes: usize) {
        debug_assert!(self.end as usize + bytes <= RECEIVE_BUFFER_BYTES);
        self.end += bytes as u32;
    }

    /// The first `bytes` unread ones are used up.
    pub(super) fn consume(&mut self, bytes: usize) {
        debug_assert!(bytes <= (self.end - self.start) as usize);
        self.start += bytes as u32;
    }

    /// All unread bytes are used up.
    pub(super) fn consume_all(&mut self) {
        self.start = self.end;
    }

    /// Of the unread bytes, the first `skip` are used up and the next `bytes` are content: it joins what was gathered.
    pub(super) fn gather(&mut self, skip: usize, bytes: usize) {
        debug_assert!(skip + bytes <= (self.end - self.start) as usize);
        let from = self.start as usize + skip;
        if let Some(memory) = self.memory.as_mut().filter(|_| bytes > 0) {
            if self.content_start == self.content_end {
                (self.content_start, self.content_end) = (from as u32, from as u32);
            }
            if self.content_end as usize != from {
                memory.bytes.copy_within(from..from + bytes, self.content_end as usize);
            }
            self.content_end += bytes as u32;
        }
        self.start += (skip + bytes) as u32;
    }

    /// The gathered content is used up.
    pub(super) fn consume_content(&mut self) {
        (self.content_start, self.content_end) = (0, 0);
    }

    /// Bytes of memory that are borrowed.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory.as_ref().map_or(0, |memory| memory.bytes.len() + memory.spans.memory_bytes())
    }

    /// Gives the memory back if nothing is unread, or exchanges it for less if little is. Content must have been consumed.
    pub(super) fn release(&mut self, pool: &mut BufferPool) {
        debug_assert!(self.content().is_empty());
        if self.is_empty() {
            if let Some(memory) = self.memory.take() {
                pool.give_receive(memory);
            }
            (self.start, self.end) = (0, 0);
        } else if !self.is_parked() {
            self.park(pool);
        }
    }

    /// Little that is unread moves to little memory; and in any case the room for lines that have not come goes.
    fn park(&mut self, pool: &mut BufferPool) {
        let Some(mut memory) = self.memory.take() else { return };
        memory.spans.shrink_to_fit();
        let unread = self.start as usize..self.end as usize;
        let bytes = unread.len();
        if bytes < IDLE_BUFFER_BYTES {
            let mut parked = pool.take_parked(std::mem::take(&mut memory.spans));
            parked.bytes[..bytes].copy_from_slice(&memory.bytes[unread]);
            pool.give_receive(memory);
            memory = parked;
            (self.start, self.end) = (0, bytes as u32);
        }
        self.memory = Some(memory);
    }

    /// Everything stays at its offset: the unread bytes, and content that was gathered before them.
    fn move_to_full_size(&mut self, pool: &mut BufferPool) {
        let mut memory = pool.take_receive();
        if let Some(parked) = self.memory.take() {
            memory.bytes[..IDLE_BUFFER_BYTES].copy_from_slice(&parked.bytes);
            memory.spans.copy_from(&parked.spans);
        }
        self.memory = Some(memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::limits::FIELD_LINES_MAX;
    use crate::semantics::fields::{FieldName, FieldSpan, Fields};

    fn receive(buffer: &mut ReceiveBuffer, pool: &mut BufferPool, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = buffer.space(usize::MAX, pool);
            let count = space.len().min(rest.len());
            space[..count].copy_from_slice(&rest[..count]);
            buffer.received(count);
            rest = &rest[count..];
        }
    }

    #[test]
    fn what_an_idle_connection_has_of_a_head_costs_little_and_nothing_of_it_is_lost() {
        let bytes: Vec<u8> = (0..RECEIVE_BUFFER_BYTES).map(|at| (at % 251) as u8).collect();
        let (mut buffer, mut pool) = (ReceiveBuffer::default(), BufferPool::default());
        let (start, rest) = bytes.split_at(100);
        receive(&mut buffer, &mut pool, b"gone");
        receive(&mut buffer, &mut pool, start);
        buffer.consume(b"gone".len());
        let (_, spans) = buffer.unread_with_spans().unwrap();
        spans.push(FieldSpan { name: FieldName::Host, name_start: 0, name_end: 1, value_start: 2, value_end: 9 });

        buffer.release(&mut pool);
        let line = size_of::<FieldSpan>();
        assert!(buffer.memory_bytes() <= IDLE_BUFFER_BYTES + 4 * line, "{}", buffer.memory_bytes());
        assert_eq!(buffer.unread(), start);

        receive(&mut buffer, &mut pool, rest);
        assert!(buffer.room() == 0 && buffer.unread() == bytes);
        let (bytes, spans) = buffer.unread_with_spans().unwrap();
        assert_eq!(Fields::new(bytes, spans).first(FieldName::Host), Some(&bytes[2..9]));

        buffer.release(&mut pool);
        assert_eq!(buffer.room(), 0, "what is long stays where it is");
        buffer.consume_all();
        buffer.release(&mut pool);
        assert_eq!(buffer.memory_bytes(), 0);
        assert!(pool.take_receive().spans.memory_bytes() >= FIELD_LINES_MAX * line, "ready for the next head");
    }

    #[test]
    fn content_is_gathered_from_between_its_framing() {
        let (mut buffer, mut pool) = (ReceiveBuffer::default(), BufferPool::default());
        receive(&mut buffer, &mut pool, b"head1:a1:bc3:def0:next");
        buffer.consume(4);
        for (skip, bytes) in [(2, 1), (2, 2), (2, 3)] {
            buffer.gather(skip, bytes);
        }
        buffer.gather(2, 0);
        assert_eq!((buffer.content(), buffer.unread()), (&b"abcdef"[..], &b"next"[..]));
        buffer.consume_content();
        assert_eq!((buffer.content(), buffer.unread()), (&b""[..], &b"next"[..]));
    }

    #[test]
    fn content_that_fills_the_buffer_leaves_no_room_and_moves_to_the_front_for_more() {
        let (mut buffer, mut pool) = (ReceiveBuffer::default(), BufferPool::default());
        let bytes: Vec<u8> = (0..RECEIVE_BUFFER_BYTES).map(|at| (at % 241) as u8).collect();
        receive(&mut buffer, &mut pool, &bytes);
        buffer.consume(1000);
        buffer.gather(0, RECEIVE_BUFFER_BYTES - 1000);
        assert_eq!(buffer.room(), 1000);
        assert_eq!(buffer.space(usize::MAX, &mut pool).len(), 1000);
        receive(&mut buffer, &mut pool, &bytes[..1000]);
        buffer.gather(0, 1000);
        assert_eq!(buffer.room(), 0);
        assert!(buffer.content()[..RECEIVE_BUFFER_BYTES - 1000] == bytes[1000..]);
        assert!(buffer.content()[RECEIVE_BUFFER_BYTES - 1000..] == bytes[..1000]);
    }
}
