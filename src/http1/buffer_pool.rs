//! A pool of buffers. A connection borrows one only while it has bytes to store, so ten thousand idle connections own
//! none. The pool is a stack: the buffer returned last is lent first, while it is still in the processor's cache.

use std::rc::Rc;

use super::limits::{
    CONTENT_BUFFER_BYTES, CONTENT_BUFFERS_MAX, FIELD_LINES_MAX, IDLE_BUFFER_BYTES, OUTPUT_BUFFER_BYTES,
    POOLED_BUFFERS_MAX, POOLED_CONTENT_BUFFERS_MAX, RECEIVE_BUFFER_BYTES,
};
use super::mapped_buffer::MappedBuffer;
use crate::semantics::fields::FieldSpans;

/// The memory behind a [`ReceiveBuffer`](super::receive_buffer::ReceiveBuffer).
pub(super) struct ReceiveMemory {
    /// Received bytes. The buffer has [`RECEIVE_BUFFER_BYTES`], or [`IDLE_BUFFER_BYTES`] while the connection is idle
    /// within a short head, or [`CONTENT_BUFFER_BYTES`] while it receives long content.
    pub(super) bytes: MappedBuffer,
    /// The field lines of the head that is being parsed.
    pub(super) spans: FieldSpans,
    /// Counts the buffers for long content while they exist.
    _counted: Option<Rc<()>>,
}

impl ReceiveMemory {
    fn new(buffer_bytes: usize, spans: FieldSpans) -> Box<ReceiveMemory> {
        Box::new(ReceiveMemory { bytes: MappedBuffer::new(buffer_bytes), spans, _counted: None })
    }

    /// Whether it is a buffer for long content.
    pub(super) fn is_for_content(&self) -> bool {
        self.bytes.len() == CONTENT_BUFFER_BYTES
    }
}

/// Bytes queued to be sent. Like a `Vec<u8>`, but backed by a [`MappedBuffer`], whose memory goes back to the system
/// when it is freed.
#[derive(Default)]
pub(super) struct OutputBuffer {
    memory: Option<Box<MappedBuffer>>,
    /// 32 bits are enough: the queue is bounded by a few hundred KiB.
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

    /// The queue's limits keep it within [`OUTPUT_BUFFER_BYTES`]. If a response is longer nevertheless, it gets a
    /// larger buffer, which does not go back to the pool.
    #[cold]
    fn extend_by_more_memory(&mut self, bytes: &[u8]) {
        let (start, end) = (self.len(), self.len() + bytes.len());
        let mut larger = MappedBuffer::new(end.next_power_of_two().max(OUTPUT_BUFFER_BYTES));
        larger[..start].copy_from_slice(self.as_slice());
        larger[start..end].copy_from_slice(bytes);
        self.memory = Some(Box::new(larger));
    }

    /// Inserts `bytes` at index `at`.
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

    /// How many bytes of memory the buffer owns, used or not.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory.as_ref().map_or(0, |memory| memory.len())
    }
}

/// The buffers of one event loop that no connection uses.
#[derive(Default)]
pub struct BufferPool {
    // Boxed as in the connections, where a box costs an idle one a single pointer.
    #[allow(clippy::vec_box)]
    receive: Vec<Box<ReceiveMemory>>,
    #[allow(clippy::vec_box)]
    content: Vec<Box<ReceiveMemory>>,
    #[allow(clippy::vec_box)]
    output: Vec<Box<MappedBuffer>>,
    /// Has another reference for each buffer for long content, lent or not.
    content_buffers: Rc<()>,
    /// Scratch space in which a response's head is written before it is queued in one piece. Cleared before each use.
    pub(super) head: Vec<u8>,
}

impl BufferPool {
    /// Lends memory to receive into. It still contains old bytes.
    pub(super) fn take_receive(&mut self) -> Box<ReceiveMemory> {
        self.receive
            .pop()
            .unwrap_or_else(|| ReceiveMemory::new(RECEIVE_BUFFER_BYTES, FieldSpans::with_capacity(FIELD_LINES_MAX)))
    }

    /// Lends memory to receive long content into; `None` if [`CONTENT_BUFFERS_MAX`] are lent.
    pub(super) fn take_content(&mut self) -> Option<Box<ReceiveMemory>> {
        if let Some(pooled) = self.content.pop() {
            return Some(pooled);
        }
        (self.content_buffers() < CONTENT_BUFFERS_MAX).then(|| {
            let mut memory = ReceiveMemory::new(CONTENT_BUFFER_BYTES, FieldSpans::with_capacity(FIELD_LINES_MAX));
            memory._counted = Some(Rc::clone(&self.content_buffers));
            memory
        })
    }

    /// How many buffers for long content there are.
    pub fn content_buffers(&self) -> usize {
        Rc::strong_count(&self.content_buffers) - 1
    }

