//! The real binary over real sockets: one module per capability. Nothing here waits for ever: every read, write and wait
//! of the harness has a time-out.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may stop where it stands")]

mod challenge;
mod clients;
mod descriptors;
mod harness;
mod logs;
mod shutdown;
mod start;
mod timeouts;
