//! Memory for buffers, mapped directly from the system.
//!
//! After a flood of connections a general allocator may keep their memory: one small allocation that survives at the
//! end of the heap retains all free memory before it. A mapped buffer goes back to the system when it is freed.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// A byte array of fixed length, initially zero. Pages that have never been written to occupy no memory.
pub(super) enum MappedBuffer {
    Mapped(MmapMut),
    /// The fallback if mapping fails: the system limits the number of mappings.
    Heap(Box<[u8]>),
}

impl MappedBuffer {
    /// A buffer of `bytes` bytes, which must be at least one.
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