    /// Memory of [`IDLE_BUFFER_BYTES`] for a connection that is idle within a head, with the field lines parsed so far.
    pub(super) fn take_idle(&mut self, spans: FieldSpans) -> Box<ReceiveMemory> {
        // Not pooled: connections rarely go idle within a head, unless they are an attack.
        ReceiveMemory::new(IDLE_BUFFER_BYTES, spans)
    }

    /// Takes memory back. Idle buffers, and more than the pool keeps, are freed.
    #[inline]
    pub(super) fn return_receive(&mut self, mut memory: Box<ReceiveMemory>) {
        if memory.is_for_content() {
            if self.content.len() < POOLED_CONTENT_BUFFERS_MAX {
                self.content.push(memory);
            }
        } else if self.receive.len() < POOLED_BUFFERS_MAX && memory.bytes.len() == RECEIVE_BUFFER_BYTES {
            // An idle connection has shrunk its list of lines.
            memory.spans.reserve(FIELD_LINES_MAX);
            self.receive.push(memory);
        }
    }

    /// Lends an empty buffer for responses.
    pub(super) fn take_output(&mut self) -> OutputBuffer {
        OutputBuffer { memory: self.output.pop(), len: 0 }
    }

    /// Takes a buffer back. One that has grown is freed, and so are more than [`POOLED_BUFFERS_MAX`].
    #[inline]
    pub(super) fn return_output(&mut self, buffer: OutputBuffer) {
        if let Some(memory) = buffer.memory
            && self.output.len() < POOLED_BUFFERS_MAX
            && memory.len() == OUTPUT_BUFFER_BYTES
        {
            self.output.push(memory);
        }
    }

    /// How many bytes of memory the pool owns: at most [`POOLED_BUFFERS_MAX`] buffers of each kind, and
    /// [`POOLED_CONTENT_BUFFERS_MAX`] for long content.
    pub fn memory_bytes(&self) -> usize {
        self.receive.len() * RECEIVE_BUFFER_BYTES
            + self.content.len() * CONTENT_BUFFER_BYTES
            + self.output.len() * OUTPUT_BUFFER_BYTES
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn returned_buffers_are_reused_up_to_the_limit() {
        let mut pool = BufferPool::default();
        let taken: Vec<_> = (0..=POOLED_BUFFERS_MAX).map(|_| pool.take_receive()).collect();
        let addresses: Vec<_> = taken.iter().map(|memory| memory.bytes.as_ptr()).collect();
        assert!(taken.iter().all(|memory| memory.bytes.len() == RECEIVE_BUFFER_BYTES));
        taken.into_iter().for_each(|memory| pool.return_receive(memory));
        let again: Vec<_> = (0..POOLED_BUFFERS_MAX).map(|_| pool.take_receive()).collect();
        assert!(again.iter().all(|memory| addresses.contains(&memory.bytes.as_ptr())));
        assert!(pool.receive.is_empty(), "one was freed");
    }

    #[test]
    fn buffers_for_content_are_bounded_and_one_that_is_lost_makes_way_for_another() {
        let mut pool = BufferPool::default();
        let mut taken: Vec<_> = (0..CONTENT_BUFFERS_MAX).map(|_| pool.take_content().unwrap()).collect();
        assert!(pool.take_content().is_none());
        // As when a connection is dropped after a panic.
        drop(taken.pop());
        taken.push(pool.take_content().unwrap());
        assert!(pool.take_content().is_none());
        taken.into_iter().for_each(|memory| pool.return_receive(memory));
        assert_eq!(pool.content_buffers(), POOLED_CONTENT_BUFFERS_MAX);
        assert_eq!(pool.memory_bytes(), POOLED_CONTENT_BUFFERS_MAX * CONTENT_BUFFER_BYTES);
        assert!(pool.take_content().is_some());
    }

    #[test]
    fn an_output_buffer_grows_beyond_its_usual_size_and_is_then_freed() {
        let mut pool = BufferPool::default();
        let mut buffer = pool.take_output();
        buffer.extend_from_slice(b"begin end");
        buffer.insert(6, b"middle ");
        buffer.drop_front(6);
        assert_eq!(buffer.as_slice(), b"middle end");
        buffer.truncate(6);
        buffer.extend_from_slice(&vec![b'x'; OUTPUT_BUFFER_BYTES]);
        assert!(buffer.len() == OUTPUT_BUFFER_BYTES + 6 && buffer.as_slice().starts_with(b"middlexxx"));
        pool.return_output(buffer);
        assert!(pool.output.is_empty(), "a grown buffer was returned to the pool");
        let mut usual = pool.take_output();
        usual.extend_from_slice(b"a");
        pool.return_output(usual);
        assert!(pool.take_output().is_empty() && pool.output.is_empty(), "the returned buffer is lent empty");
    }
}
