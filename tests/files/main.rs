//! Downloads and uploads below `/files/`, tested with the real binary over real sockets. The harness is that of
//! `tests/server/`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod aborts;
mod changes;
mod digests;
mod downloads;
mod draft_examples;
mod names;
mod preconditions;
mod put;
mod ranges;
mod refusals;
mod resumable;
mod resumable_concurrency;
mod resumable_fields;
mod support;
mod system_errors;
mod two_servers;
mod uploads;

#[path = "../server/harness/mod.rs"]
mod harness;
