//! Octets that have been received and not yet been made sense of.

use super::buffer_pool::{BufferPool, ReceiveMemory};
use super::limits::{PARKED_BUFFER_OCTETS, RECEIVE_BUFFER_OCTETS, RECEIVE_TAIL_OCTETS_MIN};
use crate::semantics::fields::FieldSpans;

/// The octets between `start` and `end` of memory that is borrowed while there are any. 32 bits are enough for offsets
/// into it, and keep a session small.
#[derive(Debug, Default)]
pub(super) struct ReceiveBuffer {
    memory: Option<Box<ReceiveMemory>>,
    start: u32,
    end: u32,
}

impl ReceiveBuffer {
    /// The octets that wait.
    pub(super) fn unread(&self) -> &[u8] {
        match &self.memory {
            Some(memory) => &memory.octets[self.start as usize..self.end as usize],
            None => &[],
        }
    }

    /// The octets that wait, and where the lines of their head are noted. `None` where nothing waits.
    pub(super) fn unread_with_spans(&mut self) -> Option<(&[u8], &mut FieldSpans)> {
        let memory = self.memory.as_mut()?;
        Some((&memory.octets[self.start as usize..self.end as usize], &mut memory.spans))
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether there is no room to receive more.
    pub(super) fn is_full(&self) -> bool {
        (self.end - self.start) as usize == RECEIVE_BUFFER_OCTETS
    }

    /// Room to receive into; empty if the buffer is full. What is written there counts once
    /// [`received`](ReceiveBuffer::received) says so.
    pub(super) fn space(&mut self, pool: &mut BufferPool) -> &mut [u8] {
        if self.is_parked() && self.end as usize == PARKED_BUFFER_OCTETS {
            self.move_to(pool.take_receive(), pool);
        }
        let (start, end) = (self.start as usize, self.end as usize);
        let memory = self.memory.get_or_insert_with(|| pool.take_receive());
        if start == end {
            (self.start, self.end) = (0, 0);
        } else if start > 0 && RECEIVE_BUFFER_OCTETS - end < RECEIVE_TAIL_OCTETS_MIN {
            memory.octets.copy_within(start..end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut memory.octets[self.end as usize..]
    }

    fn is_parked(&self) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.octets.len() == PARKED_BUFFER_OCTETS)
    }

    /// Moves what waits, and what is noted of it, to the start of other memory that is large enough.
    fn move_to(&mut self, mut memory: Box<ReceiveMemory>, pool: &mut BufferPool) {
        let unread = self.unread();
        let octets = unread.len();
        memory.octets[..octets].copy_from_slice(unread);
        if let Some(mut left) = self.memory.take() {
            std::mem::swap(&mut left.spans, &mut memory.spans);
            pool.give_receive(left);
        }
        (self.start, self.end) = (0, octets as u32);
        self.memory = Some(memory);
    }

    /// The first `octets` of the space have been received.
    pub(super) fn received(&mut self, octets: usize) {
        debug_assert!(self.end as usize + octets <= RECEIVE_BUFFER_OCTETS);
        self.end += octets as u32;
    }

    /// The first `octets` that wait are done with.
    pub(super) fn consume(&mut self, octets: usize) {
        debug_assert!(octets <= (self.end - self.start) as usize);
        self.start += octets as u32;
    }

    /// All that waits is done with.
    pub(super) fn consume_all(&mut self) {
        self.start = self.end;
    }

    /// Octets of memory that are borrowed.
    pub(super) fn memory_octets(&self) -> usize {
        self.memory.as_ref().map_or(0, |memory| memory.octets.len() + memory.spans.memory_octets())
    }

    /// Gives the memory back if nothing waits in it, or exchanges it for less if little does.
    pub(super) fn park(&mut self, pool: &mut BufferPool) {
        if self.is_empty() {
            if let Some(memory) = self.memory.take() {
                pool.give_receive(memory);
            }
            (self.start, self.end) = (0, 0);
        } else if !self.is_parked() && self.unread().len() < PARKED_BUFFER_OCTETS {
            self.move_to(pool.take_parked(), pool);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::limits::FIELD_LINES_MAX;
    use crate::semantics::fields::{FieldName, FieldSpan, Fields};

    fn receive(buffer: &mut ReceiveBuffer, pool: &mut BufferPool, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() {
            let space = buffer.space(pool);
            let count = space.len().min(rest.len());
            space[..count].copy_from_slice(&rest[..count]);
            buffer.received(count);
            rest = &rest[count..];
        }
    }

    #[test]
    fn little_that_is_parked_costs_little_and_nothing_of_it_is_lost() {
        let octets: Vec<u8> = (0..RECEIVE_BUFFER_OCTETS).map(|at| (at % 251) as u8).collect();
        let (mut buffer, mut pool) = (ReceiveBuffer::default(), BufferPool::default());
        let (start, rest) = octets.split_at(100);
        receive(&mut buffer, &mut pool, b"gone");
        receive(&mut buffer, &mut pool, start);
        buffer.consume(b"gone".len());
        let (_, spans) = buffer.unread_with_spans().unwrap();
        spans.push(FieldSpan { name: FieldName::Host, name_start: 0, name_end: 1, value_start: 2, value_end: 9 });

        buffer.park(&mut pool);
        let spans_octets = FieldSpans::with_capacity(FIELD_LINES_MAX).memory_octets();
        assert_eq!(buffer.memory_octets(), PARKED_BUFFER_OCTETS + spans_octets);
        assert_eq!(buffer.unread(), start);

        receive(&mut buffer, &mut pool, rest);
        assert!(buffer.is_full() && buffer.unread() == octets);
        let (octets, spans) = buffer.unread_with_spans().unwrap();
        assert_eq!(Fields::new(octets, spans).first(FieldName::Host), Some(&octets[2..9]));

        buffer.park(&mut pool);
        assert!(buffer.is_full(), "what is long stays where it is");
        buffer.consume_all();
        buffer.park(&mut pool);
        assert_eq!(buffer.memory_octets(), 0);
    }
}
