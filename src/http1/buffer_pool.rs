//! Buffers that connections borrow while they have bytes to keep. The last one given back is the next one lent, so that a
//! busy loop works in the same few warm buffers, and ten thousand idle connections own none.

use super::limits::{
    FIELD_LINES_MAX, IDLE_BUFFER_BYTES, OUTPUT_BUFFER_BYTES, POOLED_BUFFERS_MAX, RECEIVE_BUFFER_BYTES,
};
use super::mapped_buffer::MappedBuffer;
use crate::semantics::fields::FieldSpans;

/// What a connection reads into, and where the lines of a head are in it.
pub(super) struct ReceiveMemory {
    /// [`RECEIVE_BUFFER_BYTES`] bytes, or [`IDLE_BUFFER_BYTES`] while an idle connection has little in them.
    pub(super) bytes: MappedBuffer,
    /// The field lines of the head that is being read.
    pub(super) spans: FieldSpans,
}

impl ReceiveMemory {
    fn new(bytes: usize, spans: FieldSpans) -> Box<ReceiveMemory> {
        Box::new(ReceiveMemory { bytes: MappedBuffer::new(bytes), spans })
    }
}

/// Bytes that wait to be sent. Unlike a vector, it gives its memory back to the system when it is freed.
#[derive(Default)]
pub(super) struct OutputBuffer {
    memory: Option<Box<MappedBuffer>>,
    /// How many bytes are in it. What the queue may hold fits 32 bits by far.
    len: u32,
}

impl OutputBuffer {
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        match &self.memory {
            Some(memory) => &memory[..self.len as usize],
            None => &[],
        }
    }

    #[inline]
    pub(super) fn extend_from_slice(&mut self, bytes: &[u8]) {
        let (start, end) = (self.len(), self.len() + bytes.len());
        match self.memory.as_deref_mut().and_then(|memory| memory.get_mut(start..end)) {
            Some(space) => space.copy_from_slice(bytes),
            None => self.extend_by_more_memory(bytes),
        }
        self.len = end as u32;
    }

    /// The bounds of the queue keep it within [`OUTPUT_BUFFER_BYTES`]. Should one response be longer all the same, it is
    /// sent from a larger buffer, which is not kept.
    #[cold]
    fn extend_by_more_memory(&mut self, bytes: &[u8]) {
        let (start, end) = (self.len(), self.len() + bytes.len());
        let mut larger = MappedBuffer::new(end.next_power_of_two().max(OUTPUT_BUFFER_BYTES));
        larger[..start].copy_from_slice(self.as_slice());
        larger[start..end].copy_from_slice(bytes);
        self.memory = Some(Box::new(larger));
    }

    /// Inserts `bytes` before the one at `at`.
    pub(super) fn insert(&mut self, at: usize, bytes: &[u8]) {
        let end = self.len();
        self.extend_from_slice(bytes);
        if let Some(memory) = &mut self.memory {
            memory.copy_within(at..end, at + bytes.len());
            memory[at..at + bytes.len()].copy_from_slice(bytes);
        }
    }

    /// Removes the first `bytes` bytes.
    pub(super) fn drop_front(&mut self, bytes: usize) {
        let end = self.len();
        if let Some(memory) = &mut self.memory {
            memory.copy_within(bytes..end, 0);
            self.len = (end - bytes) as u32;
        }
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len as u32);
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Bytes of memory that the buffer holds, used or not.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory.as_ref().map_or(0, |memory| memory.len())
    }
}

/// The pool of one loop.
#[derive(Default)]
pub struct BufferPool {
    // Boxed as the connections keep them: one pointer in each of ten thousand idle ones.
    #[allow(clippy::vec_box)]
    receive: Vec<Box<ReceiveMemory>>,
    #[allow(clippy::vec_box)]
    output: Vec<Box<MappedBuffer>>,
    /// Where a response's head is put together, before it goes to its queue in one piece. Cleared before each use.
    pub(super) head: Vec<u8>,
}

