//! What storage needs of a file system, held to the simulated disk and to the real ones.

#[path = "../simulation/disk/mod.rs"]
mod disk;
