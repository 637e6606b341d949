//! Octets that have been received and not yet been made sense of.

use super::buffer_pool::{BufferPool, ReceiveMemory};
use super::limits::RECEIVE_BUFFER_OCTETS;
use crate::semantics::fields::FieldSpans;

/// A tail shorter than this is not worth a read: the octets are moved to the front first.
const TAIL_OCTETS_MIN: usize = RECEIVE_BUFFER_OCTETS / 4;

/// The octets between `start` and `end` of memory that is borrowed while there are any.
#[derive(Debug, Default)]
pub struct ReceiveBuffer {
    memory: Option<Box<ReceiveMemory>>,
    start: u32,
    end: u32,
}

impl ReceiveBuffer {
    /// The octets that wait.
    pub fn unread(&self) -> &[u8] {
        match &self.memory {
            Some(memory) => &memory.octets[self.start as usize..self.end as usize],
            None => &[],
        }
    }

    /// The octets that wait, and where the lines of their head are noted. `None` where nothing waits.
    pub fn unread_with_spans(&mut self) -> Option<(&[u8], &mut FieldSpans)> {
        let memory = self.memory.as_mut()?;
        Some((&memory.octets[self.start as usize..self.end as usize], &mut memory.spans))
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether there is no room to receive more.
    pub fn is_full(&self) -> bool {
        (self.end - self.start) as usize == RECEIVE_BUFFER_OCTETS
    }

    /// Room to receive into; empty if the buffer is full. What is written there counts once
    /// [`received`](ReceiveBuffer::received) says so.
    pub fn space(&mut self, pool: &mut BufferPool) -> &mut [u8] {
        let (start, end) = (self.start as usize, self.end as usize);
        let memory = self.memory.get_or_insert_with(|| pool.take_receive());
        if start == end {
            (self.start, self.end) = (0, 0);
        } else if start > 0 && RECEIVE_BUFFER_OCTETS - end < TAIL_OCTETS_MIN {
            memory.octets.copy_within(start..end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut memory.octets[self.end as usize..]
    }

    /// The first `octets` of the space have been received.
    pub fn received(&mut self, octets: usize) {
        debug_assert!(self.end as usize + octets <= RECEIVE_BUFFER_OCTETS);
        self.end += octets as u32;
    }

    /// The first `octets` that wait are done with.
    pub fn consume(&mut self, octets: usize) {
        debug_assert!(octets <= (self.end - self.start) as usize);
        self.start += octets as u32;
    }

    /// All that waits is done with.
    pub fn consume_all(&mut self) {
        self.start = self.end;
    }

    /// Octets of memory that are borrowed.
    pub fn memory_octets(&self) -> usize {
        self.memory.as_ref().map_or(0, |memory| memory.octets.len() + memory.spans.memory_octets())
    }

    /// Gives the memory back if nothing waits in it.
    pub fn release_if_empty(&mut self, pool: &mut BufferPool) {
        if self.is_empty() {
            if let Some(memory) = self.memory.take() {
                pool.give_receive(memory);
            }
            (self.start, self.end) = (0, 0);
        }
    }
}
