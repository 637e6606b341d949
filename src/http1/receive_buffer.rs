//! The buffer of received bytes that have not been consumed.
//!
//! ```text
//!   0 … content_start … content_end … start … end … 64 KiB, or 512 KiB within long content
//!       └─── decoded content ─────┘   └ unread ┘
//! ```
//!
//! Decoded content is gathered in place: each piece that the decoder finds is moved next to the previous one. A client
//! that sends chunks of one byte therefore costs one write to the file for thousands of chunks.

use super::buffer_pool::{BufferPool, ReceiveMemory};
use super::limits::{CONTENT_BUFFER_BYTES, IDLE_BUFFER_BYTES, RECEIVE_BUFFER_BYTES, RECEIVE_TAIL_BYTES_MIN};
use crate::semantics::fields::FieldSpans;

/// Borrows memory from the pool only while it contains bytes. Its offsets have 32 bits to keep a connection small.
#[derive(Default)]
pub(super) struct ReceiveBuffer {
    memory: Option<Box<ReceiveMemory>>,
    content_start: u32,
    content_end: u32,
    start: u32,
    end: u32,
}

impl ReceiveBuffer {
    /// The bytes that have not been parsed.
    pub(super) fn unread(&self) -> &[u8] {
        match &self.memory {
            Some(memory) => &memory.bytes[self.start as usize..self.end as usize],
            None => &[],
        }
    }

    /// The unread bytes, and the field lines of the head that they begin with. `None` if nothing is unread.
    pub(super) fn unread_with_spans(&mut self) -> Option<(&[u8], &mut FieldSpans)> {
        let memory = self.memory.as_mut().filter(|_| self.start < self.end)?;
        Some((&memory.bytes[self.start as usize..self.end as usize], &mut memory.spans))
    }

    /// The decoded content that has been gathered.
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

    /// How many bytes fit.
    pub(super) fn capacity(&self) -> usize {
        if self.has_content_buffer() { CONTENT_BUFFER_BYTES } else { RECEIVE_BUFFER_BYTES }
    }

    /// How many more bytes fit, once the present ones have been moved to the front.
    pub(super) fn spare_capacity(&self) -> usize {
        let content = (self.content_end - self.content_start) as usize;
        self.capacity() - content - (self.end - self.start) as usize
    }

