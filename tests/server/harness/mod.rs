//! What the tests share: a server of one's own, a plain blocking client, and a look at the server's process.

#![allow(dead_code, unused_imports, reason = "each crate of tests uses its own part of it")]

mod client;
mod process;
mod server;

use std::time::{Duration, Instant};

pub(crate) use client::{Client, Response};
pub(crate) use process::raise_descriptor_limit;
pub(crate) use server::{Exited, Server, Start};

/// How long anything may take before its test fails. Far longer than anything takes.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(20);

/// What is to happen at once has happened by then even on a busy machine: far less than the ten seconds that answers
/// under way may take when the server ends, and than the five that a connection may be silent after its end.
pub(crate) const PROMPTLY: Duration = Duration::from_secs(4);

/// Waits for `condition`.
///
/// # Panics
/// Where it does not come about: `what` says what was waited for.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < WAIT_MAX, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Bytes without a pattern that a compressor, or a mix-up of places, would leave alike; the same ones for every `seed`.
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