impl BufferPool {
    /// Memory to read into. Its bytes are whatever they were.
    pub(super) fn take_receive(&mut self) -> Box<ReceiveMemory> {
        self.receive
            .pop()
            .unwrap_or_else(|| ReceiveMemory::new(RECEIVE_BUFFER_BYTES, FieldSpans::with_capacity(FIELD_LINES_MAX)))
    }

    /// Memory for what an idle connection has received of a head, and the lines that were found in it.
    pub(super) fn take_parked(&mut self, spans: FieldSpans) -> Box<ReceiveMemory> {
        // Not pooled: a connection that goes idle within a head is rare, unless it is an attack.
        ReceiveMemory::new(IDLE_BUFFER_BYTES, spans)
    }

    /// Takes memory back.
    pub(super) fn give_receive(&mut self, mut memory: Box<ReceiveMemory>) {
        if self.receive.len() < POOLED_BUFFERS_MAX && memory.bytes.len() == RECEIVE_BUFFER_BYTES {
            // An idle connection may have given up the room for lines that it did not have.
            memory.spans.reserve(FIELD_LINES_MAX);
            self.receive.push(memory);
        }
    }

    /// An empty buffer for responses.
    pub(super) fn take_output(&mut self) -> OutputBuffer {
        OutputBuffer { memory: self.output.pop(), len: 0 }
    }

    /// Takes a buffer back. One that has grown is freed.
    pub(super) fn give_output(&mut self, buffer: OutputBuffer) {
        if let Some(memory) = buffer.memory
            && self.output.len() < POOLED_BUFFERS_MAX
            && memory.len() == OUTPUT_BUFFER_BYTES
        {
            self.output.push(memory);
        }
    }

    /// Bytes of the buffers that are kept to be lent again: at most [`POOLED_BUFFERS_MAX`] of each kind.
    pub fn kept_bytes(&self) -> usize {
        self.receive.len() * RECEIVE_BUFFER_BYTES + self.output.len() * OUTPUT_BUFFER_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_keeps_some_buffers_and_lends_them_again() {
        let mut pool = BufferPool::default();
        let taken: Vec<_> = (0..=POOLED_BUFFERS_MAX).map(|_| pool.take_receive()).collect();
        let addresses: Vec<_> = taken.iter().map(|memory| memory.bytes.as_ptr()).collect();
        assert!(taken.iter().all(|memory| memory.bytes.len() == RECEIVE_BUFFER_BYTES));
        taken.into_iter().for_each(|memory| pool.give_receive(memory));
        let again: Vec<_> = (0..POOLED_BUFFERS_MAX).map(|_| pool.take_receive()).collect();
        assert!(again.iter().all(|memory| addresses.contains(&memory.bytes.as_ptr())));
        assert!(pool.receive.is_empty(), "one was not kept");
    }

    #[test]
    fn an_output_buffer_holds_what_it_is_given_and_more_than_it_was_made_for() {
        let mut pool = BufferPool::default();
        let mut buffer = pool.take_output();
        buffer.extend_from_slice(b"begin end");
        buffer.insert(6, b"middle ");
        buffer.drop_front(6);
        assert_eq!(buffer.as_slice(), b"middle end");
        buffer.truncate(6);
        buffer.extend_from_slice(&vec![b'x'; OUTPUT_BUFFER_BYTES]);
        assert!(buffer.len() == OUTPUT_BUFFER_BYTES + 6 && buffer.as_slice().starts_with(b"middlexxx"));
        pool.give_output(buffer);
        assert!(pool.output.is_empty(), "one that has grown is not kept");
        let mut usual = pool.take_output();
        usual.extend_from_slice(b"a");
        pool.give_output(usual);
        assert!(pool.take_output().is_empty() && pool.output.is_empty(), "an empty one is lent again");
    }
}