    /// Whether the memory is a buffer for long content.
    pub(super) fn has_content_buffer(&self) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.is_for_content())
    }

    /// Exchanges the memory for a buffer for long content, if the pool lends one.
    pub(super) fn take_content_buffer(&mut self, pool: &mut BufferPool) {
        if !self.has_content_buffer()
            && let Some(memory) = pool.take_content()
        {
            self.move_to(memory, pool);
        }
    }

    /// Exchanges a buffer for long content for one of the usual size, if its bytes fit there. Those after the end of the
    /// content do, since at most [`IDLE_BUFFER_BYTES`] are received beyond it.
    #[inline]
    pub(super) fn return_content_buffer(&mut self, pool: &mut BufferPool) {
        if self.has_content_buffer() && CONTENT_BUFFER_BYTES - self.spare_capacity() <= RECEIVE_BUFFER_BYTES {
            let memory = pool.take_receive();
            self.move_to(memory, pool);
        }
    }

    /// Moves the bytes to the front of other memory, in which they fit. There are no field lines: no head is being parsed.
    fn move_to(&mut self, mut memory: Box<ReceiveMemory>, pool: &mut BufferPool) {
        if let Some(before) = self.memory.take() {
            let used_start = self.used_start();
            let used = used_start as usize..self.end as usize;
            memory.bytes[..used.len()].copy_from_slice(&before.bytes[used]);
            self.move_offsets_back(used_start);
            pool.return_receive(before);
        }
        self.memory = Some(memory);
    }

    /// Where the bytes begin.
    fn used_start(&self) -> u32 {
        if self.content_start < self.content_end { self.content_start } else { self.start }
    }

    fn move_offsets_back(&mut self, bytes: u32) {
        self.content_start = self.content_start.saturating_sub(bytes);
        self.content_end = self.content_end.saturating_sub(bytes);
        self.start -= bytes;
        self.end -= bytes;
    }

    /// Space to receive at most `bytes_max` bytes into, empty if the buffer is full. The bytes become part of the
    /// buffer with [`received`](ReceiveBuffer::received).
    pub(super) fn spare_capacity_mut(&mut self, bytes_max: usize, pool: &mut BufferPool) -> &mut [u8] {
        if self.has_idle_buffer() && self.end as usize == IDLE_BUFFER_BYTES {
            self.move_to_full_size(pool);
        }
        if self.start == self.end {
            // Bytes received now directly follow the content, and need not be moved.
            (self.start, self.end) = (self.content_end, self.content_end);
        }
        let used_start = self.used_start();
        let mut memory = self.memory.take().unwrap_or_else(|| pool.take_receive());
        let tail_wanted = RECEIVE_TAIL_BYTES_MIN.min(bytes_max);
        let tail = memory.bytes.len() - self.end as usize;
        // A little content, received together with its head, is moved at once, so that whole pages follow it.
        let is_little = self.content_start < self.content_end && tail < bytes_max && self.end - used_start <= 4096;
        if used_start > 0 && (tail < tail_wanted || is_little) {
            memory.bytes.copy_within(used_start as usize..self.end as usize, 0);
            self.move_offsets_back(used_start);
        }
        let memory = self.memory.insert(memory);
        let space = &mut memory.bytes[self.end as usize..];
        let bytes = space.len().min(bytes_max);
        &mut space[..bytes]
    }

    fn has_idle_buffer(&self) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.bytes.len() == IDLE_BUFFER_BYTES)
    }

    /// Adds the first `bytes` bytes of the spare capacity, which have been received.
    pub(super) fn received(&mut self, bytes: usize) {
        debug_assert!(self.end as usize + bytes <= self.capacity());
        self.end += bytes as u32;
    }

    /// Removes the first `bytes` unread bytes.
    pub(super) fn consume(&mut self, bytes: usize) {
        debug_assert!(bytes <= (self.end - self.start) as usize);
        self.start += bytes as u32;
    }

    /// Removes all unread bytes.
    pub(super) fn consume_all(&mut self) {
        self.start = self.end;
    }

    /// Removes the first `skip` unread bytes, and moves the next `bytes`, which are content, to the gathered content.
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

    /// Removes the first `bytes` bytes of the gathered content.
    pub(super) fn consume_content(&mut self, bytes: usize) {
        debug_assert!(bytes <= (self.content_end - self.content_start) as usize);
        self.content_start += bytes as u32;
        if self.content_start == self.content_end {
            self.consume_all_content();
        }
    }

    /// Removes the gathered content.
    pub(super) fn consume_all_content(&mut self) {
        (self.content_start, self.content_end) = (0, 0);
    }

    /// How many bytes of memory are borrowed.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory.as_ref().map_or(0, |memory| memory.bytes.len() + memory.spans.memory_bytes())
    }

    /// Gives the memory back if nothing is unread, or exchanges it for a smaller buffer if little is. The gathered
    /// content must have been consumed.
    #[inline]
    pub(super) fn release(&mut self, pool: &mut BufferPool) {
        debug_assert!(self.content().is_empty());
        if self.is_empty() {
            if let Some(memory) = self.memory.take() {
                pool.return_receive(memory);
            }
            (self.start, self.end) = (0, 0);
        } else if !self.has_idle_buffer() {
            self.return_content_buffer(pool);
            self.move_to_idle_buffer(pool);
        }
    }

    /// Moves the unread bytes to an idle buffer if they fit in one, and shrinks the list of field lines. Beside a buffer of
    /// full size the list would not count, and once shrunk it could grow to nearly twice the most lines.
    fn move_to_idle_buffer(&mut self, pool: &mut BufferPool) {
        let Some(mut memory) = self.memory.take() else { return };
        let unread = self.start as usize..self.end as usize;
        let bytes = unread.len();
        if bytes < IDLE_BUFFER_BYTES {
            memory.spans.shrink_to_fit();
            let mut idle = pool.take_idle(std::mem::take(&mut memory.spans));
            idle.bytes[..bytes].copy_from_slice(&memory.bytes[unread]);
            pool.return_receive(memory);
            memory = idle;
            (self.start, self.end) = (0, bytes as u32);
        }
        self.memory = Some(memory);
    }

    /// Moves the contents of an idle buffer to one of full size, at the same offsets.
    fn move_to_full_size(&mut self, pool: &mut BufferPool) {
        let mut memory = pool.take_receive();
        if let Some(idle) = self.memory.take() {
            memory.bytes[..IDLE_BUFFER_BYTES].copy_from_slice(&idle.bytes);
            memory.spans.copy_from(&idle.spans);
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
            let space = buffer.spare_capacity_mut(usize::MAX, pool);
            let count = space.len().min(rest.len());
            space[..count].copy_from_slice(&rest[..count]);
            buffer.received(count);
            rest = &rest[count..];
        }
    }

    #[test]
    fn an_idle_connection_keeps_a_partial_head_in_little_memory() {
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
        assert!(buffer.spare_capacity() == 0 && buffer.unread() == bytes);
        let (bytes, spans) = buffer.unread_with_spans().unwrap();
        assert_eq!(Fields::new(bytes, spans).first(FieldName::Host), Some(&bytes[2..9]));

        buffer.release(&mut pool);
        assert_eq!(buffer.spare_capacity(), 0, "long input stays in its buffer");
        buffer.consume_all();
        buffer.release(&mut pool);
        assert_eq!(buffer.memory_bytes(), 0);
        assert!(pool.take_receive().spans.memory_bytes() >= FIELD_LINES_MAX * line, "ready for the next head");
    }

    /// It grew from the lines of the first part to up to twice as many, which the limit on a connection's memory does not
    /// include.
    #[test]
    fn the_field_lines_of_a_long_head_that_comes_in_parts_have_no_more_memory_than_the_most_lines_need() {
        let (mut buffer, mut pool) = (ReceiveBuffer::default(), BufferPool::default());
        receive(&mut buffer, &mut pool, &[b'a'; IDLE_BUFFER_BYTES + 1]);
        for line in 0..FIELD_LINES_MAX {
            let (_, spans) = buffer.unread_with_spans().unwrap();
            spans.push(FieldSpan { name: FieldName::Host, name_start: 0, name_end: 1, value_start: 2, value_end: 9 });
            if line == FIELD_LINES_MAX / 2 {
                buffer.release(&mut pool);
            }
        }
        assert_eq!(buffer.memory_bytes(), RECEIVE_BUFFER_BYTES + FIELD_LINES_MAX * size_of::<FieldSpan>());
    }

    #[test]
    fn content_is_gathered_without_its_framing() {
        let (mut buffer, mut pool) = (ReceiveBuffer::default(), BufferPool::default());
        receive(&mut buffer, &mut pool, b"head1:a1:bc3:def0:next");
        buffer.consume(4);
        for (skip, bytes) in [(2, 1), (2, 2), (2, 3)] {
            buffer.gather(skip, bytes);
        }
        buffer.gather(2, 0);
        assert_eq!((buffer.content(), buffer.unread()), (&b"abcdef"[..], &b"next"[..]));
        buffer.consume_all_content();
        assert_eq!((buffer.content(), buffer.unread()), (&b""[..], &b"next"[..]));
    }

    #[test]
    fn content_that_fills_the_buffer_moves_to_the_front_to_make_space() {
        let (mut buffer, mut pool) = (ReceiveBuffer::default(), BufferPool::default());
        let bytes: Vec<u8> = (0..RECEIVE_BUFFER_BYTES).map(|at| (at % 241) as u8).collect();
        receive(&mut buffer, &mut pool, &bytes);
        buffer.consume(1000);
        buffer.gather(0, RECEIVE_BUFFER_BYTES - 1000);
        assert_eq!(buffer.spare_capacity(), 1000);
        assert_eq!(buffer.spare_capacity_mut(usize::MAX, &mut pool).len(), 1000);
        receive(&mut buffer, &mut pool, &bytes[..1000]);
        buffer.gather(0, 1000);
        assert_eq!(buffer.spare_capacity(), 0);
        assert!(buffer.content()[..RECEIVE_BUFFER_BYTES - 1000] == bytes[1000..]);
        assert!(buffer.content()[RECEIVE_BUFFER_BYTES - 1000..] == bytes[..1000]);
    }
}
