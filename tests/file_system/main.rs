//! The contract of `FileSystem`, held to the real file systems and to the simulated disk alike: what the simulation makes
//! storage believe must be true of a kernel.

#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod directories;
mod files;
mod lookups;
mod losses;
mod names;
mod stage;

#[path = "../simulation/disk/mod.rs"]
mod disk;
