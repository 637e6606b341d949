//! Memory for buffers, straight from the system.
//!
//! A general allocator keeps what a flood of connections has made it take: one small allocation that lives on at the end of
//! the heap holds all of the memory before it. A buffer of its own pages goes back whole when it is freed.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// A fixed number of bytes, zero at first. Pages that are never written to cost nothing.
pub(super) enum Memory {
    Mapped(MmapMut),
    /// Where the system gives no further map: their number is limited.
    Heap(Box<[u8]>),
}

impl Memory {
    /// `bytes` bytes, at least one.
    pub(super) fn new(bytes: usize) -> Memory {
        match MmapMut::map_anon(bytes) {
            Ok(map) => Memory::Mapped(map),
            Err(_) => Memory::Heap(vec![0; bytes].into_boxed_slice()),
        }
    }
}

impl Deref for Memory {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Memory::Mapped(map) => map,
            Memory::Heap(bytes) => bytes,
        }
    }
}

impl DerefMut for Memory {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Memory::Mapped(map) => map,
            Memory::Heap(bytes) => bytes,
        }
    }
}
