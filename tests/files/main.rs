//! Files in and out, by the real binary over real sockets: one module per promise. The harness is that of the tests in
//! `tests/server/`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop where it stands")]

mod aborts;
mod downloads;
mod names;
mod preconditions;
mod ranges;
mod refusals;
mod support;
mod system_errors;
mod two_servers;
mod uploads;

#[path = "../server/harness/mod.rs"]
mod harness;
