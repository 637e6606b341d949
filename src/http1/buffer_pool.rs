//! Memory that connections borrow while they have octets to keep. The last one given back is the next one lent, so that
//! a busy loop works in the same few warm buffers, and ten thousand idle connections own none.

use super::limits::{
    FIELD_LINES_MAX, OUTPUT_BUFFER_KEPT_OCTETS, PARKED_BUFFER_OCTETS, POOLED_BUFFERS_MAX, RECEIVE_BUFFER_OCTETS,
};
use crate::semantics::fields::FieldSpans;

/// What a connection reads into, and where the lines of a head stand in it.
#[derive(Debug)]
pub struct ReceiveMemory {
    /// [`RECEIVE_BUFFER_OCTETS`] octets, or [`PARKED_BUFFER_OCTETS`] while little is parked in them.
    pub octets: Box<[u8]>,
    /// The field lines of the head that is being read.
    pub spans: FieldSpans,
}

impl ReceiveMemory {
    fn new(octets: usize) -> Box<ReceiveMemory> {
        Box::new(ReceiveMemory {
            octets: vec![0; octets].into_boxed_slice(),
            spans: FieldSpans::with_capacity(FIELD_LINES_MAX),
        })
    }
}

/// The pool of one loop.
#[derive(Debug, Default)]
pub struct BufferPool {
    // Boxed as the connections keep them: one pointer in each of ten thousand idle ones.
    #[allow(clippy::vec_box)]
    receive: Vec<Box<ReceiveMemory>>,
    output: Vec<Vec<u8>>,
}

impl BufferPool {
    /// Memory to read into. Its octets are whatever they were.
    pub fn take_receive(&mut self) -> Box<ReceiveMemory> {
        self.receive.pop().unwrap_or_else(|| ReceiveMemory::new(RECEIVE_BUFFER_OCTETS))
    }

    /// Memory for what is parked.
    pub fn take_parked(&mut self) -> Box<ReceiveMemory> {
        // Not pooled: what stops in the midst of a head is rare, unless it is an attack.
        ReceiveMemory::new(PARKED_BUFFER_OCTETS)
    }

    /// Takes memory back.
    pub fn give_receive(&mut self, memory: Box<ReceiveMemory>) {
        if self.receive.len() < POOLED_BUFFERS_MAX && memory.octets.len() == RECEIVE_BUFFER_OCTETS {
            self.receive.push(memory);
        }
    }

    /// An empty buffer for answers.
    pub fn take_output(&mut self) -> Vec<u8> {
        // Emptied here and not when it comes back, so that no path back can forget it.
        let mut buffer = self.output.pop().unwrap_or_default();
        buffer.clear();
        buffer
    }

    /// Takes a buffer back. One that has grown out of proportion is freed.
    pub fn give_output(&mut self, buffer: Vec<u8>) {
        if self.output.len() < POOLED_BUFFERS_MAX && (1..=OUTPUT_BUFFER_KEPT_OCTETS).contains(&buffer.capacity()) {
            self.output.push(buffer);
        }
    }
}
