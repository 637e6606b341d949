//! Memory for buffers, straight from the system.
//!
//! A general allocator keeps what a flood of connections has made it take: one small allocation that lives on at the end of
//! the heap holds all of the memory before it. A buffer of its own pages goes back whole when it is freed.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// A fixed number of bytes, zero at first. Pages that are never written to cost nothing.
pub(super) enum MappedBuffer {
    Mapped(MmapMut),
    /// Where the system gives no further map: their number is limited.
    Heap(Box<[u8]>),
}

impl MappedBuffer {
    /// `bytes` bytes, at least one.
    pub(super) fn new(bytes: usize) -> MappedBuffer {
        match MmapMut::map_anon(bytes) {
            Ok(map) => MappedBuffer::Mapped(map),
            Err(_) => MappedBuffer::Heap(vec![0; bytes].into_boxed_slice()),
        }
    }
}

impl Deref for MappedBuffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            MappedBuffer::Mapped(map) => map,
            MappedBuffer::Heap(bytes) => bytes,
        }
    }
}

impl DerefMut for MappedBuffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            MappedBuffer::Mapped(map) => map,
            MappedBuffer::Heap(bytes) => bytes,
        }
    }
}
