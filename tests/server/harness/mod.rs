//! Shared by the tests: a server process, a blocking client, and measurements of the process.

#![allow(dead_code, unused_imports, reason = "each test crate uses a part of it")]

mod client;
mod process;
mod server;
mod small_disk;

use std::time::{Duration, Instant};

pub(crate) use client::{Client, Response};
pub(crate) use process::raise_descriptor_limit;
pub(crate) use server::{Exited, ROOT_WARNING, Server, Start};
pub(crate) use small_disk::{SmallDisk, bytes_free};

/// How long any wait may take before its test fails: far longer than it takes on any machine.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(20);

/// The longest that something that must happen at once may take, even on a busy machine. Less than the ten seconds that a graceful
/// shutdown may take, and than the five seconds that a connection may be silent while it drains.
pub(crate) const PROMPTLY: Duration = Duration::from_secs(4);

/// Waits until `condition` is true.
///
/// # Panics
/// If it does not become true in time. `what` names it in the message.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < WAIT_MAX, "timed out while waiting for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Pseudorandom bytes, determined by `seed`. They cannot be compressed, and a part in the wrong place is noticed.
pub(crate) fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}
